/* Builds the steps of a rule: parts that stand for themselves, what the attempt keeps, `since step`. */
#include "rules/lang/compile.h"

#include "engine/base/invariant.h"

/* --- spans --- */

static bool within_legal(struct compiler *c, const struct syntax_expr *value)
{
    if (value->form == EXPR_DURATION && value->value > 0 && value->value <= (int64_t)LIMIT_DAYS * MS_PER_DAY)
        return true;
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_WINDOW, value->span, "a step cannot follow within this");
    diagnostic_help(c->diagnostics, d, "write a length of time, more than 0 and at most 400d, for example `then within 3h …`");
    return false;
}

/* The span of one `within`, whose param must be legal over its whole range; 0 when it is wrong. */
static int64_t within_ms(struct emitter *em, const struct syntax_expr *within)
{
    if (within->form != EXPR_NAME)
        return within_legal(em->c, within) ? within->value : 0;
    const struct syntax_param *param = name_param(em->rule, within->name.text);
    if (!param) {
        report_unknown(em, &within->name);
        return 0;
    }
    if (!param->value || !param->low || !param->high)
        return 0;
    if (param->value->form != EXPR_DURATION) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_WINDOW, within->span, "`within` is a length of time");
        diagnostic_second(em->c->diagnostics, d, param->name.span, "this param is not one");
        return 0;
    }
    return within_legal(em->c, param->low) && within_legal(em->c, param->high) && within_legal(em->c, param->value) ? param->value->value : 0;
}

bool steps_open(struct emitter *em)
{
    const struct syntax_rule *rule = em->rule;
    bool good = true;
    em->steps = 1;
    for (const struct syntax_step *then = rule->then; then && em->steps < STEP_MAX; then = then->next) {
        if (em->key->form == KEY_TRANSFER) {
            struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_STEP_KEY, then->span, "a single transfer has no steps");
            diagnostic_help(em->c->diagnostics, d, "steps follow one account, party, pair or other key through time");
            return false;
        }
        int64_t ms = then->within ? within_ms(em, then->within) : 0;
        good &= ms > 0;
        em->within_ms[em->steps++] = ms;
    }
    return good;
}

/* The window of `since step N`: what came after that step, less than the next step's `within` ago. */
bool since_span(struct emitter *em, const struct syntax_aggregate *at, struct aggregate *aggregate)
{
    struct diagnostics *ds = em->c->diagnostics;
    struct diagnostic *d = NULL;
    if (at->since >= em->steps) {
        d = diagnostic_add(ds, DIAG_SINCE, at->since_span, em->steps == 1 ? "this rule has no second step" : "no step follows step %d",
                           (int)at->since);
        diagnostic_help(ds, d, "`since step N` is for steps behind step N: `then within SPAN …`");
    } else if (em->homing && at->since >= em->homing) {
        d = diagnostic_add(ds, DIAG_SINCE, at->since_span, "step %d cannot look at what follows step %d", em->homing, (int)at->since);
        diagnostic_help(ds, d, "a step looks back to an earlier one");
    }
    aggregate->since = (uint8_t)at->since;
    aggregate->span_ms = d ? 0 : em->within_ms[at->since];
    return d == NULL && aggregate->span_ms > 0;
}

/* --- what the attempt keeps --- */

void let_settle(struct emitter *em, size_t index, struct typed value)
{
    if (value.type == TYPE_POISON)
        return;
    if (em->node[value.node].op == OP_INPUT)
        em->let_input[index] = (uint16_t)(em->node[value.node].imm + 1);
    if (!em->homing || em->let_home[index])
        return;
    em->let_home[index] = em->homing;
    em->let_slot[index] = em->kept_count;
    em->let_type[index] = value.type;
    em->kept[em->kept_count++] = (struct kept_let){.node = value.node, .slot = em->let_slot[index]};
}

/* --- parts --- */

/* in_hand: steps that were true before, whose lets are kept; homing: the step that is built, 0 for none. */
void part_open(struct emitter *em, uint8_t in_hand, uint8_t homing, struct rule_part *part)
{
    bool alone = em->steps == 1; /* then all happens at one event, and its parts share their nodes */
    em->in_hand = alone ? 0 : in_hand;
    em->homing = alone ? 0 : homing;
    em->reads_event = false;
    em->part_inputs = 0;
    if (!alone) {
        em->part_from = em->count;
        memset(em->let_done, 0, sizeof em->let_done);
    }
    *part = (struct rule_part){.from = em->count};
}

void part_close(struct emitter *em, struct rule_part *part)
{
    part->to = em->count;
    part->inputs = em->part_inputs;
    part->touched_by_all = em->reads_event;
    graph_part(em, part);
    for (uint16_t i = 0; i < em->input_count; i++)
        if (em->homing && (part->inputs >> i & 1) && !em->input_step[i])
            em->input_step[i] = em->homing;
}

static void emit_step(struct emitter *em, uint8_t number, const struct syntax_expr *condition, struct rule_step *step)
{
    uint8_t kept_before = em->kept_count;
    part_open(em, (uint8_t)(number - 1), number, &step->part);
    if (condition)
        (void)emit_condition(em, condition, number == 1 ? "`when`" : "`then`", &step->part.root);
    part_close(em, &step->part);
    step->part.touched_by_all |= step->part.inputs == 0;
    step->within_ms = em->within_ms[number - 1];
    step->kept_count = (uint8_t)(em->kept_count - kept_before);
    struct kept_let *kept = ARENA_ARRAY(em->c->arena, struct kept_let, step->kept_count + 1);
    memcpy(kept, em->kept + kept_before, step->kept_count * sizeof *kept);
    step->kept = kept;
}

void emit_steps(struct emitter *em, struct rule *out)
{
    struct rule_step *step = ARENA_ARRAY(em->c->arena, struct rule_step, em->steps);
    const struct syntax_step *then = em->rule->then;
    for (uint8_t s = 0; s < em->steps; s++) {
        if (s + 1 == em->steps)
            out->kept_count = em->kept_count;
        emit_step(em, (uint8_t)(s + 1), s ? then->condition : em->rule->when, &step[s]);
        then = s ? then->next : then;
        out->within_ms += step[s].within_ms;
    }
    out->step = step;
    out->step_count = em->steps;
    if (!em->rule->unless)
        return;
    struct rule_part *unless = ARENA_ARRAY(em->c->arena, struct rule_part, em->steps);
    for (uint8_t s = 0; s < em->steps; s++) {
        part_open(em, s, 0, &unless[s]);
        (void)emit_condition(em, em->rule->unless, "`unless`", &unless[s].root);
        part_close(em, &unless[s]);
    }
    out->unless = unless;
}

/* --- evidence --- */

static struct window_use use_of(const struct emitter *em, uint16_t input, uint8_t step, struct slice name)
{
    const struct aggregate *aggregate = &em->input[input];
    return (struct window_use){.stream = aggregate->stream, .since = aggregate->since, .span_ms = aggregate->span_ms,
                               .days = aggregate->days, .step = step < em->steps ? step : 0, .name = name};
}

static bool let_covers(const struct emitter *em, uint16_t input, uint8_t step)
{
    for (size_t i = 0; i < LIMIT_LETS; i++)
        if (em->let_input[i] == input + 1 && em->let_home[i] == step)
            return true;
    return false;
}

void rule_uses(struct emitter *em, struct rule *out)
{
    struct compiler *c = em->c;
    struct window_use *use = ARENA_ARRAY(c->arena, struct window_use, LIMIT_LETS + (uint32_t)em->steps * RULE_INPUT_MAX);
    size_t index = 0;
    for (const struct syntax_let *let = em->rule->let; let && index < LIMIT_LETS; let = let->next, index++)
        if (em->let_input[index])
            use[out->use_count++] = use_of(em, (uint16_t)(em->let_input[index] - 1), em->let_home[index], arena_copy(c->arena, let->name.text));
    for (uint8_t s = 1; s <= em->steps; s++) {
        uint32_t inputs = out->step[s - 1].part.inputs;
        for (uint16_t i = 0; i < em->input_count; i++)
            if ((inputs >> i & 1) && !let_covers(em, i, em->steps == 1 ? 0 : s) && out->use_count < UINT8_MAX)
                use[out->use_count++] = use_of(em, i, s, slice_of(c->stream[em->input[i].stream].label));
    }
    out->use = use;
    /* a hit names what a step saw as long as the steps behind it may take */
    for (uint8_t i = 0; i < out->use_count; i++) {
        struct stream *stream = &c->stream[use[i].stream];
        int64_t later_ms = 0;
        for (uint8_t s = use[i].step; use[i].step && s < em->steps; s++)
            later_ms += em->within_ms[s];
        int64_t keep_ms = (use[i].days ? (int64_t)LIMIT_EXACT_DAYS * MS_PER_DAY : use[i].span_ms) + later_ms;
        stream->keep_ms = keep_ms > stream->keep_ms ? keep_ms : stream->keep_ms;
        stream->widest_ms = keep_ms > stream->widest_ms ? keep_ms : stream->widest_ms;
    }
}

uint64_t attempt_hash(const struct compiler *c, const struct rule *rule)
{
    uint64_t hash = hash_expr(c, &rule->body, hash_number(c->keyspace[rule->keyspace].hash, rule->step_count));
    for (uint16_t i = 0; i < rule->input_count; i++)
        hash = hash_number(hash, (int64_t)input_hash(c, &c->aggregate[rule->input[i]]));
    for (uint8_t s = 0; s < rule->step_count; s++) {
        const struct rule_step *step = &rule->step[s];
        hash = hash_number(hash_number(hash, step->part.from), step->part.root);
        hash = hash_number(hash_number(hash, step->within_ms), step->kept_count);
        for (uint8_t k = 0; k < step->kept_count; k++)
            hash = hash_number(hash, step->kept[k].node);
        if (rule->unless)
            hash = hash_number(hash, rule->unless[s].root);
    }
    for (uint8_t i = 0; i < rule->graph_count; i++)
        hash = graph_hash(c, &rule->graph[i], hash);
    return hash;
}
