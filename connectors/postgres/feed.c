/* What PostgreSQL knows of one bank's feed, asked as a role that cannot see alerts. */
#include "connectors/postgres/feed.h"

#include "connectors/postgres/session.h"

#include <stdio.h>

static bool read_arrivals(struct session *session, const char *const values[3], const struct feed_visit *visit, struct error *err)
{
    PGresult *rows = session_ask(session,
                                 "select day - date '1970-01-01', sum(accepted), sum(joined), sum(repeated), sum(refused), sum(heartbeats), "
                                 "sum(gaps), sum(unknown) from muster.arrival where source = $1 and day > date '1970-01-01' + $2::int - $3::int "
                                 "and day <= date '1970-01-01' + $2::int group by day",
                                 3, values, err);
    for (int i = 0; rows && i < PQntuples(rows); i++)
        visit->arrivals(visit->context, &(struct feed_arrivals){.day = session_int(rows, i, 0),
                                                                .accepted = session_int64(rows, i, 1),
                                                                .joined = session_int64(rows, i, 2),
                                                                .repeated = session_int64(rows, i, 3),
                                                                .refused = session_int64(rows, i, 4),
                                                                .heartbeats = session_int64(rows, i, 5),
                                                                .gaps = session_int64(rows, i, 6),
                                                                .unknown = session_int64(rows, i, 7)});
    PQclear(rows);
    return rows != NULL;
}

static bool read_refused(struct session *session, const char *const values[2], const struct feed_visit *visit, struct error *err)
{
    PGresult *rows = session_ask(session,
                                 "select reason, field, count(*), array_to_string((array_agg(case when event_id <> '' then event_id || ' (' else '' end "
                                 "|| topic || '/' || partition || '@' || kafka_offset || case when event_id <> '' then ')' else '' end "
                                 "order by arrived_at desc, topic, partition, kafka_offset desc, item))[1:3], ', ') "
                                 "from muster.rejection where source = $1 "
                                 "and arrived_at >= (date '1970-01-01' + $2::int)::timestamp at time zone 'UTC' "
                                 "and arrived_at < (date '1970-01-01' + $2::int + 1)::timestamp at time zone 'UTC' "
                                 "group by reason, field order by 3 desc, 1, 2",
                                 2, values, err);
    for (int i = 0; rows && i < PQntuples(rows); i++)
        visit->refused(visit->context, &(struct feed_refused){.reason = PQgetvalue(rows, i, 0),
                                                              .field = PQgetvalue(rows, i, 1),
                                                              .count = session_int64(rows, i, 2),
                                                              .examples = PQgetvalue(rows, i, 3)});
    PQclear(rows);
    return rows != NULL;
}

bool pg_feed_read(const char *dsn, const char *source, int32_t day, int days, const struct feed_visit *visit, struct error *err)
{
    struct session session = {0};
    char day_text[16], days_text[16];
    (void)snprintf(day_text, sizeof day_text, "%d", day);
    (void)snprintf(days_text, sizeof days_text, "%d", days);
    const char *const values[3] = {source, day_text, days_text};
    bool ok = session_open(&session, dsn, "muster feed-report", err) && session_run(&session, "set role muster_feed", err) &&
              read_arrivals(&session, values, visit, err) && read_refused(&session, values, visit, err);
    session_close(&session);
    return ok;
}
