"""The peer PostgreSQL: bench/peers/postgres.sql in a private server, one session or two that share the accounts."""
import csv
import os
import shutil
import subprocess
import time

import stream

BATCH = 1000


def server_process(session):
    """What a session says last, when all is done: its server process, which lives until the session ends."""
    for line in session.stdout:
        if line.strip():
            return int(line)
    raise RuntimeError("a session of PostgreSQL ended early")


class Server:
    """A private PostgreSQL in build/peers with the feed loaded; loading is not timed, so decoding JSON costs this peer nothing."""

    def __init__(self, path, name="postgres"):
        self.home = os.path.join(stream.HOME, name)
        self.events = 0
        if not shutil.which("psql"):
            raise stream.Skipped("psql is not installed (package postgresql-client-15)")
        self.sh("stop")
        shutil.rmtree(self.home, ignore_errors=True)
        self.sh("start")
        self.dsn = stream.run("docker/postgres.sh", "dsn", self.home).stdout.strip() + " options='-c synchronous_commit=off -c client_min_messages=warning'"
        self.load(path)

    def sh(self, verb):
        done = subprocess.run(["docker/postgres.sh", verb, self.home], cwd=stream.TOP, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "PG_SHARED_BUFFERS": "512MB"})
        if done.returncode:
            raise stream.Skipped("PostgreSQL does not start: " + done.stderr.strip()[-300:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sh("stop")

    def psql(self, text, dsn=None):
        return stream.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", dsn or self.dsn, input=text).stdout

    def database(self, name):
        """Data source name of a new database."""
        self.psql("create database " + name)
        return self.dsn.replace("dbname=muster", "dbname=" + name)

    def version(self):
        return self.psql("show server_version").split()[0]

    def load(self, path):
        table = os.path.join(self.home, "feed.csv")
        with open(table, "w", newline="") as out:
            for row in stream.read(path):
                csv.writer(out).writerow(["" if value is None else value for value in row])
                self.events += 1
        self.psql("create table feed (seq bigint primary key, id text not null, t bigint not null, sender text, receiver text, amount bigint not null);\n"
                  "\\copy feed from '%s' csv\nanalyze feed;\n" % table)

    def measure(self, sessions):
        """(stream.Times, of the processor the servers' side, hits): every event through take(), BATCH a transaction, in `sessions` at once."""
        rules = open(os.path.join(stream.TOP, "bench", "peers", "postgres.sql")).read()
        for part in range(sessions):
            self.psql("drop schema if exists part_%d cascade; create schema part_%d; set search_path = part_%d;\n%s" % (part, part, part, rules))
        launched = time.monotonic()
        running = [subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.dsn], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True) for _ in range(sessions)]
        for session in running:
            session.stdin.write("select pg_backend_pid();\n")
            session.stdin.flush()
        pids = [server_process(session) for session in running]
        begin, before = time.monotonic(), sum(map(stream.process_s, pids))
        for part, session in enumerate(running):
            session.stdin.write("set search_path = part_%d;\n" % part)
            session.stdin.writelines("select take(%d, %d, %d, %d);\n" % (first, first + BATCH - 1, part, sessions) for first in range(1, self.events + 1, BATCH))
            session.stdin.write("select pg_backend_pid();\n")
            session.stdin.flush()
        for session in running:
            server_process(session)
        seconds, used = time.monotonic() - begin, sum(map(stream.process_s, pids)) - before
        for session in running:
            session.communicate()
        if any(session.returncode for session in running):
            raise RuntimeError("a session of PostgreSQL failed")
        hits = set()
        for part in range(sessions):
            rows = self.psql("copy part_%d.hit to stdout csv" % part).splitlines()
            hits |= {tuple(row) for row in csv.reader(rows)}
        return stream.Times(seconds, used, begin - launched), hits
