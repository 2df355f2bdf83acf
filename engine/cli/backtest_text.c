/* A back-test for people, at a terminal. */
#include "engine/cli/backtest.h"

#include "engine/model/zone.h"

#include <stdio.h>
#include <stdlib.h>

enum { DAY_ROWS_MAX = 35 };

void day_text(int32_t day, char out[16])
{
    int year, month, dom;
    civil_date(day, &year, &month, &dom);
    (void)snprintf(out, 16, "%04d-%02d-%02d", year % 10000, month % 100, dom % 100);
}

void share_text(const struct share *share, char out[48])
{
    if (share->known)
        (void)snprintf(out, 48, "%.0f%% (%.0f-%.0f) %llu/%llu", share->is * 100, share->low * 100, share->high * 100,
                       (unsigned long long)share->of, (unsigned long long)share->all);
    else
        (void)snprintf(out, 48, "-");
}

/* --- the table of typologies and rules --- */

static void table_head(const char *what, bool measured, FILE *out)
{
    fprintf(out, "\n%-22s %9s %8s %9s %9s", what, "hits", "alerts", "a day", "subjects");
    if (measured)
        fprintf(out, "  %-22s %-22s %-22s %7s", "precision (95%)", "recall of subjects", "recall of schemes", "victims");
    fputc('\n', out);
}

bool speaks_against(const struct program *program, uint32_t scope)
{
    if (scope >= program->rule_count)
        return false;
    for (uint8_t i = 0; i < program->rule[scope].subject_count; i++)
        if (program->rule[scope].subject[i].points > 0)
            return false;
    return true;
}

static void table_row(const struct backtest *backtest, int side, uint32_t scope, struct slice name, const char *note, FILE *out)
{
    const struct tally *tally = &backtest->tally[side];
    const struct tally_count *count = &tally->count[scope];
    fprintf(out, "%-22.*s %9llu %8llu %9.2f %9llu", (int)name.size, name.data, (unsigned long long)count->hits, (unsigned long long)count->alerts,
            (double)count->alerts / tally_days(&backtest->tally[COMPARE_NEW]), (unsigned long long)count->subjects);
    if (backtest->labels && scope < tally_scope_all(tally) && !speaks_against(tally->program, scope)) {
        char precision[48], recall[48], schemes[48];
        struct measure measure = tally_measure(tally, backtest->labels, scope);
        share_text(&measure.precision, precision);
        share_text(&measure.recall, recall);
        share_text(&measure.scheme_recall, schemes);
        fprintf(out, "  %-22s %-22s %-22s %7llu", precision, recall, schemes, (unsigned long long)measure.victims);
    }
    fprintf(out, "%s%s\n", *note ? "  " : "", note);
}

static void print_typologies(const struct backtest *backtest, int side, FILE *out)
{
    const struct tally *tally = &backtest->tally[side];
    const struct program *program = tally->program;
    table_head("typology", backtest->labels != NULL, out);
    for (uint16_t t = 0; t < program->typology_count; t++)
        table_row(backtest, side, tally_scope_typology(tally, t), program->typology[t].name, "", out);
    table_row(backtest, side, tally_scope_all(tally), SLICE("all"), "", out);
}

static void print_rules(const struct backtest *backtest, FILE *out)
{
    const struct program *program = backtest->program[COMPARE_NEW];
    table_head("rule", backtest->labels != NULL, out);
    for (uint16_t r = 0; r < program->rule_count; r++)
        table_row(backtest, COMPARE_NEW, r, program->rule[r].id,
                  program->rule[r].status == RULE_SHADOW       ? "in shadow"
                  : speaks_against(program, r)                     ? "speaks against"
                  : backtest->tally[COMPARE_NEW].count[r].hits ? ""
                                                               : "never fired",
                  out);
}

/* --- by day --- */

static void print_days(const struct backtest *backtest, FILE *out)
{
    const struct tally *tally = &backtest->tally[COMPARE_NEW];
    uint32_t all = tally_scope_all(tally);
    char day[16];
    if (tally->day_count > DAY_ROWS_MAX) {
        fputs("\nBy day: --json, or the picture that --svg makes.\n", out);
        return;
    }
    fprintf(out, "\n%-22s %9s %8s %9s %9s\n", "day", "hits", "alerts", "", "subjects");
    for (uint32_t d = 0; d < tally->day_count; d++) {
        const struct tally_count *count = &tally->day[d].count[all];
        day_text(tally->day[d].day, day);
        fprintf(out, "%-22s %9llu %8llu %9s %9llu\n", day, (unsigned long long)count->hits, (unsigned long long)count->alerts, "",
                (unsigned long long)count->subjects);
    }
}

/* --- against --- */

static void print_alert(const struct backtest *backtest, int side, const struct compare_alert *alert, FILE *out)
{
    struct arena arena;
    enum entity_kind kind;
    char time[TIME_TEXT_MAX];
    arena_init(&arena);
    struct slice subject = subject_text(backtest->table, alert->subject, &kind);
    struct slice why = compare_explain(&backtest->compare, side, alert, &arena);
    if (alert->victim)
        subject = SLICE("an account under protection");
    time_format(alert->time_ms, time);
    fprintf(out, "  %.16s  %.*s, %.*s, %lld points: %.*s\n", time, (int)subject.size, subject.data, (int)alert->typology.size, alert->typology.data,
            (long long)(alert->score_milli / 1000), (int)why.size, why.data);
    arena_fini(&arena);
}

static void print_only(const struct backtest *backtest, int side, uint64_t count, FILE *out)
{
    const struct compare_alert **sample = calloc(backtest->sample_max + 1, sizeof(struct compare_alert *));
    uint32_t shown = sample ? backtest_sample(backtest, side, sample) : 0;
    if (count)
        fprintf(out, "\nOnly with %s (%s):\n", backtest->dir[side], side == COMPARE_NEW ? "new" : "old");
    for (uint32_t i = 0; i < shown; i++)
        print_alert(backtest, side, sample[i], out);
    if (count > shown)
        fprintf(out, "  and %llu more\n", (unsigned long long)(count - shown));
    free(sample);
}

static void print_against(const struct backtest *backtest, FILE *out)
{
    struct compare_result result = compare_count(&backtest->compare);
    fprintf(out, "\nWith the old rules, %s:\n", backtest->dir[COMPARE_OLD]);
    print_typologies(backtest, COMPARE_OLD, out);
    if (result.only[COMPARE_NEW] + result.only[COMPARE_OLD] + result.moved == 0) {
        fprintf(out, "\nNone of the %llu alerts differs.\n", (unsigned long long)result.same);
        return;
    }
    fprintf(out, "\nAlerts: %llu the same in both, %llu in both but begun at another payment, %llu only new, %llu only old.\n",
            (unsigned long long)result.same, (unsigned long long)result.moved, (unsigned long long)result.only[COMPARE_NEW],
            (unsigned long long)result.only[COMPARE_OLD]);
    print_only(backtest, COMPARE_NEW, result.only[COMPARE_NEW], out);
    print_only(backtest, COMPARE_OLD, result.only[COMPARE_OLD], out);
    if (backtest->compare.dropped)
        fprintf(out, "%llu differing hits were not kept, for there were too many: explanations may lack them.\n",
                (unsigned long long)backtest->compare.dropped);
}

void backtest_print(const struct backtest *backtest, FILE *out)
{
    const struct tally *tally = &backtest->tally[COMPARE_NEW];
    const struct replay_summary *summary = &backtest->summary;
    const struct tally_count *all = &tally->count[tally_scope_all(tally)];
    double seconds = (double)summary->wall_ns / 1e9, days = tally_days(tally);
    char first[16] = "-", last[16] = "-";
    if (tally->day_count) {
        day_text(tally->day[0].day, first);
        day_text(tally->day[tally->day_count - 1].day, last);
    }
    fprintf(out, "%s over %llu events of %u days, %s to %s, in %.1f s (%.0f/s)\n", backtest->dir[COMPARE_NEW], (unsigned long long)summary->messages,
            tally_days(tally), first, last, seconds, (double)summary->messages / (seconds > 0 ? seconds : 1));
    fprintf(out, "A day: %.1f hits, %.2f alerts, %.2f subjects. In all: %llu hits (and %llu that gave nothing), %llu alerts, %llu subjects.\n",
            (double)all->hits / days, (double)all->alerts / days, (double)all->subjects / days, (unsigned long long)all->hits,
            (unsigned long long)tally->unkept, (unsigned long long)all->alerts, (unsigned long long)all->subjects);
    if (summary->outcome[OUTCOME_REJECTED])
        fprintf(out, "%llu lines were refused and count nowhere.\n", (unsigned long long)summary->outcome[OUTCOME_REJECTED]);
    if (summary->state.refused)
        fputs("The memory bound was reached (setting shard_mb_max): the figures are not to be relied on.\n", out);
    if (tally_is_cut(tally))
        fputs("The stream has more subjects or days than are counted: these figures are lower bounds.\n", out);
    print_typologies(backtest, COMPARE_NEW, out);
    print_rules(backtest, out);
    if (backtest->labels)
        fputs("\nPrecision: of the accounts put forward, those labelled as suspects of the typology. Recall: of those labelled, the ones put\n"
              "forward. `victims` were put forward though they may be victims: they never count as caught.\n", out);
    print_days(backtest, out);
    if (backtest->dir[COMPARE_OLD])
        print_against(backtest, out);
}
