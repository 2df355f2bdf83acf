#!/usr/bin/env python3
"""A real Apache Kafka without containers, for tests: fetched by Maven, run on 127.0.0.1 in a folder.

  kafka.py fetch [--version 3|4]          brings the broker to build/kafka/VERSION/libs (once)
  kafka.py start DIR [--brokers N] [--secure] [--version 3|4] [--set NAME=VALUE]…
  kafka.py stop DIR                       SIGTERM to the brokers of DIR, and waits
  kafka.py topic DIR NAME [PARTITIONS]    makes a topic
  kafka.py address DIR [PLAINTEXT|SSL|SASL_SSL]

Every broker is its own KRaft controller too, so one of three may die. `--secure` adds listeners for
mutual TLS and for SASL over TLS and has StandardAuthorizer refuse what no ACL allows; PLAINTEXT stays,
for the brokers among themselves and for the test, which is a super user there. DIR/pki then holds the
authority (ca.pem) and NAME.pem, NAME.key for every name that `certificate` was asked for.

Exit code 3: Java or Maven is missing or cannot fetch; the reason is on standard error. Nothing here is
meant for production: one host, small buffers, passwords in the clear under DIR."""
import argparse
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
POM = os.path.join(TOP, "docker", "kafka.pom.xml")
SUMS = os.path.join(TOP, "docker", "kafka.sha256")
READY_S = 90
LISTENERS = ("PLAINTEXT", "SSL", "SASL_SSL", "CONTROLLER")
USERS = {"sasl-bank": "sasl-bank-secret", "engine": "engine-secret"}  # of SASL_SSL, in tests only


class Unavailable(Exception):
    """There is no broker to be had here; the text says why."""


# --- fetching ---

def libs(version):
    return os.path.join(TOP, "build", "kafka", str(version), "libs")


def pinned(version):
    """File name -> checksum of what the fetch of this version must give."""
    rows = [line.split() for line in open(SUMS) if line.strip()] if os.path.exists(SUMS) else []
    return {name.split("/", 1)[1]: total for total, name in rows if name.startswith("%s/" % version)}


def sums(folder):
    return {name: hashlib.sha256(open(os.path.join(folder, name), "rb").read()).hexdigest() for name in sorted(os.listdir(folder))}


def fetch(version=3):
    folder, mark = libs(version), libs(version) + ".whole"
    whole = os.path.exists(mark)
    for program, package in (("java", "openjdk-17-jre-headless"),) + (() if whole else (("mvn", "maven"),)):
        if not shutil.which(program):
            raise Unavailable("%s is not installed (package %s)" % (program, package))
    if whole:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    words = ["mvn", "-q", "-B", "-f", POM, "-P", "kafka-%s" % version, "dependency:copy-dependencies",
             "-DincludeScope=runtime", "-DoutputDirectory=" + folder]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        raise Unavailable("Maven did not fetch Kafka within 600 s")
    if done.returncode:
        first = [line for line in done.stdout.splitlines() if "ERROR" in line][:1]
        raise Unavailable("Maven cannot fetch Kafka: %s" % (first[0][:300] if first else "exit code %d" % done.returncode))
    wrong = {name for name, total in sums(folder).items() if pinned(version).get(name) != total}
    if wrong or set(pinned(version)) - set(os.listdir(folder)):
        raise Unavailable("what Maven fetched is not what docker/kafka.sha256 names: %s" %
                          ", ".join(sorted(wrong | (set(pinned(version)) - set(os.listdir(folder)))))[:300])
    open(mark, "w").close()
    return folder


# --- a cluster ---

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def openssl(*words, **more):
    subprocess.run(("openssl",) + words, check=True, capture_output=True, **more)


class Cluster:
    """Brokers in a folder. What is started is remembered there, so another process may stop it."""

    def __init__(self, folder, brokers=1, secure=False, version=3, settings=None):
        self.folder = os.path.abspath(folder)
        self.file = os.path.join(self.folder, "cluster.json")
        if os.path.exists(self.file):
            self.__dict__.update(json.load(open(self.file)))
            return
        names = LISTENERS if secure else ("PLAINTEXT", "CONTROLLER")
        self.brokers, self.secure, self.version, self.settings = brokers, secure, version, dict(settings or {})
        self.ports = {str(n): {name: free_port() for name in names} for n in range(1, brokers + 1)}
        self.pids, self.id = {}, None
        os.makedirs(self.folder)
        if secure:
            self.certificate("broker")
        self.save()

    def save(self):
        with open(self.file + ".tmp", "w") as out:
            json.dump({k: v for k, v in self.__dict__.items() if k not in ("folder", "file", "children")}, out, indent=1)
        os.rename(self.file + ".tmp", self.file)

    def address(self, listener="PLAINTEXT"):
        return ",".join("127.0.0.1:%d" % ports[listener] for ports in self.ports.values())

    # --- certificates ---

    def pki(self, name):
        return os.path.join(self.folder, "pki", name)

    def certificate(self, name, password=None):
        """(certificate, key) in PEM for CN=name, signed by the cluster's own authority."""
        os.makedirs(self.pki(""), exist_ok=True)
        ca, ca_key = self.pki("ca.pem"), self.pki("ca.key")
        if not os.path.exists(ca):
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=test authority", "-keyout", ca_key,
                    "-out", ca)
        key, request, cert, extra = (self.pki(name + end) for end in (".key", ".csr", ".pem", ".ext"))
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=%s" % name, "-keyout", key, "-out", request)
        with open(extra, "w") as out:
            out.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "30", "-extfile", extra,
                "-out", cert)
        if password:
            openssl("pkcs8", "-topk8", "-v2", "aes256", "-in", key, "-out", key + ".sealed", "-passout", "pass:" + password)
            os.rename(key + ".sealed", key)
        os.chmod(key, 0o600)
        return cert, key

    # --- one broker's files ---

    def properties(self, number):
        ports, replicas = self.ports[number], min(self.brokers, 3)
        names = [name for name in LISTENERS if name in ports]
        rows = {
            "process.roles": "broker,controller", "node.id": number,
            "controller.quorum.voters": ",".join("%s@127.0.0.1:%d" % (n, p["CONTROLLER"]) for n, p in self.ports.items()),
            "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join("%s://127.0.0.1:%d" % (name, ports[name]) for name in names),
            "advertised.listeners": ",".join("%s://127.0.0.1:%d" % (name, ports[name]) for name in names if name != "CONTROLLER"),
            "listener.security.protocol.map": ",".join("%s:%s" % (n, "PLAINTEXT" if n == "CONTROLLER" else n) for n in names),
            "log.dirs": os.path.join(self.folder, number, "data"),
            "offsets.topic.replication.factor": replicas, "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": replicas, "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1, "default.replication.factor": replicas,
            # what one broker alone took may be lost with it: of three, two must have it before a feeder is told
            "min.insync.replicas": min(2, replicas),
            "log.cleaner.dedupe.buffer.size": 4194304, "num.network.threads": 2, "num.io.threads": 2,
            "group.initial.rebalance.delay.ms": 0, "auto.create.topics.enable": "false",
            "log.retention.check.interval.ms": 500, "log.initial.task.delay.ms": 500, "log.segment.delete.delay.ms": 100,
            # one killed and started again must wait until its old registration has run out
            "broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500,
        }
        if self.secure:
            rows.update(self.security())
        rows.update(self.settings)
        return "".join("%s=%s\n" % row for row in rows.items())

    def security(self):
        users = " ".join('user_%s="%s"' % row for row in USERS.items())
        with open(self.pki("broker.store"), "w") as out:
            out.write(open(self.pki("broker.key")).read() + open(self.pki("broker.pem")).read())
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS", "allow.everyone.if.no.acl.found": "false",
            "ssl.keystore.type": "PEM", "ssl.keystore.location": self.pki("broker.store"),
            "ssl.truststore.type": "PEM", "ssl.truststore.location": self.pki("ca.pem"),
            "listener.name.ssl.ssl.client.auth": "required", "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config":
                "org.apache.kafka.common.security.plain.PlainLoginModule required %s;" % users,
        }

    LOGGING = {
        3: ("log4j.properties", "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n\n",
            "-Dlog4j.configuration=file:"),
        4: ("log4j2.properties", "appender.out.type=Console\nappender.out.name=out\nappender.out.layout.type=PatternLayout\n"
            "appender.out.layout.pattern=%d %p %m (%c)%n\nrootLogger.level=WARN\nrootLogger.appenderRef.out.ref=out\n",
            "-Dlog4j2.configurationFile="),
    }

    def java(self, *words):
        name, text, option = self.LOGGING[self.version]
        logging = os.path.join(self.folder, name)
        if not os.path.exists(logging):
            with open(logging, "w") as out:
                out.write(text)
        return ["java", "-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", option + logging,
                "-cp", os.path.join(fetch(self.version), "*")] + list(words)

    def tool(self, *words, check=True):
        """Runs one of Kafka's own Java programs (about 2 s each)."""
        done = subprocess.run(self.java(*words), capture_output=True, text=True, timeout=120)
        if check and done.returncode:
            raise RuntimeError("%s: %s" % (" ".join(words), (done.stdout + done.stderr)[-800:]))
        return done.stdout

    def topic(self, name, partitions, **config):
        words = [word for key, value in config.items() for word in ("--config", "%s=%s" % (key.replace("_", "."), value))]
        self.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.address(), "--create", "--topic", name,
                  "--partitions", str(partitions), "--replication-factor", str(min(self.brokers, 3)), *words)

    # --- starting and stopping ---

    def format(self, number):
        path = os.path.join(self.folder, number, "server.properties")
        fresh = not os.path.exists(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(self.properties(number))
        if fresh:
            self.id = self.id or self.tool("kafka.tools.StorageTool", "random-uuid").split()[-1]
            self.tool("kafka.tools.StorageTool", "format", "-t", self.id, "-c", path)
        return path

    def launch(self, number):
        """Starts one broker without waiting for it."""
        number = str(number)
        path = self.format(number)
        with open(os.path.join(self.folder, number, "out.log"), "a") as out:
            process = subprocess.Popen(self.java("kafka.Kafka", path), stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                       cwd=self.folder, start_new_session=True)
        self.__dict__.setdefault("children", {})[number] = process
        self.pids[number] = process.pid
        self.save()

    def alive(self, number):
        child = self.__dict__.get("children", {}).get(str(number))
        if child:
            return child.poll() is None
        pid = self.pids.get(str(number))
        try:
            return bool(pid) and b"kafka.Kafka" in open("/proc/%d/cmdline" % pid, "rb").read()
        except OSError:
            return False

    def answers(self, number):
        """Does the broker answer an ApiVersions request? Its port takes connections long before that."""
        request = struct.pack(">hhih", 18, 0, 1, -1)
        try:
            with socket.create_connection(("127.0.0.1", self.ports[str(number)]["PLAINTEXT"]), timeout=2) as line:
                line.sendall(struct.pack(">i", len(request)) + request)
                return len(line.recv(8)) == 8
        except OSError:
            return False

    def wait(self, numbers=None):
        end = time.monotonic() + READY_S
        for number in numbers or list(self.ports):
            while not self.answers(number):
                if not self.alive(number) or time.monotonic() > end:
                    text = open(os.path.join(self.folder, str(number), "out.log")).read()
                    raise RuntimeError("broker %s does not come up: %s" % (number, text[-1500:]))
                time.sleep(0.1)
        return self

    def start(self, numbers=None):
        for number in numbers or list(self.ports):
            if not self.alive(number):
                self.launch(number)
        return self.wait(numbers)

    def stop(self, numbers=None, kill=False):
        """SIGTERM (or SIGKILL) to these brokers; false when one had to be killed after 20 s."""
        numbers = [str(n) for n in numbers or list(self.ports)]
        running = [n for n in numbers if self.alive(n)]
        for number in running:
            os.kill(self.pids[number], signal.SIGKILL if kill else signal.SIGTERM)
        clean, end = True, time.monotonic() + 20
        for number in running:
            while self.alive(number) and time.monotonic() < end:
                time.sleep(0.05)
            if self.alive(number):
                clean = False
                os.kill(self.pids[number], signal.SIGKILL)
            child = self.__dict__.get("children", {}).get(number)
            if child:
                child.wait()
        return clean


def make_topic(cluster, name="", partitions="1", *_):
    if not name or not partitions.isdigit():
        sys.exit("name the topic, and how many partitions it shall have")
    try:
        cluster.topic(name, int(partitions))
    except RuntimeError as why:
        sys.exit(next((line for line in str(why).splitlines() if line.startswith("Error")), str(why)))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("verb", choices=("fetch", "start", "stop", "topic", "address", "sums"))
    options.add_argument("folder", nargs="?")
    options.add_argument("words", nargs="*")
    options.add_argument("--brokers", type=int, default=1)
    options.add_argument("--secure", action="store_true")
    options.add_argument("--version", type=int, default=3, choices=(3, 4))
    options.add_argument("--set", action="append", default=[])
    options = options.parse_args()
    try:
        if options.verb == "sums":  # for whoever raises a version: the lines of docker/kafka.sha256
            print("\n".join("%s %s/%s" % (total, options.version, name) for name, total in sums(libs(options.version)).items()))
        elif options.verb == "fetch":
            print(fetch(options.version))
        elif not options.folder:
            sys.exit("name the folder")
        elif options.verb == "start":
            settings = dict(pair.split("=", 1) for pair in options.set)
            print(Cluster(options.folder, options.brokers, options.secure, options.version, settings).start().address())
        elif not os.path.exists(os.path.join(options.folder, "cluster.json")):
            sys.exit("%s holds no cluster: none was started there" % options.folder)
        elif options.verb == "stop":
            Cluster(options.folder).stop()
        elif options.verb == "topic":
            make_topic(Cluster(options.folder), *options.words)
        else:
            print(Cluster(options.folder).address(*options.words[:1]))
    except Unavailable as why:
        print("no Kafka: %s" % why, file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
