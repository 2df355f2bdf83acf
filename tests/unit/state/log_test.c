/* The log: round trips over days, torn tails, cuts at every sequence number, a full disk, wrong keys, expiry. */
#include "engine/state/log.h"

#include "engine/model/zone.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RECORDS = 60, PER_DAY = 25 };

/* How many bytes the disk still takes; negative: as many as come. */
static long disk_room = -1;

/* Stands in front of the C library's: files fill up as on a disk that is nearly full. */
ssize_t write(int fd, const void *data, size_t size)
{
    struct stat info;
    bool bounded = disk_room >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    if (bounded && disk_room == 0 && size) {
        errno = ENOSPC;
        return -1;
    }
    if (bounded && (long)size > disk_room)
        size = (size_t)disk_room;
    ssize_t put = syscall(SYS_write, fd, data, size);
    if (bounded && put > 0)
        disk_room -= put;
    return put;
}

struct place {
    char home[64], dir[96], keys[96], master[96];
    struct log_settings settings;
};

static void place_open(struct place *p)
{
    cr_assert(sodium_init() >= 0);
    snprintf(p->home, sizeof p->home, "/tmp/muster-log-XXXXXX");
    cr_assert_not_null(mkdtemp(p->home));
    snprintf(p->dir, sizeof p->dir, "%s/log", p->home);
    snprintf(p->keys, sizeof p->keys, "%s/keys", p->home);
    snprintf(p->master, sizeof p->master, "%s/master.key", p->home);
    p->settings = (struct log_settings){.dir = p->dir, .key_dir = p->keys, .master_key_file = p->master, .block_bytes = 600};
}

static void folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    char name[512];
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (unlink(name) != 0)
            folder_remove(name);
    }
    closedir(folder);
    rmdir(path);
}

/* seq counts by 3, so that there are gaps, as repeats leave them. */
static struct log_record record_at(int i, char body[64])
{
    snprintf(body, 64, "{\"id\":\"e%d\",\"filler\":\"%0*d\"}", i, i % 17 + 1, i);
    return (struct log_record){.kind = i % 5 ? LOG_EVENT : LOG_JOINED,
                               .seq = (uint64_t)i * 3 + 1,
                               .broker_ms = (int64_t)civil_day(2026, 3, 1) * MS_PER_DAY + (int64_t)(i / PER_DAY) * MS_PER_DAY + i,
                               .source = SLICE("bank"),
                               .topic = SLICE("payments"),
                               .partition = i % 4,
                               .offset = i * 2,
                               .body = slice_of(body)};
}

static void write_records(struct place *p, int from, int to)
{
    struct error err = {0};
    char body[64];
    struct log_writer *log = log_writer_open(&p->settings, &err);
    cr_assert_not_null(log, "%s", err.text);
    for (int i = from; i < to; i++) {
        struct log_record record = record_at(i, body);
        cr_assert(log_writer_add(log, &record, 0, &err), "%s", err.text);
    }
    cr_assert(log_writer_flush(log, true, &err), "%s", err.text);
    log_writer_close(log);
}

static int read_one_way(const struct place *p, int from, bool ahead, struct error *err)
{
    struct log_reader *log = log_reader_open(&p->settings, (uint64_t)from * 3 + 1, err);
    struct log_record have;
    char body[64];
    int count = 0, more = -1;
    if (!log)
        return -1;
    if (ahead)
        log_reader_ahead(log);
    while ((more = log_reader_next(log, &have, err)) == 1) {
        struct log_record want = record_at(from + count++, body);
        cr_assert(have.seq == want.seq && have.kind == want.kind && have.offset == want.offset && have.partition == want.partition &&
                  have.broker_ms == want.broker_ms && slice_equal(have.body, want.body) && slice_equal(have.topic, want.topic));
    }
    cr_assert(more < 0 || log_reader_next(log, &have, err) == 0);
    log_reader_close(log);
    return more < 0 ? -1 : count;
}

/* How many records are there, each checked; -1 with err when reading failed. With a thread that reads ahead, and without. */
static int read_records(const struct place *p, int from, struct error *err)
{
    struct error too = {0};
    int count = read_one_way(p, from, false, err);
    cr_assert_eq(read_one_way(p, from, true, &too), count);
    if (count < 0)
        cr_assert_str_eq(too.text, err->text);
    return count;
}

/* As recovery does, which needs no more than the journal has. There are more blocks than are opened ahead. */
Test(log, is_closed_while_it_reads_ahead)
{
    struct place p;
    struct error err = {0};
    place_open(&p);
    for (int at = 0; at < RECORDS; at++) /* a block each */
        write_records(&p, at, at + 1);
    cr_assert_eq(read_records(&p, 0, &err), RECORDS, "%s", err.text);
    for (int records = 0; records < RECORDS; records += 4) {
        struct log_reader *log = log_reader_open(&p.settings, 1, &err);
        struct log_record have;
        cr_assert_not_null(log, "%s", err.text);
        log_reader_ahead(log);
        for (int i = 0; i < records; i++)
            cr_assert_eq(log_reader_next(log, &have, &err), 1, "%s", err.text);
        log_reader_close(log);
    }
    folder_remove(p.home);
}

static void newest_segment(const struct place *p, char path[512])
{
    char newest[256] = "";
    DIR *folder = opendir(p->dir);
    cr_assert_not_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strstr(entry->d_name, ".log") && strcmp(entry->d_name, newest) > 0)
            snprintf(newest, sizeof newest, "%s", entry->d_name);
    closedir(folder);
    snprintf(path, 512, "%s/%s", p->dir, newest);
}

Test(log, gives_back_what_it_was_given)
{
    struct place p;
    struct error err = {0};
    place_open(&p);
    for (int at = 0; at < RECORDS; at += 7) /* reopened again and again */
        write_records(&p, at, at + 7 < RECORDS ? at + 7 : RECORDS);
    for (int from = 0; from <= RECORDS; from++)
        cr_assert_eq(read_records(&p, from, &err), RECORDS - from, "%d %s", from, err.text);
    folder_remove(p.home);
}

Test(log, is_cut_at_any_sequence_number_and_goes_on)
{
    for (int keep = 0; keep <= RECORDS; keep++) {
        struct place p;
        struct error err = {0};
        place_open(&p);
        write_records(&p, 0, RECORDS);
        struct log_writer *log = log_writer_open(&p.settings, &err);
        uint64_t last = keep ? (uint64_t)(keep - 1) * 3 + 1 : 0;
        cr_assert(log_writer_cut(log, last ? last + 1 : 0, &err), "%s", err.text); /* between two records */
        cr_assert_eq(log_writer_last_seq(log), last);
        log_writer_close(log);
        cr_assert_eq(read_records(&p, 0, &err), keep, "%d: %s", keep, err.text);
        write_records(&p, keep, RECORDS);
        cr_assert_eq(read_records(&p, 0, &err), RECORDS, "%d: %s", keep, err.text);
        folder_remove(p.home);
    }
}

Test(log, forgets_a_torn_end_and_nothing_else)
{
    struct place p;
    struct stat info;
    struct error err = {0};
    char path[512];
    int before = RECORDS;
    place_open(&p);
    write_records(&p, 0, RECORDS);
    newest_segment(&p, path);
    cr_assert(stat(path, &info) == 0);
    for (off_t size = info.st_size - 1; size > info.st_size - 300 && size > 8; size--) {
        cr_assert(truncate(path, size) == 0);
        int count = read_records(&p, 0, &err);
        cr_assert(count >= 0 && count <= before && count >= 50, "%d at %ld: %s", count, (long)size, err.text);
        before = count;
    }
    write_records(&p, before, RECORDS); /* opening cuts the rest of the torn block off */
    cr_assert_eq(read_records(&p, 0, &err), RECORDS, "%s", err.text);
    folder_remove(p.home);
}

/* Makes a little room; true when the failure before was the full disk's and nothing else. */
static bool make_room(const struct error *err, uint32_t *chance)
{
    *chance = *chance * 1664525u + 1013904223u;
    disk_room += (long)(*chance >> 16) % 260;
    return err->class == ERROR_RETRY && strstr(err->text, "No space left");
}

Test(log, waits_for_room_and_loses_nothing)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        struct place p;
        struct error err = {0};
        char body[64];
        uint32_t chance = seed, refused = 0;
        place_open(&p);
        write_records(&p, 0, 3);
        struct log_writer *log = log_writer_open(&p.settings, &err);
        cr_assert_not_null(log, "%s", err.text);
        disk_room = seed % 7 * 40;
        for (int i = 3; i < RECORDS; i++) {
            struct log_record record = record_at(i, body);
            for (; !log_writer_add(log, &record, 0, &err); refused++)
                cr_assert(make_room(&err, &chance), "%s", err.text);
            for (; i % 5 == 0 && !log_writer_flush(log, i % 10 == 0, &err); refused++)
                cr_assert(make_room(&err, &chance), "%s", err.text);
        }
        for (; !log_writer_flush(log, true, &err); refused++)
            cr_assert(make_room(&err, &chance), "%s", err.text);
        disk_room = -1;
        log_writer_close(log);
        cr_assert_gt(refused, 10u);
        cr_assert_eq(read_records(&p, 0, &err), RECORDS, "seed %u: %s", seed, err.text);
        folder_remove(p.home);
    }
}

Test(log, refuses_what_was_changed)
{
    struct place p;
    struct stat info;
    char path[512];
    place_open(&p);
    write_records(&p, 0, RECORDS);
    newest_segment(&p, path);
    cr_assert(stat(path, &info) == 0);
    int fd = open(path, O_RDWR);
    for (off_t at = 0; at < info.st_size; at++) {
        unsigned char byte;
        struct error err = {0};
        cr_assert(pread(fd, &byte, 1, at) == 1);
        byte ^= 0x20;
        cr_assert(pwrite(fd, &byte, 1, at) == 1);
        int count = read_records(&p, 0, &err);
        cr_assert(count < RECORDS, "byte %ld was changed and nobody noticed", (long)at);
        byte ^= 0x20;
        cr_assert(pwrite(fd, &byte, 1, at) == 1);
    }
    close(fd);
    folder_remove(p.home);
}

Test(log, says_what_is_wrong_with_keys)
{
    struct place p;
    struct error err = {0};
    unsigned char other[32] = {7};
    place_open(&p);
    write_records(&p, 0, RECORDS);
    cr_assert(chmod(p.master, 0644) == 0);
    cr_expect_eq(read_records(&p, 0, &err), -1);
    cr_expect(strstr(err.text, "its mode must be 0600"), "%s", err.text);
    int fd = open(p.master, O_WRONLY | O_TRUNC);
    cr_assert(fd >= 0 && write(fd, other, sizeof other) == sizeof other && fchmod(fd, 0600) == 0);
    cr_expect_eq(read_records(&p, 0, &err), -1);
    cr_expect(strstr(err.text, "was not wrapped by this master key"), "%s", err.text);
    cr_assert(ftruncate(fd, 5) == 0);
    cr_expect_eq(read_records(&p, 0, &err), -1);
    cr_expect(strstr(err.text, "must hold exactly 32 bytes"), "%s", err.text);
    close(fd);
    folder_remove(p.home);
}

Test(log, destroys_days_for_good)
{
    struct place p;
    struct error err = {0};
    place_open(&p);
    write_records(&p, 0, RECORDS);
    int days;
    cr_assert(log_expire(&p.settings, civil_day(2026, 3, 2), &days, &err), "%s", err.text);
    cr_expect_eq(days, 1);
    cr_expect_eq(read_records(&p, PER_DAY, &err), RECORDS - PER_DAY, "%s", err.text);
    cr_assert(log_expire(&p.settings, civil_day(2026, 4, 1), &days, &err), "%s", err.text);
    cr_expect_eq(days, 1, "the day written last stays");
    cr_expect_eq(read_records(&p, 2 * PER_DAY, &err), RECORDS - 2 * PER_DAY, "%s", err.text);
    cr_assert(log_expire(&p.settings, civil_day(2026, 4, 1), &days, &err), "%s", err.text);
    cr_expect_eq(days, 0);
    write_records(&p, RECORDS, RECORDS + 5); /* the writer goes on behind it */
    cr_expect_eq(read_records(&p, 2 * PER_DAY, &err), RECORDS + 5 - 2 * PER_DAY, "%s", err.text);
    folder_remove(p.home);
}

static void file_copy(const char *from, const char *to)
{
    char data[1 << 16];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ssize_t size = read(in, data, sizeof data);
    cr_assert(size > 0 && size < (ssize_t)sizeof data && write(out, data, (size_t)size) == size);
    close(in);
    close(out);
}

static void folder_copy(const char *from, const char *to)
{
    char source[512], target[512];
    DIR *folder = opendir(from);
    cr_assert(folder && mkdir(to, 0700) == 0);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
        snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        file_copy(source, target);
    }
    closedir(folder);
}

Test(log, leaves_a_backup_of_an_expired_day_unreadable)
{
    struct place p, backup;
    struct error err = {0};
    int days;
    place_open(&p);
    write_records(&p, 0, RECORDS);
    backup = p;
    snprintf(backup.dir, sizeof backup.dir, "%s/backup", p.home);
    backup.settings.dir = backup.dir;
    folder_copy(p.dir, backup.dir);
    cr_assert_eq(read_records(&backup, 0, &err), RECORDS, "before: %s", err.text);
    cr_assert(log_expire(&p.settings, civil_day(2026, 3, 2), &days, &err), "%s", err.text);
    cr_expect_eq(read_records(&backup, 0, &err), -1, "a destroyed day was read");
    cr_expect(strstr(err.text, "the key of 2026-03-01 is not there"), "%s", err.text);
    cr_expect_eq(read_records(&backup, PER_DAY, &err), RECORDS - PER_DAY, "the other days: %s", err.text);
    write_records(&p, RECORDS, RECORDS + 1);
    cr_expect_eq(read_records(&p, PER_DAY, &err), RECORDS + 1 - PER_DAY, "%s", err.text);

    /* A key made anew for that day does not open the old one's blocks. */
    struct place again = p;
    snprintf(again.dir, sizeof again.dir, "%s/again", p.home);
    again.settings.dir = again.dir;
    write_records(&again, 0, 1);
    cr_expect_eq(read_records(&backup, 0, &err), -1);
    cr_expect(strstr(err.text, "does not open with its day's key"), "%s", err.text);
    folder_remove(p.home);
}

/* Which rules were at work: told behind the event before, also twice, and at the end of the log; a cut keeps what is told of its last event. */
Test(log, tells_rules_between_events, .timeout = 20)
{
    struct place place;
    struct error err = {0};
    struct log_record record;
    place_open(&place);
    struct log_writer *log = log_writer_open(&place.settings, &err);
    cr_assert(log, "%s", err.text);
    struct log_swap swap = {.hash = {7}, .warm_from = 1};
    for (int i = 0; i < 40; i++) {
        char body[64];
        record = record_at(i, body);
        cr_assert(log_writer_add(log, &record, 0, &err), "%s", err.text);
        for (int twice = 0; i % 10 == 9 && twice < 2; twice++) {
            swap.hash[1] = (unsigned char)(i + twice);
            record = (struct log_record){.kind = LOG_SWAP, .seq = record.seq, .broker_ms = record.broker_ms, .body = {(const char *)&swap, sizeof swap}};
            cr_assert(log_writer_add(log, &record, 0, &err), "%s", err.text);
        }
    }
    uint64_t last = 29 * 3 + 1;
    cr_assert(log_writer_flush(log, true, &err) && log_writer_cut(log, last, &err), "%s", err.text);
    cr_assert_eq(log_writer_last_seq(log), last);
    log_writer_close(log);
    log = log_writer_open(&place.settings, &err);
    cr_assert(log && log_writer_last_seq(log) == last);
    log_writer_close(log);
    struct log_reader *reader = log_reader_open(&place.settings, 1, &err);
    int events = 0, told = 0;
    while (log_reader_next(reader, &record, &err) == 1) {
        events += record.kind != LOG_SWAP;
        if (record.kind != LOG_SWAP)
            continue;
        memcpy(&swap, record.body.data, sizeof swap);
        cr_assert(record.seq == (uint64_t)(events - 1) * 3 + 1 && swap.hash[1] == events - 1 + told % 2 && swap.warm_from == 1);
        told++;
    }
    cr_assert(err.class == ERROR_NONE && events == 30 && told == 6, "%s: %d events, %d", err.text, events, told);
    log_reader_close(reader);
    folder_remove(place.home);
}
