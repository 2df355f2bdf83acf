/* What checkpoints and the log ask of the disk, with the two ways of failing that are none: a signal that
 * interrupts (EINTR) and a write or read that is cut short. Both are gone on with; all else is the caller's,
 * who finds errno set. Each call names the fail point that it is (engine/base/fail_point.h). Any thread.
 *
 * A sync that failed is never tried again: the kernel may have dropped what it could not write. */
#ifndef ENGINE_BASE_DISK_H
#define ENGINE_BASE_DISK_H

#include "engine/base/fail_point.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* -1: errno. */
int disk_open(enum fail_point point, const char *path, int flags, mode_t mode);
bool disk_write(enum fail_point point, int fd, const void *data, size_t size);
/* Reads exactly size bytes; an end before is EIO. */
bool disk_read(enum fail_point point, int fd, void *out, size_t size);
/* All that is behind `from`'s place. */
bool disk_copy(enum fail_point point, int from, int to);
bool disk_sync(enum fail_point point, int fd);
/* Makes names in the folder durable. */
bool disk_sync_folder(enum fail_point point, const char *dir);
bool disk_rename(enum fail_point point, const char *from, const char *to);
bool disk_cut(enum fail_point point, int fd, uint64_t size);
bool disk_remove(enum fail_point point, const char *path);

#endif
