#!/usr/bin/env python3
"""Kills the engine and PostgreSQL at random moments and holds what is left against a one-thread replay.

A private PostgreSQL (fsync on), the embedded Kafka in a process of its own, a paced feeder and the
engine under `kill -9`. Sometimes two engines run side by side, sometimes one is stopped beyond its
lease and woken again. At the end the engine drains, and then must hold:

  1. hits, alert revisions and rejections in PostgreSQL equal a one-thread replay of the log that the
     run left, row by row;
  2. every message that was fed has exactly one outcome: scored or joined (in the log), rejected (in
     PostgreSQL), or repeated (its source and id are in the log already, with the same body);
  3. positions never went back, and no row came from an engine that had lost its lease;
  4. a checkpoint with flipped bits is refused and the one before it used.

Usage: crash.py [--kills 200] [--postgres-kills 10] [--seed 1] [--events 40000] [--muster build/muster]
                [--broker mock|real] [--broker-kills 20]
With --broker real, Apache Kafka (docker/kafka.py) serves, and dies by `kill -9` now and then as well.
Ends with `N passed, N failed, N skipped`."""
import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOME = os.path.join(TOP, "build", "crash")
sys.path.insert(0, os.path.join(TOP, "docker"))
import kafka  # noqa: E402

TOPICS = [("payments.bank-1", "bank-1", 3), ("payments.bank-2", "bank-2", 3)]


class Failure(Exception):
    pass


def say(text):
    print(text, flush=True)


class Bench:
    """The servers of one test, all under build/crash; ends only what it started."""

    def __init__(self, muster, rules, broker="mock"):
        self.broker = broker
        self.cluster = None
        self.muster = muster
        self.rules = rules
        self.settings = os.path.join(HOME, "muster.yaml")
        self.kafka = None
        self.serves = threading.Event()  # no feeding begins while the brokers are known to be away
        self.serves.set()
        self.engines = []

    def run(self, *words, check=True, **more):
        done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, **more)
        if check and done.returncode != 0:
            raise Failure("%s: exit %d\n%s%s" % (" ".join(words), done.returncode, done.stdout[-2000:], done.stderr[-2000:]))
        return done

    def postgres(self, verb):
        words = ["docker/postgres.sh", verb, os.path.join(HOME, "postgres")]
        with open(os.path.join(HOME, "postgres.out"), "a") as out:
            done = subprocess.run(words, cwd=TOP, stdout=out, stderr=out)
        if done.returncode:
            raise Failure("postgres %s failed; see build/crash/postgres.out" % verb)

    def dsn(self):
        return self.run("docker/postgres.sh", "dsn", os.path.join(HOME, "postgres")).stdout.strip()

    def query(self, text):
        """Rows of a query as lists of strings."""
        done = self.run("psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-d", self.dsn(), "-c", text)
        return [line.split("\x1f") for line in done.stdout.splitlines() if line]

    def start_broker(self):
        if self.broker == "real":
            self.cluster = kafka.Cluster(os.path.join(HOME, "kafka")).start()
            for topic, _, partitions in TOPICS:
                self.cluster.topic(topic, partitions)
            return self.cluster.address()
        address = os.path.join(HOME, "kafka.address")
        words = [self.muster, "mock-kafka", "--port-file", address]
        for topic, _, partitions in TOPICS:
            words += ["--topic", "%s:%d" % (topic, partitions)]
        self.kafka = subprocess.Popen(words, cwd=TOP, stdout=open(os.path.join(HOME, "kafka.log"), "w"), stderr=subprocess.STDOUT)
        for _ in range(200):
            if os.path.exists(address) and os.path.getsize(address):
                break
            time.sleep(0.1)
        return open(address).read().strip()

    def kill_broker(self):
        self.serves.clear()
        self.cluster.stop(kill=True)
        self.cluster.start()
        self.serves.set()

    def start(self):
        shutil.rmtree(HOME, ignore_errors=True)
        os.makedirs(HOME)
        self.postgres("start")
        address = self.start_broker()
        with open(self.settings, "w") as out:
            out.write("kafka_brokers: \"%s\"\nkafka_topics:\n" % address)
            for topic, source, _ in TOPICS:
                out.write("  %s: %s\n" % (topic, source))
            out.write("postgres_dsn: \"%s\"\nrules_dir: %s\nrates_file: rules/packs/rates.csv\n" % (self.dsn(), self.rules))
            for name in ("state", "log", "keys"):
                out.write("%s: %s\n" % ({"state": "state_dir", "log": "log_dir", "keys": "log_key_dir"}[name], os.path.join(HOME, name)))
            out.write("master_key_file: %s\nthreads: 2\nhttp_port: -1\ncheckpoint_every_s: 1\nlease_ms: 1500\n"
                      % os.path.join(HOME, "master.key"))
        self.run(self.muster, "db", "migrate", "--config", self.settings)

    def engine(self, name="a", overrides=()):
        log = open(os.path.join(HOME, "engine-%s-%03d.log" % (name, len(self.engines))), "w")
        words = [self.muster, "run", "--config", self.settings] + list(overrides)
        process = subprocess.Popen(words, cwd=TOP, stdout=log, stderr=log)
        process.log = log.name
        self.engines.append(process)
        return process

    def stop(self):
        for process in self.engines + ([self.kafka] if self.kafka else []):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        if self.cluster:
            self.cluster.stop(kill=True)
        try:
            self.postgres("stop")
        except Failure:
            pass

    def kill_postmaster(self):
        self.postgres("kill")
        for attempt in range(20):
            try:
                self.postgres("start")
                return
            except Failure:
                time.sleep(0.3)
        raise Failure("PostgreSQL did not come back")


class Feeder(threading.Thread):
    """Feeds the stream in small pieces, so that every kill meets an engine at work."""

    def __init__(self, bench, stream, seconds):
        super().__init__(daemon=True)
        self.bench, self.stream, self.seconds = bench, stream, seconds
        self.error = None
        self.fed = 0

    def run(self):
        try:
            lines = open(self.stream).read().splitlines(True)
            pieces = max(1, min(len(lines), int(self.seconds)))
            size = (len(lines) + pieces - 1) // pieces
            begin = time.monotonic()
            for piece in range(pieces):
                part = os.path.join(HOME, "piece.ndjson")
                with open(part, "w") as out:
                    out.writelines(lines[piece * size:(piece + 1) * size])
                self.bench.serves.wait()
                # a broken line is a finding (exit 1), not a fault: bad lines are sent on purpose
                done = self.bench.run(self.bench.muster, "feed", "--config", self.bench.settings, "--send-rejected", part, check=False)
                if done.returncode not in (0, 1):
                    raise Failure("feed: exit %d\n%s" % (done.returncode, done.stderr[-1000:]))
                self.fed += len(lines[piece * size:(piece + 1) * size])
                time.sleep(max(0, begin + (piece + 1) * self.seconds / pieces - time.monotonic()))
        except Exception as fault:  # reported by the main thread
            self.error = fault


def torment(bench, chance, kills, postgres_kills, broker_kills, feeder):
    """Kill after kill; returns how often the losing engine of a pair was seen to leave by itself."""
    postgres_at = set(chance.sample(range(kills), postgres_kills))
    broker_at = set(chance.sample(range(kills), broker_kills))
    fenced = 0
    for kill in range(kills):
        first = bench.engine("a")
        second = bench.engine("b") if kill % 4 == 1 and kill % 20 != 5 else None
        if kill % 20 == 5:  # stopped beyond its lease, then woken: the cleanest zombie
            for _ in range(60):
                if '"event":"live"' in open(first.log).read():
                    break
                time.sleep(0.1)
            zombie, second = first, bench.engine("b")
            zombie.send_signal(signal.SIGSTOP)
            time.sleep(2.5)
            zombie.send_signal(signal.SIGCONT)
            try:
                fenced += zombie.wait(timeout=8) == 4
            except subprocess.TimeoutExpired:
                pass
        time.sleep(chance.uniform(0.05, 1.3))
        if kill in postgres_at:
            bench.kill_postmaster()
            time.sleep(chance.uniform(0.05, 0.8))
        if kill in broker_at:
            bench.kill_broker()
        for process in (first, second):
            if process and process.poll() is None:
                process.kill()
                process.wait()
            elif process and process.returncode not in (0, 4, -9):
                raise Failure("an engine ended by itself with %d after kill %d: %s" % (process.returncode, kill, open(process.log).read()[-900:]))
        if feeder.error:
            raise feeder.error
        if kill % 20 == 19:
            say("  %d kills, %d messages fed" % (kill + 1, feeder.fed))
    return fenced


def drain(bench, total):
    engine = bench.engine("last")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        rows = bench.query("select coalesce(sum(next_offset), 0) from muster.position")
        if int(rows[0][0]) >= total:
            break
        if engine.poll() is not None:
            raise Failure("the last engine ended with %d; see build/crash/engine-last-*.log" % engine.returncode)
        time.sleep(0.3)
    else:
        raise Failure("not drained after 120 s: positions sum to %s of %d" % (rows[0][0], total))
    engine.terminate()
    if engine.wait(timeout=30) != 0:
        raise Failure("SIGTERM: exit %d instead of 0" % engine.returncode)


def ndjson(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines if line.strip()]


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def hold(self, what, good, detail=""):
        self.passed += bool(good)
        self.failed += not good
        say("  %s %s%s" % ("ok  " if good else "FAIL", what, "" if good or not detail else ": " + detail))

    def same(self, what, left, right):
        only_left, only_right = sorted(left - right), sorted(right - left)
        detail = "%d only in PostgreSQL %s, %d only in the replay %s" % (
            len(only_left), only_left[:2], len(only_right), only_right[:2])
        self.hold("%s: %d in both" % (what, len(left & right)), not only_left and not only_right and left, detail)


def replay(bench):
    out = {name: os.path.join(HOME, "replay-%s.ndjson" % name) for name in ("alerts", "hits")}
    bench.run(bench.muster, "replay", "--config", bench.settings, "--log", os.path.join(HOME, "log"), "--threads", "1",
              "--alerts", out["alerts"], "--hits", out["hits"])
    return ndjson(out["alerts"]), ndjson(out["hits"])


def compare(bench, checks, stream):
    alerts, hits = replay(bench)
    rows = bench.query("select encode(alert_id, 'hex'), revision, seq, score_milli, roles from muster.alert_revision")
    checks.same("alert revisions", {tuple(r) for r in rows},
                {(a["alert_id"], str(a["revision"]), str(a["seq"]), str(a["score_milli"]), str(a["roles_mask"])) for a in alerts})
    rows = bench.query("select seq, rule_id, say from muster.hit")
    checks.same("stored hits", {tuple(r) for r in rows},
                {(str(h["seq"]), h["rule_id"], h["say"]) for h in hits if not h["shadow"]})
    outcomes(bench, checks, stream)


def outcomes(bench, checks, stream):
    """Which outcome each fed line must have is told by an independent reading of the stream."""
    dump = os.path.join(HOME, "log.ndjson")
    bench.run(bench.muster, "replay", "--config", bench.settings, "--log", os.path.join(HOME, "log"), "--threads", "1",
              "--positions", dump)
    logged = {(r["topic"], r["partition"], r["offset"]) for r in ndjson(dump)}
    rejected = {(r[0], int(r[1]), int(r[2])) for r in bench.query("select topic, partition, kafka_offset from muster.rejection")}
    fed = sum(1 for _ in open(stream))
    ends = {(r[0], int(r[1])): int(r[2]) for r in bench.query("select topic, partition, next_offset from muster.position")}
    everything = {(t, p, o) for (t, p), end in ends.items() for o in range(end)}
    checks.hold("every message fed has a position: %d" % fed, len(everything) == fed, "%d positions" % len(everything))
    checks.hold("no message is both logged and rejected", not (logged & rejected))
    repeated = everything - logged - rejected
    seen, repeats = {}, 0
    for line in open(stream, errors="surrogateescape"):
        try:
            event = json.loads(line)
            key = (event["source"], event["id"])
            if event["id"].startswith("x"):
                continue  # broken on purpose: refused each time
        except (ValueError, KeyError, TypeError):
            continue
        body = hashlib.sha256(line.strip().encode(errors="surrogateescape")).digest()
        repeats += seen.get(key) == body
        seen.setdefault(key, body)
    checks.hold("scored + joined + rejected + repeated = fed: %d + %d + %d" % (len(logged), len(rejected), len(repeated)),
                len(repeated) == repeats, "%d repeats in the stream" % repeats)


def flipped_checkpoint(bench, checks):
    state = os.path.join(HOME, "state")
    files = sorted((f for f in os.listdir(state) if f.startswith("checkpoint-") and not f.endswith(".tmp")),
                   key=lambda f: os.path.getmtime(os.path.join(state, f)))
    if len(files) < 2:
        checks.hold("two checkpoints to choose from", False, "there is %s" % files)
        return
    newest = os.path.join(state, files[-1])
    with open(newest, "r+b") as file:
        file.seek(os.path.getsize(newest) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x10]))
    before = bench.query("select count(*), coalesce(max(seq), 0) from muster.hit")
    engine = bench.engine("flipped")
    time.sleep(4)
    engine.terminate()
    code = engine.wait(timeout=30)
    log = open(engine.log).read()
    checks.hold("a checkpoint with a flipped bit is refused, with its name", files[-1] in log, log[-500:])
    checks.hold("the one before it is used, and nothing changes", code == 0 and files[-2] in log and
                before == bench.query("select count(*), coalesce(max(seq), 0) from muster.hit"), "exit %d" % code)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--postgres-kills", type=int, default=10)
    options.add_argument("--events", type=int, default=40000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--broker", choices=("mock", "real"), default="mock")
    options.add_argument("--broker-kills", type=int, default=20)
    options.add_argument("--muster", default="build/muster")
    options.add_argument("--rules", default="rules/packs/trafficking")
    options = options.parse_args()
    chance = random.Random(options.seed)
    bench, checks = Bench(options.muster, options.rules, options.broker), Checks()
    broker_kills = min(options.broker_kills, options.kills) if options.broker == "real" else 0
    try:
        if options.broker == "real":
            kafka.fetch()
        bench.start()
        stream = os.path.join(HOME, "stream.ndjson")
        bench.run(options.muster, "gen", "--events", str(options.events), "--seed", str(options.seed), "--sources", "2",
                  "--broken", "1%", "--out", stream, "--labels", os.path.join(HOME, "labels.csv"))
        total = sum(1 for _ in open(stream))
        feeder = Feeder(bench, stream, options.kills * 0.9)
        feeder.start()
        fenced = torment(bench, chance, options.kills, options.postgres_kills, broker_kills, feeder)
        feeder.join(timeout=300)
        drain(bench, total)
        say("%d kills of the engine, %d of PostgreSQL, %d of the broker, %d messages fed, %d zombies left fenced" %
            (options.kills, options.postgres_kills, broker_kills, total, fenced))
        compare(bench, checks, stream)
        checks.hold("a stopped and woken engine leaves fenced", options.kills < 6 or fenced > 0)
        flipped_checkpoint(bench, checks)
    except kafka.Unavailable as why:
        say("skipped: %s\n0 passed, 0 failed, 1 skipped" % why)
        return 0
    except (Failure, RuntimeError) as fault:
        checks.hold("the run", False, str(fault))
    finally:
        bench.stop()
    say("%d passed, %d failed, 0 skipped" % (checks.passed, checks.failed))
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
