#!/usr/bin/env python3
"""What is wrong with a database's migrations -> what is said; and that the engine's role cannot do more than
it must. A private PostgreSQL under build/migrate-test. Ends with `N passed, N failed`."""
import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOME = os.path.join(TOP, "build", "migrate-test")

# (what is done to the database, command, exit code, what must be said)
ROWS = [
    (None, "status", 1, "10 migrations are due"),
    (None, "migrate", 0, "migration 2 (roles): applied now"),
    (None, "migrate", 0, "migration 2 (roles): applied"),
    (None, "status", 0, "last journal block 0"),
    ("update muster_migration set checksum = 'x' where number = 1", "migrate", 3, "migration 1 (base) was changed after it was applied"),
    ("update muster_migration set checksum = 'x' where number = 1", "status", 3, "migration 1 (base) was changed after it was applied"),
    ("update muster_migration set name = 'bass' where number = 1", "migrate", 3, "migration 1 (bass) was changed after it was applied"),
    ("delete from muster_migration where number = 1", "migrate", 3, "migration 1 is missing before migration 2"),
    ("insert into muster_migration values (11, 'future', 'x', now())", "migrate", 3, "the database has migration 11 (future), which this program does not know"),
    ("delete from muster_migration where number > 1; alter table muster.hit drop column item; alter table muster.shadow_hit drop column item; "
     "alter table muster.rejection drop column item; alter table muster.rejection add primary key (topic, partition, kafka_offset); drop table muster.expiry; "
     "alter table muster.alert drop column expires_at; alter table muster.alert_revision drop column expires_at; alter table muster.hit drop column expires_at; "
     "alter table muster.shadow_hit drop column expires_at; alter table muster.rejection drop column expires_at; alter table muster.rejection drop column sealed_day, drop column arrived_at, drop column event_id, drop column number; drop table muster.arrival; drop table muster.dead_letter; drop table muster.rule_load, muster.rule_signature, muster.rule_file; alter table muster.rule_set drop column answer, drop column reason, drop column answered_at; alter table muster.journal drop column rule_set, drop column warm_from; drop index muster.alert_hit_of; drop function muster.expire_at, "
     "muster.expire_alerts, muster.expire_hits, muster.expire_shadow_hits, muster.expire_rejections, muster.expire_arrivals; create role muster_x; drop role muster_x", "migrate", 0, "migration 2 (roles): applied now"),
    ("delete from muster_migration where number = 10; alter table muster.rule_set drop column answer, drop column reason, drop column answered_at; "
     "insert into muster.rule_set values ('\\x01', 'loaded', '{}'), ('\\x02', 'new', '{}'); insert into muster.rule_load (hash, answer, reason, answered_at) values "
     "('\\x01', 'refused', 'unsigned', '2026-01-01'), ('\\x01', 'accepted', 'fine', '2026-01-02'), ('\\x01', 'waiting', '', null), ('\\x02', 'waiting', '', null)",
     "migrate", 0, "migration 10 (rule_answers): applied now"),
]
ANSWERS = "select name, answer, reason, answered_at::date from muster.rule_set order by name"  # of the last row's sets
ANSWERED = "loaded|accepted|fine|2026-01-02\nnew|||\n"

# What a role must not be able to do, and what it must.
DENIED = [("muster_engine", "delete from muster.hit"), ("muster_engine", "update muster.alert set subject = ''"), ("muster_engine", "drop table muster.hit"),
          ("muster_engine", "insert into muster.alert_state values ('\\x00')"), ("muster_engine", "create table muster.x (a int)"),
          ("muster_engine", "select muster.expire_hits(1)"), ("muster_console", "select muster.expire_alerts(1)"), ("muster_auditor", "delete from muster.expiry"),
          ("muster_console", "insert into muster.alert_hit values ('\\x00', 1, 'R')"), ("muster_console", "update muster.position set next_offset = 0"),
          ("muster_auditor", "delete from muster.rejection"), ("muster_feed", "select * from muster.alert"), ("muster_feed", "select * from muster.hit"),
          ("muster_feed", "select body from muster.rejection"), ("muster_auditor", "update muster.alert_state set state = 'closed'"),
          ("muster_engine", "insert into muster.rule_load (hash) values ('\\x00')"), ("muster_engine", "update muster.rule_file set body = ''"), ("muster_engine", "update muster.rule_load set hash = ''"),
          ("muster_author", "update muster.rule_load set answer = 'accepted'"), ("muster_author", "select * from muster.alert"),
          ("muster_author", "insert into muster.rule_load (hash, answer) values ('\\x00', 'accepted')"),
          ("muster_author", "insert into muster.rule_set (hash, name, description, answer) values ('\\x00', 'x', '{}', 'accepted')"),
          ("muster_author", "update muster.rule_set set answer = 'accepted'"), ("muster_engine", "update muster.rule_set set description = '{}'")]
ALLOWED = [("muster_author", "insert into muster.rule_set (hash, name, description) values ('\\x03', 'x', '{}')"), ("muster_author", "select answer, reason from muster.rule_set"),
           ("muster_engine", "update muster.rule_set set answer = 'refused', reason = '', answered_at = now()"), ("muster_engine", "update muster.rule_load set answer = 'refused', reason = '', answered_at = now()"), ("muster_author", "select answer, reason from muster.rule_load"),
           ("muster_feed", "select reason, field from muster.rejection"), ("muster_engine", "select * from muster.position"), ("muster_engine", "select muster.ensure_month(now())"), ("muster_auditor", "select * from muster.expiry"),
           ("muster_console", "select * from muster.queue"), ("muster_auditor", "select * from muster.rejection")]


def postgres(verb):
    with open(HOME + ".out", "a") as out:
        subprocess.run(["docker/postgres.sh", verb, HOME], cwd=TOP, stdout=out, stderr=out, check=True)


def psql(dsn, sql):
    return subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", sql], cwd=TOP, capture_output=True, text=True)


def main():
    passed = failed = 0

    def hold(what, good, detail=""):
        nonlocal passed, failed
        passed, failed = passed + bool(good), failed + (not good)
        print("%s %s%s" % ("ok    " if good else "FAILED", what, "" if good else ": " + detail), flush=True)

    shutil.rmtree(HOME, ignore_errors=True)
    postgres("start")
    try:
        dsn = subprocess.run(["docker/postgres.sh", "dsn", HOME], cwd=TOP, capture_output=True, text=True).stdout.strip()
        for sql, verb, code, says in ROWS:
            if sql:
                psql(dsn, "create table saved as table muster_migration")
                psql(dsn, sql)
            done = subprocess.run(["build/muster", "db", verb, "--set", "postgres_dsn=" + dsn], cwd=TOP, capture_output=True, text=True)
            hold("%s after %s: %s" % (verb, sql, says), done.returncode == code and says in done.stdout + done.stderr,
                 "exit %d: %s" % (done.returncode, done.stdout + done.stderr))
            if sql:
                psql(dsn, "truncate muster_migration; insert into muster_migration table saved; drop table saved")
        done = subprocess.run(["psql", "-X", "-At", "-d", dsn, "-c", ANSWERS], capture_output=True, text=True)
        hold("sets that were loaded before have their last answer", done.stdout == ANSWERED, done.stdout + done.stderr)
        for role, sql in DENIED:
            done = psql(dsn, "set role %s; %s" % (role, sql))
            hold("%s may not %s" % (role, sql), done.returncode and "permission denied" in done.stderr or "must be owner" in done.stderr, done.stderr)
        for role, sql in ALLOWED:
            done = psql(dsn, "set role %s; %s" % (role, sql))
            hold("%s may %s" % (role, sql), done.returncode == 0, done.stderr)
        done = subprocess.run(["build/muster", "db", "status", "--set", "postgres_dsn=host=127.0.0.1 port=1 dbname=x"], cwd=TOP, capture_output=True, text=True)
        hold("no server: said so", done.returncode == 3 and "cannot connect to PostgreSQL" in done.stderr, done.stderr)
    finally:
        postgres("stop")
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
