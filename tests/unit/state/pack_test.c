/* Cells of many parts: packed once their keys have gone quiet, opened when something comes; and nobody can tell. */
#include "engine/state/private.h" /* whether a window lies folded nobody is told */
#include "tests/unit/state/sum.h"

#include <criterion/criterion.h>

enum { WINDOWS = 70, MEMORIES = 3, ATTEMPTS = 2, FACT = 2, KEYS = 40, HOUR = 3600000, DAY = 24 * HOUR };
static const int64_t T0 = (int64_t)20500 * DAY;

enum { SUMMED = 2, HABITUAL = 4 }; /* every so many windows have a sum; and its usual value */
static struct window_layout windows[WINDOWS];
static const struct aggregate_layout sums[] = {{.hash = 41, .fn = WINDOW_SUM, .column = WINDOW_AMOUNT}, {.hash = 42, .fn = WINDOW_SUM, .column = WINDOW_AMOUNT, .habit = 1}};
static const uint64_t clocks[] = {11, 12};
static const struct memory_layout memories[MEMORIES] = {{.hash = 21, .for_ms = 90 * (int64_t)DAY, .keep_count = 1}, {.hash = 22, .for_ms = 90 * (int64_t)DAY, .keep_count = 1},
                                                        {.hash = 23, .keep_count = 1, .dated = true}};
static const struct attempt_layout attempts[ATTEMPTS] = {{.hash = 31, .word_count = 2}, {.hash = 32, .word_count = 2}};
static struct keyspace_layout keyspaces[] = {{.hash = 5, .width = 1, .clock_count = 2, .clock_hash = clocks, .window_count = WINDOWS, .window = windows,
                                              .memory_count = MEMORIES, .memory = memories, .attempt_count = ATTEMPTS, .attempt = attempts, .widest_ms = 200 * (int64_t)DAY},
                                             {.hash = 6, .width = 1, .widest_ms = 90 * (int64_t)DAY}};
static const struct state_layout layout = {.keyspace_count = 2, .keyspace = keyspaces, .lateness_ms = HOUR, .shard_bytes_max = 1 << 20};

static struct state *state_open(void)
{
    struct error err = {0};
    static const unsigned char seed[16] = {3};
    for (int i = 0; i < WINDOWS; i++)
        windows[i] = (struct window_layout){.hash = 100 + (uint64_t)i, .keep_ms = 90 * (int64_t)DAY, .extra_count = 1, .habit_count = i % HABITUAL == 0,
                                            .aggregate_count = i % SUMMED == 0, .aggregate = &sums[i % HABITUAL == 0]};
    struct state *state = state_new(&layout, seed, &err);
    cr_assert_not_null(state, "%s", err.text);
    return state;
}

static uint64_t draw(uint64_t *chance, uint64_t below)
{
    *chance = *chance * 6364136223846793005u + 1442695040888963407u;
    return (*chance >> 33) % below;
}

/* One part of a key changes, or comes. */
static void change(struct shard *shard, uint32_t k, uint64_t what, int64_t time_ms, uint64_t seq)
{
    struct cell *cell = cell_get(shard, 0, &(uint32_t){k * 256});
    const struct record record = {.time_ms = time_ms, .seq = seq, .amount = (int64_t)seq, .extra = {(int64_t)what}};
    const struct memory_record kept = {.time_ms = time_ms, .seq = seq, .keep = {(int64_t)seq}};
    uint16_t part = (uint16_t)(what < WINDOWS ? what : what - WINDOWS);
    cr_assert_not_null(cell);
    int32_t week = (int32_t)(time_ms / DAY / 7), from = week;
    if (what < WINDOWS && windows[part].habit_count && habit_due(shard, cell, 0, part, 1, week, &from))
        habit_put(shard, cell, 0, part, 1, from, (struct window_result){(int64_t)seq, true});
    if (what < WINDOWS)
        cr_assert(window_add(shard, cell, 0, part, &record, false));
    else if (part < FACT)
        memory_put(shard, cell, 0, part, &kept);
    else if (part == FACT)
        cr_assert(fact_put(shard, cell, 0, part, &kept, false));
    else if (part < MEMORIES + ATTEMPTS)
        cr_assert(clock_raise(shard, cell, 0, 0, time_ms) >= time_ms && attempt_put(shard, cell, 0, (uint16_t)(part - MEMORIES), (const int64_t[]){time_ms, (int64_t)seq}));
    else if (part == MEMORIES + ATTEMPTS)
        attempt_end(shard, cell, 0, 0);
    else
        (void)clock_raise(shard, cell, 0, part % 2, time_ms);
}

/* Two states hear the same. One is swept all the time: its quiet keys are packed, come back, lose parts while they are packed. */
Test(pack, cannot_be_told)
{
    struct state *swept = state_open(), *kept = state_open();
    uint64_t chance = 7, most = 0;
    int64_t now_ms = T0;
    for (uint64_t seq = 1; seq <= 6000; seq++) {
        uint32_t k = (uint32_t)draw(&chance, KEYS);
        uint64_t what = draw(&chance, WINDOWS + MEMORIES + ATTEMPTS + 3);
        if (k < KEYS / 2 && what == WINDOWS + FACT)
            what = 0; /* a key with a fact is never dropped */
        now_ms += (int64_t)draw(&chance, seq % 500 < 250 ? HOUR : DAY);
        change(state_shard(swept, 0), k, what, now_ms, seq);
        change(state_shard(kept, 0), k, what, now_ms, seq);
        if (seq % 25)
            continue;
        (void)shard_sweep(state_shard(swept, 0), now_ms - HOUR, INT64_MIN / 2);
        most = used(kept) - used(swept) > most ? used(kept) - used(swept) : most;
        cr_assert(hash_equal(swept, kept, now_ms - HOUR), "at %d", (int)seq);
    }
    cr_expect_gt(most, 10 * 256, "something was packed");
    state_free(swept);
    state_free(kept);
}

static size_t cell_takes(struct state *state, int64_t *newest_ms, uint32_t parts)
{
    struct shard *shard = state_shard(state, 0);
    uint64_t before = used(state), held;
    for (uint32_t p = 0; p < parts; p++)
        change(shard, 1, WINDOWS - 1 - p, *newest_ms, 1 + p);
    (void)clock_raise(shard, cell_find(shard, 0, &(uint32_t){256}), 0, 0, *newest_ms);
    held = used(state) - before;
    (void)shard_sweep(shard, *newest_ms + 2 * CLOCK_KEEP_MS, INT64_MIN / 2);
    cr_expect_eq(before + held - used(state), slab_block(2 * sizeof(int64_t)), "its clocks are gone; it may come back soon");
    (void)shard_sweep(shard, *newest_ms + 2 * CLOCK_KEEP_MS + 1, INT64_MIN / 2);
    *newest_ms += DAY;
    return held - slab_block(2 * sizeof(int64_t)) - (used(state) - before);
}

Test(pack, takes_what_the_parts_that_are_there_need)
{
    static const uint32_t parts[] = {1, 2, 3, 5, 20, WINDOWS};
    size_t open = 12 + 4 + 4 * (WINDOWS + 1 + MEMORIES + ATTEMPTS);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct state *state = state_open();
        struct shard *shard = state_shard(state, 0);
        int64_t now_ms = T0;
        size_t packed = 12 + (2 + 2 * parts[i] + 3) / 4 * 4 + 4 * parts[i];
        size_t folded = slab_block(32 + 40) - slab_block(16 + 40); /* of a window with one record */
        size_t gives = slab_block(packed) < slab_block(open) ? slab_block(open) - slab_block(packed) + folded * parts[i] : 0;
        cr_expect_eq(cell_takes(state, &now_ms, parts[i]), gives, "%u parts", parts[i]);
        const struct cell *cell = cell_find(shard, 0, &(uint32_t){256});
        cr_expect_eq(window_look(shard, cell, 0, WINDOWS - 1).count, 1);
        cr_expect_eq(window_look(shard, cell, 0, 0).count, parts[i] == WINDOWS);
        cr_expect_eq(clock_read(shard, cell, 0, 0), INT64_MIN);
        uint64_t before = used(state);
        cr_expect(cell_get(shard, 0, &(uint32_t){256}) && used(state) - before == gives, "opened");
        (void)shard_sweep(shard, now_ms + 210 * (int64_t)DAY, INT64_MIN / 2);
        cr_expect_null(cell_find(shard, 0, &(uint32_t){256}));
        state_free(state);
    }
}

/* A window folds with what it has: its records without room for more, its sum and its habit. One of many records keeps states, and stays. */
Test(pack, folds_windows_of_few_records)
{
    static const struct { uint32_t records; size_t gives; } rows[] = {{1, 80 - 64}, {2, 160 - 96}, {4, 240 - 176}, {8, 352 - 336}, {9, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct state *state = state_open();
        struct shard *shard = state_shard(state, 0);
        const struct keyspace_layout *in = shard_layout(shard, 0);
        const struct window_span all = {.floor_ms = INT64_MIN, .ceiling_ms = INT64_MAX};
        uint32_t records = rows[i].records;
        for (uint32_t r = 0; r < records; r++)
            change(shard, 1, 0, T0 + r, 1 + r);
        size_t whole = window_bytes(shard, window_ref(cell_find(shard, 0, &(uint32_t){256}), in, 0), in->window);
        (void)shard_sweep(shard, T0 + 3 * CLOCK_KEEP_MS, INT64_MIN / 2);
        const struct cell *quiet = cell_find(shard, 0, &(uint32_t){256});
        slab_ref ref = window_ref(quiet, in, 0);
        cr_expect_eq((ref & REF_FOLDED) != 0, rows[i].gives > 0, "%u records", records);
        cr_expect_eq(whole - window_bytes(shard, ref, in->window), rows[i].gives, "%u records: %zu", records, whole - window_bytes(shard, ref, in->window));
        cr_expect_eq(window_newest(shard, ref, in->window), T0 + records - 1);
        cr_expect_eq(window_records(shard, ref), records);
        cr_expect_eq(window_look(shard, quiet, 0, 0).count, records);
        struct cell *cell = cell_get(shard, 0, &(uint32_t){256});
        cr_expect_eq(window_ref(cell, in, 0) & REF_FOLDED, 0u);
        cr_expect_eq((uint32_t)window_value(shard, cell, 0, 0, 0, &all).value, records * (records + 1) / 2, "the sum");
        change(shard, 1, 0, T0 + 3 * CLOCK_KEEP_MS, 100);
        cr_expect_eq((uint32_t)window_value(shard, cell, 0, 0, 0, &all).value, 100 + records * (records + 1) / 2);
        state_free(state);
    }
}

/* Where even the reserve has no room, what is packed stays so: it is read as before, and what would change it goes without, and is counted. */
Test(pack, of_a_shard_without_room_is_not_opened)
{
    struct state *state = state_open();
    struct shard *shard = state_shard(state, 0);
    struct state_totals before, after;
    int64_t now_ms = T0;
    (void)cell_takes(state, &now_ms, 3);
    while (slab_alloc(shard_slab(shard), 4096))
        continue;
    while (slab_alloc(shard_slab(shard), 64))
        continue;
    struct cell *cell = cell_find(shard, 0, &(uint32_t){256});
    state_totals(state, &before);
    cr_expect_null(cell_open(shard, 0, cell));
    cr_expect_null(cell_get(shard, 0, &(uint32_t){256}));
    state_totals(state, &after);
    cr_expect_eq(after.bound[BOUND_KEY] - before.bound[BOUND_KEY], 2);
    cr_expect_eq(cell_find(shard, 0, &(uint32_t){256}), cell);
    for (uint16_t w = 0; w < WINDOWS; w++)
        cr_expect_eq(window_look(shard, cell, 0, w).count, w >= WINDOWS - 3);
    (void)shard_sweep(shard, now_ms + 210 * (int64_t)DAY, INT64_MIN / 2);
    cr_expect_null(cell_find(shard, 0, &(uint32_t){256}), "it goes when its time has come");
    state_free(state);
}
