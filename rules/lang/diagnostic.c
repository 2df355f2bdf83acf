/* Collects diagnostics and puts them in order. */
#include "rules/lang/diagnostic.h"

#include "engine/base/invariant.h"
#include "rules/lang/diagnostic_private.h"
#include "rules/lang/limit.h"

#include <stdarg.h>
#include <stdlib.h>

static const struct diagnostic_page pages[DIAG_COUNT] = {
#define ERROR false
#define WARNING true
#define DIAGNOSTIC(code, name, severity, title, avoid, prefer, why) {#code, severity, title, avoid, prefer, why},
#include "rules/lang/diagnostic.def"
#undef DIAGNOSTIC
#undef ERROR
#undef WARNING
};

const struct diagnostic_page *diagnostic_page(enum diagnostic_code code)
{
    return &pages[code];
}

struct diagnostics *diagnostics_new(void)
{
    struct diagnostics *d = calloc(1, sizeof *d);
    invariant(d != NULL);
    arena_init(&d->arena);
    d->dir = SLICE("");
    return d;
}

void diagnostics_free(struct diagnostics *d)
{
    if (!d)
        return;
    arena_fini(&d->arena);
    free(d->file);
    free(d->item);
    free(d);
}

void diagnostics_dir(struct diagnostics *d, const char *dir)
{
    d->dir = arena_copy(&d->arena, slice_of(dir));
}

uint16_t diagnostics_add_file(struct diagnostics *d, struct slice name, struct slice text)
{
    d->file = realloc(d->file, sizeof *d->file * (size_t)(d->file_count + 1));
    invariant(d->file != NULL && d->file_count < UINT16_MAX);
    d->file[d->file_count] = (struct diagnostic_file){
        .name = arena_copy(&d->arena, name), .text = arena_copy(&d->arena, text)};
    return d->file_count++;
}

struct slice diagnostics_file_name(const struct diagnostics *d, uint16_t file)
{
    return file < d->file_count ? d->file[file].name : SLICE("the rules");
}

uint16_t diagnostics_file_count(const struct diagnostics *d)
{
    return d->file_count;
}

__attribute__((format(printf, 2, 0))) static struct slice format_slice(struct arena *arena, const char *format, va_list args)
{
    char text[1024];
    int n = vsnprintf(text, sizeof text, format, args);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    return arena_copy(arena, (struct slice){text, size});
}

/* An error where one stands already says nothing new; neither does the same warning. */
static bool is_echo(const struct diagnostics *d, enum diagnostic_code code, struct span span)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct diagnostic *have = d->item[i];
        bool same_place = have->span.file == span.file && have->span.at == span.at;
        if (same_place && !pages[have->code].warning && !pages[code].warning)
            return true;
        if (same_place && have->code == code)
            return true;
    }
    return false;
}

struct diagnostic *diagnostic_add(struct diagnostics *d, enum diagnostic_code code, struct span span,
                                  const char *format, ...)
{
    invariant(span.file < d->file_count);
    struct diagnostic_file *file = &d->file[span.file];
    struct diagnostic *item = ARENA_NEW(&d->arena, struct diagnostic);
    if (is_echo(d, code, span))
        return item;
    bool warning = pages[code].warning;
    if (warning)
        d->warnings++;
    else
        d->errors++;
    if (file->shown[warning] == LIMIT_DIAGNOSTICS) {
        file->more++;
        return item;
    }
    file->shown[warning]++;
    if (d->count == d->room) {
        d->room = d->room ? d->room * 2 : 32;
        d->item = realloc(d->item, sizeof(struct diagnostic *) * d->room);
        invariant(d->item != NULL);
    }
    d->item[d->count++] = item;
    d->sorted = false;
    item->code = code;
    item->span = span;
    va_list args;
    va_start(args, format);
    item->message = format_slice(&d->arena, format, args);
    va_end(args);
    return item;
}

void diagnostic_label(struct diagnostics *d, struct diagnostic *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    at->label = format_slice(&d->arena, format, args);
    va_end(args);
}

void diagnostic_second(struct diagnostics *d, struct diagnostic *at, struct span span, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    at->second = span;
    at->second_label = format_slice(&d->arena, format, args);
    va_end(args);
}

void diagnostic_help(struct diagnostics *d, struct diagnostic *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    at->help = format_slice(&d->arena, format, args);
    va_end(args);
}

uint32_t diagnostics_errors(const struct diagnostics *d)
{
    return d->errors;
}

uint32_t diagnostics_warnings(const struct diagnostics *d)
{
    return d->warnings;
}

static int by_place(const void *left, const void *right)
{
    const struct diagnostic *a = *(struct diagnostic *const *)left;
    const struct diagnostic *b = *(struct diagnostic *const *)right;
    if (a->span.file != b->span.file)
        return a->span.file < b->span.file ? -1 : 1;
    if (a->span.at != b->span.at)
        return a->span.at < b->span.at ? -1 : 1;
    return (a->code > b->code) - (a->code < b->code);
}

uint32_t diagnostics_count(struct diagnostics *d)
{
    if (!d->sorted && d->count)
        qsort(d->item, d->count, sizeof(struct diagnostic *), by_place);
    d->sorted = true;
    return d->count;
}

const struct diagnostic *diagnostics_at(struct diagnostics *d, uint32_t index)
{
    invariant(index < diagnostics_count(d));
    return d->item[index];
}

/* A character beyond the basic plane (four bytes in UTF-8) takes two UTF-16 code units. */
struct diagnostic_point diagnostic_point(struct slice text, uint32_t at)
{
    struct diagnostic_point point = {1, 1, 1};
    bool marked = text.size >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0; /* no editor counts it */
    size_t from = marked ? 3 : 0, to = at < text.size ? at : text.size;
    const char *end;
    while (from < to && (end = memchr(text.data + from, '\n', to - from)) != NULL) {
        from = (size_t)(end - text.data) + 1;
        point.line++;
    }
    for (; from < to; from++) {
        unsigned char c = (unsigned char)text.data[from];
        if ((c & 0xC0) != 0x80) {
            point.column++;
            point.column_utf16 += c >= 0xF0 ? 2 : 1;
        }
    }
    return point;
}

void diagnostic_place(const struct diagnostics *d, struct span span, uint32_t *line, uint32_t *column)
{
    struct diagnostic_point point = diagnostic_point(d->file[span.file].text, span.at);
    *line = point.line;
    *column = point.column;
}
