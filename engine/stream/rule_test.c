/* Runs rule tests one after the other: select the rules, fill the lists, feed the events, judge. */
#include "engine/stream/rule_test_private.h"

#include "engine/base/invariant.h"
#include "engine/model/money.h"
#include "engine/stream/crew.h"
#include "rules/lang/list.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct step_settings test_settings = {
    .lateness_ms = 24 * 3600000,
    .dedup_ms = 3 * (int64_t)MS_PER_DAY,
    .shard_bytes_max = 16 * 1024 * 1024,
    .partition_max = 1,
    .inline_below = UINT32_MAX,
};

void trial_says(struct trial *trial, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    trial->failure = arena_format(trial->arena, "%.*s%s%s", (int)trial->failure.size, trial->failure.data ? trial->failure.data : "",
                                  trial->failure.size ? "\n" : "", line);
}

uint32_t trial_line(const struct syntax *syntax, struct span span)
{
    struct slice text = syntax->file[span.file].text;
    uint32_t line = 1;
    for (uint32_t i = 0; i < span.at && i < text.size; i++)
        line += text.data[i] == '\n';
    return line;
}

struct step *trial_step(struct trial *trial, const struct program *program)
{
    static const unsigned char hash_key[16] = "muster rule test";
    return step_new(program, &test_settings, trial->crew, hash_key, trial->err);
}

void trial_feed(struct trial *trial, struct step *step, const struct step_watch *watch, struct output *out)
{
    struct event *event = ARENA_ARRAY(trial->arena, struct event, trial->event_count + 1);
    memcpy(event, trial->event, trial->event_count * sizeof *event);
    step_watch(step, watch);
    step_run(step, event, trial->event_count, trial->arena, out);
    step_watch(step, NULL);
}

/* --- which rules run, and on which lists --- */

static bool test_names(const struct syntax_test *test, struct slice rule)
{
    if (!test->rule)
        return true;
    for (const struct syntax_key *name = test->rule; name; name = name->next)
        if (slice_equal(name->path.text, rule))
            return true;
    return false;
}

static bool program_has(const struct program *program, struct slice rule)
{
    for (uint16_t i = 0; i < program->rule_count; i++)
        if (slice_equal(program->rule[i].id, rule))
            return true;
    return false;
}

static bool trial_rules(struct trial *trial, const struct program *program)
{
    struct rule *rule = ARENA_ARRAY(trial->arena, struct rule, program->rule_count + 1);
    uint16_t count = 0;
    for (const struct syntax_key *name = trial->test->rule; name; name = name->next)
        if (!program_has(program, name->path.text)) {
            trial_says(trial, "there is no rule %.*s that tests run (retired ones and those with graph operators do not run)", (int)name->path.text.size, name->path.text.data);
            return false;
        }
    for (uint16_t i = 0; i < program->rule_count; i++)
        if (test_names(trial->test, program->rule[i].id))
            rule[count++] = program->rule[i];
    trial->program.rule = rule;
    trial->program.rule_count = count;
    return true;
}

static int list_index(const struct program *program, struct slice name)
{
    for (int i = 0; i < program->list_count; i++)
        if (slice_equal(list_name(program->list[i]), name))
            return i;
    return -1;
}

/* Gives every list that a `given` names a copy of its own; the copies are the trial's to free. */
static bool trial_lists(struct trial *trial, const struct program *program, struct list **copy)
{
    struct list **list = ARENA_ARRAY(trial->arena, struct list *, program->list_count + 1);
    memcpy(list, program->list, program->list_count * sizeof *list);
    for (const struct test_given *given = trial->test->given; given; given = given->next) {
        int i = list_index(program, given->list.text);
        if (i < 0) {
            trial_says(trial, "there is no list %.*s", (int)given->list.text.size, given->list.text.data);
            return false;
        }
        if (!copy[i])
            list[i] = copy[i] = list_copy(program->list[i]);
        if (!list_add_text(copy[i], given->account.text)) {
            trial_says(trial, "%.*s cannot stand on the list %.*s", (int)given->account.text.size, given->account.text.data,
                       (int)given->list.text.size, given->list.text.data);
            return false;
        }
    }
    trial->program.list = list;
    return true;
}

/* --- one test --- */

static bool trial_work(struct trial *trial, const struct program *program, struct list **copy)
{
    struct output out = {0};
    if (!trial_rules(trial, program) || !trial_lists(trial, program, copy) || !trial_events(trial))
        return true;
    struct step_watch watch;
    if (trial->coverage)
        watch = coverage_test(trial->coverage, trial->program.rule, trial->program.rule_count);
    struct step *step = trial_step(trial, &trial->program);
    if (!step)
        return false;
    trial_feed(trial, step, trial->coverage ? &watch : NULL, &out);
    bool worked = trial_judge(trial, &out);
    step_free(step);
    return worked;
}

static bool trial_whole(struct trial *trial, const struct program *program)
{
    struct list **copy = ARENA_ARRAY(trial->arena, struct list *, program->list_count + 1);
    trial->program = *program;
    bool worked = trial_work(trial, program, copy);
    for (uint16_t i = 0; i < program->list_count; i++)
        list_free(copy[i]);
    return worked;
}

static uint32_t test_count(const struct syntax *syntax)
{
    uint32_t count = 0;
    for (const struct syntax_test *test = syntax->test; test; test = test->next)
        count++;
    return count;
}

static bool tests_run(struct trial *tools, const struct program *program, const struct rule_test_watch *watch, struct rule_test_report *report)
{
    uint32_t all = test_count(tools->syntax);
    for (const struct syntax_test *test = tools->syntax->test; test; test = test->next) {
        struct trial trial = *tools;
        struct rule_test_case *at = &report->test[report->count];
        struct arena work;
        trial.test = test;
        trial.arena = &work;
        arena_init(&work);
        bool worked = trial_whole(&trial, program);
        at->title = test->title.text;
        at->file = tools->syntax->file[test->span.file].name;
        at->line = trial_line(tools->syntax, test->span);
        at->failure = arena_copy(tools->arena, trial.failure);
        arena_fini(&work);
        if (!worked)
            return false;
        report->count++;
        report->failed += at->failure.size > 0;
        if (watch)
            watch->done(watch->context, report->count, all);
    }
    return true;
}

bool rule_tests_run(const struct program *program, const struct syntax *syntax, const struct decode_seam *decode,
                    struct coverage *coverage, const struct rule_test_watch *watch, struct arena *arena, struct rule_test_report *report,
                    struct error *err)
{
    struct rates *rates = rates_none(program->base);
    struct decode_settings settings = {.rates = rates, .message_bytes_max = 65536, .future_ms_max = 300000};
    struct trial tools = {.syntax = syntax, .seam = decode, .arena = arena, .coverage = coverage, .err = err};
    *report = (struct rule_test_report){.test = ARENA_ARRAY(arena, struct rule_test_case, test_count(syntax) + 1)};
    tools.decoder = decode->open(&settings);
    tools.scratch = text_scratch_new();
    tools.crew = crew_new(1, err);
    bool worked = tools.crew && tests_run(&tools, program, watch, report);
    crew_free(tools.crew);
    text_scratch_free(tools.scratch);
    decode->close(tools.decoder);
    rates_free(rates);
    return worked;
}
