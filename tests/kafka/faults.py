#!/usr/bin/env python3
"""Faults of a real Apache Kafka, and what the engine makes of each: prints a table `fault -> outcome`.

Brokers of docker/kafka.py on loopback, a private PostgreSQL, a feeder and the engine. After every fault
PostgreSQL must equal a one-thread replay of the log that the run left, and every message that an
independent client can read in Kafka must have exactly one outcome. Where something is missing (Java,
Maven, python3-confluent-kafka, nft) what needs it is skipped and says why.
Ends with `N passed, N failed, N skipped`.

Usage: faults.py [--only WORD[,WORD...]] [--part one,three,wide,new] [--muster build/muster]"""
import argparse
import os
import random
import shutil
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench  # noqa: E402
import broker_faults as brokers  # noqa: E402
import log_faults as logs  # noqa: E402
import security_faults as security  # noqa: E402
import kafka  # noqa: E402  (bench knows where docker/kafka.py lies)

HOME = os.path.join(bench.TOP, "build", "kafka-faults")
BANKS = [("payments.a", "bank-a"), ("payments.b", "bank-b")]
LATER = [("payments.new", "bank-new"), ("payments.short", "bank-short")]
FACTS = [("facts.band", "registry")]
CUT_SEED = 12


def cluster(name, **more):
    return kafka.Cluster(os.path.join(HOME, name), settings={"log.cleaner.backoff.ms": "300"}, **more).start()


def topics(cluster, names, partitions=3, **settings):
    """Made through librdkafka: Kafka's own program takes seconds to start."""
    from confluent_kafka.admin import AdminClient, NewTopic
    client = AdminClient({"bootstrap.servers": cluster.address(), "log_level": 0})
    made = client.create_topics([NewTopic(name, partitions, min(cluster.brokers, 3), config=settings) for name, _ in names])
    for future in made.values():
        future.result(timeout=30)


def prepare(name, **more):
    """A cluster with the two banks' topics and that of facts."""
    broker = cluster(name, **more)
    topics(broker, BANKS)
    topics(broker, FACTS, **{"cleanup.policy": "compact"})
    if broker.secure:
        topics(broker, LATER[1:], 1)
        security.allow(broker)
    return broker


def one(table):
    """One broker with every listener: most faults."""
    broker = prepare("one", secure=True)
    world = bench.FaultWorld("world", table.muster, broker, BANKS + LATER, FACTS)
    world.stream.banks = [bank for _, bank in BANKS]
    try:
        world.open()
        table.run(world, "no fault", brokers.none)
        table.run(world, "broker stopped and started", brokers.restarted, False)
        table.run(world, "broker killed by kill -9 and started", brokers.restarted, True)
        table.run(world, "broker hangs for 6 s", brokers.hung, 6)
        table.run(world, "broker slow: stands still four fifths of the time", brokers.slow, 6)
        table.run(world, "no broker when the engine starts", brokers.unreachable)
        table.run(world, "a producer aborts transactions", logs.aborted)
        table.run(world, "a topic of facts is compacted, with holes", logs.compacted)
        table.run(world, "a topic of events is compacted", logs.compact_refused)
        table.run(world, "new partitions and a new topic", logs.grown)
        table.run(world, "idle partitions, heartbeats", logs.idle)
        table.run(world, "catching up on uneven partitions", logs.together)
        table.run(world, "retention deleted what was not read", logs.retention)
        table.run(world, "a bank's certificate on other topics", security.own_topic_only)
        table.run(world, "strangers: no or foreign certificate", security.strangers)
        table.run(world, "SASL/PLAIN over TLS", security.by_password)
        table.run(world, "SCRAM with an old librdkafka", security.scram)
        table.run(world, "PostgreSQL killed and started, no event", brokers.database_restarts)
        network(table, world, broker)
    finally:
        world.stop()
        broker.stop(kill=True)


def network(table, world, broker):
    """Twelve cuts of 2 to 8 s: of the broker's connections, of PostgreSQL's, of both."""
    chance = random.Random(CUT_SEED)
    over_tls = security.words(security.tls(broker, "engine"))
    ssl = broker.ports["1"]["SSL"]
    for what, ports in (("to the broker", [ssl]), ("to PostgreSQL", [world.port]), ("to both", [ssl, world.port])):
        lengths_s = [chance.uniform(from_s, from_s + 1.5) for from_s in (2, 3.5, 5, 6.5)]
        table.run(world, "network cut %s, 4 times" % what, brokers.cuts, ports, lengths_s, over_tls, bench.RESUME_S)


def three(table):
    """Three brokers: leaders change."""
    group = prepare("three", brokers=3)
    world = bench.FaultWorld("world-three", table.muster, group, BANKS, FACTS, seed=8)
    try:
        world.open()
        table.run(world, "no fault", brokers.none)
        table.run(world, "three brokers: the leader is killed by kill -9", brokers.leader_dies)
        table.run(world, "three brokers: leaders move back", brokers.leader_moves)
        table.run(world, "three brokers: each restarts in turn", brokers.rolled)
    finally:
        world.stop()
        group.stop(kill=True)


def wide(table):
    """Many partitions: 4 topics of 31, and 4 of facts."""
    broker = cluster("wide")
    names = [("wide.%d" % n, "bank-%d" % n) for n in range(4)]
    topics(broker, names, 31)
    topics(broker, FACTS, 4)
    world = bench.FaultWorld("world-wide", table.muster, broker, names, FACTS, seed=9)
    try:
        world.open()
        table.run(world, "128 partitions, the engine killed twice", logs.wide)
    finally:
        world.stop()
        broker.stop(kill=True)


def new(table):
    """A shorter selection on Kafka 4."""
    broker = prepare("new", secure=True, version=4)
    world = bench.FaultWorld("world-new", table.muster, broker, BANKS + LATER, FACTS, seed=10)
    world.stream.banks = [bank for _, bank in BANKS]
    try:
        world.open()
        table.run(world, "no fault", brokers.none)
        table.run(world, "Kafka 4: broker killed by kill -9 and started", brokers.restarted, True)
        table.run(world, "Kafka 4: a producer aborts transactions", logs.aborted)
        table.run(world, "Kafka 4: new partitions and a new topic", logs.grown)
        table.run(world, "Kafka 4: retention deleted what was not read", logs.retention)
        table.run(world, "Kafka 4: a bank's certificate on other topics", security.own_topic_only)
        table.run(world, "Kafka 4: SASL/PLAIN over TLS", security.by_password)
    finally:
        world.stop()
        broker.stop(kill=True)


def another_python():
    """Debian's packages are for Debian's Python; the first one on the path may be another."""
    try:
        import confluent_kafka  # noqa: F401
        return
    except ImportError:
        pass
    if os.path.exists("/usr/bin/python3") and not os.environ.get("MUSTER_SECOND_PYTHON"):
        os.execve("/usr/bin/python3", ["/usr/bin/python3", os.path.abspath(__file__)] + sys.argv[1:], {**os.environ, "MUSTER_SECOND_PYTHON": "1"})
    raise kafka.Unavailable("python3-confluent-kafka is not installed")


def main():
    parts = {"one": (one, 3), "three": (three, 3), "wide": (wide, 3), "new": (new, 4)}
    options = argparse.ArgumentParser()
    options.add_argument("--only", default="")
    options.add_argument("--part", default=",".join(parts))
    options.add_argument("--muster", default=os.path.join(bench.TOP, "build", "muster"))
    options = options.parse_args()
    table = bench.Table(os.path.abspath(options.muster), [word for word in options.only.split(",") if word])
    missing = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whatever was started or cut is undone on the way out
    try:
        another_python()
        shutil.rmtree(HOME, ignore_errors=True)
        os.makedirs(HOME)
        for name in options.part.split(","):
            part, version = parts[name]
            try:
                kafka.fetch(version)
            except kafka.Unavailable as why:
                missing.append("%s: %s" % (name, why))
                continue
            part(table)
    except kafka.Unavailable as why:
        print("skipped: %s\n0 passed, 0 failed, 1 skipped" % why)
        return 0
    return 1 if table.show(missing) else 0


if __name__ == "__main__":
    sys.exit(main())
