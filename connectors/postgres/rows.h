/* The rows of a commit: built as arrays, inserted where new, compared where not.
 *
 * Used by sink.c, which ends the transaction. All statements, from `begin` and the proof of the lease to the positions,
 * go to the server as one batch and are answered together: one round trip. They are prepared once per connection. */
#ifndef CONNECTORS_POSTGRES_ROWS_H
#define CONNECTORS_POSTGRES_ROWS_H

#include "connectors/postgres/columns.h"
#include "connectors/postgres/session.h"
#include "engine/base/json_writer.h"
#include "engine/model/seam.h"

/* Seals bytes outside the database: out has room for SEAL_ROOM more than clear; *size and the day of the key come back. */
enum { SEAL_ROOM = 64 };
typedef bool (*seal_fn)(void *context, struct slice clear, unsigned char *out, size_t *size, int32_t *day, struct error *err);

enum rows_statement {
    ROWS_BEGIN, ROWS_LEASE, ROWS_MONTH, ROWS_HIT, ROWS_SHADOW_HIT, ROWS_HIT_OTHER, ROWS_SHADOW_HIT_OTHER, ROWS_ALERT, ROWS_REVISION,
    ROWS_REVISION_OTHER, ROWS_ALERT_HIT, ROWS_REJECTION, ROWS_ARRIVAL, ROWS_JOURNAL, ROWS_MOVED, ROWS_MADE, ROWS_STATEMENTS
};

struct rows {
    seal_fn seal; /* NULL: no bytes are stored */
    void *seal_context;
    struct columns columns;
    struct json_writer json, other;
    int32_t months[64]; /* whose partitions are known to exist: years * 12 + month */
    uint32_t month_count;

    /* the batch under way */
    struct session *session;
    uint8_t *sent;      /* enum rows_statement, in order */
    uint32_t sent_count, sent_room;
    uint32_t staged[ROWS_STATEMENTS], touched[ROWS_STATEMENTS]; /* rows sent; rows inserted, moved or counted */
};

void rows_fini(struct rows *rows);
/* A transaction was not committed: the months that it made partitions for are not there. */
void rows_rolled_back(struct rows *rows);
bool rows_prepare(struct session *session, struct error *err) must_check;

/* Begins a transaction, proves that `epoch` has the lease, and writes hits, revisions, rejections, arrivals, journal and positions
 * of these blocks, in that order. `stored` has the positions as PostgreSQL should have them now (-1: none). False: nothing may be
 * committed, and the caller rolls back. */
bool rows_write(struct rows *rows, struct session *session, const struct partition_table *partitions, const int64_t *stored,
                int64_t epoch, const struct commit_block *blocks, uint32_t count,
                struct error *err) must_check;

#endif
