"""The peer Kafka Streams: bench/peers/streams against the Apache Kafka of docker/kafka.py, and Muster on the same topic."""
import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import stream

sys.path.insert(0, os.path.join(stream.TOP, "docker"))
import kafka  # noqa: E402  docker/kafka.py

PROJECT = os.path.join(stream.TOP, "bench", "peers", "streams")
TOPIC = "payments.bank-1"
GUARANTEES = ("at_least_once", "exactly_once_v2")
# So many times the events of the other parts: of 300,000 the virtual machine is still compiling the job at the half. Measured, at least
# once: 84,000 events a second of 300,000 and 100,000 of a million with one thread, 76,000 and 118,000 with two.
LONGER = 3


def build():
    """Classpath of the job, fetched by Maven and compiled."""
    libs, classes = os.path.join(stream.HOME, "libs"), os.path.join(stream.HOME, "classes")
    for program, package in (("mvn", "maven"), ("javac", "openjdk-17-jdk-headless")):
        if not shutil.which(program):
            raise stream.Skipped("%s is not installed (package %s)" % (program, package))
    if not glob.glob(os.path.join(libs, "kafka-streams-*.jar")):
        words = ["mvn", "-q", "-B", "-f", os.path.join(PROJECT, "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=" + libs]
        done = subprocess.run(words, capture_output=True, text=True, timeout=600)
        if done.returncode:
            first = [line for line in done.stdout.splitlines() if "ERROR" in line][:1]
            raise stream.Skipped("Maven cannot fetch Kafka Streams: %s" % (first[0][:300] if first else "exit code %d" % done.returncode))
    os.makedirs(classes, exist_ok=True)
    sources = glob.glob(os.path.join(PROJECT, "src", "main", "java", "muster", "peers", "*.java"))
    subprocess.run(["javac", "-Xlint:all", "-Werror", "--release", "17", "-cp", os.path.join(libs, "*"), "-d", classes, *sources], check=True)
    return os.path.join(libs, "*") + ":" + classes


class Broker:
    """One Apache Kafka with the stream in one partition, so that the order is the file's; and a PostgreSQL for Muster's alerts."""

    def __init__(self, path):
        self.classpath = build()
        self.home = os.path.join(stream.HOME, "broker")
        shutil.rmtree(self.home, ignore_errors=True)
        try:
            kafka.fetch(3)
        except kafka.Unavailable as why:
            raise stream.Skipped(str(why))
        self.cluster = kafka.Cluster(self.home, settings={"message.max.bytes": 10000000}).start()
        self.runs, self.events, self.legs = 0, 0, 0
        try:
            self.cluster.topic(TOPIC, 1)
            stream.run("build/muster", "feed", "--brokers", self.cluster.address(), "--topic", TOPIC, "--quiet", path)
            for _, _, _, sender, receiver, _ in stream.read(path):
                self.events += 1
                self.legs += (sender is not None) + (receiver is not None) - (sender is not None and sender == receiver)
        except BaseException:
            self.cluster.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cluster.stop()

    def version(self):
        return os.path.basename(glob.glob(os.path.join(stream.HOME, "libs", "kafka-streams-*.jar"))[0])[len("kafka-streams-"):-len(".jar")]

    def measure(self, threads, guarantee):
        """(stream.Times of the job for all events, hits). Timed from half judged to fifteen sixteenths and scaled to the
        whole, so that neither start nor warming up nor the wait for the last few counts against the job."""
        self.runs += 1
        name = "job-%d" % self.runs
        self.cluster.topic(name + "-hits", 1)
        state, hits = os.path.join(self.home, name), os.path.join(self.home, name + ".csv")
        words = ["java", "-Xms1g", "-Xmx1g", "-XX:+UseParallelGC", "-cp", self.classpath, "muster.peers.Job", self.cluster.address(), name, str(threads), guarantee, TOPIC,
                 str(self.legs), state, hits]
        done = subprocess.run(words, capture_output=True, text=True, timeout=420)
        if done.returncode:
            raise RuntimeError("the job failed: " + done.stderr[-800:])
        seconds, used, timed, start = (float(word) for word in done.stdout.split()[-4:])
        whole = self.legs / timed
        return stream.Times(seconds * whole, used * whole, start), {tuple(line.rstrip("\n").split(",")) for line in open(hits)}


class Engine:
    """`muster run` over the broker's topic into a fresh database."""

    def __init__(self, broker, server):
        self.broker, self.server = broker, server  # server: a postgres.Server
        self.runs = 0

    def settings(self, threads):
        """(path of the settings, data source name, address of the metrics) for one run"""
        self.runs += 1
        home = os.path.join(self.broker.home, "engine-%d" % self.runs)
        os.makedirs(home)
        path, dsn = os.path.join(home, "muster.yaml"), self.server.database("engine_%d" % self.runs)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with open(path, "w") as out:
            out.write("kafka_brokers: \"%s\"\nkafka_topics:\n  %s: bank-1\npostgres_dsn: \"%s\"\n" % (self.broker.cluster.address(), TOPIC, dsn))
            out.write("rules_dir: %s\nthreads: %d\nhttp_port: %d\n" % (stream.RULES, threads, port))
            for name in ("state_dir", "log_dir", "log_key_dir", "master_key_file"):
                out.write("%s: %s\n" % (name, os.path.join(home, name)))
        stream.run("build/muster", "db", "migrate", "--config", path)
        return path, dsn, "http://127.0.0.1:%d/metrics" % port

    def measure(self, threads):
        """(stream.Times for all events, hits); timed from half judged to fifteen sixteenths and scaled, as the job is.
        What was judged is committed before the hits are read, by the drain that a stop is."""
        settings, dsn, address = self.settings(threads)
        begin = time.monotonic()
        with open(settings + ".log", "w") as log:
            engine = subprocess.Popen(["build/muster", "run", "--config", settings], cwd=stream.TOP, stderr=log)
        try:
            start = self.follow(engine, address, 1)[0] - begin
            first = self.follow(engine, address, self.broker.events / 2)
            last = self.follow(engine, address, self.broker.events * 15 / 16)
            self.follow(engine, address, self.broker.events)
        except TimeoutError as why:
            raise RuntimeError("%s: %s" % (why, open(settings + ".log").read()[-800:]))
        finally:
            engine.terminate()
            engine.wait()
        whole = self.broker.events / (last[2] - first[2])
        rows = self.server.psql("select rule_id, event_id, hit_key from muster.hit", dsn=dsn).splitlines()
        return stream.Times((last[0] - first[0]) * whole, (last[1] - first[1]) * whole, start), {tuple(row.split("|")) for row in rows}

    @staticmethod
    def follow(engine, address, least):
        """(moment, processor seconds, events scored) when the metrics say that so many are"""
        end = time.monotonic() + 200
        while engine.poll() is None and time.monotonic() < end:
            try:
                text = urllib.request.urlopen(address, timeout=5).read().decode()
            except OSError:
                text = ""
            found = re.search(r'^muster_events_total\{outcome="scored"\} ([\d.e+]+)$', text, re.M)
            if found and float(found.group(1)) >= least:
                return time.monotonic(), stream.process_s(engine.pid), float(found.group(1))
            time.sleep(0.005)
        raise TimeoutError("muster run did not get through")
