/* Who pays whom in a made stream: how unevenly accounts are busy, and shapes that are made to hurt.
 *
 * All chance comes from the caller's counter, so the same seed gives the same stream; sums and products of IEEE
 * doubles only, so it does on every machine. Accounts are numbers below `accounts`. Pure functions, any thread. */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include <stdbool.h>
#include <stdint.h>

enum crowd_skew {
    SKEW_LEANING, /* the product of two even draws: few are busy, many are not */
    SKEW_UNIFORM, /* all alike */
    SKEW_ZIPF,    /* by Zipf's law with exponent 0.8 */
    SKEW_HUB      /* all alike, but every fifth end is one of 16 hubs */
};
enum crowd_shape {
    SHAPE_NONE,   /* both ends are drawn */
    SHAPE_CLIQUE, /* groups of 24 in which everybody pays everybody, one group at a time */
    SHAPE_STAR    /* account 0 is an end of every payment */
};

struct crowd {
    enum crowd_skew skew;
    enum crowd_shape shape;
    uint32_t accounts; /* at least 48 where there is a shape */
};

uint64_t crowd_draw(uint64_t *chance);
uint32_t crowd_account(const struct crowd *crowd, uint64_t *chance);
/* The ends of payment number i; never the same account twice where there is a shape. */
void crowd_pair(const struct crowd *crowd, uint64_t *chance, uint64_t i, uint32_t *sender, uint32_t *receiver);

/* By their names in lower case, the shape's too; false when there is none of that name. */
bool crowd_skew_parse(const char *text, enum crowd_skew *skew);
bool crowd_shape_parse(const char *text, enum crowd_shape *shape);

#endif
