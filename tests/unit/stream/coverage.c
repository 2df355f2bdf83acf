/* Coverage of rule sets that stand in the tests: whole, with gaps; and that watching changes no result. */
#include "engine/stream/rule_test.h"

#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <criterion/criterion.h>

static const struct decode_seam seam = {decoder_new, decoder_free, decoder_decode, decoder_entity_hash};

struct covered {
    struct arena arena;
    struct program *program;
    struct coverage *coverage;
    struct rule_test_report report;
    const struct coverage_row *row;
    uint32_t count, whole;
};

static void cover(struct covered *c, const char *dir, bool watched)
{
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    *c = (struct covered){.program = program_load(dir, &(struct load_options){.for_tests = true}, diagnostics, &err)};
    cr_assert(c->program != NULL, "%s: %s", dir, err.text);
    struct diagnostics *again = diagnostics_new();
    struct syntax *syntax = syntax_load(dir, again, &err);
    cr_assert(syntax != NULL, "%s", err.text);
    arena_init(&c->arena);
    c->coverage = watched ? coverage_new(c->program) : NULL;
    cr_assert(rule_tests_run(c->program, syntax, &seam, c->coverage, NULL, &c->arena, &c->report, &err), "%s", err.text);
    if (watched)
        c->row = coverage_rows(c->coverage, &c->count);
    for (uint32_t i = 0; i < c->count; i++)
        c->whole += coverage_whole(&c->row[i]);
    syntax_free(syntax);
    diagnostics_free(diagnostics);
    diagnostics_free(again);
}

static void cover_end(struct covered *c)
{
    coverage_free(c->coverage);
    program_free(c->program);
    arena_fini(&c->arena);
}

Test(coverage, a_set_that_is_whole)
{
    struct covered c;
    cover(&c, "tests/data/coverage/whole", true);
    cr_expect_eq(c.count, 10u);
    cr_expect_eq(c.whole, 10u);
    cover_end(&c);
}

Test(coverage, gaps_and_why)
{
    struct covered c;
    cover(&c, "tests/data/coverage/gaps", true);
    static const enum coverage_why want[] = {COVERAGE_NO_EVENT, COVERAGE_NO_EVENT, COVERAGE_NOT_JUDGED, COVERAGE_SEEN, COVERAGE_UNKNOWN,
                                             COVERAGE_SEEN, COVERAGE_CUT, COVERAGE_CUT, COVERAGE_CUT, COVERAGE_NOT_JUDGED};
    cr_assert_eq(c.count, sizeof want / sizeof *want);
    cr_expect_eq(c.whole, 0u);
    for (uint32_t i = 0; i < c.count; i++)
        cr_expect_eq(c.row[i].why, want[i], "row %u at %u: %d", i, c.row[i].span.at, c.row[i].why);
    cover_end(&c);
}

/* The numbered meaning uses all of the language: rows must come in order, each of its own place. */
Test(coverage, every_place_of_the_meaning_stands_once, .timeout = 120)
{
    struct covered c;
    cover(&c, "tests/data/meaning", true);
    cr_expect_gt(c.count, 100u);
    for (uint32_t i = 1; i < c.count; i++) {
        const struct span *a = &c.row[i - 1].span, *b = &c.row[i].span;
        cr_expect(a->file < b->file || (a->file == b->file && (a->at < b->at || (a->at == b->at && a->size < b->size))), "row %u", i);
        cr_expect(!(c.row[i].seen & (SEEN_TRUE | SEEN_FALSE)) || c.row[i].why == COVERAGE_SEEN);
        cr_expect(!(c.row[i].seen & (SEEN_EQUAL | SEEN_BESIDE)) || (c.row[i].wants & (SEEN_EQUAL | SEEN_BESIDE)));
    }
    cover_end(&c);
}

Test(coverage, watching_changes_no_result, .timeout = 120)
{
    static const char *const dirs[] = {"tests/data/meaning", "tests/data/coverage/failing"};
    for (int d = 0; d < 2; d++) {
        struct covered with, without;
        cover(&with, dirs[d], true);
        cover(&without, dirs[d], false);
        cr_assert_eq(with.report.count, without.report.count);
        for (uint32_t i = 0; i < with.report.count; i++)
            cr_expect(slice_equal(with.report.test[i].failure, without.report.test[i].failure), "%.*s",
                      (int)with.report.test[i].title.size, with.report.test[i].title.data);
        cover_end(&with);
        cover_end(&without);
    }
}
