/* An Avro schema, from its JSON to nodes that a reader of bodies walks.
 *
 * Schemas come from others (a registry, a bank's file), so all is bounded: bytes of text, nodes, nesting,
 * length of names. Names resolve with their namespaces; aliases, defaults and docs mean nothing to a
 * reader that goes by the writer's own schema. A logical type that does not fit is ignored, as Avro says.
 *
 * Immutable once read; lives in the arena that it was read into. */
#ifndef CONNECTORS_AVRO_SCHEMA_H
#define CONNECTORS_AVRO_SCHEMA_H

#include "engine/base/arena.h"

enum {
    SCHEMA_BYTES_MAX = 1 << 18,
    SCHEMA_NODES_MAX = 8192,
    SCHEMA_DEPTH_MAX = 32,
    SCHEMA_NAME_MAX = 128,
    SCHEMA_MEMBERS_MAX = 4096, /* fields of a record, symbols of an enum, branches of a union */
    SCHEMA_FIXED_MAX = 1 << 20,
    SCHEMA_SCALE_MAX = 38,     /* digits behind the point of a decimal */
};

enum schema_type {
    SCHEMA_NULL,
    SCHEMA_BOOLEAN,
    SCHEMA_INT,
    SCHEMA_LONG,
    SCHEMA_FLOAT,
    SCHEMA_DOUBLE,
    SCHEMA_BYTES,
    SCHEMA_STRING,
    SCHEMA_FIXED,
    SCHEMA_ENUM,
    SCHEMA_ARRAY,
    SCHEMA_MAP,
    SCHEMA_UNION,
    SCHEMA_RECORD,
};

/* What a value means beyond its type. */
enum schema_logical {
    LOGICAL_NONE,
    LOGICAL_DECIMAL,      /* bytes, fixed: an unscaled whole number, big-endian */
    LOGICAL_DATE,         /* days since 1970-01-01 */
    LOGICAL_TIME_MS,      /* since midnight */
    LOGICAL_TIME_US,
    LOGICAL_TIMESTAMP_MS, /* since 1970-01-01 UTC */
    LOGICAL_TIMESTAMP_US,
    LOGICAL_TIMESTAMP_NS,
    LOGICAL_LOCAL_MS,     /* the same by a wall clock whose zone is not said */
    LOGICAL_LOCAL_US,
    LOGICAL_LOCAL_NS,
};

struct schema_node;

struct schema_member {
    struct slice name;              /* of a field or symbol; empty: a branch, or an element */
    const struct schema_node *node; /* NULL: a symbol */
};

struct schema_node {
    enum schema_type type;
    enum schema_logical logical;
    uint32_t size;                       /* bytes of a fixed */
    uint32_t scale;                      /* of a decimal */
    const struct schema_member *member;  /* fields, symbols, branches; of an array or map its element */
    uint32_t member_count;
};

/* NULL when the text is no schema that can be taken: then *wrong says why in plain words. */
const struct schema_node *schema_read(struct slice text, struct arena *arena, struct slice *wrong);

/* Whether a record of this schema may hold the path ("sender.account"), whatever choices its unions make. */
bool schema_has(const struct schema_node *node, struct slice path);

#endif
