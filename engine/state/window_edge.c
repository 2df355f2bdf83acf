/* Windows of edges: the payments of one account that graph searches look at, packed into 16 or 20 bytes where nothing is lost by it.
 *
 * A ring keeps times and sequence numbers as distances from a base of its own, the other account, and the amount in four or
 * eight bytes; the account itself is the cell's key. What does not fit (another key, both directions in one ring, a span of more
 * than 37 days) lies whole, as in other windows. So what a ring gives is what was put in, however it lies. */
#include "engine/state/window_private.h"

/* A base leaves room before and behind what it was chosen for, or every record would ask for another one. */
static const uint64_t SPAN_MOST = 3u << 30, ROOM_BEFORE = 1u << 30;

static int64_t base_ms(const struct window *window)
{
    return (int64_t)window->base * BASE_MS;
}

/* What several records have in common, when they are to be packed. */
struct extent {
    int64_t first_ms, last_ms;
    uint64_t first_seq, last_seq;
    bool packs, small, key_is_receiver;
};

static bool amount_small(int64_t amount)
{
    return amount == MISSING_I64 || (amount >= 0 && amount < UINT32_MAX);
}

static void extent_take(struct extent *extent, const struct edge_key *key, const struct record *record, bool key_is_receiver)
{
    extent->first_ms = record->time_ms < extent->first_ms ? record->time_ms : extent->first_ms;
    extent->last_ms = record->time_ms > extent->last_ms ? record->time_ms : extent->last_ms;
    extent->first_seq = record->seq < extent->first_seq ? record->seq : extent->first_seq;
    extent->last_seq = record->seq > extent->last_seq ? record->seq : extent->last_seq;
    extent->packs &= key_is_receiver == extent->key_is_receiver && (key_is_receiver ? record->receiver : record->sender) == key->id;
    extent->small &= amount_small(record->amount);
}

static uint64_t room_before(uint64_t span)
{
    uint64_t half = (UINT32_MAX - span) / 2;
    return half < ROOM_BEFORE ? half : ROOM_BEFORE;
}

/* How a ring of this extent is packed. */
static void packing_choose(struct window *window, const struct extent *extent)
{
    uint64_t span_ms = (uint64_t)extent->last_ms - (uint64_t)extent->first_ms, span_seq = extent->last_seq - extent->first_seq;
    bool packs = extent->packs && span_ms <= SPAN_MOST && span_seq <= SPAN_MOST && extent->first_ms > INT32_MIN * (int64_t)BASE_MS + (int64_t)ROOM_BEFORE &&
                 extent->first_ms < INT32_MAX * (int64_t)BASE_MS;
    window->edge.words = !packs ? PACKED_NOT : extent->small ? PACKED_WORDS : PACKED_WORDS_MOST;
    window->edge.key_is_receiver = extent->key_is_receiver;
    if (!packs)
        return;
    uint64_t before_seq = room_before(span_seq);
    int64_t before_ms = extent->first_ms - (int64_t)room_before(span_ms);
    window->base = (int32_t)(before_ms / BASE_MS - (before_ms % BASE_MS < 0));
    window->edge.base_seq = (extent->first_seq > before_seq ? extent->first_seq - before_seq : 0) & SEQ_BITS;
}

/* Whether the record can stand in the ring as it is packed. */
static bool edge_fits(const struct window *window, const struct edge_key *key, const struct record *record, bool key_is_receiver)
{
    if (window->edge.words == PACKED_NOT)
        return true;
    uint64_t after_ms = (uint64_t)record->time_ms - (uint64_t)base_ms(window), after_seq = record->seq - window->edge.base_seq;
    return key->is_id && (key_is_receiver ? record->receiver : record->sender) == key->id &&
           window->edge.key_is_receiver == key_is_receiver && record->time_ms >= base_ms(window) && after_ms <= UINT32_MAX &&
           after_seq <= UINT32_MAX && (window->edge.words == PACKED_WORDS_MOST || amount_small(record->amount));
}

/* Writes a record that fits. */
static void edge_write(const struct window *window, char *to, const struct record *record, bool key_is_receiver)
{
    if (window->edge.words == PACKED_NOT) {
        record_write((struct kept *)(void *)to, record, key_is_receiver, 0);
        return;
    }
    uint32_t *word = (uint32_t *)(void *)to;
    word[PACKED_TIME] = (uint32_t)(record->time_ms - base_ms(window));
    word[PACKED_SEQ] = (uint32_t)(record->seq - window->edge.base_seq);
    word[PACKED_OTHER] = key_is_receiver ? record->sender : record->receiver;
    word[PACKED_AMOUNT] = (uint32_t)(uint64_t)record->amount;
    if (window->edge.words == PACKED_WORDS_MOST)
        word[PACKED_HIGH] = (uint32_t)((uint64_t)record->amount >> 32);
    else if (record->amount == MISSING_I64)
        word[PACKED_AMOUNT] = UINT32_MAX;
}

/* Packs the ring's records anew so that the record fits as well, with room for so many, in another block unless none is there yet. */
static bool edges_repack(struct at *at, const struct edge_key *key, const struct record *record, bool key_is_receiver, uint32_t room)
{
    struct slab *slab = &at->shard->slab;
    const struct records old = records_of(at->window, at->layout, key->id);
    struct extent extent = {record->time_ms, record->time_ms, record->seq, record->seq, key->is_id, true, key_is_receiver};
    struct record one;
    extent_take(&extent, key, record, key_is_receiver);
    for (uint32_t i = 0; i < old.count; i++) {
        bool receives = records_read(&old, at->layout, i, &one);
        extent_take(&extent, key, &one, receives);
    }
    struct window fresh = *at->window;
    packing_choose(&fresh, &extent);
    size_t stride = window_stride(&fresh, at->layout), block = slab_block(window_size(at->window, at->layout));
    bool stays = !old.count && at->ring_at + stride <= block;
    fresh.head = 0;
    fresh.room = stays ? (uint32_t)((block - at->ring_at) / stride) : ring_room(at->layout, room, stride);
    slab_ref ref = stays ? *at->slot : slab_alloc(slab, window_size(&fresh, at->layout));
    if (!ref)
        return false;
    char *to = slab_edit(slab, ref, window_size(&fresh, at->layout));
    memcpy(to, &fresh, sizeof fresh);
    for (uint32_t i = 0; i < old.count; i++) {
        bool receives = records_read(&old, at->layout, i, &one);
        edge_write(&fresh, to + at->ring_at + i * stride, &one, receives);
    }
    at->size = stride;
    if (!stays)
        window_moved(at, ref);
    return true;
}

/* Makes room for one more record, packed so that it fits; false when the shard is full. */
static bool edges_reserve(struct at *at, const struct edge_key *key, const struct record *record, bool key_is_receiver)
{
    struct window *window = at->window;
    if (!edge_fits(window, key, record, key_is_receiver))
        return edges_repack(at, key, record, key_is_receiver, window->count + 1 + window->count / 4);
    if (!ring_full(window))
        return true;
    if (window->edge.words == PACKED_NOT && !ring_has_gone(window->room, window->head))
        return edges_repack(at, key, record, key_is_receiver, ring_room_next(at->layout, window->room, at->size));
    return ring_make_room(at);
}

/* First index whose record stands behind (time, seq). */
static uint32_t records_behind(const struct records *records, const struct window_layout *layout, int64_t time_ms, uint64_t seq)
{
    uint32_t from = 0, to = records->count;
    while (from < to) {
        struct record record;
        uint32_t middle = from + (to - from) / 2;
        (void)records_read(records, layout, middle, &record);
        if (record.time_ms > time_ms || (record.time_ms == time_ms && record.seq > seq))
            to = middle;
        else
            from = middle + 1;
    }
    return from;
}

static int64_t edge_time_ms(const struct at *at, uint32_t index)
{
    const struct kept *kept = kept_at(at, index);
    const uint32_t *word = (const uint32_t *)(const void *)kept;
    return at->window->edge.words == PACKED_NOT ? kept->time_ms : base_ms(at->window) + word[PACKED_TIME];
}

/* Those whose time is before `from_ms` go. */
static void edges_evict(const struct at *at, int64_t from_ms)
{
    struct window *window = at->window;
    uint32_t gone = 0;
    while (gone < window->count && edge_time_ms(at, gone) < from_ms)
        gone++;
    window->head += gone;
    window->count -= gone;
    if (gone)
        shard_count_records(at->shard, -(int64_t)gone);
}

bool edge_add(struct at *at, const struct edge_key *key, const struct record *record, bool key_is_receiver, bool late, int64_t from_ms)
{
    at->size = window_stride(at->window, at->layout);
    edges_evict(at, from_ms);
    if (!edges_reserve(at, key, record, key_is_receiver))
        return false;
    struct window *window = at->window;
    shard_count_records(at->shard, 1);
    uint32_t p = window->count;
    if (late && p) {
        const struct records records = records_of(window, at->layout, key->id);
        p = records_behind(&records, at->layout, record->time_ms, record->seq);
    }
    char *to = shard_edit(at->shard, kept_at(at, p), (window->count - p + 1) * at->size);
    if (p < window->count)
        memmove(to + at->size, to, (window->count - p) * at->size);
    edge_write(window, to, record, key_is_receiver);
    window->count++;
    return true;
}
