/* Cells whose layouts ask for many parts: packed once their keys have gone quiet, and opened again. */
#include "engine/state/private.h"

size_t packed_bytes(const struct cell_shape *shape, uint32_t count)
{
    return shape->window_at - PACKED_HEAD + packed_refs_at(count) + count * sizeof(slab_ref);
}

size_t cell_bytes(const struct cell *cell, const struct keyspace_layout *layout)
{
    return cell_is_packed(cell, layout) ? packed_bytes(&layout->cell, cell_packed(cell, layout)->count) : cell_size(layout);
}

uint64_t parts_held(const struct cell *cell, const struct keyspace_layout *layout, uint32_t from, uint32_t end)
{
    const slab_ref *ref = (const void *)((const char *)cell + layout->cell.window_at);
    uint32_t count = end - from < PARTS_AT_ONCE ? end - from : PARTS_AT_ONCE, i = 0;
    uint64_t held = 0, two;
    if (cell_is_packed(cell, layout)) {
        const struct packed *packed = cell_packed(cell, layout);
        for (ref = packed_refs(packed); i < packed->count; i++)
            if (packed->number[i] - from < count && ref[i])
                held |= (uint64_t)1 << (packed->number[i] - from);
        return held;
    }
    for (ref += from; i + 1 < count; i += 2) { /* nearly all are 0 */
        memcpy(&two, ref + i, sizeof two);
        if (two)
            held |= (uint64_t)(ref[i] != 0) << i | (uint64_t)(ref[i + 1] != 0) << (i + 1);
    }
    return i < count ? held | (uint64_t)(ref[i] != 0) << i : held;
}

/* Another cell in the place of this one: packed, of `count` parts, or open (0). */
static slab_ref cell_replace(struct shard *shard, slab_ref old_ref, const struct keyspace_layout *layout, uint32_t count)
{
    const struct cell *old = slab_at(&shard->slab, old_ref);
    size_t size = count ? packed_bytes(&layout->cell, count) : cell_size(layout), before = layout->cell.window_at - PACKED_HEAD;
    slab_ref ref = slab_alloc(&shard->slab, size);
    if (!ref)
        return 0;
    char *cell = slab_edit(&shard->slab, ref, size);
    struct packed *packed = (void *)(cell + before);
    packed->count = (uint16_t)count;
    slab_ref *to = (slab_ref *)(uintptr_t)packed_refs(packed);
    memcpy(cell, old, before);
    for (uint32_t from = 0, n = 0; from < layout->cell.parts; from += PARTS_AT_ONCE)
        for (uint64_t left = parts_held(old, layout, from, layout->cell.parts); left; left &= left - 1, n++) {
            uint32_t part = from + (uint32_t)__builtin_ctzll(left);
            to[count ? n : part] = part_ref(old, layout, layout->cell.window_at + part * sizeof *to);
            if (count)
                packed->number[n] = (uint16_t)part;
        }
    slab_free(&shard->slab, old_ref, cell_bytes(old, layout));
    return ref;
}

static void cell_fold(struct shard *shard, const struct cell *cell, const struct keyspace_layout *layout)
{
    const struct packed *packed = cell_packed(cell, layout);
    for (uint32_t i = 0; i < packed->count; i++)
        if (packed->number[i] < layout->window_count && packed_refs(packed)[i])
            window_fold(shard, packed_refs(packed) + i, &layout->window[packed->number[i]]);
}

bool cell_unfold(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout)
{
    const struct packed *packed = cell_packed(cell, layout);
    bool good = true;
    for (uint32_t i = 0; good && cell_is_packed(cell, layout) && i < packed->count; i++)
        if (packed->number[i] < layout->window_count && packed_refs(packed)[i])
            good = window_unfold(shard, packed_refs(packed) + i, &layout->window[packed->number[i]]);
    return good;
}

slab_ref cell_pack(struct shard *shard, slab_ref ref, const struct keyspace_layout *layout)
{
    const struct cell *cell = slab_at(&shard->slab, ref);
    uint32_t count = 0;
    for (uint32_t from = 0; from < layout->cell.parts; from += PARTS_AT_ONCE)
        for (uint64_t left = parts_held(cell, layout, from, layout->cell.parts); left; left &= left - 1)
            count++;
    count += count == 0; /* one that says nothing: without any it would be open */
    bool shorter = slab_block(packed_bytes(&layout->cell, count)) < slab_block(cell_bytes(cell, layout));
    slab_ref packed = shorter ? cell_replace(shard, ref, layout, count) : 0;
    cell = packed ? slab_at(&shard->slab, packed) : cell;
    if (cell_is_packed(cell, layout))
        cell_fold(shard, cell, layout);
    return packed;
}

slab_ref cell_unpack(struct shard *shard, slab_ref ref, const struct keyspace_layout *layout)
{
    return cell_unfold(shard, cell_at(shard, ref), layout) ? cell_replace(shard, ref, layout, 0) : 0;
}
