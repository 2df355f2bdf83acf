/* What the runs of the determinism matrix share: Kafka, journal, the rules before and after the reload, and what is heard of
 * every event, on whichever path it was scored: live, from the log, from Kafka's ranges, as a standby.
 *
 * Wrapped at link time (tests/matrix.mk): step_run, which makes the run's cut and is heard; intake_sequence, whose rejections are
 * heard; warm_run, whose step is muted and is cut alone. An event that is scored twice in one run (before a kill and after it) must come to
 * the same both times. Included by tests/simulation/determinism_matrix.c alone. */
#ifndef TESTS_SIMULATION_MATRIX_RUN_H
#define TESTS_SIMULATION_MATRIX_RUN_H

#include "engine/base/invariant.h"
#include "engine/model/encode.h"
#include "engine/stream/intake.h"
#include "engine/stream/pipeline.h"
#include "engine/stream/warm.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

enum { PARTITIONS_MOST = 64, BLOCK_MESSAGES = 3000, RESTARTS = 5, DIGEST = 16, LIVES_MOST = 12 };

/* How a run is interrupted. */
enum restart {
    RESTART_NONE,       /* a standby follows the journal from its beginning to its end */
    RESTART_CHECKPOINT, /* a standby is killed behind a checkpoint; another goes on from it */
    RESTART_LOG,        /* no checkpoint: state comes from the log, the rest of the journal from Kafka's ranges */
    RESTART_RANGES,     /* neither checkpoint nor log: everything is read from Kafka's ranges again */
    RESTART_KILLS,      /* live, over the same blocks, killed again and again while it commits, checkpoints and logs */
};
static const char *const restart_word[RESTARTS] = {"none", "checkpoint", "log", "ranges", "kills"};

struct digest {
    unsigned char byte[DIGEST];
};

/* One Kafka message as it lies in its partition. */
struct kept_message {
    char *body;
    uint32_t size;
    int64_t broker_ms;
};

struct kept_block {
    struct journal_block journal;
    struct journal_range range[PARTITIONS_MOST];
};

/* The rules of a block, as its row of the journal names them. */
struct told {
    unsigned char rule_set[32];
    uint64_t warm_from;
};

/* Kafka and the first run's journal: what all runs of one partition count share. */
struct world {
    struct partition partition[PARTITIONS_MOST];
    struct partition_table table;
    struct kept_message *message[PARTITIONS_MOST];
    uint32_t count[PARTITIONS_MOST];
    uint64_t messages;
    struct kept_block *journal; /* by block, from 1; the first run appends */
    uint64_t blocks;
    uint64_t sequences;
    struct told *told[2];       /* by whether there is a reload, then by block */
    uint64_t swap_block, swap_seq; /* the first block, and event, of the other rules; 0: the first run is not over yet */
};

/* One run: what it has heard, its PostgreSQL, and what will happen to it. */
struct run {
    struct world *world;
    bool first;                  /* it makes the journal */
    bool tells;                  /* it makes the reload's: which rules a block has */
    bool reload;
    enum restart restart;
    uint32_t threads, cut;
    uint64_t chance;
    struct digest *event, *moving; /* by sequence number: what it came to; hits of rules that change */
    bool *heard, *moving_heard;
    struct digest *refused[PARTITIONS_MOST]; /* by position: why decode refused it */
    bool *refused_heard[PARTITIONS_MOST];
    uint64_t hits, early_hits, late_hits; /* of rules that stay; of those that change, before the reload and after it */
    uint64_t revisions, rejections, again, different; /* scored once more; came to something else then */
    uint32_t deaths, loads;      /* kills; checkpoints gone on from */
    uint32_t swaps, warmed, misnamed, cold; /* to the other rules; of these with the log; told with another block than the first under them; notices
                                               that something was forgotten */
    const struct pipeline_figures *figures;
    uint64_t committed;          /* its PostgreSQL's newest block */
    int64_t read[PARTITIONS_MOST];
    uint64_t poll_block;         /* last block handed over */
    uint64_t lease_at;           /* as a standby it gets the lease once it was told of this block; 0: at once */
    uint64_t told;               /* the journal shows blocks up to this one */
    uint32_t calls_left;         /* until kill -9; 0: it lives */
    atomic_bool dead, live, over; /* over: it has the rules of the end */
    pthread_mutex_t lock;
    char dir[64];
};

static struct run *running; /* step_run is wrapped, and takes no context */
static _Thread_local bool warming;

/* --- what is heard --- */

static void digest_line(crypto_generichash_state *state, struct json_writer *writer)
{
    crypto_generichash_update(state, (const unsigned char *)writer->text, writer->size);
    json_writer_reset(writer);
}

static void hear(struct run *run, bool *heard, struct digest *kept, crypto_generichash_state *state)
{
    struct digest digest;
    crypto_generichash_final(state, digest.byte, sizeof digest.byte);
    run->again += *heard;
    run->different += *heard && memcmp(kept, &digest, sizeof digest) != 0;
    *kept = digest;
    *heard = true;
}

/* What stands in the output at one sequence number: all lists are in its order. */
struct reading {
    uint32_t hit, revision, alert_hit, rejection;
};

static bool rule_moves(struct slice rule_id)
{
    return rule_id.size > 3 && memcmp(rule_id.data, "MX-", 3) == 0;
}

/* Hits of rules that change have a digest of their own: before the reload they are others. */
static void hear_hits(struct run *run, const struct event *event, const struct output *out, struct reading *at, struct json_writer *writer,
                      crypto_generichash_state *state)
{
    bool fresh = !run->heard[event->seq], early = event->seq < run->world->swap_seq;
    crypto_generichash_state moving;
    crypto_generichash_init(&moving, NULL, 0, DIGEST);
    for (; at->hit < out->hit_count && out->hit[at->hit].seq == event->seq; at->hit++) {
        bool moves = rule_moves(out->hit[at->hit].rule_id);
        encode_hit(writer, &out->hit[at->hit]);
        digest_line(moves ? &moving : state, writer);
        *(!moves ? &run->hits : early ? &run->early_hits : &run->late_hits) += fresh;
    }
    hear(run, &run->moving_heard[event->seq], &run->moving[event->seq], &moving);
}

static void hear_event(struct run *run, const struct event *event, const struct output *out, struct reading *at, struct json_writer *writer)
{
    crypto_generichash_state state;
    unsigned char mark[2] = {event->outcome, (unsigned char)((event->flags & EVENT_LATE) != 0)};
    crypto_generichash_init(&state, NULL, 0, DIGEST);
    crypto_generichash_update(&state, mark, sizeof mark);
    bool fresh = !run->heard[event->seq];
    hear_hits(run, event, out, at, writer, &state);
    for (; at->revision < out->revision_count && out->revision[at->revision].seq == event->seq; at->revision++, run->revisions += fresh)
        encode_revision(writer, &out->revision[at->revision]);
    digest_line(&state, writer);
    for (; at->alert_hit < out->alert_hit_count && out->alert_hit[at->alert_hit].seq == event->seq; at->alert_hit++) {
        crypto_generichash_update(&state, out->alert_hit[at->alert_hit].alert_id, sizeof out->alert_hit->alert_id);
        crypto_generichash_update(&state, (const unsigned char *)out->alert_hit[at->alert_hit].rule_id.data, out->alert_hit[at->alert_hit].rule_id.size);
    }
    if (event->outcome == OUTCOME_REJECTED) {
        unsigned char reason = (unsigned char)out->rejection[at->rejection++].reason;
        crypto_generichash_update(&state, &reason, 1);
        run->rejections += fresh;
    }
    hear(run, &run->heard[event->seq], &run->event[event->seq], &state);
}

void __real_step_run(struct step *step, struct event *events, uint32_t count, struct arena *arena, struct output *out);
void __wrap_step_run(struct step *step, struct event *events, uint32_t count, struct arena *arena, struct output *out);

static void *joined(struct arena *arena, const void *a, uint32_t a_count, const void *b, uint32_t b_count, size_t size)
{
    char *both = arena_bytes(arena, ((size_t)a_count + b_count + 1) * size);
    if (a_count)
        memcpy(both, a, a_count * size);
    if (b_count)
        memcpy(both + a_count * size, b, b_count * size);
    return both;
}

static void append(struct arena *arena, struct output *all, const struct output *next)
{
    all->hit = joined(arena, all->hit, all->hit_count, next->hit, next->hit_count, sizeof *all->hit);
    all->revision = joined(arena, all->revision, all->revision_count, next->revision, next->revision_count, sizeof *all->revision);
    all->hit_count += next->hit_count;
    all->revision_count += next->revision_count;
    for (int o = 0; o < OUTCOME_COUNT; o++)
        all->outcome[o] += next->outcome[o];
}

/* Cuts what the pipeline gives to the step into this run's batches. */
void __wrap_step_run(struct step *step, struct event *events, uint32_t count, struct arena *arena, struct output *out)
{
    struct json_writer writer;
    json_writer_init(&writer);
    *out = (struct output){0};
    for (uint32_t from = 0; from < count;) {
        uint32_t size = count - from < running->cut ? count - from : running->cut;
        struct output piece;
        struct reading at = {0};
        __real_step_run(step, events + from, size, arena, &piece);
        from += size;
        if (warming)
            continue;
        for (uint32_t i = from - size; i < from; i++)
            hear_event(running, &events[i], &piece, &at, &writer);
        running->different += at.hit != piece.hit_count || at.revision != piece.revision_count || at.alert_hit != piece.alert_hit_count ||
                              at.rejection != piece.rejection_count;
        append(arena, out, &piece);
    }
    json_writer_fini(&writer);
}

void __real_intake_sequence(struct intake *intake, struct block *block, struct order *order, uint64_t first_seq);
void __wrap_intake_sequence(struct intake *intake, struct block *block, struct order *order, uint64_t first_seq);

void __wrap_intake_sequence(struct intake *intake, struct block *block, struct order *order, uint64_t first_seq)
{
    struct json_writer writer;
    json_writer_init(&writer);
    __real_intake_sequence(intake, block, order, first_seq);
    for (uint32_t i = 0; i < block->rejection_count; i++) {
        const struct rejection *rejection = &block->rejection[i];
        uint32_t p = rejection->position.partition;
        bool *heard = &running->refused_heard[p][rejection->position.offset];
        crypto_generichash_state state;
        crypto_generichash_init(&state, NULL, 0, DIGEST);
        encode_rejection(&writer, rejection);
        digest_line(&state, &writer);
        running->rejections += !*heard;
        hear(running, heard, &running->refused[p][rejection->position.offset], &state);
    }
    json_writer_fini(&writer);
}

bool __real_warm_run(struct warm *warm, uint64_t to_seq, bool (*goes_on)(void *context), void *context, struct error *err);
bool __wrap_warm_run(struct warm *warm, uint64_t to_seq, bool (*goes_on)(void *context), void *context, struct error *err);

bool __wrap_warm_run(struct warm *warm, uint64_t to_seq, bool (*goes_on)(void *context), void *context, struct error *err)
{
    warming = true;
    bool good = __real_warm_run(warm, to_seq, goes_on, context, err);
    warming = false;
    return good;
}

#endif
