#!/usr/bin/env python3
"""What each graph operator finds of published laundering attempts, and how many alerts it costs.

Each attempt is replayed twice: alone, where every hit, its account and its value must be what a slow model of the definition says (the
ceiling); and inside background traffic, where a hit counts only if its proof lies inside the attempt. Nothing reads a payment's
format, and amounts count only against each other. AMLworld's times are whole minutes: --orders N
draws N times at which moment of its minute each payment was, and tells how far what is found depends on it. Writes bench/results/aml.md,
aml.json and aml.svg; --check is the short version, a test: it writes nothing and ends with `N passed, N failed, N skipped`.

The sets are read from --data or the folder that MUSTER_AML_DATA names; AMLSim also lies under tests/data/aml.

Usage: aml.py [--check] [--data DIR] [--events N] [--seed N] [--orders N]"""
import argparse
import collections
import datetime
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

import model
import picture
import sets

TOP = sets.TOP
HERE = os.path.dirname(os.path.abspath(__file__))
HOME = os.path.join(TOP, "build", "aml")
RESULTS = os.path.join(TOP, "bench", "results")
OWN = os.path.join(TOP, "tests", "data", "aml")


class Stream:
    """One file of events, and which attempt each line belongs to."""

    def __init__(self, name, attempts, background, rules, apart, order=None):
        """apart: each attempt with accounts of its own. order: seed of the moments within their minutes; None: each at its begin, as written."""
        rows = [(*row[:4], number, None) for number, (_, legs) in enumerate(attempts) for row in legs] + [(*row[:4], None, row[4]) for row in background]
        if apart:
            rows = [(row[0], "%d:%s" % (row[4], row[1]), "%d:%s" % (row[4], row[2]), *row[3:]) for row in rows]
        if order is not None:
            chance = random.Random(order)
            rows = [row if row[4] is None else (row[0] + chance.randrange(sets.MINUTE), *row[1:]) for row in rows]
        self.rows = sorted(rows, key=lambda row: row[0])
        self.legs = [(row[0], seq, *row[1:4]) for seq, row in enumerate(self.rows, 1)]
        self.of = [row[4] for row in self.rows]
        self.mine = collections.defaultdict(list)  # legs of each attempt, in order
        for leg, attempt in zip(self.legs, self.of):
            if attempt is not None:
                self.mine[attempt].append(leg)
        # a known case to start from: where the last payment of each attempt went, if that account is in no other attempt
        serves = collections.Counter(end for _, legs in attempts for end in {end for leg in legs for end in leg[1:3]})
        last = [self.mine[number][-1][3] for number in range(len(attempts))]
        self.listed = frozenset(account for account in last if serves[account.partition(":")[2] if apart else account] == 1)
        self.folder = os.path.join(HOME, name)
        self.write(rules)

    def write(self, rules):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        with open(os.path.join(HERE, "operators.rules")) as text, open(os.path.join(self.folder, "operators.rules"), "w") as out:
            # blocks that this set has nothing for are left out
            out.write(re.sub(r"^(rule (\S+)) .*?^}\n", lambda block: block.group(0) if block.group(2) in rules else "", text.read(), flags=re.M | re.S))
        with open(os.path.join(self.folder, "known.csv"), "w") as out:
            out.write("account\n" + "".join("%s\n" % account for account in sorted(self.listed)))
        self.path = os.path.join(self.folder, "events.ndjson")
        with open(self.path, "w") as out:
            for seq, (time_ms, payer, payee, amount, _, event) in enumerate(self.rows, 1):
                if event is None:
                    event = {"amount": "%d.%02d" % divmod(amount, 100), "currency": "USD", "sender": {"account": payer}, "receiver": {"account": payee}}
                instant = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds")
                out.write(json.dumps({**event, "id": "r%d" % seq, "source": "aml", "time": instant}) + "\n")

    def replay(self, threads, batch=None):
        names = [os.path.join(self.folder, name) for name in ("hits", "alerts", "positions", "rejections")]
        words = [word for pair in zip(("--hits", "--alerts", "--positions", "--rejections"), names) for word in pair]
        subprocess.run(["build/muster", "replay", self.path, "--rules", self.folder, "--quiet", "--threads", str(threads), *words,
                        *(["--batch", str(batch)] if batch else []), "--set", "shard_mb_max=64"], cwd=TOP, check=True)
        read = [open(name).read() for name in names]
        if len(read[2].splitlines()) != len(self.rows) or read[3]:
            sys.exit("%s: not every event was accepted, so sequence numbers are not lines" % self.path)
        return read[0], read[1]


def parsed(hit):
    """A hit as (rule, account, line, value, lines of its proof)."""
    words = hit["say"].split()
    return hit["rule_id"], hit["key"][0], hit["seq"], int(words[-1]), [leg["seq"] for leg in hit["evidence"]]


def model_hits(stream, rules):
    """{(rule, account, line): (value, attempt)} of each attempt by itself, whatever else there is."""
    found = {}
    for attempt, legs in stream.mine.items():
        own = stream.listed & {end for leg in legs for end in leg[2:4]}
        for rule in rules:
            for (account, index), number in model.hits(rule, legs, own).items():
                found[rule, account, legs[index][1]] = (number, attempt)
    return found


def credited(stream, rule, account, proof):
    """The attempt in which the proof lies, else None."""
    attempts = collections.Counter(stream.of[seq - 1] for seq in proof if stream.of[seq - 1] is not None)
    for attempt, count in attempts.items():
        legs = [stream.legs[seq - 1] for seq in sorted(set(proof)) if stream.of[seq - 1] == attempt]
        if rule in model.WHOLE:
            if count == len(proof):
                return attempt
        elif any((model.value(rule, legs[:i + 1], e, account) or 0) >= model.THRESHOLD[rule] for i, e in enumerate(legs)):
            return attempt
    return None


class Outcome:
    """What the rules found of one set."""

    def __init__(self, data, threads, order=None):
        name = data.name.split()[0].lower()
        self.data = data
        self.alone = Stream(name + "-alone", data.attempts, [], data.rules, True, order)
        self.inside = Stream(name + "-inside", data.attempts, data.background, data.rules, False, order)
        self.alone_text, self.inside_text = self.alone.replay(threads), self.inside.replay(threads)
        self.ceiling = collections.defaultdict(set)  # rule: attempts
        self.found = collections.defaultdict(set)
        self.alerts = {}  # rule: (all, of these touching no attempt)
        self.wrong = []   # what contradicts the model
        self.missed = collections.Counter()  # (rule, why): attempts
        self.judge_alone()
        self.judge_inside()

    def judge_alone(self):
        want = model_hits(self.alone, self.data.rules)
        got = {}
        for line in self.alone_text[0].splitlines():
            rule, account, seq, number, _ = parsed(json.loads(line))
            if rule in self.data.rules:
                got[rule, account, seq] = number
        for key in want.keys() | got.keys():
            if want.get(key, (None,))[0] != got.get(key):
                self.wrong.append("alone, %s of %s at line %d: the model says %s, the engine %s" % (*key, want.get(key, ("nothing",))[0], got.get(key, "nothing")))
        self.hits_alone = len(want)
        for (rule, _, _), (_, attempt) in want.items():
            self.ceiling[rule].add(attempt)

    def judge_inside(self):
        want = model_hits(self.inside, self.data.rules)
        got, touching, found_at = {}, collections.defaultdict(set), collections.defaultdict(set)
        for line in self.inside_text[0].splitlines():
            hit = json.loads(line)
            rule, account, seq, number, proof = parsed(hit)
            if rule not in self.data.rules:
                continue
            got[rule, account, seq] = (number, bool(hit.get("lower_bound")))
            if any(self.inside.of[one - 1] is not None for one in proof):
                touching[rule].add(account)
                attempt = credited(self.inside, rule, account, proof) if rule not in model.BY_DAY else self.inside.of[seq - 1] if (rule, account, seq) in want else None
                if attempt is not None:
                    self.found[rule].add(attempt)
                    found_at[rule].add(account)
        self.judge_alerts(touching, found_at)
        self.judge_missed(want, got)

    def judge_alerts(self, touching, found_at):
        by_rule = {"of_" + rule.lower().replace("-", "_"): rule for rule in self.data.rules}
        counts = collections.defaultdict(lambda: [0, 0, 0])
        for alert in map(json.loads, self.inside_text[1].splitlines()):
            rule = by_rule.get(alert["typology"])
            if rule and alert["revision"] == 1:
                counts[rule][0] += 1
                counts[rule][1] += alert["subject"] in found_at[rule]
                counts[rule][2] += alert["subject"] not in touching[rule]
        self.alerts = {rule: tuple(counts[rule]) for rule in self.data.rules}

    def judge_missed(self, want, got):
        """Where an attempt alone gives a hit, there must be one inside too, with no smaller value: only its proof may be another."""
        seen = collections.defaultdict(set)
        for (rule, account, seq), (number, attempt) in want.items():
            there = got.get((rule, account, seq))
            better = there and (there[1] or (there[0] <= number if rule == "HOPS" else there[0] >= number))
            if better:
                seen[rule].add(attempt)
            elif rule not in model.FALLS:
                self.wrong.append("inside, %s of %s at line %d: %d alone, %s inside" % (rule, account, seq, number, there))
        for rule in self.data.rules:
            if self.found[rule] - self.ceiling[rule]:
                self.wrong.append("%s: found in attempts that do not hold it: %s" % (rule, sorted(self.found[rule] - self.ceiling[rule])))
            for attempt in self.ceiling[rule] - self.found[rule]:
                self.missed[rule, "hidden" if attempt in seen[rule] else "used up"] += 1


def typologies(data):
    counted = collections.Counter(typology for typology, _ in data.attempts)
    order = ["FAN-OUT", "FAN-IN", "CYCLE", "GATHER-SCATTER", "SCATTER-GATHER", "STACK", "RANDOM", "BIPARTITE"]
    return [(typology, counted[typology]) for typology in order if counted[typology]]


def count_of(outcome, attempts, typology):
    return sum(outcome.data.attempts[attempt][0] == typology for attempt in attempts)


def table(outcome):
    data, payments = outcome.data, len(outcome.inside.rows)
    lines = ["## %s" % data.name, "", "%s: %d attempts with %d of %d payments." % (
        data.about[0].upper() + data.about[1:], len(data.attempts), sum(len(legs) for _, legs in data.attempts), payments), "",
        "| typology | attempts | %s |" % " | ".join(data.rules), "|" + "---|" * (len(data.rules) + 2)]
    for typology, attempts in typologies(data):
        cells = ["%d / %d" % (count_of(outcome, outcome.found[rule], typology), count_of(outcome, outcome.ceiling[rule], typology)) for rule in data.rules]
        lines.append("| %s | %d | %s |" % (typology.lower(), attempts, " | ".join("–" if cell == "0 / 0" else cell for cell in cells)))
    lines.append("| all | %d | %s |" % (len(data.attempts), " | ".join("%d / %d" % (len(outcome.found[rule]), len(outcome.ceiling[rule])) for rule in data.rules)))
    lines.append("| alerts per 10,000 payments | | %s |" % " | ".join("%.2f" % (1e4 * outcome.alerts[rule][0] / payments) for rule in data.rules))
    lines.append("| these that rest on no payment of an attempt | | %s |" % " | ".join("%.2f" % (1e4 * outcome.alerts[rule][2] / payments) for rule in data.rules))
    lines.append("| share of alerts whose proof lies in an attempt | | %s |" % " | ".join(
        "%.1f %%" % (100 * outcome.alerts[rule][1] / outcome.alerts[rule][0]) if outcome.alerts[rule][0] else "–" for rule in data.rules))
    missed = ["%s %d" % (rule, count) for (rule, why), count in sorted(outcome.missed.items()) if why == "hidden"]
    used = ["%s %d" % (rule, count) for (rule, why), count in sorted(outcome.missed.items()) if why == "used up"]
    lines += ["", "Alone, all %d hits are the model's, account, payment and value." % outcome.hits_alone if not outcome.wrong else "%d differences from the model." % len(outcome.wrong)]
    if missed:
        lines += ["", "Hits where the attempt has one, but by a larger or later proof that leaves it (not credited), attempts: %s." % ", ".join(missed)]
    if used:
        lines += ["", "An earlier payment into the account was used up first, so that the attempt's was not, attempts: %s." % ", ".join(used)]
    return lines + [""]


def spread(numbers):
    return "%d" % min(numbers) if min(numbers) == max(numbers) else "%d–%d" % (min(numbers), max(numbers))


def by_chance(data, outcome, orders):
    """How far the moment within the minute decides: (differences from the model, lines)."""
    others, wrong = [outcome], []
    for order in range(1, orders + 1):
        one = Outcome(data, 2, order)
        one.alone = one.inside = one.alone_text = one.inside_text = None  # large
        others.append(one)
        wrong += ["order %d, %s" % (order, difference) for difference in one.wrong]
    lines = ["Times are whole minutes. With each payment of the attempts at a moment of its minute drawn by chance, %d times, and as above:" % orders, "",
             "| | %s |" % " | ".join(data.rules), "|" + "---|" * (len(data.rules) + 1)]
    for what, number in (("found", lambda one, rule: len(one.found[rule])), ("ceiling", lambda one, rule: len(one.ceiling[rule])),
                         ("alerts", lambda one, rule: one.alerts[rule][0])):
        lines.append("| %s | %s |" % (what, " | ".join(spread([number(one, rule) for one in others]) for rule in data.rules)))
    always, ever = (sum(len(of(*(one.found[rule] for one in others))) for rule in data.rules) for of in (set.intersection, set.union))
    return wrong, lines + ["", "Of %d times that a rule finds an attempt in any of these orders, it finds it in all of them %d times." % (ever, always), ""]


def find_sets(folder, events, seed):
    """[(name, set or None)]"""
    own = lambda name: next((place for place in (folder, OWN) if place and os.path.exists(os.path.join(place, name))), None)
    readers = (("AMLworld", "hi_small_patterns_dev.csv", lambda place: sets.amlworld(place, HOME, events, seed)),
               ("AMLSim", "amlsim_fanin.csv.gz", sets.amlsim), ("AMLGentex", "amlgentex_dev.csv.gz", sets.amlgentex))
    for name, file, read in readers:
        place = own(file)
        yield name, read(place) if place else None


def check(options):
    passed = failed = skipped = 0
    for name, data in find_sets(options.data, options.events, options.seed):
        if data is None:
            print("%s: its file is not here; MUSTER_AML_DATA names no folder that holds it" % name)
            skipped += 1
            continue
        outcome = Outcome(data, 2)
        alone, inside = outcome.alone.replay(1, 7), outcome.inside.replay(1, 500)
        held = (("every hit alone is the model's, and inside none is lost", not outcome.wrong), ("there is something to find", outcome.hits_alone > 0),
                ("attempts alone: one thread, batches of 7", alone == outcome.alone_text), ("inside: one thread, batches of 500", inside == outcome.inside_text))
        if name == "AMLworld":
            wrong, _ = by_chance(data, outcome, 1)
            held += (("payments at other moments of their minutes: every hit alone is the model's, and inside none is lost", not wrong),)
            outcome.wrong += wrong
        for what, good in held:
            passed, failed = passed + good, failed + (not good)
            if not good:
                print("FAILED %s: %s\n  %s" % (name, what, "\n  ".join(outcome.wrong[:10])))
        print("%s: %d hits alone; found / ceiling inside: %s" % (name, outcome.hits_alone, ", ".join(
            "%s %d/%d" % (rule, len(outcome.found[rule]), len(outcome.ceiling[rule])) for rule in data.rules)), flush=True)
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


def report(options):
    outcomes, tables, begin = [], [], time.time()
    for name, data in find_sets(options.data, options.events, options.seed):
        if data is None:
            sys.exit("%s: its file is not here; name its folder with --data or MUSTER_AML_DATA" % name)
        outcomes.append(Outcome(data, 2))
        tables.append(table(outcomes[-1]))
        if name == "AMLworld" and options.orders:
            wrong, lines = by_chance(data, outcomes[-1], options.orders)
            outcomes[-1].wrong += wrong
            tables[-1] += lines
        print("\n".join(tables[-1] + outcomes[-1].wrong[:10]), flush=True)
    lines = open(os.path.join(HERE, "about.md")).read().split("\n")
    lines[2:2] = ["Made by `make bench-aml` (`bench/aml/aml.py --data DIR --events %d --seed %d`) on %s, in %d s." % (options.events, options.seed, time.strftime("%Y-%m-%d"), time.time() - begin), ""]
    for part in tables:
        lines += part
    rows = [{"set": outcome.data.name, "rule": rule, "typology": typology, "attempts": attempts, "ceiling": count_of(outcome, outcome.ceiling[rule], typology),
             "found": count_of(outcome, outcome.found[rule], typology), "alerts": outcome.alerts[rule][0], "payments": len(outcome.inside.rows)}
            for outcome in outcomes for rule in outcome.data.rules for typology, attempts in typologies(outcome.data)]
    for name, text in (("aml.md", "\n".join(lines)), ("aml.json", json.dumps(rows, indent=0) + "\n"), ("aml.svg", picture.draw(rows))):
        with open(os.path.join(RESULTS, name), "w", encoding="utf-8") as out:
            out.write(text)
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--check", action="store_true")
    options.add_argument("--data", default=os.environ.get("MUSTER_AML_DATA", ""))
    options.add_argument("--events", type=int, default=0, help="of background (340,000; with --check 25,000)")
    options.add_argument("--seed", type=int, default=11)
    options.add_argument("--orders", type=int, default=3, help="of payments within their minutes, by chance; with --check 1")
    options = options.parse_args()
    options.events = options.events or (25_000 if options.check else 340_000)
    os.makedirs(HOME, exist_ok=True)
    return check(options) if options.check else report(options)


if __name__ == "__main__":
    sys.exit(main())
