/* Smallest and largest over every window length: the records that no later one outdoes. */
#include "engine/state/window_private.h"

struct extreme_entry {
    int64_t time_ms;
    uint64_t seq;
    int64_t value;
};

static const struct extreme_entry *entry_at(const struct shard *shard, const struct extreme *extreme, uint32_t index)
{
    return (const struct extreme_entry *)slab_at(&shard->slab, extreme->entry) + extreme->head + index;
}

/* First index behind (time, seq). */
static uint32_t entry_behind(const struct shard *shard, const struct extreme *extreme, int64_t time_ms, uint64_t seq)
{
    uint32_t from = 0, to = extreme->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        const struct extreme_entry *entry = entry_at(shard, extreme, middle);
        if (entry->time_ms > time_ms || (entry->time_ms == time_ms && entry->seq > seq))
            to = middle;
        else
            from = middle + 1;
    }
    return from;
}

static bool extreme_reserve(struct shard *shard, struct extreme *extreme)
{
    if (extreme->head + extreme->count < extreme->room)
        return true;
    uint32_t room = extreme->count * 2 < 4 ? 4 : extreme->count * 2;
    slab_ref fresh = slab_alloc(&shard->slab, room * sizeof(struct extreme_entry));
    if (!fresh)
        return false;
    if (extreme->count)
        memcpy(slab_edit(&shard->slab, fresh, room * sizeof(struct extreme_entry)), entry_at(shard, extreme, 0),
               extreme->count * sizeof(struct extreme_entry));
    slab_free(&shard->slab, extreme->entry, extreme->room * sizeof(struct extreme_entry));
    *extreme = (struct extreme){.entry = fresh, .room = room, .count = extreme->count};
    return true;
}

/* Whether a is no better than b. */
static bool outdone(uint8_t fn, int64_t a, int64_t b)
{
    return fn == WINDOW_MAX ? a <= b : a >= b;
}

bool extreme_add(const struct at *at, struct extreme *extreme, uint8_t fn, const struct kept *kept, int64_t value)
{
    struct shard *shard = at->shard;
    uint64_t seq = kept->seq & SEQ_BITS;
    if (value == MISSING_I64)
        return true;
    uint32_t behind = entry_behind(shard, extreme, kept->time_ms, seq);
    if (behind < extreme->count && outdone(fn, value, entry_at(shard, extreme, behind)->value))
        return true; /* late, and a later record is as good already */
    uint32_t keep = behind;
    while (keep > 0 && outdone(fn, entry_at(shard, extreme, keep - 1)->value, value))
        keep--;
    if (keep == behind && !extreme_reserve(shard, extreme))
        return false;
    struct extreme_entry *to = shard_edit(shard, entry_at(shard, extreme, 0), (extreme->room - extreme->head) * sizeof *to);
    memmove(to + keep + 1, to + behind, (extreme->count - behind) * sizeof *to);
    to[keep] = (struct extreme_entry){kept->time_ms, seq, value};
    extreme->count = extreme->count - (behind - keep) + 1;
    return true;
}

void extreme_evict(const struct at *at, struct extreme *extreme, int64_t time_ms, uint64_t seq)
{
    uint32_t gone = entry_behind(at->shard, extreme, time_ms, seq);
    extreme->head += gone;
    extreme->count -= gone;
    if (extreme->count == 0)
        extreme->head = 0;
}

struct window_result extreme_value(const struct at *at, const struct extreme *extreme, int64_t floor_ms)
{
    uint32_t first = entry_behind(at->shard, extreme, floor_ms, UINT64_MAX);
    if (first == extreme->count)
        return (struct window_result){0};
    return (struct window_result){entry_at(at->shard, extreme, first)->value, true};
}

void extreme_free(struct shard *shard, const struct extreme *extreme)
{
    slab_free(&shard->slab, extreme->entry, extreme->room * sizeof(struct extreme_entry));
}

size_t extreme_entry_bytes(void)
{
    return sizeof(struct extreme_entry);
}

size_t extreme_bytes(const struct extreme *extreme)
{
    return slab_block(extreme->room * sizeof(struct extreme_entry));
}

void extreme_trim(struct shard *shard, struct extreme *extreme)
{
    if (!room_too_large(extreme->room, extreme->count))
        return;
    uint32_t room = room_fitting(extreme->count);
    slab_ref fresh = slab_alloc(&shard->slab, room * sizeof(struct extreme_entry));
    if (!fresh)
        return;
    if (extreme->count)
        memcpy(slab_edit(&shard->slab, fresh, room * sizeof(struct extreme_entry)), entry_at(shard, extreme, 0),
               extreme->count * sizeof(struct extreme_entry));
    extreme_free(shard, extreme);
    *extreme = (struct extreme){.entry = fresh, .room = room, .count = extreme->count};
}
