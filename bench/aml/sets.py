"""Reads the published sets into attempts and a background, amounts as US cents, and strips what would give the answer away.

`folder` holds hi_small_patterns_dev.csv (AMLworld HI-Small, every second attempt), amlsim_fanin.csv.gz and amlgentex_dev.csv.gz, as
tests/data/aml/README.md describes them."""
import collections
import csv
import datetime
import gzip
import json
import os
import random
import subprocess
from decimal import ROUND_HALF_EVEN, Decimal

from model import DAY

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MINUTE = 60_000
BEGIN_MS = 1_661_990_400_000  # 2022-09-01, a Thursday: where all streams begin
# Units of US Dollar, one rate for all days: the set has none of its own. Yen have two decimals there, so all is made cents of a dollar.
RATES = {"US Dollar": "1", "Euro": "1.172", "Yuan": "0.1493", "Yen": "0.00949", "Rupee": "0.0136", "Ruble": "0.01286", "UK Pound": "1.2917",
         "Swiss Franc": "1.093", "Canadian Dollar": "0.7579", "Australian Dollar": "0.7078", "Mexican Peso": "0.0473", "Shekel": "0.2961",
         "Saudi Riyal": "0.2666", "Brazil Real": "0.1772"}
GENTEX = {1: "FAN-OUT", 2: "FAN-IN", 3: "CYCLE", 4: "BIPARTITE", 5: "STACK", 7: "SCATTER-GATHER", 8: "GATHER-SCATTER"}

# name; attempts: [(typology, [(time_ms, payer, payee, cents)])] in time order; background: [(time_ms, payer, payee, cents, event)],
# where event is None or the whole line; rules: those that the set has something for
Set = collections.namedtuple("Set", "name attempts background rules about")


def cents(text, rate="1"):
    return int((Decimal(text) * Decimal(rate) * 100).quantize(Decimal(1), ROUND_HALF_EVEN))


def amlworld_attempts(path):
    grouped = {}
    for row in csv.DictReader(open(path, newline="")):
        time = datetime.datetime.strptime(row["time"], "%Y/%m/%d %H:%M").replace(tzinfo=datetime.timezone.utc)
        grouped.setdefault(row["attempt"], (row["typology"], []))[1].append(
            (int(time.timestamp()) * 1000, row["from_account"], row["to_account"], max(1, cents(row["amount_paid"], RATES[row["currency_paid"]]))))
    return [(typology, sorted(rows, key=lambda row: row[0])) for typology, rows in grouped.values()]


def generated(home, events, accounts, days, seed):
    """The generator's ordinary payments and innocent look-alikes; what touches an account of its planted schemes is left out."""
    stream, labels = (os.path.join(home, name) for name in ("background.ndjson", "background.csv"))
    subprocess.run(["build/muster", "gen", "--events", str(events), "--accounts", str(accounts), "--days", str(days), "--seed", str(seed), "--start",
                    "2022-09-01T00:00:00Z", "--out", stream, "--labels", labels], cwd=TOP, check=True, capture_output=True)
    planted = {row["account"] for row in csv.DictReader(open(labels)) if row["scheme"] != "innocent"}
    rows, seen = [], set()
    for line in open(stream):
        event = json.loads(line)
        ends = [event[side].get("account") for side in ("sender", "receiver")]
        if event["id"] not in seen and not planted & set(ends):
            seen.add(event["id"])
            time = datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
            rows.append((round(time.timestamp() * 1000), *ends, cents(event["amount"]), event))
    return rows


def amlworld(folder, home, events, seed):
    attempts = amlworld_attempts(os.path.join(folder, "hi_small_patterns_dev.csv"))
    accounts = max(2000, events // 17)  # as many payments per account and day as in HI-Small
    background = generated(home, events, accounts, 18, seed)
    # the attempts' accounts lead ordinary lives besides
    ordinary = sorted({end for row in background for end in row[1:3] if end and end.startswith("KE-A")})
    mine = sorted({end for _, rows in attempts for row in rows for end in row[1:3]})
    lives = dict(zip(mine, random.Random(seed).sample(ordinary, len(mine))))
    attempts = [(typology, [(row[0], lives[row[1]], lives[row[2]], row[3]) for row in rows]) for typology, rows in attempts]
    rules = ["FAN-IN", "FAN-OUT", "CYCLE", "CYCLE-ANY", "CHAIN", "TWO-LEGS", "PASS", "PASS-3", "GATHER", "SCATTER", "SCATTER-ANY", "HOPS"]
    return Set("AMLworld HI-Small", attempts, background, rules, "every second published attempt, inside ordinary payments of our own generator")


def amlsim(folder):
    """Steps are days, a minute between the rows of one. Small transfers between flagged accounts are the attempts: only labels read that."""
    with gzip.open(os.path.join(folder, "amlsim_fanin_labels.csv.gz"), "rt") as text:
        flagged = {row["nodeid"] for row in csv.DictReader(text) if row["isFraud"] == "1"}
    grouped, background, minute, step = collections.defaultdict(list), [], 0, None
    with gzip.open(os.path.join(folder, "amlsim_fanin.csv.gz"), "rt") as text:
        for row in csv.DictReader(text):
            minute, step = (minute + 1 if row["time"] == step else 0), row["time"]
            one = (BEGIN_MS + int(step) * DAY + minute * MINUTE, row["sourceNodeId"], row["targetNodeId"], cents(row["value"]))
            if one[3] < 10_000 and {one[1], one[2]} <= flagged:
                grouped[one[2]].append(one)
            else:
                background.append((*one, None))
    return Set("AMLSim", [("FAN-IN", rows) for _, rows in sorted(grouped.items())], background, ["FAN-IN", "FAN-IN-SLOW"],
               "20,000 accounts, 149 days; planned fan-ins only")


def amlgentex(folder):
    """Payments between two accounts; steps are days. Cash, opening balances, salaries, spending and all labels are left out."""
    grouped, background, minute, step = {}, [], 0, None
    with gzip.open(os.path.join(folder, "amlgentex_dev.csv.gz"), "rt") as text:
        for row in csv.DictReader(text):
            if row["type"] != "TRANSFER" or row["nameOrig"].startswith("-") or row["nameDest"].startswith("-"):
                continue
            minute, step = (minute + 1 if row["step"] == step else 0), row["step"]
            one = (BEGIN_MS + int(step) * DAY + minute * MINUTE // 2, row["nameOrig"], row["nameDest"], max(1, cents(row["amount"])))
            if row["isSAR"] == "1":
                grouped.setdefault(row["patternID"], (GENTEX[int(row["modelType"])], []))[1].append(one)
            else:
                background.append((*one, None))
    rules = ["FAN-IN", "FAN-OUT", "CYCLE-ANY", "PASS", "GATHER", "SCATTER-ANY"]
    return Set("AMLGentex", list(grouped.values()), background, rules, "10,000 accounts, 50 days; amounts of hops are independent draws, so no rule with a band is asked")
