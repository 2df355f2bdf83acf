/* Pages of decoded lines, merged into batches. */
#include "engine/stream/replay.h"

#include "engine/base/invariant.h"
#include "engine/stream/log_feed.h"
#include "rules/lang/text.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE_LINES = 4096, PAGE_MAX = 65536 };

/* A page is a piece of one file, decoded; it lives until the batch that takes its last event has run. */
struct page {
    struct block *block;
    uint8_t *reason;
    uint32_t waiting; /* accepted events that no batch has taken yet */
    bool spare;
};

/* A lane at work. */
struct lane {
    struct replay_lane *at; /* NULL: the settings' own rules */
    const struct program *program;
    struct step *step;
    struct arena results;
    struct event *event;    /* the batch as the step has judged it, and what came out */
    struct output output;
    bool rematch;           /* its texts are not those that decode matched */
};

/* Workers that run some of the lanes, one after the other, beside the other groups. */
struct lane_group {
    struct crew *crew;             /* a single group's is the replay's */
    struct event *event;           /* a lane's own copy of the batch: the step writes into its events */
    struct text_scratch **scratch; /* per worker, when a lane matches texts again */
};

struct replay {
    const struct replay_settings *settings;
    struct replay_summary *summary;
    struct crew *crew;
    struct step_watch watch;
    struct intake *intake;
    struct order *order;
    struct lane lane[REPLAY_LANE_MAX + 1]; /* the settings' own rules, then its lanes */
    uint32_t lane_count;
    struct lane_group group[REPLAY_LANE_MAX + 1]; /* lane i belongs to group i % group_count */
    uint32_t group_count;
    struct lane warm;                    /* the rules to go over to, until then; no step: there are none */
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
    const struct lane_group *group;
    struct event *event;
    uint32_t count;
};

static void copy_work(void *context, uint32_t index, uint32_t workers)
{
    const struct lane_batch *batch = context;
    struct event *copy = batch->group->event;
    uint32_t from, to;
    crew_piece(batch->count, index, workers, &from, &to);
    for (uint32_t i = from; i < to; i++) {
        copy[i] = batch->event[i];
        if (batch->lane->rematch)
            step_match_texts(batch->lane->program, batch->group->scratch[index], &copy[i]);
    }
}

static void lane_run(const struct lane_batch *of, struct lane *lane, const struct lane_group *group, bool in_place)
{
    struct lane_batch batch = {of->replay, lane, group, of->event, of->count};
    uint64_t since = now_ns();
    if (!in_place)
        crew_run(group->crew, batch.count < of->replay->settings->step.inline_below, copy_work, &batch);
    lane->event = in_place ? batch.event : group->event;
    arena_reset(&lane->results);
    step_run(lane->step, lane->event, batch.count, &lane->results, &lane->output);
    if (lane->at)
        lane->at->step_ns += now_ns() - since;
}

/* Each group's lanes, on the worker that leads it; or all lanes, on the only one. The settings' own rules come last: where
 * nobody reads the events as they were decoded any more, they need no copy. */
static void lanes_work(void *context, uint32_t index, uint32_t workers)
{
    const struct lane_batch *batch = context;
    struct replay *replay = batch->replay;
    bool all = workers == 1;
    for (uint32_t i = replay->lane_count; i-- > 0;)
        if (all || i % replay->group_count == index)
            lane_run(batch, &replay->lane[i], &replay->group[i % replay->group_count], all && i == 0);
}

static bool run_lanes(struct replay *replay, struct event *events, uint32_t count, struct error *err)
{
    struct lane_batch batch = {.replay = replay, .event = events, .count = count};
    bool alone = replay->group_count == 1 || count < replay->settings->step.inline_below;
    crew_run(replay->crew, alone, lanes_work, &batch);
    for (uint32_t i = 1; i < replay->lane_count; i++)
        if (!replay->lane[i].at->results(replay->lane[i].at->context, &replay->lane[i].output, err))
            return false;
    return true;
}

/* As many groups as there are workers, where there are enough lanes; else as many as deal out both evenly: a group with
 * fewer workers or more lanes would be waited for. */
static uint32_t groups_for(uint32_t threads, uint32_t lanes)
{
    uint32_t groups = threads < lanes ? threads : lanes;
    while (lanes < threads && (lanes % groups || threads % groups))
        groups--;
    return groups;
}

static bool open_group(struct replay *replay, struct lane_group *group, bool rematch, struct error *err)
{
    const struct replay_settings *settings = replay->settings;
    group->event = settings->lane_count || settings->swap_to ? calloc(settings->batch_max, sizeof *group->event) : NULL;
    invariant(group->event || !(settings->lane_count || settings->swap_to));
    if (!rematch)
        return true;
    uint32_t workers = crew_count(group->crew);
    group->scratch = calloc(workers + 1, sizeof(struct text_scratch *));
    invariant(group->scratch);
    for (uint32_t w = 0; w < workers; w++) {
        group->scratch[w] = text_scratch_new();
        if (!group->scratch[w])
            return error_set(err, ERROR_FATAL, "no memory for matching texts");
    }
    return true;
}

static void close_group(struct replay *replay, struct lane_group *group)
{
    for (struct text_scratch **at = group->scratch; at && *at; at++)
        text_scratch_free(*at);
    free(group->scratch);
    free(group->event);
    if (group->crew != replay->crew)
        crew_free(group->crew);
}

static bool open_crews(struct replay *replay, struct error *err)
{
    const struct replay_settings *settings = replay->settings;
    replay->crew = crew_new(settings->threads, err);
    replay->lane_count = settings->lane_count + 1;
    replay->group_count = groups_for(settings->threads, replay->lane_count);
    replay->group[0].crew = replay->crew;
    for (uint32_t g = 0; replay->crew && replay->group_count > 1 && g < replay->group_count; g++) {
        replay->group[g].crew = crew_new(settings->threads / replay->group_count, err);
        if (!replay->group[g].crew)
            return false;
    }
    return replay->crew != NULL;
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
    replay->warm.program = settings->swap_to;
    replay->warm.rematch = texts_differ(settings->program, settings->swap_to);
    replay->warm.step = step_new(settings->swap_to, &muted, replay->crew, hash_key, err);
    return replay->warm.step != NULL;
}

static bool open_lane(struct replay *replay, uint32_t index, const struct step_settings *step, const unsigned char hash_key[16],
                      struct error *err)
{
    const struct program *own = replay->settings->program;
    struct lane *lane = &replay->lane[index];
    lane->at = index ? &replay->settings->lane[index - 1] : NULL;
    lane->program = index ? lane->at->program : own;
    lane->rematch = texts_differ(own, lane->program);
    if (lane->at)
        lane->at->step_ns = 0;
    invariant(replay_shares(own, lane->program));
    lane->step = step_new(lane->program, step, replay->group[index % replay->group_count].crew, hash_key, err);
    return lane->step != NULL;
}

static bool open_lanes(struct replay *replay, const struct step_settings *step, const unsigned char hash_key[16], struct error *err)
{
    bool rematch = false, ok = true;
    invariant(replay->settings->lane_count <= REPLAY_LANE_MAX);
    for (uint32_t i = 0; ok && i < replay->lane_count; i++) {
        ok = open_lane(replay, i, step, hash_key, err);
        rematch |= replay->lane[i].rematch;
    }
    if (ok && replay->settings->swap_to)
        ok = open_warm(replay, step, hash_key, err);
    rematch |= replay->warm.rematch;
    for (uint32_t g = 0; ok && g < replay->group_count; g++)
        ok = open_group(replay, &replay->group[g], rematch, err);
    return ok;
}

static void close_lanes(struct replay *replay)
{
    for (uint32_t i = 0; i < replay->lane_count; i++) {
        struct lane *lane = &replay->lane[i];
        if (lane->step && lane->at)
            state_stats(step_state(lane->step), &lane->at->state);
        step_free(lane->step);
        arena_fini(&lane->results);
    }
    step_free(replay->warm.step);
    arena_fini(&replay->warm.results);
    for (uint32_t g = 0; g < replay->group_count; g++)
        close_group(replay, &replay->group[g]);
}

/* --- other rules from an event on --- */

static void warm_run(struct replay *replay, struct event *events, uint32_t count)
{
    struct lane_batch batch = {.replay = replay, .event = events, .count = count};
    lane_run(&batch, &replay->warm, &replay->group[0], false);
}

/* After the swap events come with the texts matched that the old rules ask for. */
static void match_work(void *context, uint32_t index, uint32_t workers)
{
    const struct lane_batch *batch = context;
    uint32_t from, to;
    crew_piece(batch->count, index, workers, &from, &to);
    for (uint32_t i = from; i < to; i++)
        step_match_texts(batch->replay->settings->swap_to, batch->replay->group[0].scratch[index], &batch->event[i]);
}

static bool replay_swap(struct replay *replay, struct error *err)
{
    struct replay_summary *summary = replay->summary;
    uint64_t since = now_ns();
    if (!step_swap(replay->lane[0].step, replay->settings->swap_to, replay->warm.step, &summary->mapping, &summary->grafting, err))
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
    const struct lane *own = &replay->lane[0];
    if (replay->warm.step)
        warm_run(replay, events, count);
    if (replay->summary->swapped && replay->warm.rematch) {
        struct lane_batch batch = {.replay = replay, .event = events, .count = count};
        crew_run(replay->crew, count < settings->step.inline_below, match_work, &batch);
    }
    if (!run_lanes(replay, events, count, err))
        return false;
    if (settings->events && !settings->events(settings->context, replay->table, own->event, count, err))
        return false;
    return give_results(replay, &own->output, NULL, err);
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
    if (!open_crews(replay, err) || !open_lanes(replay, &step, intake.decode.hash_key, err))
        return false;
    if (settings->watch) {
        settings->watch(settings->context, step_state(replay->lane[0].step), &replay->watch);
        step_watch(replay->lane[0].step, &replay->watch);
    }
    intake.crew = replay->crew;
    replay->intake = intake_new(&intake, err);
    return replay->intake != NULL;
}

static void replay_close(struct replay *replay)
{
    struct step *step = replay->lane[0].step;
    if (replay->intake)
        intake_phase_ns(replay->intake, &replay->summary->decode_ns, &replay->summary->order_ns);
    if (step) {
        step_phase_ns(step, replay->summary->step_ns);
        replay->summary->silenced = step_silenced(step);
        if (replay->settings->state)
            state_stats(step_state(step), &replay->summary->state);
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
    close_lanes(replay);
    crew_free(replay->crew);
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
