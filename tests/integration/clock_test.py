#!/usr/bin/env python3
"""Time through replay: one bank whose clock is wrong by hours changes nothing on keys that it does not
touch, a repeat of an event that came many days late is still a repeat, and what such an event reads of an account
that has long been idle depends neither on batches nor on how far the sweep is.
Ends with `N passed, N failed`."""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUSTER = os.path.join(TOP, "build", "muster")
HOME = os.path.join(TOP, "build", "clock-test")
START = 1772323200
HOUR = 3600


def text_of(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def payments(bank, seed, count, skew):
    """Payments among the accounts of this bank alone."""
    chance, at = random.Random(seed), START
    for number in range(count):
        at += chance.randrange(120)
        late = chance.choice([0, 0, 0, 0, 600, 30 * HOUR])
        sender, receiver = chance.sample(range(60), 2)
        event = {"id": "%s%d" % (bank, number), "source": bank, "time": text_of(at - late + skew), "currency": "USD", "amount": str(chance.randrange(1, 900)),
                 "sender": {"account": "%s:%d" % (bank, sender)}, "receiver": {"account": "%s:%d" % (bank, receiver)}}
        if chance.random() < 0.2:
            event["purpose"] = "SALA"
        yield json.dumps(event)


def write(name, lines):
    path = os.path.join(HOME, name)
    with open(path, "w") as out:
        out.writelines(line + "\n" for line in lines)
    return path


def replay(*words):
    done = subprocess.run([MUSTER, "replay", "--rules", "tests/data/run", *words], cwd=TOP, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit("%s\n0 passed, 1 failed" % done.stderr)
    return {word: int(number) for word, number in re.findall(r"^(\w+) +(\d+)", done.stdout, re.M)}


def results(right, wrong):
    """Alerts and hits of the bank whose clock is right; sequence numbers are the world's, so they stay out."""
    out = {name: os.path.join(HOME, name) for name in ("alerts", "hits")}
    replay(*[word for name, path in out.items() for word in ("--" + name, path)], right, wrong)
    alerts = [json.loads(line) for line in open(out["alerts"])]
    hits = [json.loads(line) for line in open(out["hits"])]
    return (sorted((a["alert_id"], a["revision"], a["score_milli"], a["roles_mask"], a["reason"]) for a in alerts if '"right:' in json.dumps(a)),
            sorted((h["rule_id"], h["event_id"], h["say"]) for h in hits if h["source"] == "right"))


WAGE_RULES = """ruleset late_reads {
  timezone "UTC"
  base USD
}
typology hits "Hits" {
  offence laundering
  alert at 1 points
}
memory wage for each account {
  from in where purpose = SALA
  keep amount
  for  10d
}
rule LATE-01 "A wage is known" {
  version 1  status live
  typology hits  family payroll
  source "RULES 3" V  why "transfer rules see late events, and read memories"
  for each transfer
  when sender.wage is known
  points 1 to sender as undetermined
  say "wage"
}
"""


def late_reads(batch):
    """200 wages on day 0 and on day 30, a month of payments, then payments of days 5 and 33 from the same accounts: the first
    wages are past the horizon at which keys are dropped, swept or not, the second are not."""
    rules, path, many, day = os.path.join(HOME, "rules"), os.path.join(HOME, "wages.ndjson"), 70000, 24 * HOUR
    if not os.path.exists(path):
        os.makedirs(rules)
        with open(os.path.join(rules, "late.rules"), "w") as out:
            out.write(WAGE_RULES)
        made = [(i * 40 * day // many, "A%d" % (i % 50), "B", None) for i in range(many)]
        made += [(i, "E", "V%d" % i, "SALA") for i in range(200)] + [(30 * day + i, "E", "W%d" % i, "SALA") for i in range(200)]
        made.sort(key=lambda one: one[0])
        made += [(5 * day + i, "V%d" % i, "C", None) for i in range(200)] + [(33 * day + i, "W%d" % i, "C", None) for i in range(200)]
        write("wages.ndjson", (json.dumps({"id": "e%d" % n, "source": "bank", "time": text_of(START + at), "currency": "USD", "amount": "1", **({"purpose": purpose} if purpose else {}),
                                           "sender": {"account": sender}, "receiver": {"account": receiver}}) for n, (at, sender, receiver, purpose) in enumerate(made)))
    done = subprocess.run([MUSTER, "replay", "--rules", rules, "--batch", str(batch), path], cwd=TOP, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return int(re.search(r"^hits +(\d+)", done.stdout, re.M).group(1)) if done.returncode == 0 else done.stderr


def main():
    passed = failed = 0
    shutil.rmtree(HOME, ignore_errors=True)
    os.makedirs(HOME)
    right = write("right.ndjson", payments("right", 5, 4000, 0))
    wanted = results(right, write("wrong.ndjson", payments("wrong", 6, 4000, 0)))
    for hours in (-40, -11, -5, -1, 3, 9, 50):
        got = results(right, write("wrong.ndjson", payments("wrong", 6, 4000, hours * HOUR)))
        ok = got == wanted and wanted[0] and wanted[1]
        passed, failed = passed + bool(ok), failed + (not ok)
        print("%s a bank off by %d h: %d revisions and %d hits elsewhere unchanged" % ("ok    " if ok else "FAILED", hours, len(wanted[0]), len(wanted[1])))

    day, many = 24 * HOUR, 140000  # so that the horizon of repeats has moved past the late one
    lines = [json.dumps({"id": "n%d" % i, "source": "bank", "time": text_of(START + i * 12 * day // many), "currency": "USD", "amount": "1",
                         "sender": {"account": "A%d" % (i % 50)}, "receiver": {"account": "B"}}) for i in range(many)]
    late = json.dumps({"id": "late", "source": "bank", "time": text_of(START), "currency": "USD", "amount": "2", "end_to_end": "u",
                       "sender": {"account": "C"}, "receiver": {"account": "D"}})
    half = json.dumps(dict(json.loads(late), id="half", source="other"))
    count = replay(write("late.ndjson", lines + [late, late, half]))
    ok = (count["repeated"], count["joined"], count["scored"]) == (1, 1, many + 1)
    passed, failed = passed + ok, failed + (not ok)
    print("%s an event that comes 12 days late is known when it comes again: %s" % ("ok    " if ok else "FAILED", count))

    ok = all(late_reads(batch) == 200 for batch in (1, 1000, 16384, 70000, 1000))
    passed, failed = passed + ok, failed + (not ok)
    print("%s what very late events read of idle accounts is the same for every batch and hash key" % ("ok    " if ok else "FAILED"))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
