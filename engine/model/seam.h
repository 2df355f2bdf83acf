/* The seams: where the engine meets the world. Connectors fill these tables of functions; the
 * pipeline (engine/stream/pipeline.h) calls them; tests put their own behind them.
 *
 * Threads: a source is called by the source thread only, a sink by the sink thread only. */
#ifndef ENGINE_MODEL_SEAM_H
#define ENGINE_MODEL_SEAM_H

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/model/decode.h"
#include "engine/model/hit.h"
#include "engine/model/partition.h"

/* Offsets [first, next) of one partition that an intake block took; those in `aside` (rising) are set
 * aside as poison: whoever reads the range again refuses them again. */
struct journal_range {
    uint32_t partition;
    int64_t first, next;
    uint32_t aside_count;
    const int64_t *aside;
};

static inline bool journal_range_aside(const struct journal_range *range, int64_t offset)
{
    for (uint32_t i = 0; i < range->aside_count; i++)
        if (range->aside[i] == offset)
            return true;
    return false;
}

/* One intake block as the journal keeps it: replaying these ranges in this order of blocks gives
 * the same sequence. Blocks are numbered from 1. first_seq..last_seq: sequence numbers given out
 * in the block (first_seq = last_seq + 1 when none). */
struct journal_block {
    uint64_t block;
    uint64_t first_seq, last_seq;
    uint32_t range_count;
    const struct journal_range *range; /* only partitions that moved, rising index */
    unsigned char rule_set[32]; /* hash of the rules that worked it; zeros: not known */
    uint64_t warm_from; /* of a block that other rules began with: the logged event from which on they were warmed up; 0: they were not */
};

/* Told of each record before it is worked, so that a process that dies leaves behind at which. */
struct record_watch {
    void *self;
    void (*at)(void *self, const struct position *position); /* NULL: no single record is at work any more */
    bool (*aside)(void *self, const struct position *position); /* it is poison: leave it alone */
};

/* --- source --- */
struct source {
    void *self;
    const struct partition_table *partitions; /* may grow during poll */
    /* Appends partitions that came since opening, asking the world now; only before seek. NULL: none can come. */
    void (*look)(void *self);
    /* Called often while blocks are full and nothing is polled: figures for people must not stand still then. NULL: none. */
    void (*measure)(void *self);
    /* Sets where reading begins: next[i] per partition (-1: the log's beginning). Before any poll. A
     * partition that is found later is read from its beginning. */
    bool (*seek)(void *self, const int64_t *next, struct error *err);
    /* A source that works on records itself (translates) tells `watch` of each during poll; what it must
     * leave alone becomes one refused message (REJECT_POISON), in poll and in read_range. NULL: it does
     * not. Set before seek; a NULL watch ends it. */
    void (*watch)(void *self, const struct record_watch *watch);
    /* Waits up to wait_ms for a message, then takes what there is, up to max; bodies are copied into arena. Stops,
     * behind one message at least, when the arena is full (arena_full).
     * Per partition in offset order. *count may be 0. A message with `mark` set moves its partition's
     * position and is no event. */
    bool (*poll)(void *self, uint32_t wait_ms, struct arena *arena, struct message *messages, uint32_t max,
                 uint32_t *count, struct error *err);
    /* Reads exactly [first, next) of one partition (recovery); false with ERROR_FATAL when the broker
     * no longer has them. Offsets missing inside are legal gaps. */
    bool (*read_range)(void *self, const struct journal_range *range, struct arena *arena,
                       struct message **messages, uint32_t *count, struct error *err);
    /* True at the end of a bounded source (files); Kafka never ends. */
    bool (*ended)(void *self);
    void (*close)(void *self);
};

/* --- sink --- */

/* What came over one partition in one block, by its day: what a bank is told of its feed. */
enum arrival_kind {
    ARRIVAL_ACCEPTED,
    ARRIVAL_JOINED,    /* of the accepted: second reports */
    ARRIVAL_REPEATED,
    ARRIVAL_REFUSED,
    ARRIVAL_HEARTBEAT,
    ARRIVAL_GAP,       /* offsets that held nothing */
    ARRIVAL_UNKNOWN,   /* members of the accepted that no format knows */
    ARRIVAL_COUNT
};
struct arrival {
    uint32_t partition;
    int32_t day;       /* UTC, days since 1970, by the broker's time, else by the event's */
    uint32_t count[ARRIVAL_COUNT];
};

struct commit_block {
    struct journal_block journal;
    const struct output *output;     /* of the step for this block */
    const struct rejection *rejection; /* decode's own, in position order */
    uint32_t rejection_count;
    const struct arrival *arrival;   /* the same (partition, day) may stand more than once */
    uint32_t arrival_count;
};

/* What PostgreSQL knew when the lease was won. */
struct sink_start {
    uint64_t block;          /* last journal block, 0 at first start */
    uint64_t seq;            /* last sequence number of that block */
};

struct sink {
    void *self;
    /* Takes the lease (waits for an older holder up to wait_ms, then ERROR_RETRY), raises the epoch. */
    bool (*start)(void *self, const struct partition_table *partitions, uint32_t wait_ms, struct sink_start *start, struct error *err);
    /* With the lease, before the first commit, once all partitions are known that a checkpoint or the journal names: the stored position of
     * each that the table has now, -1 where there is none. next has room for the table. */
    bool (*positions)(void *self, int64_t *next, struct error *err);
    /* Journal rows with block > after, rising, for recovery: calls visit for each until false. */
    bool (*journal)(void *self, uint64_t after, bool (*visit)(void *context, const struct journal_block *block), void *context, struct error *err);
    /* One transaction for all these blocks. Exactly once: an unknown outcome is resolved inside.
     * ERROR_RETRY: nothing was written, call again with the same blocks; ERROR_FENCED, ERROR_FATAL: stop. */
    bool (*commit)(void *self, const struct commit_block *blocks, uint32_t count, struct error *err);
    /* Journal rows up to `block` are no longer needed by any checkpoint. */
    bool (*prune)(void *self, uint64_t block, struct error *err);
    /* Keeps the lease alive between commits. */
    bool (*renew)(void *self, struct error *err);
    void (*close)(void *self); /* gives the lease back when it still holds it */
};

#endif
