/* Holds rules of several steps against a slow, obvious model by the words of RULES 2, 9 and 16-18: random
 * rule sets (1 to 4 steps, unless, since, lets, except, for accounts and pairs, with memories of other keys)
 * over random streams with late events, in batches of 1 to 16,384, by 1 to 8 threads, swept and taken
 * through checkpoints in between. Usage: step_rule_model [STREAMS [SEED]]. */
#include "engine/model/money.h"
#include "engine/state/checkpoint.h"
#include "engine/stream/crew.h"
#include "engine/stream/step.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"
#include "tests/simulation/random_world.h"
#include "tests/simulation/step_rules.h"

#include <sodium.h>
#include <unistd.h>

enum { LATENESS = 90 * MINUTE, WAGE_FOR = 60 * MINUTE, CREWS = 8, PARTITIONS = 3, ACCOUNTS = 6, KEYS = ACCOUNTS * (ACCOUNTS + 1) };
enum { EVENTS = 160 };

struct payment {
    int64_t t, amount;
    int sender, receiver; /* -1: cash */
    bool sala, refund, late;
    int wage;             /* index of the record that the sender remembers, or -1 */
    uint32_t partition;
};

/* --- the model --- */

struct number {
    int64_t value;
    bool known;
};

struct trial {                       /* one attempt */
    int step;                        /* 0: none */
    int64_t last_t;
    int first[STEPS + 1], last[STEPS + 1]; /* by step: events at which it was first and last true */
    int64_t clock[STEPS + 1];
    struct number kept[LETS];
};
struct kept_memory {                      /* of one rule and key */
    bool evaluated;
    int64_t clock;
    struct trial trial;
};
struct view {                        /* what a part looks at */
    const struct shape *rule;
    const struct payment *p;
    int i, key, in_hand;
    int64_t clock;
    const struct trial *trial;
};

static bool carries(const struct shape *rule, const struct payment *p, int key)
{
    if (rule->pair)
        return p->sender >= 0 && p->receiver >= 0 && p->sender * ACCOUNTS + p->receiver == key;
    return p->sender == key || p->receiver == key;
}

static bool belongs(const struct shape *rule, enum source source, const struct payment *p, int key)
{
    if (p->late || !carries(rule, p, key) || p->refund != (source == REFUNDS))
        return false;
    bool in = rule->pair || p->receiver == key, out = rule->pair || p->sender == key;
    switch (source) {
    case IN:
        return in;
    case OUT:
        return out;
    case TRANSFERS:
    case REFUNDS:
        return true;
    case LARGE:
        return in && p->amount >= 5000;
    case SALARIES:
        return out && p->sala;
    default:
        return in && p->wage >= 0;
    }
}

/* whether event j stands in the atom's window, as it was at event `upto` with the clock */
static bool inside(const struct view *v, const struct atom *atom, int j, int upto, int64_t clock)
{
    const struct payment *p = v->p;
    if (j > upto || p[j].t > clock || !belongs(v->rule, atom->source, &p[j], v->key))
        return false;
    int64_t span = atom->since ? v->rule->within[atom->since + 1] : atom->span;
    if (p[j].t <= clock - span)
        return false;
    if (!atom->since)
        return true;
    int first = v->trial->first[atom->since];
    return p[j].t > p[first].t || (p[j].t == p[first].t && j > first);
}

static struct number atom_value(const struct view *v, const struct atom *atom)
{
    struct number out = {0, atom->fn == COUNT || atom->fn == SUM || atom->fn == DISTINCT};
    bool seen[ACCOUNTS] = {false};
    int last = -1;
    if (atom->since > v->in_hand)
        return (struct number){0, false};
    for (int j = 0; j <= v->i; j++) {
        if (!inside(v, atom, j, v->i, v->clock))
            continue;
        int sender = v->p[j].sender;
        if (atom->fn == COUNT)
            out.value++;
        if (atom->fn == SUM)
            out.value += v->p[j].amount;
        if (atom->fn == DISTINCT && sender >= 0 && !seen[sender]) {
            seen[sender] = true;
            out.value++;
        }
        if (atom->fn == MAX && (!out.known || v->p[j].amount > out.value))
            out = (struct number){v->p[j].amount, true};
        if (atom->fn == LAST && (last < 0 || v->p[j].t >= v->p[last].t)) {
            last = j;
            out = (struct number){v->p[j].amount, true};
        }
    }
    return out;
}

static struct number field_value(const struct view *v, enum read_field field)
{
    const struct payment *p = &v->p[v->i];
    if (field == AMOUNT)
        return (struct number){p->amount, true};
    return p->wage < 0 ? (struct number){0, false} : (struct number){v->p[p->wage].amount, true};
}

/* percent of a number, half-even, by doubled remainders */
static int64_t share_of(int64_t value, int64_t percent)
{
    int64_t quotient = value * percent / 100, twice = value * percent % 100 * 2;
    return quotient + (twice > 100 || (twice == 100 && quotient % 2));
}

static struct number operand_value(const struct view *v, const struct operand *of);

static struct number let_value(const struct view *v, int index)
{
    const struct let *let = &v->rule->let[index];
    if (let->home && let->home <= v->in_hand)
        return v->trial->kept[index];
    if (let->of.kind == OF_LET) {
        struct number base = let_value(v, let->of.let);
        return (struct number){base.value * 2, base.known};
    }
    return operand_value(v, &let->of);
}

static struct number operand_value(const struct view *v, const struct operand *of)
{
    struct number base;
    switch (of->kind) {
    case OF_LET:
        return let_value(v, of->let);
    case OF_ATOM:
        return atom_value(v, &of->atom);
    case OF_FIELD:
        return field_value(v, of->field);
    case OF_CONST:
        return (struct number){of->number, true};
    default:
        base = let_value(v, of->let);
        return (struct number){base.known ? share_of(base.value, of->number) : 0, base.known};
    }
}

/* 0 no, 1 unknown, 2 yes */
static int compared(const struct view *v, const struct comparison *c)
{
    struct number a = operand_value(v, &c->left), b = operand_value(v, &c->right);
    if (!a.known || !b.known)
        return 1;
    const bool truth[] = {a.value >= b.value, a.value > b.value, a.value <= b.value, a.value < b.value, a.value == b.value};
    return truth[c->op] ? 2 : 0;
}

static bool holds(const struct view *v, const struct condition *c)
{
    int truth = compared(v, &c->part[0]);
    if (c->parts == 2) {
        int other = compared(v, &c->part[1]);
        truth = c->either ? (truth > other ? truth : other) : (truth < other ? truth : other);
    }
    return (c->negated ? 2 - truth : truth) == 2;
}

/* --- touching (RULES 9) --- */

struct reading {
    bool source[SOURCES];
    bool window, field;
};

static void read_operand(const struct shape *rule, const struct operand *of, int in_hand, struct reading *reading)
{
    if (of->kind == OF_ATOM && of->atom.since <= in_hand)
        reading->source[of->atom.source] = reading->window = true;
    if (of->kind == OF_FIELD)
        reading->field = true;
    if (of->kind != OF_LET && of->kind != OF_SHARE)
        return;
    const struct let *let = &rule->let[of->let];
    if (let->home && let->home <= in_hand)
        return;
    read_operand(rule, &let->of, in_hand, reading);
}

static bool touched(const struct view *v, const struct condition *c, int in_hand, bool is_step)
{
    struct reading reading = {0};
    const struct payment *p = &v->p[v->i];
    for (int k = 0; k < c->parts; k++) {
        read_operand(v->rule, &c->part[k].left, in_hand, &reading);
        read_operand(v->rule, &c->part[k].right, in_hand, &reading);
    }
    for (int s = 0; s < SOURCES; s++)
        if (reading.source[s] && belongs(v->rule, (enum source)s, p, v->key))
            return true;
    return (reading.field || (is_step && !reading.window)) && !p->refund;
}

static bool evaluated(const struct view *v)
{
    for (int n = 1; n <= v->rule->steps; n++) {
        if (touched(v, &v->rule->step[n], n - 1, true))
            return true;
        if (n < v->rule->steps && v->rule->has_unless && touched(v, &v->rule->unless, n, false))
            return true;
    }
    return false;
}

/* --- steps (RULES 16-18) --- */

struct proof { /* which events a hit may and must name */
    bool may[EVENTS], must[EVENTS];
};
struct hits {
    struct lines lines;
    struct proof *proof;
    uint32_t room;
    uint64_t silenced, stopped, closed, refreshed;
};

static void prove_window(const struct view *v, const struct atom *atom, int step, struct proof *proof)
{
    bool now = step == 0 || step == v->rule->steps;
    int upto = now ? v->i : v->trial->last[step];
    int64_t clock = now ? v->clock : v->trial->clock[step];
    int64_t span = atom->since ? v->rule->within[atom->since + 1] : atom->span, later = 0;
    for (int n = step + 1; !now && n <= v->rule->steps; n++)
        later += v->rule->within[n]; /* what a step saw is kept as long as the steps behind it may take */
    for (int j = 0; j < v->i; j++) {
        /* a window that only the hit reads may hold records ahead of the rule's clock */
        bool in = inside(v, atom, j, upto, now && v->p[j].t > clock ? v->p[j].t : clock) && v->p[j].t > clock - span;
        proof->may[j] |= in;
        proof->must[j] |= in && v->p[j].t >= v->clock - span - later && v->p[j].t <= clock;
    }
}

static void prove(const struct view *v, struct proof *proof)
{
    *proof = (struct proof){0};
    for (int l = 0; l < v->rule->lets; l++)
        if (v->rule->let[l].of.kind == OF_ATOM)
            prove_window(v, &v->rule->let[l].of.atom, v->rule->let[l].home, proof);
    for (int n = 1; n <= v->rule->steps; n++)
        for (int k = 0; k < v->rule->step[n].parts; k++) {
            const struct comparison *c = &v->rule->step[n].part[k];
            if (c->left.kind == OF_ATOM)
                prove_window(v, &c->left.atom, n, proof);
        }
}

static void hit_note(const struct view *v, int rule, uint64_t stride, struct hits *hits)
{
    char text[LINE], sum[MONEY_TEXT_MAX];
    int at = snprintf(text, LINE, "%d R%d", (int)((uint64_t)(v->i + 1) * stride), rule);
    if (v->rule->pair)
        at += snprintf(text + at, (size_t)(LINE - at), " a%d a%d", v->key / ACCOUNTS, v->key % ACCOUNTS);
    else
        at += snprintf(text + at, (size_t)(LINE - at), " a%d", v->key);
    for (int l = 0; l < v->rule->lets; l++) {
        struct number n = let_value(v, l);
        char count[32];
        (void)snprintf(count, sizeof count, n.value >= 1000 ? "%d_%03d" : "%d", (int)(n.value >= 1000 ? n.value / 1000 : n.value), (int)(n.value % 1000));
        at += snprintf(text + at, (size_t)(LINE - at), " l%d=%s", l, !n.known ? "unknown" : v->rule->let[l].money ? money(n.value, sum) : count);
    }
    if (hits->lines.count == hits->room) {
        hits->room = hits->room ? hits->room * 2 : 64;
        hits->proof = realloc(hits->proof, hits->room * sizeof *hits->proof);
        invariant(hits->proof != NULL);
    }
    prove(v, &hits->proof[hits->lines.count]);
    lines_add(&hits->lines, text);
}

/* step n is true at this event: its lets are computed, or computed again */
static void step_came(const struct view *v, int n, struct trial *trial)
{
    struct trial before = *trial;
    struct view then = *v;
    then.trial = &before;
    then.in_hand = n - 1;
    for (int l = 0; l < v->rule->lets; l++)
        if (v->rule->let[l].home == n)
            trial->kept[l] = let_value(&then, l);
    trial->last[n] = v->i;
    trial->clock[n] = v->clock;
    trial->last_t = v->p[v->i].t;
}

static bool part_holds(struct view *v, const struct condition *c, int in_hand)
{
    v->in_hand = in_hand;
    return holds(v, c);
}

static void model_steps(struct view *v, int rule, struct kept_memory *memory, uint64_t stride, struct hits *hits)
{
    const struct shape *shape = v->rule;
    struct trial *trial = &memory->trial;
    int64_t t = v->p[v->i].t;
    v->trial = trial;
    if (trial->step && t < trial->last_t)
        return;
    if (trial->step && t - trial->last_t >= shape->within[trial->step + 1]) {
        *trial = (struct trial){0};
        hits->closed++;
    }
    int n = trial->step;
    bool next = touched(v, &shape->step[n + 1], n, true) && part_holds(v, &shape->step[n + 1], n);
    bool again = !next && n > 0 && touched(v, &shape->step[n], n - 1, true) && part_holds(v, &shape->step[n], n - 1);
    bool asked = shape->has_unless && (next || again || (n > 0 && touched(v, &shape->unless, n, false)));
    if (asked && part_holds(v, &shape->unless, n)) {
        hits->stopped += n > 0;
        *trial = (struct trial){0};
        return;
    }
    if (again) {
        step_came(v, n, trial);
        hits->refreshed++;
    }
    if (!next)
        return;
    step_came(v, n + 1, trial);
    trial->first[n + 1] = v->i;
    trial->step = n + 1;
    if (n + 1 < shape->steps)
        return;
    v->in_hand = shape->steps;
    if (shape->has_except && holds(v, &shape->except))
        hits->silenced++;
    else
        hit_note(v, rule, stride, hits);
    *trial = (struct trial){0};
}

static void model_key(const struct shape *shape, int rule, const struct payment *p, int i, int key, struct kept_memory *memory, uint64_t stride,
                      struct hits *hits)
{
    struct view v = {.rule = shape, .p = p, .i = i, .key = key, .trial = &memory->trial};
    if (!evaluated(&v))
        return;
    if (!memory->evaluated || p[i].t > memory->clock)
        memory->clock = p[i].t;
    memory->evaluated = true;
    v.clock = memory->clock;
    model_steps(&v, rule, memory, stride, hits);
}

static int wage_of(const struct payment *p, int i)
{
    int best = -1;
    for (int j = 0; j < i && p[i].sender >= 0; j++)
        if (!p[j].late && !p[j].refund && p[j].receiver == p[i].sender && p[j].sala && (best < 0 || p[j].t >= p[best].t))
            best = j;
    if (best < 0)
        return -1;
    int64_t age = p[i].t - p[best].t;
    return age >= 0 && age < WAGE_FOR ? best : -1;
}

static void model_run(const struct shape *shape, struct payment *p, int count, uint64_t stride, struct hits *hits)
{
    int64_t newest[PARTITIONS] = {INT64_MIN, INT64_MIN, INT64_MIN};
    static struct kept_memory memory[RULES][KEYS];
    memset(memory, 0, sizeof memory);
    for (int i = 0; i < count; i++) {
        int64_t *top = &newest[p[i].partition];
        p[i].late = *top != INT64_MIN && p[i].t < *top - LATENESS;
        *top = p[i].t > *top ? p[i].t : *top;
        p[i].wage = wage_of(p, i);
        for (int r = 0; r < RULES && !p[i].late; r++) {
            int key[2] = {shape[r].pair ? p[i].sender * ACCOUNTS + p[i].receiver : p[i].sender, p[i].receiver};
            if (shape[r].pair && (p[i].sender < 0 || p[i].receiver < 0))
                continue;
            if (key[0] >= 0)
                model_key(&shape[r], r, p, i, key[0], &memory[r][key[0]], stride, hits);
            if (!shape[r].pair && key[1] >= 0 && key[1] != key[0])
                model_key(&shape[r], r, p, i, key[1], &memory[r][key[1]], stride, hits);
        }
    }
}

/* --- the engine --- */

struct world {
    struct crew *crew[CREWS];
    char dir[64];
};
struct engine {
    const struct world *world;
    const struct program *program;
    struct crew *crew;
    struct step *step;
    unsigned char key[16];
    uint64_t stride;
    const struct hits *model;
    struct lines lines;
    unsigned char digest[32];
    uint64_t silenced;
    uint32_t wrong_proofs;
    uint64_t attempts;   /* on at the end */
};

static void event_side(struct event *event, struct arena *arena, enum event_ref ref, int account)
{
    if (account < 0) {
        event->flags |= ref == REF_SENDER ? EVENT_SENDER_CASH : EVENT_RECEIVER_CASH;
        return;
    }
    struct slice text = arena_format(arena, "a%d", account);
    event_name(event, ref, text, hash_text(ENTITY_ACCOUNT, text.data));
}

static void event_make(struct event *event, struct arena *arena, const struct payment *p, int i, uint64_t stride)
{
    *event = (struct event){.time_ms = p->t, .broker_ms = MISSING_I64, .amount_minor = p->amount, .amount_base = p->amount,
                            .position = {.partition = p->partition, .offset = i}, .source = SLICE("bank"), .id = arena_format(arena, "e%d", i),
                            .currency = currency_parse(SLICE("USD")), .kind = p->refund ? KIND_REFUND : KIND_TRANSFER,
                            .status = STATUS_SETTLED, .flow = p->refund ? FLOW_REFUND : FLOW_SETTLED, .seq = (uint64_t)(i + 1) * stride};
    event->id_hash = hash_text(99, event->id.data);
    event->body_hash = event->id_hash.lo;
    event->named = ARENA_ARRAY(arena, struct named, REF_COUNT);
    if (p->sala)
        memcpy(event->purpose, "SALA", 4);
    event_side(event, arena, REF_SENDER, p->sender);
    event_side(event, arena, REF_RECEIVER, p->receiver);
}

static struct step *engine_step(const struct engine *engine)
{
    static const struct step_settings settings = {
        .lateness_ms = LATENESS, .dedup_ms = 3 * 86400000LL, .shard_bytes_max = 1 << 20, .partition_max = PARTITIONS, .inline_below = 2};
    struct error err = {0};
    struct step *step = step_new(engine->program, &settings, engine->crew, engine->key, &err);
    invariant(step != NULL);
    return step;
}

static void refused(void *context, const char *file, const char *reason)
{
    (void)context, (void)file;
    puts(reason);
    abort();
}

/* The state goes through a checkpoint on disk into a new step, as after kill -9. */
static void engine_restart(struct engine *engine, uint64_t block)
{
    static const uint32_t same[PARTITIONS] = {0, 1, 2};
    struct arena arena;
    struct error err = {0};
    struct checkpoint_head head = {.block = block};
    struct slice extra;
    struct state *state = NULL;
    char path[128];
    arena_init(&arena);
    step_save_extra(engine->step, &arena, &extra);
    head.extra = extra.data;
    head.extra_size = extra.size;
    struct checkpoint_writer *writer = checkpoint_begin(step_state(engine->step), step_layout(engine->step), &head, &err);
    invariant(writer && checkpoint_write(writer, engine->world->dir, &err) && checkpoint_publish(writer, &err));
    checkpoint_end(writer);
    engine->silenced += step_silenced(engine->step);
    step_free(engine->step);
    engine->step = engine_step(engine);
    invariant(checkpoint_load(engine->world->dir, UINT64_MAX, step_layout(engine->step), &state, &head, refused, NULL, &err));
    invariant(step_restore(engine->step, state, (struct slice){head.extra, head.extra_size}, same, PARTITIONS, &err));
    free((void *)(uintptr_t)head.extra);
    (void)snprintf(path, sizeof path, "%s/checkpoint-%020llu", engine->world->dir, (unsigned long long)block);
    invariant(unlink(path) == 0);
    arena_fini(&arena);
}

static bool proof_fits(const struct engine *engine, const struct hit *hit, const struct proof *proof)
{
    bool named[EVENTS] = {false};
    for (uint32_t e = 0; e + 1 < hit->evidence_count; e++) {
        uint64_t j = hit->evidence[e].seq / engine->stride - 1;
        if (j >= EVENTS || named[j] || !proof->may[j])
            return false;
        named[j] = true;
    }
    for (int j = 0; j < EVENTS; j++)
        if (proof->must[j] && !named[j])
            return false;
    return hit->evidence[hit->evidence_count - 1].seq == hit->seq;
}

static void engine_take(struct engine *engine, const struct output *out, crypto_generichash_state *digest)
{
    for (uint32_t h = 0; h < out->hit_count; h++) {
        uint32_t at = engine->lines.count;
        hit_line(&out->hit[h], &engine->lines);
        engine->wrong_proofs += at < engine->model->lines.count && !proof_fits(engine, &out->hit[h], &engine->model->proof[at]);
        for (uint32_t e = 0; e < out->hit[h].evidence_count; e++)
            crypto_generichash_update(digest, (const unsigned char *)&out->hit[h].evidence[e].seq, sizeof(uint64_t));
    }
}

/* batch > 0: that size; < 0: random sizes up to -batch. */
static void engine_run(struct engine *engine, const struct payment *p, int count, uint64_t *cut, int64_t batch, bool restarts)
{
    struct arena in, out_arena;
    crypto_generichash_state digest;
    struct state_stats stats;
    arena_init(&in);
    arena_init(&out_arena);
    crypto_generichash_init(&digest, NULL, 0, sizeof engine->digest);
    for (int i = 0; i < 16; i++)
        engine->key[i] = (unsigned char)next_random(cut);
    engine->step = engine_step(engine);
    for (int from = 0; from < count;) {
        int64_t size = batch > 0 ? batch : 1 + below(cut, -batch);
        size = size > count - from ? count - from : size;
        arena_reset(&in);
        arena_reset(&out_arena);
        struct event *events = ARENA_ARRAY(&in, struct event, size);
        for (int64_t i = 0; i < size; i++)
            event_make(&events[i], &in, &p[from + i], from + (int)i, engine->stride);
        struct output out;
        step_run(engine->step, events, (uint32_t)size, &out_arena, &out);
        engine_take(engine, &out, &digest);
        from += (int)size;
        if (restarts && from < count && below(cut, 8) == 0)
            engine_restart(engine, (uint64_t)from);
    }
    state_stats(step_state(engine->step), &stats);
    engine->attempts = stats.attempts;
    engine->silenced += step_silenced(engine->step);
    crypto_generichash_final(&digest, engine->digest, sizeof engine->digest);
    step_free(engine->step);
    arena_fini(&in);
    arena_fini(&out_arena);
}

/* --- random streams --- */

static void payments_make(struct payment *p, int count, uint64_t *c)
{
    int64_t t = 1700000000000;
    int64_t pace = 1 + below(c, 6 * MINUTE), grain = below(c, 3) ? 1 : 5 * MINUTE; /* coarse clocks make equal times */
    int accounts = 2 + (int)below(c, ACCOUNTS - 1);
    for (int i = 0; i < count; i++) {
        t += below(c, 12) ? below(c, pace) : below(c, 25) ? 0 : below(c, 400) * MINUTE;
        int64_t back = below(c, 6) ? 0 : below(c, below(c, 4) ? 30 * MINUTE : 200 * MINUTE);
        int64_t at = i < PARTITIONS ? t : t - back;
        p[i] = (struct payment){.t = at / grain * grain, .amount = below(c, 120) * 100 + (below(c, 3) ? 0 : below(c, 100)),
                                .sender = (int)below(c, accounts + 1) - 1, .receiver = (int)below(c, accounts + 1) - 1,
                                .sala = below(c, 3) == 0, .refund = below(c, 10) == 0,
                                .partition = (uint32_t)(i < PARTITIONS ? i : below(c, PARTITIONS))};
        if (p[i].sender < 0 && p[i].receiver < 0)
            p[i].receiver = 0;
    }
}

struct tally {
    uint64_t passed, failed, hits, silenced, stopped, closed, refreshed, attempts, set_errors;
};

static void check_stream(const struct world *world, const struct program *program, const struct shape *shape, uint64_t seed, int64_t batch,
                         bool restarts, struct tally *tally)
{
    uint64_t chance = seed ^ 0x5DEECE66D;
    struct payment p[EVENTS];
    struct hits model = {0};
    int count = PARTITIONS + (int)below(&chance, below(&chance, 3) ? 60 : EVENTS - PARTITIONS);
    uint32_t threads = 1 + (uint32_t)below(&chance, CREWS);
    uint64_t stride = below(&chance, 3) ? 1 : 40000; /* sweeps go by sequence */
    payments_make(p, count, &chance);
    model_run(shape, p, count, stride, &model);
    struct engine one = {.world = world, .program = program, .crew = world->crew[0], .model = &model, .stride = stride};
    struct engine many = {.world = world, .program = program, .crew = world->crew[threads - 1], .model = &model, .stride = stride};
    engine_run(&one, p, count, &chance, count, false);
    engine_run(&many, p, count, &chance, batch, restarts);
    bool same = lines_equal(&model.lines, &one.lines) && lines_equal(&model.lines, &many.lines) && !one.wrong_proofs && !many.wrong_proofs &&
                one.silenced == model.silenced && many.silenced == model.silenced && memcmp(one.digest, many.digest, sizeof one.digest) == 0;
    if (!same)
        printf("FAILED seed %llu count %d batch %lld threads %u restarts %d: %u and %u wrong proofs, silenced %llu, %llu and %llu\n",
               (unsigned long long)seed, count, (long long)batch, threads, restarts, one.wrong_proofs, many.wrong_proofs,
               (unsigned long long)model.silenced, (unsigned long long)one.silenced, (unsigned long long)many.silenced);
    tally->passed += same;
    tally->failed += !same;
    tally->hits += model.lines.count;
    tally->silenced += model.silenced;
    tally->stopped += model.stopped;
    tally->closed += model.closed;
    tally->refreshed += model.refreshed;
    tally->attempts += many.attempts;
    free(model.lines.line);
    free(model.proof);
    free(one.lines.line);
    free(many.lines.line);
}

/* One rule set, a few streams. */
static void check_set(const struct world *world, uint64_t seed, uint64_t streams, struct tally *tally)
{
    static const int64_t batches[] = {1, 2, 7, 64, 1000, 16384, -9, -40};
    uint64_t chance = seed;
    struct shape shape[RULES];
    size_t size;
    struct error err = {0};
    for (int r = 0; r < RULES; r++)
        random_shape(&shape[r], &chance);
    char *text = print_rules(shape, &size);
    struct source_file file = {SLICE("random.rules"), {text, size}};
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_parse(&file, 1, "", &(struct load_options){0}, diagnostics, &err);
    uint64_t failed = tally->failed;
    if (!program) {
        diagnostics_text(diagnostics, stdout);
        tally->failed++;
    }
    for (uint64_t i = 0; program && i < streams; i++)
        check_stream(world, program, shape, seed + i, batches[(seed + i) % 8], (seed + i) % 40 == 0, tally);
    if (tally->failed > failed && failed == 0)
        puts(text);
    program_free(program);
    diagnostics_free(diagnostics);
    free(text);
}

int main(int argc, char **argv)
{
    enum { STREAMS_PER_SET = 5 };
    uint64_t streams = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct error err = {0};
    struct world world = {.dir = "/tmp/muster-steps.XXXXXX"};
    struct tally tally = {0};
    invariant(sodium_init() >= 0 && mkdtemp(world.dir));
    for (uint32_t i = 0; i < CREWS; i++) {
        world.crew[i] = crew_new(i + 1, &err);
        invariant(world.crew[i] != NULL);
    }
    for (uint64_t i = 0; i < streams && tally.failed < 5; i += STREAMS_PER_SET)
        check_set(&world, seed + i, STREAMS_PER_SET, &tally);
    for (uint32_t i = 0; i < CREWS; i++)
        crew_free(world.crew[i]);
    (void)rmdir(world.dir);
    printf("%llu hits, %llu silenced; attempts: %llu refreshed, %llu closed, %llu stopped by unless, %llu on at the end\n",
           (unsigned long long)tally.hits, (unsigned long long)tally.silenced, (unsigned long long)tally.refreshed,
           (unsigned long long)tally.closed, (unsigned long long)tally.stopped, (unsigned long long)tally.attempts);
    printf("%llu passed, %llu failed\n", (unsigned long long)tally.passed, (unsigned long long)tally.failed);
    return tally.failed || !tally.hits || !tally.refreshed || !tally.closed || !tally.stopped ? 1 : 0;
}
