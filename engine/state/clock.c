/* Clocks: when each rule last looked at a key, in a block of their own that an idle key does without. */
#include "engine/state/private.h"

size_t clocks_bytes(const struct keyspace_layout *layout)
{
    return layout->clock_count * sizeof(int64_t);
}

/* Even in a full shard, for a clock that does not rise makes rules see what their windows have left behind; false at the end of the
 * reserve. Clocks that were never raised are INT64_MIN. */
static bool clocks_make(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout)
{
    slab_ref ref = slab_alloc(&shard->slab, clocks_bytes(layout));
    if (!ref) {
        shard_bound_hit(shard, BOUND_KEY);
        return false;
    }
    int64_t *clock = slab_edit(&shard->slab, ref, clocks_bytes(layout));
    for (uint16_t i = 0; i < layout->clock_count; i++)
        clock[i] = INT64_MIN;
    ((struct cell *)shard_edit(shard, cell, sizeof *cell))->clocks = ref;
    return true;
}

int64_t clock_read(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t clock)
{
    (void)keyspace;
    return cell->clocks ? ((const int64_t *)slab_at(&shard->slab, cell->clocks))[clock] : INT64_MIN;
}

int64_t *clocks_edit(struct shard *shard, struct cell *cell, uint16_t keyspace, int64_t time_ms)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    if (!cell->clocks && !clocks_make(shard, cell, layout))
        return NULL;
    if (time_ms > cell->newest_ms)
        ((struct cell *)shard_edit(shard, cell, sizeof *cell))->newest_ms = time_ms;
    return slab_edit(&shard->slab, cell->clocks, clocks_bytes(layout));
}

int64_t clock_raise(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t clock, int64_t time_ms)
{
    int64_t *clocks = clocks_edit(shard, cell, keyspace, time_ms);
    return clocks ? clock_lift(&clocks[clock], time_ms) : time_ms;
}

void clock_prefetch(const struct shard *shard, const struct cell *cell, uint16_t keyspace)
{
    if (cell->clocks)
        cache_ask(slab_at(&shard->slab, cell->clocks), clocks_bytes(shard_layout(shard, keyspace)));
}

bool clocks_copy(struct shard *shard, struct cell *cell, const struct keyspace_layout *to, const struct cell *old, const int *place)
{
    if (!old->clocks || !to->clock_count)
        return true;
    if (!clocks_make(shard, cell, to))
        return false;
    const int64_t *from = slab_at(&shard->slab, old->clocks);
    int64_t *clock = slab_edit(&shard->slab, cell->clocks, clocks_bytes(to));
    for (uint16_t i = 0; i < to->clock_count; i++)
        if (place[i] >= 0)
            clock[i] = from[place[i]];
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
    const int64_t *clock = slab_at(&shard->slab, cell->clocks);
    int64_t before_ms = horizon_ms - CLOCK_KEEP_MS;
    if (!cell->clocks)
        return;
    for (uint16_t i = 0; cell->newest_ms >= before_ms && i < layout->clock_count; i++)
        if (clock[i] >= before_ms)
            return;
    clocks_free(shard, cell->clocks, layout);
    ((struct cell *)shard_edit(shard, cell, sizeof *cell))->clocks = 0;
}
