/* The words of an event's codes: kinds, channels, statuses, countries, currencies. */
#include "engine/model/event.h"

static const struct slice kind_names[KIND_COUNT] = {
    {"MISSING", sizeof "MISSING" - 1},
#define EVENT_KIND(name) {#name, sizeof #name - 1},
#include "engine/model/event_kind.def"
#undef EVENT_KIND
};

static const struct slice channel_names[CHANNEL_COUNT] = {
    {"MISSING", sizeof "MISSING" - 1},
#define EVENT_CHANNEL(name) {#name, sizeof #name - 1},
#include "engine/model/event_channel.def"
#undef EVENT_CHANNEL
};

static const struct slice status_names[STATUS_COUNT] = {
    {"MISSING", sizeof "MISSING" - 1},
#define EVENT_STATUS(name) {#name, sizeof #name - 1},
#include "engine/model/event_status.def"
#undef EVENT_STATUS
};

struct currency {
    char name[4];
    int decimals;
};

static const struct currency currencies[] = {
#define CURRENCY(code, digits) {#code, digits},
#include "engine/model/currency.def"
#undef CURRENCY
};

enum { CURRENCY_TOTAL = sizeof currencies / sizeof currencies[0], LETTERS = 26 };

static const bool country_known[LETTERS * LETTERS] = {
#define COUNTRY(first, second) [(first - 'A') * LETTERS + (second - 'A')] = true,
#include "engine/model/country.def"
#undef COUNTRY
};

/* Index of word among names, from 1 on; 0 when it is none of them. */
static int word_find(const struct slice *names, int count, struct slice word)
{
    for (int i = 1; i < count; i++)
        if (slice_equal(word, names[i]))
            return i;
    return 0;
}

/* Three letters as a number: these have the order of the words. */
static uint32_t letters_number(const char letters[4])
{
    return (uint32_t)(unsigned char)letters[0] << 16 | (uint32_t)(unsigned char)letters[1] << 8 | (unsigned char)letters[2];
}

const char *event_kind_name(enum event_kind kind)
{
    return kind < KIND_COUNT ? kind_names[kind].data : kind_names[0].data;
}

const char *event_channel_name(enum event_channel channel)
{
    return channel < CHANNEL_COUNT ? channel_names[channel].data : channel_names[0].data;
}

const char *event_status_name(enum event_status status)
{
    return status < STATUS_COUNT ? status_names[status].data : status_names[0].data;
}

enum event_kind event_kind_parse(struct slice word)
{
    return (enum event_kind)word_find(kind_names, KIND_COUNT, word);
}

enum event_channel event_channel_parse(struct slice word)
{
    return (enum event_channel)word_find(channel_names, CHANNEL_COUNT, word);
}

enum event_status event_status_parse(struct slice word)
{
    return (enum event_status)word_find(status_names, STATUS_COUNT, word);
}

enum entity_kind ref_kind(enum event_ref ref)
{
    static const uint8_t kinds[REF_COUNT] = {
        [REF_SENDER] = ENTITY_ACCOUNT,          [REF_RECEIVER] = ENTITY_ACCOUNT,
        [REF_SENDER_PARTY] = ENTITY_PARTY,      [REF_RECEIVER_PARTY] = ENTITY_PARTY,
        [REF_SENDER_DEVICE] = ENTITY_DEVICE,    [REF_RECEIVER_DEVICE] = ENTITY_DEVICE,
        [REF_SENDER_PHONE] = ENTITY_PHONE,      [REF_RECEIVER_PHONE] = ENTITY_PHONE,
        [REF_SENDER_ADDRESS] = ENTITY_ADDRESS,  [REF_RECEIVER_ADDRESS] = ENTITY_ADDRESS,
        [REF_TERMINAL] = ENTITY_TERMINAL,       [REF_PLACE] = ENTITY_PLACE,
    };
    return (enum entity_kind)kinds[ref];
}

/* How many refs before this one are named. */
static uint32_t named_before(const struct event *event, enum event_ref ref)
{
    return (uint32_t)__builtin_popcount(event->named_refs & (((uint32_t)1 << ref) - 1));
}

const struct named *event_named(const struct event *event, enum event_ref ref)
{
    return event->named_refs >> ref & 1 ? &event->named[named_before(event, ref)] : NULL;
}

struct slice event_ref_text(const struct event *event, enum event_ref ref)
{
    const struct named *named = event_named(event, ref);
    return named ? named->text : SLICE("");
}

void event_name(struct event *event, enum event_ref ref, struct slice text, struct hash128 hash)
{
    struct named *at = &event->named[named_before(event, ref)];
    if (!event_named(event, ref))
        memmove(at + 1, at, (named_before(event, REF_COUNT) - named_before(event, ref)) * sizeof *at);
    event->named_refs |= (uint32_t)1 << ref;
    *at = (struct named){text, hash};
}

country_code country_parse(struct slice two_letters)
{
    if (two_letters.size != 2)
        return 0;
    unsigned first = (unsigned char)two_letters.data[0] - 'A', second = (unsigned char)two_letters.data[1] - 'A';
    bool known = first < LETTERS && second < LETTERS && country_known[first * LETTERS + second];
    return known ? (country_code)(first * LETTERS + second + 1) : 0;
}

void country_name(country_code code, char out[3])
{
    out[0] = (char)(code ? 'A' + (code - 1) / LETTERS : '?');
    out[1] = (char)(code ? 'A' + (code - 1) % LETTERS : '?');
    out[2] = '\0';
}

currency_code currency_parse(struct slice three_letters)
{
    if (three_letters.size != 3)
        return 0;
    uint32_t number = letters_number(three_letters.data);
    size_t from = 0, to = CURRENCY_TOTAL;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        uint32_t have = letters_number(currencies[middle].name);
        if (number == have)
            return (currency_code)(middle + 1);
        if (number < have)
            to = middle;
        else
            from = middle + 1;
    }
    return 0;
}

const char *currency_name(currency_code code)
{
    return code >= 1 && code <= CURRENCY_TOTAL ? currencies[code - 1].name : "???";
}

int currency_decimals(currency_code code)
{
    return code >= 1 && code <= CURRENCY_TOTAL ? currencies[code - 1].decimals : 2;
}
