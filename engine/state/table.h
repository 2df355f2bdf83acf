/* Tables in a slab: open addressing over equal-sized entries, restart-safe because they hold no pointer.
 *
 * A table belongs to the owner of its slab. Entries begin with their tag (4 bytes); what follows is
 * the caller's, and so is telling two entries of one tag apart. */
#ifndef ENGINE_STATE_TABLE_H
#define ENGINE_STATE_TABLE_H

#include "engine/state/slab.h"

/* Linear probing, at most three quarters full; grows by a third. A tag is 0 free, 1 removed, else hash: its upper bits
 * say by which place the entry is looked for first, the lower ones tell it from its neighbours. */
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

/* The place where an entry of this tag is looked for first; room is not 0. */
static inline uint32_t table_place(uint32_t tag, uint32_t room)
{
    return (uint32_t)((uint64_t)tag * room >> 32);
}

/* Finds the entry with this tag for which same says true; NULL when absent. */
typedef bool (*table_same_fn)(const void *context, const void *entry);
const void *table_find(const struct slab *slab, const struct table *table, size_t entry_size, uint64_t hash,
                       table_same_fn same, const void *context);
/* The first entry with this tag, nearly always the one that table_find finds, without a look at what it holds: for asking ahead. */
const void *table_guess(const struct slab *slab, const struct table *table, size_t entry_size, uint64_t hash);
/* Whether one entry more makes it grow, or clear up. */
bool table_is_full(const struct table *table);
/* A free entry to fill in, its tag set, counted; grows the table when due. `table` must lie in
 * the slab and be edited already. NULL when the slab is full. */
void *table_add(struct slab *slab, struct table *table, size_t entry_size, uint64_t hash);
/* How large a table is made that outgrew this room (0: a new one). */
uint32_t table_room_next(uint32_t room, size_t entry_size);
/* Marks an entry (of this table, edited) as removed. */
void table_remove(struct table *table, void *entry);
/* Forgets removed entries and gives back room that is more than twice what is needed (`table` edited already). Called
 * after every sweep that removes; so a table's room depends on what was put in and taken out, not on the order. */
void table_fit(struct slab *slab, struct table *table, size_t entry_size);

#endif
