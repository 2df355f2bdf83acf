/* The pipeline under faults: source, sink, log, checkpoints and step are models in memory that lose
 * what a kill -9 loses, so that hundreds of crashes take seconds. A seed is one story of up to 60 runs,
 * some of them as a standby: killed between any two calls, a sink that is away, slow, fenced or whose
 * answer is lost, a broker that does not tell of all partitions yet, a log that cannot be written or
 * synced (ENOSPC, which passes, and EIO), of which a crash keeps any part behind the last sync (a short
 * write) and a damaged disk even less, checkpoints that cannot be begun, written or published, or that
 * are damaged later, and a clock that leaps ahead. The faults stop for the last run, which must drain.
 *
 * The model step gives a hit wherever a running hash over all accepted events says so: one event
 * twice, missing or out of place, and every later hit differs. At the end the sink's hits must be
 * those of one plain pass over the log, and every message must have had exactly one outcome. */
#include "engine/stream/pipeline.h"
#include "tests/simulation/pipeline_world.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STORIES = 12, STORIES_AT_ONCE = 8, SLEEP_DIVISOR = 16 };

/* Waits are shorter than the pipeline asks for: it asks by the clock, and waits alone decide nothing. */
int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    int64_t ns = ((int64_t)wanted->tv_sec * 1000000000 + wanted->tv_nsec) / SLEEP_DIVISOR;
    const struct timespec shorter = {ns / 1000000000, ns % 1000000000};
    return clock_nanosleep(CLOCK_MONOTONIC, 0, &shorter, left);
}

/* The monotonic clock leaps ahead now and then, as after a machine's sleep: leases, waits and checkpoints are due at once. */
static atomic_int_least64_t leapt_s;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    now->tv_sec += atomic_load(&leapt_s);
    return result;
}

/* Deadlines are by the clock that leapt; the kernel's did not. */
int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    const struct timespec real = {until->tv_sec - atomic_load(&leapt_s), until->tv_nsec};
    return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &real);
}

/* The lock is held. */
static void clock_may_leap(struct world *world)
{
    if (!world->clock_leaps || chance_below(&world->chance, 80))
        return;
    atomic_fetch_add(&leapt_s, 1 + chance_below(&world->chance, 7200));
    atomic_fetch_add(world->leaps, 1);
}

/* --- source --- */

/* A run's table shows the world's partitions in an order of its own, and perhaps not all at first; now and then not even those that were
 * read before, for brokers learn of new ones some moments apart. */
static uint32_t number_at(const struct world *world, uint32_t index)
{
    return (uint32_t)world->partition[index].number;
}

static uint32_t index_of(const struct world *world, uint32_t number)
{
    uint32_t index = 0;
    while (number_at(world, index) != number)
        index++;
    return index;
}

static void shuffle_table(struct world *world)
{
    uint32_t known = 0;
    for (uint32_t i = PARTITIONS; i > 1; i--) {
        uint32_t j = chance_below(&world->chance, i);
        struct partition kept = world->partition[i - 1];
        world->partition[i - 1] = world->partition[j];
        world->partition[j] = kept;
    }
    for (uint32_t i = 0; i < PARTITIONS; i++)
        if (world->next[number_at(world, i)] >= 0)
            known = i + 1;
    if (!known || chance_below(&world->chance, 6) == 0)
        known = 1;
    world->table.count = known + chance_below(&world->chance, PARTITIONS - known + 1);
}

static bool model_seek(void *self, const int64_t *next, struct error *err)
{
    struct world *world = self;
    (void)err;
    for (uint32_t p = 0; p < PARTITIONS; p++)
        world->read[p] = 0;
    for (uint32_t i = 0; i < world->table.count; i++)
        world->read[number_at(world, i)] = next[i] < 0 ? 0 : next[i];
    return true;
}

static void model_look(void *self)
{
    struct world *world = self;
    if (world->table.count < PARTITIONS)
        world->table.count += happens(world, 2);
}

static struct message message_at(const struct world *world, uint32_t p, int64_t offset, struct arena *arena)
{
    return (struct message){
        .body = arena_copy(arena, slice_of(world->body[p][offset])),
        .source = SLICE("bank"),
        .position = {.partition = index_of(world, p), .offset = offset},
        .broker_ms = offset,
        .mark = offset % 97 == 12 ? MARK_HEARTBEAT : MARK_NONE,
    };
}

static bool model_poll(void *self, uint32_t wait_ms, struct arena *arena, struct message *messages, uint32_t max,
                       uint32_t *count, struct error *err)
{
    struct world *world = self;
    (void)wait_ms;
    *count = 0;
    pthread_mutex_lock(&world->lock);
    bool trouble = chance_below(&world->chance, 40) == 0;
    clock_may_leap(world);
    if (world->table.count < PARTITIONS && chance_below(&world->chance, 4) == 0)
        world->table.count++;
    for (uint32_t i = 0; !trouble && i < world->table.count; i++) {
        uint32_t p = number_at(world, i);
        for (uint32_t n = chance_below(&world->chance, 60); n > 0 && *count < max && !arena_full(arena) && world->read[p] < PER_PARTITION; n--) {
            int64_t at = world->read[p]++;
            if (at % 97 != 13) /* offsets may have holes */
                messages[(*count)++] = message_at(world, p, at, arena);
        }
    }
    pthread_mutex_unlock(&world->lock);
    return !trouble || error_set(err, ERROR_RETRY, "the broker is away");
}

static bool model_read_range(void *self, const struct journal_range *range, struct arena *arena,
                             struct message **messages, uint32_t *count, struct error *err)
{
    struct world *world = self;
    bool trouble = happens(world, 20);
    *count = 0;
    if (trouble)
        return error_set(err, ERROR_RETRY, "the broker is away");
    *messages = ARENA_ARRAY(arena, struct message, range->next - range->first);
    for (int64_t at = range->first; at < range->next; at++)
        if (at % 97 != 13)
            (*messages)[(*count)++] = message_at(world, number_at(world, range->partition), at, arena);
    return true;
}

static void model_close(void *self)
{
    (void)self;
}

/* --- sink --- */

static bool model_start(void *self, const struct partition_table *partitions, uint32_t wait_ms, struct sink_start *start,
                        struct error *err)
{
    struct world *world = self;
    (void)wait_ms, (void)partitions;
    if (happens(world, 3))
        return error_set(err, ERROR_RETRY, "another engine holds the lease");
    start->block = world->row_last;
    start->seq = world->sink_seq;
    return true;
}

static bool model_positions(void *self, int64_t *next, struct error *err)
{
    struct world *world = self;
    if (happens(world, 10))
        return error_set(err, ERROR_RETRY, "the sink is away");
    for (uint32_t i = 0; i < world->table.count; i++)
        next[i] = world->next[number_at(world, i)];
    return true;
}

static bool model_journal(void *self, uint64_t after, bool (*visit)(void *context, const struct journal_block *block),
                          void *context, struct error *err)
{
    struct world *world = self;
    for (uint64_t b = after + 1 > world->row_first ? after + 1 : world->row_first; b <= world->row_last; b++) {
        struct kept_row row = world->row[b];
        row.block.range = row.range;
        for (uint32_t i = 0; i < row.block.range_count; i++) {
            row.range[i].partition = index_of(world, row.range[i].partition);
            if (row.range[i].partition >= world->table.count)
                return error_set(err, ERROR_FATAL, "the journal names a partition that is not there");
        }
        if (!visit(context, &row.block))
            break;
    }
    return true;
}

static void take_hits(struct world *world, const struct output *output)
{
    for (uint32_t i = 0; i < output->hit_count; i++) {
        uint64_t seq = output->hit[i].seq;
        if (seq > MESSAGES || world->hit[seq]) {
            world->wrong++;
            continue;
        }
        world->hit[seq] = (uint64_t)output->hit[i].time_ms;
        world->hit_count++;
    }
}

static void take_block(struct world *world, const struct commit_block *block)
{
    const struct journal_block *journal = &block->journal;
    if (journal->block != world->row_last + 1 || journal->first_seq != world->sink_seq + 1 ||
        journal->block >= JOURNAL_MAX) {
        world->wrong++;
        return;
    }
    struct kept_row *row = &world->row[journal->block];
    row->block = *journal;
    row->block.range = row->range;
    for (uint32_t i = 0; i < journal->range_count; i++) {
        const struct journal_range *range = &journal->range[i];
        uint32_t number = number_at(world, range->partition);
        int64_t *next = &world->next[number];
        if (*next >= 0 ? *next != range->first : range->first > 13)
            world->wrong++;
        *next = range->next;
        row->range[i] = (struct journal_range){.partition = number, .first = range->first, .next = range->next}; /* as rows keep it: by name */
    }
    world->row_last = journal->block;
    world->sink_seq = journal->last_seq;
    world->rejections += block->rejection_count;
    for (int i = 0; i < OUTCOME_COUNT; i++)
        world->outcome_messages += (uint32_t)block->output->outcome[i];
    take_hits(world, block->output);
}

static bool model_commit(void *self, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    struct world *world = self;
    bool ok = true;
    pthread_mutex_lock(&world->lock);
    clock_may_leap(world);
    if (world_dead(world))
        ok = killed(err);
    else if (world->fence_next)
        ok = error_set(err, ERROR_FENCED, "fenced");
    else if (chance_below(&world->chance, 12) == 0)
        world->sink_away = 1 + chance_below(&world->chance, 4);
    if (ok && world->sink_away) {
        world->sink_away--;
        ok = error_set(err, ERROR_RETRY, "the sink is away");
    }
    for (uint32_t i = 0; ok && i < count; i++)
        take_block(world, &blocks[i]);
    if (ok && world_dead(world)) /* written, but nobody hears of it */
        ok = killed(err);
    bool slow = chance_below(&world->chance, 10) == 0;
    pthread_mutex_unlock(&world->lock);
    if (slow)
        nanosleep(&(struct timespec){0, 40000000}, NULL);
    return ok;
}

static bool model_prune(void *self, uint64_t block, struct error *err)
{
    struct world *world = self;
    pthread_mutex_lock(&world->lock);
    bool away = chance_below(&world->chance, 5) == 0;
    if (!away && !atomic_load(&world->dead) && block + 1 > world->row_first)
        world->row_first = block + 1;
    pthread_mutex_unlock(&world->lock);
    return !away || error_set(err, ERROR_RETRY, "the sink is away");
}

static bool model_renew(void *self, struct error *err)
{
    struct world *world = self;
    return !happens(world, 20) || error_set(err, ERROR_RETRY, "the sink is away");
}

/* --- rounds --- */

static void make_messages(struct world *world)
{
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        world->partition[p] = (struct partition){.topic = "topic", .number = (int32_t)p, .source = "bank"};
        world->next[p] = -1;
        for (uint32_t i = 0; i < PER_PARTITION; i++) {
            uint32_t id = p * PER_PARTITION + i;
            if (chance_below(&world->chance, 20) == 0)
                id = chance_below(&world->chance, MESSAGES); /* a repeat, sooner or later */
            if (chance_below(&world->chance, 30) == 0)
                snprintf(world->body[p][i], 40, "nonsense");
            else
                snprintf(world->body[p][i], 40, "%u %u", id, i * 10 + chance_below(&world->chance, 500));
        }
    }
    world->table = (struct partition_table){.count = PARTITIONS, .room = PARTITIONS, .partition = world->partition};
}

static struct world *world_new(uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);
    pthread_mutex_init(&world->lock, NULL);
    world->chance.state = seed;
    world->row = calloc(JOURNAL_MAX, sizeof *world->row);
    world->record = calloc(MESSAGES + 1, sizeof *world->record);
    world->row_first = 1;
    make_messages(world);
    return world;
}

static void world_free(struct world *world)
{
    for (uint32_t i = 0; i < world->checkpoint_count; i++)
        free(world->checkpoint[i]);
    pthread_mutex_destroy(&world->lock);
    free(world->row);
    free(world->record);
    free(world);
}

static bool all_committed(struct world *world)
{
    for (int p = 0; p < PARTITIONS; p++)
        if (world->next[p] < PER_PARTITION)
            return false;
    return true;
}

static bool model_stop(void *context)
{
    struct world *world = context;
    pthread_mutex_lock(&world->lock);
    /* with something left to commit it shall run into the fence; a run that recovers goes on to be live */
    bool stop = (all_committed(world) && atomic_load(&world->live)) || (world->fence_next && !world->row_last);
    pthread_mutex_unlock(&world->lock);
    return stop;
}

/* What a crash leaves of the log: all that was synced, and some of the rest. */
static void lose_memory(struct world *world)
{
    uint32_t unsynced = world->record_count - world->record_synced;
    world->record_count = world->record_synced + chance_below(&world->chance, unsynced + 1);
    atomic_store(&world->dead, false);
}

/* Now and then a disk has lost the end of the log, synced or not: up to the oldest sound checkpoint at most, or nothing could be recovered. */
static void log_damage(struct world *world)
{
    uint32_t i = 0, least = 0;
    while (i < world->checkpoint_count && world->checkpoint[i]->broken)
        i++;
    if (i == world->checkpoint_count)
        return;
    while (least < world->record_count && world->record[least].seq <= world->checkpoint[i]->head.seq)
        least++;
    if (!least)
        return; /* an empty log is one that begins with the checkpoint */
    world->record_count = least + chance_below(&world->chance, world->record_count - least + 1);
    if (world->record_synced > world->record_count)
        world->record_synced = world->record_count;
}

/* A run that is told to stop while it recovers leaves the log as it is: the next one refills it. */
static void model_notice(void *context, enum notice_level level, const char *event, const char *text)
{
    struct world *world = context;
    (void)level, (void)text;
    if (strcmp(event, "live") == 0)
        atomic_store(&world->live, true);
}

static bool run_once(struct world *world, uint32_t threads, struct error *err)
{
    struct program program = {0};
    const struct log_settings log = {.dir = (const char *)world};
    const struct pipeline_settings settings = {
        .threads = threads,
        .batch_max = 1 + chance_below(&world->chance, 300),
        .batch_bytes_max = chance_below(&world->chance, 2) * (1 + chance_below(&world->chance, 4000)),
        .batch_wait_ms = 0,
        .queue_blocks_max = 3 + chance_below(&world->chance, 6),
        .sink_wait_ms = chance_below(&world->chance, 8),
        .stop_wait_ms = 2000,
        .lease_wait_ms = 1,
        .renew_every_ms = 1,
        .checkpoint_dir = (const char *)world,
        .checkpoint_every_ms = chance_below(&world->chance, 8),
        .log = &log,
        .log_wait_ms = chance_below(&world->chance, 8),
        .standby = chance_below(&world->chance, 3) == 0,
    };
    shuffle_table(world);
    if (chance_below(&world->chance, 10) == 0)
        log_damage(world);
    struct source source = {.self = world, .partitions = &world->table, .look = model_look, .seek = model_seek, .poll = model_poll,
                            .read_range = model_read_range, .close = model_close};
    struct sink sink = {.self = world, .start = model_start, .positions = model_positions, .journal = model_journal, .commit = model_commit,
                        .prune = model_prune, .renew = model_renew, .close = model_close};
    const struct pipeline_world around = {.source = &source, .sink = &sink, .program = &program, .context = world,
                                          .stop = model_stop, .notice = model_notice};
    atomic_store(&world->live, false);
    struct pipeline_figures *figures = calloc(1, sizeof *figures);
    bool ok = pipeline_run(&settings, &around, figures, err);
    free(figures);
    return ok;
}

/* One plain pass over the log must give what the sink holds. */
static bool agrees(const struct world *world, const char **what)
{
    struct state *state = calloc(1, sizeof *state);
    uint32_t hits = 0, wrong = 0;
    for (uint32_t i = 0; i < world->record_count; i++)
        if (hash_event(state, world->record[i].id, world->record[i].seq)) {
            hits++;
            wrong += world->hit[world->record[i].seq] != state->hash;
        }
    free(state);
    uint32_t holes = 0;
    for (int i = 0; i < PER_PARTITION; i++)
        holes += i % 97 == 13 || i % 97 == 12;
    *what = world->wrong ? "the sink saw what it must never see"
            : wrong || hits != world->hit_count ? "hits differ from a replay of the log"
            : world->outcome_messages + world->rejections != MESSAGES - PARTITIONS * holes ? "an event has no outcome, or two"
                                                                                            : NULL;
    return !*what;
}

/* What the stories came to; children of this process add to it. */
struct tally {
    atomic_uint crashes, loads, disk_faults, leaps, passed;
};

static bool run_expected(const struct error *err)
{
    return err->class == ERROR_FENCED || strstr(err->text, "killed") || strstr(err->text, "stopped while the sink was away") ||
           strstr(err->text, "the model's disk");
}

static bool story(uint64_t seed, uint32_t threads, struct tally *tally, const char **what)
{
    static const uint32_t fault_every[] = {0, 0, 300, 2000, 9000};
    struct world *world = world_new(seed);
    bool ok = true;
    *what = NULL;
    world->disk_faults = &tally->disk_faults;
    world->leaps = &tally->leaps;
    uint32_t every = fault_every[chance_below(&world->chance, 5)];
    for (uint32_t round = 0; ok && round < 60; round++) {
        struct error err = {0};
        bool last = round == 59;
        world->calls_left = last ? 0 : 1 + chance_below(&world->chance, 900);
        world->fence_next = !last && chance_below(&world->chance, 15) == 0;
        world->disk_fault_every = last ? 0 : every;
        world->clock_leaps = !last;
        bool drained = run_once(world, threads, &err);
        ok = drained || run_expected(&err);
        if (!ok)
            printf("seed %llu, round %u: %s\n", (unsigned long long)seed, round, err.text);
        atomic_fetch_add(&tally->crashes, !drained);
        lose_memory(world);
        if (drained && atomic_load(&world->live) && all_committed(world) && !world->fence_next)
            break;
    }
    if (!ok)
        *what = "the pipeline ended for another reason than the fault";
    ok = ok && agrees(world, what);
    atomic_fetch_add(&tally->loads, world->checkpoints_loaded);
    world_free(world);
    return ok;
}

static void tell(uint64_t seed, struct tally *tally)
{
    const char *what;
    if (story(seed, (uint32_t)(1 + seed % 3), tally, &what))
        atomic_fetch_add(&tally->passed, 1);
    else
        printf("seed %llu: %s; alone: pipeline_model 1 %llu\n", (unsigned long long)seed, what, (unsigned long long)seed);
}

/* Stories mostly wait, so several are told at once, each in a process of its own: a story that hits an
 * invariant or a signal is one that failed, and does not take the others with it. */
static void tell_all(uint32_t stories, uint64_t first, struct tally *tally)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < stories || running; i++) {
        int status = 0;
        if ((running == STORIES_AT_ONCE || i >= stories) && running-- && wait(&status) > 0 && WIFSIGNALED(status))
            printf("a story from %llu on was ended by signal %d\n", (unsigned long long)first, WTERMSIG(status));
        if (i >= stories)
            continue;
        (void)fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            (void)alarm(120);
            tell(first + i, tally);
            (void)fflush(stdout);
            _exit(0);
        }
        running += child > 0;
    }
}

int main(int argc, char **argv)
{
    uint32_t stories = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : STORIES;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
    struct tally *tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tally == MAP_FAILED)
        return 1;
    if (stories == 1)
        tell(first, tally);
    else
        tell_all(stories, first, tally);
    uint32_t passed = atomic_load(&tally->passed);
    printf("%u crashes, %u faults of the disk, %u leaps of the clock, %u checkpoints loaded\n", atomic_load(&tally->crashes),
           atomic_load(&tally->disk_faults), atomic_load(&tally->leaps), atomic_load(&tally->loads));
    printf("%u passed, %u failed\n", passed, stories - passed);
    return passed == stories ? 0 : 1;
}
