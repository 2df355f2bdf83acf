/* What `rules backtest` found, as text, JSON and pictures: printers over one finished run.
 *
 * Accounts that may belong to a victim are not shown; the alert's id finds them where that is allowed. */
#ifndef ENGINE_CLI_BACKTEST_H
#define ENGINE_CLI_BACKTEST_H

#include "engine/base/json_writer.h"
#include "engine/cli/recording.h"
#include "engine/stream/compare.h"
#include "engine/stream/tally.h"

struct backtest {
    const struct command_line *line;
    const char *dir[COMPARE_SIDES];         /* OLD: NULL without --against */
    const struct program *program[COMPARE_SIDES];
    struct tally tally[COMPARE_SIDES];
    struct replay_summary summary;
    struct labels *labels;                  /* NULL without */
    struct subject_table *table;
    struct compare compare;
    uint32_t sample_max;                    /* alerts explained per side */
    struct recording *recording;
    struct output old_output;               /* of the batch at work */
    bool has_old_output;
};

/* The alerts of a side that the other has not, in the order of time: at most sample_max of them. */
uint32_t backtest_sample(const struct backtest *backtest, int side, const struct compare_alert **out);

/* Counter-indicators are to meet the innocent: precision would say the opposite of what it means. */
bool speaks_against(const struct program *program, uint32_t scope);

void backtest_print(const struct backtest *backtest, FILE *out);
void backtest_json(const struct backtest *backtest, struct json_writer *writer);
bool backtest_pictures(const struct backtest *backtest, const char *folder, struct error *err) must_check;

/* Shared with `rules tune`. */
void share_json(struct json_writer *writer, const char *name, const struct share *share);
void measure_json(struct json_writer *writer, const struct measure *measure);
/* "94% (73-99) 16/17", or "-" for a share of nothing. */
void share_text(const struct share *share, char out[48]);
void day_text(int32_t day, char out[16]);
bool folder_make(const char *path, struct error *err) must_check;
/* path/NAME.svg for writing. */
FILE *picture_open(const char *folder, const char *name, struct error *err) must_check;
bool picture_close(FILE *picture, const char *folder, const char *name, struct error *err) must_check;

#endif
