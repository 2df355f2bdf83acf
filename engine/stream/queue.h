/* A queue hands intake blocks from one thread to another; its bound is the back-pressure.
 *
 * Any number of threads may put and take; nothing on it is per event, so a mutex is cheap enough. */
#ifndef ENGINE_STREAM_QUEUE_H
#define ENGINE_STREAM_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct queue;

struct queue *queue_new(uint32_t room);
void queue_free(struct queue *queue);

/* queue_put waits while the queue is full; false when it was closed: the item stays the caller's. */
bool queue_put(struct queue *queue, void *item);

/* queue_take waits up to wait_ms for an item; NULL when none came. What was put before the queue
 * was closed is still given out. */
void *queue_take(struct queue *queue, uint32_t wait_ms);

/* queue_close ends the flow; takers get what is left, then NULL at once. */
void queue_close(struct queue *queue);

/* True once the queue is closed and empty: nothing will ever come. */
bool queue_drained(struct queue *queue);
uint32_t queue_count(struct queue *queue);

#endif
