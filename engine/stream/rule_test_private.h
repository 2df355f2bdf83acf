/* What the files of the rule-test runner share. Included by engine/stream/rule_test*.c only. */
#ifndef ENGINE_STREAM_RULE_TEST_PRIVATE_H
#define ENGINE_STREAM_RULE_TEST_PRIVATE_H

#include "engine/stream/rule_test.h"
#include "engine/stream/step.h"
#include "rules/lang/text.h"

/* One test being run. */
struct trial {
    const struct syntax *syntax;
    const struct syntax_test *test;
    const struct decode_seam *seam;
    struct decoder *decoder;
    struct text_scratch *scratch;
    struct crew *crew;
    struct coverage *coverage; /* may be NULL */
    struct program program;   /* the rules that run and the lists as given, over the rule set's own */
    struct event *event;
    uint32_t event_count;
    struct arena *arena;      /* texts of this test, and of the report */
    struct slice failure;     /* lines so far */
    struct error *err;
};

/* Adds a line to the failure. */
void trial_says(struct trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 1-based line of a place in the sources. */
uint32_t trial_line(const struct syntax *syntax, struct span span);

/* rule_test_event.c: the test's steps as decoded events in arena; false when one was refused (then the
 * failure says so). */
bool trial_events(struct trial *trial);

/* A fresh step, the caller's to free (NULL: err), and the events through it, watched where watch is not NULL;
 * out lives in arena. */
struct step *trial_step(struct trial *trial, const struct program *program);
void trial_feed(struct trial *trial, struct step *step, const struct step_watch *watch, struct output *out);

/* A moment as people write it, in the zone of the rule set. */
struct slice trial_moment(const struct trial *trial, int64_t time_ms);
/* " with n = 2, taken = 1.00 USD"; empty without lets. */
struct slice trial_lets(const struct trial *trial, const struct hit *hit);

/* rule_test_why.c: event by event what the rules of the test looked at for the account, and what did not hold;
 * hits: there were some, only not the one that was expected. False: err. */
bool trial_why(struct trial *trial, struct slice account, bool hits);

/* rule_test_expect.c: judges the expectations on what the run gave out. */
bool trial_judge(struct trial *trial, const struct output *out);

#endif
