/* Says why the rules of a test gave no hit: the last look, then event by event what did not hold. */
#include "engine/stream/rule_test_private.h"

#include "engine/model/zone.h"
#include "engine/stream/inquiry.h"
#include "engine/stream/value_text.h"

/* A rule that never looked is told event by event only in a test of few rules. */
enum { EVENTS_SHOWN_MAX = 12, RULES_SHOWN_MAX = 3 };

/* --- the last look: the same events, with every look at a step noted as a hit --- */

static bool hit_concerns(const struct hit *hit, struct slice account)
{
    for (uint32_t s = 0; s < hit->subject_count; s++)
        if (slice_equal(hit->subject[s].text, account))
            return true;
    for (uint8_t k = 0; k < hit->key_count; k++)
        if (slice_equal(hit->key[k], account))
            return true;
    return false;
}

/* The last of the looks that concerns the account; NULL when there is none. */
static const struct hit *last_look(const struct output *out, struct slice account)
{
    const struct hit *last = NULL;
    for (uint32_t h = 0; h < out->hit_count; h++)
        if (hit_concerns(&out->hit[h], account))
            last = &out->hit[h];
    return last;
}

static void say_look(struct trial *trial, const struct rule *rule, uint8_t number, const struct hit *look)
{
    struct slice when = trial_moment(trial, look->time_ms), lets = trial_lets(trial, look);
    if (rule->step_count == 1)
        trial_says(trial, "    %.*s did not hit; it was last evaluated at %.*s%.*s", (int)rule->id.size, rule->id.data, (int)when.size,
                   when.data, (int)lets.size, lets.data);
    else
        trial_says(trial, "    %.*s did not hit; its step %u of %u was last looked at %.*s%.*s%s", (int)rule->id.size, rule->id.data, number,
                   rule->step_count, (int)when.size, when.data, (int)lets.size, lets.data,
                   number < rule->step_count ? ", the next one never" : "");
}

/* Whether the step was ever looked at for the account; then the last look is said. */
static bool say_step(struct trial *trial, const struct rule *from, uint8_t number, struct slice account, bool *worked)
{
    struct rule rule = *from;
    struct program program = trial->program;
    struct output out = {0};
    rule.watched = number;
    program.rule = &rule;
    program.rule_count = 1;
    struct step *step = trial_step(trial, &program);
    *worked = step != NULL;
    if (step)
        trial_feed(trial, step, NULL, &out);
    const struct hit *look = step ? last_look(&out, account) : NULL;
    if (look)
        say_look(trial, &rule, number, look);
    step_free(step);
    return look != NULL;
}

/* --- event by event --- */

static bool names_account(void *context, const struct event *event)
{
    const struct slice *account = context;
    for (int n = 0; n < __builtin_popcount(event->named_refs); n++)
        if (slice_equal(event->named[n].text, *account))
            return true;
    return false;
}

static struct slice end_text(const struct event *event, enum event_ref ref, uint32_t cash)
{
    return event->flags & cash ? SLICE("CASH") : event_ref_text(event, ref);
}

static struct slice event_text(const struct trial *trial, const struct event *event)
{
    struct slice when = trial_moment(trial, event->time_ms), from = end_text(event, REF_SENDER, EVENT_SENDER_CASH),
                 to = end_text(event, REF_RECEIVER, EVENT_RECEIVER_CASH),
                 amount = value_text(&trial->program, NULL, trial->arena,
                                     (struct value){event->amount_base, event->amount_base != MISSING_I64}, TYPE_MONEY);
    return arena_format(trial->arena, "%.*s %.*s -> %.*s %.*s", (int)when.size, when.data, (int)from.size, from.data, (int)to.size,
                        to.data, (int)amount.size, amount.data);
}

/* "`n >= 3` is false (2, 3)", with its line. */
static struct slice condition_text(const struct trial *trial, uint16_t rule, const struct inquiry_look *look,
                                   const struct inquiry_condition *condition)
{
    static const char *const truths[] = {"is false", "is true", "is unknown"};
    struct span span;
    if (!inquiry_place(&trial->program, rule, look, condition->node, &span))
        return SLICE("what it asks does not hold");
    bool values = condition->values.size > 0;
    return arena_format(trial->arena, "`%.*s` (line %u) %s%s%.*s%s", (int)span.size, trial->syntax->file[span.file].text.data + span.at,
                        trial_line(trial->syntax, span), truths[condition->truth], values ? " (" : "", (int)condition->values.size,
                        values ? condition->values.data : "", values ? ")" : "");
}

/* All that kept the look from being true, of an `or` every part; empty when nothing did. */
static struct slice culprits_text(const struct trial *trial, uint16_t rule, const struct inquiry_look *look)
{
    struct slice all = SLICE("");
    for (uint16_t c = 0; !look->truth && c < look->condition_count; c++) {
        if (!look->condition[c].culprit)
            continue;
        struct slice one = condition_text(trial, rule, look, &look->condition[c]);
        all = arena_format(trial->arena, "%.*s%s%.*s", (int)all.size, all.data, all.size ? " and " : "", (int)one.size, one.data);
    }
    return all;
}

static struct slice look_outcome(const struct trial *trial, uint16_t index, const struct inquiry_look *look)
{
    const struct rule *rule = &trial->program.rule[index];
    struct slice culprits = culprits_text(trial, index, look);
    if (culprits.size)
        return culprits;
    switch (look->part) {
    case WITNESS_UNLESS:
        return look->truth ? SLICE("stopped by `unless`") : SLICE("");
    case WITNESS_EXCEPT:
        return look->truth ? SLICE("silenced by its exception") : SLICE("");
    default:
        return !look->truth ? SLICE("`when` does not hold") : look->number < rule->step_count ? SLICE("holds; the next step is awaited") : SLICE("holds");
    }
}

/* One line for one look; unless and except are told only where they end it. */
static void say_look_line(struct trial *trial, uint16_t index, const struct inquiry_look *look, struct slice event)
{
    const struct rule *rule = &trial->program.rule[index];
    struct slice key = SLICE(""), step = SLICE(""), outcome = look_outcome(trial, index, look);
    if (look->part != WITNESS_STEP && !look->truth)
        return;
    for (uint8_t w = 0; w < look->width; w++)
        key = arena_format(trial->arena, "%.*s%s%.*s", (int)key.size, key.size ? key.data : "", w ? ", " : " for ", (int)look->key_text[w].size,
                           look->key_text[w].data);
    if (look->part == WITNESS_STEP && rule->step_count > 1)
        step = arena_format(trial->arena, ", step %u", look->number);
    trial_says(trial, "      %.*s:%.*s%.*s: %.*s%s%.*s", (int)event.size, event.data, (int)key.size, key.size ? key.data : "", (int)step.size,
               step.size ? step.data : "", (int)look->lets.size, look->lets.size ? look->lets.data : "", look->lets.size ? "; " : "",
               (int)outcome.size, outcome.size ? outcome.data : "");
}

/* Why the rule did not look at the event: the first filter of its sources that kept it out, of an `or` every part. */
static void say_kept_out(struct trial *trial, uint16_t index, const struct inquiry_look *look, uint32_t count, uint64_t seq, struct slice event)
{
    const struct rule *rule = &trial->program.rule[index];
    for (uint16_t s = 0; s < rule->stream_count; s++)
        for (uint32_t i = 0; i < count; i++) {
            if (look[i].seq != seq || look[i].part != WITNESS_STREAM || look[i].index != rule->stream[s])
                continue;
            struct slice why = culprits_text(trial, index, &look[i]);
            if (!why.size)
                continue;
            trial_says(trial, "      %.*s: not looked at, for %.*s", (int)event.size, event.data, (int)why.size, why.data);
            return;
        }
    trial_says(trial, "      %.*s: not looked at, for it is none of what the rule reads", (int)event.size, event.data);
}

static bool look_is_of(const struct inquiry_look *look, uint16_t rule, uint64_t seq)
{
    return look->seq == seq && look->index == rule && look->part != WITNESS_STREAM && look->part != WITNESS_MEMORY;
}

static void say_event(struct trial *trial, uint16_t rule, const struct inquiry_look *look, uint32_t count, const struct event *event)
{
    struct slice text = event_text(trial, event);
    bool any = false;
    for (uint32_t i = 0; i < count; i++)
        if (look_is_of(&look[i], rule, event->seq)) {
            say_look_line(trial, rule, &look[i], text);
            any = true;
        }
    if (!any)
        say_kept_out(trial, rule, look, count, event->seq, text);
}

static void say_events(struct trial *trial, uint16_t rule, const struct inquiry *inquiry, struct slice account)
{
    uint32_t count, named = 0, at = 0;
    uint64_t more;
    const struct inquiry_look *look = inquiry_looks(inquiry, &count, &more);
    for (uint32_t e = 0; e < trial->event_count; e++)
        named += trial->event[e].flow != FLOW_FACT && names_account(&account, &trial->event[e]);
    for (uint32_t e = 0; e < trial->event_count; e++) {
        const struct event *event = &trial->event[e];
        if (event->flow == FLOW_FACT || !names_account(&account, event))
            continue;
        if (at++ + EVENTS_SHOWN_MAX >= named)
            say_event(trial, rule, look, count, event);
        else if (at == 1)
            trial_says(trial, "      (%u earlier events of it are not shown)", named - EVENTS_SHOWN_MAX);
    }
}

/* The last look at the latest step that was ever looked at; false when the world failed. */
static bool say_last(struct trial *trial, const struct rule *rule, struct slice account, bool *ever)
{
    uint8_t number = rule->step_count;
    bool worked = true;
    while (number > 0 && worked && !say_step(trial, rule, number, account, &worked))
        number--;
    *ever = number > 0;
    if (worked && !*ever)
        trial_says(trial, "    %.*s was never evaluated for it: no event of it belongs to what the rule reads", (int)rule->id.size,
                   rule->id.data);
    return worked;
}

static bool say_rules(struct trial *trial, struct slice account, bool hits, const struct inquiry *inquiry)
{
    bool few = trial->program.rule_count <= RULES_SHOWN_MAX;
    for (uint16_t i = 0; i < trial->program.rule_count; i++) {
        const struct rule *rule = &trial->program.rule[i];
        bool ever = true;
        if (hits)
            trial_says(trial, "    %.*s, event by event:", (int)rule->id.size, rule->id.data);
        else if (!say_last(trial, rule, account, &ever))
            return false;
        if (ever || few)
            say_events(trial, i, inquiry, account);
    }
    return true;
}

bool trial_why(struct trial *trial, struct slice account, bool hits)
{
    struct output out = {0};
    if (hits && trial->program.rule_count > RULES_SHOWN_MAX)
        return true;
    struct step *step = trial_step(trial, &trial->program);
    if (!step)
        return false;
    struct inquiry *inquiry = inquiry_new(&trial->program, names_account, &account);
    struct step_watch watch = inquiry_watch(inquiry, step_state(step));
    trial_feed(trial, step, &watch, &out);
    bool worked = say_rules(trial, account, hits, inquiry);
    inquiry_free(inquiry);
    step_free(step);
    return worked;
}
