"""What the tests that end engines share: the servers of one test, and what must hold when all is drained.

The oracle (`compare`): rows in PostgreSQL equal a one-thread replay of the log that the run left, and every
message has exactly one outcome."""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "docker"))
import kafka  # noqa: E402

TOPICS = [("payments.bank-1", "bank-1", 3), ("payments.bank-2", "bank-2", 3)]


class Failure(Exception):
    pass


def say(text):
    print(text, flush=True)


class Bench:
    """The servers of one test, all in one folder under build; ends only what it started."""

    def __init__(self, home, muster, rules, broker="mock", topics=TOPICS, settings=""):
        self.home = os.path.join(TOP, "build", home)
        self.topics = topics
        self.more_settings = settings
        self.broker = broker
        self.cluster = None
        self.muster = muster
        self.rules = rules
        self.settings = self.path("muster.yaml")
        self.kafka = None
        self.engines = []

    def path(self, name):
        return os.path.join(self.home, name)

    def run(self, *words, check=True, **more):
        done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, **more)
        if check and done.returncode != 0:
            raise Failure("%s: exit %d\n%s%s" % (" ".join(words), done.returncode, done.stdout[-2000:], done.stderr[-2000:]))
        return done

    def postgres(self, verb):
        words = ["docker/postgres.sh", verb, self.path("postgres")]
        with open(self.path("postgres.out"), "a") as out:
            done = subprocess.run(words, cwd=TOP, stdout=out, stderr=out)
        if done.returncode:
            raise Failure("postgres %s failed; see %s" % (verb, self.path("postgres.out")))

    def dsn(self):
        return self.run("docker/postgres.sh", "dsn", self.path("postgres")).stdout.strip()

    def query(self, text):
        """Rows of a query as lists of strings."""
        done = self.run("psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-d", self.dsn(), "-c", text)
        return [line.split("\x1f") for line in done.stdout.splitlines() if line]

    def start_broker(self):
        if self.broker == "real":
            self.cluster = kafka.Cluster(self.path("kafka")).start()
            for topic, _, partitions in self.topics:
                self.cluster.topic(topic, partitions)
            return self.cluster.address()
        address = self.path("kafka.address")
        words = [self.muster, "mock-kafka", "--port-file", address]
        for topic, _, partitions in self.topics:
            words += ["--topic", "%s:%d" % (topic, partitions)]
        self.kafka = subprocess.Popen(words, cwd=TOP, stdout=open(self.path("kafka.log"), "w"), stderr=subprocess.STDOUT)
        for _ in range(200):
            if os.path.exists(address) and os.path.getsize(address):
                break
            time.sleep(0.1)
        return open(address).read().strip()

    def kill_broker(self):
        self.cluster.stop(kill=True)
        self.cluster.start()

    def start(self):
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        self.postgres("start")
        address = self.start_broker()
        with open(self.settings, "w") as out:
            out.write("kafka_brokers: \"%s\"\nkafka_topics:\n" % address)
            for topic, source, _ in self.topics:
                out.write("  %s: %s\n" % (topic, source))
            out.write("postgres_dsn: \"%s\"\nrules_dir: %s\nrates_file: rules/packs/rates.csv\n" % (self.dsn(), self.rules))
            for name, folder in (("state_dir", "state"), ("log_dir", "log"), ("log_key_dir", "keys"), ("master_key_file", "master.key")):
                out.write("%s: %s\n" % (name, self.path(folder)))
            out.write("threads: 2\nhttp_port: -1\ncheckpoint_every_s: 1\nlease_ms: 1500\n" + self.more_settings)
        self.run(self.muster, "db", "migrate", "--config", self.settings)

    def engine(self, name="a", overrides=(), fail=None):
        """Starts an engine; overrides: words behind --config; fail: MUSTER_FAIL, for a build of VARIANT=fault."""
        log = open(self.path("engine-%s-%03d.log" % (name, len(self.engines))), "w")
        words = [self.muster, "run", "--config", self.settings] + list(overrides)
        environment = dict(os.environ, **({"MUSTER_FAIL": fail} if fail else {}))
        process = subprocess.Popen(words, cwd=TOP, stdout=log, stderr=log, env=environment)
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


def drain(bench, total):
    engine = bench.engine("last")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        rows = bench.query("select coalesce(sum(next_offset), 0) from muster.position")
        if int(rows[0][0]) >= total:
            break
        if engine.poll() is not None:
            raise Failure("the last engine ended with %d; see %s" % (engine.returncode, engine.log))
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
    """quiet: says only what does not hold."""

    def __init__(self, quiet=False):
        self.passed = self.failed = 0
        self.quiet = quiet

    def hold(self, what, good, detail=""):
        self.passed += bool(good)
        self.failed += not good
        if not good or not self.quiet:
            say("  %s %s%s" % ("ok  " if good else "FAIL", what, "" if good or not detail else ": " + detail))

    def same(self, what, left, right):
        only_left, only_right = sorted(left - right), sorted(right - left)
        detail = "%d only in PostgreSQL %s, %d only in the replay %s" % (
            len(only_left), only_left[:2], len(only_right), only_right[:2])
        self.hold("%s: %d in both" % (what, len(left & right)), not only_left and not only_right and left, detail)


def replay(bench):
    """One thread over the log: (alerts, hits, positions of what is in the log)"""
    out = {name: bench.path("replay-%s.ndjson" % name) for name in ("alerts", "hits", "positions")}
    bench.run(bench.muster, "replay", "--config", bench.settings, "--log", bench.path("log"), "--threads", "1",
              *[word for name, path in out.items() for word in ("--" + name, path)])
    return [ndjson(out[name]) for name in ("alerts", "hits", "positions")]


def same_rows(bench, checks):
    """Returns where the log's events came from."""
    alerts, hits, positions = replay(bench)
    rows = bench.query("select encode(alert_id, 'hex'), revision, seq, score_milli, roles from muster.alert_revision")
    checks.same("alert revisions", {tuple(r) for r in rows},
                {(a["alert_id"], str(a["revision"]), str(a["seq"]), str(a["score_milli"]), str(a["roles_mask"])) for a in alerts})
    checks.hold("no alert revision is doubled", len(rows) == len(alerts), "%d rows, %d replayed" % (len(rows), len(alerts)))
    rows = bench.query("select seq, rule_id, say from muster.hit")
    replayed = [(str(h["seq"]), h["rule_id"], h["say"]) for h in hits if not h["shadow"]]
    checks.same("stored hits", {tuple(r) for r in rows}, set(replayed))
    checks.hold("no hit is doubled", len(rows) == len(replayed), "%d rows, %d replayed" % (len(rows), len(replayed)))
    return {(r["topic"], r["partition"], r["offset"]) for r in positions}


def compare(bench, checks, stream):
    outcomes(bench, checks, stream, same_rows(bench, checks))
    poison = bench.query("select count(*) from muster.rejection where reason = 'POISON'")
    checks.hold("no innocent record was taken for poison", poison == [["0"]], str(poison))


def outcomes(bench, checks, stream, logged):
    """Which outcome each fed line must have is told by an independent reading of the stream."""
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
