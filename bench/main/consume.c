/* Reads whole topics as fast as librdkafka delivers, and does nothing with them: what `muster run` is
 * compared with. Usage: consume BROKERS MESSAGES TOPIC…; prints messages per second, from the first that
 * came to the last. */
#include "connectors/kafka/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 16384, TOPICS_MAX = 16 };

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct kafka_topic topics[TOPICS_MAX];
    struct error err = {0};
    struct arena arena;
    if (argc < 4 || argc - 3 > TOPICS_MAX) {
        fputs("usage: consume BROKERS MESSAGES TOPIC…\n", stderr);
        return 2;
    }
    uint64_t wanted = strtoull(argv[2], NULL, 10), got = 0, first = 0;
    for (int i = 3; i < argc; i++)
        topics[i - 3] = (struct kafka_topic){.name = argv[i], .source = "bench"};
    double begin = now_s();
    struct source *source = kafka_source_open(
        &(struct kafka_source_settings){.brokers = argv[1], .topic = topics, .topic_count = (uint32_t)(argc - 3), .ahead_ms = INT64_MAX / 2}, &err);
    struct message *messages = calloc(BATCH, sizeof *messages);
    int64_t *next = source ? calloc(source->partitions->count, sizeof *next) : NULL;
    bool good = source && messages && next && source->seek(source->self, next, &err);
    arena_init(&arena);
    while (good && got < wanted && now_s() - begin < 120) {
        uint32_t count = 0;
        arena_reset(&arena);
        good = source->poll(source->self, 5, &arena, messages, BATCH, &count, &err) || err.class == ERROR_RETRY;
        got += count;
        if (first == 0 && count > 0) {
            first = count;
            begin = now_s();
        }
    }
    double seconds = now_s() - begin;
    if (!good)
        fprintf(stderr, "consume: %s\n", err.text);
    printf("%llu messages, %llu of them in %.3f s, %.0f/s\n", (unsigned long long)got, (unsigned long long)(got - first), seconds,
           (double)(got - first) / seconds);
    arena_fini(&arena);
    free(messages);
    free(next);
    if (source)
        source->close(source->self);
    return good && got == wanted ? 0 : 1;
}
