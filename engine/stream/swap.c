/* Going over to another rule set between two blocks: live, in recovery and as a standby, with what is new warmed up from the log. */
#include "engine/stream/pipeline_private.h"

#include "engine/base/thread.h"
#include "engine/model/zone.h"

#include <stdio.h>

enum { NS_PER_MS = 1000000, SAVER_LOOK_MS = 5, LOG_WAIT_MS = 200, WARM_LOOK_MS = 20, WARM_HOLD_MS = 1, PASSES_MAX = 16, NEAR_EVENTS = 4096 };

/* --- what is told --- */

static void say_until(struct swap_report *report, int size, bool warmed)
{
    char when[TIME_TEXT_MAX];
    if (report->warming_until_ms == INT64_MIN || size >= SWAP_TEXT_MAX)
        return;
    time_format(report->warming_until_ms, when);
    (void)snprintf(report->text + size, (size_t)(SWAP_TEXT_MAX - size), "%s is complete from %s on (time of events)",
                   warmed ? ", which does not reach back far enough: it" : " and", when);
}

static void describe(struct swap_report *report, const struct program *program, const struct state_mapping *mapping, const struct warm_figures *warm)
{
    int size = snprintf(report->text, SWAP_TEXT_MAX,
                        "%u rule%s; of windows, memories and attempts %u are kept, %u are new or look further back than before, %u are gone",
                        program->rule_count, program->rule_count == 1 ? "" : "s", mapping->kept, mapping->fresh, mapping->gone);
    bool cold = mapping->lacks && !warm;
    if (size < SWAP_TEXT_MAX && warm)
        size += snprintf(report->text + size, (size_t)(SWAP_TEXT_MAX - size), "; what is new was warmed up with %llu events of the log",
                         (unsigned long long)warm->events);
    else if (size < SWAP_TEXT_MAX && cold)
        size += snprintf(report->text + size, (size_t)(SWAP_TEXT_MAX - size), "; what is new sees nothing before now");
    say_until(report, size, warm != NULL);
}

/* When what is new will be whole. */
static int64_t warming_until(const struct pipeline *pipeline, const struct state_mapping *mapping, const struct warm_figures *warm)
{
    int64_t newest_ms = step_newest_ms(pipeline->step);
    if (!mapping->lacks || mapping->fresh_ms == 0 || newest_ms == INT64_MIN || (warm && warm->first_seq == 1))
        return INT64_MIN;
    int64_t from_ms = warm && warm->first_seq ? warm->first_ms : newest_ms;
    return from_ms + mapping->fresh_ms > newest_ms ? from_ms + mapping->fresh_ms : INT64_MIN;
}

static void tell(struct pipeline *pipeline, const struct state_mapping *mapping, const struct warm_figures *warm, uint64_t since_ns, bool notice)
{
    struct swap_report report = {.block = pipeline->block + 1,
                                 .pause_ms = (pipeline_now_ns() - since_ns + NS_PER_MS - 1) / NS_PER_MS,
                                 .kept = mapping->kept,
                                 .warmed = warm ? mapping->fresh : 0,
                                 .cold = warm ? 0 : mapping->fresh,
                                 .gone = mapping->gone,
                                 .warm_events = warm ? warm->events : 0,
                                 .warming_until_ms = warming_until(pipeline, mapping, warm)};
    describe(&report, pipeline->program, mapping, warm);
    if (notice)
        pipeline_notice(pipeline, NOTICE_INFO, "rules_changed", "from block %llu on: %s; the pause was %llu ms", (unsigned long long)report.block,
                        report.text, (unsigned long long)report.pause_ms);
    if (pipeline->world->swapped)
        pipeline->world->swapped(pipeline->world->context, pipeline->program, &report);
}

/* --- the swap --- */

bool pipeline_open_intake(struct pipeline *pipeline, struct error *err)
{
    struct intake_settings settings = {
        .program = pipeline->program,
        .decode = pipeline->settings->decode,
        .crew = pipeline->crew,
        .inline_below = pipeline->settings->step.inline_below,
    };
    memcpy(settings.decode.hash_key, state_hash_key(step_state(pipeline->step)), sizeof settings.decode.hash_key);
    intake_free(pipeline->intake);
    pipeline->intake = intake_new(&settings, err);
    return pipeline->intake != NULL;
}

static void say_left_out(struct pipeline *pipeline, const struct state_grafting *grafting)
{
    if (grafting->left_out)
        pipeline_notice(pipeline, NOTICE_WARNING, "rules_no_room",
                        "%llu windows, memories or attempts of what is new found no room and begin empty: shards are full; a larger shard_mb_max gives it",
                        (unsigned long long)grafting->left_out);
}

/* No snapshot is under way; warm: NULL, what is new begins empty. since_ns: when the last block ended. */
static bool go_over(struct pipeline *pipeline, const struct program *program, struct warm *warm, uint64_t since_ns, bool notice, struct error *err)
{
    struct state_mapping mapping;
    struct state_grafting grafting;
    struct warm_figures figures = warm ? warm_figures(warm) : (struct warm_figures){0};
    if (!step_swap(pipeline->step, program, warm ? warm_step(warm) : NULL, &mapping, &grafting, err))
        return error_context(err, "going over to other rules");
    pipeline->program = program;
    pipeline->warm_from = figures.first_seq;
    pipeline->tell_rules = true;
    pipeline->saver.last_ms = pipeline_now_ms() - pipeline->settings->checkpoint_every_ms; /* whoever recovers need not warm up again */
    say_left_out(pipeline, &grafting);
    if (pipeline->intake && !pipeline_open_intake(pipeline, err))
        return false;
    tell(pipeline, &mapping, warm ? &figures : NULL, since_ns, notice);
    return true;
}

void swap_journal(struct pipeline *pipeline, struct block *block)
{
    memcpy(block->journal.rule_set, pipeline->program->hash, sizeof block->journal.rule_set);
    block->journal.warm_from = pipeline->warm_from;
    if (!pipeline->log || !block->event_count)
        return;
    block->tells_rules = pipeline->tell_rules && block->event[0].seq > 1;
    pipeline->tell_rules = false;
}

/* --- warming up --- */

static struct warm *warm_begin(const struct pipeline *pipeline, const struct program *program, uint64_t from_seq, struct error *err)
{
    struct warm_settings settings = {.program = program,
                                     .log = pipeline->settings->log,
                                     .from_seq = from_seq,
                                     .batch_max = pipeline->settings->batch_max,
                                     .batch_bytes_max = pipeline->settings->batch_bytes_max,
                                     .step = pipeline->settings->step,
                                     .decode = pipeline->settings->decode};
    memcpy(settings.decode.hash_key, state_hash_key(step_state(pipeline->step)), sizeof settings.decode.hash_key);
    return warm_new(&settings, err);
}

static bool always(void *context)
{
    (void)context;
    return true;
}

/* At once, up to the event before the swap. *warm NULL: there is nothing to warm up from, or it cannot be read, which is told. */
static bool warm_now(struct pipeline *pipeline, const struct program *program, uint64_t from_seq, struct warm **warm, struct error *err)
{
    struct error why = {0};
    *warm = NULL;
    if (!from_seq || !pipeline->settings->log || !pipeline->seq)
        return true;
    *warm = warm_begin(pipeline, program, from_seq, &why);
    if (*warm && warm_run(*warm, pipeline->seq, pipeline->goes_on ? pipeline->goes_on : always, pipeline->goes_on_context, &why)) {
        struct warm_figures figures = warm_figures(*warm);
        if (figures.first_seq > from_seq && from_seq > 1)
            pipeline_notice(pipeline, NOTICE_WARNING, "warm_short",
                            "these rules were warmed up from event %llu on when they went to work, and the log here begins at %llu: what is new "
                            "may remember less here", (unsigned long long)from_seq, (unsigned long long)figures.first_seq);
        if (figures.events)
            return true;
    }
    warm_free(*warm);
    *warm = NULL;
    if (why.class == ERROR_NONE)
        return !pipeline->goes_on || pipeline->goes_on(pipeline->goes_on_context); /* nothing in the log, or told to stop */
    pipeline_notice(pipeline, NOTICE_WARNING, "rules_cold", "%s; what is new begins empty", why.text);
    (void)err;
    return true;
}

/* --- recovery, standby --- */

/* A snapshot of the state must not be under way; what it waits for is this thread's to do. */
static bool saver_wait(struct pipeline *pipeline, struct error *err)
{
    while (atomic_load(&pipeline->saver.state) != SAVER_IDLE) {
        pipeline->swap_waits = true; /* no other is begun */
        saver_tick(pipeline);
        if (!record_settle(pipeline, err))
            return false;
        pipeline_sleep_ms(SAVER_LOOK_MS);
    }
    pipeline->swap_waits = false;
    return true;
}

static bool swap_now(struct pipeline *pipeline, const struct program *program, uint64_t warm_from, bool notice, struct error *err)
{
    struct state_mapping mapping;
    struct warm *warm = NULL;
    uint64_t since_ns = pipeline_now_ns();
    step_swap_look(pipeline->step, program, &mapping);
    if (mapping.lacks && !warm_now(pipeline, program, warm_from, &warm, err))
        return false;
    bool good = go_over(pipeline, program, warm, since_ns, notice, err);
    warm_free(warm);
    return good;
}

bool swap_to(struct pipeline *pipeline, const unsigned char hash[32], uint64_t warm_from, struct error *err)
{
    static const unsigned char none[32]; /* of an older engine: it did not say */
    const struct pipeline_world *world = pipeline->world;
    if (memcmp(hash, none, sizeof none) == 0 || memcmp(hash, pipeline->program->hash, sizeof none) == 0 ||
        memcmp(hash, pipeline->unknown_rules, sizeof none) == 0)
        return true;
    const struct program *program = memcmp(hash, world->program->hash, sizeof none) == 0 ? world->program
                                    : world->program_of ? world->program_of(world->context, hash, err) : NULL;
    if (err->class != ERROR_NONE)
        return false;
    /* of another currency or timezone: its state would mean nothing here, and was not loaded */
    if (program && program->base == pipeline->program->base && slice_equal(program->zone_name, pipeline->program->zone_name))
        return saver_wait(pipeline, err) && swap_now(pipeline, program, warm_from, pipeline->seq > 0, err);
    memcpy(pipeline->unknown_rules, hash, sizeof none);
    pipeline_notice(pipeline, NOTICE_WARNING, "rules_unknown",
                    "blocks were worked with a rule set that PostgreSQL does not hold, or of another currency or timezone; they are gone through with other rules, and "
                    "what is remembered of scores may differ from what was written");
    return true;
}

bool swap_last(struct pipeline *pipeline, const struct state_mapping *mapping, uint64_t warm_from, struct error *err)
{
    const struct program *program = pipeline->world->program;
    struct warm *warm = NULL;
    struct state_grafting grafting;
    uint64_t since_ns = pipeline_now_ns();
    if (program != pipeline->program)
        return swap_now(pipeline, program, 1, true, err);
    if (!mapping->changed)
        return true;
    bool lacks = state_lacks(step_state(pipeline->step));
    if (lacks && !warm_now(pipeline, program, warm_from ? warm_from : 1, &warm, err))
        return false;
    struct warm_figures figures = warm ? warm_figures(warm) : (struct warm_figures){0};
    if (warm) {
        step_warm(pipeline->step, warm_step(warm), &grafting);
        say_left_out(pipeline, &grafting);
        pipeline->warm_from = figures.first_seq;
    }
    tell(pipeline, mapping, warm ? &figures : NULL, since_ns, true);
    warm_free(warm);
    return true;
}

/* --- live --- */

static bool warming_goes_on(void *context)
{
    struct pipeline *pipeline = context;
    return !atomic_load(&pipeline->warming.ends) && !atomic_load(&pipeline->failed);
}

/* Reads on until the work thread holds and says where the old rules end. Whoever can never catch up lets it hold all the same. */
static bool warm_follow(struct pipeline *pipeline, struct warm *warm, struct error *err)
{
    struct warming *warming = &pipeline->warming;
    for (int passes = 0; warming_goes_on(pipeline); passes++) {
        uint64_t target = atomic_load(&warming->target);
        if (!warm_run(warm, target ? target : UINT64_MAX, warming_goes_on, pipeline, err))
            return false;
        if (target)
            return true;
        uint64_t worked = atomic_load(&pipeline->figures->seq), last = warm_figures(warm).last_seq;
        if (passes >= PASSES_MAX || worked < last + NEAR_EVENTS)
            atomic_store(&warming->state, WARMING_NEAR);
        for (int waited_ms = 0; waited_ms < WARM_LOOK_MS && !atomic_load(&warming->target); waited_ms += WARM_HOLD_MS)
            pipeline_sleep_ms(WARM_HOLD_MS);
    }
    return false;
}

static void *warm_thread(void *argument)
{
    thread_name("muster-warm");
    struct pipeline *pipeline = argument;
    struct warming *warming = &pipeline->warming;
    if (warming->warm && !warm_follow(pipeline, warming->warm, &warming->err)) {
        warm_free(warming->warm);
        warming->warm = NULL;
    }
    atomic_store(&warming->state, WARMING_DONE);
    while (!atomic_load(&warming->ends))
        pipeline_sleep_ms(WARM_HOLD_MS);
    warm_free(warming->warm); /* here, for it takes its time */
    warming->warm = NULL;
    atomic_store(&warming->state, WARMING_OVER);
    return NULL;
}

static void warming_begin(struct pipeline *pipeline, const struct program *program)
{
    struct warming *warming = &pipeline->warming;
    warming->program = program;
    warming->err = (struct error){0};
    atomic_store(&warming->target, 0);
    atomic_store(&warming->ends, false);
    atomic_store(&warming->state, WARMING_BEHIND);
    warming->warm = warm_begin(pipeline, program, 1, &warming->err);
    if (pthread_create(&warming->thread, NULL, warm_thread, pipeline) == 0)
        return;
    warm_free(warming->warm);
    warming->warm = NULL;
    warming->program = NULL;
    atomic_store(&warming->state, WARMING_NONE);
    error_set(&warming->err, ERROR_FATAL, "no thread could be started");
    pipeline_fail(pipeline, &warming->err);
}

void swap_abandon(struct pipeline *pipeline)
{
    struct warming *warming = &pipeline->warming;
    if (atomic_load(&warming->state) == WARMING_NONE)
        return;
    atomic_store(&warming->ends, true);
    pthread_join(warming->thread, NULL);
    warming->program = NULL;
    atomic_store(&warming->state, WARMING_NONE);
}

/* Everything that was worked can be read in the log, or soon can: true. */
static bool log_has_all(struct pipeline *pipeline)
{
    struct error err = {0};
    atomic_store(&pipeline->show_wanted, pipeline->block);
    if (pipeline->settings->threads == 1 && !record_settle(pipeline, &err)) /* there the log is written by this thread */
        pipeline_fail(pipeline, &err);
    for (int waited_ms = 0; waited_ms < LOG_WAIT_MS && !atomic_load(&pipeline->failed); waited_ms += WARM_HOLD_MS) {
        if (atomic_load(&pipeline->shown_block) >= pipeline->block)
            return true;
        pipeline_sleep_ms(WARM_HOLD_MS);
    }
    return false;
}

/* Holds the work until the warmed step has read up to here, and goes over. */
static void swap_warmed(struct pipeline *pipeline)
{
    struct warming *warming = &pipeline->warming;
    struct error err = {0};
    uint64_t since_ns = pipeline_now_ns();
    if (atomic_load(&warming->state) == WARMING_NEAR) {
        if (!log_has_all(pipeline))
            return; /* the log's disk is slow or full: another time */
        atomic_store(&warming->target, pipeline->seq);
        while (atomic_load(&warming->state) != WARMING_DONE)
            pipeline_sleep_ms(WARM_HOLD_MS);
    }
    if (!warming->warm)
        pipeline_notice(pipeline, NOTICE_WARNING, "rules_cold", "%s; what is new begins empty", warming->err.text);
    if (!go_over(pipeline, warming->program, warming->warm, since_ns, true, &err))
        pipeline_fail(pipeline, &err);
    warming->program = NULL;
    atomic_store(&warming->ends, true);
}

void swap_look(struct pipeline *pipeline)
{
    const struct pipeline_world *world = pipeline->world;
    const struct program *program = world->program_next ? world->program_next(world->context) : NULL;
    struct warming *warming = &pipeline->warming;
    struct state_mapping mapping;
    struct error err = {0};
    bool wanted = program && program != pipeline->program;
    bool over = atomic_load(&warming->state) == WARMING_OVER;
    if (over || (warming->program && warming->program != program) || (wanted && !warming->program))
        swap_abandon(pipeline); /* others came meanwhile, or it is over */
    if (wanted && !warming->program) {
        step_swap_look(pipeline->step, program, &mapping);
        if (mapping.lacks && pipeline->log && pipeline->seq)
            warming_begin(pipeline, program);
    }
    pipeline->swap_waits = wanted && atomic_load(&warming->state) != WARMING_BEHIND;
    if (!pipeline->swap_waits || atomic_load(&pipeline->saver.state) != SAVER_IDLE)
        return;
    if (warming->program)
        swap_warmed(pipeline);
    else if (!go_over(pipeline, program, NULL, pipeline_now_ns(), true, &err))
        pipeline_fail(pipeline, &err);
    pipeline->swap_waits = false;
}
