/* Texts: PCRE2 patterns behind their required literals, with limits that end in "unknown". */
#include "rules/lang/text.h"

#include "engine/base/invariant.h"
#include "rules/lang/text_literal.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PATTERN_COUNT_MAX = 500,
    PATTERN_BYTES_MAX = 1024,
    SUBJECT_BYTES_MAX = 4096,
    MATCH_LIMIT = 10000,
    DEPTH_LIMIT = 1000,
    HEAP_LIMIT_KIB = 1024,
    PARENS_LIMIT = 50,
    STACK_BYTES_MIN = 32 * 1024,
    STACK_BYTES_MAX = 1024 * 1024,
};

/* A required literal, ready to be looked for by its rarest byte. */
struct needle {
    char byte[LITERAL_BYTES_MAX];
    uint8_t size;
    uint8_t rare; /* offset of the byte to look for first */
};

struct pattern {
    pcre2_code *code;
    bool never;
    bool folded;                 /* needles are in lower case: look in the folded subject */
    uint8_t needle_count;        /* 0: always try the pattern */
    struct needle needle[LITERAL_SET_MAX];
    char *required;              /* the needles for people, joined by | */
};

struct text {
    char *name;
    size_t name_size;
    uint32_t count;
    struct pattern pattern[];
};

struct text_scratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    char folded[SUBJECT_BYTES_MAX];
    uint64_t runs;
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    invariant(memory != NULL);
    return memory;
}

/* --- scratch --- */

struct text_scratch *text_scratch_new(void)
{
    struct text_scratch *scratch = allocate(sizeof *scratch);
    scratch->match = pcre2_match_data_create(1, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    scratch->stack = pcre2_jit_stack_create(STACK_BYTES_MIN, STACK_BYTES_MAX, NULL);
    invariant(scratch->match != NULL && scratch->context != NULL && scratch->stack != NULL);
    pcre2_set_match_limit(scratch->context, MATCH_LIMIT);
    pcre2_set_depth_limit(scratch->context, DEPTH_LIMIT);
    pcre2_set_heap_limit(scratch->context, HEAP_LIMIT_KIB);
    pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
    return scratch;
}

void text_scratch_free(struct text_scratch *scratch)
{
    if (!scratch)
        return;
    pcre2_match_data_free(scratch->match);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->stack);
    free(scratch);
}

/* --- making --- */

/* Letters from frequent to rare in payment texts of Latin script; anything else is rarer still. */
static size_t byte_rarity(char c)
{
    static const char frequent[] = " eaitnorslmducphgbfyvkw0123456789xjzq-.";
    const char *found = c ? strchr(frequent, c) : NULL;
    return found ? (size_t)(found - frequent) : sizeof frequent;
}

static struct needle needle_make(const struct literal *literal)
{
    struct needle needle = {.size = literal->size};
    memcpy(needle.byte, literal->byte, literal->size);
    for (uint8_t i = 1; i < needle.size; i++)
        if (byte_rarity(needle.byte[i]) > byte_rarity(needle.byte[needle.rare]))
            needle.rare = i;
    return needle;
}

static void pattern_require(struct pattern *pattern, const struct text_pattern *from)
{
    struct literal_set set;
    size_t at = 0;
    pattern->folded = !from->regex || from->caseless;
    if (from->regex)
        literal_of_regex(from->body, from->caseless, &set);
    else
        literal_of_plain(from->body, &set);
    pattern->needle_count = set.count;
    pattern->required = allocate((size_t)LITERAL_SET_MAX * (LITERAL_BYTES_MAX + 1) + 1);
    for (uint8_t i = 0; i < set.count; i++) {
        pattern->needle[i] = needle_make(&set.literal[i]);
        if (i)
            pattern->required[at++] = '|';
        memcpy(pattern->required + at, set.literal[i].byte, set.literal[i].size);
        at += set.literal[i].size;
    }
}

static bool pattern_fail(char message[256], int code)
{
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)message, 256) < 0)
        (void)snprintf(message, 256, "PCRE2 error %d", code);
    return false;
}

/* Patterns may not switch the JIT off, for it counts limits differently from the interpreter. */
static bool pattern_jit(pcre2_code *code, char message[256])
{
    size_t size = 0;
    int result = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    if (result == 0 && pcre2_pattern_info(code, PCRE2_INFO_JITSIZE, &size) == 0 && size > 0)
        return true;
    (void)snprintf(message, 256, "PCRE2's JIT compiler is not available%s",
                   result == 0 ? " for this pattern" : " here: is writable-executable memory denied?");
    return false;
}

static bool pattern_make(struct pattern *pattern, const struct text_pattern *from, char message[256], uint32_t *offset)
{
    *offset = 0;
    if (from->body.size == 0 || from->body.size > PATTERN_BYTES_MAX) {
        (void)snprintf(message, 256, from->body.size ? "longer than %d bytes" : "empty", PATTERN_BYTES_MAX);
        return false;
    }
    int code;
    size_t wrong = 0;
    uint32_t options = PCRE2_UTF;
    options |= from->regex ? PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C : PCRE2_LITERAL;
    options |= !from->regex || from->caseless ? PCRE2_CASELESS : 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    invariant(context != NULL);
    pcre2_set_parens_nest_limit(context, PARENS_LIMIT);
    pattern->code = pcre2_compile((PCRE2_SPTR)from->body.data, from->body.size, options, &code, &wrong, context);
    pcre2_compile_context_free(context);
    if (!pattern->code) {
        *offset = (uint32_t)(wrong < from->body.size ? wrong : from->body.size);
        return pattern_fail(message, code);
    }
    pattern->never = from->never;
    pattern_require(pattern, from);
    return pattern_jit(pattern->code, message);
}

struct text *text_new(struct slice name, const struct text_pattern *pattern, uint32_t count, char message[256],
                      uint32_t *wrong, uint32_t *wrong_offset)
{
    *wrong = *wrong_offset = 0;
    if (count == 0 || count > PATTERN_COUNT_MAX) {
        (void)snprintf(message, 256, "a text has 1 to %d patterns", PATTERN_COUNT_MAX);
        return NULL;
    }
    struct text *text = allocate(sizeof *text + count * sizeof text->pattern[0]);
    text->name = allocate(name.size + 1);
    text->name_size = name.size;
    if (name.size)
        memcpy(text->name, name.data, name.size);
    text->count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!pattern_make(&text->pattern[i], &pattern[i], message, wrong_offset)) {
            *wrong = i;
            text_free(text);
            return NULL;
        }
    }
    return text;
}

void text_free(struct text *text)
{
    if (!text)
        return;
    for (uint32_t i = 0; i < text->count; i++) {
        pcre2_code_free(text->pattern[i].code);
        free(text->pattern[i].required);
    }
    free(text->name);
    free(text);
}

struct slice text_name(const struct text *text)
{
    return (struct slice){text->name, text->name_size};
}

struct slice text_required_literal(const struct text *text, uint32_t i)
{
    invariant(i < text->count);
    return slice_of(text->pattern[i].required);
}

uint64_t text_scratch_runs(const struct text_scratch *scratch)
{
    return scratch->runs;
}

/* --- matching --- */

/* One narrative being matched against all patterns of a text. */
struct search {
    struct text_scratch *scratch;
    struct slice subject;
    struct slice folded; /* empty until a pattern wants it */
    bool blind;          /* valid once folded: literals in lower case prove nothing here */
    bool checked;        /* PCRE2 has seen that it is valid UTF-8 */
};

/* ASCII letters to lower case, eight at a time: a byte ≥ 'A' and ≤ 'Z' gets bit 5. */
static void bytes_fold(char *out, const char *in, size_t size)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    size_t at = 0;
    for (; at + 8 <= size; at += 8) {
        uint64_t word;
        memcpy(&word, in + at, 8);
        uint64_t low = word & ~high;
        uint64_t letter = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ~word & high;
        word |= letter >> 2;
        memcpy(out + at, &word, 8);
    }
    for (; at < size; at++)
        out[at] = in[at] >= 'A' && in[at] <= 'Z' ? (char)(in[at] | 0x20) : in[at];
}

static void search_fold(struct search *search)
{
    if (search->folded.size || !search->subject.size)
        return;
    bytes_fold(search->scratch->folded, search->subject.data, search->subject.size);
    search->folded = (struct slice){search->scratch->folded, search->subject.size};
    search->blind = literal_blind(search->subject);
}

static bool needle_found(const struct needle *needle, struct slice subject)
{
    if (subject.size < needle->size)
        return false;
    const char *at = subject.data + needle->rare;
    const char *end = subject.data + subject.size - needle->size + needle->rare + 1;
    while (at < end && (at = memchr(at, needle->byte[needle->rare], (size_t)(end - at))) != NULL) {
        if (memcmp(at - needle->rare, needle->byte, needle->size) == 0)
            return true;
        at++;
    }
    return false;
}

static bool pattern_possible(const struct pattern *pattern, struct search *search)
{
    if (pattern->needle_count == 0)
        return true;
    if (pattern->folded)
        search_fold(search);
    if (pattern->folded && search->blind)
        return true;
    for (uint8_t i = 0; i < pattern->needle_count; i++)
        if (needle_found(&pattern->needle[i], pattern->folded ? search->folded : search->subject))
            return true;
    return false;
}

static enum text_result pattern_match(const struct pattern *pattern, struct search *search)
{
    if (!pattern_possible(pattern, search))
        return TEXT_NO;
    search->scratch->runs++;
    int result = pcre2_match(pattern->code, (PCRE2_SPTR)search->subject.data, search->subject.size, 0,
                             search->checked ? PCRE2_NO_UTF_CHECK : 0, search->scratch->match, search->scratch->context);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH)
        return TEXT_UNKNOWN;
    search->checked = true;
    return result == PCRE2_ERROR_NOMATCH ? TEXT_NO : TEXT_YES;
}

/* Three-valued "one of them matches". */
static enum text_result patterns_match(const struct text *text, bool never, struct search *search)
{
    enum text_result result = TEXT_NO;
    for (uint32_t i = 0; i < text->count && result != TEXT_YES; i++) {
        if (text->pattern[i].never != never)
            continue;
        enum text_result one = pattern_match(&text->pattern[i], search);
        result = one == TEXT_NO ? result : one;
    }
    return result;
}

enum text_result text_match(const struct text *text, struct text_scratch *scratch, struct slice subject)
{
    if (subject.size > SUBJECT_BYTES_MAX)
        return TEXT_UNKNOWN;
    if (!subject.data)
        subject = SLICE("");
    struct search search = {.scratch = scratch, .subject = subject};
    enum text_result any = patterns_match(text, false, &search);
    if (any == TEXT_NO)
        return TEXT_NO;
    enum text_result never = patterns_match(text, true, &search);
    if (never == TEXT_YES)
        return TEXT_NO;
    return never == TEXT_UNKNOWN ? TEXT_UNKNOWN : any;
}
