#!/usr/bin/env python3
"""What `muster db expire` deletes and what it keeps, over a private PostgreSQL under build/expire-test, and that the log's
old days go with their keys. Ends with `N passed, N failed`."""
import datetime
import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOME = os.path.join(TOP, "build", "expire-test")
MANY = 2500  # more than two batches

ALERT = "insert into muster.alert values ('\\x%02x', 'T', 't', 'o', 'account', 's', 'b', 'e', now(), false, %d, now() + %d * interval '1 day')"
REVISION = ("insert into muster.alert_revision values ('\\x%02x', %d, %d, now(), 1, 1, false, 'r', '[]', 1, '\\x00', '\\x00', "
            "now() + %d * interval '1 day')")
HIT = ("insert into muster.%s (seq, rule_id, hit_key, event_time, rule_version, source, event_id, topic, partition, kafka_offset, say, lets, "
       "subjects, evidence, evidence_total, rule_set, body_hash, expires_at) select n, 'R-1', 'k', '2026-01-05', 1, 'b', 'e', 't', 0, n, '', '[]', "
       "'[]', '[]', 0, '\\x00', '\\x00', now() + %d * interval '1 day' from generate_series(%d, %d) n")
REJECTION = ("insert into muster.rejection (topic, partition, kafka_offset, source, reason, field, body, body_size, expires_at) "
             "select 't', 0, n, 'b', 'JSON', '', 'x', 1, now() + %d * interval '1 day' from generate_series(%d, %d) n")
ARRIVAL = "insert into muster.arrival values ('t', 0, '2026-01-%02d', 'b', 1, 0, 0, 0, 0, 0, 0, now() + %d * interval '1 day')"

SETUP = [
    ALERT % (1, 1, -1), REVISION % (1, 1, 1, -9), REVISION % (1, 2, 2, -1),  # past its end
    ALERT % (2, 3, -1), REVISION % (2, 1, 3, -1), REVISION % (2, 2, 4, 1),   # its newest revision is not
    ALERT % (3, 5, -1), REVISION % (3, 1, 5, -1),                            # being worked on
    ALERT % (4, 6, 1), REVISION % (4, 1, 6, 1),                              # not yet
    "insert into muster.alert_state values ('\\x01', 'closed'), ('\\x03', 'open')",
    "insert into muster.alert_hit values ('\\x01', 1, 'R-1'), ('\\x02', 3, 'R-1'), ('\\x03', 5, 'R-1')",
    "select muster.ensure_month('2026-01-05')",
    HIT % ("hit", -1, 1, MANY), HIT % ("hit", 1, MANY + 1, MANY + 3), HIT % ("shadow_hit", -1, 1, 7), HIT % ("shadow_hit", 1, 8, 9),
    REJECTION % (-1, 1, MANY), REJECTION % (1, MANY + 1, MANY + 4),
    ARRIVAL % (1, -1), ARRIVAL % (2, 1),
]

# (query, what it must give)
HELD = [
    ("select string_agg(encode(alert_id, 'hex'), ',' order by alert_id) from muster.alert", "02,03,04"),
    ("select count(*) from muster.alert_revision", "4"),
    ("select string_agg(seq::text, ',' order by seq) from muster.alert_hit", "3,5"),
    ("select string_agg(state, ',') from muster.alert_state", "open"),
    ("select string_agg(seq::text, ',' order by seq) from muster.hit", "3,5,%d,%d,%d" % (MANY + 1, MANY + 2, MANY + 3)),
    ("select count(*) from muster.shadow_hit", "2"),
    ("select count(*) from muster.rejection", "4"), ("select max(day) from muster.arrival", "2026-01-02"),
    ("select string_agg(format('%s %s', kind, deleted), ', ' order by kind) from (select kind, sum(deleted) deleted from muster.expiry group by 1) x",
     "alert 1, arrival 1, hit %d, rejection %d, shadow_hit 7" % (MANY - 2, MANY)),
    ("select max(deleted) <= 1000 and bool_and(role <> '') from muster.expiry", "t"),
]


def postgres(verb):
    with open(HOME + ".out", "a") as out:
        subprocess.run(["docker/postgres.sh", verb, HOME], cwd=TOP, stdout=out, stderr=out, check=True)


def psql(dsn, sql):
    return subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", sql], cwd=TOP, capture_output=True, text=True)


def log_days(folders, ages):
    """Segments and keys by name; what is in them is the unit test's matter. Returns the file names of each day."""
    names = []
    for at, age in enumerate(ages):
        day = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=age)).strftime("%Y-%m-%d")
        names.append((day + "-%020d.log" % (at * 10 + 1), day + ".key"))
        for folder, name in zip(folders, names[-1]):
            os.makedirs(folder, exist_ok=True)
            open(os.path.join(folder, name), "w").close()
    return names


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
        folders = (os.path.join(HOME, "log"), os.path.join(HOME, "keys"))
        names = log_days(folders, [41, 32, 28, 0])
        muster = ["build/muster", "db", "--set", "postgres_dsn=" + dsn, "--set", "log_dir=" + folders[0], "--set", "log_key_dir=" + folders[1],
                  "--set", "log_days=30"]
        subprocess.run(muster[:2] + ["migrate"] + muster[2:4], cwd=TOP, check=True, capture_output=True)
        for sql in SETUP:
            done = psql(dsn, sql)
            hold("set up: " + sql[:40], done.returncode == 0, done.stderr)
        done = subprocess.run(muster[:2] + ["expire"] + muster[2:], cwd=TOP, capture_output=True, text=True)
        said = "alerts: 1 deleted\nhits: %d deleted\nshadow_hits: 7 deleted\nrejections: %d deleted\narrivals: 1 deleted\nlog: 2 days destroyed\nrejected bytes: 0 days destroyed\n" % (MANY - 2, MANY)
        hold("says what went", done.returncode == 0 and done.stdout == said, "%d %s%s" % (done.returncode, done.stdout, done.stderr))
        for sql, want in HELD:
            got = psql(dsn, sql)
            hold(sql, got.stdout.strip() == want, got.stdout + got.stderr)
        for folder, kind in zip(folders, (0, 1)):
            hold("days left in " + os.path.basename(folder), sorted(os.listdir(folder)) == sorted(day[kind] for day in names[2:]),
                 str(os.listdir(folder)))
        done = subprocess.run(muster[:2] + ["expire"] + muster[2:], cwd=TOP, capture_output=True, text=True)
        hold("nothing goes twice", done.stdout.count(" 0 d") == 7, done.stdout)
    finally:
        postgres("stop")
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
