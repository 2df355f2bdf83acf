/* Warns of what is legal but doubtful. */
#include "rules/lang/compile.h"

#include "rules/lang/text.h"

#include <sys/stat.h>
#include <time.h>

static bool compare_holds(uint8_t op, int64_t a, int64_t b)
{
    switch ((enum opcode)op) {
    case OP_EQ:
        return a == b;
    case OP_NE:
        return a != b;
    case OP_LT:
        return a < b;
    case OP_LE:
        return a <= b;
    case OP_GT:
        return a > b;
    default:
        return a >= b;
    }
}

/* The least value that a node can have: windows count from 0. */
static bool node_least(const struct node *node, int64_t *least)
{
    bool counts = node->op == OP_INPUT && (node->type == TYPE_COUNT || node->type == TYPE_MONEY);
    *least = 0;
    return counts || node->type == TYPE_DURATION;
}

void warn_comparison(struct emitter *em, const struct syntax_expr *expr, struct node node)
{
    const struct node *a = &em->node[node.a], *b = &em->node[node.b];
    int64_t least;
    int verdict = -1;
    if (a->op == OP_CONST && b->op == OP_CONST) {
        verdict = compare_holds(node.op, a->imm, b->imm);
    } else if (b->op == OP_CONST && node_least(a, &least)) {
        if (b->imm <= least && (node.op == OP_GE || (node.op == OP_GT && b->imm < least)))
            verdict = 1;
        if (b->imm <= least && (node.op == OP_LT || ((node.op == OP_LE || node.op == OP_EQ) && b->imm < least)))
            verdict = 0;
    }
    if (verdict < 0)
        return;
    diagnostic_add(em->c->diagnostics, verdict ? DIAG_ALWAYS : DIAG_NEVER, expr->span,
                   verdict ? "this condition always holds" : "this condition can never hold");
}

static void warn_rule(struct compiler *c, const struct syntax_rule *rule)
{
    struct diagnostics *ds = c->diagnostics;
    bool tested = false;
    for (const struct syntax_test *test = c->syntax->test; test && !tested; test = test->next) {
        for (const struct syntax_key *at = test->rule; at; at = at->next)
            tested |= slice_equal(at->path.text, rule->id.text);
    }
    if (!tested && rule->status != RULE_RETIRED) {
        struct diagnostic *d = diagnostic_add(ds, DIAG_NO_TEST, rule->id.span, "no test names this rule");
        diagnostic_help(ds, d, "write one that fires, one at the edge, one innocent");
    }
    if (!rule->source.text.size && rule->status != RULE_RETIRED)
        diagnostic_add(ds, DIAG_NO_SOURCE, rule->title.span, "this indicator names no source");
    for (const struct syntax_except *except = rule->except; except && c->options->today; except = except->next) {
        int32_t left = except->until_day - c->options->today;
        if (left < 0)
            diagnostic_add(ds, DIAG_EXCEPT_ENDING, except->until_span, "this exception has ended");
        else if (left <= 30)
            diagnostic_add(ds, DIAG_EXCEPT_ENDING, except->until_span, "this exception ends in %d days", (int)left);
    }
}

static void warn_identical(struct compiler *c)
{
    for (uint16_t i = 0; i < c->rule_count; i++) {
        for (uint16_t j = 0; j < i; j++) {
            if (c->rule[i].hash != c->rule[j].hash)
                continue;
            struct span first = {0}, again = {0};
            for (const struct syntax_rule *at = c->syntax->rule; at; at = at->next) {
                if (slice_equal(at->id.text, c->rule[j].id))
                    first = at->id.span;
                if (slice_equal(at->id.text, c->rule[i].id))
                    again = at->id.span;
            }
            struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_IDENTICAL, again, "this rule asks the same as another");
            diagnostic_second(c->diagnostics, d, first, "the other one");
            break;
        }
    }
}

static void warn_list(struct compiler *c, const struct syntax_list *list)
{
    struct slice path = arena_format(&c->scratch, "%s%s%.*s", c->dir, *c->dir ? "/" : "", (int)list->path.text.size, list->path.text.data);
    struct stat st;
    if (!list->stale_ms || !c->options->today || stat(arena_text(&c->scratch, path), &st) != 0)
        return;
    int64_t age_days = c->options->today - (int64_t)st.st_mtime / 86400;
    if (age_days * MS_PER_DAY > list->stale_ms)
        diagnostic_add(c->diagnostics, DIAG_LIST_STALE, list->path.span, "this list is %lld days old", (long long)age_days);
}

void warn_all(struct compiler *c)
{
    if (diagnostics_errors(c->diagnostics))
        return; /* what is wrong comes first */
    for (const struct syntax_rule *rule = c->syntax->rule; rule; rule = rule->next)
        warn_rule(c, rule);
    for (const struct syntax_list *list = c->syntax->list; list; list = list->next)
        warn_list(c, list);
    warn_identical(c);
}
