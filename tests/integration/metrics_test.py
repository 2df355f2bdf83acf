#!/usr/bin/env python3
"""Metrics per bank, through the real engine: what /metrics says of each bank is held against what it was fed.

Three banks feed payments with repeats, second reports, late events, reused ids and nonsense over the embedded Kafka; one
of them sends more rubbish than the alarm allows. Then PostgreSQL goes away, so that messages wait. The page itself is read
by a strict small parser of the text format (and by promtool where that is installed).

Usage: metrics_test.py [--muster build/muster]      ends with `N passed, N failed, N skipped`"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "crash"))
import crash  # noqa: E402
from testbed import notices  # noqa: E402

START = 1772323200
NAME, LABEL = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*"), re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|(?=}))')
VALUE = re.compile(r"[-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|Inf|NaN)$")
BANKS = ("bank-1", "bank-2", 'bank "3"')


class Page:
    """Samples of a page of Prometheus text: {(name, frozenset of labels): value}; ValueError where it is none."""

    def __init__(self, text):
        self.samples, self.type, self.help, last = {}, {}, {}, None
        if not text.endswith("\n"):
            raise ValueError("the last line does not end")
        for line in text.splitlines():
            if line.startswith("# "):
                word, name, rest = line[2:].split(" ", 2)
                kept = {"HELP": self.help, "TYPE": self.type}[word]
                if name in kept or any(n == name for n, _ in self.samples):
                    raise ValueError("%s of %s comes twice, or after its samples" % (word, name))
                kept[name] = rest
                continue
            name, labels, value = self.sample(line)
            if self.type.get(name) not in ("counter", "gauge") or not self.help.get(name):
                raise ValueError("%s has no TYPE or HELP before it" % name)
            if (self.type[name] == "counter") != name.endswith("_total"):
                raise ValueError("%s: a counter, and nothing else, ends in _total" % name)
            if name != last and any(n == name for n, _ in self.samples):
                raise ValueError("samples of %s are torn apart" % name)
            if (name, labels) in self.samples:
                raise ValueError("%s%s comes twice" % (name, sorted(labels)))
            self.samples[name, labels], last = value, name

    @staticmethod
    def sample(line):
        name = NAME.match(line).group()
        at, labels = len(name), {}
        if line[at:at + 1] == "{":
            at += 1
            while line[at] != "}":
                found = LABEL.match(line, at)
                if not found or found.group(1) in labels:
                    raise ValueError("labels of %r" % line)
                labels[found.group(1)] = re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), found.group(2))
                at = found.end()
            at += 1
        if line[at:at + 1] != " " or not VALUE.match(line[at + 1:]):
            raise ValueError("value of %r" % line)
        return name, frozenset(labels.items()), float(line[at + 1:])

    def get(self, name, **labels):
        return self.samples.get((name, frozenset(labels.items())))

    def sources(self):
        return {dict(labels).get("source") for name, labels in self.samples if name.startswith("muster_source_")} - {None}

    def reasons(self, source):
        return {dict(labels)["reason"]: value for (name, labels), value in self.samples.items()
                if name == "muster_source_rejections_total" and dict(labels)["source"] == source}


def parser_refuses():
    """The parser itself must find what is wrong."""
    good = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\"} 1\n"
    Page(good)
    for bad in (good[:-1], good + good, good.replace("a_total{", "b_total{"), good.replace('"c"', '"c'), good.replace(" 1\n", " one\n"),
                good.replace("counter", "gauge"), good + 'a_total{b="c"} 2\n', good.replace('"c"', '"\\c"'), good.replace("} 1", "}1")):
        try:
            Page(bad)
            return False
        except (ValueError, AttributeError, IndexError):
            pass
    return True


def event(bank, number, seconds, **more):
    made = {"id": "e%d" % number, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + seconds)), "kind": "TRANSFER", "status": "SETTLED",
            "currency": "USD", "amount": "7.00", "sender": {"account": "%s:S" % bank[:6]}, "receiver": {"account": "R%d" % (number % 40)}}
    made.update(more)
    return made


def feeds():
    """Lines by bank, and what they must come to: [events, late, repeated, joined, {reason: n}, newest]"""
    lines, wanted = {}, {}
    for index, bank in enumerate(BANKS):
        count = (700, 500, 300)[index]
        late, repeats, joins, rubbish, reused = ((9, 13, 0, 20, 4), (0, 5, 8, 2, 0), (3, 0, 0, 0, 0))[index]
        made = [event(bank, n, n * 60, **({"end_to_end": "u%d" % n} if index < 2 and n < 8 and (index == 0 or joins) else {})) for n in range(count)]
        made += [event(bank, 10000 + n, count * 60 - 25 * 3600 - n) for n in range(late)]
        out = [json.dumps(one) for one in made]
        out += out[20:20 + repeats]
        out += ["no json %d" % n for n in range(rubbish)]
        out += [json.dumps(event(bank, 100 + n, n * 60, amount="8.00")) for n in range(reused)]
        if index == 0:
            out += [json.dumps(event(bank, 20000, 0, amount="-1")), json.dumps(event(bank, 20001, 0, currency="XXY"))]
        reasons = {"NOT_JSON": rubbish, "ID_REUSED": reused, "BAD_AMOUNT": int(index == 0), "BAD_CURRENCY": int(index == 0)}
        reasons = {reason: n for reason, n in reasons.items() if n}
        lines[bank] = out
        wanted[bank] = {"messages": len(out), "late": late, "repeated": repeats, "joined": joins, "reasons": reasons,
                        "rejected": sum(reasons.values()), "newest": START + (count - 1) * 60}
        wanted[bank]["scored"] = len(out) - wanted[bank]["rejected"] - repeats - joins
    return lines, wanted


class Test:
    def __init__(self, bench, checks):
        self.bench, self.checks, self.port, self.fed = bench, checks, None, 0

    def page(self):
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.port, timeout=5) as answer:
            return answer.read().decode()

    def feed(self, bank, lines):
        path = self.bench.path("part.ndjson")
        with open(path, "w") as out:
            out.writelines(line + "\n" for line in lines)
        topic = self.bench.topics[BANKS.index(bank)][0]
        done = self.bench.run(self.bench.muster, "feed", "--config", self.bench.settings, "--quiet", "--send-rejected", "--topic", topic, "--source", bank,
                              path, check=False)
        if done.returncode not in (0, 1):
            raise crash.Failure("feed: exit %d\n%s" % (done.returncode, done.stderr[-1000:]))
        self.fed += len(lines)

    def wait(self, what, seconds, good):
        end = time.monotonic() + seconds
        while not good():
            if self.engine.poll() is not None:
                raise crash.Failure("the engine ended with %d: %s" % (self.engine.returncode, open(self.engine.log).read()[-500:]))
            if time.monotonic() > end:
                raise crash.Failure("not within %d s: %s" % (seconds, what))
            time.sleep(0.1)

    def notices(self, event):
        return [notice["text"] for notice in notices(self.engine, event)]

    def start(self):
        self.engine = self.bench.engine("metrics", [word for setting in ("http_port=0", "batch_max=64", "queue_blocks_max=3", "threads=2")
                                                    for word in ("--set", setting)])
        self.wait("metrics are served", 20, lambda: self.notices("metrics"))
        self.port = int(re.search(r":(\d+)/", self.notices("metrics")[0]).group(1))
        self.wait("live", 30, lambda: self.notices("live"))

    def total(self, name, **labels):
        page = Page(self.page())
        return sum(page.get(name, source=bank, **labels) or 0 for bank in BANKS)

    def bank(self, page, bank, wanted):
        say = {"messages": page.get("muster_source_messages_total", source=bank), "late": page.get("muster_source_events_late_total", source=bank),
               "newest": page.get("muster_source_newest_event_seconds", source=bank), "reasons": page.reasons(bank)}
        for outcome in ("scored", "joined", "repeated", "rejected"):
            say[outcome] = page.get("muster_source_events_total", source=bank, outcome=outcome)
        self.checks.hold("%s: %s" % (bank, json.dumps(wanted)), say == wanted, json.dumps(say))

    def figures(self):
        lines, wanted = feeds()
        first = Page(self.page())
        self.checks.hold("before the first message every bank stands at 0", first.sources() == set(BANKS) and all(
            first.get("muster_source_messages_total", source=bank) == 0 and first.get("muster_source_newest_event_seconds", source=bank) is None and
            first.get("muster_source_lag_messages", source=bank) == 0 and first.get("muster_source_messages_per_second", source=bank) == 0
            for bank in BANKS), sorted(first.sources()))
        begin = time.monotonic()
        for bank in BANKS:
            self.feed(bank, lines[bank])
            # one after the other: of two banks' accounts of one event the second joins
            self.wait("all is scored", 60, lambda: self.total("muster_source_messages_total") == self.fed)
        took = time.monotonic() - begin
        time.sleep(1.5)  # the lag is measured each second
        text = self.page()
        page = Page(text)
        for bank in BANKS:
            self.bank(page, bank, wanted[bank])
        for name, labels in (("messages_total", {}), ("events_late_total", {}), *(("events_total", {"outcome": o}) for o in ("scored", "joined", "repeated", "rejected"))):
            parts = sum(page.get("muster_source_" + name, source=bank, **labels) for bank in BANKS)
            self.checks.hold("the banks' %s %s add up to muster_%s" % (name, labels, name), parts == page.get("muster_" + name, **labels), parts)
        self.checks.hold("no bank lags", all(page.get("muster_source_lag_" + unit, source=bank) == 0 for bank in BANKS for unit in ("messages", "seconds")))
        rates = [page.get("muster_source_messages_per_second", source=bank) for bank in BANKS]
        shares = [rate * wanted[BANKS[0]]["messages"] / wanted[bank]["messages"] / rates[0] for rate, bank in zip(rates, BANKS)]
        least = wanted[BANKS[0]]["messages"] / 62
        self.checks.hold("messages per second fit what came in the last minute: %s" % rates,
                         least <= rates[0] <= wanted[BANKS[0]]["messages"] / min(took, 2.5) and all(0.99 < share < 1.01 for share in shares), shares)
        surplus = {key for _, labels in page.samples for key, _ in labels} - {"source", "outcome", "reason", "phase", "topic", "partition", "bound", "what"}
        self.checks.hold("no label but source, outcome, reason, phase, topic, partition, bound and what", not surplus, surplus)
        if shutil.which("promtool"):
            done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
            self.checks.hold("promtool finds the page good", done.returncode == 0, done.stderr)
        return wanted

    def alarm(self, wanted):
        self.wait("the alarm of the first bank", 15, lambda: self.notices("rejections_high"))
        told = self.notices("rejections_high")
        found = re.match(r"%s: (\d+) of (\d+) events" % BANKS[0], told[0])
        refused, events = (int(n) for n in found.groups()) if found else (0, 0)  # it may come before the last of them did
        self.checks.hold("more than 1 %% refused is said once, with figures: %d of %d" % (refused, events), len(told) == 1 and
                         refused * 100 > events and refused <= wanted[BANKS[0]]["rejected"] and events <= wanted[BANKS[0]]["messages"], told)
        page = Page(self.page())
        high = {bank: page.get("muster_source_rejections_high", source=bank) for bank in BANKS}
        self.checks.hold("and is a metric of that bank alone", high == {BANKS[0]: 1, BANKS[1]: 0, BANKS[2]: 0}, high)
        self.feed(BANKS[0], [json.dumps(event(BANKS[0], 30000 + n, 900 * 60 + n)) for n in range(2500)])
        self.wait("the alarm ends", 30, lambda: self.notices("rejections_normal"))
        self.checks.hold("it ends when the share is below again", Page(self.page()).get("muster_source_rejections_high", source=BANKS[0]) == 0)

    def heartbeats(self):
        """A feeder without payments gives a sign of life on each partition; it is no message and no event."""
        counted = lambda bank: Page(self.page()).get("muster_source_heartbeats_total", source=bank)
        before, topic = Page(self.page()).get("muster_source_messages_total", source=BANKS[1]), self.bench.topics[1][0]
        self.bench.run(self.bench.muster, "feed", "--config", self.bench.settings, "--quiet", "--topic", topic, "--source", BANKS[1], "--heartbeat")
        self.wait("heartbeats are counted", 20, lambda: counted(BANKS[1]) == 3)
        self.checks.hold("a heartbeat on each of three partitions counts for that bank alone, and is no message",
                         not counted(BANKS[0]) and not counted(BANKS[2]) and
                         Page(self.page()).get("muster_source_messages_total", source=BANKS[1]) == before)

    def lag(self):
        self.bench.database.do("kill")
        self.feed(BANKS[1], [json.dumps(event(BANKS[1], 40000 + n, 900 * 60 + n)) for n in range(2000)])
        waiting = lambda: Page(self.page()).get("muster_source_lag_messages", source=BANKS[1])
        self.wait("messages wait", 20, lambda: waiting() > 1500)
        behind = Page(self.page()).get("muster_source_lag_seconds", source=BANKS[1])
        time.sleep(3)
        page = Page(self.page())
        later = page.get("muster_source_lag_seconds", source=BANKS[1])
        self.checks.hold("while PostgreSQL is away the bank lags: %d messages, %d s and rising" % (waiting(), later), later >= behind + 2, (behind, later))
        self.checks.hold("the other banks do not", all(page.get("muster_source_lag_messages", source=bank) == 0 for bank in (BANKS[0], BANKS[2])))
        self.bench.database.start()
        self.wait("no message waits any more", 60, lambda: waiting() == 0)
        self.checks.hold("and then it has caught up", self.total("muster_source_messages_total") == self.fed and
                         Page(self.page()).get("muster_source_lag_seconds", source=BANKS[1]) == 0)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--muster", default="build/muster")
    options = options.parse_args()
    topics = [("payments.%d" % number, bank, partitions) for number, (bank, partitions) in enumerate(zip(BANKS, (1, 3, 2)))]
    bench, checks = crash.Bench("metrics-test", options.muster, "rules/packs/trafficking", topics), crash.Checks()
    test = Test(bench, checks)
    checks.hold("the parser refuses what is wrong", parser_refuses())
    try:
        bench.start()
        test.start()
        test.alarm(test.figures())
        test.heartbeats()
        test.lag()
        test.engine.terminate()
        checks.hold("SIGTERM ends the engine", test.engine.wait(timeout=30) == 0)
    except (crash.Failure, RuntimeError, ValueError) as fault:
        checks.hold("the run", False, str(fault))
    finally:
        bench.stop()
    crash.say("%d passed, %d failed, 0 skipped" % (checks.passed, checks.failed))
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
