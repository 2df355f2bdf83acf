/* Lists: a CSV file read into a sorted set of numbers (codes) or of texts (accounts and the like). */
#include "rules/lang/list.h"

#include "engine/base/invariant.h"
#include "rules/lang/csv.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LIST_COUNT_MAX = 2000000,
    VALUE_BYTES_MAX = 200,
    MCC_MAX = 9999,
};

/* Numbers from..to; a single one has from = to. */
struct range {
    int64_t from, to;
};

struct list {
    struct slice name;
    enum value_type type;
    struct range *range;     /* sorted, not overlapping; code lists only */
    struct slice *text;    /* sorted, no two equal; entity lists only */
    uint32_t count, room;
    struct arena arena;
};

static bool type_is_entity(enum value_type type)
{
    return type == TYPE_ACCOUNT || type == TYPE_PARTY || type == TYPE_DEVICE || type == TYPE_PHONE || type == TYPE_ADDRESS ||
           type == TYPE_TERMINAL || type == TYPE_PLACE;
}

/* Whether its values are kept as texts; of the others as numbers. */
static bool type_is_text(enum value_type type)
{
    return type_is_entity(type) || type == TYPE_ROUTE;
}

struct list *list_new(struct slice name, enum value_type of)
{
    struct list *list = calloc(1, sizeof *list);
    invariant(list != NULL);
    arena_init(&list->arena);
    list->name = arena_copy(&list->arena, name);
    list->type = of;
    return list;
}

void list_free(struct list *list)
{
    if (!list)
        return;
    arena_fini(&list->arena);
    free(list->range);
    free(list->text);
    free(list);
}

/* --- values --- */

static bool parse_mcc(struct slice text, int64_t *out)
{
    int64_t number = 0;
    if (text.size != 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *out = number;
    return number > 0 && number <= MCC_MAX;
}

static bool parse_mcc_range(struct slice text, struct range *out)
{
    if (text.size != 9 || text.data[4] != '-') {
        bool sound = parse_mcc(text, &out->from);
        out->to = out->from;
        return sound;
    }
    struct slice from = {text.data, 4}, to = {text.data + 5, 4};
    return parse_mcc(from, &out->from) && parse_mcc(to, &out->to) && out->from <= out->to;
}

static bool parse_purpose(struct slice text, int64_t *out)
{
    if (text.size != EVENT_PURPOSE_MAX)
        return false;
    *out = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
            return false;
        *out = *out << 8 | (unsigned char)c;
    }
    return true;
}

static bool parse_corridor(struct slice text, int64_t *out)
{
    if (text.size != 6 || text.data[2] != '-' || text.data[3] != '>')
        return false;
    country_code from = country_parse((struct slice){text.data, 2});
    country_code to = country_parse((struct slice){text.data + 4, 2});
    *out = (int64_t)from << 16 | to;
    return from && to;
}

/* Countries with `>` between them; how many, 0 when the text is no route. */
static uint8_t parse_route(struct slice text, int64_t stage[LIST_STAGE_MAX])
{
    uint8_t count = 0;
    if (text.size < 5 || text.size % 3 != 2 || text.size > 3 * LIST_STAGE_MAX - 1)
        return 0;
    for (size_t at = 0; at < text.size; at += 3) {
        stage[count] = country_parse((struct slice){text.data + at, 2});
        if (!stage[count++] || (at + 2 < text.size && text.data[at + 2] != '>'))
            return 0;
    }
    return count;
}

/* A code of the list's type as numbers; false when the text is none. */
static bool parse_codes(enum value_type type, struct slice text, struct range *out)
{
    bool sound = false;
    *out = (struct range){0, 0};
    switch (type) {
    case TYPE_MCC:
        return parse_mcc_range(text, out);
    case TYPE_COUNTRY:
        out->from = country_parse(text);
        sound = out->from != 0;
        break;
    case TYPE_CURRENCY:
        out->from = currency_parse(text);
        sound = out->from != 0;
        break;
    case TYPE_KIND:
        out->from = event_kind_parse(text);
        sound = out->from != KIND_MISSING;
        break;
    case TYPE_CHANNEL:
        out->from = event_channel_parse(text);
        sound = out->from != CHANNEL_MISSING;
        break;
    case TYPE_PURPOSE:
        sound = parse_purpose(text, &out->from);
        break;
    case TYPE_CORRIDOR:
        sound = parse_corridor(text, &out->from);
        break;
    default:
        break;
    }
    out->to = out->from;
    return sound;
}

static const char *value_wanted(enum value_type type)
{
    switch (type) {
    case TYPE_MCC:
        return "four digits such as 7011, or a range such as 3501-3999";
    case TYPE_COUNTRY:
        return "an ISO 3166-1 country such as KE";
    case TYPE_CURRENCY:
        return "an ISO 4217 currency such as USD";
    case TYPE_PURPOSE:
        return "an ISO 20022 purpose code such as SALA";
    case TYPE_CORRIDOR:
        return "a corridor such as KE->SO";
    case TYPE_ROUTE:
        return "a route of 2 to 16 countries such as ET>KE>TZ";
    case TYPE_KIND:
        return "a kind of movement such as CASH_OUT";
    case TYPE_CHANNEL:
        return "a channel such as ATM";
    default:
        return "a text of 1 to 200 bytes";
    }
}

/* --- the set --- */

static void list_grow(struct list *list)
{
    if (list->count < list->room)
        return;
    list->room = list->room ? list->room * 2 : 64;
    if (type_is_text(list->type))
        list->text = realloc(list->text, list->room * sizeof *list->text);
    else
        list->range = realloc(list->range, list->room * sizeof *list->range);
    invariant(list->text != NULL || list->range != NULL);
}

static uint32_t list_room(const struct list *list)
{
    return list->type == TYPE_ROUTE ? LIST_ROUTE_MAX : LIST_COUNT_MAX;
}

/* Puts a value at the end; list_sort must follow. */
static bool list_append(struct list *list, struct slice text)
{
    struct range range = {0, 0};
    int64_t stage[LIST_STAGE_MAX];
    bool as_text = type_is_text(list->type);
    if (text.size == 0 || text.size > VALUE_BYTES_MAX || list->count == list_room(list))
        return false;
    if (list->type == TYPE_ROUTE ? !parse_route(text, stage) : !as_text && !parse_codes(list->type, text, &range))
        return false;
    list_grow(list);
    if (as_text)
        list->text[list->count] = arena_copy(&list->arena, text);
    else
        list->range[list->count] = range;
    list->count++;
    return true;
}

static int text_order(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static int range_order(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static void list_sort_texts(struct list *list)
{
    uint32_t kept = 0;
    qsort(list->text, list->count, sizeof *list->text, text_order);
    for (uint32_t i = 0; i < list->count; i++)
        if (kept == 0 || !slice_equal(list->text[kept - 1], list->text[i]))
            list->text[kept++] = list->text[i];
    list->count = kept;
}

static void list_sort_ranges(struct list *list)
{
    uint32_t kept = 0;
    qsort(list->range, list->count, sizeof *list->range, range_order);
    for (uint32_t i = 0; i < list->count; i++) {
        struct range *last = kept ? &list->range[kept - 1] : NULL;
        if (!last || list->range[i].from > last->to)
            list->range[kept++] = list->range[i];
        else if (list->range[i].to > last->to)
            last->to = list->range[i].to;
    }
    list->count = kept;
}

static void list_sort(struct list *list)
{
    if (list->count && type_is_text(list->type))
        list_sort_texts(list);
    else if (list->count)
        list_sort_ranges(list);
}

bool list_add_text(struct list *list, struct slice text)
{
    if (!list_append(list, text))
        return false;
    list_sort(list);
    return true;
}

struct list *list_copy(const struct list *list)
{
    struct list *copy = list_new(list->name, list->type);
    for (uint32_t i = 0; i < list->count; i++) {
        list_grow(copy);
        if (type_is_text(list->type))
            copy->text[i] = arena_copy(&copy->arena, list->text[i]);
        else
            copy->range[i] = list->range[i];
        copy->count++;
    }
    return copy;
}

/* --- reading --- */

/* The first column of the row in hand; the others are read over. */
static bool csv_row(struct csv *csv, struct slice *first, struct csv_problem problem)
{
    struct slice other;
    char keep[sizeof csv->value];
    if (!csv_column(csv, first, problem))
        return false;
    bool quoted = first->data == csv->value;
    if (quoted)
        memcpy(keep, csv->value, sizeof keep);
    while (csv_peek(csv) == ',') {
        csv->at++;
        if (!csv_column(csv, &other, problem))
            return false;
    }
    if (quoted)
        memcpy(csv->value, keep, sizeof keep);
    return true;
}

/* The header names the column; a value there would silently be lost, so it is refused. */
static bool header_sound(const struct list *list, struct slice header)
{
    struct range range;
    if (header.size == 0 || parse_codes(list->type, header, &range))
        return false;
    for (size_t i = 0; i < header.size; i++) {
        char c = header.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ' ' || c == '-'))
            return false;
    }
    return true;
}

static bool list_refuse(const struct list *list, uint32_t line, struct csv_problem problem)
{
    if (list->count == list_room(list))
        return csv_refuse(problem, line, "more than %u entries", list_room(list));
    return csv_refuse(problem, line, "the first column must be %s", value_wanted(list->type));
}

static bool list_parse(struct list *list, struct slice file, struct csv_problem problem)
{
    struct csv csv = {.file = file, .line = 1};
    bool header = false;
    if (file.size >= 3 && memcmp(file.data, "\xef\xbb\xbf", 3) == 0)
        csv.at = 3;
    for (; csv_peek(&csv) >= 0; csv_next_line(&csv)) {
        struct slice value;
        uint32_t line = csv.line;
        if (csv_peek(&csv) == '#' || csv_at_end(&csv))
            continue;
        if (!csv_row(&csv, &value, problem))
            return false;
        if (header && !list_append(list, value))
            return list_refuse(list, line, problem);
        if (!header && !header_sound(list, value))
            return csv_refuse(problem, line, "the first line must be a header, such as `account`");
        header = true;
    }
    if (!header)
        return csv_refuse(problem, 0, "the file is empty: it needs a header line");
    list_sort(list);
    return true;
}

struct list *list_load(struct slice name, enum value_type of, const char *path, char message[256], uint32_t *line)
{
    struct csv_problem problem = {message, line};
    size_t size;
    char *data = csv_file_read(path, &size, problem);
    if (!data)
        return NULL;
    struct list *list = list_new(name, of);
    bool sound = memchr(data, '\0', size) == NULL || csv_refuse(problem, 0, "the file holds a NUL character");
    sound = sound && list_parse(list, (struct slice){data, size}, problem);
    free(data);
    if (sound)
        return list;
    list_free(list);
    return NULL;
}

/* --- asking --- */

struct slice list_name(const struct list *list)
{
    return list->name;
}

enum value_type list_type(const struct list *list)
{
    return list->type;
}

uint32_t list_count(const struct list *list)
{
    return list->count;
}

bool list_holds_numbers(const struct list *list)
{
    return !type_is_text(list->type);
}

bool list_range(const struct list *list, uint32_t i, int64_t *from, int64_t *to)
{
    if (type_is_text(list->type) || i >= list->count)
        return false;
    *from = list->range[i].from;
    *to = list->range[i].to;
    return true;
}

bool list_has_number(const struct list *list, int64_t number)
{
    if (type_is_text(list->type))
        return false;
    uint32_t low = 0, high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->range[middle].to < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->count && list->range[low].from <= number;
}

bool list_has_text(const struct list *list, struct slice text)
{
    if (!type_is_text(list->type) || list->count == 0)
        return false;
    return bsearch(&text, list->text, list->count, sizeof *list->text, text_order) != NULL;
}

uint8_t list_route(const struct list *list, uint32_t i, int64_t stage[LIST_STAGE_MAX])
{
    return list->type == TYPE_ROUTE && i < list->count ? parse_route(list->text[i], stage) : 0;
}

static void hash_word(crypto_generichash_state *state, uint64_t word)
{
    unsigned char byte[8];
    for (int i = 0; i < 8; i++)
        byte[i] = (unsigned char)(word >> (8 * i));
    crypto_generichash_update(state, byte, sizeof byte);
}

void list_hash(const struct list *list, unsigned char out[32])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    hash_word(&state, (uint64_t)list->type);
    hash_word(&state, list->count);
    for (uint32_t i = 0; i < list->count; i++) {
        if (!type_is_text(list->type)) {
            hash_word(&state, (uint64_t)list->range[i].from);
            hash_word(&state, (uint64_t)list->range[i].to);
            continue;
        }
        hash_word(&state, list->text[i].size);
        crypto_generichash_update(&state, (const unsigned char *)list->text[i].data, list->text[i].size);
    }
    crypto_generichash_final(&state, out, 32);
}
