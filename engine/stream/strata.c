/* Strata: route builds each event's keys and filters, visit works every key in its owner's hands. */
#include "engine/stream/step_private.h"

#include "engine/model/fact.h"
#include "rules/lang/fact.h"

#include "engine/base/fail_point.h"
#include "engine/base/invariant.h"
#include "engine/base/planted.h"
#include "engine/base/unset.h"
#include "engine/stream/meter.h"

#include <stdlib.h>

/* How many visits ahead the parts of a key are asked into the cache, each once the one that leads to it has come: its
 * keyspace's table, its slot there, its cell, its clocks, windows and memories, the ends of their rings; and the event. */
enum { AHEAD_TABLE = 24, AHEAD_SLOT = 18, AHEAD_CELL = 12, AHEAD_PARTS = 6, AHEAD_ENDS = 3, AHEAD_ROOM = 16, AHEAD_EVENT = 12 };

/* --- route --- */

static void visits_room(struct visit_list *list, uint32_t count)
{
    if (count <= list->room)
        return;
    while (list->room < count)
        list->room = list->room ? list->room * 2 : 1024;
    list->visit = realloc(list->visit, list->room * sizeof *list->visit);
    invariant(list->visit != NULL);
}

static void visit_push(struct visit_list *list, const struct visit *visit)
{
    visits_room(list, list->count + 1);
    list->visit[list->count++] = *visit;
}

static uint32_t visit_shard(const struct visit *visit)
{
    return key_shard(visit->key, visit->width);
}

/* Whoever watches filters wants to see those too that the index rules out. */
static bool asks_all(const struct step *step)
{
    return step->settings.filter_all || (step->watch && step->watch->witnessed);
}

/* Without the index: every filter is asked. */
static void route_all(struct step *step, struct step_worker *worker, const struct plan_keyspace *at, const struct event *event, int side, uint64_t *mask)
{
    const struct program *program = step->program;
    for (uint32_t bit = 0; bit < (uint32_t)at->stream_count + at->memory_count; bit++) {
        bool memory = bit >= at->stream_count;
        uint16_t index = memory ? at->memory[bit - at->stream_count] : at->stream[bit];
        if (!stream_flow_fits((enum stream_flow)(memory ? program->memory[index].flow : program->stream[index].flow), event, side))
            continue;
        bool truth = eval_true(&worker->evaluation, memory ? &program->memory[index].filter : &program->stream[index].filter);
        if (truth)
            mask_set(mask, bit);
        if (step->watch && step->watch->witnessed)
            judge_filter(step, worker, memory, index, truth);
    }
}

static bool filter_true(struct step *step, struct step_worker *worker, const struct plan_keyspace *at, uint32_t bit)
{
    const struct program *program = step->program;
    bool memory = bit >= at->stream_count;
    uint16_t index = memory ? at->memory[bit - at->stream_count] : at->stream[bit];
    const struct expr *filter = memory ? &program->memory[index].filter : &program->stream[index].filter;
    if (!step->meter)
        return eval_true(&worker->evaluation, filter);
    uint64_t begun = meter_ticks();
    bool truth = eval_true(&worker->evaluation, filter);
    meter_add(step->meter, memory ? &step->meter->memory[index].filter : &step->meter->stream[index].filter, begun);
    return truth;
}

/* Which streams and memories of all strata the event may belong to, seen from either side. */
static void route_event(struct step *step, uint32_t i)
{
    const struct plan *plan = step->plan;
    uint64_t begun = step->meter ? meter_ticks() : 0;
    uint32_t sources = (uint32_t)step->program->stream_count + step->program->memory_count;
    unset uint64_t candidate[SOURCE_WORDS_MAX];
    for (int side = SIDE_SENDER; side <= SIDE_RECEIVER; side++) {
        uint64_t *row = step->mask + ((size_t)i * 2 + (size_t)side) * plan->mask_words;
        filter_index_find(plan->filters, &step->event[i], side, candidate);
        for (uint32_t w = 0; w * 64 < sources; w++)
            for (uint64_t left = candidate[w]; left; left &= left - 1)
                mask_set(row, plan->place[w * 64 + (uint32_t)__builtin_ctzll(left)]);
    }
    if (step->meter)
        meter_add(step->meter, &step->meter->index, begun);
}

/* Of these, what the event is in for one key of this stratum: filters that the index does not decide are asked. */
static void route_mask(struct step *step, struct step_worker *worker, const struct plan_keyspace *at, uint32_t i, int side, uint64_t *mask)
{
    if (asks_all(step)) {
        judge_prepare(step, worker, i, side);
        route_all(step, worker, at, &step->event[i], side, mask);
        return;
    }
    const uint64_t *exact = step->plan->exact + at->word;
    bool prepared = false;
    for (uint32_t w = 0; w < at->words; w++)
        for (uint64_t left = mask[w] & ~exact[w]; left; left &= left - 1) {
            if (!prepared)
                judge_prepare(step, worker, i, side);
            prepared = true;
            if (!filter_true(step, worker, at, w * 64 + (uint32_t)__builtin_ctzll(left)))
                mask[w] &= ~(left & -left);
        }
}

static void route_push(struct step_worker *worker, const struct visit *visit, uint32_t workers)
{
    visit_push(&worker->bucket[shard_owner(visit_shard(visit), workers)], visit);
}

/* The words of a key as one side of the event names it; false when one is not known. */
static bool route_key(struct step *step, struct step_worker *worker, const struct keyspace *keyspace, uint32_t i, int side,
                      uint32_t *key)
{
    const struct event *event = &step->event[i];
    if (key_is_entity(keyspace->form)) {
        key[0] = event->ref[key_entity(keyspace->form)->ref[side]];
        return key[0] != ENTITY_MISSING;
    }
    if (keyspace->form == KEY_CARRIERS) {
        const struct key_entity *carried = key_entity((enum key_form)keyspace->base);
        key[0] = event->ref[carried->ref[carried->ref[side] == REF_COUNT ? SIDE_SENDER : side]];
        return key[0] != ENTITY_MISSING;
    }
    if (keyspace->form >= KEY_LEGS) {
        key[0] = event->ref[side == SIDE_RECEIVER ? REF_RECEIVER : REF_SENDER];
        return key[0] != ENTITY_MISSING;
    }
    if (keyspace->form == KEY_PAIR) {
        key[0] = event->ref[REF_SENDER];
        key[1] = event->ref[REF_RECEIVER];
        return key[0] != ENTITY_MISSING && key[1] != ENTITY_MISSING;
    }
    bool seen = keyspace->form == KEY_SEEN;
    uint8_t first = seen ? (uint8_t)(keyspace->width - 1) : 0;
    if (seen && !route_key(step, worker, &step->program->keyspace[keyspace->base], i, side, key))
        return false;
    judge_prepare(step, worker, i, side);
    for (uint8_t w = first; w < keyspace->width; w++) {
        struct value value = eval_value(&worker->evaluation, &keyspace->element[w - first]);
        if (!value.known)
            return false;
        key[w] = (uint32_t)value.number;
    }
    return true;
}

static bool key_named_before(const struct event *event, const struct keyspace *keyspace, int side)
{
    uint32_t refs = keyspace->joined_refs[side], same = event->joined_same;
    if (key_is_entity(keyspace->form) || keyspace->form == KEY_STOPS)
        same |= same >> REF_COUNT; /* at whichever end the first named it */
    return (event->flags & EVENT_JOINED) && (same & refs) == refs;
}

/* Works out what the event is in for one side's key; true when the key is to be visited: the event changes it, asks it, or
 * touches a rule of it. */
static bool route_side(struct step *step, struct step_worker *worker, uint16_t k, uint32_t i, int side, struct visit *visit)
{
    const struct keyspace *keyspace = &step->program->keyspace[k];
    const struct plan_keyspace *at = plan_at(step->plan, step->stratum, k);
    const struct event *event = &step->event[i];
    uint64_t *mask = step_mask(step, at, i, side);
    bool late = (event->flags & EVENT_LATE) != 0, touched = at->touched_by_all && event->flow == FLOW_SETTLED && !late;
    bool asks = at->asked[!keyspace->sided ? READ_WHOLE : side == SIDE_SENDER ? READ_SENDER : READ_RECEIVER];
    if (!asks && !touched && !asks_all(step) && !mask_any(mask, at->words))
        return false;
    bool known = route_key(step, worker, keyspace, i, side, visit->key);
    if (!known || key_named_before(event, keyspace, side)) {
        memset(mask, 0, at->words * sizeof *mask);
        return known && asks;
    }
    if (!late)
        route_mask(step, worker, at, i, side, mask);
    return asks || touched || mask_any(mask, at->words);
}

static void route_whole(struct step *step, struct step_worker *worker, uint16_t k, uint32_t i, uint32_t workers)
{
    struct visit visit = {.event = i, .keyspace = k, .sides = SIDES_SENDER, .width = step->program->keyspace[k].width};
    if (route_side(step, worker, k, i, SIDE_SENDER, &visit))
        route_push(worker, &visit, workers);
}

/* Both sides of the event; a key that is on both is visited once (RULES 7). */
static void route_sided(struct step *step, struct step_worker *worker, uint16_t k, uint32_t i, uint32_t workers)
{
    const struct keyspace *keyspace = &step->program->keyspace[k];
    struct visit sent = {.event = i, .keyspace = k, .sides = SIDES_SENDER, .width = keyspace->width};
    struct visit received = {.event = i, .keyspace = k, .sides = SIDES_RECEIVER, .width = keyspace->width};
    bool sends = route_side(step, worker, k, i, SIDE_SENDER, &sent), receives = route_side(step, worker, k, i, SIDE_RECEIVER, &received);
    if (sends != receives) /* a side that wants nothing may be the same key */
        (void)route_key(step, worker, keyspace, i, sends ? SIDE_RECEIVER : SIDE_SENDER, sends ? received.key : sent.key);
    if ((sends || receives) && sent.key[0] != ENTITY_MISSING && memcmp(sent.key, received.key, sizeof sent.key) == 0) {
        sent.sides = SIDES_BOTH;
        route_push(worker, &sent, workers);
        return;
    }
    if (sends)
        route_push(worker, &sent, workers);
    if (receives)
        route_push(worker, &received, workers);
}

/* Not by an initializer: most of a look is room that most rules do not use. */
static void look_begin(struct look *look, uint16_t rule, const struct visit *visit, const uint64_t *mask, bool whole)
{
    look->index = rule;
    look->visit = visit;
    look->mask = mask;
    look->whole = whole;
    look->shard = NULL;
    look->cell = NULL;
    look->read = 0;
}

static void route_transfer(struct step *step, struct step_worker *worker, uint16_t k, uint32_t i)
{
    const struct plan_keyspace *at = plan_at(step->plan, step->stratum, k);
    const struct event *event = &step->event[i];
    if (event->flow != FLOW_SETTLED || (event->flags & EVENT_JOINED))
        return;
    struct visit visit = {.event = i, .keyspace = k, .sides = SIDES_SENDER};
    unset uint64_t candidate[RULE_WORDS_MAX];
    if (asks_all(step))
        memset(candidate, 0xff, sizeof candidate);
    else
        filter_index_find(at->conditions, event, SIDE_SENDER, candidate);
    judge_prepare(step, worker, i, SIDE_SENDER);
    for (uint16_t j = 0; j < at->rule_count; j++) {
        unset struct look look;
        if (!mask_bit(candidate, j))
            continue;
        look_begin(&look, at->rule[j], &visit, NULL, true);
        judge_rule(step, worker, &look);
    }
}

/* A fact changes one key of one keyspace; no rule is evaluated at it. */
static void route_fact(struct step *step, struct step_worker *worker, uint32_t i, uint32_t workers)
{
    const struct event *event = &step->event[i];
    const struct fact *fact = event->fact;
    if (fact->memory == UINT16_MAX || step->program->memory[fact->memory].stratum != step->stratum)
        return;
    struct visit visit = {.event = i, .keyspace = step->program->memory[fact->memory].keyspace, .sides = SIDES_SENDER, .width = 1};
    visit.key[0] = event->ref[fact->subject_ref];
    if (visit.key[0] == ENTITY_MISSING)
        return; /* its shard is full: counted there */
    mask_set(step_mask(step, plan_at(step->plan, step->stratum, visit.keyspace), i, SIDE_SENDER), step->plan->memory[fact->memory].bit);
    route_push(worker, &visit, workers);
}

static void strata_route(void *context, uint32_t index, uint32_t workers)
{
    struct step *step = context;
    struct step_worker *worker = &step->worker[index];
    uint32_t from, to;
    for (uint32_t w = 0; w < workers; w++)
        worker->bucket[w].count = 0;
    crew_piece(step->count, index, workers, &from, &to);
    for (uint32_t i = from; i < to; i++) {
        if (!event_active(&step->event[i]))
            continue;
        if (step->event[i].flow == FLOW_FACT) {
            route_fact(step, worker, i, workers);
            continue;
        }
        if (step->stratum == 0 && !asks_all(step) && !(step->event[i].flags & EVENT_LATE))
            route_event(step, i);
        for (uint16_t b = 0; b < step->plan->busy_count[step->stratum]; b++) {
            uint16_t k = step->plan->busy[step->stratum][b];
            const struct keyspace *keyspace = &step->program->keyspace[k];
            if (keyspace->form == KEY_TRANSFER)
                route_transfer(step, worker, k, i);
            else if (keyspace->sided)
                route_sided(step, worker, k, i, workers);
            else
                route_whole(step, worker, k, i, workers);
        }
    }
}

/* --- visit --- */

static bool read_concerns(const struct memory_read *read, const struct visit *visit)
{
    if (read->side == READ_SENDER)
        return (visit->sides & SIDES_SENDER) != 0;
    if (read->side == READ_RECEIVER)
        return (visit->sides & SIDES_RECEIVER) != 0;
    return true;
}

static void slot_fill(struct value *slot, const struct memory *memory, int64_t time_ms, const int64_t *keep)
{
    slot[0] = (struct value){time_ms, true};
    for (uint8_t v = 0; v < memory->keep_count; v++)
        slot[1 + v] = (struct value){keep[v], keep[v] != MISSING_I64};
}

/* An id that leaves a memory for a slot may be stored elsewhere, where this cycle's sweep has been already. */
static void slot_mark(const struct step *step, const struct memory *memory, const struct value *slot)
{
    for (uint8_t v = 0; v < memory->keep_count; v++)
        if (slot[1 + v].known && fact_type_is_entity(memory->keep_type[v]))
            ident_mark(step->state, (entity_id)slot[1 + v].number);
}

/* Facts from a file are no state: the subject's name is looked up. */
static void read_file(const struct step *step, const struct memory *memory, const struct visit *visit, struct value *slot)
{
    const struct event *event = &step->event[visit->event];
    const int64_t *value;
    int64_t valid_from;
    if (fact_file_find(memory->file, ident_text(step->state, visit->key[0]), event->time_ms, &valid_from, &value))
        slot_fill(slot, memory, valid_from, value);
}

static bool read_record(const struct step *step, uint16_t index, const struct visit *visit, const struct shard *shard,
                        const struct cell *cell, struct memory_record *record)
{
    const struct memory *memory = &step->program->memory[index];
    int64_t now_ms = step->event[visit->event].time_ms;
    uint16_t bound = step->plan->memory[index].memory;
    if (memory->fact)
        return fact_get(shard, cell, visit->keyspace, bound, now_ms, record);
    if (!memory_get(shard, cell, visit->keyspace, bound, record))
        return false;
    int64_t horizon_ms = step_keys_horizon(step);
    if (horizon_ms != INT64_MIN && record->time_ms < horizon_ms - step->plan->layout.keyspace[visit->keyspace].widest_ms)
        return false; /* the sweep may have been here already */
    int64_t age_ms = now_ms - record->time_ms;
    return memory->seen || (age_ms >= 0 && age_ms < memory->for_ms);
}

/* READ: what this event asks of this key, as it was strictly before this event's update. */
static void visit_read(struct step *step, const struct plan_keyspace *at, const struct visit *visit, struct shard *shard,
                       const struct cell *cell)
{
    struct value *slots = step_slots(step, visit->event);
    for (uint16_t j = 0; j < at->read_count; j++) {
        const struct memory_read *read = &step->program->read[at->read[j]];
        if (!read_concerns(read, visit))
            continue;
        const struct memory *memory = &step->program->memory[read->memory];
        struct memory_record record;
        if (memory->file)
            read_file(step, memory, visit, slots + read->slot);
        else if (cell && read_record(step, read->memory, visit, shard, cell, &record)) {
            slot_fill(slots + read->slot, memory, record.time_ms, record.keep);
            slot_mark(step, memory, slots + read->slot);
        }
    }
}

static int64_t kept_number(struct value value)
{
    return value.known ? value.number : MISSING_I64;
}

static int64_t extra_number(const struct step *step, const struct event *event, int side, uint8_t extra)
{
    if (extra == EXTRA_RECEIVES)
        return side == SIDE_RECEIVER;
    struct value value = eval_field(step->program, event, side, extra == EXTRA_STOP ? FIELD_OTHER_COUNTRY : (enum field)extra);
    if (extra == EXTRA_STOP && !value.known)
        value = eval_field(step->program, event, side, FIELD_PLACE_COUNTRY);
    return kept_number(value);
}

static void visit_stream(struct step *step, uint16_t index, const struct visit *visit, int side, struct shard *shard,
                         struct cell *cell)
{
    const struct stream *stream = &step->program->stream[index];
    const struct event *event = &step->event[visit->event];
    struct record record = {.time_ms = event->time_ms,
                            .seq = event->seq,
                            .amount = event->amount_base,
                            .sender = event->ref[REF_SENDER],
                            .receiver = event->ref[REF_RECEIVER]};
    if (step->plan->stream[index].by_day)
        record.day = zone_day(step->program->zone, event->time_ms);
    if (step->plan->stream[index].habit_count)
        judge_habits(step, index, visit, shard, cell);
    for (uint8_t x = 0; x < stream->extra_count; x++)
        record.extra[x] = extra_number(step, event, side, stream->extra[x]);
    if (stream->legs)
        (void)window_add_above(shard, cell, visit->keyspace, step->plan->stream[index].window, &record, side == SIDE_RECEIVER,
                               legs_floor(step, stream));
    else
        (void)window_add(shard, cell, visit->keyspace, step->plan->stream[index].window, &record, side == SIDE_RECEIVER);
    if (step->watch && step->watch->recorded)
        step->watch->recorded(step->watch->context, index, visit->key, visit->width, &record, side == SIDE_RECEIVER);
    if (planted_double(event->seq) && !stream->legs)
        (void)window_add(shard, cell, visit->keyspace, step->plan->stream[index].window, &record, side == SIDE_RECEIVER);
}

static void visit_memory(struct step *step, struct step_worker *worker, uint16_t index, const struct visit *visit, int side,
                         struct shard *shard, struct cell *cell)
{
    const struct memory *memory = &step->program->memory[index];
    const struct event *event = &step->event[visit->event];
    struct memory_record record = {.time_ms = event->time_ms, .seq = event->seq};
    if (step->watch && step->watch->remembered)
        step->watch->remembered(step->watch->context, index, visit->key, visit->width);
    if (memory->fact) {
        const struct fact *fact = event->fact;
        for (uint8_t v = 0; v < memory->keep_count; v++) {
            entity_id id = fact->value_ref[v] == REF_COUNT ? ENTITY_MISSING : event->ref[fact->value_ref[v]];
            record.keep[v] = fact->value_ref[v] == REF_COUNT ? fact->value[v] : id ? (int64_t)id : MISSING_I64;
        }
        (void)fact_put(shard, cell, visit->keyspace, step->plan->memory[index].memory, &record, fact->withdrawn);
        return;
    }
    judge_prepare(step, worker, visit->event, side);
    for (uint8_t v = 0; v < memory->keep_count; v++)
        record.keep[v] = kept_number(eval_value(&worker->evaluation, &memory->keep[v]));
    memory_put(shard, cell, visit->keyspace, step->plan->memory[index].memory, &record);
}

/* The side from which a visit sees a stream; -1 when the event is not in it for this key. */
static int visit_side(const struct step *step, const struct plan_keyspace *at, const struct visit *visit, uint32_t bit)
{
    if ((visit->sides & SIDES_SENDER) && mask_bit(step_mask(step, at, visit->event, SIDE_SENDER), bit))
        return SIDE_SENDER;
    if ((visit->sides & SIDES_RECEIVER) && mask_bit(step_mask(step, at, visit->event, SIDE_RECEIVER), bit))
        return SIDE_RECEIVER;
    return -1;
}

/* What the event is in for this key, both sides of a self-transfer together. */
static void visit_mask(const struct step *step, const struct plan_keyspace *at, const struct visit *visit, uint64_t *mask)
{
    for (uint32_t w = 0; w < at->words; w++) {
        mask[w] = 0;
        if (visit->sides & SIDES_SENDER)
            mask[w] |= step_mask(step, at, visit->event, SIDE_SENDER)[w];
        if (visit->sides & SIDES_RECEIVER)
            mask[w] |= step_mask(step, at, visit->event, SIDE_RECEIVER)[w];
    }
}

static bool visit_named_before(const struct step *step, const struct visit *visit)
{
    const struct event *event = &step->event[visit->event];
    return key_named_before(event, &step->program->keyspace[visit->keyspace], visit->sides & SIDES_SENDER ? SIDE_SENDER : SIDE_RECEIVER);
}

/* What both ends carried, both are said to have carried: two legs. */
static bool visit_twice(const struct step *step, const struct plan_keyspace *at, const struct visit *visit, uint32_t bit)
{
    return visit->sides == SIDES_BOTH && step->program->keyspace[visit->keyspace].form == KEY_CARRIERS &&
           mask_bit(step_mask(step, at, visit->event, SIDE_SENDER), bit) && mask_bit(step_mask(step, at, visit->event, SIDE_RECEIVER), bit);
}

/* The event enters every stream and memory of the key that it belongs to. */
static void visit_change(struct step *step, struct step_worker *worker, const struct plan_keyspace *at, const struct visit *visit,
                         const uint64_t *mask, struct shard *shard, struct cell *cell)
{
    for (uint32_t w = 0; w < at->words; w++) {
        for (uint64_t left = mask[w]; left; left &= left - 1) {
            uint32_t bit = w * 64 + (uint32_t)__builtin_ctzll(left);
            int side = visit_side(step, at, visit, bit);
            uint64_t begun = step->meter ? meter_ticks() : 0;
            if (bit < at->stream_count)
                visit_stream(step, at->stream[bit], visit, side, shard, cell);
            else
                visit_memory(step, worker, at->memory[bit - at->stream_count], visit, side, shard, cell);
            if (visit_twice(step, at, visit, bit))
                visit_stream(step, at->stream[bit], visit, SIDE_RECEIVER, shard, cell);
            if (step->meter)
                meter_add(step->meter, bit < at->stream_count ? &step->meter->stream[at->stream[bit]].record
                                                              : &step->meter->memory[at->memory[bit - at->stream_count]].record, begun);
        }
    }
}

/* Rules that the event touches, in their order. */
static void visit_rules(struct step *step, struct step_worker *worker, const struct plan_keyspace *at, const struct visit *visit,
                        const uint64_t *mask, bool touched, struct shard *shard, struct cell *cell)
{
    unset uint64_t rules[RULE_WORDS_MAX];
    for (uint32_t w = 0; w < at->rule_words; w++)
        rules[w] = touched ? at->touched_always[w] : 0;
    for (uint32_t w = 0; w * 64 < at->stream_count; w++) {
        for (uint64_t left = mask[w]; left; left &= left - 1) {
            uint32_t bit = w * 64 + (uint32_t)__builtin_ctzll(left);
            for (uint32_t r = 0; bit < at->stream_count && r < at->rule_words; r++)
                rules[r] |= at->touches[bit * at->rule_words + r];
        }
    }
    judge_prepare(step, worker, visit->event, visit->sides & SIDES_SENDER ? SIDE_SENDER : SIDE_RECEIVER);
    for (uint32_t w = 0; w < at->rule_words; w++) {
        for (uint64_t left = rules[w]; left; left &= left - 1) {
            unset struct look look;
            look_begin(&look, at->rule[w * 64 + (uint32_t)__builtin_ctzll(left)], visit, mask, touched);
            look.shard = shard;
            look.cell = cell;
            judge_rule(step, worker, &look);
        }
    }
}

static void visit_work(struct step *step, struct step_worker *worker, const struct visit *visit)
{
    const struct plan_keyspace *at = plan_at(step->plan, step->stratum, visit->keyspace);
    struct shard *shard = state_shard(step->state, visit_shard(visit));
    struct cell *cell = cell_find(shard, visit->keyspace, visit->key);
    const struct event *event = &step->event[visit->event];
    unset uint64_t mask[MASK_WORDS_MAX];
    fail_point_record(FAIL_RECORD_STEP, event->body);
    visit_mask(step, at, visit, mask);
    bool changes = mask_any(mask, at->words);
    bool late = (event->flags & EVENT_LATE) != 0;
    bool touched = at->touched_by_all && event->flow == FLOW_SETTLED && !late && !visit_named_before(step, visit);
    if (!cell && (changes || touched))
        cell = cell_add(shard, visit->keyspace, visit->key);
    if (at->read_count && event->flow != FLOW_FACT)
        visit_read(step, at, visit, shard, cell);
    if (!cell)
        return; /* nothing is remembered, or the shard is full (counted there) */
    if (step->watch && step->watch->touched && (changes || touched))
        step->watch->touched(step->watch->context, visit->keyspace, visit->key, visit->width);
    if (changes)
        visit_change(step, worker, at, visit, mask, shard, cell);
    if (changes || touched)
        visit_rules(step, worker, at, visit, mask, touched, shard, cell);
}

/* What the visit will touch of its cell: `ends` behind the windows themselves. */
static void visit_prefetch(const struct step *step, const struct visit *visit, const struct cell *cell, bool ends)
{
    const struct plan_keyspace *at = plan_at(step->plan, step->stratum, visit->keyspace);
    const struct shard *shard = state_shard(step->state, visit_shard(visit));
    unset uint64_t mask[MASK_WORDS_MAX];
    visit_mask(step, at, visit, mask);
    if (!ends)
        clock_prefetch(shard, cell, visit->keyspace);
    for (uint32_t w = 0; w < at->words; w++) {
        for (uint64_t left = mask[w]; left; left &= left - 1) {
            uint32_t bit = w * 64 + (uint32_t)__builtin_ctzll(left);
            if (bit < at->stream_count && ends)
                window_prefetch_end(shard, cell, visit->keyspace, step->plan->stream[at->stream[bit]].window);
            else if (bit < at->stream_count)
                window_prefetch(shard, cell, visit->keyspace, step->plan->stream[at->stream[bit]].window);
            else if (!ends)
                memory_prefetch(shard, cell, visit->keyspace, step->plan->memory[at->memory[bit - at->stream_count]].memory);
        }
    }
    for (uint16_t j = 0; !ends && j < at->read_count; j++)
        if (read_concerns(&step->program->read[at->read[j]], visit))
            memory_prefetch(shard, cell, visit->keyspace, step->plan->memory[step->program->read[at->read[j]].memory].memory);
}

/* What a visit reads of its event: the numbers at its two ends (texts lie between), and its row of masks. Inline by force: GCC 12
 * holds a function that only prefetches for one without effects, and leaves out its calls. */
static inline __attribute__((always_inline)) void event_prefetch(const struct step *step, const struct visit *visit)
{
    const struct event *event = &step->event[visit->event];
    const uint64_t *row = step_mask(step, plan_at(step->plan, step->stratum, visit->keyspace), visit->event,
                                    visit->sides & SIDES_SENDER ? SIDE_SENDER : SIDE_RECEIVER);
    __builtin_prefetch(&event->time_ms);
    __builtin_prefetch(&event->currency);
    __builtin_prefetch(event->ref);
    __builtin_prefetch(&event->outcome);
    __builtin_prefetch(row);
    if (step->program->slot_count)
        __builtin_prefetch(step_slots(step, visit->event));
}

/* Asks for what visit i + AHEAD_… needs; cell: of the visits behind AHEAD_CELL, by number. */
static void strata_prefetch(const struct step *step, const struct visit_list *list, uint32_t i, const struct cell **cell)
{
    const struct visit *visit = list->visit + i;
    uint32_t left = list->count - i;
    if (left > AHEAD_EVENT)
        event_prefetch(step, visit + AHEAD_EVENT);
    if (left > AHEAD_TABLE)
        cell_prefetch_table(state_shard(step->state, visit_shard(visit + AHEAD_TABLE)), visit[AHEAD_TABLE].keyspace);
    if (left > AHEAD_SLOT)
        cell_prefetch(state_shard(step->state, visit_shard(visit + AHEAD_SLOT)), visit[AHEAD_SLOT].keyspace, visit[AHEAD_SLOT].key);
    if (left > AHEAD_CELL)
        cell[(i + AHEAD_CELL) % AHEAD_ROOM] =
            cell_prefetch_body(state_shard(step->state, visit_shard(visit + AHEAD_CELL)), visit[AHEAD_CELL].keyspace, visit[AHEAD_CELL].key);
    if (left > AHEAD_PARTS && cell[(i + AHEAD_PARTS) % AHEAD_ROOM])
        visit_prefetch(step, visit + AHEAD_PARTS, cell[(i + AHEAD_PARTS) % AHEAD_ROOM], false);
    if (left > AHEAD_ENDS && cell[(i + AHEAD_ENDS) % AHEAD_ROOM])
        visit_prefetch(step, visit + AHEAD_ENDS, cell[(i + AHEAD_ENDS) % AHEAD_ROOM], true);
}

/* A watch is told in the order of events: which shard a key lives in differs from run to run. */
static uint32_t visit_place(const struct step *step, const struct visit *visit)
{
    return step->watch ? 0 : visit_shard(visit);
}

/* All workers' visits to this one's shards, shard by shard: what lies in one shard is met together, its pages are few, and its
 * free lists stay in the cache. Within a shard the order of events stays, so that each key sees it. With event_prefetch, which it
 * asks for, a replay of a million events takes 20 % less user time than in the order of events. */
static const struct visit_list *visits_sort(struct step *step, struct step_worker *worker, uint32_t index, uint32_t workers)
{
    uint32_t at[SHARD_COUNT + 1] = {0};
    struct visit_list *sorted = &worker->sorted;
    for (uint32_t from = 0; from < workers; from++) {
        const struct visit_list *list = &step->worker[from].bucket[index];
        for (uint32_t i = 0; i < list->count; i++)
            at[visit_place(step, &list->visit[i]) + 1]++;
    }
    for (uint32_t s = 0; s < SHARD_COUNT; s++)
        at[s + 1] += at[s];
    visits_room(sorted, at[SHARD_COUNT]);
    sorted->count = at[SHARD_COUNT];
    for (uint32_t from = 0; from < workers; from++) {
        const struct visit_list *list = &step->worker[from].bucket[index];
        for (uint32_t i = 0; i < list->count; i++)
            sorted->visit[at[visit_place(step, &list->visit[i])]++] = list->visit[i];
    }
    return sorted;
}

static void strata_visit(void *context, uint32_t index, uint32_t workers)
{
    struct step *step = context;
    struct step_worker *worker = &step->worker[index];
    const struct visit_list *list = visits_sort(step, worker, index, workers);
    const struct cell *cell[AHEAD_ROOM] = {0};
    for (uint32_t i = 0; i < list->count; i++) {
        strata_prefetch(step, list, i, cell);
        visit_work(step, worker, &list->visit[i]);
    }
}

void strata_run(struct step *step, uint64_t *since)
{
    for (uint32_t s = 0; s < step->program->stratum_count; s++) {
        step->stratum = s;
        crew_run(step->crew, step->alone, strata_route, step);
        step_lap(step, PHASE_ROUTE, since);
        crew_run(step->crew, step->alone, strata_visit, step);
        step_lap(step, PHASE_VISIT, since);
    }
}
