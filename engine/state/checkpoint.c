/* Checkpoint files: a head, the layout, one section per shard, all checksummed; written aside. */
#include "engine/state/checkpoint.h"

#include "engine/base/disk.h"
#include "engine/base/invariant.h"
#include "engine/state/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum {
    SUM_BYTES = 32,
    EXTRA_MAX = 1 << 20,
    LAYOUT_MAX = 1 << 22,
    PATH_MAX_BYTES = 4096,
    FILES_MAX = 1024,
    /* 1: identities without marks; 2: a layout that others could not be mapped from; 3: free blocks of one length by list,
     * repeats in tables; 4: clocks inside of cells; 5: states of aggregates inside of windows; 6: cells of one length for keys of any
     * width, a block for every memory, two hashes in a table's entries, rings apart from their windows; 10: words that do not say how far
     * the log reached */
    FORMAT = 11,
};

static const char file_magic[8] = {'M', 'U', 'S', 'T', 'C', 'K', 'P', '1'};

/* Begins the file; `sum` is over all before it, then extra, then layout. */
struct file_head {
    char magic[8];
    uint32_t format;
    uint32_t extra_size;
    uint32_t layout_size;
    uint32_t shard_count;
    uint64_t block, seq;
    unsigned char program_hash[32];
    unsigned char hash_key[16];
    unsigned char sum[SUM_BYTES];
};

/* Begins a shard's section: pages follow, zstd, as one frame. */
struct section_head {
    uint32_t shard, pages;
    uint64_t packed_size;
    unsigned char sum[SUM_BYTES]; /* over shard, pages, packed_size and the packed bytes */
};

struct checkpoint_writer {
    struct state *state;
    struct checkpoint_head head;
    struct slice layout;
    struct arena arena;
    char dir[PATH_MAX_BYTES];
    bool written, published;
};

/* --- writing --- */

struct checkpoint_writer *checkpoint_begin(struct state *state, const struct state_layout *layout,
                                           const struct checkpoint_head *head, struct error *err)
{
    struct checkpoint_writer *writer = calloc(1, sizeof *writer);
    (void)err;
    invariant(writer != NULL && head->extra_size <= EXTRA_MAX);
    arena_init(&writer->arena);
    writer->state = state;
    writer->head = *head;
    memcpy(writer->head.hash_key, state_hash_key(state), sizeof writer->head.hash_key);
    struct slice extra = arena_copy(&writer->arena, (struct slice){head->extra, head->extra_size});
    writer->head.extra = extra.data;
    writer->layout = layout_write(&writer->arena, layout);
    invariant(writer->layout.size <= LAYOUT_MAX);
    for (uint32_t i = 0; i < SHARD_COUNT; i++)
        slab_snapshot_begin(&state->shard[i].slab);
    return writer;
}

static void section_sum(const struct section_head *head, const void *packed, unsigned char sum[SUM_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, SUM_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)head, offsetof(struct section_head, sum));
    crypto_generichash_update(&state, packed, head->packed_size);
    crypto_generichash_final(&state, sum, SUM_BYTES);
}

static void head_sum(const struct file_head *head, const void *extra, const void *layout, unsigned char sum[SUM_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, SUM_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)head, offsetof(struct file_head, sum));
    crypto_generichash_update(&state, extra, head->extra_size);
    crypto_generichash_update(&state, layout, head->layout_size);
    crypto_generichash_final(&state, sum, SUM_BYTES);
}

static bool write_head(const struct checkpoint_writer *writer, int fd)
{
    struct file_head head = {.format = FORMAT,
                             .extra_size = (uint32_t)writer->head.extra_size,
                             .layout_size = (uint32_t)writer->layout.size,
                             .shard_count = SHARD_COUNT,
                             .block = writer->head.block,
                             .seq = writer->head.seq};
    memcpy(head.magic, file_magic, sizeof head.magic);
    memcpy(head.program_hash, writer->head.program_hash, sizeof head.program_hash);
    memcpy(head.hash_key, writer->head.hash_key, sizeof head.hash_key);
    head_sum(&head, writer->head.extra, writer->layout.data, head.sum);
    return disk_write(FAIL_CHECKPOINT_WRITE, fd, &head, sizeof head) && disk_write(FAIL_CHECKPOINT_WRITE, fd, writer->head.extra, writer->head.extra_size) &&
           disk_write(FAIL_CHECKPOINT_WRITE, fd, writer->layout.data, writer->layout.size);
}

static bool write_section(const struct checkpoint_writer *writer, int fd, uint32_t shard, ZSTD_CCtx *zstd)
{
    struct slab *slab = &writer->state->shard[shard].slab;
    struct section_head head = {.shard = shard, .pages = slab_snapshot_pages(slab)};
    size_t raw_size = (size_t)head.pages * SLAB_PAGE, bound = ZSTD_compressBound(raw_size);
    char *raw = malloc(raw_size), *packed = malloc(bound);
    invariant(raw && packed);
    for (uint32_t page = 0; page < head.pages; page++)
        slab_snapshot_page(slab, page, raw + (size_t)page * SLAB_PAGE);
    head.packed_size = ZSTD_compressCCtx(zstd, packed, bound, raw, raw_size, 1);
    invariant(!ZSTD_isError(head.packed_size));
    section_sum(&head, packed, head.sum);
    bool good = disk_write(FAIL_CHECKPOINT_WRITE, fd, &head, sizeof head) && disk_write(FAIL_CHECKPOINT_WRITE, fd, packed, head.packed_size);
    free(packed);
    free(raw);
    return good;
}

static bool file_path(char path[PATH_MAX_BYTES], const char *dir, uint64_t block, const char *end, struct error *err)
{
    int size = snprintf(path, PATH_MAX_BYTES, "%s/checkpoint-%020llu%s", dir, (unsigned long long)block, end);
    return (size > 0 && size < PATH_MAX_BYTES) || error_set(err, ERROR_FATAL, "state_dir's path is too long");
}

bool checkpoint_write(struct checkpoint_writer *writer, const char *dir, struct error *err)
{
    char path[PATH_MAX_BYTES];
    if (snprintf(writer->dir, sizeof writer->dir, "%s", dir) >= (int)sizeof writer->dir ||
        !file_path(path, dir, writer->head.block, ".tmp", err))
        return error_set(err, ERROR_FATAL, "state_dir's path is too long");
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return error_errno(err, ERROR_RETRY, "cannot make state_dir %s", dir);
    int fd = disk_open(FAIL_CHECKPOINT_OPEN, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return error_errno(err, ERROR_RETRY, "cannot write a checkpoint in %s", dir);
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    invariant(zstd != NULL);
    bool good = write_head(writer, fd);
    for (uint32_t i = 0; good && i < SHARD_COUNT; i++)
        good = write_section(writer, fd, i, zstd);
    good = good && disk_sync(FAIL_CHECKPOINT_SYNC, fd);
    if (!good)
        error_errno(err, ERROR_RETRY, "cannot write a checkpoint in %s", dir);
    ZSTD_freeCCtx(zstd);
    (void)close(fd);
    writer->written = good;
    if (!good)
        (void)unlink(path);
    return good;
}

/* --- the folder --- */

static int block_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y); /* newest first */
}

/* What writers that were killed left behind: every file without a generation to give it up. */
static void folder_sweep(const char *dir)
{
    DIR *folder = opendir(dir);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        unsigned long long block;
        int used = 0;
        if (sscanf(entry->d_name, "checkpoint-%20llu.tmp%n", &block, &used) == 1 && used && entry->d_name[used] == '\0')
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
    (void)closedir(folder);
}

/* Blocks of the checkpoints in a folder, newest first. */
static int folder_blocks(const char *dir, uint64_t blocks[FILES_MAX])
{
    DIR *folder = opendir(dir);
    int count = 0;
    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder)) && count < FILES_MAX;) {
        unsigned long long block;
        int used = 0;
        if (sscanf(entry->d_name, "checkpoint-%20llu%n", &block, &used) == 1 && entry->d_name[used] == '\0')
            blocks[count++] = block;
    }
    (void)closedir(folder);
    qsort(blocks, (size_t)count, sizeof *blocks, block_compare);
    return count;
}

bool checkpoint_publish(struct checkpoint_writer *writer, struct error *err)
{
    char from[PATH_MAX_BYTES], to[PATH_MAX_BYTES];
    uint64_t blocks[FILES_MAX];
    invariant(writer->written);
    if (!file_path(from, writer->dir, writer->head.block, ".tmp", err) || !file_path(to, writer->dir, writer->head.block, "", err))
        return false;
    bool good = disk_rename(FAIL_CHECKPOINT_RENAME, from, to) && disk_sync_folder(FAIL_CHECKPOINT_FOLDER, writer->dir);
    if (!good)
        error_errno(err, ERROR_RETRY, "cannot publish the checkpoint in %s", writer->dir);
    writer->published = good;
    int count = good ? folder_blocks(writer->dir, blocks) : 0;
    for (int i = CHECKPOINT_KEEP; i < count; i++)
        if (file_path(to, writer->dir, blocks[i], "", err))
            (void)disk_remove(FAIL_CHECKPOINT_REMOVE, to); /* tried again by the next one */
    return good;
}

void checkpoint_end(struct checkpoint_writer *writer)
{
    char path[PATH_MAX_BYTES];
    struct error err;
    if (!writer)
        return;
    for (uint32_t i = 0; i < SHARD_COUNT; i++)
        slab_snapshot_end(&writer->state->shard[i].slab);
    if (writer->written && !writer->published && file_path(path, writer->dir, writer->head.block, ".tmp", &err))
        (void)unlink(path);
    arena_fini(&writer->arena);
    free(writer);
}

/* --- loading --- */

struct loading {
    int fd;
    uint64_t size, at;
    struct file_head head;
    char *extra, *layout;
};

static bool take(struct loading *l, void *out, size_t size, const char *what, struct error *err)
{
    if (l->size - l->at < size)
        return error_set(err, ERROR_FATAL, "the file ends inside %s", what);
    if (!disk_read(FAIL_CHECKPOINT_READ, l->fd, out, size))
        return error_errno(err, ERROR_FATAL, "%s cannot be read", what);
    l->at += size;
    return true;
}

static bool load_head(struct loading *l, struct error *err)
{
    unsigned char sum[SUM_BYTES];
    if (!take(l, &l->head, sizeof l->head, "the head", err))
        return false;
    if (memcmp(l->head.magic, file_magic, sizeof file_magic) != 0)
        return error_set(err, ERROR_FATAL, "the file does not begin like a checkpoint");
    if (l->head.format != FORMAT)
        return error_set(err, ERROR_FATAL, "the checkpoint has format %u, this engine reads %u", l->head.format, (unsigned)FORMAT);
    if (l->head.shard_count != SHARD_COUNT || l->head.extra_size > EXTRA_MAX || l->head.layout_size > LAYOUT_MAX)
        return error_set(err, ERROR_FATAL, "the head's sizes are out of bounds");
    l->extra = malloc(l->head.extra_size + 1u);
    l->layout = malloc(l->head.layout_size + 1u);
    invariant(l->extra && l->layout);
    if (!take(l, l->extra, l->head.extra_size, "the partition times", err) || !take(l, l->layout, l->head.layout_size, "the layout", err))
        return false;
    head_sum(&l->head, l->extra, l->layout, sum);
    return memcmp(sum, l->head.sum, SUM_BYTES) == 0 || error_set(err, ERROR_FATAL, "the head's checksum does not fit");
}

static bool load_pages(struct slab *slab, uint32_t pages, const char *packed, size_t packed_size, uint32_t shard, struct error *err)
{
    size_t raw_size = (size_t)pages * SLAB_PAGE;
    char *raw = malloc(raw_size + 1);
    invariant(raw != NULL);
    size_t got = ZSTD_decompress(raw, raw_size, packed, packed_size);
    bool good = (!ZSTD_isError(got) && got == raw_size) || error_set(err, ERROR_FATAL, "section %u does not unpack", shard);
    for (uint32_t page = 0; good && page < pages; page++)
        good = slab_restore_page(slab, page, raw + (size_t)page * SLAB_PAGE, err);
    free(raw);
    return good && slab_restore_finish(slab, err);
}

static bool load_section(struct loading *l, struct state *state, uint32_t shard, struct error *err)
{
    struct section_head head;
    unsigned char sum[SUM_BYTES];
    char what[32];
    (void)snprintf(what, sizeof what, "section %u", shard);
    if (!take(l, &head, sizeof head, what, err))
        return false;
    if (head.shard != shard || head.packed_size > l->size - l->at || head.pages > (1u << 20))
        return error_set(err, ERROR_FATAL, "section %u's sizes are out of bounds", shard);
    char *packed = malloc(head.packed_size + 1);
    invariant(packed != NULL);
    bool good = take(l, packed, head.packed_size, what, err);
    if (good) {
        section_sum(&head, packed, sum);
        good = memcmp(sum, head.sum, SUM_BYTES) == 0 || error_set(err, ERROR_FATAL, "section %u's checksum does not fit", shard);
    }
    good = good && load_pages(&state->shard[shard].slab, head.pages, packed, head.packed_size, shard, err);
    free(packed);
    if (good)
        shard_bind(&state->shard[shard]);
    return good;
}

/* Loads under the layout that the file was made with, then takes over what the wanted one knows. */
static bool load_state(struct loading *l, const struct state_layout *want, struct state **state, struct state_mapping *mapping, struct error *err)
{
    struct arena arena;
    struct state_layout layout;
    *state = NULL;
    arena_init(&arena);
    bool good = layout_read((struct slice){l->layout, l->head.layout_size}, &arena, &layout, err);
    if (good && layout.basis != want->basis)
        good = error_set(err, ERROR_FATAL, "it was made with another base currency or timezone; state is rebuilt from the log");
    layout.lateness_ms = want->lateness_ms;
    layout.shard_bytes_max = want->shard_bytes_max;
    *state = good ? state_new(&layout, l->head.hash_key, err) : NULL;
    good = *state != NULL;
    for (uint32_t i = 0; good && i < SHARD_COUNT; i++)
        good = load_section(l, *state, i, err);
    if (good && l->at != l->size)
        good = error_set(err, ERROR_FATAL, "%llu bytes follow the last section", (unsigned long long)(l->size - l->at));
    good = good && state_map(*state, want, mapping, err);
    arena_fini(&arena);
    if (!good && *state) {
        state_free(*state);
        *state = NULL;
    }
    return good;
}

bool checkpoint_load_file(const char *path, const struct state_layout *layout, struct state **state, struct checkpoint_head *head,
                          struct error *err)
{
    struct loading l = {0};
    struct stat info;
    l.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (l.fd < 0 || fstat(l.fd, &info) != 0) {
        error_errno(err, ERROR_FATAL, "it cannot be opened");
        if (l.fd >= 0)
            (void)close(l.fd);
        return false;
    }
    l.size = (uint64_t)info.st_size;
    struct state_mapping mapping = {0};
    bool good = load_head(&l, err) && load_state(&l, layout, state, &mapping, err);
    (void)close(l.fd);
    free(l.layout);
    if (!good) {
        free(l.extra);
        return false;
    }
    *head = (struct checkpoint_head){.block = l.head.block, .seq = l.head.seq, .extra = l.extra, .extra_size = l.head.extra_size, .mapping = mapping};
    memcpy(head->program_hash, l.head.program_hash, sizeof head->program_hash);
    memcpy(head->hash_key, l.head.hash_key, sizeof head->hash_key);
    return true;
}

bool checkpoint_load(const char *dir, uint64_t block_max, const struct state_layout *layout, struct state **state,
                     struct checkpoint_head *head, checkpoint_refused_fn refused, void *context, struct error *err)
{
    uint64_t blocks[FILES_MAX];
    char path[PATH_MAX_BYTES];
    folder_sweep(dir);
    int count = folder_blocks(dir, blocks);
    for (int i = 0; i < count; i++) {
        if (blocks[i] > block_max)
            continue; /* ahead of PostgreSQL: it was restored from an older copy */
        if (!file_path(path, dir, blocks[i], "", err))
            return false;
        bool loaded = checkpoint_load_file(path, layout, state, head, err);
        if (!loaded)
            refused(context, strrchr(path, '/') + 1, err->text);
        *err = (struct error){0}; /* a refused file is reported, it is no failure of the engine */
        if (loaded)
            return true;
    }
    return false;
}

static bool peek_file(const char *path, unsigned char program_hash[32], struct error *err)
{
    struct loading l = {0};
    struct stat info;
    l.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (l.fd < 0)
        return error_errno(err, ERROR_FATAL, "it cannot be opened");
    l.size = fstat(l.fd, &info) == 0 ? (uint64_t)info.st_size : 0;
    bool good = load_head(&l, err);
    (void)close(l.fd);
    if (good)
        memcpy(program_hash, l.head.program_hash, sizeof l.head.program_hash);
    free(l.layout);
    free(l.extra);
    return good;
}

bool checkpoint_peek(const char *dir, uint64_t *block_max, unsigned char program_hash[32], checkpoint_refused_fn refused, void *context)
{
    uint64_t blocks[FILES_MAX];
    char path[PATH_MAX_BYTES];
    int count = folder_blocks(dir, blocks);
    for (int i = 0; i < count; i++) {
        struct error why = {0};
        if (blocks[i] > *block_max || !file_path(path, dir, blocks[i], "", &why))
            continue;
        if (peek_file(path, program_hash, &why)) {
            *block_max = blocks[i];
            return true;
        }
        refused(context, strrchr(path, '/') + 1, why.text);
    }
    *block_max = 0;
    return false;
}
