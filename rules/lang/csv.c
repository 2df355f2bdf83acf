/* Reads CSV files that stand beside rules: columns by commas, quotation marks, comments. */
#include "rules/lang/csv.h"

#include "engine/base/invariant.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool csv_refuse(struct csv_problem problem, uint32_t line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(problem.message, 256, format, arguments);
    va_end(arguments);
    *problem.line = line;
    return false;
}

int csv_peek(const struct csv *csv)
{
    return csv->at < csv->file.size ? (unsigned char)csv->file.data[csv->at] : -1;
}

bool csv_at_end(const struct csv *csv)
{
    int c = csv_peek(csv);
    return c < 0 || c == '\n' || (c == '\r' && csv->at + 1 < csv->file.size && csv->file.data[csv->at + 1] == '\n');
}

void csv_next_line(struct csv *csv)
{
    while (csv_peek(csv) >= 0 && csv_peek(csv) != '\n')
        csv->at++;
    csv->at += csv_peek(csv) == '\n';
    csv->line++;
}

/* Reads a quoted column into csv->value (cut where it is too long: then it is refused by size). */
static bool csv_quoted(struct csv *csv, size_t *size, struct csv_problem problem)
{
    uint32_t begun = csv->line;
    *size = 0;
    for (csv->at++;; csv->at++) {
        int c = csv_peek(csv);
        if (c < 0)
            return csv_refuse(problem, begun, "the quotation mark is not closed");
        if (c == '"') {
            csv->at++;
            if (csv_peek(csv) != '"')
                break;
        }
        csv->line += c == '\n';
        if (*size < sizeof csv->value)
            csv->value[(*size)++] = (char)c;
    }
    if (!csv_at_end(csv) && csv_peek(csv) != ',')
        return csv_refuse(problem, csv->line, "text follows a closing quotation mark");
    return true;
}

static struct slice slice_trim(struct slice text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = (struct slice){text.data + 1, text.size - 1};
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

bool csv_column(struct csv *csv, struct slice *value, struct csv_problem problem)
{
    size_t size, from = csv->at;
    if (csv_peek(csv) == '"') {
        if (!csv_quoted(csv, &size, problem))
            return false;
        *value = (struct slice){csv->value, size};
        return true;
    }
    while (!csv_at_end(csv) && csv_peek(csv) != ',')
        csv->at++;
    *value = slice_trim((struct slice){csv->file.data + from, csv->at - from});
    return true;
}

char *csv_file_read(const char *path, size_t *size, struct csv_problem problem)
{
    FILE *file = fopen(path, "rbe");
    if (!file) {
        csv_refuse(problem, 0, "cannot be opened: %s", strerror(errno));
        return NULL;
    }
    size_t room = 64 * 1024;
    char *data = malloc(room);
    invariant(data != NULL);
    *size = 0;
    for (size_t got; (got = fread(data + *size, 1, room - *size, file)) > 0;) {
        *size += got;
        if (*size < room)
            continue;
        room *= 2;
        data = realloc(data, room);
        invariant(data != NULL);
        if (*size > CSV_BYTES_MAX)
            break;
    }
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    if (!failed && *size <= CSV_BYTES_MAX)
        return data;
    if (failed)
        csv_refuse(problem, 0, "cannot be read");
    else
        csv_refuse(problem, 0, "larger than %d MiB", CSV_BYTES_MAX / (1024 * 1024));
    free(data);
    return NULL;
}
