/* `muster rules docs`: a page per rule and the coverage of the typologies, as Markdown and as HTML. */
#include "engine/cli/command.h"
#include "engine/base/invariant.h"
#include "engine/base/json_writer.h"
#include "engine/cli/progress.h"
#include "engine/cli/rule_set.h"
#include "rules/lang/plain.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096 };

struct docs {
    const struct command_line *line;
    const struct syntax *syntax;
    const char *out_dir;
    uint32_t pages;
    struct progress progress;
    struct json_writer files; /* their names, as an open array */
};

static uint32_t tests_of(const struct syntax *syntax, struct slice rule)
{
    uint32_t count = 0;
    for (const struct syntax_test *test = syntax->test; test; test = test->next)
        for (const struct syntax_key *key = test->rule; key; key = key->next)
            count += slice_equal(key->path.text, rule);
    return count;
}

/* --- Markdown --- */

static void rule_page(const struct docs *docs, const struct syntax_rule *rule, FILE *out)
{
    const struct syntax *syntax = docs->syntax;
    fprintf(out, "[All rules](README.md)\n\n# %.*s: %.*s\n\n%.*s.\n\n", (int)rule->id.text.size, rule->id.text.data, (int)rule->title.text.size, rule->title.text.data,
            (int)rule->why.text.size, rule->why.text.data);
    fprintf(out, "- typology: %.*s, family: %.*s\n- %s, version %lld\n- source: %.*s (%s)\n", (int)rule->typology.text.size, rule->typology.text.data,
            (int)rule->family.text.size, rule->family.text.data, plain_status(rule->status), (long long)rule->version,
            (int)rule->source.text.size, rule->source.text.data, plain_grade(rule->source_grade));
    if (rule->owner.text.size)
        fprintf(out, "- kept by: %.*s\n", (int)rule->owner.text.size, rule->owner.text.data);
    if (rule->review_day) {
        fputs("- to be looked at again by ", out);
        plain_day(rule->review_day, out);
        fputs("\n", out);
    }
    fputs("\n", out);
    plain_rule(syntax, rule, out);
    fputs("## Tests\n\n", out);
    if (!tests_of(syntax, rule->id.text))
        fputs("None.\n", out);
    for (const struct syntax_test *test = syntax->test; test; test = test->next)
        for (const struct syntax_key *key = test->rule; key; key = key->next)
            if (slice_equal(key->path.text, rule->id.text))
                fprintf(out, "- %.*s\n", (int)test->title.text.size, test->title.text.data);
    const struct source_file *file = &syntax->file[rule->span.file];
    fprintf(out, "\n## As written\n\nIn %.*s:\n\n```\n%.*s\n```\n", (int)file->name.size, file->name.data, (int)rule->span.size,
            file->text.data + rule->span.at);
}

/* Families that some rule of the typology is in, with how many are live, in shadow, or neither. */
static void family_row(const struct docs *docs, struct slice typology, struct slice family, FILE *out)
{
    uint32_t live = 0, shadow = 0, other = 0, tests = 0;
    for (const struct syntax_rule *rule = docs->syntax->rule; rule; rule = rule->next) {
        if (!slice_equal(rule->typology.text, typology) || !slice_equal(rule->family.text, family))
            continue;
        live += rule->status == RULE_LIVE;
        shadow += rule->status == RULE_SHADOW;
        other += rule->status != RULE_LIVE && rule->status != RULE_SHADOW;
        tests += tests_of(docs->syntax, rule->id.text);
    }
    fprintf(out, "| %.*s | %u | %u | %u | %u |\n", (int)family.size, family.data, live, shadow, other, tests);
}

static bool first_of_family(const struct syntax *syntax, const struct syntax_rule *rule)
{
    for (const struct syntax_rule *before = syntax->rule; before != rule; before = before->next)
        if (slice_equal(before->typology.text, rule->typology.text) && slice_equal(before->family.text, rule->family.text))
            return false;
    return true;
}

static void typology_part(const struct docs *docs, const struct syntax_typology *typology, FILE *out)
{
    const struct syntax *syntax = docs->syntax;
    fprintf(out, "## %.*s\n\n", (int)typology->title.text.size, typology->title.text.data);
    plain_typology(syntax, typology, out);
    fputs("\n\nIts indicators:\n\n| indicator | what it sees | family | status | source | tests |\n|---|---|---|---|---|---|\n", out);
    for (const struct syntax_rule *rule = syntax->rule; rule; rule = rule->next)
        if (slice_equal(rule->typology.text, typology->name.text))
            fprintf(out, "| [%.*s](%.*s.md) | %.*s | %.*s | %s | %s | %u |\n", (int)rule->id.text.size, rule->id.text.data, (int)rule->id.text.size,
                    rule->id.text.data, (int)rule->title.text.size, rule->title.text.data, (int)rule->family.text.size, rule->family.text.data,
                    plain_status(rule->status), rule->source_grade[0] ? rule->source_grade : "none", tests_of(syntax, rule->id.text));
    fputs("\nBy family:\n\n| family | live | in shadow | not running | tests |\n|---|---|---|---|---|\n", out);
    for (const struct syntax_rule *rule = syntax->rule; rule; rule = rule->next)
        if (slice_equal(rule->typology.text, typology->name.text) && first_of_family(syntax, rule))
            family_row(docs, typology->name.text, rule->family.text, out);
    fputs("\n", out);
}

static void index_page(const struct docs *docs, FILE *out)
{
    fprintf(out, "# Rules of %.*s\n\nMade by `muster rules docs`. What each typology is covered by: its indicators, their status, and their tests.\n\n",
            (int)docs->syntax->name.text.size, docs->syntax->name.text.data);
    for (const struct syntax_typology *typology = docs->syntax->typology; typology; typology = typology->next)
        typology_part(docs, typology, out);
    fputs("## Tests of all rules together\n\n", out);
    for (const struct syntax_test *test = docs->syntax->test; test; test = test->next)
        if (!test->rule)
            fprintf(out, "- %.*s\n", (int)test->title.text.size, test->title.text.data);
}

/* --- HTML, made from the Markdown above: headings, paragraphs, lists, tables, code --- */

static void html_text(struct slice text, FILE *out)
{
    bool code = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        const char *link = c == '[' ? memchr(text.data + i, ']', text.size - i) : NULL;
        const char *end = link && link + 1 < text.data + text.size && link[1] == '(' ? memchr(link, ')', (size_t)(text.data + text.size - link)) : NULL;
        if (end && end - 3 > link + 2 && memcmp(end - 3, ".md", 3) == 0) {
            struct slice page = {link + 2, (size_t)(end - 3 - (link + 2))};
            if (slice_equal(page, SLICE("README")))
                page = SLICE("index");
            fprintf(out, "<a href=\"%.*s.html\">", (int)page.size, page.data);
            html_text((struct slice){text.data + i + 1, (size_t)(link - text.data) - i - 1}, out);
            fputs("</a>", out);
            i = (size_t)(end - text.data);
        } else if (c == '`') {
            fputs(code ? "</code>" : "<code>", out);
            code = !code;
        } else if (c == '<' || c == '>' || c == '&' || c == '"') {
            fputs(c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : "&quot;", out);
        } else {
            fputc(c, out);
        }
    }
    if (code)
        fputs("</code>", out);
}

static void html_row(struct slice line, const char *cell, FILE *out)
{
    fputs("<tr>", out);
    for (size_t from = 1; from + 1 < line.size;) {
        const char *bar = memchr(line.data + from, '|', line.size - from);
        size_t end = bar ? (size_t)(bar - line.data) : line.size, first = from, last = end;
        while (first < last && line.data[first] == ' ')
            first++;
        while (last > first && line.data[last - 1] == ' ')
            last--;
        fprintf(out, "<%s>", cell);
        html_text((struct slice){line.data + first, last - first}, out);
        fprintf(out, "</%s>", cell);
        from = end + 1;
    }
    fputs("</tr>\n", out);
}

enum html_part { PART_NONE, PART_LIST, PART_TABLE, PART_CODE };

static void html_end(enum html_part *part, FILE *out)
{
    static const char *const ends[] = {"", "</ul>\n", "</table></div>\n", "</pre>\n"};
    fputs(ends[*part], out);
    *part = PART_NONE;
}

static void html_line(struct slice line, enum html_part *part, FILE *out)
{
    if (line.size >= 3 && memcmp(line.data, "```", 3) == 0) {
        bool inside = *part == PART_CODE;
        html_end(part, out);
        if (!inside) {
            fputs("<pre>", out);
            *part = PART_CODE;
        }
        return;
    }
    if (*part == PART_CODE) {
        for (size_t i = 0; i < line.size; i++)
            fputs(line.data[i] == '<' ? "&lt;" : line.data[i] == '&' ? "&amp;" : (char[]){line.data[i], 0}, out);
        fputc('\n', out);
        return;
    }
    bool item = line.size > 2 && memcmp(line.data, "- ", 2) == 0, row = line.size && line.data[0] == '|';
    if ((*part == PART_LIST && !item) || (*part == PART_TABLE && !row))
        html_end(part, out);
    size_t level = 0;
    while (level < line.size && line.data[level] == '#')
        level++;
    if (level) {
        fprintf(out, "<h%zu>", level);
        html_text((struct slice){line.data + level + 1, line.size - level - 1}, out);
        fprintf(out, "</h%zu>\n", level);
    } else if (item) {
        fputs(*part == PART_LIST ? "<li>" : "<ul>\n<li>", out);
        html_text((struct slice){line.data + 2, line.size - 2}, out);
        fputs("</li>\n", out);
        *part = PART_LIST;
    } else if (row && *part != PART_TABLE) {
        fputs("<div class=\"wide\"><table>\n", out);
        html_row(line, "th", out);
        *part = PART_TABLE;
    } else if (row) {
        if (line.size < 2 || line.data[1] != '-')
            html_row(line, "td", out);
    } else if (line.size) {
        fputs("<p>", out);
        html_text(line, out);
        fputs("</p>\n", out);
    }
}

static void html_page(struct slice title, struct slice markdown, FILE *out)
{
    enum html_part part = PART_NONE;
    fputs("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>", out);
    html_text(title, out);
    fputs("</title>\n<style>\n"
          ":root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #fff; --code: #f3f5f7 }\n"
          "@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #3d444d; --paper: #0d1117; --code: #161b22 } }\n"
          "body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 0 auto; padding: 1rem }\n"
          "h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } a { color: inherit }\n"
          "table { border-collapse: collapse } th, td { border-bottom: 1px solid var(--line); padding: .35rem .75rem .35rem 0; text-align: left; vertical-align: top }\n"
          "th { color: var(--soft); font-weight: 600 } .wide { overflow-x: auto } code, pre { background: var(--code); border-radius: 4px; padding: 0 .2rem }\n"
          "pre { padding: .75rem; overflow-x: auto; font-size: .9rem }\n</style>\n", out);
    while (markdown.size) {
        const char *end = memchr(markdown.data, '\n', markdown.size);
        size_t size = end ? (size_t)(end - markdown.data) : markdown.size;
        html_line((struct slice){markdown.data, size}, &part, out);
        size += end != NULL;
        markdown = (struct slice){markdown.data + size, markdown.size - size};
    }
    html_end(&part, out);
    fputs("</html>\n", out);
}

/* --- files --- */

static bool write_fails(struct docs *docs, const char *path)
{
    const char *why = strerror(errno);
    progress_end(&docs->progress);
    return command_fail(docs->line, EXIT_WORLD, "cannot write %s: %s", path, why) == EXIT_FINE;
}

static bool write_file(struct docs *docs, struct slice name, const char *ending, void (*print)(struct slice title, struct slice text, FILE *out),
                       struct slice title, struct slice text)
{
    char path[PATH_SIZE];
    int size = snprintf(path, sizeof path, "%s/%.*s%s", docs->out_dir, (int)name.size, name.data, ending);
    FILE *out = size > 0 && (size_t)size < sizeof path ? fopen(path, "we") : NULL;
    if (!out)
        return write_fails(docs, path);
    print(title, text, out);
    bool good = !ferror(out);
    good = fclose(out) == 0 && good;
    json_text(&docs->files, NULL, slice_of(strrchr(path, '/') + 1));
    return good || write_fails(docs, path);
}

static void plain_page(struct slice title, struct slice text, FILE *out)
{
    (void)title;
    (void)fwrite(text.data, 1, text.size, out);
}

static bool write_page(struct docs *docs, struct slice md_name, struct slice html_name, struct slice title, const struct syntax_rule *rule)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    invariant(out != NULL);
    if (rule)
        rule_page(docs, rule, out);
    else
        index_page(docs, out);
    invariant(fclose(out) == 0);
    bool good = write_file(docs, md_name, ".md", plain_page, title, (struct slice){text, size}) &&
                write_file(docs, html_name, ".html", html_page, title, (struct slice){text, size});
    docs->pages += good;
    free(text);
    return good;
}

static void print_written(struct docs *docs)
{
    if (!command_option(docs->line, "json")) {
        printf("%u pages in %s, each as .md and .html; begin with README.md or index.html\n", docs->pages, docs->out_dir);
        return;
    }
    json_close_array(&docs->files);
    json_text(&docs->files, "folder", slice_of(docs->out_dir));
    json_number(&docs->files, "pages", docs->pages);
    json_close_object(&docs->files);
    json_line(&docs->files);
    (void)fwrite(docs->files.text, 1, docs->files.size, stdout);
}

static int write_docs(struct docs *docs)
{
    if (mkdir(docs->out_dir, 0777) != 0 && errno != EEXIST)
        return command_fail(docs->line, EXIT_WORLD, "cannot make %s: %s", docs->out_dir, strerror(errno));
    bool good = write_page(docs, SLICE("README"), SLICE("index"), docs->syntax->name.text, NULL);
    uint32_t rules = 0;
    for (const struct syntax_rule *rule = docs->syntax->rule; rule; rule = rule->next)
        rules++;
    for (const struct syntax_rule *rule = docs->syntax->rule; rule && good; rule = rule->next) {
        good = write_page(docs, rule->id.text, rule->id.text, rule->title.text, rule);
        progress_count(&docs->progress, docs->pages, rules + 1);
    }
    progress_end(&docs->progress);
    if (!good)
        return EXIT_WORLD;
    print_written(docs);
    return EXIT_FINE;
}

int cmd_rules_docs(const struct command_line *line)
{
    int code;
    struct docs docs = {.line = line, .out_dir = command_option(line, "out")};
    if (line->word_count != 1 || !docs.out_dir)
        return command_fail(line, EXIT_USAGE, "name one folder of rules, and --out FOLDER for the pages");
    progress_begin_short(&docs.progress, "pages", "written", command_option(line, "quiet") != NULL);
    struct syntax *syntax = rule_set_tree(line, line->word[0], &code);
    if (!syntax)
        return code;
    docs.syntax = syntax;
    json_writer_init(&docs.files);
    json_open_object(&docs.files, NULL);
    json_open_array(&docs.files, "files");
    code = write_docs(&docs);
    json_writer_fini(&docs.files);
    syntax_free(syntax);
    return code;
}
