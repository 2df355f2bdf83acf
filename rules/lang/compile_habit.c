/* Builds what rules ask of habits: `usual X`, and `V is new` by a memory of what was seen with the key. */
#include "rules/lang/compile.h"

#include "engine/base/invariant.h"

static const struct typed poison = {0, TYPE_POISON};

/* Samples and what they are taken from live so long: then a silence begins the habit anew (RULES 14). */
enum { USUAL_DAYS_LEAST = 7, USUAL_WEEKS_KEPT = 28 };

/* The aggregate behind `usual`: written there, or in the let that is named; NULL when it is neither. */
static const struct syntax_expr *usual_of(struct emitter *em, const struct syntax_expr *of, const struct syntax_let **limit)
{
    *limit = em->let_limit;
    if (of->form == EXPR_AGGREGATE)
        return of;
    const struct syntax_let *let = of->form == EXPR_NAME ? name_let(em, of->name.text) : NULL;
    if (!let || let->is_source || !let->value || let->value->form != EXPR_AGGREGATE)
        return NULL;
    *limit = let;
    return let->value;
}

struct typed emit_usual(struct emitter *em, const struct syntax_expr *expr)
{
    struct compiler *c = em->c;
    const struct syntax_let *limit, *before = em->let_limit;
    const struct syntax_expr *of = usual_of(em, expr->a, &limit);
    if (!of) {
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_USUAL, expr->a->span, "only a window has a `usual` value");
        diagnostic_help(c->diagnostics, d, "for example `usual sum amount of in over 7d`, or a let that is one");
        return poison;
    }
    if (of->aggregate->since) {
        diagnostic_add(c->diagnostics, DIAG_USUAL, of->aggregate->since_span, "what came since a step has no usual value");
        return poison;
    }
    em->let_limit = limit;
    struct typed value = emit_aggregate(em, of);
    em->let_limit = before;
    if (value.type == TYPE_POISON)
        return poison;
    struct aggregate aggregate = em->input[em->node[value.node].imm];
    if (aggregate.span_ms < (int64_t)USUAL_DAYS_LEAST * MS_PER_DAY) {
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_USUAL, of->aggregate->over->span, "this window is too short to have a usual value");
        diagnostic_help(c->diagnostics, d, "habits are looked at once a week: use a window of 7d or more");
        return poison;
    }
    bool number = value.type == TYPE_COUNT || value.type == TYPE_MONEY || value.type == TYPE_CLOCK;
    if (!number) {
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_USUAL, of->span, "this has no middle value");
        diagnostic_label(c->diagnostics, d, "%s", type_says((enum value_type)value.type));
        return poison;
    }
    struct stream *stream = &c->stream[aggregate.stream];
    int64_t widest_ms = stream->keep_ms + (int64_t)USUAL_WEEKS_KEPT * 7 * MS_PER_DAY;
    stream->widest_ms = widest_ms > stream->widest_ms ? widest_ms : stream->widest_ms;
    aggregate.usual = true;
    aggregate.hash = hash_number(aggregate.base_hash, AGGREGATE_FN_COUNT);
    return input_intern(em, expr, &aggregate, value.type);
}

/* --- is new --- */

/* The key and the value together, as a key of their own; false when it cannot be. */
static bool seen_key(struct emitter *em, const struct syntax_expr *value, struct keyspace *key)
{
    struct compiler *c = em->c;
    const struct keyspace *base = em->key;
    struct emitter *sub = arena_alloc(&c->of_rule, sizeof *sub);
    *sub = (struct emitter){.c = c, .scope = SCOPE_FILTER, .key = base, .keyspace = em->keyspace};
    struct memory_path path;
    bool field = value->form == EXPR_NAME && (name_field(value->name.text) >= 0 || name_memory(c, value->name.text, &path));
    if (base->form == KEY_TRANSFER || base->width == KEY_WIDTH_MAX || !field) {
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_NEW, value->span, "%s",
                                              base->form == KEY_TRANSFER ? "a single transfer remembers nothing, so all is new to it"
                                              : !field ? "only a field can be new"
                                                                         : "this key is too long to remember what is new to it");
        diagnostic_help(c->diagnostics, d, "for example `other is new over 90d` in `for each account`");
        return false;
    }
    struct typed part = emit_path(sub, &value->name, TYPE_POISON);
    if (part.type == TYPE_POISON)
        return false;
    if (!type_is_key(part.type)) {
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_NEW, value->span, "this cannot be known or new");
        diagnostic_label(c->diagnostics, d, "%s", type_says((enum value_type)part.type));
        return false;
    }
    *key = (struct keyspace){.form = KEY_SEEN, .width = (uint8_t)(base->width + 1), .sided = base->sided, .base = em->keyspace, .stratum = base->stratum};
    memcpy(key->type, base->type, sizeof key->type);
    memcpy(key->joined_refs, base->joined_refs, sizeof key->joined_refs);
    key->type[base->width] = (enum value_type)part.type;
    uint8_t stratum = path_stratum(c, value->name.text);
    key->stratum = stratum > key->stratum ? stratum : key->stratum;
    key->element[0] = emitted(sub, part.node);
    key->mutual = base->form == KEY_ACCOUNT && value->form == EXPR_NAME && name_field(value->name.text) == FIELD_OTHER;
    key->hash = hash_expr(c, &key->element[0], hash_number(base->hash, KEY_SEEN));
    key->label = arena_text(c->arena, arena_format(c->arena, "%s with %.*s", base->label, (int)value->name.text.size, value->name.text.data));
    return true;
}

/* One memory per key and value: it serves every `over`. */
static bool seen_memory(struct emitter *em, const struct syntax_expr *at, const struct keyspace *key, int64_t span_ms, uint16_t *index)
{
    struct compiler *c = em->c;
    uint16_t keyspace;
    if (!keyspace_intern(c, key, at->span, &keyspace))
        return false;
    for (*index = c->memory_named; *index < c->memory_count; (*index)++)
        if (c->memory[*index].keyspace == keyspace)
            break;
    if (*index == LIMIT_MEMORIES) {
        diagnostic_add(c->diagnostics, DIAG_LIMIT, at->span, "a rule set has at most %d memories, those of `is new` among them", LIMIT_MEMORIES);
        return false;
    }
    struct memory *memory = &c->memory[*index];
    if (*index == c->memory_count) {
        c->memory_count++;
        *memory = (struct memory){.name = slice_of(key->label), .keyspace = keyspace, .flow = STREAM_TRANSFERS, .stratum = key->stratum,
                                  .seen = true, .hash = hash_number(key->hash, STREAM_TRANSFERS)};
    }
    memory->for_ms = span_ms > memory->for_ms ? span_ms : memory->for_ms;
    return true;
}

struct typed emit_new(struct emitter *em, const struct syntax_expr *expr)
{
    struct keyspace *key = ARENA_NEW(&em->c->of_rule, struct keyspace);
    int64_t span_ms;
    int32_t days;
    uint16_t memory;
    if (!em->rule) {
        diagnostic_add(em->c->diagnostics, DIAG_NEW, expr->span, "what is new to a key is known to rules only");
        return poison;
    }
    struct typed value = emit(em, expr->a, TYPE_POISON);
    if (value.type == TYPE_POISON || !window_span(em, expr->b, &span_ms, &days) || !seen_key(em, expr->a, key) ||
        !seen_memory(em, expr, key, span_ms, &memory))
        return poison;
    em->side_relative |= key->sided;
    em->reads_event = true;
    uint16_t first = read_intern(em->c, memory, key->sided ? READ_SENDER : READ_WHOLE);
    uint16_t second = key->sided ? read_intern(em->c, memory, READ_RECEIVER) : first;
    struct node node = {.op = OP_NEW, .type = TYPE_BOOL, .a = first, .b = second, .c = value.node, .imm = span_ms};
    return (struct typed){emit_node(em, node), TYPE_BOOL};
}
