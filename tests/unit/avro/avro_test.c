/* Avro: schemas, values, framing, copies of schemas; and random records against libavro. */
#include "connectors/avro/avro.h"
#include "connectors/avro/body.h"

#include <avro.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- schemas --- */

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"

static const struct {
    const char *text, *said; /* said: NULL when it is sound */
} schemas[] = {
    {RECORD(""), NULL},
    {RECORD(FIELD("a", "\"string\"") "," FIELD("b", "[\"null\",\"long\"]")), NULL},
    {RECORD(FIELD("next", "[\"null\",\"R\"]")), NULL},
    {"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a.b\",\"fields\":[" FIELD("x", "[\"null\",\"a.b.R\"]") "," FIELD("y", "[\"null\",\"R\"]") "]}", NULL},
    {RECORD(FIELD("a", "{\"type\":{\"type\":\"array\",\"items\":\"int\"}}")), NULL},
    {RECORD(FIELD("a", "{\"type\":\"long\",\"logicalType\":\"never-heard-of\"}")), NULL},
    {RECORD(FIELD("a", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}") "," FIELD("b", "\"E\"")), NULL},
    {"", "not valid JSON"},
    {"{\"type\":\"record\",\"type\":\"enum\"}", "not valid JSON"},
    {"17", "has no type"},
    {"{}", "has no type"},
    {"\"strung\"", "does not define: strung"},
    {RECORD(FIELD("a", "\"S\"")), "does not define: S"},
    {RECORD(FIELD("a", "null")), "has no type"},
    {RECORD(FIELD("a-b", "\"int\"")), "the name of a field"},
    {RECORD(FIELD("a", "\"int\"") "," FIELD("a", "\"int\"")), "has the field a twice"},
    {RECORD(FIELD("a", "{\"type\":\"fixed\",\"name\":\"R\",\"size\":1}")), "defines R twice"},
    {RECORD(FIELD("a", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}")), "the size of a fixed"},
    {RECORD(FIELD("a", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":99999999999}")), "the size of a fixed"},
    {RECORD(FIELD("a", "{\"type\":\"fixed\",\"name\":\"F\"}")), "the size of a fixed"},
    {RECORD(FIELD("a", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A B\"]}")), "a symbol of an enum"},
    {RECORD(FIELD("a", "{\"type\":\"enum\",\"name\":\"E\"}")), "the symbols of an enum"},
    {RECORD(FIELD("a", "[[\"null\"]]")), "a union of the schema holds a union"},
    {"{\"type\":\"record\",\"name\":\"R\"}", "the fields of a record"},
    {"{\"type\":\"record\",\"fields\":[]}", "a name in the schema"},
};

Test(avro, takes_schemas_or_says_why_not)
{
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
        struct arena arena;
        struct slice wrong;
        arena_init(&arena);
        const struct schema_node *node = schema_read(slice_of(schemas[i].text), &arena, &wrong);
        const char *said = arena_text(&arena, wrong);
        cr_expect_eq(node == NULL, schemas[i].said != NULL, "%zu: %s", i, said);
        if (schemas[i].said)
            cr_expect(strstr(said, schemas[i].said) != NULL, "%zu: `%s` does not say `%s`", i, said, schemas[i].said);
        arena_fini(&arena);
    }
}

/* Opens `count` pieces of text, and closes them behind a middle. */
static struct slice nested(struct arena *arena, const char *open, const char *middle, const char *close, int count)
{
    char *text = arena_bytes(arena, (strlen(open) + strlen(close)) * (size_t)count + strlen(middle) + 1);
    size_t size = 0;
    for (int i = 0; i < count; i++, size += strlen(open))
        memcpy(text + size, open, strlen(open));
    memcpy(text + size, middle, strlen(middle));
    size += strlen(middle);
    for (int i = 0; i < count; i++, size += strlen(close))
        memcpy(text + size, close, strlen(close));
    return (struct slice){text, size};
}

Test(avro, refuses_schemas_that_would_not_end)
{
    struct arena arena;
    struct slice wrong;
    arena_init(&arena);
    cr_expect_null(schema_read(nested(&arena, "{\"type\":\"array\",\"items\":", "\"int\"", "}", 40), &arena, &wrong));
    cr_expect(strstr(arena_text(&arena, wrong), "nested more than 32 deep") != NULL);
    cr_expect_null(schema_read(nested(&arena, "[", "", "]", 9000), &arena, &wrong));
    cr_expect_null(schema_read(nested(&arena, "{\"type\":\"array\",\"items\":", "\"int\"", "}", 9000), &arena, &wrong));
    struct slice many = nested(&arena, "\"int\",", "\"int\"", "", 9000);
    cr_expect_null(schema_read(arena_format(&arena, "[%.*s]", (int)many.size, many.data), &arena, &wrong));
    cr_expect(strstr(arena_text(&arena, wrong), "more than 4096") != NULL);
    cr_expect_null(schema_read(nested(&arena, " ", "\"int\"", "", SCHEMA_BYTES_MAX), &arena, &wrong));
    cr_expect(strstr(arena_text(&arena, wrong), "longer than 262144 bytes") != NULL);
    arena_fini(&arena);
}

/* --- values --- */

struct seen {
    struct arena *arena;
    struct mapping_cell cell;
    char path[256], own[256];
};

static struct mapping_cell *see(void *context, struct slice path, struct slice own)
{
    struct seen *seen = context;
    snprintf(seen->path, sizeof seen->path, "%.*s", (int)path.size, path.data);
    snprintf(seen->own, sizeof seen->own, "%.*s", (int)own.size, own.data);
    return &seen->cell;
}

#define LOGICAL(type, name) "{\"type\":\"" type "\",\"logicalType\":\"" name "\"}"
#define DECIMAL(scale) "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":" scale "}"
#define BYTES(literal) {literal, sizeof(literal) - 1}

static const struct {
    const char *type;
    struct slice bytes;
    const char *text; /* NULL: nothing is given */
    enum mapping_kind kind;
    enum reject_reason wrong, reason;
} values[] = {
    {"\"null\"", BYTES(""), NULL, CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {"\"boolean\"", BYTES("\1"), "true", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {"\"boolean\"", BYTES("\2"), NULL, CELL_TEXT, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"\"int\"", BYTES("\1"), "-1", CELL_WHOLE, REJECT_NONE, REJECT_NONE},
    {"\"int\"", BYTES("\xFF\xFF\xFF\xFF\x0F"), "-2147483648", CELL_WHOLE, REJECT_NONE, REJECT_NONE},
    {"\"int\"", BYTES("\x80\x80\x80\x80\x10"), NULL, CELL_WHOLE, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"\"long\"", BYTES("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), "-9223372036854775808", CELL_WHOLE, REJECT_NONE, REJECT_NONE},
    {"\"long\"", BYTES("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02"), NULL, CELL_WHOLE, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"\"long\"", BYTES("\x80\x80"), NULL, CELL_WHOLE, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"\"float\"", BYTES("\0\0\0\0"), "a floating-point number", CELL_REAL, REJECT_NONE, REJECT_NONE},
    {"\"double\"", BYTES("\0\0\0\0\0\0\0"), NULL, CELL_REAL, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"\"string\"", BYTES("\4ab"), "ab", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {"\"string\"", BYTES("\0"), NULL, CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {"\"string\"", BYTES("\6ab"), NULL, CELL_TEXT, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"\"string\"", BYTES("\1"), NULL, CELL_TEXT, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"\"string\"", BYTES("\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), NULL, CELL_TEXT, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"\"bytes\"", BYTES("\2a"), "bytes", CELL_OTHER, REJECT_NONE, REJECT_NONE},
    {"[\"null\",\"string\"]", BYTES("\0"), NULL, CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {"[\"null\",\"string\"]", BYTES("\2\2x"), "x", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {"[\"null\",\"string\"]", BYTES("\4"), NULL, CELL_TEXT, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"[\"null\",\"string\"]", BYTES("\1"), NULL, CELL_TEXT, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", BYTES("\2"), "B", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", BYTES("\4"), NULL, CELL_TEXT, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"{\"type\":\"array\",\"items\":\"int\"}", BYTES("\4\2\2\0"), "a list", CELL_OTHER, REJECT_NONE, REJECT_NONE},
    {"{\"type\":\"array\",\"items\":\"int\"}", BYTES("\3\4\2\2\0"), "a list", CELL_OTHER, REJECT_NONE, REJECT_NONE},
    {"{\"type\":\"array\",\"items\":\"int\"}", BYTES("\0"), NULL, CELL_OTHER, REJECT_NONE, REJECT_NONE},
    {"{\"type\":\"array\",\"items\":\"int\"}", BYTES("\x03\x7E\2\2\0"), NULL, CELL_OTHER, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"{\"type\":\"array\",\"items\":\"null\"}", BYTES("\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), "a list", CELL_OTHER, REJECT_NONE, REJECT_AVRO_BROKEN},
    {"{\"type\":\"map\",\"values\":\"string\"}", BYTES("\2\2k\2v\0"), "v", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {"{\"type\":\"map\",\"values\":\"string\"}", BYTES("\4\2k\2v\2k\2w\0"), "w", CELL_TEXT, REJECT_DUPLICATE_KEY, REJECT_NONE},
    {DECIMAL("2"), BYTES("\4\x04\xD2"), "12.34", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {DECIMAL("2"), BYTES("\4\x04\xCE"), "12.3", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {DECIMAL("2"), BYTES("\4\x04\xB0"), "12", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {DECIMAL("2"), BYTES("\2\x05"), "0.05", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {DECIMAL("2"), BYTES("\2\0"), "0", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {DECIMAL("2"), BYTES("\2\xFB"), "-0.05", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {DECIMAL("0"), BYTES("\4\xFF\x00"), "-256", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {DECIMAL("0"), BYTES("\4\x01\x90"), "400", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {DECIMAL("0"), BYTES("\x24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7"), "7", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {DECIMAL("0"), BYTES("\x20\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "", CELL_TEXT, REJECT_AMOUNT_OVERFLOW, REJECT_NONE},
    {DECIMAL("0"), BYTES("\0"), "", CELL_TEXT, REJECT_AMOUNT_FORM, REJECT_NONE},
    {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":2,\"scale\":3}", BYTES("\2\x05"), "bytes", CELL_OTHER, REJECT_NONE, REJECT_NONE},
    {LOGICAL("int", "date"), BYTES("\xC4\xC0\x02"), "2026-03-02", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {LOGICAL("int", "date"), BYTES("\xFE\xFF\xFF\xFF\x0F"), "", CELL_TEXT, REJECT_BAD_TIME, REJECT_NONE},
    {LOGICAL("int", "time-millis"), BYTES("\xFE\xEF\xB2\x52"), "23:59:59.999", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {LOGICAL("int", "time-millis"), BYTES("\x80\xF0\xB2\x52"), "", CELL_TEXT, REJECT_BAD_TIME, REJECT_NONE},
    {LOGICAL("long", "timestamp-millis"), BYTES("\2"), "1970-01-01T00:00:00.001Z", CELL_INSTANT, REJECT_NONE, REJECT_NONE},
    {LOGICAL("long", "timestamp-micros"), BYTES("\1"), "1969-12-31T23:59:59.999Z", CELL_INSTANT, REJECT_NONE, REJECT_NONE},
    {LOGICAL("long", "timestamp-nanos"), BYTES("\xFE\x88\x7A"), "1970-01-01T00:00:00.000Z", CELL_INSTANT, REJECT_NONE, REJECT_NONE},
    {LOGICAL("long", "local-timestamp-millis"), BYTES("\2"), "1970-01-01T00:00:00.001", CELL_TEXT, REJECT_NONE, REJECT_NONE},
    {LOGICAL("long", "timestamp-millis"), BYTES("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), "", CELL_INSTANT, REJECT_BAD_TIME, REJECT_NONE},
    {LOGICAL("int", "timestamp-millis"), BYTES("\2"), "1", CELL_WHOLE, REJECT_NONE, REJECT_NONE},
};

Test(avro, makes_texts_of_values_or_says_why_not)
{
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct arena arena;
        struct slice wrong, where;
        arena_init(&arena);
        struct seen seen = {.arena = &arena};
        const struct body_visit visit = {.context = &seen, .cell = see};
        struct slice text = arena_format(&arena, RECORD(FIELD("a", "%s")), values[i].type), rest = values[i].bytes;
        const struct schema_node *schema = schema_read(text, &arena, &wrong);
        cr_assert_not_null(schema, "%zu: %s", i, arena_text(&arena, wrong));
        uint64_t steps = body_steps(rest.size);
        enum reject_reason reason = body_read(schema, &rest, &steps, &arena, &visit, &where);
        cr_expect_eq(reason, values[i].reason, "%zu: %s", i, reject_code(reason));
        cr_expect(reason == REJECT_NONE || slice_equal(where, SLICE("a")) || slice_equal(where, SLICE("a.*")), "%zu: where", i);
        cr_expect(reason != REJECT_NONE || rest.size == 0, "%zu: %zu bytes left", i, rest.size);
        cr_expect_eq(seen.cell.given, values[i].text != NULL, "%zu", i);
        cr_expect(slice_equal(seen.cell.text, slice_of(values[i].text)), "%zu: %.*s", i, (int)seen.cell.text.size, seen.cell.text.data);
        cr_expect(!seen.cell.given || seen.cell.kind == values[i].kind, "%zu", i);
        cr_expect_eq(seen.cell.wrong, values[i].wrong, "%zu: %s", i, reject_code(seen.cell.wrong));
        arena_fini(&arena);
    }
}

Test(avro, ends_where_a_record_holds_itself)
{
    struct arena arena;
    struct slice wrong, where, bytes = SLICE("\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\0");
    arena_init(&arena);
    struct seen seen = {.arena = &arena};
    const struct body_visit visit = {.context = &seen, .cell = see};
    uint64_t steps = body_steps(bytes.size);
    const struct schema_node *schema = schema_read(SLICE(RECORD(FIELD("a", "[\"null\",\"R\"]"))), &arena, &wrong);
    cr_expect_eq(body_read(schema, &bytes, &steps, &arena, &visit, &where), REJECT_TOO_DEEP);
    schema = schema_read(SLICE(RECORD(FIELD("a", "\"R\""))), &arena, &wrong); /* no bytes at all */
    cr_assert_not_null(schema);
    cr_expect_eq(body_read(schema, &bytes, &steps, &arena, &visit, &where), REJECT_TOO_DEEP);
    cr_expect(schema_has(schema, SLICE("a.a.a")) && !schema_has(schema, SLICE("a.b")));
    arena_fini(&arena);
}

/* --- against libavro --- */

enum { PATHS_MAX = 4096 };

/* What a record was made to hold, in the order of the bytes. */
struct told {
    uint64_t chance;
    char path[256];
    size_t size;
    struct arena *arena;
    struct slice said[PATHS_MAX]; /* "path=text" */
    uint32_t count, unseen;
};

/* What our reader then finds. */
struct found {
    struct arena *arena;
    struct slice path[PATHS_MAX];
    struct mapping_cell cell[PATHS_MAX];
    uint32_t count;
};

static uint32_t roll(struct told *told, uint32_t sides)
{
    told->chance = told->chance * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(told->chance >> 33) % sides;
}

static void tell(struct told *told, const char *text)
{
    if (!told->unseen && told->count < PATHS_MAX)
        told->said[told->count++] = arena_format(told->arena, "%.*s=%s", (int)told->size, told->path, text);
}

static size_t enter(struct told *told, const char *name)
{
    size_t before = told->size;
    told->size += (size_t)snprintf(told->path + told->size, sizeof told->path - told->size, "%s%s", before ? "." : "", name);
    return before;
}

static struct slice random_schema(struct told *told, unsigned depth, unsigned *names)
{
    static const char *const plain[] = {"\"null\"", "\"boolean\"", "\"int\"", "\"long\"", "\"float\"", "\"double\"", "\"bytes\"", "\"string\""};
    uint32_t kind = roll(told, depth > 3 ? 8 : 14);
    struct slice inner;
    if (kind < 8)
        return slice_of(plain[kind]);
    unsigned name = (*names)++;
    if (kind == 8)
        return arena_format(told->arena, "{\"type\":\"fixed\",\"name\":\"F%u\",\"size\":%u}", name, roll(told, 20) + 1);
    if (kind == 9)
        return arena_format(told->arena, "{\"type\":\"enum\",\"name\":\"E%u\",\"symbols\":[\"A\",\"B\",\"C\"]}", name);
    if (kind == 10 || kind == 11) {
        inner = random_schema(told, depth + 1, names);
        return arena_format(told->arena, kind == 10 ? "{\"type\":\"array\",\"items\":%.*s}" : "{\"type\":\"map\",\"values\":%.*s}", (int)inner.size, inner.data);
    }
    if (kind == 12)
        return arena_format(told->arena, "[\"null\",\"string\",\"long\",{\"type\":\"enum\",\"name\":\"E%u\",\"symbols\":[\"X\"]}]", name);
    struct slice fields = SLICE("");
    for (uint32_t i = 0, count = roll(told, 6); i < count; i++) {
        inner = random_schema(told, depth + 1, names);
        fields = arena_format(told->arena, "%.*s%s{\"name\":\"f%u\",\"type\":%.*s}", (int)fields.size, fields.data, i ? "," : "", i, (int)inner.size, inner.data);
    }
    return arena_format(told->arena, "{\"type\":\"record\",\"name\":\"N%u\",\"fields\":[%.*s]}", name, (int)fields.size, fields.data);
}

static void fill_value(struct told *told, avro_value_t *value);

static void fill_elements(struct told *told, avro_value_t *value, bool map)
{
    uint32_t count = roll(told, 4);
    avro_value_t element;
    told->unseen += !map;
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        if ((map ? avro_value_add(value, key, &element, NULL, NULL) : avro_value_append(value, &element, NULL)) != 0) {
            size_t held = 0; /* libavro stumbles over what takes no memory, such as null, and counts it */
            avro_value_get_size(value, &held);
            count = (uint32_t)held;
            break;
        }
        size_t before = map ? enter(told, key) : told->size;
        fill_value(told, &element);
        told->size = before;
    }
    told->unseen -= !map;
    if (!map && count)
        tell(told, "a list");
}

static void fill_record(struct told *told, avro_value_t *value)
{
    size_t count = 0;
    avro_value_get_size(value, &count);
    for (size_t i = 0; i < count; i++) {
        avro_value_t field;
        const char *name;
        cr_assert_eq(avro_value_get_by_index(value, i, &field, &name), 0);
        size_t before = enter(told, name);
        fill_value(told, &field);
        told->size = before;
    }
}

static void fill_plain(struct told *told, avro_value_t *value)
{
    char text[64];
    int64_t number = (int64_t)((uint64_t)roll(told, UINT32_MAX) << 32 | roll(told, UINT32_MAX)) >> roll(told, 64);
    size_t size = roll(told, 5);
    switch (avro_value_get_type(value)) {
    case AVRO_BOOLEAN:
        avro_value_set_boolean(value, (int)(number & 1));
        tell(told, number & 1 ? "true" : "false");
        break;
    case AVRO_INT32:
        avro_value_set_int(value, (int32_t)number);
        snprintf(text, sizeof text, "%d", (int32_t)number);
        tell(told, text);
        break;
    case AVRO_INT64:
        avro_value_set_long(value, number);
        snprintf(text, sizeof text, "%lld", (long long)number);
        tell(told, text);
        break;
    case AVRO_FLOAT:
        avro_value_set_float(value, (float)number);
        tell(told, "a floating-point number");
        break;
    case AVRO_DOUBLE:
        avro_value_set_double(value, (double)number);
        tell(told, "a floating-point number");
        break;
    case AVRO_STRING:
        snprintf(text, sizeof text, "%.*s", (int)size, "wxyz");
        avro_value_set_string(value, text);
        if (size)
            tell(told, text);
        break;
    case AVRO_BYTES:
        avro_value_set_bytes(value, text, size);
        tell(told, "bytes");
        break;
    default:
        break;
    }
}

static void fill_value(struct told *told, avro_value_t *value)
{
    static char zeros[64];
    avro_value_t branch;
    switch (avro_value_get_type(value)) {
    case AVRO_NULL:
        avro_value_set_null(value);
        break;
    case AVRO_FIXED:
        avro_value_set_fixed(value, zeros, (size_t)avro_schema_fixed_size(avro_value_get_schema(value)));
        tell(told, "bytes");
        break;
    case AVRO_ENUM: {
        int symbol = avro_schema_enum_number_of_symbols(avro_value_get_schema(value)) - 1;
        avro_value_set_enum(value, symbol);
        tell(told, avro_schema_enum_get(avro_value_get_schema(value), symbol));
        break;
    }
    case AVRO_ARRAY:
    case AVRO_MAP:
        fill_elements(told, value, avro_value_get_type(value) == AVRO_MAP);
        break;
    case AVRO_UNION:
        cr_assert_eq(avro_value_set_branch(value, (int)roll(told, 4), &branch), 0);
        fill_value(told, &branch);
        break;
    case AVRO_RECORD:
        fill_record(told, value);
        break;
    default:
        fill_plain(told, value);
    }
}

static struct mapping_cell *find(void *context, struct slice path, struct slice own)
{
    struct found *found = context;
    (void)own;
    cr_assert_lt(found->count, PATHS_MAX);
    found->cell[found->count] = (struct mapping_cell){.given = false};
    found->path[found->count] = arena_copy(found->arena, path);
    return &found->cell[found->count++];
}

static enum reject_reason read_found(struct found *found, const struct schema_node *schema, struct slice *rest)
{
    struct slice where;
    const struct body_visit visit = {.context = found, .cell = find};
    uint64_t steps = body_steps(rest->size);
    found->count = 0;
    return body_read(schema, rest, &steps, found->arena, &visit, &where);
}

static void compare(const struct told *told, const struct found *found, unsigned seed)
{
    cr_assert_eq(told->count, found->count, "seed %u: %u values, not %u", seed, found->count, told->count);
    for (uint32_t i = 0; i < told->count; i++) {
        struct slice path = found->path[i], text = found->cell[i].text;
        struct slice got = arena_format(found->arena, "%.*s=%.*s", (int)path.size, path.data, (int)text.size, text.data);
        cr_assert(slice_equal(got, told->said[i]), "seed %u: %.*s, not %.*s", seed, (int)got.size, got.data, (int)told->said[i].size, told->said[i].data);
    }
}

/* Whatever is cut off is missed. */
static void check_cuts(struct found *found, const struct schema_node *schema, struct slice bytes, unsigned seed)
{
    for (size_t cut = 0; cut < bytes.size; cut++) {
        char *piece = malloc(cut + 1); /* so that a sanitizer sees a read far behind the end */
        struct slice rest = {piece, cut};
        memcpy(piece, bytes.data, cut);
        cr_assert_eq(read_found(found, schema, &rest), REJECT_AVRO_BROKEN, "seed %u, cut at %zu of %zu", seed, cut, bytes.size);
        free(piece);
    }
}

static void check_random(unsigned seed)
{
    static struct told told;
    static struct found found;
    static char bytes[1 << 16];
    struct arena arena;
    struct slice wrong;
    unsigned names = 0;
    avro_schema_t theirs;
    avro_value_t value;
    arena_init(&arena);
    told = (struct told){.chance = seed * UINT64_C(7919), .arena = &arena};
    found.arena = &arena;
    struct slice inner = random_schema(&told, 0, &names), text = arena_format(&arena, RECORD("{\"name\":\"a\",\"type\":%.*s}"), (int)inner.size, inner.data);
    cr_assert_eq(avro_schema_from_json_length(text.data, text.size, &theirs), 0, "%.*s: %s", (int)text.size, text.data, avro_strerror());
    avro_value_iface_t *class = avro_generic_class_from_schema(theirs);
    cr_assert_eq(avro_generic_value_new(class, &value), 0);
    fill_value(&told, &value);
    avro_writer_t writer = avro_writer_memory(bytes, sizeof bytes);
    cr_assert_eq(avro_value_write(writer, &value), 0, "%s", avro_strerror());
    struct slice whole = {bytes, (size_t)avro_writer_tell(writer)}, rest = whole;
    const struct schema_node *ours = schema_read(text, &arena, &wrong);
    cr_assert_not_null(ours, "%s", arena_text(&arena, wrong));
    enum reject_reason reason = read_found(&found, ours, &rest);
    cr_assert(reason == REJECT_NONE && rest.size == 0, "seed %u: %s, %zu bytes left: %.*s", seed, reject_code(reason), rest.size, (int)text.size, text.data);
    compare(&told, &found, seed);
    check_cuts(&found, ours, whole, seed);
    avro_writer_free(writer);
    avro_value_decref(&value);
    avro_value_iface_decref(class);
    avro_schema_decref(theirs);
    arena_fini(&arena);
}

Test(avro, reads_what_libavro_writes, .timeout = 150)
{
    for (unsigned seed = 1; seed <= 30000; seed++)
        check_random(seed);
}
