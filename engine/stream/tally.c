/* Counting hits, alerts and subjects. */
#include "engine/stream/tally.h"

#include "engine/base/invariant.h"
#include "engine/model/encode.h"
#include "engine/model/zone.h"

#include <stdlib.h>

enum { DAY_BIAS = 40000 }; /* days before 1970: events begin in 1900 */

void tally_init(struct tally *tally, const struct program *program, struct subject_table *table)
{
    *tally = (struct tally){.program = program, .table = table};
    tally->scope_count = program->rule_count + program->typology_count + 1u;
    tally->count = calloc(tally->scope_count, sizeof *tally->count);
    tally->subjects = calloc(tally->scope_count, sizeof *tally->subjects);
    invariant(tally->count && tally->subjects);
}

void tally_fini(struct tally *tally)
{
    for (uint32_t s = 0; tally->subjects && s < tally->scope_count; s++)
        free(tally->subjects[s].number);
    for (uint32_t d = 0; d < tally->day_count; d++)
        free(tally->day[d].count);
    free(tally->subjects);
    free(tally->count);
    free(tally->day);
    number_set_fini(&tally->seen);
    *tally = (struct tally){0};
}

/* --- days --- */

/* The local day of a moment; neighbours are mostly of one day. */
static int32_t local_day(struct tally *tally, int64_t time_ms)
{
    const struct zone *zone = tally->program->zone;
    if (time_ms >= tally->day_from_ms && time_ms < tally->day_to_ms)
        return tally->day_last;
    tally->day_last = zone_day(zone, time_ms);
    tally->day_from_ms = zone_day_start_ms(zone, tally->day_last);
    tally->day_to_ms = zone_day_start_ms(zone, tally->day_last + 1);
    return tally->day_last;
}

/* The row of a day, made where it is missing; NULL when there are too many. */
static struct tally_day *day_row(struct tally *tally, int64_t time_ms)
{
    int32_t day = local_day(tally, time_ms);
    uint32_t low = 0, high = tally->day_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tally->day[middle].day < day)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < tally->day_count && tally->day[low].day == day)
        return &tally->day[low];
    if (tally->day_count == TALLY_DAY_MAX)
        return NULL;
    if (tally->day_count == tally->day_room) {
        tally->day_room = tally->day_room ? tally->day_room * 2 : 64;
        tally->day = realloc(tally->day, tally->day_room * sizeof *tally->day);
        invariant(tally->day != NULL);
    }
    memmove(tally->day + low + 1, tally->day + low, (tally->day_count++ - low) * sizeof *tally->day);
    tally->day[low] = (struct tally_day){.day = day, .count = calloc(tally->scope_count, sizeof(struct tally_count))};
    invariant(tally->day[low].count != NULL);
    return &tally->day[low];
}

void tally_events(struct tally *tally, const struct event *events, uint32_t count)
{
    struct tally_day *row = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct event *event = &events[i];
        if (event->fact || (event->outcome != OUTCOME_SCORED && event->outcome != OUTCOME_JOINED))
            continue;
        if (!row || event->time_ms < tally->day_from_ms || event->time_ms >= tally->day_to_ms)
            row = day_row(tally, event->time_ms);
        if (row)
            row->events++;
        else
            tally->days_over++;
    }
}

bool tally_is_cut(const struct tally *tally)
{
    return tally->days_over || tally->subjects_over || tally->seen.full;
}

uint32_t tally_days(const struct tally *tally)
{
    uint32_t days = 0;
    for (uint32_t d = 0; d < tally->day_count; d++)
        days += tally->day[d].events > 0;
    return days ? days : 1;
}

/* --- subjects --- */

static void count_subject(struct tally *tally, uint32_t scope, struct tally_day *row, uint32_t subject)
{
    struct tally_subjects *subjects = &tally->subjects[scope];
    uint64_t key = (uint64_t)scope << 48 | (subject + 1u);
    if (number_add(&tally->seen, key)) {
        if (subjects->count == subjects->room) {
            subjects->room = subjects->room ? subjects->room * 2 : 64;
            subjects->number = realloc(subjects->number, subjects->room * sizeof *subjects->number);
            invariant(subjects->number != NULL);
        }
        subjects->number[subjects->count++] = subject;
        tally->count[scope].subjects++;
    }
    /* below the scope: 28 bits of subject, then the day, counted from before the earliest an event may have */
    if (row && number_add(&tally->seen, key | (uint64_t)(row->day + DAY_BIAS) << 28))
        row->count[scope].subjects++;
}

/* --- results --- */

static void take_hit(struct tally *tally, const struct hit *hit)
{
    struct tally_day *row;
    if (!hit_is_kept(hit)) {
        tally->unkept++;
        return;
    }
    const uint32_t scopes[] = {hit->rule, tally_scope_typology(tally, hit->typology), tally_scope_all(tally)};
    row = day_row(tally, hit->time_ms);
    for (int i = 0; i < 3; i++) {
        tally->count[scopes[i]].hits++;
        if (row)
            row->count[scopes[i]].hits++;
    }
    tally->days_over += !row;
    for (uint8_t i = 0; i < hit->subject_count; i++) {
        const struct hit_subject *subject = &hit->subject[i];
        if (subject->points == 0 || !(subject->given || hit->shadow))
            continue;
        uint32_t number = subject_number(tally->table, subject->kind, subject->text);
        if (number != SUBJECT_NONE)
            count_subject(tally, hit->rule, row, number);
        else
            tally->subjects_over++;
    }
}

/* By name: an index of a revision would be one of the program, but it carries names. */
static int typology_of(const struct program *program, struct slice name)
{
    for (uint16_t i = 0; i < program->typology_count; i++)
        if (slice_equal(program->typology[i].name, name))
            return i;
    return -1;
}

static int rule_of(const struct program *program, struct slice id)
{
    int low = 0, high = program->rule_count;
    while (low < high) {
        int middle = low + (high - low) / 2, order = slice_compare(program->rule[middle].id, id);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static void take_alert(struct tally *tally, const struct alert_revision *revision)
{
    int typology = typology_of(tally->program, revision->typology);
    invariant(typology >= 0);
    uint32_t number = subject_number(tally->table, revision->subject_kind, revision->subject);
    const uint32_t scopes[] = {tally_scope_typology(tally, (uint32_t)typology), tally_scope_all(tally)};
    struct tally_day *row = day_row(tally, revision->time_ms);
    tally->days_over += !row;
    tally->subjects_over += number == SUBJECT_NONE;
    for (int i = 0; i < 2; i++) {
        tally->count[scopes[i]].alerts++;
        if (row)
            row->count[scopes[i]].alerts++;
        if (number != SUBJECT_NONE)
            count_subject(tally, scopes[i], row, number);
    }
    for (uint32_t i = 0; i < revision->indicator_count; i++) {
        int rule = rule_of(tally->program, revision->indicator[i].rule_id);
        if (rule < 0)
            continue;
        tally->count[rule].alerts++;
        if (row)
            row->count[rule].alerts++;
    }
}

void tally_take(struct tally *tally, const struct output *output)
{
    for (uint32_t i = 0; i < output->hit_count; i++)
        take_hit(tally, &output->hit[i]);
    for (uint32_t i = 0; i < output->revision_count; i++)
        if (output->revision[i].revision == 1)
            take_alert(tally, &output->revision[i]);
}

struct measure tally_measure(const struct tally *tally, const struct labels *labels, uint32_t scope)
{
    const struct program *program = tally->program;
    uint32_t typology = scope < program->rule_count ? program->rule[scope].typology : scope - program->rule_count;
    invariant(typology < program->typology_count);
    struct measuring *measuring = measuring_new(labels, program->typology[typology].name);
    for (uint32_t i = 0; i < tally->subjects[scope].count; i++) {
        enum entity_kind kind;
        struct slice text = subject_text(tally->table, tally->subjects[scope].number[i], &kind);
        measuring_subject(measuring, kind, text);
    }
    return measuring_end(measuring);
}
