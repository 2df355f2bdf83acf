/* Several topics' partitions, each with its own bounded queue, delivered in offset order. */
#include "connectors/kafka/source_private.h"

#include "engine/base/invariant.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    RUN_MAX = 256,          /* messages taken from one partition before the next has its turn */
    STARVED_WAIT_MS = 1000, /* a partition that owes messages is waited for at most so long */
    WATERMARK_WAIT_MS = 3000,
};

int64_t source_now_ms(void)
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

static bool is_heartbeat(const rd_kafka_message_t *message)
{
    return slice_equal((struct slice){message->key, message->key_len}, SLICE(KAFKA_HEARTBEAT_KEY));
}

/* --- assignment --- */

static void line_forget(struct line *line)
{
    if (line->head)
        rd_kafka_message_destroy(line->head);
    line->head = NULL;
    line->at_end = false;
    line->end = -1;
    line->starved_since_ms = 0;
}

bool source_assign(struct kafka_source *source, struct error *err)
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
    source->seeking = true;
    return source_assign(source, err);
}

/* --- taking messages --- */

static void note_trouble(struct kafka_source *source, rd_kafka_resp_err_t code, const char *text)
{
    enum error_class class = client_error_class(code);
    if (source->trouble.class == ERROR_NONE || class == ERROR_FATAL)
        error_set(&source->trouble, class, "kafka: %s: %s%s", rd_kafka_err2name(code), text ? text : rd_kafka_err2str(code),
                  client_advice(code));
}

/* The position is not in the log any more: retention was quicker, or the topic was made anew. */
static void note_lost_position(struct kafka_source *source, uint32_t index)
{
    const struct partition *partition = &source->table.partition[index];
    long long expected = source->line[index].expected;
    int64_t low = -1, high = -1;
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(source->client, partition->topic, partition->number, &low, &high, WATERMARK_WAIT_MS);
    if (code)
        error_set(&source->trouble, ERROR_FATAL, "kafka: %s/%d no longer holds offset %lld, and does not say what it holds (%s)",
                  partition->topic, partition->number, expected, rd_kafka_err2str(code));
    else if (low > expected)
        error_set(&source->trouble, ERROR_FATAL,
                  "kafka: %s/%d no longer holds offset %lld: its log begins at %lld, so %lld offsets were deleted before they were "
                  "read. Make the topic keep longer than the longest time away. To go on without them, set this partition's "
                  "next_offset in muster.position to %lld (connectors/kafka/README.md)",
                  partition->topic, partition->number, expected, (long long)low, (long long)low - expected, (long long)low);
    else
        error_set(&source->trouble, ERROR_FATAL,
                  "kafka: %s/%d ends at offset %lld, before the position %lld: the topic was deleted and made anew, or the brokers "
                  "lost messages. Nothing is read until somebody has looked (connectors/kafka/README.md)",
                  partition->topic, partition->number, (long long)high, expected);
}

/* Called from serve_events, on the source's own thread. */
void source_told_of_error(rd_kafka_t *client, int code, const char *reason, void *context)
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
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            line->at_end = true;
            line->end = message->offset;
        } else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
            note_lost_position(source, index);
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
    line->end = -1;
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
        line->starved_since_ms = source_now_ms();
}

static void line_advance(struct line *line, int64_t offset)
{
    if (line->expected >= 0 && offset > line->expected)
        atomic_fetch_add_explicit(&line->gaps, (uint64_t)(offset - line->expected), memory_order_relaxed);
    line->expected = offset + 1;
}

/* Copies the head into the caller's arena; its offset is now behind us. */
static void line_deliver(struct kafka_source *source, uint32_t index, struct arena *arena, struct message *out)
{
    struct line *line = &source->line[index];
    rd_kafka_message_t *head = line->head;
    bool heartbeat = is_heartbeat(head);
    *out = (struct message){
        .body = heartbeat ? SLICE("") : arena_copy(arena, (struct slice){head->payload, head->len}),
        .source = slice_of(source->table.partition[index].source),
        .position = {.partition = index, .offset = head->offset},
        .broker_ms = broker_ms(head),
        .expects = source->table.partition[index].facts ? EXPECT_FACT : EXPECT_EVENT,
        .mark = heartbeat ? MARK_HEARTBEAT : MARK_NONE,
    };
    if (out->broker_ms > line->newest_ms)
        line->newest_ms = out->broker_ms;
    atomic_store_explicit(&line->shown_newest_ms, line->newest_ms, memory_order_relaxed);
    atomic_fetch_add_explicit(heartbeat ? &line->heartbeats : &line->messages, 1, memory_order_relaxed);
    line_advance(line, head->offset);
    line->head = NULL;
    rd_kafka_message_destroy(head);
}

/* The log ends in a gap (the marks of a transaction, say): the position must follow it, or retention would
 * one day seem to have deleted what was never there. */
static bool line_ends_in_gap(const struct line *line)
{
    return line->at_end && !line->head && line->expected >= 0 && line->end > line->expected;
}

static void line_deliver_gap(struct kafka_source *source, uint32_t index, struct message *out)
{
    struct line *line = &source->line[index];
    *out = (struct message){
        .source = slice_of(source->table.partition[index].source),
        .position = {.partition = index, .offset = line->end - 1},
        .broker_ms = line->newest_ms == INT64_MIN ? MISSING_I64 : line->newest_ms,
        .mark = MARK_GAP,
    };
    atomic_fetch_add_explicit(&line->gaps, (uint64_t)(line->end - line->expected), memory_order_relaxed);
    line->expected = line->end;
}

/* The broker time up to which partitions may be read now. A partition that owes messages holds the
 * others at what it gave last, for a while. */
static int64_t reading_limit(const struct kafka_source *source)
{
    int64_t slowest = INT64_MAX, now = source_now_ms();
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

static bool room_left(const struct arena *arena, uint32_t count, uint32_t max)
{
    return count < max && !arena_full(arena);
}

/* One turn round the partitions. */
static uint32_t collect(struct kafka_source *source, struct arena *arena, struct message *messages, uint32_t max)
{
    uint32_t count = 0, partitions = source->table.count;
    for (uint32_t i = 0; i < partitions; i++)
        line_fill(source, i);
    int64_t limit = reading_limit(source);
    for (uint32_t n = 0; n < partitions && room_left(arena, count, max); n++) {
        uint32_t index = (source->turn + n) % partitions;
        struct line *line = &source->line[index];
        for (uint32_t run = 0; run < RUN_MAX && room_left(arena, count, max) && line->head && broker_ms(line->head) <= limit; run++) {
            line_deliver(source, index, arena, &messages[count++]);
            line_fill(source, index);
        }
        if (count < max && line_ends_in_gap(line))
            line_deliver_gap(source, index, &messages[count++]);
    }
    source->turn = (source->turn + 1) % partitions;
    return count;
}

static void wait_for_message(struct kafka_source *source, int64_t until_ms)
{
    int64_t left_ms = until_ms - source_now_ms();
    struct pollfd wake = {.fd = source->wake, .events = POLLIN};
    uint64_t counted;
    if (left_ms <= 0)
        return;
    if (poll(&wake, 1, left_ms > 100 ? 100 : (int)left_ms) > 0 && read(source->wake, &counted, sizeof counted) < 0)
        return;
}

static bool source_poll(void *self, uint32_t wait_ms, struct arena *arena, struct message *messages, uint32_t max,
                        uint32_t *count, struct error *err)
{
    struct kafka_source *source = self;
    int64_t until_ms = source_now_ms() + wait_ms;
    *count = 0;
    source_show(source);
    if (!source_grow(source, err))
        return false;
    for (;;) {
        serve_events(source);
        uint32_t got = collect(source, arena, messages + *count, max - *count);
        *count += got;
        bool more = got > 0 || *count == 0;
        if (!more || !room_left(arena, *count, max) || source_now_ms() >= until_ms || source->trouble.class == ERROR_FATAL)
            break;
        if (got == 0)
            wait_for_message(source, until_ms);
    }
    if (source->trouble.class == ERROR_NONE || *count > 0)
        return true; /* trouble that came beside messages waits: librdkafka says but once that all brokers are gone */
    *err = source->trouble;
    if (source->trouble.class != ERROR_FATAL)
        source->trouble = (struct error){0};
    return false;
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

/* Told that nothing follows before the range's end. A standby may have been told so before the range was written, by
 * microseconds: only a broker that says it now says that messages are lost. One that does not answer is asked again. */
static bool range_is_lost(struct kafka_source *source, const struct journal_range *range, struct error *err)
{
    const struct partition *partition = &source->table.partition[range->partition];
    int64_t low = -1, high = -1;
    if (rd_kafka_query_watermark_offsets(source->client, partition->topic, partition->number, &low, &high, WATERMARK_WAIT_MS))
        return false;
    if (high < range->next)
        return !error_set(err, ERROR_FATAL,
                          "kafka: %s/%d ends at offset %lld, but was read before up to %lld: the topic was deleted and made anew, or the brokers "
                          "lost messages", partition->topic, partition->number, (long long)high, (long long)range->next);
    source->line[range->partition].at_end = false;
    return false;
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
        if (!source_assign(source, err))
            return false;
    }
    int64_t silent_since_ms = source_now_ms();
    while (line->expected < range->next) {
        serve_events(source);
        line_fill(source, range->partition);
        if (line->head && line->head->offset >= range->next)
            break; /* the rest of the range are gaps */
        if (line->head) {
            range_add(source, range->partition, arena, &reading);
            silent_since_ms = source_now_ms();
        } else if (source->trouble.class == ERROR_FATAL ||
                   source_now_ms() - silent_since_ms > source->recovery_wait_ms) {
            return range_fail(source, range, err);
        } else if (line->at_end && line->end >= range->next) {
            break;
        } else if (line->at_end && range_is_lost(source, range, err)) {
            return false;
        } else {
            wait_for_message(source, source_now_ms() + 20);
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

static void source_look(void *self)
{
    struct kafka_source *source = self;
    struct error err = {0};
    scout_ask(source->scout);
    if (!source_grow(source, &err) && err.class == ERROR_FATAL)
        source->trouble = err;
}

static void source_measure(void *self)
{
    source_show(self);
}

void source_bind(struct kafka_source *source)
{
    source->seam = (struct source){
        .self = source,
        .partitions = &source->table,
        .look = source_look,
        .measure = source_measure,
        .seek = source_seek,
        .poll = source_poll,
        .read_range = source_read_range,
        .ended = source_ended,
        .close = source_close,
    };
}
