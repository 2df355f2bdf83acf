/* One reserved range of addresses per shard: free lists by size, free blocks cut and joined, bump allocation, page snapshots. */
#include "engine/state/slab.h"

#include "engine/base/invariant.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Sizes up to SMALL_UNITS × 16 bytes have a free list each; larger ones go by quarters of a power of two, so at
 * most a fifth of a large block is lost. */
enum { MACHINE_PAGE = 4096, UNIT = 16, SMALL_UNITS = 64, STEPS = 4, LARGE_CLASSES = 26 * STEPS };
_Static_assert(SLAB_CLASSES == SMALL_UNITS + 1 + LARGE_CLASSES, "one free list per class");

static const uint64_t SLAB_MAGIC = 0x33424c5352545355; /* "USTRSLB3" */

/* Stands at the range's beginning; a reference of 0 would point at it, so 0 can mean none. */
struct slab_head {
    uint64_t magic;
    uint64_t brk;          /* bytes handed out from the bottom, this head included */
    uint64_t used;         /* bytes in blocks that are not free */
    slab_ref root[SLAB_ROOTS];
    slab_ref rest;         /* what is left of the block that was cut last, in no list: the next small ones are cut from it, side by side */
    slab_ref free[SLAB_CLASSES - 1]; /* from class 1 on: free blocks of at least the class's size and less than the next one's */
    uint32_t rest_units;
};

static slab_ref *free_list(struct slab_head *head, size_t class)
{
    return &head->free[class - 1];
}

/* How a free block begins. Its last four bytes say its units once more. Two free blocks never lie side by side: they are one. (The rest
 * counts as used until it is put back.) */
struct free_block {
    slab_ref next, prev;
    uint32_t units;
};

enum page_state { PAGE_FROZEN, PAGE_BUSY, PAGE_TAKEN };

struct slab_private {
    size_t bytes_max;
    uint64_t refused;
    /* derived from the free lists: two bits per unit, where a free block begins and where one ends */
    uint64_t *edge;
    size_t edge_words;
    uint64_t filled[(SLAB_CLASSES + 63) / 64]; /* which lists are not empty */
    uint32_t page_count;       /* of the snapshot */
    atomic_uchar *page;        /* enum page_state, by page */
    char **copy;               /* frozen content of pages that changed before the saver came */
};

static struct slab_head *head_of(const struct slab *slab)
{
    return (struct slab_head *)(void *)slab->base;
}

/* Edges for all units below brk, and the one at it. */
static void edges_reserve(struct slab *slab, uint64_t brk)
{
    struct slab_private *in = slab->in;
    size_t need = brk / UNIT / 32 + 1;
    if (need <= in->edge_words)
        return;
    size_t words = need + need / 8 + 64;
    in->edge = realloc(in->edge, words * sizeof *in->edge);
    invariant(in->edge != NULL);
    memset(in->edge + in->edge_words, 0, (words - in->edge_words) * sizeof *in->edge);
    in->edge_words = words;
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
    edges_reserve(slab, head->brk);
}

void slab_fini(struct slab *slab)
{
    if (!slab->in)
        return;
    slab_snapshot_end(slab);
    free(slab->in->edge);
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

/* --- size classes --- */

/* Bytes of a large class's blocks: 1,280, 1,536, 1,792, 2,048, 2,560 and so on. */
static size_t large_bytes(size_t class)
{
    size_t step = class - SMALL_UNITS - 1;
    return ((size_t)SMALL_UNITS * UNIT / STEPS * (STEPS + 1 + step % STEPS)) << step / STEPS;
}

size_t slab_class(size_t size, size_t *bytes)
{
    size_t units = size ? (size + UNIT - 1) / UNIT : 1;
    if (units <= SMALL_UNITS) {
        *bytes = units * UNIT;
        return units;
    }
    size_t doubling = (size_t)(63 - __builtin_clzll((units - 1) / SMALL_UNITS));
    size_t step = ((units - 1) >> doubling) / (SMALL_UNITS / STEPS) - STEPS, class = SMALL_UNITS + 1 + doubling * STEPS + step;
    invariant(class < SLAB_CLASSES);
    *bytes = large_bytes(class);
    return class;
}

/* The largest class whose blocks are not longer. */
static inline size_t class_within(size_t units)
{
    if (units <= SMALL_UNITS)
        return units;
    size_t bytes, class = slab_class(units * UNIT, &bytes);
    return bytes > units * UNIT ? class - 1 : class;
}

size_t slab_head_bytes(void)
{
    return sizeof(struct slab_head);
}

/* --- free blocks --- */

enum { BEGINS = 1, ENDS = 2 };

static inline bool edge_is(const struct slab *slab, size_t unit, unsigned edge)
{
    return slab->in->edge[unit / 32] >> (unit % 32 * 2) & edge;
}

static inline void edge_flip(struct slab *slab, size_t unit, unsigned edge)
{
    slab->in->edge[unit / 32] ^= (uint64_t)edge << (unit % 32 * 2);
}

static inline void edges_flip(struct slab *slab, slab_ref ref, uint32_t units)
{
    edge_flip(slab, ref, BEGINS);
    edge_flip(slab, ref + units - 1, ENDS);
}

static const struct free_block *free_at(const struct slab *slab, slab_ref ref)
{
    return slab_at(slab, ref);
}

static uint32_t *free_foot(const struct slab *slab, slab_ref end)
{
    return (uint32_t *)(void *)(slab->base + (size_t)end * UNIT - sizeof(uint32_t));
}

static void filled_set(struct slab *slab, size_t class, bool filled)
{
    uint64_t bit = (uint64_t)1 << class % 64, *word = &slab->in->filled[class / 64];
    *word = filled ? *word | bit : *word & ~bit;
}

static void free_link(struct slab *slab, struct slab_head *head, slab_ref ref, uint32_t units)
{
    size_t class = class_within(units);
    struct free_block *block = slab_edit(slab, ref, sizeof *block);
    slab_ref *list = free_list(head, class), next = *list;
    *block = (struct free_block){.next = next, .units = units};
    (void)slab_edit(slab, ref + units - 1, UNIT);
    *free_foot(slab, ref + units) = units;
    if (next)
        ((struct free_block *)slab_edit(slab, next, sizeof *block))->prev = ref;
    *list = ref;
    filled_set(slab, class, true);
    edges_flip(slab, ref, units);
}

static void free_unlink(struct slab *slab, struct slab_head *head, slab_ref ref)
{
    const struct free_block block = *free_at(slab, ref);
    size_t class = class_within(block.units);
    slab_ref *list = free_list(head, class);
    if (block.next)
        ((struct free_block *)slab_edit(slab, block.next, sizeof block))->prev = block.prev;
    if (block.prev)
        ((struct free_block *)slab_edit(slab, block.prev, sizeof block))->next = block.next;
    else
        *list = block.next;
    filled_set(slab, class, *list != 0);
    edges_flip(slab, ref, block.units);
}

/* A free block of the class's size or more, out of the list of the smallest class that has one; 0: there is none. */
static slab_ref free_find(const struct slab *slab, struct slab_head *head, size_t class)
{
    const uint64_t *filled = slab->in->filled;
    size_t word = class / 64;
    uint64_t left = filled[word] >> class % 64 << class % 64;
    while (!left && ++word < sizeof slab->in->filled / sizeof *filled)
        left = filled[word];
    return left ? *free_list(head, word * 64 + (size_t)__builtin_ctzll(left)) : 0;
}

/* --- allocation --- */

/* From the bottom, behind all that was handed out. */
static slab_ref fresh_take(struct slab *slab, struct slab_head *head, size_t bytes)
{
    if (head->brk + bytes > slab->in->bytes_max) {
        slab->in->refused++;
        return 0;
    }
    slab_ref ref = (slab_ref)(head->brk / UNIT);
    (void)slab_edit(slab, ref, bytes);
    edges_reserve(slab, head->brk + bytes);
    head->brk += bytes; /* fresh pages are zero */
    return ref;
}

/* A block that nobody uses any more becomes a free one, joined with those beside it. */
static void block_release(struct slab *slab, struct slab_head *head, slab_ref ref, uint32_t units)
{
    if (edge_is(slab, ref + units, BEGINS)) {
        slab_ref behind = ref + units;
        units += free_at(slab, behind)->units;
        free_unlink(slab, head, behind);
    }
    if (edge_is(slab, ref - 1, ENDS)) {
        uint32_t before = *free_foot(slab, ref);
        ref -= before;
        units += before;
        free_unlink(slab, head, ref);
    }
    free_link(slab, head, ref, units);
}

/* Puts the rest back and takes a free block that is large enough instead; false when there is none. */
static bool rest_renew(struct slab *slab, struct slab_head *head, size_t class)
{
    if (head->rest_units)
        block_release(slab, head, head->rest, head->rest_units);
    head->rest_units = 0;
    slab_ref ref = free_find(slab, head, class);
    if (!ref)
        return false;
    head->rest = ref;
    head->rest_units = free_at(slab, ref)->units;
    free_unlink(slab, head, ref);
    return true;
}

slab_ref slab_alloc(struct slab *slab, size_t size)
{
    size_t bytes;
    size_t class = slab_class(size, &bytes);
    uint32_t units = (uint32_t)(bytes / UNIT);
    struct slab_head *head = slab_edit(slab, 0, sizeof *head);
    slab_ref ref = *free_list(head, class);
    if (ref && (class <= SMALL_UNITS || free_at(slab, ref)->units == units)) {
        free_unlink(slab, head, ref);
        __builtin_prefetch(&slab->in->edge[*free_list(head, class) / 32]);
    } else if (head->rest_units >= units || rest_renew(slab, head, class)) {
        ref = head->rest;
        head->rest += units;
        head->rest_units -= units;
    } else {
        ref = fresh_take(slab, head, bytes);
        head->used += ref ? bytes : 0;
        return ref;
    }
    memset(slab_edit(slab, ref, bytes), 0, bytes);
    head->used += bytes;
    return ref;
}

void slab_prefetch(const struct slab *slab, size_t size)
{
    size_t bytes;
    struct slab_head *head = head_of(slab);
    slab_ref ref = *free_list(head, slab_class(size, &bytes));
    __builtin_prefetch(slab_at(slab, ref ? ref : head->rest), 1);
}

void slab_free(struct slab *slab, slab_ref ref, size_t size)
{
    if (!ref)
        return;
    size_t bytes;
    (void)slab_class(size, &bytes);
    struct slab_head *head = slab_edit(slab, 0, sizeof *head);
    head->used -= bytes;
    block_release(slab, head, ref, (uint32_t)(bytes / UNIT));
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
    return (head_of(slab)->brk + SLAB_PAGE - 1) / SLAB_PAGE * SLAB_PAGE + slab->in->edge_words * sizeof *slab->in->edge;
}

uint64_t slab_refused(const struct slab *slab)
{
    return slab->in->refused;
}

uint32_t slab_machine_pages(const struct slab *slab)
{
    return (uint32_t)((head_of(slab)->brk + MACHINE_PAGE - 1) / MACHINE_PAGE);
}

void slab_prefetch_pages(const struct slab *slab)
{
    for (size_t at = 0, brk = head_of(slab)->brk; at < brk; at += MACHINE_PAGE)
        __builtin_prefetch(slab->base + at);
}

/* --- restore --- */

bool slab_restore_page(struct slab *slab, uint32_t page, const char in[SLAB_PAGE], struct error *err)
{
    if (((size_t)page + 1) * SLAB_PAGE > slab->in->bytes_max)
        return error_set(err, ERROR_FATAL, "the checkpoint's shard is larger than shard_mb_max allows");
    memcpy(slab->base + (size_t)page * SLAB_PAGE, in, SLAB_PAGE);
    return true;
}

/* Finds the edges of the free blocks from their lists. */
static bool edges_restore(struct slab *slab)
{
    struct slab_head *head = head_of(slab);
    uint64_t units = head->brk / UNIT, found = head->rest_units;
    memset(slab->in->filled, 0, sizeof slab->in->filled);
    if (slab->in->edge)
        memset(slab->in->edge, 0, slab->in->edge_words * sizeof *slab->in->edge);
    edges_reserve(slab, head->brk);
    if (head->rest > units || head->rest_units > units - head->rest)
        return false;
    for (size_t class = 1; class < SLAB_CLASSES; class++) {
        filled_set(slab, class, *free_list(head, class) != 0);
        for (slab_ref ref = *free_list(head, class); ref; ref = free_at(slab, ref)->next) {
            uint32_t size = ref < units ? free_at(slab, ref)->units : 0;
            found += size;
            if (!size || size > units - ref || found > units || class_within(size) != class || edge_is(slab, ref, BEGINS))
                return false;
            edges_flip(slab, ref, size);
        }
    }
    return true;
}

bool slab_restore_finish(struct slab *slab, struct error *err)
{
    const struct slab_head *head = head_of(slab);
    if (head->magic != SLAB_MAGIC || head->brk < sizeof *head || head->brk > slab->in->bytes_max || !edges_restore(slab))
        return error_set(err, ERROR_FATAL, "a shard's memory in the checkpoint is not one of this engine's");
    return true;
}
