/* A back-test as pictures: alerts by day, precision and recall. */
#include "engine/cli/backtest.h"

#include "engine/base/invariant.h"
#include "engine/cli/chart.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096 };

bool folder_make(const char *path, struct error *err)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST || error_errno(err, ERROR_FATAL, "cannot make the folder %s", path);
}

FILE *picture_open(const char *folder, const char *name, struct error *err)
{
    char path[PATH_SIZE];
    int size = snprintf(path, sizeof path, "%s/%s.svg", folder, name);
    FILE *picture = size > 0 && (size_t)size < sizeof path ? fopen(path, "we") : NULL;
    if (!picture)
        error_errno(err, ERROR_FATAL, "cannot write %s/%s.svg", folder, name);
    return picture;
}

bool picture_close(FILE *picture, const char *folder, const char *name, struct error *err)
{
    bool good = !ferror(picture);
    good = fclose(picture) == 0 && good;
    return good || error_errno(err, ERROR_FATAL, "cannot write %s/%s.svg", folder, name);
}

/* --- by day --- */

static bool picture_days(const struct backtest *backtest, const char *folder, struct error *err)
{
    const struct tally *tally = &backtest->tally[COMPARE_NEW], *old = backtest->dir[COMPARE_OLD] ? &backtest->tally[COMPARE_OLD] : NULL;
    const struct program *program = tally->program;
    uint32_t days = tally->day_count, series = program->typology_count;
    int32_t *day = calloc(days + 1, sizeof *day);
    uint64_t *value = calloc((size_t)(days + 1) * (series + 1u), sizeof *value), *other = old ? calloc(days + 1, sizeof *other) : NULL;
    struct slice *name = calloc(series + 1u, sizeof *name);
    invariant(day && value && name && (!old || other));
    for (uint32_t t = 0; t < series; t++)
        name[t] = program->typology[t].name;
    for (uint32_t d = 0, o = 0; d < days; d++) {
        day[d] = tally->day[d].day;
        for (uint32_t t = 0; t < series; t++)
            value[d * series + t] = tally->day[d].count[tally_scope_typology(tally, t)].alerts;
        for (; old && o < old->day_count && old->day[o].day <= day[d]; o++)
            if (old->day[o].day == day[d])
                other[d] = old->day[o].count[tally_scope_all(old)].alerts;
    }
    char subtitle[160];
    (void)snprintf(subtitle, sizeof subtitle, "%.40s: %llu alerts on %u days", backtest->dir[COMPARE_NEW],
                   (unsigned long long)tally->count[tally_scope_all(tally)].alerts, tally_days(tally));
    const struct chart_days chart = {.title = "Alerts by day", .subtitle = subtitle, .unit = "alerts", .series_count = series, .series = name,
                                     .day_count = days, .day = day, .value = value, .other = other, .other_name = "the old rules, in all"};
    FILE *picture = picture_open(folder, "alerts-by-day", err);
    if (picture)
        chart_days(&chart, picture);
    bool good = picture && picture_close(picture, folder, "alerts-by-day", err);
    free(day);
    free(value);
    free(other);
    free(name);
    return good;
}

/* --- against labels --- */

static bool picture_shares(const struct backtest *backtest, const char *name, uint32_t from, uint32_t to, const char *title, struct error *err,
                           const char *folder)
{
    const struct tally *tally = &backtest->tally[COMPARE_NEW];
    const struct program *program = tally->program;
    struct chart_share *row = calloc(to - from + 1u, sizeof *row);
    uint32_t count = 0;
    invariant(row != NULL);
    for (uint32_t scope = from; scope < to; scope++) {
        if (scope < program->rule_count && (tally->count[scope].hits == 0 || speaks_against(program, scope)))
            continue;
        struct measure measure = tally_measure(tally, backtest->labels, scope);
        row[count++] = (struct chart_share){
            .name = scope < program->rule_count ? program->rule[scope].id : program->typology[scope - program->rule_count].name,
            .first = measure.precision,
            .second = measure.recall};
    }
    const struct chart_shares chart = {.title = title, .subtitle = "of accounts, with the interval at 95%", .first = "precision", .second = "recall",
                                       .row_count = count, .row = row};
    FILE *picture = picture_open(folder, name, err);
    if (picture)
        chart_shares(&chart, picture);
    free(row);
    return picture && picture_close(picture, folder, name, err);
}

bool backtest_pictures(const struct backtest *backtest, const char *folder, struct error *err)
{
    const struct tally *tally = &backtest->tally[COMPARE_NEW];
    uint32_t rules = tally->program->rule_count;
    if (!folder_make(folder, err) || !picture_days(backtest, folder, err))
        return false;
    return !backtest->labels ||
           (picture_shares(backtest, "rules", 0, rules, "How well each rule finds", err, folder) &&
            picture_shares(backtest, "typologies", rules, tally_scope_all(tally), "How well each typology's alerts find", err, folder));
}
