/* Identity: outside text to dense ids, per shard: given out from the lowest free number, taken back when unmarked. */
#include "engine/state/private.h"

#include "engine/base/invariant.h"

#include <stdlib.h>

/* Root ROOT_IDENT: the table by hash, and the directory by ordinal. */
struct ident_root {
    struct table by_hash;
    slab_ref directory;       /* slab_ref by ordinal, 0 where it is free; [0] is none */
    slab_ref marks;           /* a byte by ordinal: the cycle in which it was last marked; 0: free */
    uint32_t room, top;       /* ordinals above top were never given out, or have all come back */
    uint32_t count;           /* taken */
    uint32_t next;            /* no ordinal below is free */
    uint64_t text_bytes;
};

/* What tells two identities apart: the shard (8 bits of the hash), the tag and hash.hi, 104 bits of a keyed hash in all. Among 10^9 identities
 * chance takes any two for one once in 40 trillion such states. So whom an event names is known where the table is read; of the text nothing
 * is needed. */
struct ident_entry {
    uint32_t tag;             /* of hash.lo */
    uint32_t ordinal;
    uint64_t hash_hi;
};

/* Few identities are in a list: their bits stand behind the text. Names are short, so every byte of the head counts: an account of 14
 * letters takes 16 bytes. */
struct ident {
    uint16_t head;            /* size of the text, kind, whether it is listed */
    char text[];
};

enum { SIZE_MAX_HELD = (1 << 12) - 1, KIND_AT = 12, LISTED = 1 << 15 };
_Static_assert(ENTITY_KIND_COUNT <= 8, "a kind fits three bits");
enum { ORDINAL_MAX = (1 << 24) - 2, DIRECTORY_LEAST = 16 };

static const struct ident_root *ident_root(const struct shard *shard)
{
    return shard->idents;
}

static size_t ident_bytes(size_t size, bool listed)
{
    return offsetof(struct ident, text) + size + (listed ? sizeof(uint64_t) : 0);
}

static bool ident_listed(const struct ident *ident)
{
    return (ident->head & LISTED) != 0;
}

static enum entity_kind ident_kind(const struct ident *ident)
{
    return (enum entity_kind)(ident->head >> KIND_AT & 7);
}

static struct slice ident_name(const struct ident *ident)
{
    return (struct slice){ident->text, ident->head & SIZE_MAX_HELD};
}

static uint64_t lists_of(const struct ident *ident)
{
    uint64_t lists = 0;
    if (ident_listed(ident))
        memcpy(&lists, ident->text + ident_name(ident).size, sizeof lists);
    return lists;
}

static size_t ident_whole(const struct ident *ident)
{
    return ident_bytes(ident_name(ident).size, ident_listed(ident));
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
    ((struct ident_root *)slab_edit(&shard->slab, root, sizeof(struct ident_root)))->next = 1;
    slab_root_set(&shard->slab, ROOT_IDENT, root);
    return true;
}

uint32_t ident_count(const struct shard *shard)
{
    return ident_root(shard)->count;
}

/* --- marks --- */

void ident_bind(struct shard *shard)
{
    shard->state->marks[shard->index] = (unsigned char *)(uintptr_t)slab_at(&shard->slab, ident_root(shard)->marks);
}

void ident_mark(const struct state *state, entity_id id)
{
    if (id == ENTITY_MISSING)
        return;
    const unsigned char *mark = state->marks[entity_shard(id)] + (id >> 8);
    /* several workers may mark one id at once, all with the same value */
    if (__atomic_load_n(mark, __ATOMIC_RELAXED) == state->mark)
        return;
    struct shard *shard = (struct shard *)(uintptr_t)&state->shard[entity_shard(id)];
    __atomic_store_n((unsigned char *)shard_edit(shard, mark, 1), state->mark, __ATOMIC_RELAXED);
}

void ident_prefetch_mark(const struct state *state, entity_id id)
{
    __builtin_prefetch(state->marks[entity_shard(id)] + (id >> 8));
}

void state_cycle_set(struct state *state, uint32_t cycle)
{
    /* Marks repeat after 255 cycles, but none is ever older than two: then the identity was freed. */
    state->mark = (unsigned char)(1 + cycle % 255);
    state->mark_before = (unsigned char)(cycle ? 1 + (cycle - 1) % 255 : 0);
}

static bool ident_same(const void *context, const void *entry)
{
    return ((const struct ident_entry *)entry)->hash_hi == *(const uint64_t *)context;
}

/* Moves directory and marks to a room of another size, enough for top. */
static bool directory_move(struct shard *shard, struct ident_root *root, uint32_t room)
{
    struct slab *slab = &shard->slab;
    slab_ref directory = slab_alloc(slab, room * sizeof(slab_ref)), marks = directory ? slab_alloc(slab, room) : 0;
    if (!marks) {
        slab_free(slab, directory, room * sizeof(slab_ref));
        return false;
    }
    if (root->room) {
        memcpy(slab_edit(slab, directory, room * sizeof(slab_ref)), slab_at(slab, root->directory), (root->top + 1) * sizeof(slab_ref));
        memcpy(slab_edit(slab, marks, room), slab_at(slab, root->marks), root->top + 1);
    }
    slab_free(slab, root->directory, root->room * sizeof(slab_ref));
    slab_free(slab, root->marks, root->room);
    root->directory = directory;
    root->marks = marks;
    root->room = room;
    ident_bind(shard);
    return true;
}

/* The lowest free number, with its place in the directory; 0 when there is none. */
static uint32_t ordinal_take(struct shard *shard, struct ident_root *root)
{
    const slab_ref *directory = slab_at(&shard->slab, root->directory);
    while (root->next <= root->top && directory[root->next])
        root->next++;
    if (root->next <= root->top)
        return root->next;
    if (root->top == ORDINAL_MAX) {
        shard_bound_hit(shard, BOUND_ORDINAL);
        return 0;
    }
    if (root->top + 1 >= root->room && !directory_move(shard, root, root->room ? root->room * 2 : DIRECTORY_LEAST)) {
        shard_bound_hit(shard, BOUND_IDENTITY);
        return 0;
    }
    return ++root->top;
}

/* The last number given out, which got no text. */
static void ordinal_return(struct shard *shard, struct ident_root *root, uint32_t ordinal)
{
    root->top -= ordinal == root->top;
    shard_bound_hit(shard, BOUND_IDENTITY);
}

static void lists_write(struct shard *shard, const struct ident *ident, uint64_t lists)
{
    memcpy(shard_edit(shard, ident->text + ident_name(ident).size, sizeof lists), &lists, sizeof lists);
}

/* text: at most SIZE_MAX_HELD bytes, as decoders see to. */
static slab_ref ident_write(struct shard *shard, enum entity_kind kind, struct slice text, uint64_t lists)
{
    size_t size = ident_bytes(text.size, lists != 0);
    invariant(text.size <= SIZE_MAX_HELD);
    slab_ref ref = slab_alloc(&shard->slab, size);
    if (!ref)
        return 0;
    struct ident *ident = slab_edit(&shard->slab, ref, size);
    ident->head = (uint16_t)(text.size | (unsigned)kind << KIND_AT | (lists ? LISTED : 0));
    memcpy(ident->text, text.data, text.size);
    if (lists)
        lists_write(shard, ident, lists);
    shard->idents->text_bytes += size;
    return ref;
}

static void ident_free(struct shard *shard, slab_ref ref)
{
    size_t size = ident_whole(slab_at(&shard->slab, ref));
    shard->idents->text_bytes -= size;
    slab_free(&shard->slab, ref, size);
}

static void directory_set(struct shard *shard, const struct ident_root *root, uint32_t ordinal, slab_ref ref)
{
    const slab_ref *slot = (const slab_ref *)slab_at(&shard->slab, root->directory) + ordinal;
    *(slab_ref *)shard_edit(shard, slot, sizeof *slot) = ref;
}

entity_id ident_find(struct shard *shard, struct hash128 hash)
{
    const struct ident_entry *entry =
        table_find(&shard->slab, &ident_root(shard)->by_hash, sizeof *entry, hash.lo, ident_same, &hash.hi);
    if (!entry)
        return ENTITY_MISSING;
    entity_id id = entry->ordinal << 8 | shard->index;
    ident_mark(shard->state, id);
    return id;
}

entity_id ident_intern(struct shard *shard, enum entity_kind kind, struct slice text, struct hash128 hash,
                       list_lookup_fn lookup, const void *context)
{
    struct slab *slab = &shard->slab;
    entity_id found = ident_find(shard, hash);
    if (found)
        return found;
    if (shard_full(shard)) {
        shard_bound_hit(shard, BOUND_IDENTITY);
        return ENTITY_MISSING;
    }
    struct ident_root *root = shard_edit(shard, shard->idents, sizeof *root);
    uint32_t ordinal = ordinal_take(shard, root);
    if (!ordinal)
        return ENTITY_MISSING;
    slab_ref ref = ident_write(shard, kind, text, lookup ? lookup(context, kind, text) : 0);
    struct ident_entry *entry = ref ? table_add(slab, &root->by_hash, sizeof *entry, hash.lo) : NULL;
    if (!entry) {
        if (ref)
            ident_free(shard, ref);
        ordinal_return(shard, root, ordinal);
        return ENTITY_MISSING;
    }
    entry->ordinal = ordinal;
    entry->hash_hi = hash.hi;
    directory_set(shard, root, ordinal, ref);
    root->count++;
    ident_mark(shard->state, ordinal << 8 | shard->index);
    return ordinal << 8 | shard->index;
}

/* --- hints --- */

void ident_prefetch_table(const struct shard *shard, struct hash128 hash)
{
    const struct table *table = &ident_root(shard)->by_hash;
    if (table->room)
        __builtin_prefetch((const char *)slab_at(&shard->slab, table->entries) +
                           (size_t)table_place(table_tag(hash.lo), table->room) * sizeof(struct ident_entry));
}

void ident_prefetch(const struct shard *shard, struct hash128 hash)
{
    const struct ident_entry *entry = table_guess(&shard->slab, &ident_root(shard)->by_hash, sizeof *entry, hash.lo);
    if (entry)
        __builtin_prefetch(shard->state->marks[shard->index] + entry->ordinal);
}

/* --- taking back --- */

static void ident_remove(struct shard *shard, struct ident_root *root, const struct ident_entry *entry)
{
    uint32_t ordinal = entry->ordinal;
    const unsigned char *mark = (const unsigned char *)slab_at(&shard->slab, root->marks) + ordinal;
    table_remove(&root->by_hash, shard_edit(shard, entry, sizeof *entry));
    ident_free(shard, cell_ref(shard, ident_at(shard, ordinal)));
    directory_set(shard, root, ordinal, 0);
    *(unsigned char *)shard_edit(shard, mark, 1) = 0;
    root->count--;
}

static bool mark_is_new(const struct state *state, unsigned char mark)
{
    return mark == state->mark || mark == state->mark_before;
}

uint64_t ident_reclaim(struct shard *shard)
{
    const struct state *state = shard->state;
    struct ident_root *root = shard_edit(shard, shard->idents, sizeof *root);
    uint32_t before = root->count;
    const unsigned char *marks = slab_at(&shard->slab, root->marks);
    const struct ident_entry *entry = slab_at(&shard->slab, root->by_hash.entries);
    for (uint32_t i = 0; i < root->by_hash.room; i++)
        if (entry[i].tag > TAG_REMOVED && !mark_is_new(state, marks[entry[i].ordinal]))
            ident_remove(shard, root, &entry[i]);
    while (root->top && !marks[root->top])
        root->top--;
    if (before == root->count)
        return 0;
    root->next = 1;
    table_fit(&shard->slab, &root->by_hash, sizeof(struct ident_entry));
    uint32_t room = DIRECTORY_LEAST;
    while (room < 2 * (root->top + 1))
        room *= 2;
    if (root->room > 2 * room)
        (void)directory_move(shard, root, room); /* where there is no room for it, it stays as it is */
    return before - root->count;
}

static const struct ident *ident_of(const struct state *state, entity_id id)
{
    const struct shard *shard = &state->shard[entity_shard(id)];
    uint32_t ordinal = id >> 8;
    invariant(ordinal >= 1 && ordinal <= ident_root(shard)->top);
    const slab_ref *directory = slab_at(&shard->slab, ident_root(shard)->directory);
    invariant(directory[ordinal] != 0); /* an id outlived its identity: better no word than a wrong name */
    return slab_at(&shard->slab, directory[ordinal]);
}

struct slice ident_text(const struct state *state, entity_id id)
{
    if (id == ENTITY_MISSING)
        return (struct slice){"", 0};
    return ident_name(ident_of(state, id));
}

entity_id *ident_bring(struct shard *shard, const struct shard *other)
{
    const struct ident_root *root = ident_root(other);
    const struct ident_entry *entry = slab_at(&other->slab, root->by_hash.entries);
    entity_id *own = calloc(root->top + 1u, sizeof *own);
    invariant(own != NULL);
    for (uint32_t i = 0; i < root->by_hash.room; i++) {
        if (entry[i].tag <= TAG_REMOVED)
            continue;
        const struct ident *ident = ident_at(other, entry[i].ordinal);
        const struct hash128 hash = {(uint64_t)entry[i].tag << 32 | other->index, entry[i].hash_hi};
        own[entry[i].ordinal] = ident_intern(shard, ident_kind(ident), ident_name(ident), hash, NULL, NULL);
    }
    return own;
}

uint64_t ident_lists(const struct state *state, entity_id id)
{
    return id == ENTITY_MISSING ? 0 : lists_of(ident_of(state, id));
}

/* An identity comes into its first list, or out of its last: it is written anew. */
static void ident_renew(struct shard *shard, struct ident_root *root, uint32_t ordinal, uint64_t lists)
{
    const struct ident *ident = ident_at(shard, ordinal);
    slab_ref ref = ident_write(shard, ident_kind(ident), ident_name(ident), lists);
    if (!ref) {
        shard_bound_hit(shard, BOUND_IDENTITY);
        return;
    }
    ident_free(shard, cell_ref(shard, ident));
    directory_set(shard, root, ordinal, ref);
}

void ident_relist(struct shard *shard, list_lookup_fn lookup, const void *context)
{
    struct ident_root *root = shard_edit(shard, shard->idents, sizeof *root);
    const slab_ref *directory = slab_at(&shard->slab, root->directory);
    for (uint32_t ordinal = 1; ordinal <= root->top; ordinal++) {
        if (!directory[ordinal])
            continue;
        const struct ident *ident = ident_at(shard, ordinal);
        uint64_t lists = lookup(context, ident_kind(ident), ident_name(ident));
        if (ident_listed(ident) != (lists != 0))
            ident_renew(shard, root, ordinal, lists);
        else if (lists != lists_of(ident))
            lists_write(shard, ident, lists);
    }
}

void ident_stats(const struct shard *shard, struct state_stats *stats)
{
    const struct ident_root *root = ident_root(shard);
    stats->identities += root->count;
    stats->identity_bytes += root->text_bytes + (uint64_t)root->room * (sizeof(slab_ref) + 1) +
                             (uint64_t)root->by_hash.room * sizeof(struct ident_entry);
}
