/* Cuts rows into cells and makes a canonical event of each. */
#include "connectors/csv/csv.h"

#include "connectors/format/fill.h"
#include "engine/base/invariant.h"
#include "engine/base/utf8.h"

#include <stdlib.h>

/* The cells of one row. */
struct row {
    struct slice raw;
    struct slice cell[MAPPING_COLUMNS_MAX];
    uint32_t count; /* cells beyond the array are only counted */
};

/* One message at work. */
struct table {
    const struct mapping *mapping;
    struct arena *arena;
    struct slice rest;                /* rows not yet cut */
    int column[MAPPING_COLUMNS_MAX];      /* per cell: the mapping's column, or MAPPING_NO_COLUMN */
    struct slice unknown[MAPPING_COLUMNS_MAX]; /* per cell that has none: its name */
    uint32_t column_count;
    int cell[MAPPING_COLUMNS_MAX];        /* per column of the mapping: its cell */
};

struct csv_format {
    struct format seam;
    struct mapping *mapping;
    struct arena arena; /* of the message at work, as the next two */
    struct table table;
    struct row row;
};

/* --- cutting --- */

static struct slice trimmed(struct slice text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text.data++, text.size--;
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* Reads a quoted cell from behind its first quote; *at ends behind the last. */
static bool take_quoted(const struct mapping *mapping, struct slice text, size_t *at, struct arena *arena, struct slice *cell)
{
    char *made = arena_bytes(arena, text.size - *at + 1);
    size_t size = 0;
    for (; *at < text.size; (*at)++) {
        if (text.data[*at] == mapping->quote && (*at + 1 == text.size || text.data[*at + 1] != mapping->quote)) {
            (*at)++;
            *cell = (struct slice){made, size};
            return true;
        }
        *at += text.data[*at] == mapping->quote; /* doubled */
        made[size++] = text.data[*at];
    }
    return false;
}

static bool row_ends(struct slice text, size_t at)
{
    return at >= text.size || text.data[at] == '\n' || (text.data[at] == '\r' && (at + 1 == text.size || text.data[at + 1] == '\n'));
}

/* Up to the end of the physical line, for a row that cannot be cut. */
static void skip_line(struct slice *rest, size_t at, struct slice *raw)
{
    while (at < rest->size && rest->data[at] != '\n')
        at++;
    *raw = (struct slice){rest->data, at};
    size_t gone = at < rest->size ? at + 1 : at;
    *rest = (struct slice){rest->data + gone, rest->size - gone};
}

/* Cuts one row off; false when its quotes are broken (the line is skipped). */
static bool take_row(const struct mapping *mapping, struct slice *rest, struct arena *arena, struct row *row)
{
    struct slice text = *rest;
    size_t at = 0;
    row->count = 0;
    for (;;) {
        struct slice cell;
        size_t first = at;
        while (at < text.size && text.data[at] == ' ')
            at++;
        if (mapping->quote && at < text.size && text.data[at] == mapping->quote) {
            at++;
            bool closed = take_quoted(mapping, text, &at, arena, &cell);
            while (at < text.size && text.data[at] == ' ')
                at++;
            if (!closed || (!row_ends(text, at) && text.data[at] != mapping->delimiter)) {
                skip_line(rest, closed ? at : first, &row->raw);
                return false;
            }
        } else {
            while (!row_ends(text, at) && text.data[at] != mapping->delimiter)
                at++;
            cell = trimmed((struct slice){text.data + first, at - first});
        }
        if (row->count < MAPPING_COLUMNS_MAX)
            row->cell[row->count] = cell;
        row->count++;
        if (row_ends(text, at))
            break;
        at++; /* the delimiter */
    }
    skip_line(rest, at, &row->raw);
    return true;
}

static bool row_empty(const struct row *row)
{
    for (uint32_t i = 0; i < row->count && i < MAPPING_COLUMNS_MAX; i++)
        if (row->cell[i].size)
            return false;
    return true;
}

/* --- the header --- */

static struct slice column_name(struct arena *arena, struct slice name)
{
    return arena_format(arena, "column %.*s", (int)(name.size > 200 ? 200 : name.size), name.data);
}

/* Lays the mapping's columns over the cells; refuses the message where that cannot be done. */
static bool lay_columns(struct table *table, const struct row *header, struct format_output *out, struct slice bytes)
{
    const struct mapping *mapping = table->mapping;
    if (header->count > MAPPING_COLUMNS_MAX) {
        format_refuse(out, REJECT_COLUMNS_DIFFER, SLICE("the header: more than 512 columns"), bytes);
        return false;
    }
    for (uint32_t c = 0; c < mapping->column_count; c++)
        table->cell[c] = -1;
    for (uint32_t i = 0; i < header->count; i++) {
        int column = mapping_column_index(mapping, header->cell[i]);
        table->column[i] = column;
        table->unknown[i] = header->cell[i];
        if (column == MAPPING_NO_COLUMN)
            continue;
        if (table->cell[column] >= 0 && !mapping->column[column].ignored) {
            format_refuse(out, REJECT_COLUMN_TWICE, column_name(table->arena, header->cell[i]), bytes);
            return false;
        }
        table->cell[column] = (int)i;
    }
    table->column_count = header->count;
    for (uint32_t c = 0; c < mapping->column_count; c++)
        if (table->cell[c] < 0 && !mapping->column[c].ignored) {
            format_refuse(out, REJECT_MISSING_COLUMN, column_name(table->arena, mapping->column[c].name), bytes);
            return false;
        }
    return true;
}

static bool take_header(struct table *table, struct row *row, struct format_output *out, struct slice bytes)
{
    const struct mapping *mapping = table->mapping;
    if (!mapping->header) {
        row->count = mapping->order_count;
        for (uint32_t i = 0; i < row->count; i++)
            row->cell[i] = mapping->column[mapping->order[i]].name;
        return lay_columns(table, row, out, bytes);
    }
    bool sound = take_row(mapping, &table->rest, table->arena, row);
    if (sound && row->raw.size >= 5 && memcmp(row->raw.data, "sep=", 4) == 0) /* a spreadsheet's own line */
        sound = take_row(mapping, &table->rest, table->arena, row);
    if (!sound) {
        format_refuse(out, REJECT_BAD_CSV, SLICE("the header"), bytes);
        return false;
    }
    return lay_columns(table, row, out, bytes);
}

/* --- rows --- */

/* The row's cells in the order of the mapping's columns. */
static const struct mapping_cell *lay_cells(const struct table *table, const struct row *row)
{
    const struct mapping *mapping = table->mapping;
    struct mapping_cell *cell = ARENA_ARRAY(table->arena, struct mapping_cell, mapping->column_count + 1);
    for (uint32_t c = 0; c < mapping->column_count; c++)
        if (table->cell[c] >= 0)
            cell[c].text = row->cell[table->cell[c]];
    return cell;
}

static void count_unknown(const struct table *table, const struct row *row, struct format_output *out)
{
    for (uint32_t i = 0; i < row->count; i++)
        if (table->column[i] == MAPPING_NO_COLUMN && row->cell[i].size)
            format_unknown(out, table->unknown[i]);
}

static void translate_row(const struct table *table, const struct row *row, struct format_output *out)
{
    struct draft draft = {.raw = row->raw};
    enum event_field wrong;
    if (row->count != table->column_count) {
        format_refuse(out, REJECT_COLUMNS_DIFFER, arena_format(table->arena, "%u cells, %u columns", row->count, table->column_count), row->raw);
        return;
    }
    enum reject_reason reason = mapping_fill(table->mapping, lay_cells(table, row), table->arena, &draft, &wrong);
    count_unknown(table, row, out);
    if (reason != REJECT_NONE)
        format_refuse(out, reason, table->mapping->own[wrong], row->raw);
    else
        format_add(out, &draft);
}

/* --- one message --- */

/* ISO 8859-1 is Unicode's first 256 letters. */
static struct slice from_latin1(struct arena *arena, struct slice text)
{
    char *made = arena_bytes(arena, text.size * 2 + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++)
        size += utf8_put(made + size, (unsigned char)text.data[i]);
    return (struct slice){made, size};
}

static bool open_table(struct csv_format *csv, struct slice bytes, struct format_output *out)
{
    struct table *table = &csv->table;
    arena_reset(&csv->arena);
    table->mapping = csv->mapping;
    table->arena = &csv->arena;
    table->rest = bytes;
    if (bytes.size >= 3 && memcmp(bytes.data, "\xEF\xBB\xBF", 3) == 0)
        table->rest = (struct slice){bytes.data + 3, bytes.size - 3};
    else if (csv->mapping->latin1)
        table->rest = from_latin1(&csv->arena, bytes);
    return take_header(table, &csv->row, out, bytes);
}

static bool csv_translate(void *self, struct slice bytes, struct format_output *out, struct error *err)
{
    struct csv_format *csv = self;
    struct table *table = &csv->table;
    (void)err;
    if (!open_table(csv, bytes, out))
        return true;
    while (table->rest.size && !out->overflowed) {
        if (!take_row(csv->mapping, &table->rest, &csv->arena, &csv->row))
            format_refuse(out, REJECT_BAD_CSV, SLICE("the row"), csv->row.raw);
        else if (!row_empty(&csv->row))
            translate_row(table, &csv->row, out);
    }
    return true;
}

/* --- for people and readers --- */

bool csv_has_header(const struct format *format)
{
    const struct csv_format *csv = format->self;
    return csv->mapping->header;
}

bool csv_record_ends(const struct format *format, struct slice text)
{
    const struct mapping *mapping = ((const struct csv_format *)format->self)->mapping;
    bool begins = true, quoted = false; /* a cell */
    for (size_t i = 0; i < text.size; i++) {
        if (quoted && text.data[i] == mapping->quote)
            quoted = i + 1 < text.size && text.data[i + 1] == mapping->quote && ++i; /* doubled */
        else if (!quoted && begins && mapping->quote && text.data[i] == mapping->quote)
            quoted = true;
        begins = !quoted && (text.data[i] == mapping->delimiter || text.data[i] == '\n' || (begins && text.data[i] == ' '));
    }
    return !quoted;
}

static bool csv_show(void *self, struct slice bytes, uint32_t wanted, struct arena *arena, struct format_shown shown[EF_COUNT], uint32_t *count)
{
    struct csv_format *csv = self;
    struct table *table = &csv->table;
    struct row *row = &csv->row;
    struct format_output nowhere;
    format_output_init(&nowhere);
    nowhere.arena = arena;
    nowhere.most = 1;
    *count = 0;
    bool found = open_table(csv, bytes, &nowhere);
    for (uint32_t at = 0; found && at <= wanted;) {
        found = table->rest.size > 0;
        bool sound = found && take_row(csv->mapping, &table->rest, &csv->arena, row);
        at += found && !(sound && row_empty(row));
        found = found && (at <= wanted || (sound && row->count == table->column_count));
    }
    if (found)
        mapping_show(csv->mapping, lay_cells(table, row), arena, shown, count);
    format_output_fini(&nowhere);
    return found;
}

/* --- beginning and end --- */

static void csv_close(void *self)
{
    struct csv_format *csv = self;
    mapping_free(csv->mapping);
    arena_fini(&csv->arena);
    free(csv);
}

struct format *csv_format_open(struct mapping *mapping)
{
    struct csv_format *csv = calloc(1, sizeof *csv);
    invariant(csv);
    csv->mapping = mapping;
    arena_init(&csv->arena);
    csv->seam = (struct format){.self = csv, .name = "csv", .translate = csv_translate, .show = csv_show, .close = csv_close};
    return &csv->seam;
}
