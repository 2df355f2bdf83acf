#!/usr/bin/env python3
"""The whole path: feed -> Kafka -> run -> PostgreSQL, held against a one-thread replay of the log.

Starts a private PostgreSQL and the embedded Kafka under build/run-test and feeds one stream in
portions, each under another trouble: a plain run that SIGTERM drains, kill -9 and recovery, the
database away for 5 s, the brokers away for 3 s, a second engine, a zombie, one thread, no checkpoint.
Every portion ends with the same comparison. Ends with `N passed, N failed, N skipped`.

Usage: run_test.py [MUSTER] [--broker mock|real]   real: an Apache Kafka that docker/kafka.py starts"""
import argparse
import json
import os
import re
import random
import shutil
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "docker"))
import kafka  # noqa: E402

OPTIONS = argparse.ArgumentParser()
OPTIONS.add_argument("muster", nargs="?", default=os.path.join(TOP, "build", "muster"))
OPTIONS.add_argument("--broker", choices=("mock", "real"), default="mock")
OPTIONS = OPTIONS.parse_args()
MUSTER = os.path.abspath(OPTIONS.muster)
HOME = os.path.join(TOP, "build", "run-test" + ("-kafka" if OPTIONS.broker == "real" else ""))
TOPICS = [("payments.a", "bank-a"), ("payments.b", "bank-b")]
FACTS = [("facts.band", "registry")]
PARTITIONS = 3
PORTION = 6000
os.environ.setdefault("TSAN_OPTIONS", "halt_on_error=1:exitcode=66:suppressions=" + os.path.join(TOP, "tests", "tsan.supp"))


class Failure(Exception):
    pass


def command(*words, codes=(0,), **more):
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, **more)
    if done.returncode not in codes:
        raise Failure("%s: exit %d\n%s%s" % (" ".join(words), done.returncode, done.stdout[-1000:], done.stderr[-1000:]))
    return done.stdout


def wait_for(what, seconds, true):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise Failure("%s: not within %d s" % (what, seconds))
        time.sleep(0.05)


class Stream:
    """Payments of two banks with repeats, second reports, reused ids and nonsense, in order of time."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.time_ms = 1772323200000
        self.number = 0
        self.old = []

    def event(self):
        chance = self.chance
        self.number += 1
        self.time_ms += chance.randrange(2000)
        time_ms = self.time_ms - chance.choice([0, 0, 0, 0, 3000, 60000, 26 * 3600 * 1000])
        sender, receiver = chance.sample(range(300), 2)
        event = {"id": "e%d" % self.number, "source": chance.choice(TOPICS)[1],
                 "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ms // 1000)) + ".%03dZ" % (time_ms % 1000),
                 "kind": "TRANSFER", "status": "SETTLED", "channel": "WALLET", "currency": "USD",
                 "amount": "%d.%02d" % (chance.randrange(1, 900), chance.randrange(100)),
                 "sender": {"account": "A%d" % sender}, "receiver": {"account": "A%d" % receiver}}
        if chance.random() < 0.2:
            event["purpose"] = "SALA"
        if chance.random() < 0.1:
            event["end_to_end"] = "u%d" % self.number
        self.old = (self.old + [event])[-200:]
        return event

    def fact(self):
        """Valid from some day before, now and then after, and corrected or withdrawn like any other."""
        chance = self.chance
        day = self.time_ms // 86400000 + chance.randrange(-40, 3)
        fact = {"source": FACTS[0][1], "fact": "band", "subject": "A%d" % chance.randrange(300),
                "valid_from": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(day * 86400)),
                "fields": {"monthly": "%d.00 USD" % chance.randrange(100, 900), "since": "2020-01-01"}}
        if chance.random() < 0.1:
            fact["withdrawn"] = True
        return json.dumps(fact)

    def line(self):
        roll, chance = self.chance.random(), self.chance
        if roll > 0.95:
            return self.fact()
        if roll < 0.02 or not self.old:
            return "nonsense %d" % chance.randrange(1000) if self.old else json.dumps(self.event())
        if roll < 0.05:
            return json.dumps(chance.choice(self.old))
        if roll < 0.06:
            return json.dumps(dict(chance.choice(self.old), amount="1.00"))
        if roll < 0.08:
            first = chance.choice(self.old)
            if "end_to_end" in first:
                self.number += 1
                bank = [b for _, b in TOPICS if b != first["source"]][0]
                return json.dumps(dict(first, id="j%d" % self.number, source=bank))
        return json.dumps(self.event())

    def portion(self, count):
        return [self.line() for _ in range(count)]


class MockBroker:
    """librdkafka's mock cluster, in a process of its own."""

    def __init__(self):
        address = os.path.join(HOME, "kafka")
        topics = [word for topic, _ in TOPICS + FACTS for word in ("--topic", "%s:%d" % (topic, PARTITIONS))]
        self.process = subprocess.Popen([MUSTER, "mock-kafka", "--port-file", address] + topics, stdout=subprocess.DEVNULL)
        wait_for("Kafka", 20, lambda: os.path.exists(address))
        self.address = open(address).read().strip()

    def away(self):
        self.process.send_signal(signal.SIGUSR1)

    def back(self):
        self.process.send_signal(signal.SIGUSR2)

    def stop(self):
        self.process.kill()
        self.process.wait()


class RealBroker:
    """Apache Kafka; away means killed."""

    def __init__(self):
        self.cluster = kafka.Cluster(os.path.join(HOME, "kafka")).start()
        self.address = self.cluster.address()
        for topic, _ in TOPICS + FACTS:
            self.cluster.topic(topic, PARTITIONS)

    def away(self):
        self.cluster.stop(kill=True)

    def back(self):
        self.cluster.start()

    def stop(self):
        self.cluster.stop(kill=True)


class World:
    """The servers and engines of this test; ends only what it started."""

    def __init__(self):
        self.kafka, self.engines, self.fed, self.passed, self.failed = None, [], 0, 0, 0
        self.settings = os.path.join(HOME, "muster.yaml")
        self.stream = Stream(7)

    def postgres(self, verb):
        # its output goes to a file: the server would hold a pipe open
        with open(os.path.join(HOME, "postgres.out"), "a+") as out:
            begin = out.tell()
            done = subprocess.run(["docker/postgres.sh", verb, os.path.join(HOME, "postgres")], cwd=TOP, stdout=out, stderr=out)
            out.seek(begin)
            text = out.read()
        if done.returncode:
            raise Failure("postgres %s: %s" % (verb, text[-500:]))
        return text.strip()

    def query(self, sql):
        text = command("psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-d", self.dsn, "-c", sql)
        return [tuple(line.split("\x1f")) for line in text.splitlines() if line]

    def start(self):
        shutil.rmtree(HOME, ignore_errors=True)
        os.makedirs(HOME)
        self.postgres("start")
        self.dsn = self.postgres("dsn")
        self.kafka = RealBroker() if OPTIONS.broker == "real" else MockBroker()
        with open(self.settings, "w") as out:
            out.write("kafka_brokers: \"%s\"\nkafka_topics:\n" % self.kafka.address)
            out.writelines("  %s: %s\n" % pair for pair in TOPICS)
            out.write("kafka_fact_topics:\n")
            out.writelines("  %s: %s\n" % pair for pair in FACTS)
            out.write("postgres_dsn: \"%s\"\nrules_dir: tests/data/run\n" % self.dsn)
            for name, folder in (("state_dir", "state"), ("log_dir", "log"), ("log_key_dir", "keys"), ("master_key_file", "master.key")):
                out.write("%s: %s\n" % (name, os.path.join(HOME, folder)))
            out.write("threads: 2\nhttp_port: -1\ncheckpoint_every_s: 1\nlease_ms: 1500\nbatch_max: 500\n")
        command(MUSTER, "db", "migrate", "--config", self.settings)

    def stop(self):
        for process in self.engines:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        if self.kafka:
            self.kafka.stop()
        try:
            self.postgres("stop")
        except Failure:
            pass

    def engine(self, *words):
        log = open(os.path.join(HOME, "engine-%d.log" % len(self.engines)), "w")
        self.engines.append(subprocess.Popen([MUSTER, "run", "--config", self.settings] + list(words), cwd=TOP, stderr=log))
        self.engines[-1].log = log.name
        return self.engines[-1]

    def feed(self, count=PORTION):
        part = os.path.join(HOME, "part.ndjson")
        with open(part, "w") as out:
            out.writelines(line + "\n" for line in self.stream.portion(count))
        command(MUSTER, "feed", "--config", self.settings, "--quiet", "--send-rejected", part, codes=(0, 1))
        self.fed += count

    def positions(self):
        return int(self.query("select coalesce(sum(next_offset), 0) from muster.position")[0][0])

    def drained(self, engine):
        if engine.poll() is not None:
            raise Failure("the engine ended with %d: %s" % (engine.returncode, open(engine.log).read()[-600:]))
        return self.positions() >= self.fed

    def drain(self, engine):
        wait_for("the engine has scored all", 60, lambda: self.drained(engine))

    def end(self, engine):
        engine.terminate()
        code = engine.wait(timeout=30)
        if code:
            raise Failure("SIGTERM: exit %d: %s" % (code, open(engine.log).read()[-600:]))

    def says(self, engine, event):
        return any(json.loads(line)["event"] == event for line in open(engine.log) if line.startswith("{"))

    # --- what must hold after every portion ---

    def check(self, what, good, detail=""):
        self.passed += bool(good)
        self.failed += not good
        print("%s %s%s" % ("ok    " if good else "FAILED", what, ": " + str(detail) if detail and not good else ""), flush=True)

    def replay(self):
        out = {name: os.path.join(HOME, name) for name in ("alerts", "hits", "positions")}
        command(MUSTER, "replay", "--quiet", "--threads", "1", "--config", self.settings, "--log", os.path.join(HOME, "log"),
                *[word for name, path in out.items() for word in ("--" + name, path)])
        return [[json.loads(line) for line in open(out[name])] for name in ("alerts", "hits", "positions")]

    def backtest(self, what, alerts, hits):
        """The log as a recorded stream, the engine's own rules beside themselves."""
        out = command(MUSTER, "rules", "backtest", "tests/data/run", "--against", "tests/data/run", "--config", self.settings, "--log", os.path.join(HOME, "log"), "--json")
        found = json.loads(out)
        against, begun = found["against"], sum(alert["revision"] == 1 for alert in alerts)
        counts = [(side["alerts"], side["hits"]) for side in (found, against)]
        self.check("%s: a back-test over the log counts the same" % what, counts == [(begun, len(hits))] * 2 and against["same"] == begun, counts)

    def compare(self, what):
        alerts, hits, positions = self.replay()
        expected = sorted((a["alert_id"], str(a["revision"]), str(a["seq"]), str(a["score_milli"]), str(a["roles_mask"]), a["reason"])
                          for a in alerts)
        stored = sorted(self.query("select encode(alert_id, 'hex'), revision, seq, score_milli, roles, reason from muster.alert_revision"))
        self.check("%s: %d alert revisions as replayed" % (what, len(stored)), stored == expected and stored,
                   "%d expected" % len(expected))
        expected = sorted((str(h["seq"]), h["rule_id"], h["source"], h["event_id"], h["say"]) for h in hits if not h["shadow"])
        stored = sorted(self.query("select seq, rule_id, source, event_id, say from muster.hit"))
        self.check("%s: %d hits as replayed" % (what, len(stored)), stored == expected and stored, "%d expected" % len(expected))
        self.backtest(what, alerts, hits)
        self.account(what, positions)

        open_bytes = self.query("select count(*) from muster.rejection where sealed_day is null or length(body) <> least(body_size, 4096) + 40")
        self.check("%s: rejected bytes are sealed" % what, [list(row) for row in open_bytes] == [["0"]], str(open_bytes))
        self.show_rejection(what)
        kept = self.query("select kind, array_agg(distinct round(extract(epoch from expires_at - now()) / 86400)) from ("
                          "select 'alert' kind, expires_at from muster.alert union all select 'hit', expires_at from muster.hit union all "
                          "select 'rejection', expires_at from muster.rejection union all select 'revision', expires_at from muster.alert_revision"
                          ") x group by 1 order by 1")
        self.check("%s: each kind is kept as long as the settings say" % what, [list(row) for row in kept] ==
                   [["alert", "{1826}"], ["hit", "{1826}"], ["rejection", "{90}"], ["revision", "{1826}"]], str(kept))

    def show_rejection(self, what):
        place = self.query("select topic, partition, kafka_offset from muster.rejection where body_size between 10 and 4096 order by 1, 2, 3 limit 1")[0]
        sizes = self.query("select body_size from muster.rejection where (topic, partition, kafka_offset) = ('%s', %s, %s)" % place)[0]
        words = [MUSTER, "rejections", "show", "--config", self.settings, *place]
        done = subprocess.run(words, cwd=TOP, capture_output=True, text=True)
        clear = re.sub(r"\\x[0-9a-f]{2}", ".", done.stdout.split("as stored:\n")[-1])
        self.check("%s: the day's key opens them" % what, done.returncode == 0 and len(clear) == int(sizes[0]) + 1, done.stdout + done.stderr)
        keys = os.path.join(HOME, "keys", "sealed")
        os.rename(keys, keys + ".away")
        done = subprocess.run(words, cwd=TOP, capture_output=True, text=True)
        self.check("%s: nobody reads them without it" % what, done.returncode == 3 and "is not there" in done.stderr, done.stdout + done.stderr)
        shutil.rmtree(keys)
        os.rename(keys + ".away", keys)

    def account(self, what, logged):
        accepted = {(r["topic"], r["partition"], r["offset"]) for r in logged}
        rejected = {(t, int(p), int(o)) for t, p, o in self.query("select topic, partition, kafka_offset from muster.rejection")}
        every = self.positions()
        repeated = every - len(accepted) - len(rejected)
        whole = every == self.fed and len(accepted) == len(logged) and not accepted & rejected and repeated > 0
        self.check("%s: %d fed = %d accepted + %d rejected + %d repeated" % (what, self.fed, len(accepted), len(rejected), repeated),
                   whole, "positions sum to %d" % every)
        told = self.query("select sum(accepted), sum(refused), sum(repeated), sum(gaps) from muster.arrival")[0]
        self.check("%s: what banks are told adds up to the same" % what,
                   told[:3] == (str(len(accepted)), str(len(rejected)), str(repeated)), str(told))


def plain(world):
    world.feed()
    engine = world.engine()
    world.drain(engine)
    world.end(engine)
    world.check("a drained engine leaves a checkpoint", any(f.startswith("checkpoint-") for f in os.listdir(os.path.join(HOME, "state"))))
    world.compare("plain run")


def killed(world):
    engine = world.engine()
    for piece in range(4):
        world.feed(PORTION // 4)
        time.sleep(0.3 + 0.4 * piece)
        engine.kill()
        engine.wait()
        engine = world.engine()
    world.drain(engine)
    world.end(engine)
    world.compare("kill -9")


def database_away(world):
    engine = world.engine()
    world.feed(PORTION // 2)
    world.drain(engine)
    world.postgres("kill")
    world.feed(PORTION // 2)
    time.sleep(5)
    world.check("without its database the engine waits and says so", engine.poll() is None and world.says(engine, "sink_away"))
    world.postgres("start")
    world.drain(engine)
    world.check("and says when it is back", world.says(engine, "sink_back"))
    world.end(engine)
    world.compare("database away")


def brokers_away(world):
    engine = world.engine()
    world.feed(PORTION // 2)
    world.drain(engine)
    world.kafka.away()
    time.sleep(3)
    world.check("without its brokers the engine waits and says so", engine.poll() is None and world.says(engine, "source_away"))
    world.kafka.back()
    world.feed(PORTION // 2)
    world.drain(engine)
    world.end(engine)
    world.compare("brokers away")


def two_engines(world):
    first = world.engine()
    wait_for("the first engine is live", 20, lambda: world.says(first, "live"))
    second = world.engine()
    world.feed()
    world.drain(first)
    world.check("a second engine waits", second.poll() is None and not world.says(second, "live"))
    world.end(first)
    wait_for("the second engine is live", 20, lambda: world.says(second, "live"))
    world.feed(PORTION // 2)
    world.drain(second)
    second.send_signal(signal.SIGSTOP)
    third = world.engine()
    wait_for("the third engine is live", 20, lambda: world.says(third, "live"))
    second.send_signal(signal.SIGCONT)
    world.feed(PORTION // 2)
    world.check("an engine stopped beyond its lease leaves with exit 4", second.wait(timeout=20) == 4, second.returncode)
    world.drain(third)
    world.end(third)
    world.compare("two engines")


def one_thread(world):
    world.feed(PORTION // 2)
    engine = world.engine("--set", "threads=1")
    world.drain(engine)
    engine.kill()
    engine.wait()
    world.feed(PORTION // 2)
    engine = world.engine("--set", "threads=1")
    world.drain(engine)
    world.end(engine)
    world.compare("one thread")


def without_checkpoint(world):
    shutil.rmtree(os.path.join(HOME, "state"))
    world.feed()
    engine = world.engine("--set", "threads=3")
    world.drain(engine)
    world.end(engine)
    world.check("state is rebuilt from the log", world.says(engine, "recovered"))
    world.compare("without a checkpoint")


def main():
    world = World()
    try:
        if OPTIONS.broker == "real":
            kafka.fetch()
        world.start()
        for trouble in (plain, killed, database_away, brokers_away, two_engines, one_thread, without_checkpoint):
            trouble(world)
    except kafka.Unavailable as why:
        print("skipped: %s\n0 passed, 0 failed, 1 skipped" % why)
        return 0
    except (Failure, RuntimeError) as fault:
        world.check("the test itself", False, fault)
    finally:
        world.stop()
    print("%d passed, %d failed, 0 skipped" % (world.passed, world.failed))
    return 1 if world.failed else 0


if __name__ == "__main__":
    sys.exit(main())
