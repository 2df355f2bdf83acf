/* Reads what comparisons came to off the values of an evaluated expression. */
#include "rules/lang/comparison.h"

enum { DAY_MS = 24 * 3600 * 1000 };

uint8_t node_operands(const struct node *node, uint16_t operand[3])
{
    operand[0] = node->a;
    operand[1] = node->b;
    operand[2] = node->c;
    switch ((enum opcode)node->op) {
    case OP_CONST:
    case OP_MISSING:
    case OP_FIELD:
    case OP_MEMORY:
    case OP_KEPT:
    case OP_INPUT:
    case OP_GRAPH:
    case OP_MATCHES:
        return 0;
    case OP_NEW:
        operand[0] = node->c;
        return 1;
    case OP_NOT:
    case OP_KNOWN:
    case OP_IN_LIST:
    case OP_AGE:
    case OP_NEG:
        return 1;
    case OP_BETWEEN:
    case OP_BETWEEN_CLOCK:
        return 3;
    default:
        return 2;
    }
}

/* --- edges --- */

/* How far beside an edge a value may lie and still show it. */
static int64_t unit_of(uint8_t type)
{
    switch ((enum value_type)type) {
    case TYPE_DURATION:
    case TYPE_TIME:
    case TYPE_CLOCK:
        return 1000;
    case TYPE_PERCENT:
        return 10000;
    default:
        return 1;
    }
}

/* No weekday stands before Monday or behind Sunday. */
static bool type_ends(const struct expr *expr, uint16_t limit, int64_t end)
{
    const struct node *node = &expr->node[limit];
    return node->type == TYPE_WEEKDAY && node->op == OP_CONST && node->imm == end;
}

uint8_t comparison_wants(const struct expr *expr, uint16_t at)
{
    const struct node *node = &expr->node[at];
    uint8_t wants = SEEN_TRUE | SEEN_FALSE;
    switch ((enum opcode)node->op) {
    case OP_LT:
    case OP_GE:
        return wants | SEEN_EQUAL | (type_ends(expr, node->b, 1) ? 0 : SEEN_BESIDE);
    case OP_LE:
    case OP_GT:
        return wants | SEEN_EQUAL | (type_ends(expr, node->b, 7) ? 0 : SEEN_BESIDE);
    case OP_BETWEEN:
    case OP_BETWEEN_CLOCK:
        wants |= SEEN_EQUAL | SEEN_EQUAL_HIGH;
        wants |= type_ends(expr, node->b, 1) ? 0 : SEEN_BESIDE;
        return wants | (type_ends(expr, node->c, 7) ? 0 : SEEN_BESIDE_HIGH);
    default:
        return wants;
    }
}

/* a - b, of times of day the short way round. */
static __int128 distance(uint8_t type, int64_t a, int64_t b)
{
    __int128 apart = (__int128)a - b;
    if (type != TYPE_CLOCK)
        return apart;
    if (apart > DAY_MS / 2)
        return apart - DAY_MS;
    return apart < -DAY_MS / 2 ? apart + DAY_MS : apart;
}

static uint8_t edge(uint8_t type, int64_t value, int64_t limit, bool beside_below)
{
    __int128 apart = distance(type, value, limit);
    int64_t unit = unit_of(type);
    if (apart == 0)
        return SEEN_EQUAL;
    if (beside_below)
        apart = -apart;
    return apart > 0 && apart <= unit ? SEEN_BESIDE : 0;
}

static uint8_t edges(const struct expr *expr, const struct node *node, const struct value *value)
{
    uint8_t type = expr->node[node->a].type;
    int64_t a = value[node->a].number, b = value[node->b].number;
    switch ((enum opcode)node->op) {
    case OP_LT:
    case OP_GE:
        return edge(type, a, b, true);
    case OP_LE:
    case OP_GT:
        return edge(type, a, b, false);
    case OP_BETWEEN:
    case OP_BETWEEN_CLOCK:
        return (uint8_t)(edge(type, a, b, true) | edge(type, a, value[node->c].number, false) << 2);
    default:
        return 0;
    }
}

uint8_t comparison_sees(const struct expr *expr, uint16_t at, const struct value *value)
{
    if (!value[at].known)
        return SEEN_REACHED | SEEN_UNKNOWN;
    return (uint8_t)(SEEN_REACHED | (value[at].number ? SEEN_TRUE : SEEN_FALSE) | edges(expr, &expr->node[at], value));
}

/* --- reading from the left --- */

static bool is_true(struct value value)
{
    return value.known && value.number;
}

/* Operands stand before what works on them, so one pass from the root down marks all. */
void expr_reach(const struct expr *expr, uint16_t root, const struct value *value, bool reached[EXPR_NODE_MAX])
{
    memset(reached, 0, EXPR_NODE_MAX * sizeof *reached);
    if (expr->count == 0)
        return;
    reached[root] = true;
    for (uint16_t i = (uint16_t)(root + 1); i-- > 0;) {
        const struct node *node = &expr->node[i];
        uint16_t operand[3];
        if (!reached[i])
            continue;
        uint8_t count = node_operands(node, operand);
        bool cut = value && ((node->op == OP_AND && !is_true(value[node->a])) || (node->op == OP_OR && is_true(value[node->a])));
        for (uint8_t o = 0; o < (cut ? 1 : count); o++)
            reached[operand[o]] = true;
    }
}

bool expr_before(const struct expr *expr, uint16_t root, uint16_t node, uint16_t *before)
{
    bool under[EXPR_NODE_MAX], found = false;
    for (uint16_t at = root; at != node;) {
        const struct node *here = &expr->node[at];
        uint16_t operand[3];
        uint8_t count = node_operands(here, operand), o = 0;
        for (; o < count; o++) {
            expr_reach(expr, operand[o], NULL, under);
            if (under[node])
                break;
        }
        if (o == count)
            return false;
        if (o == 1 && (here->op == OP_AND || here->op == OP_OR)) {
            *before = here->a;
            found = true;
        }
        at = operand[o];
    }
    return found;
}

void expr_culprits(const struct expr *expr, uint16_t root, const struct value *value, bool culprit[EXPR_NODE_MAX])
{
    memset(culprit, 0, EXPR_NODE_MAX * sizeof *culprit);
    if (expr->count == 0 || is_true(value[root]))
        return;
    culprit[root] = true;
    for (uint16_t i = (uint16_t)(root + 1); i-- > 0;) { /* operands stand before what works on them */
        const struct node *node = &expr->node[i];
        if (!culprit[i] || (node->op != OP_AND && node->op != OP_OR))
            continue;
        culprit[i] = false;
        if (node->op == OP_OR)
            culprit[node->a] = culprit[node->b] = true;
        else
            culprit[is_true(value[node->a]) ? node->b : node->a] = true;
    }
}
