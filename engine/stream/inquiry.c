/* Keeps what a step tells of wanted events, with the values put into words at once: they do not last. */
#include "engine/stream/inquiry.h"

#include "engine/base/invariant.h"
#include "engine/stream/value_text.h"

#include <stdlib.h>

struct inquiry {
    const struct program *program;
    const struct state *state;
    bool (*wanted)(void *context, const struct event *event);
    void *context;
    struct arena arena;
    struct inquiry_look *look;
    uint32_t count, room;
    uint64_t more;
};

struct inquiry *inquiry_new(const struct program *program, bool (*wanted)(void *context, const struct event *event), void *context)
{
    struct inquiry *inquiry = calloc(1, sizeof *inquiry);
    invariant(inquiry != NULL);
    inquiry->program = program;
    inquiry->wanted = wanted;
    inquiry->context = context;
    arena_init(&inquiry->arena);
    return inquiry;
}

void inquiry_free(struct inquiry *inquiry)
{
    if (!inquiry)
        return;
    arena_fini(&inquiry->arena);
    free(inquiry->look);
    free(inquiry);
}

/* --- words --- */

static struct slice append(struct inquiry *inquiry, struct slice text, const char *between, struct slice next)
{
    return arena_format(&inquiry->arena, "%.*s%s%.*s", (int)text.size, text.size ? text.data : "", text.size ? between : "",
                        (int)next.size, next.data);
}

static struct slice node_text(struct inquiry *inquiry, const struct expr *expr, const struct value *value, uint16_t node)
{
    return value_text(inquiry->program, inquiry->state, &inquiry->arena, value[node], (enum value_type)expr->node[node].type);
}

/* What a comparison compares, as values: of `is missing` what is asked for, of a plain field nothing. */
static struct slice values_text(struct inquiry *inquiry, const struct expr *expr, const struct value *value, uint16_t at)
{
    uint16_t operand[3];
    struct slice text = SLICE("");
    uint8_t count = node_operands(&expr->node[at], operand);
    if (expr->node[at].op == OP_NOT)
        return values_text(inquiry, expr, value, operand[0]);
    for (uint8_t o = 0; o < count; o++)
        text = append(inquiry, text, ", ", node_text(inquiry, expr, value, operand[o]));
    return text;
}

/* Where the value of a let stands when this part was evaluated; false when the part does not know it. */
static bool let_node(const struct rule *rule, const struct let_def *let, const struct witness *witness, uint16_t *node)
{
    const struct expr *body = &rule->body;
    const struct rule_part *part = witness->part == WITNESS_UNLESS ? &rule->unless[rule->step_count > 1 ? witness->in_hand : 0]
                                                                   : &rule->step[witness->number - 1].part;
    *node = let->node;
    if (body->node[let->node].op != OP_KEPT)
        return rule->step_count == 1 && let->node < part->to;
    for (uint8_t k = 0; witness->part == WITNESS_STEP && k < rule->step[witness->number - 1].kept_count; k++) {
        const struct kept_let *kept = &rule->step[witness->number - 1].kept[k];
        *node = kept->node;
        if (kept->slot == body->node[let->node].imm)
            return true;
    }
    for (*node = part->from; *node < part->to; (*node)++)
        if (body->node[*node].op == OP_KEPT && body->node[*node].imm == body->node[let->node].imm)
            return true;
    return false;
}

static struct slice lets_text(struct inquiry *inquiry, const struct rule *rule, const struct witness *witness)
{
    struct slice text = SLICE("");
    uint16_t node;
    for (uint8_t i = 0; i < rule->let_count; i++) {
        if (!let_node(rule, &rule->let[i], witness, &node))
            continue;
        struct slice value = node_text(inquiry, &rule->body, witness->node, node);
        text = append(inquiry, text, ", ",
                      arena_format(&inquiry->arena, "%.*s = %.*s", (int)rule->let[i].name.size, rule->let[i].name.data, (int)value.size,
                                   value.data));
    }
    return text;
}

/* --- looks --- */

static uint8_t truth_of(struct value value)
{
    return value.known ? value.number ? INQUIRY_TRUE : INQUIRY_FALSE : INQUIRY_UNKNOWN;
}

static bool is_comparison(const struct expr *expr, uint16_t node)
{
    for (uint16_t i = 0; i < expr->comparison_count; i++)
        if (expr->comparison[i].node == node)
            return true;
    return false;
}

/* The node itself where it is a comparison, or the first that stands in it. */
static uint16_t comparison_in(const struct expr *expr, uint16_t node)
{
    bool under[EXPR_NODE_MAX];
    if (is_comparison(expr, node))
        return node;
    expr_reach(expr, node, NULL, under);
    for (uint16_t i = 0; i < expr->comparison_count; i++)
        if (under[expr->comparison[i].node])
            return expr->comparison[i].node;
    return EXPR_NODE_MAX;
}

/* Marks the comparisons that kept the whole from being true: of an `and` the first that is not, of an `or` one in each
 * part. Operands stand before what works on them, so one pass from the root down finds all. */
static void mark_culprits(const struct witness *witness, bool culprit[EXPR_NODE_MAX])
{
    const struct expr *expr = witness->expr;
    bool at[EXPR_NODE_MAX] = {false};
    memset(culprit, 0, EXPR_NODE_MAX * sizeof *culprit);
    if (expr->count == 0 || truth_of(witness->node[witness->root]) == INQUIRY_TRUE)
        return;
    at[witness->root] = true;
    for (uint16_t i = (uint16_t)(witness->root + 1); i-- > 0;) {
        const struct node *node = &expr->node[i];
        if (!at[i])
            continue;
        if (node->op == OP_AND) {
            at[truth_of(witness->node[node->a]) == INQUIRY_TRUE ? node->b : node->a] = true;
        } else if (node->op == OP_OR) {
            at[node->a] = at[node->b] = true;
        } else {
            uint16_t found = comparison_in(expr, i);
            if (found != EXPR_NODE_MAX)
                culprit[found] = true;
        }
    }
}

static void look_conditions(struct inquiry *inquiry, const struct witness *witness, struct inquiry_look *look)
{
    const struct expr *expr = witness->expr;
    bool under[EXPR_NODE_MAX], reached[EXPR_NODE_MAX], culprit[EXPR_NODE_MAX];
    mark_culprits(witness, culprit);
    expr_reach(expr, witness->root, NULL, under);
    expr_reach(expr, witness->root, witness->node, reached);
    look->condition = ARENA_ARRAY(&inquiry->arena, struct inquiry_condition, expr->comparison_count + 1u);
    for (uint16_t i = 0; i < expr->comparison_count; i++) {
        uint16_t node = expr->comparison[i].node;
        if (!under[node])
            continue;
        under[node] = false; /* written twice, shown once */
        look->condition[look->condition_count++] = (struct inquiry_condition){.node = node,
                                                                              .truth = truth_of(witness->node[node]),
                                                                              .reached = reached[node],
                                                                              .culprit = culprit[node],
                                                                              .values = values_text(inquiry, expr, witness->node, node)};
    }
}

static struct inquiry_look *look_add(struct inquiry *inquiry)
{
    if (inquiry->count == INQUIRY_LOOKS_MAX) {
        inquiry->more++;
        return NULL;
    }
    if (inquiry->count == inquiry->room) {
        inquiry->room = inquiry->room ? inquiry->room * 2 : 64;
        inquiry->look = realloc(inquiry->look, inquiry->room * sizeof *inquiry->look);
        invariant(inquiry->look != NULL);
    }
    return &inquiry->look[inquiry->count++];
}

static void look_keep(void *context, const struct witness *witness)
{
    struct inquiry *inquiry = context;
    if (witness->part == WITNESS_MEMORY || !inquiry->wanted(inquiry->context, witness->event))
        return;
    struct inquiry_look *look = look_add(inquiry);
    if (!look)
        return;
    *look = (struct inquiry_look){.seq = witness->event->seq, .part = witness->part, .number = witness->number, .in_hand = witness->in_hand,
                                  .index = witness->index, .side = witness->side, .width = witness->width, .truth = witness->truth};
    look_conditions(inquiry, witness, look);
    if (witness->part == WITNESS_STREAM)
        return;
    const struct rule *rule = &inquiry->program->rule[witness->index];
    const struct keyspace *keyspace = &inquiry->program->keyspace[rule->keyspace];
    for (uint8_t w = 0; w < witness->width; w++) {
        look->key[w] = witness->key[w];
        look->key_text[w] = value_text(inquiry->program, inquiry->state, &inquiry->arena, (struct value){witness->key[w], true}, keyspace->type[w]);
    }
    if (witness->part != WITNESS_EXCEPT)
        look->lets = lets_text(inquiry, rule, witness);
}

struct step_watch inquiry_watch(struct inquiry *inquiry, const struct state *state)
{
    inquiry->state = state;
    return (struct step_watch){.context = inquiry, .witnessed = look_keep};
}

/* --- following --- */

static bool type_is_entity(enum value_type type)
{
    return type == TYPE_ACCOUNT || type == TYPE_PARTY || type == TYPE_DEVICE || type == TYPE_PHONE || type == TYPE_ADDRESS ||
           type == TYPE_TERMINAL || type == TYPE_PLACE;
}

/* Another step gives accounts other ids: their texts are compared. */
static bool keys_alike(const struct inquiry *inquiry, const struct inquiry_look *look, const struct witness *witness)
{
    const struct keyspace *keyspace = &inquiry->program->keyspace[inquiry->program->rule[look->index].keyspace];
    for (uint8_t w = 0; w < look->width; w++) {
        bool same = type_is_entity(keyspace->type[w]) ? slice_equal(ident_text(inquiry->state, witness->key[w]), look->key_text[w])
                                                      : look->key[w] == witness->key[w];
        if (!same)
            return false;
    }
    return true;
}

static bool looks_alike(const struct inquiry *inquiry, const struct inquiry_look *look, const struct witness *witness)
{
    return look->part == witness->part && look->index == witness->index && look->number == witness->number && witness->width > 0 &&
           look->part != WITNESS_STREAM && (witness->part != WITNESS_UNLESS || look->in_hand == witness->in_hand) &&
           keys_alike(inquiry, look, witness);
}

static void look_follow(void *context, const struct witness *witness)
{
    struct inquiry *inquiry = context;
    for (uint32_t i = 0; i < inquiry->count; i++) {
        struct inquiry_look *look = &inquiry->look[i];
        if (look->seq < witness->event->seq || !looks_alike(inquiry, look, witness))
            continue;
        for (uint16_t c = 0; c < look->condition_count; c++) {
            struct inquiry_condition *condition = &look->condition[c];
            bool truth = truth_of(witness->node[condition->node]) == INQUIRY_TRUE;
            if (truth && !condition->turned_seq) {
                condition->turned_seq = witness->event->seq;
                condition->turned_ms = witness->event->time_ms;
            } else if (!truth) {
                condition->turned_seq = 0;
            }
        }
    }
}

struct step_watch inquiry_follow(struct inquiry *inquiry, const struct state *state)
{
    inquiry->state = state;
    return (struct step_watch){.context = inquiry, .witnessed = look_follow};
}

/* --- asking --- */

const struct inquiry_look *inquiry_looks(const struct inquiry *inquiry, uint32_t *count, uint64_t *more)
{
    *count = inquiry->count;
    *more = inquiry->more;
    return inquiry->look;
}

static bool place_in(const struct comparison_place *comparison, uint16_t count, uint16_t node, struct span *span)
{
    for (uint16_t i = 0; i < count; i++) {
        *span = comparison[i].span;
        if (comparison[i].node == node)
            return true;
    }
    return false;
}

bool inquiry_place(const struct program *program, uint16_t index, const struct inquiry_look *look, uint16_t node, struct span *span)
{
    const struct rule *rule = &program->rule[index];
    if (look->part == WITNESS_EXCEPT)
        return place_in(rule->except[look->number].condition.comparison, rule->except[look->number].condition.comparison_count, node, span);
    if (look->part != WITNESS_STREAM)
        return place_in(rule->body.comparison, rule->body.comparison_count, node, span);
    for (uint8_t f = 0; f < rule->filter_count; f++)
        if (rule->filter[f].stream == look->index)
            return place_in(rule->filter[f].comparison, rule->filter[f].comparison_count, node, span);
    return false;
}

const struct inquiry_condition *inquiry_culprit(const struct inquiry_look *look)
{
    const struct inquiry_condition *last = NULL;
    for (uint16_t c = 0; !look->truth && c < look->condition_count; c++)
        if (look->condition[c].culprit)
            last = &look->condition[c];
    return last;
}
