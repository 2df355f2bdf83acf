/* A progress bar on standard error, where that is a terminal; silent elsewhere. */
#ifndef ENGINE_CLI_PROGRESS_H
#define ENGINE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *verb;  /* "sent" */
    bool shown;        /* a terminal, and not told to be quiet */
    int64_t begun_ms, drawn_ms;
};

void progress_begin(struct progress *progress, const char *verb, bool quiet);
/* done of total bytes (0: unknown), and how many events that were. Draws at most ten times a second. */
void progress_show(struct progress *progress, uint64_t done, uint64_t total, uint64_t events);
/* Takes the bar away. */
void progress_end(struct progress *progress);

#endif
