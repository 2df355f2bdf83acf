/* What the compiler makes of a rule set: strata, shared streams and clocks, keys, memory reads, windows. */
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define HEAD                                                                                              \
    "ruleset t { timezone \"UTC\" base USD }\n"                                                           \
    "typology x \"X\" { offence laundering alert at 10 points }\n"
#define MEMORY "memory wage for each account { from in where purpose = SALA keep amount, sender as employer for 40d }\n"
#define RULE(id, body)                                                                                    \
    "rule " id " \"T\" { version 1 status live typology x family debt source \"s\" V why \"w\" " body     \
    " say \"s\" }\n"

static struct program *load_from(const char *text, const char *list_dir, bool for_tests)
{
    struct source_file file = {SLICE("a.rules"), slice_of(text)};
    struct load_options options = {.for_tests = for_tests};
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_parse(&file, 1, list_dir, &options, diagnostics, &err);
    if (!program)
        diagnostics_text(diagnostics, stderr);
    diagnostics_free(diagnostics);
    cr_assert(program != NULL);
    return program;
}

static struct program *load_as(const char *text, bool for_tests)
{
    return load_from(text, "", for_tests);
}

static struct program *load(const char *text)
{
    return load_as(text, false);
}

Test(program, rules_come_in_order_of_id_and_drafts_stay_out)
{
    const char *text = HEAD RULE("B-1", "for each account when count of in over 1d > 3 points 5 to account as payer")
        RULE("A-1", "for each account when count of in over 1d > 4 points 5 to account as payer")
        "rule C-1 \"T\" { version 1 status draft typology x family debt why \"w\" for each account "
        "when count of out over 9d > 4 points 5 to account as payer say \"s\" }\n";
    struct program *program = load(text);
    cr_expect_eq(program->rule_count, 2);
    cr_expect(slice_equal(program->rule[0].id, SLICE("A-1")) && slice_equal(program->rule[1].id, SLICE("B-1")));
    cr_expect_eq(program->stream_count, 1, "the draft's stream is not kept");
    program_free(program);
    program = load_as(text, true);
    cr_expect_eq(program->rule_count, 3, "RULES 26: tests run any but retired");
    cr_expect_eq(program->rule[2].status, RULE_LIVE);
    program_free(program);
}

Test(program, equal_streams_and_clocks_are_shared)
{
    struct program *program = load(
        HEAD RULE("A-1", "for each account let s = in where amount < 5 USD when count of s over 1d > 3 points 5 to account as payer")
            RULE("B-1", "for each account let t = in   where amount<5 USD when sum amount of t over 2d > 9 USD points 5 to account as payer")
                RULE("C-1", "for each account when count of in over 1d > 3 points 5 to account as payer"));
    cr_expect_eq(program->stream_count, 2);
    cr_expect_eq(program->clock_count, 2);
    cr_expect_eq(program->keyspace_count, 1);
    cr_expect_eq(program->rule[0].clock, program->rule[1].clock);
    cr_expect_neq(program->rule[0].clock, program->rule[2].clock);
    cr_expect_eq(program->stream[program->rule[0].stream[0]].keep_ms, 2 * (int64_t)MS_PER_DAY, "the widest of both");
    program_free(program);
}

Test(program, a_rule_reading_a_memory_stands_one_stratum_higher)
{
    struct program *program = load(
        HEAD MEMORY RULE("A-1", "for each account when count of in over 1d > 3 points 5 to account as payer")
            RULE("B-1", "for each receiver as boss, sender.wage.employer as firm "
                        "let kick = transfers where sender.wage is known and amount < sender.wage.amount "
                        "let n = distinct sender of kick over 35d when n > 3 "
                        "points 5 to boss as controller, 0 to each sender of kick as possible_victim"));
    cr_expect_eq(program->stratum_count, 2);
    cr_expect_eq(program->memory[0].stratum, 0);
    cr_expect_eq(program->rule[0].stratum, 0);
    const struct rule *rule = &program->rule[1];
    cr_expect_eq(rule->stratum, 1);
    cr_expect_eq(program->stream[rule->stream[0]].stratum, 1);
    const struct keyspace *key = &program->keyspace[rule->keyspace];
    cr_expect_eq(key->form, KEY_COMPOSITE);
    cr_expect_eq(key->width, 2);
    cr_expect_eq(key->stratum, 1);
    cr_expect_eq(program->read_count, 1);
    cr_expect_eq(program->read[0].side, READ_SENDER);
    cr_expect_eq(program->slot_count, 3, "the record's time and two fields");
    cr_expect_eq(program->aggregate[rule->input[0]].days, 35, "RULES 5: above 30 days, whole calendar days");
    cr_expect(rule->subject[1].each && rule->subject[1].use.days == 35, "RULES 21: the widest window on that source");
    cr_expect(!rule->touched_by_all);
    program_free(program);
}

Test(program, rules_of_one_key_stand_in_one_stratum_and_keep_a_source_once)
{
    const char *text =
        HEAD MEMORY RULE("A-1", "for each account when count of in over 1d > 3 points 5 to account as payer")
            RULE("B-1", "for each account when count of in over 1d > 3 and sender.wage is known points 5 to account as payer")
                RULE("C-1", "for each pair when count of transfers over 1d > 3 points 5 to sender as payer");
    struct program *program = load(text);
    cr_assert_eq(program->rule_count, 3);
    cr_expect_eq(program->stream_count, 2);
    cr_expect_eq(program->rule[0].stream[0], program->rule[1].stream[0]);
    cr_expect_eq(program->rule[0].stratum, 1);
    cr_expect_eq(program->rule[1].stratum, 1);
    cr_expect_eq(program->rule[2].stratum, 0, "of another key");
    for (uint16_t r = 0; r < 3; r++)
        cr_expect_eq(program->stream[program->rule[r].stream[0]].stratum, program->rule[r].stratum);
    program_free(program);
}

Test(program, a_source_is_the_same_whatever_else_its_key_is_asked)
{
    const char *alone = HEAD RULE("A-1", "for each account when count of in over 1d > 3 points 5 to account as payer");
    const char *beside =
        HEAD MEMORY RULE("A-1", "for each account when count of in over 1d > 3 points 5 to account as payer")
            RULE("B-1", "for each account when count of out over 1d > 3 and sender.wage is known points 5 to account as payer");
    struct program *before = load(alone), *after = load(beside);
    const struct rule *was = &before->rule[0], *is = &after->rule[0];
    cr_expect_neq(was->stratum, is->stratum);
    cr_expect_eq(before->stream[was->stream[0]].hash, after->stream[is->stream[0]].hash, "a change of rules keeps what was counted");
    cr_expect_eq(before->clock[was->clock].hash, after->clock[is->clock].hash);
    program_free(before);
    program_free(after);
}

Test(program, side_relative_memories_read_either_end)
{
    struct program *program = load(
        HEAD MEMORY RULE("A-1", "for each account when account.wage.amount > 5 USD points 5 to account as payer"));
    cr_expect_eq(program->read_count, 2);
    const struct expr *body = &program->rule[0].body;
    const struct node *read = NULL;
    for (uint16_t i = 0; i < body->count; i++)
        if (body->node[i].op == OP_MEMORY)
            read = &body->node[i];
    cr_assert(read != NULL);
    cr_expect_eq(program->read[read->a].side, READ_SENDER);
    cr_expect_eq(program->read[read->b].side, READ_RECEIVER);
    program_free(program);
}

Test(program, rules_9_event_fields_in_when_are_touched_by_every_event)
{
    struct program *program = load(
        HEAD RULE("A-1", "for each account when count of in over 1d > 3 and amount > 5 USD points 5 to account as payer")
            RULE("B-1", "for each account when count of in over 1d > 3 points 5 to account as payer")
                RULE("C-1", "for each transfer when amount > 5 USD points 5 to sender as payer"));
    cr_expect(program->rule[0].touched_by_all);
    cr_expect(!program->rule[1].touched_by_all);
    cr_expect_eq(program->keyspace[program->rule[2].keyspace].form, KEY_TRANSFER);
    program_free(program);
}

Test(program, when_is_judged_before_what_a_hit_needs)
{
    struct program *program = load(
        HEAD RULE("A-1", "for each account let n = count of in over 1d let paid = sum amount of out over 2d "
                         "when n > 3 points 5 to account as payer"));
    const struct rule *rule = &program->rule[0];
    cr_expect_lt(rule->step[0].part.to, rule->body.count);
    cr_expect_lt(rule->body.root, rule->step[0].part.to);
    cr_expect_eq(rule->input_count, 2);
    cr_expect_eq(rule->stream_count, 1, "RULES 9: only what `when` reads evaluates the rule");
    cr_expect_eq(rule->let_count, 2);
    program_free(program);
}

Test(program, params_are_constants_and_codes_follow_the_other_side)
{
    struct program *program = load(
        HEAD RULE("A-1", "param p = 150% in 100%..200% for each transfer "
                         "when amount > p * 5 USD and KE != sender.country and mcc = 7011 and weekday in saturday..sunday "
                         "and corridor = KE->SO and cross_border = yes points 5 to sender as payer"));
    bool corridor = false, mcc = false;
    const struct expr *body = &program->rule[0].body;
    for (uint16_t i = 0; i < body->count; i++) {
        corridor |= body->node[i].op == OP_CONST && body->node[i].type == TYPE_CORRIDOR;
        mcc |= body->node[i].op == OP_CONST && body->node[i].type == TYPE_MCC && body->node[i].imm == 7011;
    }
    cr_expect(corridor && mcc);
    program_free(program);
}

Test(program, the_identity_changes_with_the_text_and_hashes_do_not_with_the_layout)
{
    struct program *a = load(HEAD RULE("A-1", "for each account when count of in over 1d > 3 points 5 to account as payer"));
    struct program *b = load(HEAD "# a remark\n" RULE("A-1", "for each account when (count of in over 24h) > 3 points 5 to account as payer"));
    cr_expect_neq(memcmp(a->hash, b->hash, sizeof a->hash), 0);
    cr_expect_eq(a->stream[0].hash, b->stream[0].hash);
    cr_expect_eq(a->aggregate[0].hash, b->aggregate[0].hash);
    cr_expect_eq(a->clock[0].hash, b->clock[0].hash);
    cr_expect_eq(a->rule[0].hash, b->rule[0].hash);
    program_free(a);
    program_free(b);
}

Test(program, rules_16_steps_are_parts_with_inputs_of_their_own)
{
    struct program *program = load(
        HEAD RULE("A-1", "for each account let got = sum amount of in over 1h let gone = sum amount of out since step 1 "
                         "when got > 3 USD then within 2h gone >= got then within 3h gone >= 1 USD and count of in since step 2 > 1 "
                         "unless amount > 900 USD points 5 to account as payer"));
    const struct rule *rule = &program->rule[0];
    cr_assert_eq(rule->step_count, 3);
    cr_expect_eq(rule->step[1].within_ms, 2 * 3600000);
    cr_expect_eq(rule->within_ms, 5 * 3600000, "RULES 3: a key is kept as long as all steps may take");
    cr_expect_geq(program->widest_ms, rule->within_ms);
    cr_expect_eq(rule->kept_count, 2, "RULES 18: got by step 1, gone by step 2");
    cr_expect_eq(rule->step[0].kept_count + rule->step[1].kept_count, 2);
    cr_expect_eq(rule->step[2].kept_count, 0);
    uint32_t seen = 0;
    for (int s = 0; s < 3; s++) {
        cr_expect_eq(__builtin_popcount(rule->step[s].part.inputs), 1, "RULES 9: a kept value is not read again");
        cr_expect_not(rule->step[s].part.touched_by_all);
        seen |= rule->step[s].part.inputs;
    }
    cr_expect_eq(__builtin_popcount(seen), 3);
    cr_assert_not_null(rule->unless);
    cr_expect(rule->unless[1].touched_by_all && rule->touched_by_all, "RULES 9: unless reads the amount of every event");
    int since = 0;
    for (uint16_t i = 0; i < rule->input_count; i++) {
        const struct aggregate *aggregate = &program->aggregate[rule->input[i]];
        since += aggregate->since;
        cr_expect(!aggregate->since || aggregate->span_ms == rule->step[aggregate->since].within_ms);
    }
    cr_expect_eq(since, 3, "one since step 1, one since step 2");
    program_free(program);
}

Test(program, the_same_window_since_a_step_is_of_one_rule)
{
#define SINCE "for each account when count of in over 1h > 3 then within 2h count of out since step 1 > 1 points 5 to account as payer"
    struct program *program = load(HEAD RULE("A-1", SINCE) RULE("B-1", SINCE));
    cr_expect_eq(program->stream_count, 2, "the records are shared");
    cr_expect_eq(program->aggregate_count, 3, "what is counted since a step is not");
    cr_expect_eq(program->rule[0].attempt_hash, program->rule[1].attempt_hash);
    program_free(program);
}

/* What an attempt's definition comes to, with these lists declared. */
static uint64_t attempt_hash_with(const char *lists, const char *graph)
{
    char text[2000];
    (void)snprintf(text, sizeof text, HEAD "%s" RULE("A-1", "for each account let found = %s when found >= 1 then within 2h amount >= 1 USD "
                   "points 5 to account as payer"), lists, graph);
    struct program *program = load_from(text, "tests/data/graph", false);
    uint64_t hash = program->rule[0].attempt_hash;
    program_free(program);
    return hash;
}

#define LIST(name, type) "list " name " of " type " from \"lists/" name ".csv\"\n"

Test(program, an_attempt_stays_the_same_where_other_lists_come_before_its_own)
{
    const char *hops = "hops from account to known within 3 over 40m", *route = "route of account along routes over 40m";
    cr_expect_eq(attempt_hash_with(LIST("known", "account"), hops), attempt_hash_with(LIST("routes", "route") LIST("known", "account"), hops));
    cr_expect_eq(attempt_hash_with(LIST("routes", "route"), route), attempt_hash_with(LIST("known", "account") LIST("routes", "route"), route));
}

Test(program, an_attempt_that_searches_for_another_list_is_another)
{
    const char *lists = LIST("known", "account") "list others of account from \"lists/known.csv\"\n";
    cr_expect_neq(attempt_hash_with(lists, "hops from account to known within 3 over 40m"),
                  attempt_hash_with(lists, "hops from account to others within 3 over 40m"));
}
