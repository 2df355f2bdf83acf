/* Cells: what leads to one key's clocks, windows, memories and attempts, found by the words of the key. */
#include "engine/state/private.h"

#include "engine/base/invariant.h"

struct cell_want {
    const struct shard *shard;
    const uint32_t *key;
    uint8_t width;
};

size_t cell_entry_bytes(void)
{
    return sizeof(struct cell_entry);
}

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

static bool key_same(const uint32_t *a, const uint32_t *b, uint8_t width)
{
    for (int i = 0; i < width; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static bool cell_same(const void *context, const void *entry)
{
    const struct cell_want *want = context;
    const struct cell *cell = slab_at(&want->shard->slab, ((const struct cell_entry *)entry)->cell);
    return key_same(cell->key, want->key, want->width);
}

static inline const struct cell_entry *entry_find(const struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    uint8_t width = shard_layout(shard, keyspace)->width;
    struct cell_want want = {shard, key, width};
    return table_find(&shard->slab, keys_table(shard, keyspace), sizeof(struct cell_entry), key_hash(key, width), cell_same, &want);
}

struct cell *cell_find(struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    const struct cell_entry *entry = entry_find(shard, keyspace, key);
    return entry ? cell_at(shard, entry->cell) : NULL;
}

bool cell_likely(const struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    uint64_t hash = key_hash(key, shard_layout(shard, keyspace)->width);
    return table_guess(&shard->slab, keys_table(shard, keyspace), sizeof(struct cell_entry), hash) != NULL;
}

struct cell *cell_find_near(struct shard *shard, uint16_t keyspace, const uint32_t *key, const struct cell *near)
{
    if (near && key_same(near->key, key, shard_layout(shard, keyspace)->width))
        return (struct cell *)(uintptr_t)near;
    return cell_find(shard, keyspace, key);
}

struct cell *cell_add(struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref ref = shard_full(shard) ? 0 : slab_alloc(&shard->slab, cell_size(layout));
    struct table *table = shard_edit(shard, keys_table(shard, keyspace), sizeof *table);
    struct cell_entry *entry = ref ? table_add(&shard->slab, table, sizeof *entry, key_hash(key, layout->width)) : NULL;
    if (!entry) {
        slab_free(&shard->slab, ref, cell_size(layout));
        shard_bound_hit(shard, BOUND_KEY);
        return NULL;
    }
    entry->cell = ref;
    struct cell *cell = slab_edit(&shard->slab, ref, cell_size(layout));
    memcpy(cell->key, key, layout->width * sizeof *key);
    cell->newest_ms = INT64_MIN;
    return cell;
}

struct cell *cell_get(struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    struct cell *cell = cell_find(shard, keyspace, key);
    return cell ? cell_open(shard, keyspace, cell) : cell_add(shard, keyspace, key);
}

static struct cell *packed_open(struct shard *shard, uint16_t keyspace, const struct cell *cell)
{
    const struct cell_entry *entry = entry_find(shard, keyspace, cell->key);
    slab_ref ref = cell_unpack(shard, entry->cell, shard_layout(shard, keyspace));
    if (!ref) {
        shard_bound_hit(shard, BOUND_KEY);
        return NULL;
    }
    ((struct cell_entry *)shard_edit(shard, entry, sizeof *entry))->cell = ref;
    return cell_at(shard, ref);
}

struct cell *cell_open(struct shard *shard, uint16_t keyspace, struct cell *cell)
{
    return cell_is_packed(cell, shard_layout(shard, keyspace)) ? packed_open(shard, keyspace, cell) : cell;
}

void cell_prefetch(const struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    const struct table *table = keys_table(shard, keyspace);
    if (!table->room)
        return;
    uint32_t at = table_place(table_tag(key_hash(key, shard_layout(shard, keyspace)->width)), table->room);
    const char *entry = (const char *)slab_at(&shard->slab, table->entries) + (size_t)at * sizeof(struct cell_entry);
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 32); /* a search passes five entries where it finds none */
}

/* The entry was asked into the cache some visits ago: now the cell it points to. A third of all entries do not lie at their home but
 * behind it. */
const struct cell *cell_prefetch_body(const struct shard *shard, uint16_t keyspace, const uint32_t *key)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    const struct cell_entry *entry =
        table_guess(&shard->slab, keys_table(shard, keyspace), sizeof *entry, key_hash(key, layout->width));
    if (!entry)
        return NULL;
    const struct cell *cell = slab_at(&shard->slab, entry->cell);
    cache_ask(cell, cell_size(layout));
    return cell;
}

void memory_prefetch(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t memory)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref ref = memory_is_newest(layout) ? 0 : slot_ref(cell, cell_memory_at(layout, memory));
    if (ref)
        __builtin_prefetch(slab_at(&shard->slab, ref));
}

/* --- memories --- */

size_t memory_bytes(const struct memory_layout *layout)
{
    return offsetof(struct memory_record, keep) + layout->keep_count * sizeof(int64_t);
}

size_t memory_block_bytes(const struct keyspace_layout *layout, uint16_t memory)
{
    if (cell_shape(layout).memory_at == 0)
        return 0;
    return layout->memory[memory].dated ? fact_row_bytes(&layout->memory[memory]) : memory_bytes(&layout->memory[memory]);
}

/* The record with the greatest (time, seq) stays: RULES 19. False: there was no room. */
static bool record_keep(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, uint16_t memory,
                        const struct memory_record *record)
{
    size_t size = memory_bytes(&layout->memory[memory]);
    invariant(!cell_is_packed(cell, layout));
    slab_ref ref = slot_ref(cell, cell_memory_at(layout, memory));
    if (ref) {
        const struct memory_record *have = slab_at(&shard->slab, ref);
        if (have->time_ms > record->time_ms || (have->time_ms == record->time_ms && have->seq > record->seq))
            return true;
    } else {
        ref = shard_full(shard) ? 0 : slab_alloc(&shard->slab, size);
        if (!ref) {
            shard_bound_hit(shard, BOUND_MEMORY);
            return false;
        }
        memcpy(shard_edit(shard, (char *)cell + cell_memory_at(layout, memory), sizeof ref), &ref, sizeof ref);
    }
    memcpy(slab_edit(&shard->slab, ref, size), record, size);
    return true;
}

void memory_put(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t memory, const struct memory_record *record)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    if (!memory_is_newest(layout) && !record_keep(shard, cell, layout, memory, record))
        return;
    struct cell *edited = shard_edit(shard, cell, sizeof *cell);
    if (record->time_ms > edited->newest_ms)
        edited->newest_ms = record->time_ms;
}

bool memory_read(const struct shard *shard, const struct cell *cell, const struct keyspace_layout *layout, uint16_t memory,
                 struct memory_record *out)
{
    if (memory_is_newest(layout)) {
        out->time_ms = cell->newest_ms;
        out->seq = 0;
        return memory_held(cell, layout, memory);
    }
    slab_ref ref = memory_ref(cell, layout, memory);
    if (ref)
        memcpy(out, slab_at(&shard->slab, ref), memory_bytes(&layout->memory[memory]));
    return ref != 0;
}

bool memory_get(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t memory, struct memory_record *out)
{
    return memory_read(shard, cell, shard_layout(shard, keyspace), memory, out);
}

void memory_mark(const struct shard *shard, const struct memory_record *record, const struct memory_layout *layout)
{
    for (uint32_t left = layout->entity_keeps; left; left &= left - 1) {
        int64_t id = record->keep[__builtin_ctz(left)];
        if (id != MISSING_I64)
            ident_mark(shard->state, (entity_id)id);
    }
}

/* --- sweeping --- */

void cell_drop(struct shard *shard, slab_ref ref, const struct keyspace_layout *layout)
{
    const struct cell *cell = slab_at(&shard->slab, ref);
    clocks_free(shard, clocks_ref(cell, layout), layout);
    for (uint16_t i = 0; i < layout->window_count; i++)
        window_free(shard, window_ref(cell, layout, i), &layout->window[i]);
    for (uint16_t i = 0; i < layout->memory_count; i++) {
        slab_ref memory = memory_ref(cell, layout, i);
        if (layout->memory[i].dated)
            fact_free(shard, memory, &layout->memory[i]);
        else
            slab_free(&shard->slab, memory, memory_bytes(&layout->memory[i]));
    }
    for (uint16_t i = 0; i < layout->attempt_count; i++)
        slab_free(&shard->slab, attempt_ref(cell, layout, i), attempt_bytes(&layout->attempt[i]));
    slab_free(&shard->slab, ref, cell_bytes(cell, layout));
}

/* A part that was there is gone. */
static void slot_clear(struct shard *shard, const struct cell *cell, const struct keyspace_layout *layout, size_t at)
{
    const slab_ref *slot = part_slot(cell, layout, at);
    *(slab_ref *)shard_edit(shard, slot, sizeof *slot) = 0;
}

/* A key that goes on may hold clocks, windows, memories and attempts that have gone quiet: clocks go behind the horizon, windows when their
 * own span has passed, the others as the key would. What stays marks the ids that it holds. */
static void window_thin(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, uint16_t i, int64_t horizon_ms)
{
    slab_ref window = window_ref(cell, layout, i);
    if (window_newest(shard, window, &layout->window[i]) >= horizon_ms - window_idle_ms(&layout->window[i], layout->widest_ms)) {
        window_trim(shard, cell, layout, i);
        window_mark(shard, window_ref(cell, layout, i), &layout->window[i]); /* trimming may have moved it */
        return;
    }
    window_free(shard, window, &layout->window[i]);
    slot_clear(shard, cell, layout, cell_window_at(layout, i));
}

static void windows_thin(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, int64_t horizon_ms)
{
    for (uint32_t from = 0; from < layout->window_count; from += PARTS_AT_ONCE)
        for (uint64_t left = parts_held(cell, layout, from, layout->window_count); left; left &= left - 1)
            window_thin(shard, cell, layout, (uint16_t)(from + (uint32_t)__builtin_ctzll(left)), horizon_ms);
}

static void memories_thin(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, int64_t before_ms)
{
    for (uint16_t i = 0; i < layout->memory_count; i++) {
        slab_ref memory = memory_ref(cell, layout, i);
        if (!memory)
            continue;
        const struct memory_record *record = slab_at(&shard->slab, memory);
        if (layout->memory[i].dated) {
            fact_mark(shard, memory, &layout->memory[i]);
        } else if (record->time_ms >= before_ms) {
            memory_mark(shard, record, &layout->memory[i]);
        } else {
            slab_free(&shard->slab, memory, memory_bytes(&layout->memory[i]));
            slot_clear(shard, cell, layout, cell_memory_at(layout, i));
        }
    }
}

static void attempts_thin(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, int64_t before_ms)
{
    for (uint16_t i = 0; i < layout->attempt_count; i++) {
        slab_ref attempt = attempt_ref(cell, layout, i);
        if (!attempt)
            continue;
        if (attempt_last_ms(shard, attempt, &layout->attempt[i]) >= before_ms) {
            attempt_mark(shard, attempt, &layout->attempt[i]);
            continue;
        }
        slab_free(&shard->slab, attempt, attempt_bytes(&layout->attempt[i]));
        slot_clear(shard, cell, layout, cell_attempt_at(layout, i));
    }
}

static void cell_thin(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, int64_t horizon_ms)
{
    int64_t before_ms = horizon_ms - layout->widest_ms;
    for (uint32_t left = layout->entity_words; left; left &= left - 1)
        ident_mark(shard->state, cell->key[__builtin_ctz(left)]);
    clocks_thin(shard, cell, layout, horizon_ms);
    windows_thin(shard, cell, layout, horizon_ms);
    memories_thin(shard, cell, layout, before_ms);
    attempts_thin(shard, cell, layout, before_ms);
}

/* How many places of the table ahead a cell is asked into the cache, its windows and memories, their records. */
enum { AHEAD_CELL = 24, AHEAD_PARTS = 16, AHEAD_RECORDS = 8 };

static const struct cell *entry_cell(const struct shard *shard, const struct cell_entry *entry)
{
    return entry->tag <= TAG_REMOVED ? NULL : slab_at(&shard->slab, entry->cell);
}

static void windows_ask(const struct shard *shard, const struct cell *cell, const struct keyspace_layout *layout, bool records)
{
    for (uint32_t from = 0; from < layout->window_count; from += PARTS_AT_ONCE)
        for (uint64_t left = parts_held(cell, layout, from, layout->window_count); left; left &= left - 1) {
            uint16_t i = (uint16_t)(from + (uint32_t)__builtin_ctzll(left));
            window_ask(shard, window_ref(cell, layout, i), &layout->window[i], records);
        }
}

/* A sweep waits for memory more than for anything else: asking ahead took a third off it. left: places of the table from entry on. */
static inline void sweep_prefetch(const struct shard *shard, const struct keyspace_layout *layout, const struct cell_entry *entry, uint32_t left,
                                  int64_t horizon_ms)
{
    const struct cell *far = left > AHEAD_CELL ? entry_cell(shard, entry + AHEAD_CELL) : NULL;
    const struct cell *parts = left > AHEAD_PARTS ? entry_cell(shard, entry + AHEAD_PARTS) : NULL;
    const struct cell *near = left > AHEAD_RECORDS ? entry_cell(shard, entry + AHEAD_RECORDS) : NULL;
    if (far)
        cache_ask(far, cell_size(layout));
    if (parts && clocks_ref(parts, layout) && parts->newest_ms >= horizon_ms - CLOCK_KEEP_MS) /* else they go unread */
        cache_ask(slab_at(&shard->slab, clocks_ref(parts, layout)), clocks_bytes(layout));
    if (parts && layout->window_count)
        windows_ask(shard, parts, layout, false);
    for (uint16_t i = 0; parts && i < layout->memory_count; i++)
        if (memory_ref(parts, layout, i))
            cache_ask(slab_at(&shard->slab, memory_ref(parts, layout, i)), 1);
    if (near && layout->window_count)
        windows_ask(shard, near, layout, true);
}

/* Facts keep a key's time for ever, and say nothing of whether it has gone quiet. */
static void entry_pack(struct shard *shard, const struct cell_entry *entry, const struct keyspace_layout *layout, int64_t horizon_ms)
{
    const struct cell *cell = cell_at(shard, entry->cell);
    bool quiet = cell->newest_ms < horizon_ms - QUIET_MS || cell->newest_ms == INT64_MAX;
    slab_ref packed = quiet && !clocks_ref(cell, layout) ? cell_pack(shard, entry->cell, layout) : 0;
    if (packed)
        ((struct cell_entry *)shard_edit(shard, entry, sizeof *entry))->cell = packed;
}

static uint64_t keys_sweep(struct shard *shard, uint16_t keyspace, int64_t horizon_ms)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    struct table *table = shard_edit(shard, keys_table(shard, keyspace), sizeof *table);
    const struct cell_entry *entries = slab_at(&shard->slab, table->entries);
    int64_t before_ms = horizon_ms - layout->widest_ms;
    uint64_t dropped = 0;
    for (uint32_t i = 0; i < table->room; i++) {
        sweep_prefetch(shard, layout, entries + i, table->room - i, horizon_ms);
        if (entries[i].tag <= TAG_REMOVED)
            continue;
        struct cell *cell = cell_at(shard, entries[i].cell);
        if (cell->newest_ms >= before_ms) {
            cell_thin(shard, cell, layout, horizon_ms);
            if (layout->cell.packs)
                entry_pack(shard, &entries[i], layout, horizon_ms);
            continue;
        }
        cell_drop(shard, entries[i].cell, layout);
        table_remove(table, shard_edit(shard, &entries[i], sizeof entries[i]));
        dropped++;
    }
    if (dropped)
        table_fit(&shard->slab, table, sizeof *entries);
    return dropped;
}

uint64_t shard_sweep(struct shard *shard, int64_t horizon_ms, int64_t dedup_horizon_ms)
{
    uint64_t dropped = 0;
    dedup_sweep(shard, dedup_horizon_ms);
    for (uint16_t k = 0; k < shard->state->layout.keyspace_count; k++)
        dropped += keys_sweep(shard, k, horizon_ms);
    shard->keys_dropped += dropped;
    return dropped;
}

uint64_t keys_count(const struct shard *shard)
{
    uint64_t count = 0;
    for (uint16_t k = 0; k < shard->state->layout.keyspace_count; k++)
        count += keys_table(shard, k)->count;
    return count;
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

static void cell_stats(const struct shard *shard, const struct cell *cell, const struct keyspace_layout *layout, struct state_stats *stats)
{
    stats->key_bytes += slab_block(cell_bytes(cell, layout)) + (clocks_ref(cell, layout) ? slab_block(clocks_bytes(layout)) : 0);
    for (uint16_t w = 0; w < layout->window_count; w++) {
        slab_ref window = window_ref(cell, layout, w);
        stats->records += window_records(shard, window);
        stats->record_bytes += window_bytes(shard, window, &layout->window[w]);
    }
    for (uint16_t m = 0; m < layout->memory_count; m++) {
        slab_ref memory = memory_ref(cell, layout, m);
        stats->memories += memory_held(cell, layout, m);
        if (layout->memory[m].dated)
            stats->memory_bytes += slab_block(fact_bytes(shard, memory, &layout->memory[m]));
        else if (memory)
            stats->memory_bytes += slab_block(memory_bytes(&layout->memory[m]));
    }
    for (uint16_t a = 0; a < layout->attempt_count; a++)
        stats->attempts += attempt_ref(cell, layout, a) != 0;
}

void keys_stats(const struct shard *shard, struct state_stats *stats)
{
    for (uint16_t k = 0; k < shard->state->layout.keyspace_count; k++) {
        const struct table *table = keys_table(shard, k);
        const struct cell *cell;
        stats->keys += table->count;
        stats->key_bytes += slab_block(table->room * sizeof(struct cell_entry));
        for (uint32_t at = 0; cell_next(shard, k, &at, &cell);)
            cell_stats(shard, cell, shard_layout(shard, k), stats);
    }
}
