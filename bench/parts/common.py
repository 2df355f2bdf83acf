"""What all parts of the benchmark share: running the programs, streams, medians, the machine, and rows of the table."""
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOME = os.path.join(TOP, "build", "bench")
RESULTS = os.path.join(TOP, "bench", "results")
PROGRAMS = os.path.join("build", "release", "bench", "main")
PACK = os.path.join("rules", "packs", "trafficking")
RATES = os.path.join("rules", "packs", "rates.csv")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Unavailable(Exception):
    """A part that cannot be measured here; the text says why."""


def run(*words, **more):
    """The finished program; Unavailable with its last words when it fails."""
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, **more)
    if done.returncode:
        raise Unavailable("`%s` ended with %d: %s" % (" ".join(words)[:120], done.returncode, (done.stderr + done.stdout).strip()[-300:]))
    return done


def row(what, figure, unit="", aim=None, least=None, most=None, how=""):
    """One line of the table. aim: what is wanted, in words; least and most: what makes it met."""
    met = None if least is None and most is None else (least is None or figure >= least) and (most is None or figure <= most)
    return {"what": what, "figure": figure, "unit": unit, "aim": aim or "", "met": met, "how": how}


def stream(events, seed=7, **options):
    """A generated stream, kept under build/bench. options are those of `muster gen`."""
    name = "-".join(["stream", str(events)] + ["%s%s" % pair for pair in sorted(options.items())] + ([] if seed == 7 else [str(seed)]))
    path = os.path.join(HOME, name + ".ndjson")
    if not os.path.exists(path):
        more = [word for key, value in options.items() for word in ("--" + key, str(value))]
        run("build/muster", "gen", "--events", str(events), "--seed", str(seed), "--sources", "2", *more, "--out", path + ".part")
        os.rename(path + ".part", path)
    return path


def lines_of(path):
    with open(path, "rb") as text:
        return sum(1 for _ in text)


def medians(rows):
    return {name: statistics.median(row.get(name, 0) for row in rows) for name in rows[0]}


def quantile(values, q):
    """The smallest value that at least q of all do not exceed."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


# --- the machine ---

def first_match(pattern, text, otherwise="?"):
    found = re.search(pattern, text, re.M)
    return found.group(1).strip() if found else otherwise


def package(name):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else "not installed"


def machine():
    cpu = first_match(r"^model name\s*:(.*)$", open("/proc/cpuinfo").read())
    memory = int(first_match(r"^MemTotal:\s*(\d+)", open("/proc/meminfo").read(), "0")) / 1048576
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    return {"processor": "%s, %d cores" % (cpu, os.cpu_count()), "memory": "%.0f GiB" % memory, "kernel": "Linux " + platform.release(),
            "muster": run("build/muster", "version").stdout.strip(), "commit": commit(), "compiler": "gcc %s -O2" % compiler,
            "librdkafka": package("librdkafka1"), "postgresql": package("postgresql-15"), "simdjson": package("libsimdjson14"),
            "pcre2": package("libpcre2-8-0")}


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude", "*"], cwd=TOP, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def busy_s():
    """Seconds of processor time used on this machine since it started, and taken from it by its host."""
    user, nice, system, _, _, irq, soft, steal = (int(n) for n in open("/proc/stat").readline().split()[1:9])
    return (user + nice + system + irq + soft) * TICK_S, steal * TICK_S


class Watch:
    """How much of the processors others had while a part ran: of those who are no children of ours."""

    def __enter__(self):
        self.begin, self.busy, self.steal, self.own = time.monotonic(), *busy_s(), sum(os.times()[:4])
        return self

    def __exit__(self, *_):
        busy, steal = busy_s()
        own = sum(os.times()[:4]) - self.own
        self.seconds = max(time.monotonic() - self.begin, 1e-3)
        self.others = max(0.0, (busy - self.busy - own) / self.seconds)
        self.stolen = (steal - self.steal) / self.seconds


def spin(seconds=0.6):
    """How much two busy processes do at once, compared with one: 2.0 on two free cores."""
    code = "import time\nn = 0\nend = time.monotonic() + %f\nwhile time.monotonic() < end: n += 1\nprint(n)" % seconds

    def turns(processes):
        running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        return sum(int(process.communicate()[0]) for process in running)
    return turns(2) / turns(1)
