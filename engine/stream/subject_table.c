/* Open addressing, grown at three quarters. */
#include "engine/stream/subject_table.h"

#include "engine/base/arena.h"
#include "engine/base/invariant.h"

#include <stdlib.h>

struct subject {
    struct slice text;
    uint8_t kind;
};

struct subject_table {
    struct arena texts;
    struct subject *subject;
    uint32_t count, room;
    uint32_t *slot;        /* number + 1; 0: empty */
    uint64_t slot_room;
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

static uint64_t hash_subject(enum entity_kind kind, struct slice text)
{
    uint64_t hash = 0xcbf29ce484222325u + kind;
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 0x100000001b3u;
    return mix(hash);
}

struct subject_table *subject_table_new(void)
{
    struct subject_table *table = calloc(1, sizeof *table);
    invariant(table != NULL);
    arena_init(&table->texts);
    table->slot_room = 1024;
    table->slot = calloc(table->slot_room, sizeof *table->slot);
    invariant(table->slot != NULL);
    return table;
}

void subject_table_free(struct subject_table *table)
{
    if (!table)
        return;
    arena_fini(&table->texts);
    free(table->subject);
    free(table->slot);
    free(table);
}

static void place(struct subject_table *table, uint32_t number)
{
    const struct subject *subject = &table->subject[number];
    uint64_t at = hash_subject((enum entity_kind)subject->kind, subject->text) % table->slot_room;
    while (table->slot[at])
        at = (at + 1) % table->slot_room;
    table->slot[at] = number + 1;
}

static void grow_slots(struct subject_table *table)
{
    free(table->slot);
    table->slot_room *= 2;
    table->slot = calloc(table->slot_room, sizeof *table->slot);
    invariant(table->slot != NULL);
    for (uint32_t i = 0; i < table->count; i++)
        place(table, i);
}

uint32_t subject_number(struct subject_table *table, enum entity_kind kind, struct slice text)
{
    uint64_t at = hash_subject(kind, text) % table->slot_room;
    for (; table->slot[at]; at = (at + 1) % table->slot_room) {
        const struct subject *subject = &table->subject[table->slot[at] - 1];
        if (subject->kind == kind && slice_equal(subject->text, text))
            return table->slot[at] - 1;
    }
    if (table->count == SUBJECT_MAX)
        return SUBJECT_NONE;
    if (table->count == table->room) {
        table->room = table->room ? table->room * 2 : 256;
        table->subject = realloc(table->subject, table->room * sizeof *table->subject);
        invariant(table->subject != NULL);
    }
    table->subject[table->count] = (struct subject){arena_copy(&table->texts, text), (uint8_t)kind};
    table->slot[at] = ++table->count;
    if (table->count >= table->slot_room / 4 * 3)
        grow_slots(table);
    return table->count - 1;
}

struct slice subject_text(const struct subject_table *table, uint32_t number, enum entity_kind *kind)
{
    invariant(number < table->count);
    *kind = (enum entity_kind)table->subject[number].kind;
    return table->subject[number].text;
}

/* --- numbers --- */

static bool put(uint64_t *slot, uint64_t room, uint64_t number)
{
    uint64_t at = mix(number) % room;
    for (; slot[at]; at = (at + 1) % room)
        if (slot[at] == number)
            return false;
    slot[at] = number;
    return true;
}

bool number_add(struct number_set *set, uint64_t number)
{
    if (set->count >= set->room / 4 * 3) {
        uint64_t room = set->room ? set->room * 2 : 1024;
        uint64_t *slot = calloc(room, sizeof *slot);
        invariant(slot != NULL);
        for (uint64_t i = 0; i < set->room; i++)
            if (set->slot[i])
                (void)put(slot, room, set->slot[i]);
        free(set->slot);
        set->slot = slot;
        set->room = room;
    }
    if (set->count == NUMBER_MAX) {
        set->full = true;
        return false;
    }
    bool added = put(set->slot, set->room, number);
    set->count += added;
    return added;
}

void number_set_fini(struct number_set *set)
{
    free(set->slot);
    *set = (struct number_set){0};
}
