/* Two rule sets run in turn: ratios, Student's t, and whether anything changed. */
#include "engine/cli/bench_report.h"

#include "engine/base/json_writer.h"

#include <math.h>
#include <stdio.h>

static const double TOLERANCE = 0.02;

/* Chance that Student's t with df degrees lies between 0 and x, by Simpson's rule. */
static double t_mass(double x, double df)
{
    enum { PIECES = 2000 };
    double scale = exp(lgamma((df + 1) / 2) - lgamma(df / 2)) / sqrt(df * M_PI), sum = 0;
    for (int i = 0; i <= PIECES; i++) {
        double at = x * i / PIECES, density = pow(1 + at * at / df, -(df + 1) / 2);
        sum += density * (i == 0 || i == PIECES ? 1 : i % 2 ? 4 : 2);
    }
    return scale * sum * x / PIECES / 3;
}

static double t_quantile(double confidence, double df)
{
    double low = 0, high = 1000;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        *(t_mass(middle, df) < confidence / 2 ? &low : &high) = middle;
    }
    return high;
}

/* Mean and variance of logarithms; rounds with a 0 left out. */
struct logs {
    double n, mean, variance;
};

static void logs_of(const double *value, const double *by, uint32_t rounds, struct logs *out)
{
    double squares = 0;
    *out = (struct logs){0};
    for (uint32_t i = 0; i < rounds; i++) {
        if (value[i] <= 0 || (by && by[i] <= 0))
            continue;
        double at = log(by ? value[i] / by[i] : value[i]), off = at - out->mean;
        out->n++;
        out->mean += off / out->n;
        squares += off * (at - out->mean);
    }
    out->variance = out->n > 1 ? squares / (out->n - 1) : 0;
}

void bench_compare(const double *before, uint32_t before_rounds, const double *after, uint32_t after_rounds, bool paired, double confidence,
                   struct bench_ratio *out)
{
    struct logs a, b;
    double mean, error, df;
    *out = (struct bench_ratio){.ratio = 1, .low = 0, .high = INFINITY};
    if (paired) {
        logs_of(after, before, after_rounds, &a);
        if (a.n < 3)
            return;
        mean = a.mean;
        error = sqrt(a.variance / a.n);
        df = a.n - 1;
    } else {
        logs_of(after, NULL, after_rounds, &a);
        logs_of(before, NULL, before_rounds, &b);
        if (a.n < 3 || b.n < 3)
            return;
        double of_a = a.variance / a.n, of_b = b.variance / b.n;
        mean = a.mean - b.mean;
        error = sqrt(of_a + of_b);
        df = error > 0 ? pow(of_a + of_b, 2) / (of_a * of_a / (a.n - 1) + of_b * of_b / (b.n - 1)) : a.n + b.n - 2;
    }
    double half = t_quantile(confidence, df) * error;
    *out = (struct bench_ratio){.ratio = exp(mean), .low = exp(mean - half), .high = exp(mean + half)};
    out->changed = out->low > 1 + TOLERANCE || out->high < 1 - TOLERANCE;
}

static double mean_of(const double *value, uint32_t rounds)
{
    double sum = 0;
    for (uint32_t i = 0; i < rounds; i++)
        sum += value[i];
    return rounds ? sum / rounds : 0;
}

static const char *verdict(const struct bench_ratio *ratio)
{
    return !ratio->changed ? "no change" : ratio->ratio > 1 ? "slower" : "faster";
}

static void show(struct json_writer *json, struct slice name, const struct bench_ratio *ratio, double before, double after)
{
    if (!json) {
        printf("%-16.*s %10.1f %10.1f %8.3f   %7.3f .. %-7.3f %s\n", (int)name.size, name.data, before, after, ratio->ratio, ratio->low,
               fmin(ratio->high, 999), verdict(ratio));
        return;
    }
    json_open_object(json, NULL);
    json_text(json, "name", name);
    json_number(json, "before_ps", llround(before * 1000));
    json_number(json, "after_ps", llround(after * 1000));
    json_number(json, "ratio_permille", llround(ratio->ratio * 1000));
    json_number(json, "low_permille", llround(ratio->low * 1000));
    json_number(json, "high_permille", llround(fmin(ratio->high, 1e6) * 1000));
    json_text(json, "verdict", slice_of(verdict(ratio)));
    json_close_object(json);
}

static int rule_of(const struct bench_series *series, struct slice id)
{
    for (uint16_t r = 0; r < series->count; r++)
        if (slice_equal(series->rule[r], id))
            return r;
    return -1;
}

static void show_one(struct json_writer *json, struct slice id, const char *what, double ns)
{
    if (!json) {
        printf("%-16.*s %s, %.1f ns per event\n", (int)id.size, id.data, what, ns);
        return;
    }
    json_open_object(json, NULL);
    json_text(json, "name", id);
    json_text(json, "verdict", slice_of(what));
    json_close_object(json);
}

struct comparison {
    const struct bench_series *before, *after;
    bool paired;
};

/* Intervals of rules are widened so that all of them together hold with 95 %. */
static uint32_t show_rules(const struct comparison *at, struct json_writer *json, struct slice *worst)
{
    const struct bench_series *old = at->before, *now = at->after;
    uint32_t grown = 0;
    double most = 0, confidence = 1 - 0.05 / (now->count + 1.0);
    for (uint16_t r = 0; r < now->count; r++) {
        int was = rule_of(old, now->rule[r]);
        double after = mean_of(now->ns[r], now->rounds);
        struct bench_ratio ratio;
        if (was < 0) {
            show_one(json, now->rule[r], "new", after);
            continue;
        }
        double before = mean_of(old->ns[was], old->rounds);
        bench_compare(old->ns[was], old->rounds, now->ns[r], now->rounds, at->paired, confidence, &ratio);
        show(json, now->rule[r], &ratio, before, after);
        if (!ratio.changed || ratio.ratio < 1)
            continue;
        grown++;
        if (after - before > most) {
            most = after - before;
            *worst = now->rule[r];
        }
    }
    for (uint16_t r = 0; r < old->count; r++)
        if (rule_of(now, old->rule[r]) < 0)
            show_one(json, old->rule[r], "gone", mean_of(old->ns[r], old->rounds));
    return grown;
}

static void print_verdict(const struct bench_ratio *whole, uint32_t grown, struct slice worst, bool paired)
{
    if (worst.size)
        printf("\nslower most: %.*s\n", (int)worst.size, worst.data);
    else if (!grown && !whole->changed)
        printf("\nno change: the whole takes %.3f times as long, between %.3f and %.3f; a change of less than %.0f %% would not show (more --rounds, more --events)\n",
               whole->ratio, whole->low, whole->high, 100 * fmin(9.99, fmax(TOLERANCE, sqrt(whole->high / whole->low) - 1 + TOLERANCE)));
    if (!paired)
        puts("against what was saved: what else the machine did then and does now is in these ratios; a folder instead runs both in turn");
}

uint32_t bench_compare_print(const struct bench_series *before, const struct bench_series *after, bool paired, bool as_json)
{
    const struct comparison at = {before, after, paired};
    struct json_writer writer, *json = as_json ? &writer : NULL;
    struct bench_ratio whole;
    struct slice worst = {0};
    bench_compare(before->whole, before->rounds, after->whole, after->rounds, paired, 0.95, &whole);
    if (json) {
        json_writer_init(json);
        json_open_object(json, NULL);
        json_number(json, "rounds", after->rounds);
        json_bool(json, "in_turn", paired);
        json_open_array(json, "ratios");
    } else {
        printf("%-16s %10s %10s %8s   %s\n", "ns per event", "before", "after", "ratio", "95 % interval (rules: of all together)");
    }
    show(json, SLICE("whole"), &whole, mean_of(before->whole, before->rounds), mean_of(after->whole, after->rounds));
    uint32_t grown = show_rules(&at, json, &worst) + (whole.changed && whole.ratio > 1);
    if (!json) {
        print_verdict(&whole, grown, worst, paired);
        return grown;
    }
    json_close_array(json);
    json_number(json, "slower", grown);
    json_text(json, "worst", worst);
    json_close_object(json);
    json_line(json);
    (void)fwrite(json->text, 1, json->size, stdout);
    json_writer_fini(json);
    return grown;
}
