"""Replay with the whole pack and without graph rules, on one thread and on two; what each phase takes."""
import re

from parts import rule_sets
from parts.common import PACK, RATES, medians, row, run, stream

TITLE = "Replay: the rules alone, from a file"
EVENTS, ROUNDS = 1000000, 3
PHASES = ("read", "decode", "own", "route", "visit", "decide", "results")


def once(path, rules, threads):
    """{'events/s': …, phase: ns per event}"""
    done = run("build/muster", "replay", path, "--rules", rules, "--rates", RATES, "--threads", str(threads), "--phases")
    text = done.stdout + done.stderr
    out = {"events/s": float(re.search(r"([\d]+)/s", text).group(1))}
    for name, ns in re.findall(r"^ +(\w+) +[\d.]+ ms +(\d+) ns/event", text, re.M):
        out[name] = float(ns)
    return out


def rounds(path, rules, count):
    """Medians for one and for two threads, taken in turn so that both see the same neighbours."""
    pairs = [(once(path, rules, 1), once(path, rules, 2)) for _ in range(count)]
    return medians([one for one, _ in pairs]), medians([two for _, two in pairs])


def measure(options):
    smaller, gone = rule_sets.without_graphs()
    events = options.events or EVENTS
    path, rows, data = stream(events), [], {}
    for name, rules, floor, aim in (("without graph rules", smaller, 600000, 1000000), ("with the whole pack", PACK, 250000, 400000)):
        one, two = rounds(path, rules, options.rounds or ROUNDS)
        how = "muster replay FILE --rules %s --threads N" % ("build/bench/pack-without-graphs" if rules is smaller else rules)
        rows.append(row("%s, 1 thread" % name, one["events/s"], "events/s", how=how))
        rows.append(row("%s, 2 threads" % name, two["events/s"], "events/s", "aim {:,}, floor {:,}".format(aim, floor), least=floor, how=how))
        rows.append(row("%s, speed-up from 1 to 2 threads" % name, two["events/s"] / one["events/s"], "times", "at least 1.7", least=1.7))
        data[name] = {"1": one, "2": two}
    whole = data["with the whole pack"]["1"]
    rows += [row("whole pack, 1 thread: %s" % phase, whole[phase], "ns/event", how="--phases") for phase in PHASES if phase in whole]
    note = "%d events, medians of %d runs. Left out for the smaller pack: %s." % (events, options.rounds or ROUNDS, ", ".join(gone))
    return {"rows": rows, "note": note, "data": data}
