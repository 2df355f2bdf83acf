"""Faults and oddities of the log: retention, gaps, transactions, compaction, growth, idleness, catching up."""
import json
import os
import time

from bench import HEARTBEAT, Failure, wait_for

MINUTE_MS = 60000


def producer(world, **more):
    from confluent_kafka import Producer
    return Producer({"bootstrap.servers": world.cluster.address(), "log_level": 0, "acks": "all", **more})


def administer(world, task):
    """task(client) -> futures; waits for all of them."""
    from confluent_kafka.admin import AdminClient
    client = AdminClient({"bootstrap.servers": world.cluster.address(), "log_level": 0})
    for future in task(client).values():
        future.result(timeout=30)


def payments(world, bank, count, mark):
    """Sound, new payments of one bank."""
    events = []
    while len(events) < count:
        event = dict(world.stream.event(), source=bank)
        event["id"] = "%s-%s" % (mark, event["id"])
        event.pop("end_to_end", None)
        events.append(json.dumps(event))
    return events


def send(client, topic, partition, lines, key=None, times=None):
    for n, line in enumerate(lines):
        more = {} if times is None else {"timestamp": times[n]}
        client.produce(topic, line, key, partition, **more)
        client.poll(0)
    if client.flush(60):
        raise Failure("%s/%d: not all was delivered" % (topic, partition))


def gaps(figures, topic):
    return sum(value for name, value in figures.items() if name.startswith('muster_partition_gaps_total{topic="%s"' % topic))


def aborted(world, row):
    """A producer's transactions, every other of them aborted."""
    topic, bank = world.topics[0]
    client = producer(world, **{"transactional.id": "bank-%d" % os.getpid()})
    client.init_transactions(30)
    lost, kept = payments(world, bank, 60, "aborted"), payments(world, bank, 60, "committed")
    engine = world.live("--set", "http_port=0")
    for n in range(0, 60, 20):
        for lines, end in ((lost, client.abort_transaction), (kept, client.commit_transaction)):
            client.begin_transaction()
            send(client, topic, 0, lines[n:n + 20])
            end(30)
    world.fed += len(kept)
    world.drain(engine)
    world.rest()
    # 60 aborted messages, and a mark at the end of each of the six transactions
    counted = gaps(world.figures(engine), topic)
    row.hold("the gaps are counted", counted == 66, counted)
    logged = {(r["topic"], r["partition"], r["offset"]) for r in world.finish()}
    bodies = [world.visible[place][1].decode() for place in logged if place in world.visible]
    row.hold("what was committed was read", set(kept) <= set(bodies))
    row.hold("nothing aborted was", not world.query("select 1 from muster.hit where event_id like 'aborted-%'") and
             not set(lost) & set(bodies))
    row.did("60 aborted messages never read, %d offsets counted as gaps" % counted)


def compacted(world, row):
    """Facts of which Kafka has kept little more than the newest of each key: holes all over the log."""
    topic, office = world.facts[0]
    fact = {"source": office, "fact": "band", "valid_from": "2026-01-01T00:00:00Z"}
    client, known = producer(world), len(world.visible)
    configure(world, topic, {"cleanup.policy": "compact", "segment.ms": "300", "min.cleanable.dirty.ratio": "0.01"})
    for n in range(400):
        line = dict(fact, subject="C%d" % (n % 20), fields={"monthly": "%d.00 USD" % (100 + n), "since": "2020-01-01"})
        client.produce(topic, json.dumps(line), "band|C%d" % (n % 20), 0)
    client.flush(30)
    outside, until = world.client(), time.monotonic() + 60
    while sum(1 for key in keys_of(outside, topic) if key and key.startswith(b"band|C")) > 100:
        if time.monotonic() > until:
            raise Failure("Kafka did not compact %s within 60 s" % topic)
        # the newest segment is never compacted: one record more makes the log roll
        line = dict(fact, subject="roll%d" % time.monotonic_ns(), fields={"monthly": "5.00 USD", "since": "2020-01-01"})
        client.produce(topic, json.dumps(line), line["subject"], 0)
        client.flush(30)
        time.sleep(0.5)
    configure(world, topic, {"cleanup.policy": "compact"})
    time.sleep(1.5)  # a compaction under way ends
    outside.close()
    world.read_back()
    world.fed += len(world.visible) - known
    engine = world.live("--set", "http_port=0")
    world.drain(engine)
    counted = gaps(world.figures(engine), topic)
    row.hold("the holes are counted", counted >= 300, counted)
    row.did("a compacted topic of facts is no fault; %d offsets counted as gaps" % counted)


def configure(world, topic, settings):
    from confluent_kafka.admin import ConfigResource
    administer(world, lambda client: client.alter_configs([ConfigResource("topic", topic, set_config=settings)]))


def keys_of(client, topic):
    """The keys of all that the topic's partition 0 still has."""
    from confluent_kafka import KafkaError, TopicPartition
    keys = []
    client.assign([TopicPartition(topic, 0, 0)])
    while True:
        for message in client.consume(1000, 2):
            if not message.error():
                keys.append(message.key())
            elif message.error().code() == KafkaError._PARTITION_EOF:
                return keys


def compact_refused(world, row):
    """A topic of events with cleanup.policy=compact."""
    from confluent_kafka.admin import NewTopic
    administer(world, lambda client: client.create_topics([NewTopic("payments.compact", 1, 1, config={"cleanup.policy": "compact,delete"})]))
    more = world.settings + ".more"
    with open(more, "w") as out:
        out.write(open(world.settings).read().replace("kafka_topics:\n", "kafka_topics:\n  payments.compact: bank-x\n", 1))
    text = world.refused(settings=more)
    row.hold("it says which topic, why and what to do", "payments.compact has cleanup.policy=compact,delete" in text and
             "set it to delete" in text, text[-400:])
    row.did("refused at the start, with what to do")


def retention(world, row):
    """The engine is away for longer than the topic keeps."""
    topic = "payments.short"
    engine = world.live()
    world.send(payments(world, "bank-short", 300, "short"))
    world.drain(engine)
    world.end(engine)
    world.read_back()
    at = world.stored()[topic, 0]
    client = producer(world)
    send(client, topic, 0, payments(world, "bank-short", 500, "lost"))
    configure(world, topic, {"retention.ms": "1000"})
    outside = world.client()
    wait_for("retention deletes", 60, lambda: world.ends(outside)[topic, 0][0] == at + 500)
    outside.close()
    configure(world, topic, {"retention.ms": "-1"})
    text = world.refused()
    row.hold("it says where it stood", "no longer holds offset %d" % at in text, text[-600:])
    row.hold("how large the gap is", "its log begins at %d, so 500 offsets were deleted" % (at + 500) in text, text[-600:])
    row.hold("and what to do", "next_offset in muster.position to %d" % (at + 500) in text and "README" in text, text[-600:])
    row.hold("nothing moved", world.stored()[topic, 0] == at)
    world.query("update muster.position set next_offset = %d where topic = '%s' and partition = 0" % (at + 500, topic))
    engine = world.live()
    world.send(payments(world, "bank-short", 100, "after"))
    world.drain(engine)
    row.hold("with the gap accepted it goes on", world.stored()[topic, 0] == at + 600, world.stored()[topic, 0])
    row.did("stopped with position, gap of 500 and what to do; went on once the gap was accepted")


def grown(world, row):
    """More partitions, and a topic that did not exist at the start, while the engine runs."""
    from confluent_kafka.admin import NewPartitions, NewTopic
    topic, bank = world.topics[0]
    engine = world.live("--set", "kafka_refresh_s=1")
    row.hold("it says which topic is missing", world.says(engine, "topic_missing"))
    world.feed_on()
    administer(world, lambda client: client.create_partitions([NewPartitions(topic, 5)]))
    administer(world, lambda client: client.create_topics([NewTopic("payments.new", 2, 1)]))
    since = time.monotonic()
    found = {(topic, 3), (topic, 4), ("payments.new", 0), ("payments.new", 1)}
    client = producer(world)
    for place in sorted(found):
        send(client, *place, payments(world, bank if place[0] == topic else "bank-new", 20, "new%s%d" % place))
        world.fed += 20
    wait_for("the new partitions are read", 30, lambda: world.alive(engine) and found <= set(world.stored()))
    row.resumed(time.monotonic() - since, 10)
    row.hold("it says what it found", world.says(engine, "partitions_found"))
    row.did("2 new partitions and a new topic read without a restart")


def idle(world, row):
    """One partition has payments, the others nothing but heartbeats."""
    topic, bank = world.topics[1]
    engine = world.live("--set", "http_port=0")
    client = producer(world)
    before = world.stored().get((topic, 1), 0)
    send(client, topic, 1, ["", "x", ""], HEARTBEAT)
    since = time.monotonic()
    send(client, topic, 0, payments(world, bank, 200, "idle"))
    world.fed += 200
    world.drain(engine)
    took = time.monotonic() - since
    row.hold("idle partitions hold nobody up", took < 5, "%.1f s" % took)
    row.hold("a heartbeat moves its position", world.stored().get((topic, 1), 0) == before + 3, world.stored())
    name = 'muster_partition_heartbeats_total{topic="%s",partition="1"}' % topic
    row.hold("and is counted", world.figures(engine).get(name) == 3)
    row.did("idle partitions held nobody up; heartbeats moved positions and are no events")


def together(world, row):
    """Catching up: as many messages in two partitions, in one of them over forty times the time."""
    topic, bank = world.topics[1]
    client, begin_ms = producer(world), int(time.time() * 1000) - 7200000
    steps = {0: 25, 1: 1000}  # ms of broker time from message to message
    firsts = {}
    for partition, step_ms in steps.items():
        lines = payments(world, bank, 4000, "p%d" % partition)
        send(client, topic, partition, lines, times=[begin_ms + n * step_ms for n in range(4000)])
        world.fed += 4000
        world.read_back()
        firsts[partition] = max(o for t, p, o in world.visible if (t, p) == (topic, partition)) - 3999
    engine = world.live("--set", "checkpoint_every_s=3600")
    world.drain(engine)

    def time_of(partition, offset):
        return begin_ms + (offset - firsts[partition]) * steps[partition]
    ahead_ms, at = 0, dict(firsts)
    for (ranges,) in world.query("select ranges from muster.journal order by block"):
        for name, partition, first, past in json.loads(ranges):
            if name == topic and partition in at and past > firsts[partition]:
                at[partition] = past
        if at[0] < firsts[0] + 4000 and at[1] > firsts[1]:  # while the dense one has more to come
            ahead_ms = max(ahead_ms, time_of(1, at[1] - 1) - time_of(0, at[0]))
    row.hold("both were read to their end", at == {p: firsts[p] + 4000 for p in steps}, at)
    row.hold("none was read more than 60 s of broker time ahead", 30 * 1000 < ahead_ms <= MINUTE_MS, "%.1f s" % (ahead_ms / 1000))
    row.did("at most %.1f s of broker time ahead of the slowest" % (ahead_ms / 1000))


def wide(world, row):
    """128 partitions over five topics, from positions that PostgreSQL keeps."""
    engine = world.live()
    world.send(world.stream.portion(4000), "--partition-by", "id")
    world.until_moved(0, time.monotonic())
    engine.kill()
    engine.wait()
    world.send(world.stream.portion(4000), "--partition-by", "id")
    engine = world.live()
    world.drain(engine)
    row.hold("each of them has its position", len(world.stored()) == 128, len(world.stored()))
    engine.kill()
    engine.wait()
    world.send(world.stream.portion(2000), "--partition-by", "id")
    before = world.sum_of()
    since = time.monotonic()
    world.live()
    row.resumed(world.until_moved(before, since), 10)
    row.did("128 partitions read to their ends over two kills, each from its own position")
