/* The CSV of files beside rules (lists, facts): read whole, walked column by column.
 *
 * Columns are parted by commas; a column in quotation marks may hold commas, line ends and doubled
 * quotation marks. Untrusted: bounded size, columns cut at the value's room (then refused by size). */
#ifndef RULES_LANG_CSV_H
#define RULES_LANG_CSV_H

#include "engine/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum { CSV_VALUE_MAX = 256, CSV_BYTES_MAX = 64 * 1024 * 1024 };

struct csv {
    struct slice file;
    size_t at;
    uint32_t line;
    char value[CSV_VALUE_MAX + 1]; /* a quoted column, unquoted */
};

/* What is wrong: 256 bytes of message, and the 1-based line or 0. */
struct csv_problem {
    char *message;
    uint32_t *line;
};

/* Says what is wrong; always false. */
bool csv_refuse(struct csv_problem problem, uint32_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The whole file, malloc'ed; NULL when it cannot be read or is too large. */
char *csv_file_read(const char *path, size_t *size, struct csv_problem problem);

int csv_peek(const struct csv *csv); /* the next byte, -1 at the end of the file */
bool csv_at_end(const struct csv *csv); /* of the row */
void csv_next_line(struct csv *csv);
/* The column in hand, without the spaces around it; stays before the comma. A quoted one lies in csv->value. */
bool csv_column(struct csv *csv, struct slice *value, struct csv_problem problem);

#endif
