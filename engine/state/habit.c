/* Habits: one sample a week of what an aggregate came to, for `usual` (RULES 14). */
#include "engine/state/hash.h"
#include "engine/state/window_private.h"

#include <stdlib.h>

struct habit {
    int32_t first_week;          /* of the key's first record: itself never sampled */
    int32_t next_week;           /* the first week not sampled yet */
    uint64_t room;               /* of sample: none before the first is put, for most accounts move money once; then HABIT_WEEKS */
    int64_t sample[];            /* by week modulo HABIT_WEEKS; MISSING_I64 where the aggregate was */
};

static size_t habit_size(uint64_t room)
{
    return sizeof(struct habit) + room * sizeof(int64_t);
}

size_t habit_bytes(void)
{
    return habit_size(HABIT_WEEKS);
}

size_t habit_first_bytes(void)
{
    return habit_size(0);
}

size_t habit_block_bytes(const struct shard *shard, slab_ref ref)
{
    return ref ? slab_block(habit_size(((const struct habit *)slab_at(&shard->slab, ref))->room)) : 0;
}

slab_ref habit_copy(struct shard *shard, const struct shard *from, slab_ref ref)
{
    size_t size = habit_block_bytes(from, ref);
    slab_ref fresh = slab_alloc(&shard->slab, size);
    if (fresh)
        memcpy(slab_edit(&shard->slab, fresh, size), slab_at(&from->slab, ref), size);
    return fresh;
}

static uint32_t habit_slot(int32_t week)
{
    int32_t slot = week % HABIT_WEEKS;
    return (uint32_t)(slot < 0 ? slot + HABIT_WEEKS : slot);
}

static slab_ref habit_ref(const struct shard *shard, slab_ref window, uint8_t habit)
{
    slab_ref ref;
    memcpy(&ref, (const char *)slab_at(&shard->slab, window) + window_habit_at(habit), sizeof ref);
    return ref;
}

/* The habit of a window, its weeks to be changed, made where there is none yet; NULL when the shard is full. */
static struct habit *habit_get(struct shard *shard, slab_ref window, const struct window_layout *layout, uint8_t habit, bool *fresh)
{
    slab_ref ref = habit_ref(shard, window, habit);
    *fresh = ref == 0;
    if (!ref) {
        ref = shard_full(shard) ? 0 : slab_alloc(&shard->slab, habit_size(0));
        if (!ref) {
            shard_bound_hit(shard, BOUND_HABIT);
            return NULL;
        }
        char *at = slab_edit(&shard->slab, window, window_ring_at(layout));
        memcpy(at + window_habit_at(habit), &ref, sizeof ref);
    }
    return slab_edit(&shard->slab, ref, sizeof(struct habit));
}

/* Room for the first sample and those after it; NULL when the shard is full. */
static struct habit *habit_room(struct shard *shard, slab_ref window, const struct window_layout *layout, uint8_t habit)
{
    slab_ref ref = habit_ref(shard, window, habit), fresh;
    const struct habit *at = slab_at(&shard->slab, ref);
    if (at->room)
        return slab_edit(&shard->slab, ref, habit_bytes());
    fresh = shard_full(shard) ? 0 : slab_alloc(&shard->slab, habit_bytes());
    if (!fresh) {
        shard_bound_hit(shard, BOUND_HABIT);
        return NULL;
    }
    struct habit *roomy = slab_edit(&shard->slab, fresh, habit_bytes());
    *roomy = *at;
    roomy->room = HABIT_WEEKS;
    slab_free(&shard->slab, ref, habit_size(0));
    memcpy((char *)slab_edit(&shard->slab, window, window_ring_at(layout)) + window_habit_at(habit), &fresh, sizeof fresh);
    return roomy;
}

bool habit_due(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window, uint8_t habit, int32_t week, int32_t *from)
{
    const struct window_layout *layout = &shard_layout(shard, keyspace)->window[window];
    slab_ref ref = window_ensure(shard, cell, keyspace, window);
    bool fresh;
    struct habit *at = ref ? habit_get(shard, ref, layout, habit, &fresh) : NULL;
    if (!at)
        return false;
    /* after so long a silence the key may have been dropped: so it begins anew whether it was or not */
    if (fresh || week - at->next_week >= HABIT_WEEKS) {
        at->first_week = week;
        at->next_week = week + 1;
        return false;
    }
    *from = at->next_week;
    return at->next_week < week;
}

void habit_put(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window, uint8_t habit, int32_t week,
               struct window_result sample)
{
    const struct window_layout *layout = &shard_layout(shard, keyspace)->window[window];
    slab_ref at_window = window_ref(cell, shard_layout(shard, keyspace), window);
    struct habit *at = habit_room(shard, at_window, layout, habit);
    if (!at) { /* it begins later: this week is its first */
        slab_ref ref = habit_ref(shard, at_window, habit);
        *(struct habit *)slab_edit(&shard->slab, ref, habit_size(0)) = (struct habit){.first_week = week, .next_week = week + 1};
        return;
    }
    __int128 value = sample.value > INT64_MAX ? INT64_MAX : sample.value < -INT64_MAX ? -INT64_MAX : sample.value;
    at->sample[habit_slot(week)] = sample.known ? (int64_t)value : MISSING_I64;
    at->next_week = week + 1;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

struct window_result habit_median(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t window,
                                  uint8_t habit, int32_t week)
{
    struct window_result unknown = {0};
    slab_ref ref = window_ref(cell, shard_layout(shard, keyspace), window);
    ref = ref ? habit_ref(shard, ref, habit) : 0;
    if (!ref)
        return unknown;
    const struct habit *at = slab_at(&shard->slab, ref);
    int64_t sample[HABIT_WEEKS];
    uint32_t count = 0;
    int32_t from = week - HABIT_WEEKS, oldest = at->next_week - HABIT_WEEKS;
    from = from <= at->first_week ? at->first_week + 1 : from;
    from = from < oldest ? oldest : from; /* a late look back: the older ones are overwritten */
    for (int32_t w = from; w < week && w < at->next_week; w++)
        if (at->sample[habit_slot(w)] != MISSING_I64)
            sample[count++] = at->sample[habit_slot(w)];
    if (count < HABIT_WEEKS_LEAST)
        return unknown;
    qsort(sample, count, sizeof *sample, by_value);
    if (count % 2)
        return (struct window_result){sample[count / 2], true};
    return mean_half_even((__int128)sample[count / 2 - 1] + sample[count / 2], 2);
}

/* `week`: of the horizon. A habit silent for HABIT_WEEKS before it begins anew whatever it held. */
void habit_hash(const struct shard *shard, slab_ref ref, int32_t week, struct hash_item *item)
{
    const struct habit *at = ref ? slab_at(&shard->slab, ref) : NULL;
    if (!at || (week != INT32_MIN && week - at->next_week >= HABIT_WEEKS))
        return;
    int32_t from = at->next_week - HABIT_WEEKS;
    from = from <= at->first_week ? at->first_week + 1 : from;
    hash_item_text(item, SLICE("habit"));
    hash_item_number(item, from); /* the week it began shows in no other way */
    hash_item_number(item, at->next_week);
    for (int32_t w = from; w < at->next_week; w++)
        hash_item_number(item, at->sample[habit_slot(w)]);
}
