/* Files become messages: records of CSV under their header, or whole files. */
#include "engine/cli/feed_read.h"

#include "connectors/csv/csv.h"
#include "connectors/file/reader.h"
#include "engine/base/invariant.h"

#include <stdlib.h>

enum { LINES_AT_ONCE = 1024, RECORD_LINES_MAX = 100 };

/* --- CSV --- */

/* A message in the making: the header, then the record's lines. */
struct records {
    const struct feed_reading *reading;
    char *text;
    size_t header_size, size, room;
    bool header_known;
    uint32_t lines;     /* of the record */
    int64_t first_line;
};

static void append(struct records *records, struct slice text)
{
    if (records->size + text.size + 1 > records->room) {
        records->room = (records->size + text.size + 1) * 2;
        records->text = realloc(records->text, records->room);
        invariant(records->text);
    }
    if (text.size)
        memcpy(records->text + records->size, text.data, text.size);
    records->size += text.size;
    records->text[records->size++] = '\n';
}

static bool is_separator_line(struct slice line)
{
    return line.size >= 4 && memcmp(line.data, "sep=", 4) == 0;
}

/* What has been gathered is a whole record: hand it over. */
static bool give_record(struct records *records, struct error *err)
{
    bool ok = records->lines == 0 || records->reading->take(records->reading->context, (struct slice){records->text, records->size - 1},
                                                            records->first_line, err);
    records->size = records->header_size;
    records->lines = 0;
    return ok;
}

static bool take_line(struct records *records, const struct message *line, struct error *err)
{
    const struct feed_reading *reading = records->reading;
    if (!records->header_known) {
        append(records, line->body);
        records->header_size = records->size;
        records->header_known = !is_separator_line(line->body) &&
                                csv_record_ends(reading->format, (struct slice){records->text, records->size});
        return true;
    }
    if (records->lines++ == 0)
        records->first_line = line->position.offset;
    append(records, line->body);
    struct slice record = {records->text + records->header_size, records->size - records->header_size - 1};
    /* a quote that is never closed would swallow the file: the translator then goes on line by line */
    bool ends = csv_record_ends(reading->format, record) || records->lines == RECORD_LINES_MAX || record.size > reading->message_bytes_max;
    return !ends || give_record(records, err);
}

static bool read_records(const struct feed_reading *reading, struct file_reader *file, struct error *err)
{
    struct records records = {.reading = reading, .header_known = !csv_has_header(reading->format)};
    struct message *line = calloc(LINES_AT_ONCE, sizeof *line);
    struct arena arena;
    uint32_t count = 1;
    bool ok = true;
    invariant(line);
    arena_init(&arena);
    while (ok && count > 0) {
        uint64_t done, size;
        arena_reset(&arena);
        ok = file_reader_read(file, &arena, line, LINES_AT_ONCE, &count, err);
        for (uint32_t i = 0; ok && i < count; i++)
            ok = take_line(&records, &line[i], err);
        file_reader_progress(file, &done, &size);
        reading->progress(reading->context, done, size);
    }
    ok = ok && give_record(&records, err);
    arena_fini(&arena);
    free(records.text);
    free(line);
    return ok;
}

/* --- whole files --- */

static bool read_whole(const struct feed_reading *reading, struct file_reader *file, struct error *err)
{
    struct arena arena;
    struct slice text;
    arena_init(&arena);
    bool ok = file_reader_all(file, &arena, reading->message_bytes_max, &text, err) && reading->take(reading->context, text, 1, err);
    arena_fini(&arena);
    return ok;
}

bool feed_read(const struct feed_reading *reading, const char *path, struct error *err)
{
    struct file_reader *file = file_reader_open(path, reading->message_bytes_max, err);
    if (!file)
        return false;
    bool csv = strcmp(reading->format->name, "csv") == 0;
    bool ok = csv ? read_records(reading, file, err) : read_whole(reading, file, err);
    file_reader_close(file);
    return ok;
}
