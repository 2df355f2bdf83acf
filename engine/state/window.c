/* Windows: one key's records of one stream in (time, seq) order, with a tail per aggregate.
 *
 * A few records are scanned: adding one writes it down and no more. Of more every aggregate covers those behind its tail; raising the floor
 * moves the tail and takes what it passes off the running sum. Distinct counts the records that are the last of their id:
 * an id stands in the window exactly if its last record does, so one mark per record serves every
 * window length; records are marked as long as there are states. From WINDOW_MAP_FROM records on a table finds an id's last record; below,
 * a scan does. */
#include "engine/state/hash.h"
#include "engine/state/window_private.h"

#include "engine/base/invariant.h"

enum { COLUMNS = WINDOW_EXTRA + STATE_EXTRA_MAX, RING_ASKED = 1024, RECORDS_BESIDE = 64 };

static inline uint64_t last_bit(int column)
{
    return (uint64_t)1 << (48 + column);
}

/* An id's last record, by column. It stays when its record leaves the ring, until the table has no room for another: so what goes
 * touches no table. */
struct last_entry {
    uint32_t tag;
    uint32_t number; /* of the record when it was noted: late ones before it have moved it up since */
    uint64_t id;
    int64_t time_ms;
};

struct maps {
    uint32_t base; /* number of the record at the beginning of the ring's room: they count up as long as there are maps */
    struct table of[COLUMNS];
};

size_t window_record_bytes(const struct window_layout *layout)
{
    return window_of_edges(layout) ? PACKED_WORDS * sizeof(uint32_t) : kept_size(layout);
}

size_t window_maps_bytes(void)
{
    return sizeof(struct maps);
}

size_t window_map_entry_bytes(void)
{
    return sizeof(struct last_entry);
}

static struct kept *kept_edit(const struct at *at, uint32_t index)
{
    return shard_edit(at->shard, kept_at(at, index), at->size);
}

/* Time of a record, INT64_MAX behind the last. */
static int64_t time_at(const struct at *at, uint32_t index)
{
    return index < at->window->count ? kept_at(at, index)->time_ms : INT64_MAX;
}

static void tail_sum(struct tail *tail, int64_t amount, int sign)
{
    if (amount == MISSING_I64)
        return;
    tail->known += (uint32_t)sign;
    __int128 sum = ((__int128)tail->sum_high << 64 | tail->sum_low) + (sign > 0 ? (__int128)amount : -(__int128)amount);
    tail->sum_low = (uint64_t)sum;
    tail->sum_high = (int64_t)(sum >> 64);
}

/* Takes the record at the tail off the aggregate; the caller moves index. */
static void tail_drop(struct tail *tail, const struct aggregate_layout *aggregate, const struct kept *kept)
{
    if (aggregate->fn == WINDOW_SUM || aggregate->fn == WINDOW_AVG)
        tail_sum(tail, kept_number(kept, aggregate->column), -1);
    else if (aggregate->fn == WINDOW_DISTINCT && kept->seq & last_bit(aggregate->column))
        tail->known--;
}

/* --- the last record of an id --- */

static uint64_t id_hash(uint64_t id)
{
    id = (id ^ (id >> 31)) * 0x9E3779B97F4A7C15u;
    return id ^ (id >> 29);
}

static bool last_same(const void *context, const void *entry)
{
    return ((const struct last_entry *)entry)->id == *(const uint64_t *)context;
}

static struct maps *maps_edit(const struct at *at)
{
    return slab_edit(&at->shard->slab, at->window->maps, sizeof(struct maps));
}

uint32_t ring_upper_bound(const struct at *at, int64_t time_ms, uint64_t seq)
{
    uint32_t from = 0, to = at->window->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        const struct kept *kept = kept_at(at, middle);
        bool behind = kept->time_ms > time_ms || (kept->time_ms == time_ms && (kept->seq & SEQ_BITS) > seq);
        if (behind)
            to = middle;
        else
            from = middle + 1;
    }
    return from;
}

static inline bool is_last(const struct at *at, uint32_t index, int column, uint64_t id)
{
    const struct kept *kept = kept_at(at, index);
    uint64_t have;
    return kept->seq & last_bit(column) && kept_id(kept, column, &have) && have == id;
}

static int64_t last_scan(const struct at *at, int column, uint64_t id)
{
    for (uint32_t i = at->window->count; i-- > 0;)
        if (is_last(at, i, column, id))
            return i;
    return -1;
}

/* Index of the record that the entry names, -1 when it has left the ring. The search passes no more records than were put before it late. */
static int64_t last_index(const struct at *at, int column, const struct last_entry *entry)
{
    int32_t from = (int32_t)(entry->number - maps_edit(at)->base - at->window->head);
    for (uint32_t i = from > 0 ? (uint32_t)from : 0; i < at->window->count && kept_at(at, i)->time_ms <= entry->time_ms; i++)
        if (is_last(at, i, column, entry->id))
            return i;
    return -1;
}

static void last_note(const struct at *at, struct last_entry *entry, uint32_t index)
{
    entry->number = maps_edit(at)->base + at->window->head + index;
    entry->time_ms = kept_at(at, index)->time_ms;
}

/* Entries whose records have left the ring go. */
static void map_forget(const struct at *at, struct table *map)
{
    const struct last_entry *entry = slab_at(&at->shard->slab, map->entries);
    int64_t first_ms = time_at(at, 0);
    for (uint32_t i = 0; i < map->room; i++)
        if (entry[i].tag > TAG_REMOVED && entry[i].time_ms < first_ms)
            table_remove(map, shard_edit(at->shard, &entry[i], sizeof entry[i]));
}

/* The id's entry, to be changed, of no record yet where it is new; NULL when the shard is full. */
static struct last_entry *last_entry(const struct at *at, int column, uint64_t id)
{
    struct table *map = &maps_edit(at)->of[column];
    uint64_t hash = id_hash(id);
    const struct last_entry *found = table_find(&at->shard->slab, map, sizeof *found, hash, last_same, &id);
    if (found)
        return shard_edit(at->shard, found, sizeof *found);
    if (table_is_full(map))
        map_forget(at, map);
    struct last_entry *entry = table_add(&at->shard->slab, map, sizeof *entry, hash);
    if (entry) {
        entry->id = id;
        entry->time_ms = INT64_MIN;
    }
    return entry;
}

static void maps_free(const struct at *at)
{
    if (!at->window->maps)
        return;
    const struct maps *maps = maps_edit(at);
    for (int column = 0; column < COLUMNS; column++)
        slab_free(&at->shard->slab, maps->of[column].entries, (size_t)maps->of[column].room * sizeof(struct last_entry));
    slab_free(&at->shard->slab, at->window->maps, sizeof *maps);
    at->window->maps = 0;
}

/* From now on a table finds last records. When the shard is full the scan goes on serving. */
static void maps_make(const struct at *at)
{
    at->window->maps = slab_alloc(&at->shard->slab, sizeof(struct maps));
    for (uint32_t left = at->window->maps ? at->distinct : 0; left; left &= left - 1) {
        int column = __builtin_ctz(left);
        for (uint32_t i = 0; i < at->window->count; i++) {
            const struct kept *kept = kept_at(at, i);
            uint64_t id;
            if (!(kept->seq & last_bit(column)) || !kept_id(kept, column, &id))
                continue;
            struct last_entry *entry = last_entry(at, column, id);
            if (!entry) {
                maps_free(at);
                return;
            }
            last_note(at, entry, i);
        }
    }
}

void maps_trim(const struct at *at)
{
    if (!at->window->maps)
        return;
    if (at->window->count < WINDOW_MAP_FROM / 2) {
        maps_free(at);
        return;
    }
    for (uint32_t left = at->distinct; left; left &= left - 1) {
        struct table *map = &maps_edit(at)->of[__builtin_ctz(left)];
        map_forget(at, map);
        table_fit(&at->shard->slab, map, sizeof(struct last_entry));
    }
}

/* --- room --- */

void window_moved(struct at *at, slab_ref fresh)
{
    struct slab *slab = &at->shard->slab;
    slab_free(slab, *at->slot, window_size(at->window, at->layout));
    *(slab_ref *)shard_edit(at->shard, at->slot, sizeof *at->slot) = fresh;
    at->window = (struct window *)(void *)(slab->base + (size_t)fresh * 16);
}

/* Its records lie at the beginning of its room now. */
static void ring_begun(const struct at *at)
{
    if (at->state && at->window->maps)
        maps_edit(at)->base += at->window->head;
    at->window->head = 0;
}

bool window_move(struct at *at, uint32_t room)
{
    size_t before = at->ring_at;
    slab_ref ref = slab_alloc(&at->shard->slab, before + room * at->size);
    if (!ref)
        return false;
    struct window *fresh = slab_edit(&at->shard->slab, ref, before + room * at->size);
    memcpy(fresh, at->window, before);
    memcpy((char *)fresh + before, kept_at(at, 0), at->window->count * at->size);
    fresh->room = room;
    window_moved(at, ref);
    ring_begun(at);
    return true;
}

bool ring_make_room(struct at *at)
{
    struct window *window = at->window;
    if (!ring_has_gone(window->room, window->head))
        return window_move(at, ring_room_next(at->layout, window->room, at->size));
    char *ring = shard_edit(at->shard, (char *)window + at->ring_at, window->room * at->size);
    memmove(ring, ring + window->head * at->size, window->count * at->size);
    ring_begun(at);
    return true;
}

/* --- adding and evicting --- */

/* The aggregates forget the first record. */
static void aggregates_evict(const struct at *at)
{
    const struct kept *kept = kept_at(at, 0);
    for (uint16_t i = 0; i < at->layout->aggregate_count; i++) {
        const struct aggregate_layout *aggregate = &at->layout->aggregate[i];
        struct tail *tail = &at->state[i].tail;
        if (aggregate->days)
            continue; /* buckets go by day */
        if (is_extreme(aggregate)) {
            extreme_evict(at, &at->state[i].extreme, kept->time_ms, kept->seq & SEQ_BITS);
            continue;
        }
        if (tail->index > 0) {
            tail->index--;
            continue;
        }
        tail_drop(tail, aggregate, kept);
        tail->next_ms = time_at(at, 1);
        if (kept->time_ms > tail->floor_ms)
            tail->floor_ms = kept->time_ms;
    }
}

/* Records before from_ms go. */
static void ring_evict(const struct at *at, int64_t from_ms)
{
    uint32_t before = at->window->count;
    while (at->window->count && kept_at(at, 0)->time_ms < from_ms) {
        if (at->state)
            aggregates_evict(at);
        at->window->head++;
        at->window->count--;
    }
    if (at->window->count < before)
        shard_count_records(at->shard, (int64_t)at->window->count - before);
}

/* A column's distinct counts, when the record at index p arrives. */
static void distinct_add(const struct at *at, int column, uint32_t p)
{
    const struct kept *kept = kept_at(at, p);
    uint64_t id;
    if (!kept_id(kept, column, &id))
        return;
    struct last_entry *entry = at->window->maps ? last_entry(at, column, id) : NULL;
    if (!entry)
        maps_free(at);
    int64_t last = entry ? last_index(at, column, entry) : last_scan(at, column, id);
    if (entry)
        last_note(at, entry, last > (int64_t)p ? (uint32_t)last : p); /* so that no search passes a late record twice */
    if (last > (int64_t)p)
        return; /* a later record of the id stands already: nothing changes */
    if (last >= 0) {
        struct kept *old = kept_edit(at, (uint32_t)last);
        old->seq &= ~last_bit(column);
    }
    kept_edit(at, p)->seq |= last_bit(column);
    for (uint16_t i = 0; i < at->layout->aggregate_count; i++) {
        const struct aggregate_layout *aggregate = &at->layout->aggregate[i];
        struct tail *tail = &at->state[i].tail;
        if (aggregate->fn != WINDOW_DISTINCT || aggregate->column != column || aggregate->days)
            continue;
        bool counted = last >= 0 && last >= (int64_t)tail->index;
        if (!counted && p >= tail->index)
            tail->known++;
    }
}

/* One aggregate learns of the record at index p; false when the shard is full. */
static bool aggregate_add(const struct at *at, uint16_t index, const struct kept *kept, int32_t day)
{
    const struct aggregate_layout *aggregate = &at->layout->aggregate[index];
    union aggregate_state *state = &at->state[index];
    if (aggregate->days)
        return days_add(at, &state->days, aggregate, kept, day);
    if (is_extreme(aggregate))
        return extreme_add(at, &state->extreme, aggregate->fn, kept, kept_number(kept, aggregate->column));
    struct tail *tail = &state->tail;
    if (kept->time_ms <= tail->floor_ms) {
        tail->index++; /* late, and already before this window: p stands before the tail */
        return true;
    }
    if (kept->time_ms < tail->next_ms)
        tail->next_ms = kept->time_ms;
    if (aggregate->fn == WINDOW_SUM || aggregate->fn == WINDOW_AVG)
        tail_sum(tail, kept_number(kept, aggregate->column), 1);
    return true;
}

/* The aggregates learn of the record at index p, which is counted already; false when the shard is full. */
static bool aggregates_add(const struct at *at, uint32_t p, int32_t day)
{
    bool good = true;
    for (uint16_t i = 0; i < at->layout->aggregate_count; i++)
        good &= aggregate_add(at, i, kept_at(at, p), day);
    for (uint32_t left = at->distinct; left; left &= left - 1)
        distinct_add(at, __builtin_ctz(left), p);
    if (at->window->count == WINDOW_MAP_FROM && !at->window->maps)
        maps_make(at);
    return good;
}

bool window_by_day(const struct window_layout *layout)
{
    bool by_day = false;
    for (uint16_t i = 0; !by_day && i < layout->aggregate_count; i++)
        by_day = layout->aggregate[i].days != 0;
    return by_day;
}

void states_free(const struct at *at)
{
    if (!at->state)
        return;
    for (uint16_t i = 0; i < at->layout->aggregate_count; i++) {
        if (at->layout->aggregate[i].days)
            days_free(at->shard, &at->state[i].days);
        else if (is_extreme(&at->layout->aggregate[i]))
            extreme_free(at->shard, &at->state[i].extreme);
    }
    maps_free(at);
    slab_free(&at->shard->slab, at->window->states, states_bytes(at->layout));
    at->window->states = 0;
}

/* Of the records that are there, added one by one; before, none was marked, or as it stood long ago. When the shard is full the scan
 * goes on serving. */
static bool states_make(struct at *at)
{
    slab_ref ref = slab_alloc(&at->shard->slab, states_bytes(at->layout));
    if (!ref)
        return false;
    at->window->states = ref;
    at->state = slab_edit(&at->shard->slab, ref, states_bytes(at->layout));
    for (uint16_t i = 0; i < at->layout->aggregate_count; i++)
        if (!at->layout->aggregate[i].days && !is_extreme(&at->layout->aggregate[i]))
            at->state[i].tail = (struct tail){.floor_ms = INT64_MIN, .next_ms = INT64_MAX};
    bool good = true;
    uint32_t count = at->window->count;
    for (uint32_t p = 0; p < count; p++) {
        kept_edit(at, p)->seq &= SEQ_BITS | SEQ_RECEIVER;
        at->window->count = p + 1;
        good &= aggregates_add(at, p, 0);
    }
    if (!good) {
        states_free(at);
        at->state = NULL;
    }
    return good;
}

/* With room for the first record. */
slab_ref window_make(struct shard *shard, const struct window_layout *layout, slab_ref *slot)
{
    size_t before = window_ring_at(layout), record_bytes = window_record_bytes(layout);
    uint32_t room = ring_room(layout, 1, record_bytes);
    slab_ref ref = shard_full(shard) ? 0 : slab_alloc(&shard->slab, before + room * record_bytes);
    if (!ref)
        return 0;
    struct at at = {.shard = shard, .layout = layout, .ring_at = before, .window = slab_edit(&shard->slab, ref, before)};
    at.window->newest_ms = INT64_MIN;
    at.window->room = room;
    if (window_of_edges(layout))
        at.window->edge.words = PACKED_WORDS;
    if (window_by_day(layout) && !states_make(&at)) {
        slab_free(&shard->slab, ref, before + room * record_bytes);
        return 0;
    }
    *(slab_ref *)shard_edit(shard, slot, sizeof *slot) = ref;
    return ref;
}

static void cell_touch(struct shard *shard, struct cell *cell, int64_t time_ms)
{
    struct cell *edited = shard_edit(shard, cell, sizeof *cell);
    if (time_ms > edited->newest_ms)
        edited->newest_ms = time_ms;
}

/* Adds a record that finds its window whole; false when the shard is full. */
static bool ring_add(struct at *at, const struct record *record, bool key_is_receiver, bool late, int64_t from_ms)
{
    at->size = kept_size(at->layout);
    at->state = states_edit(at->shard, at->window, at->layout);
    ring_evict(at, from_ms);
    if (ring_full(at->window) && !ring_make_room(at))
        return false;
    shard_count_records(at->shard, 1);
    uint32_t count = at->window->count, p = late ? ring_upper_bound(at, record->time_ms, record->seq) : count;
    struct kept *to = shard_edit(at->shard, kept_at(at, p), (count - p + 1) * at->size);
    if (p < count)
        memmove((char *)to + at->size, to, (count - p) * at->size);
    record_write(to, record, key_is_receiver, at->layout->extra_count);
    at->window->count++;
    if (at->state)
        return aggregates_add(at, p, record->day);
    if (at->window->count > WINDOW_SCAN_MOST && at->layout->aggregate_count)
        (void)states_make(at);
    return true;
}

/* own: evict by the key's own newest time; else what is at or before floor_ms. */
static bool add_record(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, const struct record *record,
                       bool key_is_receiver, bool own, int64_t floor_ms)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref ref = shard_full(shard) ? 0 : window_ensure(shard, cell, keyspace, index);
    if (!ref) {
        shard_bound_hit(shard, BOUND_RECORD);
        return false;
    }
    struct at at = {.shard = shard,
                    .slot = window_slot(cell, layout, index),
                    .layout = &layout->window[index],
                    .ring_at = window_ring_at(&layout->window[index]),
                    .distinct = shard->state->distinct[keyspace][index]};
    struct window *window = at.window = slab_edit(&shard->slab, ref, at.ring_at);
    bool late = record->time_ms < window->newest_ms, added;
    if (!late)
        window->newest_ms = record->time_ms;
    int64_t from_ms = own ? window->newest_ms - at.layout->keep_ms : floor_ms + 1;
    if (window_of_edges(at.layout)) {
        const struct edge_key key = {cell->key[0], layout->width == 1 && layout->entity_words == 1};
        added = edge_add(&at, &key, record, key_is_receiver, late, from_ms);
    } else {
        added = ring_add(&at, record, key_is_receiver, late, from_ms);
    }
    cell_touch(shard, cell, record->time_ms);
    if (!added)
        shard_bound_hit(shard, BOUND_RECORD);
    return added;
}

bool window_add(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, const struct record *record,
                bool key_is_receiver)
{
    return add_record(shard, cell, keyspace, index, record, key_is_receiver, true, 0);
}

bool window_add_above(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, const struct record *record,
                      bool key_is_receiver, int64_t floor_ms)
{
    return add_record(shard, cell, keyspace, index, record, key_is_receiver, false, floor_ms);
}

/* --- reading --- */

/* From the tail, moved up to the floor. */
static struct window_result tail_value(const struct at *at, const struct aggregate_layout *aggregate, struct tail *tail, int64_t floor_ms)
{
    while (tail->next_ms <= floor_ms) {
        tail_drop(tail, aggregate, kept_at(at, tail->index));
        tail->next_ms = time_at(at, ++tail->index);
    }
    tail->floor_ms = floor_ms;
    __int128 sum = (__int128)tail->sum_high << 64 | tail->sum_low;
    switch ((enum window_fn)aggregate->fn) {
    case WINDOW_COUNT:
        return (struct window_result){at->window->count - tail->index, true};
    case WINDOW_DISTINCT:
        return (struct window_result){tail->known, true};
    case WINDOW_FIRST:
    case WINDOW_LAST:
        return scan_end(at, aggregate->column, tail->index, at->window->count, aggregate->fn == WINDOW_FIRST);
    case WINDOW_AVG:
        return mean_half_even(sum, tail->known);
    default:
        return (struct window_result){sum, true};
    }
}

struct window_result window_value(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t index, uint16_t aggregate,
                                  const struct window_span *span)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    const struct aggregate_layout *def = &layout->window[index].aggregate[aggregate];
    slab_ref ref = *window_slot(cell, layout, index);
    if (!ref)
        return (struct window_result){.known = def->fn == WINDOW_COUNT || def->fn == WINDOW_SUM || def->fn == WINDOW_DISTINCT};
    struct at at = {.shard = shard, .layout = &layout->window[index], .ring_at = window_ring_at(&layout->window[index]), .size = kept_size(&layout->window[index])};
    at.window = (struct window *)(uintptr_t)slab_at(&shard->slab, ref);
    at.state = states_edit(shard, at.window, at.layout);
    union aggregate_state *state = at.state ? &at.state[aggregate] : NULL;
    if (def->days)
        return days_value(&at, &state->days, def, span);
    if (span->after && ring_upper_bound(&at, span->floor_ms, span->floor_seq) < ring_upper_bound(&at, span->floor_ms, SEQ_BITS))
        return scan_value(&at, def, span); /* tails stand between times, not between events of one */
    if (span->ceiling_ms < at.window->newest_ms)
        return scan_value(&at, def, span);
    if (!state)
        return at.window->count <= WINDOW_SCAN_MOST ? scan_few(&at, def, span->floor_ms) : scan_value(&at, def, span);
    if (is_extreme(def))
        return extreme_value(&at, &state->extreme, span->floor_ms);
    if (span->floor_ms < state->tail.floor_ms)
        return scan_value(&at, def, span);
    return tail_value(&at, def, &state->tail, span->floor_ms);
}

struct records records_of(const struct window *window, const struct window_layout *layout, entity_id key)
{
    struct records records = {.count = window->count, .stride = (uint32_t)window_stride(window, layout), .key = key};
    records.first = (const char *)window + window_ring_at(layout) + (size_t)window->head * records.stride;
    if (!window_of_edges(layout) || window->edge.words == PACKED_NOT)
        return records;
    records.words = window->edge.words;
    records.key_is_receiver = window->edge.key_is_receiver;
    records.base_seq = window->edge.base_seq;
    records.base_ms = (int64_t)window->base * BASE_MS;
    return records;
}

bool records_read(const struct records *records, const struct window_layout *layout, uint32_t i, struct record *out)
{
    if (records->words) {
        records_unpack(records, i, out);
        return records->key_is_receiver;
    }
    const struct kept *kept = (const void *)(records->first + (size_t)i * records->stride);
    out->time_ms = kept->time_ms;
    out->seq = kept->seq & SEQ_BITS;
    out->amount = kept->amount;
    out->sender = kept->sender;
    out->receiver = kept->receiver;
    memcpy(out->extra, kept->extra, layout->extra_count * sizeof(int64_t));
    return (kept->seq & SEQ_RECEIVER) != 0;
}

struct records window_look(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t index)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref ref = window_ref(cell, layout, index);
    return ref ? records_of(window_of(shard, ref), &layout->window[index], cell->key[0]) : (struct records){0};
}

/* Of an open cell. */
static const struct window *window_at(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t index)
{
    slab_ref ref = slot_ref(cell, cell_window_at(shard_layout(shard, keyspace), index));
    return ref ? slab_at(&shard->slab, ref) : NULL;
}

void window_prefetch(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t index)
{
    const char *window = (const char *)window_at(shard, cell, keyspace, index);
    size_t size = window_ring_at(&shard_layout(shard, keyspace)->window[index]) + RECORDS_BESIDE;
    for (size_t at = 0; window && at < size; at += 64)
        __builtin_prefetch(window + at, 1);
}

void window_prefetch_end(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t index)
{
    const struct window *window = window_at(shard, cell, keyspace, index);
    const struct window_layout *layout = &shard_layout(shard, keyspace)->window[index];
    if (!window)
        return;
    const char *ring = (const char *)window + window_ring_at(layout);
    size_t stride = window_stride(window, layout);
    __builtin_prefetch(ring + window->head * stride);
    __builtin_prefetch(ring + (window->head + 1) * stride); /* the first once the one before it has gone */
    __builtin_prefetch(ring + (size_t)(window->head + window->count) * stride, 1);
    const char *states = (const char *)window_states(shard, window, layout);
    for (size_t at = 0; states && at < states_bytes(layout); at += 64)
        __builtin_prefetch(states + at, 1);
    for (uint32_t left = states && window->maps ? shard->state->distinct[keyspace][index] : 0; left; left &= left - 1)
        __builtin_prefetch(&((const struct maps *)slab_at(&shard->slab, window->maps))->of[__builtin_ctz(left)]);
    for (uint8_t habit = 1; habit <= layout->habit_count; habit++) {
        slab_ref kept;
        memcpy(&kept, (const char *)window + window_habit_at(habit), sizeof kept);
        __builtin_prefetch(habit_has_block(kept) ? slab_at(&shard->slab, kept) : window);
    }
}

void window_ask(const struct shard *shard, slab_ref ref, const struct window_layout *layout, bool records)
{
    const struct window *window = window_of(shard, ref);
    size_t before = window_ring_at(layout);
    if (!records) {
        cache_ask(window, before + RECORDS_BESIDE);
        return;
    }
    size_t stride = window_stride(window, layout), first = window->head * stride, all = window->count * stride;
    if (first + all > RECORDS_BESIDE)
        cache_ask((const char *)window + before + first, all < RING_ASKED ? all : RING_ASKED);
}

void window_walk(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t index, int64_t floor_ms,
                 record_visit_fn visit, void *context)
{
    const struct records records = window_look(shard, cell, keyspace, index);
    for (uint32_t i = records.count; i-- > 0;) {
        struct record record = {0};
        bool key_is_receiver = records_read(&records, &shard_layout(shard, keyspace)->window[index], i, &record);
        if (record.time_ms <= floor_ms || !visit(context, &record, key_is_receiver))
            return;
    }
}

void window_free(struct shard *shard, slab_ref ref, const struct window_layout *layout)
{
    if (!ref)
        return;
    const struct window *window = window_of(shard, ref);
    shard_count_records(shard, -(int64_t)window->count);
    if (!window_is_folded(ref)) {
        struct at at = {.shard = shard, .layout = layout, .ring_at = window_ring_at(layout), .window = slab_edit(&shard->slab, ref, window_ring_at(layout))};
        at.state = states_edit(shard, at.window, layout);
        states_free(&at);
    }
    for (uint8_t habit = 1; habit <= layout->habit_count; habit++) {
        slab_ref kept;
        memcpy(&kept, (const char *)window + window_habit_at(habit), sizeof kept);
        habit_free(shard, kept);
    }
    slab_free(&shard->slab, window_block(ref), window_block_bytes(shard, ref, layout));
}

uint32_t window_records(const struct shard *shard, slab_ref ref)
{
    return ref ? window_of(shard, ref)->count : 0;
}

bool window_there(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t index)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    return part_ref(cell, layout, cell_window_at(layout, index)) != 0;
}

uint32_t window_count(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t index)
{
    return window_records(shard, slot_ref(cell, cell_window_at(shard_layout(shard, keyspace), index)));
}

size_t window_bytes(const struct shard *shard, slab_ref ref, const struct window_layout *layout)
{
    if (!ref)
        return 0;
    const struct window *window = window_of(shard, ref);
    size_t bytes = slab_block(window_block_bytes(shard, ref, layout));
    for (uint8_t habit = 1; habit <= layout->habit_count; habit++) {
        slab_ref kept;
        memcpy(&kept, (const char *)window + window_habit_at(habit), sizeof kept);
        bytes += habit_block_bytes(kept);
    }
    if (window_is_folded(ref))
        return bytes;
    const struct maps *maps = !window_of_edges(layout) && window->maps ? slab_at(&shard->slab, window->maps) : NULL;
    bytes += maps ? slab_block(window_maps_bytes()) : 0;
    for (int column = 0; maps && column < COLUMNS; column++)
        bytes += slab_block((size_t)maps->of[column].room * sizeof(struct last_entry));
    const union aggregate_state *states = window_states(shard, window, layout);
    bytes += states ? slab_block(states_bytes(layout)) : 0;
    for (uint16_t i = 0; states && i < layout->aggregate_count; i++) {
        if (layout->aggregate[i].days)
            bytes += days_bytes(&states[i].days);
        else if (is_extreme(&layout->aggregate[i]))
            bytes += extreme_bytes(&states[i].extreme);
    }
    return bytes;
}

static bool column_holds_ids(const struct window_layout *layout, uint8_t column)
{
    return column >= WINDOW_EXTRA ? layout->entity_extras >> (column - WINDOW_EXTRA) & 1 : column != WINDOW_AMOUNT;
}

void window_hash(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t index, int32_t floor_day, int32_t week,
                 struct hash_item *item)
{
    const struct window_layout *layout = &shard_layout(shard, keyspace)->window[index];
    slab_ref ref = window_ref(cell, shard_layout(shard, keyspace), index);
    if (!ref)
        return;
    const struct window *window = window_of(shard, ref);
    for (uint16_t i = 0; i < layout->aggregate_count; i++)
        if (layout->aggregate[i].days)
            days_hash(shard, &window_states(shard, window, layout)[i].days, &layout->aggregate[i], column_holds_ids(layout, layout->aggregate[i].column), floor_day, item);
    for (uint8_t habit = 1; habit <= layout->habit_count; habit++) {
        slab_ref kept;
        memcpy(&kept, (const char *)window + window_habit_at(habit), sizeof kept);
        habit_hash(shard, kept, week, item);
    }
}
