/* Strata: route builds each event's keys and filters, visit works every key in its owner's hands. */
#include "engine/stream/step_private.h"

#include "engine/model/fact.h"
#include "rules/lang/fact.h"

#include "engine/base/fail_point.h"
#include "engine/base/invariant.h"
#include "engine/base/planted.h"
#include "engine/base/unset.h"
#include "engine/stream/meter.h"

#include <stdalign.h>
#include <stdlib.h>

/* How many visits ahead the parts of a key are asked into the cache, each once the one that leads to it has come: its slot in the table
 * of its keyspace, its cell (and the event), its clocks, windows and memories, the ends of their rings. */
enum { AHEAD_SLOT = 18, AHEAD_CELL = 12, AHEAD_PARTS = 6, AHEAD_ENDS = 3, AHEAD_ROOM = 32 };
enum { PAGES_OF_VISIT = 8 }; /* of a shard that a visit meets, about */

/* An event that is being routed. */
struct routing {
    struct step *step;
    struct step_worker *worker;
    uint32_t workers, i; /* i: which event of the batch */
    const struct event *event;
    uint64_t *row[2];    /* by side: step_row */
    bool asks_all;
};

/* A visit that is coming up, and what has been found out of it on the way. A line of the cache. */
struct coming {
    alignas(64) const struct visit *visit;
    const struct plan_keyspace *at;
    struct shard *shard;
    const struct cell *cell; /* cell_prefetch_body's; NULL: not found yet */
    const struct cell *open; /* the same; NULL: it is packed, or not found */
    uint64_t *mask;          /* what the event is in for this key, both sides of a self-transfer together */
};

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

/* Whoever watches filters wants to see those too that the index rules out. */
static bool asks_all(const struct step *step)
{
    return step->settings.filter_all || (step->watch && step->watch->witnessed);
}

static void routing_prepare(const struct routing *routing, int side)
{
    judge_prepare(routing->step, routing->worker, routing->i, side);
}

/* Without the index: every filter is asked. */
static void route_all(const struct routing *routing, const struct plan_keyspace *at, int side)
{
    struct step *step = routing->step;
    const struct program *program = step->program;
    for (uint32_t bit = 0; bit < (uint32_t)at->stream_count + at->memory_count; bit++) {
        bool memory = bit >= at->stream_count;
        uint16_t index = memory ? at->memory[bit - at->stream_count] : at->stream[bit];
        if (!stream_flow_fits((enum stream_flow)(memory ? program->memory[index].flow : program->stream[index].flow), routing->event, side))
            continue;
        bool truth = eval_true(&routing->worker->evaluation, memory ? &program->memory[index].filter : &program->stream[index].filter);
        if (truth)
            mask_set(routing->row[side], row_place(at, bit));
        if (step->watch && step->watch->witnessed)
            judge_filter(step, routing->worker, memory, index, truth);
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
static void route_event(const struct routing *routing)
{
    struct step *step = routing->step;
    const struct plan *plan = step->plan;
    uint64_t begun = step->meter ? meter_ticks() : 0;
    uint32_t sources = (uint32_t)step->program->stream_count + step->program->memory_count;
    unset uint64_t candidate[2][SOURCE_WORDS_MAX];
    filter_index_find(plan->filters, routing->event, candidate[SIDE_SENDER], candidate[SIDE_RECEIVER]);
    for (int side = SIDE_SENDER; side <= SIDE_RECEIVER; side++)
        for (uint32_t w = 0; w * 64 < sources; w++)
            for (uint64_t left = candidate[side][w]; left; left &= left - 1)
                mask_set(routing->row[side], plan->place[w * 64 + (uint32_t)__builtin_ctzll(left)]);
    if (step->meter)
        meter_add(step->meter, &step->meter->index, begun);
}

/* Most filters that read a memory are not true because it holds nothing: that is seen without asking them. */
static bool filter_lacks(const struct routing *routing, const struct plan_keyspace *at, uint32_t bit, int side)
{
    uint16_t slot = at->need[bit].slot[side];
    return slot != NEED_NONE && step_slots(routing->step, routing->i)[slot] == MISSING_I64;
}

/* Of these, what the event is in for one key of this stratum: filters that the index does not decide are asked. */
static void route_mask(const struct routing *routing, const struct plan_keyspace *at, int side)
{
    struct step *step = routing->step;
    uint64_t *row = routing->row[side];
    if (routing->asks_all) {
        routing_prepare(routing, side);
        route_all(routing, at, side);
        return;
    }
    bool prepared = false;
    for (uint32_t w = 0; w < at->words; w++)
        for (uint64_t left = row[at->word + w] & at->span & ~step->plan->exact[at->word + w]; left; left &= left - 1) {
            uint32_t bit = w * 64 + (uint32_t)__builtin_ctzll(left) - at->shift;
            bool lacks = filter_lacks(routing, at, bit, side);
            if (!lacks && !prepared)
                routing_prepare(routing, side);
            prepared |= !lacks;
            if (lacks || !filter_true(step, routing->worker, at, bit))
                row[at->word + w] &= ~(left & -left);
        }
}

static void route_push(const struct routing *routing, struct visit *visit)
{
    visit->shard = (uint8_t)key_shard(visit->key, visit->width);
    visit_push(&routing->worker->bucket[shard_owner(visit->shard, routing->workers)], visit);
}

/* The words of a key as one side of the event names it; false when one is not known. */
static bool route_key(const struct routing *routing, const struct plan_keyspace *at, int side, uint32_t *key)
{
    const struct event *event = routing->event;
    uint8_t width = at->def->width;
    for (uint8_t w = 0; w < width; w++) {
        const struct plan_word *word = &at->key[side][w];
        if (word->ref != REF_COUNT) {
            key[w] = event->ref[word->ref];
            if (key[w] == ENTITY_MISSING)
                return false;
            continue;
        }
        struct value value;
        if (word->field != FIELD_COUNT) {
            value = eval_field(routing->step->program, event, side, word->field);
        } else {
            routing_prepare(routing, side);
            value = eval_value(&routing->worker->evaluation, word->expr);
        }
        if (!value.known)
            return false;
        key[w] = (uint32_t)value.number;
    }
    if (at->def->mutual)
        key_settle(key);
    return true;
}

static bool key_named_before(const struct event *event, const struct keyspace *keyspace, int side)
{
    if (!(event->flags & EVENT_JOINED))
        return false;
    uint32_t refs = keyspace->joined_refs[side], same = event->joined_same;
    if (key_is_entity(keyspace->form) || keyspace->form == KEY_STOPS)
        same |= same >> REF_COUNT; /* at whichever end the first named it */
    return (same & refs) == refs;
}

/* Whether the event may enter something that uses what the key's memories hold. */
static bool key_asked(const struct routing *routing, const struct plan_keyspace *at, int side)
{
    const struct plan_ask *ask = &at->ask[!at->def->sided ? READ_WHOLE : side == SIDE_SENDER ? READ_SENDER : READ_RECEIVER];
    if (ask->always)
        return true;
    for (uint16_t i = 0; i < ask->count; i++) {
        uint32_t word = ask->asker[i].word;
        if (routing->asks_all || (routing->row[SIDE_SENDER][word] | routing->row[SIDE_RECEIVER][word]) & ask->asker[i].bits)
            return true;
    }
    return false;
}

/* Works out what the event is in for one side's key; true when the key is to be visited: the event changes it, asks it, or
 * touches a rule of it. */
static bool route_side(const struct routing *routing, const struct plan_keyspace *at, int side, uint32_t *key)
{
    const struct event *event = routing->event;
    uint64_t *row = routing->row[side];
    bool late = (event->flags & EVENT_LATE) != 0, touched = at->touched_by_all && event->flow == FLOW_SETTLED && !late;
    bool asks = key_asked(routing, at, side);
    if (!asks && !touched && !routing->asks_all && !row_any(row, at))
        return false;
    bool known = route_key(routing, at, side, key);
    if (!known || key_named_before(event, at->def, side)) {
        for (uint32_t w = 0; w < at->words; w++)
            row[at->word + w] &= ~at->span;
        return known && asks;
    }
    if (!late)
        route_mask(routing, at, side);
    return asks || touched || row_any(row, at);
}

static struct visit visit_of(const struct routing *routing, const struct plan_keyspace *at, uint8_t sides)
{
    return (struct visit){.event = routing->i, .keyspace = at->keyspace, .sides = sides, .width = at->def->width};
}

static void route_whole(const struct routing *routing, const struct plan_keyspace *at)
{
    struct visit visit = visit_of(routing, at, SIDES_SENDER);
    if (route_side(routing, at, SIDE_SENDER, visit.key))
        route_push(routing, &visit);
}

/* Both sides of the event; a key that is on both is visited once (RULES 7). */
static void route_sided(const struct routing *routing, const struct plan_keyspace *at)
{
    struct visit sent = visit_of(routing, at, SIDES_SENDER), received = visit_of(routing, at, SIDES_RECEIVER);
    bool sends = route_side(routing, at, SIDE_SENDER, sent.key), receives = route_side(routing, at, SIDE_RECEIVER, received.key);
    if (sends != receives) /* a side that wants nothing may be the same key */
        (void)route_key(routing, at, sends ? SIDE_RECEIVER : SIDE_SENDER, sends ? received.key : sent.key);
    if ((sends || receives) && sent.key[0] != ENTITY_MISSING && sent.key[0] == received.key[0] &&
        memcmp(sent.key, received.key, sizeof sent.key) == 0) {
        sent.sides = SIDES_BOTH;
        route_push(routing, &sent);
        return;
    }
    if (sends)
        route_push(routing, &sent);
    if (receives)
        route_push(routing, &received);
}

static void route_transfer(const struct routing *routing, const struct plan_keyspace *at)
{
    const struct event *event = routing->event;
    if (event->flow != FLOW_SETTLED || (event->flags & EVENT_JOINED))
        return;
    struct visit visit = visit_of(routing, at, SIDES_SENDER);
    uint64_t candidate[RULE_WORDS_MAX] = {0};
    if (!routing->asks_all)
        filter_index_find(at->conditions, event, candidate, NULL);
    else
        for (uint16_t j = 0; j < at->rule_count; j++)
            mask_set(candidate, j);
    unset struct look look;
    look.visit = &visit;
    look.mask = NULL;
    look.whole = true;
    look.shard = NULL;
    look.cell = NULL;
    judge_rules(routing->step, routing->worker, &look, at, candidate);
}

/* A fact changes one key of one keyspace; no rule is evaluated at it. */
static void route_fact(const struct routing *routing)
{
    const struct step *step = routing->step;
    const struct fact *fact = routing->event->fact;
    if (fact->memory == UINT16_MAX || step->program->memory[fact->memory].stratum != step->stratum)
        return;
    const struct plan_keyspace *at = plan_at(step->plan, step->stratum, step->program->memory[fact->memory].keyspace);
    struct visit visit = visit_of(routing, at, SIDES_SENDER);
    visit.key[0] = routing->event->ref[fact->subject_ref];
    if (visit.key[0] == ENTITY_MISSING)
        return; /* its shard is full: counted there */
    mask_set(routing->row[SIDE_SENDER], row_place(at, step->plan->memory[fact->memory].bit));
    route_push(routing, &visit);
}

/* An event has something to do for few keyspaces. */
static void route_keyspace(const struct routing *routing, const struct plan_keyspace *at)
{
    if (at->def->form == KEY_TRANSFER)
        route_transfer(routing, at);
    else if (!at->read_count && !at->touched_by_all && !routing->asks_all && !row_any(routing->row[SIDE_SENDER], at) &&
             !row_any(routing->row[SIDE_RECEIVER], at))
        return;
    else if (at->def->sided)
        route_sided(routing, at);
    else
        route_whole(routing, at);
}

/* Nothing is known yet of these events, and they are in nothing. */
static void step_clear(struct step *step, uint32_t from, uint32_t to)
{
    for (int64_t *slot = step_slots(step, from), *end = step_slots(step, to); slot < end; slot++)
        *slot = MISSING_I64;
    memset(step_row(step, from, SIDE_SENDER), 0, (size_t)(to - from) * 2 * step->plan->mask_words * sizeof *step->mask);
}

static void strata_route(void *context, uint32_t index, uint32_t workers)
{
    struct step *step = context;
    struct routing routing = {.step = step, .worker = &step->worker[index], .workers = workers, .asks_all = asks_all(step)};
    uint32_t from, to;
    for (uint32_t w = 0; w < workers; w++)
        routing.worker->bucket[w].count = 0;
    crew_piece(step->count, index, workers, &from, &to);
    if (step->stratum == 0)
        step_clear(step, from, to);
    for (uint32_t i = from; i < to; i++) {
        routing.i = i;
        routing.event = &step->event[i];
        routing.row[SIDE_SENDER] = step_row(step, i, SIDE_SENDER);
        routing.row[SIDE_RECEIVER] = step_row(step, i, SIDE_RECEIVER);
        if (!event_active(routing.event))
            continue;
        if (routing.event->flow == FLOW_FACT) {
            route_fact(&routing);
            continue;
        }
        if (step->stratum == 0 && !routing.asks_all && !(routing.event->flags & EVENT_LATE))
            route_event(&routing);
        for (uint16_t b = 0; b < step->plan->busy_count[step->stratum]; b++)
            route_keyspace(&routing, step->plan->busy[step->stratum][b]);
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

static void slot_fill(int64_t *slot, const struct memory *memory, int64_t time_ms, const int64_t *keep)
{
    slot[0] = time_ms;
    for (uint8_t v = 0; v < memory->keep_count; v++)
        slot[1 + v] = keep[v];
}

/* Marks an id once its mark, which lies in any shard, has come: asked for here, set some marks later (150 ns an event saved). */
static void mark_soon(const struct step *step, struct step_worker *worker, entity_id id)
{
    entity_id *place = &worker->mark[worker->mark_count++ % MARKS_AHEAD];
    ident_mark(step->state, *place);
    ident_prefetch_mark(step->state, id);
    *place = id;
}

/* An id that leaves a memory for a slot may be stored elsewhere, where this cycle's sweep has been already. */
static void slot_mark(const struct step *step, struct step_worker *worker, const struct memory *memory, const int64_t *slot)
{
    for (uint8_t v = 0; v < memory->keep_count; v++)
        if (slot[1 + v] != MISSING_I64 && fact_type_is_entity(memory->keep_type[v]))
            mark_soon(step, worker, (entity_id)slot[1 + v]);
}

/* Facts from a file are no state: the subject's name is looked up. */
static void read_file(const struct step *step, const struct memory *memory, const struct visit *visit, int64_t *slot)
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
static void visit_read(struct step *step, struct step_worker *worker, const struct plan_keyspace *at, const struct visit *visit,
                       struct shard *shard, const struct cell *cell)
{
    int64_t *slots = step_slots(step, visit->event);
    for (uint16_t j = 0; j < at->read_count; j++) {
        const struct memory_read *read = &step->program->read[at->read[j]];
        if (!read_concerns(read, visit))
            continue;
        const struct memory *memory = &step->program->memory[read->memory];
        unset struct memory_record record;
        if (memory->file)
            read_file(step, memory, visit, slots + read->slot);
        else if (cell && read_record(step, read->memory, visit, shard, cell, &record)) {
            slot_fill(slots + read->slot, memory, record.time_ms, record.keep);
            slot_mark(step, worker, memory, slots + read->slot);
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
    if (memory->keep_count)
        judge_prepare(step, worker, visit->event, side);
    for (uint8_t v = 0; v < memory->keep_count; v++)
        record.keep[v] = kept_number(eval_value(&worker->evaluation, &memory->keep[v]));
    memory_put(shard, cell, visit->keyspace, step->plan->memory[index].memory, &record);
}

/* The side from which a visit sees a stream or memory that the event is in for this key. */
static int visit_side(const struct step *step, const struct plan_keyspace *at, const struct visit *visit, uint32_t bit)
{
    if (visit->sides != SIDES_BOTH)
        return visit->sides == SIDES_SENDER ? SIDE_SENDER : SIDE_RECEIVER;
    return mask_bit(step_row(step, visit->event, SIDE_SENDER), row_place(at, bit)) ? SIDE_SENDER : SIDE_RECEIVER;
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
           mask_bit(step_row(step, visit->event, SIDE_SENDER), row_place(at, bit)) &&
           mask_bit(step_row(step, visit->event, SIDE_RECEIVER), row_place(at, bit));
}

/* The event enters every stream and memory of the key that it belongs to. */
static void visit_change(struct step *step, struct step_worker *worker, const struct coming *coming, struct cell *cell)
{
    const struct plan_keyspace *at = coming->at;
    const struct visit *visit = coming->visit;
    for (uint32_t w = 0; w < at->words; w++) {
        for (uint64_t left = coming->mask[w]; left; left &= left - 1) {
            uint32_t bit = w * 64 + (uint32_t)__builtin_ctzll(left);
            int side = visit_side(step, at, visit, bit);
            uint64_t begun = step->meter ? meter_ticks() : 0;
            if (bit < at->stream_count)
                visit_stream(step, at->stream[bit], visit, side, coming->shard, cell);
            else
                visit_memory(step, worker, at->memory[bit - at->stream_count], visit, side, coming->shard, cell);
            if (visit_twice(step, at, visit, bit))
                visit_stream(step, at->stream[bit], visit, SIDE_RECEIVER, coming->shard, cell);
            if (step->meter)
                meter_add(step->meter, bit < at->stream_count ? &step->meter->stream[at->stream[bit]].record
                                                              : &step->meter->memory[at->memory[bit - at->stream_count]].record, begun);
        }
    }
}

/* Rules that the event touches, in their order. */
static void visit_rules(struct step *step, struct step_worker *worker, const struct coming *coming, bool touched, struct cell *cell)
{
    const struct plan_keyspace *at = coming->at;
    const struct visit *visit = coming->visit;
    unset uint64_t rules[RULE_WORDS_MAX];
    for (uint32_t w = 0; w < at->rule_words; w++)
        rules[w] = touched ? at->touched_always[w] : 0;
    for (uint32_t w = 0; w * 64 < at->stream_count; w++) {
        for (uint64_t left = coming->mask[w]; left; left &= left - 1) {
            uint32_t bit = w * 64 + (uint32_t)__builtin_ctzll(left);
            for (uint32_t r = 0; bit < at->stream_count && r < at->rule_words; r++)
                rules[r] |= at->touches[bit * at->rule_words + r];
        }
    }
    unset struct look look; /* not by an initializer: most of it is room that most rules do not use */
    look.visit = visit;
    look.mask = coming->mask;
    look.whole = touched;
    look.shard = coming->shard;
    look.cell = cell;
    judge_rules(step, worker, &look, at, rules);
}

/* Opens a cell that a sweep has packed. What is coming may be led to where it lay before. */
static __attribute__((noinline)) struct cell *visit_open(struct coming *ring, const struct coming *coming, struct cell *cell)
{
    struct cell *open = cell_open(coming->shard, coming->visit->keyspace, cell);
    for (uint32_t i = 0; open != cell && i < AHEAD_ROOM; i++)
        if (ring[i].cell == cell)
            ring[i].cell = open;
    return open;
}

/* Notes which legs the key has none of, for searches at this event. */
static void visit_lacks(const struct step *step, const struct plan_keyspace *at, const struct visit *visit, const struct shard *shard,
                        const struct cell *cell)
{
    uint64_t lacks = 0;
    for (uint16_t i = 0; i < at->lack_count; i++)
        if (!cell || !window_there(shard, cell, visit->keyspace, at->lack[i].window))
            lacks |= (uint64_t)1 << at->lack[i].bit;
    if (visit->sides & SIDES_SENDER)
        step_row(step, visit->event, SIDE_SENDER)[step->plan->mask_words - 1] |= lacks;
    if (visit->sides & SIDES_RECEIVER)
        step_row(step, visit->event, SIDE_RECEIVER)[step->plan->mask_words - 1] |= lacks;
}

static void visit_work(struct step *step, struct step_worker *worker, struct coming *ring, const struct coming *coming)
{
    const struct plan_keyspace *at = coming->at;
    const struct visit *visit = coming->visit;
    struct cell *cell = cell_find_near(coming->shard, visit->keyspace, visit->key, coming->cell);
    const struct event *event = &step->event[visit->event];
    fail_point_record(FAIL_RECORD_STEP, event->body);
    bool changes = mask_any(coming->mask, at->words);
    bool late = (event->flags & EVENT_LATE) != 0;
    bool touched = at->touched_by_all && event->flow == FLOW_SETTLED && !late && !visit_named_before(step, visit);
    if (cell && cell != coming->open && (changes || touched))
        cell = visit_open(ring, coming, cell);
    else if (!cell && (changes || touched))
        cell = cell_add(coming->shard, visit->keyspace, visit->key);
    if (at->read_count && event->flow != FLOW_FACT)
        visit_read(step, worker, at, visit, coming->shard, cell);
    if (at->lack_count)
        visit_lacks(step, at, visit, coming->shard, cell);
    if (!cell)
        return; /* nothing is remembered, or the shard is full (counted there) */
    if (step->watch && step->watch->touched && (changes || touched))
        step->watch->touched(step->watch->context, visit->keyspace, visit->key, visit->width);
    if (changes)
        visit_change(step, worker, coming, cell);
    if (at->rule_count && (changes || touched))
        visit_rules(step, worker, coming, touched, cell);
}

/* --- what is coming --- */

static void coming_mask(const struct step *step, const struct coming *coming)
{
    const struct visit *visit = coming->visit;
    const uint64_t *row = step_row(step, visit->event, visit->sides & SIDES_SENDER ? SIDE_SENDER : SIDE_RECEIVER);
    for (uint32_t w = 0; w < coming->at->words; w++)
        coming->mask[w] = row_mask(row, coming->at, w);
    if (visit->sides != SIDES_BOTH)
        return;
    row = step_row(step, visit->event, SIDE_RECEIVER);
    for (uint32_t w = 0; w < coming->at->words; w++)
        coming->mask[w] |= row_mask(row, coming->at, w);
}

/* The first visit to a shard: where there are enough of them to meet most of its pages, all are asked for at once. A visit waits for the
 * TLB more than for anything else; this takes a sixth to a fifth off the visits of a replay. */
static void coming_shard(const struct step *step, const struct visit_list *list, uint32_t first)
{
    const struct visit *visit = &list->visit[first];
    const struct slab *slab = shard_slab(state_shard(step->state, visit->shard));
    uint32_t enough = slab_machine_pages(slab) / PAGES_OF_VISIT;
    if (list->count - first > enough && visit[enough].shard == visit->shard)
        slab_prefetch_pages(slab);
}

static void coming_begin(const struct step *step, const struct visit *visit, struct coming *coming)
{
    coming->visit = visit;
    coming->at = plan_at(step->plan, step->stratum, visit->keyspace);
    coming->shard = state_shard(step->state, visit->shard);
    cell_prefetch(coming->shard, visit->keyspace, visit->key);
}

/* What the visit will touch of its cell. */
static void coming_parts(const struct step *step, struct coming *coming)
{
    const struct plan_keyspace *at = coming->at;
    uint16_t keyspace = coming->visit->keyspace;
    coming_mask(step, coming);
    coming->open = coming->cell && clock_prefetch(coming->shard, coming->cell, keyspace) ? coming->cell : NULL;
    if (!coming->open)
        return;
    for (uint32_t w = 0; w < at->words; w++) {
        for (uint64_t left = coming->mask[w]; left; left &= left - 1) {
            uint32_t bit = w * 64 + (uint32_t)__builtin_ctzll(left);
            if (bit < at->stream_count)
                window_prefetch(coming->shard, coming->open, keyspace, step->plan->stream[at->stream[bit]].window);
            else
                memory_prefetch(coming->shard, coming->open, keyspace, step->plan->memory[at->memory[bit - at->stream_count]].memory);
        }
    }
    for (uint16_t j = 0; j < at->read_count; j++)
        if (read_concerns(&step->program->read[at->read[j]], coming->visit))
            memory_prefetch(coming->shard, coming->open, keyspace, step->plan->memory[step->program->read[at->read[j]].memory].memory);
}

/* Behind that, of its windows. */
static void coming_ends(const struct step *step, const struct coming *coming)
{
    const struct plan_keyspace *at = coming->at;
    for (uint32_t w = 0; coming->open && w * 64 < at->stream_count; w++) {
        for (uint64_t left = coming->mask[w]; left; left &= left - 1) {
            uint32_t bit = w * 64 + (uint32_t)__builtin_ctzll(left);
            if (bit < at->stream_count)
                window_prefetch_end(coming->shard, coming->open, coming->visit->keyspace, step->plan->stream[at->stream[bit]].window);
        }
    }
}

/* What a visit reads of its event: the numbers at its two ends (texts lie between), and its row of masks. Inline by force: GCC 12
 * holds a function that only prefetches for one without effects, and leaves out its calls. */
static inline __attribute__((always_inline)) void event_prefetch(const struct step *step, const struct coming *coming)
{
    const struct visit *visit = coming->visit;
    const struct event *event = &step->event[visit->event];
    __builtin_prefetch(event);
    __builtin_prefetch((const char *)event + 64);
    __builtin_prefetch(step_row(step, visit->event, SIDE_SENDER));
    __builtin_prefetch(step_row(step, visit->event, SIDE_RECEIVER));
    if (coming->at->read_count)
        __builtin_prefetch(step_slots(step, visit->event) + step->program->read[coming->at->read[0]].slot);
}

/* A watch is told in the order of events: which shard a key lives in differs from run to run. */
static uint32_t visit_place(const struct step *step, const struct visit *visit)
{
    return step->watch ? 0 : visit->shard;
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

/* The visit that is `ahead` of number i; NULL: there is none. */
static struct coming *coming_at(struct coming *coming, const struct visit_list *list, uint32_t i, uint32_t ahead)
{
    uint32_t number = i - (AHEAD_SLOT - ahead); /* wraps where i is less: greater than any count */
    return number < list->count ? &coming[number % AHEAD_ROOM] : NULL;
}

static void strata_visit(void *context, uint32_t index, uint32_t workers)
{
    struct step *step = context;
    struct step_worker *worker = &step->worker[index];
    const struct visit_list *list = visits_sort(step, worker, index, workers);
    unset struct coming ring[AHEAD_ROOM];
    unset uint64_t mask[AHEAD_ROOM][MASK_WORDS_MAX];
    for (uint32_t i = 0; i < AHEAD_ROOM; i++) {
        ring[i].mask = mask[i];
        ring[i].cell = NULL;
    }
    for (uint32_t i = 0; i < list->count + AHEAD_SLOT; i++) {
        struct coming *coming;
        if ((coming = coming_at(ring, list, i, AHEAD_SLOT)) != NULL) {
            if (!i || list->visit[i].shard != list->visit[i - 1].shard)
                coming_shard(step, list, i);
            coming_begin(step, &list->visit[i], coming);
        }
        if ((coming = coming_at(ring, list, i, AHEAD_CELL)) != NULL) {
            event_prefetch(step, coming);
            coming->cell = cell_prefetch_body(coming->shard, coming->visit->keyspace, coming->visit->key);
        }
        if ((coming = coming_at(ring, list, i, AHEAD_PARTS)) != NULL)
            coming_parts(step, coming);
        if ((coming = coming_at(ring, list, i, AHEAD_ENDS)) != NULL)
            coming_ends(step, coming);
        if ((coming = coming_at(ring, list, i, 0)) != NULL)
            visit_work(step, worker, ring, coming);
    }
    for (uint32_t i = 0; i < MARKS_AHEAD; i++)
        mark_soon(step, worker, ENTITY_MISSING);
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
