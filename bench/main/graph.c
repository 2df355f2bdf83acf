/* How fast the graph searches are: random payments among accounts whose activity follows Zipf's law, each stored, then searched.
 * Per row: events per second of processor time, all the work counted (expiry, insertion, searches, chance, clocks), and per search
 * its time on the clock and the legs it looked at; beyond p99.9 that clock shows who else used the machine.
 * Usage: graph [EVENTS [ROW]]; without arguments 5,080,000 events among 515,000 accounts in 10 days, all rows. */
#include "engine/base/invariant.h"
#include "engine/graph/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ACCOUNTS = 515000, EVENTS = 5080000, HOUR_MS = 3600000, DAYS = 10, BUCKET_NS = 10, BUCKETS = 1 << 20, LOOKS = 20001 };
enum op { CYCLE, SCATTER_GATHER, CHAIN, PASS_THROUGH, GATHER_SCATTER, HOPS, OPS };
static const char *const op_name[OPS] = {"cycle", "scatter_gather", "chain", "pass_through", "gather_scatter", "hops"};
typedef void search_fn(const struct graph_query *, const struct graph_view *, struct graph_scratch *, struct graph_result *);
static search_fn *const op_search[OPS] = {graph_cycle, graph_scatter_gather, graph_chain, graph_pass_through, graph_gather_scatter, graph_hops};

struct row {
    const char *name;
    int cycle_h, gather_h, hops_high;
    uint32_t hub_max, legs_max;
    double zipf;
    bool keep;
    int ops; /* the first so many */
};
/* The rows of the table that these searches are held against, and all searches with the widest window. Without
 * keep nothing prunes but time. */
static const struct row rows[] = {
    {"24 h / 6 h, hops 10, cap 256, budget 20,000, zipf 0.6", 24, 6, 10, 256, 20000, 0.6, true, 2},
    {"24 h / 6 h, hops 10, cap 256, budget 20,000, zipf 0.6, without keep", 24, 6, 10, 256, 20000, 0.6, false, 2},
    {"96 h / 96 h, hops 12, cap 256, budget 20,000, zipf 0.6", 96, 96, 12, 256, 20000, 0.6, true, 2},
    {"96 h / 96 h, hops 12, cap 256, budget 20,000, zipf 0.6, without keep", 96, 96, 12, 256, 20000, 0.6, false, 2},
    {"96 h / 96 h, hops 12, cap 64, budget 2,000, zipf 0.8", 96, 96, 12, 64, 2000, 0.8, true, 2},
    {"96 h / 96 h, hops 12, cap 64, budget 2,000, zipf 0.8, without keep", 96, 96, 12, 64, 2000, 0.8, false, 2},
    {"all searches: 96 h, hops 12, cap 256, budget 20,000, zipf 0.6", 96, 96, 12, 256, 20000, 0.6, true, OPS},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* Legs of one account and direction, oldest first. */
struct ring {
    struct leg *leg;
    uint32_t head, count, room;
};
struct store {
    struct ring *in, *out; /* by account */
};
struct tally {
    uint32_t *ns;     /* histogram */
    uint32_t *looked;
    uint64_t searches, found, bounded;
};

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static double fraction(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *zeroed(size_t count, size_t bytes)
{
    void *room = calloc(count, bytes);
    invariant(room != NULL);
    return room;
}

static void ring_add(struct ring *ring, const struct leg *leg, int64_t floor_ms)
{
    while (ring->count && ring->leg[ring->head].time_ms <= floor_ms) {
        ring->head++;
        ring->count--;
    }
    if (ring->head + ring->count == ring->room) {
        if (ring->head < ring->room / 2 || !ring->room) {
            ring->room = ring->room ? 2 * ring->room : 4;
            ring->leg = realloc(ring->leg, ring->room * sizeof *ring->leg);
            invariant(ring->leg != NULL);
        }
        memmove(ring->leg, ring->leg + ring->head, ring->count * sizeof *ring->leg);
        ring->head = 0;
    }
    ring->leg[ring->head + ring->count++] = *leg;
}

static struct legs ring_legs(const struct ring *ring)
{
    return (struct legs){{.first = (const char *)(ring->leg + ring->head), .count = ring->count, .stride = sizeof *ring->leg}};
}
static struct legs view_ins(const void *context, entity_id account, enum leg_role role)
{
    (void)role;
    return ring_legs(&((const struct store *)context)->in[account]);
}
static struct legs view_outs(const void *context, entity_id account, enum leg_role role)
{
    (void)role;
    return ring_legs(&((const struct store *)context)->out[account]);
}
/* One account in a thousand. */
static bool view_listed(const void *context, entity_id account)
{
    (void)context;
    return account % 1000 == 0;
}

/* The account of a rank drawn by Zipf's law; senders and receivers are busy independently of one another. */
static entity_id some_account(uint64_t *chance, double zipf, uint64_t stride)
{
    uint64_t rank = (uint64_t)(ACCOUNTS * pow(fraction(chance), 1 / (1 - zipf)));
    return (entity_id)(1 + rank * stride % ACCOUNTS);
}

static void search(const struct row *row, enum op op, const struct leg *e, const struct store *store, struct graph_scratch *scratch,
                   struct tally *tally)
{
    struct graph_view view = {.context = store, .ins = view_ins, .outs = view_outs, .listed = view_listed};
    struct graph_query query = {.ceiling_ms = e->time_ms, .hops_low = 3, .hops_high = (uint8_t)row->hops_high, .middles_min = 3, .keep = row->keep,
                                .keep_low = 750000, .keep_high = 1250000, .hub_max = row->hub_max, .legs_max = row->legs_max, .event = *e};
    struct graph_result result;
    query.account = op == PASS_THROUGH || op == GATHER_SCATTER ? e->sender : e->receiver;
    query.floor_ms = e->time_ms - (int64_t)(op == SCATTER_GATHER ? row->gather_h : row->cycle_h) * HOUR_MS;
    if (op == HOPS)
        query.hops_high = 3;
    if (op == GATHER_SCATTER)
        query.keep = false;
    uint64_t begin = now_ns(CLOCK_MONOTONIC);
    op_search[op](&query, &view, scratch, &result);
    uint64_t ns = now_ns(CLOCK_MONOTONIC) - begin;
    tally->searches++;
    tally->found += op == HOPS ? result.known : result.value > 0;
    tally->bounded += result.bounded;
    tally->ns[ns / BUCKET_NS < BUCKETS ? ns / BUCKET_NS : BUCKETS - 1]++;
    tally->looked[result.looked]++;
}

static uint64_t quantile(const uint32_t *histogram, uint64_t total, double q)
{
    uint64_t seen = 0, i = 0;
    for (; seen + histogram[i] < (uint64_t)ceil(q * (double)total); i++)
        seen += histogram[i];
    return i;
}

static void report(const struct row *row, uint64_t events, uint64_t ns, const struct tally tally[OPS])
{
    static const double q_at[] = {0.5, 0.99, 0.999, 0.9999};
    static const char *const q_name[] = {"50", "99", "99.9", "99.99"};
    printf("%s\n  %.0f events/s\n", row->name, (double)events * 1e9 / (double)ns);
    for (int op = 0; op < row->ops; op++) {
        const struct tally *t = &tally[op];
        printf("  %-15s ns", op_name[op]);
        for (int q = 0; q < 4; q++)
            printf("  p%-5s %7llu", q_name[q], (unsigned long long)quantile(t->ns, t->searches, q_at[q]) * BUCKET_NS);
        printf("   legs");
        for (int q = 0; q < 4; q++)
            printf("  p%-5s %5llu", q_name[q], (unsigned long long)quantile(t->looked, t->searches, q_at[q]));
        printf("   found %llu, bounded %llu\n", (unsigned long long)t->found, (unsigned long long)t->bounded);
    }
    (void)fflush(stdout);
}

static void run_row(const struct row *row, uint64_t events)
{
    struct store store = {zeroed(ACCOUNTS + 1, sizeof(struct ring)), zeroed(ACCOUNTS + 1, sizeof(struct ring))};
    struct graph_scratch *scratch = graph_scratch_new();
    struct tally tally[OPS] = {{0}};
    for (int op = 0; op < OPS; op++)
        tally[op] = (struct tally){.ns = zeroed(BUCKETS, sizeof(uint32_t)), .looked = zeroed(LOOKS, sizeof(uint32_t))};
    uint64_t chance = 42, begin = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t span_ms = (int64_t)DAYS * 24 * HOUR_MS, widest_ms = (int64_t)(row->cycle_h > row->gather_h ? row->cycle_h : row->gather_h) * HOUR_MS;
    for (uint64_t i = 0; i < events; i++) {
        struct leg leg = {.time_ms = (int64_t)((double)i * (double)span_ms / (double)events), .mark = i + 1};
        leg.amount = (int64_t)(1000 * exp(6 * fraction(&chance))); /* from 10.00 to 4,034.00 */
        leg.sender = some_account(&chance, row->zipf, 7919);
        leg.receiver = some_account(&chance, row->zipf, 104729);
        if (leg.sender == leg.receiver)
            continue;
        ring_add(&store.out[leg.sender], &leg, leg.time_ms - widest_ms);
        ring_add(&store.in[leg.receiver], &leg, leg.time_ms - widest_ms);
        for (enum op op = CYCLE; op < (enum op)row->ops; op++)
            search(row, op, &leg, &store, scratch, &tally[op]);
    }
    report(row, events, now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin, tally);
    for (int op = 0; op < OPS; op++) {
        free(tally[op].ns);
        free(tally[op].looked);
    }
    for (uint32_t a = 0; a <= ACCOUNTS; a++) {
        free(store.in[a].leg);
        free(store.out[a].leg);
    }
    free(store.in);
    free(store.out);
    graph_scratch_free(scratch);
}

int main(int argc, char **argv)
{
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : EVENTS, only = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    for (uint64_t r = 0; r < ROWS; r++)
        if (!only || only == r + 1)
            run_row(&rows[r], events);
    return 0;
}
