/* Binary COPY, byte by byte. */
#include "connectors/postgres/copy.h"

#include "engine/base/invariant.h"

#include <endian.h>
#include <stdlib.h>

static const int64_t EPOCH_2000_MS = 946684800000;
enum { EPOCH_2000_DAY = 10957 };

static void put(struct copy *copy, const void *data, size_t size)
{
    if (copy->size + size > copy->room) {
        copy->room = (copy->size + size) * 2 + 4096;
        copy->data = realloc(copy->data, copy->room);
        invariant(copy->data != NULL);
    }
    if (size)
        memcpy(copy->data + copy->size, data, size);
    copy->size += size;
}

static void put_size(struct copy *copy, size_t size)
{
    uint32_t big = htobe32((uint32_t)size);
    put(copy, &big, sizeof big);
}

void copy_fini(struct copy *copy)
{
    free(copy->data);
    *copy = (struct copy){0};
}

void copy_begin(struct copy *copy)
{
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* signature, flags, no extension */
    copy->size = 0;
    copy->rows = 0;
    put(copy, head, 19);
}

static void put_int2(struct copy *copy, int16_t number)
{
    uint16_t big = htobe16((uint16_t)number);
    put(copy, &big, sizeof big);
}

void copy_row(struct copy *copy, int columns)
{
    copy->rows++;
    put_int2(copy, (int16_t)columns);
}

void copy_int2(struct copy *copy, int16_t number)
{
    put_size(copy, sizeof number);
    put_int2(copy, number);
}

void copy_int4(struct copy *copy, int32_t number)
{
    uint32_t big = htobe32((uint32_t)number);
    put_size(copy, sizeof big);
    put(copy, &big, sizeof big);
}

void copy_int8(struct copy *copy, int64_t number)
{
    uint64_t big = htobe64((uint64_t)number);
    put_size(copy, sizeof big);
    put(copy, &big, sizeof big);
}

void copy_bool(struct copy *copy, bool yes)
{
    put_size(copy, 1);
    put(copy, yes ? "\1" : "\0", 1);
}

void copy_bytes(struct copy *copy, struct slice bytes)
{
    put_size(copy, bytes.size);
    put(copy, bytes.data, bytes.size);
}

void copy_json(struct copy *copy, struct slice text)
{
    put_size(copy, text.size + 1);
    put(copy, "\1", 1); /* version of jsonb's wire format */
    put(copy, text.data, text.size);
}

void copy_time(struct copy *copy, int64_t utc_ms)
{
    copy_int8(copy, (utc_ms - EPOCH_2000_MS) * 1000);
}

void copy_date(struct copy *copy, int32_t day)
{
    copy_int4(copy, day - EPOCH_2000_DAY);
}

void copy_null(struct copy *copy)
{
    put_size(copy, (size_t)UINT32_MAX); /* a size of -1 */
}

struct slice copy_end(struct copy *copy)
{
    put_int2(copy, -1);
    return (struct slice){copy->data, copy->size};
}
