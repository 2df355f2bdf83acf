/* The sink: everything one or more intake blocks gave, in ONE PostgreSQL transaction.
 *
 * Implements struct sink (engine/model/seam.h); called by one thread. A commit proves the lease
 * (its row locked FOR SHARE, with our epoch), inserts what is not there, compares what is (another
 * body for the same key stops the engine: it means non-determinism), and moves positions by
 * compare-and-set: all this in one round trip, `commit` in a second once every answer is seen to be good. When the connection dies during COMMIT the outcome is
 * unknown: the next call locks the lease row first, which waits for the old backend, and then reads
 * whether the journal has the block. Rejected bytes are bounded to REJECTION_BYTES_MAX. */
#ifndef CONNECTORS_POSTGRES_SINK_H
#define CONNECTORS_POSTGRES_SINK_H

#include "connectors/postgres/rows.h"
#include "engine/model/seam.h"

enum { REJECTION_BYTES_MAX = 4096 };

struct pg_sink_settings {
    const char *dsn;
    const char *holder;           /* who we are, for operators: host and process */
    uint32_t lease_ms;
    uint32_t alert_days, hit_days, rejection_days; /* how long what is written is kept */
    seal_fn seal;                 /* of rejected bytes; NULL: they are not stored */
    void *seal_context;
    unsigned char rule_set_hash[32];
    struct slice rule_set_name;
    struct slice rule_set_description; /* JSON: rules with versions, lists, parameters */
};

/* Does not connect yet: start does. Settings are copied but for what slices point to. */
struct sink *pg_sink_open(const struct pg_sink_settings *settings);

#endif
