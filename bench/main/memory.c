/* What state holds per event and per idle account, told by the state's own books (shards are mapped, so
 * the allocator does not see them), and by jemalloc's statistics for all the rest.
 * Usage: memory PACK_DIR SHORT_WINDOWS_DIR; prints a table, then checks that neither grows. */
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

enum { BATCH = 8192, MINUTE_MS = 60000 };

static struct hash128 hash_of(const char *text, size_t size)
{
    struct hash128 hash;
    static const unsigned char key[16] = {1};
    (void)crypto_shorthash_siphashx24((unsigned char *)&hash, (const unsigned char *)text, size, key);
    return hash;
}

static void name_end(struct event *event, struct arena *arena, enum event_ref ref, uint64_t account)
{
    event->ref_text[ref] = arena_format(arena, "KE-A%010llu", (unsigned long long)account);
    event->ref_hash[ref] = hash_of(event->ref_text[ref].data, event->ref_text[ref].size);
}

static void make_event(struct event *event, struct arena *arena, uint64_t i, uint64_t accounts, int64_t gap_ms)
{
    *event = (struct event){.time_ms = 1767571200000 + (int64_t)i * gap_ms,
                            .broker_ms = MISSING_I64,
                            .amount_minor = 5000,
                            .amount_base = 5000,
                            .currency = currency_parse(SLICE("USD")),
                            .kind = KIND_TRANSFER,
                            .channel = CHANNEL_MOBILE,
                            .status = STATUS_SETTLED,
                            .flow = FLOW_SETTLED,
                            .seq = i + 1};
    event->id = arena_format(arena, "e%llu", (unsigned long long)i);
    event->source = SLICE("bench");
    event->id_hash = event->body_hash = hash_of(event->id.data, event->id.size);
    name_end(event, arena, REF_SENDER, i * 7919 % accounts);
    name_end(event, arena, REF_RECEIVER, (i * 104729 + 1) % accounts);
}

struct bench {
    struct step *step;
    struct arena in, out;
    uint64_t seq;
};

static void feed(struct bench *bench, uint64_t count, uint64_t accounts, int64_t gap_ms, struct state_stats *stats)
{
    for (uint64_t end = bench->seq + count; bench->seq < end;) {
        uint32_t size = end - bench->seq < BATCH ? (uint32_t)(end - bench->seq) : BATCH;
        struct output output;
        arena_reset(&bench->in);
        arena_reset(&bench->out);
        struct event *events = ARENA_ARRAY(&bench->in, struct event, size);
        for (uint32_t i = 0; i < size; i++)
            make_event(&events[i], &bench->in, bench->seq + i, accounts, gap_ms);
        step_run(bench->step, events, size, &bench->out, &output);
        bench->seq += size;
    }
    state_stats(step_state(bench->step), stats);
}

static void bench_open(struct bench *bench, const struct program *program, struct crew *crew)
{
    struct error err = {0};
    static const unsigned char key[16] = {1};
    const struct step_settings settings = {.lateness_ms = 60 * MINUTE_MS, .dedup_ms = 120 * MINUTE_MS, .shard_bytes_max = 1 << 30, .partition_max = 1, .inline_below = 256};
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
    bench_open(&bench, program, crew);
    feed(&bench, 400000, 50000, 1000, &s);
    printf("bytes per identity           %8.1f  (%llu)\n", per(s.identity_bytes, s.identities), (unsigned long long)s.identities);
    printf("bytes per remembered id      %8.1f  (%llu)\n", per(s.dedup_bytes, s.dedup_entries), (unsigned long long)s.dedup_entries);
    printf("bytes per key, its cell      %8.1f  (%llu)\n", per(s.key_bytes, s.keys), (unsigned long long)s.keys);
    printf("bytes per record in a window %8.1f  (%llu)\n", per(s.record_bytes, s.records), (unsigned long long)s.records);
    printf("bytes per event held         %8.1f  (%llu events)\n", per(s.bytes_used, bench.seq), (unsigned long long)bench.seq);
    bench_close(&bench);
    bench_open(&bench, program, crew);
    feed(&bench, 25000, 50000, 1000, &s); /* each account once */
    printf("bytes per account with one event %4.1f  (%llu)\n", per(s.bytes_used, s.identities), (unsigned long long)s.identities);
    bench_close(&bench);
}

/* A rule set of short windows, ten times its longest one: what is held must not grow. */
static bool print_flatness(const struct program *program, struct crew *crew)
{
    struct bench bench;
    struct state_stats s;
    uint64_t middle = 0, end = 0, heap_middle = 0;
    bench_open(&bench, program, crew);
    uint64_t window_events = (uint64_t)program->widest_ms / 100 + 4 * 60 * 600; /* and lateness, and repeats */
    for (int part = 1; part <= 10; part++) {
        feed(&bench, window_events, 20000, 100, &s);
        if (part == 5) {
            middle = s.bytes_used;
            heap_middle = heap_bytes();
        }
    }
    end = s.bytes_used;
    uint64_t heap_end = heap_bytes();
    printf("state after 5 and 10 times the longest window: %.1f and %.1f MiB (%llu events)\n", (double)middle / 1048576, (double)end / 1048576,
           (unsigned long long)bench.seq);
    printf("heap beside it, by jemalloc's statistics: %.1f and %.1f MiB\n", (double)heap_middle / 1048576, (double)heap_end / 1048576);
    bench_close(&bench);
    return (double)end < 1.15 * (double)middle && (double)heap_end <= 1.05 * (double)heap_middle;
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
    bool flat = print_flatness(small, crew);
    puts(flat ? "flat" : "GROWS");
    program_free(pack);
    program_free(small);
    crew_free(crew);
    return flat ? 0 : 1;
}
