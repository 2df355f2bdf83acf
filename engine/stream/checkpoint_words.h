/* A checkpoint's own words (checkpoint_head.extra): from which event on its rules were warmed up, how far the log reached, the names of the
 * partitions, then the step's words.
 *
 * An index into a partition table means something only in its run, so the names stand beside it. */
#ifndef ENGINE_STREAM_CHECKPOINT_WORDS_H
#define ENGINE_STREAM_CHECKPOINT_WORDS_H

#include "engine/model/partition.h"
#include "engine/state/checkpoint.h"
#include "engine/stream/step.h"

/* As they stand in a head; slices point into it. */
struct checkpoint_words {
    uint64_t warm_from; /* journal_block.warm_from: the block behind the checkpoint may be the first of its rules */
    uint64_t logged_seq; /* the newest event that the log has, or should have; 0: none */
    uint32_t partitions;
    struct slice names;
    struct slice step; /* for step_restore */
};

/* The words of a step whose partitions are the table's first `known`, in arena. */
struct slice checkpoint_words_write(const struct step *step, const struct partition_table *table, uint32_t known, uint64_t warm_from,
                                    uint64_t logged_seq, struct arena *arena);
/* False when they are not whole. */
bool checkpoint_words_read(const struct checkpoint_head *head, struct checkpoint_words *words);
struct slice checkpoint_words_partition(const struct checkpoint_words *words, uint32_t index, int32_t *number);

#endif
