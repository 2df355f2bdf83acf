/* "Did you mean": the nearest of some words, a swap of neighbours counting as one change. */
#ifndef RULES_LANG_SUGGEST_H
#define RULES_LANG_SUGGEST_H

#include "engine/base/slice.h"

enum { SUGGEST_WORD_MAX = 40 };

struct suggestion {
    struct slice wrong, best; /* best is empty while nothing is near enough */
    unsigned distance;
};

/* Offers one more candidate. */
void suggest_offer(struct suggestion *suggestion, struct slice candidate);

#endif
