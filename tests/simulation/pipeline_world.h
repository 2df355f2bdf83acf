/* The world of the pipeline's simulation: what outlives a crash, and its disk with the log and the checkpoints.
 *
 * It defines the functions of engine/state/log.h and engine/state/checkpoint.h, so include it in one file of a program. */
#ifndef TESTS_SIMULATION_PIPELINE_WORLD_H
#define TESTS_SIMULATION_PIPELINE_WORLD_H

#include "engine/state/checkpoint.h"
#include "engine/state/log.h"
#include "tests/simulation/model_step.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

enum { PARTITIONS = 4, PER_PARTITION = 1500, MESSAGES = PARTITIONS * PER_PARTITION, JOURNAL_MAX = 1 << 16 };
enum { CHECKPOINT_FAULT_EVERY = 5 };

/* --- the world: everything that outlives a crash --- */

struct kept_record {
    uint64_t seq, id;
    uint32_t partition;
    int64_t offset;
    char body[40];
};

struct kept_checkpoint {
    struct checkpoint_head head;
    char extra[4096];
    struct state state;
    bool broken;
};

struct kept_row {
    struct journal_block block;
    struct journal_range range[PARTITIONS];
};

struct world {
    pthread_mutex_t lock;
    struct chance chance;
    atomic_bool dead;            /* the process was killed: nothing reaches the world any more */
    uint32_t calls_left;         /* until it dies; 0: it lives */

    char body[PARTITIONS][PER_PARTITION][40];
    struct partition partition[PARTITIONS];
    struct partition_table table;
    int64_t read[PARTITIONS];    /* the source's place */

    struct kept_row *row;        /* the sink */
    uint64_t row_first, row_last; /* journal blocks kept */
    uint64_t sink_seq;
    int64_t next[PARTITIONS];
    uint64_t hit[MESSAGES + 1];  /* hash by seq, 0: none */
    uint32_t hit_count, rejections, outcome_messages;
    bool fence_next, clock_leaps;
    uint32_t sink_away;          /* commits that will be refused */
    uint32_t disk_fault_every;   /* one call of the log in so many fails; 0: the disk is well */
    atomic_uint *disk_faults, *leaps; /* of all stories */
    atomic_bool live;            /* the last run came through its recovery */
    uint32_t wrong;              /* things the sink must never see */

    struct kept_record *record;  /* the log */
    uint32_t record_count, record_synced;
    struct kept_checkpoint *checkpoint[CHECKPOINT_KEEP + 1]; /* by block */
    uint32_t checkpoint_count, checkpoints_written, checkpoints_loaded;
};

/* Is this the call at which the process dies? */
static bool world_dead(struct world *world)
{
    if (!atomic_load(&world->dead) && world->calls_left && --world->calls_left == 0)
        atomic_store(&world->dead, true);
    return atomic_load(&world->dead);
}

static bool killed(struct error *err)
{
    return error_set(err, ERROR_FATAL, "killed");
}

/* One of so many times. A standby's saver draws as well. */
static bool happens(struct world *world, uint32_t every)
{
    pthread_mutex_lock(&world->lock);
    bool yes = chance_below(&world->chance, every) == 0;
    pthread_mutex_unlock(&world->lock);
    return yes;
}

/* Does the disk fail this call, one of so many as `every` says? The lock is held. */
static bool disk_fails(struct world *world, uint32_t every, struct error *err)
{
    if (!world->disk_fault_every || chance_below(&world->chance, every))
        return false;
    errno = chance_below(&world->chance, 2) ? ENOSPC : EIO;
    atomic_fetch_add(world->disk_faults, 1);
    return !error_errno(err, errno == ENOSPC ? ERROR_RETRY : ERROR_FATAL, "the model's disk");
}

/* --- the log; its settings' dir points at the world --- */

struct log_writer {
    struct world *world;
};

struct log_reader {
    struct world *world;
    uint32_t at;
};

static struct world *world_of(const char *dir)
{
    return (struct world *)(uintptr_t)dir;
}

struct log_writer *log_writer_open(const struct log_settings *settings, struct error *err)
{
    (void)err;
    struct log_writer *log = calloc(1, sizeof *log);
    log->world = world_of(settings->dir);
    return log;
}

static uint64_t last_seq_of(const struct world *world)
{
    return world->record_count ? world->record[world->record_count - 1].seq : 0;
}

uint64_t log_writer_last_seq(const struct log_writer *log)
{
    return last_seq_of(log->world);
}

bool log_writer_cut(struct log_writer *log, uint64_t last_seq, struct error *err)
{
    struct world *world = log->world;
    (void)err;
    while (last_seq_of(world) > last_seq)
        world->record_count--;
    if (world->record_synced > world->record_count)
        world->record_synced = world->record_count;
    return true;
}

bool log_writer_add(struct log_writer *log, const struct log_record *record, int64_t day_ms, struct error *err)
{
    struct world *world = log->world;
    (void)day_ms;
    pthread_mutex_lock(&world->lock);
    bool dead = world_dead(world);
    bool failed = !dead && disk_fails(world, world->disk_fault_every, err);
    bool rules = record->kind == LOG_SWAP; /* says which rules were at work: nothing is kept of it here */
    if (!dead && record->seq + rules <= last_seq_of(world))
        world->wrong++;
    if (!dead && !failed && !rules) {
        struct kept_record *kept = &world->record[world->record_count++];
        *kept = (struct kept_record){.seq = record->seq, .partition = (uint32_t)record->partition, .offset = record->offset};
        memcpy(kept->body, record->body.data, record->body.size);
        kept->id = strtoull(kept->body, NULL, 10);
    }
    pthread_mutex_unlock(&world->lock);
    return !failed && (!dead || killed(err));
}

bool log_writer_flush(struct log_writer *log, bool sync, struct error *err)
{
    struct world *world = log->world;
    pthread_mutex_lock(&world->lock);
    bool dead = world_dead(world);
    bool failed = !dead && disk_fails(world, world->disk_fault_every, err);
    if (!dead && !failed && sync)
        world->record_synced = world->record_count;
    pthread_mutex_unlock(&world->lock);
    return !failed && (!dead || killed(err));
}

void log_writer_close(struct log_writer *log)
{
    free(log);
}

struct log_reader *log_reader_open(const struct log_settings *settings, uint64_t from_seq, struct error *err)
{
    (void)err;
    struct log_reader *log = calloc(1, sizeof *log);
    log->world = world_of(settings->dir);
    while (log->at < log->world->record_count && log->world->record[log->at].seq < from_seq)
        log->at++;
    return log;
}

void log_reader_ahead(struct log_reader *log)
{
    (void)log;
}

int log_reader_next(struct log_reader *log, struct log_record *record, struct error *err)
{
    (void)err;
    if (log->at == log->world->record_count)
        return 0;
    const struct kept_record *kept = &log->world->record[log->at++];
    *record = (struct log_record){
        .kind = LOG_EVENT,
        .seq = kept->seq,
        .broker_ms = kept->offset,
        .source = SLICE("bank"),
        .topic = SLICE("topic"),
        .partition = (int32_t)kept->partition,
        .offset = kept->offset,
        .body = slice_of(kept->body),
    };
    return 1;
}

void log_reader_close(struct log_reader *log)
{
    free(log);
}

/* --- checkpoints; the folder's name points at the world --- */

struct checkpoint_writer {
    struct kept_checkpoint *kept;
    struct world *world;
    bool published;
};

struct checkpoint_writer *checkpoint_begin(struct state *state, const struct state_layout *layout,
                                           const struct checkpoint_head *head, struct error *err)
{
    (void)layout, (void)err;
    struct checkpoint_writer *writer = calloc(1, sizeof *writer);
    writer->kept = calloc(1, sizeof *writer->kept);
    writer->kept->head = *head;
    memcpy(writer->kept->extra, head->extra, head->extra_size);
    writer->kept->state = *state;
    return writer;
}

bool checkpoint_write(struct checkpoint_writer *writer, const char *dir, struct error *err)
{
    writer->world = world_of(dir);
    pthread_mutex_lock(&writer->world->lock);
    bool failed = disk_fails(writer->world, CHECKPOINT_FAULT_EVERY, err);
    pthread_mutex_unlock(&writer->world->lock);
    return !failed;
}

/* The newest stay, by block: whoever had to begin with an older one publishes some between. It is not damaged where no sound one is older, or
 * nothing could be recovered. */
static void checkpoint_keep(struct world *world, struct kept_checkpoint *kept)
{
    struct kept_checkpoint **all = world->checkpoint;
    uint32_t at = 0, sound = 0;
    while (at < world->checkpoint_count && all[at]->head.block < kept->head.block)
        at++;
    bool again = at < world->checkpoint_count && all[at]->head.block == kept->head.block;
    if (again)
        free(all[at]); /* the file of that name */
    else
        memmove(all + at + 1, all + at, (world->checkpoint_count++ - at) * sizeof *all);
    all[at] = kept;
    if (world->checkpoint_count > CHECKPOINT_KEEP) {
        free(all[0]);
        memmove(all, all + 1, --world->checkpoint_count * sizeof *all);
    }
    for (uint32_t i = 0; all[i] != kept; i++)
        sound += !all[i]->broken;
    kept->broken = sound && chance_below(&world->chance, 4) == 0;
}

bool checkpoint_publish(struct checkpoint_writer *writer, struct error *err)
{
    struct world *world = writer->world;
    pthread_mutex_lock(&world->lock);
    bool dead = world_dead(world);
    bool failed = !dead && disk_fails(world, CHECKPOINT_FAULT_EVERY, err);
    if (!dead && !failed) {
        if (writer->kept->head.block > world->row_last)
            world->wrong++; /* a checkpoint must not be ahead of the sink */
        if (world->record_synced < world->record_count && world->record[world->record_synced].seq <= writer->kept->head.seq)
            world->wrong++; /* nor ahead of the log on disk */
        checkpoint_keep(world, writer->kept);
        world->checkpoints_written++;
        writer->published = true;
    }
    pthread_mutex_unlock(&world->lock);
    return !failed && (!dead || killed(err));
}

void checkpoint_end(struct checkpoint_writer *writer)
{
    if (!writer->published)
        free(writer->kept);
    free(writer);
}

/* There is one rule set: which checkpoint is loaded does not depend on its rules. */
bool checkpoint_peek(const char *dir, uint64_t *block_max, unsigned char program_hash[32], checkpoint_refused_fn refused, void *context)
{
    (void)dir, (void)block_max, (void)program_hash, (void)refused, (void)context;
    return false;
}

bool checkpoint_load(const char *dir, uint64_t block_max, const struct state_layout *layout, struct state **state,
                     struct checkpoint_head *head, checkpoint_refused_fn refused, void *context, struct error *err)
{
    struct world *world = world_of(dir);
    (void)layout, (void)err;
    for (uint32_t i = world->checkpoint_count; i-- > 0;) {
        const struct kept_checkpoint *kept = world->checkpoint[i];
        if (kept->head.block > block_max)
            continue;
        if (kept->broken) {
            refused(context, "checkpoint", "flipped bits");
            continue;
        }
        *head = kept->head;
        char *extra = malloc(kept->head.extra_size);
        memcpy(extra, kept->extra, kept->head.extra_size);
        head->extra = extra;
        *state = malloc(sizeof **state);
        **state = kept->state;
        world->checkpoints_loaded++;
        return true;
    }
    return false;
}

#endif
