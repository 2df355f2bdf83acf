/* Binds a compiled program to the layout of state, and lists what each stratum does per key. */
#include "engine/stream/plan_private.h"

#include "engine/base/invariant.h"
#include "engine/base/unset.h"
#include "rules/lang/fact.h"
#include "rules/lang/list.h"

#include <stdlib.h>

/* --- what holds ids, for the marks of engine/state --- */

static const uint8_t field_types[FIELD_COUNT] = {
#define FIELD(name, word, type, help) TYPE_##type,
#include "rules/lang/field.def"
#undef FIELD
};

static uint32_t entity_bits(const enum value_type *type, uint32_t count)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < count; i++)
        bits |= (uint32_t)fact_type_is_entity(type[i]) << i;
    return bits;
}

static uint16_t entity_extras(const struct stream *stream)
{
    enum value_type type[STREAM_EXTRA_MAX];
    for (uint8_t i = 0; i < stream->extra_count; i++)
        type[i] = stream->extra[i] < FIELD_COUNT ? (enum value_type)field_types[stream->extra[i]] : TYPE_COUNT;
    return (uint16_t)entity_bits(type, stream->extra_count);
}

/* --- layouts --- */

static void plan_clocks(struct plan *plan, uint16_t keyspace, struct keyspace_layout *layout, uint16_t *clock_local)
{
    const struct program *program = plan->program;
    uint64_t *hash = ARENA_ARRAY(&plan->arena, uint64_t, program->clock_count + 1);
    for (uint16_t i = 0; i < program->clock_count; i++) {
        if (program->clock[i].keyspace != keyspace)
            continue;
        clock_local[i] = layout->clock_count;
        hash[layout->clock_count++] = program->clock[i].hash;
    }
    layout->clock_hash = hash;
}

/* Aggregates of one stream: each stands once per clock in the window, for its tail follows the clock;
 * with a habit where some rule asks what is usual: `usual X` is bound to X's own place. */
static void plan_aggregates(struct plan *plan, uint16_t stream, struct window_layout *window, struct plan_stream *at,
                            struct plan_aggregate *bound, uint16_t window_index, int64_t lateness_ms)
{
    const struct program *program = plan->program;
    uint32_t count = 0;
    for (uint16_t i = 0; i < program->aggregate_count; i++)
        count += program->aggregate[i].stream == stream;
    struct aggregate_layout *aggregate = ARENA_ARRAY(&plan->arena, struct aggregate_layout, count + 1);
    uint16_t *habit = ARENA_ARRAY(&plan->arena, uint16_t, count + 1);
    uint16_t *clock = ARENA_ARRAY(&plan->arena, uint16_t, count + 1);
    for (uint16_t i = 0; i < program->aggregate_count; i++) {
        const struct aggregate *from = &program->aggregate[i];
        if (from->stream != stream)
            continue;
        uint16_t place = 0;
        while (place < window->aggregate_count && (aggregate[place].hash != from->base_hash || clock[place] != from->clock))
            place++;
        clock[place] = from->clock;
        if (place == window->aggregate_count)
            aggregate[window->aggregate_count++] =
                (struct aggregate_layout){.hash = from->base_hash,
                                          .fn = from->fn,
                                          .column = from->column,
                                          .days = from->days,
                                          .days_kept = from->days ? from->days + (int32_t)(lateness_ms / MS_PER_DAY) + 2 : 0};
        if (from->usual && !aggregate[place].habit) {
            habit[window->habit_count] = i;
            aggregate[place].habit = ++window->habit_count;
        }
        window->by_day |= from->days != 0;
        bound[i] = (struct plan_aggregate){.window = window_index, .aggregate = place, .habit = from->usual ? aggregate[place].habit : 0};
    }
    window->aggregate = aggregate;
    at->by_day = window->by_day;
    at->habit = habit;
    at->habit_count = window->habit_count;
}

static void plan_window(struct plan *plan, uint16_t stream, struct window_layout *window, struct plan_stream *at,
                        struct plan_aggregate *bound, uint16_t window_index, int64_t lateness_ms)
{
    const struct stream *def = &plan->program->stream[stream];
    *window = (struct window_layout){.hash = def->hash, .keep_ms = def->keep_ms + lateness_ms, .extra_count = def->extra_count,
                                     .entity_extras = entity_extras(def), .read_by_others = def->legs};
    at->window = window_index;
    plan_aggregates(plan, stream, window, at, bound, window_index, lateness_ms);
}

/* The layout of one keyspace; the local indexes go into the plan's tables. */
static void plan_layout(struct plan *plan, uint16_t keyspace, struct keyspace_layout *layout, uint16_t *clock_local,
                        struct plan_stream *stream, struct plan_memory *memory, struct plan_aggregate *aggregate,
                        int64_t lateness_ms)
{
    const struct program *program = plan->program;
    uint32_t streams = 0;
    for (uint16_t i = 0; i < program->stream_count; i++)
        streams += program->stream[i].keyspace == keyspace;
    struct window_layout *window = ARENA_ARRAY(&plan->arena, struct window_layout, streams + 1);
    struct memory_layout *kept = ARENA_ARRAY(&plan->arena, struct memory_layout, program->memory_count + 1);
    *layout = (struct keyspace_layout){.hash = program->keyspace[keyspace].hash,
                                       .width = program->keyspace[keyspace].width ? program->keyspace[keyspace].width : 1,
                                       .entity_words = (uint8_t)entity_bits(program->keyspace[keyspace].type, program->keyspace[keyspace].width),
                                       .mutual = program->keyspace[keyspace].mutual,
                                       .window = window,
                                       .memory = kept};
    plan_clocks(plan, keyspace, layout, clock_local);
    for (uint16_t i = 0; i < program->stream_count; i++) {
        if (program->stream[i].keyspace != keyspace)
            continue;
        plan_window(plan, i, &window[layout->window_count], &stream[i], aggregate, layout->window_count, lateness_ms);
        layout->window_count++;
        if (program->stream[i].widest_ms > layout->widest_ms)
            layout->widest_ms = program->stream[i].widest_ms;
    }
    for (uint16_t i = 0; i < program->memory_count; i++) {
        const struct memory *def = &program->memory[i];
        if (def->keyspace != keyspace)
            continue;
        memory[i].memory = layout->memory_count;
        kept[layout->memory_count++] =
            (struct memory_layout){.hash = def->hash,
                                   .for_ms = def->for_ms,
                                   .keep_count = def->keep_count,
                                   .entity_keeps = (uint8_t)entity_bits(def->keep_type, def->keep_count),
                                   .dated = def->fact};
        if (def->for_ms > layout->widest_ms)
            layout->widest_ms = def->for_ms;
    }
}

/* The last step ends the attempt: what its lets come to has a slot, but is never stored. */
static uint32_t kept_entities(const struct rule *rule)
{
    uint32_t bits = 0;
    for (uint8_t s = 0; s + 1 < rule->step_count; s++)
        for (uint8_t k = 0; k < rule->step[s].kept_count; k++) {
            const struct kept_let *kept = &rule->step[s].kept[k];
            bits |= (uint32_t)fact_type_is_entity((enum value_type)rule->body.node[kept->node].type) << kept->slot;
        }
    return bits;
}

static void plan_attempts(struct plan *plan, uint16_t keyspace, struct keyspace_layout *layout, struct plan_rule *rule)
{
    const struct program *program = plan->program;
    struct attempt_layout *attempt = ARENA_ARRAY(&plan->arena, struct attempt_layout, program->rule_count + 1);
    for (uint16_t i = 0; i < program->rule_count; i++) {
        const struct rule *def = &program->rule[i];
        if (def->keyspace != keyspace || def->step_count == 1)
            continue;
        rule[i].attempt = layout->attempt_count;
        attempt[layout->attempt_count++] = (struct attempt_layout){.hash = def->attempt_hash,
                                                                   .word_count = attempt_words(def->step_count, def->kept_count),
                                                                   .time_word = ATTEMPT_TIME_WORD,
                                                                   .kept_from = attempt_words(def->step_count, 0),
                                                                   .entity_kept = kept_entities(def)};
        if (def->within_ms > layout->widest_ms)
            layout->widest_ms = def->within_ms;
    }
    layout->attempt = attempt;
}

/* Which rules each stream touches, so that a visit meets only these. */
static void plan_touches(struct plan *plan, struct plan_keyspace *at)
{
    const struct program *program = plan->program;
    at->rule_words = (uint16_t)(at->rule_count / 64 + 1);
    uint64_t *touches = ARENA_ARRAY(&plan->arena, uint64_t, at->stream_count * at->rule_words + 1);
    uint64_t *always = ARENA_ARRAY(&plan->arena, uint64_t, at->rule_words);
    for (uint16_t j = 0; j < at->rule_count; j++) {
        const struct rule *rule = &program->rule[at->rule[j]];
        for (uint16_t i = 0; i < rule->stream_count; i++)
            mask_set(touches + plan->stream[rule->stream[i]].bit * at->rule_words, j);
        if (rule->touched_by_all) {
            mask_set(always, j);
            at->touched_by_all = true;
        }
    }
    at->touches = touches;
    at->touched_always = always;
}

/* Of rules without a key. */
static void plan_conditions(struct plan *plan, struct plan_keyspace *at)
{
    const struct program *program = plan->program;
    static const struct expr always = {0};
    struct filter_item *item = ARENA_ARRAY(&plan->arena, struct filter_item, at->rule_count + 1);
    struct expr *condition = ARENA_ARRAY(&plan->arena, struct expr, at->rule_count + 1);
    for (uint16_t j = 0; j < at->rule_count; j++) {
        const struct rule *rule = &program->rule[at->rule[j]];
        condition[j] = rule->watched ? always
                                     : (struct expr){.node = rule->body.node, .count = rule->body.count, .root = rule->step[0].part.root};
        item[j] = (struct filter_item){STREAM_TRANSFERS, &condition[j]};
    }
    at->conditions = filter_index_new(&plan->arena, program, item, at->rule_count);
}

/* One index for all keyspaces and strata: what an event is in is looked up once for each of its sides. */
static void plan_filters(struct plan *plan)
{
    const struct program *program = plan->program;
    uint32_t count = (uint32_t)program->stream_count + program->memory_count;
    struct filter_item *item = ARENA_ARRAY(&plan->arena, struct filter_item, count + 1);
    uint32_t *place = ARENA_ARRAY(&plan->arena, uint32_t, count + 1);
    uint64_t *exact = ARENA_ARRAY(&plan->arena, uint64_t, plan->mask_words + 1u);
    for (uint16_t i = 0; i < program->stream_count; i++) {
        const struct stream *stream = &program->stream[i];
        item[i] = (struct filter_item){(enum stream_flow)stream->flow, &stream->filter};
        place[i] = row_place(plan_at(plan, stream->stratum, stream->keyspace), plan->stream[i].bit);
    }
    for (uint16_t i = 0; i < program->memory_count; i++) {
        const struct memory *memory = &program->memory[i];
        item[program->stream_count + i] = (struct filter_item){(enum stream_flow)memory->flow, &memory->filter};
        place[program->stream_count + i] = row_place(plan_at(plan, memory->stratum, memory->keyspace), plan->memory[i].bit);
    }
    plan->filters = filter_index_new(&plan->arena, program, item, count);
    for (uint32_t i = 0; i < count; i++)
        if (mask_bit(filter_index_exact(plan->filters), i))
            mask_set(exact, place[i]);
    plan->place = place;
    plan->exact = exact;
}

/* A read of a memory that makes the node unknown where it finds nothing; NULL: none. */
static const struct node *strict_read(const struct expr *expr, uint16_t at)
{
    const struct node *node = &expr->node[at], *left;
    switch ((enum opcode)node->op) {
    case OP_MEMORY:
        return node;
    case OP_NOT:
    case OP_NEG:
    case OP_AGE:
    case OP_IN_LIST:
    case OP_BETWEEN:
        return strict_read(expr, node->a);
    case OP_EQ:
    case OP_NE:
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
        left = strict_read(expr, node->a);
        return left ? left : strict_read(expr, node->b);
    default:
        return NULL;
    }
}

/* A read of a memory that must find something where the node is to be true; NULL: none. */
static const struct node *needed_read(const struct expr *expr, uint16_t at)
{
    const struct node *node = &expr->node[at], *left;
    if (node->op == OP_KNOWN)
        return strict_read(expr, node->a);
    if (node->op != OP_AND)
        return strict_read(expr, at);
    left = needed_read(expr, node->a);
    return left ? left : needed_read(expr, node->b);
}

static struct plan_need filter_need(const struct program *program, const struct expr *filter)
{
    const struct node *node = filter->count ? needed_read(filter, filter->root) : NULL;
    if (!node)
        return (struct plan_need){{NEED_NONE, NEED_NONE}};
    uint16_t value = node->c == READ_TIME ? 0 : (uint16_t)(1 + node->c);
    return (struct plan_need){{(uint16_t)(program->read[node->a].slot + value), (uint16_t)(program->read[node->b].slot + value)}};
}

static void plan_needs(struct plan *plan, struct plan_keyspace *at)
{
    const struct program *program = plan->program;
    struct plan_need *need = ARENA_ARRAY(&plan->arena, struct plan_need, at->stream_count + at->memory_count + 1u);
    for (uint16_t i = 0; i < at->stream_count; i++)
        need[i] = filter_need(program, &program->stream[at->stream[i]].filter);
    for (uint16_t i = 0; i < at->memory_count; i++)
        need[at->stream_count + i] = filter_need(program, &program->memory[at->memory[i]].filter);
    at->need = need;
}

/* Of an element of a composite key, or of a value seen with a key. */
static struct plan_word element_word(const struct expr *element)
{
    bool field = element->count == 1 && element->node[0].op == OP_FIELD; /* nearly all */
    return (struct plan_word){.ref = REF_COUNT, .field = field ? (enum field)element->node[0].imm : FIELD_COUNT, .expr = element};
}

static enum event_ref entity_ref(const struct key_entity *entity, int side)
{
    return entity->ref[entity->ref[side] == REF_COUNT ? SIDE_SENDER : side];
}

/* Returns how many words there are. */
static uint8_t key_words(const struct program *program, const struct keyspace *keyspace, int side, struct plan_word *word)
{
    uint8_t count = 0;
    if (keyspace->form == KEY_PAIR) {
        word[0] = (struct plan_word){.ref = REF_SENDER};
        word[1] = (struct plan_word){.ref = REF_RECEIVER};
        return 2;
    }
    if (keyspace->form == KEY_COMPOSITE || keyspace->form == KEY_SEEN) {
        if (keyspace->form == KEY_SEEN)
            count = key_words(program, &program->keyspace[keyspace->base], side, word);
        for (uint8_t e = 0; count < keyspace->width; e++)
            word[count++] = element_word(&keyspace->element[e]);
        return count;
    }
    if (key_is_entity(keyspace->form))
        word->ref = entity_ref(key_entity(keyspace->form), side);
    else if (keyspace->form == KEY_CARRIERS)
        word->ref = entity_ref(key_entity((enum key_form)keyspace->base), side);
    else /* accounts, with what graph operators search */
        word->ref = side == SIDE_RECEIVER ? REF_RECEIVER : REF_SENDER;
    return 1;
}

static void plan_key(struct plan *plan, struct plan_keyspace *at)
{
    for (int side = SIDE_SENDER; side <= SIDE_RECEIVER; side++) {
        struct plan_word *word = ARENA_ARRAY(&plan->arena, struct plan_word, KEY_WIDTH_MAX);
        invariant(key_words(plan->program, at->def, side, word) == at->def->width);
        at->key[side] = word;
    }
}

static uint16_t *numbers(struct plan *plan, const uint16_t *from, uint16_t count)
{
    uint16_t *copy = ARENA_ARRAY(&plan->arena, uint16_t, count + 1);
    memcpy(copy, from, count * sizeof *copy);
    return copy;
}

static uint16_t row_whole(uint32_t bits)
{
    return (uint16_t)((bits + 63) / 64 * 64);
}

/* A mask that does not end in the word it begins in has words of its own. With a word for each keyspace the shipped pack's rows were
 * nine times as long, and visits waited for them. */
static void plan_row(struct plan *plan, struct plan_keyspace *at)
{
    uint32_t count = (uint32_t)at->stream_count + at->memory_count;
    if (plan->row_bits % 64 + count > 64)
        plan->row_bits = row_whole(plan->row_bits);
    at->word = plan->row_bits / 64;
    at->shift = plan->row_bits % 64;
    at->words = (uint16_t)(row_whole(count) / 64);
    at->span = (count < 64 ? ((uint64_t)1 << count) - 1 : UINT64_MAX) << at->shift;
    plan->row_bits = (uint16_t)(plan->row_bits + (count > 64 ? row_whole(count) : count));
    plan->mask_words = (uint16_t)(plan->row_bits / 64 + 1);
}

/* False when there is nothing to do for the keyspace in this stratum. */
static bool plan_stratum(struct plan *plan, uint32_t stratum, uint16_t keyspace, struct plan_stream *streams, struct plan_memory *memories,
                         struct plan_keyspace *at)
{
    const struct program *program = plan->program;
    uint16_t stream[LIMIT_STREAMS], memory[LIMIT_MEMORIES], rule[LIMIT_RULES];
    uint16_t *read = ARENA_ARRAY(&plan->arena, uint16_t, program->read_count + 1);
    at->def = &program->keyspace[keyspace];
    at->keyspace = keyspace;
    for (uint16_t i = 0; i < program->stream_count; i++) {
        if (program->stream[i].keyspace == keyspace && program->stream[i].stratum == stratum) {
            streams[i].bit = at->stream_count;
            stream[at->stream_count++] = i;
        }
    }
    for (uint16_t i = 0; i < program->memory_count; i++) {
        if (program->memory[i].keyspace == keyspace && program->memory[i].stratum == stratum) {
            memories[i].bit = (uint16_t)(at->stream_count + at->memory_count);
            memory[at->memory_count++] = i;
        }
    }
    for (uint16_t i = 0; i < program->read_count; i++) {
        const struct memory *of = &program->memory[program->read[i].memory];
        if (of->keyspace == keyspace && of->stratum == stratum)
            read[at->read_count++] = i;
    }
    for (uint16_t i = 0; i < program->rule_count; i++)
        if (program->rule[i].keyspace == keyspace && program->rule[i].stratum == stratum)
            rule[at->rule_count++] = i;
    at->stream = numbers(plan, stream, at->stream_count);
    at->memory = numbers(plan, memory, at->memory_count);
    at->rule = numbers(plan, rule, at->rule_count);
    at->read = read;
    if (at->stream_count + at->memory_count + at->read_count + at->rule_count == 0)
        return false;
    if (at->def->form == KEY_TRANSFER)
        plan_conditions(plan, at);
    else
        plan_key(plan, at);
    plan_touches(plan, at);
    plan_needs(plan, at);
    plan_row(plan, at);
    return true;
}

/* --- who asks memories --- */

/* While a plan is made: for each read_side of each stratum and keyspace, the bits of all that ask there. */
struct asking {
    struct plan *plan;
    struct plan_keyspace *at; /* the plan's own */
    uint64_t *bits;           /* [(stratum * keyspaces + keyspace) * READ_SIDES + side][mask_words] */
};

/* Whoever stands at this place of a row uses what the expression reads; UINT32_MAX: whoever it is, at any event. */
static void ask_expr(const struct asking *asking, const struct expr *expr, uint32_t place)
{
    const struct program *program = asking->plan->program;
    for (uint16_t n = 0; n < expr->count; n++) {
        const struct node *node = &expr->node[n];
        const uint16_t reads[] = {node->a, node->b};
        for (int i = 0; i < 2 && (node->op == OP_MEMORY || node->op == OP_NEW); i++) {
            const struct memory_read *read = &program->read[reads[i]];
            const struct memory *memory = &program->memory[read->memory];
            size_t at = (size_t)memory->stratum * program->keyspace_count + memory->keyspace;
            if (place == UINT32_MAX)
                asking->at[at].ask[read->side].always = true;
            else
                mask_set(asking->bits + (at * READ_SIDES + read->side) * asking->plan->mask_words, place);
        }
    }
}

/* A source's filter, and the words of its keys. */
static void ask_source(const struct asking *asking, const struct expr *filter, uint16_t keyspace, uint32_t place)
{
    const struct keyspace *def = &asking->plan->program->keyspace[keyspace];
    ask_expr(asking, filter, place);
    if (def->form == KEY_COMPOSITE)
        for (uint8_t e = 0; e < def->width; e++)
            ask_expr(asking, &def->element[e], place);
    if (def->form == KEY_SEEN)
        ask_source(asking, &def->element[0], def->base, place);
}

/* A rule is evaluated when an event enters one of its streams. */
static void ask_rule(const struct asking *asking, const struct rule *rule)
{
    const struct plan *plan = asking->plan;
    bool always = rule->touched_by_all || plan->program->keyspace[rule->keyspace].form == KEY_TRANSFER;
    for (uint16_t i = 0; i < (always ? 1 : rule->stream_count); i++) {
        uint32_t place = always ? UINT32_MAX : plan->place[rule->stream[i]];
        ask_expr(asking, &rule->body, place);
        for (uint8_t e = 0; e < rule->except_count; e++)
            ask_expr(asking, &rule->except[e].condition, place);
    }
}

static void ask_close(const struct asking *asking, const uint64_t *bits, struct plan_ask *ask)
{
    struct plan *plan = asking->plan;
    struct plan_asker *asker = ARENA_ARRAY(&plan->arena, struct plan_asker, plan->mask_words + 1u);
    for (uint16_t w = 0; w < plan->mask_words; w++)
        if (bits[w])
            asker[ask->count++] = (struct plan_asker){w, bits[w]};
    ask->asker = asker;
}

/* What a memory holds is looked up only for events that may enter a source whose filter, key, kept values or rules use it. */
static void plan_asks(struct plan *plan, struct plan_keyspace *at)
{
    const struct program *program = plan->program;
    size_t count = (size_t)program->stratum_count * program->keyspace_count * READ_SIDES;
    struct asking asking = {plan, at, calloc(count * plan->mask_words + 1, sizeof *asking.bits)};
    invariant(asking.bits);
    for (uint16_t i = 0; i < program->stream_count; i++)
        ask_source(&asking, &program->stream[i].filter, program->stream[i].keyspace, plan->place[i]);
    for (uint16_t i = 0; i < program->memory_count; i++) {
        const struct memory *memory = &program->memory[i];
        uint32_t place = plan->place[program->stream_count + i];
        ask_source(&asking, &memory->filter, memory->keyspace, place);
        for (uint8_t k = 0; k < memory->keep_count; k++)
            ask_expr(&asking, &memory->keep[k], place);
    }
    for (uint16_t i = 0; i < program->rule_count; i++)
        ask_rule(&asking, &program->rule[i]);
    for (size_t i = 0; i < count; i++)
        ask_close(&asking, asking.bits + i * plan->mask_words, &at[i / READ_SIDES].ask[i % READ_SIDES]);
    free(asking.bits);
}

static const uint64_t *plan_touched(struct plan *plan, const struct rule *rule, uint32_t inputs, uint16_t words)
{
    uint64_t *mask = ARENA_ARRAY(&plan->arena, uint64_t, words + 1);
    for (uint16_t i = 0; i < rule->input_count; i++)
        if (inputs >> i & 1)
            mask_set(mask, plan->stream[plan->program->aggregate[rule->input[i]].stream].bit);
    return mask;
}

/* The range that a node asks an input to lie in; false when the node does not compare an input with numbers. */
static bool gate_range(const struct expr *body, const struct node *node, struct plan_gate *gate)
{
    if (node->op != OP_EQ && node->op != OP_LT && node->op != OP_LE && node->op != OP_GT && node->op != OP_GE && node->op != OP_BETWEEN)
        return false;
    const struct node *input = &body->node[node->a], *low = &body->node[node->b];
    const struct node *high = node->op == OP_BETWEEN ? &body->node[node->c] : low;
    if (input->op != OP_INPUT || low->op != OP_CONST || high->op != OP_CONST)
        return false;
    *gate = (struct plan_gate){.input = (uint8_t)input->imm, .low = low->imm, .high = high->imm};
    if (node->op == OP_LT || node->op == OP_LE)
        gate->low = INT64_MIN;
    if (node->op == OP_GT || node->op == OP_GE)
        gate->high = INT64_MAX;
    if ((node->op == OP_LT && gate->high == INT64_MIN) || (node->op == OP_GT && gate->low == INT64_MAX))
        return false;
    gate->high -= node->op == OP_LT;
    gate->low += node->op == OP_GT;
    return true;
}

/* How many records a window holds at least when an aggregate of it lies in the gate's range. */
static uint32_t gate_records(const struct aggregate *aggregate, int64_t low)
{
    if (aggregate->usual || aggregate->days)
        return 0; /* kept beyond the records */
    if (aggregate->fn == AGGREGATE_COUNT || aggregate->fn == AGGREGATE_DISTINCT)
        return low < 0 ? 0 : low > UINT32_MAX ? UINT32_MAX : (uint32_t)low;
    return aggregate->fn != AGGREGATE_SUM || low > 0; /* over nothing a sum is 0, all others are missing */
}

static void plan_gates(struct plan *plan, const struct rule *def, struct plan_part *part)
{
    const struct expr *body = &def->body;
    unset uint16_t conjunct[EXPR_NODE_MAX];
    uint16_t count = 0, node = part->part->root;
    for (; body->node[node].op == OP_AND; node = body->node[node].a)
        conjunct[count++] = body->node[node].b;
    conjunct[count++] = node;
    struct plan_gate *gate = ARENA_ARRAY(&plan->arena, struct plan_gate, count);
    while (count > 0) {
        struct plan_gate *next = &gate[part->gate_count];
        if (!gate_range(body, &body->node[conjunct[--count]], next))
            continue;
        uint16_t aggregate = def->input[next->input];
        next->window = plan->aggregate[aggregate].window;
        next->records = gate_records(&plan->program->aggregate[aggregate], next->low);
        part->gate_count++;
    }
    part->gate = gate;
}

static void plan_inputs(const struct rule *def, const struct rule_part *part, uint32_t *inputs)
{
    uint32_t so_far = 0;
    for (uint16_t i = part->from; i < part->to; i++) {
        if (def->body.node[i].op == OP_INPUT)
            so_far |= 1u << def->body.node[i].imm;
        inputs[i] = so_far;
    }
}

static void plan_part(struct plan *plan, const struct rule *def, const struct rule_part *from, const struct plan_rule *rule,
                      uint32_t *inputs, struct plan_part *part)
{
    struct plan_leg *leg = ARENA_ARRAY(&plan->arena, struct plan_leg, def->graph_count + 1u);
    uint16_t *trace = ARENA_ARRAY(&plan->arena, uint16_t, def->graph_count + 1u);
    *part = (struct plan_part){.part = from, .mask = plan_touched(plan, def, from->inputs, rule->words), .leg = leg, .trace = trace};
    for (uint8_t g = 0; from->barren && g < def->graph_count; g++) {
        if (graph_completed(def->graph[g].op))
            leg[part->leg_count++] = rule->leg[g];
        else if (graph_excludable(&def->graph[g]))
            trace[part->trace_count++] = plan->program->stream[def->graph[g].out[LEG_ANY]].keyspace;
    }
    plan_gates(plan, def, part);
    plan_inputs(def, from, inputs);
}

static void plan_parts(struct plan *plan, const struct rule *def, struct plan_rule *rule)
{
    uint32_t *inputs = ARENA_ARRAY(&plan->arena, uint32_t, def->body.count + 1u);
    struct plan_part *step = ARENA_ARRAY(&plan->arena, struct plan_part, def->step_count);
    struct plan_part *unless = ARENA_ARRAY(&plan->arena, struct plan_part, def->step_count);
    for (uint8_t s = 0; s < def->step_count; s++) {
        plan_part(plan, def, &def->step[s].part, rule, inputs, &step[s]);
        if (def->unless)
            plan_part(plan, def, &def->unless[s], rule, inputs, &unless[s]);
    }
    rule->inputs = inputs;
    rule->step = step;
    rule->unless = def->unless ? unless : NULL;
}

static void plan_rules(struct plan *plan, const uint16_t *clock_local, struct plan_rule *rule)
{
    const struct program *program = plan->program;
    for (uint16_t i = 0; i < program->rule_count; i++) {
        const struct rule *def = &program->rule[i];
        for (uint16_t j = 0; j < def->stream_count; j++) {
            invariant(program->stream[def->stream[j]].keyspace == def->keyspace);
            invariant(program->stream[def->stream[j]].stratum == def->stratum);
        }
        rule[i].words = plan_at(plan, def->stratum, def->keyspace)->words;
        plan_legs(plan, def, &rule[i]);
        plan_parts(plan, def, &rule[i]);
        if (program->keyspace[def->keyspace].form != KEY_TRANSFER)
            rule[i].clock = clock_local[def->clock];
    }
    plan->rule = rule;
}

/* FNV-1a: amounts are minor units of the base currency, days those of the timezone. */
static uint64_t plan_basis(const struct program *program)
{
    uint64_t hash = 0xCBF29CE484222325u ^ program->base;
    for (size_t i = 0; i < program->zone_name.size; i++)
        hash = (hash ^ (unsigned char)program->zone_name.data[i]) * 0x100000001B3u;
    return hash;
}

struct plan *plan_new(const struct program *program, const struct plan_settings *settings)
{
    struct plan *plan = calloc(1, sizeof *plan);
    invariant(plan != NULL);
    arena_init(&plan->arena);
    plan->program = program;
    invariant(program->stream_count <= LIMIT_STREAMS && program->memory_count <= LIMIT_MEMORIES && program->rule_count <= LIMIT_RULES);
    struct plan_stream *stream = ARENA_ARRAY(&plan->arena, struct plan_stream, program->stream_count + 1);
    struct plan_memory *memory = ARENA_ARRAY(&plan->arena, struct plan_memory, program->memory_count + 1);
    struct plan_aggregate *aggregate = ARENA_ARRAY(&plan->arena, struct plan_aggregate, program->aggregate_count + 1);
    struct plan_rule *rule = ARENA_ARRAY(&plan->arena, struct plan_rule, program->rule_count + 1);
    uint16_t *clock_local = ARENA_ARRAY(&plan->arena, uint16_t, program->clock_count + 1);
    struct keyspace_layout *layout = ARENA_ARRAY(&plan->arena, struct keyspace_layout, program->keyspace_count + 1);
    struct plan_keyspace *at =
        ARENA_ARRAY(&plan->arena, struct plan_keyspace, (uint32_t)program->stratum_count * program->keyspace_count + 1);
    plan->stream = stream;
    plan->memory = memory;
    plan->aggregate = aggregate;
    plan->at = at;
    for (uint32_t s = 0; s < STRATUM_MAX; s++)
        plan->busy[s] = ARENA_ARRAY(&plan->arena, const struct plan_keyspace *, program->keyspace_count + 1u);
    for (uint16_t k = 0; k < program->keyspace_count; k++) {
        plan_layout(plan, k, &layout[k], clock_local, stream, memory, aggregate, settings->lateness_ms);
        plan_attempts(plan, k, &layout[k], rule);
        for (uint32_t s = 0; s < program->stratum_count; s++)
            if (plan_stratum(plan, s, k, stream, memory, &at[s * program->keyspace_count + k]))
                plan->busy[s][plan->busy_count[s]++] = plan_at(plan, s, k);
    }
    plan_lacks(plan, at);
    plan_filters(plan);
    plan_asks(plan, at);
    plan_rules(plan, clock_local, rule);
    plan_idle(plan, at);
    plan_routes(plan);
    plan->layout = (struct state_layout){.keyspace_count = program->keyspace_count,
                                         .keyspace = layout,
                                         .basis = plan_basis(program),
                                         .lateness_ms = settings->lateness_ms,
                                         .shard_bytes_max = settings->shard_bytes_max};
    return plan;
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    arena_fini(&plan->arena);
    free(plan);
}
