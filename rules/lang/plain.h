/* A rule in plain words: what it looks at, what it counts, when it fires and what follows, for people who
 * must decide about it and do not read the language. Reads the syntax tree, so it says what the author wrote;
 * a tree without errors is needed. The words are the same as text for a terminal and as Markdown. */
#ifndef RULES_LANG_PLAIN_H
#define RULES_LANG_PLAIN_H

#include "rules/lang/syntax.h"

#include <stdio.h>

/* One rule: paragraphs and lists, each line ended. */
void plain_rule(const struct syntax *syntax, const struct syntax_rule *rule, FILE *out);
/* What the typology of a rule asks for before it is an alert: one sentence, without a line's end. */
void plain_typology(const struct syntax *syntax, const struct syntax_typology *typology, FILE *out);
/* A condition or value as part of a sentence. `rule` gives the meaning of its names; NULL outside a rule. */
void plain_expr(const struct syntax *syntax, const struct syntax_rule *rule, const struct syntax_expr *expr, FILE *out);

/* What the grade of a source says: "verified in the primary text". */
const char *plain_grade(const char grade[4]);
const char *plain_status(enum rule_status status);
void plain_day(int32_t day, FILE *out); /* 2027-06-01 */

#endif
