/* `scatter_gather into K from N middle`: who counts as a middle, and of whom (RULES 31, 35). */
#include "tests/unit/graph/ledger.h"

static void enter_three(struct ledger *l)
{
    enter(l, 10, 'U', 'A', 100);
    enter(l, 11, 'U', 'B', 100);
    enter(l, 12, 'U', 'C', 100);
    enter(l, 20, 'C', 'K', 100);
    enter(l, 21, 'B', 'K', 100);
    enter(l, 22, 'A', 'K', 100);
}

Test(scatter_gather, three_middles)
{
    struct ledger l = {0};
    enter_three(&l);
    struct graph_query q = ask(&l, 'K');
    q.middles_min = 3;
    struct graph_result r = answer(graph_scatter_gather, &l, &q);
    cr_expect_eq(r.value, 3);
    expect_proof(&r, "1 6 2 5 3 4", "UAKBC");
    q.middles_min = 4;
    r = answer(graph_scatter_gather, &l, &q);
    cr_expect_eq(r.value, 0, "below N");
    expect_proof(&r, "", "");
}

Test(scatter_gather, a_middle_must_receive_before_it_pays)
{
    struct ledger l = {0};
    enter(&l, 9, 'B', 'K', 100);
    enter(&l, 10, 'U', 'A', 100);
    enter(&l, 11, 'U', 'B', 100);
    enter(&l, 20, 'A', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_scatter_gather, &l, &q).value, 1);
    struct ledger back = {0};
    enter(&back, 10, 'A', 'B', 100);
    enter(&back, 10, 'B', 'K', 100);
    q = ask(&back, 'K');
    cr_expect_eq(answer(graph_scatter_gather, &back, &q).value, 1, "of equal times the sequence number decides");
}

Test(scatter_gather, a_pair_must_end_in_the_event)
{
    struct ledger l = {0};
    enter_three(&l);
    enter(&l, 30, 'Z', 'K', 100); /* nobody paid Z */
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_scatter_gather, &l, &q).value, 0);
    enter(&l, 31, 'V', 'Z', 100);
    enter(&l, 32, 'Z', 'K', 100);
    q = ask(&l, 'K');
    struct graph_result r = answer(graph_scatter_gather, &l, &q);
    expect_proof(&r, "8 9", "VZK");
}

Test(scatter_gather, a_late_event_still_completes_what_others_did_after_it)
{
    struct ledger l = {0};
    enter(&l, 10, 'U', 'A', 100);
    enter(&l, 30, 'U', 'B', 100);
    enter(&l, 40, 'B', 'K', 100);
    enter(&l, 20, 'A', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    q.ceiling_ms = 40;
    struct graph_result r = answer(graph_scatter_gather, &l, &q);
    expect_proof(&r, "1 4 2 3", "UAKB");
    q.floor_ms = 20;
    cr_expect_eq(answer(graph_scatter_gather, &l, &q).value, 0, "the event itself is outside");
}

Test(scatter_gather, the_account_does_not_pay_itself)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 11, 'K', 'B', 100);
    enter(&l, 20, 'A', 'K', 100);
    enter(&l, 21, 'B', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_scatter_gather, &l, &q).value, 0);
}

Test(scatter_gather, each_side_has_its_filter)
{
    struct ledger l = {0};
    enter_as(&l, 1u << LEG_FIRST, 10, 'U', 'A', 100);
    enter_as(&l, 1u << LEG_SECOND, 11, 'U', 'B', 100); /* not as a first leg */
    enter_as(&l, 1u << LEG_FIRST, 12, 'U', 'C', 100);
    enter_as(&l, 1u << LEG_SECOND, 20, 'B', 'K', 100);
    enter_as(&l, 1u << LEG_FIRST, 21, 'C', 'K', 100); /* not as a second */
    enter_as(&l, 1u << LEG_SECOND, 22, 'A', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_scatter_gather, &l, &q);
    expect_proof(&r, "1 6", "UAK");
}

Test(scatter_gather, keep_is_held_per_pair_the_latest_pair_shows_it)
{
    struct ledger l = {0};
    enter(&l, 9, 'U', 'B', 100);
    enter(&l, 10, 'U', 'B', 300); /* later, but does not fit */
    enter(&l, 11, 'U', 'A', 100);
    enter(&l, 20, 'B', 'K', 90);
    enter(&l, 21, 'B', 'K', 110);
    enter(&l, 22, 'A', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    q.keep = true;
    q.keep_low = 900000;
    q.keep_high = 1100000;
    struct graph_result r = answer(graph_scatter_gather, &l, &q);
    expect_proof(&r, "1 5 3 6", "UBKA");
    q.keep_high = 1099999;
    r = answer(graph_scatter_gather, &l, &q);
    expect_proof(&r, "1 4 3 6", "UBKA");
}

Test(scatter_gather, of_as_many_middles_the_payer_who_began_later)
{
    struct ledger l = {0};
    enter(&l, 8, 'U', 'A', 100);
    enter(&l, 9, 'V', 'A', 100);
    enter(&l, 10, 'V', 'B', 100);
    enter(&l, 15, 'U', 'B', 100);
    enter(&l, 20, 'B', 'K', 100);
    enter(&l, 21, 'A', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_scatter_gather, &l, &q);
    expect_proof(&r, "2 6 3 5", "VAKB");
}

Test(scatter_gather, bounds_leave_fewer_middles)
{
    struct ledger l = {0};
    enter_three(&l);
    struct graph_query q = ask(&l, 'K');
    struct graph_result whole = answer(graph_scatter_gather, &l, &q);
    cr_expect(!whole.bounded);
    for (q.legs_max = 0; q.legs_max < whole.looked; q.legs_max++) {
        struct graph_result r = answer(graph_scatter_gather, &l, &q);
        cr_expect(r.bounded && r.legs_spent && r.value <= 3 && r.looked == q.legs_max);
    }
    q.legs_max = UNBOUNDED;
    q.hub_max = 2;
    struct graph_result r = answer(graph_scatter_gather, &l, &q);
    cr_expect(r.bounded && r.hub_met);
    expect_proof(&r, "1 6 2 5", "UAKB");
}
