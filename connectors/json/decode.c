/* Decodes one JSON message into an event, or says why not and in which field. */
#include "engine/model/decode.h"

#include "connectors/json/parse.h"
#include "engine/base/invariant.h"
#include "engine/base/siphash.h"
#include "engine/base/unset.h"
#include "engine/model/fact.h"
#include "engine/model/event_field.h"
#include "engine/model/zone.h"

#include <endian.h>
#include <sodium.h>
#include <stdlib.h>

enum { KEY_ROOM = 16, KEY_WORD = 8 };

static const struct {
    char key[KEY_ROOM];
    size_t key_size;
    const char *path;
    size_t most;
} fields[EF_COUNT] = {
#define EVENT_FIELD(name, parent, key, most) {key, sizeof key - 1, parent[0] ? parent "." key : key, most},
#include "engine/model/event_field.def"
#undef EVENT_FIELD
};

enum { FACT_TEXT_BYTES_MAX = 256 };

/* Which fields a walk of one object looks for. */
enum level { LEVEL_EVENT, LEVEL_SENDER, LEVEL_RECEIVER, LEVEL_PLACE, LEVELS };
static const struct {
    enum event_field first, end;
    const char *path;
} levels[LEVELS] = {
    [LEVEL_EVENT] = {EF_ID, EF_SENDER_ACCOUNT, ""},
    [LEVEL_SENDER] = {EF_SENDER_ACCOUNT, EF_RECEIVER_ACCOUNT, "sender."},
    [LEVEL_RECEIVER] = {EF_RECEIVER_ACCOUNT, EF_PLACE_NAME, "receiver."},
    [LEVEL_PLACE] = {EF_PLACE_NAME, EF_COUNT, "place."},
};

enum { KEY_BITS = 6, KEY_PLACES = 1 << KEY_BITS };

struct decoder {
    struct decode_settings settings;
    struct json_parser *parser;
    uint8_t field_at[LEVELS][KEY_PLACES]; /* a level's fields by their keys, from key_place on; EF_COUNT: free */
};

/* One message being decoded: the texts of the fields that were there, in the parser's memory. What the event keeps of them as text
 * is copied; most are codes, numbers and times, and are not. */
struct decoding {
    const struct decoder *decoder;
    struct arena *arena;
    struct event *event;
    struct slice *text; /* per event_field, set where `seen` */
    enum level level;
    uint64_t seen; /* bit per event_field */
    bool escapes;  /* the message holds a backslash: without one no text of it can hold a NUL */
    int64_t amount_minor;
    bool withdrawn;
    struct fact *fact; /* its fields; NULL: there are none */
    enum reject_reason reason;
    const char *field;
};

/* The first letters of a key as a number, which are compared at once: memcmp takes 5 % of decoding more. */
static uint64_t key_word(const char *key, size_t size)
{
    uint64_t word;
    memcpy(&word, key, sizeof word); /* behind a shorter key lie other bytes (JSON_SLACK) */
    word = le64toh(word);
    return size >= KEY_WORD ? word : word & (((uint64_t)1 << 8 * size) - 1);
}

/* With this factor no two keys of one object share a place. */
static uint32_t key_place(uint64_t word)
{
    return (uint32_t)(word * 0x7e0ab2ed31b1c27f >> (64 - KEY_BITS));
}

static bool key_is(struct slice key, uint64_t word, enum event_field field)
{
    return key.size == fields[field].key_size && word == key_word(fields[field].key, KEY_WORD) &&
           (key.size <= KEY_WORD || memcmp(key.data + KEY_WORD, fields[field].key + KEY_WORD, key.size - KEY_WORD) == 0);
}

/* EF_COUNT when no field of the level has this key. */
static enum event_field field_find(const struct decoder *decoder, enum level level, struct slice key)
{
    const uint8_t *field_at = decoder->field_at[level];
    uint64_t word = key_word(key.data, key.size);
    uint32_t at = key_place(word);
    while (field_at[at] != EF_COUNT && !key_is(key, word, (enum event_field)field_at[at]))
        at = (at + 1) % KEY_PLACES;
    return (enum event_field)field_at[at];
}

static void place_keys(struct decoder *decoder)
{
    memset(decoder->field_at, EF_COUNT, sizeof decoder->field_at);
    for (int l = 0; l < LEVELS; l++)
        for (enum event_field field = levels[l].first; field < levels[l].end; field++) {
            uint32_t at = key_place(key_word(fields[field].key, fields[field].key_size));
            while (decoder->field_at[l][at] != EF_COUNT)
                at = (at + 1) % KEY_PLACES;
            decoder->field_at[l][at] = (uint8_t)field;
        }
}

struct decoder *decoder_new(const struct decode_settings *settings)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);
    invariant(decoder != NULL);
    decoder->settings = *settings;
    decoder->parser = json_parser_new(settings->message_bytes_max);
    invariant(decoder->parser != NULL);
    place_keys(decoder);
    return decoder;
}

void decoder_free(struct decoder *decoder)
{
    if (!decoder)
        return;
    json_parser_free(decoder->parser);
    free(decoder);
}

static bool refuse(struct decoding *d, enum reject_reason reason, const char *field)
{
    if (d->reason == REJECT_NONE) {
        d->reason = reason;
        d->field = field;
    }
    return false;
}

static bool has(const struct decoding *d, enum event_field field)
{
    return d->seen >> field & 1;
}

/* --- walking --- */

static bool take_text(struct decoding *d, enum event_field field, const struct json_value *value)
{
    d->text[field] = SLICE("");
    if (value->type == JSON_REAL || value->type == JSON_INTEGER)
        return refuse(d, field == EF_AMOUNT ? REJECT_MONEY_AS_REAL : REJECT_WRONG_TYPE, fields[field].path);
    if (value->type != JSON_STRING)
        return refuse(d, REJECT_WRONG_TYPE, fields[field].path);
    if (value->string.size == 0)
        return refuse(d, REJECT_EMPTY_TEXT, fields[field].path);
    if (d->escapes && memchr(value->string.data, '\0', value->string.size))
        return refuse(d, REJECT_NUL_CHARACTER, fields[field].path);
    if (value->string.size > fields[field].most)
        return refuse(d, REJECT_TOO_LONG, fields[field].path);
    d->text[field] = value->string;
    return true;
}

/* Empty where the message does not have it. */
static struct slice text_of(const struct decoding *d, enum event_field field)
{
    return has(d, field) ? d->text[field] : SLICE("");
}

static struct slice keep(const struct decoding *d, enum event_field field)
{
    return arena_copy(d->arena, text_of(d, field));
}

static bool take_minor(struct decoding *d, const struct json_value *value)
{
    if (value->type == JSON_REAL)
        return refuse(d, REJECT_MONEY_AS_REAL, "amount_minor");
    if (value->type != JSON_INTEGER)
        return refuse(d, REJECT_WRONG_TYPE, "amount_minor");
    d->amount_minor = value->integer;
    return true;
}

static bool take_withdrawn(struct decoding *d, const struct json_value *value)
{
    if (value->type != JSON_BOOL)
        return refuse(d, REJECT_WRONG_TYPE, "withdrawn");
    d->withdrawn = value->integer != 0;
    return true;
}

/* One member of a fact's fields: its type is the rule set's business. */
static bool walk_fact_field(void *context, struct slice key, const struct json_value *value)
{
    struct decoding *d = context;
    struct fact *fact = d->fact;
    if (key.size > FACT_NAME_MAX || fact->field_count == FACT_FIELD_MAX)
        return refuse(d, REJECT_TOO_LONG, "fields");
    for (uint32_t i = 0; i < fact->field_count; i++)
        if (slice_equal(fact->field[i].name, key))
            return refuse(d, REJECT_DUPLICATE_KEY, "fields");
    struct fact_field *field = &fact->field[fact->field_count];
    *field = (struct fact_field){.name = arena_copy(d->arena, key), .number = value->integer};
    switch (value->type) {
    case JSON_NULL:
        return true; /* the same as leaving it out */
    case JSON_STRING:
        if (value->string.size == 0)
            return refuse(d, REJECT_EMPTY_TEXT, "fields");
        if (value->string.size > FACT_TEXT_BYTES_MAX)
            return refuse(d, REJECT_TOO_LONG, "fields");
        if (memchr(value->string.data, 0, value->string.size))
            return refuse(d, REJECT_NUL_CHARACTER, "fields");
        field->form = FACT_TEXT;
        field->text = arena_copy(d->arena, value->string);
        break;
    case JSON_INTEGER:
        field->form = FACT_INTEGER;
        break;
    case JSON_BOOL:
        field->form = FACT_FLAG;
        break;
    default:
        return refuse(d, REJECT_WRONG_TYPE, "fields");
    }
    fact->field_count++;
    return true;
}

static bool take_cash(struct decoding *d, enum event_field field, const struct json_value *value)
{
    if (value->type != JSON_BOOL)
        return refuse(d, REJECT_WRONG_TYPE, fields[field].path);
    if (value->integer)
        d->event->flags |= field == EF_SENDER_CASH ? EVENT_SENDER_CASH : EVENT_RECEIVER_CASH;
    return true;
}

static bool walk_member(void *context, struct slice key, const struct json_value *value);

static bool take_object(struct decoding *d, enum level level, enum event_field field, const struct json_value *value)
{
    if (value->type != JSON_OBJECT)
        return refuse(d, REJECT_WRONG_TYPE, fields[field].path);
    enum level outer = d->level;
    d->level = level;
    bool good = json_walk(d->decoder->parser, value, walk_member, d);
    d->level = outer;
    return good;
}

static bool take_field(struct decoding *d, enum event_field field, const struct json_value *value)
{
    if (has(d, field))
        return refuse(d, REJECT_DUPLICATE_KEY, fields[field].path);
    d->seen |= (uint64_t)1 << field;
    switch (field) {
    case EF_AMOUNT_MINOR:
        return take_minor(d, value);
    case EF_SENDER:
        return take_object(d, LEVEL_SENDER, field, value);
    case EF_RECEIVER:
        return take_object(d, LEVEL_RECEIVER, field, value);
    case EF_PLACE:
        return take_object(d, LEVEL_PLACE, field, value);
    case EF_SENDER_CASH:
    case EF_RECEIVER_CASH:
        return take_cash(d, field, value);
    case EF_WITHDRAWN:
        return take_withdrawn(d, value);
    case EF_FIELDS:
        if (value->type != JSON_OBJECT)
            return refuse(d, REJECT_WRONG_TYPE, "fields");
        d->fact = ARENA_NEW(d->arena, struct fact);
        return json_walk(d->decoder->parser, value, walk_fact_field, d);
    default:
        return take_text(d, field, value);
    }
}

/* A member that Muster does not know is no fault, and no input; the bank should know that nobody reads it. */
static void note_unknown(struct decoding *d, struct slice key)
{
    const struct decode_settings *settings = &d->decoder->settings;
    if (d->event->unknown < UINT8_MAX)
        d->event->unknown++;
    if (settings->unknown)
        settings->unknown(settings->context, arena_format(d->arena, "%s%.*s", levels[d->level].path, (int)key.size, key.data));
}

static bool walk_member(void *context, struct slice key, const struct json_value *value)
{
    struct decoding *d = context;
    enum event_field field = field_find(d->decoder, d->level, key);
    if (field != EF_COUNT)
        return take_field(d, field, value);
    note_unknown(d, key);
    return true;
}

/* --- meaning --- */

static bool need(struct decoding *d, enum event_field field)
{
    return has(d, field) || refuse(d, REJECT_MISSING_FIELD, fields[field].path);
}

static bool decode_mcc(struct decoding *d)
{
    struct slice mcc = text_of(d, EF_MCC);
    for (size_t i = 0; i < mcc.size; i++) {
        if (mcc.size != 4 || mcc.data[i] < '0' || mcc.data[i] > '9')
            return refuse(d, REJECT_BAD_MCC, "mcc");
        d->event->mcc = (uint16_t)(d->event->mcc * 10 + (mcc.data[i] - '0'));
    }
    return true;
}

static bool decode_purpose(struct decoding *d)
{
    struct slice purpose = text_of(d, EF_PURPOSE);
    for (size_t i = 0; i < purpose.size; i++) {
        char c = purpose.data[i];
        if (purpose.size != EVENT_PURPOSE_MAX || !((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
            return refuse(d, REJECT_BAD_CODE, "purpose");
        d->event->purpose[i] = c;
    }
    return true;
}

static bool decode_codes(struct decoding *d)
{
    struct event *event = d->event;
    if (has(d, EF_KIND) && !(event->kind = (uint8_t)event_kind_parse(d->text[EF_KIND])))
        return refuse(d, REJECT_BAD_CODE, "kind");
    if (has(d, EF_CHANNEL) && !(event->channel = (uint8_t)event_channel_parse(d->text[EF_CHANNEL])))
        return refuse(d, REJECT_BAD_CODE, "channel");
    event->status = STATUS_SETTLED;
    if (has(d, EF_STATUS) && !(event->status = (uint8_t)event_status_parse(d->text[EF_STATUS])))
        return refuse(d, REJECT_BAD_CODE, "status");
    return decode_mcc(d) && decode_purpose(d);
}

static bool decode_country(struct decoding *d, enum event_field field, country_code *out)
{
    if (has(d, field) && !(*out = country_parse(d->text[field])))
        return refuse(d, REJECT_BAD_COUNTRY, fields[field].path);
    return true;
}

static bool decode_amount(struct decoding *d)
{
    struct event *event = d->event;
    if (!need(d, EF_CURRENCY))
        return false;
    event->currency = currency_parse(d->text[EF_CURRENCY]);
    if (!event->currency)
        return refuse(d, REJECT_BAD_CURRENCY, "currency");
    if (has(d, EF_AMOUNT) && has(d, EF_AMOUNT_MINOR))
        return refuse(d, REJECT_AMOUNT_TWICE, "amount_minor");
    if (has(d, EF_AMOUNT_MINOR)) {
        event->amount_minor = d->amount_minor;
        return d->amount_minor > 0 || refuse(d, REJECT_BAD_AMOUNT, "amount_minor");
    }
    if (!need(d, EF_AMOUNT))
        return false;
    switch (money_parse(d->text[EF_AMOUNT], event->currency, &event->amount_minor)) {
    case MONEY_OK:
        return true;
    case MONEY_OVERFLOW:
        return refuse(d, REJECT_AMOUNT_OVERFLOW, "amount");
    case MONEY_BAD:
        break;
    }
    return refuse(d, REJECT_BAD_AMOUNT, "amount");
}

static bool decode_time(struct decoding *d, const struct message *message)
{
    struct event *event = d->event;
    if (!need(d, EF_TIME))
        return false;
    if (!time_parse(d->text[EF_TIME], &event->time_ms))
        return refuse(d, REJECT_BAD_TIME, "time");
    event->broker_ms = message->broker_ms;
    if (message->broker_ms != MISSING_I64 && event->time_ms > message->broker_ms + d->decoder->settings.future_ms_max)
        return refuse(d, REJECT_FUTURE, "time");
    return true;
}

static bool decode_ends(struct decoding *d)
{
    struct event *event = d->event;
    bool sender_cash = event->flags & EVENT_SENDER_CASH, receiver_cash = event->flags & EVENT_RECEIVER_CASH;
    if (sender_cash && receiver_cash)
        return refuse(d, REJECT_CASH_BOTH, "receiver.cash");
    if (sender_cash && has(d, EF_SENDER_ACCOUNT))
        return refuse(d, REJECT_CASH_ACCOUNT, "sender.account");
    if (receiver_cash && has(d, EF_RECEIVER_ACCOUNT))
        return refuse(d, REJECT_CASH_ACCOUNT, "receiver.account");
    if (!has(d, EF_SENDER_ACCOUNT) && !has(d, EF_RECEIVER_ACCOUNT) && !has(d, EF_SENDER_PARTY) && !has(d, EF_RECEIVER_PARTY))
        return refuse(d, REJECT_NO_SIDES, "sender");
    if (event->kind == KIND_MISSING)
        event->kind = receiver_cash ? KIND_CASH_OUT : sender_cash ? KIND_CASH_IN : KIND_TRANSFER;
    return decode_country(d, EF_SENDER_COUNTRY, &event->sender_country) &&
           decode_country(d, EF_RECEIVER_COUNTRY, &event->receiver_country) &&
           decode_country(d, EF_PLACE_COUNTRY, &event->place_country);
}

static void decode_flow(struct event *event)
{
    if (event->kind == KIND_REFUND || event->status == STATUS_REFUNDED)
        event->flow = FLOW_REFUND;
    else if (event->kind == KIND_REVERSAL || event->status == STATUS_REVERSED)
        event->flow = FLOW_REVERSAL;
    else
        event->flow = event->status == STATUS_SETTLED ? FLOW_SETTLED : FLOW_NONE;
}

/* --- hashes --- */

/* A word in front keeps kinds and lengths apart: ("ab", "c") never meets ("a", "bc"). */
static struct hash128 hash_two(const struct decoder *decoder, uint32_t kind, struct slice first, struct slice second)
{
    unset char room[512];
    unset struct hash128 hash;
    uint32_t head[2] = {kind, (uint32_t)first.size};
    invariant(sizeof head + first.size + second.size <= sizeof room);
    memcpy(room, head, sizeof head);
    memcpy(room + sizeof head, first.data, first.size);
    if (second.size)
        memcpy(room + sizeof head + first.size, second.data, second.size);
    (void)crypto_shorthash_siphashx24((unsigned char *)&hash, (unsigned char *)room, sizeof head + first.size + second.size, decoder->settings.hash_key);
    return hash;
}

enum { HASH_ID = 100, HASH_JOIN = 101, HASH_FACT = 102 };

struct hash128 decoder_entity_hash(const struct decoder *decoder, enum entity_kind kind, struct slice text)
{
    return hash_two(decoder, kind, text, SLICE(""));
}

static void decode_refs(struct decoding *d)
{
    static const uint8_t field[REF_COUNT] = {
        [REF_SENDER] = EF_SENDER_ACCOUNT,         [REF_RECEIVER] = EF_RECEIVER_ACCOUNT,
        [REF_SENDER_PARTY] = EF_SENDER_PARTY,     [REF_RECEIVER_PARTY] = EF_RECEIVER_PARTY,
        [REF_SENDER_DEVICE] = EF_SENDER_DEVICE,   [REF_RECEIVER_DEVICE] = EF_RECEIVER_DEVICE,
        [REF_SENDER_PHONE] = EF_SENDER_PHONE,     [REF_RECEIVER_PHONE] = EF_RECEIVER_PHONE,
        [REF_SENDER_ADDRESS] = EF_SENDER_ADDRESS, [REF_RECEIVER_ADDRESS] = EF_RECEIVER_ADDRESS,
        [REF_TERMINAL] = EF_TERMINAL,             [REF_PLACE] = EF_PLACE_NAME,
    };
    unset struct named named[REF_COUNT];
    struct event *event = d->event;
    uint32_t count = 0;
    for (int r = 0; r < REF_COUNT; r++) {
        if (!has(d, (enum event_field)field[r]))
            continue;
        struct slice text = keep(d, (enum event_field)field[r]);
        named[count++] = (struct named){text, decoder_entity_hash(d->decoder, ref_kind((enum event_ref)r), text)};
        event->named_refs |= (uint32_t)1 << r;
    }
    event->named = arena_bytes(d->arena, count * sizeof *named);
    memcpy(event->named, named, count * sizeof *named);
}

static void decode_identity(struct decoding *d, const struct message *message)
{
    struct event *event = d->event;
    event->id = keep(d, EF_ID);
    event->narrative = keep(d, EF_NARRATIVE);
    event->end_to_end = keep(d, EF_END_TO_END);
    event->refers_to = keep(d, EF_REFERS_TO);
    event->position = message->position;
    event->body = message->body;
    event->id_hash = hash_two(d->decoder, HASH_ID, event->source, event->id);
    event->body_hash = siphash_1_3(d->decoder->settings.hash_key, message->body);
    if (event->end_to_end.size && event->flow == FLOW_SETTLED) {
        int64_t money[2] = {event->amount_minor, event->currency};
        event->join_hash =
            hash_two(d->decoder, HASH_JOIN, event->end_to_end, (struct slice){(const char *)money, sizeof money});
    }
}

static bool decode_source(struct decoding *d, const struct message *message)
{
    d->event->source = message->source.size ? message->source : keep(d, EF_SOURCE);
    return d->event->source.size || refuse(d, REJECT_SOURCE_MISSING, "source");
}

static void decode_base(struct decoding *d)
{
    struct event *event = d->event;
    if (rates_convert(d->decoder->settings.rates, event->currency, event->amount_minor, event->time_ms, &event->amount_base))
        return;
    event->amount_base = MISSING_I64;
    event->flags |= EVENT_NO_RATE;
}

/* A fact: dated by valid_from, which may lie in the future; its id is its place, for a correction is
 * another message with the same key and never a repeat. */
static bool decode_fact(struct decoding *d, const struct message *message)
{
    struct event *event = d->event;
    if (!need(d, EF_SUBJECT) || !need(d, EF_VALID_FROM))
        return false;
    if (!time_parse(d->text[EF_VALID_FROM], &event->time_ms))
        return refuse(d, REJECT_BAD_TIME, "valid_from");
    if (!d->withdrawn && !need(d, EF_FIELDS))
        return false;
    struct fact *fact = d->fact ? d->fact : ARENA_NEW(d->arena, struct fact);
    fact->name = keep(d, EF_FACT);
    fact->subject = keep(d, EF_SUBJECT);
    fact->withdrawn = d->withdrawn;
    fact->memory = UINT16_MAX;
    event->fact = fact;
    event->named = ARENA_ARRAY(d->arena, struct named, REF_COUNT); /* the rule set says what a fact names */
    event->flow = FLOW_FACT;
    event->broker_ms = message->broker_ms;
    event->amount_base = MISSING_I64;
    event->position = message->position;
    event->body = message->body;
    event->id = arena_format(d->arena, "fact-%u-%lld", message->position.partition, (long long)message->position.offset);
    event->id_hash = hash_two(d->decoder, HASH_FACT, event->source, event->id);
    event->body_hash = siphash_1_3(d->decoder->settings.hash_key, message->body);
    return true;
}

static bool decode_event(struct decoding *d, const struct message *message)
{
    if (!need(d, EF_ID) || !decode_codes(d) || !decode_amount(d) || !decode_time(d, message) || !decode_ends(d))
        return false;
    decode_flow(d->event);
    decode_refs(d);
    decode_identity(d, message);
    decode_base(d);
    return true;
}

static bool decode_parse(struct decoding *d, const struct message *message, struct json_value *root)
{
    if (message->body.size == 0)
        return refuse(d, REJECT_EMPTY, "");
    d->escapes = memchr(message->body.data, '\\', message->body.size) != NULL;
    switch (json_parse(d->decoder->parser, message->body, root)) {
    case JSON_FINE:
        return root->type == JSON_OBJECT || refuse(d, REJECT_NOT_OBJECT, "");
    case JSON_BROKEN:
        return refuse(d, REJECT_NOT_JSON, "");
    case JSON_BAD_UTF8:
        return refuse(d, REJECT_BAD_UTF8, "");
    case JSON_TOO_DEEP:
        return refuse(d, REJECT_TOO_DEEP, "");
    case JSON_TOO_LARGE:
        return refuse(d, REJECT_TOO_LARGE, "");
    }
    return refuse(d, REJECT_NOT_JSON, "");
}

enum reject_reason decoder_decode(struct decoder *decoder, const struct message *message, struct arena *arena,
                                  struct event *event, struct slice *field)
{
    unset struct slice text[EF_COUNT];
    struct decoding d = {.decoder = decoder, .arena = arena, .event = event, .text = text, .level = LEVEL_EVENT, .field = ""};
    struct json_value root;
    memset(event, 0, sizeof *event);
    bool good = decode_parse(&d, message, &root) && json_walk(decoder->parser, &root, walk_member, &d) && decode_source(&d, message);
    bool fact = has(&d, EF_FACT);
    if (good && fact && message->expects == EXPECT_EVENT)
        (void)refuse(&d, REJECT_FACT_NOT_HERE, "fact");
    else if (good && !fact && message->expects == EXPECT_FACT)
        (void)refuse(&d, REJECT_FACT_EXPECTED, "fact");
    else if (good)
        (void)(fact ? decode_fact(&d, message) : decode_event(&d, message));
    if (d.reason != REJECT_NONE && !fact)
        event->id = keep(&d, EF_ID); /* so that the bank knows which one was refused */
    *field = slice_of(d.field);
    return d.reason;
}
