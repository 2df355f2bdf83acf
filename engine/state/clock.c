/* Clocks: when each rule last looked at a key, in a block of their own that an idle key does without. */
#include "engine/state/private.h"

#include "engine/base/invariant.h"

size_t clocks_bytes(const struct keyspace_layout *layout)
{
    return layout->clock_count * sizeof(int64_t);
}

static void clocks_point(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, slab_ref ref)
{
    const slab_ref *slot = part_slot(cell, layout, layout->cell.clocks_at);
    *(slab_ref *)shard_edit(shard, slot, sizeof *slot) = ref;
}

/* Even in a full shard, for a clock that does not rise makes rules see what their windows have left behind; 0 at the end of the
 * reserve. Clocks that were never raised are INT64_MIN. */
static slab_ref clocks_make(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout)
{
    slab_ref ref = slab_alloc(&shard->slab, clocks_bytes(layout));
    if (!ref) {
        shard_bound_hit(shard, BOUND_KEY);
        return 0;
    }
    int64_t *clock = slab_edit(&shard->slab, ref, clocks_bytes(layout));
    for (uint16_t i = 0; i < layout->clock_count; i++)
        clock[i] = INT64_MIN;
    clocks_point(shard, cell, layout, ref);
    return ref;
}

int64_t clock_read(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t clock)
{
    slab_ref clocks = clocks_ref(cell, shard_layout(shard, keyspace));
    return clocks ? ((const int64_t *)slab_at(&shard->slab, clocks))[clock] : INT64_MIN;
}

int64_t *clocks_edit(struct shard *shard, struct cell *cell, uint16_t keyspace, int64_t time_ms)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    invariant(!cell_is_packed(cell, layout));
    slab_ref clocks = slot_ref(cell, layout->cell.clocks_at);
    if (!clocks)
        clocks = clocks_make(shard, cell, layout);
    if (!clocks)
        return NULL;
    if (time_ms > cell->newest_ms)
        ((struct cell *)shard_edit(shard, cell, sizeof *cell))->newest_ms = time_ms;
    return slab_edit(&shard->slab, clocks, clocks_bytes(layout));
}

int64_t clock_raise(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t clock, int64_t time_ms)
{
    int64_t *clocks = clocks_edit(shard, cell, keyspace, time_ms);
    return clocks ? clock_lift(&clocks[clock], time_ms) : time_ms;
}

bool clock_prefetch(const struct shard *shard, const struct cell *cell, uint16_t keyspace)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    if (cell_is_packed(cell, layout))
        return false;
    slab_ref clocks = layout->clock_count ? slot_ref(cell, layout->cell.clocks_at) : 0;
    if (clocks)
        cache_ask(slab_at(&shard->slab, clocks), clocks_bytes(layout));
    return true;
}

bool clocks_copy(struct shard *shard, struct cell *cell, const struct keyspace_layout *to, const struct cell *old,
                 const struct keyspace_layout *from, const int *place)
{
    slab_ref had = clocks_ref(old, from);
    if (!had || !to->clock_count)
        return true;
    slab_ref made = clocks_make(shard, cell, to);
    if (!made)
        return false;
    const int64_t *before = slab_at(&shard->slab, had);
    int64_t *clock = slab_edit(&shard->slab, made, clocks_bytes(to));
    for (uint16_t i = 0; i < to->clock_count; i++)
        if (place[i] >= 0)
            clock[i] = before[place[i]];
    return true;
}

void clocks_free(struct shard *shard, slab_ref clocks, const struct keyspace_layout *layout)
{
    slab_free(&shard->slab, clocks, clocks_bytes(layout));
}

/* A clock before the horizon says nothing that an event to come could not say itself. An event that is not late comes at or behind it
 * (RULES 3), so it raises the clock to its own time whatever stood there; one that is late, and a fact, raises and reads none. Only a
 * partition of which nothing was heard until the horizon had passed its first events has some that are not late and come before: for those
 * that begin less than CLOCK_KEEP_MS behind it clocks are all there still, and further behind engine/stream/judge.c counts these as never
 * raised, swept or not. */
void clocks_thin(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, int64_t horizon_ms)
{
    slab_ref clocks = clocks_ref(cell, layout);
    const int64_t *clock = slab_at(&shard->slab, clocks);
    int64_t before_ms = horizon_ms - CLOCK_KEEP_MS;
    if (!clocks)
        return;
    for (uint16_t i = 0; cell->newest_ms >= before_ms && i < layout->clock_count; i++)
        if (clock[i] >= before_ms)
            return;
    clocks_free(shard, clocks, layout);
    clocks_point(shard, cell, layout, 0);
}
