#!/usr/bin/env python3
"""How fast `muster rules backtest` goes over a recorded stream, as a share of the rate of `muster replay` with the same
rules and threads: alone, and against the rules as they were before (one threshold differs).

The three take turns, so that other work on the machine meets all of them; medians of the rounds' ratios, of wall time and
of processor time (user and system), which says what is more to do where the cores are shared with others.

Usage: backtest.py [--events N] [--rounds N] [--threads 1,2]"""
import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOME = os.path.join(TOP, "build", "bench", "backtest")
PACK, RATES = os.path.join(TOP, "rules", "packs", "trafficking"), os.path.join(TOP, "rules", "packs", "rates.csv")


def timed(*words):
    """(wall, processor) seconds of a command."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(["build/muster", *words, "--rates", RATES, "--quiet"], cwd=TOP, capture_output=True, text=True)
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1): # 1: alerts differ
        sys.exit(done.stderr)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def old_rules():
    """The pack with one threshold as it may have been before."""
    folder = os.path.join(HOME, "old")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PACK, folder)
    path = os.path.join(folder, "forced_labour.rules")
    text = open(path, encoding="utf-8").read()
    other = re.sub(r"param workers_min = 3 ", "param workers_min = 4 ", text)
    assert other != text
    with open(path, "w", encoding="utf-8") as out:
        out.write(other)
    return folder


def ratios(path, threads, rounds):
    """{(alone or against, wall or processor): rate as a share of the replay's}"""
    old, found = old_rules(), {}
    for _ in range(rounds):
        replay = timed("replay", path, "--rules", PACK, "--threads", str(threads))
        for what, more in (("alone", ()), ("against", ("--against", old))):
            test = timed("rules", "backtest", PACK, "--on", path, "--threads", str(threads), *more)
            for i, clock in enumerate(("wall", "processor")):
                found.setdefault((what, clock), []).append(replay[i] / test[i])
    return {key: statistics.median(values) for key, values in found.items()}


def rows(path, rounds=3, threads=(1, 2)):
    """For the table of `make bench`."""
    os.makedirs(HOME, exist_ok=True)
    out = []
    for count in threads:
        of = ratios(path, count, rounds)
        for what, words in (("alone", "`rules backtest`"), ("against", "`rules backtest --against`")):
            out.append(("%s to replay, rates, %d thread%s" % (words, count, "s" if count > 1 else ""), "%.2f" % of[what, "wall"],
                        "by processor time %.2f" % of[what, "processor"]))
    return out


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, default=100000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", default="1,2")
    options = options.parse_args()
    os.makedirs(HOME, exist_ok=True)
    path = os.path.join(HOME, "stream-%d.ndjson" % options.events)
    if not os.path.exists(path):
        subprocess.run(["build/muster", "gen", "--events", str(options.events), "--seed", "7", "--sources", "2", "--out", path], cwd=TOP, check=True,
                       capture_output=True)
    for row in rows(path, options.rounds, [int(count) for count in options.threads.split(",")]):
        print("%-52s %s  (%s)" % row)


if __name__ == "__main__":
    main()
