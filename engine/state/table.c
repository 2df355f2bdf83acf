/* Open-addressing tables of equal-sized entries that live in a slab. */
#include "engine/state/table.h"

#include "engine/base/invariant.h"

#include <string.h>

enum { TABLE_ROOM_LEAST = 8, TABLE_ENTRY_MOST = 256, MACHINE_PAGE = 4096 };

static uint32_t entry_tag(const void *entry)
{
    uint32_t tag;
    memcpy(&tag, entry, sizeof tag);
    return tag;
}

static uint32_t place_next(uint32_t at, uint32_t room)
{
    return at + 1 == room ? 0 : at + 1;
}

static bool any_entry(const void *context, const void *entry)
{
    (void)context;
    (void)entry;
    return true;
}

const void *table_guess(const struct slab *slab, const struct table *table, size_t entry_size, uint64_t hash)
{
    return table_find(slab, table, entry_size, hash, any_entry, NULL);
}

const void *table_find(const struct slab *slab, const struct table *table, size_t entry_size, uint64_t hash,
                       table_same_fn same, const void *context)
{
    if (table->room == 0)
        return NULL;
    const char *entries = slab_at(slab, table->entries);
    uint32_t tag = table_tag(hash);
    for (uint32_t at = table_place(tag, table->room);; at = place_next(at, table->room)) {
        const char *entry = entries + (size_t)at * entry_size;
        uint32_t have = entry_tag(entry);
        if (have == TAG_FREE)
            return NULL;
        if (have == tag && same(context, entry))
            return entry;
    }
}

/* An entry's tag says where it belongs, so growing needs no hash of the caller's. */
static void entry_put(char *entries, uint32_t room, size_t entry_size, const char *entry)
{
    uint32_t at = table_place(entry_tag(entry), room);
    while (entry_tag(entries + (size_t)at * entry_size) != TAG_FREE)
        at = place_next(at, room);
    memcpy(entries + (size_t)at * entry_size, entry, entry_size);
}

bool table_is_full(const struct table *table)
{
    return table->count + table->removed + 1 > (uint64_t)table->room * 3 / 4;
}

uint32_t table_room_next(uint32_t room, size_t entry_size)
{
    return (uint32_t)(slab_block((room ? room + (size_t)room / 3 : TABLE_ROOM_LEAST) * entry_size) / entry_size);
}

/* A page that is read before it is written is given twice: first the machine's zeroes, which all processors must then be told to forget (6 %
 * of a growing state's run on two threads). */
static void pages_take(char *at, size_t size)
{
    for (size_t i = 0; i < size; i += MACHINE_PAGE)
        at[i] = 0;
    at[size - 1] = 0; /* it need not begin where a page does */
}

static bool table_move(struct slab *slab, struct table *table, size_t entry_size, uint32_t room)
{
    slab_ref fresh = slab_alloc(slab, (size_t)room * entry_size);
    if (!fresh)
        return false;
    char *to = slab_edit(slab, fresh, (size_t)room * entry_size);
    pages_take(to, (size_t)room * entry_size);
    const char *from = slab_at(slab, table->entries);
    for (uint32_t i = 0; i < table->room; i++) {
        const char *entry = from + (size_t)i * entry_size;
        if (entry_tag(entry) > TAG_REMOVED)
            entry_put(to, room, entry_size, entry);
    }
    slab_free(slab, table->entries, (size_t)table->room * entry_size);
    table->entries = fresh;
    table->room = room;
    table->removed = 0;
    return true;
}

/* Takes the marks of removed entries out where the table lies: beginning behind a place that no search passes, each entry goes to the
 * first free place from its own on, which is never behind the one it had. */
static void table_clear_up(struct slab *slab, struct table *table, size_t entry_size)
{
    char *entries = slab_edit(slab, table->entries, (size_t)table->room * entry_size), held[TABLE_ENTRY_MOST];
    uint32_t at = 0, none = TAG_FREE;
    invariant(entry_size <= sizeof held);
    while (entry_tag(entries + (size_t)at * entry_size) != TAG_FREE)
        at++;
    for (uint32_t i = 1; i < table->room; i++) {
        at = place_next(at, table->room);
        char *entry = entries + (size_t)at * entry_size;
        uint32_t tag = entry_tag(entry);
        if (tag == TAG_FREE)
            continue;
        memcpy(held, entry, entry_size);
        memcpy(entry, &none, sizeof none);
        if (tag != TAG_REMOVED)
            entry_put(entries, table->room, entry_size, held);
    }
    table->removed = 0;
}

/* Where a sixteenth and more is removed entries, clearing up is enough. */
static bool table_grow(struct slab *slab, struct table *table, size_t entry_size)
{
    if (!table->room || table->count + 1 > (uint64_t)table->room * 11 / 16)
        return table_move(slab, table, entry_size, table_room_next(table->room, entry_size));
    table_clear_up(slab, table, entry_size);
    return true;
}

void table_fit(struct slab *slab, struct table *table, size_t entry_size)
{
    uint32_t want = 0;
    do
        want = table_room_next(want, entry_size);
    while (table->count + 1 > want / 2);
    if (table->count == 0) {
        slab_free(slab, table->entries, (size_t)table->room * entry_size);
        *table = (struct table){0};
    } else if (table->room > 2 * want) {
        (void)table_move(slab, table, entry_size, want); /* where there is no room for it, it stays as it is */
    } else if (table->removed) {
        table_clear_up(slab, table, entry_size);
    }
}

void *table_add(struct slab *slab, struct table *table, size_t entry_size, uint64_t hash)
{
    if (table_is_full(table) && !table_grow(slab, table, entry_size))
        return NULL;
    uint32_t tag = table_tag(hash), at = table_place(tag, table->room);
    char *entries = slab->base + (size_t)table->entries * 16;
    while (entry_tag(entries + (size_t)at * entry_size) > TAG_REMOVED)
        at = place_next(at, table->room);
    char *entry = entries + (size_t)at * entry_size;
    size_t offset = (size_t)(entry - slab->base);
    (void)slab_edit(slab, (slab_ref)(offset / 16), entry_size + offset % 16);
    if (entry_tag(entry) == TAG_REMOVED)
        table->removed--;
    table->count++;
    memcpy(entry, &tag, sizeof tag);
    return entry;
}

void table_remove(struct table *table, void *entry)
{
    uint32_t tag = TAG_REMOVED;
    memcpy(entry, &tag, sizeof tag);
    invariant(table->count > 0);
    table->count--;
    table->removed++;
}
