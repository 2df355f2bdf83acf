/* Checkpoints: frozen at a batch boundary, written beside the work, published once nothing in them
 * can be lost any more. */
#include "engine/stream/pipeline_private.h"

#include "engine/base/fail_point.h"
#include "engine/base/invariant.h"
#include "engine/base/thread.h"
#include "engine/stream/checkpoint_words.h"

#include <stdlib.h>

static bool saver_wanted(const struct pipeline *pipeline)
{
    return pipeline->settings->checkpoint_dir != NULL;
}

static struct checkpoint_writer *saver_freeze(struct pipeline *pipeline, struct error *err)
{
    struct arena arena;
    (void)fail_point(FAIL_SAVER_FREEZE);
    arena_init(&arena);
    struct slice extra = checkpoint_words_write(pipeline->step, pipeline->partitions, pipeline->known, pipeline->warm_from,
                                                pipeline->accepted_seq, &arena);
    struct checkpoint_head head = {
        .block = pipeline->block,
        .seq = pipeline->seq,
        .extra = extra.data,
        .extra_size = extra.size,
    };
    memcpy(head.program_hash, pipeline->program->hash, sizeof head.program_hash);
    memcpy(head.hash_key, state_hash_key(step_state(pipeline->step)), sizeof head.hash_key);
    uint64_t since = pipeline_now_ns();
    struct checkpoint_writer *writer =
        checkpoint_begin(step_state(pipeline->step), step_layout(pipeline->step), &head, err);
    atomic_store(&pipeline->figures->checkpoint_pause_ns, pipeline_now_ns() - since);
    arena_fini(&arena);
    return writer;
}

static void saver_failed(struct pipeline *pipeline, const struct error *err)
{
    atomic_fetch_add(&pipeline->figures->checkpoints_failed, 1);
    pipeline_notice(pipeline, NOTICE_WARNING, "checkpoint_failed", "%s; the one before stays, and another is tried after checkpoint_every_s",
                    err->text);
}

/* Is everything that the checkpoint holds safe elsewhere? */
static bool saver_safe(const struct pipeline *pipeline, uint64_t block)
{
    return atomic_load(&pipeline->committed_block) >= block &&
           (!pipeline->log || atomic_load(&pipeline->synced_block) >= block);
}

static bool log_away(const struct pipeline *pipeline)
{
    return atomic_load(&pipeline->figures->log_away_since_ms) != 0;
}

static bool saver_write(struct pipeline *pipeline, struct error *err)
{
    struct saver *saver = &pipeline->saver;
    uint64_t since = pipeline_now_ns();
    if (!checkpoint_write(saver->writer, pipeline->settings->checkpoint_dir, err))
        return false;
    (void)fail_point(FAIL_SAVER_WRITTEN);
    atomic_store(&pipeline->figures->checkpoint_write_ns, pipeline_now_ns() - since);
    atomic_store(&pipeline->sync_wanted, saver->block);
    return true;
}

static void *saver_run(void *argument)
{
    thread_name("muster-saver");
    struct pipeline *pipeline = argument;
    struct saver *saver = &pipeline->saver;
    struct error err = {0};
    bool ok = saver_write(pipeline, &err);
    while (ok && !saver_safe(pipeline, saver->block) && !atomic_load(&pipeline->failed)) {
        if (log_away(pipeline)) /* the log needs the room more: the file goes */
            ok = error_set(&err, ERROR_RETRY, "the log that a checkpoint rests on cannot be written, for its disk is full");
        pipeline_sleep_ms(10);
    }
    saver->published = ok && !atomic_load(&pipeline->failed) && checkpoint_publish(saver->writer, &err);
    if (err.class)
        saver_failed(pipeline, &err);
    atomic_store(&saver->state, SAVER_DONE);
    return NULL;
}

void saver_loaded(struct pipeline *pipeline, uint64_t block)
{
    struct saver *saver = &pipeline->saver;
    if (saver->kept_count == CHECKPOINT_KEEP) {
        memmove(saver->kept, saver->kept + 1, (CHECKPOINT_KEEP - 1) * sizeof *saver->kept);
        saver->kept_count--;
    }
    saver->kept[saver->kept_count++] = block;
}

/* After a checkpoint: what the journal keeps for older ones than those on disk may go. */
static void saver_end(struct pipeline *pipeline)
{
    struct saver *saver = &pipeline->saver;
    checkpoint_end(saver->writer);
    saver->writer = NULL;
    atomic_store(&saver->state, SAVER_IDLE);
    if (!saver->published)
        return;
    (void)fail_point(FAIL_SAVER_PUBLISHED);
    saver_loaded(pipeline, saver->block);
    atomic_fetch_add(&pipeline->figures->checkpoints, 1);
    atomic_store(&pipeline->figures->checkpoint_block, saver->block);
    if (saver->kept_count == CHECKPOINT_KEEP)
        atomic_store(&pipeline->prune_wanted, saver->kept[0]);
}

static void saver_join(struct pipeline *pipeline)
{
    if (pipeline->saver.has_thread)
        pthread_join(pipeline->saver.thread, NULL);
    pipeline->saver.has_thread = false;
}

static bool saver_begin(struct pipeline *pipeline)
{
    struct saver *saver = &pipeline->saver;
    struct error err = {0};
    saver->last_ms = pipeline_now_ms();
    saver->block = pipeline->block;
    saver->published = false;
    saver->writer = saver_freeze(pipeline, &err);
    if (!saver->writer)
        saver_failed(pipeline, &err);
    else
        atomic_store(&saver->state, SAVER_WRITING);
    return saver->writer != NULL;
}

bool saver_due(const struct pipeline *pipeline)
{
    const struct saver *saver = &pipeline->saver;
    bool news = saver->kept_count == 0 || pipeline->block > saver->kept[saver->kept_count - 1];
    return saver_wanted(pipeline) && news && !pipeline->swap_waits && pipeline->block > 0 && !log_away(pipeline) && atomic_load(&saver->state) == SAVER_IDLE &&
           pipeline_now_ms() - saver->last_ms >= pipeline->settings->checkpoint_every_ms;
}

void saver_tick(struct pipeline *pipeline)
{
    struct saver *saver = &pipeline->saver;
    if (!saver_wanted(pipeline))
        return;
    if (atomic_load(&saver->state) == SAVER_DONE) {
        saver_join(pipeline);
        saver_end(pipeline);
    }
    if (!saver_due(pipeline) || !saver_begin(pipeline))
        return;
    if (pthread_create(&saver->thread, NULL, saver_run, pipeline) == 0)
        saver->has_thread = true;
    else
        saver_end(pipeline);
}

void saver_finish(struct pipeline *pipeline)
{
    struct saver *saver = &pipeline->saver;
    struct error err = {0};
    if (!saver_wanted(pipeline))
        return;
    if (atomic_load(&saver->state) != SAVER_IDLE) {
        /* The log thread has ended: its part is ours now. */
        while (atomic_load(&saver->state) != SAVER_DONE && record_settle(pipeline, &err))
            pipeline_sleep_ms(2);
        if (err.class)
            pipeline_fail(pipeline, &err);
        saver_join(pipeline);
        saver_end(pipeline);
    }
    if (err.class || pipeline->block == 0 || (saver->kept_count && saver->kept[saver->kept_count - 1] == pipeline->block))
        return;
    if (!saver_begin(pipeline))
        return;
    bool ok = saver_write(pipeline, &err);
    if (ok && !record_settle(pipeline, &err)) {
        pipeline_fail(pipeline, &err); /* what was not synced may be gone, and a second sync would not say so */
        ok = false;
    }
    invariant(!ok || saver_safe(pipeline, saver->block));
    saver->published = ok && checkpoint_publish(saver->writer, &err);
    if (err.class)
        saver_failed(pipeline, &err);
    saver_end(pipeline);
}

void saver_abandon(struct pipeline *pipeline)
{
    saver_join(pipeline); /* it sees `failed` and comes back */
    if (pipeline->saver.writer)
        checkpoint_end(pipeline->saver.writer);
    pipeline->saver.writer = NULL;
}
