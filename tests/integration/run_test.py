#!/usr/bin/env python3
"""The whole path: feed -> Kafka -> run -> PostgreSQL, held against a one-thread replay of the log.

Starts a private PostgreSQL and the embedded Kafka under build/run-test and feeds one stream in
portions, each under another trouble: a plain run that SIGTERM drains, kill -9 and recovery, the
database away for 5 s, the brokers away for 3 s, a second engine, a zombie, one thread, no checkpoint,
a log that lost its end. Every portion ends with the same comparison.
Ends with `N passed, N failed, N skipped`.

Usage: run_test.py [MUSTER] [--broker mock|real]   real: an Apache Kafka that docker/kafka.py starts"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests"))
from testbed import Failure, MockBroker, RealBroker, kafka, wait_for  # noqa: E402
from world import World  # noqa: E402

OPTIONS = argparse.ArgumentParser()
OPTIONS.add_argument("muster", nargs="?", default=os.path.join(TOP, "build", "muster"))
OPTIONS.add_argument("--broker", choices=("mock", "real"), default="mock")
OPTIONS = OPTIONS.parse_args()
MUSTER = os.path.abspath(OPTIONS.muster)
HOME = os.path.join(TOP, "build", "run-test" + ("-kafka" if OPTIONS.broker == "real" else ""))
TOPICS = [("payments.a", "bank-a"), ("payments.b", "bank-b")]
FACTS = [("facts.band", "registry")]
PARTITIONS = 3
PORTION = 6000


class RunWorld(World):
    """And what else must hold after every portion."""

    def __init__(self):
        super().__init__(HOME, MUSTER, TOPICS, FACTS)
        self.kafka = None

    def begin(self):
        self.start()
        topics = [(topic, PARTITIONS) for topic, _ in TOPICS + FACTS]
        self.kafka = RealBroker(HOME, topics) if OPTIONS.broker == "real" else MockBroker(MUSTER, HOME, topics)
        self.configure(self.kafka.address)

    def stop(self):
        super().stop()
        if self.kafka:
            self.kafka.stop()

    def backtest(self, what):
        """The log as a recorded stream, the engine's own rules beside themselves."""
        done = subprocess.run([MUSTER, "rules", "backtest", "tests/data/run", "--against", "tests/data/run", "--config", self.settings, "--log",
                               os.path.join(HOME, "log"), "--json"], cwd=TOP, capture_output=True, text=True)
        found = json.loads(done.stdout) if done.returncode == 0 else {}
        stored = tuple(int(n) for n in self.query("select (select count(*) from muster.alert), (select count(*) from muster.hit)")[0])
        counts = [(side.get("alerts"), side.get("hits")) for side in (found, found.get("against", {}))]
        self.check("%s: a back-test over the log counts the same" % what,
                   counts == [stored] * 2 and found["against"]["same"] == stored[0], "%s %s %s" % (counts, stored, done.stderr))

    def compare(self, what):
        positions = self.compare_outputs(what)
        self.backtest(what)
        self.account(what, positions)

        open_bytes = self.query("select count(*) from muster.rejection where sealed_day is null or length(body) <> least(body_size, 4096) + 40")
        self.check("%s: rejected bytes are sealed" % what, [list(row) for row in open_bytes] == [["0"]], str(open_bytes))
        self.show_rejection(what)
        kept = self.query("select kind, array_agg(distinct round(extract(epoch from expires_at - now()) / 86400)) from ("
                          "select 'alert' kind, expires_at from muster.alert union all select 'hit', expires_at from muster.hit union all "
                          "select 'rejection', expires_at from muster.rejection union all select 'revision', expires_at from muster.alert_revision"
                          ") x group by 1 order by 1")
        self.check("%s: each kind is kept as long as the settings say" % what, [list(row) for row in kept] ==
                   [["alert", "{1826}"], ["hit", "{1826}"], ["rejection", "{90}"], ["revision", "{1826}"]], str(kept))

    def show_rejection(self, what):
        place = self.query("select topic, partition, kafka_offset from muster.rejection where body_size between 10 and 4096 order by 1, 2, 3 limit 1")[0]
        sizes = self.query("select body_size from muster.rejection where (topic, partition, kafka_offset) = ('%s', %s, %s)" % place)[0]
        words = [MUSTER, "rejections", "show", "--config", self.settings, *place]
        done = subprocess.run(words, cwd=TOP, capture_output=True, text=True)
        clear = re.sub(r"\\x[0-9a-f]{2}", ".", done.stdout.split("as stored:\n")[-1])
        self.check("%s: the day's key opens them" % what, done.returncode == 0 and len(clear) == int(sizes[0]) + 1, done.stdout + done.stderr)
        keys = os.path.join(HOME, "keys", "sealed")
        os.rename(keys, keys + ".away")
        done = subprocess.run(words, cwd=TOP, capture_output=True, text=True)
        self.check("%s: nobody reads them without it" % what, done.returncode == 3 and "is not there" in done.stderr, done.stdout + done.stderr)
        shutil.rmtree(keys)
        os.rename(keys + ".away", keys)

    def account(self, what, logged):
        accepted = {(r["topic"], r["partition"], r["offset"]) for r in logged}
        rejected = {(t, int(p), int(o)) for t, p, o in self.query("select topic, partition, kafka_offset from muster.rejection")}
        every = self.positions()
        repeated = every - len(accepted) - len(rejected)
        whole = every == self.fed and len(accepted) == len(logged) and not accepted & rejected and repeated > 0
        self.check("%s: %d fed = %d accepted + %d rejected + %d repeated" % (what, self.fed, len(accepted), len(rejected), repeated),
                   whole, "positions sum to %d" % every)
        told = self.query("select sum(accepted), sum(refused), sum(repeated), sum(gaps) from muster.arrival")[0]
        self.check("%s: what banks are told adds up to the same" % what,
                   told[:3] == (str(len(accepted)), str(len(rejected)), str(repeated)), str(told))


def plain(world):
    world.feed(PORTION)
    engine = world.engine()
    world.drain(engine)
    world.end(engine)
    world.check("a drained engine leaves a checkpoint", any(f.startswith("checkpoint-") for f in os.listdir(os.path.join(HOME, "state"))))
    world.compare("plain run")


def killed(world):
    engine = world.engine()
    for piece in range(4):
        world.feed(PORTION // 4)
        time.sleep(0.3 + 0.4 * piece)
        engine.kill()
        engine.wait()
        engine = world.engine()
    world.drain(engine)
    world.end(engine)
    world.compare("kill -9")


def database_away(world):
    engine = world.engine()
    world.feed(PORTION // 2)
    world.drain(engine)
    world.postgres("kill")
    world.feed(PORTION // 2)
    time.sleep(5)
    world.check("without its database the engine waits and says so", engine.poll() is None and world.says(engine, "sink_away"))
    world.postgres("start")
    world.drain(engine)
    world.check("and says when it is back", world.says(engine, "sink_back"))
    world.end(engine)
    world.compare("database away")


def brokers_away(world):
    engine = world.engine()
    world.feed(PORTION // 2)
    world.drain(engine)
    world.kafka.away()
    time.sleep(3)
    world.check("without its brokers the engine waits and says so", engine.poll() is None and world.says(engine, "source_away"))
    world.kafka.back()
    world.feed(PORTION // 2)
    world.drain(engine)
    world.end(engine)
    world.compare("brokers away")


def two_engines(world):
    first = world.engine()
    wait_for("the first engine is live", 20, lambda: world.says(first, "live"))
    second = world.engine()
    world.feed(PORTION)
    world.drain(first)
    world.check("a second engine waits", second.poll() is None and not world.says(second, "live"))
    world.end(first)
    wait_for("the second engine is live", 20, lambda: world.says(second, "live"))
    world.feed(PORTION // 2)
    world.drain(second)
    second.send_signal(signal.SIGSTOP)
    third = world.engine()
    wait_for("the third engine is live", 20, lambda: world.says(third, "live"))
    second.send_signal(signal.SIGCONT)
    world.feed(PORTION // 2)
    world.check("an engine stopped beyond its lease leaves with exit 4", second.wait(timeout=20) == 4, second.returncode)
    world.drain(third)
    world.end(third)
    world.compare("two engines")


def one_thread(world):
    world.feed(PORTION // 2)
    engine = world.engine("--set", "threads=1")
    world.drain(engine)
    engine.kill()
    engine.wait()
    world.feed(PORTION // 2)
    engine = world.engine("--set", "threads=1")
    world.drain(engine)
    world.end(engine)
    engine = world.engine("--set", "threads=1", "--set", "stop_wait_ms=500")
    world.drain(engine)
    world.postgres("kill")
    world.feed(100)
    wait_for("one thread misses its database", 20, lambda: world.says(engine, "sink_away"))
    engine.terminate()
    world.check("one thread without its database obeys SIGTERM", engine.wait(timeout=20) in (0, 3), str(engine.returncode))  # 3: with work left
    world.postgres("start")
    engine = world.engine("--set", "threads=1")
    world.drain(engine)
    world.end(engine)
    world.compare("one thread")


def without_checkpoint(world):
    shutil.rmtree(os.path.join(HOME, "state"))
    world.feed(PORTION)
    engine = world.engine("--set", "threads=3")
    world.drain(engine)
    world.end(engine)
    world.check("state is rebuilt from the log", world.says(engine, "recovered"))
    world.compare("without a checkpoint")


def log_blocks():
    """Blocks in the log (engine/state/log_private.h: behind a magic word of 8 bytes, each a head and what it says is behind it)."""
    count, folder = 0, os.path.join(HOME, "log")
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            text = file.read()
        at = 8
        while at < len(text):
            count, at = count + 1, at + 56 + int.from_bytes(text[at + 4:at + 8], "little")
    return count


def whole(world):
    """An engine that ends leaves a log that lacks nothing."""
    engine = world.engine()
    world.drain(engine)
    world.end(engine)


def written_together(world):
    """Events that come slowly wait for one another on their way into the log; those that still wait are not lost with the engine."""
    for threads, wait_ms, kill in ((2, 0, False), (2, 60000, False), (1, 60000, False), (2, 60000, True), (2, 300, False)):
        whole(world)
        before = log_blocks()
        engine = world.engine("--set", "threads=%d" % threads, "--set", "log_wait_ms=%d" % wait_ms, "--set", "checkpoint_every_s=3600")
        for _ in range(6):
            world.feed(5)
            world.drain(engine)
        if wait_ms == 300:
            wait_for("what waited long enough is written", 5, lambda: log_blocks() > before)
        more = log_blocks() - before
        if kill:
            engine.kill()
            engine.wait()
        else:
            world.end(engine)
        ended = log_blocks() - before
        world.check("log_wait_ms %d, %d threads%s: %d blocks, %d in the end" % (wait_ms, threads, ", killed" if kill else "", more, ended),
                    more >= 6 if wait_ms == 0 else 1 <= more <= 5 if wait_ms == 300 else more == 0 and ended == (0 if kill else 1))
    whole(world)
    world.compare("written together")


def log_ends_early(world):
    """A disk lost the end of the log, which the newest checkpoint stands behind."""
    for _ in range(2):
        world.feed(PORTION // 2)
        whole(world)
    folder = os.path.join(HOME, "log")
    newest = max((os.path.join(folder, name) for name in os.listdir(folder)), key=os.path.getmtime)
    os.truncate(newest, os.path.getsize(newest) - 1)
    engine = world.engine()
    world.drain(engine)
    world.end(engine)
    world.check("a checkpoint behind the log's end is refused, and the one before it used", world.says(engine, "checkpoint_refused") and
                "the log ends before it" in open(engine.log).read() and world.says(engine, "checkpoint_loaded"), open(engine.log).read()[-500:])
    world.compare("a log that lost its end")


def main():
    world = RunWorld()
    try:
        if OPTIONS.broker == "real":
            kafka.fetch()
        world.begin()
        for trouble in (plain, killed, database_away, brokers_away, two_engines, one_thread, without_checkpoint, written_together,
                        log_ends_early):
            trouble(world)
        world.explain_alert()
    except kafka.Unavailable as why:
        print("skipped: %s\n0 passed, 0 failed, 1 skipped" % why)
        return 0
    except (Failure, RuntimeError) as fault:
        world.check("the test itself", False, fault)
    finally:
        world.stop()
    print("%d passed, %d failed, 0 skipped" % (world.passed, world.failed))
    return 1 if world.failed else 0


if __name__ == "__main__":
    sys.exit(main())
