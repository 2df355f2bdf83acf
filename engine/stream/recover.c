/* From the lease to the first live block: checkpoint, then log, then the journal's ranges again. */
#include "engine/stream/pipeline_private.h"

#include "engine/base/invariant.h"
#include "engine/stream/checkpoint_words.h"
#include "engine/stream/log_feed.h"

#include <stdio.h>
#include <stdlib.h>

enum { LEASE_WAIT_MS = 100, FOLLOW_WAIT_MS = 50, LOOK_WAIT_MS = 100, LOOKS_MAX = 50 };

/* The journal's rows behind the checkpoint, copied. */
struct journal_rows {
    struct arena arena;
    struct journal_block *row;
    uint32_t count, room;
};

/* What recovery knows while it goes on. */
struct recovery {
    struct pipeline *pipeline;
    struct sink_start start;
    struct block *block;        /* the one block it works with */
    uint64_t *seq;              /* of the records in it */
    uint64_t log_last;          /* last record in the log when recovery began */
    struct journal_rows rows;
    bool following;             /* a standby without the lease: it must not touch it */
    bool loaded;                /* the checkpoint to follow from has been looked for */
    struct state_mapping mapping; /* of a checkpoint that was made with rules nobody has */
    uint64_t warm_from;         /* of the newest rules in the journal */
    bool follows;               /* state is the journal's up to pipeline->block, and nobody else's */
    bool unfit;                 /* some sound checkpoint was of no use */
    uint32_t looks;             /* for partitions that somebody named, in vain so far */
};

/* --- keeping alive, being told to stop --- */

/* Called between batches: renews the lease, asks whether to stop. */
static bool recovery_goes_on(void *context)
{
    struct recovery *recovery = context;
    struct pipeline *pipeline = recovery->pipeline;
    return (recovery->following || commit_keep(pipeline)) && !pipeline_stopping(pipeline);
}

/* The lease is ours, so a sink that goes away just now is waited for; renewing the lease brings it back, or tells that we are fenced. False:
 * not waited for. */
static bool sink_returns(struct recovery *recovery, struct error *err)
{
    if (err->class != ERROR_RETRY || recovery->following)
        return false;
    *err = (struct error){0};
    pipeline_sleep_ms(LEASE_WAIT_MS);
    return recovery_goes_on(recovery);
}

/* --- partitions that are new --- */

static void look_again(struct recovery *recovery)
{
    struct pipeline *pipeline = recovery->pipeline;
    struct source *source = pipeline->world->source;
    if (source->look)
        source->look(source->self);
    pipeline_know(pipeline, pipeline->partitions->count);
    recovery->block->partitions = pipeline->known;
}

/* Brokers learn of a new partition some moments apart: one that PostgreSQL or a checkpoint names may be known soon. False: it was looked for
 * long enough, and err stays; or it is time to stop. */
static bool look_on(struct recovery *recovery, struct error *err)
{
    if (recovery->looks == LOOKS_MAX)
        return false;
    recovery->looks++;
    *err = (struct error){0};
    pipeline_sleep_ms(LOOK_WAIT_MS);
    if (!recovery_goes_on(recovery))
        return false;
    look_again(recovery);
    return true;
}

/* --- checkpoints --- */

/* Where each of a checkpoint's partitions stands in this run's table; the caller frees it. NULL when it was made with
 * a topic or partition that this run does not have. New ones do no harm. */
static uint32_t *partitions_here(const struct pipeline *pipeline, const struct checkpoint_words *words)
{
    uint32_t *here = calloc(words->partitions + 1u, sizeof *here);
    invariant(here);
    for (uint32_t i = 0; i < words->partitions; i++) {
        int32_t number;
        struct slice topic = checkpoint_words_partition(words, i, &number);
        if (!partition_find(pipeline->partitions, pipeline->known, topic, number, &here[i])) {
            free(here);
            return NULL;
        }
    }
    return here;
}

static void checkpoint_refused(void *context, const char *file, const char *reason)
{
    pipeline_notice(context, NOTICE_WARNING, "checkpoint_refused", "%s: %s", file, reason);
}

/* Why a sound checkpoint is of no use here; NULL: it is, and *here is the caller's. */
static const char *checkpoint_unfit(struct recovery *recovery, const struct checkpoint_head *head, struct checkpoint_words *words, uint32_t **here)
{
    const struct pipeline *pipeline = recovery->pipeline;
    struct error ignored;
    if (!checkpoint_words_read(head, words))
        return "its words are cut short";
    uint64_t logged = pipeline->log ? log_writer_last_seq(pipeline->log) : 0;
    if (logged && logged < words->logged_seq)
        return "the log ends before it and would lack what lies between: copy the log that it was made with, or set log_dir aside for an "
               "empty one, and the log begins with the checkpoint";
    while (!(*here = partitions_here(pipeline, words)))
        if (!look_on(recovery, &ignored))
            return "it was made with topics or partitions that are not here";
    recovery->looks = 0;
    return NULL;
}

/* Goes on from a checkpoint that was loaded, unless it does not fit: then *fits is false, and a notice says why. */
static bool take_checkpoint(struct recovery *recovery, const struct checkpoint_head *head, struct state *state, bool *fits, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    struct checkpoint_words words = {0};
    uint32_t *here = NULL;
    char file[64];
    const char *unfit = checkpoint_unfit(recovery, head, &words, &here);
    (void)snprintf(file, sizeof file, "checkpoint-%020llu", (unsigned long long)head->block);
    *fits = !unfit;
    if (unfit) {
        state_free(state);
        if (pipeline_stopping(pipeline))
            return false; /* nobody looked long enough */
        recovery->unfit = true;
        checkpoint_refused(pipeline, file, unfit);
        return true;
    }
    bool ok = step_restore(pipeline->step, state, words.step, here, words.partitions, err);
    free(here);
    pipeline->block = head->block;
    pipeline->seq = head->seq;
    pipeline->accepted_seq = words.logged_seq;
    pipeline->warm_from = words.warm_from; /* the next block may be the first of these rules */
    saver_loaded(pipeline, head->block);
    pipeline_notice(pipeline, NOTICE_INFO, "checkpoint_loaded", "%s, sequence number %llu", file, (unsigned long long)head->seq);
    recovery->mapping = head->mapping;
    return ok;
}

/* Loads the newest checkpoint that is sound and fits, and that PostgreSQL is not behind. Without one, state stays fresh. */
static bool load_checkpoint(struct recovery *recovery, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    const char *dir = pipeline->settings->checkpoint_dir;
    bool ok = true, fits = false;
    for (uint64_t block_max = recovery->start.block; ok && dir && block_max > 0 && !fits;) {
        struct checkpoint_head head = {0};
        struct state *state = NULL;
        /* under the rules it was made with, where somebody has them: what was committed since was worked with those */
        if (checkpoint_peek(dir, &block_max, head.program_hash, checkpoint_refused, pipeline)) {
            pipeline->block = block_max; /* they go on behind it */
            ok = swap_to(pipeline, head.program_hash, 0, err);
            pipeline->block = 0;
        }
        if (!ok || !checkpoint_load(dir, block_max, step_layout(pipeline->step), &state, &head, checkpoint_refused, pipeline, err))
            return ok && err->class == ERROR_NONE;
        ok = take_checkpoint(recovery, &head, state, &fits, err);
        free((void *)(uintptr_t)head.extra);
        block_max = head.block - 1;
    }
    return ok;
}

/* --- the journal --- */

static bool keep_row(void *context, const struct journal_block *block)
{
    struct journal_rows *rows = context;
    if (rows->count == rows->room) {
        rows->room = rows->room ? rows->room * 2 : 256;
        rows->row = realloc(rows->row, rows->room * sizeof *rows->row);
        invariant(rows->row);
    }
    struct journal_range *range = ARENA_ARRAY(&rows->arena, struct journal_range, block->range_count + 1);
    if (block->range_count)
        memcpy(range, block->range, block->range_count * sizeof *range);
    for (uint32_t r = 0; r < block->range_count; r++)
        if (range[r].aside_count) {
            struct slice aside = {(const char *)range[r].aside, range[r].aside_count * sizeof *range[r].aside};
            range[r].aside = (const int64_t *)(const void *)arena_copy(&rows->arena, aside).data;
        }
    rows->row[rows->count] = *block;
    rows->row[rows->count++].range = range;
    return true;
}

/* The rows must follow each other without a hole, from `block` and `seq` on. */
static bool rows_follow(const struct journal_rows *rows, uint64_t block, uint64_t seq, struct error *err)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        const struct journal_block *row = &rows->row[i];
        if (row->block != block + 1 || row->first_seq != seq + 1 || row->last_seq + 1 < row->first_seq)
            return error_set(err, ERROR_FATAL,
                             "the journal goes from block %llu (sequence number %llu) to block %llu (%llu): "
                             "it does not reach back to a usable checkpoint",
                             (unsigned long long)block, (unsigned long long)seq, (unsigned long long)row->block,
                             (unsigned long long)row->first_seq);
        block = row->block;
        seq = row->last_seq;
    }
    return true;
}

/* Reads its rows behind the last block applied. A standby without the lease does not wait for the sink. */
static bool read_journal(struct recovery *recovery, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    struct sink *sink = pipeline->world->sink;
    do {
        *err = (struct error){0};
        recovery->rows.count = 0;
        arena_reset(&recovery->rows.arena);
        if (sink->journal(sink->self, pipeline->block, keep_row, &recovery->rows, err)) {
            recovery->looks = 0;
            return true;
        }
    } while (err->class == ERROR_FATAL ? look_on(recovery, err) : sink_returns(recovery, err));
    return false;
}

/* --- from the log --- */

static bool open_log(struct recovery *recovery, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    if (pipeline->settings->log && !pipeline->log)
        pipeline->log = log_writer_open(pipeline->settings->log, err);
    return !pipeline->settings->log || pipeline->log || record_fail(err);
}

static bool cut_log(struct recovery *recovery, uint64_t last_seq, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    return !pipeline->log || log_writer_cut(pipeline->log, last_seq, err) || record_fail(err);
}

/* Runs the records that the log has up to `last`; what they gave out is in the sink already. */
static bool apply_log(struct recovery *recovery, struct log_feed *feed, uint64_t last, uint64_t *first, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    struct block *block = recovery->block;
    for (;;) {
        if (!log_feed_read(feed, block, recovery->seq, pipeline->settings->batch_max, last, err))
            return false;
        if (block->message_count == 0)
            return true;
        if (!*first)
            *first = recovery->seq[0];
        if (!log_feed_decode(pipeline->intake, block, recovery->seq, err))
            return false;
        pipeline_score(pipeline, block, 0);
        atomic_fetch_add(&pipeline->figures->recovered_events, block->event_count);
        block_clear(block);
        if (!recovery_goes_on(recovery))
            return false;
    }
}

/* Applies what the log has behind the state, up to `last`. */
static bool recover_from_log(struct recovery *recovery, uint64_t last, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    uint64_t first = 0;
    if (last > recovery->log_last)
        last = recovery->log_last;
    if (!pipeline->log || last <= pipeline->seq)
        return true;
    bool fresh = pipeline->seq == 0;
    struct log_feed *feed = log_feed_open(pipeline->settings->log, pipeline->seq + 1, pipeline->partitions, err);
    if (!feed)
        return error_context(err, "log");
    if (pipeline->settings->threads > 1)
        log_feed_ahead(feed);
    bool ok = apply_log(recovery, feed, last, &first, err);
    log_feed_close(feed);
    if (!ok)
        return false;
    if (fresh && first > 1)
        return error_set(err, ERROR_FATAL,
                         "no usable checkpoint, and the log begins at sequence number %llu: state cannot be rebuilt",
                         (unsigned long long)first);
    pipeline->seq = last;
    return true;
}

/* --- from the source --- */

static bool read_row(struct recovery *recovery, const struct journal_block *row, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    struct source *source = pipeline->world->source;
    struct block *block = recovery->block;
    for (uint32_t r = 0; r < row->range_count; r++) { /* a range names what was set aside: a source leaves that alone again */
        struct message *messages = NULL;
        uint32_t count = 0;
        while (!source->read_range(source->self, &row->range[r], &block->bodies, &messages, &count, err)) {
            if (err->class != ERROR_RETRY)
                return false;
            pipeline_notice(pipeline, NOTICE_WARNING, "source_away", "%s", err->text);
            *err = (struct error){0};
            if (!recovery_goes_on(recovery))
                return false;
        }
        block_reserve(block, block->message_count + count);
        if (count)
            memcpy(block->message + block->message_count, messages, count * sizeof *messages);
        block->message_count += count;
        pipeline->position[row->range[r].partition] = row->range[r].first;
    }
    return true;
}

/* What the journal's row set aside is refused again. */
static void aside_again(struct block *block, const struct journal_block *row)
{
    for (uint32_t r = 0; r < row->range_count; r++)
        for (uint32_t b = 0; row->range[r].aside_count && b < block->journal.range_count; b++) {
            if (block->range[b].partition != row->range[r].partition)
                continue;
            block->range[b].aside = row->range[r].aside;
            block->range[b].aside_count = row->range[r].aside_count;
            block->has_aside = true;
        }
}

/* Takes one journal block again; fills the log where it ends earlier. */
static bool recover_row(struct recovery *recovery, const struct journal_block *row, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    struct block *block = recovery->block;
    if (!read_row(recovery, row, err))
        return false;
    intake_range(block, pipeline->position);
    aside_again(block, row);
    intake_sequence(pipeline->intake, block, pipeline->order, row->first_seq);
    if (block->journal.last_seq != row->last_seq)
        return error_set(err, ERROR_FATAL,
                         "block %llu gave sequence numbers %llu to %llu, read again it gives %llu: the source has changed",
                         (unsigned long long)row->block, (unsigned long long)row->first_seq,
                         (unsigned long long)row->last_seq, (unsigned long long)block->journal.last_seq);
    uint32_t applied = 0;
    while (applied < block->event_count && block->event[applied].seq <= pipeline->seq)
        applied++; /* the log had these */
    pipeline_score(pipeline, block, applied);
    atomic_fetch_add(&pipeline->figures->recovered_events, block->event_count - applied);
    memcpy(block->journal.rule_set, row->rule_set, sizeof block->journal.rule_set);
    block->journal.warm_from = row->warm_from;
    block->tells_rules = pipeline->tell_rules && block->event_count && block->event[0].seq > 1;
    pipeline->tell_rules &= !block->event_count;
    bool ok = !pipeline->log || record_block(pipeline, block, recovery->log_last, err);
    block_clear(block);
    return ok && recovery_goes_on(recovery);
}

static bool recover_from_source(struct recovery *recovery, uint32_t from, uint32_t to, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    for (uint32_t i = from; i < to; i++) {
        const struct journal_block *row = &recovery->rows.row[i];
        bool in_log = pipeline->log && row->last_seq <= recovery->log_last;
        bool empty = row->last_seq < row->first_seq;
        if (!in_log && !empty && !recover_row(recovery, row, err))
            return err->class && error_context(err, "recovering block %llu", (unsigned long long)row->block);
        if (row->last_seq > pipeline->seq)
            pipeline->seq = row->last_seq;
    }
    return true;
}

/* Blocks that the same rules worked, one stretch after the other. */
static bool recover_blocks(struct recovery *recovery, struct error *err)
{
    const struct journal_rows *rows = &recovery->rows;
    for (uint32_t from = 0, to; from < rows->count; from = to) {
        for (to = from + 1; to < rows->count && memcmp(rows->row[to].rule_set, rows->row[from].rule_set, sizeof rows->row->rule_set) == 0;)
            to++;
        recovery->warm_from = rows->row[from].warm_from;
        recovery->pipeline->block = rows->row[from].block - 1; /* which block the rules begin with is told */
        if (!swap_to(recovery->pipeline, rows->row[from].rule_set, recovery->warm_from, err) || !recover_from_log(recovery, rows->row[to - 1].last_seq, err) ||
            !recover_from_source(recovery, from, to, err))
            return false;
    }
    return recover_from_log(recovery, recovery->log_last, err);
}

/* --- the hot standby --- */

/* Loads the newest checkpoint that the journal reaches back to. The log up to it is proved by it; what is behind may be of a life that was
 * fenced, and goes. */
static bool follow_begin(struct recovery *recovery, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    if (!read_journal(recovery, err))
        return false;
    if (recovery->rows.count == 0)
        return true; /* nobody has committed anything: nothing to follow yet */
    recovery->start.block = recovery->rows.row[recovery->rows.count - 1].block;
    if (!recovery->loaded && (!open_log(recovery, err) || !load_checkpoint(recovery, err) || !pipeline_open_intake(pipeline, err)))
        return false;
    recovery->loaded = true;
    if (!read_journal(recovery, err))
        return false;
    if (!rows_follow(&recovery->rows, pipeline->block, pipeline->seq, err))
        return error_context(err, "standby: copy the newest checkpoint of the live engine into state_dir, and set log_dir aside for an empty one");
    if (pipeline->seq == 0 && recovery->unfit) /* it would do again with the log that goes now */
        return error_set(err, ERROR_FATAL, "standby: no checkpoint fits, as told: mend that, or set state_dir and log_dir aside for empty ones, and all is read again");
    if (!cut_log(recovery, pipeline->seq, err))
        return false;
    recovery->log_last = pipeline->seq;
    recovery->follows = true;
    pipeline->saver.last_ms = pipeline_now_ms();
    pipeline_notice(pipeline, NOTICE_INFO, "standby", "follows the journal from block %llu", (unsigned long long)pipeline->block + 1);
    return true;
}

/* Applies the rows read, one by one; a checkpoint may be begun after each. */
static bool follow_apply(struct recovery *recovery, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    const struct journal_rows rows = recovery->rows;
    if (!rows_follow(&rows, pipeline->block, pipeline->seq, err))
        return error_context(err, "standby too far behind: copy the newest checkpoint of the live engine into state_dir, and set log_dir aside for an empty one");
    for (uint32_t i = 0; i < rows.count; i++) {
        const struct journal_block *row = &rows.row[i];
        atomic_store(&pipeline->figures->standby_lag, rows.count - i);
        if (!swap_to(pipeline, row->rule_set, row->warm_from, err) || (row->last_seq >= row->first_seq && !recover_row(recovery, row, err)))
            return err->class && error_context(err, "following block %llu", (unsigned long long)row->block);
        pipeline->block = row->block;
        pipeline->seq = recovery->log_last = row->last_seq;
        atomic_store(&pipeline->committed_block, row->block);
        atomic_store(&pipeline->logged_block, row->block);
        atomic_store(&pipeline->figures->blocks, row->block);
        atomic_store(&pipeline->figures->seq, row->last_seq);
        saver_tick(pipeline);
        if (!record_settle(pipeline, err))
            return false;
    }
    atomic_store(&pipeline->figures->standby_lag, 0);
    saver_tick(pipeline);
    return record_settle(pipeline, err);
}

/* One look at the journal. True also when PostgreSQL is away: the lease is tried again soon. */
static bool follow(struct recovery *recovery, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    bool ok = true;
    *err = (struct error){0};
    recovery->following = true;
    if (!recovery->follows)
        ok = follow_begin(recovery, err);
    else
        ok = read_journal(recovery, err);
    if (ok && recovery->follows) {
        atomic_store(&pipeline->figures->phase, PIPELINE_STANDBY);
        ok = follow_apply(recovery, err);
    }
    recovery->following = false;
    return ok || err->class == ERROR_RETRY || err->class == ERROR_NONE;
}

/* The lease is ours: the journal's rest, and nothing else, stands between us and live. */
static bool follow_end(struct recovery *recovery, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    const struct sink_start start = recovery->start;
    atomic_store(&pipeline->figures->phase, PIPELINE_RECOVERING);
    if (!recovery->follows && (!follow_begin(recovery, err) || !recovery->follows))
        return false;
    recovery->start = start;
    uint64_t from = pipeline->block;
    if (!read_journal(recovery, err) || !follow_apply(recovery, err))
        return false;
    if (pipeline->block != start.block || pipeline->seq != start.seq)
        return error_set(err, ERROR_FATAL, "followed the journal to block %llu, but the sink is at block %llu",
                         (unsigned long long)pipeline->block, (unsigned long long)start.block);
    pipeline_notice(pipeline, NOTICE_INFO, "taken_over", "%llu blocks were left to apply, up to block %llu",
                    (unsigned long long)(pipeline->block - from), (unsigned long long)pipeline->block);
    return pipeline->settings->keep_followed || swap_to(pipeline, pipeline->world->program->hash, 1, err);
}

/* A standby that ends before it was live: its checkpoint holds committed blocks only. */
static void follow_abandon(struct recovery *recovery, const struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    if (!recovery->follows)
        return;
    if (err->class)
        pipeline_fail(pipeline, err); /* the saver's thread waits for this */
    saver_abandon(pipeline);
}

static bool win_lease(struct recovery *recovery, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    struct sink *sink = pipeline->world->sink;
    bool told = false;
    atomic_store(&pipeline->figures->phase, PIPELINE_WAITING_LEASE);
    while (!pipeline_stopping(pipeline)) {
        *err = (struct error){0};
        pipeline->commit.renewed_ms = pipeline_now_ms();
        look_again(recovery); /* the engine before us may have found partitions while we waited */
        if (sink->start(sink->self, pipeline->partitions, pipeline->settings->standby ? 0 : pipeline->settings->lease_wait_ms, &recovery->start, err))
            return true;
        if (err->class != ERROR_RETRY)
            return false;
        if (!told)
            pipeline_notice(pipeline, NOTICE_INFO, "lease_waiting", "%s", err->text);
        told = true;
        if (pipeline->settings->standby && !follow(recovery, err))
            return false;
        pipeline_sleep_ms(pipeline->settings->standby ? FOLLOW_WAIT_MS : LEASE_WAIT_MS);
    }
    *err = (struct error){0};
    return false;
}

static bool rebuild(struct recovery *recovery, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    atomic_store(&pipeline->figures->phase, PIPELINE_RECOVERING);
    if (!open_log(recovery, err) || !cut_log(recovery, recovery->start.seq, err))
        return false;
    recovery->log_last = pipeline->log ? log_writer_last_seq(pipeline->log) : 0;
    if (!load_checkpoint(recovery, err) || !pipeline_open_intake(pipeline, err) || !read_journal(recovery, err))
        return false;
    /* Without a checkpoint a complete log may stand for journal rows long pruned. */
    bool log_alone = pipeline->seq == 0 && recovery->log_last > 0 && recovery->rows.count &&
                     recovery->rows.row[0].block > 1 && recovery->rows.row[0].first_seq <= recovery->log_last + 1;
    const struct journal_block *row = recovery->rows.row;
    if (!(log_alone ? rows_follow(&recovery->rows, row->block - 1, row->first_seq - 1, err)
                    : rows_follow(&recovery->rows, pipeline->block, pipeline->seq, err)))
        return false;
    if (!recovery->rows.count && pipeline->block < recovery->start.block && recovery->log_last < recovery->start.seq)
        return error_set(err, ERROR_FATAL, "the sink is at block %llu, but neither a checkpoint nor its journal says how it got there",
                         (unsigned long long)recovery->start.block);
    uint64_t applied = pipeline->seq;
    if (!recover_blocks(recovery, err))
        return false;
    if (pipeline->seq < recovery->start.seq)
        pipeline->seq = recovery->start.seq;
    pipeline->block = recovery->start.block;
    if (pipeline->seq != applied)
        pipeline_notice(pipeline, NOTICE_INFO, "recovered", "%llu events again, up to block %llu",
                        (unsigned long long)atomic_load(&pipeline->figures->recovered_events),
                        (unsigned long long)pipeline->block);
    return swap_last(pipeline, &recovery->mapping, recovery->warm_from, err);
}

static void tell_story(void *context, const struct poison_story *story)
{
    struct pipeline *pipeline = context;
    const struct partition *partition = &pipeline->partitions->partition[story->partition];
    long long offset = story->offset, last = story->next - 1;
    if (story->crashes == 0)
        pipeline_notice(pipeline, NOTICE_WARNING, "crash_suspects",
                        "the engine ended while it worked offsets %lld to %lld of %s/%d; they are worked one by one now, slower", offset,
                        last, partition->topic, partition->number);
    else if (story->crashes < POISON_CRASHES)
        pipeline_notice(pipeline, NOTICE_WARNING, "crash_record",
                        "the engine has ended %u times while it worked offset %lld of %s/%d; after %d times it is set aside",
                        story->crashes, offset, partition->topic, partition->number, POISON_CRASHES);
    else
        pipeline_notice(pipeline, NOTICE_ERROR, "poison",
                        "the engine has ended %u times while it worked offset %lld of %s/%d: it is set aside and NOT scored; "
                        "its bytes are among the rejections (reason POISON): report it, the engine is at fault",
                        story->crashes, offset, partition->topic, partition->number);
}

/* From here on a crash leaves behind at what. */
static void watch_begin(struct pipeline *pipeline)
{
    struct source *source = pipeline->world->source;
    struct error err = {0};
    if (!pipeline->settings->at_work_file)
        return;
    pipeline->poison = poison_open(pipeline->settings->at_work_file, pipeline->partitions, &err);
    if (!pipeline->poison) { /* worth a warning, not worth to stop scoring */
        pipeline_notice(pipeline, NOTICE_WARNING, "at_work_failed", "%s; a record that ends the engine will not be found", err.text);
        return;
    }
    poison_tell(pipeline->poison, tell_story, pipeline);
    atomic_store(&pipeline->figures->crash_suspects, poison_suspects(pipeline->poison));
    if (source->watch)
        source->watch(source->self, poison_translating(pipeline->poison));
}

static bool go_live(struct recovery *recovery, struct error *err)
{
    struct pipeline *pipeline = recovery->pipeline;
    struct source *source = pipeline->world->source;
    struct sink *sink = pipeline->world->sink;
    while (!sink->positions(sink->self, pipeline->position, err))
        if (!sink_returns(recovery, err))
            return false;
    atomic_store(&pipeline->committed_block, pipeline->block);
    atomic_store(&pipeline->logged_block, pipeline->block);
    atomic_store(&pipeline->shown_block, pipeline->block);
    atomic_store(&pipeline->figures->block_committed, pipeline->block);
    atomic_store(&pipeline->figures->seq, pipeline->seq);
    watch_begin(pipeline);
    return source->seek(source->self, pipeline->position, err);
}

bool recover(struct pipeline *pipeline, struct error *err)
{
    struct recovery recovery = {.pipeline = pipeline};
    uint32_t partitions = partition_room(pipeline->partitions);
    recovery.seq = calloc(pipeline->settings->batch_max, sizeof *recovery.seq);
    recovery.block = block_new(pipeline->settings->batch_max, pipeline->settings->threads, partitions);
    recovery.block->bodies.bound = pipeline->settings->batch_bytes_max;
    invariant(recovery.seq);
    arena_init(&recovery.rows.arena);
    pipeline->goes_on = recovery_goes_on;
    pipeline->goes_on_context = &recovery;
    bool ok = win_lease(&recovery, err);
    bool follows = recovery.follows || (pipeline->settings->standby && recovery.start.block > 0);
    ok = ok && (follows ? follow_end(&recovery, err) : rebuild(&recovery, err)) && go_live(&recovery, err);
    if (!ok)
        follow_abandon(&recovery, err);
    pipeline->goes_on = NULL;
    arena_fini(&recovery.rows.arena);
    free(recovery.rows.row);
    block_free(recovery.block);
    free(recovery.seq);
    return ok;
}
