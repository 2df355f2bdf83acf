/* Any bytes as a rates file: taken, or refused in words; what is taken converts without overflow. */
#include "engine/model/money.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct error err = {0};
    int64_t base;
    int fd = memory_file(data, size, path);
    struct rates *rates = rates_load(path, currency_parse(SLICE("USD")), &err);
    invariant((rates == NULL) == (err.text[0] != '\0'));
    if (rates) {
        (void)rates_convert(rates, currency_parse(SLICE("KES")), INT64_MAX, 1772452800000, &base);
        (void)rates_convert(rates, currency_parse(SLICE("EUR")), 1, 0, &base);
        rates_free(rates);
    }
    close(fd);
    return 0;
}
