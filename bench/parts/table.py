"""Results: kept part by part in bench/results/results.json, shown as bench/results/README.md."""
import json
import os
import time

from parts.common import RESULTS

JSON, PAGE = os.path.join(RESULTS, "results.json"), os.path.join(RESULTS, "README.md")


def load():
    if not os.path.exists(JSON):
        return {}
    with open(JSON, encoding="utf-8") as text:
        return json.load(text).get("parts", {})


def keep(name, entry, order):
    """Notes a part that was measured, and writes the page again."""
    parts = load()
    parts[name] = {**entry, "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}
    with open(JSON, "w", encoding="utf-8") as out:
        json.dump({"parts": {part: parts[part] for part in order if part in parts}}, out, indent=1, ensure_ascii=False)
        out.write("\n")
    with open(PAGE, "w", encoding="utf-8") as out:
        out.write(text(order))


def figure(value):
    """A number as people read it: three digits that count, thousands apart."""
    if not isinstance(value, (int, float)):
        return str(value)
    return "{:,.0f}".format(value) if abs(value) >= 100 or value == int(value) else "{:.1f}".format(value) if abs(value) >= 10 else "{:.3g}".format(value)


def line(row):
    met = {True: "met", False: "**missed**", None: ""}[row["met"]]
    how = "`%s`" % row["how"] if row["how"] else ""
    return "| %s | %s | %s | %s | %s | %s |" % (row["what"], figure(row["figure"]), row["unit"], row["aim"], met, how)


def section(part, newest):
    crowd = "Took %d s; meanwhile other work of this machine used %.1f of its cores%s." % (
        part["seconds"], part["others"], " (servers of the part itself among it)" if part.get("servers") else "")
    if part["stolen"] >= 0.02:
        crowd += " Its host took %.0f %% of one core away." % (100 * part["stolen"])
    on = part["machine"]
    if on["processor"] != newest["processor"]:
        crowd += " On another machine: %s, %s, %s." % (on["processor"], on["memory"], on["kernel"])
    rows = ["| what | figure | unit | aim | | how |", "|---|---:|---|---|---|---|"] + [line(row) for row in part["rows"]] if part["rows"] else []
    pictures = ["", *["![%s](%s)" % (words, name) for name, words in part["pictures"].items()]] if part.get("pictures") else []
    return ["## " + part["title"], "", *rows, *([""] if rows else []), part["note"], "", "%s %s." % (crowd, part["date"]), *pictures, ""]


def text(order):
    parts = load()
    if not parts:
        return ""
    newest = max(parts.values(), key=lambda part: part["date"])
    lines = ["# Results", "", "Made by `make bench` (`make bench PARTS=replay,latency` measures just those anew). Machine of the newest part:", ""]
    lines += ["| | |", "|---|---|"] + ["| %s | %s |" % pair for pair in newest["machine"].items()] + [""]
    lines += ["Figures are as measured, missed aims among them. What rules cost when there are more of them: [growth.md](growth.md); graph searches alone: "
              "[graph.txt](graph.txt).", ""]
    for name in order:
        if name in parts:
            lines += section(parts[name], newest["machine"])
    return "\n".join(lines)
