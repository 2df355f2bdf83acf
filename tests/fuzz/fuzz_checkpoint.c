/* Any bytes as a checkpoint: refused with a reason, never a crash. A sound one cannot be guessed. */
#include "engine/base/invariant.h"
#include "engine/state/checkpoint.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void refused(void *context, const char *file, const char *reason)
{
    (void)file;
    invariant(reason[0] != '\0');
    ++*(int *)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[64], path[128];
    const struct state_layout layout = {.shard_bytes_max = 1 << 17};
    struct state *state = NULL;
    struct checkpoint_head head;
    struct error err = {0};
    int count = 0;
    invariant(sodium_init() >= 0);
    (void)snprintf(dir, sizeof dir, "/tmp/muster-fuzz-checkpoint-%d", (int)getpid());
    (void)snprintf(path, sizeof path, "%s/checkpoint-00000000000000000001", dir);
    (void)mkdir(dir, 0700);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    invariant(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    bool loaded = checkpoint_load(dir, 9, &layout, &state, &head, refused, &count, &err);
    invariant(!loaded && count == 1 && err.class == ERROR_NONE);
    unlink(path);
    rmdir(dir);
    return 0;
}
