/* Facts: a key's dated rows, oldest first, in one block of the slab. */
#include "engine/base/invariant.h"
#include "engine/state/hash.h"
#include "engine/state/private.h"

struct rows {
    uint32_t count, room;
    uint64_t pad;          /* rows begin at 16 bytes, aligned for their words */
    /* room times memory_bytes(layout): struct memory_record cut to its kept values */
};

static size_t rows_size(uint32_t room, const struct memory_layout *layout)
{
    return sizeof(struct rows) + room * memory_bytes(layout);
}

static const struct memory_record *row_at(const struct rows *rows, uint32_t index, const struct memory_layout *layout)
{
    return (const void *)((const char *)(rows + 1) + index * memory_bytes(layout));
}

/* First index whose time is after time_ms. */
static uint32_t row_after(const struct rows *rows, int64_t time_ms, const struct memory_layout *layout)
{
    uint32_t index = rows->count;
    while (index > 0 && row_at(rows, index - 1, layout)->time_ms > time_ms)
        index--;
    return index;
}

/* The key's rows with room for one more; NULL when the shard is full. */
static struct rows *rows_reserve(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t memory)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    const struct memory_layout *fact = &layout->memory[memory];
    invariant(!cell_is_packed(cell, layout));
    slab_ref ref = slot_ref(cell, cell_memory_at(layout, memory));
    const struct rows *have = ref ? slab_at(&shard->slab, ref) : NULL;
    if (have && (have->count < have->room || have->count == FACT_ROWS_MAX))
        return slab_edit(&shard->slab, ref, rows_size(have->room, fact));
    uint32_t room = have ? have->room * 2 : 1;
    slab_ref fresh = shard_full(shard) ? 0 : slab_alloc(&shard->slab, rows_size(room, fact));
    if (!fresh) {
        shard_bound_hit(shard, BOUND_MEMORY);
        return NULL;
    }
    struct rows *rows = slab_edit(&shard->slab, fresh, rows_size(room, fact));
    if (have)
        memcpy(rows, have, rows_size(have->count, fact));
    rows->room = room;
    fact_free(shard, ref, fact);
    memcpy(shard_edit(shard, (char *)cell + cell_memory_at(layout, memory), sizeof fresh), &fresh, sizeof fresh);
    return rows;
}

static void row_remove(struct rows *rows, uint32_t index, const struct memory_layout *layout)
{
    char *at = (char *)(rows + 1) + index * memory_bytes(layout);
    memmove(at, at + memory_bytes(layout), (rows->count - index - 1) * memory_bytes(layout));
    rows->count--;
}

bool fact_put(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t memory, const struct memory_record *record, bool withdrawn)
{
    const struct memory_layout *layout = &shard_layout(shard, keyspace)->memory[memory];
    struct rows *rows = rows_reserve(shard, cell, keyspace, memory);
    if (!rows)
        return false;
    struct cell *edited = shard_edit(shard, cell, sizeof *cell);
    edited->newest_ms = INT64_MAX; /* facts have no end: the key stays */
    uint32_t index = row_after(rows, record->time_ms, layout);
    if (index > 0 && row_at(rows, index - 1, layout)->time_ms == record->time_ms)
        row_remove(rows, --index, layout);
    if (withdrawn)
        return true;
    if (rows->count == FACT_ROWS_MAX) {
        shard_bound_hit(shard, BOUND_FACT_ROWS);
        if (index == 0)
            return true; /* older than all that are kept */
        row_remove(rows, 0, layout);
        index--;
    }
    char *at = (char *)(rows + 1) + index * memory_bytes(layout);
    memmove(at + memory_bytes(layout), at, (rows->count - index) * memory_bytes(layout));
    memcpy(at, record, memory_bytes(layout));
    rows->count++;
    return true;
}

bool fact_get(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t memory, int64_t time_ms,
              struct memory_record *out)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref ref = memory_ref(cell, layout, memory);
    if (!ref)
        return false;
    const struct rows *rows = slab_at(&shard->slab, ref);
    uint32_t index = row_after(rows, time_ms, &layout->memory[memory]);
    if (index == 0)
        return false;
    memcpy(out, row_at(rows, index - 1, &layout->memory[memory]), memory_bytes(&layout->memory[memory]));
    return true;
}

void fact_free(struct shard *shard, slab_ref ref, const struct memory_layout *layout)
{
    if (ref)
        slab_free(&shard->slab, ref, rows_size(((const struct rows *)slab_at(&shard->slab, ref))->room, layout));
}

size_t fact_row_bytes(const struct memory_layout *layout)
{
    return rows_size(1, layout);
}

void fact_mark(const struct shard *shard, slab_ref ref, const struct memory_layout *layout)
{
    if (!ref || !layout->entity_keeps)
        return;
    const struct rows *rows = slab_at(&shard->slab, ref);
    for (uint32_t i = 0; i < rows->count; i++)
        memory_mark(shard, row_at(rows, i, layout), layout);
}

size_t fact_bytes(const struct shard *shard, slab_ref ref, const struct memory_layout *layout)
{
    return ref ? rows_size(((const struct rows *)slab_at(&shard->slab, ref))->room, layout) : 0;
}

void fact_hash(const struct shard *shard, slab_ref ref, const struct memory_layout *layout, struct hash_item *item)
{
    const struct rows *rows = slab_at(&shard->slab, ref);
    for (uint32_t i = 0; i < rows->count; i++)
        memory_record_hash(shard->state, row_at(rows, i, layout), layout, item);
}

bool fact_graft(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t memory, const struct shard *other, slab_ref ref,
                const struct grafting *grafting)
{
    const struct memory_layout *layout = &shard_layout(shard, keyspace)->memory[memory];
    const struct rows *rows = slab_at(&other->slab, ref);
    bool good = true;
    for (uint32_t i = 0; good && i < rows->count; i++) {
        struct memory_record record = {0};
        memcpy(&record, row_at(rows, i, layout), memory_bytes(layout));
        for (uint8_t k = 0; k < layout->keep_count; k++)
            record.keep[k] = graft_number(grafting, record.keep[k], layout->entity_keeps >> k & 1);
        good = fact_put(shard, cell, keyspace, memory, &record, false);
    }
    return good;
}
