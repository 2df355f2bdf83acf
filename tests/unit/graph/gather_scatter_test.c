/* `gather_scatter of K`: the two sides and their order, `keep` on the sums (RULES 30, 35). */
#include "tests/unit/graph/ledger.h"

Test(gather_scatter, the_smaller_side_counts_distinct_accounts)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', 100);
    enter(&l, 11, 'A', 'K', 100); /* the same again: one sender */
    enter(&l, 12, 'B', 'K', 100);
    enter(&l, 20, 'K', 'C', 100);
    enter(&l, 21, 'K', 'D', 100);
    enter(&l, 22, 'K', 'E', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_gather_scatter, &l, &q);
    cr_expect_eq(r.value, 2);
    expect_proof(&r, "2 3 4 5 6", "AKBCDE");
}

Test(gather_scatter, outs_before_the_first_in_do_not_count_those_between_ins_do)
{
    struct ledger l = {0};
    enter(&l, 5, 'K', 'C', 100);
    enter(&l, 10, 'A', 'K', 100);
    enter(&l, 15, 'K', 'D', 100);
    enter(&l, 20, 'B', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_gather_scatter, &l, &q);
    cr_expect_eq(r.value, 1);
    expect_proof(&r, "2 3 4", "AKDB");
    q.floor_ms = 15;
    cr_expect_eq(answer(graph_gather_scatter, &l, &q).value, 0, "the first in of the window comes after the out");
}

Test(gather_scatter, the_event_must_be_a_leg_of_the_account)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', 100);
    enter(&l, 20, 'K', 'B', 100);
    enter(&l, 30, 'A', 'B', 100);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_gather_scatter, &l, &q).value, 0);
}

Test(gather_scatter, keep_is_held_against_the_sums)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', 500);
    enter(&l, 11, 'B', 'K', 500);
    enter(&l, 12, 'C', 'K', MISSING_I64); /* no part of the sum */
    enter(&l, 20, 'K', 'D', 400);
    enter(&l, 21, 'K', 'E', 350);
    struct graph_query q = ask(&l, 'K');
    q.keep = true;
    q.keep_low = 750000;
    q.keep_high = 1250000;
    cr_expect_eq(answer(graph_gather_scatter, &l, &q).value, 2);
    q.keep_low = 750001;
    cr_expect_eq(answer(graph_gather_scatter, &l, &q).value, 0);
    q.keep_low = 0;
    q.keep_high = 749999;
    cr_expect_eq(answer(graph_gather_scatter, &l, &q).value, 0);
}

Test(gather_scatter, sums_without_a_known_amount_keep_nothing)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', MISSING_I64);
    enter(&l, 20, 'K', 'D', 0);
    struct graph_query q = ask(&l, 'K');
    q.keep = true;
    q.keep_high = INT64_MAX;
    cr_expect_eq(answer(graph_gather_scatter, &l, &q).value, 0);
}

Test(gather_scatter, half_a_sum_bounds_nothing)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', 100);
    enter(&l, 11, 'B', 'K', 100);
    enter(&l, 20, 'K', 'D', 100);
    enter(&l, 21, 'K', 'E', 100);
    struct graph_query q = ask(&l, 'K');
    q.hub_max = 1;
    struct graph_result r = answer(graph_gather_scatter, &l, &q);
    cr_expect(r.bounded && r.hub_met);
    expect_proof(&r, "2 4", "BKE");
    q.keep = true;
    q.keep_high = INT64_MAX;
    r = answer(graph_gather_scatter, &l, &q);
    cr_expect(r.bounded && r.value == 0);
}
