/* How each bank feeds: what became of its events, its last minutes, and the alarm when too much is refused.
 *
 * Counted per partition by the work thread, behind the step, without locks and without looking at names:
 * each figure has one writer and may be read from any thread. Banks are told apart when a partition is
 * found. Recovery and a standby count nothing: their events were counted by who scored them first.
 * 1.2 KiB per partition of the setting partition_max. Minutes are the monotonic clock's; no decision about
 * an event reads them. */
#ifndef ENGINE_STREAM_FEED_H
#define ENGINE_STREAM_FEED_H

#include "engine/model/partition.h"
#include "engine/model/reject.h"
#include "engine/stream/intake.h"

#include <stdatomic.h>

/* Slots of the last minutes: a minute for rates, five for the alarm. */
enum { FEED_SLOT_MS = 5000, FEED_MINUTE_SLOTS = 12, FEED_SLOTS = 60 };

struct feed_partition {
    atomic_uint_least64_t messages;                /* heartbeats and ends of gaps are none */
    atomic_uint_least64_t outcome[OUTCOME_COUNT];
    atomic_uint_least64_t rejected[REJECT_COUNT];
    atomic_uint_least64_t late;
    atomic_int_least64_t newest_ms;                /* time of the newest event accepted; INT64_MIN before */
    atomic_uint slot_messages[FEED_SLOTS], slot_events[FEED_SLOTS], slot_rejected[FEED_SLOTS];
    uint32_t bank;                                 /* the first partition of the same bank */
};

struct feed {
    uint32_t room;
    atomic_uint known;                             /* partitions counted so far: rising, none is taken back */
    const struct partition *table;                 /* of them */
    atomic_int_least64_t slot;                     /* number of the slot at work; 0: none yet */
    atomic_int_least64_t first_slot;               /* when counting began */
    uint32_t alarm_permille;                       /* more rejections than this in five minutes; 0: no alarm */
    atomic_bool *alarm;                            /* by the bank's first partition */
    struct feed_partition *partition;
};

/* room: the setting partition_max. */
struct feed *feed_new(uint32_t room, uint32_t alarm_permille);
void feed_free(struct feed *feed);

/* The work thread: the table's first `count` partitions are there from now on. */
void feed_know(struct feed *feed, const struct partition_table *table, uint32_t count);
/* The work thread: a block that the step has run. */
void feed_count(struct feed *feed, const struct block *block);
/* The work thread, often: lets the minutes pass. `alarm` hears when a bank's share of rejections goes over the bound
 * and when it is below again. */
typedef void (*feed_alarm_fn)(void *context, bool high, const char *source, uint64_t rejected, uint64_t events);
void feed_tick(struct feed *feed, int64_t now_ms, feed_alarm_fn alarm, void *context);

/* One bank's figures, summed over its partitions; any thread. bank counts from 0; false behind the last. */
struct feed_bank {
    const char *source;
    uint64_t messages, outcome[OUTCOME_COUNT], rejected[REJECT_COUNT], late;
    int64_t newest_ms;              /* INT64_MIN before any */
    uint64_t minute_messages;       /* in the last minute */
    uint64_t minute_ms;             /* how much of it was counted, 1 at least */
    bool alarm;
    uint32_t first;                 /* its first partition */
};
bool feed_bank_read(const struct feed *feed, uint32_t bank, struct feed_bank *out);
/* Whether a partition is that bank's. */
bool feed_bank_has(const struct feed *feed, const struct feed_bank *bank, uint32_t partition);

#endif
