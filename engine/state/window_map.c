/* A window made again for another program: from the records it has, and from what it kept by day and by week. */
#include "engine/model/zone.h"
#include "engine/state/window_private.h"

static bool aggregate_same(const struct aggregate_layout *a, const struct aggregate_layout *b)
{
    return a->hash == b->hash && a->fn == b->fn && a->column == b->column && a->days == b->days;
}

bool window_same(const struct window_layout *a, const struct window_layout *b)
{
    bool same = a->aggregate_count == b->aggregate_count && a->habit_count == b->habit_count && a->extra_count == b->extra_count;
    for (uint16_t i = 0; same && i < a->aggregate_count; i++)
        same = aggregate_same(&a->aggregate[i], &b->aggregate[i]) && a->aggregate[i].habit == b->aggregate[i].habit;
    return same;
}

/* The place of an aggregate in another layout, with a habit where one is wanted; -1: it has none. */
static int aggregate_find(const struct window_layout *in, const struct aggregate_layout *wanted, bool with_habit)
{
    for (uint16_t i = 0; i < in->aggregate_count; i++)
        if (aggregate_same(&in->aggregate[i], wanted) && (!with_habit || in->aggregate[i].habit))
            return i;
    return -1;
}

bool window_has_past(const struct window_layout *in, const struct aggregate_layout *wanted)
{
    return (!wanted->days || aggregate_find(in, wanted, false) >= 0) && (!wanted->habit || aggregate_find(in, wanted, true) >= 0);
}

int64_t window_fresh_ms(const struct window_layout *from, const struct window_layout *to)
{
    int64_t fresh_ms = to->keep_ms > from->keep_ms ? to->keep_ms : 0;
    for (uint16_t i = 0; i < to->aggregate_count; i++) {
        const struct aggregate_layout *aggregate = &to->aggregate[i];
        int64_t wait_ms = 0;
        if (aggregate->days && aggregate_find(from, aggregate, false) < 0)
            wait_ms = aggregate->days_kept * (int64_t)MS_PER_DAY;
        if (aggregate->habit && aggregate_find(from, aggregate, true) < 0)
            wait_ms = HABIT_WEEKS * 7 * (int64_t)MS_PER_DAY;
        fresh_ms = wait_ms > fresh_ms ? wait_ms : fresh_ms;
    }
    return fresh_ms;
}

/* Takes over a record. What other keys' rules read may be behind this key's clock and not behind theirs. */
static bool record_take(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, const struct record *record, bool key_is_receiver)
{
    if (shard_layout(shard, keyspace)->window[index].read_by_others)
        return window_add_above(shard, cell, keyspace, index, record, key_is_receiver, INT64_MIN);
    return window_add(shard, cell, keyspace, index, record, key_is_receiver);
}

/* Every record in its order; what runs by day has no day here and is replaced behind it. */
static bool records_add(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, const struct window *old, size_t size,
                        uint8_t extra_count)
{
    for (uint32_t i = 0; i < old->count; i++) {
        const struct kept *kept = (const void *)((const char *)slab_at(&shard->slab, old->ring) + (size_t)(old->head + i) * size);
        struct record record = {.time_ms = kept->time_ms,
                                .seq = kept->seq & SEQ_BITS,
                                .amount = kept->amount,
                                .sender = kept->sender,
                                .receiver = kept->receiver};
        memcpy(record.extra, kept->extra, extra_count * sizeof(int64_t));
        if (!record_take(shard, cell, keyspace, index, &record, (kept->seq & SEQ_RECEIVER) != 0))
            return false;
    }
    return true;
}

static bool habit_keep(struct shard *shard, struct window *window, const struct window_layout *layout, uint8_t habit, const struct window *old,
                       const struct window_layout *from, uint8_t old_habit)
{
    slab_ref before, fresh;
    memcpy(&before, (const char *)old + window_habit_at(from, old_habit), sizeof before);
    if (!before)
        return true;
    fresh = habit_copy(shard, shard, before);
    if (!fresh)
        return false;
    memcpy((char *)window + window_habit_at(layout, habit), &fresh, sizeof fresh);
    return true;
}

/* What records do not tell: buckets by day, samples by week. */
static bool past_copy(struct shard *shard, struct window *window, const struct window_layout *layout, const struct window *old,
                      const struct window_layout *from)
{
    bool good = true;
    for (uint16_t i = 0; good && i < layout->aggregate_count; i++) {
        const struct aggregate_layout *aggregate = &layout->aggregate[i];
        int place = aggregate_find(from, aggregate, false);
        if (aggregate->days) {
            days_free(shard, &window->aggregate[i].days);
            window->aggregate[i].days = (struct days){0};
            good = place < 0 || days_copy(shard, &old->aggregate[place].days, &window->aggregate[i].days);
        }
        place = aggregate->habit ? aggregate_find(from, aggregate, true) : -1;
        if (good && place >= 0)
            good = habit_keep(shard, window, layout, aggregate->habit, old, from, from->aggregate[place].habit);
    }
    return good;
}

bool window_remake(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, slab_ref old_ref, const struct window_layout *from)
{
    const struct window_layout *layout = &shard_layout(shard, keyspace)->window[index];
    const struct window *old = slab_at(&shard->slab, old_ref);
    slab_ref ref = window_ensure(shard, cell, keyspace, index);
    if (!ref || !records_add(shard, cell, keyspace, index, old, kept_size(from), from->extra_count))
        return false;
    struct window *window = slab_edit(&shard->slab, ref, window_size(layout));
    if (old->newest_ms > window->newest_ms)
        window->newest_ms = old->newest_ms;
    return past_copy(shard, window, layout, old, from);
}

/* --- out of another state --- */

/* A ring being read: this state's old one, or the other's. */
struct ring {
    const struct shard *shard;
    const struct window *window; /* NULL: there is none */
    uint32_t at;
};

static const struct kept *ring_next(const struct ring *ring, size_t size)
{
    if (!ring->window || ring->at == ring->window->count)
        return NULL;
    return (const void *)((const char *)slab_at(&ring->shard->slab, ring->window->ring) + (size_t)(ring->window->head + ring->at) * size);
}

static int kept_order(const struct kept *a, const struct kept *b)
{
    uint64_t x = a->seq & SEQ_BITS, y = b->seq & SEQ_BITS;
    if (a->time_ms != b->time_ms)
        return a->time_ms < b->time_ms ? -1 : 1;
    return x < y ? -1 : x > y;
}

static struct record record_of(const struct kept *kept, const struct window_layout *layout, const struct grafting *grafting)
{
    struct record record = {.time_ms = kept->time_ms,
                            .seq = kept->seq & SEQ_BITS,
                            .amount = kept->amount,
                            .sender = grafting ? graft_id(grafting, kept->sender) : kept->sender,
                            .receiver = grafting ? graft_id(grafting, kept->receiver) : kept->receiver};
    for (uint8_t i = 0; i < layout->extra_count; i++)
        record.extra[i] = grafting ? graft_number(grafting, kept->extra[i], layout->entity_extras >> i & 1) : kept->extra[i];
    return record;
}

/* Both rings' records in their order; what stands in both comes once. */
static bool rings_join(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, struct ring *own, struct ring *other,
                       const struct grafting *grafting)
{
    const struct window_layout *layout = &shard_layout(shard, keyspace)->window[index];
    size_t size = kept_size(layout);
    for (;;) {
        const struct kept *a = ring_next(own, size), *b = ring_next(other, size);
        if (!a && !b)
            return true;
        int order = !a ? 1 : !b ? -1 : kept_order(a, b);
        bool both = order == 0 && (a->seq & SEQ_RECEIVER) == (b->seq & SEQ_RECEIVER);
        const struct kept *kept = order <= 0 ? a : b;
        struct record record = record_of(kept, layout, kept == b ? grafting : NULL);
        own->at += kept == a;
        other->at += kept == b || both;
        if (!record_take(shard, cell, keyspace, index, &record, (kept->seq & SEQ_RECEIVER) != 0))
            return false;
    }
}

static bool column_holds_ids(const struct window_layout *layout, uint8_t column)
{
    return column < WINDOW_EXTRA ? column != WINDOW_AMOUNT : layout->entity_extras >> (column - WINDOW_EXTRA) & 1;
}

static bool habit_take(struct shard *shard, struct window *window, size_t at, const struct shard *from, const struct window *old)
{
    slab_ref before, fresh;
    memcpy(&before, (const char *)old + at, sizeof before);
    if (!before)
        return true;
    fresh = habit_copy(shard, from, before);
    if (!fresh)
        return false;
    memcpy((char *)window + at, &fresh, sizeof fresh);
    return true;
}

/* Buckets by day and habits: the state's own, or, where it lacks them, the other's. All three windows have one layout. */
static bool past_join(struct shard *shard, struct window *window, const struct window_layout *layout, const bool *lack, const struct ring *own,
                      const struct ring *other, const struct grafting *grafting)
{
    bool good = true;
    for (uint16_t i = 0; good && i < layout->aggregate_count; i++) {
        const struct aggregate_layout *aggregate = &layout->aggregate[i];
        const struct ring *from = lack[i] ? other : own;
        if (aggregate->days) {
            days_free(shard, &window->aggregate[i].days);
            window->aggregate[i].days = (struct days){0};
        }
        if (aggregate->days && from->window)
            good = days_graft(shard, from->shard, &from->window->aggregate[i].days, column_holds_ids(layout, aggregate->column), aggregate->fn,
                              &window->aggregate[i].days, lack[i] ? grafting : NULL);
        if (good && aggregate->habit && from->window)
            good = habit_take(shard, window, window_habit_at(layout, aggregate->habit), from->shard, from->window);
    }
    return good;
}

static void window_put_back(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, slab_ref old)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref half = window_ref(cell, layout, index);
    if (half)
        window_free(shard, half, &layout->window[index]);
    memcpy((char *)cell + cell_window_at(layout, index), &old, sizeof old);
}

bool window_graft(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, const struct keyspace_lack *lack,
                  const struct shard *other, slab_ref ref, const struct grafting *grafting)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref old = window_ref(cell, layout, index), none = 0;
    if (!ref)
        return true;
    struct ring own = {shard, old ? slab_at(&shard->slab, old) : NULL, 0}, theirs = {other, slab_at(&other->slab, ref), 0};
    struct ring records = theirs;
    if (!lack->window[index])
        records.window = NULL;
    (void)shard_edit(shard, cell, cell_size(layout));
    memcpy((char *)cell + cell_window_at(layout, index), &none, sizeof none);
    slab_ref fresh = window_ensure(shard, cell, keyspace, index);
    bool good = fresh && rings_join(shard, cell, keyspace, index, &own, &records, grafting);
    struct window *window = fresh ? slab_edit(&shard->slab, fresh, window_size(&layout->window[index])) : NULL;
    good = good && past_join(shard, window, &layout->window[index], lack->past[index], &own, &theirs, grafting);
    if (!good) {
        window_put_back(shard, cell, keyspace, index, old);
        return false;
    }
    if (theirs.window->newest_ms > window->newest_ms)
        window->newest_ms = theirs.window->newest_ms;
    if (old)
        window_free(shard, old, &layout->window[index]);
    return true;
}
