/* The scout asks the brokers now and then how many partitions the topics have: first when it is opened,
 * then on a thread of its own, for such a question may outlive its time limit (librdkafka 2.0.2).
 *
 * It also refuses a topic whose cleanup.policy is compact: Kafka would delete all but the newest message
 * of each key. Private to connectors/kafka. Opened, asked and closed by the source's thread. */
#ifndef CONNECTORS_KAFKA_SCOUT_H
#define CONNECTORS_KAFKA_SCOUT_H

#include "connectors/kafka/source.h"

struct scout;

/* Waits up to 10 s for the brokers; ERROR_RETRY when none answers. A topic that is not there (yet) is no error. */
struct scout *scout_open(const struct kafka_source_settings *settings, struct error *err) must_check;
/* True when there are news since the last call: partitions[i] of topic i of the settings (0: no such topic).
 * With err.class ERROR_FATAL: a topic has turned up that cannot be read. */
bool scout_news(struct scout *scout, int32_t *partitions, struct error *err);
/* Asks now, for at most a second; what is new comes with the next scout_news. */
void scout_ask(struct scout *scout);
void scout_close(struct scout *scout);

#endif
