/* Reads recorded streams line by line: NDJSON as it is, .gz, .zst, or standard input ("-").
 *
 * A reader belongs to one thread. Memory is bounded: of a line longer than line_max only the first
 * line_max + 1 bytes are given on, so that decoding refuses it as TOO_LARGE. Empty lines are skipped
 * but counted, so offsets are line numbers from 1. */
#ifndef CONNECTORS_FILE_READER_H
#define CONNECTORS_FILE_READER_H

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/model/decode.h"

struct file_reader;

struct file_reader *file_reader_open(const char *path, size_t line_max, struct error *err) must_check;
void file_reader_close(struct file_reader *reader);

/* Up to max lines, bodies copied into arena, position.offset the line number, source empty,
 * broker_ms missing. *count 0: the end. Fits struct replay_input (self is the reader). */
bool file_reader_read(void *reader, struct arena *arena, struct message *messages, uint32_t max, uint32_t *count,
                      struct error *err) must_check;

/* Exactly `want` unpacked bytes into `into`, *got less only at the end: for formats that are no lines. Not
 * to be mixed with lines. */
bool file_reader_bytes(struct file_reader *reader, char *into, size_t want, size_t *got, struct error *err) must_check;

/* Bytes of the file consumed so far, and its size (0 when unknown): for progress. */
void file_reader_progress(const struct file_reader *reader, uint64_t *done, uint64_t *size);

#endif
