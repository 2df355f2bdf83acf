/* Ends the process, loudly, when our own code broke a promise. */
#include "engine/base/invariant.h"

#include <stdio.h>
#include <stdlib.h>

void invariant_broken(const char *condition, const char *file, int line)
{
    fprintf(stderr, "muster: invariant broken: %s (%s:%d)\n", condition, file, line);
    abort();
}
