/* Amounts from and to text, and products of amounts over 128 bits. */
#include "engine/model/money.h"

#include <stdio.h>

enum money_parse_result money_parse(struct slice text, currency_code currency, int64_t *minor)
{
    int decimals = currency_decimals(currency);
    int fraction = -1; /* digits behind the point; -1: no point yet */
    int digits = 0;
    int64_t value = 0;
    bool over = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '.') {
            if (fraction >= 0 || digits == 0)
                return MONEY_BAD;
            fraction = 0;
            continue;
        }
        if (c < '0' || c > '9')
            return MONEY_BAD;
        digits++;
        if (fraction >= 0 && ++fraction > decimals)
            return MONEY_BAD;
        over |= __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, c - '0', &value);
    }
    if (digits == 0 || fraction == 0)
        return MONEY_BAD;
    for (int i = fraction < 0 ? 0 : fraction; i < decimals; i++)
        over |= __builtin_mul_overflow(value, 10, &value);
    if (over)
        return MONEY_OVERFLOW;
    *minor = value;
    return value > 0 ? MONEY_OK : MONEY_BAD;
}

static int64_t power_of_ten(int exponent)
{
    int64_t power = 1;
    while (exponent-- > 0)
        power *= 10;
    return power;
}

int money_format(int64_t minor, currency_code currency, char out[MONEY_TEXT_MAX])
{
    int decimals = currency_decimals(currency);
    uint64_t size = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
    uint64_t unit = (uint64_t)power_of_ten(decimals);
    char whole[24];
    int length = snprintf(whole, sizeof whole, "%llu", (unsigned long long)(size / unit));
    int at = 0;
    if (minor < 0)
        out[at++] = '-';
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            out[at++] = '_';
        out[at++] = whole[i];
    }
    size_t room = (size_t)(MONEY_TEXT_MAX - at);
    if (decimals)
        at += snprintf(out + at, room, ".%0*llu %s", decimals, (unsigned long long)(size % unit), currency_name(currency));
    else
        at += snprintf(out + at, room, " %s", currency_name(currency));
    return at;
}

bool muldiv_half_even(int64_t a, int64_t b, int64_t c, int64_t *out)
{
    if (c == 0)
        return false;
    __int128 product = (__int128)a * b;
    bool negative = (product < 0) != (c < 0);
    unsigned __int128 size = product < 0 ? 0 - (unsigned __int128)product : (unsigned __int128)product;
    unsigned __int128 divisor = c < 0 ? 0 - (unsigned __int128)c : (unsigned __int128)c;
    unsigned __int128 quotient = size / divisor, rest = size % divisor;
    if (rest * 2 > divisor || (rest * 2 == divisor && (quotient & 1)))
        quotient++;
    if (quotient > (unsigned __int128)INT64_MAX)
        return false;
    *out = negative ? -(int64_t)quotient : (int64_t)quotient;
    return true;
}
