/* The state hash: one number for all that the engine remembers, so that two engines that stand at the
 * same journal row can be compared: active and standby, before and after a restart, any threads.
 *
 * Each piece of content (a key with all it keeps, a repeat, a score …) is written down canonically, with
 * texts where the state has ids and definition hashes where it has indexes, hashed by BLAKE2b-256, and
 * the sums are added modulo 2^256. So neither ids, places in memory, the SipHash key, the order of work
 * nor what a sweep has or has not removed yet shows; tails, tables and lists that only make reading
 * quick stay out. What counts as content is what still may matter by definition (struct state_horizon);
 * an identity counts only through what refers to it.
 *
 * One limit: of a repeat or a first report the state keeps keyed hashes, no text. Of these the hash
 * holds when they were seen and (for reports) which ends they named, not which they were.
 *
 * Reads only: between batches, by the thread that runs the step. About a second per GiB of state. */
#ifndef ENGINE_STATE_HASH_H
#define ENGINE_STATE_HASH_H

#include "engine/model/zone.h"
#include "engine/state/state.h"

enum { STATE_HASH_BYTES = 32 };

struct state_sum {
    uint64_t word[4]; /* lowest first */
};

/* One piece of content being written down; zero it before the first use and free it with hash_item_fini. */
struct hash_item {
    char *data;
    size_t size, room;
};
void hash_item_number(struct hash_item *item, int64_t number);
void hash_item_text(struct hash_item *item, struct slice text);
/* The entity by its text; ENTITY_MISSING is the empty one. */
void hash_item_entity(struct hash_item *item, const struct state *state, entity_id id);
/* Adds the piece to the sum and empties it. */
void hash_item_add(struct hash_item *item, struct state_sum *sum);
void hash_item_fini(struct hash_item *item);

/* From when on what is kept may still matter. */
struct state_horizon {
    int64_t keys_ms;         /* by it keys are dropped (RULES 3); INT64_MIN: none is yet */
    int64_t dedup_ms;        /* repeats before it are forgotten */
    const struct zone *zone; /* of the rule set: days and weeks */
};

/* Adds everything that engine/state keeps itself. */
void state_hash(const struct state *state, const struct state_horizon *horizon, struct state_sum *sum);

#endif
