/* Replay: a recorded stream through the step function again, as fast as the machine goes.
 *
 * From files each file is one partition, and the order is canonical: by event time over the whole
 * files, as if one intake block held them all. From the engine's own log the order is the log's.
 * Results come out in the world's order, the same for any number of threads and any batch size. */
#ifndef ENGINE_STREAM_REPLAY_H
#define ENGINE_STREAM_REPLAY_H

#include "engine/state/log.h"
#include "engine/stream/intake.h"
#include "engine/stream/step.h"

/* One recorded file. `read` gives up to max of its lines (bodies in arena, position.offset the line
 * number, position.partition left to replay); *count 0 is the end. Called by the caller's thread. */
struct replay_input {
    void *self;
    bool (*read)(void *self, struct arena *arena, struct message *messages, uint32_t max, uint32_t *count,
                 struct error *err);
};

/* One more rule set over the same stream in the same pass: everything up to `own` is done once. A lane
 * sees exactly what it would see in a replay of its own. */
struct replay_lane {
    const struct program *program; /* replay_shares with the settings' program */
    void *context;
    /* As in the settings, before theirs; the output lives until the next batch. Decode's rejections are
     * given to the settings' results only. */
    bool (*results)(void *context, const struct output *output, struct error *err);
    /* Filled at the end: what this lane alone took, all workers together, and what it remembers. */
    uint64_t step_ns;
    struct state_stats state;
};

enum { REPLAY_LANE_MAX = 64 };

struct replay_settings {
    uint32_t threads;
    uint32_t batch_max;
    const struct program *program;
    struct step_settings step;     /* partition_max is set by replay */
    struct decode_settings decode; /* hash_key is set by replay */
    void *context;
    /* Called after every batch, in order, on the caller's thread. `decoded` are decode's rejections:
     * they come when their lines were read, which may be some batches early. False ends the replay. */
    bool (*results)(void *context, const struct output *output, const struct rejection *decoded, uint32_t decoded_count,
                    struct error *err);
    /* Called before results, on every worker at once, for what of their work can be shared out, where there are hits; NULL: nothing can. */
    void (*prepare)(void *context, const struct output *output, uint32_t worker, uint32_t workers);
    /* Called before results, with the batch's events as they were judged; NULL: nobody asks. table is
     * NULL for files, whose partitions are the inputs. */
    bool (*events)(void *context, const struct partition_table *table, const struct event *events, uint32_t count,
                   struct error *err);
    /* Called once before the first event: fills in the watch of the step, which then must have one thread; NULL:
     * nobody watches. */
    void (*watch)(void *context, const struct state *state, struct step_watch *watch);
    bool state;                    /* fill summary->state: a walk over all keys */
    /* Asked between batches; NULL: never stop. */
    bool (*stop)(void *context);
    /* Other rules from an event on, as if the engine had gone over to them there (engine/stream/swap.c): replay_shares with
     * `program`, and no lanes. What they remember is kept from the stream's beginning; NULL: none. */
    const struct program *swap_to;
    uint64_t swap_at;              /* sequence number of their first event; 0, of a log: where it says that the engine did */
    struct replay_lane *lane; /* lane_count of them, at most REPLAY_LANE_MAX; the caller's */
    uint32_t lane_count;
};

struct replay_summary {
    uint64_t messages, outcome[OUTCOME_COUNT], late, hits, shadow_hits, revisions, silenced;
    uint64_t last_seq;
    uint64_t wall_ns, read_ns, decode_ns, order_ns, step_ns[PHASE_COUNT], results_ns;
    bool stopped;
    bool swapped;
    struct state_mapping mapping;  /* of the swap, and how long it took */
    struct state_grafting grafting;
    uint64_t swap_ns;
    struct state_stats state; /* at the end, where the settings ask for it */
};

/* Whether both can be lanes of one replay: the same base currency, and the same facts from topics. */
bool replay_shares(const struct program *a, const struct program *b);

bool replay_files(const struct replay_settings *settings, const struct replay_input *inputs, uint32_t input_count,
                  struct replay_summary *summary, struct error *err) must_check;

bool replay_log(const struct replay_settings *settings, const struct log_settings *log, struct replay_summary *summary,
                struct error *err) must_check;

#endif
