/* A checkpoint is a file that holds all state as of one batch boundary, so that a restart need not
 * begin at the beginning.
 *
 * Written by the saver's thread while workers go on (slab snapshots). Temporary name, fsync,
 * rename, fsync of the folder; three generations kept; every part checksummed (BLAKE2b), zstd
 * level 1. A file that is not sound is refused with what is wrong, and the one before it tried. One made
 * with other rules is mapped onto the wanted layout (state_map). */
#ifndef ENGINE_STATE_CHECKPOINT_H
#define ENGINE_STATE_CHECKPOINT_H

#include "engine/state/state.h"

enum { CHECKPOINT_KEEP = 3 };

/* What a checkpoint says about itself; extra is opaque to state (engine/stream keeps partition
 * times, rule-set hash, settings that matter there). */
struct checkpoint_head {
    uint64_t block;          /* the last intake block whose events are in it: journal number */
    uint64_t seq;            /* last sequence number in it */
    unsigned char program_hash[32];
    unsigned char hash_key[16];
    const void *extra;
    size_t extra_size;
    struct state_mapping mapping; /* of one that was loaded */
};

/* Phase 1, at a batch boundary, no worker running: freezes. Returns NULL on error. */
struct checkpoint_writer *checkpoint_begin(struct state *state, const struct state_layout *layout,
                                           const struct checkpoint_head *head, struct error *err) must_check;
/* Phase 2, saver's thread: writes DIR/checkpoint-BLOCK.tmp and fsyncs it. */
bool checkpoint_write(struct checkpoint_writer *writer, const char *dir, struct error *err) must_check;
/* Phase 3, once PostgreSQL has the block and the log is synced: renames, fsyncs the folder, prunes. */
bool checkpoint_publish(struct checkpoint_writer *writer, struct error *err) must_check;
/* Ends the snapshot and frees; removes an unpublished file. */
void checkpoint_end(struct checkpoint_writer *writer);

/* Loads the newest sound checkpoint with block <= block_max, and removes what killed writers left behind:
 * the caller is the folder's one writer. Unsound ones are reported through
 * `refused` (file name and reason) and skipped. On success *state is new and the caller's.
 * Returns false with err.class ERROR_NONE when there is none. extra is malloc'ed. */
typedef void (*checkpoint_refused_fn)(void *context, const char *file, const char *reason);
bool checkpoint_load(const char *dir, uint64_t block_max, const struct state_layout *layout,
                     struct state **state, struct checkpoint_head *head,
                     checkpoint_refused_fn refused, void *context, struct error *err) must_check;

/* The hash of the rules that the newest checkpoint with block <= *block_max was made with, and in *block_max its block. Those whose heads
 * are unsound are reported; a load up to *block_max passes them over. False, and *block_max 0, when none has a sound head. */
bool checkpoint_peek(const char *dir, uint64_t *block_max, unsigned char program_hash[32], checkpoint_refused_fn refused, void *context);
/* One file, whatever its block; false with what is wrong with it. */
bool checkpoint_load_file(const char *path, const struct state_layout *layout, struct state **state, struct checkpoint_head *head,
                          struct error *err) must_check;

#endif
