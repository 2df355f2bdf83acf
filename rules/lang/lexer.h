/* The lexer cuts the text of one rule file into tokens; what cannot be read is reported and skipped.
 *
 * A word may hold dots (sender.wage.amount) and, when in capitals, dashes (WAGE-02). A slash after
 * `any`, `never` or a comma opens a pattern. Typographic quotes, odd spaces, CRLF and a byte-order
 * mark are accepted. The last token is TOKEN_END. */
#ifndef RULES_LANG_LEXER_H
#define RULES_LANG_LEXER_H

#include "rules/lang/diagnostic.h"

enum token_kind {
#define TOKEN(name, says) TOKEN_##name,
#include "rules/lang/token.def"
#undef TOKEN
};

struct token {
    enum token_kind kind;
    bool caseless;      /* REGEX with flag i */
    bool glued;         /* nothing stands between this token and the one before */
    struct span span;
    struct slice text;  /* of STRING and REGEX: without quotes or slashes; of NUMBER: without `_` */
    int64_t value;      /* PERCENT millionths, DURATION and CLOCK ms, DATE day number, whole NUMBERs */
    bool whole;         /* NUMBER: no decimals */
};

const char *token_says(enum token_kind kind);

/* Tokens live in arena. */
struct token *lex(struct arena *arena, struct diagnostics *diagnostics, uint16_t file, struct slice text, uint32_t *count);

#endif
