/* Decide: hits become points, points become alert revisions (RULES 20 to 26).
 *
 * State per (typology, subject) and per `once per` (rule, subject, role) lives in the slab of the
 * subject's virtual shard, under slab roots DECIDE_ROOT_*; so everything about one subject is worked
 * by one owner, in sequence order, and shards are independent of each other. Scores carry the hashes
 * of typology names and rule ids, so they survive a restart with changed rules: what a hit of a rule
 * that is gone gave counts nothing.
 *
 * Where RULES.md is silent:
 * - "newest" (23, 25) is the greatest event time of the live hits that named the subject for the
 *   typology; a late hit does not lower it, and its own points have decayed by its distance to it.
 * - Roles are collected from the first hit after a gap of half_life (else 90d) on, so a role given
 *   before the episode began is no news inside it.
 * - Two points clauses of one hit on one subject and role both give, inside `once per` too. Two hits of
 *   one event (a rule that holds for both ends of a payment) do not: they are 0 ms apart.
 * - The hits that formed an alert are those whose points have not decayed to nothing; each is named
 *   once, as is a later one, however many of its clauses give points. hit_total counts both.
 * - Points of one rule for one subject are added up, whatever their sign, before they are asked to be
 *   at least 1 (24); an indicator is new once per episode, even if it faded in between.
 * - Points, unlike roles, outlive the end of an episode: they only decay.
 * - At most STORED_MAX hits are kept per typology and subject; the oldest go first.
 * - A score goes once no hit of the horizon or later could tell it from none: the gap that ends an episode lies
 *   behind its newest hit, and each of its points has decayed to nothing; without a half-life points stay. `once per` goes
 *   when its span is over. The horizon (the slowest partition's newest time minus lateness, RULES 3, never
 *   falling) moves at fixed sequence numbers, and what is idle by it counts as absent, swept or not. So sweeping never
 *   shows; a hit of an event that comes later than the horizon finds no score that had gone by then.
 * - What belongs to a typology or rule that the loaded rules do not know is kept. */
#ifndef ENGINE_STREAM_DECIDE_H
#define ENGINE_STREAM_DECIDE_H

#include "engine/base/arena.h"
#include "engine/model/hit.h"
#include "engine/state/hash.h"
#include "engine/state/state.h"
#include "rules/lang/program.h"

enum { DECIDE_ROOT_SCORES = 48, DECIDE_ROOT_ONCE = 49 }; /* slab roots 48..55 belong to decide */

struct decide; /* immutable: what it needs of the program, by typology and rule */
struct decide *decide_new(const struct program *program);
void decide_free(struct decide *decide);

/* One visit: one subject of one hit, in the order (seq, rule, key order, subject order). */
struct decide_visit {
    struct hit *hit;
    uint32_t subject;      /* index into hit->subject */
};

/* What the shards of one worker give out; the caller merges by (seq, typology name, subject bytes). */
struct decide_out {
    struct alert_revision *revision;
    uint32_t revision_count, revision_room;
    struct alert_hit *alert_hit;   /* sorted as produced: by (seq, rule) */
    uint32_t alert_hit_count, alert_hit_room;
    struct arena *arena;           /* all that the above points to lives here */
};

/* Works the visits of one shard, in order. Shadow hits never arrive here. Sets
 * hit->subject[i].given. All visits of one event (same seq) are applied before its touched
 * (typology, subject) pairs are judged, each once. */
void decide_shard(const struct decide *decide, struct shard *shard, const struct state *state,
                  const struct decide_visit *visit, uint32_t count, int64_t horizon_ms, struct decide_out *out);

/* Drops what is idle in one shard and marks the subjects of what stays (engine/state/state.h). */
void decide_sweep(const struct decide *decide, struct shard *shard, const struct state *state, int64_t horizon_ms);

/* Adds what is remembered of one shard's subjects to the state hash: scores with the hits that are not
 * faded and their episodes, and when each `once per` last gave points while that still holds points back
 * at horizon_ms (INT64_MIN: before any event). */
void decide_hash(const struct decide *decide, struct shard *shard, const struct state *state, int64_t horizon_ms, struct state_sum *sum);

#endif
