/* `pass_through of K`: ins used up by outs, oldest first (RULES 29, 35). */
#include "tests/unit/graph/ledger.h"

Test(pass_through, an_in_is_used_up_at_eighty_per_cent)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', 1000);
    enter(&l, 20, 'K', 'B', 799);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_pass_through, &l, &q).value, 0);
    enter(&l, 30, 'K', 'C', 1);
    q = ask(&l, 'K');
    struct graph_result r = answer(graph_pass_through, &l, &q);
    cr_expect_eq(r.value, 1);
    expect_proof(&r, "1 2 3", "AKBC");
    q.keep = true;
    q.keep_low = 800001;
    cr_expect_eq(answer(graph_pass_through, &l, &q).value, 0);
}

Test(pass_through, the_oldest_in_is_used_first)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', 1000);
    enter(&l, 11, 'B', 'K', 100);
    enter(&l, 20, 'K', 'C', 500);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_pass_through, &l, &q).value, 0, "half of A's is left");
    enter(&l, 30, 'K', 'D', 600);
    q = ask(&l, 'K');
    struct graph_result r = answer(graph_pass_through, &l, &q);
    cr_expect_eq(r.value, 2);
    expect_proof(&r, "1 2 3 4", "AKBCD");
}

Test(pass_through, an_out_uses_no_in_after_it)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'C', 1000);
    enter(&l, 20, 'A', 'K', 100);
    enter(&l, 20, 'K', 'D', 50);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_pass_through, &l, &q).value, 0);
    enter(&l, 20, 'K', 'D', 30);
    q = ask(&l, 'K');
    struct graph_result r = answer(graph_pass_through, &l, &q);
    expect_proof(&r, "2 3 4", "AKD");
}

Test(pass_through, missing_and_empty_amounts_use_nothing)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', MISSING_I64);
    enter(&l, 11, 'B', 'K', 0);
    enter(&l, 12, 'C', 'K', 100);
    enter(&l, 20, 'K', 'D', MISSING_I64);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_pass_through, &l, &q).value, 0);
    enter(&l, 21, 'K', 'E', 100);
    q = ask(&l, 'K');
    struct graph_result r = answer(graph_pass_through, &l, &q);
    expect_proof(&r, "3 5", "CKE");
}

Test(pass_through, is_looked_at_when_the_event_leaves)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', 100);
    enter(&l, 20, 'K', 'B', 100);
    enter(&l, 30, 'C', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_pass_through, &l, &q).value, 0);
}

Test(pass_through, the_largest_amounts_do_not_overflow)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', INT64_MAX);
    enter(&l, 11, 'B', 'K', INT64_MAX);
    enter(&l, 20, 'K', 'C', INT64_MAX);
    enter(&l, 21, 'K', 'C', INT64_MAX / 5 * 4 + 2);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_pass_through, &l, &q).value, 2);
}

Test(pass_through, of_a_hub_the_oldest_legs_are_looked_at)
{
    /* by the newest in alone, B's would seem used up */
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', 1000);
    enter(&l, 11, 'B', 'K', 100);
    enter(&l, 20, 'K', 'C', 100);
    struct graph_query q = ask(&l, 'K');
    q.hub_max = 1;
    struct graph_result r = answer(graph_pass_through, &l, &q);
    cr_expect_eq(r.value, 0);
    cr_expect(r.bounded && r.hub_met);
    cr_expect_eq(r.looked, 2);
}

Test(pass_through, more_than_a_proof_holds_are_counted)
{
    struct ledger l = {0};
    for (int i = 0; i < 60; i++)
        enter(&l, i, (char)('!' + i % 40), 'K', 10);
    for (int i = 0; i < 6; i++)
        enter(&l, 100 + i, 'K', (char)('p' + i), 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_pass_through, &l, &q);
    cr_expect_eq(r.value, 60);
    cr_expect(r.leg_count == GRAPH_PROOF_MAX && r.leg_more == 2);
    cr_expect_eq(r.member_count, 40 + 1 + 6, "members of the legs not named too");
}

/* Of nothing nothing is cut off: so a search tells as much as none, which is what an account without ins is spared. */
Test(pass_through, without_ins_nothing_is_bounded)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'B', 100);
    enter(&l, 11, 'K', 'C', 100);
    struct graph_query q = ask(&l, 'K');
    q.hub_max = 1;
    struct graph_result r = answer(graph_pass_through, &l, &q);
    cr_expect_eq(r.value, 0);
    cr_expect_not(r.bounded || r.hub_met);
    enter(&l, 5, 'A', 'K', 100); /* younger than what is asked about */
    r = answer(graph_pass_through, &l, &q);
    cr_expect_eq(r.value, 0);
    cr_expect_not(r.bounded || r.hub_met);
    enter(&l, 12, 'K', 'D', 100);
    q = ask(&l, 'K');
    q.hub_max = 1;
    r = answer(graph_pass_through, &l, &q);
    cr_expect(r.bounded && r.hub_met);
}
