/* A plan binds a program to state: which window, memory and clock of which key a stream, memory or
 * rule means, and what each stratum has to do per key.
 *
 * Made once per program, immutable, shared by all workers. */
#ifndef ENGINE_STREAM_PLAN_H
#define ENGINE_STREAM_PLAN_H

#include "engine/base/arena.h"
#include "engine/state/state.h"
#include "rules/lang/program.h"

/* Masks: bit i < stream_count: the event belongs to stream i; behind them one bit per memory. */
enum { MASK_WORDS_MAX = 8 };

struct plan_stream {
    uint16_t window;        /* index inside its keyspace's layout */
    bool by_day;            /* its records must say their local day */
    uint8_t habit_count;
    const uint16_t *habit;  /* indexes into the program's aggregates: which have a habit, by its number - 1 */
};
struct plan_memory {
    uint16_t memory;        /* index inside its keyspace's layout */
};
struct plan_aggregate {
    uint16_t window, aggregate; /* indexes inside the keyspace's layout and the window */
    uint8_t habit;              /* `usual`: the number of its habit in the window */
};
struct plan_touch {
    uint64_t mask[MASK_WORDS_MAX]; /* streams whose update touches a rule or a part of it */
};
struct plan_rule {
    struct plan_touch touch;
    const struct plan_touch *step;   /* by step */
    const struct plan_touch *unless; /* by steps that were true before; NULL: none */
    uint16_t clock;         /* index inside its keyspace's layout */
    uint16_t attempt;       /* likewise, of a rule of several steps */
};

/* What one stratum does for one keyspace. */
struct plan_keyspace {
    uint16_t stream_count, memory_count, read_count, rule_count;
    const uint16_t *stream, *memory, *read, *rule; /* indexes into the program */
    uint64_t mask[MASK_WORDS_MAX];                 /* its streams and memories */
    bool touched_by_all;                           /* some rule is evaluated at every event of the key */
    bool idle;                                     /* nothing to do here */
};

struct plan {
    const struct program *program;
    struct state_layout layout;
    uint16_t mask_words;
    const struct plan_stream *stream;
    const struct plan_memory *memory;
    const struct plan_aggregate *aggregate;
    const struct plan_rule *rule;
    /* [stratum * keyspace_count + keyspace] */
    const struct plan_keyspace *at;
    struct arena arena;
};

/* Words that an attempt is kept as (engine/stream/judge_step.c). */
enum { ATTEMPT_TIME_WORD = 1 };
static inline uint16_t attempt_words(uint8_t step_count, uint8_t kept_count)
{
    return (uint16_t)(2 + 4 * (step_count - 1) + kept_count);
}
enum { ATTEMPT_WORDS_MAX = 2 + 4 * (STEP_MAX - 1) + KEPT_MAX };

struct plan_settings {
    int64_t lateness_ms;
    size_t shard_bytes_max;
};

struct plan *plan_new(const struct program *program, const struct plan_settings *settings);
void plan_free(struct plan *plan);

static inline const struct plan_keyspace *plan_at(const struct plan *plan, uint32_t stratum, uint32_t keyspace)
{
    return &plan->at[stratum * plan->program->keyspace_count + keyspace];
}

static inline bool mask_bit(const uint64_t *mask, uint32_t bit)
{
    return mask[bit / 64] >> (bit % 64) & 1;
}

static inline void mask_set(uint64_t *mask, uint32_t bit)
{
    mask[bit / 64] |= (uint64_t)1 << (bit % 64);
}

static inline bool mask_meets(const uint64_t *a, const uint64_t *b, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++)
        if (a[i] & b[i])
            return true;
    return false;
}

#endif
