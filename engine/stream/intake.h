/* Intake: messages become sequenced events, the same way in run, replay and recovery.
 *
 * A block holds what the source took at once, on its way through the pipeline, and everything that
 * is made of it; it dies as a whole, so nothing in it is freed alone. An intake decodes (split over
 * the crew), merges the partitions and numbers the events. What decode refuses leaves the line but
 * stays in the block's ranges and rejections. */
#ifndef ENGINE_STREAM_INTAKE_H
#define ENGINE_STREAM_INTAKE_H

#include "engine/model/seam.h"
#include "engine/stream/crew.h"
#include "engine/stream/order.h"
#include "rules/lang/program.h"

#include <stdatomic.h>

struct block {
    struct arena bodies;        /* of the messages */
    struct arena *texts;        /* of the events, one arena per worker */
    struct arena results;       /* output, rejections, ranges */
    uint32_t workers;

    struct message *message;    /* as the source gave them */
    uint32_t message_count, room;
    struct event *event;        /* in sequence order */
    uint32_t event_count;
    struct rejection *rejection; /* decode's own, in the order of messages; the block owns the array */
    uint32_t rejection_count;
    struct journal_block journal;
    struct journal_range *range; /* one per partition at most */
    bool tells_rules;           /* its first event is the first under its journal's rules, as far as the log knows */
    bool has_aside;             /* one of the ranges names records to refuse as poison */
    const struct record_watch *watch; /* told of each record, on one thread; NULL: nobody asks */
    uint32_t partitions;        /* known when it was read: what is in it belongs to the first so many of the table */
    uint32_t mark_count;        /* messages that were no events: they moved positions */
    uint32_t *gap;              /* by partition: offsets of its range that held nothing */
    struct arrival *arrival;    /* engine/stream/arrival.h */
    uint32_t arrival_count;
    struct output output;       /* of the step */
    atomic_uint holders;        /* threads that still read it */
};

/* `partitions` is the most there can be; whoever reads sets block->partitions where the table grows. */
struct block *block_new(uint32_t room, uint32_t workers, uint32_t partitions);
void block_free(struct block *block);
void block_clear(struct block *block);
/* Makes room for at least count messages; keeps those there. */
void block_reserve(struct block *block, uint32_t count);

enum { INTAKE_MARK = 255 };

struct intake_settings {
    const struct program *program;
    struct decode_settings decode;
    struct crew *crew;
    uint32_t inline_below;      /* smaller blocks run on the calling thread */
};

struct intake;

/* NULL only when a decoder cannot be made. The caller's thread is the crew's. */
struct intake *intake_new(const struct intake_settings *settings, struct error *err) must_check;
void intake_free(struct intake *intake);

/* Decodes message[i] into event[i] and reason[i]; refused ones go to block->rejection; a mark's reason is
 * INTAKE_MARK. event and reason have room for message_count. Texts live in the block. */
void intake_decode(struct intake *intake, struct block *block, struct event *event, uint8_t *reason);

/* Notes block->journal's ranges. position, one per partition, says up to where the blocks before read
 * (-1: nothing yet) and is moved; a range begins there, so that ranges leave no hole where the broker
 * skips offsets. The caller may then give ranges records that are set aside. */
void intake_range(struct block *block, int64_t *position);

/* A block whose ranges are noted: decode, merge by `order` (all lines closed and empty), number from
 * first_seq. Fills block->event, rejection and journal (but for journal.block, which stays the caller's). */
void intake_sequence(struct intake *intake, struct block *block, struct order *order, uint64_t first_seq);

/* Nanoseconds spent decoding and ordering since the last call. */
void intake_phase_ns(struct intake *intake, uint64_t *decode_ns, uint64_t *order_ns);

#endif
