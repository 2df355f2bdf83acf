/* Texts: matching, limits, and that a required literal never hides a match. */
#include "rules/lang/text.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct text *text_of(struct text_pattern *pattern, uint32_t count)
{
    char message[256] = "";
    uint32_t wrong, offset;
    struct text *text = text_new(SLICE("test"), pattern, count, message, &wrong, &offset);
    cr_assert(text != NULL, "pattern %u at %u: %s", wrong, offset, message);
    return text;
}

static enum text_result match_one(const char *body, bool regex, bool caseless, const char *subject)
{
    struct text_pattern pattern = {.body = slice_of(body), .regex = regex, .caseless = caseless};
    struct text *text = text_of(&pattern, 1);
    struct text_scratch *scratch = text_scratch_new();
    enum text_result result = text_match(text, scratch, slice_of(subject));
    text_scratch_free(scratch);
    text_free(text);
    return result;
}

Test(text, plain_strings_are_found_without_case)
{
    cr_expect_eq(match_one("mshahara", false, false, "MSHAHARA wa Machi"), TEXT_YES);
    cr_expect_eq(match_one("راتب", false, false, "دفع راتب شهر"), TEXT_YES);
    cr_expect_eq(match_one("Gehälter", false, false, "GEHÄLTER MÄRZ"), TEXT_YES);
    cr_expect_eq(match_one("a.b", false, false, "axb"), TEXT_NO);
    cr_expect_eq(match_one("\\Ea*", false, false, "x\\ea*y"), TEXT_YES);
    cr_expect_eq(match_one("wage", false, false, ""), TEXT_NO);
}

Test(text, third_forms_of_k_and_s_are_not_hidden_by_the_literal)
{
    cr_expect_eq(match_one("kiosk", false, false, "KIO\u017f\u212a"), TEXT_YES);
    cr_expect_eq(match_one("wages", true, true, "WAGE\u017f"), TEXT_YES);
    cr_expect_eq(match_one("wages", true, false, "wage\u017f"), TEXT_NO);
}

Test(text, an_escaped_nul_is_a_character_that_the_literal_does_not_skip)
{
    struct text_pattern pattern = {.body = {"a\\\0b", 4}, .regex = true}; /* a, an escaped NUL, b */
    struct text *text = text_of(&pattern, 1);
    struct text_scratch *scratch = text_scratch_new();
    cr_expect_eq(text_match(text, scratch, (struct slice){"xa\0b", 4}), TEXT_YES);
    cr_expect_eq(text_match(text, scratch, SLICE("xab")), TEXT_NO);
    text_scratch_free(scratch);
    text_free(text);
}

Test(text, regular_expressions_match_anywhere_with_unicode)
{
    const char *wage = "\\b(salar(y|ies)|wages?|pay\\s*roll)\\b";
    cr_expect_eq(match_one(wage, true, true, "March SALARIES"), TEXT_YES);
    cr_expect_eq(match_one(wage, true, true, "pay  roll 03"), TEXT_YES);
    cr_expect_eq(match_one(wage, true, false, "PAYROLL"), TEXT_NO);
    cr_expect_eq(match_one(wage, true, true, "wagesx"), TEXT_NO);
    cr_expect_eq(match_one("^\\w+$", true, false, "żółć"), TEXT_YES);
    cr_expect_eq(match_one("^.$", true, false, "ж"), TEXT_YES);
}

Test(text, any_and_never)
{
    struct text_pattern pattern[] = {{.body = SLICE("salary")}, {.body = SLICE("salary advance"), .never = true}};
    struct text *text = text_of(pattern, 2);
    struct text_scratch *scratch = text_scratch_new();
    cr_expect_eq(text_match(text, scratch, SLICE("the salary")), TEXT_YES);
    cr_expect_eq(text_match(text, scratch, SLICE("a Salary Advance")), TEXT_NO);
    cr_expect_eq(text_match(text, scratch, SLICE("rent")), TEXT_NO);
    cr_expect(slice_equal(text_name(text), SLICE("test")));
    text_scratch_free(scratch);
    text_free(text);
}

Test(text, a_limit_is_unknown_and_three_valued)
{
    char many[64];
    memset(many, 'a', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    cr_expect_eq(match_one("^(a+)+$", true, false, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"), TEXT_UNKNOWN);

    struct text_pattern any_hangs[] = {{.body = SLICE("^(a+)+$"), .regex = true}, {.body = SLICE("end")}};
    struct text_pattern never_hangs[] = {{.body = SLICE("end")}, {.body = SLICE("^(a+)+$"), .regex = true, .never = true}};
    struct text_pattern both[] = {{.body = SLICE("^(a+)+$"), .regex = true}, {.body = SLICE("!"), .never = true}};
    struct text *text[] = {text_of(any_hangs, 2), text_of(never_hangs, 2), text_of(both, 2)};
    struct text_scratch *scratch = text_scratch_new();
    char subject[128];
    (void)snprintf(subject, sizeof subject, "%s! end", many);
    cr_expect_eq(text_match(text[0], scratch, slice_of(subject)), TEXT_YES, "another pattern matches");
    cr_expect_eq(text_match(text[1], scratch, slice_of(subject)), TEXT_UNKNOWN, "the never may hold");
    cr_expect_eq(text_match(text[1], scratch, slice_of(many)), TEXT_NO, "no any: no never is asked");
    cr_expect_eq(text_match(text[2], scratch, slice_of(subject)), TEXT_NO, "a never settles it");
    text_scratch_free(scratch);
    for (int i = 0; i < 3; i++)
        text_free(text[i]);
}

Test(text, a_long_subject_and_bad_utf8_are_unknown)
{
    static char subject[5000];
    struct text_pattern pattern = {.body = SLICE("."), .regex = true};
    struct text *text = text_of(&pattern, 1);
    struct text_scratch *scratch = text_scratch_new();
    memset(subject, 'x', sizeof subject);
    cr_expect_eq(text_match(text, scratch, (struct slice){subject, 4096}), TEXT_YES);
    cr_expect_eq(text_match(text, scratch, (struct slice){subject, 4097}), TEXT_UNKNOWN);
    cr_expect_eq(text_match(text, scratch, SLICE("\xff\xfe")), TEXT_UNKNOWN);
    text_scratch_free(scratch);
    text_free(text);
}

Test(text, wrong_patterns_are_named_with_their_place)
{
    static const struct {
        const char *body;
        uint32_t offset;
        const char *says;
    } wrong[] = {
        {"ab(c", 4, "missing closing parenthesis"},
        {"a[b", 3, "missing terminating ]"},
        {"x\\C", 3, "disabled"},
        {"", 0, "empty"},
        {"(*NO_JIT)abc", 0, "JIT"},
        {"\xff", 0, "UTF-8"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct text_pattern pattern[] = {{.body = SLICE("good")}, {.body = slice_of(wrong[i].body), .regex = true}};
        char message[256] = "";
        uint32_t index, offset;
        cr_assert_null(text_new(SLICE("t"), pattern, 2, message, &index, &offset));
        cr_expect_eq(index, 1u);
        cr_expect_eq(offset, wrong[i].offset, "%s: offset %u", wrong[i].body, offset);
        cr_expect_not_null(strstr(message, wrong[i].says), "%s: %s", wrong[i].body, message);
    }
}

/* A regular expression runs only where one of the words occurs that it needs. */
Test(text, patterns_run_only_behind_their_literal)
{
    static const struct {
        const char *subject;
        uint64_t runs;
    } cases[] = {{"rent for may", 0}, {"SALARY of may", 1}, {"the visa", 1}, {"salary and visa", 1}, {"", 0}, {"salar", 0}};
    struct text_pattern pattern[] = {{.body = SLICE("\\b(salary|visa)\\b"), .regex = true, .caseless = true}};
    struct text *text = text_of(pattern, 1);
    struct text_scratch *scratch = text_scratch_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t before = text_scratch_runs(scratch);
        (void)text_match(text, scratch, slice_of(cases[i].subject));
        cr_expect_eq(text_scratch_runs(scratch) - before, cases[i].runs, "%s", cases[i].subject);
    }
    text_scratch_free(scratch);
    text_free(text);
}

Test(text, required_literals)
{
    static const struct {
        const char *body;
        bool regex, caseless;
        const char *literal;
    } want[] = {
        {"Salary Advance", false, false, "salary advance"},
        {"راتب", false, false, "راتب"},
        {"Gehälter", false, false, "lter"},
        {"\\b(salar(y|ies)|wages?|pay\\s*roll)\\b", true, true, "salar|wage|roll"},
        {"loan\\s+repay", true, false, "repay"},
        {"Room(s)?", true, false, "Room"},
        {"ab+c", true, false, "ab"},
        {"abc*", true, false, "ab"},
        {"x{0,3}money", true, false, "money"},
        {"a|bcd", true, false, ""},
        {".*", true, false, ""},
        {"(?i)wage", true, false, ""},
        {"(?:visa|permit)( x)", true, false, "visa|permit"},
        {"a\\.b", true, false, "a.b"},
        {"[[:alpha:]]wage", true, false, ""},
        {"[\\]]wage", true, false, "wage"},
        {"(?=x)wage", true, false, "wage"},
        {"(wage)\\1", true, false, ""},
        {"ä", true, true, ""},
        {"€€", true, false, "€€"},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct text_pattern pattern = {.body = slice_of(want[i].body), .regex = want[i].regex, .caseless = want[i].caseless};
        struct text *text = text_of(&pattern, 1);
        struct slice got = text_required_literal(text, 0);
        cr_expect(slice_equal(got, slice_of(want[i].literal)), "%s: got \"%s\", want \"%s\"", want[i].body, got.data,
                  want[i].literal);
        text_free(text);
    }
}

/* --- the literal hides nothing: random patterns, with and without it, agree --- */

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static uint32_t random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(random_next(state) >> 33) % bound;
}

static size_t random_pattern(uint64_t *state, char *out, int depth)
{
    static const char *const item[] = {"a", "b", "k", "S", "ab", "aBa", "ab", "ka", "as", "bm", "ab", "ä", "م", ".", "\\b", "\\w", "\\d", "[ab]", "[^a]",
                                       "[]a]", "\\.", "^", "$", "\\s", "(?=a)", "\\x61", "\\Qa\\E", "\\p{L}", "[\\ca]b]"};
    static const char *const count[] = {"", "", "", "", "", "?", "*", "+", "{2}", "{0,1}", "{1,}", "+?", "*+", "{0}"};
    size_t at = 0;
    uint32_t items = 1 + random_below(state, 4);
    for (uint32_t i = 0; i < items; i++) {
        if (depth > 0 && random_below(state, 4) == 0) {
            static const char *const head[] = {"(", "(?:", "(?>", "(?!", "(?<n>"};
            at += (size_t)sprintf(out + at, "%s", head[random_below(state, depth == 2 ? 5 : 4)]);
            at += random_pattern(state, out + at, depth - 1);
            at += (size_t)sprintf(out + at, ")");
        } else {
            at += (size_t)sprintf(out + at, "%s", item[random_below(state, sizeof item / sizeof item[0])]);
        }
        at += (size_t)sprintf(out + at, "%s", count[random_below(state, sizeof count / sizeof count[0])]);
        if (random_below(state, 8) == 0)
            at += (size_t)sprintf(out + at, "|");
    }
    return at;
}

static size_t random_subject(uint64_t *state, char *out)
{
    static const char *const piece[] = {"a", "b", "A", "B", "k", "s", "\u017f", "\u212a", "ä", "Ä", "م", " ", ".", "1", "aBa", "ab"};
    size_t at = 0;
    for (uint32_t i = random_below(state, 10); i > 0; i--)
        at += (size_t)sprintf(out + at, "%s", piece[random_below(state, sizeof piece / sizeof piece[0])]);
    return at;
}

Test(text, literals_never_hide_a_match, .timeout = 120)
{
    uint64_t state = 20261124;
    uint32_t tried = 0, matched = 0, behind = 0;
    struct text_scratch *scratch = text_scratch_new();
    for (int round = 0; round < 20000; round++) {
        char body[512], slow_body[520], message[256], subject[128];
        uint32_t wrong, offset;
        size_t size = random_pattern(&state, body, 2);
        bool caseless = random_below(&state, 2) == 0;
        struct text_pattern fast = {.body = {body, size}, .regex = true, .caseless = caseless};
        struct text_pattern slow = fast; /* a comment in front: the reader of literals gives up */
        slow.body = (struct slice){slow_body, (size_t)sprintf(slow_body, "(?#x)%s", body)};
        struct text *a = text_new(SLICE("a"), &fast, 1, message, &wrong, &offset);
        if (!a)
            continue;
        struct text *b = text_of(&slow, 1);
        cr_assert_eq(text_required_literal(b, 0).size, 0u);
        behind += text_required_literal(a, 0).size > 0;
        for (int i = 0; i < 12; i++) {
            struct slice at = {subject, random_subject(&state, subject)};
            enum text_result with = text_match(a, scratch, at), without = text_match(b, scratch, at);
            cr_assert_eq(with, without, "/%s/ on \"%.*s\": %d with the literal \"%s\", %d without", body, (int)at.size, subject,
                         with, text_required_literal(a, 0).data, without);
            matched += without == TEXT_YES;
            tried++;
        }
        text_free(a);
        text_free(b);
    }
    text_scratch_free(scratch);
    cr_expect_gt(tried, 100000u);
    cr_expect_gt(matched, 10000u);
    cr_expect_gt(behind, 2500u, "%u", behind);
}
