#!/usr/bin/env python3
"""Runs the steps of docker/Dockerfile in plain Debian trees, where there is no container engine.

Each FROM is a copy of a tree that debootstrap makes from this host's own Debian mirror; COPY copies, RUN
runs in it by chroot. Then the last tree's program is asked for its version as the image's user, with the
whole tree read-only but for the volumes. Needs root and debootstrap; where either is missing, or the mirror
cannot be reached, it says so and exits with 77. Usage: prove.py [FOLDER]   (build/prove)"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOME = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.path.join(TOP, "build", "prove")
SKIPPED = 77


def skip(why):
    print("skipped: " + why)
    sys.exit(SKIPPED)


def steps_of(path):
    """[(WORD, rest)] with continued lines joined and comments left out."""
    text = "".join(line for line in open(path) if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            word, rest = line.split(None, 1)
            yield word, rest.strip()


def mirror():
    """(address, suite) of this host's Debian."""
    for path in glob.glob("/etc/apt/sources.list.d/*.sources"):
        text = open(path).read()
        found = re.search(r"^URIs: *(\S+)", text, re.M), re.search(r"^Suites: *(\S+)", text, re.M)
        if "debian" in text and all(found):
            return found[0][1], found[1][1]
    for path in ["/etc/apt/sources.list"]:
        found = re.search(r"^deb +(?:\[[^]]*\] +)?(\S+) +(\S+)", open(path).read(), re.M) if os.path.exists(path) else None
        if found:
            return found[1], found[2]
    skip("this host has no Debian mirror")


def base_tree():
    tree = os.path.join(HOME, "base")
    if os.path.exists(os.path.join(tree, "made")):
        return tree
    shutil.rmtree(tree, ignore_errors=True)
    address, suite = mirror()
    with open(os.path.join(HOME, "debootstrap.log"), "w") as log:
        if subprocess.run(["debootstrap", "--variant=minbase", suite, tree, address], stdout=log, stderr=log).returncode:
            skip("debootstrap cannot fetch; see %s" % log.name)
    shutil.copy("/etc/resolv.conf", os.path.join(tree, "etc/resolv.conf"))
    open(os.path.join(tree, "made"), "w").close()
    return tree


def inside(tree, directory, *words, env=None):
    clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", **(env or {})}
    clean.update({k: v for k, v in os.environ.items() if k.lower() in ("http_proxy", "https_proxy", "no_proxy")})
    script = "mount -t proc proc %s/proc 2>/dev/null; exec chroot %s /bin/sh -c 'cd \"$0\" && exec \"$@\"' \"$0\" \"$@\"" % (tree, tree)
    return subprocess.run(["unshare", "--mount", "sh", "-c", script, directory, *words], env=clean)


def copy(source, target):
    if os.path.isdir(source):
        shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(source, target + "/" if target.endswith("/") else target)


class Image:
    def __init__(self, name):
        self.tree, self.directory, self.user = os.path.join(HOME, name), "/", "0:0"
        subprocess.run(["rm", "-rf", "--one-file-system", self.tree], check=True)
        subprocess.run(["cp", "-a", "--reflink=auto", base_tree(), self.tree], check=True)

    def step(self, word, rest, images):
        if word == "WORKDIR":
            self.directory = rest
            os.makedirs(self.tree + rest, exist_ok=True)
        elif word == "COPY":
            words = rest.split()
            origin = images[words.pop(0)[len("--from="):]].tree if rest.startswith("--from=") else TOP
            target = os.path.normpath(self.tree + os.path.join(self.directory, words[-1]))
            for source in words[:-1]:
                many = words[-1].endswith("/")
                copy(os.path.join(origin, source.lstrip("/")), os.path.join(target, os.path.basename(source)) if many else target)
        elif word == "RUN":
            if inside(self.tree, self.directory, "sh", "-c", rest).returncode:
                sys.exit("RUN failed: " + rest[:200])
        elif word == "USER":
            self.user = rest
        elif word not in ("ENTRYPOINT", "CMD", "HEALTHCHECK", "VOLUME"):
            sys.exit("docker/prove.py does not know the step " + word)


def build():
    images, image, program = {}, None, None
    for word, rest in steps_of(os.path.join(TOP, "docker", "Dockerfile")):
        print("%s %s" % (word, rest[:110]), flush=True)
        if word == "FROM":
            name = rest.split(" AS ")[1] if " AS " in rest else "image"
            image = images[name] = Image(name)
            continue
        image.step(word, rest, images)
        if word == "ENTRYPOINT":
            program = json.loads(rest)
    return image, program


def main():
    if os.geteuid() != 0:
        skip("needs root for chroot")
    if not shutil.which("debootstrap"):
        skip("debootstrap is not installed")
    os.makedirs(HOME, exist_ok=True)
    image, program = build()
    user = ["setpriv", "--reuid", image.user.split(":")[0], "--regid", image.user.split(":")[1], "--clear-groups", "--no-new-privs"]
    for words in (["version"], ["rules", "check", "/usr/share/muster/rules/trafficking"]):
        if inside(image.tree, image.directory, *user, *program, *words).returncode:
            sys.exit("the image's program fails: %s" % " ".join(words))
    if inside(image.tree, "/", *user, "sh", "-c", "! touch /usr/x /etc/x 2>/dev/null && touch /var/lib/muster/x && touch /var/lib/muster-keys/x && rm /var/lib/muster*/x").returncode:
        sys.exit("the image's user may write what it should not, or may not write its volumes")
    size = subprocess.run(["du", "-sm", image.tree], capture_output=True, text=True).stdout.split()[0]
    print("proved: every step runs, the program answers as user %s; %s MB" % (image.user, size))


if __name__ == "__main__":
    main()
