/* A back-test for programs: one JSON object. */
#include "engine/cli/backtest.h"

#include "engine/model/zone.h"

#include <stdlib.h>

static void count_json(struct json_writer *writer, const struct tally_count *count)
{
    json_number(writer, "hits", (int64_t)count->hits);
    json_number(writer, "alerts", (int64_t)count->alerts);
    json_number(writer, "subjects", (int64_t)count->subjects);
}

void share_json(struct json_writer *writer, const char *name, const struct share *share)
{
    if (!share->known) {
        json_null(writer, name);
        return;
    }
    json_open_object(writer, name);
    json_number(writer, "of", (int64_t)share->of);
    json_number(writer, "all", (int64_t)share->all);
    json_real(writer, "share", share->is);
    json_real(writer, "low", share->low);
    json_real(writer, "high", share->high);
    json_close_object(writer);
}

void measure_json(struct json_writer *writer, const struct measure *measure)
{
    json_open_object(writer, "labels");
    json_number(writer, "subjects", (int64_t)measure->subjects);
    json_number(writer, "caught", (int64_t)measure->caught);
    json_number(writer, "elsewhere", (int64_t)measure->elsewhere);
    json_number(writer, "victims", (int64_t)measure->victims);
    json_number(writer, "suspects", (int64_t)measure->suspects);
    json_number(writer, "schemes", (int64_t)measure->schemes);
    json_number(writer, "schemes_caught", (int64_t)measure->schemes_caught);
    share_json(writer, "precision", &measure->precision);
    share_json(writer, "recall", &measure->recall);
    share_json(writer, "scheme_recall", &measure->scheme_recall);
    json_close_object(writer);
}

static void day_json(struct json_writer *writer, int32_t day)
{
    char text[16];
    day_text(day, text);
    json_text(writer, "day", slice_of(text));
}

/* Counts of a scope: in all, on the days that had any, and against the labels. */
static void scope_json(const struct backtest *backtest, int side, uint32_t scope, struct json_writer *writer)
{
    const struct tally *tally = &backtest->tally[side];
    count_json(writer, &tally->count[scope]);
    json_open_array(writer, "by_day");
    for (uint32_t d = 0; d < tally->day_count; d++) {
        const struct tally_count *count = &tally->day[d].count[scope];
        if (count->hits + count->alerts + count->subjects == 0)
            continue;
        json_open_object(writer, NULL);
        day_json(writer, tally->day[d].day);
        count_json(writer, count);
        json_close_object(writer);
    }
    json_close_array(writer);
    if (backtest->labels) {
        struct measure measure = tally_measure(tally, backtest->labels, scope);
        measure_json(writer, &measure);
    }
}

static void side_json(const struct backtest *backtest, int side, struct json_writer *writer)
{
    static const char *const status[] = {"draft", "shadow", "live", "retired"};
    const struct tally *tally = &backtest->tally[side];
    const struct program *program = tally->program;
    json_text(writer, "rule_set", slice_of(backtest->dir[side]));
    count_json(writer, &tally->count[tally_scope_all(tally)]);
    json_number(writer, "hits_giving_nothing", (int64_t)tally->unkept);
    json_open_array(writer, "typologies");
    for (uint16_t t = 0; t < program->typology_count; t++) {
        json_open_object(writer, NULL);
        json_text(writer, "typology", program->typology[t].name);
        scope_json(backtest, side, tally_scope_typology(tally, t), writer);
        json_close_object(writer);
    }
    json_close_array(writer);
    json_open_array(writer, "rules");
    for (uint16_t r = 0; r < program->rule_count; r++) {
        json_open_object(writer, NULL);
        json_text(writer, "rule", program->rule[r].id);
        json_number(writer, "version", program->rule[r].version);
        json_text(writer, "status", slice_of(status[program->rule[r].status]));
        json_text(writer, "typology", program->typology[program->rule[r].typology].name);
        json_bool(writer, "speaks_against", speaks_against(program, r));
        scope_json(backtest, side, r, writer);
        json_close_object(writer);
    }
    json_close_array(writer);
}

static void alert_json(const struct backtest *backtest, int side, const struct compare_alert *alert, struct json_writer *writer)
{
    struct arena arena;
    enum entity_kind kind;
    char time[TIME_TEXT_MAX];
    arena_init(&arena);
    time_format(alert->time_ms, time);
    json_open_object(writer, NULL);
    json_text(writer, "only", side == COMPARE_NEW ? SLICE("new") : SLICE("old"));
    json_hex(writer, "alert_id", alert->id, sizeof alert->id);
    json_text(writer, "typology", alert->typology);
    struct slice subject = subject_text(backtest->table, alert->subject, &kind);
    if (alert->victim)
        json_null(writer, "subject");
    else
        json_text(writer, "subject", subject);
    json_text(writer, "time", slice_of(time));
    json_number(writer, "score_milli", alert->score_milli);
    json_text(writer, "why", compare_explain(&backtest->compare, side, alert, &arena));
    json_close_object(writer);
    arena_fini(&arena);
}

static void against_json(const struct backtest *backtest, struct json_writer *writer)
{
    struct compare_result result = compare_count(&backtest->compare);
    uint64_t shown = 0;
    json_open_object(writer, "against");
    side_json(backtest, COMPARE_OLD, writer);
    json_number(writer, "same", (int64_t)result.same);
    json_number(writer, "moved", (int64_t)result.moved);
    json_number(writer, "only_new", (int64_t)result.only[COMPARE_NEW]);
    json_number(writer, "only_old", (int64_t)result.only[COMPARE_OLD]);
    json_open_array(writer, "differing");
    for (int side = 0; side < COMPARE_SIDES; side++) {
        const struct compare_alert **sample = calloc(backtest->sample_max + 1, sizeof(struct compare_alert *));
        uint32_t count = sample ? backtest_sample(backtest, side, sample) : 0;
        for (uint32_t i = 0; i < count; i++)
            alert_json(backtest, side, sample[i], writer);
        shown += count;
        free(sample);
    }
    json_close_array(writer);
    json_number(writer, "differing_not_shown", (int64_t)(result.only[COMPARE_NEW] + result.only[COMPARE_OLD] - shown));
    json_close_object(writer);
}

void backtest_json(const struct backtest *backtest, struct json_writer *writer)
{
    const struct tally *tally = &backtest->tally[COMPARE_NEW];
    json_open_object(writer, NULL);
    json_number(writer, "events", (int64_t)backtest->summary.messages);
    json_number(writer, "rejected", (int64_t)backtest->summary.outcome[OUTCOME_REJECTED]);
    json_number(writer, "days", tally_days(tally));
    json_bool(writer, "lower_bounds", tally_is_cut(tally));
    json_bool(writer, "memory_bound_reached", backtest->summary.state.refused > 0);
    json_number(writer, "wall_ms", (int64_t)(backtest->summary.wall_ns / 1000000));
    json_open_array(writer, "by_day");
    for (uint32_t d = 0; d < tally->day_count; d++) {
        json_open_object(writer, NULL);
        day_json(writer, tally->day[d].day);
        json_number(writer, "events", (int64_t)tally->day[d].events);
        count_json(writer, &tally->day[d].count[tally_scope_all(tally)]);
        json_close_object(writer);
    }
    json_close_array(writer);
    side_json(backtest, COMPARE_NEW, writer);
    if (backtest->dir[COMPARE_OLD])
        against_json(backtest, writer);
    json_close_object(writer);
    json_line(writer);
}
