/* System calls of the disk: gone on with where only a signal or a short piece stands in the way. */
#include "engine/base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { COPY_PIECE = 1 << 30 };

static bool interrupted(ssize_t result)
{
    return result < 0 && errno == EINTR;
}

/* Does the fail point make the call fail? It may only make it shorter. */
static bool failed(enum fail_point point, size_t *size)
{
    enum fault fault = fail_point(point);
    if (fault == FAULT_SHORT)
        *size = *size / 2 + 1;
    return fault != FAULT_NONE && fault != FAULT_SHORT;
}

int disk_open(enum fail_point point, const char *path, int flags, mode_t mode)
{
    size_t none = 0;
    int fd;
    do
        fd = failed(point, &none) ? -1 : open(path, flags | O_CLOEXEC, mode);
    while (interrupted(fd));
    return fd;
}

bool disk_write(enum fail_point point, int fd, const void *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t piece = size - at;
        ssize_t put = failed(point, &piece) ? -1 : write(fd, (const char *)data + at, piece < size - at ? piece : size - at);
        if (interrupted(put))
            continue;
        if (put < 0)
            return false;
        at += (size_t)put;
    }
    return true;
}

bool disk_read(enum fail_point point, int fd, void *out, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t piece = size - at;
        ssize_t got = failed(point, &piece) ? -1 : read(fd, (char *)out + at, piece < size - at ? piece : size - at);
        if (interrupted(got))
            continue;
        if (got == 0)
            errno = EIO;
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

bool disk_copy(enum fail_point point, int from, int to)
{
    ssize_t moved;
    do {
        size_t piece = COPY_PIECE;
        bool fails = failed(point, &piece);
        /* a short piece is a page, so that there is a second one */
        moved = fails ? -1 : copy_file_range(from, NULL, to, NULL, piece < COPY_PIECE ? 4096 : piece, 0);
    } while (moved > 0 || interrupted(moved));
    return moved == 0;
}

bool disk_sync(enum fail_point point, int fd)
{
    size_t none = 0;
    int result;
    do
        result = failed(point, &none) ? -1 : fsync(fd);
    while (interrupted(result));
    return result == 0;
}

bool disk_sync_folder(enum fail_point point, const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && disk_sync(point, fd);
    int number = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = number;
    return good;
}

bool disk_rename(enum fail_point point, const char *from, const char *to)
{
    size_t none = 0;
    return !failed(point, &none) && rename(from, to) == 0;
}

bool disk_cut(enum fail_point point, int fd, uint64_t size)
{
    size_t none = 0;
    int result;
    do
        result = failed(point, &none) ? -1 : ftruncate(fd, (off_t)size);
    while (interrupted(result));
    return result == 0;
}

bool disk_remove(enum fail_point point, const char *path)
{
    size_t none = 0;
    return !failed(point, &none) && unlink(path) == 0;
}
