/* Any bytes as an ISO 20022 message: canonical events, or refusals that name an element. */
#include "connectors/iso20022/iso20022.h"
#include "tests/fuzz/translated.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct format *format = iso20022_format_open("", &err);
    invariant(format != NULL);
    check_translation(format, data, size);
    format->close(format->self);
    return 0;
}
