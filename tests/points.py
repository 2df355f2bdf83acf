#!/usr/bin/env python3
"""Which tests name which point of the meaning of rules (1 to 35, Errors, Tests, Totals): the table, and a test of it.

A test names a point by its title (`test "9: …"` in tests/data/meaning), by its suite or name in C (`Test(rules_9, …)`,
`Test(decide, 21_…)`, `rules_9_…`), or by the comment that opens its file: a model (`RULES 2, 5`), a file of tests/unit/graph (the first it names). Each point has a
least number of tests here, so that none goes unnoticed.

Usage: points.py [POINT]    with a point: the titles of its tests. Ends with `N passed, N failed`."""
import glob
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# point: what it is about, and how many tests at least stand for it
POINTS = {
    "1": ("the zone's clock, dates and weekdays", 13), "2": ("the clock of a rule and key; late events", 14),
    "3": ("lateness", 14), "4": ("spans are half-open", 10), "5": ("whole calendar days above 30", 11),
    "6": ("keys", 19), "7": ("sources, second reports", 28), "8": ("as of the moment an event is seen", 9),
    "9": ("what touches a rule", 11), "10": ("missing values", 20), "11": ("amounts, rounding, saturation", 16),
    "12": ("ranges, lists, borders", 14), "13": ("aggregates", 13), "14": ("usual and new", 26), "15": ("texts", 11),
    "16": ("steps", 25), "17": ("unless", 20), "18": ("values that an attempt keeps", 7), "19": ("memories and facts", 27),
    "20": ("the order of hits and judgements", 5), "21": ("points and once per", 18), "22": ("exceptions", 6),
    "23": ("decay, caps, the score", 13), "24": ("what an alert asks for", 15), "25": ("episodes and revisions", 9),
    "26": ("status", 3), "27": ("rings", 10), "28": ("chains", 8), "29": ("pass-through", 8), "30": ("gather and scatter", 8),
    "31": ("scatter and gather", 8), "32": ("what accounts share", 20), "33": ("hops to a list", 8), "34": ("routes", 15),
    "35": ("bounds of searches", 4), "Errors": ("diagnostics", 170), "Tests": ("test blocks", 15), "Totals": ("bounds and sizes", 5),
}
RULE_TEST = re.compile(r'^test "((\w+): [^"]*)"', re.M)
ANY_TEST = re.compile(r"^test ", re.M)
UNIT_TEST = re.compile(r"^Test\((\w+), (\w+)", re.M)
OPENING = re.compile(r"RULES ([0-9, and-]*[0-9])")


def read(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


def rule_tests(found, wrong):
    for path in sorted(glob.glob(os.path.join(TOP, "tests/data/meaning/*.rules"))):
        text, name = read(path), os.path.relpath(path, TOP)
        titles = RULE_TEST.findall(text)
        if len(titles) != len(ANY_TEST.findall(text)):
            wrong.append("%s: a test names no point in its title" % name)
        for title, point in titles:
            if point not in POINTS:
                wrong.append("%s: there is no point %s" % (name, point))
            elif ("rules", title) in found[point]:
                wrong.append("%s: two tests are called \"%s\"" % (name, title))
            else:
                found[point].append(("rules", title))


def unit_tests(found):
    for path in sorted(glob.glob(os.path.join(TOP, "tests/unit/*/*.c"))):
        text = read(path)
        opening = OPENING.search(text.split("*/", 1)[0]) if os.path.basename(os.path.dirname(path)) == "graph" else None
        for suite, name in UNIT_TEST.findall(text):
            point = opening and re.match(r"(\d+)", opening.group(1)) or re.match(r"rules_(\d+)$", suite) or re.match(r"(?:rules_)?(\d+)_", name)
            title = "%s %s" % (suite, name.replace("_", " "))
            if suite in ("diagnostics", "bounds", "mutants"):
                found["Errors"].append(("C", title))
            if suite in ("bounds", "rules_totals"):
                found["Totals"].append(("C", title))
            if point and point.group(1) in POINTS:
                found[point.group(1)].append(("C", title))


def models(found):
    """A model's opening comment says which points it holds."""
    for path in sorted(glob.glob(os.path.join(TOP, "tests/simulation/*.c"))):
        opening = read(path).split("*/", 1)[0]
        for points in OPENING.findall(opening):
            for first, last in re.findall(r"(\d+)(?:-(\d+))?", points):
                for point in range(int(first), int(last or first) + 1):
                    if str(point) in POINTS:
                        found[str(point)].append(("model", os.path.basename(path)))


def others(found):
    for path in sorted(glob.glob(os.path.join(TOP, "tests/data/diagnostics/*.expected"))):
        found["Errors"].append(("golden", os.path.basename(path)))
    budget = read(os.path.join(TOP, "tests/integration/size_test.py"))
    if "--budget" in budget:
        found["Totals"].append(("Python", "size_test.py: a budget that fits, one that does not"))


def main():
    found, wrong, passed = {point: [] for point in POINTS}, [], 0
    rule_tests(found, wrong)
    unit_tests(found)
    models(found)
    others(found)
    for point in sys.argv[1:]:
        for kind, title in found.get(point, []):
            print("%-6s %s" % (kind, title))
    print("%-7s %-42s %6s %4s %6s %6s" % ("point", "about", "rules", "C", "models", "others"))
    for point, (about, least) in POINTS.items():
        kinds = [kind for kind, _ in found[point]]
        counts = [kinds.count("rules"), kinds.count("C"), kinds.count("model")]
        print("%-7s %-42s %6d %4d %6d %6d" % (point, about, *counts, len(kinds) - sum(counts)))
        if len(kinds) < least:
            wrong.append("point %s has %d tests of at least %d" % (point, len(kinds), least))
        else:
            passed += 1
    for line in wrong:
        print("FAIL " + line)
    print("%d passed, %d failed" % (passed, len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
