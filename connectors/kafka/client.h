/* What every Kafka client here has in common: how it is configured and how its errors read.
 *
 * Private to connectors/kafka, the only place that includes librdkafka. */
#ifndef CONNECTORS_KAFKA_CLIENT_H
#define CONNECTORS_KAFKA_CLIENT_H

#include "engine/base/error.h"

#include <librdkafka/rdkafka.h>

/* A record with this key says only that its feeder is alive. */
#define KAFKA_HEARTBEAT_KEY "muster-heartbeat"

/* How long a connection, its TLS and its SASL may take to come about, in ms: TCP sends again after 1, 3, 7 s, so an attempt
 * begun in a cut of the network is better given up and begun anew. */
#define CLIENT_SETUP_MS "2000"

/* One librdkafka property. Lists of them end with a NULL name. */
struct kafka_property {
    const char *name, *value;
};

/* client_config makes a configuration from `brokers`, our own `fixed` properties and the operator's
 * `extra` ones ("name=value", NULL-terminated, may be NULL: security, client id). The operator cannot
 * override what is fixed. `brokers` is NULL for a client that talks to none. NULL on error. The caller owns it until rd_kafka_new takes it. */
rd_kafka_conf_t *client_config(const char *brokers, const struct kafka_property *fixed,
                               const char *const *extra, struct error *err) must_check;

/* client_new makes a client and takes `config` in every case. NULL on error. */
rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *config, struct error *err) must_check;

/* What TLS or SASL said last: librdkafka itself goes on trying for ever. Belongs to the thread that polls. */
struct client_trouble {
    rd_kafka_resp_err_t code;
    char reason[256];
};
/* For error callbacks: keeps what is about TLS or SASL. */
void client_note_trouble(struct client_trouble *trouble, int code, const char *reason);

/* client_partitions asks the brokers how many partitions the topic has, waiting up to wait_ms; 0 when there
 * is no such topic. Serves callbacks; what `trouble` (of the client's error callback) then holds ends it. */
bool client_partitions(rd_kafka_t *client, const char *topic, int wait_ms, struct client_trouble *trouble, int32_t *count,
                       struct error *err) must_check;

/* client_destroy destroys within deadline_ms or, when librdkafka does not come back, leaves the
 * client to the end of the process (known hangs of 2.0.2). Returns false in that case. */
bool client_destroy(rd_kafka_t *client, int deadline_ms);

/* client_error_class: may this error pass by itself? */
enum error_class client_error_class(rd_kafka_resp_err_t code);

/* "; what to do" about an error, or "". */
const char *client_advice(rd_kafka_resp_err_t code);

#endif
