/* Order: merges what several partitions deliver into the one sequence of the world.
 *
 * Each partition is a line that keeps its own order; among the heads of the lines the earliest event
 * time goes next, ties by the partitions' rank, which is their order by topic and number. So an event that is
 * late inside its partition never holds back or overtakes its own neighbours.
 *
 * An open line may still grow: nothing can be taken while an open line is empty, for its next event
 * might be the earliest. An intake block closes all lines (what is in it is all there is); a merge of
 * files keeps each open until its file ends. One thread; room grows to what waits at once. */
#ifndef ENGINE_STREAM_ORDER_H
#define ENGINE_STREAM_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct order;

/* All lines begin closed and empty; a line's rank is its index. */
struct order *order_new(uint32_t partition_count);
/* rank[i] for the first `count` lines, while all are empty: partitions that are found while the engine
 * runs stand behind the others in the table, but between them in the order. */
void order_rank(struct order *order, const uint32_t *rank, uint32_t count);
void order_free(struct order *order);

/* order_open says that more will come into the line; order_close that it will not. */
void order_open(struct order *order, uint32_t partition);
void order_close(struct order *order, uint32_t partition);

/* Appends to a line. `tag` is whatever the caller finds the event by. */
void order_push(struct order *order, uint32_t partition, int64_t time_ms, uint32_t tag);

/* Takes the next event of the sequence. False when all lines are empty or an open one is. */
bool order_next(struct order *order, uint32_t *tag);

/* Events that wait in the line. */
uint32_t order_waiting(const struct order *order, uint32_t partition);

#endif
