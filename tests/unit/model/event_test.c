/* An event's refs: named in any order, and anew. */
#include "engine/model/event.h"

#include <criterion/criterion.h>

static void expect(const struct event *event, enum event_ref ref, const char *text, uint64_t hash)
{
    const struct named *named = event_named(event, ref);
    cr_assert(named != NULL);
    cr_expect(slice_equal(named->text, slice_of(text)));
    cr_expect_eq(named->hash.lo, hash);
    cr_expect(slice_equal(event_ref_text(event, ref), slice_of(text)));
}

Test(event, names_refs_in_any_order)
{
    struct named room[REF_COUNT];
    struct event event = {.named = room};
    event_name(&event, REF_PLACE, SLICE("place"), (struct hash128){1, 0});
    event_name(&event, REF_SENDER, SLICE("sender"), (struct hash128){2, 0});
    event_name(&event, REF_SENDER_DEVICE, SLICE("device"), (struct hash128){3, 0});
    event_name(&event, REF_SENDER, SLICE("again"), (struct hash128){4, 0});
    cr_expect_eq(event.named_refs, 1u << REF_PLACE | 1u << REF_SENDER | 1u << REF_SENDER_DEVICE);
    expect(&event, REF_SENDER, "again", 4);
    expect(&event, REF_SENDER_DEVICE, "device", 3);
    expect(&event, REF_PLACE, "place", 1);
    cr_expect(event_named(&event, REF_RECEIVER) == NULL);
    cr_expect_eq(event_ref_text(&event, REF_RECEIVER).size, 0);
}
