/* Money: 64-bit minor units with a currency; never floating point, 128 bits in between.
 *
 * Rates: a dated list converts to the base currency (RULES 11). Immutable after load. */
#ifndef ENGINE_MODEL_MONEY_H
#define ENGINE_MODEL_MONEY_H

#include "engine/base/error.h"
#include "engine/model/event.h"

enum money_parse_result { MONEY_OK, MONEY_BAD, MONEY_OVERFLOW };

/* "1500.00" or "1500" in major units into minor units of `currency`; only digits and one point;
 * no more decimals than the currency has; must be > 0. */
enum money_parse_result money_parse(struct slice text, currency_code currency, int64_t *minor);

/* "1_800.00 USD" into out; returns its length. */
enum { MONEY_TEXT_MAX = 48 };
int money_format(int64_t minor, currency_code currency, char out[MONEY_TEXT_MAX]);

/* a * b / c over 128 bits, half-even; false on overflow of 64 bits or c = 0. */
bool muldiv_half_even(int64_t a, int64_t b, int64_t c, int64_t *out);

struct rates;
/* rates_load reads CSV `date,currency,per_base`: units of base for 1 unit of currency, as a decimal
 * of at most 9 fraction digits; a header line; '#' comments; dates rising per currency not required.
 * Each wrong line is an error with its number. */
struct rates *rates_load(const char *path, currency_code base, struct error *err) must_check;
/* rates_none knows no rate: only amounts in `base` itself convert. Never NULL. */
struct rates *rates_none(currency_code base);
void rates_free(struct rates *rates);
currency_code rates_base(const struct rates *rates);
/* The last rate on or before the UTC date of time_ms; false when there is none or on overflow. */
bool rates_convert(const struct rates *rates, currency_code from, int64_t minor, int64_t time_ms, int64_t *base_minor);

#endif
