#!/usr/bin/env python3
"""The five window rules of bench/peers say the same in PostgreSQL as in Muster. Ends with `N passed, N failed, N skipped`."""
import json
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "bench", "peers"))
import postgres  # noqa: E402
import stream  # noqa: E402


def with_hub(path):
    """The stream with one shop that takes a tenth of all payments: else no account of a small stream has many payers."""
    name = path.replace("stream-", "hub-")
    with open(name, "w") as out:
        for number, line in enumerate(open(path)):
            event = json.loads(line)
            if number % 10 == 0:
                event["receiver"] = {"account": "KE-HUB", "country": "KE"}
            out.write(json.dumps(event) + "\n")
    return name


def main():
    path = with_hub(stream.make(8000, 300, 1))
    _, mine = stream.replay(path, 2)
    asked = {"FAN-IN", "FAN-OUT", "LARGE-OUT", "PASS", "SMALL-IN"}
    checks = [("each of the five rules hits: %s" % stream.counted(mine), set(stream.counted(mine)) == asked)]
    try:
        with postgres.Server(path, "postgres-test") as server:
            for sessions in (1, 2):
                differs = stream.compare(mine, server.measure(sessions)[1])
                checks.append(("%d session(s) of PostgreSQL say the same %s" % (sessions, differs), not differs))
    except stream.Skipped as why:
        print("skip   %s" % why)
        print("0 passed, 0 failed, 1 skipped")
        return 0
    for what, good in checks:
        print("%s %s" % ("ok    " if good else "FAILED", what))
    failed = sum(not good for _, good in checks)
    print("%d passed, %d failed, 0 skipped" % (len(checks) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
