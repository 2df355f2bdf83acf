/* Counts how the tests of a rule set see its comparisons: true, false, at the edge (rules/lang/comparison.h).
 *
 * Counted is what decides: the comparisons of `when`, later steps, `unless`, filters of sources, exceptions,
 * and filters of memories. A comparison stands once for each place of the text; what several steps evaluate
 * of one place counts together. A filter counts for a rule only in tests that run the rule. The coverage and
 * its rows live until coverage_free; spans are of the syntax the program was made from. One thread. */
#ifndef ENGINE_STREAM_COVERAGE_H
#define ENGINE_STREAM_COVERAGE_H

#include "engine/stream/step.h"
#include "rules/lang/comparison.h"

enum coverage_place { COVERAGE_WHEN, COVERAGE_EXCEPT, COVERAGE_FILTER, COVERAGE_MEMORY };

/* Why a comparison was never seen; COVERAGE_SEEN where it was. */
enum coverage_why {
    COVERAGE_SEEN,
    COVERAGE_NOT_JUDGED,  /* no test has the rule evaluated; of an exception: no test has it hit */
    COVERAGE_NO_EVENT,    /* the filter was asked of no event */
    COVERAGE_CUT,         /* never reached: what stands before it settled the answer; see `before` */
    COVERAGE_UNKNOWN,     /* a value it needs was always missing */
};

struct coverage_row {
    struct slice owner;        /* rule id, or the memory's name */
    enum coverage_place place;
    struct span span;
    uint8_t wants, seen;       /* enum comparison_seen */
    uint8_t op;                /* enum opcode */
    uint8_t type;              /* enum value_type of what is compared; of the answer where nothing is */
    enum coverage_why why;
    bool has_before;
    struct span before;        /* COVERAGE_CUT: the comparison before it, where one can be named */
};

struct coverage;
struct coverage *coverage_new(const struct program *program);
void coverage_free(struct coverage *coverage);

/* Begins a test that runs these rules, by ids among the program's; the watch is for its step. */
struct step_watch coverage_test(struct coverage *coverage, const struct rule *rule, uint16_t count);

/* In the order of the files and their text. */
const struct coverage_row *coverage_rows(struct coverage *coverage, uint32_t *count);

/* Every wanted bit was seen. */
bool coverage_whole(const struct coverage_row *row);

#endif
