/* Reads expressions: or, and, not, comparisons, sums, products, default, primaries. */
#include "rules/lang/parser.h"

#include "engine/base/suggest.h"
#include "engine/model/money.h"

static struct syntax_expr *parse_or(struct parser *p);

static struct syntax_expr *node_new(struct parser *p, enum expr_form form, struct span from)
{
    if (++p->nodes > EXPR_NODE_MAX) {
        if (p->nodes == EXPR_NODE_MAX + 1)
            diagnostic_add(p->diagnostics, DIAG_LIMIT, now(p)->span, "an expression of more than %d parts", EXPR_NODE_MAX);
        return NULL;
    }
    struct syntax_expr *expr = ARENA_NEW(p->arena, struct syntax_expr);
    expr->form = form;
    expr->span = span_to(p, from);
    return expr;
}

static struct syntax_expr *node_pair(struct parser *p, enum expr_form form, struct span sign, struct syntax_expr *a,
                                     struct syntax_expr *b)
{
    if (!a || !b)
        return NULL;
    struct syntax_expr *expr = node_new(p, form, a->span);
    if (expr) {
        expr->sign = sign;
        expr->a = a;
        expr->b = b;
    }
    return expr;
}

static bool is_code3(struct slice text)
{
    if (text.size != 3)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (text.data[i] < 'A' || text.data[i] > 'Z')
            return false;
    return true;
}

static struct syntax_expr *parse_money(struct parser *p, const struct token *number, const struct token *unit)
{
    advance(p);
    struct syntax_expr *expr = node_new(p, EXPR_MONEY, number->span);
    if (!expr)
        return NULL;
    expr->currency = currency_parse(unit->text);
    if (expr->currency == 0) {
        struct diagnostic *d =
            diagnostic_add(p->diagnostics, DIAG_CODE_UNKNOWN, unit->span, "there is no currency `%.*s`", 3, unit->text.data);
        for (currency_code code = 1; currency_name(code)[0] != '?'; code++)
            if (suggest_distance(unit->text, slice_of(currency_name(code))) == 2 && !d->help.size)
                diagnostic_help(p->diagnostics, d, "did you mean `%s`?", currency_name(code));
        return NULL;
    }
    bool zero = number->whole && number->value == 0;
    if (!zero && money_parse(number->text, expr->currency, &expr->value) != MONEY_OK) {
        struct diagnostic *d = diagnostic_add(p->diagnostics, DIAG_BAD_NUMBER, number->span, "this amount cannot be read");
        diagnostic_help(p->diagnostics, d, "%s has %d decimals", currency_name(expr->currency), currency_decimals(expr->currency));
        return NULL;
    }
    return expr;
}

static struct syntax_expr *parse_number(struct parser *p)
{
    const struct token *number = now(p);
    advance(p);
    const struct token *unit = now(p);
    if (unit->kind == TOKEN_WORD && is_code3(unit->text))
        return parse_money(p, number, unit);
    static const struct {
        const char *word, *unit;
    } units[] = {{"seconds", "s"}, {"minutes", "m"}, {"hours", "h"}, {"days", "d"}, {"hour", "h"},
                 {"day", "d"},     {"weeks", "d"},   {"minute", "m"}, {"week", "d"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!word_is(unit, units[i].word))
            continue;
        struct diagnostic *d =
            diagnostic_add(p->diagnostics, DIAG_SYNONYM, unit->span, "lengths of time are written as `%lld%s`",
                           (long long)number->value, units[i].unit);
        diagnostic_help(p->diagnostics, d, "use s, m, h or d right behind the number");
        advance(p);
        return NULL;
    }
    if (!number->whole) {
        struct diagnostic *d = diagnostic_add(p->diagnostics, DIAG_BAD_NUMBER, number->span, "plain numbers are whole");
        diagnostic_help(p->diagnostics, d, "give it a currency or write it as a percentage, for example `2.5%%`");
        return NULL;
    }
    struct syntax_expr *expr = node_new(p, EXPR_NUMBER, number->span);
    if (expr)
        expr->value = number->value;
    return expr;
}

static struct syntax_expr *parse_constant(struct parser *p, enum expr_form form)
{
    const struct token *token = now(p);
    advance(p);
    struct syntax_expr *expr = node_new(p, form, token->span);
    if (expr)
        expr->value = token->value;
    return expr;
}

/* A path or code; `KE->SO` without spaces is one name, a corridor. */
static struct syntax_expr *parse_path(struct parser *p)
{
    const struct token *token = now(p);
    advance(p);
    if (now(p)->kind == TOKEN_ARROW && now(p)->glued && ahead(p, 1)->kind == TOKEN_WORD && ahead(p, 1)->glued) {
        advance(p);
        advance(p);
    }
    struct syntax_expr *expr = node_new(p, EXPR_NAME, token->span);
    if (expr) {
        expr->name.span = expr->span;
        expr->name.text = (struct slice){token->text.data, expr->span.size};
    }
    return expr;
}

static bool aggregate_fn_of(const struct token *token, enum aggregate_fn *fn)
{
    static const char *const words[AGGREGATE_FN_COUNT] = {
#define AGGREGATE(name, word, help) word,
#include "rules/lang/aggregate_fn.def"
#undef AGGREGATE
    };
    for (int i = 0; i < AGGREGATE_FN_COUNT; i++) {
        if (word_is(token, words[i])) {
            *fn = (enum aggregate_fn)i;
            return true;
        }
    }
    return false;
}

bool at_flow(const struct parser *p)
{
    static const char *const flows[] = {"in", "out", "transfers", "refunds", "reversals", NULL};
    return now(p)->kind == TOKEN_WORD && word_in(now(p)->text, flows);
}

bool parse_source(struct parser *p, struct syntax_source *source)
{
    static const char *const flows[] = {"in", "out", "transfers", "refunds", "reversals"};
    const struct token *token = now(p);
    *source = (struct syntax_source){.is_name = true};
    if (!need_name(p, "a source of events: in, out, transfers, refunds, reversals or a let of these", &source->name))
        return false;
    source->span = token->span;
    for (int i = 0; i < 5; i++) {
        if (word_is(token, flows[i])) {
            source->is_name = false;
            source->flow = (enum stream_flow)i;
        }
    }
    if (at_word(p, "where")) {
        if (source->is_name)
            return expected(p, "`over` (only in, out, transfers, refunds and reversals take `where`; put it into the let)");
        advance(p);
        source->where = parse_or(p);
        if (!source->where)
            return false;
        source->span = span_to(p, token->span);
    }
    return true;
}

struct syntax_expr *parse_span(struct parser *p, const char *word)
{
    if (!need_word(p, word))
        return NULL;
    if (now(p)->kind == TOKEN_DURATION)
        return parse_constant(p, EXPR_DURATION);
    if (now(p)->kind == TOKEN_WORD)
        return parse_path(p);
    if (now(p)->kind == TOKEN_NUMBER && ahead(p, 1)->kind == TOKEN_WORD)
        return parse_number(p); /* "12 hours": says how it is written */
    expected(p, "a window such as `24h`");
    return NULL;
}

/* `since step N`. */
static bool parse_since(struct parser *p, struct syntax_aggregate *aggregate)
{
    struct span from = now(p)->span;
    advance(p);
    if (!need_word(p, "step") || !need_integer(p, 1, LIMIT_STEPS, "the number of a step", &aggregate->since))
        return false;
    aggregate->since_span = span_to(p, from);
    return true;
}

static struct syntax_expr *parse_aggregate(struct parser *p, enum aggregate_fn fn)
{
    const struct token *first = now(p);
    advance(p);
    struct syntax_aggregate *aggregate = ARENA_NEW(p->arena, struct syntax_aggregate);
    aggregate->fn = fn;
    if (fn != AGGREGATE_COUNT && !need_name(p, "a field such as `amount` or `sender`", &aggregate->field))
        return NULL;
    if (!need_word(p, "of") || !parse_source(p, &aggregate->source))
        return NULL;
    if (at_word(p, "since") ? !parse_since(p, aggregate) : !(aggregate->over = parse_span(p, "over")))
        return NULL;
    struct syntax_expr *expr = node_new(p, EXPR_AGGREGATE, first->span);
    if (expr)
        expr->aggregate = aggregate;
    return expr;
}

static struct syntax_expr *parse_age(struct parser *p)
{
    const struct token *first = now(p);
    advance(p);
    advance(p);
    if (now(p)->kind != TOKEN_WORD) {
        expected(p, "a memory such as `sender.wage`");
        return NULL;
    }
    struct syntax_expr *of = parse_path(p);
    if (!of || !need(p, TOKEN_RIGHT))
        return NULL;
    struct syntax_expr *expr = node_new(p, EXPR_AGE, first->span);
    if (expr)
        expr->a = of;
    return expr;
}

/* `usual` and what it is the usual of. */
static struct syntax_expr *parse_usual(struct parser *p)
{
    enum aggregate_fn fn;
    const struct token *first = now(p);
    advance(p);
    struct syntax_expr *of = NULL;
    if (now(p)->kind == TOKEN_WORD && aggregate_fn_of(now(p), &fn) && ahead(p, 1)->kind == TOKEN_WORD)
        of = parse_aggregate(p, fn);
    else if (now(p)->kind == TOKEN_WORD)
        of = parse_path(p);
    else
        expected(p, "a window, for example `usual sum amount of in over 7d`, or a let that is one");
    struct syntax_expr *expr = of ? node_new(p, EXPR_USUAL, first->span) : NULL;
    if (expr)
        expr->a = of;
    return expr;
}

static struct syntax_expr *parse_word(struct parser *p)
{
    static const char *const ends[] = {"and", "or", "over", "where", "points", "when", "let", "once", "say", "except",
                                       "until", "because", "by", "then", "unless", "since", "is", "default", "matches", "hops", "keep", NULL};
    enum aggregate_fn fn;
    enum graph_operator op;
    const struct token *token = now(p);
    bool word_follows = ahead(p, 1)->kind == TOKEN_WORD && !word_in(ahead(p, 1)->text, ends) && !word_is(ahead(p, 1), "in");
    if (aggregate_fn_of(token, &fn) && word_follows)
        return parse_aggregate(p, fn);
    if (word_is(token, "average") && word_follows) {
        struct diagnostic *d = diagnostic_add(p->diagnostics, DIAG_SYNONYM, token->span, "the mean is written `avg`");
        diagnostic_help(p->diagnostics, d, "for example `avg amount of in over 30d`");
        return NULL;
    }
    if (word_is(token, "usual") && word_follows)
        return parse_usual(p);
    if (word_is(token, "age") && ahead(p, 1)->kind == TOKEN_LEFT)
        return parse_age(p);
    if (at_graph(p, &op)) {
        struct syntax_graph *graph = parse_graph(p, op);
        struct syntax_expr *expr = graph ? node_new(p, EXPR_GRAPH, token->span) : NULL;
        if (expr)
            expr->graph = graph;
        return expr;
    }
    if (word_in(token->text, ends)) {
        expected(p, "a value");
        return NULL;
    }
    return parse_path(p);
}

static struct syntax_expr *parse_primary(struct parser *p)
{
    switch (now(p)->kind) {
    case TOKEN_NUMBER:
        return parse_number(p);
    case TOKEN_PERCENT:
        return parse_constant(p, EXPR_PERCENT);
    case TOKEN_DURATION:
        return parse_constant(p, EXPR_DURATION);
    case TOKEN_CLOCK:
        return parse_constant(p, EXPR_CLOCK);
    case TOKEN_WORD:
        return parse_word(p);
    case TOKEN_LEFT: {
        advance(p);
        struct syntax_expr *inner = parse_or(p);
        return inner && need(p, TOKEN_RIGHT) ? inner : NULL;
    }
    default:
        expected(p, "a value");
        return NULL;
    }
}

static bool deeper(struct parser *p)
{
    if (p->depth < LIMIT_DEPTH) {
        p->depth++;
        return true;
    }
    struct diagnostic *d = diagnostic_add(p->diagnostics, DIAG_TOO_DEEP, now(p)->span, "this is nested too deeply");
    diagnostic_help(p->diagnostics, d, "give the inner parts names with `let`");
    return false;
}

static struct syntax_expr *parse_unary(struct parser *p)
{
    struct span sign = now(p)->span;
    if (!deeper(p))
        return NULL;
    struct syntax_expr *expr;
    if (take(p, TOKEN_MINUS)) {
        struct syntax_expr *a = parse_unary(p);
        expr = a ? node_new(p, EXPR_NEG, sign) : NULL;
        if (expr)
            expr->a = a;
    } else {
        expr = parse_primary(p);
        while (expr && at_word(p, "default")) {
            struct span word = now(p)->span;
            advance(p);
            expr = node_pair(p, EXPR_DEFAULT, word, expr, parse_primary(p));
        }
    }
    p->depth--;
    return expr;
}

static struct syntax_expr *parse_product(struct parser *p)
{
    struct syntax_expr *a = parse_unary(p);
    while (a && (now(p)->kind == TOKEN_STAR || now(p)->kind == TOKEN_SLASH)) {
        enum expr_form form = now(p)->kind == TOKEN_STAR ? EXPR_MUL : EXPR_DIV;
        struct span sign = now(p)->span;
        advance(p);
        a = node_pair(p, form, sign, a, parse_unary(p));
    }
    return a;
}

static struct syntax_expr *parse_sum(struct parser *p)
{
    struct syntax_expr *a = parse_product(p);
    while (a && (now(p)->kind == TOKEN_PLUS || now(p)->kind == TOKEN_MINUS)) {
        enum expr_form form = now(p)->kind == TOKEN_PLUS ? EXPR_ADD : EXPR_SUB;
        struct span sign = now(p)->span;
        advance(p);
        a = node_pair(p, form, sign, a, parse_product(p));
    }
    return a;
}

static bool comparison_of(const struct token *token, enum expr_form *form)
{
    switch (token->kind) {
    case TOKEN_EQ:
        *form = EXPR_EQ;
        return true;
    case TOKEN_NE:
        *form = EXPR_NE;
        return true;
    case TOKEN_LT:
        *form = EXPR_LT;
        return true;
    case TOKEN_LE:
        *form = EXPR_LE;
        return true;
    case TOKEN_GT:
        *form = EXPR_GT;
        return true;
    case TOKEN_GE:
        *form = EXPR_GE;
        return true;
    default:
        return false;
    }
}

/* a in b..c, or a in LIST. */
static struct syntax_expr *parse_in(struct parser *p, struct syntax_expr *a)
{
    struct span sign = now(p)->span;
    advance(p);
    struct syntax_expr *b = parse_sum(p);
    if (!b)
        return NULL;
    struct syntax_expr *c = NULL;
    if (take(p, TOKEN_RANGE)) {
        c = parse_sum(p);
        if (!c)
            return NULL;
    } else if (b->form != EXPR_NAME) {
        expected(p, "`..` and the upper end of the range");
        return NULL;
    }
    struct syntax_expr *expr = node_new(p, c ? EXPR_BETWEEN : EXPR_IN_LIST, a->span);
    if (!expr)
        return NULL;
    expr->sign = sign;
    expr->a = a;
    expr->b = b;
    expr->c = c;
    if (!c)
        expr->name = b->name;
    return expr;
}

/* Behind `is [not] new`. */
static struct syntax_expr *parse_new(struct parser *p, struct syntax_expr *a, struct span sign, bool negated)
{
    struct syntax_expr *over = parse_span(p, "over");
    struct syntax_expr *expr = over ? node_pair(p, EXPR_NEW, sign, a, over) : NULL;
    if (!expr || !negated)
        return expr;
    struct syntax_expr *not_new = node_new(p, EXPR_NOT, a->span);
    if (not_new) {
        not_new->sign = sign;
        not_new->a = expr;
    }
    return not_new;
}

static struct syntax_expr *parse_is(struct parser *p, struct syntax_expr *a)
{
    struct span sign = now(p)->span;
    advance(p);
    bool not_known = take_word(p, "not");
    if (take_word(p, "new"))
        return parse_new(p, a, sign, not_known);
    enum expr_form form = EXPR_IS_KNOWN;
    if (take_word(p, "missing"))
        form = not_known ? EXPR_IS_KNOWN : EXPR_IS_MISSING;
    else if (take_word(p, "known"))
        form = not_known ? EXPR_IS_MISSING : EXPR_IS_KNOWN;
    else {
        expected(p, "`known`, `missing` or `new`");
        return NULL;
    }
    struct syntax_expr *expr = node_new(p, form, a->span);
    if (expr) {
        expr->sign = sign;
        expr->a = a;
    }
    return expr;
}

static struct syntax_expr *parse_matches(struct parser *p, struct syntax_expr *a)
{
    struct span sign = now(p)->span;
    struct name name;
    advance(p);
    if (!need_name(p, "the name of a `text`", &name))
        return NULL;
    struct syntax_expr *expr = node_new(p, EXPR_MATCHES, a->span);
    if (expr) {
        expr->sign = sign;
        expr->a = a;
        expr->name = name;
    }
    return expr;
}

/* Words of ordinary English for a comparison. */
static bool is_wordy(struct parser *p)
{
    static const struct {
        const char *word, *sign;
    } wordy[] = {{"more", ">"}, {"less", "<"}, {"fewer", "<"}, {"greater", ">"}, {"above", ">"}, {"below", "<"}, {"equals", "="}};
    for (size_t i = 0; i < sizeof wordy / sizeof *wordy; i++) {
        if (!at_word(p, wordy[i].word))
            continue;
        struct span from = now(p)->span;
        advance(p);
        take_word(p, "than");
        struct diagnostic *d = diagnostic_add(p->diagnostics, DIAG_SYNONYM, span_to(p, from), "comparisons are written with signs");
        diagnostic_help(p->diagnostics, d, "write `%s`", wordy[i].sign);
        return true;
    }
    return false;
}

static struct syntax_expr *parse_comparison(struct parser *p)
{
    struct syntax_expr *a = parse_sum(p);
    enum expr_form form;
    if (!a)
        return NULL;
    if (is_wordy(p))
        return NULL;
    if (at_word(p, "in"))
        return parse_in(p, a);
    if (at_word(p, "is"))
        return parse_is(p, a);
    if (at_word(p, "matches"))
        return parse_matches(p, a);
    if (!comparison_of(now(p), &form))
        return a;
    struct span sign = now(p)->span;
    advance(p);
    struct syntax_expr *expr = node_pair(p, form, sign, a, parse_sum(p));
    enum expr_form again;
    if (expr && comparison_of(now(p), &again)) {
        struct diagnostic *d = diagnostic_add(p->diagnostics, DIAG_CHAINED, now(p)->span, "comparisons do not chain");
        diagnostic_second(p->diagnostics, d, sign, "the first comparison");
        diagnostic_help(p->diagnostics, d, "write `x in low..high`, or join two comparisons with `and`");
        return NULL;
    }
    return expr;
}

static struct syntax_expr *parse_not(struct parser *p)
{
    struct span sign = now(p)->span;
    if (!at_word(p, "not"))
        return parse_comparison(p);
    if (!deeper(p))
        return NULL;
    advance(p);
    struct syntax_expr *a = parse_not(p);
    p->depth--;
    struct syntax_expr *expr = a ? node_new(p, EXPR_NOT, sign) : NULL;
    if (expr)
        expr->a = a;
    return expr;
}

static struct syntax_expr *parse_and(struct parser *p)
{
    struct syntax_expr *a = parse_not(p);
    while (a && at_word(p, "and")) {
        struct span sign = now(p)->span;
        advance(p);
        a = node_pair(p, EXPR_AND, sign, a, parse_not(p));
    }
    return a;
}

static struct syntax_expr *parse_or(struct parser *p)
{
    if (!deeper(p))
        return NULL;
    struct syntax_expr *a = parse_and(p);
    while (a && at_word(p, "or")) {
        struct span sign = now(p)->span;
        advance(p);
        a = node_pair(p, EXPR_OR, sign, a, parse_and(p));
    }
    p->depth--;
    return a;
}

struct syntax_expr *parse_inner(struct parser *p)
{
    return parse_or(p);
}

struct syntax_expr *parse_expression(struct parser *p)
{
    p->depth = 0;
    p->nodes = 0;
    return parse_or(p);
}

struct syntax_expr *parse_literal(struct parser *p)
{
    p->depth = 0;
    p->nodes = 0;
    return parse_unary(p);
}
