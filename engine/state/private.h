/* What the files of engine/state share: a shard's inside, tables in a slab, a key's cell.
 *
 * Everything that must survive a restart lies in the slab, reached from its roots; struct shard and
 * struct state hold only what a layout says and what can be derived. */
#ifndef ENGINE_STATE_PRIVATE_H
#define ENGINE_STATE_PRIVATE_H

#include "engine/base/arena.h"
#include "engine/state/bucket.h"
#include "engine/state/state.h"
#include "engine/state/table.h"

enum { ROOT_IDENT = 0, ROOT_DEDUP = 1, ROOT_JOIN = 2, ROOT_KEYS = 3, ROOT_BOOKS = 4 };

struct ident_root;

/* What a shard keeps count of, in its slab: it decides, so it survives a restart. */
struct shard_books {
    uint64_t records;   /* in all windows */
    uint32_t full;      /* takes in nothing: state.h */
    uint32_t pad;
};

struct shard {
    struct slab slab;
    struct state *state;
    uint32_t index;
    /* where the slab's roots point: nothing in a slab moves, so they hold until the next restore */
    struct ident_root *idents;
    struct table *keys;                   /* one per keyspace */
    struct buckets *repeats, *joins;
    struct shard_books *books;
    uint64_t hit[BOUND_COUNT];            /* since the start */
    uint64_t keys_dropped, identities_freed;
    bool unmapped;                        /* a mapping found no room */
};

/* Sets the roots' pointers, after the slab was made or restored. */
void shard_bind(struct shard *shard);
/* ident.c: likewise, and whenever the marks have moved. */
void ident_bind(struct shard *shard);

/* What of one keyspace a state does not hold as if it had always been asked for: one flag each. */
struct keyspace_lack {
    bool any;
    bool *clock, *memory, *attempt;
    bool *window;         /* its records: it is new, or looks further back than before */
    bool **past;          /* [window][aggregate]: the buckets by day, or the habit, of one that is new */
};

struct state {
    struct state_layout layout; /* deep copy, in arena */
    struct state_layout *from;  /* while the state is mapped: the layout before; NULL else */
    struct keyspace_lack *lack; /* per keyspace, in arena; NULL: nothing lacks */
    struct arena arena;
    unsigned char key[16];
    uint32_t **distinct;  /* [keyspace][window]: columns whose distinct values some aggregate counts */
    unsigned char mark;   /* of this cycle, never 0 */
    unsigned char mark_before;
    unsigned char *marks[SHARD_COUNT]; /* by shard: its identities' marks, a byte by ordinal (ident.c keeps them): close together, for
                                          a sweep marks ids of all shards */
    char *reserved;       /* one range of addresses for all shards */
    size_t reserved_bytes;
    struct shard shard[SHARD_COUNT];
};

/* Copies a layout into the state and derives from it; the state's content must be of that layout. */
void state_layout_set(struct state *state, const struct state_layout *layout);
/* layout.c: a layout as bytes (equal ones give equal bytes), and back into arena; lateness and bounds are not in them. */
struct slice layout_write(struct arena *arena, const struct state_layout *layout);
bool layout_read(struct slice bytes, struct arena *arena, struct state_layout *layout, struct error *err) must_check;

/* --- cells --- */

struct cell_entry {
    uint32_t tag;
    slab_ref cell;
};

/* One key's state. Behind the words of the key stand references to its parts: window[window_count], the block of clocks where the layout has
 * any, memory[memory_count] and attempt[attempt_count]; 0 where there is none. struct cell_shape says where, so that a cell is no longer than its
 * layout asks: most keys are pairs that were met once (`other is new`), and their cells are 16 bytes, one unit of the slab.
 *
 * Where a layout asks for more than CELL_MOST bytes, as that of accounts does, a struct packed stands before the references. It is empty as
 * long as events come: the cell is open. Of a key that has gone quiet nearly all references are 0: a sweep packs it into a shorter cell, which
 * says whose references it has (pack.c). Of an account that was idle for a week that is 32 or 48 bytes instead of 192. */
struct cell {
    int64_t newest_ms;        /* newest record or clock: RULES 3 drops by it */
    uint32_t key[];           /* width of them */
};
struct packed {
    uint16_t count;           /* of the parts that have a reference; 0: the cell is open, all have */
    uint16_t number[];        /* of these parts, counted from the first window; behind them, on four bytes, their references */
};
/* A key has gone quiet when its clocks have been gone, or would have been, for as long as they were kept: sooner, and many came back soon and
 * were opened again. */
enum { QUIET_MS = 2 * CLOCK_KEEP_MS };
enum { CELL_MOST = 32, PACKED_HEAD = sizeof(slab_ref), PARTS_AT_ONCE = 64 };

/* A reference to a window with this bit: it lies folded (window_fold.c), which only those of packed cells do. Shards end below references
 * with it (setting shard_mb_max). */
static const slab_ref REF_FOLDED = (slab_ref)1 << 31;

/* layout.c: derives the shape; state_layout_set puts it into the state's own layout, where the functions below read it. */
struct cell_shape cell_shape(const struct keyspace_layout *layout);

static inline size_t cell_window_at(const struct keyspace_layout *layout, uint16_t window)
{
    return layout->cell.window_at + (size_t)window * sizeof(slab_ref);
}
static inline size_t cell_memory_at(const struct keyspace_layout *layout, uint16_t memory)
{
    return layout->cell.memory_at + (size_t)memory * sizeof(slab_ref);
}
static inline size_t cell_attempt_at(const struct keyspace_layout *layout, uint16_t attempt)
{
    return layout->cell.attempt_at + (size_t)attempt * sizeof(slab_ref);
}
/* Of an open cell. */
static inline size_t cell_size(const struct keyspace_layout *layout)
{
    return layout->cell.size;
}
/* A memory that keeps no values is a time: its sequence number would decide only whose values stay (RULES 19). Where nothing else is kept
 * of a key, that time is the cell's newest_ms, and the memory has neither reference nor block. */
static inline bool memory_is_newest(const struct keyspace_layout *layout)
{
    return layout->cell.memory_at == 0;
}
static inline const struct keyspace_layout *shard_layout(const struct shard *shard, uint16_t keyspace)
{
    return &shard->state->layout.keyspace[keyspace];
}
static inline slab_ref cell_ref(const struct shard *shard, const void *at)
{
    return (slab_ref)((size_t)((const char *)at - shard->slab.base) / 16);
}
static inline struct cell *cell_at(const struct shard *shard, slab_ref ref)
{
    return (struct cell *)(uintptr_t)slab_at(&shard->slab, ref);
}
/* Says that size bytes at `at` (anywhere in the slab) are about to change. */
static inline void *shard_edit(struct shard *shard, const void *at, size_t size)
{
    size_t offset = (size_t)((const char *)at - shard->slab.base);
    (void)slab_edit(&shard->slab, (slab_ref)(offset / 16), size + offset % 16);
    return shard->slab.base + offset;
}

/* Hints that these bytes are needed soon. */
static inline void cache_ask(const void *at, size_t size)
{
    for (size_t i = 0; i < size; i += 64)
        __builtin_prefetch((const char *)at + i);
}

/* A shard that is full gives nothing; who asked counts what that means. */
static inline bool shard_full(const struct shard *shard)
{
    return shard->books->full != 0;
}
static inline void shard_count_records(struct shard *shard, int64_t more)
{
    struct shard_books *books = shard_edit(shard, shard->books, sizeof *books);
    books->records += (uint64_t)more;
}

bool keys_init(struct shard *shard, struct error *err) must_check;
bool ident_init(struct shard *shard, struct error *err) must_check;
bool dedup_init(struct shard *shard, struct error *err) must_check;

/* The reference that stands there in an open cell. What comes into a cell, and what is asked at every event, reckons with an open one. */
static inline slab_ref slot_ref(const struct cell *cell, size_t at)
{
    slab_ref ref;
    memcpy(&ref, (const char *)cell + at, sizeof ref);
    return ref;
}
static inline const struct packed *cell_packed(const struct cell *cell, const struct keyspace_layout *layout)
{
    return (const void *)((const char *)cell + layout->cell.window_at - PACKED_HEAD);
}
static inline bool cell_is_packed(const struct cell *cell, const struct keyspace_layout *layout)
{
    return layout->cell.packs && cell_packed(cell, layout)->count;
}
/* Where in a struct packed of so many numbers its references begin. */
static inline size_t packed_refs_at(uint32_t count)
{
    return (sizeof(struct packed) + count * sizeof(uint16_t) + sizeof(slab_ref) - 1) / sizeof(slab_ref) * sizeof(slab_ref);
}
static inline const slab_ref *packed_refs(const struct packed *packed)
{
    return (const void *)((const char *)packed + packed_refs_at(packed->count));
}
/* Where a packed cell has its reference to a part; NULL: it has none. */
static inline const slab_ref *packed_find(const struct packed *packed, uint32_t part)
{
    for (uint32_t i = 0; i < packed->count; i++)
        if (packed->number[i] == part)
            return packed_refs(packed) + i;
    return NULL;
}
/* Where any cell has the reference that stands there in an open one; NULL: nowhere. */
static inline const slab_ref *part_slot(const struct cell *cell, const struct keyspace_layout *layout, size_t at)
{
    if (cell_is_packed(cell, layout))
        return packed_find(cell_packed(cell, layout), (uint32_t)((at - layout->cell.window_at) / sizeof(slab_ref)));
    return (const slab_ref *)(const void *)((const char *)cell + at);
}
/* That reference; 0: the part is not there. */
static inline slab_ref part_ref(const struct cell *cell, const struct keyspace_layout *layout, size_t at)
{
    if (!cell_is_packed(cell, layout))
        return slot_ref(cell, at);
    const slab_ref *slot = part_slot(cell, layout, at);
    return slot ? *slot : 0;
}
/* pack.c: bit i: part number from + i is there, of any cell, for those before `end`. */
uint64_t parts_held(const struct cell *cell, const struct keyspace_layout *layout, uint32_t from, uint32_t end);
/* Bytes of a cell as it is; and of a packed one with so many parts. */
size_t cell_bytes(const struct cell *cell, const struct keyspace_layout *layout);
size_t packed_bytes(const struct cell_shape *shape, uint32_t count);
/* Where a cell lies now that it is packed, if that is shorter; or opened. 0: it lies where it did, for there is no room, or no need. */
slab_ref cell_pack(struct shard *shard, slab_ref cell, const struct keyspace_layout *layout);
slab_ref cell_unpack(struct shard *shard, slab_ref cell, const struct keyspace_layout *layout);
/* Gives the windows of a packed cell what they were folded without; false when there is no room for all. */
bool cell_unfold(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout);

/* The block of a key's clocks; 0: none was raised, or all lay long before the horizon of a sweep. */
static inline slab_ref clocks_ref(const struct cell *cell, const struct keyspace_layout *layout)
{
    return layout->clock_count ? part_ref(cell, layout, layout->cell.clocks_at) : 0;
}
/* clock.c: that block; brought over from an old cell, place[i] being where clock i stood (-1: nowhere), false when there
 * is no room; freed; and freed by a sweep once no clock of it can matter. */
size_t clocks_bytes(const struct keyspace_layout *layout);
bool clocks_copy(struct shard *shard, struct cell *cell, const struct keyspace_layout *to, const struct cell *old,
                 const struct keyspace_layout *from, const int *place);
void clocks_free(struct shard *shard, slab_ref clocks, const struct keyspace_layout *layout);
void clocks_thin(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, int64_t horizon_ms);
/* cell.c: frees a cell and all it holds. */
void cell_drop(struct shard *shard, slab_ref ref, const struct keyspace_layout *layout);
/* window_map.c: whether a window may go on as it lies; what of the new one would not be whole, 0: nothing, else for so long; and the
 * new one made from the old, which stays. */
bool window_same(const struct window_layout *a, const struct window_layout *b);
int64_t window_fresh_ms(const struct window_layout *from, const struct window_layout *to);
bool window_remake(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window, slab_ref old, const struct window_layout *from);
/* window.c: a hint for a window, or for its first records once the window itself is there. */
void window_ask(const struct shard *shard, slab_ref ref, const struct window_layout *layout, bool records);
/* Whether a layout has the aggregate's buckets by day and its habit, where it asks for them. */
bool window_has_past(const struct window_layout *in, const struct aggregate_layout *wanted);

/* graft.c: takes ids of the state that is grafted from, gives those of the state that is grafted onto. */
struct grafting;
entity_id graft_id(const struct grafting *grafting, entity_id id);
int64_t graft_number(const struct grafting *grafting, int64_t number, bool is_id);
/* window_map.c: fills in what a window lacks from that of a cell of the same layout in another state's shard. */
bool window_graft(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window, const struct keyspace_lack *lack,
                  const struct shard *other, const struct cell *from, const struct grafting *grafting);
/* fact.c: every row of the other's fact. */
bool fact_graft(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t memory, const struct shard *other, slab_ref rows,
                const struct grafting *grafting);
/* Frees a window and all it holds. */
void window_free(struct shard *shard, slab_ref window, const struct window_layout *layout);
int64_t window_newest(const struct shard *shard, slab_ref window, const struct window_layout *layout);
/* window_fold.c: a window whose reference stands there, in a packed cell, folded if that is shorter and there is room; and as it was, false
 * when there is no room. */
void window_fold(struct shard *shard, const slab_ref *slot, const struct window_layout *layout);
bool window_unfold(struct shard *shard, const slab_ref *slot, const struct window_layout *layout);
/* So long before the horizon a window's newest record may lie for it to matter still; at most as long as its key may. */
int64_t window_idle_ms(const struct window_layout *layout, int64_t widest_ms);
/* Gives back what the window (it is there) has much more of than it needs; so it may move. */
void window_trim(struct shard *shard, struct cell *cell, const struct keyspace_layout *layout, uint16_t window);
/* Marks every id that the window (it is there) holds. */
void window_mark(const struct shard *shard, slab_ref window, const struct window_layout *layout);
uint32_t window_records(const struct shard *shard, slab_ref window);
size_t window_bytes(const struct shard *shard, slab_ref window, const struct window_layout *layout);
size_t cell_entry_bytes(void); /* of the table that finds a cell */
size_t memory_bytes(const struct memory_layout *layout);
/* Bytes of the block that a key needs for one record of a memory, or for one row of a fact; 0: it needs none. */
size_t memory_block_bytes(const struct keyspace_layout *layout, uint16_t memory);
/* Where a cell says its memory (or rows of a fact) lies; 0: there is none, or it has no block. */
static inline slab_ref memory_ref(const struct cell *cell, const struct keyspace_layout *layout, uint16_t memory)
{
    return memory_is_newest(layout) ? 0 : part_ref(cell, layout, cell_memory_at(layout, memory));
}
/* Whether a cell holds the memory, or rows of the fact. */
static inline bool memory_held(const struct cell *cell, const struct keyspace_layout *layout, uint16_t memory)
{
    return memory_is_newest(layout) ? cell->newest_ms != INT64_MIN : memory_ref(cell, layout, memory) != 0;
}
/* cell.c: memory_get for a cell of this layout, which need not be the one in force. */
bool memory_read(const struct shard *shard, const struct cell *cell, const struct keyspace_layout *layout, uint16_t memory,
                 struct memory_record *out);
static inline slab_ref window_ref(const struct cell *cell, const struct keyspace_layout *layout, uint16_t window)
{
    return part_ref(cell, layout, cell_window_at(layout, window));
}
/* attempt.c */
slab_ref attempt_ref(const struct cell *cell, const struct keyspace_layout *layout, uint16_t attempt); /* 0: none */
size_t attempt_bytes(const struct attempt_layout *layout);
int64_t attempt_last_ms(const struct shard *shard, slab_ref ref, const struct attempt_layout *layout); /* of one that is there */
/* Marks the ids that it keeps. */
void attempt_mark(const struct shard *shard, slab_ref ref, const struct attempt_layout *layout);
/* fact.c */
size_t fact_row_bytes(const struct memory_layout *layout); /* of a key with one row */
void fact_free(struct shard *shard, slab_ref rows, const struct memory_layout *layout);
size_t fact_bytes(const struct shard *shard, slab_ref rows, const struct memory_layout *layout);
void fact_mark(const struct shard *shard, slab_ref rows, const struct memory_layout *layout);
/* Marks the ids among a record's kept values. */
void memory_mark(const struct shard *shard, const struct memory_record *record, const struct memory_layout *layout);

/* ident.c: own[ordinal] becomes the id here of each identity of a shard of another state of the same hash key (ENTITY_MISSING: there is
 * none, or no room). */
entity_id *ident_bring(struct shard *shard, const struct shard *other);
uint32_t ident_count(const struct shard *shard);
uint64_t keys_count(const struct shard *shard);
uint64_t repeats_count(const struct shard *shard);
uint64_t ident_reclaim(struct shard *shard);
/* hash.h: each writes down what its own structures hold. */
struct hash_item;
struct state_sum;
void hash_value(struct hash_item *item, const struct state *state, int64_t value, bool is_id);
void memory_record_hash(const struct state *state, const struct memory_record *record, const struct memory_layout *memory, struct hash_item *item);
void fact_hash(const struct shard *shard, slab_ref rows, const struct memory_layout *layout, struct hash_item *item);
void dedup_hash(const struct shard *shard, int64_t horizon_ms, struct hash_item *item, struct state_sum *sum);
/* What a window keeps besides its records: buckets by day behind floor_day, habits that are not 26 weeks before `week`. */
void window_hash(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t window, int32_t floor_day, int32_t week,
                 struct hash_item *item);
/* The next cell from place *at on, which moves behind it; false behind the last. */
bool cell_next(const struct shard *shard, uint16_t keyspace, uint32_t *at, const struct cell **cell);

void ident_stats(const struct shard *shard, struct state_stats *stats);
void dedup_stats(const struct shard *shard, struct state_stats *stats);
void keys_stats(const struct shard *shard, struct state_stats *stats);
void dedup_sweep(struct shard *shard, int64_t horizon_ms);
/* Bytes of one remembered id, and of a reference whose report named so many ends on average. */
size_t repeat_bytes(void);
double report_bytes(double ends);

#endif
