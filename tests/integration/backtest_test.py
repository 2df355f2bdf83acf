#!/usr/bin/env python3
"""`muster rules backtest` on a generated month with known labels: every figure against a slow computation from what
`muster replay` writes; two rule sets beside each other, equal, with planted changes, with other texts, with another base
currency; pictures that stand alone; what is refused. Ends with `N passed, N failed`."""
import json
import os
import re
import shutil
import subprocess
import sys
import xml.dom.minidom

import scored
from scored import MUSTER, TOP, Count, Scored, muster

HOME = os.path.join(TOP, "build", "backtest-test")
PACK, RATES = os.path.join(TOP, "rules/packs/trafficking"), os.path.join(TOP, "rules/packs/rates.csv")
STREAM, LABELS = os.path.join(HOME, "month.ndjson"), os.path.join(HOME, "labels.csv")
count = Count()


def backtest(*words, rules=PACK, rates=RATES):
    code, out, err = muster("rules", "backtest", rules, "--on", STREAM, "--rates", rates, "--json", *words)
    return code, json.loads(out) if out.startswith("{") else None, err


def changed(name, *edits):
    """A copy of the pack with (file pattern, old, new) edits, each of which must change something."""
    folder = os.path.join(HOME, name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PACK, folder)
    for file, old, new in edits:
        path = os.path.join(folder, file)
        text = open(path).read()
        other = re.sub(old, new, text)
        assert other != text, (file, old)
        open(path, "w").write(other)
    return folder


def hold_counts(what, found, expected):
    days = {row["day"]: (row["hits"], row["alerts"], row["subjects"]) for row in found["by_day"]}
    plain = {key: found[key] for key in ("hits", "alerts", "subjects")}
    count.hold(what, plain == {key: expected[key] for key in plain} and days == expected["by_day"], (plain, expected))


def hold_side(what, found, result, labels):
    """Every rule, every typology, the whole."""
    rules_of = {}
    for row in found["rules"]:
        rules_of.setdefault(row["typology"], set()).add(row["rule"])
        expected, subjects = result.rule(row["rule"])
        hold_counts("%s, %s" % (what, row["rule"]), row, expected)
        if labels:
            measured = scored.measure(subjects, labels, row["typology"])
            count.hold("%s, labels of %s" % (what, row["rule"]), scored.shares_near(measured, row["labels"]), (row["labels"], measured))
    for row in found["typologies"]:
        expected, subjects = result.typology(row["typology"], rules_of.get(row["typology"], set()))
        hold_counts("%s, %s" % (what, row["typology"]), row, expected)
        if labels:
            measured = scored.measure(subjects, labels, row["typology"])
            count.hold("%s, labels of %s" % (what, row["typology"]), scored.shares_near(measured, row["labels"]), (row["labels"], measured))
    whole, _ = result.typology(None, None)
    count.hold("%s, in all" % what, all(found[key] == whole[key] for key in ("hits", "alerts", "subjects")), whole)
    return whole


def test_alone(labels):
    code, found, err = backtest("--labels", LABELS)
    if not count.hold("a back-test", code == 0 and found, err):
        return
    result = Scored(STREAM, PACK, HOME, RATES)
    whole = hold_side("alone", found, result, labels)
    days = {row["day"]: (row["hits"], row["alerts"], row["subjects"]) for row in found["by_day"] if row["hits"] or row["alerts"]}
    count.hold("days in all", days == whole["by_day"], whole["by_day"])
    lines = [json.loads(line) for line in open(STREAM)]
    every = {scored.local_day(line["time"]) for line in lines}
    count.hold("days and events", found["days"] == len(every) and found["events"] == len(lines), (found["days"], len(every)))
    night = next(row for row in found["rules"] if row["rule"] == "CTL-07")["labels"]
    count.hold("possible victims put forward are no catch", night["victims"] > 0 and night["caught"] == 0 and night["precision"]["share"] == 0, night)
    for words in (("--threads", "1"), ("--threads", "3", "--batch", "777")):
        _, again, _ = backtest("--labels", LABELS, *words)
        count.hold("the same with %s" % " ".join(words), {**again, "wall_ms": 0} == {**found, "wall_ms": 0})
    with open(STREAM) as stream:
        code, out, err = muster("rules", "backtest", PACK, "--on", "-", "--rates", RATES, "--json", "--labels", LABELS, stdin=stream)
    count.hold("from standard input", code == 0 and {**json.loads(out), "wall_ms": 0} == {**found, "wall_ms": 0}, err)
    code, out, err = muster("rules", "backtest", PACK, STREAM, "--rates", RATES, "--labels", LABELS)
    row = re.search(r"^forced_labour +(\d+) +(\d+) ", out, re.M)
    labour = next(row for row in found["typologies"] if row["typology"] == "forced_labour")
    count.hold("the text says the same", code == 0 and row and row.groups() == (str(labour["hits"]), str(labour["alerts"])), out[:400] + err)


def hold_against(what, old, rates=RATES, why=()):
    """A run against another set: both sides' figures, exactly the expected differences, each explained."""
    code, found, err = backtest("--against", old, "--sample", "1000", "--labels", LABELS, rates=rates)
    if not count.hold(what, found is not None, err):
        return None
    ours, theirs = Scored(STREAM, PACK, HOME, rates), Scored(STREAM, old, HOME, rates)
    hold_side(what + ", new", found, ours, None)
    hold_side(what + ", old", found["against"], theirs, None)
    only_new, only_old, same, moved = scored.alerts_differ(ours.alerts, theirs.alerts)
    against = found["against"]
    counts = (against["only_new"], against["only_old"], against["same"], against["moved"])
    count.hold(what + ": how many differ", counts == (len(only_new), len(only_old), same, moved), (counts, len(only_new), len(only_old), same, moved))
    count.hold(what + ": the exit code", code == (1 if only_new or only_old or moved else 0), code)
    for side, expected in (("new", only_new), ("old", only_old)):
        shown = [alert for alert in against["differing"] if alert["only"] == side]
        count.hold("%s: which are only %s" % (what, side), {alert["alert_id"] for alert in shown} == {alert["alert_id"] for alert in expected}, shown[:2])
        for word in why:
            count.hold("%s: only %s is explained by %s" % (what, side, word), all(word in alert["why"] for alert in shown), [alert["why"] for alert in shown][:3])
    return found


def test_against():
    same = hold_against("against the same", changed("same"))
    count.hold("none differ", same and same["against"]["only_new"] == same["against"]["only_old"] == same["against"]["moved"] == 0 and not same["against"]["differing"])
    found = hold_against("a threshold", changed("threshold", ("forced_labour.rules", r"param workers_min = 3       in", "param workers_min = 7       in")),
                         why=["LAB-02", "workers of", "(there workers_min is 7 instead of 3)"])
    count.hold("the threshold matters", found and found["against"]["only_new"] > 0 and found["against"]["only_old"] == 0)
    found = hold_against("a text", changed("text", ("trafficking.rules", r"salar\(y\|ies\)", "salarium"),
                                                   ("trafficking.rules", "where purpose = SALA or kind = PAYROLL or narrative", "where narrative")))
    count.hold("the text matters", found and found["against"]["only_new"] > 0)
    found = hold_against("a typology", changed("typology", ("trafficking.rules", r"(?s)(typology forced_labour .*?alert at  )60", r"\g<1>90")), why=["90 points"])
    count.hold("the typology matters", found and found["against"]["only_new"] > 0)
    found = hold_against("a draft", changed("draft", ("forced_labour.rules", r"(?s)(rule LAB-02 .*?status) live", r"\1 draft")), why=["LAB-02", "no such rule"])
    count.hold("the draft matters", found and found["against"]["only_new"] > 0)
    rates = os.path.join(HOME, "rates.csv")
    open(rates, "w").write("date,currency,per_base\n2026-01-01,KES,0.01\n")
    euro = changed("euro", ("trafficking.rules", "base     USD", "base     EUR"), *(((name, r"\bUSD\b", "EUR")) for name in sorted(os.listdir(PACK))
        if name.endswith(".rules") and re.search(r"\bUSD\b", open(os.path.join(PACK, name)).read().replace("base     USD", ""))))
    hold_against("another base currency, in two passes", euro, rates=rates)
    code, _, err = muster("rules", "backtest", PACK, "--on", "-", "--against", euro, "--rates", rates, stdin=open(STREAM))
    count.hold("standard input twice", code == 3 and "once only" in err, err)


def test_pictures():
    folder = os.path.join(HOME, "pictures")
    code, _, err = backtest("--labels", LABELS, "--svg", folder, "--against", changed("same"))
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    count.hold("three pictures", code == 0 and names == ["alerts-by-day.svg", "rules.svg", "typologies.svg"], err)
    for name in names:
        text = open(os.path.join(folder, name)).read()
        tree = xml.dom.minidom.parseString(text)
        count.hold("%s stands alone" % name, "href" not in text and "url(" not in text and "prefers-color-scheme: dark" in text)
        count.hold("%s can be read aloud" % name, tree.documentElement.getAttribute("role") == "img" and len(tree.getElementsByTagName("title")) > 3)


def test_refused():
    wrong = os.path.join(HOME, "wrong.csv")
    for text, says in (("who,what\nA,B\n", "first line"), ("account,role,scheme,typology\nA,boss,s,t\n", "line 2: there is no role `boss`"),
                       ("account,role,scheme,typology\nA,controller,s\n", "line 2: fewer"), ("account,role,scheme,typology\n", "no rows")):
        open(wrong, "w").write(text)
        code, _, err = backtest("--labels", wrong)
        count.hold("labels: " + says, code == 2 and says in err, err)
    for words, says in (((PACK,), "--on"), ((), "folder of rules"), ((PACK, "--on", STREAM, "--log", HOME), "either")):
        code, _, err = muster("rules", "backtest", *words)
        count.hold("usage: " + says, code == 2 and says in err, err)
    code, _, err = muster("rules", "backtest", PACK, "--on", os.path.join(HOME, "none"))
    count.hold("no such file", code == 3 and "none" in err, err)


def main():
    shutil.rmtree(HOME, ignore_errors=True)
    os.makedirs(HOME)
    subprocess.run([MUSTER, "gen", "--events", "60000", "--days", "31", "--seed", "17", "--out", STREAM, "--labels", LABELS], check=True, stderr=subprocess.DEVNULL)
    labels = scored.read_labels(LABELS)
    test_alone(labels)
    test_against()
    test_pictures()
    test_refused()
    return count.end()


if __name__ == "__main__":
    sys.exit(main())
