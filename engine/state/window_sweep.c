/* Windows under the sweep: which can go, marking the ids they hold, giving back the room they no longer need. */
#include "engine/model/zone.h"
#include "engine/state/window_private.h"

/* Rules look at times behind their clock less the span, and no event to come has a time before the horizon; keep_ms holds the
 * span already, and the lateness once more. Habits look back as far as weeks go unsampled, and what others read is left to the key. */
int64_t window_idle_ms(const struct window_layout *layout, int64_t widest_ms)
{
    int64_t idle_ms = layout->keep_ms;
    if (layout->habit_count || layout->read_by_others)
        return widest_ms;
    for (uint16_t i = 0; i < layout->aggregate_count; i++) {
        int64_t days_ms = layout->aggregate[i].days ? (layout->aggregate[i].days_kept + 1) * (int64_t)MS_PER_DAY : 0;
        idle_ms = days_ms > idle_ms ? days_ms : idle_ms;
    }
    return idle_ms < widest_ms ? idle_ms : widest_ms;
}

/* --- marking --- */

static bool column_holds_ids(const struct window_layout *layout, uint8_t column)
{
    if (column >= WINDOW_EXTRA)
        return layout->entity_extras >> (column - WINDOW_EXTRA) & 1;
    return column == WINDOW_SENDER || column == WINDOW_RECEIVER || column == WINDOW_OTHER;
}

static void kept_mark(const struct state *state, const struct kept *kept, uint32_t entity_extras)
{
    ident_mark(state, kept->sender);
    ident_mark(state, kept->receiver);
    for (uint32_t left = entity_extras; left; left &= left - 1) {
        int64_t id = kept->extra[__builtin_ctz(left)];
        if (id != MISSING_I64)
            ident_mark(state, (entity_id)id);
    }
}

/* The tables that find an id's last record find none that is not in the ring, whoever bears its number now, and extremes are no ids. Nor is the key's own id marked
 * again where edges leave it out. */
void window_mark(const struct shard *shard, slab_ref ref, const struct window_layout *layout)
{
    const struct window *window = window_of(shard, ref);
    const struct records records = records_of(window, layout, ENTITY_MISSING);
    const char *record = records.first;
    for (uint32_t i = 0; i < records.count; i++, record += records.stride) {
        if (records.words)
            ident_mark(shard->state, ((const uint32_t *)(const void *)record)[PACKED_OTHER]);
        else
            kept_mark(shard->state, (const void *)record, layout->entity_extras);
    }
    const union aggregate_state *state = window_is_folded(ref) ? NULL : window_states(shard, window, layout);
    for (uint16_t i = 0; state && i < layout->aggregate_count; i++)
        if (layout->aggregate[i].days && layout->aggregate[i].fn != WINDOW_COUNT && column_holds_ids(layout, layout->aggregate[i].column))
            days_mark(shard, &state[i].days, layout->aggregate[i].fn);
}

/* --- giving back --- */

void window_trim(struct shard *shard, struct cell *cell, const struct keyspace_layout *keyspace, uint16_t index)
{
    const struct window_layout *layout = &keyspace->window[index];
    slab_ref *slot = (slab_ref *)(uintptr_t)part_slot(cell, keyspace, cell_window_at(keyspace, index));
    if (window_is_folded(*slot))
        return;
    struct at at = {.shard = shard, .layout = layout, .slot = slot, .ring_at = window_ring_at(layout), .window = slab_edit(&shard->slab, *slot, window_ring_at(layout))};
    at.size = window_stride(at.window, layout);
    at.state = states_edit(shard, at.window, layout);
    if (at.state && at.window->count <= WINDOW_SCAN_MOST / 2 && !window_by_day(layout)) {
        states_free(&at);
        at.state = NULL;
    }
    for (uint16_t i = 0; at.state && i < layout->aggregate_count; i++) {
        if (layout->aggregate[i].days)
            days_trim(shard, &at.state[i].days);
        else if (is_extreme(&layout->aggregate[i]))
            extreme_trim(shard, &at.state[i].extreme);
    }
    if (ring_too_large(at.window->room, at.window->count))
        (void)window_move(&at, ring_room_next(layout, at.window->count, at.size)); /* where there is no room for it, it stays */
    for (uint16_t i = 0; at.state && i < layout->aggregate_count; i++)
        if (layout->aggregate[i].fn == WINDOW_DISTINCT && !layout->aggregate[i].days)
            at.distinct |= 1u << layout->aggregate[i].column;
    if (at.state)
        maps_trim(&at);
}
