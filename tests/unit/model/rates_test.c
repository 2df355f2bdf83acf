/* Rates and money: what is wrong in a rates file -> what is said; conversion by the day, half-even. */
#include "engine/model/money.h"
#include "engine/model/zone.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD "date,currency,per_base\n"

static const struct {
    const char *file, *says;
} rows[] = {
    {"", "the header `date,currency,per_base` is missing"},
    {"# only words\n", "the header `date,currency,per_base` is missing"},
    {"date,currency\n", ":1: the header must be `date,currency,per_base`"},
    {HEAD "2026-01-01,EUR\n", ":2: three columns are needed"},
    {HEAD "2026-01-01;EUR;1\n", ":2: three columns are needed"},
    {HEAD "01.01.2026,EUR,1.1\n", ":2: the date is not YYYY-MM-DD"},
    {HEAD "2026-02-30,EUR,1.1\n", ":2: the date is not YYYY-MM-DD"},
    {HEAD "2026-01-01,EUX,1.1\n", ":2: the currency is not an ISO 4217 code"},
    {HEAD "2026-01-01,USD,1\n", ":2: the base currency needs no rate"},
    {HEAD "2026-01-01,EUR,0\n", ":2: the rate is not a positive decimal"},
    {HEAD "2026-01-01,EUR,-1.1\n", ":2: the rate is not a positive decimal"},
    {HEAD "2026-01-01,EUR,1.1e2\n", ":2: the rate is not a positive decimal"},
    {HEAD "2026-01-01,EUR,1.1234567891\n", ":2: the rate is not a positive decimal"},
    {HEAD "2026-01-01,EUR,1.1\n2026-01-01,EUR,1.2\n", "EUR has two rates for one day"},
};

static struct rates *load(const char *text, struct error *err)
{
    char path[] = "/tmp/muster-rates-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    struct rates *rates = rates_load(path, currency_parse(SLICE("USD")), err);
    unlink(path);
    return rates;
}

Test(rates, says_what_is_wrong)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error err = {0};
        struct rates *rates = load(rows[i].file, &err);
        cr_expect_null(rates, "%s was taken", rows[i].file);
        cr_expect(strstr(err.text, rows[i].says), "%s: said %s", rows[i].file, err.text);
        rates_free(rates);
    }
}

/* RULES 11: the last rate on or before the event's UTC date; none before the first. */
Test(rates, takes_the_last_rate_on_or_before_the_day)
{
    struct error err = {0};
    struct rates *rates = load(HEAD "2026-01-10,EUR,1.10\n2026-01-01,EUR,1.00\n", &err);
    currency_code eur = currency_parse(SLICE("EUR"));
    int64_t base, day = (int64_t)civil_day(2026, 1, 10) * MS_PER_DAY;
    cr_assert_not_null(rates);
    cr_expect(rates_convert(rates, eur, 10000, day - 1, &base) && base == 10000);
    cr_expect(rates_convert(rates, eur, 10000, day, &base) && base == 11000);
    cr_expect(rates_convert(rates, eur, 10000, day + 400 * (int64_t)MS_PER_DAY, &base) && base == 11000);
    cr_expect_not(rates_convert(rates, eur, 10000, day - 10 * (int64_t)MS_PER_DAY, &base));
    cr_expect_not(rates_convert(rates, currency_parse(SLICE("GBP")), 1, day, &base));
    rates_free(rates);
}

Test(rates, rounds_half_even_and_knows_minor_units)
{
    struct error err = {0};
    struct rates *rates = load(HEAD "2026-01-01,EUR,0.5\n2026-01-01,JPY,0.0064\n2026-01-01,KWD,3.25\n", &err);
    int64_t base, day = (int64_t)civil_day(2026, 1, 2) * MS_PER_DAY;
    cr_assert_not_null(rates);
    cr_expect(rates_convert(rates, currency_parse(SLICE("EUR")), 1, day, &base) && base == 0);     /* 0.5 to even */
    cr_expect(rates_convert(rates, currency_parse(SLICE("EUR")), 3, day, &base) && base == 2);     /* 1.5 to even */
    cr_expect(rates_convert(rates, currency_parse(SLICE("EUR")), 5, day, &base) && base == 2);     /* 2.5 to even */
    cr_expect(rates_convert(rates, currency_parse(SLICE("JPY")), 10000, day, &base) && base == 6400);
    cr_expect(rates_convert(rates, currency_parse(SLICE("KWD")), 1000, day, &base) && base == 325);
    rates_free(rates);
}

Test(money, divides_half_even_over_128_bits)
{
    int64_t out;
    cr_expect(muldiv_half_even(INT64_MAX, 1000000, 1000000, &out) && out == INT64_MAX);
    cr_expect(muldiv_half_even(5, 1, 2, &out) && out == 2);
    cr_expect(muldiv_half_even(7, 1, 2, &out) && out == 4);
    cr_expect(muldiv_half_even(-5, 1, 2, &out) && out == -2);
    cr_expect_not(muldiv_half_even(INT64_MAX, 2, 1, &out));
    cr_expect_not(muldiv_half_even(1, 1, 0, &out));
}

Test(money, writes_amounts_as_the_language_does)
{
    char text[MONEY_TEXT_MAX];
    money_format(180000, currency_parse(SLICE("USD")), text);
    cr_expect_str_eq(text, "1_800.00 USD");
    money_format(-5, currency_parse(SLICE("USD")), text);
    cr_expect_str_eq(text, "-0.05 USD");
    money_format(1234567, currency_parse(SLICE("JPY")), text);
    cr_expect_str_eq(text, "1_234_567 JPY");
    money_format(INT64_MIN, currency_parse(SLICE("USD")), text);
    cr_expect_str_eq(text, "-92_233_720_368_547_758.08 USD");
}
