/* What a rule costs, known when it is checked: bytes of each key from the layout that state will use, and
 * the largest number of steps that one event of its key can cost.
 *
 * A step is one node of an expression, or what takes about as long: a record added, a window read, a
 * bucket of a day, a sample of a habit put in its place, a key looked up for `is new`. What several rules
 * share is counted with each of them. Any thread. */
#ifndef ENGINE_STREAM_COST_H
#define ENGINE_STREAM_COST_H

#include "engine/stream/plan.h"

/* By steps: light up to COST_LIGHT, medium up to COST_MEDIUM, else heavy. */
enum { COST_LIGHT = 100, COST_MEDIUM = 400 };

struct rule_cost {
    uint16_t stream_count, shared;  /* streams it reads; those that other rules read too */
    uint16_t habits, seen;          /* aggregates with `usual`; kinds of values asked whether they are new */
    size_t key_bytes;               /* a key with one event in each stream, habits with it */
    size_t event_bytes;             /* each further event that is in all streams */
    size_t habit_bytes;             /* of key_bytes: what `usual` keeps */
    size_t seen_bytes;              /* each value that the key has met */
    uint32_t steps;
};

/* Of all rules, by their index, in the arena: all at once, for the keys that they share are measured once. */
const struct rule_cost *rule_costs(const struct plan *plan, struct arena *arena);
const char *cost_class(uint32_t steps); /* "light", "medium", "heavy" */

/* The streams that a rule reads, in order, each once; and the memories that they and the rule ask, those of
 * `is new` with them. Rooms: program->stream_count, program->memory_count. Return how many. */
uint16_t rule_streams(const struct program *program, const struct rule *rule, uint16_t *stream);
bool rule_reads_stream(const struct program *program, const struct rule *rule, uint16_t stream); /* whether it is one of them */
uint16_t rule_memories(const struct program *program, const struct rule *rule, uint16_t *memory);

#endif
