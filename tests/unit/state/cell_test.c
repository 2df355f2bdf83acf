/* Keys found by way of what was asked into the cache for them: the same as without. */
#include "engine/state/state.h"

#include <criterion/criterion.h>

enum { KEYS = 400 };

static const uint64_t clocks[] = {11};
static const struct keyspace_layout keyspaces[] = {{.hash = 5, .width = 2, .clock_count = 1, .clock_hash = clocks, .widest_ms = 1000}};
static const struct state_layout layout = {.keyspace_count = 1, .keyspace = keyspaces, .lateness_ms = 10, .shard_bytes_max = 1 << 20};

Test(cell, is_the_keys_own_whatever_was_asked_for)
{
    struct error err = {0};
    static const unsigned char seed[16] = {3};
    struct state *state = state_new(&layout, seed, &err);
    cr_assert_not_null(state, "%s", err.text);
    struct shard *shard = state_shard(state, 0);
    const struct cell *other = NULL;
    uint32_t near = 0;
    for (uint32_t k = 0; k < KEYS; k++) {
        const uint32_t key[2] = {7, k};
        cr_expect_null(cell_find_near(shard, 0, key, cell_prefetch_body(shard, 0, key)));
        cr_expect_null(cell_find_near(shard, 0, key, other), "another key with the same first word");
        other = cell_add(shard, 0, key);
        cr_expect_eq(cell_get(shard, 0, key), other);
    }
    for (uint32_t k = 0; k < KEYS; k++) {
        const uint32_t key[2] = {7, k};
        struct cell *cell = cell_find(shard, 0, key);
        const struct cell *asked = cell_prefetch_body(shard, 0, key);
        cr_assert_not_null(cell);
        near += asked == cell;
        cr_expect_eq(cell_find_near(shard, 0, key, asked), cell);
        cr_expect_eq(cell_find_near(shard, 0, key, other), cell);
        cr_expect_eq(cell_find_near(shard, 0, key, NULL), cell);
    }
    cr_expect_gt(near, KEYS / 4, "few keys are where they are looked for first: %u", near);
    state_free(state);
}
