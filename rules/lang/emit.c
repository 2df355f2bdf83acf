/* Checks the types of an expression and emits its nodes, in one pass. */
#include "rules/lang/compile.h"

#include "engine/base/invariant.h"

#include <sodium.h>

static const struct typed poison = {0, TYPE_POISON};

static const uint8_t field_types[FIELD_COUNT] = {
#define FIELD(name, word, type, help) TYPE_##type,
#include "rules/lang/field.def"
#undef FIELD
};

/* --- nodes --- */

uint16_t emit_node(struct emitter *em, struct node node)
{
    for (uint16_t i = em->part_from; i < em->count; i++) {
        const struct node *have = &em->node[i];
        if (have->op == node.op && have->type == node.type && have->a == node.a && have->b == node.b && have->c == node.c &&
            have->imm == node.imm)
            return i;
    }
    if (em->count == EXPR_NODE_MAX) {
        em->full = true;
        return 0;
    }
    em->node[em->count] = node;
    return em->count++;
}

static struct typed emit_typed(struct emitter *em, struct node node)
{
    uint8_t type = node.type;
    return (struct typed){emit_node(em, node), type};
}

static struct typed emit_const(struct emitter *em, enum value_type type, int64_t number)
{
    return emit_typed(em, (struct node){.op = OP_CONST, .type = (uint8_t)type, .imm = number});
}

static struct typed emit_binary(struct emitter *em, enum opcode op, enum value_type type, struct typed a, struct typed b)
{
    return emit_typed(em, (struct node){.op = (uint8_t)op, .type = (uint8_t)type, .a = a.node, .b = b.node});
}

struct expr emitted(struct emitter *em, uint16_t root)
{
    if (em->count == 0)
        return (struct expr){0};
    struct node *node = ARENA_ARRAY(em->c->arena, struct node, em->count);
    memcpy(node, em->node, sizeof *node * em->count);
    struct comparison_place *comparison = ARENA_ARRAY(em->c->arena, struct comparison_place, em->comparison_count + 1u);
    if (em->comparison_count)
        memcpy(comparison, em->comparison, sizeof *comparison * em->comparison_count);
    return (struct expr){node, em->count, root, em->comparison_count, comparison};
}

/* Keeps where a comparison was written, for whoever counts how tests see it. */
static void comparison_note(struct emitter *em, struct span span, uint16_t node)
{
    for (uint16_t i = 0; i < em->comparison_count; i++) {
        const struct comparison_place *have = &em->comparison[i];
        if (have->node == node && have->span.at == span.at && have->span.file == span.file && have->span.size == span.size)
            return;
    }
    if (!em->comparison)
        em->comparison = arena_bytes(&em->c->of_rule, COMPARISON_MAX * sizeof *em->comparison);
    if (em->comparison_count == COMPARISON_MAX) {
        em->full = true;
        return;
    }
    em->comparison[em->comparison_count++] = (struct comparison_place){.node = node, .span = span};
}

/* --- hashes --- */

uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t size)
{
    crypto_generichash_state state;
    unsigned char out[crypto_generichash_BYTES_MIN];
    uint64_t hash;
    crypto_generichash_init(&state, NULL, 0, sizeof out);
    crypto_generichash_update(&state, (const unsigned char *)&seed, sizeof seed);
    if (size)
        crypto_generichash_update(&state, bytes, size);
    crypto_generichash_final(&state, out, sizeof out);
    memcpy(&hash, out, sizeof hash);
    return hash;
}

uint64_t hash_slice(uint64_t seed, struct slice text)
{
    return hash_bytes(hash_number(seed, (int64_t)text.size), text.data, text.size);
}

uint64_t hash_number(uint64_t seed, int64_t number)
{
    return hash_bytes(seed, &number, sizeof number);
}

struct slice list_word(const struct compiler *c, int64_t index)
{
    const struct syntax_list *list = c->syntax->list;
    while (index-- > 0)
        list = list->next;
    return list->name.text;
}

/* hash_number, looked up first: rules of one pattern differ in few nodes. Of the 401,000 links of 1,240 rules made
 * from the pack (bench/growth.py) 70% are found, and with a table 16 times as large 73%. */
static uint64_t link_hash(const struct compiler *c, uint64_t seed, int64_t number)
{
    uint64_t mixed = (seed ^ (uint64_t)number * 0x9e3779b97f4a7c15u) * 0x9e3779b97f4a7c15u;
    struct hash_link *link = &c->hash_link[mixed >> (64 - HASH_LINK_BITS)];
    if (link->hash == 0 || link->seed != seed || link->number != number)
        *link = (struct hash_link){.seed = seed, .number = number, .hash = hash_number(seed, number)};
    return link->hash;
}

static uint64_t hash_operand(const struct compiler *c, const struct node *node, uint64_t hash)
{
    switch ((enum opcode)node->op) {
    case OP_IN_LIST:
        hash = hash_slice(hash, list_word(c, node->imm));
        break;
    case OP_MATCHES:
        return link_hash(c, hash, (int64_t)c->text_hash[node->imm]);
    case OP_MEMORY:
        hash = link_hash(c, hash, (int64_t)c->memory[c->read[node->a].memory].hash);
        hash = link_hash(c, hash, c->memory[c->read[node->a].memory].for_ms); /* how long it is known decides what is read */
        hash = link_hash(c, hash, c->read[node->a].side);
        hash = link_hash(c, hash, c->read[node->b].side);
        return link_hash(c, hash, node->c);
    case OP_NEW:
        hash = link_hash(c, hash, (int64_t)c->memory[c->read[node->a].memory].hash);
        return link_hash(c, link_hash(c, hash, node->c), node->imm);
    case OP_INPUT:
        return link_hash(c, hash, node->imm);
    default:
        hash = link_hash(c, hash, node->imm);
        break;
    }
    hash = link_hash(c, hash, node->a);
    hash = link_hash(c, hash, node->b);
    return link_hash(c, hash, node->c);
}

uint64_t hash_expr(const struct compiler *c, const struct expr *expr, uint64_t seed)
{
    uint64_t hash = link_hash(c, link_hash(c, seed, expr->count), expr->root);
    for (uint16_t i = 0; i < expr->count; i++) {
        hash = link_hash(c, hash, expr->node[i].op);
        hash = link_hash(c, hash, expr->node[i].type);
        hash = hash_operand(c, &expr->node[i], hash);
    }
    return hash;
}

/* --- names --- */

static struct typed emit_field(struct emitter *em, const struct name *name, enum field field, bool of_key)
{
    struct compiler *c = em->c;
    if (field == FIELD_NARRATIVE) {
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_NARRATIVE, name->span, "only `matches` reads the narrative");
        diagnostic_help(c->diagnostics, d, "write `narrative matches NAME_OF_A_TEXT`");
        return poison;
    }
    if (field >= FIELD_ACCOUNT) {
        if (!em->key->sided) {
            struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_FIELD_NOT_HERE, name->span,
                                                  "`%.*s` has a meaning only in `for each account`", (int)name->text.size,
                                                  name->text.data);
            diagnostic_help(c->diagnostics, d, "name the end you mean: `sender` or `receiver`");
            return poison;
        }
        em->side_relative = true;
    }
    em->reads_event |= !of_key;
    return emit_typed(em, (struct node){.op = OP_FIELD, .type = field_types[field], .imm = field});
}

uint16_t read_intern(struct compiler *c, uint16_t memory, enum read_side side)
{
    for (uint16_t i = 0; i < c->read_count; i++)
        if (c->read[i].memory == memory && c->read[i].side == side)
            return i;
    invariant(c->read_count < READ_MAX); /* LIMIT_MEMORIES times three sides fit */
    c->read[c->read_count] = (struct memory_read){.memory = memory, .side = (uint8_t)side, .slot = c->slot_count};
    c->slot_count = (uint16_t)(c->slot_count + 1 + c->memory[memory].keep_count);
    return c->read_count++;
}

static bool memory_key_fits(struct emitter *em, const struct name *name, const struct memory_path *path)
{
    const struct syntax_memory *memory = em->c->memory_syntax[path->memory];
    const struct keyspace *kept = &em->c->keyspace[em->c->memory[path->memory].keyspace];
    bool whole = slice_equal(path->base, SLICE("pair")) || slice_equal(path->base, SLICE("terminal"));
    bool relative = slice_equal(path->base, SLICE("account")) || slice_equal(path->base, SLICE("other"));
    if (whole ? !slice_equal(path->base, memory->key.text) : !kept->sided) {
        int word = (int)memory->key.text.size;
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_MEMORY_KEY, name->span, "this memory is kept for each %.*s",
                                              word, memory->key.text.data);
        diagnostic_second(em->c->diagnostics, d, memory->key.span, "declared here");
        if (kept->sided)
            diagnostic_help(em->c->diagnostics, d, "read it as `sender.NAME`, `receiver.NAME`, `account.NAME` or `other.NAME`");
        else
            diagnostic_help(em->c->diagnostics, d, "read it as `%.*s.NAME`", word, memory->key.text.data);
        return false;
    }
    if (relative && !em->key->sided) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_FIELD_NOT_HERE, name->span,
                                              "`%.*s` has a meaning only in `for each account`", (int)path->base.size, path->base.data);
        diagnostic_help(em->c->diagnostics, d, "name the end you mean: `sender` or `receiver`");
        return false;
    }
    em->side_relative |= relative;
    return true;
}

static struct typed emit_memory(struct emitter *em, const struct name *name, const struct memory_path *path, bool of_key)
{
    struct compiler *c = em->c;
    const struct memory *memory = &c->memory[path->memory];
    if (!memory_key_fits(em, name, path) || c->memory_syntax[path->memory]->broken || c->memory_state[path->memory] != 2)
        return poison;
    uint16_t kept = READ_TIME;
    uint8_t type = TYPE_TIME;
    if (path->keep.size) {
        struct suggestion s = {.wrong = path->keep};
        for (kept = 0; kept < memory->keep_count && !slice_equal(memory->keep_name[kept], path->keep); kept++)
            suggest_offer(&s, memory->keep_name[kept]);
        if (kept == memory->keep_count) {
            struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_KEEP_UNKNOWN, name->span, memory->fact ? "the fact `%.*s` has no `%.*s`" : "the memory `%.*s` keeps no `%.*s`",
                                                  (int)memory->name.size, memory->name.data, (int)path->keep.size, path->keep.data);
            help_suggestion(c, d, &s);
            return poison;
        }
        type = (uint8_t)memory->keep_type[kept];
    }
    static const struct {
        const char *base;
        enum read_side as_sender, as_receiver;
    } bases[] = {{"sender", READ_SENDER, READ_SENDER},    {"receiver", READ_RECEIVER, READ_RECEIVER},
                 {"account", READ_SENDER, READ_RECEIVER}, {"other", READ_RECEIVER, READ_SENDER},
                 {"pair", READ_WHOLE, READ_WHOLE},        {"terminal", READ_WHOLE, READ_WHOLE}};
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        if (!slice_equal(path->base, slice_of(bases[i].base)))
            continue;
        em->reads_event |= !of_key;
        return emit_typed(em, (struct node){.op = OP_MEMORY, .type = type, .c = kept,
                                            .a = read_intern(c, path->memory, bases[i].as_sender),
                                            .b = read_intern(c, path->memory, bases[i].as_receiver)});
    }
    return poison;
}

static struct typed emit_let(struct emitter *em, const struct name *name, const struct syntax_let *let)
{
    struct compiler *c = em->c;
    size_t index = 0;
    for (const struct syntax_let *at = em->rule->let; at != let; at = at->next)
        index++;
    if (let->is_source) {
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_SOURCE_NOT_VALUE, name->span,
                                              "`%.*s` is a source of events, not a value", (int)name->text.size, name->text.data);
        diagnostic_second(c->diagnostics, d, let->name.span, "declared here");
        diagnostic_help(c->diagnostics, d, "count it over a window: `count of %.*s over 24h`", (int)name->text.size, name->text.data);
        return poison;
    }
    if (!let->value || index >= LIMIT_LETS)
        return poison;
    if (em->let_home[index] && em->let_home[index] <= em->in_hand)
        return emit_typed(em, (struct node){.op = OP_KEPT, .type = em->let_type[index], .imm = em->let_slot[index]});
    if (em->let_done[index])
        return em->let_value[index];
    const struct syntax_let *limit = em->let_limit;
    em->let_limit = let;
    struct typed value = emit(em, let->value, TYPE_POISON);
    em->let_limit = limit;
    em->let_done[index] = true;
    em->let_value[index] = value;
    let_settle(em, index, value);
    return value;
}

/* A path as written in a key or a field: no let, param or alias. */
static struct typed emit_read(struct emitter *em, const struct name *name, bool of_key, bool *found)
{
    struct memory_path path;
    int field = name_field(name->text);
    *found = true;
    if (field >= 0)
        return emit_field(em, name, (enum field)field, of_key);
    if (name_memory(em->c, name->text, &path))
        return emit_memory(em, name, &path, of_key);
    *found = false;
    return poison;
}

/* A param's value names no param, itself least of all: check_params says so, where it was written. */
static struct typed emit_param(struct emitter *em, const struct syntax_param *param, enum value_type want)
{
    if (!param->value || em->of_param)
        return poison;
    em->of_param = true;
    struct typed value = emit(em, param->value, want);
    em->of_param = false;
    return value;
}

struct typed emit_path(struct emitter *em, const struct name *name, enum value_type want)
{
    struct slice word = name->text;
    bool found;
    const struct syntax_key *key = name_key(em->rule, word);
    if (key && em->key->form == KEY_COMPOSITE) {
        struct typed value = emit_read(em, &key->path, true, &found);
        return value;
    }
    if (key && key_is_entity(em->key->form))
        return emit_field(em, name, key_entity(em->key->form)->field, true);
    const struct syntax_let *let = name_let(em, word);
    if (let)
        return emit_let(em, name, let);
    const struct syntax_param *param = name_param(em->rule, word);
    if (param)
        return emit_param(em, param, want);
    bool of_key = em->key->form == KEY_PAIR && (slice_equal(word, SLICE("sender")) || slice_equal(word, SLICE("receiver")));
    struct typed value = emit_read(em, name, of_key, &found);
    if (found)
        return value;
    int64_t number;
    if (code_value(want, word, &number))
        return emit_const(em, want, number);
    if (type_has_codes(want) && want != TYPE_BOOL)
        report_code(em->c, want, name);
    else
        report_unknown(em, name);
    return poison;
}

/* --- operators --- */

static bool is_plain_code(struct emitter *em, const struct syntax_expr *expr)
{
    struct memory_path path;
    if (expr->form == EXPR_NUMBER)
        return true;
    return expr->form == EXPR_NAME && !name_key(em->rule, expr->name.text) && !name_let(em, expr->name.text) &&
           !name_param(em->rule, expr->name.text) && name_field(expr->name.text) < 0 &&
           !name_memory(em->c, expr->name.text, &path);
}

/* Both sides, the one whose type is plain first, so that a code on the other side is understood. */
static void emit_sides(struct emitter *em, const struct syntax_expr *left, const struct syntax_expr *right, struct typed *a,
                       struct typed *b)
{
    if (is_plain_code(em, left) && !is_plain_code(em, right)) {
        *b = emit(em, right, TYPE_POISON);
        *a = b->type == TYPE_POISON ? poison : emit(em, left, (enum value_type)b->type);
        return;
    }
    *a = emit(em, left, TYPE_POISON);
    *b = a->type == TYPE_POISON && is_plain_code(em, right) ? poison : emit(em, right, (enum value_type)a->type);
}

static bool type_has_order(uint8_t type)
{
    return type == TYPE_COUNT || type == TYPE_MONEY || type == TYPE_PERCENT || type == TYPE_DURATION || type == TYPE_TIME ||
           type == TYPE_CLOCK || type == TYPE_WEEKDAY || type == TYPE_MCC;
}

static bool is_quantity(uint8_t type)
{
    return type == TYPE_COUNT || type == TYPE_MONEY || type == TYPE_PERCENT || type == TYPE_DURATION;
}

static struct typed report_compare(struct emitter *em, const struct syntax_expr *at, const struct syntax_expr *left, struct typed a,
                                   const struct syntax_expr *right, struct typed b)
{
    struct diagnostics *ds = em->c->diagnostics;
    const struct syntax_expr *wrong = a.type == TYPE_COUNT ? left : right;
    struct typed is = a.type == TYPE_COUNT ? a : b;
    bool money = (a.type == TYPE_MONEY && b.type == TYPE_COUNT) || (b.type == TYPE_MONEY && a.type == TYPE_COUNT);
    struct diagnostic *d;
    (void)at;
    if (money) {
        d = diagnostic_add(ds, DIAG_TYPE_COMPARE, wrong->span, "money cannot be compared with a plain number");
        if (wrong->form == EXPR_NUMBER)
            diagnostic_help(ds, d, "give it a currency, for example `%lld %s`", (long long)wrong->value, currency_name(em->c->base));
    } else {
        d = diagnostic_add(ds, DIAG_TYPE_COMPARE, wrong->span, "%s cannot be compared with %s", type_says((enum value_type)a.type),
                           type_says((enum value_type)b.type));
    }
    diagnostic_label(ds, d, "%s", type_says((enum value_type)is.type));
    return poison;
}

static struct typed emit_comparison(struct emitter *em, const struct syntax_expr *expr)
{
    static const uint8_t ops[] = {OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE};
    struct typed a, b;
    emit_sides(em, expr->a, expr->b, &a, &b);
    if (a.type == TYPE_POISON || b.type == TYPE_POISON)
        return poison;
    if (a.type != b.type)
        return report_compare(em, expr, expr->a, a, expr->b, b);
    bool ordered = expr->form != EXPR_EQ && expr->form != EXPR_NE;
    if (ordered && !type_has_order(a.type)) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_TYPE_COMPARE, expr->sign, "%s is neither greater nor smaller than another",
                                              type_says((enum value_type)a.type));
        diagnostic_help(em->c->diagnostics, d, "use `=` or `!=`");
        return poison;
    }
    struct node node = {.op = ops[expr->form - EXPR_EQ], .type = TYPE_BOOL, .a = a.node, .b = b.node};
    warn_comparison(em, expr, node);
    return emit_typed(em, node);
}

static struct typed emit_between(struct emitter *em, const struct syntax_expr *expr)
{
    struct typed a, b, c;
    emit_sides(em, expr->a, expr->b, &a, &b);
    if (a.type == TYPE_POISON || b.type == TYPE_POISON)
        return poison;
    c = emit(em, expr->c, (enum value_type)a.type);
    if (c.type == TYPE_POISON)
        return poison;
    if (a.type != b.type)
        return report_compare(em, expr, expr->a, a, expr->b, b);
    if (a.type != c.type)
        return report_compare(em, expr, expr->a, a, expr->c, c);
    if (!type_has_order(a.type)) {
        diagnostic_add(em->c->diagnostics, DIAG_TYPE_COMPARE, expr->sign, "%s has no range", type_says((enum value_type)a.type));
        return poison;
    }
    const struct node *low = &em->node[b.node], *high = &em->node[c.node];
    if (a.type != TYPE_CLOCK && low->op == OP_CONST && high->op == OP_CONST && low->imm > high->imm) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_RANGE_ORDER, expr->b->span, "this range is the wrong way round");
        diagnostic_second(em->c->diagnostics, d, expr->c->span, "the smaller end");
        diagnostic_help(em->c->diagnostics, d, "write the smaller end first; only times of day wrap");
        return poison;
    }
    return emit_typed(em, (struct node){.op = a.type == TYPE_CLOCK ? OP_BETWEEN_CLOCK : OP_BETWEEN, .type = TYPE_BOOL,
                                        .a = a.node, .b = b.node, .c = c.node});
}

static struct typed emit_in_list(struct emitter *em, const struct syntax_expr *expr)
{
    struct compiler *c = em->c;
    struct typed a = emit(em, expr->a, TYPE_POISON);
    int list = name_list(c, expr->name.text);
    if (list < 0) {
        struct suggestion s = {.wrong = expr->name.text};
        for (const struct syntax_list *at = c->syntax->list; at; at = at->next)
            suggest_offer(&s, at->name.text);
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_LIST_UNKNOWN, expr->name.span, "there is no list `%.*s`",
                                              (int)expr->name.text.size, expr->name.text.data);
        help_suggestion(c, d, &s);
        return poison;
    }
    if (a.type == TYPE_POISON || list >= c->list_count || c->list_type[list] == TYPE_POISON)
        return poison;
    if (a.type != c->list_type[list]) {
        const struct syntax_list *at = c->syntax->list;
        for (int i = 0; i < list; i++)
            at = at->next;
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_TYPE_LIST, expr->a->span, "%s is looked up in a list of another kind",
                                              type_says((enum value_type)a.type));
        diagnostic_label(c->diagnostics, d, "%s", type_says((enum value_type)a.type));
        diagnostic_second(c->diagnostics, d, at->of.span, "the list holds this");
        return poison;
    }
    return emit_typed(em, (struct node){.op = OP_IN_LIST, .type = TYPE_BOOL, .a = a.node, .imm = list});
}

static struct typed emit_matches(struct emitter *em, const struct syntax_expr *expr)
{
    struct compiler *c = em->c;
    if (expr->a->form != EXPR_NAME || !slice_equal(expr->a->name.text, SLICE("narrative"))) {
        diagnostic_add(c->diagnostics, DIAG_NARRATIVE, expr->a->span, "only the `narrative` is matched");
        return poison;
    }
    int text = name_text(c, expr->name.text);
    if (text < 0) {
        struct suggestion s = {.wrong = expr->name.text};
        for (const struct syntax_text *at = c->syntax->text; at; at = at->next)
            suggest_offer(&s, at->name.text);
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_LIST_UNKNOWN, expr->name.span, "there is no text `%.*s`",
                                              (int)expr->name.text.size, expr->name.text.data);
        help_suggestion(c, d, &s);
        return poison;
    }
    if (text >= c->text_count)
        return poison;
    em->reads_event = true;
    return emit_typed(em, (struct node){.op = OP_MATCHES, .type = TYPE_BOOL, .imm = text});
}

static struct typed emit_logic(struct emitter *em, const struct syntax_expr *expr)
{
    uint16_t a, b;
    bool good = emit_condition(em, expr->a, expr->form == EXPR_AND ? "`and`" : "`or`", &a);
    good &= emit_condition(em, expr->b, expr->form == EXPR_AND ? "`and`" : "`or`", &b);
    if (!good)
        return poison;
    return emit_typed(em, (struct node){.op = expr->form == EXPR_AND ? OP_AND : OP_OR, .type = TYPE_BOOL, .a = a, .b = b});
}

static struct typed report_arithmetic(struct emitter *em, const struct syntax_expr *expr, struct typed a, struct typed b)
{
    struct diagnostics *ds = em->c->diagnostics;
    struct diagnostic *d = diagnostic_add(ds, DIAG_TYPE_ARITHMETIC, expr->sign, "%s and %s do not go together here",
                                          type_says((enum value_type)a.type), type_says((enum value_type)b.type));
    if ((a.type == TYPE_MONEY && b.type == TYPE_COUNT) || (b.type == TYPE_MONEY && a.type == TYPE_COUNT))
        diagnostic_help(ds, d, "give the number a currency, for example `300 %s`", currency_name(em->c->base));
    return poison;
}

static struct typed emit_sum(struct emitter *em, const struct syntax_expr *expr)
{
    struct typed a = emit(em, expr->a, TYPE_POISON);
    struct typed b = emit(em, expr->b, TYPE_POISON);
    bool add = expr->form == EXPR_ADD;
    if (a.type == TYPE_POISON || b.type == TYPE_POISON)
        return poison;
    if (a.type == b.type && is_quantity(a.type))
        return emit_binary(em, add ? OP_ADD : OP_SUB, (enum value_type)a.type, a, b);
    if (a.type == TYPE_TIME && b.type == TYPE_DURATION)
        return emit_binary(em, add ? OP_ADD : OP_SUB, TYPE_TIME, a, b);
    if (!add && a.type == TYPE_TIME && b.type == TYPE_TIME)
        return emit_binary(em, OP_SUB, TYPE_DURATION, a, b);
    return report_arithmetic(em, expr, a, b);
}

static struct typed emit_product(struct emitter *em, const struct syntax_expr *expr)
{
    struct typed a = emit(em, expr->a, TYPE_POISON);
    struct typed b = emit(em, expr->b, TYPE_POISON);
    if (a.type == TYPE_POISON || b.type == TYPE_POISON)
        return poison;
    if (!is_quantity(a.type) || !is_quantity(b.type))
        return report_arithmetic(em, expr, a, b);
    if (b.type == TYPE_PERCENT)
        return emit_binary(em, OP_MUL_PERCENT, (enum value_type)a.type, a, b);
    if (a.type == TYPE_PERCENT)
        return emit_binary(em, OP_MUL_PERCENT, (enum value_type)b.type, b, a);
    if (b.type == TYPE_COUNT)
        return emit_binary(em, OP_MUL_INT, (enum value_type)a.type, a, b);
    if (a.type == TYPE_COUNT)
        return emit_binary(em, OP_MUL_INT, (enum value_type)b.type, a, b);
    return report_arithmetic(em, expr, a, b);
}

static struct typed emit_quotient(struct emitter *em, const struct syntax_expr *expr)
{
    struct typed a = emit(em, expr->a, TYPE_POISON);
    struct typed b = emit(em, expr->b, TYPE_POISON);
    if (a.type == TYPE_POISON || b.type == TYPE_POISON)
        return poison;
    if (!is_quantity(a.type) || !is_quantity(b.type))
        return report_arithmetic(em, expr, a, b);
    if (a.type == b.type)
        return emit_binary(em, OP_RATIO, TYPE_PERCENT, a, b);
    if (b.type == TYPE_PERCENT)
        return emit_binary(em, OP_DIV_PERCENT, (enum value_type)a.type, a, b);
    if (b.type == TYPE_COUNT)
        return emit_binary(em, OP_DIV_INT, (enum value_type)a.type, a, b);
    return report_arithmetic(em, expr, a, b);
}

static struct typed emit_default(struct emitter *em, const struct syntax_expr *expr)
{
    struct typed a, b;
    emit_sides(em, expr->a, expr->b, &a, &b);
    if (a.type == TYPE_POISON || b.type == TYPE_POISON)
        return poison;
    if (a.type != b.type)
        return report_compare(em, expr, expr->a, a, expr->b, b);
    return emit_binary(em, OP_DEFAULT, (enum value_type)a.type, a, b);
}

static struct typed emit_age(struct emitter *em, const struct syntax_expr *expr)
{
    struct typed a = emit(em, expr->a, TYPE_POISON);
    if (a.type == TYPE_POISON)
        return poison;
    if (a.type != TYPE_TIME) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_TYPE_ARITHMETIC, expr->a->span, "`age` is of a moment or a memory");
        diagnostic_label(em->c->diagnostics, d, "%s", type_says((enum value_type)a.type));
        diagnostic_help(em->c->diagnostics, d, "for example `age(sender.wage)`");
        return poison;
    }
    em->reads_event = true;
    return emit_typed(em, (struct node){.op = OP_AGE, .type = TYPE_DURATION, .a = a.node});
}

static struct typed emit_money(struct emitter *em, const struct syntax_expr *expr)
{
    if (em->c->base && expr->currency != em->c->base) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_NOT_BASE, expr->span, "amounts are in the base currency, %s",
                                              currency_name(em->c->base));
        diagnostic_second(em->c->diagnostics, d, em->c->syntax->base.span, "the base currency of the rule set");
        return poison;
    }
    return emit_const(em, TYPE_MONEY, expr->value);
}

static struct typed emit_negative(struct emitter *em, const struct syntax_expr *expr)
{
    struct typed a = emit(em, expr->a, TYPE_POISON);
    if (a.type == TYPE_POISON)
        return poison;
    if (!is_quantity(a.type))
        return report_arithmetic(em, expr, a, a);
    if (em->node[a.node].op == OP_CONST)
        return emit_const(em, (enum value_type)a.type, -em->node[a.node].imm);
    return emit_typed(em, (struct node){.op = OP_NEG, .type = a.type, .a = a.node});
}

static struct typed emit_known(struct emitter *em, const struct syntax_expr *expr)
{
    struct typed a = emit(em, expr->a, TYPE_POISON);
    if (a.type == TYPE_POISON)
        return poison;
    struct typed known = emit_typed(em, (struct node){.op = OP_KNOWN, .type = TYPE_BOOL, .a = a.node});
    if (expr->form == EXPR_IS_KNOWN)
        return known;
    return emit_typed(em, (struct node){.op = OP_NOT, .type = TYPE_BOOL, .a = known.node});
}

static struct typed emit_form(struct emitter *em, const struct syntax_expr *expr, enum value_type want)
{
    uint16_t root;
    switch (expr->form) {
    case EXPR_NUMBER:
        if (want == TYPE_MCC && expr->value >= 1 && expr->value <= 9999)
            return emit_const(em, TYPE_MCC, expr->value);
        return emit_const(em, TYPE_COUNT, expr->value);
    case EXPR_MONEY:
        return emit_money(em, expr);
    case EXPR_PERCENT:
        return emit_const(em, TYPE_PERCENT, expr->value);
    case EXPR_DURATION:
        return emit_const(em, TYPE_DURATION, expr->value);
    case EXPR_CLOCK:
        return emit_const(em, TYPE_CLOCK, expr->value);
    case EXPR_NAME:
        return emit_path(em, &expr->name, want);
    case EXPR_NOT:
        if (!emit_condition(em, expr->a, "`not`", &root))
            return poison;
        return emit_typed(em, (struct node){.op = OP_NOT, .type = TYPE_BOOL, .a = root});
    case EXPR_NEG:
        return emit_negative(em, expr);
    case EXPR_AND:
    case EXPR_OR:
        return emit_logic(em, expr);
    case EXPR_EQ:
    case EXPR_NE:
    case EXPR_LT:
    case EXPR_LE:
    case EXPR_GT:
    case EXPR_GE:
        return emit_comparison(em, expr);
    case EXPR_ADD:
    case EXPR_SUB:
        return emit_sum(em, expr);
    case EXPR_MUL:
        return emit_product(em, expr);
    case EXPR_DIV:
        return emit_quotient(em, expr);
    case EXPR_BETWEEN:
        return emit_between(em, expr);
    case EXPR_IN_LIST:
        return emit_in_list(em, expr);
    case EXPR_MATCHES:
        return emit_matches(em, expr);
    case EXPR_IS_KNOWN:
    case EXPR_IS_MISSING:
        return emit_known(em, expr);
    case EXPR_DEFAULT:
        return emit_default(em, expr);
    case EXPR_AGE:
        return emit_age(em, expr);
    case EXPR_AGGREGATE:
        return emit_aggregate(em, expr);
    case EXPR_USUAL:
        return emit_usual(em, expr);
    case EXPR_NEW:
        return emit_new(em, expr);
    case EXPR_GRAPH:
        return emit_graph(em, expr);
    }
    return poison;
}

static bool form_compares(enum expr_form form)
{
    return (form >= EXPR_EQ && form <= EXPR_GE) || (form >= EXPR_BETWEEN && form <= EXPR_IS_MISSING) || form == EXPR_NEW;
}

struct typed emit(struct emitter *em, const struct syntax_expr *expr, enum value_type want)
{
    struct typed value = emit_form(em, expr, want);
    if (value.type != TYPE_POISON && form_compares(expr->form))
        comparison_note(em, expr->span, value.node);
    return value;
}

/* A yes-or-no field or memory that stands alone is a comparison too. */
static bool node_is_asked(const struct node *node)
{
    return node->op == OP_FIELD || node->op == OP_MEMORY;
}

bool emit_condition(struct emitter *em, const struct syntax_expr *expr, const char *where, uint16_t *root)
{
    struct typed value = emit(em, expr, TYPE_BOOL);
    if (value.type == TYPE_POISON)
        return false;
    *root = value.node;
    if (expr->form == EXPR_NAME && value.type == TYPE_BOOL && node_is_asked(&em->node[value.node]))
        comparison_note(em, expr->span, value.node);
    if (value.type == TYPE_BOOL)
        return true;
    struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_TYPE_CONDITION, expr->span, "%s needs a condition", where);
    diagnostic_label(em->c->diagnostics, d, "%s", type_says((enum value_type)value.type));
    diagnostic_help(em->c->diagnostics, d, "compare it with something, for example `>= …`");
    return false;
}
