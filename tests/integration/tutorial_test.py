#!/usr/bin/env python3
"""Follows the tutorial of rules/README.md word by word and compares every output it shows. Ends with `N passed, N failed`.

What the page's blocks mean, in the order they stand:
  ```console    lines that begin with `$ ` are typed into one shell (a line that ends in a backslash goes on in the next);
                the lines below each are its output, standard error included, compared byte for byte. `…` within a line
                stands for a figure that no two machines share, `…` on a line of its own for lines left out, or none.
  a line that ends with `name of a file`: and then a block without a language: the whole file; with ```diff, a change of it.
  a line *exit code N* below a console block: that of its last command; 0 where none stands.
Only the part between the marks `<!-- tutorial -->` and `<!-- end of tutorial -->` is followed, in a folder of its own below build/.

--write puts the outputs of today into the page: what still matches stays, figures of speed and bytes of state become `…`, a block with one line
of `…` keeps as many lines before and after it."""
import difflib
import os
import re
import shutil
import subprocess
import sys

from readme import TOP

PAGE = os.path.join(TOP, "rules", "README.md")
HERE = os.path.join(TOP, "build", "tutorial-test")
BEGIN, END = "<!-- tutorial -->\n", "<!-- end of tutorial -->\n"
BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```\n", re.M | re.S)
NAMED = re.compile(r"`([\w./-]+)`:?\s*\Z")
CODE = re.compile(r"\s*\*exit code (\d+)\*")
# Figures of speed in what the tools say: times, rates and what is made of them; and bytes of state, which hang on when shards were swept.
SPEED = [(re.compile(pattern, re.M), word) for pattern, word in (
    (r"in \d+\.\d s \(\d+/s\)", "in … s (…/s)"),
    (r"in \d+\.\d+ s, \d+/s$", "in … s, …/s"),
    (r"the pause was \d+ ms$", "the pause was … ms"),
    (r"from block \d+ on:", "from block … on:"),
    (r"^signed rule set [0-9a-f]{64}", "signed rule set …"),
    (r"( pass(?:es)?) and \d+\.\d s", r"\1 and … s"),
    (r"^([* ] \w+ = .*\S) +\d+( +\d+\.\d)$", r"\1         …\2"),
    (r"^\d+ ns of the core per event: decode, order and step; \d+ ns with timing, .*", "… ns of the core per event: decode, order and step; …"),
    (r"costs \d+\.\d ns each time and has been taken off; \d+ of \d+ timings", "costs … ns each time and has been taken off; … of … timings"),
    (r"^(\S+ +\d+ +\d+ +\d+) +\S+ +\S+ +\S+ +\S+ +\S+%( +\d+ +\d+) +\S+ ([KM]iB)", r"\1       …        …        …        …        …\2      … \3"),
    (r"^all rules \d+ ns per event, the index of filters \d+ ns", "all rules … ns per event, the index of filters … ns"),
    (r"^(mend first|most state): .*", r"\1: …"))]


class Shell:
    """One bash for the whole page: `cd` and `export` last, as for a reader."""

    def __init__(self, folder):
        # the reader's own settings and colours stay out
        env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        self.bash = subprocess.Popen(["bash", "--norc", "--noprofile"], cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, env={**env, "LC_ALL": "C.UTF-8", "YES": "1"})
        self.folder = folder

    def run(self, command):
        """(output, exit code)"""
        self.bash.stdin.write("{ %s\n} </dev/null; printf '\\001%%d %%s\\n' $? \"$PWD\"\n" % command)
        self.bash.stdin.flush()
        said = []
        for line in self.bash.stdout:
            text, mark, end = line.partition("\001")
            said.append(text)
            if mark:
                code, self.folder = end.rstrip("\n").split(" ", 1)
                return "".join(said), int(code)
        return "".join(said) + "the shell ended\n", -1

    def close(self):
        self.bash.stdin.close()
        self.bash.stdout.close()
        self.bash.wait()


def commands(body):
    """[(command, output shown)] of a console block"""
    found, lines = [], body.splitlines(True)
    while lines:
        line = lines.pop(0)
        if line.startswith("$ "):
            while line.endswith("\\\n") and lines:
                line += lines.pop(0)
            found.append([line, ""])
        elif found:
            found[-1][1] += line
        else:
            raise ValueError("a console block begins with a command: %r" % line)
    return found


def line_pattern(line):
    """`…` within a line is one word, at its end the rest; the blanks before it are padding."""
    parts = [re.escape(part) for part in re.split(" *…", line.rstrip("\n"))]
    last = r" *.+" if line.endswith("…\n") else r" *[^ \n]+"
    return r" *[^ \n]+".join(parts[:-1]) + (last if len(parts) > 1 else "") + parts[-1] + "\n"


def matches(shown, said):
    if "…" not in shown:
        return shown == said
    pattern = "".join(r"(?:.*\n)*" if line == "…\n" else line_pattern(line) for line in shown.splitlines(True))
    return re.fullmatch(pattern, said) is not None


def without_speed(said):
    for pattern, word in SPEED:
        said = pattern.sub(word, said)
    return said


def renewed(shown, said):
    """What the page shows from now on"""
    said = without_speed(said)
    before, mark, after = ("\n" + shown).partition("\n…\n")
    if not mark or "\n…\n" in "\n" + after:
        return said
    head, tail, lines = before.count("\n"), after.count("\n"), said.splitlines(True)
    return "".join(lines[:head] + ["…\n"] + lines[len(lines) - tail:]) if head + tail < len(lines) else said


def changed(text, diff):
    """The text with one change; a diff that fits nowhere, or twice, is an error of the page."""
    lines = diff.splitlines(True)
    if any(line[0] not in " +-" for line in lines):
        raise ValueError("a line of a diff begins with a blank, + or -")
    old = "".join(line[1:] for line in lines if line[0] != "+")
    new = "".join(line[1:] for line in lines if line[0] != "-")
    if ("\n" + text).count("\n" + old) != 1:
        raise ValueError("the change fits %d times" % ("\n" + text).count("\n" + old))
    return ("\n" + text).replace("\n" + old, "\n" + new)[1:]


def stop_demo():
    """The engine, Kafka and PostgreSQL that the page starts lie below HERE, and are the only ones that this ends."""
    if os.path.isdir(os.path.join(HERE, "build", "demo")):
        subprocess.run([os.path.join(HERE, "docker", "demo.sh"), "down"], cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)


class Tutorial:
    def __init__(self, text, write):
        self.text, self.write, self.out, self.at = text, write, [], 0
        self.passed = self.failed = 0
        self.broken = False  # a change that does not fit, or another exit code: nothing to write into the page

    def check(self, good, block, why):
        line = self.text.count("\n", 0, block.start()) + 1
        self.passed, self.failed = self.passed + good, self.failed + (not good)
        print("%s rules/README.md, block at line %d of the tutorial%s" % ("ok    " if good else "FAILED", line, "" if good else ":\n" + why), flush=True)

    def file(self, shell, block):
        name = NAMED.search(self.text, 0, block.start())
        if not name:
            return self.check(False, block, "no line before it names the file")
        path = os.path.join(shell.folder, name.group(1))
        body = block.group(2)
        try:
            if block.group(1) == "diff":
                body = changed(open(path).read(), body)
        except (OSError, ValueError) as fault:
            self.broken = True
            return self.check(False, block, "%s: %s" % (name.group(1), fault))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(body)
        return self.check(True, block, "")

    def console(self, shell, block):
        due = CODE.match(self.text, block.end())
        due = int(due.group(1)) if due else 0
        good, why, page, steps = True, "", "", commands(block.group(2))
        for at, (command, shown) in enumerate(steps):
            said, code = shell.run(command[2:].rstrip("\n"))
            wanted = due if at + 1 == len(steps) else 0
            if not matches(shown, said):
                good, why = False, why + "".join(difflib.unified_diff(
                    shown.splitlines(True), without_speed(said).splitlines(True), "the page", command[2:].rstrip("\n")))
            if code != wanted:
                self.broken = True
                good, why = False, why + "%sexit code %d instead of %d\n" % (command, code, wanted)
            page += command + (shown if matches(shown, said) else renewed(shown, said))
        if self.write:
            self.out += [self.text[self.at:block.start(2)], page]
            self.at = block.end(2)
        self.check(good, block, why)

    def figures(self):
        """A figure of two digits or more in the prose stands in some block too: outputs do not leave the words behind."""
        blocks = set(re.findall(r"\d+", "".join(block.group(2) for block in BLOCK.finditer(self.text))))
        prose = re.sub(r"\]\([^)]*\)|^#.*|exit code \d+", "", BLOCK.sub("", self.text), flags=re.M)
        strays = [figure for figure in re.findall(r"\d[\d,]*\d", prose) if figure.replace(",", "") not in blocks]
        self.passed, self.failed = self.passed + (not strays), self.failed + bool(strays)
        if strays:
            print("FAILED rules/README.md says in its prose what no block shows: %s" % ", ".join(strays), flush=True)

    def follow(self):
        stop_demo()  # of a run that was killed
        shutil.rmtree(HERE, ignore_errors=True)
        os.makedirs(os.path.join(HERE, "build"))
        for folder in (".", "build"):  # a clone of its own, built already
            for name in os.listdir(os.path.join(TOP, folder)):
                there = os.path.join(HERE, folder, name)
                if name not in ("build", "first", "demo") and not name.startswith("tutorial") and not os.path.lexists(there):
                    os.symlink(os.path.join(TOP, folder, name), there)
        shell = Shell(HERE)
        try:
            for block in BLOCK.finditer(self.text):
                if block.group(1) == "console":
                    self.console(shell, block)
                else:
                    self.file(shell, block)
        finally:
            shell.close()
            stop_demo()  # a page that fails half way
        self.figures()
        return "".join(self.out) + self.text[self.at:]


def main():
    page = open(PAGE).read()
    before, begin, rest = page.partition(BEGIN)
    text, end, after = rest.partition(END)
    if not begin or not end:
        print("FAILED rules/README.md has no tutorial between its marks\n0 passed, 1 failed")
        return 1
    tutorial = Tutorial(text, "--write" in sys.argv[1:])
    text = tutorial.follow()
    if tutorial.broken and tutorial.write:
        print("nothing was written: first mend what is not an output")
    elif tutorial.write:
        with open(PAGE, "w") as out:
            out.write(before + begin + text + end + after)
    print("%d passed, %d failed" % (tutorial.passed, tutorial.failed))
    return 0 if tutorial.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
