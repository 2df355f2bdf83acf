/* What the files of the step function share: the batch at work, the workers' own room, raw hits.
 *
 * Included by engine/stream/{step,step_hash,own,strata,judge,judge_step,judge_graph,report,sweep}.c only. */
#ifndef ENGINE_STREAM_STEP_PRIVATE_H
#define ENGINE_STREAM_STEP_PRIVATE_H

#include "engine/graph/graph.h"
#include "engine/stream/crew.h"
#include "engine/stream/decide.h"
#include "engine/stream/plan.h"
#include "engine/stream/step.h"
#include "rules/lang/eval.h"

/* How far the sweep has come; saved with a checkpoint. */
struct step_sweep {
    uint64_t epoch;                 /* sequence number / epoch_seq of the newest event */
    int64_t dedup_horizon_ms;       /* repeats of events older than this are forgotten */
    int64_t horizon_ms;             /* never falls: scores that are idle by it count as absent */
    uint64_t work;                  /* shard_work of all shards behind the last sweep */
    uint32_t next;                  /* next shard to sweep */
    uint32_t cycle;                 /* how often all have been swept: engine/state's marks */
    uint32_t pace;                  /* quarters of a unit swept for each that the state grows by: what the last sweep found decides */
    uint32_t waited;                /* epochs since the last sweep */
};

enum { SIDES_SENDER = 1, SIDES_RECEIVER = 2, SIDES_BOTH = 3 };

/* One key that one event concerns, in one stratum. */
struct visit {
    uint32_t event;
    uint16_t keyspace;
    uint8_t sides; /* SIDES_…: which ends of the event the key is; SIDES_SENDER for pairs and composites */
    uint8_t width;
    uint8_t shard; /* of the key */
    uint32_t key[KEY_WIDTH_MAX];
};

struct visit_list {
    struct visit *visit;
    uint32_t count, room;
};

/* What an owner has to see to: an event's id, its reference, or a text it names. By hash: its shard, and where it is looked for. */
enum own_kind { OWN_ID, OWN_JOIN, OWN_REF, OWN_KINDS };
struct own_item {
    struct hash128 hash;
    uint32_t event;
    uint32_t ref; /* enum event_ref, of OWN_REF */
};

struct own_list {
    struct own_item *item;
    uint32_t count, room;
};

/* One record behind a hit, as the window kept it. */
struct raw_evidence {
    struct record record;
    uint16_t use;                 /* index into the rule's windows, then its graph operators */
    bool incoming;
};

struct raw_subject {
    entity_id entity;
    enum entity_kind kind;
    uint16_t def; /* index into the rule's subjects */
};

/* A hit as the owner of the key saw it: numbers only; report.c makes the texts. */
struct raw_hit {
    uint32_t event;
    uint16_t rule;
    uint8_t side;                 /* SIDE_…, which end the key is */
    uint8_t width;
    uint32_t key[KEY_WIDTH_MAX];
    const struct value *value;    /* one per node of the rule's body */
    uint32_t subject_count;
    const struct raw_subject *subject;
    uint32_t evidence_count;      /* newest first, the event itself not among them */
    uint32_t evidence_more;       /* 1: there were more than were kept */
    const struct raw_evidence *evidence;
    uint32_t bounded;             /* bits of the rule's graph operators whose search met a bound: RULES 35 */
    uint32_t kept_bounded;        /* likewise, bits of the attempt's slots */
};

/* A rule's steps on one key so far. */
struct attempt_step {
    int64_t first_ms;      /* first event at which it was true: `since step` counts from behind it */
    uint64_t first_seq;
    int64_t clock_ms;      /* the rule's clock, and the event, when it was last true: its windows stood so */
    uint64_t last_seq;
};
struct attempt {
    uint8_t step;          /* in hand; 0: there is no attempt */
    int64_t last_ms;       /* when it was last true: the deadline runs from here */
    struct attempt_step at[STEP_MAX];
    struct value kept[KEPT_MAX];
    uint32_t bounded;      /* bits of the slots whose value a search found that met a bound */
};

/* One rule being judged at one event for one key. */
struct look {
    const struct rule *rule;
    const struct plan_rule *plan;
    uint16_t index;
    const struct visit *visit;
    const uint64_t *mask;  /* what the event is in for this key, of its stratum; NULL for a rule without a key */
    const uint64_t *row;   /* what it is in for any key, of both its sides */
    bool whole;            /* an event that touches those who read its fields */
    struct shard *shard;
    struct cell *cell;
    int64_t *clocks;       /* of the key; NULL: none */
    int64_t clock_ms;
    uint32_t read;         /* bits of the inputs that stand in `input` */
    uint32_t searched;     /* bits of the graph operators whose results stand in the worker's */
    struct value input[RULE_INPUT_MAX];
    struct attempt attempt;
};

enum { MARKS_AHEAD = 8 };

/* What one worker owns while a batch runs. */
struct step_worker {
    struct evaluation evaluation;
    struct arena arena;             /* raw hits of this batch */
    struct raw_hit *hit;
    uint32_t hit_count, hit_room;
    struct own_list own[OWN_KINDS]; /* of its piece of the events */
    struct own_list own_sorted;     /* those of one kind that it owns, by shard */
    struct visit_list *bucket;      /* one per worker of the crew: visits by owner */
    struct visit_list sorted;       /* those that this one works, by shard */
    entity_id mark[MARKS_AHEAD];    /* ids to be marked soon */
    uint32_t mark_count;            /* so many have been put there */
    struct decide_visit *decide_visit;
    uint32_t decide_room;
    struct decide_out decided;
    struct arena results;           /* texts of its hits and revisions; the caller's arena adopts it */
    struct graph_scratch *graph_scratch;
    struct graph_result *graph;     /* RULE_GRAPH_MAX, of the look at work */
    struct value graph_value[RULE_GRAPH_MAX];
    entity_id graph_account[RULE_GRAPH_MAX];
    struct graph_tally graphs;      /* since the start */
    uint64_t silenced;              /* hits that an `except` silenced */
    uint64_t bound[BOUND_COUNT];    /* bounds that hits were cut at, since the start */
};

struct step {
    const struct program *program;
    struct plan *plan;
    struct decide *decide;
    struct state *state;
    struct crew *crew;
    struct step_settings settings;
    struct step_worker *worker;
    uint32_t worker_count;
    int64_t *partition_newest;      /* by partition; INT64_MIN before its first event */
    uint32_t partition_count;       /* partitions seen: highest index + 1 */
    bool begun;                     /* something has happened */
    struct step_sweep sweep;
    uint64_t phase_ns[PHASE_COUNT];
    uint64_t silenced;
    const struct step_watch *watch; /* nearly always NULL */
    struct meter *meter;            /* likewise */
    uint64_t decide_bytes;

    /* the batch at work */
    struct event *event;
    uint32_t count;
    uint32_t room;                  /* events that the arrays below have room for */
    bool alone;                     /* small batch: one worker */
    uint32_t stratum;
    int64_t *slot;                  /* count rows of program.slot_count */
    uint64_t *mask;                 /* count × 2 sides × mask_words */
    struct hit *hits;               /* this batch's hits in order, for decide */
    uint32_t hits_count;
};

static inline int64_t *step_slots(const struct step *step, uint32_t event)
{
    return step->slot + (size_t)event * step->program->slot_count;
}

/* What one side of an event is in, of all keyspaces and strata. */
static inline uint64_t *step_row(const struct step *step, uint32_t event, int side)
{
    return step->mask + ((size_t)event * 2 + (size_t)side) * step->plan->mask_words;
}

static inline uint32_t shard_owner(uint32_t shard, uint32_t workers)
{
    return shard % workers;
}

/* own.c: repeats dropped, second reports joined, texts to ids, lateness. */
void own_run(struct step *step);

/* strata.c: route and visit, stratum by stratum; adds to PHASE_ROUTE and PHASE_VISIT from *since on. */
void strata_run(struct step *step, uint64_t *since);

/* sweep.c: the sequence enters a new epoch; between two pieces, nothing in flight. */
void sweep_enter(struct step *step, uint64_t epoch);

/* step.c: adds the time since *since to a phase. */
void step_lap(struct step *step, enum step_phase phase, uint64_t *since);

/* Keys are dropped by this: the slowest partition's newest time minus lateness (RULES 3), as it was when the sequence
 * entered this epoch; never falling. INT64_MIN before the first. What an event that came very late could still have
 * read of a key counts as absent from here on, so that it does not show whether the sweep has been there. */
static inline int64_t step_keys_horizon(const struct step *step)
{
    return step->sweep.horizon_ms;
}

/* Legs at or before this count as absent, whether or not they lie in a ring still: so it does not show what was evicted by
 * later events of the batch, nor how far the partitions are apart. */
static inline int64_t legs_floor(const struct step *step, const struct stream *stream)
{
    return step->sweep.horizon_ms == INT64_MIN ? INT64_MIN : step->sweep.horizon_ms - stream->keep_ms;
}

/* sweep.c: the slowest partition's newest time; INT64_MIN before any event. */
int64_t step_slowest(const struct step *step);

/* judge.c: evaluates rules, by bits of the keyspace's own, for one key (or, for KEY_TRANSFER, one event); raw hits go to worker. The
 * caller fills in visit, mask, whole, shard and cell. Those that need no judging are taken out of `rules`. */
void judge_rules(struct step *step, struct step_worker *worker, struct look *look, const struct plan_keyspace *at, uint64_t *rules);
/* Whether the event touches a part of the rule (RULES 9). */
bool look_touched(const struct look *look, const struct plan_part *part);
/* Whether the part is true; then, and where somebody watches, and for `unless`, all its nodes are evaluated. number: of the step, from 1;
 * 0 for `unless`. */
bool look_true(struct step *step, struct step_worker *worker, struct look *look, const struct plan_part *part, uint8_t number);
void judge_hit(struct step *step, struct step_worker *worker, struct look *look);
/* Whether the event is this leg of a graph operator's pattern. */
static inline bool look_is_leg(const struct look *look, const struct plan_leg *leg)
{
    return look->row[leg->word] & leg->bit;
}
/* And whether the pattern may end with it: no end lacks what it must have. */
static inline bool look_may_end(const struct step *step, const struct look *look, const struct plan_leg *leg)
{
    uint32_t words = step->plan->mask_words;
    return look_is_leg(look, leg) &&
           !(look->row[words - 1] & leg->lacks[SIDE_SENDER] || look->row[2 * words - 1] & leg->lacks[SIDE_RECEIVER]);
}
/* judge_graph.c: searches what graph operators among nodes [from, to) ask for, each once per look and account; then evaluates the nodes
 * anew. They were evaluated without a graph before: so it is known whose account and how much is asked for. */
void look_search(struct step *step, struct step_worker *worker, struct look *look, uint16_t from, uint16_t to);
/* Tells the watch of a filter that was asked of an event, once it is evaluated. */
void judge_filter(struct step *step, struct step_worker *worker, bool memory, uint16_t index, bool truth);
/* judge_step.c: of a rule of several steps. */
void judge_steps(struct step *step, struct step_worker *worker, struct look *look);
void judge_prepare(struct step *step, struct step_worker *worker, uint32_t event, int side);
void judge_habits(struct step *step, uint16_t stream, const struct visit *visit, struct shard *shard, struct cell *cell);
/* Lower end, exclusive, of a window at clock time: by span, or by whole local days (RULES 2, 5). */
int64_t window_floor(const struct program *program, int64_t clock_ms, int64_t span_ms, int32_t days);

/* report.c: raw hits of all workers, sorted, with texts, into arena and the workers' results. */
void report_hits(struct step *step, struct arena *arena, struct output *out);

#endif
