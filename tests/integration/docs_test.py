#!/usr/bin/env python3
"""`muster rules docs` and `muster rules explain` on the shipped pack: two pages as they are kept, every rule and test
named, every link with a page behind it, pages that stand alone; and what is said of a rule that is not there.
Ends with `N passed, N failed`. With --write the kept pages are written anew: read them after."""
import glob
import html.parser
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUSTER = os.path.join(TOP, "build", "muster")
PACK = "rules/packs/trafficking"
OUT = os.path.join(TOP, "build", "docs-test")
KEPT = os.path.join(TOP, "tests", "data", "docs")
VOID = {"meta", "br"}


class Shape(html.parser.HTMLParser):
    """Tags that close each other, and where links lead."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.good = [], [], True

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag):
        self.good = self.good and bool(self.open) and self.open.pop() == tag


def muster(*words):
    done = subprocess.run([MUSTER, *words], cwd=TOP, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def main():
    passed = failed = 0

    def hold(what, good, why=""):
        nonlocal passed, failed
        passed, failed = passed + bool(good), failed + (not good)
        if not good:
            print("FAILED %s: %s" % (what, why), flush=True)

    shutil.rmtree(OUT, ignore_errors=True)
    code, out, err = muster("rules", "docs", PACK, "--out", OUT)
    sources = "".join(open(path).read() for path in sorted(glob.glob(os.path.join(TOP, PACK, "*.rules"))))
    rules = re.findall(r"^rule ([A-Z0-9-]+) ", sources, re.M)
    tests = re.findall(r'^test "([^"]+)"', sources, re.M)
    hold("the command", code == 0 and out.startswith("%d pages" % (len(rules) + 1)), out + err)
    pages = {os.path.basename(path): open(path).read() for path in glob.glob(os.path.join(OUT, "*"))}
    hold("a page per rule and an index, twice", sorted(pages) == sorted([name + end for name in rules for end in (".md", ".html")] + ["README.md", "index.html"]))
    text = "".join(pages[name] for name in pages if name.endswith(".md"))
    hold("every test is named", all("- " + title in text for title in tests), [title for title in tests if "- " + title not in text][:3])
    hold("every rule is in the index", all("[%s](%s.md)" % (rule, rule) in pages["README.md"] for rule in rules))
    for name in [name for name in pages if name.endswith(".html")]:
        shape = Shape()
        shape.feed(pages[name])
        hold(name + " is well formed", shape.good and shape.open == [], shape.open)
        hold(name + " links to pages that are there", all(link in pages for link in shape.links), shape.links)
        hold(name + " stands alone", not re.search(r"<script|https?://|src=|@import|\son\w+=", pages[name]))
    for name in ("LAB-02.md", "CTL-07H.md"):
        kept = os.path.join(KEPT, name)
        if "--write" in sys.argv:
            open(kept, "w").write(pages[name])
        hold(name + " is as kept", os.path.exists(kept) and open(kept).read() == pages[name], "run with --write and read the difference")
    for rule in rules:
        code, out, err = muster("rules", "explain", PACK, rule)
        hold("explain " + rule, code == 0 and out.startswith(rule) and "It fires when" in out and "(null)" not in out, out + err)
    code, out, err = muster("rules", "explain", PACK, "LAB-20")
    hold("a rule that is not there", code == 1 and "LAB-20" in err and "did you mean LAB-02" in err, err)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
