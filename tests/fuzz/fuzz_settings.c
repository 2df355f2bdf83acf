/* Any bytes as a settings file: taken, or refused in words; never a crash. */
#include "engine/base/invariant.h"
#include "engine/base/settings.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct settings settings;
    struct slice wrong;
    int fd = memfd_create("settings", 0);
    invariant(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    settings_init(&settings);
    bool good = settings_load(&settings, path, &wrong);
    invariant(good == (wrong.size == 0));
    settings_fini(&settings);
    close(fd);
    return 0;
}
