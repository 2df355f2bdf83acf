#!/usr/bin/env python3
"""What is wrong with docker/: the Dockerfile and compose file by the rules that linters hold, the packages
by docker/packages.txt, the systemd unit by systemd's own judgement. With --prove the Dockerfile's steps are
run by docker/prove.py. Ends with `N passed, N failed, N skipped`."""
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCKER = os.path.join(TOP, "docker")
EXPOSURE_MAX = 2.0


class Tally:
    passed = failed = skipped = 0

    def hold(self, what, ok, why=""):
        self.passed += bool(ok)
        self.failed += not ok
        print("%s %s%s" % ("ok    " if ok else "FAILED", what, "" if ok else ": %s" % (why,)))

    def skip(self, what, why):
        self.skipped += 1
        print("skipped %s: %s" % (what, why))


def dockerfile(text):
    """The faults of a Dockerfile, as words."""
    steps = [line.split(None, 1) for line in re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.M)).splitlines() if line.strip()]
    runs = [rest for word, rest in steps if word == "RUN"]
    faults = []
    for word, rest in steps:
        if word == "FROM" and not re.match(r"[\w./-]+:(?!latest)[\w.-]+(@sha256:[0-9a-f]{64})?( AS \w+)?$", rest):
            faults.append("base is not pinned: " + rest)
        if word == "ADD":
            faults.append("ADD fetches and unpacks; use COPY")
        if word in ("ENTRYPOINT", "CMD") and not rest.startswith("["):
            faults.append(word + " through a shell gets no signals")
        if word == "WORKDIR" and not rest.startswith("/"):
            faults.append("WORKDIR is relative")
        if word in ("ENV", "ARG") and re.search(r"(?i)password|secret|token", rest):
            faults.append("a secret stands in the image")
    for rest in runs:
        if "apt-get install" in rest and not all(part in rest for part in ("apt-get update", "--no-install-recommends", "rm -rf /var/lib/apt/lists/*", "install -y")):
            faults.append("apt-get without update, -y, --no-install-recommends, or lists left behind")
        if re.search(r"\bsudo\b|\bcurl\b.*\|\s*(ba)?sh|\bapt (install|update)|apt-get (dist-)?upgrade", rest):
            faults.append("sudo, curl | sh, apt or upgrade in RUN")
    users = [rest for word, rest in steps if word == "USER"]
    if not users or users[-1].split(":")[0] in ("root", "0"):
        faults.append("runs as root")
    if "HEALTHCHECK" not in [word for word, _ in steps]:
        faults.append("no health check")
    return faults


BAD = [("FROM debian\n", "pinned"), ("FROM debian:latest\n", "pinned"), ("FROM a:1\nADD x y\n", "ADD"), ("FROM a:1\nRUN apt-get update && apt-get install -y x\n", "lists"),
       ("FROM a:1\nUSER root\n", "root"), ("FROM a:1\nCMD muster run\n", "signals"), ("FROM a:1\nENV PASSWORD=x\n", "secret"), ("FROM a:1\nUSER 9\n", "health"),
       ("FROM a:1\nRUN curl x | sh\n", "sudo"), ("FROM a:1\nWORKDIR x\n", "relative")]


def lint(tally):
    for text, word in BAD:
        tally.hold("the linter finds %r" % text, any(word in fault for fault in dockerfile(text)), dockerfile(text))
    text = open(os.path.join(DOCKER, "Dockerfile")).read()
    tally.hold("Dockerfile has no fault", not dockerfile(text), dockerfile(text))
    needed = [line.split()[0] for line in open(os.path.join(DOCKER, "packages.txt")).read().split("# tests only")[0].splitlines() if re.match(r"lib\S+-dev\b", line)]
    tally.hold("Dockerfile installs what the build needs", all(re.search(r"\s%s\s" % re.escape(name), text) for name in needed), needed)
    tally.hold("the build's context leaves out what is built", "build" in open(os.path.join(TOP, ".dockerignore")).read().split())


def compose(tally):
    path = os.path.join(DOCKER, "compose.yaml")
    text = open(path).read()
    images = re.findall(r"^\s+image: (\S+)", text, re.M)
    tally.hold("compose: every image is pinned", images and all(":" in image and not image.endswith(":latest") for image in images), images)
    for word in ("read_only: true", "no-new-privileges:true", "cap_drop: [ALL]", "healthcheck:"):
        tally.hold("compose: %s" % word, word in text)
    tally.hold("compose: nothing privileged, nothing published", not re.search(r"privileged: true|^\s+ports:|docker\.sock|network_mode: host", text, re.M))
    known = set(re.findall(r"^SETTING_\w+\((\w+)", open(os.path.join(TOP, "engine/base/setting.def")).read(), re.M))
    used = set(re.findall(r"^(\w+):", open(os.path.join(DOCKER, "compose/muster.yaml")).read(), re.M))
    tally.hold("compose: the settings exist", used and used <= known, used - known)
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return tally.skip("docker compose config", "docker compose is not here")
    done = subprocess.run(["docker", "compose", "-f", path, "config", "--quiet"], capture_output=True, text=True)
    tally.hold("docker compose config", done.returncode == 0, done.stderr)


def unit(tally):
    path = os.path.join(DOCKER, "muster.service")
    if not shutil.which("systemd-analyze"):
        return tally.skip("systemd-analyze security", "systemd is not here")
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", path], capture_output=True, text=True)
    found = re.search(r"exposure level for muster.service: ([\d.]+)", done.stdout)
    if not found:
        return tally.skip("systemd-analyze security", "it cannot judge a file: " + done.stderr.strip()[:200])
    tally.hold("exposure %s of at most %s" % (found[1], EXPOSURE_MAX), float(found[1]) <= EXPOSURE_MAX)
    text = open(path).read()
    tally.hold("the exception for the just-in-time compiler is explained", re.search(r"#[^\n]*(just-in-time|JIT)[^\n]*\n(#[^\n]*\n)*MemoryDenyWriteExecute=no", text))


def prove(tally):
    done = subprocess.run([sys.executable, os.path.join(DOCKER, "prove.py")], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode == 77:
        return tally.skip("the steps of the Dockerfile", done.stdout.strip().splitlines()[-1])
    tally.hold("the steps of the Dockerfile run", done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:])
    print(done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "")


def main():
    tally = Tally()
    lint(tally)
    compose(tally)
    unit(tally)
    if "--prove" in sys.argv:
        prove(tally)
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
