/* The one layout: no word is lost or changed, no comment is lost, laying out twice changes nothing, and blanks
 * do not matter. Over all shipped rule files, and over thousands of mutants of them that still parse. */
#include "rules/lang/layout.h"
#include "rules/lang/lexer.h"
#include "rules/lang/load.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <stdlib.h>

enum { TEXT_MAX = 1 << 20, MUTANTS = 3000 };

static const char *const globs[] = {"rules/packs/*/*.rules", "tests/data/diagnostics/fine.rules", "tests/data/meaning/*/*.rules",
                                    "tests/data/meaning/*.rules", "tests/data/*/*.rules"};

static struct slice read_file(struct arena *arena, const char *path)
{
    FILE *in = fopen(path, "rb");
    cr_assert(in != NULL, "%s", path);
    char *text = arena_bytes(arena, TEXT_MAX);
    struct slice all = {text, fread(text, 1, TEXT_MAX, in)};
    fclose(in);
    return all;
}

static bool lay_out(struct arena *arena, struct slice text, struct slice *out)
{
    struct diagnostics *diagnostics = diagnostics_new();
    bool good = layout_file(arena, SLICE("a.rules"), text, diagnostics, out);
    diagnostics_free(diagnostics);
    return good;
}

static const struct token *tokens(struct arena *arena, struct slice text, uint32_t *count)
{
    struct diagnostics *diagnostics = diagnostics_new();
    diagnostics_add_file(diagnostics, SLICE("a.rules"), text);
    const struct token *token = lex(arena, diagnostics, 0, text, count);
    diagnostics_free(diagnostics);
    return token;
}

/* Everything of a token that the parser looks at, but for where it stands. */
static void same_tokens(struct arena *arena, struct slice before, struct slice after, const char *path)
{
    uint32_t count, count_after;
    const struct token *a = tokens(arena, before, &count), *b = tokens(arena, after, &count_after);
    cr_assert_eq(count, count_after, "%s: %u tokens became %u", path, count, count_after);
    for (uint32_t i = 0; i < count; i++) {
        bool texts = a[i].kind == TOKEN_WORD || a[i].kind == TOKEN_STRING || a[i].kind == TOKEN_REGEX || a[i].kind == TOKEN_NUMBER;
        bool same = a[i].kind == b[i].kind && a[i].value == b[i].value && a[i].caseless == b[i].caseless && a[i].whole == b[i].whole &&
                    (!texts || slice_equal(a[i].text, b[i].text));
        bool glue = a[i].kind == TOKEN_STAR || a[i].kind == TOKEN_ARROW;
        cr_assert(same, "%s: token %u `%.*s` became `%.*s`", path, i, (int)a[i].text.size, a[i].text.data, (int)b[i].text.size, b[i].text.data);
        if (glue && a[i].glued && a[i].kind == TOKEN_STAR)
            cr_assert(b[i].glued, "%s: token %u is torn off", path, i);
    }
}

/* Number of comments and a sum over their bytes: none is lost, whatever the order. */
static uint64_t comments(struct arena *arena, struct slice text)
{
    uint64_t sum = 0;
    uint32_t count;
    const struct token *token = tokens(arena, text, &count);
    for (uint32_t i = 0; i < count; i++) {
        size_t from = i ? token[i - 1].span.at + token[i - 1].span.size : 0;
        for (size_t at = from; at < token[i].span.at; at++) {
            if (text.data[at] != '#')
                continue;
            for (sum += 1u << 20; at < token[i].span.at && text.data[at] != '\n'; at++)
                if (text.data[at] != ' ' && text.data[at] != '\t' && text.data[at] != '\r')
                    sum += (unsigned char)text.data[at] * 31u;
        }
    }
    return sum;
}

static void hold(struct arena *arena, struct slice text, const char *path)
{
    struct slice once, twice;
    if (!lay_out(arena, text, &once))
        return;
    same_tokens(arena, text, once, path);
    cr_assert_eq(comments(arena, text), comments(arena, once), "%s: a comment was lost or changed", path);
    cr_assert(lay_out(arena, once, &twice), "%s: what was laid out does not parse", path);
    cr_assert(slice_equal(once, twice), "%s: laying out twice differs:\n%.*s\n--- then\n%.*s", path, (int)once.size, once.data, (int)twice.size,
              twice.data);
}

static void for_all(void (*visit)(struct arena *arena, struct slice text, const char *path))
{
    uint32_t files = 0;
    for (size_t g = 0; g < sizeof globs / sizeof *globs; g++) {
        glob_t found;
        if (glob(globs[g], 0, NULL, &found) != 0)
            continue;
        for (size_t i = 0; i < found.gl_pathc; i++, files++) {
            struct arena arena;
            arena_init(&arena);
            visit(&arena, read_file(&arena, found.gl_pathv[i]), found.gl_pathv[i]);
            arena_fini(&arena);
        }
        globfree(&found);
    }
    cr_assert(files > 10, "only %u files", files);
}

Test(layout, keeps_every_word_and_comment_of_all_files)
{
    for_all(hold);
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The same words with other blanks between them: where there was a blank or a line's end there is one still. */
static struct slice reblanked(struct arena *arena, struct slice text, uint64_t *state)
{
    static const char *const blanks[] = {" ", "\n", "\r\n", "\t", "   ", "\n\n\n", " \n  "};
    uint32_t count;
    const struct token *token = tokens(arena, text, &count);
    char *out = arena_bytes(arena, text.size * 4 + 64);
    size_t size = 0;
    for (uint32_t i = 0; i + 1 < count; i++) {
        if (i && !token[i].glued) {
            const char *blank = blanks[random_next(state) % (sizeof blanks / sizeof *blanks)];
            memcpy(out + size, blank, strlen(blank));
            size += strlen(blank);
        }
        memcpy(out + size, text.data + token[i].span.at, token[i].span.size);
        size += token[i].span.size;
    }
    return (struct slice){out, size};
}

static void hold_blanks(struct arena *arena, struct slice text, const char *path)
{
    uint64_t state = 20261126;
    struct slice plain, other;
    struct slice bare = reblanked(arena, text, &state); /* without comments */
    if (!lay_out(arena, bare, &plain))
        return;
    for (int i = 0; i < 3; i++) {
        cr_assert(lay_out(arena, reblanked(arena, bare, &state), &other), "%s", path);
        cr_assert(slice_equal(plain, other), "%s: blanks matter:\n%.*s\n--- or\n%.*s", path, (int)plain.size, plain.data, (int)other.size, other.data);
    }
}

Test(layout, does_not_depend_on_blanks, .timeout = 120)
{
    for_all(hold_blanks);
}

/* Comments anywhere, lines cut anywhere: most mutants do not parse; those that do are held. */
Test(layout, holds_for_mutants, .timeout = 240)
{
    static const char *const pieces[] = {" # a remark\n", "#x\n", "\n", "\n\n# above\n", "  ", "\t", "\r\n", " #\n", " # a # b\n#c\n\n#d\n", "-", "not "};
    uint64_t state = 7;
    struct arena files;
    uint32_t laid = 0;
    arena_init(&files);
    struct slice sound = read_file(&files, "tests/data/diagnostics/fine.rules");
    char *text = arena_bytes(&files, TEXT_MAX);
    for (int m = 0; m < MUTANTS; m++) {
        struct arena arena;
        arena_init(&arena);
        size_t size = sound.size;
        memcpy(text, sound.data, size);
        for (uint64_t n = random_next(&state) % 6 + 1; n > 0; n--) {
            const char *piece = pieces[random_next(&state) % (sizeof pieces / sizeof *pieces)];
            size_t at = random_next(&state) % size, length = strlen(piece);
            while (random_next(&state) % 64 && at + 1 < size && text[at] != ' ' && text[at] != '\n')
                at++; /* between words, but for some */
            memmove(text + at + length, text + at, size - at);
            memcpy(text + at, piece, length);
            size += length;
        }
        struct slice out;
        laid += lay_out(&arena, (struct slice){text, size}, &out);
        hold(&arena, (struct slice){text, size}, "mutant");
        arena_fini(&arena);
    }
    cr_assert(laid > MUTANTS / 4, "only %u of %d mutants parsed", laid, MUTANTS);
    arena_fini(&files);
}

/* The compiled rules, by the hashes that checkpoints and reloads go by. */
Test(layout, never_changes_the_program)
{
    static const char *const names[] = {"forced_labour", "habits", "migrant_smuggling", "sexual_exploitation", "trafficking"};
    struct source_file before[5], after[5];
    struct arena arena;
    struct error err = {0};
    arena_init(&arena);
    for (int i = 0; i < 5; i++) {
        struct slice path = arena_format(&arena, "rules/packs/trafficking/%s.rules", names[i]);
        before[i] = after[i] = (struct source_file){arena_format(&arena, "%s.rules", names[i]), read_file(&arena, arena_text(&arena, path))};
        cr_assert(lay_out(&arena, before[i].text, &after[i].text));
    }
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *a = program_parse(before, 5, "rules/packs/trafficking", NULL, diagnostics, &err);
    struct diagnostics *again = diagnostics_new();
    struct program *b = program_parse(after, 5, "rules/packs/trafficking", NULL, again, &err);
    cr_assert(a && b);
    cr_assert(a->rule_count == b->rule_count && a->stream_count == b->stream_count && a->memory_count == b->memory_count);
    for (uint16_t i = 0; i < a->rule_count; i++)
        cr_assert_eq(a->rule[i].hash, b->rule[i].hash, "%.*s", (int)a->rule[i].id.size, a->rule[i].id.data);
    for (uint16_t i = 0; i < a->stream_count; i++)
        cr_assert_eq(a->stream[i].hash, b->stream[i].hash);
    for (uint16_t i = 0; i < a->memory_count; i++)
        cr_assert_eq(a->memory[i].hash, b->memory[i].hash);
    program_free(a);
    program_free(b);
    diagnostics_free(diagnostics);
    diagnostics_free(again);
    arena_fini(&arena);
}

Test(layout, leaves_a_file_with_errors_alone)
{
    struct arena arena;
    struct slice out = {0};
    arena_init(&arena);
    cr_assert(!lay_out(&arena, SLICE("rule R-1 {"), &out));
    cr_assert(out.data == NULL);
    cr_assert(lay_out(&arena, SLICE(""), &out) && out.size == 0);
    cr_assert(lay_out(&arena, SLICE("\n\n# only a remark"), &out));
    cr_assert(slice_equal(out, SLICE("# only a remark\n")), "%.*s", (int)out.size, out.data);
    arena_fini(&arena);
}
