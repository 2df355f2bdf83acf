/* Threads, queues and the order in which the pipeline starts and ends. */
#include "engine/stream/pipeline_private.h"

#include "engine/base/invariant.h"
#include "engine/base/thread.h"
#include "engine/stream/arrival.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { IDLE_WAIT_MS = 20, PACE_MS = 2, PACE_LOOK_NS = 1000000, SOURCE_RETRY_MS = 100, QUEUE_TOLD_MS = 1000 };

/* --- shared by the stages --- */

uint64_t pipeline_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t pipeline_now_ms(void)
{
    return (int64_t)(pipeline_now_ns() / 1000000);
}

void pipeline_sleep_ms(uint32_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

void pipeline_notice(struct pipeline *pipeline, enum notice_level level, const char *event, const char *format, ...)
{
    char text[ERROR_TEXT_MAX + 128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (pipeline->world->notice)
        pipeline->world->notice(pipeline->world->context, level, event, text);
}

void pipeline_fail(struct pipeline *pipeline, const struct error *err)
{
    pthread_mutex_lock(&pipeline->failure_lock);
    if (!atomic_load(&pipeline->failed))
        pipeline->failure = *err;
    atomic_store(&pipeline->failed, true);
    pthread_mutex_unlock(&pipeline->failure_lock);
}

bool pipeline_stopping(struct pipeline *pipeline)
{
    if (atomic_load(&pipeline->stopping))
        return true;
    if (!pipeline->world->stop(pipeline->world->context))
        return false;
    atomic_store(&pipeline->stop_by_ms, pipeline_now_ms() + pipeline->settings->stop_wait_ms);
    atomic_store(&pipeline->stopping, true);
    atomic_store(&pipeline->figures->phase, PIPELINE_DRAINING);
    return true;
}

bool pipeline_may_wait(struct pipeline *pipeline)
{
    if (pipeline->settings->threads == 1)
        (void)pipeline_stopping(pipeline); /* nobody else asks */
    int64_t stop_by_ms = atomic_load(&pipeline->stop_by_ms);
    return !atomic_load(&pipeline->failed) && (!stop_by_ms || pipeline_now_ms() < stop_by_ms);
}

static bool over(const struct pipeline *pipeline)
{
    return atomic_load(&pipeline->failed);
}

/* A stage is through with the block; the last one gives it back to the pool. */
static void release(struct pipeline *pipeline, struct block *block)
{
    if (atomic_fetch_sub(&block->holders, 1) != 1)
        return;
    atomic_fetch_sub(&pipeline->figures->block_bytes_in_flight, block->bodies.total);
    block_clear(block);
    atomic_fetch_sub(&pipeline->figures->blocks_in_flight, 1);
    queue_put(pipeline->idle, block);
}

/* --- the stages --- */

static void note_source(struct pipeline *pipeline, const struct error *err)
{
    int64_t since_ms = atomic_load(&pipeline->figures->source_away_since_ms);
    if (err && !since_ms) {
        atomic_store(&pipeline->figures->source_away_since_ms, pipeline_now_ms());
        pipeline_notice(pipeline, NOTICE_WARNING, "source_away", "%s", err->text);
    } else if (!err && since_ms) {
        atomic_store(&pipeline->figures->source_away_since_ms, 0);
        pipeline_notice(pipeline, NOTICE_INFO, "source_back", "events arrive again after %lld ms",
                        (long long)(pipeline_now_ms() - since_ms));
    }
}

static void note_cut(struct pipeline *pipeline, const struct block *block)
{
    if (block->message_count == block->room || !arena_full(&block->bodies))
        return;
    if (atomic_fetch_add(&pipeline->figures->blocks_cut, 1) == 0)
        pipeline_notice(pipeline, NOTICE_INFO, "block_full",
                        "%u messages made %zu KiB, the most that a block takes: large messages make small blocks "
                        "(muster_blocks_cut_total counts them)", block->message_count, block->bodies.total >> 10);
}

/* Blocks are read a little apart, as small ones cost more per event; further while others wait to be worked, for then
 * nobody gains by a small one. */
static void pace(const struct pipeline *pipeline)
{
    uint32_t most = pipeline->settings->batch_wait_ms;
    for (;;) {
        uint32_t apart = queue_count(pipeline->to_work) > 0 || most < PACE_MS ? most : PACE_MS;
        uint64_t now = pipeline_now_ns(), next = pipeline->read_ns + apart * 1000000u, left = next > now ? next - now : 0;
        if (left == 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = (long)(left < PACE_LOOK_NS ? left : PACE_LOOK_NS)}, NULL); /* the work may be done sooner */
    }
}

/* Reads one block; false when nothing came. */
static bool stage_read(struct pipeline *pipeline, struct block *block)
{
    struct source *source = pipeline->world->source;
    struct error err = {0};
    pace(pipeline);
    if (!source->poll(source->self, pipeline->settings->batch_wait_ms, &block->bodies, block->message, block->room,
                      &block->message_count, &err)) {
        if (err.class != ERROR_RETRY) {
            pipeline_fail(pipeline, &err);
            return false;
        }
        note_source(pipeline, &err);
        pipeline_sleep_ms(SOURCE_RETRY_MS);
    }
    if (block->message_count == 0)
        return false;
    pipeline->read_ns = pipeline_now_ns();
    block->partitions = source->partitions->count;
    note_source(pipeline, NULL);
    note_cut(pipeline, block);
    atomic_fetch_add(&pipeline->figures->blocks_in_flight, 1);
    atomic_fetch_add(&pipeline->figures->block_bytes_in_flight, block->bodies.total);
    atomic_fetch_add(&pipeline->figures->messages, block->message_count);
    return true;
}

static void count_results(struct pipeline *pipeline, const struct block *block)
{
    struct pipeline_figures *figures = pipeline->figures;
    const struct output *output = &block->output;
    uint64_t decode_ns, order_ns, step_ns[PHASE_COUNT], shadow = 0;
    for (int i = 0; i < OUTCOME_COUNT; i++)
        atomic_fetch_add_explicit(&figures->outcome[i], output->outcome[i], memory_order_relaxed);
    atomic_fetch_add(&figures->outcome[OUTCOME_REJECTED], block->rejection_count);
    atomic_fetch_add_explicit(&figures->marks, block->mark_count, memory_order_relaxed);
    for (uint32_t i = 0; i < block->rejection_count; i++)
        atomic_fetch_add_explicit(&figures->rejected[block->rejection[i].reason], 1, memory_order_relaxed);
    for (uint32_t i = 0; i < output->rejection_count; i++)
        atomic_fetch_add_explicit(&figures->rejected[output->rejection[i].reason], 1, memory_order_relaxed);
    for (uint32_t i = 0; i < output->hit_count; i++)
        shadow += output->hit[i].shadow;
    atomic_fetch_add(&figures->late, output->late);
    atomic_fetch_add(&figures->facts, output->facts);
    atomic_fetch_add(&figures->facts_odd, output->facts_odd);
    atomic_fetch_add(&figures->hits, output->hit_count - shadow);
    atomic_fetch_add(&figures->shadow_hits, shadow);
    atomic_fetch_add(&figures->revisions, output->revision_count);
    atomic_fetch_add(&figures->blocks, 1);
    atomic_store(&figures->seq, pipeline->seq);
    if (pipeline->world->feed)
        feed_count(pipeline->world->feed, block);
    intake_phase_ns(pipeline->intake, &decode_ns, &order_ns);
    step_phase_ns(pipeline->step, step_ns);
    atomic_fetch_add(&figures->decode_ns, decode_ns);
    atomic_fetch_add(&figures->order_ns, order_ns);
    for (int i = 0; i < PHASE_COUNT; i++)
        atomic_fetch_add(&figures->step_ns[i], step_ns[i]);
}

static void alarm_told(void *context, bool high, const char *source, uint64_t rejected, uint64_t events)
{
    double share = (double)rejected * 100 / (double)(events ? events : 1);
    pipeline_notice(context, high ? NOTICE_WARNING : NOTICE_INFO, high ? "rejections_high" : "rejections_normal",
                    "%s: %llu of %llu events of the last 5 minutes were refused (%.1f %%)%s", source, (unsigned long long)rejected,
                    (unsigned long long)events, share,
                    high ? ", more than rejection_alarm_permille allows; muster_source_rejections_total and `muster feed-report` say why: tell the bank" : "");
}

static void tick(struct pipeline *pipeline)
{
    if (pipeline->world->feed)
        feed_tick(pipeline->world->feed, pipeline_now_ms(), alarm_told, pipeline);
}

void pipeline_know(struct pipeline *pipeline, uint32_t count)
{
    if (count == pipeline->known)
        return;
    partition_rank(pipeline->partitions, count, pipeline->rank);
    order_rank(pipeline->order, pipeline->rank, count);
    pipeline->known = count;
    if (pipeline->world->feed)
        feed_know(pipeline->world->feed, pipeline->partitions, count);
}

void pipeline_score(struct pipeline *pipeline, struct block *block, uint32_t from)
{
    struct event *event = block->event + from;
    uint32_t count = block->event_count - from;
    if (block->watch)
        step_run_singly(pipeline->step, event, count, block->watch, &block->results, &block->output);
    else
        step_run(pipeline->step, event, count, &block->results, &block->output);
    if (block->output.accepted_seq)
        pipeline->accepted_seq = block->output.accepted_seq;
    pipeline_publish(pipeline, false);
}

static void stage_work(struct pipeline *pipeline, struct block *block)
{
    pipeline_know(pipeline, block->partitions);
    intake_range(block, pipeline->position);
    if (pipeline->poison)
        poison_begin(pipeline->poison, block);
    intake_sequence(pipeline->intake, block, pipeline->order, pipeline->seq + 1);
    pipeline_score(pipeline, block, 0);
    block->journal.block = ++pipeline->block;
    swap_journal(pipeline, block);
    if (pipeline->poison)
        poison_end(pipeline->poison, pipeline->block, pipeline->position);
    pipeline->seq = block->journal.last_seq;
    arrival_count(block);
    atomic_store(&block->holders, pipeline->log ? 2 : 1);
    count_results(pipeline, block);
}

static void settle_poison(struct pipeline *pipeline)
{
    if (!pipeline->poison || !atomic_load_explicit(&pipeline->figures->crash_suspects, memory_order_relaxed))
        return;
    poison_settle(pipeline->poison, atomic_load(&pipeline->committed_block));
    atomic_store(&pipeline->figures->crash_suspects, poison_suspects(pipeline->poison));
}

/* Work thread, between blocks. */
static void stage_settle(struct pipeline *pipeline)
{
    swap_look(pipeline);
    settle_poison(pipeline);
}

static bool stage_log(struct pipeline *pipeline, struct block *block)
{
    struct error err = {0};
    if ((block && !record_block(pipeline, block, 0, &err)) || !record_settle(pipeline, &err)) {
        pipeline_fail(pipeline, &err);
        return false;
    }
    if (block)
        release(pipeline, block);
    return true;
}

static bool stage_sink(struct pipeline *pipeline, bool more)
{
    if (commit_ready(pipeline, more) && !commit_write(pipeline, release))
        return false;
    return commit_keep(pipeline);
}

/* --- threads --- */

/* The source thread's wait for a free block; told when it lasts. */
struct queue_wait {
    int64_t since_ms; /* 0: a block was free */
    bool told;
};

static void tell_queue_full(struct pipeline *pipeline)
{
    bool log = pipeline->log && atomic_load(&pipeline->logged_block) < atomic_load(&pipeline->committed_block);
    pipeline_notice(pipeline, NOTICE_WARNING, "queue_full",
                    "all %u blocks are in flight, with %llu KiB of messages, and %s has let none go for %d ms: nothing more is taken "
                    "from Kafka until it does", pipeline->pool_count,
                    (unsigned long long)atomic_load(&pipeline->figures->block_bytes_in_flight) >> 10, log ? "the log" : "the sink", QUEUE_TOLD_MS);
}

static void note_queue(struct pipeline *pipeline, struct queue_wait *wait, bool free)
{
    int64_t now_ms = pipeline_now_ms(), waited_ms = wait->since_ms ? now_ms - wait->since_ms : 0;
    if (!free && !wait->since_ms)
        wait->since_ms = now_ms;
    if (!free && !wait->told && waited_ms >= QUEUE_TOLD_MS) {
        atomic_store(&pipeline->figures->queue_full_since_ms, wait->since_ms);
        tell_queue_full(pipeline);
        wait->told = true;
    }
    if (!free || !wait->since_ms)
        return;
    atomic_store(&pipeline->figures->queue_full_since_ms, 0);
    atomic_fetch_add(&pipeline->figures->queue_full_ns, (uint64_t)waited_ms * 1000000);
    if (wait->told)
        pipeline_notice(pipeline, NOTICE_INFO, "queue_free", "events are taken again after %lld ms", (long long)waited_ms);
    *wait = (struct queue_wait){0};
}

static void *source_thread(void *argument)
{
    thread_name("muster-source");
    struct pipeline *pipeline = argument;
    struct source *source = pipeline->world->source;
    struct block *block = NULL;
    struct queue_wait wait = {0};
    while (!over(pipeline) && !pipeline_stopping(pipeline)) {
        if (!block) {
            block = queue_take(pipeline->idle, IDLE_WAIT_MS);
            if (!block && source->measure)
                source->measure(source->self);
            note_queue(pipeline, &wait, block != NULL);
        }
        if (!block || !stage_read(pipeline, block))
            continue;
        queue_put(pipeline->to_work, block);
        block = NULL;
    }
    if (block)
        queue_put(pipeline->idle, block);
    queue_close(pipeline->to_work);
    return NULL;
}

static void *log_thread(void *argument)
{
    thread_name("muster-log");
    struct pipeline *pipeline = argument;
    while (!over(pipeline) && !queue_drained(pipeline->to_log))
        if (!stage_log(pipeline, queue_take(pipeline->to_log, IDLE_WAIT_MS)))
            break;
    return NULL;
}

static void *sink_thread(void *argument)
{
    thread_name("muster-sink");
    struct pipeline *pipeline = argument;
    while (!over(pipeline) && !(queue_drained(pipeline->to_sink) && pipeline->commit.count == 0)) {
        struct block *block = queue_take(pipeline->to_sink, IDLE_WAIT_MS);
        if (block)
            commit_add(pipeline, block);
        if (!stage_sink(pipeline, queue_count(pipeline->to_sink) > 0))
            break;
    }
    return NULL;
}

/* The caller's thread: works until the source has ended. */
static void work_loop(struct pipeline *pipeline)
{
    while (!over(pipeline) && !queue_drained(pipeline->to_work)) {
        struct block *block = queue_take(pipeline->to_work, IDLE_WAIT_MS);
        tick(pipeline);
        if (block) {
            stage_work(pipeline, block);
            if (pipeline->log)
                queue_put(pipeline->to_log, block);
            queue_put(pipeline->to_sink, block);
        }
        stage_settle(pipeline);
        saver_tick(pipeline);
    }
    queue_close(pipeline->to_log);
    queue_close(pipeline->to_sink);
}

/* A thread that cannot be started ends the pipeline; those started see it. */
static void start_thread(struct pipeline *pipeline, void *(*run)(void *), pthread_t *thread, bool *started)
{
    *started = pthread_create(thread, NULL, run, pipeline) == 0;
    if (*started)
        return;
    struct error err;
    error_set(&err, ERROR_FATAL, "no thread could be started");
    pipeline_fail(pipeline, &err);
}

static void run_threads(struct pipeline *pipeline)
{
    void *(*const run[])(void *) = {sink_thread, log_thread, source_thread};
    pthread_t thread[3];
    bool started[3];
    for (int i = 0; i < 3; i++)
        start_thread(pipeline, run[i], &thread[i], &started[i]);
    work_loop(pipeline);
    for (int i = 0; i < 3; i++)
        if (started[i])
            pthread_join(thread[i], NULL);
}

/* --- everything in turn, on one thread --- */

static bool run_block(struct pipeline *pipeline, struct block *block)
{
    stage_work(pipeline, block);
    commit_add(pipeline, block);
    return !pipeline->log || stage_log(pipeline, block);
}

static void run_alone(struct pipeline *pipeline)
{
    while (!over(pipeline) && !pipeline_stopping(pipeline)) {
        struct block *block = queue_take(pipeline->idle, 0);
        invariant(block);
        tick(pipeline);
        bool read = stage_read(pipeline, block);
        if (!read)
            queue_put(pipeline->idle, block);
        if (over(pipeline) || (read && !run_block(pipeline, block)) || !stage_log(pipeline, NULL) || !stage_sink(pipeline, false))
            return;
        stage_settle(pipeline);
        if (!saver_due(pipeline))
            continue;
        if (pipeline->commit.count && !commit_write(pipeline, release))
            return;
        saver_finish(pipeline);
    }
    if (!over(pipeline) && pipeline->commit.count)
        (void)commit_write(pipeline, release); /* a failure is noted in the pipeline */
}

/* --- beginning and end --- */

static bool make_step(struct pipeline *pipeline, struct error *err)
{
    struct step_settings settings = pipeline->settings->step;
    unsigned char hash_key[16];
    settings.partition_max = partition_room(pipeline->partitions);
    randombytes_buf(hash_key, sizeof hash_key); /* never reaches a result; a checkpoint brings its own */
    pipeline->crew = crew_new(pipeline->settings->threads, err);
    if (pipeline->crew)
        pipeline->step = step_new(pipeline->program, &settings, pipeline->crew, hash_key, err);
    return pipeline->step != NULL;
}

static void make_pool(struct pipeline *pipeline)
{
    uint32_t partitions = partition_room(pipeline->partitions);
    pipeline->pool_count = pipeline->settings->queue_blocks_max < 3 ? 3 : pipeline->settings->queue_blocks_max;
    pipeline->pool = calloc(pipeline->pool_count, sizeof *pipeline->pool);
    pipeline->position = calloc(partitions + 1, sizeof *pipeline->position);
    pipeline->rank = calloc(partitions + 1, sizeof *pipeline->rank);
    invariant(pipeline->pool && pipeline->position && pipeline->rank);
    for (uint32_t i = 0; i < partitions; i++)
        pipeline->position[i] = -1;
    struct queue **const queue[] = {&pipeline->idle, &pipeline->to_work, &pipeline->to_log, &pipeline->to_sink};
    for (int i = 0; i < 4; i++)
        *queue[i] = queue_new(pipeline->pool_count);
    for (uint32_t i = 0; i < pipeline->pool_count; i++) {
        pipeline->pool[i] = block_new(pipeline->settings->batch_max, pipeline->settings->threads, partitions);
        pipeline->pool[i]->bodies.bound = pipeline->settings->batch_bytes_max;
        queue_put(pipeline->idle, pipeline->pool[i]);
    }
    pipeline->order = order_new(partitions);
    pipeline_know(pipeline, pipeline->partitions->count);
    commit_init(pipeline);
}

static void dismantle(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->pool_count; i++)
        block_free(pipeline->pool[i]);
    if (pipeline->poison && pipeline->world->source->watch)
        pipeline->world->source->watch(pipeline->world->source->self, NULL);
    poison_close(pipeline->poison);
    free(pipeline->pool);
    free(pipeline->position);
    free(pipeline->rank);
    queue_free(pipeline->idle);
    queue_free(pipeline->to_work);
    queue_free(pipeline->to_log);
    queue_free(pipeline->to_sink);
    order_free(pipeline->order);
    commit_fini(pipeline);
    if (pipeline->log)
        log_writer_close(pipeline->log);
    intake_free(pipeline->intake);
    step_free(pipeline->step);
    if (pipeline->crew)
        crew_free(pipeline->crew);
    pthread_mutex_destroy(&pipeline->failure_lock);
}

static void live(struct pipeline *pipeline)
{
    pipeline->live = true;
    atomic_store(&pipeline->figures->phase, PIPELINE_LIVE);
    pipeline_notice(pipeline, NOTICE_INFO, "live", "%u partitions, %u threads, from block %llu", pipeline->partitions->count,
                    pipeline->settings->threads, (unsigned long long)pipeline->block + 1);
    pipeline->saver.last_ms = pipeline_now_ms();
    pipeline->tell_rules = true;
    if (pipeline->settings->threads == 1)
        run_alone(pipeline);
    else
        run_threads(pipeline);
    swap_abandon(pipeline);
    pipeline_publish(pipeline, true);
    settle_poison(pipeline);
    if (over(pipeline)) {
        saver_abandon(pipeline);
        return;
    }
    saver_finish(pipeline);
    /* a last checkpoint may have failed: a drained engine leaves a whole log all the same */
    struct error err = {0};
    if (!over(pipeline) && pipeline->log && !log_writer_flush(pipeline->log, true, &err))
        pipeline_fail(pipeline, &err);
}

bool pipeline_run(const struct pipeline_settings *settings, const struct pipeline_world *world,
                  struct pipeline_figures *figures, struct error *err)
{
    struct pipeline pipeline = {
        .settings = settings,
        .world = world,
        .figures = figures,
        .partitions = world->source->partitions,
        .program = world->program,
    };
    pthread_mutex_init(&pipeline.failure_lock, NULL);
    make_pool(&pipeline);
    bool ready = make_step(&pipeline, err) && recover(&pipeline, err);
    if (ready)
        live(&pipeline);
    if (over(&pipeline))
        *err = pipeline.failure;
    bool ok = err->class == ERROR_NONE; /* not ready without an error: told to stop before it was */
    dismantle(&pipeline);
    atomic_store(&figures->phase, PIPELINE_ENDED);
    return ok;
}
