/* `muster rules check DIR`: errors and warnings of a rule set, and what each rule costs. */
#include "engine/cli/budget.h"
#include "engine/cli/command.h"
#include "engine/cli/rule_set.h"
#include "engine/stream/cost.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/limit.h"
#include "rules/lang/load.h"

#include <stdlib.h>
#include <time.h>

static void print_rule(const struct program *program, const struct rule *rule, const struct rule_cost *cost)
{
    printf("%-16.*s  %-7s  %7u  %7u  %6u  %13zu  %15zu  %8zu  %8zu  %5u  %-6s  %s\n", (int)rule->id.size, rule->id.data,
           rule->status == RULE_LIVE ? "live" : rule->status == RULE_SHADOW ? "shadow" : "draft", rule->stratum, cost->stream_count, cost->shared,
           cost->key_bytes, cost->event_bytes, cost->habit_bytes, cost->seen_bytes, cost->steps, cost_class(cost->steps),
           program->keyspace[rule->keyspace].label);
}

/* Bytes that a payment between two accounts takes in the streams that the operator searches, both ends together. */
static unsigned payment_bytes(const struct program *program, const struct graph_use *use)
{
    enum { LEG_BYTES = 32, EXTRA_BYTES = 8 };
    unsigned bytes = 0;
    for (int role = 0; role < 3; role++) {
        const uint16_t index[] = {use->in[role], use->out[role]};
        for (int i = 0; i < 2; i++) {
            if (index[i] == STREAM_ABSENT)
                continue;
            const struct stream *stream = &program->stream[index[i]];
            bytes += (LEG_BYTES + EXTRA_BYTES * (unsigned)stream->extra_count) * (stream->flow == STREAM_TRANSFERS ? 2u : 1u);
        }
    }
    return bytes;
}

/* What graph operators cost, those of drafts too. */
static void print_graphs(const struct program *program)
{
    static const struct {
        const char *word, *behind, *cost;
    } page[] = {
#define GRAPH(name, word, behind, hops, keep, cost, help) {word, behind, cost},
#include "rules/lang/graph_operator.def"
#undef GRAPH
    };
    for (uint16_t i = 0; i < program->graph_count; i++) {
        const struct graph_use *use = &program->graph[i];
        printf("%-16.*s  %s  `%s %s` costs %s", (int)use->rule_id.size, use->rule_id.data, i < program->graph_drafts ? "not run" : "runs   ", page[use->op].word, page[use->op].behind,
               page[use->op].cost);
        if (use->hops_high)
            printf(" (at most %u)", use->hops_high);
        printf(" and keeps %u bytes per payment for %lld hours\n", payment_bytes(program, use), (long long)(use->span_ms / 3600000));
    }
}

/* Bytes per key: one key with one event, what `usual` keeps of them; bytes per event: each further one; bytes
 * per new: each value that `is new` remembers. What rules share is counted with each. */
static void print_program(const struct program *program, const struct settings *settings)
{
    const struct step_settings step = step_settings_of(settings);
    struct plan *plan = plan_new(program, &(struct plan_settings){.lateness_ms = step.lateness_ms, .shard_bytes_max = step.shard_bytes_max});
    struct arena arena;
    arena_init(&arena);
    const struct rule_cost *cost = rule_costs(plan, &arena);
    printf("%-16s  %-7s  %7s  %7s  %6s  %13s  %15s  %8s  %8s  %5s  %-6s  %s\n", "rule", "status", "stratum", "streams", "shared", "bytes per key",
           "bytes per event", "of usual", "per new", "steps", "cost", "key");
    for (uint16_t i = 0; i < program->rule_count; i++)
        print_rule(program, &program->rule[i], &cost[i]);
    print_graphs(program);
    printf("%u rule%s, %u stream%s, %u window%s, %u memor%s, %u strat%s\n", program->rule_count, program->rule_count == 1 ? "" : "s",
           program->stream_count, program->stream_count == 1 ? "" : "s", program->aggregate_count, program->aggregate_count == 1 ? "" : "s",
           program->memory_count, program->memory_count == 1 ? "y" : "ies", program->stratum_count, program->stratum_count == 1 ? "um" : "a");
    arena_fini(&arena);
    plan_free(plan);
}

/* An editor may know the file by its path. */
static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The text alone, or with --as in the place of a file of the folder. */
static struct program *check_stdin(const struct command_line *line, const char *dir, struct load_options options,
                                   struct diagnostics *diagnostics, struct error *err)
{
    const char *name = command_option(line, "as");
    char *text = malloc(LIMIT_FILE_BYTES + 1);
    if (!text) {
        error_set(err, ERROR_FATAL, "out of memory");
        return NULL;
    }
    struct source_file file = {SLICE("stdin"), {text, fread(text, 1, LIMIT_FILE_BYTES + 1, stdin)}};
    if (name) {
        file.name = slice_of(file_name(name));
        options.instead = &file;
    }
    struct program *program =
        name ? program_load(dir, &options, diagnostics, err) : program_parse(&file, 1, dir, &options, diagnostics, err);
    free(text);
    return program;
}

static void show_text(struct diagnostics *diagnostics, const struct program *program, const struct settings *settings)
{
    diagnostics_text(diagnostics, stdout);
    if (program)
        print_program(program, settings);
    uint32_t errors = diagnostics_errors(diagnostics), warnings = diagnostics_warnings(diagnostics);
    printf("%u error%s, %u warning%s\n", errors, errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
}

/* Nothing where there is no answer about the budget. */
static void show_json(struct diagnostics *diagnostics, const struct budget *budget, int code)
{
    struct json_writer json;
    if (code != EXIT_FINE && code != EXIT_FINDING)
        return;
    json_writer_init(&json);
    if (budget)
        budget_json(budget, &json);
    putchar('{');
    diagnostics_json_members(diagnostics, stdout);
    printf("%s%.*s}\n", budget ? "," : "", (int)json.size, json.size ? json.text : "");
    json_writer_fini(&json);
}

/* Shows what was found; the budget is asked of a sound set only. */
static int show(const struct command_line *line, struct diagnostics *diagnostics, const struct program *program, const struct settings *settings)
{
    const char *asked = program ? command_option(line, "budget") : NULL;
    bool json = command_option(line, "json") != NULL, sarif = !json && command_option(line, "sarif") != NULL;
    struct budget budget = {0};
    int code = program ? EXIT_FINE : EXIT_FINDING;
    if (sarif)
        diagnostics_sarif(diagnostics, stdout);
    else if (!json)
        show_text(diagnostics, program, settings);
    (void)fflush(stdout);
    if (asked)
        code = budget_make(line, settings, program, asked, &budget);
    if (json)
        show_json(diagnostics, asked ? &budget : NULL, code);
    else if (asked && (code == EXIT_FINE || code == EXIT_FINDING))
        budget_text(&budget, sarif ? stderr : stdout); /* SARIF has no place for it */
    budget_fini(&budget);
    return code;
}

static int check(const struct command_line *line, const struct settings *settings)
{
    bool from_stdin = command_option(line, "stdin") != NULL;
    const char *dir = line->word_count ? line->word[0] : "";
    struct load_options options = {.today = (int32_t)(time(NULL) / 86400)};
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    diagnostics_dir(diagnostics, from_stdin && !command_option(line, "as") ? "" : dir);
    struct program *program =
        from_stdin ? check_stdin(line, dir, options, diagnostics, &err) : program_load(dir, &options, diagnostics, &err);
    int code = EXIT_FINE;
    if (!program && err.class != ERROR_NONE) {
        code = command_fail(line, EXIT_WORLD, "%s", err.text);
    } else {
        code = show(line, diagnostics, program, settings);
    }
    program_free(program);
    diagnostics_free(diagnostics);
    return code;
}

int cmd_rules_check(const struct command_line *line)
{
    struct settings settings;
    if (line->word_count > 1 || (line->word_count == 0 && !command_option(line, "stdin")))
        return command_fail(line, EXIT_USAGE, "one folder of rules is needed");
    const char *name = command_option(line, "as");
    if (name && (!command_option(line, "stdin") || line->word_count == 0 || !is_rule_file(file_name(name))))
        return command_fail(line, EXIT_USAGE, "--as names a *.rules file of the folder, and goes with --stdin DIR");
    int code = command_settings(line, &settings) ? check(line, &settings) : EXIT_USAGE;
    settings_fini(&settings);
    return code;
}
