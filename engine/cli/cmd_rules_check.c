/* `muster rules check DIR`: errors and warnings of a rule set, and what each rule costs. */
#include "engine/cli/command.h"
#include "engine/stream/plan.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/limit.h"
#include "rules/lang/load.h"

#include <stdlib.h>
#include <time.h>

/* An estimate of what state keeps: engine/state's cell, window and record sizes, rounded up. */
enum { KEY_BYTES = 64, CLOCK_BYTES = 8, WINDOW_BYTES = 64, AGGREGATE_BYTES = 32, RECORD_BYTES = 40, EXTRA_BYTES = 8, ATTEMPT_BYTES = 4,
       EDGE_BYTES = 64 };

static uint32_t sharers(const struct program *program, const struct rule *rule, uint16_t stream)
{
    uint32_t count = 0;
    for (uint16_t i = 0; i < program->rule_count; i++) {
        const struct rule *other = &program->rule[i];
        for (uint16_t j = 0; other != rule && j < other->input_count; j++) {
            if (program->aggregate[other->input[j]].stream == stream) {
                count++;
                break;
            }
        }
    }
    return count;
}

static void print_rule(const struct program *program, const struct rule *rule)
{
    uint32_t per_key = program->keyspace[rule->keyspace].form == KEY_TRANSFER ? 0 : KEY_BYTES + CLOCK_BYTES;
    uint32_t per_event = 0, shared = 0, streams = 0;
    bool seen[LIMIT_STREAMS] = {false};
    per_key += (uint32_t)rule->input_count * AGGREGATE_BYTES;
    if (rule->step_count > 1) /* while an attempt is on */
        per_key += ATTEMPT_BYTES + (uint32_t)attempt_words(rule->step_count, rule->kept_count) * (uint32_t)sizeof(int64_t);
    for (uint16_t i = 0; i < rule->input_count; i++) {
        uint16_t stream = program->aggregate[rule->input[i]].stream;
        if (seen[stream])
            continue;
        seen[stream] = true;
        streams++;
        per_key += WINDOW_BYTES;
        per_event += RECORD_BYTES + (uint32_t)program->stream[stream].extra_count * EXTRA_BYTES;
        shared += sharers(program, rule, stream) > 0;
    }
    printf("%-16.*s  %-7s  %7u  %7u  %6u  %13u  %15u  %s\n", (int)rule->id.size, rule->id.data,
           rule->status == RULE_LIVE ? "live" : rule->status == RULE_SHADOW ? "shadow" : "draft", rule->stratum, streams, shared,
           per_key, per_event, program->keyspace[rule->keyspace].label);
}

/* What rules with graph operators will cost: they are checked, but do not run in this version. */
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
        printf("%-16.*s  not run  `%s %s` costs %s", (int)use->rule_id.size, use->rule_id.data, page[use->op].word, page[use->op].behind,
               page[use->op].cost);
        if (use->hops)
            printf(" (at most %u)", use->hops);
        printf(" and keeps %d bytes per payment for %lld hours\n", EDGE_BYTES, (long long)(use->span_ms / 3600000));
    }
}

static void print_program(const struct program *program)
{
    printf("%-16s  %-7s  %7s  %7s  %6s  %13s  %15s  %s\n", "rule", "status", "stratum", "streams", "shared", "bytes per key",
           "bytes per event", "key");
    for (uint16_t i = 0; i < program->rule_count; i++)
        print_rule(program, &program->rule[i]);
    print_graphs(program);
    printf("%u rules, %u streams, %u windows, %u memories, %u strata\n", program->rule_count, program->stream_count,
           program->aggregate_count, program->memory_count, program->stratum_count);
}

static struct program *check_stdin(const char *dir, const struct load_options *options, struct diagnostics *diagnostics, struct error *err)
{
    char *text = malloc(LIMIT_FILE_BYTES + 1);
    if (!text) {
        error_set(err, ERROR_FATAL, "out of memory");
        return NULL;
    }
    struct source_file file = {SLICE("stdin"), {text, fread(text, 1, LIMIT_FILE_BYTES + 1, stdin)}};
    struct program *program = program_parse(&file, 1, dir, options, diagnostics, err);
    free(text);
    return program;
}

static void show(const struct command_line *line, struct diagnostics *diagnostics, const struct program *program)
{
    if (command_option(line, "json")) {
        diagnostics_json(diagnostics, stdout);
        return;
    }
    if (command_option(line, "sarif")) {
        diagnostics_sarif(diagnostics, stdout);
        return;
    }
    diagnostics_text(diagnostics, stdout);
    if (program)
        print_program(program);
    printf("%u errors, %u warnings\n", diagnostics_errors(diagnostics), diagnostics_warnings(diagnostics));
}

int cmd_rules_check(const struct command_line *line)
{
    bool from_stdin = command_option(line, "stdin") != NULL;
    if (line->word_count > 1 || (line->word_count == 0 && !from_stdin))
        return command_fail(line, EXIT_USAGE, "one folder of rules is needed");
    const char *dir = line->word_count ? line->word[0] : "";
    struct load_options options = {.today = (int32_t)(time(NULL) / 86400)};
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    diagnostics_dir(diagnostics, from_stdin ? "" : dir);
    struct program *program =
        from_stdin ? check_stdin(dir, &options, diagnostics, &err) : program_load(dir, &options, diagnostics, &err);
    int code = EXIT_FINE;
    if (!program && err.class != ERROR_NONE) {
        code = command_fail(line, EXIT_USAGE, "%s", err.text);
    } else {
        show(line, diagnostics, program);
        code = program ? EXIT_FINE : EXIT_FINDING;
    }
    program_free(program);
    diagnostics_free(diagnostics);
    return code;
}
