/* `muster alerts list` and `muster alerts show`. */
#include "connectors/postgres/alerts.h"
#include "engine/cli/command.h"

static int alerts_query(const struct command_line *line, struct settings *settings, struct alerts_query *query)
{
    int64_t limit;
    if (!command_settings(line, settings) || !command_number(line, "limit", 1, 100000, 50, &limit))
        return EXIT_USAGE;
    if (!settings->postgres_dsn[0])
        return command_fail(line, EXIT_USAGE, "the setting postgres_dsn is needed: --config FILE or --set postgres_dsn=…");
    *query = (struct alerts_query){.dsn = settings->postgres_dsn,
                                   .state = command_option(line, "state"),
                                   .typology = command_option(line, "typology"),
                                   .limit = (int)limit,
                                   .json = command_option(line, "json") != NULL,
                                   .unmask = command_option(line, "unmask") != NULL};
    return EXIT_FINE;
}

int cmd_alerts_list(const struct command_line *line)
{
    struct settings settings;
    struct alerts_query query;
    struct error err = {0};
    int code = alerts_query(line, &settings, &query);
    if (code == EXIT_FINE && !pg_alerts_list(&query, stdout, &err))
        code = command_fail(line, EXIT_WORLD, "%s", err.text);
    settings_fini(&settings);
    return code;
}

int cmd_alerts_show(const struct command_line *line)
{
    struct settings settings;
    struct alerts_query query;
    struct error err = {0};
    bool found = false;
    int code = alerts_query(line, &settings, &query);
    if (code == EXIT_FINE && (line->word_count != 1 || strspn(line->word[0], "0123456789abcdef") != strlen(line->word[0])))
        code = command_fail(line, EXIT_USAGE, "one alert id is needed, or its first digits; `muster alerts list` shows them");
    if (code == EXIT_FINE && !pg_alerts_show(&query, line->word[0], stdout, &found, &err))
        code = command_fail(line, EXIT_WORLD, "%s", err.text);
    else if (code == EXIT_FINE && !found)
        code = command_fail(line, EXIT_FINDING, "there is no alert %s", line->word[0]);
    settings_fini(&settings);
    return code;
}
