/* Explains an event or an alert of a recorded stream: what each rule looked at, with which values. */
#ifndef ENGINE_CLI_EXPLAIN_EVENT_H
#define ENGINE_CLI_EXPLAIN_EVENT_H

#include "engine/cli/command.h"

/* For `rules explain` with --event or --alert; returns an exit code. */
int explain_event(const struct command_line *line);

#endif
