/* Opening, growing and closing the Kafka source. */
#include "connectors/kafka/source_private.h"

#include "engine/base/invariant.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CLOSE_MS = 5000, FETCH_WAIT_MS = 5, FETCH_BYTES = 128 << 20, PARTITION_BYTES_MIN = 64 << 10, NOTICE_TEXT_MAX = 400 };

/* A broker's thread with nothing to fetch, for all queues are full, sleeps for a second whatever the engine takes meanwhile (librdkafka
 * before 2.2.0, which has fetch.queue.backoff.ms); at 240,000 events/s the queues are empty after half of it. Any answer wakes it, so one is
 * asked for: 12 to 17 % more events/s from Kafka to PostgreSQL on 8 and 16 threads. */
#define WAKE_MS "100"

static void __attribute__((format(printf, 3, 4))) say(const struct kafka_source *source, const char *event, const char *format, ...)
{
    char text[NOTICE_TEXT_MAX];
    va_list args;
    if (!source->settings.notice)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    source->settings.notice(source->settings.context, event, text);
}

/* --- the client --- */

static size_t share_bytes(const struct kafka_source *source)
{
    size_t all = source->settings.fetch_bytes_max ? source->settings.fetch_bytes_max : FETCH_BYTES;
    size_t count = source->table.count ? source->table.count : 1;
    if (all / count >= PARTITION_BYTES_MIN)
        return all / count;
    say(source, "fetch_memory", "kafka_fetch_mb leaves %zu KiB for each of %zu partitions, and less than %d KiB would not do: up to %zu MiB are used",
        all / count >> 10, count, PARTITION_BYTES_MIN >> 10, count * PARTITION_BYTES_MIN >> 20);
    return PARTITION_BYTES_MIN;
}

/* librdkafka bounds each partition's queue by itself, lets one more fetch in behind the bound, and keeps
 * some 350 bytes beside each message: a quarter of the share for the queue and an eighth for a fetch stay
 * within the share for messages of 200 bytes on. */
static rd_kafka_t *open_client(struct kafka_source *source, struct error *err)
{
    const struct kafka_source_settings *settings = &source->settings;
    char queue_kb[32], fetch_bytes[32], wait_ms[32];
    size_t share = share_bytes(source);
    snprintf(queue_kb, sizeof queue_kb, "%zu", share / 4 / 1024);
    snprintf(fetch_bytes, sizeof fetch_bytes, "%zu", share / 8);
    snprintf(wait_ms, sizeof wait_ms, "%u", settings->fetch_wait_ms ? settings->fetch_wait_ms : FETCH_WAIT_MS);
    const struct kafka_property fixed[] = {
        {"group.id", settings->group ? settings->group : "muster"}, /* assign() asks for one; never joined */
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},
        {"isolation.level", "read_committed"},
        {"check.crcs", "true"},
        {"socket.timeout.ms", "2000"},
        {"socket.connection.setup.timeout.ms", CLIENT_SETUP_MS},
        {"fetch.wait.max.ms", wait_ms},
        {"fetch.error.backoff.ms", "100"},
        {"topic.metadata.refresh.interval.ms", WAKE_MS},
        {"queued.min.messages", "100000"},
        {"queued.max.messages.kbytes", queue_kb},
        {"fetch.message.max.bytes", fetch_bytes}, /* a larger message still comes, alone */
        {NULL, NULL},
    };
    rd_kafka_conf_t *config = client_config(settings->brokers, fixed, settings->extra, err);
    if (!config)
        return NULL;
    rd_kafka_conf_set_error_cb(config, source_told_of_error);
    rd_kafka_conf_set_opaque(config, source);
    return client_new(RD_KAFKA_CONSUMER, config, err);
}

static void open_queues(struct kafka_source *source)
{
    static const char one[8] = {1};
    rd_kafka_poll_set_consumer(source->client);
    source->events = rd_kafka_queue_get_consumer(source->client);
    rd_kafka_queue_io_event_enable(source->events, source->wake, one, sizeof one);
    for (uint32_t i = 0; i < source->table.count; i++) {
        struct line *line = &source->line[i];
        line->queue = rd_kafka_queue_get_partition(source->client, source->table.partition[i].topic,
                                                   source->table.partition[i].number);
        invariant(line->queue);
        rd_kafka_queue_forward(line->queue, NULL);
        rd_kafka_queue_io_event_enable(line->queue, source->wake, one, sizeof one);
    }
}

static void queue_close(rd_kafka_queue_t **queue)
{
    if (!*queue)
        return;
    rd_kafka_queue_io_event_enable(*queue, -1, NULL, 0);
    rd_kafka_queue_destroy(*queue);
    *queue = NULL;
}

/* Messages and queues go first: destroying the client would wait for them for ever. */
static void close_client(struct kafka_source *source)
{
    for (uint32_t i = 0; source->line && i < source->table.count; i++) {
        if (source->line[i].head)
            rd_kafka_message_destroy(source->line[i].head);
        source->line[i].head = NULL;
        queue_close(&source->line[i].queue);
    }
    queue_close(&source->events);
    if (source->client)
        client_destroy(source->client, CLOSE_MS);
    source->client = NULL;
}

/* --- the table --- */

static uint32_t partitions_of(const struct kafka_source *source, const char *topic)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < source->table.count; i++)
        count += slice_equal(slice_of(source->table.partition[i].topic), slice_of(topic));
    return count;
}

static bool add_partitions(struct kafka_source *source, const struct kafka_topic *topic, uint32_t from, uint32_t to, struct error *err)
{
    if (source->table.count + (to - from) > source->table.room)
        return error_set(err, ERROR_FATAL, "the topics have %u partitions or more, partition_max allows %u",
                         source->table.count + (to - from), source->table.room);
    for (uint32_t number = from; number < to; number++) {
        struct line *line = &source->line[source->table.count];
        struct partition *partition = &source->table.partition[source->table.count++];
        *partition = (struct partition){.number = (int32_t)number, .facts = topic->facts};
        memcpy(partition->topic, topic->name, strlen(topic->name));
        memcpy(partition->source, topic->source, strlen(topic->source));
        line->expected = line->end = -1;
        line->newest_ms = INT64_MIN;
        atomic_store(&line->shown_newest_ms, INT64_MIN);
        line->wanted = source->seeking;
    }
    return true;
}

/* Takes the scout's counts over; *grown tells whether there were more partitions than before. */
static bool take_counts(struct kafka_source *source, bool *grown, struct error *err)
{
    for (uint32_t t = 0; t < source->settings.topic_count; t++) {
        const struct kafka_topic *topic = &source->settings.topic[t];
        uint32_t before = partitions_of(source, topic->name), now = (uint32_t)source->partitions[t];
        if (now < before)
            return error_set(err, ERROR_FATAL,
                             "kafka topic %s had %u partitions and now has %u: it was deleted and made anew, so its positions mean "
                             "nothing (connectors/kafka/README.md)", topic->name, before, now);
        if (now == before)
            continue;
        if (!add_partitions(source, topic, before, now, err))
            return false;
        if (source->client)
            say(source, "partitions_found", "topic %s now has %u partitions, %u before", topic->name, now, before);
        *grown = true;
    }
    return true;
}

bool source_grow(struct kafka_source *source, struct error *err)
{
    bool grown = false;
    struct error refused = {0};
    if (!scout_news(source->scout, source->partitions, &refused))
        return true;
    if (refused.class || !take_counts(source, &grown, err)) {
        if (refused.class)
            *err = refused;
        return false;
    }
    if (!grown)
        return true;
    close_client(source);
    source->client = open_client(source, err);
    if (!source->client)
        return false;
    open_queues(source);
    atomic_store(&source->known, source->table.count);
    return !source->seeking || source_assign(source, err);
}

/* --- opening and closing --- */

void source_close(void *self)
{
    struct kafka_source *source = self;
    scout_close(source->scout);
    close_client(source);
    if (source->wake >= 0)
        close(source->wake);
    free(source->partitions);
    free(source->topic);
    free(source->line);
    free(source->table.partition);
    free(source);
}

static bool check_topics(const struct kafka_source_settings *settings, struct error *err)
{
    if (settings->topic_count == 0)
        return error_set(err, ERROR_FATAL, "kafka: no topic is configured");
    for (uint32_t i = 0; i < settings->topic_count; i++)
        if (strlen(settings->topic[i].name) >= TOPIC_NAME_MAX || strlen(settings->topic[i].source) >= SOURCE_NAME_MAX)
            return error_set(err, ERROR_FATAL, "the name of a topic or of its source is too long");
    return true;
}

/* The first look: topics stand in the order of their names, whatever the settings' order. */
static bool discover(struct kafka_source *source, struct error *err)
{
    source->scout = scout_open(&source->settings, err);
    if (!source->scout || !source_grow(source, err))
        return false;
    if (source->table.count == 0)
        return error_set(err, ERROR_RETRY, "kafka: none of the configured topics exists yet");
    for (uint32_t t = 0; t < source->settings.topic_count; t++)
        if (source->partitions[t] == 0)
            say(source, "topic_missing", "topic %s does not exist yet; it is read as soon as it does", source->settings.topic[t].name);
    return true;
}

static int topic_compare(const void *a, const void *b)
{
    const struct kafka_topic *x = a, *y = b;
    return slice_compare(slice_of(x->name), slice_of(y->name));
}

struct source *kafka_source_open(const struct kafka_source_settings *settings, struct error *err)
{
    if (!check_topics(settings, err))
        return NULL;
    struct kafka_source *source = calloc(1, sizeof *source);
    invariant(source);
    source_bind(source);
    source->settings = *settings;
    source->topic = calloc(settings->topic_count, sizeof *source->topic);
    invariant(source->topic);
    memcpy(source->topic, settings->topic, settings->topic_count * sizeof *source->topic);
    qsort(source->topic, settings->topic_count, sizeof *source->topic, topic_compare);
    source->settings.topic = source->topic;
    source->ahead_ms = settings->ahead_ms ? settings->ahead_ms : 60000;
    source->recovery_wait_ms = settings->recovery_wait_ms ? settings->recovery_wait_ms : 30000;
    source->table.room = settings->partition_max ? settings->partition_max : PARTITION_MAX;
    source->table.partition = calloc(source->table.room, sizeof *source->table.partition);
    source->line = calloc(source->table.room, sizeof *source->line);
    source->partitions = calloc(settings->topic_count, sizeof *source->partitions);
    invariant(source->table.partition && source->line && source->partitions);
    source->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (source->wake < 0 ? error_errno(err, ERROR_FATAL, "eventfd") : discover(source, err))
        return &source->seam;
    source_close(source);
    return NULL;
}
