/* A value as the rule language writes it: "9", "1_800.00 USD", "45%", "1d2h", "KE->SO", an account's
 * text; "unknown" where it is missing. For hits, sentences and test reports. */
#ifndef ENGINE_STREAM_VALUE_TEXT_H
#define ENGINE_STREAM_VALUE_TEXT_H

#include "engine/base/arena.h"
#include "engine/state/state.h"
#include "rules/lang/program.h"

/* state gives entities their texts; it may be NULL for values of other types. */
struct slice value_text(const struct program *program, const struct state *state, struct arena *arena, struct value value,
                        enum value_type type);

#endif
