/* What the files of the pipeline share. Included by engine/stream/{pipeline,recover,record,commit,saver,bounds,swap}.c only. */
#ifndef ENGINE_STREAM_PIPELINE_PRIVATE_H
#define ENGINE_STREAM_PIPELINE_PRIVATE_H

#include "engine/state/checkpoint.h"
#include "engine/stream/intake.h"
#include "engine/stream/pipeline.h"
#include "engine/stream/poison.h"
#include "engine/stream/queue.h"
#include "engine/stream/warm.h"

#include <pthread.h>

/* Blocks that wait for one transaction. */
struct commit {
    struct block **block;
    struct commit_block *row;
    uint32_t count, room;
    bool due;                /* one of them has output */
    int64_t oldest_ms;       /* when the first of them came */
    int64_t renewed_ms;      /* when the lease was last renewed, or tried to */
};

/* One checkpoint on its way; saver_state moves only forward until the work thread takes it back. */
enum saver_state { SAVER_IDLE, SAVER_WRITING, SAVER_DONE };
struct saver {
    struct checkpoint_writer *writer;
    uint64_t block;
    pthread_t thread;
    bool has_thread;
    atomic_uint state;                  /* enum saver_state */
    bool published;                     /* read after SAVER_DONE */
    int64_t last_ms;                    /* when the last one began */
    uint64_t kept[CHECKPOINT_KEEP];     /* blocks of the newest checkpoints known, oldest first */
    uint32_t kept_count;
};

/* What operators were told of a bound. */
struct bound_told {
    uint64_t hits;
    int64_t at_ms;
};

/* Rules that are warmed up beside the work: the thread raises `state`, the work thread sets `target`. */
enum warming_state { WARMING_NONE, WARMING_BEHIND, WARMING_NEAR, WARMING_DONE, WARMING_OVER };
struct warming {
    const struct program *program;
    struct warm *warm;                  /* the thread's until DONE, and once it is to end; NULL when DONE: err says why */
    pthread_t thread;
    struct error err;
    atomic_uint state;
    atomic_uint_least64_t target;       /* the last event before the swap; 0: not fixed yet */
    atomic_bool ends;
};

struct pipeline {
    const struct pipeline_settings *settings;
    const struct pipeline_world *world;
    struct pipeline_figures *figures;
    const struct partition_table *partitions;

    /* the work thread's */
    const struct program *program;    /* the rules at work */
    unsigned char unknown_rules[32];  /* rules of blocks that nobody has; told once */
    bool swap_waits;                  /* for the saver: it begins nothing */
    struct warming warming;
    uint64_t warm_from;               /* for the journal: of the rules at work */
    bool tell_rules;                  /* the next event in the log stands behind a word of which rules are at work */
    bool (*goes_on)(void *context);   /* recovery's: asked while rules are warmed up */
    void *goes_on_context;
    struct crew *crew;
    struct step *step;
    struct intake *intake;
    struct order *order;
    int64_t *position;   /* per partition: next offset; -1: the log's beginning */
    uint32_t known;      /* partitions that the work thread has seen: order ranks them, checkpoints name them */
    uint32_t *rank;
    uint64_t seq;        /* last one given out */
    uint64_t accepted_seq; /* of the newest event that belongs into the log */
    uint64_t block;      /* last one numbered */
    struct saver saver;
    struct bound_told told[BOUND_COUNT];
    int64_t published_ms; /* when the state's figures were last published */
    struct poison *poison; /* says what is at work, once live; NULL: nobody asks */

    bool live;           /* recovery is behind us: a full disk is waited for */
    struct log_writer *log; /* the log thread's, once it runs; NULL: none */
    int64_t log_since_ms;   /* its as well: since when something waits to be written */
    struct commit commit;   /* the sink thread's, once it runs */

    uint64_t read_ns;       /* when the last block was read; of the thread that reads */
    struct queue *idle, *to_work, *to_log, *to_sink;
    struct block **pool;
    uint32_t pool_count;

    /* how far the stages are: written by one thread each */
    atomic_uint_least64_t committed_block, logged_block; /* logged: given to the log's writer */
    atomic_uint_least64_t shown_block, synced_block;     /* the log's readers find them; no crash takes them */
    atomic_uint_least64_t show_wanted;  /* the work thread's: log, show all up to this block */
    atomic_uint_least64_t sync_wanted;  /* the saver's: log, be synced up to this block */
    atomic_uint_least64_t prune_wanted; /* the work thread's: sink, forget journal rows up to this block */
    atomic_bool stopping;               /* drain */
    atomic_int_least64_t stop_by_ms;    /* monotonic: when waiting for the sink ends; 0: never */
    atomic_bool failed;                 /* give up: `failure` says why */
    pthread_mutex_t failure_lock;
    struct error failure;
};

/* May whoever waits for the world go on waiting? Not once somebody failed, or told to stop too long ago. */
bool pipeline_may_wait(struct pipeline *pipeline);
int64_t pipeline_now_ms(void); /* monotonic: for waits, never for decisions about events */
uint64_t pipeline_now_ns(void);
void pipeline_notice(struct pipeline *pipeline, enum notice_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The first failure wins; everybody stops. */
void pipeline_fail(struct pipeline *pipeline, const struct error *err);
/* Asks stop() and remembers; only from the thread that reads the source. */
bool pipeline_stopping(struct pipeline *pipeline);
void pipeline_sleep_ms(uint32_t ms);

/* bounds.c, the work thread between batches: the state's figures to the metrics, notices of bounds that were hit; twice
 * a second, unless `last`. */
void pipeline_publish(struct pipeline *pipeline, bool last);

/* swap.c, between blocks. swap_to: the rules of that hash, warmed up from that event of the log on (0: not), waiting for the saver; stays,
 * and says so, when nobody has them. swap_last: the world's rules, behind recovery; `mapping` tells what a checkpoint of other rules
 * became, and is filled up too. swap_look: live, when the world offers others; swap_abandon: no more. swap_journal: what a block's journal
 * says of its rules. */
bool swap_to(struct pipeline *pipeline, const unsigned char hash[32], uint64_t warm_from, struct error *err) must_check;
bool swap_last(struct pipeline *pipeline, const struct state_mapping *mapping, uint64_t warm_from, struct error *err) must_check;
void swap_look(struct pipeline *pipeline);
void swap_abandon(struct pipeline *pipeline);
void swap_journal(struct pipeline *pipeline, struct block *block);
/* Decodes for the rules at work from now on. */
bool pipeline_open_intake(struct pipeline *pipeline, struct error *err) must_check;

/* Work thread: scores a block's events from number `from` on, and notes how far the log has to reach. */
void pipeline_score(struct pipeline *pipeline, struct block *block, uint32_t from);

/* recover.c: from the lease to the first live block. False with err.class ERROR_NONE: told to stop. */
bool recover(struct pipeline *pipeline, struct error *err) must_check;

/* Work thread: takes note of the table's first `count` partitions before any event of them is ordered. */
void pipeline_know(struct pipeline *pipeline, uint32_t count);

/* record.c, the log thread: adds a block's accepted events with seq > after to the log; at once readable, unless live. When live, both
 * wait for a disk that is full; a start or a standby ends, for it may be started again and be no worse off. */
bool record_block(struct pipeline *pipeline, const struct block *block, uint64_t after, struct error *err) must_check;
/* The log cannot be opened or written and is not waited for: says what to do. Returns false. */
bool record_fail(struct error *err);
/* Between blocks, where there is a log: writes what has waited for log_wait_ms or is wanted, and syncs the log where the saver asked for it. */
bool record_settle(struct pipeline *pipeline, struct error *err) must_check;

/* commit.c, the sink thread. */
void commit_init(struct pipeline *pipeline);
void commit_fini(struct pipeline *pipeline);
void commit_add(struct pipeline *pipeline, struct block *block);
/* Is it time to write what waits? `more`: further blocks wait in the queue. */
bool commit_ready(const struct pipeline *pipeline, bool more);
/* Writes all that waits; waits for a sink that is away. False: the pipeline has failed or must stop. */
bool commit_write(struct pipeline *pipeline, void (*release)(struct pipeline *pipeline, struct block *block));
/* Beside commits, called often: renews the lease by its own clock, and prunes what may go. */
bool commit_keep(struct pipeline *pipeline);

/* saver.c, the work thread at batch boundaries. */
void saver_loaded(struct pipeline *pipeline, uint64_t block);
void saver_tick(struct pipeline *pipeline);
/* With one thread: is it time to commit everything and call saver_finish? */
bool saver_due(const struct pipeline *pipeline);
/* The last checkpoint, when everything is committed: on the caller's thread. */
void saver_finish(struct pipeline *pipeline);
/* Gives up on the one under way. */
void saver_abandon(struct pipeline *pipeline);

#endif
