"""Checkpoints and restarts: the pause, the load, and the time from a kill -9 until the engine is live again."""
import os
import re
import shutil
import time

from parts import scale
from parts.common import HOME, PACK, Unavailable, lines_of, row, run, stream
from parts.kafka import World

TITLE = "Checkpoints and restart"
EVENTS = 120000  # the mock broker keeps 5 MiB per partition
HELD = 10000000


def killed(events, rows, data):
    """A live engine is killed with a checkpoint behind it, and started again."""
    path, pauses = stream(events), []
    total = lines_of(path)
    with World("restart", checkpoint_every_s=2) as world:
        run("build/muster", "feed", "--config", world.settings, "--quiet", path)
        engine, begin = world.engine(), time.monotonic()
        world.live(engine)
        while world.positions() < total or world.metric("muster_checkpoints_total") < 1:
            pauses.append(world.metric("muster_checkpoint_pause_nanoseconds") / 1e6)
            if engine.poll() is not None or time.monotonic() > begin + 240:
                raise Unavailable("the engine did not come to a checkpoint: see %s" % engine.log)
            time.sleep(0.1)
        pauses.append(world.metric("muster_checkpoint_pause_nanoseconds") / 1e6)
        engine.kill()
        engine.wait()
        time.sleep(2)  # the lease of the dead engine runs out: it is no part of recovery
        begin = time.monotonic()
        second = world.engine()
        world.live(second)
        seconds, again = time.monotonic() - begin, world.metric("muster_recovered_events")
        world.end(second)
        log = run("build/muster", "replay", "--config", world.settings, "--log", world.path("log"), "--threads", "2")
    rate = float(re.search(r"([\d]+)/s", log.stdout + log.stderr).group(1))
    data.update({"pause_ms": max(pauses), "restart_s": seconds, "again": again, "log_rate": rate})
    rows.append(row("whole pack, %d events: longest pause of a checkpoint seen" % total, max(pauses), "ms", "at most 50", most=50, how="muster run, checkpoint_every_s: 2"))
    rows.append(row("from start to live after kill -9", seconds, "s", "at most 20", most=20, how="muster run"))
    rows.append(row("events worked again of these", again, "events", how="muster_recovered_events"))
    rows.append(row("the log alone, 2 threads, no checkpoint", rate, "events/s", how="muster replay --log"))
    rows.append(row("10 million events from the log at that rate", HELD / rate, "s", "at most 20", most=20))


def held(rules, events, rows, data):
    """The state of so many events to disk and back."""
    folder = os.path.join(HOME, "checkpoints")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    try:
        found = scale.once(rules, accounts=events // 20, events=events, timed=1000, checkpoint=folder)
        size = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    name = "%s, state of %s events" % (scale.name_of(rules), "{:,}".format(events))
    data[name] = {**found, "file_bytes": size}
    rows.append(row("%s: in memory" % name, found["resident"] / 2**20, "MiB", how="scale %s --events %d --checkpoint DIR" % (rules, events)))
    rows.append(row("%s: pause" % name, found["pause_ms"], "ms", "at most 50", most=50))
    rows.append(row("%s: writing beside the work" % name, found["write_s"], "s"))
    rows.append(row("%s: file" % name, size / 2**20, "MiB"))
    rows.append(row("%s: loading" % name, found["load_s"], "s", "at most 20", most=20))


def measure(options):
    rows, data, notes = [], {}, ["mock broker, loopback; 2 threads."]
    for part, words in ((killed, (options.events or EVENTS,)), (held, (PACK, 1000000)), (held, (scale.EDGES, HELD))):
        try:
            part(*words, rows, data)
        except Unavailable as why:
            notes.append("Skipped: %s." % why)
    return {"rows": rows, "note": " ".join(notes), "data": data, "servers": True}
