"""What is held per event, part by part, and per account that is idle; and that nothing grows for ever (bench/main/memory.c)."""
import os
import re

from parts import scale
from parts.common import PACK, PROGRAMS, row, run

TITLE = "Memory"
AIMS = {"bytes per remembered id": 24, "bytes per account idle for 7 days": 256, "bytes per account idle for 40 days": 256,
        "bytes per account idle for 400 days": 256}


def measure(options):
    rows, notes = [], []
    text = run(os.path.join(PROGRAMS, "memory"), PACK, "tests/data/strata").stdout
    for line in text.splitlines():
        match = re.match(r"(bytes per .*?) +([\d.]+) +\((.*)\)$", line)
        if not match:
            notes.append(line.strip() + ".")
            continue
        aim = AIMS.get(match.group(1))
        rows.append(row(match.group(1), float(match.group(2)), "bytes", "at most %d" % aim if aim else "", most=aim, how="bench/main/memory, of %s" % match.group(3)))
    found = scale.once(scale.EDGES, accounts=50000, events=1000000, timed=1000)
    both = 2 * found["record_bytes"] / found["records"]
    rows.append(row("bytes per edge, both ways together, 20 payments per account", both, "bytes", "aim 40, at most 64", most=64, how="scale %s" % scale.EDGES))
    rows.append(row("the same with each account's cell", both + 2 * found["key_bytes"] / found["records"], "bytes"))
    rows.append(row("memory taken for what is used", found["resident"] / found["used"], "times"))
    return {"rows": rows, "note": " ".join(notes), "data": found}
