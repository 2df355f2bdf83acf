/* Identity: outside text to dense ids, per shard, in the order in which texts are first met. */
#include "engine/state/private.h"

#include "engine/base/invariant.h"

/* Root ROOT_IDENT: the table by hash, and the directory by ordinal. */
struct ident_root {
    struct table by_hash;
    slab_ref directory;       /* slab_ref by ordinal; [0] is none */
    uint32_t room, count;     /* ordinals 1..count are taken */
    uint64_t text_bytes;
};

struct ident_entry {
    uint32_t tag, home;
    uint32_t ordinal;
};

struct ident {
    struct hash128 hash;
    uint64_t lists;
    uint32_t size;
    uint8_t kind;
    char text[];
};

enum { ORDINAL_MAX = (1 << 24) - 1 };

static const struct ident_root *ident_root(const struct shard *shard)
{
    return shard->idents;
}

static const struct ident *ident_at(const struct shard *shard, uint32_t ordinal)
{
    const slab_ref *directory = slab_at(&shard->slab, ident_root(shard)->directory);
    return slab_at(&shard->slab, directory[ordinal]);
}

bool ident_init(struct shard *shard, struct error *err)
{
    slab_ref root = slab_alloc(&shard->slab, sizeof(struct ident_root));
    if (!root)
        return error_set(err, ERROR_FATAL, "shard_mb_max is too small to begin with");
    slab_root_set(&shard->slab, ROOT_IDENT, root);
    return true;
}

struct ident_want {
    const struct shard *shard;
    struct hash128 hash;
};

static bool ident_same(const void *context, const void *entry)
{
    const struct ident_want *want = context;
    const struct ident *ident = ident_at(want->shard, ((const struct ident_entry *)entry)->ordinal);
    return ident->hash.lo == want->hash.lo && ident->hash.hi == want->hash.hi;
}

static bool directory_grow(struct shard *shard, struct ident_root *root)
{
    uint32_t room = root->room ? root->room * 2 : 16;
    slab_ref fresh = slab_alloc(&shard->slab, room * sizeof(slab_ref));
    if (!fresh)
        return false;
    if (root->room)
        memcpy(slab_edit(&shard->slab, fresh, room * sizeof(slab_ref)), slab_at(&shard->slab, root->directory),
               root->room * sizeof(slab_ref));
    slab_free(&shard->slab, root->directory, root->room * sizeof(slab_ref));
    root->directory = fresh;
    root->room = room;
    return true;
}

static slab_ref ident_write(struct shard *shard, enum entity_kind kind, struct slice text, struct hash128 hash, uint64_t lists)
{
    slab_ref ref = slab_alloc(&shard->slab, sizeof(struct ident) + text.size);
    if (!ref)
        return 0;
    struct ident *ident = slab_edit(&shard->slab, ref, sizeof *ident + text.size);
    ident->hash = hash;
    ident->lists = lists;
    ident->size = (uint32_t)text.size;
    ident->kind = (uint8_t)kind;
    memcpy(ident->text, text.data, text.size);
    return ref;
}

entity_id ident_intern(struct shard *shard, enum entity_kind kind, struct slice text, struct hash128 hash,
                       list_lookup_fn lookup, const void *context)
{
    struct slab *slab = &shard->slab;
    struct ident_want want = {shard, hash};
    const struct ident_entry *found =
        table_find(slab, &ident_root(shard)->by_hash, sizeof *found, hash.hi, ident_same, &want);
    if (found)
        return found->ordinal << 8 | shard->index;
    struct ident_root *root = shard_edit(shard, shard->idents, sizeof *root);
    if (root->count + 1 >= ORDINAL_MAX || (root->count + 1 >= root->room && !directory_grow(shard, root)))
        return ENTITY_MISSING;
    slab_ref ref = ident_write(shard, kind, text, hash, lookup ? lookup(context, kind, text) : 0);
    struct ident_entry *entry = ref ? table_add(slab, &root->by_hash, sizeof *entry, hash.hi) : NULL;
    if (!entry) {
        slab_free(slab, ref, sizeof(struct ident) + text.size);
        return ENTITY_MISSING;
    }
    uint32_t ordinal = ++root->count;
    entry->ordinal = ordinal;
    const slab_ref *slot = (const slab_ref *)slab_at(slab, root->directory) + ordinal;
    *(slab_ref *)shard_edit(shard, slot, sizeof *slot) = ref;
    root->text_bytes += sizeof(struct ident) + text.size;
    return ordinal << 8 | shard->index;
}

static const struct ident *ident_of(const struct state *state, entity_id id)
{
    const struct shard *shard = &state->shard[entity_shard(id)];
    uint32_t ordinal = id >> 8;
    invariant(ordinal >= 1 && ordinal <= ident_root(shard)->count);
    return ident_at(shard, ordinal);
}

struct slice ident_text(const struct state *state, entity_id id)
{
    if (id == ENTITY_MISSING)
        return (struct slice){"", 0};
    const struct ident *ident = ident_of(state, id);
    return (struct slice){ident->text, ident->size};
}

uint64_t ident_lists(const struct state *state, entity_id id)
{
    return id == ENTITY_MISSING ? 0 : ident_of(state, id)->lists;
}

void ident_relist(struct shard *shard, list_lookup_fn lookup, const void *context)
{
    uint32_t count = ident_root(shard)->count;
    for (uint32_t ordinal = 1; ordinal <= count; ordinal++) {
        const struct ident *ident = ident_at(shard, ordinal);
        uint64_t lists = lookup(context, (enum entity_kind)ident->kind, (struct slice){ident->text, ident->size});
        if (lists != ident->lists)
            ((struct ident *)shard_edit(shard, ident, sizeof *ident))->lists = lists;
    }
}

void ident_stats(const struct shard *shard, struct state_stats *stats)
{
    const struct ident_root *root = ident_root(shard);
    stats->identities += root->count;
    stats->identity_bytes += root->text_bytes + (uint64_t)root->room * sizeof(slab_ref) +
                             (uint64_t)root->by_hash.room * sizeof(struct ident_entry);
}
