/* `muster feed-report`: what one bank's feed was like on a day, for that bank. It reads the log and refusals
 * only, so it has nothing to say about alerts. */
#include "connectors/postgres/feed.h"
#include "engine/base/invariant.h"
#include "engine/cli/command.h"
#include "engine/cli/feed_report.h"
#include "engine/cli/rule_set.h"
#include "engine/model/decode.h"
#include "engine/model/partition.h"
#include "engine/model/zone.h"
#include "engine/state/log.h"

#include <stdlib.h>
#include <time.h>

/* First accepted offset of one partition on each of the report's days; behind them, and before; -1: none. */
struct part {
    char topic[TOPIC_NAME_MAX];
    int32_t number;
    int64_t first[FEED_DAYS], behind;
    bool before;
    int64_t newest_offset;       /* messages hold several events: count offsets once */
    int64_t offsets[FEED_DAYS];
};

struct collecting {
    struct feed_report report;
    struct decoder *decoder;
    struct arena arena;
    struct part *part;
    uint32_t part_count;
    struct feed_range *range;
    uint32_t range_count;
};

static int32_t day_of(int64_t ms)
{
    return (int32_t)(ms / MS_PER_DAY); /* no event is older than 1970 that a bank reports today */
}

static struct part *find_part(struct collecting *c, const struct log_record *record)
{
    for (uint32_t i = 0; i < c->part_count; i++)
        if (c->part[i].number == record->partition && slice_equal(slice_of(c->part[i].topic), record->topic))
            return &c->part[i];
    if (c->part_count == PARTITION_MAX || record->topic.size >= TOPIC_NAME_MAX)
        return NULL;
    struct part *part = &c->part[c->part_count++];
    *part = (struct part){.number = record->partition, .newest_offset = -1, .behind = -1};
    memcpy(part->topic, record->topic.data, record->topic.size);
    for (int d = 0; d < FEED_DAYS; d++)
        part->first[d] = -1;
    return part;
}

static bool take_record(struct collecting *c, const struct log_record *record, struct error *err)
{
    struct event event;
    struct slice field;
    struct message message = {.body = record->body, .source = record->source, .broker_ms = record->broker_ms,
                              .position = {.offset = record->offset, .item = record->item}};
    arena_reset(&c->arena);
    if ((record->kind != LOG_EVENT && record->kind != LOG_JOINED) || !slice_equal(record->source, slice_of(c->report.source)))
        return true;
    if (decoder_decode(c->decoder, &message, &c->arena, &event, &field) != REJECT_NONE)
        return error_set(err, ERROR_FATAL, "the log holds an event that is no longer accepted: were limits changed?");
    struct part *part = find_part(c, record);
    if (!part)
        return error_set(err, ERROR_FATAL, "the log holds more partitions, or longer names, than there can be");
    int64_t arrived_ms = record->broker_ms == MISSING_I64 ? event.time_ms : record->broker_ms;
    int64_t ago = (int64_t)c->report.day[0].day - day_of(arrived_ms);
    if (ago < 0 && part->behind < 0)
        part->behind = record->offset;
    if (ago >= FEED_DAYS)
        part->before = true;
    if (ago < 0 || ago >= FEED_DAYS)
        return true;
    size_t at = (size_t)ago;
    if (part->first[at] < 0)
        part->first[at] = record->offset;
    part->offsets[at] += record->offset != part->newest_offset;
    part->newest_offset = record->offset;
    feed_day_count(&c->report.day[at], &event, arrived_ms, record->kind == LOG_JOINED);
    return true;
}

static bool read_log(struct collecting *c, const struct log_settings *settings, struct error *err)
{
    struct log_record record;
    struct log_reader *log = log_reader_open(settings, 1, err);
    int got = log ? 1 : -1;
    while (log && (got = log_reader_next(log, &record, err)) == 1)
        if (!take_record(c, &record, err))
            break;
    if (log)
        log_reader_close(log);
    return got == 0;
}

/* A day's offsets reach from its first accepted event to before the next day's first. */
static void make_ranges(struct collecting *c)
{
    for (uint32_t p = 0; p < c->part_count; p++) {
        const struct part *part = &c->part[p];
        int64_t next = part->behind;
        uint32_t made = c->range_count;
        for (int d = 0; d < FEED_DAYS; d++) {
            if (part->first[d] < 0 || (next >= 0 && next <= part->first[d]))
                continue;
            int64_t end = next < 0 ? part->newest_offset + 1 : next;
            c->report.day[d].untold += end - part->first[d] - part->offsets[d];
            c->range[c->range_count++] = (struct feed_range){.day = d, .topic = part->topic, .partition = part->number,
                                                             .past = part->first[d] - 1, .last = next < 0 ? INT64_MAX : next - 1};
            next = part->first[d];
        }
        if (c->range_count > made && !part->before)
            c->range[c->range_count - 1].past = -1; /* what came before the first accepted of all */
    }
}

static void take_refused(void *context, const struct feed_refused *refused)
{
    struct collecting *c = context;
    struct feed_report *report = &c->report;
    report->day[refused->day].refused += refused->count;
    if (refused->day != 0 || report->reason_count == FEED_REASONS_MAX)
        return;
    struct feed_reason *reason = &report->reason[report->reason_count++];
    reason->count = refused->count;
    (void)snprintf(reason->reason, sizeof reason->reason, "%s", refused->reason);
    (void)snprintf(reason->field, sizeof reason->field, "%s", refused->field);
    (void)snprintf(reason->places, sizeof reason->places, "%s", refused->places);
}

static bool collect(struct collecting *c, const struct settings *settings, struct error *err)
{
    struct log_settings log = log_settings_of(settings);
    if (!read_log(c, &log, err))
        return false;
    make_ranges(c);
    if (!pg_feed_refused(settings->postgres_dsn, c->report.source, c->range, c->range_count, take_refused, c, err))
        return false;
    for (int d = 0; d < FEED_DAYS; d++) {
        struct feed_day *day = &c->report.day[d];
        day->untold = day->untold > day->refused ? day->untold - day->refused : 0;
    }
    return true;
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
    c->part = calloc(PARTITION_MAX, sizeof *c->part);
    c->range = calloc((size_t)PARTITION_MAX * FEED_DAYS, sizeof *c->range);
    invariant(c->part && c->range);
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
            c->decoder = decoder_new(&decode);
            code = report_with(line, &settings, c);
            decoder_free(c->decoder);
            rates_free(rates);
        }
    }
    arena_fini(&c->arena);
    free(c->range);
    free(c->part);
    free(c);
    settings_fini(&settings);
    return code;
}
