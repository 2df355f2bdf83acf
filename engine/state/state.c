/* State as a whole: 256 shards and the layout they share. */
#include "engine/state/private.h"

#include "engine/base/invariant.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Behind a shard's bound: what comes in between two looks at its size (state.h). */
static const size_t SHARD_RESERVE_LEAST = (size_t)16 << 20;

/* Copies count elements; there may be none, and then no array either. */
static void array_copy(void *to, const void *from, size_t count, size_t size)
{
    if (count)
        memcpy(to, from, count * size);
}

void state_layout_set(struct state *state, const struct state_layout *layout)
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
        keyspace[k].cell = cell_shape(&keyspace[k]);
    }
}

static bool books_init(struct shard *shard, struct error *err)
{
    slab_ref books = slab_alloc(&shard->slab, sizeof(struct shard_books));
    if (!books)
        return error_set(err, ERROR_FATAL, "shard_mb_max is too small to begin with");
    slab_root_set(&shard->slab, ROOT_BOOKS, books);
    return true;
}

struct state *state_new(const struct state_layout *layout, const unsigned char key[16], struct error *err)
{
    struct state *state = calloc(1, sizeof *state);
    invariant(state != NULL);
    arena_init(&state->arena);
    state_layout_set(state, layout);
    memcpy(state->key, key, sizeof state->key);
    state_cycle_set(state, 0);
    size_t reserve = layout->shard_bytes_max / 4 > SHARD_RESERVE_LEAST ? layout->shard_bytes_max / 4 : SHARD_RESERVE_LEAST;
    size_t shard_bytes = (layout->shard_bytes_max + reserve + SLAB_PAGE - 1) / SLAB_PAGE * SLAB_PAGE;
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
        if (!books_init(shard, err) || !ident_init(shard, err) || !dedup_init(shard, err) || !keys_init(shard, err)) {
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
    shard->books = (struct shard_books *)(uintptr_t)slab_at(slab, slab_root(slab, ROOT_BOOKS));
    shard->idents = (struct ident_root *)(uintptr_t)slab_at(slab, slab_root(slab, ROOT_IDENT));
    shard->repeats = (struct buckets *)(uintptr_t)slab_at(slab, slab_root(slab, ROOT_DEDUP));
    shard->joins = (struct buckets *)(uintptr_t)slab_at(slab, slab_root(slab, ROOT_JOIN));
    shard->keys = (struct table *)(uintptr_t)slab_at(slab, slab_root(slab, ROOT_KEYS));
    ident_bind(shard);
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

/* --- bounds --- */

void shard_bound_hit(struct shard *shard, enum bound bound)
{
    shard->hit[bound]++;
}

uint64_t shard_settle(struct shard *shard)
{
    uint64_t freed = ident_reclaim(shard);
    shard->identities_freed += freed;
    return freed;
}

bool shard_look(struct shard *shard)
{
    size_t used = slab_used(&shard->slab), most = shard->state->layout.shard_bytes_max;
    bool full = used > (shard_full(shard) ? most - most / 16 : most);
    if (full != shard_full(shard))
        ((struct shard_books *)shard_edit(shard, shard->books, sizeof *shard->books))->full = full;
    return full;
}

uint64_t shard_work(const struct shard *shard)
{
    /* a key costs some cache misses, an identity a byte, a repeat its place in a table walked in order */
    return 16 + shard->books->records + 8 * keys_count(shard) + ident_count(shard) / 4 + repeats_count(shard) / 2;
}

void state_totals(const struct state *state, struct state_totals *out)
{
    *out = (struct state_totals){.bytes_max = state->layout.shard_bytes_max * SHARD_COUNT, .shard_bytes_max = state->layout.shard_bytes_max};
    for (uint32_t i = 0; i < SHARD_COUNT; i++) {
        const struct shard *shard = &state->shard[i];
        uint64_t used = slab_used(&shard->slab);
        out->bytes_used += used;
        out->bytes_resident += slab_resident(&shard->slab);
        out->fullest_bytes = used > out->fullest_bytes ? used : out->fullest_bytes;
        out->shards_full += shard_full(shard);
        out->identities += ident_count(shard);
        out->keys += keys_count(shard);
        out->records += shard->books->records;
        out->repeats += repeats_count(shard);
        out->identities_freed += shard->identities_freed;
        out->keys_dropped += shard->keys_dropped;
        for (int b = 0; b < BOUND_COUNT; b++)
            out->bound[b] += shard->hit[b];
        out->bound[BOUND_ROOM] += slab_refused(&shard->slab);
    }
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
