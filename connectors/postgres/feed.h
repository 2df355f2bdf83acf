/* What PostgreSQL knows of one bank's feed: refused messages, counted by day, reason and field.
 *
 * Every question is asked as the role muster_feed, which cannot read anything about alerts. Belongs to
 * one thread. */
#ifndef CONNECTORS_POSTGRES_FEED_H
#define CONNECTORS_POSTGRES_FEED_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

#include <stdint.h>

/* Offsets (past, last] of one partition belong to this day. */
struct feed_range {
    int32_t day; /* any number; 0 is also where partitions go that have no range at all */
    const char *topic;
    int32_t partition;
    int64_t past, last;
};

struct feed_refused {
    int32_t day;
    int64_t count;
    const char *reason, *field, *places; /* up to three of the newest, "TOPIC/PARTITION@OFFSET, …" */
};

/* visit is called per day, reason and field, most frequent first. */
bool pg_feed_refused(const char *dsn, const char *source, const struct feed_range *range, uint32_t count,
                     void (*visit)(void *context, const struct feed_refused *refused), void *context, struct error *err) must_check;

#endif
