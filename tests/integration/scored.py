"""What back-tests and tuning must find, computed slowly from what `muster replay` writes: for their tests."""
import collections
import csv
import datetime
import itertools
import json
import math
import os
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUSTER = os.path.join(TOP, "build", "muster")
SUSPECT = {"controller", "collector", "facilitator"}
ZONE = datetime.timedelta(hours=3)  # Africa/Nairobi, which the rule sets of these tests name


def muster(*words, stdin=None):
    done = subprocess.run([MUSTER, *words], cwd=TOP, capture_output=True, text=True, stdin=stdin)
    return done.returncode, done.stdout, done.stderr


def local_day(text):
    return (datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) + ZONE).date().isoformat()


def read_labels(path):
    """(rows, schemes): rows as dicts with the number of their scheme, a run of equal scheme and typology."""
    rows, number, before = [], -1, None
    for row in csv.DictReader(open(path)):
        number += (row["scheme"], row["typology"]) != before
        before = (row["scheme"], row["typology"])
        rows.append({**row, "number": number})
    return rows


def wilson(of, everything):
    """The roots of (share - p)^2 = z^2 p (1 - p) / n: the interval's definition, solved for p."""
    if not everything:
        return None
    z2, share, n = 1.959963984540054 ** 2, of / everything, everything
    a, b, c = 1 + z2 / n, -(2 * share + z2 / n), share * share
    root = math.sqrt(max(b * b - 4 * a * c, 0))
    return {"of": of, "all": everything, "share": share, "low": (-b - root) / (2 * a), "high": (-b + root) / (2 * a)}


def measure(subjects, labels, typology):
    """subjects: a set of (kind, text)."""
    accounts = {text for kind, text in subjects if kind == "account"}
    mine = [row for row in labels if row["role"] in SUSPECT and row["typology"] == typology]
    suspects = {row["account"] for row in mine}
    others = {row["account"] for row in labels if row["role"] in SUSPECT} - suspects
    victims = {row["account"] for row in labels if row["role"] == "possible_victim"} - suspects - others
    schemes = {row["number"] for row in mine}
    hit = {row["number"] for row in mine if row["account"] in accounts}
    caught = accounts & suspects
    return {"subjects": len(accounts), "caught": len(caught), "elsewhere": len(accounts & others), "victims": len(accounts & victims),
            "suspects": len(suspects), "schemes": len(schemes), "schemes_caught": len(hit), "precision": wilson(len(caught), len(accounts)),
            "recall": wilson(len(caught), len(suspects)), "scheme_recall": wilson(len(hit), len(schemes))}


class Scored:
    """One replay's results, counted."""

    def __init__(self, stream, rules, home, rates=None, extra=()):
        files = [os.path.join(home, name) for name in ("scored-alerts", "scored-hits")]
        words = [*(["--rates", rates] if rates else []), *extra]
        subprocess.run([MUSTER, "replay", stream, "--rules", rules, "--alerts", files[0], "--hits", files[1], "--quiet", *words], cwd=TOP, check=True)
        self.alerts = [row for row in map(json.loads, open(files[0])) if row["revision"] == 1]
        self.hits = [json.loads(line) for line in open(files[1])]

    def rule(self, rule):
        """(hits, alerts, subjects) of a rule, in all and by day."""
        hits = [hit for hit in self.hits if hit["rule_id"] == rule]
        named = [(local_day(hit["time"]), (one["kind"], one["subject"])) for hit in hits for one in hit["subjects"]
                 if one["points"] != 0 and (one["given"] or hit["shadow"])]
        alerts = [alert for alert in self.alerts if any(one["rule_id"] == rule for one in alert["indicators"])]
        return self.counted(hits, alerts, named)

    def typology(self, typology, rules):
        """typology None: all of them; rules: which hits are counted, None for all."""
        alerts = [alert for alert in self.alerts if typology in (None, alert["typology"])]
        hits = [hit for hit in self.hits if rules is None or hit["rule_id"] in rules]
        return self.counted(hits, alerts, [(local_day(alert["time"]), (alert["subject_kind"], alert["subject"])) for alert in alerts])

    @staticmethod
    def counted(hits, alerts, named):
        days = collections.defaultdict(lambda: [0, 0, 0])
        for hit in hits:
            days[local_day(hit["time"])][0] += 1
        for alert in alerts:
            days[local_day(alert["time"])][1] += 1
        for day, _ in set(named):
            days[day][2] += 1
        subjects = {who for _, who in named}
        return {"hits": len(hits), "alerts": len(alerts), "subjects": len(subjects), "by_day": {day: tuple(row) for day, row in days.items()}}, subjects


def shares_near(ours, theirs):
    """Equal, where figures that are not whole may differ in the sixth place."""
    if ours is None or theirs is None:
        return ours is theirs
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(shares_near(ours[key], theirs[key]) for key in ours)
    return ours == theirs if isinstance(ours, int) and isinstance(theirs, int) else abs(ours - theirs) < 2e-6


def alerts_differ(new, old):
    """(only new, only old, same, moved): equal ids first, then equal subject and typology in turn."""
    by_id = {alert["alert_id"] for alert in new} & {alert["alert_id"] for alert in old}
    seq = {alert["alert_id"]: alert["seq"] for alert in old}
    same = sum(1 for alert in new if alert["alert_id"] in by_id and seq[alert["alert_id"]] == alert["seq"])
    moved = len(by_id) - same
    left, right = ([alert for alert in side if alert["alert_id"] not in by_id] for side in (new, old))
    who = lambda alert: (alert["subject_kind"], alert["subject"], alert["typology"])
    only_new, only_old = [], []
    for key in {who(alert) for alert in itertools.chain(left, right)}:
        a, b = ([alert for alert in side if who(alert) == key] for side in (left, right))
        moved += min(len(a), len(b))
        only_new += a[len(b):]
        only_old += b[len(a):]
    return only_new, only_old, same, moved


class Count:
    """Counts what held, and prints what did not."""

    def __init__(self):
        self.passed = self.failed = 0

    def hold(self, what, good, why=""):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        if not good:
            print("FAILED %s: %s" % (what, str(why)[:600]), flush=True)
        return good

    def end(self):
        print("%d passed, %d failed" % (self.passed, self.failed))
        return 1 if self.failed or not self.passed else 0
