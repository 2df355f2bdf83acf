"""Faults of the brokers themselves: restarts, kills, stops, slowness, absence, and leaders that move."""
import os
import shutil
import signal
import subprocess
import time

from bench import Failure, Skip, wait_for

LEADER_S = 15  # the other brokers believe a dead one for its session of 3 s, then choose; the feeder retries too


def none(world, row):
    """A plain run, so that what the faults are held against is known to be sound."""
    world.feed(4000)
    engine = world.live()
    world.drain(engine)
    row.did("all taken")


def restarted(world, row, kill):
    """Down and up again under load."""
    engine = world.live()
    world.feed_on()
    world.until_moved(0, time.monotonic())
    world.cluster.stop(kill=kill)
    time.sleep(2)
    before = world.sum_of()
    row.hold("the engine waits and says so", engine.poll() is None and world.says(engine, "source_away"))
    world.cluster.start()
    row.resumed(world.until_moved(before, time.monotonic()), 5)
    row.hold("it says when events arrive again", world.says(engine, "source_back"))
    row.did("waited, said so, went on at the stored positions")


def hung(world, row, seconds):
    """The broker's process stands still, then goes on."""
    engine = world.live()
    world.feed_on()
    world.until_moved(0, time.monotonic())
    pid = world.cluster.pids["1"]
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
        before = world.sum_of()
        row.hold("the engine waits", engine.poll() is None)
    finally:
        os.kill(pid, signal.SIGCONT)
    row.resumed(world.until_moved(before, time.monotonic()), 5)
    row.did("waited, went on")


def slow(world, row, seconds):
    """The broker gets a fifth of the time: 0.4 s of every 0.5 s it stands still."""
    engine = world.live()
    world.feed_on()
    world.until_moved(0, time.monotonic())
    pid, before, end = world.cluster.pids["1"], world.sum_of(), time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.4)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.1)
    finally:
        os.kill(pid, signal.SIGCONT)
    taken = world.sum_of() - before
    row.hold("events went on meanwhile", taken > 0 and engine.poll() is None)
    row.did("%d messages were committed meanwhile" % taken)


def unreachable(world, row):
    """No broker when the engine starts."""
    world.feed(300)
    before = world.sum_of()
    world.cluster.stop()
    engine = world.engine()
    wait_for("the engine says that Kafka is away", 20, lambda: world.alive(engine) and world.says(engine, "source_away"))
    time.sleep(2)
    world.alive(engine)
    world.cluster.start()
    row.resumed(world.until_moved(before, time.monotonic()), 5)
    row.did("waited at the start, said so, read once the broker was there")


def database_restarts(world, row):
    """PostgreSQL dies and comes back while no event arrives: nothing but the engine's own chores can notice."""
    engine = world.live()
    world.drain(engine)
    world.postgres("kill")
    wait_for("the engine says that PostgreSQL is away", 20, lambda: world.alive(engine) and world.says(engine, "sink_away"))
    world.postgres("start")
    since = time.monotonic()
    wait_for("the engine says that it is back", 20, lambda: world.alive(engine) and world.says(engine, "sink_back"))
    row.resumed(time.monotonic() - since, 5)
    held = world.query("select holder <> '' and expires_at > clock_timestamp() from muster.lease")
    row.hold("it has its lease", held == [("t",)], held)
    world.feed(200)
    row.did("noticed both by itself, kept its lease")


# --- three brokers ---

def leaders(world):
    """(topic, partition) -> broker, of the engine's topics."""
    client = world.client()
    listed = client.list_topics(timeout=20).topics
    client.close()
    return {(topic, number): info.leader for topic, _ in world.topics + world.facts for number, info in listed[topic].partitions.items()}


def leader_dies(world, row):
    """kill -9 of the broker that leads most; the others choose new leaders."""
    engine = world.live()
    world.feed_on()
    world.until_moved(0, time.monotonic())
    led = leaders(world)
    victim = max(set(led.values()), key=list(led.values()).count)
    its = {place for place, leader in led.items() if leader == victim}
    since = time.monotonic()
    world.cluster.stop([victim], kill=True)
    time.sleep(0.5)  # what was fetched before is committed by then
    before = world.sum_of(its)
    row.resumed(world.until_moved(before, since, partitions=its), LEADER_S)
    row.hold("other brokers lead now", victim not in leaders(world).values())
    world.alive(engine)
    world.cluster.start([victim])
    row.did("followed %d partitions of broker %d to new leaders" % (len(its), victim))


def leader_moves(world, row):
    """Leadership goes back to the preferred brokers while all run."""
    engine = world.live()
    world.feed_on()
    world.until_moved(0, time.monotonic())

    def in_sync():
        client = world.client()
        listed = client.list_topics(timeout=20).topics
        client.close()
        return all(len(info.isrs) == 3 for topic, _ in world.topics + world.facts for info in listed[topic].partitions.values())
    wait_for("all replicas are in sync", 60, in_sync)
    led = leaders(world)
    said = world.cluster.tool("org.apache.kafka.tools.LeaderElectionCommand", "--bootstrap-server", world.cluster.address(),
                              "--election-type", "preferred", "--all-topic-partitions", check=False)
    since = time.monotonic()
    moved = set()
    while not moved:
        moved = {place for place, leader in leaders(world).items() if leader != led[place]}
        if time.monotonic() - since > 20:
            raise Failure("no leader moved from %s: %s" % (led, said[-500:]))
    row.resumed(world.until_moved(world.sum_of(moved), since, partitions=moved), 5)
    row.hold("the engine went on", engine.poll() is None)
    row.did("followed %d partitions" % len(moved))


def rolled(world, row):
    """Each broker in turn is stopped in order and started, as an upgrade does."""
    engine = world.live()
    world.feed_on()
    world.until_moved(0, time.monotonic())
    for number in world.cluster.ports:
        world.cluster.stop([number])
        before, since = world.sum_of(), time.monotonic()
        row.resumed(world.until_moved(before, since), LEADER_S)
        world.cluster.start([number])
        time.sleep(2)
    row.hold("the engine went on", engine.poll() is None)
    row.did("went on with two of three, three times")


# --- the network ---

def nft(*words, text=None):
    done = subprocess.run(["nft", *words], input=text, capture_output=True, text=True)
    if done.returncode:
        raise Skip("nft cannot cut here: %s" % (done.stderr.strip().splitlines() or ["it gives no reason"])[0])
    return done.stdout


class Cut:
    """Loopback packets from and to some ports vanish, by rules in a table of our own."""
    NAME = "muster_cut_"

    def __init__(self, ports):
        self.ports, self.table = ports, self.NAME + str(os.getpid())

    def __enter__(self):
        ports = ", ".join(str(port) for port in self.ports)
        nft("-f", "-", text="table inet %s {\n chain cut {\n  type filter hook input priority 0; policy accept;\n"
            "  iif lo tcp dport { %s } counter drop\n  iif lo tcp sport { %s } counter drop\n }\n}\n" % (self.table, ports, ports))
        return self

    def dropped(self):
        words = nft("list", "table", "inet", self.table).split()
        return sum(int(after) for word, after in zip(words, words[1:]) if word == "packets")

    def __exit__(self, *_):
        nft("delete", "table", "inet", self.table)

    @classmethod
    def clear(cls):
        """Takes away what a test of ours left that was itself killed by kill -9."""
        for line in nft("list", "tables").splitlines():
            name = line.split()[-1]
            if name.startswith(cls.NAME) and not os.path.exists("/proc/" + name[len(cls.NAME):]):
                nft("delete", "table", "inet", name)


def cuts(world, row, ports, lengths_s, words, most_s):
    """Cut after cut of these connections of the engine; the feeder's own stay."""
    if not shutil.which("nft"):
        raise Skip("nft is not installed (package nftables)")
    Cut.clear()
    engine = world.live(*words)
    world.feed_on()
    world.until_moved(0, time.monotonic())
    for length_s in lengths_s:
        with Cut(ports) as cut:
            time.sleep(length_s)
            moment, dropped = world.watch(world.sum_of()), cut.dropped()
        healed = time.time()
        row.hold("the cut hit something", dropped > 0)
        row.resumed(max(0, moment() - healed), most_s)
        time.sleep(0.5)
        world.alive(engine)
    row.did("%d cuts of %s s; waited and went on" % (len(lengths_s), ", ".join("%.1f" % s for s in lengths_s)))
