/* Holds the step function against a slow, obvious, sequential model of tests/data/strata/strata.rules:
 * memories, composite keys, strata and clocks, on random streams cut into batches of 1 to 16,384
 * and worked by 1 to 8 threads. Usage: strata_model [STREAMS [SEED]]. */
#include "engine/base/invariant.h"
#include "engine/model/money.h"
#include "engine/model/seam.h"
#include "engine/stream/crew.h"
#include "engine/stream/step.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"
#include "tests/simulation/random_world.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { MINUTE = 60000, LATENESS = 90 * MINUTE, CREWS = 8 };

struct payment {
    int64_t t, amount;
    int sender, receiver; /* -1: cash */
    bool sala, late;
    int wage, big;        /* index of the record the sender remembers, or -1 */
    uint32_t partition;
};

/* --- the model: every value recomputed from all payments so far, by the words of RULES.md --- */

static int model_wage(const struct payment *p, int i, int account)
{
    int best = -1;
    if (account < 0)
        return -1;
    for (int j = 0; j < i; j++)
        if (!p[j].late && p[j].receiver == account && p[j].sala && (best < 0 || p[j].t >= p[best].t))
            best = j;
    if (best < 0)
        return -1;
    int64_t age = p[i].t - p[best].t;
    return age >= 0 && age < 40 * MINUTE ? best : -1;
}

static int model_big(const struct payment *p, int i, int account)
{
    int best = -1;
    if (account < 0)
        return -1;
    for (int j = 0; j < i; j++)
        if (!p[j].late && p[j].receiver == account && p[j].wage >= 0 && p[j].amount >= 5000 && (best < 0 || p[j].t >= p[best].t))
            best = j;
    if (best < 0)
        return -1;
    int64_t age = p[i].t - p[best].t;
    return age >= 0 && age < 120 * MINUTE ? best : -1;
}

/* percent of amount, half-even: an own way of rounding, by doubled remainders */
static int64_t model_share(int64_t amount, int64_t percent)
{
    int64_t quotient = amount * percent / 100, twice = amount * percent % 100 * 2;
    return quotient + (twice > 100 || (twice == 100 && quotient % 2));
}

static int employer_of(const struct payment *p, int i)
{
    return p[i].wage < 0 ? -1 : p[p[i].wage].sender;
}

static bool in_kick(const struct payment *p, int i)
{
    if (p[i].late || p[i].wage < 0 || p[i].receiver < 0 || employer_of(p, i) < 0)
        return false;
    int64_t wage = p[p[i].wage].amount;
    return p[i].t - p[p[i].wage].t <= 30 * MINUTE && p[i].amount >= model_share(wage, 20) &&
           p[i].amount <= model_share(wage, 80) && p[i].receiver != employer_of(p, i);
}

static int boss_of(const struct payment *p, int i)
{
    return p[i].big < 0 ? -1 : employer_of(p, p[i].big);
}

static bool in_seen(const struct payment *p, int i)
{
    return !p[i].late && p[i].big >= 0 && p[i].receiver >= 0 && boss_of(p, i) >= 0;
}

struct window {
    int64_t count, sum, senders;
};

typedef bool (*member_fn)(const struct payment *p, int j, const int *key);

static bool member_kick(const struct payment *p, int j, const int *key)
{
    return in_kick(p, j) && p[j].receiver == key[0] && employer_of(p, j) == key[1];
}
static bool member_seen(const struct payment *p, int j, const int *key)
{
    return in_seen(p, j) && p[j].receiver == key[0] && boss_of(p, j) == key[1];
}
static bool member_in(const struct payment *p, int j, const int *key)
{
    return !p[j].late && p[j].receiver == key[0];
}
static bool member_pair(const struct payment *p, int j, const int *key)
{
    return !p[j].late && p[j].sender == key[0] && p[j].receiver == key[1];
}

/* (clock - span, clock], clock the greatest time of a member up to i */
static struct window model_window(const struct payment *p, int i, member_fn member, const int *key, int64_t span)
{
    struct window w = {0, 0, 0};
    int64_t clock = INT64_MIN;
    bool seen[64] = {false};
    for (int j = 0; j <= i; j++)
        if (member(p, j, key) && p[j].t > clock)
            clock = p[j].t;
    for (int j = 0; j <= i; j++) {
        if (!member(p, j, key) || p[j].t <= clock - span)
            continue;
        w.count++;
        w.sum += p[j].amount;
        if (p[j].sender >= 0 && !seen[p[j].sender]) {
            seen[p[j].sender] = true;
            w.senders++;
        }
    }
    return w;
}

static void model_memory_rules(const struct payment *p, int i, struct lines *out)
{
    char text[LINE], sum[MONEY_TEXT_MAX];
    if (in_kick(p, i)) {
        int key[2] = {p[i].receiver, employer_of(p, i)};
        struct window w = model_window(p, i, member_kick, key, 60 * MINUTE);
        if (w.senders >= 2 && w.sum >= 3000) {
            (void)snprintf(text, LINE, "%d A-KICK a%d a%d workers=%d taken=%s", i + 1, key[0], key[1], (int)w.senders,
                           money(w.sum, sum));
            lines_add(out, text);
        }
    }
}

static void model_plain_rules(const struct payment *p, int i, struct lines *out)
{
    char text[LINE], sum[MONEY_TEXT_MAX];
    int key[2] = {p[i].receiver, 0};
    struct window near = model_window(p, i, member_in, key, 20 * MINUTE), far = model_window(p, i, member_in, key, 50 * MINUTE);
    if (near.senders >= 3 && far.count >= 4) {
        (void)snprintf(text, LINE, "%d B-FAN a%d senders=%d credits=%d pooled=%s", i + 1, key[0], (int)near.senders,
                       (int)far.count, money(near.sum, sum));
        lines_add(out, text);
    }
    if (p[i].sender < 0)
        return;
    int pair[2] = {p[i].sender, p[i].receiver};
    struct window w = model_window(p, i, member_pair, pair, 30 * MINUTE);
    if (w.count >= 3 && w.sum >= 10000) {
        (void)snprintf(text, LINE, "%d C-PAIR a%d a%d times=%d total=%s", i + 1, pair[0], pair[1], (int)w.count, money(w.sum, sum));
        lines_add(out, text);
    }
}

static void model_event(const struct payment *p, int i, struct lines *out)
{
    char text[LINE];
    model_memory_rules(p, i, out);
    if (!p[i].late && p[i].receiver >= 0)
        model_plain_rules(p, i, out);
    if (in_seen(p, i)) {
        int key[2] = {p[i].receiver, boss_of(p, i)};
        struct window w = model_window(p, i, member_seen, key, 60 * MINUTE);
        if (w.count >= 2) {
            (void)snprintf(text, LINE, "%d D-BOSS a%d a%d n=%d", i + 1, key[0], key[1], (int)w.count);
            lines_add(out, text);
        }
    }
    if (p[i].wage >= 0 && p[i].amount >= p[p[i].wage].amount) {
        (void)snprintf(text, LINE, "%d E-ONE", i + 1);
        lines_add(out, text);
    }
}

static void model_run(struct payment *p, int count, struct lines *out)
{
    int64_t newest[4] = {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN};
    for (int i = 0; i < count; i++) {
        int64_t *top = &newest[p[i].partition];
        p[i].late = *top != INT64_MIN && p[i].t < *top - LATENESS;
        if (p[i].t > *top)
            *top = p[i].t;
        p[i].wage = model_wage(p, i, p[i].sender);
        p[i].big = model_big(p, i, p[i].sender);
        model_event(p, i, out);
    }
}

/* --- the engine --- */

static void event_side(struct event *event, struct arena *arena, enum event_ref ref, int account)
{
    if (account < 0) {
        event->flags |= ref == REF_SENDER ? EVENT_SENDER_CASH : EVENT_RECEIVER_CASH;
        return;
    }
    struct slice text = arena_format(arena, "a%d", account);
    event_name(event, ref, text, hash_text(ENTITY_ACCOUNT, text.data));
}

static void event_make(struct event *event, struct arena *arena, const struct payment *p, int i)
{
    memset(event, 0, sizeof *event);
    event->time_ms = p->t;
    event->broker_ms = MISSING_I64;
    event->amount_minor = event->amount_base = p->amount;
    event->position = (struct position){.partition = p->partition, .offset = i};
    event->source = SLICE("bank");
    event->id = arena_format(arena, "e%d", i);
    event->id_hash = hash_text(99, event->id.data);
    event->body_hash = event->id_hash.lo;
    event->named = ARENA_ARRAY(arena, struct named, REF_COUNT);
    event->currency = currency_parse(SLICE("USD"));
    event->kind = KIND_TRANSFER;
    event->status = STATUS_SETTLED;
    event->flow = FLOW_SETTLED;
    event->seq = (uint64_t)i + 1;
    if (p->sala)
        memcpy(event->purpose, "SALA", 4);
    event_side(event, arena, REF_SENDER, p->sender);
    event_side(event, arena, REF_RECEIVER, p->receiver);
}

/* Two digests: how a batch interleaves hits and revisions depends on where it was cut. */
static void digest_output(crypto_generichash_state *digest, crypto_generichash_state *given, const struct output *out)
{
    for (uint32_t i = 0; i < out->revision_count; i++) {
        const struct alert_revision *r = &out->revision[i];
        crypto_generichash_update(digest, r->id, sizeof r->id);
        uint64_t words[] = {r->revision, r->seq, (uint64_t)r->score_milli, r->roles, r->indicator_count, r->hit_total};
        crypto_generichash_update(digest, (const unsigned char *)words, sizeof words);
    }
    for (uint32_t i = 0; i < out->hit_count; i++)
        for (uint32_t s = 0; s < out->hit[i].subject_count; s++)
            crypto_generichash_update(given, &out->hit[i].subject[s].given, 1);
}

struct run {
    struct lines lines;
    unsigned char digest[64];
    uint32_t revisions;
};

static void ignore_record(void *self, const struct position *position)
{
    (void)self, (void)position;
}

static void engine_batches(struct step *step, const struct payment *p, int count, uint64_t *cut, int64_t batch,
                           crypto_generichash_state *digest, crypto_generichash_state *given, struct run *run)
{
    struct arena in, out_arena;
    const struct record_watch watch = {.at = ignore_record};
    arena_init(&in);
    arena_init(&out_arena);
    for (int from = 0; from < count;) {
        int64_t size = batch > 0 ? batch : 1 + below(cut, -batch);
        if (size > count - from)
            size = count - from;
        arena_reset(&in);
        arena_reset(&out_arena);
        struct event *events = ARENA_ARRAY(&in, struct event, size);
        for (int64_t i = 0; i < size; i++)
            event_make(&events[i], &in, &p[from + i], from + (int)i);
        struct output out;
        if (below(cut, 4) == 0) /* as after a crash: the same, event by event */
            step_run_singly(step, events, (uint32_t)size, &watch, &out_arena, &out);
        else
            step_run(step, events, (uint32_t)size, &out_arena, &out);
        for (uint32_t h = 0; h < out.hit_count; h++)
            hit_line(&out.hit[h], &run->lines);
        digest_output(digest, given, &out);
        run->revisions += out.revision_count;
        from += (int)size;
    }
    arena_fini(&in);
    arena_fini(&out_arena);
}

/* batch > 0: that size; < 0: random sizes up to -batch. The hash key is random: it must not show. */
static void engine_run(const struct program *program, struct crew *crew, const struct payment *p, int count, uint64_t *cut,
                       int64_t batch, struct run *run)
{
    struct error err = {0};
    struct step_settings settings = {.lateness_ms = LATENESS,
                                     .dedup_ms = 3 * 86400000LL,
                                     .shard_bytes_max = 16 << 20,
                                     .partition_max = 4,
                                     .inline_below = 2,
                                     .filter_all = below(cut, 2),
                                     .epoch_seq = 1 + (uint32_t)below(cut, 40),
                                     .sweep_work = below(cut, 2) ? UINT32_MAX : 400};
    unsigned char key[16];
    for (int i = 0; i < 16; i++)
        key[i] = (unsigned char)next_random(cut);
    struct step *step = step_new(program, &settings, crew, key, &err);
    invariant(step != NULL);
    crypto_generichash_state digest, given;
    crypto_generichash_init(&digest, NULL, 0, 32);
    crypto_generichash_init(&given, NULL, 0, 32);
    engine_batches(step, p, count, cut, batch, &digest, &given, run);
    crypto_generichash_final(&digest, run->digest, 32);
    crypto_generichash_final(&given, run->digest + 32, 32);
    step_free(step);
}

/* --- random streams --- */

static void payments_make(struct payment *p, int count, int accounts, uint64_t *seed)
{
    int64_t t = 1700000000000;
    int64_t pace = 1 + below(seed, 8 * MINUTE);
    for (int i = 0; i < count; i++) {
        t += below(seed, pace);
        int64_t back = below(seed, 8) ? 0 : below(seed, below(seed, 4) ? 30 * MINUTE : 200 * MINUTE);
        p[i] = (struct payment){.t = t - back,
                                .amount = 100 + below(seed, 150) * 100 + below(seed, 2) * below(seed, 100),
                                .sender = (int)below(seed, accounts + 1) - 1,
                                .receiver = (int)below(seed, accounts + 1) - 1,
                                .sala = below(seed, 3) == 0,
                                .partition = (uint32_t)below(seed, 3)};
        if (p[i].sender < 0 && p[i].receiver < 0)
            p[i].receiver = 0;
    }
}

struct tally {
    uint64_t passed, failed, hits, revisions;
};

static void check_stream(const struct program *program, struct crew *const *crews, uint64_t seed, int count, int64_t batch,
                         struct tally *tally)
{
    uint64_t chance = seed;
    struct payment *p = calloc((size_t)count, sizeof *p);
    invariant(p != NULL);
    struct lines model = {0};
    struct run one = {0}, many = {0};
    payments_make(p, count, 3 + (int)below(&chance, 10), &chance);
    model_run(p, count, &model);
    uint32_t threads = 1 + (uint32_t)below(&chance, CREWS);
    engine_run(program, crews[0], p, count, &chance, count, &one);
    engine_run(program, crews[threads - 1], p, count, &chance, batch, &many);
    bool same = lines_equal(&model, &one.lines) && lines_equal(&model, &many.lines) &&
                memcmp(one.digest, many.digest, sizeof one.digest) == 0;
    if (!same)
        printf("FAILED seed %llu count %d batch %lld threads %u\n", (unsigned long long)seed, count, (long long)batch, threads);
    tally->passed += same;
    tally->failed += !same;
    tally->hits += model.count;
    tally->revisions += one.revisions;
    free(model.line);
    free(one.lines.line);
    free(many.lines.line);
    free(p);
}

static void check_all(const struct program *program, struct crew *const *crews, uint64_t streams, uint64_t seed, struct tally *tally)
{
    static const int64_t batches[] = {1, 2, 7, 64, 1000, 16384, -9, -40};
    for (uint64_t i = 0; i < streams; i++) {
        uint64_t chance = seed + i;
        int count = 20 + (int)below(&chance, 100);
        check_stream(program, crews, seed + i, count, batches[i % (sizeof batches / sizeof batches[0])], tally);
    }
    /* two long ones, so that batches of a thousand are full: the model is cubic */
    for (uint64_t i = 0; i < 2 && streams >= 1000; i++)
        check_stream(program, crews, seed + streams + i, 2500, i ? 2048 : 1000, tally);
}

int main(int argc, char **argv)
{
    uint64_t streams = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct error err = {0};
    struct crew *crews[CREWS];
    invariant(sodium_init() >= 0);
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_load("tests/data/strata", &(struct load_options){0}, diagnostics, &err);
    if (!program) {
        diagnostics_text(diagnostics, stdout);
        printf("%s\n0 passed, 1 failed\n", err.text);
        return 1;
    }
    for (uint32_t i = 0; i < CREWS; i++) {
        crews[i] = crew_new(i + 1, &err);
        invariant(crews[i] != NULL);
    }
    struct tally tally = {0};
    check_all(program, crews, streams, seed, &tally);
    for (uint32_t i = 0; i < CREWS; i++)
        crew_free(crews[i]);
    program_free(program);
    diagnostics_free(diagnostics);
    printf("%llu hits, %llu alert revisions compared\n", (unsigned long long)tally.hits, (unsigned long long)tally.revisions);
    printf("%llu passed, %llu failed\n", (unsigned long long)tally.passed, (unsigned long long)tally.failed);
    return tally.failed || !tally.revisions ? 1 : 0;
}
