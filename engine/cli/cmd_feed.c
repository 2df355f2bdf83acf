/* `muster feed`: a bank's file to its Kafka topic, checked line by line with the engine's own decoder. */
#include "connectors/file/reader.h"
#include "connectors/kafka/producer.h"
#include "engine/base/invariant.h"
#include "engine/cli/command.h"
#include "engine/cli/progress.h"
#include "engine/model/decode.h"

#include <stdlib.h>
#include <time.h>

enum { LINES_AT_ONCE = 1024, FLUSH_MS = 60000 };

enum partition_by { BY_SENDER, BY_RECEIVER, BY_ID, BY_TURN };

struct feeding {
    const struct command_line *line;
    struct decoder *decoder;
    struct kafka_producer *producer; /* NULL: only checked */
    struct arena bodies, texts;
    struct message *message;
    struct progress progress;
    const char *file;
    struct slice source;     /* what the topic will stand for */
    enum partition_by by;
    bool event_time;         /* the message's timestamp is the event's own time */
    bool send_all;           /* refused lines too */
    uint32_t turn;
    uint64_t lines, sent, rejected;
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
    fprintf(stderr, "%s:%lld: %s%s%.*s: %s\n", feeding->file, (long long)message->position.offset, reject_code(reason),
            field.size ? " " : "", (int)field.size, field.data ? field.data : "", reject_says(reason));
    feeding->rejected++;
}

static int32_t choose_partition(struct feeding *feeding, const struct event *event)
{
    struct slice key = event->id;
    if (feeding->by == BY_TURN)
        return (int32_t)(feeding->turn++ % (uint32_t)kafka_producer_partitions(feeding->producer));
    /* Cash has no account: the other end then keeps the order of one customer's payments. */
    struct slice sender = event->ref_text[REF_SENDER], receiver = event->ref_text[REF_RECEIVER];
    if (feeding->by == BY_SENDER)
        key = sender.size ? sender : receiver;
    if (feeding->by == BY_RECEIVER)
        key = receiver.size ? receiver : sender;
    return kafka_producer_choose(feeding->producer, key);
}

static bool feed_line(struct feeding *feeding, struct message *message, struct error *err)
{
    struct event event;
    struct slice field;
    message->source = feeding->source;
    message->broker_ms = now_ms();
    arena_reset(&feeding->texts);
    enum reject_reason reason = decoder_decode(feeding->decoder, message, &feeding->texts, &event, &field);
    feeding->lines++;
    if (reason != REJECT_NONE)
        say_rejection(feeding, message, reason, field);
    if (!feeding->producer || (reason != REJECT_NONE && !feeding->send_all))
        return true;
    bool whole = reason == REJECT_NONE;
    int32_t partition = whole ? choose_partition(feeding, &event) : kafka_producer_choose(feeding->producer, message->body);
    int64_t timestamp_ms = whole && feeding->event_time ? event.time_ms : 0;
    feeding->sent++;
    return kafka_producer_send(feeding->producer, partition, message->body, timestamp_ms, err);
}

static bool feed_file(struct feeding *feeding, size_t line_max, struct error *err)
{
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

static bool feed_files(struct feeding *feeding, size_t line_max, struct error *err)
{
    const struct command_line *line = feeding->line;
    bool ok = true;
    for (int i = 0; ok && i < line->word_count; i++) {
        feeding->file = line->word[i];
        progress_begin(&feeding->progress, feeding->producer ? "sent" : "checked", command_option(line, "quiet") != NULL);
        ok = feed_file(feeding, line_max, err);
        progress_end(&feeding->progress);
    }
    if (ok && feeding->producer)
        ok = kafka_producer_flush(feeding->producer, FLUSH_MS, err);
    return ok;
}

static bool parse_options(struct feeding *feeding, const struct settings *settings)
{
    static const char *const words[] = {"sender", "receiver", "id", "turn"};
    const struct command_line *line = feeding->line;
    const char *by = command_option(line, "partition-by"), *time = command_option(line, "timestamps");
    const char *source = command_option(line, "source");
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
    feeding->send_all = command_option(line, "all") != NULL;
    feeding->source = slice_of(source ? source : command_option(line, "topic"));
    bool sends = !command_option(line, "dry-run");
    if (sends && (!command_option(line, "topic") || !(command_option(line, "brokers") || *settings->kafka_brokers)))
        return command_fail(line, EXIT_USAGE, "sending needs --brokers and --topic; --dry-run only checks") == EXIT_FINE;
    if (line->word_count == 0)
        return command_fail(line, EXIT_USAGE, "name at least one file, or - for standard input") == EXIT_FINE;
    return true;
}

static bool open_producer(struct feeding *feeding, const struct settings *settings, struct error *err)
{
    const struct command_line *line = feeding->line;
    const char *brokers = command_option(line, "brokers");
    const struct kafka_producer_settings producer = {
        .brokers = brokers ? brokers : settings->kafka_brokers,
        .topic = command_option(line, "topic"),
    };
    if (command_option(line, "dry-run"))
        return true;
    feeding->producer = kafka_producer_open(&producer, err);
    return feeding->producer != NULL;
}

static int feed(struct feeding *feeding, const struct settings *settings, const struct rates *rates)
{
    const struct command_line *line = feeding->line;
    struct error err = {0};
    struct decode_settings decode = {
        .rates = rates,
        .message_bytes_max = (size_t)settings->message_kb_max << 10,
        .future_ms_max = 5 * 60 * 1000,
    };
    feeding->decoder = decoder_new(&decode);
    feeding->message = calloc(LINES_AT_ONCE, sizeof *feeding->message);
    invariant(feeding->decoder && feeding->message);
    if (!open_producer(feeding, settings, &err))
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    if (!feed_files(feeding, decode.message_bytes_max, &err))
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    if (!command_option(line, "quiet"))
        printf("%llu lines, %llu refused, %llu sent\n", (unsigned long long)feeding->lines,
               (unsigned long long)feeding->rejected,
               (unsigned long long)(feeding->producer ? kafka_producer_delivered(feeding->producer) : 0));
    return feeding->rejected ? EXIT_FINDING : EXIT_FINE;
}

int cmd_feed(const struct command_line *line)
{
    struct settings settings;
    struct feeding feeding = {.line = line};
    int code = EXIT_USAGE;
    arena_init(&feeding.bodies);
    arena_init(&feeding.texts);
    /* What an amount is worth in the base currency is the engine's to say; here any base will do. */
    struct rates *rates = rates_none(currency_parse(SLICE("USD")));
    if (command_settings(line, &settings) && parse_options(&feeding, &settings))
        code = feed(&feeding, &settings, rates);
    if (feeding.producer)
        kafka_producer_close(feeding.producer);
    if (feeding.decoder)
        decoder_free(feeding.decoder);
    rates_free(rates);
    free(feeding.message);
    arena_fini(&feeding.bodies);
    arena_fini(&feeding.texts);
    settings_fini(&settings);
    return code;
}
