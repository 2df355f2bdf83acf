/* Sizing answers how much memory a rule set takes at a rate and a number of accounts, for `muster size`
 * and `muster rules check --budget`.
 *
 * The shares of events that meet each stream's filter come from a recorded sample or, where none is given,
 * from a stream of the built-in generator (bench/gen.h) with as many accounts and as many events of each as
 * fit GENERATED_EVENTS; that is an assumption, and whoever prints the answer says so. */
#ifndef ENGINE_CLI_SIZING_H
#define ENGINE_CLI_SIZING_H

#include "engine/base/settings.h"
#include "engine/cli/progress.h"
#include "engine/stream/cost.h"
#include "engine/stream/footprint.h"

struct sizing_question {
    double rate;             /* messages per second, over the whole time */
    double accounts;         /* different ones that move money in the time */
    int64_t days;            /* 0: until every window is full */
    const char *sample;      /* a recorded stream; NULL: generate one */
    struct progress *progress; /* NULL: shown to nobody */
};

struct sizing {
    struct sizing_question question; /* days filled in */
    const struct program *program;
    struct arena arena;
    struct sample sample;
    const struct rule_cost *cost;        /* by rule */
    struct size_state state;
    struct footprint even, full, replay; /* at the rate; catching up; `muster replay` of a file */
    double base_bytes, run_bytes;        /* the program itself; libraries' threads and buffers while it runs */
    double stretch;          /* the sample's accounts are taken so many times over; 0: too many accounts asked for */
    uint32_t generated;      /* accounts of the generated sample; 0: a file's */
};

/* False with err set when the sample cannot be read. sizing_fini in both cases. */
bool sizing_make(const struct settings *settings, const struct program *program, const struct rates *rates,
                 const struct sizing_question *question, struct sizing *out, struct error *err) must_check;
void sizing_fini(struct sizing *sizing);

double sizing_even(const struct sizing *sizing);   /* resident bytes at the even rate */
double sizing_full(const struct sizing *sizing);   /* while catching up: the most */
double sizing_replay(const struct sizing *sizing);

/* What a rule's own parts come to: what it shares with others in equal parts. Of these, what `usual` and
 * `is new` take. */
struct rule_size {
    double bytes, habit_bytes, seen_bytes;
};
void sizing_rule(const struct sizing *sizing, uint16_t rule, struct rule_size *out);

/* "12.3 MiB". */
enum { BYTES_TEXT_MAX = 32 };
void bytes_text(double bytes, char text[BYTES_TEXT_MAX]);

#endif
