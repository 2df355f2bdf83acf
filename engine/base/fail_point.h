/* Fail points: named steps at which a test makes the world fail, declared once in fail_point.def.
 *
 * Only `make VARIANT=fault` knows how to fail; in every other build the functions below are empty and the
 * compiler removes them. There the environment variable MUSTER_FAIL arms up to four of them,
 *
 *     MUSTER_FAIL=LOG_SYNC:EIO:3,CHECKPOINT_WRITE:SHORT:1    at the 3rd and at the 1st time that way is taken
 *     MUSTER_FAIL=RECORD_STEP:CRASH:poison-17                at each record whose bytes hold that text
 *
 * each of which (but for records) fails once and says so on standard error: `fail point LOG_SYNC: EIO`. CRASH is SIGKILL to
 * ourselves; the others are what the system call gives: -1 with errno, or for SHORT half of what was asked. Any thread. */
#ifndef ENGINE_BASE_FAIL_POINT_H
#define ENGINE_BASE_FAIL_POINT_H

#include "engine/base/slice.h"

enum fault { FAULT_NONE, FAULT_CRASH = 1, FAULT_EIO = 2, FAULT_ENOSPC = 4, FAULT_EINTR = 8, FAULT_SHORT = 16 };

enum fail_point {
#define FAIL_POINT(name, faults, says) FAIL_##name,
#include "engine/base/fail_point.def"
#undef FAIL_POINT
    FAIL_POINT_COUNT
};

#ifdef MUSTER_FAULT
/* The fault that happens here now; errno is set for those that have one. */
enum fault fail_point(enum fail_point point);
/* Crashes when the bytes hold the text that the point is armed with. */
void fail_point_record(enum fail_point point, struct slice bytes);
#else
static inline enum fault fail_point(enum fail_point point)
{
    (void)point;
    return FAULT_NONE;
}

static inline void fail_point_record(enum fail_point point, struct slice bytes)
{
    (void)point;
    (void)bytes;
}
#endif

#endif
