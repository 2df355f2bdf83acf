/* Fuzzes texts and lists: any pattern on any narrative, any bytes as a list file. The first byte
 * chooses. A pattern must say the same with its required literal and without it. */
#include "rules/lang/list.h"
#include "rules/lang/text.h"

#include "engine/base/invariant.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_list(enum value_type of, struct slice bytes)
{
    char path[64], message[256];
    uint32_t line;
    int fd = memfd_create("list", MFD_CLOEXEC);
    invariant(fd >= 0);
    ssize_t written = write(fd, bytes.data, bytes.size);
    invariant(written == (ssize_t)bytes.size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct list *list = list_load(SLICE("fuzz"), of, path, message, &line);
    (void)close(fd);
    if (!list)
        return;
    (void)list_has_number(list, 7011);
    (void)list_has_text(list, bytes);
    struct list *copy = list_copy(list);
    unsigned char a[32], b[32];
    list_hash(list, a);
    list_hash(copy, b);
    invariant(memcmp(a, b, sizeof a) == 0);
    list_free(copy);
    list_free(list);
}

/* (?#x) in front means nothing to PCRE2, and to the reader of literals that it shall not look. */
static struct text *text_without_literal(struct text_pattern pattern, char room[1100])
{
    char message[256];
    uint32_t wrong, offset;
    memcpy(room, "(?#x)", 5);
    memcpy(room + 5, pattern.body.data, pattern.body.size);
    pattern.body = (struct slice){room, pattern.body.size + 5};
    return text_new(SLICE("slow"), &pattern, 1, message, &wrong, &offset);
}

static void fuzz_pattern(struct text_pattern pattern, struct slice subject)
{
    char message[256], room[1100];
    uint32_t wrong, offset;
    struct text *text = text_new(SLICE("fast"), &pattern, 1, message, &wrong, &offset);
    invariant(offset <= pattern.body.size);
    if (!text)
        return;
    struct text_scratch *scratch = text_scratch_new();
    enum text_result with = text_match(text, scratch, subject);
    bool verbs = pattern.body.size >= 2 && memcmp(pattern.body.data, "(*", 2) == 0; /* only at the very beginning */
    struct text *slow = pattern.regex && !verbs && pattern.body.size <= 1000 ? text_without_literal(pattern, room) : NULL;
    if (slow) {
        enum text_result without = text_match(slow, scratch, subject);
        invariant(with == without || without == TEXT_UNKNOWN); /* the literal may spare it the limit */
    }
    text_free(slow);
    text_free(text);
    text_scratch_free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum value_type types[] = {TYPE_ACCOUNT, TYPE_MCC, TYPE_CORRIDOR, TYPE_COUNTRY, TYPE_PURPOSE, TYPE_CURRENCY};
    if (size < 2)
        return 0;
    struct slice rest = {(const char *)data + 2, size - 2};
    if (data[0] & 1) {
        fuzz_list(types[data[1] % (sizeof types / sizeof types[0])], rest);
        return 0;
    }
    size_t split = rest.size ? data[1] % (rest.size + 1) : 0;
    struct text_pattern pattern = {.body = {rest.data, split}, .regex = (data[0] & 2) != 0, .caseless = (data[0] & 4) != 0};
    fuzz_pattern(pattern, (struct slice){rest.data + split, rest.size - split});
    return 0;
}
