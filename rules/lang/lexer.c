/* Cuts rule text into tokens. */
#include "rules/lang/lexer.h"

#include "engine/base/invariant.h"
#include "rules/lang/limit.h"

#include <stdlib.h>

struct lexer {
    struct arena *arena;
    struct diagnostics *diagnostics;
    struct slice text;
    uint16_t file;
    size_t at;
    size_t ended; /* where the last token ended */
    struct token *token;
    uint32_t count, room;
};

const char *token_says(enum token_kind kind)
{
    static const char *const says[] = {
#define TOKEN(name, text) text,
#include "rules/lang/token.def"
#undef TOKEN
    };
    return says[kind];
}

static int peek(const struct lexer *lx, size_t ahead)
{
    return lx->at + ahead < lx->text.size ? (unsigned char)lx->text.data[lx->at + ahead] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_capital(int c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_letter(int c)
{
    return is_capital(c) || (c >= 'a' && c <= 'z') || c == '_';
}

static struct span span_from(const struct lexer *lx, size_t from)
{
    return (struct span){(uint32_t)from, (uint32_t)(lx->at - from), lx->file};
}

static struct token *push(struct lexer *lx, enum token_kind kind, size_t from)
{
    if (lx->count == lx->room) {
        lx->room = lx->room ? lx->room * 2 : 256;
        lx->token = realloc(lx->token, lx->room * sizeof *lx->token);
        invariant(lx->token != NULL);
    }
    struct token *token = &lx->token[lx->count++];
    *token = (struct token){.kind = kind, .span = span_from(lx, from), .glued = lx->count > 1 && from == lx->ended};
    token->text = (struct slice){lx->text.data + from, lx->at - from};
    lx->ended = lx->at;
    return token;
}

/* One code point; -1 when the bytes are no UTF-8 (overlong, surrogate, cut). */
static int32_t point_at(struct slice text, size_t at, size_t *size)
{
    const unsigned char *s = (const unsigned char *)text.data + at;
    size_t left = text.size - at;
    *size = 1;
    if (s[0] < 0x80)
        return s[0];
    size_t want = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || left < want)
        return -1;
    int32_t point = s[0] & (0x7F >> want);
    for (size_t i = 1; i < want; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return -1;
        point = point << 6 | (s[i] & 0x3F);
    }
    static const int32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < least[want] || (point >= 0xD800 && point < 0xE000) || point > 0x10FFFF)
        return -1;
    *size = want;
    return point;
}

static bool is_hidden(int32_t c)
{
    return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x200E || c == 0x200F || c == 0x61C;
}

static bool is_odd_space(int32_t c)
{
    return c == 0xA0 || c == 0x202F || c == 0x3000 || (c >= 0x2000 && c <= 0x200B) || c == 0xFEFF;
}

static bool is_other_digit(int32_t c)
{
    return (c >= 0xFF10 && c <= 0xFF19) || (c >= 0x660 && c <= 0x669) || (c >= 0x6F0 && c <= 0x6F9);
}

static bool is_double_quote(int32_t c)
{
    return c == '"' || (c >= 0x201C && c <= 0x201F) || c == 0xAB || c == 0xBB;
}

/* NUL and bad UTF-8 are reported once per run of such bytes; the text is read on behind them. */
static void check_bytes(struct lexer *lx)
{
    uint32_t found = 0;
    for (size_t at = 0, size; at < lx->text.size && found < LIMIT_DIAGNOSTICS; at += size) {
        int32_t c = point_at(lx->text, at, &size);
        if (c > 0)
            continue;
        struct span span = {(uint32_t)at, 1, lx->file};
        struct diagnostic *d = diagnostic_add(lx->diagnostics, c == 0 ? DIAG_NUL_BYTE : DIAG_BAD_UTF8, span,
                                              c == 0 ? "a NUL byte in the text" : "these bytes are not UTF-8");
        diagnostic_help(lx->diagnostics, d, "save the file as plain UTF-8 text");
        found++;
        while (at + size < lx->text.size && point_at(lx->text, at + size, &(size_t){0}) == c)
            size++;
    }
}

static void skip_comment(struct lexer *lx)
{
    while (lx->at < lx->text.size && lx->text.data[lx->at] != '\n') {
        size_t size;
        int32_t c = point_at(lx->text, lx->at, &size);
        size_t from = lx->at;
        lx->at += size;
        if (is_hidden(c))
            diagnostic_add(lx->diagnostics, DIAG_HIDDEN_MARK, span_from(lx, from), "a hidden direction mark (U+%04X)",
                           (unsigned)c);
    }
}

static void lex_string(struct lexer *lx)
{
    size_t from = lx->at, size;
    point_at(lx->text, lx->at, &size);
    lx->at += size;
    size_t body = lx->at;
    while (lx->at < lx->text.size && lx->text.data[lx->at] != '\n') {
        int32_t c = point_at(lx->text, lx->at, &size);
        if (!is_double_quote(c)) {
            lx->at += size;
            continue;
        }
        size_t end = lx->at;
        lx->at += size;
        struct token *token = push(lx, TOKEN_STRING, from);
        token->text = (struct slice){lx->text.data + body, end - body};
        if (token->text.size > LIMIT_STRING)
            diagnostic_add(lx->diagnostics, DIAG_LIMIT, token->span, "a text of more than %d bytes", LIMIT_STRING);
        return;
    }
    struct diagnostic *d = diagnostic_add(lx->diagnostics, DIAG_OPEN_STRING, (struct span){(uint32_t)from, 1, lx->file},
                                          "this text has no closing quote");
    diagnostic_help(lx->diagnostics, d, "a text ends on the line on which it began");
    size_t end = lx->at;
    while (end > body && lx->text.data[end - 1] == '\r')
        end--;
    push(lx, TOKEN_STRING, from)->text = (struct slice){lx->text.data + body, end - body};
}

static bool token_is(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD && slice_equal(token->text, slice_of(word));
}

static bool regex_may_begin(const struct lexer *lx)
{
    if (lx->count == 0)
        return false;
    const struct token *last = &lx->token[lx->count - 1];
    return last->kind == TOKEN_COMMA || token_is(last, "any") || token_is(last, "never");
}

static void lex_regex(struct lexer *lx)
{
    size_t from = lx->at++;
    bool in_class = false;
    for (; lx->at < lx->text.size && lx->text.data[lx->at] != '\n'; lx->at++) {
        int c = peek(lx, 0);
        if (c == '\\' && peek(lx, 1) >= 0 && peek(lx, 1) != '\n')
            lx->at++;
        else if (c == '[')
            in_class = true;
        else if (c == ']')
            in_class = false;
        else if (c == '/' && !in_class)
            break;
    }
    size_t end = lx->at;
    if (peek(lx, 0) != '/') {
        diagnostic_add(lx->diagnostics, DIAG_OPEN_PATTERN, (struct span){(uint32_t)from, 1, lx->file},
                       "this pattern has no closing slash");
    } else {
        lx->at++;
    }
    bool caseless = peek(lx, 0) == 'i' && !is_letter(peek(lx, 1)) && !is_digit(peek(lx, 1));
    if (caseless)
        lx->at++;
    struct token *token = push(lx, TOKEN_REGEX, from);
    token->caseless = caseless;
    token->text = (struct slice){lx->text.data + from + 1, end - from - 1};
}

static void lex_word(struct lexer *lx)
{
    size_t from = lx->at;
    bool capital = true;
    for (;;) {
        int c = peek(lx, 0);
        if (is_letter(c) || is_digit(c)) {
            capital &= !(c >= 'a' && c <= 'z');
            lx->at++;
        } else if (c == '.' && is_letter(peek(lx, 1))) {
            lx->at++;
        } else if (c == '-' && capital && (is_capital(peek(lx, 1)) || is_digit(peek(lx, 1)))) {
            lx->at++;
        } else {
            break;
        }
    }
    struct token *token = push(lx, TOKEN_WORD, from);
    if (token->text.size > LIMIT_WORD) {
        diagnostic_add(lx->diagnostics, DIAG_LIMIT, token->span, "a name of more than %d bytes", LIMIT_WORD);
        token->text.size = LIMIT_WORD;
    }
}

static void bad_number(struct lexer *lx, size_t from, const char *help)
{
    while (is_letter(peek(lx, 0)) || is_digit(peek(lx, 0)))
        lx->at++;
    struct token *token = push(lx, TOKEN_NUMBER, from);
    token->whole = true;
    token->value = 1;
    struct diagnostic *d = diagnostic_add(lx->diagnostics, DIAG_BAD_NUMBER, token->span, "this number cannot be read");
    diagnostic_help(lx->diagnostics, d, "%s", help);
}

static bool lex_date(struct lexer *lx)
{
    static const char form[] = "dddd-dd-dd";
    for (size_t i = 0; i < sizeof form - 1; i++)
        if (form[i] == 'd' ? !is_digit(peek(lx, i)) : peek(lx, i) != form[i])
            return false;
    const char *s = lx->text.data + lx->at;
    int year = (s[0] - '0') * 1000 + (s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0');
    int month = (s[5] - '0') * 10 + (s[6] - '0');
    int dom = (s[8] - '0') * 10 + (s[9] - '0');
    size_t from = lx->at;
    lx->at += sizeof form - 1;
    struct token *token = push(lx, TOKEN_DATE, from);
    static const int days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1970 || year > 2200 || month < 1 || month > 12 || dom < 1 || dom > days[month] + (leap && month == 2))
        diagnostic_add(lx->diagnostics, DIAG_BAD_DATE, token->span, "there is no such date");
    else
        token->value = civil_day(year, month, dom);
    return true;
}

static bool lex_clock(struct lexer *lx)
{
    size_t n = is_digit(peek(lx, 1)) ? 2 : 1;
    if (peek(lx, n) != ':' || !is_digit(peek(lx, n + 1)) || !is_digit(peek(lx, n + 2)))
        return false;
    size_t from = lx->at;
    int hour = 0;
    for (size_t i = 0; i < n; i++)
        hour = hour * 10 + (peek(lx, i) - '0');
    int minute = (peek(lx, n + 1) - '0') * 10 + (peek(lx, n + 2) - '0');
    lx->at += n + 3;
    struct token *token = push(lx, TOKEN_CLOCK, from);
    if (hour > 23 || minute > 59) {
        struct diagnostic *d = diagnostic_add(lx->diagnostics, DIAG_BAD_NUMBER, token->span, "there is no such time of day");
        diagnostic_help(lx->diagnostics, d, "times of day go from 00:00 to 23:59");
    }
    token->value = ((int64_t)hour * 60 + minute) * 60000;
    return true;
}

static int64_t unit_ms(int unit)
{
    switch (unit) {
    case 's':
        return 1000;
    case 'm':
        return 60 * 1000;
    case 'h':
        return 3600 * 1000;
    case 'd':
        return MS_PER_DAY;
    default:
        return 0;
    }
}

/* What stands glued to the digits: a percent sign or a unit of time; other letters are an error. */
static bool lex_unit(struct lexer *lx, size_t from, int64_t value, size_t decimals, bool point)
{
    int next = peek(lx, 0);
    if (next == '%') {
        for (size_t i = decimals; i < 4; i++)
            value = value > INT64_MAX / 10 ? INT64_MAX : value * 10;
        lx->at++;
        if (decimals > 4 || value > (int64_t)1000000 * 1000000) {
            bad_number(lx, from, "percentages have at most four decimals and are at most 100_000_000%");
            return true;
        }
        push(lx, TOKEN_PERCENT, from)->value = value;
        return true;
    }
    int64_t unit = unit_ms(next);
    if (unit && !is_letter(peek(lx, 1)) && !is_digit(peek(lx, 1))) {
        lx->at++;
        if (point || value > (int64_t)10000 * MS_PER_DAY / unit) {
            bad_number(lx, from, "lengths of time are whole: 30s, 6m, 12h, 35d");
            return true;
        }
        push(lx, TOKEN_DURATION, from)->value = value * unit;
        return true;
    }
    if (is_letter(next)) {
        bad_number(lx, from, "write a space before a word; lengths of time are 30s, 6m, 12h, 35d");
        return true;
    }
    return false;
}

/* digits with `_` and at most one point; a percentage or length of time when its sign is glued on. */
static void lex_number(struct lexer *lx)
{
    if (lex_date(lx) || lex_clock(lx))
        return;
    size_t from = lx->at;
    char *digits = arena_bytes(lx->arena, 32);
    size_t size = 0, decimals = 0;
    int64_t value = 0;
    bool point = false;
    for (;; lx->at++) {
        int c = peek(lx, 0);
        if (c == '_' && is_digit(peek(lx, 1)))
            continue;
        if (c == '.' && !point && is_digit(peek(lx, 1)))
            point = true;
        else if (!is_digit(c))
            break;
        if (size >= 18) {
            bad_number(lx, from, "numbers have at most 17 digits");
            return;
        }
        digits[size++] = (char)c;
        if (is_digit(c)) {
            value = value * 10 + (c - '0');
            decimals += point;
        }
    }
    if (lex_unit(lx, from, value, decimals, point))
        return;
    struct token *token = push(lx, TOKEN_NUMBER, from);
    token->text = (struct slice){digits, size};
    token->value = value;
    token->whole = !point;
}

/* Signs, longest first; a sign of other languages is explained and read as what it means. */
struct sign {
    const char *text;
    enum token_kind kind;
    const char *word;    /* read as this word */
    const char *instead; /* what to write */
};
static const struct sign signs[] = {
    {"->", TOKEN_ARROW, NULL, NULL},        {"..", TOKEN_RANGE, NULL, NULL},       {"==", TOKEN_EQ, NULL, "="},
    {"!=", TOKEN_NE, NULL, NULL},           {"<>", TOKEN_NE, NULL, "!="},          {"<=", TOKEN_LE, NULL, NULL},
    {">=", TOKEN_GE, NULL, NULL},           {"=>", TOKEN_GE, NULL, ">="},          {"=<", TOKEN_LE, NULL, "<="},
    {"&&", TOKEN_WORD, "and", "and"},       {"||", TOKEN_WORD, "or", "or"},        {"!", TOKEN_WORD, "not", "not"},
    {"{", TOKEN_OPEN, NULL, NULL},          {"}", TOKEN_CLOSE, NULL, NULL},        {"(", TOKEN_LEFT, NULL, NULL},
    {")", TOKEN_RIGHT, NULL, NULL},         {",", TOKEN_COMMA, NULL, NULL},        {"=", TOKEN_EQ, NULL, NULL},
    {"<", TOKEN_LT, NULL, NULL},            {">", TOKEN_GT, NULL, NULL},           {"+", TOKEN_PLUS, NULL, NULL},
    {"-", TOKEN_MINUS, NULL, NULL},         {"*", TOKEN_STAR, NULL, NULL},         {"/", TOKEN_SLASH, NULL, NULL},
    {"\xE2\x89\xA4", TOKEN_LE, NULL, NULL}, {"\xE2\x89\xA5", TOKEN_GE, NULL, NULL}, {"\xE2\x89\xA0", TOKEN_NE, NULL, NULL},
    {"\xE2\x86\x92", TOKEN_ARROW, NULL, NULL}, {"\xE2\x88\x92", TOKEN_MINUS, NULL, NULL},
    {"\xE2\x80\x93", TOKEN_MINUS, NULL, NULL}, {"\xC3\x97", TOKEN_STAR, NULL, NULL},
};

static bool lex_sign(struct lexer *lx)
{
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        const struct sign *sign = &signs[i];
        size_t size = strlen(sign->text);
        if (size > lx->text.size - lx->at || memcmp(lx->text.data + lx->at, sign->text, size) != 0)
            continue;
        size_t from = lx->at;
        lx->at += size;
        struct token *token = push(lx, sign->kind, from);
        if (sign->word)
            token->text = slice_of(sign->word);
        if (sign->instead) {
            struct diagnostic *d =
                diagnostic_add(lx->diagnostics, DIAG_SYNONYM, token->span, "`%s` is written `%s` here", sign->text, sign->instead);
            diagnostic_help(lx->diagnostics, d, "write `%s`", sign->instead);
        }
        return true;
    }
    return false;
}

static void lex_stray(struct lexer *lx, int32_t c, size_t size)
{
    size_t from = lx->at;
    lx->at += size;
    struct span span = span_from(lx, from);
    if (c <= 0)
        return; /* reported by check_bytes */
    if (is_hidden(c)) {
        diagnostic_add(lx->diagnostics, DIAG_HIDDEN_MARK, span, "a hidden direction mark (U+%04X)", (unsigned)c);
        return;
    }
    if (is_other_digit(c)) {
        while (lx->at < lx->text.size && is_other_digit(point_at(lx->text, lx->at, &size)))
            lx->at += size;
        struct diagnostic *d = diagnostic_add(lx->diagnostics, DIAG_OTHER_DIGIT, span_from(lx, from), "digits of another script");
        diagnostic_help(lx->diagnostics, d, "write numbers with the digits 0 to 9");
        struct token *token = push(lx, TOKEN_NUMBER, from);
        token->whole = true;
        token->value = 1;
        return;
    }
    struct diagnostic *d = diagnostic_add(lx->diagnostics, DIAG_STRAY_CHARACTER, span, "this character means nothing here");
    if (c == '\'' || c == 0x2018 || c == 0x2019)
        diagnostic_help(lx->diagnostics, d, "texts stand in double quotes");
    else if (c == ';')
        diagnostic_help(lx->diagnostics, d, "no sign is needed at the end of a line");
    else if (c == '[' || c == ']')
        diagnostic_help(lx->diagnostics, d, "ranges are written low..high");
}

static void lex_next(struct lexer *lx)
{
    size_t size;
    int32_t c = point_at(lx->text, lx->at, &size);
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || is_odd_space(c))
        lx->at += size;
    else if (c == '#')
        skip_comment(lx);
    else if (is_letter(c))
        lex_word(lx);
    else if (is_digit(c))
        lex_number(lx);
    else if (is_double_quote(c))
        lex_string(lx);
    else if (c == '/' && regex_may_begin(lx))
        lex_regex(lx);
    else if (!lex_sign(lx))
        lex_stray(lx, c, size);
}

struct token *lex(struct arena *arena, struct diagnostics *diagnostics, uint16_t file, struct slice text, uint32_t *count)
{
    struct lexer lx = {.arena = arena, .diagnostics = diagnostics, .text = text, .file = file};
    check_bytes(&lx);
    while (lx.at < lx.text.size)
        lex_next(&lx);
    push(&lx, TOKEN_END, lx.at);
    struct token *token = ARENA_ARRAY(arena, struct token, lx.count);
    memcpy(token, lx.token, sizeof *token * lx.count);
    free(lx.token);
    *count = lx.count;
    return token;
}
