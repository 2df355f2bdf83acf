/* Identities: a text that goes gives its number back, marks keep it, and a full shard says so. */
#include "engine/state/state.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const unsigned char seed[16] = {5};

static const struct window_layout windows[] = {{.hash = 1, .keep_ms = 1000}};
static const struct memory_layout memories[] = {{.hash = 2, .for_ms = 1000, .keep_count = 2, .entity_keeps = 2}};
static const struct keyspace_layout keyspaces[] = {{.hash = 5, .width = 1, .entity_words = 1, .window_count = 1, .window = windows,
                                                    .memory_count = 1, .memory = memories, .widest_ms = 1000}};

static struct state *state_make(size_t shard_bytes)
{
    struct error err = {0};
    struct state *state = state_new(&(struct state_layout){.keyspace_count = 1, .keyspace = keyspaces, .shard_bytes_max = shard_bytes}, seed, &err);
    cr_assert_not_null(state, "%s", err.text);
    return state;
}

static entity_id name(struct state *state, uint32_t shard, int number)
{
    char text[32];
    int size = snprintf(text, sizeof text, "account-%d", number);
    struct hash128 hash = {.lo = shard | (uint64_t)number << 8, .hi = (uint64_t)number * 0x9E3779B97F4A7C15u};
    return ident_intern(state_shard(state, shard), ENTITY_ACCOUNT, (struct slice){text, (size_t)size}, hash, NULL, NULL);
}

/* One cycle: all shards swept at a horizon, then settled. */
static uint64_t cycle(struct state *state, uint32_t number, int64_t horizon_ms)
{
    uint64_t freed = 0;
    for (uint32_t i = 0; i < SHARD_COUNT; i++)
        (void)shard_sweep(state_shard(state, i), horizon_ms, INT64_MIN);
    for (uint32_t i = 0; i < SHARD_COUNT; i++)
        freed += shard_settle(state_shard(state, i));
    state_cycle_set(state, number + 1);
    return freed;
}

static void assert_text(const struct state *state, entity_id id, const char *want)
{
    struct slice text = ident_text(state, id);
    cr_expect(slice_equal(text, slice_of(want)), "%.*s, not %s", (int)text.size, text.data, want);
}

Test(recycle, a_number_comes_back_lowest_first)
{
    struct state *state = state_make(1 << 20);
    entity_id a = name(state, 7, 1), b = name(state, 7, 2), c = name(state, 7, 3);
    cr_expect(a == (1 << 8 | 7) && b == (2 << 8 | 7) && c == (3 << 8 | 7));
    cr_expect_eq(cycle(state, 0, 0), 0, "named in this cycle");
    cr_expect_eq(name(state, 7, 3), c, "known still");
    cr_expect_eq(cycle(state, 1, 0), 0, "named in the cycle before");
    cr_expect_eq(cycle(state, 2, 0), 2);
    assert_text(state, c, "account-3");
    cr_expect_eq(name(state, 7, 4), a);
    cr_expect_eq(name(state, 7, 5), b);
    cr_expect_eq(name(state, 7, 6), (entity_id)(4 << 8 | 7));
    assert_text(state, a, "account-4");
    assert_text(state, b, "account-5");
    cr_expect_eq(name(state, 7, 1), (entity_id)(5 << 8 | 7), "a name that went is new when it comes again");
    state_free(state);
}

/* Whose number (behind `account-`) is odd is in lists: in those that the context says. */
static uint64_t odd_lists(const void *context, enum entity_kind kind, struct slice text)
{
    cr_expect_eq(kind, ENTITY_ACCOUNT);
    return (text.data[text.size - 1] - '0') % 2 ? *(const uint64_t *)context : 0;
}

Test(recycle, lists_are_kept_for_whom_they_name)
{
    struct state *state = state_make(1 << 20);
    struct shard *shard = state_shard(state, 7);
    const entity_id id[] = {name(state, 7, 1), name(state, 7, 2), name(state, 7, 3)};
    uint64_t bare = slab_used(shard_slab(shard));
    const uint64_t lists[] = {5, UINT64_MAX, 1, 0};
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        ident_relist(shard, odd_lists, &lists[l]);
        for (int i = 0; i < 3; i++)
            cr_expect_eq(ident_lists(state, id[i]), i == 1 ? 0 : lists[l], "list %zu of %d", l, i);
        assert_text(state, id[0], "account-1");
        assert_text(state, id[1], "account-2");
        assert_text(state, id[2], "account-3");
        cr_expect_eq(name(state, 7, 3), id[2], "found as before");
        cr_expect_eq(slab_used(shard_slab(shard)), bare + (lists[l] ? 2 * 16 : 0), "who is in no list takes nothing for it");
    }
    const struct hash128 hash = {.lo = 7 | 9 << 8, .hi = 9};
    entity_id listed = ident_intern(shard, ENTITY_ACCOUNT, SLICE("account-9"), hash, odd_lists, &lists[1]);
    cr_expect_eq(ident_lists(state, listed), UINT64_MAX);
    (void)cycle(state, 0, 0);
    (void)cycle(state, 1, 0);
    cr_expect_eq(cycle(state, 2, 0), 4, "gone, lists and all");
    state_free(state);
}

/* Finding what was interned is as good as interning it, and hints change nothing. Two identities share a tag, or the rest of their hashes. */
Test(recycle, what_is_found_is_as_good_as_interned)
{
    struct state *state = state_make(1 << 20);
    struct shard *shard = state_shard(state, 7);
    struct hash128 known = {.lo = 7 | 1 << 8, .hi = 1}, same_tag = {.lo = known.lo, .hi = 2}, same_rest = {.lo = 7 | (uint64_t)5 << 32, .hi = known.hi};
    ident_prefetch_table(shard, known);
    ident_prefetch(shard, known);
    cr_expect_eq(ident_find(shard, known), ENTITY_MISSING);
    entity_id id = ident_intern(shard, ENTITY_ACCOUNT, SLICE("account-1"), known, NULL, NULL);
    ident_prefetch_table(shard, known);
    ident_prefetch(shard, known);
    cr_expect_eq(ident_find(shard, known), id);
    cr_expect_eq(ident_find(shard, same_tag), ENTITY_MISSING);
    cr_expect_eq(ident_find(shard, same_rest), ENTITY_MISSING);
    entity_id second = ident_intern(shard, ENTITY_ACCOUNT, SLICE("account-2"), same_tag, NULL, NULL);
    entity_id third = ident_intern(shard, ENTITY_ACCOUNT, SLICE("account-3"), same_rest, NULL, NULL);
    cr_assert(second && third && second != id && third != id && third != second);
    for (uint32_t c = 0; c < 4; c++) {
        cr_expect_eq(ident_find(shard, known), id);
        cr_expect_eq(cycle(state, c, 0), c == 2 ? 2 : 0, "the found one is marked, the others go");
    }
    cr_expect_eq(ident_find(shard, same_tag), ENTITY_MISSING);
    assert_text(state, id, "account-1");
    cr_expect_eq(cycle(state, 4, 0) + cycle(state, 5, 0), 1);
    state_free(state);
}

Test(recycle, what_holds_an_id_keeps_it)
{
    struct state *state = state_make(1 << 20);
    entity_id key = name(state, 1, 1), sender = name(state, 2, 2), kept = name(state, 3, 3), number = name(state, 4, 4);
    struct shard *shard = state_shard(state, 1);
    struct cell *cell = cell_get(shard, 0, &key);
    cr_assert(window_add(shard, cell, 0, 0, &(struct record){.time_ms = 5000, .seq = 1, .amount = 1, .sender = sender, .receiver = key}, true));
    memory_put(shard, cell, 0, 0, &(struct memory_record){.time_ms = 5000, .seq = 1, .keep = {(int64_t)number, (int64_t)kept}});
    for (uint32_t i = 0; i < 600; i++) /* marks wrap around after 255 cycles */
        cr_assert_eq(cycle(state, i, 6000), i == 2 ? 1 : 0, "cycle %u", i); /* the number that only looks like an id */
    assert_text(state, sender, "account-2");
    assert_text(state, kept, "account-3");
    cr_expect_eq(cycle(state, 600, 6001), 0, "the key goes; its marks are of the cycle before");
    cr_expect_eq(cycle(state, 601, 6001), 3);
    struct state_totals totals;
    state_totals(state, &totals);
    cr_expect(totals.identities == 0 && totals.keys == 0 && totals.records == 0 && totals.identities_freed == 4 && totals.keys_dropped == 1);
    state_free(state);
}

Test(recycle, buckets_of_days_keep_the_ids_that_the_ring_no_longer_has)
{
    static const enum window_fn fn[] = {WINDOW_DISTINCT, WINDOW_FIRST, WINDOW_LAST};
    for (int f = 0; f < 3; f++) {
        const struct aggregate_layout aggregate = {.hash = 1, .fn = (uint8_t)fn[f], .column = WINDOW_SENDER, .days = 45, .days_kept = 50};
        const struct window_layout window = {.hash = 1, .keep_ms = 10, .by_day = true, .aggregate_count = 1, .aggregate = &aggregate};
        const struct keyspace_layout keyspace = {.hash = 5, .width = 1, .entity_words = 1, .window_count = 1, .window = &window, .widest_ms = 1000000};
        struct error err = {0};
        struct state *state = state_new(&(struct state_layout){.keyspace_count = 1, .keyspace = &keyspace, .shard_bytes_max = 1 << 20}, seed, &err);
        entity_id key = name(state, 1, 1), early = name(state, 2, 2), late = name(state, 3, 3);
        struct cell *cell = cell_get(state_shard(state, 1), 0, &key);
        cr_assert(window_add(state_shard(state, 1), cell, 0, 0, &(struct record){.time_ms = 1000, .seq = 1, .sender = early, .receiver = key, .day = 10}, true));
        cr_assert(window_add(state_shard(state, 1), cell, 0, 0, &(struct record){.time_ms = 2000, .seq = 2, .sender = late, .receiver = key, .day = 11}, true));
        for (uint32_t i = 0; i < 4; i++)
            cr_expect_eq(cycle(state, i, 3000), 0, "function %d", f);
        assert_text(state, early, "account-2");
        state_free(state);
    }
}

/* Spans of a second, of three days by day, of a second with a habit, of a second read by others; the key's is 40 days. */
Test(recycle, a_window_goes_when_its_own_span_has_passed)
{
    enum { DAY = 86400000, WINDOWS = 4 };
    static const struct aggregate_layout by_day[] = {{.hash = 1, .fn = WINDOW_COUNT, .days = 3, .days_kept = 5}};
    static const struct aggregate_layout sampled[] = {{.hash = 2, .fn = WINDOW_COUNT, .habit = 1}};
    const struct window_layout window[WINDOWS] = {{.hash = 1, .keep_ms = 1000},
                                                  {.hash = 2, .keep_ms = 1000, .aggregate_count = 1, .aggregate = by_day, .by_day = true},
                                                  {.hash = 3, .keep_ms = 1000, .aggregate_count = 1, .aggregate = sampled, .habit_count = 1},
                                                  {.hash = 4, .keep_ms = 1000, .read_by_others = true}};
    const struct keyspace_layout keyspace = {.hash = 5, .width = 1, .entity_words = 1, .window_count = WINDOWS, .window = window, .widest_ms = 40 * (int64_t)DAY};
    const struct state_layout layout = {.keyspace_count = 1, .keyspace = &keyspace, .shard_bytes_max = 1 << 20};
    const int64_t seen_ms = 100 * (int64_t)DAY, after_ms[WINDOWS] = {1000, 6 * (int64_t)DAY, 40 * (int64_t)DAY, 40 * (int64_t)DAY};
    struct error err = {0};
    struct state *state = state_new(&layout, seed, &err);
    cr_assert_not_null(state, "%s", err.text);
    entity_id key = name(state, 1, 1);
    struct shard *shard = state_shard(state, 1);
    for (uint16_t w = 0; w < WINDOWS; w++)
        cr_assert(window_add(shard, cell_get(shard, 0, &key), 0, w, &(struct record){.time_ms = seen_ms, .seq = 1, .receiver = key, .day = 100}, true));
    for (uint16_t w = 0; w < WINDOWS - 1; w++) { /* the last two go at once, with their key */
        struct census cells = {0}, held[WINDOWS] = {{0}};
        (void)shard_sweep(shard, seen_ms + after_ms[w], INT64_MIN);
        state_census(state, 0, &cells, held, NULL);
        cr_expect_eq(held[w].keys, 1, "window %u is held while its span may be asked for", w);
        cr_expect_eq(held[WINDOWS - 1].keys, 1);
        (void)shard_sweep(shard, seen_ms + after_ms[w] + 1, INT64_MIN);
        cells = held[w] = (struct census){0};
        state_census(state, 0, &cells, held, NULL);
        cr_expect_eq(held[w].keys, 0, "window %u is held no longer", w);
        cr_expect_eq(cells.keys, w < 2);
    }
    state_free(state);
}

Test(recycle, an_id_that_moves_on_is_marked_by_who_moves_it)
{
    struct state *state = state_make(1 << 20);
    entity_id key = name(state, 1, 1), who = name(state, 9, 2);
    for (uint32_t i = 0; i < 4; i++) {
        ident_mark(state, who);
        (void)cycle(state, i, 0);
    }
    assert_text(state, who, "account-2");
    cr_expect_eq(name(state, 1, 3), key, "the other one went");
    state_free(state);
}

Test(recycle, memory_comes_back)
{
    struct state *state = state_make(1 << 22);
    struct state_totals before, most, after;
    state_totals(state, &before);
    for (int i = 0; i < 20000; i++)
        (void)name(state, 0, i);
    state_totals(state, &most);
    for (uint32_t i = 0; i < 3; i++)
        (void)cycle(state, i, 0);
    state_totals(state, &after);
    cr_expect_eq(most.identities, 20000);
    cr_expect_eq(after.identities, 0);
    cr_expect_lt(after.bytes_used, before.bytes_used + 1024, "%llu bytes stay", (unsigned long long)(after.bytes_used - before.bytes_used));
    state_free(state);
}

Test(recycle, a_full_shard_takes_nothing_in_and_counts_it)
{
    struct state *state = state_make(64 * 1024);
    struct shard *shard = state_shard(state, 0);
    struct state_totals totals;
    uint32_t same;
    struct hash128 refs[REF_COUNT] = {{0, 0}};
    entity_id old = name(state, 0, 1);
    struct cell *cell = cell_get(shard, 0, &old);
    for (int i = 2; i < 3000; i++)
        (void)name(state, 0, i); /* until the look, the reserve takes it */
    shard_look(shard);
    uint32_t fresh_key = 99 << 8;
    cr_expect_eq(name(state, 0, 4000), ENTITY_MISSING);
    cr_expect_eq(name(state, 0, 1), old, "what is known is found");
    cr_expect_null(cell_get(shard, 0, &fresh_key));
    cr_expect_eq(cell_get(shard, 0, &old), cell);
    cr_expect_not(window_add(shard, cell, 0, 0, &(struct record){.time_ms = 1, .seq = 1}, true));
    memory_put(shard, cell, 0, 0, &(struct memory_record){.time_ms = 1});
    cr_expect_eq(dedup_check(shard, (struct hash128){0, 1}, 0, 1, 0), DEDUP_NEW);
    cr_expect_eq(dedup_check(shard, (struct hash128){0, 1}, 0, 1, 0), DEDUP_NEW, "not remembered");
    cr_expect_not(join_check(shard, (struct hash128){0, 2}, refs, 1, 0, &same));
    state_totals(state, &totals);
    cr_expect_eq(totals.shards_full, 1);
    cr_expect(totals.fullest_bytes > totals.shard_bytes_max);
    static const enum bound hit[] = {BOUND_IDENTITY, BOUND_KEY, BOUND_RECORD, BOUND_MEMORY, BOUND_REPEAT, BOUND_JOIN};
    for (size_t i = 0; i < sizeof hit / sizeof hit[0]; i++)
        cr_expect_eq(totals.bound[hit[i]], hit[i] == BOUND_REPEAT ? 2 : 1, "bound %d", (int)hit[i]);
    for (uint32_t i = 0; i < 3; i++)
        (void)cycle(state, i, 0);
    shard_look(shard);
    cr_expect_neq(name(state, 0, 4000), ENTITY_MISSING, "it takes in again once names have gone");
    state_free(state);
}
