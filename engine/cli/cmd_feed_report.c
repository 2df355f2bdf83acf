/* `muster feed-report`: what one bank's feed was like on a day, for that bank. It reads the log and refusals
 * only, so it has nothing to say about alerts. */
#include "connectors/postgres/feed.h"
#include "engine/base/invariant.h"
#include "engine/cli/command.h"
#include "engine/cli/feed_report.h"
#include "engine/cli/rule_set.h"
#include "engine/model/decode.h"
#include "engine/model/zone.h"
#include "engine/state/log.h"

#include <stdlib.h>
#include <time.h>

enum { UNKNOWN_MAX = 64 };

struct collecting {
    struct feed_report report;
    struct decoder *decoder;
    struct arena arena;
    struct slice unknown[UNKNOWN_MAX]; /* fields of the event at hand that nobody knows */
    uint32_t unknown_count;
};

static int32_t day_of(int64_t ms)
{
    return (int32_t)(ms / MS_PER_DAY - (ms % MS_PER_DAY < 0));
}

/* The report's day `day`; NULL when it is none of them. */
static struct feed_day *report_day(struct feed_report *report, int32_t day)
{
    int32_t ago = report->day[0].day - day;
    return ago >= 0 && ago < FEED_DAYS ? &report->day[ago] : NULL;
}

/* --- the log: what accepted events hold, and how late they came --- */

/* Most of a log is other banks' and other days': names are kept until the event proves to be ours. */
static void take_unknown(void *context, struct slice path)
{
    struct collecting *c = context;
    if (c->unknown_count < UNKNOWN_MAX)
        c->unknown[c->unknown_count++] = path;
}

static bool take_record(struct collecting *c, const struct log_record *record, struct error *err)
{
    struct event event;
    struct slice field;
    struct message message = {.body = record->body, .source = record->source, .broker_ms = record->broker_ms,
                              .position = {.offset = record->offset, .item = record->item}};
    arena_reset(&c->arena);
    c->unknown_count = 0;
    if ((record->kind != LOG_EVENT && record->kind != LOG_JOINED) || !slice_equal(record->source, slice_of(c->report.source)))
        return true;
    if (decoder_decode(c->decoder, &message, &c->arena, &event, &field) != REJECT_NONE)
        return error_set(err, ERROR_FATAL, "the log holds an event that is no longer accepted: were limits changed?");
    int64_t arrived_ms = record->broker_ms == MISSING_I64 ? event.time_ms : record->broker_ms;
    if (day_of(arrived_ms) != c->report.day[0].day)
        return true;
    feed_day_count(&c->report.day[0], &event, arrived_ms);
    for (uint32_t i = 0; i < c->unknown_count; i++)
        format_unknowns_add(&c->report.unknown, c->unknown[i]);
    return true;
}

static bool read_log(struct collecting *c, const struct log_settings *settings, struct error *err)
{
    struct log_record record;
    struct log_reader *log = log_reader_open_day(settings, c->report.day[0].day, err);
    int got = log ? 1 : -1;
    while (log && (got = log_reader_next(log, &record, err)) == 1)
        if (!take_record(c, &record, err))
            break;
    if (log)
        log_reader_close(log);
    return got == 0;
}

/* --- PostgreSQL: how many came, and what was refused --- */

static void take_arrivals(void *context, const struct feed_arrivals *arrivals)
{
    struct collecting *c = context;
    struct feed_day *day = report_day(&c->report, arrivals->day);
    if (!day)
        return;
    day->accepted = arrivals->accepted;
    day->joined = arrivals->joined;
    day->repeated = arrivals->repeated;
    day->refused = arrivals->refused;
    day->heartbeats = arrivals->heartbeats;
    day->gaps = arrivals->gaps;
    day->unknown = arrivals->unknown;
}

static void take_refused(void *context, const struct feed_refused *refused)
{
    struct feed_report *report = &((struct collecting *)context)->report;
    if (report->reason_count == FEED_REASONS_MAX)
        return;
    struct feed_reason *reason = &report->reason[report->reason_count++];
    reason->count = refused->count;
    (void)snprintf(reason->reason, sizeof reason->reason, "%s", refused->reason);
    (void)snprintf(reason->field, sizeof reason->field, "%s", refused->field);
    (void)snprintf(reason->examples, sizeof reason->examples, "%s", refused->examples);
}

static bool collect(struct collecting *c, const struct settings *settings, struct error *err)
{
    struct log_settings log = log_settings_of(settings);
    const struct feed_visit visit = {.context = c, .arrivals = take_arrivals, .refused = take_refused};
    return pg_feed_read(settings->postgres_dsn, c->report.source, c->report.day[0].day, FEED_DAYS, &visit, err) && read_log(c, &log, err);
}

static bool choose_day(const struct command_line *line, struct feed_report *report)
{
    const char *text = command_option(line, "day");
    char moment[40];
    int64_t day_ms = (int64_t)time(NULL) * 1000 - MS_PER_DAY; /* yesterday: a day is over when it is reported */
    if (text) {
        (void)snprintf(moment, sizeof moment, "%.20sT00:00:00Z", text);
        if (!time_parse(slice_of(moment), &day_ms))
            return command_fail(line, EXIT_USAGE, "--day takes YYYY-MM-DD, not `%s`", text) == EXIT_FINE;
    }
    for (int d = 0; d < FEED_DAYS; d++)
        report->day[d].day = day_of(day_ms) - d;
    return true;
}

static int report_with(const struct command_line *line, const struct settings *settings, struct collecting *c)
{
    const char *format = command_option(line, "format");
    struct error err = {0};
    if (!collect(c, settings, &err))
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    if (format && strcmp(format, "json") == 0)
        feed_report_json(&c->report, stdout);
    else if (format && strcmp(format, "html") == 0)
        feed_report_html(&c->report, stdout);
    else
        feed_report_text(&c->report, stdout);
    return EXIT_FINE;
}

int cmd_feed_report(const struct command_line *line)
{
    struct settings settings;
    const char *format = command_option(line, "format"), *source = command_option(line, "source");
    struct collecting *c = calloc(1, sizeof *c);
    int code = EXIT_USAGE;
    invariant(c != NULL);
    arena_init(&c->arena);
    if (command_settings(line, &settings) && choose_day(line, &c->report)) {
        c->report.source = source;
        if (!source || (format && strcmp(format, "text") != 0 && strcmp(format, "json") != 0 && strcmp(format, "html") != 0))
            code = command_fail(line, EXIT_USAGE, "--source BANK is needed; --format takes text, json or html");
        else if (!settings.postgres_dsn[0])
            code = command_fail(line, EXIT_USAGE, "the setting postgres_dsn is needed: --config FILE or --set postgres_dsn=…");
        else {
            struct rates *rates = rates_none(currency_parse(SLICE("USD")));
            struct decode_settings decode = decode_settings_of(&settings, rates);
            decode.unknown = take_unknown;
            decode.context = c;
            c->decoder = decoder_new(&decode);
            code = report_with(line, &settings, c);
            decoder_free(c->decoder);
            rates_free(rates);
        }
    }
    arena_fini(&c->arena);
    free(c);
    settings_fini(&settings);
    return code;
}
