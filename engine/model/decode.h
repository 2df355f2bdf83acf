/* The decode seam: bytes of one message to an event or a rejection. Implemented by connectors/json.
 *
 * A decoder belongs to one worker (it owns a parser and a padded copy buffer). Slices of the event
 * point into `arena`, its body and source are the message's. All hashes are computed with `hash_key`. */
#ifndef ENGINE_MODEL_DECODE_H
#define ENGINE_MODEL_DECODE_H

#include "engine/base/arena.h"
#include "engine/model/event.h"
#include "engine/model/money.h"
#include "engine/model/reject.h"

/* What a message may hold: a bank's topic holds no facts, a topic of facts no events; a file both. */
enum message_expects { EXPECT_EITHER, EXPECT_EVENT, EXPECT_FACT };

/* How an event came out of a message of another format (engine/model/format.h). */
struct translated {
    enum reject_reason reason; /* REJECT_NONE: body is canonical JSON; else there is no event to decode */
    struct slice field;        /* with a reason: where, in the terms of the bank's own format */
    struct slice raw;          /* the piece of the message that it came from, for a rejection to show */
    const struct slice *own;   /* per event_field what the bank calls it, EF_COUNT of them; or NULL */
};

/* A message that is no event moves its partition's position all the same; its body is empty. */
enum message_mark {
    MARK_NONE,      /* an event, or what should be one */
    MARK_HEARTBEAT, /* a feeder with nothing to send says that it lives */
    MARK_GAP,       /* the end of offsets that held nothing for us */
};

struct message {
    struct slice body;
    struct slice source;     /* configured for the topic; empty in files: then the body names it */
    struct position position;
    int64_t broker_ms;       /* MISSING_I64 when there is none */
    enum message_mark mark;
    enum message_expects expects;
    const struct translated *translated; /* NULL: the body is as it came */
};

struct decode_settings {
    const struct rates *rates;
    size_t message_bytes_max;     /* 64 KiB by default */
    int64_t future_ms_max;        /* 5 minutes */
    /* Told of each member that is given but unknown, by its path; NULL: they are only counted. */
    void (*unknown)(void *context, struct slice path);
    void *context;
    unsigned char hash_key[16];
};

enum { REJECT_FIELD_MAX = 64 };

struct decoder;
struct decoder *decoder_new(const struct decode_settings *settings);
void decoder_free(struct decoder *decoder);
/* The hash under which an entity's text is known: what decode gives in event.ref_hash. */
struct hash128 decoder_entity_hash(const struct decoder *decoder, enum entity_kind kind, struct slice text);
/* REJECT_NONE: event is filled (own's part zeroed, text masks zero). Else `field` names the JSON path
 * (in arena, "" for the whole message), and event has nothing but the id, where that could be read. */
enum reject_reason decoder_decode(struct decoder *decoder, const struct message *message, struct arena *arena,
                                  struct event *event, struct slice *field);

/* decoder_decode for messages of any format: a translation that was refused stays refused, and a field
 * is named in the terms of the bank's own format. */
enum reject_reason message_decode(struct decoder *decoder, const struct message *message, struct arena *arena,
                                  struct event *event, struct slice *field);
/* The bytes that a rejection of this message shows: as the bank sent them. */
struct slice message_raw(const struct message *message);

#endif
