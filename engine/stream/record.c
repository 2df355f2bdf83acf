/* The log stage: a block's accepted events become records of the log. */
#include "engine/stream/pipeline_private.h"

enum { ROOM_WAIT_MS = 200 };

bool record_fail(struct error *err)
{
    (void)error_context(err, "log");
    if (err->class != ERROR_RETRY)
        return false;
    err->class = ERROR_FATAL;
    return error_context(err, "make room in log_dir and log_key_dir, then start again");
}

static void note_log_away(struct pipeline *pipeline, const struct error *err)
{
    if (atomic_load(&pipeline->figures->log_away_since_ms))
        return;
    atomic_store(&pipeline->figures->log_away_since_ms, pipeline_now_ms());
    pipeline_notice(pipeline, NOTICE_ERROR, "log_full",
                    "%s; nothing is lost: the engine waits, and goes on by itself once log_dir and log_key_dir have room", err->text);
}

static void note_log_back(struct pipeline *pipeline)
{
    int64_t since_ms = atomic_load(&pipeline->figures->log_away_since_ms);
    if (!since_ms)
        return;
    atomic_store(&pipeline->figures->log_away_since_ms, 0);
    pipeline_notice(pipeline, NOTICE_INFO, "log_back", "the log can be written again after %lld ms",
                    (long long)(pipeline_now_ms() - since_ms));
}

/* After the log failed: true to try again. False: err says why not. */
static bool wait_for_room(struct pipeline *pipeline, struct error *err)
{
    if (err->class != ERROR_RETRY || !pipeline->live)
        return record_fail(err);
    (void)error_context(err, "log");
    note_log_away(pipeline, err);
    pipeline_sleep_ms(ROOM_WAIT_MS);
    bool alone = pipeline->settings->threads == 1;
    if (!pipeline_may_wait(pipeline) || (alone && !commit_keep(pipeline)))
        return error_context(err, "stopped while the log waited; what was not written will be read again");
    *err = (struct error){0};
    return true;
}

static struct log_record record_of(const struct pipeline *pipeline, const struct event *event)
{
    const struct partition *partition = &pipeline->partitions->partition[event->position.partition];
    return (struct log_record){
        .kind = event->fact ? LOG_FACT : event->outcome == OUTCOME_JOINED ? LOG_JOINED : LOG_EVENT,
        .seq = event->seq,
        .broker_ms = event->broker_ms,
        .source = event->source,
        .topic = slice_of(partition->topic),
        .partition = partition->number,
        .offset = event->position.offset,
        .item = (uint16_t)event->position.item,
        .body = event->body,
    };
}

/* From which event on which rules were at work: for whoever replays the log. */
static bool record_rules(struct pipeline *pipeline, const struct block *block, struct error *err)
{
    const struct event *first = &block->event[0];
    struct log_swap swap = {.warm_from = block->journal.warm_from};
    memcpy(swap.hash, block->journal.rule_set, sizeof swap.hash);
    const struct log_record record = {.kind = LOG_SWAP,
                                      .seq = first->seq - 1,
                                      .broker_ms = MISSING_I64,
                                      .body = {(const char *)&swap, sizeof swap}};
    int64_t day_ms = first->broker_ms == MISSING_I64 ? first->time_ms : first->broker_ms;
    while (!log_writer_add(pipeline->log, &record, day_ms, err))
        if (!wait_for_room(pipeline, err))
            return false;
    return true;
}

/* Writes out all that was added. */
static bool record_show(struct pipeline *pipeline, bool sync, struct error *err)
{
    uint64_t logged = atomic_load(&pipeline->logged_block);
    while (!log_writer_flush(pipeline->log, sync, err))
        if (!wait_for_room(pipeline, err))
            return false;
    note_log_back(pipeline);
    atomic_store(&pipeline->shown_block, logged);
    if (!sync)
        return true;
    atomic_store(&pipeline->synced_block, logged);
    atomic_store(&pipeline->figures->log_synced_block, logged);
    return true;
}

bool record_block(struct pipeline *pipeline, const struct block *block, uint64_t after, struct error *err)
{
    uint64_t since = pipeline_now_ns(), records = 0;
    if (block->tells_rules && block->event[0].seq > after && !record_rules(pipeline, block, err))
        return false;
    for (uint32_t i = 0; i < block->event_count; i++) {
        const struct event *event = &block->event[i];
        if (event->seq <= after || !event_active(event))
            continue;
        struct log_record record = record_of(pipeline, event);
        int64_t day_ms = event->broker_ms == MISSING_I64 ? event->time_ms : event->broker_ms;
        while (!log_writer_add(pipeline->log, &record, day_ms, err))
            if (!wait_for_room(pipeline, err))
                return false;
        records++;
    }
    if (atomic_load(&pipeline->shown_block) == atomic_load(&pipeline->logged_block))
        pipeline->log_since_ms = pipeline_now_ms();
    atomic_store(&pipeline->logged_block, block->journal.block);
    if (!pipeline->live && !record_show(pipeline, false, err))
        return false;
    note_log_back(pipeline);
    atomic_fetch_add_explicit(&pipeline->figures->log_records, records, memory_order_relaxed);
    atomic_fetch_add_explicit(&pipeline->figures->log_ns, pipeline_now_ns() - since, memory_order_relaxed);
    return true;
}

bool record_settle(struct pipeline *pipeline, struct error *err)
{
    if (!pipeline->log)
        return true;
    uint64_t logged = atomic_load(&pipeline->logged_block), shown = atomic_load(&pipeline->shown_block), wanted = atomic_load(&pipeline->sync_wanted);
    bool sync = wanted > atomic_load(&pipeline->synced_block) && wanted <= logged;
    bool show = logged > shown && (atomic_load(&pipeline->show_wanted) > shown || pipeline_now_ms() - pipeline->log_since_ms >= pipeline->settings->log_wait_ms);
    if (!sync && !show)
        return true;
    uint64_t since = pipeline_now_ns();
    bool good = record_show(pipeline, sync, err);
    atomic_fetch_add_explicit(&pipeline->figures->log_ns, pipeline_now_ns() - since, memory_order_relaxed);
    return good;
}
