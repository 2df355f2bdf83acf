/* `muster rules tune`: what other values of a rule's params would have given. */
#include "engine/base/invariant.h"
#include "engine/base/suggest.h"
#include "engine/cli/rule_set.h"
#include "engine/cli/tune.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <stdlib.h>

/* --- which params --- */

static int no_param(const struct tune *tune, struct slice wrong)
{
    struct slice name[SUGGEST_CANDIDATES_MAX];
    int count = 0;
    for (const struct syntax_param *param = tune->rule->param; param && count < SUGGEST_CANDIDATES_MAX; param = param->next)
        name[count++] = param->name.text;
    int near = suggest_nearest(wrong, name, count);
    if (near < 0)
        return command_fail(tune->line, EXIT_USAGE, "rule %.*s has no param `%.*s`", (int)tune->rule_id.size, tune->rule_id.data, (int)wrong.size, wrong.data);
    return command_fail(tune->line, EXIT_USAGE, "rule %.*s has no param `%.*s`; did you mean `%.*s`?", (int)tune->rule_id.size, tune->rule_id.data,
                        (int)wrong.size, wrong.data, (int)name[near].size, name[near].data);
}

static int add_param(struct tune *tune, struct slice name)
{
    for (uint32_t i = 0; i < tune->param_count; i++)
        if (slice_equal(tune->param[i].name, name))
            return EXIT_FINE;
    for (const struct syntax_param *param = tune->rule->param; param; param = param->next) {
        if (!slice_equal(param->name.text, name))
            continue;
        if (tune->param_count == TUNE_PARAM_MAX || !param_range_of(param, &tune->param[tune->param_count]))
            return command_fail(tune->line, EXIT_USAGE, "the param `%.*s` has no range of plain values to try", (int)name.size, name.data);
        tune->param_count++;
        return EXIT_FINE;
    }
    return no_param(tune, name);
}

/* --param NAME, several times or parted by commas; without it all of the rule. */
static int choose_params(struct tune *tune)
{
    int code = EXIT_FINE;
    const char *words;
    for (int i = 0; code == EXIT_FINE && (words = command_option_nth(tune->line, "param", i)); i++)
        for (const char *at = words; code == EXIT_FINE && at;) {
            const char *comma = strchr(at, ',');
            code = add_param(tune, (struct slice){at, comma ? (size_t)(comma - at) : strlen(at)});
            at = comma ? comma + 1 : NULL;
        }
    tune->grid = tune->param_count > 1;
    for (const struct syntax_param *param = tune->rule->param; param && !command_option(tune->line, "param"); param = param->next)
        if (param_range_of(param, &tune->param[tune->param_count]) && tune->param_count < TUNE_PARAM_MAX - 1)
            tune->param_count++;
    if (code == EXIT_FINE && tune->param_count == 0)
        return command_fail(tune->line, EXIT_USAGE, "rule %.*s declares no param with a range", (int)tune->rule_id.size, tune->rule_id.data);
    return code;
}

/* --- which points --- */

static struct tune_point *add_point(struct tune *tune, uint32_t line)
{
    struct tune_point *point = &tune->point[tune->point_count++];
    *point = (struct tune_point){.line = line};
    for (uint32_t p = 0; p < tune->param_count; p++)
        point->value[p] = tune->param[p].today;
    return point;
}

static void mark_today(struct tune *tune)
{
    for (uint32_t i = tune->point_count; i-- > 0;) {
        struct tune_point *point = &tune->point[i];
        point->today = true;
        for (uint32_t p = 0; p < tune->param_count; p++)
            point->today &= point->value[p] == tune->param[p].today;
        if (point->today)
            tune->today = i;
    }
}

static int make_points(struct tune *tune, uint32_t steps)
{
    int64_t value[TUNE_PARAM_MAX][PARAM_STEPS_MAX + 1];
    uint32_t count[TUNE_PARAM_MAX];
    uint64_t all = tune->grid ? 1 : 0;
    for (uint32_t p = 0; p < tune->param_count; p++) {
        count[p] = param_steps(&tune->param[p], steps, value[p]);
        all = tune->grid ? all * count[p] : all + count[p];
        if (all > TUNE_POINT_MAX)
            return command_fail(tune->line, EXIT_USAGE, "that would be more than %d points, each a run of its own: name fewer with --param, or fewer --steps", TUNE_POINT_MAX);
    }
    tune->point = calloc(all, sizeof *tune->point);
    invariant(tune->point != NULL);
    for (uint64_t i = 0; tune->grid && i < all; i++) {
        struct tune_point *point = add_point(tune, 0);
        uint64_t rest = i;
        for (uint32_t p = tune->param_count; p-- > 0; rest /= count[p])
            point->value[p] = value[p][rest % count[p]];
    }
    for (uint32_t p = 0; !tune->grid && p < tune->param_count; p++)
        for (uint32_t i = 0; i < count[p]; i++)
            add_point(tune, p)->value[p] = value[p][i];
    mark_today(tune);
    return EXIT_FINE;
}

/* --- running points side by side --- */

struct lane_run {
    struct tune *tune;
    struct tune_point *point;
    struct program *program;
    struct tally tally;
    struct recording *recording;
};

static bool take_lane(void *context, const struct output *output, struct error *err)
{
    struct lane_run *run = context;
    (void)err;
    tally_take(&run->tally, output);
    return true;
}

static bool take_first(void *context, const struct output *output, const struct rejection *decoded, uint32_t decoded_count, struct error *err)
{
    struct lane_run *run = context;
    (void)decoded, (void)decoded_count;
    recording_progress(run->recording, output);
    return take_lane(run, output, err);
}

static bool take_events(void *context, const struct partition_table *table, const struct event *events, uint32_t count, struct error *err)
{
    struct lane_run *run = context;
    (void)table, (void)err;
    tally_events(&run->tally, events, count);
    return true;
}

/* The typology's rules with the point's values; NULL: said on standard error. */
static struct program *load_point(const struct tune *tune, const struct tune_point *point)
{
    struct param_value value[TUNE_PARAM_MAX];
    struct error err = {0};
    for (uint32_t p = 0; p < tune->param_count; p++)
        value[p] = (struct param_value){tune->rule_id, tune->param[p].name, point->value[p]};
    const struct load_options options = {
        .param = value, .param_count = (uint16_t)tune->param_count, .typology = tune->rule->typology.text, .live = tune->rule_id};
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_load(tune->dir, &options, diagnostics, &err);
    if (!program && err.class)
        (void)command_fail(tune->line, EXIT_WORLD, "%s", err.text);
    else if (!program)
        rule_set_faults(tune->line, diagnostics);
    diagnostics_free(diagnostics);
    return program;
}

static uint32_t rule_scope(const struct program *program, struct slice id)
{
    for (uint16_t r = 0; r < program->rule_count; r++)
        if (slice_equal(program->rule[r].id, id))
            return r;
    invariant(false);
    return 0;
}

static void read_off(struct lane_run *run, const struct state_stats *state, uint64_t step_ns, uint64_t events)
{
    const struct tally *tally = &run->tally;
    struct tune_point *point = run->point;
    uint32_t rule = rule_scope(run->program, run->tune->rule_id);
    uint32_t typology = tally_scope_typology(tally, run->program->rule[rule].typology);
    point->rule = tally->count[rule];
    point->typology = tally->count[typology];
    point->by_rule = tally_measure(tally, run->tune->labels, rule);
    point->by_alert = tally_measure(tally, run->tune->labels, typology);
    point->ns_per_event = (double)step_ns / (double)(events ? events : 1);
    point->state_bytes = state->key_bytes + state->record_bytes;
    point->state_refused = state->refused;
}

static bool replay_together(struct tune *tune, struct recording *recording, const struct settings *settings, const struct rates *rates,
                            int64_t threads, struct lane_run *run, uint32_t count, struct error *err)
{
    struct replay_lane lane[REPLAY_LANE_MAX];
    struct replay_summary summary;
    char verb[64];
    struct replay_settings replay = {
        .threads = (uint32_t)threads,
        .batch_max = (uint32_t)settings->batch_max,
        .program = run[0].program,
        .step = step_settings_of(settings),
        .decode = decode_settings_of(settings, rates),
        .context = &run[0],
        .results = take_first,
        .events = take_events,
        .lane = lane,
        .lane_count = count - 1,
        .state = true,
    };
    for (uint32_t i = 1; i < count; i++)
        lane[i - 1] = (struct replay_lane){.program = run[i].program, .context = &run[i], .results = take_lane};
    (void)snprintf(verb, sizeof verb, "tried with points %u to %u of %u", (unsigned)(run[0].point - tune->point) + 1,
                   (unsigned)(run[0].point - tune->point) + count, tune->point_count);
    if (!recording_replay(recording, settings, &replay, verb, &summary, err))
        return false;
    uint64_t first_ns = 0;
    for (int p = 0; p < PHASE_COUNT; p++)
        first_ns += summary.step_ns[p];
    tune->days = tally_days(&run[0].tally);
    tune->events = summary.messages;
    tune->seconds += (double)summary.wall_ns / 1e9;
    tune->passes++;
    for (uint32_t i = 0; i < count; i++)
        read_off(&run[i], i ? &lane[i - 1].state : &summary.state, i ? lane[i - 1].step_ns : first_ns, summary.messages);
    return true;
}

/* Points [from, from + count) in one pass. */
static int run_points(struct tune *tune, struct recording *recording, const struct settings *settings, const struct rates *rates,
                      int64_t threads, uint32_t from, uint32_t count)
{
    struct error err = {0};
    struct lane_run *run = calloc(count, sizeof *run);
    struct subject_table *table = subject_table_new();
    int code = EXIT_FINE;
    invariant(run != NULL);
    for (uint32_t i = 0; i < count && code == EXIT_FINE; i++) {
        run[i] = (struct lane_run){.tune = tune, .point = &tune->point[from + i], .recording = recording};
        run[i].program = load_point(tune, run[i].point);
        if (run[i].program)
            tally_init(&run[i].tally, run[i].program, table);
        else
            code = EXIT_USAGE;
    }
    if (code == EXIT_FINE && !replay_together(tune, recording, settings, rates, threads, run, count, &err))
        code = command_fail(tune->line, EXIT_WORLD, "%s", err.text);
    for (uint32_t i = 0; i < count; i++) {
        tally_fini(&run[i].tally);
        program_free(run[i].program);
    }
    subject_table_free(table);
    free(run);
    return code;
}

/* --- the command --- */

static int report(const struct tune *tune)
{
    const char *folder = command_option(tune->line, "svg");
    struct error err = {0};
    if (command_option(tune->line, "json"))
        tune_json(tune, stdout);
    else
        tune_print(tune, stdout);
    if (folder && !tune_picture(tune, folder, &err))
        return command_fail(tune->line, EXIT_WORLD, "%s", err.text);
    return EXIT_FINE;
}

static int tune_with(struct tune *tune, struct recording *recording, const struct settings *settings, const struct rule_set *set)
{
    int64_t steps, together, threads;
    struct error err = {0};
    if (!command_number(tune->line, "steps", 2, PARAM_STEPS_MAX, 7, &steps) || !command_number(tune->line, "together", 1, REPLAY_LANE_MAX, 8, &together) ||
        !command_number(tune->line, "threads", 1, 64, settings->threads, &threads))
        return EXIT_USAGE;
    int code = choose_params(tune);
    if (code == EXIT_FINE)
        code = make_points(tune, (uint32_t)steps);
    if (code != EXIT_FINE)
        return code;
    tune->labels = labels_load(command_option(tune->line, "labels"), &err);
    if (!tune->labels)
        return command_fail(tune->line, EXIT_USAGE, "%s", err.text);
    for (uint32_t from = 0; from < tune->point_count && code == EXIT_FINE; from += (uint32_t)together) {
        uint32_t count = tune->point_count - from < together ? tune->point_count - from : (uint32_t)together;
        code = run_points(tune, recording, settings, set->rates, threads, from, count);
    }
    return code == EXIT_FINE ? report(tune) : code;
}

static int find_rule(struct tune *tune, const struct syntax *syntax)
{
    struct slice id[SUGGEST_CANDIDATES_MAX];
    int count = 0;
    for (const struct syntax_rule *rule = syntax->rule; rule; rule = rule->next) {
        if (slice_equal(rule->id.text, tune->rule_id))
            tune->rule = rule;
        if (count < SUGGEST_CANDIDATES_MAX)
            id[count++] = rule->id.text;
    }
    if (tune->rule)
        return EXIT_FINE;
    int near = suggest_nearest(tune->rule_id, id, count);
    if (near < 0)
        return command_fail(tune->line, EXIT_FINDING, "%s has no rule %s", tune->dir, tune->line->word[1]);
    return command_fail(tune->line, EXIT_FINDING, "%s has no rule %s; did you mean %.*s?", tune->dir, tune->line->word[1], (int)id[near].size, id[near].data);
}

int cmd_rules_tune(const struct command_line *line)
{
    struct settings settings;
    struct rule_set set = {0};
    struct error err = {0};
    struct tune tune = {.line = line};
    struct recording *recording = calloc(1, sizeof *recording);
    struct diagnostics *diagnostics = diagnostics_new();
    struct syntax *syntax = NULL;
    invariant(recording != NULL);
    int code = EXIT_USAGE;
    bool good = command_settings(line, &settings);
    if (line->word_count < 2 || !command_option(line, "labels"))
        code = command_fail(line, EXIT_USAGE, "name the folder of rules, a rule, and --labels FILE");
    else if (good)
        code = recording_of(line, 2, recording);
    if (code == EXIT_FINE) {
        const char *rates = command_option(line, "rates") ? command_option(line, "rates") : settings.rates_file;
        tune.dir = line->word[0];
        tune.rule_id = slice_of(line->word[1]);
        code = rule_set_load(line, tune.dir, rates, EXIT_FINDING, &set);
    }
    if (code == EXIT_FINE) {
        syntax = syntax_load(tune.dir, diagnostics, &err);
        code = syntax ? find_rule(&tune, syntax) : command_fail(line, EXIT_WORLD, "%s", err.text);
    }
    if (code == EXIT_FINE)
        code = tune_with(&tune, recording, &settings, &set);
    free(tune.point);
    labels_free(tune.labels);
    syntax_free(syntax);
    diagnostics_free(diagnostics);
    rule_set_fini(&set);
    settings_fini(&settings);
    free(recording);
    return code;
}
