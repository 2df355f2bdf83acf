/* JSON text, member by member. */
#include "engine/base/json_writer.h"

#include "engine/base/invariant.h"
#include "engine/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

void json_writer_init(struct json_writer *writer)
{
    *writer = (struct json_writer){0};
}

void json_writer_fini(struct json_writer *writer)
{
    free(writer->text);
    json_writer_init(writer);
}

void json_writer_reset(struct json_writer *writer)
{
    writer->size = 0;
    writer->comma = false;
}

static void put(struct json_writer *writer, const char *data, size_t size)
{
    if (writer->size + size > writer->room) {
        writer->room = (writer->size + size) * 2 + 256;
        writer->text = realloc(writer->text, writer->room);
        invariant(writer->text != NULL);
    }
    memcpy(writer->text + writer->size, data, size);
    writer->size += size;
}

static void put_string(struct json_writer *writer, struct slice text)
{
    put(writer, "\"", 1);
    for (size_t i = 0; i < text.size;) {
        unsigned char c = (unsigned char)text.data[i];
        size_t size = utf8_size(text.data + i, text.size - i);
        char escape[8];
        if (size == 0) {
            put(writer, "\xEF\xBF\xBD", 3);
            size = 1;
        } else if (c == '"' || c == '\\') {
            put(writer, (char[]){'\\', (char)c}, 2);
        } else if (c < 0x20 || c == 0x7F) {
            put(writer, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
        } else {
            put(writer, text.data + i, size);
        }
        i += size;
    }
    put(writer, "\"", 1);
}

static void begin(struct json_writer *writer, const char *name)
{
    if (writer->comma)
        put(writer, ",", 1);
    if (name) {
        put_string(writer, slice_of(name));
        put(writer, ":", 1);
    }
    writer->comma = true;
}

void json_open_object(struct json_writer *writer, const char *name)
{
    begin(writer, name);
    put(writer, "{", 1);
    writer->comma = false;
}

void json_close_object(struct json_writer *writer)
{
    put(writer, "}", 1);
    writer->comma = true;
}

void json_open_array(struct json_writer *writer, const char *name)
{
    begin(writer, name);
    put(writer, "[", 1);
    writer->comma = false;
}

void json_close_array(struct json_writer *writer)
{
    put(writer, "]", 1);
    writer->comma = true;
}

void json_text(struct json_writer *writer, const char *name, struct slice text)
{
    begin(writer, name);
    put_string(writer, text);
}

void json_number(struct json_writer *writer, const char *name, int64_t number)
{
    char digits[32];
    begin(writer, name);
    put(writer, digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)number));
}

void json_real(struct json_writer *writer, const char *name, double number)
{
    char text[48];
    int size = snprintf(text, sizeof text, "%.6f", number);
    begin(writer, name);
    put(writer, text, (size_t)size);
}

void json_bool(struct json_writer *writer, const char *name, bool yes)
{
    begin(writer, name);
    put(writer, yes ? "true" : "false", yes ? 4 : 5);
}

void json_null(struct json_writer *writer, const char *name)
{
    begin(writer, name);
    put(writer, "null", 4);
}

void json_hex(struct json_writer *writer, const char *name, const unsigned char *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    begin(writer, name);
    put(writer, "\"", 1);
    for (size_t i = 0; i < size; i++)
        put(writer, (char[]){digits[bytes[i] >> 4], digits[bytes[i] & 15]}, 2);
    put(writer, "\"", 1);
}

void json_line(struct json_writer *writer)
{
    put(writer, "\n", 1);
    writer->comma = false;
}
