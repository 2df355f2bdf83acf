/* A budget says what a rule set may take: `muster rules check --budget RATE,ACCOUNTS[,GIB]`.
 *
 * budget_make answers whether it fits the memory (this machine's where none is named); the answer is then shown as text or as JSON. */
#ifndef ENGINE_CLI_BUDGET_H
#define ENGINE_CLI_BUDGET_H

#include "engine/base/json_writer.h"
#include "engine/cli/command.h"
#include "engine/cli/sizing.h"
#include "rules/lang/program.h"

struct budget {
    double bytes; /* that are there */
    struct sizing sizing;
};

/* EXIT_FINE, EXIT_FINDING when it does not fit, EXIT_USAGE for a text that is no budget, EXIT_WORLD; these two are said on standard
 * error. The caller runs budget_fini in every case. */
int budget_make(const struct command_line *line, const struct settings *settings, const struct program *program, const char *text, struct budget *out);
void budget_fini(struct budget *budget);

/* Whether it fits, and what to mend first where it does not. */
void budget_text(const struct budget *budget, FILE *out);
/* The same as one member `budget` of an open object; bytes are whole ones. */
void budget_json(const struct budget *budget, struct json_writer *json);

#endif
