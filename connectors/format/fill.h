/* From the cells of one row, or the fields of one record, to the draft of an event by a mapping.
 *
 * Pure; results live in the arena. Cells stand in the order of the mapping's columns. */
#ifndef CONNECTORS_FORMAT_FILL_H
#define CONNECTORS_FORMAT_FILL_H

#include "connectors/format/mapping.h"
#include "engine/model/format.h"

/* What kind of value a cell's text was made from; CSV knows texts only. */
enum mapping_kind {
    CELL_TEXT,
    CELL_WHOLE,   /* a whole number */
    CELL_REAL,    /* a binary floating-point number: never money, never a time */
    CELL_INSTANT, /* a moment in UTC, whatever time_form says */
    CELL_OTHER,   /* bytes without a meaning, a list: no text */
};

/* What one column of the mapping holds here. */
struct mapping_cell {
    struct slice text;        /* empty: not given */
    enum mapping_kind kind;
    enum reject_reason wrong; /* why a field that needs it is refused */
    bool given;               /* there is a value, if only an empty or wrong one */
    bool absent;              /* there is no such column here at all */
};

/* Fills draft->text and draft->own; where a value is wrong, says why and in which field. */
enum reject_reason mapping_fill(const struct mapping *mapping, const struct mapping_cell *cell, struct arena *arena, struct draft *draft,
                                enum event_field *wrong);

/* What `muster feed --dry-run` shows: every field that has a column, with its cells as they stand. */
void mapping_show(const struct mapping *mapping, const struct mapping_cell *cell, struct arena *arena, struct format_shown shown[EF_COUNT],
                  uint32_t *count);

#endif
