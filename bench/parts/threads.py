"""How replay and the path from Kafka to PostgreSQL grow with threads, on a machine that has the cores for it."""
import os

from parts import kafka, picture, replay, rule_sets
from parts.common import PACK, RESULTS, Unavailable, lines_of, medians, row, run, stream

TITLE = "Threads: more than two"
COUNTS = (1, 2, 4, 8, 12, 16)
EVENTS, ROUNDS = 1000000, 3


def counts():
    """The numbers of threads that have a core each here."""
    cores = len(os.sched_getaffinity(0))
    found = [count for count in COUNTS if count <= cores]
    if found[-1] <= 2:
        raise Unavailable("needs 4 cores or more, this machine has %d" % cores)
    return found


def replayed(path, rules, rounds):
    """{threads: medians}, all numbers of threads in turn so that they see the same neighbours."""
    taken = [{count: replay.once(path, rules, count) for count in counts()} for _ in range(rounds)]
    return {count: medians([once[count] for once in taken]) for count in counts()}


def replays(path, rounds):
    smaller, _ = rule_sets.without_graphs()
    rows, data = [], {}
    for name, rules in (("without graph rules", smaller), ("with the whole pack", PACK)):
        data[name] = found = replayed(path, rules, rounds)
        for count, figures in found.items():
            rows.append(row("replay %s, %d thread%s" % (name, count, "s"[:count > 1]), figures["events/s"], "events/s", how="muster replay --threads %d" % count))
        rows.append(row("replay %s, speed-up from 1 to %d threads" % (name, count), figures["events/s"] / found[1]["events/s"], "times"))
    return rows, data


def from_kafka(events):
    """The engine's log, sink and consumer have threads of their own beside the workers, and the broker and PostgreSQL are on this machine too."""
    path = stream(events)
    total, data = lines_of(path), {}
    with kafka.World("kafka-threads", topics=kafka.topics(kafka.PARTITIONS["mock"])) as world:
        run("build/muster", "feed", "--config", world.settings, "--quiet", path)
        bare = kafka.bare_rate(world, total)
        for count in counts():
            data[count] = kafka.through(world, total, "threads=%d" % count)[0]
    rows = [row("a consumer that does nothing, the mock broker", bare, "messages/s", how="bench/main/consume")]
    rows += [row("Kafka to PostgreSQL, %d thread%s" % (count, "s"[:count > 1]), rate, "events/s", how="muster run --threads %d" % count) for count, rate in data.items()]
    rows.append(row("ratio of the fastest to the consumer", max(data.values()) / bare, "times", "aim 0.7, floor 0.5", least=0.5))
    return rows, {"bare": bare, **data}


def measure(options):
    events = options.events or EVENTS
    rows, data = replays(stream(events), options.rounds or ROUNDS)
    note = "%d events, medians of %d runs." % (events, options.rounds or ROUNDS)
    try:
        more, data["kafka"] = from_kafka(kafka.EVENTS)
        rows += more
        note += " From Kafka: %d events, one run each." % kafka.EVENTS
    except Unavailable as why:
        note += " From Kafka to PostgreSQL: skipped: %s." % why
    lines = [(name, [(count, figures["events/s"]) for count, figures in data[name].items()]) for name in ("without graph rules", "with the whole pack")]
    picture.lines(os.path.join(RESULTS, "threads.svg"), "replay", lines, "threads", "events/s")
    return {"rows": rows, "note": note, "data": data, "pictures": {"threads.svg": "events a second against threads"}}
