/* Reads a pattern just far enough to say which strings it cannot match without. */
#include "rules/lang/text_literal.h"

enum { GROUP_DEPTH_MAX = 16 };

/* The reader of one pattern. Once lost, nothing that was found counts. */
struct reader {
    struct slice pattern;
    size_t at;
    int depth;
    bool caseless;
    bool lost;
};

/* What one sequence of items has shown so far. */
struct sequence {
    struct literal run;      /* the characters that stand next to each other right now */
    struct literal_set best;
};

static char literal_fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* --- sets --- */

static uint8_t set_shortest(const struct literal_set *set)
{
    uint8_t least = set->count ? LITERAL_BYTES_MAX : 0;
    for (uint8_t i = 0; i < set->count; i++)
        least = set->literal[i].size < least ? set->literal[i].size : least;
    return least;
}

/* The better set is the one whose shortest literal is longest, then the smaller one. */
static void set_offer(struct literal_set *best, const struct literal_set *set)
{
    uint8_t have = set_shortest(best), got = set_shortest(set);
    if (got > have || (got == have && got && set->count < best->count))
        *best = *set;
}

static void run_end(struct sequence *sequence)
{
    struct literal_set set = {.count = 1};
    set.literal[0] = sequence->run;
    if (sequence->run.size)
        set_offer(&sequence->best, &set);
    sequence->run.size = 0;
}

static void run_add(struct sequence *sequence, bool caseless, const char *byte, size_t size)
{
    if (sequence->run.size + size > LITERAL_BYTES_MAX)
        run_end(sequence);
    for (size_t i = 0; i < size; i++)
        sequence->run.byte[sequence->run.size++] = caseless ? literal_fold(byte[i]) : byte[i];
}

/* --- characters --- */

static size_t character_size(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

static uint32_t character_code(const unsigned char *byte, size_t size)
{
    static const unsigned char lead_bits[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = byte[0] & lead_bits[size];
    for (size_t i = 1; i < size; i++)
        code = code << 6 | (byte[i] & 0x3f);
    return code;
}

/* Scripts without upper and lower case: Hebrew to Myanmar, Ethiopic, kana, Han, Hangul. */
static bool character_uncased(uint32_t code)
{
    static const uint32_t range[][2] = {
        {0x0590, 0x109f}, {0x1200, 0x137f}, {0x3040, 0x30ff}, {0x4e00, 0x9fff}, {0xac00, 0xd7a3}};
    for (size_t i = 0; i < sizeof range / sizeof range[0]; i++)
        if (code >= range[i][0] && code <= range[i][1])
            return true;
    return false;
}

static bool character_exact(const char *byte, size_t size, bool caseless)
{
    return size == 1 || !caseless || character_uncased(character_code((const unsigned char *)byte, size));
}

/* --- reading --- */

static int reader_peek(const struct reader *r, size_t ahead)
{
    return r->at + ahead < r->pattern.size ? (unsigned char)r->pattern.data[r->at + ahead] : -1;
}

static void reader_lose(struct reader *r)
{
    r->lost = true;
    r->at = r->pattern.size;
}

enum quantity { ONCE, AT_LEAST_ONCE, MAYBE };

/* {n}, {n,} or {n,m}; anything else in braces means different things in different PCRE2 versions. */
static enum quantity read_braces(struct reader *r)
{
    bool zero = true;
    size_t digits = 0;
    r->at++;
    for (; reader_peek(r, 0) >= '0' && reader_peek(r, 0) <= '9'; r->at++, digits++)
        zero = zero && reader_peek(r, 0) == '0';
    if (digits && reader_peek(r, 0) == ',')
        for (r->at++; reader_peek(r, 0) >= '0' && reader_peek(r, 0) <= '9';)
            r->at++;
    if (!digits || reader_peek(r, 0) != '}') {
        reader_lose(r);
        return MAYBE;
    }
    r->at++;
    return zero ? MAYBE : AT_LEAST_ONCE;
}

static enum quantity read_quantity(struct reader *r)
{
    enum quantity quantity = ONCE;
    switch (reader_peek(r, 0)) {
    case '?':
    case '*':
        quantity = MAYBE;
        r->at++;
        break;
    case '+':
        quantity = AT_LEAST_ONCE;
        r->at++;
        break;
    case '{':
        quantity = read_braces(r);
        break;
    default:
        return ONCE;
    }
    if (reader_peek(r, 0) == '?' || reader_peek(r, 0) == '+')
        r->at++;
    return quantity;
}

/* One literal character, read already, with what follows it. */
static void take_character(struct reader *r, struct sequence *sequence, const char *byte, size_t size)
{
    enum quantity quantity = read_quantity(r);
    if (quantity != MAYBE && character_exact(byte, size, r->caseless))
        run_add(sequence, r->caseless, byte, size);
    else
        run_end(sequence);
    if (quantity == AT_LEAST_ONCE)
        run_end(sequence);
}

static void take_unknown(struct reader *r, struct sequence *sequence)
{
    run_end(sequence);
    (void)read_quantity(r);
}

static void read_class(struct reader *r, struct sequence *sequence)
{
    r->at++;
    if (reader_peek(r, 0) == '^')
        r->at++;
    bool first = true;
    for (; !r->lost; first = false) {
        int c = reader_peek(r, 0);
        int next = reader_peek(r, 1);
        /* quoting, controls and named classes inside brackets: not worth being wrong about */
        if (c < 0 || c == '[' || (c == '\\' && (next < 0 || strchr("QEc", next)))) {
            reader_lose(r);
            return;
        }
        r->at += c == '\\' ? 2 : 1;
        if (c == ']' && !first)
            break;
    }
    take_unknown(r, sequence);
}

static void read_property(struct reader *r)
{
    if (reader_peek(r, 0) != '{') {
        r->at++;
        return;
    }
    while (reader_peek(r, 0) >= 0 && reader_peek(r, 0) != '}')
        r->at++;
    r->at++;
}

static void read_escape(struct reader *r, struct sequence *sequence)
{
    int c = reader_peek(r, 1);
    r->at += 2;
    if (c <= 0 || c >= 0x80) { /* strchr finds a NUL in any set */
        reader_lose(r);
    } else if (strchr("bBAzZG", c)) {
        return; /* stands between characters: what touches there still touches */
    } else if (strchr("dDwWsShHvVRNXntrefa", c)) {
        if (c == 'N' && reader_peek(r, 0) == '{')
            reader_lose(r);
        take_unknown(r, sequence);
    } else if (c == 'p' || c == 'P') {
        read_property(r);
        take_unknown(r, sequence);
    } else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        reader_lose(r);
    } else {
        char byte = (char)c;
        take_character(r, sequence, &byte, 1);
    }
}

static void read_alternatives(struct reader *r, struct literal_set *out);

/* Past the beginning of a group that only groups; else lost. looks: it looks without taking. */
static void read_group_head(struct reader *r, bool *looks)
{
    *looks = false;
    r->at++;
    if (reader_peek(r, 0) == '*') {
        reader_lose(r);
        return;
    }
    if (reader_peek(r, 0) != '?')
        return;
    int kind = reader_peek(r, 1), next = reader_peek(r, 2);
    if (kind == ':' || kind == '>' || kind == '=' || kind == '!') {
        *looks = kind == '=' || kind == '!';
        r->at += 2;
    } else if (kind == '<' && (next == '=' || next == '!')) {
        *looks = true;
        r->at += 3;
    } else {
        reader_lose(r); /* options, names, conditions, recursion, comments */
    }
}

static void read_group(struct reader *r, struct sequence *sequence)
{
    struct literal_set inside = {.count = 0};
    bool looks;
    read_group_head(r, &looks);
    run_end(sequence);
    if (r->lost || ++r->depth > GROUP_DEPTH_MAX) {
        reader_lose(r);
        return;
    }
    read_alternatives(r, &inside);
    r->depth--;
    if (reader_peek(r, 0) != ')') {
        reader_lose(r);
        return;
    }
    r->at++;
    if (read_quantity(r) != MAYBE && !looks)
        set_offer(&sequence->best, &inside);
}

static void read_item(struct reader *r, struct sequence *sequence)
{
    int c = reader_peek(r, 0);
    switch (c) {
    case '(':
        read_group(r, sequence);
        return;
    case '[':
        read_class(r, sequence);
        return;
    case '\\':
        read_escape(r, sequence);
        return;
    case '^':
    case '$':
        r->at++;
        return;
    case '.':
        r->at++;
        take_unknown(r, sequence);
        return;
    case '*':
    case '+':
    case '?':
    case '{':
        reader_lose(r);
        return;
    default:
        break;
    }
    size_t size = character_size((unsigned char)c);
    if (r->at + size > r->pattern.size) {
        reader_lose(r);
        return;
    }
    const char *byte = r->pattern.data + r->at;
    r->at += size;
    take_character(r, sequence, byte, size);
}

/* The union of what the alternatives need; nothing, once one of them needs nothing. */
static void read_alternatives(struct reader *r, struct literal_set *out)
{
    bool open = true;
    out->count = 0;
    for (bool more = true; more && !r->lost;) {
        struct sequence sequence = {.best = {.count = 0}};
        while (!r->lost && reader_peek(r, 0) >= 0 && reader_peek(r, 0) != '|' && reader_peek(r, 0) != ')')
            read_item(r, &sequence);
        run_end(&sequence);
        open = open && sequence.best.count && out->count + sequence.best.count <= LITERAL_SET_MAX;
        for (uint8_t i = 0; open && i < sequence.best.count; i++)
            out->literal[out->count++] = sequence.best.literal[i];
        more = reader_peek(r, 0) == '|';
        r->at += more;
    }
    if (!open || r->lost)
        out->count = 0;
}

static void set_finish(struct literal_set *set)
{
    if (set_shortest(set) < LITERAL_BYTES_MIN)
        set->count = 0;
}

void literal_of_regex(struct slice pattern, bool caseless, struct literal_set *out)
{
    struct reader reader = {.pattern = pattern, .caseless = caseless};
    read_alternatives(&reader, out);
    if (reader.lost || reader.at != pattern.size)
        out->count = 0;
    set_finish(out);
}

void literal_of_plain(struct slice plain, struct literal_set *out)
{
    struct sequence sequence = {.best = {.count = 0}};
    for (size_t at = 0; at < plain.size;) {
        size_t size = character_size((unsigned char)plain.data[at]);
        if (at + size > plain.size)
            break;
        if (character_exact(plain.data + at, size, true))
            run_add(&sequence, true, plain.data + at, size);
        else
            run_end(&sequence);
        at += size;
    }
    run_end(&sequence);
    *out = sequence.best;
    set_finish(out);
}

/* By memchr on the first byte: quick on the narratives that hold neither, which is nearly all. */
static bool holds_character(struct slice subject, const char *character, size_t size)
{
    const char *at = subject.data, *end = subject.data + subject.size;
    while (at < end && (at = memchr(at, character[0], (size_t)(end - at))) != NULL) {
        if ((size_t)(end - at) >= size && memcmp(at, character, size) == 0)
            return true;
        at++;
    }
    return false;
}

bool literal_blind(struct slice subject)
{
    return subject.size && (holds_character(subject, "\xc5\xbf", 2) || holds_character(subject, "\xe2\x84\xaa", 3));
}
