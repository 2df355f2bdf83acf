/* Holds rules with graph operators, run by the step function on many threads and cuts into batches, against the searches
 * asked of all payments so far, by the words of RULES.md (RULES 27-35): which legs pass, the rule's clock, who is a key, what either end carries.
 * Some payments come late, some are told again by the bank at the other end: that is no leg, and completes nothing (RULES 7).
 * Usage: graph_rule_model [STREAMS [SEED]]. That the searches are right themselves is tests/simulation/graph_model.c's. */
#include "engine/base/invariant.h"
#include "engine/graph/graph.h"
#include "engine/model/seam.h"
#include "engine/stream/crew.h"
#include "engine/stream/step.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"
#include "tests/simulation/random_world.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { MINUTE = 60000, LATENESS = 90 * MINUTE, CREWS = 4, PAYMENTS = 400, PARTITIONS = 3 };

struct payment {
    int64_t t, amount;
    int sender, receiver; /* 0: cash */
    bool sala, late, known; /* known: the sender had a wage before, less than 40 minutes ago */
    uint32_t partition;
    bool silent;             /* late or told again: nothing is to be seen of it */
    int first;               /* told again: that payment's number; else its own */
    int device[2], terminal; /* at the sender's end, the receiver's; 0: none */
    char country[3];         /* of the sender, the receiver, the place; 0: none, else that number of countries[] */
};

static const char *const countries[] = {"", "ET", "KE", "TZ", "ZA", "GB"};

/* --- the model --- */

static bool sender_is_known(const struct payment *p, int i)
{
    int best = -1;
    for (int j = 0; j < i && p[i].sender; j++)
        if (!p[j].silent && p[j].sala && p[j].receiver == p[i].sender && (best < 0 || p[j].t >= p[best].t))
            best = j;
    return best >= 0 && p[i].t >= p[best].t && p[i].t - p[best].t < 40 * MINUTE;
}

enum filter { ANY, SMALL, KNOWN, WAGE, REST, NEVER };

static bool passes(const struct payment *p, enum filter filter)
{
    bool leg = !p->silent && p->sender && p->receiver && p->sender != p->receiver;
    switch (filter) {
    case ANY:
        return leg;
    case SMALL:
        return leg && p->amount <= 900;
    case KNOWN:
        return leg && p->known;
    case WAGE:
        return leg && p->sala;
    case NEVER:
        return false;
    default:
        return leg && !p->sala;
    }
}

struct model {
    const struct payment *p;
    int now;
    enum filter filter[3]; /* by role */
    bool terminals;        /* what is carried: terminals, else devices */
    struct leg held[64][3 * PAYMENTS]; /* a ring of answers: a search holds fewer at once */
    uint32_t turn;
    int order[PAYMENTS];           /* the payments so far, oldest first */
};

static int by_time(const void *a, const void *b)
{
    const struct leg *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return (x->mark > y->mark) - (x->mark < y->mark);
}

static struct legs legs_of(const void *context, entity_id account, enum leg_role role, bool in)
{
    struct model *m = (struct model *)(uintptr_t)context;
    struct leg *leg = m->held[m->turn++ % 64];
    uint32_t count = 0;
    for (int j = 0; j <= m->now; j++) {
        const struct payment *p = &m->p[j];
        if (passes(p, m->filter[role]) && (in ? p->receiver : p->sender) == (int)account)
            leg[count++] = (struct leg){p->t, (uint64_t)j + 1, p->amount, (entity_id)p->sender, (entity_id)p->receiver};
    }
    qsort(leg, count, sizeof *leg, by_time);
    return (struct legs){{.first = (const char *)leg, .count = count, .stride = sizeof *leg}};
}

static struct legs ins_of(const void *context, entity_id account, enum leg_role role)
{
    return legs_of(context, account, role, true);
}

static struct legs outs_of(const void *context, entity_id account, enum leg_role role)
{
    return legs_of(context, account, role, false);
}

/* A payment not too late and not to oneself shows what an end that is an account carried there, its own. */
static int carries(const struct model *m, const struct payment *p, int end)
{
    if (p->silent || p->sender == p->receiver || !(end ? p->receiver : p->sender))
        return 0;
    return m->terminals ? p->terminal : p->amount <= 900 ? p->device[end] : 0;
}

/* What a search for shared values may see: by account the values, or by value the ends that had it. */
static struct legs carried_of(const void *context, uint32_t id, bool by_value)
{
    struct model *m = (struct model *)(uintptr_t)context;
    char *at = (char *)m->held[m->turn++ % 64];
    uint32_t count = 0;
    for (int round = 0; round <= m->now; round++) {
        int j = m->order[round];
        for (int end = 0; end < 2; end++) {
            const struct payment *p = &m->p[j];
            int value = carries(m, p, end), account = end ? p->receiver : p->sender;
            if (!value || (by_value ? value : account) != (int)id)
                continue;
            struct leg leg = {p->t, (uint64_t)j + 1, p->amount, (entity_id)p->sender, (entity_id)p->receiver};
            int64_t extra = by_value ? end : value;
            memcpy(at + count * (sizeof leg + sizeof extra), &leg, sizeof leg);
            memcpy(at + count++ * (sizeof leg + sizeof extra) + sizeof leg, &extra, sizeof extra);
        }
    }
    return (struct legs){{.first = at, .count = count, .stride = sizeof(struct leg) + sizeof(int64_t)}};
}

static struct legs carried_by(const void *context, entity_id account)
{
    return carried_of(context, account, false);
}

static struct legs carriers_of(const void *context, entity_id value)
{
    return carried_of(context, value, true);
}

/* Where the other end of an account's payments is, else the place. */
static struct legs stops_of(const void *context, entity_id account)
{
    struct model *m = (struct model *)(uintptr_t)context;
    char *at = (char *)m->held[m->turn++ % 64];
    uint32_t count = 0;
    for (int round = 0; round <= m->now; round++) {
        const struct payment *p = &m->p[m->order[round]];
        bool sent = p->sender == (int)account, received = p->receiver == (int)account;
        char other = p->country[sent ? 1 : 0], stop = other ? other : p->country[2];
        if (p->silent || sent == received || !stop)
            continue;
        struct leg leg = {p->t, (uint64_t)m->order[round] + 1, p->amount, (entity_id)p->sender, (entity_id)p->receiver};
        int64_t extra = country_parse(slice_of(countries[(int)stop]));
        memcpy(at + count * (sizeof leg + sizeof extra), &leg, sizeof leg);
        memcpy(at + count++ * (sizeof leg + sizeof extra) + sizeof leg, &extra, sizeof extra);
    }
    return (struct legs){{.first = at, .count = count, .stride = sizeof(struct leg) + sizeof(int64_t)}};
}

static bool is_listed(const void *context, entity_id account)
{
    (void)context;
    return account == 1;
}

/* Both ends of a payment, the sender's first, each once: RULES 6. */
static int keys_of(const struct payment *p, int key[2])
{
    int count = 0;
    if (p->sender)
        key[count++] = p->sender;
    if (p->receiver && p->receiver != p->sender)
        key[count++] = p->receiver;
    return count;
}

static bool is_key(const struct payment *p, int key)
{
    return p->sender == key || p->receiver == key;
}

struct asked {
    const char *rule, *let;
    void (*search)(const struct graph_query *, const struct graph_view *, struct graph_scratch *, struct graph_result *);
    enum filter filter[3], completes;
    int64_t span_ms, least;
    uint8_t hops_low, hops_high;
    uint32_t middles, hub;
    bool keep;
    int64_t keep_low, keep_high;
    bool hops, terminals, route;
    bool missing;              /* true where the account is far from all; without a search: there is nothing to be near to */
    int64_t otherwise, most;   /* the value where it is; the hit's largest */
};

static const struct asked rules[] = {
    {.rule = "A-RING", .let = "ring", .search = graph_cycle, .filter = {ANY}, .completes = ANY, .span_ms = 60 * MINUTE, .least = 2,
     .hops_low = 2, .hops_high = 4, .hub = 256, .keep = true, .keep_low = 500000, .keep_high = 1500000},
    {.rule = "B-CHAIN", .let = "chain", .search = graph_chain, .filter = {KNOWN}, .completes = KNOWN, .span_ms = 90 * MINUTE, .least = 2,
     .hops_low = 2, .hops_high = 5, .hub = 256},
    {.rule = "C-PASS", .let = "passed", .search = graph_pass_through, .filter = {ANY}, .completes = ANY, .span_ms = 60 * MINUTE, .least = 2, .hub = 256},
    {.rule = "D-GLASS", .let = "width", .search = graph_gather_scatter, .filter = {SMALL}, .completes = SMALL, .span_ms = 60 * MINUTE, .least = 2, .hub = 8},
    {.rule = "E-KICK", .let = "kicks", .search = graph_scatter_gather, .filter = {ANY, WAGE, REST}, .completes = REST, .span_ms = 60 * MINUTE,
     .least = 2, .middles = 2, .hub = 256, .keep = true, .keep_low = 100000, .keep_high = 2000000},
    {.rule = "F-NEAR", .let = "near", .search = graph_hops, .filter = {SMALL}, .completes = SMALL, .span_ms = 40 * MINUTE, .least = 1, .hops_high = 3,
     .hub = 256, .hops = true},
    {.rule = "G-DEVICE", .let = "shared", .search = graph_sharing, .filter = {NEVER}, .completes = NEVER, .span_ms = 40 * MINUTE, .least = 2, .hub = 8},
    {.rule = "H-TERMINAL", .let = "shared", .search = graph_sharing, .filter = {NEVER}, .completes = NEVER, .span_ms = 60 * MINUTE, .least = 3,
     .hub = 256, .terminals = true},
    {.rule = "I-ROUTE", .let = "stages", .search = graph_route, .filter = {NEVER}, .completes = NEVER, .span_ms = 60 * MINUTE, .least = 2, .hub = 256,
     .route = true},
    {.rule = "J-FAR", .let = "near", .search = graph_hops, .filter = {SMALL}, .completes = SMALL, .span_ms = 40 * MINUTE, .hops_high = 2,
     .hub = 256, .hops = true, .missing = true},
    {.rule = "K-CLOSE", .let = "near", .search = graph_hops, .filter = {SMALL}, .completes = SMALL, .span_ms = 60 * MINUTE,
     .hops_high = 3, .hub = 256, .hops = true, .otherwise = 7, .most = 2},
    {.rule = "L-NOWHERE", .let = "near", .filter = {SMALL}, .completes = SMALL, .hops = true, .missing = true},
};
enum { RULES = sizeof rules / sizeof *rules };

static void model_rule(struct model *m, const struct asked *rule, int key, struct graph_scratch *scratch, struct lines *out)
{
    const struct payment *e = &m->p[m->now];
    const struct graph_view view = {.context = m, .ins = ins_of, .outs = outs_of, .listed = is_listed,
                                    .carried = carried_by, .carriers = carriers_of, .stops = stops_of};
    struct corridor corridor[] = {{.count = 4}, {.count = 3}};
    for (int s = 0; s < 4; s++)
        corridor[0].stage[s] = country_parse(slice_of(countries[1 + s]));
    for (int s = 0; s < 3; s++)
        corridor[1].stage[s] = country_parse(slice_of(countries[s == 1 ? 5 : 2]));
    m->terminals = rule->terminals;
    int64_t clock = e->t;
    for (int j = 0; j < m->now; j++)
        if (!m->p[j].silent && is_key(&m->p[j], key) && m->p[j].t > clock)
            clock = m->p[j].t;
    struct graph_query query = {.account = (entity_id)key, .floor_ms = clock - rule->span_ms, .ceiling_ms = clock,
                                .event = {.time_ms = e->t, .mark = (uint64_t)m->now + 1, .amount = e->amount},
                                .hops_low = rule->hops_low, .hops_high = rule->hops_high, .middles_min = rule->middles, .keep = rule->keep,
                                .keep_low = rule->keep_low, .keep_high = rule->keep_high, .hub_max = rule->hub, .legs_max = 20000,
                                .corridor_count = rule->route ? 2 : 0, .corridor = corridor};
    if (passes(e, rule->completes)) {
        query.event.sender = (entity_id)e->sender;
        query.event.receiver = (entity_id)e->receiver;
    }
    memcpy(m->filter, rule->filter, sizeof m->filter);
    static _Thread_local struct graph_result result;
    if (rule->search)
        rule->search(&query, &view, scratch, &result);
    else
        result = (struct graph_result){0};
    bool known = !rule->hops || result.known;
    int64_t number = known ? result.value : rule->otherwise;
    if (rule->missing ? known || e->amount < (rule->search ? 500 : 800) : e->amount < 200 || number < rule->least || (rule->most && number > rule->most))
        return;
    char text[LINE];
    char value[24] = "unknown";
    if (known)
        snprintf(value, sizeof value, "%lld", (long long)result.value);
    int at = snprintf(text, LINE, "%d %s a%d %s=%s%s", m->now + 1, rule->rule, key, rule->let,
                      result.bounded ? rule->hops ? "at most " : "at least " : "", value);
    if (rule->missing || rule->otherwise)
        at += snprintf(text + at, (size_t)(LINE - at), " a%d", key);
    for (uint32_t i = 0; i < result.member_count && i < 20 && !rule->missing && !rule->otherwise; i++)
        at += snprintf(text + at, (size_t)(LINE - at), " a%u", result.member[i]);
    lines_add(out, text);
}

/* The payment takes its place by (time, seq) among those so far. */
static void order_put(struct model *m, int i)
{
    int at = i;
    for (; at > 0 && m->p[m->order[at - 1]].t > m->p[i].t; at--)
        m->order[at] = m->order[at - 1];
    m->order[at] = i;
}

/* only: number of the one rule that runs; RULES: all do. */
static void model_run(struct payment *p, int count, size_t only, struct lines *out)
{
    int64_t newest[PARTITIONS] = {INT64_MIN, INT64_MIN, INT64_MIN};
    struct graph_scratch *scratch = graph_scratch_new();
    struct model *m = calloc(1, sizeof *m);
    invariant(m != NULL);
    m->p = p;
    for (int i = 0; i < count; i++) {
        int64_t *top = &newest[p[i].partition];
        int key[2];
        m->now = i;
        order_put(m, i);
        p[i].late = *top != INT64_MIN && p[i].t < *top - LATENESS;
        p[i].silent = p[i].late || p[i].first < i;
        *top = p[i].t > *top ? p[i].t : *top;
        p[i].known = sender_is_known(p, i);
        int keys = p[i].silent ? 0 : keys_of(&p[i], key);
        for (size_t r = 0; r < RULES; r++)
            for (int k = 0; (only == RULES || r == only) && k < keys; k++)
                model_rule(m, &rules[r], key[k], scratch, out);
    }
    graph_scratch_free(scratch);
    free(m);
}

/* --- the engine --- */

static void event_ref(struct event *event, struct arena *arena, enum event_ref ref, char letter, int number)
{
    if (!number)
        return;
    struct slice text = arena_format(arena, "%c%d", letter, number);
    event_name(event, ref, text, hash_text(ref_kind(ref), text.data));
}

static void event_side(struct event *event, struct arena *arena, enum event_ref ref, int account)
{
    if (!account) {
        event->flags |= ref == REF_SENDER ? EVENT_SENDER_CASH : EVENT_RECEIVER_CASH;
        return;
    }
    event_ref(event, arena, ref, 'a', account);
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
    event->join_hash = hash_text(98, arena_format(arena, "r%d", p->first).data);
    event->currency = currency_parse(SLICE("USD"));
    event->kind = KIND_TRANSFER;
    event->status = STATUS_SETTLED;
    event->flow = FLOW_SETTLED;
    event->seq = (uint64_t)i + 1;
    if (p->sala)
        memcpy(event->purpose, "SALA", 4);
    event_side(event, arena, REF_SENDER, p->sender);
    event_side(event, arena, REF_RECEIVER, p->receiver);
    event_ref(event, arena, REF_SENDER_DEVICE, 'd', p->device[0]);
    event_ref(event, arena, REF_RECEIVER_DEVICE, 'd', p->device[1]);
    event_ref(event, arena, REF_TERMINAL, 't', p->terminal);
    event->sender_country = country_parse(slice_of(countries[(int)p->country[0]]));
    event->receiver_country = country_parse(slice_of(countries[(int)p->country[1]]));
    event->place_country = country_parse(slice_of(countries[(int)p->country[2]]));
}

static void engine_hits(const struct output *out, struct lines *lines)
{
    for (uint32_t h = 0; h < out->hit_count; h++) {
        const struct hit *hit = &out->hit[h];
        struct lines one = {0};
        char text[LINE];
        hit_line(hit, &one);
        int at = snprintf(text, LINE, "%s", one.line[0].text);
        for (uint32_t s = 0; s < hit->subject_count && s < 20 && at < LINE; s++)
            at += snprintf(text + at, (size_t)(LINE - at), " %.*s", (int)hit->subject[s].text.size, hit->subject[s].text.data);
        lines_add(lines, text);
        free(one.line);
    }
}

static void engine_run(const struct program *program, struct crew *crew, const struct payment *p, int count, uint64_t *cut, int64_t batch,
                       struct lines *lines)
{
    struct error err = {0};
    struct step_settings settings = {.lateness_ms = LATENESS, .dedup_ms = 3 * 86400000LL, .shard_bytes_max = 16 << 20,
                                     .partition_max = PARTITIONS + 1, .inline_below = 2, .filter_all = below(cut, 2),
                                     .epoch_seq = PARTITIONS + 1 + (uint32_t)below(cut, 40), .sweep_work = below(cut, 2) ? UINT32_MAX : 400};
    unsigned char key[16];
    for (int i = 0; i < 16; i++)
        key[i] = (unsigned char)next_random(cut);
    struct step *step = step_new(program, &settings, crew, key, &err);
    invariant(step != NULL);
    struct arena in, out_arena;
    arena_init(&in);
    arena_init(&out_arena);
    for (int from = 0; from < count;) {
        int64_t size = batch < count - from ? batch : count - from;
        arena_reset(&in);
        arena_reset(&out_arena);
        struct event *events = ARENA_ARRAY(&in, struct event, size);
        for (int64_t i = 0; i < size; i++)
            event_make(&events[i], &in, &p[from + i], from + (int)i);
        struct output out;
        step_run(step, events, (uint32_t)size, &out_arena, &out);
        engine_hits(&out, lines);
        from += (int)size;
    }
    arena_fini(&in);
    arena_fini(&out_arena);
    step_free(step);
}

/* --- random streams --- */

/* The other bank tells of an earlier payment too: at its own time, in its own partition, and names no more than the first did. */
static void payment_again(struct payment *p, int i, uint64_t *seed)
{
    struct payment again = p[p[below(seed, i)].first];
    again.t = p[i].t;
    again.partition = p[i].partition;
    again.amount = below(seed, 3) ? again.amount : 100 + below(seed, 10) * 100;
    again.device[below(seed, 2)] = 0;
    again.terminal = below(seed, 2) ? again.terminal : 0;
    p[i] = again;
}

/* Half of the streams have partitions apart, some by hours: what one has left behind another still needs. */
static void payments_make(struct payment *p, int count, int accounts, uint64_t *seed)
{
    int64_t t = 1700000000000, pace = 1 + below(seed, 4 * MINUTE);
    int64_t behind = below(seed, 2) ? 0 : below(seed, below(seed, 2) ? 60 * MINUTE : 400 * MINUTE);
    for (int i = 0; i < count; i++) {
        t += below(seed, pace);
        p[i] = (struct payment){.first = i, .amount = 100 + below(seed, 10) * 100, .sender = (int)below(seed, accounts + 1),
                                .receiver = (int)below(seed, accounts + 1), .sala = below(seed, 3) == 0,
                                .partition = (uint32_t)below(seed, PARTITIONS)};
        for (int end = 0; end < 2; end++)
            p[i].device[end] = below(seed, 3) ? 0 : 1 + (int)below(seed, 6);
        p[i].terminal = below(seed, 3) ? 0 : 1 + (int)below(seed, 4);
        for (int end = 0; end < 3; end++)
            p[i].country[end] = (char)(below(seed, 2) ? 0 : below(seed, 6));
        p[i].t = t - (below(seed, 8) ? 0 : below(seed, below(seed, 4) ? 30 * MINUTE : 200 * MINUTE)) - behind * p[i].partition;
        if (i < PARTITIONS) { /* all are there in the first epoch: what a partition that begins far behind the others asks is gone */
            p[i].partition = (uint32_t)i;
            p[i].t = t - behind * i;
        }
        if (!p[i].sender && !p[i].receiver)
            p[i].receiver = 1;
        if (i >= PARTITIONS && below(seed, 6) == 0)
            payment_again(p, i, seed);
    }
}

struct tally {
    uint64_t passed, failed, payments, late, again, hits, by_rule[RULES];
};

static void check_stream(struct program *const *programs, struct crew *const *crews, uint64_t seed, struct tally *tally)
{
    static const int64_t batches[] = {1, 2, 7, 64, 1000};
    uint64_t chance = seed;
    struct payment p[PAYMENTS];
    struct lines model = {0}, one = {0}, many = {0};
    int count = 20 + (int)below(&chance, below(&chance, 10) ? 100 : PAYMENTS - 20);
    payments_make(p, count, 3 + (int)below(&chance, 8), &chance);
    size_t only = seed % 4 ? RULES : seed / 4 % RULES; /* what others do alike (raise a clock they share) must not be needed */
    const struct program *program = programs[only];
    model_run(p, count, only, &model);
    uint32_t threads = 2 + (uint32_t)below(&chance, CREWS - 1);
    int64_t batch = batches[below(&chance, 5)];
    engine_run(program, crews[0], p, count, &chance, batches[below(&chance, 5)], &one);
    engine_run(program, crews[threads - 1], p, count, &chance, batch, &many);
    bool same = lines_equal(&model, &one) && lines_equal(&model, &many);
    if (!same)
        printf("FAILED seed %llu count %d batch %lld threads %u, %s\n", (unsigned long long)seed, count, (long long)batch, threads,
               only == RULES ? "all rules" : rules[only].rule);
    tally->passed += same;
    tally->failed += !same;
    tally->hits += model.count;
    tally->payments += (uint64_t)count;
    for (int i = 0; i < count; i++) {
        tally->late += p[i].late;
        tally->again += p[i].first < i;
    }
    for (uint32_t i = 0; i < model.count; i++)
        tally->by_rule[strchr(model.line[i].text, ' ')[1] - 'A']++;
    free(model.line);
    free(one.line);
    free(many.line);
}

/* One rule alone, or with RULES all. */
static struct program *rules_load(size_t only)
{
    const char typology = (char)('a' + only);
    struct load_options options = {.typology = {&typology, only < RULES}};
    struct diagnostics *diagnostics = diagnostics_new();
    struct error err = {0};
    struct program *program = program_load("tests/data/graph", &options, diagnostics, &err);
    if (!program) {
        diagnostics_text(diagnostics, stdout);
        printf("%s\n0 passed, 1 failed\n", err.text);
    }
    diagnostics_free(diagnostics);
    return program;
}

int main(int argc, char **argv)
{
    uint64_t streams = argc > 1 ? strtoull(argv[1], NULL, 10) : 3000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct error err = {0};
    struct crew *crews[CREWS];
    invariant(sodium_init() >= 0);
    struct program *programs[RULES + 1];
    for (size_t r = 0; r <= RULES; r++)
        if (!(programs[r] = rules_load(r)))
            return 1;
    for (uint32_t i = 0; i < CREWS; i++) {
        crews[i] = crew_new(i + 1, &err);
        invariant(crews[i] != NULL);
    }
    struct tally tally = {0};
    for (uint64_t i = 0; i < streams; i++)
        check_stream(programs, crews, seed + i, &tally);
    for (uint32_t i = 0; i < CREWS; i++)
        crew_free(crews[i]);
    for (size_t r = 0; r <= RULES; r++)
        program_free(programs[r]);
    bool all = true;
    printf("%llu payments, %llu of them late and %llu told again; %llu hits compared; by rule:", (unsigned long long)tally.payments,
           (unsigned long long)tally.late, (unsigned long long)tally.again, (unsigned long long)tally.hits);
    all = tally.late && tally.again;
    for (int r = 0; r < RULES; r++) {
        printf(" %llu", (unsigned long long)tally.by_rule[r]);
        all = all && tally.by_rule[r];
    }
    puts("");
    printf("%llu passed, %llu failed\n", (unsigned long long)tally.passed, (unsigned long long)(tally.failed + !all));
    return tally.failed || !all ? 1 : 0;
}
