/* `route of K along LIST`: stages of a corridor, forward in stage and time (RULES 34, 35). */
#include "tests/unit/graph/ledger.h"

static const struct corridor corridors[] = {{4, {'a', 'b', 'c', 'd'}}, {2, {'x', 'y'}}, {3, {'m', 'n', 'm'}}};

static struct graph_query along(const struct ledger *l)
{
    struct graph_query q = ask(l, 'K');
    q.corridor = corridors;
    q.corridor_count = sizeof corridors / sizeof *corridors;
    return q;
}

Test(route, most_stages_strictly_forward)
{
    struct ledger l = {0};
    enter_stop(&l, 10, 'K', 'A', 'b');
    enter_stop(&l, 11, 'K', 'B', 'a');
    enter_stop(&l, 12, 'K', 'C', 'c');
    enter_stop(&l, 13, 'K', 'D', 'c'); /* the same stage again */
    enter_stop(&l, 14, 'K', 0, 'd');   /* cash */
    struct graph_query q = along(&l);
    struct graph_result r = answer(graph_route, &l, &q);
    cr_expect_eq(r.value, 3);
    expect_proof(&r, "2 4 5", "KBD");
}

Test(route, one_stage_per_leg_and_one_corridor_at_a_time)
{
    struct ledger l = {0};
    enter_stop(&l, 10, 'K', 'A', 'm'); /* stands at two stages, counts for one */
    struct graph_query q = along(&l);
    cr_expect_eq(answer(graph_route, &l, &q).value, 1);
    enter_stop(&l, 11, 'K', 'B', 'x');
    q = along(&l);
    struct graph_result r = answer(graph_route, &l, &q);
    cr_expect_eq(r.value, 1);
    expect_proof(&r, "2", "KB");
    enter_stop(&l, 12, 'K', 'C', 'n');
    enter_stop(&l, 13, 'K', 'D', 'm');
    q = along(&l);
    r = answer(graph_route, &l, &q);
    expect_proof(&r, "1 3 4", "KACD");
}

Test(route, unknown_countries_and_other_events_do_not_count)
{
    struct ledger l = {0};
    enter_stop(&l, 10, 'K', 'A', 'a');
    enter_stop(&l, 11, 'K', 'B', MISSING_I64);
    enter_stop(&l, 12, 'K', 'C', 'z');
    struct graph_query q = along(&l);
    enter_stop(&l, 12, 'K', 'D', 'b'); /* of a later event */
    cr_expect_eq(answer(graph_route, &l, &q).value, 1);
    q.floor_ms = 10;
    struct graph_result r = answer(graph_route, &l, &q);
    cr_expect_eq(r.value, 0);
    expect_proof(&r, "", "");
    q.floor_ms = 0;
    q.corridor_count = 0;
    cr_expect_eq(answer(graph_route, &l, &q).value, 0);
}

Test(route, bounds_keep_the_newest_stops)
{
    struct ledger l = {0};
    enter_stop(&l, 10, 'K', 'A', 'a');
    enter_stop(&l, 11, 'K', 'B', 'b');
    enter_stop(&l, 12, 'K', 'C', 'c');
    struct graph_query q = along(&l);
    q.hub_max = 2;
    struct graph_result r = answer(graph_route, &l, &q);
    cr_expect(r.bounded && r.hub_met);
    expect_proof(&r, "2 3", "KBC");
    q.hub_max = UNBOUNDED;
    q.legs_max = 1;
    r = answer(graph_route, &l, &q);
    cr_expect(r.bounded && r.legs_spent && r.value == 1);
}
