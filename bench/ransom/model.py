"""TRN-02 as a slow model: every payment of a stream in order, memories and windows as plain dicts and lists.

Written from the rule's text and the language's definitions, for streams in one currency and with no list of exceptions."""
import collections
import csv
import datetime
import json
import os
from decimal import Decimal
from fractions import Fraction

HOUR = 3_600_000
DAY = 24 * HOUR
WEEK = 7 * DAY
LONG = 180 * DAY
ZONE = 3 * HOUR               # Africa/Nairobi, which the pack names
MONDAY = 4 * DAY              # 1970-01-05
PAYERS_MIN, SUM_MIN, TIMES_MIN, AGAIN_MIN, BURST_MIN = 3, 20_000, 5, Fraction(25, 100), 3

Payment = collections.namedtuple("Payment", "time payer payee cents kind purpose id source")
Hit = collections.namedtuple("Hit", "time id source account payers again taken")


def everyday(pack):
    with open(os.path.join(pack, "lists", "everyday_purposes.csv")) as text:
        return {row["purpose"] for row in csv.DictReader(line for line in text if not line.startswith("#"))}


def millis(text):
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def payments(path):
    """Each payment once, by time; equal times as they stand."""
    read, seen = [], set()
    for line in open(path):
        event = json.loads(line)
        if (event["source"], event["id"]) in seen:
            continue
        seen.add((event["source"], event["id"]))
        payer, payee = (event[side].get("account") for side in ("sender", "receiver"))
        kind = event.get("kind") or ("TRANSFER" if payer and payee else "CASH")
        read.append(Payment(millis(event["time"]), payer, payee, int(Decimal(event["amount"]) * 100), kind, event.get("purpose"),
                            event["id"], event["source"]))
    return sorted(read, key=lambda payment: payment.time)


def median(samples):
    """Half-even of the middle two; unknown before eight weeks."""
    if len(samples) < 8:
        return None
    ordered, middle = sorted(samples), len(samples) // 2
    return ordered[middle] if len(samples) % 2 else round((ordered[middle - 1] + ordered[middle]) / 2)


def usual_payers(demands, now):
    """demands: [(time, payer)] of one account up to now."""
    if not demands:
        return None
    week_of = lambda time: (time + ZONE - MONDAY) // WEEK
    first, samples = week_of(demands[0][0]), []
    for week in range(first + 1, week_of(now)):
        end = (week + 1) * WEEK + MONDAY - ZONE
        samples.append(len({payer for time, payer in demands if end - WEEK <= time < end}))
    return median(samples[-26:])


class Ransom:
    """Takes payments in order; `hits` are those that the rule stores."""

    def __init__(self, everyday_purposes):
        self.everyday = everyday_purposes
        self.sent, self.first_sent = {}, {}   # (payer, payee): (time, cents)
        self.habit = {}                       # payer: (time, cents)
        self.dealt = {}                       # {payer, payee}: time of the last payment either way
        self.demands, self.rises = collections.defaultdict(list), collections.defaultdict(list)
        self.hits = []
        self.most = {}                        # account: the most payers that ever counted at once
        self.asked = {}                       # (payer, payee): why the first payment counts, or why not

    @staticmethod
    def known(memory, key, now, span):
        record = memory.get(key)
        return record if record and now - record[0] < span else None

    def take(self, payment):
        if not payment.payer or not payment.payee:
            return
        pair, both, now = payment[1:3], frozenset(payment[1:3]), payment.time
        if payment.kind in ("TRANSFER", "REMITTANCE"):
            sent = self.known(self.sent, pair, now, LONG)
            purpose_counts = payment.purpose not in self.everyday
            self.judge(payment, pair, both, purpose_counts)
            if sent and now - sent[0] >= WEEK and purpose_counts:
                self.habit[payment.payer] = (now, payment.cents)
            if not sent:
                self.first_sent[pair] = (now, payment.cents)
            self.sent[pair] = (now, payment.cents)
        self.dealt[both] = now

    def judge(self, payment, pair, both, purpose_counts):
        now, account = payment.time, payment.payee
        habit, first = self.known(self.habit, payment.payer, now, LONG), self.known(self.first_sent, pair, now, WEEK)
        many_times = lambda cents: habit and cents >= SUM_MIN and cents >= TIMES_MIN * habit[1]
        dealt = self.dealt.get(both)
        demand = purpose_counts and (dealt is None or dealt <= now - LONG) and many_times(payment.cents)
        rise = first and payment.cents > first[1] and many_times(first[1])
        self.asked.setdefault(pair, "counts" if demand else "nothing known of what they usually send" if not habit else
                              "less than 200 USD" if payment.cents < SUM_MIN else "less than five times the usual")
        if demand:
            self.demands[account].append((now, payment.payer, payment.cents))
        if rise:
            self.rises[account].append((now, payment.payer))
        if not demand and not rise:
            return
        recent = [row for row in self.demands[account] if row[0] > now - WEEK]
        payers = len({row[1] for row in recent})
        again = len({payer for time, payer in self.rises[account] if time > now - WEEK})
        usual = usual_payers([row[:2] for row in self.demands[account]], now) or 0
        # a product is rounded to whole payers at once, half to even
        meets = (payers >= PAYERS_MIN, again >= round(AGAIN_MIN * payers), payers >= BURST_MIN * usual)
        self.most[account] = max(self.most.get(account, 0), payers)
        if all(meets):
            self.hits.append(Hit(now, payment.id, payment.source, account, payers, again, sum(row[2] for row in recent)))

    def kept(self):
        """The hits of a rule that is live: none within seven days of the last that gave points."""
        last = {}
        for hit in self.hits:
            if hit.account not in last or hit.time - last[hit.account] >= WEEK:
                last[hit.account] = hit.time
                yield hit


def run(path, pack):
    model = Ransom(everyday(pack))
    for payment in payments(path):
        model.take(payment)
    return model
