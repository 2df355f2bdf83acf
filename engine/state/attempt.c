/* Attempts: what a rule of several steps keeps of a key between them, as words that stream gives meaning. */
#include "engine/state/private.h"

slab_ref attempt_ref(const struct cell *cell, const struct keyspace_layout *layout, uint16_t attempt)
{
    return part_ref(cell, layout, cell_attempt_at(layout, attempt));
}

size_t attempt_bytes(const struct attempt_layout *layout)
{
    return layout->word_count * sizeof(int64_t);
}

int64_t attempt_last_ms(const struct shard *shard, slab_ref ref, const struct attempt_layout *layout)
{
    return ((const int64_t *)slab_at(&shard->slab, ref))[layout->time_word];
}

void attempt_mark(const struct shard *shard, slab_ref ref, const struct attempt_layout *layout)
{
    if (!ref)
        return;
    const int64_t *kept = (const int64_t *)slab_at(&shard->slab, ref) + layout->kept_from;
    for (uint32_t left = layout->entity_kept; left; left &= left - 1) {
        int64_t id = kept[__builtin_ctz(left)];
        if (id != MISSING_I64)
            ident_mark(shard->state, (entity_id)id);
    }
}

bool attempt_get(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t attempt, int64_t *words)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref ref = attempt_ref(cell, layout, attempt);
    if (ref)
        memcpy(words, slab_at(&shard->slab, ref), attempt_bytes(&layout->attempt[attempt]));
    return ref != 0;
}

static void attempt_point(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, uint16_t attempt, slab_ref ref)
{
    const slab_ref *slot = part_slot(cell, layout, cell_attempt_at(layout, attempt));
    *(slab_ref *)shard_edit(shard, slot, sizeof *slot) = ref;
}

bool attempt_put(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t attempt, const int64_t *words)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    size_t size = attempt_bytes(&layout->attempt[attempt]);
    slab_ref ref = attempt_ref(cell, layout, attempt);
    if (!ref) {
        ref = shard_full(shard) ? 0 : slab_alloc(&shard->slab, size);
        if (!ref) {
            shard_bound_hit(shard, BOUND_ATTEMPT);
            return false;
        }
        attempt_point(shard, cell, layout, attempt, ref);
    }
    memcpy(slab_edit(&shard->slab, ref, size), words, size);
    return true;
}

void attempt_end(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t attempt)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref ref = attempt_ref(cell, layout, attempt);
    if (!ref)
        return;
    slab_free(&shard->slab, ref, attempt_bytes(&layout->attempt[attempt]));
    attempt_point(shard, cell, layout, attempt, 0);
}
