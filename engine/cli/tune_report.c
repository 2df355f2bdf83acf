/* What tuning found: a table, a picture, JSON, and a proposal in words. */
#include "engine/cli/tune.h"

#include "engine/base/invariant.h"
#include "engine/cli/backtest.h"
#include "engine/cli/chart.h"

#include <stdlib.h>

struct slice tune_point_text(const struct tune *tune, const struct tune_point *point, struct arena *arena)
{
    struct slice all = {0};
    for (uint32_t p = 0; p < tune->param_count; p++) {
        char value[PARAM_TEXT_MAX];
        if (!tune->grid && p != point->line)
            continue;
        param_text(&tune->param[p], point->value[p], value);
        struct slice name = tune->param[p].name;
        all = arena_format(arena, "%.*s%s%.*s = %s", (int)all.size, all.data ? all.data : "", all.size ? ", " : "", (int)name.size, name.data, value);
    }
    return all;
}

static double per_day(const struct tune *tune, const struct tune_point *point)
{
    return (double)point->typology.alerts / tune->days;
}

/* --- the proposal --- */

static bool loses_nothing(const struct tune_point *point, const struct tune_point *today)
{
    return point->by_alert.caught >= today->by_alert.caught && point->by_alert.schemes_caught >= today->by_alert.schemes_caught;
}

/* Fewer alerts, and nothing lost; among equals the one nearest to today's in the order tried. */
static const struct tune_point *fewer_alerts(const struct tune *tune, const struct tune_point *today)
{
    const struct tune_point *best = NULL;
    for (uint32_t i = 0; i < tune->point_count; i++) {
        const struct tune_point *point = &tune->point[i];
        if (loses_nothing(point, today) && point->typology.alerts < (best ? best : today)->typology.alerts)
            best = point;
    }
    return best;
}

/* More caught; the most, then with the fewest alerts. */
static const struct tune_point *more_caught(const struct tune *tune, const struct tune_point *today)
{
    const struct tune_point *best = NULL;
    for (uint32_t i = 0; i < tune->point_count; i++) {
        const struct tune_point *point = &tune->point[i], *than = best ? best : today;
        if (point->by_alert.caught > than->by_alert.caught ||
            (best && point->by_alert.caught == best->by_alert.caught && point->typology.alerts < best->typology.alerts))
            best = point;
    }
    return best;
}

/* Whether alerts, and who is caught, are the same at every point; and the rule's hits too. */
static bool all_alike(const struct tune *tune, bool with_hits)
{
    for (uint32_t i = 1; i < tune->point_count; i++) {
        const struct tune_point *a = &tune->point[0], *b = &tune->point[i];
        if (a->typology.alerts != b->typology.alerts || a->by_alert.caught != b->by_alert.caught || (with_hits && a->rule.hits != b->rule.hits))
            return false;
    }
    return true;
}

static struct slice say_better(const struct tune *tune, const struct tune_point *point, const char *what, struct arena *arena)
{
    struct slice text = tune_point_text(tune, point, arena);
    char recall[48], schemes[48], precision[48];
    share_text(&point->by_alert.recall, recall);
    share_text(&point->by_alert.scheme_recall, schemes);
    share_text(&point->by_alert.precision, precision);
    return arena_format(arena, "%s: %.*s gives %.2f alerts a day, recall %s of suspects and %s of schemes, precision %s.", what, (int)text.size,
                        text.data, per_day(tune, point), recall, schemes, precision);
}

uint32_t tune_propose(const struct tune *tune, struct arena *arena, struct slice out[TUNE_SENTENCES])
{
    const struct tune_point *today = &tune->point[tune->today], *fewer = fewer_alerts(tune, today), *more = more_caught(tune, today);
    uint32_t count = 0;
    char recall[48], schemes[48];
    share_text(&today->by_alert.recall, recall);
    share_text(&today->by_alert.scheme_recall, schemes);
    out[count++] = arena_format(arena, "Today's values give %.2f alerts a day, recall %s of suspects and %s of schemes.", per_day(tune, today), recall, schemes);
    if (all_alike(tune, true))
        out[count++] = SLICE("No value tried changes a hit or an alert on this stream: it says nothing about these params.");
    else if (all_alike(tune, false))
        out[count++] = SLICE("The rule's hits change, but no alert does: other indicators carry them all.");
    else if (fewer)
        out[count++] = say_better(tune, fewer, "Fewer alerts and none of these lost", arena);
    else
        out[count++] = SLICE("No value tried gives fewer alerts without losing a suspect or a scheme that is found today.");
    if (more)
        out[count++] = say_better(tune, more, "To find more", arena);
    const struct tune_point *than = fewer ? fewer : more;
    if (than && than->by_alert.recall.low <= today->by_alert.recall.high && today->by_alert.recall.low <= than->by_alert.recall.high)
        out[count++] = arena_format(arena, "With %llu labelled suspects the intervals of recall overlap: another month may say otherwise.",
                                    (unsigned long long)today->by_alert.suspects);
    if (today->by_alert.suspects == 0)
        out[count++] = SLICE("The labels name no suspect of this typology, so recall is not known.");
    out[count++] = SLICE("Nothing was changed. Who decides edits the file, raises the version and runs `muster rules test`.");
    return count;
}

/* --- text --- */

static void print_points(const struct tune *tune, FILE *out)
{
    struct arena arena;
    int wide = 12;
    arena_init(&arena);
    for (uint32_t i = 0; i < tune->point_count; i++) {
        int size = (int)tune_point_text(tune, &tune->point[i], &arena).size;
        wide = size > wide ? size : wide;
    }
    fprintf(out, "\n  %-*s %8s %8s %8s %8s  %-21s %-21s %-21s %7s %9s %9s\n", wide, "", "hits", "alerts", "a day", "subjects", "recall of subjects",
            "recall of schemes", "precision (95%)", "victims", "ns/event", "MB");
    for (uint32_t i = 0; i < tune->point_count; i++) {
        const struct tune_point *point = &tune->point[i];
        struct slice text = tune_point_text(tune, point, &arena);
        char recall[48], schemes[48], precision[48];
        share_text(&point->by_alert.recall, recall);
        share_text(&point->by_alert.scheme_recall, schemes);
        share_text(&point->by_alert.precision, precision);
        if (i && point->line != tune->point[i - 1].line)
            fputc('\n', out);
        fprintf(out, "%c %-*.*s %8llu %8llu %8.2f %8llu  %-21s %-21s %-21s %7llu %9.0f %9.1f\n", point->today ? '*' : ' ', wide, (int)text.size, text.data,
                (unsigned long long)point->rule.hits, (unsigned long long)point->typology.alerts, per_day(tune, point),
                (unsigned long long)point->typology.subjects, recall, schemes, precision, (unsigned long long)point->by_alert.victims,
                point->ns_per_event, (double)point->state_bytes / 1e6);
    }
    arena_fini(&arena);
}

static bool any_refused(const struct tune *tune)
{
    for (uint32_t i = 0; i < tune->point_count; i++)
        if (tune->point[i].state_refused)
            return true;
    return false;
}

void tune_print(const struct tune *tune, FILE *out)
{
    struct arena arena;
    struct slice sentence[TUNE_SENTENCES];
    arena_init(&arena);
    fprintf(out, "%.*s, %.*s: %u point%s over %llu events of %u day%s, in %u pass%s and %.1f s\n", (int)tune->rule_id.size, tune->rule_id.data,
            (int)tune->rule->title.text.size, tune->rule->title.text.data, tune->point_count, tune->point_count == 1 ? "" : "s",
            (unsigned long long)tune->events, tune->days, tune->days == 1 ? "" : "s", tune->passes, tune->passes == 1 ? "" : "es", tune->seconds);
    fprintf(out, "Hits are the rule's; alerts, subjects, recall and precision are those of %.*s with all its rules. * marks today's values.\n",
            (int)tune->rule->typology.text.size, tune->rule->typology.text.data);
    if (tune->rule->status != RULE_LIVE)
        fputs("The rule is not live today: it is tried here as if it were, so that its points count.\n", out);
    if (any_refused(tune))
        fputs("The memory bound was reached (setting shard_mb_max): the figures are not to be relied on.\n", out);
    print_points(tune, out);
    fputc('\n', out);
    uint32_t count = tune_propose(tune, &arena, sentence);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "%.*s\n", (int)sentence[i].size, sentence[i].data);
    arena_fini(&arena);
}

/* --- JSON --- */

static void point_json(const struct tune *tune, const struct tune_point *point, struct json_writer *writer, struct arena *arena)
{
    json_open_object(writer, NULL);
    json_open_object(writer, "values");
    for (uint32_t p = 0; p < tune->param_count; p++) {
        char value[PARAM_TEXT_MAX];
        param_text(&tune->param[p], point->value[p], value);
        json_text(writer, arena_text(arena, tune->param[p].name), slice_of(value));
    }
    json_close_object(writer);
    json_bool(writer, "today", point->today);
    json_number(writer, "rule_hits", (int64_t)point->rule.hits);
    json_number(writer, "rule_subjects", (int64_t)point->rule.subjects);
    json_number(writer, "rule_caught", (int64_t)point->by_rule.caught);
    json_number(writer, "hits", (int64_t)point->typology.hits);
    json_number(writer, "alerts", (int64_t)point->typology.alerts);
    json_real(writer, "alerts_a_day", per_day(tune, point));
    json_number(writer, "subjects", (int64_t)point->typology.subjects);
    measure_json(writer, &point->by_alert);
    json_real(writer, "ns_per_event", point->ns_per_event);
    json_number(writer, "state_bytes", (int64_t)point->state_bytes);
    json_bool(writer, "memory_bound_reached", point->state_refused > 0);
    json_close_object(writer);
}

static void params_json(const struct tune *tune, struct json_writer *writer)
{
    json_open_array(writer, "params");
    for (uint32_t p = 0; p < tune->param_count; p++) {
        const struct param_range *range = &tune->param[p];
        char today[PARAM_TEXT_MAX], low[PARAM_TEXT_MAX], high[PARAM_TEXT_MAX];
        param_text(range, range->today, today);
        param_text(range, range->low, low);
        param_text(range, range->high, high);
        json_open_object(writer, NULL);
        json_text(writer, "param", range->name);
        json_text(writer, "today", slice_of(today));
        json_text(writer, "low", slice_of(low));
        json_text(writer, "high", slice_of(high));
        json_close_object(writer);
    }
    json_close_array(writer);
}

void tune_json(const struct tune *tune, FILE *out)
{
    struct json_writer writer;
    struct arena arena;
    struct slice sentence[TUNE_SENTENCES];
    arena_init(&arena);
    json_writer_init(&writer);
    json_open_object(&writer, NULL);
    json_text(&writer, "rule", tune->rule_id);
    json_text(&writer, "typology", tune->rule->typology.text);
    json_number(&writer, "events", (int64_t)tune->events);
    json_number(&writer, "days", tune->days);
    json_number(&writer, "passes", tune->passes);
    json_bool(&writer, "grid", tune->grid);
    params_json(tune, &writer);
    json_open_array(&writer, "points");
    for (uint32_t i = 0; i < tune->point_count; i++)
        point_json(tune, &tune->point[i], &writer, &arena);
    json_close_array(&writer);
    json_open_array(&writer, "proposal");
    uint32_t count = tune_propose(tune, &arena, sentence);
    for (uint32_t i = 0; i < count; i++)
        json_text(&writer, NULL, sentence[i]);
    json_close_array(&writer);
    json_close_object(&writer);
    json_line(&writer);
    (void)fwrite(writer.text, 1, writer.size, out);
    json_writer_fini(&writer);
    arena_fini(&arena);
}

/* --- the picture --- */

static struct slice grid_name(const struct tune *tune, struct arena *arena)
{
    struct slice all = {0};
    for (uint32_t p = 0; p < tune->param_count; p++)
        all = arena_format(arena, "%.*s%s%.*s", (int)all.size, all.data ? all.data : "", all.size ? ", " : "", (int)tune->param[p].name.size,
                           tune->param[p].name.data);
    return all;
}

/* The values alone: "3" or "3, 40%". */
static struct slice value_text_of(const struct tune *tune, const struct tune_point *point, struct arena *arena)
{
    struct slice all = {0};
    for (uint32_t p = 0; p < tune->param_count; p++) {
        char value[PARAM_TEXT_MAX];
        if (!tune->grid && p != point->line)
            continue;
        param_text(&tune->param[p], point->value[p], value);
        all = arena_format(arena, "%.*s%s%s", (int)all.size, all.data ? all.data : "", all.size ? ", " : "", value);
    }
    return all;
}

bool tune_picture(const struct tune *tune, const char *folder, struct error *err)
{
    struct arena arena;
    char subtitle[160], name[128];
    arena_init(&arena);
    struct chart_point *point = ARENA_ARRAY(&arena, struct chart_point, tune->point_count + 1);
    struct slice *line = ARENA_ARRAY(&arena, struct slice, tune->param_count + 1);
    uint32_t lines = tune->grid ? 1 : tune->param_count;
    for (uint32_t p = 0; p < lines; p++)
        line[p] = tune->grid ? grid_name(tune, &arena) : tune->param[p].name;
    for (uint32_t i = 0; i < tune->point_count; i++) {
        const struct tune_point *at = &tune->point[i];
        struct slice text = tune_point_text(tune, at, &arena);
        char recall[48];
        share_text(&at->by_alert.recall, recall);
        point[i] = (struct chart_point){.x = per_day(tune, at), .y = at->by_alert.recall, .label = value_text_of(tune, at, &arena), .line = at->line, .today = at->today,
                                        .tip = arena_format(&arena, "%.*s: %.2f alerts a day, recall %s", (int)text.size, text.data, per_day(tune, at), recall)};
    }
    (void)snprintf(subtitle, sizeof subtitle, "Recall of suspects against alerts a day; the ring is today");
    (void)snprintf(name, sizeof name, "tune-%.*s", (int)tune->rule_id.size, tune->rule_id.data);
    struct slice title = arena_format(&arena, "Tuning %.*s", (int)tune->rule_id.size, tune->rule_id.data);
    const struct chart_curve chart = {.title = arena_text(&arena, title), .subtitle = subtitle, .x_name = "alerts a day", .joined = !tune->grid,
                                      .line_count = lines, .line_name = line, .point_count = tune->point_count, .point = point};
    FILE *picture = folder_make(folder, err) ? picture_open(folder, name, err) : NULL;
    if (picture)
        chart_curve(&chart, picture);
    arena_fini(&arena);
    return picture && picture_close(picture, folder, name, err);
}
