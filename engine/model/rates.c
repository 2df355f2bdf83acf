/* A dated list of exchange rates to the base currency, read once from CSV. */
#include "engine/base/invariant.h"
#include "engine/model/money.h"
#include "engine/model/zone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A rate is base units per unit of currency times SCALE. */
enum { RATE_DIGITS = 9, LINE_BYTES_MAX = 256, RATES_MAX = 2000000, CURRENCIES = 512 };
static const int64_t RATE_SCALE = 1000000000;

struct rate {
    currency_code currency;
    int32_t day;    /* UTC, since 1970-01-01 */
    int64_t scaled;
};

struct rates {
    currency_code base;
    struct rate *rate; /* by currency, then day */
    uint32_t count, room;
    uint32_t first[CURRENCIES + 1]; /* rates of currency c: [first[c], first[c + 1]) */
};

static bool parse_digits(const char **at, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return true;
}

static bool parse_day(const char *text, size_t size, int32_t *day)
{
    int year, month, dom;
    const char *at = text;
    if (size != 10 || !parse_digits(&at, 4, &year) || *at++ != '-' || !parse_digits(&at, 2, &month) || *at++ != '-' ||
        !parse_digits(&at, 2, &dom) || month < 1 || month > 12 || dom < 1)
        return false;
    *day = civil_day(year, month, dom);
    int y, m, d;
    civil_date(*day, &y, &m, &d);
    return y == year && m == month && d == dom && year >= 1900 && year <= 2200;
}

static bool parse_scaled(const char *text, size_t size, int64_t *scaled)
{
    int64_t value = 0;
    int fraction = -1, digits = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '.') {
            if (fraction >= 0 || digits == 0)
                return false;
            fraction = 0;
            continue;
        }
        if (text[i] < '0' || text[i] > '9' || (fraction >= 0 && ++fraction > RATE_DIGITS))
            return false;
        digits++;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text[i] - '0', &value))
            return false;
    }
    for (int i = fraction < 0 ? 0 : fraction; i < RATE_DIGITS; i++)
        if (__builtin_mul_overflow(value, 10, &value))
            return false;
    *scaled = value;
    return digits > 0 && fraction != 0 && value > 0;
}

/* What is wrong with the line, or NULL. */
static const char *rates_line(struct rates *rates, const char *line, size_t size)
{
    const char *comma = memchr(line, ',', size);
    const char *second = comma ? memchr(comma + 1, ',', (size_t)(line + size - comma - 1)) : NULL;
    if (!second)
        return "three columns are needed: date,currency,per_base";
    struct rate rate;
    if (!parse_day(line, (size_t)(comma - line), &rate.day))
        return "the date is not YYYY-MM-DD";
    rate.currency = currency_parse((struct slice){comma + 1, (size_t)(second - comma - 1)});
    if (!rate.currency)
        return "the currency is not an ISO 4217 code";
    if (rate.currency == rates->base)
        return "the base currency needs no rate";
    if (!parse_scaled(second + 1, (size_t)(line + size - second - 1), &rate.scaled))
        return "the rate is not a positive decimal with at most 9 digits behind the point";
    if (rates->count == RATES_MAX)
        return "there are more than 2,000,000 rates";
    if (rates->count == rates->room) {
        rates->room = rates->room ? rates->room * 2 : 256;
        rates->rate = realloc(rates->rate, rates->room * sizeof *rates->rate);
        invariant(rates->rate != NULL);
    }
    rates->rate[rates->count++] = rate;
    return NULL;
}

static int rate_compare(const void *a, const void *b)
{
    const struct rate *x = a, *y = b;
    if (x->currency != y->currency)
        return x->currency < y->currency ? -1 : 1;
    return (x->day > y->day) - (x->day < y->day);
}

static bool rates_sort(struct rates *rates, const char *path, struct error *err)
{
    if (rates->count)
        qsort(rates->rate, rates->count, sizeof *rates->rate, rate_compare);
    for (uint32_t i = 1; i < rates->count; i++) {
        if (rate_compare(&rates->rate[i - 1], &rates->rate[i]) == 0)
            return error_set(err, ERROR_FATAL, "%s: %s has two rates for one day", path,
                             currency_name(rates->rate[i].currency));
    }
    uint32_t at = 0;
    for (uint32_t c = 0; c <= CURRENCIES; c++) {
        while (at < rates->count && rates->rate[at].currency < c)
            at++;
        rates->first[c] = at;
    }
    return true;
}

static bool rates_read(struct rates *rates, FILE *file, const char *path, struct error *err)
{
    char line[LINE_BYTES_MAX];
    uint32_t number = 0;
    bool header = false;
    while (fgets(line, sizeof line, file)) {
        number++;
        size_t size = strcspn(line, "\r\n");
        if (size == sizeof line - 1)
            return error_set(err, ERROR_FATAL, "%s:%u: the line is longer than %d bytes", path, number, LINE_BYTES_MAX - 2);
        if (size == 0 || line[0] == '#')
            continue;
        if (!header) {
            if (size != strlen("date,currency,per_base") || memcmp(line, "date,currency,per_base", size) != 0)
                return error_set(err, ERROR_FATAL, "%s:%u: the header must be `date,currency,per_base`", path, number);
            header = true;
            continue;
        }
        const char *wrong = rates_line(rates, line, size);
        if (wrong)
            return error_set(err, ERROR_FATAL, "%s:%u: %s", path, number, wrong);
    }
    if (ferror(file))
        return error_errno(err, ERROR_FATAL, "cannot read %s", path);
    if (!header)
        return error_set(err, ERROR_FATAL, "%s: the header `date,currency,per_base` is missing", path);
    return true;
}

struct rates *rates_load(const char *path, currency_code base, struct error *err)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        error_errno(err, ERROR_FATAL, "cannot open %s", path);
        return NULL;
    }
    struct rates *rates = calloc(1, sizeof *rates);
    invariant(rates != NULL);
    rates->base = base;
    bool good = rates_read(rates, file, path, err) && rates_sort(rates, path, err);
    (void)fclose(file);
    if (!good) {
        rates_free(rates);
        return NULL;
    }
    return rates;
}

struct rates *rates_none(currency_code base)
{
    struct rates *rates = calloc(1, sizeof *rates);
    invariant(rates != NULL);
    rates->base = base;
    return rates;
}

void rates_free(struct rates *rates)
{
    if (!rates)
        return;
    free(rates->rate);
    free(rates);
}

currency_code rates_base(const struct rates *rates)
{
    return rates->base;
}

static int64_t unit_of(currency_code currency)
{
    int64_t unit = 1;
    for (int i = 0; i < currency_decimals(currency); i++)
        unit *= 10;
    return unit;
}

/* minor × scaled × base unit / (SCALE × unit), half-even, without leaving 128 bits. */
static bool rate_apply(int64_t minor, int64_t scaled, int64_t base_unit, int64_t unit, int64_t *out)
{
    unsigned __int128 product = (unsigned __int128)(uint64_t)minor * (uint64_t)scaled;
    unsigned __int128 divisor = (unsigned __int128)(uint64_t)RATE_SCALE * (uint64_t)unit;
    if (product > ~(unsigned __int128)0 / (uint64_t)base_unit)
        return false;
    product *= (uint64_t)base_unit;
    unsigned __int128 quotient = product / divisor, rest = product % divisor;
    if (rest * 2 > divisor || (rest * 2 == divisor && (quotient & 1)))
        quotient++;
    if (quotient > (unsigned __int128)INT64_MAX)
        return false;
    *out = (int64_t)quotient;
    return true;
}

bool rates_convert(const struct rates *rates, currency_code from, int64_t minor, int64_t time_ms, int64_t *base_minor)
{
    if (from == rates->base) {
        *base_minor = minor;
        return true;
    }
    if (from == 0 || from >= CURRENCIES)
        return false;
    int64_t day = time_ms / MS_PER_DAY - (time_ms % MS_PER_DAY < 0);
    uint32_t low = rates->first[from], high = rates->first[from + 1], begin = low;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (rates->rate[middle].day <= day)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == begin)
        return false;
    return rate_apply(minor, rates->rate[low - 1].scaled, unit_of(rates->base), unit_of(from), base_minor);
}
