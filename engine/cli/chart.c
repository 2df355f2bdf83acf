/* Drawing: axes, bars, intervals, points. */
#include "engine/cli/chart.h"

#include "engine/model/zone.h"

enum { WIDTH = 520, LEFT = 46, RIGHT = 14, TOP = 74, PLOT = 230, ROW = 62, LETTER = 8 };

static const int inner = WIDTH - LEFT - RIGHT;

static void escaped(struct slice text, FILE *out)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '<' || c == '>' || c == '&' || c == '"')
            fputs(c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : "&quot;", out);
        else
            fputc(c < 0x20 ? ' ' : c, out);
    }
}

static void words(const char *text, FILE *out)
{
    escaped(slice_of(text), out);
}

static void chart_begin(const char *title, const char *subtitle, int height, FILE *out)
{
    fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"100%%\" role=\"img\" aria-labelledby=\"t d\">\n", WIDTH, height);
    fputs("<title id=\"t\">", out);
    words(title, out);
    fputs("</title>\n<desc id=\"d\">", out);
    words(subtitle, out);
    fputs("</desc>\n<style>\n"
          "svg { --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --paper: #fff; max-width: 760px; height: auto; background: var(--paper);\n"
          "  --c0: #0b62a8; --c1: #c25700; --c2: #12805c; --c3: #8a3ea8; --c4: #8f6b00; --c5: #5c6670; font: 16px system-ui, sans-serif }\n"
          "@media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --soft: #a3adb8; --line: #333b44; --paper: #0d1117;\n"
          "  --c0: #63b0f4; --c1: #f0994a; --c2: #4cc79c; --c3: #cf8ee8; --c4: #dcb64a; --c5: #98a3ae } }\n"
          "text { fill: var(--ink) } .soft { fill: var(--soft); font-size: 14px } .head { font-weight: 600; font-size: 18px }\n"
          ".grid { stroke: var(--line) } .axis { stroke: var(--soft) } .end { text-anchor: end } .mid { text-anchor: middle }\n", out);
    for (int i = 0; i < CHART_SERIES_MAX; i++)
        fprintf(out, ".f%d { fill: var(--c%d) } .s%d { stroke: var(--c%d); fill: none; stroke-width: 2 }\n", i, i, i, i);
    fprintf(out, "</style>\n<rect width=\"%d\" height=\"%d\" style=\"fill: var(--paper)\"/>\n<text class=\"head\" x=\"%d\" y=\"26\">", WIDTH, height, RIGHT);
    words(title, out);
    fprintf(out, "</text>\n<text class=\"soft\" x=\"%d\" y=\"48\">", RIGHT);
    words(subtitle, out);
    fputs("</text>\n", out);
}

static void label(double x, double y, const char *class, const char *text, FILE *out)
{
    fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    words(text, out);
    fputs("</text>\n", out);
}

/* The least of 1, 2, 5 times a power of ten that is not below value. */
static double round_up(double value)
{
    double power = 1;
    while (power * 10 <= value)
        power *= 10;
    while (power > value && power > 1e-6)
        power /= 10;
    double steps[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if (power * steps[i] >= value)
            return power * steps[i];
    return power * 10;
}

/* Lines across at 0, a half and the whole of `most`. */
static void scale_y(double top, double height, double most, const char *format, FILE *out)
{
    for (int i = 0; i <= 2; i++) {
        char text[32];
        double y = top + height - height * i / 2;
        (void)snprintf(text, sizeof text, "%.4g%s", most * i / 2, format);
        fprintf(out, "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", i ? "grid" : "axis", LEFT, WIDTH - RIGHT, y, y);
        label(LEFT - 6, y + 5, "soft end", text, out);
    }
}

/* A legend that breaks lines; returns the height it took. */
static int legend(const struct slice *name, uint32_t count, int top, const char *shape, FILE *out)
{
    int x = RIGHT, y = top + 12;
    for (uint32_t i = 0; i < count; i++) {
        int wide = 26 + LETTER * (int)name[i].size + 14;
        if (x > RIGHT && x + wide > WIDTH) {
            x = RIGHT;
            y += 22;
        }
        if (shape[0] == 'b')
            fprintf(out, "<rect class=\"f%u\" x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" rx=\"2\"/>\n", i, x, y - 12);
        else
            fprintf(out, "<line class=\"s%u\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/><circle class=\"f%u\" cx=\"%d\" cy=\"%d\" r=\"4\"/>\n", i, x, x + 16, y - 5, y - 5, i, x + 8, y - 5);
        fprintf(out, "<text class=\"soft\" x=\"%d\" y=\"%d\">", x + 22, y);
        escaped(name[i], out);
        fputs("</text>\n", out);
        x += wide;
    }
    return y - top + 14;
}

/* --- by day --- */

static void day_text(int32_t day, char out[16])
{
    int year, month, dom;
    civil_date(day, &year, &month, &dom);
    (void)snprintf(out, 16, "%04d-%02d-%02d", year % 10000, month % 100, dom % 100);
}

static uint64_t day_total(const struct chart_days *chart, uint32_t d)
{
    uint64_t total = 0;
    for (uint32_t s = 0; s < chart->series_count; s++)
        total += chart->value[d * chart->series_count + s];
    return total;
}

/* Where a day stands: by the calendar, so that days without events are gaps; by its row where it spans years. */
static double day_slot(const struct chart_days *chart, uint32_t d, uint32_t *slots)
{
    int32_t span = chart->day_count ? chart->day[chart->day_count - 1] - chart->day[0] + 1 : 1;
    *slots = span <= 1000 ? (uint32_t)span : chart->day_count;
    return span <= 1000 ? chart->day[d] - chart->day[0] : (double)d;
}

static void day_bars(const struct chart_days *chart, uint32_t d, int top, double most, FILE *out)
{
    char date[16];
    uint32_t slots;
    double slot = day_slot(chart, d, &slots), wide = (double)inner / slots, y = top + PLOT;
    day_text(chart->day[d], date);
    fprintf(out, "<g><title>%s: %llu %s", date, (unsigned long long)day_total(chart, d), chart->unit);
    for (uint32_t s = 0; s < chart->series_count; s++) {
        fputs("&#10;", out);
        escaped(chart->series[s], out);
        fprintf(out, " %llu", (unsigned long long)chart->value[d * chart->series_count + s]);
    }
    if (chart->other)
        fprintf(out, "&#10;%s %llu", chart->other_name, (unsigned long long)chart->other[d]);
    fputs("</title>", out);
    for (uint32_t s = 0; s < chart->series_count; s++) {
        double high = PLOT * (double)chart->value[d * chart->series_count + s] / most;
        y -= high;
        if (high > 0)
            fprintf(out, "<rect class=\"f%u\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>", s < CHART_SERIES_MAX ? s : CHART_SERIES_MAX - 1u,
                    LEFT + slot * wide + wide * 0.1, y, wide * 0.8, high);
    }
    fputs("</g>\n", out);
}

static void day_other(const struct chart_days *chart, int top, double most, FILE *out)
{
    uint32_t slots;
    fputs("<path d=\"", out);
    for (uint32_t d = 0; d < chart->day_count; d++) {
        double slot = day_slot(chart, d, &slots), wide = (double)inner / slots;
        fprintf(out, "%c%.2f %.2fh%.2f", 'M', LEFT + slot * wide, top + PLOT - PLOT * (double)chart->other[d] / most, wide);
    }
    fputs("\" style=\"stroke: var(--ink); stroke-width: 2; fill: none\"/>\n", out);
}

void chart_days(const struct chart_days *chart, FILE *out)
{
    char text[32];
    uint64_t most = 0;
    for (uint32_t d = 0; d < chart->day_count; d++) {
        most = day_total(chart, d) > most ? day_total(chart, d) : most;
        most = chart->other && chart->other[d] > most ? chart->other[d] : most;
    }
    double top_value = most < 2 ? 2 : round_up((double)most);
    uint32_t shown = chart->series_count < CHART_SERIES_MAX ? chart->series_count : CHART_SERIES_MAX;
    int rows = 1, x = RIGHT; /* of the legend, to know the height before it is drawn */
    for (uint32_t i = 0; i < shown; i++) {
        int wide = 26 + LETTER * (int)chart->series[i].size + 14;
        rows += x > RIGHT && x + wide > WIDTH;
        x = x > RIGHT && x + wide > WIDTH ? RIGHT + wide : x + wide;
    }
    int height = TOP + PLOT + 42 + rows * 22 + (chart->other ? 22 : 0) + 8;
    chart_begin(chart->title, chart->subtitle, height, out);
    scale_y(TOP, PLOT, top_value, "", out);
    for (uint32_t d = 0; d < chart->day_count; d++)
        day_bars(chart, d, TOP, top_value, out);
    if (chart->other && chart->day_count)
        day_other(chart, TOP, top_value, out);
    if (chart->day_count) {
        day_text(chart->day[0], text);
        label(LEFT, TOP + PLOT + 20, "soft", text, out);
        day_text(chart->day[chart->day_count - 1], text);
        label(WIDTH - RIGHT, TOP + PLOT + 20, "soft end", text, out);
    }
    int below = TOP + PLOT + 38 + legend(chart->series, shown, TOP + PLOT + 34, "box", out);
    if (chart->other) {
        fprintf(out, "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" style=\"stroke: var(--ink); stroke-width: 2\"/>\n", RIGHT, RIGHT + 14, below + 3, below + 3);
        label(RIGHT + 22, below + 8, "soft", chart->other_name, out);
    }
    fputs("</svg>\n", out);
}

/* --- shares --- */

static void share_line(const struct share *share, const char *name, int series, double y, FILE *out)
{
    char text[64];
    double left = 150, wide = WIDTH - left - RIGHT - 112;
    fprintf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", left, left + wide, y, y);
    if (!share->known) {
        label(WIDTH - RIGHT, y + 5, "soft end", "none", out);
        return;
    }
    (void)snprintf(text, sizeof text, "%.0f%% of %llu", share->is * 100, (unsigned long long)share->all);
    fprintf(out, "<g><title>%s %llu of %llu: %.1f%%, between %.1f%% and %.1f%%</title>"
                 "<line class=\"s%d\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" style=\"stroke-width: 4; opacity: .45\"/>"
                 "<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"6\"/></g>\n",
            name, (unsigned long long)share->of, (unsigned long long)share->all, share->is * 100, share->low * 100, share->high * 100, series,
            left + wide * share->low, left + wide * share->high, y, y, series, left + wide * share->is, y);
    label(WIDTH - RIGHT, y + 5, "soft end", text, out);
}

void chart_shares(const struct chart_shares *chart, FILE *out)
{
    const struct slice name[] = {slice_of(chart->first), slice_of(chart->second)};
    int height = TOP + ROW * (int)chart->row_count + 60;
    chart_begin(chart->title, chart->subtitle, height, out);
    for (uint32_t i = 0; i < chart->row_count; i++) {
        const struct chart_share *row = &chart->row[i];
        double y = TOP + ROW * i + 8;
        /* the longest name that fits: its end says more than its beginning would be missed */
        struct slice text = row->name;
        fprintf(out, "<text x=\"%d\" y=\"%.1f\"%s>", RIGHT, y + 17, text.size > 15 ? " textLength=\"128\" lengthAdjust=\"spacingAndGlyphs\"" : "");
        escaped(text, out);
        fputs("</text>\n", out);
        share_line(&row->first, chart->first, 0, y + 2, out);
        share_line(&row->second, chart->second, 1, y + 24, out);
    }
    double y = TOP + ROW * chart->row_count;
    label(150, y + 4, "soft", "0%", out);
    label(WIDTH - RIGHT - 112, y + 4, "soft end", "100%", out);
    (void)legend(name, 2, (int)y + 20, "dot", out);
    fputs("</svg>\n", out);
}

/* --- the curve --- */

static void curve_line(const struct chart_curve *chart, uint32_t line, double most, FILE *out)
{
    bool first = true;
    fprintf(out, "<path class=\"s%u\" style=\"opacity: .7\" d=\"", line % CHART_SERIES_MAX);
    for (uint32_t i = 0; i < chart->point_count; i++) {
        const struct chart_point *point = &chart->point[i];
        if (point->line != line || !point->y.known)
            continue;
        fprintf(out, "%c%.2f %.2f", first ? 'M' : 'L', LEFT + inner * point->x / most, TOP + PLOT - PLOT * point->y.is);
        first = false;
    }
    fputs("\"/>\n", out);
}

static void curve_point(const struct chart_point *point, double most, bool named, FILE *out)
{
    uint32_t series = point->line % CHART_SERIES_MAX;
    double x = LEFT + inner * point->x / most, y = TOP + PLOT - PLOT * point->y.is;
    fputs("<g><title>", out);
    escaped(point->tip, out);
    fprintf(out, "</title><line class=\"s%u\" x1=\"%.2f\" x2=\"%.2f\" y1=\"%.2f\" y2=\"%.2f\" style=\"opacity: .25; stroke-width: 3\"/>", series, x, x,
            TOP + PLOT - PLOT * point->y.low, TOP + PLOT - PLOT * point->y.high);
    if (point->today)
        fprintf(out, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"10\" style=\"fill: none; stroke: var(--ink); stroke-width: 2\"/>", x, y);
    fprintf(out, "<circle class=\"f%u\" cx=\"%.2f\" cy=\"%.2f\" r=\"%d\"/></g>\n", series, x, y, 5);
    if (!named)
        return;
    bool right = x > WIDTH * 0.72;
    fprintf(out, "<text class=\"soft%s\" x=\"%.2f\" y=\"%.2f\">", right ? " end" : "", x + (right ? -13 : 13), y + (point->today ? 22 : 18));
    if (point->today)
        fputs("today: ", out);
    escaped(point->label, out);
    fputs("</text>\n", out);
}

void chart_curve(const struct chart_curve *chart, FILE *out)
{
    double most = 0;
    char text[32];
    for (uint32_t i = 0; i < chart->point_count; i++)
        most = chart->point[i].x > most ? chart->point[i].x : most;
    most = most > 0 ? round_up(most) : 1;
    chart_begin(chart->title, chart->subtitle, TOP + PLOT + 60 + 22 * (int)(chart->line_count + 1), out);
    for (int i = 0; i <= 2; i++) {
        double y = TOP + PLOT - PLOT * i / 2.0;
        fprintf(out, "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", i ? "grid" : "axis", LEFT, WIDTH - RIGHT, y, y);
        label(LEFT - 6, y + 5, "soft end", i == 0 ? "0%" : i == 1 ? "50%" : "100%", out);
    }
    for (uint32_t line = 0; line < chart->line_count; line++)
        curve_line(chart, line, most, out);
    /* a name for the ends of each line and for today's; the others have theirs as a tooltip */
    for (uint32_t i = 0; i < chart->point_count; i++) {
        const struct chart_point *point = &chart->point[i];
        bool first = i == 0 || chart->point[i - 1].line != point->line;
        bool last = i + 1 == chart->point_count || chart->point[i + 1].line != point->line;
        if (point->y.known)
            curve_point(point, most, point->today || (chart->line_count == 1 && (first || last)), out);
    }
    label(LEFT, TOP - 8, "soft", chart->y_name, out);
    label(LEFT, TOP + PLOT + 18, "soft", "0", out);
    (void)snprintf(text, sizeof text, "%.4g", most);
    label(WIDTH - RIGHT, TOP + PLOT + 18, "soft end", text, out);
    label(LEFT + inner / 2.0, TOP + PLOT + 36, "soft mid", chart->x_name, out);
    (void)legend(chart->line_name, chart->line_count, TOP + PLOT + 46, "dot", out);
    fputs("</svg>\n", out);
}
