/* Any bytes as an event: accepted or refused with a reason, never a crash; what is accepted must be
 * JSON for an independent parser too. */
#include "engine/base/invariant.h"
#include "engine/model/decode.h"
#include "engine/model/fact.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct event event;
    struct slice field;
    struct rates *rates = rates_none(currency_parse(SLICE("USD")));
    invariant(sodium_init() >= 0);
    struct decoder *decoder =
        decoder_new(&(struct decode_settings){.rates = rates, .message_bytes_max = 8192, .future_ms_max = 300000});
    arena_init(&arena);
    struct message message = {.body = {(const char *)data, size}, .source = SLICE("fuzz"), .broker_ms = 1772452800000};
    enum reject_reason reason = decoder_decode(decoder, &message, &arena, &event, &field);
    if (reason == REJECT_NONE) {
        json_t *other = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
        invariant(json_is_object(other));
        if (event.fact)
            invariant(event.flow == FLOW_FACT && event.fact->name.size > 0 && event.fact->field_count <= FACT_FIELD_MAX);
        else
            invariant(event.amount_minor > 0 && event.id.size > 0 && event.currency != 0);
        json_decref(other);
    }
    arena_fini(&arena);
    decoder_free(decoder);
    rates_free(rates);
    return 0;
}
