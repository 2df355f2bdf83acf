/* Counters per partition, a ring of slots for the last minutes, banks as sums. */
#include "engine/stream/feed.h"

#include "engine/base/invariant.h"

#include <stdlib.h>

struct feed *feed_new(uint32_t room, uint32_t alarm_permille)
{
    struct feed *feed = calloc(1, sizeof *feed);
    invariant(feed);
    feed->room = room;
    feed->alarm_permille = alarm_permille;
    feed->partition = calloc(room, sizeof *feed->partition);
    feed->alarm = calloc(room, sizeof *feed->alarm);
    invariant(feed->partition && feed->alarm);
    for (uint32_t p = 0; p < room; p++)
        atomic_init(&feed->partition[p].newest_ms, INT64_MIN);
    return feed;
}

void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    free(feed->partition);
    free(feed->alarm);
    free(feed);
}

/* --- the work thread --- */

/* One writer: no locked instruction is needed. */
static void add(atomic_uint_least64_t *figure, uint64_t more)
{
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + more, memory_order_relaxed);
}

static void add_slot(atomic_uint *slot, uint32_t more)
{
    atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + more, memory_order_relaxed);
}

void feed_know(struct feed *feed, const struct partition_table *table, uint32_t count)
{
    uint32_t known = atomic_load_explicit(&feed->known, memory_order_relaxed);
    invariant(count <= feed->room);
    if (count <= known)
        return;
    feed->table = table->partition;
    for (uint32_t p = known; p < count; p++) {
        uint32_t bank = 0;
        while (bank < p && strcmp(table->partition[bank].source, table->partition[p].source) != 0)
            bank++;
        feed->partition[p].bank = bank;
    }
    atomic_store_explicit(&feed->known, count, memory_order_release);
}

static uint32_t slot_now(const struct feed *feed)
{
    return (uint32_t)(atomic_load_explicit(&feed->slot, memory_order_relaxed) % FEED_SLOTS);
}

static void count_outcome(struct feed_partition *to, uint32_t slot, enum event_outcome outcome, enum reject_reason reason)
{
    add(&to->outcome[outcome], 1);
    add_slot(&to->slot_events[slot], 1);
    if (outcome != OUTCOME_REJECTED)
        return;
    add(&to->rejected[reason], 1);
    add_slot(&to->slot_rejected[slot], 1);
}

static void count_event(struct feed_partition *to, uint32_t slot, const struct event *event)
{
    count_outcome(to, slot, (enum event_outcome)event->outcome, (enum reject_reason)event->reject_reason);
    add(&to->late, (event->flags & EVENT_LATE) != 0);
    bool accepted = event->outcome == OUTCOME_SCORED || event->outcome == OUTCOME_JOINED;
    if (accepted && event->flow != FLOW_FACT && event->time_ms > atomic_load_explicit(&to->newest_ms, memory_order_relaxed))
        atomic_store_explicit(&to->newest_ms, event->time_ms, memory_order_relaxed);
}

void feed_count(struct feed *feed, const struct block *block)
{
    uint32_t slot = slot_now(feed);
    for (uint32_t i = 0; i < block->message_count; i++) {
        const struct message *message = &block->message[i];
        if (message->mark || message->position.item > 0)
            continue;
        add(&feed->partition[message->position.partition].messages, 1);
        add_slot(&feed->partition[message->position.partition].slot_messages[slot], 1);
    }
    for (uint32_t i = 0; i < block->rejection_count; i++)
        count_outcome(&feed->partition[block->rejection[i].position.partition], slot, OUTCOME_REJECTED, block->rejection[i].reason);
    for (uint32_t i = 0; i < block->event_count; i++)
        count_event(&feed->partition[block->event[i].position.partition], slot, &block->event[i]);
}

/* --- the last minutes --- */

static void slot_clear(struct feed_partition *partition, uint32_t slot)
{
    atomic_store_explicit(&partition->slot_messages[slot], 0, memory_order_relaxed);
    atomic_store_explicit(&partition->slot_events[slot], 0, memory_order_relaxed);
    atomic_store_explicit(&partition->slot_rejected[slot], 0, memory_order_relaxed);
}

static uint64_t slots_sum(const atomic_uint *slot, int64_t now, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count && now - i >= 0; i++)
        sum += atomic_load_explicit(&slot[(now - i) % FEED_SLOTS], memory_order_relaxed);
    return sum;
}

static void judge_bank(struct feed *feed, uint32_t bank, uint32_t known, int64_t now, feed_alarm_fn alarm, void *context)
{
    uint64_t rejected = 0, events = 0;
    for (uint32_t p = bank; p < known; p++) {
        if (feed->partition[p].bank != bank)
            continue;
        rejected += slots_sum(feed->partition[p].slot_rejected, now, FEED_SLOTS);
        events += slots_sum(feed->partition[p].slot_events, now, FEED_SLOTS);
    }
    bool high = rejected * 1000 > events * feed->alarm_permille;
    if (high == atomic_load_explicit(&feed->alarm[bank], memory_order_relaxed))
        return;
    atomic_store_explicit(&feed->alarm[bank], high, memory_order_relaxed);
    alarm(context, high, feed->table[bank].source, rejected, events);
}

void feed_tick(struct feed *feed, int64_t now_ms, feed_alarm_fn alarm, void *context)
{
    int64_t before = atomic_load_explicit(&feed->slot, memory_order_relaxed), now = now_ms / FEED_SLOT_MS + 1;
    uint32_t known = atomic_load_explicit(&feed->known, memory_order_relaxed);
    if (now == before)
        return;
    if (before == 0)
        atomic_store_explicit(&feed->first_slot, now, memory_order_relaxed);
    for (uint32_t bank = 0; feed->alarm_permille && before && bank < known; bank++)
        if (feed->partition[bank].bank == bank)
            judge_bank(feed, bank, known, before, alarm, context);
    int64_t from = now - before > FEED_SLOTS ? now - FEED_SLOTS : before;
    for (int64_t slot = from + 1; slot <= now; slot++)
        for (uint32_t p = 0; p < feed->room; p++)
            slot_clear(&feed->partition[p], (uint32_t)(slot % FEED_SLOTS));
    atomic_store_explicit(&feed->slot, now, memory_order_relaxed);
}

/* --- reading --- */

static uint64_t read_figure(const atomic_uint_least64_t *figure)
{
    return atomic_load_explicit(figure, memory_order_relaxed);
}

static void bank_add(struct feed_bank *bank, const struct feed_partition *from, int64_t slot)
{
    int64_t newest_ms = atomic_load_explicit(&from->newest_ms, memory_order_relaxed);
    bank->messages += read_figure(&from->messages);
    bank->late += read_figure(&from->late);
    for (int o = 0; o < OUTCOME_COUNT; o++)
        bank->outcome[o] += read_figure(&from->outcome[o]);
    for (int r = 0; r < REJECT_COUNT; r++)
        bank->rejected[r] += read_figure(&from->rejected[r]);
    bank->newest_ms = newest_ms > bank->newest_ms ? newest_ms : bank->newest_ms;
    bank->minute_messages += slots_sum(from->slot_messages, slot, FEED_MINUTE_SLOTS);
}

/* The slots summed up are whole but for the one at work: taken as half gone, an error of 4 % of a minute. */
static uint64_t minute_ms(const struct feed *feed, int64_t slot)
{
    int64_t slots = slot - atomic_load_explicit(&feed->first_slot, memory_order_relaxed);
    if (slots > FEED_MINUTE_SLOTS - 1)
        slots = FEED_MINUTE_SLOTS - 1;
    return (uint64_t)slots * FEED_SLOT_MS + FEED_SLOT_MS / 2;
}

bool feed_bank_read(const struct feed *feed, uint32_t number, struct feed_bank *out)
{
    uint32_t known = atomic_load_explicit(&feed->known, memory_order_acquire), first = 0;
    int64_t slot = atomic_load_explicit(&feed->slot, memory_order_relaxed);
    for (; first < known; first++)
        if (feed->partition[first].bank == first && number-- == 0)
            break;
    if (first == known)
        return false;
    *out = (struct feed_bank){.source = feed->table[first].source, .newest_ms = INT64_MIN, .first = first, .minute_ms = minute_ms(feed, slot)};
    out->alarm = atomic_load_explicit(&feed->alarm[first], memory_order_relaxed);
    for (uint32_t p = first; p < known; p++)
        if (feed->partition[p].bank == first)
            bank_add(out, &feed->partition[p], slot);
    return true;
}

bool feed_bank_has(const struct feed *feed, const struct feed_bank *bank, uint32_t partition)
{
    return partition < atomic_load_explicit(&feed->known, memory_order_acquire) && feed->partition[partition].bank == bank->first;
}
