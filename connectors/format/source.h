/* A source around another one: messages of topics whose banks send a format of their own come out as
 * canonical events, whole messages at a time.
 *
 * The journal counts offsets, so the events of one message never stand in two blocks: what no longer
 * fits waits for the next poll, and a message with more than FORMAT_ITEMS_MAX events is refused (a
 * block holds at least that many). read_range translates in the same way, so recovery sees the same
 * events. A schema registry that does not answer is ERROR_RETRY from poll: nothing is skipped.
 * Takes the inner source and the formats into its care. Used by the source thread. */
#ifndef CONNECTORS_FORMAT_SOURCE_H
#define CONNECTORS_FORMAT_SOURCE_H

#include "engine/model/format.h"
#include "engine/model/seam.h"

struct format_topic {
    const char *topic;                /* outlives the source */
    const struct format *format;      /* NULL: canonical JSON */
    struct format_unknowns *unknowns; /* outlives the source; counted while it reads */
};

struct format_source_settings {
    struct source *source;
    const struct format_topic *topic; /* topics that are not listed are canonical JSON */
    uint32_t topic_count;
    size_t message_bytes_max;
    uint32_t items_max;               /* FORMAT_ITEMS_MAX, but for tests; poll's max is never less */
};

/* Never NULL. */
struct source *format_source_open(const struct format_source_settings *settings);

#endif
