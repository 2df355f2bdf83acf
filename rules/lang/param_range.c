/* Cutting a range into steps, and writing its values. */
#include "rules/lang/param_range.h"

#include "engine/base/invariant.h"
#include "engine/model/money.h"
#include "engine/model/zone.h"

#include <stdio.h>

bool param_range_of(const struct syntax_param *param, struct param_range *range)
{
    const struct syntax_expr *value = param->value, *low = param->low, *high = param->high;
    if (!value || !low || !high || value->form > EXPR_CLOCK || low->form != value->form || high->form != value->form)
        return false;
    *range = (struct param_range){.name = param->name.text,
                                  .form = value->form,
                                  .currency = value->currency,
                                  .today = value->value,
                                  .low = low->value,
                                  .high = high->value};
    return range->low <= range->today && range->today <= range->high;
}

/* Units from coarse to fine, 0 at the end; the last is what the type can hold at all. */
static void units_of(const struct param_range *range, int64_t units[6])
{
    static const int64_t number[6] = {1}, percent[6] = {10000, 1000, 100, 1};
    static const int64_t duration[6] = {MS_PER_DAY, 3600000, 60000, 1000, 1}, clock_[6] = {3600000, 900000, 60000};
    int64_t whole = 1;
    for (int i = 0; range->form == EXPR_MONEY && i < currency_decimals(range->currency); i++)
        whole *= 10;
    const int64_t money[6] = {whole * 100, whole * 10, whole, 1};
    const int64_t *from = range->form == EXPR_MONEY      ? money
                          : range->form == EXPR_PERCENT  ? percent
                          : range->form == EXPR_DURATION ? duration
                          : range->form == EXPR_CLOCK    ? clock_
                                                         : number;
    memcpy(units, from, 6 * sizeof *units);
}

/* The coarsest unit that still gives each step a value of its own. Windows above 30 days are whole days. */
static int64_t unit_of(const struct param_range *range, uint32_t steps)
{
    int64_t units[6];
    int i = 0;
    units_of(range, units);
    if (range->form == EXPR_DURATION && range->high > (int64_t)30 * MS_PER_DAY)
        return MS_PER_DAY;
    while (units[i + 1] && (range->high - range->low) / units[i] < (int64_t)steps)
        i++;
    return units[i];
}

static uint32_t insert(int64_t *out, uint32_t count, int64_t value)
{
    uint32_t at = count;
    while (at && out[at - 1] > value)
        at--;
    if (at && out[at - 1] == value)
        return count;
    memmove(out + at + 1, out + at, (count - at) * sizeof *out);
    out[at] = value;
    return count + 1;
}

uint32_t param_steps(const struct param_range *range, uint32_t steps, int64_t *out)
{
    uint32_t count = 0;
    invariant(steps >= 2 && steps <= PARAM_STEPS_MAX);
    int64_t unit = unit_of(range, steps);
    for (uint32_t i = 0; i < steps; i++) {
        int64_t value = range->low + (int64_t)((__int128)(range->high - range->low) * i / (steps - 1));
        bool end = i == 0 || i + 1 == steps;
        int64_t rounded = (value + unit / 2) / unit * unit;
        if (rounded < range->low || rounded > range->high)
            rounded = value;
        count = insert(out, count, end ? value : rounded);
    }
    return insert(out, count, range->today);
}

/* --- text --- */

static void duration_text(int64_t ms, char out[PARAM_TEXT_MAX])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{MS_PER_DAY, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (ms % units[i].ms && i + 1 < sizeof units / sizeof *units)
            continue;
        (void)snprintf(out, PARAM_TEXT_MAX, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
        return;
    }
}

static void percent_text(int64_t millionths, char out[PARAM_TEXT_MAX])
{
    int size = snprintf(out, PARAM_TEXT_MAX, "%lld.%04lld", (long long)(millionths / 10000), (long long)(millionths % 10000));
    while (size > 0 && out[size - 1] == '0')
        size--;
    if (size > 0 && out[size - 1] == '.')
        size--;
    out[size] = '%';
    out[size + 1] = '\0';
}

void param_text(const struct param_range *range, int64_t value, char out[PARAM_TEXT_MAX])
{
    char money[MONEY_TEXT_MAX];
    if (range->form == EXPR_MONEY) {
        int size = money_format(value, range->currency, money), decimals = currency_decimals(range->currency);
        int point = size - 4 - decimals - 1; /* before " USD" */
        bool whole = decimals > 0 && point > 0 && strspn(money + point + 1, "0") >= (size_t)decimals;
        (void)snprintf(out, PARAM_TEXT_MAX, "%.*s%.*s", whole ? point : size, money, whole ? 4 : 0, money + size - 4);
    } else if (range->form == EXPR_PERCENT) {
        percent_text(value, out);
    } else if (range->form == EXPR_DURATION) {
        duration_text(value, out);
    } else if (range->form == EXPR_CLOCK) {
        (void)snprintf(out, PARAM_TEXT_MAX, "%02lld:%02lld", (long long)(value / 3600000), (long long)(value / 60000 % 60));
    } else {
        (void)snprintf(out, PARAM_TEXT_MAX, "%lld", (long long)value);
    }
}
