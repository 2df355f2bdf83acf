/* Writes a rule file's tokens and comments in the one layout. */
#include "rules/lang/layout.h"

#include "engine/base/invariant.h"
#include "rules/lang/parser.h"

#include <stdlib.h>

enum { COLUMNS_MAX = 4, INDENT = 2, FURTHER = 2 };

/* A clause, or the head or foot of a block: tokens [from, to). */
struct piece {
    uint32_t from, to;
    uint8_t shape;  /* enum shape */
    uint8_t group;  /* clauses of different groups are parted by an empty line */
    bool joins;     /* stands on the line of the clause before */
};

/* How a clause is cut into columns; clauses of one shape that follow each other share their widths. */
enum shape { SHAPE_PLAIN, SHAPE_WORD, SHAPE_PARAM, SHAPE_LET, SHAPE_LIST, SHAPE_STEP };

struct columns {
    uint32_t from[COLUMNS_MAX + 1]; /* tokens of column c: [from[c], from[c + 1]) */
    uint32_t count;
};

struct layout {
    struct arena *arena;
    struct slice text;
    const struct token *token;
    const uint8_t *mark;
    uint32_t count;
    FILE *out;
    bool line_open;  /* something stands on the line being written */
    bool fresh;      /* nothing has been written yet */
};

/* --- between tokens --- */

/* Comments between token i - 1 and token i. */
struct gap {
    struct slice rest;
    bool own_line;   /* the next comment stands on a line of its own */
};

static uint32_t token_end(const struct token *token)
{
    return token->span.at + token->span.size;
}

static struct gap gap_before(const struct layout *l, uint32_t i)
{
    uint32_t from = i ? token_end(&l->token[i - 1]) : 0, to = l->token[i].span.at;
    return (struct gap){{l->text.data + from, to - from}, i == 0};
}

/* The next comment of the gap, from its `#` on, without blanks behind it; *blank_lines counts empty lines before it. */
static bool gap_next(struct gap *gap, struct slice *comment, bool *own_line, uint32_t *blank_lines)
{
    uint32_t ends = 0;
    size_t at = 0;
    for (; at < gap->rest.size && gap->rest.data[at] != '#'; at++)
        ends += gap->rest.data[at] == '\n';
    *own_line = gap->own_line || ends > 0;
    *blank_lines = ends > 1 ? ends - 1 : 0;
    if (at == gap->rest.size)
        return false;
    const char *begin = gap->rest.data + at;
    const char *end = memchr(begin, '\n', gap->rest.size - at);
    size_t size = end ? (size_t)(end - begin) : gap->rest.size - at;
    gap->rest = (struct slice){begin + size, gap->rest.size - at - size};
    gap->own_line = false;
    while (size && (begin[size - 1] == '\r' || begin[size - 1] == ' ' || begin[size - 1] == '\t'))
        size--;
    *comment = (struct slice){begin, size};
    return true;
}

/* --- one token after the other --- */

static const char *sign_of(enum token_kind kind)
{
    switch (kind) {
    case TOKEN_OPEN:
        return "{";
    case TOKEN_CLOSE:
        return "}";
    case TOKEN_LEFT:
        return "(";
    case TOKEN_RIGHT:
        return ")";
    case TOKEN_COMMA:
        return ",";
    case TOKEN_RANGE:
        return "..";
    case TOKEN_EQ:
        return "=";
    case TOKEN_NE:
        return "!=";
    case TOKEN_LT:
        return "<";
    case TOKEN_LE:
        return "<=";
    case TOKEN_GT:
        return ">";
    case TOKEN_GE:
        return ">=";
    case TOKEN_PLUS:
        return "+";
    case TOKEN_MINUS:
        return "-";
    case TOKEN_STAR:
        return "*";
    case TOKEN_SLASH:
        return "/";
    case TOKEN_ARROW:
        return "->";
    default:
        return NULL;
    }
}

/* What an author may write in several ways comes out in one: signs, quotes. */
static struct slice token_text(const struct layout *l, const struct token *token)
{
    const char *sign = sign_of(token->kind);
    if (sign)
        return slice_of(sign);
    if (token->kind == TOKEN_WORD)
        return token->text;
    if (token->kind == TOKEN_STRING)
        return arena_format(l->arena, "\"%.*s\"", (int)token->text.size, token->text.data);
    return (struct slice){l->text.data + token->span.at, token->span.size};
}

static bool is_literal(const struct token *token)
{
    return token->kind == TOKEN_NUMBER || token->kind == TOKEN_PERCENT || token->kind == TOKEN_DURATION || token->kind == TOKEN_CLOCK;
}

static bool is_currency(const struct token *token)
{
    return token->kind == TOKEN_WORD && token->text.size == 3 && currency_parse(token->text) != 0;
}

static bool is_arithmetic(enum token_kind kind)
{
    return kind == TOKEN_STAR || kind == TOKEN_SLASH || kind == TOKEN_PLUS || kind == TOKEN_MINUS;
}

/* Does a plain literal end at token i (80%, 300 USD), with nothing calculated before it? */
static bool literal_ends(const struct layout *l, uint32_t i)
{
    uint32_t first = is_currency(&l->token[i]) && i > 0 && l->token[i - 1].kind == TOKEN_NUMBER ? i - 1 : i;
    return is_literal(&l->token[first]) && (first == 0 || !is_arithmetic(l->token[first - 1].kind));
}

static bool literal_begins(const struct layout *l, uint32_t i)
{
    if (!is_literal(&l->token[i]))
        return false;
    uint32_t behind = l->token[i].kind == TOKEN_NUMBER && is_currency(&l->token[i + 1]) ? i + 2 : i + 1;
    return behind >= l->count || !is_arithmetic(l->token[behind].kind);
}

/* A minus that is a sign: nothing that could be subtracted from stands before it. */
static bool is_signed(const struct layout *l, uint32_t i)
{
    if (l->token[i].kind != TOKEN_MINUS || i == 0)
        return false;
    const struct token *before = &l->token[i - 1];
    if (before->kind == TOKEN_WORD)
        return word_is(before, "points") || word_is(before, "in") || word_is(before, "and") || word_is(before, "or") || word_is(before, "not") ||
               word_is(before, "when") || word_is(before, "unless") || word_is(before, "where") || word_is(before, "default");
    return !is_literal(before) && before->kind != TOKEN_RIGHT && before->kind != TOKEN_DATE && before->kind != TOKEN_STRING;
}

/* Is there a blank between token i - 1 and token i? In a test's payments arrows stand apart and stars do not. */
static bool blank_before(const struct layout *l, uint32_t i, bool step)
{
    const struct token *before = &l->token[i - 1], *token = &l->token[i];
    if (token->kind == TOKEN_COMMA || token->kind == TOKEN_RIGHT || before->kind == TOKEN_LEFT)
        return false;
    if (token->kind == TOKEN_LEFT)
        return !word_is(before, "age");
    if (token->kind == TOKEN_RANGE)
        return !(literal_ends(l, i - 1) && literal_begins(l, i + 1));
    if (before->kind == TOKEN_RANGE)
        return !(literal_ends(l, i - 2) && literal_begins(l, i));
    if (is_signed(l, i - 1))
        return false;
    if (token->kind == TOKEN_ARROW && !step)
        return !token->glued;
    if (before->kind == TOKEN_ARROW && !step)
        return !token->glued;
    return !(step && token->kind == TOKEN_STAR && token->glued);
}

/* May a line end before token i? */
static bool breaks_before(const struct layout *l, uint32_t i, uint32_t depth)
{
    if (depth == 0 && (word_is(&l->token[i], "and") || word_is(&l->token[i], "or") || word_is(&l->token[i], "where")))
        return true;
    if (word_is(&l->token[i], "until") || word_is(&l->token[i], "because"))
        return true;
    return l->token[i - 1].kind == TOKEN_COMMA;
}

static size_t width_of(struct slice text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.size; i++)
        width += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return width;
}

/* Tokens [from, to) on one line. */
static struct slice joined(const struct layout *l, uint32_t from, uint32_t to, bool step)
{
    struct slice all = {"", 0};
    for (uint32_t i = from; i < to; i++) {
        struct slice text = token_text(l, &l->token[i]);
        all = arena_format(l->arena, "%.*s%s%.*s", (int)all.size, all.data, i > from && blank_before(l, i, step) ? " " : "", (int)text.size,
                           text.data);
    }
    return all;
}

/* --- writing lines --- */

static void put(struct layout *l, struct slice text)
{
    fwrite(text.data, 1, text.size, l->out);
    l->line_open = l->line_open || text.size > 0;
}

static void end_line(struct layout *l)
{
    if (l->line_open)
        fputc('\n', l->out);
    l->line_open = false;
    l->fresh = false;
}

static void empty_line(struct layout *l)
{
    end_line(l);
    fputc('\n', l->out);
}

static void indent(struct layout *l, size_t columns)
{
    fprintf(l->out, "%*s", (int)columns, "");
}

/* Tokens [from, to), which begin at column `at`; lines that grow too long go on at column `further`. */
static void put_wrapped(struct layout *l, uint32_t from, uint32_t to, size_t at, size_t further, bool step)
{
    uint32_t depth = 0;
    for (uint32_t i = from; i < to;) {
        uint32_t next = i;
        uint32_t depth_next = depth;
        do {
            depth_next += l->token[next].kind == TOKEN_LEFT;
            depth_next -= l->token[next].kind == TOKEN_RIGHT;
            next++;
        } while (next < to && !breaks_before(l, next, depth_next));
        struct slice part = joined(l, i, next, step);
        bool blank = i > from && blank_before(l, i, step);
        size_t width = width_of(part);
        if (i > from && at + blank + width > LAYOUT_WIDTH) {
            end_line(l);
            indent(l, further);
            at = further;
        } else if (blank) {
            put(l, SLICE(" "));
            at++;
        }
        put(l, part);
        at += width;
        depth = depth_next;
        i = next;
    }
}

/* --- clauses --- */

static bool is_rule_head(const struct token *token)
{
    return word_is(token, "source") || word_is(token, "why") || word_is(token, "owner");
}

/* Shape, group and joining of a clause, by its first word; `before` is the clause before it or NULL. */
static void judge_clause(const struct layout *l, struct piece *piece, const struct token *block, const struct piece *before)
{
    static const char *const heads[] = {"version", "status", "typology", "family", "evidence", "source", "why", "owner", "review", NULL};
    const struct token *word = &l->token[piece->from], *last = before ? &l->token[before->from] : NULL;
    if (word_is(block, "test")) {
        piece->shape = SHAPE_STEP;
        return;
    }
    piece->shape = SHAPE_WORD;
    if (!word_is(block, "rule"))
        return;
    piece->shape = is_rule_head(word) ? SHAPE_WORD : SHAPE_PLAIN;
    if (word_is(word, "param"))
        piece->shape = SHAPE_PARAM;
    if (word_is(word, "let"))
        piece->shape = SHAPE_LET;
    piece->group = word_in(word->text, heads) ? 0 : word_is(word, "param") ? 1 : word_is(word, "for") || word_is(word, "let") ? 2 : 3;
    piece->joins = last && ((word_is(word, "status") && word_is(last, "version")) || (word_is(word, "family") && word_is(last, "typology")) ||
                            (word_is(word, "evidence") && (word_is(last, "family") || word_is(last, "typology"))) ||
                            (word_is(word, "review") && word_is(last, "owner")));
}

/* Width of the first column where it is the same throughout a kind of block. */
static size_t word_width(const struct token *block)
{
    static const struct {
        const char *block;
        size_t width;
    } rows[] = {{"ruleset", 8}, {"typology", 9}, {"memory", 4}, {"text", 5}, {"rule", 6}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (word_is(block, rows[i].block))
            return rows[i].width;
    return 0;
}

static struct columns columns_of(const struct layout *l, const struct piece *piece)
{
    struct columns c = {.from = {piece->from, piece->to}, .count = 1};
    uint32_t from = piece->from, size = piece->to - piece->from;
    switch ((enum shape)piece->shape) {
    case SHAPE_WORD: /* the first word, or `alert at` */
        c.from[1] = from + (word_is(&l->token[from], "alert") && size > 1 ? 2 : 1);
        break;
    case SHAPE_PARAM: /* param NAME | = VALUE | in RANGE */
        c.from[1] = from + 2;
        for (uint32_t i = from; i < piece->to; i++)
            if (word_is(&l->token[i], "in") && i > from + 2 && c.count < 2) {
                c.from[2] = i;
                c.count = 2;
            }
        break;
    case SHAPE_LET: /* let NAME | = … */
        c.from[1] = from + 2;
        break;
    case SHAPE_LIST: /* list NAME | of TYPE | from PATH | stale after SPAN */
        for (c.count = 0; c.count < COLUMNS_MAX && c.count * 2 < size; c.count++)
            c.from[c.count] = from + c.count * 2;
        c.from[c.count] = piece->to;
        return c;
    default:
        return c;
    }
    if (c.from[1] >= piece->to)
        return (struct columns){.from = {piece->from, piece->to}, .count = 1};
    c.from[++c.count] = piece->to;
    return c;
}

/* Widths of all but the last column over the run of clauses of one shape around `at`. */
static void run_widths(const struct layout *l, const struct piece *piece, uint32_t count, uint32_t at, const struct token *block,
                       size_t width[COLUMNS_MAX])
{
    uint32_t first = at, end = at + 1;
    memset(width, 0, sizeof *width * COLUMNS_MAX);
    if (piece[at].shape == SHAPE_WORD) {
        width[0] = word_width(block);
        return;
    }
    while (first > 0 && piece[first - 1].shape == piece[at].shape)
        first--;
    while (end < count && piece[end].shape == piece[at].shape)
        end++;
    for (uint32_t p = first; p < end; p++) {
        struct columns c = columns_of(l, &piece[p]);
        for (uint32_t i = 0; i + 1 < c.count; i++) {
            size_t wide = width_of(joined(l, c.from[i], c.from[i + 1], false));
            width[i] = wide > width[i] ? wide : width[i];
        }
    }
}

static void put_columns(struct layout *l, const struct piece *piece, const size_t width[COLUMNS_MAX], size_t at)
{
    struct columns c = columns_of(l, piece);
    for (uint32_t i = 0; i + 1 < c.count; i++) {
        struct slice cell = joined(l, c.from[i], c.from[i + 1], false);
        size_t wide = width_of(cell), want = width[i] > wide ? width[i] : wide;
        put(l, cell);
        fprintf(l->out, "%*s", (int)(want - wide + 1), "");
        at += want + 1;
    }
    /* behind the `=` of a let, behind the first word of another clause */
    uint32_t from = c.from[c.count - 1];
    size_t first = piece->shape == SHAPE_LET || piece->shape == SHAPE_PLAIN ? width_of(token_text(l, &l->token[from])) + 1 : 0;
    put_wrapped(l, from, piece->to, at, at + first + FURTHER, piece->shape == SHAPE_STEP);
}

/* A test's payment: its timing, two blanks, who pays whom. */
static void put_step(struct layout *l, const struct piece *piece, size_t at)
{
    uint32_t from = piece->from;
    while (from < piece->to && (word_is(&l->token[from], "after") || word_is(&l->token[from], "every")))
        from += word_is(&l->token[from], "after") ? 2 : 4;
    bool payment = !word_is(&l->token[piece->from], "start") && !word_is(&l->token[piece->from], "given") && !word_is(&l->token[piece->from], "expect");
    if (!payment) {
        put_wrapped(l, piece->from, piece->to, at, at + 2 * INDENT, false);
        return;
    }
    if (from > piece->from) {
        struct slice timing = joined(l, piece->from, from, false);
        put(l, timing);
        put(l, SLICE("  "));
        at += width_of(timing) + 2;
    }
    put_wrapped(l, from, piece->to, at, INDENT + 2 * INDENT, true);
}

/* --- comments --- */

/* Comments of the gap before token i: the one behind the line just written, then those on lines of their own.
 * `blanks` keeps single empty lines among them, as between blocks. */
static void put_comments(struct layout *l, uint32_t i, size_t columns, bool blanks)
{
    struct gap gap = gap_before(l, i);
    struct slice comment;
    bool own_line, first = true;
    uint32_t blank_lines;
    while (gap_next(&gap, &comment, &own_line, &blank_lines)) {
        if (first && !own_line && l->line_open) {
            put(l, SLICE("  "));
            put(l, comment);
        } else {
            end_line(l);
            if (blanks && blank_lines && !first)
                empty_line(l);
            indent(l, columns);
            put(l, comment);
        }
        first = false;
    }
    end_line(l);
}

static bool has_comment(const struct layout *l, uint32_t i)
{
    struct slice rest = gap_before(l, i).rest;
    return rest.size && memchr(rest.data, '#', rest.size);
}

static bool has_own_comments(const struct layout *l, uint32_t i)
{
    struct gap gap = gap_before(l, i);
    struct slice comment;
    bool own_line;
    uint32_t blank_lines;
    while (gap_next(&gap, &comment, &own_line, &blank_lines))
        if (own_line)
            return true;
    return false;
}

static void put_trailing(struct layout *l, uint32_t i)
{
    struct gap gap = gap_before(l, i);
    struct slice comment;
    bool own_line;
    uint32_t blank_lines;
    if (gap_next(&gap, &comment, &own_line, &blank_lines) && !own_line) {
        put(l, SLICE("  "));
        put(l, comment);
    }
    end_line(l);
}

/* Comments before the tokens [from, to) on lines of their own. The one on the line before token `begin` is left
 * out: put_trailing has written it. */
static void put_own_comments(struct layout *l, uint32_t begin, uint32_t from, uint32_t to, size_t columns, bool blanks)
{
    for (uint32_t at = from; at < to; at++) {
        struct gap gap = gap_before(l, at);
        struct slice comment;
        bool own_line, first = true, written = false;
        uint32_t blank_lines;
        while (gap_next(&gap, &comment, &own_line, &blank_lines)) {
            bool behind = at == begin && first && !own_line;
            if (!behind) {
                if (blanks && blank_lines && written)
                    empty_line(l);
                written = true;
                indent(l, columns);
                put(l, comment);
                end_line(l);
            }
            first = false;
        }
    }
}

/* --- blocks --- */

struct block_parts {
    uint32_t head, clauses, close, end; /* tokens: [head, clauses) `{`; clauses up to `}`; then what follows it */
};

static struct block_parts block_parts(const struct layout *l, uint32_t at)
{
    struct block_parts b = {.head = at, .end = at + 1};
    while (b.end + 1 < l->count && l->mark[b.end] != MARK_BLOCK)
        b.end++;
    b.clauses = b.close = b.end;
    for (uint32_t i = at + 1; i < b.end && b.clauses == b.end; i++)
        if (l->mark[i] == MARK_CLAUSE)
            b.clauses = i;
    if (b.clauses < b.end)
        for (b.close = b.end - 1; b.close > b.clauses && l->token[b.close].kind != TOKEN_CLOSE;)
            b.close--;
    return b;
}

static uint32_t clauses_of(const struct layout *l, const struct block_parts *b, struct piece *piece)
{
    uint32_t count = 0;
    for (uint32_t i = b->clauses; i < b->close; i++) {
        if (l->mark[i] != MARK_CLAUSE)
            continue;
        if (count)
            piece[count - 1].to = i;
        piece[count] = (struct piece){.from = i, .to = b->close};
        count++;
    }
    for (uint32_t p = 0; p < count; p++) {
        judge_clause(l, &piece[p], &l->token[b->head], p ? &piece[p - 1] : NULL);
        for (uint32_t i = piece[p].from; i < piece[p].to && piece[p].joins; i++)
            piece[p].joins = !has_comment(l, i);
    }
    return count;
}

static void put_clause(struct layout *l, const struct piece *piece, uint32_t count, uint32_t at, const struct token *block)
{
    const struct piece *p = &piece[at];
    size_t width[COLUMNS_MAX];
    if (p->joins) {
        put(l, SLICE("  "));
        put(l, joined(l, p->from, p->to, false));
        return;
    }
    if (at)
        put_trailing(l, p->from);
    if (at && p->group != piece[at - 1].group)
        empty_line(l);
    put_own_comments(l, p->from, p->from, p->to, INDENT, false);
    indent(l, INDENT);
    run_widths(l, piece, count, at, block, width);
    if (p->shape == SHAPE_STEP)
        put_step(l, p, INDENT);
    else
        put_columns(l, p, width, INDENT);
}

static void put_block(struct layout *l, const struct block_parts *b)
{
    if (b->clauses == b->end) { /* all of it on one line: a fact, an empty block */
        put_own_comments(l, b->head, b->head + 1, b->end, 0, false);
        put_wrapped(l, b->head, b->end, 0, 2 * INDENT, false);
        return;
    }
    struct piece *piece = ARENA_ARRAY(l->arena, struct piece, b->close - b->clauses + 1);
    uint32_t count = clauses_of(l, b, piece);
    put_own_comments(l, b->head, b->head + 1, b->clauses, 0, false);
    put_wrapped(l, b->head, b->clauses, 0, 2 * INDENT, false);
    put_trailing(l, b->clauses);
    for (uint32_t p = 0; p < count; p++)
        put_clause(l, piece, count, p, &l->token[b->head]);
    put_trailing(l, b->close);
    put_own_comments(l, b->close, b->close, b->close + 1, INDENT, false);
    put_wrapped(l, b->close, b->end, 0, 2 * INDENT, false);
}

/* Will a comment stand above the block at token `at`? Those inside its head move there. */
static bool commented(const struct layout *l, uint32_t at)
{
    uint32_t end = block_parts(l, at).clauses;
    bool any = has_own_comments(l, at);
    for (uint32_t i = at + 1; i < end && !any; i++)
        any = has_comment(l, i);
    return any;
}

/* A list is a block of one line; lists that follow each other stand in columns. */
static uint32_t put_lists(struct layout *l, uint32_t at)
{
    uint32_t count = 0;
    struct piece *piece = ARENA_ARRAY(l->arena, struct piece, l->count);
    for (uint32_t i = at; i + 1 < l->count && word_is(&l->token[i], "list") && l->mark[i] == MARK_BLOCK;) {
        struct block_parts b = block_parts(l, i);
        if (count && commented(l, i))
            break;
        piece[count++] = (struct piece){.from = b.head, .to = b.end, .shape = SHAPE_LIST};
        i = b.end;
    }
    for (uint32_t p = 0; p < count; p++) {
        size_t width[COLUMNS_MAX];
        if (p)
            put_trailing(l, piece[p].from);
        put_own_comments(l, piece[p].from, piece[p].from + 1, piece[p].to, 0, false);
        run_widths(l, piece, count, p, &l->token[at], width);
        put_columns(l, &piece[p], width, 0);
    }
    return piece[count - 1].to;
}

/* Tests of one rule stand close; everything else is parted by an empty line. */
static bool parted(const struct layout *l, uint32_t before, uint32_t at)
{
    return !(word_is(&l->token[before], "test") && word_is(&l->token[at], "test") && !commented(l, at));
}

static void put_file(struct layout *l)
{
    uint32_t at = 0, before = 0;
    while (at + 1 < l->count) {
        if (at) {
            put_trailing(l, at);
            if (parted(l, before, at))
                empty_line(l);
            put_own_comments(l, at, at, at + 1, 0, true);
        } else {
            put_comments(l, 0, 0, true);
        }
        struct gap gap = gap_before(l, at);
        struct slice comment;
        bool own_line, any = false;
        uint32_t blank_lines;
        while (gap_next(&gap, &comment, &own_line, &blank_lines))
            any = own_line;
        if (any && blank_lines) /* the comment is the file's or a section's, not the block's */
            empty_line(l);
        before = at;
        if (word_is(&l->token[at], "list")) {
            at = put_lists(l, at);
        } else {
            struct block_parts b = block_parts(l, at);
            put_block(l, &b);
            at = b.end;
        }
    }
    if (at && has_own_comments(l, at)) {
        put_trailing(l, at);
        empty_line(l);
        put_own_comments(l, at, at, at + 1, 0, true);
    } else if (at) {
        put_trailing(l, at);
    } else {
        put_comments(l, 0, 0, true);
    }
}

bool layout_file(struct arena *arena, struct slice name, struct slice text, struct diagnostics *diagnostics, struct slice *out)
{
    struct layout l = {.arena = arena, .text = text, .fresh = true};
    char *written = NULL;
    size_t size = 0;
    if (!parse_marked(arena, name, text, diagnostics, &l.token, &l.mark, &l.count))
        return false;
    l.out = open_memstream(&written, &size);
    invariant(l.out != NULL);
    put_file(&l);
    invariant(fclose(l.out) == 0);
    *out = arena_copy(arena, (struct slice){written, size});
    free(written);
    return true;
}
