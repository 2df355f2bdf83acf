#!/usr/bin/env python3
"""Where a replay spends its instructions, as a flame graph: bench/results/flame-NAME.svg and the folded stacks beside the build.

The replay runs on one thread under valgrind's callgrind, which counts every instruction together with the functions that led to
it; so a picture hardly changes from time to time (the hash key is random), whatever else the machine does, and two builds can be compared over
one stream. What waits costs
nothing here, and the cache is not seen. The picture has no fixed width: frames take their share of whatever width it is shown at, letters
keep their size and are cut at the frame's edge; the whole name, instructions and share show when the pointer rests on a frame.

Usage: flame.py NAME [--muster PATH] [--rules DIR] [--events N] [--stream FILE] [--title TEXT] [--out FILE] [--least PERCENT]
Run it from the checkout whose rates and rules are meant. Without --stream this build's `muster gen` makes one (seed 1)."""
import argparse
import html
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zlib

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOME = os.path.join(TOP, "build", "bench", "flame")
ROW, LINE, LETTERS = 19, 15, 64 # letters of a line below the title: they fit 450 pixels
NAME = re.compile(r"\((\d+)\)(?: (.*))?$")
SUFFIX = re.compile(r"\.(part|isra|constprop|cold)(\.\d+)*|'\d+$|@@?[A-Z0-9_.]+$")


def fold(path):
    """{(outermost, ..., innermost): instructions} of a callgrind file made with --separate-callers: its function names are
    stacks already, innermost first. A line behind `calls=` says what the callee costs, which its own lines say too."""
    names, stacks, stack, called = {}, {}, None, False
    with open(path, errors="replace") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if line.startswith(("fn=", "cfn=")):
                number, text = NAME.match(line.split("=", 1)[1]).groups()
                if text:
                    names[number] = tuple(reversed([SUFFIX.sub("", part) for part in text.split("'") if part and not part.isdigit()]))
                if line.startswith("fn="):
                    stack = names[number]
            elif line.startswith("calls="):
                called = True
            elif line[:1].isdigit() or line[:1] in "+-*":
                cost = line.split()[1:]
                if not called and stack and cost:
                    stacks[stack] = stacks.get(stack, 0) + int(cost[0])
                called = False
    return stacks


def below_main(stacks):
    """Without what the loader does before main, and the frames around it."""
    kept = {}
    for stack, cost in stacks.items():
        if "main" in stack:
            stack = stack[stack.index("main"):]
            kept[stack] = kept.get(stack, 0) + cost
    return kept or stacks


def tree(stacks):
    """Nested {name: [instructions, below]}."""
    root = ["all", 0, {}]
    for stack, cost in stacks.items():
        root[1] += cost
        at = root
        for name in stack:
            at = at[2].setdefault(name, [name, 0, {}])
            at[1] += cost
    return root


def depth_of(node, total, least):
    return 1 + max([depth_of(child, total, least) for child in node[2].values() if child[1] * 100 >= least * total] or [0])


def colour(name):
    """Warm, and the same for a function in every picture."""
    hash_of = zlib.crc32(name.encode())
    return "hsl(%d,%d%%,%d%%)" % (8 + hash_of % 42, 78 + hash_of // 64 % 18, 62 + hash_of // 4096 % 12)


def frames(node, level, x, total, least, bottom, out):
    """The frame and those above it, each an <svg> of its own, which cuts the letters off at its edge."""
    name, cost, inner = node
    share = 100.0 * cost / total
    out.append('<svg x="%.3f%%" y="%d" width="%.3f%%" height="%d"><title>%s: %s instructions, %.2f %%</title>'
               '<rect width="100%%" height="%d" fill="%s" stroke="#fff" stroke-width=".6"/>%s</svg>'
               % (x, bottom - level * ROW, share, ROW - 1, html.escape(name), format(cost, ",").replace(",", " "), share, ROW - 1, colour(name),
                  '<text x="4" y="13">%s</text>' % html.escape(name) if share >= 0.6 else ""))
    for child in sorted(inner.values(), key=lambda one: one[0]):
        if child[1] * 100 >= least * total:
            frames(child, level + 1, x, total, least, bottom, out)
        x += 100.0 * child[1] / total


def draw(stacks, title, command, least):
    root = tree(stacks)
    said = "%s instructions on one thread; wide is much, above is called from below; frames under %.1f %% are left out" % (
        format(root[1], ",").replace(",", " "), least)
    above, below = textwrap.wrap(said, LETTERS), textwrap.wrap(command, LETTERS, break_on_hyphens=False)
    bottom = 40 + len(above) * LINE + depth_of(root, root[1], least) * ROW
    height = bottom + 12 + len(below) * LINE
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="100%%" height="%d" font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="11">' % height,
           '<rect width="100%" height="100%" fill="#fffdf8"/>',
           '<text x="8" y="22" font-size="15" font-weight="bold">%s</text>' % html.escape(title)]
    frames(root, 1, 0.0, root[1], least, bottom, out)
    lines = [(40 + i * LINE, text) for i, text in enumerate(above)] + [(bottom + LINE + i * LINE, text) for i, text in enumerate(below)]
    out += ['<text x="8" y="%d" fill="#555">%s</text>' % (y, html.escape(text)) for y, text in lines] + ["</svg>"]
    return "\n".join(out) + "\n"


def count(options):
    """Runs the replay under callgrind; (folded stacks, the command in words)."""
    os.makedirs(HOME, exist_ok=True)
    stream = options.stream or os.path.join(HOME, "stream-%d.ndjson" % options.events)
    if not options.stream:
        subprocess.run([options.muster, "gen", "--events", str(options.events), "--seed", "1", "--out", stream, "--labels", os.path.join(HOME, "labels.csv")],
                       check=True, stdout=subprocess.DEVNULL)
    raw = os.path.join(HOME, options.name + ".callgrind")
    replay = ["replay", stream, "--rules", options.rules, "--rates", "rules/packs/rates.csv", "--threads", "1", "--quiet", "--set", "shard_mb_max=64"]
    done = subprocess.run(["valgrind", "--tool=callgrind", "--separate-callers=64", "--separate-recs=1", "--callgrind-out-file=" + raw, options.muster] + replay,
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit("flame.py: the replay ended with exit code %d:\n%s" % (done.returncode, done.stderr[-2000:]))
    replay[1] = os.path.basename(stream)
    return below_main(fold(raw)), "valgrind --tool=callgrind --separate-callers=64 muster " + " ".join(replay)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("name")
    options.add_argument("--muster", default="build/muster")
    options.add_argument("--rules", default="rules/packs/trafficking")
    options.add_argument("--events", type=int, default=20000)
    options.add_argument("--stream")
    options.add_argument("--title")
    options.add_argument("--out")
    options.add_argument("--least", type=float, default=0.2)
    options = options.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("flame.py: valgrind is not installed (apt-get install valgrind)")
    stacks, command = count(options)
    with open(os.path.join(HOME, options.name + ".folded"), "w") as out:
        for stack, cost in sorted(stacks.items()):
            out.write("%s %d\n" % (";".join(stack), cost))
    picture = options.out or os.path.join(TOP, "bench", "results", "flame-%s.svg" % options.name)
    with open(picture, "w") as out:
        out.write(draw(stacks, options.title or "muster replay: " + options.name, command, options.least))
    print("%s: %d stacks, %d instructions" % (os.path.relpath(picture, os.getcwd()), len(stacks), sum(stacks.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
