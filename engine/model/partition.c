/* Finding and ordering partitions. */
#include "engine/model/partition.h"

uint32_t partition_room(const struct partition_table *table)
{
    return table->room > table->count ? table->room : table->count;
}

int partition_compare(const struct partition *a, const struct partition *b)
{
    int order = slice_compare(slice_of(a->topic), slice_of(b->topic));
    return order ? order : (a->number > b->number) - (a->number < b->number);
}

bool partition_find(const struct partition_table *table, uint32_t count, struct slice topic, int32_t number, uint32_t *index)
{
    for (*index = 0; *index < count; ++*index)
        if (table->partition[*index].number == number && slice_equal(slice_of(table->partition[*index].topic), topic))
            return true;
    return false;
}

/* A thousand partitions at most, and only when some were found: counting is quick enough. */
void partition_rank(const struct partition_table *table, uint32_t count, uint32_t *rank)
{
    for (uint32_t i = 0; i < count; i++) {
        rank[i] = 0;
        for (uint32_t j = 0; j < count; j++)
            rank[i] += partition_compare(&table->partition[j], &table->partition[i]) < 0;
    }
}
