/* The names and limits of an event's fields. */
#include "engine/model/event_field.h"

static const struct {
    const char *key, *path;
    size_t most;
} fields[EF_COUNT] = {
#define EVENT_FIELD(name, parent, key, most) {key, parent[0] ? parent "." key : key, most},
#include "engine/model/event_field.def"
#undef EVENT_FIELD
};

const char *event_field_key(enum event_field field)
{
    return fields[field].key;
}

const char *event_field_path(enum event_field field)
{
    return fields[field].path;
}

size_t event_field_most(enum event_field field)
{
    return fields[field].most;
}

bool event_field_is_fact(enum event_field field)
{
    return field >= EF_FACT && field <= EF_FIELDS;
}

enum event_field event_field_parse(struct slice path)
{
    int field = 0;
    while (field < EF_COUNT && (event_field_is_fact((enum event_field)field) || !slice_equal(path, slice_of(fields[field].path))))
        field++;
    return (enum event_field)field;
}
