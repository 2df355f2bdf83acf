/* `muster rules bench`: what each rule costs, measured over a stream; two rule sets run in turn. */
#include "engine/cli/bench_report.h"
#include "engine/cli/command.h"
#include "engine/cli/progress.h"
#include "engine/cli/rule_set.h"

#include "bench/gen.h"
#include "connectors/file/reader.h"
#include "engine/base/invariant.h"

#include <stdlib.h>

enum { EVENTS = 100000, EVENTS_MOST = 3000000, ROUNDS = 3, ROUNDS_COMPARED = 7, READ = 4096 };

struct benching {
    const struct command_line *line;
    struct settings settings;
    struct rule_set set, old;
    struct arena bodies, results;
    struct message *message;
    uint32_t count;
    int64_t events, seed, rounds;
    struct progress progress;
    uint64_t passes, done;         /* of all */
};

static void show_progress(void *context, uint32_t done)
{
    struct benching *at = context;
    uint64_t events = at->done * at->count + done;
    progress_show(&at->progress, events, at->passes * at->count, events);
}

/* --- the stream --- */

static bool read_stream(struct benching *at, const char *path, struct error *err)
{
    struct file_reader *reader = file_reader_open(path, (size_t)at->settings.message_kb_max << 10, err);
    uint32_t got = 0;
    bool ok = reader != NULL;
    while (ok && at->count < at->events) {
        uint32_t room = (uint32_t)at->events - at->count < READ ? (uint32_t)at->events - at->count : READ;
        ok = file_reader_read(reader, &at->bodies, at->message + at->count, room, &got, err);
        if (!ok || got == 0)
            break;
        at->count += got;
    }
    if (reader)
        file_reader_close(reader);
    for (uint32_t i = 0; i < at->count; i++)
        at->message[i].position.partition = 0;
    return ok;
}

static bool generate(struct benching *at, struct error *err)
{
    char *text = NULL;
    size_t size = 0;
    struct gen_summary summary;
    const struct gen_settings settings = {.events = (uint64_t)at->events, .seed = (uint64_t)at->seed, .sources = 3, .days = 30,
                                          .start_ms = (int64_t)civil_day(2026, 1, 5) * MS_PER_DAY,
                                          .currency = currency_name(at->set.program->base), .repeat_ppm = 1000};
    FILE *out = open_memstream(&text, &size), *labels = fopen("/dev/null", "w");
    bool ok = out && labels && gen_write(&settings, out, labels, &summary, err);
    if (!out || !labels)
        error_errno(err, ERROR_FATAL, "no memory for a generated stream");
    if (out)
        (void)fclose(out);
    if (labels)
        (void)fclose(labels);
    struct slice all = arena_copy(&at->bodies, (struct slice){text, size});
    free(text);
    for (const char *from = all.data, *end = all.data + all.size; ok && from < end && at->count < at->events;) {
        const char *stop = memchr(from, '\n', (size_t)(end - from));
        stop = stop ? stop : end;
        at->message[at->count] = (struct message){.body = {from, (size_t)(stop - from)}, .position = {.offset = at->count + 1}, .broker_ms = MISSING_I64};
        at->count++;
        from = stop + 1;
    }
    return ok;
}

/* --- passes --- */

static bool pass(struct benching *at, const struct rule_set *set, bool metered, struct measured *out, struct error *err)
{
    const struct measure_settings settings = {.program = set->program,
                                              .step = step_settings_of(&at->settings),
                                              .decode = decode_settings_of(&at->settings, set->rates),
                                              .message = at->message,
                                              .count = at->count,
                                              .progress = show_progress,
                                              .context = at};
    bool ok = measure_pass(&settings, metered, &at->results, out, err);
    at->done++;
    return ok;
}

/* The best of the rounds, with a meter and without, in turn. */
static bool measure(struct benching *at, struct error *err)
{
    struct measured best = {0}, one;
    double plain_ns = 0;
    at->passes = 2 * (uint64_t)at->rounds;
    for (int64_t i = 0; i < at->rounds; i++) {
        if (!pass(at, &at->set, false, &one, err))
            return false;
        plain_ns = i == 0 || one.cpu_ns < plain_ns ? one.cpu_ns : plain_ns;
        if (!pass(at, &at->set, true, &one, err))
            return false;
        best = i == 0 || one.cpu_ns < best.cpu_ns ? one : best;
    }
    progress_end(&at->progress);
    const struct bench_report report = {.program = at->set.program, .measured = &best, .plain_ns = plain_ns, .on = command_option(at->line, "on"),
                                        .seed = (uint64_t)at->seed, .rounds = (uint32_t)at->rounds};
    if (command_option(at->line, "json"))
        bench_json(&report);
    else
        bench_print(&report);
    return true;
}

static double **rule_rounds(struct benching *at, const struct program *program)
{
    double **out = ARENA_ARRAY(&at->results, double *, program->rule_count + 1);
    for (uint16_t r = 0; r < program->rule_count; r++)
        out[r] = ARENA_ARRAY(&at->results, double, BENCH_ROUNDS_MAX);
    return out;
}

static bool compare_pass(struct benching *at, const struct rule_set *set, int64_t round, double *whole, double **rule, struct error *err)
{
    struct measured one;
    if (!pass(at, set, true, &one, err))
        return false;
    whole[round] = one.cpu_ns;
    for (uint16_t r = 0; r < set->program->rule_count; r++)
        rule[r][round] = measured_sum(&one.rule[r]);
    return true;
}

/* Old and new in turn, each first in every second round. */
static bool compare(struct benching *at, uint32_t *slower, struct error *err)
{
    double before[BENCH_ROUNDS_MAX], after[BENCH_ROUNDS_MAX];
    double **before_rule = rule_rounds(at, at->old.program), **after_rule = rule_rounds(at, at->set.program);
    at->passes = 2 * (uint64_t)at->rounds;
    for (int64_t i = 0; i < at->rounds; i++) {
        bool old_first = i % 2 == 0;
        if (old_first && !compare_pass(at, &at->old, i, before, before_rule, err))
            return false;
        if (!compare_pass(at, &at->set, i, after, after_rule, err))
            return false;
        if (!old_first && !compare_pass(at, &at->old, i, before, before_rule, err))
            return false;
    }
    progress_end(&at->progress);
    const struct bench_comparison comparison = {.before = at->old.program, .after = at->set.program, .rounds = (uint32_t)at->rounds,
                                                .before_ns = before, .after_ns = after,
                                                .before_rule = (const double *const *)before_rule,
                                                .after_rule = (const double *const *)after_rule};
    *slower = bench_compare_print(&comparison, command_option(at->line, "json") != NULL);
    return true;
}

/* --- the command --- */

static int bench(struct benching *at, const char *old)
{
    struct error err = {0};
    uint32_t slower = 0;
    const char *on = command_option(at->line, "on");
    at->message = calloc((size_t)at->events, sizeof *at->message);
    invariant(at->message);
    bool ok = on ? read_stream(at, on, &err) : generate(at, &err);
    progress_begin(&at->progress, "measured", command_option(at->line, "json") != NULL);
    ok = ok && (old ? compare(at, &slower, &err) : measure(at, &err));
    progress_end(&at->progress);
    if (!ok)
        return command_fail(at->line, EXIT_WORLD, "%s", err.text);
    return slower ? EXIT_FINDING : EXIT_FINE;
}

int cmd_rules_bench(const struct command_line *line)
{
    struct benching at = {.line = line};
    const char *rates = command_option(line, "rates"), *old = command_option(line, "compare");
    arena_init(&at.bodies);
    arena_init(&at.results);
    int code = command_settings(line, &at.settings) && command_number(line, "events", 1000, EVENTS_MOST, EVENTS, &at.events) &&
                       command_number(line, "seed", 0, INT64_MAX, 1, &at.seed) &&
                       command_number(line, "rounds", old ? 3 : 1, BENCH_ROUNDS_MAX, old ? ROUNDS_COMPARED : ROUNDS, &at.rounds)
                   ? EXIT_FINE
                   : EXIT_USAGE;
    if (code == EXIT_FINE && line->word_count != 1)
        code = command_fail(line, EXIT_USAGE, "name the folder of one rule set");
    if (code == EXIT_FINE)
        code = rule_set_load(line, line->word[0], rates ? rates : at.settings.rates_file, &at.set);
    if (code == EXIT_FINE && old)
        code = rule_set_load(line, old, rates ? rates : at.settings.rates_file, &at.old);
    if (code == EXIT_FINE)
        code = bench(&at, old);
    free(at.message);
    rule_set_fini(&at.set);
    rule_set_fini(&at.old);
    arena_fini(&at.bodies);
    arena_fini(&at.results);
    settings_fini(&at.settings);
    return code;
}
