#!/usr/bin/env python3
"""Avro by a schema registry: what `muster feed` says of each answer, and a topic of framed messages through Kafka and
the engine, with the registry away, gone for good, kill -9, no checkpoint, and a replay.

The registry is a small HTTP server of this test on loopback. Ends with `N passed, N failed, N skipped`."""
import http.server
import json
import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(TOP, "tests")]
import avro_made  # noqa: E402
from testbed import notices  # noqa: E402

MUSTER = os.path.join(TOP, "build", "muster")
HOME = os.path.join(TOP, "build", "avro-test")
TOPIC, PARTITIONS = "payments.a", 2

SIDE = {"type": "record", "name": "Side", "fields": [{"name": "account", "type": "string"}]}
SCHEMA = {"type": "record", "name": "Payment", "fields": [
    {"name": "id", "type": "string"},
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
    {"name": "currency", "type": "string"},
    {"name": "purpose", "type": ["null", "string"]},
    {"name": "sender", "type": SIDE}, {"name": "receiver", "type": "Side"}, {"name": "branch", "type": "int"}]}


class Tally:
    passed = failed = skipped = 0

    def hold(self, what, ok, why=""):
        self.passed += bool(ok)
        self.failed += not ok
        print("%s %s%s" % ("ok    " if ok else "FAILED", what, "" if ok else ": %s" % (why,)), flush=True)

    def skip(self, what, why):
        self.skipped += 1
        print("skipped %s: %s" % (what, why), flush=True)


def command(*words, codes=(0,)):
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    if done.returncode not in codes:
        raise RuntimeError("%s: exit %d: %s" % (" ".join(words[:4]), done.returncode, done.stderr[-800:]))
    return done.stdout


def wait_for(what, seconds, true):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("%s: not within %d s" % (what, seconds))
        time.sleep(0.05)


class Registry:
    """Answers by id; counts what it was asked."""

    def __init__(self, answers, port=0, certificate=None):
        self.asked, self.answers = [], answers
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                registry.asked.append(self.path)
                schema_id = int(self.path.rsplit("/", 1)[1])
                status, headers, body = registry.answers.get(schema_id, (404, {}, b'{"error_code":40403,"message":"Schema not found"}'))
                try:
                    if status == "slow":
                        self.send_response(200)
                        self.end_headers()
                        for _ in range(80):
                            self.wfile.write(b" ")
                            self.wfile.flush()
                            time.sleep(0.1)
                        return
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # the other end has had enough

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = "%s://%s:%d" % ("https" if certificate else "http", "localhost" if certificate else "127.0.0.1", self.port)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def schema_answer(schema, **more):
    return 200, {}, json.dumps({"schema": json.dumps(schema), **more}).encode()


def payment(number, time_ms=1772445600000, **more):
    record = {"id": "e%d" % number, "time": time_ms * 1000, "amount": "12.50", "currency": "USD", "purpose": None,
              "sender": {"account": "A"}, "receiver": {"account": "B"}, "branch": 7}
    record.update(more)
    return record


def message_file(schema_id, record, name="message"):
    path = os.path.join(HOME, name)
    with open(path, "wb") as out:
        out.write(avro_made.framed(schema_id, SCHEMA, record))
    return path


# --- what feed says of each answer ---

def feed(words, *paths):
    begin = time.monotonic()
    done = subprocess.run([MUSTER, "feed", "--print", "--format", words, *paths], cwd=TOP, capture_output=True, text=True, timeout=60,
                          env={**os.environ, "http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"})
    return done.returncode, done.stdout, done.stderr, time.monotonic() - begin


def answers(tally):
    other = Registry({1: schema_answer(SCHEMA)})
    registry = Registry({
        1: schema_answer(SCHEMA), 3: (500, {}, b"oops"), 4: ("slow", {}, b""), 5: (200, {}, b"x" * (3 << 20)), 6: (200, {}, b"<html>not a registry"),
        7: (302, {"Location": other.url + "/schemas/ids/1"}, b""), 8: (404, {}, b"<html>no such page"), 9: schema_answer(SCHEMA, schemaType="PROTOBUF"),
        10: schema_answer(dict(SCHEMA, fields=[{"name": "a", "type": {"type": "array", "items": "nothing"}}])),
        11: schema_answer({"type": "record", "name": "B", "fields": [{"name": "f%d" % i, "type": "int"} for i in range(20000)]}),
    })
    wanted = {1: (0, ""), 2: (1, "SCHEMA_UNKNOWN schema id 2:"), 3: (3, "answers 500"), 4: (3, "Timeout was reached"),
              5: (1, "SCHEMA_REFUSED schema id 5: it is longer than 262144 bytes"), 6: (3, "holds no schema; is the address right?"),
              7: (3, "redirects are not followed"), 8: (3, "answers 404 without saying"), 9: (1, "SCHEMA_REFUSED schema id 9: it is not Avro"),
              10: (1, "it does not define: nothing"), 11: (1, "SCHEMA_REFUSED schema id 11")}
    for schema_id, (code, said) in wanted.items():
        got, out, err, took = feed("avro:registry=%s/" % registry.url, message_file(schema_id, payment(1)))
        tally.hold("schema %d: exit %d, %s" % (schema_id, code, said or "an event"), got == code and said in err, "exit %d, %s%s" % (got, out, err))
        tally.hold("schema %d: within 6 s" % schema_id, took < 6.5, took)
        if schema_id == 1:
            event = json.loads(out)
            tally.hold("the event is the record's", event == {"id": "e1", "time": "2026-03-02T10:00:00.000Z", "amount": "12.5", "currency": "USD",
                                                              "sender": {"account": "A"}, "receiver": {"account": "B"}}, out)
    tally.hold("nobody was redirected", other.asked == [], other.asked)
    paths = [message_file(1, payment(i), "many-%d" % i) for i in range(50)]
    before = len(registry.asked)
    code, out, _, _ = feed("avro:registry=" + registry.url, *paths)
    tally.hold("50 messages ask once", len(out.splitlines()) == 50 and len(registry.asked) == before + 1, len(registry.asked) - before)
    registry.stop()
    code, _, err, _ = feed("avro:registry=" + registry.url, paths[0])
    tally.hold("a registry that is away fails the run, not the message", code == 3 and "the schema registry" in err, err)
    other.stop()


def certificates(tally):
    if not shutil.which("openssl"):
        return tally.skip("https", "openssl is not here")
    key, pem = os.path.join(HOME, "key.pem"), os.path.join(HOME, "cert.pem")
    command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem, "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost")
    registry = Registry({1: schema_answer(SCHEMA)}, certificate=(pem, key))
    path = message_file(1, payment(1))
    code, _, err, _ = feed("avro:registry=" + registry.url, path)
    tally.hold("a certificate that nobody vouches for is refused", code == 3 and "certificate" in err, err)
    code, out, err, _ = feed("avro:registry=%s,ca=%s" % (registry.url, pem), path)
    tally.hold("ca= vouches for it", code == 0 and '"id":"e1"' in out, err)
    code, _, err, _ = feed("avro:registry=https://127.0.0.1:%d,ca=%s" % (registry.port, pem), path)
    tally.hold("another name than the certificate's is refused", code == 3, err)
    registry.stop()


# --- through the engine ---

class World:
    def __init__(self):
        self.processes, self.postgres = [], os.path.join(HOME, "postgres")
        self.settings, self.number, self.sent = os.path.join(HOME, "muster.yaml"), 0, 0
        self.chance = random.Random(5)

    def cluster(self, verb):
        with open(os.path.join(HOME, "postgres.out"), "w+") as out:
            subprocess.run(["docker/postgres.sh", verb, self.postgres], cwd=TOP, stdout=out, stderr=out, check=True)
            out.seek(0)
            return out.read().strip()

    def query(self, sql):
        return command("psql", "-X", "-q", "-A", "-t", "-F", "|", "-d", self.dsn, "-c", sql).split()

    def start(self, registry):
        self.cluster("start")
        self.dsn = self.cluster("dsn")
        port = os.path.join(HOME, "kafka")
        self.processes.append(subprocess.Popen([MUSTER, "mock-kafka", "--port-file", port, "--topic", "%s:%d" % (TOPIC, PARTITIONS), "--topic",
                                                "facts.band:1"], stdout=subprocess.DEVNULL))
        wait_for("Kafka", 20, lambda: os.path.exists(port))
        self.brokers = open(port).read().strip()
        with open(self.settings, "w") as out:
            out.write("kafka_brokers: \"%s\"\nkafka_topics:\n  %s: bank-a\nkafka_formats:\n  %s: avro:registry=%s\n" %
                      (self.brokers, TOPIC, TOPIC, registry))
            out.write("kafka_fact_topics:\n  facts.band: registry\npostgres_dsn: \"%s\"\nrules_dir: tests/data/run\n" % self.dsn)
            for name, folder in (("state_dir", "state"), ("log_dir", "log"), ("log_key_dir", "keys"), ("master_key_file", "master.key")):
                out.write("%s: %s\n" % (name, os.path.join(HOME, folder)))
            out.write("threads: 2\nhttp_port: -1\ncheckpoint_every_s: 1\nlease_ms: 1500\nbatch_max: 4096\n")
        command(MUSTER, "db", "migrate", "--config", self.settings)

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.cluster("stop")

    def engine(self):
        log = open(os.path.join(HOME, "engine-%d.log" % len(self.processes)), "w")
        engine = subprocess.Popen([MUSTER, "run", "--config", self.settings], cwd=TOP, stderr=log)
        engine.log = log.name
        self.processes.append(engine)
        return engine

    def says(self, engine, event, text=""):
        return any(text in notice["text"] for notice in notices(engine, event))

    def send(self, schema_id, count):
        """Wages of several employers into few accounts, so that rules fire; each a message of its own."""
        paths = []
        for _ in range(count):
            self.number += 1
            record = payment(self.number, 1772445600000 + self.number * 20000, amount="%d.%02d" % (self.chance.randrange(400, 900), self.number % 100),
                             purpose="SALA" if self.chance.random() < 0.3 else None, sender={"account": "A%d" % self.chance.randrange(40)},
                             receiver={"account": "B%d" % self.chance.randrange(6)})
            paths.append(message_file(schema_id, record, "m%d" % self.number))
        for at in range(0, len(paths), 200):
            # feed checks by a folder: the registry may be away
            command(MUSTER, "feed", "--quiet", "--raw", "--send-rejected", "--brokers", self.brokers, "--topic", TOPIC, "--format",
                    "avro:folder=" + os.path.join(HOME, "folder"), *paths[at:at + 200], codes=(0, 1))
        self.sent += count

    def positions(self):
        return int(self.query("select coalesce(sum(next_offset), 0) from muster.position")[0])

    def drain(self, engine):
        def done():
            if engine.poll() is not None:
                raise RuntimeError("the engine ended with %d: %s" % (engine.returncode, open(engine.log).read()[-600:]))
            return self.positions() >= self.sent
        wait_for("the engine has scored all", 60, done)

    def end(self, engine):
        engine.send_signal(signal.SIGTERM)
        if engine.wait(timeout=30):
            raise RuntimeError("SIGTERM: %s" % open(engine.log).read()[-600:])

    def compare(self, tally, what, refused):
        out = {name: os.path.join(HOME, name) for name in ("alerts", "positions")}
        command(MUSTER, "replay", "--quiet", "--threads", "1", "--config", self.settings, "--log", os.path.join(HOME, "log"),
                *[word for name, path in out.items() for word in ("--" + name, path)])
        alerts, positions = ([json.loads(line) for line in open(out[name])] for name in ("alerts", "positions"))
        expected = sorted("%s|%d|%d|%d" % (a["alert_id"], a["revision"], a["seq"], a["score_milli"]) for a in alerts)
        stored = sorted(self.query("select encode(alert_id, 'hex'), revision, seq, score_milli from muster.alert_revision"))
        tally.hold("%s: %d alert revisions as replayed" % (what, len(stored)), stored == expected and stored, "%d expected" % len(expected))
        rejected = self.query("select reason, count(*) from muster.rejection group by 1 order by 1")
        tally.hold("%s: refused are %s" % (what, refused), rejected == refused, rejected)
        count = sum(int(row.split("|")[1]) for row in rejected)
        tally.hold("%s: %d sent = %d accepted + %d refused" % (what, self.sent, len(positions), count), self.sent == len(positions) + count)


def through_the_engine(tally, world):
    os.makedirs(os.path.join(HOME, "folder"))
    with open(os.path.join(HOME, "folder", "1.avsc"), "w") as out:
        json.dump(SCHEMA, out)
    answers_of = {1: schema_answer(SCHEMA)}
    registry = Registry(answers_of)
    port = registry.port
    registry.stop()  # its port is free again, and nobody answers
    world.start("http://127.0.0.1:%d" % port)

    engine = world.engine()
    world.send(1, 300)
    wait_for("the engine says that the registry is away", 20, lambda: world.says(engine, "source_away", "schema registry"))
    tally.hold("without its registry the engine waits, and skips nothing", engine.poll() is None and world.positions() == 0, world.positions())
    registry = Registry(answers_of, port)
    world.drain(engine)
    tally.hold("and says when it is back", world.says(engine, "source_back"))
    tally.hold("one schema is asked for once", registry.asked == ["/schemas/ids/1"], registry.asked)
    world.send(99, 5)
    world.drain(engine)
    tally.hold("an id that nobody knows is asked for once", registry.asked.count("/schemas/ids/99") == 1, registry.asked)
    engine.kill()
    engine.wait()

    registry.answers[99] = schema_answer(SCHEMA)  # what a registry never does; the engine must not notice
    registry.stop()
    world.send(1, 200)
    engine = world.engine()
    world.drain(engine)
    world.send(99, 3)
    world.drain(engine)
    tally.hold("a restart needs no registry", not world.says(engine, "source_away", "schema registry"))
    world.end(engine)
    world.compare(tally, "registry gone, kill -9", ["SCHEMA_UNKNOWN|8"])

    for name in os.listdir(os.path.join(HOME, "state")):
        if name.startswith("checkpoint-"):
            os.remove(os.path.join(HOME, "state", name))
    world.send(1, 100)
    engine = world.engine()
    for _ in range(3):
        time.sleep(0.4)
        world.send(1, 60)
        engine.kill()
        engine.wait()
        engine = world.engine()
    world.drain(engine)
    world.end(engine)
    world.compare(tally, "no checkpoint, more kills", ["SCHEMA_UNKNOWN|8"])
    kept = os.listdir(os.path.join(HOME, "state", "schemas"))
    tally.hold("copies are kept under state_dir", len(kept) == 1 and sorted(os.listdir(os.path.join(HOME, "state", "schemas", kept[0]))) ==
               ["1.avsc", "refused.ids"], kept)


def main():
    tally, world = Tally(), World()
    shutil.rmtree(HOME, ignore_errors=True)
    os.makedirs(HOME)
    try:
        answers(tally)
        certificates(tally)
        try:
            through_the_engine(tally, world)
        finally:
            world.stop()
    except (RuntimeError, subprocess.SubprocessError) as fault:
        tally.hold("the test itself", False, fault)
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
