/* Golden diagnostics: every file of tests/data/diagnostics says exactly what its .expected says, and
 * every code is said at least once. To renew after a wanted change: GOLDEN=1, then read the diff. */
#include "rules/lang/diagnostic.h"
#include "rules/lang/language.h"
#include "rules/lang/limit.h"
#include "rules/lang/load.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>

#define FOLDER "tests/data/diagnostics"
enum { TODAY = 20781, FILE_MAX = 64 * 1024 }; /* 2026-11-24 */

static char *read_all(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *text = malloc(FILE_MAX);
    *size = fread(text, 1, FILE_MAX, file);
    fclose(file);
    return text;
}

/* What is said about one source; marks the codes in `said`. */
static char *say(struct slice name, struct slice text, bool *said, size_t *size)
{
    struct source_file file = {name, text};
    struct load_options options = {.today = TODAY};
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_parse(&file, 1, FOLDER, &options, diagnostics, &err);
    char *out = NULL;
    FILE *memory = open_memstream(&out, size);
    diagnostics_text(diagnostics, memory);
    fclose(memory);
    cr_expect_eq(program == NULL, diagnostics_errors(diagnostics) > 0, "%.*s", (int)name.size, name.data);
    for (uint32_t i = 0; i < diagnostics_count(diagnostics); i++)
        said[diagnostics_at(diagnostics, i)->code] = true;
    program_free(program);
    diagnostics_free(diagnostics);
    return out;
}

static void check_one(const char *name, bool *said)
{
    char path[512], want_path[512];
    size_t size = 0, want_size = 0, got_size = 0;
    size_t stem = strlen(name) - 6;
    snprintf(path, sizeof path, FOLDER "/%s", name);
    snprintf(want_path, sizeof want_path, FOLDER "/%.*s.expected", (int)stem, name);
    char *text = read_all(path, &size);
    cr_assert(text != NULL, "%s", path);
    char *got = say(slice_of(name), (struct slice){text, size}, said, &got_size);
    if (getenv("GOLDEN")) {
        FILE *out = fopen(want_path, "wb");
        fwrite(got, 1, got_size, out);
        fclose(out);
    }
    char *want = read_all(want_path, &want_size);
    cr_expect(want != NULL && slice_equal((struct slice){want, want_size}, (struct slice){got, got_size}), "%s says:\n%s", name, got);
    free(want);
    free(got);
    free(text);
}

Test(diagnostics, golden_files)
{
    bool said[DIAG_COUNT] = {false};
    DIR *folder = opendir(FOLDER);
    const struct dirent *entry;
    int count = 0;
    cr_assert(folder != NULL);
    while ((entry = readdir(folder))) {
        size_t size = strlen(entry->d_name);
        if (size < 7 || strcmp(entry->d_name + size - 6, ".rules") != 0)
            continue;
        check_one(entry->d_name, said);
        count++;
    }
    closedir(folder);
    cr_expect(count >= 60, "only %d golden files", count);
    said[DIAG_FILE_UNREADABLE] = true; /* too large to keep: below */
    said[DIAG_LIST_STALE] = true;      /* depends on a file's age: below */
    for (int code = 0; code < DIAG_COUNT; code++)
        cr_expect(said[code], "no golden file says %s", diagnostic_page((enum diagnostic_code)code)->code);
}

Test(diagnostics, a_file_too_large_is_refused)
{
    bool said[DIAG_COUNT] = {false};
    size_t size;
    char *text = malloc(LIMIT_FILE_BYTES + 1);
    memset(text, ' ', LIMIT_FILE_BYTES + 1);
    free(say(SLICE("big.rules"), (struct slice){text, LIMIT_FILE_BYTES + 1}, said, &size));
    cr_expect(said[DIAG_FILE_UNREADABLE]);
    free(text);
}

Test(diagnostics, errors_are_capped_and_counted)
{
    bool said[DIAG_COUNT] = {false};
    char text[4096];
    size_t size, used = 0;
    for (int i = 0; i < 80; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "list a%d of bank from \"b\"\n", i);
    char *got = say(SLICE("many.rules"), (struct slice){text, used}, said, &size);
    cr_expect(strstr(got, "many.rules: and 16 more") != NULL, "%s", got);
    free(got);
}

static char *render(void (*how)(struct diagnostics *diagnostics, FILE *out))
{
    struct source_file file = {SLICE("a\"b.rules"), SLICE("list x of bank from \"y\"\n")};
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    program_free(program_parse(&file, 1, FOLDER, NULL, diagnostics, &err));
    char *out = NULL;
    size_t size;
    FILE *memory = open_memstream(&out, &size);
    how(diagnostics, memory);
    fclose(memory);
    diagnostics_free(diagnostics);
    return out;
}

Test(diagnostics, json_and_sarif_name_code_and_place)
{
    char *json = render(diagnostics_json), *sarif = render(diagnostics_sarif);
    cr_expect(strstr(json, "\"code\":\"R039\"") && strstr(json, "\"line\":1,\"column\":11") && strstr(json, "a\\\"b.rules"), "%s", json);
    cr_expect(strstr(sarif, "\"ruleId\":\"R039\"") && strstr(sarif, "\"startLine\":1,\"startColumn\":11"), "%s", sarif);
    free(json);
    free(sarif);
}

Test(diagnostics, every_page_is_complete)
{
    for (int code = 0; code < DIAG_COUNT; code++) {
        const struct diagnostic_page *page = diagnostic_page((enum diagnostic_code)code);
        cr_expect(strlen(page->code) == 4 && *page->title && *page->avoid && *page->prefer && *page->why);
        cr_expect_eq(page->warning, page->code[1] == '1');
    }
}

static void check_page(const char *path, void (*print)(FILE *out))
{
    char *page = NULL;
    size_t size = 0, have_size = 0;
    FILE *out = open_memstream(&page, &size);
    print(out);
    fclose(out);
    char *have = read_all(path, &have_size);
    cr_expect(have != NULL && slice_equal((struct slice){have, have_size}, (struct slice){page, size}), "%s is stale", path);
    free(have);
    free(page);
}

Test(diagnostics, reference_pages_are_fresh)
{
    check_page("rules/LANGUAGE.md", language_print_page);
    check_page("rules/DIAGNOSTICS.md", diagnostics_print_page);
}
