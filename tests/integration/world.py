"""What tests of the whole path share: a stream of payments and facts, and a world to run it in: a private
PostgreSQL, settings, engines, a feeder, and what must hold whenever an engine has drained.

A world lives in one folder under build/ and ends only what it started. The broker is the caller's."""
import json
import os
import random
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests"))
from testbed import Failure, command, end_process, notices, wait_for  # noqa: E402,F401

os.environ.setdefault("TSAN_OPTIONS", "halt_on_error=1:exitcode=66:suppressions=" + os.path.join(TOP, "tests", "tsan.supp"))


class Stream:
    """Payments of two banks with repeats, second reports, reused ids and nonsense, in order of time."""

    def __init__(self, seed, topics, facts):
        """topics, facts: pairs of a topic and who feeds it"""
        self.banks, self.offices = [bank for _, bank in topics], [office for _, office in facts]
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
        event = {"id": "e%d" % self.number, "source": chance.choice(self.banks),
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
        fact = {"source": self.offices[0], "fact": "band", "subject": "A%d" % chance.randrange(300),
                "valid_from": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(day * 86400)),
                "fields": {"monthly": "%d.00 USD" % chance.randrange(100, 900), "since": "2020-01-01"}}
        if chance.random() < 0.1:
            fact["withdrawn"] = True
        return json.dumps(fact)

    def line(self):
        roll, chance = self.chance.random(), self.chance
        if roll > 0.95 and self.offices:
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
                bank = [b for b in self.banks if b != first["source"]][0]
                return json.dumps(dict(first, id="j%d" % self.number, source=bank))
        return json.dumps(self.event())

    def portion(self, count):
        return [self.line() for _ in range(count)]


class World:
    """PostgreSQL and the engines of one test."""

    def __init__(self, home, muster, topics, facts, seed=7):
        self.home, self.muster, self.topics, self.facts = home, muster, topics, facts
        self.engines, self.fed, self.passed, self.failed = [], 0, 0, 0
        self.settings = os.path.join(home, "muster.yaml")
        self.stream = Stream(seed, topics, facts)

    def postgres(self, verb):
        # its output goes to a file: the server would hold a pipe open
        with open(os.path.join(self.home, "postgres.out"), "a+") as out:
            begin = out.tell()
            done = subprocess.run(["docker/postgres.sh", verb, os.path.join(self.home, "postgres")], cwd=TOP, stdout=out, stderr=out)
            out.seek(begin)
            text = out.read()
        if done.returncode:
            raise Failure("postgres %s: %s" % (verb, text[-500:]))
        return text.strip()

    def query(self, sql):
        text = command("psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-d", self.dsn, "-c", sql)
        return [tuple(line.split("\x1f")) for line in text.splitlines() if line]

    def start(self):
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        self.postgres("start")
        self.dsn = self.postgres("dsn")

    def configure(self, address):
        """The settings of an engine that reads the topics from the brokers at `address`, and the schema."""
        with open(self.settings, "w") as out:
            out.write("kafka_brokers: \"%s\"\nkafka_topics:\n" % address)
            out.writelines("  %s: %s\n" % pair for pair in self.topics)
            if self.facts:
                out.write("kafka_fact_topics:\n")
            out.writelines("  %s: %s\n" % pair for pair in self.facts)
            out.write("postgres_dsn: \"%s\"\nrules_dir: tests/data/run\n" % self.dsn)
            for name, folder in (("state_dir", "state"), ("log_dir", "log"), ("log_key_dir", "keys"), ("master_key_file", "master.key")):
                out.write("%s: %s\n" % (name, os.path.join(self.home, folder)))
            out.write("threads: 2\nhttp_port: -1\ncheckpoint_every_s: 1\nlease_ms: 1500\nbatch_max: 500\n")
        command(self.muster, "db", "migrate", "--config", self.settings)

    def stop(self):
        for process in self.engines:
            end_process(process)
        try:
            self.postgres("stop")
        except Failure:
            pass

    def engine(self, *words, settings=None):
        log = open(os.path.join(self.home, "engine-%d.log" % len(self.engines)), "w")
        self.engines.append(subprocess.Popen([self.muster, "run", "--config", settings or self.settings] + list(words), cwd=TOP, stderr=log))
        self.engines[-1].log = log.name
        return self.engines[-1]

    def feed(self, count):
        self.send(self.stream.portion(count))

    def send(self, lines, *words):
        part = os.path.join(self.home, "part.ndjson")
        with open(part, "w") as out:
            out.writelines(line + "\n" for line in lines)
        # a line that is refused is a finding (exit 1), not a fault: such lines are sent on purpose
        command(self.muster, "feed", "--config", self.settings, "--quiet", "--send-rejected", *words, part, codes=(0, 1))
        self.fed += len(lines)

    def positions(self):
        return int(self.query("select coalesce(sum(next_offset), 0) from muster.position")[0][0])

    def drained(self, engine):
        if engine.poll() is not None:
            raise Failure("the engine ended with %d: %s" % (engine.returncode, open(engine.log).read()[-600:]))
        # live, or the log may lack what the engine before committed and did not log: it is fetched again by then
        return self.says(engine, "live") and self.positions() >= self.fed

    def drain(self, engine):
        wait_for("the engine has scored all", 60, lambda: self.drained(engine))

    def end(self, engine):
        engine.terminate()
        code = engine.wait(timeout=30)
        if code:
            raise Failure("SIGTERM: exit %d: %s" % (code, open(engine.log).read()[-600:]))

    def says(self, engine, event):
        return bool(notices(engine, event))

    # --- what must hold after every portion ---

    def check(self, what, good, detail=""):
        self.passed += bool(good)
        self.failed += not good
        print("%s %s%s" % ("ok    " if good else "FAILED", what, ": " + str(detail) if detail and not good else ""), flush=True)

    def replay(self):
        out = {name: os.path.join(self.home, name) for name in ("alerts", "hits", "positions")}
        command(self.muster, "replay", "--quiet", "--threads", "1", "--config", self.settings, "--log", os.path.join(self.home, "log"),
                *[word for name, path in out.items() for word in ("--" + name, path)])
        return [[json.loads(line) for line in open(out[name])] for name in ("alerts", "hits", "positions")]

    def explain_alert(self):
        """An alert's row leads to its explanation: from the log, with every hit that formed it and one event of it."""
        alerts, hits, _ = self.replay()
        alert_id = self.query("select encode(alert_id, 'hex') from muster.alert_revision where revision = 1 order by seq limit 1")[0][0]
        formed = next(a["formed_by"] for a in alerts if a["alert_id"] == alert_id and a["revision"] == 1)
        explain = (self.muster, "rules", "explain", "tests/data/run", "--config", self.settings, "--log", os.path.join(self.home, "log"), "--unmask")
        text = command(*explain, "--alert", alert_id)
        told = [h for h in hits if h["seq"] in formed and 'says "%s"' % h["say"] in text]
        self.check("an alert explained from the log", text.count(": hit") == len(formed) <= len(told), text[:300])
        text = command(*explain, "--event", "%s/%s" % (told[0]["source"], told[0]["event_id"])) if told else ""
        self.check("its event explained from the log", told and 'says "%s"' % told[0]["say"] in text, text[:300])
        done = subprocess.run([*explain, "--event", "bank-a/nobody"], cwd=TOP, capture_output=True, text=True)
        self.check("an event that the log may not have yet", done.returncode == 1 and "log_wait_ms: try once more" in done.stderr, done.stderr)

    def compare_outputs(self, what):
        """Alerts and hits in PostgreSQL are those of a one-thread replay of the log; returns what the log holds."""
        alerts, hits, positions = self.replay()
        expected = sorted((a["alert_id"], str(a["revision"]), str(a["seq"]), str(a["score_milli"]), str(a["roles_mask"]), a["reason"])
                          for a in alerts)
        stored = sorted(self.query("select encode(alert_id, 'hex'), revision, seq, score_milli, roles, reason from muster.alert_revision"))
        self.check("%s: %d alert revisions as replayed" % (what, len(stored)), stored == expected and stored,
                   "%d expected" % len(expected))
        expected = sorted((str(h["seq"]), h["rule_id"], h["source"], h["event_id"], h["say"]) for h in hits if not h["shadow"])
        stored = sorted(self.query("select seq, rule_id, source, event_id, say from muster.hit"))
        self.check("%s: %d hits as replayed" % (what, len(stored)), stored == expected and stored, "%d expected" % len(expected))
        return positions
