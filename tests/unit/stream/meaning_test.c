/* The numbered meaning where tests in rules cannot see it: milliseconds, partitions, batches, texts, the order of alerts;
 * each suite's name says its point. Every story is told in one batch and event by event, and must come out the same. At the end, a reload. */
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

#define HEAD "ruleset test { timezone \"Africa/Nairobi\" base USD }\n" /* three hours before UTC, the whole year */
#define TYPOLOGY(name) "typology " name " \"T\" { offence laundering alert at 20 points }\n"
#define BEGIN(id, typology) "rule " id " \"r\" { version 1 status live typology " typology " family debt source \"x\" V why \"y\"\n"

enum { HOUR = 3600000, DAY = 24 * HOUR, PARTITIONS = 2 };

struct line {
    int64_t ms; /* after 2026-03-02 00:00 UTC */
    uint32_t partition;
    const char *from, *to, *amount;
};

static struct program *load(const char *rules)
{
    struct source_file file = {SLICE("test.rules"), slice_of(rules)};
    struct load_options options = {.today = 20514};
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_parse(&file, 1, "", &options, diagnostics, &err);
    if (!program)
        diagnostics_text(diagnostics, stderr);
    cr_assert(program != NULL, "%s", err.text);
    diagnostics_free(diagnostics);
    return program;
}

static void decode(const struct program *program, const struct line *line, uint32_t number, struct arena *arena, struct event *event)
{
    struct rates *rates = rates_none(program->base);
    struct decode_settings settings = {.rates = rates, .message_bytes_max = 65536, .future_ms_max = 300000};
    struct decoder *decoder = decoder_new(&settings);
    struct text_scratch *scratch = text_scratch_new();
    struct slice field = SLICE("");
    struct message message = {.broker_ms = MISSING_I64, .position = {.partition = line->partition, .offset = number}};
    char time[TIME_TEXT_MAX];
    time_format(1772409600000 + line->ms, time);
    message.body = arena_format(arena,
                                "{\"source\": \"bank\", \"id\": \"%u\", \"time\": \"%s\", \"kind\": \"TRANSFER\", \"amount\": \"%s\", "
                                "\"currency\": \"USD\", \"sender\": {\"account\": \"%s\"}, \"receiver\": {\"account\": \"%s\"}}",
                                number, time, line->amount, line->from, line->to);
    enum reject_reason reason = decoder_decode(decoder, &message, arena, event, &field);
    cr_assert_eq(reason, REJECT_NONE, "%s %.*s", reject_code(reason), (int)field.size, field.data);
    event->seq = number;
    step_match_texts(program, scratch, event);
    text_scratch_free(scratch);
    decoder_free(decoder);
    rates_free(rates);
}

static void tell_alert(const struct alert_revision *alert, FILE *to)
{
    fprintf(to, "%" PRIu64 " alert %.*s %.*s\n", alert->seq, (int)alert->typology.size, alert->typology.data, (int)alert->subject.size,
            alert->subject.data);
}

/* Event by event: its hits, then its alerts, each in the order they come in. */
static void tell(const struct output *out, FILE *to)
{
    uint32_t alert = 0;
    for (uint32_t i = 0; i < out->hit_count; i++) {
        const struct hit *hit = &out->hit[i];
        while (alert < out->revision_count && out->revision[alert].seq < hit->seq)
            tell_alert(&out->revision[alert++], to);
        fprintf(to, "%" PRIu64 " %.*s %.*s: %.*s\n", hit->seq, (int)hit->rule_id.size, hit->rule_id.data, (int)hit->key[0].size,
                hit->key[0].data, (int)hit->say.size, hit->say.data);
    }
    while (alert < out->revision_count)
        tell_alert(&out->revision[alert++], to);
}

static const struct step_settings settings = {.lateness_ms = DAY, .dedup_ms = 3 * (int64_t)DAY, .shard_bytes_max = 1 << 24,
                                              .partition_max = PARTITIONS, .inline_below = UINT32_MAX};
static const unsigned char key[16] = "key of the test";

/* Hits and alerts as lines; the last line counts what exceptions silenced. */
static char *play_by(const struct step_settings *by, const char *rules, const struct line *line, uint32_t count, uint32_t batch)
{
    struct error err = {0};
    struct program *program = load(rules);
    struct crew *crew = crew_new(1, &err);
    struct step *step = step_new(program, by, crew, key, &err);
    cr_assert(step != NULL, "%s", err.text);
    char *said = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&said, &size);
    for (uint32_t from = 0; from < count; from += batch) {
        struct arena arena;
        struct output out = {0};
        uint32_t part = count - from < batch ? count - from : batch;
        arena_init(&arena);
        struct event *event = ARENA_ARRAY(&arena, struct event, part);
        for (uint32_t i = 0; i < part; i++)
            decode(program, &line[from + i], from + i + 1, &arena, &event[i]);
        step_run(step, event, part, &arena, &out);
        tell(&out, to);
        arena_fini(&arena);
    }
    fprintf(to, "silenced %" PRIu64 "\n", step_silenced(step));
    fclose(to);
    step_free(step);
    crew_free(crew);
    program_free(program);
    return said;
}

static char *play(const char *rules, const struct line *line, uint32_t count, uint32_t batch)
{
    return play_by(&settings, rules, line, count, batch);
}

#define expect(rules, want, ...)                                                                       \
    do {                                                                                               \
        const struct line story[] = {__VA_ARGS__};                                                     \
        uint32_t length = sizeof story / sizeof story[0];                                              \
        char *whole = play(rules, story, length, length), *single = play(rules, story, length, 1);     \
        cr_expect_str_eq(whole, want);                                                                 \
        cr_expect_str_eq(single, want);                                                                \
        free(whole);                                                                                   \
        free(single);                                                                                  \
    } while (0)

#define COUNT(span) HEAD TYPOLOGY("t") BEGIN("R-1", "t") "for each account\nlet n = count of in over " span \
                    "\nwhen n >= 2\npoints 1 to account as payer\nsay \"{n}\" }\n"

Test(rules_1, midnight_is_the_zones_to_the_millisecond)
{
    const char *rules = HEAD TYPOLOGY("t") BEGIN("R-1", "t") "for each transfer\nwhen weekday = tuesday\npoints 1 to receiver as payer\nsay \"tuesday\" }\n";
    expect(rules, "silenced 0\n", {21 * HOUR - 1, 0, "A", "B", "1"});
    expect(rules, "1 R-1 : tuesday\nsilenced 0\n", {21 * HOUR, 0, "A", "B", "1"});
}

/* Accounts are paid, and long behind another partition begins half an hour before and pays them too. Their clocks count until the horizon, a
 * day behind partition 0, lies two days behind them: whether a sweep took them by then does not show. */
static void expect_begun(bool counts, int64_t newest_ms)
{
    enum { PAID = 40, EPOCH = PAID + 2, LINES = 2 * EPOCH - 1 + PAID };
    static const uint32_t sweeps[] = {1, UINT32_MAX}; /* at the second epoch, when little has been added: a few shards; all */
    char account[PAID][16];
    struct line line[LINES];
    for (int i = 0; i < LINES; i++)
        line[i] = (struct line){-9 * (int64_t)DAY, 0, "X", "Y", "1"}; /* late: nothing is kept of it */
    line[EPOCH - 2] = line[EPOCH - 1] = (struct line){0, 0, "X", "Y", "1"};
    line[EPOCH].ms = newest_ms;
    for (int i = 0; i < PAID; i++) {
        (void)snprintf(account[i], sizeof account[i], "B%d", i);
        line[i] = (struct line){0, 0, "A", account[i], "1"};
        line[2 * EPOCH - 1 + i] = (struct line){-HOUR / 2, 1, "A", account[i], "1"};
    }
    for (int i = 0; i < 2; i++) {
        struct step_settings by = settings;
        int found = 0;
        by.epoch_seq = EPOCH;
        by.sweep_work = sweeps[i];
        char *said = play_by(&by, HEAD TYPOLOGY("t") BEGIN("R-1", "t") "for each account\nlet n = count of in over 1h\nlet all = count of in over 20d\n"
                             "when n >= 2 and all >= 2\npoints 1 to account as payer\nsay \"{n}\" }\n", line, LINES, 1);
        for (const char *at = said; (at = strstr(at, "R-1 B")); at++)
            found++;
        cr_expect_eq(found, counts ? PAID : 0, "newest %lld, swept by %u: %d", (long long)newest_ms, by.sweep_work, found);
        free(said);
    }
}

Test(rules_2, the_clock_of_a_key_behind_which_a_partition_begins)
{
    expect_begun(true, 3 * (int64_t)DAY);
    expect_begun(false, 3 * (int64_t)DAY + 1);
    expect_begun(false, 15 * (int64_t)DAY);
}

Test(rules_3, lateness_to_the_millisecond)
{
    expect(COUNT("5d"), "3 R-1 B: 2\nsilenced 0\n", {DAY, 0, "X", "X", "1"}, {DAY, 0, "A", "B", "1"}, {0, 0, "A", "B", "1"});
    expect(COUNT("5d"), "silenced 0\n", {DAY, 0, "X", "Y", "1"}, {DAY, 0, "A", "B", "1"}, {-1, 0, "A", "B", "1"});
}

Test(rules_3, lateness_is_that_of_the_events_own_partition)
{
    expect(COUNT("9d"), "3 R-1 B: 2\nsilenced 0\n", {3 * (int64_t)DAY, 0, "X", "Y", "1"}, {0, 1, "A", "B", "1"},
           {1, 1, "A", "B", "1"});
    expect(COUNT("9d"), "silenced 0\n", {3 * (int64_t)DAY, 0, "X", "Y", "1"}, {0, 0, "A", "B", "1"}, {1, 0, "A", "B", "1"});
}

Test(rules_4, over_excludes_exactly_its_span_ago)
{
    expect(COUNT("2h"), "silenced 0\n", {0, 0, "A", "B", "1"}, {2 * HOUR, 0, "A", "B", "1"});
    expect(COUNT("2h"), "2 R-1 B: 2\nsilenced 0\n", {0, 0, "A", "B", "1"}, {2 * HOUR - 1, 0, "A", "B", "1"});
}

Test(rules_4, within_and_memories_too)
{
    const char *steps = HEAD TYPOLOGY("t") BEGIN("R-1", "t") "for each account\nwhen count of in over 1h >= 1\nthen within 1h count of out since step 1 >= 1\n"
                        "points 1 to account as payer\nsay \"out\" }\n";
    const char *memory = HEAD TYPOLOGY("t") "memory paid for each account { from in\nkeep amount\nfor 2h }\n" BEGIN("R-1", "t")
                         "for each transfer\nwhen sender.paid is known\npoints 1 to sender as payer\nsay \"{sender.paid.amount}\" }\n";
    expect(steps, "silenced 0\n", {0, 0, "A", "B", "1"}, {HOUR, 0, "B", "C", "1"});
    expect(steps, "2 R-1 B: out\nsilenced 0\n", {0, 0, "A", "B", "1"}, {HOUR - 1, 0, "B", "C", "1"});
    expect(memory, "silenced 0\n", {0, 0, "A", "B", "1"}, {2 * HOUR, 0, "B", "C", "1"});
    expect(memory, "2 R-1 : 1.00 USD\nsilenced 0\n", {0, 0, "A", "B", "1"}, {2 * HOUR - 1, 0, "B", "C", "1"});
}

Test(rules_5, calendar_days_to_the_millisecond)
{
    /* 32 days end with the day of the second credit; the first of them begins at 21:00 UTC */
    expect(COUNT("32d"), "silenced 0\n", {21 * HOUR - 1, 0, "A", "B", "1"}, {31 * (int64_t)DAY + 21 * HOUR, 0, "A", "B", "1"});
    expect(COUNT("32d"), "2 R-1 B: 2\nsilenced 0\n", {21 * HOUR, 0, "A", "B", "1"}, {32 * (int64_t)DAY + 21 * HOUR - 1, 0, "A", "B", "1"});
}

Test(rules_18, say_names_the_last_events_fields_and_the_attempts_lets)
{
    const char *rules = HEAD TYPOLOGY("t") BEGIN("R-1", "t") "for each account\nlet got = sum amount of in over 10m\nlet size = amount\n"
                        "when got >= 5 USD and size > 0 USD\nthen within 1h count of out since step 1 >= 1\n"
                        "points 1 to account as payer\nsay \"{got} {size} {amount} {receiver}\" }\n";
    expect(rules, "2 R-1 B: 5.00 USD 5.00 USD 3.00 USD C\nsilenced 0\n", {0, 0, "A", "B", "5"}, {HOUR - 1, 0, "B", "C", "3"});
}

Test(rules_20, alerts_of_one_event_come_in_byte_order_of_typology_and_subject)
{
    const char *rules = HEAD TYPOLOGY("beta") TYPOLOGY("alpha") BEGIN("R-1", "beta") "for each transfer\nwhen amount > 0 USD\n"
                        "points 20 to sender as payer, 20 to receiver as payer\nsay \"x\" }\n" BEGIN("R-2", "alpha")
                        "for each transfer\nwhen amount > 0 USD\npoints 20 to sender as payer, 20 to receiver as payer\nsay \"x\" }\n";
    expect(rules, "1 R-1 : x\n1 R-2 : x\n1 alert alpha Z\n1 alert alpha a\n1 alert beta Z\n1 alert beta a\nsilenced 0\n",
           {0, 0, "a", "Z", "1"});
}

Test(rules_22, a_silenced_hit_is_counted)
{
    const char *rules = HEAD TYPOLOGY("t") BEGIN("R-1", "t") "for each transfer\nwhen amount > 0 USD\npoints 20 to receiver as payer\nsay \"x\"\n"
                        "except amount = 7 USD until 2026-03-02 because \"memo\" by \"desk\" }\n";
    expect(rules, "1 R-1 : x\n1 alert t B\nsilenced 1\n", {0, 0, "A", "B", "1"}, {1, 0, "A", "B", "7"});
    expect(rules, "silenced 1\n", {21 * HOUR - 1, 0, "A", "B", "7"});
    expect(rules, "1 R-1 : x\n1 alert t B\nsilenced 0\n", {21 * HOUR, 0, "A", "B", "7"});
}

/* --- a reload --- */

/* Lines [from, to) in one batch. */
static void run_lines(struct step *step, const struct program *program, const struct line *line, uint32_t from, uint32_t to, FILE *said)
{
    struct arena arena;
    struct output out = {0};
    arena_init(&arena);
    struct event *event = ARENA_ARRAY(&arena, struct event, to - from);
    for (uint32_t i = from; i < to; i++)
        decode(program, &line[i], i + 1, &arena, &event[i - from]);
    step_run(step, event, to - from, &arena, &out);
    if (said)
        tell(&out, said);
    arena_fini(&arena);
}

/* The hits and alerts after line `swap_at`, when other rules, warmed up with all lines before, have gone to work. */
static char *play_over(const char *before, const char *after, const struct line *line, uint32_t count, uint32_t swap_at)
{
    struct step_settings muted = settings;
    struct error err = {0};
    struct state_mapping mapping;
    struct state_grafting grafting;
    struct program *old = load(before), *new = load(after);
    struct crew *crew = crew_new(1, &err);
    struct step *step = step_new(old, &settings, crew, key, &err);
    muted.mute = true;
    struct step *warm = step_new(new, &muted, crew, key, &err);
    cr_assert(step && warm, "%s", err.text);
    run_lines(step, old, line, 0, swap_at, NULL);
    run_lines(warm, new, line, 0, swap_at, NULL);
    cr_assert(step_swap(step, new, warm, &mapping, &grafting, &err), "%s", err.text);
    cr_assert(mapping.lacks && grafting.left_out == 0);
    char *said = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&said, &size);
    run_lines(step, new, line, swap_at, count, to);
    fclose(to);
    step_free(warm);
    step_free(step);
    crew_free(crew);
    program_free(old);
    program_free(new);
    return said;
}

#define CHAIN(span) HEAD TYPOLOGY("t") BEGIN("R-1", "t") "for each account\nlet n = chain into account over " span " hops 2..4\n" \
                    "when n >= 2\npoints 1 to account as payer\nsay \"{n}\" }\n"

/* B was paid in a partition that is far ahead. By B's own clock A's payment is long past; the search from C, in the slow partition, sees it. */
Test(reload, keeps_legs_that_the_slowest_partition_still_sees)
{
    static const struct line line[] = {{0, 0, "A", "B", "5"}, {20 * (int64_t)DAY, 1, "X", "B", "5"}, {HOUR, 0, "B", "C", "5"}};
    char *said = play_over(CHAIN("48h"), CHAIN("96h"), line, 3, 2);
    cr_expect_str_eq(said, "3 R-1 C: 2\n");
    free(said);
}
