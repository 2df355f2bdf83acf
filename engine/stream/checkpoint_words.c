/* Partition names, since when the rules have been warm, and how far the log reached, beside the step's words. */
#include "engine/stream/checkpoint_words.h"

enum { PARTITION_BYTES = TOPIC_NAME_MAX + sizeof(int32_t) };

struct words_head {
    uint64_t warm_from, logged_seq, table_size;
};

struct slice checkpoint_words_write(const struct step *step, const struct partition_table *table, uint32_t known, uint64_t warm_from,
                                    uint64_t logged_seq, struct arena *arena)
{
    struct slice words;
    const struct words_head head = {warm_from, logged_seq, known * (uint64_t)PARTITION_BYTES};
    step_save_extra(step, arena, &words);
    char *bytes = arena_alloc(arena, sizeof head + head.table_size + words.size), *at = bytes + sizeof head;
    memcpy(bytes, &head, sizeof head);
    for (uint32_t i = 0; i < known; i++, at += PARTITION_BYTES) {
        memcpy(at, table->partition[i].topic, TOPIC_NAME_MAX);
        memcpy(at + TOPIC_NAME_MAX, &table->partition[i].number, sizeof(int32_t));
    }
    if (words.size)
        memcpy(at, words.data, words.size);
    return (struct slice){bytes, sizeof head + head.table_size + words.size};
}

bool checkpoint_words_read(const struct checkpoint_head *head, struct checkpoint_words *words)
{
    struct words_head of;
    const char *extra = head->extra;
    if (head->extra_size < sizeof of)
        return false;
    memcpy(&of, extra, sizeof of);
    if (of.table_size > head->extra_size - sizeof of || of.table_size % PARTITION_BYTES)
        return false;
    words->warm_from = of.warm_from;
    words->logged_seq = of.logged_seq;
    words->partitions = (uint32_t)(of.table_size / PARTITION_BYTES);
    words->names = (struct slice){extra + sizeof of, of.table_size};
    words->step = (struct slice){extra + sizeof of + of.table_size, head->extra_size - sizeof of - of.table_size};
    return true;
}

struct slice checkpoint_words_partition(const struct checkpoint_words *words, uint32_t index, int32_t *number)
{
    const char *at = words->names.data + (size_t)index * PARTITION_BYTES;
    memcpy(number, at + TOPIC_NAME_MAX, sizeof *number);
    return (struct slice){at, strnlen(at, TOPIC_NAME_MAX)};
}
