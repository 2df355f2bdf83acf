/* From a question to bytes: a sample is taken, stretched, and put through the models of size. */
#include "engine/cli/sizing.h"

#include "bench/gen.h"
#include "connectors/file/reader.h"
#include "engine/base/invariant.h"
#include "engine/cli/rule_set.h"
#include "engine/stream/cost.h"
#include "rules/lang/limit.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    GENERATED_EVENTS = 300000,
    GENERATED_ACCOUNTS = 20000,   /* at least, so that who deals with whom is not decided by their being few */
    GENERATED_FIXED = 1620,       /* shops and utilities of the generator, however many accounts there are */
    GENERATED_DAYS = 366,
    SAMPLE_MESSAGES = 3000000,
    DAYS_LEAST = 30,
    RUN_BYTES = 14 << 20,         /* librdkafka, libpq and the HTTP server with their threads: ASSUMED, not measured apart */
};

/* --- a generated stream, read from memory --- */

struct lines {
    const char *from, *at, *end;
    int64_t line;
    struct progress *progress;
};

static bool lines_read(void *self, struct arena *arena, struct message *messages, uint32_t max, uint32_t *count, struct error *err)
{
    struct lines *lines = self;
    (void)arena;
    (void)err;
    for (*count = 0; *count < max && lines->at < lines->end; ++*count) {
        const char *stop = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
        stop = stop ? stop : lines->end;
        messages[*count] = (struct message){.body = {lines->at, (size_t)(stop - lines->at)},
                                            .position = {.offset = ++lines->line},
                                            .broker_ms = MISSING_I64};
        lines->at = stop + 1;
    }
    if (lines->progress)
        progress_show(lines->progress, (uint64_t)(lines->at - lines->from), (uint64_t)(lines->end - lines->from), (uint64_t)lines->line);
    return true;
}

/* --- a recorded one --- */

struct recorded {
    struct file_reader *reader;
    uint64_t count;
    struct progress *progress;
};

static bool recorded_read(void *self, struct arena *arena, struct message *messages, uint32_t max, uint32_t *count, struct error *err)
{
    struct recorded *recorded = self;
    uint64_t done, size;
    bool ok = file_reader_read(recorded->reader, arena, messages, max, count, err);
    file_reader_progress(recorded->reader, &done, &size);
    recorded->count += ok ? *count : 0;
    if (recorded->progress)
        progress_show(recorded->progress, done, size, recorded->count);
    return ok;
}

static bool generate(struct sizing *sizing, char **text, size_t *size, struct error *err)
{
    const struct sizing_question *question = &sizing->question;
    struct gen_summary summary;
    int64_t days = question->days < GENERATED_DAYS ? question->days : GENERATED_DAYS;
    double events = question->rate * (double)days * 86400, each = events / question->accounts;
    double accounts = fmin(question->accounts, fmax(GENERATED_ACCOUNTS, GENERATED_EVENTS / each));
    events = fmax(1000, fmin(GENERATED_EVENTS, each * accounts));
    double ordinary = fmax((accounts - GENERATED_FIXED) / 1.02, accounts / 2);
    const struct gen_settings settings = {.events = (uint64_t)events,
                                          .accounts = (uint32_t)fmax(10, ordinary),
                                          .seed = 1,
                                          .sources = 3,
                                          .days = (uint32_t)days,
                                          .start_ms = (int64_t)civil_day(2026, 1, 5) * MS_PER_DAY,
                                          .currency = currency_name(sizing->program->base),
                                          .repeat_ppm = 1000};
    FILE *out = open_memstream(text, size), *labels = fopen("/dev/null", "w");
    bool ok = out && labels && gen_write(&settings, out, labels, &summary, err);
    if (!out || !labels)
        error_errno(err, ERROR_FATAL, "no memory for a generated sample");
    if (out)
        (void)fclose(out);
    if (labels)
        (void)fclose(labels);
    sizing->generated = settings.accounts;
    return ok;
}

/* --- sampling --- */

static bool take(struct sizing *sizing, struct sample_settings *settings, struct error *err)
{
    char *text = NULL;
    size_t size = 0;
    bool ok;
    struct progress *progress = sizing->question.progress;
    if (sizing->question.sample) {
        struct recorded recorded = {file_reader_open(sizing->question.sample, settings->decode.message_bytes_max, err), 0, progress};
        settings->input = &(struct replay_input){.self = &recorded, .read = recorded_read};
        ok = recorded.reader && sample_take(settings, &sizing->arena, &sizing->sample, err);
        if (recorded.reader)
            file_reader_close(recorded.reader);
        return ok;
    }
    ok = generate(sizing, &text, &size, err);
    struct lines lines = {.from = text, .at = text, .end = text + size, .progress = progress};
    settings->input = &(struct replay_input){.self = &lines, .read = lines_read};
    ok = ok && sample_take(settings, &sizing->arena, &sizing->sample, err);
    free(text);
    return ok;
}

/* Pages of this program that lie in memory: its base, before anything is done. */
static double resident_bytes(void)
{
    long long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file) {
        if (fscanf(file, "%lld %lld", &all, &resident) != 2)
            resident = 0;
        (void)fclose(file);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static int64_t days_needed(const struct program *program, const struct settings *settings)
{
    int64_t days = (program->widest_ms + settings->lateness_h * 3600 * 1000 + MS_PER_DAY - 1) / MS_PER_DAY;
    return days < DAYS_LEAST ? DAYS_LEAST : days;
}

bool sizing_make(const struct settings *settings, const struct program *program, const struct rates *rates,
                 const struct sizing_question *question, struct sizing *out, struct error *err)
{
    *out = (struct sizing){.question = *question, .program = program, .base_bytes = resident_bytes(), .run_bytes = RUN_BYTES};
    arena_init(&out->arena);
    if (!out->question.days)
        out->question.days = days_needed(program, settings);
    int64_t together_ms = settings->log_wait_ms > settings->batch_wait_ms ? settings->log_wait_ms : settings->batch_wait_ms;
    struct sample_settings sample = {.program = program,
                                     .step = step_settings_of(settings),
                                     .decode = decode_settings_of(settings, rates),
                                     .messages_max = SAMPLE_MESSAGES,
                                     .log_together = (uint32_t)fmin(SAMPLE_MESSAGES, 1 + question->rate * (double)together_ms / 1000)};
    if (!take(out, &sample, err))
        return false;
    int64_t duration_ms = out->question.days * MS_PER_DAY;
    out->stretch = sample_stretch(&out->sample, question->accounts, question->rate / 1000, duration_ms);
    size_state(&out->sample.load, duration_ms, &out->arena, &out->state);
    out->cost = rule_costs(out->sample.plan, &out->arena);
    struct footprint_settings footprint = {.threads = (uint32_t)settings->threads,
                                           .batch_max = (uint32_t)settings->batch_max,
                                           .batch_wait_ms = (uint32_t)settings->batch_wait_ms,
                                           .queue_blocks_max = (uint32_t)settings->queue_blocks_max,
                                           .fetch_bytes_max = (size_t)settings->kafka_fetch_mb << 20,
                                           .log = settings->log_enabled,
                                           .checkpoints = true};
    footprint_run(&footprint, &out->sample, out->state.held, &out->full);
    footprint_replay(&footprint, &out->sample, &out->replay);
    footprint.rate = question->rate;
    footprint_run(&footprint, &out->sample, out->state.held, &out->even);
    return true;
}

void sizing_fini(struct sizing *sizing)
{
    sample_fini(&sizing->sample);
    arena_fini(&sizing->arena);
}

double sizing_even(const struct sizing *sizing)
{
    return sizing->base_bytes + sizing->run_bytes + sizing->state.held + footprint_sum(&sizing->even);
}

double sizing_full(const struct sizing *sizing)
{
    return sizing->base_bytes + sizing->run_bytes + sizing->state.held + footprint_sum(&sizing->full);
}

double sizing_replay(const struct sizing *sizing)
{
    return sizing->base_bytes + sizing->state.held + footprint_sum(&sizing->replay);
}

/* --- by rule --- */

static uint32_t readers_of_stream(const struct program *program, uint16_t stream)
{
    uint32_t readers = 0;
    for (uint16_t r = 0; r < program->rule_count; r++)
        readers += rule_reads_stream(program, &program->rule[r], stream);
    return readers;
}

static uint32_t readers_of_memory(const struct program *program, uint16_t memory)
{
    uint32_t readers = 0;
    for (uint16_t r = 0; r < program->rule_count; r++) {
        uint16_t own[LIMIT_MEMORIES], count = rule_memories(program, &program->rule[r], own);
        for (uint16_t i = 0; i < count; i++)
            readers += own[i] == memory;
    }
    return readers;
}

static uint32_t rules_of_keyspace(const struct program *program, uint16_t keyspace)
{
    uint32_t rules = 0;
    for (uint16_t r = 0; r < program->rule_count; r++)
        rules += program->rule[r].keyspace == keyspace;
    return rules;
}

static uint32_t streams_of_keyspace(const struct program *program, uint16_t keyspace)
{
    uint32_t streams = 0;
    for (uint16_t i = 0; i < program->stream_count; i++)
        streams += program->stream[i].keyspace == keyspace;
    return streams;
}

void sizing_rule(const struct sizing *sizing, uint16_t index, struct rule_size *out)
{
    const struct program *program = sizing->program;
    const struct rule *rule = &program->rule[index];
    uint16_t stream[LIMIT_STREAMS], memory[LIMIT_MEMORIES];
    uint16_t streams = rule_streams(program, rule, stream), memories = rule_memories(program, rule, memory);
    const struct size_keyspace_part *own = &sizing->state.keyspace[rule->keyspace];
    *out = (struct rule_size){.bytes = own->key.bytes / rules_of_keyspace(program, rule->keyspace)};
    for (uint16_t i = 0; i < streams; i++) {
        const struct stream *def = &program->stream[stream[i]];
        const struct size_keyspace_part *of = &sizing->state.keyspace[def->keyspace];
        const struct size_window_part *window = &of->window[sizing->sample.plan->stream[stream[i]].window];
        double readers = readers_of_stream(program, stream[i]);
        out->bytes += (window->window.bytes + window->record.bytes + window->id.bytes + window->day.bytes + window->habit.bytes) / readers;
        out->habit_bytes += window->habit.bytes / readers;
        if (def->legs) /* no rule is kept for their keys: who searches them bears those too */
            out->bytes += of->key.bytes / streams_of_keyspace(program, def->keyspace) / readers;
    }
    for (uint16_t i = 0; i < memories; i++) {
        const struct memory *def = &program->memory[memory[i]];
        const struct size_keyspace_part *keyspace = &sizing->state.keyspace[def->keyspace];
        double bytes = keyspace->memory[sizing->sample.plan->memory[memory[i]].memory].bytes + (def->seen ? keyspace->key.bytes : 0);
        bytes /= readers_of_memory(program, memory[i]);
        out->bytes += bytes;
        out->seen_bytes += def->seen ? bytes : 0;
    }
}

void bytes_text(double bytes, char text[BYTES_TEXT_MAX])
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int u = 0;
    while (bytes >= 1000 && u < 5) {
        bytes /= 1024;
        u++;
    }
    (void)snprintf(text, BYTES_TEXT_MAX, u == 0 ? "%.0f %s" : "%.1f %s", bytes, unit[u]);
}
