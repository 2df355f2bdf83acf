/* Reads schemas with jansson and resolves their names. */
#include "connectors/avro/schema.h"

#include "engine/base/invariant.h"

#include <jansson.h>
#include <stdlib.h>

struct named {
    struct slice name; /* with its namespace */
    const struct schema_node *node;
};

struct reading {
    struct arena *arena;
    struct named *named;
    uint32_t named_count, node_count;
    struct slice wrong;
};

static const struct schema_node *read_any(struct reading *r, const json_t *json, struct slice space, unsigned depth);

/* Only the first fault is told; returns NULL. */
#define WRONG(r, ...) ((r)->wrong.size ? NULL : ((r)->wrong = arena_format((r)->arena, __VA_ARGS__), NULL))

static struct schema_node *node_new(struct reading *r, enum schema_type type)
{
    if (r->node_count == SCHEMA_NODES_MAX)
        return WRONG(r, "the schema has more than %d parts", SCHEMA_NODES_MAX);
    r->node_count++;
    struct schema_node *node = ARENA_NEW(r->arena, struct schema_node);
    node->type = type;
    return node;
}

/* --- names --- */

static struct slice text_of(const json_t *json)
{
    return json_is_string(json) ? (struct slice){json_string_value(json), json_string_length(json)} : SLICE("");
}

static bool is_name(struct slice text, bool dotted)
{
    bool begins = true;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (dotted && c == '.' && !begins) {
            begins = true;
            continue;
        }
        if (!letter && (begins || c < '0' || c > '9'))
            return false;
        begins = false;
    }
    return !begins && text.size <= SCHEMA_NAME_MAX;
}

/* The namespace of a full name: what stands before its last point. */
static struct slice space_of(struct slice name)
{
    while (name.size && name.data[name.size - 1] != '.')
        name.size--;
    name.size -= name.size > 0;
    return name;
}

static struct slice full_name(struct arena *arena, struct slice name, struct slice space)
{
    if (space.size == 0 || memchr(name.data, '.', name.size))
        return name;
    return arena_format(arena, "%.*s.%.*s", (int)space.size, space.data, (int)name.size, name.data);
}

static const struct schema_node *find_named(const struct reading *r, struct slice name)
{
    for (uint32_t i = 0; i < r->named_count; i++)
        if (slice_equal(r->named[i].name, name))
            return r->named[i].node;
    return NULL;
}

/* Notes a record, enum or fixed under its full name; *space becomes its namespace. */
static bool name_node(struct reading *r, const json_t *json, struct slice *space, const struct schema_node *node)
{
    struct slice name = text_of(json_object_get(json, "name")), own = text_of(json_object_get(json, "namespace"));
    if (!is_name(name, true) || (own.size && !is_name(own, true)))
        return WRONG(r, "a name in the schema is missing, longer than %d letters, or not of letters, digits and _", SCHEMA_NAME_MAX) != NULL;
    name = arena_copy(r->arena, full_name(r->arena, name, json_object_get(json, "namespace") ? own : *space));
    if (find_named(r, name))
        return WRONG(r, "the schema defines %.*s twice", (int)name.size, name.data) != NULL;
    r->named[r->named_count++] = (struct named){name, node};
    *space = space_of(name);
    return true;
}

static const struct schema_node *read_name(struct reading *r, struct slice name, struct slice space)
{
    static const char *const primitives[] = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"};
    for (int i = 0; i < 8; i++)
        if (slice_equal(name, slice_of(primitives[i])))
            return node_new(r, (enum schema_type)i);
    if (!is_name(name, true))
        return WRONG(r, "a type in the schema is no name");
    const struct schema_node *node = find_named(r, full_name(r->arena, name, space));
    node = node ? node : find_named(r, name);
    return node ? node : WRONG(r, "the schema names a type that it does not define: %.*s", (int)name.size, name.data);
}

/* --- logical types --- */

static enum schema_logical logical_of(struct slice word, enum schema_type type)
{
    static const struct {
        const char *word;
        enum schema_type type;
        enum schema_logical logical;
    } known[] = {
        {"decimal", SCHEMA_BYTES, LOGICAL_DECIMAL},
        {"decimal", SCHEMA_FIXED, LOGICAL_DECIMAL},
        {"date", SCHEMA_INT, LOGICAL_DATE},
        {"time-millis", SCHEMA_INT, LOGICAL_TIME_MS},
        {"time-micros", SCHEMA_LONG, LOGICAL_TIME_US},
        {"timestamp-millis", SCHEMA_LONG, LOGICAL_TIMESTAMP_MS},
        {"timestamp-micros", SCHEMA_LONG, LOGICAL_TIMESTAMP_US},
        {"timestamp-nanos", SCHEMA_LONG, LOGICAL_TIMESTAMP_NS},
        {"local-timestamp-millis", SCHEMA_LONG, LOGICAL_LOCAL_MS},
        {"local-timestamp-micros", SCHEMA_LONG, LOGICAL_LOCAL_US},
        {"local-timestamp-nanos", SCHEMA_LONG, LOGICAL_LOCAL_NS},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].type == type && slice_equal(word, slice_of(known[i].word)))
            return known[i].logical;
    return LOGICAL_NONE;
}

static void read_logical(const json_t *json, struct schema_node *node)
{
    enum schema_logical logical = logical_of(text_of(json_object_get(json, "logicalType")), node->type);
    const json_t *scale = json_object_get(json, "scale"), *precision = json_object_get(json, "precision");
    if (logical == LOGICAL_DECIMAL) {
        json_int_t digits = json_integer_value(precision), behind = json_integer_value(scale); /* 0 when missing */
        if ((scale && !json_is_integer(scale)) || digits < 1 || behind < 0 || behind > digits || behind > SCHEMA_SCALE_MAX)
            return;
        node->scale = (uint32_t)behind;
    }
    node->logical = logical;
}

/* --- types that are made of others --- */

static struct schema_member *members_new(struct reading *r, struct schema_node *node, const json_t *list, const char *what)
{
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count > SCHEMA_MEMBERS_MAX)
        return WRONG(r, "the %s of the schema are missing or more than %d", what, SCHEMA_MEMBERS_MAX);
    struct schema_member *member = ARENA_ARRAY(r->arena, struct schema_member, count + 1);
    node->member = member;
    node->member_count = (uint32_t)count;
    return member;
}

static const struct schema_node *read_union(struct reading *r, const json_t *json, struct slice space, unsigned depth)
{
    struct schema_node *node = node_new(r, SCHEMA_UNION);
    struct schema_member *member = node ? members_new(r, node, json, "branches of a union") : NULL;
    if (!member)
        return NULL;
    for (uint32_t i = 0; i < node->member_count; i++) {
        member[i].node = read_any(r, json_array_get(json, i), space, depth);
        if (!member[i].node)
            return NULL;
        if (member[i].node->type == SCHEMA_UNION)
            return WRONG(r, "a union of the schema holds a union");
    }
    return node;
}

static bool name_twice(const struct schema_member *member, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (slice_equal(member[i].name, member[count].name))
            return true;
    return false;
}

static const struct schema_node *read_record(struct reading *r, const json_t *json, struct slice space, unsigned depth)
{
    struct schema_node *node = node_new(r, SCHEMA_RECORD);
    const json_t *fields = json_object_get(json, "fields");
    struct schema_member *member = node && name_node(r, json, &space, node) ? members_new(r, node, fields, "fields of a record") : NULL;
    if (!member)
        return NULL;
    for (uint32_t i = 0; i < node->member_count; i++) {
        const json_t *field = json_array_get(fields, i);
        struct slice name = text_of(json_object_get(field, "name"));
        if (!is_name(name, false))
            return WRONG(r, "the name of a field in the schema is missing, longer than %d letters, or not of letters, digits and _", SCHEMA_NAME_MAX);
        member[i].name = arena_copy(r->arena, name);
        if (name_twice(member, i))
            return WRONG(r, "a record of the schema has the field %.*s twice", (int)name.size, name.data);
        member[i].node = read_any(r, json_object_get(field, "type"), space, depth);
        if (!member[i].node)
            return NULL;
    }
    return node;
}

static const struct schema_node *read_enum(struct reading *r, const json_t *json, struct slice space)
{
    struct schema_node *node = node_new(r, SCHEMA_ENUM);
    const json_t *symbols = json_object_get(json, "symbols");
    struct schema_member *member = node && name_node(r, json, &space, node) ? members_new(r, node, symbols, "symbols of an enum") : NULL;
    if (!member)
        return NULL;
    for (uint32_t i = 0; i < node->member_count; i++) {
        struct slice symbol = text_of(json_array_get(symbols, i));
        if (!is_name(symbol, false))
            return WRONG(r, "a symbol of an enum in the schema is no name");
        member[i].name = arena_copy(r->arena, symbol);
    }
    return node;
}

static const struct schema_node *read_fixed(struct reading *r, const json_t *json, struct slice space)
{
    struct schema_node *node = node_new(r, SCHEMA_FIXED);
    json_int_t size = json_integer_value(json_object_get(json, "size"));
    if (!node || !name_node(r, json, &space, node))
        return NULL;
    if (!json_is_integer(json_object_get(json, "size")) || size < 0 || size > SCHEMA_FIXED_MAX)
        return WRONG(r, "the size of a fixed in the schema is missing or more than %d bytes", SCHEMA_FIXED_MAX);
    node->size = (uint32_t)size;
    read_logical(json, node);
    return node;
}

static const struct schema_node *read_elements(struct reading *r, enum schema_type type, const json_t *element, struct slice space, unsigned depth)
{
    struct schema_node *node = node_new(r, type);
    struct schema_member *member = node ? ARENA_NEW(r->arena, struct schema_member) : NULL;
    if (!member || !(member->node = read_any(r, element, space, depth)))
        return NULL;
    node->member = member;
    node->member_count = 1;
    return node;
}

static const struct schema_node *read_object(struct reading *r, const json_t *json, struct slice space, unsigned depth)
{
    const json_t *type = json_object_get(json, "type");
    struct slice word = text_of(type);
    if (!json_is_string(type))
        return type ? read_any(r, type, space, depth) : WRONG(r, "a part of the schema has no type");
    if (slice_equal(word, SLICE("record")) || slice_equal(word, SLICE("error")))
        return read_record(r, json, space, depth);
    if (slice_equal(word, SLICE("enum")))
        return read_enum(r, json, space);
    if (slice_equal(word, SLICE("fixed")))
        return read_fixed(r, json, space);
    if (slice_equal(word, SLICE("array")))
        return read_elements(r, SCHEMA_ARRAY, json_object_get(json, "items"), space, depth);
    if (slice_equal(word, SLICE("map")))
        return read_elements(r, SCHEMA_MAP, json_object_get(json, "values"), space, depth);
    uint32_t before = r->node_count;
    const struct schema_node *node = read_name(r, word, space);
    if (!node || r->node_count == before)
        return node; /* a name: whatever else stands here is not its own */
    struct schema_node *primitive = ARENA_NEW(r->arena, struct schema_node);
    *primitive = *node;
    read_logical(json, primitive);
    return primitive;
}

static const struct schema_node *read_any(struct reading *r, const json_t *json, struct slice space, unsigned depth)
{
    if (depth == SCHEMA_DEPTH_MAX)
        return WRONG(r, "the schema is nested more than %d deep", SCHEMA_DEPTH_MAX);
    if (json_is_string(json))
        return read_name(r, text_of(json), space);
    if (json_is_array(json))
        return read_union(r, json, space, depth + 1);
    if (json_is_object(json))
        return read_object(r, json, space, depth + 1);
    return WRONG(r, "a part of the schema has no type");
}

const struct schema_node *schema_read(struct slice text, struct arena *arena, struct slice *wrong)
{
    struct reading r = {.arena = arena, .wrong = SLICE("")};
    json_error_t fault;
    *wrong = SLICE("");
    if (text.size > SCHEMA_BYTES_MAX) {
        *wrong = arena_format(arena, "the schema is longer than %d bytes", SCHEMA_BYTES_MAX);
        return NULL;
    }
    json_t *json = json_loadb(text.data ? text.data : "", text.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
    if (!json) {
        *wrong = SLICE("the schema is not valid JSON");
        return NULL;
    }
    r.named = calloc(SCHEMA_NODES_MAX, sizeof *r.named);
    invariant(r.named);
    const struct schema_node *node = read_any(&r, json, SLICE(""), 0);
    json_decref(json);
    free(r.named);
    *wrong = r.wrong;
    invariant((node == NULL) == (wrong->size > 0));
    return node;
}

/* --- paths --- */

/* Members that are records or unions are looked into as often as the path has parts: a schema cannot make it longer. */
static bool has(const struct schema_node *node, struct slice path, unsigned *steps)
{
    if (*steps == 0)
        return false;
    --*steps;
    if (path.size == 0)
        return true;
    if (node->type == SCHEMA_MAP)
        return true;
    if (node->type == SCHEMA_UNION)
        for (uint32_t i = 0; i < node->member_count; i++)
            if (has(node->member[i].node, path, steps))
                return true;
    if (node->type != SCHEMA_RECORD)
        return false;
    const char *point = memchr(path.data, '.', path.size);
    struct slice name = {path.data, point ? (size_t)(point - path.data) : path.size};
    struct slice rest = {path.data + name.size + (point != NULL), path.size - name.size - (point != NULL)};
    for (uint32_t i = 0; i < node->member_count; i++)
        if (slice_equal(node->member[i].name, name))
            return has(node->member[i].node, rest, steps);
    return false;
}

bool schema_has(const struct schema_node *node, struct slice path)
{
    unsigned steps = SCHEMA_NODES_MAX;
    return has(node, path, &steps);
}
