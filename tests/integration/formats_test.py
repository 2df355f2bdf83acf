#!/usr/bin/env python3
"""Banks' own formats through the command line: what `muster feed` says of each file under tests/data/formats,
what it makes of it, and that the pages beside the connectors say what the code's tables say.

tests/data/formats/FORMAT/NAME has NAME.said beside it: what --print writes, then what is said of the rest.
Ends with `N passed, N failed, N skipped`. With --write the .said files are written anew: read them after."""
import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join("tests", "data", "formats")
MUSTER = os.path.join(TOP, "build", "muster")


class Tally:
    passed = failed = skipped = 0

    def hold(self, what, ok, why=""):
        self.passed += bool(ok)
        self.failed += not ok
        if not ok:
            print("FAILED %s%s%s" % (what, ": " if why else "", why), flush=True)


def feed(*words):
    done = subprocess.run([MUSTER, "feed", *words], cwd=TOP, capture_output=True, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def options_of(path):
    """How a file of tests/data/formats is fed."""
    folder = os.path.basename(os.path.dirname(path))
    if folder == "csv":
        return ["--format", "csv", "--mapping", os.path.splitext(path)[0] + ".mapping"]
    return ["--format", folder]


def golden(tally, write):
    files = [p for p in sorted(glob.glob(os.path.join(DATA, "*", "*"), root_dir=TOP)) if not p.endswith((".said", ".mapping", ".md", "NOTICE"))]
    for path in files:
        code, out, err = feed("--print", *options_of(path), path)
        said, kept = out + err, os.path.join(TOP, path + ".said")
        if write:
            open(kept, "w").write(said)
        wanted = open(kept).read() if os.path.exists(kept) else "nothing: there is no %s.said" % path
        tally.hold(path, said == wanted, "got\n%swanted\n%s" % (said, wanted))
        tally.hold("%s: exit code %d" % (path, code), code == (1 if err else 0))
    tally.hold("there are golden files", len(files) >= 1)


def rows_of(path, macro):
    """The arguments of each MACRO("…", …) row of a .def file; bare words count as text."""
    text = open(os.path.join(TOP, path)).read()
    for row in re.findall(r"^%s\((.*)\)$" % macro, text, re.M):
        yield [a if a else b for a, b in re.findall(r'"((?:[^"\\]|\\.)*)"|([^\s,][^,"]*)', row)] if '""' not in row else \
              [word.strip().strip('"') for word in re.findall(r'"[^"]*"|[^\s,][^,"]*', row)]


def pages(tally):
    page = open(os.path.join(TOP, "connectors/csv/README.md")).read()
    for _, name, takes, default, meaning in rows_of("connectors/format/option.def", "MAPPING_OPTION"):
        row = "| `%s` | %s | %s | %s |" % (name, takes, default, meaning)
        tally.hold("the page of csv says what %s is" % name, row in page, row)
    for _, parent, key, _ in rows_of("engine/model/event_field.def", "EVENT_FIELD"):
        if key in ("fact", "subject", "valid_from", "withdrawn", "fields"):
            continue  # a fact's own members: no translator makes one
        name = (parent + "." if parent else "") + key
        known = name in ("source", "sender", "receiver", "place") or "`%s`" % name in page or \
            (parent == "receiver" and "`sender.%s`" % key in page)
        tally.hold("the page of csv names %s" % name, known)
    example = os.path.join(DATA, "csv", "statement")
    mapping = "".join(line for line in open(os.path.join(TOP, example + ".mapping")) if not line.startswith("#"))
    tally.hold("the example mapping is the file", mapping in page)
    first = open(os.path.join(TOP, example + ".csv.said")).readline()
    tally.hold("the example event is what feed makes", first in page)


def iso_page(tally):
    page = open(os.path.join(TOP, "connectors/iso20022/README.md")).read()
    example = os.path.join(TOP, DATA, "iso20022", "own_pacs008_bulk.xml")
    tally.hold("the example event is what feed makes", open(example + ".said").readline() in page)
    squeezed = lambda text: re.sub(r"\s+", "", text)
    shown = page.split("```xml")[1].split("```")[0]
    tally.hold("the example message is the file's", squeezed(shown) in squeezed(open(example).read()))


def samples(tally):
    """Every sample is mapped, or refused with a reason and the element's path."""
    for path in sorted(glob.glob(os.path.join(TOP, DATA, "iso20022", "[efs]*.xml"))):
        code, out, err = feed("--print", "--format", "iso20022", path)
        events, refused = out.splitlines(), err.splitlines()
        tally.hold("%s is mapped or refused" % os.path.basename(path), len(events) + len(refused) == 1)
        tally.hold("%s is refused with a path" % os.path.basename(path),
                   all(re.search(r":1: [A-Z_]+ \w+/[\w/]+: \w+", line) for line in refused), err)


def joins(tally):
    """A pacs.008, its cover and its booking are one payment: same reference, amount and currency."""
    import json
    money = {}
    for name in ("own_pacs008_bulk", "own_pacs009_cov", "own_camt054_entries"):
        for line in feed("--print", "--format", "iso20022", os.path.join(DATA, "iso20022", name + ".xml"))[1].splitlines():
            event = json.loads(line)
            if event.get("end_to_end", "").startswith("7a562c67"):
                money[name] = (float(event["amount"]), event["currency"], event["sender"]["account"], event["receiver"]["account"])
    tally.hold("three reports of one payment agree", len(money) == 3 and len(set(money.values())) == 1, str(money))


def dry_run(tally):
    mapping, path = os.path.join(DATA, "csv", "statement.mapping"), os.path.join(DATA, "csv", "statement.csv")
    code, out, _ = feed("--dry-run", "--format", "csv", "--mapping", mapping, path)
    tally.hold("a dry run shows cells beside fields",
               re.search(r"^  column Betrag +2\.450,00 +amount +2450\.00$", out, re.M) and code == 1, out)
    many = os.path.join(TOP, "build", "formats-many.csv")
    open(many, "w").write("Id,T,A,S\n" + "".join("%d,2026-03-02T10:00:00Z,5,X\n" % i for i in range(30)))
    plain = os.path.join(TOP, "build", "formats-many.mapping")
    open(plain, "w").write("id: {Id}\ntime: {T}\namount: {A}\ncurrency: EUR\nsender.account: {S}\n")
    code, out, _ = feed("--dry-run", "--format", "csv", "--mapping", plain, many)
    tally.hold("a dry run shows ten rows", out.count("formats-many.csv:") == 10 and "30 payments, 0 refused, 0 sent" in out and code == 0, out)


# (words, exit code, what must be said)
WRONG = [
    (["--format", "cvs"], 2, "there is no format `cvs`"),
    (["--format", "csv"], 2, "csv needs a mapping file"),
    (["--format", "csv", "--mapping", "no-such-file"], 2, "no-such-file: cannot be read"),
    (["--format", "iso20022:Europe/Atlantis"], 2, "iso20022:ZONE takes a time zone"),
    (["--format", "json", "--mapping", "x"], 2, "--mapping goes with --format csv"),
    (["--format", "csv", "--mapping", "README.md"], 2, "README.md:3:"),
]


def wrong(tally):
    for words, code, said in WRONG:
        got, out, err = feed("--dry-run", *words, "README.md")
        tally.hold("%s: %s" % (" ".join(words), said), got == code and said in err, "exit %d, %s" % (got, err))
    _, _, err = feed("--format", "csv", "--mapping", os.path.join(DATA, "csv", "statement.mapping"), "--brokers", "127.0.0.1:1", "README.md")
    tally.hold("sending needs a topic", "--format needs --topic" in err, err)


def main():
    tally = Tally()
    golden(tally, "--write" in sys.argv)
    pages(tally)
    iso_page(tally)
    samples(tally)
    joins(tally)
    dry_run(tally)
    wrong(tally)
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
