/* Turns the workers' raw hits into hits with texts, in the order of RULES 20. */
#include "engine/stream/step_private.h"

#include "engine/stream/value_text.h"

#include <stdlib.h>

static struct slice report_say(const struct step *step, struct arena *arena, const struct rule *rule, const struct raw_hit *raw)
{
    struct slice part[64];
    size_t size = 0;
    uint32_t count = 0;
    for (uint8_t i = 0; i < rule->say_count && count + 2 <= 64; i++) {
        const struct say_part *say = &rule->say[i];
        part[count++] = say->text;
        if (say->has_value)
            part[count++] = value_text(step->program, step->state, arena, raw->value[say->node], say->type);
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
                                        .stream = rule->use[from->use].name,
                                        .incoming = in};
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
    struct hit_let *let = ARENA_ARRAY(arena, struct hit_let, rule->let_count + 1);
    for (uint8_t i = 0; i < rule->let_count; i++)
        let[i] = (struct hit_let){rule->let[i].name, value_text(step->program, step->state, arena, raw->value[rule->let[i].node], rule->let[i].type)};
    *hit = (struct hit){.seq = event->seq,
                        .time_ms = event->time_ms,
                        .position = event->position,
                        .source = arena_copy(arena, event->source),
                        .id = arena_copy(arena, event->id),
                        .rule = raw->rule,
                        .typology = rule->typology,
                        .shadow = rule->status == RULE_SHADOW,
                        .let_count = rule->let_count,
                        .rule_id = rule->id,
                        .rule_version = rule->version,
                        .say = report_say(step, arena, rule, raw),
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

void report_hits(struct step *step, struct arena *arena, struct output *out)
{
    uint32_t count = 0;
    for (uint32_t w = 0; w < step->worker_count; w++)
        count += step->worker[w].hit_count;
    step->hits = ARENA_ARRAY(arena, struct hit, count + 1);
    step->hits_count = count;
    const struct raw_hit **order = ARENA_ARRAY(&step->worker[0].arena, const struct raw_hit *, count + 1);
    uint32_t at = 0;
    for (uint32_t w = 0; w < step->worker_count; w++)
        for (uint32_t i = 0; i < step->worker[w].hit_count; i++)
            order[at++] = &step->worker[w].hit[i];
    qsort(order, count, sizeof(const struct raw_hit *), raw_compare);
    for (uint32_t i = 0; i < count; i++)
        report_hit(step, arena, order[i], &step->hits[i]);
    out->hit = step->hits;
    out->hit_count = count;
}
