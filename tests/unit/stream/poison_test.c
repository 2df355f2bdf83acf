/* The file that says what is at work: lives are child processes that are killed in the middle. */
#include "engine/stream/poison.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARTITIONS = 3, ROOM = 64 };

struct life {
    struct partition partition[PARTITIONS];
    struct partition_table table;
    char dir[64], path[96];
    struct poison *poison;
    struct block *block;
};

static void life_begin(struct life *life, bool turned)
{
    struct error err = {0};
    for (int i = 0; i < PARTITIONS; i++)
        life->partition[i] = (struct partition){.topic = "topic", .number = turned ? PARTITIONS - 1 - i : i};
    life->table = (struct partition_table){.count = PARTITIONS, .room = PARTITIONS, .partition = life->partition};
    if (!life->dir[0]) {
        snprintf(life->dir, sizeof life->dir, "/tmp/muster-poison-XXXXXX");
        cr_assert_not_null(mkdtemp(life->dir));
        snprintf(life->path, sizeof life->path, "%s/at-work", life->dir);
    }
    life->poison = poison_open(life->path, &life->table, &err);
    cr_assert_not_null(life->poison, "%s", err.text);
    life->block = block_new(ROOM, 1, PARTITIONS);
}

static void life_end(struct life *life)
{
    poison_close(life->poison);
    block_free(life->block);
}

static void life_over(struct life *life)
{
    life_end(life);
    (void)unlink(life->path);
    cr_assert_eq(rmdir(life->dir), 0, "nothing but the file may be left");
}

/* A block with offsets [first, next) of one partition. */
static void take(struct life *life, uint32_t partition, int64_t first, int64_t next)
{
    int64_t position[PARTITIONS] = {-1, -1, -1};
    block_clear(life->block);
    position[partition] = first;
    for (int64_t at = first; at < next; at++)
        life->block->message[life->block->message_count++] = (struct message){.position = {.partition = partition, .offset = at}};
    intake_range(life->block, position);
    poison_begin(life->poison, life->block);
}

static void finish(struct life *life, uint64_t number, uint32_t partition, int64_t next)
{
    int64_t position[PARTITIONS] = {-1, -1, -1};
    position[partition] = next;
    poison_end(life->poison, number, position);
}

/* A life that takes offsets 10 to 30 of partition 1 and dies; at: the record that it dies at when it notes records. */
static void die(struct life *life, int64_t at)
{
    pid_t child = fork();
    if (child == 0) {
        life_begin(life, false);
        take(life, 1, 10, 30);
        if (life->block->watch)
            for (int64_t o = 10; o <= at; o++)
                life->block->watch->at(life->block->watch->self, &(struct position){.partition = 1, .offset = o});
        (void)kill(getpid(), SIGKILL);
    }
    (void)waitpid(child, NULL, 0);
}

static void prepare(struct life *life)
{
    life_begin(life, false);
    life_end(life);
}

static bool aside(struct life *life, uint32_t partition, int64_t offset)
{
    const struct record_watch *watch = poison_translating(life->poison);
    return watch->aside(watch->self, &(struct position){.partition = partition, .offset = offset});
}

Test(poison, a_clean_end_suspects_nobody)
{
    struct life life = {0};
    life_begin(&life, false);
    take(&life, 1, 10, 30);
    cr_assert_null(life.block->watch, "without suspects nothing is paid per record");
    finish(&life, 1, 1, 30);
    life_end(&life);
    life_begin(&life, false);
    cr_assert_eq(poison_suspects(life.poison), 0);
    life_over(&life);
}

Test(poison, the_third_crash_sets_aside_the_first_being_unnamed)
{
    struct life life = {0};
    prepare(&life);
    die(&life, 17); /* inside the block: all are suspects */
    die(&life, 17);
    life_begin(&life, false);
    cr_assert_eq(poison_suspects(life.poison), 2, "a range and a counted record");
    cr_assert_not(aside(&life, 1, 17), "two crashes are not three");
    life_end(&life);
    die(&life, 17);
    life_begin(&life, true); /* this life knows the partition by another index */
    cr_assert(aside(&life, 1, 17));
    cr_assert_not(aside(&life, 1, 16));
    cr_assert_not(aside(&life, 0, 17));
    take(&life, 1, 5, 40);
    cr_assert(life.block->has_aside);
    cr_assert_eq(life.block->range[0].aside_count, 1);
    cr_assert(journal_range_aside(&life.block->range[0], 17));
    cr_assert_not(journal_range_aside(&life.block->range[0], 18));
    life_over(&life);
}

Test(poison, kills_at_other_records_blame_nobody)
{
    struct life life = {0};
    prepare(&life);
    for (int64_t at = 11; at < 29; at += 2)
        die(&life, at);
    life_begin(&life, false);
    for (int64_t at = 0; at < 40; at++)
        cr_assert_not(aside(&life, 1, at), "%lld", (long long)at);
    life_over(&life);
}

Test(poison, what_is_committed_is_forgotten)
{
    struct life life = {0};
    prepare(&life);
    die(&life, 17);
    die(&life, 17);
    life_begin(&life, false);
    take(&life, 1, 10, 20);
    cr_assert_not_null(life.block->watch, "suspects are worked one by one");
    finish(&life, 7, 1, 20);
    poison_settle(life.poison, 7);
    cr_assert_neq(poison_suspects(life.poison), 0, "not all suspects are behind");
    take(&life, 1, 20, 40);
    finish(&life, 8, 1, 40);
    poison_settle(life.poison, 7);
    cr_assert_neq(poison_suspects(life.poison), 0, "behind, but not committed");
    poison_settle(life.poison, 8);
    cr_assert_eq(poison_suspects(life.poison), 0);
    life_end(&life);
    die(&life, 17);
    life_begin(&life, false);
    cr_assert_not(aside(&life, 1, 17), "it begins anew");
    life_over(&life);
}

Test(poison, a_translation_names_its_message_at_once)
{
    struct life life = {0};
    prepare(&life);
    for (int i = 0; i < POISON_CRASHES; i++) {
        pid_t child = fork();
        if (child == 0) {
            life_begin(&life, false);
            const struct record_watch *watch = poison_translating(life.poison);
            watch->at(watch->self, &(struct position){.partition = 2, .offset = 3});
            watch->at(watch->self, &(struct position){.partition = 2, .offset = 4});
            (void)kill(getpid(), SIGKILL);
        }
        (void)waitpid(child, NULL, 0);
    }
    life_begin(&life, false);
    cr_assert(aside(&life, 2, 4));
    cr_assert_not(aside(&life, 2, 3));
    life_over(&life);
}

Test(poison, an_unsound_file_begins_anew)
{
    struct life life = {0};
    prepare(&life);
    die(&life, 17);
    cr_assert_eq(truncate(life.path, 1000), 0);
    life_begin(&life, false);
    cr_assert_eq(poison_suspects(life.poison), 0);
    life_over(&life);
}

/* Counts far beyond the table's room: the file stays sound, the newest are there. */
Test(poison, more_records_than_are_counted)
{
    struct life life = {0};
    prepare(&life);
    for (int64_t at = 100; at < 100 + POISON_RECORDS_MAX + 5; at++) {
        pid_t child = fork();
        if (child == 0) {
            life_begin(&life, false);
            const struct record_watch *watch = poison_translating(life.poison);
            watch->at(watch->self, &(struct position){.partition = 0, .offset = at});
            (void)kill(getpid(), SIGKILL);
        }
        (void)waitpid(child, NULL, 0);
    }
    life_begin(&life, false);
    cr_assert_leq(poison_suspects(life.poison), POISON_RECORDS_MAX + 1);
    cr_assert_geq(poison_suspects(life.poison), POISON_RECORDS_MAX);
    life_over(&life);
}
