#!/usr/bin/env python3
"""The same stream must give byte-identical alerts and hits for any threads and any batch size,
with the index of filters and without.

Usage: determinism.py [--events N]; batch 1 runs on 10,000 events. Ends with `N passed, N failed`."""
import argparse
import hashlib
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOME = os.path.join(TOP, "build", "determinism")


def digest(stream, threads, batch, index="true"):
    names = [os.path.join(HOME, name) for name in ("alerts.ndjson", "hits.ndjson")]
    subprocess.run(["build/muster", "replay", stream, "--rules", "rules/packs/trafficking", "--rates", "rules/packs/rates.csv", "--quiet",
                    "--threads", str(threads), "--batch", str(batch), "--set", "filter_index=" + index, "--alerts", names[0], "--hits", names[1]],
                   cwd=TOP, check=True, stdout=subprocess.DEVNULL)
    sums = [hashlib.sha256(open(name, "rb").read()).hexdigest() for name in names]
    return sums, [sum(1 for _ in open(name, "rb")) for name in names]


def check(events, threads, batches):
    stream = os.path.join(HOME, "stream-%d.ndjson" % events)
    subprocess.run(["build/muster", "gen", "--events", str(events), "--seed", "11", "--out", stream, "--broken", "0.1%"], cwd=TOP, check=True,
                   stderr=subprocess.DEVNULL)
    expected, lines = digest(stream, 1, 16384)
    print("%d events: %d alert revisions, %d hits, sha256 %.16s %.16s" % (events, lines[0], lines[1], expected[0], expected[1]), flush=True)
    passed = failed = 0
    for count in threads:
        for batch in batches:
            same = digest(stream, count, batch)[0] == expected and lines[0] > 0
            passed, failed = passed + same, failed + (not same)
            print("  threads %d, batch %5d: %s" % (count, batch, "equal" if same else "DIFFERENT"), flush=True)
    same = digest(stream, threads[-1], batches[-1], "false")[0] == expected
    passed, failed = passed + same, failed + (not same)
    print("  every filter asked at every event: %s" % ("equal" if same else "DIFFERENT"), flush=True)
    os.unlink(stream)
    return passed, failed


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, default=1000000)
    options = options.parse_args()
    os.makedirs(HOME, exist_ok=True)
    large = check(options.events, (1, 2, 3, 8), (7, 1000, 16384))
    small = check(10000, (1, 2), (1,))
    print("%d passed, %d failed" % (large[0] + small[0], large[1] + small[1]))
    return 1 if large[1] + small[1] else 0


if __name__ == "__main__":
    sys.exit(main())
