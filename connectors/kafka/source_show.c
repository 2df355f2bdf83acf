/* What people watch of the Kafka source: the group's positions, lags, gaps, heartbeats. Decides nothing. */
#include "connectors/kafka/source_private.h"

enum { SHOW_EVERY_MS = 5000, MEASURE_EVERY_MS = 1000 };

/* Tells the group how far reading is, for people who watch the lag; never read back, never waited for. */
static void show_positions(struct kafka_source *source)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)source->table.count);
    for (uint32_t i = 0; i < source->table.count; i++) {
        const struct partition *partition = &source->table.partition[i];
        if (source->line[i].expected >= 0)
            rd_kafka_topic_partition_list_add(list, partition->topic, partition->number)->offset = source->line[i].expected;
    }
    if (list->cnt > 0)
        (void)rd_kafka_commit(source->client, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

/* What the brokers hold beyond what was delivered, as far as known from the last fetch. */
static void measure_lags(struct kafka_source *source)
{
    for (uint32_t i = 0; i < source->table.count; i++) {
        int64_t low, high;
        struct line *line = &source->line[i];
        const struct partition *partition = &source->table.partition[i];
        if (rd_kafka_get_watermark_offsets(source->client, partition->topic, partition->number, &low, &high) || high < 0)
            continue;
        int64_t at = line->expected < low ? low : line->expected;
        atomic_store_explicit(&line->lag, high > at ? high - at : 0, memory_order_relaxed);
    }
}

void source_show(struct kafka_source *source)
{
    int64_t now = source_now_ms();
    if (source->settings.group && now - source->shown_ms >= SHOW_EVERY_MS) {
        source->shown_ms = now;
        show_positions(source);
    }
    if (now - source->measured_ms >= MEASURE_EVERY_MS) {
        source->measured_ms = now;
        measure_lags(source);
    }
}

bool kafka_source_figures(const struct source *seam, uint32_t index, struct kafka_partition_figures *figures)
{
    const struct kafka_source *source = seam->self;
    if (index >= atomic_load(&source->known))
        return false;
    const struct line *line = &source->line[index];
    *figures = (struct kafka_partition_figures){
        .partition = &source->table.partition[index],
        .lag = atomic_load_explicit(&line->lag, memory_order_relaxed),
        .newest_ms = atomic_load_explicit(&line->shown_newest_ms, memory_order_relaxed),
        .messages = atomic_load_explicit(&line->messages, memory_order_relaxed),
        .gaps = atomic_load_explicit(&line->gaps, memory_order_relaxed),
        .heartbeats = atomic_load_explicit(&line->heartbeats, memory_order_relaxed),
    };
    return true;
}
