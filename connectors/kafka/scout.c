/* A client that only asks: metadata of topics, and their cleanup.policy when they turn up. */
#include "connectors/kafka/scout.h"

#include "connectors/kafka/client.h"
#include "engine/base/invariant.h"
#include "engine/base/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIRST_WAIT_MS = 10000, LATER_WAIT_MS = 1000, CONFIG_WAIT_MS = 5000, CLOSE_MS = 3000, REFRESH_MS = 10000 };

struct scout {
    rd_kafka_t *client;
    struct client_trouble trouble; /* what TLS or SASL said; whoever asks serves it */
    char **topic;
    bool *facts;                  /* a topic of facts may be compacted: corrected rows are what goes */
    uint32_t topic_count;
    uint32_t refresh_ms;

    pthread_mutex_t asking;        /* one question at a time */
    pthread_mutex_t lock;          /* the rest */
    pthread_cond_t changed;
    int32_t *partitions;
    struct error refused;
    bool ending;
    pthread_t thread;
    bool has_thread;
    atomic_bool news;
};

/* --- cleanup.policy --- */

static bool judge_policy(const rd_kafka_ConfigResource_t *resource, const char *topic, struct error *err)
{
    size_t count;
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resource);
    if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED || code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
        return error_set(err, ERROR_FATAL, "kafka topic %s: its cleanup.policy cannot be read: allow DescribeConfigs on it", topic);
    if (code)
        return error_set(err, ERROR_RETRY, "kafka topic %s: its settings: %s", topic, rd_kafka_err2str(code));
    const rd_kafka_ConfigEntry_t **entry = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entry[i]);
        if (strcmp(rd_kafka_ConfigEntry_name(entry[i]), "cleanup.policy") == 0 && value && strstr(value, "compact"))
            return error_set(err, ERROR_FATAL,
                             "kafka topic %s has cleanup.policy=%s: Kafka would delete all but the newest event of each key; "
                             "set it to delete", topic, value);
    }
    return true;
}

static bool judge_answer(rd_kafka_event_t *answer, const char *topic, struct error *err)
{
    size_t count = 0;
    if (!answer)
        return error_set(err, ERROR_RETRY, "kafka topic %s: no broker tells its settings", topic);
    rd_kafka_resp_err_t code = rd_kafka_event_error(answer);
    if (code)
        return error_set(err, ERROR_RETRY, "kafka topic %s: its settings: %s", topic, rd_kafka_err2str(code));
    const rd_kafka_ConfigResource_t **resource = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(answer), &count);
    return count != 1 || judge_policy(resource[0], topic, err);
}

/* librdkafka's mock never answers questions for settings; it compacts nothing. */
static bool is_mock(const struct scout *scout)
{
    char *id = rd_kafka_clusterid(scout->client, CONFIG_WAIT_MS);
    bool mock = id && strncmp(id, "mockCluster", 11) == 0;
    if (id)
        rd_kafka_mem_free(scout->client, id);
    return mock;
}

static bool check_policy(const struct scout *scout, const char *topic, struct error *err)
{
    char text[128];
    if (is_mock(scout))
        return true;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(scout->client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(scout->client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    invariant(!rd_kafka_AdminOptions_set_request_timeout(options, CONFIG_WAIT_MS, text, sizeof text));
    rd_kafka_DescribeConfigs(scout->client, &resource, 1, options, queue);
    rd_kafka_event_t *answer = rd_kafka_queue_poll(queue, CONFIG_WAIT_MS + 1000);
    bool ok = judge_answer(answer, topic, err);
    if (answer)
        rd_kafka_event_destroy(answer);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return ok;
}

/* --- asking --- */

static bool ask_topic(struct scout *scout, uint32_t index, int wait_ms, struct error *err)
{
    int32_t count = 0;
    const char *topic = scout->topic[index];
    pthread_mutex_lock(&scout->lock);
    int32_t before = scout->partitions[index];
    pthread_mutex_unlock(&scout->lock);
    if (!client_partitions(scout->client, topic, wait_ms, &scout->trouble, &count, err))
        return false;
    if (count == before)
        return true;
    bool ok = before > 0 || scout->facts[index] || check_policy(scout, topic, err);
    if (!ok && err->class != ERROR_FATAL)
        return false;
    pthread_mutex_lock(&scout->lock);
    if (ok)
        scout->partitions[index] = count;
    else
        scout->refused = *err;
    pthread_mutex_unlock(&scout->lock);
    atomic_store(&scout->news, true);
    return ok;
}

/* All topics in turn, as long as the brokers answer. */
static bool ask(struct scout *scout, int wait_ms, struct error *err)
{
    bool ok = true;
    pthread_mutex_lock(&scout->asking);
    for (uint32_t i = 0; ok && i < scout->topic_count; i++)
        ok = ask_topic(scout, i, wait_ms, err);
    pthread_mutex_unlock(&scout->asking);
    return ok;
}

/* Whatever keeps the brokers away, the source sees by itself. */
void scout_ask(struct scout *scout)
{
    struct error err = {0};
    (void)!ask(scout, LATER_WAIT_MS, &err);
}

static bool wait_for_turn(struct scout *scout)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += scout->refresh_ms / 1000;
    until.tv_nsec += (long)(scout->refresh_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&scout->lock);
    while (!scout->ending && pthread_cond_timedwait(&scout->changed, &scout->lock, &until) == 0)
        continue;
    bool ending = scout->ending;
    pthread_mutex_unlock(&scout->lock);
    return !ending;
}

static void *scout_run(void *argument)
{
    thread_name("muster-scout");
    while (wait_for_turn(argument))
        scout_ask(argument);
    return NULL;
}

bool scout_news(struct scout *scout, int32_t *partitions, struct error *err)
{
    if (!atomic_exchange(&scout->news, false))
        return false;
    pthread_mutex_lock(&scout->lock);
    memcpy(partitions, scout->partitions, scout->topic_count * sizeof *partitions);
    if (scout->refused.class)
        *err = scout->refused;
    pthread_mutex_unlock(&scout->lock);
    return true;
}

/* --- opening and closing --- */

/* Called from rd_kafka_poll. */
static void told_of_error(rd_kafka_t *client, int code, const char *reason, void *context)
{
    struct scout *scout = context;
    (void)client;
    client_note_trouble(&scout->trouble, code, reason);
}

static struct scout *scout_new(const struct kafka_source_settings *settings)
{
    struct scout *scout = calloc(1, sizeof *scout);
    pthread_condattr_t by_monotonic;
    invariant(scout);
    scout->topic_count = settings->topic_count;
    scout->refresh_ms = settings->refresh_ms ? settings->refresh_ms : REFRESH_MS;
    scout->topic = calloc(settings->topic_count + 1u, sizeof *scout->topic);
    scout->facts = calloc(settings->topic_count + 1u, sizeof *scout->facts);
    scout->partitions = calloc(settings->topic_count + 1u, sizeof *scout->partitions);
    invariant(scout->topic && scout->facts && scout->partitions);
    for (uint32_t i = 0; i < settings->topic_count; i++) {
        scout->topic[i] = strdup(settings->topic[i].name);
        scout->facts[i] = settings->topic[i].facts;
        invariant(scout->topic[i]);
    }
    pthread_mutex_init(&scout->asking, NULL);
    pthread_mutex_init(&scout->lock, NULL);
    pthread_condattr_init(&by_monotonic);
    pthread_condattr_setclock(&by_monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&scout->changed, &by_monotonic);
    pthread_condattr_destroy(&by_monotonic);
    return scout;
}

struct scout *scout_open(const struct kafka_source_settings *settings, struct error *err)
{
    /* a consumer: a producer's question would have some brokers make the topic */
    const struct kafka_property fixed[] = {
        {"socket.timeout.ms", "2000"}, {"socket.connection.setup.timeout.ms", CLIENT_SETUP_MS}, {NULL, NULL}};
    struct scout *scout = scout_new(settings);
    rd_kafka_conf_t *config = client_config(settings->brokers, fixed, settings->extra, err);
    if (config) {
        rd_kafka_conf_set_error_cb(config, told_of_error);
        rd_kafka_conf_set_opaque(config, scout);
        scout->client = client_new(RD_KAFKA_CONSUMER, config, err);
    }
    bool ok = scout->client && ask(scout, FIRST_WAIT_MS, err);
    if (ok) {
        scout->has_thread = pthread_create(&scout->thread, NULL, scout_run, scout) == 0;
        ok = scout->has_thread || error_set(err, ERROR_FATAL, "no thread could be started");
    }
    if (ok)
        return scout;
    scout_close(scout);
    return NULL;
}

void scout_close(struct scout *scout)
{
    if (!scout)
        return;
    pthread_mutex_lock(&scout->lock);
    scout->ending = true;
    pthread_cond_signal(&scout->changed);
    pthread_mutex_unlock(&scout->lock);
    if (scout->has_thread)
        pthread_join(scout->thread, NULL);
    if (scout->client)
        client_destroy(scout->client, CLOSE_MS);
    for (uint32_t i = 0; i < scout->topic_count; i++)
        free(scout->topic[i]);
    free(scout->topic);
    free(scout->facts);
    free(scout->partitions);
    pthread_mutex_destroy(&scout->asking);
    pthread_mutex_destroy(&scout->lock);
    pthread_cond_destroy(&scout->changed);
    free(scout);
}
