/* Expected bytes of a state: how many blocks of which class are in use, moment by moment. */
#include "engine/state/size.h"

#include "engine/base/invariant.h"
#include "engine/state/private.h"
#include "engine/state/window_private.h"

#include <math.h>

/* MOMENTS from empty to the end, each STEP_BACK before the next: a table stays at one size for a doubling. */
enum { MOMENTS = 40, ROOMS = 26, DEVIATES = 9, PHASES = 4, RING_LEAST = 2, RING_MOST = 1 << 26, TABLE_LEAST = 8, DIRECTORY_LEAST = 16, EXTREME_LEAST = 4 };
static const double STEP_BACK = 0.85;
/* What lies free between blocks and is too small for what is asked for, and the marks of it: measured where rings grow. */
static const double SPLINTERS = 1.03;

/* --- what engine/state/ident.c takes, weighed --- */

struct weights {
    size_t ident_entry, ident_head;
};

/* Bytes that a second identity takes in a fresh shard; *first: that the first took, its tables with it. */
static size_t weigh_intern(struct state *state, uint32_t index, size_t text_bytes, size_t *first)
{
    static const char text[64] = {0};
    struct shard *shard = state_shard(state, index);
    size_t used[3] = {slab_used(&shard->slab)};
    for (uint64_t n = 1; n <= 2; n++) {
        entity_id id = ident_intern(shard, ENTITY_ACCOUNT, (struct slice){text, text_bytes}, (struct hash128){index, n << 8}, NULL, NULL);
        invariant(id != ENTITY_MISSING);
        used[n] = slab_used(&shard->slab);
    }
    *first = used[1] - used[0];
    return used[2] - used[1];
}

static void weigh(struct weights *weights)
{
    struct error err = {0};
    static const unsigned char key[16] = {0};
    const struct state_layout layout = {.shard_bytes_max = 16 * SLAB_PAGE};
    struct state *state = state_new(&layout, key, &err);
    invariant(state);
    size_t first, rest, text = 2, next = weigh_intern(state, 1, 1, &first);
    weights->ident_entry = (first - next - DIRECTORY_LEAST * sizeof(slab_ref)) / TABLE_LEAST;
    while (weigh_intern(state, (uint32_t)text, text, &rest) == next)
        text++; /* the first text that does not fit the block of a text of one byte */
    weights->ident_head = next - (text - 1);
    state_free(state);
}

/* --- adding up by class --- */

struct tally {
    const struct size_load *load;
    struct weights weights;
    double in_use[SLAB_CLASSES]; /* blocks, at this moment */
    double most;                 /* bytes in blocks, at any moment so far */
    double bytes[SLAB_CLASSES];  /* of one block */
    double now;                  /* events since the beginning */
};

static double events_of(const struct tally *tally, int64_t span_ms)
{
    return (double)span_ms * tally->load->events_per_ms;
}

/* `blocks` blocks for `size` bytes each. */
static void take(struct tally *tally, struct size_part *part, double size, double blocks)
{
    size_t bytes, class = slab_class((size_t)size, &bytes);
    tally->in_use[class] += blocks;
    tally->bytes[class] = (double)bytes;
    part->bytes += (double)bytes * blocks;
}

static double power_from(double least, double want)
{
    double room = least;
    while (room < want)
        room *= 2;
    return room;
}

/* Room of a table: at most three quarters full when it only grew; once what was removed had to be cleared
 * away, at most eleven sixteenths. */
static double table_room(double live, double removed, size_t entry_size)
{
    uint32_t room = table_room_next(0, entry_size);
    while (live > room * 3.0 / 4 || (live + removed > room * 3.0 / 4 && live + 1 > room * 11.0 / 16))
        room = table_room_next(room, entry_size);
    return room;
}

/* One table in each of so many shards, `live` being the entries of all 256: shards differ as chance has it. */
static void take_tables(struct tally *tally, struct size_part *part, size_t entry_size, double live, double removed, double shards)
{
    double mean = live / SHARD_COUNT, gone = removed / SHARD_COUNT, sum = 0, weight[DEVIATES];
    for (int i = 0; i < DEVIATES; i++)
        sum += weight[i] = exp(-0.5 * (i - DEVIATES / 2) * (i - DEVIATES / 2) * 0.25);
    if (mean < 0.02) {
        take(tally, part, (double)(entry_size * TABLE_LEAST), live * shards / SHARD_COUNT);
        return;
    }
    for (int i = 0; i < DEVIATES; i++) {
        double here = mean + (i - DEVIATES / 2) * 0.5 * sqrt(mean);
        take(tally, part, (double)entry_size * table_room(here > 1 ? here : 1, gone, entry_size), shards * weight[i] / sum);
    }
}

/* Blocks of `buckets` buckets that share so many entries. */
static void take_blocks(struct tally *tally, struct size_part *part, double entry_bytes, double entries, double buckets, double shards)
{
    double mean = entries / buckets, deviation = sqrt(mean), from = floor(fmax(1, mean - 5 * deviation)), before = poisson_most(from - 1, mean);
    for (double here = from; before < 1 - 1e-6 && here < mean + 6 * deviation + 8; here++) {
        double most = poisson_most(here, mean);
        take(tally, part, (double)bucket_block((size_t)lround(here * entry_bytes)), shards * buckets * (most - before));
        before = most;
    }
}

/* Buckets in each of so many shards, `live` being the entries of all 256, when they have been `peak` since the buckets were last put
 * together: those whose turn to be split has come are half as full as the others (engine/state/bucket.h). */
static void take_buckets(struct tally *tally, struct size_part *part, double entry_bytes, double live, double peak, double shards)
{
    double mean = live / SHARD_COUNT, count = fmax(1, fmin(peak / SHARD_COUNT, mean / 0.75) * entry_bytes / BUCKET_BYTES);
    double whole = 1;
    while (2 * whole <= count)
        whole *= 2;
    double halves = 2 * (count - whole), rest = 2 * whole - count, all = halves / 2 + rest;
    take_blocks(tally, part, entry_bytes, mean * rest / all, rest, shards);
    if (halves >= 1e-6)
        take_blocks(tally, part, entry_bytes, mean * halves / 2 / all, halves, shards);
    take(tally, part, sizeof(slab_ref) * power_from(4, count), shards);
}

/* --- keys and windows --- */

/* A key that an event meets with chance rate, at the tally's moment. */
struct life {
    double keys;    /* of this rate that hold something */
    double rate;
    double age;     /* events since such a key was made */
    double window;  /* expected events of it inside the span, beside the newest */
    double aged;    /* of its age, what lies before the span */
};

/* life_of: the key's cell goes after `idle` events without a touch; touches come `often` times as often as
 * what is asked for. E[min(span, age - g)], g the age of the newest record, is exponential up to `age`. */
static struct life life_of(const struct tally *tally, const struct spread *spread, uint32_t i, double idle, double often, double span)
{
    struct life life = {.rate = spread->rate[i]};
    double touches = life.rate * often, renewed = touches * idle < 500 ? expm1(touches * idle) / touches : tally->now;
    life.age = renewed < tally->now ? renewed : tally->now;
    double some = -expm1(-life.rate * life.age), alive = -expm1(-touches * fmin(idle, tally->now));
    life.keys = spread->keys[i] * fmin(some, alive);
    life.aged = life.age > span ? life.age - span : 0;
    double whole = life.age > span ? span : life.age, far = exp(-life.rate * life.aged), end = exp(-life.rate * life.age);
    double inside = whole * (1 - far) + (life.age - life.aged) * far - (far - end) / life.rate;
    life.window = some > 0 ? life.rate * inside / some : 0;
    if (life.window < 0)
        life.window = 0;
    return life;
}

/* Chance that a ring never had to grow beyond room: it grows when it is full and more than three quarters of it are
 * still wanted, and it fills again and again. */
static double ring_fits(const struct life *life, double room)
{
    double fills = life->rate * life->aged / fmax(1, room - life->window - 1);
    return poisson_most(room - 1, life->window) * (fills > 0 ? pow(poisson_most(room * 3 / 4, life->window), fills) : 1);
}

/* Windows with their rings: what stands before the records is the window's, the rest of the block theirs. */
static void take_rings(struct tally *tally, const struct window_layout *layout, const struct life *life, struct size_window_part *part)
{
    size_t size = window_record_bytes(layout);
    double sum = 0, fixed = (double)window_ring_at(layout);
    for (uint32_t room = ring_room_next(layout, 0, size); room < RING_MOST && sum < 1 - 1e-9; room = ring_room_next(layout, room, size)) {
        double fits = ring_fits(life, room);
        if (fits > sum)
            take(tally, &part->record, fixed + (double)room * (double)size, life->keys * (fits - sum));
        sum = fmax(sum, fits);
    }
    part->record.bytes -= fixed * life->keys * sum;
    part->window.bytes += fixed * life->keys * sum;
    part->window.count += life->keys;
    part->record.count += life->keys * (1 + life->window);
}

/* Values that no later record outdoes, of n in random order: the harmonic number. */
static void take_extreme(struct tally *tally, struct size_part *part, const struct life *life, double share)
{
    double standing = log(1 + life->window) + 0.58;
    take(tally, part, power_from(EXTREME_LEAST, 1.5 * standing) * (double)extreme_entry_bytes(), life->keys * share);
}

/* Different values of a column per record of the key, inside a span. */
static double ids_per_record(const struct spread *ids, double span)
{
    double records = spread_rate(ids) * span;
    return records > 0 ? spread_seen(ids, span) / records : 0;
}

static void take_ids(struct tally *tally, struct size_part *part, const struct life *life, uint32_t columns, const struct size_window *from,
                     double span)
{
    double small = poisson_most(WINDOW_MAP_FROM - 2, life->window), fills = life->rate * life->aged / fmax(1, life->window);
    double mapped = life->keys * (1 - pow(small, 1 + fills));
    if (mapped < 1e-9 || !columns)
        return;
    double records = fmax(WINDOW_MAP_FROM, 1 + life->window);
    take(tally, part, (double)window_maps_bytes(), mapped);
    for (uint32_t left = columns; left; left &= left - 1) {
        double ids = records * ids_per_record(&from->ids[__builtin_ctz(left)], fmin(span, tally->now));
        take(tally, part, (double)window_map_entry_bytes() * table_room(fmax(ids, 1), life->aged > 0 ? ids : 0, window_map_entry_bytes()), mapped);
        part->count += mapped * ids;
    }
}

/* One bucket for each day with a record, and for distinct the last day of every value. */
static void take_days(struct tally *tally, struct size_part *part, const struct life *life, const struct aggregate_layout *aggregate,
                      const struct size_window *from)
{
    double day = events_of(tally, 86400000), span = day * (aggregate->days_kept + 1), known = fmin(life->age, span);
    double active = -expm1(-life->rate * day), more = fmax(0, known / day - 1) * active;
    double room = RING_LEAST, before = 0;
    for (int i = 0; i < ROOMS && before < 1 - 1e-9; i++, room *= 2) {
        double fits = active < 0.3 ? poisson_most(room - 1, more)
                                   : 0.5 * erfc((more - room + 0.5) / sqrt(2 * fmax(0.01, more * (1 - active))));
        if (fits > before)
            take(tally, part, room * (double)bucket_bytes(), life->keys * (fits - before));
        before = fmax(before, fits);
    }
    part->count += life->keys * (1 + more);
    if (aggregate->fn != WINDOW_DISTINCT)
        return;
    double records = 1 + life->rate * known;
    double ids = fmax(1, records * ids_per_record(&from->ids[aggregate->column], fmin(span, tally->now)));
    take(tally, part, (double)days_id_bytes() * table_room(ids, life->age > span ? ids : 0, days_id_bytes()), life->keys);
}

static uint32_t distinct_columns(const struct window_layout *layout)
{
    uint32_t columns = 0;
    for (uint16_t a = 0; a < layout->aggregate_count; a++)
        if (layout->aggregate[a].fn == WINDOW_DISTINCT && !layout->aggregate[a].days)
            columns |= 1u << layout->aggregate[a].column;
    return columns;
}

/* No more keys can hold something than there are: spreads that were fitted apart may say so far from the sample. */
static double share_held(const struct tally *tally, const struct spread *spread, double idle, double often, double live)
{
    double sum = 0;
    for (uint32_t i = 0; i < spread->count; i++)
        sum += life_of(tally, spread, i, idle, often, 0).keys;
    return sum > live ? live / sum : 1;
}

/* Share of keys whose habit has samples: a record came two turns of the week behind the first, ten days and a half on average. */
static double life_sampled(const struct tally *tally, const struct life *life)
{
    double later = life->rate * (life->age - events_of(tally, 21 * (int64_t)86400000 / 2));
    return later > 0 ? fmin(1, (1 - exp(-later) * (1 + later)) / -expm1(-life->rate * life->age)) : 0;
}

static void take_window(struct tally *tally, const struct window_layout *layout, const struct size_window *from, double idle, double often,
                        double live, struct size_window_part *part)
{
    double span = events_of(tally, layout->keep_ms), share = share_held(tally, &from->records, idle, often, live);
    for (uint32_t i = 0; i < from->records.count; i++) {
        struct life life = life_of(tally, &from->records, i, idle, often, span);
        life.keys *= share;
        double states = window_by_day(layout) ? 1 : 1 - poisson_most(WINDOW_SCAN_MOST * 3 / 4 - 1, life.window); /* between half and most of what is scanned */
        take_rings(tally, layout, &life, part);
        if (layout->aggregate_count)
            take(tally, &part->window, (double)states_bytes(layout), life.keys * states);
        take_ids(tally, &part->id, &life, distinct_columns(layout), from, span);
        for (uint16_t a = 0; a < layout->aggregate_count; a++) {
            if (layout->aggregate[a].days)
                take_days(tally, &part->day, &life, &layout->aggregate[a], from);
            else if (is_extreme(&layout->aggregate[a]))
                take_extreme(tally, &part->record, &life, states);
        }
        double sampled = life_sampled(tally, &life);
        take(tally, &part->habit, (double)habit_bytes(), life.keys * layout->habit_count * sampled);
        part->habit.count += life.keys * layout->habit_count;
    }
}

static double often_than(const struct spread *touched, const struct spread *what)
{
    double rate = spread_rate(what);
    return rate > 0 ? fmax(1, spread_rate(touched) / rate) : 1;
}

/* Cells: of `busy` keys they are open, of the others packed, as if all held as many parts. */
static void take_cells(struct tally *tally, const struct keyspace_layout *layout, double live, double busy, struct size_keyspace_part *part)
{
    const struct cell_shape shape = cell_shape(layout);
    double open = shape.packs ? fmin(busy, live) : live, held = 0;
    for (uint16_t w = 0; w < layout->window_count; w++)
        held += part->window[w].window.count;
    for (uint16_t m = 0; m < layout->memory_count; m++)
        held += part->memory[m].count;
    take(tally, &part->key, shape.size, open);
    if (live > open)
        take(tally, &part->key, (double)packed_bytes(&shape, (uint32_t)fmax(1, ceil(held / live))), live - open);
}

static void take_keyspace(struct tally *tally, uint16_t k, struct size_keyspace_part *part)
{
    const struct keyspace_layout *layout = &tally->load->layout->keyspace[k];
    const struct size_keyspace *from = &tally->load->keyspace[k];
    double idle = events_of(tally, layout->widest_ms + tally->load->layout->lateness_ms) + tally->load->sweep_events / 2;
    double raised = events_of(tally, CLOCK_KEEP_MS + tally->load->layout->lateness_ms) + tally->load->sweep_events / 2;
    double live = spread_seen(&from->touched, fmin(idle, tally->now));
    double gone = tally->now > idle ? spread_fresh(&from->touched, idle) * (tally->now - idle) : 0;
    part->key.count = live;
    double quiet = raised + events_of(tally, QUIET_MS - CLOCK_KEEP_MS);
    if (layout->clock_count)
        take(tally, &part->key, (double)clocks_bytes(layout), spread_seen(&from->touched, fmin(fmin(raised, idle), tally->now)));
    take_tables(tally, &part->key, cell_entry_bytes(), live, gone, SHARD_COUNT);
    for (uint16_t w = 0; w < layout->window_count; w++) {
        int64_t own_ms = window_idle_ms(&layout->window[w], layout->widest_ms);
        bool alone = own_ms < layout->widest_ms; /* only its own records keep it */
        double goes = alone ? events_of(tally, own_ms + tally->load->layout->lateness_ms) + tally->load->sweep_events / 2 : idle;
        take_window(tally, &layout->window[w], &from->window[w], goes, alone ? 1 : often_than(&from->touched, &from->window[w].records), live,
                    &part->window[w]);
    }
    for (uint16_t m = 0; m < layout->memory_count; m++) {
        const struct spread *memory = &from->memory[m];
        double size = (double)memory_block_bytes(layout, m);
        double often = often_than(&from->touched, memory), kept = layout->memory[m].dated ? tally->now : idle;
        double share = share_held(tally, memory, kept, often, live);
        for (uint32_t i = 0; i < memory->count; i++) {
            const struct life life = life_of(tally, memory, i, kept, often, 0);
            if (size > 0)
                take(tally, &part->memory[m], size, share * life.keys);
            part->memory[m].count += share * life.keys;
        }
    }
    take_cells(tally, layout, live, spread_seen(&from->touched, fmin(fmin(quiet, idle), tally->now)), part);
}

/* --- identities, repeats, scores --- */

static void take_identities(struct tally *tally, struct size_state *out)
{
    const struct size_load *load = tally->load;
    struct size_part *const part[] = {&out->account, &out->other};
    const struct spread *const spread[] = {&load->account, &load->other};
    double seen[2], all = 0;
    for (int p = 0; p < 2; p++)
        all += seen[p] = spread_seen(spread[p], tally->now);
    struct size_part shared = {0};
    take_tables(tally, &shared, tally->weights.ident_entry, all, 0, SHARD_COUNT);
    take(tally, &shared, sizeof(slab_ref) * power_from(DIRECTORY_LEAST, all / SHARD_COUNT + 2), SHARD_COUNT);
    for (int p = 0; p < 2; p++) {
        part[p]->count = seen[p];
        part[p]->bytes = all > 0 ? shared.bytes * seen[p] / all : 0;
        for (int size = 0; size < SIZE_TEXT_MAX; size++)
            if (load->text_bytes[size] > 0)
                take(tally, part[p], (double)(tally->weights.ident_head + (size_t)size), seen[p] * load->text_bytes[size]);
    }
}

/* The horizon rises once in sweep_events, and then each shard waits for its turn: buckets hold what came in a half to one
 * and a half of them beyond the span. */
static void take_repeats(struct tally *tally, double per_event, double entry_bytes, struct size_part *part)
{
    const struct size_load *load = tally->load;
    double span = events_of(tally, load->dedup_ms + load->layout->lateness_ms), peak = per_event * fmin(span + 1.5 * load->sweep_events, tally->now);
    part->count = per_event * fmin(span + load->sweep_events, tally->now);
    for (int i = 0; part->count >= 1 && i < PHASES; i++) {
        double most = per_event * fmin(span + load->sweep_events * (0.5 + (i + 0.5) / PHASES), tally->now);
        take_buckets(tally, part, entry_bytes, most, peak, (double)SHARD_COUNT / PHASES);
    }
}

/* --- the whole --- */

static void state_clear(const struct size_load *load, struct size_state *out)
{
    struct size_keyspace_part *keyspace = out->keyspace;
    for (uint16_t k = 0; k < load->layout->keyspace_count; k++) {
        struct size_keyspace_part *part = &keyspace[k];
        part->key = (struct size_part){0};
        memset(part->window, 0, load->layout->keyspace[k].window_count * sizeof *part->window);
        memset(part->memory, 0, load->layout->keyspace[k].memory_count * sizeof *part->memory);
    }
    *out = (struct size_state){.keyspace = keyspace};
}

static double blocks_bytes(const struct tally *tally)
{
    double bytes = 0;
    for (size_t class = 1; class < SLAB_CLASSES; class++)
        bytes += tally->bytes[class] * tally->in_use[class];
    return bytes;
}

static void take_all(struct tally *tally, struct size_state *out)
{
    const struct size_load *load = tally->load;
    state_clear(load, out);
    memset(tally->in_use, 0, sizeof tally->in_use);
    take_identities(tally, out);
    take_repeats(tally, load->remembered, (double)repeat_bytes(), &out->repeat);
    take_repeats(tally, load->joinable, report_bytes(load->join_ends), &out->join);
    for (uint16_t k = 0; k < load->layout->keyspace_count; k++)
        take_keyspace(tally, k, &out->keyspace[k]);
    out->score.bytes = load->score_bytes * tally->now;
    tally->most = fmax(tally->most, blocks_bytes(tally));
}

void size_state(const struct size_load *load, int64_t duration_ms, struct arena *arena, struct size_state *out)
{
    struct tally tally = {.load = load};
    uint16_t count = load->layout->keyspace_count;
    *out = (struct size_state){.keyspace = ARENA_ARRAY(arena, struct size_keyspace_part, count + 1)};
    for (uint16_t k = 0; k < count; k++) {
        out->keyspace[k].window = ARENA_ARRAY(arena, struct size_window_part, load->layout->keyspace[k].window_count + 1);
        out->keyspace[k].memory = ARENA_ARRAY(arena, struct size_part, load->layout->keyspace[k].memory_count + 1);
    }
    weigh(&tally.weights);
    double end = events_of(&tally, duration_ms);
    for (int i = MOMENTS - 1; i >= 0; i--) {
        tally.now = end * pow(STEP_BACK, i);
        take_all(&tally, out);
    }
    double whole = out->score.bytes + SHARD_COUNT * (double)slab_head_bytes();
    out->used = whole + blocks_bytes(&tally);
    out->held = whole + SPLINTERS * tally.most + SHARD_COUNT * 2048.0; /* half a page of the machine's, begun by each shard */
}

void size_key(const struct state_layout *layout, uint16_t keyspace, struct arena *arena, struct size_key *out)
{
    const struct keyspace_layout *at = &layout->keyspace[keyspace];
    *out = (struct size_key){.key = slab_block(cell_shape(at).size) + slab_block(clocks_bytes(at)) + 2 * cell_entry_bytes(),
                             .window = ARENA_ARRAY(arena, size_t, at->window_count + 1),
                             .record = ARENA_ARRAY(arena, size_t, at->window_count + 1),
                             .habit = ARENA_ARRAY(arena, size_t, at->window_count + 1),
                             .memory = ARENA_ARRAY(arena, size_t, at->memory_count + 1)};
    for (uint16_t w = 0; w < at->window_count; w++) {
        const struct window_layout *window = &at->window[w];
        out->window[w] = slab_block(window_ring_at(window) + window_record_bytes(window));
        out->record[w] = window_record_bytes(window) * 4 / 3;
        out->habit[w] = window->habit_count * slab_block(habit_bytes());
        if (!window_by_day(window))
            continue;
        out->window[w] += slab_block(states_bytes(window));
        for (uint16_t a = 0; a < window->aggregate_count; a++) {
            if (window->aggregate[a].days)
                out->window[w] += slab_block(RING_LEAST * bucket_bytes()) + (window->aggregate[a].fn == WINDOW_DISTINCT ? slab_block(TABLE_LEAST * days_id_bytes()) : 0);
            else if (is_extreme(&window->aggregate[a]))
                out->window[w] += slab_block(EXTREME_LEAST * extreme_entry_bytes());
        }
    }
    for (uint16_t m = 0; m < at->memory_count; m++)
        out->memory[m] = slab_block(memory_block_bytes(at, m));
}
