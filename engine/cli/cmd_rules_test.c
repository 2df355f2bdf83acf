/* `muster rules test`: runs the test blocks of a rule set and says what passed. */
#include "engine/cli/command.h"

#include "engine/base/json_writer.h"
#include "engine/cli/coverage_report.h"
#include "engine/cli/progress.h"
#include "engine/cli/rule_set.h"
#include "engine/stream/rule_test.h"
#include "rules/lang/load.h"

#include <errno.h>

/* --- as text --- */

/* Prints the lines of a failure behind an indent. */
static void print_indented(FILE *out, struct slice lines)
{
    while (lines.size) {
        const char *end = memchr(lines.data, '\n', lines.size);
        size_t size = end ? (size_t)(end - lines.data) : lines.size;
        (void)fprintf(out, "      %.*s\n", (int)size, lines.data);
        size += end != NULL;
        lines = (struct slice){lines.data + size, lines.size - size};
    }
}

static void print_text(const char *dir, const struct rule_test_report *report)
{
    for (uint32_t i = 0; i < report->count; i++) {
        const struct rule_test_case *test = &report->test[i];
        if (test->failure.size == 0)
            continue;
        printf("FAIL  %.*s\n      %s/%.*s:%u\n", (int)test->title.size, test->title.data, dir, (int)test->file.size,
               test->file.data, test->line);
        print_indented(stdout, test->failure);
    }
    printf("%u passed, %u failed\n", report->count - report->failed, report->failed);
}

/* --- as JSON --- */

static void print_json(const char *dir, const struct rule_test_report *report, const struct coverage_report *coverage)
{
    struct json_writer json;
    json_writer_init(&json);
    json_open_object(&json, NULL);
    json_text(&json, "rules", slice_of(dir));
    json_number(&json, "passed", report->count - report->failed);
    json_number(&json, "failed", report->failed);
    json_open_array(&json, "tests");
    for (uint32_t i = 0; i < report->count; i++) {
        const struct rule_test_case *test = &report->test[i];
        json_open_object(&json, NULL);
        json_text(&json, "title", test->title);
        json_text(&json, "file", test->file);
        json_number(&json, "line", test->line);
        json_bool(&json, "passed", test->failure.size == 0);
        if (test->failure.size)
            json_text(&json, "failure", test->failure);
        json_close_object(&json);
    }
    json_close_array(&json);
    if (coverage)
        coverage_json(coverage, &json);
    json_close_object(&json);
    json_line(&json);
    (void)fwrite(json.text, 1, json.size, stdout);
    json_writer_fini(&json);
}

/* --- as JUnit --- */

/* XML 1.0 allows no control characters but tab and line ends, not even escaped. */
static void print_xml(FILE *out, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        const char *escape = c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : NULL;
        if (escape)
            (void)fputs(escape, out);
        else
            (void)fputc(c < 0x20 && c != '\t' && c != '\n' ? '?' : c, out);
    }
}

static bool write_junit(const char *path, const char *dir, const struct rule_test_report *report)
{
    FILE *out = fopen(path, "we");
    if (!out)
        return false;
    (void)fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"", out);
    print_xml(out, slice_of(dir));
    (void)fprintf(out, "\" tests=\"%u\" failures=\"%u\">\n", report->count, report->failed);
    for (uint32_t i = 0; i < report->count; i++) {
        const struct rule_test_case *test = &report->test[i];
        (void)fputs("<testcase name=\"", out);
        print_xml(out, test->title);
        (void)fputs("\" classname=\"", out);
        print_xml(out, test->file);
        (void)fprintf(out, "\" line=\"%u\">", test->line);
        if (test->failure.size) {
            (void)fputs("<failure>", out);
            print_xml(out, test->failure);
            (void)fputs("</failure>", out);
        }
        (void)fputs("</testcase>\n", out);
    }
    (void)fputs("</testsuite>\n</testsuites>\n", out);
    bool written = !ferror(out);
    return fclose(out) == 0 && written;
}

/* --- the command --- */

/* coverage: NULL where it is not asked for. */
static int rules_report(const struct command_line *line, const char *dir, const struct rule_test_report *report,
                        const struct coverage_report *coverage)
{
    const char *junit = command_option(line, "junit");
    bool json = command_option(line, "json") != NULL;
    if (json)
        print_json(dir, report, coverage);
    else
        print_text(dir, report);
    if (coverage && !json)
        coverage_text(coverage, stdout);
    if (junit && !write_junit(junit, dir, report))
        return command_fail(line, EXIT_WORLD, "cannot write %s: %s", junit, strerror(errno));
    if (report->count == 0)
        return command_fail(line, EXIT_FINDING, "%s holds no test", dir);
    return report->failed || (coverage && !coverage_enough(coverage)) ? EXIT_FINDING : EXIT_FINE;
}

static void show_progress(void *context, uint32_t count, uint32_t all)
{
    progress_count(context, count, all);
}

static int rules_run(const struct command_line *line, const char *dir, const struct program *program, struct progress *progress, struct arena *arena)
{
    int64_t least;
    if (!command_number(line, "least", 0, 100, 100, &least))
        return EXIT_USAGE;
    static const struct decode_seam seam = {decoder_new, decoder_free, decoder_decode, decoder_entity_hash};
    struct error err = {0};
    struct rule_test_report report;
    struct diagnostics *again = diagnostics_new(); /* nothing that program_load did not say already */
    struct syntax *syntax = syntax_load(dir, again, &err);
    struct coverage *coverage = command_option(line, "coverage") ? coverage_new(program) : NULL;
    const struct rule_test_watch watch = {show_progress, progress};
    bool worked = syntax && rule_tests_run(program, syntax, &seam, coverage, &watch, arena, &report, &err);
    progress_end(progress);
    struct coverage_report rows = {.diagnostics = again, .syntax = syntax, .least_percent = (uint32_t)least};
    if (worked && coverage)
        rows.row = coverage_rows(coverage, &rows.count);
    int code = worked ? rules_report(line, dir, &report, coverage ? &rows : NULL) : command_fail(line, EXIT_WORLD, "%s", err.text);
    coverage_free(coverage);
    syntax_free(syntax);
    diagnostics_free(again);
    return code;
}

int cmd_rules_test(const struct command_line *line)
{
    struct error err = {0};
    struct arena arena;
    struct progress progress;
    if (line->word_count != 1)
        return command_fail(line, EXIT_USAGE, "name one folder of rules");
    const char *dir = line->word[0];
    progress_begin_short(&progress, "tests", "run", command_option(line, "quiet") != NULL);
    struct diagnostics *diagnostics = diagnostics_new();
    diagnostics_dir(diagnostics, dir);
    struct program *program = program_load(dir, &(struct load_options){.for_tests = true}, diagnostics, &err);
    int code;
    if (program) {
        arena_init(&arena);
        code = rules_run(line, dir, program, &progress, &arena);
        arena_fini(&arena);
        program_free(program);
    } else if (err.class != ERROR_NONE) {
        code = command_fail(line, EXIT_WORLD, "%s", err.text);
    } else {
        rule_set_faults(line, diagnostics);
        code = EXIT_FINDING;
    }
    diagnostics_free(diagnostics);
    return code;
}
