/* Reads amounts, times and codes in a bank's own writing. */
#include "connectors/format/value.h"

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* --- amounts --- */

/* Takes a sign in front or behind off the text. */
static bool take_sign(struct slice *text)
{
    if (text->size && (text->data[0] == '-' || text->data[0] == '+')) {
        bool negative = text->data[0] == '-';
        *text = (struct slice){text->data + 1, text->size - 1};
        return negative;
    }
    if (text->size && text->data[text->size - 1] == '-') {
        text->size--;
        return true;
    }
    return false;
}

/* A no-break space, narrow or not, groups digits as a space does. */
static size_t thousands_here(const struct mapping *mapping, struct slice text, size_t at)
{
    static const char *const spaces[] = {" ", "\xC2\xA0", "\xE2\x80\xAF"};
    if (mapping->thousands.size == 0)
        return 0;
    if (mapping->thousands.data[0] != ' ')
        return text.data[at] == mapping->thousands.data[0];
    for (int i = 0; i < 3; i++) {
        size_t size = strlen(spaces[i]);
        if (text.size - at >= size && memcmp(text.data + at, spaces[i], size) == 0)
            return size;
    }
    return 0;
}

/* The whole part: digits, or groups of three behind a first of one to three. */
static bool take_whole(const struct mapping *mapping, struct slice text, size_t *at, char *out, size_t *size)
{
    size_t group = 0, groups = 0;
    while (*at < text.size) {
        size_t mark = thousands_here(mapping, text, *at);
        if (digit(text.data[*at])) {
            out[(*size)++] = text.data[(*at)++];
            group++;
        } else if (mark) {
            if (group == 0 || group > 3 || (groups > 0 && group != 3))
                return false;
            groups++;
            group = 0;
            *at += mark;
        } else {
            break;
        }
    }
    return *size > 0 && (groups == 0 || group == 3);
}

enum reject_reason value_amount(const struct mapping *mapping, struct slice text, struct arena *arena, struct slice *out, bool *negative)
{
    char *made = arena_bytes(arena, text.size + 1);
    size_t at = 0, size = 0;
    *negative = take_sign(&text);
    if (!take_whole(mapping, text, &at, made, &size))
        return REJECT_AMOUNT_FORM;
    if (at < text.size && text.data[at] == mapping->decimal) {
        size_t first = ++at;
        made[size++] = '.';
        while (at < text.size && digit(text.data[at]))
            made[size++] = text.data[at++];
        if (at == first)
            return REJECT_AMOUNT_FORM;
    }
    *out = (struct slice){made, size};
    return at == text.size ? REJECT_NONE : REJECT_AMOUNT_FORM;
}

/* --- times --- */

enum { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, MILLI, PART_COUNT };

static const struct {
    const char *token;
    int least, most;
} parts[PART_COUNT] = {
    [YEAR] = {"YYYY", 1900, 2199}, [MONTH] = {"MM", 1, 12},  [DAY] = {"DD", 1, 31},     [HOUR] = {"HH", 0, 23},
    [MINUTE] = {"MI", 0, 59},      [SECOND] = {"SS", 0, 59}, [MILLI] = {"FFF", 0, 999},
};

/* The part whose token stands at the form's beginning, or PART_COUNT. */
static int part_at(struct slice form)
{
    int part = 0;
    while (part < PART_COUNT &&
           (form.size < strlen(parts[part].token) || memcmp(form.data, parts[part].token, strlen(parts[part].token)) != 0))
        part++;
    return part;
}

static bool read_part(struct slice text, int part, int *value)
{
    size_t size = strlen(parts[part].token);
    *value = 0;
    if (text.size < size)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (!digit(text.data[i]))
            return false;
        *value = *value * 10 + (text.data[i] - '0');
    }
    return *value >= parts[part].least && *value <= parts[part].most;
}

static bool read_form(struct slice form, struct slice text, int value[PART_COUNT])
{
    while (form.size) {
        int part = part_at(form);
        size_t size = part < PART_COUNT ? strlen(parts[part].token) : 1;
        if (part < PART_COUNT ? !read_part(text, part, &value[part]) : text.size == 0 || text.data[0] != form.data[0])
            return false;
        form = (struct slice){form.data + size, form.size - size};
        text = (struct slice){text.data + size, text.size - size};
    }
    return text.size == 0;
}

enum reject_reason value_time(const struct mapping *mapping, struct slice text, struct arena *arena, struct slice *out)
{
    int value[PART_COUNT] = {0}, year, month, day;
    char made[TIME_TEXT_MAX];
    *out = text;
    if (mapping->time_form.size == 0)
        return REJECT_NONE; /* the decoder takes RFC 3339 and nothing else */
    if (!read_form(mapping->time_form, text, value))
        return REJECT_TIME_FORM;
    int32_t date = civil_day(value[YEAR], value[MONTH], value[DAY]);
    civil_date(date, &year, &month, &day);
    if (day != value[DAY] || month != value[MONTH])
        return REJECT_TIME_FORM; /* 31 April */
    int64_t clock_ms = ((value[HOUR] * 60 + value[MINUTE]) * 60 + value[SECOND]) * 1000 + value[MILLI];
    bool date_alone = clock_ms == 0;
    time_format(date_alone ? zone_day_start_ms(mapping->zone, date) : zone_utc_ms(mapping->zone, (int64_t)date * MS_PER_DAY + clock_ms), made);
    *out = arena_copy(arena, slice_of(made));
    return REJECT_NONE;
}

/* --- codes --- */

enum reject_reason value_code(const struct mapping_field *field, struct slice text, struct slice *out)
{
    const struct mapping_code *others = NULL;
    *out = text;
    for (uint32_t i = 0; i < field->code_count; i++) {
        if (slice_equal(field->code[i].from, text)) {
            *out = field->code[i].to;
            return REJECT_NONE;
        }
        if (slice_equal(field->code[i].from, SLICE("*")))
            others = &field->code[i];
    }
    if (others)
        *out = others->to;
    return field->code_count && !others ? REJECT_CODE_UNMAPPED : REJECT_NONE;
}

bool value_damaged(struct slice text)
{
    if (text.size && text.data[0] == '=')
        return true;
    size_t at = 0;
    while (at < text.size && (digit(text.data[at]) || text.data[at] == '.' || text.data[at] == ','))
        at++;
    return at > 2 && text.size - at >= 3 && (text.data[at] == 'E' || text.data[at] == 'e') && text.data[at + 1] == '+' && digit(text.data[at + 2]) &&
           (memchr(text.data, '.', at) || memchr(text.data, ',', at));
}
