/* What the files of the Kafka source share. Included by connectors/kafka/source*.c only. */
#ifndef CONNECTORS_KAFKA_SOURCE_PRIVATE_H
#define CONNECTORS_KAFKA_SOURCE_PRIVATE_H

#include "connectors/kafka/client.h"
#include "connectors/kafka/scout.h"
#include "connectors/kafka/source.h"

#include <stdatomic.h>

/* One partition at work. */
struct line {
    rd_kafka_queue_t *queue;
    rd_kafka_message_t *head; /* taken from the queue, not delivered yet */
    int64_t expected;         /* next offset; -1: whatever the log begins with */
    int64_t end;              /* where the broker said that nothing follows; -1: it did not */
    int64_t newest_ms;        /* broker time of the last message delivered; INT64_MIN before */
    int64_t starved_since_ms; /* monotonic; when it owed messages and had none; 0: not starved */
    bool at_end;              /* told everything the broker has */
    bool assigned;
    bool wanted;              /* takes part in this assignment */
    atomic_int_least64_t lag, shown_newest_ms; /* the rest is for people; written by the source's thread */
    atomic_uint_least64_t messages, gaps, heartbeats;
};

struct kafka_source {
    struct source seam;
    struct kafka_source_settings settings; /* texts are the caller's */
    struct kafka_topic *topic;             /* of the settings, by name */
    struct partition_table table;
    atomic_uint known;        /* the table's count, for other threads */
    struct scout *scout;
    int32_t *partitions;      /* by topic of the settings, as the scout last said */
    rd_kafka_t *client;
    rd_kafka_queue_t *events; /* errors and everything that belongs to no partition */
    struct line *line;        /* by partition, room for all there can be */
    int wake;                 /* eventfd: something came into an empty queue */
    uint32_t turn;            /* the partition to begin with, so that none is favoured */
    int64_t ahead_ms;
    uint32_t recovery_wait_ms;
    bool seeking;             /* seek was called: new partitions join by themselves */
    int64_t shown_ms, measured_ms;
    struct error trouble;     /* told by librdkafka since the last poll */
};

int64_t source_now_ms(void); /* monotonic */

/* Assigns the wanted partitions at their expected offsets, replacing whatever was assigned. What an
 * older assignment still delivers falls below `expected` or is out of its turn, and is dropped. */
bool source_assign(struct kafka_source *source, struct error *err) must_check;

/* source.c: fills the seam in. */
void source_bind(struct kafka_source *source);
/* source_open.c */
void source_close(void *self);

/* source_open.c: takes what the scout found into the table; the client is then made anew, for the size of
 * its queues depends on how many partitions there are. False when something found cannot be read. */
bool source_grow(struct kafka_source *source, struct error *err) must_check;

/* source_show.c: what people watch: the group's positions, lags. Called often. */
void source_show(struct kafka_source *source);

/* Callback for librdkafka's errors; context is the source. */
void source_told_of_error(rd_kafka_t *client, int code, const char *reason, void *context);

#endif
