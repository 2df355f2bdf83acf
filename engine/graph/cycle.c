/* `cycle through K`: money that left K and comes back to it by e. */
#include "engine/graph/private.h"

/* The oldest visible leg out of K before e: a cycle begins there at the earliest. False: there is none. */
static bool first_out(const struct search *search, struct leg *first)
{
    const struct graph_query *query = search->query;
    struct legs outs = search->view->outs(search->view->context, query->account, LEG_ANY);
    struct span span = span_between(&outs, window_after(query), leg_place(&query->event));
    for (uint32_t i = span.low; i < span.high; i++) {
        *first = leg_at(&outs, i);
        if (search_sees(search, first))
            return true;
    }
    return false;
}

void graph_cycle(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out)
{
    struct search search = search_begin(query, view, scratch, out);
    if (!search_event_is_leg(&search) || query->event.receiver != query->account)
        return;
    struct leg first;
    if (first_out(&search, &first))
        path_search(&search, place_previous(leg_place(&first)), query->account);
}
