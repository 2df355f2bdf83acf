/* Mutants of all shipped rule files: each is read without a crash or a hang, and is either a sound rule set or has
 * an error with a place in its text. What is sound can be laid out, and is sound still.
 * Usage: rule_mutants [MUTANTS [SEED]]. Ends with `N passed, N failed`. */
#include "engine/base/invariant.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/layout.h"
#include "rules/lang/load.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FILES_MAX = 256, TEXT_MAX = 1 << 18, EDITS_MAX = 4, PIECE_MAX = 48, HANG_MS = 2000, SHARED_BYTES_MAX = 1 << 16 };

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct shipped {
    struct slice name, text, dir;
    struct slice shared; /* of the same folder: the file with the ruleset block; empty when it is this one */
};

static struct shipped shipped[FILES_MAX];
static uint32_t shipped_count;

static struct slice read_file(struct arena *arena, const char *path)
{
    FILE *in = fopen(path, "rb");
    invariant(in != NULL);
    char *text = arena_bytes(arena, TEXT_MAX);
    struct slice all = {text, fread(text, 1, TEXT_MAX, in)};
    (void)fclose(in);
    return arena_copy(arena, all);
}

static bool holds(struct slice text, const char *word)
{
    return memmem(text.data, text.size, word, strlen(word)) != NULL;
}

static void read_shipped(struct arena *arena, const char *pattern)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    uint32_t first = shipped_count;
    for (size_t i = 0; i < found.gl_pathc && shipped_count < FILES_MAX; i++) {
        const char *path = found.gl_pathv[i], *slash = strrchr(path, '/');
        shipped[shipped_count++] = (struct shipped){.name = arena_copy(arena, slice_of(slash + 1)), .text = read_file(arena, path),
                                                    .dir = arena_copy(arena, (struct slice){path, (size_t)(slash - path)})};
    }
    for (uint32_t i = first; i < shipped_count; i++)
        for (uint32_t j = first; j < shipped_count; j++)
            if (i != j && slice_equal(shipped[i].dir, shipped[j].dir) && holds(shipped[j].text, "\nruleset ") && !holds(shipped[i].text, "\nruleset ") &&
                shipped[j].text.size < SHARED_BYTES_MAX)
                shipped[i].shared = shipped[j].text;
    globfree(&found);
}

/* --- mutating --- */

static size_t insert(char *text, size_t size, size_t at, const char *piece, size_t length)
{
    char kept[PIECE_MAX + 8];
    if (size + length >= TEXT_MAX)
        return size;
    memcpy(kept, piece, length); /* it may be a part of the text itself */
    memmove(text + at + length, text + at, size - at);
    memcpy(text + at, kept, length);
    return size + length;
}

static size_t mutate(char *text, size_t size, uint64_t *state)
{
    static const char *const pieces[] = {"{", "}", "(", ")", "\"", "/", "..", "->", " where ", " of ", " over ", "rule ", "not ", "- ", "\xE2\x80\xAE",
                                         "\xFF", "9999999999999999999", "sender.wage", " in ", " each ", "*", "\n", "%", "\xE2\x80\x9C", "\t", "\r\n", " and ",
                                         " or ", " is new over 5d ", "usual ", "let x = ", "#", "2026-02-30", "25:99", "then within 3h ", "unless ", "since step 1"};
    size_t at = next_random(state) % size, length = next_random(state) % PIECE_MAX + 1;
    switch (next_random(state) % 5) {
    case 0: /* cut */
        length = length < size - at ? length : size - at - 1;
        memmove(text + at, text + at + length, size - at - length);
        return size - length ? size - length : 1;
    case 1: /* flip */
        text[at] = (char)next_random(state);
        return size;
    case 2: /* copy a piece of itself */
        length = length < size - at ? length : size - at;
        return insert(text, size, next_random(state) % size, text + at, length);
    case 3: { /* swap two letters */
        size_t other = at + 1 < size ? at + 1 : 0;
        char kept = text[at];
        text[at] = text[other];
        text[other] = kept;
        return size;
    }
    default: {
        const char *piece = pieces[next_random(state) % (sizeof pieces / sizeof *pieces)];
        return insert(text, size, at, piece, strlen(piece));
    }
    }
}

/* --- judging --- */

static bool placed(struct diagnostics *diagnostics, size_t size)
{
    for (uint32_t i = 0; i < diagnostics_count(diagnostics); i++) {
        const struct diagnostic *d = diagnostics_at(diagnostics, i);
        if (d->message.size == 0 || (d->span.file == 0 && d->span.at > size))
            return false;
    }
    return true;
}

static bool lays_out(struct slice text)
{
    struct arena arena;
    struct slice once = {0}, twice = {0};
    arena_init(&arena);
    struct diagnostics *diagnostics = diagnostics_new(), *again = diagnostics_new();
    bool good = !layout_file(&arena, SLICE("a.rules"), text, diagnostics, &once) ||
                (layout_file(&arena, SLICE("a.rules"), once, again, &twice) && slice_equal(once, twice));
    diagnostics_free(diagnostics);
    diagnostics_free(again);
    arena_fini(&arena);
    return good;
}

/* What is wrong, or NULL. */
static const char *judge(const struct shipped *from, struct slice text, bool *sound)
{
    const struct source_file file[2] = {{from->name, text}, {SLICE("zz_shared.rules"), from->shared}};
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    int64_t since = now_ms();
    char dir[256];
    (void)snprintf(dir, sizeof dir, "%.*s", (int)from->dir.size, from->dir.data);
    struct program *program = program_parse(file, from->shared.size ? 2 : 1, dir, NULL, diagnostics, &err);
    const char *wrong = NULL;
    *sound = program != NULL;
    if (now_ms() - since > HANG_MS)
        wrong = "took too long";
    else if (!program && diagnostics_errors(diagnostics) == 0)
        wrong = "neither a program nor an error";
    else if (program && diagnostics_errors(diagnostics) > 0)
        wrong = "a program in spite of errors";
    else if (!placed(diagnostics, text.size))
        wrong = "an error without a place or a message";
    program_free(program);
    diagnostics_free(diagnostics);
    return wrong ? wrong : lays_out(text) ? NULL : "laying out twice differs";
}

int main(int argc, char **argv)
{
    uint64_t mutants = argc > 1 ? strtoull(argv[1], NULL, 10) : 5000, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, sound = 0;
    static const char *const patterns[] = {"rules/packs/*/*.rules", "tests/data/meaning/*.rules", "tests/data/meaning/*/*.rules",
                                           "tests/data/diagnostics/fine.rules", "tests/data/run/*.rules", "tests/data/habits/*.rules"};
    uint32_t failed = 0;
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        read_shipped(&arena, patterns[i]);
    char *text = arena_bytes(&arena, TEXT_MAX);
    for (uint64_t m = 0; m < mutants && failed < 10; m++) {
        uint64_t state = seed * 1000000007u + m;
        const struct shipped *from = &shipped[next_random(&state) % shipped_count];
        size_t size = from->text.size;
        bool clean = false;
        memcpy(text, from->text.data, size);
        for (uint64_t edits = next_random(&state) % EDITS_MAX + 1; edits > 0; edits--)
            size = mutate(text, size, &state);
        const char *wrong = judge(from, (struct slice){text, size}, &clean);
        sound += clean;
        if (wrong) {
            failed++;
            printf("mutant %llu of seed %llu (%.*s): %s\n", (unsigned long long)m, (unsigned long long)seed, (int)from->name.size, from->name.data, wrong);
        }
    }
    printf("%u files, %llu mutants, %llu of them still sound\n", shipped_count, (unsigned long long)mutants, (unsigned long long)sound);
    printf("%llu passed, %u failed\n", (unsigned long long)(mutants - failed), failed);
    arena_fini(&arena);
    return failed ? 1 : 0;
}
