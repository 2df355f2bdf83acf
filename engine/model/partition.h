/* The partitions of a run: struct position.partition is an index into this table.
 *
 * The table only grows while the engine runs. An entry, once there, stays as it is and where it is; only
 * the source's thread appends. So an index means nothing outside its run: what is stored, and what breaks
 * ties, goes by (topic, number). Another thread knows of an entry when it was handed a message of it. */
#ifndef ENGINE_MODEL_PARTITION_H
#define ENGINE_MODEL_PARTITION_H

#include "engine/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum { TOPIC_NAME_MAX = 250, SOURCE_NAME_MAX = 64, PARTITION_MAX = 1024 };

struct partition {
    char topic[TOPIC_NAME_MAX]; /* a file's name in replay */
    int32_t number;
    char source[SOURCE_NAME_MAX]; /* the bank configured for the topic; "" where the body names it */
    bool facts;                   /* its messages are facts, not events */
};

struct partition_table {
    uint32_t count; /* of the source's thread; others take theirs from the block (engine/stream/intake.h) */
    uint32_t room;  /* the most there can be, for arrays by partition; 0: count, it does not grow */
    struct partition *partition;
};

/* The most partitions there can be. */
uint32_t partition_room(const struct partition_table *table);
/* By topic, then by number. */
int partition_compare(const struct partition *a, const struct partition *b);
/* The index among the first `count`; false when it is not there. */
bool partition_find(const struct partition_table *table, uint32_t count, struct slice topic, int32_t number, uint32_t *index);
/* rank[i]: how many of the first `count` stand before partition i in the order of (topic, number). */
void partition_rank(const struct partition_table *table, uint32_t count, uint32_t *rank);

#endif
