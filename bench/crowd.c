/* Draws the ends of payments. */
#include "bench/crowd.h"

#include <stddef.h>
#include <string.h>

enum { HUBS = 16, CLIQUE = 24, CLIQUE_PAYMENTS = 4000 };

uint64_t crowd_draw(uint64_t *chance)
{
    uint64_t z = (*chance += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint32_t even(uint64_t *chance, uint32_t bound)
{
    return (uint32_t)(crowd_draw(chance) % bound);
}

/* The rank of an even draw u is accounts * u^(1 / (1 - 0.8)); ranks are spread over the numbers. */
static uint32_t zipf(uint64_t *chance, uint32_t accounts)
{
    double u = (double)(crowd_draw(chance) >> 11) * 0x1p-53;
    uint64_t rank = (uint64_t)(accounts * (u * u * u * u * u));
    return (uint32_t)(rank * 7919 % accounts);
}

static uint32_t leaning(uint64_t *chance, uint32_t accounts)
{
    uint64_t first = crowd_draw(chance) % accounts;
    return (uint32_t)(first * (crowd_draw(chance) % 1000 + 1) / 1000);
}

uint32_t crowd_account(const struct crowd *crowd, uint64_t *chance)
{
    switch (crowd->skew) {
    case SKEW_UNIFORM:
        return even(chance, crowd->accounts);
    case SKEW_ZIPF:
        return zipf(chance, crowd->accounts);
    case SKEW_HUB:
        return even(chance, crowd_draw(chance) % 5 ? crowd->accounts : HUBS);
    case SKEW_LEANING:
        break;
    }
    return leaning(chance, crowd->accounts);
}

static void clique_pair(const struct crowd *crowd, uint64_t *chance, uint64_t i, uint32_t *sender, uint32_t *receiver)
{
    uint32_t groups = crowd->accounts / CLIQUE, first = (uint32_t)(i / CLIQUE_PAYMENTS % groups) * CLIQUE, place = even(chance, CLIQUE);
    *sender = first + place;
    *receiver = first + (place + 1 + even(chance, CLIQUE - 1)) % CLIQUE;
}

void crowd_pair(const struct crowd *crowd, uint64_t *chance, uint64_t i, uint32_t *sender, uint32_t *receiver)
{
    switch (crowd->shape) {
    case SHAPE_CLIQUE:
        clique_pair(crowd, chance, i, sender, receiver);
        return;
    case SHAPE_STAR:
        *sender = i % 2 ? 1 + even(chance, crowd->accounts - 1) : 0;
        *receiver = i % 2 ? 0 : 1 + even(chance, crowd->accounts - 1);
        return;
    case SHAPE_NONE:
        break;
    }
    *sender = crowd_account(crowd, chance);
    *receiver = crowd_account(crowd, chance);
}

/* Which of `count` names, or -1. */
static int find(const char *text, const char *const *name, int count)
{
    int at = count - 1;
    while (at >= 0 && strcmp(text, name[at]) != 0)
        at--;
    return at;
}

bool crowd_skew_parse(const char *text, enum crowd_skew *skew)
{
    static const char *const name[] = {"leaning", "uniform", "zipf", "hub"};
    int at = find(text, name, sizeof name / sizeof *name);
    *skew = at < 0 ? SKEW_LEANING : (enum crowd_skew)at;
    return at >= 0;
}

bool crowd_shape_parse(const char *text, enum crowd_shape *shape)
{
    static const char *const name[] = {"none", "clique", "star"};
    int at = find(text, name, sizeof name / sizeof *name);
    *shape = at < 0 ? SHAPE_NONE : (enum crowd_shape)at;
    return at >= 0;
}
