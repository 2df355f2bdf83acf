/* `chain into K`: how far money can be traced back from e (RULES 28, 35). */
#include "tests/unit/graph/ledger.h"

Test(chain, the_event_alone_is_one_hop)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'K', MISSING_I64);
    struct graph_query q = ask(&l, 'K');
    q.keep = true; /* nothing before it to keep */
    struct graph_result r = answer(graph_chain, &l, &q);
    cr_expect_eq(r.value, 1);
    expect_proof(&r, "1", "AK");
    q.hops_low = 2;
    cr_expect_eq(answer(graph_chain, &l, &q).value, 0);
    q.account = 'A';
    q.hops_low = 1;
    cr_expect_eq(answer(graph_chain, &l, &q).value, 0, "the event enters K, not A");
}

Test(chain, the_longest_wins_then_the_latest_beginning)
{
    struct ledger l = {0};
    enter(&l, 10, 'A', 'B', 100);
    enter(&l, 11, 'D', 'B', 100);
    enter(&l, 20, 'B', 'C', 100);
    enter(&l, 25, 'E', 'C', 100);
    enter(&l, 30, 'C', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_chain, &l, &q);
    expect_proof(&r, "2 3 5", "DBCK");
    q.hops_high = 2;
    r = answer(graph_chain, &l, &q);
    expect_proof(&r, "4 5", "ECK");
}

Test(chain, does_not_pass_through_its_end_or_its_last_payer)
{
    struct ledger l = {0};
    enter(&l, 10, 'K', 'A', 100);
    enter(&l, 15, 'C', 'A', 100);
    enter(&l, 20, 'A', 'C', 100);
    enter(&l, 30, 'C', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_chain, &l, &q);
    expect_proof(&r, "3 4", "ACK");
}

Test(chain, a_shorter_one_stands_in_where_the_longer_repeats_an_account)
{
    struct ledger l = {0};
    enter(&l, 5, 'B', 'A', 100);
    enter(&l, 10, 'A', 'D', 100);
    enter(&l, 15, 'D', 'B', 100); /* B A D B C K would pass B twice */
    enter(&l, 20, 'B', 'C', 100);
    enter(&l, 30, 'C', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_chain, &l, &q);
    expect_proof(&r, "2 3 4 5", "ADBCK");
}

Test(chain, ends_at_a_late_event_only_what_was_before)
{
    struct ledger l = {0};
    enter(&l, 40, 'A', 'B', 100);
    enter(&l, 30, 'B', 'K', 100);
    struct graph_query q = ask(&l, 'K');
    q.ceiling_ms = 40;
    cr_expect_eq(answer(graph_chain, &l, &q).value, 1);
    q.floor_ms = 30;
    cr_expect_eq(answer(graph_chain, &l, &q).value, 0, "the event itself is outside");
}

Test(chain, a_spent_budget_leaves_a_shorter_chain)
{
    struct ledger l = {0};
    for (int i = 0; i < 11; i++) {
        enter(&l, 10 * i, (char)('A' + i), i < 10 ? (char)('A' + i + 1) : 'Z', 100);
        for (int other = 0; other < 3 && i < 10; other++)
            enter(&l, 10 * i + 1 + other, (char)('a' + other), (char)('A' + i + 1), 100);
    }
    struct graph_query q = ask(&l, 'Z');
    cr_expect_eq(answer(graph_chain, &l, &q).value, 11);
    q.legs_max = 48;
    struct graph_result r = answer(graph_chain, &l, &q);
    cr_expect(r.bounded && r.legs_spent);
    cr_expect(r.value >= 3 && r.value < 11, "%d hops: a quarter of the legs is left for the way forward", (int)r.value);
    cr_expect(r.looked <= 48);
}
