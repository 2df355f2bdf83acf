/* A session is one connection to PostgreSQL with short time-outs and classified errors.
 *
 * Belongs to one thread. Errors carry SQLSTATE and the server's first line; class ERROR_RETRY when
 * trying again may help (the connection, a restart, a lock), else ERROR_FATAL. The server ends statements
 * after 30 s; one that has not answered 5 s after that is frozen, and its connection given up. */
#ifndef CONNECTORS_POSTGRES_SESSION_H
#define CONNECTORS_POSTGRES_SESSION_H

#include "engine/base/error.h"
#include "engine/base/fail_point.h"
#include "engine/base/slice.h"

#include <libpq-fe.h>

struct session {
    PGconn *connection;
    int answer_ms_max;
    size_t unsent;       /* bytes of a batch that were handed to libpq since it last sent all it had */
};

bool session_open(struct session *session, const char *dsn, const char *name, struct error *err) must_check;
void session_close(struct session *session);
bool session_alive(const struct session *session);

/* A step of a protocol as a fail point: false when the fault (a connection that breaks, a server whose disk
 * is full) has struck, with the error that the server's or the library's own would have. In a batch it strikes
 * the statements behind it, and session_batch_end tells. */
#ifdef MUSTER_FAULT
bool session_step(struct session *session, enum fail_point point, struct error *err) must_check;
#else
static inline bool session_step(struct session *session, enum fail_point point, struct error *err)
{
    (void)session;
    (void)point;
    (void)err;
    return true;
}
#endif

/* The server ends this session's statements after so many seconds, instead of 30. */
bool session_limit(struct session *session, int statement_s, struct error *err) must_check;
/* Runs statements without results. */
bool session_run(struct session *session, const char *sql, struct error *err) must_check;
/* Rows (the caller PQclears them), or NULL. */
PGresult *session_query(struct session *session, const char *sql, struct error *err) must_check;
/* With text parameters. */
PGresult *session_ask(struct session *session, const char *sql, int count, const char *const *values, struct error *err) must_check;
/* Rows a statement touched, or -1. */
int session_touch(struct session *session, const char *sql, struct error *err) must_check;

/* Parses and plans a statement once per connection, under a name. */
bool session_prepare(struct session *session, const char *name, const char *sql, struct error *err) must_check;

/* A batch: prepared statements that are sent one behind the other, and answered together behind the last: one round trip
 * instead of one each. They are all run in order, up to the first that fails. Nothing else is asked of the session
 * before session_batch_end, which hands each statement's answer, by its place in the batch, to `answer` (NULL: nobody
 * looks) until one fails or is refused (false, with err); the others are thrown away. A batch that cannot be sent closes the session. */
bool session_batch_begin(struct session *session, struct error *err) must_check;
bool session_batch_add(struct session *session, const char *name, int count, const char *const *value, const int *length,
                       const int *format, struct error *err) must_check;
typedef bool (*session_answer_fn)(void *context, uint32_t index, const PGresult *result, struct error *err);
bool session_batch_end(struct session *session, session_answer_fn answer, void *context, struct error *err) must_check;

/* Fills err from a failed result. */
bool session_fault(struct session *session, const PGresult *result, struct error *err);

int session_int(const PGresult *rows, int row, int column);
int64_t session_int64(const PGresult *rows, int row, int column);

#endif
