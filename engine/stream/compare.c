/* Differing hits as the stream goes; pairing at the end. compare_explain.c says why. */
#include "engine/stream/compare.h"

#include "engine/base/invariant.h"

#include <stdlib.h>

void compare_init(struct compare *compare, const struct program *new_program, const struct program *old_program,
                  struct subject_table *table)
{
    *compare = (struct compare){.table = table};
    compare->side[COMPARE_NEW].program = new_program;
    compare->side[COMPARE_OLD].program = old_program;
    arena_init(&compare->texts);
}

void compare_fini(struct compare *compare)
{
    for (int s = 0; s < COMPARE_SIDES; s++) {
        free(compare->side[s].alert);
        free(compare->side[s].hit);
    }
    arena_fini(&compare->texts);
}

/* --- hits --- */

static bool subject_counts(const struct hit *hit, uint32_t subject)
{
    return !hit->shadow && hit->subject[subject].points != 0 && hit->subject[subject].given;
}

static void note_hit(struct compare *compare, int s, const struct hit *hit)
{
    struct compare_side *side = &compare->side[s];
    for (uint8_t i = 0; i < hit->subject_count; i++) {
        if (!subject_counts(hit, i))
            continue;
        side->hits_differing++;
        size_t want = compare->texts.total + side->hit_count * sizeof *side->hit + hit->say.size;
        uint32_t number = want > COMPARE_BYTES_MAX ? SUBJECT_NONE
                                                   : subject_number(compare->table, hit->subject[i].kind, hit->subject[i].text);
        if (number == SUBJECT_NONE) {
            compare->dropped++;
            continue;
        }
        if (side->hit_count == side->hit_room) {
            side->hit_room = side->hit_room ? side->hit_room * 2 : 256;
            side->hit = realloc(side->hit, side->hit_room * sizeof *side->hit);
            invariant(side->hit != NULL);
        }
        side->hit[side->hit_count++] = (struct compare_hit){.seq = hit->seq,
                                                            .time_ms = hit->time_ms,
                                                            .subject = number,
                                                            .rule = hit->rule,
                                                            .points = hit->subject[i].points,
                                                            .say = arena_copy(&compare->texts, hit->say)};
    }
}

static bool subjects_equal(const struct hit *a, const struct hit *b)
{
    if (a->subject_count != b->subject_count || a->shadow != b->shadow)
        return false;
    for (uint8_t i = 0; i < a->subject_count; i++) {
        const struct hit_subject *x = &a->subject[i], *y = &b->subject[i];
        if (x->points != y->points || x->given != y->given || x->role != y->role || x->kind != y->kind ||
            !slice_equal(x->text, y->text))
            return false;
    }
    return true;
}

static int hit_order(const struct hit *a, const struct hit *b)
{
    if (a->seq != b->seq)
        return a->seq < b->seq ? -1 : 1;
    int order = slice_compare(a->rule_id, b->rule_id);
    uint8_t keys = a->key_count < b->key_count ? a->key_count : b->key_count;
    for (uint8_t i = 0; order == 0 && i < keys; i++)
        order = slice_compare(a->key[i], b->key[i]);
    return order ? order : (int)a->key_count - b->key_count;
}

/* Both stand in order of (seq, rule id, then key by side): a rule's two hits of one event are few, so that
 * their order among each other, which is not that of their texts, is settled here. */
static uint32_t sorted(const struct output *output, const struct hit ***out, struct arena *arena)
{
    const struct hit **hit = ARENA_ARRAY(arena, const struct hit *, output->hit_count + 1);
    for (uint32_t i = 0; i < output->hit_count; i++) {
        uint32_t at = i;
        for (; at && hit_order(hit[at - 1], &output->hit[i]) > 0; at--)
            hit[at] = hit[at - 1];
        hit[at] = &output->hit[i];
    }
    *out = hit;
    return output->hit_count;
}

static void compare_hits(struct compare *compare, const struct output *new_output, const struct output *old_output)
{
    struct arena arena;
    const struct hit **a, **b;
    arena_init(&arena);
    uint32_t a_count = sorted(new_output, &a, &arena), b_count = sorted(old_output, &b, &arena), i = 0, j = 0;
    while (i < a_count || j < b_count) {
        int order = i == a_count ? 1 : j == b_count ? -1 : hit_order(a[i], b[j]);
        bool same = order == 0 && subjects_equal(a[i], b[j]);
        if (order <= 0 && !same)
            note_hit(compare, COMPARE_NEW, a[i]);
        if (order >= 0 && !same)
            note_hit(compare, COMPARE_OLD, b[j]);
        i += order <= 0;
        j += order >= 0;
    }
    arena_fini(&arena);
}

/* --- alerts --- */

static void note_alerts(struct compare *compare, int s, const struct output *output)
{
    struct compare_side *side = &compare->side[s];
    for (uint32_t i = 0; i < output->revision_count; i++) {
        const struct alert_revision *revision = &output->revision[i];
        if (revision->revision != 1)
            continue;
        uint32_t number = subject_number(compare->table, revision->subject_kind, revision->subject);
        if (number == SUBJECT_NONE) {
            compare->dropped++;
            continue;
        }
        if (side->alert_count == side->alert_room) {
            side->alert_room = side->alert_room ? side->alert_room * 2 : 256;
            side->alert = realloc(side->alert, side->alert_room * sizeof *side->alert);
            invariant(side->alert != NULL);
        }
        struct compare_alert *alert = &side->alert[side->alert_count++];
        *alert = (struct compare_alert){.seq = revision->seq,
                                        .time_ms = revision->time_ms,
                                        .subject = number,
                                        .typology = arena_copy(&compare->texts, revision->typology),
                                        .victim = revision->victim,
                                        .score_milli = revision->score_milli,
                                        .indicator_count = revision->indicator_count,
                                        .indicator = ARENA_ARRAY(&compare->texts, struct alert_indicator, revision->indicator_count + 1)};
        memcpy(alert->id, revision->id, sizeof alert->id);
        for (uint32_t k = 0; k < revision->indicator_count; k++) {
            alert->indicator[k] = revision->indicator[k];
            alert->indicator[k].rule_id = arena_copy(&compare->texts, revision->indicator[k].rule_id);
            alert->indicator[k].family = arena_copy(&compare->texts, revision->indicator[k].family);
        }
    }
}

void compare_take(struct compare *compare, const struct output *new_output, const struct output *old_output)
{
    if (new_output)
        note_alerts(compare, COMPARE_NEW, new_output);
    if (old_output)
        note_alerts(compare, COMPARE_OLD, old_output);
    if (new_output && old_output)
        compare_hits(compare, new_output, old_output);
}

/* --- the end --- */

struct alert_ref {
    const struct compare_alert *alert;
    uint32_t index;
};

static int by_id(const void *left, const void *right)
{
    return memcmp(((const struct alert_ref *)left)->alert->id, ((const struct alert_ref *)right)->alert->id, 16);
}

static int by_subject(const void *left, const void *right)
{
    const struct alert_ref *a = left, *b = right;
    if (a->alert->subject != b->alert->subject)
        return a->alert->subject < b->alert->subject ? -1 : 1;
    return slice_compare(a->alert->typology, b->alert->typology);
}

static int by_subject_then_seq(const void *left, const void *right)
{
    const struct alert_ref *a = left, *b = right;
    int order = by_subject(left, right);
    return order ? order : (a->alert->seq > b->alert->seq) - (a->alert->seq < b->alert->seq);
}

/* Those of a side that have no partner yet, in some order. */
static uint32_t unpaired(const struct compare_side *side, struct alert_ref **ref, int (*order)(const void *, const void *))
{
    uint32_t count = 0;
    *ref = calloc(side->alert_count + 1, sizeof **ref);
    invariant(*ref != NULL);
    for (uint32_t i = 0; i < side->alert_count; i++)
        if (!side->alert[i].paired)
            (*ref)[count++] = (struct alert_ref){&side->alert[i], i};
    qsort(*ref, count, sizeof **ref, order);
    return count;
}

/* A merge of both sides: what `same` calls equal is paired in turn. */
static void pair(struct compare *compare, int (*order)(const void *, const void *), int (*same)(const void *, const void *), bool moved)
{
    struct alert_ref *a, *b;
    struct compare_side *side = compare->side;
    uint32_t a_count = unpaired(&side[COMPARE_NEW], &a, order), b_count = unpaired(&side[COMPARE_OLD], &b, order);
    for (uint32_t i = 0, j = 0; i < a_count && j < b_count;) {
        int way = same(&a[i], &b[j]);
        if (way == 0) {
            struct compare_alert *x = &side[COMPARE_NEW].alert[a[i].index], *y = &side[COMPARE_OLD].alert[b[j].index];
            x->paired = y->paired = true;
            x->moved = y->moved = moved || x->seq != y->seq;
            x->partner = b[j].index;
            y->partner = a[i].index;
        }
        i += way <= 0;
        j += way >= 0;
    }
    free(a);
    free(b);
}

static int hit_by_subject(const void *left, const void *right)
{
    const struct compare_hit *a = left, *b = right;
    if (a->subject != b->subject)
        return a->subject < b->subject ? -1 : 1;
    if (a->rule != b->rule)
        return a->rule < b->rule ? -1 : 1;
    return (a->seq > b->seq) - (a->seq < b->seq);
}

void compare_end(struct compare *compare)
{
    pair(compare, by_id, by_id, false);
    pair(compare, by_subject_then_seq, by_subject, true);
    for (int s = 0; s < COMPARE_SIDES; s++)
        if (compare->side[s].hit_count)
            qsort(compare->side[s].hit, compare->side[s].hit_count, sizeof(struct compare_hit), hit_by_subject);
}

struct compare_result compare_count(const struct compare *compare)
{
    struct compare_result result = {0};
    for (int s = 0; s < COMPARE_SIDES; s++)
        for (uint32_t i = 0; i < compare->side[s].alert_count; i++) {
            const struct compare_alert *alert = &compare->side[s].alert[i];
            result.only[s] += !alert->paired;
            result.same += s == COMPARE_NEW && alert->paired && !alert->moved;
            result.moved += s == COMPARE_NEW && alert->moved;
        }
    return result;
}
