/* An arena hands out memory that is given back all at once: one per batch, per worker, per parse.
 *
 * Not thread-safe: one owner at a time. Memory is zeroed. Running out of memory ends the process,
 * for every arena has a bound that its owner keeps (messages, batch sizes, rule pack limits). */
#ifndef ENGINE_BASE_ARENA_H
#define ENGINE_BASE_ARENA_H

#include "engine/base/slice.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunk; /* the chunk being filled, newest first */
    size_t used;               /* bytes used of it */
    size_t total;              /* bytes handed out since the last reset */
    size_t bound;              /* after how many bytes arena_full says so; 0: never. The owner sets it */
};

void arena_init(struct arena *arena);
void arena_fini(struct arena *arena);

/* arena_reset takes everything back but keeps the largest chunk for the next round, and the bound. */
void arena_reset(struct arena *arena);

/* arena_full asks whoever fills an arena to stop for now. Nothing else keeps to the bound. */
static inline bool arena_full(const struct arena *arena)
{
    return arena->bound && arena->total >= arena->bound;
}

/* arena_adopt moves all that `from` handed out into `arena`'s care and leaves `from` empty. */
void arena_adopt(struct arena *arena, struct arena *from);

/* arena_alloc returns size zeroed bytes aligned to 16; never NULL. */
void *arena_alloc(struct arena *arena, size_t size);

/* arena_bytes is arena_alloc without zeroing, aligned to 1 only when size says so little. */
void *arena_bytes(struct arena *arena, size_t size);

struct slice arena_copy(struct arena *arena, struct slice text);

/* arena_text copies and terminates with NUL, for the C functions that need it. */
const char *arena_text(struct arena *arena, struct slice text);

struct slice arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(count)))

#endif
