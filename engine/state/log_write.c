/* Writes the log: records gathered into blocks, blocks sealed and appended, the tail cut at a restart. */
#include "engine/state/log_private.h"

#include "engine/base/disk.h"
#include "engine/base/invariant.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

struct log_writer {
    struct log_settings settings;
    int fd;                   /* the open segment, -1 when none */
    int32_t day;
    uint64_t size;            /* bytes of it */
    uint64_t last_seq;        /* of all that was added */
    unsigned char key[LOG_KEY_BYTES];
    char *raw;                /* the open block's records */
    size_t raw_size, raw_room;
    uint64_t first_seq;       /* of the open block */
    uint32_t count;
    char *packed;
    size_t packed_room;
    ZSTD_CCtx *zstd;
};

bool log_folder_sync(const char *dir)
{
    return disk_sync_folder(FAIL_LOG_FOLDER, dir);
}

/* --- opening --- */

/* Finds the end of the last whole block that opens; whatever is behind it goes. */
static bool segment_tail(struct log_writer *log, const char *name, struct error *err)
{
    struct log_block_head head, last = {0};
    struct arena arena;
    struct slice raw;
    uint64_t offset = LOG_MAGIC_BYTES, next, last_offset = 0;
    int whole;
    while ((whole = log_head_read(log->fd, offset, log->size, name, &head, &next, err)) == 1) {
        last = head;
        last_offset = offset;
        offset = next;
    }
    if (whole < 0)
        return false;
    arena_init(&arena);
    if (last_offset && log_block_read(log->fd, last_offset, log->size, log->key, name, &arena, &head, &raw, &next, err) < 0) {
        arena_fini(&arena);
        return false;
    }
    arena_fini(&arena);
    if (offset < log->size && !disk_cut(FAIL_LOG_CUT, log->fd, offset))
        return error_errno(err, ERROR_FATAL, "cannot cut the torn end of log segment %s", name);
    log->size = offset;
    if (last_offset)
        log->last_seq = last.last_seq;
    return lseek(log->fd, (off_t)log->size, SEEK_SET) >= 0 || error_errno(err, ERROR_FATAL, "cannot append to log segment %s", name);
}

/* Puts a copy in the place of a segment that was there before us. An engine that lost its lease while
 * it was stopped may wake and append once more: then to the file that nobody reads any longer. So a start
 * needs room for the last segment once more. */
static bool segment_take_over(const char *dir, const char *name, struct error *err)
{
    char path[LOG_PATH_MAX], copy[LOG_PATH_MAX], copy_name[64];
    (void)snprintf(copy_name, sizeof copy_name, "%s.tmp", name);
    if (!log_path(path, dir, name, err) || !log_path(copy, dir, copy_name, err))
        return false;
    int from = disk_open(FAIL_LOG_OPEN, path, O_RDONLY, 0);
    int to = from >= 0 ? disk_open(FAIL_LOG_OPEN, copy, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
    bool good = to >= 0 && disk_copy(FAIL_LOG_COPY, from, to) && disk_sync(FAIL_LOG_COPY_SYNC, to) &&
                disk_rename(FAIL_LOG_COPY_RENAME, copy, path) && log_folder_sync(dir);
    if (!good) {
        error_errno(err, log_disk_class(errno), "a start needs room in log_dir for a second copy of log segment %s", name);
        (void)unlink(copy); /* or it would keep the room that is missing */
    }
    if (from >= 0)
        (void)close(from);
    if (to >= 0)
        (void)close(to);
    return good;
}

static void segment_close(struct log_writer *log)
{
    if (log->fd >= 0)
        (void)close(log->fd);
    log->fd = -1;
}

static bool segment_begin(struct log_writer *log, const char *name, struct error *err)
{
    if (!disk_cut(FAIL_LOG_CUT, log->fd, 0) || lseek(log->fd, 0, SEEK_SET) != 0 ||
        !disk_write(FAIL_LOG_BEGIN, log->fd, log_magic, LOG_MAGIC_BYTES) || !log_folder_sync(log->settings.dir))
        return error_errno(err, log_disk_class(errno), "cannot begin log segment %s", name);
    log->size = LOG_MAGIC_BYTES;
    return true;
}

/* A segment that is begun must not be there yet: else another engine, or one that woke as a zombie, writes here too. */
static bool segment_open(struct log_writer *log, const struct log_segment *segment, bool begin, struct error *err)
{
    char path[LOG_PATH_MAX];
    struct stat info;
    if (!log_path(path, log->settings.dir, segment->name, err) || !log_day_key(&log->settings, segment->day, true, log->key, err))
        return false;
    log->fd = disk_open(FAIL_LOG_OPEN, path, O_RDWR | (begin ? O_CREAT | O_EXCL : 0), 0600);
    if (log->fd < 0 && begin && errno == EEXIST)
        return error_set(err, ERROR_FATAL, "log segment %s is there already: another engine writes into this log_dir", segment->name);
    if (log->fd < 0 || fstat(log->fd, &info) != 0)
        return error_errno(err, log_disk_class(errno), "cannot open log segment %s", segment->name);
    log->day = segment->day;
    log->size = (uint64_t)info.st_size;
    bool good = (log->size >= LOG_MAGIC_BYTES || segment_begin(log, segment->name, err)) && segment_tail(log, segment->name, err);
    if (!good)
        segment_close(log);
    if (!good && begin)
        (void)unlink(path); /* it is begun again once there is room */
    return good;
}

static bool folder_make(const char *dir, struct error *err)
{
    return mkdir(dir, 0700) == 0 || errno == EEXIST || error_errno(err, ERROR_FATAL, "cannot make the folder %s", dir);
}

/* Opens the newest segment that holds anything; empty ones behind it go. */
static bool writer_open_last(struct log_writer *log, struct error *err)
{
    struct log_segment *segments;
    int count = log_segments(log->settings.dir, &segments, err);
    bool good = count >= 0;
    while (good && count-- > 0) {
        char path[LOG_PATH_MAX];
        good = segment_take_over(log->settings.dir, segments[count].name, err) && segment_open(log, &segments[count], false, err);
        if (!good || log->size > LOG_MAGIC_BYTES)
            break;
        segment_close(log);
        good = log_path(path, log->settings.dir, segments[count].name, err) &&
               (disk_remove(FAIL_LOG_REMOVE, path) || error_errno(err, ERROR_FATAL, "cannot remove log segment %s", segments[count].name));
    }
    free(segments);
    return good;
}

/* Level 1 with a table of 16 KiB, which stays in the nearest cache, and matches of 7 bytes on, as keys and values of JSON are longer.
 * Measured on blocks of 256 KiB of the benchmark's stream, against plain level 1: 276 instead of 315 ns and 32.1 instead of 32.9 bytes an
 * event; small blocks, as of a quiet engine, are no larger, and take up to a tenth longer. */
static ZSTD_CCtx *packer_new(void)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    invariant(zstd != NULL);
    invariant(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1)));
    invariant(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, 12)));
    invariant(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_minMatch, 7)));
    return zstd;
}

struct log_writer *log_writer_open(const struct log_settings *settings, struct error *err)
{
    struct log_writer *log = calloc(1, sizeof *log);
    invariant(log != NULL);
    log->settings = *settings;
    log->fd = -1;
    log->zstd = packer_new();
    if (!folder_make(settings->dir, err) || !folder_make(settings->key_dir, err) || !writer_open_last(log, err)) {
        log_writer_close(log);
        return NULL;
    }
    return log;
}

uint64_t log_writer_last_seq(const struct log_writer *log)
{
    return log->last_seq;
}

void log_writer_close(struct log_writer *log)
{
    if (!log)
        return;
    segment_close(log);
    sodium_memzero(log->key, sizeof log->key);
    ZSTD_freeCCtx(log->zstd);
    free(log->raw);
    free(log->packed);
    free(log);
}

/* --- writing --- */

/* A block that did not fit leaves nothing behind: it is written whole when there is room, or cut at a restart. */
static bool block_take_back(struct log_writer *log, int number, struct error *err)
{
    enum error_class class = log_disk_class(number);
    if (ftruncate(log->fd, (off_t)log->size) != 0 || lseek(log->fd, (off_t)log->size, SEEK_SET) < 0)
        class = ERROR_FATAL;
    errno = number;
    return error_errno(err, class, "cannot append to the log");
}

/* Packs the open block; returns how many bytes it became. */
static size_t block_pack(const struct log_writer *log, unsigned char *into, size_t room)
{
    size_t size = ZSTD_compress2(log->zstd, into, room, log->raw, log->raw_size);
    invariant(!ZSTD_isError(size));
    return size;
}

static bool block_write(struct log_writer *log, struct error *err)
{
    size_t room = sizeof(struct log_block_head) + ZSTD_compressBound(log->raw_size) * 2 + LOG_SEAL_BYTES;
    if (room > log->packed_room) {
        log->packed = realloc(log->packed, room);
        invariant(log->packed != NULL);
        log->packed_room = room;
    }
    size_t bound = ZSTD_compressBound(log->raw_size);
    unsigned char *sealed = (unsigned char *)log->packed + sizeof(struct log_block_head);
    unsigned char *plain = sealed + bound + LOG_SEAL_BYTES;
    size_t plain_size = block_pack(log, plain, bound);
    struct log_block_head head = {.magic = log_block_magic,
                                  .sealed_size = (uint32_t)(plain_size + LOG_SEAL_BYTES),
                                  .first_seq = log->first_seq,
                                  .last_seq = log->last_seq,
                                  .count = log->count,
                                  .raw_size = (uint32_t)log->raw_size};
    randombytes_buf(head.nonce, sizeof head.nonce);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, plain, plain_size, (const unsigned char *)&head, sizeof head,
                                                     NULL, head.nonce, log->key);
    memcpy(log->packed, &head, sizeof head);
    size_t size = sizeof head + head.sealed_size;
    if (!disk_write(FAIL_LOG_WRITE, log->fd, log->packed, size))
        return block_take_back(log, errno, err);
    log->size += size;
    log->raw_size = 0;
    log->count = 0;
    return true;
}

bool log_writer_flush(struct log_writer *log, bool sync, struct error *err)
{
    if (log->count && !block_write(log, err))
        return false;
    if (sync && log->fd >= 0 && !disk_sync(FAIL_LOG_SYNC, log->fd))
        return error_errno(err, ERROR_FATAL, "cannot sync the log to disk");
    return true;
}

/* The segment for a record: a later day begins a new one, an earlier day stays where we are. */
static bool writer_segment(struct log_writer *log, int32_t day, uint64_t seq, struct error *err)
{
    if (log->fd >= 0 && day <= log->day)
        return true;
    uint64_t last_seq = log->last_seq;
    struct log_segment segment = {.day = day, .first_seq = seq};
    if (!log_writer_flush(log, true, err))
        return false;
    (void)fail_point(FAIL_LOG_ROTATE);
    segment_close(log);
    log_segment_name(day, seq, segment.name);
    bool good = segment_open(log, &segment, true, err);
    log->last_seq = last_seq;
    return good;
}

static void writer_put(struct log_writer *log, const void *data, size_t size)
{
    if (log->raw_size + size > log->raw_room) {
        log->raw_room = (log->raw_size + size) * 2;
        log->raw = realloc(log->raw, log->raw_room);
        invariant(log->raw != NULL);
    }
    if (size)
        memcpy(log->raw + log->raw_size, data, size);
    log->raw_size += size;
}

static void record_put(struct log_writer *log, const struct log_record *record)
{
    struct record_head head = {.seq = record->seq,
                               .broker_ms = record->broker_ms,
                               .offset = record->offset,
                               .partition = record->partition,
                               .body_size = (uint32_t)record->body.size,
                               .source_size = (uint16_t)record->source.size,
                               .topic_size = (uint16_t)record->topic.size,
                               .kind = (uint8_t)record->kind,
                               .item = record->item};
    writer_put(log, &head, sizeof head);
    writer_put(log, record->source.data, record->source.size);
    writer_put(log, record->topic.data, record->topic.size);
    writer_put(log, record->body.data, record->body.size);
}

bool log_writer_add(struct log_writer *log, const struct log_record *record, int64_t day_ms, struct error *err)
{
    invariant(record->seq > log->last_seq || (record->kind == LOG_SWAP && record->seq == log->last_seq));
    int64_t ms = record->broker_ms != MISSING_I64 ? record->broker_ms : day_ms;
    int32_t day = (int32_t)(ms / MS_PER_DAY - (ms % MS_PER_DAY < 0));
    if (!writer_segment(log, day, record->seq, err) || (log->raw_size >= log->settings.block_bytes && !block_write(log, err)))
        return false;
    if (log->count++ == 0)
        log->first_seq = record->seq;
    record_put(log, record);
    log->last_seq = record->seq;
    return true;
}

size_t log_packed_bytes(const struct log_record *record, uint32_t count, uint32_t together)
{
    struct log_writer log = {.zstd = packer_new()};
    size_t bytes = 0, room = 0;
    unsigned char *into = NULL;
    for (uint32_t i = 0; i < count; i++) {
        record_put(&log, &record[i]);
        if (log.raw_size < LOG_BLOCK_BYTES && (i + 1) % together != 0 && i + 1 < count)
            continue;
        if (ZSTD_compressBound(log.raw_size) > room) {
            room = ZSTD_compressBound(log.raw_size);
            into = realloc(into, room);
            invariant(into != NULL);
        }
        bytes += sizeof(struct log_block_head) + block_pack(&log, into, room) + LOG_SEAL_BYTES;
        log.raw_size = 0;
    }
    free(into);
    free(log.raw);
    ZSTD_freeCCtx(log.zstd);
    return bytes;
}

/* --- cutting --- */

/* Keeps the records up to last_seq of the block at offset, sealed anew; all behind it goes. */
static bool cut_inside(struct log_writer *log, uint64_t offset, uint64_t last_seq, const char *name, struct error *err)
{
    struct log_block_head head;
    struct arena arena;
    struct slice raw;
    uint64_t next;
    arena_init(&arena);
    bool good = log_block_read(log->fd, offset, log->size, log->key, name, &arena, &head, &raw, &next, err) == 1;
    good = good && (disk_cut(FAIL_LOG_CUT, log->fd, offset) || error_errno(err, ERROR_FATAL, "cannot cut log segment %s", name));
    good = good && (lseek(log->fd, (off_t)offset, SEEK_SET) >= 0 || error_errno(err, ERROR_FATAL, "cannot cut log segment %s", name));
    log->size = offset;
    log->last_seq = 0;
    struct log_record record;
    while (good && raw.size) {
        good = log_record_take(&raw, &record) || error_set(err, ERROR_FATAL, "log segment %s is damaged inside", name);
        if (!good || record.seq > last_seq)
            break;
        good = log_writer_add(log, &record, (int64_t)log->day * MS_PER_DAY, err);
    }
    good = good && log_writer_flush(log, true, err);
    arena_fini(&arena);
    return good;
}

/* The open segment begins at or before last_seq. */
static bool cut_segment(struct log_writer *log, uint64_t last_seq, const char *name, struct error *err)
{
    struct log_block_head head;
    uint64_t offset = LOG_MAGIC_BYTES, next, kept = 0;
    while (log_head_read(log->fd, offset, log->size, name, &head, &next, err) == 1 && head.last_seq <= last_seq) {
        kept = head.last_seq;
        offset = next;
    }
    if (offset < log->size && head.first_seq <= last_seq)
        return cut_inside(log, offset, last_seq, name, err);
    if (!disk_cut(FAIL_LOG_CUT, log->fd, offset) || lseek(log->fd, (off_t)offset, SEEK_SET) < 0)
        return error_errno(err, ERROR_FATAL, "cannot cut log segment %s", name);
    log->size = offset;
    log->last_seq = kept;
    return true;
}

bool log_writer_cut(struct log_writer *log, uint64_t last_seq, struct error *err)
{
    struct log_segment *segments;
    if (log->last_seq <= last_seq)
        return true;
    if (!log_writer_flush(log, true, err))
        return false;
    segment_close(log);
    log->last_seq = 0;
    int count = log_segments(log->settings.dir, &segments, err);
    bool good = count >= 0;
    while (good && count > 0) {
        const struct log_segment *segment = &segments[--count];
        char path[LOG_PATH_MAX];
        good = log_path(path, log->settings.dir, segment->name, err);
        if (good && segment->first_seq > last_seq) {
            good = disk_remove(FAIL_LOG_REMOVE, path) || error_errno(err, ERROR_FATAL, "cannot remove log segment %s", segment->name);
            continue;
        }
        good = good && segment_open(log, segment, false, err) && cut_segment(log, last_seq, segment->name, err);
        if (!good || log->last_seq)
            break;
        segment_close(log); /* nothing of it is left: the one before is the last */
        good = disk_remove(FAIL_LOG_REMOVE, path) || error_errno(err, ERROR_FATAL, "cannot remove log segment %s", segment->name);
    }
    free(segments);
    return good;
}
