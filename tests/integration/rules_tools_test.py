#!/usr/bin/env python3
"""Every rule tool with one table: its exit code when all is well, when it finds something, when it is called wrongly and
when a folder is missing; its JSON, which parses and agrees with the text's main figures; that of rules with errors, which is the same
for all; its bar on a terminal when the work takes long, and --quiet. And what `rules explain` says of a failing `or`: every part.
Ends with `N passed, N failed`."""
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUSTER = os.path.join(TOP, "build", "muster")
OUT = os.path.join(TOP, "build", "rules-tools-test")
WHOLE, FAILING, RATES = "tests/data/coverage/whole", "tests/data/coverage/failing", "rules/packs/rates.csv"
PACK = "rules/packs/trafficking"
STREAM, LABELS, BROKEN, UGLY, PAGES, OR = (os.path.join(OUT, name) for name in ("stream.ndjson", "labels.csv", "broken", "ugly", "pages", "or"))
NOWHERE = os.path.join(OUT, "nowhere")
passed = failed = 0
OR_RULES = """\
ruleset either { timezone "Africa/Nairobi"  base USD }

typology t "T" { offence laundering  alert at 100 points  half_life 10d }

rule OR-1 "Either" {
  version 1  status live
  typology t  family payroll  source "x" V  why "y"
  for each account
  let n = count of in over 1d
  let m = sum amount of in over 1d
  when n >= 1 and (n >= 9 or m >= 900 USD)
  points 1 to account as collector
  say "{n}"
}

rule OR-2 "A filter with either" {
  version 1  status live
  typology t  family collection  source "x" V  why "y"
  for each account
  let n = count of in where amount >= 500 USD or purpose = GIFT over 1d
  when n >= 1
  points 1 to account as collector
  say "{n}"
}
"""
OR_TESTS = """
test "either" for OR-1 {
  start 2026-03-02 12:00
  W -> A 50 USD
  after 1m W -> A 70 USD
  expect hit on A
}

test "a filter with either" for OR-2 {
  start 2026-03-02 12:00
  W -> A 50 USD
  after 1m W -> A 70 USD { purpose RENT }
  expect hit on A
}
"""
OR_TESTED = [  # event by event, every part
    ["`n >= 9` (line 11) is false (1, 9)", "`m >= 900 USD` (line 11) is false (50.00 USD, 900.00 USD)"],
    ["`n >= 9` (line 11) is false (2, 9)", "`m >= 900 USD` (line 11) is false (120.00 USD, 900.00 USD)"],
    ["`amount >= 500 USD` (line 20) is false (50.00 USD, 500.00 USD)", "`purpose = GIFT` (line 20) is unknown (unknown, GIFT)"],
    ["`amount >= 500 USD` (line 20) is false (70.00 USD, 500.00 USD)", "`purpose = GIFT` (line 20) is false (RENT, GIFT)"]]
OR_MARKED = [("n >= 9", "2"), ("m >= 900 USD", "120.00 USD")]
OR_FILTER = [["amount >= 500 USD", "purpose = GIFT"]]


def hold(what, good, told=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("not so: %s\n  %s" % (what, str(told)[:1500]))


def muster(*words):
    done = subprocess.run([MUSTER, *words], cwd=TOP, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        out.write(text)


def whole_text():
    with open(os.path.join(TOP, WHOLE, "whole.rules")) as text:
        return text.read()


def payment(i, minute, sender, receiver, amount):
    return json.dumps({"source": "bank", "id": "e%d" % i, "time": "2026-03-02T10:%02d:00Z" % minute, "kind": "TRANSFER", "amount": amount,
                       "currency": "USD", "sender": {"account": sender}, "receiver": {"account": receiver}}) + "\n"


def figures(*patterns):
    """What the text says, by patterns with one group each, as numbers."""
    return lambda text: [int(re.search(pattern, text, re.M)[1]) for pattern in patterns]


def explained_text(text):
    """Of an explanation as text: how many rules and keys looked, hits, conditions, and marks at them."""
    keys = re.findall(r"^[A-Z]+-\w+ for .*: (.*)$", text, re.M)
    return [len(keys), sum(key.startswith("hit") for key in keys), len(re.findall(r"^    (?:false|true|unknown) ", text, re.M)),
            text.count("the last to turn true"), len(re.findall(r"^    .*<- kept it", text, re.M)),
            len(set(re.findall(r'says "(.*)"', text)))]


def explained_json(found):
    keys = [look for event in found["events"] for look in event["looks"]]
    conditions = [condition for key in keys for part in key["parts"] for condition in part["conditions"]]
    hold("explain --json: nothing is left out", found["looks_not_told"] == found["hits_not_told"] == 0 and not found["more_hits_formed_the_alert"], found)
    return [len(keys), sum(key["hit"] for key in keys), len(conditions), sum(c["last_to_turn_true"] for c in conditions),
            sum(c["kept_from_firing"] for c in conditions), len({key["says"] for key in keys if "says" in key})]


def stream_and_alert():
    """A made stream; an event with a hit and an alert of it."""
    code, _, err = muster("gen", "--events", "4000", "--seed", "5", "--days", "60", "--out", STREAM, "--labels", LABELS)
    hold("a stream is made", code == 0, err)
    hits, alerts = os.path.join(OUT, "hits.ndjson"), os.path.join(OUT, "alerts.ndjson")
    muster("replay", STREAM, "--rules", PACK, "--rates", RATES, "--hits", hits, "--alerts", alerts, "--quiet")
    with open(hits) as lines:
        hit = json.loads(lines.readline())
    with open(alerts) as lines:
        alert = json.loads(lines.readline())
    return "%s/%s" % (hit["source"], hit["event_id"]), alert["alert_id"]


def tools(event, alert):
    """(tool, call that is well, call that finds something, call that is wrong, call without its folder, the figures that
    its text says, the same of its JSON); the last two None where the tool has no such call or no figures in text."""
    lab = ["rules", "explain", PACK, "--rates", RATES, "--quiet", STREAM]
    well = ["--on", STREAM, "--rates", RATES]
    quiet = [*well, "--quiet"]
    tune = ["--labels", LABELS, "--param", "workers_min", "--steps", "3", *quiet]
    bench = ["--rounds", "1", *well]
    return [
        ("check", ["rules", "check", WHOLE], ["rules", "check", BROKEN], ["rules", "check"], ["rules", "check", NOWHERE],
         figures(r"^(\d+) error", r"(\d+) warning"), lambda found: [found["errors"], found["warnings"]]),
        ("check --budget", ["rules", "check", PACK, "--sample", STREAM, "--budget", "1,100,64"], ["rules", "check", PACK, "--sample", STREAM, "--budget", "5000,90000000,1"],
         ["rules", "check", PACK, "--budget", "many"], ["rules", "check", NOWHERE, "--budget", "1,100,64"],
         figures(r"^(\d+) error", r"(\d+) warning", r"^budget: .* ([\d]+) accounts", r", (\d+) days:"),
         lambda found: [found["errors"], found["warnings"], found["budget"]["accounts"], found["budget"]["days"]]),
        ("fmt", ["rules", "fmt", PACK], ["rules", "fmt", BROKEN], ["rules", "fmt"], ["rules", "fmt", NOWHERE],
         figures(r"^(\d+) file", r", (\d+) laid"), lambda found: [found["files"], len(found["changed"])]),
        ("fmt --check", ["rules", "fmt", "--check", PACK], ["rules", "fmt", "--check", UGLY], ["rules", "fmt", "--chek", PACK],
         ["rules", "fmt", "--check", NOWHERE], figures(r"^(\d+) file", r", (\d+) to be"), lambda found: [found["files"], len(found["changed"])]),
        ("test", ["rules", "test", WHOLE], ["rules", "test", FAILING], ["rules", "test"], ["rules", "test", NOWHERE],
         figures(r"^(\d+) passed", r"passed, (\d+) failed"), lambda found: [found["passed"], found["failed"]]),
        ("test --coverage", ["rules", "test", "--coverage", WHOLE], ["rules", "test", "--coverage", "tests/data/coverage/gaps"],
         ["rules", "test", "--coverage", "--least", "101", WHOLE], ["rules", "test", "--coverage", NOWHERE],
         figures(r"^(\d+) passed", r"passed, (\d+) failed"), lambda found: [found["passed"], found["failed"]]),
        ("bench", ["rules", "bench", PACK, *bench], ["rules", "bench", BROKEN, *bench], ["rules", "bench"], ["rules", "bench", NOWHERE, *bench],
         figures(r"^(\d+) events"), lambda found: [found["events"]]),
        ("backtest", ["rules", "backtest", PACK, *quiet], ["rules", "backtest", PACK, "--against", WHOLE, *quiet], ["rules", "backtest", PACK],
         ["rules", "backtest", NOWHERE, *quiet], figures(r"over (\d+) events", r"^all +(\d+)", r"^all +\d+ +(\d+)"),
         lambda found: [found["events"], found["hits"], found["alerts"]]),
        ("tune", ["rules", "tune", PACK, "LAB-02", *tune], ["rules", "tune", PACK, "LAB-20", *tune], ["rules", "tune", PACK],
         ["rules", "tune", NOWHERE, "LAB-02", *tune], figures(r"(\d+) points over", r"over (\d+) events", r"^\* workers_min = \d+ +(\d+)"),
         lambda found: [len(found["points"]), found["events"], next(point["rule_hits"] for point in found["points"] if point["today"])]),
        ("explain RULE", ["rules", "explain", PACK, "LAB-02"], ["rules", "explain", PACK, "LAB-20"], ["rules", "explain", PACK],
         ["rules", "explain", NOWHERE, "LAB-02"], lambda text: [int(re.search(r"^Version (\d+)", text, re.M)[1]), text.count("\n- ")],
         lambda found: [found["version"], found["meaning"].count("\n- ") + len(found["tests"])]),
        ("explain --event", [*lab, "--event", event], [*lab, "--event", "bank-1/none"], [*lab, "--event", "x"],
         ["rules", "explain", NOWHERE, STREAM, "--event", event], explained_text, explained_json),
        ("explain --alert", [*lab, "--alert", alert], [*lab, "--alert", "0000000000"], [*lab, "--alert", "12"],
         ["rules", "explain", NOWHERE, STREAM, "--alert", alert], explained_text, explained_json),
        ("docs", ["rules", "docs", PACK, "--out", PAGES], ["rules", "docs", BROKEN, "--out", PAGES], ["rules", "docs", PACK],
         ["rules", "docs", NOWHERE, "--out", PAGES], lambda text: [2 * int(text.split()[0]), len(os.listdir(PAGES))],
         lambda found: [len(found["files"]), len(set(found["files"]) & set(os.listdir(PAGES)))]),
    ]


def hold_tool(name, well, finding, wrong, missing, text_figures, json_figures):
    code, text, err = muster(*well)
    hold(name + ": well", code == 0, (code, text[-500:], err))
    hold(name + ": no bar where no terminal is", "\r" not in err, err)
    json_code, out, json_err = muster(*well, "--json")
    hold(name + ": well with --json", json_code == 0, (json_code, json_err))
    try:
        said, found = text_figures(text), json_figures(json.loads(out))
        hold(name + ": JSON agrees with the text", said == found and said, (said, found))
    except (ValueError, KeyError, TypeError, StopIteration) as fault:
        hold(name + ": JSON parses and both say their figures", False, (repr(fault), text[:400], out[:400]))
    for what, words, wanted in (("finds", finding, 1), ("used wrongly", wrong, 2), ("no folder", missing, 3)):
        for more in ([], ["--json"]):
            code, out, err = muster(*words, *more)
            hold("%s: %s %s" % (name, what, more), code == wanted and (wanted == 1 or err), (code, wanted, out[-400:], err[-400:]))


BROKEN_FAULTS = (1, 0, 0, "R010", "broken.rules", 1)


def faults(found):
    return (found["errors"], found["warnings"], found["more"], found["diagnostics"][0]["code"], os.path.basename(found["diagnostics"][0]["place"]["file"]),
            len(found["diagnostics"]))


def hold_unsound(event):
    """Rules with errors are what a tool has found."""
    for words in (["check", BROKEN], ["fmt", BROKEN], ["test", BROKEN], ["docs", BROKEN, "--out", PAGES], ["explain", BROKEN, "LAB-02"],
                  ["explain", BROKEN, "--event", event, STREAM], ["backtest", BROKEN, STREAM], ["tune", BROKEN, "LAB-02", STREAM, "--labels", LABELS],
                  ["bench", BROKEN], ["bench", WHOLE, "--compare", BROKEN], ["backtest", WHOLE, "--against", BROKEN, STREAM],
                  ["sign", BROKEN, "--key", "none.key"], ["load", BROKEN, "--set", "postgres_dsn=host=127.0.0.1 port=1"]):
        code, out, err = muster("rules", *words)
        hold("unsound rules: " + words[0], code == 1 and "error[R010]" in out + err, (code, err))
        code, out, err = muster("rules", *words, "--json")
        found = json.loads(out)
        hold("unsound rules as JSON: " + words[0], code == 1 and not err and faults(found) == BROKEN_FAULTS, (code, err, out))
    code, out, _ = muster("rules", "fmt", BROKEN, "--json")
    hold("fmt names files with errors", [os.path.basename(path) for path in json.loads(out)["with_errors"]] == ["broken.rules"], out)
    code, out, _ = muster("rules", "fmt", "--check", UGLY, "--json")
    hold("fmt names files to be laid out", [os.path.basename(path) for path in json.loads(out)["changed"]] == ["ugly.rules"], out)
    hold("fmt --stdin and --json", muster("rules", "fmt", "--stdin", "--json")[0] == 2)


def hold_budget():
    """The verdict of a budget is one member of the JSON, and nothing else is said."""
    words = ["rules", "check", PACK, "--sample", STREAM, "--json", "--budget"]
    code, out, err = muster(*words, "5000,90000000,1")
    budget = json.loads(out)["budget"]
    text = muster(*words[:5], "--budget", "5000,90000000,1")[1]
    named = re.findall(r"^  ([A-Z]+-\w+) +[\d.]+ \w+.*: (.*)$", text, re.M)
    hold("does not fit", code == 1 and not err and not budget["fits"] and budget["needed_bytes"] > budget["there_bytes"] == 1 << 30, (code, err, out))
    hold("what to mend first", [(rule["rule"], rule["advice"]) for rule in budget["mend_first"]] == named and len(named) == 5, (budget, text))
    code, out, err = muster(*words, "1,100,64")
    hold("fits", code == 0 and not err and json.loads(out)["budget"]["fits"] and not json.loads(out)["budget"]["mend_first"], (code, err, out))
    code, out, err = muster(*words, "many")
    hold("no budget, no JSON", code == 2 and not out and err, (code, out, err))


def hold_signing():
    folder = os.path.join(OUT, "signed")
    shutil.copytree(os.path.join(TOP, WHOLE), folder)
    code, out, err = muster("rules", "keygen", os.path.join(OUT, "ana"), "--json")
    hold("keygen names both files", code == 0 and all(os.path.exists(path) for path in json.loads(out).values()) and len(json.loads(out)) == 2, (out, err))
    for what, words, wanted in (("keygen: again", ["keygen", os.path.join(OUT, "ana")], 3), ("keygen: no name", ["keygen"], 2), ("sign: no key", ["sign", folder], 2),
                                ("sign: no folder", ["sign", NOWHERE, "--key", os.path.join(OUT, "ana.key")], 3), ("load: no folder", ["load", NOWHERE, "--set", "postgres_dsn=x"], 3),
                                ("load: no database", ["load", folder], 2), ("load: none there", ["load", folder, "--set", "postgres_dsn=host=127.0.0.1 port=1"], 3)):
        for more in ([], ["--json"]):
            code, out, err = muster("rules", *words, *more)
            hold("%s %s" % (what, more), code == wanted and err and not out, (code, out, err))
    code, text, _ = muster("rules", "sign", folder, "--key", os.path.join(OUT, "ana.key"))
    found = json.loads(muster("rules", "sign", folder, "--key", os.path.join(OUT, "ana.key"), "--json")[1])
    hold("sign says the same in JSON", code == 0 and text == "signed rule set %s (%s)\n" % (found["rule_set"], found["name"]), (text, found))


def on_terminal(words, slow=None, text=""):
    """Exit code and what stands on a terminal as standard error. The text of the file `slow` comes only after more than a second: it is a fifo
    for its first reader."""
    if slow:
        os.mkfifo(slow + ".fifo")
        os.rename(slow + ".fifo", slow)
    terminal, its_end = pty.openpty()
    process = subprocess.Popen([MUSTER, *words], cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=its_end)
    os.close(its_end)

    def feed():
        with open(slow, "w") as out:
            time.sleep(1.1)
            write(slow + ".file", text)
            os.rename(slow + ".file", slow)
            out.write(text)

    feeder = threading.Thread(target=feed, daemon=True) if slow else None
    if feeder:
        feeder.start()
    said = b""
    while True:
        try:
            said += os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
    os.close(terminal)
    if feeder:
        feeder.join()
    return process.wait(), said.decode()


def hold_progress(event):
    """A bar where a terminal is and the work takes long, and none with --quiet or when it is done at once."""
    on = [STREAM, "--rates", RATES]
    rows = [("backtest", ["rules", "backtest", PACK, *on], None, "events tested"), ("bench", ["rules", "bench", PACK, "--rounds", "1", "--on", *on], None, "events measured"),
            ("tune", ["rules", "tune", PACK, "LAB-02", "--labels", LABELS, "--param", "workers_min", "--steps", "2", *on], None, "events"),
            ("explain", ["rules", "explain", PACK, "--event", event, *on], None, "events")]
    text = whole_text()
    for name, words, unit in (("fmt", ["fmt", "--check"], "files read"), ("test", ["test"], "tests run"), ("docs", ["docs", "--out", PAGES], "pages written")):
        folder = os.path.join(OUT, "slow-" + name)
        write(folder + "/b.rules", 'rule OUT-1 "Out" { version 1 status draft typology t family payroll source "x" V why "y" for each account let n = count of out over 1d '
              'when n >= 1 points 1 to account as payer say "x" }\n' if name != "fmt" else text)
        rows.append((name, ["rules", *words, folder], folder + "/a.rules", unit))
    rows.append(("check --budget", ["rules", "check", PACK, "--budget", "1,100,64", "--sample", os.path.join(OUT, "slow.ndjson")], os.path.join(OUT, "slow.ndjson"), "events sampled"))

    def hold_row(name, words, slow, unit):
        with open(STREAM) as stream:
            body = stream.read() if name == "check --budget" else text
        code, said = on_terminal(words, slow, body)
        quiet_code, quiet = on_terminal(words + ["--quiet"], slow, body)
        hold(name + ": a bar of " + unit, "\r" in said and unit in said and said.rstrip("\n").endswith("\r\033[K"), (code, said))
        hold(name + ": --quiet", quiet_code == code and "\r\033" not in quiet, quiet)

    rows_at_work = [threading.Thread(target=hold_row, args=row) for row in rows]
    for row in rows_at_work:
        row.start()
    for row in rows_at_work:
        row.join()
    for words in (["rules", "fmt", "--check", PACK], ["rules", "test", WHOLE], ["rules", "docs", WHOLE, "--out", PAGES]):
        begun = time.monotonic()
        code, said = on_terminal(words)
        hold("%s: none at once" % words[1], code == 0 and (said == "" or time.monotonic() - begun > 1), (code, said))


def hold_or():
    """Every part of a failing `or` is named with its values; of an `and` only the first."""
    write(OR + "/or.rules", OR_RULES)
    stream = os.path.join(OUT, "or.ndjson")
    write(stream, payment(1, 0, "W", "A", "50.00") + payment(2, 1, "W", "A", "70.00"))
    code, text, err = muster("rules", "explain", OR, "--event", "bank/e2", stream)
    marked = re.findall(r"^    false +(.*?)  \((.*?)\).*<- kept it from firing$", text, re.M)
    hold("both parts of the `or`", code == 0 and [(c.strip(), v.split(", ")[0]) for c, v in marked] == OR_MARKED, (text, err))
    found = json.loads(muster("rules", "explain", OR, "--event", "bank/e2", "--json", stream)[1])
    conditions = found["events"][0]["looks"][0]["parts"][0]["conditions"]
    hold("and in JSON", [(c["condition"], c["values"].split(", ")[0]) for c in conditions if c["kept_from_firing"]] == OR_MARKED, conditions)
    hold("the `and` beside it holds", [c["truth"] for c in conditions].count("true") == 1, conditions)
    out = found["events"][0]["filtered_out"]
    hold("a filter's `or` too", [[c["condition"] for c in rule["conditions"]] for rule in out] == OR_FILTER, out)
    write(OR + "/or_tests.rules", OR_TESTS)
    code, tested, err = muster("rules", "test", OR)
    found = [re.findall(r"`[^`]+` \(line \d+\) is \w+ \([^)]*\)", line) for line in tested.splitlines() if " W -> A " in line]
    hold("a failed test names every part, event by event", code == 1 and found == OR_TESTED, (tested, err))
    hold("a filter's `or` in text", re.search(r"^  OR-2 +false +amount >= 500 USD .*\n   or +unknown +purpose = GIFT", text, re.M), text)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    write(BROKEN + "/broken.rules", whole_text() + "\nrule ) broken\n")
    write(UGLY + "/ugly.rules", whole_text().replace(" ", "   ", 40))
    event, alert = stream_and_alert()
    for row in tools(event, alert):
        hold_tool(*row)
    hold_unsound(event)
    hold_budget()
    hold_signing()
    hold_progress(event)
    hold_or()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
