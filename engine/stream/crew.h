/* The crew: a fixed set of threads that work one phase together, with a barrier behind each.
 *
 * The calling thread is worker 0; the others wait between phases, first spinning for some
 * microseconds (phases follow each other closely inside a batch), then asleep. No work stealing:
 * a phase is split by contiguous pieces of events or by shard, so that who does what never shows. */
#ifndef ENGINE_STREAM_CREW_H
#define ENGINE_STREAM_CREW_H

#include "engine/base/error.h"

#include <stdint.h>

enum { CREW_MAX = 64 };

struct crew;

/* count workers in all, 1..CREW_MAX. */
struct crew *crew_new(uint32_t count, struct error *err) must_check;
void crew_free(struct crew *crew);
uint32_t crew_count(const struct crew *crew);

/* Runs work(context, worker, workers) once on every worker; returns when all are done. Only the
 * thread that made the crew calls this. `alone`: run everything on the calling thread, as one worker. */
typedef void (*crew_work_fn)(void *context, uint32_t worker, uint32_t workers);
void crew_run(struct crew *crew, bool alone, crew_work_fn work, void *context);

/* The piece [*from, *to) of count things that belongs to worker. */
static inline void crew_piece(uint32_t count, uint32_t worker, uint32_t workers, uint32_t *from, uint32_t *to)
{
    *from = (uint32_t)((uint64_t)count * worker / workers);
    *to = (uint32_t)((uint64_t)count * (worker + 1) / workers);
}

#endif
