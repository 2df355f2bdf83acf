/* Reads one rejection, for an operator who must see what a bank really sent. Read-only. */
#ifndef CONNECTORS_POSTGRES_REJECTIONS_H
#define CONNECTORS_POSTGRES_REJECTIONS_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

#include <stdint.h>

struct rejection_place {
    const char *topic, *partition, *offset, *item; /* as text: PostgreSQL checks the numbers */
};
struct rejection_row {
    const char *source, *reason, *field;
    struct slice body;
    int32_t body_size;  /* of the whole message */
    int32_t sealed_day; /* of the key that opens body; -1: it is in clear */
};

/* Calls visit with the row (valid inside the call only); *found false when there is none. */
bool pg_rejection_read(const char *dsn, const struct rejection_place *place, bool (*visit)(void *context, const struct rejection_row *row, struct error *err),
                       void *context, bool *found, struct error *err) must_check;

#endif
