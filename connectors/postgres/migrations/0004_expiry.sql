-- What is kept has an end. The engine says per session how many days each kind is kept (muster.alert_days,
-- muster.hit_days, muster.rejection_days); what others write, or was there before, is kept for five years.
-- expires_at stays the last column: the engine's staging tables are the same but for it.

create function muster.expire_at(days text) returns timestamptz
language sql stable as $$
    select now() + coalesce(nullif(days, '')::int, 1826) * interval '1 day'
$$;

alter table muster.alert          add column expires_at timestamptz not null default muster.expire_at(current_setting('muster.alert_days', true));
alter table muster.alert_revision add column expires_at timestamptz not null default muster.expire_at(current_setting('muster.alert_days', true));
alter table muster.hit            add column expires_at timestamptz not null default muster.expire_at(current_setting('muster.hit_days', true));
alter table muster.shadow_hit     add column expires_at timestamptz not null default muster.expire_at(current_setting('muster.hit_days', true));
alter table muster.rejection      add column expires_at timestamptz not null default muster.expire_at(current_setting('muster.rejection_days', true));

create index alert_expires      on muster.alert (expires_at);
create index hit_expires        on muster.hit (expires_at);
create index shadow_hit_expires on muster.shadow_hit (expires_at);
create index rejection_expires  on muster.rejection (expires_at);
create index alert_hit_of       on muster.alert_hit (seq, rule_id);

-- The audit of what was deleted: how many, when, by whom; nothing about what it said.
create table muster.expiry (
    expired_at timestamptz not null default now(),
    role       text not null default current_user,
    kind       text not null,
    deleted    bigint not null
);

-- Each deletes at most `most` of what is past its end, notes it, and says how many went.

-- An alert goes with all its revisions once the newest is past its end, and stays while it is worked on.
create function muster.expire_alerts(most int) returns bigint
language sql set search_path = muster, pg_temp as $$
    with due as (
        select a.alert_id from alert a
         where a.expires_at <= now()
           and not exists (select from alert_revision r where r.alert_id = a.alert_id and r.expires_at > now())
           and not exists (select from alert_state s where s.alert_id = a.alert_id and s.state in ('open', 'escalated'))
         limit most),
    revisions as (delete from alert_revision where alert_id in (select alert_id from due)),
    links     as (delete from alert_hit where alert_id in (select alert_id from due)),
    states    as (delete from alert_state where alert_id in (select alert_id from due)),
    gone      as (delete from alert where alert_id in (select alert_id from due) returning 1),
    noted     as (insert into expiry (kind, deleted) select 'alert', count(*) from gone having count(*) > 0)
    select count(*) from gone
$$;

-- A hit that a kept alert rests on stays with it.
create function muster.expire_hits(most int) returns bigint
language sql set search_path = muster, pg_temp as $$
    with due as (
        select h.seq, h.rule_id, h.hit_key, h.event_time from hit h
         where h.expires_at <= now() and not exists (select from alert_hit a where a.seq = h.seq and a.rule_id = h.rule_id)
         limit most),
    gone  as (delete from hit h using due d where h.seq = d.seq and h.rule_id = d.rule_id and h.hit_key = d.hit_key
                 and h.event_time = d.event_time returning 1),
    noted as (insert into expiry (kind, deleted) select 'hit', count(*) from gone having count(*) > 0)
    select count(*) from gone
$$;

create function muster.expire_shadow_hits(most int) returns bigint
language sql set search_path = muster, pg_temp as $$
    with gone as (delete from shadow_hit where ctid = any (array(select ctid from shadow_hit where expires_at <= now() limit most)) returning 1),
    noted as (insert into expiry (kind, deleted) select 'shadow_hit', count(*) from gone having count(*) > 0)
    select count(*) from gone
$$;

create function muster.expire_rejections(most int) returns bigint
language sql set search_path = muster, pg_temp as $$
    with gone as (delete from rejection where ctid = any (array(select ctid from rejection where expires_at <= now() limit most)) returning 1),
    noted as (insert into expiry (kind, deleted) select 'rejection', count(*) from gone having count(*) > 0)
    select count(*) from gone
$$;

do $$
begin
    grant select on muster.expiry to muster_auditor;
    grant execute on function muster.expire_at(text) to muster_engine;
exception
    when undefined_object or insufficient_privilege then
        raise notice 'the roles are not there or this role may not grant: grant by hand';
end $$;
