/* The alert queue and one alert, in plain words. */
#include "connectors/postgres/alerts.h"

#include "connectors/postgres/session.h"

#include <jansson.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>

enum { ROLE_BIT_VICTIM = 5, MASK_KEEP = 4 };

/* "KE-P... (masked)": the first characters only, enough to tell two apart on one page. */
static void mask(const char *text, char out[64])
{
    (void)snprintf(out, 64, "%.*s... (masked)", MASK_KEEP, text);
}

static void points_text(int64_t milli, char out[32])
{
    (void)snprintf(out, 32, "%s%lld.%lld", milli < 0 ? "-" : "", (long long)(llabs(milli) / 1000), (long long)(llabs(milli) % 1000 / 100));
}

static void roles_text(int roles, char out[160])
{
    static const char *const words[] = {"undetermined", "controller", "collector", "facilitator", "payer", "possible victim"};
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < 6; i++)
        if (roles >> i & 1)
            at += (size_t)snprintf(out + at, 160 - at, "%s%s", at ? ", " : "", words[i]);
}

static PGresult *queue_rows(struct session *session, const struct alerts_query *query, struct error *err)
{
    char limit[16];
    (void)snprintf(limit, sizeof limit, "%d", query->limit);
    const char *values[] = {query->state, query->typology, limit};
    return session_ask(session,
                       "select encode(alert_id, 'hex'), typology, subject, score_milli, roles, state, revision, hit_total, "
                       "to_char(event_time, 'YYYY-MM-DD HH24:MI'), victim, urgent, jsonb_array_length(indicators) from muster.queue "
                       "where ($1::text is null or state = $1) and ($2::text is null or typology = $2) "
                       "order by urgent desc, score_milli desc, alert_id limit $3::int",
                       3, values, err);
}

static void table_row(struct libscols_table *table, const PGresult *rows, int i, bool unmask)
{
    char score[32], roles[160], subject[64];
    struct libscols_line *line = scols_table_new_line(table, NULL);
    bool victim = PQgetvalue(rows, i, 9)[0] == 't';
    points_text(session_int64(rows, i, 3), score);
    roles_text(session_int(rows, i, 4), roles);
    mask(PQgetvalue(rows, i, 2), subject);
    (void)scols_line_set_data(line, 0, PQgetvalue(rows, i, 0));
    (void)scols_line_set_data(line, 1, PQgetvalue(rows, i, 1));
    (void)scols_line_set_data(line, 2, victim && !unmask ? subject : PQgetvalue(rows, i, 2));
    (void)scols_line_set_data(line, 3, score);
    (void)scols_line_set_data(line, 4, PQgetvalue(rows, i, 11));
    (void)scols_line_set_data(line, 5, roles);
    (void)scols_line_set_data(line, 6, PQgetvalue(rows, i, 7));
    (void)scols_line_set_data(line, 7, PQgetvalue(rows, i, 8));
    (void)scols_line_set_data(line, 8, PQgetvalue(rows, i, 10)[0] == 't' ? "urgent" : victim ? "protected" : PQgetvalue(rows, i, 5));
}

static bool table_print(const PGresult *rows, const struct alerts_query *query, FILE *out)
{
    static const struct {
        const char *name;
        int flags;
    } columns[] = {{"ALERT", 0}, {"TYPOLOGY", 0}, {"SUBJECT", 0}, {"SCORE", SCOLS_FL_RIGHT}, {"INDICATORS", SCOLS_FL_RIGHT},
                   {"ROLES", 0}, {"HITS", SCOLS_FL_RIGHT}, {"LAST (UTC)", 0}, {"STATE", 0}};
    struct libscols_table *table = scols_new_table();
    if (!table)
        return false;
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++)
        (void)scols_table_new_column(table, columns[c].name, 0, columns[c].flags);
    for (int i = 0; i < PQntuples(rows); i++)
        table_row(table, rows, i, query->unmask);
    (void)scols_table_set_stream(table, out);
    int code = scols_print_table(table);
    scols_unref_table(table);
    return code == 0;
}

static void json_print(const PGresult *rows, const struct alerts_query *query, FILE *out)
{
    for (int i = 0; i < PQntuples(rows); i++) {
        char subject[64];
        bool victim = PQgetvalue(rows, i, 9)[0] == 't';
        mask(PQgetvalue(rows, i, 2), subject);
        json_t *row = json_pack("{s:s, s:s, s:s, s:I, s:i, s:s, s:i, s:i, s:s, s:b, s:b}", "id", PQgetvalue(rows, i, 0), "typology",
                                PQgetvalue(rows, i, 1), "subject", victim && !query->unmask ? subject : PQgetvalue(rows, i, 2),
                                "score_milli", (json_int_t)session_int64(rows, i, 3), "roles", session_int(rows, i, 4), "state",
                                PQgetvalue(rows, i, 5), "revision", session_int(rows, i, 6), "hits", session_int(rows, i, 7), "last",
                                PQgetvalue(rows, i, 8), "victim", victim, "urgent", PQgetvalue(rows, i, 10)[0] == 't');
        if (row)
            (void)json_dumpf(row, out, JSON_PRESERVE_ORDER);
        (void)fputc('\n', out);
        json_decref(row);
    }
}

bool pg_alerts_list(const struct alerts_query *query, FILE *out, struct error *err)
{
    struct session session = {0};
    PGresult *rows = session_open(&session, query->dsn, "muster alerts", err) ? queue_rows(&session, query, err) : NULL;
    bool good = rows != NULL;
    if (good && query->json)
        json_print(rows, query, out);
    else if (good && PQntuples(rows) == 0)
        (void)fputs("the queue is empty\n", out);
    else if (good && !table_print(rows, query, out))
        good = error_set(err, ERROR_FATAL, "the table could not be printed");
    PQclear(rows);
    session_close(&session);
    return good;
}

/* --- one alert --- */

static void show_indicators(const char *text, FILE *out)
{
    json_t *list = json_loads(text, 0, NULL), *item;
    size_t i;
    (void)fputs("\nWhy: indicators, with what they still count after decay (each family is capped, so the score may be less than the sum)\n", out);
    json_array_foreach(list, i, item) {
        char points[32];
        points_text((int64_t)json_integer_value(json_object_get(item, "points_milli")), points);
        fprintf(out, "  %8s points  %-12s family %-12s version %d%s%s\n", points, json_string_value(json_object_get(item, "rule_id")),
                json_string_value(json_object_get(item, "family")), (int)json_integer_value(json_object_get(item, "rule_version")),
                json_is_true(json_object_get(item, "lower_bound")) ? ", at least: a search met a bound" : "",
                json_is_true(json_object_get(item, "upper_bound")) ? ", at most so many hops: a search met a bound" : "");
    }
    json_decref(list);
}

static void money_text(const json_t *amount, char out[40])
{
    if (!json_is_integer(amount)) {
        (void)snprintf(out, 40, "no rate");
        return;
    }
    long long minor = (long long)json_integer_value(amount);
    (void)snprintf(out, 40, "%lld.%02lld", minor / 100, llabs(minor % 100));
}

/* Whether some subject of the hit with this text is a possible victim there. */
static bool is_victim(json_t *subjects, const char *text)
{
    json_t *item;
    size_t i;
    json_array_foreach(subjects, i, item)
        if (strcmp(json_string_value(json_object_get(item, "subject")), text) == 0 &&
            strcmp(json_string_value(json_object_get(item, "role")), "possible_victim") == 0)
            return true;
    return false;
}

static void show_subjects(json_t *subjects, bool unmask, FILE *out)
{
    json_t *item;
    size_t i;
    json_array_foreach(subjects, i, item) {
        char masked[64];
        const char *text = json_string_value(json_object_get(item, "subject"));
        const char *role = json_string_value(json_object_get(item, "role"));
        bool victim = strcmp(role, "possible_victim") == 0;
        mask(text, masked);
        fprintf(out, "      %-28s as %-16s %+d points%s\n", victim && !unmask ? masked : text, role,
                (int)json_integer_value(json_object_get(item, "points")),
                json_is_true(json_object_get(item, "given")) || !json_integer_value(json_object_get(item, "points")) ? "" : " (not given: once per)");
    }
}

static void show_evidence(json_t *evidence, json_t *subjects, int total, bool unmask, FILE *out)
{
    enum { SHOWN_MAX = 40 };
    json_t *item;
    size_t i, count = json_array_size(evidence), skip = count > SHOWN_MAX ? count - SHOWN_MAX : 0;
    fprintf(out, "    the money, oldest first%s\n", skip ? " (the last 40)" : "");
    json_array_foreach(evidence, i, item) {
        char amount[40], masked[64];
        const char *other = json_string_value(json_object_get(item, "other"));
        if (i < skip)
            continue;
        money_text(json_object_get(item, "amount_base"), amount);
        mask(other, masked);
        fprintf(out, "      %.16s  %12s  %s %-24s  event %lld, %s\n", json_string_value(json_object_get(item, "time")), amount,
                json_is_true(json_object_get(item, "incoming")) ? "from" : "to  ",
                other[0] == '\0' ? "cash" : is_victim(subjects, other) && !unmask ? masked : other,
                (long long)json_integer_value(json_object_get(item, "seq")), json_string_value(json_object_get(item, "stream")));
    }
    if ((size_t)total > count)
        fprintf(out, "      … and earlier ones\n");
}

static void show_lets(json_t *lets, FILE *out)
{
    json_t *item;
    size_t i;
    json_array_foreach(lets, i, item)
        fprintf(out, "%s%s = %s", i ? ", " : "    with ", json_string_value(json_object_get(item, "name")),
                json_string_value(json_object_get(item, "value")));
    if (json_array_size(lets))
        (void)fputc('\n', out);
}

static void show_hit(const PGresult *rows, int i, bool unmask, FILE *out)
{
    json_t *lets = json_loads(PQgetvalue(rows, i, 3), 0, NULL), *subjects = json_loads(PQgetvalue(rows, i, 4), 0, NULL),
           *evidence = json_loads(PQgetvalue(rows, i, 5), 0, NULL);
    fprintf(out, "\n  %s  %s (version %s), completed by event %s of %s\n", PQgetvalue(rows, i, 1), PQgetvalue(rows, i, 0),
            PQgetvalue(rows, i, 7), PQgetvalue(rows, i, 8), PQgetvalue(rows, i, 9));
    fprintf(out, "    \"%s\"\n", PQgetvalue(rows, i, 2));
    show_lets(lets, out);
    show_subjects(subjects, unmask, out);
    show_evidence(evidence, subjects, session_int(rows, i, 6), unmask, out);
    json_decref(lets);
    json_decref(subjects);
    json_decref(evidence);
}

static bool show_hits(struct session *session, const char *id, bool unmask, FILE *out, struct error *err)
{
    const char *values[] = {id};
    PGresult *rows = session_ask(session,
                                 "select h.rule_id, to_char(h.event_time, 'YYYY-MM-DD HH24:MI:SS'), h.say, h.lets, h.subjects, "
                                 "h.evidence, h.evidence_total, h.rule_version, h.event_id, h.source "
                                 "from muster.alert_hit a join muster.hit h on h.seq = a.seq and h.rule_id = a.rule_id "
                                 "where a.alert_id = decode($1, 'hex') order by h.seq, h.rule_id, h.hit_key",
                                 1, values, err);
    if (!rows)
        return false;
    fprintf(out, "\nHits: %d gave points so far, oldest first (times in UTC, amounts in the base currency)\n", PQntuples(rows));
    for (int i = 0; i < PQntuples(rows); i++)
        show_hit(rows, i, unmask, out);
    PQclear(rows);
    return true;
}

static void show_head(const PGresult *rows, bool unmask, FILE *out)
{
    char score[32], roles[160], subject[64];
    bool victim = PQgetvalue(rows, 0, 10)[0] == 't';
    points_text(session_int64(rows, 0, 6), score);
    roles_text(session_int(rows, 0, 7), roles);
    mask(PQgetvalue(rows, 0, 5), subject);
    fprintf(out, "Alert %s\n%s (%s; offence: %s)\n\n", PQgetvalue(rows, 0, 0), PQgetvalue(rows, 0, 2), PQgetvalue(rows, 0, 1),
            PQgetvalue(rows, 0, 3));
    fprintf(out, "Subject:  %s %s, as %s\n", PQgetvalue(rows, 0, 4), victim && !unmask ? subject : PQgetvalue(rows, 0, 5), roles);
    fprintf(out, "Score:    %s points in revision %s (%s)\n", score, PQgetvalue(rows, 0, 8), PQgetvalue(rows, 0, 9));
    fprintf(out, "Episode:  began %s UTC with event %s of %s; %s hits had given points by then\n", PQgetvalue(rows, 0, 11), PQgetvalue(rows, 0, 12),
            PQgetvalue(rows, 0, 13), PQgetvalue(rows, 0, 14));
    fprintf(out, "Rules:    set %s (%.16s…)\n", PQgetvalue(rows, 0, 16), PQgetvalue(rows, 0, 17));
    if (victim)
        (void)fputs("Lane:     protected. The subject may be a victim: no contact, and no report about them without a second person.\n", out);
}

bool pg_alerts_show(const struct alerts_query *query, const char *id, FILE *out, bool *found, struct error *err)
{
    struct session session = {0};
    const char *values[] = {id};
    *found = false;
    if (!session_open(&session, query->dsn, "muster alerts", err))
        return false;
    PGresult *rows = session_ask(&session,
                                 "select encode(q.alert_id, 'hex'), typology, title, offence, subject_kind, subject, score_milli, roles, "
                                 "revision, q.reason, victim, to_char(first_time, 'YYYY-MM-DD HH24:MI:SS'), first_event_id, first_source, "
                                 "hit_total, indicators, coalesce(s.name, '?'), encode(rule_set, 'hex') from muster.queue q "
                                 "left join muster.rule_set s on s.hash = q.rule_set "
                                 "where encode(q.alert_id, 'hex') like $1 || '%' order by 1 limit 1",
                                 1, values, err);
    bool good = rows != NULL;
    *found = good && PQntuples(rows) == 1;
    if (*found) {
        show_head(rows, query->unmask, out);
        show_indicators(PQgetvalue(rows, 0, 15), out);
        good = show_hits(&session, PQgetvalue(rows, 0, 0), query->unmask, out, err);
    }
    PQclear(rows);
    session_close(&session);
    return good;
}

/* --- status --- */

bool pg_status_print(const char *dsn, bool json, FILE *out, struct error *err)
{
    struct session session = {0};
    if (!session_open(&session, dsn, "muster db", err))
        return false;
    PGresult *rows = session_query(&session, "select topic, partition, next_offset from muster.position order by 1, 2", err);
    PGresult *lease = rows ? session_query(&session,
                                           "select holder, epoch, expires_at > clock_timestamp(), coalesce((select max(block) from "
                                           "muster.journal), 0) from muster.lease", err)
                           : NULL;
    bool good = rows && lease;
    for (int i = 0; good && i < PQntuples(rows); i++)
        fprintf(out, json ? "{\"topic\": \"%s\", \"partition\": %s, \"next_offset\": %s}\n" : "position %s/%s: next offset %s\n",
                PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 1), PQgetvalue(rows, i, 2));
    if (good && !json && PQntuples(lease) == 1)
        fprintf(out, "lease: epoch %s, %s; last journal block %s\n", PQgetvalue(lease, 0, 1),
                PQgetvalue(lease, 0, 0)[0] == '\0' ? "free" : PQgetvalue(lease, 0, 2)[0] == 't' ? "held" : "expired", PQgetvalue(lease, 0, 3));
    PQclear(lease);
    PQclear(rows);
    session_close(&session);
    return good;
}
