/* The walk: one function per kind of type, all over one cursor. */
#include "connectors/avro/body.h"

#include "engine/model/zone.h"

#include <stdio.h>

/* A path that grows and shrinks; what does not fit is cut, and then matches nothing. */
struct path {
    char text[BODY_PATH_MAX];
    size_t size;
};

struct walk {
    struct slice rest;
    struct arena *arena;
    const struct body_visit *visit;
    uint64_t steps;
    unsigned depth, unseen; /* unseen: inside so many arrays */
    struct path path, own;
    enum reject_reason reason;
};

static bool read_value(struct walk *walk, const struct schema_node *node);

static bool refuse(struct walk *walk, enum reject_reason reason)
{
    walk->reason = reason;
    return false;
}

/* --- the cursor --- */

bool body_long(struct slice *rest, int64_t *value)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 10 && i < rest->size; i++) {
        unsigned char byte = (unsigned char)rest->data[i];
        if (i == 9 && byte > 1)
            return false;
        bits |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte & 0x80)
            continue;
        *rest = (struct slice){rest->data + i + 1, rest->size - i - 1};
        *value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
        return true;
    }
    return false;
}

static bool take_long(struct walk *walk, int64_t *value)
{
    return body_long(&walk->rest, value) || refuse(walk, REJECT_AVRO_BROKEN);
}

static bool take_bytes(struct walk *walk, uint64_t size, struct slice *bytes)
{
    if (size > walk->rest.size)
        return refuse(walk, REJECT_AVRO_BROKEN);
    *bytes = (struct slice){walk->rest.data, (size_t)size};
    walk->rest = (struct slice){walk->rest.data + size, walk->rest.size - (size_t)size};
    return true;
}

static bool take_sized(struct walk *walk, struct slice *bytes)
{
    int64_t size;
    if (!take_long(walk, &size))
        return false;
    return size < 0 ? refuse(walk, REJECT_AVRO_BROKEN) : take_bytes(walk, (uint64_t)size, bytes);
}

/* --- paths --- */

static size_t path_push(struct path *path, struct slice name)
{
    size_t before = path->size;
    size_t point = before > 0;
    if (before + point + name.size >= BODY_PATH_MAX) {
        path->size = BODY_PATH_MAX; /* too long for any column */
        return before;
    }
    if (point)
        path->text[path->size++] = '.';
    if (name.size)
        memcpy(path->text + path->size, name.data, name.size);
    path->size += name.size;
    return before;
}

static struct slice path_text(const struct path *path)
{
    return path->size == BODY_PATH_MAX ? SLICE("a path of more than 500 letters") : (struct slice){path->text, path->size};
}

/* The cell of the value at work, or NULL. */
static struct mapping_cell *ask(struct walk *walk, enum mapping_kind kind)
{
    if (walk->unseen)
        return NULL;
    struct mapping_cell *cell = walk->visit->cell(walk->visit->context, path_text(&walk->path), path_text(&walk->own));
    if (cell && cell->given)
        cell->wrong = REJECT_DUPLICATE_KEY; /* a map may say a key twice */
    if (cell) {
        cell->given = true;
        cell->kind = kind;
    }
    return cell;
}

static void give(struct mapping_cell *cell, struct slice text, enum reject_reason wrong)
{
    cell->text = text;
    cell->wrong = cell->wrong ? cell->wrong : wrong;
}

/* --- texts of values --- */

static bool within_days(int64_t day)
{
    return day >= civil_day(1900, 1, 1) && day < civil_day(2200, 1, 1);
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static void give_moment(struct walk *walk, struct mapping_cell *cell, int64_t ms, bool local)
{
    char text[TIME_TEXT_MAX];
    if (!within_days(floor_divide(ms, MS_PER_DAY))) {
        give(cell, SLICE(""), REJECT_BAD_TIME);
        return;
    }
    time_format(ms, text);
    struct slice made = slice_of(text);
    made.size -= local; /* without the Z: the zone is not said */
    give(cell, arena_copy(walk->arena, made), REJECT_NONE);
}

static void give_date(struct walk *walk, struct mapping_cell *cell, int64_t day)
{
    int year, month, dom;
    if (!within_days(day)) {
        give(cell, SLICE(""), REJECT_BAD_TIME);
        return;
    }
    civil_date((int32_t)day, &year, &month, &dom);
    give(cell, arena_format(walk->arena, "%04d-%02d-%02d", year, month, dom), REJECT_NONE);
}

static void give_clock(struct walk *walk, struct mapping_cell *cell, int64_t ms)
{
    if (ms < 0 || ms >= MS_PER_DAY) {
        give(cell, SLICE(""), REJECT_BAD_TIME);
        return;
    }
    int clock = (int)ms;
    give(cell, arena_format(walk->arena, "%02d:%02d:%02d.%03d", clock / 3600000, clock / 60000 % 60, clock / 1000 % 60, clock % 1000), REJECT_NONE);
}

static void give_number(struct walk *walk, struct mapping_cell *cell, enum schema_logical logical, int64_t value)
{
    switch (logical) {
    case LOGICAL_DATE:
        give_date(walk, cell, value);
        break;
    case LOGICAL_TIME_MS:
        give_clock(walk, cell, value);
        break;
    case LOGICAL_TIME_US:
        give_clock(walk, cell, floor_divide(value, 1000));
        break;
    case LOGICAL_TIMESTAMP_MS:
    case LOGICAL_LOCAL_MS:
        give_moment(walk, cell, value, logical == LOGICAL_LOCAL_MS);
        break;
    case LOGICAL_TIMESTAMP_US:
    case LOGICAL_LOCAL_US:
        give_moment(walk, cell, floor_divide(value, 1000), logical == LOGICAL_LOCAL_US);
        break;
    case LOGICAL_TIMESTAMP_NS:
    case LOGICAL_LOCAL_NS:
        give_moment(walk, cell, floor_divide(value, 1000000), logical == LOGICAL_LOCAL_NS);
        break;
    case LOGICAL_NONE:
    case LOGICAL_DECIMAL:
        give(cell, arena_format(walk->arena, "%lld", (long long)value), REJECT_NONE);
        break;
    }
}

static enum mapping_kind kind_of_number(enum schema_logical logical)
{
    bool instant = logical == LOGICAL_TIMESTAMP_MS || logical == LOGICAL_TIMESTAMP_US || logical == LOGICAL_TIMESTAMP_NS;
    return instant ? CELL_INSTANT : logical == LOGICAL_NONE ? CELL_WHOLE : CELL_TEXT;
}

/* Big-endian two's complement, an exact decimal; zeros at the end of the fraction say nothing and go. */
static void give_decimal(struct walk *walk, struct mapping_cell *cell, struct slice bytes, uint32_t scale)
{
    char digits[64];
    size_t at = sizeof digits;
    const unsigned char *byte = (const unsigned char *)bytes.data;
    bool negative = bytes.size > 0 && (byte[0] & 0x80);
    size_t first = 0;
    while (first < bytes.size && byte[first] == (negative ? 0xFF : 0)) /* the sign, drawn out */
        first++;
    if (bytes.size == 0 || bytes.size - first > 15) {
        give(cell, SLICE(""), bytes.size ? REJECT_AMOUNT_OVERFLOW : REJECT_AMOUNT_FORM);
        return;
    }
    unsigned __int128 size = negative;
    unsigned __int128 magnitude = 0;
    for (size_t i = first; i < bytes.size; i++)
        magnitude = magnitude << 8 | (unsigned char)(negative ? ~byte[i] : byte[i]);
    magnitude += size; /* -x is ~x + 1 */
    bool kept = false;
    for (uint32_t place = 0; magnitude > 0 || place <= scale; place++) {
        char digit = (char)('0' + (int)(magnitude % 10));
        magnitude /= 10;
        if (place == scale && kept)
            digits[--at] = '.';
        kept = kept || digit != '0' || place >= scale;
        if (kept)
            digits[--at] = digit;
    }
    if (negative)
        digits[--at] = '-';
    give(cell, arena_copy(walk->arena, (struct slice){digits + at, sizeof digits - at}), REJECT_NONE);
}

/* --- values --- */

static bool read_number(struct walk *walk, const struct schema_node *node)
{
    int64_t value;
    if (!take_long(walk, &value))
        return false;
    if (node->type == SCHEMA_INT && (value < INT32_MIN || value > INT32_MAX))
        return refuse(walk, REJECT_AVRO_BROKEN);
    struct mapping_cell *cell = ask(walk, kind_of_number(node->logical));
    if (cell)
        give_number(walk, cell, node->logical, value);
    return true;
}

static bool read_boolean(struct walk *walk)
{
    struct slice byte;
    if (!take_bytes(walk, 1, &byte))
        return false;
    if (byte.data[0] != 0 && byte.data[0] != 1)
        return refuse(walk, REJECT_AVRO_BROKEN);
    struct mapping_cell *cell = ask(walk, CELL_TEXT);
    if (cell)
        give(cell, byte.data[0] ? SLICE("true") : SLICE("false"), REJECT_NONE);
    return true;
}

static bool read_real(struct walk *walk, uint64_t size)
{
    struct slice bytes;
    if (!take_bytes(walk, size, &bytes))
        return false;
    struct mapping_cell *cell = ask(walk, CELL_REAL);
    if (cell)
        give(cell, SLICE("a floating-point number"), REJECT_NONE);
    return true;
}

static bool read_bytes(struct walk *walk, const struct schema_node *node)
{
    struct slice bytes;
    if (!(node->type == SCHEMA_FIXED ? take_bytes(walk, node->size, &bytes) : take_sized(walk, &bytes)))
        return false;
    struct mapping_cell *cell = ask(walk, node->logical == LOGICAL_DECIMAL ? CELL_TEXT : CELL_OTHER);
    if (cell && node->logical == LOGICAL_DECIMAL)
        give_decimal(walk, cell, bytes, node->scale);
    else if (cell)
        give(cell, SLICE("bytes"), REJECT_NONE);
    return true;
}

static bool read_string(struct walk *walk)
{
    struct slice text;
    if (!take_sized(walk, &text))
        return false;
    struct mapping_cell *cell = text.size ? ask(walk, CELL_TEXT) : NULL;
    if (cell)
        give(cell, text, REJECT_NONE);
    return true;
}

static bool read_choice(struct walk *walk, const struct schema_node *node, int64_t *chosen)
{
    if (!take_long(walk, chosen))
        return false;
    return (*chosen >= 0 && *chosen < node->member_count) || refuse(walk, REJECT_AVRO_BROKEN);
}

static bool read_enum(struct walk *walk, const struct schema_node *node)
{
    int64_t chosen;
    if (!read_choice(walk, node, &chosen))
        return false;
    struct mapping_cell *cell = ask(walk, CELL_TEXT);
    if (cell)
        give(cell, node->member[chosen].name, REJECT_NONE);
    return true;
}

/* One element of a map, under its key. */
static bool read_entry(struct walk *walk, const struct schema_node *element)
{
    struct slice key;
    if (!take_sized(walk, &key))
        return false;
    size_t path = path_push(&walk->path, key), own = path_push(&walk->own, SLICE("*"));
    bool ok = read_value(walk, element);
    if (!ok)
        return false; /* the path stays: it is where the trouble is */
    walk->path.size = path;
    walk->own.size = own;
    return true;
}

/* Arrays and maps come in blocks; one of negative count has its size in bytes beside it. */
static bool read_blocks(struct walk *walk, const struct schema_node *node)
{
    bool map = node->type == SCHEMA_MAP, any = false;
    for (;;) {
        int64_t count, size = 0;
        if (!take_long(walk, &count))
            return false;
        if (count == 0)
            return true;
        if (count < 0 && (!take_long(walk, &size) || size < 0 || (uint64_t)size > walk->rest.size || count == INT64_MIN))
            return refuse(walk, REJECT_AVRO_BROKEN);
        struct mapping_cell *cell = !map && !any ? ask(walk, CELL_OTHER) : NULL;
        if (cell)
            give(cell, SLICE("a list"), REJECT_NONE);
        any = true;
        walk->unseen += !map;
        for (uint64_t left = count < 0 ? -(uint64_t)count : (uint64_t)count; left > 0; left--)
            if (!(map ? read_entry(walk, node->member[0].node) : read_value(walk, node->member[0].node)))
                return false;
        walk->unseen -= !map;
    }
}

static bool read_record(struct walk *walk, const struct schema_node *node)
{
    for (uint32_t i = 0; i < node->member_count; i++) {
        size_t path = path_push(&walk->path, node->member[i].name), own = path_push(&walk->own, node->member[i].name);
        if (!read_value(walk, node->member[i].node))
            return false;
        walk->path.size = path;
        walk->own.size = own;
    }
    return true;
}

static bool read_within(struct walk *walk, const struct schema_node *node)
{
    int64_t chosen;
    if (++walk->depth > BODY_DEPTH_MAX)
        return refuse(walk, REJECT_TOO_DEEP);
    bool ok = node->type == SCHEMA_RECORD  ? read_record(walk, node)
              : node->type == SCHEMA_UNION ? read_choice(walk, node, &chosen) && read_value(walk, node->member[chosen].node)
                                           : read_blocks(walk, node);
    walk->depth--;
    return ok;
}

static bool read_value(struct walk *walk, const struct schema_node *node)
{
    if (walk->steps == 0)
        return refuse(walk, REJECT_AVRO_BROKEN);
    walk->steps--;
    switch (node->type) {
    case SCHEMA_NULL:
        return true;
    case SCHEMA_BOOLEAN:
        return read_boolean(walk);
    case SCHEMA_INT:
    case SCHEMA_LONG:
        return read_number(walk, node);
    case SCHEMA_FLOAT:
        return read_real(walk, 4);
    case SCHEMA_DOUBLE:
        return read_real(walk, 8);
    case SCHEMA_BYTES:
    case SCHEMA_FIXED:
        return read_bytes(walk, node);
    case SCHEMA_STRING:
        return read_string(walk);
    case SCHEMA_ENUM:
        return read_enum(walk, node);
    case SCHEMA_ARRAY:
    case SCHEMA_MAP:
    case SCHEMA_UNION:
    case SCHEMA_RECORD:
        return read_within(walk, node);
    }
    return false;
}

uint64_t body_steps(size_t bytes)
{
    return 65536 + 16 * (uint64_t)bytes;
}

enum reject_reason body_read(const struct schema_node *schema, struct slice *rest, uint64_t *steps, struct arena *arena,
                             const struct body_visit *visit, struct slice *where)
{
    struct walk walk = {.rest = *rest, .arena = arena, .visit = visit, .steps = *steps};
    bool ok = read_value(&walk, schema);
    *rest = walk.rest;
    *steps = walk.steps;
    *where = ok ? SLICE("") : arena_copy(arena, path_text(&walk.own));
    return walk.reason;
}
