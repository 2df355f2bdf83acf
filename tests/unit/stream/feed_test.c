/* Figures per bank: sums over partitions, the minute's rate as time passes, the alarm's five minutes. */
#include "engine/stream/feed.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { PARTITIONS = 4, SECOND = 1000 };

static struct partition partitions[PARTITIONS] = {
    {.topic = "a", .number = 0, .source = "bank-a"}, {.topic = "b", .number = 0, .source = "bank-b"},
    {.topic = "a", .number = 1, .source = "bank-a"}, {.topic = "c", .number = 0, .source = "bank-c"}};
static const struct partition_table table = {.count = PARTITIONS, .room = PARTITIONS, .partition = partitions};

struct told {
    int count;
    char text[128];
};

static void alarm_told(void *context, bool high, const char *source, uint64_t rejected, uint64_t events)
{
    struct told *told = context;
    told->count++;
    snprintf(told->text, sizeof told->text, "%s %s %d/%d", source, high ? "high" : "normal", (int)rejected, (int)events);
}

/* A block of so many good events of a partition and so many that decode refused. */
static void count(struct feed *feed, uint32_t partition, uint32_t good, uint32_t bad)
{
    struct block *block = block_new(good + bad + 1, 1, PARTITIONS);
    for (uint32_t i = 0; i < good + bad; i++)
        block->message[block->message_count++] = (struct message){.position = {.partition = partition, .offset = i}};
    block->message[block->message_count++] = (struct message){.position = {.partition = partition, .offset = good + bad}, .mark = true};
    for (uint32_t i = 0; i < bad; i++)
        block->rejection[block->rejection_count++] = (struct rejection){.position = {.partition = partition}, .reason = REJECT_NOT_JSON};
    for (uint32_t i = 0; i < good; i++)
        block->event[block->event_count++] = (struct event){.position = {.partition = partition}, .time_ms = 1000 + i, .outcome = OUTCOME_SCORED};
    feed_count(feed, block);
    block_free(block);
}

static double rate(const struct feed *feed, uint32_t bank)
{
    struct feed_bank figures;
    cr_assert(feed_bank_read(feed, bank, &figures));
    return (double)figures.minute_messages * 1000 / (double)figures.minute_ms;
}

Test(feed, partitions_add_up_to_banks)
{
    struct feed *feed = feed_new(PARTITIONS, 10);
    struct feed_bank bank;
    struct told told = {0};
    cr_assert(!feed_bank_read(feed, 0, &bank), "nothing is known yet");
    feed_know(feed, &table, 2);
    feed_tick(feed, 50 * SECOND, alarm_told, &told);
    count(feed, 0, 5, 0);
    feed_know(feed, &table, PARTITIONS);
    count(feed, 2, 7, 2);
    count(feed, 1, 1, 0);
    cr_assert(feed_bank_read(feed, 0, &bank));
    cr_assert(strcmp(bank.source, "bank-a") == 0 && bank.messages == 14 && bank.outcome[OUTCOME_SCORED] == 12 && bank.outcome[OUTCOME_REJECTED] == 2);
    cr_assert(bank.rejected[REJECT_NOT_JSON] == 2 && bank.newest_ms == 1006 && feed_bank_has(feed, &bank, 2) && !feed_bank_has(feed, &bank, 1));
    cr_assert(feed_bank_read(feed, 1, &bank) && strcmp(bank.source, "bank-b") == 0 && bank.messages == 1);
    cr_assert(feed_bank_read(feed, 2, &bank) && strcmp(bank.source, "bank-c") == 0 && bank.messages == 0 && bank.newest_ms == INT64_MIN);
    cr_assert(!feed_bank_read(feed, 3, &bank));
    feed_free(feed);
}

Test(feed, rates_are_of_the_last_minute)
{
    struct feed *feed = feed_new(PARTITIONS, 0);
    struct told told = {0};
    feed_know(feed, &table, PARTITIONS);
    for (int64_t now = 0; now < 200 * SECOND; now += SECOND) {
        feed_tick(feed, now, alarm_told, &told);
        count(feed, 1, 10, 0);
        cr_assert(now < 30 * SECOND || (rate(feed, 1) > 9 && rate(feed, 1) < 11), "%f at %d s", rate(feed, 1), (int)(now / SECOND));
    }
    for (int64_t now = 200 * SECOND; now < 230 * SECOND; now += SECOND)
        feed_tick(feed, now, alarm_told, &told);
    cr_assert(rate(feed, 1) > 4 && rate(feed, 1) < 6, "half a minute of silence: %f", rate(feed, 1));
    feed_tick(feed, 265 * SECOND, alarm_told, &told);
    cr_assert(rate(feed, 1) == 0, "slots that nobody ticked through are empty too");
    cr_assert(told.count == 0, "no alarm is asked for");
    feed_free(feed);
}

Test(feed, the_alarm_is_over_five_minutes)
{
    struct feed *feed = feed_new(PARTITIONS, 10);
    struct told told = {0};
    feed_know(feed, &table, PARTITIONS);
    int64_t now = 1000 * SECOND;
    feed_tick(feed, now, alarm_told, &told);
    count(feed, 0, 600, 4);
    count(feed, 2, 390, 6); /* ten in a thousand: not above */
    feed_tick(feed, now += 5 * SECOND, alarm_told, &told);
    cr_assert(told.count == 0);
    count(feed, 2, 0, 1);
    feed_tick(feed, now += 5 * SECOND, alarm_told, &told);
    cr_assert(told.count == 1 && strcmp(told.text, "bank-a high 11/1001") == 0, "%s", told.text);
    for (int i = 0; i < 57; i++)
        feed_tick(feed, now += 5 * SECOND, alarm_told, &told);
    cr_assert(told.count == 1, "it is said once; all this lies within five minutes");
    count(feed, 1, 100, 0);
    for (int i = 0; i < 4; i++)
        feed_tick(feed, now += 5 * SECOND, alarm_told, &told);
    cr_assert(told.count == 2 && strncmp(told.text, "bank-a normal 0/0", 17) == 0, "%d %s", told.count, told.text);
    feed_free(feed);
}
