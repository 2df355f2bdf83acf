#!/usr/bin/env python3
"""Cycles as networkx sees them: a second witness on `cycle through K`.

The model program dumps random worlds with what the engine's search found. networkx lists the simple cycles of the legs in the
window, without time; of those through e, the ones whose legs can be chosen in hop order and keep their amounts are kept here,
and the best of them must be the engine's. Ends with `N passed, N failed, N skipped`."""
import itertools
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(TOP, "build", "release", "tests", "simulation", "graph_model")
WORLDS, CYCLES_MAX = 1500, 20000


def kept(keep, first, second):
    if keep is None:
        return True
    if first is None or second is None:
        return False
    return keep[0] * first <= second * 1_000_000 <= keep[1] * first


def choices(parallel, nodes, keep, closing):
    """All ways to take one leg per step of the cycle, in hop order, each keeping the amount before it; closed by e."""
    steps = list(zip(nodes, nodes[1:]))
    ways = [[leg] for leg in parallel[steps[0]]]
    for step in steps[1:]:
        ways = [way + [leg] for way, leg in itertools.product(ways, parallel[step]) if way[-1][:2] < leg[:2] and kept(keep, way[-1][4], leg[4])]
    return [way + [closing] for way in ways if way[-1][:2] < closing[:2] and kept(keep, way[-1][4], closing[4])]


def best_cycle(networkx, world):
    """(hops, seqs) of the best cycle that e closes, or None when there are too many to list."""
    legs = [tuple(leg) for leg in world["legs"]]
    closing = next(leg for leg in legs if leg[1] == world["event"])
    payer, home = closing[2], closing[3]
    graph, parallel = networkx.DiGraph(), {}
    for leg in legs:
        if leg[2] == leg[3]:
            continue
        graph.add_edge(leg[2], leg[3])
        parallel.setdefault((leg[2], leg[3]), []).append(leg)
    best = ([], [])
    for count, cycle in enumerate(networkx.simple_cycles(graph)):
        if count > CYCLES_MAX:
            return None
        if home not in cycle or not world["hops"][0] <= len(cycle) <= world["hops"][1]:
            continue
        at = cycle.index(home)
        nodes = cycle[at:] + cycle[:at]
        if nodes[-1] != payer:
            continue
        for way in choices(parallel, nodes, world["keep"], closing):
            best = max(best, (way, [leg[1] for leg in way]), key=lambda found: (len(found[0]), [leg[:2] for leg in found[0]]))
    return len(best[1]), best[1]


def main():
    try:
        import networkx
    except ImportError:
        print("python3-networkx is not installed: no second witness on cycles")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    program = os.path.relpath(MODEL, TOP)
    subprocess.run(["make", "--no-print-directory", "-s", program], cwd=TOP, check=True, stdout=subprocess.DEVNULL)
    dump = subprocess.run([MODEL, "dump", str(WORLDS), "9"], capture_output=True, text=True, check=True).stdout
    passed = failed = skipped = found = 0
    for number, line in enumerate(dump.splitlines()):
        world = json.loads(line)
        want = best_cycle(networkx, world)
        if want is None:
            skipped += 1
        elif want == (world["value"], world["proof"]):
            passed += 1
            found += world["value"] > 0
        else:
            failed += 1
            print("world %d: networkx says %s, the engine %d by %s\n  %s" % (number, want, world["value"], world["proof"], line))
    print("cycles in %d of %d worlds" % (found, passed + failed))
    if found < WORLDS // 10:
        print("too few cycles to judge by")
        failed += 1
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
