/* Binary arrays, element by element. */
#include "connectors/postgres/columns.h"

#include "engine/base/invariant.h"
#include "engine/model/event.h"

#include <endian.h>
#include <stdlib.h>

static const int64_t EPOCH_2000_MS = 946684800000;
enum { EPOCH_2000_DAY = 10957, HEAD_BYTES = 20 };

/* oids of pg_type.dat: they are part of the protocol and never change */
enum { TYPE_BOOL = 16, TYPE_BYTEA = 17, TYPE_INT8 = 20, TYPE_INT4 = 23, TYPE_TEXT = 25, TYPE_DATE = 1082, TYPE_TIMESTAMPTZ = 1184, TYPE_JSONB = 3802 };

static void put(struct columns *columns, struct column *column, const void *data, size_t size)
{
    if (column->size + size > column->room) {
        column->room = (column->size + size) * 2 + 256;
        column->data = realloc(column->data, column->room);
        invariant(column->data != NULL);
    }
    if (size)
        memcpy(column->data + column->size, data, size);
    column->size += size;
    columns->bytes += size;
}

static void put_size(struct columns *columns, struct column *column, size_t size)
{
    uint32_t big = htobe32((uint32_t)size);
    put(columns, column, &big, sizeof big);
}

/* The column whose turn it is. */
static struct column *next(struct columns *columns, uint32_t type)
{
    invariant(columns->at < columns->width);
    struct column *column = &columns->column[columns->at++];
    invariant(column->type == 0 || column->type == type);
    column->type = type;
    return column;
}

static void put_element(struct columns *columns, uint32_t type, const void *data, size_t size)
{
    struct column *column = next(columns, type);
    put_size(columns, column, size);
    put(columns, column, data, size);
}

void columns_fini(struct columns *columns)
{
    for (int i = 0; i < COLUMNS_MAX; i++)
        free(columns->column[i].data);
    *columns = (struct columns){0};
}

void columns_begin(struct columns *columns, int width)
{
    static const char head[HEAD_BYTES];
    invariant(width <= COLUMNS_MAX);
    columns->width = columns->at = width;
    columns->rows = 0;
    columns->bytes = 0;
    for (int i = 0; i < width; i++) {
        struct column *column = &columns->column[i];
        column->size = 0;
        column->type = 0;
        column->has_null = false;
        put(columns, column, head, sizeof head);
    }
}

void columns_row(struct columns *columns)
{
    invariant(columns->at == columns->width);
    columns->at = 0;
    columns->rows++;
}

void columns_int4(struct columns *columns, int32_t number)
{
    uint32_t big = htobe32((uint32_t)number);
    put_element(columns, TYPE_INT4, &big, sizeof big);
}

static void put_int8(struct columns *columns, uint32_t type, int64_t number)
{
    uint64_t big = htobe64((uint64_t)number);
    put_element(columns, type, &big, sizeof big);
}

void columns_int8(struct columns *columns, int64_t number)
{
    put_int8(columns, TYPE_INT8, number);
}

void columns_bool(struct columns *columns, bool yes)
{
    put_element(columns, TYPE_BOOL, yes ? "\1" : "\0", 1);
}

void columns_text(struct columns *columns, struct slice text)
{
    put_element(columns, TYPE_TEXT, text.data, text.size);
}

void columns_bytes(struct columns *columns, struct slice bytes)
{
    put_element(columns, TYPE_BYTEA, bytes.data, bytes.size);
}

void columns_json(struct columns *columns, struct slice text)
{
    struct column *column = next(columns, TYPE_JSONB);
    put_size(columns, column, text.size + 1);
    put(columns, column, "\1", 1); /* version of jsonb's wire format */
    put(columns, column, text.data, text.size);
}

void columns_time(struct columns *columns, int64_t utc_ms)
{
    if (utc_ms != MISSING_I64) {
        put_int8(columns, TYPE_TIMESTAMPTZ, (utc_ms - EPOCH_2000_MS) * 1000);
        return;
    }
    struct column *column = next(columns, TYPE_TIMESTAMPTZ);
    put_size(columns, column, (size_t)UINT32_MAX); /* a size of -1 */
    column->has_null = true;
}

void columns_date(struct columns *columns, int32_t day)
{
    uint32_t big = htobe32((uint32_t)(day - EPOCH_2000_DAY));
    put_element(columns, TYPE_DATE, &big, sizeof big);
}

/* One dimension, counted from 1. */
void columns_end(struct columns *columns)
{
    invariant(columns->at == columns->width && columns->rows > 0);
    for (int i = 0; i < columns->width; i++) {
        struct column *column = &columns->column[i];
        const uint32_t head[] = {htobe32(1), htobe32(column->has_null), htobe32(column->type), htobe32(columns->rows), htobe32(1)};
        memcpy(column->data, head, sizeof head);
        columns->value[i] = column->data;
        columns->length[i] = (int)column->size;
        columns->format[i] = 1;
    }
}
