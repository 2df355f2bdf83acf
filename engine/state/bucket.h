/* Buckets: many small entries that expire, packed close, in a slab: linear hashing over blocks that fit what they hold.
 *
 * An entry is found by 96 bits of a keyed hash. A bucket is one block with its entries in a row, which grows and shrinks
 * with them by steps of BUCKET_STEP; when buckets hold more than BUCKET_BYTES on average, one of them is split, in turn, and when
 * a sweep has left much less, pairs go together again. So few free places wait for entries: some 24 bytes are taken for
 * one of 22, and two entries of three go in without a new block (a quarter of the time that repeats take; with steps of 16
 * each needs one). A bucket has blocks of all lengths at any time, so a block given back soon serves another bucket.
 *
 * Belongs to the owner of its slab; holds no pointer, so it survives a restart. */
#ifndef ENGINE_STATE_BUCKET_H
#define ENGINE_STATE_BUCKET_H

#include "engine/state/slab.h"

enum { BUCKET_BYTES = 448, BUCKET_STEP = 64, BUCKET_HEAD_BYTES = 2, ENTRY_HEAD_BYTES = 20, ENTRY_BYTES_MAX = 128, SEEN_SHIFT = 20 };

struct buckets {
    slab_ref directory;     /* a slab_ref per bucket, 0: an empty one */
    uint32_t room, count;   /* of the directory; buckets */
    uint32_t entries, pad;
    uint64_t entry_bytes;   /* of all entries */
};

/* What an entry of one table looks like: these 20 bytes, then the caller's. */
struct bucket_head {
    uint64_t id_high;
    uint64_t seen;          /* seen_word of its time, and SEEN_SHIFT bits of the caller's below */
    uint32_t id_low;
};
struct bucket_form {
    uint16_t fixed_bytes;   /* of every entry, ENTRY_HEAD_BYTES included */
    uint16_t each_bytes;    /* further ones, for each bit in mask of the caller's bits in `seen` */
    uint32_t mask;
};

/* Times from 1800 to 2357 by the millisecond; what lies before or behind counts as the first or last of them. The order
 * of two times is that of their words. */
uint64_t seen_word(int64_t time_ms);
int64_t seen_ms(uint64_t seen); /* the caller's bits may be set */

/* The length of a block for so many bytes of entries. */
static inline size_t bucket_block(size_t entry_bytes)
{
    return (BUCKET_HEAD_BYTES + entry_bytes + BUCKET_STEP - 1) / BUCKET_STEP * BUCKET_STEP;
}

/* Where an entry lies, until the table changes. */
struct bucket_place {
    uint32_t bucket, offset, bytes; /* bytes 0: there is none, a new one goes here */
};
void bucket_head_read(const unsigned char *entry, struct bucket_head *head);
void bucket_head_write(unsigned char *entry, const struct bucket_head *head);
bool buckets_find(const struct slab *slab, const struct buckets *table, const struct bucket_form *form, uint64_t id_high, uint32_t id_low,
                  struct bucket_place *place);
/* Hints ahead of buckets_find, one behind the other: the bucket's place in the directory, the bucket, and where the bucket must go
 * for a new entry of so many bytes to find room. */
void buckets_prefetch_table(const struct slab *slab, const struct buckets *table, uint64_t id_high, uint32_t id_low);
void buckets_prefetch(const struct slab *slab, const struct buckets *table, uint64_t id_high, uint32_t id_low);
void buckets_prefetch_room(const struct slab *slab, const struct buckets *table, uint64_t id_high, uint32_t id_low, uint32_t bytes);
const unsigned char *buckets_entry(const struct slab *slab, const struct buckets *table, const struct bucket_place *place);
/* Puts `entry` (which is not in the slab) where find said, in place of what is there. `table` must be edited already. False
 * when the slab is full: then nothing has changed. */
bool buckets_put(struct slab *slab, struct buckets *table, const struct bucket_form *form, const struct bucket_place *place, const unsigned char *entry);
/* Drops entries seen before horizon_ms. Where the slab has no room for a shorter block, they stay. */
void buckets_expire(struct slab *slab, struct buckets *table, const struct bucket_form *form, int64_t horizon_ms);
/* The entry at *place (zero it to begin) and moves behind it; NULL behind the last. */
const unsigned char *buckets_next(const struct slab *slab, const struct buckets *table, const struct bucket_form *form, struct bucket_place *place);
/* Bytes of its blocks; walks over all buckets. */
uint64_t buckets_bytes(const struct slab *slab, const struct buckets *table);

#endif
