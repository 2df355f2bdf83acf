/* How a cell's text becomes a canonical value: amounts and times as a mapping says they are written.
 *
 * Pure; results live in the arena. REJECT_NONE or why the text is none of these. */
#ifndef CONNECTORS_FORMAT_VALUE_H
#define CONNECTORS_FORMAT_VALUE_H

#include "connectors/format/mapping.h"
#include "engine/model/reject.h"

/* "1.234,50" to "1234.50"; a sign in front or behind only sets *negative. */
enum reject_reason value_amount(const struct mapping *mapping, struct slice text, struct arena *arena, struct slice *out, bool *negative);
/* By time_form and time_zone to RFC 3339 in UTC; without a form the text is taken as it is. */
enum reject_reason value_time(const struct mapping *mapping, struct slice text, struct arena *arena, struct slice *out);
/* The code that text stands for. */
enum reject_reason value_code(const struct mapping_field *field, struct slice text, struct slice *out);
/* A formula, or a long number that a spreadsheet has rounded. */
bool value_damaged(struct slice text);

#endif
