"""Muster beside other systems, as bench/peers/peers.py measures them in turns."""
import json

from parts.common import row, run

TITLE = "Other systems"
AIM = 20


def measure(options):
    words = ["--events", str(options.events)] if options.events else []
    found = json.loads(run("python3", "bench/peers/peers.py", "--json", *words).stdout)
    rows = []
    for line in found["rows"]:
        of = "%s: %s, %s thread%s" % (line["group"], line["who"], line["threads"], "s" * (line["threads"] > 1))
        rows.append(row(of, line["events_per_s"], "events/s", how="bench/peers/peers.py"))
        if line["who"] != "Muster":
            rows.append(row(of + ": times that Muster is as fast", line["times"], "times", "at least %d" % AIM, least=AIM))
    skipped = "; ".join("%s is skipped: %s" % pair for pair in found["skipped"])
    return {"rows": rows, "note": skipped or "Hits are compared too: peers.md.", "data": found}
