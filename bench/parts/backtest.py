"""How fast `muster rules backtest` goes over a recorded stream, as a share of the rate of `muster replay` with the same rules and
threads: alone, and against the rules as they may have been before. The three take turns, so that other work on the machine meets
all of them; medians of the rounds' ratios, of wall time and of processor time, which says what is more to do on shared cores."""
import os
import re
import resource
import shutil
import statistics
import subprocess
import time

from parts.common import HOME, PACK, RATES, TOP, lines_of, row, stream

TITLE = "Back-tests"
EVENTS, ROUNDS = 200000, 3


def timed(*words):
    """(wall, processor) seconds of a command."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(["build/muster", *words, "--rates", RATES, "--quiet"], cwd=TOP, capture_output=True, text=True)
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):  # 1: alerts differ
        raise RuntimeError(done.stderr)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def old_rules():
    """The pack with one threshold as it may have been before."""
    folder = os.path.join(HOME, "backtest-old")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(TOP, PACK), folder)
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
        replay = timed("replay", path, "--rules", PACK, "--threads", threads)
        for what, more in (("alone", ()), ("against", ("--against", old))):
            test = timed("rules", "backtest", PACK, "--on", path, "--threads", threads, *more)
            for i, clock in enumerate(("wall", "processor")):
                found.setdefault((what, clock), []).append(replay[i] / test[i])
    return {key: statistics.median(values) for key, values in found.items()}


def measure(options):
    path, rounds, rows, data = stream(options.events or EVENTS), options.rounds or ROUNDS, [], {}
    for threads in ("1", "2"):
        for (what, clock), ratio in ratios(path, threads, rounds).items():
            name = "`rules backtest%s` to replay, %s thread%s, %s time" % (" --against" if what == "against" else "", threads, "s" * (threads > "1"), clock)
            data[name] = ratio
            rows.append(row(name, ratio, "times", how="muster rules backtest"))
    return {"rows": rows, "note": "%d events, medians of %d rounds in turn, start and end included." % (lines_of(path), rounds), "data": data}
