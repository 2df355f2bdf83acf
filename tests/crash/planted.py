#!/usr/bin/env python3
"""Three builds with a planted error (engine/base/planted.h): each named suite must fail on it, and pass on the honest build.

Usage: planted.py [VARIANT…]     ends with `N passed, N failed, N skipped`"""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed", re.M)
TSAN = {"TSAN_OPTIONS": "halt_on_error=1:exitcode=66:suppressions=tests/tsan.supp"}
MODELS = "build/%s/tests/simulation/"
CRASH = ["python3", "tests/crash/crash.py", "--kills", "3", "--postgres-kills", "0", "--events", "6000", "--home", "planted", "--muster"]

# planted variant, honest one, what is built of each, the suite, and what its failure says
CASES = [
    ("planted_drop", "release", "tests/simulation/pipeline_model", ["build/%s/tests/simulation/pipeline_model", "30"], "an event has no outcome"),
    ("planted_drop", "release", "muster", CRASH + ["build/%s/muster"], r"FAIL scored \+ joined \+ rejected \+ repeated = fed"),
    ("planted_double", "release", "tests/simulation/strata_model", ["build/%s/tests/simulation/strata_model", "1500"], "FAILED seed"),
    ("planted_race", "tsan", "tests/simulation/strata_model", ["build/%s/tests/simulation/strata_model", "60"], "WARNING: ThreadSanitizer: data race"),
]


def make(variant, target):
    subprocess.run(["make", "-s", "--no-print-directory", "-j", str(os.cpu_count() or 2), "VARIANT=" + variant, "build/%s/%s" % (variant, target)],
                   cwd=TOP, check=True, stdout=subprocess.DEVNULL)


def run(words, variant):
    """(exit code, passed, failed, what was said)"""
    words = [word % variant if "%s" in word else word for word in words]
    done = subprocess.run(words, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env={**os.environ, **TSAN}, timeout=400)
    counts = COUNTS.findall(done.stdout)
    passed, failed = (int(n) for n in counts[-1]) if counts else (0, 0)
    return done.returncode, passed, failed, done.stdout


def main():
    tally = [0, 0]

    def hold(what, good, text):
        tally[not good] += 1
        print("%s %s%s" % ("ok    " if good else "FAILED", what, "" if good else ":\n" + text[-800:]), flush=True)

    for planted, honest, target, words, says in (case for case in CASES if len(sys.argv) < 2 or case[0] in sys.argv[1:]):
        name = os.path.basename(words[0] if "%s" in words[0] else words[1])
        make(planted, target)
        make(honest, target)
        code, passed, failed, text = run(words, honest)
        hold("%s passes on the honest build (%s): %d passed" % (name, honest, passed), code == 0 and passed > 0 and failed == 0, text)
        code, passed, failed, text = run(words, planted)
        hold("%s fails on %s (exit %d)" % (name, planted, code), code != 0 and re.search(says, text), text)
    print("%d passed, %d failed, 0 skipped" % tuple(tally))
    return 1 if tally[1] else 0


if __name__ == "__main__":
    sys.exit(main())
