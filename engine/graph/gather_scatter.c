/* `gather_scatter of K`: many pay K, and K pays many. */
#include "engine/graph/private.h"

/* One side of K: the latest leg of each other account, newest first, and the sum of all that are known. */
struct side {
    struct heap_array *latest;
    uint32_t count, known;
    __int128 sum;
};

/* Reads the visible legs of a span, newest first; false when the budget is spent. */
static bool side_read(struct search *search, const struct span *span, bool ins, struct side *side)
{
    account_set_clear(&search->scratch->nodes);
    for (uint32_t i = span->high; i-- > span->low;) {
        const struct leg leg = leg_at(&span->legs, i);
        bool fresh;
        if (!search_sees(search, &leg))
            continue;
        if (!search_look(search))
            return false;
        if (leg.amount != MISSING_I64) {
            side->sum += leg.amount;
            side->known++;
        }
        (void)account_add(&search->scratch->nodes, ins ? leg.sender : leg.receiver, &fresh);
        if (fresh)
            *(struct leg *)heap_array_at(side->latest, side->count++, sizeof leg) = leg;
    }
    return true;
}

/* Whether the outs' sum is keep times the ins'. A product beyond 128 bits is more than any sum. */
static bool sums_kept(const struct graph_query *query, const struct side *in, const struct side *out)
{
    __int128 scaled = out->sum * GRAPH_MILLION, low, high;
    if (!query->keep)
        return true;
    if (!in->known || !out->known || __builtin_mul_overflow(in->sum, (__int128)query->keep_low, &low))
        return false;
    return scaled >= low && (__builtin_mul_overflow(in->sum, (__int128)query->keep_high, &high) || scaled <= high);
}

static void sides_prove(struct search *search, const struct side *in, const struct side *out)
{
    const struct leg *ins = in->latest->items, *outs = out->latest->items;
    uint32_t i = in->count, o = out->count;
    while (i || o) {
        bool in_first = i && (!o || place_before(leg_place(&ins[i - 1]), leg_place(&outs[o - 1])));
        proof_of(search, in_first ? &ins[--i] : &outs[--o]);
    }
}

/* The oldest visible leg of a span; false: there is none. */
static bool span_first(const struct search *search, const struct span *span, struct leg *first)
{
    for (uint32_t i = span->low; i < span->high; i++) {
        *first = leg_at(&span->legs, i);
        if (search_sees(search, first))
            return true;
    }
    return false;
}

void graph_gather_scatter(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out)
{
    struct search search = search_begin(query, view, scratch, out);
    const struct leg *e = &query->event;
    if (!search_event_is_leg(&search) || (e->sender != query->account && e->receiver != query->account))
        return;
    struct legs in_legs = view->ins(view->context, query->account, LEG_ANY);
    struct legs out_legs = view->outs(view->context, query->account, LEG_ANY);
    struct span ins = span_between(&in_legs, window_after(query), window_before(query));
    struct leg first;
    if (!span_first(&search, &ins, &first))
        return;
    ins = span_newest(&search, &in_legs, window_after(query), window_before(query));
    struct span outs = span_newest(&search, &out_legs, leg_place(&first), window_before(query));
    struct side in = {.latest = &scratch->leg}, gone = {.latest = &scratch->other};
    if (side_read(&search, &ins, true, &in))
        (void)side_read(&search, &outs, false, &gone);
    if (query->keep && (out->bounded || !sums_kept(query, &in, &gone)))
        return;
    out->value = in.count < gone.count ? in.count : gone.count;
    if (out->value)
        sides_prove(&search, &in, &gone);
}
