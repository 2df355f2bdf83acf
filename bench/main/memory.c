/* What state holds per event and per idle account, told by the state's own books (shards are mapped, so
 * the allocator does not see them), and by jemalloc's statistics for all the rest.
 * Usage: memory PACK_DIR SHORT_WINDOWS_DIR; prints a table, then checks that nothing grows: with the same accounts, with
 * accounts that come and go, and with the whole pack, each over ten times the longest window. */
#include "bench/payment.h"
#include "engine/base/invariant.h"
#include "engine/stream/crew.h"
#include "engine/stream/step.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef MUSTER_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

enum { BATCH = 8192, MINUTE_MS = 60000, PACK_PART = 20000 };

/* Who pays whom: of `accounts` alive, and one is replaced by a fresh one every `fresh_every` events (0: never). once: each account is one
 * end of one payment, in turn. */
struct population {
    uint64_t accounts, fresh_every;
    int64_t gap_ms;
    bool once;
};

static void make_event(struct event *event, struct arena *arena, uint64_t i, const struct population *population)
{
    uint64_t base = population->fresh_every ? i / population->fresh_every : 0, accounts = population->accounts;
    const struct payment payment = {.number = i,
                                    .time_ms = 1767571200000 + (int64_t)i * population->gap_ms,
                                    .amount_minor = 5000,
                                    .sender = population->once ? 2 * i % accounts : base + i * 7919 % accounts,
                                    .receiver = population->once ? (2 * i + 1) % accounts : base + (i * 104729 + 1) % accounts};
    payment_event(&payment, arena, event);
}

struct bench {
    struct step *step;
    struct arena in, out;
    uint64_t seq;
};

static void feed(struct bench *bench, uint64_t count, const struct population *population)
{
    for (uint64_t end = bench->seq + count; bench->seq < end;) {
        uint32_t size = end - bench->seq < BATCH ? (uint32_t)(end - bench->seq) : BATCH;
        struct output output;
        arena_reset(&bench->in);
        arena_reset(&bench->out);
        struct event *events = ARENA_ARRAY(&bench->in, struct event, size);
        for (uint32_t i = 0; i < size; i++)
            make_event(&events[i], &bench->in, bench->seq + i, population);
        step_run(bench->step, events, size, &bench->out, &output);
        bench->seq += size;
    }
}

static void bench_open(struct bench *bench, const struct program *program, struct crew *crew, uint32_t epoch_seq, uint32_t sweep_work)
{
    struct error err = {0};
    static const unsigned char key[16] = {1};
    const struct step_settings settings = {.lateness_ms = 60 * MINUTE_MS, .dedup_ms = 120 * MINUTE_MS, .shard_bytes_max = 1 << 30, .partition_max = 1, .inline_below = 256,
                                           .epoch_seq = epoch_seq, .sweep_work = sweep_work};
    bench->step = step_new(program, &settings, crew, key, &err);
    invariant(bench->step != NULL);
    bench->seq = 0;
    arena_init(&bench->in);
    arena_init(&bench->out);
}

static void bench_close(struct bench *bench)
{
    step_free(bench->step);
    arena_fini(&bench->in);
    arena_fini(&bench->out);
}

/* Bytes in use outside the state; 0 where jemalloc is not built in. */
static uint64_t heap_bytes(void)
{
    size_t allocated = 0;
#ifdef MUSTER_JEMALLOC
    uint64_t epoch = 1;
    (void)mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    (void)mallctl("stats.allocated", &allocated, &(size_t){sizeof allocated}, NULL, 0);
#endif
    return allocated;
}

static double per(uint64_t bytes, uint64_t count)
{
    return count ? (double)bytes / (double)count : 0;
}

/* 400,000 events a second apart over 50,000 accounts. */
static void print_costs(const struct program *program, struct crew *crew)
{
    struct bench bench;
    struct state_stats s;
    bench_open(&bench, program, crew, 0, 0);
    feed(&bench, 400000, &(struct population){50000, 0, 1000, false});
    state_stats(step_state(bench.step), &s);
    printf("bytes per identity           %8.1f  (%llu)\n", per(s.identity_bytes, s.identities), (unsigned long long)s.identities);
    printf("bytes per remembered id      %8.1f  (%llu)\n", per(s.dedup_bytes, s.dedup_entries), (unsigned long long)s.dedup_entries);
    printf("bytes per key, its cell      %8.1f  (%llu)\n", per(s.key_bytes, s.keys), (unsigned long long)s.keys);
    printf("bytes per record in a window %8.1f  (%llu)\n", per(s.record_bytes, s.records), (unsigned long long)s.records);
    printf("bytes per event held         %8.1f  (%llu events)\n", per(s.bytes_used, bench.seq), (unsigned long long)bench.seq);
    bench_close(&bench);
    bench_open(&bench, program, crew, 0, 0);
    feed(&bench, 25000, &(struct population){50000, 0, 1000, true});
    state_stats(step_state(bench.step), &s);
    printf("bytes per account with one event %4.1f  (%llu)\n", per(s.bytes_used, s.identities), (unsigned long long)s.identities);
    bench_close(&bench);
}

/* Bytes of all state after 40,000 payments among 1,000 accounts over so many days; `before`: behind 25,000 among 50,000 accounts. */
static uint64_t bytes_after(const struct program *program, struct crew *crew, int days, bool before)
{
    enum { BEFORE = 25000, BUSY = 40000, EPOCH = 4096 };
    struct bench bench;
    struct state_totals totals;
    bench_open(&bench, program, crew, EPOCH, UINT32_MAX);
    if (before)
        feed(&bench, BEFORE, &(struct population){2 * BEFORE, 0, 1000, true});
    bench.seq = BEFORE;
    feed(&bench, BUSY, &(struct population){1000, 0, (int64_t)days * 24 * 60 * MINUTE_MS / BUSY, false});
    step_totals(bench.step, &totals);
    bench_close(&bench);
    return totals.bytes_used;
}

/* What an account costs that had one payment and then none, while others went on and sweeps came round. */
static void print_idle(const struct program *program, struct crew *crew)
{
    enum { IDLE = 50000 - 1000 };
    static const int days[] = {7, 40, 400};
    for (int i = 0; i < 3; i++) {
        uint64_t with = bytes_after(program, crew, days[i], true), without = bytes_after(program, crew, days[i], false);
        printf("bytes per account idle for %d days %6.1f  (%d)\n", days[i], per(with > without ? with - without : 0, IDLE), IDLE);
    }
}

/* The most that was held in parts 4 and 5 of ten, and in parts 9 and 10: between sweeps it rises and falls. */
struct growth {
    uint64_t used[2], resident[2], identities[2], heap[2];
};

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static struct growth grow(const struct program *program, struct crew *crew, uint64_t part_events, uint32_t epoch_seq,
                          const struct population *population)
{
    struct bench bench;
    struct growth growth = {0};
    bench_open(&bench, program, crew, epoch_seq, 0);
    for (int part = 1; part <= 10; part++) {
        for (uint64_t end = bench.seq + part_events; bench.seq < end;) {
            struct state_totals now;
            feed(&bench, end - bench.seq < BATCH ? end - bench.seq : BATCH, population);
            step_totals(bench.step, &now);
            if (part % 5 != 4 && part % 5 != 0)
                continue;
            growth.used[part > 5] = most(growth.used[part > 5], now.bytes_used);
            growth.resident[part > 5] = most(growth.resident[part > 5], now.bytes_resident);
            growth.identities[part > 5] = most(growth.identities[part > 5], now.identities);
        }
        growth.heap[part > 5] = heap_bytes();
    }
    bench_close(&bench);
    return growth;
}

static bool print_growth(const char *what, const struct growth *g)
{
    printf("%s: %.1f and %.1f MiB of state (%.1f and %.1f resident), %llu and %llu identities, %.1f and %.1f MiB of heap\n", what,
           (double)g->used[0] / 1048576, (double)g->used[1] / 1048576, (double)g->resident[0] / 1048576, (double)g->resident[1] / 1048576,
           (unsigned long long)g->identities[0], (unsigned long long)g->identities[1], (double)g->heap[0] / 1048576, (double)g->heap[1] / 1048576);
    return (double)g->used[1] <= 1.10 * (double)g->used[0] && (double)g->resident[1] <= 1.25 * (double)g->resident[0] &&
           (double)g->identities[1] <= 1.05 * (double)g->identities[0] && (double)g->heap[1] <= 1.05 * (double)g->heap[0];
}

/* Up to 5 and up to 10 times the longest window. */
static bool print_flatness(const struct program *pack, const struct program *small, struct crew *crew)
{
    uint64_t part = (uint64_t)small->widest_ms / 400 + 4 * 60 * 150; /* and lateness, and repeats */
    struct growth same = grow(small, crew, part, 8192, &(struct population){20000, 0, 400, false});
    bool flat = print_growth("short windows, 20,000 accounts", &same);
    struct growth churn = grow(small, crew, part, 8192, &(struct population){2000, 2, 400, false});
    flat &= print_growth("short windows, every second event a fresh account", &churn);
    struct growth whole = grow(pack, crew, PACK_PART, 2048, &(struct population){1000, 0, pack->widest_ms / PACK_PART, false});
    flat &= print_growth("the pack, 1,000 accounts", &whole);
    struct growth moving = grow(pack, crew, PACK_PART, 2048, &(struct population){500, 20, pack->widest_ms / PACK_PART, false});
    return flat & print_growth("the pack, every twentieth event a fresh account", &moving);
}

static struct program *load(const char *dir)
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
    invariant(sodium_init() >= 0);
    struct crew *crew = crew_new(1, &err);
    struct program *pack = argc == 3 ? load(argv[1]) : NULL, *small = pack ? load(argv[2]) : NULL;
    if (!crew || !pack || !small) {
        fputs("usage: memory PACK_DIR SHORT_WINDOWS_DIR\n", stderr);
        return 2;
    }
    print_costs(pack, crew);
    print_idle(pack, crew);
    bool flat = print_flatness(pack, small, crew);
    puts(flat ? "flat" : "GROWS");
    program_free(pack);
    program_free(small);
    crew_free(crew);
    return flat ? 0 : 1;
}
