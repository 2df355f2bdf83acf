/* The state hash of a step: what the shards hold, subjects' scores, and how far each partition has come. */
#include "engine/stream/step_private.h"

#include "engine/base/invariant.h"

static void partitions_hash(const struct step *step, const struct partition_table *table, struct hash_item *item, struct state_sum *sum)
{
    invariant(table->count >= step->partition_count);
    for (uint32_t p = 0; p < step->partition_count; p++) {
        if (step->partition_newest[p] == INT64_MIN)
            continue;
        hash_item_text(item, SLICE("partition"));
        hash_item_text(item, slice_of(table->partition[p].topic));
        hash_item_number(item, table->partition[p].number);
        hash_item_number(item, step->partition_newest[p]);
        hash_item_add(item, sum);
    }
}

/* Up to where repeats are forgotten when the next event comes: it may enter an epoch. A log leaves out repeats, so
 * whether an epoch was entered by the last events must not show. */
static int64_t dedup_horizon_next(const struct step *step, uint64_t last_seq)
{
    int64_t slowest = step_slowest(step), horizon_ms = step->sweep.dedup_horizon_ms;
    if ((last_seq + 1) / step->settings.epoch_seq == step->sweep.epoch || slowest == INT64_MIN)
        return horizon_ms;
    slowest -= step->settings.dedup_ms + step->settings.lateness_ms;
    return slowest > horizon_ms ? slowest : horizon_ms;
}

void step_hash(const struct step *step, const struct partition_table *table, uint64_t last_seq, unsigned char hash[STATE_HASH_BYTES])
{
    int64_t dedup_ms = dedup_horizon_next(step, last_seq);
    struct state_horizon horizon = {.keys_ms = dedup_ms == INT64_MIN ? INT64_MIN : dedup_ms + step->settings.dedup_ms,
                                    .dedup_ms = dedup_ms,
                                    .zone = step->program->zone};
    struct hash_item item = {0};
    struct state_sum sum = {0};
    state_hash(step->state, &horizon, &sum);
    for (uint32_t s = 0; s < SHARD_COUNT; s++)
        decide_hash(step->decide, state_shard(step->state, s), step->state, horizon.keys_ms, &sum);
    partitions_hash(step, table, &item, &sum);
    hash_item_text(&item, SLICE("sequence"));
    hash_item_number(&item, (int64_t)last_seq);
    hash_item_number(&item, horizon.dedup_ms);
    hash_item_add(&item, &sum);
    hash_item_fini(&item);
    memcpy(hash, sum.word, STATE_HASH_BYTES);
}
