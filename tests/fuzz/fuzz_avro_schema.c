/* Any text as an Avro schema, and what stands behind its NUL as the bytes of a record: taken, or refused with words. */
#include "connectors/avro/body.h"
#include "engine/base/invariant.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct cells {
    struct mapping_cell cell;
    uint32_t asked;
};

/* Every text that is made is whole: read each byte of it. */
static struct mapping_cell *next_cell(void *context, struct slice path, struct slice own)
{
    struct cells *cells = context;
    unsigned sum = 0;
    for (size_t i = 0; i < cells->cell.text.size; i++)
        sum += (unsigned char)cells->cell.text.data[i];
    invariant(path.size < BODY_PATH_MAX && own.size < BODY_PATH_MAX && sum < UINT32_MAX);
    cells->asked++;
    cells->cell = (struct mapping_cell){.given = false};
    return &cells->cell;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice wrong, where, text = {(const char *)data, size};
    const char *end = size ? memchr(data, '\0', size) : NULL;
    text.size = end ? (size_t)(end - text.data) : size;
    struct slice rest = {(const char *)data + text.size, size - text.size};
    arena_init(&arena);
    const struct schema_node *schema = schema_read(text, &arena, &wrong);
    invariant((schema == NULL) == (wrong.size > 0));
    if (schema) {
        struct cells cells = {.asked = 0};
        const struct body_visit visit = {.context = &cells, .cell = next_cell};
        uint64_t steps = body_steps(rest.size), before = steps;
        size_t bytes = rest.size;
        enum reject_reason reason = body_read(schema, &rest, &steps, &arena, &visit, &where);
        invariant(rest.size <= bytes && steps <= before && cells.asked <= before && (reason == REJECT_NONE || steps < before));
        (void)schema_has(schema, SLICE("a.b.c"));
    }
    arena_fini(&arena);
    return 0;
}
