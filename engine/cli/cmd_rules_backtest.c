/* `muster rules backtest`: what a rule set would have said of a recorded stream, alone or beside another. */
#include "engine/base/invariant.h"
#include "engine/cli/backtest.h"
#include "engine/cli/rule_set.h"
#include "rules/lang/diagnostic.h"

#include <stdlib.h>

static int by_time(const void *left, const void *right)
{
    const struct compare_alert *a = *(const struct compare_alert *const *)left, *b = *(const struct compare_alert *const *)right;
    if (a->seq != b->seq)
        return a->seq < b->seq ? -1 : 1;
    return memcmp(a->id, b->id, sizeof a->id);
}

uint32_t backtest_sample(const struct backtest *backtest, int side, const struct compare_alert **out)
{
    const struct compare_side *from = &backtest->compare.side[side];
    const struct compare_alert **all = calloc(from->alert_count + 1, sizeof(struct compare_alert *));
    uint32_t count = 0;
    invariant(all != NULL);
    for (uint32_t i = 0; i < from->alert_count; i++)
        if (!from->alert[i].paired)
            all[count++] = &from->alert[i];
    qsort(all, count, sizeof(struct compare_alert *), by_time);
    count = count < backtest->sample_max ? count : backtest->sample_max;
    memcpy(out, all, count * sizeof(struct compare_alert *));
    free(all);
    return count;
}

/* --- results --- */

static bool take_new(void *context, const struct output *output, const struct rejection *decoded, uint32_t decoded_count, struct error *err)
{
    struct backtest *backtest = context;
    (void)decoded, (void)decoded_count, (void)err;
    tally_take(&backtest->tally[COMPARE_NEW], output);
    if (backtest->dir[COMPARE_OLD])
        compare_take(&backtest->compare, output, backtest->has_old_output ? &backtest->old_output : NULL);
    backtest->has_old_output = false;
    recording_progress(backtest->recording, output);
    return true;
}

static bool take_events(void *context, const struct partition_table *table, const struct event *events, uint32_t count, struct error *err)
{
    struct backtest *backtest = context;
    (void)table, (void)err;
    tally_events(&backtest->tally[COMPARE_NEW], events, count);
    return true;
}

/* The old rules beside the new ones: kept until the new ones' output of the same batch comes. */
static bool take_old_lane(void *context, const struct output *output, struct error *err)
{
    struct backtest *backtest = context;
    (void)err;
    tally_take(&backtest->tally[COMPARE_OLD], output);
    backtest->old_output = *output;
    backtest->has_old_output = true;
    return true;
}

/* The old rules in a pass of their own. */
static bool take_old(void *context, const struct output *output, const struct rejection *decoded, uint32_t decoded_count, struct error *err)
{
    struct backtest *backtest = context;
    (void)decoded, (void)decoded_count, (void)err;
    tally_take(&backtest->tally[COMPARE_OLD], output);
    compare_take(&backtest->compare, NULL, output);
    recording_progress(backtest->recording, output);
    return true;
}

/* --- the run --- */

static bool run_passes(struct backtest *backtest, const struct settings *settings, struct rule_set set[COMPARE_SIDES],
                       const struct replay_settings *plain, struct error *err)
{
    struct replay_lane lane = {.program = set[COMPARE_OLD].program, .context = backtest, .results = take_old_lane};
    struct replay_settings replay = *plain;
    bool against = backtest->dir[COMPARE_OLD] != NULL, together = against && replay_shares(set[COMPARE_NEW].program, set[COMPARE_OLD].program);
    replay.results = take_new;
    replay.events = take_events;
    replay.lane = &lane;
    replay.lane_count = together;
    if (!recording_replay(backtest->recording, settings, &replay, "tested", &backtest->summary, err))
        return false;
    if (against && !together) {
        struct replay_summary summary;
        struct replay_settings second = *plain;
        second.program = set[COMPARE_OLD].program;
        second.decode = decode_settings_of(settings, set[COMPARE_OLD].rates);
        second.results = take_old;
        if (!recording_replay(backtest->recording, settings, &second, "tested with the old rules", &summary, err))
            return false;
        backtest->summary.wall_ns += summary.wall_ns;
    }
    if (against)
        compare_end(&backtest->compare);
    return true;
}

static int report(struct backtest *backtest)
{
    const char *folder = command_option(backtest->line, "svg");
    struct error err = {0};
    if (command_option(backtest->line, "json")) {
        struct json_writer writer;
        json_writer_init(&writer);
        backtest_json(backtest, &writer);
        (void)fwrite(writer.text, 1, writer.size, stdout);
        json_writer_fini(&writer);
    } else {
        backtest_print(backtest, stdout);
    }
    if (folder && !backtest_pictures(backtest, folder, &err))
        return command_fail(backtest->line, EXIT_WORLD, "%s", err.text);
    if (!backtest->dir[COMPARE_OLD])
        return EXIT_FINE;
    struct compare_result result = compare_count(&backtest->compare);
    return result.only[COMPARE_NEW] + result.only[COMPARE_OLD] + result.moved ? EXIT_FINDING : EXIT_FINE;
}

/* As written, for explanations: what is wrong was said when the set was loaded. NULL leaves params unnamed. */
static struct syntax *syntax_of(const char *dir)
{
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    struct syntax *syntax = syntax_load(dir, diagnostics, &err);
    diagnostics_free(diagnostics);
    return syntax;
}

static int backtest_with(struct backtest *backtest, const struct settings *settings, struct rule_set set[COMPARE_SIDES], int64_t threads,
                         int64_t batch)
{
    const char *labels = command_option(backtest->line, "labels");
    struct error err = {0};
    const struct replay_settings replay = {
        .threads = (uint32_t)threads,
        .batch_max = (uint32_t)batch,
        .program = set[COMPARE_NEW].program,
        .step = step_settings_of(settings),
        .decode = decode_settings_of(settings, set[COMPARE_NEW].rates),
        .context = backtest,
        .state = true,
    };
    if (labels)
        backtest->labels = labels_load(labels, &err);
    if (labels && !backtest->labels)
        return command_fail(backtest->line, EXIT_USAGE, "%s", err.text);
    backtest->table = subject_table_new();
    for (int side = 0; side < COMPARE_SIDES; side++) {
        backtest->program[side] = set[side].program;
        if (set[side].program)
            tally_init(&backtest->tally[side], set[side].program, backtest->table);
    }
    compare_init(&backtest->compare, set[COMPARE_NEW].program, set[COMPARE_OLD].program, backtest->table);
    struct syntax *syntax[COMPARE_SIDES] = {NULL};
    for (int side = 0; side < COMPARE_SIDES && backtest->dir[COMPARE_OLD]; side++)
        backtest->compare.side[side].syntax = syntax[side] = syntax_of(backtest->dir[side]);
    int code = run_passes(backtest, settings, set, &replay, &err) ? report(backtest) : command_fail(backtest->line, EXIT_WORLD, "%s", err.text);
    compare_fini(&backtest->compare);
    syntax_free(syntax[COMPARE_NEW]);
    syntax_free(syntax[COMPARE_OLD]);
    for (int side = 0; side < COMPARE_SIDES; side++)
        tally_fini(&backtest->tally[side]);
    subject_table_free(backtest->table);
    labels_free(backtest->labels);
    return code;
}

int cmd_rules_backtest(const struct command_line *line)
{
    struct settings settings;
    struct rule_set set[COMPARE_SIDES] = {{0}};
    int64_t threads = 0, batch = 0, sample = 0;
    struct recording *recording = calloc(1, sizeof *recording);
    struct backtest backtest = {.line = line, .recording = recording};
    invariant(recording != NULL);
    int code = EXIT_USAGE;
    if (line->word_count < 1)
        code = command_fail(line, EXIT_USAGE, "name the folder of rules");
    else
        code = recording_of(line, 1, recording);
    bool good = command_settings(line, &settings) && command_number(line, "threads", 1, 64, settings.threads, &threads) &&
                command_number(line, "batch", 1, 1 << 20, settings.batch_max, &batch) && command_number(line, "sample", 0, 10000, 10, &sample);
    if (code == EXIT_FINE && !good)
        code = EXIT_USAGE;
    if (code == EXIT_FINE) {
        const char *rates = command_option(line, "rates") ? command_option(line, "rates") : settings.rates_file;
        backtest.dir[COMPARE_NEW] = line->word[0];
        backtest.dir[COMPARE_OLD] = command_option(line, "against");
        backtest.sample_max = (uint32_t)sample;
        code = rule_set_load(line, backtest.dir[COMPARE_NEW], rates, EXIT_FINDING, &set[COMPARE_NEW]);
        if (code == EXIT_FINE && backtest.dir[COMPARE_OLD])
            code = rule_set_load(line, backtest.dir[COMPARE_OLD], rates, EXIT_FINDING, &set[COMPARE_OLD]);
    }
    if (code == EXIT_FINE)
        code = backtest_with(&backtest, &settings, set, threads, batch);
    for (int side = 0; side < COMPARE_SIDES; side++)
        rule_set_fini(&set[side]);
    settings_fini(&settings);
    free(recording);
    return code;
}
