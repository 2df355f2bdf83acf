/* A fact is a dated statement about an account or a party: opened on, declared income band, licence.
 *
 * It comes as a message of its own, keyed by (fact, subject, valid from), takes its place in the
 * sequence like an event (struct event with FLOW_FACT), and is read by rules like a memory: the newest
 * row not after the event. A row with the same day replaces the one before; a withdrawn one goes.
 * Decode fills the upper part; engine/stream/fact.c the lower one, for only the rule set knows types. */
#ifndef ENGINE_MODEL_FACT_H
#define ENGINE_MODEL_FACT_H

#include "engine/model/event.h"

enum { FACT_FIELD_MAX = 16, FACT_NAME_MAX = 64, FACT_VALUE_MAX = 8 };

enum fact_form { FACT_TEXT, FACT_INTEGER, FACT_FLAG };

/* One member of `fields`, as it was sent. */
struct fact_field {
    struct slice name;
    enum fact_form form;
    struct slice text;   /* FACT_TEXT */
    int64_t number;      /* FACT_INTEGER; FACT_FLAG: 0 or 1 */
};

struct fact {
    struct slice name, subject;
    bool withdrawn;
    uint32_t field_count;
    struct fact_field field[FACT_FIELD_MAX];

    /* --- filled by binding --- */
    uint16_t memory;               /* of the program; UINT16_MAX: no rule reads this fact */
    uint8_t subject_ref;           /* enum event_ref of the subject */
    int64_t value[FACT_VALUE_MAX]; /* MISSING_I64 when missing or of another type than declared */
    uint8_t value_ref[FACT_VALUE_MAX]; /* the ref that carries an entity; REF_COUNT: value[] holds it */
};

#endif
