#!/usr/bin/env python3
"""Kills the engine and PostgreSQL at random moments and holds what is left against a one-thread replay.

A private PostgreSQL (fsync on), the embedded Kafka in a process of its own, a paced feeder and the
engine under `kill -9`. Sometimes two engines run side by side, sometimes one is stopped beyond its
lease and woken again. At the end the engine drains, and then must hold:

  1. hits, alert revisions and rejections in PostgreSQL equal a one-thread replay of the log that the
     run left, row by row;
  2. every message that was fed has exactly one outcome: scored or joined (in the log), rejected (in
     PostgreSQL), or repeated (its source and id are in the log already, with the same body);
  3. positions never went back, and no row came from an engine that had lost its lease;
  4. a checkpoint with flipped bits is refused and the one before it used.

Usage: crash.py [--kills 200] [--postgres-kills 10] [--seed 1] [--events 40000] [--muster build/muster]
                [--broker mock|real] [--broker-kills 20] [--home crash]
With --broker real, Apache Kafka (docker/kafka.py) serves, and dies by `kill -9` now and then as well.
Ends with `N passed, N failed, N skipped`."""
import argparse
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from testbed import TOP, Bench, Checks, Failure, Feeder, compare, drain, kafka, say  # noqa: E402


def torment(bench, chance, kills, postgres_kills, broker_kills, feeder):
    """Kill after kill; returns how often the losing engine of a pair was seen to leave by itself."""
    postgres_at = set(chance.sample(range(kills), postgres_kills))
    broker_at = set(chance.sample(range(kills), broker_kills))
    fenced = 0
    for kill in range(kills):
        first = bench.engine("a")
        second = bench.engine("b") if kill % 4 == 1 and kill % 20 != 5 else None
        if kill % 20 == 5:  # stopped beyond its lease, then woken: the cleanest zombie
            for _ in range(60):
                if '"event":"live"' in open(first.log).read():
                    break
                time.sleep(0.1)
            zombie, second = first, bench.engine("b")
            zombie.send_signal(signal.SIGSTOP)
            time.sleep(2.5)
            zombie.send_signal(signal.SIGCONT)
            try:
                fenced += zombie.wait(timeout=8) == 4
            except subprocess.TimeoutExpired:
                pass
        time.sleep(chance.uniform(0.05, 1.3))
        if kill in postgres_at:
            bench.kill_postmaster()
            time.sleep(chance.uniform(0.05, 0.8))
        if kill in broker_at:
            bench.kill_broker()
        for process in (first, second):
            if process and process.poll() is None:
                process.kill()
                process.wait()
            elif process and process.returncode not in (0, 4, -9):
                raise Failure("an engine ended by itself with %d after kill %d: %s" % (process.returncode, kill, open(process.log).read()[-900:]))
        if feeder.error:
            raise feeder.error
        if kill % 20 == 19:
            say("  %d kills, %d messages fed" % (kill + 1, feeder.fed))
    return fenced


def checkpoint_files(bench):
    """Oldest first."""
    state = bench.path("state")
    return sorted((f for f in os.listdir(state) if f.startswith("checkpoint-") and not f.endswith(".tmp")),
                  key=lambda f: os.path.getmtime(os.path.join(state, f)))


def checkpoint_more(bench, stream, fed):
    """Few kills may leave too few checkpoints: repeats make a block, and the clean end of a life a checkpoint."""
    part = bench.path("repeats.ndjson")
    with open(stream) as lines, open(part, "w") as out:
        again = lines.readlines()[:50]
        out.writelines(again)
    Feeder(bench, stream, 1).feed(part)
    drain(bench, fed + len(again))
    return fed + len(again)


def flipped_checkpoint(bench, checks, stream, fed):
    state = bench.path("state")
    for _ in range(2):
        fed = fed if len(checkpoint_files(bench)) >= 2 else checkpoint_more(bench, stream, fed)
    files = checkpoint_files(bench)
    if len(files) < 2:
        checks.hold("two checkpoints to choose from", False, "there is %s" % files)
        return
    newest = os.path.join(state, files[-1])
    with open(newest, "r+b") as file:
        file.seek(os.path.getsize(newest) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x10]))
    before = bench.query("select count(*), coalesce(max(seq), 0) from muster.hit")
    engine = bench.engine("flipped")
    time.sleep(4)
    engine.terminate()
    code = engine.wait(timeout=30)
    log = open(engine.log).read()
    checks.hold("a checkpoint with a flipped bit is refused, with its name", files[-1] in log, log[-500:])
    checks.hold("the one before it is used, and nothing changes", code == 0 and files[-2] in log and
                before == bench.query("select count(*), coalesce(max(seq), 0) from muster.hit"), "exit %d" % code)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--postgres-kills", type=int, default=10)
    options.add_argument("--events", type=int, default=40000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--broker", choices=("mock", "real"), default="mock")
    options.add_argument("--broker-kills", type=int, default=20)
    options.add_argument("--home", default="crash", help="folder under build")
    options.add_argument("--muster", default="build/muster")
    options.add_argument("--rules", default="rules/packs/trafficking")
    options = options.parse_args()
    chance = random.Random(options.seed)
    bench, checks = Bench(options.home, options.muster, options.rules, broker=options.broker), Checks()
    broker_kills = min(options.broker_kills, options.kills) if options.broker == "real" else 0
    try:
        if options.broker == "real":
            kafka.fetch()
        bench.start()
        stream = bench.path("stream.ndjson")
        bench.run(options.muster, "gen", "--events", str(options.events), "--seed", str(options.seed), "--sources", "2",
                  "--broken", "1%", "--out", stream, "--labels", bench.path("labels.csv"))
        total = sum(1 for _ in open(stream))
        feeder = Feeder(bench, stream, options.kills * 0.9)
        feeder.start()
        fenced = torment(bench, chance, options.kills, options.postgres_kills, broker_kills, feeder)
        feeder.join(timeout=300)
        drain(bench, total)
        say("%d kills of the engine, %d of PostgreSQL, %d of the broker, %d messages fed, %d zombies left fenced" %
            (options.kills, options.postgres_kills, broker_kills, total, fenced))
        compare(bench, checks, stream)
        checks.hold("a stopped and woken engine leaves fenced", options.kills < 6 or fenced > 0)
        flipped_checkpoint(bench, checks, stream, total)
    except kafka.Unavailable as why:
        say("skipped: %s\n0 passed, 0 failed, 1 skipped" % why)
        return 0
    except (Failure, RuntimeError) as fault:
        checks.hold("the run", False, str(fault))
    finally:
        bench.stop()
    say("%d passed, %d failed, 0 skipped" % (checks.passed, checks.failed))
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
