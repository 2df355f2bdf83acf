/* What the passes over the stream hand to the page that is made of them. Included by explain_*.c only. */
#ifndef ENGINE_CLI_EXPLAIN_PRIVATE_H
#define ENGINE_CLI_EXPLAIN_PRIVATE_H

#include "engine/model/hit.h"
#include "engine/stream/inquiry.h"
#include "rules/lang/diagnostic.h"

#include <stdio.h>

enum { EXPLAIN_TARGET_MAX = 1000, EXPLAIN_HIT_MAX = 10000 };

/* A hit that formed the alert. */
struct explain_target {
    uint64_t seq;
    uint16_t rule;
};

struct explain_event {
    uint64_t seq;
    struct slice text;      /* "bank/17, 2026-03-02 09:00, W1 -> BOSS 200.00 USD" */
    uint8_t outcome;        /* enum event_outcome */
    bool late;
};

struct explain_hit {
    uint64_t seq;
    uint16_t rule;
    uint8_t key_count;
    struct slice key[HIT_KEY_MAX];
    struct slice say;
    struct slice lets;      /* all of them: at the hit each is known */
    struct slice points;    /* "BOSS as controller, 30 points" …, one a line */
    bool counted;           /* some subject was given points, or none were to give */
    bool shadow;
};

struct explanation {
    const struct program *program;
    const struct syntax *syntax;
    const struct inquiry *inquiry;
    struct arena *arena;
    bool whole;                       /* of one event: the rules that did not look are told too */
    const struct explain_event *event;
    uint32_t event_count;
    const struct explain_hit *hit;
    uint32_t hit_count;
    const struct explain_target *target;
    uint32_t target_count;            /* 0: every rule */
    const struct slice *victim;       /* accounts to be masked */
    uint32_t victim_count;
    uint64_t looks_more, hits_more;   /* those there was no room for */
    bool alert_more;                  /* more hits formed the alert than are shown */
};

/* explain_page.c: the page, and the leaves that the JSON shares with it. What is put is masked. */
void explain_print(const struct explanation *explanation, FILE *out);
void explain_put(const struct explanation *ex, struct slice text, FILE *out);
void explain_moment_put(const struct explanation *ex, int64_t time_ms, FILE *out);
void explain_condition_put(const struct explanation *ex, uint16_t rule, const struct inquiry_look *look, uint16_t node, bool pad, FILE *out);
/* What came of the looks [0, count) of one rule and key. hit: theirs, or NULL. */
void explain_outcome_put(const struct explanation *ex, const struct inquiry_look *look, uint32_t count, const struct explain_hit *hit, FILE *out);
const struct explain_hit *explain_hit_of(const struct explanation *ex, const struct inquiry_look *look);
const char *explain_event_outcome(uint8_t outcome);
/* The event at which the last of its conditions turned true; 0: unknown. */
uint64_t explain_last_turned(const struct inquiry_look *look);
bool explain_is_asked(const struct explanation *ex, uint64_t seq, uint16_t rule);
bool explain_is_look(const struct inquiry_look *look, uint64_t seq);
bool explain_looked(const struct inquiry_look *look, uint32_t count, uint64_t seq, uint16_t rule);
bool explain_keys_alike(const struct inquiry_look *a, const struct inquiry_look *b);
const struct inquiry_look *explain_kept_out(const struct explanation *ex, uint16_t index, const struct inquiry_look *look, uint32_t count, uint64_t seq);

/* explain_json.c: the same facts as one JSON object. */
void explain_json(const struct explanation *explanation, FILE *out);

#endif
