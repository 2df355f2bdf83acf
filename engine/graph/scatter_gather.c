/* `scatter_gather into K from N middle`: one account pays many, who all pay K.
 *
 * From e's middle back to those who paid it; from each of these forward to the middles, which are marked. */
#include "engine/graph/private.h"

struct middle {
    uint32_t head, tail; /* its second legs, newest first */
    uint32_t payer;      /* the last one that it was counted for, from 1 */
};
struct second {
    struct leg leg;
    uint32_t next;
};
struct pair {
    struct leg first, second;
};

struct gather {
    struct search *search;
    uint32_t second_count;
    struct place newest;      /* the latest second leg */
    struct heap_array *pairs; /* of the payer at hand, newest first leg first */
    uint32_t pair_count;
};

static struct middle *middle_at(const struct gather *gather, uint32_t i)
{
    return heap_array_at(&gather->search->scratch->middle, i, sizeof(struct middle));
}
static struct second *second_at(const struct gather *gather, uint32_t i)
{
    return heap_array_at(&gather->search->scratch->second, i, sizeof(struct second));
}

/* Marks who paid K, and by which legs; e's middle has its own. False when the budget is spent. */
static bool middles_mark(struct gather *gather)
{
    struct search *search = gather->search;
    const struct graph_query *query = search->query;
    struct legs legs = search->view->ins(search->view->context, query->account, LEG_SECOND);
    struct span span = span_newest(search, &legs, window_after(query), window_before(query));
    account_set_clear(&search->scratch->nodes);
    for (uint32_t i = span.high; i-- > span.low;) {
        const struct leg leg = leg_at(&span.legs, i);
        bool fresh;
        if (!search_sees(search, &leg))
            continue;
        if (!search_look(search))
            return false;
        if (leg.sender == query->event.sender)
            continue;
        uint32_t m = account_add(&search->scratch->nodes, leg.sender, &fresh), s = gather->second_count++;
        struct middle *middle = middle_at(gather, m);
        *second_at(gather, s) = (struct second){leg, GRAPH_NONE};
        if (fresh)
            *middle = (struct middle){.head = s};
        else
            second_at(gather, middle->tail)->next = s;
        middle->tail = s;
        if (!s)
            gather->newest = leg_place(&leg);
    }
    return true;
}

/* The latest second leg of a middle that makes a pair with the first leg. */
static const struct leg *second_of(struct gather *gather, const struct middle *middle, const struct leg *first)
{
    for (uint32_t s = middle->head; s != GRAPH_NONE; s = second_at(gather, s)->next) {
        const struct leg *leg = &second_at(gather, s)->leg;
        if (!place_before(leg_place(first), leg_place(leg)) || !search_look(gather->search))
            return NULL;
        if (amount_kept(gather->search->query, first->amount, leg->amount))
            return leg;
    }
    return NULL;
}

static void pair_add(struct gather *gather, const struct leg *first, const struct leg *second)
{
    *(struct pair *)heap_array_at(gather->pairs, gather->pair_count++, sizeof(struct pair)) = (struct pair){*first, *second};
}

/* All pairs of one payer, the one into e by `into_e`. */
static void payer_walk(struct gather *gather, const struct leg *into_e, uint32_t payer)
{
    struct search *search = gather->search;
    const struct graph_query *query = search->query;
    gather->pair_count = 0;
    bool e_put = false;
    if (gather->second_count) {
        struct legs legs = search->view->outs(search->view->context, into_e->sender, LEG_FIRST);
        struct span span = span_newest(search, &legs, window_after(query), window_before(query));
        for (uint32_t i = span_lower(&span, gather->newest); i-- > span.low && !search->out->legs_spent;) {
            const struct leg first = leg_at(&span.legs, i);
            if (!search_sees(search, &first))
                continue;
            if (!search_look(search))
                break;
            uint32_t m = account_find(&search->scratch->nodes, first.receiver);
            if (m == GRAPH_NONE || middle_at(gather, m)->payer == payer)
                continue;
            const struct leg *second = second_of(gather, middle_at(gather, m), &first);
            if (!second)
                continue;
            middle_at(gather, m)->payer = payer;
            if (!e_put && place_before(leg_place(&first), leg_place(into_e))) {
                pair_add(gather, into_e, &query->event);
                e_put = true;
            }
            pair_add(gather, &first, second);
        }
    }
    if (!e_put)
        pair_add(gather, into_e, &query->event);
}

/* Whether the pairs at hand are better: more middles, or as many with a later earliest first leg. */
static bool pairs_better(const struct gather *gather, const struct heap_array *best, uint32_t best_count)
{
    if (gather->pair_count != best_count)
        return gather->pair_count > best_count;
    const struct pair *a = (const struct pair *)gather->pairs->items + gather->pair_count - 1;
    const struct pair *b = (const struct pair *)best->items + best_count - 1;
    return place_before(leg_place(&b->first), leg_place(&a->first));
}

/* Who paid e's middle so that e keeps it: their latest such legs, newest first. */
static uint32_t payers_find(struct search *search)
{
    const struct graph_query *query = search->query;
    struct legs legs = search->view->ins(search->view->context, query->event.sender, LEG_FIRST);
    struct span span = span_newest(search, &legs, window_after(query), leg_place(&query->event));
    uint32_t count = 0;
    for (uint32_t i = span.high; i-- > span.low;) {
        const struct leg leg = leg_at(&span.legs, i);
        bool fresh;
        if (!search_sees(search, &leg))
            continue;
        if (!search_look(search))
            break;
        if (leg.sender == query->account || !amount_kept(query, leg.amount, query->event.amount))
            continue;
        (void)account_add(&search->scratch->members, leg.sender, &fresh);
        if (fresh)
            *(struct leg *)heap_array_at(&search->scratch->leg, count++, sizeof leg) = leg;
    }
    account_set_clear(&search->scratch->members);
    return count;
}

void graph_scatter_gather(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out)
{
    struct search search = search_begin(query, view, scratch, out);
    if (!search_event_is_leg(&search) || query->event.receiver != query->account)
        return;
    uint32_t payers = payers_find(&search), least = query->middles_min ? query->middles_min : 1, best_count = 0;
    struct gather gather = {.search = &search, .pairs = &scratch->pair};
    struct heap_array *best = &scratch->best;
    if (!payers)
        return;
    bool going = middles_mark(&gather);
    if (scratch->nodes.count + 1 < least)
        return;
    for (uint32_t p = 0; p < payers && (going || !p); p++) {
        payer_walk(&gather, (const struct leg *)scratch->leg.items + p, p + 1);
        if (pairs_better(&gather, best, best_count)) {
            struct heap_array *pairs = gather.pairs;
            best_count = gather.pair_count;
            gather.pairs = best;
            best = pairs;
        }
        going = !out->legs_spent;
    }
    if (best_count < least)
        return;
    out->value = best_count;
    for (uint32_t i = best_count; i-- > 0;) {
        const struct pair *pair = (const struct pair *)best->items + i;
        proof_of(&search, &pair->first);
        proof_of(&search, &pair->second);
    }
}
