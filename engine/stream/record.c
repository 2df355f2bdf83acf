/* The log stage: a block's accepted events become records of the log. */
#include "engine/stream/pipeline_private.h"

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

bool record_block(struct pipeline *pipeline, const struct block *block, uint64_t after, struct error *err)
{
    uint64_t since = pipeline_now_ns(), records = 0;
    for (uint32_t i = 0; i < block->event_count; i++) {
        const struct event *event = &block->event[i];
        if (event->seq <= after || (event->outcome != OUTCOME_SCORED && event->outcome != OUTCOME_JOINED))
            continue;
        struct log_record record = record_of(pipeline, event);
        int64_t day_ms = event->broker_ms == MISSING_I64 ? event->time_ms : event->broker_ms;
        if (!log_writer_add(pipeline->log, &record, day_ms, err))
            return error_context(err, "log");
        records++;
    }
    if (!log_writer_flush(pipeline->log, false, err))
        return error_context(err, "log");
    atomic_fetch_add_explicit(&pipeline->figures->log_records, records, memory_order_relaxed);
    atomic_fetch_add_explicit(&pipeline->figures->log_ns, pipeline_now_ns() - since, memory_order_relaxed);
    atomic_store(&pipeline->logged_block, block->journal.block);
    return true;
}

bool record_sync(struct pipeline *pipeline, struct error *err)
{
    uint64_t wanted = atomic_load(&pipeline->sync_wanted);
    uint64_t logged = atomic_load(&pipeline->logged_block);
    if (wanted <= atomic_load(&pipeline->synced_block) || logged < wanted)
        return true;
    if (!log_writer_flush(pipeline->log, true, err))
        return error_context(err, "log");
    atomic_store(&pipeline->synced_block, logged);
    atomic_store(&pipeline->figures->log_synced_block, logged);
    return true;
}
