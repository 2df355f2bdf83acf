/* The figures of one bank's feed, day by day, and their three forms.
 *
 * They speak of messages only: nothing in here knows alerts, hits or rules, and what a missing field costs is
 * said in general terms (feed_field.def), the same for every rule set. */
#ifndef ENGINE_CLI_FEED_REPORT_H
#define ENGINE_CLI_FEED_REPORT_H

#include "engine/model/event.h"
#include "engine/model/format.h"

#include <stdio.h>

enum { FEED_DAYS = 8, FEED_REASONS_MAX = 64, FEED_LATE_STEPS = 6, FEED_HOURS = 24 };

enum feed_field_id {
#define FEED_FIELD(id, path, lost) FEED_##id,
#include "engine/cli/feed_field.def"
#undef FEED_FIELD
    FEED_FIELD_COUNT
};

struct feed_reason {
    char reason[32], field[80], examples[700];
    int64_t count;
};

struct feed_day {
    int32_t day;                           /* UTC, days since 1970 */
    int64_t accepted, joined, refused, repeated; /* joined: of the accepted */
    int64_t heartbeats, gaps;              /* gaps: offsets that held nothing */
    int64_t unknown;                       /* fields given that nobody knows */
    /* of the report's day only: */
    int64_t logged;                        /* accepted events that the figures below are of */
    int64_t late[FEED_LATE_STEPS];         /* by feed_late_ms */
    int64_t hour[FEED_HOURS];              /* arrivals by hour, UTC */
    int64_t missing[FEED_FIELD_COUNT];
};

struct feed_report {
    const char *source;
    struct feed_day day[FEED_DAYS]; /* [0] the day of the report, [1] the day before … */
    struct feed_reason reason[FEED_REASONS_MAX]; /* of day 0, most frequent first */
    uint32_t reason_count;
    struct format_unknowns unknown; /* of day 0, by name; of JSON events only */
};

/* An accepted event that arrived on this day, for the figures behind `logged`. */
void feed_day_count(struct feed_day *day, const struct event *event, int64_t arrived_ms);

void feed_report_text(const struct feed_report *report, FILE *out);
void feed_report_json(const struct feed_report *report, FILE *out);
void feed_report_html(const struct feed_report *report, FILE *out);

/* Shared by the forms. */
extern const char *const feed_late_names[FEED_LATE_STEPS];
const char *feed_field_path(int field);
const char *feed_field_lost(int field);
const char *feed_reason_says(const char *reason);
int64_t feed_messages(const struct feed_day *day);           /* of a day: heartbeats are none */
int64_t feed_week_mean(const struct feed_report *report);    /* messages a day, over the days before that have any */
void feed_silent_hours(const struct feed_day *day, char out[128]); /* "02-05, 13", or "none" */
int64_t feed_permille(int64_t part, int64_t whole);
void feed_day_name(int32_t day, char out[16]);

#endif
