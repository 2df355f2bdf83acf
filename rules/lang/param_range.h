/* The values to try of a param that a rule declares: its range in steps that people would choose.
 *
 * Values are in the units of the literal (struct param_value). Steps are whole hundredths of percent, whole
 * currency units, whole days, hours or minutes, as the range allows; both ends and today's value are always
 * among them. Pure. */
#ifndef RULES_LANG_PARAM_RANGE_H
#define RULES_LANG_PARAM_RANGE_H

#include "rules/lang/syntax.h"

enum { PARAM_STEPS_MAX = 64, PARAM_TEXT_MAX = 64 };

struct param_range {
    struct slice name;      /* of the syntax tree */
    enum expr_form form;
    currency_code currency; /* EXPR_MONEY */
    int64_t today, low, high;
};

/* False when the param is no plain literal with a range, such as a code. */
bool param_range_of(const struct syntax_param *param, struct param_range *range);
/* Ascending and distinct, about `steps` of them (2 to PARAM_STEPS_MAX): out has room for steps + 1. */
uint32_t param_steps(const struct param_range *range, uint32_t steps, int64_t *out);
/* As the language writes it: "3", "40%", "200 USD", "36h", "22:30". */
void param_text(const struct param_range *range, int64_t value, char out[PARAM_TEXT_MAX]);

#endif
