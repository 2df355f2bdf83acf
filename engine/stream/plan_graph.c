/* What a plan says of graph operators: the legs that end their patterns, what these ends must have, rules that are nearly always idle, the
 * corridors. */
#include "engine/stream/plan_private.h"

#include "rules/lang/list.h"

/* Legs that an end of an event must have had before, or nothing ends with the event. */
struct needed {
    uint16_t stream;
    int side;
};
enum { NEEDED_MAX = 2 };

static int graph_needs(const struct graph_use *use, struct needed needed[NEEDED_MAX])
{
    switch (use->op) {
    case GRAPH_CYCLE: /* from the receiver by at least one account to the sender */
        needed[0] = (struct needed){use->in[LEG_ANY], SIDE_SENDER};
        needed[1] = (struct needed){use->out[LEG_ANY], SIDE_RECEIVER};
        return 2;
    case GRAPH_CHAIN: /* of at least two */
    case GRAPH_PASS_THROUGH:
        needed[0] = (struct needed){use->in[LEG_ANY], SIDE_SENDER};
        return 1;
    case GRAPH_SCATTER_GATHER:
        needed[0] = (struct needed){use->in[LEG_FIRST], SIDE_SENDER};
        return 1;
    default:
        return 0;
    }
}

/* A key's lack of a stream's legs, as a bit; 0: that is not noted. */
static uint64_t lack_bit(const struct plan *plan, uint16_t stream)
{
    if (stream == STREAM_ABSENT)
        return 0;
    const struct plan_keyspace *at = plan_at(plan, plan->program->stream[stream].stratum, plan->program->stream[stream].keyspace);
    for (uint16_t i = 0; i < at->lack_count; i++)
        if (at->lack[i].stream == stream)
            return (uint64_t)1 << at->lack[i].bit;
    return 0;
}

/* Lacks are noted of one keyspace, so that of each side of an event only the visit to one key writes them. */
static void lack_add(struct plan *plan, struct plan_keyspace *all, uint16_t stream)
{
    const struct program *program = plan->program;
    if (stream == STREAM_ABSENT || lack_bit(plan, stream) || plan->lack_count == LACKS_MAX)
        return;
    if (plan->lack_count == 0)
        plan->lack_keyspace = program->stream[stream].keyspace;
    if (program->stream[stream].keyspace != plan->lack_keyspace)
        return;
    struct plan_keyspace *at = &all[(uint32_t)program->stream[stream].stratum * program->keyspace_count + plan->lack_keyspace];
    struct plan_lack *lack = ARENA_ARRAY(&plan->arena, struct plan_lack, at->lack_count + 1u);
    for (uint16_t i = 0; i < at->lack_count; i++)
        lack[i] = at->lack[i];
    lack[at->lack_count++] = (struct plan_lack){stream, plan->stream[stream].window, (uint8_t)plan->lack_count++};
    at->lack = lack;
}

void plan_lacks(struct plan *plan, struct plan_keyspace *at)
{
    const struct program *program = plan->program;
    struct needed needed[NEEDED_MAX];
    for (uint16_t r = 0; r < program->rule_count; r++)
        for (uint8_t g = 0; g < program->rule[r].graph_count; g++)
            for (int i = 0, count = graph_needs(&program->rule[r].graph[g], needed); i < count; i++)
                lack_add(plan, at, needed[i].stream);
    plan->mask_words = (uint16_t)(plan->mask_words + (plan->lack_count > 0));
}

/* The stream in which an event stands that can complete the operator's pattern. */
static uint16_t completing_stream(const struct graph_use *use)
{
    if (use->op == GRAPH_SCATTER_GATHER)
        return use->in[LEG_SECOND];
    return use->in[LEG_ANY] != STREAM_ABSENT ? use->in[LEG_ANY] : use->out[LEG_ANY];
}

void plan_legs(struct plan *plan, const struct rule *def, struct plan_rule *rule)
{
    struct plan_leg *leg = ARENA_ARRAY(&plan->arena, struct plan_leg, def->graph_count + 1u);
    struct needed needed[NEEDED_MAX];
    for (uint8_t g = 0; g < def->graph_count; g++) {
        uint16_t index = completing_stream(&def->graph[g]);
        uint32_t side = plan->program->stream[index].flow == STREAM_IN ? SIDE_RECEIVER : SIDE_SENDER, place = plan->place[index];
        leg[g] = (struct plan_leg){.word = side * plan->mask_words + place / 64, .bit = (uint64_t)1 << place % 64};
        for (int i = 0, count = graph_needs(&def->graph[g], needed); i < count; i++)
            leg[g].lacks[needed[i].side] |= lack_bit(plan, needed[i].stream);
    }
    rule->leg = leg;
}

/* Whoever follows money reads the payment: every one touches it. */
static void idle_find(struct plan *plan, struct plan_keyspace *at)
{
    struct plan_idle *idle = ARENA_ARRAY(&plan->arena, struct plan_idle, at->rule_count + 1u);
    for (uint16_t j = 0; j < at->rule_count; j++) {
        const struct rule *def = &plan->program->rule[at->rule[j]];
        const struct plan_rule *rule = &plan->rule[at->rule[j]];
        if (def->step_count == 1 && !def->watched && rule->step->leg_count + rule->step->trace_count > 0)
            idle[at->idle_count++] = (struct plan_idle){j, rule->clock, rule->step};
    }
    at->idle = idle;
}

void plan_idle(struct plan *plan, struct plan_keyspace *at)
{
    for (uint32_t i = 0; i < (uint32_t)plan->program->stratum_count * plan->program->keyspace_count; i++)
        idle_find(plan, &at[i]);
}

void plan_routes(struct plan *plan)
{
    const struct program *program = plan->program;
    struct plan_route *route = ARENA_ARRAY(&plan->arena, struct plan_route, program->list_count + 1u);
    for (uint16_t i = 0; i < program->list_count; i++) {
        const struct list *list = program->list[i];
        if (list_type(list) != TYPE_ROUTE)
            continue;
        struct corridor *corridor = ARENA_ARRAY(&plan->arena, struct corridor, list_count(list) + 1);
        for (uint32_t c = 0; c < list_count(list); c++)
            corridor[c].count = list_route(list, c, corridor[c].stage);
        route[i] = (struct plan_route){.count = (uint16_t)list_count(list), .corridor = corridor};
    }
    plan->route = route;
}
