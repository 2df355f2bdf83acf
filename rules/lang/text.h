/* A text is a named set of words and patterns that narratives are matched against (RULES 15).
 *
 * Compiled once with PCRE2 JIT; immutable; matching needs a scratch per worker. Patterns run only
 * behind a required literal where one can be extracted. Limits: match 10,000, depth 1,000, heap
 * 1 MiB, subject 4 KiB; a limit that is hit makes the result unknown. No JIT is an error at load. */
#ifndef RULES_LANG_TEXT_H
#define RULES_LANG_TEXT_H

#include "engine/base/slice.h"

struct text_pattern {      /* one `any` or `never` entry */
    struct slice body;     /* plain string, or regular expression without slashes */
    bool regex;
    bool caseless;         /* flag i; plain strings are always caseless */
    bool never;
};

enum text_result { TEXT_NO, TEXT_YES, TEXT_UNKNOWN };

struct text;
struct text_scratch;

struct text_scratch *text_scratch_new(void);
void text_scratch_free(struct text_scratch *scratch);

/* text_new compiles; NULL with a message and the index and byte offset of the wrong pattern. */
struct text *text_new(struct slice name, const struct text_pattern *pattern, uint32_t count,
                      char message[256], uint32_t *wrong, uint32_t *wrong_offset);
void text_free(struct text *text);
enum text_result text_match(const struct text *text, struct text_scratch *scratch, struct slice subject);
/* Patterns that PCRE2 ran with this scratch so far: those that got past their literal, and those without one. */
uint64_t text_scratch_runs(const struct text_scratch *scratch);
/* What must occur before pattern i is tried, for warnings: a literal, or several joined by | of which
 * one must occur; empty when there is none. */
struct slice text_required_literal(const struct text *text, uint32_t i);
struct slice text_name(const struct text *text);

#endif
