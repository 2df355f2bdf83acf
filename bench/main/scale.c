/* What an event costs, and what is held, as accounts and edges grow: payments made in memory go through the step on one thread.
 * Usage: scale RULES_DIR [--accounts N] [--events N] [--days D] [--skew S] [--shape S] [--batch N] [--touch] [--timed N] [--checkpoint DIR]
 * --touch: each account has a payment first, beside --events. Timed are the last so many events, in processor time of the thread, batch by
 * batch. --checkpoint: the state goes to disk and comes back, timed on the clock. Prints one JSON object. */
#include "bench/crowd.h"
#include "bench/payment.h"
#include "engine/base/invariant.h"
#include "engine/state/checkpoint.h"
#include "engine/stream/crew.h"
#include "engine/stream/step.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TOUCH_BATCH = 8192, HOUR_MS = 3600000 };
static const unsigned char hash_key[16] = {1};
static const int64_t start_ms = 1767571200000;

struct options {
    const char *rules, *checkpoint;
    struct crowd crowd;
    uint64_t events, timed, days;
    uint32_t batch;
    bool touch;
};

struct run {
    const struct options *options;
    struct program *program;
    struct crew *crew;
    struct step *step;
    struct arena in, out;
    uint64_t done, total, chance;
    uint64_t *batch_ns; /* of the timed batches */
    uint32_t batches;
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct step *step_open(const struct run *run)
{
    struct error err = {0};
    const struct step_settings settings = {.lateness_ms = 24 * HOUR_MS, .dedup_ms = 72 * HOUR_MS, .shard_bytes_max = 1 << 30, .partition_max = 1, .inline_below = 256};
    struct step *step = step_new(run->program, &settings, run->crew, hash_key, &err);
    if (!step)
        fprintf(stderr, "scale: %s\n", err.text);
    invariant(step);
    return step;
}

/* --- feeding --- */

static void make(struct run *run, struct event *event, uint64_t touched)
{
    const struct crowd *crowd = &run->options->crowd;
    uint32_t sender = (uint32_t)(2 * run->done % crowd->accounts), receiver = (sender + 1) % crowd->accounts;
    if (run->done >= touched)
        crowd_pair(crowd, &run->chance, run->done - touched, &sender, &receiver);
    const struct payment payment = {.number = run->done,
                                    .time_ms = start_ms + (int64_t)((double)run->options->days * 24 * HOUR_MS * (double)run->done / (double)run->total),
                                    .amount_minor = 1000 + (int64_t)(crowd_draw(&run->chance) % 400000),
                                    .sender = sender,
                                    .receiver = receiver};
    payment_event(&payment, &run->in, event);
    run->done++;
}

/* Nanoseconds of processor time that the step took for the next `count` events. */
static uint64_t feed(struct run *run, uint32_t count, uint64_t touched)
{
    struct output output;
    arena_reset(&run->in);
    arena_reset(&run->out);
    struct event *events = ARENA_ARRAY(&run->in, struct event, count);
    for (uint32_t i = 0; i < count; i++)
        make(run, &events[i], touched);
    uint64_t begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
    step_run(run->step, events, count, &run->out, &output);
    return now_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
}

static uint32_t at_most(uint64_t count, uint32_t most)
{
    return count < most ? (uint32_t)count : most;
}

static void feed_all(struct run *run)
{
    const struct options *options = run->options;
    uint64_t touched = options->touch ? (options->crowd.accounts + 1) / 2 : 0;
    run->total = touched + options->events;
    while (run->done + options->timed < run->total)
        (void)feed(run, at_most(run->total - options->timed - run->done, TOUCH_BATCH), touched);
    while (run->done < run->total)
        run->batch_ns[run->batches++] = feed(run, at_most(run->total - run->done, options->batch), touched);
}

/* --- what it came to --- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double batch_ms(const struct run *run, double q)
{
    uint32_t at = (uint32_t)(q * run->batches);
    return (double)run->batch_ns[at < run->batches ? at : run->batches - 1] / 1e6;
}

static void print_costs(struct run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->batches; i++)
        sum += run->batch_ns[i];
    qsort(run->batch_ns, run->batches, sizeof *run->batch_ns, compare);
    printf("{\"events\": %llu, \"timed\": %llu, \"event_ns\": %.0f, \"event_median_ns\": %.0f", (unsigned long long)run->done,
           (unsigned long long)run->options->timed, (double)sum / (double)run->options->timed, batch_ms(run, 0.5) * 1e6 / run->options->batch);
    printf(", \"batch\": %u, \"batches\": %u, \"batch_ms\": {\"p50\": %.3f, \"p99\": %.3f, \"p99.9\": %.3f, \"most\": %.3f}", run->options->batch,
           run->batches, batch_ms(run, 0.5), batch_ms(run, 0.99), batch_ms(run, 0.999), batch_ms(run, 1));
}

static void print_state(struct run *run)
{
    struct state_stats s;
    struct graph_tally graphs;
    state_stats(step_state(run->step), &s);
    step_graphs(run->step, &graphs);
    printf(", \"used\": %llu, \"resident\": %llu, \"identities\": %llu, \"identity_bytes\": %llu", (unsigned long long)s.bytes_used,
           (unsigned long long)s.bytes_resident, (unsigned long long)s.identities, (unsigned long long)s.identity_bytes);
    printf(", \"repeats\": %llu, \"repeat_bytes\": %llu, \"keys\": %llu, \"key_bytes\": %llu", (unsigned long long)s.dedup_entries,
           (unsigned long long)s.dedup_bytes, (unsigned long long)s.keys, (unsigned long long)s.key_bytes);
    printf(", \"records\": %llu, \"record_bytes\": %llu, \"memories\": %llu, \"memory_bytes\": %llu", (unsigned long long)s.records,
           (unsigned long long)s.record_bytes, (unsigned long long)s.memories, (unsigned long long)s.memory_bytes);
    printf(", \"searches\": %llu, \"legs_looked\": %llu", (unsigned long long)graphs.searches, (unsigned long long)graphs.legs);
}

static void refused(void *context, const char *file, const char *reason)
{
    (void)context;
    fprintf(stderr, "scale: %s: %s\n", file, reason);
}

/* Loads into the layout of a fresh step: the one that was fed is gone, so that state is held once. */
static bool load(struct run *run, struct error *err)
{
    struct checkpoint_head head;
    struct state *state = NULL;
    step_free(run->step);
    run->step = step_open(run);
    uint64_t begin = now_ns(CLOCK_MONOTONIC);
    bool ok = checkpoint_load(run->options->checkpoint, UINT64_MAX, step_layout(run->step), &state, &head, refused, NULL, err);
    if (!ok)
        return false;
    printf(", \"load_s\": %.3f", (double)(now_ns(CLOCK_MONOTONIC) - begin) / 1e9);
    state_free(state);
    free((void *)(uintptr_t)head.extra);
    return true;
}

static bool save_and_load(struct run *run, struct error *err)
{
    const char *dir = run->options->checkpoint;
    struct checkpoint_head head = {.block = 1, .seq = run->done, .extra = "", .extra_size = 0};
    memcpy(head.program_hash, run->program->hash, sizeof head.program_hash);
    memcpy(head.hash_key, hash_key, sizeof head.hash_key);
    uint64_t begin = now_ns(CLOCK_MONOTONIC);
    struct checkpoint_writer *writer = checkpoint_begin(step_state(run->step), step_layout(run->step), &head, err);
    uint64_t frozen = now_ns(CLOCK_MONOTONIC);
    bool ok = writer && checkpoint_write(writer, dir, err) && checkpoint_publish(writer, err);
    uint64_t written = now_ns(CLOCK_MONOTONIC);
    if (writer)
        checkpoint_end(writer);
    if (!ok)
        return false;
    printf(", \"pause_ms\": %.3f, \"write_s\": %.3f", (double)(frozen - begin) / 1e6, (double)(written - frozen) / 1e9);
    return load(run, err);
}

/* --- the command line --- */

static bool parse_option(int option, const char *text, struct options *options)
{
    switch (option) {
    case 'a':
        options->crowd.accounts = (uint32_t)strtoull(text, NULL, 10);
        return options->crowd.accounts >= 48;
    case 'e':
        options->events = strtoull(text, NULL, 10);
        return true;
    case 'd':
        options->days = strtoull(text, NULL, 10);
        return options->days > 0;
    case 's':
        return crowd_skew_parse(text, &options->crowd.skew);
    case 'h':
        return crowd_shape_parse(text, &options->crowd.shape);
    case 'b':
        options->batch = (uint32_t)strtoull(text, NULL, 10);
        return options->batch > 0;
    case 't':
        options->touch = true;
        return true;
    case 'n':
        options->timed = strtoull(text, NULL, 10);
        return true;
    case 'c':
        options->checkpoint = text;
        return true;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {{"accounts", 1, NULL, 'a'}, {"events", 1, NULL, 'e'}, {"days", 1, NULL, 'd'},  {"skew", 1, NULL, 's'},
                                          {"shape", 1, NULL, 'h'},    {"batch", 1, NULL, 'b'},  {"touch", 0, NULL, 't'}, {"timed", 1, NULL, 'n'},
                                          {"checkpoint", 1, NULL, 'c'}, {NULL, 0, NULL, 0}};
    int option;
    *options = (struct options){.crowd = {SKEW_UNIFORM, SHAPE_NONE, 10000}, .events = 300000, .timed = 200000, .days = 9, .batch = 1024};
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
        if (!parse_option(option, optarg, options))
            return false;
    options->rules = argc - optind == 1 ? argv[optind] : NULL;
    return options->rules && options->timed > 0 && options->timed <= options->events;
}

static struct program *program_open(const char *dir)
{
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_load(dir, &(struct load_options){0}, diagnostics, &err);
    if (!program)
        diagnostics_text(diagnostics, stderr);
    diagnostics_free(diagnostics);
    return program;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct options options;
    invariant(sodium_init() >= 0);
    if (!parse(argc, argv, &options)) {
        fputs("usage: scale RULES_DIR [--accounts N] [--events N] [--days D] [--skew S] [--shape S] [--batch N] [--touch] [--timed N] [--checkpoint DIR]\n", stderr);
        return 2;
    }
    struct run run = {.options = &options, .program = program_open(options.rules), .crew = crew_new(1, &err), .chance = 42};
    run.batch_ns = calloc(options.timed / options.batch + 1, sizeof *run.batch_ns);
    if (!run.program || !run.crew || !run.batch_ns)
        return 1;
    run.step = step_open(&run);
    arena_init(&run.in);
    arena_init(&run.out);
    feed_all(&run);
    print_costs(&run);
    print_state(&run);
    bool ok = !options.checkpoint || save_and_load(&run, &err);
    puts("}");
    if (!ok)
        fprintf(stderr, "scale: %s\n", err.text);
    step_free(run.step);
    arena_fini(&run.in);
    arena_fini(&run.out);
    free(run.batch_ns);
    program_free(run.program);
    crew_free(run.crew);
    return ok ? 0 : 1;
}
