/* State is what the engine remembers between events: 256 virtual shards, each a slab with its
 * identities, its repeats, its keys with their clocks, windows and memories, and its scores.
 *
 * The layout (what keys keep) comes from the program through engine/stream; state knows no rules.
 * Every function that takes a shard is called by that shard's owner of the moment only. Reading
 * another shard's identities (ident_*) is allowed in phases in which nobody interns.
 *
 * Bounds. A shard is *full* when more than shard_bytes_max bytes of it are in use, and takes in again once a
 * sixteenth of that is free. Both are looked at in shard_look only, at sequence numbers that the caller fixes;
 * so which events find a shard full depends on the sequence (and on the hash key, which says who lives where),
 * never on threads or batches. What one stretch between two looks adds goes into a reserve behind the bound, a
 * quarter of it and at least 16 MiB. A full shard takes in nothing: a new name has no id (the event's field counts
 * as missing), a new key is not made (its rules see nothing), records, memories and facts are left out, repeats and
 * references are not remembered. What is known already is found and read as before. The event itself goes on,
 * scored by what its other shards know. Scores are exempt, and clocks of keys that are there: alerts go on to the end of
 * the reserve. Every refusal is counted by its kind (enum bound). */
#ifndef ENGINE_STATE_STATE_H
#define ENGINE_STATE_STATE_H

#include "engine/base/error.h"
#include "engine/model/event.h"
#include "engine/state/slab.h"

enum { STATE_KEY_MAX = 4, STATE_EXTRA_MAX = 4, STATE_KEEP_MAX = 8 };

/* --- layout --- */
enum window_fn { WINDOW_COUNT, WINDOW_SUM, WINDOW_DISTINCT, WINDOW_MIN, WINDOW_MAX, WINDOW_AVG, WINDOW_FIRST, WINDOW_LAST };
/* Columns of a record: amount, sender, receiver, other (the end that is not the key), extras. */
enum window_column { WINDOW_AMOUNT, WINDOW_SENDER, WINDOW_RECEIVER, WINDOW_OTHER, WINDOW_EXTRA };

struct aggregate_layout {
    uint64_t hash;
    uint8_t fn, column;
    uint8_t habit;           /* number from 1 of its habit in this window: `usual` asks for it; 0: none */
    int32_t days;            /* over whole calendar days, kept as daily buckets; 0: over the ring */
    int32_t days_kept;       /* buckets older than the newest day minus this may go */
};
struct window_layout {
    uint64_t hash;           /* of the stream's definition */
    int64_t keep_ms;         /* widest span of its aggregates plus lateness: records older than the
                                key's newest time in this window minus this may go */
    uint8_t extra_count;
    uint16_t entity_extras;  /* bit i: extra i holds ids */
    uint8_t habit_count;
    bool by_day;             /* some aggregate is kept by day: records must say theirs */
    bool read_by_others;     /* window_add_above fills it: nothing goes by the key's own clock. Of the layout in force alone, in no file */
    uint16_t aggregate_count;
    const struct aggregate_layout *aggregate;
};
struct memory_layout {
    uint64_t hash;
    int64_t for_ms;
    uint8_t keep_count;
    uint8_t entity_keeps;    /* bit i: kept value i holds ids */
    bool dated;              /* a fact: keeps its newest FACT_ROWS_MAX dated rows, without end */
};
/* One rule of several steps: what it keeps of a key between them. */
struct attempt_layout {
    uint64_t hash;           /* of all that gives the words their meaning */
    uint16_t word_count;
    uint16_t time_word;      /* which word says when it was last true: long before the horizon it is as good as closed */
    uint16_t kept_from;      /* the first word of what lets kept */
    uint32_t entity_kept;    /* bit i: word kept_from + i holds an id, or MISSING_I64 */
};
/* Where the parts of a key's cell lie (engine/state/private.h), in bytes from its beginning; it follows from the rest of the layout. */
struct cell_shape {
    uint32_t window_at, clocks_at, memory_at, attempt_at, size;
    uint32_t parts; /* references from window_at on */
    bool packs;     /* the cell of a key that has gone quiet is packed */
};
struct keyspace_layout {
    uint64_t hash;
    uint8_t width;           /* words of the key, 1..4 */
    uint8_t entity_words;    /* bit i: word i of the key is an id */
    bool mutual;             /* two ids that mean the same in either order: the lesser stands first (key_settle) */
    uint16_t clock_count;
    const uint64_t *clock_hash;
    uint16_t window_count;
    const struct window_layout *window;
    uint16_t memory_count;
    const struct memory_layout *memory;
    uint16_t attempt_count;
    const struct attempt_layout *attempt;
    int64_t widest_ms;       /* widest span of its windows, memories and attempts */
    struct cell_shape cell;  /* the state's own copy of the layout has it, the caller's need not */
};
struct state_layout {
    uint16_t keyspace_count;
    const struct keyspace_layout *keyspace;
    uint64_t basis;          /* hash of what gives amounts and days their meaning: base currency, timezone */
    int64_t lateness_ms;
    size_t shard_bytes_max;  /* bound of one shard */
};

struct state;
struct shard;  /* one virtual shard */

/* The layout is copied. `key` seeds SipHash: random for a new state, the old one after a restart. */
struct state *state_new(const struct state_layout *layout, const unsigned char key[16], struct error *err) must_check;
void state_free(struct state *state);
struct shard *state_shard(struct state *state, uint32_t index);
struct slab *shard_slab(struct shard *shard);
const unsigned char *state_hash_key(const struct state *state); /* 16 bytes */

/* Brings state that was kept for one program into the layout of another (engine/state/map.c). What has the same hash
 * stays: clocks, windows, memories, attempts, and with them identities, repeats and scores, which have no layout. A window of
 * the same stream over which other values are asked is made again from its records; buckets by day and habits of values
 * that are asked as before are kept. What is new begins empty; what nobody asks for goes. Between batches, no snapshot
 * being taken; both layouts have the same basis. False when a shard has no room for it: the state is then to be freed. */
struct state_mapping {
    bool changed;            /* the layouts differ */
    uint32_t kept, fresh, gone; /* windows, memories and attempts; fresh: those whose past is not whole either */
    int64_t fresh_ms;        /* so long it takes until what is fresh is as if it had always been there; 0: nothing is */
    bool lacks;              /* something is not there as if it had always been asked for: state_graft can bring it */
};
bool state_map(struct state *state, const struct state_layout *layout, struct state_mapping *mapping, struct error *err) must_check;
/* The same in three parts: begin; work, by all workers at once; end, behind them. */
void state_map_begin(struct state *state, const struct state_layout *layout, struct state_mapping *mapping);
void state_map_work(struct state *state, uint32_t worker, uint32_t workers);
bool state_map_end(struct state *state, struct error *err) must_check;
/* What state_map would say; nothing changes. */
void state_mapping_look(const struct state *state, const struct state_layout *layout, struct state_mapping *mapping);

/* Brings what the state lacks since it was mapped (and nothing else) out of another one, which was kept under the same layout and hash
 * key from earlier on, up to the same event (engine/state/graft.c). Ids are made the state's own. What a window holds already
 * stays: the other may not reach back as far. Between batches, no snapshot being taken. What finds no room is left out and counted.
 * Then nothing lacks any more. */
struct state_grafting {
    uint64_t keys;           /* that something was brought for */
    uint64_t left_out;       /* windows, memories, attempts and keys that found no room */
};
bool state_lacks(const struct state *state);
/* Says that nothing lacks: there has been nothing to miss. */
void state_whole(struct state *state);
void state_graft(struct state *state, const struct state *other, struct state_grafting *done);
/* The same in parts: begin (NULL: nothing lacks); names, by all workers at once; cells, likewise; end, behind them. */
struct grafting;
struct grafting *graft_begin(struct state *state, const struct state *other);
void graft_names(struct grafting *grafting, uint32_t worker, uint32_t workers);
void graft_cells(struct grafting *grafting, uint32_t worker, uint32_t workers);
void graft_end(struct grafting *grafting, struct state_grafting *done);

/* What may be hit, counted per shard since the start: engine/state/bound.def. */
enum bound {
#define BOUND(name, label, level, says, advice) BOUND_##name,
#include "engine/state/bound.def"
#undef BOUND
    BOUND_COUNT
};
void shard_bound_hit(struct shard *shard, enum bound bound);

/* Sizes for metrics: some thousand loads, no table is walked. Between batches, by the step's thread. */
struct state_totals {
    uint64_t bytes_used, bytes_resident, bytes_max; /* of all shards */
    uint64_t fullest_bytes;                         /* used in the fullest shard */
    uint64_t shard_bytes_max, shards_full;
    uint64_t identities, keys, records, repeats;    /* repeats: ids and references remembered */
    uint64_t identities_freed, keys_dropped;        /* since the start */
    uint64_t bound[BOUND_COUNT];                    /* hits since the start */
};
void state_totals(const struct state *state, struct state_totals *out);

/* Statistics for `make bench` and sizes: walks every table; bytes are those of the blocks (but identities' are as asked for). */
struct state_stats {
    uint64_t bytes_used, bytes_resident, refused;
    uint64_t identities, dedup_entries, report_entries, keys, records, memories, attempts;
    uint64_t identity_bytes, dedup_bytes, report_bytes, key_bytes, record_bytes, memory_bytes;
};
void state_stats(struct state *state, struct state_stats *out);

/* --- identity: outside text to dense ids (engine/state/ident.c) --- */
/* Interns in the shard hash.lo & 255 (which must be this one). A new text gets the lowest number that is free,
 * so ids depend on the order of calls alone. Marks the id (below).
 * lists: which lists the text is on (bit i = list i), asked only for new ids.
 * ENTITY_MISSING when the shard is full. */
typedef uint64_t (*list_lookup_fn)(const void *context, enum entity_kind kind, struct slice text);
entity_id ident_intern(struct shard *shard, enum entity_kind kind, struct slice text, struct hash128 hash,
                       list_lookup_fn lookup, const void *context);
/* The same for a text that was interned before, which is not needed then; ENTITY_MISSING: it was not. */
entity_id ident_find(struct shard *shard, struct hash128 hash);
/* Hints ahead of both, one behind the other: the place where the hash is looked for; then, where it is there, its mark. */
void ident_prefetch_table(const struct shard *shard, struct hash128 hash);
void ident_prefetch(const struct shard *shard, struct hash128 hash);
struct slice ident_text(const struct state *state, entity_id id); /* valid until the shard changes */
uint64_t ident_lists(const struct state *state, entity_id id);
/* After a list changed: asks lookup again for every identity of the shard. One that comes into its first list and finds no room for that, not
 * even in the shard's reserve, stays in none (BOUND_IDENTITY). */
void ident_relist(struct shard *shard, list_lookup_fn lookup, const void *context);

/* Recycling: an identity that nothing refers to goes and its number is given out again. Cycles are numbered by the
 * caller; each identity carries the mark of the cycle in which it was last marked. Who stores an id marks it, or
 * had it marked in the same cycle: ident_intern marks what an event names; engine/stream marks ids that leave
 * a memory for a slot, and scores their subject. In each cycle shard_sweep walks every shard once and marks all ids it
 * still holds. So an id without a mark of this cycle or the one before is held nowhere: a place that took it before
 * that cycle began would have been walked in it, and one that took it since would have marked it. shard_settle
 * frees those. Marks and cycle are part of a checkpoint. */
void state_cycle_set(struct state *state, uint32_t cycle);
/* Any thread, in phases in which nobody interns or settles. */
void ident_mark(const struct state *state, entity_id id);
void ident_prefetch_mark(const struct state *state, entity_id id); /* a hint that it is to be marked soon */

/* --- repeats and second reports (engine/state/dedup.c) --- */
/* What is older than horizon_ms is forgotten: entries with an earlier time count as absent, whether
 * or not a sweep has removed them yet. The horizon must depend on the sequence alone (engine/stream
 * raises it at fixed sequence numbers), so that verdicts do too. Which of two events is first is
 * decided by call order, which is sequence order. time_ms of an event that came very late is raised by
 * the caller, so that it is remembered as long as what came with it. */
enum dedup_verdict { DEDUP_NEW, DEDUP_REPEAT, DEDUP_CONFLICT };
/* Shard id_hash.lo & 255. */
enum dedup_verdict dedup_check(struct shard *shard, struct hash128 id_hash, uint64_t body_hash, int64_t time_ms,
                               int64_t horizon_ms);

/* Hints ahead of dedup_check, one behind the other: where its bucket is looked for, the bucket, and where that goes when it grows. */
void dedup_prefetch_table(const struct shard *shard, struct hash128 id_hash);
void dedup_prefetch(const struct shard *shard, struct hash128 id_hash);
void dedup_prefetch_room(const struct shard *shard, struct hash128 id_hash);

/* Second reports: shard join_hash.lo & 255. The first call with a join hash remembers the refs it
 * named (ref_hash by enum event_ref, zero = not named) and returns false. A later call returns true
 * with same = bits of refs that were named with equal value before; refs it names newly are
 * remembered too, so that a third report adds only what neither named. */
bool join_check(struct shard *shard, struct hash128 join_hash, const struct hash128 ref_hash[REF_COUNT],
                int64_t time_ms, int64_t horizon_ms, uint32_t *same);

/* --- keys: clocks, windows, memories (engine/state/cell.c, clock.c, window.c) --- */
struct cell;   /* one key's state; a pointer into the slab, stable until a sweep of the shard or cell_open */

/* The order in which the words of a mutual key stand. */
static inline void key_settle(uint32_t *key)
{
    uint32_t first = key[0];
    if (first <= key[1])
        return;
    key[0] = key[1];
    key[1] = first;
}

static inline uint32_t key_shard(const uint32_t *key, uint8_t width)
{
    if (width == 1)
        return key[0] & (SHARD_COUNT - 1); /* an entity's own shard */
    uint64_t mix = 0;
    for (int i = 0; i < width; i++)
        mix = (mix ^ key[i]) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(mix >> 56);
}

/* NULL when absent (find) or when the shard is full (get). A sweep packs the cells of keys that have gone quiet. What is found may be packed, and
 * is to be read only, through const: it is opened before anything else. That gives where it lies then; NULL when there is no room, not even in
 * the reserve. Get and add give what is open. */
struct cell *cell_find(struct shard *shard, uint16_t keyspace, const uint32_t *key);
struct cell *cell_open(struct shard *shard, uint16_t keyspace, struct cell *cell);
struct cell *cell_get(struct shard *shard, uint16_t keyspace, const uint32_t *key);
/* False: the key has no cell. True: it most likely has one; only the table was read. */
bool cell_likely(const struct shard *shard, uint16_t keyspace, const uint32_t *key);
/* cell_get for a key that cell_find has just not found. */
struct cell *cell_add(struct shard *shard, uint16_t keyspace, const uint32_t *key);
/* Hints ahead of cell_find/get, one behind the other: each asks for what the one before led to. First the key's slot in
 * its keyspace's table. */
void cell_prefetch(const struct shard *shard, uint16_t keyspace, const uint32_t *key);
/* Then the cell. NULL when it is not where it is looked for first; else most likely the key's, certainly one of
 * the keyspace, good for the hints below and for cell_find_near while the shard is not swept. */
const struct cell *cell_prefetch_body(const struct shard *shard, uint16_t keyspace, const uint32_t *key);
/* cell_find that looks first at what cell_prefetch_body gave. */
struct cell *cell_find_near(struct shard *shard, uint16_t keyspace, const uint32_t *key, const struct cell *near);
/* Then its clocks; where it says that it is packed, nothing below is to be asked for. Then what it holds, and behind that the end of a window's
 * ring. */
bool clock_prefetch(const struct shard *shard, const struct cell *cell, uint16_t keyspace) must_check;
void window_prefetch(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t window);
void window_prefetch_end(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t window);
void memory_prefetch(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t memory);

/* The key's clocks, of which some are lifted to time_ms now, in this visit; made where there are none, NULL at the end of the reserve. */
int64_t *clocks_edit(struct shard *shard, struct cell *cell, uint16_t keyspace, int64_t time_ms);
static inline int64_t clock_lift(int64_t *clock, int64_t time_ms)
{
    if (*clock < time_ms)
        *clock = time_ms;
    return *clock;
}
/* The clock of RULES 2: raises it to time_ms where that is later and returns it; for one clock what the two above do for many. */
int64_t clock_raise(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t clock, int64_t time_ms);
/* INT64_MIN when never raised, or when it lay so long before the horizon of a sweep since: what is not late comes behind the horizon and
 * raises the clock anyway. Not so the events of a partition that begins, or is first heard of, further behind all others: for these such
 * a clock counts as never raised, swept or not, so that sweeps do not show. */
enum { CLOCK_KEEP_MS = 2 * 86400000 };
int64_t clock_read(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t clock);

/* One event of a stream, as one key remembers it. */
struct record {
    int64_t time_ms;
    uint64_t seq;
    int64_t amount;           /* base minor units, MISSING_I64 when unknown */
    entity_id sender, receiver;
    int64_t extra[STATE_EXTRA_MAX]; /* window_layout.extra_count of them; MISSING_I64 when missing */
    int32_t day;              /* local day since 1970; read only where window_layout.by_day */
};

/* Adds a record at its own place in (time, seq) order; late ones are inserted. `key_is_receiver`
 * tells which end is "other". false when the shard is full (counted). */
bool window_add(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window,
                const struct record *record, bool key_is_receiver);

/* The same for records that other keys' rules read, of a window without aggregates: what is at or before floor_ms goes,
 * instead of what the key's own clock has left behind. The floor never falls. */
bool window_add_above(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window, const struct record *record,
                      bool key_is_receiver, int64_t floor_ms);
/* The records of a window as they lie, oldest (time, seq) first, stride bytes apart. Whole (words 0): time_ms, seq with the window's
 * own bits above the lower 48, amount, sender, receiver, extras. Packed: so many words of four bytes, which records_unpack reads. */
struct records {
    const char *first;
    uint32_t count, stride;
    uint8_t words;
    bool key_is_receiver;     /* packed: of all of them */
    entity_id key;
    int64_t base_ms;
    uint64_t base_seq;
};
enum { PACKED_TIME, PACKED_SEQ, PACKED_OTHER, PACKED_AMOUNT, PACKED_WORDS, PACKED_HIGH = PACKED_WORDS, PACKED_WORDS_MOST };
/* Fills in all but extras and the day. */
static inline void records_unpack(const struct records *records, uint32_t i, struct record *out)
{
    const uint32_t *word = (const uint32_t *)(const void *)(records->first + (size_t)i * records->stride);
    out->time_ms = records->base_ms + word[PACKED_TIME];
    out->seq = records->base_seq + word[PACKED_SEQ];
    if (records->words == PACKED_WORDS)
        out->amount = word[PACKED_AMOUNT] == UINT32_MAX ? MISSING_I64 : (int64_t)word[PACKED_AMOUNT];
    else
        out->amount = (int64_t)((uint64_t)word[PACKED_HIGH] << 32 | word[PACKED_AMOUNT]);
    out->sender = records->key_is_receiver ? word[PACKED_OTHER] : records->key;
    out->receiver = records->key_is_receiver ? records->key : word[PACKED_OTHER];
}
/* Any thread, while nobody changes the shard's keyspace. */
struct records window_look(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t window);

/* What an aggregate covers: times in (floor_ms, ceiling_ms], or, for one kept by day, the whole days
 * (floor_day, ceiling_day]. */
struct window_span {
    int64_t floor_ms, ceiling_ms;
    int32_t floor_day, ceiling_day;
    bool after;            /* not by day: of the records at floor_ms itself, those behind floor_seq count too */
    uint64_t floor_seq;
};

/* Sums are exact (128 bits); a mean is rounded half-even. */
struct window_result {
    __int128 value;
    bool known;
};

/* The aggregate's value over a span. The floor never falls for one (cell, aggregate) while in normal
 * use, nor is the ceiling below the newest record; where they are, the ring is scanned: the definition
 * wins. Missing columns are skipped (count counts records). Over nothing, count, sum and distinct are
 * 0, the others unknown. One corner is not exact: a distinct kept by day, asked with a ceiling before
 * its newest day, leaves out values seen again later. Not const: it advances its tail (edits the slab). */
struct window_result window_value(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window,
                                  uint16_t aggregate, const struct window_span *span);
/* Whether the cell has this window; it may have been left without a record. */
bool window_there(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t window);
/* Records that the window of an open cell holds, those among them that its aggregates have left behind. */
uint32_t window_count(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t window);

/* Walks records with time > floor_ms, newest (time, seq) first, until visit returns false. */
typedef bool (*record_visit_fn)(void *context, const struct record *record, bool key_is_receiver);
void window_walk(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t window,
                 int64_t floor_ms, record_visit_fn visit, void *context);

/* Habits (RULES 14): what an aggregate came to at the end of each of the key's last HABIT_WEEKS weeks.
 * Weeks are numbered by the caller. Before a record is added: weeks [*from, week) are to be sampled, in
 * order, by habit_put; the week of the key's first record begins the habit and is never sampled, and so
 * does the first after a silence of more than HABIT_WEEKS. False when there are none (or the shard is full). */
enum { HABIT_WEEKS = 26, HABIT_WEEKS_LEAST = 8 };
bool habit_due(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window, uint8_t habit, int32_t week,
               int32_t *from);
void habit_put(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t window, uint8_t habit, int32_t week,
               struct window_result sample);
/* Median of the known samples of the HABIT_WEEKS weeks before `week`; unknown below HABIT_WEEKS_LEAST. */
struct window_result habit_median(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t window,
                                  uint8_t habit, int32_t week);

/* Memory: keeps the record with the greatest (time, seq). memory_get may say 0 for the seq of one that keeps no values. */
struct memory_record {
    int64_t time_ms;
    uint64_t seq;
    int64_t keep[STATE_KEEP_MAX]; /* MISSING_I64 when missing */
};
void memory_put(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t memory, const struct memory_record *record);
bool memory_get(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t memory, struct memory_record *out);

/* Attempts (engine/state/attempt.c): a rule's steps on this key, attempt_layout.word_count words, whose meaning
 * is the caller's. get: false when there is none; put: false when the shard is full; end: also when there is none. Get and end take any cell. */
bool attempt_get(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t attempt, int64_t *words);
bool attempt_put(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t attempt, const int64_t *words);
void attempt_end(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t attempt);

/* Facts: dated rows of a key, kept without end, so that a late event reads what was valid then. A row of
 * the same time replaces the one before; `withdrawn` removes it. Of more than FACT_ROWS_MAX rows the oldest
 * goes. false when the shard is full. */
enum { FACT_ROWS_MAX = 16 };
bool fact_put(struct shard *shard, struct cell *cell, uint16_t keyspace, uint16_t memory, const struct memory_record *record, bool withdrawn);
/* The newest row with time <= time_ms. */
bool fact_get(const struct shard *shard, const struct cell *cell, uint16_t keyspace, uint16_t memory, int64_t time_ms,
              struct memory_record *out);

/* What the keys of one keyspace hold, for people: a walk over all of them. One entry per window and memory of
 * the layout is added up; keys: how many hold it. */
struct census {
    uint64_t keys, bytes;
};
void state_census(const struct state *state, uint16_t keyspace, struct census *cells, struct census *window, struct census *memory);

/* Drops keys whose newest record is older than horizon_ms minus the keyspace's widest span (horizon:
 * the slowest partition's newest time minus lateness: RULES 3), of keys that stay the memories and attempts of which
 * the same is true, the windows whose own span has passed and the clocks that all lie CLOCK_KEEP_MS before horizon_ms, and repeats older than
 * dedup_horizon_ms; gives back rings and tables that have become too large,
 * and marks every id that the shard's keys hold. Returns keys dropped. Other shards' owners may sweep theirs meanwhile. */
uint64_t shard_sweep(struct shard *shard, int64_t horizon_ms, int64_t dedup_horizon_ms);
/* Behind the sweeps of a stretch (a barrier between): frees identities without a mark, of a shard that was swept. */
uint64_t shard_settle(struct shard *shard);
/* Looks whether the shard is full; at the same sequence numbers for all shards. */
bool shard_look(struct shard *shard);
/* What a sweep of the shard costs, in units of one record (some 10 ns). */
uint64_t shard_work(const struct shard *shard);

#endif
