/* What a mapped state lacks, brought out of a state that was kept under the same layout from earlier on: key by key, ids translated. */
#include "engine/state/private.h"

#include "engine/base/invariant.h"

#include <stdlib.h>

/* Cells that are asked into the cache together: nearly all of the time is waiting for memory. */
enum { AHEAD = 32 };

struct grafting {
    struct state *state;
    const struct state *other;
    entity_id *own[SHARD_COUNT];             /* by shard and ordinal: what the other's id is here */
    uint32_t full[SHARD_COUNT];              /* as the shards' books said */
    struct state_grafting done[SHARD_COUNT]; /* by the state's shard */
};

/* --- ids --- */

entity_id graft_id(const struct grafting *grafting, entity_id id)
{
    return id == ENTITY_MISSING ? id : grafting->own[entity_shard(id)][id >> 8];
}

int64_t graft_number(const struct grafting *grafting, int64_t number, bool is_id)
{
    if (!is_id || number == MISSING_I64)
        return number;
    entity_id own = graft_id(grafting, (entity_id)number);
    return own == ENTITY_MISSING ? MISSING_I64 : (int64_t)own;
}

/* --- one cell --- */

/* The other's cell, and where it goes. */
struct twig {
    struct grafting *grafting;
    const struct keyspace_layout *layout;
    const struct keyspace_lack *lack;
    uint16_t keyspace;
    const struct shard *other;
    const struct cell *from;
    uint32_t worker, workers;
    struct shard *shard;
    struct cell *cell;
};

/* A key of one account (or other identity) lives in the shard of its identity, here as there. */
static bool stays_in_shard(const struct keyspace_layout *layout)
{
    return layout->width == 1 && layout->entity_words == 1;
}

static bool window_wanted(const struct twig *twig, uint16_t window)
{
    bool wanted = twig->lack->window[window];
    for (uint16_t i = 0; !wanted && i < twig->layout->window[window].aggregate_count; i++)
        wanted = twig->lack->past[window][i];
    return wanted;
}

static bool holds(const struct twig *twig)
{
    bool any = false;
    for (uint16_t c = 0; !any && c < twig->layout->clock_count; c++)
        any = twig->lack->clock[c] && clock_read(twig->other, twig->from, twig->keyspace, c) != INT64_MIN;
    for (uint16_t m = 0; !any && m < twig->layout->memory_count; m++)
        any = twig->lack->memory[m] && memory_held(twig->from, twig->layout, m);
    for (uint16_t a = 0; !any && a < twig->layout->attempt_count; a++)
        any = twig->lack->attempt[a] && attempt_ref(twig->from, twig->layout, a);
    for (uint16_t w = 0; !any && w < twig->layout->window_count; w++)
        any = window_wanted(twig, w) && window_ref(twig->from, twig->layout, w);
    return any;
}

/* The state's shard of the same key: false when it is another worker's. A name that found no room counts where the key would be. */
static bool shard_reach(struct twig *twig, uint32_t key[STATE_KEY_MAX], bool *named)
{
    *named = true;
    for (uint8_t i = 0; i < twig->layout->width; i++) {
        bool is_id = twig->layout->entity_words >> i & 1;
        key[i] = is_id ? graft_id(twig->grafting, twig->from->key[i]) : twig->from->key[i];
        *named &= !is_id || key[i] != ENTITY_MISSING;
    }
    if (twig->layout->mutual)
        key_settle(key);
    uint32_t index = key_shard(key, twig->layout->width);
    twig->shard = &twig->grafting->state->shard[index];
    return index % twig->workers == twig->worker;
}

static bool memory_bring(const struct twig *twig, uint16_t memory)
{
    const struct memory_layout *layout = &twig->layout->memory[memory];
    struct memory_record record = {0};
    if (!memory_held(twig->from, twig->layout, memory))
        return true;
    if (layout->dated)
        return fact_graft(twig->shard, twig->cell, twig->keyspace, memory, twig->other, memory_ref(twig->from, twig->layout, memory),
                          twig->grafting);
    (void)memory_read(twig->other, twig->from, twig->layout, memory, &record);
    for (uint8_t k = 0; k < layout->keep_count; k++)
        record.keep[k] = graft_number(twig->grafting, record.keep[k], layout->entity_keeps >> k & 1);
    memory_put(twig->shard, twig->cell, twig->keyspace, memory, &record);
    return memory_held(twig->cell, twig->layout, memory);
}

static bool attempt_bring(const struct twig *twig, uint16_t attempt)
{
    const struct attempt_layout *layout = &twig->layout->attempt[attempt];
    slab_ref ref = attempt_ref(twig->from, twig->layout, attempt);
    if (!ref)
        return true;
    int64_t *words = malloc(attempt_bytes(layout));
    invariant(words != NULL);
    memcpy(words, slab_at(&twig->other->slab, ref), attempt_bytes(layout));
    for (uint32_t left = layout->entity_kept; left; left &= left - 1) {
        int64_t *word = &words[layout->kept_from + __builtin_ctz(left)];
        *word = graft_number(twig->grafting, *word, true);
    }
    bool good = attempt_put(twig->shard, twig->cell, twig->keyspace, attempt, words);
    free(words);
    return good;
}

static void cell_graft(struct twig *twig)
{
    const struct keyspace_lack *lack = twig->lack;
    uint32_t key[STATE_KEY_MAX];
    bool named;
    if (!shard_reach(twig, key, &named))
        return;
    struct state_grafting *done = &twig->grafting->done[twig->shard->index];
    twig->cell = named ? cell_get(twig->shard, twig->keyspace, key) : NULL;
    if (!twig->cell) {
        done->left_out++;
        return;
    }
    done->keys++;
    for (uint16_t c = 0; c < twig->layout->clock_count; c++) {
        int64_t time_ms = clock_read(twig->other, twig->from, twig->keyspace, c);
        if (lack->clock[c] && time_ms != INT64_MIN)
            (void)clock_raise(twig->shard, twig->cell, twig->keyspace, c, time_ms);
    }
    for (uint16_t m = 0; m < twig->layout->memory_count; m++)
        done->left_out += lack->memory[m] && !memory_bring(twig, m);
    for (uint16_t a = 0; a < twig->layout->attempt_count; a++)
        done->left_out += lack->attempt[a] && !attempt_bring(twig, a);
    for (uint16_t w = 0; w < twig->layout->window_count; w++)
        done->left_out += window_wanted(twig, w) && !window_graft(twig->shard, twig->cell, twig->keyspace, w, lack, twig->other,
                                                                  twig->from, twig->grafting);
    struct cell *cell = shard_edit(twig->shard, twig->cell, sizeof *cell);
    if (twig->from->newest_ms > cell->newest_ms)
        cell->newest_ms = twig->from->newest_ms;
}

/* --- several cells --- */

static void windows_ask(const struct twig *twig, const struct shard *shard, const struct cell *cell, bool records)
{
    for (uint16_t w = 0; cell && w < twig->layout->window_count; w++)
        if (window_wanted(twig, w))
            window_ask(shard, window_ref(cell, twig->layout, w), &twig->layout->window[w], records);
}

/* Leaves those of the cells that are this worker's and hold something that lacks. */
static uint32_t cells_choose(struct twig *twig, const struct cell *from[AHEAD], uint32_t count)
{
    uint32_t key[STATE_KEY_MAX], chosen = 0;
    bool named;
    for (uint32_t i = 0; i < count; i++) {
        twig->from = from[i];
        if (!shard_reach(twig, key, &named) || !holds(twig))
            continue;
        if (named)
            cell_prefetch(twig->shard, twig->keyspace, key);
        windows_ask(twig, twig->other, twig->from, false);
        from[chosen++] = from[i];
    }
    return chosen;
}

static void cells_ask(struct twig *twig, const struct cell *const from[AHEAD], uint32_t count)
{
    const struct cell *own[AHEAD];
    const struct shard *shard[AHEAD];
    uint32_t key[STATE_KEY_MAX];
    for (uint32_t i = 0; i < count; i++) {
        bool named;
        twig->from = from[i];
        (void)shard_reach(twig, key, &named);
        shard[i] = twig->shard;
        own[i] = named ? cell_prefetch_body(twig->shard, twig->keyspace, key) : NULL;
        windows_ask(twig, twig->other, twig->from, true);
    }
    for (uint32_t i = 0; i < count; i++)
        windows_ask(twig, shard[i], own[i], false);
    for (uint32_t i = 0; i < count; i++)
        windows_ask(twig, shard[i], own[i], true);
}

static void cells_bring(struct twig *twig, const struct cell *from[AHEAD], uint32_t count)
{
    count = cells_choose(twig, from, count);
    cells_ask(twig, from, count);
    for (uint32_t i = 0; i < count; i++) {
        twig->from = from[i];
        cell_graft(twig);
    }
}

/* --- all of it --- */

/* Attempts that came about since the mapping, out of half a past. */
static void attempts_clear(struct state *state, struct shard *shard, uint16_t keyspace)
{
    const struct keyspace_layout *layout = &state->layout.keyspace[keyspace];
    const struct cell *cell;
    for (uint32_t at = 0; layout->attempt_count && cell_next(shard, keyspace, &at, &cell);)
        for (uint16_t a = 0; a < layout->attempt_count; a++)
            if (state->lack[keyspace].attempt[a] && attempt_ref(cell, layout, a))
                attempt_end(shard, (struct cell *)(uintptr_t)cell, keyspace, a);
}

static void keyspace_graft(struct grafting *grafting, uint16_t keyspace, uint32_t worker, uint32_t workers)
{
    struct state *state = grafting->state;
    struct twig twig = {.grafting = grafting,
                        .layout = &state->layout.keyspace[keyspace],
                        .lack = &state->lack[keyspace],
                        .keyspace = keyspace,
                        .worker = worker,
                        .workers = workers};
    for (uint32_t s = worker; s < SHARD_COUNT; s += workers)
        attempts_clear(state, &state->shard[s], keyspace);
    bool stays = stays_in_shard(twig.layout);
    for (uint32_t s = stays ? worker : 0; s < SHARD_COUNT; s += stays ? workers : 1) {
        const struct cell *from[AHEAD];
        uint32_t count = 0;
        twig.other = &grafting->other->shard[s];
        for (uint32_t at = 0; cell_next(twig.other, keyspace, &at, &from[count]);) {
            cache_ask(from[count], cell_size(twig.layout));
            if (++count == AHEAD) {
                cells_bring(&twig, from, count);
                count = 0;
            }
        }
        cells_bring(&twig, from, count);
    }
}

struct grafting *graft_begin(struct state *state, const struct state *other)
{
    if (!state->lack)
        return NULL;
    struct grafting *grafting = calloc(1, sizeof *grafting);
    invariant(grafting != NULL);
    invariant(memcmp(state->key, other->key, sizeof state->key) == 0 && state->layout.keyspace_count == other->layout.keyspace_count);
    grafting->state = state;
    grafting->other = other;
    for (uint32_t s = 0; s < SHARD_COUNT; s++) {
        struct shard_books *books = shard_edit(&state->shard[s], state->shard[s].books, sizeof *books);
        grafting->full[s] = books->full;
        books->full = 0; /* a full shard stays so for events; the reserve behind its bound is for this too */
    }
    return grafting;
}

void graft_names(struct grafting *grafting, uint32_t worker, uint32_t workers)
{
    for (uint32_t s = worker; s < SHARD_COUNT; s += workers)
        grafting->own[s] = ident_bring(&grafting->state->shard[s], &grafting->other->shard[s]);
}

void graft_cells(struct grafting *grafting, uint32_t worker, uint32_t workers)
{
    for (uint16_t k = 0; k < grafting->state->layout.keyspace_count; k++)
        if (grafting->state->lack[k].any)
            keyspace_graft(grafting, k, worker, workers);
}

void graft_end(struct grafting *grafting, struct state_grafting *done)
{
    *done = (struct state_grafting){0};
    for (uint32_t s = 0; s < SHARD_COUNT; s++) {
        struct shard *shard = &grafting->state->shard[s];
        ((struct shard_books *)shard_edit(shard, shard->books, sizeof *shard->books))->full = grafting->full[s];
        done->keys += grafting->done[s].keys;
        done->left_out += grafting->done[s].left_out;
        free(grafting->own[s]);
    }
    grafting->state->lack = NULL;
    free(grafting);
}

void state_graft(struct state *state, const struct state *other, struct state_grafting *done)
{
    struct grafting *grafting = graft_begin(state, other);
    *done = (struct state_grafting){0};
    if (!grafting)
        return;
    graft_names(grafting, 0, 1);
    graft_cells(grafting, 0, 1);
    graft_end(grafting, done);
}
