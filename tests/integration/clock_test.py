#!/usr/bin/env python3
"""Time through replay: one bank whose clock is wrong by hours changes nothing on keys that it does not
touch, and a repeat of an event that came many days late is still a repeat.
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
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
