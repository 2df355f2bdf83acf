#!/usr/bin/env python3
"""Twenty takeovers: the live engine of a pair dies by `kill -9` under load, or sleeps beyond its lease and wakes as a zombie,
or dies while a session that says nothing keeps the lease's row, and its standby goes on. Measured from the kill to the
first commit under the new epoch; at the end the rows in PostgreSQL must equal a one-thread replay of the log of the engine
that was last live. Wherever both engines have left a checkpoint of the same block, at the end at least, their state hashes
must be equal.

Usage: standby_test.py [--takeovers 20] [--lease-ms 3000] [--muster build/muster]"""
import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "crash"))
import crash  # noqa: E402
from testbed import wait_for  # noqa: E402

TAKEOVER_MS_MAX = 6000
FROZEN_AT = 10  # the takeover with a session that keeps the lease's row
FOLLOWS_S, LIVE_S = 60, 30


def told(engine, word):
    if engine.poll() is not None:
        raise crash.Failure("engine %s ended with %d" % (engine.name, engine.returncode))
    return '"event":"%s"' % word in open(engine.log).read()


class Pair:
    """Two engines over one PostgreSQL and one Kafka, each with folders of its own."""

    def __init__(self, bench, lease_ms):
        self.bench, self.lease_ms = bench, lease_ms

    def start(self, name):
        # three checkpoints are as far as the journal reaches back: a standby must not need longer to start, however busy the machine
        words = ["standby=true", "lease_ms=%d" % self.lease_ms, "batch_max=512", "checkpoint_every_s=3"]
        for setting, folder in (("state_dir", "state"), ("log_dir", "log"), ("log_key_dir", "keys")):
            words.append("%s=%s" % (setting, self.bench.path(folder if name == "a" else folder + "-b")))
        engine = self.bench.engine(name, [word for setting in words for word in ("--set", setting)])
        engine.name = name
        return engine

    def committed(self):
        """(epoch, block) of the newest journal row."""
        rows = self.bench.query("select epoch, block from muster.journal order by block desc limit 1")
        return tuple(int(n) for n in rows[0]) if rows else (0, 0)

    def takeover(self, live, standby, sleep):
        """The standby is live and has committed; the milliseconds that took. Returns them and how a zombie left."""
        wait_for("the standby follows", FOLLOWS_S, lambda: told(standby, "standby"))
        wait_for("commits flow", LIVE_S, lambda: told(live, "live"))
        epoch = self.committed()[0]
        since = time.monotonic()
        if sleep:
            live.send_signal(signal.SIGSTOP)
        else:
            live.kill()
            live.wait()
        wait_for("a commit after the takeover", LIVE_S, lambda: self.committed()[0] > epoch)
        took_ms = (time.monotonic() - since) * 1000
        if sleep:
            live.send_signal(signal.SIGCONT)
            return took_ms, live.wait(timeout=20)
        return took_ms, None


class Frozen:
    """What an engine that is frozen in the middle of a commit leaves in PostgreSQL: a session that keeps the lease's row and says
    nothing."""

    def __init__(self, bench):
        self.psql = subprocess.Popen(["psql", "-X", "-q", "-d", bench.database.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, text=True)
        self.psql.stdin.write("begin; select 'held' from muster.lease where id = 1 for share;\n")
        self.psql.stdin.flush()
        wait_for("a session that holds the lease's row", 10, lambda: "held" in self.psql.stdout.readline())

    def was_ended(self):
        """Whether the server has ended it: what psql says next fails."""
        self.psql.communicate("select 1;\n", timeout=10)
        return self.psql.returncode != 0


class Hashes:
    """State hashes of the checkpoints of both engines, by block; a block's file is looked into once for each engine."""

    def __init__(self, bench):
        self.bench, self.seen = bench, {}

    def look(self):
        folders = [self.bench.path(folder) for folder in ("state", "state-b")]
        files = [{name for name in os.listdir(folder) if re.fullmatch(r"checkpoint-\d+", name)} if os.path.isdir(folder) else set() for folder in folders]
        for name in sorted(files[0] & files[1])[-1:]:
            for engine, folder in enumerate(folders):
                shown = self.show(os.path.join(folder, name)) if (name, engine) not in self.seen else None
                if shown:
                    self.seen[name, engine] = shown

    def show(self, path):
        done = self.bench.run(self.bench.muster, "checkpoint", "show", path, "--config", self.bench.settings, "--json", check=False)
        if done.returncode == 0:
            shown = json.loads(done.stdout)
            return shown["block"], shown["seq"], shown["state_hash"]
        if os.path.exists(path):  # else it was pruned meanwhile
            raise crash.Failure("checkpoint show %s: %s" % (path, done.stderr))
        return None

    def pairs(self):
        blocks = {name for name, _ in self.seen}
        return {name: (self.seen[name, 0], self.seen[name, 1]) for name in blocks if (name, 0) in self.seen and (name, 1) in self.seen}


def run(bench, checks, options):
    stream = bench.path("stream.ndjson")
    bench.run(options.muster, "gen", "--events", str(options.events), "--seed", "7", "--sources", "2", "--broken", "1%",
              "--out", stream, "--labels", bench.path("labels.csv"))
    total = sum(1 for _ in open(stream))
    feeder = crash.Feeder(bench, stream, options.takeovers * (options.lease_ms / 1000 + 9))  # longer than the takeovers last
    pair, took, zombies, chance = Pair(bench, options.lease_ms), [], [], random.Random(1)
    hashes = Hashes(bench)
    live = pair.start("a")
    wait_for("the first engine is live", LIVE_S, lambda: told(live, "live"))
    feeder.start()
    wait_for("the first commit", LIVE_S, lambda: pair.committed()[1] > 0)
    standby = pair.start("b")
    for number in range(options.takeovers):
        frozen = Frozen(bench) if number == FROZEN_AT else None
        ms, left = pair.takeover(live, standby, sleep=number % 5 == 4)
        took.append(ms)
        if left is not None:
            zombies.append(left)
        if frozen:
            checks.hold("a session that holds the lease's row and says nothing is ended", frozen.was_ended())
        if feeder.error:
            raise feeder.error
        live, standby = standby, pair.start(live.name)
        hashes.look()
        time.sleep(chance.uniform(0, 1.5))  # kills meet checkpoints and commits at any point
    feeder.hurry = True
    feeder.join(timeout=300)
    wait_for("everything is committed", 60, lambda: told(live, "live") and
             int(bench.query("select coalesce(sum(next_offset), 0) from muster.position")[0][0]) >= total)
    last = "checkpoint-%020d" % pair.committed()[1]
    wait_for("both engines have a checkpoint of the last block", 30,
             lambda: all(os.path.exists(os.path.join(bench.path(folder), last)) for folder in ("state", "state-b")))
    hashes.look()
    pairs = hashes.pairs()
    checks.hold("active and standby have the same state hash at %d common blocks, the last one too" % len(pairs),
                last in pairs and all(left == right for left, right in pairs.values()), str({k: v for k, v in pairs.items() if v[0] != v[1]}))
    lived = bench.query("select count(distinct epoch) from muster.journal")  # those not pruned
    for engine in (standby, live):
        engine.terminate()
        checks.hold("SIGTERM ends the %s engine" % ("live" if engine is live else "standby"), engine.wait(timeout=30) == 0)
    took.sort()
    p50, p99 = took[len(took) // 2], took[min(len(took) - 1, int(len(took) * 0.99))]
    crash.say("%d takeovers, lease %d ms: p50 %.0f ms, p99 %.0f ms; %s journal epochs kept" %
              (len(took), options.lease_ms, p50, p99, lived[0][0]))
    checks.hold("p99 from the kill to the next commit is at most %d ms" % TAKEOVER_MS_MAX, p99 <= TAKEOVER_MS_MAX, "%.0f" % p99)
    checks.hold("each zombie left fenced", all(code == 4 for code in zombies) and len(zombies) == options.takeovers // 5, str(zombies))
    if live.name == "b":  # the log to replay is that of the engine that was live last
        for folder in ("log", "keys"):
            os.rename(bench.path(folder), bench.path(folder + "-a"))
            os.rename(bench.path(folder + "-b"), bench.path(folder))
    crash.compare(bench, checks, stream)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--takeovers", type=int, default=20)
    options.add_argument("--lease-ms", type=int, default=3000)
    options.add_argument("--events", type=int, default=40000)
    options.add_argument("--muster", default="build/muster")
    options = options.parse_args()
    bench, checks = crash.Bench("standby", options.muster, "rules/packs/trafficking"), crash.Checks()
    try:
        bench.start()
        run(bench, checks, options)
    except (crash.Failure, RuntimeError) as fault:
        checks.hold("the run", False, str(fault))
        for engine in bench.engines[-3:]:  # whose words say why
            crash.say("  %s: %s" % (os.path.basename(engine.log), open(engine.log).read()[-600:]))
    finally:
        bench.stop()
    crash.say("%d passed, %d failed, 0 skipped" % (checks.passed, checks.failed))
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
