/* Writes down what keys, repeats and first reports hold, canonically, and adds the hashes up. */
#include "engine/state/hash.h"

#include "engine/base/invariant.h"
#include "engine/state/private.h"

#include <sodium.h>
#include <stdlib.h>

/* --- pieces --- */

static char *item_room(struct hash_item *item, size_t size)
{
    if (item->size + size > item->room) {
        item->room = (item->size + size) * 2;
        item->data = realloc(item->data, item->room);
        invariant(item->data != NULL);
    }
    item->size += size;
    return item->data + item->size - size;
}

void hash_item_number(struct hash_item *item, int64_t number)
{
    memcpy(item_room(item, sizeof number), &number, sizeof number);
}

void hash_item_text(struct hash_item *item, struct slice text)
{
    hash_item_number(item, (int64_t)text.size);
    if (text.size)
        memcpy(item_room(item, text.size), text.data, text.size);
}

void hash_item_entity(struct hash_item *item, const struct state *state, entity_id id)
{
    hash_item_text(item, ident_text(state, id));
}

void hash_item_add(struct hash_item *item, struct state_sum *sum)
{
    uint64_t word[4];
    unsigned __int128 carry = 0;
    crypto_generichash((unsigned char *)word, sizeof word, (const unsigned char *)item->data, item->size, NULL, 0);
    for (int i = 0; i < 4; i++) {
        carry += (unsigned __int128)sum->word[i] + word[i];
        sum->word[i] = (uint64_t)carry;
        carry >>= 64;
    }
    item->size = 0;
}

void hash_item_fini(struct hash_item *item)
{
    free(item->data);
    *item = (struct hash_item){0};
}

/* --- keys --- */

/* A number of the state: an id where the layout says so. */
void hash_value(struct hash_item *item, const struct state *state, int64_t value, bool is_id)
{
    if (is_id && value != MISSING_I64)
        hash_item_entity(item, state, (entity_id)value);
    else
        hash_item_number(item, value);
}

/* One key being written down. */
struct key_at {
    struct shard *shard;
    const struct cell *cell;
    const struct keyspace_layout *layout;
    const struct state_horizon *horizon;
    int64_t floor_ms;   /* older records are dead: a sweep may have taken the key with them already */
    int32_t floor_day;  /* this day and those before are */
    struct hash_item *item;
    uint16_t keyspace, window;
};

static bool record_hash(void *context, const struct record *record, bool key_is_receiver)
{
    const struct key_at *at = context;
    const struct window_layout *window = &at->layout->window[at->window];
    hash_item_text(at->item, SLICE("record"));
    hash_item_number(at->item, (int64_t)window->hash);
    hash_item_number(at->item, record->time_ms);
    hash_item_number(at->item, (int64_t)record->seq << 1 | key_is_receiver);
    hash_item_number(at->item, record->amount);
    hash_item_entity(at->item, at->shard->state, record->sender);
    hash_item_entity(at->item, at->shard->state, record->receiver);
    for (int x = 0; x < window->extra_count; x++)
        hash_value(at->item, at->shard->state, record->extra[x], window->entity_extras >> x & 1);
    return true;
}

static void memory_hash(const struct key_at *at, uint16_t index)
{
    const struct memory_layout *memory = &at->layout->memory[index];
    struct memory_record record;
    if (memory->dated) {
        slab_ref rows = memory_ref(at->cell, at->layout, index);
        if (rows)
            fact_hash(at->shard, rows, memory, at->item);
    } else if (memory_read(at->shard, at->cell, at->layout, index, &record) && record.time_ms >= at->floor_ms) {
        memory_record_hash(at->shard->state, &record, memory, at->item);
    }
}

void memory_record_hash(const struct state *state, const struct memory_record *record, const struct memory_layout *memory,
                        struct hash_item *item)
{
    hash_item_text(item, SLICE("memory"));
    hash_item_number(item, (int64_t)memory->hash);
    hash_item_number(item, record->time_ms);
    if (memory->keep_count > 0) /* else memory_is_newest may have left it out */
        hash_item_number(item, (int64_t)record->seq);
    for (int v = 0; v < memory->keep_count; v++)
        hash_value(item, state, record->keep[v], memory->entity_keeps >> v & 1);
}

static void clocks_hash(const struct key_at *at)
{
    for (uint16_t c = 0; c < at->layout->clock_count; c++) {
        int64_t time_ms = clock_read(at->shard, at->cell, at->keyspace, c);
        if (time_ms == INT64_MIN || time_ms < at->floor_ms || time_ms + CLOCK_KEEP_MS < at->horizon->keys_ms)
            continue; /* never raised, or as good as never: clocks_thin may have been here already */
        hash_item_text(at->item, SLICE("clock"));
        hash_item_number(at->item, (int64_t)at->layout->clock_hash[c]);
        hash_item_number(at->item, time_ms);
    }
}

/* A window that a sweep may have taken already is no content either. */
static void window_content_hash(struct key_at *at)
{
    const struct window_layout *window = &at->layout->window[at->window];
    int64_t keys_ms = at->horizon->keys_ms;
    slab_ref ref = window_ref(at->cell, at->layout, at->window);
    if (!ref || (keys_ms != INT64_MIN && window_newest(at->shard, ref, window) < keys_ms - window_idle_ms(window, at->layout->widest_ms)))
        return;
    window_walk(at->shard, at->cell, at->keyspace, at->window, at->floor_ms == INT64_MIN ? INT64_MIN : at->floor_ms - 1, record_hash, at);
    window_hash(at->shard, at->cell, at->keyspace, at->window, at->floor_day, keys_ms == INT64_MIN ? INT32_MIN : zone_week(at->horizon->zone, keys_ms),
                at->item);
}

/* A key of which nothing is alive is no content: whether it was swept does not show. */
static void attempt_hash(const struct key_at *at, uint16_t index)
{
    const struct attempt_layout *layout = &at->layout->attempt[index];
    slab_ref ref = attempt_ref(at->cell, at->layout, index);
    if (!ref || attempt_last_ms(at->shard, ref, layout) < at->floor_ms)
        return;
    const int64_t *word = slab_at(&at->shard->slab, ref);
    hash_item_text(at->item, SLICE("attempt"));
    hash_item_number(at->item, (int64_t)layout->hash);
    for (uint16_t w = 0; w < layout->word_count; w++)
        hash_value(at->item, at->shard->state, word[w], w >= layout->kept_from && (layout->entity_kept >> (w - layout->kept_from) & 1));
}

/* Which word of a key comes first: of a mutual one that with the lesser text, for ids are others in another run. */
static uint32_t first_word(const struct key_at *at)
{
    if (!at->layout->mutual)
        return 0;
    struct slice a = ident_text(at->shard->state, at->cell->key[0]), b = ident_text(at->shard->state, at->cell->key[1]);
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order > 0 || (order == 0 && a.size > b.size);
}

static void cell_hash(struct key_at *at, struct state_sum *sum)
{
    struct hash_item *item = at->item;
    uint32_t first = first_word(at);
    hash_item_text(item, SLICE("key"));
    hash_item_number(item, (int64_t)at->layout->hash);
    for (uint32_t w = 0; w < at->layout->width; w++)
        hash_value(item, at->shard->state, at->cell->key[w ^ first], at->layout->entity_words >> w & 1);
    size_t empty = item->size;
    clocks_hash(at);
    for (at->window = 0; at->window < at->layout->window_count; at->window++)
        window_content_hash(at);
    for (uint16_t m = 0; m < at->layout->memory_count; m++)
        memory_hash(at, m);
    for (uint16_t a = 0; a < at->layout->attempt_count; a++)
        attempt_hash(at, a);
    if (item->size > empty)
        hash_item_add(item, sum);
    item->size = 0;
}

void state_hash(const struct state *state, const struct state_horizon *horizon, struct state_sum *sum)
{
    struct hash_item item = {0};
    struct key_at at = {.horizon = horizon, .item = &item};
    for (uint32_t s = 0; s < SHARD_COUNT; s++) {
        /* reads only: shards are not const because cell_find and its like hand out what may be changed */
        at.shard = (struct shard *)(uintptr_t)&state->shard[s];
        dedup_hash(at.shard, horizon->dedup_ms, &item, sum);
        for (at.keyspace = 0; at.keyspace < state->layout.keyspace_count; at.keyspace++) {
            at.layout = shard_layout(at.shard, at.keyspace);
            bool begun = horizon->keys_ms != INT64_MIN;
            at.floor_ms = begun ? horizon->keys_ms - at.layout->widest_ms : INT64_MIN;
            at.floor_day = begun ? zone_day(horizon->zone, at.floor_ms) : INT32_MIN;
            for (uint32_t i = 0; cell_next(at.shard, at.keyspace, &i, &at.cell);)
                cell_hash(&at, sum);
        }
    }
    hash_item_fini(&item);
}
