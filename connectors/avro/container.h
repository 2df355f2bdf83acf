/* Avro's own files (object containers): cut into messages of one block each, with the file's header in
 * front, so that each stands for itself; and such messages opened again.
 *
 * Blocks are plain or packed by deflate; of what is unpacked at most 16 MiB are taken. */
#ifndef CONNECTORS_AVRO_CONTAINER_H
#define CONNECTORS_AVRO_CONTAINER_H

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/model/reject.h"

enum { CONTAINER_BLOCK_MAX = 16 << 20, CONTAINER_HEADER_MAX = 1 << 20, CONTAINER_MAGIC_BYTES = 4 };

/* Does it begin as a container does? */
bool container_begins(struct slice bytes);

/* --- cutting a file --- */

/* Up to `want` bytes into `into`; *got less only at the end. */
struct container_input {
    void *context;
    bool (*read)(void *context, char *into, size_t want, size_t *got, struct error *err);
};

struct container;

/* Reads the header; NULL with ERROR_FATAL when it is none. */
struct container *container_open(const struct container_input *input, struct error *err) must_check;
void container_close(struct container *container);
/* The next block as a message, until the next call; *ended at the end. False with ERROR_FATAL when the file
 * is broken here: nothing behind it can be found. */
bool container_next(struct container *container, struct slice *message, bool *ended, struct error *err) must_check;

/* --- opening a message --- */

struct container_block {
    struct slice header;  /* all before the block */
    struct slice schema;  /* its JSON */
    struct slice records; /* unpacked: the message's own bytes, or the arena's */
    int64_t count;        /* of records, as the block says */
};

enum reject_reason container_read(struct slice message, struct arena *arena, struct container_block *block);

#endif
