/* Checks security settings and their files, and spells them as librdkafka's properties. */
#include "connectors/kafka/security.h"

#include "connectors/kafka/client.h"
#include "engine/base/invariant.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PROPERTY_MAX = 12,
    SECRET_BYTES_MAX = 1024,
    SCRAM_SOUND_SINCE = 0x02060100, /* before, the server's nonce was doubled, and Kafka 3.8.1 and later refuse that */
};

struct kafka_security {
    char *property[PROPERTY_MAX + 1];
    uint32_t count;
};

static void add(struct kafka_security *security, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 2;
    char *text = malloc(size);
    invariant(text && security->count < PROPERTY_MAX);
    (void)snprintf(text, size, "%s=%s", name, value);
    security->property[security->count++] = text;
}

static bool given(const char *text)
{
    return text && *text;
}

/* --- files --- */

/* Opens a file for reading; a secret one must be closed to everybody but its owner. -1 on error. */
static int open_checked(const char *setting, const char *path, bool secret, struct error *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        error_errno(err, ERROR_FATAL, "%s %s", setting, path);
        return -1;
    }
    bool ok = fstat(fd, &info) == 0 || error_errno(err, ERROR_FATAL, "%s %s", setting, path);
    if (ok && !S_ISREG(info.st_mode))
        ok = error_set(err, ERROR_FATAL, "%s %s is not a file", setting, path);
    else if (ok && secret && (info.st_mode & 077) != 0)
        ok = error_set(err, ERROR_FATAL, "%s %s can be read by others (mode %04o): run chmod 600 on it", setting, path,
                       (unsigned)(info.st_mode & 07777));
    if (ok)
        return fd;
    close(fd);
    return -1;
}

static bool check_file(const char *setting, const char *path, bool secret, struct error *err)
{
    int fd = open_checked(setting, path, secret, err);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The first line of a secret file, without its end. */
static bool read_secret(const char *setting, const char *path, char secret[SECRET_BYTES_MAX + 1], struct error *err)
{
    int fd = open_checked(setting, path, true, err);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, secret, SECRET_BYTES_MAX + 1);
    close(fd);
    if (size < 0)
        return error_errno(err, ERROR_FATAL, "%s %s", setting, path);
    while (size > 0 && (secret[size - 1] == '\n' || secret[size - 1] == '\r'))
        size--;
    if (size == 0 || size > SECRET_BYTES_MAX || memchr(secret, '\0', (size_t)size) || memchr(secret, '\n', (size_t)size))
        return error_set(err, ERROR_FATAL, "%s %s must hold one line of 1 to %d bytes", setting, path, SECRET_BYTES_MAX);
    secret[size] = '\0';
    return true;
}

static bool add_secret(struct kafka_security *security, const char *name, const char *setting, const char *path, struct error *err)
{
    char secret[SECRET_BYTES_MAX + 1];
    bool ok = read_secret(setting, path, secret, err);
    if (ok)
        add(security, name, secret);
    explicit_bzero(secret, sizeof secret);
    return ok;
}

/* --- what fits together --- */

static bool check_plaintext(const struct kafka_security_settings *s, struct error *err)
{
    const char *const useless[] = {s->ca_file, s->cert_file, s->key_file, s->key_password_file, s->sasl_user, s->sasl_password_file};
    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++)
        if (given(useless[i]))
            return error_set(err, ERROR_FATAL, "certificates or passwords for Kafka are set, but kafka_security is plaintext: "
                                               "set it to ssl or sasl_ssl, or take them away");
    return true;
}

static bool add_tls(struct kafka_security *security, const struct kafka_security_settings *s, struct error *err)
{
    if (!given(s->ca_file))
        return error_set(err, ERROR_FATAL, "kafka_security is %s: kafka_ca_file must name the authority that signed the brokers' "
                                           "certificates", s->protocol);
    if (given(s->cert_file) != given(s->key_file))
        return error_set(err, ERROR_FATAL, "kafka_cert_file and kafka_key_file go together: give both, or neither");
    if (given(s->key_password_file) && !given(s->key_file))
        return error_set(err, ERROR_FATAL, "kafka_key_password_file is set without kafka_key_file");
    if (!check_file("kafka_ca_file", s->ca_file, false, err))
        return false;
    add(security, "ssl.ca.location", s->ca_file);
    add(security, "ssl.endpoint.identification.algorithm", "https");
    if (!given(s->cert_file))
        return true;
    if (!check_file("kafka_cert_file", s->cert_file, false, err) || !check_file("kafka_key_file", s->key_file, true, err))
        return false;
    add(security, "ssl.certificate.location", s->cert_file);
    add(security, "ssl.key.location", s->key_file);
    return !given(s->key_password_file) ||
           add_secret(security, "ssl.key.password", "kafka_key_password_file", s->key_password_file, err);
}

static bool check_mechanism(const char *mechanism, struct error *err)
{
    bool scram = strcmp(mechanism, "SCRAM-SHA-256") == 0 || strcmp(mechanism, "SCRAM-SHA-512") == 0;
    if (scram && rd_kafka_version() < SCRAM_SOUND_SINCE)
        return error_set(err, ERROR_FATAL, "kafka_sasl_mechanism %s needs librdkafka 2.6.1 or later (this is %s; its SCRAM doubles the "
                                           "server's nonce, which Kafka refuses): use a client certificate, or PLAIN",
                         mechanism, rd_kafka_version_str());
    return scram || strcmp(mechanism, "PLAIN") == 0 ||
           error_set(err, ERROR_FATAL, "kafka_sasl_mechanism takes PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, not `%s`", mechanism);
}

static bool add_sasl(struct kafka_security *security, const struct kafka_security_settings *s, struct error *err)
{
    if (!check_mechanism(s->sasl_mechanism, err))
        return false;
    if (!given(s->sasl_user) || !given(s->sasl_password_file))
        return error_set(err, ERROR_FATAL, "kafka_security is sasl_ssl: kafka_sasl_user and kafka_sasl_password_file must be given");
    add(security, "sasl.mechanisms", s->sasl_mechanism);
    add(security, "sasl.username", s->sasl_user);
    return add_secret(security, "sasl.password", "kafka_sasl_password_file", s->sasl_password_file, err);
}

static bool add_all(struct kafka_security *security, const struct kafka_security_settings *s, struct error *err)
{
    bool ssl = strcmp(s->protocol, "ssl") == 0, sasl = strcmp(s->protocol, "sasl_ssl") == 0;
    if (strcmp(s->protocol, "plaintext") == 0)
        return check_plaintext(s, err);
    if (strcmp(s->protocol, "sasl_plaintext") == 0)
        return error_set(err, ERROR_FATAL, "kafka_security sasl_plaintext would send the password in the clear: use sasl_ssl");
    if (!ssl && !sasl)
        return error_set(err, ERROR_FATAL, "kafka_security takes plaintext, ssl or sasl_ssl, not `%s`", s->protocol);
    if (ssl && (given(s->sasl_user) || given(s->sasl_password_file)))
        return error_set(err, ERROR_FATAL, "kafka_sasl_user or kafka_sasl_password_file is set, but kafka_security is ssl: "
                                           "set it to sasl_ssl, or take them away");
    add(security, "security.protocol", s->protocol);
    return add_tls(security, s, err) && (!sasl || add_sasl(security, s, err));
}

struct kafka_security *kafka_security_open(const struct kafka_security_settings *settings, struct error *err)
{
    struct kafka_security *security = calloc(1, sizeof *security);
    invariant(security);
    if (add_all(security, settings, err))
        return security;
    kafka_security_close(security);
    return NULL;
}

const char *const *kafka_security_properties(const struct kafka_security *security)
{
    return (const char *const *)security->property;
}

void kafka_security_close(struct kafka_security *security)
{
    if (!security)
        return;
    for (uint32_t i = 0; i < security->count; i++) {
        explicit_bzero(security->property[i], strlen(security->property[i]));
        free(security->property[i]);
    }
    free(security);
}
