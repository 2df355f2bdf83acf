/* What every Kafka client here has in common: how it is configured and how its errors read.
 *
 * Private to connectors/kafka, the only place that includes librdkafka. */
#ifndef CONNECTORS_KAFKA_CLIENT_H
#define CONNECTORS_KAFKA_CLIENT_H

#include "engine/base/error.h"

#include <librdkafka/rdkafka.h>

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

/* client_partitions asks the brokers how many partitions the topic has, waiting up to wait_ms. */
bool client_partitions(rd_kafka_t *client, const char *topic, int wait_ms, int32_t *count,
                       struct error *err) must_check;

/* client_destroy destroys within deadline_ms or, when librdkafka does not come back, leaves the
 * client to the end of the process (known hangs of 2.0.2). Returns false in that case. */
bool client_destroy(rd_kafka_t *client, int deadline_ms);

/* client_error_class: may this error pass by itself? */
enum error_class client_error_class(rd_kafka_resp_err_t code);

#endif
