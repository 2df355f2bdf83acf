/* State that was kept for one program, brought into the layout of another: by hash, cell by cell, inside each shard's slab. */
#include "engine/state/private.h"

enum { ASK_RECORDS = 6, ASK_WINDOWS = 12, ASK_CELL = 18 }; /* how many entries ahead */

/* --- what stays, by the layouts alone --- */

/* The place of a hash among `count` things of `size` bytes that begin with theirs; -1: not there. */
static int hash_find(const void *things, uint16_t count, size_t size, uint64_t hash)
{
    for (uint16_t i = 0; i < count; i++) {
        uint64_t have;
        memcpy(&have, (const char *)things + i * size, sizeof have);
        if (have == hash)
            return i;
    }
    return -1;
}

_Static_assert(offsetof(struct window_layout, hash) == 0 && offsetof(struct memory_layout, hash) == 0 &&
                   offsetof(struct attempt_layout, hash) == 0 && offsetof(struct keyspace_layout, hash) == 0,
               "hash_find reads hashes at the beginning");

static int keyspace_find(const struct state_layout *in, const struct keyspace_layout *wanted)
{
    int place = hash_find(in->keyspace, in->keyspace_count, sizeof *in->keyspace, wanted->hash);
    return place >= 0 && in->keyspace[place].width == wanted->width ? place : -1;
}

static int window_find(const struct keyspace_layout *in, const struct window_layout *wanted)
{
    int place = hash_find(in->window, in->window_count, sizeof *in->window, wanted->hash);
    return place >= 0 && in->window[place].extra_count == wanted->extra_count ? place : -1;
}

static int memory_find(const struct keyspace_layout *in, const struct memory_layout *wanted)
{
    int place = hash_find(in->memory, in->memory_count, sizeof *in->memory, wanted->hash);
    return place >= 0 && in->memory[place].keep_count == wanted->keep_count && in->memory[place].dated == wanted->dated ? place : -1;
}

static int attempt_find(const struct keyspace_layout *in, const struct attempt_layout *wanted)
{
    int place = hash_find(in->attempt, in->attempt_count, sizeof *in->attempt, wanted->hash);
    return place >= 0 && in->attempt[place].word_count == wanted->word_count ? place : -1;
}

static void mapping_note(struct state_mapping *mapping, bool kept, int64_t fresh_ms)
{
    mapping->kept += kept && !fresh_ms;
    mapping->fresh += !kept || fresh_ms;
    if (fresh_ms > mapping->fresh_ms)
        mapping->fresh_ms = fresh_ms;
}

static void mapping_keyspace(struct state_mapping *mapping, const struct keyspace_layout *from, const struct keyspace_layout *to)
{
    static const struct keyspace_layout nothing = {0};
    from = from ? from : &nothing;
    for (uint16_t w = 0; w < to->window_count; w++) {
        int place = window_find(from, &to->window[w]);
        int64_t days_ms = 0;
        if (place < 0)
            days_ms = window_fresh_ms(&(struct window_layout){.keep_ms = to->window[w].keep_ms}, &to->window[w]);
        int64_t all_ms = days_ms > to->window[w].keep_ms ? days_ms : to->window[w].keep_ms;
        mapping_note(mapping, place >= 0, place >= 0 ? window_fresh_ms(&from->window[place], &to->window[w]) : all_ms);
    }
    for (uint16_t m = 0; m < to->memory_count; m++) {
        int place = memory_find(from, &to->memory[m]);
        bool shorter = place >= 0 && from->memory[place].for_ms < to->memory[m].for_ms;
        mapping_note(mapping, place >= 0, place < 0 || shorter ? to->memory[m].for_ms : 0);
    }
    for (uint16_t a = 0; a < to->attempt_count; a++)
        mapping_note(mapping, attempt_find(from, &to->attempt[a]) >= 0, 0);
}

static uint32_t gone(const struct keyspace_layout *from, const struct keyspace_layout *to)
{
    static const struct keyspace_layout nothing = {0};
    uint32_t count = 0;
    to = to ? to : &nothing;
    for (uint16_t w = 0; w < from->window_count; w++)
        count += window_find(to, &from->window[w]) < 0;
    for (uint16_t m = 0; m < from->memory_count; m++)
        count += memory_find(to, &from->memory[m]) < 0;
    for (uint16_t a = 0; a < from->attempt_count; a++)
        count += attempt_find(to, &from->attempt[a]) < 0;
    return count;
}

static void mapping_of(struct state_mapping *mapping, const struct state_layout *from, const struct state_layout *to)
{
    for (uint16_t k = 0; k < to->keyspace_count; k++) {
        int place = keyspace_find(from, &to->keyspace[k]);
        mapping_keyspace(mapping, place >= 0 ? &from->keyspace[place] : NULL, &to->keyspace[k]);
    }
    for (uint16_t k = 0; k < from->keyspace_count; k++) {
        int place = keyspace_find(to, &from->keyspace[k]);
        mapping->gone += gone(&from->keyspace[k], place >= 0 ? &to->keyspace[place] : NULL);
    }
}

/* --- what lacks --- */

/* Whether it lacked already under the layout before, where it stood at `place`. */
static bool lacked(const bool *before, int place)
{
    return before && place >= 0 && before[place];
}

static void lack_window(struct keyspace_lack *lack, uint16_t w, const struct keyspace_layout *from, const struct window_layout *to,
                        const struct keyspace_lack *before)
{
    static const struct window_layout nothing = {0};
    int place = window_find(from, to);
    const struct window_layout *had = place >= 0 ? &from->window[place] : &nothing;
    lack->window[w] = place < 0 || had->keep_ms < to->keep_ms || lacked(before ? before->window : NULL, place);
    for (uint16_t a = 0; a < to->aggregate_count; a++) {
        int was = hash_find(had->aggregate, had->aggregate_count, sizeof *had->aggregate, to->aggregate[a].hash);
        lack->past[w][a] = !window_has_past(had, &to->aggregate[a]) || (before && place >= 0 && was >= 0 && before->past[place][was]);
        lack->any |= lack->past[w][a];
    }
    lack->any |= lack->window[w];
}

static void lack_keyspace(struct arena *arena, struct keyspace_lack *lack, const struct keyspace_layout *from, const struct keyspace_layout *to,
                          const struct keyspace_lack *before)
{
    static const struct keyspace_layout nothing = {0};
    from = from ? from : &nothing;
    *lack = (struct keyspace_lack){.clock = ARENA_ARRAY(arena, bool, to->clock_count + 1),
                                   .memory = ARENA_ARRAY(arena, bool, to->memory_count + 1),
                                   .attempt = ARENA_ARRAY(arena, bool, to->attempt_count + 1),
                                   .window = ARENA_ARRAY(arena, bool, to->window_count + 1),
                                   .past = ARENA_ARRAY(arena, bool *, to->window_count + 1)};
    for (uint16_t w = 0; w < to->window_count; w++) {
        lack->past[w] = ARENA_ARRAY(arena, bool, to->window[w].aggregate_count + 1);
        lack_window(lack, w, from, &to->window[w], before);
    }
    for (uint16_t c = 0; c < to->clock_count; c++) {
        int place = hash_find(from->clock_hash, from->clock_count, sizeof(uint64_t), to->clock_hash[c]);
        lack->any |= lack->clock[c] = place < 0 || lacked(before ? before->clock : NULL, place);
    }
    for (uint16_t m = 0; m < to->memory_count; m++) {
        int place = memory_find(from, &to->memory[m]);
        bool shorter = place >= 0 && from->memory[place].for_ms < to->memory[m].for_ms;
        lack->any |= lack->memory[m] = place < 0 || shorter || lacked(before ? before->memory : NULL, place);
    }
    for (uint16_t a = 0; a < to->attempt_count; a++) {
        int place = attempt_find(from, &to->attempt[a]);
        lack->any |= lack->attempt[a] = place < 0 || lacked(before ? before->attempt : NULL, place);
    }
}

/* NULL: nothing lacks. */
static struct keyspace_lack *lack_of(struct arena *arena, const struct state_layout *from, const struct state_layout *to,
                                     const struct keyspace_lack *before)
{
    struct keyspace_lack *lack = ARENA_ARRAY(arena, struct keyspace_lack, to->keyspace_count + 1);
    bool any = false;
    for (uint16_t k = 0; k < to->keyspace_count; k++) {
        int place = keyspace_find(from, &to->keyspace[k]);
        lack_keyspace(arena, &lack[k], place >= 0 ? &from->keyspace[place] : NULL, &to->keyspace[k], before && place >= 0 ? &before[place] : NULL);
        any |= lack[k].any;
    }
    return any ? lack : NULL;
}

bool state_lacks(const struct state *state)
{
    return state->lack != NULL;
}

void state_whole(struct state *state)
{
    state->lack = NULL;
}

/* --- one cell --- */

/* Where the parts of a new cell stand in an old one; -1: nowhere. */
struct places {
    int *clock, *memory, *window, *attempt;
    bool *remake; /* by window: it does not go as it is */
};

/* Both ends of a move: an old cell under its layout, and the new one, which is empty. */
struct moving {
    struct shard *shard;
    const struct keyspace_layout *from, *to;
    const struct places *place;
    struct cell *old, *cell;
    uint16_t keyspace;
};

static void places_find(struct arena *arena, struct places *place, const struct keyspace_layout *from, const struct keyspace_layout *to)
{
    *place = (struct places){.clock = ARENA_ARRAY(arena, int, to->clock_count + 1),
                             .memory = ARENA_ARRAY(arena, int, to->memory_count + 1),
                             .window = ARENA_ARRAY(arena, int, to->window_count + 1),
                             .attempt = ARENA_ARRAY(arena, int, to->attempt_count + 1),
                             .remake = ARENA_ARRAY(arena, bool, to->window_count + 1)};
    for (uint16_t c = 0; c < to->clock_count; c++)
        place->clock[c] = hash_find(from->clock_hash, from->clock_count, sizeof(uint64_t), to->clock_hash[c]);
    for (uint16_t m = 0; m < to->memory_count; m++)
        place->memory[m] = memory_find(from, &to->memory[m]);
    for (uint16_t w = 0; w < to->window_count; w++) {
        place->window[w] = window_find(from, &to->window[w]);
        place->remake[w] = place->window[w] >= 0 && !window_same(&from->window[place->window[w]], &to->window[w]);
    }
    for (uint16_t a = 0; a < to->attempt_count; a++)
        place->attempt[a] = attempt_find(from, &to->attempt[a]);
}

/* What the old cell, packed or not, holds there goes into the new one as it lies. */
static void ref_move(const struct moving *moving, size_t from_at, size_t to_at)
{
    slab_ref *from = (slab_ref *)(uintptr_t)part_slot(moving->old, moving->from, from_at);
    if (!from)
        return;
    memcpy((char *)moving->cell + to_at, from, sizeof *from);
    *from = 0;
}

/* Where one of the cells has no block for its memory, the record is copied. */
static bool memories_move(const struct moving *moving)
{
    bool copied = memory_is_newest(moving->from) || memory_is_newest(moving->to), good = true;
    for (uint16_t m = 0; good && m < moving->to->memory_count; m++) {
        int place = moving->place->memory[m];
        struct memory_record record;
        if (place >= 0 && !copied) {
            ref_move(moving, cell_memory_at(moving->from, (uint16_t)place), cell_memory_at(moving->to, m));
        } else if (place >= 0 && memory_read(moving->shard, moving->old, moving->from, (uint16_t)place, &record)) {
            memory_put(moving->shard, moving->cell, moving->keyspace, m, &record);
            good = memory_held(moving->cell, moving->to, m);
        }
    }
    return good;
}

static bool windows_move(const struct moving *moving)
{
    bool good = true;
    for (uint16_t w = 0; good && w < moving->to->window_count; w++) {
        int place = moving->place->window[w];
        slab_ref old = place >= 0 ? window_ref(moving->old, moving->from, (uint16_t)place) : 0;
        if (!old)
            continue;
        if (!moving->place->remake[w])
            ref_move(moving, cell_window_at(moving->from, (uint16_t)place), cell_window_at(moving->to, w));
        else
            good = window_remake(moving->shard, moving->cell, moving->keyspace, w, old, &moving->from->window[place]);
    }
    return good;
}

/* Rules of equal steps have equal attempts: each gets a copy. */
static bool attempts_copy(const struct moving *moving)
{
    bool good = true;
    for (uint16_t a = 0; good && a < moving->to->attempt_count; a++) {
        int place = moving->place->attempt[a];
        slab_ref old = place >= 0 ? attempt_ref(moving->old, moving->from, (uint16_t)place) : 0;
        if (old)
            good = attempt_put(moving->shard, moving->cell, moving->keyspace, a, slab_at(&moving->shard->slab, old));
    }
    return good;
}

static bool cell_move(struct moving *moving)
{
    moving->cell = cell_get(moving->shard, moving->keyspace, moving->old->key);
    if (!moving->cell || !cell_unfold(moving->shard, moving->old, moving->from))
        return false;
    if (!memory_is_newest(moving->to)) /* else it is the memory, and nothing of what goes */
        moving->cell->newest_ms = moving->old->newest_ms;
    return clocks_copy(moving->shard, moving->cell, moving->to, moving->old, moving->from, moving->place->clock) && memories_move(moving) &&
           windows_move(moving) && attempts_copy(moving);
}

/* --- one shard --- */

/* Whether cells of both keyspaces lie the same way, so that none needs to be touched. */
static bool keyspace_same(const struct keyspace_layout *from, const struct keyspace_layout *to)
{
    bool same = from->clock_count == to->clock_count && from->window_count == to->window_count && from->memory_count == to->memory_count &&
                from->attempt_count == to->attempt_count;
    for (uint16_t c = 0; same && c < to->clock_count; c++)
        same = from->clock_hash[c] == to->clock_hash[c];
    for (uint16_t w = 0; same && w < to->window_count; w++)
        same = window_find(from, &to->window[w]) == w && window_same(&from->window[w], &to->window[w]);
    for (uint16_t m = 0; same && m < to->memory_count; m++)
        same = memory_find(from, &to->memory[m]) == m;
    for (uint16_t a = 0; same && a < to->attempt_count; a++)
        same = attempt_find(from, &to->attempt[a]) == a;
    return same;
}

static void windows_ask(const struct moving *moving, const struct cell *old, bool records)
{
    for (uint16_t w = 0; w < moving->to->window_count; w++) {
        int place = moving->place->window[w];
        if (moving->place->remake[w])
            window_ask(moving->shard, window_ref(old, moving->from, (uint16_t)place), &moving->from->window[place], records);
    }
}

/* Hints for cells further on, for nearly all of the time is waiting for memory: first the cell, then its key's slot and the windows that
 * are to be made again, then their records. */
static void moves_ask(const struct moving *moving, const struct cell_entry *entries, uint32_t room, uint32_t at)
{
    static const uint32_t ahead[] = {ASK_CELL, ASK_WINDOWS, ASK_RECORDS};
    for (size_t i = 0; i < sizeof ahead / sizeof ahead[0]; i++) {
        uint32_t next = at + ahead[i];
        if (next >= room || entries[next].tag <= TAG_REMOVED)
            continue;
        const struct cell *old = slab_at(&moving->shard->slab, entries[next].cell);
        if (ahead[i] == ASK_CELL)
            cache_ask(old, cell_size(moving->from));
        else if (moving->to)
            windows_ask(moving, old, ahead[i] == ASK_RECORDS);
        if (ahead[i] == ASK_WINDOWS && moving->to)
            cell_prefetch(moving->shard, moving->keyspace, old->key);
    }
}

/* The keys of one old keyspace go into the new one that they belong to (-1: nowhere), and the old table goes. */
static bool keys_move(struct shard *shard, const struct table *table, const struct keyspace_layout *from, int to, const struct places *place)
{
    if (to >= 0 && keyspace_same(from, shard_layout(shard, (uint16_t)to))) {
        shard->keys[to] = *table;
        return true;
    }
    const struct cell_entry *entries = slab_at(&shard->slab, table->entries);
    struct moving moving = {.shard = shard, .from = from, .place = place};
    if (to >= 0) {
        moving.keyspace = (uint16_t)to;
        moving.to = shard_layout(shard, moving.keyspace);
    }
    bool good = true;
    for (uint32_t i = 0; good && i < table->room; i++) {
        moves_ask(&moving, entries, table->room, i);
        if (entries[i].tag <= TAG_REMOVED)
            continue;
        moving.old = slab_edit(&shard->slab, entries[i].cell, cell_bytes(cell_at(shard, entries[i].cell), from));
        good = !moving.to || cell_move(&moving);
        cell_drop(shard, entries[i].cell, from);
    }
    slab_free(&shard->slab, table->entries, (size_t)table->room * sizeof *entries);
    return good;
}

static bool shard_map(struct shard *shard, const struct state_layout *from)
{
    const struct state_layout *to = &shard->state->layout;
    slab_ref old_root = slab_root(&shard->slab, ROOT_KEYS);
    const struct table *old = slab_at(&shard->slab, old_root);
    uint32_t full = shard->books->full;
    struct error err;
    if (!keys_init(shard, &err))
        return false;
    shard_bind(shard);
    shard->books->full = 0; /* nothing comes in, it only moves */
    struct arena arena;
    bool good = true;
    arena_init(&arena);
    for (uint16_t k = 0; good && k < from->keyspace_count; k++) {
        struct places place = {0};
        int at = keyspace_find(to, &from->keyspace[k]);
        if (at >= 0)
            places_find(&arena, &place, &from->keyspace[k], &to->keyspace[at]);
        good = keys_move(shard, &old[k], &from->keyspace[k], at, &place);
    }
    arena_fini(&arena);
    slab_free(&shard->slab, old_root, (size_t)(from->keyspace_count ? from->keyspace_count : 1) * sizeof *old);
    shard->books->full = full;
    return good;
}

static bool layouts_same(const struct state_layout *from, const struct state_layout *to)
{
    struct arena arena;
    arena_init(&arena);
    bool same = slice_equal(layout_write(&arena, from), layout_write(&arena, to));
    arena_fini(&arena);
    return same;
}

void state_mapping_look(const struct state *state, const struct state_layout *layout, struct state_mapping *mapping)
{
    struct arena arena;
    arena_init(&arena);
    *mapping = (struct state_mapping){.changed = !layouts_same(&state->layout, layout)};
    mapping_of(mapping, &state->layout, layout);
    mapping->lacks = lack_of(&arena, &state->layout, layout, state->lack) != NULL;
    arena_fini(&arena);
}

void state_map_begin(struct state *state, const struct state_layout *layout, struct state_mapping *mapping)
{
    const struct state_layout from = state->layout; /* what it points to stays in the state's arena */
    state_mapping_look(state, layout, mapping);
    if (!mapping->changed)
        return;
    state->from = ARENA_NEW(&state->arena, struct state_layout);
    *state->from = from;
    state->lack = lack_of(&state->arena, &from, layout, state->lack);
    state_layout_set(state, layout);
}

void state_map_work(struct state *state, uint32_t worker, uint32_t workers)
{
    for (uint32_t i = worker; state->from && i < SHARD_COUNT; i += workers)
        state->shard[i].unmapped = !shard_map(&state->shard[i], state->from);
}

bool state_map_end(struct state *state, struct error *err)
{
    state->from = NULL;
    for (uint32_t i = 0; i < SHARD_COUNT; i++)
        if (state->shard[i].unmapped)
            return error_set(err, ERROR_FATAL, "shard %u has no room to take the state over for other rules; a larger shard_mb_max gives it", i);
    return true;
}

bool state_map(struct state *state, const struct state_layout *layout, struct state_mapping *mapping, struct error *err)
{
    state_map_begin(state, layout, mapping);
    state_map_work(state, 0, 1);
    return state_map_end(state, err);
}
