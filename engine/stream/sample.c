/* Counts what a sample does to keys, streams and memories, and fits how unevenly. */
#include "engine/stream/sample.h"

#include "engine/base/invariant.h"
#include "engine/state/log.h"
#include "engine/stream/crew.h"
#include "engine/stream/intake.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>

enum { BATCH = 8192, TALLIES = 896, EXACT_BELOW = 64, PARTITIONS = 16, STRETCH_STEPS = 60 };

/* --- counting: how often did each key of each kind occur --- */

/* Kinds are numbered: accounts, other identities, then keyspaces, streams, memories, then a stream's columns. */
enum { KIND_ACCOUNT, KIND_OTHER, KIND_FIRST };

struct occurrence {
    uint64_t key; /* hash of the kind and the key; 0: free */
    uint32_t kind, times;
};

struct counting {
    const struct program *program;
    struct occurrence *at;
    size_t room, count;
    double text[SIZE_TEXT_MAX];
    double *judged, *recorded;
    double touched;
    uint32_t *distinct;          /* by stream: columns whose values some aggregate counts */
};

static uint32_t kind_keyspace(uint32_t keyspace)
{
    return KIND_FIRST + keyspace;
}
static uint32_t kind_stream(const struct program *program, uint32_t stream)
{
    return kind_keyspace(program->keyspace_count) + stream;
}
static uint32_t kind_memory(const struct program *program, uint32_t memory)
{
    return kind_stream(program, program->stream_count) + memory;
}
static uint32_t kind_column(const struct program *program, uint32_t stream, uint32_t column)
{
    return kind_memory(program, program->memory_count) + stream * SIZE_COLUMNS + column;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}

static uint64_t key_hash(uint32_t kind, const uint32_t *key, uint8_t width)
{
    uint64_t hash = mix(0x5bd1e995, kind);
    for (uint8_t w = 0; w < width; w++)
        hash = mix(hash, key[w]);
    return hash | 1;
}

static struct occurrence *place(struct occurrence *at, size_t room, uint64_t key)
{
    size_t i = (size_t)(key >> 3) & (room - 1);
    while (at[i].key && at[i].key != key)
        i = (i + 1) & (room - 1);
    return &at[i];
}

/* True when the key occurs for the first time. */
static bool count_key(struct counting *counting, uint32_t kind, uint64_t key)
{
    if (2 * (counting->count + 1) > counting->room) {
        size_t room = counting->room ? counting->room * 2 : 1 << 16;
        struct occurrence *fresh = calloc(room, sizeof *fresh);
        invariant(fresh);
        for (size_t i = 0; i < counting->room; i++)
            if (counting->at[i].key)
                *place(fresh, room, counting->at[i].key) = counting->at[i];
        free(counting->at);
        counting->at = fresh;
        counting->room = room;
    }
    struct occurrence *found = place(counting->at, counting->room, key);
    bool first = found->key == 0;
    counting->count += first;
    *found = (struct occurrence){key, kind, found->times + 1};
    return first;
}

static void watch_touched(void *context, uint16_t keyspace, const uint32_t *key, uint8_t width)
{
    struct counting *counting = context;
    counting->touched++;
    (void)count_key(counting, kind_keyspace(keyspace), key_hash(kind_keyspace(keyspace), key, width));
}

static int64_t column_value(const struct record *record, uint32_t column, bool key_is_receiver)
{
    switch (column) {
    case WINDOW_AMOUNT:
        return record->amount;
    case WINDOW_SENDER:
        return record->sender;
    case WINDOW_RECEIVER:
        return record->receiver;
    case WINDOW_OTHER:
        return key_is_receiver ? record->sender : record->receiver;
    default:
        return record->extra[column - WINDOW_EXTRA];
    }
}

static void watch_recorded(void *context, uint16_t stream, const uint32_t *key, uint8_t width, const struct record *record, bool key_is_receiver)
{
    struct counting *counting = context;
    uint32_t kind = kind_stream(counting->program, stream);
    counting->recorded[stream]++;
    (void)count_key(counting, kind, key_hash(kind, key, width));
    for (uint32_t left = counting->distinct[stream]; left; left &= left - 1) {
        uint32_t column = (uint32_t)__builtin_ctz(left);
        kind = kind_column(counting->program, stream, column);
        (void)count_key(counting, kind, mix(key_hash(kind, key, width), (uint64_t)column_value(record, column, key_is_receiver)) | 1);
    }
}

static void watch_remembered(void *context, uint16_t memory, const uint32_t *key, uint8_t width)
{
    struct counting *counting = context;
    uint32_t kind = kind_memory(counting->program, memory);
    (void)count_key(counting, kind, key_hash(kind, key, width));
}

static void watch_judged(void *context, uint16_t rule)
{
    ((struct counting *)context)->judged[rule]++;
}

static void count_identities(struct counting *counting, const struct event *event)
{
    for (int r = 0; r < REF_COUNT; r++) {
        if (event->ref[r] == ENTITY_MISSING)
            continue;
        uint32_t kind = ref_kind((enum event_ref)r) == ENTITY_ACCOUNT ? KIND_ACCOUNT : KIND_OTHER;
        size_t size = event_ref_text(event, (enum event_ref)r).size;
        if (count_key(counting, kind, key_hash(kind, &event->ref[r], 1)))
            counting->text[size < SIZE_TEXT_MAX ? size : SIZE_TEXT_MAX - 1]++;
    }
}

static void distinct_columns(struct counting *counting)
{
    const struct program *program = counting->program;
    for (uint16_t a = 0; a < program->aggregate_count; a++)
        if (program->aggregate[a].fn == AGGREGATE_DISTINCT)
            counting->distinct[program->aggregate[a].stream] |= 1u << program->aggregate[a].column;
}

/* --- from counts to spreads --- */

/* How many keys of one kind occurred how often; often ones are put together in thirty-seconds of an octave. */
struct tallies {
    double keys[TALLIES], times[TALLIES];
};

static uint32_t tally_index(uint32_t times)
{
    if (times < EXACT_BELOW)
        return times;
    uint32_t octave = 31 - (uint32_t)__builtin_clz(times);
    return EXACT_BELOW + (octave - 6) * 32 + (times >> (octave - 5) & 31);
}

static void fit(const struct tallies *tallies, struct arena *arena, double messages, struct spread *spread)
{
    uint32_t times[TALLIES], count = 0;
    double keys[TALLIES];
    for (uint32_t i = 0; i < TALLIES; i++) {
        if (tallies->keys[i] == 0)
            continue;
        keys[count] = tallies->keys[i];
        times[count++] = (uint32_t)lround(tallies->times[i] / tallies->keys[i]);
    }
    spread_fit(spread, arena, times, keys, count, messages);
}

/* Every spread of the load, by kind. */
static struct spread *spread_of(struct sample *out, const struct program *program, uint32_t kind, struct size_keyspace *keyspace)
{
    const struct plan *plan = out->plan;
    if (kind < KIND_FIRST)
        return kind == KIND_ACCOUNT ? &out->load.account : &out->load.other;
    if (kind < kind_stream(program, 0))
        return &keyspace[kind - KIND_FIRST].touched;
    uint32_t stream = kind - kind_stream(program, 0), column = SIZE_COLUMNS;
    if (kind >= kind_column(program, 0, 0)) {
        stream = (kind - kind_column(program, 0, 0)) / SIZE_COLUMNS;
        column = (kind - kind_column(program, 0, 0)) % SIZE_COLUMNS;
    } else if (kind >= kind_memory(program, 0)) {
        uint32_t memory = kind - kind_memory(program, 0);
        return &keyspace[program->memory[memory].keyspace].memory[plan->memory[memory].memory];
    }
    struct size_window *window = &keyspace[program->stream[stream].keyspace].window[plan->stream[stream].window];
    return column == SIZE_COLUMNS ? &window->records : &window->ids[column];
}

static struct size_keyspace *load_make(struct sample *out, struct arena *arena)
{
    const struct state_layout *layout = &out->plan->layout;
    struct size_keyspace *keyspace = ARENA_ARRAY(arena, struct size_keyspace, layout->keyspace_count + 1);
    for (uint16_t k = 0; k < layout->keyspace_count; k++) {
        keyspace[k].window = ARENA_ARRAY(arena, struct size_window, layout->keyspace[k].window_count + 1);
        keyspace[k].memory = ARENA_ARRAY(arena, struct spread, layout->keyspace[k].memory_count + 1);
    }
    out->load.layout = layout;
    out->load.keyspace = keyspace;
    return keyspace;
}

static void fit_all(const struct counting *counting, struct arena *arena, struct sample *out)
{
    const struct program *program = counting->program;
    uint32_t kinds = kind_column(program, program->stream_count, 0);
    struct tallies *tallies = calloc(kinds, sizeof *tallies);
    invariant(tallies);
    for (size_t i = 0; i < counting->room; i++) {
        const struct occurrence *at = &counting->at[i];
        if (!at->key)
            continue;
        uint32_t index = tally_index(at->times);
        tallies[at->kind].keys[index]++;
        tallies[at->kind].times[index] += at->times;
        out->accounts += at->kind == KIND_ACCOUNT;
    }
    struct size_keyspace *keyspace = load_make(out, arena);
    for (uint32_t kind = 0; kind < kinds; kind++)
        fit(&tallies[kind], arena, (double)out->messages, spread_of(out, program, kind, keyspace));
    double texts = 0;
    for (int i = 0; i < SIZE_TEXT_MAX; i++)
        texts += counting->text[i];
    for (int i = 0; i < SIZE_TEXT_MAX; i++)
        out->load.text_bytes[i] = texts > 0 ? counting->text[i] / texts : 0;
    free(tallies);
}

/* --- running it --- */

struct running {
    const struct sample_settings *settings;
    struct sample *out;
    struct counting counting;
    struct crew *crew;
    struct step *step;
    struct intake *intake;
    struct order *order;
    struct block *block;
    int64_t position;
    uint64_t seq, batches;
    int64_t first_ms, last_ms;
    double batch_bytes[4];    /* bodies, texts, results, scratch: over all batches */
    double repeats, joinable, join_ends, logged, packed_bytes;
};

static bool running_open(struct running *running, struct error *err)
{
    const struct sample_settings *settings = running->settings;
    struct step_settings step = settings->step;
    struct intake_settings intake = {.program = settings->program, .decode = settings->decode, .inline_below = UINT32_MAX};
    step.partition_max = 1;
    randombytes_buf(intake.decode.hash_key, sizeof intake.decode.hash_key);
    running->crew = crew_new(1, err);
    if (!running->crew)
        return false;
    intake.crew = running->crew;
    running->step = step_new(settings->program, &step, running->crew, intake.decode.hash_key, err);
    running->intake = running->step ? intake_new(&intake, err) : NULL;
    running->order = order_new(1);
    running->block = block_new(BATCH, 1, 1);
    return running->intake != NULL;
}

/* What the batch's events come to in the log. A sample says nothing of partitions, nor of when its messages came: it is taken to be
 * when they say. */
static void weigh_log(struct running *running)
{
    const struct block *block = running->block;
    struct log_record *record = calloc((size_t)block->event_count + 1, sizeof *record);
    invariant(record);
    for (uint32_t i = 0; i < block->event_count; i++) {
        const struct event *event = &block->event[i];
        record[i] = (struct log_record){.kind = LOG_EVENT,
                                        .seq = event->seq,
                                        .broker_ms = event->time_ms,
                                        .source = event->source,
                                        .topic = event->source,
                                        .partition = (int32_t)(event->seq * 7919 % PARTITIONS),
                                        .offset = event->position.offset,
                                        .body = event->body};
    }
    running->packed_bytes += (double)log_packed_bytes(record, block->event_count, running->settings->log_together);
    running->logged += block->event_count;
    free(record);
}

static void count_batch(struct running *running)
{
    const struct block *block = running->block;
    const struct output *output = &block->output;
    struct sample *out = running->out;
    for (uint32_t i = 0; i < block->event_count; i++) {
        const struct event *event = &block->event[i];
        running->first_ms = event->time_ms < running->first_ms ? event->time_ms : running->first_ms;
        running->last_ms = event->time_ms > running->last_ms ? event->time_ms : running->last_ms;
        bool joinable = event->outcome == OUTCOME_SCORED && (event->join_hash.lo | event->join_hash.hi) != 0;
        running->joinable += joinable;
        running->join_ends += joinable ? __builtin_popcount(event->named_refs) : 0;
        if (event->outcome == OUTCOME_SCORED || event->outcome == OUTCOME_JOINED)
            count_identities(&running->counting, event);
    }
    out->messages += block->message_count;
    out->events += block->event_count;
    out->refused += block->rejection_count + output->rejection_count;
    running->repeats += (double)(output->outcome[OUTCOME_REPEATED] + output->rejection_count);
    out->hits += output->hit_count;
    out->revisions += output->revision_count;
    out->alert_hits += output->alert_hit_count;
    size_t bodies = 0;
    for (uint32_t i = 0; i < block->message_count; i++)
        bodies += (block->message[i].body.size + 15) / 16 * 16; /* as an arena takes them */
    const size_t bytes[] = {bodies, block->texts[0].total, block->results.total, step_scratch_bytes(running->step)};
    for (int i = 0; i < 4; i++)
        running->batch_bytes[i] += (double)bytes[i];
    if (running->batches++ % 8 == 0)
        weigh_log(running);
}

static bool run_batches(struct running *running, struct error *err)
{
    const struct replay_input *input = running->settings->input;
    struct block *block = running->block;
    while (running->out->messages < running->settings->messages_max) {
        block_clear(block);
        if (!input->read(input->self, &block->bodies, block->message, BATCH, &block->message_count, err))
            return false;
        if (block->message_count == 0)
            return true;
        for (uint32_t i = 0; i < block->message_count; i++)
            block->message[i].position.partition = 0;
        intake_range(block, &running->position);
        intake_sequence(running->intake, block, running->order, running->seq + 1);
        step_run(running->step, block->event, block->event_count, &block->results, &block->output);
        running->seq = block->journal.last_seq;
        count_batch(running);
    }
    return true;
}

static void conclude(struct running *running, struct arena *arena)
{
    struct sample *out = running->out;
    double messages = (double)out->messages;
    uint64_t ns[PHASE_COUNT];
    out->span_ms = running->last_ms - running->first_ms;
    fit_all(&running->counting, arena, out);
    out->load.remembered = ((double)out->events - running->repeats) / messages;
    out->load.joinable = running->joinable / messages;
    out->load.join_ends = running->joinable > 0 ? running->join_ends / running->joinable : 0;
    out->load.score_bytes = (double)step_decide_bytes(running->step) / messages;
    out->load.sweep_events = EPOCH_SEQ;
    out->load.dedup_ms = running->settings->step.dedup_ms;
    for (uint16_t r = 0; r < running->settings->program->rule_count; r++)
        out->judged[r] /= messages;
    for (uint16_t s = 0; s < running->settings->program->stream_count; s++)
        out->recorded[s] /= messages;
    out->touched = running->counting.touched / messages;
    out->hits /= messages;
    out->revisions /= messages;
    out->alert_hits /= messages;
    double *const bytes[] = {&out->body_bytes, &out->text_bytes, &out->result_bytes, &out->scratch_bytes};
    for (int i = 0; i < 4; i++)
        *bytes[i] = running->batch_bytes[i] / messages;
    out->log_bytes = running->logged > 0 ? running->packed_bytes / running->logged : 0;
    step_phase_ns(running->step, ns);
    for (int p = 0; p < PHASE_COUNT; p++)
        out->step_ns += (double)ns[p] / messages;
}

static void running_close(struct running *running)
{
    block_free(running->block);
    order_free(running->order);
    intake_free(running->intake);
    step_free(running->step);
    if (running->crew)
        crew_free(running->crew);
    free(running->counting.at);
}

bool sample_take(const struct sample_settings *settings, struct arena *arena, struct sample *out, struct error *err)
{
    const struct program *program = settings->program;
    *out = (struct sample){.plan = plan_new(program, &(struct plan_settings){.lateness_ms = settings->step.lateness_ms,
                                                                           .shard_bytes_max = settings->step.shard_bytes_max})};
    out->judged = ARENA_ARRAY(arena, double, program->rule_count + 1);
    out->recorded = ARENA_ARRAY(arena, double, program->stream_count + 1);
    struct running running = {.settings = settings, .out = out, .position = -1, .first_ms = INT64_MAX, .last_ms = INT64_MIN};
    running.counting = (struct counting){.program = program, .judged = out->judged, .recorded = out->recorded,
                                         .distinct = ARENA_ARRAY(arena, uint32_t, program->stream_count + 1)};
    distinct_columns(&running.counting);
    const struct step_watch watch = {.context = &running.counting, .touched = watch_touched, .recorded = watch_recorded,
                                     .remembered = watch_remembered, .judged = watch_judged};
    bool ok = running_open(&running, err);
    if (ok) {
        step_watch(running.step, &watch);
        ok = run_batches(&running, err);
    }
    if (ok && (out->events == 0 || running.last_ms <= running.first_ms))
        ok = error_set(err, ERROR_FATAL, "the sample has no two events at different times that are accepted");
    if (ok)
        conclude(&running, arena);
    running_close(&running);
    return ok;
}

void sample_fini(struct sample *sample)
{
    plan_free(sample->plan);
}

/* --- another size --- */

static void scale_all(struct sample *sample, double by)
{
    const struct state_layout *layout = &sample->plan->layout;
    spread_scale(&sample->load.account, by);
    spread_scale(&sample->load.other, by);
    for (uint16_t k = 0; k < layout->keyspace_count; k++) {
        struct size_keyspace *keyspace = &sample->load.keyspace[k];
        spread_scale(&keyspace->touched, by);
        for (uint16_t w = 0; w < layout->keyspace[k].window_count; w++) {
            struct size_window *window = &keyspace->window[w];
            spread_scale(&window->records, by);
            for (int c = 0; c < SIZE_COLUMNS; c++)
                spread_scale(&window->ids[c], by);
        }
        for (uint16_t m = 0; m < layout->keyspace[k].memory_count; m++)
            spread_scale(&keyspace->memory[m], by);
    }
}

/* Accounts named among so many events when there are `by` times the sample's. */
static double named(const struct sample *sample, double events, double by)
{
    return by * spread_seen(&sample->load.account, events / by);
}

double sample_stretch(struct sample *sample, double accounts, double events_per_ms, int64_t duration_ms)
{
    double events = events_per_ms * (double)duration_ms, least = 1e-9, most = 1e9;
    sample->load.events_per_ms = events_per_ms;
    if (named(sample, events, most) < accounts)
        return 0;
    for (int i = 0; i < STRETCH_STEPS; i++) {
        double middle = sqrt(least * most);
        *(named(sample, events, middle) < accounts ? &least : &most) = middle;
    }
    scale_all(sample, most);
    return most;
}
