/* `pass_through of K`: how many ins K has used up by its outs, what came first used first. */
#include "engine/graph/private.h"

enum { KEEP_DEFAULT = 800000 };

/* An in that outs have drawn on: outs first_out..last_out, counted from the oldest. */
struct draw {
    struct leg in;
    uint32_t first_out, last_out;
    bool used_up;
};

struct draws {
    struct search *search;
    struct span ins;
    uint32_t at;            /* the in being drawn on; before it nothing is left */
    uint32_t count;         /* ins reached */
    int64_t left;           /* of the in at `at`; 0: not reached yet */
    int64_t keep;
    bool spent;
};

static struct draw *draw_at(const struct draws *draws, uint32_t i)
{
    return heap_array_at(&draws->search->scratch->other, i, sizeof(struct draw));
}

/* Goes on to the next in before the out that has something to use up. */
static bool draws_advance(struct draws *draws, struct place out)
{
    for (; draws->left == 0 && draws->at < draws->ins.high; draws->at++) {
        const struct leg in = leg_at(&draws->ins.legs, draws->at);
        if (!search_sees(draws->search, &in))
            continue;
        if (!place_before(leg_place(&in), out))
            return false;
        if (!search_look(draws->search)) {
            draws->spent = true;
            return false;
        }
        if (in.amount == MISSING_I64 || in.amount <= 0)
            continue;
        draws->left = in.amount;
        *draw_at(draws, draws->count++) = (struct draw){.in = in, .first_out = GRAPH_NONE};
    }
    return draws->left > 0;
}

/* The out of that number uses up ins before it, as far as it goes. */
static void draws_take(struct draws *draws, const struct leg *out, uint32_t number)
{
    int64_t amount = out->amount == MISSING_I64 || out->amount < 0 ? 0 : out->amount;
    while (amount > 0 && draws_advance(draws, leg_place(out))) {
        struct draw *draw = draw_at(draws, draws->count - 1);
        int64_t taken = amount < draws->left ? amount : draws->left;
        draws->left -= taken;
        amount -= taken;
        draw->first_out = draw->first_out == GRAPH_NONE ? number : draw->first_out;
        draw->last_out = number;
        bool enough = (__int128)(draw->in.amount - draws->left) * GRAPH_MILLION >= (__int128)draw->in.amount * draws->keep;
        if (enough && !draw->used_up) {
            draw->used_up = true;
            draws->search->out->value++;
        }
    }
}

/* The ins used up and the outs that drew on them, in hop order. */
static void draws_prove(const struct draws *draws, uint32_t out_count)
{
    const struct leg *outs = draws->search->scratch->leg.items;
    uint32_t out = 0;
    for (uint32_t i = 0; i < draws->count; i++) {
        const struct draw *draw = draw_at(draws, i);
        if (!draw->used_up)
            continue;
        for (; out < out_count && place_before(leg_place(&outs[out]), leg_place(&draw->in)); out++)
            proof_of(draws->search, &outs[out]);
        proof_of(draws->search, &draw->in);
    }
    for (; out < out_count; out++)
        proof_of(draws->search, &outs[out]);
}

/* Leaves of the outs those that drew on an in that is used up. */
static uint32_t outs_keep(const struct draws *draws, uint32_t out_count)
{
    struct leg *outs = draws->search->scratch->leg.items;
    uint32_t kept = 0, next = 0;
    for (uint32_t i = 0; i < draws->count; i++) {
        const struct draw *draw = draw_at(draws, i);
        if (!draw->used_up)
            continue;
        for (uint32_t o = draw->first_out > next ? draw->first_out : next; o <= draw->last_out && o < out_count; o++)
            if (outs[o].amount > 0)
                outs[kept++] = outs[o];
        next = draw->last_out + 1 > next ? draw->last_out + 1 : next;
    }
    return kept;
}

/* Whether some leg of the span may be looked at. */
static bool span_shows(const struct search *search, const struct span *span)
{
    for (uint32_t i = span->low; i < span->high; i++) {
        const struct leg leg = leg_at(&span->legs, i);
        if (search_sees(search, &leg))
            return true;
    }
    return false;
}

void graph_pass_through(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out)
{
    struct search search = search_begin(query, view, scratch, out);
    if (!search_event_is_leg(&search) || query->event.sender != query->account)
        return;
    struct legs in_legs = view->ins(view->context, query->account, LEG_ANY);
    struct draws draws = {.search = &search, .keep = query->keep ? query->keep_low : KEEP_DEFAULT,
                          .ins = span_oldest(&search, &in_legs, window_after(query), window_before(query))};
    if (!span_shows(&search, &draws.ins))
        return; /* outs that were cut off would have used up nothing either: nothing is bounded */
    struct legs out_legs = view->outs(view->context, query->account, LEG_ANY);
    struct span outs = span_oldest(&search, &out_legs, window_after(query), window_before(query));
    uint32_t out_count = 0;
    draws.at = draws.ins.low;
    for (uint32_t i = outs.low; i < outs.high && !draws.spent; i++) {
        const struct leg leg = leg_at(&outs.legs, i);
        if (!search_sees(&search, &leg))
            continue;
        if (!search_look(&search))
            break;
        *(struct leg *)heap_array_at(&scratch->leg, out_count, sizeof leg) = leg;
        draws_take(&draws, &leg, out_count++);
    }
    draws_prove(&draws, outs_keep(&draws, out_count));
}
