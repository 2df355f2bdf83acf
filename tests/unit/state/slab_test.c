/* The slab against a plain list of blocks: contents stay, fresh ones are zero, freed room is used again, joined, saved and read back. */
#include "engine/state/slab.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BYTES_MAX = 64 * SLAB_PAGE, BLOCKS = 1500, STEPS = 60000 };

struct block {
    slab_ref ref;
    size_t size;
    unsigned char fill;
};

static uint64_t draw(uint64_t *chance)
{
    uint64_t z = (*chance += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void slab_open(struct slab *slab)
{
    void *base = mmap(NULL, BYTES_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(base != MAP_FAILED);
    slab_init(slab, base, BYTES_MAX);
}

static void slab_close(struct slab *slab)
{
    void *base = slab->base;
    slab_fini(slab);
    (void)munmap(base, BYTES_MAX);
}

/* Mostly small, sometimes some pages. */
static size_t some_size(uint64_t *chance)
{
    return draw(chance) % 20 ? 1 + draw(chance) % 700 : 1 + draw(chance) % 20000;
}

static bool all_is(const unsigned char *at, size_t size, unsigned char byte)
{
    for (size_t i = 0; i < size; i++)
        if (at[i] != byte)
            return false;
    return true;
}

static void block_check(const struct slab *slab, const struct block *block)
{
    cr_assert(all_is(slab_at(slab, block->ref), block->size, block->fill), "a block of %zu at %u was written into", block->size, block->ref);
}

static void block_take(struct slab *slab, struct block *block, uint64_t *chance)
{
    block->size = some_size(chance);
    block->ref = slab_alloc(slab, block->size);
    if (!block->ref)
        return;
    cr_assert(all_is(slab_at(slab, block->ref), slab_block(block->size), 0), "a fresh block of %zu is not zero", block->size);
    block->fill = (unsigned char)(1 + draw(chance) % 255);
    memset(slab_edit(slab, block->ref, block->size), block->fill, block->size);
}

static void block_give(struct slab *slab, struct block *block)
{
    block_check(slab, block);
    slab_free(slab, block->ref, block->size);
    block->ref = 0;
}

static size_t blocks_bytes(const struct block *blocks)
{
    size_t bytes = 0;
    for (int i = 0; i < BLOCKS; i++)
        bytes += blocks[i].ref ? slab_block(blocks[i].size) : 0;
    return bytes;
}

/* Every page as it was when the snapshot began. */
static char *slab_save(struct slab *slab, struct block *blocks, uint64_t *chance, struct block frozen[BLOCKS], uint32_t *pages)
{
    slab_snapshot_begin(slab);
    memcpy(frozen, blocks, BLOCKS * sizeof *blocks);
    *pages = slab_snapshot_pages(slab);
    char *saved = malloc((size_t)*pages * SLAB_PAGE);
    cr_assert_not_null(saved);
    for (uint32_t page = 0; page < *pages; page++) {
        for (int n = 0; n < 20; n++) { /* while the owner works on */
            struct block *block = &blocks[draw(chance) % BLOCKS];
            if (block->ref)
                block_give(slab, block);
            else
                block_take(slab, block, chance);
        }
        slab_snapshot_page(slab, page, saved + (size_t)page * SLAB_PAGE);
    }
    slab_snapshot_end(slab);
    return saved;
}

static void slab_load(struct slab *slab, const char *saved, uint32_t pages)
{
    struct error err = {0};
    slab_open(slab);
    for (uint32_t page = 0; page < pages; page++)
        cr_assert(slab_restore_page(slab, page, saved + (size_t)page * SLAB_PAGE, &err), "%s", err.text);
    cr_assert(slab_restore_finish(slab, &err), "%s", err.text);
}

Test(slab, holds_what_was_put_in)
{
    static struct block blocks[BLOCKS], frozen[BLOCKS];
    struct slab slab, other;
    uint64_t chance = 7;
    slab_open(&slab);
    size_t head = slab_used(&slab);
    for (int step = 0; step < STEPS; step++) {
        struct block *block = &blocks[draw(&chance) % BLOCKS];
        if (block->ref)
            block_give(&slab, block);
        else
            block_take(&slab, block, &chance);
        if (step % 10000 == 9999) {
            uint32_t pages;
            char *saved = slab_save(&slab, blocks, &chance, frozen, &pages);
            slab_load(&other, saved, pages);
            cr_expect_eq(slab_used(&other), head + blocks_bytes(frozen));
            for (int i = 0; i < BLOCKS; i++)
                if (!frozen[i].ref)
                    block_take(&other, &frozen[i], &chance);
            for (int i = 0; i < BLOCKS; i++)
                if (frozen[i].ref)
                    block_give(&other, &frozen[i]);
            cr_expect_eq(slab_used(&other), head);
            slab_close(&other);
            free(saved);
        }
    }
    cr_expect_eq(slab_used(&slab), head + blocks_bytes(blocks));
    for (int i = 0; i < BLOCKS; i++)
        if (blocks[i].ref)
            block_give(&slab, &blocks[i]);
    cr_expect_eq(slab_used(&slab), head);
    slab_close(&slab);
}

/* All that was freed lies in one piece, so that one block can have nearly all of it. */
Test(slab, joins_what_lies_side_by_side)
{
    enum { COUNT = 1000 };
    struct slab slab;
    slab_ref ref[COUNT];
    slab_open(&slab);
    for (int i = 0; i < COUNT; i++)
        cr_assert(ref[i] = slab_alloc(&slab, 1000));
    size_t resident = slab_resident(&slab);
    for (int i = 0; i < COUNT; i += 2)
        slab_free(&slab, ref[i], 1000);
    for (int i = COUNT - 1; i > 0; i -= 2)
        slab_free(&slab, ref[i], 1000);
    cr_expect(slab_alloc(&slab, COUNT * 1008 / 5 * 4) != 0);
    cr_expect_eq(slab_resident(&slab), resident);
    slab_close(&slab);
}

/* What is made together lies together, although a block that was freed elsewhere would fit more closely. */
Test(slab, small_blocks_are_cut_side_by_side)
{
    struct slab slab;
    slab_open(&slab);
    slab_ref large = slab_alloc(&slab, 4096), between = slab_alloc(&slab, 64), other = slab_alloc(&slab, 128), last = slab_alloc(&slab, 64);
    cr_assert(large && between && other && last);
    slab_free(&slab, large, 4096);
    cr_expect_eq(slab_alloc(&slab, 64), large);
    slab_free(&slab, other, 128);
    cr_expect_eq(slab_alloc(&slab, 64), large + 64 / 16);
    cr_expect_eq(slab_alloc(&slab, 128), other);
    cr_expect_eq(slab_alloc(&slab, 64), large + 2 * 64 / 16);
    slab_close(&slab);
}

Test(slab, refuses_at_the_bound_and_goes_on)
{
    struct slab slab;
    slab_open(&slab);
    slab_ref large = slab_alloc(&slab, BYTES_MAX / 2);
    cr_assert(large);
    cr_expect_eq(slab_alloc(&slab, BYTES_MAX / 2), 0);
    cr_expect_eq(slab_refused(&slab), 1);
    slab_free(&slab, large, BYTES_MAX / 2);
    cr_expect(slab_alloc(&slab, BYTES_MAX / 2) != 0);
    slab_close(&slab);
}

Test(slab, classes_waste_a_fifth_at_most)
{
    size_t before = 0, class_before = 0;
    for (size_t size = 1; size < 1000000; size += 1 + size / 100) {
        size_t bytes, class = slab_class(size, &bytes);
        cr_assert_geq(bytes, size);
        cr_assert_leq(bytes, size <= 1024 ? size + 15 : size * 5 / 4 + 16, "%zu for %zu", bytes, size);
        cr_assert(class > class_before ? bytes > before : class == class_before && bytes == before, "class %zu of %zu", class, size);
        cr_assert_lt(class, (size_t)SLAB_CLASSES);
        before = bytes;
        class_before = class;
    }
}

/* A list that leads out of the slab, or to one block twice, is no slab of ours. */
Test(slab, damaged_lists_are_refused)
{
    struct slab slab, other;
    struct error err = {0};
    slab_open(&slab);
    slab_ref first = slab_alloc(&slab, 64), between = slab_alloc(&slab, 64), second = slab_alloc(&slab, 64);
    cr_assert(first && between && second && slab_alloc(&slab, 64));
    slab_free(&slab, first, 64);
    slab_free(&slab, second, 64);
    for (int damage = 0; damage < 3; damage++) {
        char page[SLAB_PAGE];
        memcpy(page, slab.base, sizeof page);
        slab_ref *next = (slab_ref *)(void *)(page + (size_t)second * 16);
        if (damage == 1)
            *next = second;
        if (damage == 2)
            *next = BYTES_MAX / 16;
        slab_open(&other);
        cr_assert(slab_restore_page(&other, 0, page, &err));
        cr_expect_eq(slab_restore_finish(&other, &err), damage == 0);
        slab_close(&other);
    }
    slab_close(&slab);
}
