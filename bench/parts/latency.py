"""From the moment at which a payment was to be sent until its alert can be read in PostgreSQL, at fixed rates (bench/main/latency.c)."""
import json
import os
import re
import shutil

from parts import picture
from parts.common import HOME, PACK, PROGRAMS, RATES, RESULTS, TOP, Unavailable, quantile, row, run, stream
from parts.kafka import BROKERS, World

TITLE = "Latency: from produce to a visible alert"
MARKER = os.path.join("bench", "rules", "marker", "marker.rules")
TOPIC = [("payments.bank-1", "bank-1", 32)]
# payments a second, one alert in so many payments, seconds
RATES_PER_S = ((1000, 10, 25), (10000, 50, 25), (50000, 250, 12))
SETTLE_S, WAIT_S = 5, 90
QUANTILES = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))


def rules():
    """The whole pack and one rule that raises an alert for each marked payment."""
    folder = os.path.join(HOME, "pack-with-marker")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(TOP, PACK), folder)
    shutil.copy(os.path.join(TOP, MARKER), folder)
    return folder


def marked(rate, every, count):
    """The generated stream, where every so manieth payment is a marked one, at the time of the one before."""
    path = os.path.join(HOME, "marked-%d.ndjson" % rate)
    time, turn = None, 0
    with open(stream(count, sources=1), encoding="utf-8") as lines, open(path, "w", encoding="utf-8") as out:
        for number, line in enumerate(lines, 1):
            if number > count:
                break
            if number % every:
                time = re.search(r'"time":"([^"]+)"', line).group(1)
                out.write(line)
                continue
            out.write(json.dumps({"id": "m%d" % turn, "source": "bank-1", "time": time, "channel": "MOBILE", "amount": "12.00", "currency": "USD",
                                  "purpose": "BMRK", "sender": {"account": "KE-B%07d" % turn}, "receiver": {"account": "KE-MARK-%07d" % turn}}) + "\n")
            turn += 1
    return path


def at_rate(broker, folder, rate, every, seconds):
    """What bench/main/latency says, its engine and servers fresh."""
    path = marked(rate, every, rate * seconds)
    with World("latency", broker, rules=folder, topics=TOPIC, kafka_fetch_wait_ms=1) as world:
        engine = world.engine()
        world.live(engine)
        words = [world.broker.address, TOPIC[0][0], world.database.address, path, str(rate), str(every), "KE-MARK-", str(SETTLE_S), str(WAIT_S)]
        found = json.loads(run(os.path.join(PROGRAMS, "latency"), *words).stdout)
        world.end(engine)
        log = world.path("log")
        found["log_bytes"] = sum(os.path.getsize(os.path.join(log, name)) for name in os.listdir(log)) / (rate * seconds)
    if not found["ms"]:
        raise Unavailable("no alert was seen at %d payments a second" % rate)
    return found


def remarks(name, found):
    """What a reader of one rate's figures must know."""
    if found["unseen"]:
        yield "%s: the engine fell behind: %d alerts were not there %d s after the last payment, and are in no figure." % (name, found["unseen"], WAIT_S)
    elif found["most"] > 2000:
        yield "%s: the engine fell behind; the latencies are those of a growing queue." % name
    yield "%s: the sender itself was at most %.1f ms late, which counts." % (name, found["sent_late_ms"])


def over(broker, folder):
    """Rows, figures by rate and remarks of one broker."""
    rows, data, notes = [], {}, []
    for rate, every, seconds in RATES_PER_S:
        name = "{:,}/s, {}".format(rate, BROKERS[broker])
        try:
            found = at_rate(broker, folder, rate, every, seconds)
        except Unavailable as why:
            notes.append("%s: skipped: %s." % (name, why))
            continue
        data[rate] = {**{label: quantile(found["ms"], q) for label, q in QUANTILES}, "most": found["ms"][-1], "alerts": found["alerts"],
                      "unseen": found["unseen"], "sent_late_ms": found["sent_late_ms"], "log_bytes": found["log_bytes"]}
        aim = ("at most 25", 25) if rate == 10000 else ("", None)
        for label, _ in QUANTILES:
            rows.append(row("%s: %s" % (name, label), data[rate][label], "ms", *((aim[0], None, aim[1]) if label == "p99" else ()), how="bench/main/latency"))
        rows.append(row("%s: alerts timed, in %d s" % (name, seconds - SETTLE_S), found["alerts"], "alerts"))
        rows.append(row("%s: the log on the disk" % name, found["log_bytes"], "bytes/event", how="muster run"))
        notes += remarks(name, data[rate])
    return rows, data, notes


def measure(options):
    folder, rows, data, notes, curves = rules(), [], {}, [], []
    for broker in BROKERS:
        more, found, said = over(broker, folder)
        rows, data[broker], notes = rows + more, found, notes + said
        shown = QUANTILES if broker == "mock" else [(label, q) for label, q in QUANTILES if label == "p99"]
        curves += [("%s %s" % (label, {"mock": "mock", "real": "Kafka"}[broker]), [(rate, figures[label]) for rate, figures in found.items()]) for label, _ in shown if found]
    if len(data["mock"]) > 1:
        picture.lines(os.path.join(RESULTS, "latency.svg"), "from produce to a visible alert", curves, "payments per second", "ms", (25, "25 ms"))
    note = ("Open loop: payment i is due at begin + i / rate, and latency counts from then, whatever was late; payments go out as `muster feed` sends them, "
            "what 5 ms bring together in one request, and these 5 ms count. Whole pack and one rule that marks one payment in "
            "%s; 32 partitions (where Kafka answers a fetch as soon as there is something, the mock waits kafka_fetch_wait_ms out: 1 here), engine with 2 threads, PostgreSQL with fsync and four producers of one sender on one machine. An alert counts as visible when "
            "PostgreSQL's notification, sent as the transaction becomes visible, is read: no polling interval. The trigger that notifies is the only thing added." %
            ", ".join(str(every) for _, every, _ in RATES_PER_S))
    return {"rows": rows, "note": " ".join([note] + notes), "data": data, "servers": True,
            "pictures": {"latency.svg": "latency against payments per second"} if len(data["mock"]) > 1 else {}}
