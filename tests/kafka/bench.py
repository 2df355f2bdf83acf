"""What the fault suites share: rows of the table, a world whose messages an independent client reads back,
a feeder that never rests, and the clock from a fault's end to the first new commit."""
import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
for room in ("docker", "tests/integration"):
    sys.path.insert(0, os.path.join(TOP, room))
from world import Failure, World, command, notices, wait_for  # noqa: E402,F401

HEARTBEAT = b"muster-heartbeat"
RESUME_S = 3


class Skip(Exception):
    """A fault that cannot be made here; the text says why."""


# --- the table ---

class Row:
    """One fault: what was done is its name, what the engine did is put together as it goes."""

    def __init__(self, fault):
        self.fault, self.outcomes, self.times, self.wrong, self.held, self.skipped = fault, [], [], [], 0, ""

    def did(self, text):
        self.outcomes.append(text)

    def hold(self, what, good, detail=""):
        self.held += bool(good)
        if not good:
            self.wrong.append("%s%s" % (what, ": %s" % (detail,) if detail != "" else ""))
            print("  FAILED %s: %s" % (self.fault, self.wrong[-1][:1500]), flush=True)

    def resumed(self, seconds, most_s):
        self.times.append(seconds)
        self.hold("resumed within %g s" % most_s, seconds <= most_s, "%.1f s" % seconds)

    def verdict(self):
        return "skipped" if self.skipped else "FAILED" if self.wrong else "ok"

    def text(self):
        outcome = self.skipped or "; ".join(self.outcomes)
        times = "" if not self.times else "%.1f s" % self.times[0] if len(self.times) == 1 else "median %.1f s, worst %.1f s" % (
            sorted(self.times)[len(self.times) // 2], max(self.times))
        return "%-7s | %-58s | %-22s | %s" % (self.verdict(), self.fault, times or "-", outcome)


class Table:
    def __init__(self, muster, only):
        self.rows, self.muster, self.only = [], muster, only

    def run(self, world, fault, trouble, *more):
        """Lets the world suffer; the row stands whatever happens."""
        if self.only and fault != "no fault" and not any(word in fault for word in self.only):
            return
        row = Row(fault)
        self.rows.append(row)
        world.row, world.finished = row, False
        begin = time.monotonic()
        try:
            trouble(world, row, *more)
            if not world.finished:
                world.finish()
        except Skip as why:
            row.skipped = str(why)
        except Exception as wrong:  # the next fault has its turn all the same
            row.hold("the fault ran through", False, "%s %s" % (type(wrong).__name__, wrong))
            if not isinstance(wrong, Failure):
                traceback.print_exc(file=sys.stdout)
        finally:
            world.end_all()
        print("%s (%.0f s)" % (row.text(), time.monotonic() - begin), flush=True)

    def show(self, missing=()):
        """`missing`: parts that could not be run, and why."""
        print("\n%-7s | %-58s | %-22s | %s" % ("", "fault", "time to resume", "outcome"))
        print("\n".join([row.text() for row in self.rows] + ["skipped | %s" % why for why in missing]))
        print("%d passed, %d failed, %d skipped" % (sum(row.held for row in self.rows), sum(len(row.wrong) for row in self.rows),
                                                  sum(bool(row.skipped) for row in self.rows) + len(missing)))
        return any(row.wrong for row in self.rows)


# --- feeding ---

class Feeder(threading.Thread):
    """Feeds small portions without rest until told to stop. A portion whose `muster feed` gave up, for the brokers
    were away too long, may have arrived in part: it is in doubt, and the next one follows."""

    def __init__(self, world, lines=40, pause_s=0.1):
        super().__init__(daemon=True)
        self.world, self.lines, self.pause_s = world, lines, pause_s
        self.ending, self.fault, self.broken = threading.Event(), None, None

    def run(self):
        try:
            while not self.ending.is_set():
                try:
                    self.world.feed(self.lines)
                except Failure as fault:
                    self.world.doubtful += self.lines
                    self.fault = fault
                self.ending.wait(self.pause_s)
        except Exception as broken:  # told by whoever stops it
            self.broken = broken

    def stop(self):
        self.ending.set()
        self.join(timeout=90)
        if self.is_alive():
            raise Failure("the feeder does not come back")
        if self.broken:
            raise self.broken


# --- the world ---

class FaultWorld(World):
    """A world on a real broker. The test itself speaks to the PLAINTEXT listener, the engine to any."""

    def __init__(self, name, muster, cluster, topics, facts=(), seed=7):
        super().__init__(os.path.join(TOP, "build", "kafka-faults", name), muster, list(topics), list(facts), seed)
        self.cluster, self.row, self.feeder = cluster, Row(""), None
        self.visible = {}   # (topic, partition, offset) -> (key, body), as an independent client read them
        self.finished = False
        self.sent = Counter()  # lines that `muster feed` says were delivered, how often
        self.doubtful = 0   # lines of portions that may have arrived

    def open(self):
        self.start()
        folder, port = (open(os.path.join(self.home, "postgres", name)).read().strip() for name in ("socket", "port"))
        self.asked = "host=%s port=%s user=muster dbname=muster" % (folder, port)
        self.port = int(port)
        self.configure(self.cluster.address())
        return self

    def query(self, sql):
        """Over the socket, which no cut of the network hits."""
        text = command("psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-d", self.asked, "-c", sql)
        return [tuple(line.split("\x1f")) for line in text.splitlines() if line]

    def check(self, what, good, detail=""):
        self.row.hold(what, good, detail)

    def live(self, *words):
        engine = self.engine(*words)
        wait_for("the engine is live", 40, lambda: self.alive(engine) and self.says(engine, "live"))
        return engine

    def alive(self, engine):
        if engine.poll() is not None:
            raise Failure("the engine ended with %d: %s" % (engine.returncode, open(engine.log).read()[-800:]))
        return True

    def refused(self, *words, settings=None, wait_s=30):
        """What an engine says that must end by itself with exit code 3."""
        engine = self.engine(*words, settings=settings)
        code = engine.wait(timeout=wait_s)
        text = open(engine.log).read()
        self.check("the engine ends with exit code 3", code == 3, "%s: %s" % (code, text[-500:]))
        return text

    def end_all(self):
        if self.feeder:
            self.feeder.ending.set()
            self.feeder.join(timeout=70)
            self.feeder = None
        for engine in self.engines:
            if engine.poll() is None:
                engine.kill()
                engine.wait()

    def send(self, lines, *words):
        super().send(lines, *words)
        self.sent.update(lines)

    def feed_on(self, **more):
        self.feeder = Feeder(self, **more)
        self.feeder.start()
        return self.feeder

    def rest(self):
        if self.feeder:
            feeder, self.feeder = self.feeder, None
            feeder.stop()

    # --- positions ---

    def stored(self):
        return {(topic, int(partition)): int(next_offset)
                for topic, partition, next_offset in self.query("select topic, partition, next_offset from muster.position")}

    def sum_of(self, partitions=None):
        return sum(at for place, at in self.stored().items() if partitions is None or place in partitions)

    def until_moved(self, before, since, wait_s=30, partitions=None):
        """Seconds from `since` until PostgreSQL holds a newer position than before."""
        while self.sum_of(partitions) <= before:
            if time.monotonic() - since > wait_s:
                raise Failure("no new position within %d s; the feeder: %s" % (wait_s, self.feeder and self.feeder.fault))
            for engine in self.engines[-1:]:
                self.alive(engine)
            time.sleep(0.02)
        return time.monotonic() - since

    def watch(self, before, wait_s=30):
        """Starts to wait for a newer position than `before`, inside PostgreSQL: on a busy machine it takes long to ask. The
        function returned gives the moment (time.time()) at which it was there."""
        sql = ("do $$ begin for n in 1..%d loop if (select coalesce(sum(next_offset), 0) > %d from muster.position) then return; end if; "
               "perform pg_sleep(0.01); end loop; raise 'no new position'; end $$; select extract(epoch from clock_timestamp())" %
               (wait_s * 100, before))
        asking = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.asked, "-c", sql],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

        def moment():
            said = asking.communicate(timeout=2 * wait_s)[0]
            if asking.returncode:
                raise Failure("no new position within %d s; the feeder: %s" % (wait_s, self.feeder and self.feeder.fault))
            return float(said)
        return moment

    def figures(self, engine):
        """The engine's metrics: NAME{LABELS} -> value; it must run with http_port=0."""
        import urllib.request
        url = notices(engine, "metrics")[0]["text"]
        text = urllib.request.urlopen(url, timeout=10).read().decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}

    # --- the independent client ---

    def client(self, **more):
        from confluent_kafka import Consumer
        return Consumer({"bootstrap.servers": self.cluster.address(), "group.id": "outside", "enable.partition.eof": True,
                         "auto.offset.reset": "earliest", "isolation.level": "read_committed", "enable.auto.commit": False,
                         "log_level": 0, **more})

    def ends(self, client):
        """(topic, partition) -> (first, next) offset of the log, of every topic that is the engine's."""
        wanted = {topic for topic, _ in self.topics + self.facts}
        listed = client.list_topics(timeout=20).topics
        from confluent_kafka import TopicPartition
        return {(topic, number): client.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
                for topic in sorted(wanted & set(listed)) for number in listed[topic].partitions}

    def read_back(self):
        """Reads what came since the last time."""
        from confluent_kafka import KafkaError, TopicPartition
        client = self.client()
        known = {}
        for topic, number, offset in self.visible:
            known[topic, number] = max(known.get((topic, number), 0), offset + 1)
        ends = self.ends(client)
        left = {place for place, (first, end) in ends.items() if end > max(first, known.get(place, 0))}
        client.assign([TopicPartition(topic, number, max(ends[topic, number][0], known.get((topic, number), 0))) for topic, number in left])
        until = time.monotonic() + 60
        while left:
            if time.monotonic() > until:
                raise Failure("an independent client could not read %s to its end" % sorted(left))
            for message in client.consume(1000, 1):
                place = (message.topic(), message.partition())
                if not message.error():
                    self.visible[place + (message.offset(),)] = (message.key(), message.value())
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    left.discard(place)
                else:
                    raise Failure("an independent client: %s" % message.error())
        client.close()
        return ends

    def drain(self, engine):
        """Until every position stands at the end of its log, marks of transactions included."""
        client = self.client()

        def all_read():
            self.alive(engine)
            stored = self.stored()
            return all(stored.get(place, -1) >= end for place, (first, end) in self.ends(client).items() if end > first)
        try:
            wait_for("the engine has taken all", 60, all_read)
        finally:
            client.close()

    # --- what must hold after every fault ---

    def finish(self):
        """Drains and ends what runs, and holds PostgreSQL against the log and against Kafka; returns what the log holds."""
        self.rest()
        running = [engine for engine in self.engines if engine.poll() is None]
        if running:
            self.drain(running[-1])
            self.end(running[-1])
        self.read_back()
        logged = self.compare_outputs("afterwards")
        self.hold_outcomes(logged)
        self.finished = True
        return logged

    def hold_outcomes(self, logged):
        """Each message that can be read in Kafka has exactly one outcome, and nothing else has any."""
        accepted = {(r["topic"], r["partition"], r["offset"]) for r in logged}
        rejected = {(t, int(p), int(o)) for t, p, o in self.query("select topic, partition, kafka_offset from muster.rejection")}
        stored = self.stored()
        messages = {place: body for place, (key, body) in self.visible.items() if key != HEARTBEAT}
        behind = {place for place in messages if place[2] < stored.get(place[:2], 0)}
        repeated = behind - accepted - rejected
        twins = {messages[place] for place in accepted if place in messages}
        strangers = [place for place in repeated if messages[place] not in twins]
        held = Counter(body.decode(errors="replace") for body in messages.values())
        lost = self.sent - held
        self.check("every message fed is in Kafka and was taken", not lost and self.fed <= len(messages) == len(behind),
                   "%d fed, %d in doubt, %d in Kafka, %d taken; %d lost: %s" % (self.fed, self.doubtful, len(messages), len(behind), lost.total(), list(lost)[:3]))
        self.check("what is in Kafka beyond what was fed repeats it", len(held) <= self.fed + self.doubtful,
                   "%d fed, %d in doubt, %d different ones in Kafka" % (self.fed, self.doubtful, len(held)))
        self.check("one outcome each", len(accepted) == len(logged) and not accepted & rejected,
                   "%d logged at %d places, %d rejected too" % (len(logged), len(accepted), len(accepted & rejected)))
        self.check("nothing has an outcome that was not there to read", accepted | rejected <= set(messages),
                   sorted((accepted | rejected) - set(messages))[:5])
        self.check("what left no trace repeats an accepted message", not strangers, strangers[:5])
        ids = [(event["source"], event["id"]) for event in (json.loads(messages[place]) for place in accepted & set(messages)) if "id" in event]
        self.check("no event is accepted twice", len(ids) == len(set(ids)))
        odd = [place for place in rejected & set(messages) if not may_be_refused(messages[place], set(ids))]
        self.check("what was refused is no JSON or takes another event's id", not odd, odd[:5])


def may_be_refused(body, ids):
    try:
        event = json.loads(body)
    except ValueError:
        return True
    return (event["source"], event.get("id")) in ids
