/* JSON text, member by member. */
#include "engine/base/json_writer.h"

#include "engine/base/invariant.h"

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

/* Length of the well-formed UTF-8 sequence at text, 0 when it is none. */
static size_t utf8_size(const unsigned char *text, size_t left)
{
    static const unsigned char least[5] = {0, 0, 0x80, 0xA0, 0x90};
    size_t size = text[0] < 0x80 ? 1 : text[0] >= 0xC2 && text[0] < 0xE0 ? 2 : (text[0] & 0xF0) == 0xE0 ? 3 : text[0] >= 0xF0 && text[0] < 0xF5 ? 4 : 0;
    if (size == 0 || size > left)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    if ((text[0] == 0xE0 || text[0] == 0xF0) && text[1] < least[size])
        return 0;
    if ((text[0] == 0xED && text[1] >= 0xA0) || (text[0] == 0xF4 && text[1] >= 0x90))
        return 0;
    return size;
}

static void put_string(struct json_writer *writer, struct slice text)
{
    put(writer, "\"", 1);
    for (size_t i = 0; i < text.size;) {
        unsigned char c = (unsigned char)text.data[i];
        size_t size = utf8_size((const unsigned char *)text.data + i, text.size - i);
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
