/* Turns the workers' raw hits into hits with texts, in the order of RULES 20. */
#include "engine/stream/step_private.h"

#include "engine/base/invariant.h"
#include "engine/stream/value_text.h"

#include <stdlib.h>

enum { REPORT_ALONE = 8 }; /* fewer hits are not worth waking anybody */

/* What a kept value was when a step found it. */
static const struct node *node_kept(const struct rule *rule, int64_t slot)
{
    for (uint8_t s = 0; s < rule->step_count; s++)
        for (uint8_t k = 0; k < rule->step[s].kept_count; k++)
            if (rule->step[s].kept[k].slot == slot)
                return &rule->body.node[rule->step[s].kept[k].node];
    return NULL;
}

static enum let_bound bound_turned(enum let_bound bound)
{
    return bound == LET_AT_LEAST ? LET_AT_MOST : bound == LET_AT_MOST ? LET_AT_LEAST : LET_EXACT;
}

/* What a search that met a bound makes of its value, at this event or at an earlier step: RULES 35. */
static enum let_bound search_bound(const struct rule *rule, const struct raw_hit *raw, uint16_t node)
{
    const struct node *at = &rule->body.node[node];
    bool kept = at->op == OP_KEPT;
    if (!raw->value[node].known || (!kept && at->op != OP_GRAPH) || !((kept ? raw->kept_bounded : raw->bounded) >> at->imm & 1))
        return LET_EXACT;
    const struct node *of = kept ? node_kept(rule, at->imm) : at;
    invariant(of != NULL);
    return rule->graph[of->imm].op == GRAPH_HOPS ? LET_AT_MOST : LET_AT_LEAST;
}

/* Of a sum of both; LET_EXACT also where they pull apart, for then nothing is known. */
static enum let_bound sum_bound(enum let_bound a, enum let_bound b)
{
    return a == b || b == LET_EXACT ? a : a == LET_EXACT ? b : LET_EXACT;
}

/* A bounded value by an exact one: how the exact one's sign lets it through. Two bounded ones: nothing is known. */
static enum let_bound scaled_bound(enum let_bound bound, enum let_bound other, int64_t by)
{
    if (other != LET_EXACT || by == 0)
        return LET_EXACT;
    return by < 0 ? bound_turned(bound) : bound;
}

/* What a bound makes of a value that is reckoned from others, where it always moves the same way or always the other. */
static enum let_bound node_bound(const struct rule *rule, const struct raw_hit *raw, uint16_t node, const enum let_bound *bound)
{
    const struct node *at = &rule->body.node[node];
    const struct value *value = raw->value;
    if (!value[node].known)
        return LET_EXACT;
    switch (at->op) {
    case OP_KEPT:
    case OP_GRAPH:
        return search_bound(rule, raw, node);
    case OP_ADD:
        return sum_bound(bound[at->a], bound[at->b]);
    case OP_SUB:
        return sum_bound(bound[at->a], bound_turned(bound[at->b]));
    case OP_NEG:
        return bound_turned(bound[at->a]);
    case OP_MUL_INT:
    case OP_MUL_PERCENT:
        return bound[at->a] != LET_EXACT ? scaled_bound(bound[at->a], bound[at->b], value[at->b].number)
                                         : scaled_bound(bound[at->b], LET_EXACT, value[at->a].number);
    case OP_DIV_INT:
    case OP_RATIO:
    case OP_DIV_PERCENT:
        return scaled_bound(bound[at->a], bound[at->b], value[at->b].number);
    case OP_DEFAULT:
        return value[at->a].known ? bound[at->a] : LET_EXACT;
    default:
        return LET_EXACT;
    }
}

/* By node of the body, operands first. NULL: no search met a bound. */
static const enum let_bound *hit_bounds(struct arena *arena, const struct rule *rule, const struct raw_hit *raw)
{
    if (!raw->bounded && !raw->kept_bounded)
        return NULL;
    enum let_bound *bound = ARENA_ARRAY(arena, enum let_bound, rule->body.count);
    for (uint16_t i = 0; i < rule->body.count; i++)
        bound[i] = node_bound(rule, raw, i, bound);
    return bound;
}

/* Some search that met a bound is `hops`, or is not. */
static bool hit_bounded(const struct rule *rule, const struct raw_hit *raw, bool hops)
{
    for (uint8_t g = 0; g < rule->graph_count; g++)
        if (raw->bounded >> g & 1 && (rule->graph[g].op == GRAPH_HOPS) == hops)
            return true;
    for (uint8_t slot = 0; slot < rule->kept_count; slot++) {
        const struct node *of = raw->kept_bounded >> slot & 1 ? node_kept(rule, slot) : NULL;
        if (of && (rule->graph[of->imm].op == GRAPH_HOPS) == hops)
            return true;
    }
    return false;
}

static struct slice bounded_text(const struct step *step, struct arena *arena, const struct raw_hit *raw, const enum let_bound *bounds,
                                 uint16_t node, enum value_type type)
{
    struct slice text = value_text(step->program, step->state, arena, raw->value[node], type);
    enum let_bound bound = bounds ? bounds[node] : LET_EXACT;
    if (bound == LET_EXACT)
        return text;
    return arena_format(arena, "at %s %.*s", bound == LET_AT_MOST ? "most" : "least", (int)text.size, text.data);
}

static struct slice report_say(const struct step *step, struct arena *arena, const struct rule *rule, const struct raw_hit *raw,
                               const enum let_bound *bounds)
{
    struct slice part[64];
    size_t size = 0;
    uint32_t count = 0;
    for (uint8_t i = 0; i < rule->say_count && count + 2 <= 64; i++) {
        const struct say_part *say = &rule->say[i];
        part[count++] = say->text;
        if (say->has_value)
            part[count++] = bounded_text(step, arena, raw, bounds, say->node, say->type);
    }
    for (uint32_t i = 0; i < count; i++)
        size += part[i].size;
    char *text = arena_bytes(arena, size + 1);
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (part[i].size)
            memcpy(text + at, part[i].data, part[i].size);
        at += part[i].size;
    }
    return (struct slice){text, size};
}

static void report_subjects(const struct step *step, struct arena *arena, const struct rule *rule, const struct raw_hit *raw,
                            struct hit *hit)
{
    hit->subject = ARENA_ARRAY(arena, struct hit_subject, raw->subject_count + 1);
    hit->subject_count = (uint8_t)raw->subject_count;
    for (uint32_t i = 0; i < raw->subject_count; i++) {
        const struct subject_def *def = &rule->subject[raw->subject[i].def];
        hit->subject[i] = (struct hit_subject){.entity = raw->subject[i].entity,
                                               .kind = raw->subject[i].kind,
                                               .text = arena_copy(arena, ident_text(step->state, raw->subject[i].entity)),
                                               .role = def->role,
                                               .points = def->points};
    }
}

static struct slice evidence_other(const struct step *step, struct arena *arena, entity_id id)
{
    return id == ENTITY_MISSING ? SLICE("") : arena_copy(arena, ident_text(step->state, id));
}

static int evidence_compare(const void *a, const void *b)
{
    const struct evidence *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static struct slice evidence_name(const struct rule *rule, uint16_t use)
{
    return use < rule->use_count ? rule->use[use].name : rule->graph[use - rule->use_count].name;
}

/* A leg between two others than the key. */
static bool is_elsewhere(const struct rule *rule, const struct raw_hit *raw, const struct raw_evidence *evidence)
{
    return evidence->use >= rule->use_count && (raw->width == 0 || (evidence->record.sender != raw->key[0] && evidence->record.receiver != raw->key[0]));
}

static void report_evidence(const struct step *step, struct arena *arena, const struct rule *rule, const struct raw_hit *raw,
                            struct hit *hit)
{
    const struct event *event = &step->event[raw->event];
    struct evidence *evidence = ARENA_ARRAY(arena, struct evidence, raw->evidence_count + 1);
    /* a pair or composite key is no end of the payment: then the sender is who matters */
    bool account = step->program->keyspace[rule->keyspace].sided;
    for (uint32_t i = 0; i < raw->evidence_count; i++) {
        const struct raw_evidence *from = &raw->evidence[i];
        bool in = from->incoming || !account;
        entity_id other = in ? from->record.sender : from->record.receiver;
        evidence[i] = (struct evidence){.seq = from->record.seq,
                                        .time_ms = from->record.time_ms,
                                        .amount_base = from->record.amount,
                                        .other = evidence_other(step, arena, other),
                                        .stream = evidence_name(rule, from->use),
                                        .incoming = in};
        if (is_elsewhere(rule, raw, from)) {
            evidence[i].other = evidence_other(step, arena, from->record.sender);
            evidence[i].to = evidence_other(step, arena, from->record.receiver);
            evidence[i].incoming = 0;
        }
    }
    qsort(evidence, raw->evidence_count, sizeof *evidence, evidence_compare);
    bool incoming = raw->side == SIDE_RECEIVER || !account;
    evidence[raw->evidence_count] = (struct evidence){.seq = event->seq,
                                                      .time_ms = event->time_ms,
                                                      .amount_base = event->amount_base,
                                                      .other = evidence_other(step, arena, event->ref[incoming ? REF_SENDER : REF_RECEIVER]),
                                                      .stream = SLICE("this event"),
                                                      .incoming = incoming};
    hit->evidence = evidence;
    hit->evidence_count = raw->evidence_count + 1;
    hit->evidence_total = raw->evidence_count + 1 + raw->evidence_more;
}

static void report_key(const struct step *step, struct arena *arena, const struct rule *rule, const struct raw_hit *raw,
                       struct hit *hit)
{
    const struct keyspace *keyspace = &step->program->keyspace[rule->keyspace];
    hit->key_count = raw->width;
    for (uint8_t i = 0; i < raw->width; i++) {
        hit->key[i] = value_text(step->program, step->state, arena, (struct value){raw->key[i], true}, keyspace->type[i]);
    }
}

static void report_hit(const struct step *step, struct arena *arena, const struct raw_hit *raw, struct hit *hit)
{
    const struct rule *rule = &step->program->rule[raw->rule];
    const struct event *event = &step->event[raw->event];
    const enum let_bound *bounds = hit_bounds(arena, rule, raw);
    struct hit_let *let = ARENA_ARRAY(arena, struct hit_let, rule->let_count + 1);
    for (uint8_t i = 0; i < rule->let_count; i++)
        let[i] = (struct hit_let){rule->let[i].name, bounded_text(step, arena, raw, bounds, rule->let[i].node, rule->let[i].type),
                                  (uint8_t)(bounds ? bounds[rule->let[i].node] : LET_EXACT)};
    *hit = (struct hit){.seq = event->seq,
                        .time_ms = event->time_ms,
                        .position = event->position,
                        .source = arena_copy(arena, event->source),
                        .id = arena_copy(arena, event->id),
                        .rule = raw->rule,
                        .typology = rule->typology,
                        .shadow = rule->status == RULE_SHADOW,
                        .lower_bound = hit_bounded(rule, raw, false),
                        .upper_bound = hit_bounded(rule, raw, true),
                        .let_count = rule->let_count,
                        .rule_id = rule->id,
                        .rule_version = rule->version,
                        .say = report_say(step, arena, rule, raw, bounds),
                        .let = let};
    report_key(step, arena, rule, raw, hit);
    report_subjects(step, arena, rule, raw, hit);
    report_evidence(step, arena, rule, raw, hit);
}

/* Order of RULES 20: event, rule id (rules stand in that order), then key: sender's side first. */
static int raw_compare(const void *a, const void *b)
{
    const struct raw_hit *x = *(const struct raw_hit *const *)a, *y = *(const struct raw_hit *const *)b;
    if (x->event != y->event)
        return x->event < y->event ? -1 : 1;
    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    return (int)x->side - (int)y->side;
}

struct report {
    struct step *step;
    const struct raw_hit **order;
};

/* A hit with much evidence takes longer than the visit that found it: so they are shared out. */
static void report_work(void *context, uint32_t index, uint32_t workers)
{
    const struct report *report = context;
    struct step *step = report->step;
    uint32_t from, to;
    crew_piece(step->hits_count, index, workers, &from, &to);
    for (uint32_t i = from; i < to; i++)
        report_hit(step, &step->worker[index].results, report->order[i], &step->hits[i]);
}

void report_hits(struct step *step, struct arena *arena, struct output *out)
{
    uint32_t count = 0;
    for (uint32_t w = 0; w < step->worker_count; w++)
        count += step->worker[w].hit_count;
    struct report report = {step, ARENA_ARRAY(&step->worker[0].arena, const struct raw_hit *, count + 1)};
    step->hits = ARENA_ARRAY(arena, struct hit, count + 1);
    step->hits_count = count;
    uint32_t at = 0;
    for (uint32_t w = 0; w < step->worker_count; w++)
        for (uint32_t i = 0; i < step->worker[w].hit_count; i++)
            report.order[at++] = &step->worker[w].hit[i];
    qsort(report.order, count, sizeof *report.order, raw_compare);
    crew_run(step->crew, step->alone || count < REPORT_ALONE, report_work, &report);
    out->hit = step->hits;
    out->hit_count = count;
}
