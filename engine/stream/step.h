/* The step function: a batch of sequenced events in, hits, alert revisions and rejections out.
 *
 * run, replay, rule tests, back-tests and benchmarks all call this; it knows neither Kafka nor SQL
 * nor files, reads no clock, and gives byte-identical output for any number of workers and any cut
 * of the sequence into batches. Phases (DESIGN): decode, own, strata, decide; barriers between. */
#ifndef ENGINE_STREAM_STEP_H
#define ENGINE_STREAM_STEP_H

#include "engine/base/arena.h"
#include "engine/model/decode.h"
#include "engine/model/hit.h"
#include "engine/model/partition.h"
#include "engine/state/hash.h"
#include "engine/state/state.h"
#include "rules/lang/program.h"

struct record_watch; /* engine/model/seam.h */
struct crew; /* the workers: engine/stream/crew.h */

/* Horizons move, shards are swept and looked at when the sequence crosses a multiple of this, never at a
 * batch's end: so nothing of it depends on where batches were cut. */
enum { EPOCH_SEQ = 8192 };

struct step_settings {
    int64_t lateness_ms;      /* 24 h */
    int64_t dedup_ms;         /* 3 days */
    size_t shard_bytes_max;
    uint32_t partition_max;   /* 128 */
    uint32_t inline_below;    /* batches smaller than this run on the calling thread: 256 */
    uint32_t epoch_seq;       /* sequence numbers between two sweeps; 0: EPOCH_SEQ. Results of events that come no later
                                 than lateness do not depend on it */
    uint32_t sweep_work;      /* records to look through at each, at least; 0: two per sequence number */
    bool mute;                /* remembers, and gives out nothing: no hits, no scores. For warming rules up */
    bool filter_all;          /* evaluate every filter at every event, as if there were no index: results are the same */
};

struct step;

/* hash_key: 16 bytes, any; results do not depend on it. The program and crew outlive the step. */
struct step *step_new(const struct program *program, const struct step_settings *settings, struct crew *crew,
                      const unsigned char hash_key[16], struct error *err) must_check;
void step_free(struct step *step);

/* Runs one batch. Events stand in sequence order with seq rising; none is one that decode refused.
 * The step sets each event's own part, outcome and reject_reason. Output, with copies of all texts it
 * needs, is allocated in `arena`, so that a sink thread may keep it while the next batch runs; the
 * events and their texts may go as soon as step_run returns. `count` may be anything from 0. Text
 * masks are filled already (step_match_texts, called by whoever decodes). out->rejection holds what
 * the step itself refuses (ID_REUSED); decode's own rejections are the caller's to add. */
void step_run(struct step *step, struct event *events, uint32_t count, struct arena *arena, struct output *out);

/* step_run with each event a piece of its own, `watch` told before each: what a crash leaves behind then
 * names the event. Same results, slower. */
void step_run_singly(struct step *step, struct event *events, uint32_t count, const struct record_watch *watch, struct arena *arena,
                     struct output *out);

/* Fills event->text_true/text_unknown; called by decode workers, one scratch per worker. */
struct text_scratch; /* rules/lang/text.h */
void step_match_texts(const struct program *program, struct text_scratch *scratch, struct event *event);

/* Time of the newest event accepted so far, of any partition; INT64_MIN before the first. */
int64_t step_newest_ms(const struct step *step);
struct state *step_state(struct step *step);
const struct state_layout *step_layout(const struct step *step);
/* Sizes, and bounds that were hit; between batches, by the thread that runs the step. */
void step_totals(const struct step *step, struct state_totals *out);
/* The hash of all that the step remembers after the event with sequence number last_seq, partitions by
 * their names in `table` (engine/state/hash.h); between batches. */
void step_hash(const struct step *step, const struct partition_table *table, uint64_t last_seq, unsigned char hash[STATE_HASH_BYTES]);
/* Graph searches since the start. */
struct graph_tally {
    uint64_t searches, skipped; /* skipped: looks at a part that was false already, whatever the search would find */
    uint64_t legs;              /* payments looked at */
};
void step_graphs(const struct step *step, struct graph_tally *out);
uint64_t step_silenced(const struct step *step); /* hits that an `except` silenced, so far */
/* For the checkpoint: the step's own words (partition times …) as bytes; restore takes them back. */
void step_save_extra(const struct step *step, struct arena *arena, struct slice *extra);
/* Takes ownership of state and frees the one before. partition[i] is this run's index of what was
 * partition i when the extra was saved, for `partitions` of them. */
bool step_restore(struct step *step, struct state *state, struct slice extra, const uint32_t *partition, uint32_t partitions,
                  struct error *err) must_check;
/* Goes over to another program, between batches and with no snapshot of the state under way: what is remembered is mapped (state_map), and
 * the next event is the first that the new rules see. `warm`, a muted step of the new program with the hash key of this one, which ran
 * up to the same event, brings what this one lacks (state_graft); NULL: that begins empty. False: the step is to be freed. */
bool step_swap(struct step *step, const struct program *program, struct step *warm, struct state_mapping *mapping,
               struct state_grafting *grafting, struct error *err) must_check;
/* What step_swap would do to the state; nothing changes. */
void step_swap_look(const struct step *step, const struct program *program, struct state_mapping *mapping);
/* Brings what the step lacks since it was mapped (state_lacks), as step_swap does. */
void step_warm(struct step *step, struct step *warm, struct state_grafting *grafting);
/* What was evaluated, and what it came to. */
enum witness_part {
    WITNESS_STEP,    /* a rule's `when`, or a later step: `number` counts from 1 */
    WITNESS_UNLESS,
    WITNESS_EXCEPT,  /* number: which, from 0; asked at a hit only */
    WITNESS_STREAM,  /* a stream's filter: `index` is the stream */
    WITNESS_MEMORY,  /* a memory's filter: `index` is the memory */
};
struct witness {
    enum witness_part part;
    uint8_t number;
    uint16_t index;            /* of the rule, stream or memory in the program */
    const struct expr *expr;
    uint16_t root;
    const struct value *node;  /* values of the nodes under root; valid during the call, as all pointers here */
    bool truth;                /* known and true */
    const struct event *event;
    int side;                  /* SIDE_…: which end the key is */
    const uint32_t *key;       /* words; NULL for filters and for a rule of single transfers */
    uint8_t width;
    int64_t clock_ms;          /* the rule's; of filters 0 */
    uint8_t in_hand;           /* steps that were true before */
};

/* What the step does, told while it does it: for samples, coverage and explanations. With one worker;
 * NULL ends it. Members may be NULL. A key is touched by an event that makes it, keeps it or changes it. */
struct step_watch {
    void *context;
    void (*touched)(void *context, uint16_t keyspace, const uint32_t *key, uint8_t width);
    void (*recorded)(void *context, uint16_t stream, const uint32_t *key, uint8_t width, const struct record *record, bool key_is_receiver);
    void (*remembered)(void *context, uint16_t memory, const uint32_t *key, uint8_t width);
    void (*judged)(void *context, uint16_t rule);
    void (*witnessed)(void *context, const struct witness *witness);
};
void step_watch(struct step *step, const struct step_watch *watch);
/* While watched: bytes of state that decide took (scores, `once per`); and of the batch's own room, now. */
uint64_t step_decide_bytes(const struct step *step);
uint64_t step_scratch_bytes(const struct step *step);

/* Times rules, filters and records while it runs (engine/stream/meter.h); with one worker; NULL ends it. */
struct meter;
void step_measure(struct step *step, struct meter *meter);

/* Nanoseconds spent per phase since the last call (monotonic clock), for bench and metrics. */
enum step_phase { PHASE_OWN, PHASE_ROUTE, PHASE_VISIT, PHASE_DECIDE, PHASE_COUNT };
void step_phase_ns(struct step *step, uint64_t ns[PHASE_COUNT]);

#endif
