/* One connection to PostgreSQL: statements, batches of them, and what a failure means. */
#include "connectors/postgres/session.h"

#include "engine/base/invariant.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { STATEMENT_MS = 30000, ANSWER_BEHIND_MS = 5000, BATCH_UNSENT_MAX = 1 << 20 };

static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

bool session_open(struct session *session, const char *dsn, const char *name, struct error *err)
{
    /* Seconds, except tcp_user_timeout: milliseconds. We notice a dead server within 5 s, and after a cut of the network
     * that we slept through at the next keepalive. The server notices our end within 4 s: a backend that waits for us
     * holds the lease row, and whoever comes back would wait for it. */
    const char *keys[] = {"dbname", "connect_timeout", "tcp_user_timeout", "keepalives_idle", "keepalives_interval",
                          "keepalives_count", "fallback_application_name", "options", NULL};
    const char *values[] = {dsn, "2", "5000", "1", "1", "3", name,
                            "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=10s "
                            "-c tcp_keepalives_idle=1 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3 -c tcp_user_timeout=3s "
                            "-c client_min_messages=warning -c TimeZone=UTC", NULL};
    session->connection = PQconnectdbParams(keys, values, 1);
    session->answer_ms_max = STATEMENT_MS + ANSWER_BEHIND_MS;
    if (session->connection && PQstatus(session->connection) == CONNECTION_OK) {
        (void)PQsetNoticeReceiver(session->connection, ignore_notice, NULL);
        return true;
    }
    const char *text = session->connection ? PQerrorMessage(session->connection) : "out of memory";
    error_set(err, ERROR_RETRY, "cannot connect to PostgreSQL: %.*s", (int)strcspn(text, "\n"), text);
    session_close(session);
    return false;
}

void session_close(struct session *session)
{
    if (session->connection)
        PQfinish(session->connection);
    session->connection = NULL;
}

bool session_alive(const struct session *session)
{
    return session->connection && PQstatus(session->connection) == CONNECTION_OK;
}

/* Classes of SQLSTATE that may pass by themselves: connection, resources, intervention, rollback, locks. */
static bool state_may_pass(const char *state)
{
    static const char *const classes[] = {"08", "53", "57", "58", "40", "55"};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strncmp(state, classes[i], 2) == 0)
            return true;
    return false;
}

bool session_fault(struct session *session, const PGresult *result, struct error *err)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    bool lost = PQstatus(session->connection) != CONNECTION_OK;
    if (!text)
        text = PQerrorMessage(session->connection);
    enum error_class class = lost || !state || state_may_pass(state) ? ERROR_RETRY : ERROR_FATAL;
    return error_set(err, class, "PostgreSQL %s: %.*s", state ? state : "connection lost", (int)strcspn(text, "\n"), text);
}

/* --- answers --- */

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until libpq can give a result without waiting itself. A frozen server keeps its connections open
 * for ever; when it has had its time ours is shut, which libpq then tells as lost. */
static void answer_wait(struct session *session)
{
    PGconn *connection = session->connection;
    int64_t until_ms = monotonic_ms() + session->answer_ms_max;
    while (PQisBusy(connection)) {
        struct pollfd answer = {.fd = PQsocket(connection), .events = POLLIN};
        int64_t left_ms = until_ms - monotonic_ms();
        if (left_ms <= 0)
            (void)shutdown(answer.fd, SHUT_RDWR);
        else
            (void)poll(&answer, 1, (int)left_ms);
        if (!PQconsumeInput(connection))
            return;
    }
}

/* The last result of what was sent (of several statements the first that failed); NULL: there is none. */
static PGresult *answer_take(struct session *session)
{
    PGresult *last = NULL, *next;
    while (answer_wait(session), (next = PQgetResult(session->connection))) {
        PQclear(last);
        last = next;
        if (PQstatus(session->connection) != CONNECTION_OK)
            break;
    }
    return last;
}

static PGresult *session_send(struct session *session, const char *sql)
{
    return PQsendQuery(session->connection, sql) ? answer_take(session) : NULL;
}

PGresult *session_ask(struct session *session, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *result = PQsendQueryParams(session->connection, sql, count, NULL, values, NULL, NULL, 0) ? answer_take(session) : NULL;
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return result;
    session_fault(session, result, err);
    PQclear(result);
    return NULL;
}

PGresult *session_query(struct session *session, const char *sql, struct error *err)
{
    return session_ask(session, sql, 0, NULL, err);
}

bool session_run(struct session *session, const char *sql, struct error *err)
{
    PGresult *result = session_send(session, sql); /* may hold several statements */
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || session_fault(session, result, err);
    PQclear(result);
    return good;
}

bool session_limit(struct session *session, int statement_s, struct error *err)
{
    char sql[64];
    (void)snprintf(sql, sizeof sql, "set statement_timeout = '%ds'", statement_s);
    session->answer_ms_max = statement_s * 1000 + ANSWER_BEHIND_MS;
    return session_run(session, sql, err);
}

int session_touch(struct session *session, const char *sql, struct error *err)
{
    PGresult *result = session_query(session, sql, err);
    if (!result)
        return -1;
    const char *count = PQcmdTuples(result);
    int touched = count[0] ? (int)strtol(count, NULL, 10) : 0;
    PQclear(result);
    return touched;
}

bool session_prepare(struct session *session, const char *name, const char *sql, struct error *err)
{
    PGresult *result = PQsendPrepare(session->connection, name, sql, 0, NULL) ? answer_take(session) : NULL;
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK || session_fault(session, result, err);
    PQclear(result);
    return good;
}

/* --- batches --- */

static bool batch_lost(struct session *session, struct error *err)
{
    session_fault(session, NULL, err);
    err->class = ERROR_RETRY;
    session_close(session);
    return false;
}

/* Waits until the server has taken all that was sent. It may answer meanwhile, and would wait for us if we did not listen. */
static bool batch_flush(struct session *session)
{
    PGconn *connection = session->connection;
    int64_t until_ms = monotonic_ms() + session->answer_ms_max;
    int left;
    while ((left = PQflush(connection)) > 0) {
        struct pollfd ready = {.fd = PQsocket(connection), .events = POLLIN | POLLOUT};
        int64_t left_ms = until_ms - monotonic_ms();
        if (left_ms <= 0)
            return false;
        if (poll(&ready, 1, (int)left_ms) > 0 && (ready.revents & POLLIN) && !PQconsumeInput(connection))
            return false;
    }
    session->unsent = 0;
    return left == 0;
}

#ifdef MUSTER_FAULT
bool session_step(struct session *session, enum fail_point point, struct error *err)
{
    enum fault fault = fail_point(point);
    if (fault == FAULT_EIO)
        (void)shutdown(PQsocket(session->connection), SHUT_RDWR);
    const char *sql = fault == FAULT_ENOSPC ? "do $$ begin raise exception 'no space left on device' using errcode = '53100'; end $$" : "select 1";
    if (PQpipelineStatus(session->connection) == PQ_PIPELINE_ON)
        return fault == FAULT_NONE || fault == FAULT_EIO || PQsendQueryParams(session->connection, sql, 0, NULL, NULL, NULL, NULL, 0) || batch_lost(session, err);
    return fault == FAULT_NONE || session_run(session, sql, err);
}
#endif

bool session_batch_begin(struct session *session, struct error *err)
{
    session->unsent = 0;
    return (PQsetnonblocking(session->connection, 1) == 0 && PQenterPipelineMode(session->connection)) || batch_lost(session, err);
}

bool session_batch_add(struct session *session, const char *name, int count, const char *const *value, const int *length,
                       const int *format, struct error *err)
{
    for (int i = 0; i < count; i++)
        session->unsent += length ? (size_t)length[i] : 0;
    bool good = PQsendQueryPrepared(session->connection, name, count, value, length, format, 0) &&
                (session->unsent < BATCH_UNSENT_MAX || batch_flush(session));
    return good || batch_lost(session, err);
}

/* Answers up to the batch's end. */
static bool batch_answers(struct session *session, session_answer_fn answer, void *context, struct error *err)
{
    PGresult *result;
    uint32_t index = 0;
    bool good = true;
    for (ExecStatusType status = PGRES_EMPTY_QUERY; status != PGRES_PIPELINE_SYNC; PQclear(result)) {
        answer_wait(session);
        result = PQgetResult(session->connection); /* NULL stands between two statements */
        status = PQresultStatus(result);
        if (PQstatus(session->connection) != CONNECTION_OK) {
            if (good)
                session_fault(session, result, err);
            PQclear(result);
            return false;
        }
        if (!result)
            status = PGRES_EMPTY_QUERY;
        else if (good && status == PGRES_FATAL_ERROR)
            good = session_fault(session, result, err);
        else if (good && answer && (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK))
            good = answer(context, index++, result, err);
    }
    return good;
}

bool session_batch_end(struct session *session, session_answer_fn answer, void *context, struct error *err)
{
    PGconn *connection = session->connection;
    if (!connection)
        return error_set(err, ERROR_RETRY, "PostgreSQL connection lost");
    if (!PQpipelineSync(connection) || !batch_flush(session))
        return batch_lost(session, err);
    if (fail_point(FAIL_SINK_ROWS) == FAULT_EIO)
        (void)shutdown(PQsocket(connection), SHUT_RDWR);
    bool good = batch_answers(session, answer, context, err);
    if (!session_alive(session))
        return false;
    invariant(PQexitPipelineMode(connection));
    return PQsetnonblocking(connection, 0) == 0 ? good : batch_lost(session, err);
}

int session_int(const PGresult *rows, int row, int column)
{
    return (int)strtol(PQgetvalue(rows, row, column), NULL, 10);
}

int64_t session_int64(const PGresult *rows, int row, int column)
{
    return (int64_t)strtoll(PQgetvalue(rows, row, column), NULL, 10);
}
