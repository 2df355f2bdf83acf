"""From Kafka to PostgreSQL, against a consumer that does nothing with what it reads: the mock broker, and Apache Kafka where it can be had."""
import os
import re
import sys
import time
import urllib.request

from parts.common import HOME, PACK, PROGRAMS, TOP, Unavailable, lines_of, row, run, stream

sys.path[:0] = [os.path.join(TOP, "tests"), os.path.join(TOP, "docker")]
import testbed  # noqa: E402
from kafka import Unavailable as NoBroker  # noqa: E402

TITLE = "Kafka to PostgreSQL"
EVENTS = 120000  # the mock broker keeps 5 MiB per partition
TOPICS = [("payments.bank-1", "bank-1", 8), ("payments.bank-2", "bank-2", 8)]
BROKERS = {"mock": "the mock broker", "real": "Apache Kafka"}


class World(testbed.Bench):
    """Servers of a part of the benchmark, in build/bench/NAME; `with` starts and ends them."""

    def __init__(self, name, broker="mock", rules=PACK, topics=TOPICS, **settings):
        super().__init__(os.path.relpath(os.path.join(HOME, name), os.path.join(TOP, "build")), "build/muster", rules, topics, broker,
                         **{"checkpoint_every_s": 30, "http_port": testbed.kafka.free_port(), **settings})

    def __enter__(self):
        try:
            self.start()
        except NoBroker as why:
            self.stop()
            raise Unavailable(str(why))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def metric(self, series):
        address = "http://127.0.0.1:%d/metrics" % self.own["http_port"]
        text = urllib.request.urlopen(address, timeout=10).read().decode()
        return float(re.search(r"^%s ([\d.e+]+)$" % re.escape(series), text, re.M).group(1))

    def live(self, engine, seconds=60):
        """Waits until the engine is live; seconds it took."""
        def good():
            if engine.poll() is not None:
                raise Unavailable("the engine ended with %d: see %s" % (engine.returncode, engine.log))
            return testbed.is_live(engine)
        return testbed.wait_for("the engine is live", seconds, good, 0.005)

    def drained(self, engine, total, seconds=240):
        begin = time.monotonic()
        while self.positions() < total:
            if engine.poll() is not None or time.monotonic() > begin + seconds:
                raise Unavailable("the engine did not take %d events within %d s: see %s" % (total, seconds, engine.log))
            time.sleep(0.02)

    def end(self, engine):
        engine.terminate()
        engine.wait(timeout=60)


def through(world, total, *settings):
    """(events/s into PostgreSQL, start included, {stage: ns per event}); the engine begins with nothing."""
    world.query("truncate muster.position, muster.journal, muster.alert, muster.alert_revision, muster.alert_hit, muster.hit, muster.shadow_hit")
    for folder in ("state", "log", "keys"):
        run("rm", "-rf", world.path(folder))
    begin = time.monotonic()
    engine = world.engine(overrides=[word for setting in settings for word in ("--set", setting)])
    world.drained(engine, total)
    seconds = time.monotonic() - begin
    stages = {"log": world.metric('muster_phase_nanoseconds_total{phase="log"}') / total,
              "sink": world.metric("muster_commit_nanoseconds_total") / total}
    world.end(engine)
    return total / seconds, stages


def compare(broker, events):
    """Rows of one broker."""
    path, name = stream(events), BROKERS[broker]
    total = lines_of(path)
    with World("kafka-" + broker, broker) as world:
        run("build/muster", "feed", "--config", world.settings, "--quiet", path)
        found = run(os.path.join(PROGRAMS, "consume"), world.broker.address, str(total), *[topic for topic, _, _ in TOPICS]).stdout
        bare = float(re.search(r"([\d]+)/s", found).group(1))
        whole, stages = through(world, total)
        silent, _ = through(world, total, "log_enabled=false")
    rows = [row("a consumer that does nothing, %s, 16 partitions" % name, bare, "messages/s", how="bench/main/consume"),
            row("muster run, the same topics, 2 threads, start included", whole, "events/s", how="muster run"),
            row("ratio of the two", whole / bare, "times"),
            row("the same without the log", silent, "events/s", how="log_enabled: false"),
            row("log: sealed and compressed, on a thread of its own", stages["log"], "ns/event", how="muster_phase_nanoseconds_total"),
            row("sink: commits to PostgreSQL, on a thread of its own", stages["sink"], "ns/event", how="muster_commit_nanoseconds_total")]
    return rows, {"bare": bare, "whole": whole, "without log": silent, **stages}


def measure(options):
    rows, data, notes = [], {}, []
    for broker in BROKERS:
        try:
            more, data[broker] = compare(broker, options.events or EVENTS)
            rows += more
        except Unavailable as why:
            notes.append("%s: skipped: %s." % (BROKERS[broker], why))
    return {"rows": rows, "note": " ".join(["%d events, loopback." % (options.events or EVENTS)] + notes), "data": data}
