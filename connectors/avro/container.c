/* Headers are read by the same code from a file and from a message: from whatever gives bytes. */
#include "connectors/avro/container.h"

#include "connectors/avro/body.h"
#include "engine/base/invariant.h"

#include <stdlib.h>
#include <zlib.h>

enum { SYNC_BYTES = 16, LONG_BYTES_MAX = 10 };

static const char magic[CONTAINER_MAGIC_BYTES] = {'O', 'b', 'j', 1};

struct container {
    struct container_input input;
    char *message; /* the header, then the block at work */
    size_t header_size, size, room;
    char sync[SYNC_BYTES];
};

bool container_begins(struct slice bytes)
{
    return bytes.size >= CONTAINER_MAGIC_BYTES && memcmp(bytes.data, magic, CONTAINER_MAGIC_BYTES) == 0;
}

/* --- cutting --- */

/* Appends exactly `want` bytes of the file to the message; *got tells how many there were. */
static bool append(struct container *container, size_t want, size_t *got, struct error *err)
{
    if (container->size + want > container->room) {
        container->room = (container->size + want) * 2;
        container->message = realloc(container->message, container->room);
        invariant(container->message);
    }
    if (!container->input.read(container->input.context, container->message + container->size, want, got, err))
        return false;
    container->size += *got;
    return true;
}

static bool append_all(struct container *container, size_t want, struct error *err)
{
    size_t got;
    return append(container, want, &got, err) && (got == want || error_set(err, ERROR_FATAL, "the Avro file ends in the middle: it was cut short"));
}

/* *ended when the file ends before the number's first byte. */
static bool append_long(struct container *container, int64_t *value, bool *ended, struct error *err)
{
    size_t begin = container->size;
    *ended = false;
    for (int i = 0; i < LONG_BYTES_MAX; i++) {
        size_t got;
        if (!append(container, 1, &got, err))
            return false;
        *ended = i == 0 && got == 0;
        if (*ended)
            return true;
        struct slice rest = {container->message + begin, container->size - begin};
        if (body_long(&rest, value))
            return true;
        if (got == 0)
            break;
    }
    return error_set(err, ERROR_FATAL, "the Avro file is broken: a number in it is none, or cut short");
}

static bool append_size(struct container *container, int64_t most, int64_t *size, struct error *err)
{
    bool ended;
    if (!append_long(container, size, &ended, err))
        return false;
    return (!ended && *size >= 0 && *size <= most) ||
           error_set(err, ERROR_FATAL, "the Avro file is broken, or a piece of it is larger than %lld bytes", (long long)most);
}

/* The map of the header: blocks of keys and values, which container_read looks into. */
static bool append_metadata(struct container *container, struct error *err)
{
    for (;;) {
        int64_t count, size;
        bool ended;
        if (!append_long(container, &count, &ended, err))
            return false;
        if (ended || count == INT64_MIN)
            return error_set(err, ERROR_FATAL, "the header of the Avro file is broken");
        if (count == 0)
            return true;
        if (count < 0 && !append_size(container, CONTAINER_HEADER_MAX, &size, err))
            return false;
        for (int64_t left = 2 * (count < 0 ? -count : count); left > 0; left--) {
            if (!append_size(container, CONTAINER_HEADER_MAX, &size, err) || !append_all(container, (size_t)size, err))
                return false;
            if (container->size > CONTAINER_HEADER_MAX)
                return error_set(err, ERROR_FATAL, "the header of the Avro file is larger than %d bytes", CONTAINER_HEADER_MAX);
        }
    }
}

struct container *container_open(const struct container_input *input, struct error *err)
{
    struct container *container = calloc(1, sizeof *container);
    invariant(container);
    container->input = *input;
    bool ok = append_all(container, CONTAINER_MAGIC_BYTES, err) &&
              (container_begins((struct slice){container->message, container->size}) || error_set(err, ERROR_FATAL, "this is no Avro file")) &&
              append_metadata(container, err) && append_all(container, SYNC_BYTES, err);
    if (ok) {
        container->header_size = container->size;
        memcpy(container->sync, container->message + container->size - SYNC_BYTES, SYNC_BYTES);
        return container;
    }
    container_close(container);
    return NULL;
}

bool container_next(struct container *container, struct slice *message, bool *ended, struct error *err)
{
    int64_t count, size;
    container->size = container->header_size;
    if (!append_long(container, &count, ended, err))
        return false;
    if (*ended)
        return true;
    if (!append_size(container, CONTAINER_BLOCK_MAX, &size, err) || !append_all(container, (size_t)size + SYNC_BYTES, err))
        return false;
    if (memcmp(container->message + container->size - SYNC_BYTES, container->sync, SYNC_BYTES) != 0)
        return error_set(err, ERROR_FATAL, "the Avro file is broken: the mark behind a block is not the file's");
    *message = (struct slice){container->message, container->size};
    return true;
}

void container_close(struct container *container)
{
    free(container->message);
    free(container);
}

/* --- opening a message --- */

static bool take(struct slice *rest, int64_t size, struct slice *piece)
{
    if (size < 0 || (uint64_t)size > rest->size)
        return false;
    *piece = (struct slice){rest->data, (size_t)size};
    *rest = (struct slice){rest->data + size, rest->size - (size_t)size};
    return true;
}

static bool take_sized(struct slice *rest, struct slice *piece)
{
    int64_t size;
    return body_long(rest, &size) && take(rest, size, piece);
}

static bool take_metadata(struct slice *rest, struct slice *schema, struct slice *codec)
{
    int64_t count, size;
    while (body_long(rest, &count) && count != INT64_MIN) {
        if (count == 0)
            return true;
        if (count < 0 && !body_long(rest, &size))
            return false;
        for (int64_t left = count < 0 ? -count : count; left > 0; left--) {
            struct slice key, value;
            if (!take_sized(rest, &key) || !take_sized(rest, &value))
                return false;
            if (slice_equal(key, SLICE("avro.schema")))
                *schema = value;
            if (slice_equal(key, SLICE("avro.codec")))
                *codec = value;
        }
    }
    return false;
}

/* Raw deflate, as Avro has it, with nothing behind it. */
static bool inflate_all(struct slice packed, struct arena *arena, struct slice *text)
{
    size_t room = packed.size * 4 + 4096;
    z_stream stream = {.next_in = (z_const Bytef *)(uintptr_t)packed.data, .avail_in = (uInt)packed.size};
    char *data = arena_bytes(arena, room);
    int code = inflateInit2(&stream, -MAX_WBITS);
    invariant(code == Z_OK);
    while (code == Z_OK && stream.total_out <= CONTAINER_BLOCK_MAX) {
        if (stream.total_out == room) {
            char *grown = arena_bytes(arena, room * 2);
            memcpy(grown, data, room);
            data = grown;
            room *= 2;
        }
        stream.next_out = (Bytef *)data + stream.total_out;
        stream.avail_out = (uInt)(room - stream.total_out);
        code = inflate(&stream, Z_NO_FLUSH);
    }
    *text = (struct slice){data, stream.total_out};
    bool whole = code == Z_STREAM_END && stream.avail_in == 0 && stream.total_out <= CONTAINER_BLOCK_MAX;
    inflateEnd(&stream);
    return whole;
}

enum reject_reason container_read(struct slice message, struct arena *arena, struct container_block *block)
{
    struct slice rest = message, piece, schema = SLICE(""), codec = SLICE("null");
    int64_t size;
    *block = (struct container_block){.count = 0};
    if (!container_begins(message) || !take(&rest, CONTAINER_MAGIC_BYTES, &piece) || !take_metadata(&rest, &schema, &codec) ||
        !take(&rest, SYNC_BYTES, &piece))
        return REJECT_AVRO_BLOCK;
    block->header = (struct slice){message.data, message.size - rest.size};
    block->schema = schema;
    if (!body_long(&rest, &block->count) || block->count < 0 || !body_long(&rest, &size) || size > CONTAINER_BLOCK_MAX ||
        !take(&rest, size, &block->records) || rest.size != SYNC_BYTES)
        return REJECT_AVRO_BLOCK;
    if (slice_equal(codec, SLICE("null")))
        return REJECT_NONE;
    bool opened = slice_equal(codec, SLICE("deflate")) && inflate_all(block->records, arena, &block->records);
    return opened ? REJECT_NONE : REJECT_AVRO_BLOCK;
}
