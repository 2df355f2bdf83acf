/* Events made in memory, without JSON: for programs that measure the step alone.
 *
 * Texts lie in the caller's arena. Names are hashed as decode does, with a fixed key. */
#ifndef BENCH_PAYMENT_H
#define BENCH_PAYMENT_H

#include "engine/base/arena.h"
#include "engine/model/event.h"

struct payment {
    uint64_t number;          /* its id and, plus one, its sequence number */
    int64_t time_ms, amount_minor;
    uint64_t sender, receiver; /* numbers of accounts */
};

/* A settled transfer in USD from source "bench". sodium_init comes before. */
void payment_event(const struct payment *payment, struct arena *arena, struct event *event);

#endif
