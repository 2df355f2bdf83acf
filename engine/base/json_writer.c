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

/* Room for so much more. */
static char *room_for(struct json_writer *writer, size_t size)
{
    if (writer->size + size > writer->room) {
        writer->room = (writer->size + size) * 2 + 256;
        writer->text = realloc(writer->text, writer->room);
        invariant(writer->text != NULL);
    }
    return writer->text + writer->size;
}

static void put(struct json_writer *writer, const char *data, size_t size)
{
    memcpy(room_for(writer, size), data, size);
    writer->size += size;
}

static void put_char(struct json_writer *writer, char c)
{
    *room_for(writer, 1) = c;
    writer->size++;
}

/* Puts the text's first character, which does not stand for itself or is not ASCII; how long it is. */
static size_t put_special(struct json_writer *writer, struct slice text)
{
    unsigned char c = (unsigned char)text.data[0];
    size_t size = utf8_size(text.data, text.size);
    char escape[8];
    if (size == 0)
        put(writer, "\xEF\xBF\xBD", 3);
    else if (c == '"' || c == '\\')
        put(writer, (char[]){'\\', (char)c}, 2);
    else if (c < 0x20 || c == 0x7F)
        put(writer, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
    else
        put(writer, text.data, size);
    return size ? size : 1;
}

static bool stands_for_itself(char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

static void put_string(struct json_writer *writer, struct slice text)
{
    put_char(writer, '"');
    for (size_t at = 0; at < text.size;) {
        size_t from = at;
        char *to = room_for(writer, text.size - at);
        while (at < text.size && stands_for_itself(text.data[at]))
            *to++ = text.data[at++];
        writer->size += at - from;
        if (at < text.size)
            at += put_special(writer, (struct slice){text.data + at, text.size - at});
    }
    put_char(writer, '"');
}

static void begin(struct json_writer *writer, const char *name)
{
    if (writer->comma)
        put_char(writer, ',');
    if (name) {
        put_string(writer, slice_of(name));
        put_char(writer, ':');
    }
    writer->comma = true;
}

void json_open_object(struct json_writer *writer, const char *name)
{
    begin(writer, name);
    put_char(writer, '{');
    writer->comma = false;
}

void json_close_object(struct json_writer *writer)
{
    put_char(writer, '}');
    writer->comma = true;
}

void json_open_array(struct json_writer *writer, const char *name)
{
    begin(writer, name);
    put_char(writer, '[');
    writer->comma = false;
}

void json_close_array(struct json_writer *writer)
{
    put_char(writer, ']');
    writer->comma = true;
}

void json_text(struct json_writer *writer, const char *name, struct slice text)
{
    begin(writer, name);
    put_string(writer, text);
}

void json_number(struct json_writer *writer, const char *name, int64_t number)
{
    char digits[20], *at = digits + sizeof digits; /* of 2^63 there are 19 */
    uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
    begin(writer, name);
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        *--at = '-';
    put(writer, at, (size_t)(digits + sizeof digits - at));
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
    put_char(writer, '"');
    for (size_t i = 0; i < size; i++)
        put(writer, (char[]){digits[bytes[i] >> 4], digits[bytes[i] & 15]}, 2);
    put_char(writer, '"');
}

void json_line(struct json_writer *writer)
{
    put_char(writer, '\n');
    writer->comma = false;
}
