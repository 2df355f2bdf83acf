/* Judges one rule for one key: raises its clock, reads its windows, evaluates `when`, notes a hit. */
#include "engine/stream/step_private.h"

#include "engine/base/invariant.h"

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

static int64_t saturate(__int128 sum)
{
    if (sum > INT64_MAX)
        return INT64_MAX;
    if (sum < -INT64_MAX)
        return -INT64_MAX;
    return (int64_t)sum;
}

static void judge_inputs(struct step *step, const struct rule *rule, const struct visit *visit, struct shard *shard,
                         struct cell *cell, int64_t clock_ms, struct value *input)
{
    for (uint16_t i = 0; i < rule->input_count; i++) {
        const struct aggregate *aggregate = &step->program->aggregate[rule->input[i]];
        const struct plan_aggregate *bound = &step->plan->aggregate[rule->input[i]];
        struct window_result result;
        if (aggregate->usual) {
            result = habit_median(shard, cell, visit->keyspace, bound->window, bound->habit, zone_week(step->program->zone, clock_ms));
        } else {
            struct window_span span = clock_span(step->program, aggregate, clock_ms);
            result = window_value(shard, cell, visit->keyspace, bound->window, bound->aggregate, &span);
        }
        input[i] = (struct value){saturate(result.value), result.known};
    }
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

struct each_walk {
    uint8_t column;
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

static void judge_subjects(struct step *step, struct step_worker *worker, const struct rule *rule, const struct visit *visit,
                           struct shard *shard, struct cell *cell, int64_t clock_ms, struct raw_hit *hit)
{
    struct raw_subject *subject = ARENA_ARRAY(&worker->arena, struct raw_subject, HIT_SUBJECT_MAX);
    uint32_t count = 0;
    for (uint16_t s = 0; s < rule->subject_count; s++) {
        const struct subject_def *def = &rule->subject[s];
        if (!def->each) {
            const struct value *value = &hit->value[def->node];
            subject_add(worker, rule, subject, &count, value->known ? (entity_id)value->number : ENTITY_MISSING, s);
            continue;
        }
        struct each_walk walk = {.column = def->column};
        int64_t floor_ms = window_floor(step->program, clock_ms, def->span_ms, def->days);
        window_walk(shard, cell, visit->keyspace, step->plan->stream[def->stream].window, floor_ms, each_visit, &walk);
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
    uint32_t earlier; /* records of streams walked before: the same event is named once */
    uint64_t event_seq;
    uint16_t stream;
};

static bool evidence_visit(void *context, const struct record *record, bool key_is_receiver)
{
    struct evidence_walk *walk = context;
    if (record->seq == walk->event_seq)
        return true;
    for (uint32_t i = 0; i < walk->earlier; i++)
        if (walk->evidence[i].record.seq == record->seq)
            return true;
    if (walk->count == EVIDENCE_MAX - 1) {
        walk->more = 1;
        return false;
    }
    walk->evidence[walk->count++] =
        (struct raw_evidence){.record = *record, .stream = walk->stream, .incoming = key_is_receiver};
    return true;
}

/* The lowest floor among the rule's lets on the stream; false when no let before `let` named it. */
static bool evidence_floor(const struct step *step, const struct rule *rule, uint8_t let, int64_t clock_ms, int64_t *floor_ms)
{
    *floor_ms = INT64_MAX;
    for (uint8_t i = 0; i < rule->let_count; i++) {
        const struct let_def *def = &rule->let[i];
        if (def->stream != rule->let[let].stream)
            continue;
        if (i < let)
            return false;
        int64_t floor = window_floor(step->program, clock_ms, def->span_ms, def->days);
        if (floor < *floor_ms)
            *floor_ms = floor;
    }
    return true;
}

static void judge_evidence(struct step *step, struct step_worker *worker, const struct rule *rule, const struct visit *visit,
                           struct shard *shard, struct cell *cell, int64_t clock_ms, struct raw_hit *hit)
{
    struct evidence_walk walk = {.event_seq = step->event[visit->event].seq};
    walk.evidence = arena_bytes(&worker->arena, sizeof *walk.evidence * EVIDENCE_MAX);
    for (uint8_t i = 0; i < rule->let_count; i++) {
        int64_t floor_ms;
        if (rule->let[i].stream < 0 || !evidence_floor(step, rule, i, clock_ms, &floor_ms))
            continue;
        walk.earlier = walk.count;
        walk.stream = (uint16_t)rule->let[i].stream;
        window_walk(shard, cell, visit->keyspace, step->plan->stream[walk.stream].window, floor_ms, evidence_visit, &walk);
    }
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
static bool judge_silenced(struct step *step, struct step_worker *worker, const struct rule *rule)
{
    struct evaluation *ev = &worker->evaluation;
    int32_t day = zone_day(step->program->zone, ev->event->time_ms);
    for (uint8_t i = 0; i < rule->except_count; i++)
        if (day <= rule->except[i].until_day && eval_true(ev, &rule->except[i].condition))
            return true;
    return false;
}

void judge_rule(struct step *step, struct step_worker *worker, uint16_t index, const struct visit *visit,
                struct shard *shard, struct cell *cell)
{
    const struct rule *rule = &step->program->rule[index];
    const struct event *event = &step->event[visit->event];
    struct evaluation *ev = &worker->evaluation;
    struct value input[RULE_INPUT_MAX];
    int64_t clock_ms = event->time_ms;
    judge_prepare(step, worker, visit->event, visit->sides & SIDES_SENDER ? SIDE_SENDER : SIDE_RECEIVER);
    if (cell) {
        clock_ms = clock_raise(shard, cell, visit->keyspace, step->plan->rule[index].clock, event->time_ms);
        judge_inputs(step, rule, visit, shard, cell, clock_ms, input);
    }
    ev->input = input;
    eval_nodes(ev, &rule->body, 0, rule->when_count);
    struct value when = ev->node[rule->body.root];
    if (!when.known || !when.number)
        return;
    eval_nodes(ev, &rule->body, rule->when_count, rule->body.count);
    struct value *value = ARENA_ARRAY(&worker->arena, struct value, rule->body.count);
    memcpy(value, ev->node, sizeof *value * rule->body.count);
    if (judge_silenced(step, worker, rule)) {
        worker->silenced++;
        return;
    }
    struct raw_hit *hit = judge_note(worker);
    hit->event = visit->event;
    hit->rule = index;
    hit->side = (uint8_t)ev->side;
    hit->width = visit->width;
    memcpy(hit->key, visit->key, sizeof hit->key);
    hit->value = value;
    judge_subjects(step, worker, rule, visit, shard, cell, clock_ms, hit);
    judge_evidence(step, worker, rule, visit, shard, cell, clock_ms, hit);
}
