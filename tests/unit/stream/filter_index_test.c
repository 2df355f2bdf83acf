/* The filter index against the evaluator: random filters, lists, texts and events; no true filter is ever left out,
 * and what is called exact is true. */
#include "engine/stream/filter_index.h"
#include "rules/lang/list.h"

#include <criterion/criterion.h>

enum { LISTS = 3, ITEMS = 150, ROUNDS = 120, EVENTS = 150 };

static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int64_t below(uint64_t *state, int64_t bound)
{
    return (int64_t)(draw(state) % (uint64_t)bound);
}

static const int fields[] = {FIELD_KIND, FIELD_CHANNEL, FIELD_PURPOSE, FIELD_CURRENCY, FIELD_MCC, FIELD_SENDER_COUNTRY, FIELD_RECEIVER_COUNTRY,
                             FIELD_PLACE_COUNTRY, FIELD_OTHER_COUNTRY, FIELD_ACCOUNT_COUNTRY, FIELD_CORRIDOR, FIELD_WEEKDAY,
                             FIELD_CROSS_BORDER, FIELD_AMOUNT, FIELD_TERMINAL, FIELD_SENDER, FIELD_OTHER_DEVICE, FIELD_ACCOUNT};
enum { FIELDS = sizeof fields / sizeof *fields };
static const int numbered[] = {FIELD_KIND, FIELD_MCC, FIELD_SENDER_COUNTRY, FIELD_PURPOSE};

/* A value that occurs in events of random_event. */
static int64_t value_of(int field, uint64_t *chance)
{
    static const char *const purposes[] = {"SALA", "RENT", "CASH"};
    const unsigned char *p = (const unsigned char *)purposes[below(chance, 3)];
    switch (field) {
    case FIELD_PURPOSE:
        return (int64_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
    case FIELD_CORRIDOR:
        return (int64_t)(1 + below(chance, 4)) << 16 | (1 + below(chance, 4));
    case FIELD_CROSS_BORDER:
        return below(chance, 2);
    case FIELD_AMOUNT:
        return below(chance, 100);
    default:
        return below(chance, 8);
    }
}

struct building {
    struct node *node;
    uint16_t count;
    uint64_t *chance;
};

static uint16_t add(struct building *at, struct node node)
{
    at->node[at->count] = node;
    return at->count++;
}

/* Two fields compared: those of both ends, or any two. */
static uint16_t both_ends(struct building *at)
{
    static const int pairs[][2] = {{FIELD_SENDER, FIELD_RECEIVER}, {FIELD_OTHER, FIELD_ACCOUNT}, {FIELD_SENDER_PARTY, FIELD_RECEIVER_PARTY},
                                   {FIELD_ACCOUNT_DEVICE, FIELD_OTHER_DEVICE}, {FIELD_RECEIVER_PHONE, FIELD_SENDER_PHONE},
                                   {FIELD_ACCOUNT_ADDRESS, FIELD_OTHER_ADDRESS}, {FIELD_SENDER, FIELD_OTHER}, {FIELD_MCC, FIELD_KIND}};
    const int *pair = pairs[below(at->chance, sizeof pairs / sizeof *pairs)];
    uint16_t a = add(at, (struct node){.op = OP_FIELD, .imm = pair[0]});
    uint16_t b = add(at, (struct node){.op = OP_FIELD, .imm = pair[1]});
    return add(at, (struct node){.op = below(at->chance, 2) ? OP_EQ : OP_NE, .a = a, .b = b});
}

static uint16_t leaf(struct building *at)
{
    static const uint8_t compares[] = {OP_EQ, OP_EQ, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE};
    int field = fields[below(at->chance, FIELDS)];
    if (below(at->chance, 10) == 0)
        return both_ends(at);
    if (below(at->chance, 12) == 0)
        return add(at, (struct node){.op = OP_MATCHES, .imm = below(at->chance, 2)});
    if (below(at->chance, 8) == 0)
        field = numbered[below(at->chance, 4)];
    uint16_t read = add(at, (struct node){.op = OP_FIELD, .imm = field});
    if (field == FIELD_CROSS_BORDER && below(at->chance, 2))
        return read;
    switch (below(at->chance, 6)) {
    case 0:
        return add(at, (struct node){.op = OP_KNOWN, .a = read});
    case 1:
        return add(at, (struct node){.op = OP_IN_LIST, .a = read, .imm = below(at->chance, LISTS)});
    case 2: {
        uint16_t from = add(at, (struct node){.op = OP_CONST, .imm = value_of(field, at->chance)});
        uint16_t to = add(at, (struct node){.op = OP_CONST, .imm = value_of(field, at->chance)});
        return add(at, (struct node){.op = OP_BETWEEN, .a = read, .b = from, .c = to});
    }
    case 3:
        read = add(at, (struct node){.op = OP_DEFAULT, .a = read, .b = add(at, (struct node){.op = OP_CONST, .imm = value_of(field, at->chance)})});
        break;
    default:
        break;
    }
    uint16_t other = add(at, (struct node){.op = OP_CONST, .imm = value_of(field, at->chance)});
    return add(at, (struct node){.op = compares[below(at->chance, 8)], .a = read, .b = other});
}

static uint16_t tree(struct building *at, int depth)
{
    int64_t which = below(at->chance, 10);
    if (depth == 0 || which < 3)
        return leaf(at);
    uint16_t a = tree(at, depth - 1);
    if (which == 3)
        return add(at, (struct node){.op = OP_NOT, .a = a});
    uint16_t b = which == 4 ? a : tree(at, depth - 1);
    return add(at, (struct node){.op = which < 8 ? OP_AND : OP_OR, .a = a, .b = b});
}

static struct event random_event(uint64_t *chance)
{
    static const uint8_t flows[] = {FLOW_SETTLED, FLOW_SETTLED, FLOW_SETTLED, FLOW_REFUND, FLOW_REVERSAL, FLOW_NONE, FLOW_FACT};
    struct event event = {.flow = flows[below(chance, 7)],
                          .kind = (uint8_t)below(chance, 8),
                          .channel = (uint8_t)below(chance, 8),
                          .currency = (currency_code)below(chance, 8),
                          .mcc = (uint16_t)below(chance, 8),
                          .sender_country = (country_code)below(chance, 5),
                          .receiver_country = (country_code)below(chance, 5),
                          .place_country = (country_code)below(chance, 5),
                          .amount_base = below(chance, 9) ? below(chance, 100) : MISSING_I64,
                          .time_ms = below(chance, 20000) * 86400000 / 3,
                          .text_true = (uint64_t)below(chance, 4),
                          .text_unknown = 0};
    event.text_unknown = (uint64_t)below(chance, 4) & ~event.text_true;
    int64_t purpose = below(chance, 3) ? value_of(FIELD_PURPOSE, chance) : 0;
    for (int i = 0; i < 4; i++)
        event.purpose[i] = (char)(purpose >> (24 - 8 * i));
    for (int r = 0; r < REF_COUNT; r++)
        event.ref[r] = (entity_id)(below(chance, 3) ? below(chance, 8) : 0);
    return event;
}

static uint64_t no_lists(const void *context, entity_id id)
{
    (void)context;
    return id % 3;
}

struct world {
    struct arena arena;
    struct list *list[LISTS];
    struct program program;
    struct expr expr[ITEMS];
    struct filter_item item[ITEMS];
    uint64_t chance;
};

static void make_items(struct world *world)
{
    for (int i = 0; i < ITEMS; i++) {
        struct building at = {.node = ARENA_ARRAY(&world->arena, struct node, EXPR_NODE_MAX), .chance = &world->chance};
        uint16_t root = below(&world->chance, 20) ? tree(&at, 3) : 0;
        world->expr[i] = (struct expr){.node = at.node, .count = at.count, .root = root};
        world->item[i] = (struct filter_item){.flow = (enum stream_flow)below(&world->chance, STREAM_NONE + 1), .filter = &world->expr[i]};
    }
}

/* How many candidates and how many true ones; every true one must be a candidate, every exact candidate true. */
static void hold(const struct world *world, const struct filter_index *index, const struct event *event, uint64_t *candidates, uint64_t *truths)
{
    enum { WORDS = (ITEMS + FILTER_LANES_MAX) / 64 + 1 };
    uint64_t either[2][WORDS], alone[WORDS];
    cr_assert(filter_index_words(index) <= WORDS);
    filter_index_find(index, event, either[SIDE_SENDER], either[SIDE_RECEIVER]);
    filter_index_find(index, event, alone, NULL);
    cr_assert_arr_eq(alone, either[SIDE_SENDER], filter_index_words(index) * sizeof *alone);
    struct evaluation ev = {.program = &world->program, .event = event, .entity_lists = no_lists};
    for (ev.side = SIDE_SENDER; ev.side <= SIDE_RECEIVER; ev.side++) {
        const uint64_t *found = either[ev.side];
        for (int i = 0; i < ITEMS; i++) {
            bool truth = stream_flow_fits(world->item[i].flow, event, ev.side) && eval_true(&ev, &world->expr[i]);
            bool candidate = found[i / 64] >> (i % 64) & 1, exact = filter_index_exact(index)[i / 64] >> (i % 64) & 1;
            cr_assert(candidate || !truth, "item %d is true and was left out", i);
            cr_assert(!(candidate && exact) || truth, "item %d is called exact and is not true", i);
            *candidates += candidate;
            *truths += truth;
        }
    }
}

Test(filter_index, leaves_out_no_filter_that_is_true)
{
    struct error err = {0};
    struct world world = {.chance = 7};
    struct zone *zone = zone_load(SLICE("Africa/Nairobi"), &err);
    uint64_t candidates = 0, truths = 0, all = 0, exact = 0;
    static const enum value_type types[LISTS] = {TYPE_MCC, TYPE_COUNTRY, TYPE_ACCOUNT};
    static const char *const entries[LISTS] = {"0003", "AD", "A"};
    for (int l = 0; l < LISTS; l++) {
        world.list[l] = list_new(SLICE("some"), types[l]);
        cr_assert(list_add_text(world.list[l], slice_of(entries[l])));
    }
    world.program = (struct program){.zone = zone, .list_count = LISTS, .list = world.list};
    for (int round = 0; round < ROUNDS; round++) {
        arena_init(&world.arena);
        make_items(&world);
        const struct filter_index *index = filter_index_new(&world.arena, &world.program, world.item, ITEMS);
        for (int i = 0; i < ITEMS; i++)
            exact += filter_index_exact(index)[i / 64] >> (i % 64) & 1;
        for (int e = 0; e < EVENTS; e++) {
            struct event event = random_event(&world.chance);
            hold(&world, index, &event, &candidates, &truths);
            all += 2 * ITEMS;
        }
        arena_fini(&world.arena);
    }
    cr_log_info("of %lu filters %lu were candidates and %lu true; %lu of %d exact\n", all, candidates, truths, exact, ROUNDS * ITEMS);
    cr_expect_gt(truths, 1000);
    cr_expect_lt(candidates, all / 3, "the index rules out too little: %lu of %lu", candidates, all);
    cr_expect_gt(exact, ROUNDS * ITEMS / 2, "too few filters are exact: %lu", exact);
    for (int l = 0; l < LISTS; l++)
        list_free(world.list[l]);
    zone_free(zone);
}

/* More values than an index keeps classes for: such a filter stays a candidate of every event. */
Test(filter_index, gives_up_where_a_field_has_too_many_classes)
{
    enum { MANY = FILTER_CLASSES_MAX };
    struct arena arena;
    arena_init(&arena);
    struct node(*node)[3] = arena_alloc(&arena, sizeof *node * MANY);
    struct expr *expr = ARENA_ARRAY(&arena, struct expr, MANY);
    struct filter_item *item = ARENA_ARRAY(&arena, struct filter_item, MANY);
    for (int i = 0; i < MANY; i++) {
        node[i][0] = (struct node){.op = OP_FIELD, .imm = FIELD_MCC};
        node[i][1] = (struct node){.op = OP_CONST, .imm = 2 * i};
        node[i][2] = (struct node){.op = OP_EQ, .a = 0, .b = 1};
        expr[i] = (struct expr){.node = node[i], .count = 3, .root = 2};
        item[i] = (struct filter_item){STREAM_TRANSFERS, &expr[i]};
    }
    const struct program program = {0};
    const struct filter_index *index = filter_index_new(&arena, &program, item, MANY);
    const struct event event = {.flow = FLOW_SETTLED, .mcc = 8};
    uint64_t *found = ARENA_ARRAY(&arena, uint64_t, filter_index_words(index));
    filter_index_find(index, &event, found, NULL);
    for (int i = 0; i < MANY; i++)
        cr_assert((found[i / 64] >> (i % 64) & 1) && !(filter_index_exact(index)[i / 64] >> (i % 64) & 1));
    const struct filter_index *few = filter_index_new(&arena, &program, item, 100);
    filter_index_find(few, &event, found, NULL);
    cr_expect_eq(found[0], 1 << 4);
    cr_expect_eq(found[1], 0);
    arena_fini(&arena);
}
