/* State under layout A becomes state under layout B: held, for random layouts, against a state that was kept under B all the
 * time but fed only what A kept too. Both layouts are drawn from one small world of definitions, in any order. */
#include "engine/state/hash.h"
#include "engine/state/private.h" /* a sweep packs what has gone quiet, and thins it: here it is packed alone */

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY = 86400000, KEYSPACES = 3, WINDOWS = 3, AGGREGATES = 9, CLOCKS = 3, MEMORIES = 3, ATTEMPTS = 3, ACCOUNTS = 60, ROUNDS = 150, EVENTS = 1500, DATED = 1 };
static const int64_t T0 = (int64_t)20500 * DAY;
static const int64_t KEEP_MS = 5 * (int64_t)DAY;

/* What one window of the world may be asked for. */
static const struct aggregate_layout world[AGGREGATES] = {
    {.hash = 1, .fn = WINDOW_COUNT}, {.hash = 2, .fn = WINDOW_SUM}, {.hash = 3, .fn = WINDOW_DISTINCT, .column = WINDOW_OTHER},
    {.hash = 4, .fn = WINDOW_MIN}, {.hash = 5, .fn = WINDOW_MAX}, {.hash = 6, .fn = WINDOW_AVG}, {.hash = 7, .fn = WINDOW_DISTINCT, .column = WINDOW_EXTRA},
    {.hash = 8, .fn = WINDOW_SUM, .days = 40, .days_kept = 43}, {.hash = 9, .fn = WINDOW_DISTINCT, .column = WINDOW_OTHER, .days = 40, .days_kept = 43}};

/* A layout, and where each definition of the world stands in it (-1: nowhere). */
struct made {
    struct state_layout layout;
    struct keyspace_layout keyspace[KEYSPACES];
    uint64_t clock[KEYSPACES][CLOCKS];
    struct window_layout window[KEYSPACES][WINDOWS];
    struct aggregate_layout aggregate[KEYSPACES][WINDOWS][AGGREGATES];
    struct memory_layout memory[KEYSPACES][MEMORIES];
    struct attempt_layout attempt[KEYSPACES][ATTEMPTS];
    int at_keyspace[KEYSPACES], at_clock[KEYSPACES][CLOCKS], at_window[KEYSPACES][WINDOWS], at_aggregate[KEYSPACES][WINDOWS][AGGREGATES],
        at_memory[KEYSPACES][MEMORIES], at_attempt[KEYSPACES][ATTEMPTS];
};

static uint64_t draw(uint64_t *chance, uint64_t below)
{
    *chance = *chance * 6364136223846793005u + 1442695040888963407u;
    return (*chance >> 33) % below;
}

/* Some of `count` things in any order: at[i] is the place of thing i or -1, order[] the other way round; returns how many. */
static uint16_t some(uint64_t *chance, int count, uint64_t of_ten, int *at, int *order)
{
    uint16_t taken = 0;
    for (int i = 0; i < count; i++) {
        at[i] = -1;
        if (draw(chance, 10) >= of_ten)
            continue;
        int place = (int)draw(chance, (uint64_t)taken + 1);
        memmove(order + place + 1, order + place, (taken++ - (size_t)place) * sizeof *order);
        order[place] = i;
    }
    for (int i = 0; i < taken; i++)
        at[order[i]] = i;
    return taken;
}

/* In a window that `like` has too, no buckets by day and no habit that it has not: these cannot come out of records. */
static void make_window(struct made *m, int k, int w, uint64_t *chance, const struct made *like)
{
    int order[AGGREGATES], kept = 0;
    int *at = m->at_aggregate[k][w];
    struct window_layout *window = &m->window[k][m->at_window[k][w]];
    struct aggregate_layout *aggregate = m->aggregate[k][m->at_window[k][w]];
    bool known = like && like->at_keyspace[k] >= 0 && like->at_window[k][w] >= 0;
    uint16_t count = some(chance, AGGREGATES, 6, at, order);
    *window = (struct window_layout){.hash = 100 + (uint64_t)(k * WINDOWS + w), .keep_ms = KEEP_MS, .extra_count = 1, .entity_extras = 1, .aggregate = aggregate};
    for (int i = 0; i < count; i++) {
        int was = known ? like->at_aggregate[k][w][order[i]] : -1;
        at[order[i]] = -1;
        if (world[order[i]].days && known && was < 0)
            continue;
        at[order[i]] = kept;
        aggregate[kept] = world[order[i]];
        window->by_day |= world[order[i]].days != 0;
        bool habit = !world[order[i]].days && draw(chance, 3) == 0 && (!known || (was >= 0 && like->aggregate[k][like->at_window[k][w]][was].habit));
        aggregate[kept++].habit = habit ? ++window->habit_count : 0;
    }
    window->aggregate_count = (uint16_t)kept;
}

/* Keyspaces: 0 has an account, 1 an account and a number, 2 two accounts, whichever comes first. Of 1, the first memory keeps no
 * values, as `is new` asks for it. */
static uint8_t keep_count(int k, int memory)
{
    return (uint8_t)(k == 1 && memory == 0 ? 0 : 1 + memory);
}

static void make_keyspace(struct made *m, int k, uint64_t *chance, const struct made *like)
{
    int order[AGGREGATES];
    struct keyspace_layout *keyspace = &m->keyspace[m->at_keyspace[k]];
    *keyspace = (struct keyspace_layout){.hash = 40 + (uint64_t)k, .width = k ? 2 : 1, .entity_words = k == 2 ? 3 : 1, .mutual = k == 2,
                                         .clock_hash = m->clock[k], .window = m->window[k], .memory = m->memory[k], .attempt = m->attempt[k], .widest_ms = (int64_t)27 * 7 * DAY};
    bool alone = k == 1 && draw(chance, 2); /* one memory without values is all there may be: it needs no block */
    keyspace->clock_count = some(chance, CLOCKS, alone ? 0 : 6, m->at_clock[k], order);
    for (int i = 0; i < keyspace->clock_count; i++)
        m->clock[k][i] = 10 + (uint64_t)order[i];
    keyspace->window_count = some(chance, WINDOWS, alone ? 0 : 7, m->at_window[k], order);
    for (int w = 0; w < WINDOWS; w++)
        if (m->at_window[k][w] >= 0)
            make_window(m, k, w, chance, like);
    keyspace->memory_count = some(chance, alone ? 1 : MEMORIES, 6, m->at_memory[k], order);
    for (int i = 0; i < keyspace->memory_count; i++)
        m->memory[k][i] = (struct memory_layout){.hash = 60 + (uint64_t)order[i], .for_ms = 9 * (int64_t)DAY, .keep_count = keep_count(k, order[i]),
                                                 .entity_keeps = keep_count(k, order[i]) > 0, .dated = order[i] == DATED};
    keyspace->attempt_count = some(chance, ATTEMPTS, alone ? 0 : 6, m->at_attempt[k], order);
    for (int i = 0; i < keyspace->attempt_count; i++)
        m->attempt[k][i] = (struct attempt_layout){.hash = 80 + (uint64_t)order[i], .word_count = (uint16_t)(4 + order[i]), .time_word = 1, .kept_from = 3, .entity_kept = 1};
}

/* The keyspace as `like` has it, at its own place. */
static void copy_keyspace(struct made *m, int k, const struct made *like)
{
    struct keyspace_layout *keyspace = &m->keyspace[m->at_keyspace[k]];
    *keyspace = like->keyspace[like->at_keyspace[k]];
    keyspace->clock_hash = memcpy(m->clock[k], like->clock[k], sizeof m->clock[k]);
    keyspace->memory = memcpy(m->memory[k], like->memory[k], sizeof m->memory[k]);
    keyspace->attempt = memcpy(m->attempt[k], like->attempt[k], sizeof m->attempt[k]);
    keyspace->window = memcpy(m->window[k], like->window[k], sizeof m->window[k]);
    memcpy(m->aggregate[k], like->aggregate[k], sizeof m->aggregate[k]);
    for (int w = 0; w < keyspace->window_count; w++)
        m->window[k][w].aggregate = m->aggregate[k][w];
    memcpy(m->at_clock[k], like->at_clock[k], sizeof m->at_clock[k]);
    memcpy(m->at_window[k], like->at_window[k], sizeof m->at_window[k]);
    memcpy(m->at_aggregate[k], like->at_aggregate[k], sizeof m->at_aggregate[k]);
    memcpy(m->at_memory[k], like->at_memory[k], sizeof m->at_memory[k]);
    memcpy(m->at_attempt[k], like->at_attempt[k], sizeof m->at_attempt[k]);
}

static void make(struct made *m, uint64_t *chance, const struct made *like)
{
    int order[AGGREGATES];
    memset(m, 0xFF, sizeof *m); /* every place -1 */
    m->layout = (struct state_layout){.keyspace = m->keyspace, .lateness_ms = DAY, .shard_bytes_max = 4 << 20};
    m->layout.keyspace_count = some(chance, KEYSPACES, 7, m->at_keyspace, order);
    for (int k = 0; k < KEYSPACES; k++)
        if (m->at_keyspace[k] >= 0 && like && like->at_keyspace[k] >= 0 && draw(chance, 3) == 0)
            copy_keyspace(m, k, like);
        else if (m->at_keyspace[k] >= 0)
            make_keyspace(m, k, chance, like);
}

/* --- events --- */

struct moment {
    uint64_t seq, kind;
    int64_t time_ms, amount;
    int which, sender, receiver;
};

static entity_id account(struct state *state, int number)
{
    char text[32];
    struct hash128 hash;
    int size = snprintf(text, sizeof text, "account-%d", number);
    crypto_shorthash_siphashx24((unsigned char *)&hash, (const unsigned char *)text, (unsigned long long)size, state_hash_key(state));
    return ident_intern(state_shard(state, hash.lo & 255), ENTITY_ACCOUNT, (struct slice){text, (size_t)size}, hash, NULL, NULL);
}

static void remember_window(struct state *state, const struct made *m, int k, struct shard *shard, struct cell *cell, const struct moment *e, bool habits)
{
    uint16_t window = (uint16_t)m->at_window[k][e->which], keyspace = (uint16_t)m->at_keyspace[k];
    const struct window_layout *layout = &m->window[k][window];
    struct record record = {.time_ms = e->time_ms, .seq = e->seq, .amount = e->amount, .sender = account(state, e->sender), .receiver = account(state, e->receiver),
                            .extra = {account(state, e->which)}, .day = (int32_t)(e->time_ms / DAY)};
    for (uint8_t habit = 1; habits && habit <= layout->habit_count; habit++) {
        int32_t week = (int32_t)(e->time_ms / DAY / 7), from;
        uint64_t of = 0;
        for (uint16_t a = 0; a < layout->aggregate_count; a++)
            of = layout->aggregate[a].habit == habit ? layout->aggregate[a].hash : of;
        if (habit_due(shard, cell, keyspace, window, habit, week, &from))
            for (; from < week; from++)
                habit_put(shard, cell, keyspace, window, habit, from, (struct window_result){.value = from + (int64_t)of, .known = true});
    }
    cr_assert(window_add(shard, cell, keyspace, window, &record, e->kind & 1));
}

/* What the state under m keeps of the event, if `also` keeps it too. */
static void remember(struct state *state, const struct made *m, const struct made *also, const struct moment *e)
{
    for (int k = 0; k < KEYSPACES; k++) {
        uint32_t key[2] = {account(state, e->receiver), k == 2 ? account(state, e->sender) : (uint32_t)e->which};
        if (k == 2)
            key_settle(key);
        if (m->at_keyspace[k] < 0 || also->at_keyspace[k] < 0)
            continue;
        uint16_t keyspace = (uint16_t)m->at_keyspace[k];
        struct shard *shard = state_shard(state, key_shard(key, m->keyspace[keyspace].width));
        struct cell *cell = cell_get(shard, keyspace, key);
        for (int c = 0; c < CLOCKS; c++)
            if (m->at_clock[k][c] >= 0 && also->at_clock[k][c] >= 0 && (e->kind >> c & 1))
                (void)clock_raise(shard, cell, keyspace, (uint16_t)m->at_clock[k][c], e->time_ms);
        if (m->at_window[k][e->which] >= 0 && also->at_window[k][e->which] >= 0)
            remember_window(state, m, k, shard, cell, e, true);
        struct memory_record record = {.time_ms = e->time_ms, .seq = e->seq, .keep = {account(state, e->sender), e->amount, 3}};
        if (m->at_memory[k][e->which] >= 0 && also->at_memory[k][e->which] >= 0 && e->which == DATED)
            cr_assert(fact_put(shard, cell, keyspace, (uint16_t)m->at_memory[k][DATED], &record, false));
        else if (m->at_memory[k][e->which] >= 0 && also->at_memory[k][e->which] >= 0)
            memory_put(shard, cell, keyspace, (uint16_t)m->at_memory[k][e->which], &record);
        int64_t words[8] = {(int64_t)e->seq, e->time_ms, e->which, account(state, e->sender), 5, 6};
        if (m->at_attempt[k][e->which] >= 0 && also->at_attempt[k][e->which] >= 0 && (e->kind & 8))
            cr_assert(attempt_put(shard, cell, keyspace, (uint16_t)m->at_attempt[k][e->which], words));
    }
}

/* Events (from, to] of the stream of that seed. */
static void feed_part(struct state *state, const struct made *m, const struct made *also, uint64_t seed, uint64_t from, uint64_t to)
{
    uint64_t chance = seed;
    int64_t time_ms = T0;
    for (uint64_t seq = 1; seq <= to; seq++) {
        time_ms += (int64_t)draw(&chance, 4 * 3600 * 1000); /* some 125 days: habits and evictions */
        struct moment e = {.seq = seq, .kind = draw(&chance, 16), .time_ms = time_ms - (int64_t)draw(&chance, 20) * 3600 * 1000, .amount = (int64_t)draw(&chance, 1000)};
        e.which = (int)draw(&chance, WINDOWS);
        e.sender = (int)draw(&chance, ACCOUNTS);
        e.receiver = (int)(draw(&chance, ACCOUNTS) * draw(&chance, ACCOUNTS) / ACCOUNTS);
        if (seq > from)
            remember(state, m, also, &e);
    }
}

static void feed(struct state *state, const struct made *m, const struct made *also, uint64_t seed)
{
    feed_part(state, m, also, seed, 0, EVENTS);
}

/* Packs every cell that can be packed, as if all keys had gone quiet. */
static void pack(struct state *state)
{
    for (uint32_t s = 0; s < SHARD_COUNT; s++)
        for (uint16_t k = 0; k < state->layout.keyspace_count; k++) {
            struct shard *shard = state_shard(state, s);
            struct cell_entry *entry = (struct cell_entry *)(uintptr_t)slab_at(shard_slab(shard), shard->keys[k].entries);
            for (uint32_t i = 0; i < shard->keys[k].room && state->layout.keyspace[k].cell.packs; i++) {
                slab_ref packed = entry[i].tag > TAG_REMOVED ? cell_pack(shard, entry[i].cell, &state->layout.keyspace[k]) : 0;
                entry[i].cell = packed ? packed : entry[i].cell;
            }
        }
}

/* --- comparing --- */

static struct state_sum sum_of(struct state *state)
{
    struct state_sum sum = {0};
    const struct state_horizon horizon = {.keys_ms = INT64_MIN, .dedup_ms = INT64_MIN};
    state_hash(state, &horizon, &sum);
    return sum;
}

/* Every value of every key, over several spans: tails and extremes are not in the hash. */
static void expect_values(struct state *a, struct state *b, const struct made *m, bool empty_too, int round)
{
    for (int k = 0; k < KEYSPACES; k++)
        for (int number = 0; m->at_keyspace[k] >= 0 && number < ACCOUNTS * WINDOWS; number++) {
            uint16_t keyspace = (uint16_t)m->at_keyspace[k];
            uint32_t key[2] = {account(a, number / WINDOWS), (uint32_t)(number % WINDOWS)};
            cr_assert_eq(key[0], account(b, number / WINDOWS));
            uint32_t home = key_shard(key, m->keyspace[keyspace].width);
            struct cell *left = cell_find(state_shard(a, home), keyspace, key), *right = cell_find(state_shard(b, home), keyspace, key);
            left = left ? cell_open(state_shard(a, home), keyspace, left) : NULL;
            cr_assert(left || !right || !empty_too, "round %d: a key is missing", round);
            cr_assert(!left || right, "round %d: a key too many", round);
            for (uint16_t c = 0; left && c < m->keyspace[keyspace].clock_count; c++)
                cr_assert_eq(clock_read(state_shard(a, home), left, keyspace, c), clock_read(state_shard(b, home), right, keyspace, c));
            for (uint16_t w = 0; left && w < m->keyspace[keyspace].window_count; w++)
                for (uint16_t g = 0; g < m->window[k][w].aggregate_count; g++)
                    for (int64_t back = KEEP_MS - DAY; back > 0; back -= DAY / 2) { /* the floor rises */
                        int64_t end = T0 + EVENTS * (int64_t)2 * 3600 * 1000;
                        const struct window_span span = {.floor_ms = end - back, .ceiling_ms = INT64_MAX, .floor_day = (int32_t)((end - back) / DAY) - 30, .ceiling_day = INT32_MAX};
                        struct window_result x = window_value(state_shard(a, home), left, keyspace, w, g, &span), y = window_value(state_shard(b, home), right, keyspace, w, g, &span);
                        cr_assert(x.known == y.known && (!x.known || x.value == y.value), "round %d: aggregate %d", round, (int)m->window[k][w].aggregate[g].hash);
                    }
        }
}

static struct state *open(const struct made *m)
{
    static const unsigned char seed[16] = {3};
    struct error err = {0};
    struct state *state = state_new(&m->layout, seed, &err);
    cr_assert(state, "%s", err.text);
    for (int i = 0; i < ACCOUNTS; i++)
        (void)account(state, i); /* the same ids in every state */
    return state;
}

Test(map, equals_state_that_was_kept_so_all_the_time, .timeout = 120)
{
    static struct made from, to;
    uint64_t chance = 77;
    cr_assert(sodium_init() >= 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct error err = {0};
        struct state_mapping mapping;
        struct state_stats a, b;
        make(&from, &chance, NULL);
        make(&to, &chance, &from);
        struct state *state = open(&from), *model = open(&to);
        feed(state, &from, &from, (uint64_t)round);
        feed(model, &to, &from, (uint64_t)round);
        if (round % 2)
            pack(state);
        cr_assert(state_map(state, &to.layout, &mapping, &err), "%s", err.text);
        state_stats(state, &a);
        state_stats(model, &b);
        cr_assert(a.keys == b.keys && a.records == b.records && a.memories == b.memories && a.attempts == b.attempts, "round %d: %llu records, %llu expected", round,
                  (unsigned long long)a.records, (unsigned long long)b.records);
        struct state_totals total;
        state_totals(state, &total);
        cr_assert_eq(total.records, b.records, "round %d: the books say otherwise", round);
        struct state_sum x = sum_of(state), y = sum_of(model);
        cr_assert(memcmp(&x, &y, sizeof x) == 0, "round %d: the state hash", round);
        expect_values(state, model, &to, true, round);
        state_free(state);
        state_free(model);
    }
}

/* Half of the windows look back less far. */
static void shorten(struct made *m, uint64_t *chance)
{
    for (int k = 0; k < KEYSPACES; k++)
        for (int w = 0; w < WINDOWS; w++)
            if (draw(chance, 2))
                m->window[k][w].keep_ms = 2 * (int64_t)DAY;
}

/* Kept under other rules elsewhere, with other ids and names that only it knows; read may begin late. */
static struct state *open_aside(const struct made *m, uint64_t seed, uint64_t from, uint64_t to)
{
    static const unsigned char key[16] = {3};
    struct error err = {0};
    struct state *state = state_new(&m->layout, key, &err);
    cr_assert(state, "%s", err.text);
    for (int i = 3 * ACCOUNTS; i-- > 0;)
        (void)account(state, i);
    feed_part(state, m, m, seed, from, to);
    return state;
}

/* What is new, or looks further back, is brought from a state that had it all the time: then nothing shows that it was not there. After
 * some rounds the mapped state goes on for a while before it is warmed, as a restart does. */
Test(map, grafted_equals_state_that_had_it_all_the_time, .timeout = 120)
{
    static struct made from, to;
    uint64_t chance = 78, brought = 0;
    cr_assert(sodium_init() >= 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct error err = {0};
        struct state_mapping mapping, look;
        struct state_grafting done;
        make(&from, &chance, NULL);
        make(&to, &chance, NULL);
        shorten(&from, &chance);
        uint64_t swap = round % 3 ? EVENTS : EVENTS - draw(&chance, 300);
        struct state *state = open(&from), *model = open(&to), *other = open_aside(&to, (uint64_t)round, 0, EVENTS);
        feed_part(state, &from, &from, (uint64_t)round, 0, swap);
        feed(model, &to, &to, (uint64_t)round);
        state_mapping_look(state, &to.layout, &look);
        cr_assert(state_map(state, &to.layout, &mapping, &err), "%s", err.text);
        cr_assert(look.lacks == mapping.lacks && look.fresh == mapping.fresh && state_lacks(state) == mapping.lacks);
        feed_part(state, &to, &to, (uint64_t)round, swap, EVENTS);
        if (round % 2) {
            pack(state);
            pack(other);
        }
        state_graft(state, other, &done);
        cr_assert(!state_lacks(state) && done.left_out == 0);
        brought += done.keys;
        struct state_sum x = sum_of(state), y = sum_of(model);
        cr_assert(memcmp(&x, &y, sizeof x) == 0, "round %d: the state hash", round);
        expect_values(state, model, &to, false, round);
        struct state_totals total;
        struct state_stats stats, expected;
        state_totals(state, &total);
        state_stats(state, &stats);
        state_stats(model, &expected);
        cr_assert(total.records == stats.records && stats.records == expected.records && stats.memories == expected.memories && stats.attempts == expected.attempts,
                  "round %d: the books say otherwise", round);
        state_free(state);
        state_free(model);
        state_free(other);
    }
    cr_expect(brought > 1000, "%llu keys", (unsigned long long)brought);
}

/* What the other does not reach back to stays as it was. */
Test(map, a_late_graft_takes_nothing_away, .timeout = 60)
{
    static struct made from, to;
    uint64_t chance = 79;
    cr_assert(sodium_init() >= 0);
    for (int round = 0; round < 20; round++) {
        struct error err = {0};
        struct state_mapping mapping;
        struct state_grafting done;
        struct state_stats before, after;
        make(&from, &chance, NULL);
        make(&to, &chance, &from);
        struct state *state = open(&from), *other = open_aside(&to, (uint64_t)round, EVENTS - 200, EVENTS);
        feed(state, &from, &from, (uint64_t)round);
        cr_assert(state_map(state, &to.layout, &mapping, &err), "%s", err.text);
        state_stats(state, &before);
        state_graft(state, other, &done);
        state_stats(state, &after);
        cr_assert(after.records >= before.records && after.memories >= before.memories && after.keys >= before.keys, "round %d", round);
        state_free(state);
        state_free(other);
    }
}

Test(map, leaves_nothing_behind)
{
    static struct made from, nothing;
    struct error err = {0};
    struct state_mapping mapping;
    uint64_t chance = 5;
    cr_assert(sodium_init() >= 0);
    make(&from, &chance, NULL);
    memset(&nothing, 0, sizeof nothing);
    nothing.layout = (struct state_layout){.keyspace = nothing.keyspace, .lateness_ms = DAY, .shard_bytes_max = 4 << 20};
    struct state *state = open(&from), *empty = open(&nothing);
    feed(state, &from, &from, 1);
    pack(state);
    struct state_totals before, after, none;
    state_totals(state, &before);
    cr_assert(state_map(state, &nothing.layout, &mapping, &err), "%s", err.text);
    state_totals(state, &after);
    state_totals(empty, &none);
    cr_expect(before.bytes_used > none.bytes_used && before.records > 0 && mapping.gone > 0 && mapping.kept == 0);
    cr_expect_eq(after.bytes_used, none.bytes_used, "%llu bytes are left behind", (unsigned long long)(after.bytes_used - none.bytes_used));
    cr_expect_eq(after.records, 0);
    state_free(state);
    state_free(empty);
}

Test(map, into_the_same_layout_changes_nothing)
{
    static struct made from;
    struct error err = {0};
    struct state_mapping mapping;
    uint64_t chance = 9;
    cr_assert(sodium_init() >= 0);
    make(&from, &chance, NULL);
    struct state *state = open(&from);
    feed(state, &from, &from, 2);
    struct state_sum before = sum_of(state);
    cr_assert(state_map(state, &from.layout, &mapping, &err));
    struct state_sum after = sum_of(state);
    cr_expect(!mapping.changed && mapping.fresh == 0 && mapping.gone == 0 && mapping.kept > 0 && mapping.fresh_ms == 0);
    cr_expect_eq(memcmp(&before, &after, sizeof before), 0);
    state_free(state);
}

/* --- what rules of other keys read --- */

enum { AHEAD = 20 * DAY };

/* One window of payments; where searches of other accounts look at them, nobody asks it for an aggregate. */
static void legs_layout(struct made *m, int64_t keep_ms, bool counted, bool read_by_others)
{
    memset(m, 0, sizeof *m);
    m->window[0][0] = (struct window_layout){.hash = 100, .keep_ms = keep_ms, .aggregate_count = counted, .aggregate = world, .read_by_others = read_by_others};
    m->keyspace[0] = (struct keyspace_layout){.hash = 40, .width = 1, .entity_words = 1, .window_count = 1, .window = m->window[0], .widest_ms = 2 * (int64_t)AHEAD};
    m->layout = (struct state_layout){.keyspace = m->keyspace, .keyspace_count = 1, .lateness_ms = DAY, .shard_bytes_max = 4 << 20};
}

static struct cell *leg_cell(struct state *state, struct shard **shard)
{
    uint32_t key[1] = {account(state, 0)};
    *shard = state_shard(state, key_shard(key, 1));
    return cell_get(*shard, 0, key);
}

/* From the first or the second on: a payment of the slowest partition, and one of a partition that is far ahead. */
static void legs_add(struct state *state, uint64_t first, bool counted)
{
    struct shard *shard;
    struct cell *cell = leg_cell(state, &shard);
    for (uint64_t seq = first; seq <= 2; seq++) {
        struct record record = {.time_ms = T0 + (seq == 2 ? AHEAD : 0), .seq = seq, .amount = 5, .sender = account(state, 0), .receiver = account(state, 1)};
        cr_assert(counted ? window_add(shard, cell, 0, 0, &record, false) : window_add_above(shard, cell, 0, 0, &record, false, T0 - DAY));
    }
}

static void expect_legs(struct state *state, uint32_t count, const char *what)
{
    struct shard *shard;
    struct cell *cell = leg_cell(state, &shard);
    struct records found = window_look(shard, cell, 0, 0);
    cr_assert_eq(found.count, count, "%s: %u of %u payments", what, found.count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct record record = {0};
        if (found.words)
            records_unpack(&found, i, &record);
        else
            memcpy(&record.time_ms, found.first + (size_t)i * found.stride, sizeof record.time_ms);
        cr_expect_eq(record.time_ms, T0 + (i + 1 == count ? AHEAD : 0), "%s: payment %u", what, i);
    }
}

/* Made again without its count. Where it is its own key's alone, that key's clock is the one that counts. */
Test(map, keeps_what_others_read_behind_the_keys_own_clock)
{
    static struct made from, to;
    cr_assert(sodium_init() >= 0);
    for (int others = 0; others < 2; others++) {
        struct error err = {0};
        struct state_mapping mapping;
        legs_layout(&from, 2 * (int64_t)AHEAD, true, false);
        legs_layout(&to, KEEP_MS, false, others);
        struct state *state = open(&from);
        legs_add(state, 1, true);
        expect_legs(state, 2, "before");
        cr_assert(state_map(state, &to.layout, &mapping, &err), "%s", err.text);
        cr_assert(mapping.changed && mapping.gone == 0);
        expect_legs(state, others ? 2 : 1, others ? "read by others" : "the key's own");
        state_free(state);
    }
}

/* It looked back less far, so the first payment had gone, and is brought back by warming up from the log. */
Test(map, grafts_what_others_read_behind_the_keys_own_clock)
{
    static struct made from, to;
    cr_assert(sodium_init() >= 0);
    for (int others = 0; others < 2; others++) {
        struct error err = {0};
        struct state_mapping mapping;
        struct state_grafting done;
        legs_layout(&from, 2 * (int64_t)DAY, false, true);
        legs_layout(&to, KEEP_MS, false, others);
        struct state *state = open(&from), *other = open(&to);
        legs_add(state, 2, false);
        legs_add(other, 1, false);
        cr_assert(state_map(state, &to.layout, &mapping, &err), "%s", err.text);
        cr_assert(state_lacks(state));
        expect_legs(state, 1, "before");
        state_graft(state, other, &done);
        cr_assert_eq(done.left_out, 0);
        expect_legs(state, others ? 2 : 1, others ? "read by others" : "the key's own");
        state_free(state);
        state_free(other);
    }
}
