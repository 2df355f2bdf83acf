/* One connection to PostgreSQL: statements, COPY, and what a failure means. */
#include "connectors/postgres/session.h"

#include <stdio.h>
#include <stdlib.h>

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

PGresult *session_ask(struct session *session, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *result = PQexecParams(session->connection, sql, count, NULL, values, NULL, NULL, 0);
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
    PGresult *result = PQexec(session->connection, sql); /* may hold several statements */
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || session_fault(session, result, err);
    PQclear(result);
    return good;
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

bool session_copy(struct session *session, const char *sql, struct slice data, struct error *err)
{
    PGresult *result = PQexec(session->connection, sql);
    bool good = PQresultStatus(result) == PGRES_COPY_IN || session_fault(session, result, err);
    PQclear(result);
    if (!good)
        return false;
    for (size_t at = 0; at < data.size;) {
        size_t piece = data.size - at < (1u << 20) ? data.size - at : 1u << 20;
        if (PQputCopyData(session->connection, data.data + at, (int)piece) != 1)
            return session_fault(session, NULL, err);
        at += piece;
    }
    if (PQputCopyEnd(session->connection, NULL) != 1)
        return session_fault(session, NULL, err);
    result = PQgetResult(session->connection);
    good = PQresultStatus(result) == PGRES_COMMAND_OK || session_fault(session, result, err);
    while (result) {
        PQclear(result);
        result = PQgetResult(session->connection);
    }
    return good;
}

int session_int(const PGresult *rows, int row, int column)
{
    return (int)strtol(PQgetvalue(rows, row, column), NULL, 10);
}

int64_t session_int64(const PGresult *rows, int row, int column)
{
    return (int64_t)strtoll(PQgetvalue(rows, row, column), NULL, 10);
}
