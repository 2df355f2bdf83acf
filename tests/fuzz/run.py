#!/usr/bin/env python3
"""Builds every fuzz target with clang's libFuzzer and sanitizers and runs each for some seconds.

Usage: run.py [--seconds 20] [--only NAME]. Ends with `N passed, N failed, N skipped`."""
import argparse
import glob
import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(TOP, "build", "fuzz")
# Seeds that are the data of other tests, besides tests/fuzz/corpus/NAME.
SEEDS = {"fuzz_rules": ["tests/data/diagnostics", "tests/data/meaning", "tests/data/sample", "rules/packs/trafficking"]}


def build():
    return subprocess.run(["make", "--no-print-directory", "-s", "-j", str(os.cpu_count() or 2), "VARIANT=fuzz", "CC=clang-14", "fuzzers"],
                          cwd=TOP).returncode == 0


def run(name, seconds):
    corpus = os.path.join(OUT, "corpus", name)
    os.makedirs(corpus, exist_ok=True)
    seeds = ["tests/fuzz/corpus/" + name] + SEEDS.get(name, [])
    words = [os.path.join(OUT, "tests", "fuzz", name), "-max_total_time=%d" % seconds, "-timeout=5", "-rss_limit_mb=2048", "-print_final_stats=1",
             "-artifact_prefix=%s/" % OUT, corpus] + [folder for folder in seeds if os.path.isdir(os.path.join(TOP, folder))]
    done = subprocess.run(words, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds + 120)
    runs = [line.split()[-1] for line in done.stdout.splitlines() if "number_of_executed_units" in line]
    print("%-20s %s: %s runs" % (name, "ok" if done.returncode == 0 else "FAILED", runs[0] if runs else "?"), flush=True)
    if done.returncode:
        print(done.stdout[-3000:])
    return done.returncode == 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=int, default=20)
    options.add_argument("--only", default="")
    options = options.parse_args()
    names = sorted(os.path.basename(path)[:-2] for path in glob.glob(os.path.join(TOP, "tests", "fuzz", "fuzz_*.c")))
    if not shutil.which("clang-14"):
        print("clang-14 is not installed\n0 passed, 0 failed, %d skipped" % len(names))
        return 0
    if not build():
        print("the fuzz targets do not build\n0 passed, 1 failed, 0 skipped")
        return 1
    results = [run(name, options.seconds) for name in names if options.only in name]
    print("%d passed, %d failed, 0 skipped" % (sum(results), len(results) - sum(results)))
    return 0 if all(results) and results else 1


if __name__ == "__main__":
    sys.exit(main())
