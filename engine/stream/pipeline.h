/* The pipeline: the run loop that takes events from a source to a sink until told to stop.
 *
 *   source thread ─► work (caller's thread and its crew) ─┬─► log thread
 *                                                         └─► sink thread      saver thread
 *
 * Intake blocks come from a fixed pool of queue_blocks_max; a block goes back when log and sink have
 * let it go, and takes batch_max messages or batch_bytes_max at most, so whatever is slow holds up the
 * source and memory stays bounded. A sink that is away and a log whose disk is full are waited for. With one thread,
 * reading, work, log, sink and saving run in turn on the caller's.
 *
 * Promises: an event is in exactly one committed block; positions, results and journal move together;
 * checkpoint <= sink <= processed. Starting again is pipeline_run again (engine/stream/recover.c).
 * The pipeline knows neither Kafka nor SQL. */
#ifndef ENGINE_STREAM_PIPELINE_H
#define ENGINE_STREAM_PIPELINE_H

#include "engine/model/seam.h"
#include "engine/state/log.h"
#include "engine/stream/feed.h"
#include "engine/stream/step.h"

#include <stdatomic.h>

struct pipeline_settings {
    uint32_t threads;             /* workers of the crew; 1: everything on the caller's thread */
    uint32_t batch_max;           /* messages per block: 16,384 */
    size_t batch_bytes_max;       /* of messages per block, and one message more; 0: no bound */
    uint32_t batch_wait_ms;       /* between reading two blocks, while others wait to be worked: 5 */
    uint32_t queue_blocks_max;    /* blocks in flight: 8 */
    uint32_t sink_wait_ms;        /* longest time without a commit while blocks wait: 250 */
    uint32_t stop_wait_ms;        /* when told to stop while the sink is away or the log's disk full: 10,000 */
    uint32_t lease_wait_ms;       /* one attempt at the lease: 1,000 */
    bool keep_followed;           /* after a takeover: go on with the rules of the last block followed, not with world.program */
    bool standby;                 /* without the lease: follow the journal; the log is believed up to a checkpoint only */
    uint32_t renew_every_ms;      /* a third of what the lease lasts */
    const char *checkpoint_dir;   /* NULL: no checkpoints */
    int64_t checkpoint_every_ms;  /* 60,000 */
    const struct log_settings *log; /* NULL: no log */
    uint32_t log_wait_ms;         /* how long events wait to be written into it together: 1,000 */
    const char *at_work_file;     /* tells the next life what this one died at (engine/stream/poison.h); NULL: none */
    struct step_settings step;    /* partition_max is set by the pipeline */
    struct decode_settings decode; /* hash_key is set by the pipeline */
};

/* What happened, for operators; no personal data. */
enum notice_level { NOTICE_INFO, NOTICE_WARNING, NOTICE_ERROR };

/* What became of the state when the pipeline went over to other rules. */
enum { SWAP_TEXT_MAX = 384 };
struct swap_report {
    uint64_t block;          /* the first under the new rules */
    uint64_t pause_ms;       /* so long nothing was worked */
    uint32_t kept, warmed, cold, gone; /* windows, memories and attempts; warmed: new, and filled from the log; cold: new and empty */
    uint64_t warm_events;    /* read from the log for it */
    int64_t warming_until_ms; /* event time from which on what is new is as if it had always been there; INT64_MIN: it is already */
    char text[SWAP_TEXT_MAX]; /* all of it in words */
};

struct pipeline_world {
    struct source *source;
    struct sink *sink;
    const struct program *program; /* to begin with; lives on, as all others, until pipeline_run returns */
    /* Each may be NULL. A block's rules, by hash; NULL when nobody has them any more (err: the world failed). Between blocks. */
    const struct program *(*program_of)(void *context, const unsigned char hash[32], struct error *err);
    /* The rules to go over to as soon as may be; NULL: stay. Often, between blocks. */
    const struct program *(*program_next)(void *context);
    /* Told of every swap. */
    void (*swapped)(void *context, const struct program *program, const struct swap_report *report);
    struct feed *feed; /* counts per bank; NULL: nobody asks */
    void *context;
    /* True once the pipeline shall drain and end. Called often, from one thread at a time. */
    bool (*stop)(void *context);
    /* Any thread. `event` is a fixed word such as "sink_away". */
    void (*notice)(void *context, enum notice_level level, const char *event, const char *text);
};

/* Where the pipeline stands; each figure has one writer and may be read from any thread. */
enum pipeline_phase { PIPELINE_WAITING_LEASE, PIPELINE_RECOVERING, PIPELINE_LIVE, PIPELINE_DRAINING, PIPELINE_ENDED, PIPELINE_STANDBY };
/* struct state_totals, as it was published last. */
struct state_figures {
    atomic_uint_least64_t bytes_used, bytes_resident, bytes_max, fullest_bytes, shard_bytes_max, shards_full;
    atomic_uint_least64_t identities, keys, records, repeats, identities_freed, keys_dropped;
    atomic_uint_least64_t bound[BOUND_COUNT];
    atomic_uint_least64_t graph_searches, graph_skipped, graph_legs; /* struct graph_tally */
};
struct pipeline_figures {
    atomic_uint phase;                      /* enum pipeline_phase */
    atomic_uint_least64_t messages;         /* taken from the source */
    atomic_uint_least64_t marks;            /* of these, heartbeats and ends of gaps: no events */
    atomic_uint_least64_t outcome[OUTCOME_COUNT];
    atomic_uint_least64_t late, facts, facts_odd, hits, revisions, shadow_hits;
    atomic_uint_least64_t rejected[REJECT_COUNT];
    atomic_uint_least64_t blocks, block_committed, blocks_in_flight;
    atomic_uint_least64_t block_bytes_in_flight; /* of messages in them */
    atomic_uint_least64_t blocks_cut;       /* blocks that batch_bytes_max ended */
    atomic_uint_least64_t queue_full_ns;    /* time in which no block was free */
    atomic_uint_least64_t commits, commit_ns;
    atomic_uint_least64_t seq;              /* last sequence number worked */
    atomic_uint_least64_t decode_ns, order_ns, step_ns[PHASE_COUNT], log_ns;
    atomic_uint_least64_t log_records, log_synced_block;
    atomic_uint_least64_t checkpoint_block, checkpoint_pause_ns, checkpoint_write_ns, checkpoints;
    atomic_int_least64_t sink_away_since_ms;   /* monotonic; 0: it answers */
    atomic_int_least64_t source_away_since_ms; /* monotonic; 0: it answers */
    atomic_int_least64_t log_away_since_ms; /* monotonic; 0: the log's disk has room */
    atomic_int_least64_t queue_full_since_ms; /* monotonic; 0: a block was free within the last second */
    atomic_uint_least64_t checkpoints_failed;
    atomic_uint_least64_t recovered_events;
    struct state_figures state;
    atomic_uint_least64_t crash_suspects;   /* ranges and records that are worked one by one since a crash */
    atomic_uint_least64_t standby_lag;      /* committed blocks that a standby has read of and not applied */
};

/* Runs until stop() says so. True: drained, everything is committed. False: err says why it ended,
 * ERROR_FENCED when another engine has the lease. Blocks that were not committed will be read again.
 * The caller keeps (and closes) source and sink. */
bool pipeline_run(const struct pipeline_settings *settings, const struct pipeline_world *world,
                  struct pipeline_figures *figures, struct error *err) must_check;

#endif
