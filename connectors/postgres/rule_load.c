/* Requests to take a rule set: asked, read, answered. */
#include "connectors/postgres/rule_load.h"

#include "connectors/postgres/session.h"
#include "engine/base/invariant.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_TEXT = 32 };

struct rule_loads {
    struct session session;
    const char *dsn;
};

struct rule_loads *pg_rule_loads_open(const char *dsn)
{
    struct rule_loads *loads = calloc(1, sizeof *loads);
    invariant(loads != NULL);
    loads->dsn = dsn;
    return loads;
}

void pg_rule_loads_close(struct rule_loads *loads)
{
    if (!loads)
        return;
    session_close(&loads->session);
    free(loads);
}

static bool loads_connect(struct rule_loads *loads, struct error *err)
{
    if (session_alive(&loads->session))
        return true;
    session_close(&loads->session);
    return session_open(&loads->session, loads->dsn, "muster rules", err);
}

/* Bytes as the text of a bytea; freed by the caller. */
static char *bytea_text(struct slice bytes)
{
    size_t room = bytes.size * 2 + 3;
    char *text = malloc(room);
    invariant(text != NULL);
    memcpy(text, "\\x", 2);
    (void)sodium_bin2hex(text + 2, room - 2, (const unsigned char *)bytes.data, bytes.size);
    return text;
}

static struct slice bytea_read(struct arena *arena, const PGresult *rows, int row, int column)
{
    size_t size = 0, digits = (size_t)PQgetlength(rows, row, column);
    const char *text = PQgetvalue(rows, row, column);
    if (digits < 2)
        return (struct slice){NULL, 0};
    unsigned char *bytes = arena_bytes(arena, digits / 2 + 1);
    (void)sodium_hex2bin(bytes, digits / 2 + 1, text + 2, digits - 2, NULL, &size, NULL);
    return (struct slice){(const char *)bytes, size};
}

/* --- asking --- */

static bool ask_run(struct rule_loads *loads, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *rows = session_ask(&loads->session, sql, count, values, err);
    PQclear(rows);
    return rows != NULL;
}

static bool ask_file(struct rule_loads *loads, const char *hash, const struct rule_load_file *file, struct error *err)
{
    char *body = bytea_text(file->body), name[512];
    if (snprintf(name, sizeof name, "%.*s", (int)file->name.size, file->name.data) >= (int)sizeof name) {
        free(body);
        return error_set(err, ERROR_FATAL, "the path of a file is longer than %zu bytes", sizeof name - 1);
    }
    bool good = ask_run(loads, "insert into muster.rule_file values ($1::bytea, $2, $3::bytea)", 3, (const char *[]){hash, name, body}, err);
    free(body);
    return good;
}

static bool ask_mark(struct rule_loads *loads, const char *hash, const struct rule_load_mark *mark, struct error *err)
{
    char *key = bytea_text((struct slice){(const char *)mark->key, sizeof mark->key});
    char *text = bytea_text((struct slice){(const char *)mark->mark, sizeof mark->mark});
    bool good = ask_run(loads, "insert into muster.rule_signature values ($1::bytea, $2::bytea, $3::bytea) on conflict do nothing", 3,
                        (const char *[]){hash, key, text}, err);
    free(key);
    free(text);
    return good;
}

static bool ask_request(struct rule_loads *loads, const char *hash, int64_t *number, struct error *err)
{
    PGresult *rows = session_ask(&loads->session, "insert into muster.rule_load (hash) values ($1::bytea) returning number", 1,
                                 (const char *[]){hash}, err);
    if (rows)
        *number = session_int64(rows, 0, 0);
    PQclear(rows);
    return rows != NULL;
}

static bool ask_all(struct rule_loads *loads, const char *hash, struct rule_load *load, bool request, struct error *err)
{
    char name[256];
    char *description = strndup(load->description.data, load->description.size);
    invariant(description != NULL);
    (void)snprintf(name, sizeof name, "%.*s", (int)load->name.size, load->name.data);
    bool good = ask_run(loads, "insert into muster.rule_set (hash, name, description) values ($1::bytea, $2, $3::jsonb) on conflict do nothing", 3,
                        (const char *[]){hash, name, description}, err) &&
                ask_run(loads, "delete from muster.rule_file where hash = $1::bytea", 1, &hash, err) &&
                ask_run(loads, "delete from muster.rule_signature where hash = $1::bytea", 1, &hash, err);
    free(description);
    for (uint32_t i = 0; good && i < load->file_count; i++)
        good = ask_file(loads, hash, &load->file[i], err);
    for (uint32_t i = 0; good && i < load->mark_count; i++)
        good = ask_mark(loads, hash, &load->mark[i], err);
    return good && (!request || ask_request(loads, hash, &load->number, err));
}

static bool ask_whole(struct rule_loads *loads, struct rule_load *load, bool request, struct error *err)
{
    struct error ignored;
    if (!loads_connect(loads, err) || !session_run(&loads->session, "begin", err))
        return false;
    char *hash = bytea_text((struct slice){(const char *)load->hash, sizeof load->hash});
    bool good = ask_all(loads, hash, load, request, err) && session_run(&loads->session, "commit", err);
    free(hash);
    if (!good && session_alive(&loads->session))
        (void)!session_run(&loads->session, "rollback", &ignored);
    return good;
}

bool pg_rule_loads_ask(struct rule_loads *loads, struct rule_load *load, struct error *err)
{
    return ask_whole(loads, load, true, err);
}

bool pg_rule_loads_keep(struct rule_loads *loads, struct rule_load *load, struct error *err)
{
    return ask_whole(loads, load, false, err);
}

bool pg_rule_loads_answer(struct rule_loads *loads, int64_t number, enum rule_answer *answer, char text[RULE_ANSWER_MAX], struct error *err)
{
    char value[NUMBER_TEXT];
    (void)snprintf(value, sizeof value, "%lld", (long long)number);
    PGresult *rows = loads_connect(loads, err) ? session_ask(&loads->session, "select answer, reason from muster.rule_load where number = $1::bigint",
                                                             1, (const char *[]){value}, err)
                                               : NULL;
    if (!rows)
        return false;
    bool there = PQntuples(rows) == 1;
    const char *said = there ? PQgetvalue(rows, 0, 0) : "";
    *answer = strcmp(said, "accepted") == 0 ? RULE_ANSWER_ACCEPTED : strcmp(said, "refused") == 0 ? RULE_ANSWER_REFUSED : RULE_ANSWER_WAITING;
    (void)snprintf(text, RULE_ANSWER_MAX, "%s", there ? PQgetvalue(rows, 0, 1) : "");
    PQclear(rows);
    return there || error_set(err, ERROR_FATAL, "the request is gone from muster.rule_load");
}

/* --- taking --- */

static bool read_files(struct rule_loads *loads, const char *hash, struct arena *arena, struct rule_load *load, struct error *err)
{
    /* a bound first: what lies there may be anything; a set without files is refused */
    PGresult *rows = session_ask(&loads->session, "select count(*), coalesce(sum(length(body)), 0) from muster.rule_file where hash = $1::bytea", 1,
                                 &hash, err);
    bool bounded = rows && session_int64(rows, 0, 0) <= RULE_LOAD_FILES_MAX && session_int64(rows, 0, 1) <= RULE_LOAD_BYTES_MAX;
    PQclear(rows);
    PGresult *files = bounded ? session_ask(&loads->session, "select name, body from muster.rule_file where hash = $1::bytea order by name", 1, &hash, err)
                              : NULL;
    int count = files ? PQntuples(files) : 0;
    struct rule_load_file *file = ARENA_ARRAY(arena, struct rule_load_file, count + 1);
    for (int i = 0; i < count; i++)
        file[i] = (struct rule_load_file){arena_copy(arena, slice_of(PQgetvalue(files, i, 0))), bytea_read(arena, files, i, 1)};
    load->file = file;
    load->file_count = (uint32_t)count;
    PQclear(files);
    return err->class == ERROR_NONE;
}

static bool read_marks(struct rule_loads *loads, const char *hash, struct arena *arena, struct rule_load *load, struct error *err)
{
    PGresult *rows = session_ask(&loads->session,
                                 "select key, signature from muster.rule_signature where hash = $1::bytea and length(key) = 32 and "
                                 "length(signature) = 64 order by key limit 16",
                                 1, &hash, err);
    if (!rows)
        return false;
    int count = PQntuples(rows);
    struct rule_load_mark *mark = ARENA_ARRAY(arena, struct rule_load_mark, count + 1);
    for (int i = 0; i < count; i++) {
        memcpy(mark[i].key, bytea_read(arena, rows, i, 0).data, sizeof mark[i].key);
        memcpy(mark[i].mark, bytea_read(arena, rows, i, 1).data, sizeof mark[i].mark);
    }
    load->mark = mark;
    load->mark_count = (uint32_t)count;
    PQclear(rows);
    return true;
}

static PGresult *read_which(struct rule_loads *loads, enum rule_which which, const char *hash, struct error *err)
{
    switch (which) {
    case RULE_WAITING_OLDEST:
        return session_query(&loads->session,
                             "select number, hash from muster.rule_load where answer = 'waiting' and length(hash) = 32 order by number limit 1", err);
    case RULE_ACCEPTED_NEWEST:
        return session_query(&loads->session,
                             "select number, hash from muster.rule_load where answer = 'accepted' and length(hash) = 32 order by number desc limit 1", err);
    case RULE_BY_HASH:
        break;
    }
    return session_ask(&loads->session, "select 0, hash from muster.rule_set r where hash = $1::bytea and exists (select from muster.rule_file f where f.hash = r.hash)",
                       1, &hash, err);
}

bool pg_rule_loads_read(struct rule_loads *loads, enum rule_which which, struct arena *arena, struct rule_load *load, bool *found,
                        struct error *err)
{
    unsigned char wanted[32];
    memcpy(wanted, load->hash, sizeof wanted);
    *load = (struct rule_load){0};
    *found = false;
    if (!loads_connect(loads, err))
        return false;
    char *wanted_text = bytea_text((struct slice){(const char *)wanted, sizeof wanted});
    PGresult *rows = read_which(loads, which, wanted_text, err);
    free(wanted_text);
    if (!rows)
        return false;
    *found = PQntuples(rows) == 1;
    const char *hash = "";
    if (*found) {
        load->number = session_int64(rows, 0, 0);
        hash = arena_text(arena, slice_of(PQgetvalue(rows, 0, 1)));
        memcpy(load->hash, bytea_read(arena, rows, 0, 1).data, sizeof load->hash);
    }
    PQclear(rows);
    return !*found || (read_files(loads, hash, arena, load, err) && read_marks(loads, hash, arena, load, err));
}

bool pg_rule_loads_say(struct rule_loads *loads, int64_t number, const char *text, struct error *err)
{
    char value[NUMBER_TEXT];
    (void)snprintf(value, sizeof value, "%lld", (long long)number);
    return loads_connect(loads, err) &&
           ask_run(loads, "update muster.rule_load set reason = $2 where number = $1::bigint and answer = 'waiting'", 2, (const char *[]){value, text}, err);
}

bool pg_rule_loads_report(struct rule_loads *loads, int64_t number, const struct rule_outcome *outcome, struct error *err)
{
    char value[NUMBER_TEXT], kept[NUMBER_TEXT], warmed[NUMBER_TEXT], cold[NUMBER_TEXT], gone[NUMBER_TEXT], pause[NUMBER_TEXT], until[NUMBER_TEXT];
    (void)snprintf(value, sizeof value, "%lld", (long long)number);
    (void)snprintf(kept, sizeof kept, "%u", outcome->kept);
    (void)snprintf(warmed, sizeof warmed, "%u", outcome->warmed);
    (void)snprintf(cold, sizeof cold, "%u", outcome->cold);
    (void)snprintf(gone, sizeof gone, "%u", outcome->gone);
    (void)snprintf(pause, sizeof pause, "%llu", (unsigned long long)outcome->pause_ms);
    (void)snprintf(until, sizeof until, "%lld", (long long)outcome->warming_until_ms);
    return loads_connect(loads, err) &&
           ask_run(loads, "update muster.rule_load set kept = $2::int, warmed = $3::int, cold = $4::int, gone = $5::int, pause_ms = $6::bigint, "
                          "warming_until = to_timestamp($7::bigint / 1000.0) where number = $1::bigint and answer = 'waiting'", 7,
                   (const char *[]){value, kept, warmed, cold, gone, pause, outcome->warming_until_ms == INT64_MIN ? NULL : until}, err);
}

bool pg_rule_loads_settle(struct rule_loads *loads, int64_t number, bool accepted, const char *reason, struct error *err)
{
    char value[NUMBER_TEXT];
    (void)snprintf(value, sizeof value, "%lld", (long long)number);
    return loads_connect(loads, err) &&
           ask_run(loads, "with answered as (update muster.rule_load set answer = $2, reason = $3, answered_at = now() "
                          "where number = $1::bigint and answer = 'waiting' returning hash, answer, reason, answered_at) "
                          "update muster.rule_set s set answer = a.answer, reason = a.reason, answered_at = a.answered_at from answered a where s.hash = a.hash", 3,
                   (const char *[]){value, accepted ? "accepted" : "refused", reason}, err);
}

bool pg_rule_loads_judge(struct rule_loads *loads, const struct rule_load *set, bool accepted, const char *reason, struct error *err)
{
    if (!loads_connect(loads, err))
        return false;
    char *hash = bytea_text((struct slice){(const char *)set->hash, sizeof set->hash});
    char *name = strndup(set->name.data, set->name.size), *description = strndup(set->description.data, set->description.size);
    invariant(name != NULL && description != NULL);
    bool good = ask_run(loads, "insert into muster.rule_set (hash, name, description, answer, reason, answered_at) values ($1::bytea, $2, $3::jsonb, $4, $5, now()) "
                               "on conflict (hash) do update set answer = excluded.answer, reason = excluded.reason, answered_at = excluded.answered_at", 5,
                        (const char *[]){hash, name, description, accepted ? "accepted" : "refused", reason}, err);
    free(hash);
    free(name);
    free(description);
    return good;
}
