/* How long it takes from a payment's moment to be sent until its alert can be read in PostgreSQL, at a fixed rate.
 *
 * SENDERS producers share the partitions, as banks do: one alone has one request under way at a time, of one partition. They send
 * what 5 ms bring together, as `muster feed` and librdkafka do unasked, and payments of STICK_NS go to one partition, as those of
 * Kafka's own partitioner do while a request is being filled. (Each payment alone, in turn to all partitions, was measured too: 10,000
 * requests a second took the broker a whole core, and the p99 then was its own, 226 to 1,608 ms.)
 * Open loop: payment i of a file is due at begin + i / rate whatever became of those before, and its latency counts from then,
 * so that a sender, broker or engine that falls behind is seen in full. Every EVERY-th payment of the file raises an alert
 * whose subject is MARK and its turn (bench/parts/latency.py writes the file so). A trigger on muster.alert notifies the channel
 * muster_bench with the subject; PostgreSQL delivers that once the transaction can be seen. One clock, CLOCK_MONOTONIC, one process.
 *
 * Usage: latency BROKERS TOPIC DSN FILE RATE EVERY MARK SETTLE_S WAIT_S; alerts of the first SETTLE_S seconds are not counted; waits at
 * most WAIT_S behind the last payment. Prints one JSON object: the latencies in ms, in order, and how late payments were sent. */
#include "connectors/file/reader.h"
#include "connectors/kafka/producer.h"
#include "connectors/postgres/session.h"
#include "engine/base/arena.h"
#include "engine/base/invariant.h"
#include "engine/model/seam.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum { SENDERS = 4, LINES_MAX = 4000000, PAGE = 1024, TICK_NS = 500000, STICK_NS = 5000000, LINE_BYTES_MAX = 65536 };

struct latency {
    struct slice *line;
    uint64_t count, every;
    double rate;
    uint64_t begin_ns;
    const char *mark;
    uint64_t settle_ns;
    atomic_bool over;        /* nothing is waited for any more */
    struct session session;
    uint64_t *seen_ns;       /* by turn of the marked payment; 0: not yet */
    _Atomic uint64_t seen;
    uint64_t sent_late_ns;   /* the most that a payment was handed over behind its time */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t due_ns(const struct latency *latency, uint64_t i)
{
    return latency->begin_ns + (uint64_t)((double)i * 1e9 / latency->rate);
}

/* --- the listener --- */

static void note(struct latency *latency, const char *subject, uint64_t at_ns)
{
    size_t size = strlen(latency->mark);
    if (strncmp(subject, latency->mark, size) != 0)
        return;
    uint64_t turn = strtoull(subject + size, NULL, 10);
    if (turn >= latency->count / latency->every || latency->seen_ns[turn])
        return;
    latency->seen_ns[turn] = at_ns;
    atomic_fetch_add(&latency->seen, 1);
}

static void *listen_run(void *argument)
{
    struct latency *latency = argument;
    PGconn *connection = latency->session.connection;
    while (!atomic_load(&latency->over)) {
        struct pollfd ready = {.fd = PQsocket(connection), .events = POLLIN};
        if (poll(&ready, 1, 50) <= 0)
            continue;
        if (!PQconsumeInput(connection))
            break;
        uint64_t at_ns = now_ns();
        for (PGnotify *notify; (notify = PQnotifies(connection)) != NULL; PQfreemem(notify))
            note(latency, notify->extra, at_ns);
    }
    return NULL;
}

static bool listen_open(struct latency *latency, const char *dsn, struct error *err)
{
    return session_open(&latency->session, dsn, "latency", err) &&
           session_run(&latency->session,
                       "create or replace function muster.bench_notify() returns trigger language plpgsql as "
                       "$$ begin perform pg_notify('muster_bench', new.subject); return null; end $$;"
                       "create or replace trigger bench_notify after insert on muster.alert for each row execute function muster.bench_notify();"
                       "listen muster_bench",
                       err);
}

/* --- the sender --- */

/* Payments that are due go out; between them the thread sleeps no longer than TICK_NS past the next one's time. */
static bool send_all(struct latency *latency, struct kafka_producer *const *producer, struct error *err)
{
    uint32_t partitions = (uint32_t)kafka_producer_partitions(producer[0]);
    bool ok = true;
    latency->begin_ns = now_ns() + 10000000;
    for (uint64_t i = 0; i < latency->count; i++) {
        uint64_t due = due_ns(latency, i), now = now_ns();
        if (now < due) {
            uint64_t wake = due > now + TICK_NS ? due : now + TICK_NS;
            (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){(time_t)(wake / 1000000000u), (long)(wake % 1000000000u)}, NULL);
            now = now_ns();
        }
        if (now > due && now - due > latency->sent_late_ns)
            latency->sent_late_ns = now - due;
        uint32_t partition = (uint32_t)((due - latency->begin_ns) / STICK_NS % partitions);
        if (!kafka_producer_send(producer[partition % SENDERS], (int32_t)partition, SLICE(""), latency->line[i], 0, err))
            return false;
    }
    for (int i = 0; ok && i < SENDERS; i++)
        ok = kafka_producer_flush(producer[i], 60000, err);
    return ok;
}

static bool measure(struct latency *latency, const char *brokers, const char *topic, uint64_t wait_ns, struct error *err)
{
    pthread_t listener;
    struct kafka_producer *producer[SENDERS] = {NULL};
    const struct kafka_producer_settings settings = {.brokers = brokers, .topic = topic, .queue_bytes_max = 64u << 20};
    bool ok = true;
    for (int i = 0; ok && i < SENDERS; i++)
        ok = (producer[i] = kafka_producer_open(&settings, err)) != NULL;
    invariant(pthread_create(&listener, NULL, listen_run, latency) == 0);
    ok = ok && send_all(latency, producer, err);
    uint64_t end = now_ns() + wait_ns;
    while (ok && atomic_load(&latency->seen) < latency->count / latency->every && now_ns() < end)
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, 20000000}, NULL);
    atomic_store(&latency->over, true);
    (void)pthread_join(listener, NULL);
    for (int i = 0; i < SENDERS; i++)
        if (producer[i])
            kafka_producer_close(producer[i]);
    return ok;
}

/* --- the file and the figures --- */

static bool read_lines(struct latency *latency, const char *path, struct arena *arena, struct error *err)
{
    struct file_reader *reader = file_reader_open(path, LINE_BYTES_MAX, err);
    struct message *page = calloc(PAGE, sizeof *page);
    latency->line = calloc(LINES_MAX, sizeof *latency->line);
    invariant(page && latency->line);
    uint32_t count = 1;
    bool ok = reader != NULL;
    while (ok && count > 0 && latency->count < LINES_MAX - PAGE) {
        ok = file_reader_read(reader, arena, page, PAGE, &count, err);
        for (uint32_t i = 0; ok && i < count; i++)
            latency->line[latency->count++] = page[i].body;
    }
    if (reader)
        file_reader_close(reader);
    free(page);
    return ok;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_figures(const struct latency *latency)
{
    uint64_t turns = latency->count / latency->every, timed = 0, lost = 0;
    double *ms = calloc(turns + 1, sizeof *ms);
    invariant(ms);
    for (uint64_t turn = 0; turn < turns; turn++) {
        uint64_t due = due_ns(latency, (turn + 1) * latency->every - 1);
        if (due - latency->begin_ns < latency->settle_ns)
            continue;
        if (latency->seen_ns[turn])
            ms[timed++] = ((double)latency->seen_ns[turn] - (double)due) / 1e6;
        else
            lost++;
    }
    qsort(ms, timed, sizeof *ms, compare);
    printf("{\"payments\": %llu, \"alerts\": %llu, \"unseen\": %llu, \"sent_late_ms\": %.3f, \"ms\": [", (unsigned long long)latency->count,
           (unsigned long long)timed, (unsigned long long)lost, (double)latency->sent_late_ns / 1e6);
    for (uint64_t i = 0; i < timed; i++)
        printf("%s%.3f", i ? ", " : "", ms[i]);
    puts("]}");
    free(ms);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct arena arena;
    if (argc != 10) {
        fputs("usage: latency BROKERS TOPIC DSN FILE RATE EVERY MARK SETTLE_S WAIT_S\n", stderr);
        return 2;
    }
    struct latency latency = {.rate = strtod(argv[5], NULL), .every = strtoull(argv[6], NULL, 10), .mark = argv[7],
                              .settle_ns = strtoull(argv[8], NULL, 10) * 1000000000u};
    arena_init(&arena);
    (void)prctl(PR_SET_TIMERSLACK, 1000);
    bool ok = latency.rate > 0 && latency.every > 0 && read_lines(&latency, argv[4], &arena, &err);
    latency.seen_ns = calloc(latency.count + 1, sizeof *latency.seen_ns);
    invariant(latency.seen_ns);
    ok = ok && listen_open(&latency, argv[3], &err) && measure(&latency, argv[1], argv[2], strtoull(argv[9], NULL, 10) * 1000000000u, &err);
    if (ok)
        print_figures(&latency);
    else
        fprintf(stderr, "latency: %s\n", err.text);
    session_close(&latency.session);
    arena_fini(&arena);
    free(latency.line);
    free(latency.seen_ns);
    return ok ? 0 : 1;
}
