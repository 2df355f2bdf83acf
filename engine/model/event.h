/* An event is one report of one movement of money, decoded: the noun that flows through Muster.
 *
 * Shape: decode fills it from bytes, but what is marked so `own` (engine/stream) fills in.
 * Texts are slices into the batch's memory and die with the batch; what outlives a batch is a
 * dense id (entity), an integer, or a record of the log. Missing is a value of its own for every
 * field (see the MISSING constants): never zero by accident.
 * 320 bytes; one array of them per batch, written by the worker that owns the index. */
#ifndef ENGINE_MODEL_EVENT_H
#define ENGINE_MODEL_EVENT_H

#include "engine/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* Missing values. Integers that may be anything use INT64_MIN; small codes use 0. */
#define MISSING_I64 INT64_MIN

enum event_kind {
    KIND_MISSING,
#define EVENT_KIND(name) KIND_##name,
#include "engine/model/event_kind.def"
#undef EVENT_KIND
    KIND_COUNT
};

enum event_channel {
    CHANNEL_MISSING,
#define EVENT_CHANNEL(name) CHANNEL_##name,
#include "engine/model/event_channel.def"
#undef EVENT_CHANNEL
    CHANNEL_COUNT
};

enum event_status {
    STATUS_MISSING,
#define EVENT_STATUS(name) STATUS_##name,
#include "engine/model/event_status.def"
#undef EVENT_STATUS
    STATUS_COUNT
};

/* The flow an event belongs to (RULES 7): settled movements, refunds and reversals are sources of
 * their own; everything else (initiated, pending, rejected) moves nothing and is no source. */
enum event_flow { FLOW_NONE, FLOW_SETTLED, FLOW_REFUND, FLOW_REVERSAL, FLOW_FACT /* no movement: engine/model/fact.h */ };

/* The kinds of thing that an event names and that rules key on or count. */
enum entity_kind {
    ENTITY_ACCOUNT,
    ENTITY_PARTY,
    ENTITY_DEVICE,
    ENTITY_PHONE,
    ENTITY_ADDRESS,
    ENTITY_TERMINAL,
    ENTITY_PLACE,
    ENTITY_KIND_COUNT
};

/* An entity id is dense within its virtual shard: (ordinal << 8) | shard, ordinal from 1.
 * 0 is missing. Ids never reach a result: outputs carry the text behind them. */
typedef uint32_t entity_id;
enum { ENTITY_MISSING = 0, SHARD_COUNT = 256 };

static inline uint32_t entity_shard(entity_id id)
{
    return id & (SHARD_COUNT - 1);
}

/* The entity fields of an event, in the order of RULES 6: the sender's side, then the receiver's. */
enum event_ref {
    REF_SENDER, /* account */
    REF_RECEIVER,
    REF_SENDER_PARTY,
    REF_RECEIVER_PARTY,
    REF_SENDER_DEVICE,
    REF_RECEIVER_DEVICE,
    REF_SENDER_PHONE,
    REF_RECEIVER_PHONE,
    REF_SENDER_ADDRESS,
    REF_RECEIVER_ADDRESS,
    REF_TERMINAL,
    REF_PLACE,
    REF_COUNT
};

enum entity_kind ref_kind(enum event_ref ref);

/* SipHash-2-4-128 of outside text; the key is the state's own, so hashes never reach a result. */
struct hash128 {
    uint64_t lo, hi;
};

/* What an event names as one of its refs. */
struct named {
    struct slice text;
    struct hash128 hash; /* of (entity kind, text) */
};

/* Where an event came from. Partitions are numbered by the run (see struct partition). A message of a
 * bank's own format may hold many events (engine/model/format.h): `item` counts them, from 0. */
struct position {
    uint32_t partition; /* index into the run's partition table */
    uint32_t item;      /* inside the message at this offset */
    int64_t offset;     /* Kafka offset, or line number from 1 of a file */
};

/* Two-letter country "KE" as 10 bits: (first - 'A') * 26 + (second - 'A') + 1; 0 is missing. */
typedef uint16_t country_code;
/* Currency as its index in engine/model/currency.def plus 1; 0 is missing. */
typedef uint16_t currency_code;

enum { EVENT_PURPOSE_MAX = 4 };

enum event_flag {
    EVENT_SENDER_CASH = 1 << 0,   /* the sender's end is cash: not an account */
    EVENT_RECEIVER_CASH = 1 << 1, /* the receiver's end is cash */
    EVENT_NO_RATE = 1 << 2,       /* no rate for the day: amount_base is missing */
    EVENT_LATE = 1 << 3,          /* beyond the lateness of its own partition (RULES 3); set by own */
    EVENT_JOINED = 1 << 4,        /* a second report of a payment (RULES 7); set by own */
    EVENT_FACT_ODD = 1 << 5,      /* a fact with a value of another type than the rule set declares */
};

/* What became of an event: every event ends in exactly one. */
enum event_outcome { OUTCOME_SCORED, OUTCOME_JOINED, OUTCOME_REPEATED, OUTCOME_REJECTED, OUTCOME_COUNT };

/* Its numbers come first, in two lines of the cache, and of these the ones that most visits read in the one: a batch holds thousands of
 * events, and each is met again for every key that it concerns. */
struct event {
    /* filled by decode, but what says `own` */
    int64_t time_ms;       /* UTC, milliseconds since 1970 */
    int64_t amount_base;   /* in base minor units, or MISSING_I64 with EVENT_NO_RATE */
    uint64_t seq;          /* own: number in the world's order, from 1 */
    currency_code currency;
    uint16_t mcc;          /* 0 is missing */
    country_code sender_country, receiver_country, place_country;
    uint8_t kind, channel, status, flow; /* enum event_kind, _channel, _status, _flow */
    uint8_t outcome;       /* own: enum event_outcome */
    uint8_t reject_reason; /* own: enum reject_reason when rejected */
    uint32_t flags;        /* enum event_flag */
    uint32_t joined_same;  /* own: with EVENT_JOINED: bit r set where ref r was named equal by the first,
                            * bit REF_COUNT + r where the first named it at the other end */
    entity_id ref[REF_COUNT]; /* own */
    uint64_t text_true;    /* bit i: text i of the rule set matches the narrative */
    uint64_t text_unknown; /* bit i: text i hit a PCRE2 limit, or the narrative is missing */
    int64_t amount_minor;  /* in `currency`'s minor units, > 0 */
    struct fact *fact;     /* with FLOW_FACT; else NULL */

    int64_t broker_ms;     /* arrival at the broker; MISSING_I64 in files without one */
    struct position position;
    struct hash128 id_hash;   /* of (source, id) */
    uint64_t body_hash;       /* SipHash-1-3 of the whole message body: tells a repeat from a conflict */
    struct hash128 join_hash; /* of (end-to-end reference, amount, currency); zero: cannot join */
    struct slice source;      /* who feeds: from the topic or file, never from the payload in Kafka */
    struct slice id;
    struct slice narrative;   /* matched at decode; not kept beyond the batch and the log */
    struct slice end_to_end;
    struct slice refers_to;   /* id of the event this one changes the status of */
    struct slice body;        /* the JSON text of the event, for log and rejection */
    struct named *named;      /* what it names as its refs, in their order: few of them (event_named) */
    uint32_t named_refs;      /* bit per event_ref that is named */
    char purpose[EVENT_PURPOSE_MAX];    /* ISO 20022 purpose code "SALA", zero-filled; zero: missing */
    uint8_t unknown;          /* members that were given and are not known; 255 is 255 or more */
    char pad[15];             /* to whole lines: so that every event of an array lies alike */
};
enum { EVENT_NUMBERS = 128 }; /* bytes of its numbers */
_Static_assert(offsetof(struct event, broker_ms) == EVENT_NUMBERS && sizeof(struct event) % 64 == 0, "two lines of numbers, whole lines");

/* An event takes part in scoring, and belongs into the log, unless it is a repeat or was refused. */
static inline bool event_active(const struct event *event)
{
    return event->outcome == OUTCOME_SCORED || event->outcome == OUTCOME_JOINED;
}

/* What the event names as `ref`; NULL: nothing. */
const struct named *event_named(const struct event *event, enum event_ref ref);
struct slice event_ref_text(const struct event *event, enum event_ref ref); /* empty when nothing */
/* Names a ref, anew if need be; event->named has room for it. */
void event_name(struct event *event, enum event_ref ref, struct slice text, struct hash128 hash);

/* event_name_* give the words used in JSON, SQL, rules and the console; never NULL. */
const char *event_kind_name(enum event_kind kind);
const char *event_channel_name(enum event_channel channel);
const char *event_status_name(enum event_status status);
/* event_*_parse return the MISSING member when the word is unknown. */
enum event_kind event_kind_parse(struct slice word);
enum event_channel event_channel_parse(struct slice word);
enum event_status event_status_parse(struct slice word);

country_code country_parse(struct slice two_letters); /* 0 when not an ISO 3166-1 code in the table */
void country_name(country_code code, char out[3]);

currency_code currency_parse(struct slice three_letters); /* 0 when unknown */
const char *currency_name(currency_code code);            /* "USD" */
int currency_decimals(currency_code code);                /* 0..4 minor-unit digits */

#endif
