/* Judges a test's expectations and says, where one failed, what happened instead. */
#include "engine/stream/rule_test_private.h"

#include "engine/model/zone.h"
#include "engine/stream/value_text.h"

#include <stdio.h>

enum { SHOWN_MAX = 12 }; /* hits that a failure lists */

/* --- words --- */

struct slice trial_moment(const struct trial *trial, int64_t time_ms)
{
    int year, month, dom;
    civil_date(zone_day(trial->program.zone, time_ms), &year, &month, &dom);
    int minute = (int)(zone_clock_ms(trial->program.zone, time_ms) / 60000);
    return arena_format(trial->arena, "%04d-%02d-%02d %02d:%02d", year, month, dom, minute / 60, minute % 60);
}

struct slice trial_lets(const struct trial *trial, const struct hit *hit)
{
    struct slice text = SLICE("");
    for (uint8_t i = 0; i < hit->let_count; i++)
        text = arena_format(trial->arena, "%.*s%s%.*s = %.*s", (int)text.size, text.data, i ? ", " : " with ",
                            (int)hit->let[i].name.size, hit->let[i].name.data, (int)hit->let[i].value.size, hit->let[i].value.data);
    return text;
}

static void say_hit(struct trial *trial, const struct hit *hit, const struct hit_subject *subject)
{
    struct slice when = trial_moment(trial, hit->time_ms), lets = trial_lets(trial, hit);
    trial_says(trial, "    %.*s hit on %.*s as %s at %.*s, %d points%s%.*s", (int)hit->rule_id.size, hit->rule_id.data,
               (int)subject->text.size, subject->text.data, role_word(subject->role), (int)when.size, when.data, subject->points,
               subject->points && !subject->given ? " (not given: once per)" : "", (int)lets.size, lets.data);
}

/* Lists the hits that name the account, or all where it is empty; returns how many. */
static uint32_t say_hits(struct trial *trial, const struct output *out, struct slice account)
{
    uint32_t count = 0;
    for (uint32_t h = 0; h < out->hit_count; h++) {
        const struct hit *hit = &out->hit[h];
        for (uint32_t s = 0; s < hit->subject_count; s++) {
            if (account.size && !slice_equal(hit->subject[s].text, account))
                continue;
            if (count++ < SHOWN_MAX)
                say_hit(trial, hit, &hit->subject[s]);
        }
    }
    if (count > SHOWN_MAX)
        trial_says(trial, "    and %u more", count - SHOWN_MAX);
    return count;
}

/* --- hits --- */

/* A literal as the language writes values of its type; codes and accounts stand as they are. */
static struct slice literal_text(const struct trial *trial, const struct syntax_expr *literal)
{
    static const struct {
        enum expr_form form;
        enum value_type type;
    } types[] = {{EXPR_NUMBER, TYPE_COUNT},
                 {EXPR_MONEY, TYPE_MONEY},
                 {EXPR_PERCENT, TYPE_PERCENT},
                 {EXPR_DURATION, TYPE_DURATION},
                 {EXPR_CLOCK, TYPE_CLOCK}};
    int64_t sign = literal->form == EXPR_NEG ? -1 : 1;
    literal = sign < 0 ? literal->a : literal;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].form == literal->form)
            return value_text(&trial->program, NULL, trial->arena, (struct value){sign * literal->value, true}, types[i].type);
    return literal->name.text;
}

/* A search that met a bound says `at least` before its value. */
static struct slice let_number(struct slice value)
{
    static const char *const words[] = {"at least ", "at most "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t size = strlen(words[i]);
        if (value.size > size && memcmp(value.data, words[i], size) == 0)
            return (struct slice){value.data + size, value.size - size};
    }
    return value;
}

static bool let_fits(const struct trial *trial, const struct hit *hit, const struct test_let *want)
{
    for (uint8_t i = 0; i < hit->let_count; i++)
        if (slice_equal(hit->let[i].name, want->name.text))
            return slice_equal(let_number(hit->let[i].value), literal_text(trial, want->value));
    return false;
}

static bool hit_fits(const struct trial *trial, const struct hit *hit, const struct test_expect *expect)
{
    bool named = false;
    for (uint32_t s = 0; s < hit->subject_count; s++)
        named = named || (slice_equal(hit->subject[s].text, expect->subject.text) &&
                          (!expect->has_role || hit->subject[s].role == expect->role));
    for (const struct test_let *let = expect->with; named && let; let = let->next)
        named = let_fits(trial, hit, let);
    return named;
}

static struct slice expected_lets(const struct trial *trial, const struct test_expect *expect)
{
    struct slice text = SLICE("");
    for (const struct test_let *let = expect->with; let; let = let->next) {
        struct slice value = literal_text(trial, let->value);
        text = arena_format(trial->arena, "%.*s%s%.*s = %.*s", (int)text.size, text.data, let == expect->with ? " with " : ", ",
                            (int)let->name.text.size, let->name.text.data, (int)value.size, value.data);
    }
    return text;
}

static bool judge_hit(struct trial *trial, const struct output *out, const struct test_expect *expect)
{
    for (uint32_t h = 0; h < out->hit_count; h++)
        if (hit_fits(trial, &out->hit[h], expect))
            return true;
    struct slice lets = expected_lets(trial, expect), account = expect->subject.text;
    trial_says(trial, "line %u: expected a hit on %.*s%s%s%.*s; instead:", trial_line(trial->syntax, expect->span), (int)account.size,
               account.data, expect->has_role ? " as " : "", expect->has_role ? role_word(expect->role) : "", (int)lets.size,
               lets.data);
    bool hits = say_hits(trial, out, account) > 0;
    return trial_why(trial, account, hits);
}

/* --- alerts --- */

static bool revision_fits(const struct alert_revision *revision, const struct test_expect *expect)
{
    return expect->form == EXPECT_ALERT && slice_equal(revision->typology, expect->typology.text) &&
           slice_equal(revision->subject, expect->subject.text);
}

static void say_typology(struct trial *trial, struct slice name)
{
    for (uint16_t i = 0; i < trial->program.typology_count; i++) {
        const struct typology *typology = &trial->program.typology[i];
        if (!slice_equal(typology->name, name))
            continue;
        struct slice family = typology->including_family < 0 ? SLICE("") : trial->program.family[typology->including_family].name;
        trial_says(trial, "    it asks for %d points from %u indicator%s in %u famil%s%s%.*s", typology->alert_points,
                   typology->indicators_least, typology->indicators_least == 1 ? "" : "s", typology->families_least,
                   typology->families_least == 1 ? "y" : "ies", family.size ? " including " : "", (int)family.size,
                   family.data);
    }
}

static bool judge_alert(struct trial *trial, const struct output *out, const struct test_expect *expect)
{
    for (uint32_t i = 0; i < out->revision_count; i++)
        if (revision_fits(&out->revision[i], expect))
            return true;
    struct slice account = expect->subject.text;
    trial_says(trial, "line %u: expected an alert %.*s on %.*s; there was none, but:", trial_line(trial->syntax, expect->span),
               (int)expect->typology.text.size, expect->typology.text.data, (int)account.size, account.data);
    say_typology(trial, expect->typology.text);
    return say_hits(trial, out, account) || trial_why(trial, account, false);
}

static void judge_unexpected(struct trial *trial, const struct output *out)
{
    for (uint32_t i = 0; i < out->revision_count; i++) {
        const struct alert_revision *revision = &out->revision[i];
        bool expected = revision->revision > 1; /* said at its first */
        for (const struct test_expect *expect = trial->test->expect; expect; expect = expect->next)
            expected = expected || revision_fits(revision, expect);
        if (expected)
            continue;
        struct slice when = trial_moment(trial, revision->time_ms);
        trial_says(trial, "an alert that no line expects: %.*s on %.*s at %.*s, %lld points", (int)revision->typology.size,
                   revision->typology.data, (int)revision->subject.size, revision->subject.data, (int)when.size, when.data,
                   (long long)(revision->score_milli / 1000));
        (void)say_hits(trial, out, revision->subject);
    }
}

static void judge_nothing(struct trial *trial, const struct output *out, const struct test_expect *expect)
{
    if (out->hit_count == 0)
        return;
    trial_says(trial, "line %u: expected nothing; instead:", trial_line(trial->syntax, expect->span));
    (void)say_hits(trial, out, SLICE(""));
}

bool trial_judge(struct trial *trial, const struct output *out)
{
    if (!trial->test->expect)
        trial_says(trial, "the test expects nothing in particular: write `expect nothing` or what it expects");
    for (const struct test_expect *expect = trial->test->expect; expect; expect = expect->next) {
        bool worked = true;
        if (expect->form == EXPECT_HIT)
            worked = judge_hit(trial, out, expect);
        else if (expect->form == EXPECT_ALERT)
            worked = judge_alert(trial, out, expect);
        else
            judge_nothing(trial, out, expect);
        if (!worked)
            return false;
    }
    judge_unexpected(trial, out);
    return true;
}
