/* A librdkafka producer for one topic. */
#include "connectors/kafka/producer.h"

#include "connectors/kafka/client.h"
#include "engine/base/invariant.h"

#include <stdio.h>
#include <stdlib.h>

struct kafka_producer {
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    int32_t partitions;
    int delivery_ms;
    uint64_t delivered, failed;
    rd_kafka_resp_err_t first_failure;
    rd_kafka_resp_err_t broken; /* what broke the producer for good: the messages themselves only say that they were purged */
    struct client_trouble trouble;
};

/* Called from rd_kafka_poll, so on the caller's own thread. */
static void delivery_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *context)
{
    struct kafka_producer *producer = context;
    (void)client;
    if (!message->err) {
        producer->delivered++;
        return;
    }
    if (producer->failed++ == 0)
        producer->first_failure = message->err;
}

static void told_of_error(rd_kafka_t *client, int code, const char *reason, void *context)
{
    struct kafka_producer *producer = context;
    char text[256];
    client_note_trouble(&producer->trouble, code, reason);
    if (code == RD_KAFKA_RESP_ERR__FATAL && !producer->broken)
        producer->broken = rd_kafka_fatal_error(client, text, sizeof text);
}

static bool find_topic(struct kafka_producer *producer, const char *topic, struct error *err)
{
    if (!client_partitions(producer->client, topic, 10000, &producer->trouble, &producer->partitions, err))
        return false;
    if (producer->partitions == 0)
        return error_set(err, ERROR_FATAL, "kafka topic %s: there is no such topic, or this user may not see it", topic);
    producer->topic = rd_kafka_topic_new(producer->client, topic, NULL);
    return producer->topic || error_set(err, ERROR_FATAL, "kafka topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
}

struct kafka_producer *kafka_producer_open(const struct kafka_producer_settings *settings, struct error *err)
{
    char queue_kb[32], delivery_ms[32];
    uint32_t queue_bytes = settings->queue_bytes_max ? settings->queue_bytes_max : 64u << 20;
    struct kafka_producer *producer = calloc(1, sizeof *producer);
    invariant(producer);
    producer->delivery_ms = settings->delivery_ms ? settings->delivery_ms : 60000;
    snprintf(queue_kb, sizeof queue_kb, "%u", queue_bytes / 1024);
    snprintf(delivery_ms, sizeof delivery_ms, "%d", producer->delivery_ms);
    const struct kafka_property fixed[] = {
        {"acks", "all"},
        /* Not idempotent: an idempotent librdkafka (2.0 as measured) loses messages where a leader moves. While a request that the old
         * leader refused waits to be sent again, the next one may reach the new leader, which takes any sequence from a producer that
         * it does not know; its success then counts for the earlier messages too ("implicitly acked"). 1 of 16 runs of three brokers
         * restarted in turn lost 5 of 29,560. A message that is sent twice does no harm: the engine drops repeats. */
        {"enable.idempotence", "false"},
        {"max.in.flight.requests.per.connection", "1"}, /* or one sent again stands behind later ones */
        {"linger.ms", "5"},
        {"socket.timeout.ms", "2000"},
        {"queue.buffering.max.kbytes", queue_kb},
        {"delivery.timeout.ms", delivery_ms},
        {NULL, NULL},
    };
    rd_kafka_conf_t *config = client_config(settings->brokers, fixed, settings->extra, err);
    if (config) {
        rd_kafka_conf_set_dr_msg_cb(config, delivery_report);
        rd_kafka_conf_set_error_cb(config, told_of_error);
        rd_kafka_conf_set_opaque(config, producer);
        producer->client = client_new(RD_KAFKA_PRODUCER, config, err);
    }
    if (!producer->client || !find_topic(producer, settings->topic, err)) {
        kafka_producer_close(producer);
        return NULL;
    }
    return producer;
}

int32_t kafka_producer_partitions(const struct kafka_producer *producer)
{
    return producer->partitions;
}

int32_t kafka_producer_choose(const struct kafka_producer *producer, struct slice key)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * 0x100000001b3u;
    /* FNV-1a hardly carries the last characters into its middle bits, and account numbers differ in
     * nothing else: mixed once more, or most partitions stay empty. */
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
    return (int32_t)((hash >> 32) % (uint64_t)producer->partitions);
}

static bool queue_full(struct kafka_producer *producer, int *waited_ms, struct error *err)
{
    uint64_t before = producer->delivered + producer->failed;
    enum { WAIT_MS = 50 };
    rd_kafka_poll(producer->client, WAIT_MS);
    *waited_ms = producer->delivered + producer->failed > before ? 0 : *waited_ms + WAIT_MS;
    return *waited_ms <= producer->delivery_ms ||
           error_set(err, ERROR_RETRY, "kafka took no message for %d s", producer->delivery_ms / 1000);
}

bool kafka_producer_send(struct kafka_producer *producer, int32_t partition, struct slice key, struct slice body, int64_t timestamp_ms,
                         struct error *err)
{
    int waited_ms = 0;
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_producev(
            producer->client, RD_KAFKA_V_RKT(producer->topic), RD_KAFKA_V_PARTITION(partition),
            RD_KAFKA_V_KEY(key.size ? key.data : NULL, key.size), RD_KAFKA_V_VALUE((void *)(uintptr_t)body.data, body.size), RD_KAFKA_V_TIMESTAMP(timestamp_ms),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (!code) {
            rd_kafka_poll(producer->client, 0);
            return true;
        }
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return error_set(err, client_error_class(code), "kafka produce: %s", rd_kafka_err2str(code));
        if (!queue_full(producer, &waited_ms, err))
            return false;
    }
}

bool kafka_producer_heartbeat(struct kafka_producer *producer, int64_t timestamp_ms, struct error *err)
{
    bool ok = true;
    for (int32_t partition = 0; ok && partition < producer->partitions; partition++)
        ok = kafka_producer_send(producer, partition, SLICE(KAFKA_HEARTBEAT_KEY), SLICE(""), timestamp_ms, err);
    return ok;
}

bool kafka_producer_flush(struct kafka_producer *producer, int wait_ms, struct error *err)
{
    rd_kafka_flush(producer->client, wait_ms);
    int left = rd_kafka_outq_len(producer->client);
    if (left > 0)
        return error_set(err, ERROR_RETRY, "kafka: %d messages were not delivered in time", left);
    rd_kafka_resp_err_t code = producer->broken ? producer->broken : producer->first_failure;
    return !producer->failed || error_set(err, client_error_class(code), "kafka: %llu messages were not delivered: %s%s",
                                          (unsigned long long)producer->failed, rd_kafka_err2str(code), client_advice(code));
}

uint64_t kafka_producer_delivered(const struct kafka_producer *producer)
{
    return producer->delivered;
}

uint64_t kafka_producer_failed(const struct kafka_producer *producer)
{
    return producer->failed;
}

void kafka_producer_close(struct kafka_producer *producer)
{
    if (producer->topic)
        rd_kafka_topic_destroy(producer->topic);
    if (producer->client)
        client_destroy(producer->client, 3000);
    free(producer);
}
