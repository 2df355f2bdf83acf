/* Diagnostics are what is wrong with rule files: place, message, second place, help, stable code.
 *
 * Collected while files are read, shown once: sorted by place, at most LIMIT_DIAGNOSTICS errors and as many warnings per file with
 * a count of the rest. The object copies every source it is shown, so it outlives the tree and the
 * program. One thread. */
#ifndef RULES_LANG_DIAGNOSTIC_H
#define RULES_LANG_DIAGNOSTIC_H

#include "rules/lang/syntax.h"

#include <stdio.h>

enum diagnostic_code {
#define DIAGNOSTIC(code, name, severity, title, avoid, prefer, why) DIAG_##name,
#include "rules/lang/diagnostic.def"
#undef DIAGNOSTIC
    DIAG_COUNT
};

/* The page of one code. */
struct diagnostic_page {
    const char *code; /* "R030" */
    bool warning;
    const char *title, *avoid, *prefer, *why;
};
const struct diagnostic_page *diagnostic_page(enum diagnostic_code code);

struct diagnostic {
    enum diagnostic_code code;
    struct span span;
    struct slice message;
    struct slice label;        /* under the carets; may be empty */
    struct span second;
    struct slice second_label; /* empty: no second place */
    struct slice help;         /* one line; may be empty */
};

struct diagnostics;
struct diagnostics *diagnostics_new(void);
void diagnostics_free(struct diagnostics *diagnostics);

/* Names file number `diagnostics_file_count`; both texts are copied. dir is put before names in
 * output ("packs/labour.rules"); "" for none. */
void diagnostics_dir(struct diagnostics *diagnostics, const char *dir);
uint16_t diagnostics_add_file(struct diagnostics *diagnostics, struct slice name, struct slice text);
uint16_t diagnostics_file_count(const struct diagnostics *diagnostics);
struct slice diagnostics_file_name(const struct diagnostics *diagnostics, uint16_t file);

/* Adds one; the others add to the one just made. An error at a place that has one already is an echo
 * and is dropped. Never NULL. */
struct diagnostic *diagnostic_add(struct diagnostics *diagnostics, enum diagnostic_code code, struct span span,
                                  const char *format, ...) __attribute__((format(printf, 4, 5)));
void diagnostic_label(struct diagnostics *diagnostics, struct diagnostic *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void diagnostic_second(struct diagnostics *diagnostics, struct diagnostic *at, struct span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void diagnostic_help(struct diagnostics *diagnostics, struct diagnostic *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

uint32_t diagnostics_errors(const struct diagnostics *diagnostics);
uint32_t diagnostics_warnings(const struct diagnostics *diagnostics);

/* Sorted access, for whoever shows them otherwise. line and column count from 1, column in characters (code points);
 * a byte order mark is none. */
uint32_t diagnostics_count(struct diagnostics *diagnostics);
const struct diagnostic *diagnostics_at(struct diagnostics *diagnostics, uint32_t index);
void diagnostic_place(const struct diagnostics *diagnostics, struct span span, uint32_t *line, uint32_t *column);

/* The line of a place and carets under it, as diagnostics show them; label may be empty. */
void diagnostics_quote(const struct diagnostics *diagnostics, struct span span, struct slice label, FILE *out);

void diagnostics_text(struct diagnostics *diagnostics, FILE *out);
/* One object: errors, warnings, more (how many of both are counted but not listed, see LIMIT_DIAGNOSTICS), diagnostics.
 * A place counts lines and columns from 1; end_line and end_column are the place behind the last character. column
 * counts characters, column_utf16 the UTF-16 code units of editors (Language Server Protocol: minus 1), offset and
 * length bytes. `file` is the name inside the folder. */
void diagnostics_json(struct diagnostics *diagnostics, FILE *out);
/* The members alone, for an object that says more; the elements of `diagnostics` alone, for one about several of these. */
void diagnostics_json_members(struct diagnostics *diagnostics, FILE *out);
void diagnostics_json_items(struct diagnostics *diagnostics, FILE *out);
void diagnostics_sarif(struct diagnostics *diagnostics, FILE *out);

#endif
