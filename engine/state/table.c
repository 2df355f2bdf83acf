/* Open-addressing tables of equal-sized entries that live in a slab. */
#include "engine/state/table.h"

#include "engine/base/invariant.h"

#include <string.h>

enum { TABLE_ROOM_LEAST = 8 };

static uint32_t entry_tag(const void *entry)
{
    uint32_t tag;
    memcpy(&tag, entry, sizeof tag);
    return tag;
}

const void *table_find(const struct slab *slab, const struct table *table, size_t entry_size, uint64_t hash,
                       table_same_fn same, const void *context)
{
    if (table->room == 0)
        return NULL;
    const char *entries = slab_at(slab, table->entries);
    uint32_t tag = table_tag(hash), mask = table->room - 1;
    for (uint32_t at = (uint32_t)(hash >> 8) & mask;; at = (at + 1) & mask) {
        const char *entry = entries + (size_t)at * entry_size;
        uint32_t have = entry_tag(entry);
        if (have == TAG_FREE)
            return NULL;
        if (have == tag && same(context, entry))
            return entry;
    }
}

/* An entry's home stands behind its tag, so growing needs no hash of the caller's. */
static void table_place(char *entries, uint32_t room, size_t entry_size, const char *entry, uint64_t home)
{
    uint32_t mask = room - 1;
    uint32_t at = (uint32_t)home & mask;
    while (entry_tag(entries + (size_t)at * entry_size) != TAG_FREE)
        at = (at + 1) & mask;
    memcpy(entries + (size_t)at * entry_size, entry, entry_size);
}

static uint32_t entry_home(const void *entry)
{
    uint32_t home;
    memcpy(&home, (const char *)entry + sizeof home, sizeof home);
    return home;
}

static uint32_t room_for(uint32_t live, uint32_t room)
{
    while (live + 1 > room / 4 * 2)
        room *= 2;
    return room;
}

static bool table_move(struct slab *slab, struct table *table, size_t entry_size, uint32_t room)
{
    slab_ref fresh = slab_alloc(slab, (size_t)room * entry_size);
    if (!fresh)
        return false;
    char *to = slab_edit(slab, fresh, (size_t)room * entry_size);
    const char *from = slab_at(slab, table->entries);
    for (uint32_t i = 0; i < table->room; i++) {
        const char *entry = from + (size_t)i * entry_size;
        if (entry_tag(entry) > TAG_REMOVED)
            table_place(to, room, entry_size, entry, entry_home(entry));
    }
    slab_free(slab, table->entries, (size_t)table->room * entry_size);
    table->entries = fresh;
    table->room = room;
    table->removed = 0;
    return true;
}

/* Takes the marks of removed entries out where the table lies: beginning behind a place that no search passes, each entry goes to the
 * first free place from its home on, which is never behind the one it had. */
static void table_clear_up(struct slab *slab, struct table *table, size_t entry_size)
{
    char *entries = slab_edit(slab, table->entries, (size_t)table->room * entry_size);
    uint32_t mask = table->room - 1, free = 0, none = TAG_FREE;
    while (entry_tag(entries + (size_t)free * entry_size) != TAG_FREE)
        free++;
    for (uint32_t i = 1; i < table->room; i++) {
        char *entry = entries + (size_t)((free + i) & mask) * entry_size;
        if (entry_tag(entry) == TAG_REMOVED)
            memcpy(entry, &none, sizeof none);
        uint32_t tag = entry_tag(entry), at = entry_home(entry) & mask;
        if (tag == TAG_FREE)
            continue;
        memcpy(entry, &none, sizeof none);
        while (entry_tag(entries + (size_t)at * entry_size) != TAG_FREE)
            at = (at + 1) & mask;
        char *to = entries + (size_t)at * entry_size;
        if (to != entry)
            memcpy(to, entry, entry_size);
        memcpy(to, &tag, sizeof tag);
    }
    table->removed = 0;
}

static bool table_grow(struct slab *slab, struct table *table, size_t entry_size)
{
    uint32_t room = room_for(table->count, table->room ? table->room : TABLE_ROOM_LEAST);
    if (room != table->room)
        return table_move(slab, table, entry_size, room);
    table_clear_up(slab, table, entry_size);
    return true;
}

void table_fit(struct slab *slab, struct table *table, size_t entry_size)
{
    uint32_t want = room_for(table->count, TABLE_ROOM_LEAST);
    if (table->count == 0) {
        slab_free(slab, table->entries, (size_t)table->room * entry_size);
        *table = (struct table){0};
    } else if (table->room > 4 * want) {
        (void)table_move(slab, table, entry_size, want); /* where there is no room for it, it stays as it is */
    } else if (table->removed) {
        table_clear_up(slab, table, entry_size);
    }
}

void *table_add(struct slab *slab, struct table *table, size_t entry_size, uint64_t hash)
{
    if (table->count + table->removed + 1 > table->room / 4 * 3 && !table_grow(slab, table, entry_size))
        return NULL;
    uint32_t mask = table->room - 1, home = (uint32_t)(hash >> 8), tag = table_tag(hash);
    uint32_t at = home & mask;
    char *entries = slab->base + (size_t)table->entries * 16;
    while (entry_tag(entries + (size_t)at * entry_size) > TAG_REMOVED)
        at = (at + 1) & mask;
    char *entry = entries + (size_t)at * entry_size;
    size_t offset = (size_t)(entry - slab->base);
    (void)slab_edit(slab, (slab_ref)(offset / 16), entry_size + offset % 16);
    if (entry_tag(entry) == TAG_REMOVED)
        table->removed--;
    table->count++;
    memcpy(entry, &tag, sizeof tag);
    memcpy(entry + sizeof tag, &home, sizeof home);
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
