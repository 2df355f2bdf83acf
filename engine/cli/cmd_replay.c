/* `muster replay`: a recorded stream, or the engine's own log, through the rules again. */
#include "connectors/file/reader.h"
#include "engine/model/encode.h"
#include "engine/base/invariant.h"
#include "engine/cli/progress.h"
#include "engine/cli/rule_set.h"
#include "engine/stream/crew.h"
#include "engine/stream/replay.h"

#include <stdlib.h>

enum { KIND_ALERTS, KIND_HITS, KIND_REJECTIONS, KIND_POSITIONS, FILE_KINDS, INPUT_MAX = COMMAND_WORD_MAX };

/* One NDJSON file of results; nothing is written when it was not asked for. */
struct result_file {
    const char *path;
    FILE *file;
};

struct replaying {
    const struct command_line *line;
    struct result_file out[FILE_KINDS];
    struct json_writer writer;
    struct json_writer hits[CREW_MAX]; /* of a batch, in order: each worker's piece */
    struct replay_input input[INPUT_MAX];
    struct file_reader *reader[INPUT_MAX];
    uint32_t input_count;
    struct progress progress;
    uint64_t events;
    struct rule_set next; /* to go over to */
    int64_t swap_at;
};

/* --- results --- */

static bool open_results(struct replaying *replaying, struct error *err)
{
    static const char *const option[FILE_KINDS] = {"alerts", "hits", "rejections", "positions"};
    for (int i = 0; i < FILE_KINDS; i++) {
        struct result_file *out = &replaying->out[i];
        out->path = command_option(replaying->line, option[i]);
        if (!out->path)
            continue;
        out->file = strcmp(out->path, "-") == 0 ? stdout : fopen(out->path, "we");
        if (!out->file)
            return error_errno(err, ERROR_FATAL, "%s", out->path);
    }
    return true;
}

static bool close_results(struct replaying *replaying, struct error *err)
{
    bool ok = true;
    for (int i = 0; i < FILE_KINDS; i++) {
        struct result_file *out = &replaying->out[i];
        if (!out->file)
            continue;
        bool written = fflush(out->file) == 0 && !ferror(out->file);
        if (out->file != stdout)
            written = fclose(out->file) == 0 && written;
        if (!written)
            ok = error_errno(err, ERROR_FATAL, "%s could not be written", out->path);
    }
    return ok;
}

static bool write_text(struct replaying *replaying, int kind, struct json_writer *writer, struct error *err)
{
    struct result_file *out = &replaying->out[kind];
    bool ok = writer->size == 0 || fwrite(writer->text, 1, writer->size, out->file) == writer->size;
    json_writer_reset(writer);
    return ok || error_errno(err, ERROR_FATAL, "%s", out->path);
}

static bool write_out(struct replaying *replaying, int kind, struct error *err)
{
    return write_text(replaying, kind, &replaying->writer, err);
}

static bool write_rejections(struct replaying *replaying, const struct rejection *rejection, uint32_t count,
                             struct error *err)
{
    for (uint32_t i = 0; i < count; i++)
        encode_rejection(&replaying->writer, &rejection[i]);
    return write_out(replaying, KIND_REJECTIONS, err);
}

static void show_progress(struct replaying *replaying, const struct output *output)
{
    uint64_t done = 0, total = 0;
    for (int i = 0; i < OUTCOME_COUNT; i++)
        replaying->events += output->outcome[i];
    for (uint32_t i = 0; i < replaying->input_count; i++) {
        uint64_t file_done, file_size;
        file_reader_progress(replaying->reader[i], &file_done, &file_size);
        done += file_done;
        total += file_size;
    }
    progress_show(&replaying->progress, done, total, replaying->events);
}

static void encode_hits(void *context, const struct output *output, uint32_t worker, uint32_t workers)
{
    struct replaying *replaying = context;
    uint32_t from, to;
    crew_piece(output->hit_count, worker, workers, &from, &to);
    for (uint32_t i = from; i < to; i++)
        if (hit_is_kept(&output->hit[i]))
            encode_hit(&replaying->hits[worker], &output->hit[i]);
}

static bool take_results(void *context, const struct output *output, const struct rejection *decoded,
                         uint32_t decoded_count, struct error *err)
{
    struct replaying *replaying = context;
    bool ok = true;
    if (replaying->out[KIND_ALERTS].file && output->revision_count) {
        for (uint32_t i = 0; i < output->revision_count; i++)
            encode_revision(&replaying->writer, &output->revision[i]);
        ok = write_out(replaying, KIND_ALERTS, err);
    }
    for (uint32_t w = 0; ok && w < CREW_MAX; w++)
        ok = write_text(replaying, KIND_HITS, &replaying->hits[w], err);
    if (ok && replaying->out[KIND_REJECTIONS].file)
        ok = write_rejections(replaying, decoded, decoded_count, err) &&
             write_rejections(replaying, output->rejection, output->rejection_count, err);
    show_progress(replaying, output);
    return ok;
}

/* Where each accepted event stood, for whoever accounts for every message. */
static bool take_events(void *context, const struct partition_table *table, const struct event *events, uint32_t count,
                        struct error *err)
{
    struct replaying *replaying = context;
    struct json_writer *writer = &replaying->writer;
    for (uint32_t i = 0; i < count; i++) {
        const struct event *event = &events[i];
        if (event->outcome != OUTCOME_SCORED && event->outcome != OUTCOME_JOINED)
            continue;
        const struct partition *partition = table ? &table->partition[event->position.partition] : NULL;
        json_open_object(writer, NULL);
        json_number(writer, "seq", (int64_t)event->seq);
        json_text(writer, "topic", slice_of(partition ? partition->topic : replaying->line->word[event->position.partition]));
        json_number(writer, "partition", partition ? partition->number : 0);
        json_number(writer, "offset", event->position.offset);
        json_number(writer, "item", event->position.item);
        json_bool(writer, "joined", event->outcome == OUTCOME_JOINED);
        json_close_object(writer);
        json_line(writer);
    }
    return write_out(replaying, KIND_POSITIONS, err);
}

/* --- inputs --- */

static bool open_inputs(struct replaying *replaying, size_t line_max, struct error *err)
{
    for (int i = 0; i < replaying->line->word_count; i++) {
        struct file_reader *reader = file_reader_open(replaying->line->word[i], line_max, err);
        if (!reader)
            return false;
        replaying->reader[replaying->input_count] = reader;
        replaying->input[replaying->input_count++] = (struct replay_input){.self = reader, .read = file_reader_read};
    }
    return true;
}

/* --- the summary --- */

static void print_phase(const char *name, uint64_t ns, uint64_t events)
{
    printf("  %-8s %8.1f ms %7.0f ns/event\n", name, (double)ns / 1e6, (double)ns / (double)(events ? events : 1));
}

static void print_summary(const struct replay_summary *summary, bool phases)
{
    double seconds = (double)summary->wall_ns / 1e9;
    printf("events      %llu in %.3f s, %.0f/s\n", (unsigned long long)summary->messages, seconds,
           (double)summary->messages / (seconds > 0 ? seconds : 1));
    printf("scored      %llu (%llu late)\n", (unsigned long long)summary->outcome[OUTCOME_SCORED],
           (unsigned long long)summary->late);
    printf("joined      %llu\n", (unsigned long long)summary->outcome[OUTCOME_JOINED]);
    printf("repeated    %llu\n", (unsigned long long)summary->outcome[OUTCOME_REPEATED]);
    printf("rejected    %llu\n", (unsigned long long)summary->outcome[OUTCOME_REJECTED]);
    printf("hits        %llu (%llu shadow, %llu silenced)\n", (unsigned long long)summary->hits,
           (unsigned long long)summary->shadow_hits, (unsigned long long)summary->silenced);
    printf("revisions   %llu\n", (unsigned long long)summary->revisions);
    if (summary->swapped)
        printf("other rules %u windows, memories and attempts kept, %u warmed up for %llu keys, %u gone; the pause was %.0f ms\n", summary->mapping.kept,
               summary->mapping.fresh, (unsigned long long)summary->grafting.keys, summary->mapping.gone, (double)summary->swap_ns / 1e6);
    if (!phases)
        return;
    static const char *const phase[PHASE_COUNT] = {"own", "route", "visit", "decide"};
    print_phase("read", summary->read_ns, summary->messages);
    print_phase("decode", summary->decode_ns, summary->messages);
    for (int i = 0; i < PHASE_COUNT; i++)
        print_phase(phase[i], summary->step_ns[i], summary->messages);
    print_phase("results", summary->results_ns, summary->messages);
}

static void print_state(const struct state_stats *state)
{
    printf("state       %llu bytes used, %llu held\n", (unsigned long long)state->bytes_used, (unsigned long long)state->bytes_resident);
    printf("  identities %llu, %llu bytes\n", (unsigned long long)state->identities, (unsigned long long)state->identity_bytes);
    printf("  ids        %llu, %llu bytes\n", (unsigned long long)state->dedup_entries, (unsigned long long)state->dedup_bytes);
    printf("  references %llu, %llu bytes\n", (unsigned long long)state->report_entries, (unsigned long long)state->report_bytes);
    printf("  keys       %llu, %llu bytes\n", (unsigned long long)state->keys, (unsigned long long)state->key_bytes);
    printf("  records    %llu, windows %llu bytes\n", (unsigned long long)state->records, (unsigned long long)state->record_bytes);
    printf("  memories   %llu, %llu bytes\n", (unsigned long long)state->memories, (unsigned long long)state->memory_bytes);
}

/* --- the command --- */

static int replay_with(struct replaying *replaying, const struct settings *settings, const struct rule_set *set,
                       int64_t threads, int64_t batch)
{
    const struct command_line *line = replaying->line;
    struct replay_summary summary;
    struct error err = {0};
    struct log_settings log = log_settings_of(settings);
    const struct replay_settings replay = {
        .threads = (uint32_t)threads,
        .batch_max = (uint32_t)batch,
        .program = set->program,
        .step = step_settings_of(settings),
        .decode = decode_settings_of(settings, set->rates),
        .context = replaying,
        .results = take_results,
        .prepare = command_option(line, "hits") ? encode_hits : NULL,
        .events = command_option(line, "positions") ? take_events : NULL,
        .state = command_option(line, "state") != NULL,
        .swap_to = replaying->next.program,
        .swap_at = (uint64_t)replaying->swap_at,
    };
    const char *log_dir = command_option(line, "log");
    log.dir = log_dir;
    if (!open_results(replaying, &err) || (!log_dir && !open_inputs(replaying, replay.decode.message_bytes_max, &err)))
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    progress_begin(&replaying->progress, "replayed", command_option(line, "quiet") != NULL);
    bool ok = log_dir ? replay_log(&replay, &log, &summary, &err)
                      : replay_files(&replay, replaying->input, replaying->input_count, &summary, &err);
    progress_end(&replaying->progress);
    ok = close_results(replaying, &err) && ok;
    if (ok && replay.swap_to && !summary.swapped)
        ok = error_set(&err, ERROR_FATAL, "the stream has no event from which on those rules were to be at work");
    if (!ok)
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    if (!command_option(line, "quiet"))
        print_summary(&summary, command_option(line, "phases") != NULL);
    if (replay.state)
        print_state(&summary.state);
    return EXIT_FINE;
}

/* The rules to go over to. */
static int load_next(struct replaying *replaying)
{
    const struct command_line *line = replaying->line;
    const char *dir = command_option(line, "swap-to");
    bool at = command_option(line, "swap-at") != NULL;
    if (!command_number(line, "swap-at", 1, INT64_MAX, 0, &replaying->swap_at))
        return EXIT_USAGE;
    if (at != (dir != NULL) && (at || !command_option(line, "log")))
        return command_fail(line, EXIT_USAGE, "--swap-at N and --swap-to DIR go together; a log says itself where");
    return dir ? rule_set_load(line, dir, NULL, EXIT_USAGE, &replaying->next) : EXIT_FINE;
}

int cmd_replay(const struct command_line *line)
{
    struct settings settings;
    struct rule_set set = {0};
    struct error err = {0};
    int64_t threads = 0, batch = 0;
    int code = EXIT_USAGE;
    struct replaying *replaying = calloc(1, sizeof *replaying);
    invariant(replaying);
    replaying->line = line;
    json_writer_init(&replaying->writer);
    if (command_settings(line, &settings) && command_number(line, "threads", 1, 64, settings.threads, &threads) &&
        command_number(line, "batch", 1, 1 << 20, settings.batch_max, &batch)) {
        const char *rules = command_option(line, "rules"), *rates = command_option(line, "rates");
        if ((line->word_count == 0) == (command_option(line, "log") == NULL))
            code = command_fail(line, EXIT_USAGE, "name either files or --log DIR");
        else
            code = rule_set_load(line, rules ? rules : settings.rules_dir, rates ? rates : settings.rates_file, EXIT_USAGE, &set);
        if (code == EXIT_FINE)
            code = load_next(replaying);
        if (code == EXIT_FINE && !(rule_set_fits(&settings, set.program, &err) &&
                                   (!replaying->next.program || rule_set_fits(&settings, replaying->next.program, &err))))
            code = command_fail(line, EXIT_USAGE, "%s", err.text);
        if (code == EXIT_FINE)
            code = replay_with(replaying, &settings, &set, threads, batch);
    }
    for (uint32_t i = 0; i < replaying->input_count; i++)
        file_reader_close(replaying->reader[i]);
    json_writer_fini(&replaying->writer);
    for (uint32_t w = 0; w < CREW_MAX; w++)
        json_writer_fini(&replaying->hits[w]);
    rule_set_fini(&replaying->next);
    free(replaying);
    rule_set_fini(&set);
    settings_fini(&settings);
    return code;
}
