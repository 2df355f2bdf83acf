/* The determinism matrix: threads x batch x restart x reload x partitions, one hash for each partition count.
 *
 * Real are the rule pack, decoder, intake, order, step, log, checkpoints, recovery, standby, reload and pipeline; Kafka
 * and PostgreSQL are models in memory behind their seams. Beside the pack stand rules with graph operators
 * (tests/data/matrix). For each partition count a first engine runs live and leaves a journal; every other run follows
 * that journal, with another number of threads, another cut of the sequence into batches, another way of being
 * interrupted, and half of them with other rules up to the middle of the stream: there the engine goes over to the rules
 * that the others had all the time, and warms up from the log what these bring.
 *
 * The hash of a run is over hits, revisions, later hits, outcomes and rejections of every sequence number and position,
 * and over the state hash of the checkpoint that the run leaves. It is one and the same with and without a reload. Only
 * what the rules that change (MX-, all in shadow) hit before the reload stands in a hash of its own, which all runs
 * with a reload have in common, and all without.
 *
 * A run that is interrupted is so in one of four ways, in turn. Usage: determinism_matrix [EVENTS [PARTITIONS]] */
#include "engine/base/invariant.h"
#include "engine/stream/checkpoint_view.h"
#include "engine/stream/pipeline.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"
#include "tests/simulation/matrix_run.h"
#include "tests/simulation/matrix_stream.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

/* The block behind the reload comes when the engine has gone over. */
static bool holds(struct run *run)
{
    return run->reload && run->poll_block + 1 == run->world->swap_block && !atomic_load(&run->over);
}

static bool kafka_poll(void *self, uint32_t wait_ms, struct arena *arena, struct message *messages, uint32_t max, uint32_t *count,
                       struct error *err)
{
    struct run *run = self;
    uint32_t size[PARTITIONS_MOST] = {0};
    (void)wait_ms;
    *count = 0;
    if (holds(run)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        return !atomic_load(&run->dead) || killed(err);
    }
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
    (void)wait_ms, (void)partitions;
    if (run->lease_at > run->told || (run->lease_at && run->calls_left)) {
        run->told += 1 + (uint64_t)below(&run->chance, (int64_t)world->blocks / 5 + 2); /* the live engine has committed again */
        run->told = run->told < run->lease_at ? run->told : run->lease_at;
        return error_set(err, ERROR_RETRY, "another engine holds the lease");
    }
    start->block = run->committed;
    start->seq = run->committed ? world->journal[run->committed].journal.last_seq : 0;
    return true;
}

static bool pg_positions(void *self, int64_t *next, struct error *err)
{
    const struct run *run = self;
    const struct world *world = run->world;
    (void)err;
    for (uint32_t p = 0; p < world->table.count; p++)
        next[p] = -1;
    for (uint64_t b = 1; b <= run->committed; b++)
        for (uint32_t r = 0; r < world->journal[b].journal.range_count; r++)
            next[world->journal[b].range[r].partition] = world->journal[b].range[r].next;
    return true;
}

static bool pg_journal(void *self, uint64_t after, bool (*visit)(void *context, const struct journal_block *block), void *context,
                       struct error *err)
{
    struct run *run = self;
    if (run->lease_at && run_dead(run))
        return killed(err);
    uint64_t last = run->lease_at ? run->told : run->committed;
    bool goes_on = true;
    for (uint64_t b = after + 1; goes_on && b <= last; b++) {
        const struct told *told = &run->world->told[run->reload][b];
        struct journal_block row = run->world->journal[b].journal;
        memcpy(row.rule_set, told->rule_set, sizeof row.rule_set);
        row.warm_from = told->warm_from;
        goes_on = visit(context, &row);
    }
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

/* Which rules the block has: whoever tells first is believed. */
static bool same_rules(const struct run *run, const struct journal_block *block)
{
    struct told *told = &run->world->told[run->reload][block->block];
    if (run->first || run->tells) {
        memcpy(told->rule_set, block->rule_set, sizeof told->rule_set);
        told->warm_from = block->warm_from;
    }
    bool same = memcmp(told->rule_set, block->rule_set, sizeof told->rule_set) == 0;
    return same && (told->warm_from == block->warm_from || block->block != run->world->swap_block); /* the first row says it: engine/README.md */
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
        run->different += !same_rules(run, block);
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
    run->cold += strcmp(event, "rules_cold") == 0 || strcmp(event, "warm_short") == 0 || strcmp(event, "rules_unknown") == 0 ||
                 strcmp(event, "rules_no_room") == 0;
}

/* --- the reload --- */

static const struct program *program_before, *program_after;

static const struct program *run_program_of(void *context, const unsigned char hash[32], struct error *err)
{
    const struct program *const both[] = {program_after, program_before};
    (void)context, (void)err;
    for (int i = 0; i < 2; i++)
        if (memcmp(hash, both[i]->hash, sizeof both[i]->hash) == 0)
            return both[i];
    return NULL;
}

/* Offered once the last block before the reload was worked; asked live alone, on the work thread. */
static const struct program *run_program_next(void *context)
{
    const struct run *run = context;
    bool due = run->reload && atomic_load(&run->figures->seq) + 1 >= run->world->swap_seq;
    return due ? program_after : NULL;
}

static void run_swapped(void *context, const struct program *to, const struct swap_report *report)
{
    struct run *run = context;
    bool comes = to == program_after && !atomic_load(&run->over);
    run->swaps += comes;
    run->warmed += comes && report->warmed && report->warming_until_ms == INT64_MIN;
    run->misnamed += comes && report->block != run->world->swap_block;
    atomic_store(&run->over, to == program_after);
}

/* A live engine begins with what it had; a standby, and whoever is started behind the reload, with the rules of the end. */
static const struct program *run_begins_with(const struct run *run)
{
    bool live = run->tells || run->restart == RESTART_KILLS;
    return run->reload && live && run->committed + 1 < run->world->swap_block ? program_before : program_after;
}

/* In the middle of the events, between two blocks that hold some. */
static bool swap_choose(struct world *world, struct error *err)
{
    for (uint64_t b = 2; b < world->blocks; b++) {
        const struct journal_block *before = &world->journal[b - 1].journal, *block = &world->journal[b].journal;
        if (block->last_seq < world->sequences / 2 || before->last_seq < before->first_seq || block->last_seq < block->first_seq)
            continue;
        world->swap_block = b;
        world->swap_seq = block->first_seq;
        return true;
    }
    return error_set(err, ERROR_FATAL, "the journal has no middle");
}

struct life {
    bool standby, log, checkpoints;
    int64_t checkpoint_every_ms;
    uint32_t calls;            /* until it is killed; 0: to the end */
};

static const struct rates *rates;

/* Batches of whatever size are worked by all threads. */
static struct step_settings step_settings(const struct run *run)
{
    return (struct step_settings){
        .lateness_ms = 24 * 3600000, .dedup_ms = 3 * (int64_t)MS_PER_DAY, .shard_bytes_max = (size_t)64 << 20, .inline_below = run->cut < 24 ? 2 : 24,
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
        .log_wait_ms = run->threads, /* some at once, some not */
        .step = step_settings(run),
        .decode = {.rates = rates, .message_bytes_max = 65536, .future_ms_max = 300000},
    };
    struct source source = {.self = run, .partitions = &run->world->table, .seek = kafka_seek, .poll = kafka_poll,
                            .read_range = kafka_read_range, .close = world_close};
    struct sink sink = {.self = run, .start = pg_start, .positions = pg_positions, .journal = pg_journal, .commit = pg_commit, .prune = pg_prune,
                        .renew = pg_nothing, .close = world_close};
    const struct pipeline_world around = {.source = &source, .sink = &sink, .program = run_begins_with(run), .program_of = run_program_of,
                                          .program_next = run_program_next, .swapped = run_swapped, .context = run, .stop = run_stop,
                                          .notice = run_notice};
    struct pipeline_figures *figures = calloc(1, sizeof *figures);
    invariant(figures);
    for (int i = 1; i < 3; i++)
        (void)mkdir(folder[i], 0700);
    run->calls_left = life->calls;
    atomic_store(&run->dead, false);
    atomic_store(&run->live, false);
    atomic_store(&run->over, around.program == program_after);
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
    if (run->first || run->tells)
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
        rebuilds.log = run->reload; /* what the new rules bring comes from the log that is written meanwhile */
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
    bool whole = run->first || run->tells || run->restart == RESTART_NONE;
    bool good = whole                                      ? run->deaths == 0 && run->again == 0
                : run->restart == RESTART_CHECKPOINT       ? run->deaths == 1 && run->loads == 1
                : run->restart == RESTART_KILLS            ? run->deaths >= 2 && run->again > 0
                                                           : run->deaths == 1 && run->loads == 0 && run->again > 0;
    if (!good)
        return error_set(err, ERROR_FATAL, "%u deaths, %u checkpoints loaded and %llu results heard again are not what was meant", run->deaths,
                         run->loads, (unsigned long long)run->again);
    good = run->cold == 0 && run->misnamed == 0 && (run->reload ? run->swaps > 0 && run->swaps == run->warmed : run->swaps == 0);
    return good || error_set(err, ERROR_FATAL, "went over %u times, %u of them warmed up from the log's first event, %u of them told with another block; "
                             "%u notices of what was forgotten", run->swaps, run->warmed, run->misnamed, run->cold);
}

/* --- the hash of a run --- */

/* whole: everything but what early is of: hits before the reload of rules that change there. */
struct hashes {
    unsigned char whole[32], early[32];
};

static void run_hash_results(const struct run *run, crypto_generichash_state *whole, crypto_generichash_state *early)
{
    const struct world *world = run->world;
    for (uint64_t seq = 1; seq <= world->sequences; seq++) {
        crypto_generichash_update(whole, run->event[seq].byte, DIGEST);
        crypto_generichash_update(seq < world->swap_seq ? early : whole, run->moving[seq].byte, DIGEST);
    }
    for (uint32_t p = 0; p < world->table.count; p++)
        crypto_generichash_update(whole, (const unsigned char *)run->refused[p], world->count[p] * sizeof(struct digest));
}

static bool run_hash(const struct run *run, struct checkpoint_view *view, struct hashes *hashes, struct error *err)
{
    char path[128];
    const struct step_settings settings = step_settings(run);
    crypto_generichash_state whole, early;
    (void)snprintf(path, sizeof path, "%s/state/checkpoint-%020llu", run->dir, (unsigned long long)run->world->blocks);
    if (!checkpoint_view_file(path, program_after, &settings, view, err))
        return false;
    crypto_generichash_init(&whole, NULL, 0, 32);
    crypto_generichash_init(&early, NULL, 0, 32);
    run_hash_results(run, &whole, &early);
    crypto_generichash_update(&whole, view->hash, sizeof view->hash);
    crypto_generichash_final(&whole, hashes->whole, sizeof hashes->whole);
    crypto_generichash_final(&early, hashes->early, sizeof hashes->early);
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
    run->moving = calloc(world->messages + 1, sizeof *run->moving);
    run->moving_heard = calloc(world->messages + 1, sizeof *run->moving_heard);
    invariant(run->event && run->heard && run->moving && run->moving_heard);
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
    free(run->moving);
    free(run->moving_heard);
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
    for (int reload = 0; reload < 2; reload++) {
        world->told[reload] = calloc(count + 1, sizeof *world->told[reload]); /* no block is without a message */
        invariant(world->told[reload]);
    }
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
    free(world->told[0]);
    free(world->told[1]);
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

static bool one_run(struct run *run, struct hashes *hashes, struct checkpoint_view *view)
{
    struct error err = {0};
    running = run;
    bool ok = run_lives(run, &err) && (!run->first || swap_choose(run->world, &err)) && run_suffered(run, &err) && run_hash(run, view, hashes, &err);
    if (!ok)
        printf("  %s%s, %u threads, batch %u: %s\n", run->reload ? "reload, " : "", restart_word[run->restart], run->threads, run->cut, err.text);
    return ok;
}

/* What the first runs came to, so that nobody takes a matrix over nothing for a proof. */
static bool tell_first(const struct run *run, const struct checkpoint_view *view, const struct hashes *hashes)
{
    const struct world *world = run->world;
    if (run->first)
        printf("%u partitions: %llu messages in %llu blocks, %llu hits of rules that stay, %llu of others, %llu revisions, %llu refused;\n"
               "  %llu keys, %llu records, %llu repeats kept; state ",
               world->table.count, (unsigned long long)world->messages, (unsigned long long)world->blocks, (unsigned long long)run->hits,
               (unsigned long long)run->late_hits, (unsigned long long)run->revisions, (unsigned long long)run->rejections,
               (unsigned long long)view->stats.keys, (unsigned long long)view->stats.records, (unsigned long long)view->stats.dedup_entries);
    else
        printf("  reload at event %llu, block %llu: of others %llu hits before, %llu after; state ", (unsigned long long)world->swap_seq,
               (unsigned long long)world->swap_block, (unsigned long long)run->early_hits, (unsigned long long)run->late_hits);
    print_hash(view->hash);
    printf(", hash ");
    print_hash(hashes->whole);
    printf(" and ");
    print_hash(hashes->early);
    printf("\n");
    return run->hits > 0 && run->revisions > 0 && run->rejections > 0 && world->blocks >= 10 && run->late_hits > 0 && (run->first || run->early_hits > 0);
}

/* The run that the others are held against; with a reload it must agree with the one without. */
static bool makes_wanted(struct world *world, bool reload, struct hashes wanted[2])
{
    struct checkpoint_view view;
    struct run *run = run_new(world, 1);
    run->first = !reload;
    run->reload = run->tells = reload;
    run->threads = 2;
    run->cut = 16384;
    bool good = one_run(run, &wanted[reload], &view) && tell_first(run, &view, &wanted[reload]);
    run_free(run);
    return good && memcmp(wanted[reload].whole, wanted[0].whole, sizeof wanted->whole) == 0 &&
           (!reload || memcmp(wanted[0].early, wanted[1].early, sizeof wanted->early) != 0);
}

static const uint32_t threads[] = {1, 2, 3, 8, 16}, batches[] = {7, 1000, 16384};
enum { COLUMNS = 15, ROWS = 4 };

/* A line of the matrix. Interrupted runs are so in another way from column to column and line to line. */
static void line_run(struct world *world, uint32_t row, const struct hashes *wanted, struct tally *tally)
{
    bool reload = row / 2;
    printf("  %-6s %-8s", reload ? "reload" : "", row % 2 ? "restarts" : "none");
    for (uint32_t c = 0; c < COLUMNS; c++) {
        struct run *run = run_new(world, row * COLUMNS + c + 2);
        struct hashes got;
        struct checkpoint_view view;
        run->reload = reload;
        run->restart = row % 2 ? (enum restart)(1 + (c + row / 2 + world->table.count) % (RESTARTS - 1)) : RESTART_NONE;
        run->threads = threads[c / 3];
        run->cut = batches[c % 3];
        bool same = one_run(run, &got, &view) && memcmp(&got, wanted, sizeof got) == 0;
        printf(" %s:%-4.4s", same ? "ok" : "FAIL", restart_word[run->restart]);
        (void)fflush(stdout);
        *(same ? &tally->passed : &tally->failed) += 1;
        run_free(run);
    }
    printf("\n");
}

static void partitions_run(const struct coming *arrival, uint32_t count, uint32_t partitions, struct tally *tally)
{
    struct world *world = world_new(arrival, count, partitions);
    struct hashes wanted[2];
    bool begun = makes_wanted(world, false, wanted) && makes_wanted(world, true, wanted);
    tally->failed += !begun;
    printf("  %15s", "");
    for (uint32_t c = 0; begun && c < COLUMNS; c++)
        printf(" %2ux%-5u", threads[c / 3], batches[c % 3]);
    printf("\n");
    for (uint32_t row = 0; begun && row < ROWS; row++)
        line_run(world, row, &wanted[row / 2], tally);
    world_free(world);
}

/* --- the rules --- */

static void link_make(const char *from, const char *to)
{
    char target[PATH_MAX];
    invariant(realpath(from, target) && symlink(target, to) == 0);
}

/* What lies in a folder also lies in another, as links; folders in it are entered. */
static void links_make(const char *from, const char *to)
{
    char path[512], inner[512];
    struct stat stat_of;
    DIR *folder = opendir(from);
    invariant(folder);
    (void)mkdir(to, 0700);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", to, entry->d_name);
        (void)snprintf(inner, sizeof inner, "%s/%s", from, entry->d_name);
        if (stat(inner, &stat_of) == 0 && S_ISDIR(stat_of.st_mode)) {
            links_make(inner, path);
            continue;
        }
        link_make(inner, path);
    }
    (void)closedir(folder);
}

/* The pack, and beside it the matrix's own rules as they are before the reload or after it. */
static struct program *rules_load(const char *when, struct error *err)
{
    char dir[64], file[96], from[64];
    struct diagnostics *diagnostics = diagnostics_new();
    (void)snprintf(dir, sizeof dir, "build/matrix-rules-%d", (int)getpid());
    folder_remove(dir);
    links_make("rules/packs/trafficking", dir);
    (void)snprintf(file, sizeof file, "%s/lists", dir);
    links_make("tests/data/matrix/lists", file);
    (void)snprintf(from, sizeof from, "tests/data/matrix/%s.rules", when);
    (void)snprintf(file, sizeof file, "%s/matrix.rules", dir);
    link_make(from, file);
    struct program *program = program_load(dir, &(struct load_options){0}, diagnostics, err);
    if (!program)
        diagnostics_text(diagnostics, stdout);
    diagnostics_free(diagnostics);
    folder_remove(dir);
    return program;
}

int main(int argc, char **argv)
{
    static const uint32_t partitions[] = {1, 6, 64};
    uint32_t events = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 20000, only = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    struct coming *arrival;
    struct tally tally = {0};
    struct error err = {0};
    struct program *before = rules_load("before", &err), *after = rules_load("after", &err);
    struct rates *dated = after ? rates_load("rules/packs/rates.csv", after->base, &err) : NULL;
    invariant(before && after && dated);
    program_before = before;
    program_after = after;
    rates = dated;
    uint32_t count = make_stream(events, &arrival);
    for (int i = 0; i < 3; i++)
        if (!only || only == partitions[i])
            partitions_run(arrival, count, partitions[i], &tally);
    for (uint32_t i = 0; i < count; i++)
        free(arrival[i].line);
    free(arrival);
    rates_free(dated);
    program_free(before);
    program_free(after);
    printf("%u passed, %u failed\n", tally.passed, tally.failed);
    return tally.failed ? 1 : 0;
}
