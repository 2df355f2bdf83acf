/* Fills templates, reads amounts, times and codes, and turns a payment round where its amount is negative. */
#include "connectors/format/fill.h"

#include "connectors/format/value.h"

/* Why a cell cannot serve this field. */
static enum reject_reason unfit(const struct mapping *mapping, const struct mapping_cell *cell, enum event_field field)
{
    bool money = field == EF_AMOUNT || field == EF_AMOUNT_MINOR;
    switch (cell->kind) {
    case CELL_REAL:
        return money ? REJECT_MONEY_AS_FLOAT : field == EF_TIME ? REJECT_TIME_AS_FLOAT : REJECT_WRONG_TYPE;
    case CELL_WHOLE: /* cents or euros? only a mapping can say */
        return mapping->direct && field == EF_AMOUNT ? REJECT_MONEY_AS_FLOAT : cell->wrong;
    case CELL_OTHER:
        return cell->wrong ? cell->wrong : REJECT_WRONG_TYPE;
    case CELL_TEXT:
    case CELL_INSTANT:
        break;
    }
    return cell->wrong;
}

/* The field's text by its template: empty when one of its cells is. */
static enum reject_reason fill_text(const struct mapping *mapping, const struct mapping_cell *cell, enum event_field which, struct arena *arena,
                                    struct slice *text)
{
    const struct mapping_field *field = &mapping->field[which];
    size_t size = 0, at = 0;
    struct slice part[MAPPING_PIECES_MAX] = {{NULL, 0}};
    *text = SLICE("");
    for (uint32_t i = 0; i < field->piece_count; i++) {
        const struct mapping_piece *piece = &field->piece[i];
        bool literal = piece->column == MAPPING_NO_COLUMN;
        enum reject_reason reason = literal ? REJECT_NONE : unfit(mapping, &cell[piece->column], which);
        if (reason != REJECT_NONE)
            return reason;
        part[i] = literal ? piece->text : cell[piece->column].text;
        if (part[i].size == 0)
            return REJECT_NONE;
        size += part[i].size;
    }
    *text = part[0];
    if (field->piece_count == 1)
        return REJECT_NONE;
    char *whole = arena_bytes(arena, size + 1);
    for (uint32_t i = 0; i < field->piece_count; i++) {
        memcpy(whole + at, part[i].data, part[i].size);
        at += part[i].size;
    }
    *text = (struct slice){whole, size};
    return REJECT_NONE;
}

/* May a value of this field be a number that a spreadsheet has spoilt? */
static bool is_number_like(enum event_field field)
{
    return field != EF_NARRATIVE && field != EF_AMOUNT && field != EF_AMOUNT_MINOR && field != EF_TIME && field != EF_SENDER_ADDRESS &&
           field != EF_RECEIVER_ADDRESS && field != EF_PLACE_NAME;
}

static bool cell_damaged(const struct mapping_cell *cell, const struct mapping_field *field)
{
    for (uint32_t i = 0; i < field->piece_count; i++)
        if (field->piece[i].column != MAPPING_NO_COLUMN && value_damaged(cell[field->piece[i].column].text))
            return true;
    return false;
}

static bool is_instant(const struct mapping_cell *cell, const struct mapping_field *field)
{
    return field->piece_count == 1 && field->piece[0].column != MAPPING_NO_COLUMN && cell[field->piece[0].column].kind == CELL_INSTANT;
}

static enum reject_reason make_value(const struct mapping *mapping, const struct mapping_cell *cell, enum event_field field, struct arena *arena,
                                     struct slice *text, bool *negative)
{
    const struct mapping_field *mapped = &mapping->field[field];
    enum reject_reason reason = fill_text(mapping, cell, field, arena, text);
    if (reason != REJECT_NONE || text->size == 0)
        return reason;
    if (mapping->of == MAPPING_CSV && is_number_like(field) && cell_damaged(cell, mapped))
        return REJECT_SPREADSHEET;
    if (field == EF_AMOUNT)
        return value_amount(mapping, *text, arena, text, negative);
    if (field == EF_TIME)
        return is_instant(cell, mapped) ? REJECT_NONE : value_time(mapping, *text, arena, text);
    return value_code(mapped, *text, text);
}

/* A minus means that the payment went the other way. */
static void swap_sides(const struct mapping *mapping, struct draft *draft)
{
    enum { SIDE = EF_RECEIVER_ACCOUNT - EF_SENDER_ACCOUNT };
    for (int f = EF_SENDER_ACCOUNT; f < EF_RECEIVER_ACCOUNT; f++) {
        struct slice text = draft->text[f];
        draft->text[f] = draft->text[f + SIDE];
        draft->text[f + SIDE] = text;
    }
    draft->own = mapping->own_swapped;
}

enum reject_reason mapping_fill(const struct mapping *mapping, const struct mapping_cell *cell, struct arena *arena, struct draft *draft,
                                enum event_field *wrong)
{
    bool negative = false;
    draft->own = mapping->own;
    for (int f = 0; f < EF_COUNT; f++) {
        *wrong = (enum event_field)f;
        enum reject_reason reason =
            mapping->field[f].piece_count ? make_value(mapping, cell, *wrong, arena, &draft->text[f], &negative) : REJECT_NONE;
        if (reason != REJECT_NONE)
            return reason;
    }
    *wrong = EF_AMOUNT;
    if (negative && mapping->negative == MAPPING_NEGATIVE_REFUSE)
        return REJECT_BAD_AMOUNT;
    if (negative)
        swap_sides(mapping, draft);
    return REJECT_NONE;
}

/* --- for people --- */

/* Of fields that nobody mapped only those that are given are worth showing. */
static bool worth_showing(const struct mapping *mapping, const struct mapping_cell *cell, const struct mapping_field *field)
{
    return field->piece_count > 0 && (!mapping->direct || cell[field->piece[0].column].given);
}

/* The cells that a field is made of, as they stand. */
static struct slice given_cells(const struct mapping_cell *cell, const struct mapping_field *field, struct arena *arena)
{
    struct slice given = SLICE("");
    for (uint32_t i = 0; i < field->piece_count; i++) {
        if (field->piece[i].column == MAPPING_NO_COLUMN)
            continue;
        const struct mapping_cell *held = &cell[field->piece[i].column];
        struct slice text = held->absent ? SLICE("(not there)") : held->text;
        given = arena_format(arena, "%.*s%s%.*s", (int)given.size, given.data, given.size ? " " : "", (int)text.size, text.data ? text.data : "");
    }
    return given;
}

void mapping_show(const struct mapping *mapping, const struct mapping_cell *cell, struct arena *arena, struct format_shown shown[EF_COUNT],
                  uint32_t *count)
{
    for (int f = 0; f < EF_COUNT; f++) {
        const struct mapping_field *field = &mapping->field[f];
        bool negative = false;
        struct slice made;
        if (!worth_showing(mapping, cell, field))
            continue;
        enum reject_reason reason = make_value(mapping, cell, (enum event_field)f, arena, &made, &negative);
        if (reason != REJECT_NONE)
            made = slice_of(reject_code(reason));
        else if (negative)
            made = arena_format(arena, "%.*s, %s", (int)made.size, made.data,
                                mapping->negative == MAPPING_NEGATIVE_SWAP ? "sides swapped" : reject_code(REJECT_BAD_AMOUNT));
        shown[(*count)++] = (struct format_shown){.own = mapping->own[f],
                                                  .given = given_cells(cell, field, arena),
                                                  .field = slice_of(event_field_path((enum event_field)f)),
                                                  .made = arena_copy(arena, made)};
    }
}
