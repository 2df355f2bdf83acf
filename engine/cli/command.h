/* Commands: one table makes dispatch, help, man pages and engine/COMMANDS.md.
 *
 * A command is one file, cmd_NAME.c, with `int cmd_NAME(const struct command_line *line)`; it parses
 * nothing itself and returns an exit code. Rows stand in command.def. Called on the main thread. */
#ifndef ENGINE_CLI_COMMAND_H
#define ENGINE_CLI_COMMAND_H

#include "engine/base/settings.h"
#include "engine/base/slice.h"

#include <stdio.h>

/* Exit codes, the same for every command. */
enum exit_code {
    EXIT_FINE = 0,
    EXIT_FINDING = 1,  /* the command worked and found something wrong: rejected lines, failed tests */
    EXIT_USAGE = 2,    /* the command line or a settings file is wrong */
    EXIT_WORLD = 3,    /* the world failed: Kafka, PostgreSQL, disk */
    EXIT_FENCED = 4,   /* another engine holds the lease */
};

enum { COMMAND_OPTION_MAX = 64, COMMAND_WORD_MAX = 256 };

struct command;

struct command_line {
    const struct command *command;
    int option_count;
    struct {
        const char *name, *value; /* value "" for flags */
    } option[COMMAND_OPTION_MAX];
    int word_count;               /* positional words */
    const char *word[COMMAND_WORD_MAX];
};

/* The option's value; "" for a flag that is there, NULL when it is not given. The last one wins. */
const char *command_option(const struct command_line *line, const char *name);
/* The nth (from 0) occurrence of an option that may be repeated; NULL behind the last. */
const char *command_option_nth(const struct command_line *line, const char *name, int nth);
/* A whole number in [least, most]; def when absent; says what is wrong and returns false else. */
bool command_number(const struct command_line *line, const char *name, int64_t least, int64_t most, int64_t def, int64_t *out);
/* The same for a number with decimals. */
bool command_decimal(const struct command_line *line, const char *name, double least, double most, double def, double *out);
/* Settings from --config FILE (when given) and every `--set NAME=VALUE`; says what is wrong on
 * standard error and returns false. The caller runs settings_fini in both cases. */
bool command_settings(const struct command_line *line, struct settings *settings);
/* "muster: COMMAND: …" on standard error; returns code, so that `return command_fail(...)` reads well. */
int command_fail(const struct command_line *line, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Runs what the words ask for. */
int command_main(int argc, char **argv);

void command_print_page(FILE *out);                   /* engine/COMMANDS.md */
bool command_print_man(FILE *out, const char *name);  /* roff; NULL: the overview */

extern const char muster_version[];

#define COMMAND(id, words, arguments, summary, text) int cmd_##id(const struct command_line *line);
#define OPTION(name, argument, help)
#include "engine/cli/command.def"
#undef COMMAND
#undef OPTION

#endif
