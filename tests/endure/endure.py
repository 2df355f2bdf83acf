#!/usr/bin/env python3
"""What the engine does when the world fails for longer than a moment, in figures. One scenario per call:

  disk     state_dir and log_dir on a small tmpfs that fills up, is full at SIGTERM, at a kill and at a start
  clock    the wall clock jumps an hour forwards and backwards under a running engine, alone and with a standby waiting
  away     PostgreSQL is away for two minutes under a steady feed
  flap     PostgreSQL's postmaster dies 20 times, some three seconds apart
  memory   128 partitions over four topics, PostgreSQL frozen: how much is held at most, and is all of it read once
  slow     every commit takes longer than the feed allows
  soak     70 % of what the engine can take, for a while: memory and open files stay flat

Every scenario ends with PostgreSQL held against a one-thread replay of the log, and with every message's one outcome.
Ends with `N passed, N failed, N skipped`.

Usage: endure.py SCENARIO [--seconds N] [--rate N] [--muster build/muster]"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from testbed import TOP, Bench, Checks, Failure, command, compare, notices, say, wait_for  # noqa: E402

MIB = 1 << 20
PACK = "rules/packs/trafficking"


def topics(count, partitions):
    return [("payments.bank-%d" % n, "bank-%d" % n, partitions) for n in range(1, count + 1)]


# --- looking at an engine ---

def told(engine, event):
    return [notice["text"] for notice in notices(engine, event)]


def must_live(engine):
    if engine.poll() is not None:
        raise Failure("the engine ended with %d: %s" % (engine.returncode, open(engine.log).read()[-800:]))
    return True


def live(engine):
    wait_for("the engine is live", 60, lambda: must_live(engine) and told(engine, "live"))
    return engine


def http(engine, path):
    """Status and text."""
    base = told(engine, "metrics")[0].rsplit("/", 1)[0]
    try:
        with urllib.request.urlopen(base + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


def metric(engine, name):
    return int(re.search(r"^%s (\d+)$" % re.escape(name), http(engine, "/metrics")[1], re.M).group(1))


def end(engine, code=0):
    engine.terminate()
    got = engine.wait(timeout=120)
    if got != code:
        raise Failure("SIGTERM: exit %d instead of %d: %s" % (got, code, open(engine.log).read()[-800:]))


def resident(process):
    with open("/proc/%d/status" % process.pid) as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) * 1024


def descriptors(process):
    return len(os.listdir("/proc/%d/fd" % process.pid))


class Watch(threading.Thread):
    """Resident memory and open descriptors of an engine, four times a second: (seconds, bytes, count)."""

    def __init__(self, engine):
        super().__init__(daemon=True)
        self.engine, self.seen, self.over = engine, [], threading.Event()
        self.begin = time.monotonic()
        self.start()

    def run(self):
        while not self.over.wait(0.25) and self.engine.poll() is None:
            try:
                self.seen.append((time.monotonic() - self.begin, resident(self.engine), descriptors(self.engine)))
            except (OSError, AttributeError):
                return

    def now(self):
        return time.monotonic() - self.begin

    def most(self, since=0):
        return max(row[1] for row in self.seen if row[0] >= since)


# --- feeding ---

class Feed(threading.Thread):
    """One `muster feed` that gets lines at a steady pace, as fast as they go without one. What it was given is in `stream`."""

    def __init__(self, bench, lines, rate=None, words=(), sent=0):
        super().__init__(daemon=True)
        self.lines, self.rate, self.error = lines, rate, None
        self.before = self.sent = sent  # what others sent before counts too
        self.stream = os.path.join(bench.home, "sent.ndjson")
        self.over = threading.Event()
        self.errors = open(os.path.join(bench.home, "feed.err"), "a")
        self.process = subprocess.Popen([bench.muster, "feed", "--config", bench.settings, "--quiet", "--send-rejected", *words, "-"],
                                        cwd=TOP, stdin=subprocess.PIPE, stdout=self.errors, stderr=self.errors)
        self.start()

    def run(self):
        begin, at = time.monotonic(), 0
        try:
            with open(self.stream, "ab") as kept:
                while at < len(self.lines) and not self.over.is_set():
                    due = int((time.monotonic() - begin) * self.rate) if self.rate else at + 20000
                    piece = self.lines[at:due]
                    self.process.stdin.write(b"".join(piece))
                    self.process.stdin.flush()
                    kept.write(b"".join(piece))
                    at += len(piece)
                    self.sent = self.before + at
                    time.sleep(0.05 if self.rate else 0)
            self.process.stdin.close()
        except Exception as fault:  # reported by whoever joins
            self.error = fault

    def end(self, stop=True):
        """Everything that was given is in Kafka; how many lines, with those sent before."""
        if stop:
            self.over.set()
        self.join(timeout=300)
        code = self.process.wait(timeout=120)
        self.errors.close()
        if self.error or code not in (0, 1):
            raise Failure("feed: exit %s, %s" % (code, self.error))
        return self.sent


def generate(bench, events, seed=1, sources=2, days=90, start="2026-01-05T00:00:00Z"):
    path = os.path.join(bench.home, "stream.ndjson")
    command(bench.muster, "gen", "--events", str(events), "--seed", str(seed), "--sources", str(sources), "--days", str(days), "--start", start,
            "--broken", "1%", "--out", path, "--labels", os.path.join(bench.home, "labels.csv"))
    with open(path, "rb") as lines:
        return lines.read().splitlines(True)


def years(bench, events, count, first=2020):
    """So many years one behind the other, so that every window rolls over: ids name their year."""
    lines = []
    for year in range(first, first + count):
        for line in generate(bench, events // count, seed=year, days=365, start="%d-01-05T00:00:00Z" % year):
            lines.append(line.replace(b'"id":"', b'"id":"%d-' % year, 1) if b'"id":"x' not in line else line)
    return lines


def state_of(bench, empty):
    """What the state that a checkpoint holds needs, without anything on its way, over an empty engine."""
    engine = live(bench.engine("state"))
    time.sleep(1)
    size = resident(engine) - empty
    end(engine)
    return size


def drained(bench, engine, total):
    return must_live(engine) and bench.positions() >= total


def held(bench, checks, log=None):
    compare(bench, checks, os.path.join(bench.home, "sent.ndjson"), log)


# --- the scenarios ---

class SmallDisk:
    """A tmpfs in a mount namespace of its own, kept by a process that sleeps."""

    def __init__(self, bench, mib):
        self.path = os.path.join(bench.home, "small")
        os.makedirs(self.path)
        script = 'mount -t tmpfs -o size=%dm,mode=700 muster-endure "$0" && echo mounted && exec sleep 3600' % mib
        self.keeper = subprocess.Popen(["unshare", "-m", "sh", "-c", script, self.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.keeper.stdout.readline().strip() != "mounted":
            raise PermissionError(self.keeper.stderr.read().strip())
        self.inside = "/proc/%d/root%s" % (self.keeper.pid, self.path)
        self.before = ["nsenter", "-t", str(self.keeper.pid), "-m", "--wd=" + TOP]
        self.ballast = os.path.join(self.inside, "ballast")

    def fill(self, leave=0):
        """Leaves so many bytes, now and until free(): what others give up is taken too."""
        self.filling = threading.Event()
        self.filler = threading.Thread(target=self.fill_on, args=(leave, self.filling), daemon=True)
        self.filler.start()

    def fill_on(self, leave, over):
        with open(self.ballast, "ab", buffering=0) as out:
            while True:
                info = os.statvfs(self.inside)
                try:
                    out.write(bytes(max(0, info.f_bavail * info.f_frsize - leave)))
                except OSError:
                    pass  # the engine was quicker: full is full
                if over.wait(0.02):
                    return

    def free(self):
        self.filling.set()
        self.filler.join()
        os.unlink(self.ballast)

    def close(self):
        self.keeper.kill()
        self.keeper.wait()


def waits_for_room(engine):
    """For a second on end: giving an unfinished checkpoint up may make room for a moment."""
    return all(time.sleep(0.1) or metric(engine, "muster_log_away") == 1 for _ in range(10))


def checkpoints(disk):
    return sorted(name for name in os.listdir(os.path.join(disk.inside, "state")) if re.fullmatch(r"checkpoint-\d+", name))


def disk(options, bench, checks):
    lines = generate(bench, 60000)
    piece = len(lines) // 5
    small = bench.small = SmallDisk(bench, 16)
    words = []
    for name, folder in (("state_dir", "state"), ("log_dir", "log")):
        words += ["--set", "%s=%s" % (name, os.path.join(small.path, folder))]

    def run():
        return bench.engine("disk", words, before=small.before)

    def feed(number, begin=0):
        return Feed(bench, lines[number * piece + begin:(number + 1) * piece]).end(stop=False)

    engine = live(run())
    total = feed(0)
    wait_for("the first piece is committed", 60, lambda: drained(bench, engine, total))
    wait_for("a checkpoint", 10, lambda: checkpoints(small))
    kept = checkpoints(small)
    small.fill(leave=128 << 10)
    total += Feed(bench, lines[piece:piece + 300]).end(stop=False)
    wait_for("a checkpoint does not fit", 20, lambda: must_live(engine) and told(engine, "checkpoint_failed"))
    wait_for("the log still does", 20, lambda: drained(bench, engine, total))
    say("  says: %s" % told(engine, "checkpoint_failed")[0])
    small.free()
    small.fill()
    total += feed(1, begin=300)
    wait_for("the log says that its disk is full", 60, lambda: must_live(engine) and told(engine, "log_full"))
    wait_for("the log waits", 30, lambda: waits_for_room(engine))
    status, why = http(engine, "/health/ready")
    checks.hold("a full disk: the engine waits, is not ready, and says why: %s" % why.strip(), status == 503 and "full" in why)
    checks.hold("a checkpoint that does not fit leaves the ones before: %s" % kept[-1], set(kept[-1:]) <= set(checkpoints(small)) and
                metric(engine, "muster_checkpoints_failed_total") > 0, checkpoints(small))
    say("  says: %s" % told(engine, "log_full")[0])
    small.free()
    took = wait_for("everything is committed once there is room", 60, lambda: drained(bench, engine, total))
    wait_for("the log says that it goes on", 10, lambda: metric(engine, "muster_log_away") == 0)
    say("  full disk, live: all committed %.1f s after there was room; %s" % (took, told(engine, "log_back")[-1]))

    small.fill()
    total += feed(2)
    wait_for("full again", 60, lambda: must_live(engine) and waits_for_room(engine))
    end(engine, code=3)
    failed = told(engine, "failed")[0]
    checks.hold("SIGTERM while it waits ends with 3 and says what it left", "will be read again" in failed, failed)
    engine = run()
    checks.hold("a start on a full disk ends with 3", engine.wait(timeout=60) == 3, engine.returncode)
    failed = told(engine, "failed")[0]
    checks.hold("and says what to do", "make room" in failed and "No space left" in failed, failed)
    say("  says: %s" % failed)
    small.free()
    engine = live(run())
    took = wait_for("everything is committed after the restart", 60, lambda: drained(bench, engine, total))
    say("  full disk, restarted: all committed %.1f s after it was live" % took)

    small.fill()
    total += feed(3)
    wait_for("full once more", 60, lambda: must_live(engine) and waits_for_room(engine))
    engine.kill()
    engine.wait()
    small.free()
    engine = live(run())
    total += feed(4)
    wait_for("everything is committed after the kill", 60, lambda: drained(bench, engine, total))
    end(engine)
    left = [name for name in os.listdir(os.path.join(small.inside, "state")) if name.endswith(".tmp")]
    checks.hold("no torn file keeps room", not left, left)
    for folder in ("log", "state"):
        shutil.copytree(os.path.join(small.inside, folder), os.path.join(bench.home, folder + "-copy"))
    held(bench, checks, os.path.join(bench.home, "log-copy"))


FAKETIME = "/usr/lib/%s/faketime/libfaketimeMT.so.1"


def clock(options, bench, checks):
    library = next((path for path in (FAKETIME % name for name in os.listdir("/usr/lib")) if os.path.exists(path)), None)
    if not library:
        raise PermissionError("libfaketime is not installed (package faketime)")
    told_time = os.path.join(bench.home, "clock")

    def jump(text):
        with open(told_time + ".new", "w") as out:
            out.write(text + "\n")
        os.rename(told_time + ".new", told_time)

    # the C and C++ libraries in front, so that they allocate: jemalloc asks for the time before the fake clock can tell it
    env = {"LD_PRELOAD": library + " libstdc++.so.6 libc.so.6", "FAKETIME_TIMESTAMP_FILE": told_time, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
           "FAKETIME_CACHE_DURATION": "1"}
    lines = generate(bench, 60000)
    jumps = ["+0", "+3600", "+0", "-3600", "+0", "+7200"]
    piece = len(lines) // len(jumps)
    jump(jumps[0])
    engine = live(bench.engine("clock", env=env))
    second = bench.engine("waits")
    seen, total, slowest = [], 0, 0
    for number, offset in enumerate(jumps):
        jump(offset)
        time.sleep(1.5)  # longer than the library's cache and than the lease
        total += Feed(bench, lines[number * piece:(number + 1) * piece]).end(stop=False)
        slowest = max(slowest, wait_for("a piece after the clock went to %s s" % offset, 30, lambda: drained(bench, engine, total)))
        time.sleep(0.3)
        with open(engine.log) as log:
            seen.append(log.read().count('"event"'))
    must_live(engine)
    checks.hold("nothing ended, and nothing was waited for", not told(engine, "sink_away") and not told(engine, "source_away"),
                open(engine.log).read()[-600:])
    checks.hold("the engine that waits never got the lease", not told(second, "live"))
    epochs = bench.query("select epoch from muster.lease")[0][0]
    checks.hold("the lease was taken once", epochs == "1", epochs)
    end(engine)
    stamps = [notice["time"] for notice in notices(engine)]
    checks.hold("its wall clock did jump", any(a > b for a, b in zip(stamps, stamps[1:])) or stamps[-1][:13] != stamps[0][:13], stamps)
    live(second)
    end(second)
    say("  clock: %d jumps of an hour or two; the slowest piece of %d events was committed %.1f s after it was fed" %
        (len(jumps) - 1, piece, slowest))
    held(bench, checks)


def calibrate(bench, engine, lines, count):
    """Feeds so many lines at once: their number, and the events a second from feed to commit that this machine carries."""
    begin = time.monotonic()
    total = Feed(bench, lines[:count]).end(stop=False)
    wait_for("the burst is committed", 120, lambda: drained(bench, engine, total))
    return total, total / (time.monotonic() - begin)


def lag(bench, feed):
    return feed.sent - bench.positions()


def bound_of(fetch_mb, blocks, batch_max, batch_mb):
    """What may be held at most between Kafka and PostgreSQL, in bytes (engine/README.md, When the world fails)."""
    return (fetch_mb + 2 * (blocks + 1) * batch_mb) * MIB + (blocks + 2) * batch_max * 1024


FETCH_MB, BLOCKS, BATCH_MAX, BATCH_MB = 32, 8, 2048, 2
BOUNDED = {"kafka_fetch_mb": FETCH_MB, "queue_blocks_max": BLOCKS, "batch_max": BATCH_MAX, "batch_mb_max": BATCH_MB}


def away(options, bench, checks):
    seconds, most = options.seconds or 120, options.rate or 5000
    lines = generate(bench, most * (seconds + 80))
    engine = live(bench.engine("away", ["--set", "checkpoint_every_s=5"]))
    watch = Watch(engine)
    burst, able = calibrate(bench, engine, lines, most * 6)
    rate = min(most, int(able / 5))  # what waited for two minutes shall be worked off within one, also where the machine is a third slower by then
    feed = Feed(bench, lines[burst:], rate, sent=burst)
    wait_for("the feed flows", 60, lambda: must_live(engine) and bench.positions() > burst + 3 * rate)
    time.sleep(3)
    before, since, fed = watch.most(watch.now() - 2), watch.now(), feed.sent
    bench.database.do("kill")
    begin = time.monotonic()
    wait_for("the engine says that PostgreSQL is away", 30, lambda: must_live(engine) and told(engine, "sink_away"))
    wait_for("and that its queue is full", 60, lambda: must_live(engine) and told(engine, "queue_full"))
    status, why = http(engine, "/health/ready")
    in_flight = 0
    while time.monotonic() - begin < seconds:
        in_flight = max(in_flight, metric(engine, "muster_blocks_in_flight"))
        time.sleep(1)
        must_live(engine)
    grown, behind, got = watch.most(since) - before, feed.sent - fed, (feed.sent - fed) / (time.monotonic() - begin)
    bench.database.start()
    caught_up = wait_for("the feed is caught up with", 120, lambda: must_live(engine) and lag(bench, feed) < 2 * rate, pause=0.2)
    time.sleep(2)
    total = feed.end()
    wait_for("everything is committed", 60, lambda: drained(bench, engine, total))
    bound = bound_of(FETCH_MB, BLOCKS, BATCH_MAX, BATCH_MB)
    say("  away for %d s at %.0f events/s (this machine carries %.0f): %d events waited in Kafka; %d of %d blocks in flight, memory grew by %.0f MiB (bound %.0f); "
        "caught up %.1f s after its return" % (seconds, got, able, behind, in_flight, BLOCKS, grown / MIB, bound / MIB, caught_up))
    checks.hold("it was not ready meanwhile: %s" % why.strip(), status == 503)
    checks.hold("no more blocks in flight than allowed", 0 < in_flight <= BLOCKS, in_flight)
    checks.hold("memory grew by no more than the settings say and 10 %", grown <= bound * 1.1, grown / MIB)
    checks.hold("caught up within 60 s", caught_up <= 60, caught_up)
    checks.hold("it said when it was back", told(engine, "sink_back") and told(engine, "queue_free"))
    end(engine)
    held(bench, checks)


def flap(options, bench, checks):
    rate, times = options.rate or 2000, 20
    lines = generate(bench, rate * 4 * times + 40000)
    engine = live(bench.engine("flap"))
    feed = Feed(bench, lines, rate)
    wait_for("the feed flows", 60, lambda: must_live(engine) and bench.positions() > rate)
    stops = []
    for number in range(times):
        if number % 2:
            bench.database.do("kill")
        else:
            bench.database.stop_fast()
        time.sleep(1.0)
        bench.database.start()
        since = time.monotonic()
        before = bench.positions()
        wait_for("a commit after PostgreSQL's return", 30, lambda: must_live(engine) and bench.positions() > before)
        stops.append(time.monotonic() - since)
        time.sleep(max(0, 1.2 - stops[-1]))
    total = feed.end()
    wait_for("everything is committed", 60, lambda: drained(bench, engine, total))
    checks.hold("one engine lived through all of it", must_live(engine) and len(told(engine, "live")) == 1)
    say("  flapping: %d stops of PostgreSQL under %d events/s; the next commit came %.1f s after its return, %.1f s at most; sink_away told %d times" %
        (times, rate, sorted(stops)[len(stops) // 2], max(stops), len(told(engine, "sink_away"))))
    end(engine)
    held(bench, checks)


def padded(lines, seed=5):
    """Events of many sizes: a field that nobody knows makes them larger, some of them 40 KiB."""
    out = []
    for number, line in enumerate(lines):
        if not line.endswith(b"}\n") or line.startswith(b"{broken"):
            out.append(line)
            continue
        size = (40000 if number % 97 == 0 else 1500 if number % 3 else 0) + (number * 2654435761 + seed) % 700
        out.append(line[:-2] + b',"padding":"' + b"p" * size + b'"}\n')
    return out


def memory(options, bench, checks):
    lines = padded(generate(bench, options.events, sources=4))
    piece = len(lines) // 20
    engine = live(bench.engine("memory"))
    time.sleep(1)
    empty = resident(engine)
    total = Feed(bench, lines[:piece]).end(stop=False)
    wait_for("the warm-up is committed", 60, lambda: drained(bench, engine, total))
    time.sleep(3)
    idle = resident(engine)
    watch = Watch(engine)
    engine.send_signal(signal.SIGSTOP)  # so that all of it lies in Kafka when the queue fills
    total += Feed(bench, lines[piece:-piece], words=["--partition-by", "id"]).end(stop=False)
    bench.database.signal_all(signal.SIGSTOP)
    engine.send_signal(signal.SIGCONT)
    begin = time.monotonic()
    wait_for("the engine says that its queue is full", 60, lambda: must_live(engine) and told(engine, "queue_full"))
    said_after = time.monotonic() - begin
    wait_for("and that PostgreSQL is away, once it has had its time to answer", 60, lambda: must_live(engine) and told(engine, "sink_away"))
    away_after = time.monotonic() - begin
    in_flight, held_bytes = metric(engine, "muster_blocks_in_flight"), metric(engine, "muster_block_bytes_in_flight")
    cut, grown = metric(engine, "muster_blocks_cut_total"), watch.most() - idle
    bench.database.signal_all(signal.SIGCONT)
    took = wait_for("everything is committed", 120, lambda: drained(bench, engine, total))
    most = watch.most() - empty
    end(engine)
    rows = bench.query("select count(*), min(next_offset) from muster.position")[0]
    checks.hold("each of 128 partitions has a position behind its beginning", rows[0] == "128" and int(rows[1]) > 0, rows)
    engine = live(bench.engine("memory"))
    time.sleep(1)
    state = resident(engine) - empty  # what this state needs, without anything on its way
    total += Feed(bench, lines[-piece:], words=["--partition-by", "turn"]).end(stop=False)
    wait_for("what came after the restart is committed", 60, lambda: drained(bench, engine, total))
    bound = bound_of(FETCH_MB, BLOCKS, BATCH_MAX, BATCH_MB)
    fed = sum(map(len, lines))
    say("  memory: 128 partitions, %.0f MiB fed, PostgreSQL frozen: queue full said after %.1f s, away after %.0f s; %d blocks hold %.1f MiB; "
        "memory grew by %.0f MiB (bound %.0f) over %.0f MiB idle; then all was worked off in %.1f s with %.0f MiB at most over the %.0f MiB of "
        "an empty engine (bound %.0f and the state's %.0f twice); %d blocks cut at batch_mb_max" %
        (fed / MIB, said_after, away_after, in_flight, held_bytes / MIB, grown / MIB, bound / MIB, idle / MIB, took, most / MIB, empty / MIB,
         bound / MIB, state / MIB, cut))
    checks.hold("much more was fed than fits", fed > 1.5 * bound, fed / MIB)
    checks.hold("blocks are bounded in number and bytes", in_flight <= BLOCKS and held_bytes <= BLOCKS * (BATCH_MB * MIB + 65536), held_bytes)
    checks.hold("blocks were cut by bytes, and it was said", cut > 0 and told(bench.engines[0], "block_full"))
    checks.hold("memory is at most what the settings say and 10 %", grown <= bound * 1.1, "%.0f MiB" % (grown / MIB))
    checks.hold("and so it is while it works, besides the state and a checkpoint's copy of it", most <= bound * 1.1 + 2 * state, "%.0f MiB" % (most / MIB))
    took_in = metric(engine, "muster_messages_total")
    checks.hold("after a restart all 128 partitions go on where they were: %d messages taken" % took_in,
                took_in == piece and bench.positions() == total, "%d fed, positions at %d of %d" % (piece, bench.positions(), total))
    end(engine)
    held(bench, checks)


def slow(options, bench, checks):
    rate, seconds = options.rate or 3000, options.seconds or 25
    lines = generate(bench, rate * seconds)
    engine = live(bench.engine("slow", ["--set", "batch_max=256"]))
    time.sleep(1)
    empty, watch = resident(engine), Watch(engine)
    feed = Feed(bench, lines[:rate * 5])
    total = feed.end(stop=False)
    quick = wait_for("the first piece is committed", 60, lambda: drained(bench, engine, total))
    since = watch.now()
    bench.query("create function public.endure_slow() returns trigger language plpgsql as $$begin perform pg_sleep(0.8); return null; end$$")
    bench.query("create trigger endure_slow after insert on muster.journal for each statement execute function public.endure_slow()")
    feed = Feed(bench, lines[rate * 5:], rate)
    time.sleep(seconds - 8)
    behind, begin, at = total + feed.sent - bench.positions(), time.monotonic(), bench.positions()
    time.sleep(3)
    paced = (bench.positions() - at) / (time.monotonic() - begin)
    bench.query("drop trigger endure_slow on muster.journal")
    total += feed.end(stop=False)
    took = wait_for("everything is committed", 60, lambda: drained(bench, engine, total))
    grown, bound = watch.most(since) - empty, bound_of(FETCH_MB, BLOCKS, 256, BATCH_MB)
    went_on = must_live(engine)
    end(engine)
    state = state_of(bench, empty)
    say("  slow: with 0.8 s a commit %.0f of %d events/s went through (quick: %.0f), %d were behind, %.0f MiB over an empty engine "
        "(bound %.0f and the state's %.0f twice); all committed %.1f s after it was quick again" %
        (paced, rate, rate * 5 / max(quick, 0.01), behind, grown / MIB, bound / MIB, state / MIB, took))
    checks.hold("throughput fell, and nothing ended", behind > 0 and paced < rate and went_on, "%d behind, %.0f/s" % (behind, paced))
    checks.hold("memory is at most what the settings say and 10 %, besides the state", grown <= bound * 1.1 + 2 * state, grown / MIB)
    held(bench, checks)


def slope(rows, column):
    """Least squares, per second."""
    n = len(rows)
    mx, my = sum(r[0] for r in rows) / n, sum(r[column] for r in rows) / n
    return sum((r[0] - mx) * (r[column] - my) for r in rows) / sum((r[0] - mx) ** 2 for r in rows)


def soak(options, bench, checks):
    seconds, most = options.seconds or 90, options.rate or 8000
    engine = live(bench.engine("soak", ["--set", "checkpoint_every_s=5"]))
    time.sleep(1)
    empty = resident(engine)
    first = years(bench, most * 5, 1)
    total, able = calibrate(bench, engine, first, len(first))
    rate = min(most, int(able * 0.6))
    # a year in a quarter of the time: every window has rolled over before the half
    lines = years(bench, rate * (seconds + 10), 4, first=2021)
    watch, behind = Watch(engine), []
    feed = Feed(bench, lines, rate, sent=total)
    while watch.now() < seconds:
        time.sleep(2)
        must_live(engine)
        behind.append(lag(bench, feed))
    total = feed.end()
    wait_for("everything is committed", 60, lambda: drained(bench, engine, total))
    time.sleep(3)
    left = resident(engine)
    end(engine)
    state = state_of(bench, empty)
    rows = [row for row in watch.seen if seconds * 0.5 <= row[0] <= seconds]
    if len(rows) < 20:
        raise Failure("too few readings of memory: %d" % len(rows))
    mean, per_minute, files = sum(row[1] for row in rows) / len(rows), slope(rows, 1) * 60, [row[2] for row in rows]
    course = " ".join("%.0f" % (row[1] / MIB) for row in watch.seen[::max(1, len(watch.seen) // 12)])
    say("  soak: %d s at %d events/s (this machine carries %.0f from feed to commit): resident %s MiB, %+.1f MiB a minute in the second half; "
        "at rest %.0f, of which an empty engine has %.0f and the state %.0f; %d to %d descriptors; at most %d events behind" %
        (seconds, rate, able, course, per_minute / MIB, left / MIB, empty / MIB, state / MIB, min(files), max(files), max(behind)))
    bound = bound_of(FETCH_MB, BLOCKS, BATCH_MAX, BATCH_MB)
    checks.hold("resident memory stays flat", per_minute * seconds / 120 <= max(0.08 * mean, 12 * MIB), "%.1f MiB a minute" % (per_minute / MIB))
    checks.hold("at rest there is little besides the state", left <= empty + state + bound / 2, "%.0f MiB" % (left / MIB))
    checks.hold("descriptors stay flat", abs(slope(rows, 2)) * seconds <= 2 and max(files) - min(files) <= 8, files)
    checks.hold("the feed is kept up with", max(behind[len(behind) // 2:]) < 8 * rate, max(behind))
    held(bench, checks)


SCENARIOS = {
    "disk": (disk, topics(2, 3), {}),
    "clock": (clock, topics(2, 3), {}),
    "away": (away, topics(2, 48), BOUNDED),
    "flap": (flap, topics(2, 6), {}),
    "memory": (memory, topics(4, 32), BOUNDED),
    "slow": (slow, topics(2, 6), BOUNDED),
    "soak": (soak, topics(2, 12), BOUNDED),
}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("scenario", choices=SCENARIOS)
    options.add_argument("--seconds", type=int, default=0)
    options.add_argument("--rate", type=int, default=0)
    options.add_argument("--events", type=int, default=90000)
    options.add_argument("--muster", default="build/muster")
    options = options.parse_args()
    scenario, where, settings = SCENARIOS[options.scenario]
    settings = {"http_port": 0, "lease_ms": 1500, "checkpoint_every_s": 1, "stop_wait_ms": 2000, **settings}
    bench, checks, begin = Bench(os.path.join(TOP, "build", "endure-" + options.scenario), options.muster, PACK, where, **settings), Checks(), time.monotonic()
    os.environ["PG_FSYNC"] = "off"  # processes die here, machines do not
    try:
        bench.start()
        scenario(options, bench, checks)
    except PermissionError as why:
        say("skipped: %s\n0 passed, 0 failed, 1 skipped" % why)
        return 0
    except (Failure, RuntimeError, subprocess.TimeoutExpired) as fault:
        checks.hold("the run", False, str(fault))
    finally:
        if getattr(bench, "small", None):
            bench.small.close()
        bench.stop()
    say("  %.0f s in all" % (time.monotonic() - begin))
    say("%d passed, %d failed, 0 skipped" % (checks.passed, checks.failed))
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
