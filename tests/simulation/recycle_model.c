/* Holds the sweep against runs without one: accounts, devices and facts come and go over many times the longest
 * window, ids are given out again, scores fade, and nothing of it may show in a byte of the output.
 *
 * Per random stream: (1) with sweeps, one thread, one batch; (2) the same sequence with the same sweeps, other threads,
 * other batches, and a checkpoint in the middle: always equal, with full shards too; (3) where no event is later than
 * lateness and no shard is bounded, never swept and with another hash key: equal as well.
 * Usage: recycle_model [STREAMS [SEED]]. */
#include "engine/base/invariant.h"
#include "engine/model/fact.h"
#include "engine/state/checkpoint.h"
#include "engine/stream/crew.h"
#include "engine/stream/fact.h"
#include "engine/stream/step.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"
#include "tests/simulation/random_world.h"

#include <pthread.h>
#include <sodium.h>
#include <unistd.h>

enum { CREWS = 8, PARTITIONS = 3, MINUTE = 60000, PROGRAMS = 3 };
static const int64_t START_MS = 1767225600000;

struct item {
    int64_t t, amount;
    int sender, receiver;         /* -1: cash */
    int device[2], party;         /* -1: none */
    bool sala, fact, withdrawn;
    uint32_t partition;
};

/* One rule set with the pace at which its windows pass. */
struct world {
    const char *dir;
    int64_t lateness_ms, pace_ms, dedup_ms;
    bool facts;
    struct program *program;
};

struct cut {                      /* how a run is worked */
    uint32_t threads, epoch_seq, sweep_work, inline_below;
    int64_t batch;                /* > 0: that size; < 0: random sizes up to it */
    size_t shard_bytes;
    bool checkpoint;
    uint64_t key, chance;
};

struct run {
    unsigned char digest[3][32];  /* hits, revisions, later hits: how a batch interleaves them depends on the cut */
    uint64_t hits, revisions;
    struct state_totals totals;
};

struct tally {
    uint64_t passed, failed, hits, revisions, freed, dropped, bounds, full_streams, swept_against_unswept, checkpoints;
};

/* --- random streams --- */

/* Things come and go: those of today are numbered from a base that rises with the events. */
static int today(uint64_t *chance, int i, int count, int alive, int per)
{
    int base = i * per / (count / 8 + 1) * alive / 2;
    return below(chance, 40) ? base + (int)below(chance, alive) : (int)below(chance, base + alive); /* an old one returns */
}

static void items_make(const struct world *world, struct item *items, int count, uint64_t *chance, bool late)
{
    int64_t t = START_MS;
    int alive = 3 + (int)below(chance, 8), per = 1 + (int)below(chance, 8);
    for (int i = 0; i < count; i++) {
        t += below(chance, world->pace_ms) + (below(chance, 50) ? 0 : below(chance, 40 * world->pace_ms));
        struct item *item = &items[i];
        *item = (struct item){.t = t,
                              .amount = 100 + below(chance, 150) * 100,
                              .sender = below(chance, 10) ? today(chance, i, count, alive, per) : -1,
                              .receiver = below(chance, 10) ? today(chance, i, count, alive, per) : -1,
                              .device = {(int)below(chance, 3) - 1, -1},
                              .party = below(chance, 3) ? -1 : today(chance, i, count, alive, per),
                              .sala = below(chance, 3) == 0,
                              .partition = i < PARTITIONS ? (uint32_t)i : (uint32_t)below(chance, PARTITIONS)};
        if (item->device[0] == 0)
            item->device[0] = today(chance, i, count, 3, per);
        if (below(chance, 3) == 0)
            item->device[1] = today(chance, i, count, 3, per);
        if (item->sender < 0 && item->receiver < 0)
            item->receiver = 0;
        if (below(chance, 8) == 0)
            item->t -= below(chance, late && below(chance, 4) == 0 ? 4 * world->lateness_ms : world->lateness_ms / 2);
        if (world->facts && item->receiver >= 0 && below(chance, 20) == 0) {
            item->fact = true;
            item->t = item->t / 86400000 * 86400000;
            item->withdrawn = below(chance, 8) == 0;
        }
    }
}

/* --- events --- */

static struct hash128 entity_hash(const struct decoder *decoder, enum entity_kind kind, struct slice text)
{
    char room[32] = {0};
    (void)decoder;
    memcpy(room, text.data, text.size < 31 ? text.size : 31);
    return hash_text(kind, room);
}

static struct hash128 hash_keyed(struct hash128 hash, uint64_t key)
{
    uint64_t lo = hash.lo ^ key;
    return (struct hash128){next_random(&lo), hash.hi};
}

static void name_ref(struct event *event, struct arena *arena, enum event_ref ref, char letter, int number)
{
    if (number < 0)
        return;
    struct slice text = arena_format(arena, "%c%d-of-some-length", letter, number);
    event_name(event, ref, text, entity_hash(NULL, ref_kind(ref), text));
}

static void fact_make(const struct program *program, struct event *event, struct arena *arena, const struct item *item)
{
    struct fact *fact = ARENA_NEW(arena, struct fact);
    *fact = (struct fact){.name = SLICE("band"), .subject = arena_format(arena, "a%d-of-some-length", item->receiver), .withdrawn = item->withdrawn, .memory = UINT16_MAX};
    fact->field[fact->field_count++] = (struct fact_field){.name = SLICE("monthly"), .text = SLICE("2.00 USD")};
    if (item->sender >= 0)
        fact->field[fact->field_count++] = (struct fact_field){.name = SLICE("boss"), .text = arena_format(arena, "a%d-of-some-length", item->sender)};
    event->fact = fact;
    event->flow = FLOW_FACT;
    fact_bind(program, entity_hash, NULL, event);
    invariant(fact->memory != UINT16_MAX);
}

static void event_make(const struct world *world, struct event *event, struct arena *arena, const struct item *item, int i, uint64_t key)
{
    *event = (struct event){.time_ms = item->t,
                            .broker_ms = MISSING_I64,
                            .amount_minor = item->amount,
                            .amount_base = item->amount,
                            .position = {.partition = item->partition, .offset = i},
                            .source = SLICE("bank"),
                            .id = arena_format(arena, "e%d", i % 29 == 28 ? i - 3 : i), /* some ids come twice */
                            .seq = (uint64_t)i + 1};
    event->id_hash = hash_keyed(hash_text(99, event->id.data), key);
    event->body_hash = i % 58 == 28 ? hash_text(98, event->id.data).lo : hash_text(97, event->id.data).lo;
    event->named = ARENA_ARRAY(arena, struct named, REF_COUNT);
    if (item->fact) {
        fact_make(world->program, event, arena, item);
    } else {
        event->currency = currency_parse(SLICE("USD"));
        event->kind = KIND_TRANSFER;
        event->status = STATUS_SETTLED;
        event->flow = FLOW_SETTLED;
        if (item->sala)
            memcpy(event->purpose, "SALA", 4);
        name_ref(event, arena, REF_SENDER, 'a', item->sender);
        name_ref(event, arena, REF_RECEIVER, 'a', item->receiver);
        name_ref(event, arena, REF_SENDER_DEVICE, 'd', item->device[0]);
        name_ref(event, arena, REF_RECEIVER_DEVICE, 'd', item->device[1]);
        name_ref(event, arena, REF_SENDER_PARTY, 'p', item->party);
    }
    for (int n = 0; n < __builtin_popcount(event->named_refs); n++)
        event->named[n].hash = hash_keyed(event->named[n].hash, key);
}

/* --- what came out, to the last byte --- */

static void put_slice(crypto_generichash_state *digest, struct slice text)
{
    uint64_t size = text.size;
    crypto_generichash_update(digest, (const unsigned char *)&size, sizeof size);
    crypto_generichash_update(digest, (const unsigned char *)text.data, text.size);
}

static void put_words(crypto_generichash_state *digest, const uint64_t *words, size_t count)
{
    crypto_generichash_update(digest, (const unsigned char *)words, count * sizeof *words);
}

static void put_hit(crypto_generichash_state *digest, const struct hit *hit)
{
    put_words(digest, (uint64_t[]){hit->seq, (uint64_t)hit->time_ms, hit->evidence_count, hit->evidence_total, hit->subject_count}, 5);
    put_slice(digest, hit->rule_id);
    put_slice(digest, hit->say);
    for (int k = 0; k < hit->key_count; k++)
        put_slice(digest, hit->key[k]);
    for (int l = 0; l < hit->let_count; l++)
        put_slice(digest, hit->let[l].value);
    for (uint32_t s = 0; s < hit->subject_count; s++) {
        put_slice(digest, hit->subject[s].text);
        put_words(digest, (uint64_t[]){hit->subject[s].role, (uint64_t)hit->subject[s].points, hit->subject[s].given}, 3);
    }
    for (uint32_t e = 0; e < hit->evidence_count; e++) {
        put_slice(digest, hit->evidence[e].other);
        put_words(digest, (uint64_t[]){hit->evidence[e].seq, (uint64_t)hit->evidence[e].amount_base}, 2);
    }
}

static void put_revision(crypto_generichash_state *digest, const struct alert_revision *r)
{
    crypto_generichash_update(digest, r->id, sizeof r->id);
    put_slice(digest, r->subject);
    put_slice(digest, r->typology);
    put_slice(digest, r->first_id);
    put_words(digest, (uint64_t[]){r->revision, r->seq, (uint64_t)r->score_milli, r->roles, r->hit_total, r->reason, r->hit_count, r->indicator_count}, 8);
    for (uint32_t i = 0; i < r->hit_count; i++)
        put_words(digest, (uint64_t[]){r->hit_seq[i], r->hit_rule[i]}, 2);
    for (uint32_t i = 0; i < r->indicator_count; i++)
        put_words(digest, (uint64_t[]){(uint64_t)r->indicator[i].points_milli, r->indicator[i].last_seq}, 2);
}

static void put_output(crypto_generichash_state digest[3], const struct output *out, struct run *run)
{
    for (uint32_t i = 0; i < out->hit_count; i++)
        put_hit(&digest[0], &out->hit[i]);
    for (uint32_t i = 0; i < out->revision_count; i++)
        put_revision(&digest[1], &out->revision[i]);
    for (uint32_t i = 0; i < out->alert_hit_count; i++) {
        crypto_generichash_update(&digest[2], out->alert_hit[i].alert_id, sizeof out->alert_hit[i].alert_id);
        put_words(&digest[2], (uint64_t[]){out->alert_hit[i].seq, out->alert_hit[i].rule}, 2);
    }
    run->hits += out->hit_count;
    run->revisions += out->revision_count;
}

/* --- runs --- */

static struct step *step_make(const struct world *world, const struct cut *cut, struct crew *crew)
{
    struct error err = {0};
    static const unsigned char key[16] = {7}; /* events bring their hashes: it decides nothing here */
    struct step_settings settings = {.lateness_ms = world->lateness_ms,
                                     .dedup_ms = world->dedup_ms,
                                     .shard_bytes_max = cut->shard_bytes,
                                     .partition_max = PARTITIONS,
                                     .inline_below = cut->inline_below,
                                     .epoch_seq = cut->epoch_seq,
                                     .sweep_work = cut->sweep_work};
    struct step *step = step_new(world->program, &settings, crew, key, &err);
    invariant(step != NULL);
    return step;
}

static void refused(void *context, const char *file, const char *reason)
{
    (void)context;
    (void)fprintf(stderr, "%s: %s\n", file, reason); /* not lost to the abort that follows */
}

struct writing {
    struct checkpoint_writer *writer;
    const char *dir;
};

static void *write_checkpoint(void *argument)
{
    const struct writing *writing = argument;
    struct error err = {0};
    invariant(checkpoint_write(writing->writer, writing->dir, &err));
    return NULL;
}

/* Sweeps and stores while the saver reads: what comes after the boundary must not show in the checkpoint. */
static void run_beyond(const struct world *world, struct step *step, const struct item *items, int from, int count, uint64_t key)
{
    struct arena arena;
    arena_init(&arena);
    for (int i = from; i < count && i < from + 120; i++) {
        struct event *event = ARENA_NEW(&arena, struct event);
        struct output output;
        event_make(world, event, &arena, &items[i], i, key);
        step_run(step, event, 1, &arena, &output);
    }
    arena_fini(&arena);
}

/* Writes a checkpoint at `from` while the step goes on, and goes back to it with other workers. */
static struct step *step_again(const struct world *world, const struct cut *cut, struct step *step, struct crew *crew,
                               const struct item *items, int from, int count)
{
    struct error err = {0};
    struct arena arena;
    pthread_t thread;
    char dir[] = "/tmp/muster-recycle-XXXXXX", path[64];
    uint32_t partition[PARTITIONS] = {0, 1, 2};
    struct checkpoint_head head = {.block = 1};
    struct slice extra;
    struct state *state = NULL;
    arena_init(&arena);
    invariant(mkdtemp(dir) != NULL);
    step_save_extra(step, &arena, &extra);
    head.extra = extra.data;
    head.extra_size = extra.size;
    struct checkpoint_writer *writer = checkpoint_begin(step_state(step), step_layout(step), &head, &err);
    invariant(writer && pthread_create(&thread, NULL, write_checkpoint, &(struct writing){writer, dir}) == 0);
    run_beyond(world, step, items, from, count, cut->key);
    invariant(pthread_join(thread, NULL) == 0 && checkpoint_publish(writer, &err));
    checkpoint_end(writer);
    struct step *again = step_make(world, cut, crew);
    bool loaded = checkpoint_load(dir, 1, step_layout(again), &state, &head, refused, NULL, &err);
    invariant(loaded);
    bool restored = step_restore(again, state, (struct slice){head.extra, head.extra_size}, partition, PARTITIONS, &err);
    invariant(restored);
    free((void *)(uintptr_t)head.extra);
    (void)snprintf(path, sizeof path, "%s/checkpoint-%020d", dir, 1);
    (void)unlink(path);
    (void)rmdir(dir);
    step_free(step);
    arena_fini(&arena);
    return again;
}

static void run_items(const struct world *world, struct crew *const *crews, const struct item *items, int count, struct cut cut, struct run *run)
{
    struct arena in, results;
    crypto_generichash_state digest[3];
    struct step *step = step_make(world, &cut, crews[cut.threads - 1]);
    bool saved = !cut.checkpoint;
    arena_init(&in);
    arena_init(&results);
    *run = (struct run){0};
    for (int d = 0; d < 3; d++)
        crypto_generichash_init(&digest[d], NULL, 0, 32);
    for (int from = 0; from < count;) {
        int64_t size = cut.batch > 0 ? cut.batch : 1 + below(&cut.chance, -cut.batch);
        size = size > count - from ? count - from : size;
        arena_reset(&in);
        arena_reset(&results);
        struct event *events = ARENA_ARRAY(&in, struct event, size);
        for (int64_t i = 0; i < size; i++)
            event_make(world, &events[i], &in, &items[from + i], from + (int)i, cut.key);
        struct output output;
        step_run(step, events, (uint32_t)size, &results, &output);
        put_output(digest, &output, run);
        from += (int)size;
        if (!saved && from > count / 2) {
            step = step_again(world, &cut, step, crews[below(&cut.chance, CREWS)], items, from, count);
            saved = true;
        }
    }
    for (int d = 0; d < 3; d++)
        crypto_generichash_final(&digest[d], run->digest[d], 32);
    step_totals(step, &run->totals);
    arena_fini(&in);
    arena_fini(&results);
    step_free(step);
}

static bool same_run(const struct run *a, const struct run *b, const char *what, uint64_t seed)
{
    bool same = memcmp(a->digest, b->digest, sizeof a->digest) == 0 && a->hits == b->hits && a->revisions == b->revisions;
    if (!same)
        printf("FAILED seed %llu: %s differ: %llu and %llu hits, %llu and %llu revisions%s%s%s\n", (unsigned long long)seed, what,
               (unsigned long long)a->hits, (unsigned long long)b->hits, (unsigned long long)a->revisions, (unsigned long long)b->revisions,
               memcmp(a->digest[0], b->digest[0], 32) ? "; the hits" : "", memcmp(a->digest[1], b->digest[1], 32) ? "; the revisions" : "",
               memcmp(a->digest[2], b->digest[2], 32) ? "; the later hits" : "");
    return same;
}

static void check_stream(const struct world *world, struct crew *const *crews, uint64_t seed, struct tally *tally)
{
    static const int64_t batches[] = {1, 2, 7, 64, 16384, -9, -40, -200};
    uint64_t chance = seed;
    int count = 200 + (int)below(&chance, 900);
    bool late = below(&chance, 2), bounded = below(&chance, 4) == 0, all = below(&chance, 2);
    struct item *items = calloc((size_t)count, sizeof *items);
    invariant(items != NULL);
    items_make(world, items, count, &chance, late);
    struct cut one = {.threads = 1,
                      .epoch_seq = 1 + (uint32_t)below(&chance, all ? 50 : 4),
                      .sweep_work = all ? UINT32_MAX : 16 + 16 * (uint32_t)below(&chance, 120), /* some shards at a time */
                      .batch = count,
                      .shard_bytes = bounded ? 1200 + (size_t)below(&chance, 4000) : (size_t)8 << 20,
                      .key = next_random(&chance),
                      .chance = seed};
    struct cut many = one, never = one;
    many.threads = 1 + (uint32_t)below(&chance, CREWS);
    many.inline_below = below(&chance, 3) ? 60 : 2; /* every phase of a few events on many threads costs time */
    many.batch = batches[below(&chance, 8)];
    many.checkpoint = below(&chance, 4) == 0;
    never.epoch_seq = UINT32_MAX;
    never.key = next_random(&chance);
    struct run swept, again, unswept;
    run_items(world, crews, items, count, one, &swept);
    run_items(world, crews, items, count, many, &again);
    bool same = same_run(&swept, &again, "threads and batches", seed);
    same &= memcmp(swept.totals.bound, again.totals.bound, sizeof swept.totals.bound) == 0 || many.checkpoint;
    if (!late && !bounded) {
        run_items(world, crews, items, count, never, &unswept);
        same &= same_run(&swept, &unswept, "with and without sweeping", seed);
        tally->swept_against_unswept++;
    }
    for (int b = 0; b < BOUND_COUNT; b++)
        tally->bounds += bounded ? swept.totals.bound[b] : 0;
    tally->passed += same;
    tally->failed += !same;
    tally->hits += swept.hits;
    tally->revisions += swept.revisions;
    tally->freed += swept.totals.identities_freed;
    tally->dropped += swept.totals.keys_dropped;
    tally->full_streams += bounded;
    tally->checkpoints += many.checkpoint;
    free(items);
}

int main(int argc, char **argv)
{
    uint64_t streams = argc > 1 ? strtoull(argv[1], NULL, 10) : 150, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct error err = {0};
    struct crew *crews[CREWS];
    struct tally tally = {0};
    struct world worlds[PROGRAMS] = {
        {.dir = "tests/data/recycle", .lateness_ms = 1440 * (int64_t)MINUTE, .pace_ms = 700 * (int64_t)MINUTE, .dedup_ms = 2 * 1440 * (int64_t)MINUTE, .facts = true},
        {.dir = "tests/data/strata", .lateness_ms = 90 * MINUTE, .pace_ms = 6 * MINUTE, .dedup_ms = 120 * MINUTE},
        {.dir = "tests/data/habits", .lateness_ms = 2 * 1440 * (int64_t)MINUTE, .pace_ms = 2 * 1440 * (int64_t)MINUTE, .dedup_ms = 3 * 1440 * (int64_t)MINUTE, .facts = true},
    };
    invariant(sodium_init() >= 0);
    for (int w = 0; w < PROGRAMS; w++) {
        struct diagnostics *diagnostics = diagnostics_new();
        worlds[w].program = program_load(worlds[w].dir, &(struct load_options){0}, diagnostics, &err);
        invariant(worlds[w].program != NULL);
        diagnostics_free(diagnostics);
    }
    for (uint32_t c = 0; c < CREWS; c++)
        crews[c] = crew_new(c + 1, &err);
    for (uint64_t s = 0; s < streams; s++)
        check_stream(&worlds[s % PROGRAMS], crews, seed + s, &tally);
    for (uint32_t c = 0; c < CREWS; c++)
        crew_free(crews[c]);
    for (int w = 0; w < PROGRAMS; w++)
        program_free(worlds[w].program);
    printf("%llu hits, %llu revisions; %llu keys and %llu identities went; %llu streams against no sweeping, %llu with full shards (%llu refusals), %llu with a checkpoint\n",
           (unsigned long long)tally.hits, (unsigned long long)tally.revisions, (unsigned long long)tally.dropped, (unsigned long long)tally.freed,
           (unsigned long long)tally.swept_against_unswept, (unsigned long long)tally.full_streams, (unsigned long long)tally.bounds,
           (unsigned long long)tally.checkpoints);
    bool meant = tally.freed > streams * 10 && (tally.bounds > 0 || streams < 40) && tally.revisions > streams && tally.swept_against_unswept > 0;
    printf("%llu passed, %llu failed\n", (unsigned long long)tally.passed, (unsigned long long)tally.failed);
    return tally.failed || !meant;
}
