/* Counts what the keys of a keyspace hold, part by part. */
#include "engine/state/private.h"

static void count(struct census *census, size_t bytes)
{
    census->keys++;
    census->bytes += bytes;
}

static void cell_census(const struct shard *shard, const struct keyspace_layout *layout, const struct cell *cell, struct census *window,
                        struct census *memory)
{
    for (uint16_t w = 0; w < layout->window_count; w++) {
        slab_ref ref = window_ref(cell, layout, w);
        if (ref)
            count(&window[w], window_bytes(shard, ref, &layout->window[w]));
    }
    for (uint16_t m = 0; m < layout->memory_count; m++) {
        slab_ref ref = memory_ref(cell, layout, m);
        if (memory_held(cell, layout, m))
            count(&memory[m], slab_block(layout->memory[m].dated ? fact_bytes(shard, ref, &layout->memory[m]) : memory_block_bytes(layout, m)));
    }
}

void state_census(const struct state *state, uint16_t keyspace, struct census *cells, struct census *window, struct census *memory)
{
    const struct keyspace_layout *layout = &state->layout.keyspace[keyspace];
    for (uint32_t s = 0; s < SHARD_COUNT; s++) {
        const struct shard *shard = &state->shard[s];
        const struct cell *cell;
        uint32_t at = 0;
        while (cell_next(shard, keyspace, &at, &cell)) {
            count(cells, slab_block(cell_bytes(cell, layout)) + cell_entry_bytes() + (clocks_ref(cell, layout) ? slab_block(clocks_bytes(layout)) : 0));
            cell_census(shard, layout, cell, window, memory);
        }
    }
}
