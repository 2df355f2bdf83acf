/* Repeats of (source, id), and second reports of one payment, each in buckets of its own per shard.
 *
 * What tells two ids (or references) apart: the shard (8 bits of the hash) and 96 further bits, so among 10^9 remembered
 * ids chance takes two for one once in 10^22 events. Of a body 36 bits are kept: of the events that reuse an id with another
 * body, one in 7 * 10^10 counts as a repeat instead of a conflict, and neither is scored. Of each end that a report names 48 bits
 * are kept. All are bits of keyed hashes, so nobody can aim at them. */
#include "engine/state/bucket.h"
#include "engine/state/hash.h"
#include "engine/state/private.h"

enum { BODY_BITS = 36, WORD_BYTES = 6, REPEAT_BYTES = ENTRY_HEAD_BYTES + 2 };
_Static_assert(BODY_BITS == SEEN_SHIFT + 16, "a body's bits fill what lies below the time, and two bytes behind the head");
_Static_assert((int)REF_COUNT <= SEEN_SHIFT && ENTRY_HEAD_BYTES + (int)REF_COUNT * WORD_BYTES <= ENTRY_BYTES_MAX, "which ends are named lies below the time");

static const uint64_t SEEN_BITS = ((uint64_t)1 << SEEN_SHIFT) - 1, BODY_MASK = ((uint64_t)1 << BODY_BITS) - 1, WORD_MASK = ((uint64_t)1 << 8 * WORD_BYTES) - 1;

static const struct bucket_form repeat_form = {.fixed_bytes = REPEAT_BYTES};
/* Behind the head one word for each end that was named, in their order; which those are stands below the time. */
static const struct bucket_form report_form = {.fixed_bytes = ENTRY_HEAD_BYTES, .each_bytes = WORD_BYTES, .mask = ((uint32_t)1 << REF_COUNT) - 1};

bool dedup_init(struct shard *shard, struct error *err)
{
    slab_ref repeats = slab_alloc(&shard->slab, sizeof(struct buckets));
    slab_ref joins = slab_alloc(&shard->slab, sizeof(struct buckets));
    if (!repeats || !joins)
        return error_set(err, ERROR_FATAL, "shard_mb_max is too small to begin with");
    slab_root_set(&shard->slab, ROOT_DEDUP, repeats);
    slab_root_set(&shard->slab, ROOT_JOIN, joins);
    return true;
}

/* Whether what was seen then still counts. */
static bool still_seen(uint64_t seen, int64_t horizon_ms)
{
    return seen >= seen_word(horizon_ms);
}

/* --- repeats --- */

static uint64_t repeat_body(const unsigned char *entry, const struct bucket_head *head)
{
    uint16_t high;
    memcpy(&high, entry + ENTRY_HEAD_BYTES, sizeof high);
    return (head->seen & SEEN_BITS) | (uint64_t)high << SEEN_SHIFT;
}

void dedup_prefetch_table(const struct shard *shard, struct hash128 id_hash)
{
    buckets_prefetch_table(&shard->slab, shard->repeats, id_hash.hi, (uint32_t)(id_hash.lo >> 32));
}

void dedup_prefetch(const struct shard *shard, struct hash128 id_hash)
{
    buckets_prefetch(&shard->slab, shard->repeats, id_hash.hi, (uint32_t)(id_hash.lo >> 32));
}

void dedup_prefetch_room(const struct shard *shard, struct hash128 id_hash)
{
    buckets_prefetch_room(&shard->slab, shard->repeats, id_hash.hi, (uint32_t)(id_hash.lo >> 32), REPEAT_BYTES);
}

/* What is new goes in at place; false when the shard is full. A forgotten entry makes way for the new one even then. */
static bool entry_put(struct shard *shard, struct buckets *table, const struct bucket_form *form, const struct bucket_place *place, const unsigned char *entry)
{
    return (place->bytes || !shard_full(shard)) && buckets_put(&shard->slab, shard_edit(shard, table, sizeof *table), form, place, entry);
}

enum dedup_verdict dedup_check(struct shard *shard, struct hash128 id_hash, uint64_t body_hash, int64_t time_ms,
                               int64_t horizon_ms)
{
    struct bucket_place place;
    struct bucket_head head;
    uint64_t body = body_hash & BODY_MASK;
    uint16_t body_high = (uint16_t)(body >> SEEN_SHIFT);
    if (buckets_find(&shard->slab, shard->repeats, &repeat_form, id_hash.hi, (uint32_t)(id_hash.lo >> 32), &place)) {
        const unsigned char *found = buckets_entry(&shard->slab, shard->repeats, &place);
        bucket_head_read(found, &head);
        if (still_seen(head.seen, horizon_ms))
            return repeat_body(found, &head) == body ? DEDUP_REPEAT : DEDUP_CONFLICT;
    }
    unsigned char entry[REPEAT_BYTES];
    head = (struct bucket_head){.id_high = id_hash.hi, .id_low = (uint32_t)(id_hash.lo >> 32), .seen = seen_word(time_ms) | (body & SEEN_BITS)};
    bucket_head_write(entry, &head);
    memcpy(entry + ENTRY_HEAD_BYTES, &body_high, sizeof body_high);
    if (!entry_put(shard, shard->repeats, &repeat_form, &place, entry))
        shard_bound_hit(shard, BOUND_REPEAT);
    return DEDUP_NEW;
}

/* --- second reports --- */

struct report {
    struct bucket_head head; /* named ends below the time */
    uint64_t word[REF_COUNT]; /* of what was named, 0: not named */
};

static void report_read(const unsigned char *entry, struct report *report)
{
    *report = (struct report){0};
    bucket_head_read(entry, &report->head);
    entry += ENTRY_HEAD_BYTES;
    for (uint32_t left = (uint32_t)report->head.seen & report_form.mask; left; left &= left - 1, entry += WORD_BYTES)
        memcpy(&report->word[__builtin_ctz(left)], entry, WORD_BYTES);
}

static void report_write(unsigned char entry[ENTRY_BYTES_MAX], struct report *report)
{
    report->head.seen &= ~SEEN_BITS;
    for (int r = 0; r < REF_COUNT; r++)
        report->head.seen |= (uint64_t)(report->word[r] != 0) << r;
    bucket_head_write(entry, &report->head);
    entry += ENTRY_HEAD_BYTES;
    for (int r = 0; r < REF_COUNT; r++) {
        if (!report->word[r])
            continue;
        memcpy(entry, &report->word[r], WORD_BYTES);
        entry += WORD_BYTES;
    }
}

static uint64_t join_word(struct hash128 hash)
{
    return hash.lo | hash.hi ? (hash.hi & WORD_MASK) | 1 : 0;
}

static void report_put(struct shard *shard, const struct bucket_place *place, struct report *report)
{
    unsigned char entry[ENTRY_BYTES_MAX];
    report_write(entry, report);
    if (!entry_put(shard, shard->joins, &report_form, place, entry))
        shard_bound_hit(shard, BOUND_JOIN);
}

bool join_check(struct shard *shard, struct hash128 join_hash, const struct hash128 ref_hash[REF_COUNT], int64_t time_ms,
                int64_t horizon_ms, uint32_t *same)
{
    struct bucket_place place;
    struct report report;
    bool found = buckets_find(&shard->slab, shard->joins, &report_form, join_hash.hi, (uint32_t)(join_hash.lo >> 32), &place), more = false;
    *same = 0;
    if (found)
        report_read(buckets_entry(&shard->slab, shard->joins, &place), &report);
    if (!found || !still_seen(report.head.seen, horizon_ms)) {
        report = (struct report){.head = {.id_high = join_hash.hi, .id_low = (uint32_t)(join_hash.lo >> 32), .seen = seen_word(time_ms)}};
        for (int r = 0; r < REF_COUNT; r++)
            report.word[r] = join_word(ref_hash[r]);
        report_put(shard, &place, &report);
        return false;
    }
    struct report both = report;
    for (int r = 0; r < REF_COUNT; r++) {
        uint64_t word = join_word(ref_hash[r]);
        if (word && report.word[r] == word)
            *same |= 1u << r;
        if (word && report.word[r ^ 1] == word) /* sender and receiver stand beside each other */
            *same |= 1u << (REF_COUNT + r);
        if (word && !report.word[r]) {
            both.word[r] = word;
            more = true;
        }
    }
    if (more)
        report_put(shard, &place, &both);
    return true;
}

/* --- all of them --- */

void dedup_sweep(struct shard *shard, int64_t horizon_ms)
{
    buckets_expire(&shard->slab, shard_edit(shard, shard->repeats, sizeof *shard->repeats), &repeat_form, horizon_ms);
    buckets_expire(&shard->slab, shard_edit(shard, shard->joins, sizeof *shard->joins), &report_form, horizon_ms);
}

size_t repeat_bytes(void)
{
    return REPEAT_BYTES;
}

double report_bytes(double ends)
{
    return ENTRY_HEAD_BYTES + ends * WORD_BYTES;
}

void dedup_stats(const struct shard *shard, struct state_stats *stats)
{
    stats->dedup_entries += shard->repeats->entries;
    stats->dedup_bytes += buckets_bytes(&shard->slab, shard->repeats);
    stats->report_entries += shard->joins->entries;
    stats->report_bytes += buckets_bytes(&shard->slab, shard->joins);
}

uint64_t repeats_count(const struct shard *shard)
{
    return (uint64_t)shard->repeats->entries + shard->joins->entries;
}

/* Ids, bodies and ends are keyed hashes here: when they were seen, and which ends were named, is what two
 * engines with different keys have in common. */
void dedup_hash(const struct shard *shard, int64_t horizon_ms, struct hash_item *item, struct state_sum *sum)
{
    const unsigned char *entry;
    struct bucket_head head;
    for (struct bucket_place at = {0}; (entry = buckets_next(&shard->slab, shard->repeats, &repeat_form, &at));) {
        bucket_head_read(entry, &head);
        if (!still_seen(head.seen, horizon_ms))
            continue;
        hash_item_text(item, SLICE("repeat"));
        hash_item_number(item, seen_ms(head.seen));
        hash_item_add(item, sum);
    }
    for (struct bucket_place at = {0}; (entry = buckets_next(&shard->slab, shard->joins, &report_form, &at));) {
        bucket_head_read(entry, &head);
        if (!still_seen(head.seen, horizon_ms))
            continue;
        hash_item_text(item, SLICE("report"));
        hash_item_number(item, seen_ms(head.seen));
        hash_item_number(item, (int64_t)(head.seen & report_form.mask));
        hash_item_add(item, sum);
    }
}
