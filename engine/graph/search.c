/* How every graph search begins, which of an account's legs it may look at, and how it writes its proof. */
#include "engine/graph/private.h"

struct search search_begin(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch,
                           struct graph_result *out)
{
    out->value = 0;
    out->known = true;
    out->bounded = out->hub_met = out->legs_spent = false;
    out->looked = out->leg_count = out->leg_more = out->member_count = out->member_more = 0;
    account_set_clear(&scratch->members);
    return (struct search){.query = query, .view = view, .scratch = scratch, .out = out, .seq = leg_seq(&query->event),
                           .looks = query->legs_max};
}

bool search_event_is_leg(const struct search *search)
{
    const struct leg *e = &search->query->event;
    return e->sender && e->receiver && e->sender != e->receiver && e->time_ms > search->query->floor_ms &&
           e->time_ms <= search->query->ceiling_ms;
}

uint32_t span_lower(const struct span *span, struct place place)
{
    uint32_t low = span->low, high = span->high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (place_before(place_at(&span->legs, middle), place))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Mostly the newest leg is before the event and the oldest in the window, or all are out of it: a look at each end, which are
 * cache misses, instead of two searches. */
struct span span_between(const struct legs *legs, struct place after, struct place before)
{
    struct span span = {*legs, 0, legs_count(legs)};
    if (!span.high)
        return span;
    struct place newest = place_at(legs, span.high - 1);
    if (!place_before(after, newest))
        return (struct span){*legs, 0, 0};
    if (!place_before(newest, before))
        span.high = span_lower(&span, before);
    if (span.high && !place_before(after, place_at(legs, 0))) {
        span.low = span_lower(&span, after);
        if (span.low < span.high && !place_before(after, place_at(legs, span.low)))
            span.low++;
    }
    return span;
}

static void hub_mark(struct search *search)
{
    search->out->hub_met = search->out->bounded = true;
}

struct span span_newest(struct search *search, const struct legs *legs, struct place after, struct place before)
{
    struct span span = span_between(legs, after, before);
    if (span.high - span.low <= search->query->hub_max)
        return span;
    uint32_t seen = 0;
    for (uint32_t i = span.high; i-- > span.low;) {
        const struct leg leg = leg_at(legs, i);
        if (!search_sees(search, &leg))
            continue;
        if (seen++ == search->query->hub_max) {
            span.low = i + 1;
            hub_mark(search);
            break;
        }
    }
    return span;
}

struct span span_oldest(struct search *search, const struct legs *legs, struct place after, struct place before)
{
    struct span span = span_between(legs, after, before);
    if (span.high - span.low <= search->query->hub_max)
        return span;
    uint32_t seen = 0;
    for (uint32_t i = span.low; i < span.high; i++) {
        const struct leg leg = leg_at(legs, i);
        if (!search_sees(search, &leg))
            continue;
        if (seen++ == search->query->hub_max) {
            span.high = i;
            hub_mark(search);
            break;
        }
    }
    return span;
}

void proof_member(struct search *search, entity_id account)
{
    struct graph_result *out = search->out;
    bool fresh;
    (void)account_add(&search->scratch->members, account, &fresh);
    if (!fresh || !account)
        return;
    if (out->member_count < GRAPH_MEMBER_MAX)
        out->member[out->member_count++] = account;
    else
        out->member_more++;
}

void proof_leg(struct search *search, struct place place, int64_t amount, entity_id sender, entity_id receiver)
{
    struct graph_result *out = search->out;
    if (out->leg_count < GRAPH_PROOF_MAX) {
        out->leg[out->leg_count].time_ms = place.time_ms;
        out->leg[out->leg_count].seq = place.seq;
        out->leg[out->leg_count].amount = amount;
        out->leg[out->leg_count].sender = sender;
        out->leg[out->leg_count++].receiver = receiver;
    } else {
        out->leg_more++;
    }
}
