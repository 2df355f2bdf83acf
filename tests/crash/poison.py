#!/usr/bin/env python3
"""Poison: a record at which the engine dies whenever it works it is set aside at the third crash, and all else is scored.

The engine of VARIANT=fault kills itself (SIGKILL) while it decodes, scores or translates a record that holds a certain
text; a loop starts it again until it lives. Then must hold, per phase and number of threads:

  1. it died exactly three times, and says so at level error and in its metrics;
  2. that offset, and no other, is a rejection with reason POISON, and the rest of the stream is scored;
  3. recovery from Kafka, without checkpoint and log, refuses it again; so does a standby; both agree with a replay;
  4. kills at random moments make nobody poison.

Usage: poison.py [--muster build/fault/muster]      ends with `N passed, N failed, N skipped`"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from testbed import TOP, Bench, Checks, Failure, notices, same_rows, say  # noqa: E402

TOPICS = [("payments.bank-1", "bank-1", 3), ("payments.bank-2", "bank-2", 3), ("payments.csv", "bank-3", 1)]
SETTINGS = "batch_max: 4096\nlateness_h: 720\ncheckpoint_every_s: 86400\n"
MAPPING = "id: {Id}\ntime: {T}\namount: {A}\ncurrency: USD\nsender.account: {S}\nreceiver.account: {R}\n"
ARMED = "RECORD_DECODE:CRASH:poison-decode,RECORD_STEP:CRASH:poison-step,RECORD_TRANSLATE:CRASH:poison-translate"
CRASHES = 3


class World:
    def __init__(self, muster):
        self.bench = Bench("poison", muster, "rules/packs/trafficking", topics=TOPICS)
        mapping = self.bench.path("bank-3.mapping")
        self.bench.more_settings = SETTINGS.replace("checkpoint_every_s: 86400\n", "") + "kafka_formats:\n  payments.csv: csv:%s\n" % mapping
        self.checks, self.fed, self.lines = Checks(), 0, []

    def start(self):
        self.bench.start()
        with open(self.bench.path("bank-3.mapping"), "w") as out:
            out.write(MAPPING)
        stream = self.bench.path("stream.ndjson")
        self.bench.run(self.bench.muster, "gen", "--events", "30000", "--seed", "5", "--sources", "2", "--out", stream,
                       "--labels", self.bench.path("labels.csv"))
        self.lines = open(stream).read().splitlines()

    def feed(self, count, poison=None):
        """The next lines of the stream; one of them, in the middle, gets an id that is poison."""
        part, self.lines = self.lines[:count], self.lines[count:]
        if poison:
            at = next(i for i in range(count // 2, count) if '"receiver":{"account"' in part[i])
            part[at] = re.sub(r'"id":"[^"]*"', '"id":"%s"' % poison, part[at])
        path = self.bench.path("part.ndjson")
        open(path, "w").write("\n".join(part) + "\n")
        self.bench.run(self.bench.muster, "feed", "--config", self.bench.settings, "--quiet", path)
        self.fed += count

    def feed_csv(self, count, poison):
        path = self.bench.path("part.csv")
        for i in range(count):
            with open(path, "w") as out:
                out.write("Id,T,A,S,R\n")
                for row in range(3):
                    out.write("%s,2026-02-%02dT10:00:00Z,%d.00,C%d,D%d\n" % (
                        poison if i == count // 2 and row == 1 else "c%d-%d-%d" % (self.fed, i, row), 1 + i % 28, 100 + i, row, i % 7))
            self.bench.run(self.bench.muster, "feed", "--config", self.bench.settings, "--quiet", "--raw", "--format", "csv", "--mapping",
                           self.bench.path("bank-3.mapping"), "--topic", "payments.csv", path)
        self.fed += count * 3  # a message each row

    def drained(self):
        return int(self.bench.query("select coalesce(sum(next_offset), 0) from muster.position")[0][0]) >= self.fed

    def engine(self, *settings, fail=ARMED):
        words = [word for setting in settings for word in ("--set", setting)]
        return self.bench.engine(overrides=words, fail=fail)

    def settle(self, engine, seconds=60):
        """True: all is scored. False: the engine died."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if engine.poll() is not None:
                return False
            if self.drained():
                return True
            time.sleep(0.1)
        raise Failure("not drained after %d s; see %s" % (seconds, engine.log))

    def end(self, engine):
        engine.terminate()
        if engine.wait(timeout=30) != 0:
            raise Failure("SIGTERM: exit %d; see %s" % (engine.returncode, engine.log))

    def rejected(self):
        return {(t, int(p), int(o)) for t, p, o in
                self.bench.query("select topic, partition, kafka_offset from muster.rejection where reason = 'POISON'")}

    def metric(self, engine, name):
        port = re.search(r"127\.0\.0\.1:(\d+)/metrics", open(engine.log).read()).group(1)
        text = urllib.request.urlopen("http://127.0.0.1:%s/metrics" % port, timeout=5).read().decode()
        return float(re.search(r"^%s (\S+)$" % name, text, re.M).group(1))


def set_aside(world, what, threads):
    """Starts the engine until it lives; what it says of the record that it died at."""
    checks, before = world.checks, world.rejected()
    settings = ("threads=%d" % threads, "http_port=0", "checkpoint_every_s=86400")
    deaths, engine = 0, world.engine(*settings)
    while not world.settle(engine) and deaths < 8:
        deaths += engine.returncode == -9
        if engine.returncode != -9:
            raise Failure("the engine ended with %d; see %s" % (engine.returncode, engine.log))
        engine = world.engine(*settings)
    checks.hold("%s, %d threads: %d crashes" % (what, threads, deaths), deaths == CRASHES)
    new = world.rejected() - before
    checks.hold("%s, %d threads: one offset more is set aside: %s" % (what, threads, sorted(new)), len(new) == 1)
    told = notices(engine, "poison")
    checks.hold("%s, %d threads: it is said at level error" % (what, threads), len(told) == 1 and told[0]["level"] == "error", str(told))
    checks.hold("%s, %d threads: it is counted" % (what, threads), world.metric(engine, "muster_poison_total") >= 1)
    time.sleep(0.3)
    suspects = world.metric(engine, "muster_crash_suspects")
    checks.hold("%s, %d threads: suspects are forgotten once committed" % (what, threads), suspects == 0, str(suspects))
    engine.kill()  # no checkpoint: what comes next recovers
    engine.wait()


def recovery(world):
    before = world.rejected()
    for folder in ("state", "log"):
        shutil.rmtree(world.bench.path(folder))
    engine = world.engine("checkpoint_every_s=86400")
    world.settle(engine)
    world.feed(300)
    world.checks.hold("recovery from Kafka lives, with every record armed", world.settle(engine))
    world.checks.hold("it worked the journal again", any(int(line["text"].split()[0]) > 5000 for line in notices(engine, "recovered")))
    world.end(engine)
    world.checks.hold("recovery sets the same records aside, and no other", world.rejected() == before)
    same_rows(world.bench, world.checks)


def standby(world):
    live = world.engine("standby=true")
    folders = ["%s=%s" % (setting, world.bench.path(folder + "-b"))
               for setting, folder in (("state_dir", "state"), ("log_dir", "log"), ("log_key_dir", "keys"))]
    second = world.engine("standby=true", *folders)
    deadline = time.monotonic() + 40
    while not notices(second, "standby") and time.monotonic() < deadline:
        time.sleep(0.05)
    world.feed(300)
    world.checks.hold("a standby follows past what is set aside", notices(second, "standby") and world.settle(live) and second.poll() is None)
    live.kill()
    live.wait()
    world.feed(300)
    world.checks.hold("and takes over", world.settle(second))
    world.end(second)
    for folder in ("state", "log", "keys"):
        os.rename(world.bench.path(folder), world.bench.path(folder + "-a"))
        os.rename(world.bench.path(folder + "-b"), world.bench.path(folder))
    same_rows(world.bench, world.checks)


def innocents(world, kills=25):
    chance, before = random.Random(3), world.rejected()
    narrow = 0
    for kill in range(kills):
        world.feed(600)
        engine = world.engine("lease_ms=500")
        deadline = time.monotonic() + 20
        while not notices(engine, "live") and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.03))
        narrow += bool(notices(engine, "crash_suspects"))
        engine.kill()
        engine.wait()
        if kill % 2 == 1:  # all is committed, and so forgotten: on a busy machine three kills in a row meet one record by mere chance
            engine = world.engine(fail=None)
            world.settle(engine)
            world.end(engine)
    engine = world.engine(fail=None)
    world.checks.hold("%d kills, after %d of them some went one by one" % (kills, narrow), world.settle(engine))
    world.checks.hold("kills at random moments make nobody poison", world.rejected() == before)
    world.end(engine)
    same_rows(world.bench, world.checks)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--muster", default="build/fault/muster")
    options = options.parse_args()
    subprocess.run(["make", "-s", "--no-print-directory", "-j", str(os.cpu_count() or 2), "VARIANT=fault", "build/fault/muster"], cwd=TOP, check=True,
                   stdout=subprocess.DEVNULL)
    world = World(options.muster)
    try:
        world.start()
        for kind, threads in (("decode", 2), ("step", 4), ("decode", 1), ("step", 1)):
            world.feed(1500, "poison-%s-%d" % (kind, threads))
            set_aside(world, kind, threads)
        world.feed_csv(9, "poison-translate")
        set_aside(world, "translate", 2)
        recovery(world)
        standby(world)
        innocents(world)
    except (Failure, OSError, subprocess.SubprocessError) as fault:
        world.checks.hold("the test itself", False, str(fault))
    finally:
        world.bench.stop()
    say("%d passed, %d failed, 0 skipped" % (world.checks.passed, world.checks.failed))
    return 1 if world.checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
