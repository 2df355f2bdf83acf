/* A habit before its first sample lies in its window, whatever the week. */
#include "tests/unit/state/sum.h"

#include <criterion/criterion.h>

enum { DAY = 86400000 };

static const struct aggregate_layout aggregate = {.hash = 1, .fn = WINDOW_SUM, .habit = 1};
static const struct window_layout window = {.hash = 2, .keep_ms = 30 * (int64_t)DAY, .habit_count = 1, .extra_count = 1, .aggregate_count = 1, .aggregate = &aggregate};
static const struct keyspace_layout keyspace = {.hash = 5, .width = 1, .window_count = 1, .window = &window,
                                                .widest_ms = 27 * 7 * (int64_t)DAY};
static const struct state_layout layout = {.keyspace_count = 1, .keyspace = &keyspace, .shard_bytes_max = 1 << 20};
static const uint32_t key[] = {256};

static struct state *state_open(void)
{
    struct error err = {0};
    static const unsigned char seed[16] = {3};
    struct state *state = state_new(&layout, seed, &err);
    cr_assert_not_null(state, "%s", err.text);
    return state;
}

Test(habit, takes_room_with_its_first_sample)
{
    static const int32_t first[] = {-3000, -1, 0, 1, 2950, 400000};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        struct state *state = state_open(), *other = state_open();
        struct shard *shard = state_shard(state, 0);
        struct cell *cell = cell_get(shard, 0, key);
        int32_t from = 0, week = first[i];
        const struct record record = {.time_ms = week * 7 * (int64_t)DAY, .seq = 1, .amount = 5};
        cr_expect(window_add(shard, cell, 0, 0, &record, false));
        cr_expect(window_add(state_shard(other, 0), cell_get(state_shard(other, 0), 0, key), 0, 0, &record, false));
        uint64_t before = used(state);
        cr_expect_not(habit_due(shard, cell, 0, 0, 1, week, &from), "the first week is not sampled");
        cr_expect_eq(used(state), before);
        cr_expect_not(hash_equal(state, other, INT64_MIN), "when it began is content");
        cr_expect_not(habit_median(shard, cell, 0, 0, 1, week + 1).known);
        cr_expect_not(habit_due(shard, cell, 0, 0, 1, week + 1, &from), "its first week has ended, and none behind it");
        cr_expect(habit_due(shard, cell, 0, 0, 1, week + 3, &from));
        cr_expect_eq(from, week + 1);
        cr_expect_not(habit_due(shard, cell, 0, 0, 1, week + 1 + HABIT_WEEKS, &from), "after so long a silence it begins anew");
        cr_expect_eq(used(state), before);
        week += 1 + HABIT_WEEKS;
        for (int32_t w = week + 1; w <= week + HABIT_WEEKS_LEAST; w++) {
            cr_expect(habit_due(shard, cell, 0, 0, 1, w + 1, &from) && from == w);
            habit_put(shard, cell, 0, 0, 1, w, (struct window_result){w - week, true});
        }
        cr_expect_eq(used(state) - before, slab_block(8 + HABIT_WEEKS * sizeof(int64_t)));
        struct window_result median = habit_median(shard, cell, 0, 0, 1, week + 1 + HABIT_WEEKS_LEAST);
        cr_expect(median.known && median.value == 4, "4.5, half to even");
        (void)shard_sweep(shard, (week + 60) * 7 * (int64_t)DAY, INT64_MIN / 2);
        cr_expect_null(cell_find(shard, 0, key));
        state_free(state);
        state_free(other);
    }
}
