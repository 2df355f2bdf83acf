/* Holds windows and memories against a slow, obvious model on random streams: late events, equal
 * times, several aggregates with clocks of their own on one ring, missing values, evictions, floors
 * that fall, clocks behind the newest record (RULES 2, 5, 13). Each stream is a fresh key. Usage: window_model [STREAMS [SEED]]. */
#include "engine/base/invariant.h"
#include "engine/state/state.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECORDS_MAX = 120, AGGREGATES = 24, SPAN_MAX = 60, DAYS_MAX = 9, DAY_MS = 10, LATENESS = 25, STREAMS_PER_STATE = 20000 };

/* The days of this model are 10 ms long, so that short streams see many. */
static const struct aggregate_layout aggregates[AGGREGATES] = {
    {.hash = 1, .fn = WINDOW_COUNT},
    {.hash = 2, .fn = WINDOW_SUM, .column = WINDOW_AMOUNT},
    {.hash = 3, .fn = WINDOW_DISTINCT, .column = WINDOW_SENDER},
    {.hash = 4, .fn = WINDOW_DISTINCT, .column = WINDOW_OTHER},
    {.hash = 5, .fn = WINDOW_DISTINCT, .column = WINDOW_EXTRA},
    {.hash = 6, .fn = WINDOW_SUM, .column = WINDOW_AMOUNT},
    {.hash = 7, .fn = WINDOW_DISTINCT, .column = WINDOW_RECEIVER},
    {.hash = 8, .fn = WINDOW_MIN, .column = WINDOW_AMOUNT},
    {.hash = 9, .fn = WINDOW_MAX, .column = WINDOW_AMOUNT},
    {.hash = 10, .fn = WINDOW_AVG, .column = WINDOW_AMOUNT},
    {.hash = 11, .fn = WINDOW_FIRST, .column = WINDOW_OTHER},
    {.hash = 12, .fn = WINDOW_LAST, .column = WINDOW_EXTRA},
    {.hash = 13, .fn = WINDOW_MIN, .column = WINDOW_EXTRA},
    {.hash = 14, .fn = WINDOW_COUNT, .days = 4, .days_kept = DAYS_MAX},
    {.hash = 15, .fn = WINDOW_SUM, .column = WINDOW_AMOUNT, .days = 4, .days_kept = DAYS_MAX},
    {.hash = 16, .fn = WINDOW_DISTINCT, .column = WINDOW_SENDER, .days = 3, .days_kept = DAYS_MAX},
    {.hash = 17, .fn = WINDOW_DISTINCT, .column = WINDOW_OTHER, .days = 5, .days_kept = DAYS_MAX},
    {.hash = 18, .fn = WINDOW_MIN, .column = WINDOW_AMOUNT, .days = 4, .days_kept = DAYS_MAX},
    {.hash = 19, .fn = WINDOW_MAX, .column = WINDOW_AMOUNT, .days = 2, .days_kept = DAYS_MAX},
    {.hash = 20, .fn = WINDOW_AVG, .column = WINDOW_AMOUNT, .days = 4, .days_kept = DAYS_MAX},
    {.hash = 21, .fn = WINDOW_FIRST, .column = WINDOW_EXTRA, .days = 4, .days_kept = DAYS_MAX},
    {.hash = 22, .fn = WINDOW_LAST, .column = WINDOW_OTHER, .days = 4, .days_kept = DAYS_MAX},
    /* so wide that an id may come, stay away for more than 32 days, and come again */
    {.hash = 23, .fn = WINDOW_DISTINCT, .column = WINDOW_SENDER, .days = 50, .days_kept = 60},
    {.hash = 24, .fn = WINDOW_DISTINCT, .column = WINDOW_EXTRA, .days = 390, .days_kept = 400},
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

static bool model_covers(const struct kept *kept, const struct aggregate_layout *aggregate, const struct window_span *span)
{
    if (aggregate->days)
        return kept->record.day > span->floor_day && kept->record.day <= span->ceiling_day;
    return kept->record.time_ms > span->floor_ms && kept->record.time_ms <= span->ceiling_ms;
}

static int64_t half_even(int64_t sum, int64_t count)
{
    int64_t twice = 2 * sum, low = sum / count - (sum % count < 0); /* the integer below */
    int64_t above = twice - 2 * low * count - count;                /* twice the distance past the middle */
    return above > 0 || (above == 0 && low % 2 != 0) ? low + 1 : low;
}

static struct window_result model_value(const struct model *model, const struct aggregate_layout *aggregate, const struct window_span *span)
{
    int64_t sum = 0, count = 0, known = 0, distinct = 0, least = INT64_MAX, most = INT64_MIN;
    const struct kept *first = NULL, *last = NULL;
    for (int i = 0; i < model->count; i++) {
        const struct kept *kept = &model->kept[i];
        int64_t number = column_of(kept, aggregate->column);
        bool repeated = false;
        if (!model_covers(kept, aggregate, span))
            continue;
        count++;
        if (number == MISSING_I64)
            continue;
        for (int j = 0; j < i; j++)
            repeated |= model_covers(&model->kept[j], aggregate, span) && column_of(&model->kept[j], aggregate->column) == number;
        known++;
        distinct += !repeated;
        sum += number;
        least = number < least ? number : least;
        most = number > most ? number : most;
        if (!first || kept->record.time_ms < first->record.time_ms)
            first = kept; /* seq rises with i */
        if (!last || kept->record.time_ms >= last->record.time_ms)
            last = kept;
    }
    switch ((enum window_fn)aggregate->fn) {
    case WINDOW_COUNT:
        return (struct window_result){count, true};
    case WINDOW_SUM:
        return (struct window_result){sum, true};
    case WINDOW_DISTINCT:
        return (struct window_result){distinct, true};
    case WINDOW_MIN:
        return (struct window_result){known ? least : 0, known != 0};
    case WINDOW_MAX:
        return (struct window_result){known ? most : 0, known != 0};
    case WINDOW_AVG:
        return (struct window_result){known ? half_even(sum, known) : 0, known != 0};
    case WINDOW_FIRST:
        return (struct window_result){first ? column_of(first, aggregate->column) : 0, first != NULL};
    case WINDOW_LAST:
        return (struct window_result){last ? column_of(last, aggregate->column) : 0, last != NULL};
    }
    return (struct window_result){0};
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
    bool in_order = record->time_ms < walk->last_time || (record->time_ms == walk->last_time && record->seq <= walk->last_seq);
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
    *clock += below(chance, 40) ? 0 : below(chance, 60 * DAY_MS);
    int64_t late = below(chance, 4) ? 0 : below(chance, LATENESS);
    late = below(chance, 60) ? late : below(chance, 60 * DAY_MS); /* of a partition that is far behind */
    kept.record = (struct record){.time_ms = *clock - late,
                                  .seq = seq,
                                  .amount = below(chance, 12) ? 1 + below(chance, 1000) : MISSING_I64,
                                  .sender = (entity_id)below(chance, ids + 1),
                                  .receiver = (entity_id)below(chance, ids + 1)};
    kept.record.day = (int32_t)(kept.record.time_ms / DAY_MS);
    kept.record.extra[0] = below(chance, 5) ? below(chance, ids) : MISSING_I64;
    return kept;
}

/* The other end of a payment to oneself: the same event once more, seen from there. */
static struct kept other_end(uint64_t *chance, const struct kept *end, int ids)
{
    struct kept kept = *end;
    kept.key_is_receiver = !end->key_is_receiver;
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
    bool again = false;
    if (!cell)
        return "the shard is full";
    for (int a = 0; a < AGGREGATES; a++) {
        spans[a] = 1 + below(&chance, SPAN_MAX);
        clocks[a] = INT64_MIN;
    }
    for (int i = 0; i < records; i++) {
        again = i > 0 && !again && below(&chance, 8) == 0;
        struct kept kept = again ? other_end(&chance, &model.kept[model.count - 1], ids) : random_record(&chance, &clock, (uint64_t)i + 1, ids);
        if (!window_add(shard, cell, 0, 0, &kept.record, kept.key_is_receiver))
            return "the shard is full";
        model.kept[model.count++] = kept;
        model.newest = kept.record.time_ms > model.newest ? kept.record.time_ms : model.newest;
        if (!check_memory(shard, cell, &kept, &best))
            return "a memory differs";
        for (int a = 0; a < AGGREGATES; a++) {
            if (kept.record.time_ms > clocks[a])
                clocks[a] = kept.record.time_ms;
            if (below(&chance, 3) == 0)
                continue; /* this rule is not evaluated now: its tail stays behind */
            /* now and then a floor that fell, or a clock that lags behind the newest record */
            int64_t at = clocks[a] - (below(&chance, 20) ? 0 : below(&chance, LATENESS - 1));
            struct window_span span = {.floor_ms = at - spans[a], .ceiling_ms = at, .ceiling_day = (int32_t)(at / DAY_MS)};
            span.floor_day = span.ceiling_day - aggregates[a].days;
            struct window_result value = window_value(shard, cell, 0, 0, (uint16_t)a, &span);
            struct window_result expected = model_value(&model, &aggregates[a], &span);
            if (value.known != expected.known || (value.known && value.value != expected.value))
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
        .hash = 1, .keep_ms = SPAN_MAX + 2 * LATENESS, .extra_count = 1, .by_day = true, .aggregate_count = AGGREGATES, .aggregate = aggregates};
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
