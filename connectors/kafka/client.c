/* Configuration, metadata and ending of Kafka clients. */
#include "connectors/kafka/client.h"

#include "engine/base/invariant.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ASK_MS = 1000, ASK_AGAIN_MS = 100 };

/* librdkafka would print its own lines to standard error; ours are JSON and come from the pipeline. */
static void discard_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client, (void)level, (void)facility, (void)text;
}

static bool set_property(rd_kafka_conf_t *config, const char *name, const char *value, struct error *err)
{
    char text[256];
    if (rd_kafka_conf_set(config, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return true;
    return error_set(err, ERROR_FATAL, "kafka property %s: %s", name, text);
}

static bool is_fixed(const struct kafka_property *fixed, const char *name, size_t size)
{
    for (; fixed->name; fixed++)
        if (strlen(fixed->name) == size && memcmp(fixed->name, name, size) == 0)
            return true;
    return false;
}

static bool set_extra(rd_kafka_conf_t *config, const struct kafka_property *fixed, const char *pair, struct error *err)
{
    char name[128];
    const char *equals = strchr(pair, '=');
    size_t size = equals ? (size_t)(equals - pair) : 0;
    if (size == 0 || size >= sizeof name)
        return error_set(err, ERROR_FATAL, "a kafka property must read name=value");
    memcpy(name, pair, size);
    name[size] = '\0';
    if (is_fixed(fixed, name, size))
        return error_set(err, ERROR_FATAL, "kafka property %s is Muster's own and cannot be set", name);
    return set_property(config, name, equals + 1, err);
}

rd_kafka_conf_t *client_config(const char *brokers, const struct kafka_property *fixed,
                               const char *const *extra, struct error *err)
{
    rd_kafka_conf_t *config = rd_kafka_conf_new();
    bool ok = (!brokers || set_property(config, "bootstrap.servers", brokers, err)) &&
              set_property(config, "client.id", "muster", err) &&
              set_property(config, "broker.address.family", "any", err) &&
              set_property(config, "reconnect.backoff.ms", "50", err) &&
              set_property(config, "reconnect.backoff.max.ms", "500", err);
    for (const struct kafka_property *p = fixed; ok && p->name; p++)
        ok = set_property(config, p->name, p->value, err);
    for (; ok && extra && *extra; extra++)
        ok = set_extra(config, fixed, *extra, err);
    if (!ok) {
        rd_kafka_conf_destroy(config);
        return NULL;
    }
    rd_kafka_conf_set_log_cb(config, discard_log);
    return config;
}

rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *config, struct error *err)
{
    char text[256];
    rd_kafka_t *client = rd_kafka_new(type, config, text, sizeof text);
    if (!client) {
        rd_kafka_conf_destroy(config);
        error_set(err, ERROR_FATAL, "kafka client: %s", text);
    }
    return client;
}

enum error_class client_error_class(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return ERROR_FATAL;
    default:
        return ERROR_RETRY;
    }
}

const char *client_advice(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__SSL:
        return "; check kafka_ca_file, kafka_cert_file and kafka_key_file, and that kafka_brokers names this listener";
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        return "; check kafka_sasl_user and kafka_sasl_password_file, and that kafka_brokers names this listener";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return "; the brokers' ACLs must allow this user Describe, with Read and DescribeConfigs for the engine, Write for a feeder";
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        return "; the brokers' ACLs must allow this user Read on the group named by kafka_group";
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return "; the brokers' ACLs allow this user to write no topic at all: a feeder needs Write on its own";
    case RD_KAFKA_RESP_ERR__TRANSPORT:
        return "; check that a broker runs at kafka_brokers and that kafka_security fits it: one that wants a certificate "
               "(kafka_cert_file) just hangs up";
    default:
        return "";
    }
}

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void client_note_trouble(struct client_trouble *trouble, int code, const char *reason)
{
    if (code != RD_KAFKA_RESP_ERR__SSL && code != RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return;
    trouble->code = code;
    (void)snprintf(trouble->reason, sizeof trouble->reason, "%s", reason);
}

/* One question; waits up to wait_ms for its answer. */
static rd_kafka_resp_err_t ask_partitions(rd_kafka_t *client, rd_kafka_topic_t *topic, int wait_ms, int32_t *count)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, topic, &metadata, wait_ms);
    if (code)
        return code;
    invariant(metadata->topic_cnt == 1);
    code = metadata->topics[0].err;
    *count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        *count = code = 0;
    return code;
}

bool client_partitions(rd_kafka_t *client, const char *name, int wait_ms, struct client_trouble *trouble, int32_t *count,
                       struct error *err)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    if (!topic)
        return error_set(err, ERROR_FATAL, "kafka topic %s: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
    int64_t until_ms = monotonic_ms() + wait_ms, left_ms = wait_ms;
    rd_kafka_resp_err_t code;
    /* a broker that refuses the connection answers at once: it may be on its way up */
    for (;;) {
        code = ask_partitions(client, topic, left_ms < ASK_MS ? (int)left_ms : ASK_MS, count);
        rd_kafka_poll(client, 0);
        left_ms = until_ms - monotonic_ms() - ASK_AGAIN_MS;
        if (!code || client_error_class(code) != ERROR_RETRY || trouble->code || left_ms <= 0)
            break;
        nanosleep(&(struct timespec){0, ASK_AGAIN_MS * 1000000}, NULL);
    }
    rd_kafka_topic_destroy(topic);
    bool refused = code && trouble->code;
    if (refused)
        error_set(err, ERROR_FATAL, "kafka: %s%s", trouble->reason, client_advice(trouble->code));
    else if (code)
        error_set(err, client_error_class(code), "kafka topic %s: %s%s", name, rd_kafka_err2str(code), client_advice(code));
    *trouble = (struct client_trouble){0};
    return !code;
}

/* The thread that destroys; the last of the two to let go frees this. */
struct ending {
    rd_kafka_t *client;
    atomic_bool done;
    atomic_int held;
};

static void ending_release(struct ending *ending)
{
    if (atomic_fetch_sub(&ending->held, 1) == 1)
        free(ending);
}

static void *ending_run(void *argument)
{
    struct ending *ending = argument;
    rd_kafka_destroy_flags(ending->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    atomic_store(&ending->done, true);
    ending_release(ending);
    return NULL;
}

bool client_destroy(rd_kafka_t *client, int deadline_ms)
{
    struct ending *ending = calloc(1, sizeof *ending);
    pthread_t thread;
    invariant(ending);
    ending->client = client;
    atomic_store(&ending->held, 2);
    if (pthread_create(&thread, NULL, ending_run, ending) != 0) {
        free(ending);
        return false;
    }
    for (int waited_ms = 0; waited_ms < deadline_ms && !atomic_load(&ending->done); waited_ms += 5)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    bool done = atomic_load(&ending->done);
    if (done)
        pthread_join(thread, NULL);
    else
        pthread_detach(thread);
    ending_release(ending);
    return done;
}
