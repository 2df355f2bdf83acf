/* Runs the schema's expire functions until each has nothing left to delete. */
#include "connectors/postgres/expire.h"

#include "connectors/postgres/session.h"

#include <stdio.h>

enum { BATCH_MAX = 1000 }; /* alerts have up to some hundred rows each, and locks are held for one batch */

/* Alerts first: their end sets hits free. */
static const char *const kinds[] = {"alerts", "hits", "shadow_hits", "rejections", "arrivals"};

static bool expire_kind(struct session *session, const char *kind, int64_t *deleted, struct error *err)
{
    char sql[128];
    int64_t gone;
    (void)snprintf(sql, sizeof sql, "select muster.expire_%s(%d)", kind, BATCH_MAX);
    *deleted = 0;
    do {
        PGresult *rows = session_query(session, sql, err);
        if (!rows)
            return error_context(err, "expiry of %s", kind);
        gone = session_int64(rows, 0, 0);
        *deleted += gone;
        PQclear(rows);
    } while (gone > 0);
    return true;
}

bool pg_expire(const char *dsn, expire_say_fn say, void *context, struct error *err)
{
    struct session session;
    bool good = session_open(&session, dsn, "muster expire", err) && session_limit(&session, 60, err);
    for (size_t i = 0; good && i < sizeof kinds / sizeof kinds[0]; i++) {
        int64_t deleted;
        good = expire_kind(&session, kinds[i], &deleted, err);
        if (good)
            say(context, kinds[i], deleted);
    }
    session_close(&session);
    return good;
}
