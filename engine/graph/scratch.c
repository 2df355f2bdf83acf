/* Scratch of the graph searches: sets of accounts and arrays that grow to what searches need and stay. */
#include "engine/graph/private.h"

#include "engine/base/invariant.h"

#include <stdlib.h>
#include <string.h>

enum { SET_SLOTS_LEAST = 64, ARRAY_BYTES_LEAST = 4096 };

static inline uint32_t slot_of(const struct account_set *set, entity_id account)
{
    uint32_t at = (uint32_t)(((uint64_t)account * 0x9E3779B97F4A7C15u) >> 32) & set->mask;
    while (set->slot[at].round == set->round && set->slot[at].account != account)
        at = (at + 1) & set->mask;
    return at;
}

/* A fresh round: whatever stands in the slots is of earlier ones. */
static void set_round(struct account_set *set)
{
    if (++set->round == 0) {
        memset(set->slot, 0, set->slot_room * sizeof *set->slot);
        set->round = 1;
    }
}

static void set_room(struct account_set *set, uint32_t slots)
{
    if (slots <= set->slot_room)
        return;
    set->slot = realloc(set->slot, slots * sizeof *set->slot);
    invariant(set->slot != NULL);
    memset(set->slot + set->slot_room, 0, (slots - set->slot_room) * sizeof *set->slot);
    set->slot_room = slots;
}

/* Few accounts use few slots, which stay in the cache; so the mask starts small in every search. */
void account_set_clear(struct account_set *set)
{
    set_room(set, SET_SLOTS_LEAST);
    set->mask = SET_SLOTS_LEAST - 1;
    set->count = 0;
    set_round(set);
}

/* Twice the slots: the accounts of this round move to where the new mask wants them. */
static void set_widen(struct account_set *set)
{
    uint32_t slots = 2 * (set->mask + 1), old = set->round, moved = 0;
    set_room(set, 2 * slots); /* the upper half holds them on their way */
    struct account_slot *way = set->slot + slots;
    for (uint32_t i = 0; i <= set->mask; i++)
        if (set->slot[i].round == old)
            way[moved++] = set->slot[i];
    set->mask = slots - 1;
    set_round(set);
    for (uint32_t i = 0; i < moved; i++) {
        struct account_slot slot = {set->round, way[i].account, way[i].index};
        set->slot[slot_of(set, slot.account)] = slot;
    }
}

uint32_t account_find(const struct account_set *set, entity_id account)
{
    const struct account_slot *slot = &set->slot[slot_of(set, account)];
    return slot->round == set->round ? slot->index : GRAPH_NONE;
}

uint32_t account_add(struct account_set *set, entity_id account, bool *fresh)
{
    struct account_slot *slot = &set->slot[slot_of(set, account)];
    *fresh = slot->round != set->round;
    if (!*fresh)
        return slot->index;
    *slot = (struct account_slot){set->round, account, set->count++};
    uint32_t index = slot->index;
    if (2 * set->count > set->mask)
        set_widen(set);
    return index;
}

void heap_array_grow(struct heap_array *array, size_t bytes)
{
    while (array->bytes < bytes)
        array->bytes = array->bytes ? 2 * array->bytes : ARRAY_BYTES_LEAST;
    array->items = realloc(array->items, array->bytes);
    invariant(array->items != NULL);
}

struct graph_scratch *graph_scratch_new(void)
{
    struct graph_scratch *scratch = calloc(1, sizeof *scratch);
    invariant(scratch != NULL);
    account_set_clear(&scratch->nodes);
    account_set_clear(&scratch->members);
    account_set_clear(&scratch->reach);
    return scratch;
}

void graph_scratch_free(struct graph_scratch *scratch)
{
    if (!scratch)
        return;
    free(scratch->nodes.slot);
    free(scratch->members.slot);
    free(scratch->reach.slot);
    struct heap_array *arrays[] = {&scratch->node, &scratch->hop, &scratch->note, &scratch->middle, &scratch->second,
                                   &scratch->pair, &scratch->best, &scratch->leg, &scratch->other};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]->items);
    free(scratch);
}
