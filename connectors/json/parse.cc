/* The only file that knows simdjson: its DOM interface behind the C functions of parse.h.
 *
 * What the DOM holds is read from its tape (simdjson's doc/tape.md): a word for each value, its type in the upper 8 bits and a
 * payload below, and all strings in one buffer. The classes over it make three objects for each member (a tenth of decoding). */
#include "connectors/json/parse.h"

#include "engine/base/unset.h"

#include <cstdlib>
#include <cstring>
#include <new>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <simdjson.h>
#pragma GCC diagnostic pop

using simdjson::internal::tape_type;

struct json_parser {
    simdjson::dom::parser dom;
    char *padded; /* Kafka's payloads have no slack behind them, simdjson reads past the end */
    size_t bytes_max;

    json_parser() : dom(), padded(nullptr), bytes_max(0) {}
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

static uint64_t payload(uint64_t word)
{
    return word & simdjson::internal::JSON_VALUE_MASK;
}

static_assert(JSON_SLACK <= simdjson::SIMDJSON_PADDING, "which is what the string buffer has behind the last string");

static struct slice string_at(const struct json_parser *parser, uint64_t word)
{
    const char *at = reinterpret_cast<const char *>(parser->dom.doc.string_buf.get()) + payload(word);
    uint32_t size;
    std::memcpy(&size, at, sizeof size);
    return {at + sizeof size, size};
}

/* Fills the value that stands at this place of the tape; the place behind it. */
static size_t value_at(const struct json_parser *parser, size_t at, struct json_value *value)
{
    uint64_t word = parser->dom.doc.tape[at];
    value->integer = 0;
    switch (static_cast<tape_type>(word >> 56)) {
    case tape_type::STRING:
        value->type = JSON_STRING;
        value->string = string_at(parser, word);
        return at + 1;
    case tape_type::START_OBJECT:
        value->type = JSON_OBJECT;
        value->integer = static_cast<int64_t>(at);
        return static_cast<uint32_t>(word);
    case tape_type::START_ARRAY:
        value->type = JSON_ARRAY;
        return static_cast<uint32_t>(word);
    case tape_type::INT64:
        value->type = JSON_INTEGER;
        value->integer = static_cast<int64_t>(parser->dom.doc.tape[at + 1]);
        return at + 2;
    case tape_type::UINT64: /* beyond int64: too large for any field, so it is no integer here */
    case tape_type::DOUBLE:
        value->type = JSON_REAL;
        return at + 2;
    case tape_type::TRUE_VALUE:
        value->integer = 1;
        [[fallthrough]];
    case tape_type::FALSE_VALUE:
        value->type = JSON_BOOL;
        return at + 1;
    default:
        value->type = JSON_NULL;
        return at + 1;
    }
}

extern "C" enum json_fault json_parse(struct json_parser *parser, struct slice text, struct json_value *root)
{
    if (text.size > parser->bytes_max)
        return JSON_TOO_LARGE;
    if (text.size)
        std::memcpy(parser->padded, text.data, text.size);
    std::memset(parser->padded + text.size, 0, simdjson::SIMDJSON_PADDING);
    simdjson::error_code code = parser->dom.parse(reinterpret_cast<const uint8_t *>(parser->padded), text.size, false).error();
    if (code != simdjson::SUCCESS)
        return fault_of(code);
    (void)value_at(parser, 1, root); /* behind the word that begins the document */
    return JSON_FINE;
}

extern "C" bool json_walk(const struct json_parser *parser, const struct json_value *object, json_visit_fn visit, void *context)
{
    size_t at = static_cast<size_t>(object->integer);
    size_t end = static_cast<uint32_t>(parser->dom.doc.tape[at]) - 1;
    unset struct json_value value;
    for (at++; at < end;) {
        struct slice key = string_at(parser, parser->dom.doc.tape[at]);
        at = value_at(parser, at + 1, &value);
        if (!visit(context, key, &value))
            return false;
    }
    return true;
}
