/* `muster rules load DIR`: hands a rule set to the engine through PostgreSQL and waits for its answer. */
#include "connectors/postgres/rule_load.h"
#include "engine/base/invariant.h"
#include "engine/cli/command.h"
#include "engine/cli/rule_set.h"
#include "rules/lang/csv.h"
#include "rules/lang/signature.h"

#include <stdlib.h>
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

static bool read_files(struct loading *loading, struct error *err)
{
    const struct program *program = loading->set.program;
    struct rule_load_file *file = ARENA_ARRAY(&loading->arena, struct rule_load_file, program->file_count + 1);
    size_t total = 0;
    for (uint16_t i = 0; i < program->file_count; i++) {
        struct slice path = arena_format(&loading->arena, "%s/%.*s", loading->dir, (int)program->file[i].size, program->file[i].data);
        char message[256] = "";
        uint32_t at = 0;
        size_t size = 0;
        char *text = csv_file_read(arena_text(&loading->arena, path), &size, (struct csv_problem){message, &at});
        if (!text)
            return error_set(err, ERROR_FATAL, "%.*s: %s", (int)path.size, path.data, message);
        file[i] = (struct rule_load_file){program->file[i], arena_copy(&loading->arena, (struct slice){text, size})};
        free(text);
        total += size;
        if (total > RULE_LOAD_BYTES_MAX)
            return error_set(err, ERROR_FATAL, "the files of the set are larger than %d MiB together", RULE_LOAD_BYTES_MAX >> 20);
    }
    loading->load.file = file;
    loading->load.file_count = program->file_count;
    return true;
}

static bool read_signatures(struct loading *loading, struct error *err)
{
    struct signature signature[SIGNATURES_MAX];
    uint32_t count;
    if (!signatures_read(loading->dir, signature, &count, err))
        return false;
    struct rule_load_mark *mark = ARENA_ARRAY(&loading->arena, struct rule_load_mark, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(mark[i].key, signature[i].key, sizeof mark[i].key);
        memcpy(mark[i].mark, signature[i].mark, sizeof mark[i].mark);
    }
    loading->load.mark = mark;
    loading->load.mark_count = count;
    return true;
}

static bool ask(struct loading *loading, struct error *err)
{
    const struct program *program = loading->set.program;
    if (!read_files(loading, err) || !read_signatures(loading, err))
        return false;
    rule_set_describe(&loading->description, program);
    loading->load.name = program->name;
    loading->load.description = (struct slice){loading->description.text, loading->description.size};
    memcpy(loading->load.hash, program->hash, sizeof loading->load.hash);
    return pg_rule_loads_ask(loading->loads, &loading->load, err);
}

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
    int code = rule_set_load(loading->line, loading->dir, NULL, &loading->set);
    if (code != EXIT_FINE)
        return code == EXIT_USAGE ? EXIT_FINDING : code; /* errors in the rules are told by now */
    loading->loads = pg_rule_loads_open(settings->postgres_dsn);
    if (!ask(loading, &err))
        return command_fail(loading->line, EXIT_WORLD, "%s", err.text);
    printf("request %lld: rule set %.*s, %u files, %u signatures\n", (long long)loading->load.number, (int)loading->load.name.size,
           loading->load.name.data, loading->load.file_count, loading->load.mark_count);
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
