/* What tests of state compare: bytes that a shard uses, and hashes of two states at one horizon. */
#ifndef TESTS_UNIT_STATE_SUM_H
#define TESTS_UNIT_STATE_SUM_H

#include "engine/state/hash.h"

static inline uint64_t used(struct state *state)
{
    return slab_used(shard_slab(state_shard(state, 0)));
}

static inline bool hash_equal(const struct state *a, const struct state *b, int64_t horizon_ms)
{
    struct error err = {0};
    struct zone *zone = zone_load(SLICE("UTC"), &err);
    const struct state_horizon horizon = {.keys_ms = horizon_ms, .dedup_ms = horizon_ms, .zone = zone};
    struct state_sum x = {0}, y = {0};
    state_hash(a, &horizon, &x);
    state_hash(b, &horizon, &y);
    zone_free(zone);
    return memcmp(&x, &y, sizeof x) == 0;
}

#endif
