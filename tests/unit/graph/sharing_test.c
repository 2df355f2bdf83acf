/* `sharing of ATTRIBUTE by K`: who carried what K carried (RULES 32, 35). */
#include "tests/unit/graph/ledger.h"

Test(sharing, everybody_with_any_of_the_values)
{
    struct ledger l = {0};
    enter_carried(&l, 10, 'A', 'Z', '1');
    enter_carried(&l, 11, 'B', 'Z', '2');
    enter_carried(&l, 12, 'C', 'Z', '3'); /* K never had it */
    enter_carried(&l, 13, 'K', 'Z', '1');
    enter_carried(&l, 14, 'A', 'Z', '1');
    enter_carried(&l, 15, 'K', 'Z', '2');
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_sharing, &l, &q);
    cr_expect_eq(r.value, 3);
    expect_proof(&r, "6 2 5", "KBA");
    q.account = 'D';
    cr_expect_eq(answer(graph_sharing, &l, &q).value, 0, "carried none");
    q.account = 'C';
    cr_expect_eq(answer(graph_sharing, &l, &q).value, 1, "alone");
}

Test(sharing, a_receiver_may_be_the_one_who_carried)
{
    struct ledger l = {0};
    const struct leg *leg = ledger_leg(&l, 10, 'Z', 'A', 1);
    page_put(&l.carried['A'], leg, '1');
    page_put(&l.carriers['1'], leg, 1);
    enter_carried(&l, 11, 'K', 0, '1'); /* at a cash end */
    struct graph_query q = ask(&l, 'K');
    struct graph_result r = answer(graph_sharing, &l, &q);
    cr_expect_eq(r.value, 2);
    expect_proof(&r, "2 1", "KA");
}

Test(sharing, only_in_the_window_and_up_to_the_event)
{
    struct ledger l = {0};
    enter_carried(&l, 10, 'A', 'Z', '1');
    enter_carried(&l, 20, 'K', 'Z', '1');
    struct graph_query q = ask(&l, 'K');
    enter_carried(&l, 15, 'B', 'Z', '1');
    cr_expect_eq(answer(graph_sharing, &l, &q).value, 2, "B came later");
    q.floor_ms = 10;
    cr_expect_eq(answer(graph_sharing, &l, &q).value, 1);
    q.floor_ms = 20;
    cr_expect_eq(answer(graph_sharing, &l, &q).value, 0);
}

Test(sharing, a_missing_value_is_not_shared)
{
    struct ledger l = {0};
    const struct leg *leg = ledger_leg(&l, 10, 'K', 'A', 1);
    page_put(&l.carried['K'], leg, MISSING_I64);
    struct graph_query q = ask(&l, 'K');
    cr_expect_eq(answer(graph_sharing, &l, &q).value, 0);
}

Test(sharing, of_a_value_that_many_carry_the_newest_are_looked_at)
{
    struct ledger l = {0};
    for (int i = 0; i < 5; i++)
        enter_carried(&l, 10 + i, (char)('A' + i), 'Z', '1');
    enter_carried(&l, 20, 'K', 'Z', '1');
    struct graph_query q = ask(&l, 'K');
    q.hub_max = 3;
    struct graph_result r = answer(graph_sharing, &l, &q);
    cr_expect(r.bounded && r.hub_met);
    expect_proof(&r, "6 5 4", "KED");
}
