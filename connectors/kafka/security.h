/* How a Kafka client proves who it is and whom it believes: from the settings kafka_security and its
 * neighbours to librdkafka's properties.
 *
 * Everything is checked before a broker is spoken to, and each error says what to do. Secrets come from
 * files of mode 0600 (or 0400) only; none appears in an error text. */
#ifndef CONNECTORS_KAFKA_SECURITY_H
#define CONNECTORS_KAFKA_SECURITY_H

#include "engine/base/error.h"

/* Texts as the operator gave them; "" where not given. */
struct kafka_security_settings {
    const char *protocol;          /* "plaintext", "ssl" (mutual TLS when a certificate is given) or "sasl_ssl" */
    const char *ca_file;           /* PEM: whom we believe */
    const char *cert_file, *key_file;
    const char *key_password_file; /* "": the key is not sealed */
    const char *sasl_mechanism;    /* "PLAIN", or "SCRAM-SHA-256" and "-512" where librdkafka can */
    const char *sasl_user, *sasl_password_file;
};

struct kafka_security;

/* NULL with ERROR_FATAL when the settings do not fit together, a file cannot be read or is open to others. */
struct kafka_security *kafka_security_open(const struct kafka_security_settings *settings, struct error *err) must_check;
/* "name=value" texts, NULL-terminated, as the settings of source and producer take them. They live as long as the security. */
const char *const *kafka_security_properties(const struct kafka_security *security);
/* Wipes and frees. */
void kafka_security_close(struct kafka_security *security);

#endif
