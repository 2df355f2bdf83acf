/* `muster mock-kafka`: an embedded Kafka for demos and tests, until told to stop. */
#include "connectors/kafka/mock.h"
#include "engine/cli/command.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* "NAME:PARTITIONS" */
static bool parse_topic(const char *text, char name[256], int *partitions)
{
    const char *colon = strrchr(text, ':');
    char *end;
    if (!colon || colon == text || colon - text >= 256)
        return false;
    memcpy(name, text, (size_t)(colon - text));
    name[colon - text] = '\0';
    errno = 0;
    long count = strtol(colon + 1, &end, 10);
    *partitions = (int)count;
    return !errno && end != colon + 1 && *end == '\0' && count >= 1 && count <= 1024;
}

static int make_topics(const struct command_line *line, struct kafka_mock *mock)
{
    const char *text;
    struct error err = {0};
    for (int i = 0; (text = command_option_nth(line, "topic", i)); i++) {
        char name[256];
        int partitions;
        if (!parse_topic(text, name, &partitions))
            return command_fail(line, EXIT_USAGE, "--topic takes NAME:PARTITIONS, not `%s`", text);
        if (!kafka_mock_topic(mock, name, partitions, &err))
            return command_fail(line, EXIT_WORLD, "%s", err.text);
    }
    return EXIT_FINE;
}

/* The file appears whole or not at all, so that whoever waits for it never reads half an address. */
static bool write_address(const char *path, const char *address, struct error *err)
{
    char temporary[4096];
    int size = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (size < 0 || (size_t)size >= sizeof temporary)
        return error_set(err, ERROR_FATAL, "the name of the port file is too long");
    FILE *file = fopen(temporary, "we");
    if (!file)
        return error_errno(err, ERROR_FATAL, "%s", temporary);
    bool ok = fprintf(file, "%s\n", address) > 0;
    ok = fclose(file) == 0 && ok && rename(temporary, path) == 0;
    return ok || error_errno(err, ERROR_FATAL, "%s", path);
}

/* SIGUSR1 cuts the brokers off and SIGUSR2 brings them back, for tests of outages. */
static int serve(const struct command_line *line, struct kafka_mock *mock, const sigset_t *signals)
{
    int number;
    struct error err = {0};
    while (sigwait(signals, &number) == 0 && (number == SIGUSR1 || number == SIGUSR2))
        if (!kafka_mock_reachable(mock, number == SIGUSR2, &err))
            return command_fail(line, EXIT_WORLD, "%s", err.text);
    return EXIT_FINE;
}

int cmd_mock_kafka(const struct command_line *line)
{
    sigset_t signals;
    int64_t brokers;
    struct error err = {0};
    const char *path = command_option(line, "port-file");
    if (!command_number(line, "brokers", 1, 16, 1, &brokers))
        return EXIT_USAGE;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    struct kafka_mock *mock = kafka_mock_open((int)brokers, &err);
    if (!mock)
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    int code = make_topics(line, mock);
    if (code == EXIT_FINE && path && !write_address(path, kafka_mock_address(mock), &err))
        code = command_fail(line, EXIT_WORLD, "%s", err.text);
    if (code == EXIT_FINE) {
        printf("%s\n", kafka_mock_address(mock));
        fflush(stdout);
        code = serve(line, mock, &signals);
    }
    kafka_mock_close(mock);
    if (path)
        unlink(path);
    return code;
}
