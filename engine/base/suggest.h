/* "Did you mean": the nearest of some words to one that was mistyped.
 *
 * Distance as CPython's suggestions count it (a change costs 2, a change of case 1), except that an
 * adjacent swap is one change: UDS is near USD. At most (a + b + 3) * 2 / 6 is near enough, of words
 * up to 40 bytes and 750 candidates. Pure, any thread. */
#ifndef ENGINE_BASE_SUGGEST_H
#define ENGINE_BASE_SUGGEST_H

#include "engine/base/slice.h"

enum { SUGGEST_BYTES_MAX = 40, SUGGEST_CANDIDATES_MAX = 750 };

/* Index of the nearest candidate, or -1 when none is near. The first of equals wins. */
int suggest_nearest(struct slice word, const struct slice *candidates, int count);

/* Twice the number of changes between two words, or a large number beyond the limits. */
int suggest_distance(struct slice a, struct slice b);

#endif
