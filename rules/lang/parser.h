/* What the files of the parser share: the token cursor, and how errors of syntax are said.
 *
 * Recursive descent by hand. A function that fails has reported it and returns NULL or false;
 * the block that called it skips to its next clause. Every loop consumes a token per round. */
#ifndef RULES_LANG_PARSER_H
#define RULES_LANG_PARSER_H

#include "rules/lang/lexer.h"
#include "rules/lang/limit.h"

/* Where blocks and clauses begin, per token: for whoever lays a file out. */
enum token_mark { MARK_NONE_HERE, MARK_BLOCK, MARK_CLAUSE };

struct parser {
    struct syntax *syntax;
    struct arena *arena;
    struct diagnostics *diagnostics;
    const struct token *token;
    uint32_t at, count;
    uint32_t depth, nodes; /* of the expression being read */
    uint32_t ruleset_count;
    uint8_t *mark;         /* enum token_mark per token; NULL: nobody asks */
};

static inline const struct token *now(const struct parser *p)
{
    return &p->token[p->at];
}

static inline const struct token *ahead(const struct parser *p, uint32_t n)
{
    return &p->token[p->at + n < p->count ? p->at + n : p->count - 1];
}

static inline void advance(struct parser *p)
{
    if (p->at + 1 < p->count)
        p->at++;
}

static inline void set_mark(struct parser *p, enum token_mark mark)
{
    if (p->mark)
        p->mark[p->at] = (uint8_t)mark;
}

/* Reads one file as syntax_parse does, and gives its tokens and marks, in arena. `diagnostics` is
 * new: this is its first file. False when it has errors. */
bool parse_marked(struct arena *arena, struct slice name, struct slice text, struct diagnostics *diagnostics, const struct token **token,
                  const uint8_t **mark, uint32_t *count) must_check;

bool at_word(const struct parser *p, const char *word);
bool word_is(const struct token *token, const char *word);
bool word_in(struct slice word, const char *const *table); /* table ends with NULL */
bool take(struct parser *p, enum token_kind kind);         /* consumes it if it is there */
bool take_word(struct parser *p, const char *word);
struct span span_to(const struct parser *p, struct span from); /* to the last token consumed */

/* "expected WHAT", at the current token; returns false. */
bool expected(struct parser *p, const char *what);
bool need(struct parser *p, enum token_kind kind);
bool need_word(struct parser *p, const char *word);
bool need_name(struct parser *p, const char *what, struct name *out);
bool need_string(struct parser *p, const char *what, struct name *out);
bool need_duration(struct parser *p, int64_t *ms, struct span *span);
bool need_integer(struct parser *p, int64_t low, int64_t high, const char *what, int64_t *out);
bool clause_once(struct parser *p, uint32_t *seen, uint32_t bit);

/* parser_expression.c */
struct syntax_expr *parse_expression(struct parser *p);
struct syntax_expr *parse_literal(struct parser *p); /* with an optional minus */
bool parse_source(struct parser *p, struct syntax_source *source);
/* `WORD 24h` or `WORD PARAM`; NULL when it is not there (reported). */
struct syntax_expr *parse_span(struct parser *p, const char *word);
struct syntax_expr *parse_inner(struct parser *p); /* an expression inside another */

/* parser_graph.c */
bool at_graph(const struct parser *p, enum graph_operator *op);
struct syntax_graph *parse_graph(struct parser *p, enum graph_operator op);
bool at_flow(const struct parser *p);

/* parser_rule.c, parser_test.c: the current token is the block's first word */
void parse_rule(struct parser *p);
void parse_test(struct parser *p);

/* Another block begins here, whatever is still open: a missing brace must not swallow the file. */
bool at_block(const struct parser *p);

/* Skips to the next of the words (table ends with NULL) or a closing brace of this block. */
void skip_to(struct parser *p, const char *const *clauses);

#endif
