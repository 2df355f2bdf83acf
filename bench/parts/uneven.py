"""What an event and a batch of 16 cost when streams are uneven or made to hurt: dense cliques, one account in every payment. On one thread,
in processor time, payments made in memory (bench/main/scale.c)."""
from parts.common import PACK, row
from parts.scale import EDGES, name_of, once

TITLE = "Uneven and adverse streams"
STREAMS = (("skew", "uniform"), ("skew", "zipf"), ("skew", "hub"), ("shape", "clique"), ("shape", "star"))


def measure(_options):
    rows, data = [], {}
    for rules in (PACK, EDGES):
        for option, value in STREAMS:
            events = 20000 if value == "clique" and rules == PACK else 100000
            found = once(rules, accounts=10000, events=events + 20000, timed=events, batch=16, **{option: value})
            what = "%s, %s" % (name_of(rules), value)
            data[what] = found
            rows.append(row(what, found["event_ns"], "ns/event", how="scale %s --%s %s --batch 16" % (rules, option, value)))
            rows.append(row("%s: a batch of 16, p99.9" % what, found["batch_ms"]["p99.9"], "ms"))
            if found["searches"]:
                rows.append(row("%s: payments looked at by a search, on average" % what, found["legs_looked"] / found["searches"], "payments",
                                "at most 20,000: the budget", most=20000))
    return {"rows": rows, "note": "10,000 accounts; batches of 16 payments, as they come when few wait.", "data": data}
