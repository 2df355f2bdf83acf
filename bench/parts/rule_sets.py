"""The pack without what follows the money: every rule with a graph operator left out, and the tests that name it."""
import json
import os
import re
import shutil

from parts.common import HOME, PACK, RATES, TOP, run


def operators():
    """How graph operators are written: `cycle through`, `pass_through of`, …"""
    table = open(os.path.join(TOP, "rules", "lang", "graph_operator.def"), encoding="utf-8").read()
    return re.compile(r"\b(%s)\b" % "|".join("%s %s" % pair for pair in re.findall(r'^GRAPH\(\w+, "(\w+)", "(\w+)"', table, re.M)))


def pieces(text):
    """A rule file as (rule or None, text): rules, their tests, and all between."""
    at = 0
    for match in re.finditer(r"^(?:rule (\S+)|test \".*?\" for (\S+)) .*?^}\n", text, re.M | re.S):
        yield None, text[at:match.start()]
        yield match.group(1) or match.group(2), match.group(0)
        at = match.end()
    yield None, text[at:]


def without_graphs():
    """(folder of the smaller pack, rules that went)"""
    folder = os.path.join(HOME, "pack-without-graphs")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(TOP, PACK), folder)
    asks, gone = operators(), set()
    names = sorted(name for name in os.listdir(folder) if name.endswith(".rules"))
    texts = {name: list(pieces(open(os.path.join(folder, name), encoding="utf-8").read())) for name in names}
    for parts in texts.values():
        gone |= {rule for rule, text in parts if rule and text.startswith("rule ") and asks.search(text)}
    for name, parts in texts.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write("".join(text for rule, text in parts if rule not in gone))
    told = json.loads(run("build/muster", "rules", "bench", folder, "--rates", RATES, "--events", "5000", "--rounds", "1", "--json").stdout)
    searched = [rule["rule"] for rule in told["rules"] if rule["searched"]]
    if searched or not gone:
        raise AssertionError("the pack without graph rules still searches in %s; %d rules went" % (searched, len(gone)))
    return folder, sorted(gone)
