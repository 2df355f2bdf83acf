/* The own phase: drops repeats, joins second reports, turns texts into ids, marks late events. */
#include "engine/stream/step_private.h"

#include "engine/base/invariant.h"
#include "engine/base/planted.h"
#include "rules/lang/load.h"

#include <stdlib.h>

/* How many items ahead what an owner needs of it is asked into the cache, each once what leads to it has come: where it is looked
 * for, what stands there, what that points to, and the block that what stands there needs to grow; and the event. */
enum { AHEAD_TABLE = 18, AHEAD_ENTRY = 12, AHEAD_BODY = 6, AHEAD_ROOM = 2, AHEAD_EVENT = 12 };

/* --- lists --- */

static void own_room(struct own_list *list, uint32_t count)
{
    if (count <= list->room)
        return;
    while (list->room < count)
        list->room = list->room ? list->room * 2 : 256;
    list->item = realloc(list->item, list->room * sizeof *list->item);
    invariant(list->item != NULL);
}

static void own_push(struct own_list *list, struct hash128 hash, uint32_t event, uint32_t ref)
{
    own_room(list, list->count + 1);
    list->item[list->count++] = (struct own_item){hash, event, ref};
}

/* Each worker notes what its piece of the events gives owners to do. */
static void own_note(void *context, uint32_t index, uint32_t workers)
{
    struct step *step = context;
    struct own_list *own = step->worker[index].own;
    uint32_t from, to;
    crew_piece(step->count, index, workers, &from, &to);
    planted_race(&step->silenced);
    for (int kind = 0; kind < OWN_KINDS; kind++)
        own[kind].count = 0;
    for (uint32_t i = from; i < to; i++) {
        struct event *event = &step->event[i];
        event->outcome = OUTCOME_SCORED;
        event->flags &= ~(uint32_t)(EVENT_LATE | EVENT_JOINED);
        event->joined_same = 0;
        own_push(&own[OWN_ID], event->id_hash, i, 0);
        if ((event->join_hash.lo | event->join_hash.hi) != 0)
            own_push(&own[OWN_JOIN], event->join_hash, i, 0);
        memset(event->ref, 0, sizeof event->ref);
        const struct named *named = event->named;
        for (uint32_t left = event->named_refs; left; left &= left - 1)
            own_push(&own[OWN_REF], named++->hash, i, (uint32_t)__builtin_ctz(left));
    }
}

static uint32_t own_shard(const struct own_item *item)
{
    return (uint8_t)item->hash.lo;
}

/* All workers' items of one kind that are this one's, shard by shard, as visits_sort does it and for the same reason. Within a
 * shard the order of events stays: what came first, and which ids are given out, depends on it. With what is asked for ahead, the
 * phase takes 0.45 of the time that it took in the order of events (a million of them). */
static const struct own_list *own_sort(struct step *step, enum own_kind kind, uint32_t index, uint32_t workers)
{
    uint32_t at[SHARD_COUNT] = {0}, count = 0;
    struct own_list *sorted = &step->worker[index].own_sorted;
    for (uint32_t from = 0; from < workers; from++) {
        const struct own_list *list = &step->worker[from].own[kind];
        for (uint32_t i = 0; i < list->count; i++)
            at[own_shard(&list->item[i])]++;
    }
    for (uint32_t s = 0; s < SHARD_COUNT; s++) {
        uint32_t here = shard_owner(s, workers) == index ? at[s] : 0;
        at[s] = count;
        count += here;
    }
    own_room(sorted, count);
    sorted->count = count;
    for (uint32_t from = 0; from < workers; from++) {
        const struct own_list *list = &step->worker[from].own[kind];
        for (uint32_t i = 0; i < list->count; i++)
            if (workers == 1 || shard_owner(own_shard(&list->item[i]), workers) == index)
                sorted->item[at[own_shard(&list->item[i])]++] = list->item[i];
    }
    return sorted;
}

static struct shard *item_shard(const struct step *step, const struct own_item *item)
{
    return state_shard(step->state, own_shard(item));
}

/* --- repeats and second reports --- */

/* What is remembered is remembered for dedup_ms from its arrival: an event that comes days late is no
 * older than what comes with it. */
static int64_t own_seen_ms(const struct step *step, const struct event *event)
{
    if (step->sweep.dedup_horizon_ms == INT64_MIN || event->time_ms >= step->sweep.dedup_horizon_ms + step->settings.dedup_ms)
        return event->time_ms;
    return step->sweep.dedup_horizon_ms + step->settings.dedup_ms;
}

static void repeat_prefetch(const struct step *step, const struct own_list *list, uint32_t i)
{
    const struct own_item *item = list->item + i;
    uint32_t left = list->count - i;
    if (left > AHEAD_ENTRY)
        dedup_prefetch_table(item_shard(step, item + AHEAD_ENTRY), item[AHEAD_ENTRY].hash);
    if (left > AHEAD_BODY) {
        const struct event *event = &step->event[item[AHEAD_BODY].event];
        dedup_prefetch(item_shard(step, item + AHEAD_BODY), item[AHEAD_BODY].hash);
        __builtin_prefetch(&event->time_ms);
        __builtin_prefetch(&event->body_hash);
    }
    if (left > AHEAD_ROOM)
        dedup_prefetch_room(item_shard(step, item + AHEAD_ROOM), item[AHEAD_ROOM].hash);
}

static void own_repeats(void *context, uint32_t index, uint32_t workers)
{
    struct step *step = context;
    const struct own_list *list = own_sort(step, OWN_ID, index, workers);
    for (uint32_t i = 0; i < list->count; i++) {
        struct event *event = &step->event[list->item[i].event];
        repeat_prefetch(step, list, i);
        switch (dedup_check(item_shard(step, &list->item[i]), event->id_hash, event->body_hash, own_seen_ms(step, event),
                            step->sweep.dedup_horizon_ms)) {
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

/* Behind the repeats' barrier: `outcome` of an event is then written only by the owner of its join hash. */
static void own_joins(void *context, uint32_t index, uint32_t workers)
{
    struct step *step = context;
    const struct own_list *list = own_sort(step, OWN_JOIN, index, workers);
    for (uint32_t i = 0; i < list->count; i++) {
        struct event *event = &step->event[list->item[i].event];
        struct hash128 ref_hash[REF_COUNT] = {0};
        const struct named *named = event->named;
        uint32_t same = 0;
        for (uint32_t left = event->named_refs; left; left &= left - 1)
            ref_hash[__builtin_ctz(left)] = named++->hash;
        if (event->outcome != OUTCOME_SCORED || !join_check(item_shard(step, &list->item[i]), event->join_hash, ref_hash,
                                                            own_seen_ms(step, event), step->sweep.dedup_horizon_ms, &same))
            continue;
        event->flags |= EVENT_JOINED;
        event->joined_same = same;
        event->outcome = OUTCOME_JOINED;
    }
}

/* --- identities --- */

static void ref_prefetch(const struct step *step, const struct own_list *list, uint32_t i)
{
    const struct own_item *item = list->item + i;
    uint32_t left = list->count - i;
    if (left > AHEAD_TABLE)
        ident_prefetch_table(item_shard(step, item + AHEAD_TABLE), item[AHEAD_TABLE].hash);
    if (left > AHEAD_EVENT) {
        const struct event *event = &step->event[item[AHEAD_EVENT].event];
        __builtin_prefetch(event->ref);
        __builtin_prefetch(&event->outcome);
    }
    if (left > AHEAD_BODY)
        ident_prefetch(item_shard(step, item + AHEAD_BODY), item[AHEAD_BODY].hash);
}

/* Ids depend on the order of calls, so each shard meets its texts in sequence order. */
static void own_identify(void *context, uint32_t index, uint32_t workers)
{
    struct step *step = context;
    const struct own_list *list = own_sort(step, OWN_REF, index, workers);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct own_item *item = &list->item[i];
        struct event *event = &step->event[item->event];
        ref_prefetch(step, list, i);
        if (!event_active(event))
            continue; /* a log holds accepted events only, and its replay shall give out the same ids */
        struct shard *shard = item_shard(step, item);
        entity_id id = ident_find(shard, item->hash);
        if (id == ENTITY_MISSING)
            id = ident_intern(shard, ref_kind((enum event_ref)item->ref), event_ref_text(event, item->ref), item->hash,
                              program_list_lookup, step->program);
        event->ref[item->ref] = id;
    }
}

/* --- all of it --- */

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
