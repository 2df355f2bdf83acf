"""The peer snapml: its GraphFeaturePreprocessor asked for fans, scatter-gather and temporal cycles, and Muster with bench/peers/graph."""
import json
import os
import subprocess
import sys
import time

import stream

VERSION = "1.17.2"
RULES = os.path.join("bench", "peers", "graph")
VENV = os.path.join(stream.HOME, "venv")


def fetch():
    """Python of an environment with snapml."""
    python, mark = os.path.join(VENV, "bin", "python"), os.path.join(VENV, "whole-" + VERSION)
    if not os.path.exists(mark):
        for words in ([sys.executable, "-m", "venv", VENV], [python, "-m", "pip", "-q", "install", "--only-binary", ":all:", "snapml==" + VERSION]):
            try:
                done = subprocess.run(words, capture_output=True, text=True, timeout=300)
            except (OSError, subprocess.TimeoutExpired) as why:
                raise stream.Skipped("snapml cannot be installed: %s" % why)
            if done.returncode:
                raise stream.Skipped("snapml cannot be installed: %s" % (done.stderr or done.stdout).strip()[-200:])
        open(mark, "w").close()
    return python


def make(events):
    """(stream, its edges as numbers, ids by number): payments between two known, different accounts, in order of time, on whole
    seconds; no more than the preprocessor can take."""
    path = stream.make(events)
    name = path.replace("stream-", "edges-")
    rows = []
    for line in open(path):
        event = json.loads(line)
        ends = event["sender"].get("account"), event["receiver"].get("account")
        if None not in ends and ends[0] != ends[1]:
            event["time"] = event["time"][:19] + "Z"
            rows.append((event["time"], event, ends))
    rows.sort(key=lambda row: row[0])
    number, ids = {}, []
    start = stream.ms(rows[0][0])
    with open(name, "w") as events_out, open(name + ".csv", "w") as edges_out:
        for moment, event, ends in rows:
            events_out.write(json.dumps(event) + "\n")
            source, target = (number.setdefault(end, len(number)) for end in ends)
            edges_out.write("%d,%d,%d,%d\n" % (len(ids), source, target, (stream.ms(moment) - start) // 1000))
            ids.append(event["id"])
    return name, name + ".csv", ids


def measure(python, edges, ids, batch, threads):
    """(stream.Times of its calls, {(rule, event id)})"""
    found = os.path.join(stream.HOME, "found.csv")
    begin = time.monotonic()
    done = subprocess.run([python, os.path.join(stream.TOP, "bench", "peers", "preprocessor.py"), edges, str(batch), str(threads), found],
                          capture_output=True, text=True, timeout=400)
    if done.returncode:
        raise RuntimeError("snapml failed: " + done.stderr[-800:])
    seconds, used, first = (float(word) for word in done.stdout.split()[-3:])
    return stream.Times(seconds, used, first - begin), {(rule, ids[int(edge)]) for rule, edge in (line.split(",") for line in open(found))}
