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
static bool records_add(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, const struct window *old,
                        const struct window_layout *from)
{
    const struct records records = records_of(old, from, cell->key[0]);
    for (uint32_t i = 0; i < records.count; i++) {
        struct record record = {0};
        bool key_is_receiver = records_read(&records, from, i, &record);
        if (!record_take(shard, cell, keyspace, index, &record, key_is_receiver))
            return false;
    }
    return true;
}

static bool habit_keep(struct shard *shard, struct window *window, uint8_t habit, const struct window *old, uint8_t old_habit)
{
    slab_ref before, fresh;
    memcpy(&before, (const char *)old + window_habit_at(old_habit), sizeof before);
    if (!before)
        return true;
    fresh = habit_copy(shard, shard, before);
    if (!fresh)
        return false;
    memcpy((char *)window + window_habit_at(habit), &fresh, sizeof fresh);
    return true;
}

/* What records do not tell: buckets by day, samples by week. */
static bool past_copy(struct shard *shard, struct window *window, const struct window_layout *layout, const struct window *old,
                      const struct window_layout *from)
{
    bool good = true;
    union aggregate_state *state = states_edit(shard, window, layout);
    const union aggregate_state *before = window_states(shard, old, from);
    for (uint16_t i = 0; good && i < layout->aggregate_count; i++) {
        const struct aggregate_layout *aggregate = &layout->aggregate[i];
        int place = aggregate_find(from, aggregate, false);
        if (aggregate->days) {
            days_free(shard, &state[i].days);
            state[i].days = (struct days){0};
            good = place < 0 || days_copy(shard, &before[place].days, &state[i].days);
        }
        place = aggregate->habit ? aggregate_find(from, aggregate, true) : -1;
        if (good && place >= 0)
            good = habit_keep(shard, window, aggregate->habit, old, from->aggregate[place].habit);
    }
    return good;
}

bool window_remake(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, slab_ref old_ref, const struct window_layout *from)
{
    const struct window_layout *layout = &shard_layout(shard, keyspace)->window[index];
    const struct window *old = slab_at(&shard->slab, old_ref);
    if (!window_ensure(shard, cell, keyspace, index) || !records_add(shard, cell, keyspace, index, old, from))
        return false;
    struct window *window = slab_edit(&shard->slab, window_ref(cell, shard_layout(shard, keyspace), index), window_ring_at(layout));
    if (old->newest_ms > window->newest_ms)
        window->newest_ms = old->newest_ms;
    return past_copy(shard, window, layout, old, from);
}

/* --- out of another state --- */

/* A window being read: this state's old one, or the other's. */
struct ring {
    const struct shard *shard;
    const struct window *window; /* NULL: there is none */
    const struct window_layout *layout;
    struct records records;
    const struct grafting *grafting; /* the other's ids are to be made the state's own; NULL: they are */
    uint32_t at;
};

static struct ring ring_begin(const struct shard *shard, slab_ref ref, const struct window_layout *layout, entity_id key, const struct grafting *grafting)
{
    struct ring ring = {.shard = shard, .window = ref ? window_of(shard, ref) : NULL, .layout = layout, .grafting = grafting};
    if (ring.window)
        ring.records = records_of(ring.window, layout, key);
    return ring;
}

/* The record at hand, with its ids as they are there. */
struct reading {
    struct record record;
    bool any, key_is_receiver;
};

static struct reading ring_read(const struct ring *ring)
{
    struct reading reading = {.any = ring->at < ring->records.count};
    if (reading.any)
        reading.key_is_receiver = records_read(&ring->records, ring->layout, ring->at, &reading.record);
    return reading;
}

static int reading_order(const struct reading *a, const struct reading *b)
{
    if (!a->any || !b->any)
        return a->any ? -1 : 1;
    if (a->record.time_ms != b->record.time_ms)
        return a->record.time_ms < b->record.time_ms ? -1 : 1;
    return a->record.seq < b->record.seq ? -1 : a->record.seq > b->record.seq;
}

static void ids_bring(struct record *record, const struct window_layout *layout, const struct grafting *grafting)
{
    record->sender = graft_id(grafting, record->sender);
    record->receiver = graft_id(grafting, record->receiver);
    for (uint8_t i = 0; i < layout->extra_count; i++)
        record->extra[i] = graft_number(grafting, record->extra[i], layout->entity_extras >> i & 1);
}

/* Both rings' records in their order; what stands in both comes once. */
static bool rings_join(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, struct ring *own, struct ring *other)
{
    for (;;) {
        struct reading a = ring_read(own), b = ring_read(other);
        if (!a.any && !b.any)
            return true;
        int order = reading_order(&a, &b);
        bool both = order == 0 && a.key_is_receiver == b.key_is_receiver;
        struct reading *first = order <= 0 ? &a : &b;
        own->at += order <= 0;
        other->at += order > 0 || both;
        if (first == &b)
            ids_bring(&b.record, other->layout, other->grafting);
        if (!record_take(shard, cell, keyspace, index, &first->record, first->key_is_receiver))
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
                      const struct ring *other)
{
    bool good = true;
    union aggregate_state *state = states_edit(shard, window, layout);
    for (uint16_t i = 0; good && i < layout->aggregate_count; i++) {
        const struct aggregate_layout *aggregate = &layout->aggregate[i];
        const struct ring *from = lack[i] ? other : own;
        if (aggregate->days) {
            days_free(shard, &state[i].days);
            state[i].days = (struct days){0};
        }
        if (aggregate->days && from->window)
            good = days_graft(shard, from->shard, &window_states(from->shard, from->window, layout)[i].days, column_holds_ids(layout, aggregate->column),
                              aggregate->fn, &state[i].days, from->grafting);
        if (good && aggregate->habit && from->window)
            good = habit_take(shard, window, window_habit_at(aggregate->habit), from->shard, from->window);
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
                  const struct shard *other, const struct cell *from, const struct grafting *grafting)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref ref = window_ref(from, layout, index), old = window_ref(cell, layout, index), none = 0;
    if (!ref)
        return true;
    struct ring own = ring_begin(shard, old, &layout->window[index], cell->key[0], NULL);
    struct ring theirs = ring_begin(other, ref, &layout->window[index], from->key[0], grafting), records = theirs;
    if (!lack->window[index])
        records.records.count = 0;
    (void)shard_edit(shard, cell, cell_size(layout));
    memcpy((char *)cell + cell_window_at(layout, index), &none, sizeof none);
    bool good = window_ensure(shard, cell, keyspace, index) && rings_join(shard, cell, keyspace, index, &own, &records);
    slab_ref fresh = window_ref(cell, layout, index);
    struct window *window = fresh ? slab_edit(&shard->slab, fresh, window_ring_at(&layout->window[index])) : NULL;
    good = good && past_join(shard, window, &layout->window[index], lack->past[index], &own, &theirs);
    if (!good) {
        window_put_back(shard, cell, keyspace, index, old);
        return false;
    }
    int64_t newest_ms = window_newest(other, ref, &layout->window[index]);
    if (newest_ms > window->newest_ms)
        window->newest_ms = newest_ms;
    if (old)
        window_free(shard, old, &layout->window[index]);
    return true;
}
