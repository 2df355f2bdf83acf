"""Who may do what: mutual TLS with a certificate and an ACL per bank, SASL, and what is refused."""
import concurrent.futures
import os
import subprocess
import time

from bench import TOP, Failure, Skip
from log_faults import payments

ACLS = (("engine", "--topic", "*", "Read", "Describe", "DescribeConfigs"), ("engine", "--group", "muster", "Read"),
        ("bank-a", "--topic", "payments.a", "Write", "Describe"), ("bank-b", "--topic", "payments.b", "Write", "Describe"),
        ("sasl-bank", "--topic", "payments.b", "Write", "Describe"))


def allow(cluster):
    """The ACLs of README.md, by Kafka's own program, which takes some seconds to start: all at once."""
    program = "kafka.admin.AclCommand" if cluster.version == 3 else "org.apache.kafka.tools.AclCommand"

    def add(acl):
        name, kind, what, *operations = acl
        cluster.tool(program, "--bootstrap-server", cluster.address(), "--add", "--allow-principal", "User:" + name, kind, what,
                     *[word for operation in operations for word in ("--operation", operation)])
    with concurrent.futures.ThreadPoolExecutor(3) as crowd:
        list(crowd.map(add, ACLS))


def tls(cluster, name):
    """Settings of whoever has this certificate."""
    cert, key = cluster.pki(name + ".pem"), cluster.pki(name + ".key")
    if not os.path.exists(cert):
        cluster.certificate(name)
    return {"kafka_brokers": cluster.address("SSL"), "kafka_security": "ssl", "kafka_ca_file": cluster.pki("ca.pem"),
            "kafka_cert_file": cert, "kafka_key_file": key}


def sasl(world, user, password, mechanism="PLAIN"):
    path = os.path.join(world.home, user + ".password")
    with open(path, "w") as out:
        out.write(password + "\n")
    os.chmod(path, 0o600)
    return {"kafka_brokers": world.cluster.address("SASL_SSL"), "kafka_security": "sasl_ssl", "kafka_ca_file": world.cluster.pki("ca.pem"),
            "kafka_sasl_mechanism": mechanism, "kafka_sasl_user": user, "kafka_sasl_password_file": path}


def words(settings):
    return [word for pair in settings.items() for word in ("--set", "%s=%s" % pair)]


def bank_feeds(world, settings, topic, bank, count):
    """`muster feed` as a bank would run it: exit code and what it said."""
    part = os.path.join(world.home, "bank.ndjson")
    with open(part, "w") as out:
        out.writelines(line + "\n" for line in payments(world, bank, count, "by%d" % time.monotonic_ns()))
    done = subprocess.run([world.muster, "feed", "--quiet", *words(settings), "--topic", topic, "--source", bank, part], cwd=TOP,
                          capture_output=True, text=True, timeout=90)
    return done.returncode, done.stdout + done.stderr


def end_of(world, topic):
    client = world.client()
    try:
        return sum(end for (name, _), (_, end) in world.ends(client).items() if name == topic)
    finally:
        client.close()


def reads(world, settings, topic):
    """What a consumer with this certificate gets of a topic within 10 s, until it is refused."""
    from confluent_kafka import TopicPartition
    client = world.client(**{"bootstrap.servers": settings["kafka_brokers"], "security.protocol": "ssl",
                             "ssl.ca.location": settings["kafka_ca_file"], "ssl.certificate.location": settings["kafka_cert_file"],
                             "ssl.key.location": settings["kafka_key_file"]})
    seen = client.list_topics(topic, timeout=20).topics[topic].error  # without Describe it may not even be seen
    client.assign([TopicPartition(topic, 0, 0)])
    got, until = {seen.name()} if seen else set(), time.monotonic() + 10
    while time.monotonic() < until and "TOPIC_AUTHORIZATION_FAILED" not in got:
        for message in client.consume(10, 0.5):
            got.add(message.error().name() if message.error() else "a message")
    client.close()
    return got


def own_topic_only(world, row):
    """Bank a's certificate: its own topic, and nothing else."""
    mine = tls(world.cluster, "bank-a")
    engine = world.live(*words(tls(world.cluster, "engine")))
    code, said = bank_feeds(world, mine, "payments.a", "bank-a", 50)
    row.hold("a bank writes its own topic", code == 0, said)
    world.fed += 50
    for topic, whose in (("payments.b", "bank-b"), (world.facts[0][0], "bank-a")):
        before = end_of(world, topic)
        code, said = bank_feeds(world, mine, topic, whose, 5)
        row.hold("it cannot write %s" % topic, code == 3 and end_of(world, topic) == before, "exit %d: %s" % (code, said))
        row.hold("and is told so", "may not see" in said or "uthoriz" in said, said)
    for topic in ("payments.a", "payments.b"):
        got = reads(world, mine, topic)
        row.hold("it cannot read %s" % topic, "TOPIC_AUTHORIZATION_FAILED" in got and "a message" not in got, got)
    code, said = bank_feeds(world, tls(world.cluster, "engine"), "payments.a", "bank-a", 5)
    row.hold("the engine's certificate writes nothing", code == 3 and "uthoriz" in said, said)
    row.hold("the engine's certificate reads all", engine.poll() is None)
    world.feed(300)
    row.did("wrote its own topic; other topics, facts and reading were refused; the engine read all")


def strangers(world, row):
    """No certificate, one of another authority, and a bank's certificate for an engine."""
    cluster = world.cluster
    engine_tls = tls(cluster, "engine")
    none = {name: value for name, value in engine_tls.items() if name not in ("kafka_cert_file", "kafka_key_file")}
    code, said = bank_feeds(world, none, "payments.a", "bank-a", 5)
    row.hold("no certificate, no connection", code == 3 and "kafka_cert_file" in said, said)
    other = os.path.join(world.home, "other")
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=engine", "-keyout",
                           other + ".key", "-out", other + ".pem"], capture_output=True, text=True)
    if made.returncode:
        raise Failure("openssl: %s" % made.stderr[-300:])
    os.chmod(other + ".key", 0o600)
    code, said = bank_feeds(world, dict(engine_tls, kafka_cert_file=other + ".pem", kafka_key_file=other + ".key"), "payments.a", "bank-a", 5)
    row.hold("another authority's certificate is refused", code == 3, said)
    text = world.refused(*words(tls(cluster, "bank-a")))
    row.hold("an engine with a bank's certificate is told which rights it lacks", "ACL" in text or "DescribeConfigs" in text, text[-400:])
    row.did("refused: no certificate, a foreign authority's, a bank's for an engine; each with what to check")


def by_password(world, row):
    """SASL/PLAIN over TLS, for a bank and for the engine."""
    engine = world.live(*words(sasl(world, "engine", "engine-secret")))
    code, said = bank_feeds(world, sasl(world, "sasl-bank", "sasl-bank-secret"), "payments.b", "bank-b", 50)
    row.hold("a bank writes its topic", code == 0, said)
    world.fed += 50
    world.drain(engine)
    code, said = bank_feeds(world, sasl(world, "sasl-bank", "wrong"), "payments.b", "bank-b", 5)
    row.hold("a wrong password is refused with what to check", code == 3 and "kafka_sasl_password_file" in said, said)
    code, said = bank_feeds(world, sasl(world, "sasl-bank", "sasl-bank-secret"), "payments.a", "bank-a", 5)
    row.hold("no other topic either", code == 3, said)
    row.did("bank and engine worked; a wrong password was refused")


def scram(world, row):
    """SCRAM with a librdkafka that doubles the nonce."""
    import confluent_kafka
    if confluent_kafka.libversion()[1] >= 0x02060100:
        raise Skip("librdkafka %s speaks SCRAM soundly" % confluent_kafka.libversion()[0])
    text = world.refused(*words(sasl(world, "engine", "engine-secret", "SCRAM-SHA-256")))
    row.hold("it says why and what else to take", "2.6.1" in text and "PLAIN" in text, text[-400:])
    row.did("refused at the start: librdkafka %s" % confluent_kafka.libversion()[0])
