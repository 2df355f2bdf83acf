#!/usr/bin/env python3
"""What `muster size` foretells against what is used: within 15 %, or it fails.

Each setting (few and many accounts, many and few events of each, short and long windows, with and without
habits; the shipped pack and small rule sets) is generated, replayed, and the peak resident memory of the
process and the books of its state are held against the prediction, which knows only the rate, the number of
accounts, the days and the rules: it samples a stream of another seed. One more goes over the embedded Kafka
through `muster run`. Ends with `N passed, N failed, N skipped`.

Usage: size_test.py [MUSTER] [--large]    --large: a million accounts as well; minutes, and 3 GiB of memory"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OPTIONS = argparse.ArgumentParser()
OPTIONS.add_argument("muster", nargs="?", default=os.path.join(TOP, "build", "muster"))
OPTIONS.add_argument("--large", action="store_true")
OPTIONS = OPTIONS.parse_args()
MUSTER = os.path.abspath(OPTIONS.muster)
HOME = os.path.join(TOP, "build", "size-test")
PACK = os.path.join(TOP, "rules", "packs", "trafficking")
WITHIN, PARTS_WITHIN = 0.15, 0.2  # memory as a whole; its parts, which chance moves more
PARTITIONS = 16  # the embedded Kafka keeps 5 MB of each

HEAD = """ruleset sizes { timezone "Africa/Nairobi" base USD }
typology sizes "Sizes" { offence trafficking alert at 1000 points from 2 indicators in 2 families }
"""
RULE = """rule S-%d "size" {
  version 1 status live typology sizes family network evidence act
  source "none" P why "to be weighed" owner "tests" review by 2030-01-01
  for each account
  %s
  when %s
  points 1 to account as undetermined
  say "much"
}
"""
SETS = {
    "short": [("let n = count of in over 2h\n  let m = distinct sender of in over 12h", "n >= 400 and m >= 300")],
    "long": [("let n = sum amount of out over 90d\n  let m = max amount of in over 20d", "n >= 900_000 USD and m >= 90_000 USD"),
             ("let n = distinct receiver of out over 60d", "n >= 4000")],
    "habits": [("let n = sum amount of in over 7d\n  let usually = usual n", "n >= 900_000 USD and n >= 50 * usually"),
               ("let fresh = out where other is new over 60d\n  let n = count of fresh over 7d", "n >= 5000")],
}
passed = failed = skipped = 0


def check(what, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print("%s %s%s" % ("ok    " if good else "FAILED", what, "" if good else ": " + detail), flush=True)


def near(what, foretold, used, within=PARTS_WITHIN):
    off = foretold / used - 1 if used else 0
    check("%-34s foretold %12d  used %12d  %+5.1f %%" % (what, foretold, used, off * 100), abs(off) <= within, "not within %.0f %%" % (within * 100))


def command(*words):
    return subprocess.run(words, cwd=TOP, check=True, capture_output=True, text=True).stdout


def peak_of(words, **more):
    """Output and peak resident bytes of a process that ends by itself."""
    process = subprocess.Popen(words, cwd=TOP, stdout=subprocess.PIPE, text=True, **more)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise RuntimeError("%s: status %d\n%s" % (words, status, text))
    return text, usage.ru_maxrss * 1024


def rule_folder(name):
    if name not in SETS:
        return PACK
    folder = os.path.join(HOME, "rules-" + name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "sizes.rules"), "w") as out:
        out.write(HEAD)
        for number, (lets, when) in enumerate(SETS[name]):
            out.write(RULE % (number, lets, when))
    return folder


def stream(events, accounts, days):
    """The file, its lines, and the accounts that it names."""
    path = os.path.join(HOME, "stream.ndjson")
    command(MUSTER, "gen", "--events", str(events), "--accounts", str(accounts), "--days", str(days), "--seed", "11", "--out", path)
    names, lines = set(), 0
    for line in open(path):
        names.update(re.findall(r'"account":"([^"]+)"', line))
        lines += 1
    return path, lines, len(names)


def foretell(rules, lines, named, days, *more):
    words = [MUSTER, "size", "--rules", rules, "--rate", "%.6f" % (lines / (days * 86400)), "--accounts", str(named), "--days", str(days), "--json"]
    return json.loads(command(*words, *more))


CATCHING_UP = 50000  # messages a second, about


def log_bytes(rules, rate, path, *more):
    """Of each message of a recorded stream that comes at this rate."""
    words = [MUSTER, "size", "--rules", rules, "--rate", str(rate), "--accounts", "1000", "--days", "30", "--sample", path, "--json"]
    return json.loads(command(*words, *more))["log_bytes_per_day"] / 86400 / rate


def whole(size, *kinds):
    return sum(keyspace[kind]["bytes"] for keyspace in size["state"]["keyspaces"] for kind in kinds)


def count(size, *kinds):
    return sum(keyspace[kind]["count"] for keyspace in size["state"]["keyspaces"] for kind in kinds)


def replay(name, set_name, events, accounts, days, *more):
    rules = rule_folder(set_name)
    path, lines, named = stream(events, accounts, days)
    settings = [word for pair in more for word in ("--set", pair)]
    size = foretell(rules, lines, named, days, *settings)
    text, peak = peak_of([MUSTER, "replay", path, "--rules", rules, "--state", *settings], stderr=subprocess.DEVNULL)
    used, = map(int, re.search(r"state +(\d+) bytes used", text).groups())
    identities, = map(int, re.search(r"identities (\d+)", text).groups())
    keys, key_bytes = map(int, re.search(r"keys +(\d+), (\d+)", text).groups())
    records, window_bytes = map(int, re.search(r"records +(\d+), windows (\d+)", text).groups())
    memories, memory_bytes = map(int, re.search(r"memories +(\d+), (\d+)", text).groups())
    print("-- %s: %d lines, %d accounts, %d days" % (name, lines, named, days))
    near("peak resident memory", size["replay"]["all"], peak, WITHIN)
    near("state", size["state"]["used"], used, WITHIN)
    near("identities", size["state"]["accounts"]["count"] + size["state"]["others"]["count"], identities)
    near("keys", count(size, "keys"), keys)
    near("bytes of keys", whole(size, "keys"), key_bytes)
    near("records in windows", count(size, "records"), records)
    near("bytes of windows", whole(size, "windows", "records", "values", "days", "habits"), window_bytes)
    if memories:
        near("memories", count(size, "memories"), memories)
        near("bytes of memories", whole(size, "memories"), memory_bytes)
    return path, lines, named, rules


def from_sample(path, lines, named, rules, days):
    """The stream itself as the sample, whose shares are then known exactly."""
    size, own = (foretell(rules, lines, named, days, *more) for more in ((), ("--sample", path)))
    check("a sample's shares are said to be no assumption", size["assumed"] and not own["assumed"])
    near("state, from a sample of its own", own["state"]["used"], size["state"]["used"], WITHIN)


def budget():
    words = [MUSTER, "rules", "check", "--budget"]
    done = subprocess.run(words + ["20,200000,2", PACK], cwd=TOP, capture_output=True, text=True)
    check("what does not fit is refused", done.returncode == 1 and "IT DOES NOT FIT" in done.stdout, done.stdout[-600:])
    dearest = re.findall(r"^  ([A-Z]+-\d\w+) +([\d.]+) GiB", done.stdout.split("mend first")[-1], re.M)
    sizes = [float(size) for _, size in dearest]
    check("the rules to mend first are named, the dearest first", dearest and dearest[0][0] == "CTL-07H" and len(sizes) > 2 and sizes == sorted(sizes, reverse=True), str(dearest))
    done = subprocess.run(words + ["0.01,2000,1", rule_folder("short")], cwd=TOP, capture_output=True, text=True)
    check("what fits passes", done.returncode == 0 and "it fits" in done.stdout, done.stdout[-600:])
    for wrong in ("20", "20,x", "20,5,0", "0,5"):
        check("no budget: " + wrong, subprocess.run(words + [wrong, PACK], cwd=TOP, capture_output=True).returncode == 2)
    done = subprocess.run([MUSTER, "size", "--rules", PACK, "--rate", "0.01", "--accounts", "9000000", "--days", "30"], cwd=TOP, capture_output=True,
                          text=True)
    check("more accounts than events are said so", done.returncode == 0 and "WARNING: at this rate fewer than" in done.stdout, done.stdout[:400])


# --- through Kafka ---

def wait_for(what, seconds, true):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("%s: not within %d s" % (what, seconds))
        time.sleep(0.1)


def postgres(verb):
    with open(os.path.join(HOME, "postgres.out"), "a+") as out: # its output goes to a file: the server would hold a pipe open
        begin = out.tell()
        code = subprocess.run(["docker/postgres.sh", verb, os.path.join(HOME, "postgres")], cwd=TOP, stdout=out, stderr=out).returncode
        out.seek(begin)
        text = out.read().strip()
    if code:
        raise RuntimeError("postgres %s: %s" % (verb, text[-400:]))
    return text


def run(name, set_name, events, accounts, days, checkpoint_s):
    """Without checkpoints on the way, unless the run lasts for many: how much of the state the last one meets is chance."""
    rules, settings = rule_folder(set_name), os.path.join(HOME, "run.yaml")
    path, lines, named = stream(events, accounts, days)
    address, dsn = os.path.join(HOME, "kafka"), postgres("dsn")
    kafka = subprocess.Popen([MUSTER, "mock-kafka", "--port-file", address, "--topic", "payments.a:%d" % PARTITIONS], stdout=subprocess.DEVNULL)
    engine = None
    try:
        wait_for("Kafka", 20, lambda: os.path.exists(address) and open(address).read().strip())
        with open(settings, "w") as out:
            out.write('kafka_brokers: "%s"\nkafka_topics:\n  payments.a: bank-a\npostgres_dsn: "%s"\nrules_dir: %s\n' %
                      (open(address).read().strip(), dsn, rules))
            for key, folder in (("state_dir", "state"), ("log_dir", "log"), ("log_key_dir", "keys"), ("master_key_file", "master.key")):
                out.write("%s: %s\n" % (key, os.path.join(HOME, folder)))
            out.write("threads: 2\nhttp_port: -1\ncheckpoint_every_s: %d\nbatch_max: 4096\nkafka_fetch_mb: 16\n" % checkpoint_s)
        command(MUSTER, "db", "migrate", "--config", settings)
        size = foretell(rules, lines, named, days, "--config", settings)
        command(MUSTER, "feed", "--config", settings, "--quiet", "--send-rejected", "--topic", "payments.a", "--timestamps", "event", "--partition-by", "id",
                path)
        log = open(os.path.join(HOME, "engine.log"), "w")
        engine = subprocess.Popen([MUSTER, "run", "--config", settings], cwd=TOP, stderr=log)
        scored = "select coalesce(sum(next_offset), 0) from muster.position"
        wait_for("all is scored", 120, lambda: int(command("psql", "-XqAt", "-d", dsn, "-c", scored)) >= lines)
        engine.terminate()
        _, status, usage = os.wait4(engine.pid, 0)
        engine.returncode = status
        print("-- %s: %d lines, %d accounts, %d days, two threads, Kafka to PostgreSQL" % (name, lines, named, days))
        check("the engine ends well", status == 0, open(log.name).read()[-400:])
        copies = 0 if checkpoint_s < 60 else size["catching_up"]["copies"]
        # how full the queues get on the way depends on the machine's other work: less than foretold is no harm
        used = usage.ru_maxrss * 1024
        foretold = size["catching_up"]["all"] - copies
        near("peak resident memory of the run", foretold, used, WITHIN if foretold < used else 0.25)
        written = sum(os.path.getsize(os.path.join(HOME, "log", name)) for name in os.listdir(os.path.join(HOME, "log")) if name.endswith(".log"))
        near("the log, in full blocks", log_bytes(rules, CATCHING_UP, path, "--config", settings) * lines, written, 0.2)
    finally:
        for process in (engine, kafka):
            if process and process.returncode is None:
                process.kill()
                process.wait()


def main():
    global failed, skipped
    shutil.rmtree(HOME, ignore_errors=True)
    os.makedirs(HOME)
    replay("many accounts, short windows", "short", 120000, 40000, 3, "threads=1", "batch_max=4096")
    replay("few accounts, long windows", "long", 120000, 3000, 120, "threads=1")
    replay("habits and novelty", "habits", 120000, 8000, 100, "threads=2", "batch_max=4096")
    replay("the pack, quiet accounts", "pack", 90000, 25000, 60, "threads=2", "batch_max=4096")
    last = replay("the pack, busy accounts", "pack", 60000, 1500, 20, "threads=1", "batch_max=4096", "lateness_h=2", "dedup_days=1")
    from_sample(*last, 20)
    budget()
    if OPTIONS.large:
        replay("a million accounts", "pack", 3000000, 1500000, 30, "threads=2")
    if not shutil.which("psql"):
        print("skipped: no PostgreSQL here")
        skipped += 1
    else:
        try:
            postgres("start")
            run("the pack, catching up", "pack", 90000, 8000, 30, 3600)
            if OPTIONS.large:
                run("the pack, a checkpoint each second", "pack", 300000, 30000, 30, 1)
        finally:
            postgres("stop")
    shutil.rmtree(HOME, ignore_errors=True) if not failed else None
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
