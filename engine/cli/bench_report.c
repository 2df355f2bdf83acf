/* The table of a measured pass, and a sentence on what to mend first. */
#include "engine/cli/bench_report.h"

#include "engine/base/json_writer.h"
#include "engine/cli/sizing.h"
#include "engine/stream/cost.h"
#include "rules/lang/limit.h"
#include "rules/lang/text.h"

#include <math.h>
#include <stdio.h>

static double share(const struct bench_report *report, const struct measured_rule *rule)
{
    return 100 * measured_sum(rule) / report->plain_ns;
}

static double state_share(const struct bench_report *report, const struct measured_rule *rule)
{
    return report->measured->state_bytes > 0 ? 100 * rule->state_bytes / report->measured->state_bytes : 0;
}

/* --- what rules share --- */

static bool reads(const struct program *program, uint16_t rule, uint16_t stream)
{
    uint16_t own[LIMIT_STREAMS], count = rule_streams(program, &program->rule[rule], own);
    for (uint16_t i = 0; i < count; i++)
        if (own[i] == stream)
            return true;
    return false;
}

/* Which of the rule's sources others read too; returns how many of how many, and names at most `room` others. */
static uint16_t sharing(const struct program *program, uint16_t rule, uint16_t *sources, uint16_t *other, uint16_t room, uint16_t *others)
{
    uint16_t own[LIMIT_STREAMS], shared = 0;
    *sources = rule_streams(program, &program->rule[rule], own);
    *others = 0;
    for (uint16_t i = 0; i < *sources; i++) {
        bool found = false;
        for (uint16_t r = 0; r < program->rule_count; r++) {
            bool named = false;
            if (r == rule || !reads(program, r, own[i]))
                continue;
            found = true;
            for (uint16_t o = 0; o < *others && o < room; o++)
                named |= other[o] == r;
            if (!named && *others < room)
                other[(*others)++] = r;
        }
        shared = (uint16_t)(shared + found);
    }
    return shared;
}

enum { NAMED_MOST = 6 };

/* Under a heading of its own, which is left out where nothing is shared. */
static void print_sharing(const struct program *program)
{
    bool headed = false;
    for (uint16_t r = 0; r < program->rule_count; r++) {
        uint16_t other[NAMED_MOST], others, sources, shared = sharing(program, r, &sources, other, NAMED_MOST, &others);
        if (!shared)
            continue;
        printf("%s  %-16.*s shares %u of %u source%s with", headed ? "" : "\nshared:\n", (int)program->rule[r].id.size, program->rule[r].id.data,
               shared, sources, sources == 1 ? "" : "s");
        for (uint16_t o = 0; o < others; o++)
            printf("%s %.*s", o ? "," : "", (int)program->rule[other[o]].id.size, program->rule[other[o]].id.data);
        puts(others == NAMED_MOST ? " …" : "");
        headed = true;
    }
}

/* --- what to mend first --- */

enum { ADVICE_MAX = 1024 };

static int32_t most_days(const struct program *program, const struct rule *rule, bool *usual)
{
    int32_t days = 0;
    *usual = false;
    for (uint16_t i = 0; i < rule->input_count; i++) {
        const struct aggregate *at = &program->aggregate[rule->input[i]];
        days = at->days > days ? at->days : days;
        *usual |= at->usual;
    }
    return days;
}

/* Why checks of the rule cost what they cost. */
static void advise_judge(const struct program *program, const struct rule *rule, const struct measured_rule *at, char *out, size_t room)
{
    bool usual;
    int32_t days = most_days(program, rule, &usual);
    if (rule->touched_by_all)
        (void)snprintf(out, room, "its `when` reads the payment itself, so that every payment of its key is checked: put these conditions into the source, behind `where`");
    else if (usual && at->miss_ns > 300)
        (void)snprintf(out, room, "each check asks what is usual, a median of 26 weeks: narrow its source, so that fewer payments are checked");
    else if (days > 30 && at->miss_ns > 300)
        (void)snprintf(out, room, "each check adds up to %d days: shorten the window, or narrow its source", (int)days);
    else
        (void)snprintf(out, room, "narrow its source by kind, channel, purpose, mcc or country, so that fewer payments are checked");
}

static void advise(const struct bench_report *report, uint16_t r, char *out, size_t room)
{
    const struct program *program = report->program;
    const struct rule *rule = &program->rule[r];
    const struct measured_rule *at = &report->measured->rule[r];
    double missing = at->checks ? 100.0 * (double)(at->checks - at->matches) / (double)at->checks : 0;
    char why[ADVICE_MAX / 2];
    if (at->text_ns >= at->judge_ns && at->text_ns >= at->filter_ns && at->text_ns >= at->record_ns) {
        struct slice text = text_name(program->text[at->text]);
        (void)snprintf(why, sizeof why, "its text `%.*s` takes %.0f ns an event and runs a pattern at %.1f %% of narratives: %s", (int)text.size, text.data,
                       at->text_ns, 100 * at->text_reached,
                       at->text_reached > 0.2 ? "give each regular expression words that must occur" : "keep its patterns few");
    } else if (at->filter_ns >= at->judge_ns && at->filter_ns >= at->record_ns) {
        (void)snprintf(why, sizeof why,
                       "the conditions of its sources are evaluated %.1f times an event: add one on kind, channel, purpose, mcc or country, joined by "
                       "`and`, so that the index leaves out the rest",
                       at->filters);
    } else if (at->record_ns > at->judge_ns) {
        (void)snprintf(why, sizeof why, "most of it is keeping records (%.0f ns an event): narrow its sources, or share one with another rule", at->record_ns);
    } else if ((double)at->matches * at->match_ns > (double)(at->checks - at->matches) * at->miss_ns) {
        (void)snprintf(why, sizeof why, "%.0f %% of its %llu checks match, and each match takes %.0f ns for the hit's values and evidence: ask for more in `when`",
                       100 - missing, (unsigned long long)at->checks, at->match_ns);
    } else {
        char how[ADVICE_MAX / 4];
        advise_judge(program, rule, at, how, sizeof how);
        (void)snprintf(why, sizeof why, "%.0f %% of its %llu checks do not match: %s", missing, (unsigned long long)at->checks, how);
    }
    (void)snprintf(out, room, "%.*s takes %.0f %% of the core: %s", (int)rule->id.size, rule->id.data, share(report, at), why);
}

static void advise_state(const struct bench_report *report, uint16_t r, char *out, size_t room)
{
    const struct program *program = report->program;
    const struct rule *rule = &program->rule[r];
    uint16_t memory[LIMIT_MEMORIES], memories = rule_memories(program, rule, memory);
    bool usual;
    int32_t days = most_days(program, rule, &usual);
    int64_t seen_ms = 0;
    for (uint16_t i = 0; i < memories; i++)
        if (program->memory[memory[i]].seen && program->memory[memory[i]].for_ms > seen_ms)
            seen_ms = program->memory[memory[i]].for_ms;
    char what[128] = "records of its windows";
    if (seen_ms)
        (void)snprintf(what, sizeof what, "%lld days of values that were new (`is new`)", (long long)(seen_ms / MS_PER_DAY));
    else if (days > 30)
        (void)snprintf(what, sizeof what, "a sum for each of %d days", (int)days);
    else if (usual)
        (void)snprintf(what, sizeof what, "26 weeks of habit (`usual`)");
    (void)snprintf(out, room, "%.*s keeps %.0f %% of what keys hold: %s, for each %s", (int)rule->id.size, rule->id.data,
                   state_share(report, &report->measured->rule[r]), what, program->keyspace[rule->keyspace].label);
}

/* By time, then by state. */
static bool dearest(const struct bench_report *report, uint16_t *slow, uint16_t *large)
{
    *slow = *large = 0;
    for (uint16_t r = 1; r < report->program->rule_count; r++) {
        const struct measured_rule *rule = report->measured->rule;
        if (measured_sum(&rule[r]) > measured_sum(&rule[*slow]))
            *slow = r;
        if (rule[r].state_bytes > rule[*large].state_bytes)
            *large = r;
    }
    return report->program->rule_count > 0;
}

/* --- for people --- */

static void print_rule(const struct bench_report *report, uint16_t r)
{
    const struct rule *def = &report->program->rule[r];
    const struct measured_rule *at = &report->measured->rule[r];
    char state[BYTES_TEXT_MAX], reached[16] = "-";
    bytes_text(at->state_bytes, state);
    if (at->text_reached >= 0)
        (void)snprintf(reached, sizeof reached, "%.1f %%", 100 * at->text_reached);
    printf("%-16.*s %9llu %8llu %7llu %8.0f %8.0f %8.0f %8.1f %7.2f%% %9.0f %8.0f %10s %8s\n", (int)def->id.size, def->id.data,
           (unsigned long long)at->checks, (unsigned long long)at->matches, (unsigned long long)at->hits, at->miss_ns, at->match_ns, at->p99_ns,
           measured_sum(at), share(report, at), at->key_bytes, at->keys, state, reached);
}

static void print_head(const struct bench_report *report)
{
    const struct measured *measured = report->measured;
    if (report->on)
        printf("%llu events of %s", (unsigned long long)measured->events, report->on);
    else
        printf("%llu events as `muster gen --seed %llu` makes them (ASSUMED: --on FILE takes your own)", (unsigned long long)measured->events,
               (unsigned long long)report->seed);
    printf(", one thread, the best of %u rounds\n%.0f ns of the core per event: decode, order and step; %.0f ns with timing, %.1f %% slower than without\n",
           report->series->rounds, report->plain_ns, measured->cpu_ns, 100 * (measured->cpu_ns / report->plain_ns - 1));
    printf("the timing itself costs %.1f ns each time and has been taken off; %llu of %llu timings were interrupted and left out\n\n", measured->clock_ns,
           (unsigned long long)measured->interrupted, (unsigned long long)measured->timings);
}

/* How much of the stream the searches see: what is false already is not searched. */
static void print_searches(const struct bench_report *report)
{
    for (uint16_t r = 0; r < report->program->rule_count; r++) {
        const struct rule *rule = &report->program->rule[r];
        const struct measured_rule *at = &report->measured->rule[r];
        if (rule->graph_count)
            printf("%.*s searches at %.2f %% of its checks, %.3f per event\n", (int)rule->id.size, rule->id.data,
                   at->checks ? 100.0 * (double)at->searched / (double)at->checks : 0, (double)at->searched / (double)report->measured->events);
    }
}

void bench_print(const struct bench_report *report)
{
    const struct measured *measured = report->measured;
    uint16_t slow, large;
    char advice[ADVICE_MAX];
    double rules_ns = 0;
    print_head(report);
    printf("%-16s %9s %8s %7s %8s %8s %8s %8s %8s %9s %8s %10s %8s\n", "rule", "checks", "matches", "hits", "ns miss", "ns match", "ns p99", "ns/event",
           "of core", "bytes/key", "keys", "state", "pattern");
    for (uint16_t r = 0; r < report->program->rule_count; r++) {
        print_rule(report, r);
        rules_ns += measured_sum(&measured->rule[r]);
    }
    print_searches(report);
    printf("\nall rules %.0f ns per event, the index of filters %.0f ns; the rest is decoding, identities, keys and deciding\n", rules_ns, measured->index_ns);
    puts("(ns miss, ns match: one check that does not match, that does; p99: 99 of 100 checks take no longer; ns/event: checks, filters, records and texts,\n"
         "what rules share divided among them; pattern: narratives at which a regular expression ran, past the words that must occur)");
    print_sharing(report->program);
    if (!dearest(report, &slow, &large))
        return;
    advise(report, slow, advice, sizeof advice);
    printf("\nmend first: %s\n", advice);
    advise_state(report, large, advice, sizeof advice);
    printf("most state: %s\n", advice);
}

/* --- as JSON --- */

static void json_rule(struct json_writer *json, const struct bench_report *report, uint16_t r)
{
    const struct program *program = report->program;
    const struct measured_rule *at = &report->measured->rule[r];
    uint16_t other[NAMED_MOST], others, sources, shared = sharing(program, r, &sources, other, NAMED_MOST, &others);
    const struct { const char *name; double ns; } times[] = {{"miss_ps", at->miss_ns},     {"match_ps", at->match_ns},   {"p99_ps", at->p99_ns},
                                                             {"judge_ps", at->judge_ns},   {"filter_ps", at->filter_ns}, {"record_ps", at->record_ns},
                                                             {"text_ps", at->text_ns},     {"event_ps", measured_sum(at)}};
    json_open_object(json, NULL);
    json_text(json, "rule", program->rule[r].id);
    json_number(json, "checks", (int64_t)at->checks);
    json_number(json, "matches", (int64_t)at->matches);
    json_number(json, "hits", (int64_t)at->hits);
    json_number(json, "searched", (int64_t)at->searched);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        json_number(json, times[i].name, llround(times[i].ns * 1000));
    json_number(json, "core_ppm", llround(share(report, at) * 1e4));
    json_number(json, "key_bytes", llround(at->key_bytes));
    json_number(json, "keys", llround(at->keys));
    json_number(json, "state_bytes", llround(at->state_bytes));
    if (at->text_reached >= 0)
        json_number(json, "pattern_ppm", llround(at->text_reached * 1e6));
    else
        json_null(json, "pattern_ppm");
    json_number(json, "sources", sources);
    json_number(json, "shared", shared);
    json_open_array(json, "shared_with");
    for (uint16_t o = 0; o < others; o++)
        json_text(json, NULL, program->rule[other[o]].id);
    json_close_array(json);
    json_close_object(json);
}

/* All rounds, as bench_series_read takes them. */
static void json_rounds(struct json_writer *json, const char *name, const double *ns, uint32_t rounds)
{
    char number[16];
    json_open_object(json, name);
    for (uint32_t i = 0; i < rounds; i++) {
        (void)snprintf(number, sizeof number, "%u", i);
        json_number(json, number, llround(ns[i] * 1000));
    }
    json_close_object(json);
}

static void json_series(struct json_writer *json, const struct bench_series *series)
{
    char id[LIMIT_WORD + 1];
    json_rounds(json, "whole_rounds_ps", series->whole, series->rounds);
    json_open_object(json, "rule_rounds_ps");
    for (uint16_t r = 0; r < series->count; r++) {
        (void)snprintf(id, sizeof id, "%.*s", (int)series->rule[r].size, series->rule[r].data);
        json_rounds(json, id, series->ns[r], series->rounds);
    }
    json_close_object(json);
}

void bench_json(const struct bench_report *report)
{
    const struct measured *measured = report->measured;
    struct json_writer json;
    uint16_t slow, large;
    char advice[ADVICE_MAX];
    json_writer_init(&json);
    json_open_object(&json, NULL);
    json_bool(&json, "assumed", report->on == NULL);
    json_number(&json, "events", (int64_t)measured->events);
    json_number(&json, "hits", (int64_t)measured->hits);
    json_number(&json, "rounds", report->series->rounds);
    json_number(&json, "event_ps", llround(report->plain_ns * 1000));
    json_number(&json, "timed_event_ps", llround(measured->cpu_ns * 1000));
    json_number(&json, "timed_step_ps", llround(measured->step_ns * 1000));
    json_number(&json, "timing_ps", llround(measured->clock_ns * 1000));
    json_number(&json, "interrupted", (int64_t)measured->interrupted);
    json_number(&json, "index_ps", llround(measured->index_ns * 1000));
    json_number(&json, "state_bytes", llround(measured->state_bytes));
    json_open_array(&json, "rules");
    for (uint16_t r = 0; r < report->program->rule_count; r++)
        json_rule(&json, report, r);
    json_close_array(&json);
    json_series(&json, report->series);
    if (dearest(report, &slow, &large)) {
        json_text(&json, "mend_first", report->program->rule[slow].id);
        advise(report, slow, advice, sizeof advice);
        json_text(&json, "advice", slice_of(advice));
        json_text(&json, "most_state", report->program->rule[large].id);
        advise_state(report, large, advice, sizeof advice);
        json_text(&json, "state_advice", slice_of(advice));
    }
    json_close_object(&json);
    json_line(&json);
    (void)fwrite(json.text, 1, json.size, stdout);
    json_writer_fini(&json);
}
