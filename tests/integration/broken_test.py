#!/usr/bin/env python3
"""Malformed events: none stops the stream, none is lost, each has a reason and a field.

A seeded generator makes thousands of mutants beside hand-made classics. The decoder's verdict on each
(`muster feed --dry-run`) is held against connectors/json/event.schema.json, read by an independent
validator, both ways: they may differ only where BEYOND says so, each row of which must be met. Then the
same lines go through replay, and through Kafka and the engine to PostgreSQL.
Ends with `N passed, N failed, N skipped`.

Usage: broken_test.py [--lines N] [--seed S]"""
import argparse
import copy
import datetime
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUSTER = os.path.join(TOP, "build", "muster")
HOME = os.path.join(TOP, "build", "broken-test")
SCHEMA = os.path.join(TOP, "connectors", "json", "event.schema.json")
MESSAGE_MAX = 65536
WHOLE = {"EMPTY", "TOO_LARGE", "NOT_JSON", "NOT_OBJECT", "BAD_UTF8", "TOO_DEEP"}  # no one field is at fault


def valid(chance, number):
    event = {"id": "m%d" % number, "time": "2026-03-%02dT%02d:00:00Z" % (chance.randrange(1, 29), chance.randrange(24)), "kind": "TRANSFER",
             "channel": "WALLET", "status": "SETTLED", "currency": chance.choice(["USD", "EUR", "JPY", "KWD", "CLF"]),
             "amount": str(chance.randrange(1, 9000)),
             "sender": {"account": "A%d" % chance.randrange(99), "country": "DE", "party": "P1", "device": "d", "phone": "+1", "address": "x 1"},
             "receiver": {"account": "B%d" % chance.randrange(99), "country": "FR"}, "place": {"name": "Salzgasse", "country": "AT"},
             "terminal": "T1", "purpose": "SALA", "mcc": "5411", "narrative": "wage März", "end_to_end": "u%d" % number, "refers_to": "m1"}
    for key in chance.sample(["kind", "channel", "status", "place", "terminal", "purpose", "mcc", "narrative", "end_to_end", "refers_to"], 5):
        del event[key]
    return event


# What a member may be set to: wrong types, edges of every limit, near misses of every code.
ODD = [None, True, False, 0, -1, 1, 1.0, 1.5, 2**63 - 1, 2**63, -2**63, 2**64, 10**40, "", " ", "\0", "a\0b", "x" * 40, "x" * 41, "x" * 64, "x" * 65,
       "x" * 128, "x" * 129, "x" * 256, "x" * 257, "x" * 4096, "x" * 4097, "ü" * 40, "ü" * 64, "ü" * 2049, "😀" * 17, [], [1], {}, {"account": 1},
       {"account": ""}, {"cash": True}, {"cash": 1}, {"cash": True, "account": "A"}, {"cash": True, "party": "P"}, {"party": "P"}, "usd", "USD", "XXX", "US", "XK",
       "ZZ", "de", "JPY", "1", "1.", ".5", "1.5", "1.50", "1.505", "1.5055", "1.50555", "0", "0.00", "-1", "+1", "1e3", "1,5", " 1", "1 ", "1\n", "00001",
       "9" * 18, "9" * 19, "9" * 32, "9" * 33, "123", "1234", "12345", "12a4", "SALA", "sala", "SAL", "SALAR", "TRANSFER", "transfer", "SETTLED", "PENDING",
       "REVERSED", "BRANCH", "2026-03-02", "2026-03-02T10:00:00", "2026-03-02T10:00:00Z", "2026-03-02t10:00:00z", "2026-03-02 10:00:00+05:30",
       "2026-02-29T10:00:00Z", "2026-02-30T10:00:00Z", "2026-04-31T10:00:00Z", "2026-13-01T10:00:00Z", "2026-03-02T24:00:00Z", "2026-03-02T10:60:00Z",
       "2026-03-02T10:00:60Z", "2026-03-02T10:00:00.Z", "2026-03-02T10:00:00.123456789Z", "2026-03-02T10:00:00.1234567891Z", "2026-03-02T10:00:00+0530",
       "2026-03-02T10:00:00+24:00", "1899-12-31T00:00:00Z", "1900-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "2201-01-01T00:00:00Z", "20260302T100000Z",
       "2026-3-2T10:00:00Z", "0000-00-00T00:00:00Z", "yesterday", 1772445600000]
PLACES = [()] * 6 + [("sender",), ("receiver",), ("place",)]
MEMBERS = {(): ["id", "source", "time", "kind", "channel", "status", "amount", "amount_minor", "currency", "sender", "receiver", "place", "terminal",
                "purpose", "mcc", "narrative", "end_to_end", "refers_to", "fact", "subject", "valid_from", "withdrawn", "fields", "unknown"],
           ("sender",): ["account", "party", "country", "device", "phone", "address", "cash", "unknown"],
           ("receiver",): ["account", "party", "country", "device", "phone", "address", "cash", "unknown"], ("place",): ["name", "country", "unknown"]}


def mutate_value(chance, event):
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        at = event
        place = chance.choice(PLACES)
        for key in place:
            at = at.get(key)
        if not isinstance(at, dict):
            continue
        key = chance.choice(MEMBERS[place])
        if chance.random() < 0.15:
            at.pop(key, None)
        else:
            at[key] = copy.deepcopy(chance.choice(ODD))
        if key == "amount_minor" and chance.random() < 0.8:
            event.pop("amount", None)
    return json.dumps(event, ensure_ascii=chance.random() < 0.5).encode()


def mutate_text(chance, event):
    text = json.dumps(event).encode()
    at = chance.randrange(len(text))
    roll = chance.randrange(10)
    if roll == 0:
        return text[:at]
    if roll == 1:
        return text[:at] + bytes([chance.randrange(256)]) + text[at + 1:]
    if roll == 2:
        return text[:at] + bytes([chance.randrange(256) for _ in range(chance.randrange(1, 5))]) + text[at:]
    if roll == 3:
        return text[:at] + text[at + chance.randrange(1, 9):]
    if roll == 4:
        key = chance.choice(sorted(event))
        return text[:-1] + b", " + json.dumps({key: event[key]})[1:-1].encode() + b"}"
    if roll == 5:
        return chance.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"// \n", b"\x0b"]) + text
    if roll == 6:
        return text + chance.choice([b" {}", b",", b"]", b"\0", b" 1", text])
    if roll == 7:
        depth = chance.randrange(20, 60)
        return text[:-1] + b', "deep": ' + b"[" * depth + b"]" * depth + b"}"
    if roll == 8:
        return text[:-1] + b', "odd": ' + chance.choice([b"1e400", b"01", b"+1", b"1.", b".1", b"NaN", b"-Infinity", b"0x10", b"-", b"1" * 400, b"1e-400",
                                                         b"'x'", b"nul", b"True", b'"\\ud800"', b'"\\x41"', b'"\t"']) + b"}"
    return text.replace(b'"', chance.choice([b"'", b"", b"\\\""]), chance.choice([1, 2, -1]))


def classics():
    good = json.dumps({"id": "c", "time": "2026-03-02T10:00:00Z", "currency": "EUR", "amount": "1", "sender": {"account": "A"}}).encode()
    yield from [b"{", b"}", b"[]", b"null", b"true", b"1", b'"x"', b"{}", b"[" * 5000, b'{"a":' * 5000, good + good, b"[" + good + b"]", b"\xef\xbb\xbf" + good,
                good.decode().encode("utf-16"), good.decode().encode("utf-16-le"), good[:-1], good[1:], b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80",
                b"\xc0\xaf", good.replace(b'"A"', b'"\xc3\x28"'), good.replace(b'"A"', b'"\xed\xa0\x80"'), good.replace(b'"A"', b'"\\ud800"'),
                good.replace(b'"A"', b'"\\u0000"'), good[:-1] + b', "id": "d"}', good[:-1] + b', "\\u0069d": "d"}', good[:-1] + b', "sender": {"party": "P"}}',
                good[:-1] + b', "x": 1, "x": 2}', good.replace(b'"1"', b"1"), good.replace(b'"1"', b"1e9"), good.replace(b'"1"', b'"1e9"'),
                good.replace(b'"1"', b'"' + b"9" * 5000 + b'"'), good.replace(b'"1"', b"9" * 5000), good.replace(b"{", b"{" + b" " * 70000, 1),
                good.replace(b'"A"', b'"' + b"A" * 70000 + b'"'), b"\0", b"\0" * 100, b"\xff" * 100, b"   ", b"<?xml version='1.0'?><Document/>", b"id;time;amount",
                good.replace(b'"amount": "1"', b'"amount_minor": 1.0'), good.replace(b'"amount": "1"', b'"amount_minor": 1e2'),
                good.replace(b"2026", b"2199"), good.replace(b"03-02", b"02-30"), good.replace(b"03-02", b"04-31")]


def lines_of(seed, count):
    chance = random.Random(seed)
    lines = list(classics())
    while len(lines) < count:
        event = valid(chance, len(lines))
        roll = chance.random()
        lines.append(json.dumps(event).encode() if roll < 0.05 else mutate_value(chance, event) if roll < 0.7 else mutate_text(chance, event))
    # one message is one line of a file; an empty line is no message
    return [line.replace(b"\n", b" ").replace(b"\r", b" ") or b" " for line in lines]


# --- the schema's side ---

class Refused(Exception):
    pass


def parse(line):
    """(document, remarks): what the standard's JSON says; remarks name what a schema cannot see."""
    remarks = set()

    def pairs(members):
        if len({key for key, _ in members}) < len(members):
            remarks.add("DUPLICATE_KEY")
        return dict(members)

    def constant(word):
        raise Refused(word)

    def real(word):
        number = float(word)
        remarks.add("HUGE_NUMBER" if number in (float("inf"), float("-inf")) else "WHOLE_REAL" if number.is_integer() else "")
        return number

    def integer(word):
        if len(word) > 20 or not -2**63 <= int(word) < 2**64:
            remarks.add("HUGE_NUMBER")
        return int(word[:400])

    try:
        document = json.loads(line.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant, parse_float=real, parse_int=integer)
    except (ValueError, Refused, RecursionError) as fault:
        raise Refused(str(fault))
    return document, remarks


def beyond(text, document, reason, field, remarks):
    """Why the decoder may refuse what the schema takes: a row of BEYOND, or None."""
    def at(path):
        value = document
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value
    value = at(field) if field else None
    if reason == "TOO_LARGE" and len(text) > MESSAGE_MAX:
        return "size of the message"
    if reason == "TOO_DEEP" and re.search(rb"[\[{]{20}|(\[ *){20}", text):
        return "depth"
    if reason == "DUPLICATE_KEY" and "DUPLICATE_KEY" in remarks:
        return "a key given twice"
    if reason == "TOO_LONG" and isinstance(value, str) and len(value.encode()) > len(value):
        return "bytes, not characters"
    if reason == "BAD_TIME":
        try:
            datetime.date(*map(int, value[:10].split("-")))
        except ValueError:
            return "a date that does not exist"
    if reason == "FUTURE" and value > "2026-11":
        return "a time that is still to come"
    if reason == "AMOUNT_OVERFLOW" and int(value.split(".")[0]) > 2**63 // 10**4:
        return "an amount over 64 bits"
    if reason == "MONEY_AS_REAL" and isinstance(value, float) and "WHOLE_REAL" in remarks:
        return "1.0 counts as an integer"
    if reason == "NOT_JSON" and ("HUGE_NUMBER" in remarks or b"\\ud" in text):
        return "numbers and characters that nobody can hold"
    return None


BEYOND = ["size of the message", "depth", "a key given twice", "bytes, not characters", "a date that does not exist", "a time that is still to come",
          "an amount over 64 bits", "1.0 counts as an integer", "numbers and characters that nobody can hold"]


def validator():
    import jsonschema
    schema = json.load(open(SCHEMA))

    def pattern(_, wanted, instance, __):
        # JSON Schema's $ is the very end; Python's would let a line feed follow
        if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", wanted), instance):
            yield jsonschema.ValidationError("does not match")
    kind = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": pattern})
    kind.check_schema(schema)
    return kind(schema)


# --- the tests ---

class Tally:
    passed = failed = skipped = 0

    def hold(self, what, ok, why=""):
        self.passed += bool(ok)
        self.failed += not ok
        print("%s %s%s" % ("ok    " if ok else "FAILED", what, "" if ok else ": %s" % (why,)), flush=True)


def command(*words, codes=(0,)):
    done = subprocess.run(words, cwd=TOP, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
    if done.returncode not in codes:
        raise RuntimeError("%s: exit %d: %s" % (" ".join(words[:3]), done.returncode, done.stderr[-800:]))
    return done.stdout.decode(), done.stderr.decode()


def verdicts(tally, path, lines):
    """What the decoder says of each line: None, or (reason, field)."""
    out, err = command(MUSTER, "feed", "--dry-run", "--source", "bank", "--set", "message_kb_max=%d" % (MESSAGE_MAX // 1024), path, codes=(0, 1))
    found = [None] * len(lines)
    form = re.compile(r"^%s:(\d+): (\w+)(?: (\S+))?: " % re.escape(path))
    for said in err.splitlines():
        match = form.match(said)
        tally.failed += match is None or found[int(match[1]) - 1] is not None
        found[int(match[1]) - 1] = (match[2], match[3] or "")
    known = set(re.findall(r"^REJECT\((\w+)", open(os.path.join(TOP, "engine/model/reject.def")).read(), re.M))
    refused = [v for v in found if v]
    tally.hold("%d of %d lines refused, each once with a reason" % (len(refused), len(lines)), all(r in known for r, _ in refused), out)
    tally.hold("each with its field, but where the whole message is at fault", all(f or r in WHOLE for r, f in refused), [v for v in refused if not v[1] and v[0] not in WHOLE])
    counts = re.search(r"(\d+) (?:lines|payments), (\d+) refused", out)
    tally.hold("the summary says so", counts and [int(n) for n in counts.groups()] == [len(lines), len(refused)], out)
    return found


def hold_schema(tally, lines, found):
    check, met = validator(), set()
    lenient, strict = [], []
    for text, verdict in zip(lines, found):
        try:
            document, remarks = parse(text)
        except Refused as fault:
            if not verdict:
                lenient.append((text[:300], "no JSON: %s" % fault))
            continue
        good = check.is_valid(document)
        if not good and not verdict:
            lenient.append((text[:300], [e.message[:80] for e in check.iter_errors(document)]))
        if good and verdict:
            why = beyond(text, document, *verdict, remarks)
            met.add(why)
            if not why:
                strict.append((text[:300], verdict))
    tally.hold("what the schema refuses the decoder refuses", not lenient, "%d, such as %s" % (len(lenient), lenient[:3]))
    tally.hold("what the decoder refuses the schema refuses", not strict, "%d, such as %s" % (len(strict), strict[:3]))
    page = open(os.path.join(TOP, "connectors", "json", "README.md")).read()
    for row in BEYOND:
        tally.hold("beyond a schema: %s" % row, row in met and row in page)


def hold_tables(tally):
    """The schema's lists and lengths are the code's."""
    schema = json.load(open(SCHEMA))
    for place, name, macro in ((schema["properties"]["kind"], "event_kind", "EVENT_KIND"), (schema["properties"]["channel"], "event_channel", "EVENT_CHANNEL"),
                               (schema["properties"]["status"], "event_status", "EVENT_STATUS"), (schema["properties"]["currency"], "currency", "CURRENCY"),
                               (schema["$defs"]["country"], "country", "COUNTRY")):
        rows = re.findall(r"^%s\((.*)\)" % macro, open(os.path.join(TOP, "engine/model", name + ".def")).read(), re.M)
        listed = ["".join(re.findall(r"'(\w)'", row)) or row.split(",")[0] for row in rows]  # a country by its letters: 'K', 'E'
        tally.hold("the schema lists what %s.def lists" % name, place["enum"] == listed)
    for parent, key, most in re.findall(r'^EVENT_FIELD\(\w+, "(\w*)", "(\w+)", (\d+)\)', open(os.path.join(TOP, "engine/model/event_field.def")).read(), re.M):
        if key == "fact" or (parent == "" and key in ("time", "amount")):
            continue
        at = schema["properties"] if parent == "" else schema["$defs"]["end"]["properties"] if parent != "place" else schema["properties"]["place"]["properties"]
        at = at.get(key, {})
        at = schema["$defs"][at["$ref"].split("/")[-1]] if "$ref" in at else at
        tally.hold("the schema knows %s %s" % (parent, key), at and ("maxLength" not in at or at["maxLength"] == int(most)), at)


def hold_replay(tally, path, lines, found):
    with_source = os.path.join(HOME, "sourced.ndjson")
    open(with_source, "wb").writelines(line + b"\n" for line in lines)
    out, _ = command(MUSTER, "replay", "--rules", "tests/data/doubled", "--rejections", os.path.join(HOME, "rejections"),
                     "--set", "message_kb_max=%d" % (MESSAGE_MAX // 1024), with_source)
    count = {word: int(n) for word, n in re.findall(r"^(\w+) +(\d+)", out, re.M)}
    total = sum(count[k] for k in ("scored", "joined", "repeated", "rejected"))
    kept = sum(1 for _ in open(os.path.join(HOME, "rejections"), errors="replace"))
    tally.hold("replay: %d lines, one outcome each, every rejection written" % len(lines), total == len(lines) == count["events"] and kept == count["rejected"], out)


def wait_for(what, seconds, true):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("%s: not within %d s" % (what, seconds))
        time.sleep(0.1)


def hold_stream(tally, path, lines, found):
    postgres = os.path.join(HOME, "postgres")
    processes = []

    def cluster(verb):
        with open(os.path.join(HOME, "postgres.out"), "w+") as out:
            subprocess.run(["docker/postgres.sh", verb, postgres], cwd=TOP, stdout=out, stderr=out, check=True)
            out.seek(0)
            return out.read().strip()

    def query(sql):
        return [tuple(row.split("\x1f")) for row in command("psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-d", dsn, "-c", sql)[0].splitlines()]

    try:
        cluster("start")
        dsn = cluster("dsn")
        port = os.path.join(HOME, "kafka")
        processes.append(subprocess.Popen([MUSTER, "mock-kafka", "--port-file", port, "--topic", "payments:1"], stdout=subprocess.DEVNULL))
        wait_for("Kafka", 20, lambda: os.path.exists(port))
        settings = os.path.join(HOME, "muster.yaml")
        with open(settings, "w") as out:
            out.write("kafka_brokers: \"%s\"\nkafka_topics:\n  payments: bank\npostgres_dsn: \"%s\"\nrules_dir: tests/data/doubled\n" % (open(port).read().strip(), dsn))
            for name, folder in (("state_dir", "state"), ("log_dir", "log"), ("log_key_dir", "keys"), ("master_key_file", "master.key")):
                out.write("%s: %s\n" % (name, os.path.join(HOME, folder)))
            out.write("threads: 2\nhttp_port: -1\nmessage_kb_max: %d\n" % (MESSAGE_MAX // 1024))
        command(MUSTER, "db", "migrate", "--config", settings)
        log = open(os.path.join(HOME, "engine.log"), "w")
        engine = subprocess.Popen([MUSTER, "run", "--config", settings], cwd=TOP, stderr=log)
        processes.append(engine)
        command(MUSTER, "feed", "--config", settings, "--quiet", "--send-rejected", "--topic", "payments", "--source", "bank", path, codes=(0, 1))
        wait_for("all lines", 60, lambda: engine.poll() is not None or query("select coalesce(sum(next_offset), 0) from muster.position") == [(str(len(lines)),)])
        tally.hold("the engine takes %d messages and goes on" % len(lines), engine.poll() is None, open(log.name).read()[-500:])
        kept = {int(o): (reason, field) for o, reason, field in query("select kafka_offset, reason, field from muster.rejection")}
        # an id that a mutant shares with another, and a fact on a topic of payments, are matters of the stream
        differ = [(i, found[i], kept.get(i)) for i in range(len(lines))
                  if found[i] != kept.get(i) and kept.get(i) != ("FACT_NOT_HERE", "fact") and (found[i] or kept[i][0] != "ID_REUSED")]
        tally.hold("PostgreSQL holds the same %d rejections" % len(kept), not differ and kept, differ[:5])
    finally:
        for process in reversed(processes):
            if process.poll() is None:
                process.kill()
            process.wait()
        cluster("stop")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--lines", type=int, default=8000)
    options.add_argument("--seed", type=int, default=3)
    options = options.parse_args()
    tally = Tally()
    shutil.rmtree(HOME, ignore_errors=True)
    os.makedirs(HOME)
    lines = lines_of(options.seed, options.lines)
    path = os.path.join(HOME, "broken.ndjson")
    open(path, "wb").writelines(line + b"\n" for line in lines)
    found = verdicts(tally, path, lines)
    tally.hold("at least 5,000 of them are malformed", options.lines < 8000 or sum(1 for v in found if v) >= 5000, sum(1 for v in found if v))
    hold_tables(tally)
    try:
        hold_schema(tally, lines, found)
    except ImportError:
        tally.skipped += 1
        print("skipped: no independent validator (package python3-jsonschema)")
    hold_replay(tally, path, lines, found)
    hold_stream(tally, path, lines, found)
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
