/* Tuning a rule's params: points, what each gives, and the printers of `rules tune`.
 *
 * A point is one value for each param that is tuned. Every point is a plain re-run of the typology's rules with
 * these values, beside others in one pass over the stream, so nothing is read off or guessed. */
#ifndef ENGINE_CLI_TUNE_H
#define ENGINE_CLI_TUNE_H

#include "engine/cli/recording.h"
#include "engine/stream/tally.h"
#include "rules/lang/param_range.h"

enum { TUNE_PARAM_MAX = 32, TUNE_POINT_MAX = 400 };

struct tune_point {
    int64_t value[TUNE_PARAM_MAX];     /* by param */
    uint32_t line;                     /* alone: the param that is varied; in a grid 0 */
    bool today;
    struct tally_count rule, typology;
    struct measure by_rule, by_alert;  /* who got points by the rule; whom an alert is about */
    double ns_per_event;               /* of the typology's rules, all threads together */
    uint64_t state_bytes, state_refused; /* windows, memories and their keys at the end */
};

struct tune {
    const struct command_line *line;
    const char *dir;
    struct slice rule_id;
    const struct syntax_rule *rule;
    struct param_range param[TUNE_PARAM_MAX];
    uint32_t param_count;
    bool grid;                         /* all combinations; else each param alone, the others at today's */
    struct tune_point *point;
    uint32_t point_count;
    uint32_t today;                    /* index of a point with today's values */
    uint32_t days;
    uint64_t events;
    struct labels *labels;
    uint32_t passes;
    double seconds;
};

/* "workers_min = 4", or several joined by ", ": the params that the point varies. */
struct slice tune_point_text(const struct tune *tune, const struct tune_point *point, struct arena *arena);
/* The proposal: sentences, at most TUNE_SENTENCES, in arena; returns how many. */
enum { TUNE_SENTENCES = 6 };
uint32_t tune_propose(const struct tune *tune, struct arena *arena, struct slice out[TUNE_SENTENCES]);

void tune_print(const struct tune *tune, FILE *out);
void tune_json(const struct tune *tune, FILE *out);
bool tune_picture(const struct tune *tune, const char *folder, struct error *err) must_check;

#endif
