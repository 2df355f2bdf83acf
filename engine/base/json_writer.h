/* Writes JSON text into a growing buffer: small, deterministic, commas by itself.
 *
 * Members come out in the order of the calls. Control characters, quotes, and invalid UTF-8 (as
 * U+FFFD) are escaped. The buffer is the caller's to keep; memory is taken as needed. */
#ifndef ENGINE_BASE_JSON_WRITER_H
#define ENGINE_BASE_JSON_WRITER_H

#include "engine/base/slice.h"

struct json_writer {
    char *text;
    size_t size, room;
    bool comma; /* the next member or element needs one */
};

void json_writer_init(struct json_writer *writer);
void json_writer_fini(struct json_writer *writer);
void json_writer_reset(struct json_writer *writer);

/* A NULL name writes an array's element (or the root). */
void json_open_object(struct json_writer *writer, const char *name);
void json_close_object(struct json_writer *writer);
void json_open_array(struct json_writer *writer, const char *name);
void json_close_array(struct json_writer *writer);
void json_text(struct json_writer *writer, const char *name, struct slice text);
void json_number(struct json_writer *writer, const char *name, int64_t number);
void json_real(struct json_writer *writer, const char *name, double number); /* six decimals; finite */
void json_bool(struct json_writer *writer, const char *name, bool yes);
void json_null(struct json_writer *writer, const char *name);
void json_hex(struct json_writer *writer, const char *name, const unsigned char *bytes, size_t size);
void json_line(struct json_writer *writer); /* ends an NDJSON line */

#endif
