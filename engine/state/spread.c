/* Mixtures of Poisson rates, fitted to counts by EM. */
#include "engine/state/spread.h"

#include <math.h>

/* Rates of the grid, in events per sample: one for all that is too rare to tell apart, then steps of a
 * quarter; ROUNDS of EM leave nothing that a size would show. */
static const double RARE = 0.002, LEAST = 0.05, STEP = 1.25;
enum { GRID_MAX = 96, ROUNDS = 400, EXACT_BELOW = 60 };

static uint32_t grid_make(double *grid, uint32_t most)
{
    uint32_t count = 0;
    grid[count++] = RARE;
    for (double rate = LEAST; count < GRID_MAX; rate *= STEP) {
        grid[count++] = rate;
        if (rate > most)
            break;
    }
    return count;
}

/* Log of P(n) for a Poisson count that is not 0. */
static double log_seen(double n, double mean)
{
    return n * log(mean) - mean - lgamma(n + 1) - log(-expm1(-mean));
}

/* One round: each count's keys are dealt out over the rates by how likely each made it. */
static void em_round(const double *chance, const double *keys, uint32_t count, double *weight, double *next, uint32_t rates)
{
    for (uint32_t j = 0; j < rates; j++)
        next[j] = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double *row = chance + (size_t)i * rates;
        double sum = 0;
        for (uint32_t j = 0; j < rates; j++)
            sum += weight[j] * row[j];
        for (uint32_t j = 0; sum > 0 && j < rates; j++)
            next[j] += keys[i] * weight[j] * row[j] / sum;
    }
    for (uint32_t j = 0; j < rates; j++)
        weight[j] = next[j];
}

void spread_fit(struct spread *spread, struct arena *arena, const uint32_t *times, const double *keys, uint32_t count, double events)
{
    double grid[GRID_MAX], next[GRID_MAX], all = 0;
    uint32_t most = 0;
    *spread = (struct spread){.rate = ARENA_ARRAY(arena, double, GRID_MAX), .keys = ARENA_ARRAY(arena, double, GRID_MAX)};
    for (uint32_t i = 0; i < count; i++) {
        most = times[i] > most ? times[i] : most;
        all += keys[i];
    }
    if (!count)
        return;
    uint32_t rates = grid_make(grid, most);
    double *chance = ARENA_ARRAY(arena, double, (size_t)count * rates);
    double *weight = spread->keys; /* of the keys that were seen, by rate */
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < rates; j++)
            chance[(size_t)i * rates + j] = exp(log_seen(times[i], grid[j]));
    for (uint32_t j = 0; j < rates; j++)
        weight[j] = all / rates;
    for (int round = 0; round < ROUNDS; round++)
        em_round(chance, keys, count, weight, next, rates);
    for (uint32_t j = 0; j < rates; j++) {
        if (weight[j] < all * 1e-9)
            continue;
        spread->rate[spread->count] = grid[j] / events;
        spread->keys[spread->count++] = weight[j] / -expm1(-grid[j]); /* with those that the sample missed */
    }
}

void spread_scale(struct spread *spread, double by)
{
    for (uint32_t i = 0; i < spread->count; i++) {
        spread->rate[i] /= by;
        spread->keys[i] *= by;
    }
}

double spread_rate(const struct spread *spread)
{
    double sum = 0;
    for (uint32_t i = 0; i < spread->count; i++)
        sum += spread->rate[i] * spread->keys[i];
    return sum;
}

double spread_seen(const struct spread *spread, double events)
{
    double sum = 0;
    for (uint32_t i = 0; i < spread->count; i++)
        sum += spread->keys[i] * -expm1(-spread->rate[i] * events);
    return sum;
}

double spread_fresh(const struct spread *spread, double gap)
{
    double sum = 0;
    for (uint32_t i = 0; i < spread->count; i++)
        sum += spread->keys[i] * spread->rate[i] * exp(-spread->rate[i] * gap);
    return sum;
}

double poisson_most(double n, double mean)
{
    if (n < 0)
        return 0;
    n = floor(n);
    if (mean >= EXACT_BELOW) /* the normal law with its correction for whole numbers */
        return 0.5 * erfc((mean - n - 0.5) / sqrt(2 * mean));
    double term = exp(-mean), sum = term;
    for (double i = 1; i <= n && i < 4 * EXACT_BELOW; i++) {
        term *= mean / i;
        sum += term;
    }
    return sum < 1 ? sum : 1;
}
