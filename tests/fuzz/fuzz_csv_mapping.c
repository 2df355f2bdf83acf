/* Any bytes as a mapping file: taken, or its faults said; what is taken translates any row. */
#include "connectors/csv/csv.h"
#include "connectors/format/mapping.h"
#include "tests/fuzz/translated.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char rows[] = "Buchungsnr;Datum;Betrag;Gegenkonto\n1;02.03.2026;1.234,56;X\n\"2\n\";;-5,00;\n";
    struct arena arena;
    struct slice wrong = SLICE("");
    arena_init(&arena);
    struct mapping *mapping = mapping_read(MAPPING_CSV, "fuzz", (struct slice){(const char *)data, size}, &arena, &wrong);
    invariant((mapping == NULL) == (wrong.size > 0));
    if (mapping) {
        struct format *format = csv_format_open(mapping);
        check_translation(format, (const uint8_t *)rows, sizeof rows - 1);
        format->close(format->self);
    }
    arena_fini(&arena);
    return 0;
}
