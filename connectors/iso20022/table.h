/* The tables of ISO 20022: which element makes which field, how, and what is dropped on purpose.
 *
 * Constant; made from field.def, how.def and dropped.def. */
#ifndef CONNECTORS_ISO20022_TABLE_H
#define CONNECTORS_ISO20022_TABLE_H

#include "engine/model/event_field.h"

enum iso_kind { ISO_PACS008, ISO_PACS009, ISO_PACS009COV, ISO_PAIN001, ISO_CAMT054_IN, ISO_CAMT054_OUT, ISO_KIND_COUNT };

/* Where a path begins. */
enum iso_base { BASE_HEADER, BASE_GROUP, BASE_BATCH, BASE_ENTRY, BASE_ENTRY_ALONE, BASE_ITEM, BASE_COVER, BASE_COUNT };

enum iso_how {
#define ISO_HOW(name, says) HOW_##name,
#include "connectors/iso20022/how.def"
#undef ISO_HOW
    HOW_COUNT
};

enum { ISO_STEPS_MAX = 8, ISO_ROWS_MAX = 512 };

struct iso_row {
    enum iso_kind kind;
    enum event_field field;
    enum iso_base base;
    enum iso_how how;
    const char *path, *with;
};

struct iso_dropped {
    const char *end, *why;
};

extern const struct iso_row iso_rows[];
extern const uint32_t iso_row_count;
extern const struct iso_dropped iso_dropped[];
extern const uint32_t iso_dropped_count;

const char *iso_kind_name(enum iso_kind kind);                    /* "pacs.008" */
const char *iso_base_name(enum iso_kind kind, enum iso_base base); /* "GrpHdr"; "" where there is none */
const char *iso_how_says(enum iso_how how);

#endif
