/* Order against a slow model: random streams of several partitions, cut into random pieces. */
#include "engine/stream/order.h"

#include <stdio.h>
#include <stdlib.h>

enum { PARTITION_MAX_HERE = 9, EVENT_MAX = 200, ROUNDS = 20000 };

struct chance {
    uint64_t state;
};

static uint32_t chance_below(struct chance *chance, uint32_t bound)
{
    chance->state = chance->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(chance->state >> 33) % bound;
}

struct stream {
    uint32_t partitions, count;
    uint32_t partition[EVENT_MAX]; /* in arrival order */
    int64_t time_ms[EVENT_MAX];
    uint32_t sequence[EVENT_MAX];  /* as the model says: arrival numbers */
};

static void stream_make(struct chance *chance, struct stream *stream)
{
    stream->partitions = 1 + chance_below(chance, PARTITION_MAX_HERE);
    stream->count = chance_below(chance, EVENT_MAX);
    uint32_t spread = 1 + chance_below(chance, 1000);
    for (uint32_t i = 0; i < stream->count; i++) {
        stream->partition[i] = chance_below(chance, stream->partitions);
        stream->time_ms[i] = (int64_t)i * chance_below(chance, 3) + chance_below(chance, spread) - 100;
    }
}

/* The definition, read aloud: of the first untaken event of each partition take the earliest, the
 * lowest partition among equals. */
static void model(struct stream *stream)
{
    bool taken[EVENT_MAX] = {false};
    for (uint32_t n = 0; n < stream->count; n++) {
        bool seen[PARTITION_MAX_HERE] = {false};
        uint32_t best = EVENT_MAX;
        for (uint32_t i = 0; i < stream->count; i++) {
            uint32_t p = stream->partition[i];
            if (taken[i] || seen[p])
                continue;
            seen[p] = true;
            if (best == EVENT_MAX || stream->time_ms[i] < stream->time_ms[best] ||
                (stream->time_ms[i] == stream->time_ms[best] && p < stream->partition[best]))
                best = i;
        }
        taken[best] = true;
        stream->sequence[n] = best;
    }
}

/* One block: everything is there before anything is taken. */
static bool block_agrees(struct order *order, const struct stream *stream)
{
    uint32_t tag, n = 0;
    for (uint32_t i = 0; i < stream->count; i++)
        order_push(order, stream->partition[i], stream->time_ms[i], i);
    while (order_next(order, &tag))
        if (n >= stream->count || stream->sequence[n++] != tag)
            return false;
    return n == stream->count;
}

/* Files: lines are open, events come in random portions, taking goes on as far as it can. */
static bool files_agree(struct order *order, const struct stream *stream, struct chance *chance)
{
    uint32_t tag, n = 0, arrived = 0;
    for (uint32_t p = 0; p < stream->partitions; p++)
        order_open(order, p);
    while (arrived < stream->count) {
        for (uint32_t portion = chance_below(chance, 20); portion > 0 && arrived < stream->count; portion--, arrived++)
            order_push(order, stream->partition[arrived], stream->time_ms[arrived], arrived);
        while (order_next(order, &tag))
            if (stream->sequence[n++] != tag)
                return false;
    }
    for (uint32_t p = 0; p < stream->partitions; p++)
        order_close(order, p);
    while (order_next(order, &tag))
        if (stream->sequence[n++] != tag)
            return false;
    return n == stream->count;
}

int main(void)
{
    struct chance chance = {20261124};
    uint32_t passed = 0, failed = 0;
    struct order *order = NULL;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct stream stream;
        stream_make(&chance, &stream);
        model(&stream);
        if (round % 16 == 0) { /* now and then a fresh one; else what was left must be clean */
            order_free(order);
            order = order_new(PARTITION_MAX_HERE);
        }
        bool ok = block_agrees(order, &stream) && files_agree(order, &stream, &chance);
        passed += ok;
        failed += !ok;
        if (!ok)
            printf("round %u: the order differs from the model\n", round);
    }
    order_free(order);
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
