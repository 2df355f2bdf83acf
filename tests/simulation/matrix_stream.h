/* The stream that the determinism matrix runs over: generated payments, disturbed on their way to Kafka.
 *
 * make_stream is the way in: lines in the order of their arrival, some late by up to two days, some twice, some under
 * a known id with another body, some as a second report. partition_of says where a line goes. Times are milliseconds
 * of UTC; lines are the caller's to free. The same seeds give the same stream. */
#ifndef TESTS_SIMULATION_MATRIX_STREAM_H
#define TESTS_SIMULATION_MATRIX_STREAM_H

#include "bench/gen.h"
#include "engine/model/zone.h"
#include "tests/simulation/random_world.h"

/* A line of the generator, to be delivered some time after its own. */
struct coming {
    char *line;
    uint32_t size;
    int64_t time_ms, at_ms;
    uint32_t number;
};

static int by_arrival(const void *a, const void *b)
{
    const struct coming *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static int64_t line_time_ms(const char *line)
{
    const char *at = strstr(line, "\"time\":\"");
    int64_t time_ms = 0;
    if (at)
        (void)time_parse((struct slice){at + 8, strcspn(at + 8, "\"")}, &time_ms);
    return time_ms;
}

/* Where the line has this text, a copy with another; a copy as it is where it has not. */
static char *line_with(const char *line, const char *from, const char *to)
{
    const char *at = strstr(line, from);
    char *copy = calloc(1, strlen(line) + strlen(to) + 1);
    invariant(copy);
    if (at)
        (void)sprintf(copy, "%.*s%s%s", (int)(at - line), line, to, at + strlen(from));
    else
        (void)sprintf(copy, "%s", line);
    return copy;
}

/* Delays, repeats, reused ids and second reports, at any distance: up to two days late, up to a day between. */
static uint32_t disturb(struct coming *arrival, uint32_t count, uint64_t *chance)
{
    uint32_t all = count;
    char id[32];
    for (uint32_t i = 0; i < count; i++) {
        struct coming *one = &arrival[i];
        int64_t roll = below(chance, 1000);
        if (roll < 80)
            one->at_ms += below(chance, 48 * 3600000);
        if (roll < 985)
            continue;
        struct coming *again = &arrival[all];
        *again = (struct coming){.time_ms = one->time_ms, .at_ms = one->at_ms + below(chance, 24 * 3600000), .number = all};
        (void)snprintf(id, sizeof id, "\"id\":\"again-%u-", all++);
        again->line = roll < 990   ? line_with(one->line, "", "")
                      : roll < 994 ? line_with(one->line, "\"USD\"", "\"EUR\"")
                      : roll < 997 ? line_with(one->line, "\"id\":\"", id)
                                   : line_with(one->line, "\"status\":\"SETTLED\"", "\"status\":\"PENDING\"");
        again->size = (uint32_t)strlen(again->line);
    }
    qsort(arrival, all, sizeof *arrival, by_arrival);
    return all;
}

static uint32_t read_lines(FILE *file, struct coming *arrival, uint32_t most)
{
    char *line = NULL;
    size_t room = 0;
    uint32_t count = 0;
    int64_t at_ms = 0;
    for (ssize_t size; count < most && (size = getline(&line, &room, file)) > 0; count++) {
        int64_t time_ms = line_time_ms(line);
        at_ms = time_ms > at_ms && time_ms < at_ms + 40 * (int64_t)MS_PER_DAY ? time_ms : at_ms ? at_ms : time_ms;
        arrival[count] = (struct coming){.line = strndup(line, (size_t)size - 1), .size = (uint32_t)size - 1, .time_ms = time_ms, .at_ms = at_ms,
                                          .number = count};
        invariant(arrival[count].line);
    }
    free(line);
    return count;
}

/* Which partition: by what stands where the sender is, so that an account keeps to one; here and there to any. */
static uint32_t partition_of(const char *line, uint32_t partitions, uint64_t *chance)
{
    const char *sender = strstr(line, "\"sender\"");
    uint64_t hash = 5381;
    if (!sender || below(chance, 50) == 0)
        return (uint32_t)below(chance, partitions);
    for (const char *c = sender; *c && *c != '}'; c++)
        hash = hash * 33 + (unsigned char)*c;
    return (uint32_t)(hash / 7 % partitions);
}

static uint32_t make_stream(uint32_t events, struct coming **arrival)
{
    const struct gen_settings settings = {.events = events, .seed = 3, .sources = 4, .days = 40, .start_ms = (int64_t)civil_day(2026, 1, 5) * MS_PER_DAY,
                                          .broken_ppm = 3000, .repeat_ppm = 2000};
    struct gen_summary summary;
    struct error err = {0};
    FILE *file = tmpfile(), *labels = fopen("/dev/null", "w");
    invariant(file && labels && gen_write(&settings, file, labels, &summary, &err));
    rewind(file);
    *arrival = calloc(events * 2u, sizeof **arrival);
    invariant(*arrival);
    uint64_t chance = 5;
    uint32_t count = disturb(*arrival, read_lines(file, *arrival, events), &chance);
    (void)fclose(file);
    (void)fclose(labels);
    return count;
}

#endif
