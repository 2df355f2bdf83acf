/* Checks graph operators and says what they will cost; evaluating them is not in this version. */
#include "rules/lang/compile.h"

static const struct typed poison = {0, TYPE_POISON};

const struct graph_page graph_pages[GRAPH_OPERATOR_COUNT] = {
#define GRAPH(name, word, behind, hops, keep, cost, help) {word, behind, cost, help},
#include "rules/lang/graph_operator.def"
#undef GRAPH
};

static bool graph_account(struct emitter *em, const struct syntax_graph *graph)
{
    struct typed key = emit_path(em, &graph->key, TYPE_POISON);
    if (key.type == TYPE_POISON || key.type == TYPE_ACCOUNT)
        return key.type == TYPE_ACCOUNT;
    struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_GRAPH_KEY, graph->key.span, "money moves between accounts");
    diagnostic_label(em->c->diagnostics, d, "%s", type_says((enum value_type)key.type));
    return false;
}

static bool graph_filter(struct emitter *em, const struct syntax_expr *where)
{
    struct emitter *sub = arena_alloc(&em->c->scratch, sizeof *sub);
    uint16_t root;
    *sub = (struct emitter){.c = em->c, .scope = SCOPE_FILTER, .rule = em->rule, .key = em->key, .keyspace = em->keyspace};
    return !where || emit_condition(sub, where, "`where`", &root);
}

static bool graph_percent(struct emitter *em, const struct syntax_expr *bound)
{
    if (!bound)
        return true;
    struct typed value = emit(em, bound, TYPE_PERCENT);
    if (value.type == TYPE_PERCENT || value.type == TYPE_POISON)
        return value.type == TYPE_PERCENT;
    struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_TYPE_ARITHMETIC, bound->span, "`keep` is a range of percentages");
    diagnostic_help(em->c->diagnostics, d, "each hop's amount against the hop before, for example `keep 75%%..125%%`");
    return false;
}

static bool graph_list(struct emitter *em, const struct syntax_graph *graph)
{
    struct compiler *c = em->c;
    if (!graph->list.text.size)
        return true;
    int list = name_list(c, graph->list.text);
    if (list < 0) {
        struct suggestion s = {.wrong = graph->list.text};
        for (const struct syntax_list *at = c->syntax->list; at; at = at->next)
            suggest_offer(&s, at->name.text);
        help_suggestion(c, diagnostic_add(c->diagnostics, DIAG_LIST_UNKNOWN, graph->list.span, "there is no list `%.*s`",
                                          (int)graph->list.text.size, graph->list.text.data), &s);
        return false;
    }
    if (list >= c->list_count || c->list_type[list] == TYPE_POISON)
        return false;
    bool fits = graph->op == GRAPH_HOPS && c->list_type[list] == TYPE_ACCOUNT;
    if (!fits)
        diagnostic_add(c->diagnostics, DIAG_TYPE_LIST, graph->list.span, "this list does not hold %s",
                       graph->op == GRAPH_HOPS ? "accounts" : "routes");
    return fits;
}

static bool graph_attribute(struct emitter *em, const struct syntax_graph *graph)
{
    enum key_form form = key_form_of(graph->attribute.text);
    if (!graph->attribute.text.size || (form != KEY_FORM_COUNT && key_is_entity(form) && form != KEY_ACCOUNT))
        return true;
    struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_KEY_UNKNOWN, graph->attribute.span, "accounts do not share this");
    diagnostic_help(em->c->diagnostics, d, "party, device, phone, address or terminal");
    return false;
}

/* What the author is told that it will keep and search, once it is evaluated. */
static void graph_cost(struct emitter *em, const struct syntax_graph *graph, int64_t span_ms)
{
    struct compiler *c = em->c;
    for (uint16_t i = 0; i < c->graph_count; i++)
        if (slice_equal(c->graph[i].rule_id, em->rule->id.text) && c->graph[i].op == graph->op && c->graph[i].span_ms == span_ms)
            return;
    if (c->graph_count == LIMIT_RULES)
        return;
    c->graph[c->graph_count++] = (struct graph_use){.rule_id = arena_copy(c->arena, em->rule->id.text), .op = graph->op, .span_ms = span_ms,
                                                    .hops = (uint8_t)(graph->op == GRAPH_SCATTER_GATHER ? 2 : graph->hops_high)};
}

/* Every part is checked, so that all errors are told at once. */
static bool graph_parts_good(struct emitter *em, const struct syntax_graph *graph)
{
    bool good = graph_account(em, graph);
    good &= graph_list(em, graph);
    good &= graph_attribute(em, graph);
    good &= graph_percent(em, graph->keep_low);
    good &= graph_percent(em, graph->keep_high);
    good &= graph_filter(em, graph->where);
    good &= graph_filter(em, graph->first);
    good &= graph_filter(em, graph->second);
    return good;
}

struct typed emit_graph(struct emitter *em, const struct syntax_expr *expr)
{
    const struct syntax_graph *graph = expr->graph;
    int64_t span_ms;
    int32_t days;
    if (em->scope != SCOPE_RULE) {
        diagnostic_add(em->c->diagnostics, DIAG_AGGREGATE_NOT_HERE, expr->span, "a graph operator cannot stand in a filter");
        return poison;
    }
    if (em->rule->status == RULE_LIVE || em->rule->status == RULE_SHADOW) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_GRAPH_LATER, graph->span, "`%s %s` is checked, but not evaluated in this version",
                                              graph_pages[graph->op].word, graph_pages[graph->op].behind);
        diagnostic_help(em->c->diagnostics, d, "write `status draft` until graph operators are evaluated");
    }
    if (!graph_parts_good(em, graph) || !window_span(em, graph->over, &span_ms, &days))
        return poison;
    graph_cost(em, graph, span_ms);
    return (struct typed){emit_node(em, (struct node){.op = OP_MISSING, .type = TYPE_COUNT}), TYPE_COUNT};
}

/* `each member of LET`: the accounts of the proof; false when the let is no graph operator. */
bool graph_members(struct emitter *em, const struct name *name)
{
    const struct syntax_let *let = name_let(em, name->text);
    if (let && !let->is_source && let->value && let->value->form == EXPR_GRAPH)
        return emit_path(em, name, TYPE_POISON).type != TYPE_POISON;
    struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_MEMBER, name->span, "`%.*s` has no members", (int)name->text.size, name->text.data);
    diagnostic_help(em->c->diagnostics, d, "name a let that is a graph operator, for example `let ring = cycle through account over 96h hops 3..12`");
    return false;
}
