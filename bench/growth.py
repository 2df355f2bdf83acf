#!/usr/bin/env python3
"""What an event costs when the rule set grows: the pack, and it with 10 and 60 times as many rules.

The further rules are the pack's own, each with one more condition on discrete values (mcc; country and channel; channel and weekday)
in every source it reads, other values in each copy: one in 13 copies meets events of the stream. Memories, texts and lists stay as they are. Sets are
measured in turn (`muster rules bench --json`), the best round of each counts; instructions per event are the
difference between two lengths of stream under callgrind, so that loading the rules is not in them.
Rules with graph operators are left out unless --graphs asks for them: most of these look at every payment of their key, whatever
discrete value their payments are narrowed to, so that 10 times the whole pack takes 1.7 times the instructions of an event.
Writes bench/results/growth.md, growth.json and growth.svg.

Usage: growth.py [--sizes 1,10,60] [--events N] [--rounds N] [--graphs]"""
import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time

from parts import rule_sets

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACK = os.path.join(TOP, "rules", "packs", "trafficking")
RATES = os.path.join(TOP, "rules", "packs", "rates.csv")
HOME = os.path.join(TOP, "build", "bench", "growth")
RESULTS = os.path.join(TOP, "bench", "results")
OPERATORS = "cycle chain pass_through gather_scatter scatter_gather sharing hops route".split()
FLOW = r"(in|out|transfers|refunds|reversals)"
COUNTRIES = "UG TZ RW ET SO SS BI DJ ER EG SD LY TN MA DZ NG GH SN ML NE TD CM GA AO ZM ZW MW MZ NA BW ZA AE SA OM QA KW BH JO LB TR IN PK BD NP LK TH".split()
CHANNELS = "MOBILE WALLET POS ATM AGENT ONLINE API".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()


def conditions():
    """Discrete conditions without end, no two alike."""
    number = 0
    while True:
        yield "mcc = %04d" % (3000 + number % 6000)
        yield "receiver.country = %s and channel = %s" % (COUNTRIES[number % len(COUNTRIES)], ("MOBILE", "ONLINE", "AGENT", "BRANCH")[number // len(COUNTRIES) % 4])
        if number % 6 == 0: # these occur in the stream
            yield "channel = %s and weekday = %s" % (CHANNELS[number // 6 % len(CHANNELS)], DAYS[number // 6 // len(CHANNELS) % 7])
        number += 1


def blocks(text):
    """The rules of a file, as they are written."""
    for match in re.finditer(r"^rule (\S+) .*?^}\n", text, re.M | re.S):
        yield match.group(1), match.group(0)


def narrowed_searches(block, condition):
    """Every payment that a graph operator of the rule follows with one more condition."""
    def let(match):
        text = match.group(0)
        if " where " not in text:
            return text + " where " + condition
        return re.sub(r" where (.*?)(?=\s+second where |$)", lambda m: " where %s and (%s)" % (condition, m.group(1)), text, flags=re.S)
    return re.sub(r"let \w+\s*= (?:%s) (?:.*?)(?=\n\s*(?:let |when |\n))" % "|".join(OPERATORS), let, block, flags=re.S)


def narrowed(block, condition):
    """Every source of the rule with one more condition."""
    block = narrowed_searches(block, condition)
    def line(text):
        if re.match(r"\s*(why|source|say|owner|title)\b", text):
            return text
        let = re.match(r"(\s*let \w+\s*= )%s( where (.*))?$" % FLOW, text)
        if let:
            return "%s%s where %s%s" % (let.group(1), let.group(2), condition, " and (%s)" % let.group(4) if let.group(4) else "")
        return re.sub(r"\bof %s( where (.*?))?( over | since )" % FLOW,
                      lambda m: "of %s where %s%s%s" % (m.group(1), condition, " and (%s)" % m.group(3) if m.group(3) else "", m.group(4)), text)
    return "\n".join(map(line, block.split("\n")))


def grow(times, pack=PACK):
    """A folder with `times` as many rules as the pack's, and how many."""
    folder = os.path.join(HOME, "x%d" % times)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pack, folder)
    more, rules = conditions(), 0
    for path in sorted(os.listdir(pack)):
        if not path.endswith(".rules"):
            continue
        text = open(os.path.join(pack, path), encoding="utf-8").read()
        mine = list(blocks(text))
        rules += len(mine)
        for copy in range(1, times):
            with open(os.path.join(folder, "%s_%02d.rules" % (path[:-6], copy)), "w", encoding="utf-8") as out:
                for name, block in mine:
                    out.write(narrowed(block.replace("rule %s " % name, "rule %s%02d " % (name, copy), 1), next(more)) + "\n")
    return folder, rules * times


def measure(folder, events, extra):
    done = subprocess.run(["build/muster", "rules", "bench", folder, "--rates", RATES, "--events", str(events), "--rounds", "1", "--json",
                           "--set", "shard_mb_max=256", *extra], cwd=TOP, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr + done.stdout)
    return json.loads(done.stdout)


def instructions(folder, events):
    """Of one event: what the second half of a stream costs."""
    counts = []
    for part in (events, 2 * events):
        path = os.path.join(HOME, "stream-%d.ndjson" % part)
        with open(os.path.join(HOME, "stream.ndjson"), encoding="utf-8") as stream, open(path, "w", encoding="utf-8") as out:
            out.writelines(line for line, _ in zip(stream, range(part)))
        words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "build/muster", "replay", path, "--rules", folder, "--rates", RATES, "--threads", "1",
                 "--quiet", "--set", "shard_mb_max=8"]
        found = re.search(r"Collected : (\d+)", subprocess.run(words, cwd=TOP, capture_output=True, text=True).stderr)
        if not found:
            return None
        counts.append(int(found.group(1)))
    return (counts[1] - counts[0]) / events


def picture(rows):
    """Cost against the number of rules, both as multiples of the pack's, on axes of powers."""
    most = max(row["rules"] for row in rows) / rows[0]["rules"]
    def x(times):
        return 70 + 500 * math.log(times) / math.log(most)
    def y(times):
        return 330 - 290 * math.log(max(times, 0.5) * 2) / math.log(most * 2)
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 390" font-family="sans-serif" font-size="13">',
             '<rect width="640" height="390" fill="white"/>']
    for tick in (1, 2, 4, 10, 30, 60):
        if tick <= most:
            parts.append('<line x1="70" x2="570" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="60" y="%.1f" text-anchor="end">%d×</text>' % (y(tick), y(tick), y(tick) + 4, tick))
    for row in rows:
        at = row["rules"] / rows[0]["rules"]
        parts.append('<text x="%.1f" y="352" text-anchor="middle">%d</text>' % (x(at), row["rules"]))
    for key, colour, label in (("plain_ns", "#8a8a8a", "time without the index"), ("event_ns", "#1f6feb", "time"), ("instructions", "#d1680b", "instructions")):
        if any(row.get(key) is None for row in rows):
            continue
        points = [(x(row["rules"] / rows[0]["rules"]), y(row[key] / rows[0][key])) for row in rows]
        parts.append('<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>' % (colour, " ".join("%.1f,%.1f" % point for point in points)))
        parts += ['<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>' % (*point, colour) for point in points]
        parts.append('<text x="%.1f" y="%.1f" text-anchor="end" fill="%s">%s: %.1f×</text>' % (points[-1][0] + 55, points[-1][1] + (20 if key == "instructions" else -8), colour, label, rows[-1][key] / rows[0][key]))
    parts.append('<line x1="70" y1="%.1f" x2="570" y2="%.1f" stroke="#999" stroke-dasharray="4 4"/><text x="110" y="120" fill="#777">as many times as there are rules</text>'
                 % (y(1), y(most)))
    parts.append('<text x="320" y="377" text-anchor="middle">rules</text><text x="70" y="22">cost of one event, as a multiple of the pack\'s</text></svg>')
    return "\n".join(parts) + "\n"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--sizes", default="1,10,60")
    options.add_argument("--events", type=int, default=20000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--graphs", action="store_true", help="with the rules that follow money from account to account: most of them look at every payment")
    options = options.parse_args()
    os.makedirs(HOME, exist_ok=True)
    subprocess.run(["build/muster", "gen", "--events", "20000", "--seed", "7", "--sources", "2", "--out", os.path.join(HOME, "stream.ndjson")], cwd=TOP, check=True,
                   capture_output=True)
    pack = PACK if options.graphs else rule_sets.without_graphs()[0]
    sets = [grow(int(times), pack) for times in options.sizes.split(",")]
    best, plain = [None] * len(sets), [math.inf] * len(sets)
    for _ in range(options.rounds):
        for i, (folder, _) in enumerate(sets):
            one = measure(folder, options.events, [])
            if best[i] is None or one["event_ps"] < best[i]["event_ps"]:
                best[i] = one
            plain[i] = min(plain[i], measure(folder, options.events, ["--set", "filter_index=false"])["event_ps"] / 1000)
    rows = []
    for (folder, rules), one, without in zip(sets, best, plain):
        checks = sum(rule["checks"] for rule in one["rules"]) / one["events"]
        rows.append({"rules": rules, "event_ns": one["event_ps"] / 1000, "step_ns": one["timed_step_ps"] / 1000, "index_ns": one["index_ps"] / 1000,
                     "checks": checks, "state_bytes": one["state_bytes"], "plain_ns": without,
                     "instructions": instructions(folder, 4000) if shutil.which("valgrind") else None})
        print("%5d rules: %.0f ns per event, %.0f without the index, step %.0f ns with timing, index %.0f ns, %.2f checks, %s instructions" %
              (rules, rows[-1]["event_ns"], without, rows[-1]["step_ns"], rows[-1]["index_ns"], checks, rows[-1]["instructions"]), flush=True)
    lines = ["# What an event costs when the rule set grows", "",
             "Made by `make bench-growth` (`bench/growth.py --sizes %s --events %d --rounds %d`) on %s, one thread. Rules with graph operators are left out. The further rules are the pack's with one more discrete condition"
             % (options.sizes, options.events, options.rounds, time.strftime("%Y-%m-%d")),
             "(mcc; country and channel; channel and weekday) in every source: one in 13 meets events of the stream.", "",
             "| rules | ns per event | times | without the index | times | step, timed, ns | times | instructions | times | index, ns | checks per event | state, bytes |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        counted = row["instructions"]
        lines.append("| %d | %.0f | %.2f | %.0f | %.2f | %.0f | %.2f | %s | %s | %.0f | %.2f | %d |" %
                     (row["rules"], row["event_ns"], row["event_ns"] / rows[0]["event_ns"], row["plain_ns"], row["plain_ns"] / rows[0]["plain_ns"], row["step_ns"], row["step_ns"] / rows[0]["step_ns"],
                      "%.0f" % counted if counted else "-", "%.2f" % (counted / rows[0]["instructions"]) if counted else "-", row["index_ns"], row["checks"],
                      row["state_bytes"]))
    lines += ["", "![cost of one event against the number of rules](growth.svg)", ""]
    os.makedirs(RESULTS, exist_ok=True)
    for name, text in (("growth.md", "\n".join(lines)), ("growth.json", json.dumps(rows, indent=1) + "\n"), ("growth.svg", picture(rows))):
        with open(os.path.join(RESULTS, name), "w", encoding="utf-8") as out:
            out.write(text)


if __name__ == "__main__":
    main()
