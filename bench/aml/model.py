"""What each rule of operators.rules means, computed slowly and obviously, for a handful of payments.

A leg is (time_ms, order, payer, payee, cents). `value(rule, legs, e, K)` is what the rule's number is for account K at leg e, which
is the last of legs; legs are in order. Nothing here is shared with the engine: paths are listed, not searched for."""

HOUR = 3_600_000
DAY = 24 * HOUR
BAND = (75, 125)
# rule: (least value that is a hit, whether more legs can only raise the value)
THRESHOLD = {"FAN-IN": 5, "FAN-OUT": 5, "FAN-IN-SLOW": 3, "CYCLE": 3, "CYCLE-ANY": 3, "CHAIN": 3, "TWO-LEGS": 2, "PASS": 1, "PASS-3": 3,
             "GATHER": 3, "SCATTER": 3, "SCATTER-ANY": 3, "HOPS": 1}
WHOLE = {"CYCLE", "CYCLE-ANY", "CHAIN", "TWO-LEGS", "SCATTER", "SCATTER-ANY", "HOPS"}  # their proof is one thing: a path, a fan
FALLS = {"PASS", "PASS-3"}  # further payments of the account may lower the value: an in that came before is used up first
BY_DAY = {"FAN-IN-SLOW"}  # windows of days keep counts, no payments: their proof is the day's last one, and the account
HOPS_MAX = 3


def window(legs, e, span_ms):
    """The legs not to oneself in (t - span, t]."""
    return [leg for leg in legs if e[0] - span_ms < leg[0] <= e[0] and leg[1] <= e[1] and leg[2] != leg[3]]


def keeps(band, before, after):
    return band is None or band[0] * before[4] <= 100 * after[4] <= band[1] * before[4]


def paths_back(legs, path, band, most):
    """Every way to come to the first leg of the path, in rising order, no account twice but where it closes the ring; longest ones too."""
    yield path
    if len(path) == most or path[0][2] == path[-1][3]:
        return
    met = {leg[3] for leg in path}
    for leg in legs:
        if leg[3] == path[0][2] and leg[:2] < path[0][:2] and keeps(band, leg, path[0]) and (leg[2] not in met or leg[2] == path[-1][3]):
            yield from paths_back(legs, [leg] + path, band, most)


def cycle(legs, e, account, span_ms, band):
    if e[3] != account or e[2] == e[3]:
        return 0
    rings = (path for path in paths_back(window(legs, e, span_ms), [e], band, 12) if path[0][2] == account)
    return max((len(path) for path in rings if len(path) >= 3), default=0)


def chain(legs, e, account, span_ms, band, least, most):
    if e[3] != account or e[2] == e[3]:
        return 0
    rows = (path for path in paths_back(window(legs, e, span_ms), [e], band, most) if path[0][2] != account)
    return max((len(path) for path in rows if len(path) >= least), default=0)


def pass_through(legs, e, account, span_ms, least):
    if e[2] != account or e[2] == e[3]:
        return 0
    left = []  # of each in: what it was, what is left of it
    for leg in window(legs, e, span_ms):
        if leg[3] == account:
            left.append([leg[4], leg[4]])
        elif leg[2] == account:
            rest = leg[4]
            for one in left:
                used = min(rest, one[1])
                one[1], rest = one[1] - used, rest - used
    return sum(100 * (was - now) >= least * was for was, now in left)


def gather_scatter(legs, e, account, span_ms):
    if account not in e[2:4] or e[2] == e[3]:
        return 0
    near = window(legs, e, span_ms)
    ins = [leg for leg in near if leg[3] == account]
    outs = [leg for leg in near if leg[2] == account and ins and leg[:2] > ins[0][:2]]
    return min(len({leg[2] for leg in ins}), len({leg[3] for leg in outs}))


def scatter_gather(legs, e, account, span_ms, band):
    if e[3] != account or e[2] == e[3]:
        return 0
    near, middles, ending = window(legs, e, span_ms), {}, set()
    for first in near:
        for second in near:
            if first[3] == second[2] and second[3] == account and first[2] != account and first[:2] < second[:2] and keeps(band, first, second):
                middles.setdefault(first[2], set()).add(first[3])
                if second == e:
                    ending.add(first[2])
    most = max((len(middles[payer]) for payer in ending), default=0)
    return most if most >= 3 else 0


def hops(legs, e, account, span_ms, listed):
    reached, at = {account}, 0
    while not reached & listed:
        further = {leg[3] for leg in window(legs, e, span_ms) if leg[2] in reached} | reached
        at += 1
        if further == reached or at > HOPS_MAX:
            return None
        reached = further
    return at


def fan(legs, e, mine, other, account, begin_ms):
    return len({leg[other] for leg in legs if leg[mine] == account and begin_ms < leg[0] and leg[2] != leg[3]})


def value(rule, legs, e, account, listed=frozenset()):
    """None where the rule is not looked at."""
    if rule == "HOPS":
        return hops(legs, e, account, 10 * DAY, listed)
    return {
        "FAN-IN": lambda: fan(legs, e, 3, 2, account, e[0] - 96 * HOUR) if e[3] == account != e[2] else None,
        "FAN-OUT": lambda: fan(legs, e, 2, 3, account, e[0] - 96 * HOUR) if e[2] == account != e[3] else None,
        "FAN-IN-SLOW": lambda: fan(legs, e, 3, 2, account, (e[0] // DAY - 89) * DAY - 1) if e[3] == account != e[2] else None,
        "CYCLE": lambda: cycle(legs, e, account, 96 * HOUR, BAND),
        "CYCLE-ANY": lambda: cycle(legs, e, account, 96 * HOUR, None),
        "CHAIN": lambda: chain(legs, e, account, 96 * HOUR, BAND, 3, 12),
        "TWO-LEGS": lambda: chain(legs, e, account, 72 * HOUR, BAND, 2, 2),
        "PASS": lambda: pass_through(legs, e, account, 72 * HOUR, 80),
        "PASS-3": lambda: pass_through(legs, e, account, 72 * HOUR, 80),
        "GATHER": lambda: gather_scatter(legs, e, account, 240 * HOUR),
        "SCATTER": lambda: scatter_gather(legs, e, account, 96 * HOUR, BAND),
        "SCATTER-ANY": lambda: scatter_gather(legs, e, account, 96 * HOUR, None),
    }[rule]()


def hits(rule, legs, listed):
    """{(account, index of the leg): value} of every hit that these legs alone give."""
    found = {}
    for index, e in enumerate(legs):
        for account in dict.fromkeys(e[2:4]):
            number = value(rule, legs[:index + 1], e, account, listed)
            if number is not None and number >= THRESHOLD[rule]:
                found[account, index] = number
    return found
