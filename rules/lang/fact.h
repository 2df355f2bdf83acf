/* Facts as rules declare them: types, the text form of their values, and files of dated rows.
 *
 * A file is CSV: `subject,valid_from,FIELD…` with a header, `#` comments, empty for missing; immutable
 * once loaded and part of the rule set's identity. Untrusted: bounded. Messages of a topic carry the
 * same text forms (connectors/json). */
#ifndef RULES_LANG_FACT_H
#define RULES_LANG_FACT_H

#include "rules/lang/program.h"

/* The declared fields. */
struct fact_columns {
    uint8_t count;
    const struct slice *name;
    const enum value_type *type;
    currency_code base;
    const struct zone *zone; /* in which a date begins; NULL: UTC */
};

/* "500.00 USD" (the base currency), "12", "12.5%", "2026-01-01" or RFC 3339, "yes", "KE" … as the
 * type wants it; false when it is none. A date is its first moment in the zone, NULL for UTC. Entities are no numbers: their texts become ids elsewhere. */
bool fact_value_parse(enum value_type type, struct slice text, currency_code base, const struct zone *zone, int64_t *number);
bool fact_type_is_entity(enum value_type type);

struct fact_file;
/* NULL: message (256 bytes) says what is wrong, line is 1-based or 0. */
struct fact_file *fact_file_load(const char *path, const struct fact_columns *columns, char *message, uint32_t *line);
void fact_file_free(struct fact_file *file);
void fact_file_hash(const struct fact_file *file, unsigned char out[32]);
/* The newest row of the subject that is valid at time_ms: its values by field, MISSING_I64 where missing. */
bool fact_file_find(const struct fact_file *file, struct slice subject, int64_t time_ms, int64_t *valid_from,
                    const int64_t **value);

#endif
