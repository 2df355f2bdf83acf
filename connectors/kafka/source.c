/* Several topics' partitions, each with its own bounded queue, delivered in offset order. */
#include "connectors/kafka/source.h"

#include "connectors/kafka/client.h"
#include "engine/base/invariant.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    RUN_MAX = 256,          /* messages taken from one partition before the next has its turn */
    SHOW_EVERY_MS = 5000,
    STARVED_WAIT_MS = 1000, /* a partition that owes messages is waited for at most so long */
    CLOSE_MS = 5000,
};

/* One partition at work. */
struct line {
    rd_kafka_queue_t *queue;
    rd_kafka_message_t *head; /* taken from the queue, not delivered yet */
    int64_t expected;         /* next offset; -1: whatever the log begins with */
    int64_t newest_ms;        /* broker time of the last message delivered; INT64_MIN before */
    int64_t starved_since_ms; /* monotonic; when it owed messages and had none; 0: not starved */
    bool at_end;              /* told everything the broker has */
    bool assigned;
    bool wanted;              /* takes part in this assignment */
};

struct kafka_source {
    struct source seam;
    struct partition_table table;
    rd_kafka_t *client;
    rd_kafka_queue_t *events; /* errors and everything that belongs to no partition */
    struct line *line;        /* one per partition of the table */
    int wake;                 /* eventfd: something came into an empty queue */
    uint32_t turn;            /* the partition to begin with, so that none is favoured */
    int64_t ahead_ms;
    uint32_t recovery_wait_ms;
    bool shows;               /* positions, to the consumer group */
    int64_t shown_ms;
    struct error trouble;     /* told by librdkafka since the last poll */
};

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t broker_ms(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || time_ms < 0 ? MISSING_I64 : time_ms;
}

/* --- assignment --- */

static void line_forget(struct line *line)
{
    if (line->head)
        rd_kafka_message_destroy(line->head);
    line->head = NULL;
    line->at_end = false;
    line->starved_since_ms = 0;
}

/* Assigns the wanted partitions at their expected offsets, replacing whatever was assigned. What an
 * older assignment still delivers falls below `expected` or is out of its turn, and is dropped. */
static bool assign(struct kafka_source *source, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)source->table.count);
    for (uint32_t i = 0; i < source->table.count; i++) {
        struct line *line = &source->line[i];
        line_forget(line);
        line->assigned = line->wanted;
        if (!line->wanted)
            continue;
        const struct partition *partition = &source->table.partition[i];
        rd_kafka_topic_partition_t *entry =
            rd_kafka_topic_partition_list_add(list, partition->topic, partition->number);
        entry->offset = line->expected < 0 ? RD_KAFKA_OFFSET_BEGINNING : line->expected;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(source->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    return !code || error_set(err, client_error_class(code), "kafka assign: %s", rd_kafka_err2str(code));
}

static bool source_seek(void *self, const int64_t *next, struct error *err)
{
    struct kafka_source *source = self;
    for (uint32_t i = 0; i < source->table.count; i++) {
        source->line[i].expected = next[i];
        source->line[i].newest_ms = INT64_MIN;
        source->line[i].wanted = true;
    }
    return assign(source, err);
}

/* --- taking messages --- */

static void note_trouble(struct kafka_source *source, rd_kafka_resp_err_t code, const char *text)
{
    enum error_class class = client_error_class(code);
    if (source->trouble.class == ERROR_NONE || class == ERROR_FATAL)
        error_set(&source->trouble, class, "kafka: %s: %s", rd_kafka_err2name(code), text ? text : rd_kafka_err2str(code));
}

/* Called from serve_events, on the source's own thread. */
static void told_of_error(rd_kafka_t *client, int code, const char *reason, void *context)
{
    (void)client;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || client_error_class(code) == ERROR_FATAL)
        note_trouble(context, code, reason);
}

/* Errors and leftovers of older assignments that did not go to a partition's queue. */
static void serve_events(struct kafka_source *source)
{
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consume_queue(source->events, 0))) {
        if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            note_trouble(source, message->err, rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
}

/* True when message is to be delivered; else it was a sign and is gone. */
static bool line_take(struct kafka_source *source, uint32_t index, rd_kafka_message_t *message)
{
    struct line *line = &source->line[index];
    if (message->err) {
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            line->at_end = true;
        else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
            error_set(&source->trouble, ERROR_FATAL,
                      "kafka: %s/%d no longer holds offset %lld: its retention is shorter than the time away",
                      source->table.partition[index].topic, source->table.partition[index].number,
                      (long long)line->expected);
        else
            note_trouble(source, message->err, rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
        return false;
    }
    if (!line->assigned || (line->expected >= 0 && message->offset < line->expected)) {
        rd_kafka_message_destroy(message); /* 2.0.2 may deliver again what was before a seek */
        return false;
    }
    line->at_end = false;
    return true;
}

static void line_fill(struct kafka_source *source, uint32_t index)
{
    struct line *line = &source->line[index];
    while (!line->head) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(line->queue, 0);
        if (!message)
            break;
        if (line_take(source, index, message))
            line->head = message;
    }
    if (line->head || line->at_end || !line->assigned)
        line->starved_since_ms = 0;
    else if (line->starved_since_ms == 0)
        line->starved_since_ms = monotonic_ms();
}

/* Copies the head into the caller's arena; its offset is now behind us. */
static void line_deliver(struct kafka_source *source, uint32_t index, struct arena *arena, struct message *out)
{
    struct line *line = &source->line[index];
    rd_kafka_message_t *head = line->head;
    *out = (struct message){
        .body = arena_copy(arena, (struct slice){head->payload, head->len}),
        .source = slice_of(source->table.partition[index].source),
        .position = {.partition = index, .offset = head->offset},
        .broker_ms = broker_ms(head),
        .expects = source->table.partition[index].facts ? EXPECT_FACT : EXPECT_EVENT,
    };
    if (out->broker_ms > line->newest_ms)
        line->newest_ms = out->broker_ms;
    line->expected = head->offset + 1;
    line->head = NULL;
    rd_kafka_message_destroy(head);
}

/* The broker time up to which partitions may be read now. A partition that owes messages holds the
 * others at what it gave last, for a while. */
static int64_t reading_limit(const struct kafka_source *source)
{
    int64_t slowest = INT64_MAX, now = monotonic_ms();
    for (uint32_t i = 0; i < source->table.count; i++) {
        const struct line *line = &source->line[i];
        int64_t at = INT64_MAX;
        if (line->head)
            at = broker_ms(line->head) == MISSING_I64 ? INT64_MAX : broker_ms(line->head);
        else if (line->starved_since_ms && now - line->starved_since_ms < STARVED_WAIT_MS)
            at = line->newest_ms;
        if (at < slowest)
            slowest = at;
    }
    if (slowest == INT64_MIN)
        return INT64_MIN;
    return slowest > INT64_MAX - source->ahead_ms ? INT64_MAX : slowest + source->ahead_ms;
}

/* One turn round the partitions. */
static uint32_t collect(struct kafka_source *source, struct arena *arena, struct message *messages, uint32_t max)
{
    uint32_t count = 0, partitions = source->table.count;
    for (uint32_t i = 0; i < partitions; i++)
        line_fill(source, i);
    int64_t limit = reading_limit(source);
    for (uint32_t n = 0; n < partitions && count < max; n++) {
        uint32_t index = (source->turn + n) % partitions;
        struct line *line = &source->line[index];
        for (uint32_t run = 0; run < RUN_MAX && count < max && line->head && broker_ms(line->head) <= limit; run++) {
            line_deliver(source, index, arena, &messages[count++]);
            line_fill(source, index);
        }
    }
    source->turn = (source->turn + 1) % partitions;
    return count;
}

static void wait_for_message(struct kafka_source *source, int64_t until_ms)
{
    int64_t left_ms = until_ms - monotonic_ms();
    struct pollfd wake = {.fd = source->wake, .events = POLLIN};
    uint64_t counted;
    if (left_ms <= 0)
        return;
    if (poll(&wake, 1, left_ms > 100 ? 100 : (int)left_ms) > 0 && read(source->wake, &counted, sizeof counted) < 0)
        return;
}

/* Tells the group how far reading is, for people who watch the lag; never read back, never waited for. */
static void show_positions(struct kafka_source *source)
{
    int64_t now = monotonic_ms();
    if (!source->shows || now - source->shown_ms < SHOW_EVERY_MS)
        return;
    source->shown_ms = now;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)source->table.count);
    for (uint32_t i = 0; i < source->table.count; i++) {
        const struct partition *partition = &source->table.partition[i];
        if (source->line[i].expected >= 0)
            rd_kafka_topic_partition_list_add(list, partition->topic, partition->number)->offset =
                source->line[i].expected;
    }
    if (list->cnt > 0)
        (void)rd_kafka_commit(source->client, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

static bool source_poll(void *self, uint32_t wait_ms, struct arena *arena, struct message *messages, uint32_t max,
                        uint32_t *count, struct error *err)
{
    struct kafka_source *source = self;
    int64_t until_ms = monotonic_ms() + wait_ms;
    *count = 0;
    show_positions(source);
    for (;;) {
        serve_events(source);
        uint32_t got = collect(source, arena, messages + *count, max - *count);
        *count += got;
        if (*count == max || monotonic_ms() >= until_ms || source->trouble.class == ERROR_FATAL)
            break;
        if (got == 0)
            wait_for_message(source, until_ms);
    }
    bool ok = source->trouble.class == ERROR_NONE || *count > 0;
    if (!ok)
        *err = source->trouble;
    if (source->trouble.class != ERROR_FATAL)
        source->trouble = (struct error){0};
    return ok;
}

/* --- recovery --- */

struct range_reading {
    struct message *messages;
    uint32_t count, room;
};

static void range_add(struct kafka_source *source, uint32_t index, struct arena *arena, struct range_reading *reading)
{
    if (reading->count == reading->room) {
        uint32_t room = reading->room ? reading->room * 2 : 1024;
        struct message *grown = ARENA_ARRAY(arena, struct message, room);
        if (reading->count)
            memcpy(grown, reading->messages, reading->count * sizeof *grown);
        reading->messages = grown;
        reading->room = room;
    }
    line_deliver(source, index, arena, &reading->messages[reading->count++]);
}

static bool range_fail(struct kafka_source *source, const struct journal_range *range, struct error *err)
{
    const struct partition *partition = &source->table.partition[range->partition];
    if (source->trouble.class == ERROR_FATAL)
        *err = source->trouble;
    else
        error_set(err, ERROR_RETRY, "kafka: nothing comes from %s/%d", partition->topic, partition->number);
    return error_context(err, "reading offsets %lld to %lld again", (long long)range->first, (long long)range->next);
}

/* Ranges of one partition come one behind the other, so an assignment goes on where it stands. */
static bool source_read_range(void *self, const struct journal_range *range, struct arena *arena,
                              struct message **messages, uint32_t *count, struct error *err)
{
    struct kafka_source *source = self;
    struct line *line = &source->line[range->partition];
    struct range_reading reading = {0};
    invariant(range->partition < source->table.count);
    if (!line->assigned || line->expected != range->first || range->first < 0) {
        line->wanted = true;
        line->expected = range->first;
        if (!assign(source, err))
            return false;
    }
    int64_t silent_since_ms = monotonic_ms();
    while (line->expected < range->next) {
        serve_events(source);
        line_fill(source, range->partition);
        if (line->head && line->head->offset >= range->next)
            break; /* the rest of the range are gaps */
        if (line->head) {
            range_add(source, range->partition, arena, &reading);
            silent_since_ms = monotonic_ms();
        } else if (source->trouble.class == ERROR_FATAL ||
                   monotonic_ms() - silent_since_ms > source->recovery_wait_ms) {
            return range_fail(source, range, err);
        } else if (line->at_end) {
            return error_set(err, ERROR_FATAL, "kafka: %s/%d ends before offset %lld, which was read before",
                             source->table.partition[range->partition].topic,
                             source->table.partition[range->partition].number, (long long)range->next);
        } else {
            wait_for_message(source, monotonic_ms() + 20);
        }
    }
    line->expected = range->next;
    *messages = reading.messages;
    *count = reading.count;
    return true;
}

static bool source_ended(void *self)
{
    (void)self;
    return false;
}

/* --- opening and closing --- */

static void source_close(void *self)
{
    struct kafka_source *source = self;
    for (uint32_t i = 0; source->line && i < source->table.count; i++) {
        line_forget(&source->line[i]);
        if (source->line[i].queue) {
            rd_kafka_queue_io_event_enable(source->line[i].queue, -1, NULL, 0);
            rd_kafka_queue_destroy(source->line[i].queue);
        }
    }
    if (source->events) {
        rd_kafka_queue_io_event_enable(source->events, -1, NULL, 0);
        rd_kafka_queue_destroy(source->events);
    }
    if (source->client)
        client_destroy(source->client, CLOSE_MS);
    if (source->wake >= 0)
        close(source->wake);
    free(source->line);
    free(source->table.partition);
    free(source);
}

static int partition_compare(const void *a, const void *b)
{
    const struct partition *x = a, *y = b;
    int order = slice_compare(slice_of(x->topic), slice_of(y->topic));
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

static bool add_topic(struct kafka_source *source, rd_kafka_t *client, const struct kafka_topic *topic,
                      struct error *err)
{
    int32_t partitions;
    if (strlen(topic->name) >= TOPIC_NAME_MAX || strlen(topic->source) >= SOURCE_NAME_MAX)
        return error_set(err, ERROR_FATAL, "the name of a topic or of its source is too long");
    if (!client_partitions(client, topic->name, 10000, &partitions, err))
        return false;
    uint32_t count = source->table.count + (uint32_t)partitions;
    if (count > PARTITION_MAX)
        return error_set(err, ERROR_FATAL, "kafka: more than %d partitions", PARTITION_MAX);
    source->table.partition = realloc(source->table.partition, count * sizeof *source->table.partition);
    invariant(source->table.partition);
    for (int32_t number = 0; number < partitions; number++) {
        struct partition *partition = &source->table.partition[source->table.count++];
        *partition = (struct partition){.number = number, .facts = topic->facts};
        memcpy(partition->topic, topic->name, strlen(topic->name));
        memcpy(partition->source, topic->source, strlen(topic->source));
    }
    return true;
}

/* With a client of its own, for the size of the queues depends on how many partitions there are. */
static bool discover(struct kafka_source *source, const struct kafka_source_settings *settings, struct error *err)
{
    const struct kafka_property fixed[] = {{"socket.timeout.ms", "2000"}, {NULL, NULL}};
    rd_kafka_conf_t *config = client_config(settings->brokers, fixed, settings->extra, err);
    rd_kafka_t *client = config ? client_new(RD_KAFKA_PRODUCER, config, err) : NULL;
    bool ok = client != NULL;
    for (uint32_t i = 0; ok && i < settings->topic_count; i++)
        ok = add_topic(source, client, &settings->topic[i], err);
    if (client)
        client_destroy(client, CLOSE_MS);
    if (!ok)
        return false;
    if (source->table.count == 0)
        return error_set(err, ERROR_FATAL, "kafka: no topic is configured");
    qsort(source->table.partition, source->table.count, sizeof *source->table.partition, partition_compare);
    return true;
}

static rd_kafka_t *open_client(struct kafka_source *source, const struct kafka_source_settings *settings,
                               struct error *err)
{
    char queue_kb[32], message_bytes[32];
    size_t fetch_bytes = settings->fetch_bytes_max ? settings->fetch_bytes_max : (size_t)128 << 20;
    size_t partition_bytes = fetch_bytes / source->table.count; /* librdkafka's bound counts per partition */
    size_t fetch_message = settings->message_bytes_max ? settings->message_bytes_max * 4 : 256 * 1024;
    snprintf(queue_kb, sizeof queue_kb, "%zu", partition_bytes / 1024 < 1024 ? 1024 : partition_bytes / 1024);
    snprintf(message_bytes, sizeof message_bytes, "%zu", fetch_message < 1048576 ? 1048576 : fetch_message);
    const struct kafka_property fixed[] = {
        {"group.id", settings->group ? settings->group : "muster"}, /* assign() asks for one; never joined */
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},
        {"isolation.level", "read_committed"},
        {"check.crcs", "true"},
        {"socket.timeout.ms", "2000"},
        {"fetch.wait.max.ms", "20"},
        {"fetch.error.backoff.ms", "100"},
        {"queued.min.messages", "100000"},
        {"queued.max.messages.kbytes", queue_kb},
        {"fetch.message.max.bytes", message_bytes},
        {NULL, NULL},
    };
    rd_kafka_conf_t *config = client_config(settings->brokers, fixed, settings->extra, err);
    if (!config)
        return NULL;
    rd_kafka_conf_set_error_cb(config, told_of_error);
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
        line->expected = -1;
        line->newest_ms = INT64_MIN;
        line->queue = rd_kafka_queue_get_partition(source->client, source->table.partition[i].topic,
                                                   source->table.partition[i].number);
        invariant(line->queue);
        rd_kafka_queue_forward(line->queue, NULL);
        rd_kafka_queue_io_event_enable(line->queue, source->wake, one, sizeof one);
    }
}

struct source *kafka_source_open(const struct kafka_source_settings *settings, struct error *err)
{
    struct kafka_source *source = calloc(1, sizeof *source);
    invariant(source);
    source->seam = (struct source){
        .self = source,
        .partitions = &source->table,
        .seek = source_seek,
        .poll = source_poll,
        .read_range = source_read_range,
        .ended = source_ended,
        .close = source_close,
    };
    source->shows = settings->group != NULL;
    source->ahead_ms = settings->ahead_ms ? settings->ahead_ms : 60000;
    source->recovery_wait_ms = settings->recovery_wait_ms ? settings->recovery_wait_ms : 30000;
    source->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (source->wake < 0)
        error_errno(err, ERROR_FATAL, "eventfd");
    else if (discover(source, settings, err))
        source->client = open_client(source, settings, err);
    if (!source->client) {
        source_close(source);
        return NULL;
    }
    source->line = calloc(source->table.count, sizeof *source->line);
    invariant(source->line);
    open_queues(source);
    return &source->seam;
}

int64_t kafka_source_lag(const struct source *seam)
{
    const struct kafka_source *source = seam->self;
    int64_t lag = 0;
    for (uint32_t i = 0; i < source->table.count; i++) {
        int64_t low, high;
        const struct partition *partition = &source->table.partition[i];
        if (rd_kafka_get_watermark_offsets(source->client, partition->topic, partition->number, &low, &high) ||
            high < 0)
            continue;
        int64_t at = source->line[i].expected < low ? low : source->line[i].expected;
        lag += high > at ? high - at : 0;
    }
    return lag;
}
