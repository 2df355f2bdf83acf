/* The determinism matrix: threads x cut of the sequence x restarts x partitions, one hash for each partition count.
 *
 * Real are the rule pack, decoder, intake, order, step, log, checkpoints, recovery, standby and pipeline; Kafka and
 * PostgreSQL are models in memory behind their seams. For each partition count a first engine runs live and leaves a
 * journal; every other run follows that journal, with another number of threads, another cut of the sequence into
 * batches and another way of being interrupted. link-time wrapping of step_run makes the cut and hears what every
 * event came to, on whichever path it was scored: live, from the log, from Kafka's ranges, as a standby. An event
 * that is scored twice in one run (before a kill and after it) must come to the same both times.
 *
 * The hash of a run is over hits, revisions, later hits, outcomes and rejections of every sequence number and
 * position, and over the state hash of the checkpoint that the run leaves.
 *
 * Usage: determinism_matrix [EVENTS [PARTITIONS]] */
#include "engine/base/invariant.h"
#include "engine/model/encode.h"
#include "engine/stream/checkpoint_view.h"
#include "engine/stream/intake.h"
#include "engine/stream/pipeline.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"
#include "tests/simulation/matrix_stream.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PARTITIONS_MOST = 64, BLOCK_MESSAGES = 1500, RESTARTS = 5, DIGEST = 16, LIVES_MOST = 12, INLINE_BELOW = 24, WHOLE = 1 << 20 };

/* How a run is interrupted. */
enum restart {
    RESTART_NONE,       /* a standby follows the journal from its beginning to its end */
    RESTART_CHECKPOINT, /* a standby is killed behind a checkpoint; another goes on from it */
    RESTART_LOG,        /* no checkpoint: state comes from the log, the rest of the journal from Kafka's ranges */
    RESTART_RANGES,     /* neither checkpoint nor log: everything is read from Kafka's ranges again */
    RESTART_KILLS,      /* live, over the same blocks, killed again and again while it commits, checkpoints and logs */
};
static const char *const restart_word[RESTARTS] = {"none", "checkpoint", "log", "ranges", "kills"};

struct digest {
    unsigned char byte[DIGEST];
};

/* One Kafka message as it lies in its partition. */
struct kept_message {
    char *body;
    uint32_t size;
    int64_t broker_ms;
};

struct kept_block {
    struct journal_block journal;
    struct journal_range range[PARTITIONS_MOST];
};

/* Kafka and the first run's journal: what all runs of one partition count share. */
struct world {
    struct partition partition[PARTITIONS_MOST];
    struct partition_table table;
    struct kept_message *message[PARTITIONS_MOST];
    uint32_t count[PARTITIONS_MOST];
    uint64_t messages;
    struct kept_block *journal; /* by block, from 1; the first run appends */
    uint64_t blocks;
    uint64_t sequences;
};

/* One run: what it has heard, its PostgreSQL, and what will happen to it. */
struct run {
    struct world *world;
    bool first;                  /* it makes the journal */
    enum restart restart;
    uint32_t threads, cut;
    uint64_t chance;
    struct digest *event;        /* by sequence number: what it came to */
    bool *heard;
    struct digest *refused[PARTITIONS_MOST]; /* by position: why decode refused it */
    bool *refused_heard[PARTITIONS_MOST];
    uint64_t hits, revisions, rejections, again, different; /* scored once more; came to something else then */
    uint32_t deaths, loads;      /* kills; checkpoints gone on from */
    const struct pipeline_figures *figures;
    uint64_t committed;          /* its PostgreSQL's newest block */
    int64_t read[PARTITIONS_MOST];
    uint64_t poll_block;         /* last block handed over */
    uint64_t lease_at;           /* as a standby it gets the lease once it was told of this block; 0: at once */
    uint64_t told;               /* the journal shows blocks up to this one */
    uint32_t calls_left;         /* until kill -9; 0: it lives */
    atomic_bool dead, live;
    pthread_mutex_t lock;
    char dir[64];
};

static struct run *running; /* step_run is wrapped, and takes no context */

/* --- what is heard --- */

static void digest_line(crypto_generichash_state *state, struct json_writer *writer)
{
    crypto_generichash_update(state, (const unsigned char *)writer->text, writer->size);
    json_writer_reset(writer);
}

static void hear(struct run *run, bool *heard, struct digest *kept, crypto_generichash_state *state)
{
    struct digest digest;
    crypto_generichash_final(state, digest.byte, sizeof digest.byte);
    run->again += *heard;
    run->different += *heard && memcmp(kept, &digest, sizeof digest) != 0;
    *kept = digest;
    *heard = true;
}

/* What stands in the output at one sequence number: all lists are in its order. */
struct reading {
    uint32_t hit, revision, alert_hit, rejection;
};

static void hear_event(struct run *run, const struct event *event, const struct output *out, struct reading *at, struct json_writer *writer)
{
    crypto_generichash_state state;
    unsigned char mark[2] = {event->outcome, (unsigned char)((event->flags & EVENT_LATE) != 0)};
    crypto_generichash_init(&state, NULL, 0, DIGEST);
    crypto_generichash_update(&state, mark, sizeof mark);
    bool fresh = !run->heard[event->seq];
    for (; at->hit < out->hit_count && out->hit[at->hit].seq == event->seq; at->hit++, run->hits += fresh)
        encode_hit(writer, &out->hit[at->hit]);
    for (; at->revision < out->revision_count && out->revision[at->revision].seq == event->seq; at->revision++, run->revisions += fresh)
        encode_revision(writer, &out->revision[at->revision]);
    digest_line(&state, writer);
    for (; at->alert_hit < out->alert_hit_count && out->alert_hit[at->alert_hit].seq == event->seq; at->alert_hit++) {
        crypto_generichash_update(&state, out->alert_hit[at->alert_hit].alert_id, sizeof out->alert_hit->alert_id);
        crypto_generichash_update(&state, (const unsigned char *)out->alert_hit[at->alert_hit].rule_id.data, out->alert_hit[at->alert_hit].rule_id.size);
    }
    if (event->outcome == OUTCOME_REJECTED) {
        unsigned char reason = (unsigned char)out->rejection[at->rejection++].reason;
        crypto_generichash_update(&state, &reason, 1);
        run->rejections += fresh;
    }
    hear(run, &run->heard[event->seq], &run->event[event->seq], &state);
}

void __real_step_run(struct step *step, struct event *events, uint32_t count, struct arena *arena, struct output *out);
void __wrap_step_run(struct step *step, struct event *events, uint32_t count, struct arena *arena, struct output *out);

static void *joined(struct arena *arena, const void *a, uint32_t a_count, const void *b, uint32_t b_count, size_t size)
{
    char *both = arena_bytes(arena, ((size_t)a_count + b_count + 1) * size);
    if (a_count)
        memcpy(both, a, a_count * size);
    if (b_count)
        memcpy(both + a_count * size, b, b_count * size);
    return both;
}

static void append(struct arena *arena, struct output *all, const struct output *next)
{
    all->hit = joined(arena, all->hit, all->hit_count, next->hit, next->hit_count, sizeof *all->hit);
    all->revision = joined(arena, all->revision, all->revision_count, next->revision, next->revision_count, sizeof *all->revision);
    all->hit_count += next->hit_count;
    all->revision_count += next->revision_count;
    for (int o = 0; o < OUTCOME_COUNT; o++)
        all->outcome[o] += next->outcome[o];
}

/* Cuts what the pipeline gives to the step into this run's batches. */
void __wrap_step_run(struct step *step, struct event *events, uint32_t count, struct arena *arena, struct output *out)
{
    struct json_writer writer;
    json_writer_init(&writer);
    *out = (struct output){0};
    for (uint32_t from = 0; from < count;) {
        uint32_t size = count - from < running->cut ? count - from : running->cut;
        struct output piece;
        struct reading at = {0};
        __real_step_run(step, events + from, size, arena, &piece);
        for (uint32_t i = from; i < from + size; i++)
            hear_event(running, &events[i], &piece, &at, &writer);
        running->different += at.hit != piece.hit_count || at.revision != piece.revision_count || at.alert_hit != piece.alert_hit_count ||
                              at.rejection != piece.rejection_count;
        append(arena, out, &piece);
        from += size;
    }
    json_writer_fini(&writer);
}

void __real_intake_sequence(struct intake *intake, struct block *block, struct order *order, uint64_t first_seq);
void __wrap_intake_sequence(struct intake *intake, struct block *block, struct order *order, uint64_t first_seq);

void __wrap_intake_sequence(struct intake *intake, struct block *block, struct order *order, uint64_t first_seq)
{
    struct json_writer writer;
    json_writer_init(&writer);
    __real_intake_sequence(intake, block, order, first_seq);
    for (uint32_t i = 0; i < block->rejection_count; i++) {
        const struct rejection *rejection = &block->rejection[i];
        uint32_t p = rejection->position.partition;
        bool *heard = &running->refused_heard[p][rejection->position.offset];
        crypto_generichash_state state;
        crypto_generichash_init(&state, NULL, 0, DIGEST);
        encode_rejection(&writer, rejection);
        digest_line(&state, &writer);
        running->rejections += !*heard;
        hear(running, heard, &running->refused[p][rejection->position.offset], &state);
    }
    json_writer_fini(&writer);
}

/* --- kill -9 --- */

/* Is this the call at which the process dies? Where a checkpoint is to be gone on from, not before there is one. */
static bool run_dead(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    bool waits = run->restart == RESTART_CHECKPOINT && atomic_load(&run->figures->checkpoints) == 0;
    if (run->calls_left && (run->calls_left > 1 || !waits) && --run->calls_left == 0)
        atomic_store(&run->dead, true);
    bool dead = atomic_load(&run->dead);
    pthread_mutex_unlock(&run->lock);
    return dead;
}

static bool killed(struct error *err)
{
    return error_set(err, ERROR_FATAL, "killed");
}

/* --- Kafka --- */

static struct message message_at(const struct world *world, uint32_t p, int64_t offset, struct arena *arena)
{
    const struct kept_message *kept = &world->message[p][offset];
    return (struct message){.body = arena_copy(arena, (struct slice){kept->body, kept->size}),
                            .source = slice_of(world->partition[p].source),
                            .position = {.partition = p, .offset = offset},
                            .broker_ms = kept->broker_ms,
                            .expects = EXPECT_EVENT};
}

static bool kafka_seek(void *self, const int64_t *next, struct error *err)
{
    struct run *run = self;
    (void)err;
    for (uint32_t p = 0; p < run->world->table.count; p++)
        run->read[p] = next[p] < 0 ? 0 : next[p];
    run->poll_block = run->committed;
    return true;
}

/* The first run takes what happens to have come; the others the journal's next block. */
static void poll_sizes(struct run *run, uint32_t max, uint32_t *size)
{
    const struct world *world = run->world;
    uint32_t left = max;
    if (!run->first) {
        const struct kept_block *block = run->poll_block < world->blocks ? &world->journal[run->poll_block + 1] : NULL;
        for (uint32_t r = 0; block && r < block->journal.range_count; r++)
            size[block->range[r].partition] = (uint32_t)(block->range[r].next - run->read[block->range[r].partition]);
        run->poll_block += block != NULL;
        return;
    }
    uint32_t share = (uint32_t)below(&run->chance, 2 * BLOCK_MESSAGES / 3) / world->table.count + 2;
    for (uint32_t p = 0; p < world->table.count; p++) {
        uint32_t most = world->count[p] - (uint32_t)run->read[p], wanted = (uint32_t)below(&run->chance, 2 * share);
        size[p] = wanted < most ? wanted : most;
        size[p] = size[p] < left ? size[p] : left;
        left -= size[p];
    }
}

static bool kafka_poll(void *self, uint32_t wait_ms, struct arena *arena, struct message *messages, uint32_t max, uint32_t *count,
                       struct error *err)
{
    struct run *run = self;
    uint32_t size[PARTITIONS_MOST] = {0};
    (void)wait_ms;
    *count = 0;
    if (run_dead(run))
        return killed(err);
    poll_sizes(run, max, size);
    for (uint32_t p = 0; p < run->world->table.count; p++)
        for (uint32_t n = 0; n < size[p]; n++)
            messages[(*count)++] = message_at(run->world, p, run->read[p]++, arena);
    return true;
}

static bool kafka_read_range(void *self, const struct journal_range *range, struct arena *arena, struct message **messages, uint32_t *count,
                             struct error *err)
{
    struct run *run = self;
    if (run_dead(run))
        return killed(err);
    *count = 0;
    int64_t from = range->first < 0 ? 0 : range->first;
    *messages = ARENA_ARRAY(arena, struct message, range->next - from + 1);
    for (int64_t at = from; at < range->next; at++)
        (*messages)[(*count)++] = message_at(run->world, range->partition, at, arena);
    return true;
}

static void world_close(void *self)
{
    (void)self;
}

/* --- PostgreSQL --- */

static bool pg_start(void *self, const struct partition_table *partitions, uint32_t wait_ms, struct sink_start *start, struct error *err)
{
    struct run *run = self;
    const struct world *world = run->world;
    (void)wait_ms;
    if (run->lease_at > run->told || (run->lease_at && run->calls_left)) {
        run->told += 1 + (uint64_t)below(&run->chance, 7); /* the live engine has committed again */
        run->told = run->told < run->lease_at ? run->told : run->lease_at;
        return error_set(err, ERROR_RETRY, "another engine holds the lease");
    }
    start->block = run->committed;
    start->seq = run->committed ? world->journal[run->committed].journal.last_seq : 0;
    for (uint32_t p = 0; p < partitions->count; p++)
        start->next[p] = -1;
    for (uint64_t b = 1; b <= run->committed; b++)
        for (uint32_t r = 0; r < world->journal[b].journal.range_count; r++)
            start->next[world->journal[b].range[r].partition] = world->journal[b].range[r].next;
    return true;
}

static bool pg_journal(void *self, uint64_t after, bool (*visit)(void *context, const struct journal_block *block), void *context,
                       struct error *err)
{
    struct run *run = self;
    if (run->lease_at && run_dead(run))
        return killed(err);
    uint64_t last = run->lease_at ? run->told : run->committed;
    for (uint64_t b = after + 1; b <= last; b++)
        if (!visit(context, &run->world->journal[b].journal))
            break;
    return true;
}

static bool same_block(const struct journal_block *a, const struct journal_block *b)
{
    bool same = a->block == b->block && a->first_seq == b->first_seq && a->last_seq == b->last_seq && a->range_count == b->range_count;
    for (uint32_t r = 0; same && r < a->range_count; r++)
        same = a->range[r].partition == b->range[r].partition && a->range[r].next == b->range[r].next;
    return same;
}

static void journal_add(struct world *world, const struct journal_block *block)
{
    world->journal = realloc(world->journal, (block->block + 1) * sizeof *world->journal);
    invariant(world->journal && block->range_count <= PARTITIONS_MOST);
    world->blocks = block->block;
    world->sequences = block->last_seq;
    struct kept_block *kept = &world->journal[block->block];
    kept->journal = *block;
    memcpy(kept->range, block->range, block->range_count * sizeof *block->range);
    for (uint64_t b = 1; b <= world->blocks; b++)
        world->journal[b].journal.range = world->journal[b].range;
}

static bool pg_commit(void *self, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    struct run *run = self;
    bool ok = !run_dead(run) || killed(err);
    for (uint32_t i = 0; ok && i < count; i++) {
        const struct journal_block *block = &blocks[i].journal;
        if (run->first)
            journal_add(run->world, block);
        else if (block->block > run->world->blocks || !same_block(block, &run->world->journal[block->block].journal))
            run->different++;
        run->committed = block->block;
    }
    return ok && (!run_dead(run) || killed(err)); /* written, but nobody hears of it */
}

static bool pg_nothing(void *self, struct error *err)
{
    (void)self, (void)err;
    return true;
}

static bool pg_prune(void *self, uint64_t block, struct error *err)
{
    (void)block;
    return pg_nothing(self, err);
}

/* --- lives --- */

static bool all_read(const struct run *run)
{
    const struct world *world = run->world;
    if (!run->first)
        return run->poll_block >= world->blocks;
    for (uint32_t p = 0; p < world->table.count; p++)
        if (run->read[p] < world->count[p])
            return false;
    return true;
}

static bool run_stop(void *context)
{
    struct run *run = context;
    return atomic_load(&run->live) && all_read(run);
}

static void run_notice(void *context, enum notice_level level, const char *event, const char *text)
{
    struct run *run = context;
    (void)level, (void)text;
    if (strcmp(event, "live") == 0)
        atomic_store(&run->live, true);
    run->loads += strcmp(event, "checkpoint_loaded") == 0;
}

struct life {
    bool standby, log, checkpoints;
    int64_t checkpoint_every_ms;
    uint32_t calls;            /* until it is killed; 0: to the end */
};

static const struct program *program;
static const struct rates *rates;

static struct step_settings step_settings(void)
{
    return (struct step_settings){
        .lateness_ms = 24 * 3600000, .dedup_ms = 3 * (int64_t)MS_PER_DAY, .shard_bytes_max = (size_t)64 << 20, .inline_below = INLINE_BELOW,
        .epoch_seq = 4096 /* so that sweeps and the horizons move in short streams too */};
}

static bool live_once(struct run *run, const struct life *life, struct error *err)
{
    char folder[4][80];
    static const char *const name[4] = {"state", "log", "keys", "master.key"};
    for (int i = 0; i < 4; i++)
        (void)snprintf(folder[i], sizeof folder[i], "%s/%s", run->dir, name[i]);
    const struct log_settings log = {.dir = folder[1], .key_dir = folder[2], .master_key_file = folder[3], .block_bytes = 64 * 1024};
    const struct pipeline_settings settings = {
        .threads = run->threads,
        .batch_max = BLOCK_MESSAGES,
        .queue_blocks_max = 4,
        .sink_wait_ms = 1,
        .stop_wait_ms = 2000,
        .renew_every_ms = 1000,
        .standby = life->standby,
        .checkpoint_dir = life->checkpoints ? folder[0] : NULL,
        .checkpoint_every_ms = life->checkpoint_every_ms,
        .log = life->log ? &log : NULL,
        .step = step_settings(),
        .decode = {.rates = rates, .message_bytes_max = 65536, .future_ms_max = 300000},
    };
    struct source source = {.self = run, .partitions = &run->world->table, .seek = kafka_seek, .poll = kafka_poll,
                            .read_range = kafka_read_range, .close = world_close};
    struct sink sink = {.self = run, .start = pg_start, .journal = pg_journal, .commit = pg_commit, .prune = pg_prune,
                        .renew = pg_nothing, .close = world_close};
    const struct pipeline_world around = {.source = &source, .sink = &sink, .program = program, .context = run, .stop = run_stop, .notice = run_notice};
    struct pipeline_figures *figures = calloc(1, sizeof *figures);
    invariant(figures);
    for (int i = 1; i < 3; i++)
        (void)mkdir(folder[i], 0700);
    run->calls_left = life->calls;
    atomic_store(&run->dead, false);
    atomic_store(&run->live, false);
    run->figures = figures;
    bool ok = pipeline_run(&settings, &around, figures, err);
    run->deaths += atomic_load(&run->dead);
    free(figures);
    return ok;
}

static void folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    char inner[512];
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        (void)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && unlink(inner) != 0 && errno == EISDIR)
            folder_remove(inner);
    }
    if (folder)
        (void)closedir(folder);
    (void)rmdir(path);
}

static void run_forget(struct run *run, const char *what)
{
    char path[80];
    (void)snprintf(path, sizeof path, "%s/%s", run->dir, what);
    folder_remove(path);
}

/* A life that ends by its kill, and by nothing else. */
static bool died(struct run *run, const struct life *life, struct error *err)
{
    bool drained = live_once(run, life, err);
    bool as_meant = !drained && strstr(err->text, "killed");
    *err = (struct error){0};
    return as_meant || error_set(err, ERROR_FATAL, drained ? "it ended before it was killed" : "it ended for another reason");
}

/* The lives of a run by how it is interrupted; the last one goes to the end and leaves a checkpoint. */
static bool run_lives(struct run *run, struct error *err)
{
    const struct world *world = run->world;
    uint64_t ranges = 0;
    for (uint64_t b = 1; b <= world->blocks; b++)
        ranges += world->journal[b].journal.range_count;
    uint32_t part = (uint32_t)(ranges * 3 / 10) + (uint32_t)below(&run->chance, (int64_t)(ranges * 4 / 10 + 1));
    struct life follows = {.standby = true, .log = true, .checkpoints = true, .checkpoint_every_ms = 3600000};
    struct life to_part = follows, rebuilds = {.log = true, .checkpoints = true, .checkpoint_every_ms = 3600000};
    to_part.calls = part + 1;
    if (run->first)
        return live_once(run, &rebuilds, err);
    run->lease_at = world->blocks;
    run->committed = run->restart == RESTART_KILLS ? 0 : world->blocks; /* the first run's PostgreSQL, or one of its own */
    switch (run->restart) {
    case RESTART_NONE:
        return live_once(run, &follows, err);
    case RESTART_CHECKPOINT:
        to_part.checkpoint_every_ms = 20;
        return died(run, &to_part, err) && live_once(run, &follows, err);
    case RESTART_LOG:
        to_part.checkpoints = false;
        if (!died(run, &to_part, err))
            return false;
        run->lease_at = 0;
        return live_once(run, &rebuilds, err);
    case RESTART_RANGES:
        if (!died(run, &to_part, err))
            return false;
        run_forget(run, "log");
        run_forget(run, "state");
        run->lease_at = 0;
        rebuilds.log = false;
        return live_once(run, &rebuilds, err);
    case RESTART_KILLS:
        run->lease_at = 0;
        rebuilds.checkpoint_every_ms = 15;
        for (int life = 0; life < LIVES_MOST; life++) {
            rebuilds.calls = life + 1 < LIVES_MOST ? 4 + (uint32_t)below(&run->chance, (int64_t)world->blocks / 2) : 0;
            bool drained = live_once(run, &rebuilds, err);
            if (drained || !strstr(err->text, "killed"))
                return drained;
            *err = (struct error){0};
        }
        return false;
    }
    return false;
}

/* Did what was to happen to it happen? */
static bool run_suffered(const struct run *run, struct error *err)
{
    bool good = run->first || run->restart == RESTART_NONE ? run->deaths == 0 && run->again == 0
                : run->restart == RESTART_CHECKPOINT       ? run->deaths == 1 && run->loads == 1
                : run->restart == RESTART_KILLS            ? run->deaths >= 2 && run->again > 0
                                                           : run->deaths == 1 && run->loads == 0 && run->again > 0;
    return good || error_set(err, ERROR_FATAL, "%u deaths, %u checkpoints loaded and %llu results heard again are not what was meant", run->deaths,
                             run->loads, (unsigned long long)run->again);
}

/* --- the hash of a run --- */

static void run_hash_results(const struct run *run, crypto_generichash_state *state)
{
    const struct world *world = run->world;
    for (uint64_t seq = 1; seq <= world->sequences; seq++)
        crypto_generichash_update(state, run->event[seq].byte, DIGEST);
    for (uint32_t p = 0; p < world->table.count; p++)
        crypto_generichash_update(state, (const unsigned char *)run->refused[p], world->count[p] * sizeof(struct digest));
}

static bool run_hash(const struct run *run, struct checkpoint_view *view, unsigned char hash[32], struct error *err)
{
    char path[128];
    const struct step_settings settings = step_settings();
    crypto_generichash_state state;
    (void)snprintf(path, sizeof path, "%s/state/checkpoint-%020llu", run->dir, (unsigned long long)run->world->blocks);
    if (!checkpoint_view_file(path, program, &settings, view, err))
        return false;
    crypto_generichash_init(&state, NULL, 0, 32);
    run_hash_results(run, &state);
    crypto_generichash_update(&state, view->hash, sizeof view->hash);
    crypto_generichash_final(&state, hash, 32);
    for (uint64_t seq = 1; seq <= run->world->sequences; seq++)
        if (!run->heard[seq])
            return error_set(err, ERROR_FATAL, "event %llu was never scored", (unsigned long long)seq);
    return run->different == 0 || error_set(err, ERROR_FATAL, "%llu results differ from their first time", (unsigned long long)run->different);
}

static struct run *run_new(struct world *world, uint64_t chance)
{
    struct run *run = calloc(1, sizeof *run);
    invariant(run);
    run->world = world;
    run->chance = chance;
    run->event = calloc(world->messages + 1, sizeof *run->event);
    run->heard = calloc(world->messages + 1, sizeof *run->heard);
    invariant(run->event && run->heard);
    for (uint32_t p = 0; p < world->table.count; p++) {
        run->refused[p] = calloc(world->count[p] + 1, sizeof *run->refused[p]);
        run->refused_heard[p] = calloc(world->count[p] + 1, sizeof *run->refused_heard[p]);
        invariant(run->refused[p] && run->refused_heard[p]);
    }
    pthread_mutex_init(&run->lock, NULL);
    (void)snprintf(run->dir, sizeof run->dir, "build/matrix-%d", (int)getpid());
    folder_remove(run->dir);
    (void)mkdir(run->dir, 0700);
    return run;
}

static void run_free(struct run *run)
{
    for (uint32_t p = 0; p < run->world->table.count; p++) {
        free(run->refused[p]);
        free(run->refused_heard[p]);
    }
    folder_remove(run->dir);
    pthread_mutex_destroy(&run->lock);
    free(run->event);
    free(run->heard);
    free(run);
}

/* --- the world --- */

static struct world *world_new(const struct coming *arrival, uint32_t count, uint32_t partitions)
{
    struct world *world = calloc(1, sizeof *world);
    uint64_t chance = 77;
    invariant(world);
    for (uint32_t p = 0; p < partitions; p++) {
        uint32_t topic = p * 4 / partitions;
        world->partition[p].number = (int32_t)p;
        (void)snprintf(world->partition[p].topic, TOPIC_NAME_MAX, "payments.%u", topic);
        (void)snprintf(world->partition[p].source, SOURCE_NAME_MAX, "bank-%u", topic);
        world->message[p] = calloc(count, sizeof *world->message[p]);
        invariant(world->message[p]);
    }
    world->table = (struct partition_table){.count = partitions, .room = partitions, .partition = world->partition};
    world->messages = count;
    int64_t broker_ms = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t p = partition_of(arrival[i].line, partitions, &chance);
        broker_ms = arrival[i].at_ms > broker_ms ? arrival[i].at_ms : broker_ms;
        world->message[p][world->count[p]++] = (struct kept_message){arrival[i].line, arrival[i].size, broker_ms};
    }
    return world;
}

static void world_free(struct world *world)
{
    for (uint32_t p = 0; p < world->table.count; p++)
        free(world->message[p]);
    free(world->journal);
    free(world);
}

/* --- the table --- */

struct tally {
    uint32_t passed, failed;
};

static void print_hash(const unsigned char *hash)
{
    for (int i = 0; i < 8; i++)
        printf("%02x", hash[i]);
}

static bool one_run(struct run *run, unsigned char hash[32], struct checkpoint_view *view)
{
    struct error err = {0};
    running = run;
    bool ok = run_lives(run, &err) && run_suffered(run, &err) && run_hash(run, view, hash, &err);
    if (!ok)
        printf("  %s, %u threads, cut %u: %s\n", restart_word[run->restart], run->threads, run->cut, err.text);
    return ok;
}

/* What the first run came to, so that nobody takes a matrix over nothing for a proof. */
static bool tell_first(const struct run *run, const struct checkpoint_view *view, const unsigned char hash[32])
{
    const struct world *world = run->world;
    printf("%u partitions: %llu messages in %llu blocks, %llu hits, %llu revisions, %llu refused; %llu keys, %llu records, %llu repeats kept\n",
           world->table.count, (unsigned long long)world->messages, (unsigned long long)world->blocks, (unsigned long long)run->hits,
           (unsigned long long)run->revisions, (unsigned long long)run->rejections, (unsigned long long)view->stats.keys,
           (unsigned long long)view->stats.records, (unsigned long long)view->stats.dedup_entries);
    printf("  hash ");
    print_hash(hash);
    printf(" of state ");
    print_hash(view->hash);
    printf("\n  %-11s", "restart");
    return run->hits > 0 && run->revisions > 0 && run->rejections > 0 && world->blocks >= 10;
}

static void partitions_run(const struct coming *arrival, uint32_t count, uint32_t partitions, struct tally *tally)
{
    static const uint32_t threads[] = {1, 2, 3, 8}, cuts[] = {61, WHOLE};
    struct world *world = world_new(arrival, count, partitions);
    struct run *first = run_new(world, 1);
    unsigned char wanted[32], got[32];
    struct checkpoint_view view;
    first->first = true;
    first->threads = 2;
    first->cut = WHOLE;
    bool begun = one_run(first, wanted, &view) && tell_first(first, &view, wanted);
    tally->failed += !begun;
    run_free(first);
    for (int c = 0; begun && c < 8; c++)
        printf(" %ux%s", threads[c / 2], c % 2 ? "all" : "61");
    printf("\n");
    for (int restart = 0; begun && restart < RESTARTS; restart++) {
        printf("  %-11s", restart_word[restart]);
        for (int c = 0; c < 8; c++) {
            struct run *run = run_new(world, (uint64_t)(restart * 8 + c + 2));
            run->restart = (enum restart)restart;
            run->threads = threads[c / 2];
            run->cut = cuts[c % 2];
            bool same = one_run(run, got, &view) && memcmp(got, wanted, sizeof got) == 0;
            printf(same ? "  ok  " : " FAIL ");
            (void)fflush(stdout);
            *(same ? &tally->passed : &tally->failed) += 1;
            run_free(run);
        }
        printf("\n");
    }
    world_free(world);
}

int main(int argc, char **argv)
{
    static const uint32_t partitions[] = {1, 6, 64};
    uint32_t events = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 20000, only = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    struct diagnostics *diagnostics = diagnostics_new();
    struct coming *arrival;
    struct tally tally = {0};
    struct error err = {0};
    struct program *pack = program_load("rules/packs/trafficking", &(struct load_options){0}, diagnostics, &err);
    struct rates *dated = pack ? rates_load("rules/packs/rates.csv", pack->base, &err) : NULL;
    invariant(pack && dated);
    program = pack;
    rates = dated;
    uint32_t count = make_stream(events, &arrival);
    for (int i = 0; i < 3; i++)
        if (!only || only == partitions[i])
            partitions_run(arrival, count, partitions[i], &tally);
    for (uint32_t i = 0; i < count; i++)
        free(arrival[i].line);
    free(arrival);
    rates_free(dated);
    program_free(pack);
    diagnostics_free(diagnostics);
    printf("%u passed, %u failed\n", tally.passed, tally.failed);
    return tally.failed ? 1 : 0;
}
