/* Chunked bump allocation, given back all at once. */
#include "engine/base/arena.h"

#include "engine/base/invariant.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNK_LEAST = 64 * 1024, ALIGN = 16 };

struct arena_chunk {
    struct arena_chunk *older;
    size_t size;
    _Alignas(16) char bytes[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

void arena_fini(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunk;
    while (chunk) {
        struct arena_chunk *older = chunk->older;
        free(chunk);
        chunk = older;
    }
    arena_init(arena);
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *keep = arena->chunk; /* chunks double, so the newest is (nearly always) the largest */
    if (!keep)
        return;
    struct arena_chunk *chunk = keep->older;
    while (chunk) {
        struct arena_chunk *older = chunk->older;
        free(chunk);
        chunk = older;
    }
    keep->older = NULL;
    arena->used = 0;
    arena->total = 0;
}

void arena_adopt(struct arena *arena, struct arena *from)
{
    if (!from->chunk)
        return;
    if (!arena->chunk) {
        size_t bound = arena->bound;
        *arena = *from;
        arena->bound = bound;
    } else {
        struct arena_chunk *oldest = from->chunk;
        while (oldest->older)
            oldest = oldest->older;
        oldest->older = arena->chunk->older;
        arena->chunk->older = from->chunk;
        arena->total += from->total;
    }
    arena_init(from);
}

static void arena_grow(struct arena *arena, size_t size)
{
    size_t want = arena->chunk ? arena->chunk->size * 2 : CHUNK_LEAST;
    if (want < size)
        want = size;
    struct arena_chunk *chunk = malloc(sizeof *chunk + want);
    invariant(chunk != NULL);
    chunk->older = arena->chunk;
    chunk->size = want;
    arena->chunk = chunk;
    arena->used = 0;
}

void *arena_bytes(struct arena *arena, size_t size)
{
    size_t take = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (!arena->chunk || arena->chunk->size - arena->used < take)
        arena_grow(arena, take);
    void *at = arena->chunk->bytes + arena->used;
    arena->used += take;
    arena->total += take;
    return at;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *at = arena_bytes(arena, size);
    memset(at, 0, size);
    return at;
}

struct slice arena_copy(struct arena *arena, struct slice text)
{
    if (text.size == 0)
        return (struct slice){"", 0};
    char *at = arena_bytes(arena, text.size);
    memcpy(at, text.data, text.size);
    return (struct slice){at, text.size};
}

const char *arena_text(struct arena *arena, struct slice text)
{
    char *at = arena_bytes(arena, text.size + 1);
    if (text.size)
        memcpy(at, text.data, text.size);
    at[text.size] = '\0';
    return at;
}

struct slice arena_format(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    invariant(size >= 0);
    char *at = arena_bytes(arena, (size_t)size + 1);
    (void)vsnprintf(at, (size_t)size + 1, format, again);
    va_end(again);
    return (struct slice){at, (size_t)size};
}
