/* Judges one rule for one key: raises its clock, reads its windows, evaluates its parts, notes a hit. */
#include "engine/stream/step_private.h"

#include "engine/base/invariant.h"
#include "engine/base/unset.h"
#include "engine/stream/meter.h"

#include <stdlib.h>

enum { EACH_MAX = 50 }; /* RULES 21 */

static uint64_t judge_lists(const void *context, entity_id id)
{
    return ident_lists(context, id);
}

void judge_prepare(struct step *step, struct step_worker *worker, uint32_t event, int side)
{
    struct evaluation *ev = &worker->evaluation;
    ev->program = step->program;
    ev->event = &step->event[event];
    ev->slot = step_slots(step, event);
    ev->side = side;
    ev->input = NULL;
    ev->kept = NULL;
    ev->graph = NULL;
    ev->entity_lists = judge_lists;
    ev->lists_context = step->state;
}

int64_t window_floor(const struct program *program, int64_t clock_ms, int64_t span_ms, int32_t days)
{
    if (days == 0)
        return clock_ms - span_ms;
    return zone_day_start_ms(program->zone, zone_day(program->zone, clock_ms) - days + 1) - 1;
}

/* What an aggregate covers at a clock's time. */
static struct window_span clock_span(const struct program *program, const struct aggregate *aggregate, int64_t clock_ms)
{
    if (aggregate->days == 0)
        return (struct window_span){.floor_ms = clock_ms - aggregate->span_ms, .ceiling_ms = clock_ms};
    int32_t day = zone_day(program->zone, clock_ms);
    return (struct window_span){.floor_day = day - aggregate->days, .ceiling_day = day};
}

/* `since step`: nothing up to the event at which the step was first true. */
static void span_begin(struct window_span *span, const struct attempt_step *step)
{
    if (step->first_ms < span->floor_ms)
        return;
    span->after = step->first_ms > span->floor_ms;
    span->floor_ms = step->first_ms;
    span->floor_seq = step->first_seq;
}

static int64_t saturate(__int128 sum)
{
    if (sum > INT64_MAX)
        return INT64_MAX;
    if (sum < -INT64_MAX)
        return -INT64_MAX;
    return (int64_t)sum;
}

static struct window_result look_window(struct step *step, const struct look *look, const struct aggregate *aggregate,
                                        const struct plan_aggregate *bound)
{
    uint16_t keyspace = look->visit->keyspace;
    if (aggregate->usual)
        return habit_median(look->shard, look->cell, keyspace, bound->window, bound->habit, zone_week(step->program->zone, look->clock_ms));
    struct window_span span = clock_span(step->program, aggregate, look->clock_ms);
    if (aggregate->since)
        span_begin(&span, &look->attempt.at[aggregate->since - 1]);
    return window_value(look->shard, look->cell, keyspace, bound->window, bound->aggregate, &span);
}

static struct value look_input(struct step *step, struct look *look, uint32_t i)
{
    if (!(look->read >> i & 1)) {
        uint16_t aggregate = look->rule->input[i];
        struct window_result result = look_window(step, look, &step->program->aggregate[aggregate], &step->plan->aggregate[aggregate]);
        look->input[i] = (struct value){saturate(result.value), result.known};
        look->read |= 1u << i;
    }
    return look->input[i];
}

static void look_inputs(struct step *step, struct look *look, uint32_t inputs)
{
    for (uint32_t left = inputs & ~look->read; left; left &= left - 1)
        (void)look_input(step, look, (uint32_t)__builtin_ctz(left));
}

bool look_touched(const struct look *look, const struct plan_part *part)
{
    return (look->whole && part->part->touched_by_all) || (look->mask && mask_meets(look->mask, part->mask, look->plan->words));
}

/* Tells the watch of a part or an exception of the rule that is judged. */
static void look_tell(struct step *step, const struct step_worker *worker, const struct look *look, struct witness witness)
{
    witness.index = look->index;
    witness.node = worker->evaluation.node;
    witness.event = worker->evaluation.event;
    witness.side = worker->evaluation.side;
    witness.key = look->visit->width ? look->visit->key : NULL;
    witness.width = look->visit->width;
    witness.clock_ms = look->clock_ms;
    witness.in_hand = look->rule->step_count > 1 ? look->attempt.step : 0;
    step->watch->witnessed(step->watch->context, &witness);
}

/* Evaluates nodes [from, to) of the body, of a part whose nodes before them are done, reading the windows that they ask for. */
static void look_range(struct step *step, struct step_worker *worker, struct look *look, uint16_t from, uint16_t to)
{
    if (from < to)
        look_inputs(step, look, look->plan->inputs[to - 1]);
    eval_nodes(&worker->evaluation, &look->rule->body, from, to);
}

/* Whether the part's graph operators are known to be 0, and it is not true then. */
static bool look_barren(const struct step *step, const struct look *look, const struct plan_part *part)
{
    bool barren = part->leg_count + part->trace_count > 0;
    for (uint8_t l = 0; barren && l < part->leg_count; l++)
        barren = !look_may_end(step, look, &part->leg[l]);
    for (uint8_t t = 0; barren && t < part->trace_count; t++)
        barren = !cell_likely(look->shard, part->trace[t], look->visit->key);
    return barren;
}

/* What needs no node is asked first, for nearly every look ends here: under the shipped pack 9.6 of the 10.4 an event that judge_idle leaves,
 * most by a count of records, so that no window is read. */
static bool look_gates(struct step *step, struct look *look, const struct plan_part *part)
{
    if (look_barren(step, look, part))
        return false;
    for (const struct plan_gate *gate = part->gate, *end = gate + part->gate_count; gate < end; gate++) {
        if (window_count(look->shard, look->cell, look->visit->keyspace, gate->window) < gate->records)
            return false;
        struct value value = look_input(step, look, gate->input);
        if (!value.known || value.number < gate->low || value.number > gate->high)
            return false;
    }
    return true;
}

/* A chain `x and y and z` is judged from the left and left at the first part that is not true: windows that only
 * later parts ask for are then not looked at. Of a part that searches, what is unknown may yet become true. Else all nodes are evaluated. */
static bool look_chain(struct step *step, struct step_worker *worker, struct look *look, const struct rule_part *part)
{
    const struct expr *body = &look->rule->body;
    const struct value *value = worker->evaluation.node;
    unset uint16_t link[EXPR_NODE_MAX];
    uint16_t links = 0, done = part->from, node = part->root;
    for (; body->node[node].op == OP_AND; node = body->node[node].a)
        link[links++] = body->node[node].b;
    link[links++] = node;
    while (links > 0) {
        node = link[--links];
        if (node >= done) {
            look_range(step, worker, look, done, (uint16_t)(node + 1));
            done = (uint16_t)(node + 1);
        }
        if (value[node].known ? !value[node].number : !part->searches)
            return false;
    }
    look_range(step, worker, look, done, part->to);
    return true;
}

/* By its nodes, all of them where somebody wants every value. Not inlined, so that a look which ends before pays for no frame of it. */
static __attribute__((noinline)) bool look_body(struct step *step, struct step_worker *worker, struct look *look, const struct rule_part *part,
                                                uint8_t number, bool every)
{
    struct evaluation *ev = &worker->evaluation;
    bool told = step->watch && step->watch->witnessed;
    if (part->searches)
        ev->graph = NULL;
    if (every) {
        look_range(step, worker, look, part->from, part->to);
    } else if (!look_chain(step, worker, look, part)) {
        worker->graphs.skipped += part->searches;
        return false;
    }
    if (part->searches)
        look_search(step, worker, look, part->from, part->to);
    bool truth = ev->node[part->root].known && ev->node[part->root].number;
    if (told)
        look_tell(step, worker, look, (struct witness){.part = number ? WITNESS_STEP : WITNESS_UNLESS, .number = number,
                                                       .expr = &look->rule->body, .root = part->root, .truth = truth});
    return truth;
}

bool look_true(struct step *step, struct step_worker *worker, struct look *look, const struct plan_part *of, uint8_t number)
{
    /* who watches wants every value; of `unless`, false, the hit may read some */
    bool every = (step->watch && step->watch->witnessed) || look->rule->watched || !number;
    if (every || look_gates(step, look, of))
        return look_body(step, worker, look, of->part, number, every);
    worker->graphs.skipped += of->part->searches;
    return false;
}

void judge_filter(struct step *step, struct step_worker *worker, bool memory, uint16_t index, bool truth)
{
    struct evaluation *ev = &worker->evaluation;
    const struct expr *filter = memory ? &step->program->memory[index].filter : &step->program->stream[index].filter;
    eval_nodes(ev, filter, 0, filter->count); /* eval_true stops early: a witness sees every value */
    step->watch->witnessed(step->watch->context,
                           &(struct witness){.part = memory ? WITNESS_MEMORY : WITNESS_STREAM, .index = index, .expr = filter,
                                             .root = filter->root, .node = ev->node, .truth = truth, .event = ev->event, .side = ev->side});
}

/* Weeks that ended since the last record of the stream are sampled as they stood (RULES 14): before
 * this event's own record enters. */
void judge_habits(struct step *step, uint16_t stream, const struct visit *visit, struct shard *shard, struct cell *cell)
{
    const struct plan_stream *at = &step->plan->stream[stream];
    const struct zone *zone = step->program->zone;
    int32_t week = zone_week(zone, step->event[visit->event].time_ms), from;
    for (uint8_t h = 0; h < at->habit_count; h++) {
        if (!habit_due(shard, cell, visit->keyspace, at->window, (uint8_t)(h + 1), week, &from))
            continue;
        const struct aggregate *aggregate = &step->program->aggregate[at->habit[h]];
        for (int32_t w = from; w < week; w++) {
            struct window_span span = clock_span(step->program, aggregate, zone_week_end_ms(zone, w));
            habit_put(shard, cell, visit->keyspace, at->window, (uint8_t)(h + 1), w,
                      window_value(shard, cell, visit->keyspace, at->window, step->plan->aggregate[at->habit[h]].aggregate, &span));
        }
    }
}

/* --- what a hit takes along --- */

/* Where a window that a hit names begins and ends: as its step saw it. */
struct use_bound {
    struct window_span span;
    uint64_t last_seq;
};

static struct use_bound use_bound(const struct step *step, const struct look *look, const struct window_use *use)
{
    const struct attempt_step *at = use->step ? &look->attempt.at[use->step - 1] : NULL;
    int64_t clock_ms = at ? at->clock_ms : look->clock_ms;
    struct use_bound bound = {.span.floor_ms = window_floor(step->program, clock_ms, use->span_ms, use->days),
                              .span.ceiling_ms = at ? at->clock_ms : INT64_MAX,
                              .last_seq = at ? at->last_seq : UINT64_MAX};
    if (use->since)
        span_begin(&bound.span, &look->attempt.at[use->since - 1]);
    return bound;
}

static bool use_holds(const struct use_bound *bound, const struct record *record)
{
    if (record->time_ms > bound->span.ceiling_ms || record->seq > bound->last_seq)
        return false;
    return record->time_ms > bound->span.floor_ms || (bound->span.after && record->seq > bound->span.floor_seq);
}

/* A walk from the newest record down must go on through those at the floor itself where some of them count. */
static void use_walk(struct step *step, const struct look *look, uint16_t stream, const struct use_bound *bound, record_visit_fn visit,
                     void *context)
{
    window_walk(look->shard, look->cell, look->visit->keyspace, step->plan->stream[stream].window,
                bound->span.floor_ms - bound->span.after, visit, context);
}

struct each_walk {
    uint8_t column;
    struct use_bound bound;
    bool cut;
    uint32_t count;
    entity_id seen[EACH_MAX];
};

static entity_id record_entity(const struct record *record, bool key_is_receiver, uint8_t column)
{
    switch (column) {
    case COLUMN_SENDER:
        return record->sender;
    case COLUMN_RECEIVER:
        return record->receiver;
    case COLUMN_OTHER:
        return key_is_receiver ? record->sender : record->receiver;
    default:
        break;
    }
    invariant(column >= COLUMN_EXTRA);
    int64_t number = record->extra[column - COLUMN_EXTRA];
    return number == MISSING_I64 ? ENTITY_MISSING : (entity_id)number;
}

static bool each_visit(void *context, const struct record *record, bool key_is_receiver)
{
    struct each_walk *walk = context;
    if (!use_holds(&walk->bound, record))
        return true;
    entity_id id = record_entity(record, key_is_receiver, walk->column);
    if (id == ENTITY_MISSING)
        return true;
    for (uint32_t i = 0; i < walk->count; i++)
        if (walk->seen[i] == id)
            return true;
    walk->cut = walk->count == EACH_MAX;
    if (!walk->cut)
        walk->seen[walk->count++] = id;
    return !walk->cut;
}

/* Adds a subject unless the same subject, role and points are there already (RULES 21). */
static void subject_add(struct step_worker *worker, const struct rule *rule, struct raw_subject *subject, uint32_t *count,
                        entity_id entity, uint16_t def)
{
    if (entity == ENTITY_MISSING)
        return;
    const struct subject_def *want = &rule->subject[def];
    for (uint32_t i = 0; i < *count; i++) {
        const struct subject_def *have = &rule->subject[subject[i].def];
        if (subject[i].entity == entity && have->role == want->role && have->points == want->points)
            return;
    }
    if (*count == HIT_SUBJECT_MAX) {
        worker->bound[BOUND_SUBJECTS]++;
        return;
    }
    subject[(*count)++] = (struct raw_subject){.entity = entity,
                                               .kind = want->type == TYPE_PARTY ? ENTITY_PARTY : ENTITY_ACCOUNT,
                                               .def = def};
}

/* The accounts of a graph operator's one proof. */
static void judge_members(struct step_worker *worker, const struct rule *rule, struct raw_subject *subject, uint32_t *count, uint16_t def)
{
    const struct graph_result *result = &worker->graph[rule->subject[def].node];
    for (uint32_t i = 0; i < result->member_count; i++)
        subject_add(worker, rule, subject, count, result->member[i], def);
    worker->bound[BOUND_SUBJECTS] += result->member_more > 0;
}

static void judge_subjects(struct step *step, struct step_worker *worker, const struct look *look, struct raw_hit *hit)
{
    const struct rule *rule = look->rule;
    struct raw_subject *subject = ARENA_ARRAY(&worker->arena, struct raw_subject, HIT_SUBJECT_MAX);
    uint32_t count = 0;
    for (uint16_t s = 0; s < rule->subject_count; s++) {
        const struct subject_def *def = &rule->subject[s];
        if (def->each == EACH_MEMBER) {
            judge_members(worker, rule, subject, &count, s);
            continue;
        }
        if (!def->each) {
            const struct value *value = &hit->value[def->node];
            subject_add(worker, rule, subject, &count, value->known ? (entity_id)value->number : ENTITY_MISSING, s);
            continue;
        }
        struct each_walk walk = {.column = def->column, .bound = use_bound(step, look, &def->use)};
        use_walk(step, look, def->use.stream, &walk.bound, each_visit, &walk);
        worker->bound[BOUND_EACH] += walk.cut;
        for (uint32_t i = 0; i < walk.count; i++)
            subject_add(worker, rule, subject, &count, walk.seen[i], s);
    }
    hit->subject = subject;
    hit->subject_count = count;
}

struct evidence_walk {
    struct raw_evidence *evidence;
    uint32_t count, more;
    uint32_t earlier; /* records of windows walked before: the same event is named once */
    uint64_t event_seq;
    uint16_t use;
    struct use_bound bound;
};

static bool evidence_visit(void *context, const struct record *record, bool key_is_receiver)
{
    struct evidence_walk *walk = context;
    if (record->seq == walk->event_seq || !use_holds(&walk->bound, record))
        return true;
    for (uint32_t i = 0; i < walk->earlier; i++)
        if (walk->evidence[i].record.seq == record->seq)
            return true;
    if (walk->count == EVIDENCE_MAX - 1) {
        walk->more = 1;
        return false;
    }
    walk->evidence[walk->count++] = (struct raw_evidence){.record = *record, .use = walk->use, .incoming = key_is_receiver};
    return true;
}

static bool use_alike(const struct window_use *a, const struct window_use *b)
{
    return a->stream == b->stream && a->step == b->step && a->since == b->since;
}

/* The widest of the rule's windows on one stream as one step saw it; false when one before it was alike. */
static bool evidence_bound(const struct step *step, const struct look *look, uint8_t use, struct use_bound *bound)
{
    const struct rule *rule = look->rule;
    *bound = use_bound(step, look, &rule->use[use]);
    for (uint8_t i = 0; i < rule->use_count; i++) {
        if (!use_alike(&rule->use[i], &rule->use[use]))
            continue;
        if (i < use)
            return false;
        struct use_bound other = use_bound(step, look, &rule->use[i]);
        if (other.span.floor_ms < bound->span.floor_ms)
            *bound = other;
    }
    return true;
}

/* The legs of each graph operator's proof, behind what the windows named. */
static void evidence_graphs(struct step_worker *worker, const struct look *look, struct evidence_walk *walk, struct raw_hit *hit)
{
    for (uint8_t g = 0; g < look->rule->graph_count; g++) {
        const struct graph_result *result = &worker->graph[g];
        if (!(look->searched >> g & 1))
            continue;
        hit->bounded |= (uint32_t)result->bounded << g;
        walk->more |= result->leg_more > 0;
        walk->earlier = walk->count;
        walk->use = (uint16_t)(look->rule->use_count + g);
        walk->bound = (struct use_bound){.span = {.floor_ms = INT64_MIN, .ceiling_ms = INT64_MAX}, .last_seq = UINT64_MAX};
        bool room = true;
        for (uint32_t i = 0; i < result->leg_count && room; i++) {
            struct record record = {.time_ms = result->leg[i].time_ms, .seq = result->leg[i].seq, .amount = result->leg[i].amount,
                                    .sender = result->leg[i].sender, .receiver = result->leg[i].receiver};
            room = evidence_visit(walk, &record, look->visit->width && record.receiver == look->visit->key[0]);
        }
    }
}

static void judge_evidence(struct step *step, struct step_worker *worker, const struct look *look, struct raw_hit *hit)
{
    struct evidence_walk walk = {.event_seq = worker->evaluation.event->seq};
    walk.evidence = arena_bytes(&worker->arena, sizeof *walk.evidence * EVIDENCE_MAX);
    for (uint8_t i = 0; i < look->rule->use_count; i++) {
        if (!evidence_bound(step, look, i, &walk.bound))
            continue;
        walk.earlier = walk.count;
        walk.use = i;
        use_walk(step, look, look->rule->use[i].stream, &walk.bound, evidence_visit, &walk);
    }
    evidence_graphs(worker, look, &walk, hit);
    hit->evidence = walk.evidence;
    hit->evidence_count = walk.count;
    hit->evidence_more = walk.more;
    worker->bound[BOUND_EVIDENCE] += walk.more;
}

static struct raw_hit *judge_note(struct step_worker *worker)
{
    if (worker->hit_count == worker->hit_room) {
        worker->hit_room = worker->hit_room ? worker->hit_room * 2 : 64;
        worker->hit = realloc(worker->hit, worker->hit_room * sizeof *worker->hit);
        invariant(worker->hit != NULL);
    }
    struct raw_hit *hit = &worker->hit[worker->hit_count++];
    *hit = (struct raw_hit){0};
    return hit;
}

/* RULES 22: judged at the hit, while the event's local date is not past `until`. */
static bool judge_silenced(struct step *step, struct step_worker *worker, const struct look *look)
{
    struct evaluation *ev = &worker->evaluation;
    const struct rule *rule = look->rule;
    int32_t day = zone_day(step->program->zone, ev->event->time_ms);
    for (uint8_t i = 0; i < rule->except_count; i++) {
        const struct expr *condition = &rule->except[i].condition;
        if (day > rule->except[i].until_day)
            continue;
        bool truth = eval_true(ev, condition);
        if (step->watch && step->watch->witnessed) {
            eval_nodes(ev, condition, 0, condition->count);
            look_tell(step, worker, look, (struct witness){.part = WITNESS_EXCEPT, .number = i, .expr = condition,
                                                           .root = condition->root, .truth = truth});
        }
        if (truth)
            return true;
    }
    return false;
}

/* The last step is true: unless an exception holds, a hit is noted, with what lets, points and say need. */
void judge_hit(struct step *step, struct step_worker *worker, struct look *look)
{
    const struct rule *rule = look->rule;
    struct evaluation *ev = &worker->evaluation;
    look_inputs(step, look, rule->hit.inputs);
    /* of one step, lets share nodes that `unless` need not have searched */
    uint16_t from = rule->graph_count && rule->step_count == 1 ? 0 : rule->hit.from;
    ev->graph = NULL;
    eval_nodes(ev, &rule->body, from, rule->hit.to);
    if (rule->graph_count)
        look_search(step, worker, look, from, rule->hit.to);
    struct value *value = ARENA_ARRAY(&worker->arena, struct value, rule->body.count);
    memcpy(value, ev->node, sizeof *value * rule->body.count);
    if (!rule->watched && judge_silenced(step, worker, look)) {
        worker->silenced++;
        return;
    }
    struct raw_hit *hit = judge_note(worker);
    hit->event = look->visit->event;
    hit->rule = look->index;
    hit->side = (uint8_t)ev->side;
    hit->width = look->visit->width;
    memcpy(hit->key, look->visit->key, sizeof hit->key);
    hit->value = value;
    hit->kept_bounded = rule->step_count > 1 ? look->attempt.bounded : 0;
    judge_subjects(step, worker, look, hit);
    judge_evidence(step, worker, look, hit);
}

static void judge_alone(struct step *step, struct step_worker *worker, struct look *look)
{
    const struct rule *rule = look->rule;
    bool truth = look_true(step, worker, look, &look->plan->step[0], 1);
    if (truth && rule->unless)
        truth = !look_true(step, worker, look, &look->plan->unless[0], 0);
    if (truth || rule->watched)
        judge_hit(step, worker, look);
}

static void judge_look(struct step *step, struct step_worker *worker, struct look *look)
{
    int64_t time_ms = worker->evaluation.event->time_ms;
    if (step->watch && step->watch->judged)
        step->watch->judged(step->watch->context, look->index);
    look->clock_ms = look->clocks ? clock_lift(&look->clocks[look->plan->clock], time_ms) : time_ms;
    if (look->clock_ms > time_ms && look->clock_ms + CLOCK_KEEP_MS < step_keys_horizon(step))
        look->clock_ms = time_ms; /* a partition that begins far behind all others: the sweep may have been here already */
    if (look->rule->step_count > 1)
        judge_steps(step, worker, look);
    else
        judge_alone(step, worker, look);
}

/* What a worker had done before a look, for the meter. */
struct look_mark {
    uint32_t hits;
    uint64_t silenced, searches, begun;
};

static void look_mark(const struct step_worker *worker, struct look_mark *mark)
{
    *mark = (struct look_mark){worker->hit_count, worker->silenced, worker->graphs.searches, meter_ticks()};
}

static void look_meter(struct step *step, const struct step_worker *worker, const struct look *look, const struct look_mark *mark)
{
    bool hit = worker->hit_count > mark->hits;
    step->meter->rule[look->index].searched += worker->graphs.searches > mark->searches;
    meter_judged(step->meter, look->index, mark->begun, hit || worker->silenced > mark->silenced, hit);
}

static void judge_rule(struct step *step, struct step_worker *worker, struct look *look, uint16_t rule)
{
    struct look_mark mark = {0};
    look->index = rule;
    look->rule = &step->program->rule[rule];
    look->plan = &step->plan->rule[rule];
    look->read = look->searched = 0;
    worker->evaluation.kept = NULL;
    worker->evaluation.graph = NULL;
    if (step->meter)
        look_mark(worker, &mark);
    judge_look(step, worker, look);
    if (step->meter)
        look_meter(step, worker, look, &mark);
}

/* Takes out of `rules` those that the event touches for nothing, and all it would do for them is to lift their clocks: under the shipped pack
 * 17 of 27 an event. That what an account never carried, and where it never stopped, is asked of tables that few accounts are in, and not first
 * how many paid it, takes a tenth off a payment; that nothing else is looked at, a hundredth more. */
static void judge_idle(const struct step *step, struct step_worker *worker, const struct look *look, const struct plan_keyspace *at, uint64_t *rules)
{
    for (const struct plan_idle *idle = at->idle, *end = idle + at->idle_count; idle < end; idle++) {
        if (!look_barren(step, look, idle->part))
            continue;
        if (look->clocks)
            (void)clock_lift(&look->clocks[idle->clock], worker->evaluation.event->time_ms);
        rules[idle->number / 64] &= ~((uint64_t)1 << idle->number % 64);
        worker->graphs.skipped++;
    }
}

void judge_rules(struct step *step, struct step_worker *worker, struct look *look, const struct plan_keyspace *at, uint64_t *rules)
{
    const struct visit *visit = look->visit;
    if (!mask_any(rules, at->rule_words))
        return;
    judge_prepare(step, worker, visit->event, visit->sides & SIDES_SENDER ? SIDE_SENDER : SIDE_RECEIVER);
    worker->evaluation.input = look->input;
    look->row = step->mask + (size_t)visit->event * 2 * step->plan->mask_words;
    look->clocks = look->cell ? clocks_edit(look->shard, look->cell, visit->keyspace, worker->evaluation.event->time_ms) : NULL;
    if (look->whole && !step->watch && !step->meter)
        judge_idle(step, worker, look, at, rules);
    for (uint32_t w = 0; w < at->rule_words; w++)
        for (uint64_t left = rules[w]; left; left &= left - 1)
            judge_rule(step, worker, look, at->rule[w * 64 + (uint32_t)__builtin_ctzll(left)]);
}
