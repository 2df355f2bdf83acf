/* `chain into K`: money that came to K from hand to hand, the last time by e. */
#include "engine/graph/private.h"

void graph_chain(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out)
{
    struct search search = search_begin(query, view, scratch, out);
    if (search_event_is_leg(&search) && query->event.receiver == query->account)
        path_search(&search, window_after(query), 0);
}
