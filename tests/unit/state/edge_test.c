/* Windows of edges, packed or whole, against a list of records: what is walked, looked at, mapped to other layouts and swept is what was put in. */
#include "engine/state/state.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { DAY = 86400000, KEYS = 12, RECORDS = 4000, WINDOWS = 2 };

static const struct aggregate_layout counts[] = {{.hash = 3, .fn = WINDOW_COUNT}};
static const struct window_layout edges[] = {{.hash = 1, .keep_ms = 10 * (int64_t)DAY, .read_by_others = true}, {.hash = 2, .keep_ms = 10 * (int64_t)DAY}};
static const struct window_layout counted[] = {{.hash = 1, .keep_ms = 10 * (int64_t)DAY, .read_by_others = true, .aggregate_count = 1, .aggregate = counts},
                                               {.hash = 2, .keep_ms = 10 * (int64_t)DAY, .aggregate_count = 1, .aggregate = counts}};
#define KEYSPACE(windows, words) {{.hash = 5, .width = 1, .entity_words = (words), .window_count = WINDOWS, .window = (windows), .widest_ms = 400 * (int64_t)DAY}}
static const struct keyspace_layout keyspaces[][1] = {KEYSPACE(edges, 1), KEYSPACE(counted, 1), KEYSPACE(edges, 0), KEYSPACE(counted, 0)};

/* One window as it should be, oldest (time, seq) first. */
struct model {
    struct record record[RECORDS];
    bool key_is_receiver[RECORDS];
    uint32_t count;
    int64_t newest_ms;
};

struct world {
    struct state_layout layout;
    struct state *state;
    entity_id id[KEYS];
    struct model model[KEYS][WINDOWS];
    uint64_t chance, seq;
    int64_t now_ms, floor_ms;
    bool odd; /* records that are hard to pack come often */
};

static uint64_t draw(uint64_t *chance)
{
    uint64_t z = (*chance += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static bool rarely(struct world *world, uint64_t once_in)
{
    return draw(&world->chance) % once_in == 0;
}

static void world_open(struct world *world, uint64_t seed, bool ids)
{
    struct error err = {0};
    static const unsigned char key[16] = {3};
    *world = (struct world){.layout = {.keyspace_count = 1, .keyspace = keyspaces[ids ? 0 : 2], .lateness_ms = DAY, .shard_bytes_max = 1 << 24},
                            .chance = seed, .now_ms = 1700000000000, .floor_ms = INT64_MIN, .odd = seed % 2};
    world->state = state_new(&world->layout, key, &err);
    cr_assert_not_null(world->state, "%s", err.text);
    for (uint32_t k = 0; k < KEYS; k++)
        world->id[k] = ident_intern(state_shard(world->state, k % 3), ENTITY_ACCOUNT, (struct slice){"account", 7}, (struct hash128){k % 3, k + 1}, NULL, NULL);
}

static int64_t some_amount(struct world *world)
{
    static const int64_t odd[] = {0, -1, UINT32_MAX - 1, UINT32_MAX, (int64_t)UINT32_MAX + 1, INT64_MAX, INT64_MIN + 1, MISSING_I64};
    if (rarely(world, world->odd ? 8 : 100))
        return odd[draw(&world->chance) % (sizeof odd / sizeof *odd)];
    return (int64_t)(draw(&world->chance) % 1000000);
}

static struct record some_record(struct world *world, uint32_t k, bool receives)
{
    uint64_t step = rarely(world, 400) ? 30 * (uint64_t)DAY : DAY / 20, late = rarely(world, 10) ? DAY : 1;
    world->now_ms += (int64_t)(draw(&world->chance) % step);
    world->seq += rarely(world, 300) ? (uint64_t)1 << 31 : 1 + draw(&world->chance) % 5;
    entity_id other = rarely(world, 20) ? ENTITY_MISSING : world->id[draw(&world->chance) % KEYS];
    entity_id own = world->odd && rarely(world, 50) ? world->id[draw(&world->chance) % KEYS] : world->id[k];
    return (struct record){.time_ms = world->now_ms - (int64_t)(draw(&world->chance) % late), .seq = world->seq, .amount = some_amount(world),
                           .sender = receives ? other : own, .receiver = receives ? own : other};
}

static void model_add(struct model *model, const struct record *record, bool key_is_receiver, int64_t from_ms)
{
    uint32_t gone = 0, p;
    while (gone < model->count && model->record[gone].time_ms < from_ms)
        gone++;
    model->count -= gone;
    memmove(model->record, model->record + gone, model->count * sizeof *record);
    memmove(model->key_is_receiver, model->key_is_receiver + gone, model->count);
    for (p = model->count++; p > 0 && model->record[p - 1].time_ms > record->time_ms; p--) {
        model->record[p] = model->record[p - 1];
        model->key_is_receiver[p] = model->key_is_receiver[p - 1];
    }
    model->record[p] = *record;
    model->key_is_receiver[p] = key_is_receiver;
}

static void add(struct world *world)
{
    uint32_t k = (uint32_t)(draw(&world->chance) % KEYS * draw(&world->chance) % KEYS);
    uint16_t w = draw(&world->chance) % WINDOWS;
    bool receives = world->odd && rarely(world, 60) ? !w : w;
    struct record record = some_record(world, k, receives);
    struct model *model = &world->model[k][w];
    struct shard *shard = state_shard(world->state, k % 3);
    struct cell *cell = cell_get(shard, 0, &world->id[k]);
    model->newest_ms = record.time_ms > model->newest_ms ? record.time_ms : model->newest_ms;
    if (w == 0) {
        if (world->now_ms - 10 * (int64_t)DAY > world->floor_ms && rarely(world, 7))
            world->floor_ms = world->now_ms - 10 * (int64_t)DAY;
        cr_assert(window_add_above(shard, cell, 0, 0, &record, receives, world->floor_ms));
        model_add(model, &record, receives, world->floor_ms == INT64_MIN ? INT64_MIN : world->floor_ms + 1);
    } else {
        cr_assert(window_add(shard, cell, 0, 1, &record, receives));
        model_add(model, &record, receives, model->newest_ms - 10 * (int64_t)DAY);
    }
}

static bool record_is(const struct record *a, const struct record *b)
{
    return a->time_ms == b->time_ms && a->seq == b->seq && a->amount == b->amount && a->sender == b->sender && a->receiver == b->receiver;
}

struct walk {
    const struct model *model;
    uint32_t left;
};

static bool walk_check(void *context, const struct record *record, bool key_is_receiver)
{
    struct walk *walk = context;
    cr_assert(walk->left);
    walk->left--;
    cr_assert(record_is(record, &walk->model->record[walk->left]), "record %u of %u differs", walk->left, walk->model->count);
    cr_assert_eq(key_is_receiver, walk->model->key_is_receiver[walk->left]);
    return true;
}

/* How many windows are packed. */
static uint32_t world_check(const struct world *world, bool look)
{
    uint32_t packed = 0;
    for (uint32_t k = 0; k < KEYS; k++)
        for (uint16_t w = 0; w < WINDOWS; w++) {
            const struct shard *shard = state_shard(world->state, k % 3);
            const struct cell *cell = cell_find(state_shard(world->state, k % 3), 0, &world->id[k]);
            struct walk walk = {&world->model[k][w], world->model[k][w].count};
            if (!cell)
                continue;
            window_walk(shard, cell, 0, w, INT64_MIN, walk_check, &walk);
            cr_assert_eq(walk.left, 0);
            struct records records = window_look(shard, cell, 0, w);
            cr_assert_eq(records.count, walk.model->count);
            packed += records.words != 0;
            for (uint32_t i = 0; look && records.words && i < records.count; i++) {
                struct record record;
                records_unpack(&records, i, &record);
                cr_assert(record_is(&record, &walk.model->record[i]));
            }
        }
    return packed;
}

static void world_map(struct world *world, const struct keyspace_layout *keyspace)
{
    struct state_mapping mapping;
    struct error err = {0};
    world->layout.keyspace = keyspace;
    cr_assert(state_map(world->state, &world->layout, &mapping, &err), "%s", err.text);
    cr_assert(mapping.changed);
}

/* What others read stays; a window that is the key's own goes when its span has passed. */
static void world_sweep(struct world *world, uint32_t shard)
{
    int64_t horizon_ms = world->now_ms - 30 * (int64_t)DAY;
    (void)shard_sweep(state_shard(world->state, shard), horizon_ms, INT64_MIN);
    for (uint32_t k = shard; k < KEYS; k += 3)
        if (world->model[k][1].newest_ms < horizon_ms - edges[1].keep_ms)
            world->model[k][1] = (struct model){0};
}

static uint32_t world_run(uint64_t seed, bool ids)
{
    static struct world world;
    uint32_t packed = 0;
    world_open(&world, seed, ids);
    for (int step = 0; step < RECORDS; step++) {
        add(&world);
        if (step % 50)
            continue;
        packed += world_check(&world, true);
        if (step % 500 == 0)
            world_sweep(&world, (uint32_t)(step / 500 % 3));
        if (step % 1000 == 0) {
            world_map(&world, keyspaces[ids ? 1 : 3]); /* whole */
            cr_expect_eq(world_check(&world, false), 0);
            world_map(&world, keyspaces[ids ? 0 : 2]);
            (void)world_check(&world, true);
        }
    }
    state_free(world.state);
    return packed;
}

Test(edge, holds_what_was_put_in)
{
    uint32_t packed[2] = {0};
    for (uint64_t seed = 1; seed <= 20; seed++)
        packed[seed % 2] += world_run(seed, true);
    cr_expect_gt(packed[0], 7000, "%u of ordinary windows", packed[0]);
    cr_expect_gt(packed[1], 200, "%u of odd windows", packed[1]);
}

Test(edge, a_key_that_is_no_identity_lies_whole)
{
    cr_expect_eq(world_run(2, false), 0);
}

/* Sixteen bytes where amounts are below 42,949,672.95 of the base currency, twenty above, and thirty-two over two months. */
Test(edge, packs_as_far_as_nothing_is_lost)
{
    static struct world world;
    static const struct {
        int64_t after_ms, amount;
        uint32_t stride;
    } step[] = {{0, 5, 16}, {1, MISSING_I64, 16}, {10 * (int64_t)DAY, UINT32_MAX - 1, 16}, {10 * (int64_t)DAY, UINT32_MAX, 20}, {30 * (int64_t)DAY, 7, 20}, {60 * (int64_t)DAY, 7, 32}};
    world_open(&world, 2, true);
    struct shard *shard = state_shard(world.state, 0);
    struct cell *cell = cell_get(shard, 0, &world.id[0]);
    for (uint32_t i = 0; i < sizeof step / sizeof *step; i++) {
        struct record record = {.time_ms = world.now_ms + step[i].after_ms, .seq = i + 1, .amount = step[i].amount, .sender = world.id[0], .receiver = world.id[1]};
        cr_assert(window_add_above(shard, cell, 0, 0, &record, false, INT64_MIN));
        cr_expect_eq(window_look(shard, cell, 0, 0).stride, step[i].stride, "%u bytes at step %u", window_look(shard, cell, 0, 0).stride, i);
    }
    state_free(world.state);
}
