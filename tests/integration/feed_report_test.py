#!/usr/bin/env python3
"""`muster feed-report`: its three forms against tests/data/feed, after a stream through Kafka and the engine in
which rules fire; that nothing of alerts is in them; and that the role it speaks as cannot read alerts.
Ends with `N passed, N failed, N skipped`. With --write the golden files are written anew: read them after."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUSTER = os.path.join(TOP, "build", "muster")
HOME = os.path.join(TOP, "build", "feed-report-test")
GOLDEN = os.path.join(TOP, "tests", "data", "feed")
DAY = "2026-03-09"


class Tally:
    passed = failed = skipped = 0

    def hold(self, what, ok, why=""):
        self.passed += bool(ok)
        self.failed += not ok
        print("%s %s%s" % ("ok    " if ok else "FAILED", what, "" if ok else ": %s" % (why,)), flush=True)


def command(*words, codes=(0,)):
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    if done.returncode not in codes:
        raise RuntimeError("%s: exit %d: %s" % (" ".join(words[:4]), done.returncode, done.stderr[-800:]))
    return done.stdout


def event(number, day, hour, **more):
    body = {"id": "e%d" % number, "source": "bank-a", "time": "2026-03-%02dT%02d:%02d:00Z" % (day, hour, number % 60), "currency": "USD", "amount": "900.00",
            "sender": {"account": "CANARY%d" % (number % 9), "party": "P%d" % number}, "receiver": {"account": "SUBJECT-CANARY"}}
    body.update(more)
    return body


def stream():
    """Eight days; on the last: a channel given by half, refusals, repeats, a night of silence. Collecting fires IN-01."""
    number = 0
    for day in range(2, 10):
        for hour in (8, 9, 12, 15, 21):
            for _ in range(3 + day % 3):
                number += 1
                more = {"channel": "WALLET"} if number % 2 else {"narrative": "rent", "purpose": "SALA", "valueDate": "2026-03-09"}
                last = event(number, day, hour, **more)
                yield last
                if (day, hour) == (9, 12):
                    yield last  # sent again
        if day == 9:
            yield dict(last, amount="1.00")
            yield event(9001, 9, 21, currency="USX")
            yield event(9002, 9, 21, currency="USX")
            yield event(9003, 9, 21, amount=5)
    yield event(9004, 10, 0)
    yield event(9005, 10, 0, currency="USX")
    yield event(9006, 9, 23)


class World:
    def __init__(self):
        self.processes, self.postgres, self.topics = [], os.path.join(HOME, "postgres"), []

    def cluster(self, verb):
        with open(os.path.join(HOME, "postgres.out"), "w+") as out:
            subprocess.run(["docker/postgres.sh", verb, self.postgres], cwd=TOP, stdout=out, stderr=out, check=True)
            out.seek(0)
            return out.read().strip()

    def query(self, sql, codes=(0,)):
        return command("psql", "-X", "-q", "-A", "-t", "-d", self.dsn, "-c", sql, codes=codes).strip()

    def start(self):
        self.cluster("start")
        self.dsn = self.cluster("dsn")
        port = os.path.join(HOME, "kafka")
        self.processes.append(subprocess.Popen([MUSTER, "mock-kafka", "--port-file", port, "--topic", "payments.a:1", "--topic", "facts.band:1"] +
                                               [word for topic in self.topics for word in ("--topic", topic)], stdout=subprocess.DEVNULL))
        wait_for("Kafka", lambda: os.path.exists(port))
        self.settings = os.path.join(HOME, "muster.yaml")
        with open(self.settings, "w") as out:
            self.brokers = open(port).read().strip()
            out.write("kafka_brokers: \"%s\"\nkafka_topics:\n  payments.a: bank-a\npostgres_dsn: \"%s\"\nrules_dir: tests/data/run\n" % (self.brokers, self.dsn))
            out.write("kafka_fact_topics:\n  facts.band: bank-a\n")
            for name, folder in (("state_dir", "state"), ("log_dir", "log"), ("log_key_dir", "keys"), ("master_key_file", "master.key")):
                out.write("%s: %s\n" % (name, os.path.join(HOME, folder)))
            out.write("threads: 2\nhttp_port: -1\n")
        command(MUSTER, "db", "migrate", "--config", self.settings)

    def run(self, lines):
        path = os.path.join(HOME, "stream.ndjson")
        with open(path, "w") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)
        command(MUSTER, "feed", "--config", self.settings, "--quiet", "--send-rejected", "--topic", "payments.a", "--source", "bank-a", "--timestamps", "event",
                "--heartbeat", path, codes=(0, 1))
        engine = subprocess.Popen([MUSTER, "run", "--config", self.settings], cwd=TOP, stderr=open(os.path.join(HOME, "engine.log"), "w"))
        self.processes.append(engine)
        wait_for("all messages", lambda: self.query("select coalesce(sum(next_offset), 0) from muster.position") == str(len(lines) + 1))
        engine.terminate()
        engine.wait(timeout=30)

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.wait()
        self.cluster("stop")


def wait_for(what, true):
    end = time.monotonic() + 40
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("%s: not within 40 s" % what)
        time.sleep(0.1)


def hold_forms(tally, world, write):
    forms = {}
    for form in ("text", "json", "html"):
        forms[form] = command(MUSTER, "feed-report", "--config", world.settings, "--source", "bank-a", "--day", DAY, "--format", form)
        path = os.path.join(GOLDEN, "report." + form)
        if write:
            open(path, "w").write(forms[form])
        wanted = open(path).read() if os.path.exists(path) else ""
        tally.hold("the %s is as kept" % form, forms[form] == wanted, forms[form][:1500])
    html = forms["html"]
    tally.hold("the page stands alone: no script, no address", not re.search(r"<script|https?://|src=|@import|url\(|\son\w+=", html))
    tally.hold("the page takes light, dark and narrow", all(word in html for word in ("prefers-color-scheme: dark", "viewport", "auto-fit")))
    return forms


def hold_silence(tally, world, forms):
    """Canaries: subjects, rules and typologies of what fired, and words that would speak of it."""
    fired = world.query("select count(*) from muster.alert")
    tally.hold("rules fired in this stream", int(fired) > 0, fired)
    words = set(world.query("select distinct rule_id from muster.hit union select typology from muster.alert union select title from muster.alert "
                            "union select subject from muster.alert union select encode(alert_id, 'hex') from muster.alert").splitlines())
    words |= {"CANARY", "alert", "suspic", "score", "typolog", "rule", "hit ", "subject", "indicator", "launder"}
    for form, text in forms.items():
        tally.hold("the %s says nothing of alerts" % form, not [word for word in words if word and word.lower() in text.lower()],
                   [word for word in words if word and word.lower() in text.lower()])
    tables = world.query("select table_name from information_schema.tables where table_schema = 'muster'").splitlines()
    readable = []
    for table in tables:
        done = subprocess.run(["psql", "-X", "-q", "-d", world.dsn, "-c", "set role muster_feed; select * from muster.%s limit 1" % table], capture_output=True)
        readable += [table] if done.returncode == 0 else []
    tally.hold("the role reads arrivals, positions and marks whole, and nothing of alerts", sorted(readable) == ["arrival", "dead_letter", "position"] and len(tables) > 8, readable)
    done = subprocess.run(["psql", "-X", "-q", "-d", world.dsn, "-c", "set role muster_feed; select body from muster.rejection"], capture_output=True)
    tally.hold("nor the bytes of refusals", done.returncode != 0)


def main():
    tally, world = Tally(), World()
    shutil.rmtree(HOME, ignore_errors=True)
    os.makedirs(HOME)
    try:
        world.start()
        world.run(list(stream()))
        forms = hold_forms(tally, world, "--write" in sys.argv)
        hold_silence(tally, world, forms)
    finally:
        world.stop()
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
