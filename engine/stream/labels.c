/* Reads labels and counts who of those put forward is among them. */
#include "engine/stream/labels.h"

#include "engine/base/arena.h"
#include "engine/base/invariant.h"
#include "rules/lang/csv.h"

#include <math.h>
#include <stdlib.h>

enum { COLUMN_COUNT = 4, ROW_MAX = 4 * 1000 * 1000 };

struct label {
    struct slice account, typology;
    uint32_t scheme;   /* number of the run it stands in, from 0 */
    bool suspect, victim;
};

struct labels {
    struct arena arena;
    struct label *label;      /* by account */
    uint32_t count, room, scheme_count;
};

/* --- reading --- */

/* Roles that nobody answers for: whoever has no part, pays, or may be a victim. */
static bool role_of(struct slice word, bool *suspect, bool *victim)
{
    *suspect = *victim = false;
    if (word.size == 0 || slice_equal(word, SLICE("none")) || slice_equal(word, slice_of(role_word(ROLE_UNDETERMINED))))
        return true;
    for (int role = 0; role < ROLE_COUNT; role++) {
        if (!slice_equal(word, slice_of(role_word((enum role)role))))
            continue;
        *victim = role == ROLE_POSSIBLE_VICTIM;
        *suspect = role != ROLE_POSSIBLE_VICTIM && role != ROLE_PAYER;
        return true;
    }
    return false;
}

static bool read_row(struct csv *csv, struct slice column[COLUMN_COUNT], struct arena *arena, struct csv_problem problem)
{
    uint32_t line = csv->line;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        if (i && csv_peek(csv) != ',')
            return csv_refuse(problem, line, "fewer than the four columns account,role,scheme,typology");
        if (i)
            csv->at++;
        if (!csv_column(csv, &column[i], problem))
            return false;
        column[i] = arena_copy(arena, column[i]);
    }
    return csv_at_end(csv) || csv_refuse(problem, line, "more than the four columns account,role,scheme,typology");
}

static bool is_header(const struct slice column[COLUMN_COUNT])
{
    return slice_equal(column[0], SLICE("account")) && slice_equal(column[1], SLICE("role")) &&
           slice_equal(column[2], SLICE("scheme")) && slice_equal(column[3], SLICE("typology"));
}

static bool add_row(struct labels *labels, const struct slice column[COLUMN_COUNT], const struct slice before[COLUMN_COUNT],
                    struct csv_problem problem, uint32_t line)
{
    bool suspect, victim;
    if (column[0].size == 0)
        return csv_refuse(problem, line, "a row without an account");
    if (!role_of(column[1], &suspect, &victim))
        return csv_refuse(problem, line, "there is no role `%.*s`", (int)column[1].size, column[1].data);
    if (labels->count == ROW_MAX)
        return csv_refuse(problem, line, "more than %d rows", ROW_MAX);
    if (labels->count == labels->room) {
        labels->room = labels->room ? labels->room * 2 : 1024;
        labels->label = realloc(labels->label, labels->room * sizeof *labels->label);
        invariant(labels->label != NULL);
    }
    if (labels->count == 0 || !slice_equal(column[2], before[2]) || !slice_equal(column[3], before[3]))
        labels->scheme_count++;
    labels->label[labels->count++] = (struct label){.account = column[0],
                                                    .typology = column[3],
                                                    .scheme = labels->scheme_count - 1,
                                                    .suspect = suspect,
                                                    .victim = victim};
    return true;
}

static bool read_rows(struct labels *labels, struct slice file, struct csv_problem problem)
{
    struct csv csv = {.file = file, .line = 1};
    struct slice column[COLUMN_COUNT], before[COLUMN_COUNT] = {{0}};
    if (!read_row(&csv, column, &labels->arena, problem) || !is_header(column))
        return csv_refuse(problem, 1, "the first line must be account,role,scheme,typology");
    for (csv_next_line(&csv); csv_peek(&csv) != -1; csv_next_line(&csv)) {
        uint32_t line = csv.line;
        if (csv_at_end(&csv))
            continue;
        if (!read_row(&csv, column, &labels->arena, problem) || !add_row(labels, column, before, problem, line))
            return false;
        memcpy(before, column, sizeof before);
    }
    return labels->count > 0 || csv_refuse(problem, 0, "no rows");
}

static int by_account(const void *left, const void *right)
{
    const struct label *a = left, *b = right;
    int order = slice_compare(a->account, b->account);
    return order ? order : (a->scheme > b->scheme) - (a->scheme < b->scheme);
}

struct labels *labels_load(const char *path, struct error *err)
{
    char message[256] = "";
    uint32_t line = 0;
    size_t size = 0;
    struct csv_problem problem = {message, &line};
    struct labels *labels = calloc(1, sizeof *labels);
    invariant(labels != NULL);
    arena_init(&labels->arena);
    char *text = csv_file_read(path, &size, problem);
    bool good = text && read_rows(labels, (struct slice){text, size}, problem);
    free(text);
    if (good) {
        qsort(labels->label, labels->count, sizeof *labels->label, by_account);
        return labels;
    }
    if (line)
        error_set(err, ERROR_FATAL, "labels %s, line %u: %s", path, line, message);
    else
        error_set(err, ERROR_FATAL, "labels %s: %s", path, message);
    labels_free(labels);
    return NULL;
}

void labels_free(struct labels *labels)
{
    if (!labels)
        return;
    free(labels->label);
    arena_fini(&labels->arena);
    free(labels);
}

uint32_t labels_rows(const struct labels *labels)
{
    return labels->count;
}

/* --- measuring --- */

struct share share_wilson(uint64_t of, uint64_t all)
{
    static const double z = 1.959963984540054; /* 95 % */
    struct share share = {.of = of, .all = all, .known = all > 0};
    if (!all)
        return share;
    double n = (double)all, p = (double)of / n, wide = 1 + z * z / n;
    double middle = (p + z * z / (2 * n)) / wide;
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / wide;
    share.is = p;
    share.low = of == 0 ? 0 : middle - half;
    share.high = of == all ? 1 : middle + half;
    return share;
}

struct measuring {
    const struct labels *labels;
    struct slice typology;
    struct measure measure;
    bool *scheme_caught;
};

struct measuring *measuring_new(const struct labels *labels, struct slice typology)
{
    struct measuring *measuring = calloc(1, sizeof *measuring);
    invariant(measuring != NULL);
    measuring->labels = labels;
    measuring->typology = typology;
    measuring->scheme_caught = calloc(labels->scheme_count + 1, sizeof(bool));
    invariant(measuring->scheme_caught != NULL);
    return measuring;
}

/* The first row of an account, or where it would stand. */
static uint32_t first_of(const struct labels *labels, struct slice account)
{
    uint32_t low = 0, high = labels->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_compare(labels->label[middle].account, account) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void measuring_subject(struct measuring *measuring, enum entity_kind kind, struct slice subject)
{
    const struct labels *labels = measuring->labels;
    bool caught = false, suspect = false, victim = false;
    if (kind != ENTITY_ACCOUNT)
        return;
    for (uint32_t i = first_of(labels, subject); i < labels->count && slice_equal(labels->label[i].account, subject); i++) {
        const struct label *label = &labels->label[i];
        victim |= label->victim;
        suspect |= label->suspect;
        if (!label->suspect || !slice_equal(label->typology, measuring->typology))
            continue;
        caught = true;
        measuring->scheme_caught[label->scheme] = true;
    }
    measuring->measure.subjects++;
    measuring->measure.caught += caught;
    measuring->measure.elsewhere += suspect && !caught;
    measuring->measure.victims += victim && !suspect;
}

struct measure measuring_end(struct measuring *measuring)
{
    const struct labels *labels = measuring->labels;
    struct measure measure = measuring->measure;
    bool *counted = calloc(labels->scheme_count + 1, sizeof(bool));
    invariant(counted != NULL);
    struct slice last = {0};
    for (uint32_t i = 0; i < labels->count; i++) {
        const struct label *label = &labels->label[i];
        if (!label->suspect || !slice_equal(label->typology, measuring->typology))
            continue;
        measure.suspects += !slice_equal(label->account, last);
        last = label->account;
        if (counted[label->scheme])
            continue;
        counted[label->scheme] = true;
        measure.schemes++;
        measure.schemes_caught += measuring->scheme_caught[label->scheme];
    }
    measure.precision = share_wilson(measure.caught, measure.subjects);
    measure.recall = share_wilson(measure.caught, measure.suspects);
    measure.scheme_recall = share_wilson(measure.schemes_caught, measure.schemes);
    free(counted);
    free(measuring->scheme_caught);
    free(measuring);
    return measure;
}
