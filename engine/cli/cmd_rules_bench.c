/* `muster rules bench`: what each rule costs, measured over a stream; two rule sets run in turn. */
#include "engine/cli/bench_report.h"
#include "engine/cli/command.h"
#include "engine/cli/progress.h"
#include "engine/cli/rule_set.h"

#include "bench/gen.h"
#include "connectors/file/reader.h"
#include "engine/base/invariant.h"

#include <stdlib.h>
#include <sys/stat.h>

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
    struct bench_series series;
    double plain_ns = 0;
    at->passes = 2 * (uint64_t)at->rounds;
    bench_series_init(&series, at->set.program, &at->results);
    for (int64_t i = 0; i < at->rounds; i++) {
        if (!pass(at, &at->set, false, &one, err))
            return false;
        plain_ns = i == 0 || one.cpu_ns < plain_ns ? one.cpu_ns : plain_ns;
        if (!pass(at, &at->set, true, &one, err))
            return false;
        bench_series_add(&series, &one);
        best = i == 0 || one.cpu_ns < best.cpu_ns ? one : best;
    }
    progress_end(&at->progress);
    const struct bench_report report = {.program = at->set.program, .measured = &best, .plain_ns = plain_ns, .on = command_option(at->line, "on"),
                                        .seed = (uint64_t)at->seed, .series = &series};
    if (command_option(at->line, "json"))
        bench_json(&report);
    else
        bench_print(&report);
    return true;
}

static bool compare_pass(struct benching *at, const struct rule_set *set, struct bench_series *series, struct measured *one, struct error *err)
{
    if (!pass(at, set, true, one, err))
        return false;
    bench_series_add(series, one);
    return true;
}

/* Old and new in turn, each first in every second round; or new alone against what was saved. */
static bool compare(struct benching *at, const char *saved, uint32_t *slower, struct error *err)
{
    struct bench_series before, after;
    struct measured one = {0};
    int64_t events = 0;
    at->passes = (saved ? 1 : 2) * (uint64_t)at->rounds;
    bench_series_init(&after, at->set.program, &at->results);
    if (!saved)
        bench_series_init(&before, at->old.program, &at->results);
    else if (!bench_series_read(saved, &at->results, &before, &events, err))
        return false;
    for (int64_t i = 0; i < at->rounds; i++) {
        if (!saved && i % 2 == 0 && !compare_pass(at, &at->old, &before, &one, err))
            return false;
        if (!compare_pass(at, &at->set, &after, &one, err))
            return false;
        if (!saved && i % 2 == 1 && !compare_pass(at, &at->old, &before, &one, err))
            return false;
    }
    progress_end(&at->progress);
    if (saved && (int64_t)one.events != events)
        return error_set(err, ERROR_FATAL, "%s was measured over %lld events and this over %llu: give the same --on, --events and --seed", saved,
                         (long long)events, (unsigned long long)one.events);
    *slower = bench_compare_print(&before, &after, !saved, command_option(at->line, "json") != NULL);
    return true;
}

/* --- the command --- */

static bool is_file(const char *path)
{
    struct stat stat_of;
    return stat(path, &stat_of) == 0 && S_ISREG(stat_of.st_mode);
}

static int bench(struct benching *at, const char *old)
{
    struct error err = {0};
    uint32_t slower = 0;
    const char *on = command_option(at->line, "on");
    at->message = calloc((size_t)at->events, sizeof *at->message);
    invariant(at->message);
    bool ok = on ? read_stream(at, on, &err) : generate(at, &err);
    progress_begin(&at->progress, "measured", command_option(at->line, "quiet") != NULL);
    ok = ok && (old ? compare(at, is_file(old) ? old : NULL, &slower, &err) : measure(at, &err));
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
        code = rule_set_load(line, line->word[0], rates ? rates : at.settings.rates_file, EXIT_FINDING, &at.set);
    if (code == EXIT_FINE && old && !is_file(old))
        code = rule_set_load(line, old, rates ? rates : at.settings.rates_file, EXIT_FINDING, &at.old);
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
