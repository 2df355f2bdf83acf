/* Reads a mapping file line by line and says every fault with its line. */
#include "connectors/format/mapping.h"

#include "engine/base/invariant.h"
#include "engine/base/suggest.h"
#include "engine/base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 1 << 20, CODES_MAX = 256, FAULTS_MAX = 40 };

enum mapping_option {
#define MAPPING_OPTION(of, name, takes, def, meaning) OPTION_##name,
#include "connectors/format/option.def"
#undef MAPPING_OPTION
    OPTION_COUNT
};

static const struct {
    const char *name, *takes;
    bool csv; /* of nothing else */
} options[OPTION_COUNT] = {
#define CSV true
#define ANY false
#define MAPPING_OPTION(of, name, takes, def, meaning) {#name, takes, of},
#include "connectors/format/option.def"
#undef MAPPING_OPTION
#undef CSV
#undef ANY
};

struct reading {
    struct mapping *mapping;
    const char *path;
    struct arena *arena; /* of what is wrong */
    struct slice wrong;
    unsigned line, faults;
    bool option[OPTION_COUNT];
    unsigned field_line[EF_COUNT];
    int order[MAPPING_COLUMNS_MAX];
};

static void complain(struct reading *r, unsigned line, struct slice what)
{
    if (++r->faults > FAULTS_MAX)
        return;
    if (line)
        r->wrong = arena_format(r->arena, "%.*s%s:%u: %.*s\n", (int)r->wrong.size, r->wrong.data ? r->wrong.data : "", r->path, line,
                                (int)what.size, what.data);
    else
        r->wrong = arena_format(r->arena, "%.*s%s: %.*s\n", (int)r->wrong.size, r->wrong.data ? r->wrong.data : "", r->path,
                                (int)what.size, what.data);
}

#define COMPLAIN(r, ...) complain((r), (r)->line, arena_format((r)->arena, __VA_ARGS__))

static struct slice trim(struct slice text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text.data++, text.size--;
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t' || text.data[text.size - 1] == '\r'))
        text.size--;
    return text;
}

/* Takes what stands before `mark` off text; all of it when there is none. */
static struct slice take_until(struct slice *text, char mark)
{
    const char *at = text->size ? memchr(text->data, mark, text->size) : NULL;
    struct slice part = {text->data, at ? (size_t)(at - text->data) : text->size};
    size_t gone = at ? part.size + 1 : part.size;
    *text = (struct slice){text->data ? text->data + gone : NULL, text->size - gone};
    return part;
}

/* --- columns --- */

int mapping_column_index(const struct mapping *mapping, struct slice name)
{
    for (uint32_t i = 0; i < mapping->column_count; i++)
        if (slice_equal(name, mapping->column[i].name))
            return (int)i;
    return MAPPING_NO_COLUMN;
}

static int column_add(struct reading *r, struct slice name, bool ignored)
{
    struct mapping *mapping = r->mapping;
    int index = mapping_column_index(mapping, name);
    if (index == MAPPING_NO_COLUMN && mapping->column_count == MAPPING_COLUMNS_MAX) {
        COMPLAIN(r, "more than %d columns", MAPPING_COLUMNS_MAX);
        return 0;
    }
    if (index == MAPPING_NO_COLUMN) {
        index = (int)mapping->column_count++;
        mapping->column[index] = (struct mapping_column){.name = arena_copy(&mapping->arena, name), .ignored = ignored};
    }
    mapping->column[index].ignored &= ignored; /* a field that needs it wins */
    return index;
}

/* "{A} {B}": calls take for each name; false with a complaint when it is anything else. */
static bool take_columns(struct reading *r, struct slice value, bool ignored, bool ordered)
{
    while ((value = trim(value)).size) {
        struct slice name = value.data[0] == '{' ? (struct slice){value.data + 1, value.size - 1} : SLICE("");
        struct slice rest = name;
        name = take_until(&rest, '}');
        if (name.size == 0 || name.size == value.size - 1) {
            COMPLAIN(r, "columns are written in braces: {A} {B}");
            return false;
        }
        int index = column_add(r, name, ignored);
        if (ordered && r->mapping->order_count < MAPPING_COLUMNS_MAX)
            r->order[r->mapping->order_count++] = index;
        value = rest;
    }
    return true;
}

/* --- options --- */

struct word {
    const char *word;
    char mark;
};

/* The mark of a word; '\0' with a complaint when it is none of them (the last has word NULL). */
static bool take_word(struct reading *r, enum mapping_option option, struct slice value, const struct word *words, char *mark)
{
    for (; words->word; words++)
        if (slice_equal(value, slice_of(words->word))) {
            *mark = words->mark;
            return true;
        }
    COMPLAIN(r, "`%s` takes %s, not `%.*s`", options[option].name, options[option].takes, (int)value.size, value.data);
    return false;
}

/* Every token once at most, a whole date at least; two-digit years are not taken. */
static void check_form(struct reading *r, struct slice form)
{
    static const char *const tokens[] = {"YYYY", "MM", "DD", "HH", "MI", "SS", "FFF"};
    unsigned seen = 0;
    for (size_t i = 0; i < form.size;) {
        size_t step = 1;
        for (unsigned t = 0; t < 7; t++) {
            size_t size = strlen(tokens[t]);
            if (form.size - i < size || memcmp(form.data + i, tokens[t], size) != 0)
                continue;
            if (seen >> t & 1)
                COMPLAIN(r, "`time_form` names %s twice", tokens[t]);
            seen |= 1u << t;
            step = size;
            break;
        }
        i += step;
    }
    if ((seen & 7) != 7)
        COMPLAIN(r, "`time_form` must name YYYY, MM and DD; years of two digits are not taken");
    if ((seen >> 4 && !(seen >> 3 & 1)) || (seen >> 5 && !(seen >> 4 & 1)))
        COMPLAIN(r, "`time_form` names a part of the time without the larger one: HH, then MI, then SS, then FFF");
}

static void take_zone(struct reading *r, struct slice value)
{
    struct error err = {0};
    zone_free(r->mapping->zone);
    r->mapping->zone = zone_load(value, &err);
    if (!r->mapping->zone)
        COMPLAIN(r, "`time_zone`: %s", err.text);
}

static void take_option(struct reading *r, enum mapping_option option, struct slice value)
{
    static const struct word delimiters[] = {{"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}, {"pipe", '|'}, {NULL, 0}};
    static const struct word quotes[] = {{"double", '"'}, {"single", '\''}, {"none", 0}, {NULL, 0}};
    static const struct word encodings[] = {{"utf-8", 0}, {"latin-1", 1}, {NULL, 0}};
    static const struct word yes_no[] = {{"yes", 1}, {"no", 0}, {NULL, 0}};
    static const struct word decimals[] = {{"point", '.'}, {"comma", ','}, {NULL, 0}};
    static const struct word thousands[] = {{"none", 0}, {"point", '.'}, {"comma", ','}, {"space", ' '}, {"apostrophe", '\''}, {NULL, 0}};
    static const struct word negatives[] = {{"refuse", MAPPING_NEGATIVE_REFUSE}, {"swap", MAPPING_NEGATIVE_SWAP}, {NULL, 0}};
    struct mapping *mapping = r->mapping;
    char mark = 0;
    switch (option) {
    case OPTION_delimiter:
        if (take_word(r, option, value, delimiters, &mark))
            mapping->delimiter = mark;
        break;
    case OPTION_quote:
        if (take_word(r, option, value, quotes, &mark))
            mapping->quote = mark;
        break;
    case OPTION_encoding:
        mapping->latin1 = take_word(r, option, value, encodings, &mark) && mark;
        break;
    case OPTION_header:
        mapping->header = take_word(r, option, value, yes_no, &mark) ? mark != 0 : mapping->header;
        break;
    case OPTION_amount_decimal:
        if (take_word(r, option, value, decimals, &mark))
            mapping->decimal = mark;
        break;
    case OPTION_amount_thousands:
        if (take_word(r, option, value, thousands, &mark) && mark)
            mapping->thousands = arena_copy(&mapping->arena, (struct slice){&mark, 1});
        break;
    case OPTION_amount_negative:
        if (take_word(r, option, value, negatives, &mark))
            mapping->negative = (enum mapping_negative)mark;
        break;
    case OPTION_columns:
        (void)take_columns(r, value, true, true);
        break;
    case OPTION_ignore:
        (void)take_columns(r, value, true, false);
        break;
    case OPTION_time_form:
        mapping->time_form = arena_copy(&mapping->arena, value);
        check_form(r, value);
        break;
    case OPTION_time_zone:
        take_zone(r, value);
        break;
    case OPTION_COUNT:
        break;
    }
}

/* --- fields --- */

/* "A{B}C" into pieces. */
static void take_template(struct reading *r, struct mapping_field *field, struct slice value)
{
    struct mapping_piece piece[MAPPING_PIECES_MAX];
    uint32_t count = 0;
    while (value.size && count < MAPPING_PIECES_MAX) {
        bool column = value.data[0] == '{';
        struct slice rest = column ? (struct slice){value.data + 1, value.size - 1} : value;
        size_t before = rest.size;
        struct slice text = take_until(&rest, column ? '}' : '{');
        if (column && (text.size == 0 || text.size == before)) {
            COMPLAIN(r, "a column is written in braces: {Name}");
            return;
        }
        if (!column && rest.size + text.size < before)
            rest = (struct slice){rest.data - 1, rest.size + 1}; /* the brace belongs to the next piece */
        piece[count++] = (struct mapping_piece){.text = arena_copy(&r->mapping->arena, text),
                                            .column = column ? column_add(r, text, false) : MAPPING_NO_COLUMN};
        value = rest;
    }
    if (value.size) {
        COMPLAIN(r, "more than %d pieces", MAPPING_PIECES_MAX);
        return;
    }
    struct mapping_piece *kept = ARENA_ARRAY(&r->mapping->arena, struct mapping_piece, count);
    memcpy(kept, piece, count * sizeof *kept);
    field->piece = kept;
    field->piece_count = count;
}

static void take_codes(struct reading *r, struct mapping_field *field, struct slice value)
{
    struct mapping_code *code = ARENA_ARRAY(&r->mapping->arena, struct mapping_code, CODES_MAX);
    uint32_t count = 0;
    while (value.size) {
        struct slice to = take_until(&value, ','), from = trim(take_until(&to, '='));
        to = trim(to);
        if (from.size == 0 || to.size == 0 || count == CODES_MAX) {
            COMPLAIN(r, "codes are written FROM=TO, FROM=TO; at most %d; FROM * is everything else", CODES_MAX);
            return;
        }
        code[count++] = (struct mapping_code){arena_copy(&r->mapping->arena, from), arena_copy(&r->mapping->arena, to)};
    }
    field->code = code;
    field->code_count = count;
}

/* "; did you mean `x`?" or nothing. */
static struct slice meant(struct reading *r, struct slice name)
{
    struct slice names[OPTION_COUNT + EF_COUNT];
    for (int i = 0; i < OPTION_COUNT; i++)
        names[i] = slice_of(options[i].name);
    for (int i = 0; i < EF_COUNT; i++)
        names[OPTION_COUNT + i] = slice_of(event_field_path((enum event_field)i));
    int near = suggest_nearest(name, names, OPTION_COUNT + EF_COUNT);
    return near < 0 ? SLICE("") : arena_format(r->arena, "; did you mean `%.*s`?", (int)names[near].size, names[near].data);
}

/* `source` is the topic's, and a fact's members are no payment's. */
static bool mappable(enum event_field field)
{
    return field != EF_COUNT && field != EF_SENDER && field != EF_RECEIVER && field != EF_PLACE && field != EF_SOURCE && !event_field_is_fact(field);
}

static void take_field(struct reading *r, struct slice name, struct slice value)
{
    struct slice base = name;
    bool codes = name.size > 4 && memcmp(name.data + name.size - 4, ".map", 4) == 0;
    base.size -= codes ? 4 : 0;
    enum event_field field = event_field_parse(base);
    if (!mappable(field)) {
        struct slice hint = meant(r, base);
        COMPLAIN(r, "there is no option and no field `%.*s`%.*s", (int)base.size, base.data, (int)hint.size, hint.data);
        return;
    }
    struct mapping_field *mapped = &r->mapping->field[field];
    if (codes ? mapped->code_count : mapped->piece_count)
        COMPLAIN(r, "`%.*s` is given twice", (int)name.size, name.data);
    else if (codes)
        take_codes(r, mapped, value);
    else
        take_template(r, mapped, value);
    r->field_line[field] = r->line;
}

static void take_line(struct reading *r, struct slice line)
{
    line = trim(line);
    if (line.size == 0 || line.data[0] == '#')
        return;
    struct slice value = line, name = trim(take_until(&value, ':'));
    value = trim(value);
    if (value.size == 0) {
        COMPLAIN(r, "a line is NAME: VALUE");
        return;
    }
    for (int i = 0; i < OPTION_COUNT; i++)
        if (slice_equal(name, slice_of(options[i].name))) {
            if (r->option[i])
                COMPLAIN(r, "`%s` is given twice", options[i].name);
            if (options[i].csv && r->mapping->of != MAPPING_CSV)
                COMPLAIN(r, "`%s` is for CSV: Avro has no such thing", options[i].name);
            r->option[i] = true;
            take_option(r, (enum mapping_option)i, value);
            return;
        }
    take_field(r, name, value);
}

/* --- the whole --- */

/* What the bank calls a field: its columns, or that the mapping itself gives the value. */
static struct slice own_name(const struct mapping *mapping, struct arena *arena, enum event_field field)
{
    const struct mapping_field *mapped = &mapping->field[field];
    struct slice name = SLICE("");
    for (uint32_t i = 0; i < mapped->piece_count; i++)
        if (mapped->piece[i].column != MAPPING_NO_COLUMN) {
            struct slice column = mapping->column[mapped->piece[i].column].name;
            name = arena_format(arena, "%.*s%s%.*s", (int)name.size, name.data, name.size ? ", " : mapping->of == MAPPING_CSV ? "column " : "field ", (int)column.size, column.data);
        }
    if (name.size || mapped->piece_count)
        return name.size ? name : arena_format(arena, "%s of the mapping", event_field_path(field));
    return arena_format(arena, "%s, which the mapping does not give", event_field_path(field));
}

static void name_fields(struct mapping *mapping)
{
    enum { SIDE = EF_RECEIVER_ACCOUNT - EF_SENDER_ACCOUNT };
    for (int f = 0; f < EF_COUNT; f++)
        mapping->own[f] = mapping->own_swapped[f] = own_name(mapping, &mapping->arena, (enum event_field)f);
    /* a row without any account is refused as one without sides */
    mapping->own[EF_SENDER] = mapping->own[mapping->field[EF_SENDER_ACCOUNT].piece_count ? EF_SENDER_ACCOUNT : EF_RECEIVER_ACCOUNT];
    mapping->own_swapped[EF_SENDER] = mapping->own[EF_SENDER];
    for (int f = EF_SENDER_ACCOUNT; f < EF_RECEIVER_ACCOUNT; f++) {
        mapping->own_swapped[f] = mapping->own[f + SIDE];
        mapping->own_swapped[f + SIDE] = mapping->own[f];
    }
}

static bool given(const struct mapping *mapping, enum event_field field)
{
    return mapping->field[field].piece_count > 0;
}

static void check_whole(struct reading *r)
{
    const struct mapping *mapping = r->mapping;
    static const enum event_field needed[] = {EF_ID, EF_TIME, EF_CURRENCY};
    r->line = 0;
    for (int i = 0; i < 3; i++)
        if (!given(mapping, needed[i]))
            COMPLAIN(r, "the field `%s` must be mapped", event_field_path(needed[i]));
    if (given(mapping, EF_AMOUNT) == given(mapping, EF_AMOUNT_MINOR))
        COMPLAIN(r, "one of the fields `amount` and `amount_minor` must be mapped");
    if (!given(mapping, EF_SENDER_ACCOUNT) && !given(mapping, EF_RECEIVER_ACCOUNT) && !given(mapping, EF_SENDER_PARTY) &&
        !given(mapping, EF_RECEIVER_PARTY))
        COMPLAIN(r, "an account or party must be mapped: `sender.account`, `receiver.account`, `sender.party` or `receiver.party`");
    if ((mapping->time_form.size > 0) != r->option[OPTION_time_zone])
        COMPLAIN(r, "`time_form` and `time_zone` are given together or not at all");
    if (mapping->header == r->option[OPTION_columns])
        COMPLAIN(r, mapping->header ? "`columns` is for files without a header: say header: no" : "without a header `columns` must name all columns");
    if (mapping->thousands.size && mapping->thousands.data[0] == mapping->decimal)
        COMPLAIN(r, "`amount_decimal` and `amount_thousands` are the same mark");
    for (int f = 0; f < EF_COUNT; f++)
        if (mapping->field[f].code_count && !given(mapping, (enum event_field)f)) {
            r->line = r->field_line[f];
            COMPLAIN(r, "`%s.map` maps a field that is not mapped", event_field_path((enum event_field)f));
        }
}

static struct mapping *mapping_new(enum mapping_of of)
{
    struct mapping *mapping = calloc(1, sizeof *mapping);
    invariant(mapping);
    arena_init(&mapping->arena);
    mapping->of = of;
    mapping->column = ARENA_ARRAY(&mapping->arena, struct mapping_column, MAPPING_COLUMNS_MAX);
    mapping->delimiter = ',';
    mapping->quote = '"';
    mapping->header = true;
    mapping->decimal = '.';
    return mapping;
}

struct mapping *mapping_read(enum mapping_of of, const char *path, struct slice text, struct arena *arena, struct slice *wrong)
{
    struct mapping *mapping = mapping_new(of);
    struct reading *r = calloc(1, sizeof *r);
    invariant(r);
    *r = (struct reading){.mapping = mapping, .path = path, .arena = arena, .wrong = SLICE("")};
    if (text.size >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0)
        text = (struct slice){text.data + 3, text.size - 3};
    if (!utf8_valid(text) || (text.size && memchr(text.data, '\0', text.size)))
        COMPLAIN(r, "the file is not UTF-8 text");
    bool readable = r->wrong.size == 0;
    while (readable && text.size && r->faults < FAULTS_MAX) {
        r->line++;
        take_line(r, take_until(&text, '\n'));
    }
    if (!r->wrong.size)
        check_whole(r);
    int *order = ARENA_ARRAY(&mapping->arena, int, mapping->order_count + 1);
    memcpy(order, r->order, mapping->order_count * sizeof *order);
    mapping->order = order;
    name_fields(mapping);
    *wrong = r->wrong;
    free(r);
    if (wrong->size == 0)
        return mapping;
    mapping_free(mapping);
    return NULL;
}

struct mapping *mapping_load(enum mapping_of of, const char *path, struct arena *arena, struct slice *wrong)
{
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc(FILE_BYTES_MAX) : NULL;
    struct mapping *mapping = NULL;
    if (!file) {
        *wrong = arena_format(arena, "%s: cannot be read: %s\n", path, strerror(errno));
        return NULL;
    }
    invariant(text);
    size_t size = fread(text, 1, FILE_BYTES_MAX, file);
    if (size == FILE_BYTES_MAX)
        *wrong = arena_format(arena, "%s: larger than %d bytes\n", path, FILE_BYTES_MAX);
    else
        mapping = mapping_read(of, path, (struct slice){text, size}, arena, wrong);
    free(text);
    (void)fclose(file);
    return mapping;
}

struct mapping *mapping_direct(void)
{
    struct mapping *mapping = mapping_new(MAPPING_AVRO);
    mapping->direct = true;
    mapping->column[mapping->column_count++] = (struct mapping_column){.name = SLICE("source"), .ignored = true};
    for (int f = 0; f < EF_COUNT; f++) {
        struct slice path = slice_of(event_field_path((enum event_field)f));
        mapping->own[f] = mapping->own_swapped[f] = path;
        if (!mappable((enum event_field)f))
            continue;
        struct mapping_piece *piece = ARENA_NEW(&mapping->arena, struct mapping_piece);
        piece->column = (int)mapping->column_count;
        mapping->column[mapping->column_count++] = (struct mapping_column){.name = path};
        mapping->field[f] = (struct mapping_field){.piece = piece, .piece_count = 1};
    }
    return mapping;
}

void mapping_free(struct mapping *mapping)
{
    if (!mapping)
        return;
    zone_free(mapping->zone);
    arena_fini(&mapping->arena);
    free(mapping);
}
