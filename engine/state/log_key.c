/* The log's folders and keys: segments by name, day keys wrapped by the master key. */
#include "engine/state/log_private.h"

#include "engine/base/disk.h"
#include "engine/base/invariant.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRAPPED_BYTES = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + LOG_KEY_BYTES };

bool log_path(char path[LOG_PATH_MAX], const char *dir, const char *name, struct error *err)
{
    int size = snprintf(path, LOG_PATH_MAX, "%s/%s", dir, name);
    return (size > 0 && size < LOG_PATH_MAX) || error_set(err, ERROR_FATAL, "the path of %s is too long", name);
}

enum error_class log_disk_class(int number)
{
    return number == ENOSPC || number == EDQUOT ? ERROR_RETRY : ERROR_FATAL;
}

void log_day_text(int32_t day, char text[16])
{
    int year, month, dom;
    civil_date(day, &year, &month, &dom);
    (void)snprintf(text, 16, "%04d-%02d-%02d", year % 10000, month, dom);
}

void log_segment_name(int32_t day, uint64_t first_seq, char name[48])
{
    char text[16];
    log_day_text(day, text);
    (void)snprintf(name, 48, "%s-%020llu.log", text, (unsigned long long)first_seq);
}

static int segment_compare(const void *a, const void *b)
{
    const struct log_segment *x = a, *y = b;
    return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

static bool segment_parse(const char *name, struct log_segment *segment)
{
    int year, month, dom, used = 0;
    unsigned long long first;
    if (sscanf(name, "%4d-%2d-%2d-%20llu.log%n", &year, &month, &dom, &first, &used) != 4 || used != 35 || name[used])
        return false;
    segment->day = civil_day(year, month, dom);
    segment->first_seq = first;
    memcpy(segment->name, name, (size_t)used + 1);
    return true;
}

int log_segments(const char *dir, struct log_segment **segments, struct error *err)
{
    DIR *folder = opendir(dir);
    int count = 0, room = 0;
    *segments = NULL;
    if (!folder) {
        error_errno(err, ERROR_FATAL, "cannot open the log's folder %s", dir);
        return -1;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct log_segment segment;
        if (!segment_parse(entry->d_name, &segment))
            continue;
        if (count == room) {
            room = room ? room * 2 : 16;
            *segments = realloc(*segments, (size_t)room * sizeof **segments);
            invariant(*segments != NULL);
        }
        (*segments)[count++] = segment;
    }
    (void)closedir(folder);
    if (count)
        qsort(*segments, (size_t)count, sizeof **segments, segment_compare);
    return count;
}

/* --- keys --- */

/* Reads exactly size bytes; *absent when the file is not there. */
static bool file_read(const char *path, unsigned char *out, size_t size, bool *absent, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *absent = fd < 0 && errno == ENOENT;
    if (fd < 0)
        return error_errno(err, ERROR_FATAL, "cannot open %s", path);
    struct stat info;
    bool good = fstat(fd, &info) == 0 && info.st_size == (off_t)size && read(fd, out, size) == (ssize_t)size;
    if (good && info.st_mode & 077)
        good = error_set(err, ERROR_FATAL, "%s can be read by others; its mode must be 0600", path);
    else if (!good)
        error_set(err, ERROR_FATAL, "%s must hold exactly %zu bytes", path, size);
    (void)close(fd);
    return good;
}

/* The folder that a file is in: what its name is made durable by. */
static bool parent_sync(const char *path)
{
    char dir[LOG_PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash == dir)
        slash++;
    if (slash)
        *slash = '\0';
    return log_folder_sync(slash ? dir : ".");
}

/* Written beside and renamed, so that a key is whole or not there; never replaces another. On disk
 * before anything is sealed with it. */
static bool file_make(const char *path, const unsigned char *data, size_t size, struct error *err)
{
    char beside[LOG_PATH_MAX];
    if (snprintf(beside, sizeof beside, "%s.tmp", path) >= (int)sizeof beside)
        return error_set(err, ERROR_FATAL, "the path of %s is too long", path);
    (void)unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && disk_write(FAIL_LOG_KEY_WRITE, fd, data, size) && disk_sync(FAIL_LOG_KEY_SYNC, fd) &&
                disk_rename(FAIL_LOG_KEY_RENAME, beside, path) && parent_sync(path);
    if (!good)
        error_errno(err, log_disk_class(errno), "cannot write %s", path);
    if (fd >= 0)
        (void)close(fd);
    return good;
}

bool log_master_key(const struct log_settings *settings, unsigned char key[LOG_KEY_BYTES], struct error *err)
{
    bool absent;
    if (file_read(settings->master_key_file, key, LOG_KEY_BYTES, &absent, err))
        return true;
    if (!absent)
        return error_context(err, "master_key_file");
    randombytes_buf(key, LOG_KEY_BYTES);
    *err = (struct error){0};
    return file_make(settings->master_key_file, key, LOG_KEY_BYTES, err) || error_context(err, "master_key_file");
}

static bool key_unwrap(const unsigned char wrapped[WRAPPED_BYTES], const unsigned char master[LOG_KEY_BYTES],
                       unsigned char key[LOG_KEY_BYTES])
{
    return crypto_secretbox_open_easy(key, wrapped + crypto_secretbox_NONCEBYTES, WRAPPED_BYTES - crypto_secretbox_NONCEBYTES,
                                      wrapped, master) == 0;
}

bool log_day_key(const struct log_settings *settings, int32_t day, bool make, unsigned char key[LOG_KEY_BYTES], struct error *err)
{
    unsigned char master[LOG_KEY_BYTES], wrapped[WRAPPED_BYTES];
    char path[LOG_PATH_MAX], name[32], text[16];
    bool absent;
    log_day_text(day, text);
    (void)snprintf(name, sizeof name, "%s.key", text);
    if (!log_path(path, settings->key_dir, name, err) || !log_master_key(settings, master, err))
        return false;
    bool good = file_read(path, wrapped, sizeof wrapped, &absent, err);
    if (good) {
        good = key_unwrap(wrapped, master, key) ||
               error_set(err, ERROR_FATAL, "the key of %s was not wrapped by this master key", text);
    } else if (absent && make) {
        *err = (struct error){0};
        randombytes_buf(key, LOG_KEY_BYTES);
        randombytes_buf(wrapped, crypto_secretbox_NONCEBYTES);
        (void)crypto_secretbox_easy(wrapped + crypto_secretbox_NONCEBYTES, key, LOG_KEY_BYTES, wrapped, master);
        good = file_make(path, wrapped, sizeof wrapped, err);
    } else if (absent) {
        error_set(err, ERROR_FATAL, "the key of %s is not there: that day's records were destroyed or belong elsewhere", text);
    }
    sodium_memzero(master, sizeof master);
    return good;
}
