/* Reads the values of facts, and files of them. */
#include "rules/lang/fact.h"

#include "engine/base/arena.h"
#include "engine/base/invariant.h"
#include "engine/model/money.h"
#include "rules/lang/compile.h"
#include "rules/lang/csv.h"

#include <sodium.h>
#include <stdlib.h>

enum { FACT_ROWS_MAX_FILE = 5 * 1000 * 1000, FACT_SUBJECT_MAX = 64 };

struct row {
    struct slice subject;
    int64_t valid_from;
    uint32_t line;
    const int64_t *value;
};

struct fact_file {
    struct arena arena;
    struct row *row;      /* by subject, then valid_from */
    uint32_t count, room;
    uint8_t columns;
};

/* --- values --- */

bool fact_type_is_entity(enum value_type type)
{
    return type >= TYPE_ACCOUNT && type <= TYPE_PLACE;
}

static bool integer_parse(struct slice text, int64_t most, int64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || *number > most / 10)
            return false;
        *number = *number * 10 + (text.data[i] - '0');
    }
    return text.size > 0 && *number <= most;
}

/* "12.5%" in millionths: 125000. */
static bool percent_parse(struct slice text, int64_t *number)
{
    if (text.size < 2 || text.data[text.size - 1] != '%')
        return false;
    int64_t whole = 0, scale = 10000;
    bool point = false;
    for (size_t i = 0; i + 1 < text.size; i++) {
        char c = text.data[i];
        if (c == '.' && !point && i > 0) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9' || whole > INT64_MAX / 100000 || (point && scale == 1))
            return false;
        whole = whole * 10 + (c - '0');
        scale /= point ? 10 : 1;
    }
    *number = whole * scale;
    return true;
}

static bool money_value(struct slice text, currency_code base, int64_t *number)
{
    if (text.size < 5 || text.data[text.size - 4] != ' ')
        return false;
    struct slice amount = {text.data, text.size - 4}, code = {text.data + text.size - 3, 3};
    if (currency_parse(code) != base)
        return false;
    bool zero = true;
    for (size_t i = 0; i < amount.size; i++)
        zero &= amount.data[i] == '0' || amount.data[i] == '.';
    *number = 0;
    return zero || money_parse(amount, base, number) == MONEY_OK;
}

/* A date is its first moment in UTC. */
/* A date is its first moment in the zone (RULES 1). */
static bool time_value(struct slice text, const struct zone *zone, int64_t *number)
{
    char room[32];
    if (text.size != 10)
        return time_parse(text, number);
    memcpy(room, text.data, 10);
    memcpy(room + 10, "T00:00:00Z", 10);
    if (!time_parse((struct slice){room, 20}, number))
        return false;
    if (zone)
        *number = zone_day_start_ms(zone, (int32_t)(*number / MS_PER_DAY));
    return true;
}

static bool flag_value(struct slice text, int64_t *number)
{
    *number = slice_equal(text, SLICE("yes")) || slice_equal(text, SLICE("true"));
    return *number || slice_equal(text, SLICE("no")) || slice_equal(text, SLICE("false"));
}

bool fact_value_parse(enum value_type type, struct slice text, currency_code base, const struct zone *zone, int64_t *number)
{
    switch (type) {
    case TYPE_COUNT:
        return integer_parse(text, INT64_MAX / 16, number);
    case TYPE_MONEY:
        return money_value(text, base, number);
    case TYPE_PERCENT:
        return percent_parse(text, number);
    case TYPE_TIME:
        return time_value(text, zone, number);
    case TYPE_BOOL:
        return flag_value(text, number);
    case TYPE_MCC:
        return text.size == 4 && integer_parse(text, 9999, number) && *number > 0;
    default:
        return code_value(type, text, number);
    }
}

/* --- files --- */

static struct row *row_add(struct fact_file *file)
{
    if (file->count == file->room) {
        file->room = file->room ? file->room * 2 : 256;
        file->row = realloc(file->row, file->room * sizeof *file->row);
        invariant(file->row != NULL);
    }
    return &file->row[file->count++];
}

/* The header names every declared field, in any order; place[i] is the field of column i + 2. */
static bool header_read(struct csv *csv, const struct fact_columns *columns, uint8_t *place, struct csv_problem problem)
{
    struct slice name;
    uint32_t seen = 0;
    const struct slice wanted[2] = {SLICE("subject"), SLICE("valid_from")};
    for (int i = 0; i < 2; i++) {
        if (!csv_column(csv, &name, problem))
            return false;
        if (!slice_equal(name, wanted[i]))
            return csv_refuse(problem, csv->line, "the first line must begin with subject,valid_from");
        csv->at += csv_peek(csv) == ',';
    }
    for (uint8_t i = 0; i < columns->count; i++) {
        uint8_t field = 0;
        if (!csv_column(csv, &name, problem))
            return false;
        while (field < columns->count && !slice_equal(columns->name[field], name))
            field++;
        if (field == columns->count || seen >> field & 1)
            return csv_refuse(problem, csv->line, "column %d must be a declared field, each once: `%.*s`", i + 3, (int)columns->name[i].size,
                              columns->name[i].data);
        seen |= 1u << field;
        place[i] = field;
        csv->at += csv_peek(csv) == ',';
    }
    return csv_at_end(csv) || csv_refuse(problem, csv->line, "there are more columns than declared fields");
}

static bool row_read(struct fact_file *file, struct csv *csv, const struct fact_columns *columns, const uint8_t *place,
                     struct csv_problem problem)
{
    struct slice text;
    uint32_t line = csv->line;
    struct row *row = row_add(file);
    int64_t *value = ARENA_ARRAY(&file->arena, int64_t, columns->count + 1);
    *row = (struct row){.line = line, .value = value};
    if (!csv_column(csv, &text, problem))
        return false;
    if (text.size == 0 || text.size > FACT_SUBJECT_MAX)
        return csv_refuse(problem, line, "the subject has 1 to %d bytes", FACT_SUBJECT_MAX);
    row->subject = arena_copy(&file->arena, text);
    csv->at += csv_peek(csv) == ',';
    if (!csv_column(csv, &text, problem))
        return false;
    if (!time_value(text, columns->zone, &row->valid_from))
        return csv_refuse(problem, line, "valid_from is a date such as 2026-01-01");
    for (uint8_t i = 0; i < columns->count; i++) {
        int64_t *at = &value[place[i]];
        if (csv_peek(csv) != ',')
            return csv_refuse(problem, line, "there are %d columns too few", columns->count - i);
        csv->at++;
        if (!csv_column(csv, &text, problem))
            return false;
        *at = MISSING_I64;
        if (text.size && !fact_value_parse(columns->type[place[i]], text, columns->base, columns->zone, at))
            return csv_refuse(problem, line, "`%.*s` must be %s", (int)columns->name[place[i]].size, columns->name[place[i]].data,
                              type_says(columns->type[place[i]]));
    }
    return csv_at_end(csv) || csv_refuse(problem, line, "there are more columns than in the first line");
}

static int by_subject(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = slice_compare(x->subject, y->subject);
    if (order)
        return order;
    return (x->valid_from > y->valid_from) - (x->valid_from < y->valid_from);
}

static bool file_parse(struct fact_file *file, struct slice text, const struct fact_columns *columns, struct csv_problem problem)
{
    struct csv *csv = calloc(1, sizeof *csv);
    invariant(csv != NULL);
    uint8_t place[MEMORY_KEEP_MAX] = {0};
    bool header = false, good = true;
    csv->file = text;
    csv->line = 1;
    for (; good && csv_peek(csv) >= 0; csv_next_line(csv)) {
        if (csv_peek(csv) == '#' || csv_at_end(csv))
            continue;
        if (file->count == FACT_ROWS_MAX_FILE)
            good = csv_refuse(problem, csv->line, "more than %d rows", FACT_ROWS_MAX_FILE);
        else
            good = header ? row_read(file, csv, columns, place, problem) : header_read(csv, columns, place, problem);
        header = true;
    }
    free(csv);
    if (!good)
        return false;
    if (!header)
        return csv_refuse(problem, 0, "the file is empty: it needs a header line");
    if (file->count)
        qsort(file->row, file->count, sizeof *file->row, by_subject);
    for (uint32_t i = 1; i < file->count; i++)
        if (by_subject(&file->row[i - 1], &file->row[i]) == 0)
            return csv_refuse(problem, file->row[i].line, "the same subject and day stand in line %u too", file->row[i - 1].line);
    return true;
}

struct fact_file *fact_file_load(const char *path, const struct fact_columns *columns, char *message, uint32_t *line)
{
    struct csv_problem problem = {message, line};
    size_t size;
    char *data = csv_file_read(path, &size, problem);
    if (!data)
        return NULL;
    struct fact_file *file = calloc(1, sizeof *file);
    invariant(file != NULL);
    arena_init(&file->arena);
    file->columns = columns->count;
    bool good = file_parse(file, (struct slice){data, size}, columns, problem);
    free(data);
    if (good)
        return file;
    fact_file_free(file);
    return NULL;
}

void fact_file_free(struct fact_file *file)
{
    if (!file)
        return;
    arena_fini(&file->arena);
    free(file->row);
    free(file);
}

void fact_file_hash(const struct fact_file *file, unsigned char out[32])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    for (uint32_t i = 0; i < file->count; i++) {
        const struct row *row = &file->row[i];
        uint64_t words[2] = {row->subject.size, (uint64_t)row->valid_from};
        crypto_generichash_update(&state, (const unsigned char *)words, sizeof words);
        crypto_generichash_update(&state, (const unsigned char *)row->subject.data, row->subject.size);
        crypto_generichash_update(&state, (const unsigned char *)row->value, file->columns * sizeof *row->value);
    }
    crypto_generichash_final(&state, out, 32);
}

bool fact_file_find(const struct fact_file *file, struct slice subject, int64_t time_ms, int64_t *valid_from, const int64_t **value)
{
    struct row want = {.subject = subject, .valid_from = time_ms};
    uint32_t from = 0, to = file->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (by_subject(&file->row[middle], &want) <= 0)
            from = middle + 1;
        else
            to = middle;
    }
    if (from == 0 || !slice_equal(file->row[from - 1].subject, subject))
        return false;
    *valid_from = file->row[from - 1].valid_from;
    *value = file->row[from - 1].value;
    return true;
}
