/* A mapping says how one bank's CSV becomes canonical events: which columns make which field, and how
 * amounts and dates are written. connectors/csv/README.md is the manual of its file.
 *
 * Immutable after loading; everything lives in its arena. What a mapping does not say is never
 * guessed: a date without a named form, or an amount with a thousands mark that is not named, is refused. */
#ifndef CONNECTORS_CSV_MAPPING_H
#define CONNECTORS_CSV_MAPPING_H

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/model/event_field.h"
#include "engine/model/zone.h"

enum { CSV_COLUMNS_MAX = 512, CSV_PIECES_MAX = 32, CSV_NO_COLUMN = -1 };

/* A column that the mapping names. */
struct csv_column {
    struct slice name;
    bool ignored; /* known, and left out on purpose */
};

/* "DEUTDEFF:{Konto}" is a literal and a column. */
struct csv_piece {
    struct slice text; /* of a literal */
    int column;        /* index into csv_mapping.column; CSV_NO_COLUMN: a literal */
};

/* UEB=TRANSFER; `from` "*" stands for everything else. */
struct csv_code {
    struct slice from, to;
};

struct csv_field {
    const struct csv_piece *piece;
    uint32_t piece_count;          /* 0: the field is not mapped */
    const struct csv_code *code;
    uint32_t code_count;           /* 0: taken as it is */
};

enum csv_negative { CSV_NEGATIVE_REFUSE, CSV_NEGATIVE_SWAP };

struct csv_mapping {
    struct arena arena;
    char delimiter, quote;         /* quote 0: none */
    bool latin1;                   /* the text is ISO 8859-1, not UTF-8 */
    bool header;                   /* the first row of every message names the columns */
    char decimal;
    struct slice thousands;        /* empty: none */
    enum csv_negative negative;
    struct slice time_form;        /* empty: RFC 3339 */
    struct zone *zone;             /* of times without an offset; NULL: such times are refused */
    struct csv_column *column;
    uint32_t column_count;
    const int *order;              /* without a header: the columns in their order */
    uint32_t order_count;
    struct csv_field field[EF_COUNT];
    struct slice own[EF_COUNT];    /* what the bank calls each field */
    struct slice own_swapped[EF_COUNT]; /* of rows whose sides were swapped */
};

/* NULL when the file cannot be read, or has faults: then *wrong says each as "FILE:LINE: …" on a line
 * of its own (in `arena`). */
struct csv_mapping *csv_mapping_load(const char *path, struct arena *arena, struct slice *wrong) must_check;
/* The same for text in memory; path is only said. */
struct csv_mapping *csv_mapping_read(const char *path, struct slice text, struct arena *arena, struct slice *wrong) must_check;
void csv_mapping_free(struct csv_mapping *mapping);

/* Index of the column, or CSV_NO_COLUMN when the mapping does not name it. */
int csv_mapping_column(const struct csv_mapping *mapping, struct slice name);

#endif
