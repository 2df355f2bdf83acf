/* Going over to another rule set between two blocks: live, in recovery and as a standby. */
#include "engine/stream/pipeline_private.h"

#include <stdio.h>

enum { NS_PER_MS = 1000000, MS_PER_HOUR = 3600 * 1000, SAVER_LOOK_MS = 5 };

void swap_describe(const struct program *program, const struct state_mapping *mapping, char text[SWAP_TEXT_MAX])
{
    int size = snprintf(text, SWAP_TEXT_MAX, "%u rules; of windows, memories and attempts %u are kept, %u are new or look further back than before, %u are gone",
                        program->rule_count, mapping->kept, mapping->fresh, mapping->gone);
    if (mapping->fresh_ms && size < SWAP_TEXT_MAX)
        (void)snprintf(text + size, (size_t)(SWAP_TEXT_MAX - size), "; what is new sees nothing before now and is complete once %lld hours of events have passed",
                       (long long)((mapping->fresh_ms + MS_PER_HOUR - 1) / MS_PER_HOUR));
}

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

bool swap_rules(struct pipeline *pipeline, const struct program *program, bool tell, struct error *err)
{
    struct state_mapping mapping;
    struct state_grafting grafting;
    char text[SWAP_TEXT_MAX];
    uint64_t since_ns = pipeline_now_ns();
    if (program == pipeline->program)
        return true;
    if (!step_swap(pipeline->step, program, NULL, &mapping, &grafting, err))
        return error_context(err, "going over to other rules");
    pipeline->program = program;
    if (pipeline->intake && !pipeline_open_intake(pipeline, err))
        return false;
    uint64_t pause_ms = (pipeline_now_ns() - since_ns + NS_PER_MS - 1) / NS_PER_MS;
    swap_describe(program, &mapping, text);
    if (tell)
        pipeline_notice(pipeline, NOTICE_INFO, "rules_changed", "from block %llu on: %s; the pause was %llu ms", (unsigned long long)pipeline->block + 1,
                        text, (unsigned long long)pause_ms);
    if (pipeline->world->swapped)
        pipeline->world->swapped(pipeline->world->context, program, text, pipeline->block + 1, pause_ms);
    return true;
}

/* A snapshot of the state must not be under way; what it waits for is this thread's to do. */
static bool saver_wait(struct pipeline *pipeline, struct error *err)
{
    while (atomic_load(&pipeline->saver.state) != SAVER_IDLE) {
        pipeline->swap_waits = true; /* no other is begun */
        saver_tick(pipeline);
        if (pipeline->log && !record_sync(pipeline, err))
            return false;
        pipeline_sleep_ms(SAVER_LOOK_MS);
    }
    pipeline->swap_waits = false;
    return true;
}

bool swap_to(struct pipeline *pipeline, const unsigned char hash[32], struct error *err)
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
        return saver_wait(pipeline, err) && swap_rules(pipeline, program, pipeline->block > 0, err);
    memcpy(pipeline->unknown_rules, hash, sizeof none);
    pipeline_notice(pipeline, NOTICE_WARNING, "rules_unknown",
                    "blocks were worked with a rule set that PostgreSQL does not hold, or of another currency or timezone; they are gone through with other rules, and "
                    "what is remembered of scores may differ from what was written");
    return true;
}

void swap_look(struct pipeline *pipeline)
{
    const struct pipeline_world *world = pipeline->world;
    const struct program *program = world->program_next ? world->program_next(world->context) : NULL;
    struct error err = {0};
    pipeline->swap_waits = program && program != pipeline->program;
    if (!pipeline->swap_waits || atomic_load(&pipeline->saver.state) != SAVER_IDLE)
        return;
    if (!swap_rules(pipeline, program, true, &err))
        pipeline_fail(pipeline, &err);
    pipeline->swap_waits = false;
}
