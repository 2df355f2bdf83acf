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

static void print_json(const struct loading *loading, enum rule_answer answer, const char *reason)
{
    static const char *const word[] = {[RULE_ANSWER_WAITING] = "waiting", [RULE_ANSWER_ACCEPTED] = "accepted", [RULE_ANSWER_REFUSED] = "refused"};
    const struct rule_load *load = &loading->load;
    struct json_writer json;
    json_writer_init(&json);
    json_open_object(&json, NULL);
    json_number(&json, "request", load->number);
    json_text(&json, "name", load->name);
    json_hex(&json, "rule_set", load->hash, sizeof load->hash);
    json_number(&json, "files", load->file_count);
    json_number(&json, "signatures", load->mark_count);
    json_text(&json, "answer", slice_of(word[answer]));
    json_text(&json, "reason", slice_of(reason));
    json_close_object(&json);
    json_line(&json);
    (void)fwrite(json.text, 1, json.size, stdout);
    json_writer_fini(&json);
}

static int say_answer(const struct loading *loading, enum rule_answer answer, const char *text, int64_t wait_s)
{
    bool json = command_option(loading->line, "json") != NULL;
    long long number = (long long)loading->load.number;
    if (json)
        print_json(loading, answer, text);
    switch (answer) {
    case RULE_ANSWER_ACCEPTED:
        if (!json)
            printf("accepted: %s\n", text);
        return EXIT_FINE;
    case RULE_ANSWER_REFUSED:
        return json ? EXIT_FINDING : command_fail(loading->line, EXIT_FINDING, "refused: %s", text);
    case RULE_ANSWER_WAITING:
        break;
    }
    if (*text)
        return command_fail(loading->line, EXIT_WORLD, "request %lld has no answer within %lld s: %s", number, (long long)wait_s, text);
    return command_fail(loading->line, EXIT_WORLD, "no engine has answered request %lld within %lld s; it stays, and the next engine that runs "
                                                   "answers it (muster.rule_load)", number, (long long)wait_s);
}

static int wait_answer(struct loading *loading, int64_t wait_s)
{
    enum rule_answer answer = RULE_ANSWER_WAITING;
    char text[RULE_ANSWER_MAX] = "";
    for (int64_t waited_ms = 0;; waited_ms += ASK_MS) {
        struct error err = {0};
        if (!pg_rule_loads_answer(loading->loads, loading->load.number, &answer, text, &err) && err.class != ERROR_RETRY)
            return command_fail(loading->line, EXIT_WORLD, "%s", err.text);
        if (answer != RULE_ANSWER_WAITING || waited_ms >= wait_s * 1000)
            return say_answer(loading, answer, text, wait_s);
        (void)usleep(ASK_MS * 1000);
    }
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
    if (!command_option(loading->line, "json"))
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
