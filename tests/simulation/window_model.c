/* Holds windows and memories against a slow, obvious model on random streams: late events, equal
 * times, several aggregates with clocks of their own on one ring, missing values, evictions, floors
 * that fall. Each stream is a fresh key. Usage: window_model [STREAMS [SEED]]. */
#include "engine/base/invariant.h"
#include "engine/state/state.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECORDS_MAX = 120, AGGREGATES = 7, SPAN_MAX = 60, LATENESS = 25, STREAMS_PER_STATE = 20000 };

static const struct aggregate_layout aggregates[AGGREGATES] = {
    {1, WINDOW_COUNT, 0},                  {2, WINDOW_SUM, WINDOW_AMOUNT},     {3, WINDOW_DISTINCT, WINDOW_SENDER},
    {4, WINDOW_DISTINCT, WINDOW_OTHER},    {5, WINDOW_DISTINCT, WINDOW_EXTRA}, {6, WINDOW_SUM, WINDOW_AMOUNT},
    {7, WINDOW_DISTINCT, WINDOW_RECEIVER},
};

struct kept {
    struct record record;
    bool key_is_receiver;
};

struct model {
    struct kept kept[RECORDS_MAX];
    int count;
    int64_t newest;
};

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int64_t below(uint64_t *state, int64_t bound)
{
    return (int64_t)(next_random(state) % (uint64_t)bound);
}

/* --- the model: every value from all records, by definition --- */

static int64_t column_of(const struct kept *kept, int column)
{
    const struct record *r = &kept->record;
    entity_id id;
    switch (column) {
    case WINDOW_AMOUNT:
        return r->amount;
    case WINDOW_SENDER:
        id = r->sender;
        break;
    case WINDOW_RECEIVER:
        id = r->receiver;
        break;
    case WINDOW_OTHER:
        id = kept->key_is_receiver ? r->sender : r->receiver;
        break;
    default:
        return r->extra[column - WINDOW_EXTRA];
    }
    return id ? (int64_t)id : MISSING_I64;
}

static int64_t model_value(const struct model *model, const struct aggregate_layout *aggregate, int64_t floor_ms)
{
    int64_t value = 0;
    for (int i = 0; i < model->count; i++) {
        int64_t number = column_of(&model->kept[i], aggregate->column);
        bool first = true;
        if (model->kept[i].record.time_ms <= floor_ms)
            continue;
        for (int j = 0; j < i; j++)
            first &= model->kept[j].record.time_ms <= floor_ms || column_of(&model->kept[j], aggregate->column) != number;
        if (aggregate->fn == WINDOW_COUNT)
            value++;
        else if (number != MISSING_I64)
            value += aggregate->fn == WINDOW_SUM ? number : first;
    }
    return value;
}

/* --- walking, newest first --- */

struct walk {
    const struct model *model;
    int64_t floor_ms, last_time;
    uint64_t last_seq;
    int count;
    bool good;
};

static bool walk_visit(void *context, const struct record *record, bool key_is_receiver)
{
    struct walk *walk = context;
    bool found = false;
    for (int i = 0; i < walk->model->count; i++) {
        const struct kept *kept = &walk->model->kept[i];
        found |= kept->record.seq == record->seq && kept->record.time_ms == record->time_ms && kept->record.amount == record->amount &&
                 kept->record.extra[0] == record->extra[0] && kept->key_is_receiver == key_is_receiver;
    }
    bool in_order = record->time_ms < walk->last_time || (record->time_ms == walk->last_time && record->seq < walk->last_seq);
    walk->good &= found && in_order && record->time_ms > walk->floor_ms;
    walk->last_time = record->time_ms;
    walk->last_seq = record->seq;
    walk->count++;
    return true;
}

static bool check_walk(const struct shard *shard, const struct cell *cell, const struct model *model, int64_t floor_ms)
{
    struct walk walk = {.model = model, .floor_ms = floor_ms, .last_time = INT64_MAX, .last_seq = UINT64_MAX, .good = true};
    int expected = 0;
    for (int i = 0; i < model->count; i++)
        expected += model->kept[i].record.time_ms > floor_ms;
    window_walk(shard, cell, 0, 0, floor_ms, walk_visit, &walk);
    return walk.good && walk.count == expected;
}

/* --- one stream --- */

static struct kept random_record(uint64_t *chance, int64_t *clock, uint64_t seq, int ids)
{
    struct kept kept = {.key_is_receiver = below(chance, 2)};
    *clock += below(chance, 4) ? below(chance, 6) : 0;
    int64_t late = below(chance, 4) ? 0 : below(chance, LATENESS);
    kept.record = (struct record){.time_ms = *clock - late,
                                  .seq = seq,
                                  .amount = below(chance, 12) ? 1 + below(chance, 1000) : MISSING_I64,
                                  .sender = (entity_id)below(chance, ids + 1),
                                  .receiver = (entity_id)below(chance, ids + 1)};
    kept.record.extra[0] = below(chance, 5) ? below(chance, ids) : MISSING_I64;
    return kept;
}

static bool check_memory(struct shard *shard, struct cell *cell, const struct kept *kept, struct kept *best)
{
    struct memory_record record = {.time_ms = kept->record.time_ms, .seq = kept->record.seq, .keep = {kept->record.amount}}, have;
    memory_put(shard, cell, 0, 0, &record);
    if (best->record.seq == 0 || kept->record.time_ms >= best->record.time_ms)
        *best = *kept; /* seq rises, so of equal times the later call wins */
    return memory_get(shard, cell, 0, 0, &have) && have.seq == best->record.seq && have.time_ms == best->record.time_ms &&
           have.keep[0] == best->record.amount;
}

static const char *stream_run(struct state *state, uint32_t key, uint64_t seed)
{
    uint64_t chance = seed;
    struct model model = {.newest = INT64_MIN};
    struct kept best = {0};
    struct shard *shard = state_shard(state, key & 255);
    struct cell *cell = cell_get(shard, 0, &key);
    int records = 1 + (int)below(&chance, below(&chance, 8) ? 24 : RECORDS_MAX), ids = 1 + (int)below(&chance, 12);
    int64_t clock = 1000, spans[AGGREGATES], clocks[AGGREGATES];
    if (!cell)
        return "the shard is full";
    for (int a = 0; a < AGGREGATES; a++) {
        spans[a] = 1 + below(&chance, SPAN_MAX);
        clocks[a] = INT64_MIN;
    }
    for (int i = 0; i < records; i++) {
        struct kept kept = random_record(&chance, &clock, (uint64_t)i + 1, ids);
        if (!window_add(shard, cell, 0, 0, &kept.record, kept.key_is_receiver))
            return "the shard is full";
        model.kept[model.count++] = kept;
        if (!check_memory(shard, cell, &kept, &best))
            return "a memory differs";
        for (int a = 0; a < AGGREGATES; a++) {
            if (kept.record.time_ms > clocks[a])
                clocks[a] = kept.record.time_ms;
            if (below(&chance, 3) == 0)
                continue; /* this rule is not evaluated now: its tail stays behind */
            int64_t floor_ms = clocks[a] - spans[a] - (below(&chance, 20) ? 0 : below(&chance, LATENESS - 1));
            __int128 value = window_value(shard, cell, 0, 0, (uint16_t)a, floor_ms);
            if (value != model_value(&model, &aggregates[a], floor_ms))
                return "an aggregate differs";
        }
        if (below(&chance, 10) == 0 && !check_walk(shard, cell, &model, clock - LATENESS - SPAN_MAX + below(&chance, SPAN_MAX)))
            return "a walk differs";
    }
    return NULL;
}

static struct state *state_make(void)
{
    static const struct window_layout window = {
        .hash = 1, .keep_ms = SPAN_MAX + 2 * LATENESS, .extra_count = 1, .aggregate_count = AGGREGATES, .aggregate = aggregates};
    static const struct memory_layout memory = {.hash = 1, .for_ms = 100, .keep_count = 1};
    static const struct keyspace_layout keyspace = {
        .hash = 1, .width = 1, .window_count = 1, .window = &window, .memory_count = 1, .memory = &memory, .widest_ms = 100};
    const struct state_layout layout = {.keyspace_count = 1, .keyspace = &keyspace, .lateness_ms = LATENESS, .shard_bytes_max = 64 << 20};
    struct error err = {0};
    struct state *state = state_new(&layout, (const unsigned char[16]){0}, &err);
    invariant(state != NULL);
    return state;
}

int main(int argc, char **argv)
{
    uint64_t streams = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t passed = 0, failed = 0;
    struct state *state = NULL;
    for (uint64_t i = 0; i < streams; i++) {
        if (i % STREAMS_PER_STATE == 0) {
            state_free(state);
            state = state_make();
        }
        const char *wrong = stream_run(state, (uint32_t)(i % STREAMS_PER_STATE + 256), seed + i);
        passed += !wrong;
        failed += wrong != NULL;
        if (wrong && failed <= 10)
            printf("seed %llu: %s\n", (unsigned long long)(seed + i), wrong);
    }
    state_free(state);
    printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    return failed ? 1 : 0;
}
