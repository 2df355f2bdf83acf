/* A name for the calling thread, as `top -H` and a debugger show it: at most 15 bytes. */
#ifndef ENGINE_BASE_THREAD_H
#define ENGINE_BASE_THREAD_H

#include <sys/prctl.h>

static inline void thread_name(const char *name)
{
    (void)prctl(PR_SET_NAME, name); /* fails for no thread of our own */
}

#endif
