/* The one door to expat: an XML message as a small tree.
 *
 * Hostile input is refused, never worked on: a DOCTYPE (so there are no entities to expand), more than
 * XML_DEPTH_MAX levels, more than XML_NODES_MAX elements. Comments and processing instructions are
 * skipped, namespaces resolved. Only leaves keep text, trimmed. A reader belongs to one thread. */
#ifndef CONNECTORS_ISO20022_XML_H
#define CONNECTORS_ISO20022_XML_H

#include "engine/base/arena.h"
#include "engine/model/reject.h"

enum { XML_DEPTH_MAX = 32, XML_NODES_MAX = 65536 };

struct xml_node {
    struct slice space;        /* the namespace; empty: none */
    struct slice name;         /* the local name */
    struct slice text;         /* of a leaf */
    struct slice currency;     /* the attribute Ccy */
    struct xml_node *child, *last, *next; /* first and last child, next sibling */
    size_t begin, end;         /* its bytes in the message */
    bool used;                 /* looked at by whoever reads the tree */
};

struct xml_reader;
struct xml_reader *xml_reader_new(void);
void xml_reader_free(struct xml_reader *reader);

/* REJECT_NONE: *root is the outermost element, in arena. Else *line says where, from 1. */
enum reject_reason xml_read(struct xml_reader *reader, struct slice bytes, struct arena *arena, struct xml_node **root,
                            uint64_t *line);

/* The first child of this name in the same namespace; NULL when there is none (or no node). */
struct xml_node *xml_child(const struct xml_node *node, struct slice name);
/* The next sibling of the same name and namespace. */
struct xml_node *xml_again(const struct xml_node *node);

#endif
