/* The state hash: what must not show in it (ids, keys, order, sweeps, spare identities), and that every kind of content does. */
#include "engine/state/hash.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>

enum { KEYS = 40, DAY = 86400000, SHARD_BYTES = 1 << 20 };
static const int64_t T0 = (int64_t)20500 * DAY;

static const uint64_t clocks[] = {11, 12};
static const struct aggregate_layout by_span[] = {{.hash = 1, .fn = WINDOW_SUM, .column = WINDOW_AMOUNT, .habit = 1},
                                                  {.hash = 2, .fn = WINDOW_DISTINCT, .column = WINDOW_OTHER},
                                                  {.hash = 3, .fn = WINDOW_MAX, .column = WINDOW_AMOUNT}};
static const struct aggregate_layout by_day[] = {{.hash = 4, .fn = WINDOW_SUM, .column = WINDOW_AMOUNT, .days = 40, .days_kept = 43},
                                                 {.hash = 5, .fn = WINDOW_DISTINCT, .column = WINDOW_OTHER, .days = 40, .days_kept = 43},
                                                 {.hash = 6, .fn = WINDOW_LAST, .column = WINDOW_OTHER, .days = 40, .days_kept = 43}};
static const struct window_layout windows[] = {
    {.hash = 21, .keep_ms = 3 * DAY, .extra_count = 2, .entity_extras = 2, .habit_count = 1, .aggregate_count = 3, .aggregate = by_span},
    {.hash = 22, .keep_ms = DAY, .by_day = true, .aggregate_count = 3, .aggregate = by_day}};
static const struct memory_layout memories[] = {{.hash = 31, .for_ms = 2 * DAY, .keep_count = 2, .entity_keeps = 2},
                                                {.hash = 32, .keep_count = 1, .dated = true}};
/* 0: accounts with windows and a memory; 1: pairs of an account and a number; 2: accounts with facts; 3: two accounts in either order */
static const struct keyspace_layout keyspaces[] = {
    {.hash = 41, .width = 1, .entity_words = 1, .clock_count = 2, .clock_hash = clocks, .window_count = 2, .window = windows, .memory_count = 1,
     .memory = memories, .widest_ms = (int64_t)27 * 7 * DAY}, /* as the compiler makes it where there is a habit */
    {.hash = 42, .width = 2, .entity_words = 1, .clock_count = 1, .clock_hash = clocks, .widest_ms = DAY},
    {.hash = 43, .width = 1, .entity_words = 1, .memory_count = 1, .memory = memories + 1, .widest_ms = DAY},
    {.hash = 44, .width = 2, .entity_words = 3, .mutual = true, .clock_count = 1, .clock_hash = clocks, .widest_ms = DAY}};
static const struct state_layout layout = {.keyspace_count = 4, .keyspace = keyspaces, .lateness_ms = DAY, .shard_bytes_max = SHARD_BYTES};

static struct hash128 hash_of(const unsigned char key[16], uint64_t kind, uint64_t number)
{
    const uint64_t word[2] = {kind, number};
    struct hash128 hash;
    crypto_shorthash_siphashx24((unsigned char *)&hash, (const unsigned char *)word, sizeof word, key);
    return hash;
}

static entity_id account(struct state *state, uint64_t number)
{
    char text[32];
    struct hash128 hash = hash_of(state_hash_key(state), 1, number);
    int size = snprintf(text, sizeof text, "account-%llu", (unsigned long long)number);
    return ident_intern(state_shard(state, hash.lo & 255), ENTITY_ACCOUNT, (struct slice){text, (size_t)size}, hash, NULL, NULL);
}

static struct cell *cell_of(struct state *state, uint16_t keyspace, const uint32_t *key, struct shard **shard)
{
    *shard = state_shard(state, key_shard(key, keyspaces[keyspace].width));
    return cell_get(*shard, keyspace, key);
}

static void remember_record(struct state *state, uint64_t number, uint16_t window, int64_t time_ms, int64_t amount)
{
    struct shard *shard;
    uint32_t key = account(state, number);
    struct cell *cell = cell_of(state, 0, &key, &shard);
    struct record record = {.time_ms = time_ms, .seq = number, .amount = amount, .sender = account(state, number + 1), .receiver = key,
                            .extra = {(int64_t)number % 7, account(state, number + 2)}, .day = (int32_t)(time_ms / DAY)};
    cr_assert(window_add(shard, cell, 0, window, &record, true));
}

/* All that one key remembers, in every form there is. */
static void remember(struct state *state, uint64_t number)
{
    int64_t time_ms = T0 + (int64_t)number * 1000;
    struct shard *shard;
    remember_record(state, number, 0, time_ms, 100);
    remember_record(state, number, 1, time_ms, 200);
    uint32_t key[2] = {account(state, number), (uint32_t)number % 3};
    struct cell *cell = cell_of(state, 0, key, &shard);
    (void)clock_raise(shard, cell, 0, 1, time_ms);
    memory_put(shard, cell, 0, 0, &(struct memory_record){.time_ms = time_ms, .seq = number, .keep = {5, account(state, number + 3)}});
    int32_t week = (int32_t)(time_ms / DAY / 7), from;
    (void)habit_due(shard, cell, 0, 0, 1, week, &from);
    habit_put(shard, cell, 0, 0, 1, week + 1, (struct window_result){(__int128)number, true});
    cell = cell_of(state, 1, key, &shard);
    (void)clock_raise(shard, cell, 1, 0, time_ms);
    cell = cell_of(state, 2, key, &shard);
    cr_assert(fact_put(shard, cell, 2, 0, &(struct memory_record){.time_ms = time_ms, .seq = number, .keep = {(int64_t)number}}, false));
    uint32_t both[2] = {key[0], account(state, KEYS + 9 - number)};
    key_settle(both);
    cell = cell_of(state, 3, both, &shard);
    (void)clock_raise(shard, cell, 3, 0, time_ms);
    struct hash128 id = hash_of(state_hash_key(state), 2, number), body = hash_of(state_hash_key(state), 3, number), join = hash_of(state_hash_key(state), 4, number);
    const struct hash128 ref[REF_COUNT] = {body};
    uint32_t same;
    (void)dedup_check(state_shard(state, id.lo & 255), id, body.lo, time_ms, INT64_MIN);
    (void)join_check(state_shard(state, join.lo & 255), join, ref, time_ms, INT64_MIN, &same);
}

static struct state *make(unsigned char seed, bool backwards)
{
    struct error err = {0};
    const unsigned char key[16] = {seed};
    cr_assert(sodium_init() >= 0);
    struct state *state = state_new(&layout, key, &err);
    cr_assert_not_null(state, "%s", err.text);
    for (uint64_t n = 0; n < KEYS; n++)
        remember(state, backwards ? KEYS - n : n + 1);
    return state;
}

static struct state_sum hash_at(struct state *state, int64_t keys_ms, int64_t dedup_ms)
{
    struct error err = {0};
    struct zone *zone = zone_load(SLICE("UTC"), &err);
    struct state_sum sum = {0};
    state_hash(state, &(struct state_horizon){.keys_ms = keys_ms, .dedup_ms = dedup_ms, .zone = zone}, &sum);
    zone_free(zone);
    return sum;
}

static bool equal(struct state_sum a, struct state_sum b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

Test(state_hash, ids_keys_and_order_do_not_show)
{
    struct state *a = make(1, false), *b = make(2, true);
    cr_assert_neq(account(a, 3), account(b, 3), "the ids differ, or nothing is shown here");
    cr_assert(equal(hash_at(a, T0, T0), hash_at(b, T0, T0)));
    cr_assert(equal(hash_at(a, INT64_MIN, INT64_MIN), hash_at(b, INT64_MIN, INT64_MIN)));
    (void)account(b, 999999);
    cr_assert(equal(hash_at(a, T0, T0), hash_at(b, T0, T0)), "an identity that nothing refers to");
    state_free(a);
    state_free(b);
}

Test(state_hash, sweeps_and_reading_do_not_show)
{
    for (int64_t days = 0; days < 196; days += days < 3 || days > 180 ? 1 : 7) {
        struct state *a = make(1, false), *b = make(1, false);
        int64_t horizon_ms = T0 + days * DAY + 20000;
        for (uint32_t s = 0; s < SHARD_COUNT; s++)
            (void)shard_sweep(state_shard(b, s), horizon_ms, horizon_ms);
        struct shard *shard;
        uint32_t key = account(a, 5);
        struct cell *cell = cell_of(a, 0, &key, &shard);
        struct window_span late = {.floor_ms = T0 + days * DAY, .ceiling_ms = INT64_MAX};
        (void)window_value(shard, cell, 0, 0, 0, &late); /* moves a tail, and may make an empty key */
        cr_assert(equal(hash_at(a, horizon_ms, horizon_ms), hash_at(b, horizon_ms, horizon_ms)), "day %lld", (long long)days);
        /* a key that was swept and comes again, and one that was not */
        remember_record(a, 7, 0, horizon_ms + 1000, 1);
        remember_record(b, 7, 0, horizon_ms + 1000, 1);
        cr_assert(equal(hash_at(a, horizon_ms, horizon_ms), hash_at(b, horizon_ms, horizon_ms)), "day %lld, come again", (long long)days);
        state_free(a);
        state_free(b);
    }
}

static void change(struct state *state, int kind)
{
    struct shard *shard;
    uint32_t key = account(state, 5), pair[2] = {key, 2};
    struct hash128 id = hash_of(state_hash_key(state), 9, 9);
    struct hash128 ref[REF_COUNT] = {{1, 1}, {2, 2}};
    int64_t time_ms = T0 + 5000;
    uint32_t same;
    struct cell *cell = cell_of(state, 0, &key, &shard);
    switch (kind) {
    case 0:
        (void)clock_raise(shard, cell, 0, 1, time_ms + 1);
        break;
    case 1:
        remember_record(state, 5, 0, time_ms, 1);
        break;
    case 2:
        remember_record(state, 5, 1, time_ms - 20 * (int64_t)DAY, 1); /* only its bucket stays */
        break;
    case 3:
        memory_put(shard, cell, 0, 0, &(struct memory_record){.time_ms = time_ms, .seq = 5, .keep = {5, account(state, 9)}});
        break;
    case 4:
        habit_put(shard, cell, 0, 0, 1, (int32_t)(time_ms / DAY / 7) + 1, (struct window_result){6, true});
        break;
    case 5:
        cell = cell_of(state, 2, &key, &shard);
        cr_assert(fact_put(shard, cell, 2, 0, &(struct memory_record){.time_ms = time_ms + 1, .seq = 6, .keep = {1}}, false));
        break;
    case 6:
        (void)dedup_check(state_shard(state, id.lo & 255), id, id.lo, time_ms, INT64_MIN);
        break;
    case 7:
        (void)join_check(state_shard(state, id.lo & 255), id, ref, time_ms, INT64_MIN, &same);
        break;
    case 8:
        id = hash_of(state_hash_key(state), 4, 5);
        (void)join_check(state_shard(state, id.lo & 255), id, ref, time_ms, INT64_MIN, &same); /* names a further end */
        break;
    case 9:
        cell = cell_of(state, 1, pair, &shard);
        (void)clock_raise(shard, cell, 1, 0, time_ms + 1);
        break;
    default:
        cr_assert_fail();
    }
}

Test(state_hash, every_kind_of_content_shows)
{
    for (int kind = 0; kind < 10; kind++) {
        struct state *a = make(1, false), *b = make(1, false);
        change(b, kind);
        cr_assert(!equal(hash_at(a, T0, T0), hash_at(b, T0, T0)), "kind %d", kind);
        state_free(a);
        state_free(b);
    }
}
