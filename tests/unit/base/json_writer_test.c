/* JSON text: what is escaped, and numbers at their ends. */
#include "engine/base/json_writer.h"

#include <criterion/criterion.h>

static void expect(struct json_writer *writer, const char *want)
{
    struct slice have = {writer->text, writer->size};
    cr_expect(slice_equal(have, slice_of(want)), "%.*s, not %s", (int)have.size, have.data, want);
    json_writer_reset(writer);
}

static void expect_text(struct json_writer *writer, struct slice text, const char *want)
{
    json_text(writer, NULL, text);
    expect(writer, want);
}

Test(json_writer, escapes_what_cannot_stand_for_itself)
{
    struct json_writer writer;
    json_writer_init(&writer);
    expect_text(&writer, SLICE(""), "\"\"");
    expect_text(&writer, SLICE("plain ~text!"), "\"plain ~text!\"");
    expect_text(&writer, SLICE("\"a\\b\""), "\"\\\"a\\\\b\\\"\"");
    expect_text(&writer, SLICE("a\nb\x01\x7f"), "\"a\\u000ab\\u0001\\u007f\"");
    expect_text(&writer, SLICE("Zoë 東京 \xF0\x9F\x92\xB0"), "\"Zoë 東京 \xF0\x9F\x92\xB0\"");
    expect_text(&writer, SLICE("a\xFFz\xC3"), "\"a\xEF\xBF\xBDz\xEF\xBF\xBD\"");
    for (int c = 0; c < 256; c++) { /* one byte among others comes out as one character, or as an escape */
        char body[3] = {'a', (char)c, 'z'};
        json_text(&writer, NULL, (struct slice){body, sizeof body});
        size_t size = c < 0x20 || c == 0x7F ? 10 : c == '"' || c == '\\' ? 6 : c < 0x80 ? 5 : 7;
        cr_expect_eq(writer.size, size, "byte %d: %.*s", c, (int)writer.size, writer.text);
        json_writer_reset(&writer);
    }
    json_writer_fini(&writer);
}

Test(json_writer, writes_numbers_to_their_ends)
{
    struct json_writer writer;
    json_writer_init(&writer);
    json_open_array(&writer, NULL);
    json_number(&writer, NULL, 0);
    json_number(&writer, NULL, -7);
    json_number(&writer, NULL, 1234567890);
    json_number(&writer, NULL, INT64_MAX);
    json_number(&writer, NULL, INT64_MIN);
    json_close_array(&writer);
    expect(&writer, "[0,-7,1234567890,9223372036854775807,-9223372036854775808]");
    json_writer_fini(&writer);
}

Test(json_writer, puts_commas_and_grows)
{
    struct json_writer writer;
    json_writer_init(&writer);
    json_open_object(&writer, NULL);
    json_text(&writer, "a", SLICE("b"));
    json_open_array(&writer, "c");
    json_null(&writer, NULL);
    json_bool(&writer, NULL, true);
    json_close_array(&writer);
    json_hex(&writer, "d", (const unsigned char *)"\x0F\xA0", 2);
    json_close_object(&writer);
    json_line(&writer);
    expect(&writer, "{\"a\":\"b\",\"c\":[null,true],\"d\":\"0fa0\"}\n");
    for (int i = 0; i < 1000; i++)
        json_text(&writer, NULL, SLICE("0123456789"));
    cr_expect_eq(writer.size, 1000u * 12 + 999);
    json_writer_fini(&writer);
}
