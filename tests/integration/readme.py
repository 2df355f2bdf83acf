#!/usr/bin/env python3
"""Runs every command that README.md shows, and follows every link in it. Ends with `N passed, N failed`."""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# `make test` is what runs this; `make test-crash` and `make bench` are run by CI.
NOT_HERE = {"make test"}
# What must be seen in the output of a command.
MUST_SAY = {"make demo": ["forced_labour", "Why: indicators", "as controller", "(masked)"], "rules check": ["0 errors"], "muster replay": ["revisions"]}


def commands(text):
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            command = line.split("  #")[0].strip()
            if command:
                yield command


def run(command):
    done = subprocess.run(["bash", "-c", command], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280,
                          stdin=subprocess.DEVNULL, env={**os.environ, "YES": "1"})
    missing = [word for part, words in MUST_SAY.items() if part in command for word in words if word not in done.stdout]
    good = done.returncode == 0 and not missing
    print("%s %s%s" % ("ok    " if good else "FAILED", command, "" if good else ": exit %d, not said: %s\n%s" % (
        done.returncode, missing, done.stdout[-1500:])), flush=True)
    return good


def links(path):
    text = open(os.path.join(TOP, path)).read()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            yield target, os.path.exists(os.path.join(TOP, os.path.dirname(path), target))


def main():
    text = open(os.path.join(TOP, "README.md")).read()
    results = [run(command) for command in commands(text) if command not in NOT_HERE]
    for page in ("README.md", "engine/README.md", "rules/README.md", "CONTRIBUTING.md"):
        for target, there in links(page):
            results.append(there)
            if not there:
                print("FAILED %s links to %s, which is not there" % (page, target))
    print("%d passed, %d failed" % (sum(results), len(results) - sum(results)))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
