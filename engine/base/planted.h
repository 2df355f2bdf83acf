/* Planted errors: three builds that are wrong on purpose, so that the suites can be shown to notice.
 *
 *   make VARIANT=planted_drop     now and then an event is lost between decoding and ordering
 *   make VARIANT=planted_double   now and then a window counts an event twice
 *   make VARIANT=planted_race     workers count into one number without a lock
 *
 * tests/crash/planted.py builds them and demands that the suite named there fails on each and passes on the
 * honest build. In every other build these say no, and the compiler removes what they guard. */
#ifndef ENGINE_BASE_PLANTED_H
#define ENGINE_BASE_PLANTED_H

#include <stdbool.h>
#include <stdint.h>

enum { PLANTED_DROP_EVERY = 500, PLANTED_DOUBLE_EVERY = 60 };

static inline bool planted_drop(int64_t offset)
{
#ifdef MUSTER_PLANTED_DROP
    return offset % PLANTED_DROP_EVERY == PLANTED_DROP_EVERY / 2;
#else
    (void)offset;
    return false;
#endif
}

static inline bool planted_double(uint64_t seq)
{
#ifdef MUSTER_PLANTED_DOUBLE
    return seq % PLANTED_DOUBLE_EVERY == PLANTED_DOUBLE_EVERY / 4;
#else
    (void)seq;
    return false;
#endif
}

/* Called by all workers at once with a number that they share. */
static inline void planted_race(uint64_t *shared)
{
#ifdef MUSTER_PLANTED_RACE
    ++*shared;
#else
    (void)shared;
#endif
}

#endif
