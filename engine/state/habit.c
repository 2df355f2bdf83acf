/* Habits: one sample a week of what an aggregate came to, for `usual` (RULES 14). */
#include "engine/state/hash.h"
#include "engine/state/window_private.h"

#include <stdlib.h>

/* Most accounts move money once, and then a habit is the week in which it began: the window says it where it would say where the block lies. */
struct habit {
    int32_t first_week;          /* of the key's first record: itself never sampled */
    int32_t next_week;           /* the first week not sampled yet */
    int64_t sample[HABIT_WEEKS]; /* by week modulo HABIT_WEEKS; MISSING_I64 where the aggregate was */
};

size_t habit_bytes(void)
{
    return sizeof(struct habit);
}

size_t habit_block_bytes(slab_ref habit)
{
    return habit_has_block(habit) ? slab_block(sizeof(struct habit)) : 0;
}

void habit_free(struct shard *shard, slab_ref habit)
{
    if (habit_has_block(habit))
        slab_free(&shard->slab, habit, sizeof(struct habit));
}

slab_ref habit_copy(struct shard *shard, const struct shard *from, slab_ref habit)
{
    if (!habit_has_block(habit))
        return habit;
    slab_ref fresh = slab_alloc(&shard->slab, sizeof(struct habit));
    if (fresh)
        *(struct habit *)slab_edit(&shard->slab, fresh, sizeof(struct habit)) = *(const struct habit *)slab_at(&from->slab, habit);
    return fresh;
}

static slab_ref week_habit(int32_t week)
{
    return HABIT_IS_WEEK | ((uint32_t)week & ~HABIT_IS_WEEK);
}

/* The week of a habit that is one; its sign is the bit below. */
static int32_t habit_week(slab_ref habit)
{
    return (int32_t)(habit << 1) >> 1;
}

static int32_t habit_next_week(const struct shard *shard, slab_ref habit)
{
    return habit_has_block(habit) ? ((const struct habit *)slab_at(&shard->slab, habit))->next_week : habit_week(habit) + 1;
}

static uint32_t habit_slot(int32_t week)
{
    int32_t slot = week % HABIT_WEEKS;
    return (uint32_t)(slot < 0 ? slot + HABIT_WEEKS : slot);
}

static slab_ref habit_ref(const struct shard *shard, slab_ref window, uint8_t habit)
{
    slab_ref ref;
    memcpy(&ref, (const char *)window_of(shard, window) + window_habit_at(habit), sizeof ref);
    return ref;
}

static void habit_set(struct shard *shard, slab_ref window, const struct window_layout *layout, uint8_t habit, slab_ref value)
{
    memcpy((char *)slab_edit(&shard->slab, window, window_ring_at(layout)) + window_habit_at(habit), &value, sizeof value);
}

/* It begins anew: this week is its first. */
static void habit_begin(struct shard *shard, slab_ref window, const struct window_layout *layout, uint8_t habit, int32_t week)
{
    slab_ref ref = habit_ref(shard, window, habit);
    if (!habit_has_block(ref)) {
        habit_set(shard, window, layout, habit, week_habit(week));
        return;
    }
    struct habit *at = slab_edit(&shard->slab, ref, sizeof *at);
    at->first_week = week;
    at->next_week = week + 1;
}

/* The habit with its samples, made where there are none yet; NULL when the shard is full. */
static struct habit *habit_room(struct shard *shard, slab_ref window, const struct window_layout *layout, uint8_t habit)
{
    slab_ref ref = habit_ref(shard, window, habit), fresh;
    if (habit_has_block(ref))
        return slab_edit(&shard->slab, ref, sizeof(struct habit));
    fresh = shard_full(shard) ? 0 : slab_alloc(&shard->slab, sizeof(struct habit));
    if (!fresh) {
        shard_bound_hit(shard, BOUND_HABIT);
        return NULL;
    }
    struct habit *roomy = slab_edit(&shard->slab, fresh, sizeof *roomy);
    roomy->first_week = habit_week(ref);
    roomy->next_week = habit_week(ref) + 1;
    habit_set(shard, window, layout, habit, fresh);
    return roomy;
}

bool habit_due(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window, uint8_t habit, int32_t week, int32_t *from)
{
    const struct window_layout *layout = &shard_layout(shard, keyspace)->window[window];
    slab_ref at = window_ensure(shard, cell, keyspace, window);
    slab_ref ref = at ? habit_ref(shard, at, habit) : 0;
    if (!at)
        return false;
    *from = ref ? habit_next_week(shard, ref) : week;
    /* after so long a silence the key may have been dropped: so it begins anew whether it was or not */
    if (!ref || week - *from >= HABIT_WEEKS) {
        habit_begin(shard, at, layout, habit, week);
        return false;
    }
    return *from < week;
}

void habit_put(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window, uint8_t habit, int32_t week,
               struct window_result sample)
{
    const struct window_layout *layout = &shard_layout(shard, keyspace)->window[window];
    slab_ref at_window = window_ref(cell, shard_layout(shard, keyspace), window);
    struct habit *at = habit_room(shard, at_window, layout, habit);
    if (!at) { /* it begins later */
        habit_begin(shard, at_window, layout, habit, week);
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
    if (!habit_has_block(ref))
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
void habit_hash(const struct shard *shard, slab_ref habit, int32_t week, struct hash_item *item)
{
    int32_t next = habit ? habit_next_week(shard, habit) : 0;
    if (!habit || (week != INT32_MIN && week - next >= HABIT_WEEKS))
        return;
    const struct habit *at = habit_has_block(habit) ? slab_at(&shard->slab, habit) : NULL;
    int32_t first = at ? at->first_week : habit_week(habit), from = next - HABIT_WEEKS;
    from = from <= first ? first + 1 : from;
    hash_item_text(item, SLICE("habit"));
    hash_item_number(item, from); /* the week it began shows in no other way */
    hash_item_number(item, next);
    for (int32_t w = from; w < next; w++)
        hash_item_number(item, at->sample[habit_slot(w)]);
}
