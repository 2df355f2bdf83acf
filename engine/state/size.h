/* Size foretells the bytes that a state will hold, from its layout and from how often what happens.
 *
 *   bytes = the sum, over the classes of the slabs' blocks, of the most blocks that are in use at once
 *
 * for a freed block serves only blocks of its class. How many are in use at a moment follows from the
 * layout's real sizes (cell, window, record, habit, … as engine/state lays them out; entries of
 * identities are weighed in a shard made for it), from how rings and tables grow (doubling,
 * at most three quarters full, spread over 256 shards) and buckets fill, from what is dropped when (RULES 3), and from
 * spreads (engine/state/spread.h): which keys exist, how many records each has in its window.
 *
 * What is assumed: events of a key come independently of each other at an even pace; the streams of one
 * key go up and down together; a key's last record lies as far back as chance has it. Time is counted in
 * events: events_per_ms turns spans into them. Bytes are those of blocks, rounded as the slab rounds.
 * Results are in the caller's arena. Any thread. */
#ifndef ENGINE_STATE_SIZE_H
#define ENGINE_STATE_SIZE_H

#include "engine/state/spread.h"
#include "engine/state/state.h"

enum { SIZE_COLUMNS = WINDOW_EXTRA + STATE_EXTRA_MAX, SIZE_TEXT_MAX = 128 /* longer texts count as so long */ };

/* --- what happens --- */
struct size_window {
    struct spread records;              /* one key's records */
    struct spread ids[SIZE_COLUMNS];    /* a key and a value of the column together, where distinct values are counted */
};
struct size_keyspace {
    struct spread touched;              /* events that make the key, or keep it */
    struct size_window *window;         /* as in the layout */
    struct spread *memory;
};
struct size_load {
    const struct state_layout *layout;
    struct size_keyspace *keyspace;
    struct spread account, other;       /* identities: accounts, and all that is named beside them */
    double text_bytes[SIZE_TEXT_MAX];   /* share of identities by the length of their text */
    double remembered, joinable;        /* per event: ids that are new, end-to-end references that are */
    double join_ends;                   /* accounts, parties, devices … that a payment with such a reference names */
    double score_bytes;                 /* per event: what engine/stream keeps of subjects, without end */
    double events_per_ms;
    double sweep_events;                /* a key or repeat that may go still waits for its sweep so long */
    int64_t dedup_ms;
};

/* --- what it comes to --- */
struct size_part {
    double count, bytes;
};
struct size_window_part {
    struct size_part window, record, id, day, habit; /* fixed parts; rings with extremes; ids; days; habits */
};
struct size_keyspace_part {
    struct size_part key;
    struct size_window_part *window;
    struct size_part *memory;
};
struct size_state {
    struct size_part account, other, repeat, join, score;
    struct size_keyspace_part *keyspace;
    double used;  /* bytes in blocks that hold something, at the end */
    double held;  /* with the blocks that were given back, and the pages' rests: what stays resident */
};

/* After duration_ms from an empty state. */
void size_state(const struct size_load *load, int64_t duration_ms, struct arena *arena, struct size_state *out);

/* --- one key --- */
struct size_key {
    size_t key;     /* its cell and its share of the table */
    size_t *window; /* each window with one record: fixed part, first ring, first days */
    size_t *record; /* each further record, in a ring that is three quarters full on average */
    size_t *habit;  /* the window's habits */
    size_t *memory; /* one record, or one row of a fact */
};
void size_key(const struct state_layout *layout, uint16_t keyspace, struct arena *arena, struct size_key *out);

#endif
