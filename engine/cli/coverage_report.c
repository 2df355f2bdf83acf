/* Words for comparisons that tests leave unseen. */
#include "engine/cli/coverage_report.h"

enum { MISSING_MAX = 200 };

static uint32_t covered_count(const struct coverage_report *report)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < report->count; i++)
        count += coverage_whole(&report->row[i]);
    return count;
}

bool coverage_enough(const struct coverage_report *report)
{
    return (uint64_t)covered_count(report) * 100 >= (uint64_t)report->count * report->least_percent;
}

static struct slice span_text(const struct coverage_report *report, struct span span)
{
    return (struct slice){report->syntax->file[span.file].text.data + span.at, span.size};
}

static const char *unit_word(uint8_t type)
{
    switch ((enum value_type)type) {
    case TYPE_MONEY:
        return "one cent";
    case TYPE_DURATION:
    case TYPE_TIME:
    case TYPE_CLOCK:
        return "one second";
    case TYPE_PERCENT:
        return "one percent point or less";
    case TYPE_WEEKDAY:
        return "one day";
    default:
        return "one";
    }
}

static bool op_is_range(uint8_t op)
{
    return op == OP_BETWEEN || op == OP_BETWEEN_CLOCK;
}

/* One thing that is missing, as words; false when it is not, or not wanted. */
static bool missing_word(const struct coverage_row *row, enum comparison_seen bit, char *text, size_t room)
{
    bool below = row->op == OP_LT || row->op == OP_GE || op_is_range(row->op), range = op_is_range(row->op);
    if (!(row->wants & bit) || (row->seen & bit))
        return false;
    switch (bit) {
    case SEEN_TRUE:
        (void)snprintf(text, room, "never true");
        return true;
    case SEEN_FALSE:
        (void)snprintf(text, room, "never false");
        return true;
    case SEEN_EQUAL:
        (void)snprintf(text, room, "never at its %s", range ? "lower end" : "edge: equal");
        return true;
    case SEEN_BESIDE:
        (void)snprintf(text, room, "never %s %s its %s", unit_word(row->type), below ? "below" : "above", range ? "lower end" : "edge");
        return true;
    case SEEN_EQUAL_HIGH:
        (void)snprintf(text, room, "never at its upper end");
        return true;
    case SEEN_BESIDE_HIGH:
        (void)snprintf(text, room, "never %s above its upper end", unit_word(row->type));
        return true;
    default:
        return false;
    }
}

static const enum comparison_seen bits[] = {SEEN_TRUE, SEEN_FALSE, SEEN_EQUAL, SEEN_BESIDE, SEEN_EQUAL_HIGH, SEEN_BESIDE_HIGH};
enum { BIT_COUNT = sizeof bits / sizeof *bits };

/* Why it was never seen; NULL where it was. */
static const char *why_words(const struct coverage_row *row)
{
    switch (row->why) {
    case COVERAGE_SEEN:
        return NULL;
    case COVERAGE_NOT_JUDGED:
        return row->place == COVERAGE_EXCEPT ? "never asked: no test has the rule hit while the exception holds"
                                             : "never evaluated: no test has an event that touches the rule";
    case COVERAGE_NO_EVENT:
        return row->place == COVERAGE_MEMORY ? "never asked: no test has an event that the memory reads"
                                             : "never asked: no test of the rule has an event of this source";
    case COVERAGE_CUT:
        return "never reached: what stands before it always settled the answer";
    case COVERAGE_UNKNOWN:
        return "always unknown: a value that it needs is missing in every test";
    }
    return NULL;
}

/* --- as text --- */

static void row_text(const struct coverage_report *report, const struct coverage_row *row, FILE *out)
{
    const struct diagnostics *d = report->diagnostics;
    struct slice file = report->syntax->file[row->span.file].name;
    const char *why = why_words(row);
    uint32_t line, column;
    diagnostic_place(d, row->span, &line, &column);
    (void)fprintf(out, "%.*s, %.*s:%u:%u: ", (int)row->owner.size, row->owner.data, (int)file.size, file.data, line, column);
    if (why) {
        (void)fputs(why, out);
    } else {
        char text[MISSING_MAX];
        const char *comma = "";
        for (int b = 0; b < BIT_COUNT; b++) {
            if (!missing_word(row, bits[b], text, sizeof text))
                continue;
            (void)fprintf(out, "%s%s", comma, text);
            comma = "; ";
        }
    }
    (void)fputc('\n', out);
    diagnostics_quote(d, row->span, SLICE(""), out);
    if (row->why == COVERAGE_CUT && row->has_before) {
        struct slice before = span_text(report, row->before);
        diagnostic_place(d, row->before, &line, &column);
        (void)fprintf(out, "  = before it, at %u:%u: `%.*s`\n", line, column, (int)before.size, before.data);
    }
    (void)fputc('\n', out);
}

void coverage_text(const struct coverage_report *report, FILE *out)
{
    for (uint32_t i = 0; i < report->count; i++)
        if (!coverage_whole(&report->row[i]))
            row_text(report, &report->row[i], out);
    (void)fprintf(out, "%u of %u comparisons seen both ways and at their edges\n", covered_count(report), report->count);
}

/* --- as JSON --- */

static void row_json(const struct coverage_report *report, const struct coverage_row *row, struct json_writer *json)
{
    static const char *const places[] = {"condition", "exception", "filter", "memory"};
    const char *why = why_words(row);
    char text[MISSING_MAX];
    uint32_t line, column;
    diagnostic_place(report->diagnostics, row->span, &line, &column);
    json_open_object(json, NULL);
    json_text(json, row->place == COVERAGE_MEMORY ? "memory" : "rule", row->owner);
    json_text(json, "place", slice_of(places[row->place]));
    json_text(json, "file", report->syntax->file[row->span.file].name);
    json_number(json, "line", line);
    json_number(json, "column", column);
    json_text(json, "text", span_text(report, row->span));
    json_bool(json, "covered", coverage_whole(row));
    json_open_array(json, "missing");
    for (int b = 0; b < BIT_COUNT; b++)
        if (missing_word(row, bits[b], text, sizeof text))
            json_text(json, NULL, slice_of(text));
    json_close_array(json);
    if (why)
        json_text(json, "why", slice_of(why));
    if (row->why == COVERAGE_CUT && row->has_before)
        json_text(json, "before", span_text(report, row->before));
    json_close_object(json);
}

void coverage_json(const struct coverage_report *report, struct json_writer *json)
{
    json_open_object(json, "coverage");
    json_number(json, "covered", covered_count(report));
    json_number(json, "comparisons", report->count);
    json_open_array(json, "rows");
    for (uint32_t i = 0; i < report->count; i++)
        row_json(report, &report->row[i], json);
    json_close_array(json);
    json_close_object(json);
}
