/* Holds a rule set's size against a machine's memory, and names the rules to mend first. */
#include "engine/cli/budget.h"

#include "engine/base/invariant.h"

#include <stdlib.h>
#include <unistd.h>

enum { NAMED_MAX = 5 };

static const double GIB = 1024.0 * 1024 * 1024;

static bool budget_parse(const char *text, struct sizing_question *question, double *bytes)
{
    char *at;
    double gib = 0;
    question->rate = strtod(text, &at);
    if (at == text || *at != ',')
        return false;
    text = at + 1;
    question->accounts = strtod(text, &at);
    if (at == text || (*at && *at != ','))
        return false;
    if (*at) {
        text = at + 1;
        gib = strtod(text, &at);
        if (at == text || *at || !(gib > 0))
            return false;
        *bytes = gib * GIB;
    } else {
        *bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    }
    return question->rate >= 0.001 && question->rate <= 1e7 && question->accounts >= 1 && question->accounts <= 4e9;
}

static const char *advice(const struct rule_size *size)
{
    if (size->seen_bytes > size->bytes / 2)
        return "a shorter `over` of `is new`, or a filter before it";
    if (size->habit_bytes > size->bytes / 2)
        return "a filter that gives fewer keys a habit (`usual`)";
    return "a shorter window, or a filter that lets fewer events in";
}

static void print_rule(const struct sizing *sizing, uint16_t rule, const struct rule_size *size, FILE *out)
{
    char all[BYTES_TEXT_MAX], usual[BYTES_TEXT_MAX], seen[BYTES_TEXT_MAX];
    bytes_text(size->bytes, all);
    bytes_text(size->habit_bytes, usual);
    bytes_text(size->seen_bytes, seen);
    fprintf(out, "  %-16.*s %s", (int)sizing->program->rule[rule].id.size, sizing->program->rule[rule].id.data, all);
    if (size->habit_bytes > 0)
        fprintf(out, ", of it %s for `usual`", usual);
    if (size->seen_bytes > 0)
        fprintf(out, ", of it %s for `is new`", seen);
    fprintf(out, ": %s\n", advice(size));
}

/* The dearest rules, dearest first, at most NAMED_MAX; they are few, so each is looked for anew. */
static uint32_t find_dearest(const struct sizing *sizing, uint16_t rule[NAMED_MAX], struct rule_size found[NAMED_MAX])
{
    const struct program *program = sizing->program;
    struct rule_size *size = calloc(program->rule_count + 1u, sizeof *size);
    uint32_t count = 0;
    invariant(size);
    for (uint16_t r = 0; r < program->rule_count; r++)
        sizing_rule(sizing, r, &size[r]);
    while (count < NAMED_MAX) {
        uint16_t most = 0;
        for (uint16_t r = 1; r < program->rule_count; r++)
            if (size[r].bytes > size[most].bytes)
                most = r;
        if (!program->rule_count || size[most].bytes < 1)
            break;
        rule[count] = most;
        found[count++] = size[most];
        size[most].bytes = 0;
    }
    free(size);
    return count;
}

static double rest_bytes(const struct size_state *state)
{
    return state->account.bytes + state->other.bytes + state->repeat.bytes + state->join.bytes;
}

static bool fits(const struct budget *budget)
{
    return sizing_full(&budget->sizing) <= budget->bytes;
}

void budget_text(const struct budget *budget, FILE *out)
{
    const struct sizing *sizing = &budget->sizing;
    const struct sizing_question *question = &sizing->question;
    char needed[BYTES_TEXT_MAX], there[BYTES_TEXT_MAX], rest[BYTES_TEXT_MAX];
    uint16_t rule[NAMED_MAX];
    struct rule_size size[NAMED_MAX];
    bytes_text(sizing_full(sizing), needed);
    bytes_text(budget->bytes, there);
    bytes_text(rest_bytes(&sizing->state), rest);
    fprintf(out, "budget: %g events/s, %.0f accounts, %lld days: %s needed at most, %s there: %s\n", question->rate, question->accounts,
            (long long)question->days, needed, there, fits(budget) ? "it fits" : "IT DOES NOT FIT");
    if (!question->sample)
        fputs("budget: ASSUMED how events meet the rules, as in the stream of `muster gen`; --sample FILE takes your own\n", out);
    if (sizing->stretch == 0)
        fprintf(out, "budget: WARNING: at this rate only %.0f accounts can be named in that time\n", sizing->state.account.count);
    if (fits(budget))
        return;
    fputs("to mend first (what rules share is divided among them):\n", out);
    uint32_t count = find_dearest(sizing, rule, size);
    for (uint32_t i = 0; i < count; i++)
        print_rule(sizing, rule[i], &size[i], out);
    fprintf(out, "  whatever the rules, names and ids take %s; `muster size` shows everything\n", rest);
}

void budget_json(const struct budget *budget, struct json_writer *json)
{
    const struct sizing *sizing = &budget->sizing;
    const struct sizing_question *question = &sizing->question;
    uint16_t rule[NAMED_MAX];
    struct rule_size size[NAMED_MAX];
    uint32_t count = fits(budget) ? 0 : find_dearest(sizing, rule, size);
    json_open_object(json, "budget");
    json_bool(json, "fits", fits(budget));
    json_real(json, "events_per_second", question->rate);
    json_real(json, "accounts", question->accounts);
    json_number(json, "days", question->days);
    json_number(json, "needed_bytes", (int64_t)sizing_full(sizing));
    json_number(json, "there_bytes", (int64_t)budget->bytes);
    json_number(json, "names_and_ids_bytes", (int64_t)rest_bytes(&sizing->state));
    json_bool(json, "generated_sample", !question->sample); /* how events meet the rules is then assumed */
    if (sizing->stretch == 0)
        json_real(json, "accounts_at_most", sizing->state.account.count);
    json_open_array(json, "mend_first");
    for (uint32_t i = 0; i < count; i++) {
        json_open_object(json, NULL);
        json_text(json, "rule", sizing->program->rule[rule[i]].id);
        json_number(json, "bytes", (int64_t)size[i].bytes);
        json_number(json, "usual_bytes", (int64_t)size[i].habit_bytes);
        json_number(json, "new_bytes", (int64_t)size[i].seen_bytes);
        json_text(json, "advice", slice_of(advice(&size[i])));
        json_close_object(json);
    }
    json_close_array(json);
    json_close_object(json);
}

int budget_make(const struct command_line *line, const struct settings *settings, const struct program *program, const char *text, struct budget *out)
{
    struct progress progress;
    struct sizing_question question = {.sample = command_option(line, "sample"), .progress = &progress};
    struct error err = {0};
    *out = (struct budget){0};
    if (!budget_parse(text, &question, &out->bytes))
        return command_fail(line, EXIT_USAGE, "--budget takes events per second, accounts and, if you like, GiB of memory: 500,2000000,64");
    struct rates *rates = *settings->rates_file ? rates_load(settings->rates_file, program->base, &err) : rates_none(program->base);
    if (!rates)
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    progress_begin_short(&progress, "events", "sampled", command_option(line, "quiet") != NULL);
    bool ok = sizing_make(settings, program, rates, &question, &out->sizing, &err);
    progress_end(&progress);
    out->sizing.question.progress = NULL;
    rates_free(rates);
    if (!ok)
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    return fits(out) ? EXIT_FINE : EXIT_FINDING;
}

void budget_fini(struct budget *budget)
{
    sizing_fini(&budget->sizing);
}
