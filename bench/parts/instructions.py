"""Instructions per event by phase, counted by callgrind: the same on a busy machine. The gate of bench-check.

bench/results/instructions.txt holds what was last accepted; `make bench-accept` writes it."""
import os
import re
import shutil
import subprocess

import growth
from parts.common import HOME, PACK, RATES, RESULTS, TOP, Unavailable, lines_of, row, stream

TITLE = "Instructions per event"
ACCEPTED = os.path.join(RESULTS, "instructions.txt")
EVENTS = 5000
MORE = 1.03  # three runs lay within 0.1 %; the hash key is random
# What a phase is called, and the function whose inclusive cost it is.
PHASES = (("read", "file_reader_read"), ("decode", "intake_decode"), ("own", "own_run"), ("route", "strata_route"), ("visit", "strata_visit"),
          ("report", "report_hits"), ("decide", "decide_work"), ("all", "replay_files"))
CHECK = "check"  # of `muster rules check`, per rule, of about 1,000: 33 times the pack
CHECK_TIMES = 33
HEAD = "# Instructions per event by phase, of a replay with the whole pack on one thread; made by make bench-accept.\n# check: per rule, of `muster rules check` with 1,000 rules.\n"


def inclusive(path):
    """{function: instructions}"""
    text = subprocess.run(["callgrind_annotate", "--threshold=100", "--inclusive=yes", path], capture_output=True, text=True).stdout
    return {name: int(count.replace(",", "")) for count, name in re.findall(r"^ *([\d,]+) \([ \d.]+%\) +\S+?:(\w+) \[\S*/muster\]$", text, re.M)}


def count(rules=PACK):
    """{phase: instructions per event}. shard_mb_max: valgrind has no room for large shards."""
    if not shutil.which("valgrind"):
        raise Unavailable("valgrind is not installed")
    path, out = stream(EVENTS), os.path.join(HOME, "callgrind.out")
    words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out, "build/muster", "replay", path, "--rules", rules, "--rates", RATES,
             "--threads", "1", "--quiet", "--set", "shard_mb_max=8"]
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable("valgrind cannot run this binary here: %s" % done.stderr.strip()[-200:])
    functions, events = inclusive(out), lines_of(path)
    missing = [function for _, function in PHASES if function not in functions]
    if missing:
        raise AssertionError("callgrind names no %s: a phase has another function now; mend PHASES in %s" % (", ".join(missing), __file__))
    counted = {phase: functions[function] / events for phase, function in PHASES}
    counted[CHECK] = count_check()
    return counted


def count_check():
    folder, rules = growth.grow(CHECK_TIMES)
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "build/muster", "rules", "check", folder],
                          cwd=TOP, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise Unavailable("valgrind cannot run `rules check` here: %s" % done.stderr.strip()[-200:])
    return int(found.group(1)) / rules


def accepted():
    rows = (line.split() for line in open(ACCEPTED, encoding="utf-8") if line.strip() and not line.startswith("#"))
    return {phase: float(figure) for phase, figure in rows}


def accept(counted):
    with open(ACCEPTED, "w", encoding="utf-8") as out:
        out.write(HEAD)
        out.writelines("%-7s %8.0f\n" % (phase, counted[phase]) for phase in counted)


def gates(counted):
    """(what, good) for each phase; a phase of a few instructions may have 50 more."""
    known = accepted()
    for phase in counted:
        was = known.get(phase, 0)
        good = counted[phase] <= max(was * MORE, was + 50)
        less = "; make bench-accept notes that it is less now" if counted[phase] < was / MORE else ""
        yield "%s: %.0f instructions per %s, %.0f accepted%s" % (phase, counted[phase], "rule" if phase == CHECK else "event", was, less), good


def measure(options):
    counted, known = count(), accepted()
    rows = [row(phase, counted[phase], "instructions/event", "at most 3 %% above %.0f" % known[phase] if phase in known else "",
                most=known.get(phase, 0) * MORE or None, how="callgrind, %s" % function) for phase, function in PHASES]
    rows.append(row("`rules check` of 1,000 rules", counted[CHECK], "instructions/rule", how="callgrind"))
    return {"rows": rows, "note": "%d events, one thread; the start of the program is not counted." % EVENTS, "data": counted}
