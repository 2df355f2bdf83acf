"""The gates of bench-check: instruction counts by phase, and ratios taken within one run."""
import statistics
import subprocess

from parts import instructions, replay, rule_sets, scale
from parts.common import PACK, TOP, Unavailable, spin, stream


class Gates:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def hold(self, what, good):
        print("%s %s" % ("ok    " if good else "FAILED", what), flush=True)
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)

    def skip(self, what):
        print("skip   %s" % what, flush=True)
        self.skipped += 1


def threads_and_strata(gates):
    path, rows = stream(150000), []
    pack, _ = rule_sets.without_graphs()  # what searches cost is held by their instructions
    while len(rows) < 3 or (speedup < 1.1 and len(rows) < 12):
        rows.append((replay.once(path, pack, 1), replay.once(path, pack, 2)))
        # the best pair: where somebody else keeps a core busy, barriers make both threads wait for it
        speedup = max(two["events/s"] / one["events/s"] for one, two in rows)
    strata = statistics.median((one["route"] + one["visit"]) / one["decode"] for one, _ in rows)
    gates.hold("strata cost at most 14 times decoding, without graph rules: %.1f" % strata, strata <= 14)
    free = spin()
    if free < 1.6:
        gates.skip("2 threads against 1: other work leaves %.1f cores" % free)
    else:
        gates.hold("2 threads are at least 1.1 times as fast as 1: %.2f" % speedup, speedup >= 1.1)


def memory(gates):
    flat = subprocess.run(["build/release/bench/main/memory", PACK, "tests/data/strata"], cwd=TOP, capture_output=True, text=True)
    gates.hold("memory stays flat over ten times the longest window, accounts coming and going too", flat.returncode == 0)


def growth(gates):
    """In processor time, taken in turn; the best of three of each."""
    costs = {size: [] for size in (10000, 300000)}
    for size in list(costs) * 3:
        costs[size].append(scale.once(scale.EDGES, accounts=size, events=60000, timed=60000, touch=True)["event_median_ns"])
    ratio = min(costs[300000]) / min(costs[10000])
    gates.hold("with 300,000 accounts known an event costs at most 3 times what it does with 10,000: %.2f" % ratio, ratio <= 3)
    for shape in ("clique", "star"):
        found = scale.once(scale.EDGES, accounts=10000, events=60000, timed=60000, shape=shape)
        looked = found["legs_looked"] / found["searches"]
        gates.hold("%s: a search looks at %.0f payments on average, of a budget of 20,000" % (shape, looked), 0 < looked <= 20000)


def counts(gates):
    try:
        for what, good in instructions.gates(instructions.count()):
            gates.hold(what, good)
    except Unavailable as why:
        gates.skip("instructions per event: %s" % why)


def run_gates():
    gates = Gates()
    for gate in (counts, growth, threads_and_strata, memory):
        gate(gates)
    print("%d passed, %d failed, %d skipped" % (gates.passed, gates.failed, gates.skipped))
    return 1 if gates.failed else 0


def accept():
    instructions.accept(instructions.count())
    print(open(instructions.ACCEPTED, encoding="utf-8").read(), end="")
    return 0
