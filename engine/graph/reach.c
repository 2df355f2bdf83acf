/* Who could hold money that left K before e: where it is found to the end with few looks, a cycle need not be sought elsewhere.
 *
 * A payer with many ins (a payroll, a shop) makes the way back from e long, while what its customer K paid before is mostly
 * little. Amounts are left aside: more accounts than need be are harmless. */
#include "engine/graph/private.h"

enum { REACH_LOOKS = 128 };

struct reached {
    entity_id account;
    struct place arrival; /* the earliest */
    struct place walked;  /* legs from here on were walked */
    bool waits;
};

static struct reached *reached_at(const struct search *search, uint32_t i)
{
    return heap_array_at(&search->scratch->other, i, sizeof(struct reached));
}

/* Notes that money arrives; the account waits to be walked (again) when it never came as early. */
static void reach_note(struct search *search, entity_id account, struct place at, uint32_t *queued)
{
    bool fresh;
    uint32_t i = account_add(&search->scratch->reach, account, &fresh);
    struct reached *reached = reached_at(search, i);
    if (fresh)
        *reached = (struct reached){.account = account, .walked = leg_place(&search->query->event)};
    else if (!place_before(at, reached->arrival))
        return;
    reached->arrival = at;
    if (reached->waits)
        return;
    reached->waits = true;
    *(uint32_t *)heap_array_at(&search->scratch->leg, (*queued)++, sizeof *queued) = i;
}

bool reach_find(struct search *search, struct place after)
{
    uint32_t queued = 0, looks = 0;
    account_set_clear(&search->scratch->reach);
    reach_note(search, search->query->account, after, &queued);
    for (uint32_t next = 0; next < queued; next++) {
        struct reached *from = reached_at(search, ((const uint32_t *)search->scratch->leg.items)[next]);
        struct legs outs = search->view->outs(search->view->context, from->account, LEG_ANY);
        struct span span = span_between(&outs, from->arrival, from->walked);
        from->walked = span.low < span.high ? place_at(&outs, span.low) : from->walked;
        from->waits = false;
        for (uint32_t i = span.low; i < span.high; i++) {
            const struct leg leg = leg_at(&outs, i);
            if (!search_sees(search, &leg))
                continue;
            if (looks++ == REACH_LOOKS || !search_look(search))
                return false;
            reach_note(search, leg.receiver, leg_place(&leg), &queued);
        }
    }
    return true;
}

bool reach_allows(const struct search *search, entity_id account, struct place at)
{
    uint32_t i = account_find(&search->scratch->reach, account);
    return i != GRAPH_NONE && place_before(reached_at(search, i)->arrival, at);
}
