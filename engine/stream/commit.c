/* The sink stage: blocks that wait become one transaction; a sink that is away is waited for. */
#include "engine/stream/pipeline_private.h"

#include "engine/base/fail_point.h"
#include "engine/base/invariant.h"

#include <stdlib.h>

enum { RETRY_FIRST_MS = 50, RETRY_MOST_MS = 500 };

void commit_init(struct pipeline *pipeline)
{
    struct commit *commit = &pipeline->commit;
    commit->room = pipeline->pool_count;
    commit->block = calloc(commit->room, sizeof *commit->block);
    commit->row = calloc(commit->room, sizeof *commit->row);
    invariant(commit->block && commit->row);
    commit->renewed_ms = pipeline_now_ms();
}

void commit_fini(struct pipeline *pipeline)
{
    free(pipeline->commit.block);
    free(pipeline->commit.row);
}

void commit_add(struct pipeline *pipeline, struct block *block)
{
    struct commit *commit = &pipeline->commit;
    const struct output *output = &block->output;
    invariant(commit->count < commit->room);
    (void)fail_point(FAIL_COMMIT_ADD);
    if (commit->count == 0)
        commit->oldest_ms = pipeline_now_ms();
    commit->row[commit->count] = (struct commit_block){
        .journal = block->journal,
        .output = output,
        .rejection = block->rejection,
        .rejection_count = block->rejection_count,
        .arrival = block->arrival,
        .arrival_count = block->arrival_count,
    };
    commit->block[commit->count++] = block;
    commit->due |= output->hit_count || output->revision_count || output->alert_hit_count ||
                   output->rejection_count || block->rejection_count;
}

bool commit_ready(const struct pipeline *pipeline, bool more)
{
    const struct commit *commit = &pipeline->commit;
    if (commit->count == 0)
        return false;
    if (commit->count * 2 >= commit->room)
        return true;
    if (more)
        return false;
    return commit->due || atomic_load(&pipeline->stopping) ||
           pipeline_now_ms() - commit->oldest_ms >= pipeline->settings->sink_wait_ms;
}

static void note_away(struct pipeline *pipeline, const struct error *err)
{
    if (atomic_load(&pipeline->figures->sink_away_since_ms))
        return;
    atomic_store(&pipeline->figures->sink_away_since_ms, pipeline_now_ms());
    pipeline_notice(pipeline, NOTICE_WARNING, "sink_away", "%s; waiting, new alerts are delayed", err->text);
}

static void note_back(struct pipeline *pipeline)
{
    int64_t since_ms = atomic_load(&pipeline->figures->sink_away_since_ms);
    if (!since_ms)
        return;
    atomic_store(&pipeline->figures->sink_away_since_ms, 0);
    pipeline_notice(pipeline, NOTICE_INFO, "sink_back", "the sink answers again after %lld ms",
                    (long long)(pipeline_now_ms() - since_ms));
}

/* Waits before the next attempt; false when there shall be none. */
static bool wait_again(struct pipeline *pipeline, const struct error *err, uint32_t *wait_ms)
{
    if (err->class != ERROR_RETRY) {
        pipeline_fail(pipeline, err);
        return false;
    }
    note_away(pipeline, err);
    pipeline_sleep_ms(*wait_ms);
    *wait_ms = *wait_ms * 2 < RETRY_MOST_MS ? *wait_ms * 2 : RETRY_MOST_MS;
    if (pipeline_may_wait(pipeline))
        return true;
    struct error gave_up;
    error_set(&gave_up, ERROR_RETRY, "stopped while the sink was away: %s; what was not written will be read again",
              err->text);
    pipeline_fail(pipeline, &gave_up);
    return false;
}

bool commit_write(struct pipeline *pipeline, void (*release)(struct pipeline *pipeline, struct block *block))
{
    struct commit *commit = &pipeline->commit;
    struct sink *sink = pipeline->world->sink;
    uint32_t wait_ms = RETRY_FIRST_MS;
    struct error err = {0};
    for (;;) {
        if (atomic_load(&pipeline->failed))
            return false;
        uint64_t since = pipeline_now_ns();
        err = (struct error){0};
        if (sink->commit(sink->self, commit->row, commit->count, &err)) {
            atomic_fetch_add(&pipeline->figures->commit_ns, pipeline_now_ns() - since);
            break;
        }
        if (!wait_again(pipeline, &err, &wait_ms))
            return false;
    }
    (void)fail_point(FAIL_COMMIT_DONE);
    note_back(pipeline);
    uint64_t last = commit->row[commit->count - 1].journal.block;
    atomic_store(&pipeline->committed_block, last);
    atomic_store(&pipeline->figures->block_committed, last);
    atomic_fetch_add(&pipeline->figures->commits, 1);
    (void)fail_point(FAIL_COMMIT_RELEASE);
    for (uint32_t i = 0; i < commit->count; i++)
        release(pipeline, commit->block[i]);
    commit->count = 0;
    commit->due = false;
    return true;
}

/* A chore that can wait: only what will not pass by itself ends the pipeline. */
static bool chore_done(struct pipeline *pipeline, bool ok, const struct error *err)
{
    if (ok)
        note_back(pipeline);
    else if (err->class == ERROR_RETRY)
        note_away(pipeline, err);
    else
        pipeline_fail(pipeline, err);
    return ok || err->class == ERROR_RETRY;
}

bool commit_keep(struct pipeline *pipeline)
{
    struct sink *sink = pipeline->world->sink;
    struct error err = {0};
    int64_t now = pipeline_now_ms();
    if (now - pipeline->commit.renewed_ms >= pipeline->settings->renew_every_ms) {
        pipeline->commit.renewed_ms = now;
        bool renewed = sink->renew(sink->self, &err);
        if (!chore_done(pipeline, renewed, &err))
            return false;
    }
    uint64_t prune = atomic_exchange(&pipeline->prune_wanted, 0);
    if (!prune)
        return true;
    err = (struct error){0};
    bool pruned = sink->prune(sink->self, prune, &err); /* else these rows go with the next checkpoint's */
    return chore_done(pipeline, pruned, &err);
}
