/* Makes bitmaps of filters by the classes of discrete values, and ANDs those of one event. */
#include "engine/stream/filter_index.h"

#include "engine/base/invariant.h"
#include "rules/lang/list.h"

#include <stdlib.h>

enum {
    ENDS = 5,                             /* what both ends of an event have */
    DIMENSION_TEXT = FIELD_COUNT,         /* + number of the text */
    DIMENSION_ENDS = DIMENSION_TEXT + 64, /* + number of what both ends have */
    DIMENSION_MAX = DIMENSION_ENDS + ENDS,
    DENSE_MAX = 16384,                    /* values that are looked up in an array; wider fields are searched */
    ALTERNATIVES_MAX = 4,
    VIEWS = 4,                            /* of a flow: settled as the sender, as the receiver, refunds, reversals */
};

/* What both ends of an event have: filters ask whether it is the same (`sender != receiver`). */
static const struct {
    enum field field[2][2]; /* two ways to name it */
    enum event_ref ref;     /* the sender's; the receiver's follows */
} ends[ENDS] = {
    {{{FIELD_SENDER, FIELD_RECEIVER}, {FIELD_ACCOUNT, FIELD_OTHER}}, REF_SENDER},
    {{{FIELD_SENDER_PARTY, FIELD_RECEIVER_PARTY}, {FIELD_ACCOUNT_PARTY, FIELD_OTHER_PARTY}}, REF_SENDER_PARTY},
    {{{FIELD_SENDER_DEVICE, FIELD_RECEIVER_DEVICE}, {FIELD_ACCOUNT_DEVICE, FIELD_OTHER_DEVICE}}, REF_SENDER_DEVICE},
    {{{FIELD_SENDER_PHONE, FIELD_RECEIVER_PHONE}, {FIELD_ACCOUNT_PHONE, FIELD_OTHER_PHONE}}, REF_SENDER_PHONE},
    {{{FIELD_SENDER_ADDRESS, FIELD_RECEIVER_ADDRESS}, {FIELD_ACCOUNT_ADDRESS, FIELD_OTHER_ADDRESS}}, REF_SENDER_ADDRESS},
};

/* One field, one text or one sameness, by which filters are told apart. */
struct dimension {
    uint16_t of;
    uint32_t edge_count;          /* class c holds edge[c - 1] up to, not including, edge[c] */
    const int64_t *edge;
    const uint16_t *dense;        /* class by value - edge[0]; NULL: searched */
    const uint16_t *row;          /* by class, the missing value's behind the last: which bitmap */
    const uint64_t *bitmap;
};

struct filter_index {
    const struct program *program;
    uint32_t words, count, dimension_count;
    uint32_t sided_from;          /* dimensions from here on depend on the side that the event is seen from */
    const struct dimension *dimension;
    const uint64_t *view;         /* VIEWS bitmaps */
    const uint64_t *exact;
    const uint32_t *home;         /* by lane behind the items: whose it is */
};

/* A conjunct that one dimension decides, on a lane. The first `count` lanes are the items; those behind them are further
 * alternatives of items whose filters have an OR over several fields. */
struct conjunct {
    uint32_t lane;
    uint16_t of, root;
    uint32_t edge_count;
    int64_t *edge;                /* sorted, each once */
};

struct making {
    struct arena *arena, scratch;
    const struct program *program;
    const struct filter_item *item;
    uint32_t count, words, lanes;
    uint32_t *home;
    struct conjunct *conjunct;
    uint32_t conjunct_count, conjunct_room;
    uint64_t *exact;
    struct evaluation *evaluation;
};

static uint32_t lane_item(const struct making *making, uint32_t lane)
{
    return lane < making->count ? lane : making->home[lane - making->count];
}

static void bit_set(uint64_t *bits, uint32_t bit)
{
    bits[bit / 64] |= (uint64_t)1 << (bit % 64);
}

static void bit_clear(uint64_t *bits, uint32_t bit)
{
    bits[bit / 64] &= ~((uint64_t)1 << (bit % 64));
}

/* --- flows --- */

bool stream_flow_fits(enum stream_flow want, const struct event *event, int side)
{
    switch (want) {
    case STREAM_IN:
        return event->flow == FLOW_SETTLED && side == SIDE_RECEIVER;
    case STREAM_OUT:
        return event->flow == FLOW_SETTLED && side == SIDE_SENDER;
    case STREAM_TRANSFERS:
        return event->flow == FLOW_SETTLED;
    case STREAM_REFUNDS:
        return event->flow == FLOW_REFUND;
    case STREAM_REVERSALS:
        return event->flow == FLOW_REVERSAL;
    case STREAM_NONE:
        return false;
    }
    return false;
}

/* Index of the view, VIEWS for an event that is in no source. */
static uint32_t view_of(const struct event *event, int side)
{
    switch (event->flow) {
    case FLOW_SETTLED:
        return side == SIDE_SENDER ? 0 : 1;
    case FLOW_REFUND:
        return 2;
    case FLOW_REVERSAL:
        return 3;
    default:
        return VIEWS;
    }
}

static const uint64_t *make_views(struct making *making)
{
    static const struct { uint8_t flow; int side; } views[VIEWS] = {
        {FLOW_SETTLED, SIDE_SENDER}, {FLOW_SETTLED, SIDE_RECEIVER}, {FLOW_REFUND, SIDE_SENDER}, {FLOW_REVERSAL, SIDE_SENDER}};
    uint64_t *view = ARENA_ARRAY(making->arena, uint64_t, VIEWS * making->words + 1);
    for (uint32_t v = 0; v < VIEWS; v++) {
        const struct event event = {.flow = views[v].flow};
        for (uint32_t i = 0; i < making->lanes; i++)
            if (stream_flow_fits(making->item[lane_item(making, i)].flow, &event, views[v].side))
                bit_set(view + v * making->words, i);
    }
    return view;
}

/* --- which conjuncts one field decides --- */

static bool field_is_entity(uint32_t field)
{
    static const uint8_t types[FIELD_COUNT] = {
#define FIELD(name, word, type, help) TYPE_##type,
#include "rules/lang/field.def"
#undef FIELD
    };
    return (types[field] >= TYPE_ACCOUNT && types[field] <= TYPE_PLACE);
}

/* Of an amount the constants that filters compare it with make few classes. */
static bool field_is_discrete(uint32_t field)
{
    switch (field) {
    case FIELD_AMOUNT:
    case FIELD_KIND:
    case FIELD_CHANNEL:
    case FIELD_PURPOSE:
    case FIELD_CURRENCY:
    case FIELD_MCC:
    case FIELD_SENDER_COUNTRY:
    case FIELD_RECEIVER_COUNTRY:
    case FIELD_PLACE_COUNTRY:
    case FIELD_OTHER_COUNTRY:
    case FIELD_ACCOUNT_COUNTRY:
    case FIELD_CORRIDOR:
    case FIELD_WEEKDAY:
    case FIELD_CROSS_BORDER:
        return true;
    default:
        return field_is_entity(field);
    }
}

/* How many of a, b, c name nodes; -1: an operation that reads more than one field of the event. */
static int operand_count(const struct program *program, const struct node *node)
{
    switch ((enum opcode)node->op) {
    case OP_CONST:
    case OP_MISSING:
    case OP_FIELD:
    case OP_MATCHES:
        return 0;
    case OP_NOT:
    case OP_KNOWN:
        return 1;
    case OP_IN_LIST:
        return list_holds_numbers(program->list[node->imm]) ? 1 : -1;
    case OP_AND:
    case OP_OR:
    case OP_EQ:
    case OP_NE:
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
    case OP_DEFAULT:
        return 2;
    case OP_BETWEEN:
        return 3;
    default:
        return -1;
    }
}

/* The sameness that a comparison of two fields asks for; -1: none. */
static int32_t ends_compared(const struct expr *expr, const struct node *node)
{
    if ((node->op != OP_EQ && node->op != OP_NE) || expr->node[node->a].op != OP_FIELD || expr->node[node->b].op != OP_FIELD)
        return -1;
    int64_t a = expr->node[node->a].imm, b = expr->node[node->b].imm;
    for (int32_t e = 0; e < ENDS; e++)
        for (int way = 0; way < 2; way++) {
            const enum field *field = ends[e].field[way];
            if ((a == field[0] && b == field[1]) || (a == field[1] && b == field[0]))
                return DIMENSION_ENDS + e;
        }
    return -1;
}

/* The one field, text or sameness that the tree under a node reads. */
struct reading {
    const struct making *making;
    const struct expr *expr;
    int32_t of;          /* -1: none so far */
    bool bare;           /* an entity is read for more than whether it is known */
    int64_t *edge;       /* grows */
    uint32_t edge_count, edge_room;
};

static void edge_add(struct reading *reading, int64_t from, int64_t to)
{
    if (reading->edge_count + 2 > reading->edge_room) {
        reading->edge_room = reading->edge_room ? reading->edge_room * 2 : 16;
        reading->edge = realloc(reading->edge, reading->edge_room * sizeof *reading->edge);
        invariant(reading->edge != NULL);
    }
    reading->edge[reading->edge_count++] = from;
    reading->edge[reading->edge_count++] = to == INT64_MAX ? to : to + 1;
}

static bool reads_one(struct reading *reading, uint16_t at, bool known)
{
    const struct node *node = &reading->expr->node[at];
    const struct program *program = reading->making->program;
    int operands = operand_count(program, node);
    int32_t of = ends_compared(reading->expr, node);
    if (of >= 0) {
        bool same = reading->of < 0 || reading->of == of;
        reading->of = of;
        return same;
    }
    if (node->op == OP_FIELD || node->op == OP_MATCHES) {
        of = (int32_t)node->imm + (node->op == OP_MATCHES ? DIMENSION_TEXT : 0);
        if ((node->op == OP_FIELD && !field_is_discrete((uint32_t)of)) || (reading->of >= 0 && reading->of != of))
            return false;
        reading->of = of;
        reading->bare |= node->op == OP_FIELD && field_is_entity((uint32_t)of) && !known;
        return true;
    }
    if (node->op == OP_CONST)
        edge_add(reading, node->imm, node->imm);
    if (operands < 0)
        return false;
    if (node->op == OP_IN_LIST) {
        const struct list *list = program->list[node->imm];
        int64_t from, to;
        if (list_count(list) > FILTER_CLASSES_MAX)
            return false;
        for (uint32_t i = 0; list_range(list, i, &from, &to); i++)
            edge_add(reading, from, to);
    }
    const uint16_t operand[3] = {node->a, node->b, node->c};
    for (int i = 0; i < operands; i++)
        if (!reads_one(reading, operand[i], node->op == OP_KNOWN))
            return false;
    return reading->edge_count <= FILTER_CLASSES_MAX / 2;
}

static int edge_order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static uint32_t edges_settle(int64_t *edge, uint32_t count)
{
    uint32_t kept = 0;
    if (count)
        qsort(edge, count, sizeof *edge, edge_order);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || edge[kept - 1] != edge[i])
            edge[kept++] = edge[i];
    return kept;
}

static bool conjunct_read(const struct making *making, uint32_t item, uint16_t root, struct reading *reading)
{
    *reading = (struct reading){.making = making, .expr = making->item[item].filter, .of = -1};
    return reads_one(reading, root, false) && reading->of >= 0 && !reading->bare;
}

/* True when the conjunct was taken. */
static bool conjunct_take(struct making *making, uint32_t lane, uint16_t root)
{
    struct reading reading;
    bool taken = conjunct_read(making, lane_item(making, lane), root, &reading);
    if (taken) {
        if (reading.of >= DIMENSION_TEXT || field_is_entity((uint32_t)reading.of) || reading.of == FIELD_CROSS_BORDER) {
            edge_add(&reading, 0, 0);
            edge_add(&reading, 1, 1);
        }
        uint32_t count = edges_settle(reading.edge, reading.edge_count);
        int64_t *edge = ARENA_ARRAY(&making->scratch, int64_t, count + 1);
        if (count)
            memcpy(edge, reading.edge, count * sizeof *edge);
        if (making->conjunct_count == making->conjunct_room) {
            making->conjunct_room = making->conjunct_room ? making->conjunct_room * 2 : 64;
            making->conjunct = realloc(making->conjunct, making->conjunct_room * sizeof *making->conjunct);
            invariant(making->conjunct != NULL);
        }
        making->conjunct[making->conjunct_count++] =
            (struct conjunct){.lane = lane, .of = (uint16_t)reading.of, .root = root, .edge_count = count, .edge = edge};
    }
    free(reading.edge);
    return taken;
}

/* --- alternatives --- */

/* An OR of an item's filter that no single dimension decides, though one decides each part of each alternative. */
struct split {
    uint16_t root;
    uint16_t alternative[ALTERNATIVES_MAX];
    uint32_t count; /* 0: the item has none */
};

static bool one_decides(const struct making *making, uint32_t item, uint16_t root)
{
    struct reading reading;
    bool decides = conjunct_read(making, item, root, &reading);
    free(reading.edge);
    return decides;
}

static bool parts_decided(const struct making *making, uint32_t item, uint16_t root)
{
    const struct node *node = &making->item[item].filter->node[root];
    if (node->op != OP_AND)
        return one_decides(making, item, root);
    return parts_decided(making, item, node->a) && parts_decided(making, item, node->b);
}

/* False when there are too many, or one that no dimensions decide. */
static bool alternatives_find(const struct making *making, uint32_t item, uint16_t root, struct split *split)
{
    const struct node *node = &making->item[item].filter->node[root];
    if (node->op == OP_OR && !one_decides(making, item, root))
        return alternatives_find(making, item, node->a, split) && alternatives_find(making, item, node->b, split);
    if (split->count == ALTERNATIVES_MAX || !parts_decided(making, item, root))
        return false;
    split->alternative[split->count++] = root;
    return true;
}

/* The first OR among the conjuncts that can be taken apart. */
static bool split_find(const struct making *making, uint32_t item, uint16_t root, struct split *split)
{
    const struct node *node = &making->item[item].filter->node[root];
    if (node->op == OP_AND)
        return split_find(making, item, node->a, split) || split_find(making, item, node->b, split);
    *split = (struct split){.root = root};
    if (node->op == OP_OR && !one_decides(making, item, root) && alternatives_find(making, item, root, split))
        return true;
    split->count = 0;
    return false;
}

/* Walks the chain of ANDs, of the split OR into one alternative; true when every conjunct was taken. */
static bool conjuncts_take(struct making *making, uint32_t lane, uint16_t root, const struct split *split, uint32_t alternative)
{
    uint16_t at = split->count && root == split->root ? split->alternative[alternative] : root;
    const struct node *node = &making->item[lane_item(making, lane)].filter->node[at];
    if (node->op != OP_AND)
        return conjunct_take(making, lane, at);
    bool left = conjuncts_take(making, lane, node->a, split, alternative), right = conjuncts_take(making, lane, node->b, split, alternative);
    return left && right;
}

/* True when the item is exact. */
static bool item_take(struct making *making, uint32_t item)
{
    const struct expr *filter = making->item[item].filter;
    struct split split = {0};
    if (filter->count == 0)
        return true;
    if (making->lanes - making->count + ALTERNATIVES_MAX > FILTER_LANES_MAX || !split_find(making, item, filter->root, &split))
        split.count = 0;
    bool exact = conjuncts_take(making, item, filter->root, &split, 0);
    for (uint32_t a = 1; a < split.count; a++) {
        making->home[making->lanes - making->count] = item;
        exact &= conjuncts_take(making, making->lanes++, filter->root, &split, a);
    }
    return exact;
}

/* --- bitmaps --- */

/* The conjunct with the value put where it reads its field. */
static bool conjunct_true(const struct making *making, const struct conjunct *conjunct, struct value value)
{
    const struct expr *expr = making->item[lane_item(making, conjunct->lane)].filter;
    struct node node[EXPR_NODE_MAX];
    for (uint16_t i = 0; i <= conjunct->root; i++) {
        node[i] = expr->node[i];
        int32_t same = ends_compared(expr, &node[i]);
        if (same >= 0) {
            bool known = same == conjunct->of && value.known;
            node[i] = known ? (struct node){.op = OP_CONST, .imm = (node[i].op == OP_EQ) == (value.number != 0)} : (struct node){.op = OP_MISSING};
            continue;
        }
        bool read = (node[i].op == OP_FIELD && node[i].imm == conjunct->of) ||
                    (node[i].op == OP_MATCHES && node[i].imm + DIMENSION_TEXT == conjunct->of);
        if (read)
            node[i] = value.known ? (struct node){.op = OP_CONST, .imm = value.number} : (struct node){.op = OP_MISSING};
        else if (operand_count(making->program, &node[i]) < 0 || node[i].op == OP_FIELD || node[i].op == OP_MATCHES)
            node[i] = (struct node){.op = OP_MISSING}; /* of another conjunct */
    }
    const struct expr put = {.node = node, .count = (uint16_t)(conjunct->root + 1), .root = conjunct->root};
    struct value truth = eval_value(making->evaluation, &put);
    return truth.known && truth.number;
}

static int64_t class_value(const struct dimension *dimension, uint32_t class)
{
    if (class > 0)
        return dimension->edge[class - 1];
    return dimension->edge_count && dimension->edge[0] > INT64_MIN ? dimension->edge[0] - 1 : 0;
}

/* The conjunct is the same between two of its own edges: it is evaluated once for each. */
static void rule_out(const struct making *making, const struct dimension *dimension, const struct conjunct *conjunct, uint64_t *bitmap)
{
    uint32_t own = 0;
    bool truth = false;
    for (uint32_t class = 0; class <= dimension->edge_count; class++) {
        int64_t value = class_value(dimension, class);
        bool moved = class == 0;
        for (; own < conjunct->edge_count && conjunct->edge[own] <= value; own++)
            moved = true;
        if (moved)
            truth = conjunct_true(making, conjunct, (struct value){value, true});
        if (!truth)
            bit_clear(bitmap + (size_t)class * making->words, conjunct->lane);
    }
    if (!conjunct_true(making, conjunct, (struct value){0, false}))
        bit_clear(bitmap + (size_t)(dimension->edge_count + 1) * making->words, conjunct->lane);
}

static uint64_t bitmap_hash(const uint64_t *bitmap, uint32_t words)
{
    uint64_t hash = 1;
    for (uint32_t w = 0; w < words; w++) {
        hash = (hash ^ bitmap[w]) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    return hash;
}

/* Classes with the same bitmap share it. */
static void share_rows(struct making *making, struct dimension *dimension, const uint64_t *bitmap)
{
    uint32_t classes = dimension->edge_count + 2, kept = 0, words = making->words;
    uint16_t *row = ARENA_ARRAY(making->arena, uint16_t, classes);
    uint64_t *hash = ARENA_ARRAY(&making->scratch, uint64_t, classes), *shared = ARENA_ARRAY(&making->scratch, uint64_t, (size_t)classes * words);
    for (uint32_t class = 0; class < classes; class++) {
        const uint64_t *one = bitmap + (size_t)class * words;
        uint64_t wanted = bitmap_hash(one, words);
        uint32_t at = 0;
        while (at < kept && (hash[at] != wanted || memcmp(shared + (size_t)at * words, one, words * sizeof *one) != 0))
            at++;
        if (at == kept) {
            hash[kept] = wanted;
            memcpy(shared + (size_t)kept++ * words, one, words * sizeof *one);
        }
        row[class] = (uint16_t)at;
    }
    uint64_t *out = ARENA_ARRAY(making->arena, uint64_t, (size_t)kept * words);
    memcpy(out, shared, (size_t)kept * words * sizeof *out);
    dimension->row = row;
    dimension->bitmap = out;
}

static void make_dense(struct making *making, struct dimension *dimension)
{
    const int64_t *edge = dimension->edge;
    uint32_t last = dimension->edge_count;
    if (!last || (uint64_t)edge[last - 1] - (uint64_t)edge[0] >= DENSE_MAX)
        return;
    uint32_t span = (uint32_t)(edge[last - 1] - edge[0]) + 1, class = 0;
    uint16_t *dense = ARENA_ARRAY(making->arena, uint16_t, span);
    for (uint32_t v = 0; v < span; v++) {
        while (class < last && edge[class] <= edge[0] + v)
            class++;
        dense[v] = (uint16_t)class;
    }
    dimension->dense = dense;
}

/* False when the field would need too many classes: then it tells no filters apart. */
static bool make_dimension(struct making *making, uint16_t of, struct dimension *dimension)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < making->conjunct_count; i++)
        count += making->conjunct[i].of == of ? making->conjunct[i].edge_count : 0;
    int64_t *edge = ARENA_ARRAY(making->arena, int64_t, count + 1);
    count = 0;
    for (uint32_t i = 0; i < making->conjunct_count; i++) {
        const struct conjunct *conjunct = &making->conjunct[i];
        if (conjunct->of != of)
            continue;
        memcpy(edge + count, conjunct->edge, conjunct->edge_count * sizeof *edge);
        count += conjunct->edge_count;
    }
    *dimension = (struct dimension){.of = of, .edge = edge, .edge_count = edges_settle(edge, count)};
    if (dimension->edge_count + 2 > FILTER_CLASSES_MAX)
        return false;
    size_t room = (size_t)(dimension->edge_count + 2) * making->words;
    uint64_t *bitmap = ARENA_ARRAY(&making->scratch, uint64_t, room);
    memset(bitmap, 0xff, room * sizeof *bitmap);
    for (uint32_t i = 0; i < making->conjunct_count; i++)
        if (making->conjunct[i].of == of)
            rule_out(making, dimension, &making->conjunct[i], bitmap);
    share_rows(making, dimension, bitmap);
    make_dense(making, dimension);
    return true;
}

/* Fields relative to the key stand behind the others in field.def. */
static bool dimension_sided(uint32_t of)
{
    return of >= FIELD_ACCOUNT && of < FIELD_COUNT;
}

static void make_dimensions(struct making *making, struct filter_index *index, struct dimension *dimension, bool sided)
{
    for (uint16_t of = 0; of < DIMENSION_MAX; of++) {
        bool used = false;
        for (uint32_t i = 0; i < making->conjunct_count && !used; i++)
            used = making->conjunct[i].of == of;
        if (!used || dimension_sided(of) != sided)
            continue;
        if (make_dimension(making, of, &dimension[index->dimension_count])) {
            index->dimension_count++;
            continue;
        }
        for (uint32_t i = 0; i < making->conjunct_count; i++)
            if (making->conjunct[i].of == of)
                bit_clear(making->exact, lane_item(making, making->conjunct[i].lane));
    }
}

const struct filter_index *filter_index_new(struct arena *arena, const struct program *program, const struct filter_item *item,
                                            uint32_t count)
{
    struct filter_index *index = ARENA_NEW(arena, struct filter_index);
    struct making making = {.arena = arena, .program = program, .item = item, .count = count, .lanes = count};
    arena_init(&making.scratch);
    making.exact = ARENA_ARRAY(arena, uint64_t, count / 64 + 1);
    making.home = ARENA_ARRAY(arena, uint32_t, FILTER_LANES_MAX);
    making.evaluation = ARENA_NEW(&making.scratch, struct evaluation);
    making.evaluation->program = program;
    for (uint32_t i = 0; i < count; i++)
        if (item_take(&making, i))
            bit_set(making.exact, i);
    making.words = making.lanes / 64 + 1;
    index->program = program;
    index->count = count;
    index->home = making.home;
    index->words = making.words;
    index->view = make_views(&making);
    struct dimension *dimension = ARENA_ARRAY(arena, struct dimension, DIMENSION_MAX);
    make_dimensions(&making, index, dimension, false);
    index->sided_from = index->dimension_count;
    make_dimensions(&making, index, dimension, true);
    index->dimension = dimension;
    index->exact = making.exact;
    free(making.conjunct);
    arena_fini(&making.scratch);
    return index;
}

uint32_t filter_index_words(const struct filter_index *index)
{
    return index->words;
}

const uint64_t *filter_index_exact(const struct filter_index *index)
{
    return index->exact;
}

/* --- finding --- */

static struct value dimension_value(const struct filter_index *index, const struct dimension *dimension, const struct event *event, int side)
{
    if (dimension->of >= DIMENSION_ENDS) {
        const entity_id *end = &event->ref[ends[dimension->of - DIMENSION_ENDS].ref];
        return (struct value){end[0] == end[1], end[0] != ENTITY_MISSING && end[1] != ENTITY_MISSING};
    }
    if (dimension->of >= DIMENSION_TEXT) {
        uint32_t text = dimension->of - (uint32_t)DIMENSION_TEXT;
        return (struct value){(int64_t)(event->text_true >> text & 1), !(event->text_unknown >> text & 1)};
    }
    struct value value = eval_field(index->program, event, side, (enum field)dimension->of);
    if (field_is_entity(dimension->of))
        value.number = 1; /* only whether it is known is asked */
    return value;
}

static uint32_t dimension_class(const struct dimension *dimension, struct value value)
{
    uint32_t low = 0, high = dimension->edge_count;
    if (!value.known)
        return dimension->edge_count + 1;
    if (dimension->dense) {
        if (value.number < dimension->edge[0])
            return 0;
        return value.number >= dimension->edge[high - 1] ? high : dimension->dense[value.number - dimension->edge[0]];
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (dimension->edge[middle] <= value.number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ANDs what dimensions [from, to) say of the event. */
static void narrow(const struct filter_index *index, uint32_t from, uint32_t to, const struct event *event, int side, uint64_t *candidate)
{
    uint32_t words = index->words;
    for (uint32_t d = from; d < to; d++) {
        const struct dimension *dimension = &index->dimension[d];
        uint32_t class = dimension_class(dimension, dimension_value(index, dimension, event, side));
        const uint64_t *bitmap = dimension->bitmap + (size_t)dimension->row[class] * words;
        for (uint32_t w = 0; w < words; w++)
            candidate[w] &= bitmap[w];
    }
}

/* What is left of the candidates of either side, seen from one; alternatives become their items. */
static void narrow_side(const struct filter_index *index, const struct event *event, int side, uint64_t *candidate)
{
    uint32_t words = index->words;
    const uint64_t *view = index->view + (size_t)view_of(event, side) * words;
    for (uint32_t w = 0; w < words; w++)
        candidate[w] &= view[w];
    narrow(index, index->sided_from, index->dimension_count, event, side, candidate);
    for (uint32_t w = index->count / 64; w < words; w++) {
        uint64_t lanes = w == index->count / 64 ? candidate[w] >> index->count % 64 << index->count % 64 : candidate[w];
        candidate[w] ^= lanes;
        for (; lanes; lanes &= lanes - 1)
            bit_set(candidate, index->home[w * 64 + (uint32_t)__builtin_ctzll(lanes) - index->count]);
    }
}

void filter_index_find(const struct filter_index *index, const struct event *event, uint64_t *sent, uint64_t *received)
{
    size_t size = index->words * sizeof *sent;
    bool flows = view_of(event, SIDE_SENDER) != VIEWS;
    memset(sent, flows ? 0xff : 0, size);
    if (flows)
        narrow(index, 0, index->sided_from, event, SIDE_SENDER, sent);
    if (received)
        memcpy(received, sent, size);
    if (flows)
        narrow_side(index, event, SIDE_SENDER, sent);
    if (flows && received)
        narrow_side(index, event, SIDE_RECEIVER, received);
}
