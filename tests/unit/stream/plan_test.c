/* What a plan says: who asks memories (an event that can use nothing of what a key remembers does not), where masks lie in a row, what
 * graph searches cannot do without, which rules share a clock, which are idle. */
#include "engine/stream/plan.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <criterion/criterion.h>

#define HEAD                                                                                              \
    "ruleset t { timezone \"UTC\" base USD }\n"                                                           \
    "typology x \"X\" { offence laundering alert at 10 points }\n"                                        \
    "memory wage for each account { from in where purpose = SALA keep amount, sender as employer for 40d }\n"
#define RULE(id, body)                                                                                    \
    "rule " id " \"T\" { version 1 status live typology x family debt source \"s\" V why \"w\" " body     \
    " say \"s\" }\n"

struct planned {
    struct program *program;
    struct plan *plan;
    const struct plan_keyspace *wages; /* stratum 0 of accounts */
};

static void plan_of(const char *text, struct planned *out)
{
    struct source_file file = {SLICE("a.rules"), slice_of(text)};
    struct load_options options = {0};
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    out->program = program_parse(&file, 1, "", &options, diagnostics, &err);
    if (!out->program)
        diagnostics_text(diagnostics, stderr);
    diagnostics_free(diagnostics);
    cr_assert(out->program != NULL);
    out->plan = plan_new(out->program, &(struct plan_settings){.shard_bytes_max = 1 << 20});
    out->wages = plan_at(out->plan, 0, out->program->memory[0].keyspace);
}

static void plan_done(struct planned *planned)
{
    plan_free(planned->plan);
    program_free(planned->program);
}

/* How many sources the list names, and whether this one is among them. */
static uint32_t askers(const struct plan_ask *ask, uint32_t place, bool *named)
{
    uint32_t count = 0;
    *named = false;
    for (uint16_t i = 0; i < ask->count; i++) {
        count += (uint32_t)__builtin_popcountll(ask->asker[i].bits);
        *named |= ask->asker[i].word == place / 64 && (ask->asker[i].bits >> (place % 64) & 1);
    }
    return count;
}

static uint16_t stream_of(const struct program *program, uint16_t rule)
{
    cr_assert_eq(program->rule[rule].stream_count, 1);
    return program->rule[rule].stream[0];
}

Test(plan, a_filter_asks_for_its_own_events)
{
    struct planned planned;
    bool named;
    plan_of(HEAD RULE("A-1", "for each account when count of in where kind = CARD and sender.wage is known over 1d > 3 points 5 to account as payer")
                RULE("B-1", "for each account when count of out over 1d > 3 points 5 to account as payer"), &planned);
    const struct plan_ask *ask = planned.wages->ask;
    cr_expect_not(ask[READ_SENDER].always);
    cr_expect_eq(askers(&ask[READ_SENDER], planned.plan->place[stream_of(planned.program, 0)], &named), 1);
    cr_expect(named);
    cr_expect_eq(askers(&ask[READ_RECEIVER], 0, &named), 0, "nobody reads what the receiver earns");
    plan_done(&planned);
}

Test(plan, a_rule_asks_for_what_it_counts)
{
    struct planned planned;
    bool named;
    plan_of(HEAD RULE("A-1", "for each account when count of out over 1d > 3 points 5 to account.wage.employer as payer")
                RULE("B-1", "for each account when count of in over 1d > 3 points 5 to account as payer"), &planned);
    for (int side = READ_SENDER; side <= READ_RECEIVER; side++) {
        cr_expect_not(planned.wages->ask[side].always);
        cr_expect_eq(askers(&planned.wages->ask[side], planned.plan->place[stream_of(planned.program, 0)], &named), 1, "side %d", side);
        cr_expect(named);
    }
    plan_done(&planned);
}

Test(plan, words_of_a_key_kept_values_and_exceptions_ask)
{
    struct planned planned;
    bool named;
    plan_of(HEAD "memory boss for each account { from out where purpose = RENT keep sender.wage.employer as who for 9d }\n"
                RULE("A-1", "for each receiver as controller, sender.wage.employer as employer when count of transfers over 1d > 3 "
                            "points 5 to controller as payer")
                RULE("B-1", "for each account when count of out where kind = CARD over 1d > 3 points 5 to account as payer "
                            "except sender.wage.amount > 5 USD until 2027-01-01 because \"b\" by \"o\""), &planned);
    const struct plan_ask *ask = &planned.wages->ask[READ_SENDER];
    const struct program *program = planned.program;
    cr_expect_eq(askers(ask, planned.plan->place[stream_of(program, 0)], &named), 3);
    cr_expect(named, "the key");
    (void)askers(ask, planned.plan->place[program->stream_count + 1u], &named);
    cr_expect(named, "the kept value");
    (void)askers(ask, planned.plan->place[stream_of(program, 1)], &named);
    cr_expect(named, "the exception");
    plan_done(&planned);
}

/* `is new` asks what was seen, and what is seen may itself be remembered. */
Test(plan, what_is_new_asks_what_was_seen)
{
    struct planned planned;
    bool named;
    plan_of(HEAD RULE("A-1", "for each account when count of in where sender.wage.employer is new over 9d over 1d > 3 points 5 to account as payer"), &planned);
    const struct program *program = planned.program;
    cr_assert_eq(program->memory_count, 2);
    const struct memory *seen = &program->memory[1];
    const struct plan_keyspace *at = plan_at(planned.plan, seen->stratum, seen->keyspace);
    uint32_t place = planned.plan->place[stream_of(program, 0)];
    for (int side = READ_SENDER; side <= READ_RECEIVER; side++) {
        cr_expect_eq(askers(&at->ask[side], place, &named), 1, "side %d", side);
        cr_expect(named);
    }
    cr_expect_eq(askers(&planned.wages->ask[READ_SENDER], planned.plan->place[program->stream_count + 1u], &named), 2);
    cr_expect(named, "every payment that is remembered as seen");
    plan_done(&planned);
}

Test(plan, whatever_every_event_touches_always_asks)
{
    static const char *const rules[] = {
        HEAD RULE("A-1", "for each transfer when sender.wage is known and amount > 5 USD points 5 to sender as payer"),
        HEAD RULE("A-1", "for each account when amount > 5 USD and sender.wage is known points 5 to account as payer"),
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct planned planned;
        plan_of(rules[i], &planned);
        cr_expect(planned.wages->ask[READ_SENDER].always, "rule %zu", i);
        plan_done(&planned);
    }
}

#define PAIR "for each sender as payer, %s as other when count of transfers%s over 1d > 3 points 5 to payer as payer"

/* Rules A-1.. of one key, each with a stream of its own, between two of other keys. */
static void many_rules(char *text, size_t room, int count)
{
    size_t at = (size_t)snprintf(text, room, HEAD RULE("B-1", PAIR) RULE("B-2", PAIR), "receiver.country", "", "receiver.country", " where kind = CARD");
    for (int i = 1; i <= count; i++)
        at += (size_t)snprintf(text + at, room - at,
                               RULE("A-%d", "for each account when count of out where mcc = %04d over 1d > 3 points 5 to account as payer"), i, i);
    at += (size_t)snprintf(text + at, room - at, RULE("C-1", PAIR), "sender.device", "");
    cr_assert_lt(at, room);
}

/* Notes the bits of a row that the mask takes, each for the first time. */
static void row_take(const struct plan_keyspace *at, uint64_t *row, uint16_t words)
{
    for (uint32_t bit = 0; bit < (uint32_t)at->stream_count + at->memory_count; bit++) {
        uint32_t place = row_place(at, bit);
        cr_assert_lt(place, words * 64u);
        cr_expect_not(mask_bit(row, place), "two masks at %u", place);
        mask_set(row, place);
        cr_expect_eq(row_mask(row, at, bit / 64) >> bit % 64 & 1, 1, "bit %u of a mask of %u words", bit, at->words);
    }
}

/* However many bits a key has: its mask overlaps no other, and what others set is not seen through it. */
Test(plan, masks_share_words_and_no_bits)
{
    static char text[60000];
    uint64_t row[16], others[16];
    for (int rules = 1; rules < 140; rules++) {
        struct planned planned;
        many_rules(text, sizeof text, rules);
        plan_of(text, &planned);
        const struct plan *plan = planned.plan;
        uint32_t count = (uint32_t)planned.program->stratum_count * planned.program->keyspace_count;
        cr_assert_leq(plan->mask_words, 16);
        memset(row, 0, sizeof row);
        for (uint32_t i = 0; i < count; i++)
            row_take(&plan->at[i], row, plan->mask_words);
        for (uint32_t i = 0; i < count; i++) {
            const struct plan_keyspace *at = &plan->at[i];
            memcpy(others, row, sizeof row);
            for (uint32_t bit = 0; bit < (uint32_t)at->stream_count + at->memory_count; bit++)
                others[row_place(at, bit) / 64] &= ~((uint64_t)1 << row_place(at, bit) % 64);
            cr_expect_not(row_any(others, at), "%d rules, keyspace %u", rules, i);
        }
        plan_done(&planned);
    }
}

#define LEG(body) "for each account let n = " body " when n > 1 points 5 to account as payer"

/* Money that passes on must have come: to the sender, by what its rule follows; and back to it, from the receiver. */
Test(plan, searches_miss_the_legs_that_they_begin_with)
{
    struct planned planned;
    plan_of(HEAD RULE("A-1", LEG("cycle through account hops 2..4 over 9d")) RULE("B-1", LEG("pass_through of account over 9d where kind = TRANSFER"))
                RULE("C-1", LEG("scatter_gather into account from 2 middle over 9d first where kind = PAYROLL second where kind = TRANSFER"))
                RULE("D-1", LEG("gather_scatter of account over 9d")), &planned);
    const struct plan *plan = planned.plan;
    const struct program *program = planned.program;
    cr_assert_eq(plan->lack_count, 4);
    uint64_t bit[LIMIT_STREAMS] = {0};
    for (uint32_t i = 0; i < (uint32_t)program->stratum_count * program->keyspace_count; i++)
        for (uint16_t l = 0; l < plan->at[i].lack_count; l++) {
            const struct plan_lack *lack = &plan->at[i].lack[l];
            cr_expect_eq(plan->at[i].keyspace, program->stream[lack->stream].keyspace);
            bit[lack->stream] = (uint64_t)1 << lack->bit;
        }
    const struct graph_use *ring = &program->rule[0].graph[0], *pass = &program->rule[1].graph[0], *kick = &program->rule[2].graph[0];
    cr_expect_eq(plan->rule[0].leg[0].lacks[SIDE_SENDER], bit[ring->in[LEG_ANY]]);
    cr_expect_eq(plan->rule[0].leg[0].lacks[SIDE_RECEIVER], bit[ring->out[LEG_ANY]]);
    cr_expect_eq(plan->rule[1].leg[0].lacks[SIDE_SENDER], bit[pass->in[LEG_ANY]]);
    cr_expect_eq(plan->rule[1].leg[0].lacks[SIDE_RECEIVER], 0);
    cr_expect_eq(plan->rule[2].leg[0].lacks[SIDE_SENDER], bit[kick->in[LEG_FIRST]]);
    cr_expect_eq(plan->rule[2].leg[0].lacks[SIDE_RECEIVER], 0);
    cr_expect_eq(plan->rule[3].leg[0].lacks[SIDE_SENDER] | plan->rule[3].leg[0].lacks[SIDE_RECEIVER], 0);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++)
            cr_expect_eq(plan->rule[i].leg[0].lacks[j] & ~UINT64_C(15), 0);
    cr_expect(bit[ring->in[LEG_ANY]] && bit[ring->out[LEG_ANY]] && bit[pass->in[LEG_ANY]] && bit[kick->in[LEG_FIRST]]);
    plan_done(&planned);
}

#define COUNTS(of, key, condition) "for each " key " let n = count of " of " over 9d when n > 2" condition " points 5 to sender as controller"

/* Rules that read the payment itself are touched by every one of their key, whatever they count; not those that count other things. */
Test(plan, rules_that_every_payment_touches_share_a_clock)
{
    struct planned planned;
    plan_of(HEAD RULE("A-1", COUNTS("in", "account", " and amount > 5 USD")) RULE("B-1", COUNTS("out", "account", " and kind = TRANSFER"))
                RULE("C-1", LEG("cycle through account hops 2..4 over 9d")) RULE("D-1", COUNTS("in", "account", ""))
                    RULE("E-1", COUNTS("refunds", "account", " and amount > 5 USD")) RULE("F-1", COUNTS("transfers", "pair", " and amount > 5 USD"))
                        RULE("G-1", COUNTS("transfers where kind = TRANSFER", "pair", " and amount > 5 USD"))
                            RULE("H-1", COUNTS("out", "account", "")),
            &planned);
    const struct rule *rule = planned.program->rule;
    cr_assert(rule[0].touched_by_all && rule[1].touched_by_all && rule[2].touched_by_all && !rule[3].touched_by_all && rule[4].touched_by_all);
    cr_expect_eq(rule[0].clock, rule[1].clock);
    cr_expect_eq(rule[0].clock, rule[2].clock);
    cr_expect_neq(rule[0].clock, rule[3].clock);
    cr_expect_neq(rule[3].clock, rule[7].clock);
    cr_expect_neq(rule[0].clock, rule[4].clock, "a refund is no settled payment");
    cr_expect_neq(rule[5].clock, rule[6].clock, "the ends of a pair are named one by one");
    plan_done(&planned);
}

/* By legs where an event ends the pattern, by what the key carried or where it stopped elsewhere; not where another account is asked about, where
 * the rule can be true without its operators or at a later step, nor where a test wants to know of every look. */
Test(plan, rules_are_idle_where_their_operators_are_known_to_be_0)
{
    struct planned planned;
    plan_of(HEAD RULE("A-1", LEG("cycle through account hops 2..4 over 9d")) RULE("B-1", LEG("sharing of device by account over 9d"))
                RULE("C-1", LEG("sharing of device by other over 9d"))
                    RULE("D-1", "for each account let g = sharing of device by account over 9d when g >= 2 or amount > 5 USD points 5 to account as controller")
                        RULE("E-1", "for each account let g = cycle through account hops 2..4 over 9d when g >= 2 then within 3h amount > 5 USD "
                                    "points 5 to account as controller"),
            &planned);
    const struct plan *plan = planned.plan;
    const struct rule *rule = planned.program->rule;
    const struct plan_keyspace *at = plan_at(plan, rule[0].stratum, rule[0].keyspace);
    cr_assert_eq(at->idle_count, 2);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(at->rule[at->idle[i].number], i);
        cr_expect_eq(at->idle[i].clock, plan->rule[i].clock);
        cr_expect_eq(at->idle[i].part, plan->rule[i].step);
    }
    cr_expect(plan->rule[0].step->leg_count == 1 && plan->rule[0].step->trace_count == 0);
    cr_assert(plan->rule[1].step->leg_count == 0 && plan->rule[1].step->trace_count == 1);
    const struct keyspace *carried = &planned.program->keyspace[plan->rule[1].step->trace[0]];
    cr_expect(carried->form == KEY_CARRIED && carried->width == 1);
    for (int i = 2; i < 4; i++)
        cr_expect(plan->rule[i].step->leg_count == 0 && plan->rule[i].step->trace_count == 0);
    cr_expect_eq(plan->rule[4].step->leg_count, 1);
    ((struct rule *)(uintptr_t)rule)->watched = 1;
    struct plan *watching = plan_new(planned.program, &(struct plan_settings){.shard_bytes_max = 1 << 20});
    cr_expect_eq(plan_at(watching, rule->stratum, rule->keyspace)->idle_count, 1);
    plan_free(watching);
    plan_done(&planned);
}
