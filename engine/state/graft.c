/* What a mapped state lacks, brought out of a state that was kept under the same layout from earlier on: key by key, ids translated. */
#include "engine/state/private.h"

#include "engine/base/invariant.h"

#include <stdlib.h>

struct grafting {
    struct state *state;
    const struct state *other;
    entity_id *own[SHARD_COUNT];   /* by shard and ordinal: what the other's id is here; ENTITY_MISSING: not asked yet */
    uint32_t room[SHARD_COUNT];
    struct state_grafting *done;
};

/* --- ids --- */

static void own_reserve(struct grafting *grafting, uint32_t shard, uint32_t ordinal)
{
    uint32_t room = grafting->room[shard] ? grafting->room[shard] : 64;
    while (room <= ordinal)
        room *= 2;
    if (room == grafting->room[shard])
        return;
    grafting->own[shard] = realloc(grafting->own[shard], room * sizeof(entity_id));
    invariant(grafting->own[shard] != NULL);
    for (uint32_t i = grafting->room[shard]; i < room; i++)
        grafting->own[shard][i] = ENTITY_MISSING;
    grafting->room[shard] = room;
}

entity_id graft_id(struct grafting *grafting, entity_id id)
{
    uint32_t shard = entity_shard(id), ordinal = id >> 8;
    if (id == ENTITY_MISSING)
        return id;
    own_reserve(grafting, shard, ordinal);
    entity_id *own = &grafting->own[shard][ordinal];
    if (*own == ENTITY_MISSING)
        *own = ident_bring(&grafting->state->shard[shard], grafting->other, id);
    return *own;
}

int64_t graft_number(struct grafting *grafting, int64_t number, bool is_id)
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
    struct shard *shard;
    struct cell *cell;
};

static bool holds(const struct twig *twig)
{
    bool any = false;
    for (uint16_t c = 0; !any && c < twig->layout->clock_count; c++)
        any = twig->lack->clock[c] && clock_read(twig->other, twig->from, twig->keyspace, c) != INT64_MIN;
    for (uint16_t m = 0; !any && m < twig->layout->memory_count; m++)
        any = twig->lack->memory[m] && memory_ref(twig->from, twig->layout, m);
    for (uint16_t a = 0; !any && a < twig->layout->attempt_count; a++)
        any = twig->lack->attempt[a] && attempt_ref(twig->from, twig->layout, a);
    for (uint16_t w = 0; !any && w < twig->layout->window_count; w++) {
        any = twig->lack->window[w];
        for (uint16_t i = 0; !any && i < twig->layout->window[w].aggregate_count; i++)
            any = twig->lack->past[w][i];
        any = any && window_ref(twig->from, twig->layout, w);
    }
    return any;
}

/* The state's cell of the same key; NULL when there is no room. */
static bool cell_reach(struct twig *twig)
{
    uint32_t key[STATE_KEY_MAX];
    for (uint8_t i = 0; i < twig->layout->width; i++) {
        bool is_id = twig->layout->entity_words >> i & 1;
        key[i] = is_id ? graft_id(twig->grafting, twig->from->key[i]) : twig->from->key[i];
        if (is_id && key[i] == ENTITY_MISSING)
            return false;
    }
    twig->shard = &twig->grafting->state->shard[key_shard(key, twig->layout->width)];
    twig->cell = cell_get(twig->shard, twig->keyspace, key);
    return twig->cell != NULL;
}

static bool memory_bring(const struct twig *twig, uint16_t memory)
{
    const struct memory_layout *layout = &twig->layout->memory[memory];
    slab_ref ref = memory_ref(twig->from, twig->layout, memory);
    if (!ref)
        return true;
    if (layout->dated)
        return fact_graft(twig->shard, twig->cell, twig->keyspace, memory, twig->other, ref, twig->grafting);
    struct memory_record record = {0};
    memcpy(&record, slab_at(&twig->other->slab, ref), memory_bytes(layout));
    for (uint8_t k = 0; k < layout->keep_count; k++)
        record.keep[k] = graft_number(twig->grafting, record.keep[k], layout->entity_keeps >> k & 1);
    memory_put(twig->shard, twig->cell, twig->keyspace, memory, &record);
    return memory_ref(twig->cell, twig->layout, memory) != 0;
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
    struct state_grafting *done = twig->grafting->done;
    const struct keyspace_lack *lack = twig->lack;
    if (!holds(twig))
        return;
    if (!cell_reach(twig)) {
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
    for (uint16_t w = 0; w < twig->layout->window_count; w++) {
        bool wanted = lack->window[w];
        for (uint16_t i = 0; !wanted && i < twig->layout->window[w].aggregate_count; i++)
            wanted = lack->past[w][i];
        done->left_out += wanted && !window_graft(twig->shard, twig->cell, twig->keyspace, w, lack, twig->other,
                                                  window_ref(twig->from, twig->layout, w), twig->grafting);
    }
    struct cell *cell = shard_edit(twig->shard, twig->cell, sizeof *cell);
    if (twig->from->newest_ms > cell->newest_ms)
        cell->newest_ms = twig->from->newest_ms;
}

/* --- all of it --- */

/* Attempts that came about since the mapping, out of half a past. */
static void attempts_clear(struct state *state, uint16_t keyspace)
{
    const struct keyspace_layout *layout = &state->layout.keyspace[keyspace];
    for (uint32_t s = 0; s < SHARD_COUNT; s++) {
        struct shard *shard = &state->shard[s];
        const struct cell *cell;
        for (uint32_t at = 0; cell_next(shard, keyspace, &at, &cell);)
            for (uint16_t a = 0; a < layout->attempt_count; a++)
                if (state->lack[keyspace].attempt[a] && attempt_ref(cell, layout, a))
                    attempt_end(shard, (struct cell *)(uintptr_t)cell, keyspace, a);
    }
}

static void keyspace_graft(struct grafting *grafting, uint16_t keyspace)
{
    struct twig twig = {.grafting = grafting,
                        .layout = &grafting->state->layout.keyspace[keyspace],
                        .lack = &grafting->state->lack[keyspace],
                        .keyspace = keyspace};
    attempts_clear(grafting->state, keyspace);
    for (uint32_t s = 0; s < SHARD_COUNT; s++) {
        twig.other = &grafting->other->shard[s];
        for (uint32_t at = 0; cell_next(twig.other, keyspace, &at, &twig.from);)
            cell_graft(&twig);
    }
}

void state_graft(struct state *state, const struct state *other, struct state_grafting *done)
{
    struct grafting grafting = {.state = state, .other = other, .done = done};
    uint32_t full[SHARD_COUNT];
    *done = (struct state_grafting){0};
    if (!state->lack)
        return;
    invariant(memcmp(state->key, other->key, sizeof state->key) == 0 && state->layout.keyspace_count == other->layout.keyspace_count);
    for (uint32_t s = 0; s < SHARD_COUNT; s++) {
        struct shard_books *books = shard_edit(&state->shard[s], state->shard[s].books, sizeof *books);
        full[s] = books->full;
        books->full = 0; /* a full shard stays so for events; the reserve behind its bound is for this too */
    }
    for (uint16_t k = 0; k < state->layout.keyspace_count; k++)
        if (state->lack[k].any)
            keyspace_graft(&grafting, k);
    for (uint32_t s = 0; s < SHARD_COUNT; s++) {
        state->shard[s].books->full = full[s];
        free(grafting.own[s]);
    }
    state->lack = NULL;
}
