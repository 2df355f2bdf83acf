/* What decide and its sweep share: how scores lie in a subject's shard.
 *
 * Included by engine/stream/decide{,_sweep}.c only. */
#ifndef ENGINE_STREAM_DECIDE_PRIVATE_H
#define ENGINE_STREAM_DECIDE_PRIVATE_H

#include "engine/model/zone.h"
#include "engine/state/table.h"
#include "engine/stream/decide.h"

enum { MILLI = 1000 };

struct decide {
    const struct program *program;
    uint64_t *rule_hash;     /* by rule */
    uint64_t *typology_hash; /* by typology */
};

enum { STORED_LOWER = 1, STORED_UPPER = 2 };

/* Points that one hit gave to one subject. */
struct stored_hit {
    int64_t time_ms;
    uint64_t seq;
    uint64_t rule_hash;
    int32_t points;
    uint32_t bounds;           /* of a search that met a bound: STORED_LOWER, STORED_UPPER */
};

/* What is known of one subject for one typology. */
struct score {
    uint64_t typology_hash;
    uint32_t entity;
    uint32_t roles;            /* since the last gap */
    int64_t newest_ms;
    slab_ref stored;           /* struct stored_hit */
    uint32_t stored_count, stored_room;
    uint8_t open;              /* inside an episode */
    uint8_t kind;              /* enum entity_kind */
    uint16_t pad;
    /* of the episode */
    uint8_t alert_id[16];
    uint32_t revision, hit_total;
    int64_t first_ms;
    int64_t told_milli;        /* score of the last revision */
    uint32_t told_roles;
    uint32_t told_count;       /* indicators of the last revision: hashes in `told` */
    slab_ref told;
    uint32_t told_room;
    slab_ref first_text;       /* source, then id, of the event that began it */
    uint32_t first_source_size, first_id_size, pad2;
};

struct score_entry {
    uint32_t tag;
    slab_ref score;
};

struct once_entry {
    uint32_t tag;
    uint32_t last_place;       /* which hit of the event last_seq it was */
    uint64_t rule_hash;
    uint32_t entity, role;
    int64_t last_ms;           /* of the last hit that gave points */
    uint64_t last_seq;         /* of that hit's event */
};

/* RULES 23: what points come to after a time, in thousandths, towards zero. */
int64_t decayed_milli(int32_t points, int64_t elapsed_ms, int64_t half_life_ms);
/* RULES 25: so long after the last hit an episode ends. */
static inline int64_t episode_gap_ms(const struct typology *typology)
{
    return typology->half_life_ms ? typology->half_life_ms : 90 * (int64_t)MS_PER_DAY;
}
/* True when no hit of horizon_ms or later can tell the score from none. */
bool score_idle(const struct slab *slab, const struct score *score, const struct typology *typology, int64_t horizon_ms);
bool once_idle(const struct once_entry *entry, int64_t once_ms, int64_t horizon_ms);
/* Frees what a score holds besides itself. */
void score_empty(struct slab *slab, struct score *score);
void score_forget_episode(struct slab *slab, struct score *score);

#endif
