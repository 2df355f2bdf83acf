/* What every translator must give for any bytes: items that the decoder takes or refuses, never a crash. */
#ifndef TESTS_FUZZ_TRANSLATED_H
#define TESTS_FUZZ_TRANSLATED_H

#include "engine/base/invariant.h"
#include "engine/model/format.h"

#include <sodium.h>
#include <stdlib.h>

static void check_item(struct decoder *decoder, struct arena *arena, const struct format_item *item, uint32_t index)
{
    struct event event;
    struct slice field;
    struct message message = {.body = item->text, .source = SLICE("fuzz"), .position = {.offset = 1, .item = index},
                              .broker_ms = 1772452800000, .translated = item->translated};
    enum reject_reason reason = message_decode(decoder, &message, arena, &event, &field);
    invariant(reason != REJECT_NONE || (item->text.size > 0 && event.fact == NULL));
    /* a translator writes whole JSON: what is wrong with it is the bank's, not the translator's */
    invariant(item->translated->reason != REJECT_NONE || (reason != REJECT_NOT_JSON && reason != REJECT_NOT_OBJECT && reason != REJECT_DUPLICATE_KEY));
}

static void check_translation(const struct format *format, const uint8_t *data, size_t size)
{
    struct arena arena;
    struct error err = {0};
    struct format_output out;
    struct format_unknowns *unknowns = calloc(1, sizeof *unknowns);
    struct rates *rates = rates_none(currency_parse(SLICE("USD")));
    struct decoder *decoder = decoder_new(&(struct decode_settings){.rates = rates, .message_bytes_max = 65536, .future_ms_max = 300000});
    invariant(unknowns && sodium_init() >= 0);
    arena_init(&arena);
    format_output_init(&out);
    out.arena = &arena;
    out.unknowns = unknowns;
    out.most = FORMAT_ITEMS_MAX;
    invariant(format_translate(format, (struct slice){(const char *)data, size}, 65536, &out, &err));
    invariant(out.count > 0); /* every message gives at least one item: nothing is silently lost */
    for (uint32_t i = 0; i < out.count; i++)
        check_item(decoder, &arena, &out.item[i], i);
    format_output_fini(&out);
    arena_fini(&arena);
    decoder_free(decoder);
    rates_free(rates);
    free(unknowns);
}

#endif
