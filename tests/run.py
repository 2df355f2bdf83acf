#!/usr/bin/env python3
"""Runs Muster's suites and adds up what they say.

Each suite is a command that ends with `N passed, N failed[, N skipped]`, a Criterion program, or a
plain check (one pass or one failure by its exit code). Output goes to build/test-logs/SUITE.log; a
failed suite's last lines are shown, and again at the end, where nothing stands between them and the reader of a
log cut short. The last line here is `N passed, N failed, N skipped`.

Usage: run.py [--only NAME[,NAME…]] [--list] GROUP…    groups: quick, long, kafka"""
import argparse
import glob
import os
import re
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(TOP, "build", "test-logs")
COUNTS = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\.?$", re.M)
CRITERION = re.compile(r"Synthesis: Tested: .*?(\d+).*?Passing: .*?(\d+).*?Failing: .*?(\d+).*?Crashing: .*?(\d+)")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# the distribution's Python: its packages are what docker/packages.txt names
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
JOBS = str(os.cpu_count() or 2)


class Suite:
    def __init__(self, name, group, *command, limit=300, env=None, floor=1):
        self.name, self.group = name, group
        self.command = [PYTHON if word == "python3" else word for word in command]
        self.limit, self.env, self.floor = limit, env or {}, floor

    def run(self):
        """(passed, failed, skipped, what went wrong or '')"""
        log = os.path.join(LOGS, self.name.replace("/", "-") + ".log")
        with open(log, "w") as out:
            try:
                code = subprocess.run(self.command, cwd=TOP, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                      timeout=self.limit, env={**os.environ, **self.env}).returncode
            except subprocess.TimeoutExpired:
                return 0, 1, 0, "not done after %d s" % self.limit
            except OSError as fault:
                return 0, 1, 0, str(fault)
        return self.judge(code, COLOUR.sub("", open(log, errors="replace").read()))

    def judge(self, code, text):
        passed = failed = skipped = 0
        plain, criterion = COUNTS.findall(text), CRITERION.findall(text)
        if plain:
            passed, failed, skipped = (int(n or 0) for n in plain[-1])
        elif criterion:
            tested, passing, failing, crashing = (int(n) for n in criterion[-1])
            passed, failed = passing, failing + crashing + (tested - passing - failing - crashing)
        else:
            passed, failed = (1, 0) if code == 0 else (0, 1)
        if code != 0 and failed == 0:
            failed = 1
        if not failed and passed + skipped < self.floor:
            return passed, 1, skipped, "fewer tests ran than there are: %d of at least %d" % (passed + skipped, self.floor)
        return passed, failed, skipped, "exit code %d" % code if failed else ""


def programs(folder, variant):
    return sorted("build/%s/%s" % (variant, path[:-2]) for path in glob.glob(os.path.join(folder, "*.c"), root_dir=TOP))


def suites():
    make = ["make", "--no-print-directory", "-s", "-j", JOBS]
    asan = {"ASAN_OPTIONS": "abort_on_error=1:detect_stack_use_after_return=0", "UBSAN_OPTIONS": "print_stacktrace=1",
            "LSAN_OPTIONS": "suppressions=tests/lsan.supp:print_suppressions=0"}
    yield Suite("build", "quick", *make, "all", limit=600)
    yield Suite("structure", "quick", "python3", "tests/structure/structure.py", floor=10)
    yield Suite("pages", "quick", *make, "check-pages")
    yield Suite("clang", "quick", *make, "VARIANT=debug", "CC=clang-14", "lib", limit=600)
    yield Suite("build/asan", "quick", *make, "VARIANT=asan", "tests", limit=900)
    for program in programs("tests/unit/*", "asan"):
        yield Suite("unit/" + "/".join(program.split("/")[-2:]), "quick", program, limit=200, env=asan)
    yield Suite("build/tests", "quick", *make, "tests", limit=600)
    fewer = {"rule_mutants": ["3000"], "strata_model": ["8000"], "report_model": ["6000"], "step_rule_model": ["1000"],
             "recycle_model": ["60"], "graph_rule_model": ["400"]}  # all ran 20,000 or more without a difference, recycle_model 60; graph_model runs 50,000 of each search
    for program in programs("tests/simulation", "release"):
        name = os.path.basename(program)
        if name == "determinism_matrix":
            continue  # long: below
        yield Suite("model/" + name, "quick", program, *fewer.get(name, []), limit=400, floor={"graph_model": 400000}.get(name, 1))
    yield Suite("rules/pack", "quick", "build/muster", "rules", "test", "--coverage", "rules/packs/trafficking", floor=40)
    yield Suite("rules/check", "quick", "build/muster", "rules", "check", "rules/packs/trafficking")
    yield Suite("rules/fmt", "quick", "build/muster", "rules", "fmt", "--check", "rules/packs/trafficking")
    yield Suite("rules/meaning", "quick", "tests/meaning.sh", floor=350)
    yield Suite("rules/points", "quick", "python3", "tests/points.py", floor=29)
    yield Suite("determinism", "quick", "python3", "tests/integration/determinism.py", "--events", "100000", limit=400)
    for program in programs("tests/integration", "release"):
        yield Suite("integration/" + os.path.basename(program), "quick", program, limit=300)
    for path in sorted(glob.glob("tests/integration/*_test.py", root_dir=TOP)):
        if path.endswith("/standby_test.py"):
            continue  # long: below
        yield Suite("integration/" + os.path.basename(path)[:-3], "quick", "python3", path, limit=400)
    yield Suite("bench/aml", "quick", "python3", "bench/aml/aml.py", "--check", limit=300, floor=4)
    yield Suite("bench/ransom", "quick", "python3", "bench/ransom/ransom.py", "--check", limit=120, floor=40)
    yield Suite("docker", "quick", "python3", "tests/docker/docker_test.py", floor=15)
    yield Suite("readme", "quick", "python3", "tests/integration/readme.py", limit=200)

    yield Suite("integration/rules_load/long", "long", "python3", "tests/integration/rules_load_test.py", "--long", limit=600, floor=35)
    yield Suite("integration/reload/million", "long", "python3", "tests/integration/reload_test.py", "--events", "1000000", limit=900, floor=5)
    yield Suite("integration/standby", "long", "python3", "tests/integration/standby_test.py", limit=600, floor=7)
    yield Suite("build/tsan", "long", *make, "VARIANT=tsan", "tests", limit=900)
    tsan = {"TSAN_OPTIONS": "halt_on_error=1:exitcode=66:suppressions=tests/tsan.supp"}
    for name, argument in (("strata_model", "150"), ("step_rule_model", "150"), ("recycle_model", "20"), ("graph_rule_model", "25"),
                           ("pipeline_model", None)):
        if os.path.exists(os.path.join(TOP, "tests/simulation", name + ".c")):
            yield Suite("tsan/" + name, "long", "build/tsan/tests/simulation/" + name, *([argument] if argument else []), limit=600, env=tsan)
    yield Suite("model/pipeline_model/3000", "long", "build/release/tests/simulation/pipeline_model", "3000", floor=3000, limit=900)
    yield Suite("determinism/million", "long", "python3", "tests/integration/determinism.py", "--events", "1000000", limit=1200)
    yield Suite("model/rule_mutants/200000", "long", "build/release/tests/simulation/rule_mutants", "200000", floor=200000, limit=600)
    yield Suite("determinism/matrix", "long", "build/release/tests/simulation/determinism_matrix", "9000", limit=900, floor=180)
    yield Suite("crash", "long", "python3", "tests/crash/crash.py", limit=1500)
    yield Suite("crash/poison", "long", "python3", "tests/crash/poison.py", limit=600, floor=30)
    yield Suite("crash/fail_points", "long", "python3", "tests/crash/fail_points.py", limit=1200, floor=150)
    yield Suite("crash/planted", "long", "python3", "tests/crash/planted.py", limit=900, floor=8)
    # by hand longer: tests/endure/endure.py soak --seconds 360
    for scenario, limit in (("disk", 300), ("clock", 300), ("away", 600), ("flap", 400), ("memory", 500), ("slow", 300), ("soak", 500)):
        yield Suite("endure/" + scenario, "long", "python3", "tests/endure/endure.py", scenario, limit=limit)
    yield Suite("fuzz", "long", "python3", "tests/fuzz/run.py", "--seconds", "10", limit=600)
    yield Suite("docker/prove", "long", "python3", "tests/docker/docker_test.py", "--prove", floor=15, limit=900)
    yield Suite("bench-check", "long", *make, "bench-check", limit=600)

    # against a real Apache Kafka; where none can be had each says so and counts as skipped
    yield Suite("kafka/integration", "kafka", "python3", "tests/integration/run_test.py", "--broker", "real", limit=400)
    yield Suite("kafka/crash", "kafka", "python3", "tests/crash/crash.py", "--broker", "real", "--kills", "100", limit=900)
    yield Suite("kafka/faults", "kafka", "python3", "tests/kafka/faults.py", limit=1200)


def show_tail(name, lines=25):
    with open(os.path.join(LOGS, name.replace("/", "-") + ".log"), errors="replace") as log:
        for line in log.read().splitlines()[-lines:]:
            print("    | " + COLOUR.sub("", line)[:300])


def main():
    options = argparse.ArgumentParser()
    options.add_argument("groups", nargs="*", default=["quick"])
    options.add_argument("--only", default="")
    options.add_argument("--list", action="store_true")
    options = options.parse_args()
    only = [word for word in options.only.split(",") if word]
    os.makedirs(LOGS, exist_ok=True)
    total, failures = [0, 0, 0], []
    for suite in suites():
        if suite.group not in options.groups or (only and not any(word in suite.name for word in only)):
            continue
        if options.list:
            print(suite.name, " ".join(suite.command))
            continue
        begin = time.monotonic()
        passed, failed, skipped, wrong = suite.run()
        total = [total[0] + passed, total[1] + failed, total[2] + skipped]
        print("%-34s %7.1f s  %6d passed, %d failed, %d skipped%s" % (suite.name, time.monotonic() - begin, passed, failed, skipped,
                                                                     "   <-- " + wrong if wrong else ""), flush=True)
        if failed:
            show_tail(suite.name)
            failures.append((suite.name, wrong))
    for name, wrong in failures:
        print("FAILED %s: %s" % (name, wrong))
        show_tail(name, 10)
    print("%d passed, %d failed, %d skipped" % tuple(total))
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
