/* Memory first, then the notes, then the disk, then the registry; each step fills those before it. */
#include "connectors/avro/store.h"

#include "engine/base/invariant.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STORE_PATH_MAX = 4096, NOTE_LINE_MAX = 64 };

/* As they stand in refused.ids, and what a bank is told. */
static const struct {
    const char *word;
    enum reject_reason reason;
    const char *says;
} words[REGISTRY_WORD_COUNT] = {
    [REGISTRY_UNKNOWN] = {"unknown", REJECT_SCHEMA_UNKNOWN, ""},
    [REGISTRY_TOO_LARGE] = {"too-large", REJECT_SCHEMA_REFUSED, ": it is longer than 262144 bytes"},
    [REGISTRY_NOT_AVRO] = {"not-avro", REJECT_SCHEMA_REFUSED, ": it is not Avro"},
    [REGISTRY_REFERS] = {"has-references", REJECT_SCHEMA_REFUSED, ": it refers to other entries of the registry; register it as one schema"},
};

struct held {
    uint64_t used; /* the turn of its last use; 0: nothing is held */
    uint32_t id;
    struct arena arena;
    const struct schema_node *schema;
    enum reject_reason reason;
    struct slice wrong;
};

struct note {
    uint32_t id;
    enum registry_word word;
};

struct schema_store {
    struct registry *registry;
    char parent[STORE_PATH_MAX], dir[STORE_PATH_MAX]; /* empty: memory only */
    struct held held[STORE_SCHEMAS];
    uint64_t turn;
    struct note *note;                                /* rising ids */
    uint32_t note_count, note_room;
    long notes_read;                                  /* bytes of refused.ids that are in `note` */
    bool torn;                                        /* its last line has no end: a crash cut it off */
    struct arena scratch;                             /* texts, while they are read */
};

/* --- files --- */

static void file_path(const struct schema_store *store, const char *name, char path[STORE_PATH_MAX + NOTE_LINE_MAX])
{
    snprintf(path, STORE_PATH_MAX + NOTE_LINE_MAX, "%s/%s", store->dir, name);
}

static bool make_folder(const char *path, struct error *err)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST || error_errno(err, ERROR_RETRY, "the folder %s for schemas", path);
}

static bool sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

static bool make_folders(const struct schema_store *store, struct error *err)
{
    struct stat seen;
    if (stat(store->dir, &seen) == 0)
        return true;
    return make_folder(store->parent, err) && make_folder(store->dir, err) &&
           (sync_folder(store->parent) || error_errno(err, ERROR_RETRY, "the folder %s", store->parent));
}

static bool write_whole(int fd, struct slice text)
{
    while (text.size) {
        ssize_t size = write(fd, text.data, text.size);
        if (size < 0 && errno != EINTR)
            return false;
        size = size < 0 ? 0 : size;
        text = (struct slice){text.data + size, text.size - (size_t)size};
    }
    return fsync(fd) == 0;
}

/* Written beside and renamed: a copy is whole or not there. */
static bool keep_text(const struct schema_store *store, uint32_t id, struct slice text, struct error *err)
{
    char name[NOTE_LINE_MAX], path[STORE_PATH_MAX + NOTE_LINE_MAX], beside[STORE_PATH_MAX + NOTE_LINE_MAX];
    if (!*store->dir)
        return true;
    if (!make_folders(store, err))
        return false;
    snprintf(name, sizeof name, "%u.avsc", id);
    file_path(store, name, path);
    snprintf(name, sizeof name, "%u.avsc.new", id);
    file_path(store, name, beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write_whole(fd, text);
    if (fd >= 0)
        close(fd);
    good = good && rename(beside, path) == 0 && sync_folder(store->dir);
    return good || error_errno(err, ERROR_RETRY, "a copy of schema %u cannot be kept as %s", id, path);
}

/* *found false when there is no copy. */
static bool read_copy(const struct schema_store *store, uint32_t id, struct arena *arena, struct slice *text, bool *found, struct error *err)
{
    char name[NOTE_LINE_MAX], path[STORE_PATH_MAX + NOTE_LINE_MAX];
    *found = false;
    if (!*store->dir)
        return true;
    snprintf(name, sizeof name, "%u.avsc", id);
    file_path(store, name, path);
    FILE *file = fopen(path, "rb");
    if (!file)
        return errno == ENOENT || error_errno(err, ERROR_RETRY, "%s", path);
    char *data = arena_bytes(arena, SCHEMA_BYTES_MAX + 1);
    size_t size = fread(data, 1, SCHEMA_BYTES_MAX + 1, file);
    *found = !ferror(file);
    (void)fclose(file);
    *text = (struct slice){data, size};
    return *found || error_set(err, ERROR_RETRY, "%s cannot be read", path);
}

/* --- notes --- */

static uint32_t note_place(const struct schema_store *store, uint32_t id)
{
    uint32_t low = 0, high = store->note_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (store->note[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void note_put(struct schema_store *store, uint32_t id, enum registry_word word)
{
    uint32_t at = note_place(store, id);
    if ((at < store->note_count && store->note[at].id == id) || store->note_count == STORE_NOTES_MAX)
        return;
    if (store->note_count == store->note_room) {
        store->note_room = store->note_room ? store->note_room * 2 : 64;
        store->note = realloc(store->note, store->note_room * sizeof *store->note);
        invariant(store->note);
    }
    memmove(&store->note[at + 1], &store->note[at], (store->note_count - at) * sizeof *store->note);
    store->note[at] = (struct note){id, word};
    store->note_count++;
}

/* "7 unknown"; a line that is none, or was cut off by a crash before anybody acted on it, says nothing. */
static void note_line(struct schema_store *store, const char *line)
{
    char *end;
    unsigned long id = strtoul(line, &end, 10);
    if (end == line || *end != ' ' || id > UINT32_MAX)
        return;
    for (int w = 0; w < REGISTRY_WORD_COUNT; w++)
        if (words[w].word && strlen(end + 1) == strlen(words[w].word) + 1 && strncmp(end + 1, words[w].word, strlen(words[w].word)) == 0 &&
            end[1 + strlen(words[w].word)] == '\n')
            note_put(store, (uint32_t)id, (enum registry_word)w);
}

/* What was noted since, by us before a restart or by another topic of this registry. */
static bool read_notes(struct schema_store *store, struct error *err)
{
    char path[STORE_PATH_MAX + NOTE_LINE_MAX], line[NOTE_LINE_MAX];
    if (!*store->dir)
        return true;
    file_path(store, "refused.ids", path);
    FILE *file = fopen(path, "rb");
    if (!file)
        return errno == ENOENT || error_errno(err, ERROR_RETRY, "%s", path);
    bool good = fseek(file, store->notes_read, SEEK_SET) == 0;
    while (good && fgets(line, sizeof line, file)) {
        note_line(store, line);
        store->notes_read += (long)strlen(line);
        store->torn = line[strlen(line) - 1] != '\n';
    }
    good = good && !ferror(file);
    (void)fclose(file);
    return good || error_set(err, ERROR_RETRY, "%s cannot be read", path);
}

static bool keep_note(struct schema_store *store, uint32_t id, enum registry_word word, struct error *err)
{
    char path[STORE_PATH_MAX + NOTE_LINE_MAX], line[NOTE_LINE_MAX];
    if (!*store->dir) {
        note_put(store, id, word);
        return true;
    }
    if (!make_folders(store, err))
        return false;
    file_path(store, "refused.ids", path);
    snprintf(line, sizeof line, "%s%u %s\n", store->torn ? "\n" : "", id, words[word].word);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write_whole(fd, slice_of(line));
    if (fd >= 0)
        close(fd);
    good = good && sync_folder(store->dir);
    if (good)
        note_put(store, id, word);
    return good || error_errno(err, ERROR_RETRY, "%s", path);
}

/* --- one id --- */

static void refuse(struct held *held, enum registry_word word, uint32_t id)
{
    char text[256];
    held->reason = words[word].reason;
    snprintf(text, sizeof text, "schema id %u%s", id, words[word].says);
    held->wrong = arena_copy(&held->arena, slice_of(text));
}

static void read_schema(struct held *held, struct slice text, uint32_t id)
{
    struct slice wrong;
    held->schema = schema_read(text, &held->arena, &wrong);
    if (held->schema && held->schema->type != SCHEMA_RECORD) {
        held->schema = NULL;
        wrong = SLICE("the schema is no record");
    }
    if (held->schema)
        return;
    held->reason = REJECT_SCHEMA_REFUSED;
    held->wrong = arena_format(&held->arena, "schema id %u: %.*s", id, (int)wrong.size, wrong.data);
}

static bool is_noted(struct schema_store *store, uint32_t id, enum registry_word *word)
{
    uint32_t at = note_place(store, id);
    bool noted = at < store->note_count && store->note[at].id == id;
    *word = noted ? store->note[at].word : REGISTRY_UNKNOWN;
    return noted;
}

static bool look_up(struct schema_store *store, struct held *held, uint32_t id, struct error *err)
{
    enum registry_word word;
    struct slice text;
    bool found;
    arena_reset(&store->scratch);
    if (!read_notes(store, err))
        return false;
    if (is_noted(store, id, &word)) {
        refuse(held, word, id);
        return true;
    }
    if (!read_copy(store, id, &store->scratch, &text, &found, err))
        return false;
    if (!found && store->note_count == STORE_NOTES_MAX) {
        refuse(held, REGISTRY_UNKNOWN, id);
        return true;
    }
    if (!found) {
        if (!registry_fetch(store->registry, id, &store->scratch, &word, &text, err))
            return false;
        if (word != REGISTRY_SCHEMA) {
            refuse(held, word, id);
            return keep_note(store, id, word, err);
        }
        if (!keep_text(store, id, text, err))
            return false;
    }
    read_schema(held, text, id);
    return true;
}

/* The one that holds this id; else the one that was not used for longest. */
static struct held *choose_held(struct schema_store *store, uint32_t id)
{
    struct held *oldest = &store->held[0];
    for (uint32_t i = 0; i < STORE_SCHEMAS; i++) {
        struct held *held = &store->held[i];
        if (held->used && held->id == id)
            return held;
        if (held->used < oldest->used)
            oldest = held;
    }
    return oldest;
}

bool schema_store_get(struct schema_store *store, uint32_t id, const struct schema_node **schema, enum reject_reason *reason, struct slice *wrong,
                      struct error *err)
{
    struct held *held = choose_held(store, id);
    if (!held->used || held->id != id) {
        arena_reset(&held->arena);
        held->used = 0;
        held->schema = NULL;
        held->reason = REJECT_NONE;
        if (!look_up(store, held, id, err))
            return false;
        held->id = id;
    }
    held->used = ++store->turn;
    *schema = held->schema;
    *reason = held->reason;
    *wrong = held->schema ? SLICE("") : held->wrong;
    return true;
}

/* --- opening and closing --- */

struct schema_store *schema_store_open(struct registry *registry, const char *parent, const char *name)
{
    struct schema_store *store = calloc(1, sizeof *store);
    invariant(store);
    store->registry = registry;
    arena_init(&store->scratch);
    for (int i = 0; i < STORE_SCHEMAS; i++)
        arena_init(&store->held[i].arena);
    if (parent) {
        snprintf(store->parent, sizeof store->parent, "%s", parent);
        int size = snprintf(store->dir, sizeof store->dir, "%s/%s", parent, name);
        invariant(size > 0 && (size_t)size < sizeof store->dir);
    }
    return store;
}

void schema_store_close(struct schema_store *store)
{
    registry_close(store->registry);
    for (int i = 0; i < STORE_SCHEMAS; i++)
        arena_fini(&store->held[i].arena);
    arena_fini(&store->scratch);
    free(store->note);
    free(store);
}
