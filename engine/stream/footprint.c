/* Memory beside the state, from settings and the bytes of a message. */
#include "engine/stream/footprint.h"

#include "engine/stream/intake.h"

#include <math.h>

enum {
    BLOCKS_LEAST = 3,
    ZSTD_BYTES = 4 << 20,     /* one context of level 1 */
    PAGES_PER_KEY = 3,        /* cell, window, ring */
    PAGES_PER_EVENT = 4,      /* id, end-to-end reference, two identities */
    ORDER_BYTES = 24,         /* time and tag in a line, place in the sequence */
};

/* A block or page of so many messages: its arrays and its arenas. Refused messages are too few to count. */
static double block_bytes(const struct sample *sample, double messages, uint32_t workers)
{
    double arrays = sizeof(struct message) + sizeof(struct event);
    double arenas = sample->body_bytes + sample->text_bytes + sample->result_bytes;
    return messages * (arrays + arenas) + (2 + workers) * 32.0 * 1024;
}

static double batch_bytes(const struct sample *sample, double messages)
{
    double events = sizeof(struct event) + 1 + ORDER_BYTES; /* as decoded, before they are in order */
    return messages * (events + sample->scratch_bytes);
}

/* Pages that are changed before the saver comes to them, it going through all at an even pace. */
static double copied(const struct footprint_settings *settings, const struct sample *sample, double held)
{
    if (settings->rate <= 0)
        return held;
    double pages = fmax(1, held / SLAB_PAGE), seconds = held / (CHECKPOINT_MB_PER_S * 1e6);
    double changes = settings->rate * seconds * (PAGES_PER_KEY * sample->touched + PAGES_PER_EVENT) / pages;
    return changes > 1e-9 ? held * (1 - -expm1(-changes) / changes) : 0;
}

void footprint_run(const struct footprint_settings *settings, const struct sample *sample, double state_held, struct footprint *out)
{
    double full = settings->batch_max;
    if (settings->rate > 0)
        full = fmin(full, ceil(settings->rate * settings->batch_wait_ms / 1000));
    uint32_t blocks = settings->queue_blocks_max < BLOCKS_LEAST ? BLOCKS_LEAST : settings->queue_blocks_max;
    double shard = state_held / SHARD_COUNT;
    *out = (struct footprint){.blocks = blocks * block_bytes(sample, full, settings->threads), .batch = batch_bytes(sample, full)};
    out->fetch = settings->rate > 0 ? fmin((double)settings->fetch_bytes_max, settings->rate * sample->body_bytes) : (double)settings->fetch_bytes_max;
    if (settings->log)
        out->log = sample->body_bytes * full + 1024 * 1024;
    if (settings->checkpoints) {
        out->checkpoint = 2 * shard + ZSTD_BYTES;
        out->copies = copied(settings, sample, state_held);
    }
}

void footprint_replay(const struct footprint_settings *settings, const struct sample *sample, struct footprint *out)
{
    double pages = ceil(settings->batch_max / 4096.0) + 1;
    *out = (struct footprint){.blocks = pages * block_bytes(sample, 4096, settings->threads),
                              .batch = batch_bytes(sample, settings->batch_max) + settings->batch_max * sample->result_bytes};
}

double footprint_sum(const struct footprint *f)
{
    return f->blocks + f->batch + f->fetch + f->checkpoint + f->copies + f->log;
}
