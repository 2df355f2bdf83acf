/* Steps of a declared range: ends, today's value, order and bounds, on ranges from chance; and their texts. */
#include "rules/lang/param_range.h"

#include <criterion/criterion.h>

static uint64_t chance(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static bool holds(const int64_t *value, uint32_t count, int64_t wanted)
{
    for (uint32_t i = 0; i < count; i++)
        if (value[i] == wanted)
            return true;
    return false;
}

Test(param_range, steps_stay_in_the_range)
{
    static const enum expr_form forms[] = {EXPR_NUMBER, EXPR_MONEY, EXPR_PERCENT, EXPR_DURATION, EXPR_CLOCK};
    static const int64_t scale[] = {1, 100, 1000, 1000, 60000};
    uint64_t state = 5;
    for (int round = 0; round < 20000; round++) {
        int f = (int)(chance(&state) % 5);
        int64_t low = (int64_t)(chance(&state) % 500) * scale[f], wide = (int64_t)(chance(&state) % 900) * scale[f];
        struct param_range range = {.form = forms[f], .currency = currency_parse(SLICE("USD")), .low = low, .high = low + wide};
        range.today = low + (int64_t)(chance(&state) % (uint64_t)(wide + 1));
        uint32_t steps = 2 + (uint32_t)(chance(&state) % (PARAM_STEPS_MAX - 1));
        int64_t value[PARAM_STEPS_MAX + 1];
        uint32_t count = param_steps(&range, steps, value);
        cr_assert(count >= 1 && count <= steps + 1);
        cr_assert(holds(value, count, range.low) && holds(value, count, range.high) && holds(value, count, range.today));
        for (uint32_t i = 0; i < count; i++)
            cr_assert(value[i] >= range.low && value[i] <= range.high && (i == 0 || value[i] > value[i - 1]));
    }
}

/* A window above 30 days must be whole days, or the rule set would be refused. */
Test(param_range, long_windows_are_whole_days)
{
    struct param_range range = {.form = EXPR_DURATION, .low = 6 * 3600000, .today = 86400000, .high = (int64_t)45 * 86400000};
    int64_t value[PARAM_STEPS_MAX + 1];
    uint32_t count = param_steps(&range, 40, value);
    for (uint32_t i = 1; i < count; i++)
        cr_assert(value[i] % 86400000 == 0);
}

static void reads(enum expr_form form, const char *currency, int64_t value, const char *wanted)
{
    char text[PARAM_TEXT_MAX];
    struct param_range range = {.form = form, .currency = currency_parse(slice_of(currency))};
    param_text(&range, value, text);
    cr_assert_str_eq(text, wanted);
}

Test(param_range, texts_are_the_languages)
{
    reads(EXPR_NUMBER, "USD", 12, "12");
    reads(EXPR_MONEY, "USD", 20000, "200 USD");
    reads(EXPR_MONEY, "USD", 180050, "1_800.50 USD");
    reads(EXPR_MONEY, "JPY", 1800, "1_800 JPY");
    reads(EXPR_PERCENT, "USD", 400000, "40%");
    reads(EXPR_PERCENT, "USD", 1000000, "100%");
    reads(EXPR_PERCENT, "USD", 125, "0.0125%");
    reads(EXPR_PERCENT, "USD", 0, "0%");
    reads(EXPR_DURATION, "USD", (int64_t)26 * 3600000, "26h");
    reads(EXPR_DURATION, "USD", (int64_t)7 * 86400000, "7d");
    reads(EXPR_DURATION, "USD", 90000, "90s");
    reads(EXPR_CLOCK, "USD", 81000000, "22:30");
}
