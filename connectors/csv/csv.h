/* CSV as banks export it, translated by a mapping file (connectors/csv/mapping.h, README.md).
 *
 * A message is one or more rows, with the header row in front where the mapping says so: each message
 * stands for itself. Rows are RFC 4180 with any of four delimiters; a byte order mark and CRLF are
 * taken; empty rows are skipped. Each row is an event or refused with its column. */
#ifndef CONNECTORS_CSV_CSV_H
#define CONNECTORS_CSV_CSV_H

#include "connectors/csv/mapping.h"
#include "engine/model/format.h"

/* Takes the mapping into its care. Never NULL. */
struct format *csv_format_open(struct csv_mapping *mapping);

/* What one row says: per mapped field what the bank calls it, what its cells hold, and what becomes of
 * them (or why nothing does). For people: `muster feed --dry-run` shows ten rows so. bytes is one
 * message; row counts from 0. False when there is no such row. */
struct csv_shown {
    struct slice own, given, field, made;
};
bool csv_show(const struct format *format, struct slice bytes, uint32_t row, struct arena *arena, struct csv_shown shown[EF_COUNT],
              uint32_t *count);

/* Does a record end at the end of text (its quotes are closed)? For readers that go line by line. */
bool csv_record_ends(const struct format *format, struct slice text);
/* Does the first row of a file name the columns? */
bool csv_has_header(const struct format *format);

#endif
