/* Drawing and wiping one line. */
#include "engine/cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 30, DRAW_EVERY_MS = 100, SHORT_MS = 1000 };

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void progress_begin(struct progress *progress, const char *verb, bool quiet)
{
    *progress = (struct progress){.unit = "events", .verb = verb, .shown = !quiet && isatty(STDERR_FILENO), .begun_ms = now_ms()};
}

void progress_begin_short(struct progress *progress, const char *unit, const char *verb, bool quiet)
{
    progress_begin(progress, verb, quiet);
    progress->unit = unit;
    progress->wait_ms = SHORT_MS;
}

void progress_show(struct progress *progress, uint64_t done, uint64_t total, uint64_t units)
{
    int64_t now = now_ms();
    if (!progress->shown || now - progress->drawn_ms < DRAW_EVERY_MS || now - progress->begun_ms < progress->wait_ms)
        return;
    progress->drawn_ms = now;
    int64_t spent_ms = now - progress->begun_ms + 1;
    unsigned long long rate = units * 1000 / (uint64_t)spent_ms;
    if (total == 0) {
        fprintf(stderr, "\r\033[K%llu %s %s, %llu/s", (unsigned long long)units, progress->unit, progress->verb, rate);
        return;
    }
    char bar[BAR_WIDTH + 1];
    uint64_t filled = done >= total ? BAR_WIDTH : done * BAR_WIDTH / total;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', filled);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r\033[K[%s] %3llu%%  %llu %s %s, %llu/s", bar,
            (unsigned long long)(done >= total ? 100 : done * 100 / total), (unsigned long long)units, progress->unit, progress->verb, rate);
}

void progress_count(struct progress *progress, uint64_t done, uint64_t total)
{
    progress_show(progress, done, total, done);
}

void progress_hide(struct progress *progress)
{
    if (progress->shown && progress->drawn_ms)
        fputs("\r\033[K", stderr);
    progress->drawn_ms = 0;
}

void progress_end(struct progress *progress)
{
    progress_hide(progress);
    progress->shown = false;
}
