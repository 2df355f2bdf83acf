/* What the state holds and which bounds were hit, published for metrics and told to operators. */
#include "engine/stream/pipeline_private.h"

enum { PUBLISH_EVERY_MS = 500, TELL_EVERY_MS = 60000 };

static const struct {
    const char *label, *says, *advice;
    enum notice_level level;
} rows[BOUND_COUNT] = {
#define BOUND(name, label, level, says, advice) {label, says, advice, NOTICE_##level},
#include "engine/state/bound.def"
#undef BOUND
};

/* One line per bound, at the first hit and then at most once a minute. */
static void tell(struct pipeline *pipeline, int bound, const struct state_totals *totals, int64_t now_ms)
{
    struct bound_told *told = &pipeline->told[bound];
    uint64_t hits = totals->bound[bound];
    if (hits == told->hits || (told->hits && now_ms - told->at_ms < TELL_EVERY_MS))
        return;
    pipeline_notice(pipeline, rows[bound].level, "bound_hit",
                    "%s: %s (%llu times, %llu in all; the fullest shard holds %.1f of %.1f MiB, %llu of 256 are full); %s", rows[bound].label,
                    rows[bound].says, (unsigned long long)(hits - told->hits), (unsigned long long)hits,
                    (double)totals->fullest_bytes / 1048576, (double)totals->shard_bytes_max / 1048576, (unsigned long long)totals->shards_full,
                    rows[bound].advice);
    *told = (struct bound_told){.hits = hits, .at_ms = now_ms};
}

static void set(atomic_uint_least64_t *figure, uint64_t value)
{
    atomic_store_explicit(figure, value, memory_order_relaxed);
}

void pipeline_publish(struct pipeline *pipeline, bool last)
{
    struct state_totals totals;
    struct state_figures *figures = &pipeline->figures->state;
    int64_t now_ms = pipeline_now_ms();
    if (!last && now_ms - pipeline->published_ms < PUBLISH_EVERY_MS)
        return;
    pipeline->published_ms = now_ms;
    step_totals(pipeline->step, &totals);
    set(&figures->bytes_used, totals.bytes_used);
    set(&figures->bytes_resident, totals.bytes_resident);
    set(&figures->bytes_max, totals.bytes_max);
    set(&figures->fullest_bytes, totals.fullest_bytes);
    set(&figures->shard_bytes_max, totals.shard_bytes_max);
    set(&figures->shards_full, totals.shards_full);
    set(&figures->identities, totals.identities);
    set(&figures->keys, totals.keys);
    set(&figures->records, totals.records);
    set(&figures->repeats, totals.repeats);
    set(&figures->identities_freed, totals.identities_freed);
    set(&figures->keys_dropped, totals.keys_dropped);
    struct graph_tally graphs;
    step_graphs(pipeline->step, &graphs);
    set(&figures->graph_searches, graphs.searches);
    set(&figures->graph_skipped, graphs.skipped);
    set(&figures->graph_legs, graphs.legs);
    for (int bound = 0; bound < BOUND_COUNT; bound++) {
        set(&figures->bound[bound], totals.bound[bound]);
        tell(pipeline, bound, &totals, now_ms);
    }
}
