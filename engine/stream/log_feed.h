/* The log as a feed of intake blocks: for recovery and for replaying a log.
 *
 * Records come with the sequence numbers they had, so nothing is merged or numbered again. */
#ifndef ENGINE_STREAM_LOG_FEED_H
#define ENGINE_STREAM_LOG_FEED_H

#include "engine/state/log.h"
#include "engine/stream/intake.h"

struct log_feed;

/* Reads records with seq >= from_seq. `table` says what partitions there are; a record of another one
 * is an error. With NULL the feed makes a table of its own as it meets them. */
struct log_feed *log_feed_open(const struct log_settings *settings, uint64_t from_seq,
                               const struct partition_table *table, struct error *err) must_check;
/* The same with a table of the caller's, of PARTITION_MAX, to which partitions are added as they are met. */
struct log_feed *log_feed_grow(const struct log_settings *settings, uint64_t from_seq, struct partition_table *table, struct error *err) must_check;
const struct partition_table *log_feed_partitions(const struct log_feed *feed);

/* Fills the cleared block's messages with up to max records whose seq is at most to_seq, and seq[i]
 * with the number of message i. No messages: the end. */
bool log_feed_read(struct log_feed *feed, struct block *block, uint64_t *seq, uint32_t max, uint64_t to_seq,
                   struct error *err) must_check;

/* Before the first reading: blocks of the log are read, opened and unpacked ahead, by a thread that log_feed_close ends (log_reader_ahead).
 * For whoever has more than one thread. */
void log_feed_ahead(struct log_feed *feed);

/* From now on a reading ends where the log says that the engine went over to other rules; log_feed_swap then is their hash, else NULL,
 * until the next reading. Of several changes between two events each is told. */
void log_feed_tell_swaps(struct log_feed *feed);
const unsigned char *log_feed_swap(const struct log_feed *feed);

/* Decodes the block's messages into its events and gives them the numbers `seq`. */
bool log_feed_decode(struct intake *intake, struct block *block, const uint64_t *seq, struct error *err) must_check;
void log_feed_close(struct log_feed *feed);

#endif
