-- The engine's tables: lease and positions, journal, results. Only the engine writes them; analysts'
-- workflow has a table of its own. Times are event times unless their name says otherwise.

create schema if not exists muster;

-- One row: who may write. The epoch rises with every takeover; the epoch alone decides who may write.
create table muster.lease (
    id         int primary key check (id = 1),
    epoch      bigint not null,
    holder     text not null,
    expires_at timestamptz not null
);
insert into muster.lease values (1, 0, '', 'epoch');

create table muster.position (
    topic       text not null,
    partition   int not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

-- ranges: [[topic, partition, first, next], …]; replaying them in order of block gives the same sequence.
create table muster.journal (
    block     bigint primary key,
    first_seq bigint not null,
    last_seq  bigint not null,
    ranges    jsonb not null,
    epoch     bigint not null
);

create table muster.rule_set (
    hash        bytea primary key,
    name        text not null,
    description jsonb not null,
    loaded_at   timestamptz not null default now()
);

create table muster.hit (
    seq            bigint not null,
    rule_id        text not null,
    hit_key        text not null,
    event_time     timestamptz not null,
    rule_version   int not null,
    source         text not null,
    event_id       text not null,
    topic          text not null,
    partition      int not null,
    kafka_offset   bigint not null,
    say            text not null,
    lets           jsonb not null,
    subjects       jsonb not null,
    evidence       jsonb not null,
    evidence_total int not null,
    rule_set       bytea not null,
    body_hash      bytea not null,
    primary key (seq, rule_id, hit_key, event_time)
) partition by range (event_time);

create table muster.shadow_hit (like muster.hit including all);

-- Makes the partition for the month of a moment, so that a month's evidence can go as one.
create function muster.ensure_month(moment timestamptz) returns void
language plpgsql security definer set search_path = muster, pg_temp as $$
declare
    first timestamptz := date_trunc('month', moment at time zone 'UTC') at time zone 'UTC';
    name  text := 'hit_' || to_char(first at time zone 'UTC', 'YYYY_MM');
begin
    if to_regclass('muster.' || name) is null then
        execute format('create table if not exists muster.%I partition of muster.hit for values from (%L) to (%L)',
                       name, first, ((first at time zone 'UTC') + interval '1 month') at time zone 'UTC');
    end if;
end $$;

create table muster.alert (
    alert_id       bytea primary key,
    typology       text not null,
    title          text not null,
    offence        text not null,
    subject_kind   text not null,
    subject        text not null,
    first_source   text not null,
    first_event_id text not null,
    first_time     timestamptz not null,
    urgent         boolean not null,
    seq            bigint not null
);

create table muster.alert_revision (
    alert_id    bytea not null,
    revision    int not null,
    seq         bigint not null,
    event_time  timestamptz not null,
    score_milli bigint not null,
    roles       int not null,
    victim      boolean not null,
    reason      text not null,
    indicators  jsonb not null,
    hit_total   int not null,
    rule_set    bytea not null,
    body_hash   bytea not null,
    primary key (alert_id, revision)
);

create table muster.alert_hit (
    alert_id bytea not null,
    seq      bigint not null,
    rule_id  text not null,
    primary key (alert_id, seq, rule_id)
);

create table muster.rejection (
    topic        text not null,
    partition    int not null,
    kafka_offset bigint not null,
    source       text not null,
    reason       text not null,
    field        text not null,
    body         bytea not null,
    body_size    int not null,
    primary key (topic, partition, kafka_offset)
);

-- The analysts' side: the engine never writes it, and never depends on it.
create table muster.alert_state (
    alert_id   bytea primary key,
    state      text not null default 'new' check (state in ('new', 'open', 'escalated', 'closed')),
    assignee   text,
    changed_at timestamptz not null default now()
);

-- The queue: each alert as its newest revision tells it; protected and urgent lanes by columns.
create view muster.queue as
select a.alert_id, r.revision, a.typology, a.title, a.offence, a.subject_kind, a.subject, a.urgent, r.victim,
       r.score_milli, r.roles, r.reason, r.indicators, r.hit_total, a.first_time, r.event_time, r.seq,
       coalesce(s.state, 'new') as state, s.assignee, r.rule_set, a.first_source, a.first_event_id
  from muster.alert a
  join lateral (select * from muster.alert_revision v where v.alert_id = a.alert_id order by v.revision desc limit 1) r on true
  left join muster.alert_state s on s.alert_id = a.alert_id;
