/* Decoding in parallel, merging, numbering. */
#include "engine/stream/intake.h"

#include "engine/base/fail_point.h"
#include "engine/base/invariant.h"
#include "engine/base/planted.h"
#include "engine/stream/fact.h"
#include "engine/stream/step.h"
#include "rules/lang/text.h"

#include <stdlib.h>
#include <time.h>

struct intake_worker {
    struct decoder *decoder;
    struct text_scratch *scratch;
    struct rejection *rejection; /* of this worker's piece */
    uint32_t rejection_count, rejection_room;
};

struct intake {
    struct intake_settings settings;
    struct intake_worker *worker;
    uint32_t worker_count;
    struct event *decoded;   /* in message order */
    uint8_t *reason;
    uint32_t *sequence;      /* message index by place in the sequence */
    uint32_t room;
    uint64_t decode_ns, order_ns;

    /* the block at work */
    struct block *block;
    struct event *event;
    uint8_t *event_reason;
    uint64_t first_seq;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* statistics only: no decision reads it */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *grow(void *old, size_t size)
{
    void *at = realloc(old, size);
    invariant(at);
    return at;
}

/* --- blocks --- */

struct block *block_new(uint32_t room, uint32_t workers, uint32_t partitions)
{
    struct block *block = calloc(1, sizeof *block);
    invariant(block && workers > 0);
    block->workers = workers;
    block->partitions = partitions;
    block->texts = calloc(workers, sizeof *block->texts);
    block->range = calloc(partitions + 1, sizeof *block->range);
    block->gap = calloc(partitions + 1, sizeof *block->gap);
    invariant(block->texts && block->range && block->gap);
    arena_init(&block->bodies);
    arena_init(&block->results);
    for (uint32_t w = 0; w < workers; w++)
        arena_init(&block->texts[w]);
    block_reserve(block, room);
    return block;
}

void block_free(struct block *block)
{
    if (!block)
        return;
    arena_fini(&block->bodies);
    arena_fini(&block->results);
    for (uint32_t w = 0; w < block->workers; w++)
        arena_fini(&block->texts[w]);
    free(block->texts);
    free(block->range);
    free(block->gap);
    free(block->message);
    free(block->event);
    free(block->rejection);
    free(block);
}

void block_clear(struct block *block)
{
    arena_reset(&block->bodies);
    arena_reset(&block->results);
    for (uint32_t w = 0; w < block->workers; w++)
        arena_reset(&block->texts[w]);
    block->message_count = block->event_count = block->rejection_count = block->arrival_count = 0;
    block->has_aside = block->tells_rules = false;
    block->watch = NULL;
    block->journal = (struct journal_block){0};
    block->output = (struct output){0};
}

void block_reserve(struct block *block, uint32_t count)
{
    if (count <= block->room)
        return;
    block->message = grow(block->message, count * sizeof *block->message);
    block->event = grow(block->event, count * sizeof *block->event);
    block->rejection = grow(block->rejection, count * sizeof *block->rejection);
    block->room = count;
}

/* --- intake --- */

struct intake *intake_new(const struct intake_settings *settings, struct error *err)
{
    struct intake *intake = calloc(1, sizeof *intake);
    invariant(intake);
    intake->settings = *settings;
    intake->worker_count = crew_count(settings->crew);
    intake->worker = calloc(intake->worker_count, sizeof *intake->worker);
    invariant(intake->worker);
    for (uint32_t w = 0; w < intake->worker_count; w++) {
        intake->worker[w].decoder = decoder_new(&settings->decode);
        intake->worker[w].scratch = text_scratch_new();
        if (!intake->worker[w].decoder || !intake->worker[w].scratch) {
            intake_free(intake);
            error_set(err, ERROR_FATAL, "no memory for a decoder");
            return NULL;
        }
    }
    return intake;
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    for (uint32_t w = 0; w < intake->worker_count; w++) {
        if (intake->worker[w].decoder)
            decoder_free(intake->worker[w].decoder);
        if (intake->worker[w].scratch)
            text_scratch_free(intake->worker[w].scratch);
        free(intake->worker[w].rejection);
    }
    free(intake->worker);
    free(intake->decoded);
    free(intake->reason);
    free(intake->sequence);
    free(intake);
}

/* --- decode --- */

static void reject(struct intake_worker *worker, const struct message *message, enum reject_reason reason,
                   struct slice field, struct slice id)
{
    if (worker->rejection_count == worker->rejection_room) {
        worker->rejection_room = worker->rejection_room ? worker->rejection_room * 2 : 64;
        worker->rejection = grow(worker->rejection, worker->rejection_room * sizeof *worker->rejection);
    }
    worker->rejection[worker->rejection_count++] = (struct rejection){
        .position = message->position,
        .reason = reason,
        .field = field,
        .body = message_raw(message),
        .source = message->source,
        .id = id,
        .arrived_ms = message->broker_ms,
    };
}

static bool set_aside(const struct block *block, const struct position *position)
{
    for (uint32_t r = 0; block->has_aside && r < block->journal.range_count; r++)
        if (block->range[r].partition == position->partition)
            return journal_range_aside(&block->range[r], position->offset);
    return false;
}

static enum reject_reason decode_one(struct intake *intake, struct intake_worker *worker, const struct message *message,
                                     struct arena *arena, struct event *event, struct slice *field)
{
    const struct record_watch *watch = intake->block->watch;
    if (set_aside(intake->block, &message->position)) {
        event->id = (struct slice){0};
        return REJECT_POISON;
    }
    if (watch)
        watch->at(watch->self, &message->position);
    fail_point_record(FAIL_RECORD_DECODE, message->body);
    enum reject_reason reason = message_decode(worker->decoder, message, arena, event, field);
    if (reason == REJECT_NONE && event->fact)
        fact_bind(intake->settings.program, decoder_entity_hash, worker->decoder, event);
    if (reason == REJECT_NONE)
        step_match_texts(intake->settings.program, worker->scratch, event);
    return reason;
}

static void decode_work(void *context, uint32_t index, uint32_t workers)
{
    struct intake *intake = context;
    struct intake_worker *worker = &intake->worker[index];
    struct block *block = intake->block;
    uint32_t from, to;
    crew_piece(block->message_count, index, workers, &from, &to);
    worker->rejection_count = 0;
    for (uint32_t i = from; i < to; i++) {
        struct event *event = &intake->event[i];
        struct slice field = {0};
        if (block->message[i].mark) {
            intake->event_reason[i] = INTAKE_MARK;
            continue;
        }
        enum reject_reason reason = decode_one(intake, worker, &block->message[i], &block->texts[index], event, &field);
        intake->event_reason[i] = (uint8_t)reason;
        if (reason != REJECT_NONE)
            reject(worker, &block->message[i], reason, field, event->id);
    }
    if (block->watch)
        block->watch->at(block->watch->self, NULL);
}

void intake_decode(struct intake *intake, struct block *block, struct event *event, uint8_t *reason)
{
    uint64_t since = now_ns();
    bool alone = block->message_count < intake->settings.inline_below || block->watch;
    uint32_t workers = alone ? 1 : intake->worker_count;
    intake->block = block;
    intake->event = event;
    intake->event_reason = reason;
    crew_run(intake->settings.crew, alone, decode_work, intake);
    block->rejection_count = 0;
    for (uint32_t w = 0; w < workers; w++) {
        const struct intake_worker *worker = &intake->worker[w];
        for (uint32_t i = 0; i < worker->rejection_count; i++)
            block->rejection[block->rejection_count++] = worker->rejection[i];
    }
    intake->decode_ns += now_ns() - since;
}

/* --- order --- */

static void gather_work(void *context, uint32_t index, uint32_t workers)
{
    struct intake *intake = context;
    uint32_t from, to;
    crew_piece(intake->block->event_count, index, workers, &from, &to);
    for (uint32_t i = from; i < to; i++) {
        struct event *event = &intake->block->event[i];
        *event = intake->decoded[intake->sequence[i]];
        event->seq = intake->first_seq + i;
    }
}

/* Per partition from where it stood to behind the last message. */
void intake_range(struct block *block, int64_t *position)
{
    uint32_t count = 0;
    for (uint32_t p = 0; p < block->partitions; p++)
        block->range[p] = (struct journal_range){.partition = p, .first = position[p], .next = position[p]};
    memset(block->gap, 0, block->partitions * sizeof *block->gap);
    for (uint32_t i = 0; i < block->message_count; i++) {
        const struct position *at = &block->message[i].position;
        struct journal_range *range = &block->range[at->partition];
        /* items of one message share its offset */
        invariant(at->offset >= range->next || (at->item > 0 && at->offset == range->next - 1));
        if (range->first < 0)
            range->first = range->next = at->offset;
        bool held = block->message[i].mark != MARK_GAP;
        if (at->offset >= range->next)
            block->gap[at->partition] += (uint32_t)(at->offset + !held - range->next);
        range->next = at->offset + 1;
    }
    for (uint32_t p = 0; p < block->partitions; p++) {
        if (block->range[p].next == position[p])
            continue;
        position[p] = block->range[p].next;
        block->range[count++] = block->range[p];
    }
    block->journal.range = block->range;
    block->journal.range_count = count;
}

void intake_sequence(struct intake *intake, struct block *block, struct order *order, uint64_t first_seq)
{
    if (block->message_count > intake->room) {
        intake->room = block->room;
        intake->decoded = grow(intake->decoded, intake->room * sizeof *intake->decoded);
        intake->reason = grow(intake->reason, intake->room);
        intake->sequence = grow(intake->sequence, intake->room * sizeof *intake->sequence);
    }
    intake_decode(intake, block, intake->decoded, intake->reason);
    uint64_t since = now_ns();
    block->mark_count = 0;
    for (uint32_t i = 0; i < block->message_count; i++)
        if (intake->reason[i] == INTAKE_MARK)
            block->mark_count++;
        else if (intake->reason[i] == REJECT_NONE && !planted_drop(block->message[i].position.offset))
            order_push(order, block->message[i].position.partition, intake->decoded[i].time_ms, i);
    block->event_count = 0;
    while (order_next(order, &intake->sequence[block->event_count]))
        if (++block->event_count == block->message_count)
            break;
    intake->first_seq = first_seq;
    crew_run(intake->settings.crew, block->message_count < intake->settings.inline_below, gather_work, intake);
    block->journal.first_seq = first_seq;
    block->journal.last_seq = first_seq + block->event_count - 1;
    intake->order_ns += now_ns() - since;
}

void intake_phase_ns(struct intake *intake, uint64_t *decode_ns, uint64_t *order_ns)
{
    *decode_ns = intake->decode_ns;
    *order_ns = intake->order_ns;
    intake->decode_ns = intake->order_ns = 0;
}
