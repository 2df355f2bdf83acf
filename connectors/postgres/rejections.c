/* Reads one rejection by its place. */
#include "connectors/postgres/rejections.h"

#include "connectors/postgres/session.h"

/* bytea comes as text "\x…". */
static bool row_visit(PGresult *rows, bool (*visit)(void *context, const struct rejection_row *row, struct error *err), void *context,
                      struct error *err)
{
    size_t size = 0;
    unsigned char *body = PQunescapeBytea((const unsigned char *)PQgetvalue(rows, 0, 3), &size);
    if (!body)
        return error_set(err, ERROR_RETRY, "no memory for the rejection's bytes");
    const struct rejection_row row = {.source = PQgetvalue(rows, 0, 0),
                                      .reason = PQgetvalue(rows, 0, 1),
                                      .field = PQgetvalue(rows, 0, 2),
                                      .body = {(const char *)body, size},
                                      .body_size = session_int(rows, 0, 4),
                                      .sealed_day = session_int(rows, 0, 5)};
    bool good = visit(context, &row, err);
    PQfreemem(body);
    return good;
}

bool pg_rejection_read(const char *dsn, const struct rejection_place *place, bool (*visit)(void *context, const struct rejection_row *row, struct error *err),
                       void *context, bool *found, struct error *err)
{
    const char *values[] = {place->topic, place->partition, place->offset, place->item};
    struct session session = {0};
    *found = false;
    if (!session_open(&session, dsn, "muster rejections", err))
        return false;
    PGresult *rows = session_ask(&session,
                                 "select source, reason, field, body, body_size, coalesce(sealed_day, -1) from muster.rejection "
                                 "where topic = $1 and partition = $2::int and kafka_offset = $3::bigint and item = $4::int",
                                 4, values, err);
    bool good = rows != NULL;
    *found = good && PQntuples(rows) == 1;
    if (*found)
        good = row_visit(rows, visit, context, err);
    PQclear(rows);
    session_close(&session);
    return good;
}
