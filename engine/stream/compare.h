/* Two rule sets over the same stream: which alerts only one of them raises, and why.
 *
 * An alert of one set is that of the other when both have the same id, or, where none has, when they are
 * about the same subject and typology, in order: then it began at another event. What has no partner is
 * in one set only, and is explained from what its own first revision rests on: indicators whose hits the
 * other set did not have, with the sentence of such a hit; counter-indicators of the other set; else what
 * the rules and the typology themselves say differently. Hits are compared as the stream goes, and only
 * those that differ are kept, with at most COMPARE_BYTES_MAX of texts (what is beyond is counted).
 * One owner. Sets are called NEW (0) and OLD (1). */
#ifndef ENGINE_STREAM_COMPARE_H
#define ENGINE_STREAM_COMPARE_H

#include "engine/base/arena.h"
#include "engine/stream/subject_table.h"
#include "rules/lang/syntax.h"

enum { COMPARE_NEW, COMPARE_OLD, COMPARE_SIDES };
enum { COMPARE_BYTES_MAX = 256 * 1024 * 1024 };

/* A first revision. */
struct compare_alert {
    uint8_t id[16];
    uint64_t seq;
    int64_t time_ms;
    uint32_t subject;                 /* of the table */
    struct slice typology;
    bool victim;
    int64_t score_milli;
    uint32_t indicator_count;
    struct alert_indicator *indicator;
    bool paired;                      /* the other set has it too */
    bool moved;                       /* paired, but begun at another event */
    uint32_t partner;                 /* index on the other side; paired */
};

/* A hit that gave points, or whose points were given, in one set only. */
struct compare_hit {
    uint64_t seq;
    int64_t time_ms;
    uint32_t subject;
    uint16_t rule;                    /* of its own set's program */
    int32_t points;
    struct slice say;
};

struct compare_side {
    const struct program *program;
    const struct syntax *syntax;      /* NULL, or what the authors wrote: then explanations name params that differ */
    struct compare_alert *alert;
    uint32_t alert_count, alert_room;
    struct compare_hit *hit;          /* in the stream's order until the end, then by subject, rule, seq */
    uint32_t hit_count, hit_room;
    uint64_t hits_differing;          /* subjects of hits in this set only */
};

struct compare {
    struct compare_side side[COMPARE_SIDES];
    struct subject_table *table;
    struct arena texts;
    uint64_t dropped;                 /* differing hits not kept for want of room */
};

void compare_init(struct compare *compare, const struct program *new_program, const struct program *old_program,
                  struct subject_table *table);
void compare_fini(struct compare *compare);
/* One batch of both: outputs of the same events. NULL for a side that runs in a pass of its own: then hits
 * are not compared, and explanations say which indicators, without their values. */
void compare_take(struct compare *compare, const struct output *new_output, const struct output *old_output);
/* Pairs the alerts; after the last batch, once. */
void compare_end(struct compare *compare);

struct compare_result {
    uint64_t same, moved, only[COMPARE_SIDES];
};
struct compare_result compare_count(const struct compare *compare);

/* Why the other side has no such alert: one sentence, into arena. */
struct slice compare_explain(const struct compare *compare, int side, const struct compare_alert *alert, struct arena *arena);

#endif
