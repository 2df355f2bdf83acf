#!/usr/bin/env python3
"""The syntax files for editors: every word that the parser asks for stands in rules/lang/word.def, the TextMate grammar
is sound and gives the words of a sample the scopes they should have, and `rules check --json --stdin` is fit for an
editor's linter: on half-written files, on one file of several, with places that are right in characters, UTF-16 and bytes. Ends with `N passed, N failed, N skipped`."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUSTER = os.path.join(TOP, "build", "muster")
# asked for only to say that they are meant otherwise ("more than", "12 hours", "average")
SAID_ELSEWHERE = set("above average below d day days equals fewer greater h hour hours less m minute minutes more s second seconds than week weeks "
                     "mean minimum maximum total number".split())

SAMPLE = [
    ('rule COLL-01 "Many" {', {"rule": "keyword.declaration", "COLL-01": "entity.name.tag", '"Many"': "string.quoted"}),
    ("  let night_in = in where amount < 300 USD and local_time in 22:00..05:00",
     {"let": "keyword.control", "where": "keyword.operator", "300": "constant.numeric", "USD": "constant.other.code", "22:00": "constant.other.clock",
      "amount": "variable.language", "night_in": None}),
    ("  let n = distinct sender.device of night_in over 12h  # a remark",
     {"distinct": "support.function", "sender.device": "variable.language", "over": "keyword.operator", "12h": "constant.numeric", "# a remark": "comment"}),
    ("  except account in friends until 2027-03-31 because \"memo\"", {"2027-03-31": "constant.other.date", "until": "keyword.control"}),
    ("  when share >= 80%", {"80%": "constant.numeric", "share": None}),
    ("  version 1  status live", {"live": "constant.language"}),
]


def scope_at(patterns, line, word):
    """The scope of a word: at each place the first pattern that matches there wins, as editors do it."""
    at, want = 0, line.index(word)
    while at <= want:
        best = None
        for scope, regex in patterns:
            found = regex.search(line, at)
            if found and found.end() > found.start() and (best is None or found.start() < best[1].start()):
                best = (scope, found)
        if not best or best[1].start() > want:
            return None
        if best[1].start() <= want < best[1].end():
            return best[0]
        at = best[1].end()
    return None


def patterns_of(grammar):
    for pattern in grammar["patterns"]:
        text = pattern.get("match") or pattern["begin"] + '[^"]*' + pattern["end"]
        # Python wants look-behinds of one width, which Oniguruma does not
        text = re.sub(r"\(\?<=(any \|.*?)\)/", r"(?:any |never |, )/", text)
        yield pattern["name"], re.compile(text)


def check(text, *words):
    """What a linter does: the exit code, the report (None where it is none), what was said besides."""
    done = subprocess.run([MUSTER, "rules", "check", "--stdin", *words], cwd=TOP, input=text, capture_output=True)
    try:
        return done.returncode, json.loads(done.stdout), done.stderr.decode()
    except ValueError:
        return done.returncode, None, done.stdout.decode(errors="replace")[:200] + done.stderr.decode()


def place_wrong(text, place):
    """Why a place is not where its bytes are, by Python's own decoding; "" when it is right. One byte order mark is no character."""
    def point(at):
        line = text[:at].split(b"\n")[-1].decode(errors="replace")
        line = line[1:] if line.startswith("\ufeff") and b"\n" not in text[:at] else line
        return [text[:at].count(b"\n") + 1, len(line) + 1, len(line.encode("utf-16-le")) // 2 + 1]
    end = place["offset"] + place["length"]
    want = point(place["offset"]) + point(end)
    got = [place[key] for key in ("line", "column", "column_utf16", "end_line", "end_column", "end_column_utf16")]
    return "" if got == want and end <= len(text) else "%s, and it is %s" % (got, want)


PLACES = [  # text, the code that must be among its diagnostics, the bytes it must point at
    ('rule A-1 "\U0001F600\u00e9" { version 1 for each acount }', "R023", b"acount"),
    ("# \u0645\u0631\u062a\u0628 \U0001F600\r\nrule A-1 \"x\" {\r\n  for each acount }\r\n", "R023", b"acount"),
    ('rule A-1 "\u20ac \u5de5\u8d44" { version 1 for each acount }', "R023", b"acount"),
    ('\ufeffrule A-1 "x" { for each acount }', "R023", b"acount"),
    ('\ufeff# one\nrule A-1 "x" { for each acount }', "R023", b"acount"),
    ('rule A-1 "\U0001F600" { for each account say "\u00e9\U0001F600 {nothing}', None, b""),
]


def hold_places(hold):
    for text, code, at in PLACES:
        text = text.encode()
        status, report, besides = check(text, "--json")
        rows = report["diagnostics"] if report else []
        hold("a report on %r" % text, status == 1 and rows and not besides, besides)
        for row in rows:
            for place in [row["place"]] + ([row["second"]] if "second" in row else []):
                hold("the place of %s in %r" % (row["code"], text), not place_wrong(text, place), place_wrong(text, place))
        there = [text[r["place"]["offset"]:][:r["place"]["length"]] for r in rows if r["code"] == code]
        hold("%s is at %r" % (code, at), code is None or there == [at], there)


def hold_files(hold):
    """Each file of a folder of several is as sound through standard input as it is on the disk."""
    pack = "rules/packs/trafficking"
    for path in sorted(glob.glob(os.path.join(TOP, pack, "*.rules"))):
        text, name = open(path, "rb").read(), os.path.basename(path)
        status, report, besides = check(text, "--json", "--as", name, pack)
        hold("%s as it lies there" % name, status == 0 and report and not report["diagnostics"], "%s %s" % (report, besides))
        status, report, _ = check(text + b"\nrule NEW-1 \"x\" { for each acount }\n", "--json", "--as", path, pack)
        hold("%s, spoilt" % name, status == 1 and {r["place"]["file"] for r in report["diagnostics"]} == {name}
             and any(r["code"] == "R023" and not place_wrong(text + b"\nrule NEW-1 \"x\" { for each acount }\n", r["place"]) for r in report["diagnostics"]), report)
    status, report, besides = check(b"rule NEW-1 \"x\" { for each acount }", "--json", "--as", "not-saved-yet.rules", pack)
    hold("a new file", status == 1 and {r["place"]["file"] for r in report["diagnostics"]} == {"not-saved-yet.rules"}, "%s %s" % (report, besides))
    status, report, besides = check(b"", "--json", "--as", "trafficking.rules", pack)  # the others need what stood in it
    elsewhere = {r["place"]["file"] for r in report["diagnostics"]} if report else set()
    hold("an empty file shows in the others", status == 1 and elsewhere - {"trafficking.rules"}, elsewhere)
    for row in report["diagnostics"] if report else []:
        text = b"" if row["place"]["file"] == "trafficking.rules" else open(os.path.join(TOP, pack, row["place"]["file"]), "rb").read()
        hold("a place in %s" % row["place"]["file"], not place_wrong(text, row["place"]), row)
    for words in (["--as", "a.rules"], ["--as", "a.txt", pack], ["--as", ".a.rules", pack], ["--as", "a.rules/", pack]):
        hold("wrong use %s" % words, check(b"", "--json", *words)[0] == 2)
    done = subprocess.run([MUSTER, "rules", "check", "--as", "a.rules", pack], cwd=TOP, capture_output=True)
    hold("--as without --stdin", done.returncode == 2 and b"--stdin" in done.stderr, done.stderr)


def hold_more(hold):
    """Where a file has more errors than are listed, the report says how many, the same as the text does."""
    text = b"".join(b'rule A-%d "x" { version 1 for each acount%d }\n' % (i, i) for i in range(400))
    _, report, _ = check(text, "--json")
    shown = subprocess.run([MUSTER, "rules", "check", "--stdin"], cwd=TOP, input=text, capture_output=True).stdout.decode()
    more, total = re.search(r"stdin: and (\d+) more", shown), re.search(r"^(\d+) errors?, (\d+) warnings?$", shown, re.M)
    hold("what is not listed is counted", more and report["more"] == int(more[1]) > 0, (shown[-200:], report["more"]))
    hold("the counts are the text's", [report["errors"], report["warnings"]] == [int(total[1]), int(total[2])]
         and report["more"] + len(report["diagnostics"]) == report["errors"] + report["warnings"], report["errors"])


def main():
    passed = failed = skipped = 0

    def hold(what, good, why=""):
        nonlocal passed, failed
        passed, failed = passed + bool(good), failed + (not good)
        if not good:
            print("FAILED %s: %s" % (what, why), flush=True)

    table = set(re.findall(r'^WORD\(\w+, "(\w+)"\)', open(os.path.join(TOP, "rules/lang/word.def")).read(), re.M))
    asked = set()
    for path in glob.glob(os.path.join(TOP, "rules/lang/parser*.c")):
        text = open(path).read()
        asked |= set(re.findall(r'(?:at_word|take_word|need_word)\(p, "(\w+)"', text)) | set(re.findall(r'word_is\([^"]*?"(\w+)"\)', text))
        for array in re.findall(r"clauses\[\] = \{(.*?)\}", text, re.S):
            asked |= set(re.findall(r'"(\w+)"', array))
    functions = set(re.findall(r'^AGGREGATE\(\w+, "(\w+)"', open(os.path.join(TOP, "rules/lang/aggregate_fn.def")).read(), re.M))
    missing = asked - table - functions - SAID_ELSEWHERE
    hold("every word of the parser is in the table", not missing and len(asked) > 50, sorted(missing))

    grammar = json.load(open(os.path.join(TOP, "rules/editors/muster.tmLanguage.json")))
    patterns = list(patterns_of(grammar))
    hold("the grammar names itself", grammar["scopeName"] == "source.muster" and grammar["fileTypes"] == ["rules"])
    for line, words in SAMPLE:
        for word, scope in words.items():
            got = scope_at(patterns, line, word)
            hold("%r in %r" % (word, line), (got or "").startswith(scope) if scope else got is None, got)

    sound = open(os.path.join(TOP, "tests/data/diagnostics/fine.rules")).read()
    for cut in range(0, len(sound), 37):  # as they stand while somebody types
        text = sound[:cut].encode()
        status, report, besides = check(text, "--json", "tests/data/diagnostics")
        rows = report["diagnostics"] if report else []
        wrong = [place_wrong(text, row["place"]) for row in rows if place_wrong(text, row["place"])]
        hold("half a file, %d bytes" % cut, report and status == (1 if report["errors"] else 0) and not wrong, (wrong, besides))
    hold_places(hold)
    hold_files(hold)
    hold_more(hold)

    if shutil.which("vim"):
        with tempfile.TemporaryDirectory() as home:
            out = os.path.join(home, "out")
            # vim takes *.rules for another program's unless told otherwise
            script = "set nocompatible\nsyntax on\nsyntax clear\nunlet! b:current_syntax\nsource %s\nlet names = []\n" \
                     "for [l, c] in [[1, 1], [1, 6], [2, 3], [3, 11], [4, 12]]\n  call add(names, synIDattr(synID(l, c, 1), 'name'))\nendfor\n" \
                     "call writefile(names, '%s')\nqa!\n" % (os.path.join(TOP, "rules/editors/muster.vim"), out)
            open(os.path.join(home, "script.vim"), "w").write(script)
            open(os.path.join(home, "a.rules"), "w").write('rule COLL-01 "Many" {\n  let a = in where amount < 3 USD\n  let n = distinct sender of a over 12h\n  when n > 80%\n}\n')
            subprocess.run(["vim", "-u", "NONE", "-N", "-e", "-s", "-S", os.path.join(home, "script.vim"), os.path.join(home, "a.rules")], timeout=20,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            got = open(out).read().split()
            hold("vim colours a rule", got == ["musterBlock", "musterId", "musterClause", "musterFunction", "musterNumber"], got)
    else:
        skipped += 1
        print("skipped: vim is not installed")
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
