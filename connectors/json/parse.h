/* The one door to simdjson: JSON text to a small typed tree, behind a C interface.
 *
 * A parser belongs to one worker. The tree lives in the parser until the next json_parse. Strict:
 * whole documents only, UTF-8 checked, depth and size capped; numbers keep their form, so that money
 * written as a real can be told from an integer. Duplicate keys are all visible to the walk. */
#ifndef CONNECTORS_JSON_PARSE_H
#define CONNECTORS_JSON_PARSE_H

#include "engine/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Behind a string or key that many bytes may be read, whatever they are. */
enum { JSON_DEPTH_MAX = 32, JSON_SLACK = 8 };

enum json_type { JSON_NULL, JSON_BOOL, JSON_INTEGER, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

enum json_fault { JSON_FINE, JSON_BROKEN, JSON_BAD_UTF8, JSON_TOO_DEEP, JSON_TOO_LARGE };

struct json_value {
    enum json_type type;
    int64_t integer;      /* JSON_INTEGER; JSON_BOOL: 0 or 1; JSON_OBJECT: where it stands, for json_walk; else 0 */
    struct slice string;  /* JSON_STRING only: unescaped; may hold NUL */
};

struct json_parser;
struct json_parser *json_parser_new(size_t bytes_max);
void json_parser_free(struct json_parser *parser);

enum json_fault json_parse(struct json_parser *parser, struct slice text, struct json_value *root);

/* Visits an object's members in order until visit returns false; false then. */
typedef bool (*json_visit_fn)(void *context, struct slice key, const struct json_value *value);
bool json_walk(const struct json_parser *parser, const struct json_value *object, json_visit_fn visit, void *context);

#ifdef __cplusplus
}
#endif

#endif
