/* The own phase: drops repeats, joins second reports, turns texts into ids, marks late events. */
#include "engine/stream/step_private.h"

#include "engine/base/invariant.h"
#include "engine/base/planted.h"
#include "rules/lang/load.h"

/* Owners find their events by scanning one byte per event instead of 690: each worker notes the
 * shards of its piece first. */
static void own_note(void *context, uint32_t worker, uint32_t workers)
{
    struct step *step = context;
    uint32_t from, to;
    crew_piece(step->count, worker, workers, &from, &to);
    planted_race(&step->silenced);
    for (uint32_t i = from; i < to; i++) {
        struct event *event = &step->event[i];
        event->outcome = OUTCOME_SCORED;
        event->flags &= ~(uint32_t)(EVENT_LATE | EVENT_JOINED);
        event->joined_same = 0;
        step->id_shard[i] = (uint8_t)event->id_hash.lo;
        step->join_shard[i] = (uint8_t)event->join_hash.lo;
        for (uint32_t r = 0; r < REF_COUNT; r++) {
            step->ref_shard[i * REF_COUNT + r] = (uint8_t)event->ref_hash[r].lo;
            step->ref_given[i * REF_COUNT + r] = event->ref_text[r].size != 0;
            event->ref[r] = ENTITY_MISSING;
        }
    }
}

/* What is remembered is remembered for dedup_ms from its arrival: an event that comes days late is no
 * older than what comes with it. */
static int64_t own_seen_ms(const struct step *step, const struct event *event)
{
    if (step->sweep.dedup_horizon_ms == INT64_MIN || event->time_ms >= step->sweep.dedup_horizon_ms + step->settings.dedup_ms)
        return event->time_ms;
    return step->sweep.dedup_horizon_ms + step->settings.dedup_ms;
}

static void own_repeats(void *context, uint32_t worker, uint32_t workers)
{
    struct step *step = context;
    for (uint32_t i = 0; i < step->count; i++) {
        if (shard_owner(step->id_shard[i], workers) != worker)
            continue;
        struct event *event = &step->event[i];
        struct shard *shard = state_shard(step->state, step->id_shard[i]);
        switch (dedup_check(shard, event->id_hash, event->body_hash, own_seen_ms(step, event), step->sweep.dedup_horizon_ms)) {
        case DEDUP_NEW:
            break;
        case DEDUP_REPEAT:
            event->outcome = OUTCOME_REPEATED;
            break;
        case DEDUP_CONFLICT:
            event->outcome = OUTCOME_REJECTED;
            event->reject_reason = REJECT_ID_REUSED;
            break;
        }
    }
}

static void own_join(struct step *step, uint32_t i)
{
    struct event *event = &step->event[i];
    struct shard *shard = state_shard(step->state, step->join_shard[i]);
    uint32_t same = 0;
    if (join_check(shard, event->join_hash, event->ref_hash, own_seen_ms(step, event), step->sweep.dedup_horizon_ms, &same)) {
        event->flags |= EVENT_JOINED;
        event->joined_same = same;
        event->outcome = OUTCOME_JOINED;
    }
}

/* Ids depend on the order of calls, so each shard meets its texts in sequence order. Runs behind the
 * repeats' barrier; `outcome` of an event is then written only by the owner of its join hash. */
static void own_identify(void *context, uint32_t worker, uint32_t workers)
{
    struct step *step = context;
    for (uint32_t i = 0; i < step->count; i++) {
        struct event *event = &step->event[i];
        for (uint32_t r = 0; r < REF_COUNT; r++) {
            uint32_t at = i * REF_COUNT + r;
            if (!step->ref_given[at] || shard_owner(step->ref_shard[at], workers) != worker)
                continue;
            if (!event_active(event))
                break; /* a log holds accepted events only, and its replay shall give out the same ids */
            struct shard *shard = state_shard(step->state, step->ref_shard[at]);
            event->ref[r] = ident_intern(shard, ref_kind((enum event_ref)r), event->ref_text[r], event->ref_hash[r],
                                         program_list_lookup, step->program);
        }
    }
}

static void own_joins(void *context, uint32_t worker, uint32_t workers)
{
    struct step *step = context;
    for (uint32_t i = 0; i < step->count; i++) {
        if (shard_owner(step->join_shard[i], workers) != worker)
            continue;
        const struct event *event = &step->event[i];
        if (event->outcome == OUTCOME_SCORED && (event->join_hash.lo | event->join_hash.hi) != 0)
            own_join(step, i);
    }
}

/* Lateness is judged against the event's own partition only, in sequence order, by accepted events
 * alone: so a replay of the log, which holds no others, judges the same (RULES 3). */
static void own_lateness(struct step *step)
{
    for (uint32_t i = 0; i < step->count; i++) {
        struct event *event = &step->event[i];
        if (!event_active(event) || event->flow == FLOW_FACT)
            continue; /* a fact's date says nothing about how far its partition has come */
        uint32_t partition = event->position.partition;
        invariant(partition < step->settings.partition_max);
        while (step->partition_count <= partition)
            step->partition_newest[step->partition_count++] = INT64_MIN;
        int64_t *newest = &step->partition_newest[partition];
        if (*newest != INT64_MIN && event->time_ms < *newest - step->settings.lateness_ms)
            event->flags |= EVENT_LATE;
        if (event->time_ms > *newest)
            *newest = event->time_ms;
    }
}

void own_run(struct step *step)
{
    crew_run(step->crew, step->alone, own_note, step);
    crew_run(step->crew, step->alone, own_repeats, step);
    crew_run(step->crew, step->alone, own_joins, step);
    crew_run(step->crew, step->alone, own_identify, step);
    own_lateness(step);
}
