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
    const struct bench_series *series; /* with a meter */
};

void bench_print(const struct bench_report *report);
void bench_json(const struct bench_report *report);

/* Figures of one rule set, by round: nanoseconds of an event as a whole, and each rule's part. */
enum { BENCH_ROUNDS_MAX = 50 };
struct bench_series {
    uint32_t rounds;
    uint16_t count;
    const struct slice *rule;                      /* ids */
    double whole[BENCH_ROUNDS_MAX];
    double (*ns)[BENCH_ROUNDS_MAX];                /* by rule */
};
void bench_series_init(struct bench_series *series, const struct program *program, struct arena *arena);
void bench_series_add(struct bench_series *series, const struct measured *measured);
/* Reads the series of a saved `rules bench --json`, and over how many events it was made. */
bool bench_series_read(const char *path, struct arena *arena, struct bench_series *out, int64_t *events, struct error *err) must_check;

/* One figure of two rule sets over the rounds: ratio new/old with an interval from Student's t over the rounds'
 * logarithms: of pairs where both ran in turn, else Welch's. */
struct bench_ratio {
    double ratio, low, high;
    bool changed;                                  /* the interval leaves out all of 1 ± 2 % */
};
/* confidence: 0.95. Rounds with a 0 are left out; fewer than 3 tell nothing. */
void bench_compare(const double *before, uint32_t before_rounds, const double *after, uint32_t after_rounds, bool paired, double confidence,
                   struct bench_ratio *out);
/* Returns how many figures (the whole, rules) grew beyond their interval. */
uint32_t bench_compare_print(const struct bench_series *before, const struct bench_series *after, bool paired, bool json);

#endif
