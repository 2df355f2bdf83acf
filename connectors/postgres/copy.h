/* Builds PostgreSQL's binary COPY format row by row.
 *
 * A builder grows as needed and is reused; row and column calls must match the staging table. */
#ifndef CONNECTORS_POSTGRES_COPY_H
#define CONNECTORS_POSTGRES_COPY_H

#include "engine/base/slice.h"

struct copy {
    char *data;
    size_t size, room;
    uint32_t rows;
};

void copy_fini(struct copy *copy);
void copy_begin(struct copy *copy);
void copy_row(struct copy *copy, int columns);
void copy_int2(struct copy *copy, int16_t number);
void copy_int4(struct copy *copy, int32_t number);
void copy_int8(struct copy *copy, int64_t number);
void copy_bool(struct copy *copy, bool yes);
void copy_bytes(struct copy *copy, struct slice bytes); /* text and bytea */
void copy_json(struct copy *copy, struct slice text);   /* jsonb */
void copy_time(struct copy *copy, int64_t utc_ms);      /* timestamptz */
void copy_date(struct copy *copy, int32_t day);         /* date, from days since 1970 */
void copy_null(struct copy *copy);
struct slice copy_end(struct copy *copy);

#endif
