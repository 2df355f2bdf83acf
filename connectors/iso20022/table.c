/* The rows of field.def and dropped.def as constant tables, and the page made from them. */
#include "connectors/iso20022/table.h"

#include "connectors/iso20022/iso20022.h"

#include <stdio.h>

const struct iso_row iso_rows[] = {
#define ISO_FIELD(message, field, base, path, how, with) {ISO_##message, EF_##field, BASE_##base, HOW_##how, path, with},
#include "connectors/iso20022/field.def"
#undef ISO_FIELD
};
const uint32_t iso_row_count = sizeof iso_rows / sizeof iso_rows[0];
_Static_assert(sizeof iso_rows / sizeof iso_rows[0] <= ISO_ROWS_MAX, "rows are counted");

const struct iso_dropped iso_dropped[] = {
#define ISO_DROPPED(end, why) {end, why},
#include "connectors/iso20022/dropped.def"
#undef ISO_DROPPED
};
const uint32_t iso_dropped_count = sizeof iso_dropped / sizeof iso_dropped[0];

static const char *const hows[HOW_COUNT] = {
#define ISO_HOW(name, says) says,
#include "connectors/iso20022/how.def"
#undef ISO_HOW
};

const char *iso_kind_name(enum iso_kind kind)
{
    static const char *const names[ISO_KIND_COUNT] = {"pacs.008", "pacs.009", "pacs.009", "pain.001", "camt.054", "camt.054"};
    return names[kind];
}

const char *iso_base_name(enum iso_kind kind, enum iso_base base)
{
    bool camt = kind == ISO_CAMT054_IN || kind == ISO_CAMT054_OUT;
    switch (base) {
    case BASE_HEADER:
        return "AppHdr";
    case BASE_GROUP:
        return "GrpHdr";
    case BASE_BATCH:
        return camt ? "Ntfctn" : "PmtInf";
    case BASE_ENTRY:
    case BASE_ENTRY_ALONE:
        return "Ntry";
    case BASE_ITEM:
        return camt ? "TxDtls" : "CdtTrfTxInf";
    case BASE_COVER:
        return "UndrlygCstmrCdtTrf";
    case BASE_COUNT:
        break;
    }
    return "";
}

const char *iso_how_says(enum iso_how how)
{
    return hows[how];
}

static const char *title(enum iso_kind kind)
{
    static const char *const titles[ISO_KIND_COUNT] = {
        "pacs.008, a customer's transfer between banks",
        "pacs.009, a transfer between two banks on their own account",
        "pacs.009 COV, the cover of a customer's transfer",
        "pain.001, a customer's order",
        "camt.054, a credit",
        "camt.054, a debit",
    };
    return titles[kind];
}

void iso20022_print_page(FILE *out)
{
    fputs("# ISO 20022, element by element\n\nMade by `muster reference iso20022` from `field.def`, `how.def` and `dropped.def` beside this page;\n"
          "[README.md](README.md) explains. The first element that gives something wins, from above; parts of the id are joined.\n\n", out);
    for (int kind = 0; kind < ISO_KIND_COUNT; kind++) {
        fprintf(out, "### %s\n\n| field | element | how |\n|---|---|---|\n", title((enum iso_kind)kind));
        for (int field = 0; field < EF_COUNT; field++)
            for (uint32_t i = 0; i < iso_row_count; i++) {
                const struct iso_row *row = &iso_rows[i];
                if ((int)row->kind != kind || (int)row->field != field)
                    continue;
                fprintf(out, "| `%s` | `%s%s%s` | %s%s%s%s |\n", event_field_path(row->field), iso_base_name(row->kind, row->base),
                        row->path[0] ? "/" : "", row->path, iso_how_says(row->how), row->with[0] ? " (`" : "", row->with, row->with[0] ? "`)" : "");
            }
        fputc('\n', out);
    }
    fputs("### What is dropped\n\n| element | why |\n|---|---|\n", out);
    for (uint32_t i = 0; i < iso_dropped_count; i++)
        fprintf(out, "| `%s` | %s |\n", iso_dropped[i].end, iso_dropped[i].why);
}
