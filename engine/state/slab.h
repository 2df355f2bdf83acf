/* A slab holds all that one virtual shard remembers: one reserved range of addresses, grown from
 * the bottom, with free lists by size, addressed by 32-bit references so that it can be written to
 * disk and read back at another address.
 *
 * Owned by one worker at a time (the shard's owner of the batch); never locked.
 *
 * Snapshots are software copy-on-write at a batch boundary: slab_snapshot_begin (no worker running)
 * freezes the present content in O(pages) time; afterwards whoever changes memory says so first
 * with slab_edit, which keeps the old copy of a page that the saver has not taken yet. So the
 * pause is the marking of pages, and reading needs no check. RULE: every store into slab memory
 * must be preceded, in the same batch, by slab_edit (or slab_alloc) of the bytes it touches. */
#ifndef ENGINE_STATE_SLAB_H
#define ENGINE_STATE_SLAB_H

#include "engine/base/error.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t slab_ref; /* in units of 16 bytes; 0 is none */

enum { SLAB_PAGE = 64 * 1024, SLAB_ROOTS = 64, SLAB_CLASSES = 169 };

struct slab {
    char *base;            /* start of the reserved range */
    atomic_bool snapshot;  /* one is being taken: edits keep the old pages */
    struct slab_private *in;
};

/* Works in [base, base + bytes_max), zeroed, page-aligned addresses that the caller reserved and will
 * unmap; memory is taken only as it is used. bytes_max is a multiple of SLAB_PAGE. */
void slab_init(struct slab *slab, void *base, size_t bytes_max);
void slab_fini(struct slab *slab);

/* Zeroed memory of at least size bytes (16-aligned). 0 when the bound is reached: the caller
 * counts that and does without. */
slab_ref slab_alloc(struct slab *slab, size_t size) must_check;
void slab_free(struct slab *slab, slab_ref ref, size_t size);
/* A hint ahead of slab_alloc: the block that it is likely to give. */
void slab_prefetch(const struct slab *slab, size_t size);

/* Which class (below SLAB_CLASSES) a block of `size` bytes is of, and how long its blocks are. What is freed is joined with what
 * lies free beside it, and serves whoever needs as much or less. */
size_t slab_class(size_t size, size_t *bytes);
static inline size_t slab_block(size_t size)
{
    size_t bytes;
    (void)slab_class(size, &bytes);
    return size ? bytes : 0;
}
size_t slab_head_bytes(void); /* taken of every slab to begin with */

static inline const void *slab_at(const struct slab *slab, slab_ref ref)
{
    return slab->base + (size_t)ref * 16;
}

/* Keeps the frozen content of the pages under these bytes; only while a snapshot is taken. */
void slab_preserve(struct slab *slab, slab_ref ref, size_t size);

/* Says that [ref, ref + size) is about to change and returns it. Inline, for it stands before every
 * store: one load and a branch that is nearly never taken. */
static inline void *slab_edit(struct slab *slab, slab_ref ref, size_t size)
{
    if (__builtin_expect(atomic_load_explicit(&slab->snapshot, memory_order_acquire), 0))
        slab_preserve(slab, ref, size);
    return slab->base + (size_t)ref * 16;
}

/* SLAB_ROOTS references by which owners find their structures again after a restart. */
slab_ref slab_root(const struct slab *slab, int root);
void slab_root_set(struct slab *slab, int root, slab_ref ref);

size_t slab_used(const struct slab *slab);      /* bytes handed out and not freed */
size_t slab_resident(const struct slab *slab);  /* bytes of pages ever used, and of the marks of what is free among them */
uint64_t slab_refused(const struct slab *slab); /* allocations refused for the bound */
uint32_t slab_machine_pages(const struct slab *slab); /* of the processor, ever used */
/* A hint that most of these are needed soon: in order, their addresses come into the TLB far quicker than one by one when they are met. */
void slab_prefetch_pages(const struct slab *slab);

/* Snapshot: begin at a batch boundary; then, from the saver's thread, slab_snapshot_page for each
 * page in 0 .. slab_snapshot_pages-1 copies its frozen content into out; then end. */
void slab_snapshot_begin(struct slab *slab);
uint32_t slab_snapshot_pages(const struct slab *slab);
void slab_snapshot_page(struct slab *slab, uint32_t page, char out[SLAB_PAGE]);
void slab_snapshot_end(struct slab *slab);

/* Restoring: into a fresh slab, pages in order, then finish (checks its own header). */
bool slab_restore_page(struct slab *slab, uint32_t page, const char in[SLAB_PAGE], struct error *err) must_check;
bool slab_restore_finish(struct slab *slab, struct error *err) must_check;

#endif
