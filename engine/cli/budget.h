/* A budget says what a rule set may take: `muster rules check --budget RATE,ACCOUNTS[,GIB]`. */
#ifndef ENGINE_CLI_BUDGET_H
#define ENGINE_CLI_BUDGET_H

#include "engine/cli/command.h"
#include "rules/lang/program.h"

/* Prints to `out` whether the rule set fits the memory (this machine's where none is named), and what to mend first
 * where it does not. EXIT_FINE, EXIT_FINDING when it does not fit, EXIT_USAGE for a budget that is none, EXIT_WORLD. */
int budget_check(const struct command_line *line, const struct settings *settings, const struct program *program, const char *budget, FILE *out);

#endif
