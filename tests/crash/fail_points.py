#!/usr/bin/env python3
"""Every fail point x every fault that makes sense there (engine/base/fail_point.def), one after the other.

The engine of VARIANT=fault runs over the embedded Kafka and a private PostgreSQL. Per combination: messages are fed, an
engine starts with the point armed and works, is started again where it ended, drains, stops; then must hold:

  1. the fault struck, and did what was designed: see EXPECTED;
  2. rows in PostgreSQL equal a one-thread replay of the log, and every message has exactly one outcome;
  3. no position went back, and the folder holds a checkpoint that the next engine loads.

Servers are kept between combinations; four worlds work side by side. Prints a table, point by fault.

Usage: fail_points.py [--only POINT,…] [--worlds 4]     ends with `N passed, N failed, N skipped`"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from testbed import TOP, Bench, Checks, Failure, compare, is_live, say, wait_for  # noqa: E402

MUSTER = "build/fault/muster"
TOPICS = [("payments.bank-1", "bank-1", 2), ("payments.bank-2", "bank-2", 2)]
SETTINGS = "batch_max: 48\nlateness_h: 720\ncommit_wait_ms: 20\nlog_wait_ms: 0\n"
PORTION = 120
FAULTS = ["CRASH", "EIO", "ENOSPC", "EINTR", "SHORT"]

# What an engine may do when a fault strikes: "goes on" (and ends with 0 when told to), "ends" (exit 3, with a reason), "killed".
GOES_ON, ENDS, KILLED = "goes on", "ends, says why", "killed"

# What it takes to come by a point: AT_STOP, the last checkpoint; TRICKLE, checkpoints beside the work; or a life
# before: LOG_AHEAD, or a fault of it.
AT_STOP, TRICKLE = "at the end", "beside the work"
LOG_AHEAD = "killed while the log has what PostgreSQL does not"
RECIPES = {
    "SINK_RESOLVE": {"with": "SINK_COMMITTED:EIO:1"},
    "SINK_PRUNE": {"how": TRICKLE},
    "SINK_RENEW": {"how": TRICKLE}, # comes by time: a fast engine has drained before it
    "SAVER_FREEZE": {"how": TRICKLE}, "SAVER_WRITTEN": {"how": TRICKLE}, "SAVER_PUBLISHED": {"how": TRICKLE},
    "CHECKPOINT_WRITE": {"times": (1, 40)},
    "CHECKPOINT_READ": {"times": (1, 40)},
    "LOG_CUT": {"before": LOG_AHEAD},
    "LOG_REMOVE": {"before": "LOG_BEGIN:CRASH:1"},
    "LOG_WRITE": {"times": (1, 3)},
    "LOG_SYNC": {"times": (1, 2)},
}
WAITS_FOR_ROOM = ("LOG_BEGIN", "LOG_KEY_WRITE", "LOG_KEY_SYNC", "LOG_KEY_RENAME", "LOG_WRITE")  # of a live engine; a start ends
RECIPES_BESIDE = ("CHECKPOINT_OPEN", "CHECKPOINT_SYNC", "CHECKPOINT_FOLDER", "CHECKPOINT_REMOVE")


def table():
    """[(point, [fault, …])] of fail_point.def; records are tests/crash/poison.py's."""
    text = open(os.path.join(TOP, "engine/base/fail_point.def")).read()
    words = {name: meaning for name, meaning in re.findall(r"^#define (\w+) \((.*)\)$", text, re.M)}
    for name, faults in re.findall(r"^FAIL_POINT\((\w+), ([^\"]*), \"", text, re.M):
        for _ in range(3):
            faults = re.sub(r"\b(%s)\b" % "|".join(words), lambda m: words[m.group(1)], faults)
        if not name.startswith("RECORD_"):
            yield name, [fault for fault in FAULTS if re.search(r"FAULT_%s\b" % fault, faults)]


def expected(point, fault):
    if fault == "CRASH":
        return KILLED
    if fault in ("EINTR", "SHORT") or point.startswith(("SINK_", "CHECKPOINT_")):
        return GOES_ON
    if fault == "ENOSPC" and point in WAITS_FOR_ROOM:
        return GOES_ON
    return ENDS


def combinations():
    for point, faults in table():
        for fault in faults:
            recipe = RECIPES.get(point, {})
            for at in recipe.get("times", (1,)):
                yield point, fault, at, dict(recipe)
            if point in RECIPES_BESIDE and fault in ("CRASH", "EIO"):
                yield point, fault, 1, dict(recipe, how=TRICKLE)


class Stream:
    """Payments of two banks: some minutes apart."""

    def __init__(self, seed):
        self.chance, self.number, self.time_ms, self.old = random.Random(seed), 0, 1109635200000, []

    def event(self):
        chance = self.chance
        self.number += 1
        self.time_ms += chance.randrange(400 * 1000)
        sender, receiver = chance.sample(range(60), 2)
        event = {"id": "e%d" % self.number, "source": chance.choice(TOPICS)[1],
                 "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.time_ms // 1000)),
                 "kind": "TRANSFER", "status": "SETTLED", "channel": "WALLET", "currency": "USD", "amount": "%d.00" % chance.randrange(1, 900),
                 "sender": {"account": "A%d" % sender}, "receiver": {"account": "A%d" % receiver}}
        if chance.random() < 0.2:
            event["purpose"] = "SALA"
        line = json.dumps(event)
        self.old = (self.old + [line])[-50:]
        return line

    def line(self):
        roll = self.chance.random()
        if roll < 0.02:
            return '{"id":"x%d","source":"%s"}' % (self.number, TOPICS[0][1])
        return self.chance.choice(self.old) if roll < 0.05 and self.old else self.event()


class World:
    def __init__(self, number):
        self.bench = Bench("fail-points-%d" % number, MUSTER, None, topics=TOPICS)
        self.bench.more_settings = SETTINGS
        self.stream, self.fed, self.at = Stream(number + 1), 0, {}

    def start(self):
        rules = self.bench.path("rules")
        self.bench.rules = rules
        self.bench.start()
        os.makedirs(rules)
        shutil.copy(os.path.join(TOP, "tests/data/run/run.rules"), rules)
        self.feed()
        self.live_through([], lambda engine: None)
        self.feed()
        self.live_through([], lambda engine: None)

    def feed(self, count=PORTION):
        self.stream.time_ms += 31 * 86400000  # each portion begins a segment of the log, and a partition of the table of hits
        lines = [self.stream.line() + "\n" for _ in range(count)]
        with open(self.bench.path("fed.ndjson"), "a") as out:
            out.writelines(lines)
        part = self.bench.path("part.ndjson")
        with open(part, "w") as out:
            out.writelines(lines)
        done = self.bench.run(MUSTER, "feed", "--config", self.bench.settings, "--quiet", "--send-rejected", "--timestamps", "event", part, check=False)
        if done.returncode not in (0, 1):
            raise Failure("feed: exit %d: %s" % (done.returncode, done.stderr[-300:]))
        self.fed += count

    def positions(self):
        """Sum of positions; none may go back."""
        now = {(t, p): int(n) for t, p, n in self.bench.query("select topic, partition, next_offset from muster.position")}
        for key, was in self.at.items():
            if now.get(key, 0) < was:
                raise Failure("the position of %s/%s went back from %d to %s" % (key + (was, now.get(key))))
        self.at = now
        return sum(now.values())

    def engine(self, fail, words):
        settings = ["lease_ms=500"] + words
        return self.bench.engine(overrides=[w for s in settings for w in ("--set", s)], fail=fail)

    def live_through(self, words, during, fail=None):
        """One engine from its start to its end: its exit code, and what it said."""
        engine = self.engine(fail, words)
        deadline = time.monotonic() + 40
        while engine.poll() is None and (self.positions() < self.fed or not (fail or is_live(engine))):
            if time.monotonic() > deadline:
                raise Failure("not drained after 40 s; see %s" % engine.log)
            time.sleep(0.05)
        if engine.poll() is None:
            during(engine)
        if engine.poll() is None:
            engine.terminate()
        engine.wait(timeout=40)
        text = open(engine.log).read()
        os.remove(engine.log)
        self.bench.engines.remove(engine)
        return engine.returncode, text

    def leave_log_ahead(self, words):
        """An engine's life that ends so. Its positions are locked, for the log and PostgreSQL are written at the same time."""
        locks = "from pg_locks where relation = 'muster.position'::regclass and mode = 'AccessExclusiveLock'"
        log_bytes = lambda: sum(entry.stat().st_size for entry in os.scandir(self.bench.path("log")))
        engine = self.engine(None, words)
        wait_for("the engine works", 40, lambda: is_live(engine) and self.positions() == self.fed)
        lock = subprocess.Popen(["psql", "-X", "-q", "-d", self.bench.database.address, "-c",
                                 "begin; lock table muster.position in access exclusive mode; select pg_sleep(60)"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the lock is held", 40, lambda: self.bench.query("select 1 %s and granted" % locks))
        before = log_bytes()
        self.feed()
        wait_for("the log grows", 40, lambda: log_bytes() > before)
        engine.kill()
        engine.wait()
        os.remove(engine.log)
        self.bench.engines.remove(engine)
        # who waits goes first: all of a transaction may be there already, its commit too
        self.bench.query("select pg_terminate_backend(pid) from pg_locks where relation = 'muster.position'::regclass and not granted")
        self.bench.query("select pg_terminate_backend(pid) %s" % locks)
        lock.wait()

    def trickle(self, fired):
        def during(engine):
            for _ in range(6):
                end = time.monotonic() + 1.15
                while time.monotonic() < end and engine.poll() is None and not fired(engine):
                    time.sleep(0.05)
                if engine.poll() is not None or fired(engine):
                    return
                self.feed(20)
        return during

    def try_one(self, point, fault, at, recipe):
        """(outcome, what is wrong or "")"""
        armed = "%s:%s:%d" % (point, fault, at)
        struck = "fail point %s: %s" % (point, fault)
        beside = recipe.get("how") == TRICKLE
        words = ["checkpoint_every_s=%d" % (1 if beside else 3600)]
        self.feed()
        if recipe.get("before") == LOG_AHEAD:
            self.leave_log_ahead(words)
        elif "before" in recipe:
            code, text = self.live_through(words, lambda engine: None, recipe["before"])
            if code != -9:
                return "", "the fault before it (%s) did not strike" % recipe["before"]
        begins_sound = point != "CHECKPOINT_READ" and not point.startswith("LOG_")
        during = self.trickle(lambda engine: struck in open(engine.log).read()) if beside else lambda engine: None
        code, text = self.live_through(words, during, ",".join(filter(None, [recipe.get("with"), armed])))
        if struck not in text:
            return "", "it never struck (exit %s): %s" % (code, text[-300:])
        outcome = KILLED if code == -9 else GOES_ON if code == 0 else ENDS if code == 3 and '"event":"failed"' in text else "exit %d" % code
        wrong = "" if outcome == expected(point, fault) else "expected: %s; %s" % (expected(point, fault), text[-400:])
        if not wrong and point.startswith("CHECKPOINT_") and fault in ("EIO", "ENOSPC") and point != "CHECKPOINT_REMOVE":
            word = "checkpoint_refused" if point == "CHECKPOINT_READ" else "checkpoint_failed"
            wrong = "" if '"event":"%s"' % word in text else "it does not say %s: %s" % (word, text[-400:])
        if not wrong and begins_sound and '"event":"checkpoint_loaded"' not in text:
            wrong = "it does not load the checkpoint of the life before: " + text[-400:]
        return outcome, wrong or self.hold(outcome)

    def hold(self, outcome):
        """Where the engine ended, the next life loads a checkpoint, drains and ends well; the oracle."""
        if outcome != GOES_ON:
            code, text = self.live_through(["checkpoint_every_s=3600"], lambda engine: None)
            if code != 0 or '"event":"checkpoint_loaded"' not in text:
                return "the next engine: exit %s: %s" % (code, text[-400:])
        checks = Checks(quiet=True)
        compare(self.bench, checks, self.bench.path("fed.ndjson"))
        return "the oracle: see above" if checks.failed else ""


class Tour:
    """Hands combinations to worlds."""

    def __init__(self, work):
        self.work, self.lock, self.done = list(work), threading.Lock(), []

    def next(self):
        with self.lock:
            return self.work.pop(0) if self.work else None

    def run(self, number):
        world = World(number)
        try:
            world.start()
            while (one := self.next()):
                try:
                    self.note(one, *world.try_one(*one))
                except (Failure, OSError, subprocess.SubprocessError) as fault:
                    self.note(one, "", str(fault))
                    return
        except (Failure, OSError, subprocess.SubprocessError) as fault:
            self.note(("world %d" % number, "", 0, {}), "", str(fault))
        finally:
            world.bench.stop()

    def note(self, one, outcome, wrong):
        point, fault, at, recipe = one
        with self.lock:
            self.done.append((point, fault, outcome if not wrong else "FAILED"))
            say("%s %-20s %-7s %-4s %-16s %s%s" % ("ok    " if not wrong else "FAILED", point, fault, "n=%d" % at, recipe.get("how", ""), outcome,
                                                  ": " + wrong if wrong else ""))

    def show(self):
        say("\n%-20s %s" % ("", "".join("%-16s" % fault for fault in FAULTS)))
        for point, faults in table():
            cells = [[o for p, f, o in self.done if (p, f) == (point, fault)] for fault in FAULTS]
            say("%-20s %s" % (point, "".join("%-16s" % ("" if not cell else "FAILED" if "FAILED" in cell else cell[0]) for cell in cells)))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--only", default="")
    options.add_argument("--worlds", type=int, default=4)
    options = options.parse_args()
    subprocess.run(["make", "-s", "--no-print-directory", "-j", str(os.cpu_count() or 2), "VARIANT=fault", MUSTER], cwd=TOP, check=True,
                   stdout=subprocess.DEVNULL)
    only = [word for word in options.only.split(",") if word]
    work = [one for one in combinations() if not only or any(one[0].startswith(word) for word in only)]
    tour = Tour(work)
    signal.signal(signal.SIGTERM, lambda *_: tour.work.clear())  # finish what is begun, stop the servers
    threads = [threading.Thread(target=tour.run, args=(number,)) for number in range(options.worlds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tour.show()
    passed = sum(outcome != "FAILED" for _, _, outcome in tour.done)
    failed = len(work) - passed  # what nobody came to has not passed
    say("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
