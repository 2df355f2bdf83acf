/* One sentence on why an alert stands in one rule set only. */
#include "engine/stream/compare.h"

#include "engine/base/invariant.h"

#include <stdio.h>
#include <stdlib.h>

struct saying {
    const struct compare *compare;
    int side;                          /* that has the alert */
    const struct compare_alert *alert;
    struct arena *arena;
    FILE *out;
    int parts;                         /* said so far */
};

static const char *const set_name[COMPARE_SIDES] = {"the new rules", "the old rules"};

static const struct rule *rule_named(const struct program *program, struct slice id)
{
    for (uint16_t i = 0; i < program->rule_count; i++)
        if (slice_equal(program->rule[i].id, id))
            return &program->rule[i];
    return NULL;
}

static const struct typology *typology_named(const struct program *program, struct slice name)
{
    for (uint16_t i = 0; i < program->typology_count; i++)
        if (slice_equal(program->typology[i].name, name))
            return &program->typology[i];
    return NULL;
}

/* The newest differing hit of a rule on a subject up to seq; NULL when there is none. */
static const struct compare_hit *newest_hit(const struct compare_side *side, uint32_t subject, struct slice rule_id, uint64_t seq)
{
    const struct compare_hit *best = NULL;
    uint32_t low = 0, high = side->hit_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (side->hit[middle].subject < subject)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < side->hit_count && side->hit[low].subject == subject; low++)
        if (side->hit[low].seq <= seq && slice_equal(side->program->rule[side->hit[low].rule].id, rule_id))
            best = &side->hit[low];
    return best;
}

static void next_part(struct saying *s)
{
    fputs(s->parts++ ? "; " : "", s->out);
}

static const char *status_word(enum rule_status status)
{
    static const char *const words[] = {"a draft", "in shadow", "live", "retired"};
    return words[status];
}

static const struct syntax_rule *written_rule(const struct compare_side *side, struct slice id)
{
    const struct syntax_rule *rule = side->syntax ? side->syntax->rule : NULL;
    while (rule && !slice_equal(rule->id.text, id))
        rule = rule->next;
    return rule;
}

static struct slice literal(const struct compare_side *side, const struct syntax_expr *expr)
{
    return (struct slice){side->syntax->file[expr->span.file].text.data + expr->span.at, expr->span.size};
}

/* "; there workers_min is 7": params of the rule whose values differ. */
static void say_params(struct saying *s, struct slice id)
{
    const struct compare_side *own = &s->compare->side[s->side], *other = &s->compare->side[1 - s->side];
    const struct syntax_rule *here = written_rule(own, id), *there = written_rule(other, id);
    const char *before = " (there ";
    for (const struct syntax_param *a = here && there ? here->param : NULL; a; a = a->next)
        for (const struct syntax_param *b = there->param; b; b = b->next) {
            if (!a->value || !b->value || !slice_equal(a->name.text, b->name.text) || slice_equal(literal(own, a->value), literal(other, b->value)))
                continue;
            struct slice mine = literal(own, a->value), value = literal(other, b->value);
            fprintf(s->out, "%s%.*s is %.*s instead of %.*s", before, (int)a->name.text.size, a->name.text.data, (int)value.size, value.data, (int)mine.size,
                    mine.data);
            before = ", ";
        }
    if (before[0] == ',')
        fputc(')', s->out);
}

/* What the other set's rule is, where that alone explains that it was silent. */
static void say_other_rule(struct saying *s, const struct rule *own, const struct rule *other)
{
    if (!other)
        fprintf(s->out, " (%s have no such rule running)", set_name[1 - s->side]);
    else if (own->status != other->status)
        fprintf(s->out, " (there it is %s)", status_word(other->status));
    else if (own->version != other->version)
        fprintf(s->out, " (version %u here, %u there)", own->version, other->version);
    if (other)
        say_params(s, own->id);
}

static void say_indicator(struct saying *s, const struct alert_indicator *indicator)
{
    const struct compare_side *own = &s->compare->side[s->side], *other = &s->compare->side[1 - s->side];
    const struct rule *rule = rule_named(own->program, indicator->rule_id), *there = rule_named(other->program, indicator->rule_id);
    const struct compare_hit *hit = newest_hit(own, s->alert->subject, indicator->rule_id, s->alert->seq);
    const struct compare_hit *counter = newest_hit(other, s->alert->subject, indicator->rule_id, s->alert->seq);
    if (!rule || (!hit && there))
        return;
    next_part(s);
    fprintf(s->out, "%.*s (%lld points)", (int)rule->id.size, rule->id.data, (long long)(indicator->points_milli / 1000));
    if (counter && hit)
        fprintf(s->out, " hit otherwise in both: here \"%.*s\", there \"%.*s\"", (int)hit->say.size, hit->say.data,
                (int)counter->say.size, counter->say.data);
    else if (hit)
        fprintf(s->out, " hit only with %s: \"%.*s\"", set_name[s->side], (int)hit->say.size, hit->say.data);
    else
        fprintf(s->out, " hit only with %s", set_name[s->side]);
    say_other_rule(s, rule, there);
}

/* Hits of the other set that took points away here. */
static void say_counter_indicators(struct saying *s)
{
    const struct compare_side *other = &s->compare->side[1 - s->side];
    uint16_t last = UINT16_MAX;
    for (uint32_t i = 0; i < other->hit_count; i++) {
        const struct compare_hit *hit = &other->hit[i];
        const struct rule *rule = &other->program->rule[hit->rule];
        if (hit->subject != s->alert->subject || hit->points >= 0 || hit->seq > s->alert->seq || hit->rule == last ||
            !slice_equal(other->program->typology[rule->typology].name, s->alert->typology))
            continue;
        last = hit->rule;
        next_part(s);
        fprintf(s->out, "%.*s speaks against it only with %s: \"%.*s\"", (int)rule->id.size, rule->id.data, set_name[1 - s->side],
                (int)hit->say.size, hit->say.data);
    }
}

static void say_condition(FILE *out, const struct typology *t)
{
    fprintf(out, "%d points from %u indicator%s in %u famil%s", t->alert_points, t->indicators_least, t->indicators_least == 1 ? "" : "s",
            t->families_least, t->families_least == 1 ? "y" : "ies");
}

static bool condition_differs(const struct typology *a, const struct typology *b)
{
    return a->alert_points != b->alert_points || a->indicators_least != b->indicators_least || a->families_least != b->families_least ||
           a->including_family != b->including_family || a->half_life_ms != b->half_life_ms || a->family_cap != b->family_cap;
}

static void say_typology(struct saying *s)
{
    const struct program *own_program = s->compare->side[s->side].program, *other_program = s->compare->side[1 - s->side].program;
    const struct typology *own = typology_named(own_program, s->alert->typology);
    const struct typology *other = typology_named(other_program, s->alert->typology);
    if (!other) {
        next_part(s);
        fprintf(s->out, "%s have no such typology", set_name[1 - s->side]);
    } else if (own && condition_differs(own, other)) {
        next_part(s);
        fputs("the typology asks for ", s->out);
        say_condition(s->out, own);
        fputs(" here, for ", s->out);
        say_condition(s->out, other);
        fputs(" there", s->out);
        if (own->including_family != other->including_family || own->half_life_ms != other->half_life_ms || own->family_cap != other->family_cap)
            fputs(", with another family, half life or cap", s->out);
    }
}

static int points_of(const struct rule *rule)
{
    int most = 0;
    for (uint8_t i = 0; i < rule->subject_count; i++)
        most = rule->subject[i].points > most ? rule->subject[i].points : most;
    return most;
}

/* Rules behind the alert that give other points, or count in another family or typology, there. */
static void say_rules(struct saying *s)
{
    const struct program *own = s->compare->side[s->side].program, *other = s->compare->side[1 - s->side].program;
    for (uint32_t i = 0; i < s->alert->indicator_count; i++) {
        struct slice id = s->alert->indicator[i].rule_id;
        const struct rule *a = rule_named(own, id), *b = rule_named(other, id);
        if (!a || !b)
            continue;
        if (points_of(a) != points_of(b)) {
            next_part(s);
            fprintf(s->out, "%.*s gives %d points here, %d there", (int)id.size, id.data, points_of(a), points_of(b));
        }
        if (a->family != b->family) {
            struct slice x = own->family[a->family].name, y = other->family[b->family].name;
            next_part(s);
            fprintf(s->out, "%.*s counts in family %.*s here, %.*s there", (int)id.size, id.data, (int)x.size, x.data, (int)y.size, y.data);
        }
    }
}

struct slice compare_explain(const struct compare *compare, int side, const struct compare_alert *alert, struct arena *arena)
{
    char *text = NULL;
    size_t size = 0;
    struct saying s = {.compare = compare, .side = side, .alert = alert, .arena = arena};
    s.out = open_memstream(&text, &size);
    invariant(s.out != NULL);
    for (uint32_t i = 0; i < alert->indicator_count; i++)
        say_indicator(&s, &alert->indicator[i]);
    say_counter_indicators(&s);
    say_rules(&s);
    say_typology(&s);
    if (s.parts == 0)
        fprintf(s.out, "the same indicators as with %s, at other times: their points never stood together there", set_name[1 - side]);
    invariant(fclose(s.out) == 0);
    struct slice sentence = arena_copy(arena, (struct slice){text, size});
    free(text);
    return sentence;
}
