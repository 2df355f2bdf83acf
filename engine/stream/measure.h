/* A measured pass runs messages through decode, order and step on one thread and says what every rule cost.
 *
 * What rules share is divided among them in equal parts: a stream's filter and records among the rules
 * that read it, a text among those that name it, a memory's among those that ask it. Times are nanoseconds
 * per event unless said otherwise, with what reading the clock costs taken off. Results are in the caller's
 * arena. */
#ifndef ENGINE_STREAM_MEASURE_H
#define ENGINE_STREAM_MEASURE_H

#include "engine/base/arena.h"
#include "engine/model/decode.h"
#include "engine/stream/meter.h"
#include "engine/stream/step.h"

struct measure_settings {
    const struct program *program;
    struct step_settings step;     /* partition_max is set by measure_pass */
    struct decode_settings decode; /* hash_key likewise */
    const struct message *message; /* in order of time; one partition */
    uint32_t count;
    void (*progress)(void *context, uint32_t done); /* NULL: nobody asks */
    void *context;
};

struct measured_rule {
    uint64_t checks, matches, hits, searched;         /* searched: checks at which some graph operator was */
    double miss_ns, match_ns, p99_ns;                 /* of one check: not matching, matching; 99 of 100 take no longer */
    double judge_ns, filter_ns, record_ns, text_ns;   /* per event */
    double filters;                                   /* filters evaluated for it, per event */
    double text_reached;                              /* of the narratives that its texts saw: at how many a pattern ran; -1: no text */
    double keys, state_bytes, key_bytes;              /* key_bytes: of one key with one event, from the layout */
    uint16_t text;                                    /* the dearest it names; UINT16_MAX: none */
};

struct measured {
    uint64_t events, hits, interrupted;
    double cpu_ns;                                    /* of the thread, per event: decode, order, step */
    double step_ns;                                   /* of it the step */
    double index_ns, text_ns, state_bytes;
    double clock_ns;                                  /* one timing, taken off */
    uint64_t timings;
    const struct measured_rule *rule;                 /* NULL unless with a meter */
};

/* metered: false runs as `muster replay` would, and fills cpu_ns and step_ns only. */
bool measure_pass(const struct measure_settings *settings, bool metered, struct arena *arena, struct measured *out, struct error *err) must_check;

static inline double measured_sum(const struct measured_rule *rule)
{
    return rule->judge_ns + rule->filter_ns + rule->record_ns + rule->text_ns;
}

#endif
