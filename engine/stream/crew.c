/* Threads that work one phase together: a generation counter up, a countdown back. */
#include "engine/stream/crew.h"

#include "engine/base/invariant.h"
#include "engine/base/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* Rounds of waiting before a worker sleeps: about 20 microseconds, the length of a short phase; none
 * worth the name where there are more workers than cores, for a spinning one then only stands in the
 * way of those that work (measured: 8 workers on 2 cores, small batches, 10 times slower). */
enum { SPIN_ROUNDS = 4000, SPIN_ROUNDS_CROWDED = 20 };

struct crew {
    uint32_t count;
    int spin_rounds;
    atomic_uint generation; /* raised once per phase */
    atomic_uint working;    /* workers besides 0 that are not done with the phase */
    atomic_bool ending;
    crew_work_fn work;
    void *context;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* a new generation */
    pthread_cond_t done; /* working became 0 */
    uint32_t started;
    struct crew_worker {
        struct crew *crew;
        uint32_t index;
        pthread_t thread;
    } worker[CREW_MAX];
};

static inline void crew_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void crew_wait_generation(struct crew *crew, unsigned seen)
{
    for (int i = 0; i < crew->spin_rounds; i++) {
        if (atomic_load_explicit(&crew->generation, memory_order_acquire) != seen)
            return;
        crew_pause();
    }
    pthread_mutex_lock(&crew->mutex);
    while (atomic_load_explicit(&crew->generation, memory_order_acquire) == seen)
        pthread_cond_wait(&crew->wake, &crew->mutex);
    pthread_mutex_unlock(&crew->mutex);
}

static void *crew_main(void *argument)
{
    thread_name("muster-crew");
    struct crew_worker *worker = argument;
    struct crew *crew = worker->crew;
    unsigned seen = 0;
    for (;;) {
        crew_wait_generation(crew, seen);
        seen++;
        if (atomic_load_explicit(&crew->ending, memory_order_acquire))
            return NULL;
        crew->work(crew->context, worker->index, crew->count);
        if (atomic_fetch_sub_explicit(&crew->working, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&crew->mutex);
            pthread_cond_signal(&crew->done);
            pthread_mutex_unlock(&crew->mutex);
        }
    }
}

static void crew_next_generation(struct crew *crew)
{
    pthread_mutex_lock(&crew->mutex);
    atomic_fetch_add_explicit(&crew->generation, 1, memory_order_release);
    pthread_cond_broadcast(&crew->wake);
    pthread_mutex_unlock(&crew->mutex);
}

struct crew *crew_new(uint32_t count, struct error *err)
{
    invariant(count >= 1 && count <= CREW_MAX);
    struct crew *crew = calloc(1, sizeof *crew);
    invariant(crew != NULL);
    crew->count = count;
    crew->spin_rounds = (long)count <= sysconf(_SC_NPROCESSORS_ONLN) ? SPIN_ROUNDS : SPIN_ROUNDS_CROWDED;
    pthread_mutex_init(&crew->mutex, NULL);
    pthread_cond_init(&crew->wake, NULL);
    pthread_cond_init(&crew->done, NULL);
    for (uint32_t i = 1; i < count; i++) {
        crew->worker[i] = (struct crew_worker){.crew = crew, .index = i};
        int code = pthread_create(&crew->worker[i].thread, NULL, crew_main, &crew->worker[i]);
        if (code) {
            error_set(err, ERROR_FATAL, "cannot start worker thread %u of %u (error %d)", i, count, code);
            crew_free(crew);
            return NULL;
        }
        crew->started = i;
    }
    return crew;
}

void crew_free(struct crew *crew)
{
    if (!crew)
        return;
    atomic_store_explicit(&crew->ending, true, memory_order_release);
    crew_next_generation(crew);
    for (uint32_t i = 1; i <= crew->started; i++)
        pthread_join(crew->worker[i].thread, NULL);
    pthread_cond_destroy(&crew->done);
    pthread_cond_destroy(&crew->wake);
    pthread_mutex_destroy(&crew->mutex);
    free(crew);
}

uint32_t crew_count(const struct crew *crew)
{
    return crew->count;
}

static void crew_wait_done(struct crew *crew)
{
    for (int i = 0; i < crew->spin_rounds; i++) {
        if (atomic_load_explicit(&crew->working, memory_order_acquire) == 0)
            return;
        crew_pause();
    }
    pthread_mutex_lock(&crew->mutex);
    while (atomic_load_explicit(&crew->working, memory_order_acquire) != 0)
        pthread_cond_wait(&crew->done, &crew->mutex);
    pthread_mutex_unlock(&crew->mutex);
}

void crew_run(struct crew *crew, bool alone, crew_work_fn work, void *context)
{
    if (alone || crew->count == 1) {
        work(context, 0, 1);
        return;
    }
    crew->work = work;
    crew->context = context;
    atomic_store_explicit(&crew->working, crew->count - 1, memory_order_relaxed);
    crew_next_generation(crew);
    work(context, 0, crew->count);
    crew_wait_done(crew);
}
