/* `muster run`: scores the configured topics until told to stop. */
#include "connectors/console/http.h"
#include "connectors/kafka/source.h"
#include "connectors/postgres/sink.h"
#include "engine/base/invariant.h"
#include "engine/base/json_writer.h"
#include "engine/cli/format_choice.h"
#include "engine/cli/kafka_security_of.h"
#include "engine/cli/metrics.h"
#include "engine/cli/notice.h"
#include "engine/cli/rule_desk.h"
#include "engine/cli/rule_set.h"
#include "engine/model/zone.h"
#include "engine/state/seal.h"
#include "engine/stream/pipeline.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KAFKA_TRY_MS = 500 };

struct running {
    const struct command_line *line;
    const struct settings *settings;
    struct rule_set set;
    struct rule_desk *desk;
    struct json_writer description; /* of the rule set */
    char holder[192];               /* who we are, for operators who wonder who has the lease */
    struct kafka_security *security;
    struct source *source;
    _Atomic(struct source *) kafka; /* the one inside it that reads Kafka; the thread of metrics looks at it */
    struct sink *sink;
    struct sealer *sealer;          /* of rejected bytes */
    struct pipeline_figures *figures;
    struct feed *feed;
    struct format_unknowns *unknowns; /* per pair of the setting kafka_formats */
    struct http *http;
    struct notices notices;
    int signals;                    /* signalfd of SIGTERM, SIGINT and SIGHUP */
    bool stopping;
};

/* --- being told to stop --- */

static bool block_signals(struct running *running, struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* before any thread is made: they inherit it */
    running->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return running->signals >= 0 || error_errno(err, ERROR_FATAL, "signalfd");
}

static bool run_stop(void *context)
{
    struct running *running = context;
    struct signalfd_siginfo info;
    while (!running->stopping && read(running->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            rule_desk_reread(running->desk);
            continue;
        }
        running->stopping = true;
        notice_say(&running->notices, NOTICE_INFO, "stopping", "told to stop; finishing what was taken");
    }
    return running->stopping;
}

static void run_notice(void *context, enum notice_level level, const char *event, const char *text)
{
    struct running *running = context;
    notice_say(&running->notices, level, event, text);
}

/* --- what surrounds the pipeline --- */

static bool make_folder(const char *path, struct error *err)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST || error_errno(err, ERROR_FATAL, "%s", path);
}

static bool make_folders(const struct settings *settings, struct error *err)
{
    return make_folder(settings->state_dir, err) &&
           (!settings->log_enabled || (make_folder(settings->log_dir, err) && make_folder(settings->log_key_dir, err)));
}

static void source_notice(void *context, const char *event, const char *text)
{
    struct running *running = context;
    notice_say(&running->notices, NOTICE_WARNING, event, text);
}

/* Banks' own formats come out of the source as canonical events. */
static bool translate_source(struct running *running, struct error *err)
{
    struct source *source = format_source(running->settings, running->source, running->unknowns, err);
    if (source)
        running->source = source;
    return source != NULL;
}

/* Waits for Kafka as long as it takes, unless told to stop. */
static bool open_source(struct running *running, struct error *err)
{
    const struct settings *settings = running->settings;
    running->security = kafka_security_of(settings, err);
    if (!running->security || !rule_set_facts(settings, running->set.program, err))
        return false;
    const struct setting_map *banks = &settings->kafka_topics, *facts = &settings->kafka_fact_topics;
    struct kafka_topic *topic = calloc(banks->count + facts->count + 1, sizeof *topic);
    invariant(topic);
    for (uint32_t i = 0; i < banks->count; i++)
        topic[i] = (struct kafka_topic){.name = banks->pair[i].key, .source = banks->pair[i].value};
    for (uint32_t i = 0; i < facts->count; i++)
        topic[banks->count + i] = (struct kafka_topic){.name = facts->pair[i].key, .source = facts->pair[i].value, .facts = true};
    const struct kafka_source_settings kafka = {
        .brokers = settings->kafka_brokers,
        .topic = topic,
        .topic_count = banks->count + facts->count,
        .group = *settings->kafka_group ? settings->kafka_group : NULL,
        .partition_max = (uint32_t)settings->partition_max,
        .fetch_bytes_max = (size_t)settings->kafka_fetch_mb << 20,
        .fetch_wait_ms = (uint32_t)settings->kafka_fetch_wait_ms,
        .refresh_ms = (uint32_t)settings->kafka_refresh_s * 1000,
        .notice = source_notice,
        .context = running,
        .extra = kafka_security_properties(running->security),
    };
    bool told = false;
    while (!run_stop(running)) {
        *err = (struct error){0};
        running->source = kafka_source_open(&kafka, err);
        if (running->source || err->class != ERROR_RETRY)
            break;
        if (!told)
            notice_say(&running->notices, NOTICE_WARNING, "source_away", err->text);
        told = true;
        usleep(KAFKA_TRY_MS * 1000);
    }
    free(topic);
    atomic_store(&running->kafka, running->source);
    return running->source && translate_source(running, err);
}

static bool seal_today(void *context, struct slice clear, unsigned char *out, size_t *size, int32_t *day, struct error *err)
{
    *day = (int32_t)(time(NULL) / (MS_PER_DAY / 1000));
    *size = clear.size + SEAL_EXTRA_BYTES;
    return seal_bytes(context, *day, clear, out, err);
}

static bool open_sink(struct running *running, struct error *err)
{
    const struct log_settings keys = log_settings_of(running->settings);
    running->sealer = sealer_open(&keys, err);
    if (!running->sealer)
        return false;
    const struct program *program = running->set.program;
    char host[128] = "";
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(running->holder, sizeof running->holder, "%s pid %d", host, (int)getpid());
    json_writer_init(&running->description);
    rule_set_describe(&running->description, program);
    struct pg_sink_settings sink = {
        .dsn = running->settings->postgres_dsn,
        .holder = running->holder,
        .lease_ms = (uint32_t)running->settings->lease_ms,
        .alert_days = (uint32_t)running->settings->alert_days,
        .hit_days = (uint32_t)running->settings->hit_days,
        .rejection_days = (uint32_t)running->settings->rejection_days,
        .seal = seal_today,
        .seal_context = running->sealer,
        .rule_set_name = program->name,
        .rule_set_description = {running->description.text, running->description.size},
    };
    memcpy(sink.rule_set_hash, program->hash, sizeof sink.rule_set_hash);
    running->sink = pg_sink_open(&sink);
    return true;
}

/* --- other rules while running --- */

static const struct program *run_program_of(void *context, const unsigned char hash[32], struct error *err)
{
    const struct running *running = context;
    return rule_desk_program(running->desk, hash, err);
}

static const struct program *run_program_next(void *context)
{
    const struct running *running = context;
    return rule_desk_next(running->desk);
}

static void run_swapped(void *context, const struct program *program, const struct swap_report *report)
{
    const struct running *running = context;
    rule_desk_swapped(running->desk, program, report);
}

static bool run_pipeline(struct running *running, struct error *err)
{
    const struct settings *settings = running->settings;
    const struct log_settings log = log_settings_of(settings);
    char at_work[512];
    if (snprintf(at_work, sizeof at_work, "%s/at-work", settings->state_dir) >= (int)sizeof at_work)
        return error_set(err, ERROR_FATAL, "state_dir's path is too long");
    const struct pipeline_settings pipeline = {
        .threads = (uint32_t)settings->threads,
        .batch_max = (uint32_t)settings->batch_max,
        .batch_bytes_max = (size_t)settings->batch_mb_max << 20,
        .batch_wait_ms = (uint32_t)settings->batch_wait_ms,
        .queue_blocks_max = (uint32_t)settings->queue_blocks_max,
        .sink_wait_ms = (uint32_t)settings->commit_wait_ms,
        .stop_wait_ms = (uint32_t)settings->stop_wait_ms,
        .lease_wait_ms = 1000,
        .keep_followed = !*settings->rules_dir,
        .standby = settings->standby,
        .renew_every_ms = (uint32_t)settings->lease_ms / 3,
        .checkpoint_dir = settings->state_dir,
        .checkpoint_every_ms = settings->checkpoint_every_s * 1000,
        .log = settings->log_enabled ? &log : NULL,
        .log_wait_ms = (uint32_t)settings->log_wait_ms,
        .at_work_file = at_work,
        .step = step_settings_of(settings),
        .decode = decode_settings_of(settings, running->set.rates),
    };
    const struct pipeline_world world = {
        .source = running->source,
        .sink = running->sink,
        .program = running->set.program,
        .program_of = run_program_of,
        .program_next = run_program_next,
        .swapped = run_swapped,
        .feed = running->feed,
        .context = running,
        .stop = run_stop,
        .notice = run_notice,
    };
    return pipeline_run(&pipeline, &world, running->figures, err);
}

/* --- metrics and health --- */

static void http_metrics(void *context, FILE *out)
{
    const struct running *running = context;
    metrics_print(running->figures, out);
    metrics_print_sources(running->feed, running->kafka, (int64_t)time(NULL) * 1000, out);
    metrics_print_formats(&running->settings->kafka_formats, running->unknowns, out);
    metrics_print_partitions(atomic_load(&running->kafka), out);
}

static bool http_ready(void *context, const char **why)
{
    const struct running *running = context;
    return metrics_ready(running->figures, why);
}

static bool open_http(struct running *running, struct error *err)
{
    char text[64];
    if (running->settings->http_port < 0)
        return true;
    const struct http_answers answers = {.context = running, .metrics = http_metrics, .ready = http_ready};
    running->http = http_open((uint16_t)running->settings->http_port, &answers, err);
    if (!running->http)
        return false;
    (void)snprintf(text, sizeof text, "http://127.0.0.1:%u/metrics", http_port(running->http));
    notice_say(&running->notices, NOTICE_INFO, "metrics", text);
    return true;
}

/* --- the command --- */

static int exit_code_of(const struct error *err)
{
    return err->class == ERROR_NONE ? EXIT_FINE : err->class == ERROR_FENCED ? EXIT_FENCED : EXIT_WORLD;
}

static int check_settings(const struct command_line *line, const struct settings *settings)
{
    if (!*settings->kafka_brokers || settings->kafka_topics.count == 0)
        return command_fail(line, EXIT_USAGE, "the settings kafka_brokers and kafka_topics must be given");
    if (!*settings->postgres_dsn)
        return command_fail(line, EXIT_USAGE, "the setting postgres_dsn must be given");
    struct error err = {0};
    if (!format_settings_check(settings, &err))
        return command_fail(line, EXIT_USAGE, "%s", err.text);
    return EXIT_FINE;
}

/* From their folder, or those that were accepted last; checks who signed them. Then others may be loaded. */
static int load_rules(struct running *running)
{
    const struct settings *settings = running->settings;
    struct error err = {0};
    running->desk = rule_desk_open(settings, &running->notices, running->figures);
    if (*settings->rules_dir) {
        int code = rule_set_load(running->line, settings->rules_dir, settings->rates_file, EXIT_USAGE, &running->set);
        if (code != EXIT_FINE || (rule_set_signed_folder(settings, settings->rules_dir, running->set.program, &err) &&
                                  rule_set_fits(settings, running->set.program, &err)))
            return code;
        return command_fail(running->line, EXIT_USAGE, "%s", err.text);
    }
    running->set.program = rule_desk_newest(running->desk, &err);
    return running->set.program ? rule_set_rates(running->line, settings->rates_file, &running->set)
                                : command_fail(running->line, EXIT_WORLD, "%s", err.text);
}

static int run(struct running *running)
{
    struct error err = {0};
    if (!block_signals(running, &err) || !make_folders(running->settings, &err))
        return command_fail(running->line, EXIT_WORLD, "%s", err.text);
    int code = load_rules(running);
    if (code != EXIT_FINE)
        return code;
    notice_say(&running->notices, NOTICE_INFO, "starting", muster_version);
    rule_desk_begin(running->desk, running->set.program);
    bool ok = rule_desk_start(running->desk, &err) && open_http(running, &err) && open_source(running, &err) && open_sink(running, &err) && run_pipeline(running, &err);
    if (ok || err.class == ERROR_NONE)
        notice_say(&running->notices, NOTICE_INFO, "stopped", "everything that was taken is committed");
    else
        notice_say(&running->notices, NOTICE_ERROR, err.class == ERROR_FENCED ? "fenced" : "failed", err.text);
    return exit_code_of(&err);
}

int cmd_run(const struct command_line *line)
{
    struct settings settings;
    struct running running = {.line = line, .settings = &settings, .signals = -1};
    int code = command_settings(line, &settings) ? check_settings(line, &settings) : EXIT_USAGE;
    running.figures = calloc(1, sizeof *running.figures);
    running.unknowns = calloc(settings.kafka_formats.count + 1, sizeof *running.unknowns);
    invariant(running.figures && running.unknowns);
    notices_init(&running.notices, stderr);
    if (code == EXIT_FINE)
        running.feed = feed_new((uint32_t)settings.partition_max, (uint32_t)settings.rejection_alarm_permille);
    if (code == EXIT_FINE)
        code = run(&running);
    rule_desk_end(running.desk);
    http_close(running.http);
    if (running.sink) {
        running.sink->close(running.sink->self); /* gives the lease back */
        json_writer_fini(&running.description);
    }
    sealer_close(running.sealer);
    if (running.source)
        running.source->close(running.source->self);
    kafka_security_close(running.security);
    if (running.signals >= 0)
        close(running.signals);
    notices_fini(&running.notices);
    free(running.figures);
    feed_free(running.feed);
    free(running.unknowns);
    rule_desk_close(running.desk);
    rule_set_fini(&running.set);
    settings_fini(&settings);
    return code;
}
