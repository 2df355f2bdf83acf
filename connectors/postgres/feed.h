/* What PostgreSQL knows of one bank's feed: arrivals by day, and what was refused by reason and field.
 *
 * Every question is asked as the role muster_feed, which cannot read anything about alerts. Belongs to
 * one thread. */
#ifndef CONNECTORS_POSTGRES_FEED_H
#define CONNECTORS_POSTGRES_FEED_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

#include <stdint.h>

/* One day, all partitions of the bank together. */
struct feed_arrivals {
    int32_t day; /* UTC, days since 1970 */
    int64_t accepted, joined, repeated, refused, heartbeats, gaps, unknown;
};

struct feed_refused {
    int64_t count;
    const char *reason, *field, *examples; /* up to three of the newest, "ID (TOPIC/PARTITION@OFFSET), …" */
};

struct feed_visit {
    void *context;
    void (*arrivals)(void *context, const struct feed_arrivals *arrivals); /* per day that has any */
    void (*refused)(void *context, const struct feed_refused *refused);    /* of `day`, most frequent first */
};

/* Days (day - days, day]. */
bool pg_feed_read(const char *dsn, const char *source, int32_t day, int days, const struct feed_visit *visit, struct error *err) must_check;

#endif
