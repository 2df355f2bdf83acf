/* Compiles graph operators: checks them, and makes the streams of legs that they search. */
#include "rules/lang/compile.h"
#include "rules/lang/comparison.h"

static const struct typed poison = {0, TYPE_POISON};

const struct graph_page graph_pages[GRAPH_OPERATOR_COUNT] = {
#define GRAPH(name, word, behind, hops, keep, cost, help) {word, behind, cost, help},
#include "rules/lang/graph_operator.def"
#undef GRAPH
};

static bool graph_account(struct emitter *em, const struct syntax_graph *graph, uint16_t *node)
{
    struct typed key = emit_path(em, &graph->key, TYPE_POISON);
    *node = key.node;
    if (key.type == TYPE_POISON || key.type == TYPE_ACCOUNT)
        return key.type == TYPE_ACCOUNT;
    struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_GRAPH_KEY, graph->key.span, "money moves between accounts");
    diagnostic_label(em->c->diagnostics, d, "%s", type_says((enum value_type)key.type));
    return false;
}

static bool graph_percent(struct emitter *em, const struct syntax_expr *bound, uint16_t *node)
{
    if (!bound)
        return true;
    struct typed value = emit(em, bound, TYPE_PERCENT);
    *node = value.node;
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

/* --- legs --- */

/* The keyspace of legs whose filter needs a stratum. A second report of a payment that named both ends is no new leg. */
static struct keyspace legs_key(uint8_t stratum)
{
    const uint32_t both = 1u << REF_SENDER | 1u << REF_RECEIVER;
    return (struct keyspace){.form = KEY_LEGS, .width = 1, .sided = true, .type = {TYPE_ACCOUNT}, .joined_refs = {both, both},
                             .stratum = stratum, .label = "payments of", .hash = hash_number(hash_slice(1, SLICE("legs")), stratum)};
}

/* Both ends known and different, and what the author asks: a comparison with an unknown end is not true. */
static bool legs_filter(struct emitter *em, const struct syntax_expr *where, const struct syntax_expr *and_where, struct expr *filter)
{
    struct emitter *sub = arena_alloc(&em->c->scratch, sizeof *sub);
    struct keyspace *nobody = ARENA_NEW(&em->c->scratch, struct keyspace);
    *nobody = plain_key(KEY_TRANSFER);
    *sub = (struct emitter){.c = em->c, .scope = SCOPE_FILTER, .rule = em->rule, .key = nobody};
    const struct syntax_expr *part[] = {where, and_where};
    uint16_t sender = emit_node(sub, (struct node){.op = OP_FIELD, .type = TYPE_ACCOUNT, .imm = FIELD_SENDER});
    uint16_t receiver = emit_node(sub, (struct node){.op = OP_FIELD, .type = TYPE_ACCOUNT, .imm = FIELD_RECEIVER});
    uint16_t root = emit_node(sub, (struct node){.op = OP_NE, .type = TYPE_BOOL, .a = sender, .b = receiver});
    for (int i = 0; i < 2; i++) {
        uint16_t asked;
        if (!part[i])
            continue;
        if (!emit_condition(sub, part[i], "`where`", &asked))
            return false;
        root = emit_node(sub, (struct node){.op = OP_AND, .type = TYPE_BOOL, .a = root, .b = asked});
    }
    if (sub->full)
        diagnostic_add(em->c->diagnostics, DIAG_LIMIT, part[0] ? part[0]->span : part[1]->span, "a filter of more than %d parts", EXPR_NODE_MAX);
    *filter = emitted(sub, root);
    return !sub->full;
}

enum { ROLE_ANY, ROLE_FIRST, ROLE_SECOND, WANT_IN = 1, WANT_OUT = 2 }; /* as enum leg_role of engine/graph/graph.h */

/* What each operator searches: ins and outs by role. */
static const uint8_t wanted[GRAPH_OPERATOR_COUNT][3] = {
    [GRAPH_CYCLE] = {WANT_IN | WANT_OUT},
    [GRAPH_CHAIN] = {WANT_IN},
    [GRAPH_PASS_THROUGH] = {WANT_IN | WANT_OUT},
    [GRAPH_GATHER_SCATTER] = {WANT_IN | WANT_OUT},
    [GRAPH_SCATTER_GATHER] = {0, WANT_IN | WANT_OUT, WANT_IN},
    [GRAPH_HOPS] = {WANT_OUT},
};

static bool role_streams(struct emitter *em, const struct syntax_graph *graph, int role, struct graph_use *use)
{
    struct compiler *c = em->c;
    const struct syntax_expr *further = role == ROLE_FIRST ? graph->first : role == ROLE_SECOND ? graph->second : NULL;
    uint8_t stratum = expr_stratum(c, graph->where, 0), of_role = expr_stratum(c, further, 0);
    struct keyspace key = legs_key(stratum > of_role ? stratum : of_role);
    struct expr filter;
    uint16_t *at[] = {&use->in[role], &use->out[role]};
    uint8_t want = wanted[graph->op][role];
    if (!legs_filter(em, graph->where, further, &filter))
        return false;
    for (int i = 0; i < 2 && want; i++) {
        if (!(want >> i & 1))
            continue;
        if (!legs_intern(em, &key, &filter, i ? STREAM_OUT : STREAM_IN, graph->span, at[i]))
            return false;
        struct stream *stream = &c->stream[*at[i]];
        int64_t keep_ms = use->days ? (int64_t)(use->days + 1) * MS_PER_DAY : use->span_ms;
        stream->keep_ms = keep_ms > stream->keep_ms ? keep_ms : stream->keep_ms;
        stream->widest_ms = stream->keep_ms > stream->widest_ms ? stream->keep_ms : stream->widest_ms;
    }
    return true;
}

static bool graph_streams(struct emitter *em, const struct syntax_graph *graph, struct graph_use *use)
{
    bool good = true, split = graph->op == GRAPH_SCATTER_GATHER;
    for (int role = 0; role < 3; role++) {
        use->in[role] = use->out[role] = STREAM_ABSENT;
        if (split ? role != ROLE_ANY : role == ROLE_ANY)
            good &= role_streams(em, graph, role, use);
    }
    return good;
}

/* --- the operator --- */

static bool graph_span(struct emitter *em, const struct syntax_graph *graph, struct graph_use *use)
{
    if (!window_span(em, graph->over, &use->span_ms, &use->days))
        return false;
    if (use->span_ms <= (int64_t)LIMIT_GRAPH_DAYS * MS_PER_DAY)
        return true;
    struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_WINDOW, graph->over->span, "a graph operator cannot look so far back");
    diagnostic_help(em->c->diagnostics, d, "at most %dd", LIMIT_GRAPH_DAYS);
    return false;
}

/* The rule's number of the operator, made where it is new. */
static bool graph_intern(struct emitter *em, const struct syntax_graph *graph, uint8_t *number)
{
    for (*number = 0; *number < em->graph_count; (*number)++)
        if (em->graph_syntax[*number] == graph)
            return true;
    if (em->graph_count == RULE_GRAPH_MAX || em->aside) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, em->aside ? DIAG_AGGREGATE_NOT_HERE : DIAG_LIMIT, graph->span,
                                              em->aside ? "a graph operator cannot stand in an exception" : "a rule has at most %d graph operators",
                                              RULE_GRAPH_MAX);
        if (em->aside)
            diagnostic_help(em->c->diagnostics, d, "give it a `let` and name that");
        return false;
    }
    struct graph_use use = {.op = graph->op, .middles = (uint32_t)graph->middles, .keep = graph->keep_low != NULL,
                            .hops_low = (uint8_t)graph->hops_low, .hops_high = (uint8_t)graph->hops_high,
                            .hub_max = (uint32_t)(graph->hub ? graph->hub : LIMIT_HUB_USUAL),
                            .legs_max = (uint32_t)(graph->budget ? graph->budget : LIMIT_BUDGET_USUAL)};
    int list = graph->list.text.size ? name_list(em->c, graph->list.text) : 0;
    use.list = (uint16_t)(list < 0 ? 0 : list);
    bool good = graph_span(em, graph, &use);
    if (!(graph_streams(em, graph, &use) && good))
        return false;
    em->graph_syntax[em->graph_count] = graph;
    em->graph[em->graph_count++] = use;
    return true;
}

static bool graph_runs(const struct syntax_graph *graph)
{
    return graph->op != GRAPH_SHARING && graph->op != GRAPH_ROUTE;
}

/* Every part is checked, so that all errors are told at once. */
static bool graph_parts_good(struct emitter *em, const struct syntax_graph *graph, struct node *node)
{
    bool good = graph_account(em, graph, &node->a);
    good &= graph_list(em, graph);
    good &= graph_attribute(em, graph);
    good &= graph_percent(em, graph->keep_low, &node->b);
    good &= graph_percent(em, graph->keep_high, &node->c);
    return good;
}

struct typed emit_graph(struct emitter *em, const struct syntax_expr *expr)
{
    const struct syntax_graph *graph = expr->graph;
    struct node node = {.op = OP_GRAPH, .type = TYPE_COUNT};
    uint8_t number;
    if (em->scope != SCOPE_RULE) {
        diagnostic_add(em->c->diagnostics, DIAG_AGGREGATE_NOT_HERE, expr->span, "a graph operator cannot stand in a filter");
        return poison;
    }
    if (!graph_runs(graph) && (em->rule->status == RULE_LIVE || em->rule->status == RULE_SHADOW)) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_GRAPH_LATER, graph->span, "`%s %s` is checked, but not evaluated in this version",
                                              graph_pages[graph->op].word, graph_pages[graph->op].behind);
        diagnostic_help(em->c->diagnostics, d, "write `status draft` until it is evaluated");
    }
    bool good = graph_parts_good(em, graph, &node);
    if (!graph_intern(em, graph, &number) || !good)
        return poison;
    node.imm = number;
    em->reads_event = true; /* the hop that completes is the event itself */
    return (struct typed){emit_node(em, node), TYPE_COUNT};
}

/* --- the rule's parts --- */

/* Which nodes depend on a search; operands stand before what reads them. */
void graph_part(const struct emitter *em, struct rule_part *part)
{
    bool depends[EXPR_NODE_MAX];
    for (uint16_t i = 0; i < part->to; i++) {
        const struct node *node = &em->node[i];
        uint16_t operand[3];
        uint8_t operands = node_operands(node, operand);
        bool reads = false;
        for (uint8_t o = 0; o < operands; o++)
            reads |= depends[operand[o]];
        depends[i] = reads || node->op == OP_GRAPH;
        if (i < part->from)
            continue;
        part->searches |= node->op == OP_GRAPH;
        part->search_always |= reads && (node->op == OP_KNOWN || node->op == OP_DEFAULT);
    }
}

void rule_graphs(struct emitter *em, struct rule *out)
{
    struct compiler *c = em->c;
    struct graph_use *use = ARENA_ARRAY(c->arena, struct graph_use, em->graph_count + 1u);
    for (uint8_t i = 0; i < em->graph_count; i++) {
        use[i] = em->graph[i];
        use[i].rule_id = out->id;
        use[i].name = slice_of(graph_pages[use[i].op].word);
        for (const struct syntax_let *let = em->rule->let; let; let = let->next)
            if (!let->is_source && let->value && let->value->form == EXPR_GRAPH && let->value->graph == em->graph_syntax[i])
                use[i].name = arena_copy(c->arena, let->name.text);
        if (c->graph_count < LIMIT_RULES)
            c->graph[c->graph_count++] = use[i];
    }
    out->graph = use;
    out->graph_count = em->graph_count;
}

uint64_t graph_hash(const struct compiler *c, const struct graph_use *use, uint64_t hash)
{
    const int64_t number[] = {use->op, use->hops_low, use->hops_high, use->middles, use->keep, use->span_ms, use->list, use->hub_max, use->legs_max};
    hash = hash_bytes(hash, number, sizeof number);
    for (int role = 0; role < 3; role++) {
        hash = use->in[role] == STREAM_ABSENT ? hash : hash_number(hash, (int64_t)c->stream[use->in[role]].hash);
        hash = use->out[role] == STREAM_ABSENT ? hash : hash_number(hash, (int64_t)c->stream[use->out[role]].hash);
    }
    return hash;
}

/* `each member of LET`: the accounts of the proof; false when the let is no graph operator. */
bool graph_members(struct emitter *em, const struct name *name, uint16_t *number)
{
    const struct syntax_let *let = name_let(em, name->text);
    struct diagnostic *d;
    if (!let || let->is_source || !let->value || let->value->form != EXPR_GRAPH) {
        d = diagnostic_add(em->c->diagnostics, DIAG_MEMBER, name->span, "`%.*s` has no members", (int)name->text.size, name->text.data);
        diagnostic_help(em->c->diagnostics, d, "name a let that is a graph operator, for example `let ring = cycle through account over 96h hops 3..12`");
        return false;
    }
    size_t index = 0;
    for (const struct syntax_let *at = em->rule->let; at != let; at = at->next)
        index++;
    if (emit_path(em, name, TYPE_POISON).type == TYPE_POISON)
        return false;
    for (*number = 0; *number < em->graph_count && em->graph_syntax[*number] != let->value->graph; (*number)++)
        ;
    if (index >= LIMIT_LETS || !em->let_home[index] || em->let_home[index] == em->steps)
        return true;
    d = diagnostic_add(em->c->diagnostics, DIAG_MEMBER, name->span, "`%.*s` was found at an earlier step", (int)name->text.size, name->text.data);
    diagnostic_help(em->c->diagnostics, d, "an attempt keeps its value, not its members: name it in the last step only");
    return false;
}
