/* Cells: one key's clocks, windows and memories, found by the words of the key. */
#include "engine/state/private.h"

#include "engine/base/invariant.h"

struct cell_entry {
    uint32_t tag, home;
    slab_ref cell;
};

struct cell_want {
    const struct shard *shard;
    const uint32_t *key;
    uint8_t width;
};

static uint64_t key_hash(const uint32_t *key, uint8_t width)
{
    uint64_t hash = 0;
    for (int i = 0; i < width; i++) {
        hash = (hash ^ key[i]) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 32;
    }
    return hash * 0xD6E8FEB86659FD93u;
}

static const struct table *keys_table(const struct shard *shard, uint16_t keyspace)
{
    return shard->keys + keyspace;
}

bool keys_init(struct shard *shard, struct error *err)
{
    uint16_t count = shard->state->layout.keyspace_count;
    slab_ref root = slab_alloc(&shard->slab, (size_t)(count ? count : 1) * sizeof(struct table));
    if (!root)
        return error_set(err, ERROR_FATAL, "shard_mb_max is too small to begin with");
    slab_root_set(&shard->slab, ROOT_KEYS, root);
    return true;
}

static bool cell_same(const void *context, const void *entry)
{
    const struct cell_want *want = context;
    const struct cell *cell = slab_at(&want->shard->slab, ((const struct cell_entry *)entry)->cell);
    for (int i = 0; i < want->width; i++)
        if (cell->key[i] != want->key[i])
            return false;
    return true;
}

struct cell *cell_find(struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    uint8_t width = shard_layout(shard, keyspace)->width;
    struct cell_want want = {shard, key, width};
    const struct cell_entry *entry =
        table_find(&shard->slab, keys_table(shard, keyspace), sizeof *entry, key_hash(key, width), cell_same, &want);
    return entry ? (struct cell *)(void *)(shard->slab.base + (size_t)entry->cell * 16) : NULL;
}

struct cell *cell_get(struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    struct cell *cell = cell_find(shard, keyspace, key);
    if (cell)
        return cell;
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref ref = slab_alloc(&shard->slab, cell_size(layout));
    if (!ref)
        return NULL;
    struct table *table = shard_edit(shard, keys_table(shard, keyspace), sizeof *table);
    struct cell_entry *entry = table_add(&shard->slab, table, sizeof *entry, key_hash(key, layout->width));
    if (!entry) {
        slab_free(&shard->slab, ref, cell_size(layout));
        return NULL;
    }
    entry->cell = ref;
    cell = slab_edit(&shard->slab, ref, cell_size(layout));
    memcpy(cell->key, key, layout->width * sizeof *key);
    cell->newest_ms = INT64_MIN;
    int64_t never = INT64_MIN;
    for (uint16_t i = 0; i < layout->clock_count; i++)
        memcpy((char *)cell + cell_clock_at(i), &never, sizeof never);
    return cell;
}

void cell_prefetch(const struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    const struct table *table = keys_table(shard, keyspace);
    if (!table->room)
        return;
    uint32_t at = (uint32_t)(key_hash(key, shard_layout(shard, keyspace)->width) >> 8) & (table->room - 1);
    __builtin_prefetch((const char *)slab_at(&shard->slab, table->entries) + (size_t)at * sizeof(struct cell_entry));
}

/* The entry was asked into the cache some visits ago: now the cell it points to. */
void cell_prefetch_body(const struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    const struct table *table = keys_table(shard, keyspace);
    if (!table->room)
        return;
    uint64_t hash = key_hash(key, shard_layout(shard, keyspace)->width);
    const struct cell_entry *entries = slab_at(&shard->slab, table->entries);
    const struct cell_entry *entry = &entries[(uint32_t)(hash >> 8) & (table->room - 1)];
    if (entry->tag != table_tag(hash))
        return;
    const char *cell = slab_at(&shard->slab, entry->cell);
    __builtin_prefetch(cell);
    __builtin_prefetch(cell + 64);
    __builtin_prefetch(cell + 128);
}

int64_t clock_read(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t clock)
{
    int64_t time_ms;
    (void)shard;
    (void)keyspace;
    memcpy(&time_ms, (const char *)cell + cell_clock_at(clock), sizeof time_ms);
    return time_ms;
}

int64_t clock_raise(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t clock, int64_t time_ms)
{
    int64_t now = clock_read(shard, cell, keyspace, clock);
    if (now >= time_ms)
        return now;
    memcpy(shard_edit(shard, (char *)cell + cell_clock_at(clock), sizeof time_ms), &time_ms, sizeof time_ms);
    if (time_ms > cell->newest_ms)
        ((struct cell *)shard_edit(shard, cell, sizeof *cell))->newest_ms = time_ms;
    return time_ms;
}

/* --- memories --- */

size_t memory_bytes(const struct memory_layout *layout)
{
    return offsetof(struct memory_record, keep) + layout->keep_count * sizeof(int64_t);
}

void memory_put(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t memory, const struct memory_record *record)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    size_t size = memory_bytes(&layout->memory[memory]);
    slab_ref ref = memory_ref(cell, layout, memory);
    if (ref) {
        const struct memory_record *have = slab_at(&shard->slab, ref);
        if (have->time_ms > record->time_ms || (have->time_ms == record->time_ms && have->seq > record->seq))
            return; /* the record with the greatest (time, seq) stays: RULES 19 */
    } else {
        ref = slab_alloc(&shard->slab, size);
        if (!ref)
            return;
        memcpy(shard_edit(shard, (char *)cell + cell_memory_at(layout, memory), sizeof ref), &ref, sizeof ref);
    }
    memcpy(slab_edit(&shard->slab, ref, size), record, size);
    struct cell *edited = shard_edit(shard, cell, sizeof *cell);
    if (record->time_ms > edited->newest_ms)
        edited->newest_ms = record->time_ms;
}

bool memory_get(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t memory, struct memory_record *out)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref ref = memory_ref(cell, layout, memory);
    if (!ref)
        return false;
    memcpy(out, slab_at(&shard->slab, ref), memory_bytes(&layout->memory[memory]));
    return true;
}

/* --- sweeping and adopting --- */

static void cell_drop(struct shard *shard, slab_ref ref, const struct keyspace_layout *layout)
{
    const struct cell *cell = slab_at(&shard->slab, ref);
    for (uint16_t i = 0; i < layout->window_count; i++) {
        slab_ref window;
        memcpy(&window, (const char *)cell + cell_window_at(layout, i), sizeof window);
        window_free(shard, window, &layout->window[i]);
    }
    for (uint16_t i = 0; i < layout->memory_count; i++) {
        slab_ref memory = memory_ref(cell, layout, i);
        if (layout->memory[i].dated)
            fact_free(shard, memory, &layout->memory[i]);
        else
            slab_free(&shard->slab, memory, memory_bytes(&layout->memory[i]));
    }
    slab_free(&shard->slab, ref, cell_size(layout));
}

uint64_t shard_sweep(struct shard *shard, int64_t horizon_ms, int64_t dedup_horizon_ms)
{
    uint64_t dropped = 0;
    dedup_sweep(shard, dedup_horizon_ms);
    for (uint16_t k = 0; k < shard->state->layout.keyspace_count; k++) {
        const struct keyspace_layout *layout = shard_layout(shard, k);
        struct table *table = shard_edit(shard, keys_table(shard, k), sizeof *table);
        const struct cell_entry *entries = slab_at(&shard->slab, table->entries);
        for (uint32_t i = 0; i < table->room; i++) {
            if (entries[i].tag <= TAG_REMOVED)
                continue;
            const struct cell *cell = slab_at(&shard->slab, entries[i].cell);
            if (cell->newest_ms >= horizon_ms - layout->widest_ms)
                continue;
            cell_drop(shard, entries[i].cell, layout);
            table_remove(table, shard_edit(shard, &entries[i], sizeof entries[i]));
            dropped++;
        }
    }
    return dropped;
}

bool cell_next(const struct shard *shard, uint16_t keyspace, uint32_t *at, const struct cell **cell)
{
    const struct table *table = keys_table(shard, keyspace);
    const struct cell_entry *entries = slab_at(&shard->slab, table->entries);
    while (*at < table->room && entries[*at].tag <= TAG_REMOVED)
        ++*at;
    if (*at == table->room)
        return false;
    *cell = slab_at(&shard->slab, entries[(*at)++].cell);
    return true;
}

void keys_stats(const struct shard *shard, struct state_stats *stats)
{
    for (uint16_t k = 0; k < shard->state->layout.keyspace_count; k++) {
        const struct keyspace_layout *layout = shard_layout(shard, k);
        const struct table *table = keys_table(shard, k);
        const struct cell_entry *entries = slab_at(&shard->slab, table->entries);
        stats->keys += table->count;
        stats->key_bytes += (uint64_t)table->room * sizeof *entries + (uint64_t)table->count * cell_size(layout);
        for (uint32_t i = 0; i < table->room; i++) {
            if (entries[i].tag <= TAG_REMOVED)
                continue;
            const struct cell *cell = slab_at(&shard->slab, entries[i].cell);
            for (uint16_t w = 0; w < layout->window_count; w++) {
                slab_ref window;
                memcpy(&window, (const char *)cell + cell_window_at(layout, w), sizeof window);
                stats->records += window_records(shard, window);
                stats->record_bytes += window_bytes(shard, window, &layout->window[w]);
            }
            for (uint16_t m = 0; m < layout->memory_count; m++)
                stats->memories += memory_ref(cell, layout, m) != 0;
        }
    }
}
