/* Reads graph operators: `cycle through K over 96h hops 3..12 keep 75%..125%` and the others. */
#include "rules/lang/parser.h"

static const struct {
    const char *word, *behind;
    bool hops, keep;
} operators[] = {
#define GRAPH(name, word, behind, hops, keep, cost, help) {word, behind, hops, keep},
#include "rules/lang/graph_operator.def"
#undef GRAPH
};

bool at_graph(const struct parser *p, enum graph_operator *op)
{
    for (int i = 0; i < GRAPH_OPERATOR_COUNT; i++) {
        if (!word_is(now(p), operators[i].word) || !word_is(ahead(p, 1), operators[i].behind))
            continue;
        *op = (enum graph_operator)i;
        return true;
    }
    return false;
}

/* What stands between the operator and its window. */
static bool graph_subject(struct parser *p, struct syntax_graph *graph)
{
    static const char account[] = "an account: the key, an alias or a field";
    if (graph->op == GRAPH_SHARING)
        return need_name(p, "what is shared: party, device, phone, address or terminal", &graph->attribute) && need_word(p, "by") &&
               need_name(p, account, &graph->key);
    if (!need_name(p, account, &graph->key))
        return false;
    if (graph->op == GRAPH_HOPS)
        return need_word(p, "to") && need_name(p, "a list of accounts", &graph->list) && need_word(p, "within") &&
               need_integer(p, 1, LIMIT_HOPS, "a number of hops", &graph->hops_high);
    if (graph->op == GRAPH_ROUTE)
        return need_word(p, "along") && need_name(p, "a list of routes", &graph->list);
    if (graph->op == GRAPH_SCATTER_GATHER)
        return need_word(p, "from") && need_integer(p, 2, LIMIT_MIDDLES, "a number of middles", &graph->middles) && need_word(p, "middle");
    return true;
}

static bool graph_where(struct parser *p, struct syntax_expr **where)
{
    return need_word(p, "where") && (*where = parse_inner(p)) != NULL;
}

static bool graph_hops(struct parser *p, struct syntax_graph *graph)
{
    struct span from = now(p)->span;
    uint32_t errors = diagnostics_errors(p->diagnostics);
    if (!need_integer(p, 2, LIMIT_HOPS, "the least hops", &graph->hops_low) || !need(p, TOKEN_RANGE) ||
        !need_integer(p, 2, LIMIT_HOPS, "the most hops", &graph->hops_high))
        return false;
    if (graph->hops_low <= graph->hops_high || diagnostics_errors(p->diagnostics) > errors)
        return true;
    diagnostic_add(p->diagnostics, DIAG_RANGE_ORDER, span_to(p, from), "this range is the wrong way round");
    return false;
}

static bool graph_keep(struct parser *p, struct syntax_graph *graph)
{
    graph->keep_low = parse_inner(p);
    if (!graph->keep_low || !need(p, TOKEN_RANGE))
        return false;
    graph->keep_high = parse_inner(p);
    return graph->keep_high != NULL;
}

/* One clause behind the subject; *more is false at the first word that is none. */
static bool graph_clause(struct parser *p, struct syntax_graph *graph, bool *more)
{
    bool sg = graph->op == GRAPH_SCATTER_GATHER;
    if (!graph->over && at_word(p, "over"))
        return (graph->over = parse_span(p, "over")) != NULL;
    if (!graph->where && at_word(p, "where"))
        return graph_where(p, &graph->where);
    if (operators[graph->op].hops && !graph->hops_high && take_word(p, "hops"))
        return graph_hops(p, graph);
    if (operators[graph->op].keep && !graph->keep_low && take_word(p, "keep"))
        return graph_keep(p, graph);
    if (!graph->hub && take_word(p, "hub"))
        return need_integer(p, LIMIT_HUB_LEAST, LIMIT_HUB, "a number of payments of one account", &graph->hub);
    if (!graph->budget && take_word(p, "budget"))
        return need_integer(p, LIMIT_BUDGET_LEAST, LIMIT_BUDGET, "a number of payments that a search looks at", &graph->budget);
    if (sg && !graph->first && take_word(p, "first"))
        return graph_where(p, &graph->first);
    if (sg && !graph->second && take_word(p, "second"))
        return graph_where(p, &graph->second);
    *more = false;
    return true;
}

struct syntax_graph *parse_graph(struct parser *p, enum graph_operator op)
{
    struct syntax_graph *graph = ARENA_NEW(p->arena, struct syntax_graph);
    struct span from = now(p)->span;
    bool more = true;
    graph->op = op;
    advance(p);
    advance(p);
    graph->span = span_to(p, from);
    if (!graph_subject(p, graph))
        return NULL;
    while (more)
        if (!graph_clause(p, graph, &more))
            return NULL;
    if (!graph->over) {
        expected(p, "`over` and a window such as `96h`");
        return NULL;
    }
    if (operators[op].hops && !graph->hops_high) {
        expected(p, "`hops` and their range, for example `hops 3..12`");
        return NULL;
    }
    return graph;
}
