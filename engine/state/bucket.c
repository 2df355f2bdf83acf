/* Linear hashing over packed buckets in a slab. */
#include "engine/state/bucket.h"

#include "engine/base/invariant.h"

#include <string.h>

enum { ROOM_LEAST = 4, MERGE_PARTS = 3, MERGE_OF = 4 }; /* pairs go together below three quarters of BUCKET_BYTES */

static const int64_t SEEN_FIRST_MS = -5364662400000; /* 1800-01-01 */
static const uint64_t SEEN_MAX = ((uint64_t)1 << (64 - SEEN_SHIFT)) - 1;

uint64_t seen_word(int64_t time_ms)
{
    if (time_ms < SEEN_FIRST_MS)
        return 0;
    uint64_t since = (uint64_t)time_ms - (uint64_t)SEEN_FIRST_MS;
    return (since > SEEN_MAX ? SEEN_MAX : since) << SEEN_SHIFT;
}

int64_t seen_ms(uint64_t seen)
{
    return SEEN_FIRST_MS + (int64_t)(seen >> SEEN_SHIFT);
}

/* --- entries --- */

void bucket_head_read(const unsigned char *entry, struct bucket_head *head)
{
    memcpy(&head->id_high, entry, 8);
    memcpy(&head->seen, entry + 8, 8);
    memcpy(&head->id_low, entry + 16, 4);
}

void bucket_head_write(unsigned char *entry, const struct bucket_head *head)
{
    memcpy(entry, &head->id_high, 8);
    memcpy(entry + 8, &head->seen, 8);
    memcpy(entry + 16, &head->id_low, 4);
}

static uint32_t entry_low(const unsigned char *entry)
{
    uint32_t low;
    memcpy(&low, entry + 16, sizeof low);
    return low;
}

static uint32_t entry_bytes(const struct bucket_form *form, const unsigned char *entry)
{
    uint64_t seen;
    if (!form->each_bytes)
        return form->fixed_bytes;
    memcpy(&seen, entry + 8, sizeof seen);
    return form->fixed_bytes + (uint32_t)__builtin_popcount((uint32_t)seen & form->mask) * form->each_bytes;
}

/* --- buckets --- */

static slab_ref bucket_ref(const struct slab *slab, const struct buckets *table, uint32_t bucket)
{
    return ((const slab_ref *)slab_at(slab, table->directory))[bucket];
}

static void bucket_set(struct slab *slab, const struct buckets *table, uint32_t bucket, slab_ref ref)
{
    size_t at = bucket * sizeof ref;
    char *slot = slab_edit(slab, table->directory + (slab_ref)(at / 16), at % 16 + sizeof ref);
    memcpy(slot + at % 16, &ref, sizeof ref);
}

/* Bytes of a block's entries. */
static uint32_t block_used(const struct slab *slab, slab_ref ref)
{
    uint16_t used = 0;
    if (ref)
        memcpy(&used, slab_at(slab, ref), sizeof used);
    return used;
}

static void block_used_set(unsigned char *entries, uint32_t bytes)
{
    uint16_t used = (uint16_t)bytes;
    memcpy(entries - BUCKET_HEAD_BYTES, &used, sizeof used);
}

static const unsigned char *block_entries(const struct slab *slab, slab_ref ref)
{
    return (const unsigned char *)slab_at(slab, ref) + BUCKET_HEAD_BYTES;
}

/* A block for so many bytes of entries, which are to be written next; *ref is 0 when there are none. False when the slab is full. */
static bool block_make(struct slab *slab, uint32_t bytes, slab_ref *ref)
{
    uint16_t used = (uint16_t)bytes;
    *ref = 0;
    if (!bytes)
        return true;
    if (bytes > UINT16_MAX)
        return false;
    *ref = slab_alloc(slab, bucket_block(bytes));
    if (*ref)
        memcpy(slab_edit(slab, *ref, sizeof used), &used, sizeof used);
    return *ref != 0;
}

static void block_free(struct slab *slab, slab_ref ref)
{
    if (ref)
        slab_free(slab, ref, bucket_block(block_used(slab, ref)));
}

static unsigned char *block_edit(struct slab *slab, slab_ref ref)
{
    return (unsigned char *)slab_edit(slab, ref, bucket_block(block_used(slab, ref))) + BUCKET_HEAD_BYTES;
}

static uint32_t low_bits(uint32_t count)
{
    return count <= 1 ? 0 : UINT32_MAX >> __builtin_clz(count - 1);
}

static uint32_t id_address(uint64_t id_high, uint32_t id_low)
{
    return id_low ^ (uint32_t)(((id_high ^ id_high >> 32) * 0x9E3779B97F4A7C15u) >> 32);
}

static uint32_t bucket_of(const struct buckets *table, uint32_t address)
{
    uint32_t mask = low_bits(table->count), bucket = address & mask;
    return bucket < table->count ? bucket : bucket & mask >> 1;
}

static uint32_t entry_address(const unsigned char *entry)
{
    struct bucket_head head;
    bucket_head_read(entry, &head);
    return id_address(head.id_high, head.id_low);
}

/* --- finding --- */

bool buckets_find(const struct slab *slab, const struct buckets *table, const struct bucket_form *form, uint64_t id_high, uint32_t id_low,
                  struct bucket_place *place)
{
    *place = (struct bucket_place){0};
    if (!table->count)
        return false;
    place->bucket = bucket_of(table, id_address(id_high, id_low));
    slab_ref ref = bucket_ref(slab, table, place->bucket);
    if (!ref)
        return false;
    const unsigned char *entries = block_entries(slab, ref), *entry = entries, *end = entries + block_used(slab, ref);
    for (; entry < end; entry += entry_bytes(form, entry)) {
        uint64_t high; /* nearly always another: no need to look at the rest */
        memcpy(&high, entry, sizeof high);
        if (high == id_high && entry_low(entry) == id_low) {
            place->bytes = entry_bytes(form, entry);
            break;
        }
    }
    place->offset = (uint32_t)(entry - entries);
    return place->bytes != 0;
}

void buckets_prefetch_table(const struct slab *slab, const struct buckets *table, uint64_t id_high, uint32_t id_low)
{
    if (table->count)
        __builtin_prefetch((const slab_ref *)slab_at(slab, table->directory) + bucket_of(table, id_address(id_high, id_low)));
}

void buckets_prefetch(const struct slab *slab, const struct buckets *table, uint64_t id_high, uint32_t id_low)
{
    slab_ref ref = table->count ? bucket_ref(slab, table, bucket_of(table, id_address(id_high, id_low))) : 0;
    for (size_t at = 0; ref && at < BUCKET_BYTES; at += 64)
        __builtin_prefetch((const char *)slab_at(slab, ref) + at);
}

void buckets_prefetch_room(const struct slab *slab, const struct buckets *table, uint64_t id_high, uint32_t id_low, uint32_t bytes)
{
    slab_ref ref = table->count ? bucket_ref(slab, table, bucket_of(table, id_address(id_high, id_low))) : 0;
    uint32_t used = block_used(slab, ref);
    if (bucket_block(used + bytes) != bucket_block(used))
        slab_prefetch(slab, bucket_block(used + bytes));
}

const unsigned char *buckets_entry(const struct slab *slab, const struct buckets *table, const struct bucket_place *place)
{
    return block_entries(slab, bucket_ref(slab, table, place->bucket)) + place->offset;
}

const unsigned char *buckets_next(const struct slab *slab, const struct buckets *table, const struct bucket_form *form, struct bucket_place *place)
{
    while (place->bucket < table->count) {
        slab_ref ref = bucket_ref(slab, table, place->bucket);
        uint32_t at = place->offset + place->bytes;
        if (at < block_used(slab, ref)) {
            const unsigned char *entry = block_entries(slab, ref) + at;
            place->offset = at;
            place->bytes = entry_bytes(form, entry);
            return entry;
        }
        *place = (struct bucket_place){.bucket = place->bucket + 1};
    }
    return NULL;
}

/* --- splitting and joining --- */

static bool directory_move(struct slab *slab, struct buckets *table, uint32_t room)
{
    slab_ref fresh = slab_alloc(slab, room * sizeof(slab_ref));
    if (!fresh)
        return false;
    if (table->count)
        memcpy(slab_edit(slab, fresh, room * sizeof(slab_ref)), slab_at(slab, table->directory), table->count * sizeof(slab_ref));
    slab_free(slab, table->directory, table->room * sizeof(slab_ref));
    table->directory = fresh;
    table->room = room;
    return true;
}

/* The next bucket in turn gives those of its entries that belong there to a new last one. Where there is no room, all stays. */
static void bucket_split(struct slab *slab, struct buckets *table, const struct bucket_form *form)
{
    if (table->count == table->room && !directory_move(slab, table, table->room * 2))
        return;
    uint32_t bit = (low_bits(table->count + 1) >> 1) + 1, from = table->count - bit, bytes, part_bytes[2] = {0};
    slab_ref ref = bucket_ref(slab, table, from), part[2];
    uint32_t used = block_used(slab, ref);
    const unsigned char *entries = block_entries(slab, ref);
    for (uint32_t at = 0; at < used; at += bytes) {
        bytes = entry_bytes(form, entries + at);
        part_bytes[(entry_address(entries + at) & bit) != 0] += bytes;
    }
    if (!block_make(slab, part_bytes[0], &part[0]))
        return;
    if (!block_make(slab, part_bytes[1], &part[1])) {
        block_free(slab, part[0]);
        return;
    }
    unsigned char *to[2];
    for (int p = 0; p < 2; p++)
        to[p] = part[p] ? block_edit(slab, part[p]) : NULL;
    for (uint32_t at = 0; at < used; at += bytes) {
        unsigned char **end = &to[(entry_address(entries + at) & bit) != 0];
        bytes = entry_bytes(form, entries + at);
        memcpy(*end, entries + at, bytes);
        *end += bytes;
    }
    block_free(slab, ref);
    bucket_set(slab, table, from, part[0]);
    bucket_set(slab, table, table->count++, part[1]);
}

/* The last bucket goes back into the one it was split from; false where there is no room. */
static bool bucket_merge(struct slab *slab, struct buckets *table)
{
    uint32_t last = table->count - 1, into = last - ((low_bits(table->count) >> 1) + 1);
    slab_ref from = bucket_ref(slab, table, last), to = bucket_ref(slab, table, into), whole;
    uint32_t from_used = block_used(slab, from), to_used = block_used(slab, to);
    if (from_used) {
        if (!block_make(slab, from_used + to_used, &whole))
            return false;
        unsigned char *entries = block_edit(slab, whole);
        if (to_used)
            memcpy(entries, block_entries(slab, to), to_used);
        memcpy(entries + to_used, block_entries(slab, from), from_used);
        block_free(slab, to);
        block_free(slab, from);
        bucket_set(slab, table, into, whole);
    }
    table->count--;
    return true;
}

/* --- putting --- */

bool buckets_put(struct slab *slab, struct buckets *table, const struct bucket_form *form, const struct bucket_place *place, const unsigned char *entry)
{
    if (!table->count) {
        if (!table->room && !directory_move(slab, table, ROOM_LEAST))
            return false;
        bucket_set(slab, table, 0, 0);
        table->count = 1;
    }
    slab_ref ref = bucket_ref(slab, table, place->bucket), fresh = ref;
    uint32_t used = block_used(slab, ref), bytes = entry_bytes(form, entry), after = used - place->bytes + bytes, behind = place->offset + place->bytes;
    invariant(place->offset <= used && behind <= used && bytes <= ENTRY_BYTES_MAX);
    bool stays = ref && bucket_block(after) == bucket_block(used);
    if (!stays && !block_make(slab, after, &fresh))
        return false;
    unsigned char *to = block_edit(slab, fresh);
    if (used) {
        const unsigned char *from = block_entries(slab, ref);
        memmove(to + place->offset + bytes, from + behind, used - behind);
        if (!stays)
            memcpy(to, from, place->offset);
    }
    memcpy(to + place->offset, entry, bytes);
    if (stays) {
        block_used_set(to, after);
    } else {
        block_free(slab, ref);
        bucket_set(slab, table, place->bucket, fresh);
    }
    table->entries += !place->bytes;
    table->entry_bytes += bytes - (uint64_t)place->bytes;
    if (table->entry_bytes > (uint64_t)table->count * BUCKET_BYTES)
        bucket_split(slab, table, form);
    return true;
}

/* --- expiring --- */

/* What is left of a bucket goes into a block that fits it. */
static void bucket_expire(struct slab *slab, struct buckets *table, const struct bucket_form *form, uint32_t bucket, uint64_t horizon)
{
    slab_ref ref = bucket_ref(slab, table, bucket), fresh;
    uint32_t used = block_used(slab, ref), bytes, left = 0, gone = 0;
    const unsigned char *entries = block_entries(slab, ref);
    struct bucket_head head;
    for (uint32_t at = 0; at < used; at += bytes) {
        bucket_head_read(entries + at, &head);
        bytes = entry_bytes(form, entries + at);
        gone += head.seen < horizon;
        left += head.seen < horizon ? 0 : bytes;
    }
    if (!gone || !block_make(slab, left, &fresh))
        return;
    unsigned char *to = fresh ? block_edit(slab, fresh) : NULL;
    for (uint32_t at = 0; at < used; at += bytes) {
        bucket_head_read(entries + at, &head);
        bytes = entry_bytes(form, entries + at);
        if (head.seen < horizon)
            continue;
        memcpy(to, entries + at, bytes);
        to += bytes;
    }
    block_free(slab, ref);
    bucket_set(slab, table, bucket, fresh);
    table->entries -= gone;
    table->entry_bytes -= used - left;
}

void buckets_expire(struct slab *slab, struct buckets *table, const struct bucket_form *form, int64_t horizon_ms)
{
    uint64_t horizon = seen_word(horizon_ms);
    for (uint32_t bucket = 0; bucket < table->count; bucket++)
        bucket_expire(slab, table, form, bucket, horizon);
    while (table->count > 1 && table->entry_bytes < (uint64_t)(table->count - 1) * BUCKET_BYTES / MERGE_OF * MERGE_PARTS)
        if (!bucket_merge(slab, table))
            break;
    uint32_t room = ROOM_LEAST;
    while (room < table->count)
        room *= 2;
    if (table->room > 2 * room)
        (void)directory_move(slab, table, room); /* where there is no room for it, it stays as it is */
}

uint64_t buckets_bytes(const struct slab *slab, const struct buckets *table)
{
    uint64_t bytes = slab_block(table->room * sizeof(slab_ref));
    for (uint32_t bucket = 0; bucket < table->count; bucket++) {
        slab_ref ref = bucket_ref(slab, table, bucket);
        bytes += ref ? slab_block(bucket_block(block_used(slab, ref))) : 0;
    }
    return bytes;
}
