/* Evaluates nodes in their order; three-valued, in 64-bit integers with 128 bits in between. */
#include "rules/lang/eval.h"

#include "engine/base/invariant.h"
#include "engine/base/unset.h"
#include "engine/model/money.h"
#include "rules/lang/list.h"

enum { PERCENT_UNIT = 1000000 };

static const struct value UNKNOWN = {0, false};

static struct value known(int64_t number)
{
    return (struct value){number, true};
}

static struct value known_when(bool is, int64_t number)
{
    return (struct value){is ? number : 0, is};
}

static struct value known_if_there(int64_t number)
{
    return known_when(number != MISSING_I64, number);
}

static struct value yes(bool truth)
{
    return (struct value){truth, true};
}

static bool holds(struct value value)
{
    return value.known && value.number != 0;
}

static bool fails(struct value value)
{
    return value.known && value.number == 0;
}

/* --- fields --- */

/* Fields relative to the key's side, by what they are on the sender's: the receiver's follows. */
static enum event_ref side_ref(enum event_ref sender_ref, int side)
{
    return (enum event_ref)((int)sender_ref + (side == SIDE_RECEIVER));
}

static int other_side(int side)
{
    return side == SIDE_SENDER ? SIDE_RECEIVER : SIDE_SENDER;
}

static struct value ref_value(const struct event *event, enum event_ref ref)
{
    return known_when(event->ref[ref] != ENTITY_MISSING, event->ref[ref]);
}

static struct value code_value(int64_t code)
{
    return known_when(code != 0, code);
}

static struct value country_value(const struct event *event, int side)
{
    return code_value(side == SIDE_SENDER ? event->sender_country : event->receiver_country);
}

static struct value purpose_value(const struct event *event)
{
    int64_t code = 0;
    for (int i = 0; i < EVENT_PURPOSE_MAX; i++)
        code = code << 8 | (unsigned char)event->purpose[i];
    return known_when(event->purpose[0] != 0, code);
}

static struct value corridor_value(const struct event *event)
{
    return known_when(event->sender_country && event->receiver_country,
                      (int64_t)event->sender_country << 16 | event->receiver_country);
}

static bool crosses_border(const struct event *event)
{
    return event->sender_country && event->receiver_country && event->sender_country != event->receiver_country;
}

static struct value side_field(const struct event *event, int side, enum field field)
{
    int other = other_side(side);
    switch (field) {
    case FIELD_ACCOUNT:
        return ref_value(event, side_ref(REF_SENDER, side));
    case FIELD_ACCOUNT_PARTY:
        return ref_value(event, side_ref(REF_SENDER_PARTY, side));
    case FIELD_ACCOUNT_COUNTRY:
        return country_value(event, side);
    case FIELD_ACCOUNT_DEVICE:
        return ref_value(event, side_ref(REF_SENDER_DEVICE, side));
    case FIELD_ACCOUNT_PHONE:
        return ref_value(event, side_ref(REF_SENDER_PHONE, side));
    case FIELD_ACCOUNT_ADDRESS:
        return ref_value(event, side_ref(REF_SENDER_ADDRESS, side));
    case FIELD_OTHER:
        return ref_value(event, side_ref(REF_SENDER, other));
    case FIELD_OTHER_PARTY:
        return ref_value(event, side_ref(REF_SENDER_PARTY, other));
    case FIELD_OTHER_COUNTRY:
        return country_value(event, other);
    case FIELD_OTHER_DEVICE:
        return ref_value(event, side_ref(REF_SENDER_DEVICE, other));
    case FIELD_OTHER_PHONE:
        return ref_value(event, side_ref(REF_SENDER_PHONE, other));
    case FIELD_OTHER_ADDRESS:
        return ref_value(event, side_ref(REF_SENDER_ADDRESS, other));
    default:
        return UNKNOWN;
    }
}

static struct value entity_field(const struct event *event, int side, enum field field)
{
    switch (field) {
    case FIELD_SENDER:
        return ref_value(event, REF_SENDER);
    case FIELD_RECEIVER:
        return ref_value(event, REF_RECEIVER);
    case FIELD_SENDER_PARTY:
        return ref_value(event, REF_SENDER_PARTY);
    case FIELD_RECEIVER_PARTY:
        return ref_value(event, REF_RECEIVER_PARTY);
    case FIELD_SENDER_DEVICE:
        return ref_value(event, REF_SENDER_DEVICE);
    case FIELD_RECEIVER_DEVICE:
        return ref_value(event, REF_RECEIVER_DEVICE);
    case FIELD_SENDER_PHONE:
        return ref_value(event, REF_SENDER_PHONE);
    case FIELD_RECEIVER_PHONE:
        return ref_value(event, REF_RECEIVER_PHONE);
    case FIELD_SENDER_ADDRESS:
        return ref_value(event, REF_SENDER_ADDRESS);
    case FIELD_RECEIVER_ADDRESS:
        return ref_value(event, REF_RECEIVER_ADDRESS);
    case FIELD_TERMINAL:
        return ref_value(event, REF_TERMINAL);
    case FIELD_PLACE:
        return ref_value(event, REF_PLACE);
    default:
        return side_field(event, side, field);
    }
}

struct value eval_field(const struct program *program, const struct event *event, int side, enum field field)
{
    switch (field) {
    case FIELD_AMOUNT:
        return known_when(event->amount_base != MISSING_I64, event->amount_base);
    case FIELD_CURRENCY:
        return code_value(event->currency);
    case FIELD_KIND:
        return code_value(event->kind);
    case FIELD_CHANNEL:
        return code_value(event->channel);
    case FIELD_PURPOSE:
        return purpose_value(event);
    case FIELD_MCC:
        return code_value(event->mcc);
    case FIELD_SENDER_COUNTRY:
        return code_value(event->sender_country);
    case FIELD_RECEIVER_COUNTRY:
        return code_value(event->receiver_country);
    case FIELD_PLACE_COUNTRY:
        return code_value(event->place_country);
    case FIELD_LOCAL_TIME:
        return known(zone_clock_ms(program->zone, event->time_ms));
    case FIELD_WEEKDAY:
        return known(zone_weekday(program->zone, event->time_ms));
    case FIELD_CROSS_BORDER:
        return yes(crosses_border(event));
    case FIELD_CORRIDOR:
        return corridor_value(event);
    case FIELD_TIME:
        return known(event->time_ms);
    case FIELD_NARRATIVE:
        return UNKNOWN; /* never a value: only `matches` reads it */
    default:
        return entity_field(event, side, field);
    }
}

/* --- arithmetic --- */

/* INT64_MIN means missing in state, so it is never a result. */
static int64_t saturate(__int128 exact)
{
    if (exact > INT64_MAX)
        return INT64_MAX;
    return exact < -INT64_MAX ? -INT64_MAX : (int64_t)exact;
}

/* a · b / c, rounded half-even, saturating; c is not 0. */
static int64_t muldiv(int64_t a, int64_t b, int64_t c)
{
    int64_t out;
    if (muldiv_half_even(a, b, c, &out))
        return saturate(out);
    bool negative = (a < 0) ^ (b < 0) ^ (c < 0);
    return negative ? -INT64_MAX : INT64_MAX;
}

static struct value calculate(enum opcode op, int64_t a, int64_t b)
{
    switch (op) {
    case OP_ADD:
        return known(saturate((__int128)a + b));
    case OP_SUB:
        return known(saturate((__int128)a - b));
    case OP_MUL_INT:
        return known(saturate((__int128)a * b));
    case OP_MUL_PERCENT:
        return known(muldiv(a, b, PERCENT_UNIT));
    case OP_DIV_INT:
        return b ? known(muldiv(a, 1, b)) : UNKNOWN;
    case OP_RATIO:
    case OP_DIV_PERCENT:
        return b ? known(muldiv(a, PERCENT_UNIT, b)) : UNKNOWN;
    default:
        invariant_broken("opcode works on two numbers", __FILE__, __LINE__);
    }
}

static struct value compare(enum opcode op, int64_t a, int64_t b)
{
    switch (op) {
    case OP_EQ:
        return yes(a == b);
    case OP_NE:
        return yes(a != b);
    case OP_LT:
        return yes(a < b);
    case OP_LE:
        return yes(a <= b);
    case OP_GT:
        return yes(a > b);
    case OP_GE:
        return yes(a >= b);
    default:
        return calculate(op, a, b);
    }
}

/* --- logic --- */

static struct value logic_and(struct value a, struct value b)
{
    if (fails(a) || fails(b))
        return yes(false);
    return holds(a) && holds(b) ? yes(true) : UNKNOWN;
}

static struct value logic_or(struct value a, struct value b)
{
    if (holds(a) || holds(b))
        return yes(true);
    return fails(a) && fails(b) ? yes(false) : UNKNOWN;
}

static struct value between(enum opcode op, struct value a, struct value low, struct value high)
{
    if (!a.known || !low.known || !high.known)
        return UNKNOWN;
    if (op == OP_BETWEEN_CLOCK && low.number > high.number)
        return yes(a.number >= low.number || a.number <= high.number);
    return yes(low.number <= a.number && a.number <= high.number);
}

/* --- what is read from outside the expression --- */

static struct value memory_value(const struct evaluation *ev, const struct node *node)
{
    const struct memory_read *read = &ev->program->read[ev->side == SIDE_RECEIVER ? node->b : node->a];
    return known_if_there(ev->slot[read->slot + (node->c == READ_TIME ? 0 : 1 + node->c)]);
}

/* RULES 14: new when nothing of the key carried the value since imm ms before this event, or after it. */
static struct value fresh(const struct evaluation *ev, const struct node *node)
{
    if (!ev->node[node->c].known)
        return UNKNOWN;
    const struct memory_read *read = &ev->program->read[ev->side == SIDE_RECEIVER ? node->b : node->a];
    struct value seen = known_if_there(ev->slot[read->slot]);
    return yes(!seen.known || seen.number <= ev->event->time_ms - node->imm);
}

static struct value listed(const struct evaluation *ev, struct value value, int64_t index)
{
    if (!value.known)
        return UNKNOWN;
    const struct list *list = ev->program->list[index];
    switch (list_type(list)) {
    case TYPE_ACCOUNT:
    case TYPE_PARTY:
    case TYPE_DEVICE:
    case TYPE_PHONE:
    case TYPE_ADDRESS:
    case TYPE_TERMINAL:
    case TYPE_PLACE:
        return yes(ev->entity_lists(ev->lists_context, (entity_id)value.number) >> index & 1);
    default:
        return yes(list_has_number(list, value.number));
    }
}

static struct value matched(const struct event *event, int64_t text)
{
    if (event->text_unknown >> text & 1)
        return UNKNOWN;
    return yes(event->text_true >> text & 1);
}

static struct value eval_node(const struct evaluation *ev, const struct node *node)
{
    const struct value *at = ev->node;
    struct value a;
    switch ((enum opcode)node->op) {
    case OP_CONST:
        return known(node->imm);
    case OP_MISSING:
        return UNKNOWN;
    case OP_FIELD:
        return eval_field(ev->program, ev->event, ev->side, (enum field)node->imm);
    case OP_MEMORY:
        return memory_value(ev, node);
    case OP_NEW:
        return fresh(ev, node);
    case OP_KEPT:
        return ev->kept[node->imm];
    case OP_INPUT:
        return ev->input ? ev->input[node->imm] : UNKNOWN;
    case OP_GRAPH:
        return ev->graph ? ev->graph[node->imm] : UNKNOWN;
    case OP_AND:
        return logic_and(at[node->a], at[node->b]);
    case OP_OR:
        return logic_or(at[node->a], at[node->b]);
    case OP_NOT:
        return at[node->a].known ? yes(!at[node->a].number) : UNKNOWN;
    case OP_BETWEEN:
    case OP_BETWEEN_CLOCK:
        return between((enum opcode)node->op, at[node->a], at[node->b], at[node->c]);
    case OP_IN_LIST:
        return listed(ev, at[node->a], node->imm);
    case OP_MATCHES:
        return matched(ev->event, node->imm);
    case OP_KNOWN:
        return node->c && !ev->graph ? UNKNOWN : yes(at[node->a].known);
    case OP_DEFAULT:
        return at[node->a].known ? at[node->a] : node->c && !ev->graph ? UNKNOWN : at[node->b];
    case OP_AGE:
        a = at[node->a];
        return a.known ? known(saturate((__int128)ev->event->time_ms - a.number)) : UNKNOWN;
    case OP_NEG:
        a = at[node->a];
        return a.known ? known(saturate(-(__int128)a.number)) : UNKNOWN;
    default:
        break;
    }
    if (!at[node->a].known || !at[node->b].known)
        return UNKNOWN;
    return compare((enum opcode)node->op, at[node->a].number, at[node->b].number);
}

/* Not inlined anywhere, so that eval_node is, here. */
__attribute__((noinline)) void eval_nodes(struct evaluation *ev, const struct expr *expr, uint16_t from, uint16_t to)
{
    invariant(to <= expr->count && expr->count <= EXPR_NODE_MAX);
    for (uint16_t i = from; i < to; i++)
        ev->node[i] = eval_node(ev, &expr->node[i]);
}

struct value eval_value(struct evaluation *ev, const struct expr *expr)
{
    invariant(expr->count > 0);
    eval_nodes(ev, expr, 0, expr->count);
    return ev->node[expr->root];
}

/* A chain `x and y and z` is judged from the left and left at the first part that is not true: the
 * nodes that later parts need are then never worked. */
bool eval_true(struct evaluation *ev, const struct expr *expr)
{
    unset uint16_t part[EXPR_NODE_MAX];
    uint16_t parts = 0, done = 0, node = expr->root;
    if (expr->count == 0)
        return true;
    for (; expr->node[node].op == OP_AND; node = expr->node[node].a)
        part[parts++] = expr->node[node].b;
    part[parts++] = node;
    while (parts > 0) {
        node = part[--parts];
        if (node >= done) {
            eval_nodes(ev, expr, done, (uint16_t)(node + 1));
            done = (uint16_t)(node + 1);
        }
        if (!holds(ev->node[node]))
            return false;
    }
    return true;
}
