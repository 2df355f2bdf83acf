#!/usr/bin/env python3
"""Banks' own formats through the command line: what `muster feed` says of each file under tests/data/formats,
what it makes of it, and that the pages beside the connectors say what the code's tables say.

tests/data/formats/FORMAT/NAME has NAME.said beside it: what --print writes, then what is said of the rest. Files of Avro
are made from tests/data/formats/avro/NAME.json, a schema and records.
Ends with `N passed, N failed, N skipped`. With --write the .said files are written anew: read them after."""
import glob
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import avro_made  # noqa: E402

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
    mapping = os.path.splitext(path)[0] + ".mapping"
    return ["--format", folder] + (["--mapping", mapping] if os.path.exists(os.path.join(TOP, mapping)) else [])


def avro_file(path, codec="null", cut=None):
    """The Avro file of a schema and records, in build."""
    made = json.load(open(os.path.join(TOP, path)))
    data = avro_made.container(made["schema"], made["records"], codec)
    name = os.path.join("build", "formats-%s.avro" % os.path.splitext(os.path.basename(path))[0])
    with open(os.path.join(TOP, name), "wb") as out:
        out.write(data[:cut])
    return name


def golden(tally, write):
    files = [p for p in sorted(glob.glob(os.path.join(DATA, "*", "*"), root_dir=TOP)) if not p.endswith((".said", ".mapping", ".md", "NOTICE"))]
    for path in files:
        code, out, err = feed("--print", *options_of(path), avro_file(path) if "/avro/" in path else path)
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


def avro_page(tally):
    page = open(os.path.join(TOP, "connectors/avro/README.md")).read()
    for of, name, _, _, _ in rows_of("connectors/format/option.def", "MAPPING_OPTION"):
        tally.hold("the page of avro names the option %s" % name, ("`%s`" % name in page) == (of == "ANY"))
    for word in re.findall(r'\{"([a-z-]+)", SCHEMA_', open(os.path.join(TOP, "connectors/avro/schema.c")).read()):
        tally.hold("the page of avro says what becomes of %s" % word, "`%s`" % word in page)
    for code in re.findall(r"^REJECT\((AVRO_\w+|SCHEMA_\w+|\w+_AS_FLOAT)", open(os.path.join(TOP, "engine/model/reject.def")).read(), re.M):
        tally.hold("the page of avro says what to do about %s" % code, "`%s`" % code in page)
    for path in ("core.mapping", "core.json.said"):
        text = open(os.path.join(TOP, DATA, "avro", path)).read()
        tally.hold("the example of avro is %s" % path, (text if path.endswith("mapping") else text.splitlines()[0]) in page)


def avro_files(tally):
    """Files of Avro's own: packed, cut, broken, with what Kafka never takes, and as a dry run."""
    plain = feed("--print", "--format", "avro", avro_file(os.path.join(DATA, "avro", "direct.json")))[1]
    path = os.path.join(DATA, "avro", "direct.json")
    tally.hold("deflate changes nothing", feed("--print", "--format", "avro", avro_file(path, "deflate"))[1] == plain)
    code, _, err = feed("--print", "--format", "avro", avro_file(path, "snappy"))
    tally.hold("another packing is refused", code == 1 and err.count(": AVRO_BLOCK: ") == 2, err)
    whole = os.path.getsize(os.path.join(TOP, avro_file(path)))
    for cut in (1, 5, 700, whole - 17, whole - 1):
        code, _, err = feed("--print", "--format", "avro", avro_file(path, cut=cut))
        tally.hold("a file cut at %d of %d is refused" % (cut, whole), code in (1, 3) and err, "exit %d %s" % (code, err))
    code, _, err = feed("--raw", "--topic", "t", "--brokers", "127.0.0.1:1", "--format", "avro", avro_file(path))
    tally.hold("--raw sends no such file", code == 3 and "leave --raw out" in err, err)
    code, out, _ = feed("--dry-run", "--format", "avro", "--mapping", os.path.join(DATA, "avro", "core.mapping"),
                        avro_file(os.path.join(DATA, "avro", "core.json")))
    tally.hold("a dry run shows fields beside fields", re.search(r"^  field amt +-7\.5 +amount +7\.5, sides swapped$", out, re.M) and code == 0, out)
    tally.hold("a dry run counts what is unknown, without keys", "unknown field texts.*: 1 times" in out and "unknown field to.bank: 2 times" in out and
               "audit" not in out, out)
    bomb = {"schema": {"type": "record", "name": "R", "fields": [{"name": "id", "type": "string"}]}, "records": [{"id": "x" * (17 << 20)}]}
    with open(os.path.join(TOP, "build", "formats-bomb.json"), "w") as out:
        json.dump(bomb, out)
    code, _, err = feed("--print", "--format", "avro", avro_file("build/formats-bomb.json", "deflate"))
    tally.hold("what grows beyond 16 MiB is refused", code == 1 and ": AVRO_BLOCK: " in err, err)
    os.remove(os.path.join(TOP, "build", "formats-bomb.json"))


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
    (["--format", "avro:x"], 2, "avro takes registry=URL or folder=DIR"),
    (["--format", "avro:folder="], 2, "folder= needs a value"),
    (["--format", "avro:folder=engine,folder=rules"], 2, "folder= is given twice"),
    (["--format", "avro:folder=engine,registry=http://127.0.0.1"], 2, "name one of them"),
    (["--format", "avro:ca=README.md"], 2, "name one of them"),
    (["--format", "avro:folder=README.md"], 2, "folder=README.md is no folder"),
    (["--format", "avro:registry=http://me:secret@127.0.0.1"], 2, "a password goes into auth=FILE"),
    (["--format", "avro", "--mapping", "no-such-file"], 2, "no-such-file: cannot be read"),
    (["--format", "avro", "--mapping", os.path.join(DATA, "csv", "statement.mapping")], 2, "`delimiter` is for CSV"),
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
    avro_page(tally)
    avro_files(tally)
    samples(tally)
    joins(tally)
    dry_run(tally)
    wrong(tally)
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
