/* What comparisons come to: edges against the definition, reading from the left against a model that recurses. */
#include "rules/lang/comparison.h"

#include <criterion/criterion.h>

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static bool compares(enum opcode op, int64_t a, int64_t b)
{
    switch (op) {
    case OP_LT:
        return a < b;
    case OP_LE:
        return a <= b;
    case OP_GT:
        return a > b;
    default:
        return a >= b;
    }
}

/* --- edges --- */

/* `a op b` with two nodes of the type, then the comparison. */
static uint8_t sees(enum opcode op, enum value_type type, int64_t a, int64_t b)
{
    const struct node node[] = {{.op = OP_INPUT, .type = (uint8_t)type}, {.op = OP_CONST, .type = (uint8_t)type, .imm = b},
                                {.op = (uint8_t)op, .type = TYPE_BOOL, .a = 0, .b = 1}};
    const struct value value[] = {{a, true}, {b, true}, {compares(op, a, b), true}};
    const struct expr expr = {.node = node, .count = 3, .root = 2};
    return comparison_sees(&expr, 2, value);
}

Test(comparison, an_edge_is_the_limit_and_the_next_value_with_another_answer)
{
    static const struct {
        enum value_type type;
        int64_t unit;
    } types[] = {{TYPE_COUNT, 1}, {TYPE_MONEY, 1}, {TYPE_DURATION, 1000}, {TYPE_TIME, 1000}, {TYPE_CLOCK, 1000}, {TYPE_PERCENT, 10000}};
    static const enum opcode ops[] = {OP_LT, OP_LE, OP_GT, OP_GE};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t o = 0; o < 4; o++)
            for (int64_t limit = 5000000; limit < 5000003; limit++)
                for (int64_t d = -2 * types[t].unit - 1; d <= 2 * types[t].unit + 1; d++) {
                    int64_t away = d < 0 ? -d : d;
                    bool truth = compares(ops[o], limit + d, limit), turned = truth != compares(ops[o], limit, limit);
                    uint8_t want = (uint8_t)(SEEN_REACHED | (truth ? SEEN_TRUE : SEEN_FALSE) | (d == 0 ? SEEN_EQUAL : 0) |
                                             (turned && away <= types[t].unit ? SEEN_BESIDE : 0));
                    cr_assert_eq(sees(ops[o], types[t].type, limit + d, limit), want, "type %d op %d %+ld", types[t].type, ops[o], (long)d);
                }
}

static uint8_t sees_range(enum opcode op, enum value_type type, int64_t a, int64_t low, int64_t high, bool truth)
{
    const struct node node[] = {{.op = OP_INPUT, .type = (uint8_t)type}, {.op = OP_CONST, .type = (uint8_t)type, .imm = low},
                                {.op = OP_CONST, .type = (uint8_t)type, .imm = high}, {.op = (uint8_t)op, .type = TYPE_BOOL, .a = 0, .b = 1, .c = 2}};
    const struct value value[] = {{a, true}, {low, true}, {high, true}, {truth, true}};
    const struct expr expr = {.node = node, .count = 4, .root = 3};
    return comparison_sees(&expr, 3, value) & (uint8_t)~(SEEN_REACHED | SEEN_TRUE | SEEN_FALSE);
}

Test(comparison, a_range_has_two_ends_and_hours_wrap)
{
    cr_expect_eq(sees_range(OP_BETWEEN, TYPE_MONEY, 499, 500, 900, false), SEEN_BESIDE);
    cr_expect_eq(sees_range(OP_BETWEEN, TYPE_MONEY, 500, 500, 900, true), SEEN_EQUAL);
    cr_expect_eq(sees_range(OP_BETWEEN, TYPE_MONEY, 501, 500, 900, true), 0);
    cr_expect_eq(sees_range(OP_BETWEEN, TYPE_MONEY, 900, 500, 900, true), SEEN_EQUAL_HIGH);
    cr_expect_eq(sees_range(OP_BETWEEN, TYPE_MONEY, 901, 500, 900, false), SEEN_BESIDE_HIGH);
    cr_expect_eq(sees_range(OP_BETWEEN, TYPE_MONEY, 902, 500, 900, false), 0);
    int64_t hour = 3600000, day = 24 * hour;
    cr_expect_eq(sees_range(OP_BETWEEN_CLOCK, TYPE_CLOCK, day - 1000, 0, 6 * hour, false), SEEN_BESIDE, "a second before midnight");
    cr_expect_eq(sees_range(OP_BETWEEN_CLOCK, TYPE_CLOCK, 500, 22 * hour, day - 500, false), SEEN_BESIDE_HIGH, "a second past the end");
}

Test(comparison, what_is_wanted)
{
    struct node node[] = {{.op = OP_FIELD, .type = TYPE_WEEKDAY}, {.op = OP_CONST, .type = TYPE_WEEKDAY, .imm = 1},
                          {.op = OP_CONST, .type = TYPE_WEEKDAY, .imm = 7}, {.op = OP_BETWEEN, .type = TYPE_BOOL, .b = 1, .c = 2},
                          {.op = OP_EQ, .type = TYPE_BOOL, .b = 1}, {.op = OP_MATCHES, .type = TYPE_BOOL}, {.op = OP_GE, .type = TYPE_BOOL, .b = 2}};
    const struct expr expr = {.node = node, .count = 7};
    cr_expect_eq(comparison_wants(&expr, 3), SEEN_TRUE | SEEN_FALSE | SEEN_EQUAL | SEEN_EQUAL_HIGH, "no day stands beside Monday and Sunday");
    cr_expect_eq(comparison_wants(&expr, 4), SEEN_TRUE | SEEN_FALSE);
    cr_expect_eq(comparison_wants(&expr, 5), SEEN_TRUE | SEEN_FALSE);
    cr_expect_eq(comparison_wants(&expr, 6), SEEN_TRUE | SEEN_FALSE | SEEN_EQUAL | SEEN_BESIDE);
    const struct value value[7] = {[4] = {0, false}};
    cr_expect_eq(comparison_sees(&expr, 4, value), SEEN_REACHED | SEEN_UNKNOWN);
}

/* --- reading from the left --- */

enum { NODE_MAX = 40 };

struct tree {
    struct node node[NODE_MAX];
    struct value value[NODE_MAX];
    int parent[NODE_MAX];
    struct expr expr;
};

static bool is_true(struct value value)
{
    return value.known && value.number;
}

static bool is_false(struct value value)
{
    return value.known && !value.number;
}

static void tree_join(struct tree *tree, uint64_t *random, uint16_t *open, uint16_t *open_count)
{
    uint16_t at = tree->expr.count++;
    struct node *node = &tree->node[at];
    uint16_t second = --*open_count;
    uint16_t b = open[second], a = b;
    *node = (struct node){.type = TYPE_BOOL};
    node->op = *open_count == 0 || next_random(random) % 5 == 0 ? OP_NOT : next_random(random) % 2 ? OP_AND : OP_OR;
    if (node->op != OP_NOT)
        a = open[--*open_count];
    node->a = a;
    node->b = b;
    tree->parent[a] = tree->parent[b] = at;
    struct value x = tree->value[a], y = tree->value[b];
    bool yes = node->op == OP_NOT ? is_false(x) : node->op == OP_AND ? is_true(x) && is_true(y) : is_true(x) || is_true(y);
    bool no = node->op == OP_NOT ? is_true(x) : node->op == OP_AND ? is_false(x) || is_false(y) : is_false(x) && is_false(y);
    tree->value[at] = (struct value){yes, yes || no};
    open[(*open_count)++] = at;
}

/* Leaves with random answers, joined at random until one node is left. */
static void tree_make(struct tree *tree, uint64_t *random)
{
    uint16_t open[NODE_MAX], open_count = 0;
    uint16_t leaves = (uint16_t)(1 + next_random(random) % 8);
    *tree = (struct tree){.expr = {.node = tree->node}};
    for (uint16_t i = 0; i < leaves; i++) {
        tree->node[i] = (struct node){.op = OP_MATCHES, .type = TYPE_BOOL, .imm = i};
        uint64_t answer = next_random(random) % 3;
        tree->value[i] = (struct value){answer == 1, answer != 2};
        open[open_count++] = i;
    }
    tree->expr.count = leaves;
    while (open_count > 1 && tree->expr.count < NODE_MAX)
        tree_join(tree, random, open, &open_count);
    tree->expr.root = (uint16_t)(tree->expr.count - 1);
    tree->parent[tree->expr.root] = -1;
}

static void read_left(const struct tree *tree, uint16_t at, bool reached[NODE_MAX])
{
    const struct node *node = &tree->node[at];
    reached[at] = true;
    if (node->op == OP_MATCHES)
        return;
    read_left(tree, node->a, reached);
    if ((node->op == OP_AND && is_true(tree->value[node->a])) || (node->op == OP_OR && !is_true(tree->value[node->a])))
        read_left(tree, node->b, reached);
}

/* By climbing from the node: the first `and` or `or` of which it stands on the right. */
static int before_model(const struct tree *tree, uint16_t at)
{
    for (int child = at, up = tree->parent[at]; up >= 0; child = up, up = tree->parent[up])
        if (tree->node[up].op != OP_NOT && tree->node[up].b == child)
            return tree->node[up].a;
    return -1;
}

Test(comparison, reading_from_the_left_is_what_the_model_reads)
{
    uint64_t random = 88172645463325252u;
    for (int turn = 0; turn < 20000; turn++) {
        struct tree tree;
        bool reached[EXPR_NODE_MAX], want[NODE_MAX] = {false};
        tree_make(&tree, &random);
        uint16_t root = tree.expr.root, before;
        read_left(&tree, root, want);
        expr_reach(&tree.expr, root, tree.value, reached);
        for (uint16_t i = 0; i <= root; i++) {
            cr_assert_eq(reached[i], want[i], "turn %d node %u", turn, i);
            if (tree.parent[i] < 0 && i != root)
                continue;
            bool found = expr_before(&tree.expr, root, i, &before);
            cr_assert_eq(found ? (int)before : -1, before_model(&tree, i), "turn %d node %u", turn, i);
        }
        bool culprit[EXPR_NODE_MAX];
        uint16_t culprits = 0;
        expr_culprits(&tree.expr, root, tree.value, culprit);
        for (uint16_t i = 0; i <= root; i++) {
            culprits += culprit[i];
            cr_assert(!culprit[i] || (reached[i] && !is_true(tree.value[i])), "turn %d culprit %u", turn, i);
        }
        cr_assert_eq(culprits == 0, is_true(tree.value[root]), "turn %d: %u culprits", turn, culprits);
    }
}
