/* Settings to the Kafka connector's own. */
#include "engine/cli/kafka_security_of.h"

struct kafka_security *kafka_security_of(const struct settings *settings, struct error *err)
{
    const struct kafka_security_settings security = {
        .protocol = settings->kafka_security,
        .ca_file = settings->kafka_ca_file,
        .cert_file = settings->kafka_cert_file,
        .key_file = settings->kafka_key_file,
        .key_password_file = settings->kafka_key_password_file,
        .sasl_mechanism = settings->kafka_sasl_mechanism,
        .sasl_user = settings->kafka_sasl_user,
        .sasl_password_file = settings->kafka_sasl_password_file,
    };
    return kafka_security_open(&security, err);
}
