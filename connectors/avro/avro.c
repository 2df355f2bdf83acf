/* From a message to its schema, and from each record to the draft of an event. */
#include "connectors/avro/avro.h"

#include "connectors/avro/body.h"
#include "connectors/avro/container.h"
#include "connectors/format/fill.h"
#include "engine/base/invariant.h"

#include <stdio.h>
#include <stdlib.h>

enum { FRAME_BYTES = 5 };

struct avro {
    struct format seam;
    struct schema_store *store;
    struct mapping *mapping;
    bool containers;
    struct arena arena;                /* of the message at work */
    struct mapping_cell *cell;         /* of the record at work, by the mapping's columns */
    struct format_output *out;         /* where unknown fields are counted; NULL: nowhere */
    struct arena held_arena;           /* of the container that the last block came from: */
    struct slice held_header, held_wrong;
    const struct schema_node *held;    /* NULL: refused with held_wrong */
};

/* A message taken apart: records to read, one behind the other. */
struct records {
    const struct schema_node *schema;
    struct slice rest;
    int64_t count;
    uint64_t steps;
};

/* --- one record --- */

/* A whole branch may be left out: `ignore: {a}` covers a.b. */
static bool is_ignored(const struct mapping *mapping, struct slice path)
{
    for (; path.size; path.size--) {
        bool part = path.data[path.size - 1] == '.';
        struct slice branch = {path.data, path.size - part};
        int column = part ? mapping_column_index(mapping, branch) : MAPPING_NO_COLUMN;
        if (column != MAPPING_NO_COLUMN && mapping->column[column].ignored)
            return true;
    }
    return false;
}

static struct mapping_cell *find_cell(void *context, struct slice path, struct slice own)
{
    struct avro *avro = context;
    int column = mapping_column_index(avro->mapping, path);
    if (column != MAPPING_NO_COLUMN)
        return avro->mapping->column[column].ignored ? NULL : &avro->cell[column];
    if (avro->out && !is_ignored(avro->mapping, path))
        format_unknown(avro->out, own);
    return NULL;
}

/* Reads one record into avro->cell. */
static enum reject_reason read_record(struct avro *avro, struct records *records, struct slice *raw, struct slice *where)
{
    const struct body_visit visit = {.context = avro, .cell = find_cell};
    const char *begin = records->rest.data;
    memset(avro->cell, 0, (avro->mapping->column_count + 1) * sizeof *avro->cell);
    enum reject_reason reason = body_read(records->schema, &records->rest, &records->steps, &avro->arena, &visit, where);
    *raw = (struct slice){begin, (size_t)(records->rest.data - begin)};
    return reason;
}

static void translate_record(struct avro *avro, struct slice raw, struct format_output *out)
{
    struct draft draft = {.raw = raw};
    enum event_field wrong;
    enum reject_reason reason = mapping_fill(avro->mapping, avro->cell, &avro->arena, &draft, &wrong);
    if (reason != REJECT_NONE)
        format_refuse(out, reason, avro->mapping->own[wrong], raw);
    else
        format_add(out, &draft);
}

/* --- one message --- */

/* The framed record's schema by its id. */
static bool open_framed(struct avro *avro, struct slice bytes, struct records *records, enum reject_reason *reason, struct slice *wrong,
                        struct error *err)
{
    const unsigned char *byte = (const unsigned char *)bytes.data;
    if (bytes.size < FRAME_BYTES || byte[0] != 0) {
        *reason = REJECT_AVRO_FRAMING;
        *wrong = SLICE("");
        return true;
    }
    uint32_t id = (uint32_t)byte[1] << 24 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 8 | byte[4];
    records->rest = (struct slice){bytes.data + FRAME_BYTES, bytes.size - FRAME_BYTES};
    records->count = 1;
    if (avro->store)
        return schema_store_get(avro->store, id, &records->schema, reason, wrong, err);
    *reason = REJECT_SCHEMA_UNKNOWN;
    *wrong = arena_format(&avro->arena, "schema id %u, with no registry= and no folder= to ask", id);
    return true;
}

/* The container's own schema: read once for all blocks of a file. */
static void hold_schema(struct avro *avro, const struct container_block *block)
{
    struct slice wrong;
    if (avro->held_header.size && slice_equal(avro->held_header, block->header))
        return;
    arena_reset(&avro->held_arena);
    avro->held_header = arena_copy(&avro->held_arena, block->header);
    avro->held = schema_read(block->schema, &avro->held_arena, &wrong);
    avro->held_wrong = avro->held ? SLICE("the file's schema is no record") : wrong;
    if (avro->held && avro->held->type != SCHEMA_RECORD)
        avro->held = NULL;
}

static void open_block(struct avro *avro, struct slice bytes, struct records *records, enum reject_reason *reason, struct slice *wrong)
{
    struct container_block block;
    *wrong = SLICE("");
    *reason = container_read(bytes, &avro->arena, &block);
    if (*reason != REJECT_NONE)
        return;
    hold_schema(avro, &block);
    if (!avro->held) {
        *reason = REJECT_SCHEMA_REFUSED;
        *wrong = avro->held_wrong;
    }
    *records = (struct records){.schema = avro->held, .rest = block.records, .count = block.count};
}

static bool open_records(struct avro *avro, struct slice bytes, struct records *records, enum reject_reason *reason, struct slice *wrong,
                         struct error *err)
{
    arena_reset(&avro->arena);
    *records = (struct records){.schema = NULL};
    if (avro->containers && container_begins(bytes))
        open_block(avro, bytes, records, reason, wrong);
    else if (!open_framed(avro, bytes, records, reason, wrong, err))
        return false;
    records->steps = body_steps(records->rest.size);
    return true;
}

static bool avro_translate(void *self, struct slice bytes, struct format_output *out, struct error *err)
{
    struct avro *avro = self;
    struct records records;
    enum reject_reason reason;
    struct slice wrong, raw;
    if (!open_records(avro, bytes, &records, &reason, &wrong, err))
        return false;
    if (reason != REJECT_NONE) {
        format_refuse(out, reason, wrong, bytes);
        return true;
    }
    bool framed = bytes.data[0] == 0;
    avro->out = out;
    for (int64_t i = 0; i < records.count && !out->overflowed; i++) {
        reason = read_record(avro, &records, &raw, &wrong);
        if (reason == REJECT_NONE && i + 1 == records.count && records.rest.size > 0)
            reason = REJECT_AVRO_TRAILING;
        if (reason != REJECT_NONE) {
            format_refuse(out, reason, wrong, bytes); /* where the next record would begin is not known */
            break;
        }
        translate_record(avro, framed ? bytes : raw, out);
    }
    avro->out = NULL;
    return true;
}

/* --- for people --- */

static bool avro_show(void *self, struct slice bytes, uint32_t row, struct arena *arena, struct format_shown shown[EF_COUNT], uint32_t *count)
{
    struct avro *avro = self;
    struct records records;
    struct error err = {0};
    enum reject_reason reason;
    struct slice wrong, raw;
    *count = 0;
    bool found = open_records(avro, bytes, &records, &reason, &wrong, &err) && reason == REJECT_NONE && row < records.count;
    for (int64_t i = 0; found && i <= row; i++)
        found = read_record(avro, &records, &raw, &wrong) == REJECT_NONE;
    if (!found)
        return false;
    for (uint32_t c = 0; c < avro->mapping->column_count; c++)
        avro->cell[c].absent = !avro->cell[c].given && !schema_has(records.schema, avro->mapping->column[c].name);
    mapping_show(avro->mapping, avro->cell, arena, shown, count);
    return true;
}

/* --- beginning and end --- */

static void avro_close(void *self)
{
    struct avro *avro = self;
    if (avro->store)
        schema_store_close(avro->store);
    mapping_free(avro->mapping);
    arena_fini(&avro->arena);
    arena_fini(&avro->held_arena);
    free(avro->cell);
    free(avro);
}

struct format *avro_format_open(const struct avro_settings *settings)
{
    struct avro *avro = calloc(1, sizeof *avro);
    invariant(avro);
    avro->store = settings->store;
    avro->mapping = settings->mapping ? settings->mapping : mapping_direct();
    avro->containers = settings->containers;
    avro->cell = calloc(avro->mapping->column_count + 1, sizeof *avro->cell);
    invariant(avro->cell);
    arena_init(&avro->arena);
    arena_init(&avro->held_arena);
    avro->seam = (struct format){.self = avro, .name = "avro", .translate = avro_translate, .show = avro_show, .close = avro_close};
    return &avro->seam;
}
