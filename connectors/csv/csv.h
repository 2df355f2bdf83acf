/* CSV as banks export it, translated by a mapping file (connectors/format/mapping.h, README.md).
 *
 * A message is one or more rows, with the header row in front where the mapping says so: each message
 * stands for itself. Rows are RFC 4180 with any of four delimiters; a byte order mark and CRLF are
 * taken; empty rows are skipped. Each row is an event or refused with its column. */
#ifndef CONNECTORS_CSV_CSV_H
#define CONNECTORS_CSV_CSV_H

#include "connectors/format/mapping.h"
#include "engine/model/format.h"

/* Takes the mapping into its care. Never NULL. */
struct format *csv_format_open(struct mapping *mapping);

/* Does a record end at the end of text (its quotes are closed)? For readers that go line by line. */
bool csv_record_ends(const struct format *format, struct slice text);
/* Does the first row of a file name the columns? */
bool csv_has_header(const struct format *format);

#endif
