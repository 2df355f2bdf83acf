/* Any bytes as Avro: framed by the schemas of tests/fuzz/schemas, or a file that brings a schema along; by names and by a mapping. */
#include "connectors/avro/avro.h"
#include "tests/fuzz/translated.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct format *open_format(const char *mapping_file)
{
    struct arena arena;
    struct slice wrong;
    struct error err = {0};
    arena_init(&arena);
    struct registry *registry = registry_open(&(struct registry_settings){.folder = "tests/fuzz/schemas"}, &err);
    struct mapping *mapping = mapping_file ? mapping_load(MAPPING_AVRO, mapping_file, &arena, &wrong) : NULL;
    invariant(registry != NULL && (mapping != NULL) == (mapping_file != NULL));
    arena_fini(&arena);
    return avro_format_open(&(struct avro_settings){.store = schema_store_open(registry, NULL, ""), .mapping = mapping, .containers = true});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct format *formats[2]; /* opened once: that is most of the work */
    for (int i = 0; i < 2; i++) {
        struct arena arena;
        struct format_shown shown[EF_COUNT];
        uint32_t count;
        if (!formats[i])
            formats[i] = open_format(i ? "tests/data/formats/avro/core.mapping" : NULL);
        check_translation(formats[i], data, size);
        arena_init(&arena);
        for (uint32_t row = 0; row < 3; row++)
            (void)formats[i]->show(formats[i]->self, (struct slice){(const char *)data, size}, row, &arena, shown, &count);
        arena_fini(&arena);
    }
    return 0;
}
