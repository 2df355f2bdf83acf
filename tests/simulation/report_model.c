/* Holds decoder and step against a slow, obvious model of what RULES 7 says of repeats, second reports
 * and status changes: random payments told by two banks who each know half, as stories of pending,
 * settled, reversed and refunded in any order, repeated, and sent again with another body; in batches of
 * 1 to 16,384, by 1 to 8 workers, and across a checkpoint. Usage: report_model [STREAMS [SEED]]. */
#include "engine/base/invariant.h"
#include "engine/model/decode.h"
#include "engine/model/money.h"
#include "engine/state/checkpoint.h"
#include "engine/stream/crew.h"
#include "engine/stream/step.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MINUTE = 60000, HOUR = 60 * MINUTE, LATENESS = 90 * MINUTE, CREWS = 8, LINE = 160, REPORTS_MAX = 160, BODY = 640, PARTITIONS = 2 };
enum { SENDER, RECEIVER, SENDER_PARTY, RECEIVER_PARTY, ENDS };

/* One message; who is named by it: 0 is nobody. */
struct report {
    int64_t t, amount;
    int id, bank, reference, end[ENDS], refers_to;
    const char *kind, *status;
    int variant;                /* two bodies of one id differ in it */
    bool out, back, returned, late; /* what it counts as: settled, reversal, refund */
    bool counts;                /* neither repeat nor refused */
    int first;                  /* the report it joins, or -1 */
    int known[ENDS];            /* of a first report: what it and those that joined it have named */
    bool named[ENDS];           /* of a joined one: this end was named before, at this end */
    bool held[ENDS];            /* … or at the other one */
};

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int below(uint64_t *state, int bound)
{
    return (int)(next_random(state) % (uint64_t)bound);
}

struct lines {
    char (*line)[LINE];
    uint32_t count, room;
};

static void lines_add(struct lines *lines, const char *text)
{
    if (lines->count == lines->room) {
        lines->room = lines->room ? lines->room * 2 : 256;
        lines->line = realloc(lines->line, lines->room * sizeof *lines->line);
        invariant(lines->line != NULL);
    }
    (void)snprintf(lines->line[lines->count++], LINE, "%s", text);
}

/* --- the model: by the words of RULES 7 --- */

static bool same_message(const struct report *a, const struct report *b)
{
    return a->id == b->id && a->bank == b->bank;
}

static void model_outcome(struct report *r, int i)
{
    r[i].counts = true;
    r[i].first = -1;
    for (int j = 0; j < i; j++)
        if (same_message(&r[j], &r[i]))
            r[i].counts = false; /* a repeat, or another body under an id in use */
    if (!r[i].counts || !r[i].out || !r[i].reference)
        return;
    for (int j = 0; j < i && r[i].first < 0; j++)
        if (r[j].counts && r[j].out && r[j].first < 0 && r[j].reference == r[i].reference && r[j].amount == r[i].amount)
            r[i].first = j;
    if (r[i].first < 0) {
        memcpy(r[i].known, r[i].end, sizeof r[i].known);
        return;
    }
    int *known = r[r[i].first].known;
    for (int e = 0; e < ENDS; e++) {
        r[i].named[e] = r[i].end[e] && known[e] == r[i].end[e];
        r[i].held[e] = r[i].end[e] && (known[e] == r[i].end[e] || known[e ^ 1] == r[i].end[e]);
    }
    for (int e = 0; e < ENDS; e++)
        if (!known[e])
            known[e] = r[i].end[e];
}

enum flow { IN, OUT, MOVED, BACK, RETURNED };

/* Whether the report is an event of this account (or party) in this source. `base` is SENDER or SENDER_PARTY. */
static bool is_of(const struct report *r, int base, int key, enum flow flow)
{
    bool sends = r->end[base] == key, receives = r->end[base + 1] == key;
    if (!r->counts || r->late || (!sends && !receives))
        return false;
    if (r->first >= 0 && ((sends && r->held[base]) || (receives && r->held[base + 1])))
        return false;
    switch (flow) {
    case IN:
        return r->out && receives;
    case OUT:
        return r->out && sends;
    case MOVED:
        return r->out;
    case BACK:
        return r->back;
    case RETURNED:
        return r->returned;
    }
    return false;
}

static bool is_of_pair(const struct report *r, const int *key)
{
    bool named = r->first >= 0 && r->named[SENDER] && r->named[RECEIVER];
    return r->counts && !r->late && r->out && !named && r->end[SENDER] == key[0] && r->end[RECEIVER] == key[1];
}

struct tally_of {
    int64_t count, sum;
};

/* The rule's clock is the greatest time of what touches it: the flows from `first` to `last`. */
static struct tally_of model_count(const struct report *r, int i, int base, int key, enum flow flow, enum flow first, enum flow last)
{
    struct tally_of of = {0, 0};
    int64_t clock = INT64_MIN;
    for (int j = 0; j <= i; j++)
        for (int f = (int)first; f <= (int)last; f++)
            if (is_of(&r[j], base, key, (enum flow)f) && r[j].t > clock)
                clock = r[j].t;
    for (int j = 0; j <= i; j++)
        if (is_of(&r[j], base, key, flow) && r[j].t > clock - HOUR) {
            of.count++;
            of.sum += r[j].amount;
        }
    return of;
}

static void model_key(const struct report *r, int i, const char *rule, int key, struct lines *out)
{
    char text[LINE], sum[MONEY_TEXT_MAX];
    if (rule[0] == 'A' && is_of(&r[i], SENDER, key, IN)) {
        struct tally_of in = model_count(r, i, SENDER, key, IN, IN, IN);
        (void)money_format(in.sum, currency_parse(SLICE("USD")), sum);
        if (in.count >= 1) {
            (void)snprintf(text, LINE, "%d A-IN a%d n=%d s=%s", i + 1, key, (int)in.count, sum);
            lines_add(out, text);
        }
    }
    if (rule[0] == 'B' && is_of(&r[i], SENDER, key, OUT)) {
        struct tally_of sent = model_count(r, i, SENDER, key, OUT, OUT, OUT);
        if (sent.count >= 1) {
            (void)snprintf(text, LINE, "%d B-OUT a%d n=%d", i + 1, key, (int)sent.count);
            lines_add(out, text);
        }
    }
    if (rule[0] == 'C' && (is_of(&r[i], SENDER, key, MOVED) || is_of(&r[i], SENDER, key, BACK) || is_of(&r[i], SENDER, key, RETURNED))) {
        struct tally_of t = model_count(r, i, SENDER, key, MOVED, MOVED, RETURNED), v = model_count(r, i, SENDER, key, BACK, MOVED, RETURNED),
                        f = model_count(r, i, SENDER, key, RETURNED, MOVED, RETURNED);
        if (t.count + v.count + f.count >= 1) {
            (void)snprintf(text, LINE, "%d C-ALL a%d t=%d f=%d v=%d", i + 1, key, (int)t.count, (int)f.count, (int)v.count);
            lines_add(out, text);
        }
    }
    if (rule[0] == 'D' && is_of(&r[i], SENDER_PARTY, key, MOVED)) {
        struct tally_of t = model_count(r, i, SENDER_PARTY, key, MOVED, MOVED, MOVED);
        if (t.count >= 1) {
            (void)snprintf(text, LINE, "%d D-PARTY p%d n=%d", i + 1, key, (int)t.count);
            lines_add(out, text);
        }
    }
}

static void model_pair(const struct report *r, int i, struct lines *out)
{
    const int *key = r[i].end;
    char text[LINE];
    int64_t clock = INT64_MIN, count = 0;
    if (!key[SENDER] || !key[RECEIVER] || !is_of_pair(&r[i], key))
        return;
    for (int j = 0; j <= i; j++)
        if (is_of_pair(&r[j], key) && r[j].t > clock)
            clock = r[j].t;
    for (int j = 0; j <= i; j++)
        count += is_of_pair(&r[j], key) && r[j].t > clock - HOUR;
    if (count < 1)
        return;
    (void)snprintf(text, LINE, "%d E-PAIR a%d a%d n=%d", i + 1, key[SENDER], key[RECEIVER], (int)count);
    lines_add(out, text);
}

static void model_run(struct report *r, int count, struct lines *out)
{
    static const char *const rules[] = {"A", "B", "C", "D"};
    int64_t newest[PARTITIONS] = {INT64_MIN, INT64_MIN};
    char text[LINE];
    for (int i = 0; i < count; i++) {
        model_outcome(r, i);
        if (!r[i].counts)
            continue;
        int64_t *top = &newest[r[i].bank];
        r[i].late = *top != INT64_MIN && r[i].t < *top - LATENESS;
        *top = r[i].t > *top ? r[i].t : *top;
        for (int n = 0; n < 4; n++) {
            int base = n == 3 ? SENDER_PARTY : SENDER;
            if (r[i].end[base])
                model_key(r, i, rules[n], r[i].end[base], out);
            if (r[i].end[base + 1] && r[i].end[base + 1] != r[i].end[base])
                model_key(r, i, rules[n], r[i].end[base + 1], out);
        }
        model_pair(r, i, out);
        if (r[i].out && r[i].first < 0) {
            (void)snprintf(text, LINE, "%d F-ONE", i + 1);
            lines_add(out, text);
        }
    }
}

/* --- the engine --- */

static int body_end(char *out, size_t room, const char *name, int account, int party)
{
    if (!account && !party)
        return 0;
    return snprintf(out, room, ",\"%s\":{%s%.0d%s%s%s%.0d%s}", name, account ? "\"account\":\"a" : "", account, account ? "\"" : "",
                    account && party ? "," : "", party ? "\"party\":\"p" : "", party, party ? "\"" : "");
}

static struct slice body_make(const struct report *r, struct arena *arena)
{
    char text[BODY], time[TIME_TEXT_MAX];
    time_format(r->t, time);
    int at = snprintf(text, BODY, "{\"id\":\"e%d\",\"time\":\"%s\",\"currency\":\"USD\",\"amount_minor\":%lld,\"terminal\":\"v%d\"", r->id, time,
                      (long long)r->amount, r->variant);
    if (r->kind)
        at += snprintf(text + at, (size_t)(BODY - at), ",\"kind\":\"%s\"", r->kind);
    if (r->status)
        at += snprintf(text + at, (size_t)(BODY - at), ",\"status\":\"%s\"", r->status);
    if (r->reference)
        at += snprintf(text + at, (size_t)(BODY - at), ",\"end_to_end\":\"u%d\"", r->reference);
    if (r->refers_to)
        at += snprintf(text + at, (size_t)(BODY - at), ",\"refers_to\":\"e%d\"", r->refers_to);
    at += body_end(text + at, (size_t)(BODY - at), "sender", r->end[SENDER], r->end[SENDER_PARTY]);
    at += body_end(text + at, (size_t)(BODY - at), "receiver", r->end[RECEIVER], r->end[RECEIVER_PARTY]);
    (void)snprintf(text + at, (size_t)(BODY - at), "}");
    return arena_format(arena, "%s", text);
}

static void hit_line(const struct hit *hit, struct lines *out)
{
    char text[LINE];
    int at = snprintf(text, LINE, "%d %.*s", (int)hit->seq, (int)hit->rule_id.size, hit->rule_id.data);
    for (int k = 0; k < hit->key_count && at < LINE; k++)
        at += snprintf(text + at, (size_t)(LINE - at), " %.*s", (int)hit->key[k].size, hit->key[k].data);
    for (int l = 0; l < hit->let_count && at < LINE; l++)
        at += snprintf(text + at, (size_t)(LINE - at), " %.*s=%.*s", (int)hit->let[l].name.size, hit->let[l].name.data,
                       (int)hit->let[l].value.size, hit->let[l].value.data);
    lines_add(out, text);
}

struct world {
    const struct program *program;
    struct rates *rates;
    struct crew *crew[CREWS];
    char dir[64];
};

struct engine {
    const struct world *world;
    struct crew *crew;
    unsigned char key[16];
    struct decoder *decoder;
    struct step *step;
    uint64_t outcome[OUTCOME_COUNT];
};

static const struct step_settings step_settings = {
    .lateness_ms = LATENESS, .dedup_ms = 3 * 24 * (int64_t)HOUR, .shard_bytes_max = 1 << 20, .partition_max = PARTITIONS, .inline_below = 2};

static struct step *engine_step(const struct engine *engine)
{
    struct error err = {0};
    struct step *step = step_new(engine->world->program, &step_settings, engine->crew, engine->key, &err);
    invariant(step != NULL);
    return step;
}

static void ignore_refused(void *context, const char *file, const char *reason)
{
    (void)context, (void)file, (void)reason;
    abort();
}

/* The state goes through a checkpoint on disk into a new step, as after kill -9. */
static void engine_restart(struct engine *engine, uint64_t block)
{
    struct arena arena;
    struct error err = {0};
    static const uint32_t same[PARTITIONS] = {0, 1};
    arena_init(&arena);
    struct checkpoint_head head = {.block = block};
    struct slice extra;
    step_save_extra(engine->step, &arena, &extra);
    head.extra = extra.data;
    head.extra_size = extra.size;
    memcpy(head.hash_key, engine->key, sizeof head.hash_key);
    struct checkpoint_writer *writer = checkpoint_begin(step_state(engine->step), step_layout(engine->step), &head, &err);
    invariant(writer && checkpoint_write(writer, engine->world->dir, &err) && checkpoint_publish(writer, &err));
    checkpoint_end(writer);
    step_free(engine->step);
    engine->step = engine_step(engine);
    struct state *state = NULL;
    invariant(checkpoint_load(engine->world->dir, UINT64_MAX, step_layout(engine->step), &state, &head, ignore_refused, NULL, &err));
    invariant(step_restore(engine->step, state, (struct slice){head.extra, head.extra_size}, same, PARTITIONS, &err));
    free((void *)(uintptr_t)head.extra);
    char path[128]; /* the next stream numbers its checkpoints anew */
    (void)snprintf(path, sizeof path, "%s/checkpoint-%020llu", engine->world->dir, (unsigned long long)block);
    invariant(unlink(path) == 0);
    arena_fini(&arena);
}

static void engine_run(struct engine *engine, const struct report *r, int count, uint64_t *cut, int batch, bool restart, struct lines *lines)
{
    struct arena in, out_arena;
    arena_init(&in);
    arena_init(&out_arena);
    for (int i = 0; i < 16; i++)
        engine->key[i] = (unsigned char)next_random(cut);
    struct decode_settings decode = {.rates = engine->world->rates, .message_bytes_max = 65536, .future_ms_max = 5 * MINUTE};
    memcpy(decode.hash_key, engine->key, sizeof decode.hash_key);
    engine->decoder = decoder_new(&decode);
    engine->step = engine_step(engine);
    for (int from = 0; from < count;) {
        int size = batch > 0 ? batch : 1 + below(cut, -batch);
        size = size > count - from ? count - from : size;
        arena_reset(&in);
        arena_reset(&out_arena);
        struct event *events = ARENA_ARRAY(&in, struct event, size);
        for (int i = 0; i < size; i++) {
            const struct report *now = &r[from + i];
            struct slice field;
            struct message message = {.body = body_make(now, &in), .source = now->bank ? SLICE("bank-b") : SLICE("bank-a"),
                                      .position = {.partition = (uint32_t)now->bank, .offset = from + i}, .broker_ms = MISSING_I64};
            invariant(decoder_decode(engine->decoder, &message, &in, &events[i], &field) == REJECT_NONE);
            events[i].seq = (uint64_t)(from + i) + 1;
        }
        struct output out;
        step_run(engine->step, events, (uint32_t)size, &out_arena, &out);
        for (uint32_t h = 0; h < out.hit_count; h++)
            hit_line(&out.hit[h], lines);
        for (int o = 0; o < OUTCOME_COUNT; o++)
            engine->outcome[o] += out.outcome[o];
        from += size;
        if (restart && from < count && below(cut, 3) == 0)
            engine_restart(engine, (uint64_t)from);
    }
    step_free(engine->step);
    decoder_free(engine->decoder);
    arena_fini(&in);
    arena_fini(&out_arena);
}

/* --- random stories --- */

/* What a bank may say of a payment after another: the words, and what they count as. */
static const struct {
    const char *kind, *status;
    bool out, back, returned;
} steps[] = {
    {"TRANSFER", "SETTLED", true, false, false}, {NULL, NULL, true, false, false},           {"PAYROLL", NULL, true, false, false},
    {NULL, "PENDING", false, false, false},      {"TRANSFER", "INITIATED", false, false, false}, {"TRANSFER", "REJECTED", false, false, false},
    {NULL, "REVERSED", false, true, false},      {"REVERSAL", "SETTLED", false, true, false},   {"REFUND", NULL, false, false, true},
    {"TRANSFER", "REFUNDED", false, false, true}, {"REFUND", "PENDING", false, false, true},     {"REVERSAL", "REFUNDED", false, false, true},
};
enum { STEPS = sizeof steps / sizeof steps[0] };

static void report_make(struct report *r, int i, int accounts, int64_t t, uint64_t *seed)
{
    int kind = below(seed, 3) ? below(seed, 3) : below(seed, STEPS);
    r[i] = (struct report){.t = t - (below(seed, 12) ? below(seed, 10) * MINUTE : below(seed, 240) * (int64_t)MINUTE), .id = i + 1, .bank = below(seed, 2),
                           .amount = 100 * (1 + below(seed, 3)), .reference = below(seed, 4) ? 1 + below(seed, 1 + i / 3) : 0, .kind = steps[kind].kind,
                           .status = steps[kind].status, .out = steps[kind].out, .back = steps[kind].back, .returned = steps[kind].returned,
                           .refers_to = below(seed, i + 1)};
    r[i].end[SENDER] = 1 + below(seed, accounts);
    r[i].end[RECEIVER] = 1 + below(seed, accounts);
    r[i].end[SENDER_PARTY] = below(seed, 3) ? 0 : 1 + below(seed, 3);
    r[i].end[RECEIVER_PARTY] = below(seed, 3) ? 0 : 1 + below(seed, 3);
}

/* The same payment as an earlier report, told by somebody who knows another half of it. */
static void report_half(struct report *r, int i, const struct report *other, uint64_t *seed)
{
    r[i].amount = other->amount;
    r[i].reference = other->reference;
    r[i].t = below(seed, 2) ? other->t : r[i].t;
    r[i].bank = below(seed, 3) ? 1 - other->bank : other->bank;
    for (int e = 0; e < ENDS; e++)
        if (other->end[e] && below(seed, 8))
            r[i].end[e] = other->end[e];
}

static void reports_make(struct report *r, int count, int accounts, uint64_t *seed)
{
    int64_t t = 1700000000000;
    int pace = 1 + below(seed, 20 * MINUTE);
    for (int i = 0; i < count; i++) {
        t += below(seed, pace);
        report_make(r, i, accounts, t, seed);
        const struct report *other = &r[below(seed, i + 1)];
        if (other != &r[i] && below(seed, 2))
            report_half(r, i, other, seed);
        for (int e = 0; e < ENDS; e++)
            if (below(seed, 3) == 0)
                r[i].end[e] = 0;
        if (!r[i].end[SENDER] && !r[i].end[RECEIVER] && !r[i].end[SENDER_PARTY] && !r[i].end[RECEIVER_PARTY])
            r[i].end[RECEIVER] = 1;
        if (other != &r[i] && below(seed, 6) == 0)
            r[i] = *other; /* sent again */
        if (other != &r[i] && below(seed, 15) == 0) {
            r[i] = *other;
            r[i].variant = i; /* another body under the same id */
        }
    }
}

struct tally {
    uint64_t passed, failed, hits, outcome[OUTCOME_COUNT];
};

static bool lines_equal(const struct lines *model, const struct lines *engine)
{
    uint32_t i = 0;
    while (i < model->count && i < engine->count && strcmp(model->line[i], engine->line[i]) == 0)
        i++;
    if (i == model->count && i == engine->count)
        return true;
    printf("  model says:  %s\n  engine says: %s\n", i < model->count ? model->line[i] : "(nothing more)", i < engine->count ? engine->line[i] : "(nothing more)");
    return false;
}

static void show_reports(const struct report *r, int count)
{
    struct arena arena;
    arena_init(&arena);
    for (int i = 0; i < count; i++) {
        struct slice body = body_make(&r[i], &arena);
        printf("  %3d bank %d %s%s %.*s\n", i + 1, r[i].bank, r[i].counts ? r[i].first >= 0 ? "joins" : "new" : "again", r[i].late ? " late" : "", (int)body.size, body.data);
    }
    arena_fini(&arena);
}

static void check_stream(const struct world *world, uint64_t seed, int batch, bool restart, struct tally *tally)
{
    uint64_t chance = seed;
    struct report r[REPORTS_MAX];
    struct lines model = {0}, said = {0};
    int count = 2 + below(&chance, below(&chance, 4) ? 30 : REPORTS_MAX - 2);
    reports_make(r, count, 2 + below(&chance, 6), &chance);
    model_run(r, count, &model);
    uint32_t threads = 1 + (uint32_t)below(&chance, CREWS);
    struct engine engine = {.world = world, .crew = world->crew[threads - 1]};
    engine_run(&engine, r, count, &chance, batch, restart, &said);
    uint64_t dropped = engine.outcome[OUTCOME_REPEATED] + engine.outcome[OUTCOME_REJECTED], joined = 0, gone = 0;
    for (int i = 0; i < count; i++) {
        gone += !r[i].counts;
        joined += r[i].first >= 0;
    }
    bool same = lines_equal(&model, &said) && dropped == gone && joined == engine.outcome[OUTCOME_JOINED];
    if (!same) {
        printf("FAILED seed %llu count %d batch %d threads %u restart %d\n", (unsigned long long)seed, count, batch, threads, restart);
        if (tally->failed == 0 && count <= 30)
            show_reports(r, count);
    }
    tally->passed += same;
    tally->failed += !same;
    tally->hits += model.count;
    for (int o = 0; o < OUTCOME_COUNT; o++)
        tally->outcome[o] += engine.outcome[o];
    free(model.line);
    free(said.line);
}

int main(int argc, char **argv)
{
    static const int batches[] = {1, 2, 7, 64, 1000, 16384, -9, -40};
    uint64_t streams = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct error err = {0};
    struct world world = {.dir = "/tmp/muster-report.XXXXXX"};
    invariant(sodium_init() >= 0 && mkdtemp(world.dir));
    struct diagnostics *diagnostics = diagnostics_new();
    world.program = program_load("tests/data/doubled", &(struct load_options){0}, diagnostics, &err);
    world.rates = rates_none(currency_parse(SLICE("USD")));
    if (!world.program) {
        diagnostics_text(diagnostics, stdout);
        printf("%s\n0 passed, 1 failed\n", err.text);
        return 1;
    }
    for (uint32_t i = 0; i < CREWS; i++) {
        world.crew[i] = crew_new(i + 1, &err);
        invariant(world.crew[i] != NULL);
    }
    struct tally tally = {0};
    for (uint64_t i = 0; i < streams && tally.failed < 9; i++)
        check_stream(&world, seed + i, batches[i % (sizeof batches / sizeof batches[0])], i % 40 == 0, &tally);
    for (uint32_t i = 0; i < CREWS; i++)
        crew_free(world.crew[i]);
    program_free((struct program *)(uintptr_t)world.program);
    rates_free(world.rates);
    diagnostics_free(diagnostics);
    (void)rmdir(world.dir);
    printf("%llu hits; %llu scored, %llu joined, %llu repeated, %llu refused\n", (unsigned long long)tally.hits,
           (unsigned long long)tally.outcome[OUTCOME_SCORED], (unsigned long long)tally.outcome[OUTCOME_JOINED],
           (unsigned long long)tally.outcome[OUTCOME_REPEATED], (unsigned long long)tally.outcome[OUTCOME_REJECTED]);
    printf("%llu passed, %llu failed\n", (unsigned long long)tally.passed, (unsigned long long)tally.failed);
    return tally.failed || !tally.outcome[OUTCOME_JOINED] ? 1 : 0;
}
