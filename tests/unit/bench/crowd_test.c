/* Made streams: what each skew and shape promises, and that a seed gives the same payments. */
#include "bench/crowd.h"

#include <criterion/criterion.h>

enum { ACCOUNTS = 4800, DRAWS = 200000 };

/* The share of draws that fell on the 48 busiest of 4,800 accounts: 1 % of them. */
static double busiest(enum crowd_skew skew)
{
    static uint32_t seen[ACCOUNTS];
    const struct crowd crowd = {skew, SHAPE_NONE, ACCOUNTS};
    uint64_t chance = 7;
    uint32_t share = 0;
    for (int i = 0; i < ACCOUNTS; i++)
        seen[i] = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint32_t account = crowd_account(&crowd, &chance);
        cr_assert_lt(account, ACCOUNTS);
        seen[account]++;
    }
    for (int n = 0; n < 48; n++) {
        int most = 0;
        for (int i = 1; i < ACCOUNTS; i++)
            most = seen[i] > seen[most] ? i : most;
        share += seen[most];
        seen[most] = 0;
    }
    return (double)share / DRAWS;
}

Test(crowd, skews)
{
    double uniform = busiest(SKEW_UNIFORM), leaning = busiest(SKEW_LEANING), zipf = busiest(SKEW_ZIPF), hub = busiest(SKEW_HUB);
    cr_assert(uniform < 0.02, "%f", uniform);
    cr_assert(leaning > 2 * uniform && leaning < 0.2, "%f", leaning);
    /* of exponent 0.8: the first 1 % of ranks have 0.01^0.2 = 0.398 of all */
    cr_assert(zipf > 0.38 && zipf < 0.42, "%f", zipf);
    /* a fifth on 16 hubs, and of the rest the busiest 32 of some 33 draws each */
    cr_assert(hub > 0.2 && hub < 0.23, "%f", hub);
}

Test(crowd, clique_pays_inside_its_group_only)
{
    const struct crowd crowd = {SKEW_UNIFORM, SHAPE_CLIQUE, ACCOUNTS};
    uint64_t chance = 7;
    uint32_t sender, receiver, groups = 0, group = UINT32_MAX;
    for (uint64_t i = 0; i < 100000; i++) {
        crowd_pair(&crowd, &chance, i, &sender, &receiver);
        cr_assert_neq(sender, receiver);
        cr_assert_eq(sender / 24, receiver / 24);
        groups += sender / 24 != group;
        group = sender / 24;
    }
    cr_assert_eq(groups, 25, "%u", groups);
}

Test(crowd, star_has_one_account_in_every_payment)
{
    const struct crowd crowd = {SKEW_UNIFORM, SHAPE_STAR, 48};
    uint64_t chance = 7, in = 0;
    uint32_t sender, receiver;
    for (uint64_t i = 0; i < 10000; i++) {
        crowd_pair(&crowd, &chance, i, &sender, &receiver);
        cr_assert((sender == 0) != (receiver == 0));
        cr_assert(sender < 48 && receiver < 48);
        in += receiver == 0;
    }
    cr_assert_eq(in, 5000);
}

Test(crowd, same_seed_same_payments)
{
    const struct crowd crowd = {SKEW_ZIPF, SHAPE_NONE, ACCOUNTS};
    uint64_t one = 11, two = 11, other = 12, differ = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        uint32_t s1, r1, s2, r2, s3, r3;
        crowd_pair(&crowd, &one, i, &s1, &r1);
        crowd_pair(&crowd, &two, i, &s2, &r2);
        crowd_pair(&crowd, &other, i, &s3, &r3);
        cr_assert(s1 == s2 && r1 == r2);
        differ += s1 != s3;
    }
    cr_assert_gt(differ, 900);
}

Test(crowd, names)
{
    enum crowd_skew skew;
    enum crowd_shape shape;
    cr_assert(crowd_skew_parse("hub", &skew) && skew == SKEW_HUB);
    cr_assert(crowd_skew_parse("leaning", &skew) && skew == SKEW_LEANING);
    cr_assert_not(crowd_skew_parse("clique", &skew));
    cr_assert(crowd_shape_parse("star", &shape) && shape == SHAPE_STAR);
    cr_assert_not(crowd_shape_parse("", &shape));
}
