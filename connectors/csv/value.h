/* How a cell's text becomes a canonical value: amounts and times as a mapping says they are written.
 *
 * Pure; results live in the arena. REJECT_NONE or why the text is none of these. */
#ifndef CONNECTORS_CSV_VALUE_H
#define CONNECTORS_CSV_VALUE_H

#include "connectors/csv/mapping.h"
#include "engine/model/reject.h"

/* "1.234,50" to "1234.50"; a sign in front or behind only sets *negative. */
enum reject_reason csv_amount(const struct csv_mapping *mapping, struct slice text, struct arena *arena, struct slice *out, bool *negative);
/* By time_form and time_zone to RFC 3339 in UTC; without a form the text is taken as it is. */
enum reject_reason csv_time(const struct csv_mapping *mapping, struct slice text, struct arena *arena, struct slice *out);
/* The code that text stands for. */
enum reject_reason csv_code(const struct csv_field *field, struct slice text, struct slice *out);
/* A formula, or a long number that a spreadsheet has rounded. */
bool csv_damaged(struct slice text);

#endif
