/* The rows of a commit: built as binary COPY, staged, inserted where new, compared where not.
 *
 * Used by sink.c inside its transaction. Staging tables are temporary, made once per connection. */
#ifndef CONNECTORS_POSTGRES_ROWS_H
#define CONNECTORS_POSTGRES_ROWS_H

#include "connectors/postgres/copy.h"
#include "connectors/postgres/session.h"
#include "engine/base/json_writer.h"
#include "engine/model/seam.h"

/* Seals bytes outside the database: out has room for SEAL_ROOM more than clear; *size and the day of the key come back. */
enum { SEAL_ROOM = 64 };
typedef bool (*seal_fn)(void *context, struct slice clear, unsigned char *out, size_t *size, int32_t *day, struct error *err);

struct rows {
    seal_fn seal; /* NULL: no bytes are stored */
    void *seal_context;
    struct copy copy;
    struct json_writer json, other;
    int32_t months[64]; /* whose partitions are known to exist: years * 12 + month */
    uint32_t month_count;
};

void rows_fini(struct rows *rows);
/* A transaction was not committed: the months that it made partitions for are not there. */
void rows_rolled_back(struct rows *rows);
bool rows_stage(struct session *session, struct error *err) must_check;

/* Hits, revisions, rejections, arrivals, journal and positions of these blocks, in that order. `stored` has the
 * positions as PostgreSQL should have them now (-1: none). */
bool rows_write(struct rows *rows, struct session *session, const struct partition_table *partitions, const int64_t *stored,
                int64_t epoch, const struct commit_block *blocks, uint32_t count,
                struct error *err) must_check;
/* The transaction did not come through: the months whose partitions it made are made again. */
void rows_forget(struct rows *rows);

#endif
