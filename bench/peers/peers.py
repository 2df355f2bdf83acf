#!/usr/bin/env python3
"""Muster beside what a team would take or build instead: the same stream, the same rules, the same run.

Usage: peers.py [--json] [--events N] [--rounds N] [--only postgres,streams,snapml] [--write]

Every figure is the median over rounds in which Muster and its peer take turns. Hits are compared as sets of (rule, event,
account); a peer that says something else is shown with the difference. What cannot be had is skipped, with the reason.
--write puts the table into bench/results/peers.md. Exit code 1 when hits differ that ought to be equal."""
import argparse
import json
import os
import statistics
import sys
import time

import graph
import postgres
import stream
import streams

BATCHES = (1, 128, 4096)


class Table:
    """Measurements by (group, threads, who), and what was found of each."""

    def __init__(self):
        self.times, self.notes, self.events, self.skipped, self.wrong = {}, {}, {}, [], 0

    def add(self, group, threads, who, times, note=""):
        self.times.setdefault((group, threads, who), []).append(times)
        self.notes[group, threads, who] = note

    def rows(self):
        for (group, threads, who), times in self.times.items():
            mine = self.times[group, threads, "Muster"]
            wall, used = (statistics.median(pair[i] for pair in times) for i in (0, 1))
            starts = [each.start_s for each in times]
            turns = [(peer[0] / own[0], peer[1] / own[1]) for peer, own in zip(times, mine)]
            yield {"group": group, "threads": threads, "who": who, "events_per_s": self.events[group] / wall, "cpu_us": used * 1e6 / self.events[group],
                   "times": statistics.median(turn[0] for turn in turns), "times_cpu": statistics.median(turn[1] for turn in turns), "rounds": len(times),
                   "start_s": statistics.median(starts), "hits": self.notes[group, threads, who]}


def told(hits):
    return ", ".join("%s %d" % row for row in stream.counted(hits).items()) or "none"


def judged(table, mine, theirs, exact=True):
    """What to say of a peer's hits."""
    differs = stream.compare(mine, theirs)
    table.wrong += bool(differs) and exact
    return "the same" if not differs else differs


def measure_postgres(table, events, rounds):
    path = stream.make(events)
    group = "PostgreSQL function"
    with postgres.Server(path) as server:
        table.events[group] = server.events
        for _ in range(rounds):
            for threads in (1, 2):
                times, mine = stream.replay(path, threads)
                table.add(group, threads, "Muster", times, told(mine))
                times, theirs = server.measure(threads)
                table.add(group, threads, "PostgreSQL " + server.version(), times, judged(table, mine, theirs))


def measure_streams(table, events, rounds):
    path = stream.make(events * streams.LONGER, max(events // 60, 200), 30 * streams.LONGER)  # as many events a day, so that as large a share hits
    group = "Kafka Streams"
    with streams.Broker(path) as broker, postgres.Server(path, "postgres-engine") as server:
        engine = streams.Engine(broker, server)
        table.events[group] = broker.events
        for _ in range(rounds):
            for threads in (1, 2):
                times, mine = engine.measure(threads)
                table.add(group, threads, "Muster", times, told(mine))
                for guarantee in streams.GUARANTEES:
                    times, theirs = broker.measure(threads, guarantee)
                    table.add(group, threads, "Streams %s %s" % (broker.version(), guarantee), times, judged(table, mine, theirs))


def measure_snapml(table, events, rounds):
    python = graph.fetch()
    path, edges, ids = graph.make(events)
    group = "snapml"
    table.events[group] = len(ids)
    for _ in range(rounds):
        for threads in (1, 2):
            times, mine = stream.replay(path, threads, graph.RULES)
            mine = {hit[:2] for hit in mine}
            table.add(group, threads, "Muster", times, told(mine))
            for batch in BATCHES[1:] if threads > 1 else BATCHES:  # one edge a call has nothing to share out
                times, theirs = graph.measure(python, edges, ids, batch, threads)
                # larger batches let an edge see what comes after it, and its scatter-gather knows no order: not the same question
                table.add(group, threads, "snapml %s, batch %d" % (graph.VERSION, batch), times, judged(table, mine, theirs, exact=False))


PEERS = {"postgres": measure_postgres, "streams": measure_streams, "snapml": measure_snapml}


def page(table, options):
    lines = ["# Muster beside its peers", "", "Made by `bench/peers/peers.py --events %d --rounds %d --write` on %s: %s, %s." %
             (options.events, options.rounds, time.strftime("%Y-%m-%d"), stream.machine(), stream.run("build/muster", "version").stdout.strip()),
             "Medians. *times*: how often the peer's time holds Muster's of the same round; *cpu*: the same of processor time, which other",
             "work on the machine disturbs less. *start*: seconds before the first event, in no other figure. What is measured, and what favours whom: [bench/peers](../peers/README.md).", ""]
    group = None
    for row in table.rows():
        if row["group"] != group:
            group = row["group"]
            lines += ["", "## " + group, "", "%d events." % table.events[group], "", "| who | threads | events/s | cpu µs/event | times | cpu | start | hits |", "|---|---|---|---|---|---|---|---|"]
        lines.append("| %s | %d | %.0f | %.2f | %.2f | %.2f | %.2f | %s |" %
                     (row["who"], row["threads"], row["events_per_s"], row["cpu_us"], row["times"], row["times_cpu"], row["start_s"], row["hits"]))
    lines += [""] + ["%s: skipped, %s" % row for row in table.skipped]
    return "\n".join(lines).rstrip() + "\n"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--json", action="store_true")
    options.add_argument("--write", action="store_true")
    options.add_argument("--events", type=int, default=100000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", default=",".join(PEERS))
    options = options.parse_args()
    table = Table()
    for name in options.only.split(","):
        try:
            PEERS[name](table, options.events, options.rounds)
        except stream.Skipped as why:
            table.skipped.append((name, str(why)))
            print("skip   %s: %s" % (name, why), file=sys.stderr)
    text = page(table, options)
    print(json.dumps({"machine": stream.machine(), "rows": list(table.rows()), "skipped": table.skipped}, indent=1) if options.json else text)
    if options.write:
        with open(os.path.join(stream.TOP, "bench", "results", "peers.md"), "w") as out:
            out.write(text)
    return 1 if table.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
