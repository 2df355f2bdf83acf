/* Cuts a bank's file into messages of its own format, as the bank would write them to Kafka.
 *
 * CSV: one record each, with the header row in front where there is one. Avro's own files: one block of
 * records each, with the file's header in front; "line" is then the block. Everything else: the whole
 * file is one message. Memory is bounded by message_bytes_max; longer messages are given on cut, to be
 * refused as too large. */
#ifndef ENGINE_CLI_FEED_READ_H
#define ENGINE_CLI_FEED_READ_H

#include "engine/model/format.h"

struct feed_reading {
    const struct format *format;
    size_t message_bytes_max;
    void *context;
    /* One message; line is where it begins, from 1. False ends the reading. */
    bool (*take)(void *context, struct slice bytes, int64_t line, struct error *err);
    /* Now and then: bytes of the file done, and its size. */
    void (*progress)(void *context, uint64_t done, uint64_t size);
};

/* Is the message a piece of an Avro file, which no Kafka message is? Then other bounds hold. */
bool feed_is_file_piece(const struct format *format, struct slice bytes, size_t *bytes_max, uint32_t *items_max);

/* False when the file cannot be read or take said so. */
bool feed_read(const struct feed_reading *reading, const char *path, struct error *err) must_check;

#endif
