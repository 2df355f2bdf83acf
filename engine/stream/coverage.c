/* Gathers, test by test, what the step function evaluates of each comparison. */
#include "engine/stream/coverage.h"

#include "engine/base/invariant.h"

#include <stdlib.h>

/* One comparison as one expression has it; several may stand for one place of the text. */
struct site {
    uint32_t row;
    uint16_t owner;        /* rule, or memory */
    uint16_t index;        /* filter: the stream; exception: which */
    uint8_t place;         /* enum coverage_place */
    uint16_t node;
    const struct expr *expr;
};

struct coverage {
    const struct program *program;
    struct arena arena;
    struct site *site;
    uint32_t site_count;
    struct coverage_row *row;
    uint32_t row_count;
    uint32_t *first;       /* by rule, then by memory: its first site; one more at the end */
    bool *running;         /* by rule: the test at work runs it */
    uint16_t *rule_of;     /* the test's rules, as numbers of the program */
};

/* --- what there is to see --- */

static uint32_t row_find(struct coverage *coverage, uint32_t from, struct span span)
{
    while (from < coverage->row_count && (coverage->row[from].span.at != span.at || coverage->row[from].span.size != span.size ||
                                          coverage->row[from].span.file != span.file))
        from++;
    return from;
}

static void site_add(struct coverage *coverage, uint32_t first_row, struct slice owner, const struct comparison_place *comparison, struct site site)
{
    uint32_t at = row_find(coverage, first_row, comparison->span);
    const struct node *node = &site.expr->node[comparison->node];
    uint16_t operand[3];
    if (at == coverage->row_count)
        coverage->row[coverage->row_count++] =
            (struct coverage_row){.owner = owner, .place = (enum coverage_place)site.place, .span = comparison->span, .op = node->op,
                                  .type = node_operands(node, operand) > 1 ? site.expr->node[operand[0]].type : node->type,
                                  .wants = comparison_wants(site.expr, comparison->node)};
    site.row = at;
    site.node = comparison->node;
    coverage->site[coverage->site_count++] = site;
}

/* What stands under the condition of a part; lets that only `say` names are no conditions. */
static void body_reach(const struct rule *rule, bool asked[EXPR_NODE_MAX])
{
    bool under[EXPR_NODE_MAX];
    memset(asked, 0, EXPR_NODE_MAX * sizeof *asked);
    for (uint8_t s = 0; s < rule->step_count; s++) {
        expr_reach(&rule->body, rule->step[s].part.root, NULL, under);
        for (uint16_t i = 0; i < rule->body.count; i++)
            asked[i] |= under[i];
        if (!rule->unless)
            continue;
        expr_reach(&rule->body, rule->unless[s].root, NULL, under);
        for (uint16_t i = 0; i < rule->body.count; i++)
            asked[i] |= under[i];
    }
}

static void rule_sites(struct coverage *coverage, uint16_t index)
{
    const struct rule *rule = &coverage->program->rule[index];
    uint32_t first_row = coverage->row_count;
    bool asked[EXPR_NODE_MAX];
    body_reach(rule, asked);
    for (uint8_t f = 0; f < rule->filter_count; f++)
        for (uint16_t i = 0; i < rule->filter[f].comparison_count; i++)
            site_add(coverage, first_row, rule->id, &rule->filter[f].comparison[i],
                     (struct site){.owner = index, .index = rule->filter[f].stream, .place = COVERAGE_FILTER,
                                   .expr = &coverage->program->stream[rule->filter[f].stream].filter});
    for (uint16_t i = 0; i < rule->body.comparison_count; i++)
        if (asked[rule->body.comparison[i].node])
            site_add(coverage, first_row, rule->id, &rule->body.comparison[i],
                     (struct site){.owner = index, .place = COVERAGE_WHEN, .expr = &rule->body});
    for (uint8_t e = 0; e < rule->except_count; e++)
        for (uint16_t i = 0; i < rule->except[e].condition.comparison_count; i++)
            site_add(coverage, first_row, rule->id, &rule->except[e].condition.comparison[i],
                     (struct site){.owner = index, .index = e, .place = COVERAGE_EXCEPT, .expr = &rule->except[e].condition});
}

static void memory_sites(struct coverage *coverage, uint16_t index)
{
    const struct memory *memory = &coverage->program->memory[index];
    uint32_t first_row = coverage->row_count;
    for (uint16_t i = 0; i < memory->filter.comparison_count; i++)
        site_add(coverage, first_row, memory->name, &memory->filter.comparison[i],
                 (struct site){.owner = index, .index = index, .place = COVERAGE_MEMORY, .expr = &memory->filter});
}

static uint32_t site_bound(const struct program *program)
{
    uint32_t count = 1;
    for (uint16_t r = 0; r < program->rule_count; r++) {
        const struct rule *rule = &program->rule[r];
        count += rule->body.comparison_count;
        for (uint8_t f = 0; f < rule->filter_count; f++)
            count += rule->filter[f].comparison_count;
        for (uint8_t e = 0; e < rule->except_count; e++)
            count += rule->except[e].condition.comparison_count;
    }
    for (uint16_t m = 0; m < program->memory_count; m++)
        count += program->memory[m].filter.comparison_count;
    return count;
}

struct coverage *coverage_new(const struct program *program)
{
    struct coverage *coverage = calloc(1, sizeof *coverage);
    invariant(coverage != NULL);
    uint32_t room = site_bound(program), owners = (uint32_t)program->rule_count + program->memory_count;
    coverage->program = program;
    arena_init(&coverage->arena);
    coverage->site = ARENA_ARRAY(&coverage->arena, struct site, room);
    coverage->row = ARENA_ARRAY(&coverage->arena, struct coverage_row, room);
    coverage->first = ARENA_ARRAY(&coverage->arena, uint32_t, owners + 1);
    coverage->running = ARENA_ARRAY(&coverage->arena, bool, program->rule_count + 1u);
    coverage->rule_of = ARENA_ARRAY(&coverage->arena, uint16_t, program->rule_count + 1u);
    for (uint16_t r = 0; r < program->rule_count; r++) {
        coverage->first[r] = coverage->site_count;
        rule_sites(coverage, r);
    }
    for (uint16_t m = 0; m < program->memory_count; m++) {
        coverage->first[program->rule_count + m] = coverage->site_count;
        memory_sites(coverage, m);
    }
    coverage->first[owners] = coverage->site_count;
    return coverage;
}

void coverage_free(struct coverage *coverage)
{
    if (!coverage)
        return;
    arena_fini(&coverage->arena);
    free(coverage);
}

/* --- what is seen --- */

/* Adds what one evaluation shows to the sites [from, to) that stand in its expression. */
static void sites_see(struct coverage *coverage, uint32_t from, uint32_t to, enum coverage_place place, uint16_t index,
                      const struct witness *witness, const bool reached[EXPR_NODE_MAX])
{
    for (uint32_t i = from; i < to; i++) {
        const struct site *site = &coverage->site[i];
        struct coverage_row *row = &coverage->row[site->row];
        if (site->place != place || site->index != index)
            continue;
        row->why = COVERAGE_CUT; /* from here on the question is whether it was reached */
        if (reached[site->node])
            row->seen |= comparison_sees(witness->expr, site->node, witness->node);
    }
}

static void rule_sees(struct coverage *coverage, uint16_t rule, enum coverage_place place, uint16_t index, const struct witness *witness,
                      const bool reached[EXPR_NODE_MAX])
{
    sites_see(coverage, coverage->first[rule], coverage->first[rule + 1], place, index, witness, reached);
}

static void coverage_witness(void *context, const struct witness *witness)
{
    struct coverage *coverage = context;
    bool reached[EXPR_NODE_MAX];
    if (witness->expr->comparison_count == 0 && witness->part != WITNESS_STREAM)
        return;
    expr_reach(witness->expr, witness->root, witness->node, reached);
    switch (witness->part) {
    case WITNESS_STEP:
    case WITNESS_UNLESS:
        rule_sees(coverage, coverage->rule_of[witness->index], COVERAGE_WHEN, 0, witness, reached);
        break;
    case WITNESS_EXCEPT:
        rule_sees(coverage, coverage->rule_of[witness->index], COVERAGE_EXCEPT, witness->number, witness, reached);
        break;
    case WITNESS_STREAM:
        for (uint16_t r = 0; r < coverage->program->rule_count; r++)
            if (coverage->running[r])
                rule_sees(coverage, r, COVERAGE_FILTER, witness->index, witness, reached);
        break;
    case WITNESS_MEMORY: {
        uint32_t at = (uint32_t)coverage->program->rule_count + witness->index;
        sites_see(coverage, coverage->first[at], coverage->first[at + 1], COVERAGE_MEMORY, witness->index, witness, reached);
        break;
    }
    }
}

struct step_watch coverage_test(struct coverage *coverage, const struct rule *rule, uint16_t count)
{
    const struct program *program = coverage->program;
    memset(coverage->running, 0, program->rule_count * sizeof *coverage->running);
    for (uint16_t i = 0; i < count; i++) {
        uint16_t r = 0;
        while (r < program->rule_count && !slice_equal(program->rule[r].id, rule[i].id))
            r++;
        invariant(r < program->rule_count);
        coverage->rule_of[i] = r;
        coverage->running[r] = true;
    }
    return (struct step_watch){.context = coverage, .witnessed = coverage_witness};
}

/* --- the report --- */

/* The place of the text before which reading stopped; of several expressions the first that names one. */
static void row_before(struct coverage *coverage, uint32_t at)
{
    struct coverage_row *row = &coverage->row[at];
    for (uint32_t i = 0; i < coverage->site_count && !row->has_before; i++) {
        const struct site *site = &coverage->site[i];
        uint16_t before;
        if (site->row != at)
            continue;
        for (uint16_t root = site->expr->count; root-- > 0 && !row->has_before;) {
            if (!expr_before(site->expr, root, site->node, &before))
                continue;
            for (uint16_t c = 0; c < site->expr->comparison_count && !row->has_before; c++) {
                row->has_before = site->expr->comparison[c].node == before;
                row->before = site->expr->comparison[c].span;
            }
        }
    }
}

static void row_explain(struct coverage *coverage, uint32_t at)
{
    struct coverage_row *row = &coverage->row[at];
    if (row->seen & (SEEN_TRUE | SEEN_FALSE))
        row->why = COVERAGE_SEEN;
    else if (row->seen & SEEN_UNKNOWN)
        row->why = COVERAGE_UNKNOWN;
    else if (row->why == COVERAGE_CUT)
        row_before(coverage, at);
    else
        row->why = row->place == COVERAGE_FILTER || row->place == COVERAGE_MEMORY ? COVERAGE_NO_EVENT : COVERAGE_NOT_JUDGED;
}

static int row_compare(const void *a, const void *b)
{
    const struct coverage_row *x = a, *y = b;
    if (x->span.file != y->span.file)
        return x->span.file < y->span.file ? -1 : 1;
    if (x->span.at != y->span.at)
        return x->span.at < y->span.at ? -1 : 1;
    return (x->span.size > y->span.size) - (x->span.size < y->span.size);
}

const struct coverage_row *coverage_rows(struct coverage *coverage, uint32_t *count)
{
    for (uint32_t i = 0; i < coverage->row_count; i++)
        row_explain(coverage, i);
    struct coverage_row *row = ARENA_ARRAY(&coverage->arena, struct coverage_row, coverage->row_count + 1u);
    memcpy(row, coverage->row, coverage->row_count * sizeof *row);
    qsort(row, coverage->row_count, sizeof *row, row_compare);
    *count = coverage->row_count;
    return row;
}

bool coverage_whole(const struct coverage_row *row)
{
    return (row->seen & row->wants) == row->wants;
}
