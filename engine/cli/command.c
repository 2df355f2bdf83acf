/* Parses the command line by the table, and prints help and pages from it. */
#include "engine/cli/command.h"

#include "engine/base/suggest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

struct option {
    const char *name, *argument, *help;
};

struct command {
    const char *id, *words, *arguments, *summary, *text;
    int (*run)(const struct command_line *line);
    struct option first; /* unused; keeps rows of both kinds in one array */
};

/* Rows in order: a command (run set), then its options (run NULL). */
static const struct command rows[] = {
#define COMMAND(id, words, arguments, summary, text) {#id, words, arguments, summary, text, cmd_##id, {0}},
#define OPTION(name, argument, help) {NULL, NULL, NULL, NULL, NULL, NULL, {name, argument, help}},
#include "engine/cli/command.def"
#undef COMMAND
#undef OPTION
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static const struct command *row_next_command(const struct command *row)
{
    const struct command *end = rows + ROW_COUNT;
    while (row < end && !row->run)
        row++;
    return row < end ? row : NULL;
}

static const struct option *command_find_option(const struct command *command, const char *name)
{
    for (const struct command *row = command + 1; row < rows + ROW_COUNT && !row->run; row++)
        if (strcmp(row->first.name, name) == 0)
            return &row->first;
    return NULL;
}

const char *command_option_nth(const struct command_line *line, const char *name, int nth)
{
    for (int i = 0; i < line->option_count; i++)
        if (strcmp(line->option[i].name, name) == 0 && nth-- == 0)
            return line->option[i].value;
    return NULL;
}

const char *command_option(const struct command_line *line, const char *name)
{
    const char *last = NULL;
    for (int i = 0; i < line->option_count; i++)
        if (strcmp(line->option[i].name, name) == 0)
            last = line->option[i].value;
    return last;
}

int command_fail(const struct command_line *line, int code, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "muster: %s: ", line->command->words);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return code;
}

bool command_number(const struct command_line *line, const char *name, int64_t least, int64_t most, int64_t def, int64_t *out)
{
    const char *text = command_option(line, name);
    char *end;
    *out = def;
    if (!text)
        return true;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || *end || end == text || number < least || number > most) {
        (void)command_fail(line, EXIT_USAGE, "--%s must be a whole number from %lld to %lld, not `%s`", name, (long long)least,
                           (long long)most, text);
        return false;
    }
    *out = number;
    return true;
}

bool command_decimal(const struct command_line *line, const char *name, double least, double most, double def, double *out)
{
    const char *text = command_option(line, name);
    char *end;
    *out = def;
    if (!text)
        return true;
    errno = 0;
    double number = strtod(text, &end);
    if (errno || *end || end == text || !(number >= least && number <= most)) {
        (void)command_fail(line, EXIT_USAGE, "--%s must be a number from %g to %g, not `%s`", name, least, most, text);
        return false;
    }
    *out = number;
    return true;
}

bool command_settings(const struct command_line *line, struct settings *settings)
{
    const char *path = command_option(line, "config");
    struct slice wrong;
    struct error err = {0};
    settings_init(settings);
    if (path && !settings_load(settings, path, &wrong)) {
        fwrite(wrong.data, 1, wrong.size, stderr);
        return false;
    }
    for (int i = 0;; i++) {
        const char *pair = command_option_nth(line, "set", i);
        if (!pair)
            return true;
        const char *equals = strchr(pair, '=');
        if (!equals) {
            (void)command_fail(line, EXIT_USAGE, "--set takes NAME=VALUE, not `%s`", pair);
            return false;
        }
        if (!settings_set(settings, (struct slice){pair, (size_t)(equals - pair)}, slice_of(equals + 1), &err)) {
            (void)command_fail(line, EXIT_USAGE, "--set %s: %s", pair, err.text);
            return false;
        }
    }
}

/* --- help --- */

static void print_overview(FILE *out)
{
    fputs("Muster scores streams of payments for signs of trafficking in persons, and explains each alert.\n\n"
          "usage: muster COMMAND [OPTIONS] [ARGUMENTS]\n\n", out);
    for (const struct command *c = row_next_command(rows); c; c = row_next_command(c + 1))
        fprintf(out, "  %-14s %s\n", c->words, c->summary);
    fputs("\n`muster COMMAND --help` explains one. Exit codes: 0 fine, 1 found something wrong (rejected lines, failed\n"
          "tests), 2 wrong usage or settings, 3 the world failed (Kafka, PostgreSQL, disk), 4 another engine has the lease.\n", out);
}

static void print_command(FILE *out, const struct command *command)
{
    fprintf(out, "muster %s: %s\n\nusage: muster %s [OPTIONS]%s%s\n\n%s\n", command->words, command->summary, command->words,
            command->arguments[0] ? " " : "", command->arguments, command->text);
    for (const struct command *row = command + 1; row < rows + ROW_COUNT && !row->run; row++) {
        char left[64];
        (void)snprintf(left, sizeof left, "--%s%s%s", row->first.name, row->first.argument[0] ? " " : "", row->first.argument);
        fprintf(out, "%s  %-24s %s\n", row == command + 1 ? "\n" : "", left, row->first.help);
    }
}

/* --- parsing --- */

/* The command whose words begin argv; *used is how many of them. Longest first: "db migrate". */
static const struct command *command_find(int argc, char **argv, int *used)
{
    const struct command *best = NULL;
    *used = 0;
    for (const struct command *c = row_next_command(rows); c; c = row_next_command(c + 1)) {
        char words[64];
        (void)snprintf(words, sizeof words, "%s", c->words);
        char *rest = words, *word;
        int count = 0;
        while ((word = strsep(&rest, " ")) && count < argc && strcmp(word, argv[count]) == 0)
            count++;
        if (!word && !rest && count > *used) {
            best = c;
            *used = count;
        }
    }
    return best;
}

static int say_unknown(const char *word)
{
    struct slice names[ROW_COUNT];
    int count = 0;
    for (const struct command *c = row_next_command(rows); c; c = row_next_command(c + 1))
        names[count++] = slice_of(c->words);
    int near = suggest_nearest(slice_of(word), names, count);
    fprintf(stderr, "muster: there is no command `%s`", word);
    if (near >= 0)
        fprintf(stderr, "; did you mean `%.*s`?", (int)names[near].size, names[near].data);
    fputs("\nmuster: `muster help` lists them\n", stderr);
    return EXIT_USAGE;
}

static int say_unknown_option(const struct command_line *line, const char *name)
{
    struct slice names[ROW_COUNT];
    int count = 0;
    for (const struct command *row = line->command + 1; row < rows + ROW_COUNT && !row->run; row++)
        names[count++] = slice_of(row->first.name);
    int near = suggest_nearest(slice_of(name), names, count);
    if (near >= 0)
        return command_fail(line, EXIT_USAGE, "there is no option --%s; did you mean --%.*s?", name, (int)names[near].size,
                            names[near].data);
    return command_fail(line, EXIT_USAGE, "there is no option --%s; `muster %s --help` lists them", name, line->command->words);
}

/* One --option at argv[i]; returns the index behind it, or -1 after saying what is wrong. */
static int parse_option(struct command_line *line, int argc, char **argv, int i)
{
    char name[64];
    const char *text = argv[i] + 2, *equals = strchr(text, '=');
    size_t size = equals ? (size_t)(equals - text) : strlen(text);
    (void)snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name - 1), text);
    const struct option *option = command_find_option(line->command, name);
    if (!option) {
        (void)say_unknown_option(line, name);
        return -1;
    }
    bool flag = option->argument[0] == '\0';
    const char *value = equals ? equals + 1 : "";
    if (flag && equals) {
        (void)command_fail(line, EXIT_USAGE, "--%s takes no value", name);
        return -1;
    }
    if (!flag && !equals) {
        if (i + 1 >= argc) {
            (void)command_fail(line, EXIT_USAGE, "--%s needs %s", name, option->argument);
            return -1;
        }
        value = argv[++i];
    }
    if (line->option_count == COMMAND_OPTION_MAX) {
        (void)command_fail(line, EXIT_USAGE, "more than %d options", COMMAND_OPTION_MAX);
        return -1;
    }
    line->option[line->option_count].name = option->name;
    line->option[line->option_count++].value = value;
    return i + 1;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int command_main(int argc, char **argv)
{
    struct command_line line = {0};
    int used;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_overview(argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_USAGE : EXIT_FINE;
    }
    line.command = command_find(argc - 1, argv + 1, &used);
    if (!line.command)
        return say_unknown(argv[1]);
    if (wants_help(argc - 1 - used, argv + 1 + used)) {
        print_command(stdout, line.command);
        return EXIT_FINE;
    }
    bool words_only = false;
    for (int i = 1 + used; i < argc;) {
        if (!words_only && strcmp(argv[i], "--") == 0) {
            words_only = true;
            i++;
        } else if (!words_only && strncmp(argv[i], "--", 2) == 0) {
            i = parse_option(&line, argc, argv, i);
            if (i < 0)
                return EXIT_USAGE;
        } else if (line.word_count == COMMAND_WORD_MAX) {
            return command_fail(&line, EXIT_USAGE, "more than %d words", COMMAND_WORD_MAX);
        } else {
            line.word[line.word_count++] = argv[i++];
        }
    }
    return line.command->run(&line);
}

int cmd_help(const struct command_line *line)
{
    int used;
    char *words[COMMAND_WORD_MAX];
    if (line->word_count == 0) {
        print_overview(stdout);
        return EXIT_FINE;
    }
    for (int i = 0; i < line->word_count; i++)
        words[i] = (char *)(uintptr_t)line->word[i];
    const struct command *command = command_find(line->word_count, words, &used);
    if (!command)
        return say_unknown(line->word[0]);
    print_command(stdout, command);
    return EXIT_FINE;
}

/* --- pages --- */

void command_print_page(FILE *out)
{
    fputs("# Commands\n\nMade by `muster reference commands` from `engine/cli/command.def`. Exit codes of all: 0 fine, 1 found "
          "something wrong\n(rejected lines, failed tests), 2 wrong usage or settings, 3 the world failed (Kafka, PostgreSQL, "
          "disk), 4 another engine\nhas the lease.\n", out);
    for (const struct command *c = row_next_command(rows); c; c = row_next_command(c + 1)) {
        fprintf(out, "\n## muster %s%s%s\n\n%s\n", c->words, c->arguments[0] ? " " : "", c->arguments, c->text);
        for (const struct command *row = c + 1; row < rows + ROW_COUNT && !row->run; row++)
            fprintf(out, "%s| `--%s%s%s` | %s |\n", row == c + 1 ? "\n| option | meaning |\n|---|---|\n" : "", row->first.name,
                    row->first.argument[0] ? " " : "", row->first.argument, row->first.help);
    }
}

static void print_roff(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '-' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_man_command(FILE *out, const struct command *c)
{
    fprintf(out, ".SH NAME\nmuster %s \\- ", c->words);
    print_roff(out, c->summary);
    fprintf(out, "\n.SH SYNOPSIS\nmuster %s [OPTIONS] %s\n.SH DESCRIPTION\n", c->words, c->arguments);
    print_roff(out, c->text);
    fputs("\n.SH OPTIONS\n", out);
    for (const struct command *row = c + 1; row < rows + ROW_COUNT && !row->run; row++) {
        fputs(".TP\n.B \\-\\-", out);
        print_roff(out, row->first.name);
        fprintf(out, " %s\n", row->first.argument);
        print_roff(out, row->first.help);
        fputc('\n', out);
    }
    fputs(".SH EXIT STATUS\n0 fine, 1 found something wrong, 2 wrong usage or settings, 3 the world failed, 4 another engine has the lease.\n", out);
}

bool command_print_man(FILE *out, const char *name)
{
    if (!name) {
        fprintf(out, ".TH MUSTER 1 \"\" \"muster %s\"\n.SH NAME\nmuster \\- explained alerts from streams of payments\n.SH COMMANDS\n", muster_version);
        for (const struct command *c = row_next_command(rows); c; c = row_next_command(c + 1)) {
            fprintf(out, ".TP\n.B muster %s\n", c->words);
            print_roff(out, c->summary);
            fputc('\n', out);
        }
        return true;
    }
    for (const struct command *c = row_next_command(rows); c; c = row_next_command(c + 1)) {
        if (strcmp(c->id, name) != 0)
            continue;
        fprintf(out, ".TH MUSTER-%s 1 \"\" \"muster %s\"\n", c->id, muster_version);
        print_man_command(out, c);
        return true;
    }
    return false;
}
