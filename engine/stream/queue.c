/* A ring behind a mutex and two conditions. */
#include "engine/stream/queue.h"

#include "engine/base/invariant.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    void **item;
    uint32_t room, first, count;
    bool closed;
};

struct queue *queue_new(uint32_t room)
{
    struct queue *queue = calloc(1, sizeof *queue);
    pthread_condattr_t monotonic;
    invariant(queue && room > 0);
    queue->room = room;
    queue->item = calloc(room, sizeof *queue->item);
    invariant(queue->item);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->filled, &monotonic);
    pthread_cond_init(&queue->emptied, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return queue;
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    pthread_cond_destroy(&queue->filled);
    pthread_cond_destroy(&queue->emptied);
    pthread_mutex_destroy(&queue->lock);
    free(queue->item);
    free(queue);
}

bool queue_put(struct queue *queue, void *item)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == queue->room && !queue->closed)
        pthread_cond_wait(&queue->emptied, &queue->lock);
    bool taken = !queue->closed;
    if (taken) {
        queue->item[(queue->first + queue->count++) % queue->room] = item;
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

static struct timespec deadline(uint32_t wait_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += wait_ms / 1000;
    at.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

void *queue_take(struct queue *queue, uint32_t wait_ms)
{
    struct timespec until = deadline(wait_ms);
    void *item = NULL;
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->closed)
        if (wait_ms == 0 || pthread_cond_timedwait(&queue->filled, &queue->lock, &until) != 0)
            break;
    if (queue->count > 0) {
        item = queue->item[queue->first];
        queue->first = (queue->first + 1) % queue->room;
        queue->count--;
        pthread_cond_signal(&queue->emptied);
    }
    pthread_mutex_unlock(&queue->lock);
    return item;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_cond_broadcast(&queue->emptied);
    pthread_mutex_unlock(&queue->lock);
}

bool queue_drained(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool drained = queue->closed && queue->count == 0;
    pthread_mutex_unlock(&queue->lock);
    return drained;
}

uint32_t queue_count(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    uint32_t count = queue->count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}
