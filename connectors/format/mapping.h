/* A mapping says how one bank's rows or records become canonical events: which columns make which field,
 * and how amounts and dates are written. connectors/csv/README.md is the manual of its file, and
 * connectors/avro/README.md says what differs for Avro, where a column is a field of the record: `a.b`.
 *
 * Immutable after loading; everything lives in its arena. What a mapping does not say is never
 * guessed: a date without a named form, or an amount with a thousands mark that is not named, is refused. */
#ifndef CONNECTORS_FORMAT_MAPPING_H
#define CONNECTORS_FORMAT_MAPPING_H

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/model/event_field.h"
#include "engine/model/zone.h"

enum mapping_of { MAPPING_CSV, MAPPING_AVRO };

enum { MAPPING_COLUMNS_MAX = 512, MAPPING_PIECES_MAX = 32, MAPPING_NO_COLUMN = -1 };

/* A column that the mapping names. */
struct mapping_column {
    struct slice name;
    bool ignored; /* known, and left out on purpose */
};

/* "DEUTDEFF:{Konto}" is a literal and a column. */
struct mapping_piece {
    struct slice text; /* of a literal */
    int column;        /* index into mapping.column; MAPPING_NO_COLUMN: a literal */
};

/* UEB=TRANSFER; `from` "*" stands for everything else. */
struct mapping_code {
    struct slice from, to;
};

struct mapping_field {
    const struct mapping_piece *piece;
    uint32_t piece_count;          /* 0: the field is not mapped */
    const struct mapping_code *code;
    uint32_t code_count;           /* 0: taken as it is */
};

enum mapping_negative { MAPPING_NEGATIVE_REFUSE, MAPPING_NEGATIVE_SWAP };

struct mapping {
    struct arena arena;
    enum mapping_of of;
    bool direct;                   /* nobody wrote it: fields carry the canonical names */
    char delimiter, quote;         /* quote 0: none */
    bool latin1;                   /* the text is ISO 8859-1, not UTF-8 */
    bool header;                   /* the first row of every message names the columns */
    char decimal;
    struct slice thousands;        /* empty: none */
    enum mapping_negative negative;
    struct slice time_form;        /* empty: RFC 3339 */
    struct zone *zone;             /* of times without an offset; NULL: such times are refused */
    struct mapping_column *column;
    uint32_t column_count;
    const int *order;              /* without a header: the columns in their order */
    uint32_t order_count;
    struct mapping_field field[EF_COUNT];
    struct slice own[EF_COUNT];    /* what the bank calls each field */
    struct slice own_swapped[EF_COUNT]; /* of rows whose sides were swapped */
};

/* NULL when the file cannot be read, or has faults: then *wrong says each as "FILE:LINE: …" on a line
 * of its own (in `arena`). */
struct mapping *mapping_load(enum mapping_of of, const char *path, struct arena *arena, struct slice *wrong) must_check;
/* The same for text in memory; path is only said. */
struct mapping *mapping_read(enum mapping_of of, const char *path, struct slice text, struct arena *arena, struct slice *wrong) must_check;
/* Each canonical field from the column of its own path (`sender.account`); `source` is left out. Never NULL. */
struct mapping *mapping_direct(void);
void mapping_free(struct mapping *mapping);

/* Index of the column, or MAPPING_NO_COLUMN when the mapping does not name it. */
int mapping_column_index(const struct mapping *mapping, struct slice name);

#endif
