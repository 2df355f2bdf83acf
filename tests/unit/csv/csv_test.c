/* CSV by a mapping: what is wrong -> what is said, for mappings and for rows, and what rows become. */
#include "connectors/csv/csv.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* --- mappings --- */

#define WHOLE "id: {Id}\ntime: {T}\namount: {A}\ncurrency: EUR\nsender.account: {S}\n"

static const struct {
    const char *text, *said; /* said: NULL when the mapping is sound */
} mappings[] = {
    {WHOLE, NULL},
    {"# only a comment\n\n" WHOLE, NULL},
    {"\xEF\xBB\xBF" WHOLE, NULL},
    {WHOLE "kind: {K}\nkind.map: A=CARD, *=TRANSFER\n", NULL},
    {WHOLE "receiver.party: X:{P}-{Q}\n", NULL},
    {WHOLE "header: no\ncolumns: {Id} {T} {A} {S}\n", NULL},
    {WHOLE "time_form: DD/MM/YYYY\ntime_zone: Africa/Nairobi\n", NULL},
    {"", "the field `id` must be mapped"},
    {"id: {Id}\n", "the field `time` must be mapped"},
    {"id: {Id}\ntime: {T}\ncurrency: EUR\nsender.account: {S}\n", "one of the fields `amount` and `amount_minor`"},
    {WHOLE "amount_minor: {M}\n", "one of the fields `amount` and `amount_minor`"},
    {"id: {Id}\ntime: {T}\namount: {A}\ncurrency: EUR\n", "an account or party must be mapped"},
    {WHOLE "delimter: comma\n", "m:6: there is no option and no field `delimter`; did you mean `delimiter`?"},
    {WHOLE "sender.acount: {S}\n", "did you mean `sender.account`?"},
    {WHOLE "sender: {S}\n", "no option and no field `sender`"},
    {WHOLE "source: {S}\n", "no option and no field `source`"},
    {WHOLE "delimiter: ;\n", "m:6: `delimiter` takes comma, semicolon, tab, pipe, not `;`"},
    {WHOLE "delimiter: tab\ndelimiter: tab\n", "m:7: `delimiter` is given twice"},
    {WHOLE "id: {Nr}\n", "m:6: `id` is given twice"},
    {WHOLE "amount_decimal: dot\n", "`amount_decimal` takes point, comma, not `dot`"},
    {WHOLE "amount_decimal: comma\namount_thousands: comma\n", "are the same mark"},
    {WHOLE "time_form: DD.MM.YY\ntime_zone: UTC\n", "years of two digits are not taken"},
    {WHOLE "time_form: DD.MM.YYYY MI\ntime_zone: UTC\n", "without the larger one"},
    {WHOLE "time_form: DD.MM.YYYY DD\ntime_zone: UTC\n", "names DD twice"},
    {WHOLE "time_form: DD.MM.YYYY\n", "`time_form` and `time_zone` are given together"},
    {WHOLE "time_form: DD.MM.YYYY\ntime_zone: Europe/Atlantis\n", "`time_zone`:"},
    {WHOLE "header: no\n", "without a header `columns` must name all columns"},
    {WHOLE "columns: {Id}\n", "`columns` is for files without a header"},
    {WHOLE "columns: Id, T\n", "columns are written in braces"},
    {WHOLE "ignore: {Id\n", "columns are written in braces"},
    {WHOLE "narrative: {\n", "a column is written in braces"},
    {WHOLE "narrative: {}\n", "a column is written in braces"},
    {WHOLE "narrative:\n", "a line is NAME: VALUE"},
    {WHOLE "narrative\n", "a line is NAME: VALUE"},
    {WHOLE "kind.map: A=B\n", "`kind.map` maps a field that is not mapped"},
    {WHOLE "kind: {K}\nkind.map: A, B\n", "codes are written FROM=TO"},
    {WHOLE "narrative: \xFF\n", "not UTF-8"},
};

Test(csv, says_what_is_wrong_with_a_mapping)
{
    for (size_t i = 0; i < sizeof mappings / sizeof mappings[0]; i++) {
        struct arena arena;
        struct slice wrong;
        arena_init(&arena);
        struct mapping *mapping = mapping_read(MAPPING_CSV, "m", slice_of(mappings[i].text), &arena, &wrong);
        const char *said = arena_text(&arena, wrong);
        cr_expect_eq(mapping == NULL, mappings[i].said != NULL, "%zu: %s", i, said);
        if (mappings[i].said)
            cr_expect(strstr(said, mappings[i].said) != NULL, "%zu: `%s` does not say `%s`", i, said, mappings[i].said);
        mapping_free(mapping);
        arena_fini(&arena);
    }
}

/* --- rows --- */

#define GERMAN "delimiter: semicolon\namount_decimal: comma\namount_thousands: point\ntime_form: DD.MM.YYYY HH:MI\ntime_zone: Europe/Berlin\n"
#define HEAD "Id,T,A,S\n"
#define T1 "2026-03-02T10:00:00Z"
#define EVENT(id, amount, account) \
    "{\"id\":\"" id "\",\"time\":\"" T1 "\",\"amount\":\"" amount "\",\"currency\":\"EUR\",\"sender\":{\"account\":\"" account "\"}}"

static const struct {
    const char *mapping, *bytes, *said; /* said: items, one a line: the JSON, or REASON FIELD */
} rows[] = {
    {"", HEAD "1," T1 ",5.00,X\n", EVENT("1", "5.00", "X")},
    {"", HEAD "1," T1 ",5.00,X", EVENT("1", "5.00", "X")},
    {"", "\xEF\xBB\xBF" HEAD "1," T1 ",5.00,X\r\n", EVENT("1", "5.00", "X")},
    {"", "sep=,\r\nId,T,A,S\r\n1," T1 ",5.00,X\r\n\r\n", EVENT("1", "5.00", "X")},
    {"", "S,A,T,Id\nX,5.00," T1 ",1\n", EVENT("1", "5.00", "X")},
    {"", "\"Id\", \"T\" ,A,S\n\"1\", " T1 " ,5.00,\" X\"\n", EVENT("1", "5.00", " X")},
    {"", HEAD "1," T1 ",5.00,\"a,b \"\"c\"\"\"\n", EVENT("1", "5.00", "a,b \\\"c\\\"")},
    {"", HEAD "1," T1 ",5.00,\"a\nb\"\n2," T1 ",6,Y\n", EVENT("1", "5.00", "a\\u000ab") "\n" EVENT("2", "6", "Y")},
    {"", HEAD "1," T1 ",5.00,\n", "{\"id\":\"1\",\"time\":\"" T1 "\",\"amount\":\"5.00\",\"currency\":\"EUR\"}"},
    {"", HEAD ",,,\n1," T1 ",5.00,X\n", EVENT("1", "5.00", "X")},
    {"", HEAD "1," T1 ",5.00,\"X\n2," T1 ",6,Y\n", "BAD_CSV the row\n" EVENT("2", "6", "Y")},
    {"", HEAD "1," T1 ",5.00,\"X\"Y\n2," T1 ",6,Y\n", "BAD_CSV the row\n" EVENT("2", "6", "Y")},
    {"", "\"Id,T,A,S\n1," T1 ",5.00,X\n", "BAD_CSV the header"},
    {"", HEAD "1," T1 ",5.00\n", "COLUMNS_DIFFER 3 cells, 4 columns"},
    {"", HEAD "1," T1 ",5,00,X\n", "COLUMNS_DIFFER 5 cells, 4 columns"},
    {"", "Id,T,A\n1," T1 ",5.00\n", "MISSING_COLUMN column S"},
    {"", "Id,T,A,S,S\n1," T1 ",5.00,X,Y\n", "COLUMN_TWICE column S"},
    {"", "id,T,A,S\n1," T1 ",5.00,X\n", "MISSING_COLUMN column Id"},
    {"", HEAD, "NO_EVENTS "},
    {"", "", "EMPTY "},
    {"", HEAD "1," T1 ",\"5,00\",X\n", "AMOUNT_FORM column A"},
    {"", HEAD "1," T1 ",\"1,234.50\",X\n", "AMOUNT_FORM column A"},
    {"amount_thousands: comma\n", HEAD "1," T1 ",\"1,234.50\",X\n", EVENT("1", "1234.50", "X")},
    {"amount_thousands: comma\n", HEAD "1," T1 ",\"1,234,567\",X\n", EVENT("1", "1234567", "X")},
    {"amount_thousands: comma\n", HEAD "1," T1 ",1234567.5,X\n", EVENT("1", "1234567.5", "X")},
    {"amount_thousands: comma\n", HEAD "1," T1 ",\"12,34.50\",X\n", "AMOUNT_FORM column A"},
    {"amount_thousands: comma\n", HEAD "1," T1 ",\"1234,567\",X\n", "AMOUNT_FORM column A"},
    {"amount_thousands: space\n", HEAD "1," T1 ",1 234.50,X\n", EVENT("1", "1234.50", "X")},
    {"amount_thousands: space\n", HEAD "1," T1 ",1\xC2\xA0""234.50,X\n", EVENT("1", "1234.50", "X")},
    {"amount_thousands: apostrophe\n", HEAD "1," T1 ",1'234.50,X\n", EVENT("1", "1234.50", "X")},
    {"", HEAD "1," T1 ",5.,X\n", "AMOUNT_FORM column A"},
    {"", HEAD "1," T1 ",.5,X\n", "AMOUNT_FORM column A"},
    {"", HEAD "1," T1 ",EUR 5,X\n", "AMOUNT_FORM column A"},
    {"", HEAD "1," T1 ",(5.00),X\n", "AMOUNT_FORM column A"},
    {"", HEAD "1," T1 ",1E+05,X\n", "AMOUNT_FORM column A"},
    {"", HEAD "1," T1 ",-5.00,X\n", "BAD_AMOUNT column A"},
    {"", HEAD "1," T1 ",5.00-,X\n", "BAD_AMOUNT column A"},
    {"", HEAD "1," T1 ",+5.00,X\n", EVENT("1", "5.00", "X")},
    {"amount_negative: swap\n", HEAD "1," T1 ",-5.00,X\n",
     "{\"id\":\"1\",\"time\":\"" T1 "\",\"amount\":\"5.00\",\"currency\":\"EUR\",\"receiver\":{\"account\":\"X\"}}"},
    {"", HEAD "4.01E+11," T1 ",5,X\n", "SPREADSHEET column Id"},
    {"", HEAD "1," T1 ",5,\"4,01E+11\"\n", "SPREADSHEET column S"},
    {"", HEAD "1," T1 ",5,=\"0012\"\n", "SPREADSHEET column S"},
    {"", HEAD "1," T1 ",5,DE12E+10\n", EVENT("1", "5", "DE12E+10")},
    {"", HEAD "1," T1 ",5,\xFF\n", "BAD_UTF8 column S"},
    {"encoding: latin-1\n", HEAD "1," T1 ",5,M\xFCller\n", EVENT("1", "5", "M\xC3\xBCller")},
    {"kind: {K}\nkind.map: B=CARD, C=FEE\n", "Id,T,A,S,K\n1," T1 ",5,X,D\n", "CODE_UNMAPPED column K"},
    {"kind: {K}\nkind.map: *=FEE, B=CARD\n", "Id,T,A,S,K\n1," T1 ",5,X,B\n",
     "{\"id\":\"1\",\"time\":\"" T1 "\",\"kind\":\"CARD\",\"amount\":\"5\",\"currency\":\"EUR\",\"sender\":{\"account\":\"X\"}}"},
    {"sender.cash: {K}\n", "Id,T,A,S,K\n1," T1 ",5,,true\n",
     "{\"id\":\"1\",\"time\":\"" T1 "\",\"amount\":\"5\",\"currency\":\"EUR\",\"sender\":{\"cash\":true}}"},
    {GERMAN, "Id;T;A;S\n1;02.03.2026 11:00;1.234,50;X\n",
     "{\"id\":\"1\",\"time\":\"2026-03-02T10:00:00.000Z\",\"amount\":\"1234.50\",\"currency\":\"EUR\",\"sender\":{\"account\":\"X\"}}"},
    {GERMAN, "Id;T;A;S\n1;2.3.2026 11:00;1,50;X\n", "TIME_FORM column T"},
    {GERMAN, "Id;T;A;S\n1;03/02/2026 11:00;1,50;X\n", "TIME_FORM column T"},
    {GERMAN, "Id;T;A;S\n1;29.02.2026 11:00;1,50;X\n", "TIME_FORM column T"},
    {GERMAN, "Id;T;A;S\n1;02.13.2026 11:00;1,50;X\n", "TIME_FORM column T"},
    {GERMAN, "Id;T;A;S\n1;02.03.2026 24:00;1,50;X\n", "TIME_FORM column T"},
    {GERMAN, "Id;T;A;S\n1;02.03.2026;1,50;X\n", "TIME_FORM column T"},
    {"time_form: YYYYMMDD\ntime_zone: Africa/Nairobi\n", HEAD "1,20260302,5,X\n",
     "{\"id\":\"1\",\"time\":\"2026-03-01T21:00:00.000Z\",\"amount\":\"5\",\"currency\":\"EUR\",\"sender\":{\"account\":\"X\"}}"},
    {"header: no\ncolumns: {Id} {T} {A} {S}\n", "1," T1 ",5,X\n2," T1 ",6,Y\n", EVENT("1", "5", "X") "\n" EVENT("2", "6", "Y")},
};

static struct slice said_of(const struct format_output *out, struct arena *arena)
{
    struct slice said = SLICE("");
    for (uint32_t i = 0; i < out->count; i++) {
        const struct translated *translated = out->item[i].translated;
        struct slice text = out->item[i].text;
        if (translated->reason)
            text = arena_format(arena, "%s %.*s", reject_code(translated->reason), (int)translated->field.size, translated->field.data);
        said = arena_format(arena, "%.*s%s%.*s", (int)said.size, said.data, i ? "\n" : "", (int)text.size, text.data);
    }
    return said;
}

static struct format *open_format(const char *options)
{
    struct arena arena;
    struct slice wrong;
    char text[2048];
    arena_init(&arena);
    snprintf(text, sizeof text, "%s%s", options, WHOLE);
    struct mapping *mapping = mapping_read(MAPPING_CSV, "m", slice_of(text), &arena, &wrong);
    cr_assert_not_null(mapping, "%s", arena_text(&arena, wrong));
    arena_fini(&arena);
    return csv_format_open(mapping);
}

static void translate(const char *options, struct slice bytes, uint32_t most, struct arena *arena, struct format_unknowns *unknowns, char said[4096])
{
    struct format_output out;
    struct error err = {0};
    struct format *format = open_format(options);
    format_output_init(&out);
    out.arena = arena;
    out.unknowns = unknowns;
    out.most = most;
    cr_assert(format_translate(format, bytes, 65536, &out, &err));
    struct slice text = said_of(&out, arena);
    snprintf(said, 4096, "%.*s", (int)text.size, text.data);
    format_output_fini(&out);
    format->close(format->self);
}

Test(csv, makes_events_of_rows_or_says_why_not)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static char said[4096];
        struct arena arena;
        struct format_unknowns unknowns = {0};
        arena_init(&arena);
        translate(rows[i].mapping, slice_of(rows[i].bytes), 100, &arena, &unknowns, said);
        cr_expect_str_eq(said, rows[i].said, "row %zu: got\n%s\nwanted\n%s", i, said, rows[i].said);
        cr_expect_eq(atomic_load(&unknowns.total), 0);
        arena_fini(&arena);
    }
}

Test(csv, counts_columns_that_the_mapping_does_not_know)
{
    static char said[4096];
    struct arena arena;
    struct format_unknowns unknowns = {0};
    arena_init(&arena);
    translate("ignore: {Known}\n", SLICE("Id,Odd,T,A,S,Known\n1,x," T1 ",5,X,k\n2,," T1 ",5,X,k\n3,y," T1 ",5,X,k\n"), 100, &arena, &unknowns, said);
    cr_expect_eq(atomic_load(&unknowns.total), 2);
    cr_expect_eq(unknowns.count, 1);
    cr_expect_str_eq(unknowns.entry[0].name, "Odd");
    cr_expect_eq(unknowns.entry[0].times, 2);
    arena_fini(&arena);
}

Test(csv, refuses_a_message_with_too_many_rows_as_a_whole)
{
    static char said[4096];
    struct arena arena;
    struct format_unknowns unknowns = {0};
    struct slice three = SLICE(HEAD "1," T1 ",5,X\n2," T1 ",5,X\n3," T1 ",5,X\n");
    arena_init(&arena);
    translate("", three, 2, &arena, &unknowns, said);
    cr_expect_str_eq(said, "TOO_MANY_EVENTS ");
    translate("", three, 3, &arena, &unknowns, said);
    cr_expect(strstr(said, "TOO_MANY") == NULL);
    arena_fini(&arena);
}

Test(csv, names_the_banks_own_column_where_the_decoder_refuses)
{
    struct arena arena;
    struct format_output out;
    struct format_unknowns unknowns = {0};
    struct error err = {0};
    struct event event;
    struct slice field;
    struct rates *rates = rates_none(currency_parse(SLICE("USD")));
    struct decoder *decoder = decoder_new(&(struct decode_settings){.rates = rates, .message_bytes_max = 65536, .future_ms_max = 300000});
    struct format *format = open_format("sender.country: {L}\namount_negative: swap\n");
    struct slice bytes = SLICE("Id,T,A,S,L\n1," T1 ",5.001,X,DE\n2," T1 ",-5,X,UK\n3," T1 ",5,,DE\n4,yesterday,5,X,DE\n5," T1 ",5,X,DE\n");
    static const char *const said[] = {"BAD_AMOUNT column A", "BAD_COUNTRY column L", "NO_SIDES column S",
                                       "BAD_TIME column T", "NONE "};
    arena_init(&arena);
    format_output_init(&out);
    out.arena = &arena;
    out.unknowns = &unknowns;
    out.most = 10;
    cr_assert(format_translate(format, bytes, 65536, &out, &err));
    cr_assert_eq(out.count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        struct message message = {.body = out.item[i].text, .source = SLICE("b"), .broker_ms = MISSING_I64, .translated = out.item[i].translated};
        enum reject_reason reason = message_decode(decoder, &message, &arena, &event, &field);
        struct slice got = arena_format(&arena, "%s %.*s", reject_code(reason), (int)field.size, field.data);
        cr_expect(slice_equal(got, slice_of(said[i])), "%u: %.*s", i, (int)got.size, got.data);
        cr_expect(message_raw(&message).data[0] == (char)('1' + i));
    }
    format_output_fini(&out);
    format->close(format->self);
    decoder_free(decoder);
    rates_free(rates);
    arena_fini(&arena);
}

Test(csv, knows_where_a_record_ends)
{
    struct format *format = open_format("");
    cr_expect(csv_record_ends(format, SLICE("a,b")));
    cr_expect(csv_record_ends(format, SLICE("a,\"b\"\"c\"")));
    cr_expect(csv_record_ends(format, SLICE("a,5\" pipe")));
    cr_expect(!csv_record_ends(format, SLICE("a,\"b")));
    cr_expect(!csv_record_ends(format, SLICE("a, \"b\"\"")));
    cr_expect(csv_has_header(format));
    format->close(format->self);
}
