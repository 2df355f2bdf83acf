/* What an engine needs beside its state: blocks on their way, arrays of the batch, what Kafka fetched,
 * and what a checkpoint takes.
 *
 * From the settings, the sizes of the structures, and the bytes that a message brings (engine/stream/sample.h).
 * Catching up every block is full and a checkpoint meets all its pages changed before it has written them; at
 * an even rate a block holds what came in batch_wait_ms. Bytes; any thread. */
#ifndef ENGINE_STREAM_FOOTPRINT_H
#define ENGINE_STREAM_FOOTPRINT_H

#include "engine/stream/sample.h"

/* ASSUMED speed of writing a checkpoint (zstd level 1, one thread); it moves the pages kept at an even rate only. */
enum { CHECKPOINT_MB_PER_S = 300 };

struct footprint_settings {
    uint32_t threads, batch_max, batch_wait_ms, queue_blocks_max;
    size_t fetch_bytes_max;
    bool log, checkpoints;
    double rate;             /* messages per second; 0: as fast as it goes */
};

struct footprint {
    double blocks;           /* messages, events, texts and results in blocks (of a replay: pages) */
    double batch;            /* arrays of the batch at work */
    double fetch;            /* what Kafka's client holds */
    double checkpoint;       /* one shard read and packed */
    double copies;           /* pages kept as they were while a checkpoint is written */
    double log;              /* of the log's writer */
};

void footprint_run(const struct footprint_settings *settings, const struct sample *sample, double state_held, struct footprint *out);
/* `muster replay` of one file: pages of 4,096 lines instead of blocks; no Kafka, log or checkpoint. */
void footprint_replay(const struct footprint_settings *settings, const struct sample *sample, struct footprint *out);
double footprint_sum(const struct footprint *footprint);

#endif
