/* Files become messages: records of CSV or blocks of Avro under their header, or whole files. */
#include "engine/cli/feed_read.h"

#include "connectors/avro/container.h"
#include "connectors/csv/csv.h"
#include "connectors/file/reader.h"
#include "engine/base/invariant.h"

#include <stdlib.h>

enum { LINES_AT_ONCE = 1024, RECORD_LINES_MAX = 100, BLOCK_ITEMS_MAX = 1 << 16 };

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

/* --- files of Avro's own --- */

bool feed_is_file_piece(const struct format *format, struct slice bytes, size_t *bytes_max, uint32_t *items_max)
{
    if (strcmp(format->name, "avro") != 0 || !container_begins(bytes))
        return false;
    *bytes_max = CONTAINER_BLOCK_MAX + CONTAINER_HEADER_MAX;
    *items_max = BLOCK_ITEMS_MAX;
    return true;
}

/* A file whose first bytes were read already. */
struct begun {
    struct file_reader *file;
    struct slice first;
};

static bool begun_read(void *context, char *into, size_t want, size_t *got, struct error *err)
{
    struct begun *begun = context;
    size_t size = begun->first.size < want ? begun->first.size : want;
    if (size)
        memcpy(into, begun->first.data, size);
    begun->first = (struct slice){begun->first.data + size, begun->first.size - size};
    if (!file_reader_bytes(begun->file, into + size, want - size, got, err))
        return false;
    *got += size;
    return true;
}

static bool read_blocks(const struct feed_reading *reading, struct begun *begun, const char *path, struct error *err)
{
    struct container *container = container_open(&(struct container_input){.context = begun, .read = begun_read}, err);
    bool ended = false, ok = container != NULL || error_context(err, "%s", path);
    for (int64_t block = 1; ok && !ended; block++) {
        struct slice message;
        uint64_t done, size;
        ok = container_next(container, &message, &ended, err) || error_context(err, "%s, block %lld", path, (long long)block);
        ok = ok && (ended || reading->take(reading->context, message, block, err));
        file_reader_progress(begun->file, &done, &size);
        reading->progress(reading->context, done, size);
    }
    if (container)
        container_close(container);
    return ok;
}

/* --- whole files --- */

static bool read_whole(const struct feed_reading *reading, struct begun *begun, struct error *err)
{
    size_t most = reading->message_bytes_max + 1, size;
    char *text = malloc(most);
    invariant(text);
    bool ok = begun_read(begun, text, most, &size, err) && reading->take(reading->context, (struct slice){text, size}, 1, err);
    free(text);
    return ok;
}

static bool read_blocks_or_whole(const struct feed_reading *reading, struct file_reader *file, const char *path, struct error *err)
{
    char first[CONTAINER_MAGIC_BYTES];
    size_t size;
    if (!file_reader_bytes(file, first, sizeof first, &size, err))
        return false;
    struct begun begun = {.file = file, .first = {first, size}};
    bool blocks = strcmp(reading->format->name, "avro") == 0 && container_begins(begun.first);
    return blocks ? read_blocks(reading, &begun, path, err) : read_whole(reading, &begun, err);
}

bool feed_read(const struct feed_reading *reading, const char *path, struct error *err)
{
    struct file_reader *file = file_reader_open(path, reading->message_bytes_max, err);
    if (!file)
        return false;
    bool csv = strcmp(reading->format->name, "csv") == 0;
    bool ok = csv ? read_records(reading, file, err) : read_blocks_or_whole(reading, file, path, err);
    file_reader_close(file);
    return ok;
}
