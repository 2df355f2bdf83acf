/* The Kafka source: the events of several topics, as the source seam wants them.
 *
 * Partitions are discovered once, at opening, and stand in the order (topic, partition); they are
 * assigned with the offsets that PostgreSQL keeps, never subscribed; what a consumer group is told is
 * for people who watch the lag, and never read back. Each partition has a bounded queue of its own in
 * librdkafka; back-pressure is not polling. On catch-up a partition more than `ahead_ms` of broker time before the slowest one with data waits.
 *
 * Errors: a broker that is away is ERROR_RETRY from poll (messages may follow by themselves); an
 * offset the broker no longer has is ERROR_FATAL, never a silent jump. Used by one thread. */
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
    size_t fetch_bytes_max;        /* of all partition queues together; 0: 128 MiB */
    size_t message_bytes_max;      /* larger messages still arrive, to be refused by name; 0: 64 KiB */
    int64_t ahead_ms;              /* 0: 60,000 */
    uint32_t recovery_wait_ms;     /* longest silence in read_range; 0: 30,000 */
};

/* Waits up to 10 s for each topic's partitions; ERROR_RETRY when no broker answers. */
struct source *kafka_source_open(const struct kafka_source_settings *settings, struct error *err) must_check;

/* Messages that the brokers hold and the source has not delivered yet, as far as known: the lag. */
int64_t kafka_source_lag(const struct source *source);

#endif
