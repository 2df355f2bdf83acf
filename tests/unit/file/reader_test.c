/* Recorded streams: the lines of a file, as it is and packed, against the lines that were written into it. */
#include "connectors/file/reader.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { LINE_MOST = 512, AT_ONCE = 1000, MIB = 1024 * 1024 };

static const char *const ENDS[] = {"", ".gz", ".zst"};

/* --- writing --- */

struct made {
    char path[64];
    char *text;
    size_t size;
};

static void bytes_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    cr_assert(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static size_t gzip_pack(const char *text, size_t size, unsigned char *into, size_t room)
{
    z_stream z = {0};
    cr_assert(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (uInt)size;
    z.next_out = into;
    z.avail_out = (uInt)room;
    cr_assert(deflate(&z, Z_FINISH) == Z_STREAM_END && deflateEnd(&z) == Z_OK);
    return room - z.avail_out;
}

static size_t plain_copy(const char *text, size_t size, unsigned char *into)
{
    memcpy(into, text, size);
    return size;
}

/* Packs the text and writes it, in so many members or frames, without `short_by` bytes at its end. */
static void file_write(struct made *made, const char *end, size_t parts, size_t short_by)
{
    size_t room = made->size * 2 + 4096 * parts, packed = 0;
    unsigned char *into = malloc(room);
    cr_assert(into != NULL);
    for (size_t i = 0; i < parts; i++) {
        size_t from = made->size / parts * i, to = i + 1 == parts ? made->size : made->size / parts * (i + 1);
        if (strcmp(end, ".gz") == 0)
            packed += gzip_pack(made->text + from, to - from, into + packed, room - packed);
        else if (strcmp(end, ".zst") == 0)
            packed += ZSTD_compress(into + packed, room - packed, made->text + from, to - from, 3); /* without a checksum at its end */
        else
            packed += plain_copy(made->text + from, to - from, into + packed);
    }
    (void)snprintf(made->path, sizeof made->path, "/tmp/reader_test.%d%s", (int)getpid(), end);
    bytes_write(made->path, into, packed - short_by);
    free(into);
}

/* --- reading --- */

struct read_back {
    char *text; /* the lines, each with a line feed behind it */
    size_t size;
    int64_t last; /* number of the last line */
    bool ok;
    struct error err; /* where it is not */
};

/* All lines, so many at once. */
static struct read_back file_read(const char *path, size_t line_max, uint32_t at_once)
{
    struct read_back back = {.ok = true};
    struct arena arena;
    struct message message[AT_ONCE];
    uint32_t count = 1;
    arena_init(&arena);
    struct file_reader *reader = file_reader_open(path, line_max, &back.err);
    cr_assert(reader != NULL, "%s", back.err.text);
    back.text = malloc(4 * MIB);
    cr_assert(back.text != NULL);
    while (back.ok && count) {
        arena_reset(&arena);
        back.ok = file_reader_read(reader, &arena, message, at_once, &count, &back.err);
        for (uint32_t i = 0; back.ok && i < count; i++) {
            memcpy(back.text + back.size, message[i].body.data, message[i].body.size);
            back.size += message[i].body.size;
            back.text[back.size++] = '\n';
            back.last = message[i].position.offset;
        }
    }
    file_reader_close(reader);
    arena_fini(&arena);
    (void)unlink(path);
    return back;
}

static void expect_back(const char *end, const struct read_back *back, const char *text, size_t size)
{
    cr_expect(back->ok, "%s: %s", end, back->err.text);
    cr_expect(back->size == size && memcmp(back->text, text, size) == 0, "%s: %zu bytes came back of %zu", end, back->size, size);
    free(back->text);
}

/* Lines of any length up to 300 bytes, none empty; `size` bytes of them, the last with its line feed. */
static void lines_make(struct made *made, size_t size, unsigned seed)
{
    made->text = malloc(size);
    made->size = size;
    cr_assert(made->text != NULL);
    size_t left = 0;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1103515245u + 12345u;
        if (!left)
            left = 2 + (seed >> 16) % 300;
        made->text[i] = --left ? (char)('a' + (seed >> 20) % 8) : '\n';
    }
    made->text[size - 1] = '\n';
    if (made->text[size - 2] == '\n')
        made->text[size - 2] = 'a';
}

/* --- tests --- */

/* Around the sizes of the reader's buffers. */
Test(reader, every_size_comes_back_packed_and_not)
{
    static const size_t SIZES[] = {2, 3, 1000, 256 * 1024, 256 * 1024 + 1, MIB - 1, MIB, MIB + 1, MIB + 70000, MIB + 128 * 1024, MIB + 128 * 1024 + 1, 2 * MIB + 99};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
        for (size_t e = 0; e < 3; e++)
            for (size_t parts = 1; parts <= 3; parts += 2) {
                struct made made;
                lines_make(&made, SIZES[i], (unsigned)(i * 7 + parts));
                file_write(&made, ENDS[e], parts, 0);
                struct read_back back = file_read(made.path, LINE_MOST, i % 2 ? AT_ONCE : 7);
                expect_back(ENDS[e], &back, made.text, made.size);
                free(made.text);
            }
}

Test(reader, lines_that_are_no_line_of_their_own)
{
    static const struct {
        const char *text, *back;
        int64_t last;
    } cases[] = {
        {"a\nb", "a\nb\n", 2},               /* the last needs no line feed */
        {"a\r\nb\r\n", "a\nb\n", 2},
        {"\n\na\n\r\n\nb\n\n", "a\nb\n", 6}, /* empty ones are counted, not given */
        {"", "", 0},
        {"\n", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t e = 0; e < 3; e++) {
            struct made made = {.text = (char *)(uintptr_t)cases[i].text, .size = strlen(cases[i].text)};
            file_write(&made, ENDS[e], 1, 0);
            struct read_back back = file_read(made.path, LINE_MOST, 3);
            cr_expect_eq(back.last, cases[i].last, "case %zu%s: line %lld is the last", i, ENDS[e], (long long)back.last);
            expect_back(ENDS[e], &back, cases[i].back, strlen(cases[i].back));
        }
}

Test(reader, of_a_line_that_is_too_long_one_byte_too_many_is_given)
{
    enum { LONG = 700 * 1024 };
    struct made made = {.text = malloc(LONG + 4), .size = LONG + 4};
    cr_assert(made.text != NULL);
    memset(made.text, 'x', LONG);
    memcpy(made.text + LONG, "\nyz\n", 4);
    for (size_t e = 0; e < 3; e++) {
        char want[16] = "xxxxxxxxxxx\nyz\n"; /* of ten bytes at most */
        file_write(&made, ENDS[e], 1, 0);
        struct read_back back = file_read(made.path, 10, 5);
        expect_back(ENDS[e], &back, want, strlen(want));
    }
    free(made.text);
}

Test(reader, a_packed_file_that_was_cut_short_is_said_to_be)
{
    for (size_t e = 1; e < 3; e++)
        for (size_t short_by = 1; short_by < 40; short_by += 6) {
            struct made made;
            lines_make(&made, 300000, 5);
            file_write(&made, ENDS[e], 1, short_by);
            struct read_back back = file_read(made.path, LINE_MOST, AT_ONCE);
            cr_expect(!back.ok && strstr(back.err.text, "ends in the middle: it was cut short"), "%s short by %zu: `%s`", ENDS[e], short_by, back.err.text);
            free(back.text);
            free(made.text);
        }
}

Test(reader, what_is_not_packed_is_refused_where_its_name_says_so)
{
    for (size_t e = 1; e < 3; e++) {
        struct made made = {.text = (char *)(uintptr_t) "{\"id\": 1}\n", .size = 10};
        file_write(&made, "", 1, 0);
        char path[80];
        (void)snprintf(path, sizeof path, "%s%s", made.path, ENDS[e]);
        cr_assert(rename(made.path, path) == 0);
        struct read_back back = file_read(path, LINE_MOST, 2);
        cr_expect(!back.ok && strstr(back.err.text, "is not sound"), "%s: `%s`", ENDS[e], back.err.text);
        free(back.text);
    }
}
