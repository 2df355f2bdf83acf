/* `hops from K to LIST within H`: how near a listed account is (RULES 33, 35). */
#include "tests/unit/graph/ledger.h"

static struct graph_query within(const struct ledger *l, char account, int hops)
{
    struct graph_query q = ask(l, account);
    q.hops_high = (uint8_t)hops;
    return q;
}

Test(hops, counts_legs_in_any_time_order)
{
    struct ledger l = {0};
    l.listed['C'] = true;
    enter(&l, 30, 'K', 'A', 100);
    enter(&l, 20, 'A', 'B', 100);
    enter(&l, 10, 'B', 'C', 100);
    l.last.time_ms = 30;
    struct graph_query q = within(&l, 'K', 3);
    struct graph_result r = answer(graph_hops, &l, &q);
    cr_expect(r.known && r.value == 3);
    expect_proof(&r, "1 2 3", "KABC");
    q = within(&l, 'K', 2);
    cr_expect(!answer(graph_hops, &l, &q).known, "beyond H");
    q = within(&l, 'C', 0);
    r = answer(graph_hops, &l, &q);
    cr_expect(r.known && r.value == 0, "listed itself");
    expect_proof(&r, "", "C");
    q = within(&l, 'B', 0);
    cr_expect(!answer(graph_hops, &l, &q).known);
    l.listed['C'] = false;
    l.listed['K'] = true;
    q = within(&l, 'B', 6);
    cr_expect(!answer(graph_hops, &l, &q).known, "against the payments' direction");
}

Test(hops, the_fewest_win_then_the_latest)
{
    struct ledger l = {0};
    l.listed['X'] = l.listed['Y'] = true;
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 11, 'A', 'X', 100);
    enter(&l, 12, 'K', 'B', 100);
    enter(&l, 5, 'B', 'Y', 100);
    enter(&l, 6, 'B', 'Y', 100);
    enter(&l, 13, 'K', 'C', 100);
    struct graph_query q = within(&l, 'K', 6);
    struct graph_result r = answer(graph_hops, &l, &q);
    expect_proof(&r, "3 5", "KBY");
}

Test(hops, an_account_without_legs_is_far)
{
    struct ledger l = {0};
    l.listed['X'] = true;
    enter(&l, 10, 'A', 'X', 100);
    struct graph_query q = within(&l, 'K', 6);
    struct graph_result r = answer(graph_hops, &l, &q);
    cr_expect(!r.known && r.value == 0 && !r.bounded);
    q.account = 0;
    cr_expect(!answer(graph_hops, &l, &q).known, "no account, no distance");
}

Test(hops, legs_of_later_events_bring_nothing_nearer)
{
    struct ledger l = {0};
    l.listed['X'] = true;
    enter(&l, 10, 'K', 'A', 100);
    struct graph_query q = within(&l, 'K', 6);
    enter(&l, 9, 'A', 'X', 100);
    cr_expect(!answer(graph_hops, &l, &q).known);
    q = within(&l, 'K', 6);
    q.ceiling_ms = 10;
    cr_expect_eq(answer(graph_hops, &l, &q).value, 2);
    q.floor_ms = 9;
    cr_expect(!answer(graph_hops, &l, &q).known, "out of the window");
}

Test(hops, a_bound_hides_the_nearer)
{
    struct ledger l = {0};
    l.listed['X'] = true;
    enter(&l, 10, 'K', 'X', 100);
    enter(&l, 11, 'K', 'A', 100);
    enter(&l, 12, 'A', 'X', 100);
    struct graph_query q = within(&l, 'K', 6);
    q.hub_max = 1;
    struct graph_result r = answer(graph_hops, &l, &q);
    cr_expect(r.known && r.value == 2 && r.bounded && r.hub_met);
    q.legs_max = 1;
    r = answer(graph_hops, &l, &q);
    cr_expect(!r.known && r.bounded && r.legs_spent);
}
