/* Arrivals: what came over each partition in a block, by day, for the banks that feed it.
 *
 * Counted once a block has been through the step, and committed with it, so that a bank's figures are as
 * exact as its alerts: a block that is worked again after a crash is counted once. */
#ifndef ENGINE_STREAM_ARRIVAL_H
#define ENGINE_STREAM_ARRIVAL_H

#include "engine/stream/intake.h"

/* Fills block->arrival (in block->results) from its messages and their outcomes. Gaps count on the day
 * of what stands beside them; those of a partition that has shown no time yet are not counted. */
void arrival_count(struct block *block);

#endif
