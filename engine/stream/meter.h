/* A meter says what each rule, filter and text of a program costs while the step runs: how often it was
 * asked, how often it was true, and how long that took.
 *
 * Times are in ticks of the processor's own counter, which costs a few nanoseconds to read; what reading
 * costs is measured (meter_pair_ticks) for whoever reports to take off. An interval longer than
 * METER_LONGEST_NS is somebody else's turn on the processor: it is counted as interrupted, and taken to have lasted as long as the others on average.
 * For `muster rules bench`; a step without a meter asks one pointer. One thread. */
#ifndef ENGINE_STREAM_METER_H
#define ENGINE_STREAM_METER_H

#include "rules/lang/program.h"

enum { METER_LONGEST_NS = 200000, METER_BUCKETS = 256 };

struct meter_cost {
    uint64_t count, timed, ticks; /* timed of count are in the ticks */
};
struct meter_rule {
    struct meter_cost match, miss; /* the whole of `when`, or of the step in hand; a hit with its lets and evidence */
    uint64_t searched;             /* checks at which some graph operator was searched */
    uint64_t hits;                 /* matches that no `except` silenced */
    uint32_t spread[METER_BUCKETS];
};
struct meter_stream {
    struct meter_cost filter;      /* evaluations: the index left it as a candidate, and is not sure */
    struct meter_cost record;      /* events that entered its windows */
};
struct meter_text {
    struct meter_cost cost;        /* narratives it was asked about */
    uint64_t reached, run;         /* narratives at which a pattern got past its literal; patterns run */
};

struct meter {
    struct meter_rule *rule;
    struct meter_stream *stream;
    struct meter_stream *memory;
    struct meter_text *text;
    struct meter_cost index;       /* which filters an event can match */
    uint64_t interrupted;
    uint64_t longest;              /* METER_LONGEST_NS in ticks */
    double ticks_per_ns;
};

struct meter *meter_new(const struct program *program);
void meter_free(struct meter *meter);

uint64_t meter_ticks(void);
double meter_pair_ticks(void);     /* what two readings around nothing show */
/* Adds the time since `begun`. */
void meter_add(struct meter *meter, struct meter_cost *cost, uint64_t begun);
void meter_judged(struct meter *meter, uint16_t rule, uint64_t begun, bool match, bool hit);
/* Nanoseconds of a cost's sum with the reading taken off; of one rule's checks, the 99th of a hundred. */
double meter_ns(const struct meter *meter, const struct meter_cost *cost, double pair_ticks);
double meter_p99_ns(const struct meter *meter, const struct meter_rule *rule, double pair_ticks);

#endif
