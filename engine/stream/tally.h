/* A tally counts what a rule set said over a recorded stream: by rule, by typology, in all, and by day.
 *
 * Days are local days of the rule set's zone, of the event that completed a hit or made an alert.
 * What is counted, per scope:
 *   rule      hits: kept ones (RULES 25: they gave points, or the rule is in shadow); alerts in whose first
 *             revision it is an indicator; subjects it gave points to (or would have, in shadow);
 *   typology  hits of its rules; alerts begun; subjects that an alert is about;
 *   all       the sum of hits and alerts; subjects that any alert is about.
 * A subject counts once in all and once on each of its days. Memory grows with subjects and days, not
 * with events. One owner; the program and the table outlive the tally. */
#ifndef ENGINE_STREAM_TALLY_H
#define ENGINE_STREAM_TALLY_H

#include "engine/stream/labels.h"
#include "engine/stream/subject_table.h"
#include "rules/lang/program.h"

enum { TALLY_DAY_MAX = 4096 };

struct tally_count {
    uint64_t hits, alerts, subjects;
};

struct tally_day {
    int32_t day;               /* local days since 1970-01-01 */
    uint64_t events;           /* accepted ones: scored or joined */
    struct tally_count *count; /* by scope */
};

struct tally_subjects {
    uint32_t *number;          /* of the table, in the order they came */
    uint32_t count, room;
};

struct tally {
    const struct program *program;
    struct subject_table *table;
    uint32_t scope_count;             /* rules, then typologies, then all */
    struct tally_count *count;        /* by scope, whole stream */
    struct tally_subjects *subjects;  /* by scope */
    uint64_t unkept;                  /* hits that gave nothing: inside `once per` */
    uint64_t days_over;               /* hits and alerts on more than TALLY_DAY_MAX days: in no day's row */
    struct tally_day *day;            /* ascending */
    uint32_t day_count, day_room;
    uint64_t subjects_over;           /* subjects of hits and alerts beyond SUBJECT_MAX or NUMBER_MAX: counted nowhere */
    struct number_set seen;           /* (scope, day, subject) counted already */
    int64_t day_from_ms, day_to_ms;   /* the day looked up last */
    int32_t day_last;
};

static inline uint32_t tally_scope_typology(const struct tally *tally, uint32_t typology)
{
    return tally->program->rule_count + typology;
}
static inline uint32_t tally_scope_all(const struct tally *tally)
{
    return tally->scope_count - 1u;
}

void tally_init(struct tally *tally, const struct program *program, struct subject_table *table);
void tally_fini(struct tally *tally);

/* One batch: what came out, and, where the days of events are wanted too, its events as judged. */
void tally_take(struct tally *tally, const struct output *output);
void tally_events(struct tally *tally, const struct event *events, uint32_t count);

/* Whether the stream had more days or subjects than are counted: then the figures are lower bounds. */
bool tally_is_cut(const struct tally *tally);

/* Days that had events: what "per day" divides by; at least 1. */
uint32_t tally_days(const struct tally *tally);

/* How the subjects of a scope (a rule or a typology) agree with the labels of its typology. */
struct measure tally_measure(const struct tally *tally, const struct labels *labels, uint32_t scope);

#endif
