/* Makes events of numbers. */
#include "bench/payment.h"

#include "engine/model/money.h"

#include <sodium.h>

static struct hash128 hash_of(struct slice text)
{
    struct hash128 hash;
    static const unsigned char key[16] = {1};
    (void)crypto_shorthash_siphashx24((unsigned char *)&hash, (const unsigned char *)text.data, text.size, key);
    return hash;
}

static void name_end(struct event *event, struct arena *arena, enum event_ref ref, uint64_t account)
{
    struct slice text = arena_format(arena, "KE-A%010llu", (unsigned long long)account);
    event_name(event, ref, text, hash_of(text));
}

void payment_event(const struct payment *payment, struct arena *arena, struct event *event)
{
    *event = (struct event){.time_ms = payment->time_ms,
                            .broker_ms = MISSING_I64,
                            .amount_minor = payment->amount_minor,
                            .amount_base = payment->amount_minor,
                            .currency = currency_parse(SLICE("USD")),
                            .kind = KIND_TRANSFER,
                            .channel = CHANNEL_MOBILE,
                            .status = STATUS_SETTLED,
                            .flow = FLOW_SETTLED,
                            .seq = payment->number + 1};
    event->id = arena_format(arena, "e%llu", (unsigned long long)payment->number);
    event->source = SLICE("bench");
    event->id_hash = hash_of(event->id);
    event->body_hash = event->id_hash.lo;
    event->named = ARENA_ARRAY(arena, struct named, 2);
    name_end(event, arena, REF_SENDER, payment->sender);
    name_end(event, arena, REF_RECEIVER, payment->receiver);
}
