#!/usr/bin/env python3
"""`muster rejections send`: every rejection reaches the dead-letter topic with place, reason and id and without its bytes,
once when all goes well, again when the mark was not moved in time; --follow sends what comes later and ends on SIGTERM.
Ends with `N passed, N failed, N skipped`."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import feed_report_test as feed  # noqa: E402

feed.HOME = os.path.join(feed.TOP, "build", "dead-letter-test")
TOPIC = "payments.refused"


def consume(brokers, most_s=15):
    """Everything on the topic as (key, body), or None where Kafka's client for Python is missing."""
    try:
        import confluent_kafka
    except ImportError:
        return None
    consumer = confluent_kafka.Consumer({"bootstrap.servers": brokers, "group.id": "test", "enable.partition.eof": True})
    consumer.assign([confluent_kafka.TopicPartition(TOPIC, n, 0) for n in range(2)])
    found, ended, deadline = [], set(), time.monotonic() + most_s
    while len(ended) < 2 and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            ended.add(message.partition())
        else:
            found.append((message.key().decode(), json.loads(message.value())))
    consumer.close()
    return found


def main():
    tally, world = feed.Tally(), feed.World()
    world.postgres = os.path.join(feed.HOME, "postgres")
    world.topics = [TOPIC + ":2"]
    shutil.rmtree(feed.HOME, ignore_errors=True)
    os.makedirs(feed.HOME)
    words = [feed.MUSTER, "rejections", "send", "--config", world_settings(), "--topic", TOPIC]
    try:
        world.start()
        world.run(list(feed.stream()) + [feed.event(9100 + n, 10, 1, currency="USX") for n in range(2500)])
        want = {"%s|%s|%s|%s" % tuple(row.split("|")) for row in
                world.query("select topic, partition, kafka_offset, item from muster.rejection").splitlines()}
        said = feed.command(*words)
        tally.hold("all are sent", said == "%d rejections sent to %s\n" % (len(want), TOPIC) and len(want) > 2500, said)
        tally.hold("and once", feed.command(*words) == "0 rejections sent to %s\n" % TOPIC)
        world.query("update muster.dead_letter set sent = sent - 3")
        tally.hold("a mark that was not moved: the last three again", feed.command(*words).startswith("3 "))
        follow = subprocess.Popen(words + ["--follow"], cwd=feed.TOP, stdout=subprocess.PIPE, text=True)
        world.processes.append(follow)
        time.sleep(1)
        world.query("insert into muster.rejection (topic, partition, kafka_offset, source, reason, field, body, body_size) "
                    "values ('payments.a', 0, 999999, 'bank-a', 'NOT_JSON', '', 'secret', 6)")
        feed.wait_for("the mark to follow", lambda: world.query("select sent = (select max(number) from muster.rejection) from muster.dead_letter") == "t")
        follow.send_signal(signal.SIGTERM)
        out, _ = follow.communicate(timeout=20)
        tally.hold("--follow sends what comes later, and ends when told to", follow.returncode == 0 and out.startswith("1 "), out)
        found = consume(world.brokers)
        if found is None:
            tally.skipped += 1
            print("skipped: python3-confluent-kafka is not there to read the topic")
        else:
            keys = [key for key, _ in found]
            tally.hold("the topic has each of them", set(keys) == want | {"payments.a|0|999999|0"}, len(set(keys) ^ want))
            tally.hold("under the key of its place, three of them twice", len(keys) == len(set(keys)) + 3, len(keys))
            bodies = dict(found)
            tally.hold("with place, reason, field and id", all(set(body) == {"topic", "partition", "offset", "item", "source", "reason", "field", "id", "arrived_at"}
                                                              and key == "%s|%d|%d|%d" % (body["topic"], body["partition"], body["offset"], body["item"])
                                                              for key, body in found) and any(body["id"] == "e9001" for body in bodies.values()), found[:1])
            tally.hold("and nothing of the bytes", not any("CANARY" in json.dumps(body) or "secret" in json.dumps(body) for body in bodies.values()))
    finally:
        world.stop()
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    return 1 if tally.failed else 0


def world_settings():
    return os.path.join(feed.HOME, "muster.yaml")


if __name__ == "__main__":
    sys.exit(main())
