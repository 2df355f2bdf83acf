/* ISO 20022: what is wrong -> what is said, and that hostile XML is refused within bounds. */
#include "connectors/iso20022/iso20022.h"
#include "connectors/iso20022/value.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* --- one message, piece by piece --- */

#define UETR "7a562c67-ca16-48ba-b074-65581be6f001"
#define PACS(group, item) \
    "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08\"><FIToFICstmrCdtTrf><GrpHdr>" group "</GrpHdr>" \
    "<CdtTrfTxInf>" item "</CdtTrfTxInf></FIToFICstmrCdtTrf></Document>"
#define GROUP "<MsgId>M</MsgId><CreDtTm>2026-04-13T10:30:00Z</CreDtTm><NbOfTxs>1</NbOfTxs>"
#define ID "<PmtId><TxId>T</TxId></PmtId>"
#define AMOUNT "<IntrBkSttlmAmt Ccy=\"EUR\">5.00</IntrBkSttlmAmt>"
#define DEBTOR "<DbtrAcct><Id><IBAN>DE89370400440532013000</IBAN></Id></DbtrAcct>"
#define NUMBERED(agent) "<DbtrAcct><Id><Othr><Id>77</Id></Othr></Id></DbtrAcct><DbtrAgt><FinInstnId>" agent "</FinInstnId></DbtrAgt>"
#define COVER(uetr) \
    "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.009.001.08\"><FICdtTrf><GrpHdr>" GROUP "</GrpHdr><CdtTrfTxInf><PmtId>" uetr \
    "<TxId>T</TxId></PmtId>" AMOUNT "<UndrlygCstmrCdtTrf>" DEBTOR "</UndrlygCstmrCdtTrf></CdtTrfTxInf></FICdtTrf></Document>"
#define ENTRY(entry) \
    "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.054.001.08\"><BkToCstmrDbtCdtNtfctn><GrpHdr>" GROUP "</GrpHdr><Ntfctn><Id>N</Id><Acct><Id>" \
    "<IBAN>DE89370400440532013000</IBAN></Id></Acct><Ntry>" entry "</Ntry></Ntfctn></BkToCstmrDbtCdtNtfctn></Document>"
#define PAIN(order) \
    "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\"><CstmrCdtTrfInitn><GrpHdr>" GROUP "</GrpHdr><PmtInf><PmtInfId>P</PmtInfId>" \
    DEBTOR "<CdtTrfTxInf>" ID order "</CdtTrfTxInf></PmtInf></CstmrCdtTrfInitn></Document>"

/* said: REASON FIELD of the first item, or a piece of its JSON. */
static const struct {
    const char *xml, *said;
} rows[] = {
    {PACS(GROUP, ID AMOUNT DEBTOR), "\"id\":\"pacs.008:M/T\""},
    {"", "EMPTY "},
    {"<", "NOT_XML line 1"},
    {"{\"id\":1}", "NOT_XML line 1"},
    {"<a></b>", "NOT_XML line 1"},
    {"<a>\n<b>\n</a>", "NOT_XML line 3"},
    {"<a/><b/>", "NOT_XML line 1"},
    {"<a>&nbsp;</a>", "NOT_XML line 1"},
    {"<a>\xFF</a>", "NOT_XML line 1"},
    {"<?xml version=\"1.0\" encoding=\"EBCDIC-DE\"?><a/>", "NOT_XML line 1"},
    {"<!DOCTYPE a><a/>", "XML_DOCTYPE line 1"},
    {"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", "XML_DOCTYPE line 1"},
    {"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>", "XML_DOCTYPE line 1"},
    {"<!DOCTYPE l [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]><l>&c;</l>", "XML_DOCTYPE line 1"},
    {"<!DOCTYPE a [<!ENTITY % p SYSTEM \"http://127.0.0.1/x\">%p;]><a/>", "XML_DOCTYPE line 1"},
    {"<a/>", "UNKNOWN_MESSAGE Document"},
    {"<Document/>", "UNKNOWN_MESSAGE Document "},
    {"<Document><FIToFICstmrCdtTrf/></Document>", "UNKNOWN_MESSAGE Document "},
    {"<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.002.001.10\"><FIToFIPmtStsRpt/></Document>", "UNKNOWN_MESSAGE Document pacs.002.001.10"},
    {"<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08\"/>", "UNKNOWN_MESSAGE Document pacs.008.001.08"},
    {"<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08\"><FIToFICstmrCdtTrf/></Document>", "NO_EVENTS FIToFICstmrCdtTrf"},
    {PACS("<MsgId>M</MsgId><NbOfTxs>2</NbOfTxs>", ID AMOUNT DEBTOR), "COUNT_DIFFERS GrpHdr/NbOfTxs"},
    {PACS("<MsgId>M</MsgId><NbOfTxs>one</NbOfTxs>", ID AMOUNT DEBTOR), "COUNT_DIFFERS GrpHdr/NbOfTxs"},
    {PACS("<MsgId>M</MsgId><NbOfTxs>99999999999999999999</NbOfTxs>", ID AMOUNT DEBTOR), "COUNT_DIFFERS GrpHdr/NbOfTxs"},
    {PACS("<CreDtTm>2026-04-13T10:30:00Z</CreDtTm>", ID AMOUNT DEBTOR), "MISSING_FIELD GrpHdr/MsgId"},
    {PACS(GROUP, ID AMOUNT "<AccptncDtTm>13.04.2026</AccptncDtTm>" DEBTOR), "TIME_FORM CdtTrfTxInf/AccptncDtTm"},
    {PACS(GROUP, ID AMOUNT "<AccptncDtTm>2026-04-31T10:00:00Z</AccptncDtTm>" DEBTOR), "TIME_FORM CdtTrfTxInf/AccptncDtTm"},
    {PACS(GROUP, ID AMOUNT "<AccptncDtTm>2026-04-13T24:01:00</AccptncDtTm>" DEBTOR), "TIME_FORM CdtTrfTxInf/AccptncDtTm"},
    {PACS(GROUP, ID AMOUNT "<AccptncDtTm>2026-04-13T12:00:00</AccptncDtTm>" DEBTOR), "\"time\":\"2026-04-13T10:00:00.000Z\""},
    {PACS(GROUP, ID AMOUNT "<AccptncDtTm>2026-04-13T12:00:00.5</AccptncDtTm>" DEBTOR), "\"time\":\"2026-04-13T10:00:00.500Z\""},
    {PACS(GROUP, ID AMOUNT "<AccptncDtTm>2026-04-13T12:00:00-05:00</AccptncDtTm>" DEBTOR), "\"time\":\"2026-04-13T12:00:00-05:00\""},
    {PACS(GROUP, ID AMOUNT "<AccptncDtTm>2026-04-13</AccptncDtTm>" DEBTOR), "\"time\":\"2026-04-12T22:00:00.000Z\""},
    {PACS(GROUP, ID AMOUNT "<AccptncDtTm>2026-04-13Z</AccptncDtTm>" DEBTOR), "\"time\":\"2026-04-13T00:00:00.000Z\""},
    {PACS(GROUP, ID AMOUNT "<AccptncDtTm>2026-04-13+03:00</AccptncDtTm>" DEBTOR), "\"time\":\"2026-04-12T21:00:00.000Z\""},
    {PACS(GROUP, ID AMOUNT "<DbtrAcct><Id><IBAN>89370400440532013000</IBAN></Id></DbtrAcct>"), "BAD_IBAN CdtTrfTxInf/DbtrAcct/Id/IBAN"},
    {PACS(GROUP, ID AMOUNT "<DbtrAcct><Id><IBAN>DE89 3704 0044</IBAN></Id></DbtrAcct>"), "BAD_IBAN CdtTrfTxInf/DbtrAcct/Id/IBAN"},
    {PACS(GROUP, ID AMOUNT NUMBERED("")), "ACCOUNT_NOT_UNIQUE CdtTrfTxInf/DbtrAcct/Id/Othr/Id"},
    {PACS(GROUP, ID AMOUNT NUMBERED("<Nm>Bank</Nm>")), "ACCOUNT_NOT_UNIQUE CdtTrfTxInf/DbtrAcct/Id/Othr/Id"},
    {PACS(GROUP, ID AMOUNT NUMBERED("<BICFI>DEUTDE</BICFI>")), "ACCOUNT_NOT_UNIQUE CdtTrfTxInf/DbtrAcct/Id/Othr/Id"},
    {PACS(GROUP, ID AMOUNT NUMBERED("<BICFI>DEUTDEFF500</BICFI>")), "\"account\":\"DEUTDEFF:77\",\"country\":\"DE\""},
    {PACS(GROUP, ID AMOUNT NUMBERED("<LEI>529900T8BM49AURSDO55</LEI>")), "\"account\":\"529900T8BM49AURSDO55:77\""},
    {PACS(GROUP, ID AMOUNT NUMBERED("<BICFI>DEUTXXFF</BICFI>")), "\"sender\":{\"account\":\"DEUTXXFF:77\"}"},
    {PACS(GROUP, "<PmtId><UETR>123</UETR></PmtId>" AMOUNT DEBTOR), "BAD_UETR CdtTrfTxInf/PmtId/UETR"},
    {PACS(GROUP, "<PmtId><UETR>00000000-0000-0000-0000-000000000000</UETR></PmtId>" AMOUNT DEBTOR), "BAD_UETR CdtTrfTxInf/PmtId/UETR"},
    {PACS(GROUP, "<PmtId><UETR>7a562c67-ca16-48ba-b074-65581be6f00g</UETR></PmtId>" AMOUNT DEBTOR), "BAD_UETR CdtTrfTxInf/PmtId/UETR"},
    {PACS(GROUP, ID AMOUNT "<Dbtr><Id><PrvtId><Othr><Id>7</Id></Othr></PrvtId></Id></Dbtr>" DEBTOR), "\"sender\":{\"account\":\"DE89370400440532013000\",\"country\":\"DE\"}"},
    {COVER(""), "MISSING_FIELD CdtTrfTxInf/PmtId/UETR"},
    {COVER("<UETR>" UETR "</UETR>"), "\"end_to_end\":\"" UETR "\",\"sender\":{\"account\":\"DE89370400440532013000\""},
    {ENTRY("<Amt Ccy=\"EUR\">1</Amt><Sts>BOOK</Sts>"), "MISSING_FIELD Ntry/CdtDbtInd"},
    {ENTRY("<Amt Ccy=\"EUR\">1</Amt><CdtDbtInd>C</CdtDbtInd><Sts>BOOK</Sts>"), "BAD_CODE Ntry/CdtDbtInd"},
    {ENTRY("<Amt Ccy=\"EUR\">1</Amt><CdtDbtInd>CRDT</CdtDbtInd>"), "MISSING_FIELD Ntry/Sts/Cd"},
    {ENTRY("<Amt Ccy=\"EUR\">1</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>DONE</Sts>"), "BAD_CODE Ntry/Sts"},
    {ENTRY("<Amt Ccy=\"EUR\">1</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts>"), "\"id\":\"camt.054:N/1/1/BOOK\""},
    {ENTRY("<Amt Ccy=\"EUR\">1</Amt><CdtDbtInd>DBIT</CdtDbtInd><RvslInd>1</RvslInd><Sts>BOOK</Sts>"), "\"status\":\"REVERSED\",\"amount\":\"1\",\"currency\":\"EUR\",\"receiver\""},
    {PAIN("<Amt><InstdAmt Ccy=\"EUR\">1</InstdAmt></Amt>"), "\"id\":\"pain.001:M/P/T\",\"time\":\"2026-04-13T10:30:00Z\",\"status\":\"INITIATED\""},
};

struct trial {
    struct arena arena;
    struct format *format;
    struct format_output out;
    struct format_unknowns unknowns;
    struct decoder *decoder;
    struct rates *rates;
};

static void trial_begin(struct trial *trial, uint32_t most)
{
    struct error err = {0};
    memset(trial, 0, sizeof *trial);
    arena_init(&trial->arena);
    trial->format = iso20022_format_open("Europe/Berlin", &err);
    cr_assert_not_null(trial->format, "%s", err.text);
    format_output_init(&trial->out);
    trial->out.arena = &trial->arena;
    trial->out.unknowns = &trial->unknowns;
    trial->out.most = most;
    trial->rates = rates_none(currency_parse(SLICE("USD")));
    trial->decoder = decoder_new(&(struct decode_settings){.rates = trial->rates, .message_bytes_max = 1 << 20, .future_ms_max = 300000});
}

static void trial_end(struct trial *trial)
{
    decoder_free(trial->decoder);
    rates_free(trial->rates);
    format_output_fini(&trial->out);
    trial->format->close(trial->format->self);
    arena_fini(&trial->arena);
}

static void run(struct trial *trial, struct slice xml)
{
    struct error err = {0};
    cr_assert(format_translate(trial->format, xml, 1 << 20, &trial->out, &err), "%s", err.text);
}

/* Item i as the translator, or behind it the decoder, leaves it. */
static const char *said_of(struct trial *trial, uint32_t i, bool decoded)
{
    const struct format_item *item = &trial->out.item[i];
    struct slice field = item->translated->field;
    enum reject_reason reason = item->translated->reason;
    struct event event;
    struct message message = {.body = item->text, .source = SLICE("b"), .broker_ms = MISSING_I64, .translated = item->translated};
    if (decoded)
        reason = message_decode(trial->decoder, &message, &trial->arena, &event, &field);
    if (reason != REJECT_NONE)
        return arena_text(&trial->arena, arena_format(&trial->arena, "%s %.*s", reject_code(reason), (int)field.size, field.data));
    return arena_text(&trial->arena, item->text);
}

Test(iso20022, says_what_is_wrong)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trial trial;
        trial_begin(&trial, 100);
        run(&trial, slice_of(rows[i].xml));
        const char *said = said_of(&trial, 0, false);
        bool refusal = rows[i].said[0] != '"';
        cr_expect(refusal ? strcmp(said, rows[i].said) == 0 : strstr(said, rows[i].said) != NULL, "row %zu: `%s` is not `%s`", i, said, rows[i].said);
        cr_expect_eq(trial.out.count, 1, "row %zu", i);
        cr_expect_eq(atomic_load(&trial.unknowns.total), 0, "row %zu", i);
        trial_end(&trial);
    }
}

/* What only the decoder sees is said with the element's path too. */
static const struct {
    const char *xml, *said;
} decoded[] = {
    {PACS(GROUP, ID DEBTOR), "MISSING_FIELD CdtTrfTxInf/IntrBkSttlmAmt@Ccy"},
    {PACS(GROUP, ID "<IntrBkSttlmAmt>5</IntrBkSttlmAmt>" DEBTOR), "MISSING_FIELD CdtTrfTxInf/IntrBkSttlmAmt@Ccy"},
    {PACS(GROUP, ID "<IntrBkSttlmAmt Ccy=\"EUR\">5.001</IntrBkSttlmAmt>" DEBTOR), "BAD_AMOUNT CdtTrfTxInf/IntrBkSttlmAmt"},
    {PACS(GROUP, ID "<IntrBkSttlmAmt Ccy=\"EUR\">-5</IntrBkSttlmAmt>" DEBTOR), "BAD_AMOUNT CdtTrfTxInf/IntrBkSttlmAmt"},
    {PACS(GROUP, ID "<IntrBkSttlmAmt Ccy=\"EUR\">5,00</IntrBkSttlmAmt>" DEBTOR), "BAD_AMOUNT CdtTrfTxInf/IntrBkSttlmAmt"},
    {PACS(GROUP, ID "<IntrBkSttlmAmt Ccy=\"EUR\"/>" DEBTOR), "MISSING_FIELD CdtTrfTxInf/IntrBkSttlmAmt"},
    {PACS(GROUP, ID "<IntrBkSttlmAmt Ccy=\"XYZ\">5</IntrBkSttlmAmt>" DEBTOR), "BAD_CURRENCY CdtTrfTxInf/IntrBkSttlmAmt@Ccy"},
    {PACS(GROUP, ID "<IntrBkSttlmAmt Ccy=\"JPY\">5.5</IntrBkSttlmAmt>" DEBTOR), "BAD_AMOUNT CdtTrfTxInf/IntrBkSttlmAmt"},
    {PACS("<MsgId>M</MsgId>", ID AMOUNT DEBTOR), "MISSING_FIELD CdtTrfTxInf/AccptncDtTm"},
    {PACS(GROUP, ID AMOUNT "<Dbtr><Nm>A</Nm></Dbtr><Cdtr><Nm>B</Nm></Cdtr>"), "NO_SIDES CdtTrfTxInf/DbtrAcct"},
    {PACS(GROUP, ID AMOUNT "<Dbtr><PstlAdr><Ctry>UK</Ctry></PstlAdr></Dbtr>" DEBTOR), "BAD_COUNTRY CdtTrfTxInf/Dbtr/PstlAdr/Ctry"},
    {PACS(GROUP, ID AMOUNT DEBTOR "<Purp><Cd>Rent</Cd></Purp>"), "BAD_CODE CdtTrfTxInf/Purp/Cd"},
    {PACS(GROUP, ID AMOUNT "<UltmtDbtr><Id><OrgId><LEI>0123456789012345678901234567890123456789012345678901234567890123456789</LEI></OrgId></Id></UltmtDbtr>" DEBTOR),
     "TOO_LONG CdtTrfTxInf/UltmtDbtr/Id/OrgId/LEI"},
    {ENTRY("<Amt Ccy=\"EUR\">1</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><NtryDtls><TxDtls><Refs/></TxDtls><TxDtls><Refs/></TxDtls></NtryDtls>"),
     "MISSING_FIELD TxDtls/Amt@Ccy"},
    {PAIN(""), "MISSING_FIELD CdtTrfTxInf/Amt/InstdAmt@Ccy"},
};

Test(iso20022, names_elements_where_the_decoder_refuses)
{
    for (size_t i = 0; i < sizeof decoded / sizeof decoded[0]; i++) {
        struct trial trial;
        trial_begin(&trial, 100);
        run(&trial, slice_of(decoded[i].xml));
        const char *said = said_of(&trial, 0, true);
        cr_expect_str_eq(said, decoded[i].said, "row %zu: got `%s`, wanted `%s`", i, said, decoded[i].said);
        trial_end(&trial);
    }
}

/* --- bounds --- */

/* head, then `times` of each piece, then tail */
static struct slice repeated(struct arena *arena, const char *head, const char *open, const char *close, uint32_t times, const char *tail)
{
    size_t size = strlen(head) + strlen(tail) + times * (strlen(open) + strlen(close));
    char *text = arena_bytes(arena, size + 1), *at = text;
    at += snprintf(at, size + 1, "%s", head);
    for (uint32_t i = 0; i < times; i++)
        at += snprintf(at, size + 1 - (size_t)(at - text), "%s", open);
    for (uint32_t i = 0; i < times; i++)
        at += snprintf(at, size + 1 - (size_t)(at - text), "%s", close);
    (void)snprintf(at, size + 1 - (size_t)(at - text), "%s", tail);
    return (struct slice){text, size};
}

Test(iso20022, refuses_what_is_too_deep_too_large_or_too_many)
{
    struct trial trial;
    trial_begin(&trial, 50);
    run(&trial, repeated(&trial.arena, "", "<a>", "</a>", 33, ""));
    cr_expect_str_eq(said_of(&trial, 0, false), "TOO_DEEP line 1");
    run(&trial, repeated(&trial.arena, "", "<a>", "</a>", 32, ""));
    cr_expect_str_eq(said_of(&trial, 0, false), "UNKNOWN_MESSAGE Document");
    run(&trial, repeated(&trial.arena, "<a>", "<b/>", "", 70000, "</a>"));
    cr_expect_str_eq(said_of(&trial, 0, false), "TOO_LARGE line 1");
    run(&trial, repeated(&trial.arena, "<a>", "0123456789abcdef", "", 70000, "</a>"));
    cr_expect_str_eq(said_of(&trial, 0, false), "TOO_LARGE ");
    const char *head = "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08\"><FIToFICstmrCdtTrf><GrpHdr><MsgId>M</MsgId></GrpHdr>";
    const char *tail = "</FIToFICstmrCdtTrf></Document>", *item = "<CdtTrfTxInf>" ID AMOUNT DEBTOR "</CdtTrfTxInf>";
    run(&trial, repeated(&trial.arena, head, item, "", 51, tail));
    cr_expect_eq(trial.out.count, 1);
    cr_expect_str_eq(said_of(&trial, 0, false), "TOO_MANY_EVENTS ");
    run(&trial, repeated(&trial.arena, head, item, "", 50, tail));
    cr_expect_eq(trial.out.count, 50);
    struct slice lines = repeated(&trial.arena, "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pacs.008.001.08\"><FIToFICstmrCdtTrf><GrpHdr>" GROUP
                                  "</GrpHdr><CdtTrfTxInf>" ID AMOUNT DEBTOR "<Dbtr><PstlAdr>", "<AdrLine>0123456789</AdrLine>", "", 20000,
                                  "</PstlAdr></Dbtr></CdtTrfTxInf></FIToFICstmrCdtTrf></Document>");
    run(&trial, lines);
    cr_expect_eq(trial.out.item[0].translated->reason, REJECT_NONE);
    cr_expect(trial.out.item[0].text.size < 1000);
    trial_end(&trial);
}

Test(iso20022, shows_the_piece_of_the_message_that_a_payment_came_from)
{
    struct trial trial;
    trial_begin(&trial, 50);
    run(&trial, SLICE("<?xml version=\"1.0\"?>\n" PACS(GROUP, ID AMOUNT DEBTOR)));
    struct slice raw = trial.out.item[0].translated->raw;
    cr_expect(slice_equal(raw, SLICE("<CdtTrfTxInf>" ID AMOUNT DEBTOR "</CdtTrfTxInf>")), "%.*s", (int)raw.size, raw.data);
    trial_end(&trial);
}

Test(iso20022, counts_what_it_does_not_know)
{
    struct trial trial;
    trial_begin(&trial, 50);
    run(&trial, SLICE(PACS(GROUP "<Colour>red</Colour>", ID AMOUNT DEBTOR "<Shoe><Size>42</Size></Shoe><x:Odd xmlns:x=\"urn:x\">1</x:Odd>")));
    cr_expect_eq(trial.out.item[0].translated->reason, REJECT_NONE);
    cr_expect_eq(atomic_load(&trial.unknowns.total), 3);
    cr_expect_str_eq(trial.unknowns.entry[0].name, "GrpHdr/Colour");
    cr_expect_str_eq(trial.unknowns.entry[1].name, "CdtTrfTxInf/Shoe/Size");
    cr_expect_str_eq(trial.unknowns.entry[2].name, "CdtTrfTxInf/Odd");
    trial_end(&trial);
}

Test(iso20022, gives_the_same_for_the_same_bytes)
{
    struct trial trial;
    trial_begin(&trial, 50);
    run(&trial, SLICE(PACS(GROUP, ID AMOUNT DEBTOR)));
    const char *first = said_of(&trial, 0, false);
    run(&trial, SLICE("<broken"));
    run(&trial, SLICE(PACS(GROUP, ID AMOUNT DEBTOR)));
    cr_expect_str_eq(said_of(&trial, 0, false), first);
    trial_end(&trial);
}

Test(iso20022, finds_no_country_where_there_is_no_text)
{
    cr_expect_eq(iso_country((struct slice){0}, 0).size, 0); /* under sanitizers: nothing is added to no address */
    cr_expect_eq(iso_country(SLICE("DEUTDE"), 5).size, 0);
    cr_expect_eq(iso_country(SLICE("DEUTDE"), 4).size, 2);
}

Test(iso20022, needs_a_zone_that_exists)
{
    struct error err = {0};
    cr_expect_null(iso20022_format_open("Europe/Atlantis", &err));
    cr_expect(err.text[0]);
}
