/* Searches what a rule's graph operators ask for, and only where the answer can matter. */
#include "engine/stream/step_private.h"

#include "engine/base/invariant.h"
#include "rules/lang/list.h"

struct sight {
    const struct step *step;
    const struct graph_use *use;
};

/* One account's legs of one stream: whoever changes them is done, for they stand in an earlier stratum. */
static struct legs sight_legs(const struct sight *sight, uint16_t stream, entity_id account)
{
    const struct step *step = sight->step;
    struct legs legs = {0};
    invariant(stream != STREAM_ABSENT);
    uint16_t keyspace = step->program->stream[stream].keyspace;
    struct shard *shard = state_shard(step->state, key_shard(&account, 1));
    const struct cell *cell = cell_find(shard, keyspace, &account);
    if (cell)
        legs.records = window_look(shard, cell, keyspace, step->plan->stream[stream].window);
    return legs;
}

static struct legs sight_ins(const void *context, entity_id account, enum leg_role role)
{
    const struct sight *sight = context;
    return sight_legs(sight, sight->use->in[role], account);
}

static struct legs sight_outs(const void *context, entity_id account, enum leg_role role)
{
    const struct sight *sight = context;
    return sight_legs(sight, sight->use->out[role], account);
}

static bool sight_listed(const void *context, entity_id account)
{
    const struct sight *sight = context;
    return ident_lists(sight->step->state, account) >> sight->use->list & 1;
}

static struct legs sight_carried(const void *context, entity_id account)
{
    const struct sight *sight = context;
    return sight_legs(sight, sight->use->out[LEG_ANY], account);
}

static struct legs sight_carriers(const void *context, entity_id value)
{
    const struct sight *sight = context;
    return sight_legs(sight, sight->use->in[LEG_ANY], value);
}

static struct legs sight_stops(const void *context, entity_id account)
{
    const struct sight *sight = context;
    return sight_legs(sight, sight->use->out[LEG_ANY], account);
}

/* Whether the event can complete the operator's pattern at the account; else its value is 0 without a search. */
static bool completes(const struct step *step, const struct look *look, uint32_t g, entity_id account)
{
    const struct graph_use *use = &look->rule->graph[g];
    const entity_id *ref = step->event[look->visit->event].ref;
    if (!graph_completed(use->op))
        return true;
    bool sends = ref[REF_SENDER] == account, receives = ref[REF_RECEIVER] == account;
    bool fits = use->op == GRAPH_PASS_THROUGH ? sends : use->op == GRAPH_GATHER_SCATTER ? sends || receives : receives;
    return fits && look_may_end(step, look, &look->plan->leg[g]);
}

/* A list that nobody has filled yet leads nowhere: looking for ways to it took 3 to 14 % of the core under the shipped pack. */
static bool goal_is_empty(const struct step *step, const struct graph_use *use)
{
    return use->op == GRAPH_HOPS && list_count(step->program->list[use->list]) == 0;
}

static int64_t search_floor(const struct step *step, const struct look *look, const struct graph_use *use)
{
    int64_t floor_ms = window_floor(step->program, look->clock_ms, use->span_ms, use->days);
    for (int role = LEG_ANY; role <= LEG_SECOND; role++) {
        const uint16_t stream[] = {use->in[role], use->out[role]};
        for (int i = 0; i < 2; i++) {
            int64_t kept_ms = stream[i] == STREAM_ABSENT ? INT64_MIN : legs_floor(step, &step->program->stream[stream[i]]);
            floor_ms = kept_ms > floor_ms ? kept_ms : floor_ms;
        }
    }
    return floor_ms;
}

static void search(struct step *step, struct step_worker *worker, const struct look *look, const struct node *node, entity_id account)
{
    typedef void (*search_fn)(const struct graph_query *, const struct graph_view *, struct graph_scratch *, struct graph_result *);
    static const search_fn searches[GRAPH_OPERATOR_COUNT] = {
        [GRAPH_CYCLE] = graph_cycle, [GRAPH_CHAIN] = graph_chain, [GRAPH_PASS_THROUGH] = graph_pass_through,
        [GRAPH_GATHER_SCATTER] = graph_gather_scatter, [GRAPH_SCATTER_GATHER] = graph_scatter_gather, [GRAPH_HOPS] = graph_hops,
        [GRAPH_SHARING] = graph_sharing, [GRAPH_ROUTE] = graph_route};
    const struct graph_use *use = &look->rule->graph[node->imm];
    const struct event *event = &step->event[look->visit->event];
    const struct value *value = worker->evaluation.node;
    struct sight sight = {step, use};
    struct graph_view view = {.context = &sight, .ins = sight_ins, .outs = sight_outs, .listed = sight_listed,
                              .carried = sight_carried, .carriers = sight_carriers, .stops = sight_stops};
    struct graph_query query = {.account = account,
                                .floor_ms = search_floor(step, look, use),
                                .ceiling_ms = look->clock_ms,
                                .event = {.time_ms = event->time_ms, .mark = event->seq, .amount = event->amount_base},
                                .hops_low = use->hops_low,
                                .hops_high = use->hops_high,
                                .middles_min = use->middles,
                                .keep = use->keep,
                                .keep_low = value[node->b].number,
                                .keep_high = value[node->c].number,
                                .hub_max = use->hub_max,
                                .legs_max = use->legs_max};
    if (use->op == GRAPH_ROUTE) {
        query.corridor_count = step->plan->route[use->list].count;
        query.corridor = step->plan->route[use->list].corridor;
    }
    if (use->op != GRAPH_SHARING && use->op != GRAPH_ROUTE && look_is_leg(look, &look->plan->leg[node->imm])) {
        query.event.sender = event->ref[REF_SENDER];
        query.event.receiver = event->ref[REF_RECEIVER];
    }
    struct graph_result *result = &worker->graph[node->imm];
    searches[use->op](&query, &view, worker->graph_scratch, result);
    worker->graphs.searches++;
    worker->graphs.legs += result->looked;
    worker->bound[BOUND_GRAPH_HUB] += result->hub_met;
    worker->bound[BOUND_GRAPH_BUDGET] += result->legs_spent;
}

/* Not by an initializer: most of a result is room for a proof. */
static void result_clear(struct graph_result *result)
{
    result->bounded = false;
    result->leg_count = result->leg_more = result->member_count = result->member_more = 0;
}

/* The operator's value: from this look's search where it was the same account. */
static void node_search(struct step *step, struct step_worker *worker, struct look *look, const struct node *node)
{
    uint32_t g = (uint32_t)node->imm;
    struct value from = worker->evaluation.node[node->a];
    entity_id account = from.known ? (entity_id)from.number : ENTITY_MISSING;
    if ((look->searched >> g & 1) && worker->graph_account[g] == account)
        return;
    look->searched |= 1u << g;
    worker->graph_account[g] = account;
    if (account == ENTITY_MISSING || goal_is_empty(step, &look->rule->graph[g])) {
        result_clear(&worker->graph[g]);
        worker->graph_value[g] = (struct value){0, false};
        return;
    }
    if (!completes(step, look, g, account)) {
        result_clear(&worker->graph[g]);
        worker->graph_value[g] = (struct value){0, true};
        return;
    }
    search(step, worker, look, node, account);
    bool known = look->rule->graph[g].op != GRAPH_HOPS || worker->graph[g].known;
    worker->graph_value[g] = (struct value){known ? worker->graph[g].value : 0, known};
}

void look_search(struct step *step, struct step_worker *worker, struct look *look, uint16_t from, uint16_t to)
{
    struct evaluation *ev = &worker->evaluation;
    const struct expr *body = &look->rule->body;
    while (from < to && body->node[from].op != OP_GRAPH)
        from++; /* what stands before the first does not hang on any */
    for (uint16_t i = from; i < to; i++)
        if (body->node[i].op == OP_GRAPH)
            node_search(step, worker, look, &body->node[i]);
    ev->graph = worker->graph_value;
    eval_nodes(ev, body, from, to);
}
