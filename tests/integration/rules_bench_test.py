#!/usr/bin/env python3
"""`muster rules bench`: the shape of its table (its figures are the machine's) and of its JSON, that its counts are
those of a replay, that a set against itself is no change, that a planted slow pattern is found and named, and its
exit codes. Ends with `N passed, N failed, N skipped`.

Usage: rules_bench_test.py [MUSTER]"""
import json
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUSTER = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.path.join(TOP, "build", "muster")
HOME = os.path.join(TOP, "build", "rules-bench-test")
RULES = """ruleset measured { timezone "Africa/Nairobi" base USD }
typology tests "Tests" { offence trafficking alert at 1000 points from 2 indicators in 2 families }
text words { any %s }
rule T-1 "told" {
  version 1 status live typology tests family network evidence act
  source "none" P why "to be timed" owner "tests" review by 2030-01-01
  for each account
  let told = count of in where narrative matches words over 7d
  when told >= 2
  points 1 to account as undetermined
  say "{told}"
}
rule T-2 "cash" {
  version 1 status live typology tests family network evidence act
  source "none" P why "to be timed" owner "tests" review by 2030-01-01
  for each account
  let cash = count of out where channel = ATM over 7d
  when cash >= 2
  points 1 to account as undetermined
  say "{cash}"
}
rule T-3 "cash again" {
  version 1 status live typology tests family network evidence act
  source "none" P why "to be timed" owner "tests" review by 2030-01-01
  for each account
  let cash = count of out where channel = ATM over 7d
  when cash >= 5
  points 1 to account as undetermined
  say "{cash}"
}
"""
QUICK, SLOW = "/\\bsalary\\b/i", "/\\bsalary\\b/i, /(\\w+ ?)+[#!]/"
# what stands where figures were
TABLE = """N events of FILE, one thread, the best of N rounds
N ns of the core per event: decode, order and step; N ns with timing, N % slower than without
the timing itself costs N ns each time and has been taken off; N of N timings were interrupted and left out

rule checks matches hits ns miss ns match ns pN ns/event of core bytes/key keys state pattern
T-N N N N N N N N N% N N SIZE N %
T-N N N N N N N N N% N N SIZE -
T-N N N N N N N N N% N N SIZE -

all rules N ns per event, the index of filters N ns; the rest is decoding, identities, keys and deciding
(ns miss, ns match: one check that does not match, that does; pN: N of N checks take no longer; ns/event: checks, filters, records and texts,
what rules share divided among them; pattern: narratives at which a regular expression ran, past the words that must occur)

shared:
T-N shares N of N source with T-N
T-N shares N of N source with T-N

mend first: T-N takes N % of the core: WHY
most state: T-N keeps N % of what keys hold: records of its windows, for each account
"""

passed = failed = 0


def check(good, what, shown=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED %s\n%s" % (what, shown), flush=True)


def run(*words):
    return subprocess.run([MUSTER, *words], cwd=TOP, capture_output=True, text=True)


def rule_set(name, pattern, text=RULES):
    folder = os.path.join(HOME, name)
    os.makedirs(folder)
    with open(os.path.join(folder, "a.rules"), "w", encoding="utf-8") as out:
        out.write(text % pattern)
    return folder


def stream(events):
    """Narratives long enough for a slow pattern to be slow in."""
    path = os.path.join(HOME, "stream.ndjson")
    with open(path, "w", encoding="utf-8") as out:
        for i in range(events):
            out.write(json.dumps({"id": "e%d" % i, "source": "bank-1", "time": "2026-01-%02dT%02d:%02d:%02dZ" % (1 + i // 2880, i // 120 % 24, i // 2 % 60, i % 2 * 30),
                                  "channel": "ATM" if i % 3 == 0 else "MOBILE", "amount": "10.00", "currency": "USD",
                                  "sender": {"account": "S%d" % (i * 7 % 90)}, "receiver": {"account": "R%d" % (i % 50)},
                                  "narrative": "Salary of May, for work done" if i % 4 == 0 else "rent and food for two"}) + "\n")
    return path


def shape(text):
    """The text with its figures and its spaces taken out."""
    text = re.sub(r"events of [^ ,]+", "events of FILE", text)
    text = re.sub(r"of the core: [^\n]*", "of the core: WHY", text, count=0) if "mend first" not in text else \
        re.sub(r"(mend first: [^\n]*?of the core: )[^\n]*", r"\1WHY", text)
    text = re.sub(r"-?\d+(\.\d+)? (B|KiB|MiB)\b", "SIZE", text)
    text = re.sub(r"T-\d", "T-N", text)
    text = re.sub(r"(?<![A-Za-z-])-?\d+(\.\d+)?|(?<=\bp)\d+", "N", text)
    return "\n".join(" ".join(line.split()) for line in text.split("\n"))


def test_table(quick, path):
    done = run("rules", "bench", quick, "--on", path, "--rounds", "1")
    check(done.returncode == 0, "it ends well", done.stderr)
    check(shape(done.stdout) == TABLE, "the table has this shape", shape(done.stdout))


def test_json(quick, path, events):
    got = json.loads(run("rules", "bench", quick, "--on", path, "--rounds", "1", "--json").stdout)
    hits = os.path.join(HOME, "hits.ndjson")
    run("replay", path, "--rules", quick, "--quiet", "--hits", hits)
    found = [json.loads(line)["rule_id"] for line in open(hits, encoding="utf-8")]
    rules = {rule["rule"]: rule for rule in got["rules"]}
    check(got["events"] == events and got["assumed"] is False, "all events were taken", got)
    for name, rule in rules.items():
        check(rule["hits"] == found.count(name) > 0, "%s hits as often as in a replay" % name, rule)
        check(rule["checks"] >= rule["matches"] >= rule["hits"], "%s: checks, matches, hits" % name, rule)
        check(rule["checks"] == (events // 4 if name == "T-1" else (events + 2) // 3), "%s is checked only where its source is met" % name, rule)
    check(rules["T-2"]["shared"] == 1 and rules["T-2"]["shared_with"] == ["T-3"], "T-2 shares with T-3", rules["T-2"])
    # the pattern runs behind its word only: at every fourth narrative
    check(rules["T-1"]["pattern_ppm"] == 250000 and rules["T-2"]["pattern_ppm"] is None, "the pattern runs where its word occurs", rules["T-1"])
    check(rules["T-2"]["keys"] == rules["T-3"]["keys"] == 30, "keys that hold the source", rules["T-2"])


def test_compare(quick, slow, path):
    # figures of a busy machine move: what is held is what must never happen, and what must always
    same = run("rules", "bench", quick, "--compare", quick, "--on", path, "--rounds", "5")
    check(same.returncode == 0 and "no change: the whole takes" in same.stdout, "a set against itself is no change", same.stdout + same.stderr)
    check(len(re.findall("no change$", same.stdout, re.M)) == 4, "nor is any rule of it", same.stdout)
    worse = run("rules", "bench", slow, "--compare", quick, "--on", path, "--rounds", "5")
    check(worse.returncode == 1 and "slower most: T-1" in worse.stdout, "a slow pattern is found and its rule named", worse.stdout + worse.stderr)
    better = json.loads(run("rules", "bench", quick, "--compare", slow, "--on", path, "--rounds", "5", "--json").stdout)
    row = {row["name"]: row for row in better["ratios"]}
    check(row["T-1"]["verdict"] == "faster" and row["T-1"]["ratio_permille"] < 500 and better["slower"] == 0, "the other way round it is faster", better)
    advice = json.loads(run("rules", "bench", slow, "--on", path, "--rounds", "1", "--json").stdout)
    check(advice["mend_first"] == "T-1" and "text `words`" in advice["advice"] and "words that must occur" in advice["advice"], "and says what to do", advice)


def test_saved(quick, slow, path):
    saved = os.path.join(HOME, "saved.json")
    with open(saved, "w", encoding="utf-8") as out:
        out.write(run("rules", "bench", quick, "--on", path, "--rounds", "4", "--json").stdout)
    worse = run("rules", "bench", slow, "--compare", saved, "--on", path, "--rounds", "4")
    check(worse.returncode == 1 and re.search(r"^T-1 .* slower$", worse.stdout, re.M) and "against what was saved" in worse.stdout,
          "a slow pattern is found against saved figures", worse.stdout + worse.stderr)
    other = run("rules", "bench", quick, "--compare", saved, "--events", "2000", "--rounds", "3")
    check(other.returncode == 3 and "was measured over 6000 events" in other.stderr, "another stream is refused", other.stderr)
    wrong = run("rules", "bench", quick, "--compare", path, "--on", path, "--rounds", "3")
    check(wrong.returncode == 3 and "neither a folder of rules nor" in wrong.stderr, "a file that is no saved measurement is refused", wrong.stderr)


def test_changed_set(quick, path):
    fewer = rule_set("fewer", QUICK, RULES.split("rule T-3")[0])
    done = run("rules", "bench", fewer, "--compare", quick, "--on", path, "--rounds", "3")
    check(re.search(r"^T-3 +gone", done.stdout, re.M), "a rule that is gone is named", done.stdout)
    done = run("rules", "bench", quick, "--compare", fewer, "--on", path, "--rounds", "3")
    check(re.search(r"^T-3 +new", done.stdout, re.M), "a new one too", done.stdout)


def test_codes(quick):
    check(run("rules", "bench", os.path.join(HOME, "nowhere")).returncode != 0, "no rules: not well")
    check(run("rules", "bench", quick, "--on", os.path.join(HOME, "nothing.ndjson")).returncode == 3, "no stream: the world failed")
    check(run("rules", "bench", quick, "--rounds", "2", "--compare", quick).returncode == 2, "two rounds are too few to compare")
    empty = os.path.join(HOME, "empty.ndjson")
    open(empty, "w").close()
    done = run("rules", "bench", quick, "--on", empty)
    check(done.returncode == 3 and "no line of the stream" in done.stderr, "an empty stream measures nothing", done.stderr)
    check(run("rules", "bench", quick, "--events", "2000", "--rounds", "1").stdout.count("ASSUMED") == 1, "a generated stream is said to be one")


def main():
    shutil.rmtree(HOME, ignore_errors=True)
    os.makedirs(HOME)
    quick, slow, events = rule_set("quick", QUICK), rule_set("slow", SLOW), 6000
    path = stream(events)
    test_table(quick, path)
    test_json(quick, path, events)
    test_compare(quick, slow, path)
    test_saved(quick, slow, path)
    test_changed_set(quick, path)
    test_codes(quick)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
