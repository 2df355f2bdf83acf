/* Any bytes as the value of a fact, a time, a date or an amount: read or refused, within its bounds. */
#include "engine/base/invariant.h"
#include "engine/model/money.h"
#include "engine/model/zone.h"
#include "rules/lang/fact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    currency_code usd = currency_parse(SLICE("USD"));
    int64_t number;
    for (int type = 0; type < TYPE_POISON; type++)
        if (type != TYPE_TEXT && !fact_type_is_entity((enum value_type)type) && fact_value_parse((enum value_type)type, text, usd, NULL, &number))
            invariant(number != MISSING_I64 && (type == TYPE_TIME || number >= 0));
    if (money_parse(text, usd, &number) == MONEY_OK)
        invariant(number > 0);
    if (time_parse(text, &number)) {
        char again[TIME_TEXT_MAX];
        int64_t back;
        time_format(number, again);
        invariant(time_parse(slice_of(again), &back) && back == number);
    }
    return 0;
}
