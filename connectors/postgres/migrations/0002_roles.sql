-- Least privilege: who owns, who writes results, who works alerts, who only reads. Made where the
-- migrating role may make roles; a site whose administrators make them grants the same by hand.

do $$
declare
    name text;
begin
    foreach name in array array['muster_owner', 'muster_engine', 'muster_console', 'muster_auditor'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;

    grant usage on schema muster to muster_engine, muster_console, muster_auditor;

    grant select, update on muster.lease to muster_engine;
    grant select, insert, update on muster.position to muster_engine;
    grant select, insert, delete on muster.journal to muster_engine;
    grant select, insert on muster.rule_set, muster.hit, muster.shadow_hit, muster.alert, muster.alert_revision,
                            muster.alert_hit, muster.rejection to muster_engine;
    grant execute on function muster.ensure_month(timestamptz) to muster_engine;

    grant select on muster.queue, muster.alert, muster.alert_revision, muster.alert_hit, muster.hit, muster.rule_set,
                    muster.rejection to muster_console;
    grant select, insert, update on muster.alert_state to muster_console;

    grant select on all tables in schema muster to muster_auditor;
exception
    when insufficient_privilege then
        raise notice 'this role may not make roles: grant them by hand';
end $$;
