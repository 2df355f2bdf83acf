/* Windows of keys that have gone quiet: those of few records lie without the first unit of their block, and get it back. */
#include "engine/state/window_private.h"

/* The newest of its records, which lie in the order of their times. */
static int64_t last_ms(const struct window *window, const struct window_layout *layout)
{
    const char *last = (const char *)window + window_ring_at(layout) + (size_t)(window->head + window->count - 1) * kept_size(layout);
    return ((const struct kept *)(const void *)last)->time_ms;
}

int64_t window_newest(const struct shard *shard, slab_ref ref, const struct window_layout *layout)
{
    const struct window *window = window_of(shard, ref);
    return window_is_folded(ref) ? last_ms(window, layout) : window->newest_ms;
}

void window_fold(struct shard *shard, const slab_ref *slot, const struct window_layout *layout)
{
    const struct window *window = window_of(shard, *slot);
    size_t before = window_ring_at(layout), size = kept_size(layout);
    if (window_is_folded(*slot) || window_of_edges(layout) || window->states || !window->count || last_ms(window, layout) != window->newest_ms)
        return;
    size_t folded = before - FOLDED_LACKS + window->count * size, whole = window_size(window, layout);
    slab_ref ref = slab_block(folded) < slab_block(whole) ? slab_alloc(&shard->slab, folded) : 0;
    if (!ref)
        return;
    char *block = slab_edit(&shard->slab, ref, folded);
    struct window *fresh = (struct window *)(void *)(block - FOLDED_LACKS);
    memcpy(block, (const char *)window + FOLDED_LACKS, before - FOLDED_LACKS);
    memcpy((char *)fresh + before, (const char *)window + before + window->head * size, window->count * size);
    fresh->room = window->count;
    fresh->head = 0;
    slab_free(&shard->slab, *slot, whole);
    *(slab_ref *)shard_edit(shard, slot, sizeof *slot) = ref | REF_FOLDED;
}

bool window_unfold(struct shard *shard, const slab_ref *slot, const struct window_layout *layout)
{
    if (!window_is_folded(*slot))
        return true;
    const struct window *window = window_of(shard, *slot);
    size_t whole = window_size(window, layout);
    slab_ref ref = slab_alloc(&shard->slab, whole);
    if (!ref)
        return false;
    struct window *fresh = slab_edit(&shard->slab, ref, whole);
    memcpy((char *)fresh + FOLDED_LACKS, (const char *)window + FOLDED_LACKS, whole - FOLDED_LACKS);
    fresh->newest_ms = last_ms(fresh, layout);
    slab_free(&shard->slab, window_block(*slot), whole - FOLDED_LACKS);
    *(slab_ref *)shard_edit(shard, slot, sizeof *slot) = ref;
    return true;
}
