/* Builds rows as PostgreSQL takes them in one statement: an array per column, in binary, for `select * from unnest($1, $2, …)`.
 *
 * A builder grows as needed and is reused. columns_begin says how many columns a row has; behind columns_row each column is
 * given once, in order, and has one type throughout. columns_end closes the arrays: value, length and format are then what
 * libpq's PQsendQueryPrepared wants, until the next columns_begin. */
#ifndef CONNECTORS_POSTGRES_COLUMNS_H
#define CONNECTORS_POSTGRES_COLUMNS_H

#include "engine/base/slice.h"

enum { COLUMNS_MAX = 20 };

struct column {
    char *data;
    size_t size, room;
    uint32_t type;   /* PostgreSQL's oid of the elements; 0 while nothing was given */
    bool has_null;
};

struct columns {
    struct column column[COLUMNS_MAX];
    int width, at;
    uint32_t rows;
    size_t bytes;    /* of all columns */
    const char *value[COLUMNS_MAX];
    int length[COLUMNS_MAX], format[COLUMNS_MAX];
};

void columns_fini(struct columns *columns);
void columns_begin(struct columns *columns, int width);
void columns_row(struct columns *columns);
void columns_int4(struct columns *columns, int32_t number);
void columns_int8(struct columns *columns, int64_t number);
void columns_bool(struct columns *columns, bool yes);
void columns_text(struct columns *columns, struct slice text);
void columns_bytes(struct columns *columns, struct slice bytes); /* bytea */
void columns_json(struct columns *columns, struct slice text);   /* jsonb */
void columns_time(struct columns *columns, int64_t utc_ms);      /* timestamptz; MISSING_I64: null */
void columns_date(struct columns *columns, int32_t day);         /* date, from days since 1970 */
void columns_end(struct columns *columns);

#endif
