/* What the settings say about speaking to Kafka safely, for the commands that do. */
#ifndef ENGINE_CLI_KAFKA_SECURITY_OF_H
#define ENGINE_CLI_KAFKA_SECURITY_OF_H

#include "connectors/kafka/security.h"
#include "engine/base/settings.h"

/* NULL with what to do in err. The caller closes it. */
struct kafka_security *kafka_security_of(const struct settings *settings, struct error *err) must_check;

#endif
