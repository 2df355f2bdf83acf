/* Decide: hits become points, points become alert revisions (RULES 20 to 26).
 *
 * State per (typology, subject) and per `once per` (rule, subject, role) lives in the slab of the
 * subject's virtual shard, under slab roots DECIDE_ROOT_*; so everything about one subject is worked
 * by one owner, in sequence order, and shards are independent of each other. */
#ifndef ENGINE_STREAM_DECIDE_H
#define ENGINE_STREAM_DECIDE_H

#include "engine/base/arena.h"
#include "engine/model/hit.h"
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

/* What one shard gives out; merged by the caller in the order (seq, typology name, subject bytes). */
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
                  const struct decide_visit *visit, uint32_t count, struct decide_out *out);

/* Drops scores and once-records that can no longer matter at horizon_ms. */
void decide_sweep(const struct decide *decide, struct shard *shard, int64_t horizon_ms);

/* After a restart with another program: maps typology and rule indexes by name. `hash` of the
 * definition is stored beside the state; dropped ones are freed. */
bool decide_adopt(const struct decide *decide, struct shard *shard, struct error *err) must_check;

#endif
