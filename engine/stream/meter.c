/* Reads the processor's counter, adds intervals up, and keeps how they are spread. */
#include "engine/stream/meter.h"

#include "engine/base/invariant.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { OCTAVE = 8 /* buckets of one */, PAIRS = 2000, TRIES = 15, CALIBRATE_NS = 2000000 };

uint64_t meter_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* statistics only: no decision reads it */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double ticks_per_ns(void)
{
    uint64_t begun_ns = now_ns(), begun = meter_ticks(), ns;
    do
        ns = now_ns() - begun_ns;
    while (ns < CALIBRATE_NS);
    return (double)(meter_ticks() - begun) / (double)ns;
}

double meter_pair_ticks(void)
{
    double least = INFINITY;
    for (int t = 0; t < TRIES; t++) {
        uint64_t sum = 0;
        for (int i = 0; i < PAIRS; i++) {
            uint64_t begun = meter_ticks();
            sum += meter_ticks() - begun;
        }
        least = fmin(least, (double)sum / PAIRS);
    }
    return least;
}

struct meter *meter_new(const struct program *program)
{
    struct meter *meter = calloc(1, sizeof *meter);
    invariant(meter != NULL);
    meter->rule = calloc(program->rule_count + 1u, sizeof *meter->rule);
    meter->stream = calloc(program->stream_count + 1u, sizeof *meter->stream);
    meter->memory = calloc(program->memory_count + 1u, sizeof *meter->memory);
    meter->text = calloc(program->text_count + 1u, sizeof *meter->text);
    invariant(meter->rule && meter->stream && meter->memory && meter->text);
    meter->ticks_per_ns = ticks_per_ns();
    meter->longest = (uint64_t)(METER_LONGEST_NS * meter->ticks_per_ns);
    return meter;
}

void meter_free(struct meter *meter)
{
    if (!meter)
        return;
    free(meter->rule);
    free(meter->stream);
    free(meter->memory);
    free(meter->text);
    free(meter);
}

static bool take(struct meter *meter, struct meter_cost *cost, uint64_t ticks)
{
    cost->count++;
    if (ticks > meter->longest) {
        meter->interrupted++;
        return false;
    }
    cost->timed++;
    cost->ticks += ticks;
    return true;
}

void meter_add(struct meter *meter, struct meter_cost *cost, uint64_t begun)
{
    (void)take(meter, cost, meter_ticks() - begun);
}

/* Eighths of an octave above 8 ticks. */
static uint32_t bucket(uint64_t ticks)
{
    if (ticks < OCTAVE)
        return (uint32_t)ticks;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(ticks);
    uint32_t at = (octave - 2) * OCTAVE + (uint32_t)(ticks >> (octave - 3) & (OCTAVE - 1));
    return at < METER_BUCKETS ? at : METER_BUCKETS - 1;
}

/* The middle of a bucket. */
static double bucket_ticks(uint32_t at)
{
    if (at < OCTAVE)
        return at;
    return (OCTAVE + at % OCTAVE + 0.5) * (double)((uint64_t)1 << (at / OCTAVE - 1));
}

void meter_judged(struct meter *meter, uint16_t index, uint64_t begun, bool match, bool hit)
{
    uint64_t ticks = meter_ticks() - begun;
    struct meter_rule *rule = &meter->rule[index];
    rule->hits += hit;
    if (take(meter, match ? &rule->match : &rule->miss, ticks))
        rule->spread[bucket(ticks)]++;
}

double meter_ns(const struct meter *meter, const struct meter_cost *cost, double pair_ticks)
{
    if (!cost->timed)
        return 0;
    return (double)cost->count * fmax(0, (double)cost->ticks / (double)cost->timed - pair_ticks) / meter->ticks_per_ns;
}

double meter_p99_ns(const struct meter *meter, const struct meter_rule *rule, double pair_ticks)
{
    uint64_t above = (rule->match.timed + rule->miss.timed) / 100, passed = 0;
    for (uint32_t at = METER_BUCKETS; at-- > 0;) {
        passed += rule->spread[at];
        if (passed > above)
            return fmax(0, bucket_ticks(at) - pair_ticks) / meter->ticks_per_ns;
    }
    return 0;
}
