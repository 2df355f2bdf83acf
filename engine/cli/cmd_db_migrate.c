/* `muster db migrate`, `muster db status` and `muster db expire`. */
#include "connectors/postgres/alerts.h"
#include "connectors/postgres/expire.h"
#include "connectors/postgres/migrate.h"
#include "engine/cli/command.h"
#include "engine/cli/rule_set.h"
#include "engine/model/zone.h"
#include "engine/state/log.h"

#include <time.h>
#include <unistd.h>

static void say_migration(void *context, int number, const char *name, bool applied, bool now)
{
    (void)context;
    printf("migration %d (%s): %s\n", number, name, now ? "applied now" : applied ? "applied" : "not applied");
}

static int db_fail(const struct command_line *line, const struct error *err)
{
    return command_fail(line, EXIT_WORLD, "%s", err->text);
}

/* The settings with a DSN in them, or an exit code other than EXIT_FINE. */
static int db_settings(const struct command_line *line, struct settings *settings)
{
    if (!command_settings(line, settings))
        return EXIT_USAGE;
    if (!settings->postgres_dsn[0])
        return command_fail(line, EXIT_USAGE, "the setting postgres_dsn is needed: --config FILE or --set postgres_dsn=…");
    return EXIT_FINE;
}

int cmd_db_migrate(const struct command_line *line)
{
    struct settings settings;
    struct error err = {0};
    int code = db_settings(line, &settings);
    if (code == EXIT_FINE && !pg_migrate(settings.postgres_dsn, say_migration, NULL, &err))
        code = db_fail(line, &err);
    settings_fini(&settings);
    return code;
}

int cmd_db_status(const struct command_line *line)
{
    struct settings settings;
    struct error err = {0};
    int due = 0, code = db_settings(line, &settings);
    bool json = command_option(line, "json") != NULL;
    if (code == EXIT_FINE && !json && !pg_migrate_status(settings.postgres_dsn, say_migration, NULL, &due, &err))
        code = db_fail(line, &err);
    if (code == EXIT_FINE && due == 0 && !pg_status_print(settings.postgres_dsn, json, stdout, &err))
        code = db_fail(line, &err);
    if (code == EXIT_FINE && due > 0) {
        printf("%d migrations are due: run `muster db migrate`\n", due);
        code = EXIT_FINDING;
    }
    settings_fini(&settings);
    return code;
}

static void say_expiry(void *context, const char *kind, int64_t deleted)
{
    (void)context;
    printf("%s: %lld deleted\n", kind, (long long)deleted);
}

/* Days by the wall clock: how long we may keep is a matter of the world's time. */
static bool log_end(const struct settings *settings, struct error *err)
{
    struct log_settings log = log_settings_of(settings);
    int32_t today = (int32_t)(time(NULL) / (MS_PER_DAY / 1000));
    int days;
    if (access(settings->log_dir, F_OK) != 0) {
        printf("log: there is none at %s\n", settings->log_dir);
        return true;
    }
    if (!log_expire(&log, today - (int32_t)settings->log_days, &days, err))
        return error_context(err, "expiry of the log");
    printf("log: %d days destroyed\n", days);
    return true;
}

int cmd_db_expire(const struct command_line *line)
{
    struct settings settings;
    struct error err = {0};
    int code = db_settings(line, &settings);
    if (code == EXIT_FINE && (!pg_expire(settings.postgres_dsn, say_expiry, NULL, &err) || !log_end(&settings, &err)))
        code = db_fail(line, &err);
    settings_fini(&settings);
    return code;
}
