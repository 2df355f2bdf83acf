/* The words for why an event is refused. */
#include "engine/model/reject.h"

static const struct {
    const char *code, *says;
} reasons[REJECT_COUNT] = {
    {"NONE", "accepted"},
#define REJECT(code, says) {#code, says},
#include "engine/model/reject.def"
#undef REJECT
};

const char *reject_code(enum reject_reason reason)
{
    return reason < REJECT_COUNT ? reasons[reason].code : "UNKNOWN";
}

const char *reject_says(enum reject_reason reason)
{
    return reason < REJECT_COUNT ? reasons[reason].says : "an unknown reason";
}
