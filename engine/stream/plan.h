/* A plan binds a program to state: which window, memory and clock of which key a stream, memory or
 * rule means, and what each stratum has to do per key.
 *
 * Made once per program, immutable, shared by all workers. */
#ifndef ENGINE_STREAM_PLAN_H
#define ENGINE_STREAM_PLAN_H

#include "engine/base/arena.h"
#include "engine/graph/graph.h"
#include "engine/state/state.h"
#include "engine/stream/filter_index.h"
#include "rules/lang/limit.h"
#include "rules/lang/program.h"

/* A mask has a bit per stream, then per memory, of one stratum and keyspace, in the order of their struct
 * plan_keyspace. An event's row of mask_words holds the masks of all of them: those that fit share a word. */
enum { MASK_WORDS_MAX = (LIMIT_STREAMS + LIMIT_MEMORIES) / 64 + 1 };
/* What an index of all sources, and of all rules, may write. */
enum {
    SOURCE_WORDS_MAX = (LIMIT_STREAMS + LIMIT_MEMORIES + FILTER_LANES_MAX) / 64 + 1,
    RULE_WORDS_MAX = (LIMIT_RULES + FILTER_LANES_MAX) / 64 + 1
};

struct plan_stream {
    uint16_t window;        /* index inside its keyspace's layout */
    uint16_t bit;           /* in the masks of its keyspace and stratum */
    bool by_day;            /* its records must say their local day */
    uint8_t habit_count;
    const uint16_t *habit;  /* indexes into the program's aggregates: which have a habit, by its number - 1 */
};
struct plan_memory {
    uint16_t memory;        /* index inside its keyspace's layout */
    uint16_t bit;           /* in the masks of its keyspace and stratum */
};
struct plan_aggregate {
    uint16_t window, aggregate; /* indexes inside the keyspace's layout and the window */
    uint8_t habit;              /* `usual`: the number of its habit in the window */
};
/* A leg that a graph operator's pattern can end with: where an event's rows of masks (both sides') say that it is one; and what, by SIDE_…,
 * neither end of it may lack: bits of struct plan_lack. */
struct plan_leg {
    uint32_t word;
    uint64_t bit;
    uint64_t lacks[2];
};
/* Legs of a stream without which searches find nothing. Who visits a key that has none sets the bit in the last word of an event's row, of
 * the side that the key is. More than LACKS_MAX are not noted. */
enum { LACKS_MAX = 64 };
struct plan_lack {
    uint16_t stream, window;
    uint8_t bit;
};
/* A conjunct of a part that compares an input with numbers: the part is not true unless the input is known and in low..high. */
struct plan_gate {
    uint8_t input;
    uint16_t window;        /* that the input is read from */
    uint32_t records;       /* with fewer of them in the window the input does not lie there; 0: that says nothing */
    int64_t low, high;
};
/* A step of a rule, or its `unless`. */
struct plan_part {
    const struct rule_part *part;
    const uint64_t *mask;   /* streams whose update touches it */
    /* It is not true unless the event is one of these legs, or the key has a cell in one of these keyspaces. None of either: that says nothing. */
    uint8_t leg_count, trace_count;
    const struct plan_leg *leg;
    const uint16_t *trace;        /* of what the key carried, or where it stopped */
    uint16_t gate_count;
    const struct plan_gate *gate; /* in the order of the conjuncts */
};
struct plan_rule {
    uint16_t words;                  /* of the masks of its keyspace and stratum */
    const struct plan_part *step;    /* by step */
    const struct plan_part *unless;  /* by steps that were true before; NULL: none */
    uint16_t clock;         /* index inside its keyspace's layout */
    uint16_t attempt;       /* likewise, of a rule of several steps */
    const struct plan_leg *leg; /* by graph operator */
    const uint32_t *inputs; /* by node of the body: bits of the inputs that its part reads up to there */
};

/* A value of the event's slots without which a filter is not true, by side; NEED_NONE: it may be true whatever they hold. */
enum { NEED_NONE = UINT16_MAX };
struct plan_need {
    uint16_t slot[2];
};

/* What gives one word of a key, seen from one side of an event: an id that it names, else a field, else an expression. */
struct plan_word {
    enum event_ref ref;      /* REF_COUNT: no id */
    enum field field;        /* FIELD_COUNT: no field */
    const struct expr *expr;
};

/* Bits of one word of an event's rows: sources that use what a read finds. */
struct plan_asker {
    uint32_t word;
    uint64_t bits;
};
/* When a key is asked what its memories hold: always, or at events that one of these may let in (from either side). */
struct plan_ask {
    bool always;
    uint16_t count;
    const struct plan_asker *asker;
};

/* A rule of one step that every payment of the key touches, nearly always for nothing: its graph operators are 0. */
struct plan_idle {
    uint16_t number, clock;        /* among the rules of the keyspace; as in struct plan_rule */
    const struct plan_part *part;
};

/* What one stratum does for one keyspace. */
struct plan_keyspace {
    const struct keyspace *def;
    uint16_t keyspace;                             /* its index in the program */
    uint16_t stream_count, memory_count, read_count, rule_count;
    const uint16_t *stream, *memory, *read, *rule; /* indexes into the program */
    const struct plan_word *key[2];                /* by side: its words */
    uint16_t word, words, shift;                   /* where its mask lies in an event's row: from this bit of the first word on */
    uint64_t span;                                 /* the bits of it in each of its words */
    const struct plan_need *need;                  /* by bit of the masks */
    uint16_t rule_words;
    const uint64_t *touches;                       /* by bit of a stream: rule_words, bit j: it touches rule[j] */
    const uint64_t *touched_always;                /* rule_words: rules that every event of the key touches */
    uint16_t idle_count;
    const struct plan_idle *idle;
    uint16_t lack_count;
    const struct plan_lack *lack;                  /* what visits note of these keys */
    bool touched_by_all;                           /* some rule is evaluated at every event of the key */
    struct plan_ask ask[READ_SIDES];               /* by enum read_side: when this side's key is asked */
    const struct filter_index *conditions;         /* KEY_TRANSFER: of its rules */
};

/* The corridors of a list of routes. */
struct plan_route {
    uint16_t count;
    const struct corridor *corridor;
};

struct plan {
    const struct program *program;
    struct state_layout layout;
    uint16_t mask_words;    /* of an event's row, for one side; the last is for lacks, where there are any */
    uint16_t row_bits;      /* that masks take of it */
    uint16_t lack_count, lack_keyspace; /* of all strata; of which keyspace they are */
    const struct filter_index *filters; /* of all streams, then all memories */
    const uint32_t *place;  /* by item of it: bit of an event's row */
    const uint64_t *exact;  /* a row: sources that are true where the index names them */
    const struct plan_stream *stream;
    const struct plan_memory *memory;
    const struct plan_aggregate *aggregate;
    const struct plan_rule *rule;
    const struct plan_route *route; /* by list; of others none */
    /* [stratum * keyspace_count + keyspace] */
    const struct plan_keyspace *at;
    uint16_t busy_count[STRATUM_MAX]; /* by stratum: keyspaces that are not idle */
    const struct plan_keyspace **busy[STRATUM_MAX];
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

/* Where a bit of a keyspace's mask lies in an event's row; one word of the mask. */
static inline uint32_t row_place(const struct plan_keyspace *at, uint32_t bit)
{
    return at->word * 64u + at->shift + bit;
}
static inline uint64_t row_mask(const uint64_t *row, const struct plan_keyspace *at, uint32_t word)
{
    return (row[at->word + word] & at->span) >> at->shift;
}
static inline bool row_any(const uint64_t *row, const struct plan_keyspace *at)
{
    uint64_t all = 0;
    for (uint32_t w = 0; w < at->words; w++)
        all |= row[at->word + w];
    return (all & at->span) != 0;
}

static inline bool mask_any(const uint64_t *mask, uint32_t words)
{
    uint64_t all = 0;
    for (uint32_t w = 0; w < words; w++)
        all |= mask[w];
    return all != 0;
}

static inline bool mask_meets(const uint64_t *a, const uint64_t *b, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++)
        if (a[i] & b[i])
            return true;
    return false;
}

#endif
