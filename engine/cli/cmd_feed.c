/* `muster feed`: banks' files to their Kafka topics, checked with the engine's own decoder. */
#include "connectors/file/reader.h"
#include "connectors/kafka/producer.h"
#include "engine/base/invariant.h"
#include "engine/model/fact.h"
#include "engine/model/zone.h"
#include "engine/base/utf8.h"
#include "engine/cli/command.h"
#include "engine/cli/feed_read.h"
#include "engine/cli/format_choice.h"
#include "engine/cli/kafka_security_of.h"
#include "engine/cli/progress.h"

#include <stdlib.h>
#include <time.h>

enum { LINES_AT_ONCE = 1024, FLUSH_MS = 60000, TOPIC_MAX = 64, SHOWN_ROWS = 10 };

enum partition_by { BY_SENDER, BY_RECEIVER, BY_ID, BY_TURN };

/* Where the events of one bank go. */
struct outlet {
    const char *topic;
    struct slice source;             /* the bank; of --topic: whoever the line names */
    bool facts;                      /* a topic of facts */
    struct kafka_producer *producer; /* opened when first needed */
};

struct feeding {
    const struct command_line *line;
    const char *brokers;
    struct kafka_security *security;
    struct decoder *decoder;
    struct outlet outlet[TOPIC_MAX];
    uint32_t outlet_count;           /* 0: only checked */
    struct arena bodies, texts;
    struct message *message;
    struct progress progress;
    const char *file;
    struct slice source;     /* the bank that lines are checked for; empty: each names its own */
    enum partition_by by;
    bool event_time;         /* the message's timestamp is the event's own time, a refused line's that of the event before */
    int64_t newest_ms;       /* time of the last event sent; 0: none yet */
    bool send_rejected;           /* refused lines too */
    bool heartbeat;               /* a sign of life to each partition, behind the events */
    uint32_t turn;
    struct format *format;        /* of the files; NULL: canonical JSON */
    struct format_output out;
    struct format_unknowns *unknowns;
    size_t message_bytes_max;
    bool raw;                     /* messages go to the topic as they are */
    uint32_t shown;               /* rows of a dry run */
    bool print;                   /* accepted events to standard output instead of Kafka */
    uint64_t lines, rejected;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now); /* stands for the broker's clock, by which FUTURE is judged */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say_rejection(struct feeding *feeding, const struct message *message, enum reject_reason reason,
                          struct slice field)
{
    progress_end(&feeding->progress);
    fprintf(stderr, "%s:%lld: ", feeding->file, (long long)message->position.offset);
    if (message->position.item)
        fprintf(stderr, "payment %u: ", message->position.item + 1);
    fprintf(stderr, "%s%s%.*s: %s\n", reject_code(reason), field.size ? " " : "", (int)field.size, field.data ? field.data : "", reject_says(reason));
    feeding->rejected++;
}

static int32_t choose_partition(struct feeding *feeding, const struct kafka_producer *producer, const struct event *event)
{
    struct slice key = event->id;
    if (feeding->by == BY_TURN)
        return (int32_t)(feeding->turn++ % (uint32_t)kafka_producer_partitions(producer));
    /* Cash has no account: the other end then keeps the order of one customer's payments. */
    struct slice sender = event_ref_text(event, REF_SENDER), receiver = event_ref_text(event, REF_RECEIVER);
    if (feeding->by == BY_SENDER)
        key = sender.size ? sender : receiver;
    if (feeding->by == BY_RECEIVER)
        key = receiver.size ? receiver : sender;
    return kafka_producer_choose(producer, key);
}

static bool outlet_open(const struct feeding *feeding, struct outlet *outlet, struct error *err)
{
    if (!outlet->producer)
        outlet->producer = kafka_producer_open(
            &(struct kafka_producer_settings){.brokers = feeding->brokers,
                                              .topic = outlet->topic,
                                              .extra = kafka_security_properties(feeding->security)},
            err);
    return outlet->producer != NULL;
}

/* The topic of the event's bank, or the only one; a line that cannot be read goes to the first. */
static struct outlet *choose_outlet(struct feeding *feeding, const struct event *event, struct error *err)
{
    struct outlet *outlet = &feeding->outlet[0];
    if (event && feeding->source.size == 0) {
        struct outlet *end = feeding->outlet + feeding->outlet_count;
        while (outlet < end && (outlet->facts != (event->fact != NULL) || !slice_equal(outlet->source, event->source)))
            outlet++;
        if (outlet == end) {
            error_set(err, ERROR_FATAL, "no topic of the settings kafka_topics and kafka_fact_topics is fed by the source that a line names");
            return NULL;
        }
    }
    return outlet_open(feeding, outlet, err) ? outlet : NULL;
}

/* What compaction keeps apart: a corrected row replaces the one of its day, and no other. */
static struct slice fact_key(struct arena *arena, const struct event *event)
{
    char time[TIME_TEXT_MAX];
    time_format(event->time_ms, time);
    return arena_format(arena, "%.*s|%.*s|%s", (int)event->fact->name.size, event->fact->name.data, (int)event->fact->subject.size,
                        event->fact->subject.data, time);
}

static bool send_line(struct feeding *feeding, const struct message *message, const struct event *event, struct error *err)
{
    struct outlet *outlet = choose_outlet(feeding, event, err);
    if (!outlet)
        return false;
    struct slice key = event && event->fact ? fact_key(&feeding->texts, event) : SLICE("");
    int32_t partition = key.size ? kafka_producer_choose(outlet->producer, event->fact->subject)
                        : event  ? choose_partition(feeding, outlet->producer, event)
                                 : kafka_producer_choose(outlet->producer, message->body);
    if (event && !event->fact)
        feeding->newest_ms = event->time_ms;
    bool fact = event && event->fact;
    return kafka_producer_send(outlet->producer, partition, key, message->body, feeding->event_time && !fact ? feeding->newest_ms : 0, err);
}

static bool send_heartbeats(struct feeding *feeding, struct error *err)
{
    for (uint32_t i = 0; i < feeding->outlet_count; i++) {
        struct outlet *outlet = &feeding->outlet[i];
        if (!outlet->facts && (!outlet_open(feeding, outlet, err) ||
                               !kafka_producer_heartbeat(outlet->producer, feeding->event_time ? feeding->newest_ms : 0, err)))
            return false;
    }
    return true;
}

static bool feed_line(struct feeding *feeding, struct message *message, struct error *err)
{
    struct event event;
    struct slice field;
    message->source = feeding->source;
    message->broker_ms = now_ms();
    arena_reset(&feeding->texts);
    enum reject_reason reason = message_decode(feeding->decoder, message, &feeding->texts, &event, &field);
    feeding->lines++;
    if (reason != REJECT_NONE)
        say_rejection(feeding, message, reason, field);
    bool refused = reason != REJECT_NONE;
    if (feeding->print && !refused)
        printf("%.*s\n", (int)message->body.size, message->body.data);
    if (feeding->outlet_count == 0 || (refused && !feeding->send_rejected) || (refused && message->translated && !message->body.size))
        return true; /* what could not be translated is no canonical event, not even a refused one */
    return send_line(feeding, message, refused ? NULL : &event, err);
}

/* --- files in a format of the bank's own --- */

/* Padded to width (0: as it is); what is longer is cut, and a line's end becomes a space. */
static void print_cell(struct slice text, int width)
{
    int columns = 0;
    for (size_t i = 0, size; i < text.size && (width == 0 || columns < width - 2); i += size, columns++) {
        size = utf8_size(text.data + i, text.size - i);
        size = size ? size : 1;
        if ((unsigned char)text.data[i] < 0x20)
            fputc(' ', stdout);
        else
            fwrite(text.data + i, 1, size, stdout);
    }
    if (width)
        printf("%*s", width - columns, "");
}

/* The bank's cells beside what becomes of them. */
static void show_rows(struct feeding *feeding, struct slice bytes, int64_t line)
{
    struct format_shown shown[EF_COUNT];
    uint32_t count;
    for (uint32_t row = 0; feeding->shown < SHOWN_ROWS; row++) {
        arena_reset(&feeding->texts);
        if (!feeding->format->show(feeding->format->self, bytes, row, &feeding->texts, shown, &count))
            break;
        printf("%s:%lld\n", feeding->file, (long long)line);
        for (uint32_t i = 0; i < count; i++) {
            fputs("  ", stdout);
            print_cell(shown[i].own, 34);
            print_cell(shown[i].given, 34);
            print_cell(shown[i].field, 20);
            print_cell(shown[i].made, 0);
            fputc('\n', stdout);
        }
        feeding->shown++;
    }
}

/* The message as it came, for a topic whose format the engine translates; keyed by its first event. */
static bool send_raw(struct feeding *feeding, struct slice bytes, uint64_t rejected_before, struct error *err)
{
    struct message message = {.body = bytes, .source = feeding->source, .broker_ms = MISSING_I64};
    if (feeding->outlet_count == 0 || (feeding->rejected > rejected_before && !feeding->send_rejected))
        return true;
    return send_line(feeding, &message, NULL, err);
}

static bool feed_bytes(void *context, struct slice bytes, int64_t line, struct error *err)
{
    struct feeding *feeding = context;
    struct format_output *out = &feeding->out;
    uint64_t rejected_before = feeding->rejected;
    uint32_t outlets = feeding->outlet_count;
    size_t bytes_max = feeding->message_bytes_max;
    arena_reset(&feeding->bodies);
    out->arena = &feeding->bodies;
    out->unknowns = feeding->unknowns;
    out->most = FORMAT_ITEMS_MAX;
    if (feed_is_file_piece(feeding->format, bytes, &bytes_max, &out->most) && feeding->raw)
        return error_set(err, ERROR_FATAL, "%s carries its own schema and is no message for Kafka: leave --raw out, then its events are sent as JSON",
                         feeding->file);
    if (outlets == 0 && !feeding->print && feeding->format->show)
        show_rows(feeding, bytes, line);
    if (!format_translate(feeding->format, bytes, bytes_max, out, err))
        return false;
    feeding->outlet_count = feeding->raw ? 0 : outlets; /* then its events are only checked */
    bool ok = true;
    for (uint32_t i = 0; ok && i < out->count; i++) {
        struct message message = {.body = out->item[i].text, .position = {.offset = line, .item = i}, .translated = out->item[i].translated};
        ok = feed_line(feeding, &message, err);
    }
    feeding->outlet_count = outlets;
    return ok && (!feeding->raw || send_raw(feeding, bytes, rejected_before, err));
}

static void feed_progress(void *context, uint64_t done, uint64_t size)
{
    struct feeding *feeding = context;
    progress_show(&feeding->progress, done, size, feeding->lines);
}

static bool feed_translated(struct feeding *feeding, struct error *err)
{
    const struct feed_reading reading = {.format = feeding->format,
                                         .message_bytes_max = feeding->message_bytes_max,
                                         .context = feeding,
                                         .take = feed_bytes,
                                         .progress = feed_progress};
    return feed_read(&reading, feeding->file, err);
}

static void say_unknowns(const struct feeding *feeding)
{
    const struct format_unknowns *unknowns = feeding->unknowns;
    for (uint32_t i = 0; i < unknowns->count; i++)
        printf("unknown field %s: %llu times\n", unknowns->entry[i].name, (unsigned long long)unknowns->entry[i].times);
}

static bool feed_file(struct feeding *feeding, size_t line_max, struct error *err)
{
    if (feeding->format)
        return feed_translated(feeding, err);
    struct file_reader *reader = file_reader_open(feeding->file, line_max, err);
    bool ok = reader != NULL;
    uint32_t count = 1;
    while (ok && count > 0) {
        uint64_t done, size;
        arena_reset(&feeding->bodies);
        ok = file_reader_read(reader, &feeding->bodies, feeding->message, LINES_AT_ONCE, &count, err);
        for (uint32_t i = 0; ok && i < count; i++)
            ok = feed_line(feeding, &feeding->message[i], err);
        file_reader_progress(reader, &done, &size);
        progress_show(&feeding->progress, done, size, feeding->lines);
    }
    if (reader)
        file_reader_close(reader);
    return ok;
}

static bool flush_all(struct feeding *feeding, struct error *err)
{
    bool ok = true;
    for (uint32_t i = 0; i < feeding->outlet_count; i++)
        if (feeding->outlet[i].producer && !kafka_producer_flush(feeding->outlet[i].producer, FLUSH_MS, err))
            ok = error_context(err, "topic %s", feeding->outlet[i].topic);
    return ok;
}

static bool feed_files(struct feeding *feeding, size_t line_max, struct error *err)
{
    const struct command_line *line = feeding->line;
    bool ok = true;
    for (int i = 0; ok && i < line->word_count; i++) {
        feeding->file = line->word[i];
        progress_begin(&feeding->progress, feeding->outlet_count ? "sent" : "checked", command_option(line, "quiet") != NULL);
        ok = feed_file(feeding, line_max, err);
        progress_end(&feeding->progress);
    }
    return ok && (!feeding->heartbeat || send_heartbeats(feeding, err)) && flush_all(feeding, err);
}

/* Where lines go: the topic that is named, else each bank's own by the settings. */
static bool choose_topics(struct feeding *feeding, const struct settings *settings)
{
    const struct command_line *line = feeding->line;
    const char *topic = command_option(line, "topic"), *brokers = command_option(line, "brokers");
    const char *source = command_option(line, "source");
    const struct setting_map *map = &settings->kafka_topics, *facts = &settings->kafka_fact_topics;
    feeding->brokers = brokers ? brokers : settings->kafka_brokers;
    feeding->source = slice_of(source ? source : topic);
    feeding->print = command_option(line, "print") != NULL;
    if (feeding->format && feeding->source.size == 0)
        feeding->source = SLICE("bank"); /* only for the check: no other format says whose it is */
    if (command_option(line, "dry-run") || feeding->print)
        return true;
    if (feeding->format && !topic) {
        (void)command_fail(line, EXIT_USAGE, "--format needs --topic: the files do not say whose they are");
        return false;
    }
    if (!*feeding->brokers || (!topic && map->count + facts->count == 0) || map->count + facts->count > TOPIC_MAX) {
        (void)command_fail(line, EXIT_USAGE, "sending needs brokers and a topic (--brokers, --topic or the settings "
                                             "kafka_brokers, kafka_topics); --dry-run only checks");
        return false;
    }
    if (topic) {
        feeding->outlet[feeding->outlet_count++] = (struct outlet){.topic = topic};
        return true;
    }
    for (uint32_t i = 0; i < map->count; i++)
        feeding->outlet[feeding->outlet_count++] =
            (struct outlet){.topic = map->pair[i].key, .source = slice_of(map->pair[i].value)};
    for (uint32_t i = 0; i < facts->count; i++)
        feeding->outlet[feeding->outlet_count++] =
            (struct outlet){.topic = facts->pair[i].key, .source = slice_of(facts->pair[i].value), .facts = true};
    return true;
}

/* --format NAME, with --mapping FILE for csv and avro. */
static bool choose_format(struct feeding *feeding)
{
    const struct command_line *line = feeding->line;
    const char *name = command_option(line, "format"), *mapping = command_option(line, "mapping");
    char words[4096];
    struct error err = {0};
    bool avro = name && strncmp(name, "avro", 4) == 0;
    if (mapping && name && strcmp(name, "csv") != 0 && !avro)
        return command_fail(line, EXIT_USAGE, "--mapping goes with --format csv or avro, not with `%s`", name) == EXIT_FINE;
    int size = !mapping ? snprintf(words, sizeof words, "%s", name ? name : "json")
               : !avro  ? snprintf(words, sizeof words, "csv:%s", mapping)
                        : snprintf(words, sizeof words, "%s%cmapping=%s", name, strchr(name, ':') ? ',' : ':', mapping);
    if (size < 0 || (size_t)size >= sizeof words || !format_choose(words, &(struct format_use){.state_dir = NULL}, &feeding->format, &err))
        return command_fail(line, EXIT_USAGE, "%s", err.text) == EXIT_FINE;
    feeding->raw = command_option(line, "raw") != NULL;
    return true;
}

static bool parse_options(struct feeding *feeding, const struct settings *settings)
{
    static const char *const words[] = {"sender", "receiver", "id", "turn"};
    const struct command_line *line = feeding->line;
    const char *by = command_option(line, "partition-by"), *time = command_option(line, "timestamps");
    feeding->by = BY_SENDER;
    for (int i = 0; by && i < 4; i++)
        if (strcmp(by, words[i]) == 0) {
            feeding->by = (enum partition_by)i;
            by = NULL;
        }
    if (by)
        return command_fail(line, EXIT_USAGE, "--partition-by takes sender, receiver, id or turn, not `%s`", by) == EXIT_FINE;
    if (time && strcmp(time, "now") != 0 && strcmp(time, "event") != 0)
        return command_fail(line, EXIT_USAGE, "--timestamps takes now or event, not `%s`", time) == EXIT_FINE;
    feeding->event_time = time && strcmp(time, "event") == 0;
    feeding->send_rejected = command_option(line, "send-rejected") != NULL;
    feeding->heartbeat = command_option(line, "heartbeat") != NULL;
    if (line->word_count == 0 && !feeding->heartbeat)
        return command_fail(line, EXIT_USAGE, "name at least one file, or - for standard input") == EXIT_FINE;
    return choose_format(feeding) && choose_topics(feeding, settings);
}

static void take_unknown(void *context, struct slice path)
{
    format_unknowns_add(context, path);
}

static int feed(struct feeding *feeding, const struct settings *settings, const struct rates *rates)
{
    const struct command_line *line = feeding->line;
    struct error err = {0};
    feeding->unknowns = calloc(1, sizeof *feeding->unknowns);
    struct decode_settings decode = {
        .rates = rates,
        .message_bytes_max = (size_t)settings->message_kb_max << 10,
        .future_ms_max = 5 * 60 * 1000,
        .unknown = take_unknown,
        .context = feeding->unknowns,
    };
    feeding->decoder = decoder_new(&decode);
    feeding->message = calloc(LINES_AT_ONCE, sizeof *feeding->message);
    feeding->message_bytes_max = decode.message_bytes_max;
    invariant(feeding->decoder && feeding->message && feeding->unknowns);
    if (feeding->outlet_count && !(feeding->security = kafka_security_of(settings, &err)))
        return command_fail(line, EXIT_USAGE, "%s", err.text);
    if (!feed_files(feeding, decode.message_bytes_max, &err))
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    uint64_t sent = 0;
    for (uint32_t i = 0; i < feeding->outlet_count; i++)
        sent += feeding->outlet[i].producer ? kafka_producer_delivered(feeding->outlet[i].producer) : 0;
    bool tells = !command_option(line, "quiet") && !feeding->print;
    if (tells)
        printf("%llu %s, %llu refused, %llu sent\n", (unsigned long long)feeding->lines, feeding->format ? "payments" : "lines",
               (unsigned long long)feeding->rejected, (unsigned long long)sent);
    if (tells)
        say_unknowns(feeding);
    return feeding->rejected ? EXIT_FINDING : EXIT_FINE;
}

int cmd_feed(const struct command_line *line)
{
    struct settings settings;
    struct feeding feeding = {.line = line};
    int code = EXIT_USAGE;
    arena_init(&feeding.bodies);
    arena_init(&feeding.texts);
    format_output_init(&feeding.out);
    /* What an amount is worth in the base currency is the engine's to say; here any base will do. */
    struct rates *rates = rates_none(currency_parse(SLICE("USD")));
    if (command_settings(line, &settings) && parse_options(&feeding, &settings))
        code = feed(&feeding, &settings, rates);
    for (uint32_t i = 0; i < feeding.outlet_count; i++)
        if (feeding.outlet[i].producer)
            kafka_producer_close(feeding.outlet[i].producer);
    kafka_security_close(feeding.security);
    if (feeding.decoder)
        decoder_free(feeding.decoder);
    rates_free(rates);
    if (feeding.format)
        feeding.format->close(feeding.format->self);
    format_output_fini(&feeding.out);
    free(feeding.unknowns);
    free(feeding.message);
    arena_fini(&feeding.bodies);
    arena_fini(&feeding.texts);
    settings_fini(&settings);
    return code;
}
