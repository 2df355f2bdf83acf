/* The Kafka source: the events of several topics, as the source seam wants them.
 *
 * Partitions are assigned with the offsets that PostgreSQL keeps, never subscribed; what a consumer group
 * is told is for people who watch the lag, and never read back. Each partition has a bounded queue of its
 * own in librdkafka; back-pressure is not polling. On catch-up a partition more than `ahead_ms` of broker
 * time before the slowest one with data waits.
 *
 * At opening the table stands in the order (topic, number). The brokers are asked again every refresh_ms:
 * new partitions, and topics that did not exist, are appended and read from their beginning. A record
 * with the key KAFKA_HEARTBEAT_KEY is a heartbeat: it moves its partition's position and broker time, and
 * is no event. Aborted transactions are never seen; the offsets they leave out are counted as gaps.
 *
 * Errors: a broker that is away is ERROR_RETRY from a poll that has no message to give (messages may follow by themselves); an offset
 * the broker no longer has, a topic made anew and a compacted topic are ERROR_FATAL, never a silent jump.
 * Used by one thread, but for kafka_source_figures. */
#ifndef CONNECTORS_KAFKA_SOURCE_H
#define CONNECTORS_KAFKA_SOURCE_H

#include "engine/model/seam.h"

struct kafka_topic {
    const char *name;
    const char *source; /* the bank that feeds it */
    bool facts;         /* it carries facts, and may be compacted */
};

struct kafka_source_settings {
    const char *brokers;           /* "host:port,host:port" */
    const struct kafka_topic *topic;
    uint32_t topic_count;
    const char *group;             /* consumer group that is shown the positions; NULL: none */
    const char *const *extra;      /* "name=value" librdkafka properties, NULL-terminated, or NULL */
    uint32_t partition_max;        /* over all topics; 0: PARTITION_MAX */
    size_t fetch_bytes_max;        /* of all partition queues together; 0: 128 MiB */
    uint32_t fetch_wait_ms;        /* a broker that has nothing new answers after so long; 0: 5 */
    int64_t ahead_ms;              /* 0: 60,000 */
    uint32_t recovery_wait_ms;     /* longest silence in read_range; 0: 30,000 */
    uint32_t refresh_ms;           /* 0: 10,000 */
    /* What operators should know ("topic_missing", "partitions_found"); NULL: nobody is told. */
    void (*notice)(void *context, const char *event, const char *text);
    void *context;
};

/* Waits up to 10 s for the brokers; ERROR_RETRY when none answers or none of the topics exists. All texts
 * that the settings point to must outlive the source. */
struct source *kafka_source_open(const struct kafka_source_settings *settings, struct error *err) must_check;

/* How one partition stands; any thread. False beyond the partitions known. */
struct kafka_partition_figures {
    const struct partition *partition;
    int64_t lag;          /* messages that the broker held at the last fetch and that were not delivered */
    int64_t newest_ms;    /* broker time of the newest message, heartbeats too; INT64_MIN before */
    uint64_t messages, gaps, heartbeats; /* gaps: offsets that held nothing for us */
};
bool kafka_source_figures(const struct source *source, uint32_t partition, struct kafka_partition_figures *figures);

#endif
