/* Buckets against a list that is searched from end to end; and how closely they pack. */
#include "engine/state/bucket.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 6000, BYTES = 64 << 20 };

static const struct bucket_form forms[] = {{.fixed_bytes = 22}, {.fixed_bytes = ENTRY_HEAD_BYTES, .each_bytes = 6, .mask = 0xfff}};

static uint64_t draw(uint64_t *chance)
{
    uint64_t z = (*chance += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

struct model {
    unsigned char entry[MOST][ENTRY_BYTES_MAX];
    uint32_t count;
};

static uint32_t size_of(const struct bucket_form *form, const unsigned char *entry)
{
    struct bucket_head head;
    bucket_head_read(entry, &head);
    return form->fixed_bytes + (uint32_t)__builtin_popcountll(head.seen & form->mask) * form->each_bytes;
}

static int64_t model_find(const struct model *model, uint64_t high, uint32_t low)
{
    for (uint32_t i = 0; i < model->count; i++)
        if (memcmp(model->entry[i], &high, 8) == 0 && memcmp(model->entry[i] + 16, &low, 4) == 0)
            return i;
    return -1;
}

static void make(unsigned char entry[ENTRY_BYTES_MAX], const struct bucket_form *form, uint64_t high, uint32_t low, int64_t time_ms, uint64_t *chance)
{
    struct bucket_head head = {.id_high = high, .id_low = low, .seen = seen_word(time_ms) | (draw(chance) & 0xfffff)};
    memset(entry, 0, ENTRY_BYTES_MAX);
    bucket_head_write(entry, &head);
    for (uint32_t i = ENTRY_HEAD_BYTES; i < size_of(form, entry); i++)
        entry[i] = (unsigned char)draw(chance);
}

/* Every entry of either is in the other. */
static void compare(const struct slab *slab, const struct buckets *table, const struct bucket_form *form, const struct model *model)
{
    struct bucket_place at = {0};
    const unsigned char *entry;
    uint32_t walked = 0;
    for (; (entry = buckets_next(slab, table, form, &at)); walked++) {
        struct bucket_head head;
        bucket_head_read(entry, &head);
        int64_t found = model_find(model, head.id_high, head.id_low);
        cr_assert(found >= 0 && memcmp(model->entry[found], entry, size_of(form, entry)) == 0, "an entry that was not put there");
    }
    cr_assert_eq(walked, model->count);
    cr_assert_eq(table->entries, model->count);
    for (uint32_t i = 0; i < model->count; i++) {
        struct bucket_head head;
        bucket_head_read(model->entry[i], &head);
        cr_assert(buckets_find(slab, table, form, head.id_high, head.id_low, &at));
        cr_assert_eq(memcmp(buckets_entry(slab, table, &at), model->entry[i], at.bytes), 0);
    }
}

static void model_expire(struct model *model, int64_t horizon_ms)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        struct bucket_head head;
        bucket_head_read(model->entry[i], &head);
        if (seen_ms(head.seen) >= horizon_ms)
            memmove(model->entry[left++], model->entry[i], ENTRY_BYTES_MAX);
    }
    model->count = left;
}

/* Times go forwards, `stay` of them are kept; some ids come again, with another length or the same. */
static void run(const struct bucket_form *form, uint64_t seed, uint32_t steps, int64_t stay, uint32_t id_bits)
{
    char *base = aligned_alloc(SLAB_PAGE, BYTES);
    memset(base, 0, BYTES);
    struct slab slab;
    struct buckets table = {0};
    struct model *model = calloc(1, sizeof *model);
    slab_init(&slab, base, BYTES);
    size_t before = slab_used(&slab);
    uint64_t chance = seed;
    for (uint32_t step = 0; step < steps; step++) {
        unsigned char entry[ENTRY_BYTES_MAX];
        struct bucket_place place;
        uint64_t high = draw(&chance) & (((uint64_t)1 << id_bits) - 1);
        uint32_t low = (uint32_t)high % 3;
        int64_t have = model_find(model, high, low);
        make(entry, form, high, low, 1000000 + (int64_t)step, &chance);
        cr_assert_eq(buckets_find(&slab, &table, form, high, low, &place), have >= 0);
        cr_assert(buckets_put(&slab, &table, form, &place, entry));
        memcpy(model->entry[have >= 0 ? have : model->count++], entry, sizeof entry);
        if (step % 701 == 700) {
            buckets_expire(&slab, &table, form, 1000000 + (int64_t)step - stay);
            model_expire(model, 1000000 + (int64_t)step - stay);
            compare(&slab, &table, form, model);
        }
    }
    compare(&slab, &table, form, model);
    cr_expect_eq(buckets_bytes(&slab, &table), slab_used(&slab) - before, "bytes %zu used, %zu told", slab_used(&slab) - before,
                 (size_t)buckets_bytes(&slab, &table));
    buckets_expire(&slab, &table, form, INT64_MAX / 2);
    cr_expect_eq(table.entries, 0);
    cr_expect_eq(table.entry_bytes, 0);
    cr_expect_eq(table.count, 1);
    slab_fini(&slab);
    free(model);
    free(base);
}

Test(bucket, holds_what_a_list_holds)
{
    for (int form = 0; form < 2; form++) {
        run(&forms[form], 1 + (uint64_t)form, 9000, 3000, 48);
        run(&forms[form], 3 + (uint64_t)form, 9000, 100, 48);
        run(&forms[form], 5 + (uint64_t)form, 9000, 4000, 12);
    }
}

/* What finds no room is not there, and all that was there still is. */
Test(bucket, a_full_slab_refuses)
{
    static char base[4 * SLAB_PAGE] __attribute__((aligned(SLAB_PAGE)));
    struct slab slab;
    struct buckets table = {0};
    uint64_t chance = 9;
    uint32_t put = 0, refused = 0;
    struct model *model = calloc(1, sizeof *model);
    slab_init(&slab, base, sizeof base);
    for (uint32_t step = 0; step < 14000 && refused < 50; step++) {
        unsigned char entry[ENTRY_BYTES_MAX];
        struct bucket_place place;
        uint64_t high = draw(&chance);
        make(entry, &forms[0], high, 7, (int64_t)step, &chance);
        cr_assert_not(buckets_find(&slab, &table, &forms[0], high, 7, &place));
        if (!buckets_put(&slab, &table, &forms[0], &place, entry)) {
            refused++;
            cr_assert_not(buckets_find(&slab, &table, &forms[0], high, 7, &place));
            continue;
        }
        put++;
        if (model->count < MOST)
            memcpy(model->entry[model->count++], entry, sizeof entry);
    }
    cr_assert_eq(refused, 50);
    cr_assert_eq(table.entries, put);
    for (uint32_t i = 0; i < model->count; i++) {
        struct bucket_head head;
        struct bucket_place place;
        bucket_head_read(model->entry[i], &head);
        cr_assert(buckets_find(&slab, &table, &forms[0], head.id_high, head.id_low, &place));
    }
    buckets_expire(&slab, &table, &forms[0], INT64_MAX / 2);
    cr_expect_eq(table.entries, 0, "entries go where nothing can be allocated");
    free(model);
    slab_fini(&slab);
}

/* An entry of 22 bytes takes at most 24 with everything, however many there are, and blocks given back find new use. */
Test(bucket, packs_closely)
{
    char *base = aligned_alloc(SLAB_PAGE, BYTES);
    memset(base, 0, BYTES);
    struct slab slab;
    struct buckets table = {0};
    uint64_t chance = 11;
    slab_init(&slab, base, BYTES);
    size_t before = slab_used(&slab);
    for (uint32_t step = 1; step <= 1000000; step++) {
        unsigned char entry[ENTRY_BYTES_MAX];
        struct bucket_place place;
        uint64_t high = draw(&chance);
        uint32_t low = (uint32_t)draw(&chance);
        make(entry, &forms[0], high, low, (int64_t)step, &chance);
        cr_assert_not(buckets_find(&slab, &table, &forms[0], high, low, &place));
        cr_assert(buckets_put(&slab, &table, &forms[0], &place, entry));
        if (step % 5000 == 0 && step > 400000)
            buckets_expire(&slab, &table, &forms[0], (int64_t)step - 395000);
        if (step % 997 == 0 && step > 2000)
            cr_assert_leq(slab_used(&slab) - before, 24 * (size_t)table.entries, "%zu bytes for %u entries", slab_used(&slab) - before, table.entries);
    }
    cr_expect_leq(slab_resident(&slab), 32 * (size_t)table.entries, "%zu bytes resident for %u entries", slab_resident(&slab), table.entries);
    slab_fini(&slab);
    free(base);
}
