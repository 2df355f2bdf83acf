/* `muster rejections send`: what was refused, on a topic of its own, without the bytes. */
#include "connectors/kafka/producer.h"
#include "connectors/kafka/security.h"
#include "connectors/postgres/dead_letter.h"
#include "engine/cli/command.h"
#include "engine/cli/kafka_security_of.h"

#include <signal.h>
#include <time.h>

enum { AT_ONCE = 1000, FLUSH_MS = 30000, FOLLOW_WAIT_S = 1 };

struct sending {
    const struct command_line *line;
    struct kafka_producer *producer;
    struct dead_letters *letters;
    uint64_t sent;
};

static bool send_one(void *context, struct slice key, struct slice body, struct error *err)
{
    struct sending *sending = context;
    return kafka_producer_send(sending->producer, kafka_producer_choose(sending->producer, key), key, body, 0, err);
}

/* One portion: read, sent, arrived, marked. */
static bool send_portion(struct sending *sending, uint32_t *count, struct error *err)
{
    if (!pg_dead_letters_read(sending->letters, AT_ONCE, send_one, sending, count, err) ||
        !kafka_producer_flush(sending->producer, FLUSH_MS, err))
        return false;
    sending->sent += *count;
    return *count == 0 || pg_dead_letters_mark(sending->letters, err);
}

/* False when SIGTERM or SIGINT came instead. They are blocked: this is where they are taken. */
static bool wait_for_more(const sigset_t *ends)
{
    const struct timespec wait = {.tv_sec = FOLLOW_WAIT_S};
    return sigtimedwait(ends, NULL, &wait) < 0;
}

static bool send_all(struct sending *sending, struct error *err)
{
    bool follow = command_option(sending->line, "follow") != NULL;
    sigset_t ends;
    uint32_t count;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    if (follow)
        pthread_sigmask(SIG_BLOCK, &ends, NULL);
    for (;;) {
        if (!send_portion(sending, &count, err))
            return false;
        if (count == 0 && (!follow || !wait_for_more(&ends)))
            return true;
    }
}

static int run(struct sending *sending, const struct settings *settings, const char *topic)
{
    struct error err = {0};
    struct kafka_security *security = kafka_security_of(settings, &err);
    bool good = security != NULL;
    if (good)
        sending->producer = kafka_producer_open(
            &(struct kafka_producer_settings){.brokers = settings->kafka_brokers, .topic = topic, .extra = kafka_security_properties(security)}, &err);
    if (sending->producer)
        sending->letters = pg_dead_letters_open(settings->postgres_dsn, topic, &err);
    good = sending->letters && send_all(sending, &err);
    if (good)
        printf("%llu rejections sent to %s\n", (unsigned long long)sending->sent, topic);
    pg_dead_letters_close(sending->letters);
    if (sending->producer)
        kafka_producer_close(sending->producer);
    kafka_security_close(security);
    return good ? EXIT_FINE : command_fail(sending->line, EXIT_WORLD, "%s", err.text);
}

int cmd_rejections_send(const struct command_line *line)
{
    struct settings settings;
    struct sending sending = {.line = line};
    const char *topic = command_option(line, "topic");
    int code = command_settings(line, &settings) ? EXIT_FINE : EXIT_USAGE;
    if (code == EXIT_FINE && (!topic || !*settings.kafka_brokers || !*settings.postgres_dsn))
        code = command_fail(line, EXIT_USAGE, "--topic and the settings kafka_brokers and postgres_dsn are needed");
    if (code == EXIT_FINE)
        code = run(&sending, &settings, topic);
    settings_fini(&settings);
    return code;
}
