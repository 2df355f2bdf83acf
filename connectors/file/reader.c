/* Lines of recorded streams, unpacked on the way. */
#include "connectors/file/reader.h"

#include "engine/base/invariant.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { RAW_BYTES = 256 * 1024, TEXT_BYTES = 1024 * 1024 };

enum packing { PACKED_NOT, PACKED_GZIP, PACKED_ZSTD };

struct file_reader {
    const char *path; /* the caller's; for messages */
    int fd;
    enum packing packing;
    z_stream zlib;
    ZSTD_DCtx *zstd;
    unsigned char *raw; /* as the file has it, where it is packed */
    size_t raw_at, raw_size;
    char *text;         /* unpacked, not yet given on */
    size_t text_at, text_size;
    char *line;         /* a line that began before this text */
    size_t line_size, line_max;
    bool file_ended, frame_open;
    int64_t line_number;
    uint64_t done, size;
};

static bool ends_with(const char *path, const char *end)
{
    size_t size = strlen(path), tail = strlen(end);
    return size >= tail && strcmp(path + size - tail, end) == 0;
}

struct file_reader *file_reader_open(const char *path, size_t line_max, struct error *err)
{
    struct stat info;
    struct file_reader *reader = calloc(1, sizeof *reader);
    invariant(reader != NULL);
    reader->path = path;
    reader->line_max = line_max;
    reader->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0) {
        error_errno(err, ERROR_FATAL, "cannot open %s", path);
        free(reader);
        return NULL;
    }
    if (fstat(reader->fd, &info) == 0 && S_ISREG(info.st_mode))
        reader->size = (uint64_t)info.st_size;
    reader->packing = ends_with(path, ".gz") ? PACKED_GZIP : ends_with(path, ".zst") ? PACKED_ZSTD : PACKED_NOT;
    reader->raw = malloc(RAW_BYTES);
    reader->text = malloc(TEXT_BYTES);
    reader->line = malloc(line_max + 1);
    invariant(reader->raw && reader->text && reader->line);
    if (reader->packing == PACKED_GZIP)
        invariant(inflateInit2(&reader->zlib, 15 + 16) == Z_OK);
    if (reader->packing == PACKED_ZSTD) {
        reader->zstd = ZSTD_createDCtx();
        invariant(reader->zstd != NULL);
    }
    return reader;
}

void file_reader_close(struct file_reader *reader)
{
    if (!reader)
        return;
    if (reader->packing == PACKED_GZIP)
        (void)inflateEnd(&reader->zlib);
    ZSTD_freeDCtx(reader->zstd);
    (void)close(reader->fd);
    free(reader->raw);
    free(reader->text);
    free(reader->line);
    free(reader);
}

void file_reader_progress(const struct file_reader *reader, uint64_t *done, uint64_t *size)
{
    *done = reader->done;
    *size = reader->size;
}

/* --- bytes --- */

static bool bytes_read(struct file_reader *reader, void *into, size_t *size, struct error *err)
{
    ssize_t got;
    do
        got = read(reader->fd, into, RAW_BYTES);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return error_errno(err, ERROR_FATAL, "cannot read %s", reader->path);
    reader->file_ended = got == 0;
    reader->done += (uint64_t)got;
    *size = (size_t)got;
    return true;
}

static bool raw_fill(struct file_reader *reader, struct error *err)
{
    if (reader->raw_at < reader->raw_size || reader->file_ended)
        return true;
    reader->raw_at = 0;
    return bytes_read(reader, reader->raw, &reader->raw_size, err);
}

static bool unpack_gzip(struct file_reader *reader, struct error *err)
{
    z_stream *z = &reader->zlib;
    if (!reader->frame_open && reader->raw_at < reader->raw_size) {
        (void)inflateReset(z); /* another member may follow the one before */
        reader->frame_open = true;
    }
    z->next_in = reader->raw + reader->raw_at;
    z->avail_in = (uInt)(reader->raw_size - reader->raw_at);
    z->next_out = (unsigned char *)reader->text;
    z->avail_out = TEXT_BYTES;
    int code = inflate(z, Z_NO_FLUSH);
    reader->raw_at = reader->raw_size - z->avail_in;
    reader->text_size = TEXT_BYTES - z->avail_out;
    if (code == Z_STREAM_END)
        reader->frame_open = false;
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return error_set(err, ERROR_FATAL, "%s is not sound gzip", reader->path);
    return true;
}

static bool unpack_zstd(struct file_reader *reader, struct error *err)
{
    ZSTD_inBuffer in = {reader->raw, reader->raw_size, reader->raw_at};
    ZSTD_outBuffer out = {reader->text, TEXT_BYTES, 0};
    size_t code = ZSTD_decompressStream(reader->zstd, &out, &in);
    if (ZSTD_isError(code))
        return error_set(err, ERROR_FATAL, "%s is not sound zstd", reader->path);
    reader->frame_open = code != 0;
    reader->raw_at = in.pos;
    reader->text_size = out.pos;
    return true;
}

static bool unpack(struct file_reader *reader, struct error *err)
{
    if (!raw_fill(reader, err))
        return false;
    if (reader->raw_at == reader->raw_size)
        return true;
    return reader->packing == PACKED_GZIP ? unpack_gzip(reader, err) : unpack_zstd(reader, err);
}

/* Makes text hold something; *ended when there is nothing more. */
static bool text_fill(struct file_reader *reader, bool *ended, struct error *err)
{
    reader->text_at = reader->text_size = 0;
    do {
        bool ok = reader->packing == PACKED_NOT ? bytes_read(reader, reader->text, &reader->text_size, err) : unpack(reader, err);
        if (!ok)
            return false;
    } while (reader->text_size == 0 && !reader->file_ended);
    *ended = reader->text_size == 0;
    return !*ended || !reader->frame_open || error_set(err, ERROR_FATAL, "%s ends in the middle: it was cut short", reader->path);
}

/* --- lines --- */

static void line_append(struct file_reader *reader, const char *data, size_t size)
{
    size_t room = reader->line_max + 1 - reader->line_size;
    if (size > room)
        size = room;
    memcpy(reader->line + reader->line_size, data, size);
    reader->line_size += size;
}

/* Gives the line on unless it is empty. */
static bool line_emit(struct file_reader *reader, struct slice line, struct arena *arena, struct message *message)
{
    reader->line_number++;
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    if (line.size == 0)
        return false;
    *message = (struct message){.body = arena_copy(arena, line),
                                .position = {.offset = reader->line_number},
                                .broker_ms = MISSING_I64};
    return true;
}

bool file_reader_read(void *self, struct arena *arena, struct message *messages, uint32_t max, uint32_t *count, struct error *err)
{
    struct file_reader *reader = self;
    *count = 0;
    while (*count < max) {
        bool ended;
        if (reader->text_at == reader->text_size) {
            if (!text_fill(reader, &ended, err))
                return false;
            if (ended) {
                struct slice last = {reader->line, reader->line_size};
                reader->line_size = 0;
                *count += last.size && line_emit(reader, last, arena, &messages[*count]);
                return true;
            }
        }
        const char *from = reader->text + reader->text_at;
        size_t left = reader->text_size - reader->text_at;
        const char *end = memchr(from, '\n', left);
        size_t size = end ? (size_t)(end - from) : left;
        reader->text_at += size + (end != NULL);
        struct slice line = {from, size};
        if (!end || reader->line_size || size > reader->line_max) {
            line_append(reader, from, size);
            line = (struct slice){reader->line, reader->line_size};
        }
        if (!end)
            continue;
        *count += line_emit(reader, line, arena, &messages[*count]);
        reader->line_size = 0;
    }
    return true;
}

bool file_reader_bytes(struct file_reader *reader, char *into, size_t want, size_t *got, struct error *err)
{
    bool ended = false;
    *got = 0;
    while (*got < want) {
        if (reader->text_at == reader->text_size && !text_fill(reader, &ended, err))
            return false;
        if (ended)
            break;
        size_t piece = reader->text_size - reader->text_at;
        if (piece > want - *got)
            piece = want - *got;
        memcpy(into + *got, reader->text + reader->text_at, piece);
        *got += piece;
        reader->text_at += piece;
    }
    return true;
}
