/* Random temporal multigraphs for the model of the graph searches, and the view that searches get of them. */
#ifndef TESTS_SIMULATION_GRAPH_WORLD_H
#define TESTS_SIMULATION_GRAPH_WORLD_H

#include "engine/base/invariant.h"
#include "engine/graph/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Mostly a dozen accounts, where everything happens; one world in WIDE_EVERY is wide, so that tables and lists grow. */
enum { LEGS = 400, ACCOUNTS = 201, LEGS_NARROW = 44, ACCOUNTS_NARROW = 12, WIDE_EVERY = 40 };
enum { ASKS = 4000, VALUES = 4, CORRIDORS = 3, UNBOUNDED = 100000000, TIMES = 30, TIMES_WIDE = 400 };
enum { PASSES = 1, PASSES_FIRST = 2, PASSES_SECOND = 4 };
enum op { CYCLE, CHAIN, PASS_THROUGH, GATHER_SCATTER, SCATTER_GATHER, SHARING, HOPS, ROUTE, OPS };
static const char *const op_name[OPS] = {"cycle", "chain", "pass_through", "gather_scatter", "scatter_gather", "sharing", "hops", "route"};

/* A leg with room for its one extra. */
union held {
    struct leg leg;
    int64_t room[5];
};

struct edge {
    int64_t time_ms, amount;
    uint64_t seq;
    entity_id sender, receiver;
    uint32_t passes;
    int64_t value, country;
    bool value_of_receiver;
};

enum list { INS, OUTS, INS_FIRST, OUTS_FIRST, INS_SECOND, OUTS_SECOND, CARRIED, CARRIERS, STOPS, LISTS };
struct shown { /* part of a list's legs */
    uint32_t first, count;
};
struct ask {
    enum list list;
    uint32_t key;
};
struct world {
    struct edge edge[LEGS];     /* in hop order */
    int count, accounts, times;
    bool wide;
    int index_of[LEGS + 1];     /* by seq */
    int planted;                /* where a planted pattern ends, or -1 */
    bool listed[ACCOUNTS];
    struct corridor corridor[CORRIDORS];
    struct shown shown[LISTS][ACCOUNTS]; /* as the view shows them */
    union held held[LISTS][2 * LEGS];
    struct ask asked[ASKS];     /* in the run at hand */
    int ask_count;
    struct graph_query query;   /* last, for it has no end */
};

/* --- chance --- */

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
static inline int64_t below(uint64_t *state, int64_t bound)
{
    return (int64_t)(next_random(state) % (uint64_t)bound);
}

/* Account numbers are far apart, as the engine's are: its shard in the low bits. */
static inline entity_id id_of(int number)
{
    return number ? (entity_id)(number * 256 + number % 3) : 0;
}
static inline int number_of(entity_id id)
{
    return (int)(id / 256);
}

/* --- the world --- */

static inline int edge_order(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static inline int some_account(uint64_t *chance, int accounts, bool hub)
{
    return hub && below(chance, accounts > ACCOUNTS_NARROW ? 12 : 3) == 0 ? 1 : 1 + (int)below(chance, accounts);
}

static inline void make_edges(struct world *world, uint64_t *chance, enum op op)
{
    bool hub = below(chance, 2) && !(world->wide && op == ROUTE), ordered = below(chance, 3), alike = below(chance, 2), clean = below(chance, 2);
    int64_t times = 1 + below(chance, world->times);
    for (int i = 0; i < world->count; i++) {
        struct edge *edge = &world->edge[i];
        int sender = some_account(chance, world->accounts, hub), receiver = some_account(chance, world->accounts, hub);
        *edge = (struct edge){.seq = (uint64_t)i + 1, .sender = id_of(sender), .receiver = id_of(receiver)};
        edge->time_ms = ordered ? i * times / world->count + (below(chance, 6) ? 0 : -below(chance, 6)) : below(chance, times);
        edge->amount = below(chance, clean ? 200 : 25) == 0 ? MISSING_I64 : alike ? 90 + below(chance, 20) : 1 + below(chance, 12);
        if (below(chance, 40) == 0)
            edge->amount = 0;
        if (below(chance, 400) == 0)
            edge->amount = INT64_MAX - below(chance, 3);
        if (!clean && below(chance, 12) == 0)
            *(below(chance, 2) ? &edge->sender : &edge->receiver) = 0;
        edge->passes = (clean || below(chance, 10) ? PASSES : 0) | (below(chance, 4) ? PASSES_FIRST : 0) | (below(chance, 4) ? PASSES_SECOND : 0);
        edge->value = below(chance, 3) ? MISSING_I64 : 1 + below(chance, VALUES);
        edge->value_of_receiver = below(chance, 2);
        edge->country = below(chance, 4) ? below(chance, 5) : MISSING_I64;
    }
    qsort(world->edge, (size_t)world->count, sizeof *world->edge, edge_order);
    for (int i = 0; i < world->count; i++)
        world->index_of[world->edge[i].seq] = i;
}

/* So many edges from the oldest on, at random, that are still in hop order. */
static inline void some_edges(const struct world *world, uint64_t *chance, int wanted, int *index)
{
    for (int i = 0, taken = 0; taken < wanted; i++)
        if (below(chance, world->count - i) < wanted - taken)
            index[taken++] = i;
}

/* Lays a path of distinct accounts, or a fan out and in again, over edges of the world; chance alone seldom makes long ones. */
static inline void plant(struct world *world, uint64_t *chance, enum op op)
{
    int account[ACCOUNTS], index[LEGS], length = 2 + (int)below(chance, world->accounts - 1);
    if (!(op == SCATTER_GATHER) && length > GRAPH_HOPS_MAX)
        length = GRAPH_HOPS_MAX;
    bool fan = op == SCATTER_GATHER;
    for (int i = 0; i < world->accounts; i++) {
        int other = (int)below(chance, i + 1);
        account[i] = account[other];
        account[other] = i + 1;
    }
    if (fan) /* two are the ends, the others middles, each with two legs */
        length = 2 * (length - 2);
    if (length > world->count || length < 2)
        return;
    some_edges(world, chance, length, index);
    for (int i = 0; i < length; i++) {
        int middle = 2 + i % (length / 2);
        int from = fan ? (i < length / 2 ? 0 : middle) : i, to = fan ? (i < length / 2 ? middle : 1) : i + 1;
        to %= op == CYCLE ? length : world->accounts;
        world->edge[index[i]].sender = id_of(account[from]);
        world->edge[index[i]].receiver = id_of(account[to]);
        world->edge[index[i]].passes = PASSES | PASSES_FIRST | PASSES_SECOND;
        world->edge[index[i]].amount = below(chance, 10) ? 90 + below(chance, 20) : world->edge[index[i]].amount;
    }
    world->planted = index[length - 1];
}

static inline bool edge_is_leg(const struct edge *edge)
{
    return edge->sender && edge->receiver && edge->sender != edge->receiver;
}

static inline void make_query(struct world *world, uint64_t *chance, enum op op)
{
    struct graph_query *query = &world->query;
    /* mostly one of the later events, so that there is something to find */
    const struct edge *e = &world->edge[below(chance, 3) ? world->count - 1 - below(chance, (world->count + 2) / 3) : below(chance, world->count)];
    if (world->planted >= 0 && below(chance, 3))
        e = &world->edge[world->planted];
    bool leg = edge_is_leg(e) && e->passes & (op == SCATTER_GATHER ? PASSES_SECOND : PASSES);
    *query = (struct graph_query){.hub_max = UNBOUNDED, .legs_max = UNBOUNDED};
    uint64_t bit = below(chance, 2) ? (uint64_t)1 << 63 : 0;
    query->event = (struct leg){e->time_ms, e->seq | bit, e->amount, leg ? e->sender : 0, leg ? e->receiver : 0};
    query->ceiling_ms = e->time_ms + (below(chance, 3) ? 0 : below(chance, 8));
    query->floor_ms = query->ceiling_ms - (below(chance, 3) ? world->times + 20 : below(chance, world->times));
    query->account = below(chance, 12) == 0 ? id_of(1 + (int)below(chance, world->accounts))
                     : op == PASS_THROUGH || op == HOPS || (op == GATHER_SCATTER && below(chance, 2)) ? e->sender : e->receiver;
    query->hops_low = (uint8_t)(op == CHAIN || op == CYCLE ? 1 + below(chance, 3) : 0);
    query->hops_high = (uint8_t)(op == HOPS ? below(chance, GRAPH_REACH_MAX + 1) : query->hops_low + below(chance, 10));
    query->middles_min = (uint32_t)below(chance, 4);
    query->keep = below(chance, 2);
    query->keep_low = below(chance, 40) == 0 ? INT64_MAX / 3 : 100000 * below(chance, 11);
    query->keep_high = below(chance, 40) == 0 ? INT64_MAX : query->keep_low + 100000 * below(chance, 30);
    query->corridor_count = (uint16_t)below(chance, CORRIDORS + 1);
    query->corridor = world->corridor;
    for (int c = 0; c < CORRIDORS; c++) {
        world->corridor[c].count = (uint8_t)below(chance, 7);
        for (int s = 0; s < world->corridor[c].count; s++)
            world->corridor[c].stage[s] = below(chance, 5);
    }
    for (int a = 0; a <= world->accounts; a++)
        world->listed[a] = below(chance, 7) == 0;
}

static inline void make_world(struct world *world, uint64_t *chance, enum op op)
{
    world->wide = below(chance, WIDE_EVERY) == 0;
    world->times = world->wide ? TIMES_WIDE : TIMES;
    world->accounts = world->wide ? 40 + (int)below(chance, ACCOUNTS - 40) : 3 + (int)below(chance, ACCOUNTS_NARROW - 2);
    /* models that try every path want fewer legs */
    world->count = 1 + (int)below(chance, op == HOPS ? 28 : op == ROUTE ? 26 : LEGS_NARROW);
    if (below(chance, 3) && world->count < 24)
        world->count += 15;
    if (world->wide)
        world->count = world->accounts + (int)below(chance, world->accounts);
    make_edges(world, chance, op);
    world->planted = -1;
    if (below(chance, 2) && op != SHARING && op != ROUTE)
        plant(world, chance, op);
    make_query(world, chance, op);
}

/* --- what the search sees --- */

/* Counts a leg, or puts it where the counting said. */
static inline void show(struct world *world, bool put, enum list list, int key, const struct edge *edge, int64_t extra)
{
    struct shown *shown = &world->shown[list][key];
    uint32_t at = shown->first + shown->count++;
    uint64_t bit = list % 2 ? 0 : (uint64_t)1 << 63;
    if (!put)
        return;
    world->held[list][at].leg = (struct leg){edge->time_ms, edge->seq | bit, edge->amount, edge->sender, edge->receiver};
    world->held[list][at].room[4] = extra;
}

/* Everything, or only what counts: up to e, and legs between two accounts. */
static inline void show_edges(struct world *world, bool put, bool everything)
{
    for (int i = 0; i < world->count; i++) {
        const struct edge *edge = &world->edge[i];
        int from = number_of(edge->sender), to = number_of(edge->receiver);
        if (!everything && edge->seq > leg_seq(&world->query.event))
            continue;
        for (int where = 0; where < 3; where++)
            if (edge->passes & (1u << where) && (everything || edge_is_leg(edge))) {
                show(world, put, (enum list)(OUTS + 2 * where), from, edge, 7);
                show(world, put, (enum list)(INS + 2 * where), to, edge, 7);
            }
        if (edge->value != MISSING_I64) {
            show(world, put, CARRIED, edge->value_of_receiver ? to : from, edge, edge->value);
            show(world, put, CARRIERS, (int)edge->value, edge, edge->value_of_receiver);
        }
        if (from)
            show(world, put, STOPS, from, edge, edge->country);
        if (to && to != from)
            show(world, put, STOPS, to, edge, edge->country);
    }
}

static inline void show_all(struct world *world, bool everything)
{
    int keys = world->accounts > VALUES ? world->accounts : VALUES;
    for (int list = 0; list < LISTS; list++)
        for (int key = 0; key <= keys; key++)
            world->shown[list][key] = (struct shown){0};
    show_edges(world, false, everything);
    for (int list = 0; list < LISTS; list++)
        for (uint32_t key = 0, first = 0; key <= (uint32_t)keys; key++) {
            struct shown *shown = &world->shown[list][key];
            shown->first = first;
            first += shown->count;
            shown->count = 0;
        }
    show_edges(world, true, everything);
}

/* The context that the view is given is the world, which notes what was asked for. */
static inline struct legs look(const void *context, enum list list, uint32_t key)
{
    struct world *world = *(struct world *const *)context;
    invariant(world->ask_count < ASKS && key < ACCOUNTS);
    world->asked[world->ask_count++] = (struct ask){list, key};
    const struct shown *shown = &world->shown[list][key];
    return (struct legs){{.first = (const char *)(world->held[list] + shown->first), .count = shown->count, .stride = sizeof(union held)}};
}
static inline struct legs view_ins(const void *context, entity_id account, enum leg_role role)
{
    return look(context, (enum list)(INS + 2 * (int)role), (uint32_t)number_of(account));
}
static inline struct legs view_outs(const void *context, entity_id account, enum leg_role role)
{
    return look(context, (enum list)(OUTS + 2 * (int)role), (uint32_t)number_of(account));
}
static inline struct legs view_carried(const void *context, entity_id account)
{
    return look(context, CARRIED, (uint32_t)number_of(account));
}
static inline struct legs view_carriers(const void *context, entity_id value)
{
    return look(context, CARRIERS, value);
}
static inline bool view_listed(const void *context, entity_id account)
{
    return (*(struct world *const *)context)->listed[number_of(account)];
}
static inline struct legs view_stops(const void *context, entity_id account)
{
    return look(context, STOPS, (uint32_t)number_of(account));
}

static inline void run(struct world *world, enum op op, struct graph_scratch *scratch, struct graph_result *out)
{
    struct graph_view view = {&world, view_ins, view_outs, view_carried, view_carriers, view_listed, view_stops};
    world->ask_count = 0;
    switch (op) {
    case CYCLE: graph_cycle(&world->query, &view, scratch, out); break;
    case CHAIN: graph_chain(&world->query, &view, scratch, out); break;
    case PASS_THROUGH: graph_pass_through(&world->query, &view, scratch, out); break;
    case GATHER_SCATTER: graph_gather_scatter(&world->query, &view, scratch, out); break;
    case SCATTER_GATHER: graph_scatter_gather(&world->query, &view, scratch, out); break;
    case SHARING: graph_sharing(&world->query, &view, scratch, out); break;
    case HOPS: graph_hops(&world->query, &view, scratch, out); break;
    default: graph_route(&world->query, &view, scratch, out); break;
    }
}

#endif
