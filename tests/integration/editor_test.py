#!/usr/bin/env python3
"""The syntax files for editors: every word that the parser asks for stands in rules/lang/word.def, the TextMate grammar
is sound and gives the words of a sample the scopes they should have, and `rules check --json --stdin` is fit for an
editor's linter on half-written files. Ends with `N passed, N failed, N skipped`."""
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
        done = subprocess.run([MUSTER, "rules", "check", "--json", "--stdin", "tests/data/diagnostics"], cwd=TOP, input=sound[:cut], capture_output=True, text=True)
        try:
            report = json.loads(done.stdout)
            rows = report if isinstance(report, list) else report.get("diagnostics", [])
            good = done.returncode in (0, 1) and all(row.get("line", 1) >= 1 for row in rows) and (rows or done.returncode == 0)
        except ValueError:
            good = False
        hold("half a file, %d bytes" % cut, good, done.stdout[:200] + done.stderr[:200])

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
