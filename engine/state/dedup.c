/* Repeats of (source, id), and second reports of one payment, each in a table of its own per shard. */
#include "engine/state/hash.h"
#include "engine/state/private.h"

/* 32 bytes: the shard (8 bits), the table's place and tag and 64 further bits tell two ids apart. */
struct dedup_entry {
    uint32_t tag, home;
    uint64_t id, body;
    int64_t time_ms;
};

struct join_entry {
    uint32_t tag, home;
    uint64_t id;
    int64_t time_ms;
    uint64_t ref[REF_COUNT]; /* hash of what was named, 0: not named */
};

bool dedup_init(struct shard *shard, struct error *err)
{
    slab_ref repeats = slab_alloc(&shard->slab, sizeof(struct table));
    slab_ref joins = slab_alloc(&shard->slab, sizeof(struct table));
    if (!repeats || !joins)
        return error_set(err, ERROR_FATAL, "shard_mb_max is too small to begin with");
    slab_root_set(&shard->slab, ROOT_DEDUP, repeats);
    slab_root_set(&shard->slab, ROOT_JOIN, joins);
    return true;
}

static const struct table *root_table(const struct shard *shard, int root)
{
    return root == ROOT_DEDUP ? shard->repeats : shard->joins;
}

static struct table *root_edit(struct shard *shard, int root)
{
    return shard_edit(shard, root_table(shard, root), sizeof(struct table));
}

static bool dedup_same(const void *context, const void *entry)
{
    return ((const struct dedup_entry *)entry)->id == *(const uint64_t *)context;
}

enum dedup_verdict dedup_check(struct shard *shard, struct hash128 id_hash, struct hash128 body_hash, int64_t time_ms,
                               int64_t horizon_ms)
{
    const struct dedup_entry *found = table_find(&shard->slab, root_table(shard, ROOT_DEDUP), sizeof *found, id_hash.lo,
                                                 dedup_same, &id_hash.hi);
    if (found && found->time_ms >= horizon_ms)
        return found->body == body_hash.lo ? DEDUP_REPEAT : DEDUP_CONFLICT;
    struct dedup_entry *entry = found               ? shard_edit(shard, found, sizeof *found)
                                : shard_full(shard) ? NULL
                                                    : table_add(&shard->slab, root_edit(shard, ROOT_DEDUP), sizeof *entry, id_hash.lo);
    if (!entry) {
        shard_bound_hit(shard, BOUND_REPEAT);
        return DEDUP_NEW;
    }
    entry->id = id_hash.hi;
    entry->body = body_hash.lo;
    entry->time_ms = time_ms;
    return DEDUP_NEW;
}

static bool join_same(const void *context, const void *entry)
{
    return ((const struct join_entry *)entry)->id == *(const uint64_t *)context;
}

static uint64_t join_word(struct hash128 hash)
{
    return hash.lo | hash.hi ? hash.hi | 1 : 0;
}

static void join_first(struct shard *shard, const struct join_entry *found, struct hash128 join_hash,
                       const struct hash128 ref_hash[REF_COUNT], int64_t time_ms)
{
    struct join_entry *entry = found               ? shard_edit(shard, found, sizeof *found)
                               : shard_full(shard) ? NULL
                                                   : table_add(&shard->slab, root_edit(shard, ROOT_JOIN), sizeof *entry, join_hash.lo);
    if (!entry) {
        shard_bound_hit(shard, BOUND_JOIN);
        return;
    }
    entry->id = join_hash.hi;
    entry->time_ms = time_ms;
    for (int r = 0; r < REF_COUNT; r++)
        entry->ref[r] = join_word(ref_hash[r]);
}

bool join_check(struct shard *shard, struct hash128 join_hash, const struct hash128 ref_hash[REF_COUNT], int64_t time_ms,
                int64_t horizon_ms, uint32_t *same)
{
    const struct join_entry *found =
        table_find(&shard->slab, root_table(shard, ROOT_JOIN), sizeof *found, join_hash.lo, join_same, &join_hash.hi);
    *same = 0;
    if (!found || found->time_ms < horizon_ms) {
        join_first(shard, found, join_hash, ref_hash, time_ms);
        return false;
    }
    for (int r = 0; r < REF_COUNT; r++) {
        uint64_t word = join_word(ref_hash[r]);
        if (word && found->ref[r] == word)
            *same |= 1u << r;
        if (word && found->ref[r ^ 1] == word) /* sender and receiver stand beside each other */
            *same |= 1u << (REF_COUNT + r);
    }
    for (int r = 0; r < REF_COUNT; r++) {
        uint64_t word = join_word(ref_hash[r]);
        if (word && !found->ref[r])
            ((struct join_entry *)shard_edit(shard, found, sizeof *found))->ref[r] = word;
    }
    return true;
}

static void table_expire(struct shard *shard, int root, size_t entry_size, size_t time_at, int64_t horizon_ms)
{
    const struct table *table = root_table(shard, root);
    const char *entries = slab_at(&shard->slab, table->entries);
    for (uint32_t i = 0; i < table->room; i++) {
        const char *entry = entries + (size_t)i * entry_size;
        uint32_t tag;
        int64_t time_ms;
        memcpy(&tag, entry, sizeof tag);
        memcpy(&time_ms, entry + time_at, sizeof time_ms);
        if (tag > TAG_REMOVED && time_ms < horizon_ms)
            table_remove(root_edit(shard, root), shard_edit(shard, entry, entry_size));
    }
    table_fit(&shard->slab, root_edit(shard, root), entry_size);
}

void dedup_sweep(struct shard *shard, int64_t horizon_ms)
{
    table_expire(shard, ROOT_DEDUP, sizeof(struct dedup_entry), offsetof(struct dedup_entry, time_ms), horizon_ms);
    table_expire(shard, ROOT_JOIN, sizeof(struct join_entry), offsetof(struct join_entry, time_ms), horizon_ms);
}

void dedup_stats(const struct shard *shard, struct state_stats *stats)
{
    const struct table *repeats = root_table(shard, ROOT_DEDUP), *joins = root_table(shard, ROOT_JOIN);
    stats->dedup_entries += repeats->count;
    stats->dedup_bytes += (uint64_t)repeats->room * sizeof(struct dedup_entry) + (uint64_t)joins->room * sizeof(struct join_entry);
}

uint64_t repeats_count(const struct shard *shard)
{
    return (uint64_t)root_table(shard, ROOT_DEDUP)->count + root_table(shard, ROOT_JOIN)->count;
}

/* Ids, bodies and ends are keyed hashes here: when they were seen, and which ends were named, is what two
 * engines with different keys have in common. */
void dedup_hash(const struct shard *shard, int64_t horizon_ms, struct hash_item *item, struct state_sum *sum)
{
    const struct table *repeats = root_table(shard, ROOT_DEDUP), *joins = root_table(shard, ROOT_JOIN);
    const struct dedup_entry *repeat = slab_at(&shard->slab, repeats->entries);
    const struct join_entry *join = slab_at(&shard->slab, joins->entries);
    for (uint32_t i = 0; i < repeats->room; i++) {
        if (repeat[i].tag <= TAG_REMOVED || repeat[i].time_ms < horizon_ms)
            continue;
        hash_item_text(item, SLICE("repeat"));
        hash_item_number(item, repeat[i].time_ms);
        hash_item_add(item, sum);
    }
    for (uint32_t i = 0; i < joins->room; i++) {
        int64_t named = 0;
        if (join[i].tag <= TAG_REMOVED || join[i].time_ms < horizon_ms)
            continue;
        for (int r = 0; r < REF_COUNT; r++)
            named |= (int64_t)(join[i].ref[r] != 0) << r;
        hash_item_text(item, SLICE("report"));
        hash_item_number(item, join[i].time_ms);
        hash_item_number(item, named);
        hash_item_add(item, sum);
    }
}
