/* Compiles graph operators: checks them, and makes the streams of legs that they search. */
#include "rules/lang/compile.h"
#include "rules/lang/comparison.h"
#include "rules/lang/eval.h"

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
    bool hops = graph->op == GRAPH_HOPS;
    if (c->list_type[list] == (hops ? TYPE_ACCOUNT : TYPE_ROUTE))
        return true;
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_TYPE_LIST, graph->list.span, "this list does not hold %s", hops ? "accounts" : "routes");
    if (!hops)
        diagnostic_help(c->diagnostics, d, "a `list … of route` holds countries in the order in which they are passed, for example ET>KE>TZ");
    return false;
}

static bool carried_form(enum key_form form)
{
    return form != KEY_FORM_COUNT && key_is_entity(form) && form != KEY_ACCOUNT;
}

static bool graph_attribute(struct emitter *em, const struct syntax_graph *graph)
{
    if (!graph->attribute.text.size || carried_form(key_form_of(graph->attribute.text)))
        return true;
    struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_KEY_UNKNOWN, graph->attribute.span, "accounts do not share this");
    diagnostic_help(em->c->diagnostics, d, "party, device, phone, address or terminal");
    return false;
}

/* --- legs --- */

enum { ROLE_ANY, ROLE_FIRST, ROLE_SECOND, WANT_IN = 1, WANT_OUT = 2 }; /* as enum leg_role of engine/graph/graph.h */

/* The keyspace of legs whose filter needs a stratum. A second report of a payment that named both ends is no new leg. */
static struct keyspace legs_key(uint8_t stratum)
{
    const uint32_t both = 1u << REF_SENDER | 1u << REF_RECEIVER;
    return (struct keyspace){.form = KEY_LEGS, .width = 1, .sided = true, .type = {TYPE_ACCOUNT}, .joined_refs = {both, both},
                             .stratum = stratum, .label = "payments of", .hash = hash_number(hash_slice(1, SLICE("legs")), stratum)};
}

static uint16_t node_field(struct emitter *em, enum field field, enum value_type type)
{
    return emit_node(em, (struct node){.op = OP_FIELD, .type = (uint8_t)type, .imm = field});
}

static uint16_t node_of(struct emitter *em, enum opcode op, uint16_t a, uint16_t b)
{
    return emit_node(em, (struct node){.op = (uint8_t)op, .type = TYPE_BOOL, .a = a, .b = b});
}

/* Both ends known and different: a comparison with an unknown end is not true. */
static uint16_t ends_differ(struct emitter *em)
{
    uint16_t sender = node_field(em, FIELD_SENDER, TYPE_ACCOUNT), receiver = node_field(em, FIELD_RECEIVER, TYPE_ACCOUNT);
    return node_of(em, OP_NE, sender, receiver);
}

/* This end an account, the other another one or none: a self-transfer is no edge, money from or to cash is looked at. */
static uint16_t end_is_account(struct emitter *em)
{
    uint16_t account = node_field(em, FIELD_ACCOUNT, TYPE_ACCOUNT), other = node_field(em, FIELD_OTHER, TYPE_ACCOUNT);
    uint16_t known = node_of(em, OP_KNOWN, account, 0), alone = node_of(em, OP_NOT, node_of(em, OP_KNOWN, other, 0), 0);
    return node_of(em, OP_AND, known, node_of(em, OP_OR, alone, node_of(em, OP_NE, account, other)));
}

/* What every leg of the operator must be. */
static uint16_t legs_root(struct emitter *em, const struct syntax_graph *graph)
{
    if (graph->op == GRAPH_SHARING) {
        const struct key_entity *carried = key_entity(key_form_of(graph->attribute.text));
        uint16_t end = end_is_account(em);
        return node_of(em, OP_AND, end, node_of(em, OP_KNOWN, node_field(em, carried->field, carried->type), 0));
    }
    if (graph->op == GRAPH_ROUTE) {
        uint16_t end = end_is_account(em), other = node_of(em, OP_KNOWN, node_field(em, FIELD_OTHER_COUNTRY, TYPE_COUNTRY), 0);
        uint16_t place = node_of(em, OP_KNOWN, node_field(em, FIELD_PLACE_COUNTRY, TYPE_COUNTRY), 0);
        return node_of(em, OP_AND, end, node_of(em, OP_OR, other, place));
    }
    return ends_differ(em);
}

/* That, and what the author asks. */
static bool legs_filter(struct emitter *em, const struct syntax_graph *graph, int role, struct expr *filter)
{
    struct emitter *sub = arena_alloc(&em->c->of_rule, sizeof *sub);
    struct keyspace *nobody = ARENA_NEW(&em->c->of_rule, struct keyspace);
    *nobody = plain_key(KEY_TRANSFER);
    *sub = (struct emitter){.c = em->c, .scope = SCOPE_FILTER, .rule = em->rule, .key = nobody};
    const struct syntax_expr *part[] = {graph->where, role == ROLE_FIRST ? graph->first : role == ROLE_SECOND ? graph->second : NULL};
    uint16_t root = legs_root(sub, graph);
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

/* What each operator searches: ins and outs by role. */
static const uint8_t wanted[GRAPH_OPERATOR_COUNT][3] = {
    [GRAPH_CYCLE] = {WANT_IN | WANT_OUT},
    [GRAPH_CHAIN] = {WANT_IN},
    [GRAPH_PASS_THROUGH] = {WANT_IN | WANT_OUT},
    [GRAPH_GATHER_SCATTER] = {WANT_IN | WANT_OUT},
    [GRAPH_SCATTER_GATHER] = {0, WANT_IN | WANT_OUT, WANT_IN},
    [GRAPH_HOPS] = {WANT_OUT},
};

static void legs_keep(struct compiler *c, uint16_t index, const struct graph_use *use)
{
    struct stream *stream = &c->stream[index];
    int64_t keep_ms = use->days ? (int64_t)(use->days + 1) * MS_PER_DAY : use->span_ms;
    stream->keep_ms = keep_ms > stream->keep_ms ? keep_ms : stream->keep_ms;
    stream->widest_ms = stream->keep_ms > stream->widest_ms ? stream->keep_ms : stream->widest_ms;
}

static bool role_streams(struct emitter *em, const struct syntax_graph *graph, int role, struct graph_use *use)
{
    struct compiler *c = em->c;
    const struct syntax_expr *further = role == ROLE_FIRST ? graph->first : role == ROLE_SECOND ? graph->second : NULL;
    uint8_t stratum = expr_stratum(c, graph->where, 0), of_role = expr_stratum(c, further, 0);
    struct keyspace key = legs_key(stratum > of_role ? stratum : of_role);
    struct expr filter;
    uint16_t *at[] = {&use->in[role], &use->out[role]};
    uint8_t want = wanted[graph->op][role];
    if (!legs_filter(em, graph, role, &filter))
        return false;
    for (int i = 0; i < 2 && want; i++) {
        if (!(want >> i & 1))
            continue;
        if (!legs_intern(em, &key, &filter, i ? STREAM_OUT : STREAM_IN, graph->span, at[i]))
            return false;
        legs_keep(c, *at[i], use);
    }
    return true;
}

/* --- what accounts carry, and where they stop --- */

/* The bits of events' refs that name the account of a side, and with it what it carries. A second report that names both no
 * longer adds a leg: the first gave it. */
static uint32_t carried_refs(int side, const struct key_entity *carried)
{
    enum event_ref ref = carried->ref[side] == REF_COUNT ? carried->ref[SIDE_SENDER] : carried->ref[side];
    return 1u << (side == SIDE_SENDER ? REF_SENDER : REF_RECEIVER) | 1u << ref;
}

static struct keyspace carried_key(const struct compiler *c, enum key_form form, enum key_form attribute, uint8_t stratum)
{
    const struct key_entity *carried = key_entity(attribute);
    bool of_account = form == KEY_CARRIED;
    struct slice label = arena_format(c->arena, of_account ? "%s carried by" : "who carried %s", carried->word);
    uint64_t hash = hash_slice(hash_slice(1, of_account ? SLICE("carried") : SLICE("carriers")), slice_of(carried->word));
    return (struct keyspace){.form = form, .width = 1, .sided = true, .base = (uint16_t)attribute, .type = {of_account ? TYPE_ACCOUNT : carried->type},
                             .joined_refs = {carried_refs(SIDE_SENDER, carried), carried_refs(SIDE_RECEIVER, carried)},
                             .stratum = stratum, .label = arena_text(c->arena, label), .hash = hash_number(hash, stratum)};
}

static struct keyspace stops_key(uint8_t stratum)
{
    return (struct keyspace){.form = KEY_STOPS, .width = 1, .sided = true, .type = {TYPE_ACCOUNT}, .joined_refs = {1u << REF_SENDER, 1u << REF_RECEIVER},
                             .stratum = stratum, .label = "stops of", .hash = hash_number(hash_slice(1, SLICE("stops")), stratum)};
}

/* A stream of whatever side of a payment names the key, with one more word of each. */
static bool sided_stream(struct emitter *em, const struct syntax_graph *graph, const struct keyspace *key, uint8_t extra, struct graph_use *use,
                         uint16_t *index)
{
    struct expr filter;
    if (!legs_filter(em, graph, ROLE_ANY, &filter) || !legs_intern(em, key, &filter, STREAM_TRANSFERS, graph->span, index))
        return false;
    struct stream *stream = &em->c->stream[*index];
    stream->extra_count = 1;
    stream->extra[0] = extra;
    legs_keep(em->c, *index, use);
    return true;
}

static bool sharing_streams(struct emitter *em, const struct syntax_graph *graph, struct graph_use *use)
{
    enum key_form attribute = key_form_of(graph->attribute.text);
    uint8_t stratum = expr_stratum(em->c, graph->where, 0);
    if (!carried_form(attribute))
        return false; /* said already */
    struct keyspace carried = carried_key(em->c, KEY_CARRIED, attribute, stratum), carriers = carried_key(em->c, KEY_CARRIERS, attribute, stratum);
    return sided_stream(em, graph, &carried, (uint8_t)key_entity(attribute)->field, use, &use->out[ROLE_ANY]) &&
           sided_stream(em, graph, &carriers, EXTRA_RECEIVES, use, &use->in[ROLE_ANY]);
}

static bool route_streams(struct emitter *em, const struct syntax_graph *graph, struct graph_use *use)
{
    struct keyspace stops = stops_key(expr_stratum(em->c, graph->where, 0));
    return sided_stream(em, graph, &stops, EXTRA_STOP, use, &use->out[ROLE_ANY]);
}

static bool graph_streams(struct emitter *em, const struct syntax_graph *graph, struct graph_use *use)
{
    bool good = true, split = graph->op == GRAPH_SCATTER_GATHER;
    for (int role = 0; role < 3; role++)
        use->in[role] = use->out[role] = STREAM_ABSENT;
    if (graph->op == GRAPH_SHARING)
        return sharing_streams(em, graph, use);
    if (graph->op == GRAPH_ROUTE)
        return route_streams(em, graph, use);
    for (int role = 0; role < 3; role++)
        if (split ? role != ROLE_ANY : role == ROLE_ANY)
            good &= role_streams(em, graph, role, use);
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
    bool good = graph_parts_good(em, graph, &node);
    if (!graph_intern(em, graph, &number) || !good)
        return poison;
    const struct node *account = &em->node[node.a];
    em->graph[number].of_key = em->key->form == KEY_ACCOUNT && account->op == OP_FIELD && account->imm == FIELD_ACCOUNT;
    node.imm = number;
    em->reads_event = true; /* the hop that completes is the event itself */
    return (struct typed){emit_node(em, node), TYPE_COUNT};
}

/* --- the rule's parts --- */

/* Whether the part can be true only by an operator of which it may be known that it is 0: three-valued, with these at 0 and all
 * else that it reads unknown, for whatever is false then is false whatever is read (RULES 10). */
static bool part_barren(const struct emitter *em, const struct rule_part *part)
{
    struct evaluation *ev = ARENA_NEW(em->c->arena, struct evaluation);
    const struct expr body = {.node = em->node, .count = part->to, .root = part->root};
    for (uint16_t i = 0; i < part->to; i++) {
        const struct node *node = &em->node[i];
        switch ((enum opcode)node->op) {
        case OP_GRAPH:
            ev->node[i] = (struct value){0, graph_excludable(&em->graph[node->imm])};
            break;
        case OP_FIELD: case OP_MEMORY: case OP_NEW: case OP_KEPT: case OP_INPUT: case OP_IN_LIST: case OP_MATCHES:
        case OP_KNOWN: case OP_DEFAULT: case OP_AGE:
            ev->node[i] = (struct value){0, false};
            break;
        default:
            eval_nodes(ev, &body, i, (uint16_t)(i + 1));
        }
    }
    return ev->node[part->root].known && !ev->node[part->root].number;
}

/* Which nodes depend on a search; operands stand before what reads them. `is known` and `default` make something known of
 * what is not: c tells them that a search may yet make it known, so that they wait for it. */
void graph_part(struct emitter *em, struct rule_part *part)
{
    bool depends[EXPR_NODE_MAX];
    for (uint16_t i = 0; i < part->to; i++) {
        struct node *node = &em->node[i];
        uint16_t operand[3];
        uint8_t operands = node_operands(node, operand);
        bool reads = false;
        for (uint8_t o = 0; o < operands; o++)
            reads |= depends[operand[o]];
        depends[i] = reads || node->op == OP_GRAPH;
        if (i < part->from)
            continue;
        part->searches |= node->op == OP_GRAPH;
        if (node->op == OP_KNOWN || node->op == OP_DEFAULT)
            node->c = reads;
    }
    part->barren = part->searches && part_barren(em, part);
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
    const int64_t number[] = {use->op, use->hops_low, use->hops_high, use->middles, use->keep, use->span_ms, use->hub_max, use->legs_max};
    hash = hash_bytes(hash, number, sizeof number);
    if ((use->op == GRAPH_HOPS || use->op == GRAPH_ROUTE) && use->list < c->list_count) /* else the rule named none that is there */
        hash = hash_slice(hash, list_word(c, use->list)); /* its place moves when others come */
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
