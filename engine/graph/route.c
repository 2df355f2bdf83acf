/* `route of K along LIST`: how far along a corridor K's legs go, stage after stage.
 *
 * Stops are read from the newest back. For each stage the best way that begins there is kept (most stages, then the latest
 * stops); an older stop goes before the best of the later stages. */
#include "engine/graph/private.h"

/* A leg of K's that touched a country. */
struct touch {
    struct leg leg;
    int64_t country;
};

/* A stop at a stage, and the way on from it. */
struct stop {
    const struct touch *touch;
    uint32_t next, stages; /* in this way, this stop counted */
};

struct ways {
    struct search *search;
    uint32_t count;
};

static struct stop *stop_at(const struct ways *ways, uint32_t i)
{
    return heap_array_at(&ways->search->scratch->other, i, sizeof(struct stop));
}

static uint32_t way_stages(const struct ways *ways, uint32_t way)
{
    return way == GRAPH_NONE ? 0 : stop_at(ways, way)->stages;
}

/* Whether way a is better than b: more stages, or as many and later where they first differ. */
static bool way_better(const struct ways *ways, uint32_t a, uint32_t b)
{
    if (way_stages(ways, a) != way_stages(ways, b))
        return way_stages(ways, a) > way_stages(ways, b);
    for (; a != GRAPH_NONE; a = stop_at(ways, a)->next, b = stop_at(ways, b)->next)
        if (stop_at(ways, a)->touch != stop_at(ways, b)->touch)
            return place_before(leg_place(&stop_at(ways, b)->touch->leg), leg_place(&stop_at(ways, a)->touch->leg));
    return false;
}

/* How many stages of the corridor some stop is at: no way is longer. Most corridors end here: a search takes
 * 1,000 instructions, not 12,000. */
static uint32_t stages_met(const struct ways *ways, const struct corridor *corridor, uint32_t stops)
{
    const struct touch *touches = ways->search->scratch->leg.items;
    uint32_t met = 0;
    for (uint32_t i = 0; i < stops; i++)
        for (uint32_t s = 0; s < corridor->count; s++)
            met |= (uint32_t)(corridor->stage[s] == touches[i].country) << s;
    return (uint32_t)__builtin_popcount(met);
}

/* The best way along one corridor among the stops, newest first. Stages are taken in order, so that a stop goes before ways
 * that it is not part of. */
static uint32_t corridor_walk(struct ways *ways, const struct corridor *corridor, uint32_t stops)
{
    const struct touch *touches = ways->search->scratch->leg.items;
    uint32_t best_at[GRAPH_STAGE_MAX], best = GRAPH_NONE;
    for (uint32_t s = 0; s < corridor->count; s++)
        best_at[s] = GRAPH_NONE;
    for (uint32_t i = 0; i < stops; i++)
        for (uint32_t s = 0; s < corridor->count; s++) {
            if (corridor->stage[s] != touches[i].country)
                continue;
            uint32_t next = GRAPH_NONE;
            for (uint32_t later = s + 1; later < corridor->count; later++)
                if (best_at[later] != GRAPH_NONE && way_better(ways, best_at[later], next))
                    next = best_at[later];
            if (way_stages(ways, next) + 1 <= way_stages(ways, best_at[s]))
                continue;
            best_at[s] = ways->count++;
            *stop_at(ways, best_at[s]) = (struct stop){&touches[i], next, way_stages(ways, next) + 1};
        }
    for (uint32_t s = 0; s < corridor->count; s++)
        if (way_better(ways, best_at[s], best))
            best = best_at[s];
    return best;
}

/* K's stops with a known country, newest first. */
static uint32_t stops_read(struct search *search)
{
    const struct graph_query *query = search->query;
    struct legs legs = search->view->stops(search->view->context, query->account);
    struct span span = span_newest(search, &legs, window_after(query), window_before(query));
    uint32_t count = 0;
    for (uint32_t i = span.high; i-- > span.low;) {
        const struct leg leg = leg_at(&span.legs, i);
        if (!search_sees(search, &leg))
            continue;
        if (!search_look(search))
            break;
        int64_t country = leg_extra(&span.legs, i);
        if (country != MISSING_I64)
            *(struct touch *)heap_array_at(&search->scratch->leg, count++, sizeof(struct touch)) = (struct touch){leg, country};
    }
    return count;
}

void graph_route(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out)
{
    struct search search = search_begin(query, view, scratch, out);
    search.any_leg = true;
    struct ways ways = {.search = &search};
    uint32_t stops = query->account ? stops_read(&search) : 0, best = GRAPH_NONE;
    for (uint32_t c = 0; c < query->corridor_count; c++) {
        uint32_t met = stages_met(&ways, &query->corridor[c], stops);
        if (met == 0 || met < way_stages(&ways, best))
            continue;
        uint32_t way = corridor_walk(&ways, &query->corridor[c], stops);
        if (way_better(&ways, way, best))
            best = way;
    }
    out->value = way_stages(&ways, best);
    if (best != GRAPH_NONE)
        proof_member(&search, query->account);
    for (; best != GRAPH_NONE; best = stop_at(&ways, best)->next)
        proof_of(&search, &stop_at(&ways, best)->touch->leg);
}
