/* What `muster rules bench` says: the table, what rules share, which rule to mend first and how; two rule
 * sets against each other. Text for people or one JSON object, on standard output. */
#ifndef ENGINE_CLI_BENCH_REPORT_H
#define ENGINE_CLI_BENCH_REPORT_H

#include "engine/stream/measure.h"

struct bench_report {
    const struct program *program;
    const struct measured *measured; /* with a meter */
    double plain_ns;                 /* of one event, decode to decide, without a meter */
    const char *on;                  /* the recorded stream; NULL: generated */
    uint64_t seed;
    uint32_t rounds;
};

void bench_print(const struct bench_report *report);
void bench_json(const struct bench_report *report);

/* One figure of two rule sets over the rounds: ratio new/old with an interval from Student's t over the rounds' logarithms. */
struct bench_ratio {
    double ratio, low, high;
    bool changed;                    /* the interval leaves out all of 1 ± 2 % */
};
enum { BENCH_ROUNDS_MAX = 50 };
/* confidence: 0.95. At least 3 rounds; a round in which either is 0 is left out. */
void bench_compare(const double *before, const double *after, uint32_t rounds, double confidence, struct bench_ratio *out);

struct bench_comparison {
    const struct program *before, *after;
    uint32_t rounds;
    const double *before_ns, *after_ns;            /* whole, by round */
    const double *const *before_rule;              /* [rule of before][round] */
    const double *const *after_rule;
};
/* Returns how many figures (the whole, rules) grew beyond their interval. */
uint32_t bench_compare_print(const struct bench_comparison *comparison, bool json);

#endif
