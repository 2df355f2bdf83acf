/* The producer sends the events of `muster feed`: each at least once, acknowledged by all replicas in sync, in order per
 * partition while its leader stays, with back-pressure; what could not be delivered is counted and its first reason kept.
 * Where brokers fail a message may stand in its topic twice: the engine knows it by source and id and takes it once.
 *
 * One thread uses it. Memory is bounded by queue_bytes_max. */
#ifndef CONNECTORS_KAFKA_PRODUCER_H
#define CONNECTORS_KAFKA_PRODUCER_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

struct kafka_producer_settings {
    const char *brokers;
    const char *topic;
    const char *const *extra;   /* "name=value" properties, NULL-terminated, or NULL */
    uint32_t queue_bytes_max;   /* 0: 64 MiB */
    int delivery_ms;            /* give a message up after this long; 0: 60,000 */
};

struct kafka_producer;

/* Waits up to 10 s for the topic's partition count; ERROR_RETRY when no broker answers. */
struct kafka_producer *kafka_producer_open(const struct kafka_producer_settings *settings, struct error *err) must_check;
int32_t kafka_producer_partitions(const struct kafka_producer *producer);

/* The partition that `key` belongs to: the same for every feeder (FNV-1a, mixed). */
int32_t kafka_producer_choose(const struct kafka_producer *producer, struct slice key);

/* Queues a copy of key (empty: none; compaction goes by it) and body; waits while the queue is full. timestamp_ms: 0 lets the broker or librdkafka
 * stamp it. False only when the producer is broken for good or no message left the queue for delivery_ms. */
bool kafka_producer_send(struct kafka_producer *producer, int32_t partition, struct slice key, struct slice body, int64_t timestamp_ms,
                         struct error *err) must_check;

/* Queues a sign of life (KAFKA_HEARTBEAT_KEY) for each partition: the engine then waits for none of them. */
bool kafka_producer_heartbeat(struct kafka_producer *producer, int64_t timestamp_ms, struct error *err) must_check;

/* Waits until all is delivered or given up, at most wait_ms. False when messages were not delivered:
 * err then has the first reason. */
bool kafka_producer_flush(struct kafka_producer *producer, int wait_ms, struct error *err) must_check;
uint64_t kafka_producer_delivered(const struct kafka_producer *producer);
uint64_t kafka_producer_failed(const struct kafka_producer *producer);
void kafka_producer_close(struct kafka_producer *producer);

#endif
