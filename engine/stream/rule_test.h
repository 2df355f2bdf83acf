/* Runs the `test` blocks of a rule set: each through the decoder and the real step function.
 *
 * A test's events are written as JSON, decoded, matched against the texts and worked as one batch by
 * a step of their own; then its expectations are judged:
 * - `expect hit on A …`: some hit names A (in that role, with those values);
 * - `expect alert T on A`: an alert of that typology on A;
 * - `expect nothing`: no hit and no alert.
 * An alert that no line expects fails the test too: what must stay below the line is as important as
 * what must rise above it. A failed expectation says what happened instead.
 * Beyond the events' own fields a step may say `late "3h"`: it happened 3 hours before the test's
 * clock and arrives now. */
#ifndef ENGINE_STREAM_RULE_TEST_H
#define ENGINE_STREAM_RULE_TEST_H

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/model/decode.h"
#include "engine/stream/coverage.h"
#include "rules/lang/program.h"
#include "rules/lang/syntax.h"

/* The decoder seam, as functions: engine/stream knows no JSON. */
struct decode_seam {
    struct decoder *(*open)(const struct decode_settings *settings);
    void (*close)(struct decoder *decoder);
    enum reject_reason (*decode)(struct decoder *decoder, const struct message *message, struct arena *arena,
                                 struct event *event, struct slice *field);
    struct hash128 (*hash)(const struct decoder *decoder, enum entity_kind kind, struct slice text);
};

struct rule_test_case {
    struct slice title, file;
    uint32_t line;          /* of the test block */
    struct slice failure;   /* lines that say what happened instead; empty: passed */
};

struct rule_test_report {
    struct rule_test_case *test; /* in the order of files and lines */
    uint32_t count, failed;
};

/* Is told after each test how many of all are done. */
struct rule_test_watch {
    void (*done)(void *context, uint32_t count, uint32_t all);
    void *context;
};

/* The program was loaded from the same folder as the syntax, with for_tests. coverage, of that program, is
 * told what the tests evaluate; it and watch may be NULL. The report lives in arena. False only when the world failed. */
bool rule_tests_run(const struct program *program, const struct syntax *syntax, const struct decode_seam *decode,
                    struct coverage *coverage, const struct rule_test_watch *watch, struct arena *arena, struct rule_test_report *report, struct error *err) must_check;

#endif
