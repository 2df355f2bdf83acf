-- A rule set carries the engine's last answer itself: a set may be loaded several times, and one from the engine's own folder never is.
-- Every single answer stays in rule_load. An answer of null: no engine has judged the set yet.

alter table muster.rule_set
    add column answer      text check (answer in ('accepted', 'refused')),
    add column reason      text not null default '',
    add column answered_at timestamptz;

update muster.rule_set s set answer = l.answer, reason = l.reason, answered_at = l.answered_at
from (select distinct on (hash) hash, answer, reason, answered_at from muster.rule_load where answer <> 'waiting' order by hash, number desc) l
where l.hash = s.hash;

do $$
begin
    grant update (answer, reason, answered_at) on muster.rule_set to muster_engine;
    revoke insert on muster.rule_set from muster_author; -- an author names sets, and answers none
    grant insert (hash, name, description) on muster.rule_set to muster_author;
exception
    when undefined_object or insufficient_privilege then
        raise notice 'the roles are not there or this role may not grant: grant by hand';
end $$;
