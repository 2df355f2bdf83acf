#!/usr/bin/env python3
"""What TRN-02 finds of planted ransom, and what it says of look-alikes, on streams of `muster gen --ransom`.

Each stream is replayed with the shipped pack, where the rule is in shadow, and with a copy in which it is live; every hit must be the
slow model's (model.py), and every alert about an account that had one. Writes bench/results/ransom.md; --check is the short version, a
test on seeds of its own: it writes nothing and ends with `N passed, N failed, N skipped`.

Usage: ransom.py [--check] [--seeds N] [--first-seed S] [--events N] [--ransom N] [--days D]"""
import argparse
import collections
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time

import model

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOME = os.path.join(TOP, "build", "ransom")
PACK, RATES = (os.path.join(TOP, "rules", "packs", name) for name in ("trafficking", "rates.csv"))
RESULT = os.path.join(TOP, "bench", "results", "ransom.md")
# what the rule's text leaves out: who pays once, whom one knows, equal parts, an everyday purpose
SILENT = ("hospital_bill", "funeral", "savings_circle", "school", "new_lets")
# what it cannot tell from ransom as long as nothing is known of other weeks
ALIKE = ("appeal", "seller")
WORDS = {"hospital_bill": "a hospital bill, each gives once", "funeral": "a funeral, kin who know each other", "savings_circle": "a savings circle",
         "school": "a school, deposit and rest, with purpose", "new_lets": "a landlord, deposit and rest, with purpose",
         "appeal": "an appeal, the odd one gives twice", "seller": "a seller, deposit and rest, no purpose"}
CHECK_SEEDS = (2718, 31415, 92653)


def generate(name, seed, options, *words):
    stream, labels = (os.path.join(HOME, name + end) for end in (".ndjson", ".csv"))
    subprocess.run(["build/muster", "gen", "--events", str(options.events), "--days", str(options.days), "--seed", str(seed), *words, "--out", stream,
                    "--labels", labels], cwd=TOP, check=True, stderr=subprocess.DEVNULL)
    return stream, labels


def live_pack():
    folder = os.path.join(HOME, "live")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PACK, folder)
    path = os.path.join(folder, "ransom.rules")
    text, changes = re.subn(r"(rule TRN-02 .*?status )shadow", r"\1live", open(path).read(), flags=re.S)
    if changes != 1:
        sys.exit("TRN-02 is not in shadow any more: nothing to make live")
    open(path, "w").write(text)
    return folder


def replay(stream, rules):
    """(hits of TRN-02, alerts of ransom in their first revision)"""
    hits, alerts = (os.path.join(HOME, name) for name in ("hits", "alerts"))
    subprocess.run(["build/muster", "replay", stream, "--rules", rules, "--rates", RATES, "--hits", hits, "--alerts", alerts, "--quiet"], cwd=TOP, check=True)
    read = [[json.loads(line) for line in open(name)] for name in (hits, alerts)]
    return [hit for hit in read[0] if hit["rule_id"] == "TRN-02"], [alert for alert in read[1] if alert["typology"] == "ransom" and alert["revision"] == 1]


def plain(hit):
    """A hit of the engine as the model writes one."""
    value = {let["name"]: let["value"] for let in hit["lets"]}
    whole, _, cents = value["taken"].removesuffix(" USD").replace("_", "").partition(".")
    return model.Hit(model.millis(hit["time"]), hit["event_id"], hit["source"], hit["key"][0], int(value["payers"]), int(value["again"]), int(whole) * 100 + int(cents or 0))


class Outcome:
    """One seed's stream: what was planted, what the rule and the model say."""

    def __init__(self, seed, options, live):
        self.seed = seed
        self.stream, self.labels_path = generate("ransom", seed, options, "--ransom", str(options.ransom))
        self.rows = list(csv.DictReader(open(self.labels_path)))
        self.model = model.run(self.stream, PACK)
        self.shadow_hits, self.shadow_alerts = replay(self.stream, PACK)
        self.live_hits, self.live_alerts = replay(self.stream, live)
        self.payments = len({(event["source"], event["id"]) for event in map(json.loads, open(self.stream))})
        of = lambda typology, role: [row["account"] for row in self.rows if row["typology"] == typology and row["role"] == role]
        self.collectors, self.kin = of("ransom", "collector"), set(of("ransom", "possible_victim"))
        self.innocent = {row["account"]: row["scheme"] for row in self.rows if row["typology"] == "innocent"}
        self.hit = {hit["key"][0] for hit in self.shadow_hits}
        self.subjects = [alert["subject"] for alert in self.live_alerts]
        self.wrong = sorted(subject for subject in self.subjects if subject not in self.collectors)
        self.read_schemes()

    def read_schemes(self):
        """The kin of each collector stand behind it in the labels; why a scheme was missed, and what counted of each payer."""
        kin_of, at = collections.defaultdict(list), None
        for row in self.rows:
            at = row["account"] if (row["typology"], row["role"]) == ("ransom", "collector") else at
            if row["typology"] == "ransom" and row["role"] == "possible_victim":
                kin_of[at].append(row["account"])
        self.missed, self.asked = collections.Counter(), collections.Counter()
        for collector in self.collectors:
            self.asked.update(self.model.asked.get((kin, collector), "not yet when the stream ends") for kin in kin_of[collector])
            if collector in self.hit:
                continue
            few = sum((kin, collector) in self.model.asked for kin in kin_of[collector]) < model.PAYERS_MIN
            counted = self.model.most.get(collector, 0)
            self.missed["fewer than three kin pay" if few else "fewer than three count within a week" if counted < model.PAYERS_MIN else
                        "too few of them then send more again"] += 1

    def differences(self):
        theirs, ours = {plain(hit) for hit in self.shadow_hits}, set(self.model.hits)
        return sorted(theirs ^ ours)


def backtest(outcome, live):
    """What `muster rules backtest` counts of the rule against the labels."""
    done = subprocess.run(["build/muster", "rules", "backtest", live, "--on", outcome.stream, "--labels", outcome.labels_path, "--rates", RATES, "--json",
                           "--quiet"], cwd=TOP, capture_output=True, text=True)
    return next(row for row in json.loads(done.stdout)["typologies"] if row["typology"] == "ransom")["labels"]


def without_id(stream):
    return collections.Counter(re.sub(r'^\{"id":"e\d+"', "", line) for line in open(stream))


def short_stream_refused():
    done = subprocess.run(["build/muster", "gen", "--ransom", "1", "--days", "27", "--out", "-"], cwd=TOP, capture_output=True, text=True)
    return done.returncode == 2 and not done.stdout and "--days of at least 28" in done.stderr


def check(options):
    passed, failed = (1, 0) if short_stream_refused() else (0, 1)
    live = live_pack()
    for seed in CHECK_SEEDS:
        outcome = Outcome(seed, options, live)
        ordinary, _ = generate("ordinary", seed, options)
        found = [account for account in outcome.collectors if account in outcome.hit]
        by_model = {hit.account for hit in outcome.model.hits}
        measured = backtest(outcome, live)
        silent = sorted(account for account in outcome.hit if outcome.innocent.get(account) in SILENT)
        held = (("every hit is the model's, and none is lacking", not outcome.differences(), outcome.differences()[:5]),
                ("live, they are the model's but for those within a week", {plain(hit) for hit in outcome.live_hits} == set(outcome.model.kept()), ""),
                ("as many schemes as were asked for", len(outcome.collectors) == options.ransom, len(outcome.collectors)),
                ("some are found, some are missed", 0 < len(found) < options.ransom, found),
                ("found by the model's count", len(found) == sum(account in by_model for account in outcome.collectors), found),
                ("found by rules backtest", (measured["schemes"], measured["schemes_caught"]) == (options.ransom, len(found)), measured),
                ("a shadow alerts nobody", not outcome.shadow_alerts, outcome.shadow_alerts),
                ("live, whoever has a hit is alerted, and nobody else", set(outcome.subjects) == by_model, outcome.subjects),
                ("no payer is a subject", not outcome.kin & set(outcome.subjects) and measured["victims"] == 0, outcome.subjects),
                ("the payers are there, as possible victims without points", all(
                    (one["role"], one["points"]) == (("undetermined", 30) if one["subject"] == hit["key"][0] else ("possible_victim", 0))
                    for hit in outcome.shadow_hits for one in hit["subjects"]), ""),
                ("all kinds of look-alikes are planted", set(SILENT + ALIKE) <= set(outcome.innocent.values()), set(outcome.innocent.values())),
                ("none whom the rule's text leaves out has a hit", not silent, silent),
                ("all else in the stream is as without", without_id(ordinary) <= without_id(outcome.stream), ""))
        for what, good, why in held:
            passed, failed = passed + bool(good), failed + (not good)
            if not good:
                print("FAILED seed %d, %s: %s" % (seed, what, why))
        print("seed %d: %d of %d schemes found, %d alerts about others in %d payments" % (seed, len(found), options.ransom, len(outcome.wrong), outcome.payments),
              flush=True)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


class Sum:
    """The outcomes of all seeds together."""

    def __init__(self):
        self.planted = self.payments = self.kin_named = 0
        self.found = {}                     # by seed
        self.missed, self.asked, self.there, self.said = (collections.Counter() for _ in range(4))
        self.alerts = 0
        self.wrong = 0

    def add(self, outcome):
        if outcome.differences():
            sys.exit("seed %d: hits differ from the model's: %s" % (outcome.seed, outcome.differences()[:5]))
        self.planted += len(outcome.collectors)
        self.payments += outcome.payments
        self.found[outcome.seed] = sum(account in outcome.hit for account in outcome.collectors)
        self.kin_named += len(outcome.kin & set(outcome.subjects))
        self.missed += outcome.missed
        self.asked += outcome.asked
        self.there.update(outcome.innocent.values())
        self.alerts += len(outcome.subjects)
        self.wrong += len(outcome.wrong)
        self.said.update(outcome.innocent.get(account, "other") for account in set(outcome.wrong))


def counted(title, rows, total):
    return ["", "| %s | | share |" % title, "|---|---|---|"] + ["| %s | %d | %.0f %% |" % (what, number, 100 * number / total) for what, number in rows.most_common()]


def page(total, options, command, seconds):
    found, seeds = sum(total.found.values()), list(total.found)
    unlabelled = total.said["other"]
    return ["# What TRN-02 finds of planted ransom", "",
            "Made by `make bench-ransom` (`%s`) on %s, in %d s." % (command, time.strftime("%Y-%m-%d"), seconds), "",
            "Streams of `muster gen --events %d --days %d --ransom %d`, seeds %d to %d. The plan of a scheme follows press reports (second hand), not the rule:"
            % (options.events, options.days, options.ransom, seeds[0], seeds[-1]),
            "1 to 5 people are held at a time, the price of each is 1,000 to 2,500 USD (camps asked for some 1,500), one to four relatives raise it in parts over",
            "days or weeks, and in a share of cases that differs from scheme to scheme the captors ask again; spreads and shares are assumptions. So some schemes lie below the rule's thresholds and are missed. Every hit",
            "is the one that a slow model of the rule has ([model.py](../ransom/model.py)). The data are made; the figures say nothing about the field.", "",
            "| | |", "|---|---|",
            "| found of planted | **%d of %d** (%.0f %%; by seed %d to %d of %d) |" % (
                found, total.planted, 100 * found / total.planted, min(total.found.values()), max(total.found.values()), options.ransom),
            "| false alarms per 10,000 payments, rule live | %.2f (%d of %d alerts; %d payments) |" % (1e4 * total.wrong / total.payments, total.wrong, total.alerts, total.payments),
            "| of them about accounts of no planted look-alike | %d |" % unlabelled,
            "| payers who are the subject of an alert | %d |" % total.kin_named,
            *counted("why schemes are missed", total.missed, total.planted - found),
            *counted("the first payment of each relative", total.asked, sum(total.asked.values())),
            "", "| look-alike | accounts | with a hit |", "|---|---|---|",
            *["| %s | %d | %d |" % (WORDS[kind], total.there[kind], total.said[kind]) for kind in SILENT + ALIKE], "",
            "A small seller who takes deposits and then larger rests from strangers looks like ransom: in the first eight weeks nothing is usual yet, and later the",
            "usual week has one payer who counts, so that three are three times as many. What tells them apart is the purpose code. How many alerts there are for",
            "10,000 payments says how many look-alikes were planted (one for each scheme), no more.", ""]


def report(options, command):
    begin, live, total = time.time(), live_pack(), Sum()
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        total.add(Outcome(seed, options, live))
    text = "\n".join(page(total, options, command, time.time() - begin))
    with open(RESULT, "w", encoding="utf-8") as out:
        out.write(text)
    print(text)
    return 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--check", action="store_true")
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--first-seed", type=int, default=1001)
    options.add_argument("--events", type=int, default=20000)
    options.add_argument("--ransom", type=int, default=42)
    options.add_argument("--days", type=int, default=90)
    options = options.parse_args()
    os.makedirs(HOME, exist_ok=True)
    return check(options) if options.check else report(options, " ".join(["bench/ransom/ransom.py", *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
