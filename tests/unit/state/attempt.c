/* Attempts in state: kept, ended, swept with their key, and left out of a checkpoint of another rule. */
#include "engine/state/checkpoint.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct attempt_layout attempts[] = {{.hash = 7, .word_count = 3}, {.hash = 8, .word_count = 12}};
static const struct attempt_layout changed[] = {{.hash = 7, .word_count = 3}, {.hash = 9, .word_count = 12}};
static const uint64_t clocks[] = {11};
#define KEYSPACE(which) {.hash = 5, .width = 1, .clock_count = 1, .clock_hash = clocks, .attempt_count = 2, .attempt = which, .widest_ms = 1000}
static const struct keyspace_layout keyspaces[] = {KEYSPACE(attempts)}, other_keyspaces[] = {KEYSPACE(changed)};
#define LAYOUT(which) {.keyspace_count = 1, .keyspace = which, .lateness_ms = 10, .shard_bytes_max = 1 << 20}
static const struct state_layout layout = LAYOUT(keyspaces), other_layout = LAYOUT(other_keyspaces);

static const uint32_t key[] = {256};

static struct state *state_open(void)
{
    struct error err = {0};
    static const unsigned char seed[16] = {3};
    struct state *state = state_new(&layout, seed, &err);
    cr_assert_not_null(state, "%s", err.text);
    return state;
}

static uint64_t used(struct state *state)
{
    return slab_used(shard_slab(state_shard(state, 0)));
}

Test(attempt, is_kept_until_it_ends_and_leaves_nothing)
{
    struct state *state = state_open();
    struct shard *shard = state_shard(state, 0);
    struct cell *cell = cell_get(shard, 0, key);
    int64_t words[12] = {1, -2, INT64_MAX}, got[12] = {0};
    uint64_t before = used(state);
    cr_expect_not(attempt_get(shard, cell, 0, 0, got));
    attempt_end(shard, cell, 0, 0);
    cr_assert(attempt_put(shard, cell, 0, 0, words));
    cr_expect(attempt_get(shard, cell, 0, 0, got) && memcmp(got, words, 3 * sizeof *words) == 0);
    cr_expect_not(attempt_get(shard, cell, 0, 1, got), "each rule has its own");
    words[0] = 2;
    cr_assert(attempt_put(shard, cell, 0, 0, words) && attempt_put(shard, cell, 0, 1, words));
    struct state_stats stats;
    state_stats(state, &stats);
    cr_expect_eq(stats.attempts, 2);
    attempt_end(shard, cell, 0, 0);
    cr_expect_not(attempt_get(shard, cell, 0, 0, got));
    attempt_end(shard, cell, 0, 1);
    cr_expect_eq(used(state), before);
    state_free(state);
}

Test(attempt, goes_with_its_key)
{
    struct state *state = state_open();
    struct shard *shard = state_shard(state, 0);
    uint64_t before = used(state);
    struct cell *cell = cell_get(shard, 0, key);
    int64_t words[12] = {1};
    (void)clock_raise(shard, cell, 0, 0, 5000);
    cr_assert(attempt_put(shard, cell, 0, 1, words));
    cr_expect_eq(shard_sweep(shard, 6000, 0), 0, "RULES 3: not before the widest span has passed");
    cr_expect_eq(shard_sweep(shard, 6001, 0), 1);
    cr_expect_null(cell_find(shard, 0, key));
    cr_expect_leq(used(state) - before, 1024, "what stays is the table of keys");
    state_free(state);
}

static void refused(void *context, const char *file, const char *reason)
{
    (void)context;
    cr_expect_fail("%s: %s", file, reason);
}

Test(attempt, of_a_changed_rule_is_not_read_from_a_checkpoint)
{
    char dir[] = "/tmp/muster-attempt.XXXXXX", path[128];
    struct error err = {0};
    struct state *state = state_open(), *again = NULL;
    int64_t words[12] = {1, 2, 3}, got[12];
    cr_assert_not_null(mkdtemp(dir));
    cr_assert(attempt_put(state_shard(state, 0), cell_get(state_shard(state, 0), 0, key), 0, 1, words));
    struct checkpoint_head head = {.block = 1, .seq = 1, .extra = "x", .extra_size = 1};
    struct checkpoint_writer *writer = checkpoint_begin(state, &layout, &head, &err);
    cr_assert(writer && checkpoint_write(writer, dir, &err) && checkpoint_publish(writer, &err), "%s", err.text);
    checkpoint_end(writer);
    cr_assert(checkpoint_load(dir, 1, &other_layout, &again, &head, refused, NULL, &err), "%s", err.text);
    cr_expect(head.mapping.changed && head.mapping.kept == 1 && head.mapping.fresh == 1 && head.mapping.gone == 1);
    cr_expect_not(attempt_get(state_shard(again, 0), cell_find(state_shard(again, 0), 0, key), 0, 1, got));
    free((void *)(uintptr_t)head.extra);
    state_free(again);
    cr_assert(checkpoint_load(dir, 1, &layout, &again, &head, refused, NULL, &err));
    cr_expect_not(head.mapping.changed);
    struct shard *shard = state_shard(again, 0);
    cr_expect(attempt_get(shard, cell_find(shard, 0, key), 0, 1, got) && got[2] == 3);
    free((void *)(uintptr_t)head.extra);
    snprintf(path, sizeof path, "%s/checkpoint-%020d", dir, 1);
    cr_expect_eq(unlink(path) | rmdir(dir), 0);
    state_free(state);
    state_free(again);
}
