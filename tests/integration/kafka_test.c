/* The Kafka source and producer against a mock cluster in a process of its own. */
#include "connectors/kafka/mock.h"
#include "connectors/kafka/producer.h"
#include "connectors/kafka/source.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PARTITIONS = 3, EVENTS = 3000 };

struct tally {
    int passed, failed;
};

static void check(struct tally *tally, bool ok, const char *what, const struct error *err)
{
    if (ok)
        tally->passed++;
    else
        tally->failed++;
    if (!ok)
        printf("FAILED %s%s%s\n", what, err && err->class ? ": " : "", err && err->class ? err->text : "");
}

/* --- the mock, in a process of its own, told what to do by single letters --- */

struct cluster {
    pid_t pid;
    int command;
    char address[256];
};

static void cluster_serve(int command, int answer)
{
    struct error err = {0};
    struct kafka_mock *mock = kafka_mock_open(1, &err);
    char letter, address[256] = {0};
    if (!mock || !kafka_mock_topic(mock, "payments-a", PARTITIONS, &err) ||
        !kafka_mock_topic(mock, "payments-b", 1, &err) || !kafka_mock_topic(mock, "payments-c", 1, &err) ||
        !kafka_mock_topic(mock, "payments-d", 1, &err))
        _exit(1);
    snprintf(address, sizeof address, "%s", kafka_mock_address(mock));
    if (write(answer, address, sizeof address) != sizeof address)
        _exit(1);
    while (read(command, &letter, 1) == 1) {
        bool ok = kafka_mock_reachable(mock, letter == 'u', &err);
        if (write(answer, ok ? "y" : "n", 1) != 1)
            break;
    }
    _exit(0);
}

static int cluster_start(struct cluster *cluster)
{
    int command[2], answer[2];
    if (pipe(command) || pipe(answer))
        return -1;
    cluster->pid = fork();
    if (cluster->pid == 0) {
        close(command[1]);
        cluster_serve(command[0], answer[1]);
    }
    close(command[0]);
    cluster->command = command[1];
    return read(answer[0], cluster->address, sizeof cluster->address) == sizeof cluster->address ? answer[0] : -1;
}

static bool cluster_tell(const struct cluster *cluster, int answer, char letter)
{
    char yes = 'n';
    return write(cluster->command, &letter, 1) == 1 && read(answer, &yes, 1) == 1 && yes == 'y';
}

/* --- helpers of the tests --- */

static struct source *open_source(const struct cluster *cluster, struct error *err)
{
    static const struct kafka_topic topics[] = {{"payments-b", "bank-b", false}, {"payments-a", "bank-a", false}};
    return kafka_source_open(&(struct kafka_source_settings){.brokers = cluster->address,
                                                             .topic = topics,
                                                             .topic_count = 2,
                                                             .group = "muster-test",
                                                             .recovery_wait_ms = 3000},
                             err);
}

static bool feed(const struct cluster *cluster, const char *topic, int from, int to, struct error *err)
{
    struct kafka_producer *producer = kafka_producer_open(
        &(struct kafka_producer_settings){.brokers = cluster->address, .topic = topic}, err);
    bool ok = producer != NULL;
    for (int i = from; ok && i < to; i++) {
        char body[32];
        int size = snprintf(body, sizeof body, "%s %d", topic, i);
        ok = kafka_producer_send(producer, i % kafka_producer_partitions(producer),
                                 SLICE(""), (struct slice){body, (size_t)size}, 1700000000000 + i, err);
    }
    ok = ok && kafka_producer_flush(producer, 20000, err);
    if (producer)
        kafka_producer_close(producer);
    return ok;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct reading {
    struct arena arena;
    struct message message[2 * EVENTS];
    uint32_t count;
    uint32_t errors;
};

static void read_until(struct source *source, struct reading *reading, uint32_t wanted, int seconds)
{
    time_t until = time(NULL) + seconds;
    while (reading->count < wanted && time(NULL) < until) {
        struct error err = {0};
        uint32_t got = 0;
        if (!source->poll(source->self, 50, &reading->arena, reading->message + reading->count, 700, &got, &err))
            reading->errors++;
        reading->count += got;
    }
}

static struct reading *reading_new(void)
{
    struct reading *reading = calloc(1, sizeof *reading);
    if (!reading)
        abort();
    arena_init(&reading->arena);
    return reading;
}

static void reading_free(struct reading *reading)
{
    arena_fini(&reading->arena);
    free(reading);
}

/* --- the tests --- */

static void test_table(struct tally *tally, const struct source *source)
{
    const struct partition *partition = source->partitions->partition;
    bool ok = source->partitions->count == PARTITIONS + 1;
    for (uint32_t i = 0; ok && i < PARTITIONS; i++)
        ok = slice_equal(slice_of(partition[i].topic), SLICE("payments-a")) && partition[i].number == (int32_t)i &&
             slice_equal(slice_of(partition[i].source), SLICE("bank-a"));
    ok = ok && slice_equal(slice_of(partition[PARTITIONS].topic), SLICE("payments-b"));
    check(tally, ok, "partitions stand in the order of topic and number, with their bank", NULL);
}

static bool is_whole(const struct reading *reading)
{
    int64_t next[PARTITIONS + 1] = {0};
    for (uint32_t i = 0; i < reading->count; i++) {
        const struct message *message = &reading->message[i];
        char body[32];
        uint32_t p = message->position.partition;
        int64_t number = p < PARTITIONS ? message->position.offset * PARTITIONS + p : message->position.offset;
        int size = snprintf(body, sizeof body, "%s %lld", p < PARTITIONS ? "payments-a" : "payments-b", (long long)number);
        if (message->position.offset != next[p]++ || message->broker_ms != 1700000000000 + number ||
            !slice_equal(message->body, (struct slice){body, (size_t)size}))
            return false;
    }
    return true;
}

static void test_poll(struct tally *tally, struct source *source)
{
    struct error err = {0};
    const int64_t beginning[PARTITIONS + 1] = {-1, -1, -1, -1};
    struct reading *reading = reading_new();
    check(tally, source->seek(source->self, beginning, &err), "seek to the beginning", &err);
    read_until(source, reading, EVENTS + 500, 20);
    check(tally, reading->count == EVENTS + 500, "every message arrives", NULL);
    check(tally, is_whole(reading), "each partition in offset order, with body and time", NULL);
    reading_free(reading);
}

/* A block ends at its bound in bytes, behind the message that reached it. */
static void test_bound(struct tally *tally, struct source *source)
{
    enum { BOUND = 3000, BODY_MAX = 256, FEW = 200 };
    struct reading *reading = reading_new();
    const int64_t beginning[PARTITIONS + 1] = {-1, -1, -1, -1};
    struct error err = {0};
    bool bounded = true, cut = false;
    reading->arena.bound = BOUND;
    check(tally, source->seek(source->self, beginning, &err), "seek to the beginning again", &err);
    for (int polls = 0; polls < 2000 && reading->count < FEW; polls++) {
        uint32_t before = reading->count;
        arena_reset(&reading->arena);
        read_until(source, reading, before + 1, 5);
        bounded = bounded && reading->arena.total < BOUND + BODY_MAX;
        cut = cut || arena_full(&reading->arena);
    }
    check(tally, reading->count >= FEW && bounded && cut, "a poll ends at its bound in bytes, and the next goes on", NULL);
    reading_free(reading);
}

static void test_positions(struct tally *tally, struct source *source)
{
    struct error err = {0};
    const int64_t middle[PARTITIONS + 1] = {900, 1000, 995, 500};
    struct reading *reading = reading_new();
    check(tally, source->seek(source->self, middle, &err), "seek to the middle", &err);
    read_until(source, reading, 106, 3); /* one more than there is: proves that nothing else comes */
    bool ok = reading->count == 105;
    for (uint32_t i = 0; ok && i < reading->count; i++)
        ok = reading->message[i].position.offset >= middle[reading->message[i].position.partition];
    check(tally, ok, "reading goes on at the given positions and delivers nothing from before", NULL);
    reading_free(reading);
}

static void test_read_range(struct tally *tally, struct source *source)
{
    struct arena arena;
    arena_init(&arena);
    const struct journal_range ranges[] = {{0, 10, 20, 0, NULL}, {1, 0, 5, 0, NULL}, {0, 20, 700, 0, NULL}, {1, 5, 6, 0, NULL}, {0, 100, 101, 0, NULL}};
    bool ok = true;
    struct error err = {0};
    for (size_t r = 0; ok && r < sizeof ranges / sizeof *ranges; r++) {
        struct message *messages = NULL;
        uint32_t count = 0;
        ok = source->read_range(source->self, &ranges[r], &arena, &messages, &count, &err) &&
             count == ranges[r].next - ranges[r].first;
        for (uint32_t i = 0; ok && i < count; i++)
            ok = messages[i].position.partition == ranges[r].partition &&
                 messages[i].position.offset == ranges[r].first + i;
    }
    check(tally, ok, "ranges are read exactly, one behind the other and back again", &err);
    struct message *messages = NULL;
    uint32_t count = 0;
    bool refused = !source->read_range(source->self, &(struct journal_range){.first = 990, .next = 1010}, &arena, &messages, &count, &err);
    check(tally, refused && err.class == ERROR_FATAL, "a range that the broker does not hold is fatal", NULL);
    arena_fini(&arena);
}

/* A standby reads what the engine before it has read just now, by a client of its own, which was told before that nothing
 * follows: a broker that has something new answers that client later, the mock after the longest wait. */
static void test_followed_range(struct tally *tally, const struct cluster *cluster)
{
    enum { TURNS = 5, FETCH_WAIT_MS = 400, SETTLE_MS = 100 };
    static const struct kafka_topic topic = {"payments-d", "bank-d", false};
    struct error err = {0};
    struct arena arena;
    arena_init(&arena);
    bool ok = feed(cluster, topic.name, 0, 10, &err);
    struct source *source = kafka_source_open(&(struct kafka_source_settings){.brokers = cluster->address, .topic = &topic, .topic_count = 1, .group = "muster-test",
                                                                              .fetch_wait_ms = FETCH_WAIT_MS, .recovery_wait_ms = 3000}, &err);
    struct journal_range range = {.first = 0, .next = 10};
    for (int turn = 0; source && ok && turn < TURNS; turn++) {
        struct message *messages = NULL;
        uint32_t count = 0;
        ok = source->read_range(source->self, &range, &arena, &messages, &count, &err) && count == range.next - range.first;
        range = (struct journal_range){.first = range.next, .next = range.next + 1 + turn};
        nanosleep(&(struct timespec){0, SETTLE_MS * 1000000}, NULL); /* the sign that nothing follows comes */
        ok = ok && feed(cluster, topic.name, (int)range.first, (int)range.next, &err);
    }
    check(tally, source && ok, "a range that was written just now is waited for, though nothing followed before", &err);
    struct message *messages = NULL;
    uint32_t count = 0;
    range = (struct journal_range){.first = range.first, .next = range.next + 1};
    bool refused = source && !source->read_range(source->self, &range, &arena, &messages, &count, &err);
    check(tally, refused && err.class == ERROR_FATAL, "and one that reaches beyond it is fatal", &err);
    arena_fini(&arena);
    if (source)
        source->close(source->self);
}

static void test_offset_gone(struct tally *tally, struct source *source)
{
    struct error err = {0};
    const int64_t beyond[PARTITIONS + 1] = {5000, 1000, 1000, 500};
    struct reading *reading = reading_new();
    struct error told = {0};
    check(tally, source->seek(source->self, beyond, &err), "seek beyond the end", &err);
    for (int i = 0; i < 100 && told.class != ERROR_FATAL; i++) {
        uint32_t got = 0;
        struct error now = {0};
        if (!source->poll(source->self, 50, &reading->arena, reading->message, 700, &got, &now))
            told = now;
    }
    check(tally, told.class == ERROR_FATAL, "an offset out of range is fatal, never a jump", &told);
    reading_free(reading);
}

static void test_outage(struct tally *tally, const struct cluster *cluster, int answer)
{
    struct error err = {0};
    const int64_t end[PARTITIONS + 1] = {1000, 1000, 1000, 500};
    struct reading *reading = reading_new();
    struct source *source = open_source(cluster, &err);
    check(tally, source && source->seek(source->self, end, &err), "open again", &err);
    read_until(source, reading, 1, 1);
    check(tally, cluster_tell(cluster, answer, 'd'), "brokers down", NULL);
    read_until(source, reading, 1, 2);
    check(tally, reading->count == 0 && reading->errors > 0, "while the brokers are away the source says so", NULL);
    check(tally, cluster_tell(cluster, answer, 'u'), "brokers up", NULL);
    check(tally, feed(cluster, "payments-a", EVENTS, EVENTS + 300, &err), "feed after the outage", &err);
    read_until(source, reading, 300, 20);
    check(tally, reading->count == 300, "and goes on where it was", NULL);
    source->close(source->self);
    reading_free(reading);
}

/* librdkafka tells but once that all brokers are gone; told beside messages, it must not be forgotten. */
static void test_outage_behind_messages(struct tally *tally, const struct cluster *cluster, int answer)
{
    enum { SETTLE_S = 2 };
    struct error err = {0};
    const int64_t beginning[PARTITIONS + 1] = {-1, -1, -1, -1};
    struct reading *reading = reading_new();
    struct source *source = open_source(cluster, &err);
    check(tally, source && source->seek(source->self, beginning, &err), "open once more", &err);
    sleep(SETTLE_S); /* the messages come into the queues */
    check(tally, cluster_tell(cluster, answer, 'd'), "brokers down behind what was fetched", NULL);
    sleep(SETTLE_S);
    read_until(source, reading, EVENTS + 500, 5);
    check(tally, reading->count == EVENTS + 500 && reading->errors == 0, "what was fetched comes first", NULL);
    read_until(source, reading, reading->count + 1, 1);
    check(tally, reading->errors > 0, "and then the source says that the brokers are away", NULL);
    check(tally, cluster_tell(cluster, answer, 'u'), "brokers up again", NULL);
    source->close(source->self);
    reading_free(reading);
}

/* What fits into the queue is read long before librdkafka would look again of itself, a second after it was full: some 20 times here. */
static void test_full_queue(struct tally *tally, const struct cluster *cluster)
{
    enum { LARGE = 4800, BYTES = 1000, FETCH_BYTES = 640 << 10, PIECE = 64, WORK_MS = 5, MOST_MS = 4500 };
    static const struct kafka_topic topic = {"payments-c", "bank-c", false};
    static const char body[BYTES] = "large";
    struct error err = {0};
    const int64_t beginning = -1;
    struct kafka_producer *producer = kafka_producer_open(&(struct kafka_producer_settings){.brokers = cluster->address, .topic = topic.name}, &err);
    bool ok = producer != NULL;
    for (int i = 0; ok && i < LARGE; i++)
        ok = kafka_producer_send(producer, 0, SLICE(""), (struct slice){body, sizeof body}, 0, &err);
    check(tally, ok && kafka_producer_flush(producer, 20000, &err), "feed large messages", &err);
    if (producer)
        kafka_producer_close(producer);
    struct source *source = kafka_source_open(&(struct kafka_source_settings){.brokers = cluster->address, .topic = &topic, .topic_count = 1, .group = "muster-test",
                                                                              .fetch_bytes_max = FETCH_BYTES, .recovery_wait_ms = 3000}, &err);
    check(tally, source && source->seek(source->self, &beginning, &err), "open with a small queue", &err);
    struct reading *reading = reading_new();
    for (int64_t until_ms = now_ms() + MOST_MS; source && reading->count < LARGE && now_ms() < until_ms;) {
        uint32_t got = 0;
        (void)source->poll(source->self, 50, &reading->arena, reading->message + reading->count, PIECE, &got, &err);
        reading->count += got;
        nanosleep(&(struct timespec){0, WORK_MS * 1000000}, NULL); /* slower than the broker: the queue is full most of the time */
    }
    check(tally, reading->count == LARGE, "a queue that was full is filled again at once", NULL);
    reading_free(reading);
    if (source)
        source->close(source->self);
}

int main(void)
{
    struct tally tally = {0};
    struct cluster cluster = {0};
    struct error err = {0};
    int answer = cluster_start(&cluster);
    if (answer < 0)
        return 1;
    check(&tally, feed(&cluster, "payments-a", 0, EVENTS, &err), "feed topic a", &err);
    check(&tally, feed(&cluster, "payments-b", 0, 500, &err), "feed topic b", &err);
    struct source *source = open_source(&cluster, &err);
    check(&tally, source != NULL, "open the source", &err);
    if (source) {
        test_table(&tally, source);
        test_read_range(&tally, source);
        test_poll(&tally, source);
        test_bound(&tally, source);
        test_positions(&tally, source);
        test_offset_gone(&tally, source);
        source->close(source->self);
        test_followed_range(&tally, &cluster);
        test_outage_behind_messages(&tally, &cluster, answer);
        test_outage(&tally, &cluster, answer);
        test_full_queue(&tally, &cluster);
    }
    kill(cluster.pid, SIGTERM);
    waitpid(cluster.pid, NULL, 0);
    printf("%d passed, %d failed, 0 skipped\n", tally.passed, tally.failed);
    return tally.failed ? 1 : 0;
}
