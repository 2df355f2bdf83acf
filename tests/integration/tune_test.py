#!/usr/bin/env python3
"""`muster rules tune`: every point against a plain `muster replay` of the whole rule set with that value edited into the
file, on a generated month with labels and on random rules over random streams, whose thresholds are joined by `and` and
stand inside `where`; values, proposal, picture, and what is refused. Ends with `N passed, N failed`."""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import xml.dom.minidom

import scored
from scored import MUSTER, TOP, Count, Scored, muster

HOME = os.path.join(TOP, "build", "tune-test")
PACK, RATES = os.path.join(TOP, "rules/packs/trafficking"), os.path.join(TOP, "rules/packs/rates.csv")
count = Count()


def tune(rules, rule, stream, labels, *words):
    code, out, err = muster("rules", "tune", rules, rule, "--on", stream, "--labels", labels, "--json", *words)
    return code, json.loads(out) if out.startswith("{") else None, err


def edited(rules, rule, values):
    """A copy of the rule set with the params of one rule set to other values, as an author would."""
    folder = os.path.join(HOME, "edited")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(rules, folder)
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if not name.endswith(".rules"):
            continue
        text = open(path).read()
        begin = re.search(r"^rule %s " % re.escape(rule), text, re.M)
        if not begin:
            continue
        end = text.index("\n}", begin.start())
        body = text[begin.start():end]
        for param, value in values.items():
            body, changes = re.subn(r"(param %s\s*= )(.*?)(\s+in )" % param, r"\g<1>%s\3" % value, body)
            assert changes == 1, (rule, param)
        body = re.sub(r"status (draft|shadow)", "status live", body)
        open(path, "w").write(text[:begin.start()] + body + text[end:])
    return folder


def hold_point(what, rules, rule, typology, point, stream, labels, rates=()):
    """A point's figures are those of a run of the edited rules, all of them."""
    result = Scored(stream, edited(rules, rule, point["values"]), HOME, extra=rates)
    of_rule, subjects = result.rule(rule)
    whole, alerted = result.typology(typology, None)
    measured = scored.measure(alerted, labels, typology)
    caught = scored.measure(subjects, labels, typology)["caught"]
    found = {name: point[name] for name in ("rule_hits", "rule_subjects", "rule_caught", "alerts", "subjects")}
    expected = {"rule_hits": of_rule["hits"], "rule_subjects": of_rule["subjects"], "rule_caught": caught, "alerts": whole["alerts"],
                "subjects": whole["subjects"]}
    count.hold("%s, %s" % (what, point["values"]), found == expected and scored.shares_near(measured, point["labels"]), (found, expected))
    return whole["alerts"]


def month():
    stream, csv = os.path.join(HOME, "month.ndjson"), os.path.join(HOME, "labels.csv")
    subprocess.run([MUSTER, "gen", "--events", "12000", "--days", "31", "--seed", "23", "--out", stream, "--labels", csv], check=True, stderr=subprocess.DEVNULL)
    return stream, csv, scored.read_labels(csv)


def test_month(stream, csv, labels):
    folder = os.path.join(HOME, "pictures")
    code, found, err = tune(PACK, "LAB-02", stream, csv, "--rates", RATES, "--steps", "4", "--together", "5", "--svg", folder)
    if not count.hold("tuning a rule of the pack", code == 0 and found, err):
        return
    names = [param["param"] for param in found["params"]]
    count.hold("all its params", names == ["workers_min", "share_min", "share_max", "taken_min"], names)
    for param in found["params"]:
        mine = [point["values"][param["param"]] for point in found["points"]]
        count.hold("both ends and today's of " + param["param"], {param["low"], param["high"], param["today"]} <= set(mine), mine)
    count.hold("today's values once per param", sum(point["today"] for point in found["points"]) == 4)
    seen = {}
    for point in found["points"]:
        seen.setdefault(json.dumps(point["values"]), point)
    alerts = {hold_point("the pack", PACK, "LAB-02", "forced_labour", point, stream, labels, ("--rates", RATES)) for point in seen.values()}
    count.hold("values matter", len(alerts) > 1, alerts)
    days = len({scored.local_day(json.loads(line)["time"]) for line in open(stream)})
    count.hold("alerts a day", all(abs(point["alerts_a_day"] - point["alerts"] / days) < 1e-5 for point in found["points"]), days)
    strip = lambda run: [{key: value for key, value in point.items() if key not in ("ns_per_event", "state_bytes")} for point in run["points"]]
    _, again, _ = tune(PACK, "LAB-02", stream, csv, "--rates", RATES, "--steps", "4", "--together", "1", "--threads", "1")
    count.hold("one at a time and on one thread the same", strip(again) == strip(found) and again["passes"] == len(found["points"]))
    count.hold("nothing is changed", "Nothing was changed" in found["proposal"][-1], found["proposal"])
    today = next(point for point in found["points"] if point["today"])
    better = [point for point in found["points"] if point["labels"]["caught"] >= today["labels"]["caught"] and point["alerts"] < today["alerts"] and
              point["labels"]["schemes_caught"] >= today["labels"]["schemes_caught"]]
    count.hold("the proposal is true", ("Fewer alerts" in " ".join(found["proposal"])) == bool(better), (found["proposal"], better))
    text = open(os.path.join(folder, "tune-LAB-02.svg")).read()
    tree = xml.dom.minidom.parseString(text)
    count.hold("the picture", len(tree.getElementsByTagName("circle")) > 8 and "today 3" in text and "href" not in text and "dark" in text)
    code, out, err = muster("rules", "tune", PACK, "LAB-02", stream, "--labels", csv, "--rates", RATES, "--steps", "2", "--param", "workers_min")
    count.hold("the text", code == 0 and re.search(r"^\* workers_min = 3 +\d+ ", out, re.M) and "workers_min = 20" in out, out + err)


# --- random rules over random streams ---

def random_rules(chance, folder):
    """Two typologies; the tuned rule joins two thresholds by `and`, and has one inside `where` and one as a window."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    window = chance.choice(["6h", "1d", "3d"])
    text = """ruleset random { timezone "Africa/Nairobi" base USD }
memory paid for each account { from in keep amount for %s }
typology one "One" { offence trafficking alert at %d points from 2 indicators in 2 families half_life 10d cap 40 points per family }
typology two "Two" { offence laundering alert at 10 points from 1 indicators in 1 families half_life 5d }
rule T-01 "The tuned one" {
  version 1  status %s
  typology one  family payroll
  source "made" M
  why "Two thresholds that hold together only at some moments"
  param many = %d in 2..6
  param most = %d USD in 50 USD..%d USD
  param small = %d USD in 10 USD..400 USD
  param over = %s in 2h..4d
  for each account
  let few = %s where amount >= small
  let n = count of few over over
  let total = sum amount of few over over
  when n >= many and total %s most
  points 30 to account as controller
  once per %s
  say "{n} and {total}"
}
""" % (chance.choice(["5d", "20d"]), chance.choice([40, 45, 50]), chance.choice(["live", "live", "draft", "shadow"]), chance.randint(2, 6),
       chance.randint(60, 1500), 3000, chance.randint(10, 400), chance.choice(["6h", "26h", "3d"]), chance.choice(["in", "out"]),
       chance.choice([">=", "<="]), chance.choice(["2h", "1d"]))
    for i, family in enumerate(chance.sample(["debt", "control", "cash_out", "profile"], 3)):
        text += """rule O-%02d "Another" {
  version 1  status live
  typology %s  family %s
  source "made" M
  why "Company"
  for each account
  let k = %s of %s over %s
  when k >= %d%s
  points %d to account as %s
  once per 1d
  say "{k}"
}
""" % (i, "one" if i < 2 else "two", family, chance.choice(["count", "distinct " + ("sender")]), "in", window, chance.randint(2, 5),
       chance.choice([" and receiver.paid is known", ""]), chance.choice([20, 25, 30, -10] if i == 1 else [20, 30]), chance.choice(["controller", "collector"]))
    open(os.path.join(folder, "random.rules"), "w").write(text)


def random_stream(chance, path, csv):
    accounts = ["A%02d" % i for i in range(14)]
    minute = 0
    with open(path, "w") as out:
        for i in range(700):
            minute += chance.randint(0, 25)
            sender, receiver = chance.sample(accounts, 2)
            late = chance.randint(0, 600) if chance.random() < 0.05 else 0
            at = max(minute - late, 0)
            out.write(json.dumps({"id": "e%d" % i, "source": "bank", "time": "2026-03-%02dT%02d:%02d:00Z" % (1 + at // 1440, at // 60 % 24, at % 60),
                                  "amount": "%d.00" % chance.choice([5, 20, 50, 80, 120, 300, 600]), "currency": "USD", "sender": {"account": sender},
                                  "receiver": {"account": receiver}}) + "\n")
    with open(csv, "w") as out:
        out.write("account,role,scheme,typology\n")
        for account in accounts:
            out.write("%s,%s,s%d,%s\n" % (account, chance.choice(["controller", "collector", "possible_victim", "payer", "none"]), chance.randint(0, 4),
                                          chance.choice(["one", "two"])))


def test_random(rounds):
    rules, stream, csv = (os.path.join(HOME, name) for name in ("random", "random.ndjson", "random.csv"))
    varied = 0
    for seed in range(rounds):
        chance = random.Random(seed)
        random_rules(chance, rules)
        random_stream(chance, stream, csv)
        words = chance.choice([["--param", "many,most"], ["--param", "small", "--param", "over"], []])
        code, found, err = tune(rules, "T-01", stream, csv, "--steps", "3", *words, "--together", str(chance.randint(1, 9)))
        if not count.hold("round %d" % seed, code == 0 and found, err):
            continue
        labels = scored.read_labels(csv)
        points = [point for point in found["points"] if not point["today"]] + [point for point in found["points"] if point["today"]][:1]
        chance.shuffle(points)
        alerts = {hold_point("round %d" % seed, rules, "T-01", "one", point, stream, labels) for point in points[:6]}
        varied += len({(point["alerts"], point["rule_hits"]) for point in found["points"]}) > 1
        count.hold("round %d is a grid" % seed, found["grid"] == (len(words) > 0), words)
        del alerts
    count.hold("values matter in most rounds", varied >= rounds * 2 // 3, varied)


def test_refused(stream, csv):
    for words, says in ((("LAB-02", "--param", "workers_mim"), "did you mean `workers_min`"), (("LAB-20",), "did you mean LAB-02"),
                        (("LAB-02", "--param", "workers_min,share_min,share_max,taken_min", "--steps", "9"), "more than 400 points"),
                        (("LAB-02", "--steps", "1"), "--steps")):
        code, _, err = tune(PACK, words[0], stream, csv, *words[1:])
        count.hold("refused: " + says, code == (1 if words[0] == "LAB-20" else 2) and says in err, err)
    code, _, err = muster("rules", "tune", PACK, "LAB-02", "--on", stream)
    count.hold("labels are needed", code == 2 and "--labels" in err, err)


def main():
    shutil.rmtree(HOME, ignore_errors=True)
    os.makedirs(HOME)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    stream, csv, labels = month()
    test_refused(stream, csv)
    test_month(stream, csv, labels)
    test_random(rounds)
    return count.end()


if __name__ == "__main__":
    sys.exit(main())
