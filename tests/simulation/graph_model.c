/* Holds the graph searches against slow, obvious models (RULES 27-35) on random temporal multigraphs: parallel legs, equal
 * times, late legs, legs of later events, self-transfers and cash ends offered or left out, hubs, missing amounts. Values and proofs are
 * compared; then with small bounds, whether the result is a bound and is marked exactly when one was met.
 * Usage: graph_model [WORLDS [SEED]], or graph_model dump WORLDS SEED: cycles as JSON lines for another judge. */
#include "tests/simulation/graph_world.h"

enum { PATH = 2 * LEGS };

/* --- the models: all that is possible, and the best of it --- */

struct answer {
    int64_t value;
    bool known;
    int count, edge[PATH];
    int member_count;
    entity_id member[2 * PATH];
};

static bool usable(const struct world *world, int i, uint32_t passes)
{
    const struct edge *edge = &world->edge[i];
    const struct graph_query *query = &world->query;
    return edge->seq <= leg_seq(&query->event) && edge->time_ms > query->floor_ms && edge->time_ms <= query->ceiling_ms &&
           (!passes || (edge_is_leg(edge) && edge->passes & passes));
}

static bool keeps(const struct graph_query *query, int64_t first, int64_t second)
{
    if (!query->keep)
        return true;
    if (first == MISSING_I64 || second == MISSING_I64)
        return false;
    return (__int128)second * 1000000 >= (__int128)first * query->keep_low && (__int128)second * 1000000 <= (__int128)first * query->keep_high;
}

/* Where e stands among the edges, -1 when it is no leg in the window. */
static int event_index(const struct world *world)
{
    const struct leg *e = &world->query.event;
    for (int i = 0; i < world->count; i++)
        if (world->edge[i].seq == leg_seq(e) && e->sender && usable(world, i, 0))
            return i;
    return -1;
}

static void member(struct answer *answer, entity_id account)
{
    for (int i = 0; i < answer->member_count; i++)
        if (answer->member[i] == account)
            return;
    if (account)
        answer->member[answer->member_count++] = account;
}

static void members_of_edges(const struct world *world, struct answer *answer)
{
    for (int i = 0; i < answer->count; i++) {
        member(answer, world->edge[answer->edge[i]].sender);
        member(answer, world->edge[answer->edge[i]].receiver);
    }
}

/* Whether path a is lexicographically later than b, both as long. */
static bool later(const int *a, const int *b, int length)
{
    for (int i = 0; i < length; i++)
        if (a[i] != b[i])
            return a[i] > b[i];
    return false;
}

static void answer_offer(struct answer *answer, const int *path, int length)
{
    if (length < answer->count || (length == answer->count && !later(path, answer->edge, length)))
        return;
    answer->count = length;
    memcpy(answer->edge, path, (size_t)length * sizeof *path);
}

static bool on_path(const struct world *world, const int *path, int length, entity_id account)
{
    for (int i = 0; i < length; i++)
        if (world->edge[path[i]].sender == account || world->edge[path[i]].receiver == account)
            return true;
    return false;
}

/* Every path of legs before e that begins as it may; those that reach e's sender are offered. */
static void model_paths(const struct world *world, bool cycle, int e, int *path, int length, struct answer *answer)
{
    const struct graph_query *query = &world->query;
    const struct edge *last = length ? &world->edge[path[length - 1]] : NULL;
    if (length + 1 > query->hops_high)
        return;
    if ((last && last->receiver == query->event.sender) || (!last && !cycle)) {
        path[length] = e;
        if (length + 1 >= query->hops_low && (!last || keeps(query, last->amount, query->event.amount)))
            answer_offer(answer, path, length + 1);
        if (last)
            return;
    }
    for (int i = length ? path[length - 1] + 1 : 0; i < e; i++) {
        const struct edge *edge = &world->edge[i];
        bool goes_on = last ? edge->sender == last->receiver && keeps(query, last->amount, edge->amount)
                       : cycle ? edge->sender == query->account
                               : edge->sender != query->account && edge->sender != query->event.sender;
        if (!goes_on || !usable(world, i, PASSES) || edge->receiver == query->account || on_path(world, path, length, edge->receiver))
            continue;
        path[length] = i;
        model_paths(world, cycle, e, path, length + 1, answer);
    }
}

static void model_path(const struct world *world, bool cycle, struct answer *answer)
{
    int e = event_index(world), path[PATH];
    if (e < 0 || world->query.event.receiver != world->query.account)
        return;
    model_paths(world, cycle, e, path, 0, answer);
    answer->value = answer->count;
    members_of_edges(world, answer);
}

static void model_pass_through(const struct world *world, struct answer *answer)
{
    entity_id k = world->query.account;
    int64_t left[LEGS], keep = world->query.keep ? world->query.keep_low : 800000;
    bool drew[LEGS][LEGS] = {{false}}, shown[LEGS] = {false};
    if (event_index(world) < 0 || world->query.event.sender != k)
        return;
    for (int i = 0; i < world->count; i++)
        left[i] = world->edge[i].amount == MISSING_I64 ? 0 : world->edge[i].amount;
    for (int out = 0; out < world->count; out++) {
        if (!usable(world, out, PASSES) || world->edge[out].sender != k)
            continue;
        int64_t money = left[out];
        for (int in = 0; in < out; in++) {
            if (!usable(world, in, PASSES) || world->edge[in].receiver != k)
                continue;
            int64_t taken = money < left[in] ? money : left[in];
            left[in] -= taken;
            money -= taken;
            drew[in][out] = taken > 0;
        }
    }
    for (int in = 0; in < world->count; in++) {
        int64_t amount = world->edge[in].amount;
        if (!usable(world, in, PASSES) || world->edge[in].receiver != k || amount == MISSING_I64 || left[in] == amount)
            continue;
        if ((__int128)(amount - left[in]) * 1000000 < (__int128)amount * keep)
            continue;
        answer->value++;
        shown[in] = true;
        for (int out = in; out < world->count; out++)
            shown[out] |= drew[in][out];
    }
    for (int i = 0; i < world->count; i++)
        if (shown[i])
            answer->edge[answer->count++] = i;
    members_of_edges(world, answer);
}

static void model_gather_scatter(const struct world *world, struct answer *answer)
{
    const struct graph_query *query = &world->query;
    int latest_in[ACCOUNTS], latest_out[ACCOUNTS], first = -1, ins = 0, outs = 0, known_in = 0, known_out = 0;
    __int128 sum_in = 0, sum_out = 0;
    bool shown[LEGS] = {false};
    if (event_index(world) < 0 || (query->event.sender != query->account && query->event.receiver != query->account))
        return;
    for (int a = 0; a < ACCOUNTS; a++)
        latest_in[a] = latest_out[a] = -1;
    for (int i = 0; i < world->count; i++) {
        const struct edge *edge = &world->edge[i];
        if (!usable(world, i, PASSES))
            continue;
        if (edge->receiver == query->account) {
            first = first < 0 ? i : first;
            latest_in[number_of(edge->sender)] = i;
            sum_in += edge->amount == MISSING_I64 ? 0 : edge->amount;
            known_in += edge->amount != MISSING_I64;
        } else if (edge->sender == query->account && first >= 0) {
            latest_out[number_of(edge->receiver)] = i;
            sum_out += edge->amount == MISSING_I64 ? 0 : edge->amount;
            known_out += edge->amount != MISSING_I64;
        }
    }
    for (int a = 0; a < ACCOUNTS; a++) {
        ins += latest_in[a] >= 0;
        outs += latest_out[a] >= 0;
    }
    /* by division, where products would not fit: out * million in [low * in, high * in] */
    __int128 scaled = sum_out * 1000000, low = query->keep_low, high = query->keep_high;
    bool within = (low == 0 || sum_in <= scaled / low) && (high == 0 ? scaled == 0 : sum_in >= (scaled + high - 1) / high);
    if (query->keep && (!known_in || !known_out || !within))
        return;
    answer->value = ins < outs ? ins : outs;
    for (int a = 0; a < ACCOUNTS && answer->value; a++) {
        if (latest_in[a] >= 0)
            shown[latest_in[a]] = true;
        if (latest_out[a] >= 0)
            shown[latest_out[a]] = true;
    }
    for (int i = 0; i < world->count; i++)
        if (shown[i])
            answer->edge[answer->count++] = i;
    members_of_edges(world, answer);
}

/* The best pair u -> m -> K; false when there is none. For e's middle the second leg is e. */
static bool model_pair(const struct world *world, int e, entity_id u, entity_id m, int pair[2])
{
    pair[0] = pair[1] = -1;
    for (int f = 0; f < world->count; f++)
        for (int g = f + 1; g < world->count && world->edge[f].sender == u && world->edge[f].receiver == m; g++) {
            const struct edge *first = &world->edge[f], *second = &world->edge[g];
            bool fits = m == world->query.event.sender ? g == e : usable(world, g, PASSES_SECOND);
            if (!fits || !usable(world, f, PASSES_FIRST) || second->sender != m ||
                second->receiver != world->query.account || !keeps(&world->query, first->amount, second->amount))
                continue;
            if (f > pair[0] || (f == pair[0] && g > pair[1])) {
                pair[0] = f;
                pair[1] = g;
            }
        }
    return pair[0] >= 0;
}

static int pair_order(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void model_scatter_gather(const struct world *world, struct answer *answer)
{
    entity_id k = world->query.account, middle_of_e = world->query.event.sender;
    int e = event_index(world);
    if (e < 0 || world->query.event.receiver != k)
        return;
    for (int u = 1; u <= world->accounts; u++) {
        int pairs[LEGS][2], count = 0, path[PATH];
        if (id_of(u) == k || id_of(u) == middle_of_e || !model_pair(world, e, id_of(u), middle_of_e, pairs[0]))
            continue;
        for (int m = 1; m <= world->accounts; m++)
            count += id_of(m) != k && m != u && model_pair(world, e, id_of(u), id_of(m), pairs[count]);
        qsort(pairs, (size_t)count, sizeof *pairs, pair_order);
        for (int i = 0; i < 2 * count; i++)
            path[i] = pairs[i / 2][i % 2];
        if (count >= (int)world->query.middles_min)
            answer_offer(answer, path, 2 * count);
    }
    answer->value = answer->count / 2;
    members_of_edges(world, answer);
}

static entity_id carrier(const struct edge *edge)
{
    return edge->value_of_receiver ? edge->receiver : edge->sender;
}

static void model_sharing(const struct world *world, struct answer *answer)
{
    for (int i = world->count; i-- > 0 && world->query.account;) {
        const struct edge *mine = &world->edge[i];
        if (!usable(world, i, 0) || mine->value == MISSING_I64 || carrier(mine) != world->query.account)
            continue;
        if (!answer->count)
            answer->edge[answer->count++] = i;
        member(answer, carrier(mine));
        for (int j = world->count; j-- > 0;) {
            const struct edge *edge = &world->edge[j];
            int before = answer->member_count;
            if (usable(world, j, 0) && edge->value == mine->value)
                member(answer, carrier(edge));
            if (answer->member_count > before)
                answer->edge[answer->count++] = j;
        }
    }
    answer->value = answer->member_count;
}

/* Every way from K of at most hops_high legs; the fewest, then the latest. */
static void model_ways(const struct world *world, entity_id at, int *path, int length, struct answer *answer)
{
    if (world->listed[number_of(at)]) {
        if (!answer->known || length < answer->count || (length == answer->count && later(path, answer->edge, length))) {
            answer->count = length;
            memcpy(answer->edge, path, (size_t)length * sizeof *path);
        }
        answer->known = true;
        return;
    }
    for (int i = 0; i < world->count && length < world->query.hops_high; i++) {
        const struct edge *edge = &world->edge[i];
        if (edge->sender != at || !usable(world, i, PASSES) || on_path(world, path, length, edge->receiver))
            continue;
        path[length] = i;
        model_ways(world, edge->receiver, path, length + 1, answer);
    }
}

static void model_hops(const struct world *world, struct answer *answer)
{
    int path[PATH];
    answer->known = false;
    if (!world->query.account)
        return;
    model_ways(world, world->query.account, path, 0, answer);
    answer->value = answer->known ? answer->count : 0;
    if (answer->known)
        member(answer, world->query.account);
    members_of_edges(world, answer);
}

static void model_stops(const struct world *world, const struct corridor *corridor, int stage, int *path, int length, struct answer *answer)
{
    answer_offer(answer, path, length);
    for (int i = length ? path[length - 1] + 1 : 0; i < world->count; i++) {
        const struct edge *edge = &world->edge[i];
        if (!usable(world, i, 0) || (edge->sender != world->query.account && edge->receiver != world->query.account))
            continue;
        for (int s = stage; s < corridor->count; s++)
            if (corridor->stage[s] == edge->country) {
                path[length] = i;
                model_stops(world, corridor, s + 1, path, length + 1, answer);
            }
    }
}

static void model_route(const struct world *world, struct answer *answer)
{
    int path[PATH];
    for (int c = 0; c < world->query.corridor_count && world->query.account; c++)
        model_stops(world, &world->corridor[c], 0, path, 0, answer);
    answer->value = answer->count;
    if (answer->count)
        member(answer, world->query.account);
    members_of_edges(world, answer);
}

static void model(const struct world *world, enum op op, struct answer *answer)
{
    *answer = (struct answer){.known = true};
    switch (op) {
    case CYCLE: model_path(world, true, answer); break;
    case CHAIN: model_path(world, false, answer); break;
    case PASS_THROUGH: model_pass_through(world, answer); break;
    case GATHER_SCATTER: model_gather_scatter(world, answer); break;
    case SCATTER_GATHER: model_scatter_gather(world, answer); break;
    case SHARING: model_sharing(world, answer); break;
    case HOPS: model_hops(world, answer); break;
    default: model_route(world, answer); break;
    }
}

/* --- judging --- */

static const char *differs(const struct world *world, const struct answer *want, const struct graph_result *got)
{
    if (want->known != got->known || want->value != got->value)
        return "value";
    if ((uint32_t)want->count != got->leg_count + got->leg_more || (got->leg_more && got->leg_count != GRAPH_PROOF_MAX))
        return "length of the proof";
    for (uint32_t i = 0; i < got->leg_count; i++) {
        const struct edge *edge = &world->edge[want->edge[i]];
        if (edge->seq != got->leg[i].seq || edge->time_ms != got->leg[i].time_ms || edge->amount != got->leg[i].amount ||
            edge->sender != got->leg[i].sender || edge->receiver != got->leg[i].receiver)
            return "proof";
    }
    if ((uint32_t)want->member_count != got->member_count + got->member_more || (got->member_more && got->member_count != GRAPH_MEMBER_MAX))
        return "number of members";
    for (uint32_t i = 0; i < got->member_count; i++)
        if (want->member[i] != got->member[i])
            return "members";
    return NULL;
}

static bool same(const struct graph_result *a, const struct graph_result *b)
{
    return a->value == b->value && a->known == b->known && a->bounded == b->bounded && a->hub_met == b->hub_met &&
           a->legs_spent == b->legs_spent && a->looked == b->looked && a->leg_count == b->leg_count && a->member_count == b->member_count &&
           memcmp(a->leg, b->leg, a->leg_count * sizeof *a->leg) == 0 && memcmp(a->member, b->member, a->member_count * sizeof *a->member) == 0;
}

/* Legs in the list asked for that the search could have looked at. */
static uint32_t visible(const struct world *world, enum op op, const struct ask *ask)
{
    const struct shown *shown = &world->shown[ask->list][ask->key];
    const struct graph_query *query = &world->query;
    bool any = op == SHARING || op == ROUTE;
    bool before_e = op == CYCLE || op == CHAIN || (op == SCATTER_GATHER && ask->list == INS_FIRST);
    int first = -1, e = event_index(world);
    uint32_t count = 0;
    if (op == GATHER_SCATTER && ask->list == OUTS)
        first = world->count; /* without an in no out counts */
    for (int i = 0; i < world->count && (first < 0 || first == world->count); i++)
        if (usable(world, i, PASSES) && ((op == CYCLE && world->edge[i].sender == query->account) ||
                                         (op == GATHER_SCATTER && ask->list == OUTS && world->edge[i].receiver == query->account)))
            first = i;
    for (uint32_t s = 0; s < shown->count; s++) {
        int i = world->index_of[leg_seq(&world->held[ask->list][shown->first + s].leg)];
        count += i >= first && i < (before_e ? e : world->count) && usable(world, i, 0) && (any || edge_is_leg(&world->edge[i]));
    }
    return count;
}

static bool hub_was_met(const struct world *world, enum op op)
{
    for (int i = 0; i < world->ask_count; i++) {
        if (op == CYCLE && world->asked[i].list == OUTS)
            continue; /* asked for K's first leg out alone */
        if (visible(world, op, &world->asked[i]) > world->query.hub_max)
            return true;
    }
    return false;
}

/* What a bounded cycle or chain shows is one, if not the best. */
static bool path_holds(const struct world *world, const struct graph_result *got)
{
    for (uint32_t i = 0; i + 1 < got->leg_count; i++) {
        int64_t apart_ms = got->leg[i + 1].time_ms - got->leg[i].time_ms;
        if (apart_ms < 0 || (apart_ms == 0 && got->leg[i + 1].seq <= got->leg[i].seq) || got->leg[i].receiver != got->leg[i + 1].sender || !keeps(&world->query, got->leg[i].amount, got->leg[i + 1].amount))
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (got->leg[j].sender == got->leg[i].receiver)
                return false;
    }
    return got->leg_count == (uint32_t)got->value && (!got->value || got->leg[got->leg_count - 1].seq == leg_seq(&world->query.event));
}

static const char *judge_bounded(struct world *world, enum op op, const struct answer *want, uint64_t *chance, struct graph_scratch *scratch,
                                 uint64_t *marked)
{
    struct graph_result unspent, got;
    world->query.hub_max = below(chance, 3) ? 1 + (uint32_t)below(chance, 6) : UNBOUNDED;
    run(world, op, scratch, &unspent);
    if (unspent.hub_met != hub_was_met(world, op))
        return "mark of the hub bound";
    if (unspent.legs_spent)
        return "spent without a bound on legs";
    uint32_t legs_max = world->query.legs_max = 1 + (uint32_t)below(chance, unspent.looked < 4 ? 8 : 2 * unspent.looked);
    run(world, op, scratch, &got);
    /* a quarter of the legs is kept for the way forward, so a path's way back may end sooner */
    uint32_t least = op == CYCLE || op == CHAIN ? legs_max - legs_max / 4 : legs_max;
    if (got.looked > legs_max || (got.legs_spent ? unspent.looked <= least : unspent.looked > legs_max))
        return "mark of the bound on legs";
    if (got.bounded != (got.hub_met || got.legs_spent))
        return "mark";
    if (got.bounded && op == HOPS ? got.known && (!want->known || got.value < want->value) : got.value > want->value)
        return "bound";
    if ((op == CYCLE || op == CHAIN) && !path_holds(world, &got))
        return "bounded proof";
    *marked += got.bounded;
    return got.bounded ? NULL : differs(world, want, &got);
}

static void tell(const struct world *world, enum op op, uint64_t seed, const char *what, const struct answer *want, const struct graph_result *got)
{
    const struct graph_query *q = &world->query;
    printf("%s, seed %llu: %s differs; model %lld%s, search %lld%s (bounded %d, looked %u)\n", op_name[op], (unsigned long long)seed, what,
           (long long)want->value, want->known ? "" : " unknown", (long long)got->value, got->known ? "" : " unknown", got->bounded, got->looked);
    printf("  K %d, e %llu, window (%lld, %lld], hops %d..%d, keep %d %lld..%lld, hub %u, legs %u\n", number_of(q->account),
           (unsigned long long)leg_seq(&q->event), (long long)q->floor_ms, (long long)q->ceiling_ms, q->hops_low, q->hops_high, q->keep,
           (long long)q->keep_low, (long long)q->keep_high, q->hub_max, q->legs_max);
    for (int i = 0; i < world->count; i++)
        printf("  t %lld s %llu: %d -> %d, %lld (passes %u)\n", (long long)world->edge[i].time_ms, (unsigned long long)world->edge[i].seq,
               number_of(world->edge[i].sender), number_of(world->edge[i].receiver), (long long)world->edge[i].amount, world->edge[i].passes);
    printf("  model:");
    for (int i = 0; i < want->count; i++)
        printf(" %llu", (unsigned long long)world->edge[want->edge[i]].seq);
    printf("\n  search:");
    for (uint32_t i = 0; i < got->leg_count; i++)
        printf(" %llu", (unsigned long long)got->leg[i].seq);
    printf("\n");
}

/* What worlds hold that is easily got wrong. */
enum trait { PARALLEL, SELF, ALIKE, LATE, HUB, TRAITS };
static const char *const trait_name[TRAITS] = {"parallel legs", "self-transfers", "equal times", "late legs", "hubs"};

/* A hub: an account with a third of all legs. */
static bool has_trait(const struct world *world, enum trait trait)
{
    int legs_of[ACCOUNTS] = {0}, most = 0;
    for (int i = 0; i < world->count; i++) {
        const struct edge *edge = &world->edge[i];
        legs_of[number_of(edge->sender)] += edge_is_leg(edge);
        legs_of[number_of(edge->receiver)] += edge_is_leg(edge);
        if (trait == SELF && edge->sender && edge->sender == edge->receiver)
            return true;
        for (int j = 0; j < i; j++) {
            const struct edge *before = &world->edge[j]; /* in hop order */
            bool pair = edge_is_leg(edge) && before->sender == edge->sender && before->receiver == edge->receiver;
            if ((trait == PARALLEL && pair) || (trait == ALIKE && before->time_ms == edge->time_ms) ||
                (trait == LATE && before->seq > edge->seq && before->time_ms < edge->time_ms))
                return true;
        }
    }
    for (int a = 1; a < ACCOUNTS; a++)
        most = legs_of[a] > most ? legs_of[a] : most;
    return trait == HUB && most >= 6 && 3 * most >= world->count;
}

struct tally {
    uint64_t worlds, found, longest, marked, with[TRAITS];
};

static bool try_world(struct world *world, enum op op, uint64_t seed, struct graph_scratch *scratch, struct tally *tally)
{
    uint64_t chance = seed;
    struct answer want;
    struct graph_result all, bare;
    make_world(world, &chance, op);
    model(world, op, &want);
    show_all(world, false);
    run(world, op, scratch, &bare);
    show_all(world, true);
    run(world, op, scratch, &all);
    const char *wrong = differs(world, &want, &all);
    if (!wrong && !same(&all, &bare))
        wrong = "answer with later and other legs in the view";
    if (!wrong && (all.bounded || all.hub_met || all.legs_spent))
        wrong = "mark without a bound";
    if (wrong) {
        tell(world, op, seed, wrong, &want, &all);
        return false;
    }
    tally->worlds++;
    for (enum trait trait = PARALLEL; trait < TRAITS; trait++)
        tally->with[trait] += has_trait(world, trait);
    tally->found += want.value > 0;
    tally->longest = want.value > (int64_t)tally->longest ? (uint64_t)want.value : tally->longest;
    wrong = judge_bounded(world, op, &want, &chance, scratch, &tally->marked);
    if (wrong) {
        run(world, op, scratch, &all);
        tell(world, op, seed, wrong, &want, &all);
    }
    return !wrong;
}

/* One world of cycles as a JSON line: legs that count in hop order, what is asked, what the search found. */
static void dump_world(struct world *world, uint64_t seed, struct graph_scratch *scratch)
{
    uint64_t chance = seed;
    struct graph_result got;
    do
        make_world(world, &chance, CYCLE);
    while (event_index(world) < 0 || world->query.event.receiver != world->query.account);
    show_all(world, true);
    run(world, CYCLE, scratch, &got);
    const struct graph_query *q = &world->query;
    printf("{\"hops\":[%d,%d],\"keep\":", q->hops_low, q->hops_high);
    q->keep ? printf("[%lld,%lld]", (long long)q->keep_low, (long long)q->keep_high) : printf("null");
    printf(",\"event\":%llu,\"legs\":[", (unsigned long long)leg_seq(&q->event));
    const char *comma = "";
    for (int i = 0; i < world->count; i++) {
        const struct edge *edge = &world->edge[i];
        if (!usable(world, i, PASSES))
            continue;
        printf("%s[%lld,%llu,%d,%d,", comma, (long long)edge->time_ms, (unsigned long long)edge->seq, number_of(edge->sender),
               number_of(edge->receiver));
        edge->amount == MISSING_I64 ? printf("null]") : printf("%lld]", (long long)edge->amount);
        comma = ",";
    }
    printf("],\"value\":%lld,\"proof\":[", (long long)got.value);
    for (uint32_t i = 0; i < got.leg_count; i++)
        printf("%s%llu", i ? "," : "", (unsigned long long)got.leg[i].seq);
    printf("]}\n");
}

/* False: a model that never finds anything, or sees no world of a kind, judges nothing. */
static bool tell_tally(enum op op, const struct tally *tally)
{
    uint64_t least = tally->worlds / 50;
    bool enough = tally->found >= least && tally->longest >= 3 && tally->marked >= least;
    printf("%-15s %llu worlds, found in %llu, longest %llu; with small bounds marked %llu;", op_name[op], (unsigned long long)tally->worlds,
           (unsigned long long)tally->found, (unsigned long long)tally->longest, (unsigned long long)tally->marked);
    for (enum trait trait = PARALLEL; trait < TRAITS; trait++) {
        printf("%s %s in %llu", trait ? "," : "", trait_name[trait], (unsigned long long)tally->with[trait]);
        enough = enough && tally->with[trait] >= least;
    }
    printf("\n%s", enough ? "" : "  too little of it to judge by\n");
    return enough;
}

int main(int argc, char **argv)
{
    bool dump = argc > 1 && strcmp(argv[1], "dump") == 0;
    int first = dump ? 2 : 1;
    uint64_t worlds = argc > first ? strtoull(argv[first], NULL, 10) : 50000;
    uint64_t seed = argc > first + 1 ? strtoull(argv[first + 1], NULL, 10) : 1;
    uint64_t passed = 0, failed = 0;
    struct graph_scratch *scratch = graph_scratch_new();
    struct world *world = calloc(1, sizeof *world);
    invariant(world != NULL);
    for (uint64_t i = 0; dump && i < worlds; i++)
        dump_world(world, seed * 1000003 + i, scratch);
    for (enum op op = CYCLE; op < OPS && !dump; op++) {
        struct tally tally = {0};
        for (uint64_t i = 0; i < worlds && failed < 5; i++)
            try_world(world, op, (seed * 1000003 + i) * OPS + op, scratch, &tally) ? passed++ : failed++;
        failed += !tell_tally(op, &tally) && worlds >= 1000 && failed == 0;
    }
    graph_scratch_free(scratch);
    free(world);
    if (!dump)
        printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    return failed != 0;
}
