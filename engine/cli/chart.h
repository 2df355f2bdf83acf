/* Pictures as SVG files that stand alone: for a back-test and for tuning.
 *
 * Each is drawn 520 units wide in letters of 16 and scales from 390 to 760 px; colours follow the reader's light
 * or dark scheme. Every mark has its figures as a tooltip, and the picture a text for those who do not see it.
 * Nothing in it comes from outside but names of rules and typologies, which are escaped. */
#ifndef ENGINE_CLI_CHART_H
#define ENGINE_CLI_CHART_H

#include "engine/stream/labels.h"

#include <stdio.h>

enum { CHART_SERIES_MAX = 6 };

/* Bars by day, stacked by series; series behind the sixth are added to it. */
struct chart_days {
    const char *title, *subtitle, *unit;
    uint32_t series_count;
    const struct slice *series;
    uint32_t day_count;
    const int32_t *day;            /* ascending */
    const uint64_t *value;         /* [day * series_count + series] */
    const uint64_t *other;         /* NULL, or per day: another set's total, as a line */
    const char *other_name;
};
void chart_days(const struct chart_days *chart, FILE *out);

/* A row per rule or typology with two shares and their intervals. */
struct chart_share {
    struct slice name;
    struct share first, second;
};
struct chart_shares {
    const char *title, *subtitle, *first, *second;
    uint32_t row_count;
    const struct chart_share *row;
};
void chart_shares(const struct chart_shares *chart, FILE *out);

/* What is paid against what is found: a panel per line of points, all on the same scale. */
struct chart_point {
    double x;
    struct share y;
    struct slice label, tip;       /* label: written where there is room */
    uint32_t line;
    bool today;
};
struct chart_curve {
    const char *title, *subtitle, *x_name; /* x: what is paid; y: shares, the subtitle says of what */
    bool joined;                   /* points are joined in the order given */
    uint32_t line_count, point_count;
    const struct slice *line_name;
    const struct chart_point *point;
};
void chart_curve(const struct chart_curve *chart, FILE *out);

#endif
