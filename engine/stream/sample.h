/* A sample shows how events meet a rule set: it is run through the real step, which tells of every key
 * it touches, and what it told is counted and fitted (engine/state/spread.h), so that sizes can be
 * foretold for other rates and other numbers of accounts.
 *
 * The shares of events that meet each stream's filter, texts' lengths, second reports, hits and the bytes
 * that a message takes on its way are the sample's own. Everything is per message, refused ones with it.
 * Results are in the caller's arena; one thread. */
#ifndef ENGINE_STREAM_SAMPLE_H
#define ENGINE_STREAM_SAMPLE_H

#include "engine/state/size.h"
#include "engine/stream/plan.h"
#include "engine/stream/replay.h"
#include "engine/stream/step.h"

struct sample_settings {
    const struct program *program;
    struct step_settings step;     /* partition_max is set by sample_take */
    struct decode_settings decode; /* hash_key is set by sample_take */
    const struct replay_input *input;
    uint64_t messages_max;         /* what lies behind is not read */
    uint32_t log_together;         /* so many events are written into the log together */
};

/* What one message brings, on average. */
struct sample {
    uint64_t messages, events, refused;
    int64_t span_ms;              /* from the first event to the last */
    struct plan *plan;            /* what the load speaks of; owned by the sample */
    struct size_load load;        /* per message; without a rate: the caller gives events_per_ms */
    double accounts;              /* different ones named in the sample */
    double *judged;               /* by rule: evaluations per message */
    double *recorded;             /* by stream: records per message */
    double touched;               /* visits of keys per message */
    double body_bytes, text_bytes, result_bytes, scratch_bytes; /* of the batch's memory */
    double log_bytes;             /* on disk */
    double hits, revisions, alert_hits; /* rows of the database, with `refused` */
    double step_ns;               /* of one thread: own, strata, decide */
};

bool sample_take(const struct sample_settings *settings, struct arena *arena, struct sample *out, struct error *err) must_check;
void sample_fini(struct sample *sample);

/* The load of a stream that names so many accounts in a time: the sample's keys are taken so many times
 * over. Returns the factor; 0 when no stream of this rate can name as many. Once per sample. */
double sample_stretch(struct sample *sample, double accounts, double events_per_ms, int64_t duration_ms);

#endif
