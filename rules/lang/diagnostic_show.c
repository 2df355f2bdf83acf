/* Shows diagnostics: as text with carets, as JSON, as SARIF. */
#include "rules/lang/diagnostic_private.h"

#define TEXT_OF(slice) (int)(slice).size, (slice).data ? (slice).data : ""

static uint32_t decode_point(struct slice text, size_t *at)
{
    unsigned char c = (unsigned char)text.data[(*at)++];
    uint32_t point = c;
    int more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC0 ? 1 : 0;
    if (more)
        point = c & (0x3Fu >> more);
    while (more-- > 0 && *at < text.size && ((unsigned char)text.data[*at] & 0xC0) == 0x80)
        point = point << 6 | ((unsigned char)text.data[(*at)++] & 0x3Fu);
    return point;
}

struct point_range {
    uint32_t low, high;
};
static const struct point_range zero_width[] = {{0x300, 0x36F},   {0x610, 0x61A},   {0x64B, 0x65F},  {0x200B, 0x200F},
                                                {0x202A, 0x202E}, {0x2060, 0x2069}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F},
                                                {0xFEFF, 0xFEFF}};
static const struct point_range double_width[] = {{0x1100, 0x115F}, {0x2E80, 0xA4CF}, {0xAC00, 0xD7A3}, {0xF900, 0xFAFF},
                                                  {0xFE30, 0xFE6F}, {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F300, 0x1FAFF}};
static const struct point_range right_to_left[] = {{0x590, 0x8FF}, {0xFB1D, 0xFDFF}, {0xFE70, 0xFEFE}};

static bool point_in(uint32_t point, const struct point_range *range, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (point >= range[i].low && point <= range[i].high)
            return true;
    return false;
}
#define POINT_IN(point, table) point_in((point), (table), sizeof(table) / sizeof *(table))

static int point_width(uint32_t point)
{
    if (POINT_IN(point, zero_width))
        return 0;
    return POINT_IN(point, double_width) ? 2 : 1;
}

static struct slice line_of(struct slice text, size_t at, size_t *begin)
{
    size_t from = at < text.size ? at : text.size;
    while (from > 0 && text.data[from - 1] != '\n')
        from--;
    size_t to = from;
    while (to < text.size && text.data[to] != '\n' && text.data[to] != '\r')
        to++;
    *begin = from;
    return (struct slice){text.data + from, to - from};
}

/* Control characters would move the terminal's cursor: they are shown as a replacement sign. */
static void put_line(FILE *out, struct slice line)
{
    for (size_t i = 0; i < line.size; i++) {
        unsigned char c = (unsigned char)line.data[i];
        if (c < 0x20 && c != '\t')
            fputs("\xEF\xBF\xBD", out);
        else
            fputc(c, out);
    }
    fputc('\n', out);
}

/* The line, and under it carets by display width. */
static void show_place(const struct diagnostics *d, struct span span, struct slice label, int gutter, FILE *out)
{
    uint32_t line, column;
    diagnostic_place(d, span, &line, &column);
    size_t begin;
    struct slice text = line_of(d->file[span.file].text, span.at, &begin);
    fprintf(out, "%*u | ", gutter, line);
    put_line(out, text);
    fprintf(out, "%*s | ", gutter, "");
    size_t at = 0;
    bool mixed = false;
    while (at < text.size && begin + at < span.at) {
        uint32_t point = decode_point(text, &at);
        mixed |= POINT_IN(point, right_to_left);
        if (point == '\t')
            fputc('\t', out);
        else
            fprintf(out, "%*s", point_width(point), "");
    }
    int carets = 0;
    size_t from = at;
    while (at < text.size && begin + at < (size_t)span.at + span.size) {
        uint32_t point = decode_point(text, &at);
        mixed |= POINT_IN(point, right_to_left);
        carets += point_width(point);
    }
    for (int i = 0; i < (carets ? carets : 1); i++)
        fputc('^', out);
    if (label.size)
        fprintf(out, " %.*s", TEXT_OF(label));
    fputc('\n', out);
    if (mixed && at > from)
        fprintf(out, "%*s = at: `%.*s`\n", gutter, "", (int)(at - from), text.data + from);
}

static int digits(uint32_t number)
{
    int count = 1;
    while (number >= 10) {
        number /= 10;
        count++;
    }
    return count;
}

static void show_one(const struct diagnostics *d, const struct diagnostic *item, FILE *out)
{
    const struct diagnostic_page *page = diagnostic_page(item->code);
    uint32_t line, column, second_line = 0, second_column = 0;
    diagnostic_place(d, item->span, &line, &column);
    if (item->second_label.size)
        diagnostic_place(d, item->second, &second_line, &second_column);
    int gutter = digits(line > second_line ? line : second_line);
    bool named = d->dir.size > 0;
    const struct diagnostic_file *file = &d->file[item->span.file];
    fprintf(out, "%s[%s]: %.*s\n", page->warning ? "warning" : "error", page->code, TEXT_OF(item->message));
    fprintf(out, "%*s--> %.*s%s%.*s:%u:%u\n", gutter, "", TEXT_OF(d->dir), named ? "/" : "", TEXT_OF(file->name), line, column);
    show_place(d, item->span, item->label, gutter, out);
    if (item->second_label.size) {
        const struct diagnostic_file *other = &d->file[item->second.file];
        if (item->second.file != item->span.file)
            fprintf(out, "%*s::: %.*s%s%.*s:%u:%u\n", gutter, "", TEXT_OF(d->dir), named ? "/" : "", TEXT_OF(other->name),
                    second_line, second_column);
        show_place(d, item->second, item->second_label, gutter, out);
    }
    if (item->help.size)
        fprintf(out, "%*s = help: %.*s\n", gutter, "", TEXT_OF(item->help));
    fputc('\n', out);
}

void diagnostics_quote(const struct diagnostics *d, struct span span, struct slice label, FILE *out)
{
    uint32_t line, column;
    diagnostic_place(d, span, &line, &column);
    show_place(d, span, label, digits(line), out);
}

void diagnostics_text(struct diagnostics *d, FILE *out)
{
    for (uint32_t i = 0; i < diagnostics_count(d); i++)
        show_one(d, diagnostics_at(d, i), out);
    for (uint16_t f = 0; f < d->file_count; f++)
        if (d->file[f].more)
            fprintf(out, "%.*s: and %u more\n\n", TEXT_OF(d->file[f].name), d->file[f].more);
}

static void put_json(FILE *out, struct slice text)
{
    fputc('"', out);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void put_json_place(const struct diagnostics *d, struct span span, FILE *out)
{
    const struct diagnostic_file *file = &d->file[span.file];
    struct diagnostic_point from = diagnostic_point(file->text, span.at), to = diagnostic_point(file->text, span.at + span.size);
    fputs("{\"file\":", out);
    put_json(out, file->name);
    fprintf(out, ",\"line\":%u,\"column\":%u,\"column_utf16\":%u,\"end_line\":%u,\"end_column\":%u,\"end_column_utf16\":%u", from.line,
            from.column, from.column_utf16, to.line, to.column, to.column_utf16);
    fprintf(out, ",\"offset\":%u,\"length\":%u}", span.at, span.size);
}

void diagnostics_json_items(struct diagnostics *d, FILE *out)
{
    for (uint32_t i = 0; i < diagnostics_count(d); i++) {
        const struct diagnostic *item = diagnostics_at(d, i);
        const struct diagnostic_page *page = diagnostic_page(item->code);
        fprintf(out, "%s\n{\"severity\":\"%s\",\"code\":\"%s\",\"message\":", i ? "," : "",
                page->warning ? "warning" : "error", page->code);
        put_json(out, item->message);
        fputs(",\"place\":", out);
        put_json_place(d, item->span, out);
        fputs(",\"label\":", out);
        put_json(out, item->label);
        if (item->second_label.size) {
            fputs(",\"second\":", out);
            put_json_place(d, item->second, out);
            fputs(",\"second_label\":", out);
            put_json(out, item->second_label);
        }
        fputs(",\"help\":", out);
        put_json(out, item->help);
        fputc('}', out);
    }
}

void diagnostics_json_members(struct diagnostics *d, FILE *out)
{
    fprintf(out, "\"errors\":%u,\"warnings\":%u,\"more\":%u,\"diagnostics\":[", d->errors, d->warnings, d->errors + d->warnings - d->count);
    diagnostics_json_items(d, out);
    fputc(']', out);
}

void diagnostics_json(struct diagnostics *d, FILE *out)
{
    fputc('{', out);
    diagnostics_json_members(d, out);
    fputs("}\n", out);
}

static void put_sarif_result(const struct diagnostics *d, const struct diagnostic *item, FILE *out)
{
    const struct diagnostic_page *page = diagnostic_page(item->code);
    uint32_t line, column;
    diagnostic_place(d, item->span, &line, &column);
    fprintf(out, "{\"ruleId\":\"%s\",\"level\":\"%s\",\"message\":{\"text\":", page->code, page->warning ? "warning" : "error");
    put_json(out, item->message);
    fputs("},\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":", out);
    put_json(out, d->file[item->span.file].name);
    fprintf(out, "},\"region\":{\"startLine\":%u,\"startColumn\":%u}}}]}", line, column);
}

void diagnostics_sarif(struct diagnostics *d, FILE *out)
{
    fputs("{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{\"tool\":"
          "{\"driver\":{\"name\":\"muster rules check\",\"rules\":[", out);
    for (int code = 0; code < DIAG_COUNT; code++) {
        const struct diagnostic_page *page = diagnostic_page((enum diagnostic_code)code);
        fprintf(out, "%s{\"id\":\"%s\",\"shortDescription\":{\"text\":", code ? "," : "", page->code);
        put_json(out, slice_of(page->title));
        fputs("}}", out);
    }
    fputs("]}},\"columnKind\":\"unicodeCodePoints\",\"results\":[", out);
    for (uint32_t i = 0; i < diagnostics_count(d); i++) {
        if (i)
            fputs(",\n", out);
        put_sarif_result(d, diagnostics_at(d, i), out);
    }
    fputs("]}]}\n", out);
}
