#!/usr/bin/env python3
"""What the tests of a rule set see (`rules test --coverage`), what a failed expectation shows, and `rules explain`
of events and alerts. Pages as they are kept; a planted untested edge, found and nothing else; explanations held
against what `replay` writes of the same stream. Ends with `N passed, N failed`. With --write the kept pages are
written anew: read them after."""
import json
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUSTER = os.path.join(TOP, "build", "muster")
DATA = "tests/data/coverage"
OUT = os.path.join(TOP, "build", "coverage-test")
PACK, RATES = "rules/packs/trafficking", "rules/packs/rates.csv"
passed = failed = 0


def hold(what, good, why=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED %s: %s" % (what, why), flush=True)


def muster(*words):
    done = subprocess.run([MUSTER, *words], cwd=TOP, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def kept(name, text):
    """The page is as it is kept."""
    path = os.path.join(TOP, DATA, name)
    if "--write" in sys.argv:
        open(path, "w").write(text)
    have = open(path).read() if os.path.exists(path) else ""
    lines = next((pair for pair in zip(have.splitlines() + [""], text.splitlines() + [""]) if pair[0] != pair[1]), "")
    hold("page " + name, have == text, lines)


def missing(folder):
    """(text of the comparison, what is missing of it), and the exit code"""
    code, out, err = muster("rules", "test", "--coverage", "--json", folder)
    rows = json.loads(out)["coverage"]["rows"]
    return sorted((row["text"], row["missing"]) for row in rows if not row["covered"]), code


def coverage():
    code, out, err = muster("rules", "test", "--coverage", DATA + "/whole")
    hold("a whole set", code == 0 and out.endswith("10 of 10 comparisons seen both ways and at their edges\n"), out + err)
    code, out, err = muster("rules", "test", "--coverage", DATA + "/gaps")
    hold("gaps are a finding", code == 1, code)
    kept("gaps.txt", out)
    code, out, err = muster("rules", "test", "--coverage", "--json", DATA + "/gaps")
    kept("gaps.json", json.dumps(json.loads(out), indent=1, sort_keys=True) + "\n")
    code, out, err = muster("rules", "test", "--coverage", "--least", "0", DATA + "/gaps")
    hold("--least 0", code == 0, code)
    hold("--least is a share", muster("rules", "test", "--coverage", "--least", "101", DATA + "/gaps")[0] == 2)
    code, out, err = muster("rules", "test", DATA + "/gaps")
    hold("without --coverage nothing of it", code == 0 and "comparisons" not in out, out)


def planted():
    """Each test taken away, or one figure moved off an edge: what is then missed, and nothing else."""
    source = open(os.path.join(TOP, DATA, "whole", "whole.rules")).read()
    tests = re.findall(r'^test "[^"]*".*?^}\n', source, re.S | re.M)
    folder = os.path.join(OUT, "planted")
    os.makedirs(folder, exist_ok=True)

    def without(old, new):
        hold("planted once: " + old[:30], source.count(old) == 1)
        with open(os.path.join(folder, "whole.rules"), "w") as out:
            out.write(source.replace(old, new))
        return missing(folder)

    gaps = {}
    for test in tests:
        rows, code = without(test, "")
        hold("a test taken away is missed", code == 1 and rows, test)
        gaps[re.match(r'test "([^"]*)"', test).group(1)] = rows
    kept("without.json", json.dumps(gaps, indent=1) + "\n")
    edges = [("every 1m x 2 W -> A 49.99 USD", "every 1m x 2 W -> A 49.98 USD",
              ("amount in 50% * sender.wage.amount .. sender.wage.amount", ["never one cent below its lower end"])),
             ("every 1m x 2 W -> A 100.01 USD", "every 1m x 2 W -> A 100.02 USD",
              ("amount in 50% * sender.wage.amount .. sender.wage.amount", ["never one cent above its upper end"])),
             ("  B -> A 10 USD\n", "  B -> A 9.99 USD\n", ("got > 10 USD", ["never at its edge: equal"])),
             ("  E -> W 99.99 USD\n", "  E -> W 99.98 USD\n", ("amount >= 100 USD", ["never one cent below its edge"]))]
    for old, new, found in edges:
        rows, code = without(old, new)
        hold("exactly the planted edge", rows == [found], (new, rows))


def failing():
    code, out, err = muster("rules", "test", DATA + "/failing")
    hold("failures are a finding", code == 1, code)
    kept("failing.txt", out)


def explained():
    """A made stream: every hit that replay writes is explained with the same values; some events without one."""
    stream, hits, alerts = (os.path.join(OUT, name) for name in ("stream.ndjson", "hits.ndjson", "alerts.ndjson"))
    muster("gen", "--events", "4000", "--seed", "5", "--days", "60", "--out", stream, "--labels", os.path.join(OUT, "labels.csv"))
    muster("replay", stream, "--rules", PACK, "--rates", RATES, "--hits", hits, "--alerts", alerts, "--quiet")
    hits, alerts = ([json.loads(line) for line in open(path)] for path in (hits, alerts))
    hold("there are hits and alerts", len(hits) > 10 and len(alerts) > 1, (len(hits), len(alerts)))
    explain = ["rules", "explain", PACK, "--rates", RATES, "--quiet", "--unmask", stream]
    for hit in hits[:: max(1, len(hits) // 12)]:
        code, out, err = muster(*explain, "--event", "%s/%s" % (hit["source"], hit["event_id"]))
        keys = ", ".join("[^,]*%s" % re.escape(key) for key in hit["key"])
        found = re.search(r"^%s for %s: hit.*?\n\n" % (hit["rule_id"], keys), out + "\n", re.S | re.M)
        body = found.group(0) if found else ""
        lets = all("%s = %s" % (let["name"], let["value"]) in body for let in hit["lets"])
        hold("hit explained", code == 0 and found and lets and 'says "%s"' % hit["say"] in body and "the last to turn true" in body,
             (hit["rule_id"], hit["event_id"], out[:300] + err))
    for event in [event for event in map(json.loads, open(stream)) if event.get("sender", {}).get("cash")][:3]:  # the first rules read none of it
        out = muster(*explain, "--event", "%s/%s" % (event["source"], event["id"]))[1]
        hold("rules that did not look stand under one heading", out.count("Not looked at") <= 1, out[-900:])
    by_place = {(hit["seq"], hit["rule_id"]): hit for hit in hits}
    first = next(alert for alert in alerts if alert["revision"] == 1)
    digits = first["alert_id"]
    dashed = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    code, out, err = muster(*explain, "--alert", dashed)
    formed = [hit for (seq, rule), hit in by_place.items() if seq in first["formed_by"] and 'says "%s"' % hit["say"] in out]
    hold("an alert's hits", code == 0 and len(re.findall(r": hit", out)) == len(first["formed_by"]) <= len(formed), out[:500] + err)
    hold("from its first digits", muster(*explain, "--alert", digits[:8]) == (code, out, err))
    masked = muster(*[word for word in explain if word != "--unmask"], "--alert", digits[:8])[1]
    victims = {subject["subject"] for hit in formed for subject in hit["subjects"] if subject["role"] == "possible_victim"}
    hold("possible victims are masked", "(masked)" in masked and victims and not any(re.search(r"\b%s\b" % v, masked) for v in victims), masked[:500])
    code, out, err = muster(*explain, "--event", "bank-1/none")
    hold("an event that is not there", code == 1 and "has no event" in err, err)
    code, out, err = muster(*explain, "--alert", "0000000000")
    hold("an alert that is not there", code == 1 and "gives no alert" in err, err)
    for words in (["--event", "x"], ["--alert", "12"], ["--event", "a/b", "--alert", "1234"]):
        hold("used wrongly: " + " ".join(words), muster(*explain, *words)[0] == 2)


def quiet_event():
    """One small stream, whole pages: what holds, what kept a rule from firing, what was not looked at."""
    def line(i, minute, sender, receiver, amount, **more):
        return json.dumps({"source": "bank", "id": "e%d" % i, "time": "2026-03-02T10:%02d:00Z" % minute, "kind": "TRANSFER", "amount": amount,
                           "currency": "USD", "sender": {"account": sender}, "receiver": {"account": receiver}, **more}) + "\n"
    stream = os.path.join(OUT, "small.ndjson")
    with open(stream, "w") as out:
        out.write(line(1, 0, "E", "W", "100.00") + line(2, 1, "W", "A", "50.00") + line(3, 2, "W", "A", "49.99") +
                  line(4, 3, "W", "A", "70.00") + line(5, 4, "A", "C", "200.00") + line(5, 4, "A", "C", "200.00"))
    for event in ("e3", "e4", "e5"):
        code, out, err = muster("rules", "explain", DATA + "/whole", "--event", "bank/" + event, stream)
        hold("explained " + event, code == 0, err)
        kept("explain-%s.txt" % event, out)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    coverage()
    planted()
    failing()
    quiet_event()
    explained()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
