/* Walks the bytes of one record by its schema, and hands out the values that somebody asks for.
 *
 * The bytes come from outside: every length is held against what is left before anything is made of it,
 * nothing is allocated but the text of a value that was asked for, nesting has a bound, and so has the
 * number of values (an array of nulls takes no bytes, and could say that it has 2^62 of them).
 * Values are known by paths: `sender.account`; a union adds nothing to a path, the key of a map does.
 * What stands in an array is read, and nobody's: the array itself is one value without a text. */
#ifndef CONNECTORS_AVRO_BODY_H
#define CONNECTORS_AVRO_BODY_H

#include "connectors/avro/schema.h"
#include "connectors/format/fill.h"

enum { BODY_DEPTH_MAX = 64, BODY_PATH_MAX = 512 };

struct body_visit {
    void *context;
    /* Where the value of this path goes; NULL: nobody asks for it. Called for values that are given, so not
     * for null or an empty text. own is the path to tell people: keys of maps, which a customer may have
     * typed, are `*` in it. */
    struct mapping_cell *(*cell)(void *context, struct slice path, struct slice own);
};

/* How many values may be read from so many bytes: more than any message has that was not made to harm. */
uint64_t body_steps(size_t bytes);

/* Reads one record from the front of *rest, which then begins behind it. REJECT_NONE, or why not, with
 * `where` in the arena. *steps is used up. Texts are pieces of *rest or the arena's. */
enum reject_reason body_read(const struct schema_node *schema, struct slice *rest, uint64_t *steps, struct arena *arena,
                             const struct body_visit *visit, struct slice *where);

/* A zigzag variable-length number off the front; false when it is none or does not fit. */
bool body_long(struct slice *rest, int64_t *value);

#endif
