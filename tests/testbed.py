"""What the suites that run whole engines share: a private PostgreSQL, Kafka (librdkafka's mock or the real one), engines,
a feeder, and the comparison of what PostgreSQL holds with a one-thread replay of the log.

Everything lies in one folder under build/, listens on loopback, and ends with the test: only what was started here is ended."""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "docker"))
import kafka  # noqa: E402


TOPICS = [("payments.bank-1", "bank-1", 3), ("payments.bank-2", "bank-2", 3)]


class Failure(Exception):
    pass


def say(text):
    print(text, flush=True)


def command(*words, codes=(0,), **more):
    """Its standard output; Failure when it ends with another code."""
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, **more)
    if done.returncode not in codes:
        raise Failure("%s: exit %d\n%s%s" % (" ".join(words), done.returncode, done.stdout[-1000:], done.stderr[-1000:]))
    return done.stdout


def wait_for(what, seconds, good, pause=0.02):
    """The seconds it took until good() was true."""
    begin = time.monotonic()
    while not good():
        if time.monotonic() > begin + seconds:
            raise Failure("%s: not within %d s" % (what, seconds))
        time.sleep(pause)
    return time.monotonic() - begin


def ndjson(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines if line.strip()]


def notices(engine, event=None):
    """What an engine said, of one kind or all, as its whole lines so far: it may be in the middle of writing the next."""
    with open(engine.log) as lines:
        said = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]
    return [notice for notice in said if event in (None, notice["event"])]


def end_process(process):
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


class Checks:
    """quiet: says only what does not hold."""

    def __init__(self, quiet=False):
        self.passed = self.failed = 0
        self.quiet = quiet

    def hold(self, what, good, detail=""):
        self.passed += bool(good)
        self.failed += not good
        if not good or not self.quiet:
            say("  %s %s%s" % ("ok  " if good else "FAIL", what, "" if good or not detail else ": %s" % detail))

    def same(self, what, left, right):
        only_left, only_right = sorted(left - right), sorted(right - left)
        detail = "%d only in PostgreSQL %s, %d only in the replay %s" % (
            len(only_left), only_left[:2], len(only_right), only_right[:2])
        self.hold("%s: %d in both" % (what, len(left & right)), not only_left and not only_right and left, detail)


class Postgres:
    """A cluster of docker/postgres.sh in HOME/postgres."""

    def __init__(self, home):
        self.home = home
        self.address = None

    def do(self, verb):
        # its output goes to a file: the server would hold a pipe open
        with open(os.path.join(self.home, "postgres.out"), "a+") as out:
            begin = out.seek(0, os.SEEK_END)
            done = subprocess.run(["docker/postgres.sh", verb, os.path.join(self.home, "postgres")], cwd=TOP, stdout=out, stderr=out)
            out.seek(begin)
            text = out.read()
        if done.returncode:
            raise Failure("postgres %s: %s" % (verb, text[-500:]))
        return text.strip()

    def start(self):
        """Starts, again and again for a while: a server that was killed leaves shared memory behind."""
        for attempt in range(20):
            try:
                self.do("start")
                self.address = self.address or self.do("dsn")
                return self
            except Failure:
                if attempt == 19:
                    raise
                time.sleep(0.3)

    def query(self, sql):
        """Rows as lists of strings."""
        text = command("psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-d", self.address, "-c", sql)
        return [line.split("\x1f") for line in text.splitlines() if line]

    def pid_file(self):
        with open(os.path.join(self.home, "postgres", "data.path")) as path:
            return os.path.join(path.read().strip(), "postmaster.pid")

    def processes(self):
        """The server and its children."""
        with open(self.pid_file()) as pid:
            first = int(pid.readline())
        found = [first]
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % name) as stat:
                    if int(stat.read().rsplit(")", 1)[1].split()[1]) == first:
                        found.append(int(name))
            except OSError:
                pass
        return found

    def stop_fast(self):
        """What an administrator's stop does: sessions end, the server writes all and leaves."""
        os.kill(self.processes()[0], signal.SIGINT)
        wait_for("PostgreSQL stops", 30, lambda: not os.path.exists(self.pid_file()))

    def signal_all(self, number):
        for pid in self.processes():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


class MockBroker:
    """librdkafka's mock cluster, in a process of its own."""

    def __init__(self, muster, home, topics):
        path = os.path.join(home, "kafka.address")
        words = [word for topic, partitions in topics for word in ("--topic", "%s:%d" % (topic, partitions))]
        with open(os.path.join(home, "kafka.log"), "w") as log:
            self.process = subprocess.Popen([muster, "mock-kafka", "--port-file", path] + words, cwd=TOP, stdout=log, stderr=log)
        wait_for("Kafka", 20, lambda: os.path.exists(path) and os.path.getsize(path))
        with open(path) as file:
            self.address = file.read().strip()

    def away(self):
        self.process.send_signal(signal.SIGUSR1)

    def back(self):
        self.process.send_signal(signal.SIGUSR2)

    def stop(self):
        end_process(self.process)


class RealBroker:
    """Apache Kafka; away means killed."""

    def __init__(self, home, topics):
        self.cluster = kafka.Cluster(os.path.join(home, "kafka")).start()
        self.address = self.cluster.address()
        for topic, partitions in topics:
            self.cluster.topic(topic, partitions)

    def away(self):
        self.cluster.stop(kill=True)

    def back(self):
        self.cluster.start()

    def stop(self):
        self.cluster.stop(kill=True)


class Bench:
    """The servers and engines of one test, all under `home`, a folder under build. Topics are (name, bank, partitions);
    `more_settings` is text that goes into the settings file as it is."""

    def __init__(self, home, muster, rules, topics=TOPICS, broker="mock", **settings):
        self.home = os.path.join(TOP, "build", home)
        self.muster, self.rules, self.topics, self.broker_kind = muster, rules, topics, broker
        self.own, self.more_settings = settings, ""
        self.settings = self.path("muster.yaml")
        self.database = Postgres(self.home)
        self.broker = None
        self.serves = threading.Event()  # no feeding begins while the brokers are known to be away
        self.serves.set()
        self.engines = []

    def path(self, name):
        return os.path.join(self.home, name)

    def run(self, *words, check=True, **more):
        done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, **more)
        if check and done.returncode != 0:
            raise Failure("%s: exit %d\n%s%s" % (" ".join(words), done.returncode, done.stdout[-2000:], done.stderr[-2000:]))
        return done

    def query(self, text):
        return self.database.query(text)

    def start(self):
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        self.database.start()
        topics = [(topic, partitions) for topic, _, partitions in self.topics]
        self.broker = RealBroker(self.home, topics) if self.broker_kind == "real" else MockBroker(self.muster, self.home, topics)
        folders = {"state_dir": "state", "log_dir": "log", "log_key_dir": "keys", "master_key_file": "master.key"}
        settings = {"rules_dir": self.rules, "rates_file": "rules/packs/rates.csv", "threads": 2, "http_port": -1, "checkpoint_every_s": 1,
                    "lease_ms": 1500, **{name: os.path.join(self.home, folder) for name, folder in folders.items()}, **self.own}
        with open(self.settings, "w") as out:
            out.write("kafka_brokers: \"%s\"\nkafka_topics:\n" % self.broker.address)
            out.writelines("  %s: %s\n" % (topic, source) for topic, source, _ in self.topics)
            out.write("postgres_dsn: \"%s\"\n" % self.database.address)
            out.writelines("%s: %s\n" % pair for pair in settings.items())
            out.write(self.more_settings)
        self.run(self.muster, "db", "migrate", "--config", self.settings)

    def engine(self, name="a", overrides=(), env=None, before=(), fail=None):
        """`before` are words in front of the command, such as those that make a namespace; fail: MUSTER_FAIL, for a build of
        VARIANT=fault."""
        env = {**(env or {}), **({"MUSTER_FAIL": fail} if fail else {})}
        path = os.path.join(self.home, "engine-%s-%03d.log" % (name, len(self.engines)))
        words = list(before) + [self.muster, "run", "--config", self.settings] + list(overrides)
        with open(path, "w") as log:
            process = subprocess.Popen(words, cwd=TOP, stdout=log, stderr=log, env={**os.environ, **env})
        process.log = path
        self.engines.append(process)
        return process

    def stop(self):
        for process in self.engines:
            end_process(process)
        if self.broker:
            self.broker.stop()
        try:
            self.database.do("stop")
        except Failure:
            pass

    def kill_broker(self):
        self.serves.clear()
        self.broker.away()
        self.broker.back()
        self.serves.set()

    def kill_postmaster(self):
        self.database.do("kill")
        self.database.start()

    def positions(self):
        return int(self.query("select coalesce(sum(next_offset), 0) from muster.position")[0][0])


class Feeder(threading.Thread):
    """Feeds the stream in small pieces, so that every kill meets an engine at work."""

    def __init__(self, bench, stream, seconds):
        super().__init__(daemon=True)
        self.bench, self.stream, self.seconds = bench, stream, seconds
        self.error = None
        self.hurry = False  # set: the rest is fed at once
        self.fed = 0

    def feed(self, part):
        """Sends one piece. A broker that was killed just now may take long to come back on a busy machine: `feed` says so
        before it sends anything, and is called again."""
        end = time.monotonic() + 90
        while True:
            self.bench.serves.wait()
            done = self.bench.run(self.bench.muster, "feed", "--config", self.bench.settings, "--send-rejected", part, check=False)
            if done.returncode in (0, 1):  # a broken line is a finding (exit 1), not a fault: bad lines are sent on purpose
                return
            if done.returncode != 3 or "feed: kafka topic" not in done.stderr or time.monotonic() > end:
                raise Failure("feed: exit %d\n%s" % (done.returncode, done.stderr[-1000:]))

    def run(self):
        try:
            with open(self.stream) as file:
                lines = file.read().splitlines(True)
            pieces = max(1, min(len(lines), int(self.seconds)))
            size = (len(lines) + pieces - 1) // pieces
            begin = time.monotonic()
            for piece in range(pieces):
                part = os.path.join(self.bench.home, "piece.ndjson")
                with open(part, "w") as out:
                    out.writelines(lines[piece * size:(piece + 1) * size])
                self.feed(part)
                self.fed += len(lines[piece * size:(piece + 1) * size])
                while not self.hurry and time.monotonic() < begin + (piece + 1) * self.seconds / pieces:
                    time.sleep(0.05)
        except Exception as fault:  # reported by the main thread
            self.error = fault


# --- what must hold at the end ---

def is_live(engine):
    """Only then the log holds all that PostgreSQL does: what a killed engine committed before it was logged is fetched again."""
    with open(engine.log) as log:
        return '"event":"live"' in log.read()


def drain(bench, total):
    """A last engine works until all messages have positions, and ends when told to."""
    engine = bench.engine("last")
    deadline = time.monotonic() + 120
    while bench.positions() < total or not is_live(engine):
        if engine.poll() is not None:
            raise Failure("the last engine ended with %d; see %s" % (engine.returncode, engine.log))
        if time.monotonic() > deadline:
            raise Failure("not drained after 120 s: positions sum to %d of %d" % (bench.positions(), total))
        time.sleep(0.3)
    engine.terminate()
    if engine.wait(timeout=30) != 0:
        raise Failure("SIGTERM: exit %d instead of 0" % engine.returncode)


def replay(bench, log=None):
    """Alerts, hits and positions of a one-thread replay of the log."""
    out = {name: os.path.join(bench.home, "replay-%s.ndjson" % name) for name in ("alerts", "hits", "positions")}
    bench.run(bench.muster, "replay", "--config", bench.settings, "--log", log or os.path.join(bench.home, "log"), "--threads", "1",
              *[word for name, path in out.items() for word in ("--" + name, path)])
    return [ndjson(path) for path in out.values()]


def same_rows(bench, checks, log=None):
    """PostgreSQL against a one-thread replay, row by row; returns where the log's events came from."""
    alerts, hits, positions = replay(bench, log)
    rows = bench.query("select encode(alert_id, 'hex'), revision, seq, score_milli, roles from muster.alert_revision")
    checks.same("alert revisions", {tuple(r) for r in rows},
                {(a["alert_id"], str(a["revision"]), str(a["seq"]), str(a["score_milli"]), str(a["roles_mask"])) for a in alerts})
    checks.hold("no alert revision is doubled", len(rows) == len(alerts), "%d rows, %d replayed" % (len(rows), len(alerts)))
    rows = bench.query("select seq, rule_id, say from muster.hit")
    replayed = [(str(h["seq"]), h["rule_id"], h["say"]) for h in hits if not h["shadow"]]
    checks.same("stored hits", {tuple(r) for r in rows}, set(replayed))
    checks.hold("no hit is doubled", len(rows) == len(replayed), "%d rows, %d replayed" % (len(rows), len(replayed)))
    return positions


def compare(bench, checks, stream, log=None):
    outcomes(bench, checks, stream, same_rows(bench, checks, log))
    poison = bench.query("select count(*) from muster.rejection where reason = 'POISON'")
    checks.hold("no innocent record was taken for poison", poison == [["0"]], str(poison))


def outcomes(bench, checks, stream, positions):
    """Which outcome each fed line must have is told by an independent reading of the stream."""
    logged = {(r["topic"], r["partition"], r["offset"]) for r in positions}
    rejected = {(r[0], int(r[1]), int(r[2])) for r in bench.query("select topic, partition, kafka_offset from muster.rejection")}
    with open(stream) as lines:
        fed = sum(1 for _ in lines)
    ends = {(r[0], int(r[1])): int(r[2]) for r in bench.query("select topic, partition, next_offset from muster.position")}
    everything = {(t, p, o) for (t, p), end in ends.items() for o in range(end)}
    checks.hold("every message fed has a position: %d" % fed, len(everything) == fed, "%d positions" % len(everything))
    checks.hold("no message is logged twice, or both logged and rejected", len(logged) == len(positions) and not (logged & rejected))
    repeated = everything - logged - rejected
    repeats = repeats_of(stream)
    checks.hold("scored + joined + rejected + repeated = fed: %d + %d + %d" % (len(logged), len(rejected), len(repeated)),
                len(repeated) == repeats, "%d repeats in the stream" % repeats)


def repeats_of(stream):
    seen, repeats = {}, 0
    with open(stream, errors="surrogateescape") as lines:
        for line in lines:
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
    return repeats
