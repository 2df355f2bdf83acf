/* Graph operators: bounded, exact searches over the legs that accounts hold, as of one event (RULES 27-35).
 *
 * A leg is one settled movement between two known, different accounts. Whoever asks supplies a view: for an
 * account and a direction the legs it holds, oldest (time, seq) first, as they lie in state. Legs younger than
 * the event (a greater seq) may stand among them and are passed over; so a search gives the same answer whether
 * later events of the batch have entered already or not; e itself has entered. Nothing is remembered between searches.
 *
 * Hop order is (time, seq), strictly. Every leg lies in (floor_ms, ceiling_ms] and has seq <= that of the event.
 * `keep` is checked by cross-multiplication over 128 bits; a missing amount keeps nothing. Of several proofs
 * the one with most hops (middles) wins, then the latest first hop, the latest second, and so on.
 *
 * Bounds (RULES 35). Of an account with more than hub_max legs that could be looked at, only the newest are
 * (time, seq); of pass_through the oldest, for what came first is used up first. A search looks at legs_max legs at
 * most, in an order that depends on the legs alone; of a cycle or chain a quarter of them is left for the way forward.
 * When either cut something off, the result is a lower bound (hops: an upper one) and says so.
 *
 * Thread: any, as long as nobody changes what the view shows. Scratch belongs to one thread. No errors: what
 * does not exist is 0 (hops: unknown). */
#ifndef ENGINE_GRAPH_GRAPH_H
#define ENGINE_GRAPH_GRAPH_H

#include "engine/model/event.h"
#include "engine/state/state.h"

enum {
    GRAPH_HOPS_MAX = 12,       /* of a cycle or chain */
    GRAPH_REACH_MAX = 6,       /* of `hops` */
    GRAPH_PROOF_MAX = 64,      /* legs a proof names; more are counted */
    GRAPH_MEMBER_MAX = 64,     /* accounts a proof names; more are counted */
    GRAPH_STAGE_MAX = 16,      /* of one corridor */
    GRAPH_HUB_DEFAULT = 256,
    GRAPH_LEGS_DEFAULT = 20000,
};

/* A leg: what every record of a window begins with (engine/state/state.h); mark is its seq with bits of the window above it. */
struct leg {
    int64_t time_ms;
    uint64_t mark;
    int64_t amount;            /* base minor units; MISSING_I64 */
    entity_id sender, receiver;
};
static inline uint64_t leg_seq(const struct leg *leg)
{
    return leg->mark & (((uint64_t)1 << 48) - 1);
}

/* Legs of one account, oldest first, as state holds them: whole, or packed. */
struct legs {
    struct records records;
};
static inline uint32_t legs_count(const struct legs *legs)
{
    return legs->records.count;
}
static inline struct leg leg_at(const struct legs *legs, uint32_t i)
{
    struct leg leg;
    if (legs->records.words) {
        struct record record;
        records_unpack(&legs->records, i, &record);
        return (struct leg){record.time_ms, record.seq, record.amount, record.sender, record.receiver};
    }
    memcpy(&leg, legs->records.first + (size_t)i * legs->records.stride, sizeof leg);
    return leg;
}
/* What follows a leg that has an extra: those lie whole. */
static inline int64_t leg_extra(const struct legs *legs, uint32_t i)
{
    int64_t extra;
    memcpy(&extra, legs->records.first + (size_t)i * legs->records.stride + sizeof(struct leg), sizeof extra);
    return extra;
}

/* What a search sees. `ins` and `outs`: legs into and out of an account that pass `where`; where `first` or `second`
 * is given (scatter_gather), the first legs and the second legs are asked for apart. */
enum leg_role { LEG_ANY, LEG_FIRST, LEG_SECOND };
struct graph_view {
    const void *context;
    struct legs (*ins)(const void *context, entity_id account, enum leg_role role);
    struct legs (*outs)(const void *context, entity_id account, enum leg_role role);
    /* sharing: what the account carried (extra[0] of each: the value's id), and who carried a value: each
     * of its legs names them as sender, or as receiver where extra[0] is 1 */
    struct legs (*carried)(const void *context, entity_id account);
    struct legs (*carriers)(const void *context, entity_id value);
    /* hops: whether the account is on the list */
    bool (*listed)(const void *context, entity_id account);
    /* route: all legs of the account, cash legs too; extra[0]: the country, MISSING_I64 */
    struct legs (*stops)(const void *context, entity_id account);
};

struct corridor {
    uint8_t count;
    int64_t stage[GRAPH_STAGE_MAX]; /* countries, as events give them */
};

struct graph_query {
    entity_id account;          /* K */
    int64_t floor_ms, ceiling_ms;
    uint8_t hops_low, hops_high;
    uint32_t middles_min;       /* scatter_gather */
    bool keep;                  /* whether keep_low..keep_high is asked for */
    int64_t keep_low, keep_high; /* millionths */
    uint32_t hub_max, legs_max;
    uint16_t corridor_count;    /* route */
    const struct corridor *corridor;
    struct leg event;           /* e itself; its seq in mark; sender and receiver 0 when it is no leg of accounts; last, for it has no end */
};

struct graph_result {
    int64_t value;
    bool known;                 /* false: hops beyond the bound */
    bool bounded;               /* a bound cut something off: RULES 35 */
    bool hub_met, legs_spent;   /* which */
    uint32_t looked;            /* legs looked at */
    uint32_t leg_count, leg_more;
    struct {                    /* the proof, in hop order (pairs one behind the other for scatter_gather) */
        int64_t time_ms;
        uint64_t seq;
        int64_t amount;
        entity_id sender, receiver;
    } leg[GRAPH_PROOF_MAX];
    uint32_t member_count, member_more;
    entity_id member[GRAPH_MEMBER_MAX]; /* in the order of the proof, each once, K among them */
};

/* Room for searches: marks of accounts, queues; grows to what legs_max asks for and stays. */
struct graph_scratch;
struct graph_scratch *graph_scratch_new(void);
void graph_scratch_free(struct graph_scratch *scratch);

/* `cycle through K`: e enters K; the path leaves K and comes back by e; no account twice; most hops in
 * hops_low..hops_high, else 0. */
void graph_cycle(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out);
/* `chain into K`: e enters K; a path that ends in e, no account twice; most hops in range, else 0. */
void graph_chain(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out);
/* `pass_through of K`: e leaves K, else 0. Each out uses up what is left of the ins before it, oldest first; the
 * number of ins used up to at least keep_low (800,000 where keep is false). The proof: these ins and the outs that drew on them. */
void graph_pass_through(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out);
/* `gather_scatter of K`: e is a leg of K. The smaller of distinct senders of the ins, and distinct receivers of the outs
 * after the first in; 0 unless the sum of those outs is keep times the sum of the ins, where keep is asked for (and when
 * a bound was met, for half a sum bounds nothing). The proof: each sender's latest in, each receiver's latest out. */
void graph_gather_scatter(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out);
/* `scatter_gather into K from N middle`: e enters K from one of the middles. Pairs u -> m (first), later m -> K (second),
 * u is not K, the second amount keep times the first; most distinct m of one u that has a pair ending in e; 0 below N. A middle's
 * proof is its pair with the latest first leg, then the latest second (for e's middle: ending in e); pairs stand by
 * their first legs, oldest first. */
void graph_scatter_gather(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out);
/* `sharing of ATTRIBUTE by K`: distinct accounts, K among them, that carried any value that K carried in the window; 0 if none. */
void graph_sharing(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out);
/* `hops from K to LIST within H` (hops_high): fewest legs along the payments' direction, in any time order; 0 if K is
 * listed, unknown beyond H. */
void graph_hops(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out);
/* `route of K along LIST`: most stages of one corridor, strictly forward in stage and (time, seq), touched by K's stops. */
void graph_route(const struct graph_query *query, const struct graph_view *view, struct graph_scratch *scratch, struct graph_result *out);

#endif
