/* One reserved range of addresses per shard: bump allocation, free lists by size, page snapshots. */
#include "engine/state/slab.h"

#include "engine/base/invariant.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Sizes up to SMALL_UNITS × 16 bytes have a free list each; larger ones go by powers of two, so at
 * most half of a large block is lost, and a grown ring's old block fits another key's ring. */
enum { UNIT = 16, SMALL_UNITS = 64, LARGE_CLASSES = 28 };
_Static_assert(SLAB_CLASSES == SMALL_UNITS + 1 + LARGE_CLASSES, "one free list per class");

static const uint64_t SLAB_MAGIC = 0x31424c5352545355; /* "USTRSLB1" */

/* Stands at the range's beginning; a reference of 0 would point at it, so 0 can mean none. */
struct slab_head {
    uint64_t magic;
    uint64_t brk;          /* bytes handed out from the bottom, this head included */
    uint64_t used;         /* bytes in blocks that are not free */
    slab_ref root[SLAB_ROOTS];
    slab_ref free[SLAB_CLASSES]; /* each free block begins with the next reference */
};

enum page_state { PAGE_FROZEN, PAGE_BUSY, PAGE_TAKEN };

struct slab_private {
    size_t bytes_max;
    uint64_t refused;
    uint32_t page_count;       /* of the snapshot */
    atomic_uchar *page;        /* enum page_state, by page */
    char **copy;               /* frozen content of pages that changed before the saver came */
};

static struct slab_head *head_of(const struct slab *slab)
{
    return (struct slab_head *)(void *)slab->base;
}

void slab_init(struct slab *slab, void *base, size_t bytes_max)
{
    invariant(bytes_max >= SLAB_PAGE && bytes_max % SLAB_PAGE == 0);
    slab->base = base;
    atomic_init(&slab->snapshot, false);
    slab->in = calloc(1, sizeof *slab->in);
    invariant(slab->in != NULL);
    slab->in->bytes_max = bytes_max;
    struct slab_head *head = head_of(slab);
    head->magic = SLAB_MAGIC;
    head->brk = (sizeof *head + UNIT - 1) / UNIT * UNIT;
}

void slab_fini(struct slab *slab)
{
    if (!slab->in)
        return;
    slab_snapshot_end(slab);
    free(slab->in);
    slab->base = NULL;
    slab->in = NULL;
}

/* --- snapshots --- */

/* Keeps the frozen content of a page that is about to change, unless the saver has taken it. */
static void page_preserve(struct slab *slab, uint32_t page)
{
    struct slab_private *in = slab->in;
    if (page >= in->page_count)
        return; /* grown since: not part of the snapshot */
    unsigned char frozen = PAGE_FROZEN;
    if (atomic_compare_exchange_strong_explicit(&in->page[page], &frozen, PAGE_BUSY, memory_order_acquire,
                                                memory_order_acquire)) {
        char *copy = malloc(SLAB_PAGE);
        invariant(copy != NULL);
        memcpy(copy, slab->base + (size_t)page * SLAB_PAGE, SLAB_PAGE);
        in->copy[page] = copy;
        atomic_store_explicit(&in->page[page], PAGE_TAKEN, memory_order_release);
        return;
    }
    while (atomic_load_explicit(&in->page[page], memory_order_acquire) != PAGE_TAKEN) {
        /* the saver is copying these 64 KiB right now: some microseconds */
    }
}

void slab_preserve(struct slab *slab, slab_ref ref, size_t size)
{
    size_t from = (size_t)ref * UNIT;
    size_t last = size ? from + size - 1 : from;
    for (size_t page = from / SLAB_PAGE; page <= last / SLAB_PAGE; page++)
        page_preserve(slab, (uint32_t)page);
}

void slab_snapshot_begin(struct slab *slab)
{
    struct slab_private *in = slab->in;
    invariant(!atomic_load_explicit(&slab->snapshot, memory_order_relaxed));
    in->page_count = (uint32_t)((head_of(slab)->brk + SLAB_PAGE - 1) / SLAB_PAGE);
    in->page = calloc(in->page_count, sizeof *in->page);
    in->copy = calloc(in->page_count, sizeof *in->copy);
    invariant(in->page && in->copy);
    atomic_store_explicit(&slab->snapshot, true, memory_order_release);
}

uint32_t slab_snapshot_pages(const struct slab *slab)
{
    return slab->in->page_count;
}

void slab_snapshot_page(struct slab *slab, uint32_t page, char out[SLAB_PAGE])
{
    struct slab_private *in = slab->in;
    unsigned char frozen = PAGE_FROZEN;
    if (atomic_compare_exchange_strong_explicit(&in->page[page], &frozen, PAGE_BUSY, memory_order_acquire,
                                                memory_order_acquire)) {
        memcpy(out, slab->base + (size_t)page * SLAB_PAGE, SLAB_PAGE);
        atomic_store_explicit(&in->page[page], PAGE_TAKEN, memory_order_release);
        return;
    }
    while (atomic_load_explicit(&in->page[page], memory_order_acquire) != PAGE_TAKEN) {
        /* the owner is keeping its copy right now */
    }
    invariant(in->copy[page] != NULL);
    memcpy(out, in->copy[page], SLAB_PAGE);
    free(in->copy[page]); /* nobody asks twice, and the snapshot may live until PostgreSQL answers */
    in->copy[page] = NULL;
}

void slab_snapshot_end(struct slab *slab)
{
    struct slab_private *in = slab->in;
    if (!in->page)
        return;
    atomic_store_explicit(&slab->snapshot, false, memory_order_release);
    for (uint32_t i = 0; i < in->page_count; i++)
        free(in->copy[i]);
    free(in->copy);
    free(in->page);
    in->copy = NULL;
    in->page = NULL;
    in->page_count = 0;
}

/* --- allocation --- */

size_t slab_class(size_t size, size_t *bytes)
{
    size_t units = size ? (size + UNIT - 1) / UNIT : 1;
    if (units <= SMALL_UNITS) {
        *bytes = units * UNIT;
        return units;
    }
    size_t class = SMALL_UNITS + 1;
    *bytes = (size_t)SMALL_UNITS * UNIT * 2;
    while (*bytes < units * UNIT) {
        *bytes *= 2;
        class++;
    }
    invariant(class < SLAB_CLASSES);
    return class;
}

size_t slab_head_bytes(void)
{
    return sizeof(struct slab_head);
}

slab_ref slab_alloc(struct slab *slab, size_t size)
{
    size_t bytes;
    size_t class = slab_class(size, &bytes);
    struct slab_head *head = slab_edit(slab, 0, sizeof *head);
    slab_ref ref = head->free[class];
    if (ref) {
        void *at = slab_edit(slab, ref, bytes);
        memcpy(&head->free[class], at, sizeof(slab_ref));
        memset(at, 0, bytes);
    } else {
        if (head->brk + bytes > slab->in->bytes_max) {
            slab->in->refused++;
            return 0;
        }
        ref = (slab_ref)(head->brk / UNIT);
        (void)slab_edit(slab, ref, bytes);
        head->brk += bytes; /* fresh pages are zero */
    }
    head->used += bytes;
    return ref;
}

void slab_free(struct slab *slab, slab_ref ref, size_t size)
{
    if (!ref)
        return;
    size_t bytes;
    size_t class = slab_class(size, &bytes);
    struct slab_head *head = slab_edit(slab, 0, sizeof *head);
    void *at = slab_edit(slab, ref, sizeof(slab_ref));
    memcpy(at, &head->free[class], sizeof(slab_ref));
    head->free[class] = ref;
    head->used -= bytes;
}

slab_ref slab_root(const struct slab *slab, int root)
{
    return head_of(slab)->root[root];
}

void slab_root_set(struct slab *slab, int root, slab_ref ref)
{
    struct slab_head *head = slab_edit(slab, 0, sizeof *head);
    head->root[root] = ref;
}

size_t slab_used(const struct slab *slab)
{
    return head_of(slab)->used;
}

size_t slab_resident(const struct slab *slab)
{
    return (head_of(slab)->brk + SLAB_PAGE - 1) / SLAB_PAGE * SLAB_PAGE;
}

uint64_t slab_refused(const struct slab *slab)
{
    return slab->in->refused;
}

/* --- restore --- */

bool slab_restore_page(struct slab *slab, uint32_t page, const char in[SLAB_PAGE], struct error *err)
{
    if (((size_t)page + 1) * SLAB_PAGE > slab->in->bytes_max)
        return error_set(err, ERROR_FATAL, "the checkpoint's shard is larger than shard_mb_max allows");
    memcpy(slab->base + (size_t)page * SLAB_PAGE, in, SLAB_PAGE);
    return true;
}

bool slab_restore_finish(struct slab *slab, struct error *err)
{
    const struct slab_head *head = head_of(slab);
    if (head->magic != SLAB_MAGIC || head->brk < sizeof *head || head->brk > slab->in->bytes_max)
        return error_set(err, ERROR_FATAL, "a shard's memory in the checkpoint is not one of this engine's");
    return true;
}
