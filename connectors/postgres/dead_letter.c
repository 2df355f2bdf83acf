/* Reads rejections behind a topic's mark, and moves the mark. */
#include "connectors/postgres/dead_letter.h"

#include "connectors/postgres/session.h"
#include "engine/base/invariant.h"

#include <stdio.h>
#include <stdlib.h>

struct dead_letters {
    struct session session;
    const char *topic;
    int64_t last; /* number of the last one visited */
};

struct dead_letters *pg_dead_letters_open(const char *dsn, const char *topic, struct error *err)
{
    struct dead_letters *letters = calloc(1, sizeof *letters);
    invariant(letters != NULL);
    letters->topic = topic;
    const char *const values[] = {topic};
    PGresult *rows = NULL;
    if (session_open(&letters->session, dsn, "muster rejections send", err) && session_run(&letters->session, "set role muster_feed", err))
        rows = session_ask(&letters->session, "insert into muster.dead_letter values ($1, 0) on conflict (topic) do update set topic = excluded.topic returning sent",
                           1, values, err);
    if (rows)
        letters->last = session_int64(rows, 0, 0);
    bool good = rows != NULL;
    PQclear(rows);
    if (good)
        return letters;
    pg_dead_letters_close(letters);
    return NULL;
}

bool pg_dead_letters_read(struct dead_letters *letters, uint32_t most, dead_letter_visit visit, void *context, uint32_t *count, struct error *err)
{
    char last[32], limit[16];
    (void)snprintf(last, sizeof last, "%lld", (long long)letters->last);
    (void)snprintf(limit, sizeof limit, "%u", most);
    const char *const values[] = {last, limit};
    *count = 0;
    PGresult *rows = session_ask(&letters->session,
                                 "select number, concat_ws('|', topic, partition, kafka_offset, item), json_build_object('topic', topic, "
                                 "'partition', partition, 'offset', kafka_offset, 'item', item, 'source', source, 'reason', reason, 'field', field, "
                                 "'id', event_id, 'arrived_at', to_char(arrived_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')) "
                                 "from muster.rejection where number > $1::bigint order by number limit $2::int",
                                 2, values, err);
    bool good = rows != NULL;
    for (int i = 0; good && i < PQntuples(rows); i++) {
        struct slice key = slice_of(PQgetvalue(rows, i, 1)), body = slice_of(PQgetvalue(rows, i, 2));
        good = visit(context, key, body, err);
        letters->last = good ? session_int64(rows, i, 0) : letters->last;
        *count += good;
    }
    PQclear(rows);
    return good;
}

bool pg_dead_letters_mark(struct dead_letters *letters, struct error *err)
{
    char last[32];
    (void)snprintf(last, sizeof last, "%lld", (long long)letters->last);
    const char *const values[] = {letters->topic, last};
    /* an older sender beside this one must not move the mark back */
    PGresult *rows = session_ask(&letters->session, "update muster.dead_letter set sent = greatest(sent, $2::bigint) where topic = $1", 2, values, err);
    PQclear(rows);
    return rows != NULL;
}

void pg_dead_letters_close(struct dead_letters *letters)
{
    if (!letters)
        return;
    session_close(&letters->session);
    free(letters);
}
