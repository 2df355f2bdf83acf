/* Scores and `once per` that can no longer change a result: telling them, and sweeping them away. */
#include "engine/stream/decide_private.h"

#include "engine/base/invariant.h"

/* --- what is idle --- */

bool score_idle(const struct slab *slab, const struct score *score, const struct typology *typology, int64_t horizon_ms)
{
    if (score->newest_ms == INT64_MIN || horizon_ms == INT64_MIN || score->newest_ms > horizon_ms - episode_gap_ms(typology))
        return false; /* the next hit may still belong to the episode, or find its roles */
    const struct stored_hit *stored = slab_at(slab, score->stored);
    for (uint32_t i = 0; i < score->stored_count; i++)
        if (decayed_milli(stored[i].points, horizon_ms - stored[i].time_ms, typology->half_life_ms) != 0)
            return false;
    return true;
}

bool once_idle(const struct once_entry *entry, int64_t once_ms, int64_t horizon_ms)
{
    return horizon_ms != INT64_MIN && entry->last_ms <= horizon_ms - once_ms;
}

void score_empty(struct slab *slab, struct score *score)
{
    score_forget_episode(slab, score);
    slab_free(slab, score->stored, score->stored_room * sizeof(struct stored_hit));
    score->stored = 0;
    score->stored_count = score->stored_room = 0;
    score->roles = 0;
    score->newest_ms = INT64_MIN;
}

/* --- the sweep --- */

static void *edit(struct slab *slab, const void *at, size_t size)
{
    size_t offset = (size_t)((const char *)at - slab->base);
    (void)slab_edit(slab, (slab_ref)(offset / 16), size + offset % 16);
    return slab->base + offset;
}

/* NULL when the loaded rules do not know the typology. */
static const struct typology *typology_of(const struct decide *decide, uint64_t hash)
{
    for (uint16_t i = 0; i < decide->program->typology_count; i++)
        if (decide->typology_hash[i] == hash)
            return &decide->program->typology[i];
    return NULL;
}

/* -1 when the loaded rules do not know the rule. */
static int64_t once_of(const struct decide *decide, uint64_t hash)
{
    for (uint16_t i = 0; i < decide->program->rule_count; i++)
        if (decide->rule_hash[i] == hash)
            return decide->program->rule[i].once_ms;
    return -1;
}

/* Points that have decayed to nothing leave, and the room they had goes with them. */
static void stored_shrink(struct slab *slab, struct score *score)
{
    if (score->stored_room <= 8 || score->stored_room / 4 <= score->stored_count)
        return;
    uint32_t room = 4;
    while (room < 2 * score->stored_count)
        room *= 2;
    slab_ref fresh = slab_alloc(slab, room * sizeof(struct stored_hit));
    if (!fresh)
        return;
    if (score->stored_count)
        memcpy(slab_edit(slab, fresh, room * sizeof(struct stored_hit)), slab_at(slab, score->stored),
               score->stored_count * sizeof(struct stored_hit));
    slab_free(slab, score->stored, score->stored_room * sizeof(struct stored_hit));
    score->stored = fresh;
    score->stored_room = room;
}

static void stored_fade(struct slab *slab, struct score *score, const struct typology *typology)
{
    struct stored_hit *stored = slab_edit(slab, score->stored, score->stored_room * sizeof *stored);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < score->stored_count; i++)
        if (decayed_milli(stored[i].points, score->newest_ms - stored[i].time_ms, typology->half_life_ms) != 0)
            stored[kept++] = stored[i];
    score->stored_count = kept;
    stored_shrink(slab, score);
}

static void scores_sweep(const struct decide *decide, struct slab *slab, const struct state *state, int64_t horizon_ms)
{
    struct table *table = slab_edit(slab, slab_root(slab, DECIDE_ROOT_SCORES), sizeof *table);
    const struct score_entry *entry = slab_at(slab, table->entries);
    for (uint32_t i = 0; i < table->room; i++) {
        if (entry[i].tag <= TAG_REMOVED)
            continue;
        struct score *score = slab_edit(slab, entry[i].score, sizeof *score);
        const struct typology *typology = typology_of(decide, score->typology_hash);
        if (!typology || !score_idle(slab, score, typology, horizon_ms)) {
            ident_mark(state, score->entity);
            if (typology && score->stored_count)
                stored_fade(slab, score, typology);
            continue;
        }
        score_empty(slab, score);
        slab_free(slab, entry[i].score, sizeof *score);
        table_remove(table, edit(slab, &entry[i], sizeof entry[i]));
    }
    table_fit(slab, table, sizeof *entry);
}

static void once_sweep(const struct decide *decide, struct slab *slab, const struct state *state, int64_t horizon_ms)
{
    struct table *table = slab_edit(slab, slab_root(slab, DECIDE_ROOT_ONCE), sizeof *table);
    const struct once_entry *entry = slab_at(slab, table->entries);
    for (uint32_t i = 0; i < table->room; i++) {
        if (entry[i].tag <= TAG_REMOVED)
            continue;
        int64_t once_ms = once_of(decide, entry[i].rule_hash);
        if (once_ms >= 0 && once_idle(&entry[i], once_ms, horizon_ms))
            table_remove(table, edit(slab, &entry[i], sizeof entry[i]));
        else
            ident_mark(state, entry[i].entity);
    }
    table_fit(slab, table, sizeof *entry);
}

void decide_sweep(const struct decide *decide, struct shard *shard, const struct state *state, int64_t horizon_ms)
{
    struct slab *slab = shard_slab(shard);
    if (slab_root(slab, DECIDE_ROOT_SCORES))
        scores_sweep(decide, slab, state, horizon_ms);
    if (slab_root(slab, DECIDE_ROOT_ONCE))
        once_sweep(decide, slab, state, horizon_ms);
}
