/* Points 20 to 25 of RULES.md with numbers worked out by hand; each test's name begins with its point. */
#include "engine/base/invariant.h"
#include "engine/stream/decide.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum { HOUR = 3600000, HALF_LIFE = 10 * HOUR, RULES = 4, FAMILIES = 2, SUBJECTS = 2 };
static const int64_t START = 1700000000000;

/* One rule set, one shard, two accounts; hits go in one event at a time. */
struct bench {
    struct rule rule[RULES];
    struct family family[FAMILIES];
    struct typology typology;
    struct program program;
    struct decide *decide;
    struct state *state;
    entity_id account[SUBJECTS];
    struct arena arena;
    struct decide_out out;
    struct hit hit[8];      /* of the event at hand */
    uint32_t hits;
    uint64_t seq;
};

static struct bench bench_new(void)
{
    static const char *const id[RULES] = {"COLL-1", "COLL-2", "CTRL-1", "CTRL-2"};
    static const unsigned char key[16] = {0};
    struct error err = {0};
    struct bench b = {.typology = {.name = SLICE("debt"), .title = SLICE("Debt"), .offence = SLICE("trafficking"), .alert_points = 1,
                                   .including_family = -1, .half_life_ms = HALF_LIFE}};
    b.family[0].name = SLICE("collection");
    b.family[1].name = SLICE("control");
    for (int i = 0; i < RULES; i++)
        b.rule[i] = (struct rule){.id = slice_of(id[i]), .version = 1, .status = RULE_LIVE, .family = (uint16_t)(i / 2)};
    b.state = state_new(&(struct state_layout){.shard_bytes_max = 16 << 20}, key, &err);
    invariant(b.state);
    for (uint32_t i = 0; i < SUBJECTS; i++)
        b.account[i] = ident_intern(state_shard(b.state, 5), ENTITY_ACCOUNT, i ? SLICE("B") : SLICE("A"),
                                    (struct hash128){.lo = 5 | (i + 1) << 8, .hi = i + 1}, NULL, NULL);
    arena_init(&b.arena);
    return b;
}

static void bench_free(struct bench *b)
{
    decide_free(b->decide);
    state_free(b->state);
    free(b->out.revision);
    free(b->out.alert_hit);
    arena_fini(&b->arena);
}

/* Adds a hit to the event at hand. */
static void say(struct bench *b, int rule, int account, enum role role, int32_t points)
{
    struct hit *hit = &b->hit[b->hits++];
    *hit = (struct hit){.rule = (uint16_t)rule, .rule_id = b->rule[rule].id, .rule_version = 1, .source = SLICE("bank"), .subject_count = 1};
    hit->subject = ARENA_NEW(&b->arena, struct hit_subject);
    hit->subject[0] = (struct hit_subject){.entity = b->account[account], .kind = ENTITY_ACCOUNT, .role = role, .points = points};
}

/* The event happens, so long after the start; returns how many revisions it made. What the last one
 * says is b->out.revision[b->out.revision_count - 1]. */
static uint32_t happen(struct bench *b, int64_t after_ms)
{
    struct decide_visit visit[8];
    if (!b->decide) {
        b->program = (struct program){.rule_count = RULES, .rule = b->rule, .typology_count = 1, .typology = &b->typology,
                                      .family_count = FAMILIES, .family = b->family};
        b->decide = decide_new(&b->program);
        b->out.arena = &b->arena;
    }
    b->seq++;
    for (uint32_t i = 0; i < b->hits; i++) {
        b->hit[i].seq = b->seq;
        b->hit[i].time_ms = START + after_ms;
        b->hit[i].id = arena_format(&b->arena, "e%llu", (unsigned long long)b->seq);
        visit[i] = (struct decide_visit){.hit = &b->hit[i]};
    }
    uint32_t before = b->out.revision_count;
    decide_shard(b->decide, state_shard(b->state, 5), b->state, visit, b->hits, INT64_MIN, &b->out);
    b->hits = 0;
    return b->out.revision_count - before;
}

static uint32_t say_now(struct bench *b, int64_t after_ms, int rule, enum role role, int32_t points)
{
    say(b, rule, 0, role, points);
    return happen(b, after_ms);
}

static const struct alert_revision *last(const struct bench *b)
{
    invariant(b->out.revision_count);
    return &b->out.revision[b->out.revision_count - 1];
}

Test(decide, 20_all_points_of_an_event_are_applied_before_it_is_judged_once)
{
    struct bench b = bench_new();
    b.typology.alert_points = 30;
    say(&b, 0, 0, ROLE_COLLECTOR, 20);
    say(&b, 2, 0, ROLE_CONTROLLER, 25);
    cr_assert_eq(happen(&b, 0), 1);
    cr_assert_eq(last(&b)->score_milli, 45000);
    cr_assert_eq(last(&b)->indicator_count, 2);
    cr_assert_eq(last(&b)->hit_count, 2);
    bench_free(&b);
}

Test(decide, 21_once_per_runs_from_the_last_hit_that_gave_points)
{
    struct bench b = bench_new();
    b.rule[0].once_ms = HOUR;
    static const struct { int64_t at; bool gives; } step[] = {{0, true}, {HOUR - 1, false}, {HOUR, true}, {HOUR + 1, false}, {HOUR - 5, false},
                                                              {2 * HOUR, true}};
    for (size_t i = 0; i < sizeof step / sizeof *step; i++) {
        (void)say_now(&b, step[i].at, 0, ROLE_COLLECTOR, 10);
        cr_assert_eq(b.hit[0].subject[0].given, step[i].gives, "step %zu", i);
    }
    bench_free(&b);
}

Test(decide, 21_once_per_is_per_rule_subject_and_role)
{
    struct bench b = bench_new();
    b.rule[0].once_ms = b.rule[1].once_ms = HOUR;
    say(&b, 0, 0, ROLE_COLLECTOR, 10);
    say(&b, 0, 0, ROLE_COLLECTOR, 10); /* the same rule for the other end of the payment: 0 ms apart */
    say(&b, 0, 0, ROLE_PAYER, 10);
    say(&b, 0, 1, ROLE_COLLECTOR, 10);
    say(&b, 1, 0, ROLE_COLLECTOR, 10);
    (void)happen(&b, 0);
    static const bool given[] = {true, false, true, true, true};
    for (int i = 0; i < 5; i++)
        cr_assert_eq(b.hit[i].subject[0].given, given[i], "hit %d", i);
    bench_free(&b);
}

Test(decide, 21_zero_points_attach_a_role_and_raise_no_alert)
{
    struct bench b = bench_new();
    cr_assert_eq(say_now(&b, 0, 0, ROLE_POSSIBLE_VICTIM, 0), 0);
    cr_assert_eq(b.hit[0].subject[0].given, 0);
    cr_assert_eq(say_now(&b, 1, 0, ROLE_COLLECTOR, 5), 1);
    cr_assert_eq(last(&b)->roles, 1u << ROLE_POSSIBLE_VICTIM | 1u << ROLE_COLLECTOR);
    cr_assert_eq(last(&b)->victim, 1);
    cr_assert_eq(last(&b)->score_milli, 5000);
    bench_free(&b);
}

/* A hit without points in a new role shows what the points have come to. */
static int64_t score_at(struct bench *b, int64_t after_ms, enum role role)
{
    cr_assert_eq(say_now(b, after_ms, 3, role, 0), 1);
    cr_assert_eq(last(b)->reason, REVISION_ROLE);
    return last(b)->score_milli;
}

Test(decide, 23_points_halve_over_one_half_life_in_a_straight_line)
{
    struct bench b = bench_new();
    (void)say_now(&b, 0, 0, ROLE_COLLECTOR, 40);
    cr_assert_eq(last(&b)->score_milli, 40000);
    cr_assert_eq(score_at(&b, HALF_LIFE / 2, ROLE_PAYER), 30000);                  /* 40 (2H - H/2) / 2H */
    cr_assert_eq(score_at(&b, HALF_LIFE, ROLE_CONTROLLER), 20000);                 /* n = 1, r = 0 */
    cr_assert_eq(score_at(&b, HALF_LIFE + HALF_LIFE / 5, ROLE_FACILITATOR), 18000); /* n = 1, r = H/5: 40 · 1.8 / 4 */
    cr_assert_eq(score_at(&b, 2 * HALF_LIFE, ROLE_UNDETERMINED), 10000);
    bench_free(&b);
}

Test(decide, 23_thousandths_are_cut_towards_zero)
{
    struct bench b = bench_new();
    b.typology.half_life_ms = 3;
    (void)say_now(&b, 0, 0, ROLE_COLLECTOR, 10);
    (void)say_now(&b, 0, 2, ROLE_COLLECTOR, -1);
    cr_assert_eq(score_at(&b, 1, ROLE_PAYER), 8333 - 833); /* 10000 · 5/6 = 8333.3; -1000 · 5/6 = -833.3 */
    bench_free(&b);
}

Test(decide, 23_the_cap_comes_before_counter_indicators)
{
    struct bench b = bench_new();
    b.typology.family_cap = 40;
    b.typology.alert_points = 30;
    say(&b, 0, 0, ROLE_COLLECTOR, 35);
    say(&b, 1, 0, ROLE_COLLECTOR, 25);
    say(&b, 2, 0, ROLE_COLLECTOR, -10);
    cr_assert_eq(happen(&b, 0), 1);
    cr_assert_eq(last(&b)->score_milli, 30000); /* min(60, 40) - 10 */
    bench_free(&b);
}

Test(decide, 35_an_indicator_is_a_bound_while_a_hit_that_was_one_still_counts)
{
    struct bench b = bench_new();
    b.typology.half_life_ms = 3;
    b.typology.alert_points = 1;
    say(&b, 0, 0, ROLE_COLLECTOR, 1);
    b.hit[0].lower_bound = true;
    say(&b, 1, 0, ROLE_COLLECTOR, 10);
    b.hit[1].upper_bound = true;
    cr_assert_eq(happen(&b, 0), 1);
    cr_assert_eq(last(&b)->indicator_count, 2);
    cr_expect_eq(last(&b)->indicator[0].lower_bound, true);
    cr_expect_eq(last(&b)->indicator[0].upper_bound, false);
    cr_expect_eq(last(&b)->indicator[1].lower_bound, false);
    cr_expect_eq(last(&b)->indicator[1].upper_bound, true);
    say(&b, 0, 0, ROLE_COLLECTOR, 10);
    cr_assert_eq(happen(&b, 1), 1);
    cr_expect_eq(last(&b)->indicator[0].lower_bound, true, "the first still counts");
    say(&b, 0, 0, ROLE_COLLECTOR, 90);
    cr_assert_eq(happen(&b, 60), 1);
    cr_expect_eq(last(&b)->indicator[0].lower_bound, false, "nothing is left of it");
    bench_free(&b);
}

Test(decide, 23_the_score_never_falls_below_zero)
{
    struct bench b = bench_new();
    (void)say_now(&b, 0, 0, ROLE_COLLECTOR, 5);
    (void)say_now(&b, 0, 2, ROLE_COLLECTOR, -50);
    cr_assert_eq(score_at(&b, 0, ROLE_PAYER), 0);
    bench_free(&b);
}

Test(decide, 23_a_late_hit_has_decayed_by_its_distance_to_the_newest)
{
    struct bench b = bench_new();
    b.typology.alert_points = 50;
    cr_assert_eq(say_now(&b, HALF_LIFE / 2, 0, ROLE_COLLECTOR, 40), 0);
    cr_assert_eq(say_now(&b, 0, 2, ROLE_COLLECTOR, 20), 1);
    cr_assert_eq(last(&b)->score_milli, 40000 + 15000);
    bench_free(&b);
}

Test(decide, 24_an_indicator_counts_while_it_has_one_point)
{
    for (int past = 0; past < 2; past++) {
        struct bench b = bench_new();
        b.typology.indicators_least = 2;
        (void)say_now(&b, 0, 0, ROLE_COLLECTOR, 2);
        (void)say_now(&b, HALF_LIFE / 2, 3, ROLE_COLLECTOR, 0);
        cr_assert_eq(say_now(&b, HALF_LIFE + past, 2, ROLE_COLLECTOR, 40), (uint32_t)!past); /* 1.000, then 0.999 */
        bench_free(&b);
    }
}

Test(decide, 24_families_and_the_one_asked_for)
{
    struct bench b = bench_new();
    b.typology.families_least = 2;
    b.typology.including_family = 1;
    cr_assert_eq(say_now(&b, 0, 0, ROLE_COLLECTOR, 20), 0);
    cr_assert_eq(say_now(&b, 0, 1, ROLE_COLLECTOR, 20), 0);
    cr_assert_eq(say_now(&b, 0, 2, ROLE_COLLECTOR, 1), 1);
    bench_free(&b);
}

Test(decide, 24_urgent_lets_the_threshold_alone_decide)
{
    struct bench b = bench_new();
    b.typology.indicators_least = b.typology.families_least = 2;
    b.typology.including_family = 1;
    b.typology.alert_points = 20;
    b.typology.urgent = true;
    cr_assert_eq(say_now(&b, 0, 0, ROLE_COLLECTOR, 19), 0);
    cr_assert_eq(say_now(&b, 0, 0, ROLE_COLLECTOR, 1), 1);
    cr_assert_eq(last(&b)->urgent, 1);
    bench_free(&b);
}

Test(decide, 24_only_events_that_give_points_are_judged)
{
    struct bench b = bench_new();
    b.rule[0].once_ms = HOUR;
    b.typology.alert_points = 10;
    cr_assert_eq(say_now(&b, 0, 0, ROLE_COLLECTOR, 20), 1);
    cr_assert_eq(say_now(&b, HALF_LIFE, 3, ROLE_COLLECTOR, 0), 0); /* the episode is over, 10 points are left */
    cr_assert_eq(say_now(&b, HALF_LIFE, 0, ROLE_COLLECTOR, 1), 1);
    bench_free(&b);
}

Test(decide, 25_an_episode_ends_when_half_a_life_passed_without_a_hit)
{
    for (int past = 0; past < 2; past++) {
        struct bench b = bench_new();
        (void)say_now(&b, 0, 0, ROLE_COLLECTOR, 40);
        uint8_t first[16];
        memcpy(first, last(&b)->id, sizeof first);
        (void)say_now(&b, HALF_LIFE - 1 + past, 2, ROLE_COLLECTOR, 40); /* a new indicator, or a new alert */
        cr_assert_eq(last(&b)->revision, past ? 1u : 2u);
        cr_assert_eq(last(&b)->reason, past ? REVISION_FIRST : REVISION_INDICATOR);
        cr_assert_eq(memcmp(last(&b)->id, first, sizeof first) == 0, !past);
        cr_assert_eq(last(&b)->first_time_ms, past ? START + HALF_LIFE : START);
        bench_free(&b);
    }
}

Test(decide, 25_a_hit_without_points_keeps_an_episode_alive)
{
    struct bench b = bench_new();
    (void)say_now(&b, 0, 0, ROLE_COLLECTOR, 40);
    (void)say_now(&b, HALF_LIFE - 1, 3, ROLE_COLLECTOR, 0);
    (void)say_now(&b, 2 * HALF_LIFE - 2, 2, ROLE_COLLECTOR, 40);
    cr_assert_eq(last(&b)->revision, 2);
    bench_free(&b);
}

Test(decide, 25_without_a_half_life_an_episode_ends_after_90_days)
{
    for (int past = 0; past < 2; past++) {
        struct bench b = bench_new();
        b.typology.half_life_ms = 0;
        (void)say_now(&b, 0, 0, ROLE_COLLECTOR, 40);
        (void)say_now(&b, 90 * 24 * (int64_t)HOUR - 1 + past, 2, ROLE_COLLECTOR, 40);
        cr_assert_eq(last(&b)->revision, past ? 1u : 2u);
        cr_assert_eq(last(&b)->score_milli, 80000);
        bench_free(&b);
    }
}

Test(decide, 25_a_score_20_percent_higher_makes_a_revision)
{
    for (int less = 0; less < 2; less++) {
        struct bench b = bench_new();
        b.typology.half_life_ms = 0;
        (void)say_now(&b, 0, 0, ROLE_COLLECTOR, 50);
        cr_assert_eq(say_now(&b, 1, 0, ROLE_COLLECTOR, 10 - less), (uint32_t)!less);
        cr_assert_eq(last(&b)->score_milli, less ? 50000 : 60000);
        cr_assert_eq(b.out.alert_hit_count, 1);
        bench_free(&b);
    }
}

Test(decide, 25_small_rises_add_up_against_the_last_revision)
{
    struct bench b = bench_new();
    b.typology.half_life_ms = 0;
    (void)say_now(&b, 0, 0, ROLE_COLLECTOR, 50);
    cr_assert_eq(say_now(&b, 1, 0, ROLE_COLLECTOR, 5), 0);
    cr_assert_eq(say_now(&b, 2, 0, ROLE_COLLECTOR, 5), 1);
    cr_assert_eq(last(&b)->reason, REVISION_SCORE);
    cr_assert_eq(last(&b)->hit_total, 3);
    bench_free(&b);
}

Test(decide, 25_the_id_is_the_same_wherever_it_is_computed)
{
    struct bench a = bench_new(), b = bench_new();
    (void)say_now(&a, 0, 0, ROLE_COLLECTOR, 40);
    b.typology.alert_points = 30;
    (void)say_now(&b, 7, 1, ROLE_PAYER, 30); /* of its (source, id) and subject only: e1 of bank about A */
    cr_assert_eq(memcmp(last(&a)->id, last(&b)->id, 16), 0);
    say(&b, 0, 1, ROLE_COLLECTOR, 40);
    (void)happen(&b, 8);
    cr_assert_neq(memcmp(last(&a)->id, last(&b)->id, 16), 0);
    bench_free(&a);
    bench_free(&b);
}

Test(decide, 25_a_hit_is_named_once_however_many_of_its_clauses_give)
{
    struct bench b = bench_new();
    b.typology.half_life_ms = 0;
    for (int i = 0; i < 2; i++) {
        say(&b, 0, 0, ROLE_COLLECTOR, 20);
        say(&b, 0, 0, ROLE_PAYER, 1);
        (void)happen(&b, i);
    }
    cr_assert_eq(b.out.revision[0].hit_count, 1);
    cr_assert_eq(b.out.alert_hit_count, 1);
    cr_assert_eq(last(&b)->hit_total, 2);
    bench_free(&b);
}
