/* Loads a rule set: a folder of *.rules files (and their lists) into a program, or diagnostics.
 *
 * The whole front in one call: read, lex, parse, check, compile. All errors at once, in line order
 * per file. Used by run, replay, rules check, rules test. Untrusted input: bounds in limit.h. */
#ifndef RULES_LANG_LOAD_H
#define RULES_LANG_LOAD_H

#include "engine/base/error.h"
#include "rules/lang/program.h"
#include "rules/lang/syntax.h"

struct diagnostics; /* rules/lang/diagnostic.h */

/* Another value for a rule's param, in the units of its literal (struct syntax_expr.value): minor units of
 * the currency written there, millionths, ms, or a plain number. One outside the declared range is the same
 * diagnostic as if it stood in the file. */
struct param_value {
    struct slice rule, param;
    int64_t value;
};

struct load_options {
    bool for_tests;        /* keep draft and shadow rules as live ones (RULES 26: tests run any but retired) */
    const struct source_file *instead; /* stands for the folder's file of this name, or joins them (an editor's text); NULL: none */
    int32_t today;         /* day number for "list past its age" and "exception about to end" warnings; 0: none */
    /* For trying values out (`rules tune`). A name that is not there is an error of the world's kind. */
    const struct param_value *param;
    uint16_t param_count;
    struct slice typology; /* only rules of it run, which changes no alert of it; empty: all */
    struct slice live;     /* this rule runs as a live one, whatever its status; empty: none */
};

/* Is a file of this name in a rule folder read as rules? */
bool is_rule_file(const char *name);

/* NULL when there are errors (in diagnostics) or the world failed (err.class set). Warnings too go
 * to diagnostics. The program is freed by program_free. */
struct program *program_load(const char *dir, const struct load_options *options,
                             struct diagnostics *diagnostics, struct error *err) must_check;
/* The same from sources in memory (sorted by name); lists are looked for in list_dir, "" for here. */
struct program *program_parse(const struct source_file *file, uint16_t count, const char *list_dir,
                              const struct load_options *options, struct diagnostics *diagnostics,
                              struct error *err) must_check;
void program_free(struct program *program);

/* Which lists hold the text (bit i = program.list[i]), for ident_intern. */
uint64_t program_list_lookup(const void *program, enum entity_kind kind, struct slice text);

#endif
