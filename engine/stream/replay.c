/* Pages of decoded lines, merged into batches. */
#include "engine/stream/replay.h"

#include "engine/base/invariant.h"
#include "engine/stream/log_feed.h"
#include "rules/lang/text.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE_LINES = 4096, PAGE_MAX = 65536, PREPARE_ALONE = 8 /* fewer hits are not worth waking anybody */ };

/* A page is a piece of one file, decoded; it lives until the batch that takes its last event has run. */
struct page {
    struct block *block;
    uint8_t *reason;
    uint32_t waiting; /* accepted events that no batch has taken yet */
    bool spare;
};

/* A lane at work. */
struct lane {
    struct replay_lane *at;
    struct step *step;
    struct arena results;
    bool rematch; /* its texts are not those that decode matched */
};

struct replay {
    const struct replay_settings *settings;
    struct replay_summary *summary;
    struct crew *crew;
    struct step *step;
    struct step_watch watch;
    struct intake *intake;
    struct order *order;
    struct arena results;
    struct lane lane[REPLAY_LANE_MAX];
    struct event *lane_event;            /* a lane's own copy of the batch */
    struct text_scratch **scratch;       /* per worker, when a lane matches texts again */
    struct lane warm;                    /* the rules to go over to, until then; no step: there are none */
    struct replay_lane warm_at;
    uint64_t swap_at;
    uint64_t seq;
    const struct partition_table *table; /* of a log; NULL for files */

    const struct replay_input *input;
    uint32_t input_count;
    bool *ended;              /* per input */
    struct page *page;
    uint32_t page_count;

    uint32_t *tag;            /* of the batch: page << 12 | line */
    uint32_t tag_count;
    struct event *event;      /* the batch, gathered */
};

_Static_assert(PAGE_LINES == 1 << 12, "tags keep 12 bits for the line");

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool goes_on(struct replay *replay)
{
    const struct replay_settings *settings = replay->settings;
    if (!replay->summary->stopped && settings->stop && settings->stop(settings->context))
        replay->summary->stopped = true;
    return !replay->summary->stopped;
}

/* --- batches --- */

struct preparing {
    const struct replay_settings *settings;
    const struct output *output;
};

static void prepare_work(void *context, uint32_t worker, uint32_t workers)
{
    const struct preparing *preparing = context;
    preparing->settings->prepare(preparing->settings->context, preparing->output, worker, workers);
}

static bool give_results(struct replay *replay, const struct output *output, const struct block *decoded,
                         struct error *err)
{
    uint64_t since = now_ns();
    struct replay_summary *summary = replay->summary;
    uint64_t decoded_count = decoded ? decoded->rejection_count : 0;
    for (int i = 0; i < OUTCOME_COUNT; i++)
        summary->outcome[i] += output->outcome[i];
    for (uint32_t i = 0; i < output->hit_count; i++)
        summary->shadow_hits += output->hit[i].shadow;
    summary->outcome[OUTCOME_REJECTED] += decoded_count;
    summary->late += output->late;
    summary->hits += output->hit_count;
    summary->revisions += output->revision_count;
    struct preparing preparing = {replay->settings, output};
    if (replay->settings->prepare && output->hit_count)
        crew_run(replay->crew, output->hit_count < PREPARE_ALONE, prepare_work, &preparing);
    bool ok = replay->settings->results(replay->settings->context, output, decoded ? decoded->rejection : NULL,
                                        (uint32_t)decoded_count, err);
    summary->results_ns += now_ns() - since;
    return ok;
}

/* --- lanes --- */

bool replay_shares(const struct program *a, const struct program *b)
{
    uint16_t most = a->memory_count > b->memory_count ? a->memory_count : b->memory_count;
    if (a->base != b->base)
        return false;
    for (uint16_t m = 0; m < most; m++) {
        const struct memory *x = m < a->memory_count ? &a->memory[m] : NULL, *y = m < b->memory_count ? &b->memory[m] : NULL;
        bool bound = x && x->fact && !x->file, too = y && y->fact && !y->file;
        if (!bound && !too)
            continue;
        if (bound != too || !slice_equal(x->name, y->name) || x->keep_count != y->keep_count ||
            a->keyspace[x->keyspace].form != b->keyspace[y->keyspace].form)
            return false;
        for (uint8_t k = 0; k < x->keep_count; k++)
            if (!slice_equal(x->keep_name[k], y->keep_name[k]) || x->keep_type[k] != y->keep_type[k])
                return false;
    }
    return true;
}

static bool texts_differ(const struct program *a, const struct program *b)
{
    return a->text_count != b->text_count ||
           (a->text_count && memcmp(a->text_hash, b->text_hash, a->text_count * sizeof *a->text_hash) != 0);
}

struct lane_batch {
    struct replay *replay;
    const struct lane *lane;
    const struct event *event;
    uint32_t count;
};

static void lane_work(void *context, uint32_t index, uint32_t workers)
{
    const struct lane_batch *batch = context;
    struct replay *replay = batch->replay;
    uint32_t from, to;
    crew_piece(batch->count, index, workers, &from, &to);
    for (uint32_t i = from; i < to; i++) {
        replay->lane_event[i] = batch->event[i];
        if (batch->lane->rematch)
            step_match_texts(batch->lane->at->program, replay->scratch[index], &replay->lane_event[i]);
    }
}

/* The step writes into its events, so each lane has a copy of them as they were decoded. */
static bool run_lanes(struct replay *replay, const struct event *events, uint32_t count, struct error *err)
{
    for (uint32_t i = 0; i < replay->settings->lane_count; i++) {
        struct lane *lane = &replay->lane[i];
        struct output output;
        struct lane_batch batch = {replay, lane, events, count};
        uint64_t since = now_ns();
        arena_reset(&lane->results);
        crew_run(replay->crew, count < replay->settings->step.inline_below, lane_work, &batch);
        step_run(lane->step, replay->lane_event, count, &lane->results, &output);
        lane->at->step_ns += now_ns() - since;
        if (!lane->at->results(lane->at->context, &output, err))
            return false;
    }
    return true;
}

static bool open_warm(struct replay *replay, const struct step_settings *step, const unsigned char hash_key[16], struct error *err)
{
    const struct replay_settings *settings = replay->settings;
    struct step_settings muted = *step;
    invariant(settings->lane_count == 0);
    if (!replay_shares(settings->program, settings->swap_to))
        return error_set(err, ERROR_FATAL, "a replay can go over only to rules with the same base currency and the same facts from topics");
    muted.mute = true;
    replay->swap_at = settings->swap_at;
    replay->warm_at.program = settings->swap_to;
    replay->warm.at = &replay->warm_at;
    replay->warm.rematch = texts_differ(settings->program, settings->swap_to);
    replay->warm.step = step_new(settings->swap_to, &muted, replay->crew, hash_key, err);
    return replay->warm.step != NULL;
}

static bool open_lanes(struct replay *replay, const struct step_settings *step, const unsigned char hash_key[16], struct error *err)
{
    const struct replay_settings *settings = replay->settings;
    bool rematch = false;
    invariant(settings->lane_count <= REPLAY_LANE_MAX);
    for (uint32_t i = 0; i < settings->lane_count; i++) {
        struct lane *lane = &replay->lane[i];
        lane->at = &settings->lane[i];
        lane->at->step_ns = 0;
        invariant(replay_shares(settings->program, lane->at->program));
        lane->rematch = texts_differ(settings->program, lane->at->program);
        rematch |= lane->rematch;
        arena_init(&lane->results);
        lane->step = step_new(lane->at->program, step, replay->crew, hash_key, err);
        if (!lane->step)
            return false;
    }
    if (settings->lane_count || settings->swap_to) {
        replay->lane_event = calloc(settings->batch_max, sizeof *replay->lane_event);
        invariant(replay->lane_event);
    }
    if (settings->swap_to && !open_warm(replay, step, hash_key, err))
        return false;
    rematch |= replay->warm.rematch;
    replay->scratch = rematch ? calloc(settings->threads, sizeof(struct text_scratch *)) : NULL;
    for (uint32_t w = 0; rematch && w < settings->threads; w++) {
        replay->scratch[w] = text_scratch_new();
        if (!replay->scratch[w])
            return error_set(err, ERROR_FATAL, "no memory for matching texts");
    }
    return true;
}

static void close_lanes(struct replay *replay)
{
    for (uint32_t i = 0; i < replay->settings->lane_count; i++) {
        struct lane *lane = &replay->lane[i];
        if (lane->step)
            state_stats(step_state(lane->step), &lane->at->state);
        step_free(lane->step);
        if (lane->at)
            arena_fini(&lane->results);
    }
    for (uint32_t w = 0; replay->scratch && w < replay->settings->threads; w++)
        if (replay->scratch[w])
            text_scratch_free(replay->scratch[w]);
    free(replay->scratch);
    free(replay->lane_event);
    step_free(replay->warm.step);
    arena_fini(&replay->warm.results);
}

/* --- other rules from an event on --- */

static void warm_run(struct replay *replay, const struct event *events, uint32_t count)
{
    struct output output;
    struct lane_batch batch = {replay, &replay->warm, events, count};
    arena_reset(&replay->warm.results);
    crew_run(replay->crew, count < replay->settings->step.inline_below, lane_work, &batch);
    step_run(replay->warm.step, replay->lane_event, count, &replay->warm.results, &output);
}

/* After the swap events come with the texts matched that the old rules ask for. */
static void match_work(void *context, uint32_t index, uint32_t workers)
{
    const struct lane_batch *batch = context;
    uint32_t from, to;
    crew_piece(batch->count, index, workers, &from, &to);
    for (uint32_t i = from; i < to; i++)
        step_match_texts(batch->replay->settings->swap_to, batch->replay->scratch[index], (struct event *)(uintptr_t)&batch->event[i]);
}

static bool replay_swap(struct replay *replay, struct error *err)
{
    struct replay_summary *summary = replay->summary;
    uint64_t since = now_ns();
    if (!step_swap(replay->step, replay->settings->swap_to, replay->warm.step, &summary->mapping, &summary->grafting, err))
        return false;
    summary->swap_ns = now_ns() - since;
    summary->swapped = true;
    step_free(replay->warm.step);
    replay->warm.step = NULL;
    return true;
}

static bool run_piece(struct replay *replay, struct event *events, uint32_t count, struct error *err)
{
    const struct replay_settings *settings = replay->settings;
    struct output output;
    if (!run_lanes(replay, events, count, err))
        return false;
    if (replay->warm.step)
        warm_run(replay, events, count);
    if (replay->summary->swapped && replay->warm.rematch) {
        struct lane_batch batch = {replay, NULL, events, count};
        crew_run(replay->crew, count < settings->step.inline_below, match_work, &batch);
    }
    arena_reset(&replay->results);
    step_run(replay->step, events, count, &replay->results, &output);
    if (settings->events && !settings->events(settings->context, replay->table, events, count, err))
        return false;
    return give_results(replay, &output, NULL, err);
}

static bool run_batch(struct replay *replay, struct event *events, uint32_t count, struct error *err)
{
    uint32_t before = 0;
    bool due = replay->swap_at && !replay->summary->swapped;
    while (before < count && (!due || events[before].seq < replay->swap_at))
        before++;
    if (before && !run_piece(replay, events, before, err))
        return false;
    return before == count || (replay_swap(replay, err) && run_piece(replay, events + before, count - before, err));
}

/* --- pages --- */

static struct page *spare_page(struct replay *replay, uint32_t *index)
{
    for (*index = 0; *index < replay->page_count; ++*index)
        if (replay->page[*index].spare)
            break;
    if (*index == replay->page_count) {
        invariant(replay->page_count < PAGE_MAX);
        replay->page = realloc(replay->page, ++replay->page_count * sizeof *replay->page);
        invariant(replay->page);
        replay->page[*index] = (struct page){
            .block = block_new(PAGE_LINES, replay->settings->threads, replay->input_count),
            .reason = calloc(PAGE_LINES, 1),
        };
        invariant(replay->page[*index].reason);
    }
    replay->page[*index].spare = false;
    return &replay->page[*index];
}

/* Reads and decodes the next piece of a file; its line in the order grows or is closed. */
static bool fill_page(struct replay *replay, uint32_t input, struct error *err)
{
    uint32_t index;
    struct page *page = spare_page(replay, &index);
    struct block *block = page->block;
    const struct replay_input *from = &replay->input[input];
    uint64_t since = now_ns();
    block_clear(block);
    if (!from->read(from->self, &block->bodies, block->message, PAGE_LINES, &block->message_count, err))
        return false;
    replay->summary->read_ns += now_ns() - since;
    replay->summary->messages += block->message_count;
    page->waiting = 0;
    if (block->message_count == 0) {
        page->spare = true;
        replay->ended[input] = true;
        order_close(replay->order, input);
        return true;
    }
    for (uint32_t i = 0; i < block->message_count; i++)
        block->message[i].position.partition = input;
    intake_decode(replay->intake, block, block->event, page->reason);
    for (uint32_t i = 0; i < block->message_count; i++) {
        if (page->reason[i] != REJECT_NONE)
            continue;
        order_push(replay->order, input, block->event[i].time_ms, index << 12 | i);
        page->waiting++;
    }
    page->spare = page->waiting == 0;
    return block->rejection_count == 0 || give_results(replay, &(struct output){0}, block, err);
}

/* Every file whose line is empty must say what comes next. */
static bool fill_pages(struct replay *replay, bool *all_ended, struct error *err)
{
    *all_ended = true;
    for (uint32_t i = 0; i < replay->input_count; i++) {
        while (!replay->ended[i] && order_waiting(replay->order, i) == 0)
            if (!fill_page(replay, i, err))
                return false;
        *all_ended = *all_ended && replay->ended[i];
    }
    return true;
}

static void gather_work(void *context, uint32_t index, uint32_t workers)
{
    struct replay *replay = context;
    uint32_t from, to;
    crew_piece(replay->tag_count, index, workers, &from, &to);
    for (uint32_t i = from; i < to; i++) {
        replay->event[i] = replay->page[replay->tag[i] >> 12].block->event[replay->tag[i] & (PAGE_LINES - 1)];
        replay->event[i].seq = replay->seq + 1 + i;
    }
}

static bool run_tags(struct replay *replay, struct error *err)
{
    crew_run(replay->crew, replay->tag_count < replay->settings->step.inline_below, gather_work, replay);
    if (!run_batch(replay, replay->event, replay->tag_count, err))
        return false;
    for (uint32_t i = 0; i < replay->tag_count; i++) {
        struct page *page = &replay->page[replay->tag[i] >> 12];
        page->spare = --page->waiting == 0;
    }
    replay->seq += replay->tag_count;
    replay->tag_count = 0;
    return true;
}

static bool merge_files(struct replay *replay, struct error *err)
{
    bool all_ended = false;
    for (;;) {
        while (replay->tag_count < replay->settings->batch_max && order_next(replay->order, &replay->tag[replay->tag_count]))
            replay->tag_count++;
        bool full = replay->tag_count == replay->settings->batch_max;
        if ((full || all_ended) && replay->tag_count && !run_tags(replay, err))
            return false;
        if (all_ended && !full)
            return true;
        if (!goes_on(replay))
            return true;
        if (!full && !fill_pages(replay, &all_ended, err))
            return false;
    }
}

/* --- beginning and end --- */

static bool replay_open(struct replay *replay, uint32_t partitions, struct error *err)
{
    const struct replay_settings *settings = replay->settings;
    struct step_settings step = settings->step;
    struct intake_settings intake = {
        .program = settings->program,
        .decode = settings->decode,
        .inline_below = settings->step.inline_below,
    };
    step.partition_max = partitions;
    randombytes_buf(intake.decode.hash_key, sizeof intake.decode.hash_key); /* reaches no result */
    arena_init(&replay->results);
    arena_init(&replay->warm.results);
    replay->crew = crew_new(settings->threads, err);
    if (!replay->crew)
        return false;
    intake.crew = replay->crew;
    replay->step = step_new(settings->program, &step, replay->crew, intake.decode.hash_key, err);
    if (replay->step && settings->watch) {
        settings->watch(settings->context, step_state(replay->step), &replay->watch);
        step_watch(replay->step, &replay->watch);
    }
    if (replay->step)
        replay->intake = intake_new(&intake, err);
    return replay->intake && open_lanes(replay, &step, intake.decode.hash_key, err);
}

static void replay_close(struct replay *replay)
{
    if (replay->intake)
        intake_phase_ns(replay->intake, &replay->summary->decode_ns, &replay->summary->order_ns);
    if (replay->step) {
        step_phase_ns(replay->step, replay->summary->step_ns);
        replay->summary->silenced = step_silenced(replay->step);
        if (replay->settings->state)
            state_stats(step_state(replay->step), &replay->summary->state);
    }
    replay->summary->last_seq = replay->seq;
    for (uint32_t i = 0; i < replay->page_count; i++) {
        block_free(replay->page[i].block);
        free(replay->page[i].reason);
    }
    free(replay->page);
    free(replay->ended);
    free(replay->tag);
    free(replay->event);
    order_free(replay->order);
    intake_free(replay->intake);
    step_free(replay->step);
    close_lanes(replay);
    if (replay->crew)
        crew_free(replay->crew);
    arena_fini(&replay->results);
}

bool replay_files(const struct replay_settings *settings, const struct replay_input *inputs, uint32_t input_count,
                  struct replay_summary *summary, struct error *err)
{
    *summary = (struct replay_summary){0};
    struct replay replay = {.settings = settings, .summary = summary, .input = inputs, .input_count = input_count};
    uint64_t since = now_ns();
    replay.order = order_new(input_count);
    replay.ended = calloc(input_count + 1, sizeof *replay.ended);
    replay.tag = calloc(settings->batch_max, sizeof *replay.tag);
    replay.event = calloc(settings->batch_max, sizeof *replay.event);
    invariant(replay.ended && replay.tag && replay.event);
    for (uint32_t i = 0; i < input_count; i++)
        order_open(replay.order, i);
    bool ok = replay_open(&replay, input_count, err) && merge_files(&replay, err);
    summary->wall_ns = now_ns() - since;
    replay_close(&replay);
    return ok;
}

/* --- the engine's own log --- */

static bool run_log(struct replay *replay, struct log_feed *feed, struct block *block, uint64_t *seq, struct error *err)
{
    while (goes_on(replay)) {
        uint64_t since = now_ns();
        block_clear(block);
        if (!log_feed_read(feed, block, seq, replay->settings->batch_max, UINT64_MAX, err))
            return false;
        replay->summary->read_ns += now_ns() - since;
        replay->summary->messages += block->message_count;
        const unsigned char *hash = log_feed_swap(feed);
        if (block->message_count == 0 && !hash)
            return true;
        if (block->message_count && (!log_feed_decode(replay->intake, block, seq, err) || !run_batch(replay, block->event, block->event_count, err)))
            return false;
        replay->seq = block->message_count ? seq[block->message_count - 1] : replay->seq;
        const struct program *next = replay->settings->swap_to;
        if (hash && next && !replay->swap_at && memcmp(hash, next->hash, sizeof next->hash) == 0)
            replay->swap_at = replay->seq + 1;
    }
    return true;
}

bool replay_log(const struct replay_settings *settings, const struct log_settings *log, struct replay_summary *summary,
                struct error *err)
{
    *summary = (struct replay_summary){0};
    struct replay replay = {.settings = settings, .summary = summary};
    uint64_t since = now_ns();
    struct block *block = block_new(settings->batch_max, settings->threads, PARTITION_MAX);
    uint64_t *seq = calloc(settings->batch_max, sizeof *seq);
    invariant(seq);
    bool ok = replay_open(&replay, PARTITION_MAX, err);
    struct log_feed *feed = ok ? log_feed_open(log, 1, NULL, err) : NULL;
    if (feed && settings->swap_to)
        log_feed_tell_swaps(feed);
    if (feed && settings->threads > 1)
        log_feed_ahead(feed);
    replay.table = feed ? log_feed_partitions(feed) : NULL;
    ok = feed && run_log(&replay, feed, block, seq, err);
    summary->wall_ns = now_ns() - since;
    if (feed)
        log_feed_close(feed);
    replay_close(&replay);
    block_free(block);
    free(seq);
    return ok;
}
