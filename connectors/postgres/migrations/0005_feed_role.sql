-- Who may see what a bank is told about its own feed: refusals without their bytes, and positions. Nothing of
-- alerts, hits or rules: `muster feed-report` speaks as this role, whoever it logs in as.

do $$
begin
    if not exists (select from pg_roles where rolname = 'muster_feed') then
        create role muster_feed nologin;
    end if;
    grant usage on schema muster to muster_feed;
    grant select (topic, partition, kafka_offset, item, source, reason, field, body_size) on muster.rejection to muster_feed;
    grant select on muster.position to muster_feed;
exception
    when insufficient_privilege then
        raise notice 'this role may not make roles: grant them by hand';
end $$;
