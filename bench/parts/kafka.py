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
EVENTS = 600000
# The mock broker keeps 5 MiB per partition: the stream needs more of them there.
PARTITIONS = {"mock": 96, "real": 16}
BROKERS = {"mock": "the mock broker", "real": "Apache Kafka"}
# One session that looks 100 times a second: a client process for each look would take half a core from the engine.
WATCH = """create function pg_temp.watch(total bigint, out first bigint, out first_s float8, out all_s float8) language plpgsql as $$
declare
    begun timestamptz := clock_timestamp();
    taken bigint;
begin
    loop
        select coalesce(sum(next_offset), 0) into taken from muster.position;
        if first is null and taken > 0 then
            first := taken;
            first_s := extract(epoch from clock_timestamp() - begun);
        end if;
        exit when taken >= total;
        perform pg_sleep(0.01);
    end loop;
    all_s := extract(epoch from clock_timestamp() - begun);
end $$;
set statement_timeout = '240s';
select * from pg_temp.watch(%d)"""


def topics(partitions):
    return [("payments.bank-%d" % bank, "bank-%d" % bank, partitions // 2) for bank in (1, 2)]


class World(testbed.Bench):
    """Servers of a part of the benchmark, in build/bench/NAME; `with` starts and ends them."""

    def __init__(self, name, broker="mock", rules=PACK, topics=topics(16), **settings):
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

    def watch(self, total):
        """What had been committed at the first look that saw any, and the seconds of this look and of that which saw all."""
        try:
            first, first_s, all_s = map(float, self.query(WATCH % total)[-1])
        except testbed.Failure as why:
            raise Unavailable("the engine did not take %d events: see its log in %s: %s" % (total, self.home, why))
        return first, first_s, all_s

    def end(self, engine):
        engine.terminate()
        engine.wait(timeout=60)


def thread_ns(pid, name):
    """Processor time of the threads of that name; Linux says it of each."""
    used = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/comm" % (pid, thread)) as comm, open("/proc/%d/task/%s/schedstat" % (pid, thread)) as schedstat:
            used += int(schedstat.read().split()[0]) if comm.read().strip() == name else 0
    return used


def through(world, total, *settings):
    """(events/s from the first that is committed to the last, seconds to the first, {stage: ns per event}); the engine begins with
    nothing. A stage's clock runs on while its thread waits for a core, or for PostgreSQL; `… used` is its thread's processor time."""
    world.query("truncate muster.position, muster.journal, muster.alert, muster.alert_revision, muster.alert_hit, muster.hit, muster.shadow_hit")
    for folder in ("state", "log", "keys"):
        run("rm", "-rf", world.path(folder))
    engine = world.engine(overrides=[word for setting in settings for word in ("--set", setting)])
    first, first_s, all_s = world.watch(total)
    stages = {"log": world.metric('muster_phase_nanoseconds_total{phase="log"}') / total,
              "sink": world.metric("muster_commit_nanoseconds_total") / total,
              "log used": thread_ns(engine.pid, "muster-log") / total,
              "sink used": thread_ns(engine.pid, "muster-sink") / total}
    world.end(engine)
    return (total - first) / (all_s - first_s), first_s, stages


def bare_rate(world, total):
    """Messages a second of a consumer that does nothing with the world's topics."""
    found = run(os.path.join(PROGRAMS, "consume"), world.broker.address, str(total), *[topic for topic, _, _ in world.topics]).stdout
    return float(re.search(r"([\d]+)/s", found).group(1))


def compare(broker, events):
    """Rows of one broker."""
    path, name, partitions = stream(events), BROKERS[broker], PARTITIONS[broker]
    total = lines_of(path)
    with World("kafka-" + broker, broker, topics=topics(partitions)) as world:
        run("build/muster", "feed", "--config", world.settings, "--quiet", path)
        bare = bare_rate(world, total)
        whole, start_s, stages = through(world, total)
        silent, _, _ = through(world, total, "log_enabled=false")
    rows = [row("a consumer that does nothing, %s, %d partitions" % (name, partitions), bare, "messages/s", how="bench/main/consume"),
            row("muster run, the same topics, 2 threads", whole, "events/s", how="muster run"),
            row("ratio of the two", whole / bare, "times", "aim 0.7, floor 0.5", least=0.5),
            row("from start to the first events in PostgreSQL", start_s * 1000, "ms"),
            row("the same without the log", silent, "events/s", how="log_enabled: false"),
            row("log: processor time of its thread, which compresses and seals", stages["log used"], "ns/event", how="/proc/PID/task/*/schedstat"),
            row("log: by the clock, its waits for a core among it", stages["log"], "ns/event", how="muster_phase_nanoseconds_total"),
            row("sink: processor time of its thread, PostgreSQL's not among it", stages["sink used"], "ns/event", how="/proc/PID/task/*/schedstat"),
            row("sink: by the clock, its waits for PostgreSQL and for a core among it", stages["sink"], "ns/event", how="muster_commit_nanoseconds_total")]
    return rows, {"bare": bare, "whole": whole, "without log": silent, "start_ms": start_s * 1000, **stages}


def measure(options):
    rows, data, notes = [], {}, []
    for broker in BROKERS:
        try:
            more, data[broker] = compare(broker, options.events or EVENTS)
            rows += more
        except Unavailable as why:
            notes.append("%s: skipped: %s." % (BROKERS[broker], why))
    return {"rows": rows, "note": " ".join(["%d events, loopback, all on this machine; rates from the first message that is there to the last." % (options.events or EVENTS)] + notes), "data": data}
