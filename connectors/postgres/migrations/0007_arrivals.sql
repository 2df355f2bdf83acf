-- What a bank is told of its feed: per partition and day of arrival (UTC, the broker's clock) how many events were
-- accepted, of these joined, repeated and refused, which offsets were heartbeats or held nothing, and how many fields were
-- given that nobody knows. Added up in the engine's own transaction, so the figures are as exact as its alerts.

create table muster.arrival (
    topic      text not null,
    partition  int not null,
    day        date not null,
    source     text not null,
    accepted   bigint not null,
    joined     bigint not null,
    repeated   bigint not null,
    refused    bigint not null,
    heartbeats bigint not null,
    gaps       bigint not null,
    unknown    bigint not null,
    expires_at timestamptz not null default muster.expire_at(current_setting('muster.rejection_days', true)),
    primary key (topic, partition, day)
);
create index arrival_of_source on muster.arrival (source, day);
create index arrival_expires   on muster.arrival (expires_at);

-- When the message came, and which event it was, where its id could be read.
alter table muster.rejection add column arrived_at timestamptz;
alter table muster.rejection add column event_id   text;
create index rejection_of_source on muster.rejection (source, arrived_at);

create function muster.expire_arrivals(most int) returns bigint
language sql set search_path = muster, pg_temp as $$
    with gone as (delete from arrival where ctid = any (array(select ctid from arrival where expires_at <= now() limit most)) returning 1),
    noted as (insert into expiry (kind, deleted) select 'arrival', count(*) from gone having count(*) > 0)
    select count(*) from gone
$$;

do $$
begin
    grant select, insert, update on muster.arrival to muster_engine;
    grant select on muster.arrival to muster_feed, muster_console, muster_auditor;
    grant select (arrived_at, event_id) on muster.rejection to muster_feed;
exception
    when undefined_object or insufficient_privilege then
        raise notice 'the roles are not there or this role may not grant: grant by hand';
end $$;
