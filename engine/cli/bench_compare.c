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

void bench_compare(const double *before, const double *after, uint32_t rounds, double confidence, struct bench_ratio *out)
{
    double sum = 0, squares = 0, n = 0;
    *out = (struct bench_ratio){.ratio = 1, .low = 0, .high = INFINITY};
    for (uint32_t i = 0; i < rounds; i++) {
        if (before[i] <= 0 || after[i] <= 0)
            continue;
        sum += log(after[i] / before[i]);
        n++;
    }
    if (n < 3)
        return;
    double mean = sum / n;
    for (uint32_t i = 0; i < rounds; i++)
        if (before[i] > 0 && after[i] > 0)
            squares += pow(log(after[i] / before[i]) - mean, 2);
    double half = t_quantile(confidence, n - 1) * sqrt(squares / (n - 1) / n);
    *out = (struct bench_ratio){.ratio = exp(mean), .low = exp(mean - half), .high = exp(mean + half)};
    out->changed = out->low > 1 + TOLERANCE || out->high < 1 - TOLERANCE;
}

static double mean_of(const double *value, uint32_t rounds)
{
    double sum = 0;
    for (uint32_t i = 0; i < rounds; i++)
        sum += value[i];
    return sum / rounds;
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

static int rule_of(const struct program *program, struct slice id)
{
    for (uint16_t r = 0; r < program->rule_count; r++)
        if (slice_equal(program->rule[r].id, id))
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

/* Intervals of rules are widened so that all of them together hold with 95 %. */
static uint32_t show_rules(const struct bench_comparison *at, struct json_writer *json, struct slice *worst)
{
    uint32_t grown = 0;
    double most = 0, confidence = 1 - 0.05 / (at->after->rule_count + 1.0);
    for (uint16_t r = 0; r < at->after->rule_count; r++) {
        int old = rule_of(at->before, at->after->rule[r].id);
        double after = mean_of(at->after_rule[r], at->rounds);
        struct bench_ratio ratio;
        if (old < 0) {
            show_one(json, at->after->rule[r].id, "new", after);
            continue;
        }
        double before = mean_of(at->before_rule[old], at->rounds);
        bench_compare(at->before_rule[old], at->after_rule[r], at->rounds, confidence, &ratio);
        show(json, at->after->rule[r].id, &ratio, before, after);
        if (!ratio.changed || ratio.ratio < 1)
            continue;
        grown++;
        if (after - before > most) {
            most = after - before;
            *worst = at->after->rule[r].id;
        }
    }
    for (uint16_t r = 0; r < at->before->rule_count; r++)
        if (rule_of(at->after, at->before->rule[r].id) < 0)
            show_one(json, at->before->rule[r].id, "gone", mean_of(at->before_rule[r], at->rounds));
    return grown;
}

uint32_t bench_compare_print(const struct bench_comparison *at, bool as_json)
{
    struct json_writer writer, *json = as_json ? &writer : NULL;
    struct bench_ratio whole;
    struct slice worst = {0};
    bench_compare(at->before_ns, at->after_ns, at->rounds, 0.95, &whole);
    if (json) {
        json_writer_init(json);
        json_open_object(json, NULL);
        json_number(json, "rounds", at->rounds);
        json_open_array(json, "ratios");
    } else {
        printf("%-16s %10s %10s %8s   %s\n", "ns per event", "before", "after", "ratio", "95 % interval (rules: of all together)");
    }
    show(json, SLICE("whole"), &whole, mean_of(at->before_ns, at->rounds), mean_of(at->after_ns, at->rounds));
    uint32_t grown = show_rules(at, json, &worst) + (whole.changed && whole.ratio > 1);
    if (json) {
        json_close_array(json);
        json_number(json, "slower", grown);
        json_text(json, "worst", worst);
        json_close_object(json);
        json_line(json);
        (void)fwrite(json->text, 1, json->size, stdout);
        json_writer_fini(json);
        return grown;
    }
    if (worst.size)
        printf("\nslower most: %.*s\n", (int)worst.size, worst.data);
    else if (!grown && !whole.changed)
        printf("\nno change: the whole takes %.3f times as long, between %.3f and %.3f; a change of less than %.0f %% would not show (more --rounds, more --events)\n",
               whole.ratio, whole.low, whole.high, 100 * fmin(9.99, fmax(TOLERANCE, sqrt(whole.high / whole.low) - 1 + TOLERANCE)));
    return grown;
}
