/* Calendar windows: one bucket per day that has records, so that a window of months costs a bucket
 * per active day and not a record per event (RULES 5). Late records go into their own day. */
#include "engine/state/hash.h"
#include "engine/state/window_private.h"


struct bucket {
    int32_t day;
    uint32_t known;   /* records (count), records with a known column, or ids whose last day this is */
    uint64_t low;     /* sum's low half, or the value */
    int64_t high;     /* sum's high half, or the time of the value (first, last) */
    uint64_t seq;     /* of the value (first, last) */
};

enum { BEFORE_DAYS = 32, DAY_BITS = 18, OLDER_MAX = 511 };

/* An id with the days it came on, as far as a rule may look whose clock is behind the newest day: by the longest
 * lateness there is, 30 days. All of the 32 days before its last, and the last of those before them. */
struct id_entry {
    uint32_t tag, pad;
    uint64_t id;
    uint32_t last;   /* its last day, and above that the days from it back to the newest before those in `before`; 0: none */
    uint32_t before; /* bit b: it came b + 1 days before its last, too */
};

static const struct bucket *bucket_at(const struct shard *shard, const struct days *days, uint32_t index)
{
    return (const struct bucket *)slab_at(&shard->slab, days->bucket) + index;
}

/* First index whose day is not before `day`. */
static uint32_t bucket_from(const struct shard *shard, const struct days *days, int32_t day)
{
    uint32_t from = days->count;
    while (from > 0 && bucket_at(shard, days, from - 1)->day >= day)
        from--; /* from the end: nearly always the last */
    return from;
}

static bool days_reserve(struct shard *shard, struct days *days)
{
    if (days->count < days->room)
        return true;
    uint32_t room = days->room ? days->room * 2 : 2;
    slab_ref fresh = slab_alloc(&shard->slab, room * sizeof(struct bucket));
    if (!fresh)
        return false;
    if (days->count)
        memcpy(slab_edit(&shard->slab, fresh, room * sizeof(struct bucket)), bucket_at(shard, days, 0), days->count * sizeof(struct bucket));
    slab_free(&shard->slab, days->bucket, days->room * sizeof(struct bucket));
    days->bucket = fresh;
    days->room = room;
    return true;
}

/* The day's bucket, to be changed; NULL when the shard is full. */
static struct bucket *bucket_get(struct shard *shard, struct days *days, int32_t day)
{
    uint32_t index = bucket_from(shard, days, day);
    if (index == days->count || bucket_at(shard, days, index)->day != day) {
        if (!days_reserve(shard, days))
            return NULL;
        struct bucket *all = slab_edit(&shard->slab, days->bucket, days->room * sizeof *all);
        memmove(all + index + 1, all + index, (days->count - index) * sizeof *all);
        all[index] = (struct bucket){.day = day};
        days->count++;
    }
    return shard_edit(shard, bucket_at(shard, days, index), sizeof(struct bucket));
}

/* --- ids and their last day --- */

static uint64_t id_hash(uint64_t id)
{
    id = (id ^ (id >> 31)) * 0x9E3779B97F4A7C15u;
    return id ^ (id >> 29);
}

static bool id_same(const void *context, const void *entry)
{
    return ((const struct id_entry *)entry)->id == *(const uint64_t *)context;
}

static int32_t id_day(const struct id_entry *entry)
{
    return (int32_t)(entry->last << (32 - DAY_BITS)) >> (32 - DAY_BITS);
}

static uint32_t id_older(const struct id_entry *entry)
{
    return entry->last >> DAY_BITS & OLDER_MAX;
}

static void id_last_set(struct id_entry *entry, int32_t day, uint32_t older)
{
    entry->last = ((uint32_t)day & ((1u << DAY_BITS) - 1)) | (older <= OLDER_MAX ? older << DAY_BITS : 0);
}

/* The id came again, days later. */
static void id_advance(struct id_entry *entry, int32_t day)
{
    uint32_t by = (uint32_t)(day - id_day(entry)), older = by;
    uint64_t came = 0;
    if (by <= BEFORE_DAYS) {
        came = ((uint64_t)entry->before << 1 | 1) << (by - 1);
        older = id_older(entry) ? id_older(entry) + by : 0;
        if (came >> BEFORE_DAYS)
            older = BEFORE_DAYS + 1 + (uint32_t)__builtin_ctzll(came >> BEFORE_DAYS);
    }
    id_last_set(entry, day, older);
    entry->before = (uint32_t)came;
}

/* The id came late, days before its last. */
static void id_late(struct id_entry *entry, int32_t day)
{
    uint32_t back = (uint32_t)(id_day(entry) - day);
    if (back == 0 || back > OLDER_MAX)
        return;
    if (back <= BEFORE_DAYS)
        entry->before |= 1u << (back - 1);
    else if (id_older(entry) == 0 || back < id_older(entry))
        id_last_set(entry, id_day(entry), back);
}

/* The last day up to this one on which the id came; INT32_MIN where there is none. */
static int32_t id_until(const struct id_entry *entry, int32_t day)
{
    if (id_day(entry) <= day)
        return id_day(entry);
    uint32_t back = (uint32_t)(id_day(entry) - day);
    uint32_t left = back <= BEFORE_DAYS ? entry->before >> (back - 1) : 0;
    if (left)
        return day - __builtin_ctz(left);
    return id_older(entry) >= back ? id_day(entry) - (int32_t)id_older(entry) : INT32_MIN;
}

/* Counts the id on this day. */
static bool id_note(struct shard *shard, struct days *days, uint64_t id, int32_t day)
{
    const struct id_entry *found = table_find(&shard->slab, &days->ids, sizeof *found, id_hash(id), id_same, &id);
    if (found && id_day(found) >= day) {
        id_late(shard_edit(shard, found, sizeof *found), day);
        return true;
    }
    struct bucket *bucket = bucket_get(shard, days, day);
    if (!bucket)
        return false;
    if (found) {
        struct bucket *before = bucket_get(shard, days, id_day(found));
        if (before)
            before->known--;
        id_advance(shard_edit(shard, found, sizeof *found), day);
    } else {
        struct id_entry *entry = table_add(&shard->slab, &days->ids, sizeof *entry, id_hash(id));
        if (!entry)
            return false;
        entry->id = id;
        id_last_set(entry, day, 0);
        entry->before = 0;
    }
    bucket->known++;
    return true;
}

static void ids_forget(struct shard *shard, struct days *days, int32_t before)
{
    const struct id_entry *entry = slab_at(&shard->slab, days->ids.entries);
    for (uint32_t i = 0; i < days->ids.room; i++)
        if (entry[i].tag > TAG_REMOVED && id_day(&entry[i]) < before)
            table_remove(&days->ids, shard_edit(shard, &entry[i], sizeof entry[i]));
}

/* Days that no window reaches any more go. */
static void days_evict(struct shard *shard, struct days *days, int32_t before)
{
    uint32_t gone = 0;
    while (gone < days->count && bucket_at(shard, days, gone)->day < before)
        gone++;
    if (!gone)
        return;
    struct bucket *all = slab_edit(&shard->slab, days->bucket, days->room * sizeof *all);
    memmove(all, all + gone, (days->count - gone) * sizeof *all);
    days->count -= gone;
    if (days->ids.room)
        ids_forget(shard, days, before);
}

/* --- adding --- */

static void bucket_sum(struct bucket *bucket, int64_t value)
{
    __int128 sum = ((__int128)bucket->high << 64 | bucket->low) + value;
    bucket->low = (uint64_t)sum;
    bucket->high = (int64_t)(sum >> 64);
}

static bool comes_before(const struct kept *kept, const struct bucket *bucket)
{
    uint64_t seq = kept->seq & SEQ_BITS;
    return kept->time_ms < bucket->high || (kept->time_ms == bucket->high && seq < bucket->seq);
}

static void bucket_add(struct bucket *bucket, uint8_t fn, const struct kept *kept, int64_t value)
{
    bool better = bucket->known == 0;
    switch ((enum window_fn)fn) {
    case WINDOW_COUNT:
    case WINDOW_DISTINCT:
        break;
    case WINDOW_SUM:
    case WINDOW_AVG:
        bucket_sum(bucket, value);
        break;
    case WINDOW_MIN:
    case WINDOW_MAX:
        better |= fn == WINDOW_MIN ? value < (int64_t)bucket->low : value > (int64_t)bucket->low;
        bucket->low = better ? (uint64_t)value : bucket->low;
        break;
    case WINDOW_FIRST:
    case WINDOW_LAST:
        better |= comes_before(kept, bucket) == (fn == WINDOW_FIRST);
        if (better) {
            bucket->low = (uint64_t)value;
            bucket->high = kept->time_ms;
            bucket->seq = kept->seq & SEQ_BITS;
        }
        break;
    }
    bucket->known++;
}

bool days_add(const struct at *at, struct days *days, const struct aggregate_layout *aggregate, const struct kept *kept, int32_t day)
{
    struct shard *shard = at->shard;
    int64_t value = aggregate->fn == WINDOW_COUNT ? 0 : kept_number(kept, aggregate->column);
    int32_t newest = days->count ? bucket_at(shard, days, days->count - 1)->day : day;
    if (day > newest)
        days_evict(shard, days, day - aggregate->days_kept);
    if (value == MISSING_I64 || day < newest - aggregate->days_kept)
        return true;
    if (aggregate->fn == WINDOW_DISTINCT)
        return id_note(shard, days, (uint64_t)value, day);
    struct bucket *bucket = bucket_get(shard, days, day);
    if (!bucket)
        return false;
    bucket_add(bucket, aggregate->fn, kept, value);
    return true;
}

/* --- reading --- */

static void bucket_merge(struct bucket *all, const struct bucket *next, uint8_t fn)
{
    bool first = all->known == 0;
    switch ((enum window_fn)fn) {
    case WINDOW_COUNT:
    case WINDOW_DISTINCT:
        break;
    case WINDOW_SUM:
    case WINDOW_AVG: {
        __int128 sum = ((__int128)all->high << 64 | all->low) + ((__int128)next->high << 64 | next->low);
        all->low = (uint64_t)sum;
        all->high = (int64_t)(sum >> 64);
        break;
    }
    case WINDOW_MIN:
        if (first || (int64_t)next->low < (int64_t)all->low)
            all->low = next->low;
        break;
    case WINDOW_MAX:
        if (first || (int64_t)next->low > (int64_t)all->low)
            all->low = next->low;
        break;
    case WINDOW_FIRST:
        all->low = first ? next->low : all->low;
        break;
    case WINDOW_LAST:
        all->low = next->low; /* days come in order */
        break;
    }
    all->known += next->known;
}

/* By definition: buckets know an id on its last day only, which may be behind what is asked. */
static struct window_result scan_ids(const struct at *at, const struct days *days, const struct window_span *span)
{
    const struct id_entry *entry = slab_at(&at->shard->slab, days->ids.entries);
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < days->ids.room; i++)
        distinct += entry[i].tag > TAG_REMOVED && id_until(&entry[i], span->ceiling_day) > span->floor_day;
    return (struct window_result){distinct, true};
}

struct window_result days_value(const struct at *at, const struct days *days, const struct aggregate_layout *aggregate,
                                const struct window_span *span)
{
    struct bucket all = {0};
    if (aggregate->fn == WINDOW_DISTINCT && days->count && bucket_at(at->shard, days, days->count - 1)->day > span->ceiling_day)
        return scan_ids(at, days, span);
    for (uint32_t i = bucket_from(at->shard, days, span->floor_day + 1); i < days->count; i++) {
        const struct bucket *bucket = bucket_at(at->shard, days, i);
        if (bucket->day > span->ceiling_day)
            break;
        if (bucket->known)
            bucket_merge(&all, bucket, aggregate->fn);
    }
    switch ((enum window_fn)aggregate->fn) {
    case WINDOW_COUNT:
    case WINDOW_DISTINCT:
        return (struct window_result){all.known, true};
    case WINDOW_SUM:
        return (struct window_result){(__int128)all.high << 64 | all.low, true};
    case WINDOW_AVG:
        return mean_half_even((__int128)all.high << 64 | all.low, all.known);
    default:
        return (struct window_result){(int64_t)all.low, all.known != 0};
    }
}

void days_free(struct shard *shard, const struct days *days)
{
    slab_free(&shard->slab, days->bucket, days->room * sizeof(struct bucket));
    slab_free(&shard->slab, days->ids.entries, (size_t)days->ids.room * sizeof(struct id_entry));
}

bool days_copy(struct shard *shard, const struct days *from, struct days *to)
{
    struct slab *slab = &shard->slab;
    size_t buckets = from->room * sizeof(struct bucket), ids = (size_t)from->ids.room * sizeof(struct id_entry);
    *to = *from;
    to->bucket = buckets ? slab_alloc(slab, buckets) : 0;
    to->ids.entries = ids ? slab_alloc(slab, ids) : 0;
    if ((buckets && !to->bucket) || (ids && !to->ids.entries)) {
        slab_free(slab, to->bucket, buckets);
        slab_free(slab, to->ids.entries, ids);
        *to = (struct days){0};
        return false;
    }
    if (buckets)
        memcpy(slab_edit(slab, to->bucket, buckets), slab_at(slab, from->bucket), buckets);
    if (ids)
        memcpy(slab_edit(slab, to->ids.entries, ids), slab_at(slab, from->ids.entries), ids);
    return true;
}

bool days_graft(struct shard *shard, const struct shard *other, const struct days *from, bool ids, uint8_t fn, struct days *to,
                const struct grafting *grafting)
{
    *to = (struct days){0};
    for (uint32_t i = 0; i < from->count; i++) {
        const struct bucket *bucket = bucket_at(other, from, i);
        struct bucket *fresh = bucket_get(shard, to, bucket->day);
        if (!fresh)
            return false;
        *fresh = *bucket;
        if (grafting && (fn == WINDOW_FIRST || fn == WINDOW_LAST) && bucket->known)
            fresh->low = (uint64_t)graft_number(grafting, (int64_t)bucket->low, ids);
    }
    const struct id_entry *entry = slab_at(&other->slab, from->ids.entries);
    for (uint32_t i = 0; i < from->ids.room; i++) {
        if (entry[i].tag <= TAG_REMOVED)
            continue;
        uint64_t id = grafting ? (uint64_t)graft_number(grafting, (int64_t)entry[i].id, ids) : entry[i].id;
        struct id_entry *fresh = table_add(&shard->slab, &to->ids, sizeof *fresh, id_hash(id));
        if (!fresh)
            return false;
        fresh->id = id;
        fresh->last = entry[i].last;
        fresh->before = entry[i].before;
    }
    return true;
}

size_t bucket_bytes(void)
{
    return sizeof(struct bucket);
}

size_t days_id_bytes(void)
{
    return sizeof(struct id_entry);
}

size_t days_bytes(const struct days *days)
{
    return slab_block(days->room * sizeof(struct bucket)) + slab_block((size_t)days->ids.room * sizeof(struct id_entry));
}

/* --- sweeping --- */

void days_trim(struct shard *shard, struct days *days)
{
    table_fit(&shard->slab, &days->ids, sizeof(struct id_entry));
    if (!room_too_large(days->room, days->count))
        return;
    uint32_t room = room_fitting(days->count);
    slab_ref fresh = slab_alloc(&shard->slab, room * sizeof(struct bucket));
    if (!fresh)
        return;
    if (days->count)
        memcpy(slab_edit(&shard->slab, fresh, room * sizeof(struct bucket)), bucket_at(shard, days, 0), days->count * sizeof(struct bucket));
    slab_free(&shard->slab, days->bucket, days->room * sizeof(struct bucket));
    days->bucket = fresh;
    days->room = room;
}

void days_mark(const struct shard *shard, const struct days *days, uint8_t fn)
{
    const struct id_entry *entry = slab_at(&shard->slab, days->ids.entries);
    for (uint32_t i = 0; i < days->ids.room; i++)
        if (entry[i].tag > TAG_REMOVED)
            ident_mark(shard->state, (entity_id)entry[i].id);
    for (uint32_t i = 0; i < days->count && (fn == WINDOW_FIRST || fn == WINDOW_LAST); i++)
        if (bucket_at(shard, days, i)->known)
            ident_mark(shard->state, (entity_id)bucket_at(shard, days, i)->low);
}

/* --- the state hash --- */

static void bucket_hash(const struct shard *shard, const struct bucket *bucket, uint8_t fn, bool ids, struct hash_item *item)
{
    bool moment = fn == WINDOW_FIRST || fn == WINDOW_LAST;
    hash_item_number(item, bucket->day);
    hash_item_number(item, bucket->known);
    hash_value(item, shard->state, (int64_t)bucket->low, ids && moment);
    hash_item_number(item, bucket->high);
    hash_item_number(item, (int64_t)bucket->seq);
}

/* The days before its last on which an id came, as far as a window reaches. */
static void id_hash_before(const struct id_entry *entry, int32_t floor_day, struct hash_item *item)
{
    int64_t reach = (int64_t)id_day(entry) - 1 - floor_day;
    uint32_t seen = reach >= BEFORE_DAYS ? UINT32_MAX : ((uint32_t)1 << reach) - 1;
    hash_item_number(item, entry->before & seen);
    hash_item_number(item, id_older(entry) <= reach ? id_older(entry) : 0);
}

/* Each id with its days, added up: the table's order is nobody's business. */
static void ids_hash(const struct shard *shard, const struct days *days, bool ids, int32_t floor_day, struct state_sum *sum)
{
    struct hash_item one = {0};
    const struct id_entry *entry = slab_at(&shard->slab, days->ids.entries);
    for (uint32_t i = 0; i < days->ids.room; i++) {
        if (entry[i].tag <= TAG_REMOVED || id_day(&entry[i]) <= floor_day)
            continue;
        hash_value(&one, shard->state, (int64_t)entry[i].id, ids);
        hash_item_number(&one, id_day(&entry[i]));
        id_hash_before(&entry[i], floor_day, &one);
        hash_item_add(&one, sum);
    }
    hash_item_fini(&one);
}

void days_hash(const struct shard *shard, const struct days *days, const struct aggregate_layout *aggregate, bool ids, int32_t floor_day,
               struct hash_item *item)
{
    struct state_sum sum = {0};
    uint32_t from = floor_day == INT32_MIN ? 0 : bucket_from(shard, days, floor_day + 1);
    for (uint32_t i = from; i < days->count; i++) {
        if (!bucket_at(shard, days, i)->known)
            continue; /* all its ids came again later */
        hash_item_text(item, SLICE("day"));
        hash_item_number(item, (int64_t)aggregate->hash);
        bucket_hash(shard, bucket_at(shard, days, i), aggregate->fn, ids, item);
    }
    if (aggregate->fn != WINDOW_DISTINCT || from == days->count)
        return;
    ids_hash(shard, days, ids, floor_day, &sum);
    for (int w = 0; w < 4; w++)
        hash_item_number(item, (int64_t)sum.word[w]);
}
