/* What the files of engine/state share: a shard's inside, tables in a slab, a key's cell.
 *
 * Everything that must survive a restart lies in the slab, reached from its roots; struct shard and
 * struct state hold only what a layout says and what can be derived. */
#ifndef ENGINE_STATE_PRIVATE_H
#define ENGINE_STATE_PRIVATE_H

#include "engine/base/arena.h"
#include "engine/state/state.h"

enum { ROOT_IDENT = 0, ROOT_DEDUP = 1, ROOT_JOIN = 2, ROOT_KEYS = 3 };

struct shard {
    struct slab slab;
    struct state *state;
    uint32_t index;
};

struct state {
    struct state_layout layout; /* deep copy, in arena */
    struct arena arena;
    unsigned char key[16];
    struct shard shard[SHARD_COUNT];
};

/* An open-addressing table of equal-sized entries, power-of-two room, linear probing, at most
 * three quarters full. The first four bytes of an entry are its tag: 0 free, 1 removed, else hash. */
struct table {
    slab_ref entries;
    uint32_t room, count, removed;
};

enum { TAG_FREE = 0, TAG_REMOVED = 1 };

static inline uint32_t table_tag(uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    return tag < 2 ? tag + 2 : tag;
}

/* Finds the entry with this tag for which same says true; NULL when absent. */
typedef bool (*table_same_fn)(const void *context, const void *entry);
const void *table_find(const struct slab *slab, const struct table *table, size_t entry_size, uint64_t hash,
                       table_same_fn same, const void *context);
/* A free entry to fill in, its tag set, counted; grows the table when due. `table` must lie in
 * the slab and be edited already. NULL when the slab is full. */
void *table_add(struct slab *slab, struct table *table, size_t entry_size, uint64_t hash);
/* Marks an entry (of this table, edited) as removed. */
void table_remove(struct table *table, void *entry);

/* --- cells --- */

/* One key's state: the words of the key, then clocks, window references, memory records. */
struct cell {
    uint32_t key[STATE_KEY_MAX];
    int64_t newest_ms;        /* newest record or clock: RULES 3 drops by it */
    /* int64_t clock[clock_count]; slab_ref window[window_count]; slab_ref memory[memory_count]; */
};

static inline size_t cell_clock_at(uint16_t clock)
{
    return sizeof(struct cell) + (size_t)clock * sizeof(int64_t);
}
static inline size_t cell_window_at(const struct keyspace_layout *layout, uint16_t window)
{
    return cell_clock_at(layout->clock_count) + (size_t)window * sizeof(slab_ref);
}
static inline size_t cell_memory_at(const struct keyspace_layout *layout, uint16_t memory)
{
    return cell_window_at(layout, layout->window_count) + (size_t)memory * sizeof(slab_ref);
}
static inline size_t cell_size(const struct keyspace_layout *layout)
{
    return cell_memory_at(layout, layout->memory_count);
}
static inline const struct keyspace_layout *shard_layout(const struct shard *shard, uint16_t keyspace)
{
    return &shard->state->layout.keyspace[keyspace];
}
static inline slab_ref cell_ref(const struct shard *shard, const void *at)
{
    return (slab_ref)((size_t)((const char *)at - shard->slab.base) / 16);
}
/* Says that size bytes at `at` (anywhere in the slab) are about to change. */
static inline void *shard_edit(struct shard *shard, const void *at, size_t size)
{
    size_t offset = (size_t)((const char *)at - shard->slab.base);
    (void)slab_edit(&shard->slab, (slab_ref)(offset / 16), size + offset % 16);
    return shard->slab.base + offset;
}

bool keys_init(struct shard *shard, struct error *err) must_check;
bool ident_init(struct shard *shard, struct error *err) must_check;
bool dedup_init(struct shard *shard, struct error *err) must_check;

/* Frees a window and all it holds. */
void window_free(struct shard *shard, slab_ref window, const struct window_layout *layout);
uint32_t window_records(const struct shard *shard, slab_ref window);
size_t window_bytes(const struct shard *shard, slab_ref window, const struct window_layout *layout);
size_t memory_bytes(const struct memory_layout *layout);

void ident_stats(const struct shard *shard, struct state_stats *stats);
void dedup_stats(const struct shard *shard, struct state_stats *stats);
void keys_stats(const struct shard *shard, struct state_stats *stats);
void dedup_sweep(struct shard *shard, int64_t horizon_ms);

#endif
