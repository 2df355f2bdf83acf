/* Poison: a record that ends the process whenever it is worked is set aside at its third crash.
 *
 * A small file, mapped and shared, says at each moment what is at work. It outlives the process, whatever
 * ended it (a signal, an invariant, the OOM killer), so the next life knows:
 *
 *   a block at work      which ranges of offsets, noted once a block: nothing is paid per record. Any record
 *                        of them may be to blame, so all of them are suspects.
 *   a record at work     blocks with suspects in them are decoded on one thread and scored event by event,
 *                        and each record is noted before; results are the same, only slower. A crash then
 *                        names its record. The crash that made it a suspect is counted for it as well.
 *   a record translated  a source that translates notes each message, for that is one thread's work anyway.
 *
 * Three crashes at one offset, and it is refused with POISON: the journal's row of the block names it
 * (engine/model/seam.h: journal_range.aside), so that recovery and a standby refuse it too and sequence
 * numbers stay; the log never held it. Suspects and counts of a partition are forgotten once PostgreSQL has
 * a position behind them: a `kill -9` from outside hits another offset each time and is forgotten soon.
 *
 * Not covered, as no single record can be blamed or set aside: deaths while recovering (what is committed
 * is history), between records, and in the threads of log, sink and checkpoints. A message that many
 * payments are made from (engine/model/format.h) is set aside as a whole.
 *
 * Each life maps a file of its own, made from the one before and renamed into its place, so that an engine
 * that lost its lease and wakes again cannot write into the living one's. The file may be removed while no
 * engine runs; counting then begins anew, as with a file that is not sound: that can only delay.
 *
 * Threads: poison_translating and poison_is_aside are the source thread's, all others the work thread's. */
#ifndef ENGINE_STREAM_POISON_H
#define ENGINE_STREAM_POISON_H

#include "engine/stream/intake.h"

enum {
    POISON_CRASHES = 3,   /* at one offset: set aside */
    POISON_RECORDS_MAX = 64, /* counted at once; beyond, the one with fewest crashes makes room */
};

struct poison;

/* Takes over what the life before left at `path`. NULL: the file cannot be made. Suspects of partitions
 * that the table does not have are dropped. Table and path stay the caller's and outlive it. */
struct poison *poison_open(const char *path, const struct partition_table *partitions, struct error *err) must_check;
void poison_close(struct poison *poison);

/* What the lives before left, for people: calls tell once per suspected range (crashes 0) and per counted
 * record (next = offset + 1). */
struct poison_story {
    uint32_t partition, crashes;
    int64_t offset, next;
};
void poison_tell(const struct poison *poison, void (*tell)(void *context, const struct poison_story *story), void *context);

/* Suspects and counted records now. */
uint32_t poison_suspects(const struct poison *poison);

/* The block's ranges are noted (intake_range): gives them the offsets that are set aside, notes them as at
 * work, and sets block->watch when there are suspects among them. */
void poison_begin(struct poison *poison, struct block *block);
/* The block is worked. It gets this number; position: where the partitions stand behind it. */
void poison_end(struct poison *poison, uint64_t block, const int64_t *position);
/* Forgets what is behind the last committed block. Cheap: call it often. */
void poison_settle(struct poison *poison, uint64_t committed_block);

/* For sources that translate. */
const struct record_watch *poison_translating(struct poison *poison);

#endif
