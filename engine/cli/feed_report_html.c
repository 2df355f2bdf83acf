/* One bank's feed as a page that stands alone: small charts, light and dark, no scripts. */
#include "engine/cli/feed_report.h"

enum { CHART_HEIGHT = 90, CHART_WIDTH = 480, SHARE_MOST = 1000 };

static void put_text(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

static void put_head(const struct feed_report *report, const char *day, FILE *out)
{
    fputs("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Feed of ", out);
    put_text(out, report->source);
    fprintf(out, " on %s</title>\n<style>\n", day);
    fputs(":root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #fff; --bar: #0969da; --bad: #bc4c00 }\n"
          "@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #3d444d; --paper: #0d1117; --bar: #58a6ff; --bad: #f0883e } }\n"
          "body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere }\n"
          "h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }\n"
          ".figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem }\n"
          ".figures div { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .75rem }\n"
          ".figures b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums }\n"
          "small, figcaption { color: var(--soft) } figure { margin: 0 } svg { width: 100%; max-width: 30rem; height: auto; display: block }\n"
          ".charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1.5rem }\n"
          "rect { fill: var(--bar) } rect.bad { fill: var(--bad) } text { fill: var(--soft); font-size: 12px }\n"
          "dl { margin: 0 } dt { font-weight: 600; margin-top: .75rem } dd { margin: 0 }\n"
          "</style>\n", out);
}

static void put_figure(FILE *out, const char *name, int64_t number, const char *note)
{
    fprintf(out, "<div><small>%s</small><b>%lld</b><small>%s</small></div>\n", name, (long long)number, note);
}

/* Bars with their names below; `label[i]` NULL: none. */
static void put_chart(FILE *out, const char *caption, const int64_t *value, const char *const *label, int count)
{
    int64_t most = 1;
    int wide = CHART_WIDTH / count;
    for (int i = 0; i < count; i++)
        most = value[i] > most ? value[i] : most;
    fprintf(out, "<figure><figcaption>%s</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", caption, CHART_WIDTH,
            CHART_HEIGHT + 40, caption);
    for (int i = 0; i < count; i++) {
        int high = (int)(value[i] * CHART_HEIGHT / most);
        fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"><title>%s: %lld</title></rect>\n", i * wide + 1, 18 + CHART_HEIGHT - high,
                wide - 3, high ? high : 1, label[i] ? label[i] : "", (long long)value[i]);
        if (label[i])
            fprintf(out, "<text x=\"%d\" y=\"%d\">%s</text>\n", i * wide + 1, CHART_HEIGHT + 34, label[i]);
    }
    fprintf(out, "<text x=\"0\" y=\"12\">most: %lld</text>\n</svg></figure>\n", (long long)most);
}

static void put_charts(const struct feed_report *report, FILE *out)
{
    static const char *const late_labels[FEED_LATE_STEPS] = {"&lt;1 min", "&lt;10 min", "&lt;1 h", "&lt;6 h", "&lt;24 h", "24 h+"};
    static const char *const hour_labels[FEED_HOURS] = {[0] = "00", [6] = "06", [12] = "12", [18] = "18"};
    int64_t messages[FEED_DAYS];
    char names[FEED_DAYS][16];
    const char *labels[FEED_DAYS];
    for (int d = 0; d < FEED_DAYS; d++) {
        messages[d] = feed_messages(&report->day[FEED_DAYS - 1 - d]);
        feed_day_name(report->day[FEED_DAYS - 1 - d].day, names[d]);
        labels[d] = names[d] + 5;
    }
    fputs("<div class=\"charts\">\n", out);
    put_chart(out, "Messages a day", messages, labels, FEED_DAYS);
    put_chart(out, "Accepted events by hour of arrival (UTC)", report->day[0].hour, hour_labels, FEED_HOURS);
    put_chart(out, "How long after the payment it was reported", report->day[0].late, late_labels, FEED_LATE_STEPS);
    fputs("</div>\n", out);
}

static void put_reasons(const struct feed_report *report, FILE *out)
{
    fputs("<h2>Refused</h2>\n", out);
    if (report->reason_count == 0)
        fputs("<p>Nothing was refused.</p>\n", out);
    fputs("<dl>\n", out);
    for (uint32_t i = 0; i < report->reason_count; i++) {
        const struct feed_reason *r = &report->reason[i];
        fprintf(out, "<dt>%lld &times; %s ", (long long)r->count, r->reason);
        put_text(out, r->field);
        fputs("</dt><dd>", out);
        put_text(out, feed_reason_says(r->reason));
        fputs("<br><small>such as ", out);
        put_text(out, r->examples);
        fputs("</small></dd>\n", out);
    }
    fputs("</dl>\n", out);
}

static void put_missing(const struct feed_day *day, FILE *out)
{
    fputs("<h2>Left out, by share of accepted events</h2>\n<dl>\n", out);
    for (int f = 0; f < FEED_FIELD_COUNT; f++) {
        int64_t share = feed_permille(day->missing[f], day->logged);
        if (share == 0)
            continue;
        fprintf(out, "<dt>%s: %lld.%lld %%</dt><dd><svg viewBox=\"0 0 %d 12\" aria-hidden=\"true\"><rect class=\"bad\" width=\"%lld\" height=\"10\"/></svg>"
                     "<small>%s</small></dd>\n",
                feed_field_path(f), (long long)(share / 10), (long long)(share % 10), CHART_WIDTH, (long long)(share * CHART_WIDTH / SHARE_MOST),
                feed_field_lost(f));
    }
    fputs("</dl>\n", out);
}

static void put_unknown(const struct feed_report *report, FILE *out)
{
    if (report->day[0].unknown == 0)
        return;
    fprintf(out, "<h2>Given, but not known</h2>\n<p>%lld fields that nobody reads; a wrong name is the usual reason.</p>\n<dl>\n",
            (long long)report->day[0].unknown);
    for (uint32_t i = 0; i < report->unknown.count; i++) {
        fprintf(out, "<dt>%llu &times; ", (unsigned long long)report->unknown.entry[i].times);
        put_text(out, report->unknown.entry[i].name);
        fputs("</dt>\n", out);
    }
    fputs("</dl>\n", out);
}

void feed_report_html(const struct feed_report *report, FILE *out)
{
    const struct feed_day *today = &report->day[0];
    char day[16], silent[128], before[96];
    feed_day_name(today->day, day);
    feed_silent_hours(today, silent);
    (void)snprintf(before, sizeof before, "the day before %lld, a day of the week before %lld", (long long)feed_messages(&report->day[1]),
                   (long long)feed_week_mean(report));
    put_head(report, day, out);
    fputs("<h1>Feed of ", out);
    put_text(out, report->source);
    fprintf(out, " on %s</h1>\n<div class=\"figures\">\n", day);
    put_figure(out, "messages", feed_messages(today), before);
    put_figure(out, "accepted", today->accepted, "checked and taken");
    put_figure(out, "joined", today->joined, "of these: second reports of a payment");
    put_figure(out, "refused", today->refused, "not taken; listed below");
    put_figure(out, "repeated", today->repeated, "sent before with the same id and body; counted once");
    put_figure(out, "gaps", today->gaps, "offsets of the topic that held no message");
    fprintf(out, "</div>\n<p>Heartbeats: %lld. Hours without an accepted event (UTC): %s.</p>\n", (long long)today->heartbeats, silent);
    put_charts(report, out);
    put_reasons(report, out);
    put_missing(today, out);
    put_unknown(report, out);
    fputs("</html>\n", out);
}
