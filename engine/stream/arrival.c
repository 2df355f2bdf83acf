/* Counts a block's messages by partition and day of arrival. */
#include "engine/stream/arrival.h"

#include "engine/base/invariant.h"
#include "engine/model/zone.h"

/* Rows of a block; `last` per partition is the row used last: arrivals seldom change their day. */
struct counting {
    struct block *block;
    uint32_t *last;
    uint32_t room;
};

enum { NO_ROW = UINT32_MAX };

static int32_t day_of(int64_t ms)
{
    return (int32_t)(ms / MS_PER_DAY - (ms % MS_PER_DAY < 0));
}

static bool same_day(const struct arrival *row, int64_t ms)
{
    int64_t from = (int64_t)row->day * MS_PER_DAY;
    return ms >= from && ms < from + MS_PER_DAY;
}

static struct arrival *row_of(struct counting *counting, uint32_t partition, int64_t ms)
{
    struct block *block = counting->block;
    uint32_t *last = &counting->last[partition];
    if (*last != NO_ROW && same_day(&block->arrival[*last], ms))
        return &block->arrival[*last];
    if (block->arrival_count == counting->room) {
        struct arrival *grown = ARENA_ARRAY(&block->results, struct arrival, counting->room * 2);
        memcpy(grown, block->arrival, counting->room * sizeof *grown);
        block->arrival = grown;
        counting->room *= 2;
    }
    *last = block->arrival_count++;
    block->arrival[*last] = (struct arrival){.partition = partition, .day = day_of(ms)};
    return &block->arrival[*last];
}

static void count_events(struct counting *counting)
{
    static const enum arrival_kind kind[OUTCOME_COUNT] = {[OUTCOME_SCORED] = ARRIVAL_ACCEPTED, [OUTCOME_JOINED] = ARRIVAL_ACCEPTED,
                                                          [OUTCOME_REPEATED] = ARRIVAL_REPEATED, [OUTCOME_REJECTED] = ARRIVAL_REFUSED};
    const struct block *block = counting->block;
    for (uint32_t i = 0; i < block->event_count; i++) {
        const struct event *event = &block->event[i];
        int64_t arrived_ms = event->broker_ms == MISSING_I64 ? event->time_ms : event->broker_ms;
        struct arrival *row = row_of(counting, event->position.partition, arrived_ms);
        enum arrival_kind what = kind[event->outcome];
        row->count[what]++;
        row->count[ARRIVAL_JOINED] += event->outcome == OUTCOME_JOINED;
        row->count[ARRIVAL_UNKNOWN] += what == ARRIVAL_ACCEPTED ? event->unknown : 0;
    }
}

/* What decode refused may have no time at all: it counts where its partition stands. */
static void count_refused(struct counting *counting)
{
    const struct block *block = counting->block;
    for (uint32_t i = 0; i < block->rejection_count; i++) {
        const struct rejection *rejection = &block->rejection[i];
        uint32_t partition = rejection->position.partition, last = counting->last[partition];
        if (rejection->arrived_ms != MISSING_I64)
            row_of(counting, partition, rejection->arrived_ms)->count[ARRIVAL_REFUSED]++;
        else if (last != NO_ROW)
            block->arrival[last].count[ARRIVAL_REFUSED]++;
    }
}

static void count_marks(struct counting *counting)
{
    const struct block *block = counting->block;
    for (uint32_t i = 0; i < block->message_count && block->mark_count; i++) {
        const struct message *message = &block->message[i];
        if (message->mark == MARK_NONE || message->broker_ms == MISSING_I64)
            continue;
        struct arrival *row = row_of(counting, message->position.partition, message->broker_ms);
        row->count[ARRIVAL_HEARTBEAT] += message->mark == MARK_HEARTBEAT;
    }
    for (uint32_t p = 0; p < block->partitions; p++)
        if (block->gap[p] && counting->last[p] != NO_ROW)
            block->arrival[counting->last[p]].count[ARRIVAL_GAP] += block->gap[p];
}

void arrival_count(struct block *block)
{
    struct counting counting = {.block = block, .room = block->partitions + 16};
    counting.last = ARENA_ARRAY(&block->results, uint32_t, block->partitions + 1);
    for (uint32_t p = 0; p < block->partitions; p++)
        counting.last[p] = NO_ROW;
    block->arrival = ARENA_ARRAY(&block->results, struct arrival, counting.room);
    block->arrival_count = 0;
    count_events(&counting);
    count_refused(&counting);
    count_marks(&counting);
}
