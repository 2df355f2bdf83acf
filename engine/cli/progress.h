/* A progress bar on standard error, where that is a terminal; silent elsewhere. */
#ifndef ENGINE_CLI_PROGRESS_H
#define ENGINE_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *unit, *verb; /* "events", "sent" */
    bool shown;              /* a terminal, and not told to be quiet */
    int64_t begun_ms, drawn_ms, wait_ms;
};

void progress_begin(struct progress *progress, const char *verb, bool quiet);
/* For work that mostly ends at once: nothing is drawn within the first second. unit: "files". */
void progress_begin_short(struct progress *progress, const char *unit, const char *verb, bool quiet);
/* done of total bytes (0: unknown), and how many units that were. Draws at most ten times a second. */
void progress_show(struct progress *progress, uint64_t done, uint64_t total, uint64_t units);
/* done of total units, for work that is counted in nothing else. */
void progress_count(struct progress *progress, uint64_t done, uint64_t total);
/* Takes the bar away for now: a line is to be printed. */
void progress_hide(struct progress *progress);
/* Takes it away for good. */
void progress_end(struct progress *progress);

#endif
