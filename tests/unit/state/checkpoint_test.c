/* Checkpoints: what is wrong with a file -> what is said; every changed bit refused; the one before used. */
#include "engine/state/checkpoint.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t clocks[] = {11};
static const struct aggregate_layout aggregates[] = {{.hash = 1, .fn = WINDOW_COUNT}};
static const struct window_layout windows[] = {{.hash = 1, .keep_ms = 1000, .aggregate_count = 1, .aggregate = aggregates}};
static const struct keyspace_layout keyspaces[] = {
    {.hash = 5, .width = 1, .clock_count = 1, .clock_hash = clocks, .window_count = 1, .window = windows, .widest_ms = 1000}};
static const struct state_layout layout = {.keyspace_count = 1, .keyspace = keyspaces, .lateness_ms = 10, .shard_bytes_max = 1 << 20};
static const struct keyspace_layout other_keyspaces[] = {{.hash = 6, .width = 1, .widest_ms = 1000}};
static const struct state_layout other_layout = {.keyspace_count = 1, .keyspace = other_keyspaces, .shard_bytes_max = 1 << 20};

struct said {
    int count;
    char file[64], reason[256];
};

static void refused(void *context, const char *file, const char *reason)
{
    struct said *said = context;
    said->count++;
    snprintf(said->file, sizeof said->file, "%s", file);
    snprintf(said->reason, sizeof said->reason, "%s", reason);
}

static struct state *state_filled(uint32_t keys)
{
    struct error err = {0};
    static const unsigned char seed[16] = {3};
    struct state *state = state_new(&layout, seed, &err);
    cr_assert_not_null(state, "%s", err.text);
    for (uint32_t key = 256; key < 256 + keys; key++) {
        struct shard *shard = state_shard(state, key & 255);
        struct cell *cell = cell_get(shard, 0, &key);
        struct record record = {.time_ms = key, .seq = key, .amount = 1};
        cr_assert(window_add(shard, cell, 0, 0, &record, true));
        (void)clock_raise(shard, cell, 0, 0, key);
    }
    return state;
}

static void save(struct state *state, const char *dir, uint64_t block)
{
    struct error err = {0};
    struct checkpoint_head head = {.block = block, .seq = block * 10, .extra = "extra words", .extra_size = 11};
    struct checkpoint_writer *writer = checkpoint_begin(state, &layout, &head, &err);
    cr_assert(writer && checkpoint_write(writer, dir, &err) && checkpoint_publish(writer, &err), "%s", err.text);
    checkpoint_end(writer);
}

static bool load(const char *dir, uint64_t block_max, const struct state_layout *want, struct said *said, uint64_t *block)
{
    struct error err = {0};
    struct state *state = NULL;
    struct checkpoint_head head = {0};
    *said = (struct said){0};
    bool good = checkpoint_load(dir, block_max, want, &state, &head, refused, said, &err);
    cr_assert_eq(err.class, ERROR_NONE, "%s", err.text);
    *block = head.block;
    if (good) {
        uint32_t key = 300;
        struct cell *cell = cell_find(state_shard(state, key & 255), 0, &key);
        cr_assert(cell && clock_read(state_shard(state, key & 255), cell, 0, 0) == 300);
        struct window_span all = {.floor_ms = 0, .ceiling_ms = INT64_MAX};
        cr_assert_eq(window_value(state_shard(state, key & 255), cell, 0, 0, 0, &all).value, 1);
        cr_assert(head.extra_size == 11 && memcmp(head.extra, "extra words", 11) == 0 && head.seq == head.block * 10);
        free((void *)(uintptr_t)head.extra);
        state_free(state);
    }
    return good;
}

static void path_of(char path[256], const char *dir, uint64_t block)
{
    snprintf(path, 256, "%s/checkpoint-%020llu", dir, (unsigned long long)block);
}

static char *make_dir(char dir[64])
{
    cr_assert(sodium_init() >= 0);
    snprintf(dir, 64, "/tmp/muster-checkpoint-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    return dir;
}

static void remove_dir(const char *dir)
{
    char path[256];
    for (uint64_t block = 0; block < 10; block++) {
        path_of(path, dir, block);
        unlink(path);
    }
    rmdir(dir);
}

Test(checkpoint, comes_back_as_it_was_and_keeps_three)
{
    char dir[64], path[256];
    struct said said;
    uint64_t block;
    struct state *state = state_filled(600);
    make_dir(dir);
    cr_assert_not(load(dir, 99, &layout, &said, &block));
    for (uint64_t b = 1; b <= 5; b++)
        save(state, dir, b);
    cr_assert(load(dir, 99, &layout, &said, &block) && block == 5 && said.count == 0);
    cr_assert(load(dir, 4, &layout, &said, &block) && block == 4); /* PostgreSQL is only there */
    path_of(path, dir, 2);
    cr_assert_neq(access(path, F_OK), 0, "more than three are kept");
    state_free(state);
    remove_dir(dir);
}

Test(checkpoint, says_what_is_wrong_and_takes_the_one_before)
{
    static const struct {
        long at;          /* byte to change; negative: cut the file to so many bytes, or so many off its end */
        unsigned char to;
        const char *says;
    } rows[] = {
        {0, 'X', "the file does not begin like a checkpoint"},
        {8, 10, "the checkpoint has format 10, this engine reads 11"},
        {12, 0xFF, "the"},               /* the extra words' size */
        {20, 1, "the head's sizes are out of bounds"},
        {24, 99, "the head's checksum does not fit"},
        {32, 99, "the head's checksum does not fit"},
        {40, 99, "the head's checksum does not fit"},
        {72, 99, "the head's checksum does not fit"},
        {90, 99, "the head's checksum does not fit"},
        {122, 'Z', "the head's checksum does not fit"}, /* inside the extra words */
        {140, 0x55, "the head's checksum does not fit"}, /* inside the layout */
        {-10, 0, "the file ends inside the head"},
        {-122, 0, "the file ends inside the partition times"},
        {-140, 0, "the file ends inside the layout"},
        {-400, 0, "section 0's sizes are out of bounds"},
    };
    char dir[64], path[256];
    struct state *state = state_filled(600);
    make_dir(dir);
    save(state, dir, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct said said;
        uint64_t block;
        save(state, dir, 2);
        path_of(path, dir, 2);
        int fd = open(path, O_RDWR);
        cr_assert(fd >= 0 && (rows[i].at < 0 ? ftruncate(fd, -rows[i].at) : pwrite(fd, &rows[i].to, 1, rows[i].at)) >= 0);
        close(fd);
        cr_assert(load(dir, 99, &layout, &said, &block) && block == 1, "row %zu", i);
        cr_expect(said.count == 1 && strstr(said.reason, rows[i].says), "row %zu: %s", i, said.reason);
        cr_expect(strstr(said.file, "checkpoint-00000000000000000002"), "%s", said.file);
        unlink(path);
    }
    state_free(state);
    remove_dir(dir);
}

Test(checkpoint, of_another_currency_is_refused)
{
    char dir[64];
    struct said said;
    uint64_t block;
    struct state_layout other = layout;
    struct state *state = state_filled(600);
    make_dir(dir);
    save(state, dir, 1);
    other.basis = 1;
    cr_assert_not(load(dir, 99, &other, &said, &block));
    cr_expect(strstr(said.reason, "another base currency or timezone"), "%s", said.reason);
    state_free(state);
    remove_dir(dir);
}

Test(checkpoint, of_other_rules_is_mapped)
{
    char dir[64];
    struct error err = {0};
    struct said said = {0};
    struct checkpoint_head head;
    struct state *state = state_filled(600), *again = NULL;
    make_dir(dir);
    save(state, dir, 1);
    cr_assert(checkpoint_load(dir, 99, &other_layout, &again, &head, refused, &said, &err) && said.count == 0);
    cr_expect(head.mapping.changed && head.mapping.gone == 1 && head.mapping.kept == 0 && head.mapping.fresh == 0);
    struct state_stats stats;
    state_stats(again, &stats);
    cr_expect_eq(stats.keys, 0);
    free((void *)(uintptr_t)head.extra);
    state_free(again);
    state_free(state);
    remove_dir(dir);
}

Test(checkpoint, notices_every_changed_bit)
{
    char dir[64], path[256];
    struct stat info;
    struct state *state = state_filled(600);
    uint64_t chance = 1;
    make_dir(dir);
    save(state, dir, 1);
    path_of(path, dir, 1);
    cr_assert(stat(path, &info) == 0);
    int fd = open(path, O_RDWR);
    for (int i = 0; i < 300; i++) {
        unsigned char byte;
        struct said said;
        uint64_t block;
        chance = chance * 6364136223846793005u + 1442695040888963407u;
        off_t at = (off_t)(chance >> 16) % info.st_size;
        cr_assert(pread(fd, &byte, 1, at) == 1);
        unsigned char changed = byte ^ (unsigned char)(1 << (chance >> 60 & 7));
        cr_assert(pwrite(fd, &changed, 1, at) == 1);
        cr_assert_not(load(dir, 99, &layout, &said, &block), "a changed bit in byte %ld was not noticed", (long)at);
        cr_assert(pwrite(fd, &byte, 1, at) == 1);
    }
    close(fd);
    state_free(state);
    remove_dir(dir);
}
