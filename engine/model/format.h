/* The format seam: a translator turns the bytes of one message, in a bank's own format, into canonical
 * JSON events, which connectors/json then decodes as ever: log, rejections, repeats and replay know
 * one format only.
 *
 * A message may hold many events, and each has its own fate: a text of canonical JSON, or a reason with
 * the field in the terms of the bank's format. What a translator does not know is counted, never fatal.
 * Every message gives at least one item, so that nothing is silently lost. What it gives depends on
 * the bytes alone: reading a message again (recovery) gives the same items.
 *
 * Canonical JSON itself needs no translator: a NULL format. A translator is used by one thread. */
#ifndef ENGINE_MODEL_FORMAT_H
#define ENGINE_MODEL_FORMAT_H

#include "engine/base/json_writer.h"
#include "engine/model/decode.h"
#include "engine/model/event_field.h"

#include <stdatomic.h>

enum {
    FORMAT_ITEMS_MAX = 4096,  /* events in one message; a constant, for recovery must refuse the same */
    FORMAT_UNKNOWN_MAX = 64,  /* different names of unknown fields that are kept; more are only counted */
    FORMAT_NAME_MAX = 96,
};

/* Fields that a translator met and does not know: `total` may be read by any thread, names by the
 * translator's own. */
struct format_unknowns {
    atomic_uint_least64_t total;
    uint32_t count;
    struct {
        char name[FORMAT_NAME_MAX];
        uint64_t times;
    } entry[FORMAT_UNKNOWN_MAX];
};

/* What comes out of one message. Memory is the arena's, but for the array of items. */
struct format_item {
    struct slice text;             /* canonical JSON; empty when refused */
    struct translated *translated;
};
struct format_output {
    struct arena *arena;
    struct format_unknowns *unknowns;
    uint32_t most;                 /* items at most */
    struct format_item *item;
    uint32_t count, room;
    bool overflowed;               /* there were more than `most` */
    struct json_writer writer;
};

/* What one row or record says: per field what the bank calls it, what it holds, and what becomes of it
 * (or why nothing does). */
struct format_shown {
    struct slice own, given, field, made;
};

struct format {
    void *self;
    const char *name;
    /* False only when the world failed (a schema registry that does not answer: ERROR_RETRY); then out
     * is not to be used. Items copy what they need of the bytes. */
    bool (*translate)(void *self, struct slice bytes, struct format_output *out, struct error *err);
    /* For people: `muster feed --dry-run` shows ten rows of what a mapping makes. bytes is one message; row
     * counts from 0. False when there is no such row. NULL: there is no mapping to show. */
    bool (*show)(void *self, struct slice bytes, uint32_t row, struct arena *arena, struct format_shown shown[EF_COUNT], uint32_t *count);
    void (*close)(void *self);
};

/* Counts a name; names beyond the room, or longer than it, only in the total. */
void format_unknowns_add(struct format_unknowns *unknowns, struct slice name);

void format_output_init(struct format_output *out);
void format_output_fini(struct format_output *out);

/* Runs the translator over one message into out->arena, with its bounds: larger than bytes_max, more
 * than `most` items, or none at all become one refused item. */
bool format_translate(const struct format *format, struct slice bytes, size_t bytes_max, struct format_output *out,
                      struct error *err) must_check;

/* --- for translators --- */

/* An event in the making: texts by field, and what the bank calls each field. */
struct draft {
    struct slice text[EF_COUNT]; /* empty: not given */
    const struct slice *own;     /* EF_COUNT names, the arena's or the format's; NULL: the canonical ones */
    struct slice raw;            /* the piece of the message it is made from */
};

/* What the bank calls a field; the canonical path where it has no name for it. */
struct slice format_own_name(const struct slice *own, enum event_field field);
/* Adds the draft as canonical JSON; as refused where a text is no UTF-8. */
void format_add(struct format_output *out, const struct draft *draft);
/* Adds a piece of the message as refused. */
void format_refuse(struct format_output *out, enum reject_reason reason, struct slice field, struct slice raw);
/* Counts a field that is given but unknown. */
void format_unknown(struct format_output *out, struct slice name);

#endif
