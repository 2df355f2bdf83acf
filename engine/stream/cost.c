/* Bytes per key and steps per event of a rule. */
#include "engine/stream/cost.h"

#include "engine/base/invariant.h"
#include "engine/state/size.h"
#include "rules/lang/limit.h"

enum { STEPS_RECORD = 8, STEPS_WINDOW = 4, STEPS_USUAL = HABIT_WEEKS * 5 /* n log n */, STEPS_KEY = 8 };

static bool add_once(uint16_t *all, uint16_t *count, uint16_t one)
{
    for (uint16_t i = 0; i < *count; i++)
        if (all[i] == one)
            return false;
    all[(*count)++] = one;
    return true;
}

uint16_t rule_streams(const struct program *program, const struct rule *rule, uint16_t *stream)
{
    uint16_t count = 0;
    for (uint16_t i = 0; i < rule->input_count; i++)
        (void)add_once(stream, &count, program->aggregate[rule->input[i]].stream);
    for (uint16_t i = 0; i < rule->stream_count; i++)
        (void)add_once(stream, &count, rule->stream[i]);
    for (uint8_t g = 0; g < rule->graph_count; g++) {
        for (int role = 0; role < 3; role++) {
            const uint16_t legs[] = {rule->graph[g].in[role], rule->graph[g].out[role]};
            for (int i = 0; i < 2; i++)
                if (legs[i] != STREAM_ABSENT)
                    (void)add_once(stream, &count, legs[i]);
        }
    }
    return count;
}

static void expr_memories(const struct program *program, const struct expr *expr, uint16_t *memory, uint16_t *count)
{
    for (uint16_t n = 0; n < expr->count; n++)
        if (expr->node[n].op == OP_NEW || expr->node[n].op == OP_MEMORY)
            (void)add_once(memory, count, program->read[expr->node[n].a].memory);
}

uint16_t rule_memories(const struct program *program, const struct rule *rule, uint16_t *memory)
{
    uint16_t stream[LIMIT_STREAMS], count = 0;
    uint16_t streams = rule_streams(program, rule, stream);
    for (uint16_t i = 0; i < streams; i++)
        expr_memories(program, &program->stream[stream[i]].filter, memory, &count);
    expr_memories(program, &rule->body, memory, &count);
    return count;
}

/* Without a list of its streams, for it is asked of each rule and stream. */
bool rule_reads_stream(const struct program *program, const struct rule *rule, uint16_t stream)
{
    for (uint16_t i = 0; i < rule->input_count; i++)
        if (program->aggregate[rule->input[i]].stream == stream)
            return true;
    for (uint16_t i = 0; i < rule->stream_count; i++)
        if (rule->stream[i] == stream)
            return true;
    for (uint8_t g = 0; g < rule->graph_count; g++)
        for (int role = 0; role < 3; role++)
            if (rule->graph[g].in[role] == stream || rule->graph[g].out[role] == stream)
                return true;
    return false;
}

static uint32_t expr_steps(const struct expr *expr)
{
    uint32_t steps = expr->count;
    for (uint16_t n = 0; n < expr->count; n++)
        steps += expr->node[n].op == OP_NEW || expr->node[n].op == OP_MEMORY ? STEPS_KEY : 0;
    return steps;
}

static uint32_t input_steps(const struct aggregate *aggregate)
{
    if (aggregate->usual)
        return STEPS_USUAL;
    return STEPS_WINDOW + (uint32_t)aggregate->days;
}

/* What all rules of a plan are reckoned from. */
struct basis {
    const struct plan *plan;
    const struct size_key *key; /* by keyspace */
    const uint16_t *readers;    /* by stream: how many rules read it */
};

static struct basis basis_of(const struct plan *plan, struct arena *arena)
{
    const struct program *program = plan->program;
    uint16_t stream[LIMIT_STREAMS];
    struct size_key *key = ARENA_ARRAY(arena, struct size_key, program->keyspace_count + 1);
    uint16_t *readers = ARENA_ARRAY(arena, uint16_t, program->stream_count + 1);
    for (uint16_t k = 0; k < program->keyspace_count; k++)
        size_key(&plan->layout, k, arena, &key[k]);
    for (uint16_t r = 0; r < program->rule_count; r++)
        for (uint16_t i = rule_streams(program, &program->rule[r], stream); i > 0; i--)
            readers[stream[i - 1]]++;
    return (struct basis){plan, key, readers};
}

static void cost_memories(const struct basis *basis, const struct rule *rule, struct rule_cost *out)
{
    const struct program *program = basis->plan->program;
    uint16_t memory[LIMIT_MEMORIES], count = rule_memories(program, rule, memory);
    for (uint16_t i = 0; i < count; i++) {
        const struct memory *def = &program->memory[memory[i]];
        if (!def->seen)
            continue;
        const struct size_key *key = &basis->key[def->keyspace];
        out->seen++;
        out->seen_bytes += key->key + key->memory[basis->plan->memory[memory[i]].memory];
    }
}

/* A search along the hops looks at as many payments as its budget lets it; one of the account's own, at those of one hub. */
static uint32_t graph_steps(const struct graph_use *use)
{
    bool own = use->op == GRAPH_PASS_THROUGH || use->op == GRAPH_GATHER_SCATTER || use->op == GRAPH_ROUTE;
    return own && 2 * use->hub_max < use->legs_max ? 2 * use->hub_max : use->legs_max;
}

/* What one stream of the rule keeps: for legs, of each account that is an end of them. */
static void cost_stream(const struct basis *basis, uint16_t stream, struct rule_cost *out)
{
    const struct stream *def = &basis->plan->program->stream[stream];
    const struct size_key *key = &basis->key[def->keyspace];
    uint16_t window = basis->plan->stream[stream].window;
    out->key_bytes += key->window[window] + key->habit[window];
    out->habit_bytes += key->habit[window];
    out->event_bytes += key->record[window];
    out->shared = (uint16_t)(out->shared + (basis->readers[stream] > 1));
    out->steps += expr_steps(&def->filter) + STEPS_RECORD;
}

static void cost_rule(const struct basis *basis, const struct rule *rule, struct rule_cost *out)
{
    const struct program *program = basis->plan->program;
    uint16_t stream[LIMIT_STREAMS];
    *out = (struct rule_cost){.stream_count = rule_streams(program, rule, stream), .steps = expr_steps(&rule->body)};
    if (program->keyspace[rule->keyspace].form != KEY_TRANSFER)
        out->key_bytes = basis->key[rule->keyspace].key;
    if (rule->step_count > 1) /* while an attempt is on */
        out->key_bytes += slab_block((size_t)attempt_words(rule->step_count, rule->kept_count) * sizeof(int64_t));
    for (uint16_t i = 0; i < out->stream_count; i++)
        cost_stream(basis, stream[i], out);
    for (uint8_t g = 0; g < rule->graph_count; g++)
        out->steps += graph_steps(&rule->graph[g]);
    for (uint16_t i = 0; i < rule->input_count; i++) {
        out->steps += input_steps(&program->aggregate[rule->input[i]]);
        out->habits = (uint16_t)(out->habits + program->aggregate[rule->input[i]].usual);
    }
    cost_memories(basis, rule, out);
}

const struct rule_cost *rule_costs(const struct plan *plan, struct arena *arena)
{
    const struct program *program = plan->program;
    const struct basis basis = basis_of(plan, arena);
    struct rule_cost *cost = ARENA_ARRAY(arena, struct rule_cost, program->rule_count + 1);
    for (uint16_t r = 0; r < program->rule_count; r++)
        cost_rule(&basis, &program->rule[r], &cost[r]);
    return cost;
}

const char *cost_class(uint32_t steps)
{
    return steps <= COST_LIGHT ? "light" : steps <= COST_MEDIUM ? "medium" : "heavy";
}
