/* Records of the log become messages of a block. */
#include "engine/stream/log_feed.h"

#include "engine/base/invariant.h"

#include <stdlib.h>

enum { FOUND_ROOM = 256 };

struct log_feed {
    struct log_reader *reader;
    const struct partition_table *table;
    struct partition_table own;
    struct partition_table *grows; /* NULL: new partitions are not accepted */
    uint32_t partition; /* of the last record */
    uint16_t last_found[FOUND_ROOM]; /* the partition of the last record with this number and end of its topic's name: where a search begins */
    bool ended;
    bool tells, swapped;
    struct log_swap swap;
};

struct log_feed *log_feed_open(const struct log_settings *settings, uint64_t from_seq,
                               const struct partition_table *table, struct error *err)
{
    struct log_feed *feed = calloc(1, sizeof *feed);
    invariant(feed);
    feed->table = table;
    if (!table) {
        feed->own.partition = calloc(PARTITION_MAX, sizeof *feed->own.partition);
        invariant(feed->own.partition);
        feed->table = feed->grows = &feed->own;
    }
    feed->reader = log_reader_open(settings, from_seq, err);
    if (!feed->reader) {
        log_feed_close(feed);
        return NULL;
    }
    return feed;
}

struct log_feed *log_feed_grow(const struct log_settings *settings, uint64_t from_seq, struct partition_table *table, struct error *err)
{
    struct log_feed *feed = log_feed_open(settings, from_seq, table, err);
    if (feed)
        feed->grows = table;
    return feed;
}

const struct partition_table *log_feed_partitions(const struct log_feed *feed)
{
    return feed->table;
}

void log_feed_close(struct log_feed *feed)
{
    if (feed->reader)
        log_reader_close(feed->reader);
    free(feed->own.partition);
    free(feed);
}

void log_feed_ahead(struct log_feed *feed)
{
    log_reader_ahead(feed->reader);
}

void log_feed_tell_swaps(struct log_feed *feed)
{
    feed->tells = true;
}

const unsigned char *log_feed_swap(const struct log_feed *feed)
{
    return feed->swapped ? feed->swap.hash : NULL;
}

/* Events of all partitions are mixed in the log. */
static bool find_partition(struct log_feed *feed, const struct log_record *record)
{
    const struct partition_table *table = feed->table;
    uint8_t end = record->topic.size ? (uint8_t)record->topic.data[record->topic.size - 1] : 0;
    uint16_t *last = &feed->last_found[((uint32_t)record->partition * 2 + end) % FOUND_ROOM];
    for (uint32_t n = 0; n < table->count; n++) {
        uint32_t index = (*last + n) % table->count;
        const struct partition *partition = &table->partition[index];
        if (partition->number == record->partition && slice_equal(slice_of(partition->topic), record->topic)) {
            *last = (uint16_t)index;
            feed->partition = index;
            return true;
        }
    }
    return false;
}

static bool add_partition(struct log_feed *feed, const struct log_record *record, struct error *err)
{
    if (!feed->grows)
        return error_set(err, ERROR_FATAL, "the log holds events of %.*s/%d, which is not configured any more",
                         (int)record->topic.size, record->topic.data, record->partition);
    if (feed->grows->count == PARTITION_MAX || record->topic.size >= TOPIC_NAME_MAX || record->source.size >= SOURCE_NAME_MAX)
        return error_set(err, ERROR_FATAL, "the log holds more partitions, or longer names, than there can be");
    feed->partition = feed->grows->count++;
    struct partition *partition = &feed->grows->partition[feed->partition];
    partition->number = record->partition;
    memcpy(partition->topic, record->topic.data, record->topic.size);
    memcpy(partition->source, record->source.data, record->source.size);
    return true;
}

bool log_feed_read(struct log_feed *feed, struct block *block, uint64_t *seq, uint32_t max, uint64_t to_seq,
                   struct error *err)
{
    struct log_record record;
    invariant(block->message_count == 0 && max <= block->room);
    feed->swapped = false;
    while (!feed->ended && block->message_count < max && !arena_full(&block->bodies)) {
        int got = log_reader_next(feed->reader, &record, err);
        if (got < 0)
            return error_context(err, "log");
        feed->ended = got == 0 || record.seq > to_seq;
        feed->swapped = !feed->ended && feed->tells && record.kind == LOG_SWAP && record.body.size == sizeof feed->swap;
        if (feed->swapped) {
            memcpy(&feed->swap, record.body.data, sizeof feed->swap);
            break;
        }
        if (feed->ended || (record.kind != LOG_EVENT && record.kind != LOG_JOINED && record.kind != LOG_FACT))
            continue;
        if (!find_partition(feed, &record) && !add_partition(feed, &record, err))
            return false;
        seq[block->message_count] = record.seq;
        block->message[block->message_count++] = (struct message){
            .body = arena_copy(&block->bodies, record.body),
            .source = arena_copy(&block->bodies, record.source),
            .position = {.partition = feed->partition, .offset = record.offset, .item = record.item},
            .broker_ms = record.broker_ms,
            .expects = record.kind == LOG_FACT ? EXPECT_FACT : EXPECT_EVENT,
        };
    }
    return true;
}

bool log_feed_decode(struct intake *intake, struct block *block, const uint64_t *seq, struct error *err)
{
    uint8_t *reason = arena_bytes(&block->results, block->message_count + 1);
    intake_decode(intake, block, block->event, reason);
    if (block->rejection_count)
        return error_set(err, ERROR_FATAL, "the log holds an event that is no longer accepted (%s): were limits changed?",
                         reject_code(block->rejection[0].reason));
    block->event_count = block->message_count;
    for (uint32_t i = 0; i < block->event_count; i++)
        block->event[i].seq = seq[i];
    return true;
}
