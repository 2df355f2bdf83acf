/* Drawing: axes, bars, intervals, points. */
#include "engine/cli/chart.h"

#include "engine/model/zone.h"

enum { WIDTH = 520, LEFT = 54, RIGHT = 14, TOP = 74, PLOT = 230, PANEL = 150, GAP = 72, ROW = 56, LETTER = 8 };

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
          ".halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4px } .grid { stroke: var(--line) } .axis { stroke: var(--soft) } .end { text-anchor: end } .mid { text-anchor: middle }\n", out);
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

/* The least of 1, 2, 4, 6, 8 times a power of ten that is not below value: its half is a plain number too. */
static double round_up(double value)
{
    double power = 1;
    while (power * 10 <= value)
        power *= 10;
    while (power > value && power > 1e-6)
        power /= 10;
    double steps[] = {1, 2, 4, 6, 8, 10};
    for (int i = 0; i < 6; i++)
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
        /* a long name is drawn narrower */
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

/* What a panel has written already, so that nothing is written over it. */
struct written {
    double from[128], to[128], y[128];
    int count;
};

static bool is_free(const struct written *written, double from, double to, double y)
{
    for (int i = 0; i < written->count; i++)
        if (from < written->to[i] && to > written->from[i] && y < written->y[i] + 14 && y > written->y[i] - 14)
            return false;
    return written->count < 128;
}

/* Points that lie upon each other, as one mark. */
struct mark {
    const struct chart_point *first, *last, *today; /* today: NULL when it is not among them */
    uint32_t count;
};

static int mark_label(const struct mark *mark, bool joined, char out[128])
{
    const struct slice first = mark->first->label, last = mark->last->label;
    int at = mark->today ? snprintf(out, 128, "today %.*s", (int)mark->today->label.size, mark->today->label.data) : 0;
    if (mark->count == 1)
        return mark->today ? at : snprintf(out, 128, "%.*s", (int)first.size, first.data);
    const char *open = mark->today ? " (" : "", *close = mark->today ? ")" : "";
    if (joined)
        return at + snprintf(out + at, 128 - (size_t)at, "%s%.*s to %.*s%s", open, (int)first.size, first.data, (int)last.size, last.data, close);
    return at + snprintf(out + at, 128 - (size_t)at, "%s%u combinations%s", open, mark->count, close);
}

/* Above, below or beside the mark, where there is room; else only its tooltip names it. */
static void curve_label(const struct mark *mark, bool joined, double x, double y, struct written *written, FILE *out)
{
    char text[128];
    double wide = (LETTER + 0.2) * mark_label(mark, joined, text);
    const double places[4][2] = {{x - wide / 2, y - 14}, {x + 13, y + 5}, {x - wide - 13, y + 5}, {x - wide / 2, y + 26}};
    for (int i = 0; i < 4; i++) {
        double from = places[i][0];
        if ((i == 0 || i == 3) && from < LEFT)
            from = LEFT;
        if ((i == 0 || i == 3) && from + wide > WIDTH - 2)
            from = WIDTH - 2 - wide;
        if (from < LEFT || from + wide > WIDTH - 2 || !is_free(written, from, from + wide, places[i][1]))
            continue;
        written->from[written->count] = from;
        written->to[written->count] = from + wide;
        written->y[written->count++] = places[i][1];
        fprintf(out, "<text class=\"soft halo\" x=\"%.1f\" y=\"%.1f\">", from, places[i][1]);
        words(text, out);
        fputs("</text>\n", out);
        return;
    }
}

static void curve_mark(const struct mark *mark, double x, double y, double low, double high, FILE *out)
{
    fputs("<g><title>", out);
    escaped(mark->first->tip, out);
    if (mark->count > 1) {
        fprintf(out, "&#10;and %u more, to&#10;", mark->count - 1);
        escaped(mark->last->tip, out);
    }
    fprintf(out, "</title><line class=\"s0\" x1=\"%.2f\" x2=\"%.2f\" y1=\"%.2f\" y2=\"%.2f\" style=\"opacity: .3; stroke-width: 4\"/>", x, x, low, high);
    if (mark->today)
        fprintf(out, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"9\" style=\"fill: none; stroke: var(--ink); stroke-width: 2\"/>", x, y);
    fprintf(out, "<circle class=\"f0\" cx=\"%.2f\" cy=\"%.2f\" r=\"5\"/></g>\n", x, y);
}

static bool lies_upon(const struct chart_point *a, const struct chart_point *b)
{
    return a->line == b->line && a->y.known && b->y.known && a->y.of == b->y.of && a->x <= b->x && a->x >= b->x;
}

/* The mark that point i is the first of; count 0 where an earlier point has it. */
static struct mark mark_of(const struct chart_curve *chart, uint32_t i)
{
    const struct chart_point *point = chart->point;
    struct mark mark = {.first = &point[i]};
    for (uint32_t j = 0; j < chart->point_count; j++) {
        if (!lies_upon(&point[i], &point[j]))
            continue;
        if (j < i)
            return (struct mark){0};
        mark.last = &point[j];
        mark.count++;
        if (point[j].today)
            mark.today = &point[j];
    }
    return mark;
}

/* One line of points: a panel of its own, for lines of one stream lie upon each other. */
static void curve_panel(const struct chart_curve *chart, uint32_t line, double top, double most, FILE *out)
{
    struct written written = {.from = {0}, .to = {WIDTH}, .y = {top + PANEL + 18}, .count = 1}; /* the scale below */
    bool first = true;
    fprintf(out, "<text x=\"%d\" y=\"%.1f\" style=\"font-weight: 600\">", RIGHT, top - 16);
    escaped(chart->line_name[line], out);
    fputs("</text>\n", out);
    for (int i = 0; i <= 2; i++) {
        double y = top + PANEL - PANEL * i / 2.0;
        fprintf(out, "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", i ? "grid" : "axis", LEFT, WIDTH - RIGHT, y, y);
        label(LEFT - 6, y + 5, "soft end", i == 0 ? "0%" : i == 1 ? "50%" : "100%", out);
    }
    fputs("<path class=\"s0\" style=\"opacity: .6\" d=\"", out);
    for (uint32_t i = 0; chart->joined && i < chart->point_count; i++) {
        const struct chart_point *point = &chart->point[i];
        if (point->line != line || !point->y.known)
            continue;
        fprintf(out, "%c%.2f %.2f", first ? 'M' : 'L', LEFT + inner * point->x / most, top + PANEL - PANEL * point->y.is);
        first = false;
    }
    fputs("\"/>\n", out);
    for (uint32_t i = 0; i < chart->point_count && written.count < 48; i++) {
        const struct chart_point *point = &chart->point[i];
        if (point->line != line || !point->y.known || mark_of(chart, i).count == 0)
            continue;
        written.from[written.count] = LEFT + inner * point->x / most - 9;
        written.to[written.count] = LEFT + inner * point->x / most + 9;
        written.y[written.count++] = top + PANEL - PANEL * point->y.is + 5;
    }
    for (int today = 1; today >= 0; today--) /* today's is written first, so that it has its place */
        for (uint32_t i = 0; i < chart->point_count; i++) {
            const struct chart_point *point = &chart->point[i];
            double x = LEFT + inner * point->x / most, y = top + PANEL - PANEL * point->y.is;
            if (point->line != line || !point->y.known)
                continue;
            struct mark mark = mark_of(chart, i);
            if (mark.count == 0 || (mark.today != NULL) != (today != 0))
                continue;
            curve_mark(&mark, x, y, top + PANEL - PANEL * point->y.low, top + PANEL - PANEL * point->y.high, out);
            curve_label(&mark, chart->joined, x, y, &written, out);
        }
}

void chart_curve(const struct chart_curve *chart, FILE *out)
{
    double most = 0, bottom = TOP + (PANEL + GAP) * (double)chart->line_count;
    char text[32];
    for (uint32_t i = 0; i < chart->point_count; i++)
        most = chart->point[i].x > most ? chart->point[i].x : most;
    most = most > 0 ? round_up(most * 1.04) : 1;
    chart_begin(chart->title, chart->subtitle, (int)bottom + 20, out);
    for (uint32_t line = 0; line < chart->line_count; line++) {
        double top = TOP + 24 + (PANEL + GAP) * (double)line;
        curve_panel(chart, line, top, most, out);
        label(LEFT, top + PANEL + 18, "soft", "0", out);
        (void)snprintf(text, sizeof text, "%.4g", most);
        label(WIDTH - RIGHT, top + PANEL + 18, "soft end", text, out);
        label(LEFT + inner / 2.0, top + PANEL + 18, "soft mid", chart->x_name, out);
    }
    fputs("</svg>\n", out);
}
