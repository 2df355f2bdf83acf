#!/usr/bin/env python3
"""`make bench`: what Muster costs on this machine, part by part (bench/parts), as a committed table, JSON and pictures in
bench/results. With --only, or PARTS=… of make, just those parts are measured anew; the others stay as they were noted, and so does
one that cannot be measured here.
`make bench-check` (--check): gates on instruction counts and on ratios within one run, never on absolute times; ends with
`N passed, N failed, N skipped`. `make bench-accept` (--accept): what instructions are counted now becomes the measure.

Usage: bench.py [--only PART[,PART…]] [--events N] [--rounds N] | --check | --accept | --list"""
import argparse
import importlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from parts import check, table  # noqa: E402
from parts.common import HOME, Unavailable, Watch, machine  # noqa: E402

PARTS = ("replay", "threads", "kafka", "latency", "instructions", "memory", "scale", "uneven", "restart", "backtest", "peers")


def measure(name, options):
    """The part's entry of results.json."""
    part = importlib.import_module("parts." + name)
    print("%s …" % part.TITLE, file=sys.stderr, flush=True)
    with Watch() as watch:
        try:
            found = part.measure(options)
        except (Unavailable, OSError) as why:
            found = {"rows": [], "note": "skipped: %s" % why}
    return {"title": part.TITLE, **found, "seconds": round(watch.seconds), "others": round(watch.others, 2), "stolen": round(watch.stolen, 2)}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--only", default="")
    options.add_argument("--events", type=int, help="other than each part's own number")
    options.add_argument("--rounds", type=int)
    for flag in ("--check", "--accept", "--list"):
        options.add_argument(flag, action="store_true")
    options = options.parse_args()
    os.makedirs(HOME, exist_ok=True)
    if options.check:
        return check.run_gates()
    if options.accept:
        return check.accept()
    if options.list:
        print("\n".join(PARTS))
        return 0
    wanted = options.only.split(",") if options.only else PARTS
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print("bench: there is no part %s; there are %s" % (", ".join(unknown), ", ".join(PARTS)), file=sys.stderr)
        return 2
    on = machine()
    for name in wanted:
        found = measure(name, options)
        if found["rows"] or name not in table.load():
            table.keep(name, {**found, "machine": on}, PARTS)
        else:  # what another machine measured, or another day, says more
            print("%s: %s; it stays as it was noted" % (name, found["note"]), file=sys.stderr)
    print(table.text(PARTS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
