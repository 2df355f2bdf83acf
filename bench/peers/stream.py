"""The stream that Muster and its peers are given, and what Muster makes of it."""
import collections
import datetime
import json
import os
import platform
import re
import resource
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOME = os.path.join(TOP, "build", "peers")
RULES = os.path.join("bench", "peers", "window")


# What one run took for all events, from the first to the last: by the clock and of the processor; start_s is in neither (None: not known).
Times = collections.namedtuple("Times", "wall_s used_s start_s")


class Skipped(Exception):
    """A peer that cannot be had here; the text says why."""


def run(*words, **more):
    return subprocess.run(words, cwd=TOP, check=True, capture_output=True, text=True, **more)


def make(events, accounts=None, days=30, seed=7):
    """Path of an NDJSON stream of one bank without repeats, so that no peer need look for any; Muster does all the same."""
    accounts = accounts or max(events // 60, 200)
    path = os.path.join(HOME, "stream-%d-%d-%d.ndjson" % (events, accounts, days))
    if os.path.exists(path):
        return path
    os.makedirs(HOME, exist_ok=True)
    run("build/muster", "gen", "--events", str(events), "--accounts", str(accounts), "--days", str(days), "--seed", str(seed),
        "--sources", "1", "--out", path + ".all")
    known = set()
    with open(path + ".new", "w") as out:
        for line in open(path + ".all"):
            name = line[:line.index(",")]  # {"id":"…"
            if name not in known:
                known.add(name)
                out.write(line)
    os.remove(path + ".all")
    os.rename(path + ".new", path)
    return path


def ms(text):
    """Milliseconds since 1970 of a moment in UTC."""
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def read(path):
    """The stream as rows (seq, id, ms, sender or None, receiver or None, minor units), in its own order."""
    for seq, line in enumerate(open(path), 1):
        event = json.loads(line)
        whole, cents = event["amount"].split(".")
        yield (seq, event["id"], ms(event["time"]), event["sender"].get("account"), event["receiver"].get("account"), int(whole) * 100 + int(cents))


def replay_once(path, threads, rules, hits):
    """Seconds and processor seconds of the whole process."""
    begin, used = time.monotonic(), children_s()
    run("build/muster", "replay", path, "--rules", rules, "--threads", str(threads), "--hits", hits, "--quiet")
    return time.monotonic() - begin, children_s() - used


def replay(path, threads, rules=RULES):
    """(Times; hits as {(rule, event id, account): say}). The start is what the same command takes for a stream without events, and is
    taken off; the end, with a state to tear down, is not."""
    hits, empty = os.path.join(HOME, "hits.ndjson"), os.path.join(HOME, "empty.ndjson")
    open(empty, "w").close()
    start_s, start_used = replay_once(empty, threads, rules, hits)
    seconds, used = replay_once(path, threads, rules, hits)
    return Times(seconds - start_s, used - start_used, start_s), {(hit["rule_id"], hit["event_id"], hit["key"][0]): hit["say"] for hit in map(json.loads, open(hits))}


def children_s():
    """Processor seconds of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def process_s(pid):
    """Processor seconds of a process that still runs."""
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def counted(hits):
    """{rule: hits} of a set of (rule, …)"""
    out = {}
    for hit in hits:
        out[hit[0]] = out.get(hit[0], 0) + 1
    return dict(sorted(out.items()))


def compare(mine, theirs):
    """'' when both sets of hits are equal, else what differs."""
    if set(mine) == set(theirs):
        return ""
    only = sorted(set(mine) - set(theirs)), sorted(set(theirs) - set(mine))
    return "Muster alone %d (%s), the peer alone %d (%s)" % (len(only[0]), counted(only[0]), len(only[1]), counted(only[1]))


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return "%s, %d cores, Linux %s" % (model, os.cpu_count(), re.match(r"[\d.]+", platform.release()).group(0))
