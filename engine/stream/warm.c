/* A muted step that runs behind the log. */
#include "engine/stream/warm.h"

#include "engine/base/invariant.h"
#include "engine/stream/log_feed.h"

#include <stdlib.h>

struct warm {
    struct warm_settings settings;
    struct crew *crew;
    struct step *step;
    struct intake *intake;
    struct block *block;
    uint64_t *seq;
    struct partition_table table; /* as the log names them: it grows from one reading to the next */
    struct warm_figures figures;
};

struct warm *warm_new(const struct warm_settings *settings, struct error *err)
{
    struct warm *warm = calloc(1, sizeof *warm);
    invariant(warm != NULL);
    warm->settings = *settings;
    warm->settings.step.mute = true;
    warm->settings.step.partition_max = PARTITION_MAX;
    warm->block = block_new(settings->batch_max, 1, PARTITION_MAX);
    warm->block->bodies.bound = settings->batch_bytes_max;
    warm->seq = calloc(settings->batch_max, sizeof *warm->seq);
    warm->table.partition = calloc(PARTITION_MAX, sizeof *warm->table.partition);
    invariant(warm->seq && warm->table.partition);
    warm->crew = crew_new(1, err);
    if (warm->crew)
        warm->step = step_new(settings->program, &warm->settings.step, warm->crew, settings->decode.hash_key, err);
    const struct intake_settings intake = {
        .program = settings->program, .decode = settings->decode, .crew = warm->crew, .inline_below = settings->step.inline_below};
    if (warm->step)
        warm->intake = intake_new(&intake, err);
    if (warm->intake)
        return warm;
    warm_free(warm);
    return NULL;
}

void warm_free(struct warm *warm)
{
    if (!warm)
        return;
    intake_free(warm->intake);
    step_free(warm->step);
    if (warm->crew)
        crew_free(warm->crew);
    block_free(warm->block);
    free(warm->seq);
    free(warm->table.partition);
    free(warm);
}

struct step *warm_step(struct warm *warm)
{
    return warm->step;
}

struct warm_figures warm_figures(const struct warm *warm)
{
    return warm->figures;
}

static void note(struct warm *warm)
{
    const struct block *block = warm->block;
    if (!warm->figures.first_seq) {
        warm->figures.first_seq = block->event[0].seq;
        warm->figures.first_ms = block->event[0].time_ms;
    }
    warm->figures.events += block->event_count;
    warm->figures.last_seq = block->event[block->event_count - 1].seq;
}

static bool run_feed(struct warm *warm, struct log_feed *feed, uint64_t to_seq, bool (*goes_on)(void *), void *context, struct error *err)
{
    struct block *block = warm->block;
    while (goes_on(context)) {
        block_clear(block);
        if (!log_feed_read(feed, block, warm->seq, warm->settings.batch_max, to_seq, err))
            return false;
        if (block->message_count == 0)
            return true;
        if (!log_feed_decode(warm->intake, block, warm->seq, err))
            return false;
        step_run(warm->step, block->event, block->event_count, &block->results, &block->output);
        note(warm);
    }
    return false;
}

bool warm_run(struct warm *warm, uint64_t to_seq, bool (*goes_on)(void *context), void *context, struct error *err)
{
    uint64_t from = warm->figures.last_seq ? warm->figures.last_seq + 1 : warm->settings.from_seq;
    struct log_feed *feed = log_feed_grow(warm->settings.log, from, &warm->table, err);
    bool good = feed && run_feed(warm, feed, to_seq, goes_on, context, err);
    if (feed)
        log_feed_close(feed);
    return good || (err->class != ERROR_NONE && error_context(err, "warming rules up"));
}
