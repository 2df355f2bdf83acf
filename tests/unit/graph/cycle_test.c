/* `cycle through K`: what counts as a ring, which of several is shown, and what bounds do (RULES 27, 35). */
#include "tests/unit/graph/ledger.h"

Test(cycle, money_comes_back_in_three_hops)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 20, 'A', 'B', 100);
    enter(&l, 30, 'B', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_cycle, &l, &q);
    cr_expect_eq(r.value, 3);
    cr_expect(r.known && !r.bounded);
    expect_proof(&r, "1 2 3", "KAB");
    q.hops_low = 4;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0, "too short");
    q.hops_low = 1;
    q.hops_high = 2;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0, "too long");
}

Test(cycle, the_event_must_enter_the_account)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 30, 'A', 'K', 100);
    struct graph_query q = ask(&l, 'A');
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0);
    q.account = 'K';
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 2);
    q.event.sender = q.event.receiver = 0;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0, "no leg");
}

Test(cycle, an_account_without_legs_out_has_none)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'B', 100);
    enter(&l, 20, 'B', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_cycle, &l, &q);
    cr_expect_eq(r.value, 0);
    cr_expect_eq(r.looked, 0, "and nothing is looked at");
    expect_proof(&r, "", "");
}

Test(cycle, of_equal_times_the_sequence_number_decides)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 10, 'A', 'B', 100);
    enter(&l, 10, 'B', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 3);
    struct ledger back = {0};
    enter(&back, 10, 'A', 'B', 100);
    enter(&back, 10, 'K', 'A', 100);
    enter(&back, 10, 'B', 'K', 100);
    q = ask(&back, 'K');
    cr_expect_eq(answer(graph_cycle, &back, &q).value, 0, "A paid before it was paid");
}

Test(cycle, a_late_leg_counts_at_its_own_time)
{
    struct ledger l = {0};
    enter(&l, 30, 'B', 'K', 100);
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 20, 'A', 'B', 100); /* completes the ring, but is not what enters K */
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0);
    enter(&l, 40, 'B', 'K', 100);
    q = ask(&l, 'K');
    struct graph_result r = answer(graph_cycle, &l, &q);
    expect_proof(&r, "2 3 4", "KAB");
}

Test(cycle, a_late_event_closes_with_what_is_before_it)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 40, 'A', 'B', 100);
    enter(&l, 30, 'B', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    q.ceiling_ms = 40;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0, "A paid B after B paid K");
}

Test(cycle, the_window_excludes_its_floor_and_includes_its_ceiling)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 30, 'A', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    q.floor_ms = 10;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0);
    q.floor_ms = 9;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 2);
    q.floor_ms = 30;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0, "a late event outside the window");
}

Test(cycle, legs_of_later_events_change_nothing)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 30, 'A', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result before = answer(graph_cycle, &l, &q);
    enter(&l, 15, 'A', 'B', 100); /* would make three hops */
    enter(&l, 20, 'B', 'A', 100);
    enter(&l, 12, 'K', 'A', 100); /* would be the later first hop */
    struct graph_result after = answer(graph_cycle, &l, &q);
    cr_expect_eq(after.value, 2);
    cr_expect_eq(after.looked, before.looked);
    expect_proof(&after, "1 2", "KA");
}

Test(cycle, a_self_transfer_is_no_leg)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 15, 'A', 'A', 100);
    enter(&l, 17, 'K', 'K', 100);
    enter(&l, 20, 'A', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_cycle, &l, &q);
    expect_proof(&r, "1 4", "KA");
    enter(&l, 30, 'K', 'K', 100);
    q = ask(&l, 'K');
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0);
}

Test(cycle, no_account_comes_twice)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 20, 'A', 'B', 100);
    enter(&l, 30, 'B', 'C', 100);
    enter(&l, 40, 'C', 'A', 100); /* back to A: a loop of three inside */
    enter(&l, 50, 'A', 'D', 100);
    enter(&l, 60, 'D', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_cycle, &l, &q);
    expect_proof(&r, "1 5 6", "KAD");
    enter(&l, 70, 'K', 'E', 100);
    enter(&l, 80, 'E', 'K', 100); /* through K itself: not one ring of five */
    q = ask(&l, 'K');
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 2);
}

Test(cycle, most_hops_win_then_the_latest_first_hop_then_the_second)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 11, 'K', 'A', 100);
    enter(&l, 20, 'A', 'B', 100);
    enter(&l, 21, 'A', 'B', 100);
    enter(&l, 25, 'K', 'B', 100); /* later, but one hop less */
    enter(&l, 30, 'B', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_cycle, &l, &q);
    expect_proof(&r, "2 4 6", "KAB");
    q.hops_high = 2;
    r = answer(graph_cycle, &l, &q);
    expect_proof(&r, "5 6", "KB");
}

Test(cycle, each_amount_is_held_against_the_one_before_both_ends_included)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 1000);
    enter(&l, 20, 'A', 'B', 750);
    enter(&l, 30, 'B', 'K', 937); /* 937 : 750 is 124.93 % */
    struct graph_query q = ask(&l, 'K');
    q.keep = true;
    q.keep_low = 750000;
    q.keep_high = 1250000;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 3);
    q.keep_low = 750001;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0);
    q.keep_low = 750000;
    q.keep_high = 1249333;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0);
    q.keep_high = 1249334;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 3);
}

Test(cycle, a_missing_amount_keeps_nothing)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 20, 'A', 'B', MISSING_I64);
    enter(&l, 30, 'B', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 3, "without keep amounts do not matter");
    q.keep = true;
    q.keep_high = INT64_MAX;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0);
}

Test(cycle, the_largest_amounts_are_compared_exactly)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', INT64_MAX);
    enter(&l, 20, 'A', 'B', INT64_MAX - 1);
    enter(&l, 30, 'B', 'K', INT64_MAX - 1);
    struct graph_query q = ask(&l, 'K');
    q.keep = true;
    q.keep_low = q.keep_high = 1000000;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0, "one cent is missing");
    q.keep_low = 999999;
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 3);
}

Test(cycle, twelve_hops_are_found_and_thirteen_are_not)
{
    struct ledger l = {0};
    const char *around = "KABCDEFGHIJL";
    for (int i = 0; i < 12; i++)
        enter(&l, 10 + i, around[i], around[(i + 1) % 12], 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_cycle, &l, &q);
    cr_expect_eq(r.value, 12);
    expect_proof(&r, "1 2 3 4 5 6 7 8 9 10 11 12", around);
    enter(&l, 40, 'K', 'A', 100);
    for (int i = 1; i < 12; i++)
        enter(&l, 40 + i, around[i], i < 11 ? around[i + 1] : 'M', 100);
    enter(&l, 60, 'M', 'K', 100);
    q = ask(&l, 'K');
    cr_expect_eq(answer(graph_cycle, &l, &q).value, 0);
}

Test(cycle, of_a_hub_only_the_newest_legs_are_looked_at)
{
    struct ledger l = {0};
    enter(&l, 1, 'K', 'A', 100);
    enter(&l, 10, 'A', 'H', 100);
    for (int i = 0; i < 4; i++)
        enter(&l, 20 + i, (char)('P' + i), 'H', 100);
    enter(&l, 15, 'H', 'H', 100); /* no leg: takes no place among the newest */
    enter(&l, 30, 'H', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    enter(&l, 25, 'T', 'H', 100); /* later than the event: none either */
    q.hub_max = 5;
    struct graph_result r = answer(graph_cycle, &l, &q);
    cr_expect_eq(r.value, 3);
    cr_expect(!r.bounded && !r.hub_met);
    q.hub_max = 4;
    r = answer(graph_cycle, &l, &q);
    cr_expect_eq(r.value, 0);
    cr_expect(r.bounded && r.hub_met && !r.legs_spent);
    cr_expect_eq(r.looked, 4 * 2, "each leg, and e behind it");
}

Test(cycle, a_spent_budget_is_said)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 20, 'A', 'B', 100);
    enter(&l, 30, 'B', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result whole = answer(graph_cycle, &l, &q);
    for (q.legs_max = 0; q.legs_max < whole.looked; q.legs_max++) {
        struct graph_result r = answer(graph_cycle, &l, &q);
        cr_expect(r.bounded && r.legs_spent && !r.hub_met, "%u legs", q.legs_max);
        cr_expect(r.looked <= q.legs_max);
        cr_expect(r.value == 0 || r.value == 3);
    }
    q.legs_max = 2 * whole.looked;
    cr_expect(!answer(graph_cycle, &l, &q).bounded);
}

/* Forty others pay U before U pays K, and were paid by ten each. */
static void enter_busy_payer(struct ledger *l, int64_t time_ms)
{
    for (int i = 0; i < 40; i++)
        for (int j = 0; j < 10; j++)
            enter(l, time_ms, (char)('a' + j), (char)('!' + i % 26), 100);
    for (int i = 0; i < 40; i++)
        enter(l, time_ms + 1, (char)('!' + i % 26), 'U', 100);
}

Test(cycle, a_busy_payer_costs_little_where_money_of_the_account_never_came)
{
    struct ledger l = {0};
    enter(&l, 1, 'K', 'A', 100);
    enter(&l, 2, 'A', 'B', 100);
    enter_busy_payer(&l, 10);
    enter(&l, 20, 'U', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_cycle, &l, &q);
    cr_expect_eq(r.value, 0);
    cr_expect_leq(r.looked, 2 * 40 + 2, "U's ins, and K's outs to their end");
    cr_expect(!r.bounded);
}

Test(cycle, where_money_of_the_account_goes_too_far_to_follow_nothing_is_left_out)
{
    struct ledger l = {0};
    for (char middle = 'B'; middle <= 'D'; middle++) {
        enter(&l, 1, 'K', middle, 100);
        for (int i = 0; i < 60; i++)
            enter(&l, 2, middle, (char)('k' + i % 16), 100);
    }
    enter(&l, 3, 'K', 'A', 100);
    enter(&l, 4, 'A', 'U', 100);
    enter_busy_payer(&l, 10);
    enter(&l, 20, 'U', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_cycle, &l, &q);
    cr_expect_eq(r.value, 3);
}
