/* The only file that knows expat. */
#include "connectors/iso20022/xml.h"

#include "engine/base/invariant.h"

#include <expat.h>
#include <stdlib.h>

static const char space_mark = '\n'; /* between namespace and name: neither may hold one */

struct xml_reader {
    XML_Parser parser;
    struct arena *arena;
    struct xml_node *root;
    struct xml_node *open[XML_DEPTH_MAX];
    uint32_t depth, nodes;
    char *text;               /* of the innermost open element, up to its first child */
    size_t text_size, text_room;
    enum reject_reason reason;
};

static void give_up(struct xml_reader *reader, enum reject_reason reason)
{
    if (reader->reason == REJECT_NONE)
        reader->reason = reason;
    (void)XML_StopParser(reader->parser, XML_FALSE);
}

/* --- the tree --- */

static void name_node(struct xml_reader *reader, struct xml_node *node, const struct xml_node *parent, struct slice full)
{
    const char *mark = memchr(full.data, space_mark, full.size);
    size_t space = mark ? (size_t)(mark - full.data) : 0;
    struct slice name = mark ? (struct slice){mark + 1, full.size - space - 1} : full;
    node->name = arena_copy(reader->arena, name);
    if (parent && slice_equal(parent->space, (struct slice){full.data, space}))
        node->space = parent->space;
    else
        node->space = arena_copy(reader->arena, (struct slice){full.data, space});
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attribute)
{
    struct xml_reader *reader = context;
    struct xml_node *parent = reader->depth ? reader->open[reader->depth - 1] : NULL;
    if (reader->depth == XML_DEPTH_MAX) {
        give_up(reader, REJECT_TOO_DEEP);
        return;
    }
    if (reader->nodes++ == XML_NODES_MAX) {
        give_up(reader, REJECT_TOO_LARGE);
        return;
    }
    struct xml_node *node = ARENA_NEW(reader->arena, struct xml_node);
    name_node(reader, node, parent, slice_of(name));
    for (; *attribute; attribute += 2)
        if (strcmp(attribute[0], "Ccy") == 0)
            node->currency = arena_copy(reader->arena, slice_of(attribute[1]));
    node->begin = (size_t)XML_GetCurrentByteIndex(reader->parser);
    if (!parent)
        reader->root = node;
    else if (parent->last)
        parent->last = parent->last->next = node;
    else
        parent->child = parent->last = node;
    reader->open[reader->depth++] = node;
    reader->text_size = 0;
}

static struct slice trimmed(struct slice text)
{
    static const char blanks[] = " \t\r\n";
    while (text.size && memchr(blanks, text.data[0], 4))
        text.data++, text.size--;
    while (text.size && memchr(blanks, text.data[text.size - 1], 4))
        text.size--;
    return text;
}

static void on_end(void *context, const XML_Char *name)
{
    struct xml_reader *reader = context;
    struct xml_node *node = reader->open[--reader->depth];
    (void)name;
    if (!node->child)
        node->text = arena_copy(reader->arena, trimmed((struct slice){reader->text, reader->text_size}));
    node->end = (size_t)XML_GetCurrentByteIndex(reader->parser) + (size_t)XML_GetCurrentByteCount(reader->parser);
    reader->text_size = 0;
}

static void on_text(void *context, const XML_Char *text, int size)
{
    struct xml_reader *reader = context;
    size_t needed = reader->text_size + (size_t)size;
    if (needed > reader->text_room) {
        reader->text_room = needed * 2 + 256;
        reader->text = realloc(reader->text, reader->text_room);
        invariant(reader->text);
    }
    memcpy(reader->text + reader->text_size, text, (size_t)size);
    reader->text_size = needed;
}

static void on_doctype(void *context, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    give_up(context, REJECT_XML_DOCTYPE);
}

/* --- reading --- */

static void prepare(struct xml_reader *reader)
{
    XML_SetUserData(reader->parser, reader);
    XML_SetElementHandler(reader->parser, on_start, on_end);
    XML_SetCharacterDataHandler(reader->parser, on_text);
    XML_SetStartDoctypeDeclHandler(reader->parser, on_doctype);
}

struct xml_reader *xml_reader_new(void)
{
    struct xml_reader *reader = calloc(1, sizeof *reader);
    invariant(reader);
    reader->parser = XML_ParserCreateNS(NULL, space_mark);
    invariant(reader->parser);
    return reader;
}

void xml_reader_free(struct xml_reader *reader)
{
    if (!reader)
        return;
    XML_ParserFree(reader->parser);
    free(reader->text);
    free(reader);
}

enum reject_reason xml_read(struct xml_reader *reader, struct slice bytes, struct arena *arena, struct xml_node **root, uint64_t *line)
{
    invariant(bytes.size <= INT32_MAX && XML_ParserReset(reader->parser, NULL) == XML_TRUE);
    prepare(reader);
    reader->arena = arena;
    reader->root = NULL;
    reader->depth = reader->nodes = 0;
    reader->text_size = 0;
    reader->reason = REJECT_NONE;
    if (XML_Parse(reader->parser, bytes.data, (int)bytes.size, XML_TRUE) != XML_STATUS_OK && reader->reason == REJECT_NONE)
        reader->reason = REJECT_NOT_XML;
    *root = reader->root;
    *line = XML_GetCurrentLineNumber(reader->parser);
    return reader->reason;
}

struct xml_node *xml_child(const struct xml_node *node, struct slice name)
{
    struct xml_node *child = node ? node->child : NULL;
    while (child && !(slice_equal(child->name, name) && slice_equal(child->space, node->space)))
        child = child->next;
    return child;
}

struct xml_node *xml_again(const struct xml_node *node)
{
    struct xml_node *next = node->next;
    while (next && !(slice_equal(next->name, node->name) && slice_equal(next->space, node->space)))
        next = next->next;
    return next;
}
