/* What PostgreSQL knows of one bank's feed, asked as a role that cannot see alerts. */
#include "connectors/postgres/feed.h"

#include "connectors/postgres/session.h"
#include "engine/base/json_writer.h"

static void ranges_write(struct json_writer *json, const struct feed_range *range, uint32_t count)
{
    json_open_array(json, NULL);
    for (uint32_t i = 0; i < count; i++) {
        json_open_object(json, NULL);
        json_number(json, "day", range[i].day);
        json_text(json, "topic", slice_of(range[i].topic));
        json_number(json, "partition", range[i].partition);
        json_number(json, "past", range[i].past);
        json_number(json, "last", range[i].last);
        json_close_object(json);
    }
    json_close_array(json);
    json_line(json);
}

static PGresult *refused_rows(struct session *session, const char *source, const char *ranges, struct error *err)
{
    const char *values[] = {source, ranges};
    return session_ask(session,
                       "with x as materialized (select * from jsonb_to_recordset($2::jsonb) as "
                       "x(day int, topic text, partition int, past bigint, last bigint)) "
                       "select coalesce(x.day, 0) as day, r.reason, r.field, count(*), array_to_string((array_agg(r.topic || '/' || r.partition "
                       "|| '@' || r.kafka_offset order by r.topic, r.partition, r.kafka_offset desc, r.item))[1:3], ', ') "
                       "from muster.rejection r left join x on x.topic = r.topic and x.partition = r.partition "
                       "and r.kafka_offset > x.past and r.kafka_offset <= x.last "
                       "where r.source = $1 and (x.day is not null or not exists "
                       "(select from x y where y.topic = r.topic and y.partition = r.partition)) "
                       "group by 1, 2, 3 order by 1, 4 desc, 2, 3",
                       2, values, err);
}

bool pg_feed_refused(const char *dsn, const char *source, const struct feed_range *range, uint32_t count,
                     void (*visit)(void *context, const struct feed_refused *refused), void *context, struct error *err)
{
    struct session session = {0};
    struct json_writer json;
    PGresult *rows = NULL;
    json_writer_init(&json);
    ranges_write(&json, range, count);
    json.text[json.size - 1] = '\0'; /* where the line ended */
    if (session_open(&session, dsn, "muster feed-report", err) && session_run(&session, "set role muster_feed", err))
        rows = refused_rows(&session, source, json.text, err);
    for (int i = 0; rows && i < PQntuples(rows); i++)
        visit(context, &(struct feed_refused){.day = session_int(rows, i, 0),
                                              .reason = PQgetvalue(rows, i, 1),
                                              .field = PQgetvalue(rows, i, 2),
                                              .count = session_int64(rows, i, 3),
                                              .places = PQgetvalue(rows, i, 4)});
    bool ok = rows != NULL;
    PQclear(rows);
    session_close(&session);
    json_writer_fini(&json);
    return ok;
}
