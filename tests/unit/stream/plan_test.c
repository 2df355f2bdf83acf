/* What a plan says of who asks memories: an event that can use nothing of what a key remembers does not ask it. */
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
