/* What the graph searches share: places in hop order, spans of an account's legs, the budget, sets of accounts, proofs.
 *
 * A search is one call of one operator; it lives on the stack. Included by engine/graph only. */
#ifndef ENGINE_GRAPH_PRIVATE_H
#define ENGINE_GRAPH_PRIVATE_H

#include "engine/graph/graph.h"

enum { GRAPH_NONE = UINT32_MAX, GRAPH_MILLION = 1000000 };

/* Where a leg stands in hop order. */
struct place {
    int64_t time_ms;
    uint64_t seq;
};
static inline struct place leg_place(const struct leg *leg)
{
    return (struct place){leg->time_ms, leg_seq(leg)};
}
static inline struct place place_at(const struct legs *legs, uint32_t i)
{
    const struct leg leg = leg_at(legs, i);
    return leg_place(&leg);
}
static inline bool place_before(struct place a, struct place b)
{
    return a.time_ms != b.time_ms ? a.time_ms < b.time_ms : a.seq < b.seq;
}
/* The last place before this one. */
static inline struct place place_previous(struct place place)
{
    return place.seq ? (struct place){place.time_ms, place.seq - 1} : (struct place){place.time_ms - 1, UINT64_MAX};
}

/* Accounts, each with a number from 0 in the order of arrival. Clearing is cheap: what an earlier search left is told by
 * its round. */
struct account_slot {
    uint32_t round;
    entity_id account;
    uint32_t index;
};
struct account_set {
    struct account_slot *slot;
    uint32_t slot_room, mask, round, count;
};
void account_set_clear(struct account_set *set);
/* The account's number; GRAPH_NONE when it is not there. */
uint32_t account_find(const struct account_set *set, entity_id account);
/* The account's number, a new one (count - 1) when it was not there; then *fresh. */
uint32_t account_add(struct account_set *set, entity_id account, bool *fresh);

/* An array that grows and stays; each search may keep items of another size in it. */
struct heap_array {
    void *items;
    size_t bytes;
};
void heap_array_grow(struct heap_array *array, size_t bytes);
/* Where item `index` lies, with room for it made. What was in the array keeps its bytes, not its address. */
static inline void *heap_array_at(struct heap_array *array, uint32_t index, size_t item_bytes)
{
    if ((index + (size_t)1) * item_bytes > array->bytes)
        heap_array_grow(array, (index + (size_t)1) * item_bytes);
    return (char *)array->items + index * item_bytes;
}

struct graph_scratch {
    struct account_set nodes, members, reach;
    struct heap_array node, hop, note;            /* cycle, chain, hops */
    struct heap_array middle, second, pair, best; /* scatter_gather */
    struct heap_array leg, other;                 /* the rest: legs and what is known of them */
};

struct search {
    const struct graph_query *query;
    const struct graph_view *view;
    struct graph_scratch *scratch;
    struct graph_result *out;
    uint64_t seq;     /* of the event */
    uint32_t looks;   /* legs that may be looked at now: at most legs_max */
    bool any_leg;     /* legs with cash ends, and other records, count too */
};

/* Begins a search and empties the result. */
struct search search_begin(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch,
                           struct graph_result *out);
/* Whether e is a leg, in the window. */
bool search_event_is_leg(const struct search *search);

/* Whether the leg could be looked at, its time aside. */
static inline bool search_sees(const struct search *search, const struct leg *leg)
{
    return leg_seq(leg) <= search->seq && (search->any_leg || (leg->sender && leg->receiver && leg->sender != leg->receiver));
}

/* Counts one leg looked at; false, and the result marked, when the budget is spent. */
static inline bool search_look(struct search *search)
{
    if (search->out->looked < search->looks) {
        search->out->looked++;
        return true;
    }
    search->out->legs_spent = search->out->bounded = true;
    return false;
}

/* Legs [low, high) of an account stand between two places; not all of them need be visible to the search. */
struct span {
    struct legs legs;
    uint32_t low, high;
};
/* The legs after one place and before another. */
struct span span_between(const struct legs *legs, struct place after, struct place before);
/* The same, of the visible ones only the hub_max newest (or oldest); marks the result when there were more. */
struct span span_newest(struct search *search, const struct legs *legs, struct place after, struct place before);
struct span span_oldest(struct search *search, const struct legs *legs, struct place after, struct place before);
/* First index in [low, high) whose leg does not stand before the place; high when all do. */
uint32_t span_lower(const struct span *span, struct place place);
/* The window's ends as places: legs lie after the one and before the other. */
static inline struct place window_after(const struct graph_query *query)
{
    return (struct place){query->floor_ms, UINT64_MAX};
}
static inline struct place window_before(const struct graph_query *query)
{
    return (struct place){query->ceiling_ms, UINT64_MAX};
}

/* Whether the second amount is keep times the first (true when keep is not asked for). */
static inline bool amount_kept(const struct graph_query *query, int64_t first, int64_t second)
{
    if (!query->keep)
        return true;
    if (first == MISSING_I64 || second == MISSING_I64)
        return false;
    __int128 scaled = (__int128)second * GRAPH_MILLION;
    return scaled >= (__int128)first * query->keep_low && scaled <= (__int128)first * query->keep_high;
}

/* Puts a leg, or an account that is no member yet, behind the proof. */
void proof_leg(struct search *search, struct place place, int64_t amount, entity_id sender, entity_id receiver);
void proof_member(struct search *search, entity_id account);
/* A leg with both its ends. */
static inline void proof_of(struct search *search, const struct leg *leg)
{
    proof_leg(search, leg_place(leg), leg->amount, leg->sender, leg->receiver);
    proof_member(search, leg->sender);
    proof_member(search, leg->receiver);
}

/* reach.c: finds who could hold money that left K after a place and before e; false when that takes too many looks. */
bool reach_find(struct search *search, struct place after);
/* Whether, by the last reach_find that ended well, the account could hold such money before a place. */
bool reach_allows(const struct search *search, entity_id account, struct place at);

/* path.c: cycles and chains. Legs stand after `after`; a path that begins at `start` closes (0: any account begins one). */
void path_search(struct search *search, struct place after, entity_id start);

#endif
