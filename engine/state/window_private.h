/* What the files behind windows share: how a window lies in the slab.
 *
 * Included by engine/state/window{,_scan,_edge,_extreme,_day,_sweep,_map}.c, habit.c and size.c only. */
#ifndef ENGINE_STATE_WINDOW_PRIVATE_H
#define ENGINE_STATE_WINDOW_PRIVATE_H

#include "engine/base/invariant.h"
#include "engine/state/private.h"

/* Bits of a kept record's seq: which end the key is, and for which columns it is its id's last. */
#define SEQ_RECEIVER ((uint64_t)1 << 63)
#define SEQ_BITS (((uint64_t)1 << 48) - 1)

/* Largest and smallest, over the ring: the records that no later one outdoes, oldest first. One list
 * serves every window length, for a window's extreme is the first of them inside it. */
struct extreme {
    slab_ref entry;
    uint32_t room, head, count;
};

/* One aggregate by calendar day: a bucket per day that has records, oldest first; for distinct also
 * the days of every id: buckets count it on its last, and a rule's clock may be behind that. */
struct days {
    slab_ref bucket;
    uint32_t room, count;
    struct table ids;
};

struct tail {
    int64_t floor_ms;     /* records with time <= floor are before the tail */
    uint32_t index;       /* first record behind it, counted from head */
    uint32_t known;       /* distinct: ids behind it; avg: records whose column is known */
    uint64_t sum_low;
    int64_t sum_high;
    int64_t next_ms;      /* time of the record at index, INT64_MAX when there is none: as long as the
                             floor is below it, the ring need not be touched (a cache miss saved) */
};

/* What one aggregate keeps: by its function and whether it runs by day. */
union aggregate_state {
    struct tail tail;
    struct extreme extreme;
    struct days days;
};

/* A window is one block: this, what the layout adds, and its ring. So it moves when the ring grows, and its cell is told. */
struct window {
    int64_t newest_ms;          /* of all records ever */
    union {
        struct {
            slab_ref maps;      /* struct maps, once there are enough records; 0 before, and as long as there are no states */
            slab_ref states;    /* union aggregate_state by aggregate; 0: they are few records, which a scan reads as quickly */
        };
        struct {                /* of edges: how they are packed; PACKED_NOT where they lie whole */
            uint64_t base_seq : 48, words : 8, key_is_receiver : 1;
        } edge;
    };
    uint32_t room, head, count; /* records [head, head + count) of room */
    union {
        slab_ref habit;         /* the first (HABIT_IS_WEEK); the others follow, then the ring */
        int32_t base;           /* of edges: what their times are counted from, in units of BASE_MS */
    };
};
/* In a packed cell a window of few records may lie folded (window_fold.c): without these bytes, a unit of the slab. */
enum { FOLDED_LACKS = offsetof(struct window, room) };
enum { BASE_MS = 1 << 20 };     /* 17 minutes: so 32 bits reach 70,000 years either way */

struct kept {               /* a record as the ring holds it, extra_count extras long */
    int64_t time_ms;
    uint64_t seq;           /* with SEQ_… bits */
    int64_t amount;
    entity_id sender, receiver;
    int64_t extra[];
};

struct at {                 /* a window being worked on */
    struct shard *shard;
    struct window *window;
    const struct window_layout *layout;
    slab_ref *slot;         /* where the cell says the window lies; NULL: it is only read */
    union aggregate_state *state; /* to be changed; NULL: it keeps none */
    size_t ring_at;         /* where in the window its ring begins */
    size_t size;            /* bytes of a record */
    uint32_t distinct;      /* columns whose distinct values are counted over the ring */
};

/* The key of a cell whose windows hold edges. */
struct edge_key {
    entity_id id;
    bool is_id;             /* one identity and nothing else */
};

enum { PACKED_NOT = 8 };

static inline bool window_is_folded(slab_ref ref)
{
    return (ref & REF_FOLDED) != 0;
}
/* Where its block lies. */
static inline slab_ref window_block(slab_ref ref)
{
    return ref & ~REF_FOLDED;
}
/* A window that is there; of a folded one what lies before `room` is not its own. */
static inline const struct window *window_of(const struct shard *shard, slab_ref ref)
{
    const char *block = slab_at(&shard->slab, window_block(ref));
    return (const struct window *)(const void *)(window_is_folded(ref) ? block - FOLDED_LACKS : block);
}

static inline bool is_extreme(const struct aggregate_layout *aggregate)
{
    return aggregate->fn == WINDOW_MIN || aggregate->fn == WINDOW_MAX;
}

static inline size_t window_habit_at(uint8_t habit)
{
    return offsetof(struct window, habit) - sizeof(slab_ref) + habit * sizeof(slab_ref);
}

/* Whether the window keeps nothing but records without extras, such as the payments that graph searches look at. */
static inline bool window_of_edges(const struct window_layout *layout)
{
    return layout->aggregate_count == 0 && layout->habit_count == 0 && layout->extra_count == 0;
}
/* Where in a window its ring begins: behind the last habit, on eight bytes. */
static inline size_t window_ring_at(const struct window_layout *layout)
{
    return (window_habit_at(layout->habit_count) + sizeof(slab_ref) + 7) / 8 * 8;
}

static inline const struct kept *kept_at(const struct at *at, uint32_t index)
{
    const char *ring = (const char *)at->window + at->ring_at;
    return (const struct kept *)(const void *)(ring + (size_t)(at->window->head + index) * at->size);
}
/* The id in a column; false when it is missing there. */
static inline bool kept_id(const struct kept *kept, int column, uint64_t *id)
{
    int64_t number;
    switch (column) {
    case WINDOW_AMOUNT:
        number = kept->amount;
        break;
    case WINDOW_SENDER:
        number = kept->sender ? (int64_t)kept->sender : MISSING_I64;
        break;
    case WINDOW_RECEIVER:
        number = kept->receiver ? (int64_t)kept->receiver : MISSING_I64;
        break;
    case WINDOW_OTHER: {
        entity_id other = kept->seq & SEQ_RECEIVER ? kept->sender : kept->receiver;
        number = other ? (int64_t)other : MISSING_I64;
        break;
    }
    default:
        number = kept->extra[column - WINDOW_EXTRA];
        break;
    }
    *id = (uint64_t)number;
    return number != MISSING_I64;
}
/* The number in a column, MISSING_I64 when missing. */
static inline int64_t kept_number(const struct kept *kept, int column)
{
    uint64_t id;
    return kept_id(kept, column, &id) ? (int64_t)id : MISSING_I64;
}

/* From so many records on a table finds an id's last record. Up to so many a window keeps no states of its aggregates, unless they
 * run by day (of eight, not four: 12 % less state and 350 instructions less an event); a sweep takes those of a window that has come down
 * to half. */
enum { WINDOW_MAP_FROM = 32, WINDOW_SCAN_MOST = 8 };

/* Bytes of a kept record; of the tables of ids, and of one entry of them. */
size_t window_record_bytes(const struct window_layout *layout);
size_t window_maps_bytes(void);
size_t window_map_entry_bytes(void);

static inline size_t kept_size(const struct window_layout *layout)
{
    return sizeof(struct kept) + layout->extra_count * sizeof(int64_t);
}
/* What the aggregates of a window keep, as many bytes; NULL: nothing. */
static inline size_t states_bytes(const struct window_layout *layout)
{
    return layout->aggregate_count * sizeof(union aggregate_state);
}
static inline const union aggregate_state *window_states(const struct shard *shard, const struct window *window, const struct window_layout *layout)
{
    return layout->aggregate_count && window->states ? slab_at(&shard->slab, window->states) : NULL;
}
static inline union aggregate_state *states_edit(struct shard *shard, const struct window *window, const struct window_layout *layout)
{
    return layout->aggregate_count && window->states ? slab_edit(&shard->slab, window->states, states_bytes(layout)) : NULL;
}
/* Bytes of each record of a window's ring. */
static inline size_t window_stride(const struct window *window, const struct window_layout *layout)
{
    bool packed = window_of_edges(layout) && window->edge.words != PACKED_NOT;
    return packed ? window->edge.words * sizeof(uint32_t) : kept_size(layout);
}
static inline size_t window_size(const struct window *window, const struct window_layout *layout)
{
    return window_ring_at(layout) + window->room * window_stride(window, layout);
}
/* Bytes of the block of a window that is there. */
static inline size_t window_block_bytes(const struct shard *shard, slab_ref ref, const struct window_layout *layout)
{
    return window_size(window_of(shard, ref), layout) - (window_is_folded(ref) ? FOLDED_LACKS : 0);
}

/* What has room for four times its things and more gives back down to this room. */
static inline bool room_too_large(uint32_t room, uint32_t count)
{
    return room > 8 && room / 4 > count;
}
static inline uint32_t room_fitting(uint32_t count)
{
    uint32_t room = 2;
    while (room < 2 * count)
        room *= 2;
    return room;
}

/* Rings begin with one record, for most accounts move money once, and grow by a quarter and two, as far as the block of the slab has room;
 * they give back when less than half is in use. A quarter that is free at the beginning is used again before a ring grows. */
static inline uint32_t ring_room(const struct window_layout *layout, uint32_t records, size_t record_bytes)
{
    size_t before = window_ring_at(layout);
    return (uint32_t)((slab_block(before + records * record_bytes) - before) / record_bytes);
}
static inline uint32_t ring_room_next(const struct window_layout *layout, uint32_t room, size_t record_bytes)
{
    return ring_room(layout, room ? room + room / 4 + 2 : 1, record_bytes);
}
static inline bool ring_has_gone(uint32_t room, uint32_t head)
{
    return head > room / 4;
}
static inline bool ring_too_large(uint32_t room, uint32_t count)
{
    return room > 8 && room / 2 > count;
}

/* window.c: a window's records; key: the first word of its cell's. And one of them, whose key is the receiver or not. */
struct records records_of(const struct window *window, const struct window_layout *layout, entity_id key);
bool records_read(const struct records *records, const struct window_layout *layout, uint32_t i, struct record *out);
static inline bool ring_full(const struct window *window)
{
    return window->head + window->count == window->room;
}
/* window.c: room for one more record as large as the others in a full ring; false when the shard is full. */
bool ring_make_room(struct at *at);
/* window.c: puts the window into a block with room for so many records; false when the shard is full. And says that it lies there now. */
bool window_move(struct at *at, uint32_t room);
void window_moved(struct at *at, slab_ref fresh);
/* window_edge.c: adds a record, at its place if it is late, and those before from_ms go; false when the shard is full. */
bool edge_add(struct at *at, const struct edge_key *key, const struct record *record, bool key_is_receiver, bool late, int64_t from_ms);
/* A record as it lies whole. */
static inline void record_write(struct kept *kept, const struct record *record, bool key_is_receiver, uint8_t extra_count)
{
    invariant(record->seq <= SEQ_BITS);
    kept->time_ms = record->time_ms;
    kept->seq = record->seq | (key_is_receiver ? SEQ_RECEIVER : 0);
    kept->amount = record->amount;
    kept->sender = record->sender;
    kept->receiver = record->receiver;
    memcpy(kept->extra, record->extra, extra_count * sizeof(int64_t));
}

/* Of an open cell. */
static inline slab_ref *window_slot(struct cell *cell, const struct keyspace_layout *layout, uint16_t window)
{
    return (slab_ref *)(void *)((char *)cell + cell_window_at(layout, window));
}
/* window.c: makes a window of this layout where the cell has none; 0 when the shard is full. */
slab_ref window_make(struct shard *shard, const struct window_layout *layout, slab_ref *slot);
/* A cell's window, made where there is none yet; 0 when the shard is full. */
static inline slab_ref window_ensure(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window)
{
    const struct keyspace_layout *layout = shard_layout(shard, keyspace);
    slab_ref *slot = window_slot(cell, layout, window);
    invariant(!cell_is_packed(cell, layout));
    return *slot ? *slot : window_make(shard, &layout->window[window], slot);
}
/* window.c: the first index whose record stands behind (time, seq). */
uint32_t ring_upper_bound(const struct at *at, int64_t time_ms, uint64_t seq);

/* window_scan.c: over the span, from scratch: for a floor that fell, or a ceiling before the newest record; of few records, up to the newest; and
 * the first or last known value among records [from, to). */
struct window_result scan_value(const struct at *at, const struct aggregate_layout *aggregate, const struct window_span *span);
struct window_result scan_few(const struct at *at, const struct aggregate_layout *aggregate, int64_t floor_ms);
struct window_result scan_end(const struct at *at, int column, uint32_t from, uint32_t to, bool first);
struct window_result mean_half_even(__int128 sum, uint64_t count);

/* window_extreme.c; false when the shard is full. */
bool extreme_add(const struct at *at, struct extreme *extreme, uint8_t fn, const struct kept *kept, int64_t value);
void extreme_evict(const struct at *at, struct extreme *extreme, int64_t time_ms, uint64_t seq);
struct window_result extreme_value(const struct at *at, const struct extreme *extreme, int64_t floor_ms);
void extreme_free(struct shard *shard, const struct extreme *extreme);
size_t extreme_entry_bytes(void);
size_t extreme_bytes(const struct extreme *extreme);
void extreme_trim(struct shard *shard, struct extreme *extreme);

/* window_day.c */
bool days_add(const struct at *at, struct days *days, const struct aggregate_layout *aggregate, const struct kept *kept, int32_t day);
struct window_result days_value(const struct at *at, const struct days *days, const struct aggregate_layout *aggregate,
                                const struct window_span *span);
void days_free(struct shard *shard, const struct days *days);
/* A copy of its own; false when the shard is full. */
bool days_copy(struct shard *shard, const struct days *from, struct days *to);
/* The same out of another state's shard, `ids`: its column holds ids. */
bool days_graft(struct shard *shard, const struct shard *other, const struct days *from, bool ids, uint8_t fn, struct days *to,
                const struct grafting *grafting);
size_t bucket_bytes(void);
size_t days_id_bytes(void);
size_t days_bytes(const struct days *days);
void days_trim(struct shard *shard, struct days *days);
/* Marks the ids it holds, where its column holds ids. */
void days_mark(const struct shard *shard, const struct days *days, uint8_t fn);

/* window.c: what aggregates keep, freed, with the tables that find an id's last record. */
void states_free(const struct at *at);
bool window_by_day(const struct window_layout *layout);
/* window.c: the tables that find an id's last record, made smaller where they can be. */
void maps_trim(const struct at *at);

void days_hash(const struct shard *shard, const struct days *days, const struct aggregate_layout *aggregate, bool ids, int32_t floor_day,
               struct hash_item *item);

/* habit.c */
/* What a window says of a habit: 0, there is none; with this bit, the week in which it began, before its first sample; else where its block
 * lies. Shards end below references with this bit (setting shard_mb_max). */
static const slab_ref HABIT_IS_WEEK = (slab_ref)1 << 31;
static inline bool habit_has_block(slab_ref habit)
{
    return habit && !(habit & HABIT_IS_WEEK);
}
size_t habit_bytes(void); /* of a block */
size_t habit_block_bytes(slab_ref habit); /* of one that may be there */
void habit_free(struct shard *shard, slab_ref habit); /* likewise */
/* One of its own, of one that is there; 0 when the shard is full. */
slab_ref habit_copy(struct shard *shard, const struct shard *from, slab_ref habit);
void habit_hash(const struct shard *shard, slab_ref habit, int32_t week, struct hash_item *item);

#endif
