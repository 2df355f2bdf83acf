/* Reads rule files: the token cursor, and the blocks that are not rules or tests. */
#include "rules/lang/parser.h"

#include "engine/base/invariant.h"

#include <stdlib.h>

bool word_is(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD && slice_equal(token->text, slice_of(word));
}

bool at_word(const struct parser *p, const char *word)
{
    return word_is(now(p), word);
}

bool word_in(struct slice word, const char *const *table)
{
    for (; *table; table++)
        if (slice_equal(word, slice_of(*table)))
            return true;
    return false;
}

bool take(struct parser *p, enum token_kind kind)
{
    if (now(p)->kind != kind)
        return false;
    advance(p);
    return true;
}

bool take_word(struct parser *p, const char *word)
{
    if (!at_word(p, word))
        return false;
    advance(p);
    return true;
}

struct span span_to(const struct parser *p, struct span from)
{
    const struct span *last = &p->token[p->at ? p->at - 1 : 0].span;
    uint32_t end = last->at + last->size;
    if (end > from.at)
        from.size = end - from.at;
    return from;
}

bool expected(struct parser *p, const char *what)
{
    const struct token *token = now(p);
    struct diagnostic *d = diagnostic_add(p->diagnostics, DIAG_EXPECTED, token->span, "expected %s", what);
    if (token->kind == TOKEN_WORD)
        diagnostic_label(p->diagnostics, d, "found `%.*s`", (int)token->text.size, token->text.data);
    else
        diagnostic_label(p->diagnostics, d, "found %s", token_says(token->kind));
    return false;
}

bool need(struct parser *p, enum token_kind kind)
{
    return take(p, kind) || expected(p, token_says(kind));
}

bool need_word(struct parser *p, const char *word)
{
    if (take_word(p, word))
        return true;
    char what[64];
    snprintf(what, sizeof what, "`%s`", word);
    return expected(p, what);
}

bool need_name(struct parser *p, const char *what, struct name *out)
{
    if (now(p)->kind != TOKEN_WORD)
        return expected(p, what);
    *out = (struct name){now(p)->text, now(p)->span};
    advance(p);
    return true;
}

bool need_string(struct parser *p, const char *what, struct name *out)
{
    if (now(p)->kind != TOKEN_STRING)
        return expected(p, what);
    *out = (struct name){now(p)->text, now(p)->span};
    advance(p);
    return true;
}

bool need_duration(struct parser *p, int64_t *ms, struct span *span)
{
    const struct token *token = now(p);
    if (token->kind != TOKEN_DURATION)
        return expected(p, "a length of time such as `24h` or `35d`");
    advance(p);
    *ms = token->value;
    if (span)
        *span = token->span;
    if (token->value > 0 && token->value <= (int64_t)LIMIT_DAYS * MS_PER_DAY)
        return true;
    struct diagnostic *d = diagnostic_add(p->diagnostics, DIAG_WINDOW, token->span, "spans are more than 0 and at most 400 days");
    diagnostic_label(p->diagnostics, d, "out of bounds");
    *ms = MS_PER_DAY;
    return true;
}

bool need_integer(struct parser *p, int64_t low, int64_t high, const char *what, int64_t *out)
{
    struct span from = now(p)->span;
    bool minus = low < 0 && take(p, TOKEN_MINUS);
    const struct token *token = now(p);
    if (token->kind != TOKEN_NUMBER || !token->whole)
        return expected(p, what);
    advance(p);
    *out = minus ? -token->value : token->value;
    if (*out >= low && *out <= high)
        return true;
    diagnostic_add(p->diagnostics, DIAG_LIMIT, span_to(p, from), "this number must lie between %lld and %lld", (long long)low,
                   (long long)high);
    *out = low > 0 ? low : 0;
    return true;
}

bool clause_once(struct parser *p, uint32_t *seen, uint32_t bit)
{
    if (*seen >> bit & 1) {
        diagnostic_add(p->diagnostics, DIAG_CLAUSE_TWICE, now(p)->span, "`%.*s` stands twice in this block",
                       (int)now(p)->text.size, now(p)->text.data);
    }
    *seen |= 1u << bit;
    return true;
}

bool at_block(const struct parser *p)
{
    if (at_word(p, "rule"))
        return ahead(p, 1)->kind == TOKEN_WORD && ahead(p, 2)->kind == TOKEN_STRING;
    if (at_word(p, "test"))
        return ahead(p, 1)->kind == TOKEN_STRING;
    if (at_word(p, "typology"))
        return ahead(p, 1)->kind == TOKEN_WORD && ahead(p, 2)->kind == TOKEN_STRING && ahead(p, 3)->kind == TOKEN_OPEN;
    if (at_word(p, "list"))
        return ahead(p, 1)->kind == TOKEN_WORD && word_is(ahead(p, 2), "of");
    if (at_word(p, "memory") || at_word(p, "fact"))
        return ahead(p, 1)->kind == TOKEN_WORD && word_is(ahead(p, 2), "for");
    if (at_word(p, "ruleset") || at_word(p, "text"))
        return ahead(p, 1)->kind == TOKEN_WORD && ahead(p, 2)->kind == TOKEN_OPEN;
    return false;
}

void skip_to(struct parser *p, const char *const *clauses)
{
    uint32_t open = 0;
    for (; now(p)->kind != TOKEN_END; advance(p)) {
        if (at_block(p) || (open == 0 && now(p)->kind == TOKEN_CLOSE))
            return;
        if (open == 0 && now(p)->kind == TOKEN_WORD && word_in(now(p)->text, clauses))
            return;
        if (now(p)->kind == TOKEN_OPEN)
            open++;
        else if (now(p)->kind == TOKEN_CLOSE)
            open--;
    }
}

/* --- blocks --- */

static void parse_ruleset(struct parser *p)
{
    static const char *const clauses[] = {"timezone", "base", NULL};
    struct syntax *syntax = p->syntax;
    struct span first = now(p)->span;
    struct name name;
    uint32_t seen = 0;
    advance(p);
    if (!need_name(p, "the name of the rule set", &name) || !need(p, TOKEN_OPEN))
        return;
    if (p->ruleset_count++) {
        struct diagnostic *d = diagnostic_add(p->diagnostics, DIAG_BAD_RULESET, first, "a rule set has one `ruleset` block");
        diagnostic_second(p->diagnostics, d, syntax->name.span, "the first one");
    }
    syntax->name = name;
    while (now(p)->kind != TOKEN_CLOSE && now(p)->kind != TOKEN_END && !at_block(p)) {
        uint32_t at = p->at;
        set_mark(p, MARK_CLAUSE);
        bool good = true;
        if (at_word(p, "timezone") && clause_once(p, &seen, 0)) {
            advance(p);
            good = need_string(p, "a time zone such as \"Africa/Nairobi\"", &syntax->timezone);
        } else if (at_word(p, "base") && clause_once(p, &seen, 1)) {
            advance(p);
            good = need_name(p, "a currency such as USD", &syntax->base);
        } else {
            good = expected(p, "`timezone`, `base` or `}`");
        }
        if (!good) {
            if (p->at == at)
                advance(p);
            skip_to(p, clauses);
        }
    }
    need(p, TOKEN_CLOSE);
    if (seen != 3)
        diagnostic_add(p->diagnostics, DIAG_CLAUSE_MISSING, name.span, "this rule set has no `%s`", seen & 1 ? "base" : "timezone");
}

static void parse_list(struct parser *p)
{
    struct syntax_list *list = ARENA_NEW(p->arena, struct syntax_list);
    advance(p);
    if (!need_name(p, "the name of the list", &list->name) || !need_word(p, "of") ||
        !need_name(p, "what the list holds, for example `account`", &list->of) || !need_word(p, "from") ||
        !need_string(p, "the path of a CSV file in quotes", &list->path))
        return;
    if (take_word(p, "stale") && (!need_word(p, "after") || !need_duration(p, &list->stale_ms, NULL)))
        return;
    struct syntax_list **end = &p->syntax->list;
    while (*end)
        end = &(*end)->next;
    *end = list;
}

static bool parse_pattern(struct parser *p, struct syntax_text *text, struct syntax_pattern ***end, bool never)
{
    const struct token *token = now(p);
    if (token->kind != TOKEN_STRING && token->kind != TOKEN_REGEX)
        return expected(p, "a text in quotes or a pattern such as /wages?/i");
    advance(p);
    struct syntax_pattern *pattern = ARENA_NEW(p->arena, struct syntax_pattern);
    pattern->span = token->span;
    pattern->never = never;
    pattern->regex = token->kind == TOKEN_REGEX;
    pattern->caseless = token->caseless || !pattern->regex;
    pattern->body = token->text;
    if (pattern->body.size == 0 || pattern->body.size > LIMIT_PATTERN_BYTES) {
        diagnostic_add(p->diagnostics, DIAG_BAD_PATTERN, token->span, "a pattern has 1 to %d bytes", LIMIT_PATTERN_BYTES);
        return true;
    }
    if (++text->pattern_count == LIMIT_PATTERNS + 1)
        diagnostic_add(p->diagnostics, DIAG_LIMIT, token->span, "a text of more than %d patterns", LIMIT_PATTERNS);
    **end = pattern;
    *end = &pattern->next;
    return true;
}

static void parse_text(struct parser *p)
{
    static const char *const clauses[] = {"any", "never", NULL};
    struct syntax_text *text = ARENA_NEW(p->arena, struct syntax_text);
    struct syntax_pattern **last = &text->pattern;
    bool some = false;
    advance(p);
    if (!need_name(p, "the name of the text", &text->name) || !need(p, TOKEN_OPEN))
        return;
    while (now(p)->kind != TOKEN_CLOSE && now(p)->kind != TOKEN_END && !at_block(p)) {
        uint32_t at = p->at;
        set_mark(p, MARK_CLAUSE);
        bool never = at_word(p, "never");
        bool good = at_word(p, "any") || never || expected(p, "`any`, `never` or `}`");
        if (good) {
            some |= !never;
            do {
                advance(p);
                good = parse_pattern(p, text, &last, never);
            } while (good && now(p)->kind == TOKEN_COMMA);
        }
        if (!good) {
            text->broken = true;
            if (p->at == at)
                advance(p);
            skip_to(p, clauses);
        }
    }
    need(p, TOKEN_CLOSE);
    if (!some && !text->broken)
        diagnostic_add(p->diagnostics, DIAG_CLAUSE_MISSING, text->name.span, "this text has no `any`");
    struct syntax_text **end = &p->syntax->text;
    while (*end)
        end = &(*end)->next;
    *end = text;
}

static bool parse_keeps(struct parser *p, struct syntax_memory *memory)
{
    struct syntax_keep **end = &memory->keep;
    while (*end)
        end = &(*end)->next;
    do {
        advance(p);
        struct syntax_keep *keep = ARENA_NEW(p->arena, struct syntax_keep);
        keep->value = parse_expression(p);
        if (!keep->value)
            return false;
        if (take_word(p, "as")) {
            if (!need_name(p, "a name for what is kept", &keep->name))
                return false;
        } else if (keep->value->form == EXPR_NAME) {
            keep->name = keep->value->name;
        } else {
            return expected(p, "`as` and a name for what is kept");
        }
        *end = keep;
        end = &keep->next;
    } while (now(p)->kind == TOKEN_COMMA);
    return true;
}

static bool parse_memory_clause(struct parser *p, struct syntax_memory *memory, uint32_t *seen)
{
    if (at_word(p, "from") && clause_once(p, seen, 0)) {
        advance(p);
        p->depth = p->nodes = 0;
        return parse_source(p, &memory->source);
    }
    if (at_word(p, "keep") && clause_once(p, seen, 1))
        return parse_keeps(p, memory);
    if (at_word(p, "for") && clause_once(p, seen, 2)) {
        advance(p);
        return need_duration(p, &memory->for_ms, &memory->for_span);
    }
    return expected(p, "`from`, `keep`, `for` or `}`");
}

static void parse_memory(struct parser *p)
{
    static const char *const clauses[] = {"from", "keep", "for", NULL};
    static const char *const missing[] = {"from", "keep", "for"};
    struct syntax_memory *memory = ARENA_NEW(p->arena, struct syntax_memory);
    uint32_t seen = 0;
    advance(p);
    if (!need_name(p, "the name of the memory", &memory->name) || !need_word(p, "for") || !need_word(p, "each") ||
        !need_name(p, "`account` or `pair`", &memory->key) || !need(p, TOKEN_OPEN))
        return;
    while (now(p)->kind != TOKEN_CLOSE && now(p)->kind != TOKEN_END && !at_block(p)) {
        uint32_t at = p->at;
        set_mark(p, MARK_CLAUSE);
        if (parse_memory_clause(p, memory, &seen))
            continue;
        memory->broken = true;
        if (p->at == at)
            advance(p);
        skip_to(p, clauses);
    }
    need(p, TOKEN_CLOSE);
    for (uint32_t i = 0; i < 3 && !memory->broken; i++) {
        if (seen >> i & 1)
            continue;
        diagnostic_add(p->diagnostics, DIAG_CLAUSE_MISSING, memory->name.span, "this memory has no `%s`", missing[i]);
        memory->broken = true;
    }
    struct syntax_memory **end = &p->syntax->memory;
    while (*end)
        end = &(*end)->next;
    *end = memory;
}

/* fact NAME for each party|account { FIELD TYPE … } from "topic or file.csv" */
static void parse_fact(struct parser *p)
{
    struct syntax_memory *fact = ARENA_NEW(p->arena, struct syntax_memory);
    fact->fact = true;
    advance(p);
    if (!need_name(p, "the name of the fact", &fact->name) || !need_word(p, "for") || !need_word(p, "each") ||
        !need_name(p, "`account` or `party`", &fact->key) || !need(p, TOKEN_OPEN))
        return;
    struct syntax_fact_field **field_end = &fact->field;
    while (now(p)->kind == TOKEN_WORD && !at_block(p)) {
        struct syntax_fact_field *field = ARENA_NEW(p->arena, struct syntax_fact_field);
        if (!need_name(p, "a field", &field->name) || !need_name(p, "the type of the field, for example `money`", &field->type))
            return;
        *field_end = field;
        field_end = &field->next;
    }
    if (!need(p, TOKEN_CLOSE) || !need_word(p, "from") || !need_string(p, "a topic, or a file such as \"facts/income.csv\"", &fact->from))
        return;
    if (!fact->field)
        diagnostic_add(p->diagnostics, DIAG_CLAUSE_MISSING, fact->name.span, "this fact has no fields");
    struct syntax_memory **end = &p->syntax->memory;
    while (*end)
        end = &(*end)->next;
    *end = fact;
}

static bool parse_alert(struct parser *p, struct syntax_typology *typology)
{
    advance(p);
    if (!need_word(p, "at") || !need_integer(p, 1, 1000000, "a number of points", &typology->points) || !need_word(p, "points"))
        return false;
    typology->indicators = typology->families = 1;
    if (take_word(p, "from")) {
        if (!need_integer(p, 1, 100, "a number of indicators", &typology->indicators) ||
            (!take_word(p, "indicator") && !need_word(p, "indicators")))
            return false;
    }
    if (take_word(p, "in")) {
        if (!need_integer(p, 1, 12, "a number of families", &typology->families) ||
            (!take_word(p, "family") && !need_word(p, "families")))
            return false;
    }
    if (take_word(p, "including"))
        return need_name(p, "a family", &typology->including);
    return true;
}

static bool parse_typology_clause(struct parser *p, struct syntax_typology *typology, uint32_t *seen)
{
    if (at_word(p, "offence") && clause_once(p, seen, 0)) {
        advance(p);
        return need_name(p, "an offence", &typology->offence);
    }
    if (at_word(p, "alert") && clause_once(p, seen, 1))
        return parse_alert(p, typology);
    if (at_word(p, "half_life") && clause_once(p, seen, 2)) {
        advance(p);
        return need_duration(p, &typology->half_life_ms, NULL);
    }
    if (at_word(p, "cap") && clause_once(p, seen, 3)) {
        advance(p);
        return need_integer(p, 1, 1000000, "a number of points", &typology->cap) && need_word(p, "points") &&
               need_word(p, "per") && need_word(p, "family");
    }
    if (at_word(p, "urgent") && clause_once(p, seen, 4)) {
        advance(p);
        typology->urgent = true;
        return true;
    }
    return expected(p, "`offence`, `alert`, `half_life`, `cap`, `urgent` or `}`");
}

static void parse_typology(struct parser *p)
{
    static const char *const clauses[] = {"offence", "alert", "half_life", "cap", "urgent", NULL};
    struct syntax_typology *typology = ARENA_NEW(p->arena, struct syntax_typology);
    uint32_t seen = 0;
    advance(p);
    if (!need_name(p, "the name of the typology", &typology->name) ||
        !need_string(p, "the title of the typology in quotes", &typology->title) || !need(p, TOKEN_OPEN))
        return;
    while (now(p)->kind != TOKEN_CLOSE && now(p)->kind != TOKEN_END && !at_block(p)) {
        uint32_t at = p->at;
        set_mark(p, MARK_CLAUSE);
        if (parse_typology_clause(p, typology, &seen))
            continue;
        typology->broken = true;
        if (p->at == at)
            advance(p);
        skip_to(p, clauses);
    }
    need(p, TOKEN_CLOSE);
    if (!typology->broken && (seen & 3) != 3) {
        diagnostic_add(p->diagnostics, DIAG_CLAUSE_MISSING, typology->name.span, "this typology has no `%s`",
                       seen & 1 ? "alert" : "offence");
        typology->broken = true;
    }
    struct syntax_typology **end = &p->syntax->typology;
    while (*end)
        end = &(*end)->next;
    *end = typology;
}

static void parse_file(struct parser *p)
{
    static const char *const none[] = {NULL};
    static const struct {
        const char *word;
        void (*parse)(struct parser *p);
    } blocks[] = {{"ruleset", parse_ruleset},   {"list", parse_list}, {"text", parse_text}, {"memory", parse_memory}, {"fact", parse_fact},
                  {"typology", parse_typology}, {"rule", parse_rule}, {"test", parse_test}};
    while (now(p)->kind != TOKEN_END) {
        uint32_t at = p->at;
        uint32_t errors = diagnostics_errors(p->diagnostics);
        set_mark(p, MARK_BLOCK);
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks && p->at == at; i++)
            if (at_word(p, blocks[i].word))
                blocks[i].parse(p);
        if (p->at == at) {
            expected(p, "`ruleset`, `list`, `text`, `memory`, `fact`, `typology`, `rule` or `test`");
            advance(p);
        }
        if (errors == diagnostics_errors(p->diagnostics))
            continue;
        /* what the block left over is no block of its own */
        while (now(p)->kind != TOKEN_END && !at_block(p)) {
            skip_to(p, none);
            if (!at_block(p))
                advance(p);
        }
    }
}

struct syntax *syntax_parse(const struct source_file *file, uint16_t count, struct diagnostics *diagnostics)
{
    struct syntax *syntax = calloc(1, sizeof *syntax);
    invariant(syntax != NULL);
    arena_init(&syntax->arena);
    syntax->file = ARENA_ARRAY(&syntax->arena, struct source_file, count + 1);
    syntax->file_count = count;
    struct parser p = {.syntax = syntax, .arena = &syntax->arena, .diagnostics = diagnostics};
    for (uint16_t i = 0; i < count; i++) {
        syntax->file[i] = (struct source_file){arena_copy(&syntax->arena, file[i].name), arena_copy(&syntax->arena, file[i].text)};
        uint16_t number = diagnostics_add_file(diagnostics, file[i].name, file[i].text);
        if (file[i].text.size > LIMIT_FILE_BYTES) {
            diagnostic_add(diagnostics, DIAG_FILE_UNREADABLE, (struct span){0, 1, number}, "a rule file has at most 1 MiB");
            continue;
        }
        p.token = lex(p.arena, diagnostics, number, syntax->file[i].text, &p.count);
        p.at = 0;
        parse_file(&p);
    }
    return syntax;
}

bool parse_marked(struct arena *arena, struct slice name, struct slice text, struct diagnostics *diagnostics, const struct token **token,
                  const uint8_t **mark, uint32_t *count)
{
    struct syntax *syntax = calloc(1, sizeof *syntax);
    uint32_t before = diagnostics_errors(diagnostics);
    invariant(syntax != NULL);
    arena_init(&syntax->arena);
    syntax->file = ARENA_ARRAY(arena, struct source_file, 1);
    syntax->file_count = 1;
    syntax->file[0] = (struct source_file){name, text};
    uint16_t number = diagnostics_add_file(diagnostics, name, text);
    invariant(number == 0); /* spans name the only file */
    struct parser p = {.syntax = syntax, .arena = &syntax->arena, .diagnostics = diagnostics};
    if (text.size > LIMIT_FILE_BYTES) {
        diagnostic_add(diagnostics, DIAG_FILE_UNREADABLE, (struct span){0, 1, number}, "a rule file has at most 1 MiB");
    } else {
        p.token = lex(arena, diagnostics, number, text, &p.count);
        p.mark = ARENA_ARRAY(arena, uint8_t, p.count + 1);
        parse_file(&p);
    }
    syntax_free(syntax);
    *token = p.token;
    *mark = p.mark;
    *count = p.count;
    return diagnostics_errors(diagnostics) == before;
}

void syntax_free(struct syntax *syntax)
{
    if (!syntax)
        return;
    arena_fini(&syntax->arena);
    free(syntax);
}
