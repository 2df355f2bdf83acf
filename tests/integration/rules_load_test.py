#!/usr/bin/env python3
"""Rule sets on their way to the engine: signed, loaded into PostgreSQL, judged, answered, swapped between two blocks of a running
engine, and run after kill -9, restarts and takeovers without the folder: hits are those of a run that had each set from its
first block on, and a standby that follows remembers the same, by the state hash. What is unsigned, signed by one key twice, signed by a stranger, changed on the way or broken is refused with a
reason and changes nothing. Ends with `N passed, N failed`."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests"))
from testbed import Failure, MockBroker, wait_for  # noqa: E402
from world import World  # noqa: E402

WORDS = [word for word in sys.argv[1:] if word != "--long"]
LONG = "--long" in sys.argv
KILLS = 12 if LONG else 2
MUSTER = os.path.abspath(WORDS[0]) if WORDS else os.path.join(TOP, "build", "muster")
HOME = os.path.join(TOP, "build", "rules-load-test" + ("-x" if WORDS else "") + ("-long" if LONG else ""))
TOPICS, FACTS = [("payments.a", "bank-a"), ("payments.b", "bank-b")], [("facts.band", "registry")]


class Desk(World):
    def __init__(self):
        super().__init__(HOME, MUSTER, TOPICS, FACTS)
        self.kafka, self.rules, self.folders = None, os.path.join(HOME, "rules"), {}

    def begin(self):
        self.start()
        self.kafka = MockBroker(MUSTER, HOME, [(topic, 2) for topic, _ in TOPICS + FACTS])
        self.configure(self.kafka.address)
        text = open(self.settings).read().replace("rules_dir: tests/data/run\n", "")
        os.mkdir(os.path.join(HOME, "trusted"))
        with open(self.settings, "w") as out:
            # the log is read beside engines that still write it: nothing waits there
            out.write(text + "log_wait_ms: 0\nrules_signatures: 2\nrules_keys: %s\n" % os.path.join(HOME, "trusted"))
        shutil.copytree(os.path.join(TOP, "tests", "data", "run"), self.rules)
        for name in ("trusted/ana", "trusted/ben", "stranger"):
            self.muster_says("rules", "keygen", os.path.join(HOME, name))

    def stop(self):
        super().stop()
        if self.kafka:
            self.kafka.stop()

    def muster_says(self, *words):
        done = subprocess.run([MUSTER, *words], cwd=TOP, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def command(self, *words):
        code, text = self.muster_says(*words)
        if code:
            raise Failure("%s: exit %d: %s" % (" ".join(words), code, text))

    def sign(self, name, folder=None):
        return self.muster_says("rules", "sign", folder or self.rules, "--key", os.path.join(HOME, name + ".key"))

    def load(self, folder=None, wait=20):
        return self.muster_says("rules", "load", folder or self.rules, "--config", self.settings, "--wait", str(wait))

    def hold_json(self, what, code, answer, text):
        """The same question again with --json: one object, and only a missing answer is told on standard error too."""
        done = subprocess.run([MUSTER, "rules", "load", self.rules, "--config", self.settings, "--wait", "0" if answer == "waiting" else "20", "--json"], cwd=TOP,
                              capture_output=True, text=True)
        found = json.loads(done.stdout)
        kept = self.query("select number, encode(hash, 'hex') from muster.rule_load order by number desc limit 1")[0]
        self.check(what + " as JSON", done.returncode == code and found["answer"] == answer and text in found["reason"] and (answer == "waiting") == bool(done.stderr)
                   and (str(found["request"]), found["rule_set"]) == kept and found["files"] >= 1, (done.returncode, done.stdout, done.stderr))

    def copy(self):
        """Keeps the folder as it is now, for replays; the set's hash by the last request."""
        number = len(self.folders)
        folder = os.path.join(HOME, "set-%d" % number)
        shutil.copytree(self.rules, folder)
        self.folders[self.query("select encode(hash, 'hex') from muster.rule_load order by number desc limit 1")[0][0]] = folder

    def compare_sets(self, what):
        """Every hit is one that a replay under its set has too, and between a set's first and last hit none is missing."""
        rows = self.query("select encode(rule_set, 'hex'), seq, rule_id, say from muster.hit order by seq")
        wrong, spans = [], []
        for number, folder in self.folders.items():
            stored = {(int(seq), rule, say) for owner, seq, rule, say in rows if owner == number}
            if not stored:
                continue
            spans.append((min(stored)[0], max(stored)[0]))
            out = os.path.join(HOME, "hits.ndjson")
            self.command("replay", "--quiet", "--config", self.settings, "--rules", folder, "--log", os.path.join(HOME, "log"), "--hits", out)
            expected = {(h["seq"], h["rule_id"], h["say"]) for h in map(json.loads, open(out)) if not h["shadow"]}
            differ = sorted(stored ^ {row for row in expected if spans[-1][0] <= row[0] <= spans[-1][1]})
            wrong += differ
        apart = all(a[1] < b[0] for a, b in zip(sorted(spans), sorted(spans)[1:]))
        self.check("%s: %d hits under %d sets are those of replays under each" % (what, len(rows), len(spans)), not wrong and apart, (len(wrong), wrong[:8], spans))

    def hold(self, what, answer, code, text):
        self.check(what, answer[0] == code and text in answer[1], "exit %d: %s" % answer)

    def hold_answers(self, what):
        """Each set that was loaded carries the answer of its last request that has one."""
        differ = self.query("select encode(s.hash, 'hex'), s.answer, s.reason, l.answer, l.reason from muster.rule_set s join (select distinct on (hash) * from muster.rule_load "
                            "where answer <> 'waiting' order by hash, number desc) l using (hash) where (s.answer, s.reason, s.answered_at) is distinct from (l.answer, l.reason, l.answered_at)")
        self.check(what + ": sets carry their last answers", not differ and self.query("select count(distinct answer) from muster.rule_set") == [("2",)], differ)

    def unsign(self):
        for name in os.listdir(self.rules):
            if name.endswith(".sig"):
                os.remove(os.path.join(self.rules, name))

    def change(self, old, new, file="run.rules"):
        path = os.path.join(self.rules, file)
        text = open(path).read()
        assert old in text
        with open(path, "w") as out:
            out.write(text.replace(old, new))
        self.unsign()

    def live(self, *words):
        engine = self.engine(*words)
        wait_for("the engine to be live", 20, lambda: self.says(engine, "live") or engine.poll() is not None)
        return engine

    def rule_sets_used(self):
        return {row[0] for row in self.query("select distinct encode(rule_set, 'hex') from muster.hit")}


def newest_hash(world):
    return world.query("select encode(hash, 'hex') from muster.rule_load where answer = 'accepted' order by number desc limit 1")[0][0]


def story(world):
    engine = world.engine()
    code = engine.wait(timeout=20)
    world.check("without a set the engine says how to get one", code == 3 and "muster rules load" in open(engine.log).read(), code)
    world.hold("nobody is there to answer", world.load(wait=0), 3, "no engine has answered")
    world.hold_json("nobody is there to answer", 3, "waiting", "")
    engine = world.engine()
    world.check("an unsigned set is refused at the start", engine.wait(timeout=20) == 3 and world.says(engine, "rules_refused"))
    world.sign("trusted/ana")
    world.sign("trusted/ben")
    world.hold("two people have signed", world.load(wait=0), 3, "no engine has answered")
    engine = world.live()
    world.check("the engine that starts accepts it and runs it", engine.poll() is None and world.says(engine, "rules_accepted"), open(engine.log).read()[-500:])
    first = newest_hash(world)
    world.copy()
    world.feed(3000)
    world.drain(engine)
    world.check("hits name that set", world.rule_sets_used() == {first})

    world.change("when workers >= 1", "when workers >= 2")
    world.hold("a changed set without signatures", world.load(), 1, "needs the signatures of 2 different trusted keys (rules_signatures) and has 0")
    world.hold_json("unsigned", 1, "refused", "and has 0")
    world.sign("trusted/ana")
    shutil.copy(os.path.join(world.rules, "ana.sig"), os.path.join(world.rules, "again.sig"))
    world.hold("one key that signed twice counts once", world.load(), 1, "and has 1")
    world.sign("stranger")
    world.hold("a stranger's signature does not count", world.load(), 1, "and has 1")
    world.hold("broken rules do not reach the engine", broken(world), 1, "have errors")
    world.sign("trusted/ben")
    world.hold("signed by both, it goes to work", world.load(), 0, "accepted: from block")
    second = newest_hash(world)
    world.copy()
    world.feed(2000)
    world.drain(engine)
    world.check("hits from there on name the new set", world.rule_sets_used() == {first, second})
    world.hold("the same again is at work already", world.load(), 0, "at work already")
    world.hold_json("the same again", 0, "accepted", "at work already")
    world.change("Africa/Nairobi", "Europe/Berlin")
    world.sign("trusted/ana")
    world.sign("trusted/ben")
    world.hold("another timezone", world.load(), 1, "another base currency")
    world.change("Europe/Berlin", "Africa/Nairobi")
    world.compare_sets("after a swap")
    world.hold_answers("after a swap")
    out = os.path.join(HOME, "hits.ndjson")
    world.command("replay", "--quiet", "--config", world.settings, "--rules", world.folders[first], "--swap-to", world.folders[second], "--log", os.path.join(HOME, "log"),
                  "--hits", out)
    replayed = [(h["seq"], h["rule_id"], h["say"]) for h in map(json.loads, open(out)) if not h["shadow"]]
    stored = [(int(seq), rule, say) for seq, rule, say in world.query("select seq, rule_id, say from muster.hit")]
    world.check("a replay of the log goes over to the other rules where the engine did: %d hits" % len(stored), sorted(replayed) == sorted(stored) and stored,
                sorted(set(replayed) ^ set(stored))[:8])
    swaps(world, engine)
    return first, second


def swaps(world, engine):
    """kill -9 around swaps, under load."""
    chance = random.Random(5)
    for number in range(KILLS):
        with open(os.path.join(world.rules, "run.rules")) as file:
            text = file.read()
        days, age = re.search(r"sender of kick over (\d+)d", text).group(1), re.search(r"age\(sender.wage\) <= (\d+)d", text).group(1)
        world.change("distinct sender of kick over %sd" % days, "distinct sender of kick over %dd" % (29 - number if number % 2 else 31 + number))
        if number % 3:
            world.change("age(sender.wage) <= %sd" % age, "age(sender.wage) <= %dd" % (5 + number))
        world.sign("trusted/ana")
        world.sign("trusted/ben")
        world.feed(800)
        loading = subprocess.Popen([MUSTER, "rules", "load", world.rules, "--config", world.settings, "--wait", "0"], cwd=TOP, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        world.feed(400)
        loading.wait()
        world.copy()
        time.sleep(chance.random() * 1.2)
        engine.kill()
        engine.wait()
        engine = world.live(*(("--set", "threads=1") if number == 2 else ()))
    world.feed(2000)
    world.drain(engine)
    world.check("after %d kills around swaps nothing waits" % KILLS, world.query("select count(*) from muster.rule_load where answer = 'waiting'") == [("0",)])
    world.compare_sets("killed around %d swaps" % KILLS)
    world.end(engine)


def broken(world):
    path = os.path.join(HOME, "broken")
    shutil.copytree(world.rules, path, dirs_exist_ok=True)
    with open(os.path.join(path, "more.rules"), "w") as out:
        out.write("rule BAD-1 {\n")
    return world.load(path)


def restart(world, first, second):
    shutil.copytree(world.rules, os.path.join(HOME, "rules-kept"))
    world.change("pooled >= 1500 USD", "pooled >= 1300 USD")
    world.sign("trusted/ana")
    world.sign("trusted/ben")
    world.load(wait=0)
    world.query("update muster.rule_file set body = convert_to(replace(convert_from(body, 'UTF8'), '1300 USD', '9300 USD'), 'UTF8') "
                "where hash = (select hash from muster.rule_load order by number desc limit 1) and name = 'run.rules'")
    shutil.rmtree(world.rules)
    engine = world.live()
    said = world.query("select answer, reason from muster.rule_load order by number desc limit 1")[0]
    world.check("a set that was changed in the database is refused", said[0] == "refused" and "do not give the hash" in said[1], said)
    world.feed(3000)
    world.drain(engine)
    world.check("the set accepted last runs on, without its folder", world.query("select encode(rule_set, 'hex') from muster.hit order by seq desc limit 1")[0][0] == newest_hash(world))
    world.end(engine)
    world.query("insert into muster.rule_set values ('\\x%s', 'bad', '{}')" % ("00" * 32))
    world.query("insert into muster.rule_file values ('\\x%s', '../out.rules', 'x')" % ("00" * 32))
    world.query("insert into muster.rule_load (hash) values ('\\x%s')" % ("00" * 32))
    engine = world.live()
    said = world.query("select answer, reason from muster.rule_load order by number desc limit 1")[0]
    world.check("a file outside the folder is refused", said[0] == "refused" and "outside its folder" in said[1], said)
    world.end(engine)
    world.hold_answers("after restarts")
    world.check("nothing was written beside it", not os.path.exists(os.path.join(HOME, "state", "out.rules")) and not os.path.exists(os.path.join(HOME, "state", "rules-aside")))

    words = ("--set", "rules_dir=" + os.path.join(HOME, "rules-kept"))
    engine = world.live(*words)
    world.check("a folder with both signatures", engine.poll() is None, open(engine.log).read()[-300:])
    wait_for("the folder's set to be answered", 20, lambda: world.query("select count(*) from muster.rule_set where answer = 'accepted' and reason like '%from its folder%'") == [("1",)])
    world.hold("an engine with rules_dir takes none from PostgreSQL", world.load(os.path.join(HOME, "rules-kept")), 1, "leave that setting out")
    engine = hangup(world, engine, os.path.join(HOME, "rules-kept"))
    world.end(engine)
    forgotten(world, os.path.join(HOME, "rules-kept"))
    os.rename(os.path.join(HOME, "rules-kept", "ben.sig"), os.path.join(HOME, "ben.sig"))
    engine = world.engine(*words)
    world.check("a folder that lacks one does not start", engine.wait(timeout=20) == 2 and "needs the signatures of 2" in open(engine.log).read())


def hangup(world, engine, rules):
    """SIGHUP: the engine reads its folder again."""
    def says(word, count):
        return lambda: [line for line in open(engine.log) if '"%s"' % word in line and "read again" in line][count - 1:] or engine.poll() is not None
    path = os.path.join(rules, "run.rules")
    text = open(path).read()
    for number, (changed, signed, word, expected) in enumerate((
            (text.replace("pooled >= 1500 USD", "pooled >= 1400 USD"), False, "rules_refused", "needs the signatures of 2"),
            (text.replace("pooled >= 1500 USD", "pooled >= ducks"), False, "rules_refused", "the first in run.rules, line"),
            (text.replace("pooled >= 1500 USD", "pooled >= 1400 USD").replace("in over 12h", "in over 13h"), True, "rules_accepted", "what is new was warmed up"))):
        with open(path, "w") as out:
            out.write(changed)
        for name in os.listdir(rules):
            if name.endswith(".sig"):
                os.remove(os.path.join(rules, name))
        if signed:
            world.sign("trusted/ana", rules)
            world.sign("trusted/ben", rules)
        engine.send_signal(signal.SIGHUP)
        wait_for("an answer to SIGHUP", 20, says(word, number + 1 if word == "rules_refused" else 1))
        said = [line for line in open(engine.log) if '"%s"' % word in line and "read again" in line][-1]
        world.check("SIGHUP: %s, %s" % (word, expected), expected in said, said)
        if number != 1:  # what does not compile has no hash
            row = world.query("select answer, reason from muster.rule_set order by answered_at desc nulls last limit 1")[0]
            world.check("its set carries the answer: %s" % row[0], row[0] == word[6:] and row[1] in json.loads(said)["text"] and expected in row[1], (row, said))
    world.feed(1500)
    world.drain(engine)
    last = world.query("select encode(rule_set, 'hex') from muster.hit order by seq desc limit 1")[0][0]
    world.check("hits name the set that was read again, and PostgreSQL holds it", world.query("select count(*) > 0 from muster.rule_file where hash = '\\x%s'" % last) == [("t",)], last)
    world.feed(1500)
    engine.kill()
    engine.wait()
    engine = world.live("--set", "rules_dir=" + rules)
    world.drain(engine)
    world.check("it is recovered by name after kill -9", not world.says(engine, "rules_unknown"))
    return engine


def forgotten(world, kept):
    """A restart with other rules, when nobody has the ones of the checkpoint any more."""
    rules = os.path.join(HOME, "rules-forgotten")
    shutil.copytree(kept, rules)
    engine = world.live("--set", "rules_dir=" + kept)
    world.feed(2000)
    world.drain(engine)
    world.end(engine)
    path = os.path.join(rules, "run.rules")
    text = open(path).read()
    with open(path, "w") as out:
        out.write(re.sub(r"age\(sender.wage\) <= \d+d", "age(sender.wage) <= 33d", text))
    for name in ("ana", "ben"):
        os.remove(os.path.join(rules, name + ".sig"))
        world.sign("trusted/" + name, rules)
    world.query("delete from muster.rule_file")
    last = int(world.query("select max(last_seq) from muster.journal")[0][0])
    engine = world.live("--set", "rules_dir=" + rules)
    said = [line for line in open(engine.log) if '"rules_changed"' in line]
    world.check("rules that nobody has any more: the checkpoint is mapped, and warmed up", len(said) == 1 and world.says(engine, "rules_unknown")
                and world.says(engine, "checkpoint_loaded") and "what is new was warmed up with" in said[0], open(engine.log).read()[-2000:])
    world.feed(2000)
    world.drain(engine)
    world.end(engine)
    out = os.path.join(HOME, "hits.ndjson")
    world.command("replay", "--quiet", "--config", world.settings, "--rules", rules, "--log", os.path.join(HOME, "log"), "--hits", out)
    expected = sorted((h["seq"], h["rule_id"], h["say"]) for h in map(json.loads, open(out)) if h["seq"] > last and h["rule_id"] == "KICK-01")
    stored = sorted((int(seq), rule, say) for seq, rule, say in world.query("select seq, rule_id, say from muster.hit where seq > %d and rule_id = 'KICK-01'" % last))
    world.check("%d hits of the changed rule are those of a run that had it all the time" % len(expected), expected == stored and expected, sorted(set(expected) ^ set(stored))[:6])


MORE = """
rule OUT-09 "Many receivers" {
  version 1  status live
  typology laundering  family collection
  source "test" V
  why "x"
  owner "desk" review by 2027-06-01
  for each account
  let receivers = distinct receiver of out over 20h
  when receivers >= 2
  points 5 to account as payer
  say "{receivers} receivers"
}
"""


def mapped(world):
    """A restart with other rules: what they remember as before goes on as if nothing had been, what is new is warmed up from the log."""
    shutil.copytree(os.path.join(HOME, "rules-kept"), world.rules, dirs_exist_ok=True)
    with open(os.path.join(world.rules, "more.rules"), "w") as out:
        out.write(MORE)
    world.sign("trusted/ana")
    world.sign("trusted/ben")
    world.load(wait=0)
    last = int(world.query("select max(last_seq) from muster.journal")[0][0])
    engine = world.live()
    said = [line for line in open(engine.log) if '"rules_changed"' in line]
    world.check("the engine says what became of its state", len(said) == 1 and "4 rules" in said[0] and "are gone" in said[0] and "what is new was warmed up with" in said[0], said)
    world.copy()
    world.feed(4000)
    world.drain(engine)
    world.end(engine)
    out = os.path.join(HOME, "hits.ndjson")
    world.command("replay", "--quiet", "--config", world.settings, "--rules", world.rules, "--log", os.path.join(HOME, "log"), "--hits", out)
    expected = sorted((h["seq"], h["rule_id"], h["say"]) for h in map(json.loads, open(out)) if h["seq"] > last and not h["shadow"])
    stored = sorted((int(seq), rule, say) for seq, rule, say in world.query("select seq, rule_id, say from muster.hit where seq > %d" % last))
    old, new = ([row for row in expected if (row[1] == "OUT-09") == fresh] for fresh in (False, True))
    world.check("%d hits of rules over kept streams are those of a run that had the set all the time" % len(old),
                len(old) > 20 and old == [row for row in stored if row[1] != "OUT-09"], len(stored))
    fresh = [row for row in stored if row[1] == "OUT-09"]
    world.check("and so are %d of a new rule" % len(new), len(new) > 20 and fresh == new, (len(fresh), len(new)))


def pair(world):
    """A standby follows across swaps and takes over in the middle: both remember the same at the same block, by the state hash."""
    words = [["--set", "standby=true", "--set", "checkpoint_every_s=1", "--set", "lease_ms=5000"] for _ in range(2)]
    for setting, folder in (("state_dir", "state-b"), ("log_dir", "log-b"), ("log_key_dir", "keys-b")):
        words[1] += ["--set", "%s=%s" % (setting, os.path.join(HOME, folder))]
    for folder in ("state", "log", "keys"):
        shutil.copytree(os.path.join(HOME, folder), os.path.join(HOME, folder + "-b"))
    live = world.live(*words[0])
    standby = world.engine(*words[1])
    wait_for("the standby to follow", 20, lambda: world.says(standby, "standby") or standby.poll() is not None)
    for number in range(6 if LONG else 2):
        world.change("distinct receiver of out over %dh" % (20 + 5 * number), "distinct receiver of out over %dh" % (25 + 5 * number), "more.rules")
        world.sign("trusted/ana")
        world.sign("trusted/ben")
        world.feed(600)
        world.hold("swap %d with a standby" % number, world.load(), 0, "accepted: from block")
        world.copy()
        world.feed(600)
    world.drain(live)
    name = "checkpoint-%020d" % int(world.query("select max(block) from muster.journal")[0][0])
    wait_for("both to have a checkpoint of the last block", 30, lambda: all(os.path.exists(os.path.join(HOME, folder, name)) for folder in ("state", "state-b")))
    rules = world.folders[newest_hash(world)]
    shown = [json.loads(world.muster_says("checkpoint", "show", os.path.join(HOME, folder, name), "--config", world.settings, "--rules", rules, "--json")[1])
             for folder in ("state", "state-b")]
    world.check("the standby remembers the same after these swaps", shown[0]["state_hash"] == shown[1]["state_hash"] and shown[0]["same_rules"] and shown[1]["same_rules"], shown)
    world.compare_sets("with a standby")
    live.kill()
    live.wait()
    world.feed(1500)
    wait_for("the standby to be live", 20, lambda: world.says(standby, "live") or standby.poll() is not None)
    world.drain(standby)
    world.check("it goes on with the newest set", world.query("select encode(rule_set, 'hex') from muster.hit order by seq desc limit 1")[0][0] == newest_hash(world))
    world.end(standby)


def cold(world):
    """Without a log nothing can be warmed up, and the answer says until when that shows; with one it could, and the row says so too."""
    warmed = world.query("select warmed, cold, warming_until is null, pause_ms >= 0, kept > 0 from muster.rule_load where answer = 'accepted' and warmed > 0 order by number desc limit 1")
    world.check("the row of a warmed set", warmed == [("1", "0", "t", "t", "t")], warmed)
    engine = world.live("--set", "log_enabled=false")
    world.change("age(sender.wage) <= ", "age(sender.wage) <= 1")
    world.sign("trusted/ana")
    world.sign("trusted/ben")
    world.hold("without a log the answer says when what is new is complete", world.load(), 0, "sees nothing before now and is complete from 20")
    row = world.query("select warmed, cold, warming_until > (select max(event_time) + interval '18 days' from muster.hit) from muster.rule_load order by number desc limit 1")
    world.check("and so does its row", row == [("0", "1", "t")], row)
    world.end(engine)


def main():
    world = Desk()
    try:
        world.begin()
        first, second = story(world)
        restart(world, first, second)
        mapped(world)
        pair(world)
        cold(world)
    finally:
        world.stop()
    print("%d passed, %d failed, 0 skipped" % (world.passed, world.failed))
    return 1 if world.failed else 0


if __name__ == "__main__":
    sys.exit(main())
