/* Sizes foretold against slabs that were filled: one key exactly, many by chance; spreads against known rates. */
#include "engine/state/size.h"

#include <criterion/criterion.h>
#include <math.h>

enum { DAY = 86400000 };

static const uint64_t clocks[] = {11, 12};
static const struct aggregate_layout short_aggregates[] = {{.hash = 1, .fn = WINDOW_COUNT}, {.hash = 2, .fn = WINDOW_DISTINCT, .column = WINDOW_SENDER}};
static const struct aggregate_layout long_aggregates[] = {{.hash = 3, .fn = WINDOW_SUM, .days = 60, .days_kept = 62, .habit = 1}};
static const struct window_layout windows[] = {
    /* read by others, so that it stays as long as its key: ids here are made up, and a sweep would mark them */
    {.hash = 1, .keep_ms = 2 * DAY, .aggregate_count = 2, .aggregate = short_aggregates, .read_by_others = true},
    {.hash = 2, .keep_ms = DAY, .aggregate_count = 1, .aggregate = long_aggregates, .extra_count = 1, .habit_count = 1, .by_day = true}};
static const struct memory_layout memories[] = {{.hash = 7, .for_ms = DAY, .keep_count = 2}};
static const struct keyspace_layout keyspaces[] = {{.hash = 5, .width = 1, .clock_count = 2, .clock_hash = clocks, .window_count = 2,
                                                    .window = windows, .memory_count = 1, .memory = memories, .widest_ms = 200 * (int64_t)DAY}};
/* so late that no clock lies before the horizon: nothing is swept */
static const struct state_layout layout = {.keyspace_count = 1, .keyspace = keyspaces, .lateness_ms = 20 * (int64_t)DAY, .shard_bytes_max = 1 << 24};

static struct state *state_of(const struct state_layout *of)
{
    struct error err = {0};
    static const unsigned char seed[16] = {3};
    struct state *state = state_new(of, seed, &err);
    cr_assert_not_null(state, "%s", err.text);
    return state;
}

static struct state *state_make(void)
{
    return state_of(&layout);
}

static uint64_t draw(uint64_t *chance)
{
    uint64_t z = (*chance += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* One event of a key: an account that received at time_ms, the first window only unless `all`. */
static void event(struct state *state, uint32_t key, uint64_t n, int64_t time_ms, bool all)
{
    struct shard *shard = state_shard(state, key & 255);
    struct cell *cell = cell_get(shard, 0, &key);
    struct record record = {.time_ms = time_ms, .seq = n + 1, .amount = 5, .sender = (entity_id)(n % 100000) + 256, .receiver = key, .day = (int32_t)(time_ms / DAY)};
    int32_t from;
    cr_assert(window_add(shard, cell, 0, 0, &record, true));
    (void)clock_raise(shard, cell, 0, 0, time_ms);
    if (!all)
        return;
    int32_t week = (int32_t)((time_ms + 3 * (int64_t)DAY) / (7 * (int64_t)DAY)); /* two turns of it in twelve days */
    if (habit_due(shard, cell, 0, 1, 1, week, &from))
        for (; from < week; from++)
            habit_put(shard, cell, 0, 1, 1, from, (struct window_result){5, true});
    cr_assert(window_add(shard, cell, 0, 1, &record, true));
    struct memory_record kept = {.time_ms = time_ms, .seq = n + 1};
    memory_put(shard, cell, 0, 0, &kept);
}

Test(size, one_key_is_exact)
{
    struct state *state = state_make();
    struct arena arena;
    struct size_key key;
    arena_init(&arena);
    size_key(&layout, 0, &arena, &key);
    size_t before = slab_used(shard_slab(state_shard(state, 0))), table = 64; /* eight entries of 8 bytes */
    event(state, 256, 0, DAY, true);
    habit_put(state_shard(state, 0), cell_find(state_shard(state, 0), 0, &(uint32_t){256}), 0, 1, 1, 0, (struct window_result){5, true});
    size_t took = slab_used(shard_slab(state_shard(state, 0))) - before;
    size_t foretold = key.key + key.window[0] + key.window[1] + key.habit[1] + key.memory[0];
    cr_expect_lt(llabs((long long)took - (long long)(foretold - 16 + table)), 1, "took %zu, foretold %zu with its share of a table of %zu", took, foretold, table);
    state_free(state);
    arena_fini(&arena);
}

/* A pair that was met, and nothing else kept of it (`other is new`): sixteen bytes beside the table, and the newest time stays. */
Test(size, a_pair_alone_is_one_unit)
{
    static const struct memory_layout met = {.hash = 31, .for_ms = DAY};
    static const struct keyspace_layout pairs = {.hash = 42, .width = 2, .entity_words = 3, .memory_count = 1, .memory = &met, .widest_ms = DAY};
    static const struct state_layout alone = {.keyspace_count = 1, .keyspace = &pairs, .shard_bytes_max = 1 << 20};
    struct state *state = state_of(&alone);
    struct shard *shard = state_shard(state, 0);
    struct memory_record record = {0};
    struct state_stats stats;
    struct arena arena;
    struct size_key key;
    arena_init(&arena);
    size_key(&alone, 0, &arena, &key);
    size_t before = slab_used(shard_slab(shard)), table = 64;
    struct cell *cell = cell_get(shard, 0, (const uint32_t[]){256, 512});
    cr_expect(!memory_get(shard, cell, 0, 0, &record), "nothing is remembered yet");
    for (int64_t day = 1; day <= 3; day++)
        memory_put(shard, cell, 0, 0, &(struct memory_record){.time_ms = day * (day == 3 ? 0 : DAY), .seq = (uint64_t)day});
    cr_expect(memory_get(shard, cell, 0, 0, &record) && record.time_ms == 2 * (int64_t)DAY);
    state_stats(state, &stats);
    cr_expect_eq(slab_used(shard_slab(shard)) - before, 16 + table);
    cr_expect(key.key - 16 == 16 && key.memory[0] == 0 && stats.key_bytes == 16 + table && stats.memory_bytes == 0 && stats.memories == 1);
    cr_expect(shard_sweep(shard, 3 * (int64_t)DAY, 0) == 0 && shard_sweep(shard, 3 * (int64_t)DAY + 1, 0) == 1);
    cr_expect_eq(slab_used(shard_slab(shard)), before);
    state_free(state);
    arena_fini(&arena);
}

/* 6,000 busy keys and 60,000 quiet ones over twelve days: windows of two. */
Test(size, many_keys_by_chance)
{
    enum { EVENTS = 1200000, BUSY = 6000, QUIET = 60000, DAYS = 12 };
    struct state *state = state_make();
    struct arena arena;
    uint64_t chance = 5;
    uint32_t *times = calloc(BUSY + QUIET, sizeof *times), most = 0;
    for (uint64_t n = 0; n < EVENTS; n++) {
        uint32_t key = draw(&chance) % 10 < 8 ? (uint32_t)(draw(&chance) % BUSY) : BUSY + (uint32_t)(draw(&chance) % QUIET);
        event(state, key + 256, n, (int64_t)(n * DAYS * DAY / EVENTS) + DAY, n % 4 == 0);
        if (n % 4 == 0)
            times[key]++;
    }
    arena_init(&arena);
    double rate[2][2] = {{0.8 / BUSY, 0.2 / QUIET}, {0.2 / BUSY, 0.05 / QUIET}}, keys[2] = {BUSY, QUIET};
    struct spread all = {2, rate[0], keys}, some = {2, rate[1], keys};
    struct size_window window[2] = {{.records = all}, {.records = some}};
    window[0].ids[WINDOW_SENDER] = (struct spread){1, (double[]){1e-9}, (double[]){1e9}}; /* nearly all different */
    struct size_keyspace keyspace = {.touched = all, .window = window, .memory = &some};
    struct size_load load = {.layout = &layout, .keyspace = &keyspace, .events_per_ms = (double)EVENTS / (DAYS * (double)DAY), .sweep_events = 65536,
                             .dedup_ms = DAY};
    struct size_state size;
    struct state_stats stats;
    size_state(&load, DAYS * (int64_t)DAY, &arena, &size);
    state_stats(state, &stats);
    const struct size_window_part *part = size.keyspace[0].window;
    double records = part[0].record.count + part[1].record.count;
    double bytes = part[0].window.bytes + part[0].record.bytes + part[0].id.bytes + part[1].window.bytes + part[1].record.bytes + part[1].day.bytes + part[1].habit.bytes;
    cr_expect_float_eq(size.keyspace[0].key.count / (double)stats.keys, 1, 0.01);
    cr_expect_float_eq(size.keyspace[0].key.bytes / (double)stats.key_bytes, 1, 0.03);
    cr_expect_float_eq(records / (double)stats.records, 1, 0.03, "%.0f records, foretold %.0f", (double)stats.records, records);
    cr_expect_float_eq(bytes / (double)stats.record_bytes, 1, 0.08, "%.0f bytes, foretold %.0f", (double)stats.record_bytes, bytes);
    cr_expect_float_eq(size.used / (double)stats.bytes_used, 1, 0.08, "%.0f used, foretold %.0f", (double)stats.bytes_used, size.used);
    double half = SHARD_COUNT * SLAB_PAGE / 2.0, resident = (double)stats.bytes_resident - half; /* counted in whole pages */
    cr_expect_float_eq(size.held, resident, half + 0.08 * resident, "%.0f held, foretold %.0f", resident, size.held);

    /* the rates are found again from a quarter of the events, and what they say of all of them holds */
    for (uint32_t k = 0; k < BUSY + QUIET; k++)
        most = times[k] > most ? times[k] : most;
    uint32_t *value = calloc(most + 1, sizeof *value);
    double *with = calloc(most + 1, sizeof *with);
    for (uint32_t k = 0; k < BUSY + QUIET; k++)
        with[times[k]] += 1;
    uint32_t values = 0;
    for (uint32_t t = 1; t <= most; t++) {
        if (with[t] == 0)
            continue;
        with[values] = with[t];
        value[values++] = t;
    }
    struct spread fitted;
    spread_fit(&fitted, &arena, value, with, values, EVENTS / 4.0);
    cr_expect_float_eq(spread_rate(&fitted), 1, 0.01, "per event %.3f", spread_rate(&fitted));
    cr_expect_float_eq(spread_seen(&fitted, EVENTS / 4.0) / (BUSY + QUIET * -expm1(-0.2 / QUIET * EVENTS / 4)), 1, 0.01);
    double later = BUSY + QUIET * -expm1(-0.2 / QUIET * EVENTS);
    cr_expect_float_eq(spread_seen(&fitted, EVENTS) / later, 1, 0.05, "%.0f, foretold %.0f", later, spread_seen(&fitted, EVENTS));
    free(value);
    free(with);
    free(times);
    state_free(state);
    arena_fini(&arena);
}

/* Keys of which two thirds met an event within the lateness and two days more: the others' clocks were swept, a shard after the other. */
Test(size, clocks_by_chance)
{
    enum { EVENTS = 300000, KEYS = 60000, DAYS = 12, SWEEP = 8192, CLOCKS = 9 };
    static const uint64_t many[CLOCKS] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const struct keyspace_layout clocked[] = {{.hash = 5, .width = 1, .clock_count = CLOCKS, .clock_hash = many, .widest_ms = 200 * (int64_t)DAY}};
    static const struct state_layout swept = {.keyspace_count = 1, .keyspace = clocked, .lateness_ms = DAY, .shard_bytes_max = 1 << 24};
    struct state *state = state_of(&swept);
    uint64_t chance = 11;
    for (uint64_t n = 0; n < EVENTS; n++) {
        int64_t time_ms = (int64_t)(n * DAYS * DAY / EVENTS) + DAY;
        uint64_t name = draw(&chance) % KEYS + 1;
        uint32_t key = (uint32_t)(draw(&name) >> 8); /* so that chance says how many keys a shard has */
        struct shard *shard = state_shard(state, key & 255);
        (void)clock_raise(shard, cell_get(shard, 0, &key), 0, (uint16_t)(n % CLOCKS), time_ms);
        if (n % (SWEEP / 256) == 0)
            (void)shard_sweep(state_shard(state, (uint32_t)(n / (SWEEP / 256) % 256)), time_ms - DAY, INT64_MIN / 2);
    }
    struct spread all = {1, (double[]){1.0 / KEYS}, (double[]){KEYS}};
    struct size_keyspace keyspace = {.touched = all};
    struct size_load load = {.layout = &swept, .keyspace = &keyspace, .events_per_ms = (double)EVENTS / (DAYS * (double)DAY), .sweep_events = SWEEP, .dedup_ms = DAY};
    struct arena arena;
    struct size_state size;
    struct state_stats stats;
    arena_init(&arena);
    size_state(&load, DAYS * (int64_t)DAY, &arena, &size);
    state_stats(state, &stats);
    cr_expect_float_eq(size.keyspace[0].key.bytes / (double)stats.key_bytes, 1, 0.01, "%llu bytes, foretold %.0f", (unsigned long long)stats.key_bytes,
                       size.keyspace[0].key.bytes);
    cr_expect_lt(stats.key_bytes, KEYS * 118, "130 if all held clocks");
    state_free(state);
    arena_fini(&arena);
}

/* Ids and references of two days, swept as the engine does it: a shard after the other. */
Test(size, repeats_by_chance)
{
    enum { EVENTS = 900000, DAYS = 6, SWEEP = 8192, JOIN_EACH = 3 };
    const struct state_layout none = {.lateness_ms = DAY, .shard_bytes_max = 1 << 24};
    struct error err = {0};
    static const unsigned char seed[16] = {3};
    struct state *state = state_new(&none, seed, &err);
    struct hash128 ref[REF_COUNT] = {{0, 0}};
    uint64_t chance = 7, refs = 0;
    int64_t horizon_ms = INT64_MIN;
    uint32_t same;
    for (uint64_t n = 0; n < EVENTS; n++) {
        int64_t time_ms = (int64_t)(n * DAYS * DAY / EVENTS) + DAY;
        struct hash128 id = {draw(&chance), draw(&chance)}, join = {draw(&chance), draw(&chance)};
        (void)dedup_check(state_shard(state, id.lo & 255), id, id.lo, time_ms, horizon_ms);
        if (n % JOIN_EACH == 0) {
            uint64_t ends = draw(&chance) % 5;
            for (uint64_t r = 0; r < 4; r++)
                ref[r] = (struct hash128){r < ends, r < ends ? draw(&chance) : 0};
            refs += ends;
            (void)join_check(state_shard(state, join.lo & 255), join, ref, time_ms, horizon_ms, &same);
        }
        if (n % SWEEP == 0)
            horizon_ms = time_ms - 2 * DAY;
        if (n % (SWEEP / 256) == 0)
            (void)shard_sweep(state_shard(state, (uint32_t)(n / (SWEEP / 256) % 256)), INT64_MIN / 2, horizon_ms);
    }
    struct size_load load = {.layout = &none, .events_per_ms = (double)EVENTS / (DAYS * (double)DAY), .sweep_events = SWEEP, .dedup_ms = DAY,
                             .remembered = 1, .joinable = 1.0 / JOIN_EACH, .join_ends = (double)refs * JOIN_EACH / EVENTS};
    struct arena arena;
    struct size_state size;
    struct state_stats stats;
    arena_init(&arena);
    size_state(&load, DAYS * (int64_t)DAY, &arena, &size);
    state_stats(state, &stats);
    cr_expect_float_eq(size.repeat.count / (double)stats.dedup_entries, 1, 0.02);
    cr_expect_float_eq(size.repeat.bytes / (double)stats.dedup_bytes, 1, 0.02, "%llu bytes, foretold %.0f", (unsigned long long)stats.dedup_bytes, size.repeat.bytes);
    cr_expect_float_eq(size.join.count / (double)stats.report_entries, 1, 0.02);
    cr_expect_float_eq(size.join.bytes / (double)stats.report_bytes, 1, 0.04, "%llu bytes, foretold %.0f", (unsigned long long)stats.report_bytes, size.join.bytes);
    cr_expect_leq(stats.dedup_bytes, 24 * stats.dedup_entries, "%llu bytes for %llu ids", (unsigned long long)stats.dedup_bytes, (unsigned long long)stats.dedup_entries);
    cr_expect_lt(stats.report_bytes, 36 * stats.report_entries, "%llu bytes for %llu references of two ends each", (unsigned long long)stats.report_bytes,
                 (unsigned long long)stats.report_entries);
    state_free(state);
    arena_fini(&arena);
}

Test(size, more_accounts_share_the_same_events)
{
    struct spread spread = {2, (double[]){0.5, 0.001}, (double[]){1, 500}};
    cr_expect_float_eq(spread_rate(&spread), 1, 1e-9);
    spread_scale(&spread, 3);
    cr_expect_float_eq(spread_rate(&spread), 1, 1e-9);
    cr_expect_float_eq(spread_seen(&spread, 1e9), 1503, 1e-6);
    cr_expect_float_eq(poisson_most(3, 2), 0.857123, 1e-5);
    cr_expect_float_eq(poisson_most(99, 100), 0.4867, 1e-2);
    cr_expect_eq(poisson_most(-1, 5), 0);
}
