/* Windows read by definition: what an aggregate comes to over the records themselves. */
#include "engine/state/window_private.h"

#include <stdlib.h>

struct window_result mean_half_even(__int128 sum, uint64_t count)
{
    if (!count)
        return (struct window_result){0};
    __int128 by = count, mean = sum / by, rest = sum % by;
    __int128 twice = rest < 0 ? -2 * rest : 2 * rest;
    if (twice > by || (twice == by && mean % 2 != 0))
        mean += sum < 0 ? -1 : 1;
    return (struct window_result){mean, true};
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static struct window_result scan_distinct_few(const struct at *at, int column, uint32_t from, uint32_t to)
{
    uint64_t id[WINDOW_SCAN_MOST];
    uint32_t count = 0;
    for (uint32_t i = from; i < to; i++) {
        bool seen = !kept_id(kept_at(at, i), column, &id[count]);
        for (uint32_t j = 0; !seen && j < count; j++)
            seen = id[j] == id[count];
        count += !seen;
    }
    return (struct window_result){count, true};
}

/* Different values among records [from, to), counted without the marks, which look beyond `to`. */
static struct window_result scan_distinct(const struct at *at, int column, uint32_t from, uint32_t to)
{
    if (to - from <= WINDOW_SCAN_MOST)
        return scan_distinct_few(at, column, from, to);
    uint64_t *id = malloc(((size_t)(to - from) + 1) * sizeof *id);
    invariant(id != NULL);
    uint32_t count = 0, distinct = 0;
    for (uint32_t i = from; i < to; i++)
        count += kept_id(kept_at(at, i), column, &id[count]);
    qsort(id, count, sizeof *id, by_id);
    for (uint32_t i = 0; i < count; i++)
        distinct += i == 0 || id[i] != id[i - 1];
    free(id);
    return (struct window_result){distinct, true};
}

/* The first (step 1) or last (step -1) known value among records [from, to). */
struct window_result scan_end(const struct at *at, int column, uint32_t from, uint32_t to, bool first)
{
    for (uint32_t i = from; i < to; i++) {
        int64_t number = kept_number(kept_at(at, first ? i : to - 1 - (i - from)), column);
        if (number != MISSING_I64)
            return (struct window_result){number, true};
    }
    return (struct window_result){0};
}

static struct window_result scan_extreme(const struct at *at, const struct aggregate_layout *aggregate, uint32_t from, uint32_t to)
{
    struct window_result best = {0};
    for (uint32_t i = from; i < to; i++) {
        int64_t number = kept_number(kept_at(at, i), aggregate->column);
        if (number == MISSING_I64)
            continue;
        if (!best.known || (aggregate->fn == WINDOW_MIN ? number < best.value : number > best.value))
            best = (struct window_result){number, true};
    }
    return best;
}

static struct window_result scan_sum(const struct at *at, const struct aggregate_layout *aggregate, uint32_t from, uint32_t to)
{
    __int128 sum = 0;
    uint64_t known = 0;
    for (uint32_t i = from; i < to; i++) {
        int64_t number = kept_number(kept_at(at, i), aggregate->column);
        if (number == MISSING_I64)
            continue;
        sum += number;
        known++;
    }
    return aggregate->fn == WINDOW_AVG ? mean_half_even(sum, known) : (struct window_result){sum, true};
}

/* By definition, over records [from, to). */
static struct window_result scan_records(const struct at *at, const struct aggregate_layout *aggregate, uint32_t from, uint32_t to)
{
    switch ((enum window_fn)aggregate->fn) {
    case WINDOW_COUNT:
        return (struct window_result){to - from, true};
    case WINDOW_DISTINCT:
        return scan_distinct(at, aggregate->column, from, to);
    case WINDOW_FIRST:
    case WINDOW_LAST:
        return scan_end(at, aggregate->column, from, to, aggregate->fn == WINDOW_FIRST);
    case WINDOW_MIN:
    case WINDOW_MAX:
        return scan_extreme(at, aggregate, from, to);
    case WINDOW_SUM:
    case WINDOW_AVG:
        return scan_sum(at, aggregate, from, to);
    }
    return (struct window_result){0};
}

/* From scratch: for a floor that fell, or a ceiling before the newest record. */
struct window_result scan_value(const struct at *at, const struct aggregate_layout *aggregate, const struct window_span *span)
{
    uint32_t from = ring_upper_bound(at, span->floor_ms, span->after ? span->floor_seq : SEQ_BITS), to = ring_upper_bound(at, span->ceiling_ms, SEQ_BITS);
    return scan_records(at, aggregate, from, to < from ? from : to);
}

/* Of few records, up to the newest. */
struct window_result scan_few(const struct at *at, const struct aggregate_layout *aggregate, int64_t floor_ms)
{
    uint32_t from = floor_ms >= at->window->newest_ms ? at->window->count : 0;
    while (from < at->window->count && kept_at(at, from)->time_ms <= floor_ms)
        from++;
    return scan_records(at, aggregate, from, at->window->count);
}
