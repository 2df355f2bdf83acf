/* Clocks in a block of their own: made when one is raised, gone once all lie long before a sweep's horizon, and nobody can tell. */
#include "engine/state/checkpoint.h"
#include "tests/unit/state/sum.h"

#include <criterion/criterion.h>

enum { CLOCKS = 29, HOUR = 3600000 };

static uint64_t hashes[CLOCKS];
static struct keyspace_layout keyspaces[] = {{.hash = 5, .width = 1, .clock_count = CLOCKS, .clock_hash = hashes, .widest_ms = 100 * (int64_t)HOUR},
                                             {.hash = 6, .width = 1, .widest_ms = HOUR}};
static const struct state_layout layout = {.keyspace_count = 2, .keyspace = keyspaces, .lateness_ms = HOUR, .shard_bytes_max = 1 << 20};
static const uint32_t key[] = {256};

static struct state *state_open(void)
{
    struct error err = {0};
    static const unsigned char seed[16] = {3};
    for (uint64_t i = 0; i < CLOCKS; i++)
        hashes[i] = 100 + i;
    struct state *state = state_new(&layout, seed, &err);
    cr_assert_not_null(state, "%s", err.text);
    return state;
}

Test(clock, is_made_when_raised_and_never_falls)
{
    struct state *state = state_open();
    struct shard *shard = state_shard(state, 0);
    struct cell *cell = cell_get(shard, 0, key);
    uint64_t before = used(state);
    cr_expect_eq(clock_read(shard, cell, 0, 28), INT64_MIN);
    cr_expect_eq(used(state), before, "reading makes none");
    cr_expect_eq(clock_raise(shard, cell, 0, 28, 50), 50);
    cr_expect_eq(used(state) - before, slab_block(CLOCKS * sizeof(int64_t)));
    cr_expect_eq(clock_raise(shard, cell, 0, 28, 40), 50);
    cr_expect_eq(clock_raise(shard, cell, 0, 0, 40), 40, "each has its own");
    cr_expect_eq(clock_read(shard, cell, 0, 28), 50);
    cr_expect_eq(clock_read(shard, cell, 0, 1), INT64_MIN);
    (void)shard_sweep(shard, 51 + 100 * (int64_t)HOUR, INT64_MIN / 2);
    cr_expect_null(cell_find(shard, 0, key));
    cr_expect_eq(clock_read(shard, cell_get(shard, 1, key), 1, 0), INT64_MIN, "a key without clocks");
    state_free(state);
}

Test(clock, goes_behind_the_horizon_and_nothing_shows)
{
    struct state *swept = state_open(), *kept = state_open();
    struct state *const each[] = {swept, kept};
    int64_t now_ms = 1000 * (int64_t)HOUR;
    for (int s = 0; s < 2; s++) {
        struct shard *shard = state_shard(each[s], 0);
        struct cell *cell = cell_get(shard, 0, key);
        (void)clock_raise(shard, cell, 0, 3, now_ms);
        (void)clock_raise(shard, cell, 0, 7, now_ms + 5);
    }
    struct shard *shard = state_shard(swept, 0);
    struct cell *cell = cell_find(shard, 0, key);
    uint64_t full = used(swept);
    cr_expect_eq(shard_sweep(shard, now_ms + 5 + CLOCK_KEEP_MS, INT64_MIN / 2), 0);
    cr_expect_eq(clock_read(shard, cell, 0, 3), now_ms, "the other still matters: the block stays");
    cr_expect_eq(used(swept), full);
    cr_expect(hash_equal(swept, kept, now_ms + 5 + CLOCK_KEEP_MS));
    cr_expect_eq(shard_sweep(shard, now_ms + 6 + CLOCK_KEEP_MS, INT64_MIN / 2), 0, "the key stays");
    cr_expect_eq(full - used(swept), slab_block(CLOCKS * sizeof(int64_t)));
    cr_expect_eq(clock_read(shard, cell, 0, 7), INT64_MIN);
    cr_expect(hash_equal(swept, kept, now_ms + 6 + CLOCK_KEEP_MS));
    /* what comes at or behind that says the same of both, even where it is as late as that */
    for (int64_t t = now_ms + 6; t < now_ms + 12; t += 2)
        for (uint16_t clock = 0; clock < CLOCKS; clock += 7) {
            struct cell *other = cell_find(state_shard(kept, 0), 0, key);
            int64_t at_ms = t - (clock == 14 ? 0 : 1) + 1;
            cr_expect_eq(clock_raise(shard, cell, 0, clock, at_ms), clock_raise(state_shard(kept, 0), other, 0, clock, at_ms));
        }
    cr_expect(hash_equal(swept, kept, now_ms + 6 + CLOCK_KEEP_MS));
    (void)clock_raise(shard, cell, 0, 7, now_ms + 99);
    cr_expect_not(hash_equal(swept, kept, now_ms + 6 + CLOCK_KEEP_MS), "a clock that matters shows");
    state_free(swept);
    state_free(kept);
}

Test(clock, of_a_key_that_is_there_rises_in_a_full_shard)
{
    struct state *state = state_open();
    struct shard *shard = state_shard(state, 0);
    struct cell *cell = cell_get(shard, 0, key);
    struct state_totals totals;
    for (uint32_t n = 0; used(state) <= 1 << 20; n++)
        (void)cell_get(shard, 1, &(uint32_t){(n + 2) * 256});
    shard_look(shard);
    cr_assert_null(cell_get(shard, 1, &(uint32_t){128}));
    cr_expect_eq(clock_raise(shard, cell, 0, 2, 70), 70);
    cr_expect_eq(clock_raise(shard, cell, 0, 2, 60), 70);
    state_totals(state, &totals);
    cr_expect_eq(totals.bound[BOUND_KEY], 1, "only the new key was refused");
    state_free(state);
}
