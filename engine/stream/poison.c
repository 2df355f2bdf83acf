/* A shared mapped file that says what is at work, and what its last reader makes of it after a crash. */
#include "engine/stream/poison.h"

#include "engine/base/invariant.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT = 1, POISON_PATH_MAX = 4096 };

static const char file_magic[8] = {'M', 'U', 'S', 'T', 'W', 'R', 'K', '1'};

enum at_work { AT_REST, AT_BLOCK, AT_RECORD };

/* One partition, by this life's index. */
struct place {
    char topic[TOPIC_NAME_MAX];
    int32_t number;
    int64_t first, next;                 /* of the block at work */
    int64_t suspect_first, suspect_next; /* equal: none */
};

struct crash_count {
    uint32_t place, times;
    int64_t offset;
};

/* The file. Stores go into the page cache and survive the process; their order is the program's. */
struct page {
    char magic[8];
    uint32_t format;
    uint32_t place_count;
    uint32_t suspect_crashes;            /* of the suspected ranges, not yet counted for a record */
    uint32_t count_count;
    atomic_uint at_work;                 /* enum at_work */
    atomic_uint translating;             /* 0, or 1: the two below say what */
    uint32_t record_place, translated_place;
    int64_t record_offset, translated_offset;
    struct crash_count count[POISON_RECORDS_MAX];
    struct place place[PARTITION_MAX];
};

struct poison {
    struct page *page;
    const struct partition_table *partitions;
    struct record_watch record, translation;
    uint32_t at_count;                   /* places with a range of the block at work */
    uint32_t at[PARTITION_MAX];
    bool any;                            /* there are suspects or counts */
    uint64_t settled_at[PARTITION_MAX];  /* block behind all suspects of the partition; 0: not reached */
    struct crash_count aside[POISON_RECORDS_MAX]; /* as of the beginning: the source thread reads it too */
    uint32_t aside_count;
};

/* --- at work --- */

static void note_record(void *self, const struct position *position)
{
    struct poison *poison = self;
    struct page *page = poison->page;
    if (!position) {
        atomic_store_explicit(&page->at_work, AT_BLOCK, memory_order_release);
        return;
    }
    atomic_store_explicit(&page->at_work, AT_BLOCK, memory_order_relaxed); /* a torn pair must not be believed */
    atomic_signal_fence(memory_order_seq_cst);
    page->record_place = position->partition;
    page->record_offset = position->offset;
    atomic_store_explicit(&page->at_work, AT_RECORD, memory_order_release);
}

static void note_translation(void *self, const struct position *position)
{
    struct page *page = ((struct poison *)self)->page;
    atomic_store_explicit(&page->translating, 0, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (!position)
        return;
    page->translated_place = position->partition;
    page->translated_offset = position->offset;
    atomic_store_explicit(&page->translating, 1, memory_order_release);
}

static bool is_aside(void *self, const struct position *position)
{
    const struct poison *poison = self;
    for (uint32_t i = 0; i < poison->aside_count; i++)
        if (poison->aside[i].place == position->partition && poison->aside[i].offset == position->offset)
            return true;
    return false;
}

const struct record_watch *poison_translating(struct poison *poison)
{
    return &poison->translation;
}

/* Partitions that were found since; their names never change. */
static void name_places(struct poison *poison, uint32_t partitions)
{
    struct page *page = poison->page;
    for (; page->place_count < partitions; page->place_count++) {
        struct place *place = &page->place[page->place_count];
        const struct partition *partition = &poison->partitions->partition[page->place_count];
        memcpy(place->topic, partition->topic, sizeof place->topic);
        place->number = partition->number;
    }
}

/* The offsets of a range that are set aside, rising. */
static void give_aside(struct poison *poison, struct block *block, struct journal_range *range)
{
    int64_t *offset = NULL;
    for (uint32_t i = 0; i < poison->aside_count; i++) {
        const struct crash_count *aside = &poison->aside[i];
        if (aside->place != range->partition || aside->offset < range->first || aside->offset >= range->next)
            continue;
        if (!offset)
            range->aside = offset = ARENA_ARRAY(&block->results, int64_t, POISON_RECORDS_MAX);
        uint32_t at = range->aside_count++;
        for (; at > 0 && offset[at - 1] > aside->offset; at--)
            offset[at] = offset[at - 1];
        offset[at] = aside->offset;
        block->has_aside = true;
    }
}

void poison_begin(struct poison *poison, struct block *block)
{
    struct page *page = poison->page;
    name_places(poison, block->partitions);
    for (uint32_t r = 0; r < block->journal.range_count; r++) {
        struct journal_range *range = &block->range[r];
        struct place *place = &page->place[range->partition];
        place->first = range->first;
        place->next = range->next;
        poison->at[r] = range->partition;
        if (!poison->any)
            continue;
        give_aside(poison, block, range);
        if (range->first < place->suspect_next && range->next > place->suspect_first)
            block->watch = &poison->record;
    }
    poison->at_count = block->journal.range_count;
    atomic_store_explicit(&page->at_work, AT_BLOCK, memory_order_release);
}

static void note_settled(struct poison *poison, uint64_t block, const int64_t *position)
{
    struct page *page = poison->page;
    for (uint32_t p = 0; p < page->place_count; p++) {
        const struct place *place = &page->place[p];
        bool suspected = place->suspect_first < place->suspect_next;
        if (suspected && !poison->settled_at[p] && position[p] >= place->suspect_next)
            poison->settled_at[p] = block;
    }
}

void poison_end(struct poison *poison, uint64_t block, const int64_t *position)
{
    struct page *page = poison->page;
    atomic_store_explicit(&page->at_work, AT_REST, memory_order_release);
    for (uint32_t i = 0; i < poison->at_count; i++)
        page->place[poison->at[i]].first = page->place[poison->at[i]].next = 0;
    poison->at_count = 0;
    if (poison->any)
        note_settled(poison, block, position);
}

/* --- forgetting --- */

static void forget(struct poison *poison, uint32_t p)
{
    struct page *page = poison->page;
    uint32_t kept = 0;
    page->place[p].suspect_first = page->place[p].suspect_next = 0;
    poison->settled_at[p] = 0;
    for (uint32_t i = 0; i < page->count_count; i++)
        if (page->count[i].place != p)
            page->count[kept++] = page->count[i];
    page->count_count = kept;
}

uint32_t poison_suspects(const struct poison *poison)
{
    const struct page *page = poison->page;
    uint32_t suspects = page->count_count;
    for (uint32_t p = 0; p < page->place_count; p++)
        suspects += page->place[p].suspect_first < page->place[p].suspect_next;
    return suspects;
}

void poison_settle(struct poison *poison, uint64_t committed_block)
{
    if (!poison->any)
        return;
    for (uint32_t p = 0; p < poison->page->place_count; p++)
        if (poison->settled_at[p] && poison->settled_at[p] <= committed_block)
            forget(poison, p);
    poison->any = poison_suspects(poison) > 0;
}

/* --- what the life before left --- */

static void suspect(struct place *place, int64_t first, int64_t next)
{
    if (first < 0)
        first = 0;
    if (first >= next)
        return;
    bool fresh = place->suspect_first >= place->suspect_next;
    if (fresh || first < place->suspect_first)
        place->suspect_first = first;
    if (fresh || next > place->suspect_next)
        place->suspect_next = next;
}

static bool suspected(const struct place *place, int64_t offset)
{
    return offset >= place->suspect_first && offset < place->suspect_next;
}

static struct crash_count *count_of(struct page *page, uint32_t place, int64_t offset)
{
    uint32_t at = 0, fewest = 0;
    while (at < page->count_count && (page->count[at].place != place || page->count[at].offset != offset)) {
        if (page->count[at].times < page->count[fewest].times)
            fewest = at;
        at++;
    }
    if (at < page->count_count)
        return &page->count[at];
    at = page->count_count < POISON_RECORDS_MAX ? page->count_count++ : fewest;
    page->count[at] = (struct crash_count){.place = place, .offset = offset};
    return &page->count[at];
}

/* A crash whose record is known; that it was among the suspects already counts too. */
static void blame(struct page *page, uint32_t index, int64_t offset)
{
    if (index >= page->place_count)
        return;
    struct crash_count *count = count_of(page, index, offset);
    count->times++;
    if (suspected(&page->place[index], offset)) {
        count->times += page->suspect_crashes;
        page->suspect_crashes = 0;
    }
    suspect(&page->place[index], offset, offset + 1);
}

/* Makes suspects and counts of what was at work. */
static void conclude(struct page *page)
{
    unsigned at_work = atomic_load(&page->at_work);
    if (atomic_load(&page->translating))
        blame(page, page->translated_place, page->translated_offset);
    if (at_work == AT_RECORD)
        blame(page, page->record_place, page->record_offset);
    for (uint32_t p = 0; p < page->place_count; p++) {
        struct place *place = &page->place[p];
        if (at_work == AT_BLOCK)
            suspect(place, place->first, place->next);
        place->first = place->next = 0;
    }
    if (at_work == AT_BLOCK)
        page->suspect_crashes = 1;
    atomic_store(&page->at_work, AT_REST);
    atomic_store(&page->translating, 0);
}

/* Lays the page out anew by this life's partitions. */
static void settle_in(struct page *page, const struct page *old, const struct partition_table *partitions)
{
    memcpy(page->magic, file_magic, sizeof page->magic);
    page->format = FORMAT;
    page->suspect_crashes = old->suspect_crashes;
    for (uint32_t p = 0; p < partitions->count; p++) {
        const struct partition *partition = &partitions->partition[p];
        struct place *place = &page->place[page->place_count++];
        memcpy(place->topic, partition->topic, sizeof place->topic);
        place->number = partition->number;
    }
    for (uint32_t o = 0; o < old->place_count; o++) {
        const struct place *was = &old->place[o];
        uint32_t p;
        struct slice topic = {was->topic, strnlen(was->topic, TOPIC_NAME_MAX)};
        if (!partition_find(partitions, partitions->count, topic, was->number, &p))
            continue;
        page->place[p].suspect_first = was->suspect_first;
        page->place[p].suspect_next = was->suspect_next;
        for (uint32_t i = 0; i < old->count_count; i++)
            if (old->count[i].place == o)
                page->count[page->count_count++] = (struct crash_count){p, old->count[i].times, old->count[i].offset};
    }
}

/* --- the file --- */

/* False: there is none, or it is not sound. */
static bool page_read(const char *path, struct page *page)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && read(fd, page, sizeof *page) == (ssize_t)sizeof *page &&
                memcmp(page->magic, file_magic, sizeof file_magic) == 0 && page->format == FORMAT &&
                page->place_count <= PARTITION_MAX && page->count_count <= POISON_RECORDS_MAX;
    if (fd >= 0)
        (void)close(fd);
    return good;
}

static struct page *page_map(const char *path, struct error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    /* blocks are allocated now: a full disk must not become a SIGBUS later */
    int code = fd >= 0 ? posix_fallocate(fd, 0, (off_t)sizeof(struct page)) : errno;
    void *at = code == 0 ? mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (at == MAP_FAILED) {
        errno = code ? code : errno;
        error_errno(err, ERROR_FATAL, "cannot make %s", path);
    }
    if (fd >= 0)
        (void)close(fd);
    return at == MAP_FAILED ? NULL : at;
}

static struct page *page_take_over(const char *path, const struct partition_table *partitions, struct error *err)
{
    char beside[POISON_PATH_MAX];
    if (snprintf(beside, sizeof beside, "%s.tmp", path) >= (int)sizeof beside) {
        error_set(err, ERROR_FATAL, "state_dir's path is too long");
        return NULL;
    }
    struct page *old = calloc(1, sizeof *old), *page = page_map(beside, err);
    invariant(old);
    if (!page_read(path, old))
        memset(old, 0, sizeof *old);
    if (page) {
        conclude(old);
        settle_in(page, old, partitions);
    }
    if (page && rename(beside, path) != 0) {
        error_errno(err, ERROR_FATAL, "cannot make %s", path);
        (void)munmap(page, sizeof *page);
        page = NULL;
    }
    free(old);
    return page;
}

struct poison *poison_open(const char *path, const struct partition_table *partitions, struct error *err)
{
    struct page *page = page_take_over(path, partitions, err);
    if (!page)
        return NULL;
    struct poison *poison = calloc(1, sizeof *poison);
    invariant(poison);
    poison->page = page;
    poison->partitions = partitions;
    poison->record = (struct record_watch){poison, note_record, is_aside};
    poison->translation = (struct record_watch){poison, note_translation, is_aside};
    poison->any = poison_suspects(poison) > 0;
    for (uint32_t i = 0; i < page->count_count; i++)
        if (page->count[i].times >= POISON_CRASHES)
            poison->aside[poison->aside_count++] = page->count[i];
    return poison;
}

void poison_close(struct poison *poison)
{
    if (!poison)
        return;
    (void)munmap(poison->page, sizeof *poison->page);
    free(poison);
}

void poison_tell(const struct poison *poison, void (*tell)(void *context, const struct poison_story *story), void *context)
{
    const struct page *page = poison->page;
    for (uint32_t p = 0; p < page->place_count; p++) {
        const struct place *place = &page->place[p];
        if (place->suspect_first < place->suspect_next)
            tell(context, &(struct poison_story){.partition = p, .offset = place->suspect_first, .next = place->suspect_next});
    }
    for (uint32_t i = 0; i < page->count_count; i++) {
        const struct crash_count *count = &page->count[i];
        tell(context, &(struct poison_story){count->place, count->times, count->offset, count->offset + 1});
    }
}
