"""How fast `muster rules backtest` goes through a stream, against a replay of it in the same run."""
import time

from parts.common import PACK, RATES, lines_of, row, run, stream

TITLE = "Back-tests"
EVENTS, ROUNDS = 200000, 3


def seconds(*words):
    begin = time.monotonic()
    run("build/muster", *words)
    return time.monotonic() - begin


def measure(options):
    path = stream(options.events or EVENTS)
    total, times = lines_of(path), {"replay": [], "backtest": [], "against": []}
    for _ in range(options.rounds or ROUNDS):
        times["replay"].append(seconds("replay", path, "--rules", PACK, "--rates", RATES, "--threads", "2", "--quiet"))
        times["backtest"].append(seconds("rules", "backtest", PACK, "--on", path, "--rates", RATES, "--threads", "2", "--quiet", "--json"))
        times["against"].append(seconds("rules", "backtest", PACK, "--against", PACK, "--on", path, "--rates", RATES, "--threads", "2", "--quiet", "--json"))
    best = {name: total / min(took) for name, took in times.items()}
    rows = [row("replay, 2 threads", best["replay"], "events/s", how="muster replay"),
            row("back-test, 2 threads", best["backtest"], "events/s", how="muster rules backtest"),
            row("back-test against replay", best["backtest"] / best["replay"], "times"),
            row("two rule sets in one pass", best["against"], "events/s", how="muster rules backtest --against")]
    return {"rows": rows, "note": "%d events, the best of %d runs in turn, start and end included." % (total, options.rounds or ROUNDS), "data": best}
