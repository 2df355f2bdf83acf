/* The fields of a canonical event by number, as event_field.def lists them: for the decoder, and for
 * translators that make canonical events from a bank's own format.
 *
 * The members of one parent stand together: the event's own first, then sender, receiver, place. */
#ifndef ENGINE_MODEL_EVENT_FIELD_H
#define ENGINE_MODEL_EVENT_FIELD_H

#include "engine/base/slice.h"

#include <stdbool.h>

enum event_field {
#define EVENT_FIELD(name, parent, key, most) EF_##name,
#include "engine/model/event_field.def"
#undef EVENT_FIELD
    EF_COUNT
};

const char *event_field_key(enum event_field field);  /* "account" */
const char *event_field_path(enum event_field field); /* "sender.account" */
size_t event_field_most(enum event_field field);      /* bytes of text; 0: not a text */
/* Whether it is a member of a fact: no translator makes one. */
bool event_field_is_fact(enum event_field field);
/* EF_COUNT when an event has no such path. */
enum event_field event_field_parse(struct slice path);

#endif
