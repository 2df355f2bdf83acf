/* Reads the log: blocks opened and checked, records in sequence order. */
#include "engine/state/log_private.h"

#include "engine/base/invariant.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

/* --- blocks --- */

static bool read_exact(int fd, void *out, size_t size, uint64_t offset)
{
    for (size_t at = 0; at < size;) {
        ssize_t got = pread(fd, (char *)out + at, size - at, (off_t)(offset + at));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

int log_head_read(int fd, uint64_t offset, uint64_t size, const char *name, struct log_block_head *head, uint64_t *next,
                  struct error *err)
{
    if (size - offset < sizeof *head)
        return 0;
    if (!read_exact(fd, head, sizeof *head, offset)) {
        error_errno(err, ERROR_FATAL, "cannot read log segment %s", name);
        return -1;
    }
    bool sound = head->magic == log_block_magic && head->first_seq <= head->last_seq && head->count > 0 &&
                 head->raw_size <= LOG_BLOCK_RAW_MAX && head->sealed_size >= LOG_SEAL_BYTES &&
                 head->sealed_size <= ZSTD_COMPRESSBOUND(LOG_BLOCK_RAW_MAX) + LOG_SEAL_BYTES;
    if (!sound) {
        error_set(err, ERROR_FATAL, "log segment %s: the block at byte %llu is damaged", name, (unsigned long long)offset);
        return -1;
    }
    *next = offset + sizeof *head + head->sealed_size;
    return *next <= size;
}

int log_block_read(int fd, uint64_t offset, uint64_t size, const unsigned char key[LOG_KEY_BYTES], const char *name,
                   struct arena *arena, struct log_block_head *head, struct slice *raw, uint64_t *next, struct error *err)
{
    int whole = log_head_read(fd, offset, size, name, head, next, err);
    if (whole <= 0)
        return whole;
    unsigned char *sealed = arena_bytes(arena, head->sealed_size);
    unsigned char *packed = arena_bytes(arena, head->sealed_size);
    char *out = arena_bytes(arena, head->raw_size + 1);
    unsigned long long packed_size = 0;
    if (!read_exact(fd, sealed, head->sealed_size, offset + sizeof *head)) {
        error_errno(err, ERROR_FATAL, "cannot read log segment %s", name);
        return -1;
    }
    bool sound = crypto_aead_xchacha20poly1305_ietf_decrypt(packed, &packed_size, NULL, sealed, head->sealed_size,
                                                            (const unsigned char *)head, sizeof *head, head->nonce, key) == 0;
    if (!sound) {
        error_set(err, ERROR_FATAL, "log segment %s: the block at byte %llu does not open with its day's key: damaged or replaced",
                  name, (unsigned long long)offset);
        return -1;
    }
    size_t got = ZSTD_decompress(out, head->raw_size, packed, (size_t)packed_size);
    if (ZSTD_isError(got) || got != head->raw_size) {
        error_set(err, ERROR_FATAL, "log segment %s: the block at byte %llu does not unpack", name, (unsigned long long)offset);
        return -1;
    }
    *raw = (struct slice){out, got};
    return 1;
}

/* --- records --- */

bool log_record_take(struct slice *raw, struct log_record *record)
{
    struct record_head head;
    if (raw->size < sizeof head)
        return false;
    memcpy(&head, raw->data, sizeof head);
    size_t size = sizeof head + head.source_size + head.topic_size + (size_t)head.body_size;
    if (raw->size < size)
        return false;
    const char *at = raw->data + sizeof head;
    *record = (struct log_record){.kind = (enum log_kind)head.kind,
                                  .seq = head.seq,
                                  .broker_ms = head.broker_ms,
                                  .source = {at, head.source_size},
                                  .topic = {at + head.source_size, head.topic_size},
                                  .partition = head.partition,
                                  .offset = head.offset,
                                  .item = head.item,
                                  .body = {at + head.source_size + head.topic_size, head.body_size}};
    *raw = (struct slice){raw->data + size, raw->size - size};
    return true;
}

/* --- the reader --- */

struct log_reader {
    struct log_settings settings;
    struct log_segment *segments;
    int count, index; /* segment being read; -1 before the first */
    int fd;
    uint64_t offset, size, from_seq;
    unsigned char key[LOG_KEY_BYTES];
    struct arena arena;
    struct slice raw;
};

struct log_reader *log_reader_open(const struct log_settings *settings, uint64_t from_seq, struct error *err)
{
    struct log_reader *log = calloc(1, sizeof *log);
    invariant(log != NULL);
    log->settings = *settings;
    log->fd = -1;
    log->index = -1;
    log->from_seq = from_seq;
    arena_init(&log->arena);
    log->count = log_segments(settings->dir, &log->segments, err);
    if (log->count < 0) {
        log_reader_close(log);
        return NULL;
    }
    while (log->index + 2 < log->count && log->segments[log->index + 2].first_seq <= from_seq)
        log->index++; /* the segment before the one that begins behind from_seq */
    return log;
}

struct log_reader *log_reader_open_day(const struct log_settings *settings, int32_t day, struct error *err)
{
    struct log_reader *log = log_reader_open(settings, 1, err);
    while (log && log->index + 1 < log->count && log->segments[log->index + 1].day < day)
        log->index++;
    return log;
}

void log_reader_close(struct log_reader *log)
{
    if (!log)
        return;
    if (log->fd >= 0)
        (void)close(log->fd);
    sodium_memzero(log->key, sizeof log->key);
    free(log->segments);
    arena_fini(&log->arena);
    free(log);
}

/* 1: the next segment is open; 0: there is none; -1: err. */
static int reader_next_segment(struct log_reader *log, struct error *err)
{
    char path[LOG_PATH_MAX], magic[LOG_MAGIC_BYTES];
    struct stat info;
    if (log->fd >= 0)
        (void)close(log->fd);
    log->fd = -1;
    if (++log->index >= log->count)
        return 0;
    const struct log_segment *segment = &log->segments[log->index];
    if (!log_path(path, log->settings.dir, segment->name, err) || !log_day_key(&log->settings, segment->day, false, log->key, err))
        return -1;
    log->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (log->fd < 0 || fstat(log->fd, &info) != 0) {
        error_errno(err, ERROR_FATAL, "cannot open log segment %s", segment->name);
        return -1;
    }
    log->size = (uint64_t)info.st_size;
    log->offset = LOG_MAGIC_BYTES;
    if (log->size < LOG_MAGIC_BYTES)
        return reader_next_segment(log, err); /* made, and nothing written yet */
    if (!read_exact(log->fd, magic, sizeof magic, 0) || memcmp(magic, log_magic, sizeof magic) != 0) {
        error_set(err, ERROR_FATAL, "log segment %s does not begin like one", segment->name);
        return -1;
    }
    return 1;
}

/* Makes raw hold records, 1; 0 at the end; -1: err. */
static int reader_fill(struct log_reader *log, struct error *err)
{
    while (log->raw.size == 0) {
        struct log_block_head head;
        uint64_t next;
        if (log->fd < 0) {
            int opened = reader_next_segment(log, err);
            if (opened <= 0)
                return opened;
        }
        const char *name = log->segments[log->index].name;
        int whole = log_head_read(log->fd, log->offset, log->size, name, &head, &next, err);
        if (whole < 0)
            return -1;
        if (whole == 0) { /* the end, or a tail that was never finished */
            (void)close(log->fd);
            log->fd = -1;
            continue;
        }
        if (head.last_seq >= log->from_seq) {
            arena_reset(&log->arena);
            if (log_block_read(log->fd, log->offset, log->size, log->key, name, &log->arena, &head, &log->raw, &next, err) < 0)
                return -1;
        }
        log->offset = next;
    }
    return 1;
}

int log_reader_next(struct log_reader *log, struct log_record *record, struct error *err)
{
    do {
        int filled = reader_fill(log, err);
        if (filled <= 0)
            return filled;
        if (!log_record_take(&log->raw, record)) {
            error_set(err, ERROR_FATAL, "log segment %s: a record inside a block is damaged", log->segments[log->index].name);
            return -1;
        }
    } while (record->seq < log->from_seq);
    return 1;
}
