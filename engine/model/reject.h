/* Reasons for which an event is refused; declared once in reject.def. */
#ifndef ENGINE_MODEL_REJECT_H
#define ENGINE_MODEL_REJECT_H

#include "engine/model/event.h"

enum reject_reason {
    REJECT_NONE,
#define REJECT(code, says) REJECT_##code,
#include "engine/model/reject.def"
#undef REJECT
    REJECT_COUNT
};

const char *reject_code(enum reject_reason reason); /* "DUPLICATE_KEY"; "NONE" for REJECT_NONE */
const char *reject_says(enum reject_reason reason); /* one sentence for the bank */

/* A rejection: kept in PostgreSQL with position, reason, field and (bounded) bytes. */
struct rejection {
    struct position position;
    enum reject_reason reason;
    struct slice field; /* JSON path such as "sender.account"; empty when the whole message is meant */
    struct slice body;  /* the bytes as they came */
    struct slice source;
    struct slice id;    /* the event's own, where it could be read; else empty */
    int64_t arrived_ms; /* the broker's time; MISSING_I64 where it has none */
};

#endif
