/* Broken rule files: thousands of mutants of a sound one are read without a crash, a hang or a program
 * that hides its errors. */
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { MUTANTS = 5000, TEXT_MAX = 64 * 1024 };

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t mutate(char *text, size_t size, uint64_t *state)
{
    static const char *const pieces[] = {"{", "}", "(", ")", "\"", "/", "..", "->", "where", "of", "over", "rule ", "not ", "- ",
                                         "\xE2\x80\xAE", "\xFF", "9999999999999999999", "sender.wage", " in ", "each ", "*", "\n", "%"};
    size_t at = random_next(state) % size, length = random_next(state) % 40 + 1;
    switch (random_next(state) % 4) {
    case 0: /* cut */
        length = length < size - at ? length : size - at - 1;
        memmove(text + at, text + at + length, size - at - length);
        return size - length;
    case 1: /* flip */
        text[at] = (char)random_next(state);
        return size;
    case 2: { /* copy a piece of itself */
        size_t from = random_next(state) % size;
        length = length < size - from ? length : size - from;
        char piece[64];
        memcpy(piece, text + from, length);
        memmove(text + at + length, text + at, size - at);
        memcpy(text + at, piece, length);
        return size + length;
    }
    default: {
        const char *piece = pieces[random_next(state) % (sizeof pieces / sizeof *pieces)];
        length = strlen(piece);
        memmove(text + at + length, text + at, size - at);
        memcpy(text + at, piece, length);
        return size + length;
    }
    }
}

Test(mutants, are_refused_or_compiled_but_never_crash, .timeout = 120)
{
    FILE *file = fopen("tests/data/diagnostics/fine.rules", "rb");
    cr_assert(file != NULL);
    char *sound = malloc(TEXT_MAX), *text = malloc(TEXT_MAX + 4096);
    size_t size = fread(sound, 1, TEXT_MAX, file);
    fclose(file);
    uint64_t state = 20261124;
    int refused = 0;
    FILE *nowhere = fopen("/dev/null", "w");
    for (int i = 0; i < MUTANTS; i++) {
        size_t mutant = size;
        memcpy(text, sound, size);
        for (uint64_t n = random_next(&state) % 6 + 1; n > 0 && mutant > 1; n--)
            mutant = mutate(text, mutant, &state);
        struct source_file source = {SLICE("mutant.rules"), {text, mutant}};
        struct error err = {0};
        struct diagnostics *diagnostics = diagnostics_new();
        struct program *program = program_parse(&source, 1, "tests/data/diagnostics", NULL, diagnostics, &err);
        cr_expect_eq(program == NULL, diagnostics_errors(diagnostics) > 0);
        refused += program == NULL;
        diagnostics_text(diagnostics, nowhere);
        diagnostics_json(diagnostics, nowhere);
        program_free(program);
        diagnostics_free(diagnostics);
    }
    cr_expect(refused > MUTANTS / 2, "only %d refused", refused);
    fclose(nowhere);
    free(sound);
    free(text);
}
