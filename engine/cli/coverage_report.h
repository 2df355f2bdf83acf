/* Shows what the tests of a rule set see of its comparisons: as text with carets, as JSON. */
#ifndef ENGINE_CLI_COVERAGE_REPORT_H
#define ENGINE_CLI_COVERAGE_REPORT_H

#include "engine/base/json_writer.h"
#include "engine/stream/coverage.h"
#include "rules/lang/diagnostic.h"

#include <stdio.h>

struct coverage_report {
    const struct diagnostics *diagnostics; /* knows the files */
    const struct syntax *syntax;
    const struct coverage_row *row;
    uint32_t count;
    uint32_t least_percent;
};

/* Each comparison that is not covered, then `N of M comparisons seen both ways and at their edges`. */
void coverage_text(const struct coverage_report *report, FILE *out);
/* As the member `coverage` of the object that is open: every comparison. */
void coverage_json(const struct coverage_report *report, struct json_writer *json);
/* At least so many of the hundred are covered; a rule set without comparisons is. */
bool coverage_enough(const struct coverage_report *report);

#endif
