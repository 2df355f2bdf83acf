/* librdkafka's mock cluster behind five functions. */
#include "connectors/kafka/mock.h"

#include "connectors/kafka/client.h"
#include "engine/base/invariant.h"

#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

struct kafka_mock {
    rd_kafka_t *host; /* a mock cluster lives inside some client */
    rd_kafka_mock_cluster_t *cluster;
    int brokers;
};

struct kafka_mock *kafka_mock_open(int brokers, struct error *err)
{
    struct kafka_mock *mock = calloc(1, sizeof *mock);
    invariant(mock);
    const struct kafka_property none = {NULL, NULL};
    rd_kafka_conf_t *config = client_config(NULL, &none, NULL, err);
    mock->host = config ? client_new(RD_KAFKA_PRODUCER, config, err) : NULL;
    if (!mock->host) {
        free(mock);
        return NULL;
    }
    mock->brokers = brokers;
    mock->cluster = rd_kafka_mock_cluster_new(mock->host, brokers);
    if (!mock->cluster) {
        error_set(err, ERROR_FATAL, "the mock cluster could not listen on 127.0.0.1");
        kafka_mock_close(mock);
        return NULL;
    }
    return mock;
}

const char *kafka_mock_address(const struct kafka_mock *mock)
{
    return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

bool kafka_mock_topic(struct kafka_mock *mock, const char *name, int partitions, struct error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(mock->cluster, name, partitions, mock->brokers);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
           error_set(err, ERROR_FATAL, "mock topic %s: %s", name, rd_kafka_err2str(code));
}

bool kafka_mock_reachable(struct kafka_mock *mock, bool reachable, struct error *err)
{
    rd_kafka_resp_err_t code = reachable ? rd_kafka_mock_broker_set_up(mock->cluster, -1)
                                         : rd_kafka_mock_broker_set_down(mock->cluster, -1);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ||
           error_set(err, ERROR_FATAL, "mock brokers: %s", rd_kafka_err2str(code));
}

void kafka_mock_close(struct kafka_mock *mock)
{
    if (mock->cluster)
        rd_kafka_mock_cluster_destroy(mock->cluster);
    client_destroy(mock->host, 3000);
    free(mock);
}
