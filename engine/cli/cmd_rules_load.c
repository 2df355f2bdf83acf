/* `muster rules load DIR`: hands a rule set to the engine through PostgreSQL and waits for its answer. */
#include "connectors/postgres/rule_load.h"
#include "engine/cli/command.h"
#include "engine/cli/rule_files.h"
#include "engine/cli/rule_set.h"

#include <unistd.h>

enum { ASK_MS = 100, WAIT_S = 30 };

struct loading {
    const struct command_line *line;
    const char *dir;
    struct rule_set set;
    struct arena arena;
    struct rule_load load;
    struct json_writer description;
    struct rule_loads *loads;
};

static int wait_answer(struct loading *loading, int64_t wait_s)
{
    enum rule_answer answer = RULE_ANSWER_WAITING;
    char text[RULE_ANSWER_MAX] = "";
    struct error err = {0};
    for (int64_t waited_ms = 0; answer == RULE_ANSWER_WAITING; waited_ms += ASK_MS) {
        err = (struct error){0};
        if (!pg_rule_loads_answer(loading->loads, loading->load.number, &answer, text, &err) && err.class != ERROR_RETRY)
            return command_fail(loading->line, EXIT_WORLD, "%s", err.text);
        if (answer == RULE_ANSWER_WAITING && waited_ms >= wait_s * 1000 && *text)
            return command_fail(loading->line, EXIT_WORLD, "request %lld has no answer within %lld s: %s", (long long)loading->load.number,
                                (long long)wait_s, text);
        if (answer == RULE_ANSWER_WAITING && waited_ms >= wait_s * 1000)
            return command_fail(loading->line, EXIT_WORLD,
                                "no engine has answered request %lld within %lld s; it stays, and the next engine that runs answers it "
                                "(muster.rule_load)", (long long)loading->load.number, (long long)wait_s);
        if (answer == RULE_ANSWER_WAITING)
            (void)usleep(ASK_MS * 1000);
    }
    if (answer == RULE_ANSWER_REFUSED)
        return command_fail(loading->line, EXIT_FINDING, "refused: %s", text);
    printf("accepted: %s\n", text);
    return EXIT_FINE;
}

static int load(struct loading *loading, const struct settings *settings, int64_t wait_s)
{
    struct error err = {0};
    int code = rule_set_load(loading->line, loading->dir, NULL, EXIT_FINDING, &loading->set);
    if (code != EXIT_FINE)
        return code == EXIT_USAGE ? EXIT_FINDING : code; /* errors in the rules are told by now */
    loading->loads = pg_rule_loads_open(settings->postgres_dsn);
    if (!rule_files_read(loading->dir, loading->set.program, &loading->arena, &loading->description, &loading->load, &err) ||
        !pg_rule_loads_ask(loading->loads, &loading->load, &err))
        return command_fail(loading->line, EXIT_WORLD, "%s", err.text);
    printf("request %lld: rule set %.*s, %u file%s, %u signature%s\n", (long long)loading->load.number, (int)loading->load.name.size,
           loading->load.name.data, loading->load.file_count, loading->load.file_count == 1 ? "" : "s", loading->load.mark_count,
           loading->load.mark_count == 1 ? "" : "s");
    (void)fflush(stdout);
    return wait_answer(loading, wait_s);
}

int cmd_rules_load(const struct command_line *line)
{
    struct settings settings;
    struct loading loading = {.line = line};
    int64_t wait_s = WAIT_S;
    int code = command_settings(line, &settings) && command_number(line, "wait", 0, 3600, WAIT_S, &wait_s) ? EXIT_FINE : EXIT_USAGE;
    if (code == EXIT_FINE && (line->word_count != 1 || !*settings.postgres_dsn))
        code = command_fail(line, EXIT_USAGE, "a folder of rules and the setting postgres_dsn are needed");
    arena_init(&loading.arena);
    json_writer_init(&loading.description);
    loading.dir = line->word[0];
    if (code == EXIT_FINE)
        code = load(&loading, &settings, wait_s);
    pg_rule_loads_close(loading.loads);
    rule_set_fini(&loading.set);
    json_writer_fini(&loading.description);
    arena_fini(&loading.arena);
    settings_fini(&settings);
    return code;
}
