/* A layout as numbers in a row, whole enough that state kept under it can be read without the rules it came from. */
#include "engine/state/private.h"

enum { NUMBERS_FIRST = 256 };

struct numbers {
    struct arena *arena;
    uint64_t *number;
    size_t count, room;
};

static void put(struct numbers *numbers, uint64_t number)
{
    if (numbers->count == numbers->room) {
        size_t room = numbers->room ? numbers->room * 2 : NUMBERS_FIRST;
        uint64_t *fresh = ARENA_ARRAY(numbers->arena, uint64_t, room);
        if (numbers->count)
            memcpy(fresh, numbers->number, numbers->count * sizeof *fresh);
        numbers->number = fresh;
        numbers->room = room;
    }
    numbers->number[numbers->count++] = number;
}

static void put_window(struct numbers *out, const struct window_layout *window)
{
    put(out, window->hash);
    put(out, (uint64_t)window->keep_ms);
    put(out, window->extra_count);
    put(out, window->entity_extras);
    put(out, window->habit_count);
    put(out, window->by_day);
    put(out, window->aggregate_count);
    for (uint16_t a = 0; a < window->aggregate_count; a++) {
        const struct aggregate_layout *aggregate = &window->aggregate[a];
        put(out, aggregate->hash);
        put(out, aggregate->fn);
        put(out, aggregate->column);
        put(out, aggregate->habit);
        put(out, (uint64_t)aggregate->days);
        put(out, (uint64_t)aggregate->days_kept);
    }
}

static void put_keyspace(struct numbers *out, const struct keyspace_layout *keyspace)
{
    put(out, keyspace->hash);
    put(out, keyspace->width);
    put(out, keyspace->entity_words);
    put(out, keyspace->mutual);
    put(out, (uint64_t)keyspace->widest_ms);
    put(out, keyspace->clock_count);
    for (uint16_t c = 0; c < keyspace->clock_count; c++)
        put(out, keyspace->clock_hash[c]);
    put(out, keyspace->window_count);
    for (uint16_t w = 0; w < keyspace->window_count; w++)
        put_window(out, &keyspace->window[w]);
    put(out, keyspace->memory_count);
    for (uint16_t m = 0; m < keyspace->memory_count; m++) {
        put(out, keyspace->memory[m].hash);
        put(out, (uint64_t)keyspace->memory[m].for_ms);
        put(out, keyspace->memory[m].keep_count);
        put(out, keyspace->memory[m].entity_keeps);
        put(out, keyspace->memory[m].dated);
    }
    put(out, keyspace->attempt_count);
    for (uint16_t a = 0; a < keyspace->attempt_count; a++) {
        put(out, keyspace->attempt[a].hash);
        put(out, keyspace->attempt[a].word_count);
        put(out, keyspace->attempt[a].time_word);
        put(out, keyspace->attempt[a].kept_from);
        put(out, keyspace->attempt[a].entity_kept);
    }
}

struct slice layout_write(struct arena *arena, const struct state_layout *layout)
{
    struct numbers out = {.arena = arena};
    put(&out, layout->basis);
    put(&out, layout->keyspace_count);
    for (uint16_t k = 0; k < layout->keyspace_count; k++)
        put_keyspace(&out, &layout->keyspace[k]);
    return (struct slice){(const char *)out.number, out.count * sizeof *out.number};
}

struct cell_shape cell_shape(const struct keyspace_layout *layout)
{
    bool alone = layout->memory_count == 1 && layout->window_count + layout->clock_count + layout->attempt_count == 0;
    bool is_newest = alone && layout->memory->keep_count == 0 && !layout->memory->dated;
    uint32_t ref = sizeof(slab_ref);
    struct cell_shape shape = {.parts = (uint32_t)layout->window_count + (layout->clock_count > 0) + layout->memory_count + layout->attempt_count};
    shape.window_at = (uint32_t)offsetof(struct cell, key) + layout->width * (uint32_t)sizeof(uint32_t);
    shape.packs = !is_newest && shape.window_at + shape.parts * ref > CELL_MOST && shape.parts <= UINT16_MAX;
    shape.window_at += shape.packs ? PACKED_HEAD : 0;
    shape.clocks_at = shape.window_at + layout->window_count * ref;
    uint32_t memory_at = shape.clocks_at + (layout->clock_count ? ref : 0);
    shape.memory_at = is_newest ? 0 : memory_at;
    shape.attempt_at = memory_at + (is_newest ? 0 : layout->memory_count * ref);
    shape.size = shape.attempt_at + layout->attempt_count * ref;
    return shape;
}

/* --- and back: a file is not believed, checksum or not --- */

struct reading {
    struct slice bytes;
    size_t at;
    struct arena *arena;
    bool wrong;
};

static uint64_t take(struct reading *in, uint64_t most)
{
    uint64_t number = 0;
    if (in->bytes.size - in->at < sizeof number) {
        in->wrong = true;
        return 0;
    }
    memcpy(&number, in->bytes.data + in->at, sizeof number);
    in->at += sizeof number;
    if (number <= most)
        return number;
    in->wrong = true;
    return 0;
}

/* A count of things of at least `each` numbers, which must still follow. */
static uint16_t take_count(struct reading *in, size_t each)
{
    uint64_t count = take(in, UINT16_MAX);
    if (count * each * sizeof(uint64_t) > in->bytes.size - in->at)
        in->wrong = true;
    return in->wrong ? 0 : (uint16_t)count;
}

static void take_window(struct reading *in, struct window_layout *window)
{
    window->hash = take(in, UINT64_MAX);
    window->keep_ms = (int64_t)take(in, INT64_MAX);
    window->extra_count = (uint8_t)take(in, STATE_EXTRA_MAX);
    window->entity_extras = (uint16_t)take(in, (1u << window->extra_count) - 1);
    window->habit_count = (uint8_t)take(in, UINT8_MAX - 1);
    window->by_day = take(in, 1);
    window->aggregate_count = take_count(in, 6);
    struct aggregate_layout *aggregate = ARENA_ARRAY(in->arena, struct aggregate_layout, window->aggregate_count + 1);
    for (uint16_t a = 0; a < window->aggregate_count; a++) {
        aggregate[a].hash = take(in, UINT64_MAX);
        aggregate[a].fn = (uint8_t)take(in, WINDOW_LAST);
        aggregate[a].column = (uint8_t)take(in, WINDOW_EXTRA + STATE_EXTRA_MAX - 1);
        aggregate[a].habit = (uint8_t)take(in, window->habit_count);
        aggregate[a].days = (int32_t)take(in, INT32_MAX);
        aggregate[a].days_kept = (int32_t)take(in, INT32_MAX);
    }
    window->aggregate = aggregate;
}

static void take_memories(struct reading *in, struct keyspace_layout *keyspace)
{
    keyspace->memory_count = take_count(in, 5);
    struct memory_layout *memory = ARENA_ARRAY(in->arena, struct memory_layout, keyspace->memory_count + 1);
    for (uint16_t m = 0; m < keyspace->memory_count; m++) {
        memory[m].hash = take(in, UINT64_MAX);
        memory[m].for_ms = (int64_t)take(in, INT64_MAX);
        memory[m].keep_count = (uint8_t)take(in, STATE_KEEP_MAX);
        memory[m].entity_keeps = (uint8_t)take(in, (1u << memory[m].keep_count) - 1);
        memory[m].dated = take(in, 1);
    }
    keyspace->memory = memory;
}

static void take_attempts(struct reading *in, struct keyspace_layout *keyspace)
{
    keyspace->attempt_count = take_count(in, 5);
    struct attempt_layout *attempt = ARENA_ARRAY(in->arena, struct attempt_layout, keyspace->attempt_count + 1);
    for (uint16_t a = 0; a < keyspace->attempt_count; a++) {
        attempt[a].hash = take(in, UINT64_MAX);
        attempt[a].word_count = (uint16_t)take(in, UINT16_MAX);
        attempt[a].time_word = (uint16_t)take(in, attempt[a].word_count);
        attempt[a].kept_from = (uint16_t)take(in, attempt[a].word_count);
        attempt[a].entity_kept = (uint32_t)take(in, UINT32_MAX);
        unsigned kept = (unsigned)(attempt[a].word_count - attempt[a].kept_from);
        if (kept < 32 && attempt[a].entity_kept >> kept)
            in->wrong = true;
    }
    keyspace->attempt = attempt;
}

static void take_keyspace(struct reading *in, struct keyspace_layout *keyspace)
{
    keyspace->hash = take(in, UINT64_MAX);
    keyspace->width = (uint8_t)take(in, STATE_KEY_MAX);
    keyspace->entity_words = (uint8_t)take(in, (1u << keyspace->width) - 1);
    keyspace->mutual = take(in, keyspace->width == 2 && keyspace->entity_words == 3) != 0;
    keyspace->widest_ms = (int64_t)take(in, INT64_MAX);
    keyspace->clock_count = take_count(in, 1);
    uint64_t *clock = ARENA_ARRAY(in->arena, uint64_t, keyspace->clock_count + 1);
    for (uint16_t c = 0; c < keyspace->clock_count; c++)
        clock[c] = take(in, UINT64_MAX);
    keyspace->clock_hash = clock;
    keyspace->window_count = take_count(in, 7);
    struct window_layout *window = ARENA_ARRAY(in->arena, struct window_layout, keyspace->window_count + 1);
    for (uint16_t w = 0; w < keyspace->window_count && !in->wrong; w++)
        take_window(in, &window[w]);
    keyspace->window = window;
    take_memories(in, keyspace);
    take_attempts(in, keyspace);
    if (keyspace->width == 0)
        in->wrong = true;
}

bool layout_read(struct slice bytes, struct arena *arena, struct state_layout *layout, struct error *err)
{
    struct reading in = {.bytes = bytes, .arena = arena};
    *layout = (struct state_layout){.basis = take(&in, UINT64_MAX)};
    layout->keyspace_count = take_count(&in, 7);
    struct keyspace_layout *keyspace = ARENA_ARRAY(arena, struct keyspace_layout, layout->keyspace_count + 1);
    for (uint16_t k = 0; k < layout->keyspace_count && !in.wrong; k++)
        take_keyspace(&in, &keyspace[k]);
    layout->keyspace = keyspace;
    return (!in.wrong && in.at == bytes.size) || error_set(err, ERROR_FATAL, "what it says of its own layout cannot be understood");
}
