/* The only file that knows simdjson: its DOM interface behind the C functions of parse.h. */
#include "connectors/json/parse.h"

#include <cstdlib>
#include <cstring>
#include <new>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <simdjson.h>
#pragma GCC diagnostic pop

using simdjson::dom::element;
using simdjson::dom::element_type;

struct json_parser {
    simdjson::dom::parser dom;
    char *padded; /* Kafka's payloads have no slack behind them, simdjson reads past the end */
    size_t bytes_max;
    element root;

    json_parser() : dom(), padded(nullptr), bytes_max(0), root() {}
};

extern "C" struct json_parser *json_parser_new(size_t bytes_max)
{
    auto *parser = new (std::nothrow) json_parser();
    if (!parser)
        return nullptr;
    parser->bytes_max = bytes_max;
    parser->padded = static_cast<char *>(std::calloc(1, bytes_max + simdjson::SIMDJSON_PADDING));
    if (!parser->padded || parser->dom.allocate(bytes_max, JSON_DEPTH_MAX) != simdjson::SUCCESS) {
        json_parser_free(parser);
        return nullptr;
    }
    return parser;
}

extern "C" void json_parser_free(struct json_parser *parser)
{
    if (!parser)
        return;
    std::free(parser->padded);
    delete parser;
}

static json_fault fault_of(simdjson::error_code code)
{
    switch (code) {
    case simdjson::UTF8_ERROR:
        return JSON_BAD_UTF8;
    case simdjson::DEPTH_ERROR:
        return JSON_TOO_DEEP;
    case simdjson::CAPACITY:
        return JSON_TOO_LARGE;
    default:
        return JSON_BROKEN;
    }
}

static void value_of(const element &from, struct json_value *value)
{
    std::memset(value, 0, sizeof *value);
    switch (from.type()) {
    case element_type::NULL_VALUE:
        value->type = JSON_NULL;
        return;
    case element_type::BOOL:
        value->type = JSON_BOOL;
        value->integer = bool(from.get_bool().value_unsafe());
        return;
    case element_type::INT64:
        value->type = JSON_INTEGER;
        value->integer = from.get_int64().value_unsafe();
        return;
    case element_type::UINT64: /* beyond int64: too large for any field, so it is no integer here */
    case element_type::DOUBLE:
        value->type = JSON_REAL;
        return;
    case element_type::STRING: {
        std::string_view text = from.get_string().value_unsafe();
        value->type = JSON_STRING;
        value->string = {text.data(), text.size()};
        return;
    }
    case element_type::ARRAY:
        value->type = JSON_ARRAY;
        return;
    case element_type::OBJECT:
        value->type = JSON_OBJECT;
        return;
    }
}

extern "C" enum json_fault json_parse(struct json_parser *parser, struct slice text, struct json_value *root)
{
    if (text.size > parser->bytes_max)
        return JSON_TOO_LARGE;
    if (text.size)
        std::memcpy(parser->padded, text.data, text.size);
    std::memset(parser->padded + text.size, 0, simdjson::SIMDJSON_PADDING);
    simdjson::error_code code =
        parser->dom.parse(reinterpret_cast<const uint8_t *>(parser->padded), text.size, false).get(parser->root);
    if (code != simdjson::SUCCESS)
        return fault_of(code);
    value_of(parser->root, root);
    root->inside = &parser->root;
    return JSON_FINE;
}

extern "C" bool json_walk(const struct json_value *object, json_visit_fn visit, void *context)
{
    const element *from = static_cast<const element *>(object->inside);
    simdjson::dom::object members = from->get_object().value_unsafe();
    for (auto member : members) {
        struct json_value value;
        value_of(member.value, &value);
        value.inside = &member.value; /* lives as long as this turn of the loop */
        if (!visit(context, {member.key.data(), member.key.size()}, &value))
            return false;
    }
    return true;
}
