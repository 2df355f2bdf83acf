/* Rule tests: what a failure says, and what the language's own tests cannot see: the order of hits
 * (RULES 20), episodes and revisions (25), shadow and retired rules (26). */
#include "engine/stream/rule_test.h"

#include "engine/model/money.h"
#include "engine/stream/crew.h"
#include "engine/stream/step.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"
#include "rules/lang/text.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct decode_seam seam = {decoder_new, decoder_free, decoder_decode, decoder_entity_hash};

static struct program *load_dir(const char *dir, bool for_tests)
{
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_load(dir, &(struct load_options){.for_tests = for_tests}, diagnostics, &err);
    if (!program)
        diagnostics_text(diagnostics, stderr);
    cr_assert(program != NULL, "%s: %s", dir, err.text);
    diagnostics_free(diagnostics);
    return program;
}

/* Writes a rule file into a folder of its own under /tmp; the name is the caller's to remove. */
static void make_dir(char dir[32], const char *rules)
{
    char path[64];
    (void)snprintf(dir, 32, "/tmp/muster-rules-XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof path, "%s/a.rules", dir);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    (void)fputs(rules, file);
    (void)fclose(file);
}

static void remove_dir(const char *dir)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/a.rules", dir);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void run_tests(const char *dir, struct arena *arena, struct rule_test_report *report)
{
    struct error err = {0};
    struct program *program = load_dir(dir, true);
    struct diagnostics *diagnostics = diagnostics_new();
    struct syntax *syntax = syntax_load(dir, diagnostics, &err);
    cr_assert(syntax != NULL, "%s", err.text);
    cr_assert(rule_tests_run(program, syntax, &seam, NULL, NULL, arena, report, &err), "%s", err.text);
    syntax_free(syntax);
    diagnostics_free(diagnostics);
    program_free(program);
}

static void expect_all_pass(const char *dir, uint32_t least)
{
    struct arena arena;
    struct rule_test_report report;
    arena_init(&arena);
    run_tests(dir, &arena, &report);
    for (uint32_t i = 0; i < report.count; i++)
        cr_expect_eq(report.test[i].failure.size, 0u, "%.*s:%u: %.*s", (int)report.test[i].file.size, report.test[i].file.data,
                     report.test[i].line, (int)report.test[i].failure.size, report.test[i].failure.data);
    cr_expect_geq(report.count, least);
    arena_fini(&arena);
}

Test(rule_test, the_trafficking_pack_passes, .timeout = 120)
{
    expect_all_pass("rules/packs/trafficking", 70);
}

Test(rule_test, the_numbered_meaning_holds, .timeout = 120)
{
    expect_all_pass("tests/data/meaning", 120);
}

#define HEAD "ruleset test { timezone \"Africa/Nairobi\" base USD }\n"                                             \
             "typology t \"T\" { offence laundering alert at 20 points half_life 10d }\n"
#define RULE(id, status, points, condition)                                                                        \
    "rule " id " \"r\" { version 1 status " status " typology t family debt source \"x\" V why \"y\"\n"            \
    "for each account let n = count of in over 1h when " condition "\npoints " points " to account as collector say \"{n}\" }\n"

/* --- what a failure says --- */

static void expect_failure(const char *test, const char *const *says)
{
    char rules[4096], dir[32];
    struct arena arena;
    struct rule_test_report report;
    (void)snprintf(rules, sizeof rules, "%s%s", HEAD RULE("R-1", "live", "10", "n >= 3"), test);
    make_dir(dir, rules);
    arena_init(&arena);
    run_tests(dir, &arena, &report);
    cr_assert_eq(report.count, 1u);
    cr_assert_eq(report.failed, 1u, "%s passed", test);
    const char *failure = arena_text(&arena, report.test[0].failure);
    for (int i = 0; says[i]; i++)
        cr_expect_not_null(strstr(failure, says[i]), "no \"%s\" in:\n%s", says[i], failure);
    arena_fini(&arena);
    remove_dir(dir);
}

Test(rule_test, a_missing_hit_shows_the_last_evaluation)
{
    expect_failure("test \"x\" { start 2026-03-02 12:00\n every 1m x 2 A -> B 1 USD\n expect hit on B as collector with n = 3 }",
                   (const char *const[]){"line 8: expected a hit on B as collector with n = 3", "R-1 did not hit",
                                         "last evaluated at 2026-03-02 12:01 with n = 2", NULL});
}

#define STEPS "rule S-1 \"s\" { version 1 status live typology t family debt source \"x\" V why \"y\"\n"                    \
              "for each account let n = count of in over 1h let m = sum amount of out since step 1\n"                   \
              "when n >= 2 then within 1h m >= 5 USD points 10 to account as collector say \"{n}\" }\n"

Test(rule_test, a_missing_hit_says_how_far_the_attempt_came)
{
    expect_failure(STEPS "test \"x\" for S-1 { start 2026-03-02 12:00\n every 1m x 2 A -> B 1 USD\n after 5m B -> C 4 USD\n"
                         "after 2h B -> C 9 USD\n expect hit on B }",
                   (const char *const[]){"S-1 did not hit; its step 2 of 2 was last looked at 2026-03-02 12:06 with n = 2, m = 4.00 USD", NULL});
    expect_failure(STEPS "test \"x\" for S-1 { start 2026-03-02 12:00\n A -> B 1 USD\n after 5m B -> C 9 USD\n expect hit on B }",
                   (const char *const[]){"its step 1 of 2 was last looked at 2026-03-02 12:00 with n = 1", ", the next one never", NULL});
}

Test(rule_test, a_rule_that_nothing_touched_is_said_so)
{
    expect_failure("test \"x\" { start 2026-03-02 12:00\n A -> CASH 1 USD\n expect hit on A }",
                   (const char *const[]){"R-1 was never evaluated for it", NULL});
}

Test(rule_test, another_value_or_role_shows_the_hits_there_were)
{
    expect_failure("test \"x\" { start 2026-03-02 12:00\n every 1m x 3 A -> B 1 USD\n expect hit on B with n = 4 }",
                   (const char *const[]){"R-1 hit on B as collector at 2026-03-02 12:02, 10 points with n = 3", NULL});
    expect_failure("test \"x\" { start 2026-03-02 12:00\n every 1m x 3 A -> B 1 USD\n expect hit on B as payer }",
                   (const char *const[]){"expected a hit on B as payer", "as collector", NULL});
}

Test(rule_test, a_hit_where_nothing_was_expected)
{
    expect_failure("test \"x\" { start 2026-03-02 12:00\n every 1m x 3 A -> B 1 USD\n expect nothing }",
                   (const char *const[]){"expected nothing; instead:", "R-1 hit on B", NULL});
}

Test(rule_test, a_missing_alert_shows_what_it_asks_for)
{
    expect_failure("test \"x\" { start 2026-03-02 12:00\n every 1m x 3 A -> B 1 USD\n expect alert t on B }",
                   (const char *const[]){"expected an alert t on B; there was none", "20 points from 1 indicator in 1 family",
                                         "R-1 hit on B", NULL});
}

Test(rule_test, an_alert_that_no_line_expects_fails)
{
    expect_failure("test \"x\" { start 2026-03-02 12:00\n every 1m x 3 A -> B 1 USD\n A -> B 1 USD expect hit on B with n = 4 }",
                   (const char *const[]){"an alert that no line expects: t on B at 2026-03-02 12:02", NULL});
}

Test(rule_test, an_event_that_would_be_refused_is_said_with_its_reason)
{
    expect_failure("test \"x\" { start 2026-03-02 12:00\n A -> B 1 USD { mcc 12 }\n expect nothing }",
                   (const char *const[]){"line 7: the event would be refused: BAD_MCC mcc", NULL});
    expect_failure("test \"x\" { start 2026-03-02 12:00\n A -> B 1 USD { late \"x\" }\n expect nothing }",
                   (const char *const[]){"late needs a duration", NULL});
}

/* --- beyond the language's own tests: a stream of lines through the step --- */

struct line {
    int minute;             /* after 2026-03-02 00:00 UTC */
    const char *sender, *receiver;
    int usd;
};

struct played {
    struct arena arena;
    struct program *program;
    struct output out;
};

static struct event *play_events(struct played *stream, const struct line *line, uint32_t count)
{
    struct rates *rates = rates_none(stream->program->base);
    struct decode_settings settings = {.rates = rates, .message_bytes_max = 65536, .future_ms_max = 300000};
    struct decoder *decoder = decoder_new(&settings);
    struct text_scratch *scratch = text_scratch_new();
    struct event *event = ARENA_ARRAY(&stream->arena, struct event, count);
    for (uint32_t i = 0; i < count; i++) {
        char time[TIME_TEXT_MAX];
        struct slice field = SLICE("");
        time_format(1772409600000 + (int64_t)line[i].minute * 60000, time);
        struct message message = {.broker_ms = MISSING_I64};
        message.body = arena_format(&stream->arena,
                                    "{\"source\": \"bank\", \"id\": \"%u\", \"time\": \"%s\", \"kind\": \"TRANSFER\", "
                                    "\"amount\": \"%d\", \"currency\": \"USD\", \"sender\": {\"account\": \"%s\"}, "
                                    "\"receiver\": {\"account\": \"%s\"}}",
                                    i + 1, time, line[i].usd, line[i].sender, line[i].receiver);
        enum reject_reason reason = decoder_decode(decoder, &message, &stream->arena, &event[i], &field);
        cr_assert_eq(reason, REJECT_NONE, "%s %.*s", reject_code(reason), (int)field.size, field.data);
        event[i].seq = i + 1;
        step_match_texts(stream->program, scratch, &event[i]);
    }
    text_scratch_free(scratch);
    decoder_free(decoder);
    rates_free(rates);
    return event;
}

static void play_run(struct played *stream, const char *rules, bool for_tests, const struct line *line, uint32_t count)
{
    static const struct step_settings settings = {.lateness_ms = 24 * 3600000, .dedup_ms = 3 * (int64_t)MS_PER_DAY,
                                                  .shard_bytes_max = 1 << 24, .partition_max = 1, .inline_below = UINT32_MAX};
    static const unsigned char key[16] = "key of the test";
    char dir[32];
    struct error err = {0};
    make_dir(dir, rules);
    arena_init(&stream->arena);
    stream->program = load_dir(dir, for_tests);
    remove_dir(dir);
    struct crew *crew = crew_new(1, &err);
    struct step *step = step_new(stream->program, &settings, crew, key, &err);
    cr_assert(step != NULL, "%s", err.text);
    step_run(step, play_events(stream, line, count), count, &stream->arena, &stream->out);
    step_free(step);
    crew_free(crew);
}

static void play_end(struct played *stream)
{
    program_free(stream->program);
    arena_fini(&stream->arena);
}

static bool is(struct slice slice, const char *text)
{
    return slice_equal(slice, slice_of(text));
}

Test(rules_20, hits_of_one_event_come_by_rule_id_then_sender_before_receiver)
{
    struct played s;
    const char *rules = HEAD "rule B-2 \"r\" { version 1 status live typology t family debt source \"x\" V why \"y\"\n"
                             "for each account let n = count of transfers over 1h when n >= 1 points 1 to account as payer say \"{n}\" }\n"
                             "rule A-1 \"r\" { version 1 status live typology t family debt source \"x\" V why \"y\"\n"
                             "for each account let n = count of transfers over 1h when n >= 1 points 1 to account as payer say \"{n}\" }\n";
    play_run(&s, rules, false, (const struct line[]){{0, "Z", "A", 1}}, 1);
    cr_assert_eq(s.out.hit_count, 4u);
    static const char *const want[4][2] = {{"A-1", "Z"}, {"A-1", "A"}, {"B-2", "Z"}, {"B-2", "A"}};
    for (int i = 0; i < 4; i++)
        cr_expect(is(s.out.hit[i].rule_id, want[i][0]) && is(s.out.hit[i].key[0], want[i][1]), "place %d", i);
    play_end(&s);
}

enum { DAY = 24 * 60 };

Test(rules_25, an_episode_ends_a_half_life_after_its_last_live_hit)
{
    struct played s;
    /* 20 points at minute 0 open an episode; one minute short of ten days later it goes on, by hits
     * without points too; ten days after the last of them another begins, under another id. */
    const char *rules = HEAD RULE("R-1", "live", "20", "n >= 1 and amount = 20 USD") RULE("R-2", "live", "0", "n >= 1 and amount = 1 USD");
    const struct line line[] = {{0, "A", "B", 20},          {10 * DAY - 1, "A", "B", 1}, {20 * DAY - 2, "A", "B", 20},
                                {30 * DAY - 2, "A", "B", 20}};
    play_run(&s, rules, false, line, 4);
    cr_assert_geq(s.out.revision_count, 2u);
    const struct alert_revision *first = &s.out.revision[0], *last = &s.out.revision[s.out.revision_count - 1];
    cr_expect(first->seq == 1 && first->revision == 1 && is(first->subject, "B") && is(first->first_id, "1"));
    for (uint32_t i = 1; i + 1 < s.out.revision_count; i++)
        cr_expect_arr_eq(s.out.revision[i].id, first->id, 16, "the same episode");
    cr_expect(last->seq == 4 && last->revision == 1 && is(last->first_id, "4"));
    cr_expect_arr_neq(last->id, first->id, 16);
    cr_expect_eq(last->reason, REVISION_FIRST);
    play_end(&s);
}

Test(rules_25, revisions_for_an_indicator_a_role_and_a_fifth_more)
{
    struct played s;
    const char *rules = HEAD RULE("R-1", "live", "20", "n >= 1 and amount = 20 USD") RULE("R-2", "live", "1", "n >= 1 and amount = 1 USD")
        RULE("R-3", "live", "3", "n >= 1 and amount = 3 USD")
        "rule R-4 \"r\" { version 1 status live typology t family debt source \"x\" V why \"y\" for each transfer\n"
        "when amount = 4 USD points 0 to receiver as possible_victim say \"v\" }\n";
    /* at one moment, so that nothing decays: 20, an indicator, then points up to 24 in all and one more */
    const struct line line[] = {{0, "A", "B", 20}, {0, "A", "B", 1}, {0, "A", "B", 1}, {0, "A", "B", 1}, {0, "A", "B", 1},
                                {0, "A", "B", 1},  {0, "A", "B", 4}, {0, "A", "B", 3}};
    play_run(&s, rules, false, line, 8);
    static const struct {
        uint64_t seq;
        enum revision_reason reason;
    } want[] = {{1, REVISION_FIRST}, {2, REVISION_INDICATOR}, {7, REVISION_ROLE}, {8, REVISION_INDICATOR}};
    uint32_t at = 0;
    for (uint32_t i = 0; i < s.out.revision_count; i++) {
        const struct alert_revision *r = &s.out.revision[i];
        if (r->reason == REVISION_SCORE) {
            cr_expect_geq(r->score_milli * 5, s.out.revision[i - 1].score_milli * 6, "a fifth more than the revision before");
            continue;
        }
        cr_assert_lt(at, 4u);
        cr_expect(r->seq == want[at].seq && r->reason == want[at].reason, "revision %u: seq %" PRIu64 ", reason %d", i, r->seq,
                  r->reason);
        at++;
    }
    cr_expect_eq(at, 4u);
    for (uint32_t i = 0; i < s.out.revision_count; i++)
        cr_expect_eq(s.out.revision[i].revision, i + 1);
    play_end(&s);
}

Test(rules_26, shadow_hits_stand_apart_and_give_nothing)
{
    struct played s;
    const char *rules = HEAD RULE("R-1", "shadow", "20", "n >= 1") RULE("R-2", "draft", "20", "n >= 1")
        RULE("R-3", "retired", "20", "n >= 1");
    play_run(&s, rules, false, (const struct line[]){{0, "A", "B", 1}, {0, "A", "B", 1}}, 2);
    cr_expect_eq(s.out.hit_count, 2u, "the shadow's, and nothing of draft and retired");
    for (uint32_t i = 0; i < s.out.hit_count; i++)
        cr_expect(s.out.hit[i].shadow && is(s.out.hit[i].rule_id, "R-1") && !s.out.hit[i].subject[0].given);
    cr_expect_eq(s.out.revision_count, 0u);
    play_end(&s);
}
