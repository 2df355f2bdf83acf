/* Warming up: a second, muted step of other rules, fed from the log beside the engine's work, so that what is new in them stands as
 * if it had been kept since the log's first event (step_swap takes it over).
 *
 * It has a state, an identity and a crew of one of its own, bounded by the same settings: while it lives, the engine may hold twice
 * its memory. It reads what the log's writer has flushed. Belongs to one thread at a time. */
#ifndef ENGINE_STREAM_WARM_H
#define ENGINE_STREAM_WARM_H

#include "engine/state/log.h"
#include "engine/stream/step.h"

struct warm_settings {
    const struct program *program;
    const struct log_settings *log;
    uint64_t from_seq;             /* nothing before is read; 1: all that the log has */
    uint32_t batch_max;
    size_t batch_bytes_max;
    struct step_settings step;     /* mute and partition_max are set here */
    struct decode_settings decode; /* with the hash key of the step that is to take it over */
};

struct warm;

/* The settings are copied, but not what they point to. */
struct warm *warm_new(const struct warm_settings *settings, struct error *err) must_check;
void warm_free(struct warm *warm);

/* Reads on, up to `to_seq` or to where the log ends now. Asked between batches, goes_on says false to stop: then false, without an
 * error. A record that the log has lost, or that these rules cannot decode, is an error. */
bool warm_run(struct warm *warm, uint64_t to_seq, bool (*goes_on)(void *context), void *context, struct error *err) must_check;

struct step *warm_step(struct warm *warm);
struct warm_figures {
    uint64_t events;
    uint64_t first_seq, last_seq; /* 0: none was read */
    int64_t first_ms;             /* time of the first event that was read */
};
struct warm_figures warm_figures(const struct warm *warm);

#endif
