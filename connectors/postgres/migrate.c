/* Applies the schema's numbered migrations, each once and unchanged. */
#include "connectors/postgres/migrate.h"

#include "connectors/postgres/session.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* The assembler reads the files when this one is compiled: no step of its own in the build. */
#define EMBED(symbol, path)                                                                                  \
    __asm__(".section .rodata\n.global " #symbol "\n" #symbol ":\n.incbin \"" path "\"\n.byte 0\n.previous\n"); \
    extern const char symbol[]

EMBED(muster_migration_1, "connectors/postgres/migrations/0001_base.sql");
EMBED(muster_migration_2, "connectors/postgres/migrations/0002_roles.sql");
EMBED(muster_migration_3, "connectors/postgres/migrations/0003_items.sql");
EMBED(muster_migration_4, "connectors/postgres/migrations/0004_expiry.sql");
EMBED(muster_migration_5, "connectors/postgres/migrations/0005_feed_role.sql");
EMBED(muster_migration_6, "connectors/postgres/migrations/0006_sealed.sql");
EMBED(muster_migration_7, "connectors/postgres/migrations/0007_arrivals.sql");
EMBED(muster_migration_8, "connectors/postgres/migrations/0008_dead_letters.sql");
EMBED(muster_migration_9, "connectors/postgres/migrations/0009_rule_loads.sql");
EMBED(muster_migration_10, "connectors/postgres/migrations/0010_rule_answers.sql");

struct migration {
    int number;
    const char *name, *sql;
};

static const struct migration migrations[] = {
    {1, "base", muster_migration_1},
    {2, "roles", muster_migration_2},
    {3, "items", muster_migration_3},
    {4, "expiry", muster_migration_4},
    {5, "feed_role", muster_migration_5},
    {6, "sealed", muster_migration_6},
    {7, "arrivals", muster_migration_7},
    {8, "dead_letters", muster_migration_8},
    {9, "rule_loads", muster_migration_9},
    {10, "rule_answers", muster_migration_10},
};

enum { MIGRATION_COUNT = sizeof migrations / sizeof migrations[0], SUM_TEXT = 65, LOCK_KEY = 0x4D555354 };

static void migration_sum(const struct migration *migration, char text[SUM_TEXT])
{
    unsigned char sum[32];
    crypto_generichash(sum, sizeof sum, (const unsigned char *)migration->sql, strlen(migration->sql), NULL, 0);
    (void)sodium_bin2hex(text, SUM_TEXT, sum, sizeof sum);
}

/* Checks row `at` of what the database says against what this program has. */
static bool migration_known(PGresult *rows, int at, struct error *err)
{
    char sum[SUM_TEXT];
    int number = session_int(rows, at, 0);
    const char *name = PQgetvalue(rows, at, 1);
    if (number > MIGRATION_COUNT)
        return error_set(err, ERROR_FATAL, "the database has migration %d (%s), which this program does not know: it is older", number,
                         name);
    if (number != at + 1)
        return error_set(err, ERROR_FATAL, "migration %d is missing before migration %d", at + 1, number);
    migration_sum(&migrations[at], sum);
    if (strcmp(name, migrations[at].name) != 0 || strcmp(PQgetvalue(rows, at, 2), sum) != 0)
        return error_set(err, ERROR_FATAL, "migration %d (%s) was changed after it was applied", number, name);
    return true;
}

static bool migrations_applied(struct session *session, int *applied, struct error *err)
{
    PGresult *rows = session_query(session, "select number, name, checksum from public.muster_migration order by number", err);
    if (!rows)
        return false;
    bool good = true;
    *applied = PQntuples(rows);
    for (int i = 0; good && i < *applied; i++)
        good = migration_known(rows, i, err);
    PQclear(rows);
    return good;
}

static bool migration_apply(struct session *session, const struct migration *migration, struct error *err)
{
    char sum[SUM_TEXT], insert[256];
    migration_sum(migration, sum);
    (void)snprintf(insert, sizeof insert, "insert into public.muster_migration values (%d, '%s', '%s', now())", migration->number,
                   migration->name, sum);
    return (session_run(session, "begin", err) && session_run(session, migration->sql, err) && session_run(session, insert, err) &&
            session_run(session, "commit", err)) ||
           error_context(err, "migration %d (%s)", migration->number, migration->name);
}

static bool migrate_all(struct session *session, bool apply, migrate_say_fn say, void *context, int *due, struct error *err)
{
    int applied;
    if (!migrations_applied(session, &applied, err))
        return false;
    *due = MIGRATION_COUNT - applied;
    for (int i = 0; i < MIGRATION_COUNT; i++) {
        bool now = i >= applied && apply;
        if (now && !migration_apply(session, &migrations[i], err))
            return false;
        say(context, migrations[i].number, migrations[i].name, i < applied || now, now);
    }
    return true;
}

static bool migrate_run(const char *dsn, bool apply, migrate_say_fn say, void *context, int *due, struct error *err)
{
    struct session session;
    char lock[64];
    (void)snprintf(lock, sizeof lock, "select pg_advisory_lock(%d)", LOCK_KEY);
    bool good = session_open(&session, dsn, "muster db", err) && session_limit(&session, 300, err) &&
                session_run(&session, "set lock_timeout = '1min'", err) && session_run(&session, lock, err) &&
                session_run(&session,
                            "create table if not exists public.muster_migration (number int primary key, name text not null, "
                            "checksum text not null, applied_at timestamptz not null)",
                            err) &&
                migrate_all(&session, apply, say, context, due, err);
    session_close(&session);
    return good;
}

bool pg_migrate(const char *dsn, migrate_say_fn say, void *context, struct error *err)
{
    int due;
    return migrate_run(dsn, true, say, context, &due, err);
}

bool pg_migrate_status(const char *dsn, migrate_say_fn say, void *context, int *due, struct error *err)
{
    return migrate_run(dsn, false, say, context, due, err);
}
