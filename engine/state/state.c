/* State as a whole: 256 shards and the layout they share. */
#include "engine/state/private.h"

#include "engine/base/invariant.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Copies count elements; there may be none, and then no array either. */
static void array_copy(void *to, const void *from, size_t count, size_t size)
{
    if (count)
        memcpy(to, from, count * size);
}

static void layout_copy(struct state *state, const struct state_layout *layout)
{
    struct arena *arena = &state->arena;
    struct keyspace_layout *keyspace = ARENA_ARRAY(arena, struct keyspace_layout, layout->keyspace_count + 1);
    state->layout = *layout;
    state->layout.keyspace = keyspace;
    state->distinct = ARENA_ARRAY(arena, uint32_t *, layout->keyspace_count + 1);
    for (uint16_t k = 0; k < layout->keyspace_count; k++) {
        const struct keyspace_layout *from = &layout->keyspace[k];
        uint64_t *clock = ARENA_ARRAY(arena, uint64_t, from->clock_count + 1);
        struct window_layout *window = ARENA_ARRAY(arena, struct window_layout, from->window_count + 1);
        struct memory_layout *memory = ARENA_ARRAY(arena, struct memory_layout, from->memory_count + 1);
        keyspace[k] = *from;
        state->distinct[k] = ARENA_ARRAY(arena, uint32_t, from->window_count + 1);
        array_copy(clock, from->clock_hash, from->clock_count, sizeof *clock);
        array_copy(memory, from->memory, from->memory_count, sizeof *memory);
        struct attempt_layout *attempt = ARENA_ARRAY(arena, struct attempt_layout, from->attempt_count + 1);
        array_copy(attempt, from->attempt, from->attempt_count, sizeof *attempt);
        for (uint16_t w = 0; w < from->window_count; w++) {
            struct aggregate_layout *aggregate =
                ARENA_ARRAY(arena, struct aggregate_layout, from->window[w].aggregate_count + 1);
            array_copy(aggregate, from->window[w].aggregate, from->window[w].aggregate_count, sizeof *aggregate);
            window[w] = from->window[w];
            window[w].aggregate = aggregate;
            for (uint16_t a = 0; a < window[w].aggregate_count; a++)
                if (aggregate[a].fn == WINDOW_DISTINCT && !aggregate[a].days)
                    state->distinct[k][w] |= 1u << aggregate[a].column;
        }
        keyspace[k].clock_hash = clock;
        keyspace[k].window = window;
        keyspace[k].memory = memory;
        keyspace[k].attempt = attempt;
    }
}

struct state *state_new(const struct state_layout *layout, const unsigned char key[16], struct error *err)
{
    struct state *state = calloc(1, sizeof *state);
    invariant(state != NULL);
    arena_init(&state->arena);
    layout_copy(state, layout);
    memcpy(state->key, key, sizeof state->key);
    size_t shard_bytes = (layout->shard_bytes_max + SLAB_PAGE - 1) / SLAB_PAGE * SLAB_PAGE;
    state->reserved_bytes = shard_bytes * SHARD_COUNT;
    state->reserved = mmap(NULL, state->reserved_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (state->reserved == MAP_FAILED) {
        error_errno(err, ERROR_FATAL, "cannot reserve %zu bytes of addresses for the shards", state->reserved_bytes);
        state->reserved = NULL;
        state_free(state);
        return NULL;
    }
    for (uint32_t i = 0; i < SHARD_COUNT; i++) {
        struct shard *shard = &state->shard[i];
        shard->state = state;
        shard->index = i;
        slab_init(&shard->slab, state->reserved + i * shard_bytes, shard_bytes);
        if (!ident_init(shard, err) || !dedup_init(shard, err) ||
            !keys_init(shard, err)) {
            state_free(state);
            return NULL;
        }
        shard_bind(shard);
    }
    return state;
}

void shard_bind(struct shard *shard)
{
    struct slab *slab = &shard->slab;
    shard->idents = (struct ident_root *)(uintptr_t)slab_at(slab, slab_root(slab, ROOT_IDENT));
    shard->repeats = (struct table *)(uintptr_t)slab_at(slab, slab_root(slab, ROOT_DEDUP));
    shard->joins = (struct table *)(uintptr_t)slab_at(slab, slab_root(slab, ROOT_JOIN));
    shard->keys = (struct table *)(uintptr_t)slab_at(slab, slab_root(slab, ROOT_KEYS));
}

void state_free(struct state *state)
{
    if (!state)
        return;
    for (uint32_t i = 0; i < SHARD_COUNT; i++)
        slab_fini(&state->shard[i].slab);
    if (state->reserved)
        (void)munmap(state->reserved, state->reserved_bytes);
    arena_fini(&state->arena);
    free(state);
}

struct shard *state_shard(struct state *state, uint32_t index)
{
    invariant(index < SHARD_COUNT);
    return &state->shard[index];
}

struct slab *shard_slab(struct shard *shard)
{
    return &shard->slab;
}

const unsigned char *state_hash_key(const struct state *state)
{
    return state->key;
}

void state_stats(struct state *state, struct state_stats *out)
{
    *out = (struct state_stats){0};
    for (uint32_t i = 0; i < SHARD_COUNT; i++) {
        const struct shard *shard = &state->shard[i];
        out->bytes_used += slab_used(&shard->slab);
        out->bytes_resident += slab_resident(&shard->slab);
        out->refused += slab_refused(&shard->slab);
        ident_stats(shard, out);
        dedup_stats(shard, out);
        keys_stats(shard, out);
    }
}
