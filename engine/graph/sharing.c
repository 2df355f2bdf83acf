/* `sharing of ATTRIBUTE by K`: who carried what K carried. */
#include "engine/graph/private.h"

enum { CARRIER_RECEIVES = 1 }; /* extra[0] of a carrier's leg */

/* K's latest leg that carried a value. */
struct shown {
    struct leg leg;
    entity_id value;
};

/* One more account, shown by its latest leg that carried the value at hand. */
static void carrier_add(struct search *search, entity_id account, const struct leg *leg)
{
    bool fresh;
    (void)account_add(&search->scratch->nodes, account, &fresh);
    if (!fresh)
        return;
    search->out->value++;
    proof_leg(search, leg_place(leg), leg->amount, leg->sender, leg->receiver);
    proof_member(search, account);
}

/* Those who carried one value, newest first. */
static void carriers_read(struct search *search, entity_id value)
{
    const struct graph_query *query = search->query;
    struct legs legs = search->view->carriers(search->view->context, value);
    struct span span = span_newest(search, &legs, window_after(query), window_before(query));
    for (uint32_t i = span.high; i-- > span.low;) {
        const struct leg leg = leg_at(&span.legs, i);
        if (!search_sees(search, &leg))
            continue;
        if (!search_look(search))
            return;
        entity_id account = leg_extra(&span.legs, i) == CARRIER_RECEIVES ? leg.receiver : leg.sender;
        if (account)
            carrier_add(search, account, &leg);
    }
}

/* Values get numbers in the order in which K carried them last, newest first. */
static uint32_t values_read(struct search *search)
{
    const struct graph_query *query = search->query;
    struct legs legs = search->view->carried(search->view->context, query->account);
    struct span span = span_newest(search, &legs, window_after(query), window_before(query));
    uint32_t count = 0;
    account_set_clear(&search->scratch->nodes);
    for (uint32_t i = span.high; i-- > span.low;) {
        const struct leg leg = leg_at(&span.legs, i);
        bool fresh;
        if (!search_sees(search, &leg))
            continue;
        if (!search_look(search))
            break;
        int64_t value = leg_extra(&span.legs, i);
        if (value == MISSING_I64 || value == ENTITY_MISSING)
            continue;
        (void)account_add(&search->scratch->nodes, (entity_id)value, &fresh);
        if (fresh)
            *(struct shown *)heap_array_at(&search->scratch->leg, count++, sizeof(struct shown)) = (struct shown){leg, (entity_id)value};
    }
    return count;
}

void graph_sharing(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out)
{
    struct search search = search_begin(query, view, scratch, out);
    search.any_leg = true;
    uint32_t values = query->account ? values_read(&search) : 0;
    if (!values)
        return;
    const struct shown *shown = scratch->leg.items;
    account_set_clear(&scratch->nodes);
    carrier_add(&search, query->account, &shown[0].leg);
    for (uint32_t v = 0; v < values && !out->legs_spent; v++)
        carriers_read(&search, shown[v].value);
}
