/* Arms fail points from the environment and lets them fail; empty but in VARIANT=fault. */
#include "engine/base/fail_point.h"

#ifdef MUSTER_FAULT

#include "engine/base/invariant.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARMED_MAX = 4, TEXT_MAX = 64 };

struct armed {
    enum fail_point point;
    enum fault fault;
    unsigned long at;       /* which time */
    char text[TEXT_MAX];    /* of records */
    atomic_ulong times;
};

static const struct {
    const char *name;
    unsigned faults;
} points[FAIL_POINT_COUNT] = {
#define FAIL_POINT(name, faults, says) {#name, faults},
#include "engine/base/fail_point.def"
#undef FAIL_POINT
};

static const struct {
    const char *name;
    enum fault fault;
    int number;
} faults[] = {{"CRASH", FAULT_CRASH, 0}, {"EIO", FAULT_EIO, EIO}, {"ENOSPC", FAULT_ENOSPC, ENOSPC},
              {"EINTR", FAULT_EINTR, EINTR}, {"SHORT", FAULT_SHORT, 0}};
enum { FAULTS = sizeof faults / sizeof faults[0] };

static struct armed armed[ARMED_MAX];
static unsigned armed_count;
static pthread_once_t armed_once = PTHREAD_ONCE_INIT;

/* A misspelt point would test nothing: it ends the process. */
static void arm_one(const char *word)
{
    struct armed *one = &armed[armed_count++];
    char point[TEXT_MAX], fault[TEXT_MAX];
    int p = 0, f = 0;
    invariant(armed_count <= ARMED_MAX && sscanf(word, "%63[A-Z_]:%63[A-Z]:%63[^,]", point, fault, one->text) == 3);
    while (p < FAIL_POINT_COUNT && strcmp(points[p].name, point) != 0)
        p++;
    while (f < FAULTS && strcmp(faults[f].name, fault) != 0)
        f++;
    invariant(p < FAIL_POINT_COUNT && f < FAULTS && (points[p].faults & faults[f].fault));
    one->point = (enum fail_point)p;
    one->fault = faults[f].fault;
    one->at = strtoul(one->text, NULL, 10);
}

static void arm(void)
{
    const char *words = getenv("MUSTER_FAIL");
    while (words && *words) {
        arm_one(words);
        words = strchr(words, ',');
        words += words != NULL;
    }
}

static enum fault fail(const struct armed *one)
{
    int f = 0;
    while (faults[f].fault != one->fault)
        f++;
    fprintf(stderr, "fail point %s: %s\n", points[one->point].name, faults[f].name);
    if (one->fault == FAULT_CRASH)
        (void)kill(getpid(), SIGKILL);
    errno = faults[f].number;
    return one->fault;
}

enum fault fail_point(enum fail_point point)
{
    pthread_once(&armed_once, arm);
    for (unsigned i = 0; i < armed_count; i++)
        if (armed[i].point == point && atomic_fetch_add(&armed[i].times, 1) + 1 == armed[i].at)
            return fail(&armed[i]);
    return FAULT_NONE;
}

void fail_point_record(enum fail_point point, struct slice bytes)
{
    pthread_once(&armed_once, arm);
    for (unsigned i = 0; i < armed_count; i++)
        if (armed[i].point == point && memmem(bytes.data, bytes.size, armed[i].text, strlen(armed[i].text)))
            (void)fail(&armed[i]);
}

#endif
