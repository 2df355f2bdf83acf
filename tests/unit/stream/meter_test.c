/* The meter: sums, what is taken off, interruptions and the spread. */
#include "engine/stream/meter.h"

#include <criterion/criterion.h>

static struct meter *meter_open(void)
{
    static const struct program program = {.rule_count = 1, .stream_count = 1};
    return meter_new(&program);
}

Test(meter, takes_off_what_reading_costs_and_scales_interruptions)
{
    struct meter *meter = meter_open();
    const struct meter_cost cost = {.count = 4, .timed = 2, .ticks = 300};
    meter->ticks_per_ns = 2;
    cr_expect_float_eq(meter_ns(meter, &cost, 50), 4 * (150 - 50) / 2.0, 1e-9);
    cr_expect_float_eq(meter_ns(meter, &cost, 200), 0, 1e-9); /* never less than nothing */
    cr_expect_float_eq(meter_ns(meter, &(struct meter_cost){.count = 3}, 1), 0, 1e-9);
    meter_free(meter);
}

Test(meter, counts_matches_misses_and_hits)
{
    struct meter *meter = meter_open();
    struct meter_rule *rule = &meter->rule[0];
    meter_judged(meter, 0, meter_ticks(), true, true);
    meter_judged(meter, 0, meter_ticks(), true, false);
    meter_judged(meter, 0, meter_ticks(), false, false);
    meter_judged(meter, 0, meter_ticks() - 2 * meter->longest, false, false); /* somebody else's turn */
    cr_expect_eq(rule->match.count, 2);
    cr_expect_eq(rule->miss.count, 2);
    cr_expect_eq(rule->hits, 1);
    cr_expect_geq(meter->interrupted, 1);
    cr_expect_leq(rule->miss.timed, 1);
    meter_free(meter);
}

/* With few of a thousand ten times as long the 99th of a hundred is a short one, with twenty a long one: a bucket
 * is a value to within an eighth, and a busy machine may lengthen some. */
static double spread_p99(uint64_t ticks, int longer)
{
    struct meter *meter = meter_open();
    meter->ticks_per_ns = 1;
    meter->longest = UINT64_MAX;
    for (int i = 0; i < 1000; i++)
        meter_judged(meter, 0, meter_ticks() - ticks * (i < longer ? 10 : 1), false, false);
    double p99 = meter_p99_ns(meter, &meter->rule[0], 0);
    meter_free(meter);
    return p99;
}

Test(meter, p99_is_the_ninety_ninth_of_a_hundred)
{
    for (uint64_t ticks = 10000; ticks < 10000000; ticks = ticks * 3 / 2) {
        double few = spread_p99(ticks, 3), many = spread_p99(ticks, 20);
        cr_expect(few > (double)ticks * 0.85 && few < (double)ticks * 5, "%lu: %f", ticks, few);
        cr_expect(many > (double)ticks * 8.5 && many < (double)ticks * 12, "%lu: %f", ticks, many);
    }
}

Test(meter, reading_costs_something_and_little)
{
    double pair = meter_pair_ticks();
    struct meter *meter = meter_open();
    cr_expect_gt(pair, 0);
    cr_expect_lt(pair / meter->ticks_per_ns, 1000);
    cr_expect_gt(meter->ticks_per_ns, 0);
    meter_free(meter);
}
