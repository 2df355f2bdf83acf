/* Windows of few records, which keep no states of their aggregates: every value is that of the records, whatever sweeps took. */
#include "engine/state/hash.h"

#include <criterion/criterion.h>

enum { ROUNDS = 300, RECORDS = 40, FUNCTIONS = 8, KEEP = 1000 };

static const struct aggregate_layout aggregates[] = {{.hash = 1, .fn = WINDOW_COUNT},
                                                     {.hash = 2, .fn = WINDOW_SUM, .column = WINDOW_AMOUNT, .habit = 1},
                                                     {.hash = 3, .fn = WINDOW_DISTINCT, .column = WINDOW_EXTRA},
                                                     {.hash = 4, .fn = WINDOW_MIN, .column = WINDOW_AMOUNT},
                                                     {.hash = 5, .fn = WINDOW_MAX, .column = WINDOW_AMOUNT},
                                                     {.hash = 6, .fn = WINDOW_AVG, .column = WINDOW_AMOUNT},
                                                     {.hash = 7, .fn = WINDOW_FIRST, .column = WINDOW_EXTRA},
                                                     {.hash = 8, .fn = WINDOW_LAST, .column = WINDOW_EXTRA}};
static const struct window_layout windows[] = {
    {.hash = 21, .keep_ms = KEEP, .extra_count = 1, .habit_count = 1, .aggregate_count = FUNCTIONS, .aggregate = aggregates}};
static const struct keyspace_layout keyspaces[] = {{.hash = 5, .width = 1, .window_count = 1, .window = windows, .widest_ms = 1 << 30}};
static const struct state_layout layout = {.keyspace_count = 1, .keyspace = keyspaces, .lateness_ms = 100, .shard_bytes_max = 1 << 20};
static const uint32_t key[] = {256};

static struct state *state_open(void)
{
    struct error err = {0};
    static const unsigned char seed[16] = {3};
    struct state *state = state_new(&layout, seed, &err);
    cr_assert_not_null(state, "%s", err.text);
    return state;
}

static uint64_t draw(uint64_t *chance, uint64_t below)
{
    uint64_t z = (*chance += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % below;
}

static uint64_t used(struct state *state)
{
    return slab_used(shard_slab(state_shard(state, 0)));
}

static void add(struct state *state, const struct record *record)
{
    struct shard *shard = state_shard(state, 0);
    cr_assert(window_add(shard, cell_get(shard, 0, key), 0, 0, record, true));
}

/* --- the model: records in their order, looked through from the beginning --- */

struct model {
    struct record record[RECORDS];
    uint32_t count;
    int64_t newest_ms;
};

static void model_add(struct model *m, const struct record *record)
{
    uint32_t at = m->count++;
    for (; at > 0 && (m->record[at - 1].time_ms > record->time_ms); at--)
        m->record[at] = m->record[at - 1];
    m->record[at] = *record;
    m->newest_ms = record->time_ms > m->newest_ms ? record->time_ms : m->newest_ms;
}

/* Half-even, of what is not negative. */
static int64_t model_mean(int64_t sum, int64_t count)
{
    int64_t mean = sum / count, twice = 2 * (sum - mean * count);
    return twice > count || (twice == count && mean % 2) ? mean + 1 : mean;
}

static struct window_result model_value(const struct model *m, uint8_t fn, int64_t floor_ms)
{
    int64_t number[RECORDS], sum = 0, least = INT64_MAX, most = INT64_MIN;
    uint32_t known = 0, count = 0, distinct = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->record[i].time_ms <= floor_ms)
            continue;
        count++;
        int64_t value = fn == WINDOW_DISTINCT || fn == WINDOW_FIRST || fn == WINDOW_LAST ? m->record[i].extra[0] : m->record[i].amount;
        if (value == MISSING_I64)
            continue;
        bool seen = false;
        for (uint32_t j = 0; j < known; j++)
            seen |= number[j] == value;
        distinct += !seen;
        number[known++] = value;
        sum += value;
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    const __int128 by_fn[FUNCTIONS] = {[WINDOW_COUNT] = count, [WINDOW_SUM] = sum, [WINDOW_DISTINCT] = distinct, [WINDOW_MIN] = least, [WINDOW_MAX] = most,
                                       [WINDOW_AVG] = known ? model_mean(sum, known) : 0, [WINDOW_FIRST] = known ? number[0] : 0, [WINDOW_LAST] = known ? number[known - 1] : 0};
    return (struct window_result){by_fn[fn], known > 0 || fn == WINDOW_COUNT || fn == WINDOW_SUM || fn == WINDOW_DISTINCT};
}

static void values_check(struct state *state, const struct model *m, int64_t floor_ms, uint64_t round)
{
    struct shard *shard = state_shard(state, 0);
    const struct window_span span = {.floor_ms = floor_ms, .ceiling_ms = INT64_MAX};
    for (uint16_t a = 0; a < FUNCTIONS; a++) {
        struct window_result got = window_value(shard, cell_get(shard, 0, key), 0, 0, a, &span), want = model_value(m, aggregates[a].fn, floor_ms);
        cr_assert(got.known == want.known && (!got.known || got.value == want.value), "round %d: aggregate %d, of %d records: %lld and %lld", (int)round, a,
                  (int)m->count, (long long)got.value, (long long)want.value);
    }
}

/* Quiet times and bursts: windows grow beyond what is scanned and come down again, swept in between or not. */
Test(few, every_value_is_that_of_the_records)
{
    uint64_t chance = 3;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct state *state = state_open();
        struct model m = {.newest_ms = INT64_MIN};
        bool swept = draw(&chance, 2);
        int64_t now_ms = 100000;
        for (uint64_t i = 0; i < RECORDS; i++) {
            now_ms += (int64_t)draw(&chance, draw(&chance, 4) == 0 ? KEEP : 60);
            struct record record = {.time_ms = now_ms - (int64_t)draw(&chance, 90), .seq = i + 1, .amount = (int64_t)draw(&chance, 9), .extra = {(int64_t)draw(&chance, 4)}};
            if (record.amount == 8)
                record.amount = MISSING_I64;
            if (record.extra[0] == 3)
                record.extra[0] = MISSING_I64;
            add(state, &record);
            model_add(&m, &record);
            if (swept && draw(&chance, 3) == 0)
                (void)shard_sweep(state_shard(state, 0), m.newest_ms - 100, INT64_MIN / 2);
            if (draw(&chance, 3))
                values_check(state, &m, m.newest_ms - (int64_t)draw(&chance, KEEP + 1), round);
        }
        state_free(state);
    }
}

Test(few, hold_states_beyond_eight_and_give_them_back)
{
    struct state *state = state_open();
    struct shard *shard = state_shard(state, 0);
    struct window_span all = {.floor_ms = 0, .ceiling_ms = INT64_MAX};
    uint64_t few = 0;
    for (int i = 0; i < 9; i++) {
        few = used(state); /* of eight, at last; their ring ends with them */
        add(state, &(struct record){.time_ms = 1000 + i * 50, .seq = (uint64_t)i + 1, .amount = 7 + i, .extra = {i % 2}});
    }
    cr_expect_gt(used(state) - few, FUNCTIONS * 40, "a state each");
    add(state, &(struct record){.time_ms = 2450, .seq = 9, .amount = 1, .extra = {5}}); /* all others go */
    cr_expect_eq(window_value(shard, cell_get(shard, 0, key), 0, 0, 1, &all).value, 1);
    uint64_t before = used(state);
    cr_expect_eq(shard_sweep(shard, 2450, INT64_MIN / 2), 0);
    cr_expect_gt(before - used(state), FUNCTIONS * 40, "few again: the sweep takes them");
    cr_expect_eq(window_value(shard, cell_get(shard, 0, key), 0, 0, 1, &all).value, 1);
    state_free(state);
}
