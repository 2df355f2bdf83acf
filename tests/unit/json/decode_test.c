/* What is wrong in an event -> what is said: every reason of engine/model/reject.def, with its field. */
#include "engine/base/arena.h"
#include "engine/model/decode.h"
#include "engine/model/fact.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define T "\"time\":\"2026-03-02T10:00:00Z\","
#define M "\"amount\":\"5.00\",\"currency\":\"USD\","
#define S "\"sender\":{\"account\":\"A\"}"
#define OK "{\"id\":\"1\",\"source\":\"b\"," T M S

static const struct {
    const char *json, *reason, *field;
} rows[] = {
    {OK "}", "NONE", ""},
    {"", "EMPTY", ""},
    {"{", "NOT_JSON", ""},
    {"this is not JSON", "NOT_JSON", ""},
    {"[]", "NOT_OBJECT", ""},
    {"42", "NOT_OBJECT", ""},
    {"null", "NOT_OBJECT", ""},
    {OK "} {}", "NOT_JSON", ""},
    {OK ",}", "NOT_JSON", ""},
    {OK ",\"x\":tru}", "NOT_JSON", ""},
    {OK ",\"x\":01}", "NOT_JSON", ""},
    {OK ",\"x\":NaN}", "NOT_JSON", ""},
    {"\xEF\xBB\xBF" OK "}", "NOT_JSON", ""},
    {OK ",\"narrative\":\"\xFF\xFE\"}", "BAD_UTF8", ""},
    {OK ",\"narrative\":\"\xC0\xAF\"}", "BAD_UTF8", ""},
    {OK ",\"narrative\":\"a\\u0000b\"}", "NUL_CHARACTER", "narrative"},
    {"{\"id\":\"a\\u0000\",\"source\":\"b\"," T M S "}", "NUL_CHARACTER", "id"},
    {OK ",\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", "TOO_DEEP", ""},
    {OK ",\"id\":\"2\"}", "DUPLICATE_KEY", "id"},
    {OK ",\"sender\":{\"account\":\"B\"}}", "DUPLICATE_KEY", "sender"},
    {OK ",\"receiver\":{\"account\":\"B\",\"account\":\"C\"}}", "DUPLICATE_KEY", "receiver.account"},
    {OK ",\"place\":{\"name\":\"x\",\"name\":\"y\"}}", "DUPLICATE_KEY", "place.name"},
    {"{\"source\":\"b\"," T M S "}", "MISSING_FIELD", "id"},
    {"{\"id\":\"1\"," T M S "}", "SOURCE_MISSING", "source"},
    {"{\"id\":\"1\",\"source\":\"b\"," M S "}", "MISSING_FIELD", "time"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"currency\":\"USD\"," S "}", "MISSING_FIELD", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"5.00\"," S "}", "MISSING_FIELD", "currency"},
    {"{\"id\":1,\"source\":\"b\"," T M S "}", "WRONG_TYPE", "id"},
    {"{\"id\":null,\"source\":\"b\"," T M S "}", "WRONG_TYPE", "id"},
    {"{\"id\":\"\",\"source\":\"b\"," T M S "}", "EMPTY_TEXT", "id"},
    {OK ",\"receiver\":\"B\"}", "WRONG_TYPE", "receiver"},
    {OK ",\"receiver\":[\"B\"]}", "WRONG_TYPE", "receiver"},
    {OK ",\"receiver\":{\"account\":7}}", "WRONG_TYPE", "receiver.account"},
    {OK ",\"receiver\":{\"cash\":\"yes\"}}", "WRONG_TYPE", "receiver.cash"},
    {OK ",\"place\":\"Nairobi\"}", "WRONG_TYPE", "place"},
    {OK ",\"terminal\":\"12345678901234567890123456789012345678901234567890123456789012345\"}", "TOO_LONG", "terminal"},
    {OK ",\"purpose\":\"SALARY\"}", "TOO_LONG", "purpose"},
    {OK ",\"mcc\":\"70110\"}", "TOO_LONG", "mcc"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":5.00,\"currency\":\"USD\"," S "}", "MONEY_AS_REAL", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":5,\"currency\":\"USD\"," S "}", "MONEY_AS_REAL", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":1e2,\"currency\":\"USD\"," S "}", "MONEY_AS_REAL", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount_minor\":5.5,\"currency\":\"USD\"," S "}", "MONEY_AS_REAL", "amount_minor"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount_minor\":18446744073709551615,\"currency\":\"USD\"," S "}", "MONEY_AS_REAL", "amount_minor"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount_minor\":\"500\",\"currency\":\"USD\"," S "}", "WRONG_TYPE", "amount_minor"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount_minor\":0,\"currency\":\"USD\"," S "}", "BAD_AMOUNT", "amount_minor"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount_minor\":-5,\"currency\":\"USD\"," S "}", "BAD_AMOUNT", "amount_minor"},
    {OK ",\"amount_minor\":500}", "AMOUNT_TWICE", "amount_minor"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"-5.00\",\"currency\":\"USD\"," S "}", "BAD_AMOUNT", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"+5.00\",\"currency\":\"USD\"," S "}", "BAD_AMOUNT", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"5.\",\"currency\":\"USD\"," S "}", "BAD_AMOUNT", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\".50\",\"currency\":\"USD\"," S "}", "BAD_AMOUNT", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"5.001\",\"currency\":\"USD\"," S "}", "BAD_AMOUNT", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"5.0\",\"currency\":\"JPY\"," S "}", "BAD_AMOUNT", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"1,000.00\",\"currency\":\"USD\"," S "}", "BAD_AMOUNT", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"0.00\",\"currency\":\"USD\"," S "}", "BAD_AMOUNT", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"99999999999999999999\",\"currency\":\"USD\"," S "}", "AMOUNT_OVERFLOW", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"92233720368547758.08\",\"currency\":\"USD\"," S "}", "AMOUNT_OVERFLOW", "amount"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"92233720368547758.07\",\"currency\":\"USD\"," S "}", "NONE", ""},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"5.00\",\"currency\":\"UDS\"," S "}", "BAD_CURRENCY", "currency"},
    {"{\"id\":\"1\",\"source\":\"b\"," T "\"amount\":\"5.00\",\"currency\":\"usd\"," S "}", "BAD_CURRENCY", "currency"},
    {OK ",\"receiver\":{\"account\":\"B\",\"country\":\"UK\"}}", "BAD_COUNTRY", "receiver.country"},
    {OK ",\"place\":{\"country\":\"ke\"}}", "BAD_COUNTRY", "place.country"},
    {"{\"id\":\"1\",\"source\":\"b\",\"time\":\"yesterday\"," M S "}", "BAD_TIME", "time"},
    {"{\"id\":\"1\",\"source\":\"b\",\"time\":\"2026-03-02T10:00:00\"," M S "}", "BAD_TIME", "time"},
    {"{\"id\":\"1\",\"source\":\"b\",\"time\":\"2026-02-30T10:00:00Z\"," M S "}", "BAD_TIME", "time"},
    {"{\"id\":\"1\",\"source\":\"b\",\"time\":\"2026-03-02T25:00:00Z\"," M S "}", "BAD_TIME", "time"},
    {"{\"id\":\"1\",\"source\":\"b\",\"time\":\"1899-12-31T23:59:59Z\"," M S "}", "BAD_TIME", "time"},
    {"{\"id\":\"1\",\"source\":\"b\",\"time\":1767225600," M S "}", "WRONG_TYPE", "time"},
    {"{\"id\":\"1\",\"source\":\"b\",\"time\":\"2026-03-02T12:05:00.001Z\"," M S "}", "FUTURE", "time"},
    {"{\"id\":\"1\",\"source\":\"b\",\"time\":\"2026-03-02T12:05:00.000Z\"," M S "}", "NONE", ""},
    {OK ",\"kind\":\"PRESENT\"}", "BAD_CODE", "kind"},
    {OK ",\"channel\":\"PIGEON\"}", "BAD_CODE", "channel"},
    {OK ",\"status\":\"DONE\"}", "BAD_CODE", "status"},
    {OK ",\"purpose\":\"sala\"}", "BAD_CODE", "purpose"},
    {OK ",\"mcc\":\"70A1\"}", "BAD_MCC", "mcc"},
    {OK ",\"mcc\":\"701\"}", "BAD_MCC", "mcc"},
    {"{\"id\":\"1\",\"source\":\"b\"," T M "\"terminal\":\"t\"}", "NO_SIDES", "sender"},
    {"{\"id\":\"1\",\"source\":\"b\"," T M "\"sender\":{\"cash\":true},\"receiver\":{\"cash\":true}}", "CASH_BOTH", "receiver.cash"},
    {"{\"id\":\"1\",\"source\":\"b\"," T M "\"sender\":{\"cash\":true,\"account\":\"A\"}}", "CASH_ACCOUNT", "sender.account"},
    {OK ",\"nationality\":\"X\",\"sex\":\"f\",\"religion\":[1]}", "NONE", ""},
};

struct fixture {
    struct decoder *decoder;
    struct rates *rates;
    struct arena arena;
};

static void fixture_open(struct fixture *f)
{
    cr_assert(sodium_init() >= 0);
    f->rates = rates_none(currency_parse(SLICE("USD")));
    f->decoder = decoder_new(&(struct decode_settings){.rates = f->rates, .message_bytes_max = 8192, .future_ms_max = 300000});
    arena_init(&f->arena);
}

static void fixture_close(struct fixture *f)
{
    decoder_free(f->decoder);
    rates_free(f->rates);
    arena_fini(&f->arena);
}

static enum reject_reason decode(struct fixture *f, struct slice body, struct event *event, struct slice *field)
{
    /* arrived at 12:00:00Z that day */
    struct message message = {.body = body, .broker_ms = 1772452800000};
    return decoder_decode(f->decoder, &message, &f->arena, event, field);
}

Test(decode, says_what_is_wrong_and_where)
{
    struct fixture f;
    fixture_open(&f);
    cr_assert(sizeof rows / sizeof rows[0] >= 60);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct event event;
        struct slice field;
        enum reject_reason reason = decode(&f, slice_of(rows[i].json), &event, &field);
        cr_expect_str_eq(reject_code(reason), rows[i].reason, "%s: %s", rows[i].json, reject_code(reason));
        cr_expect(slice_equal(field, slice_of(rows[i].field)), "%s: field %.*s", rows[i].json, (int)field.size, field.data);
    }
    fixture_close(&f);
}

static const struct {
    const char *json, *reason, *field;
} fact_rows[] = {
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"fields\":{}}", "NONE", ""},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2999-01-01T00:00:00Z\",\"fields\":{}}", "BAD_TIME", "valid_from"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2030-01-01T00:00:00Z\",\"withdrawn\":true}", "NONE", ""},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"withdrawn\":1,\"fields\":{}}", "WRONG_TYPE", "withdrawn"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"fields\":{}}", "MISSING_FIELD", "subject"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"fields\":{}}", "MISSING_FIELD", "valid_from"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01\",\"fields\":{}}", "BAD_TIME", "valid_from"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\"}", "MISSING_FIELD", "fields"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"fields\":[]}", "WRONG_TYPE", "fields"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"fields\":{\"a\":1.5}}", "WRONG_TYPE", "fields"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"fields\":{\"a\":{}}}", "WRONG_TYPE", "fields"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"fields\":{\"a\":\"\"}}", "EMPTY_TEXT", "fields"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"fields\":{\"a\":\"\\u0000\"}}", "NUL_CHARACTER", "fields"},
    {"{\"source\":\"r\",\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"fields\":{\"a\":1,\"a\":2}}", "DUPLICATE_KEY", "fields"},
    {"{\"source\":\"r\",\"fact\":7}", "WRONG_TYPE", "fact"},
    {"{\"source\":\"r\",\"fact\":\"\"}", "EMPTY_TEXT", "fact"},
    {"{\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"fields\":{}}", "SOURCE_MISSING", "source"},
};

Test(decode, says_what_is_wrong_with_a_fact)
{
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < sizeof fact_rows / sizeof fact_rows[0]; i++) {
        struct event event;
        struct slice field;
        enum reject_reason reason = decode(&f, slice_of(fact_rows[i].json), &event, &field);
        cr_expect_str_eq(reject_code(reason), fact_rows[i].reason, "%s: %s", fact_rows[i].json, reject_code(reason));
        cr_expect(slice_equal(field, slice_of(fact_rows[i].field)), "%s: field %.*s", fact_rows[i].json, (int)field.size, field.data);
    }
    fixture_close(&f);
}

Test(decode, keeps_facts_and_events_on_their_topics)
{
    struct fixture f;
    struct event event;
    struct slice field;
    const char *fact = "{\"fact\":\"f\",\"subject\":\"A\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"fields\":{\"n\":3}}";
    const char *payment = "{\"id\":\"1\",\"time\":\"2026-01-01T00:00:00Z\",\"amount\":\"1\",\"currency\":\"USD\",\"sender\":{\"account\":\"A\"}}";
    struct message message = {.body = slice_of(fact), .source = SLICE("bank"), .broker_ms = MISSING_I64, .expects = EXPECT_EVENT};
    fixture_open(&f);
    cr_expect_eq(decoder_decode(f.decoder, &message, &f.arena, &event, &field), REJECT_FACT_NOT_HERE);
    message.expects = EXPECT_FACT;
    cr_expect_eq(decoder_decode(f.decoder, &message, &f.arena, &event, &field), REJECT_NONE);
    cr_expect_eq(event.flow, FLOW_FACT);
    cr_expect_eq(event.fact->field_count, 1);
    cr_expect_eq(event.fact->field[0].number, 3);
    message.body = slice_of(payment);
    cr_expect_eq(decoder_decode(f.decoder, &message, &f.arena, &event, &field), REJECT_FACT_EXPECTED);
    fixture_close(&f);
}

static void expect_text(struct slice text, const char *want)
{
    cr_expect(slice_equal(text, slice_of(want)), "%.*s, not %s", (int)text.size, text.data, want);
}

/* The parser's memory goes to the next message; an event's texts stay. */
Test(decode, keeps_what_an_event_says)
{
    static const char *const payment =
        "{\"id\":\"i-1\",\"source\":\"bank\",\"time\":\"2026-01-01T00:00:00Z\",\"amount\":\"1\",\"currency\":\"USD\","
        "\"terminal\":\"t-1\",\"narrative\":\"r\\u00e9nt\",\"end_to_end\":\"e-1\",\"refers_to\":\"i-0\","
        "\"sender\":{\"account\":\"A-1\",\"phone\":\"p-1\"},\"receiver\":{\"account\":\"B-1\",\"address\":\"w-1\"},\"place\":{\"name\":\"n-1\"}}";
    static const char *const fact = "{\"source\":\"registry\",\"fact\":\"f-1\",\"subject\":\"A-1\",\"valid_from\":\"2026-01-01T00:00:00Z\","
                                    "\"fields\":{\"one\":\"x-1\",\"two\":2}}";
    char other[1024];
    struct fixture f;
    struct event first, stated, refused, event;
    struct slice field;
    fixture_open(&f);
    cr_assert_eq(decode(&f, slice_of(payment), &first, &field), REJECT_NONE);
    cr_assert_eq(decode(&f, slice_of(fact), &stated, &field), REJECT_NONE);
    cr_assert_eq(decode(&f, SLICE("{\"id\":\"refused-1\",\"source\":\"bank\"}"), &refused, &field), REJECT_MISSING_FIELD);
    memset(other, 'z', sizeof other);
    memcpy(other, "{\"id\":\"", 7);
    memcpy(other + sizeof other - 2, "\"}", 2);
    cr_assert_eq(decode(&f, (struct slice){other, sizeof other}, &event, &field), REJECT_TOO_LONG);
    expect_text(first.id, "i-1");
    expect_text(first.source, "bank");
    expect_text(first.narrative, "r\xc3\xa9nt");
    expect_text(first.end_to_end, "e-1");
    expect_text(first.refers_to, "i-0");
    expect_text(event_ref_text(&first, REF_SENDER), "A-1");
    expect_text(event_ref_text(&first, REF_RECEIVER), "B-1");
    expect_text(event_ref_text(&first, REF_SENDER_PHONE), "p-1");
    expect_text(event_ref_text(&first, REF_RECEIVER_ADDRESS), "w-1");
    expect_text(event_ref_text(&first, REF_TERMINAL), "t-1");
    expect_text(event_ref_text(&first, REF_PLACE), "n-1");
    expect_text(first.body, payment);
    expect_text(stated.source, "registry");
    expect_text(stated.fact->name, "f-1");
    expect_text(stated.fact->subject, "A-1");
    cr_assert_eq(stated.fact->field_count, 2);
    expect_text(stated.fact->field[0].name, "one");
    expect_text(stated.fact->field[0].text, "x-1");
    expect_text(stated.fact->field[1].name, "two");
    expect_text(refused.id, "refused-1");
    fixture_close(&f);
}

/* How many words of two or three of all characters are known; each has the code that its name gives. */
Test(decode, knows_each_country_and_currency_and_no_other_word)
{
    uint32_t country_count = 0, currency_count = 0;
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            char word[4] = {(char)a, (char)b, 0, 0}, name[3];
            country_code country = country_parse((struct slice){word, 2});
            if (country) {
                country_name(country, name);
                cr_assert_eq(memcmp(name, word, 2), 0);
                country_count++;
            }
            for (int c = 0; c < 256; c++) {
                word[2] = (char)c;
                currency_code currency = currency_parse((struct slice){word, 3});
                if (!currency)
                    continue;
                cr_assert_str_eq(currency_name(currency), word);
                currency_count++;
            }
        }
    static const char countries[] = {
#define COUNTRY(first, second) 1,
#include "engine/model/country.def"
#undef COUNTRY
    }, currencies[] = {
#define CURRENCY(code, digits) 1,
#include "engine/model/currency.def"
#undef CURRENCY
    };
    cr_expect_eq(country_count, sizeof countries);
    cr_expect_eq(currency_count, sizeof currencies);
    cr_expect_eq(country_parse(SLICE("KEN")), 0);
    cr_expect_eq(currency_parse(SLICE("US")), 0);
}

Test(decode, refuses_what_is_too_large)
{
    struct fixture f;
    struct event event;
    struct slice field;
    char *large = calloc(1, 9000);
    fixture_open(&f);
    memset(large, ' ', 9000);
    cr_assert_eq(decode(&f, (struct slice){large, 9000}, &event, &field), REJECT_TOO_LARGE);
    free(large);
    fixture_close(&f);
}

Test(decode, fills_the_event)
{
    struct fixture f;
    struct event event;
    struct slice field;
    const char *json = "{\"id\":\"e1\",\"source\":\"bank\",\"time\":\"2026-03-02T10:00:00.250+03:00\",\"amount\":\"1500.5\",\"currency\":\"USD\","
                       "\"sender\":{\"account\":\"A\",\"country\":\"KE\",\"device\":\"D\"},\"receiver\":{\"cash\":true},\"purpose\":\"SALA\","
                       "\"mcc\":\"0742\",\"narrative\":\"caf\\u00e9\",\"place\":{\"name\":\"Nairobi\"}}";
    fixture_open(&f);
    cr_assert_eq(decode(&f, slice_of(json), &event, &field), REJECT_NONE);
    cr_expect_eq(event.time_ms, 1772434800250);
    cr_expect_eq(event.amount_minor, 150050);
    cr_expect_eq(event.amount_base, 150050);
    cr_expect_eq(event.kind, KIND_CASH_OUT);
    cr_expect_eq(event.flow, FLOW_SETTLED);
    cr_expect_eq(event.mcc, 742);
    cr_expect(event.flags & EVENT_RECEIVER_CASH);
    cr_expect(slice_equal(event_ref_text(&event, REF_SENDER_DEVICE), SLICE("D")));
    cr_expect(slice_equal(event.narrative, SLICE("caf\xC3\xA9")));
    cr_expect_eq(event_ref_text(&event, REF_RECEIVER).size, 0);
    fixture_close(&f);
}

/* Keys that begin or end as a known one does; what they hold would be refused if they were it. */
Test(decode, knows_keys_to_the_last_letter)
{
    static const char *const keys[] = {"", "i", "ids", "id\\u0000", "narrativ", "narratives", "narrativf", "amount_minor_", "amount_mino", "amount_minus",
                                       "end_to_enD", "sende", "Sender", "a\\u0000b", "a_key_that_is_longer_than_any_other"};
    enum { KEYS = sizeof keys / sizeof keys[0] };
    struct fixture f;
    struct event event;
    struct slice field;
    char json[1024];
    int size = snprintf(json, sizeof json, "%s", OK);
    fixture_open(&f);
    for (int k = 0; k < KEYS; k++)
        size += snprintf(json + size, sizeof json - (size_t)size, ",\"%s\":[7]", keys[k]);
    (void)snprintf(json + size, sizeof json - (size_t)size, ",\"receiver\":{\"accoun\":[7],\"accounts\":[7],\"id\":[7]}}");
    cr_assert_eq(decode(&f, slice_of(json), &event, &field), REJECT_NONE);
    cr_expect_eq(event.unknown, KEYS + 3);
    fixture_close(&f);
}

/* Protected attributes have no field: with and without them it is the same event. */
Test(decode, reads_no_protected_attribute)
{
    struct fixture f;
    struct event plain, with;
    struct slice field;
    fixture_open(&f);
    cr_assert_eq(decode(&f, SLICE(OK "}"), &plain, &field), REJECT_NONE);
    cr_assert_eq(decode(&f, SLICE(OK ",\"nationality\":\"XX\",\"sex\":\"f\",\"ethnicity\":\"y\",\"immigration_status\":\"z\"}"), &with, &field), REJECT_NONE);
    cr_assert_eq(plain.named_refs, with.named_refs);
    for (int r = 0; r < REF_COUNT; r++)
        cr_expect(slice_equal(event_ref_text(&plain, (enum event_ref)r), event_ref_text(&with, (enum event_ref)r)));
    cr_expect_eq(plain.flags, with.flags);
    cr_expect_eq(plain.amount_base, with.amount_base);
    fixture_close(&f);
}
