/* Times, accounts, parties and addresses as ISO 20022 writes them. */
#include "connectors/iso20022/value.h"

#include "engine/base/utf8.h"

enum { ADDRESS_MAX = 256, DATE_SIZE = 10, BIC_INSTITUTION = 8 };

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool letter(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* --- times --- */

static bool has_offset(struct slice text, size_t from)
{
    for (size_t i = from; i < text.size; i++)
        if (text.data[i] == 'Z' || text.data[i] == '+' || text.data[i] == '-')
            return true;
    return false;
}

enum reject_reason iso_time(struct slice text, const struct zone *zone, struct arena *arena, struct slice *made)
{
    char written[TIME_TEXT_MAX];
    int64_t at_ms;
    bool date_alone = text.size >= DATE_SIZE && (text.size == DATE_SIZE || text.data[DATE_SIZE] != 'T');
    bool offset = text.size > DATE_SIZE && has_offset(text, DATE_SIZE);
    *made = text;
    if (text.size < DATE_SIZE || text.size > 40)
        return REJECT_TIME_FORM;
    if (date_alone)
        text = arena_format(arena, "%.*sT00:00:00%.*s", DATE_SIZE, text.data, (int)(text.size - DATE_SIZE), text.data + DATE_SIZE);
    if (!offset)
        text = arena_format(arena, "%.*sZ", (int)text.size, text.data);
    if (!time_parse(text, &at_ms))
        return REJECT_TIME_FORM;
    if (offset && !date_alone)
        return REJECT_NONE; /* it is RFC 3339 as it stands */
    if (!offset)
        at_ms = date_alone ? zone_day_start_ms(zone, (int32_t)(at_ms / MS_PER_DAY - (at_ms % MS_PER_DAY < 0))) : zone_utc_ms(zone, at_ms);
    time_format(at_ms, written);
    *made = arena_copy(arena, slice_of(written));
    return REJECT_NONE;
}

/* --- codes --- */

enum reject_reason iso_iban(struct slice text)
{
    bool good = text.size >= 5 && text.size <= 34 && letter(text.data[0]) && letter(text.data[1]) && digit(text.data[2]) && digit(text.data[3]);
    for (size_t i = 4; good && i < text.size; i++)
        good = digit(text.data[i]) || letter(text.data[i]);
    return good ? REJECT_NONE : REJECT_BAD_IBAN;
}

enum reject_reason iso_uetr(struct slice text, struct arena *arena, struct slice *made)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    bool good = text.size == sizeof form - 1, some = false;
    char *small = arena_bytes(arena, sizeof form);
    for (size_t i = 0; good && i < text.size; i++) {
        char c = text.data[i];
        small[i] = (char)(letter(c) ? c + ('a' - 'A') : c);
        good = form[i] == '-' ? c == '-' : digit(small[i]) || (small[i] >= 'a' && small[i] <= 'f');
        some |= c != '0' && c != '-';
    }
    *made = (struct slice){small, sizeof form - 1};
    return good && some ? REJECT_NONE : REJECT_BAD_UETR;
}

struct slice iso_country(struct slice text, size_t at)
{
    if (text.size < at + 2)
        return SLICE(""); /* an empty element has no data at all */
    struct slice country = {text.data + at, 2};
    return country_parse(country) ? country : SLICE("");
}

struct slice iso_word(struct slice table, struct slice text)
{
    while (table.size) {
        const char *cut = memchr(table.data, ',', table.size);
        struct slice pair = {table.data, cut ? (size_t)(cut - table.data) : table.size};
        const char *equals = memchr(pair.data, '=', pair.size);
        size_t from = equals ? (size_t)(equals - pair.data) : pair.size;
        if (equals && slice_equal((struct slice){pair.data, from}, text))
            return (struct slice){equals + 1, pair.size - from - 1};
        table = cut ? (struct slice){cut + 1, table.size - pair.size - 1} : SLICE("");
    }
    return SLICE("");
}

/* --- who --- */

static struct slice text_at(const struct xml_node *node, struct slice first, struct slice second)
{
    const struct xml_node *child = node ? xml_child(node, first) : NULL;
    if (child && second.size)
        child = xml_child(child, second);
    return child ? child->text : SLICE("");
}

struct slice iso_institution(const struct xml_node *institution, struct arena *arena)
{
    struct slice bic = text_at(institution, SLICE("BICFI"), SLICE(""));
    if (bic.size == 0)
        bic = text_at(institution, SLICE("BIC"), SLICE("")); /* before 2013 */
    if (bic.size >= BIC_INSTITUTION)
        return (struct slice){bic.data, BIC_INSTITUTION};
    const struct xml_node *member = institution ? xml_child(institution, SLICE("ClrSysMmbId")) : NULL;
    struct slice system = text_at(member, SLICE("ClrSysId"), SLICE("Cd")), id = text_at(member, SLICE("MmbId"), SLICE(""));
    if (system.size && id.size)
        return arena_format(arena, "%.*s%.*s", (int)system.size, system.data, (int)id.size, id.data);
    return text_at(institution, SLICE("LEI"), SLICE(""));
}

struct slice iso_scheme(const struct xml_node *other, struct arena *arena)
{
    struct slice id = text_at(other, SLICE("Id"), SLICE("")), scheme = text_at(other, SLICE("SchmeNm"), SLICE("Cd"));
    struct slice issuer = text_at(other, SLICE("Issr"), SLICE(""));
    if (id.size == 0 || issuer.size == 0)
        return SLICE("");
    return arena_format(arena, "%.*s:%.*s:%.*s", (int)scheme.size, scheme.data, (int)issuer.size, issuer.data, (int)id.size, id.data);
}

struct slice iso_address(const struct xml_node *address, struct arena *arena)
{
    static const char *const parts[] = {"StrtNm", "BldgNb", "PstBx", "PstCd", "TwnNm"};
    struct slice made = SLICE("");
    for (const struct xml_node *line = xml_child(address, SLICE("AdrLine")); line && made.size < ADDRESS_MAX; line = xml_again(line))
        made = arena_format(arena, "%.*s%s%.*s", (int)made.size, made.data, made.size ? ", " : "", (int)line->text.size, line->text.data);
    bool street = text_at(address, SLICE("StrtNm"), SLICE("")).size || text_at(address, SLICE("PstBx"), SLICE("")).size;
    for (int i = 0; made.size < ADDRESS_MAX && i < 5 && street; i++) {
        struct slice part = text_at(address, slice_of(parts[i]), SLICE(""));
        if (part.size)
            made = arena_format(arena, "%.*s%s%.*s", (int)made.size, made.data, made.size ? ", " : "", (int)part.size, part.data);
    }
    return utf8_cut(made, ADDRESS_MAX);
}
