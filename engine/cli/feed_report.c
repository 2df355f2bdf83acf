/* Counts one bank's feed and says it as text or JSON. */
#include "engine/cli/feed_report.h"

#include "engine/base/json_writer.h"
#include "engine/model/reject.h"
#include "engine/model/zone.h"

#include <string.h>

static const int64_t late_ms[FEED_LATE_STEPS - 1] = {60000, 600000, 3600000, 6 * 3600000LL, 24 * 3600000LL};
const char *const feed_late_names[FEED_LATE_STEPS] = {"under 1 min", "under 10 min", "under 1 h", "under 6 h", "under 24 h", "24 h and more"};

static const struct {
    const char *path, *lost;
} fields[FEED_FIELD_COUNT] = {
#define FEED_FIELD(id, path, lost) {path, lost},
#include "engine/cli/feed_field.def"
#undef FEED_FIELD
};

const char *feed_field_path(int field)
{
    return fields[field].path;
}

const char *feed_field_lost(int field)
{
    return fields[field].lost;
}

static void miss(struct feed_day *day, enum feed_field_id field, bool there)
{
    day->missing[field] += !there;
}

void feed_day_count(struct feed_day *day, const struct event *event, int64_t arrived_ms)
{
    int step = 0;
    while (step < FEED_LATE_STEPS - 1 && arrived_ms - event->time_ms >= late_ms[step])
        step++;
    day->late[step]++;
    day->hour[(arrived_ms - (int64_t)day->day * MS_PER_DAY) / 3600000 % FEED_HOURS]++;
    day->logged++;
    bool sender_cash = event->flags & EVENT_SENDER_CASH, receiver_cash = event->flags & EVENT_RECEIVER_CASH;
    miss(day, FEED_SENDER_PARTY, sender_cash || event_ref_text(event, REF_SENDER_PARTY).size);
    miss(day, FEED_RECEIVER_PARTY, receiver_cash || event_ref_text(event, REF_RECEIVER_PARTY).size);
    miss(day, FEED_SENDER_COUNTRY, sender_cash || event->sender_country);
    miss(day, FEED_RECEIVER_COUNTRY, receiver_cash || event->receiver_country);
    miss(day, FEED_CHANNEL, event->channel);
    miss(day, FEED_PURPOSE, event->purpose[0]);
    miss(day, FEED_NARRATIVE, event->narrative.size);
    miss(day, FEED_END_TO_END, event->end_to_end.size);
    miss(day, FEED_SENDER_DEVICE, sender_cash || event_ref_text(event, REF_SENDER_DEVICE).size);
    miss(day, FEED_SENDER_PHONE, sender_cash || event_ref_text(event, REF_SENDER_PHONE).size);
    miss(day, FEED_SENDER_ADDRESS, sender_cash || event_ref_text(event, REF_SENDER_ADDRESS).size);
    miss(day, FEED_TERMINAL, event_ref_text(event, REF_TERMINAL).size);
    miss(day, FEED_PLACE, event_ref_text(event, REF_PLACE).size);
}

const char *feed_reason_says(const char *reason)
{
    static const char *const rows[][2] = {
#define REJECT(code, says) {#code, says},
#include "engine/model/reject.def"
#undef REJECT
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i][0], reason) == 0)
            return rows[i][1];
    return "";
}

int64_t feed_messages(const struct feed_day *day)
{
    return day->accepted + day->refused + day->repeated;
}

int64_t feed_week_mean(const struct feed_report *report)
{
    int64_t sum = 0, days = 0;
    for (int d = 1; d < FEED_DAYS; d++) {
        sum += feed_messages(&report->day[d]);
        days += feed_messages(&report->day[d]) > 0;
    }
    return days ? sum / days : 0;
}

void feed_silent_hours(const struct feed_day *day, char out[128])
{
    size_t at = 0;
    out[0] = '\0';
    for (int from = 0; from < FEED_HOURS; from++) {
        int to = from;
        while (to < FEED_HOURS && day->hour[to] == 0)
            to++;
        if (to > from)
            at += (size_t)snprintf(out + at, 128 - at, to > from + 1 ? "%s%02d-%02d" : "%s%02d", at ? ", " : "", from, to - 1);
        from = to;
    }
    if (!at)
        (void)snprintf(out, 128, "none");
}

int64_t feed_permille(int64_t part, int64_t whole)
{
    return whole ? (part * 1000 + whole / 2) / whole : 0;
}

void feed_day_name(int32_t day, char out[16])
{
    int year, month, dom;
    civil_date(day, &year, &month, &dom);
    (void)snprintf(out, 16, "%04d-%02d-%02d", year % 10000, month % 100, dom % 100);
}

static void text_reasons(const struct feed_report *report, FILE *out)
{
    fputs("\nRefused\n", out);
    for (uint32_t i = 0; i < report->reason_count; i++) {
        const struct feed_reason *r = &report->reason[i];
        fprintf(out, "  %8lld  %s %s\n            %s\n            such as %s\n", (long long)r->count, r->reason, r->field,
                feed_reason_says(r->reason), r->examples);
    }
    if (report->reason_count == 0)
        fputs("  nothing\n", out);
}

static void text_unknown(const struct feed_report *report, FILE *out)
{
    fprintf(out, "\nGiven, but not known: %lld fields, which nobody reads\n", (long long)report->day[0].unknown);
    for (uint32_t i = 0; i < report->unknown.count; i++)
        fprintf(out, "  %8llu  %s\n", (unsigned long long)report->unknown.entry[i].times, report->unknown.entry[i].name);
}

void feed_report_text(const struct feed_report *report, FILE *out)
{
    const struct feed_day *today = &report->day[0];
    char name[16], silent[128];
    feed_day_name(today->day, name);
    feed_silent_hours(today, silent);
    fprintf(out, "Feed of %s on %s (UTC)\n\n", report->source, name);
    fprintf(out, "  messages      %10lld   the day before %lld, a day of the week before %lld\n", (long long)feed_messages(today),
            (long long)feed_messages(&report->day[1]), (long long)feed_week_mean(report));
    fprintf(out, "  accepted      %10lld\n  joined        %10lld   of these: second reports of a payment\n", (long long)today->accepted,
            (long long)today->joined);
    fprintf(out, "  refused       %10lld   not taken; listed below\n  repeated      %10lld   sent before, with the same id and body; counted once\n",
            (long long)today->refused, (long long)today->repeated);
    fprintf(out, "  gaps          %10lld   offsets of the topic that held no message, such as marks of transactions\n", (long long)today->gaps);
    fprintf(out, "  heartbeats    %10lld   no messages: signs that the feed lives\n", (long long)today->heartbeats);
    fprintf(out, "  silent hours  %10s\n", silent);
    text_reasons(report, out);
    fputs("\nHow long after the payment it was reported\n", out);
    for (int s = 0; s < FEED_LATE_STEPS; s++)
        fprintf(out, "  %-14s %10lld\n", feed_late_names[s], (long long)today->late[s]);
    fputs("\nLeft out, of accepted events\n", out);
    for (int f = 0; f < FEED_FIELD_COUNT; f++) {
        int64_t share = feed_permille(today->missing[f], today->logged);
        if (share)
            fprintf(out, "  %5lld.%lld %%  %-17s %s\n", (long long)(share / 10), (long long)(share % 10), fields[f].path, fields[f].lost);
    }
    text_unknown(report, out);
}

static void json_detail(struct json_writer *json, const struct feed_day *day)
{
    json_open_array(json, "by_hour");
    for (int h = 0; h < FEED_HOURS; h++)
        json_number(json, NULL, day->hour[h]);
    json_close_array(json);
    json_open_object(json, "reported_after");
    for (int s = 0; s < FEED_LATE_STEPS; s++)
        json_number(json, feed_late_names[s], day->late[s]);
    json_close_object(json);
    json_open_object(json, "left_out");
    for (int f = 0; f < FEED_FIELD_COUNT; f++)
        json_number(json, fields[f].path, day->missing[f]);
    json_close_object(json);
}

static void json_day(struct json_writer *json, const struct feed_day *day)
{
    char name[16];
    feed_day_name(day->day, name);
    json_open_object(json, NULL);
    json_text(json, "day", slice_of(name));
    json_number(json, "accepted", day->accepted);
    json_number(json, "joined", day->joined);
    json_number(json, "refused", day->refused);
    json_number(json, "repeated", day->repeated);
    json_number(json, "gaps", day->gaps);
    json_number(json, "heartbeats", day->heartbeats);
    json_number(json, "unknown_fields", day->unknown);
    json_close_object(json);
}

void feed_report_json(const struct feed_report *report, FILE *out)
{
    struct json_writer json;
    json_writer_init(&json);
    json_open_object(&json, NULL);
    json_text(&json, "source", slice_of(report->source));
    json_detail(&json, &report->day[0]);
    json_open_object(&json, "unknown");
    for (uint32_t i = 0; i < report->unknown.count; i++)
        json_number(&json, report->unknown.entry[i].name, (int64_t)report->unknown.entry[i].times);
    json_close_object(&json);
    json_open_array(&json, "refused");
    for (uint32_t i = 0; i < report->reason_count; i++) {
        const struct feed_reason *r = &report->reason[i];
        json_open_object(&json, NULL);
        json_text(&json, "reason", slice_of(r->reason));
        json_text(&json, "field", slice_of(r->field));
        json_text(&json, "says", slice_of(feed_reason_says(r->reason)));
        json_number(&json, "count", r->count);
        json_text(&json, "examples", slice_of(r->examples));
        json_close_object(&json);
    }
    json_close_array(&json);
    json_open_array(&json, "days");
    for (int d = 0; d < FEED_DAYS; d++)
        json_day(&json, &report->day[d]);
    json_close_array(&json);
    json_close_object(&json);
    json_line(&json);
    fwrite(json.text, 1, json.size, out);
    json_writer_fini(&json);
}
