/* Says rules in plain words. */
#include "rules/lang/plain.h"

#include "engine/model/zone.h"

#include <stdlib.h>

struct saying {
    const struct syntax *syntax;
    const struct syntax_rule *rule; /* whose names are meant; NULL: none */
    FILE *out;
};

static void say_expr(const struct saying *s, const struct syntax_expr *expr, int outer);
static void say_source(const struct saying *s, const struct syntax_source *source);

static void say(const struct saying *s, const char *text)
{
    fputs(text, s->out);
}

static void say_slice(const struct saying *s, struct slice text)
{
    fwrite(text.data, 1, text.size, s->out);
}

/* As the author wrote it. */
static void say_span(const struct saying *s, struct span span)
{
    say_slice(s, (struct slice){s->syntax->file[span.file].text.data + span.at, span.size});
}

/* --- names --- */

static const struct {
    const char *word, *says;
} plain_fields[] = {
    {"amount", "the amount"},
    {"sender", "the sender"},
    {"receiver", "the receiver"},
    {"account", "the account"},
    {"other", "the other end"},
    {"local_time", "the time of day"},
    {"weekday", "the day of the week"},
    {"narrative", "the payment text"},
    {"mcc", "the merchant category"},
    {"purpose", "the purpose"},
    {"kind", "the kind"},
    {"channel", "the channel"},
    {"currency", "the currency"},
    {"corridor", "the corridor"},
    {"place", "the place"},
    {"terminal", "the terminal"},
    {"time", "the moment of payment"},
    {"party", "the party"},
    {"device", "the device"},
    {"phone", "the phone"},
    {"address", "the address"},
    {"country", "the country"},
    {"pair", "the pair"},
};

static const char *plain_field(struct slice word)
{
    for (size_t i = 0; i < sizeof plain_fields / sizeof *plain_fields; i++)
        if (slice_equal(word, slice_of(plain_fields[i].word)))
            return plain_fields[i].says;
    return NULL;
}

static void say_quoted(const struct saying *s, struct slice name)
{
    say(s, "`");
    say_slice(s, name);
    say(s, "`");
}

static const struct syntax_param *param_of(const struct saying *s, struct slice name)
{
    const struct syntax_param *param = s->rule ? s->rule->param : NULL;
    while (param && !slice_equal(param->name.text, name))
        param = param->next;
    return param;
}

static const struct syntax_let *let_of(const struct saying *s, struct slice name)
{
    const struct syntax_let *let = s->rule ? s->rule->let : NULL;
    while (let && !slice_equal(let->name.text, name))
        let = let->next;
    return let;
}

static bool is_alias(const struct saying *s, struct slice name)
{
    for (const struct syntax_key *key = s->rule ? s->rule->key : NULL; key; key = key->next)
        if (key->alias.text.size && slice_equal(key->alias.text, name))
            return true;
    return false;
}

/* 90d: "90 days"; 36h stays hours. */
static void say_duration(const struct saying *s, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *one, *many;
    } units[] = {{86400000, "day", "days"}, {3600000, "hour", "hours"}, {60000, "minute", "minutes"}, {1000, "second", "seconds"}};
    size_t i = 0;
    while (i < 3 && ms % units[i].ms != 0)
        i++;
    int64_t count = ms / units[i].ms;
    fprintf(s->out, "%lld %s", (long long)count, count == 1 ? units[i].one : units[i].many);
}

/* A literal as the author wrote it, lengths of time in words. */
static void say_literal(const struct saying *s, const struct syntax_expr *expr)
{
    if (expr->form == EXPR_DURATION)
        say_duration(s, expr->value);
    else
        say_span(s, expr->span);
}

/* sender.wage.amount: "the amount of the sender's wage". */
static void say_path(const struct saying *s, struct slice path)
{
    const char *end = path.data + path.size, *dot = memchr(path.data, '.', path.size);
    if (!dot) {
        const char *known = plain_field(path);
        if (known)
            say(s, known);
        else
            say_slice(s, path);
        return;
    }
    struct slice first = {path.data, (size_t)(dot - path.data)}, rest = {dot + 1, (size_t)(end - dot - 1)};
    const char *second = memchr(rest.data, '.', rest.size), *who = plain_field(first);
    struct slice memory = {rest.data, second ? (size_t)(second - rest.data) : rest.size};
    if (second) {
        struct slice kept = {second + 1, (size_t)(end - second - 1)};
        const char *known = plain_field(kept);
        say(s, known ? known : "the ");
        if (!known)
            say_quoted(s, kept);
        say(s, " of ");
    }
    if (who)
        say(s, who);
    else
        say_slice(s, first);
    say(s, "'s ");
    say_slice(s, memory);
}

static void say_name(const struct saying *s, struct slice name)
{
    const struct syntax_param *param = param_of(s, name);
    if (param) {
        say_literal(s, param->value);
        return;
    }
    if (let_of(s, name) || is_alias(s, name)) {
        say(s, "`");
        say_slice(s, name);
        say(s, "`");
        return;
    }
    say_path(s, name);
}

/* --- values and conditions --- */

static const struct {
    enum expr_form form;
    const char *says;
    int binds;
} infix[] = {
    {EXPR_OR, ", or ", 1},        {EXPR_AND, " and ", 2},      {EXPR_EQ, " is ", 4},       {EXPR_NE, " is not ", 4},
    {EXPR_LT, " is below ", 4},   {EXPR_LE, " is at most ", 4}, {EXPR_GT, " is above ", 4}, {EXPR_GE, " is at least ", 4},
    {EXPR_ADD, " + ", 5},         {EXPR_SUB, " - ", 5},        {EXPR_MUL, " of ", 6},      {EXPR_DIV, " divided by ", 6},
};

static bool say_infix(const struct saying *s, const struct syntax_expr *expr, int outer)
{
    for (size_t i = 0; i < sizeof infix / sizeof *infix; i++) {
        if (infix[i].form != expr->form)
            continue;
        /* a share is said as one: "80% of the sum"; other products are times */
        bool share = expr->form != EXPR_MUL || expr->a->form == EXPR_PERCENT ||
                     (expr->a->form == EXPR_NAME && param_of(s, expr->a->name.text) && param_of(s, expr->a->name.text)->value->form == EXPR_PERCENT);
        say(s, infix[i].binds < outer ? "(" : "");
        say_expr(s, expr->a, infix[i].binds);
        say(s, share ? infix[i].says : " times ");
        say_expr(s, expr->b, infix[i].binds + 1);
        say(s, infix[i].binds < outer ? ")" : "");
        return true;
    }
    return false;
}

static void say_span_of(const struct saying *s, const struct syntax_expr *over)
{
    say(s, "within ");
    say_expr(s, over, 9);
}

/* "the number of different values of the account's party" */
static void say_values(const struct saying *s, struct slice field)
{
    say(s, "values of ");
    say_path(s, field);
}

static void say_aggregate(const struct saying *s, const struct syntax_aggregate *aggregate)
{
    static const char *const words[AGGREGATE_FN_COUNT] = {
        [AGGREGATE_COUNT] = "the number of ",      [AGGREGATE_SUM] = "the sum of ",        [AGGREGATE_DISTINCT] = "the number of different ",
        [AGGREGATE_MIN] = "the smallest ",         [AGGREGATE_MAX] = "the largest ",       [AGGREGATE_AVG] = "the average ",
        [AGGREGATE_FIRST] = "the earliest ",       [AGGREGATE_LAST] = "the latest ",
    };
    static const struct {
        const char *field, *many;
    } plural[] = {{"sender", "senders"}, {"receiver", "receivers"}, {"other", "other ends"}, {"place", "places"}, {"account", "accounts"}};
    say(s, words[aggregate->fn]);
    if (aggregate->fn != AGGREGATE_COUNT) {
        const char *many = NULL;
        for (size_t i = 0; i < sizeof plural / sizeof *plural && aggregate->fn == AGGREGATE_DISTINCT; i++)
            if (slice_equal(aggregate->field.text, slice_of(plural[i].field)))
                many = plural[i].many;
        if (many)
            say(s, many);
        else if (aggregate->fn == AGGREGATE_SUM)
            say(s, "the amounts");
        else if (aggregate->fn == AGGREGATE_DISTINCT)
            say_values(s, aggregate->field.text);
        else
            say_slice(s, aggregate->field.text);
        say(s, aggregate->fn == AGGREGATE_SUM || aggregate->fn == AGGREGATE_DISTINCT ? " of " : " among ");
    }
    say_source(s, &aggregate->source);
    say(s, " ");
    if (aggregate->over)
        say_span_of(s, aggregate->over);
    else
        fprintf(s->out, "since step %lld came true", (long long)aggregate->since);
}

/* --- graph operators --- */

static void say_account(const struct saying *s, const struct syntax_graph *graph)
{
    if (graph->key.text.size)
        say_name(s, graph->key.text);
}

/* What is counted, and of which account. */
static void say_graph_subject(const struct saying *s, const struct syntax_graph *graph)
{
    static const struct {
        const char *before, *after;
    } words[GRAPH_OPERATOR_COUNT] = {
        [GRAPH_CYCLE] = {"the most payments in a ring that leaves ", " and comes back to it with this payment"},
        [GRAPH_CHAIN] = {"the most payments in a row that end at ", " with this one"},
        [GRAPH_PASS_THROUGH] = {"the number of payments to ", " that its payments out have used up, oldest first"},
        [GRAPH_GATHER_SCATTER] = {"the smaller of how many paid ", " and how many it paid afterwards"},
        [GRAPH_SCATTER_GATHER] = {"the most accounts that stand between one payer and ", ""},
        [GRAPH_SHARING] = {"the number of accounts that share a value with ", ""},
        [GRAPH_HOPS] = {"the fewest payments that lead from ", ""},
        [GRAPH_ROUTE] = {"the most stages of one corridor that payments of ", " touched in their order"},
    };
    say(s, words[graph->op].before);
    say_account(s, graph);
    say(s, words[graph->op].after);
    if (graph->attribute.text.size) {
        say(s, ", as ");
        say_path(s, graph->attribute.text);
    }
    if (graph->list.text.size) {
        say(s, graph->op == GRAPH_HOPS ? " to one on the list `" : ", by the list `");
        say_slice(s, graph->list.text);
        say(s, "`");
    }
}

static void say_graph_where(const struct saying *s, const char *before, const struct syntax_expr *where)
{
    if (!where)
        return;
    say(s, before);
    say_expr(s, where, 1);
}

static void say_graph(const struct saying *s, const struct syntax_graph *graph)
{
    say_graph_subject(s, graph);
    say(s, ", ");
    say_span_of(s, graph->over);
    if (graph->hops_low)
        fprintf(s->out, ", of %lld to %lld payments", (long long)graph->hops_low, (long long)graph->hops_high);
    else if (graph->hops_high)
        fprintf(s->out, ", of at most %lld payments", (long long)graph->hops_high);
    if (graph->middles)
        fprintf(s->out, ", from %lld accounts on", (long long)graph->middles);
    if (graph->keep_low) {
        say(s, ", keeping ");
        say_expr(s, graph->keep_low, 5);
        say(s, " to ");
        say_expr(s, graph->keep_high, 5);
        say(s, " of the amount");
    }
    if (graph->hub)
        fprintf(s->out, ", looking at the newest %lld payments of one account", (long long)graph->hub);
    if (graph->budget)
        fprintf(s->out, ", at %lld payments at most", (long long)graph->budget);
    say_graph_where(s, ", over payments where ", graph->where);
    say_graph_where(s, ", the first where ", graph->first);
    say_graph_where(s, ", the second where ", graph->second);
}

static void say_between(const struct saying *s, const struct syntax_expr *expr)
{
    say_expr(s, expr->a, 5);
    say(s, " lies between ");
    say_expr(s, expr->b, 5);
    say(s, " and ");
    say_expr(s, expr->c, 5);
}

static void say_expr(const struct saying *s, const struct syntax_expr *expr, int outer)
{
    if (say_infix(s, expr, outer))
        return;
    switch (expr->form) {
    case EXPR_NAME:
        if (slice_equal(expr->name.text, SLICE("cross_border")))
            say(s, "it crosses a border");
        else
            say_name(s, expr->name.text);
        break;
    case EXPR_NOT:
        say(s, "it is not so that ");
        say_expr(s, expr->a, 3);
        break;
    case EXPR_NEG:
        say(s, "minus ");
        say_expr(s, expr->a, 7);
        break;
    case EXPR_BETWEEN:
        say_between(s, expr);
        break;
    case EXPR_IN_LIST:
        say_expr(s, expr->a, 5);
        say(s, " is on the list `");
        say_slice(s, expr->name.text);
        say(s, "`");
        break;
    case EXPR_MATCHES:
        say_expr(s, expr->a, 5);
        say(s, " speaks of `");
        say_slice(s, expr->name.text);
        say(s, "`");
        break;
    case EXPR_IS_KNOWN:
        say_expr(s, expr->a, 5);
        say(s, " is known");
        break;
    case EXPR_IS_MISSING:
        say_expr(s, expr->a, 5);
        say(s, " is missing");
        break;
    case EXPR_DEFAULT:
        say_expr(s, expr->a, 8);
        say(s, " (where missing: ");
        say_expr(s, expr->b, 0);
        say(s, ")");
        break;
    case EXPR_AGE:
        say(s, "the age of ");
        say_expr(s, expr->a, 8);
        break;
    case EXPR_AGGREGATE:
        say_aggregate(s, expr->aggregate);
        break;
    case EXPR_GRAPH:
        say_graph(s, expr->graph);
        break;
    case EXPR_USUAL:
        say(s, "what is usual for ");
        say_expr(s, expr->a, 8);
        say(s, " (the median of its own last 26 weeks)");
        break;
    case EXPR_NEW:
        say_expr(s, expr->a, 5);
        say(s, " was not seen here ");
        say_span_of(s, expr->b);
        say(s, " before");
        break;
    default:
        say_literal(s, expr);
    }
}

static void say_source(const struct saying *s, const struct syntax_source *source)
{
    static const char *const flows[] = {[STREAM_IN] = "payments in",
                                        [STREAM_OUT] = "payments out",
                                        [STREAM_TRANSFERS] = "payments",
                                        [STREAM_REFUNDS] = "refunds",
                                        [STREAM_REVERSALS] = "reversals"};
    if (source->is_name) {
        say(s, "`");
        say_slice(s, source->name.text);
        say(s, "`");
        return;
    }
    say(s, flows[source->flow]);
    if (source->where) {
        say(s, " where ");
        say_expr(s, source->where, 1);
    }
}

void plain_expr(const struct syntax *syntax, const struct syntax_rule *rule, const struct syntax_expr *expr, FILE *out)
{
    say_expr(&(struct saying){syntax, rule, out}, expr, 0);
}

/* --- the parts of a rule --- */

void plain_day(int32_t day, FILE *out)
{
    int year, month, dom;
    civil_date(day, &year, &month, &dom);
    fprintf(out, "%04d-%02d-%02d", year, month, dom);
}

const char *plain_grade(const char grade[4])
{
    static const char *const rows[][2] = {{"V2", "second hand"},
                                          {"V", "verified in the primary text"},
                                          {"M", "from memory"},
                                          {"P", "the threshold is the source's own"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(grade, rows[i][0]) == 0)
            return rows[i][1];
    return "not graded";
}

const char *plain_status(enum rule_status status)
{
    static const char *const words[] = {"draft", "shadow", "live", "retired"};
    return words[status];
}

/* A path behind "each": without the article that it begins with. */
static void say_path_bare(const struct saying *s, struct slice path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    say_path(&(struct saying){s->syntax, s->rule, out}, path);
    (void)fclose(out);
    say(s, size > 4 && memcmp(text, "the ", 4) == 0 ? text + 4 : text);
    free(text);
}

static void say_keys(const struct saying *s)
{
    say(s, "It looks at each ");
    for (const struct syntax_key *key = s->rule->key; key; key = key->next) {
        if (key != s->rule->key)
            say(s, key->next ? ", " : " together with each ");
        if (slice_equal(key->path.text, SLICE("pair")))
            say(s, "pair of sender and receiver");
        else if (slice_equal(key->path.text, SLICE("transfer")))
            say(s, "payment by itself");
        else if (plain_field(key->path.text))
            say(s, plain_field(key->path.text) + 4); /* without "the " */
        else
            say_path_bare(s, key->path.text);
        if (key->alias.text.size) {
            say(s, " (called `");
            say_slice(s, key->alias.text);
            say(s, "`)");
        }
    }
    say(s, ".\n\n");
}

static void say_lets(const struct saying *s)
{
    if (!s->rule->let)
        return;
    say(s, "It counts:\n\n");
    for (const struct syntax_let *let = s->rule->let; let; let = let->next) {
        say(s, "- `");
        say_slice(s, let->name.text);
        say(s, "`: ");
        if (let->is_source)
            say_source(s, &let->source);
        else
            say_expr(s, let->value, 0);
        say(s, "\n");
    }
    say(s, "\n");
}

static void say_ordinal(const struct saying *s, int64_t number)
{
    static const char *const words[] = {"first", "second", "third", "fourth", "fifth"};
    if (number <= (int64_t)(sizeof words / sizeof *words))
        say(s, words[number - 1]);
    else
        fprintf(s->out, "%lldth", (long long)number);
}

/* `when` alone is one sentence; with steps behind it each is an item, in their order. */
static void say_when(const struct saying *s)
{
    const struct syntax_rule *rule = s->rule;
    int64_t number = 1;
    if (!rule->then) {
        say(s, "It fires when ");
        say_expr(s, rule->when, 0);
    } else {
        say(s, "It fires when these came true one after the other, each with a later payment:\n\n1. ");
        say_expr(s, rule->when, 0);
    }
    for (const struct syntax_step *step = rule->then; step; step = step->next) {
        fprintf(s->out, "\n%lld. in less than ", (long long)number + 1);
        say_expr(s, step->within, 9);
        say(s, " after the ");
        say_ordinal(s, number++);
        say(s, ": ");
        say_expr(s, step->condition, 0);
    }
    say(s, rule->then ? "\n\n" : ".\n\n");
    if (!rule->unless)
        return;
    say(s, rule->then ? "It gives up what it has seen so far, and begins anew, as soon as " : "It does not fire where ");
    say_expr(s, rule->unless, 0);
    say(s, ".\n\n");
}

static void say_subject(const struct saying *s, const struct syntax_points *points)
{
    const char *known = points->each ? plain_field(points->subject.text) : NULL;
    say(s, points->member ? "each account that is part" : points->each ? "each " : "");
    if (known)
        say(s, known + 4); /* without "the " */
    else if (!points->member)
        say_name(s, points->subject.text);
    if (!points->each && !points->member)
        return;
    say(s, " of `");
    say_slice(s, points->source.text);
    say(s, "`");
}

static void say_points(const struct saying *s)
{
    say(s, "Then:\n\n");
    for (const struct syntax_points *points = s->rule->points; points; points = points->next) {
        if (points->points < 0)
            fprintf(s->out, "- %lld points off for ", -(long long)points->points);
        else
            fprintf(s->out, points->points ? "- %lld points to " : "- no points, but a role, to ", (long long)points->points);
        say_subject(s, points);
        say(s, ", as ");
        say_slice(s, points->role.text);
        say(s, "\n");
    }
    if (s->rule->once_ms) {
        say(s, "\nA subject gets them at most once in ");
        say_duration(s, s->rule->once_ms);
        say(s, ".\n");
    }
    say(s, "\n");
}

static void say_excepts(const struct saying *s)
{
    for (const struct syntax_except *except = s->rule->except; except; except = except->next) {
        say(s, "It is silent where ");
        say_expr(s, except->condition, 0);
        say(s, ", until ");
        plain_day(except->until_day, s->out);
        say(s, ": ");
        say_slice(s, except->because.text);
        say(s, " (");
        say_slice(s, except->by.text);
        say(s, ").\n\n");
    }
}

static void say_params(const struct saying *s)
{
    if (!s->rule->param)
        return;
    say(s, "What may be tuned:\n\n");
    for (const struct syntax_param *param = s->rule->param; param; param = param->next) {
        say(s, "- `");
        say_slice(s, param->name.text);
        say(s, "` is ");
        say_literal(s, param->value);
        say(s, ", and may be ");
        say_literal(s, param->low);
        say(s, " to ");
        say_literal(s, param->high);
        say(s, "\n");
    }
    say(s, "\n");
}

static void say_sentence(const struct saying *s)
{
    say(s, "The alert says: \"");
    for (const struct syntax_say *part = s->rule->say; part; part = part->next) {
        say_slice(s, part->text);
        if (part->name.text.size) {
            say(s, "{");
            say_slice(s, part->name.text);
            say(s, "}");
        }
    }
    say(s, "\"\n\n");
}

void plain_rule(const struct syntax *syntax, const struct syntax_rule *rule, FILE *out)
{
    const struct saying saying = {syntax, rule, out}, *s = &saying;
    say_keys(s);
    say_lets(s);
    say_when(s);
    say_points(s);
    say_excepts(s);
    say_sentence(s);
    say_params(s);
}

void plain_typology(const struct syntax *syntax, const struct syntax_typology *typology, FILE *out)
{
    (void)syntax;
    fprintf(out, "An alert of \"%.*s\" (offence: %.*s) needs %lld points", (int)typology->title.text.size, typology->title.text.data,
            (int)typology->offence.text.size, typology->offence.text.data, (long long)typology->points);
    if (typology->urgent)
        fputs("; it is urgent, and the points alone decide", out);
    else
        fprintf(out, " from at least %lld indicator%s in at least %lld famil%s", (long long)typology->indicators,
                typology->indicators == 1 ? "" : "s", (long long)typology->families, typology->families == 1 ? "y" : "ies");
    if (typology->including.text.size)
        fprintf(out, ", one of them about %.*s", (int)typology->including.text.size, typology->including.text.data);
    if (typology->half_life_ms)
        fprintf(out, "; points fall by half in %lld days", (long long)(typology->half_life_ms / 86400000));
    if (typology->cap)
        fprintf(out, "; one family gives at most %lld", (long long)typology->cap);
    fputs(".", out);
}
