/* Evaluation: fields, three-valued logic and rounding, against a model that works each node alone. */
#include "rules/lang/eval.h"

#include "rules/lang/list.h"

#include <criterion/criterion.h>

static const struct value missing = {0, false};

static struct value known(int64_t number)
{
    return (struct value){number, true};
}

/* Entities with an odd id are on list 0. */
static uint64_t odd_lists(const void *context, entity_id id)
{
    (void)context;
    return id & 1;
}

/* A world: a program with a list of accounts, a list of codes and two memory reads, and one event. */
struct world {
    struct zone *zone;
    struct list *list[2];
    struct memory_read read[2];
    struct program program;
    struct event event;
    int64_t slot[8];
    struct value input[4], kept[4], graph[4];
    struct evaluation ev;
};

static void world_make(struct world *world)
{
    struct error err = {0};
    *world = (struct world){.read = {{.side = READ_SENDER, .slot = 0}, {.side = READ_RECEIVER, .slot = 4}}};
    world->zone = zone_load(SLICE("Africa/Nairobi"), &err);
    cr_assert(world->zone != NULL, "%s", err.text);
    world->list[0] = list_new(SLICE("accounts"), TYPE_ACCOUNT);
    world->list[1] = list_new(SLICE("codes"), TYPE_MCC);
    cr_assert(list_add_text(world->list[1], SLICE("0003-0006")));
    world->program = (struct program){.zone = world->zone, .read_count = 2, .read = world->read, .list_count = 2, .list = world->list};
    world->ev = (struct evaluation){.program = &world->program, .event = &world->event, .slot = world->slot, .input = world->input, .kept = world->kept, .graph = world->graph,
                                    .entity_lists = odd_lists};
}

static void world_end(struct world *world)
{
    list_free(world->list[0]);
    list_free(world->list[1]);
    zone_free(world->zone);
}

static struct value read_field(struct world *world, int side, enum field which)
{
    return eval_field(&world->program, &world->event, side, which);
}

#define EXPECT_KNOWN(got, want)                                                    \
    do {                                                                           \
        struct value got_ = (got);                                                 \
        cr_expect(got_.known && got_.number == (want), "%ld", (long)got_.number);  \
    } while (0)

Test(eval, fields_of_an_event)
{
    struct world world;
    world_make(&world);
    struct event *event = &world.event;
    *event = (struct event){.time_ms = 1772478600000, /* 2026-03-02 19:10:00 UTC, a Monday: 22:10 in Nairobi */
                            .amount_base = 20000,
                            .currency = currency_parse(SLICE("KES")),
                            .mcc = 7011,
                            .sender_country = country_parse(SLICE("KE")),
                            .receiver_country = country_parse(SLICE("SO")),
                            .kind = KIND_TRANSFER,
                            .channel = CHANNEL_WALLET,
                            .purpose = {'S', 'A', 'L', 'A'}};
    for (int r = 0; r < REF_COUNT; r++)
        event->ref[r] = (entity_id)(100 + r);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_AMOUNT), 20000);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_LOCAL_TIME), (22 * 60 + 10) * 60000);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_WEEKDAY), 1);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_PURPOSE), 0x53414c41);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_CROSS_BORDER), 1);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_CORRIDOR), (int64_t)event->sender_country << 16 | event->receiver_country);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_ACCOUNT), 100 + REF_SENDER);
    EXPECT_KNOWN(read_field(&world, SIDE_RECEIVER, FIELD_ACCOUNT), 100 + REF_RECEIVER);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_OTHER), 100 + REF_RECEIVER);
    EXPECT_KNOWN(read_field(&world, SIDE_RECEIVER, FIELD_OTHER_DEVICE), 100 + REF_SENDER_DEVICE);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_OTHER_COUNTRY), event->receiver_country);
    EXPECT_KNOWN(read_field(&world, SIDE_RECEIVER, FIELD_ACCOUNT_ADDRESS), 100 + REF_RECEIVER_ADDRESS);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_TERMINAL), 100 + REF_TERMINAL);
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_TIME), event->time_ms);
    cr_expect_not(read_field(&world, SIDE_SENDER, FIELD_NARRATIVE).known);
    world_end(&world);
}

Test(eval, every_field_of_an_empty_event_is_missing_but_its_time_and_border)
{
    struct world world;
    world_make(&world);
    world.event.amount_base = MISSING_I64;
    for (int f = 0; f < FIELD_COUNT; f++) {
        bool always = f == FIELD_TIME || f == FIELD_LOCAL_TIME || f == FIELD_WEEKDAY || f == FIELD_CROSS_BORDER;
        for (int side = SIDE_SENDER; side <= SIDE_RECEIVER; side++)
            cr_expect_eq(read_field(&world, side, (enum field)f).known, always, "field %d", f);
    }
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_CROSS_BORDER), 0);
    world.event.sender_country = 5;
    EXPECT_KNOWN(read_field(&world, SIDE_SENDER, FIELD_CROSS_BORDER), 0);
    cr_expect_not(read_field(&world, SIDE_SENDER, FIELD_CORRIDOR).known);
    world_end(&world);
}

/* --- the model: one node at a time, from the definition --- */

static __int128 model_clamp(__int128 exact)
{
    __int128 most = INT64_MAX;
    return exact > most ? most : exact < -most ? -most : exact;
}

/* The nearest whole number to up / down, ties to the even one: by looking at both neighbours. */
static struct value model_round(__int128 up, __int128 down)
{
    if (down == 0)
        return missing;
    __int128 low = up / down;
    if (low * down != up && (up < 0) != (down < 0))
        low -= 1; /* floor */
    __int128 size = down < 0 ? -down : down;
    __int128 to_low = down < 0 ? low * down - up : up - low * down; /* distances times |down| */
    __int128 to_high = size - to_low;
    bool take_low = to_low < to_high || (to_low == to_high && low % 2 == 0);
    return known((int64_t)model_clamp(take_low ? low : low + 1));
}

static struct value model_numbers(enum opcode op, int64_t a, int64_t b)
{
    switch (op) {
    case OP_EQ: return known(a == b);
    case OP_NE: return known(!(a == b));
    case OP_LT: return known(a < b);
    case OP_LE: return known(!(b < a));
    case OP_GT: return known(b < a);
    case OP_GE: return known(!(a < b));
    case OP_ADD: return known((int64_t)model_clamp((__int128)a + b));
    case OP_SUB: return known((int64_t)model_clamp((__int128)a - b));
    case OP_MUL_INT: return known((int64_t)model_clamp((__int128)a * b));
    case OP_MUL_PERCENT: return model_round((__int128)a * b, 1000000);
    case OP_DIV_INT: return model_round(a, b);
    default: return model_round((__int128)1000000 * a, b);
    }
}

/* 0 false, 1 unknown, 2 true: and is the least, or the greatest, not the mirror image. */
static int model_truth(struct value v)
{
    return !v.known ? 1 : v.number ? 2 : 0;
}

static struct value model_value(int truth)
{
    return truth == 1 ? missing : known(truth == 2);
}

static struct value slot_value(int64_t number)
{
    return number == MISSING_I64 ? missing : known(number);
}

static struct value model_eval(const struct world *w, const struct expr *expr, uint16_t at);

static struct value model_outside(const struct world *w, const struct expr *expr, const struct node *n)
{
    struct value v;
    switch ((enum opcode)n->op) {
    case OP_CONST: return known(n->imm);
    case OP_MISSING: return missing;
    case OP_FIELD: return eval_field(&w->program, &w->event, w->ev.side, (enum field)n->imm);
    case OP_INPUT: return w->input[n->imm];
    case OP_GRAPH: return w->graph[n->imm];
    case OP_KEPT: return w->kept[n->imm];
    case OP_MEMORY: return slot_value(w->slot[(w->ev.side == SIDE_SENDER ? 0 : 4) + (n->c == READ_TIME ? 0 : n->c + 1)]);
    case OP_MATCHES:
        return w->event.text_unknown & (uint64_t)1 << n->imm ? missing : known((w->event.text_true & (uint64_t)1 << n->imm) != 0);
    default:
        v = model_eval(w, expr, n->a);
        if (!v.known)
            return missing;
        return known(n->imm == 0 ? (v.number & 1) != 0 : v.number >= 3 && v.number <= 6);
    }
}

static struct value model_eval(const struct world *w, const struct expr *expr, uint16_t at)
{
    const struct node *n = &expr->node[at];
    if (n->op <= OP_INPUT || n->op == OP_MATCHES || n->op == OP_IN_LIST)
        return model_outside(w, expr, n);
    if (n->op == OP_NEW) {
        struct value seen = slot_value(w->slot[w->ev.side == SIDE_SENDER ? 0 : 4]);
        if (!model_eval(w, expr, n->c).known)
            return missing;
        return known(!seen.known || (__int128)w->event.time_ms - seen.number >= n->imm);
    }
    struct value a = model_eval(w, expr, n->a), b, c;
    switch ((enum opcode)n->op) {
    case OP_NOT: return model_value(2 - model_truth(a));
    case OP_KNOWN: return known(a.known);
    case OP_NEG: return a.known ? known((int64_t)model_clamp(-(__int128)a.number)) : missing;
    case OP_AGE: return a.known ? known((int64_t)model_clamp((__int128)w->event.time_ms - a.number)) : missing;
    default: break;
    }
    b = model_eval(w, expr, n->b);
    switch ((enum opcode)n->op) {
    case OP_AND: return model_value(model_truth(a) < model_truth(b) ? model_truth(a) : model_truth(b));
    case OP_OR: return model_value(model_truth(a) > model_truth(b) ? model_truth(a) : model_truth(b));
    case OP_DEFAULT: return a.known ? a : b;
    default: break;
    }
    if (n->op != OP_BETWEEN && n->op != OP_BETWEEN_CLOCK)
        return a.known && b.known ? model_numbers((enum opcode)n->op, a.number, b.number) : missing;
    c = model_eval(w, expr, n->c);
    if (!a.known || !b.known || !c.known)
        return missing;
    bool from = b.number <= a.number, to = a.number <= c.number;
    return known(n->op == OP_BETWEEN_CLOCK && b.number > c.number ? from || to : from && to);
}

/* --- random expressions --- */

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static uint32_t random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(random_next(state) >> 33) % bound;
}

/* Small numbers mostly, for equality and ties; sometimes the edges of 64 bits. */
static int64_t random_number(uint64_t *state)
{
    switch (random_below(state, 8)) {
    case 0: return (int64_t)(random_next(state) >> random_below(state, 60) >> 1);
    case 1: return -(int64_t)(random_next(state) >> random_below(state, 60) >> 1);
    case 2: return INT64_MAX - (int64_t)random_below(state, 3);
    case 3: return 500000 * (int64_t)random_below(state, 7);
    default: return (int64_t)random_below(state, 9) - 2;
    }
}

static struct value random_value(uint64_t *state)
{
    return random_below(state, 4) == 0 ? missing : known(random_number(state));
}

static void random_world(uint64_t *state, struct world *w)
{
    for (int i = 0; i < 8; i++)
        w->slot[i] = random_below(state, 4) ? random_number(state) : MISSING_I64;
    for (int i = 0; i < 4; i++) {
        w->input[i] = random_value(state);
        w->kept[i] = random_value(state);
        w->graph[i] = random_value(state);
    }
    w->event.time_ms = (int64_t)(random_next(state) % 4000000000000u);
    w->event.amount_base = random_below(state, 3) ? random_number(state) : MISSING_I64;
    w->event.mcc = (uint16_t)random_below(state, 8);
    w->event.text_true = random_next(state);
    w->event.text_unknown = random_next(state) & random_next(state);
    for (int r = 0; r < REF_COUNT; r++)
        w->event.ref[r] = random_below(state, 5);
    w->ev.side = (int)random_below(state, 2);
}

static struct node random_node(uint64_t *state, uint16_t at)
{
    struct node n = {.op = (uint8_t)random_below(state, OP_COUNT)};
    if (at == 0 || random_below(state, 3) == 0) {
        static const uint8_t leaf[] = {OP_CONST, OP_CONST, OP_MISSING, OP_FIELD, OP_MEMORY, OP_INPUT, OP_GRAPH, OP_KEPT, OP_MATCHES};
        n.op = leaf[random_below(state, sizeof leaf)];
    } else if (random_below(state, 3) == 0) {
        n.op = random_below(state, 2) ? OP_AND : OP_OR;
    }
    if (n.op == OP_MEMORY) {
        n = (struct node){.op = OP_MEMORY, .a = 0, .b = 1, .c = (uint16_t)(random_below(state, 2) ? READ_TIME : random_below(state, 3))};
        return n;
    }
    if (at > 0) {
        n.a = (uint16_t)random_below(state, at);
        n.b = (uint16_t)random_below(state, at);
        n.c = (uint16_t)random_below(state, at);
    }
    n.imm = n.op == OP_CONST    ? random_number(state)
            : n.op == OP_FIELD  ? (int64_t)random_below(state, FIELD_COUNT)
            : n.op == OP_INPUT || n.op == OP_GRAPH || n.op == OP_KEPT ? (int64_t)random_below(state, 4)
            : n.op == OP_MATCHES ? (int64_t)random_below(state, 64)
            : n.op == OP_NEW    ? (int64_t)(random_next(state) % 4000000000000u)
                                : 0;
    if (n.op == OP_NEW) {
        n.a = 0;
        n.b = 1;
    }
    return n;
}

static bool is_field(const struct node *n, enum field which)
{
    return n->op == OP_FIELD && n->imm == (int64_t)which;
}

/* Lists are asked for entities or codes only: a number that fits neither asks the list of codes. */
static void random_lists(struct node *node, uint16_t at)
{
    if (node[at].op == OP_IN_LIST)
        node[at].imm = !is_field(&node[node[at].a], FIELD_SENDER) && !is_field(&node[node[at].a], FIELD_OTHER);
}

Test(eval, random_expressions_agree_with_the_model, .timeout = 120)
{
    uint64_t state = 20261124;
    struct world w;
    struct node node[14];
    uint32_t truths = 0, unknowns = 0;
    world_make(&w);
    for (int round = 0; round < 200000; round++) {
        uint16_t count = (uint16_t)(1 + random_below(&state, 14));
        for (uint16_t i = 0; i < count; i++) {
            node[i] = random_node(&state, i);
            random_lists(node, i);
        }
        struct expr expr = {.node = node, .count = count, .root = (uint16_t)(count - 1 - random_below(&state, count > 2 ? 2 : 1))};
        random_world(&state, &w);
        struct value want = model_eval(&w, &expr, expr.root);
        struct value got = eval_value(&w.ev, &expr);
        cr_assert(got.known == want.known && (!want.known || got.number == want.number), "round %d: op %u gave %d %ld, not %d %ld",
                  round, node[expr.root].op, got.known, (long)got.number, want.known, (long)want.number);
        cr_assert_neq(got.number, MISSING_I64);
        memset(w.ev.node, 0xff, sizeof w.ev.node);
        cr_assert_eq(eval_true(&w.ev, &expr), want.known && want.number != 0, "round %d", round);
        uint16_t half = (uint16_t)random_below(&state, count);
        eval_nodes(&w.ev, &expr, 0, half);
        eval_nodes(&w.ev, &expr, half, count);
        got = w.ev.node[expr.root];
        cr_assert(got.known == want.known && (!want.known || got.number == want.number), "round %d: in two parts", round);
        truths += want.known && want.number;
        unknowns += !want.known;
    }
    cr_expect_gt(truths, 20000u);
    cr_expect_gt(unknowns, 20000u);
    world_end(&w);
}

/* --- the numbers that RULES 10 to 12 spell out --- */

static struct value two(enum opcode op, int64_t a, int64_t b)
{
    struct world w;
    world_make(&w);
    struct node node[] = {{.op = OP_CONST, .imm = a}, {.op = OP_CONST, .imm = b}, {.op = (uint8_t)op, .a = 0, .b = 1}};
    struct value value = eval_value(&w.ev, &(struct expr){.node = node, .count = 3, .root = 2});
    world_end(&w);
    return value;
}

Test(eval, halves_round_to_even_and_sums_saturate)
{
    EXPECT_KNOWN(two(OP_MUL_PERCENT, 5, 500000), 2);    /* 2.5 */
    EXPECT_KNOWN(two(OP_MUL_PERCENT, 7, 500000), 4);    /* 3.5 */
    EXPECT_KNOWN(two(OP_MUL_PERCENT, -5, 500000), -2);
    EXPECT_KNOWN(two(OP_MUL_PERCENT, 1000, 150000), 150);
    EXPECT_KNOWN(two(OP_DIV_INT, 5, 2), 2);
    EXPECT_KNOWN(two(OP_DIV_INT, 7, -2), -4);
    EXPECT_KNOWN(two(OP_RATIO, 1, 3), 333333);
    EXPECT_KNOWN(two(OP_RATIO, 2, 3), 666667);
    cr_expect_not(two(OP_RATIO, 1, 0).known);
    cr_expect_not(two(OP_DIV_INT, 1, 0).known);
    EXPECT_KNOWN(two(OP_ADD, INT64_MAX, 1), INT64_MAX);
    EXPECT_KNOWN(two(OP_SUB, -INT64_MAX, 2), -INT64_MAX);
    EXPECT_KNOWN(two(OP_MUL_INT, INT64_MAX, -2), -INT64_MAX);
    EXPECT_KNOWN(two(OP_RATIO, INT64_MAX, 1), INT64_MAX);
    EXPECT_KNOWN(two(OP_RATIO, INT64_MAX, -1), -INT64_MAX);
}

Test(eval, an_empty_expression_is_true)
{
    struct world w;
    world_make(&w);
    cr_expect(eval_true(&w.ev, &(struct expr){.count = 0}));
    world_end(&w);
}
