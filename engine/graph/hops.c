/* `hops from K to LIST within H`: how far along payments the nearest listed account is.
 *
 * Level by level, each account's legs newest first: so accounts are met in the order of their best paths, and the first
 * listed one ends the search. */
#include "engine/graph/private.h"

#include "engine/base/invariant.h"

/* An account met; the leg that led to it (to K none but K itself) came from the account before. */
struct reached {
    struct leg by;
    uint32_t from;
};

static struct reached *reached_at(const struct search *search, uint32_t i)
{
    return heap_array_at(&search->scratch->node, i, sizeof(struct reached));
}

/* The way from K, which is number 0, to an account and on by its leg. */
static void way_prove(struct search *search, uint32_t from, const struct leg *last)
{
    struct leg way[GRAPH_REACH_MAX];
    uint32_t length = 0;
    for (way[length++] = *last; from; from = reached_at(search, from)->from)
        way[length++] = reached_at(search, from)->by;
    search->out->value = length;
    while (length)
        proof_of(search, &way[--length]);
}

/* The legs out of one account; true when the search is over. */
static bool outs_walk(struct search *search, uint32_t from, entity_id account)
{
    const struct graph_query *query = search->query;
    struct legs legs = search->view->outs(search->view->context, account, LEG_ANY);
    struct span span = span_newest(search, &legs, window_after(query), window_before(query));
    for (uint32_t i = span.high; i-- > span.low;) {
        const struct leg leg = leg_at(&span.legs, i);
        bool fresh;
        if (!search_sees(search, &leg))
            continue;
        if (!search_look(search))
            return true;
        uint32_t number = account_add(&search->scratch->nodes, leg.receiver, &fresh);
        if (!fresh)
            continue;
        if (search->view->listed(search->view->context, leg.receiver)) {
            search->out->known = true;
            way_prove(search, from, &leg);
            return true;
        }
        *reached_at(search, number) = (struct reached){leg, from};
    }
    return false;
}

void graph_hops(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out)
{
    invariant(query->hops_high <= GRAPH_REACH_MAX);
    struct search search = search_begin(query, view, scratch, out);
    bool fresh;
    out->known = query->account && view->listed(view->context, query->account);
    if (out->known)
        proof_member(&search, query->account);
    if (out->known || !query->account)
        return;
    account_set_clear(&scratch->nodes);
    *reached_at(&search, account_add(&scratch->nodes, query->account, &fresh)) = (struct reached){{.receiver = query->account}, 0};
    for (uint32_t level = 0, next = 0; level < query->hops_high; level++)
        for (uint32_t end = scratch->nodes.count; next < end; next++)
            if (outs_walk(&search, next, reached_at(&search, next)->by.receiver))
                return;
}
