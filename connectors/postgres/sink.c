/* Commits results, positions and journal to PostgreSQL in one transaction under a lease. */
#include "connectors/postgres/sink.h"

#include "connectors/postgres/rows.h"
#include "connectors/postgres/session.h"
#include "engine/base/invariant.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RETRY_PAUSE_US = 100000, SQL_MAX = 1024 };
#define LEASE_LOCK_MS "500" /* how long a takeover waits for an engine in the middle of a commit */

struct pg_sink {
    struct sink seam;
    struct pg_sink_settings settings;
    struct session session;
    const struct partition_table *partitions;
    int64_t epoch;             /* 0: no lease */
    int64_t *stored;           /* by partition: next offset in PostgreSQL, -1 none */
    bool unsure;               /* a commit's outcome may be unknown: look before writing */
    struct rows rows;
};

/* --- the lease --- */

/* Alone: waits for a backend that may still be committing. */
static bool lease_lock(struct pg_sink *sink, struct error *err)
{
    char sql[SQL_MAX];
    (void)snprintf(sql, sizeof sql, "select epoch from muster.lease where id = 1 and epoch = %lld for update", (long long)sink->epoch);
    PGresult *rows = session_query(&sink->session, sql, err);
    if (!rows)
        return false;
    bool ours = PQntuples(rows) == 1;
    PQclear(rows);
    return ours || error_set(err, ERROR_FENCED, "another engine has taken the lease");
}

/* An engine that was frozen in the middle of a commit keeps the row though its lease has expired: for 10 s where it is between two batches
 * (session_open), and for ever inside one, for then PostgreSQL waits for the rest under no time limit. Whoever waits for the lease ends
 * its session, and takes from Kafka again what it did not commit. One that is at work in PostgreSQL is left alone. */
static void lease_free(struct pg_sink *sink)
{
    struct error err = {0};
    PQclear(session_query(&sink->session,
                          "select pg_terminate_backend(a.pid) from muster.lease l, pg_locks k join pg_stat_activity a using (pid) "
                          "where l.id = 1 and l.expires_at < clock_timestamp() and k.locktype = 'relation' and k.relation = 'muster.lease'::regclass "
                          "and k.database = a.datid and a.datname = current_database() and k.mode in ('RowShareLock', 'RowExclusiveLock') "
                          "and k.granted and a.usename = current_user and a.pid <> pg_backend_pid() and a.wait_event = 'ClientRead'",
                          &err));
}

/* One try; *won tells. */
static bool lease_try(struct pg_sink *sink, bool *won, struct error *err)
{
    char lease[32];
    (void)snprintf(lease, sizeof lease, "%u", sink->settings.lease_ms);
    const char *values[] = {sink->settings.holder, lease, LEASE_LOCK_MS};
    PGresult *rows = session_ask(&sink->session,
                                 "update muster.lease set epoch = epoch + 1, holder = $1, "
                                 "expires_at = clock_timestamp() + $2::int * interval '1 millisecond' "
                                 "from set_config('lock_timeout', $3, true) "
                                 "where id = 1 and (holder = '' or expires_at < clock_timestamp()) returning epoch",
                                 3, values, err);
    if (!rows) {
        if (session_alive(&sink->session))
            lease_free(sink);
        return false;
    }
    *won = PQntuples(rows) == 1;
    if (*won)
        sink->epoch = session_int64(rows, 0, 0);
    PQclear(rows);
    return true;
}

static bool lease_take(struct pg_sink *sink, uint32_t wait_ms, struct error *err)
{
    bool won = false;
    for (uint64_t waited_us = 0; !won; waited_us += RETRY_PAUSE_US) {
        if (!lease_try(sink, &won, err))
            return false;
        if (!won && waited_us >= (uint64_t)wait_ms * 1000)
            return error_set(err, ERROR_RETRY, "another engine holds the lease");
        if (!won)
            (void)usleep(RETRY_PAUSE_US);
    }
    return true;
}

/* --- connecting --- */

/* How long rows are kept: read by the tables' defaults. */
static bool expiry_set(struct pg_sink *sink, struct error *err)
{
    char sql[SQL_MAX];
    (void)snprintf(sql, sizeof sql, "set muster.alert_days = '%u'; set muster.hit_days = '%u'; set muster.rejection_days = '%u'",
                   sink->settings.alert_days, sink->settings.hit_days, sink->settings.rejection_days);
    return session_run(&sink->session, sql, err);
}

/* Evidence is what PostgreSQL compresses, and its own pglz took a quarter of the server's time where hits have much of it. Measured with lz4:
 * 175 to 360 of 1,350 ns an event less where one event in a hundred hits, with the pack nothing that a busy machine would show; tables of
 * hits are up to a tenth larger. A server without lz4 keeps what it has. */
static const char compression_set[] = "select set_config('default_toast_compression', 'lz4', false) from pg_settings "
                                      "where name = 'default_toast_compression' and 'lz4' = any(enumvals)";

static bool sink_connect(struct pg_sink *sink, struct error *err)
{
    if (session_alive(&sink->session))
        return true;
    sink->unsure = true;
    session_close(&sink->session);
    bool ok = session_open(&sink->session, sink->settings.dsn, "muster engine", err) &&
              session_run(&sink->session, "set synchronous_commit = on", err) && session_run(&sink->session, compression_set, err) &&
              expiry_set(sink, err) &&
              rows_prepare(&sink->session, err);
    if (!ok)
        session_close(&sink->session); /* one that is open is prepared */
    return ok;
}

/* Connects again by itself, so that an engine without events gets its lease and its health back too. */
static bool pg_renew(void *self, struct error *err)
{
    struct pg_sink *sink = self;
    char sql[SQL_MAX];
    if (!sink_connect(sink, err))
        return false;
    (void)snprintf(sql, sizeof sql,
                   "update muster.lease set expires_at = clock_timestamp() + %u * interval '1 millisecond' where id = 1 and epoch = %lld",
                   sink->settings.lease_ms, (long long)sink->epoch);
    int touched = session_step(&sink->session, FAIL_SINK_RENEW, err) ? session_touch(&sink->session, sql, err) : -1;
    if (touched == 0)
        return error_set(err, ERROR_FENCED, "another engine has taken the lease");
    return touched == 1;
}

static bool rule_set_note(struct pg_sink *sink, struct error *err)
{
    char hash[80] = "\\x", name[256], *description;
    for (int i = 0; i < 32; i++)
        (void)snprintf(hash + 2 + i * 2, 3, "%02x", sink->settings.rule_set_hash[i]);
    (void)snprintf(name, sizeof name, "%.*s", (int)sink->settings.rule_set_name.size, sink->settings.rule_set_name.data);
    description = strndup(sink->settings.rule_set_description.size ? sink->settings.rule_set_description.data : "{}",
                          sink->settings.rule_set_description.size ? sink->settings.rule_set_description.size : 2);
    invariant(description != NULL);
    const char *values[] = {hash, name, description};
    PGresult *result = session_ask(&sink->session,
                                   "insert into muster.rule_set (hash, name, description) values ($1::bytea, $2, $3::jsonb) "
                                   "on conflict do nothing",
                                   3, values, err);
    free(description);
    PQclear(result);
    return result != NULL;
}

static bool pg_positions(void *self, int64_t *next, struct error *err)
{
    struct pg_sink *sink = self;
    PGresult *rows = session_query(&sink->session, "select topic, partition, next_offset from muster.position", err);
    if (!rows)
        return false;
    for (uint32_t i = 0; i < sink->partitions->count; i++)
        next[i] = -1;
    for (int i = 0; i < PQntuples(rows); i++) {
        uint32_t at;
        if (partition_find(sink->partitions, sink->partitions->count, slice_of(PQgetvalue(rows, i, 0)), session_int(rows, i, 1), &at))
            next[at] = session_int64(rows, i, 2);
    }
    /* what is found later has no position yet */
    for (uint32_t i = 0; i < partition_room(sink->partitions); i++)
        sink->stored[i] = i < sink->partitions->count ? next[i] : -1;
    PQclear(rows);
    return true;
}

static bool pg_start(void *self, const struct partition_table *partitions, uint32_t wait_ms, struct sink_start *start, struct error *err)
{
    struct pg_sink *sink = self;
    sink->partitions = partitions;
    free(sink->stored);
    sink->stored = calloc(partition_room(partitions) + 1u, sizeof *sink->stored);
    invariant(sink->stored != NULL);
    if (!sink_connect(sink, err))
        return false;
    sink->unsure = false; /* what PostgreSQL holds is read now */
    if (!lease_take(sink, wait_ms, err) || !rule_set_note(sink, err))
        return false;
    PGresult *rows = session_query(&sink->session, "select block, last_seq from muster.journal order by block desc limit 1", err);
    if (!rows)
        return false;
    start->block = PQntuples(rows) ? (uint64_t)session_int64(rows, 0, 0) : 0;
    start->seq = PQntuples(rows) ? (uint64_t)session_int64(rows, 0, 1) : 0;
    PQclear(rows);
    return true;
}

/* --- the journal --- */

/* "[17, 23]" as numbers into out, which has room for one per two characters. */
static uint32_t offsets_parse(const char *text, int64_t *out)
{
    uint32_t count = 0;
    while (*text) {
        char *end;
        long long offset = strtoll(text, &end, 10);
        if (end != text)
            out[count++] = offset;
        text = end != text ? end : text + 1;
    }
    return count;
}

/* Ranges of one row, unnested by the query: rows [from, to) share a block. */
static bool journal_visit(struct pg_sink *sink, const PGresult *rows, int from, int to,
                          bool (*visit)(void *, const struct journal_block *), void *context, bool *more, struct error *err)
{
    struct journal_range *range = calloc((size_t)(to - from) + 1, sizeof *range);
    size_t aside_bytes = 1;
    for (int i = from; i < to; i++)
        aside_bytes += (size_t)PQgetlength(rows, i, 7);
    int64_t *aside = calloc(aside_bytes, sizeof *aside);
    struct journal_block block = {.block = (uint64_t)session_int64(rows, from, 0),
                                  .first_seq = (uint64_t)session_int64(rows, from, 1),
                                  .last_seq = (uint64_t)session_int64(rows, from, 2),
                                  .range = range};
    invariant(range && aside);
    (void)sodium_hex2bin(block.rule_set, sizeof block.rule_set, PQgetvalue(rows, from, 8), (size_t)PQgetlength(rows, from, 8), NULL, NULL, NULL);
    block.warm_from = (uint64_t)session_int64(rows, from, 9);
    uint32_t asides = 0;
    for (int i = from; i < to; i++) {
        if (PQgetisnull(rows, i, 3))
            continue; /* a block without messages has no ranges */
        uint32_t at;
        if (!partition_find(sink->partitions, sink->partitions->count, slice_of(PQgetvalue(rows, i, 3)), session_int(rows, i, 4), &at)) {
            free(range);
            free(aside);
            return error_set(err, ERROR_FATAL, "the journal names partition %s of %s, which Kafka does not have", PQgetvalue(rows, i, 4),
                             PQgetvalue(rows, i, 3));
        }
        uint32_t count = offsets_parse(PQgetvalue(rows, i, 7), aside + asides); /* of an older engine: "", none */
        range[block.range_count++] = (struct journal_range){.partition = at,
                                                            .first = session_int64(rows, i, 5),
                                                            .next = session_int64(rows, i, 6),
                                                            .aside_count = count,
                                                            .aside = aside + asides};
        asides += count;
    }
    *more = visit(context, &block);
    free(range);
    free(aside);
    return true;
}

static bool pg_journal(void *self, uint64_t after, bool (*visit)(void *, const struct journal_block *), void *context, struct error *err)
{
    struct pg_sink *sink = self;
    char number[32];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)after);
    const char *values[] = {number};
    PGresult *rows = session_ask(&sink->session,
                                 "select j.block, j.first_seq, j.last_seq, r->>0, r->>1, r->>2, r->>3, r->>4, encode(j.rule_set, 'hex'), coalesce(j.warm_from, 0) from muster.journal j "
                                 "left join lateral jsonb_array_elements(j.ranges) with ordinality x(r, n) on true "
                                 "where j.block > $1::bigint order by j.block, n",
                                 1, values, err);
    bool good = rows != NULL, more = true;
    for (int from = 0; good && more && from < PQntuples(rows);) {
        int to = from + 1;
        while (to < PQntuples(rows) && strcmp(PQgetvalue(rows, to, 0), PQgetvalue(rows, from, 0)) == 0)
            to++;
        good = journal_visit(sink, rows, from, to, visit, context, &more, err);
        from = to;
    }
    PQclear(rows);
    return good;
}

static bool pg_prune(void *self, uint64_t block, struct error *err)
{
    struct pg_sink *sink = self;
    char sql[SQL_MAX];
    (void)snprintf(sql, sizeof sql,
                   "delete from muster.journal where block <= %llu and block < (select max(block) from muster.journal)",
                   (unsigned long long)block);
    return session_alive(&sink->session) ? session_step(&sink->session, FAIL_SINK_PRUNE, err) && session_run(&sink->session, sql, err)
                                         : error_set(err, ERROR_RETRY, "PostgreSQL is away");
}

/* --- committing --- */

/* After a connection was lost: did the journal get the blocks? Locking the lease row for update
 * waits for a backend that may still be committing. */
static bool resolve(struct pg_sink *sink, uint64_t last_block, bool *landed, struct error *err)
{
    if (!session_run(&sink->session, "begin", err) || !session_step(&sink->session, FAIL_SINK_RESOLVE, err) ||
        !lease_lock(sink, err)) {
        struct error ignored;
        (void)!session_run(&sink->session, "rollback", &ignored);
        return false;
    }
    PGresult *rows = session_query(&sink->session, "select coalesce(max(block), 0) from muster.journal", err);
    if (!rows) {
        struct error ignored;
        (void)!session_run(&sink->session, "rollback", &ignored);
        return false;
    }
    *landed = (uint64_t)session_int64(rows, 0, 0) >= last_block;
    PQclear(rows);
    return session_run(&sink->session, "commit", err);
}

static void stored_move(struct pg_sink *sink, const struct commit_block *blocks, uint32_t count)
{
    for (uint32_t b = 0; b < count; b++)
        for (uint32_t r = 0; r < blocks[b].journal.range_count; r++)
            sink->stored[blocks[b].journal.range[r].partition] = blocks[b].journal.range[r].next;
}

static bool write_all(struct pg_sink *sink, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    return rows_write(&sink->rows, &sink->session, sink->partitions, sink->stored, sink->epoch, blocks, count, err) &&
           session_step(&sink->session, FAIL_SINK_COMMIT, err);
}

static bool end_transaction(struct pg_sink *sink, struct error *err)
{
    return session_run(&sink->session, "commit", err) && session_step(&sink->session, FAIL_SINK_COMMITTED, err);
}

static bool pg_commit(void *self, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    struct pg_sink *sink = self;
    struct error ignored;
    bool landed = false;
    if (count == 0)
        return true;
    if (!sink_connect(sink, err))
        return false;
    if (sink->unsure && !resolve(sink, blocks[count - 1].journal.block, &landed, err))
        return false;
    sink->unsure = false;
    if (!landed && !write_all(sink, blocks, count, err)) {
        rows_rolled_back(&sink->rows);
        if (session_alive(&sink->session))
            (void)!session_run(&sink->session, "rollback", &ignored);
        return false;
    }
    if (!landed && !end_transaction(sink, err)) {
        sink->unsure = true;
        rows_rolled_back(&sink->rows);
        err->class = session_alive(&sink->session) ? err->class : ERROR_RETRY;
        return false;
    }
    stored_move(sink, blocks, count);
    return true;
}

static void pg_close(void *self)
{
    struct pg_sink *sink = self;
    char sql[SQL_MAX];
    struct error ignored;
    if (sink->epoch && session_alive(&sink->session)) {
        (void)snprintf(sql, sizeof sql, "update muster.lease set holder = '' where id = 1 and epoch = %lld", (long long)sink->epoch);
        (void)!session_run(&sink->session, sql, &ignored);
    }
    session_close(&sink->session);
    rows_fini(&sink->rows);
    free(sink->stored);
    free(sink);
}

struct sink *pg_sink_open(const struct pg_sink_settings *settings)
{
    struct pg_sink *sink = calloc(1, sizeof *sink);
    invariant(sink != NULL);
    sink->settings = *settings;
    sink->rows.seal = settings->seal;
    sink->rows.seal_context = settings->seal_context;
    sink->seam = (struct sink){.self = sink,
                               .start = pg_start,
                               .positions = pg_positions,
                               .journal = pg_journal,
                               .commit = pg_commit,
                               .prune = pg_prune,
                               .renew = pg_renew,
                               .close = pg_close};
    return &sink->seam;
}
