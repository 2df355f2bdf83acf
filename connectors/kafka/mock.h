/* A Kafka cluster for demos and tests: librdkafka's mock, the real protocol on loopback.
 *
 * Memory only; keeps 5 MiB per partition and drops older records in silence; no transactions, no
 * TLS. Topics are created here, for its CreateTopics never answers. */
#ifndef CONNECTORS_KAFKA_MOCK_H
#define CONNECTORS_KAFKA_MOCK_H

#include "engine/base/error.h"

enum { MOCK_PARTITION_BYTES_MAX = 5 * 1024 * 1024 };

struct kafka_mock;

struct kafka_mock *kafka_mock_open(int brokers, struct error *err) must_check;
/* "127.0.0.1:40123,…"; lives as long as the mock. */
const char *kafka_mock_address(const struct kafka_mock *mock);
bool kafka_mock_topic(struct kafka_mock *mock, const char *name, int partitions, struct error *err) must_check;
/* Cuts every broker off (or back on): connections close, new ones are refused. */
bool kafka_mock_reachable(struct kafka_mock *mock, bool reachable, struct error *err) must_check;
void kafka_mock_close(struct kafka_mock *mock);

#endif
