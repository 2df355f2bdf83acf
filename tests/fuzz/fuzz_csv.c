/* Any bytes as a bank's CSV, by the mapping of tests/data/formats/csv. */
#include "connectors/csv/csv.h"
#include "connectors/format/mapping.h"
#include "tests/fuzz/translated.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice wrong;
    arena_init(&arena);
    struct mapping *mapping = mapping_load(MAPPING_CSV, "tests/data/formats/csv/statement.mapping", &arena, &wrong);
    invariant(mapping != NULL);
    struct format *format = csv_format_open(mapping);
    check_translation(format, data, size);
    format->close(format->self);
    arena_fini(&arena);
    return 0;
}
