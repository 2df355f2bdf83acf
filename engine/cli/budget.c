/* Holds a rule set's size against a machine's memory, and names the rules to mend first. */
#include "engine/cli/budget.h"

#include "engine/base/invariant.h"
#include "engine/cli/sizing.h"

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

/* The dearest rules, dearest first; they are few, so each is looked for anew. */
static void print_dearest(const struct sizing *sizing, FILE *out)
{
    const struct program *program = sizing->program;
    struct rule_size *size = calloc(program->rule_count + 1u, sizeof *size);
    invariant(size);
    for (uint16_t r = 0; r < program->rule_count; r++)
        sizing_rule(sizing, r, &size[r]);
    for (int n = 0; n < NAMED_MAX; n++) {
        uint16_t most = 0;
        for (uint16_t r = 1; r < program->rule_count; r++)
            if (size[r].bytes > size[most].bytes)
                most = r;
        if (!program->rule_count || size[most].bytes < 1)
            break;
        print_rule(sizing, most, &size[most], out);
        size[most].bytes = 0;
    }
    free(size);
}

static int judge(const struct sizing *sizing, double bytes, FILE *out)
{
    const struct sizing_question *question = &sizing->question;
    const struct size_state *state = &sizing->state;
    double need = sizing_full(sizing);
    char needed[BYTES_TEXT_MAX], there[BYTES_TEXT_MAX], rest[BYTES_TEXT_MAX];
    bytes_text(need, needed);
    bytes_text(bytes, there);
    bytes_text(state->account.bytes + state->other.bytes + state->repeat.bytes + state->join.bytes, rest);
    fprintf(out, "budget: %g events/s, %.0f accounts, %lld days: %s needed at most, %s there: %s\n", question->rate, question->accounts,
            (long long)question->days, needed, there, need <= bytes ? "it fits" : "IT DOES NOT FIT");
    if (!question->sample)
        fputs("budget: ASSUMED how events meet the rules, as in the stream of `muster gen`; --sample FILE takes your own\n", out);
    if (sizing->stretch == 0)
        fprintf(out, "budget: WARNING: at this rate only %.0f accounts can be named in that time\n", state->account.count);
    if (need <= bytes)
        return EXIT_FINE;
    fputs("to mend first (what rules share is divided among them):\n", out);
    print_dearest(sizing, out);
    fprintf(out, "  whatever the rules, names and ids take %s; `muster size` shows everything\n", rest);
    return EXIT_FINDING;
}

int budget_check(const struct command_line *line, const struct settings *settings, const struct program *program, const char *budget, FILE *out)
{
    struct sizing_question question = {.sample = command_option(line, "sample")};
    struct sizing sizing;
    struct error err = {0};
    double bytes = 0;
    if (!budget_parse(budget, &question, &bytes))
        return command_fail(line, EXIT_USAGE, "--budget takes events per second, accounts and, if you like, GiB of memory: 500,2000000,64");
    struct rates *rates = *settings->rates_file ? rates_load(settings->rates_file, program->base, &err) : rates_none(program->base);
    if (!rates)
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    bool ok = sizing_make(settings, program, rates, &question, &sizing, &err);
    int code = ok ? judge(&sizing, bytes, out) : command_fail(line, EXIT_WORLD, "%s", err.text);
    sizing_fini(&sizing);
    rates_free(rates);
    return code;
}
