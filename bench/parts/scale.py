"""What an event costs as accounts and edges grow. On one thread, in processor time, payments made in memory (bench/main/scale.c).
No run may take more than 8 GiB."""
import json
import os
import re

from parts import picture
from parts.common import PACK, PROGRAMS, RESULTS, Unavailable, row, run

TITLE = "Growth: accounts and edges"
EDGES = os.path.join("bench", "rules", "edges")
BYTES_MAX = 8 << 30
# With the pack an account takes some 2 KB: ten million do not fit.
ACCOUNTS = {PACK: (10000, 100000, 1000000), EDGES: (10000, 100000, 1000000, 10000000)}
HELD = (1000000, 10000000, 50000000)


def name_of(rules):
    return "whole pack" if rules == PACK else "edges only"


def available():
    return int(re.search(r"^MemAvailable:\s*(\d+)", open("/proc/meminfo").read(), re.M).group(1)) << 10


def once(rules, **options):
    """What bench/main/scale says; option names as its own, True for those without a value."""
    words = []
    for name, value in options.items():
        words += ["--" + name] + ([] if value is True else [str(value)])
    return json.loads(run(os.path.join(PROGRAMS, "scale"), rules, *words).stdout)


def accounts(rows, data, rounds):
    for rules, sizes in ACCOUNTS.items():
        costs = data["accounts"][name_of(rules)] = []
        for size in sizes:
            # payments are the same in number: what grows is what is known already; the best of some rounds, for others are at work too
            found = min((once(rules, accounts=size, events=100000, timed=100000, touch=True) for _ in range(rounds if size <= 1000000 else 1)),
                        key=lambda one: one["event_median_ns"])
            costs.append([size, found["event_median_ns"], found["resident"]])
            rows.append(row("%s, %s accounts known" % (name_of(rules), "{:,}".format(size)), found["event_median_ns"], "ns/event",
                            how="scale %s --accounts %d --touch" % (rules, size)))
        rows.append(row("%s, from %s to %s accounts" % (name_of(rules), "{:,}".format(sizes[0]), "{:,}".format(sizes[-1])), costs[-1][1] / costs[0][1],
                        "times", "at most 3", most=3))


def edges(rows, data, notes):
    per_event = 0
    for held in HELD:
        need = per_event * held
        if need > min(BYTES_MAX, available() * 0.8):
            notes.append("%s edges were not held: they would take %.1f GiB, more than 8 GiB or than is free here." % ("{:,}".format(held), need / 2**30))
            continue
        found = once(EDGES, accounts=held // 20, events=held, timed=200000)
        per_event = found["resident"] / held
        data["edges"].append([held, found["event_median_ns"], found["resident"]])
        rows.append(row("%s edges held, %s accounts" % ("{:,}".format(held), "{:,}".format(found["identities"])), found["event_median_ns"], "ns/event",
                        how="scale %s --events %d" % (EDGES, held)))
        rows.append(row("its memory, all in all", found["resident"] / held, "bytes/edge"))
    if len(data["edges"]) > 1:
        rows.append(row("from %s to %s edges" % tuple("{:,}".format(data["edges"][i][0]) for i in (0, -1)), data["edges"][-1][1] / data["edges"][0][1], "times",
                        "at most 3", most=3))


def measure(options):
    rows, notes, data = [], [], {"accounts": {}, "edges": []}
    accounts(rows, data, options.rounds or 2)
    try:
        edges(rows, data, notes)
    except Unavailable as why:
        notes.append(str(why))
    lines = [("%s" % name, [(size, ns) for size, ns, _ in costs]) for name, costs in data["accounts"].items()]
    picture.lines(os.path.join(RESULTS, "accounts.svg"), "cost of an event", lines, "accounts known", "ns")
    note = "Medians of batches of 1,024 payments in processor time; the edges rule set holds payments for 10 days and searches one in twenty for a ring."
    return {"rows": rows, "note": " ".join([note] + notes), "data": data, "pictures": {"accounts.svg": "cost of an event against the number of accounts known"}}
